//! Models in one file, for machines without a network: `mynah models export` and `import`.
//!
//! A bundle is an uncompressed tar archive. Its first entry is `mynah-bundle.json`:
//!
//! ```json
//! {"format": 1, "models": [{"id": "whisper-tiny", "files": [{"name": "ggml-tiny.bin", "size": 7, "sha256": "…"}]}]}
//! ```
//!
//! and the files follow as `<id>/<name>`, in the same order, with nothing between or behind them. Importing trusts
//! none of it: where a file goes is decided by the catalog of the machine, never by the archive; sizes and digests are
//! checked against the manifest and the catalog; nothing is in place before everything has been checked.

use super::catalog::{Model, ModelFile, Named};
use super::catalog_file::is_safe_name;
use super::digest::{Digests, Hasher};
use super::disk::check_space;
use super::folder::{self, create_dir, unreadable, unwritable};
use super::piper_voices::SETTINGS;
use super::registry::{Registry, not_installed};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MANIFEST: &str = "mynah-bundle.json";
const FORMAT: u32 = 1;
/// The longest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;
const BLOCK: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    models: Vec<BundledModel>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundledModel {
    id: String,
    files: Vec<BundledFile>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BundledFile {
    name: String,
    size: u64,
    sha256: String,
}

impl Registry {
    /// Writes the installed models `ids` into one file at `path`. Returns the ids of the models.
    ///
    /// # Errors
    /// `NotFound` for a model that is not installed, `InvalidRequest` for one inside the binary, `Unavailable` for
    /// damaged files or when the bundle cannot be written.
    pub async fn export(&self, ids: &[String], path: &Path) -> Result<Vec<String>> {
        let (registry, ids, path) = (self.clone(), ids.to_vec(), path.to_owned());
        let work = tokio::task::spawn_blocking(move || registry.export_blocking(&ids, &path));
        work.await.map_err(|e| Error::internal("writing the bundle failed", e))?
    }

    /// Installs the models of the bundle at `path`. Returns their ids. A running server sees them at once.
    ///
    /// # Errors
    /// `InvalidRequest` for a file that is no bundle, is damaged, or holds a model that the catalog does not know;
    /// nothing is installed then.
    pub async fn import(&self, path: &Path) -> Result<Vec<String>> {
        let (registry, path) = (self.clone(), path.to_owned());
        let work = tokio::task::spawn_blocking(move || registry.import_blocking(&path));
        work.await.map_err(|e| Error::internal("reading the bundle failed", e))?
    }

    fn export_blocking(&self, ids: &[String], path: &Path) -> Result<Vec<String>> {
        let (mut manifest, mut sources) = (Manifest { format: FORMAT, models: Vec::new() }, Vec::new());
        for id in ids {
            let model = self.exportable(id)?;
            if manifest.models.iter().any(|other| other.id == model.id) {
                continue;
            }
            let files = self.inner.folder.files(&model).ok_or_else(|| not_installed(id, &model))?;
            let described = files.iter().map(|(file, path)| describe(file, path)).collect::<Result<_>>()?;
            manifest.models.push(BundledModel { id: model.id.clone(), files: described });
            sources.extend(files.into_iter().map(|(_, path)| path));
        }
        write_bundle(path, &manifest, &sources)?;
        Ok(manifest.models.into_iter().map(|model| model.id).collect())
    }

    fn exportable(&self, id: &str) -> Result<Arc<Model>> {
        let model = self.installed(id)?;
        if model.built_in {
            let message = format!("`{}` is inside every mynah binary and needs no bundle", model.id);
            return Err(Error::new(Kind::InvalidRequest, message));
        }
        Ok(model)
    }

    fn import_blocking(&self, path: &Path) -> Result<Vec<String>> {
        let bundle = File::open(path).map_err(|e| unreadable(path, e))?;
        let mut archive = tar::Archive::new(BufReader::with_capacity(BLOCK, bundle));
        let mut entries = archive.entries().map_err(not_a_bundle)?;
        let manifest = read_manifest(&mut entries)?;
        let models = manifest.models.iter().map(|bundled| self.importable(bundled)).collect::<Result<Vec<_>>>()?;
        let total = manifest.models.iter().flat_map(|model| &model.files).map(|file| file.size).sum();
        create_dir(self.inner.folder.path())?;
        check_space(self.inner.folder.path(), total)?;
        let _locks = models.iter().map(|model| self.inner.folder.lock(model)).collect::<Result<Vec<_>>>()?;

        let mut arrived = Arrived::default();
        for (bundled, model) in manifest.models.iter().zip(&models) {
            let folder = self.destination(model);
            for described in &bundled.files {
                let entry = next_entry(&mut entries, &format!("{}/{}", bundled.id, described.name))?;
                let file = model.files.iter().find(|file| file.name == described.name);
                let file = file.ok_or_else(|| damaged("it holds a file that its model does not have"))?;
                arrived.receive(entry, described, file, &folder)?;
            }
        }
        if entries.next().is_some() {
            return Err(damaged("there is more in it than its list says"));
        }
        arrived.put_in_place()?;
        models.iter().for_each(|model| self.unload(&model.id));
        Ok(models.iter().map(|model| model.id.clone()).collect())
    }

    /// The model of this machine's catalog that `bundled` claims to be.
    fn importable(&self, bundled: &BundledModel) -> Result<Arc<Model>> {
        let named = self.inner.catalog.find(&bundled.id);
        let is_new = named.is_none();
        let known = match named {
            Some(Named::Model(model)) if model.id == bundled.id && !model.built_in => Some(model.clone()),
            _ => None,
        };
        match (known, bundled.files.as_slice()) {
            (Some(model), files) if are_files_of(&model, files) => Ok(model),
            (None, [file]) if is_safe_name(&file.name) && file.name == format!("{}.bin", bundled.id) => {
                Ok(Arc::new(folder::dropped_model(&bundled.id, &file.name, file.size)))
            }
            (None, [model, settings]) if is_new && are_a_voice(&bundled.id, model, settings) => {
                Ok(Arc::new(folder::dropped_voice(&bundled.id, &model.name, model.size, settings.size)))
            }
            _ => {
                let message = format!("the model `{}` of the bundle is not in the catalog of this machine", bundled.id);
                Err(Error::new(Kind::InvalidRequest, message))
            }
        }
    }

    /// The folder for the files of `model`: one in a single file that the catalog does not know lies beside the others.
    fn destination(&self, model: &Model) -> PathBuf {
        match self.inner.catalog.find(&model.id) {
            Some(Named::Model(known)) if known.id == model.id => self.inner.folder.of(model),
            _ if model.files.len() > 1 => self.inner.folder.of(model),
            _ => self.inner.folder.path().to_owned(),
        }
    }
}

/// Whether `files` are those of `model`, in its order; optional ones may be missing.
fn are_files_of(model: &Model, files: &[BundledFile]) -> bool {
    let there = |file: &&ModelFile| !file.optional || files.iter().any(|bundled| bundled.name == file.name);
    let expected = model.files.iter().filter(there).map(|file| &file.name);
    expected.eq(files.iter().map(|file| &file.name))
}

/// Whether the two files are a voice that somebody brought to the machine of the bundle.
fn are_a_voice(id: &str, model: &BundledFile, settings: &BundledFile) -> bool {
    let named = model.name.ends_with(".onnx") && settings.name == format!("{}{SETTINGS}", model.name);
    named && is_safe_name(id) && is_safe_name(&model.name)
}

/// The manifest's row for `file` at `path`, which must be what was published.
fn describe(file: &ModelFile, path: &Path) -> Result<BundledFile> {
    let digests = Digests::of(path, file)?;
    let broken = |reason| Error::new(Kind::Unavailable, format!("{} is damaged: {reason}", path.display()));
    digests.compare(file).map_err(broken)?;
    Ok(BundledFile { name: file.name.clone(), size: folder::size_of(&[path.to_owned()]), sha256: digests.sha256 })
}

fn write_bundle(path: &Path, manifest: &Manifest, sources: &[PathBuf]) -> Result<()> {
    let target = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    check_space(target, folder::size_of(sources))?;
    let part = folder::with_suffix(path, "part");
    let file = File::create(&part).map_err(|e| unwritable(&part, e))?;
    let archive = tar::Builder::new(BufWriter::with_capacity(BLOCK, file));
    let written = append_all(archive, manifest, sources);
    written.map_err(|e| unwritable(&part, e))?;
    folder::put_in_place(&part, path)
}

fn append_all(
    mut archive: tar::Builder<BufWriter<File>>,
    manifest: &Manifest,
    sources: &[PathBuf],
) -> std::io::Result<()> {
    let list = serde_json::to_vec(manifest).map_err(std::io::Error::other)?;
    archive.append_data(&mut header(list.len() as u64), MANIFEST, list.as_slice())?;
    let entries = manifest.models.iter().flat_map(|model| model.files.iter().map(move |file| (&model.id, file)));
    for ((id, file), source) in entries.zip(sources) {
        let bytes = File::open(source)?.take(file.size);
        archive.append_data(&mut header(file.size), format!("{id}/{}", file.name), bytes)?;
    }
    archive.into_inner()?.flush()
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header
}

type Entries<'a> = tar::Entries<'a, BufReader<File>>;
type Entry<'a> = tar::Entry<'a, BufReader<File>>;

fn read_manifest(entries: &mut Entries<'_>) -> Result<Manifest> {
    let entry = next_entry(entries, MANIFEST)?;
    let mut text = Vec::new();
    entry.take(MAX_MANIFEST).read_to_end(&mut text).map_err(not_a_bundle)?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(not_a_bundle)?;
    if manifest.format != FORMAT {
        let message = format!("the bundle has format {}; this mynah reads format {FORMAT}", manifest.format);
        return Err(Error::new(Kind::InvalidRequest, message));
    }
    let mut ids: Vec<&str> = manifest.models.iter().map(|model| model.id.as_str()).collect();
    ids.sort_unstable();
    if ids.is_empty() || ids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(damaged("its list names no model, or one twice"));
    }
    Ok(manifest)
}

