//! What is too long for a record, as messages of a stream: recordings, notes, results.
//!
//! A blob is written before the record that names it, and what no record names is swept away. What a job needs only until
//! it is over is under `w`, what is kept with it under `r`; so each goes at once.

use super::connection::Connection;
use super::record::Blob;
use crate::audio::decode;
use crate::error::{Error, Kind, Result};
use crate::jobs::files::no_room;
use crate::jobs::{Input, JobId};
use crate::speech::step;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read as _, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::NamedTempFile;

/// Messages that are under way at once.
const AT_ONCE: usize = 8;

/// Recordings up to this size stay in memory while they are worked on.
const IN_MEMORY: u64 = 4 << 20;

/// The name of what `id` needs until it is over, or of what is kept with it.
fn folder(id: JobId, is_work: bool) -> String {
    format!("{}.{}", if is_work { 'w' } else { 'r' }, id.uuid().simple())
}

/// Stores a recording as the blob `name` of what `id` needs until it is over.
pub(super) async fn put_input(connection: &Connection, id: JobId, name: String, input: Input) -> Result<Blob> {
    let mut file = match input {
        Input::Bytes(bytes) => return put(connection, id, true, name, bytes).await,
        Input::File(file) => step(move || file.reopen().map_err(no_room)).await?,
    };
    let (mut blob, chunk) = (Blob { name, chunks: 0, bytes: 0 }, connection.chunk());
    loop {
        let mut bytes;
        (file, bytes) = step(move || read_chunks(file, chunk)).await?;
        let (read, first) = (bytes.len() as u64, blob.chunks);
        let pieces = std::iter::from_fn(|| (!bytes.is_empty()).then(|| bytes.split_to(chunk.min(bytes.len()))));
        blob.chunks += put_chunks(connection, &blob_name(id, true, &blob.name), first, pieces.collect()).await?;
        blob.bytes += read;
        if read < (chunk * AT_ONCE) as u64 {
            return Ok(blob);
        }
    }
}

/// Reads as much of a file as is sent at once.
fn read_chunks(file: File, chunk: usize) -> Result<(File, Bytes)> {
    let mut bytes = Vec::new();
    let read = (&file).take((chunk * AT_ONCE) as u64).read_to_end(&mut bytes);
    read.map_err(|e| Error::internal("the upload cannot be read", e))?;
    Ok((file, bytes.into()))
}

fn blob_name(id: JobId, is_work: bool, name: &str) -> String {
    format!("{}.{name}", folder(id, is_work))
}

/// Stores `bytes` as the blob `name`.
pub(super) async fn put(
    connection: &Connection,
    id: JobId,
    is_work: bool,
    name: String,
    mut bytes: Bytes,
) -> Result<Blob> {
    let (length, chunk) = (bytes.len() as u64, connection.chunk());
    let pieces = std::iter::from_fn(|| (!bytes.is_empty()).then(|| bytes.split_to(chunk.min(bytes.len()))));
    let chunks = put_chunks(connection, &blob_name(id, is_work, &name), 0, pieces.collect()).await?;
    Ok(Blob { name, chunks, bytes: length })
}

async fn put_chunks(connection: &Connection, name: &str, first: usize, pieces: Vec<Bytes>) -> Result<usize> {
    let count = pieces.len();
    let puts = pieces.into_iter().enumerate().map(|(number, piece)| async move {
        let name = format!("{name}.{}", first + number);
        connection.put(&name, piece).await.map(drop)
    });
    stream::iter(puts).buffered(AT_ONCE).try_collect::<()>().await?;
    Ok(count)
}

/// Hands out the messages of a blob in order.
fn chunks<'a>(
    connection: &'a Connection,
    name: &'a str,
    blob: &'a Blob,
) -> impl futures::Stream<Item = Result<Bytes>> + 'a {
    let gets = (0..blob.chunks).map(move |number| async move {
        let chunk = connection.get(&format!("{name}.{number}")).await?;
        chunk.ok_or_else(|| Error::new(Kind::Internal, "A part of what was stored for this job is gone."))
    });
    stream::iter(gets).buffered(AT_ONCE)
}

/// The whole of a blob.
pub(super) async fn get(connection: &Connection, id: JobId, is_work: bool, blob: &Blob) -> Result<Bytes> {
    let name = blob_name(id, is_work, &blob.name);
    let collected = chunks(connection, &name, blob).try_fold(BytesMut::new(), |mut whole, chunk| async move {
        whole.extend_from_slice(&chunk);
        Ok(whole)
    });
    Ok(collected.await?.freeze())
}

/// Stores one short note of what `id` needs until it is over; one that is too long for a message is not kept.
pub(super) async fn note(connection: &Connection, id: JobId, name: &str, bytes: Vec<u8>) -> Result<bool> {
    if bytes.len() > connection.chunk() {
        return Ok(false);
    }
    connection.put(&blob_name(id, true, name), bytes.into()).await.map(|_| true)
}

