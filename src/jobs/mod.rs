//! Work that outlives its request: recordings that are handed in, worked on in their turn, and answered later.
//!
//! A job is a pure function of its input, so running it again does no harm: whoever claims one has it under a lease, what
//! has been heard is kept piece by piece, and only the latest attempt may finish it. [`JobStore`] is where jobs are;
//! [`embedded`] keeps them on this machine, `nats` for a whole fleet. The [`worker`] works on them, [`webhook`] pushes their results.
//!
//! Not here: what jobs look like on the wire. That is said by the dialects in `api`, which hand in what they need for it
//! as [`NewJob::wire`].

pub mod embedded;
mod files;
#[cfg(feature = "nats")]
pub mod nats;
mod record;
pub mod signature;
pub mod webhook;
pub mod worker;

pub use record::{
    Able, Backlog, Claim, Delivery, DeliveryState, Failure, Input, Job, JobId, JobState, KnownVoice, Message, Moment,
    Needs, NewJob, Outcome, Owner, Page, Source, Submitted, Try, Verdict, VoicesToTell, Where, Work, now,
};

use crate::audio::decode;
use crate::config::{Config, StoreKind};
use crate::error::{Error, Kind, Result};
use crate::speech::transcribe::Heard;
use crate::telemetry;
use crate::transcript::Segment;
use embedded::Embedded;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// A job that took whoever worked on it down with it so often is not tried again.
const MOST_CRASHES: u32 = 20;

/// The code of errors that say that the jobs cannot be reached.
const JOBS_AWAY: &str = "jobs_unavailable";

/// The code of errors that say that there is no room for what belongs to a job.
const NO_ROOM: &str = "storage_full";

/// When to try again when NATS is away.
const NATS_AWAY: Duration = Duration::from_secs(5);

/// How long a look at the queue may take.
const MEASURED_WITHIN: Duration = Duration::from_secs(1);

/// The shortest and the longest time after which it makes sense to hand in a job again that there was no room for.
const ROOM_WITHIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// Where jobs are kept. All that changes a running job takes its [`Claim`] and does nothing, returning false, once the
/// job has been claimed anew or is over: of two workers only one finishes a job.
///
/// Every method may fail with `Unavailable` when the store cannot be reached or is full, and with `Internal` when it is
/// broken. Dropping a future may leave its change done or not done, never half done.
pub trait JobStore: Send + Sync {
    /// Takes a job in. When it returns, the job is kept through anything that may happen to this process.
    ///
    /// # Errors
    /// `Overloaded` when too many wait, `Unavailable` when there is no room for the input, `InvalidRequest` when the
    /// idempotency key has been used for something else.
    fn submit(&self, new: NewJob, now: Moment) -> BoxFuture<'_, Result<Submitted>>;

    /// The job with this id, if it belongs to `owner`; whoever's it is when there is none.
    fn get<'a>(&'a self, owner: Option<&'a Owner>, id: JobId) -> BoxFuture<'a, Result<Option<Job>>>;

    /// The jobs of `owner`, the newest first.
    fn list<'a>(&'a self, owner: &'a Owner, page: Page) -> BoxFuture<'a, Result<Vec<Job>>>;

    /// How many jobs wait in front of a job that waits; `None` for one that does not.
    fn position(&self, id: JobId) -> BoxFuture<'_, Result<Option<u64>>>;

    /// Ends a job of `owner` that is not over yet, and returns it as it then is.
    fn cancel<'a>(&'a self, owner: &'a Owner, id: JobId, now: Moment) -> BoxFuture<'a, Result<Option<Job>>>;

    /// How long the queue is, and how fast it moves.
    fn backlog(&self, now: Moment) -> BoxFuture<'_, Result<Backlog>>;

    /// Takes the next job that is due, for `lease`: one that waits, or one whose lease has run out. A store that many
    /// servers share hands out only what `able` can do; that of one server hands out all, so that what nobody can do fails.
    fn claim<'a>(&'a self, able: Able<'a>, lease: Duration, now: Moment)
    -> BoxFuture<'a, Result<Option<(Claim, Job)>>>;

    /// Completes when there may be something to claim that was not there before.
    fn work_arrived<'a>(&'a self, able: Able<'a>) -> BoxFuture<'a, ()>;

    /// Completes when another process has ended a job that is claimed, or has claimed it anew, as soon as that is known.
    fn taken_away(&self, claim: Claim) -> BoxFuture<'_, ()>;

    /// Holds a claim for `lease` from now on.
    fn renew(&self, claim: Claim, lease: Duration, now: Moment) -> BoxFuture<'_, Result<bool>>;

    /// Puts a job back as if it had not been claimed, to be worked on from `due` on.
    fn give_back(&self, claim: Claim, due: Moment, now: Moment) -> BoxFuture<'_, Result<bool>>;

