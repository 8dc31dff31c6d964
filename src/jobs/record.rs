//! What is known about a job.

use crate::audio::decode::raw::RawFormat;
use crate::engine::TranscribeOptions;
use crate::error::{Error, Kind, Result};
use crate::speech::chunk::EndpointerOptions;
use crate::speech::transcribe::Stages;
use crate::transcript::Transcript;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::NamedTempFile;
use uuid::Uuid;

/// The name of a job: `job_` and 32 digits that nobody can guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Uuid);

impl JobId {
    /// A name that no job has had before.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The digits alone.
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// When it was made up.
    pub fn created(self) -> Moment {
        // The first 48 bits of such a name are milliseconds.
        Moment(u64::try_from(self.0.as_u128() >> 80).unwrap_or(u64::MAX))
    }

    /// In front of all others.
    pub fn first() -> Self {
        Self(Uuid::nil())
    }

    /// Behind all others.
    pub fn last() -> Self {
        Self(Uuid::max())
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job_{}", self.0.simple())
    }
}

impl FromStr for JobId {
    type Err = Error;

    /// Reads what [`fmt::Display`] writes, and nothing else.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("job_").filter(|digits| digits.len() == 32);
        let id = digits.and_then(|digits| Uuid::try_parse(digits).ok()).map(Self);
        id.filter(|id| id.to_string() == text).ok_or_else(super::no_such_job)
    }
}

/// Whose a job is: a digest of the key it was handed in with, so that keys are not stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner(String);

impl Owner {
    /// Everyone, on a server without keys.
    pub fn everyone() -> Self {
        Self("everyone".to_owned())
    }

    /// Whoever has `key`.
    pub fn of_key(key: &str) -> Self {
        Self(format!("{:x}", Sha256::digest(format!("mynah owner {key}"))))
    }

    /// As [`Owner::as_str`] gave it.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The digest.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A point in time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    /// In whole seconds since 1970.
    pub fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Later by `duration`.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// As the system has it.
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

/// This moment.
pub fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// What is to be done with a recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Work {
    /// The model, as it was asked for.
    pub model: String,
    /// What the engine is to do.
    pub options: TranscribeOptions,
    /// Which stages take part.
    pub stages: Stages,
    /// When sound counts as speech.
    pub endpointing: EndpointerOptions,
    /// Voices to tell apart, if any are.
    pub voices: Option<VoicesToTell>,
    /// Whether every channel gets a transcript.
    pub multichannel: bool,
    /// Whether speech without text is a failure.
    pub strict: bool,
    /// What the sound is when it has no header.
    pub raw: Option<RawFormat>,
    /// Where the recording is to be fetched; `None` when it was handed in.
    pub source: Option<Source>,
}

/// What a job needs of whoever works on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Needs {
    /// The model, as it was asked for.
    pub model: String,
    /// Whether voices are told apart.
    pub voices: bool,
}

impl Needs {
    /// What `work` needs.
    pub fn of(work: &Work) -> Self {
        Self { model: work.model.clone(), voices: work.voices.is_some() }
    }
}

/// Says whether somebody has what a job needs.
pub type Able<'a> = &'a (dyn Fn(&Needs) -> bool + Send + Sync);

/// How long the queue is, and how fast it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Jobs that wait.
    pub waiting: u64,
    /// Jobs that are worked on.
    pub running: u64,
    /// When the oldest of those that wait was handed in.
    pub oldest: Option<Moment>,
    /// How many were over within [`Backlog::LATELY`].
    pub finished: u64,
}

impl Backlog {
    /// How far one looks back for how fast the queue moves.
    pub const LATELY: Duration = Duration::from_secs(300);

    /// When that begins.
    pub fn begin(now: Moment) -> Moment {
        Moment(now.0.saturating_sub(Self::LATELY.as_millis() as u64))
    }

    /// How long the jobs that wait will take together, when it goes on as it went lately; `None` when nothing did.
    pub fn wait(&self) -> Option<Duration> {
        let each = Self::LATELY.as_secs_f64() / self.finished as f64;
        (self.finished > 0).then(|| Duration::from_secs_f64((each * self.waiting as f64).min(1e9)))
    }
}

/// Where a recording is to be fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    /// The web address.
    pub address: String,
    /// Whether the request called it `url`, as Deepgram does, and not `audio_url`.
    pub is_url: bool,
}

impl Source {
    /// The request parameter that named it.
    pub fn param(&self) -> &'static str {
        if self.is_url { "url" } else { "audio_url" }
    }
}

/// Voices to tell apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VoicesToTell {
    /// Those with names.
    pub known: Vec<KnownVoice>,
    /// How many there are, when that is known.
    pub count: Option<usize>,
}

/// A voice with a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnownVoice {
    /// The name.
    pub name: String,
    /// A sound file, as base64.
    sample: String,
}

impl KnownVoice {
    /// A voice as in the sound file `sample`.
    pub fn new(name: &str, sample: &[u8]) -> Self {
        Self { name: name.to_owned(), sample: STANDARD.encode(sample) }
    }

    /// The sound file.
    ///
    /// # Errors
    /// `Internal` when it has been damaged.
    pub fn sample(&self) -> Result<Arc<[u8]>> {
        let bytes = STANDARD.decode(&self.sample);
        bytes.map(Arc::from).map_err(|e| Error::internal("a stored voice cannot be read", e))
    }
}

/// A recording that is handed in.
#[derive(Clone)]
pub enum Input {
    /// Small enough for memory.
    Bytes(Bytes),
    /// A file, which is moved.
    File(Arc<NamedTempFile>),
}

