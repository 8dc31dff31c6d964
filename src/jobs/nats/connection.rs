//! The connection to NATS: a bucket of records, of which only a known revision can be replaced, and a stream of what is
//! too long for them.
//!
//! Both are made when they are not there. The bucket is one that the tools of NATS can read; it is made as the stream that
//! it is because servers before 2.10 do not know how else.

use crate::config::JobsConfig;
use crate::error::{Error, Kind, Result};
use crate::jobs::{JOBS_AWAY, NATS_AWAY, NO_ROOM};
use async_nats::connection::State;
use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::jetstream::consumer::{Consumer, DeliverPolicy, pull};
use async_nats::jetstream::context::{ContextBuilder, PublishErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{self, DeleteMessageErrorKind, LastRawMessageErrorKind, Stream};
use async_nats::jetstream::{self, Context, ErrorCode};
use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection that has been lost may take to come back before what needs it fails.
const BLINK: Duration = Duration::from_secs(2);

/// How often the connection is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// The longest wait between two attempts to connect.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// Messages that are deleted at once.
const AT_ONCE: usize = 8;

/// The most bytes in one message of a blob, unless the server allows less.
const CHUNK: usize = 512 << 10;

/// A connection.
pub(super) struct Connection {
    client: Client,
    connected: Arc<Notify>,
    context: Context,
    records: Stream<()>,
    blobs: Stream<()>,
    /// In front of the names of records.
    record_prefix: String,
    /// In front of the names of blobs.
    blob_prefix: String,
}

/// A record as it was found.
pub(super) struct Found {
    pub revision: u64,
    pub bytes: Bytes,
}

/// What became of a wish to replace a record.
pub(super) enum Written {
    /// It has been replaced, and this is its revision.
    Done(u64),
    /// It is not the one that was to be replaced.
    Conflict,
}

impl Connection {
    /// Connects, and makes what is not there.
    pub(super) async fn open(config: &JobsConfig) -> Result<Self> {
        let connected = Arc::<Notify>::default();
        let client = connect(config, connected.clone()).await?;
        let context = ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE).build(client.clone());
        let name = &config.nats_name;
        let (bucket, blobs) = (format!("KV_{name}"), format!("{name}_blobs"));
        let record_prefix = format!("$KV.{name}.");
        let blob_prefix = format!("{name}.blob.");
        let (replicas, file) = (config.nats_replicas, stream::StorageType::File);
        let common = || stream::Config {
            max_messages_per_subject: 1,
            num_replicas: replicas,
            storage: file,
            discard: stream::DiscardPolicy::New,
            allow_rollup: true,
            ..stream::Config::default()
        };
        let subjects = |prefix: &str| vec![format!("{prefix}>")];
        make(&context, stream::Config { name: bucket.clone(), subjects: subjects(&record_prefix), ..common() }).await?;
        make(&context, stream::Config { name: blobs.clone(), subjects: subjects(&blob_prefix), ..common() }).await?;
        let stream = async |name: &str| context.get_stream_no_info(name).await.map_err(|e| away("a stream", e));
        let (records, blobs) = (stream(&bucket).await?, stream(&blobs).await?);
        Ok(Self { client, connected, context, records, blobs, record_prefix, blob_prefix })
    }

    /// The most bytes in one message of a blob.
    pub(super) fn chunk(&self) -> usize {
        CHUNK.min(self.client.max_payload() / 2).max(1 << 10)
    }

    /// Completes when the connection has been lost and is there again.
    pub(super) async fn reconnected(&self) {
        self.connected.notified().await;
    }

    /// Whether the server is there just now.
    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Does something that needs the server; fails soon when it has been away for a while.
    async fn call<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let back = async {
            while !self.is_up() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let waited = tokio::time::timeout(BLINK, back).await;
        waited.map_err(|e| away("the connection is lost", e))?;
        tokio::time::timeout(PATIENCE, work).await.map_err(|e| away("no answer", e))?
    }

    /// The record called `key`.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Found>> {
        let message = self.last(&self.records, format!("{}{key}", self.record_prefix)).await?;
        Ok(message.map(|message| Found { revision: message.sequence, bytes: message.payload }))
    }

    /// Replaces the revision `expected` of the record called `key`; 0 where there must be none.
    pub(super) async fn write(&self, key: &str, bytes: Vec<u8>, expected: u64) -> Result<Written> {
        let subject = format!("{}{key}", self.record_prefix);
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string().as_str());
        match self.publish(subject, Some(headers), bytes.into()).await {
            Ok(revision) => Ok(Written::Done(revision)),
            Err(Refused::Conflict) => Ok(Written::Conflict),
            Err(Refused::Other(error)) => Err(error),
        }
    }

    /// Deletes a revision of a record; one that has been replaced since stays.
    pub(super) async fn delete(&self, revision: u64) -> Result<()> {
        self.call(delete_message(&self.records, revision)).await
    }

    async fn publish(&self, subject: String, headers: Option<HeaderMap>, bytes: Bytes) -> Result<u64, Refused> {
        let publish = async {
            let headers = headers.unwrap_or_default();
            let sent = self.context.publish_with_headers(subject, headers, bytes).await;
            let acknowledged = match sent {
                Ok(acknowledgement) => acknowledgement.await,
                Err(error) => Err(error),
            };
            match acknowledged {
                Ok(acknowledgement) => Ok(Ok(acknowledgement.sequence)),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(Err(Refused::Conflict)),
                Err(error) => Err(refused(error)),
            }
        };
        self.call(publish).await.map_err(Refused::Other)?
    }

    /// Stores one message of a blob, and says where it is.
    pub(super) async fn put(&self, name: &str, bytes: Bytes) -> Result<u64> {
        let stored = self.publish(format!("{}{name}", self.blob_prefix), None, bytes).await;
        stored.map_err(|refused| match refused {
            Refused::Other(error) => error,
            Refused::Conflict => Error::new(Kind::Internal, "a blob has no revisions"),
        })
    }

    /// One message of a blob; none of one that is being deleted.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let message = self.last(&self.blobs, format!("{}{name}", self.blob_prefix)).await?;
        Ok(message.map(|message| message.payload).filter(|bytes| !bytes.is_empty()))
    }

    /// Where a message of a blob is.
    async fn sequence_of(&self, name: &str) -> Result<Option<u64>> {
        let message = self.last(&self.blobs, format!("{}{name}", self.blob_prefix)).await?;
        Ok(message.map(|message| message.sequence))
    }

    /// The newest message of a subject.
    async fn last(&self, stream: &Stream<()>, subject: String) -> Result<Option<StreamMessage>> {
        let read = async {
            match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(away("a message cannot be read", error)),
            }
        };
        self.call(read).await
    }

    /// All messages of blobs below `name`, with what their names have behind it.
    pub(super) async fn all(&self, name: &str) -> Result<Vec<(String, Bytes)>> {
        let (mut found, mut next) = (Vec::new(), 1);
        let prefix = format!("{}{name}.", self.blob_prefix);
        loop {
            let read = async {
                match self.blobs.get_first_raw_message_by_subject(format!("{prefix}>"), next).await {
                    Ok(message) => Ok(Some(message)),
                    Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                    Err(error) => Err(away("a blob cannot be read", error)),
                }
            };
            let Some(message) = self.call(read).await? else { return Ok(found) };
            next = message.sequence + 1;
            if !message.payload.is_empty() {
                found.push((message.subject.strip_prefix(&prefix).unwrap_or_default().to_owned(), message.payload));
            }
        }
    }

    /// Deletes all messages of blobs below `name`, one by one: a purge with a filter makes servers of NATS before 2.10 lose
    /// everything in a stream with replicas when they are killed.
    pub(super) async fn purge(&self, name: &str) -> Result<()> {
        self.delete_all(self.call(self.names(&format!("{name}."))).await?).await
    }

    /// Deletes the messages of blobs with these names.
    pub(super) async fn delete_all(&self, names: Vec<String>) -> Result<()> {
        let deletions = futures::stream::iter(names).map(|name| async move {
            // What replaces it says where it is, without sending it here; but where there is no room, nothing replaces it.
            let sequence = match self.put(&name, Bytes::new()).await {
                Err(error) if error.code() == Some(NO_ROOM) => self.sequence_of(&name).await?,
                put => Some(put?),
            };
            match sequence {
                Some(sequence) => self.call(delete_message(&self.blobs, sequence)).await,
                None => Ok(()),
            }
        });
        deletions.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// How many bytes the blobs take, and the newest revision of any record.
    pub(super) async fn measure(&self) -> Result<(u64, u64)> {
        let info = async {
            let infos = futures::try_join!(self.blobs.get_info(), self.records.get_info());
            infos.map_err(|e| away("the streams cannot be looked at", e))
        };
        let (blobs, records) = self.call(info).await?;
        Ok((blobs.state.bytes, records.state.last_sequence))
    }

    /// The names of all messages of blobs that begin with `prefix`, which is empty or ends with a dot.
    pub(super) async fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let failed = |e| away("the blobs cannot be listed", e);
        let pages = self.blobs.info_with_subjects(format!("{}{prefix}>", self.blob_prefix)).await.map_err(failed)?;
        let names = pages.map_ok(|(subject, _)| subject.strip_prefix(&self.blob_prefix).unwrap_or_default().to_owned());
        names.map_err(failed).try_collect().await
    }

    /// What is told of the records below `name`: from the revision `after` on, or all there are and then what comes. The
    /// number is how many there are.
    pub(super) async fn follow(&self, name: &str, after: Option<u64>) -> Result<(Consumer<pull::OrderedConfig>, u64)> {
        let deliver_policy = match after {
            Some(after) => DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            None => DeliverPolicy::LastPerSubject,
        };
        let filter_subject = format!("{}{name}.>", self.record_prefix);
        let config = pull::OrderedConfig { filter_subject, deliver_policy, ..pull::OrderedConfig::default() };
        let made = async {
            let consumer = self.records.create_consumer(config).await;
            consumer.map_err(|e| away("the records cannot be followed", e))
        };
        let consumer = self.call(made).await?;
        let pending = consumer.cached_info().num_pending;
        Ok((consumer, pending))
    }

    /// What a record is called, of which the subject is told.
    pub(super) fn name_of<'a>(&self, subject: &'a str) -> &'a str {
        subject.strip_prefix(&self.record_prefix).unwrap_or_default()
    }
}

