//! Work that outlives its request: recordings that are handed in, worked on in their turn, and answered later.
//!
//! A job is a pure function of its input, so running it again does no harm: whoever claims one has it under a lease, what
//! has been heard is kept piece by piece, and only the latest attempt may finish it. [`JobStore`] is where jobs are;
//! [`embedded`] keeps them on this machine. The [`worker`] works on them, [`webhook`] pushes their results.
//!
//! Not here: what jobs look like on the wire. That is said by the dialects in `api`, which hand in what they need for it
//! as [`NewJob::wire`].

pub mod embedded;
mod files;
mod record;
pub mod signature;
pub mod webhook;
pub mod worker;

pub use record::{
    Claim, Delivery, DeliveryState, Failure, Input, Job, JobId, JobState, KnownVoice, Message, Moment, NewJob, Outcome,
    Owner, Page, Source, Submitted, Try, Verdict, VoicesToTell, Where, Work, now,
};

use crate::audio::decode;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::speech::transcribe::Heard;
use crate::transcript::Segment;
use embedded::Embedded;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a claim holds unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(60);

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

    /// Takes the next job that is due, for `lease`: one that waits, or one whose lease has run out.
    fn claim(&self, lease: Duration, now: Moment) -> BoxFuture<'_, Result<Option<(Claim, Job)>>>;

    /// Completes when there may be something to claim that was not there before.
    fn work_arrived(&self) -> BoxFuture<'_, ()>;

    /// Holds a claim for `lease` from now on.
    fn renew(&self, claim: Claim, lease: Duration, now: Moment) -> BoxFuture<'_, Result<bool>>;

    /// Puts a job back as if it had not been claimed.
    fn give_back(&self, claim: Claim, now: Moment) -> BoxFuture<'_, Result<bool>>;

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
    link_key: Arc<[u8]>,
}

impl Jobs {
    /// Opens the jobs that `config` says where to find.
    ///
    /// # Errors
    /// `Unavailable` when another server has them, or when they cannot be read.
    pub fn open(config: Arc<Config>) -> Result<Self> {
        let folder = config.jobs_dir();
        let store = Embedded::open(&folder, &config.jobs, now())?;
        let link_key = signature::key_in(&folder.join("link.key"))?.into();
        Ok(Self { store: Arc::new(store), config, running: Arc::default(), link_key })
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
        let job = self.store.cancel(owner, id, now()).await?.ok_or_else(no_such_job)?;
        if job.state == JobState::Cancelled
            && let Some(stop) = self.lock_running().remove(&id)
        {
            // It may have come to its end meanwhile.
            let _ = stop.send(());
        }
        Ok(job)
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

    /// The signature of a link to `name` of a job that can be used until `expires`, in seconds since 1970.
    pub fn sign_link(&self, id: JobId, name: &str, expires: u64) -> String {
        signature::sign_link(&self.link_key, &format!("{id}/{name}/{expires}"))
    }

    /// Whether `signature` is that of a link that can be used now.
    pub fn is_good_link(&self, id: JobId, name: &str, expires: u64, signature: &str) -> bool {
        let content = format!("{id}/{name}/{expires}");
        expires > now().as_secs() && signature::is_good_link(&self.link_key, &content, signature)
    }

    fn lock_running(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, oneshot::Sender<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_such_job() -> Error {
    Error::new(Kind::NotFound, "There is no such job.").with_param("id").with_code("job_not_found")
}
