//! What is on the disk: `<data_dir>/models/<id>/<file>`, and whisper.cpp files dropped into `<data_dir>/models`.
//!
//! A file that is there is complete: downloads and imports get their name only when they have been checked. Loading
//! and downloading are done elsewhere.

use super::catalog::{Catalog, Model, ModelTask};
use crate::engine::Weights;
use crate::error::{Error, Kind, Result};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The weights of [`DEMO_ID`].
const DEMO_WEIGHTS: &[u8] = include_bytes!("../../models/demo/mynah-demo.en-q8_0.bin");

/// The model whose weights are inside the binary.
const DEMO_ID: &str = "mynah-demo.en";

/// The engine of files that somebody dropped into the folder.
const DROPPED_ENGINE: &str = "whisper";

/// The folder with everybody's models.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    path: PathBuf,
}

impl ModelFolder {
    /// The folder `models` in `data_dir`; it may not exist yet.
    pub fn new(data_dir: &Path) -> Self {
        Self { path: data_dir.join("models") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the files of `model` belong.
    pub fn of(&self, model: &Model) -> PathBuf {
        self.path.join(&model.id)
    }

    /// The weights of `model`, if all of them are here.
    pub fn weights(&self, model: &Model) -> Option<Weights> {
        if model.built_in {
            return Some(if model.id == DEMO_ID { Weights::Embedded(DEMO_WEIGHTS) } else { Weights::BuiltIn });
        }
        let paths = self.paths(model)?;
        match paths.as_slice() {
            [only] => Some(Weights::File(only.clone())),
            _ => Some(Weights::File(self.of(model))),
        }
    }

    /// Where the files of `model` are, if all of them are here; empty when it is built in.
    pub fn paths(&self, model: &Model) -> Option<Vec<PathBuf>> {
        let pulled = self.of(model);
        let pulled: Vec<PathBuf> = model.files.iter().map(|file| pulled.join(&file.name)).collect();
        if pulled.iter().all(|path| path.is_file()) {
            return Some(pulled);
        }
        let [file] = model.files.as_slice() else { return None };
        let dropped = self.path.join(&file.name);
        (model.engine == DROPPED_ENGINE && dropped.is_file()).then(|| vec![dropped])
    }

    /// The models that the catalog does not know: every other `*.bin`, named after its file.
    pub fn dropped(&self, catalog: &Catalog) -> Vec<Model> {
        let known = |name: &str| {
            let mut files = catalog.models().iter().filter(|model| model.engine == DROPPED_ENGINE);
            files.any(|model| matches!(model.files.as_slice(), [file] if file.name == name))
        };
        let names = std::fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| name.ends_with(".bin") && !known(name));
        names.sort_unstable();
        names.iter().filter_map(|name| self.dropped_model(name)).collect()
    }

    /// The model in the file called `name`, or nothing when it is no file.
    fn dropped_model(&self, name: &str) -> Option<Model> {
        let size = std::fs::metadata(self.path.join(name)).ok().filter(|metadata| metadata.is_file())?.len();
        let id = name.strip_suffix(".bin")?;
        let mut model = Model::from_file(id, name, size, DROPPED_ENGINE, ModelTask::Transcribe);
        if id.contains(".en") {
            model.languages = vec!["en".into()];
        }
        Some(model)
    }

    /// Keeps every other pull, import or removal of `model` out, in this process and others, while it is held.
    ///
    /// # Errors
    /// `Unavailable` when somebody else holds it or the folder cannot be written.
    pub fn lock(&self, model: &Model) -> Result<File> {
        let locks = self.path.join(".locks");
        create_dir(&locks)?;
        let path = locks.join(&model.id);
        let file = File::create(&path).map_err(|e| unwritable(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                let message =
                    format!("the model `{}` is just being pulled, imported or removed by someone else", model.id);
                Err(Error::new(Kind::Unavailable, message))
            }
            Err(TryLockError::Error(error)) => Err(unwritable(&path, error)),
        }
    }
}

/// How many bytes the weights at `paths` have.
pub fn size_of(paths: &[PathBuf]) -> u64 {
    paths.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// How many bytes `weights` outside the binary have.
pub fn size_of_weights(weights: &Weights) -> u64 {
    match weights {
        Weights::Embedded(_) | Weights::BuiltIn => 0,
        Weights::File(path) if path.is_dir() => {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            size_of(&entries.map(|entry| entry.path()).collect::<Vec<_>>())
        }
        Weights::File(path) => size_of(std::slice::from_ref(path)),
    }
}

/// Makes the folder `path` and those above it.
///
/// # Errors
/// `Unavailable` that names the folder.
pub fn create_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| unwritable(path, e))
}

/// A file or folder that cannot be written.
pub fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("{} cannot be written: {error}", path.display())).with_source(error)
}

/// A file or folder that cannot be read.
pub fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("{} cannot be read: {error}", path.display())).with_source(error)
}
