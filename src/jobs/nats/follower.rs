//! Connects, keeps the view in step with the records, and starts anew whenever that ends.

use super::connection::{Connection, away};
use super::record::Record;
use super::{JOBS, LINK_KEY, Shared, id_of};
use crate::config::JobsConfig;
use crate::error::{Error, Result};
use crate::jobs::signature;
use async_nats::jetstream::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long to wait after a failure.
const AGAIN: Duration = Duration::from_millis(500);

/// How often it is looked up how much space is taken, and whether there are records that have not been told.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Follows the records for ever.
pub(super) async fn follow(shared: Arc<Shared>, config: JobsConfig) {
    let connection = loop {
        match begin(&shared, &config).await {
            Ok(connection) => break connection,
            Err(error) => tell(&error, "the jobs cannot be reached yet"),
        }
        tokio::time::sleep(AGAIN * 4).await;
    };
    let (mut last, mut excused) = (None, 0);
    loop {
        tokio::select! {
            result = records(&shared, &connection, &mut last) => {
                let Err(error) = result;
                tell(&error, "the jobs are followed anew");
                tokio::time::sleep(AGAIN).await;
            }
            // The server may have forgotten that there is somebody to tell.
            () = connection.reconnected() => {}
            () = look(&shared, &connection, &mut excused) => {}
        }
    }
}

fn tell(error: &Error, what: &str) {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%error, source, "{what}");
}

/// Connects, and finds or makes the key of the links.
async fn begin(shared: &Shared, config: &JobsConfig) -> Result<Arc<Connection>> {
    let connection = Arc::new(Connection::open(config).await?);
    let stored = loop {
        if let Some(found) = connection.read(LINK_KEY).await? {
            break found.bytes;
        }
        let fresh = STANDARD.encode(signature::new_key()?);
        connection.write(LINK_KEY, fresh.into_bytes(), 0).await?;
    };
    let key = STANDARD.decode(&stored).map_err(|e| Error::internal("the key of the links cannot be read", e))?;
    // Only this sets it.
    let _ = shared.link_key.set(key.into());
    shared.opened(connection.clone());
    Ok(connection)
}

/// Takes in records as they are written. `last` is the newest that has been seen, once all there were have been.
async fn records(shared: &Shared, connection: &Connection, last: &mut Option<u64>) -> Result<std::convert::Infallible> {
    let (consumer, mut pending) = connection.follow(JOBS, *last).await?;
    let mut messages = consumer.messages().await.map_err(|e| away("the records cannot be followed", e))?;
    let mut newest = 0;
    loop {
        if pending == 0 {
            *last = Some(last.unwrap_or(0).max(newest));
            shared.loaded();
        }
        let message = match messages.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(away("the records are not told any more", error)),
            None => return Err(away("the records are not told any more", std::fmt::Error)),
        };
        let told = message.info().map_err(|e| away("a record cannot be read", std::io::Error::other(e)))?;
        (newest, pending) = (told.stream_sequence, told.pending);
        shared.newest.store(newest, Ordering::Relaxed);
        take_in(shared, connection, &message, newest);
    }
}

fn take_in(shared: &Shared, connection: &Connection, message: &Message, revision: u64) {
    let Some(id) = id_of(connection.name_of(&message.subject)) else { return };
    match Record::parse(&message.payload) {
        Ok(record) => shared.apply(id, revision, &record),
        // A newer server may write what this one cannot read; it is not for this one then.
        Err(error) => tracing::error!(job.id = %id, %error, "a job is left out"),
    }
}

/// Looks up now and then how much space the blobs take; completes when records have been written for a while that have not
/// been told. Not all records are told, so what was the newest at one such time, `excused`, is none at the next.
async fn look(shared: &Shared, connection: &Connection, excused: &mut u64) {
    let mut before = 0;
    loop {
        if let Ok((used, written)) = connection.measure().await {
            shared.used.store(used, Ordering::Relaxed);
            if shared.newest.load(Ordering::Relaxed) < before && *excused < before {
                *excused = before;
                return;
            }
            before = written;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
