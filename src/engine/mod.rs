//! Models running: the traits every engine implements, their options, and the pool of threads that own engines.
//!
//! Engines see only short work: at most 30 s of audio, one sentence of text. Cutting, joining and streaming is done
//! above, in `speech`. Nothing here knows HTTP, file formats, or any file but the weights.

pub mod diarize;
#[cfg(feature = "espeak")]
pub mod espeak;
#[cfg(feature = "onnx")]
pub mod kokoro;
pub mod loudness;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod phonemes;
#[cfg(feature = "onnx")]
pub mod piper;
pub mod pool;
#[cfg(all(test, feature = "espeak"))]
pub(crate) mod spoken;
#[cfg(feature = "onnx")]
pub mod turn;
pub mod vad;
#[cfg(feature = "whisper")]
pub mod whisper;
#[cfg(feature = "onnx")]
mod zip;

use crate::audio::Pcm;
use crate::config::EngineConfig;
use crate::error::{Error, Kind, Result};
use crate::transcript::Transcript;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The sample rate every [`Transcriber`] and the voice activity detector take, in hertz.
pub const SPEECH_SAMPLE_RATE: u32 = 16_000;

/// The longest audio a [`Transcriber`] takes in one call.
pub const MAX_PIECE: Duration = Duration::from_secs(30);

/// Speech to text. One value is one slot: it is owned by one thread and used by one request at a time.
pub trait Transcriber: Send {
    /// Transcribes mono 16 kHz `audio` of at most [`MAX_PIECE`]. Times are relative to its start and inside it,
    /// monotone over segments and words.
    ///
    /// # Errors
    /// `Cancelled` soon after `cancel` says so; `Unsupported` for a task or language the model does not have.
    fn transcribe(&mut self, audio: &Pcm, options: &TranscribeOptions, cancel: &Cancel<'_>) -> Result<Transcript>;
}

/// Text to speech. One value is one slot: it is owned by one thread and used by one request at a time.
pub trait Synthesizer: Send {
    /// Speaks one `utterance`, handing out sound as soon as there is some; all blocks have the same rate. Engines that
    /// know where words begin say so too, at any time before they return. An error from `out` stops the work and is
    /// returned.
    ///
    /// # Errors
    /// `InvalidRequest` (param `voice`) for a voice the engine does not have, (param `language`) for a language that this
    /// voice cannot speak; `Cancelled` soon after `cancel` says so.
    fn synthesize(
        &mut self,
        utterance: &Utterance,
        options: &SpeakOptions,
        cancel: &Cancel<'_>,
        out: &mut dyn FnMut(Spoken) -> Result<()>,
    ) -> Result<()>;
}

/// Tells voices apart. One value is one slot: it is owned by one thread and used by one request at a time.
pub trait Diarizer: Send {
    /// Describes the voices in mono 16 kHz `audio` of at most [`MAX_PIECE`], in order of time. Prints overlap only where
    /// voices do; where nobody speaks there are none.
    ///
    /// # Errors
    /// `Cancelled` soon after `cancel` says so.
    fn voices(&mut self, audio: &Pcm, cancel: &Cancel<'_>) -> Result<Vec<VoicePrint>>;

    /// From this cosine similarity on two prints are more likely of one voice than of two.
    fn same_voice(&self) -> f32;
}

/// Tells whether somebody who pauses has finished what they wanted to say. One value is one slot: it is owned by one thread
/// and used by one request at a time.
pub trait TurnDetector: Send {
    /// How likely the speaker at the end of mono 16 kHz `audio` has finished, in `0..=1`. The last 8 s are listened to; the
    /// pause so far is in them.
    ///
    /// # Errors
    /// `Cancelled` soon after `cancel` says so.
    fn finished(&mut self, audio: &Pcm, cancel: &Cancel<'_>) -> Result<f32>;
}

/// How one voice sounds in a short stretch of audio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VoicePrint {
    /// Where the stretch begins in the audio.
    pub start: Duration,
    /// Where it ends.
    pub end: Duration,
    /// A vector of length 1; two of the same voice point in about the same direction. All prints of an engine have the
    /// same number of dimensions.
    pub embedding: Vec<f32>,
}

/// What to do with the speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Task {
    /// Write it down in the language spoken.
    #[default]
    Transcribe,
    /// Write it down in English.
    Translate,
}

/// How to transcribe one piece of audio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranscribeOptions {
    /// Write down or translate.
    pub task: Task,
    /// ISO 639-1 code of the spoken language; `None` lets the engine find out.
    pub language: Option<String>,
    /// The languages that the engine may find, as ISO 639-1 codes; empty allows all that it knows.
    pub languages: Vec<String>,
    /// The language of what was said before, as ISO 639-1 code: kept unless the engine is sure of another.
    pub expected_language: Option<String>,
    /// Text that shows the engine spelling and style; it is not part of the transcript.
    pub prompt: Option<String>,
    /// Words and names that are likely to be said; the engine prefers them to words that sound alike.
    pub keywords: Vec<String>,
    /// Sampling temperature in `0..=1`; 0 is greedy.
    pub temperature: f32,
    /// Whether [`crate::transcript::Segment::words`] is wanted.
    pub words: bool,
    /// Whether a short piece may be worked on as what it is; without it engines treat every piece as 30 s.
    pub short_context: bool,
    /// Whether doubtful results are decoded again and left out when they stay doubtful.
    pub guard: bool,
    /// Whether the text is only a first idea, which comes soon or not at all: with a guard, doubtful results are then left
    /// out at once.
    #[serde(default)]
    pub hasty: bool,
}