/// A job that is handed in.
pub struct NewJob {
    /// Whose it is.
    pub owner: Owner,
    /// What is to be done.
    pub work: Work,
    /// The recording, unless it is to be fetched.
    pub input: Option<Input>,
    /// What the dialect needs to answer, in its own words.
    pub wire: serde_json::Value,
    /// Where the result is to be pushed, and whether by PUT.
    pub webhook: Option<(String, bool)>,
    /// What makes the same request the same job, and a digest of the request.
    pub idempotency: Option<(String, String)>,
}

/// What became of a job that was handed in.
pub struct Submitted {
    /// The job.
    pub job: Job,
    /// Whether it is new, and not one that an earlier request with the same idempotency key brought.
    pub is_new: bool,
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobState {
    /// For its turn.
    Waiting,
    /// Somebody works on it.
    Running,
    /// There is a result.
    Completed,
    /// There will be none.
    Failed,
    /// Nobody wants it any more.
    Cancelled,
}

impl JobState {
    /// Whether nothing will change any more.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A sentence for whoever handed the job in.
    pub message: String,
    /// The parameter of the request to blame.
    pub param: Option<String>,
    /// A code for programs.
    pub code: Option<String>,
    /// Whether the request or the recording is to blame, and not this server.
    pub is_callers: bool,
}

impl Failure {
    /// That of a job that took down whoever worked on it, as often as may be.
    pub fn of_crashes() -> Self {
        let message = "The server stopped again and again while it worked on this.".to_owned();
        Self { message, param: None, code: None, is_callers: false }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let is_callers =
            !matches!(error.kind(), Kind::Internal | Kind::Unavailable | Kind::Overloaded | Kind::Cancelled);
        let (param, code) = (error.param().map(str::to_owned), error.code().map(str::to_owned));
        Self { message: error.message().to_owned(), param, code, is_callers }
    }
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// Whose it is.
    pub owner: Owner,
    /// What is to be done.
    pub work: Work,
    /// What the dialect needs to answer.
    pub wire: serde_json::Value,
    /// Where it is in its life.
    pub state: JobState,
    /// How often it has been claimed.
    pub attempt: u32,
    /// How often that ended in a fault of this server.
    pub failures: u32,
    /// How much is done, from 0 to 1.
    pub progress: f32,
    /// Why there is no result.
    pub error: Option<Failure>,
    /// When it was handed in.
    pub created: Moment,
    /// When it last changed.
    pub updated: Moment,
    /// When it was over.
    pub finished: Option<Moment>,
    /// Where its result is pushed.
    pub delivery: Option<Delivery>,
}

/// Where the result of a job is pushed, and what became of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The web address.
    pub address: String,
    /// By PUT and not by POST.
    pub put: bool,
    /// How far it is.
    pub state: DeliveryState,
    /// Since when it has been due; it is given up so long after.
    pub since: Option<Moment>,
    /// The latest attempts, in order.
    pub tries: Vec<Try>,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeliveryState {
    /// The job is not over.
    NotDue,
    /// It has not arrived.
    Due,
    /// It has arrived.
    Delivered,
    /// It has not arrived, and is not tried any more.
    GivenUp,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When, in seconds since 1970.
    pub at: u64,
    /// How the receiver answered.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// What is delivered.
pub struct Message {
    /// The body.
    pub body: Vec<u8>,
    /// Headers besides those of the signatures.
    pub headers: Vec<(&'static str, String)>,
}

/// The right to work on a job: good for one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The job.
    pub id: JobId,
    /// The attempt.
    pub attempt: u32,
}

/// How a job ended.
pub enum Verdict {
    /// With a result.
    Completed(Box<Outcome>),
    /// Without.
    Failed(Failure),
}

/// The result of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The transcript of every channel, or the one of all.
    pub channels: Vec<Transcript>,
    /// How long the recording is.
    pub duration: Duration,
    /// SHA-256 of the recording, in hexadecimal.
    pub sha256: String,
}

/// A piece of a recording: its channel, when channels are transcribed apart, and its number.
pub type Where = (Option<u32>, usize);

/// A part of a list of jobs.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The most jobs.
    pub limit: usize,
    /// Only jobs older than this one.
    pub after: Option<JobId>,
    /// Only jobs in these states; all when there are none.
    pub states: &'static [JobState],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_job_has_one_spelling() {
        let id = JobId::new();
        assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        let digits = id.uuid().simple().to_string();
        for wrong in [digits.clone(), format!("job_{}", id.uuid()), format!("JOB_{digits}"), "job_".into()] {
            assert_eq!(wrong.parse::<JobId>().unwrap_err().kind(), Kind::NotFound, "{wrong}");
        }
        assert!(format!("job_{}", digits.to_uppercase()).parse::<JobId>().is_err());
    }

    #[test]
    fn the_wait_follows_from_the_rate() {
        let backlog = |waiting, finished| Backlog { waiting, running: 0, oldest: None, finished };
        assert_eq!(backlog(100, 300).wait(), Some(Duration::from_secs(100)), "one was finished every second");
        assert_eq!((backlog(100, 0).wait(), backlog(0, 1).wait()), (None, Some(Duration::ZERO)));
    }

    #[test]
    fn a_name_says_when_it_was_made_up() {
        let before = now();
        let made_up = JobId::new().created();
        assert!(before <= made_up && made_up <= now());
    }

    #[test]
    fn owners_are_told_apart_and_say_nothing_of_their_keys() {
        assert_ne!(Owner::of_key("a"), Owner::of_key("b"));
        assert!(!Owner::of_key("everyone").as_str().contains("everyone"));
    }
}