/// One note; `None` when it is not there, or not any more.
pub(super) async fn one_note(connection: &Connection, id: JobId, name: &str) -> Result<Option<Bytes>> {
    connection.get(&blob_name(id, true, name)).await
}

/// All notes below `name`, with what their names have behind it.
pub(super) async fn notes(connection: &Connection, id: JobId, name: &str) -> Result<Vec<(String, Bytes)>> {
    connection.all(&blob_name(id, true, name)).await
}

/// Deletes what `id` needs only until it is over where that is known: its recording and notes.
pub(super) async fn delete_known(
    connection: &Connection,
    id: JobId,
    input: Option<&Blob>,
    notes: &[String],
) -> Result<()> {
    let chunks = input.into_iter().flat_map(|blob| messages(id, true, blob));
    let notes = notes.iter().map(|name| blob_name(id, true, name));
    connection.delete_all(chunks.chain(notes).collect()).await
}

/// What the messages of a blob are called.
fn messages(id: JobId, is_work: bool, blob: &Blob) -> impl Iterator<Item = String> {
    let name = blob_name(id, is_work, &blob.name);
    (0..blob.chunks).map(move |number| format!("{name}.{number}"))
}

/// Deletes blobs that are kept with `id`.
pub(super) async fn delete_blobs(connection: &Connection, id: JobId, blobs: &[&Blob]) -> Result<()> {
    connection.delete_all(blobs.iter().flat_map(|blob| messages(id, false, blob)).collect()).await
}

/// Deletes what `id` needs only until it is over.
pub(super) async fn delete_work(connection: &Connection, id: JobId) -> Result<()> {
    connection.purge(&folder(id, true)).await
}

/// Deletes what is kept with `id`.
pub(super) async fn delete_kept(connection: &Connection, id: JobId) -> Result<()> {
    connection.purge(&folder(id, false)).await
}

/// Deletes one blob of what is kept with `id`.
pub(super) async fn delete_one(connection: &Connection, id: JobId, name: &str) -> Result<()> {
    connection.purge(&blob_name(id, false, name)).await
}

/// Which job a message belongs to, whether only until that is over, and the blob it is part of.
pub(super) fn belongs(name: &str) -> Option<(JobId, bool, &str)> {
    let (kind, rest) = name.split_once('.')?;
    let (id, blob) = rest.split_once('.')?;
    let id = format!("job_{id}").parse().ok()?;
    Some((id, kind == "w", blob.rsplit_once('.').map_or(blob, |(blob, _)| blob)))
}

/// Recordings that are worked on here, fetched once for all who read them at the same time.
#[derive(Default)]
pub(super) struct Fetched {
    folder: PathBuf,
    files: Mutex<HashMap<JobId, Weak<NamedTempFile>>>,
    /// Whose turn it is to fetch.
    turn: tokio::sync::Mutex<()>,
}

impl Fetched {
    /// Puts them in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..Self::default() }
    }

    /// The recording of `id`, from its start.
    pub(super) async fn open(
        &self,
        connection: &Connection,
        id: JobId,
        blob: &Blob,
    ) -> Result<Box<dyn decode::Source>> {
        if blob.bytes <= IN_MEMORY {
            return Ok(Box::new(Cursor::new(get(connection, id, true, blob).await?)));
        }
        let _turn = self.turn.lock().await;
        let known = self.lock().get(&id).and_then(Weak::upgrade);
        let file = match known {
            Some(file) => file,
            None => {
                let file = Arc::new(self.fetch(connection, id, blob).await?);
                let mut files = self.lock();
                files.retain(|_, file| file.strong_count() > 0);
                files.insert(id, Arc::downgrade(&file));
                file
            }
        };
        let reader = File::open(file.path()).map_err(no_room)?;
        Ok(Box::new(Shared { reader: BufReader::with_capacity(1 << 16, reader), _file: file }))
    }

    async fn fetch(&self, connection: &Connection, id: JobId, blob: &Blob) -> Result<NamedTempFile> {
        let folder = self.folder.clone();
        let mut file = step(move || NamedTempFile::new_in(folder).map_err(no_room)).await?;
        let name = blob_name(id, true, &blob.name);
        let mut chunks = std::pin::pin!(chunks(connection, &name, blob));
        while let Some(chunk) = chunks.try_next().await? {
            file = step(move || file.write_all(&chunk).map(|()| file).map_err(no_room)).await?;
        }
        Ok(file)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Weak<NamedTempFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader of a file that is there as long as somebody reads it.
struct Shared {
    reader: BufReader<File>,
    _file: Arc<NamedTempFile>,
}

impl io::Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}
