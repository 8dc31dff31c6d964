//! What is on the disk: `<data_dir>/models/<id>/<file>`, and files that people dropped there: whisper.cpp's `NAME.bin`,
//! Piper's `NAME.onnx` with `NAME.onnx.json` beside it, or a folder `NAME` with exactly one such pair.
//!
//! A file that is there is complete: downloads and imports get their name only when they have been checked. Loading
//! and downloading are done elsewhere.

use super::catalog::{Catalog, Model, ModelFile, ModelTask};
use super::catalog_file::is_safe_name;
use super::piper_voices::{self, Name, SETTINGS};
use crate::engine::Weights;
use crate::error::{Error, Kind, Result};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The weights of [`DEMO_ID`].
const DEMO_WEIGHTS: &[u8] = include_bytes!("../../models/demo/mynah-demo.en-q8_0.bin");

/// The model whose weights are inside the binary.
const DEMO_ID: &str = "mynah-demo.en";

/// The engine of files called `*.bin` that somebody dropped into the folder.
const WHISPER: &str = "whisper";

/// The engines of files that need no folder of their own.
const DROPPED_ENGINES: [&str; 2] = [WHISPER, piper_voices::ENGINE];

/// The digests of the files of one model, in the format of `sha256sum`.
const SHA256_SUMS: &str = "SHA256SUMS";

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

    /// One look at the folder, for questions about many models.
    pub fn glance(&self) -> Glance {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        Glance { names: entries.map(|entry| entry.file_name()).collect() }
    }

    /// The weights of `model`, if all of them are here.
    pub fn weights(&self, model: &Model) -> Option<Weights> {
        if model.built_in {
            return Some(if model.id == DEMO_ID { Weights::Embedded(DEMO_WEIGHTS) } else { Weights::BuiltIn });
        }
        let paths = self.paths(model)?;
        match paths.as_slice() {
            [first, ..] if paths.len() == 1 || first.parent() == Some(&self.path) => Some(Weights::File(first.clone())),
            _ => Some(Weights::File(self.of(model))),
        }
    }

    /// Where the files of `model` are, if all that it needs are here; empty when it is built in.
    pub fn paths(&self, model: &Model) -> Option<Vec<PathBuf>> {
        Some(self.files(model)?.into_iter().map(|(_, path)| path).collect())
    }

    /// The files of `model` that are here, if all that it needs are; none when it is built in.
    pub fn files<'a>(&self, model: &'a Model) -> Option<Vec<(&'a ModelFile, PathBuf)>> {
        let present = |file: &'a ModelFile, folder: &Path| {
            Some((file, folder.join(&file.name))).filter(|(_, path)| path.is_file())
        };
        let own = self.of(model);
        let pulled: Vec<_> = model.files.iter().map(|file| present(file, &own)).collect();
        if pulled.iter().zip(&model.files).all(|(found, file)| found.is_some() || file.optional) {
            return Some(pulled.into_iter().flatten().collect());
        }
        // Beside the folders there is only what cannot belong to another model.
        let needed = model.files.iter().filter(|file| !file.optional && DROPPED_ENGINES.contains(&&*model.engine));
        let dropped: Vec<_> = needed.map(|file| present(file, &self.path)).collect::<Option<_>>()?;
        (!dropped.is_empty()).then_some(dropped)
    }

    /// Whether everything that pulling `model` would bring is here.
    pub fn is_complete(&self, model: &Model) -> bool {
        self.files(model)
            .is_some_and(|files| files.len() == model.files.len() || files[0].1.parent() == Some(&self.path))
    }

    /// The models that the catalog does not know, named after their files or folders.
    pub fn dropped(&self, catalog: &Catalog) -> Vec<Model> {
        let names = std::fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| is_safe_name(name) && !is_known(name, catalog));
        names.sort_unstable();
        let mut models: Vec<Model> = names.iter().filter_map(|name| self.dropped_at(name)).collect();
        models.sort_by(|one, other| one.id.cmp(&other.id));
        models.dedup_by(|second, first| second.id == first.id);
        models
    }

    /// The model in the dropped file or folder called `name`, or nothing when it is something else.
    fn dropped_at(&self, name: &str) -> Option<Model> {
        if let Some(id) = name.strip_suffix(".bin") {
            return Some(dropped_model(id, name, size_of_file(&self.path.join(name))?));
        }
        if let Some(id) = name.strip_suffix(".onnx") {
            return dropped_voice_in(&self.path, id, name);
        }
        let folder = self.path.join(name);
        let entries = std::fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.file_name());
        let mut models = entries.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".onnx"));
        match (models.next(), models.next()) {
            (Some(only), None) => dropped_voice_in(&folder, name, &only),
            _ => None,
        }
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