/// The next entry, which must be the plain file `name`.
fn next_entry<'a>(entries: &mut Entries<'a>, name: &str) -> Result<Entry<'a>> {
    let entry = entries.next().ok_or_else(|| damaged(&format!("{name} is missing")))?.map_err(not_a_bundle)?;
    let found = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if found != name || entry.header().entry_type() != tar::EntryType::Regular {
        return Err(damaged(&format!("{name} was expected where {found:.80} is")));
    }
    Ok(entry)
}

/// Files that have arrived and been checked, but are not in place yet. Those still waiting are deleted at the end.
#[derive(Default)]
struct Arrived {
    waiting: Vec<Waiting>,
}

/// A file that is complete but has not got its name.
struct Waiting {
    part: PathBuf,
    folder: PathBuf,
    name: String,
    sha256: String,
}

impl Arrived {
    fn receive(&mut self, entry: Entry<'_>, described: &BundledFile, file: &ModelFile, folder: &Path) -> Result<()> {
        if entry.size() != described.size || file.size.is_some_and(|size| size != described.size) {
            return Err(damaged(&format!("{} has another size than it should", file.name)));
        }
        let path = folder.join(&file.name);
        path.parent().map_or(Ok(()), create_dir)?;
        let part = folder::with_suffix(&path, "import");
        let (name, sha256) = (file.name.clone(), described.sha256.clone());
        self.waiting.push(Waiting { part: part.clone(), folder: folder.to_owned(), name, sha256 });
        let expected = ModelFile { sha256: Some(described.sha256.clone()), ..file.clone() };
        let (digests, length) = copy(entry, &part, &expected)?;
        if length < described.size {
            return Err(damaged("it is cut off"));
        }
        let outcome = digests.compare(&expected).and_then(|()| digests.compare(file));
        outcome.map_err(|reason| damaged(&format!("{}: {reason}", file.name)))
    }

