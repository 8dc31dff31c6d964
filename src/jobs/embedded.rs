//! Jobs in an SQLite database on this machine, with their files beside it.
//!
//! One thread writes. What waits for it is written in one transaction and answered when that is on the disk, so many
//! requests share one wait for the disk. Readers have a connection of their own and never wait for the writer.

mod database;
mod schema;

use super::files::{Files, lock_folder, no_room};
use super::{
    Able, Backlog, Claim, DeliveryState, Failure, Input, Job, JobId, JobState, JobStore, MOST_CRASHES, Moment, NewJob,
    Outcome, Owner, Page, Submitted, Try, Verdict, Where, key_reused, lost, queue_full, signature,
};
use crate::audio::decode;
use crate::config::JobsConfig;
use crate::error::{Error, Kind, Result};
use crate::speech::transcribe::Heard;
use crate::transcript::Segment;
use database::Database;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long to wait at the most before looking for work, whatever else happens.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Jobs on this machine.
pub struct Embedded {
    database: Database,
    files: Files,
    /// Jobs that may wait.
    queue: u64,
    work: Notify,
    deliveries: Notify,
    link_key: Arc<[u8]>,
    /// Held while this process uses the folder.
    _lock: File,
}

impl Embedded {
    /// Opens the jobs in `folder`. Those that an earlier process was working on wait again, and nothing is left of what
    /// it had begun to write.
    ///
    /// # Errors
    /// `Unavailable` when another process uses the folder or it cannot be used; `Internal` when the database is broken.
    pub fn open(folder: &Path, config: &JobsConfig, now: Moment) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(no_room)?;
        let lock = lock_folder(folder)?;
        let files = Files::open(folder, config.disk_bytes)?;
        let database = Database::open(&folder.join("jobs.db"), |connection| {
            schema::create(connection)?;
            put_back(connection, now)
        })?;
        let known = database.read_now(known)?;
        files
            .clean(|id, is_result| known.get(&id).is_some_and(|state| (*state == JobState::Completed) == is_result))?;
        let (work, deliveries) = (Notify::new(), Notify::new());
        let link_key = signature::key_in(&folder.join("link.key"))?.into();
        Ok(Self { database, files, queue: config.queue, work, deliveries, link_key, _lock: lock })
    }

    /// Runs `work` where it may wait for the disk.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&Files) -> Result<T> + Send + 'static) -> Result<T> {
        let files = self.files.clone();
        let done = tokio::task::spawn_blocking(move || work(&files));
        done.await.map_err(|e| Error::internal("the files of jobs cannot be used", e))?
    }

    /// Deletes what a job needs only until it is over.
    async fn forget(&self, id: JobId) -> Result<()> {
        let delete = move |files: &Files| {
            files.delete_work(id);
            Ok(())
        };
        self.on_disk(delete).await
    }

    /// Changes a job that is claimed; false when it no longer is.
    async fn change(&self, claim: Claim, sql: &'static str, values: [i64; 2]) -> Result<bool> {
        let id = claim.id.to_string();
        let change = move |connection: &Connection| {
            let [one, other] = values;
            connection.prepare_cached(sql)?.execute(params![id, claim.attempt, one, other])
        };
        Ok(self.database.write(change).await? == 1)
    }

    /// Fails when a claim no longer holds.
    async fn holds(&self, claim: Claim) -> Result<()> {
        let id = claim.id.to_string();
        let held = move |connection: &Connection| {
            let sql = "SELECT 1 FROM jobs WHERE id = ?1 AND attempt = ?2 AND state = 1";
            connection.prepare_cached(sql)?.exists(params![id, claim.attempt])
        };
        match self.database.read(held).await? {
            true => Ok(()),
            false => Err(lost()),
        }
    }

    async fn take_in(&self, new: NewJob, now: Moment) -> Result<Submitted> {
        if let Some(job) = self.earlier(&new).await? {
            return Ok(Submitted { job, is_new: false });
        }
        self.check_queue(now).await?;
        let (id, mut new) = (JobId::new(), new);
        if let Some(input) = new.input.take() {
            self.on_disk(move |files| files.put_input(id, input)).await?;
        }
        let row = schema::Row::new(id, &new, now)?;
        match self.database.write(move |connection| row.insert(connection)).await {
            Ok(()) => {}
            Err(error) => {
                self.forget(id).await?;
                // Two requests with one key may have come at once; the first of them made the job.
                let job = self.earlier(&new).await?.ok_or(error)?;
                return Ok(Submitted { job, is_new: false });
            }
        }
        self.work.notify_waiters();
        let job = self.get(Some(&new.owner), id).await?;
        let job = job.ok_or_else(|| Error::new(Kind::Internal, "the job is gone before it was answered"))?;
        Ok(Submitted { job, is_new: true })
    }

    /// The job that an earlier request with the same idempotency key made.
    async fn earlier(&self, new: &NewJob) -> Result<Option<Job>> {
        let Some((key, digest)) = new.idempotency.clone() else { return Ok(None) };
        let owner = new.owner.as_str().to_owned();
        let found = self.database.read(move |connection| schema::by_key(connection, &owner, &key)).await?;
        match found {
            Some((known, _)) if known != digest => Err(key_reused()),
            found => Ok(found.map(|(_, job)| job)),
        }
    }

    async fn check_queue(&self, now: Moment) -> Result<()> {
        let waiting: u64 = self.database.read(schema::waiting).await?;
        if waiting < self.queue {
            return Ok(());
        }
        Err(queue_full(&self.backlog(now).await?))
    }

    async fn end(&self, claim: Claim, verdict: Verdict, now: Moment) -> Result<bool> {
        let Claim { id, attempt } = claim;
        match self.holds(claim).await {
            Err(error) if error.kind() == Kind::Cancelled => return Ok(false),
            held => held?,
        }
        let (state, failure) = match verdict {
            Verdict::Completed(outcome) => {
                self.on_disk(move |files| files.put_result(id, attempt, &outcome)).await?;
                (JobState::Completed, None)
            }
            Verdict::Failed(failure) => (JobState::Failed, Some(failure)),
        };
        let end = move |connection: &Connection| schema::finish(connection, claim, state, failure.as_ref(), now);
        let is_mine = self.database.write(end).await?;
        self.on_disk(move |files| {
            match is_mine {
                true => files.delete_work(id),
                false => files.delete_result(id, attempt),
            }
            Ok(())
        })
        .await?;
        self.deliveries.notify_waiters();
        Ok(is_mine)
    }

    async fn call_off(&self, owner: &Owner, id: JobId, now: Moment) -> Result<Option<Job>> {
        let (key, name) = (id.to_string(), owner.as_str().to_owned());
        let cancel = move |connection: &Connection| schema::cancel(connection, &key, &name, now);
        if self.database.write(cancel).await? {
            self.forget(id).await?;
            self.deliveries.notify_waiters();
        }
        self.get(Some(owner), id).await
    }

    /// Completes at a notification, or when the time comes that `due` finds.
    async fn wait(&self, notify: &Notify, due: fn(&Connection) -> rusqlite::Result<Option<u64>>) {
        let notified = notify.notified();
        tokio::pin!(notified);
        notified.as_mut().enable(); // before looking, so that nothing is missed
        let due = self.database.read(due).await.ok().flatten();
        let until = due.map(|due| Duration::from_millis(due.saturating_sub(super::now().0)));
        let _ = tokio::time::timeout(until.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN), notified).await;
    }
}

