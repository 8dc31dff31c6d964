//! Jobs in NATS JetStream, for a fleet: every server that knows the address has the same jobs.
//!
//! A job is one record, and every change to it insists on the revision that it was made from: of two that change a job at
//! once, one does and the other looks again. So leases, attempts and cancellation are what they are on one machine, and
//! there is no second queue that could disagree with the records. Each process follows all records in a `view`, which
//! says what is next; recordings, notes and results are `blobs`.
//!
//! While NATS cannot be reached, everything fails with `Unavailable` within seconds, and goes on when it is back.

mod attempt;
mod blobs;
mod connection;
mod follower;
mod record;
mod submit;
mod sweep;
mod view;

use super::files::{lock_folder, no_room};
use super::{
    Able, Backlog, Claim, DeliveryState, Input, JOBS_AWAY, Job, JobId, JobState, JobStore, Moment, NATS_AWAY, NO_ROOM,
    NewJob, Outcome, Owner, Page, Submitted, Try, Verdict, Where, away,
};
use crate::audio::decode;
use crate::config::{JobsConfig, Role};
use crate::error::{Error, Kind, Result};
use crate::speech::transcribe::Heard;
use crate::transcript::Segment;
use blobs::Fetched;
use connection::{Connection, Written};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use record::{Kept, Record};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use uuid::Uuid;
use view::View;

/// The names of records begin so.
const JOBS: &str = "j";
const KEYS: &str = "k";
const SECRETS: &str = "s";
const LINK_KEY: &str = "link-key";

/// How often a change is made anew because others changed the same record.
const MOST_CONFLICTS: usize = 100;

/// Records that are read or changed at once for one call.
const AT_ONCE: usize = 32;

/// How long to wait at the most before looking for work, whatever else happens.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long an operation waits for the first connection.
const FIRST_CONNECTION: Duration = Duration::from_secs(5);

/// The most jobs that are kept, with those that are over: every server knows them all.
const MOST_JOBS: usize = 2_000_000;

/// The jobs of a fleet.
pub struct Nats {
    shared: Arc<Shared>,
    holder: String,
    settings: JobsConfig,
    fetched: Fetched,
    /// What the attempts that are made here have written down, so that it need not be looked for.
    notes: Mutex<HashMap<Claim, Vec<String>>>,
    /// One claim at a time: those of this process would only be in each other's way.
    turn: tokio::sync::Mutex<()>,
    follower: tokio::task::JoinHandle<()>,
    /// Held while this process uses the folder.
    _lock: File,
}