    /// Puts a job back after a fault, to be tried again at `due`.
    fn retry(&self, claim: Claim, due: Moment, now: Moment) -> BoxFuture<'_, Result<bool>>;

    /// Ends a job. Its input and its notes are deleted.
    fn finish(&self, claim: Claim, verdict: Verdict, now: Moment) -> BoxFuture<'_, Result<bool>>;

    /// The recording; `None` when it has not been stored yet.
    fn input(&self, id: JobId) -> BoxFuture<'_, Result<Option<Box<dyn decode::Source>>>>;

    /// Stores the recording of a job that came without one.
    fn put_input(&self, claim: Claim, input: Input) -> BoxFuture<'_, Result<()>>;

    /// What has been heard so far, by channel and number of the piece.
    fn heard(&self, id: JobId) -> BoxFuture<'_, Result<HashMap<Where, Heard>>>;

    /// Keeps what has been heard in a piece.
    fn keep<'a>(&'a self, claim: Claim, place: Where, heard: &'a Heard) -> BoxFuture<'a, Result<()>>;

    /// Adds to what can be read of a job before it is over. `from` is the number of segments before these: those that
    /// are there already, from an earlier attempt, are not added twice.
    fn say<'a>(
        &'a self,
        claim: Claim,
        from: usize,
        segments: &'a [Segment],
        progress: f32,
    ) -> BoxFuture<'a, Result<()>>;

    /// What can be read of a job before it is over.
    fn said(&self, id: JobId) -> BoxFuture<'_, Result<Vec<Segment>>>;

    /// The result of a completed job; `None` when there is none, or none any more.
    fn outcome(&self, id: JobId) -> BoxFuture<'_, Result<Option<Outcome>>>;

    /// Takes up to `count` deliveries that are due. They are due again after `lease` unless [`JobStore::tried`] says
    /// what became of them.
    fn claim_deliveries(&self, count: usize, lease: Duration, now: Moment) -> BoxFuture<'_, Result<Vec<Job>>>;

    /// Completes when there may be something to deliver that was not there before.
    fn delivery_due(&self) -> BoxFuture<'_, ()>;

    /// Records a delivery: what happened, what that makes of it, and when it is due again.
    fn tried(&self, id: JobId, tried: Try, state: DeliveryState, due: Moment) -> BoxFuture<'_, Result<()>>;

    /// Makes the delivery of a job of `owner` that is over due once more; false when it has none.
    fn redeliver<'a>(&'a self, owner: &'a Owner, id: JobId, now: Moment) -> BoxFuture<'a, Result<bool>>;

    /// The secret that deliveries to `owner` are signed with: the one that is kept, or from now on `fresh`, which also
    /// replaces the one that is kept if `replace` says so.
    fn secret<'a>(&'a self, owner: &'a Owner, fresh: String, replace: bool) -> BoxFuture<'a, Result<String>>;

    /// The key that links are signed with: the same for all who share the jobs. `None` until they have been reached.
    fn link_key(&self) -> Option<Arc<[u8]>>;

    /// Completes when the jobs have been reached for the first time; fails as everything does when that takes long.
    fn reach(&self) -> BoxFuture<'_, Result<()>>;

    /// Whether the jobs can be reached just now.
    fn is_reachable(&self) -> bool;

    /// Deletes all jobs that were over before `before`, with everything that belongs to them, and returns how many.
    /// One whose result is still to be delivered stays.
    fn sweep(&self, before: Moment) -> BoxFuture<'_, Result<usize>>;
}

/// The jobs of this server. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Jobs {
    store: Arc<dyn JobStore>,
    config: Arc<Config>,
    /// What stops a job that runs here.
    running: Arc<Mutex<HashMap<JobId, oneshot::Sender<()>>>>,
}

impl Jobs {
    /// Opens the jobs that `config` says where to find.
    ///
    /// # Errors
    /// `Unavailable` when another server has them, when they cannot be read, or when this build lacks the store.
    pub fn open(config: Arc<Config>) -> Result<Self> {
        let folder = config.jobs_dir();
        let store: Arc<dyn JobStore> = match config.jobs.store {
            StoreKind::Embedded => Arc::new(Embedded::open(&folder, &config.jobs, now())?),
            #[cfg(feature = "nats")]
            StoreKind::Nats => Arc::new(nats::Nats::open(&folder, &config.jobs, config.server.role)?),
            #[cfg(not(feature = "nats"))]
            StoreKind::Nats => {
                let message = "This build cannot keep jobs in NATS (jobs.store): it lacks the feature `nats`.";
                return Err(Error::new(Kind::Unavailable, message));
            }
        };
        Ok(Self { store, config, running: Arc::default() })
    }

