//! The files beside the database: recordings, what has been heard, results.
//!
//! A recording is complete before its job is known, a result is complete before its job is over. What belongs to no job
//! was left behind by an interruption and is deleted at the next start. All of this blocks.

use super::{Input, JobId, NO_ROOM, Outcome, Where};
use crate::error::{Error, Kind, Result};
use crate::speech::transcribe::Heard;
use crate::transcript::Segment;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The folders, by what is in them.
const INPUTS: &str = "inputs";
const HEARD: &str = "heard";
const SAID: &str = "said";
const RESULTS: &str = "results";

/// Where uploads are put until it is known what becomes of them.
const INCOMING: &str = "incoming";

/// The files of all jobs, and how much they take. Cheap to clone.
#[derive(Clone)]
pub(super) struct Files {
    folder: PathBuf,
    used: Arc<AtomicU64>,
    limit: u64,
}

/// One line of a file of what has been heard.
#[derive(Serialize, Deserialize)]
struct Line<H> {
    channel: Option<u32>,
    number: usize,
    heard: H,
}

impl Files {
    /// Makes the folders, and deletes what nobody waits for: uploads of an earlier process.
    pub(super) fn open(folder: &Path, limit: u64) -> Result<Self> {
        let folder = folder.to_owned();
        let incoming = folder.join(INCOMING);
        let emptied = if incoming.exists() { fs::remove_dir_all(&incoming) } else { Ok(()) };
        emptied.map_err(no_room)?;
        for name in [INPUTS, HEARD, SAID, RESULTS, INCOMING] {
            fs::create_dir_all(folder.join(name)).map_err(no_room)?;
        }
        Ok(Self { folder, used: Arc::default(), limit })
    }

    /// Deletes the files of jobs for which `keep` says, by id and whether it is the result, that nobody needs them, and
    /// counts the rest.
    pub(super) fn clean(&self, keep: impl Fn(JobId, bool) -> bool) -> Result<()> {
        let mut used = 0;
        for name in [INPUTS, HEARD, SAID, RESULTS] {
            for entry in fs::read_dir(self.folder.join(name)).map_err(no_room)? {
                let entry = entry.map_err(no_room)?;
                let file = entry.file_name();
                let id = file.to_str().and_then(|file| file.split('.').next()?.parse().ok());
                if id.is_some_and(|id| keep(id, name == RESULTS)) {
                    used += entry.metadata().map_or(0, |metadata| metadata.len());
                } else {
                    fs::remove_file(entry.path()).map_err(no_room)?;
                }
            }
        }
        self.used.store(used, Ordering::Relaxed);
        Ok(())
    }

    fn path(&self, kind: &str, id: JobId) -> PathBuf {
        self.folder.join(kind).join(id.to_string())
    }

    /// Moves a recording to where its job expects it.
    pub(super) fn put_input(&self, id: JobId, input: Input) -> Result<()> {
        let length = match &input {
            Input::Bytes(bytes) => bytes.len() as u64,
            Input::File(file) => file.as_file().metadata().map_err(no_room)?.len(),
        };
        if self.used.load(Ordering::Relaxed).saturating_add(length) > self.limit {
            return Err(full(self.limit));
        }
        let target = self.path(INPUTS, id);
        let placed = match input {
            Input::Bytes(bytes) => self.write(&target, &bytes),
            Input::File(file) => file.as_file().sync_data().and_then(|()| fs::rename(file.path(), &target)),
        };
        placed.map_err(no_room)?;
        self.used.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a whole file or none.
    fn write(&self, target: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.folder.join(INCOMING))?;
        file.write_all(bytes)?;
        file.as_file().sync_data()?;
        file.persist(target).map(|_| ()).map_err(|e| e.error)
    }

