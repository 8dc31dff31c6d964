//! Audio becomes text, piece by piece: decode, resample, find the speech, recognise, put the times right.
//!
//! The stream cuts one piece ahead of the engines and holds as many more as the pool has slots, so its memory does
//! not depend on the length of the file. Every piece queues by itself, so long files let others through.

mod audit;
mod cutter;
mod recognizer;
mod run;
mod seam;

use super::chunk::{EndpointerOptions, Piece};
use super::speakers::Diarization;
use crate::audio::decode::Source;
use crate::engine::pool::Priority;
use crate::engine::{TranscribeOptions, TranscriberPool, VoicePrint};
use crate::error::Result;
use crate::transcript::Transcript;
use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, stream};
use recognizer::Recognizer;
use run::Run;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// How to transcribe a recording.
#[derive(Clone)]
pub struct Request {
    /// What the engine is to do with every piece.
    pub options: TranscribeOptions,
    /// How urgent it is.
    pub priority: Priority,
    /// Which stages take part.
    pub stages: Stages,
    /// When sound counts as speech.
    pub endpointing: EndpointerOptions,
    /// The only channel to listen to, counted from 0; `None` mixes all of them.
    pub channel: Option<u32>,
    /// Tells who speaks.
    pub diarization: Option<Diarization>,
    /// Keeps what is heard, for a transcription that goes on where it was cut off.
    pub notes: Option<Arc<dyn Notes>>,
}

impl Request {
    /// With every stage, all channels mixed, nobody told apart.
    pub fn new(options: TranscribeOptions, priority: Priority) -> Self {
        let (stages, endpointing) = (Stages::default(), EndpointerOptions::default());
        Self { options, priority, stages, endpointing, channel: None, diarization: None, notes: None }
    }
}

/// The stages around the engine that can be switched off. The engine's own are in [`TranscribeOptions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Finds the speech and recognises nothing else. Without it the whole recording is recognised in stretches of 28 s.
    pub cut: bool,
    /// Looks for speech that has no text, recognises it once more and reports what stays without.
    pub audit: bool,
}

impl Default for Stages {
    fn default() -> Self {
        Self { cut: true, audit: true }
    }
}

/// What has been heard in one piece of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// The text, as recognised: what the neighbours share is still in it, and nobody is named.
    pub transcript: Transcript,
    /// The voices.
    pub prints: Vec<VoicePrint>,
}

/// Where work goes on after an interruption. The same recording is always cut into the same pieces, so that what has
/// been heard in a piece holds for the piece with its number.
pub trait Notes: Send + Sync {
    /// What was heard in the piece with this number of the channel, if it has been heard before. Asked once.
    fn recall(&self, channel: Option<u32>, number: usize) -> Option<Heard>;

    /// Keeps what has just been heard. Pieces may come in any order.
    ///
    /// # Errors
    /// What keeps it from being kept; the transcription then fails with it.
    fn keep(&self, channel: Option<u32>, number: usize, heard: &Heard) -> BoxFuture<'_, Result<()>>;

    /// Says how far the text is.
    ///
    /// # Errors
    /// As [`Notes::keep`].
    fn advance(&self, channel: Option<u32>, progress: &Progress) -> BoxFuture<'_, Result<()>>;
}

/// What is new since the item before.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The new segments, with times from the start of the file.
    pub transcript: Transcript,
    /// The audio is done up to here.
    pub until: Duration,
    /// The audio has been read up to here.
    pub read: Duration,
    /// Whether this is the last item; `until` is then the duration of the file.
    pub finished: bool,
}

/// Transcribes the audio file or raw audio in `source`. Nobody speaking is an empty transcript, not an error. Who speaks
/// is told from what has been heard so far; [`transcribe_all`] knows better.
///
/// # Errors
/// The stream ends with its first error: `InvalidAudio` for what cannot be decoded, `Overloaded` when there is no
/// room for the first piece, and whatever the engine says.
///
/// # Cancel safety
/// Dropping the stream gives up everything that waits or runs for it.
pub fn transcribe(
    pool: Arc<TranscriberPool>,
    source: Box<dyn Source>,
    request: Request,
) -> impl Stream<Item = Result<Progress>> + Send + 'static {
    let opening = Run::open(pool, source, request);
    stream::try_unfold(State::Opening(opening.boxed()), |state| async {
        let mut run = match state {
            State::Opening(run) => run.await?,
            State::Running(run) => run,
            State::Over => return Ok(None),
        };
        let mut progress = run.advance().await?;
        run.label_so_far(&mut progress.transcript);
        let state = if progress.finished { State::Over } else { State::Running(run) };
        Ok(Some((progress, state)))
    })
}

/// Recognises one utterance with every stage that a file has: its text and its voices, in the times of the stream it is
/// from. Waits for room when there are too many.
///
/// # Errors
/// Whatever the engine says.
///
/// # Cancel safety
/// Dropping the future gives up everything that waits or runs for it.
pub(super) async fn recognise(pool: Arc<TranscriberPool>, request: Request, piece: Piece) -> Result<Heard> {
    let options = TranscribeOptions { words: true, ..request.options.clone() };
    let recognizer = Recognizer { pool, request };
    let answer = recognizer.submit_patiently(piece.audio.clone(), options.clone()).await?;
    let recognized = recognizer.finish(0, Arc::new(piece), answer, options).await?;
    Ok(Heard { transcript: recognized.transcript, prints: recognized.prints })
}

/// Of the stream of a transcription.
enum State {
    Opening(BoxFuture<'static, Result<Box<Run>>>),
    Running(Box<Run>),
    Over,
}

/// [`transcribe`] to its end: the whole transcript, and the duration of the audio.
///
/// # Errors
/// As [`transcribe`].
///
/// # Cancel safety
/// Dropping the future gives up everything that waits or runs for it.
pub async fn transcribe_all(
    pool: Arc<TranscriberPool>,
    source: Box<dyn Source>,
    request: Request,
) -> Result<(Transcript, Duration)> {
    let mut run = Run::open(pool, source, request).await?;
    let mut transcript = Transcript::default();
    loop {
        let progress = run.advance().await?;
        run.tell(&progress).await?;
        let Progress { transcript: new, until, finished, .. } = progress;
        transcript.append(new);
        if finished {
            return Ok((run.label(transcript).await?, until));
        }
    }
}

#[cfg(all(test, feature = "espeak", feature = "whisper"))]
pub(super) mod tests;