/// The names in the folder of models.
pub struct Glance {
    names: HashSet<OsString>,
}

impl Glance {
    /// Whether it is worth looking for the files of `model`.
    pub fn may_have(&self, model: &Model) -> bool {
        let there = |name: &str| self.names.contains(OsStr::new(name));
        model.built_in || there(&model.id) || model.files.iter().any(|file| there(&file.name))
    }
}

/// Whether `name` is that of a model in `catalog` or of a file that one may be dropped as.
fn is_known(name: &str, catalog: &Catalog) -> bool {
    catalog.models().iter().any(|model| {
        let dropped = DROPPED_ENGINES.contains(&&*model.engine);
        model.id.eq_ignore_ascii_case(name) || dropped && model.files.iter().any(|file| file.name == name)
    })
}

/// The model `id` that no catalog knows, in the one file `name` of `size` bytes.
pub(super) fn dropped_model(id: &str, name: &str, size: u64) -> Model {
    let file = ModelFile { name: name.into(), size: Some(size), ..ModelFile::default() };
    let languages = if id.contains(".en") { vec!["en".into()] } else { Vec::new() };
    found(id, WHISPER, ModelTask::Transcribe, vec![file], languages)
}

/// The voice `id` that no catalog knows, in `name`, whose settings lie beside it.
pub(super) fn dropped_voice(id: &str, name: &str, size: u64, settings_size: u64) -> Model {
    let file = |name: String, size| ModelFile { name, size: Some(size), ..ModelFile::default() };
    let files = vec![file(name.into(), size), file(format!("{name}{SETTINGS}"), settings_size)];
    let languages = Name::parse(id).map(|name| name.language.to_owned());
    found(id, piper_voices::ENGINE, ModelTask::Speak, files, languages.into_iter().collect())
}

fn dropped_voice_in(folder: &Path, id: &str, name: &str) -> Option<Model> {
    let (model, settings) = (folder.join(name), folder.join(format!("{name}{SETTINGS}")));
    Some(dropped_voice(id, name, size_of_file(&model)?, size_of_file(&settings)?))
}

fn found(id: &str, engine: &str, task: ModelTask, files: Vec<ModelFile>, languages: Vec<String>) -> Model {
    let mut model = Model::new(id, engine, task, files);
    model.owned_by = "user".into();
    model.description = format!("Found as {} in the folder of models.", model.files[0].name);
    model.languages = languages;
    model
}

/// How many bytes the file at `path` has; `None` when there is no file.
fn size_of_file(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
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
            // The files of a model are at most one folder deep.
            let (folders, files): (Vec<_>, Vec<_>) = entries(path).into_iter().partition(|path| path.is_dir());
            size_of(&files) + folders.iter().map(|folder| size_of(&entries(folder))).sum::<u64>()
        }
        Weights::File(path) => size_of(std::slice::from_ref(path)),
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// `path` with `.suffix` behind its name: where a file grows before it gets its name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
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

/// Gives the complete file `part` its name `path`, so that it is either there in full or not at all.
///
/// # Errors
/// `Unavailable` that names the file.
pub fn put_in_place(part: &Path, path: &Path) -> Result<()> {
    let file = File::options().write(true).open(part).map_err(|e| unwritable(part, e))?;
    file.sync_all().map_err(|e| unwritable(part, e))?;
    std::fs::rename(part, path).map_err(|e| unwritable(path, e))?;
    // Not every system can sync a folder; without it a power cut may lose the name, never leave half a file.
    if let Some(Ok(folder)) = path.parent().map(File::open) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Notes the SHA-256 of the file `name` of the model in `folder`, in the format of `sha256sum`.
///
/// # Errors
/// `Unavailable` that names the file.
pub fn record_sha256(folder: &Path, name: &str, sha256: &str) -> Result<()> {
    let path = folder.join(SHA256_SUMS);
    let mut lines: Vec<String> = recorded(&path).into_iter().filter(|(_, other)| other != name).map(line).collect();
    lines.push(line((sha256.to_owned(), name.to_owned())));
    std::fs::write(&path, lines.concat()).map_err(|e| unwritable(&path, e))
}

/// The SHA-256 of the file `name` as it was when it came.
pub fn recorded_sha256(folder: &Path, name: &str) -> Option<String> {
    recorded(&folder.join(SHA256_SUMS)).into_iter().find(|(_, other)| other == name).map(|(sha256, _)| sha256)
}

fn recorded(path: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines.map(|(sha256, name)| (sha256.to_owned(), name.to_owned())).collect()
}

fn line((sha256, name): (String, String)) -> String {
    format!("{sha256}  {name}\n")
}