impl Default for TranscribeOptions {
    fn default() -> Self {
        Self {
            task: Task::default(),
            language: None,
            languages: Vec::new(),
            expected_language: None,
            prompt: None,
            keywords: Vec::new(),
            temperature: 0.0,
            words: false,
            short_context: true,
            guard: true,
            hasty: false,
        }
    }
}

/// What to say in one go: a sentence or a few, as words that can be read out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Utterance {
    /// Plain text.
    pub text: String,
    /// Stretches of `text`, as byte ranges in order and apart, that are said as these phonemes in the International
    /// Phonetic Alphabet, whatever their spelling says.
    pub phonemes: Vec<(Range<usize>, String)>,
}

impl From<&str> for Utterance {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), phonemes: Vec::new() }
    }
}

/// What a [`Synthesizer`] hands out.
#[derive(Debug, Clone, PartialEq)]
pub enum Spoken {
    /// Sound that follows what came before.
    Sound(Pcm),
    /// Where a word is in the sound.
    Mark(Mark),
}

/// Everything that `engine` says for `utterance`, in one piece; empty, with a rate of 0, when it says nothing.
///
/// # Errors
/// As [`Synthesizer::synthesize`].
pub fn say_all(
    engine: &mut dyn Synthesizer,
    utterance: &Utterance,
    options: &SpeakOptions,
    cancel: &Cancel<'_>,
) -> Result<Pcm> {
    let mut said = Pcm::new(Vec::new(), 0);
    engine.synthesize(utterance, options, cancel, &mut |spoken| {
        if let Spoken::Sound(block) = spoken {
            said.sample_rate = block.sample_rate;
            said.samples.extend(block.samples);
        }
        Ok(())
    })?;
    Ok(said)
}

/// Where a word of an [`Utterance`] begins in its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Where the word begins in [`Utterance::text`], in bytes.
    pub text: usize,
    /// Where it begins in the sound, from the first sample of the utterance on.
    pub start: Duration,
}

/// How to speak.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeakOptions {
    /// The engine's own name of the voice, as the catalog or [`Voice::id`] gives it.
    pub voice: String,
    /// The language of the text, as a tag such as `de` or `en-GB`; `None` is the voice's own.
    pub language: Option<String>,
    /// Speaking rate: 1 is the voice's own, 2 twice as fast; `0.25..=4`, pitch kept.
    pub speed: f32,
    /// Factor of the voice's pitch: 1 is the voice's own; `0.5..=2`, rate kept.
    pub pitch: f32,
    /// Whether somebody waits for the first sound, which is then worth more than being done soon.
    pub soon: bool,
}

impl SpeakOptions {
    /// As `voice` speaks of itself.
    pub fn of_voice(voice: impl Into<String>) -> Self {
        Self { voice: voice.into(), language: None, speed: 1.0, pitch: 1.0, soon: false }
    }
}

/// A voice an engine can speak with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// The name to ask for, unique within the engine.
    pub id: String,
    /// The name to show to people.
    pub name: String,
    /// Language tag, such as `en-US`.
    pub language: String,
}

/// Says whether the caller of a running piece of work is still there.
///
/// Cancelling is dropping: the reply channel of the work closes and every engine that polls this stops.
pub struct Cancel<'a> {
    gone: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Cancel<'a> {
    /// Cancelled as soon as `gone` returns true.
    pub fn new(gone: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { gone }
    }

    /// Never cancelled; for work that nobody can leave.
    pub fn never() -> Cancel<'static> {
        Cancel { gone: &|| false }
    }

    /// Whether to stop.
    pub fn is_cancelled(&self) -> bool {
        (self.gone)()
    }
}

/// Where a model's weights are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// Inside the binary.
    Embedded(&'static [u8]),
    /// A file, or a folder for models of several files.
    File(PathBuf),
    /// The engine brings its own.
    BuiltIn,
}

/// What an engine is given to load a model with.
pub struct Load<'a> {
    /// The weights.
    pub weights: &'a Weights,
    /// Slots, threads, GPU.
    pub config: &'a EngineConfig,
    /// A folder that the engine may keep derived files in; it may not exist yet.
    pub cache_dir: &'a Path,
}

/// Makes one engine per slot; the weights behind them are shared.
pub type Factory<E> = Box<dyn Fn() -> Result<Box<E>> + Send + Sync>;

