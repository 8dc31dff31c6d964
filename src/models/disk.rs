//! How much room there is on a disk.

use crate::error::{Error, Kind, Result};
use std::path::Path;

/// What stays free, so that a download never fills the disk to the last byte.
const RESERVE: u64 = 64 << 20;

/// Checks that `needed` more bytes fit where `folder` is.
///
/// # Errors
/// `Unavailable` with the figures.
pub fn check_space(folder: &Path, needed: u64) -> Result<()> {
    let Some(free) = free_space(folder).filter(|free| *free < needed.saturating_add(RESERVE)) else { return Ok(()) };
    let message = format!(
        "not enough room in {}: {} MiB are needed and {} MiB are free",
        folder.display(),
        needed.div_ceil(1 << 20),
        free >> 20
    );
    Err(Error::new(Kind::Unavailable, message))
}

/// Bytes that this user may still write where `folder` is; `None` when the system does not tell.
#[cfg(unix)]
pub fn free_space(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut status = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` ends with a zero and `status` has room for one `statvfs`; both live longer than the call. All
    // zeros is a valid `statvfs`, so reading it is sound even if the call wrote nothing.
    #[allow(unsafe_code, reason = "the standard library does not tell free space")]
    let (outcome, status) = unsafe { (libc::statvfs(path.as_ptr(), status.as_mut_ptr()), status.assume_init()) };
    let bytes = u128::from(status.f_bavail) * u128::from(status.f_frsize);
    (outcome == 0).then(|| u64::try_from(bytes).unwrap_or(u64::MAX))
}

#[cfg(not(unix))]
pub fn free_space(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_disk_holds_is_refused_with_figures() {
        let folder = std::env::temp_dir();
        assert!(check_space(&folder, 0).is_ok());
        let error = check_space(&folder, 1 << 60).expect_err("no disk is that large");
        assert!(error.message().contains("MiB are needed"), "{error}");
    }
}