    /// The recording, if it is here.
    pub(super) fn input(&self, id: JobId) -> Result<Option<File>> {
        match File::open(self.path(INPUTS, id)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::internal("a stored recording cannot be read", error)),
        }
    }

    /// Adds what has been heard in a piece.
    pub(super) fn keep(&self, id: JobId, (channel, number): Where, heard: &Heard) -> Result<()> {
        self.append(&self.path(HEARD, id), [Line { channel, number, heard }].iter())
    }

    /// What has been heard. A line that was cut off by an interruption does not count.
    pub(super) fn heard(&self, id: JobId) -> Result<HashMap<Where, Heard>> {
        let lines: Vec<Line<Heard>> = read_lines(&self.path(HEARD, id))?;
        Ok(lines.into_iter().map(|line| ((line.channel, line.number), line.heard)).collect())
    }

    /// Adds to what can be read; see [`super::JobStore::say`].
    pub(super) fn say(&self, id: JobId, from: usize, segments: &[Segment]) -> Result<()> {
        let known = self.said(id)?.len();
        self.append(&self.path(SAID, id), segments.iter().skip(known.saturating_sub(from)))
    }

    /// What can be read.
    pub(super) fn said(&self, id: JobId) -> Result<Vec<Segment>> {
        read_lines(&self.path(SAID, id))
    }

    /// Appends lines, after what was left of one by an interruption.
    fn append<T: Serialize>(&self, path: &Path, lines: impl Iterator<Item = T>) -> Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, &line).map_err(|e| Error::internal("a note cannot be written", e))?;
            text.push(b'\n');
        }
        let appended = || -> io::Result<()> {
            let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
            if !text.is_empty() && !ends_with_a_line(&mut file)? {
                file.write_all(b"\n")?;
            }
            file.write_all(&text)
        };
        appended().map_err(no_room)?;
        self.used.fetch_add(text.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn result(&self, id: JobId, attempt: u32) -> PathBuf {
        self.folder.join(RESULTS).join(format!("{id}.{attempt}.json"))
    }

    /// Writes the result of an attempt.
    pub(super) fn put_result(&self, id: JobId, attempt: u32, outcome: &Outcome) -> Result<()> {
        let text = serde_json::to_vec(outcome).map_err(|e| Error::internal("a result cannot be written", e))?;
        self.write(&self.result(id, attempt), &text).map_err(no_room)?;
        self.used.fetch_add(text.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The result of an attempt.
    pub(super) fn outcome(&self, id: JobId, attempt: u32) -> Result<Option<Outcome>> {
        let broken = |e: io::Error| Error::internal("a stored result cannot be read", e);
        let text = match fs::read(self.result(id, attempt)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(broken(error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|e| broken(e.into()))
    }

    /// Deletes the result of an attempt.
    pub(super) fn delete_result(&self, id: JobId, attempt: u32) {
        self.delete(&self.result(id, attempt));
    }

    /// Deletes what a job needs only until it is over.
    pub(super) fn delete_work(&self, id: JobId) {
        [INPUTS, HEARD, SAID].iter().for_each(|kind| self.delete(&self.path(kind, id)));
    }

    /// Deletes a file that may not be there; one that cannot be deleted is deleted at the next start.
    fn delete(&self, path: &Path) {
        let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
        if fs::remove_file(path).is_ok() {
            let _ =
                self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| Some(used.saturating_sub(length)));
        }
    }
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn read_lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let broken = |e: io::Error| Error::internal("stored notes cannot be read", e);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(broken(error)),
    };
    let mut found = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        found.extend(serde_json::from_slice(&line.map_err(broken)?).ok());
    }
    Ok(found)
}

/// There is no room for more than `limit` bytes.
pub(super) fn full(limit: u64) -> Error {
    let message = format!(
        "The jobs take all of the {} MiB that they may (jobs.disk_bytes): try again when some are done.",
        limit >> 20
    );
    Error::new(Kind::Unavailable, message).with_code(NO_ROOM).with_retry_after(std::time::Duration::from_secs(60))
}

/// Only one process may use the folder: it would take the jobs of another for left behind.
pub(super) fn lock_folder(folder: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(no_room)?;
    file.try_lock().map_err(|e| {
        let message = format!(
            "another server uses the jobs in {}: stop it, or give this one a folder of its own (jobs.dir or --data-dir)",
            folder.display()
        );
        Error::new(Kind::Unavailable, message).with_source(std::io::Error::from(e))
    })?;
    Ok(file)
}

/// A failure of the file system, which is most often a full disk.
pub(super) fn no_room(error: io::Error) -> Error {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let message = if full { "The disk of the server is full." } else { "The server cannot store jobs." };
    Error::new(Kind::Unavailable, message).with_code(if full { NO_ROOM } else { "storage_failed" }).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn files(limit: u64) -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path(), limit).unwrap();
        (folder, files)
    }

    fn segment(text: &str) -> Segment {
        Segment { text: text.into(), ..Segment::default() }
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_count_and_spoils_no_other() {
        let (_folder, files) = files(1 << 20);
        let id = JobId::new();
        files.say(id, 0, &[segment("one")]).unwrap();
        let mut file = OpenOptions::new().append(true).open(files.path(SAID, id)).unwrap();
        file.write_all(br#"{"text":"tw"#).unwrap();
        files.say(id, 0, &[segment("one"), segment("two"), segment("three")]).unwrap();
        files.say(id, 2, &[segment("three"), segment("four")]).unwrap();
        let said: Vec<String> = files.said(id).unwrap().into_iter().map(|segment| segment.text).collect();
        assert_eq!(said, ["one", "two", "three", "four"]);
    }

    #[test]
    fn there_is_no_room_beyond_the_limit_and_again_when_something_goes() {
        let (_folder, files) = files(10);
        let (first, second) = (JobId::new(), JobId::new());
        let input = || Input::Bytes(Bytes::from_static(b"1234567"));
        files.put_input(first, input()).unwrap();
        let error = files.put_input(second, input()).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, Some("storage_full")));
        files.delete_work(first);
        files.put_input(second, input()).unwrap();
    }

    #[test]
    fn what_belongs_to_no_job_is_deleted_at_the_start() {
        let (folder, files) = files(1 << 20);
        let (kept, left) = (JobId::new(), JobId::new());
        for id in [kept, left] {
            files.put_input(id, Input::Bytes(Bytes::from_static(b"sound"))).unwrap();
        }
        fs::write(folder.path().join(INCOMING).join("half"), "hal").unwrap();
        let files = Files::open(folder.path(), 8).unwrap();
        files.clean(|id, _| id == kept).unwrap();
        assert!(files.input(kept).unwrap().is_some() && files.input(left).unwrap().is_none());
        assert!(files.put_input(left, Input::Bytes(Bytes::from_static(b"more"))).is_err(), "5 of 8 bytes are taken");
        assert_eq!(fs::read_dir(folder.path().join(INCOMING)).unwrap().count(), 0);
    }
}