/// Loads the weights once and returns what makes the engines.
pub type Loader<E> = Arc<dyn Fn(&Load<'_>) -> Result<Factory<E>> + Send + Sync>;

/// Threads that transcribe with one model.
pub type TranscriberPool = pool::Pool<dyn Transcriber>;

/// Threads that tell voices apart with one model.
pub type DiarizerPool = pool::Pool<dyn Diarizer>;

/// Threads that tell whether speakers have finished.
pub type TurnDetectorPool = pool::Pool<dyn TurnDetector>;

/// Threads that speak with one model.
pub type SynthesizerPool = pool::Pool<dyn Synthesizer>;

/// The tables of engines, by the name the catalog uses.
#[derive(Clone, Default)]
pub struct Engines {
    transcribers: BTreeMap<&'static str, Loader<dyn Transcriber>>,
    synthesizers: BTreeMap<&'static str, Loader<dyn Synthesizer>>,
    diarizers: BTreeMap<&'static str, Loader<dyn Diarizer>>,
    turn_detectors: BTreeMap<&'static str, Loader<dyn TurnDetector>>,
    voices: BTreeMap<&'static str, fn() -> Vec<Voice>>,
    voice_readers: BTreeMap<&'static str, fn(&Weights) -> Vec<Voice>>,
}

impl Engines {
    /// The engines of this build.
    pub fn built_in() -> Self {
        let engines = Self::default().with_diarizer("spectral", Arc::new(diarize::spectral::load));
        #[cfg(feature = "whisper")]
        let engines = engines.with_transcriber("whisper", Arc::new(whisper::load));
        #[cfg(feature = "onnx")]
        let engines = engines
            .with_diarizer("speaker-embedding", Arc::new(diarize::neural::load))
            .with_turn_detector("smart-turn", Arc::new(turn::load))
            .with_synthesizer("piper", Arc::new(piper::load))
            .with_voice_reader("piper", piper::voices)
            .with_synthesizer("kokoro", Arc::new(kokoro::load))
            .with_voice_reader("kokoro", kokoro::voices);
        #[cfg(feature = "espeak")]
        let engines = engines.with_synthesizer("espeak", Arc::new(espeak::load)).with_voices("espeak", espeak::voices);
        engines
    }

    /// Adds or replaces a speech-to-text engine.
    pub fn with_transcriber(mut self, name: &'static str, loader: Loader<dyn Transcriber>) -> Self {
        self.transcribers.insert(name, loader);
        self
    }

    /// Adds or replaces a text-to-speech engine.
    pub fn with_synthesizer(mut self, name: &'static str, loader: Loader<dyn Synthesizer>) -> Self {
        self.synthesizers.insert(name, loader);
        self
    }

    /// Adds or replaces an engine that tells voices apart.
    pub fn with_diarizer(mut self, name: &'static str, loader: Loader<dyn Diarizer>) -> Self {
        self.diarizers.insert(name, loader);
        self
    }

    /// Adds or replaces an engine that tells whether speakers have finished.
    pub fn with_turn_detector(mut self, name: &'static str, loader: Loader<dyn TurnDetector>) -> Self {
        self.turn_detectors.insert(name, loader);
        self
    }

    /// Adds the list of voices of an engine that brings its own.
    pub fn with_voices(mut self, name: &'static str, voices: fn() -> Vec<Voice>) -> Self {
        self.voices.insert(name, voices);
        self
    }

    /// Adds what reads the voices of an engine off the weights of a model, without loading it.
    pub fn with_voice_reader(mut self, name: &'static str, reader: fn(&Weights) -> Vec<Voice>) -> Self {
        self.voice_readers.insert(name, reader);
        self
    }

    /// What reads voices off the weights for the engine called `name`, if its models have their own.
    pub fn voice_reader(&self, name: &str) -> Option<fn(&Weights) -> Vec<Voice>> {
        self.voice_readers.get(name).copied()
    }

    /// The voices of the engines that bring their own, by engine.
    pub fn voices(&self) -> Vec<(&'static str, Vec<Voice>)> {
        self.voices.iter().map(|(name, voices)| (*name, voices())).collect()
    }

    /// The speech-to-text engine called `name`.
    ///
    /// # Errors
    /// `Unavailable` when this build does not have it.
    pub fn transcriber(&self, name: &str) -> Result<Loader<dyn Transcriber>> {
        self.transcribers.get(name).cloned().ok_or_else(|| missing(name))
    }

    /// The text-to-speech engine called `name`.
    ///
    /// # Errors
    /// `Unavailable` when this build does not have it.
    pub fn synthesizer(&self, name: &str) -> Result<Loader<dyn Synthesizer>> {
        self.synthesizers.get(name).cloned().ok_or_else(|| missing(name))
    }

    /// The engine called `name` that tells voices apart.
    ///
    /// # Errors
    /// `Unavailable` when this build does not have it.
    pub fn diarizer(&self, name: &str) -> Result<Loader<dyn Diarizer>> {
        self.diarizers.get(name).cloned().ok_or_else(|| missing(name))
    }

    /// The engine called `name` that tells whether speakers have finished.
    ///
    /// # Errors
    /// `Unavailable` when this build does not have it.
    pub fn turn_detector(&self, name: &str) -> Result<Loader<dyn TurnDetector>> {
        self.turn_detectors.get(name).cloned().ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> Error {
    Error::new(Kind::Unavailable, format!("this build of Mynah does not have the engine `{name}`"))
}
