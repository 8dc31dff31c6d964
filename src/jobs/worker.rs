//! Claims jobs, transcribes, finishes.
//!
//! What has been heard is kept piece by piece, so an interruption costs at most the pieces that were being recognised.
//! Faults of this server are tried again after a while; what the caller is to blame for is not.

use super::{
    Claim, Failure, Input, JOBS_AWAY, Job, JobId, Jobs, Moment, NO_ROOM, Needs, Outcome, Source, Verdict, Where, Work,
    now,
};
use crate::audio::decode::{self, Decoder, raw};
use crate::engine::TranscriberPool;
use crate::engine::pool::Priority;
use crate::error::{Error, Kind, Result};
use crate::models::registry::Registry;
use crate::net::Download;
use crate::speech::channels::transcribe_channels;
use crate::speech::complete::check_complete;
use crate::speech::speakers::{Diarization, KnownSpeaker};
use crate::speech::step;
use crate::speech::transcribe::{Heard, Notes, Progress, Request, transcribe_all};
use crate::telemetry;
use crate::transcript::{Segment, Transcript};
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use tokio::sync::{oneshot, watch};

/// How many bytes of a recording are hashed at once.
const HASHED_AT_ONCE: u64 = 1 << 20;

/// Nothing is tried again later than that.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How often what has been kept long enough is deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// How long to wait when the store fails.
const STORE_FAILED: Duration = Duration::from_secs(1);

/// A job for which there is no room waits for so long.
const LONGEST_FOR_ROOM: Duration = Duration::from_secs(24 * 3600);

/// How the work on a job ended.
enum End {
    /// By itself.
    Done(Result<Outcome>),
    /// The server stops.
    Stopped,
    /// Nobody wants it, or somebody else has it.
    Lost,
}

impl Jobs {
    /// Works on jobs with `models` until `stop` says true; then gives back what is not done.
    pub async fn work(self, models: Registry, stop: watch::Receiver<bool>) {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let count = if self.config.jobs.workers == 0 { cores } else { self.config.jobs.workers };
        let workers = (0..count).map(|_| {
            let worker = Worker { jobs: self.clone(), models: models.clone(), stop: stop.clone() };
            tokio::spawn(worker.run())
        });
        join_all(workers.collect::<Vec<_>>()).await;
    }

    /// How long a claim holds unless it is renewed.
    fn lease(&self) -> Duration {
        Duration::from_secs(self.config.jobs.lease_seconds)
    }

    /// Deletes what has been kept long enough, now and then, until `stop` says true.
    pub async fn sweep(&self, mut stop: watch::Receiver<bool>) {
        let every = SWEEP_EVERY.min(self.lease() * 10);
        while !*stop.borrow() {
            let kept = Duration::from_secs(self.config.jobs.keep_hours.saturating_mul(3600));
            let before = now().0.saturating_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
            match self.store.sweep(Moment(before)).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "jobs deleted that were over for as long as they are kept"),
                Err(error) => tracing::error!(%error, "old jobs cannot be deleted"),
            }
            // Ends early when the server stops.
            let _ = tokio::time::timeout(every, stop.wait_for(|stop| *stop)).await;
        }
    }
}

/// Does one job at a time.
struct Worker {
    jobs: Jobs,
    models: Registry,
    stop: watch::Receiver<bool>,
}

impl Worker {
    async fn run(mut self) {
        let (mut stopping, models, lease) = (self.stop.clone(), self.models.clone(), self.jobs.lease());
        let able = |needs: &Needs| models.can_transcribe(&needs.model, needs.voices);
        while !*self.stop.borrow() {
            match self.jobs.store.claim(&able, lease, now()).await {
                Ok(Some((claim, job))) => {
                    if self.attempt(claim, job).await.is_break() {
                        return;
                    }
                }
                Ok(None) => {
                    tokio::select! {
                        _ = stopping.wait_for(|stop| *stop) => return,
                        () = self.jobs.store.work_arrived(&able) => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "no job can be claimed");
                    tokio::time::sleep(STORE_FAILED).await;
                }
            }
        }
    }

