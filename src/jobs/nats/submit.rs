//! How jobs come in: first what belongs to them, then what makes them known.

use super::connection::{Connection, Written, away};
use super::record::{Kept, Record};
use super::{KEYS, MOST_JOBS, Nats, blobs, digest, name_of};
use crate::error::{Error, Result};
use crate::jobs::files::{self, no_room};
use crate::jobs::{Backlog, Input, Job, JobId, Moment, NewJob, Owner, Submitted, key_reused, now as clock, queue_full};
use bytes::Bytes;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The longest order that is kept in the record, in bytes of JSON.
const LONGEST_ORDER: usize = 8 << 10;

/// For how many leases a blob may be there without its job.
const ORPHAN_LEASES: u32 = 10;

impl Nats {
    pub(super) async fn take_in(&self, new: NewJob, now: Moment) -> Result<Submitted> {
        let (connection, mut new) = (self.connection().await?, new);
        let key = new.idempotency.as_ref().map(|(key, _)| key_name(&new.owner, key));
        if let Some(name) = &key
            && let Some(job) = self.earlier(&connection, name, &new).await?
        {
            return Ok(Submitted { job, is_new: false });
        }
        self.check_room(&new, now)?;
        let (id, begun) = (JobId::new(), Instant::now());
        match self.store(&connection, id, &mut new, key.as_ref(), now).await {
            // What took so long may have been swept away as nobody's.
            Ok(_) if begun.elapsed() > self.orphan_age() / 2 => {
                self.drop_job(&connection, id, key.as_ref()).await;
                Err(away("it took too long to store the job", std::fmt::Error))
            }
            Ok(Some(job)) => Ok(Submitted { job, is_new: true }),
            Ok(None) => {
                // Two requests with one key have come at once; the other one made the job.
                self.drop_job(&connection, id, None).await;
                let name = key.unwrap_or_default();
                let job = self.earlier(&connection, &name, &new).await?;
                let again = || away("two requests with one key", std::fmt::Error);
                Ok(Submitted { job: job.ok_or_else(again)?, is_new: false })
            }
            Err(error) => {
                self.drop_job(&connection, id, key.as_ref()).await;
                Err(error)
            }
        }
    }

    fn check_room(&self, new: &NewJob, now: Moment) -> Result<()> {
        if self.shared.view().waiting() >= self.settings.queue {
            return Err(queue_full(&self.shared.view().backlog(Backlog::begin(now))));
        }
        let length = match &new.input {
            Some(Input::Bytes(bytes)) => bytes.len() as u64,
            Some(Input::File(file)) => file.as_file().metadata().map_err(no_room)?.len(),
            None => 0,
        };
        let used = self.shared.used.fetch_add(length, Ordering::Relaxed);
        if used.saturating_add(length) > self.settings.disk_bytes || self.shared.view().len() >= MOST_JOBS {
            self.shared.used.fetch_sub(length, Ordering::Relaxed);
            return Err(files::full(self.settings.disk_bytes));
        }
        Ok(())
    }

    /// Stores a job and all that belongs to it; `None` when somebody else has used its key meanwhile.
    async fn store(
        &self,
        connection: &Connection,
        id: JobId,
        new: &mut NewJob,
        key: Option<&String>,
        now: Moment,
    ) -> Result<Option<Job>> {
        let input = match new.input.take() {
            Some(input) => Some(blobs::put_input(connection, id, "input.0".into(), input).await?),
            None => None,
        };
        let order = serde_json::to_value((&new.work, &new.wire));
        let order = order.map_err(|e| Error::internal("a job cannot be stored", e))?;
        let text = order.to_string();
        let kept = match text.len() {
            0..=LONGEST_ORDER => Kept::Here(order.clone()),
            _ => Kept::Blob(blobs::put(connection, id, false, "order".into(), text.into()).await?),
        };
        if let (Some(name), Some((_, digest))) = (key, &new.idempotency) {
            let entry = format!("{id} {digest}");
            if !self.take_key(connection, name, entry).await? {
                return Ok(None);
            }
        }
        let record = Record::new(new, kept, input, key.cloned(), now);
        let bytes = record.to_bytes()?;
        let revision = match self.replace(connection, &name_of(id), &bytes, 0).await? {
            Written::Done(revision) => revision,
            // It is there already: the answer had been lost.
            Written::Conflict => self.record(connection, id).await?.map_or(0, |(revision, _)| revision),
        };
        self.shared.apply(id, revision, &record);
        record.job(id, order).map(Some)
    }

    /// Makes the entry of an idempotency key, unless a job has it.
    async fn take_key(&self, connection: &Connection, name: &str, entry: String) -> Result<bool> {
        let revision = match connection.read(name).await? {
            None => 0,
            Some(found) => {
                let (id, _) = entry_of(&found.bytes)?;
                // Its job may come into being at this moment: the key is free again only when that has failed.
                let is_young = id.created().plus(self.orphan_age()) > clock();
                if is_young || self.record(connection, id).await?.is_some() {
                    return Ok(false);
                }
                found.revision
            }
        };
        Ok(matches!(self.replace(connection, name, entry.as_bytes(), revision).await?, Written::Done(_)))
    }

    /// The job that an earlier request with the same idempotency key made.
    async fn earlier(&self, connection: &Connection, name: &str, new: &NewJob) -> Result<Option<Job>> {
        let Some(found) = connection.read(name).await? else { return Ok(None) };
        let (id, known) = entry_of(&found.bytes)?;
        let Some(job) = self.get_job(Some(&new.owner), id).await? else { return Ok(None) };
        match &new.idempotency {
            Some((_, digest)) if *digest != known => Err(key_reused()),
            _ => Ok(Some(job)),
        }
    }

    /// Deletes what there is of a job that was not taken in, and frees `key`. What cannot be deleted now is swept away
    /// later.
    pub(super) async fn drop_job(&self, connection: &Connection, id: JobId, key: Option<&String>) {
        let dropped = async {
            if let Some(name) = key {
                self.free_key(connection, id, name).await?;
            }
            if let Some((revision, _)) = self.record(connection, id).await? {
                connection.delete(revision).await?;
                self.shared.view().forget(id);
            }
            blobs::delete_work(connection, id).await?;
            blobs::delete_kept(connection, id).await
        };
        if let Err(error) = dropped.await {
            tracing::warn!(job.id = %id, %error, "what is left of a job that was refused is swept away later");
        }
    }

    /// Deletes the entry of an idempotency key, if it stands for the job `id`.
    pub(super) async fn free_key(&self, connection: &Connection, id: JobId, name: &str) -> Result<()> {
        match connection.read(name).await? {
            Some(found) if entry_of(&found.bytes)?.0 == id => connection.delete(found.revision).await,
            _ => Ok(()),
        }
    }

    /// For how long a blob may be there without its job.
    pub(super) fn orphan_age(&self) -> Duration {
        Duration::from_secs(self.settings.lease_seconds).saturating_mul(ORPHAN_LEASES)
    }
}

/// What the entry of an idempotency key is called.
fn key_name(owner: &Owner, key: &str) -> String {
    format!("{KEYS}.{}", digest(&format!("{} {key}", owner.as_str())))
}

/// The job of an idempotency key, and the digest of its request.
pub(super) fn entry_of(bytes: &Bytes) -> Result<(JobId, String)> {
    let text = String::from_utf8_lossy(bytes);
    let (id, digest) = text.split_once(' ').unwrap_or_default();
    let id = id.parse().map_err(|e| Error::internal("the entry of an idempotency key cannot be read", e))?;
    Ok((id, digest.to_owned()))
}
