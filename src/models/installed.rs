//! Looking after the models that are here: checking their files, removing them.

use super::catalog::{Model, ModelFile, Named};
use super::digest::Digests;
use super::folder::{recorded_sha256, unwritable};
use super::registry::{Registry, not_installed, unknown};
use crate::error::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What checking one file has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCheck {
    /// The name of the file.
    pub file: String,
    /// Its SHA-256 as it is now.
    pub sha256: String,
    /// The verdict.
    pub verdict: Verdict,
}

/// Whether a file is what was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Good,
    /// Nobody has said what it should be.
    Unknown,
    /// It is not; a sentence with the digests that differ.
    Damaged(String),
}

impl Registry {
    /// Computes the digests of the files of `id` again and compares them with those published and those noted when
    /// they came. Nothing for a model inside the binary.
    ///
    /// # Errors
    /// `NotFound` for a model that is unknown or not installed, `Unavailable` for a file that cannot be read.
    pub async fn verify(&self, id: &str) -> Result<Vec<FileCheck>> {
        let model = self.installed(id)?;
        let folder = self.inner.folder.clone();
        let files = folder.files(&model).ok_or_else(|| not_installed(id, &model))?;
        let files: Vec<_> = files.into_iter().map(|(file, path)| (file.clone(), path)).collect();
        let checks = tokio::task::spawn_blocking(move || files.iter().map(|(file, path)| check(file, path)).collect());
        checks.await.map_err(|e| Error::internal("checking the files failed", e))?
    }

    /// Deletes the files of `id`, also those of an unfinished download, and unloads it. Requests in progress keep it
    /// to their end.
    ///
    /// # Errors
    /// `NotFound` for a model that is not here, `InvalidRequest` for an alias or a model inside the binary.
    pub fn remove(&self, id: &str) -> Result<()> {
        let model = self.removable(id)?;
        let folder = &self.inner.folder;
        let _lock = folder.lock(&model)?;
        let own: PathBuf = folder.of(&model);
        let dropped = folder.paths(&model).unwrap_or_default();
        if !own.is_dir() && dropped.is_empty() {
            return Err(not_installed(id, &model));
        }
        self.unload(&model.id);
        if own.is_dir() {
            std::fs::remove_dir_all(&own).map_err(|e| unwritable(&own, e))?;
        }
        for path in dropped.iter().filter(|path| path.is_file()) {
            std::fs::remove_file(path).map_err(|e| unwritable(path, e))?;
        }
        Ok(())
    }

    fn removable(&self, id: &str) -> Result<Arc<Model>> {
        let model = match self.inner.catalog.find(id) {
            Some(Named::Model(model)) => model.clone(),
            Some(Named::Alias(..)) => {
                let message = format!("`{id}` is a name for several models: say which model to remove");
                return Err(Error::invalid("model", message));
            }
            None => self.inner.dropped(id).map(Arc::new).ok_or_else(|| unknown(id))?,
        };
        if model.built_in {
            return Err(Error::new(Kind::InvalidRequest, format!("`{id}` is inside the binary and cannot be removed")));
        }
        Ok(model)
    }
}

fn check(file: &ModelFile, path: &Path) -> Result<FileCheck> {
    let digests = Digests::of(path, file)?;
    let folder = path.ancestors().nth(file.name.split('/').count());
    let recorded = folder.and_then(|folder| recorded_sha256(folder, &file.name));
    let published = file.has_digest() || recorded.is_some();
    let as_it_came = ModelFile { sha256: recorded, ..file.clone() };
    let verdict = match digests.compare(file).and_then(|()| digests.compare(&as_it_came)) {
        Err(reason) => Verdict::Damaged(reason),
        Ok(()) if published => Verdict::Good,
        Ok(()) => Verdict::Unknown,
    };
    Ok(FileCheck { file: file.name.clone(), sha256: digests.sha256, verdict })
}