/// What the follower and the store have in common.
struct Shared {
    connection: watch::Sender<Option<Arc<Connection>>>,
    /// Whether all records that were there have been seen.
    is_loaded: watch::Sender<bool>,
    view: Mutex<View>,
    work: Notify,
    deliveries: Notify,
    link_key: OnceLock<Arc<[u8]>>,
    /// Bytes that blobs take.
    used: AtomicU64,
    /// The newest revision that has been told.
    newest: AtomicU64,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, connection: Arc<Connection>) {
        self.connection.send_replace(Some(connection));
    }

    fn loaded(&self) {
        if !self.is_loaded.send_replace(true) {
            self.work.notify_waiters();
            self.deliveries.notify_waiters();
        }
    }

    /// Takes in a revision of a job, and tells those who wait for such.
    fn apply(&self, id: JobId, revision: u64, record: &Record) {
        self.view().apply(id, revision, record);
        if record.state == JobState::Waiting {
            self.work.notify_waiters();
        } else if record.delivery_due().is_some() {
            self.deliveries.notify_waiters();
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// What the record of a job is called.
fn name_of(id: JobId) -> String {
    format!("{JOBS}.{}", id.uuid().simple())
}

/// The job whose record is called so.
fn id_of(name: &str) -> Option<JobId> {
    format!("job_{}", name.strip_prefix(JOBS)?.strip_prefix('.')?).parse().ok()
}

/// There is no room.
fn full(message: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let error = Error::new(Kind::Unavailable, message).with_code(NO_ROOM);
    error.with_retry_after(Duration::from_secs(60)).with_source(source)
}

impl Nats {
    /// Joins the fleet that `config` names; uploads are put in `folder` on their way. Returns at once: who asks for jobs
    /// before NATS has answered waits for that a little. Must be called within the async runtime.
    ///
    /// # Errors
    /// `Unavailable` when another process uses the folder or it cannot be used.
    pub fn open(folder: &Path, config: &JobsConfig, role: Role) -> Result<Self> {
        let incoming = folder.join("incoming");
        fs::create_dir_all(folder).map_err(no_room)?;
        let lock = lock_folder(folder)?;
        // What an earlier process left there belongs to nobody.
        let emptied = if incoming.exists() { fs::remove_dir_all(&incoming) } else { Ok(()) };
        emptied.and_then(|()| fs::create_dir_all(&incoming)).map_err(no_room)?;
        let shared = Arc::new(Shared {
            connection: watch::channel(None).0,
            is_loaded: watch::channel(false).0,
            view: Mutex::new(View::new(role == Role::Worker)),
            work: Notify::new(),
            deliveries: Notify::new(),
            link_key: OnceLock::new(),
            used: AtomicU64::new(0),
            newest: AtomicU64::new(0),
        });
        let follower = tokio::spawn(follower::follow(shared.clone(), config.clone()));
        let (holder, fetched) = (Uuid::now_v7().simple().to_string(), Fetched::new(&incoming));
        let (settings, turn, notes) = (config.clone(), tokio::sync::Mutex::default(), Mutex::default());
        Ok(Self { shared, holder, settings, fetched, notes, turn, follower, _lock: lock })
    }

    /// The connection, once there is one and all jobs are known.
    async fn connection(&self) -> Result<Arc<Connection>> {
        let mut loaded = self.shared.is_loaded.subscribe();
        let wait = tokio::time::timeout(FIRST_CONNECTION, loaded.wait_for(|loaded| *loaded));
        let is_loaded = wait.await.is_ok_and(|loaded| loaded.is_ok());
        let connection = self.shared.connection.borrow().clone();
        connection.filter(|_| is_loaded).ok_or_else(away)
    }

    /// The record of a job as it is now.
    async fn record(&self, connection: &Connection, id: JobId) -> Result<Option<(u64, Record)>> {
        let Some(found) = connection.read(&name_of(id)).await? else {
            self.shared.view().forget(id);
            return Ok(None);
        };
        let record = Record::parse(&found.bytes)?;
        self.shared.apply(id, found.revision, &record);
        Ok(Some((found.revision, record)))
    }

    /// Changes a job as `change` says, which returns `None` to leave it. Made again when somebody else was first.
    async fn change<T: Send>(
        &self,
        id: JobId,
        mut change: impl FnMut(&mut Record) -> Option<T> + Send,
    ) -> Result<Option<(T, Record)>> {
        let (connection, name) = (self.connection().await?, name_of(id));
        let mut written: Option<(T, Vec<u8>)> = None;
        for _ in 0..MOST_CONFLICTS {
            let Some(found) = connection.read(&name).await? else {
                self.shared.view().forget(id);
                return Ok(None);
            };
            let mut record = Record::parse(&found.bytes)?;
            self.shared.apply(id, found.revision, &record);
            // The answer to an earlier round may have been lost, though it was done.
            if let Some((value, bytes)) = written.take()
                && bytes == *found.bytes
            {
                return Ok(Some((value, record)));
            }
            let Some(value) = change(&mut record) else { return Ok(None) };
            let bytes = record.to_bytes()?;
            match self.replace(&connection, &name, &bytes, found.revision).await? {
                Written::Done(revision) => {
                    self.shared.apply(id, revision, &record);
                    return Ok(Some((value, record)));
                }
                Written::Conflict => written = Some((value, bytes)),
            }
        }
        Err(Error::new(Kind::Overloaded, "Too many change this job at once: try again.").with_retry_after(NATS_AWAY))
    }

    /// Replaces a revision of a record; asks once more when there is no answer, which can do no harm.
    async fn replace(&self, connection: &Connection, name: &str, bytes: &[u8], revision: u64) -> Result<Written> {
        match connection.write(name, bytes.to_vec(), revision).await {
            Err(error) if error.code() == Some(JOBS_AWAY) => connection.write(name, bytes.to_vec(), revision).await,
            written => written,
        }
    }

    /// Whether a change was made.
    async fn changed(&self, id: JobId, change: impl FnMut(&mut Record) -> Option<()> + Send) -> Result<bool> {
        Ok(self.change(id, change).await?.is_some())
    }

    /// The job of a record.
    async fn job(&self, connection: &Connection, id: JobId, mut record: Record) -> Result<Job> {
        let order = match std::mem::replace(&mut record.order, Kept::Here(Value::Null)) {
            Kept::Here(order) => order,
            Kept::Blob(blob) => {
                let bytes = blobs::get(connection, id, false, &blob).await?;
                serde_json::from_slice(&bytes).map_err(|e| Error::internal("a stored job cannot be read", e))?
            }
        };
        record.job(id, order)
    }

    async fn get_job(&self, owner: Option<&Owner>, id: JobId) -> Result<Option<Job>> {
        let connection = self.connection().await?;
        match self.record(&connection, id).await? {
            Some((_, record)) if owner.is_none_or(|owner| owner.as_str() == record.owner) => {
                self.job(&connection, id, record).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn jobs_of(&self, ids: Vec<JobId>) -> Result<Vec<Job>> {
        let jobs = stream::iter(ids).map(|id| self.get_job(None, id)).buffered(AT_ONCE);
        jobs.try_filter_map(|job| async { Ok(job) }).try_collect().await
    }

    async fn take_deliveries(&self, count: usize, lease: Duration, now: Moment) -> Result<Vec<Job>> {
        let connection = self.connection().await?;
        let due = self.shared.view().deliveries(count, now);
        let take = |id| {
            let connection = connection.clone();
            async move {
                let taken = self.change(id, |record| {
                    let hook = record.hook.as_mut().filter(|hook| hook.state == DeliveryState::Due)?;
                    record.holder = self.holder.clone();
                    (hook.next <= now).then(|| hook.next = now.plus(lease))
                });
                match taken.await? {
                    Some(((), record)) => self.job(&connection, id, record).await.map(Some),
                    None => Ok(None),
                }
            }
        };
        let jobs = stream::iter(due).map(take).buffered(AT_ONCE);
        jobs.try_filter_map(|job| async { Ok(job) }).try_collect().await
    }

    async fn keep_secret(&self, owner: &Owner, fresh: String, replace: bool) -> Result<String> {
        let (connection, name) = (self.connection().await?, format!("{SECRETS}.{}", digest(owner.as_str())));
        for _ in 0..MOST_CONFLICTS {
            let revision = match connection.read(&name).await? {
                Some(found) if !replace => return Ok(String::from_utf8_lossy(&found.bytes).into_owned()),
                found => found.map_or(0, |found| found.revision),
            };
            if let Written::Done(_) = self.replace(&connection, &name, fresh.as_bytes(), revision).await? {
                return Ok(fresh);
            }
        }
        Err(Error::new(Kind::Overloaded, "Too many change this secret at once.").with_retry_after(NATS_AWAY))
    }

    /// Completes at a notification, or when the time comes that `due` finds.
    async fn wait(&self, notify: &Notify, due: impl Fn(&View) -> Option<Moment>) {
        let notified = notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable(); // before looking, so that nothing is missed
        let due = due(&self.shared.view());
        let until = due.map(|due| Duration::from_millis(due.0.saturating_sub(super::now().0)));
        let _ = tokio::time::timeout(until.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN), notified).await;
    }

    async fn until_taken_away(&self, claim: Claim) {
        let watching = Watching { shared: &self.shared, id: claim.id, changed: self.shared.view().watch(claim.id) };
        while self.shared.view().runs_as(claim.id, claim.attempt) {
            watching.changed.notified().await;
        }
    }
}

/// Somebody who is told when a job changes, until this is dropped.
struct Watching<'a> {
    shared: &'a Shared,
    id: JobId,
    changed: Arc<Notify>,
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.shared.view().unwatch(self.id, &self.changed);
    }
}

fn digest(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

impl JobStore for Nats {
    fn submit(&self, new: NewJob, now: Moment) -> BoxFuture<'_, Result<Submitted>> {
        self.take_in(new, now).boxed()
    }

    fn get<'a>(&'a self, owner: Option<&'a Owner>, id: JobId) -> BoxFuture<'a, Result<Option<Job>>> {
        self.get_job(owner, id).boxed()
    }

    fn list<'a>(&'a self, owner: &'a Owner, page: Page) -> BoxFuture<'a, Result<Vec<Job>>> {
        async move {
            self.connection().await?;
            let ids = self.shared.view().list(owner.as_str(), page);
            self.jobs_of(ids).await
        }
        .boxed()
    }

    fn position(&self, id: JobId) -> BoxFuture<'_, Result<Option<u64>>> {
        async move {
            self.connection().await?;
            Ok(self.shared.view().position(id))
        }
        .boxed()
    }

    fn backlog(&self, now: Moment) -> BoxFuture<'_, Result<Backlog>> {
        async move {
            self.connection().await?;
            Ok(self.shared.view().backlog(Backlog::begin(now)))
        }
        .boxed()
    }

    fn cancel<'a>(&'a self, owner: &'a Owner, id: JobId, now: Moment) -> BoxFuture<'a, Result<Option<Job>>> {
        self.call_off(owner, id, now).boxed()
    }

    fn claim<'a>(
        &'a self,
        able: Able<'a>,
        lease: Duration,
        now: Moment,
    ) -> BoxFuture<'a, Result<Option<(Claim, Job)>>> {
        self.claim_next(able, lease, now).boxed()
    }

    fn work_arrived<'a>(&'a self, able: Able<'a>) -> BoxFuture<'a, ()> {
        self.wait(&self.shared.work, move |view| view.next_due(able)).boxed()
    }

    fn taken_away(&self, claim: Claim) -> BoxFuture<'_, ()> {
        self.until_taken_away(claim).boxed()
    }

    fn renew(&self, claim: Claim, lease: Duration, now: Moment) -> BoxFuture<'_, Result<bool>> {
        let renew = move |record: &mut Record| {
            record.is_held_by(claim).then(|| {
                (record.lease_until, record.updated) = (now.plus(lease), record.updated.max(now));
            })
        };
        self.changed(claim.id, renew).boxed()
    }

    fn give_back(&self, claim: Claim, due: Moment, now: Moment) -> BoxFuture<'_, Result<bool>> {
        let give_back = move |record: &mut Record| record.is_held_by(claim).then(|| record.put_back(due, now));
        self.changed(claim.id, give_back).boxed()
    }

    fn retry(&self, claim: Claim, due: Moment, now: Moment) -> BoxFuture<'_, Result<bool>> {
        let retry = move |record: &mut Record| {
            record.is_held_by(claim).then(|| {
                record.failures += 1;
                record.put_back(due, now);
            })
        };
        self.changed(claim.id, retry).boxed()
    }

    fn finish(&self, claim: Claim, verdict: Verdict, now: Moment) -> BoxFuture<'_, Result<bool>> {
        self.end(claim, verdict, now).boxed()
    }

    fn input(&self, id: JobId) -> BoxFuture<'_, Result<Option<Box<dyn decode::Source>>>> {
        self.recording(id).boxed()
    }

    fn put_input(&self, claim: Claim, input: Input) -> BoxFuture<'_, Result<()>> {
        self.store_input(claim, input).boxed()
    }

    fn heard(&self, id: JobId) -> BoxFuture<'_, Result<HashMap<Where, Heard>>> {
        self.notes(id).boxed()
    }

    fn keep<'a>(&'a self, claim: Claim, place: Where, heard: &'a Heard) -> BoxFuture<'a, Result<()>> {
        self.keep_note(claim, place, heard.clone()).boxed()
    }

    fn say<'a>(
        &'a self,
        claim: Claim,
        from: usize,
        segments: &'a [Segment],
        progress: f32,
    ) -> BoxFuture<'a, Result<()>> {
        self.add(claim, from, segments.to_vec(), progress).boxed()
    }

    fn said(&self, id: JobId) -> BoxFuture<'_, Result<Vec<Segment>>> {
        self.readable(id).boxed()
    }

    fn outcome(&self, id: JobId) -> BoxFuture<'_, Result<Option<Outcome>>> {
        self.result(id).boxed()
    }

    fn claim_deliveries(&self, count: usize, lease: Duration, now: Moment) -> BoxFuture<'_, Result<Vec<Job>>> {
        self.take_deliveries(count, lease, now).boxed()
    }

    fn delivery_due(&self) -> BoxFuture<'_, ()> {
        self.wait(&self.shared.deliveries, View::next_delivery).boxed()
    }

    fn tried(&self, id: JobId, tried: Try, state: DeliveryState, due: Moment) -> BoxFuture<'_, Result<()>> {
        async move {
            let note = |record: &mut Record| {
                record.tried(tried.clone(), state, due);
                Some(())
            };
            self.changed(id, note).await.map(drop)
        }
        .boxed()
    }

    fn redeliver<'a>(&'a self, owner: &'a Owner, id: JobId, now: Moment) -> BoxFuture<'a, Result<bool>> {
        let again = move |record: &mut Record| {
            let may = record.owner == owner.as_str() && record.finished.is_some() && record.hook.is_some();
            may.then(|| {
                record.deliver(now);
                record.updated = now;
            })
        };
        self.changed(id, again).boxed()
    }

    fn secret<'a>(&'a self, owner: &'a Owner, fresh: String, replace: bool) -> BoxFuture<'a, Result<String>> {
        self.keep_secret(owner, fresh, replace).boxed()
    }

    fn link_key(&self) -> Option<Arc<[u8]>> {
        self.shared.link_key.get().cloned()
    }

    fn reach(&self) -> BoxFuture<'_, Result<()>> {
        async { self.connection().await.map(drop) }.boxed()
    }

    fn is_reachable(&self) -> bool {
        let connection = self.shared.connection.borrow().clone();
        *self.shared.is_loaded.borrow() && connection.is_some_and(|connection| connection.is_up())
    }

    fn sweep(&self, before: Moment) -> BoxFuture<'_, Result<usize>> {
        self.delete_old(before).boxed()
    }
}