    fn put_in_place(mut self) -> Result<()> {
        for Waiting { part, folder, name, sha256 } in &self.waiting {
            folder::put_in_place(part, &folder.join(name))?;
            folder::record_sha256(folder, name, sha256)?;
        }
        self.waiting.clear();
        Ok(())
    }
}

impl Drop for Arrived {
    fn drop(&mut self) {
        for Waiting { part, .. } in &self.waiting {
            let _ = std::fs::remove_file(part);
        }
    }
}

/// Writes what `reader` gives to `path` and returns its digests and length.
fn copy(mut reader: impl Read, path: &Path, file: &ModelFile) -> Result<(Digests, u64)> {
    let mut target = File::create(path).map_err(|e| unwritable(path, e))?;
    let mut hasher = Hasher::new(file);
    let (mut block, mut total) = (vec![0; BLOCK], 0);
    loop {
        match reader.read(&mut block).map_err(not_a_bundle)? {
            0 => return Ok((hasher.finish(), total)),
            length => {
                total += length as u64;
                hasher.update(&block[..length]);
                target.write_all(&block[..length]).map_err(|e| unwritable(path, e))?;
            }
        }
    }
}

fn not_a_bundle(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Kind::InvalidRequest, "this is not a bundle of models, or it is cut off").with_source(error)
}

fn damaged(reason: &str) -> Error {
    Error::new(Kind::InvalidRequest, format!("the bundle is damaged: {reason}. Nothing was installed."))
}
