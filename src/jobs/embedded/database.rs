//! One connection that writes, in a thread of its own, and one that reads.

use crate::error::{Error, Kind, Result};
use crate::jobs::NO_ROOM;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Changes that may wait for the writer.
const WAITING: usize = 1024;

/// Changes in one transaction.
const AT_ONCE: usize = 256;

/// What is said to whoever waits for a change, when it is on the disk or is not.
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;

/// A change.
type Change = Box<dyn FnOnce(&Connection) -> Answer + Send>;

/// A database.
pub(super) struct Database {
    changes: mpsc::Sender<Change>,
    reader: Arc<Mutex<Connection>>,
}

impl Database {
    /// Opens the database at `path`, or makes one, and lets `prepare` work on it before anybody else does.
    pub(super) fn open(path: &Path, prepare: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<Self> {
        let connection = Connection::open(path).map_err(failed)?;
        let set = |name: &str, value: &str| connection.pragma_update(None, name, value).map_err(failed);
        set("journal_mode", "WAL")?;
        set("synchronous", "FULL")?; // an answer is a promise, also when the power goes
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        connection.execute_batch("COMMIT").map_err(failed)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(path, flags).map_err(failed)?;
        reader.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        let (changes, waiting) = mpsc::channel(WAITING);
        std::thread::Builder::new()
            .name("jobs".into())
            .spawn(move || write(&connection, waiting))
            .map_err(|e| Error::new(Kind::Unavailable, "cannot start the thread of the jobs").with_source(e))?;
        Ok(Self { changes, reader: Arc::new(Mutex::new(reader)) })
    }

    /// Makes a change, and completes when it is on the disk. A change that fails changes nothing.
    pub(super) fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let change: Change = Box::new(move |connection| {
            let changed = apart(connection, change);
            Box::new(move |written| {
                // Nobody may be waiting any more.
                let _ = answer.send(match (changed, written) {
                    (Ok(value), Ok(())) => Ok(value),
                    (Err(error), _) => Err(failed(error)),
                    (_, Err(reason)) => Err(Error::internal("the jobs cannot be stored", reason)),
                });
            })
        });
        let changes = self.changes.clone();
        async move {
            let gone = || Error::new(Kind::Internal, "the thread of the jobs has ended");
            changes.send(change).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        }
    }

    /// Reads off the async threads.
    pub(super) fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let reader = self.reader.clone();
        async move {
            let done = tokio::task::spawn_blocking(move || {
                read(&reader.lock().unwrap_or_else(PoisonError::into_inner)).map_err(failed)
            });
            done.await.map_err(|e| Error::internal("the jobs cannot be read", e))?
        }
    }

    /// Reads in this thread.
    pub(super) fn read_now<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        read(&self.reader.lock().unwrap_or_else(PoisonError::into_inner)).map_err(failed)
    }
}

/// Makes a change so that it can be taken back alone.
fn apart<T>(connection: &Connection, change: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    connection.execute_batch("SAVEPOINT change")?;
    let changed = change(connection);
    if changed.is_err() {
        connection.execute_batch("ROLLBACK TO change")?;
    }
    connection.execute_batch("RELEASE change")?;
    changed
}

/// Makes changes until nobody can bring any more.
fn write(connection: &Connection, mut changes: mpsc::Receiver<Change>) {
    while let Some(first) = changes.blocking_recv() {
        let begun = connection.execute_batch("BEGIN IMMEDIATE");
        let mut answers = vec![first(connection)];
        while answers.len() < AT_ONCE
            && let Ok(next) = changes.try_recv()
        {
            answers.push(next(connection));
        }
        let written = begun.and_then(|()| connection.execute_batch("COMMIT")).map_err(|e| e.to_string());
        if written.is_err() {
            // Fails when there is no transaction, which is just as well.
            let _ = connection.execute_batch("ROLLBACK");
        }
        answers.into_iter().for_each(|answer| answer(written.clone()));
    }
}

/// A failure of the database.
fn failed(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Error::new(Kind::Unavailable, "The disk of the server is full.").with_code(NO_ROOM).with_source(error)
        }
        _ => Error::internal("The database of the jobs failed.", error),
    }
}