    /// Works on a job until it is done, wanted no more, or the server stops, which breaks.
    async fn attempt(&mut self, claim: Claim, job: Job) -> ControlFlow<()> {
        let (begun, (stop, stopped)) = (Instant::now(), oneshot::channel());
        telemetry::job_waited(Duration::from_millis(now().0.saturating_sub(job.created.0)));
        self.jobs.lock_running().insert(claim.id, stop);
        let (jobs, mut stopping) = (self.jobs.clone(), self.stop.clone());
        let end = tokio::select! {
            end = AssertUnwindSafe(self.transcribe(claim, &job.work)).catch_unwind() => {
                End::Done(end.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the work on a job panicked"))))
            }
            _ = stopping.wait_for(|stop| *stop) => End::Stopped,
            _ = stopped => End::Lost,
            () = hold(&jobs, claim) => End::Lost,
            () = jobs.store.taken_away(claim) => End::Lost,
        };
        self.jobs.lock_running().remove(&claim.id);
        let next = if let End::Stopped = end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        match self.settle(claim, &job, end).await {
            Ok(Some(state)) => telemetry::job_finished(state, begun.elapsed()),
            Ok(None) => {}
            // The lease runs out, and the job is done again.
            Err(error) => tracing::error!(job.id = %claim.id, %error, "what became of a job cannot be stored"),
        }
        next
    }

    /// Stores what became of a job, and says what that is if it is over by that.
    async fn settle(&self, claim: Claim, job: &Job, end: End) -> Result<Option<&'static str>> {
        let (store, settings) = (&self.jobs.store, &self.jobs.config.jobs);
        let verdict = match end {
            End::Lost => return Ok(None),
            End::Stopped => return store.give_back(claim, now(), now()).await.map(|_| None),
            End::Done(Ok(outcome)) => Verdict::Completed(Box::new(outcome)),
            // Neither the job nor the work on it is to blame, so it does not count.
            End::Done(Err(error)) if error.code() == Some(JOBS_AWAY) => {
                tracing::warn!(job.id = %claim.id, %error, "the jobs could not be reached in the middle of one");
                return store.give_back(claim, now(), now()).await.map(|_| None);
            }
            End::Done(Err(error)) if wants_room(&error, job) => return self.wait_for_room(claim, &error).await,
            End::Done(Err(error)) if !may_pass(&error) || job.failures + 1 >= settings.attempts => {
                tracing::info!(job.id = %claim.id, %error, "job failed");
                Verdict::Failed(Failure::from(&error))
            }
            End::Done(Err(error)) => {
                let wait = back_off(Duration::from_secs(settings.retry_seconds), job.failures, LONGEST_WAIT);
                let wait_ms = wait.as_millis() as u64;
                tracing::warn!(job.id = %claim.id, %error, wait_ms, "job failed, and is tried again");
                return store.retry(claim, now().plus(wait), now()).await.map(|_| None);
            }
        };
        let state = if matches!(verdict, Verdict::Completed(_)) { "completed" } else { "failed" };
        match store.finish(claim, verdict, now()).await {
            Err(error) if wants_room(&error, job) => self.wait_for_room(claim, &error).await,
            finished => Ok(finished?.then_some(state)),
        }
    }

    /// Puts a job back until there may be room for it. Others, which take less or make some, come first meanwhile.
    async fn wait_for_room(&self, claim: Claim, error: &Error) -> Result<Option<&'static str>> {
        tracing::error!(job.id = %claim.id, %error, "a job waits until there is room");
        let wait = Duration::from_secs(self.jobs.config.jobs.retry_seconds).max(STORE_FAILED);
        self.jobs.store.give_back(claim, now().plus(wait), now()).await.map(|_| None)
    }

    async fn transcribe(&self, claim: Claim, work: &Work) -> Result<Outcome> {
        let recording = Recording { jobs: self.jobs.clone(), id: claim.id, raw: work.raw };
        if let Some(source) = &work.source {
            recording.fetch(claim, source).await?;
        }
        let pool = self.models.transcriber(&work.model).await?;
        let position = Arc::new(Position::default());
        let heard = Mutex::new(self.jobs.store.heard(claim.id).await?);
        let channels = if work.multichannel { recording.channels().await? } else { 1 };
        let said = Mutex::new(Said { segments: 0, done: HashMap::new(), channels });
        let notes = Book { jobs: self.jobs.clone(), claim, heard, position: position.clone(), said };
        let mut request = self.request(work).await?;
        request.notes = Some(Arc::new(notes));
        let transcribed = recording.transcribe(pool, request, work.multichannel, position);
        let ((channels, duration), sha256) = tokio::try_join!(transcribed, recording.sha256())?;
        if work.strict {
            channels.iter().try_for_each(check_complete)?;
        }
        Ok(Outcome { channels, duration, sha256 })
    }

    async fn request(&self, work: &Work) -> Result<Request> {
        let mut request = Request::new(work.options.clone(), Priority::Batch);
        request.options.words = true; // whoever asks for the result decides what is shown of it
        (request.stages, request.endpointing) = (work.stages, work.endpointing.clone());
        if let Some(voices) = &work.voices {
            let known =
                voices.known.iter().map(|it| Ok(KnownSpeaker { name: it.name.as_str().into(), sample: it.sample()? }));
            let known = known.collect::<Result<Vec<_>>>()?;
            request.diarization = Some(Diarization { pool: self.models.diarizer().await?, known, count: voices.count });
        }
        Ok(request)
    }
}

