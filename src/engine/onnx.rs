//! The ONNX Runtime that all ONNX engines share: where its library is, whether it works, and models that run in it
//! ([`Session`]). This and the folder are the only places that name `ort`.
//!
//! The library is not part of the binary. A build with this feature runs without it; only what needs it is missing.

mod session;
pub mod split;

pub use session::{Input, Model, Numbers, Output, Port, Session};

use crate::config::EngineConfig;
use crate::error::{Error, Kind, Result};
use std::env;
use std::path::{Path, PathBuf};

/// What the file is called here; on some systems a version follows.
const LIBRARY: &str = if cfg!(windows) {
    "onnxruntime.dll"
} else if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};

/// Where systems keep their libraries.
const SYSTEM_FOLDERS: &[&str] = &[
    "/usr/local/lib",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/homebrew/lib",
    "/opt/onnxruntime/lib",
];

/// The library to use: the configured one, else the first found beside the executable, in `data_dir`, in the user's
/// cache (where `scripts/serve` puts it), or where the system keeps its libraries.
pub fn find(config: &EngineConfig, data_dir: &Path) -> Option<PathBuf> {
    match &config.onnx_runtime {
        // Not replaced by another when it is wrong: loading it will say so.
        Some(path) if path.is_dir() => library_in(path),
        Some(path) => Some(path.clone()),
        None => folders(data_dir).iter().find_map(|folder| library_in(folder)),
    }
}

/// Loads the library at `path` and returns which version it is and how it was built. A process has one such library:
/// once one is loaded it stays, and later calls speak about that one.
///
/// # Errors
/// `Unavailable`, with how to get a library, when there is none at `path` or it is too old.
pub fn version(path: &Path) -> Result<String> {
    library(path).map(|_| summary(ort::info()))
}

/// Loads the library at `path`, if none is loaded yet, for an environment to be made in it.
fn library(path: &Path) -> Result<ort::environment::EnvironmentBuilder> {
    // Only an existing file: a bare name would be looked up elsewhere.
    if !path.is_file() {
        return Err(unavailable(&format!("{} does not exist", path.display())));
    }
    ort::init_from(path).map_err(|error| unavailable(&error.to_string()).with_source(error))
}

/// The error for everything that needs a library when [`find`] finds none or it does not load.
pub fn unavailable(reason: &str) -> Error {
    let message = format!(
        "ONNX Runtime is not there: {reason}. Run `scripts/serve` once, which fetches it, or point \
         `engine.onnx_runtime` to {LIBRARY} of ONNX Runtime 1.{} or newer",
        ort::MINOR_VERSION
    );
    Error::new(Kind::Unavailable, message)
}

fn folders(data_dir: &Path) -> Vec<PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let from = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    let mut folders: Vec<PathBuf> = beside.into_iter().collect();
    folders.push(data_dir.join("onnxruntime"));
    folders.extend(cache.map(|cache| cache.join("mynah/onnxruntime")));
    folders.extend(SYSTEM_FOLDERS.iter().map(PathBuf::from));
    folders
}

/// The newest library in `folder`, or in a folder inside it that is named after a version.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let newest = files.into_iter().filter(|path| is_library(path)).max_by_key(|path| numbers(path));
    newest.or_else(|| {
        let is_version = |path: &PathBuf| name(path).starts_with(|c: char| c.is_ascii_digit());
        let mut versions: Vec<PathBuf> = folders.into_iter().filter(is_version).collect();
        versions.sort_by_key(|path| std::cmp::Reverse(numbers(path)));
        versions.iter().find_map(|version| library_in(version))
    })
}

/// `libonnxruntime.so`, `libonnxruntime.so.1.31.1`, `libonnxruntime.1.31.1.dylib`.
fn is_library(path: &Path) -> bool {
    let (stem, extension) = LIBRARY.split_once('.').unwrap_or((LIBRARY, ""));
    let rest = name(path).strip_prefix(stem).and_then(|rest| rest.strip_prefix('.'));
    rest.is_some_and(|rest| {
        let mut parts = rest.split('.').filter(|part| part.parse::<u32>().is_err());
        parts.next() == Some(extension) && parts.next().is_none()
    })
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The numbers in a file's name, to compare versions by.
fn numbers(path: &Path) -> Vec<u32> {
    name(path).split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// The part of ONNX Runtime's description of itself that people want to read.
fn summary(info: &str) -> String {
    let info = info.strip_prefix("ORT Build Info: ").unwrap_or(info);
    info.split(", cmake").next().unwrap_or(info).to_owned()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn touch(path: PathBuf) -> PathBuf {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(&path, "not a library").expect("written");
        path
    }

    #[test]
    fn the_configured_library_wins_over_the_data_folder() {
        let data = tempfile::tempdir().expect("a folder");
        let found = touch(data.path().join("onnxruntime/libonnxruntime.so"));
        let configured = EngineConfig { onnx_runtime: Some("/elsewhere/libort.so".into()), ..EngineConfig::default() };
        assert_eq!(find(&configured, data.path()), Some("/elsewhere/libort.so".into()));
        assert_eq!(find(&EngineConfig::default(), data.path()), Some(found));
    }

    #[test]
    fn the_newest_version_is_taken_also_from_folders_named_after_versions() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(library_in(folder.path()), None);
        touch(folder.path().join("1.9.0/libonnxruntime.so.1.9.0"));
        let nested = touch(folder.path().join("1.31.1/libonnxruntime.so.1.31.1"));
        touch(folder.path().join("libonnxruntime_providers_shared.so"));
        assert_eq!(library_in(folder.path()), Some(nested));
        touch(folder.path().join("libonnxruntime.so.1.9.0"));
        let newest = touch(folder.path().join("libonnxruntime.so.1.22.0"));
        assert_eq!(library_in(folder.path()), Some(newest));
    }

    #[test]
    fn a_missing_library_is_unavailable_and_the_error_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = version(&folder.path().join("missing.so")).expect_err("no library");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().contains("scripts/serve"), "{error}");
    }

    /// Set `MYNAH_TEST_ONNX_RUNTIME` to a library to try it.
    #[test]
    fn a_real_library_says_its_version() {
        let Some(path) = env::var_os("MYNAH_TEST_ONNX_RUNTIME") else { return };
        let version = version(Path::new(&path)).expect("a library");
        assert!(version.contains("1."), "{version}");
    }
}
