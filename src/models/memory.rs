//! How much memory is free, on Linux; elsewhere every model is tried.

use crate::error::{Error, Kind, Result};
use std::path::Path;

/// Where a container's own limits are.
const CGROUP: &str = "/sys/fs/cgroup";

/// Refuses weights of `size` bytes when less memory is free: the attempt could cost other models or the process.
///
/// # Errors
/// `Unavailable` with the figures.
pub fn check_memory(size: u64) -> Result<()> {
    let free = [free_on_machine(), free_in_container(Path::new(CGROUP))].into_iter().flatten().min();
    let Some(free) = free.filter(|free| *free < size) else { return Ok(()) };
    let message = format!("it needs {} MiB of memory and only {} MiB are free", size >> 20, free >> 20);
    Err(Error::new(Kind::Unavailable, message))
}

/// Bytes that can be had without swapping.
fn free_on_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// Bytes below the limit of the container; cached files give way and do not count. `None` without a limit.
fn free_in_container(cgroup: &Path) -> Option<u64> {
    let read = |name: &str| std::fs::read_to_string(cgroup.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let statistics = read("memory.stat")?;
    let cached = statistics.lines().find_map(|line| line.strip_prefix("inactive_file "))?.trim().parse().ok()?;
    let used = number("memory.current")?.saturating_sub(cached);
    Some(number("memory.max")?.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_any_machine_has_is_refused_with_figures() {
        assert!(check_memory(0).is_ok());
        if free_on_machine().is_some() {
            let error = check_memory(1 << 60).expect_err("an exbibyte");
            assert!(error.message().contains("MiB are free"), "{error}");
        }
    }

    #[test]
    fn the_limit_of_a_container_counts_without_its_cached_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writable");
        write("memory.stat", "anon 5\ninactive_file 200\nactive_file 7\n");
        write("memory.current", "700\n");
        write("memory.max", "1000\n");
        assert_eq!(free_in_container(folder.path()), Some(500));
        write("memory.max", "max\n");
        assert_eq!(free_in_container(folder.path()), None);
    }
}