/// Whether it may go better another time: this server is to blame, or somebody else's for the moment.
fn may_pass(error: &Error) -> bool {
    let ours = matches!(error.kind(), Kind::Internal | Kind::Unavailable | Kind::Overloaded | Kind::Cancelled);
    ours || error.retry_after().is_some()
}

/// Whether a job has nothing but room to wait for, and has not waited for that too long.
fn wants_room(error: &Error, job: &Job) -> bool {
    error.code() == Some(NO_ROOM) && now() < job.created.plus(LONGEST_FOR_ROOM)
}

/// How long to wait after so many failures before.
pub(super) fn back_off(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures)).min(longest)
}

/// Renews a claim, and completes when that is no longer possible.
async fn hold(jobs: &Jobs, claim: Claim) {
    let lease = jobs.lease();
    loop {
        tokio::time::sleep(lease / 3).await;
        match jobs.store.renew(claim, lease, now()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(job.id = %claim.id, %error, "a claim could not be renewed"),
        }
    }
}

/// The recording of a job.
struct Recording {
    jobs: Jobs,
    id: JobId,
    raw: Option<raw::RawFormat>,
}

impl Recording {
    /// Fetches it, unless an earlier attempt has.
    async fn fetch(&self, claim: Claim, source: &Source) -> Result<()> {
        if self.jobs.store.input(self.id).await?.is_some() {
            return Ok(());
        }
        let config = &self.jobs.config;
        let folder = config.incoming_dir();
        let mut download = Download::begin(&source.address, source.param(), config).await?;
        let mut file = step(move || NamedTempFile::new_in(folder).map_err(super::files::no_room)).await?;
        while let Some(chunk) = download.chunk().await? {
            file = step(move || file.write_all(&chunk).map(|()| file).map_err(super::files::no_room)).await?;
        }
        self.jobs.store.put_input(claim, Input::File(Arc::new(file))).await
    }

    /// From its start, with a header.
    async fn open(&self) -> Result<Box<dyn decode::Source>> {
        let source = self.jobs.store.input(self.id).await?;
        let source = source.ok_or_else(|| Error::new(Kind::Internal, "The recording of this job is gone."))?;
        match self.raw {
            Some(format) => raw::with_header(source, format),
            None => Ok(source),
        }
    }

    async fn channels(&self) -> Result<u32> {
        let source = self.open().await?;
        step(move || Ok(Decoder::open(source)?.channels())).await
    }

    /// The transcript of every channel, or the one of all, and how long the recording is.
    async fn transcribe(
        &self,
        pool: Arc<TranscriberPool>,
        request: Request,
        multichannel: bool,
        position: Arc<Position>,
    ) -> Result<(Vec<Transcript>, Duration)> {
        if !multichannel {
            let source = Watched::new(self.open().await?, position)?;
            let (transcript, duration) = transcribe_all(pool, Box::new(source), request).await?;
            return Ok((vec![transcript], duration));
        }
        let channels = self.channels().await?.max(1);
        let mut sources = Vec::new();
        for _ in 0..=channels {
            sources.push(self.open().await?);
        }
        let sources = Mutex::new(sources);
        let next = || {
            let source = sources.lock().unwrap_or_else(PoisonError::into_inner).pop();
            source.ok_or_else(|| Error::new(Kind::Internal, "a recording has more channels than it had"))
        };
        transcribe_channels(pool, next, request).await
    }

    async fn sha256(&self) -> Result<String> {
        let source = self.jobs.store.input(self.id).await?;
        let mut source = source.ok_or_else(|| Error::new(Kind::Internal, "The recording of this job is gone."))?;
        let (mut digest, mut at_end) = (Sha256::new(), false);
        while !at_end {
            (source, digest, at_end) = step(move || {
                let mut bytes = Vec::new();
                let read = source.by_ref().take(HASHED_AT_ONCE).read_to_end(&mut bytes);
                let read = read.map_err(|e| Error::internal("A stored recording could not be read.", e))?;
                digest.update(&bytes);
                Ok((source, digest, read == 0))
            })
            .await?;
        }
        Ok(format!("{:x}", digest.finalize()))
    }
}