/// Jobs that an earlier process was working on wait again, unless they are what took it down.
fn put_back(connection: &Connection, now: Moment) -> rusqlite::Result<()> {
    connection.execute("UPDATE jobs SET crashes = crashes + 1 WHERE state = 1", [])?;
    let lost = "UPDATE jobs SET state = 3, finished = ?1, updated = ?1, error = ?2, \
                hook_state = iif(hook_state = 0, 1, hook_state), hook_next = ?1, hook_since = ?1 \
                WHERE state = 1 AND crashes >= ?3";
    let error = serde_json::to_string(&Failure::of_crashes()).ok();
    connection.execute(lost, params![now.0, error, MOST_CRASHES])?;
    connection.execute("UPDATE jobs SET state = 0, run_at = ?1 WHERE state = 1", params![now.0])?;
    // Deliveries that were under way are due at once.
    connection.execute("UPDATE jobs SET hook_next = ?1 WHERE hook_state = 1 AND hook_claimed = 1", params![now.0])?;
    Ok(())
}

/// All jobs that are known, with their states.
fn known(connection: &Connection) -> rusqlite::Result<HashMap<JobId, JobState>> {
    let mut statement = connection.prepare("SELECT id, state FROM jobs")?;
    let rows = statement.query_map([], |row| Ok((schema::id_of(row.get(0)?)?, schema::state_of(row.get(1)?)?)))?;
    rows.filter(|row| !matches!(row, Ok((_, JobState::Failed | JobState::Cancelled)))).collect()
}