/// Why something was not stored.
enum Refused {
    /// The record is not the one that was to be replaced.
    Conflict,
    Other(Error),
}

async fn connect(config: &JobsConfig, connected: Arc<Notify>) -> Result<Client> {
    let mut options = ConnectOptions::new()
        .event_callback(move |event| {
            if let Event::Connected = event {
                connected.notify_waiters();
            }
            std::future::ready(())
        })
        .name("mynah")
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .reconnect_delay_callback(|attempt| (Duration::from_millis(50) * attempt as u32).min(LONGEST_DELAY));
    if !config.nats_user.is_empty() {
        options = options.user_and_password(config.nats_user.clone(), config.nats_password.expose().to_owned());
    }
    if let Some(path) = &config.nats_credentials {
        let message = format!("jobs.nats_credentials {} cannot be used", path.display());
        let loaded = options.credentials_file(path).await;
        options = loaded.map_err(|e| Error::new(Kind::Unavailable, message).with_source(e))?;
    }
    if let Some(path) = &config.nats_ca {
        options = options.add_root_certificates(path.clone());
    }
    options.connect(config.nats_url.as_slice()).await.map_err(|e| away("it cannot be reached", e))
}

/// Makes a stream, or takes the one that is there.
async fn make(context: &Context, config: stream::Config) -> Result<()> {
    let name = config.name.clone();
    let made = context.get_or_create_stream(config).await;
    made.map(drop).map_err(|error| {
        let message = format!("the stream {name} of NATS can neither be found nor made (is JetStream on?): {error}");
        Error::new(Kind::Unavailable, message).with_retry_after(NATS_AWAY).with_source(error)
    })
}

/// A failure to reach the server, or of the server.
pub(super) fn away(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = "The jobs cannot be reached at the moment: try again soon.";
    Error::new(Kind::Unavailable, message)
        .with_code(JOBS_AWAY)
        .with_retry_after(NATS_AWAY)
        .with_source(format!("{what}: {source}"))
}

/// Why something was not stored, where it is not a conflict.
fn refused(error: jetstream::context::PublishError) -> Error {
    use std::error::Error as _;
    let cause = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    let full =
        [ErrorCode::STORAGE_RESOURCES_EXCEEDED, ErrorCode::INSUFFICIENT_RESOURCES, ErrorCode::STREAM_STORE_FAILED];
    match cause {
        Some(cause) if full.contains(&cause.error_code()) => super::full("NATS has no room for more jobs.", error),
        _ => away("it was not stored", error),
    }
}

/// Deletes a message that may be gone already.
async fn delete_message(stream: &Stream<()>, sequence: u64) -> Result<()> {
    match stream.delete_message(sequence).await {
        Err(error) if !matches!(error.kind(), DeleteMessageErrorKind::JetStream(_)) => {
            Err(away("a message cannot be deleted", error))
        }
        _ => Ok(()),
    }
}