    /// Where they are kept.
    pub fn store(&self) -> &dyn JobStore {
        &*self.store
    }

    /// The job with this id.
    ///
    /// # Errors
    /// `NotFound` when there is none that belongs to `owner`.
    pub async fn get(&self, owner: &Owner, id: JobId) -> Result<Job> {
        self.store.get(Some(owner), id).await?.ok_or_else(no_such_job)
    }

    /// Ends a job, whatever becomes of it, and stops the engine at once if it is being worked on here. One that is over
    /// stays as it is.
    ///
    /// # Errors
    /// `NotFound` when there is none that belongs to `owner`.
    pub async fn cancel(&self, owner: &Owner, id: JobId) -> Result<Job> {
        let at = now();
        let job = self.store.cancel(owner, id, at).await?.ok_or_else(no_such_job)?;
        if job.state == JobState::Cancelled && job.finished == Some(at) {
            telemetry::job_finished("cancelled", Duration::ZERO);
        }
        if job.state == JobState::Cancelled
            && let Some(stop) = self.lock_running().remove(&id)
        {
            // It may have come to its end meanwhile.
            let _ = stop.send(());
        }
        Ok(job)
    }

    /// Brings the metrics of the queue up to date, if the store answers soon.
    pub async fn measure(&self) {
        let now = now();
        if let Ok(Ok(backlog)) = tokio::time::timeout(MEASURED_WITHIN, self.store.backlog(now)).await {
            let age = backlog.oldest.map(|oldest| Duration::from_millis(now.0.saturating_sub(oldest.0)));
            telemetry::backlog(backlog.waiting, backlog.running, age.unwrap_or_default());
        }
    }

    /// The secret that `owner` verifies deliveries with.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn secret(&self, owner: &Owner) -> Result<String> {
        self.store.secret(owner, signature::new_secret()?, false).await
    }

    /// A new secret; the old one is of no use any more.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn rotate_secret(&self, owner: &Owner) -> Result<String> {
        self.store.secret(owner, signature::new_secret()?, true).await
    }

    /// The key of short-lived tokens: the same for all who share the jobs.
    ///
    /// # Errors
    /// `Unavailable` when the jobs cannot be reached for the first time.
    pub async fn token_key(&self) -> Result<Arc<[u8]>> {
        if self.store.link_key().is_none() {
            self.store.reach().await?;
        }
        let key = self.store.link_key().ok_or_else(away)?;
        Ok(signature::derive(&key, "tokens"))
    }

    /// The signature of a link to `name` of a job that can be used until `expires`, in seconds since 1970.
    pub fn sign_link(&self, id: JobId, name: &str, expires: u64) -> String {
        // Whoever knows of a job has reached the store, so the key is there.
        let key = self.store.link_key();
        key.map(|key| signature::sign_link(&key, &format!("{id}/{name}/{expires}"))).unwrap_or_default()
    }

    /// Whether `signature` is that of a link that can be used now.
    ///
    /// # Errors
    /// `Unavailable` when the key is not known yet.
    pub async fn is_good_link(&self, id: JobId, name: &str, expires: u64, signature: &str) -> Result<bool> {
        self.store.reach().await?;
        let content = format!("{id}/{name}/{expires}");
        let is_signed = |key: Arc<[u8]>| signature::is_good_link(&key, &content, signature);
        Ok(expires > now().as_secs() && self.store.link_key().is_some_and(is_signed))
    }

    fn lock_running(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, oneshot::Sender<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps the jobs has not answered since this process began.
fn away() -> Error {
    let message = "The jobs cannot be reached yet: try again soon.";
    Error::new(Kind::Unavailable, message).with_code(JOBS_AWAY).with_retry_after(NATS_AWAY)
}

/// As many jobs wait as may: when there will be room again.
fn queue_full(backlog: &Backlog) -> Error {
    let (shortest, longest) = ROOM_WITHIN;
    let (wait, estimate) = match backlog.wait() {
        Some(wait) => (wait, format!("at the rate of the last minutes they take about {} s", wait.as_secs().max(1))),
        None => (longest / 20, "none was finished in the last minutes".to_owned()),
    };
    let waiting = backlog.waiting;
    let message = format!("{waiting} jobs wait already, which is as many as may (jobs.queue); {estimate}.");
    Error::new(Kind::Overloaded, message).with_retry_after(wait.clamp(shortest, longest))
}

fn lost() -> Error {
    Error::new(Kind::Cancelled, "the job is no longer worked on here")
}

fn key_reused() -> Error {
    let message = "This Idempotency-Key has been used for another request.";
    Error::invalid("Idempotency-Key", message).with_code("idempotency_key_reused")
}

fn no_such_job() -> Error {
    Error::new(Kind::NotFound, "There is no such job.").with_param("id").with_code("job_not_found")
}