impl JobStore for Embedded {
    fn submit(&self, new: NewJob, now: Moment) -> BoxFuture<'_, Result<Submitted>> {
        self.take_in(new, now).boxed()
    }

    fn get<'a>(&'a self, owner: Option<&'a Owner>, id: JobId) -> BoxFuture<'a, Result<Option<Job>>> {
        let (id, owner) = (id.to_string(), owner.map(|owner| owner.as_str().to_owned()));
        self.database.read(move |connection| schema::one(connection, &id, owner.as_deref())).boxed()
    }

    fn list<'a>(&'a self, owner: &'a Owner, page: Page) -> BoxFuture<'a, Result<Vec<Job>>> {
        let owner = owner.as_str().to_owned();
        self.database.read(move |connection| schema::list(connection, &owner, page)).boxed()
    }

    fn position(&self, id: JobId) -> BoxFuture<'_, Result<Option<u64>>> {
        self.database.read(move |connection| schema::position(connection, &id.to_string())).boxed()
    }

    fn cancel<'a>(&'a self, owner: &'a Owner, id: JobId, now: Moment) -> BoxFuture<'a, Result<Option<Job>>> {
        self.call_off(owner, id, now).boxed()
    }

    fn backlog(&self, now: Moment) -> BoxFuture<'_, Result<Backlog>> {
        self.database.read(move |connection| schema::backlog(connection, Backlog::begin(now))).boxed()
    }

    fn claim<'a>(
        &'a self,
        _able: Able<'a>,
        lease: Duration,
        now: Moment,
    ) -> BoxFuture<'a, Result<Option<(Claim, Job)>>> {
        async move {
            let claim = move |connection: &Connection| schema::claim(connection, now, now.plus(lease));
            let job = self.database.write(claim).await?;
            Ok(job.map(|job| (Claim { id: job.id, attempt: job.attempt }, job)))
        }
        .boxed()
    }

    fn work_arrived<'a>(&'a self, _able: Able<'a>) -> BoxFuture<'a, ()> {
        self.wait(&self.work, schema::next_work).boxed()
    }

    /// Only this process has the jobs, and it knows what it does to them.
    fn taken_away(&self, _claim: Claim) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }

    fn renew(&self, claim: Claim, lease: Duration, now: Moment) -> BoxFuture<'_, Result<bool>> {
        let sql = "UPDATE jobs SET lease_until = ?3, updated = max(updated, ?4) \
                   WHERE id = ?1 AND attempt = ?2 AND state = 1";
        self.change(claim, sql, [now.plus(lease).0 as i64, now.0 as i64]).boxed()
    }

    fn give_back(&self, claim: Claim, due: Moment, now: Moment) -> BoxFuture<'_, Result<bool>> {
        let sql = "UPDATE jobs SET state = 0, run_at = ?3, updated = ?4 WHERE id = ?1 AND attempt = ?2 AND state = 1";
        self.change(claim, sql, [due.0 as i64, now.0 as i64]).boxed()
    }

    fn retry(&self, claim: Claim, due: Moment, now: Moment) -> BoxFuture<'_, Result<bool>> {
        let sql = "UPDATE jobs SET state = 0, failures = failures + 1, run_at = ?3, updated = ?4 \
                   WHERE id = ?1 AND attempt = ?2 AND state = 1";
        self.change(claim, sql, [due.0 as i64, now.0 as i64]).boxed()
    }

    fn finish(&self, claim: Claim, verdict: Verdict, now: Moment) -> BoxFuture<'_, Result<bool>> {
        self.end(claim, verdict, now).boxed()
    }

    fn input(&self, id: JobId) -> BoxFuture<'_, Result<Option<Box<dyn decode::Source>>>> {
        async move {
            let file = self.on_disk(move |files| files.input(id)).await?;
            Ok(file.map(|file| Box::new(BufReader::with_capacity(1 << 16, file)) as Box<dyn decode::Source>))
        }
        .boxed()
    }

    fn put_input(&self, claim: Claim, input: Input) -> BoxFuture<'_, Result<()>> {
        async move {
            self.holds(claim).await?;
            self.on_disk(move |files| files.put_input(claim.id, input)).await
        }
        .boxed()
    }

    fn heard(&self, id: JobId) -> BoxFuture<'_, Result<HashMap<Where, Heard>>> {
        self.on_disk(move |files| files.heard(id)).boxed()
    }

    fn keep<'a>(&'a self, claim: Claim, place: Where, heard: &'a Heard) -> BoxFuture<'a, Result<()>> {
        let heard = heard.clone();
        async move {
            self.holds(claim).await?;
            self.on_disk(move |files| files.keep(claim.id, place, &heard)).await
        }
        .boxed()
    }

    fn say<'a>(
        &'a self,
        claim: Claim,
        from: usize,
        segments: &'a [Segment],
        progress: f32,
    ) -> BoxFuture<'a, Result<()>> {
        let segments = segments.to_vec();
        async move {
            let sql = "UPDATE jobs SET progress = max(progress, ?3), updated = max(updated, ?4) \
                       WHERE id = ?1 AND attempt = ?2 AND state = 1";
            let thousandths = (progress * schema::PROGRESS) as i64;
            if !self.change(claim, sql, [thousandths, super::now().0 as i64]).await? {
                return Err(lost());
            }
            self.on_disk(move |files| files.say(claim.id, from, &segments)).await
        }
        .boxed()
    }

    fn said(&self, id: JobId) -> BoxFuture<'_, Result<Vec<Segment>>> {
        self.on_disk(move |files| files.said(id)).boxed()
    }

    fn outcome(&self, id: JobId) -> BoxFuture<'_, Result<Option<Outcome>>> {
        async move {
            let attempt = move |connection: &Connection| {
                let sql = "SELECT attempt FROM jobs WHERE id = ?1 AND state = 2";
                connection.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get::<_, u32>(0)).optional()
            };
            let Some(attempt) = self.database.read(attempt).await? else { return Ok(None) };
            self.on_disk(move |files| files.outcome(id, attempt)).await
        }
        .boxed()
    }

    fn claim_deliveries(&self, count: usize, lease: Duration, now: Moment) -> BoxFuture<'_, Result<Vec<Job>>> {
        let claim = move |connection: &Connection| schema::claim_deliveries(connection, count, now, now.plus(lease));
        self.database.write(claim).boxed()
    }

    fn delivery_due(&self) -> BoxFuture<'_, ()> {
        self.wait(&self.deliveries, schema::next_delivery).boxed()
    }

    fn tried(&self, id: JobId, tried: Try, state: DeliveryState, due: Moment) -> BoxFuture<'_, Result<()>> {
        self.database.write(move |connection| schema::tried(connection, id, tried, state, due)).boxed()
    }

    fn redeliver<'a>(&'a self, owner: &'a Owner, id: JobId, now: Moment) -> BoxFuture<'a, Result<bool>> {
        let owner = owner.as_str().to_owned();
        async move {
            let again = move |connection: &Connection| {
                let sql = "UPDATE jobs SET hook_state = 1, hook_next = ?3, hook_since = ?3, updated = ?3 \
                           WHERE id = ?1 AND owner = ?2 AND hook IS NOT NULL AND finished IS NOT NULL";
                connection.prepare_cached(sql)?.execute(params![id.to_string(), owner, now.0])
            };
            let found = self.database.write(again).await? == 1;
            self.deliveries.notify_waiters();
            Ok(found)
        }
        .boxed()
    }

    fn secret<'a>(&'a self, owner: &'a Owner, fresh: String, replace: bool) -> BoxFuture<'a, Result<String>> {
        let owner = owner.as_str().to_owned();
        self.database.write(move |connection| schema::secret(connection, &owner, &fresh, replace)).boxed()
    }

    fn link_key(&self) -> Option<Arc<[u8]>> {
        Some(self.link_key.clone())
    }

    fn reach(&self) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn is_reachable(&self) -> bool {
        true
    }

    fn sweep(&self, before: Moment) -> BoxFuture<'_, Result<usize>> {
        async move {
            let swept = self.database.write(move |connection| schema::sweep(connection, before)).await?;
            let count = swept.len();
            self.on_disk(move |files| {
                for (id, attempt) in swept {
                    files.delete_result(id, attempt);
                    files.delete_work(id);
                }
                Ok(())
            })
            .await?;
            Ok(count)
        }
        .boxed()
    }
}