/// How much of a file has been read, in bytes.
#[derive(Default)]
struct Position {
    read: AtomicU64,
    length: AtomicU64,
}

impl Position {
    /// How much of the recording is done when `until` is, of which as much as `read` has been read.
    fn share(&self, progress: &Progress) -> f32 {
        let (read, length) = (self.read.load(Ordering::Relaxed), self.length.load(Ordering::Relaxed));
        if progress.finished || length == 0 || progress.read.is_zero() {
            return 0.0;
        }
        let whole = progress.read.as_secs_f64() * length as f64 / read.clamp(1, length) as f64;
        (progress.until.as_secs_f64() / whole).min(0.99) as f32
    }
}

/// A recording that says how far it has been read.
struct Watched {
    source: Box<dyn decode::Source>,
    position: Arc<Position>,
}

impl Watched {
    fn new(mut source: Box<dyn decode::Source>, position: Arc<Position>) -> Result<Self> {
        let length = source.seek(SeekFrom::End(0)).and_then(|length| source.rewind().map(|()| length));
        let length = length.map_err(|e| Error::internal("A stored recording could not be read.", e))?;
        position.length.store(length, Ordering::Relaxed);
        Ok(Self { source, position })
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.position.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = self.source.seek(to)?;
        self.position.read.store(position, Ordering::Relaxed);
        Ok(position)
    }
}

/// Where the work on one job is noted.
struct Book {
    jobs: Jobs,
    claim: Claim,
    /// What earlier attempts have heard.
    heard: Mutex<HashMap<Where, Heard>>,
    position: Arc<Position>,
    said: Mutex<Said>,
}

/// What can be read so far.
struct Said {
    /// How many segments.
    segments: usize,
    /// How much of every channel is done.
    done: HashMap<Option<u32>, f32>,
    channels: u32,
}

impl Book {
    /// Counts what is new, and says where it begins and how much of the job is done.
    fn count(&self, channel: Option<u32>, progress: &Progress) -> (usize, f32) {
        let share = match (channel, progress.finished) {
            (_, true) => 1.0,
            (None, false) => self.position.share(progress),
            // How long a channel is, is known only at its end.
            (Some(_), false) => 0.0,
        };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let from = said.segments;
        said.segments += progress.transcript.segments.len();
        said.done.insert(channel, share);
        (from, said.done.values().sum::<f32>() / said.channels.max(1) as f32)
    }
}

impl Notes for Book {
    fn recall(&self, channel: Option<u32>, number: usize) -> Option<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).remove(&(channel, number))
    }

    fn keep(&self, channel: Option<u32>, number: usize, heard: &Heard) -> BoxFuture<'_, Result<()>> {
        let heard = heard.clone();
        async move { self.jobs.store.keep(self.claim, (channel, number), &heard).await }.boxed()
    }

    fn advance(&self, channel: Option<u32>, progress: &Progress) -> BoxFuture<'_, Result<()>> {
        let (from, share) = self.count(channel, progress);
        let shown = |segment: &Segment| Segment {
            text: segment.text.clone(),
            start: segment.start,
            end: segment.end,
            channel,
            ..Segment::default()
        };
        let segments: Vec<Segment> = progress.transcript.segments.iter().map(shown).collect();
        async move { self.jobs.store.say(self.claim, from, &segments, share.min(0.99)).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_ours_and_passing_ones_are_tried_again() {
        let passing = Error::invalid("audio_url", "was cut off").with_retry_after(Duration::from_secs(1));
        assert!(may_pass(&passing) && may_pass(&Error::new(Kind::Internal, "a fault")));
        assert!(!may_pass(&Error::new(Kind::InvalidAudio, "not audio")));
        assert!(!may_pass(&Error::invalid("audio_url", "status 404")));
    }

    #[test]
    fn waiting_doubles_up_to_the_longest() {
        let wait = |failures| back_off(Duration::from_secs(5), failures, LONGEST_WAIT).as_secs();
        assert_eq!([0, 1, 2, 9, 10, 99].map(wait), [5, 10, 20, 2560, 3600, 3600]);
    }
}
