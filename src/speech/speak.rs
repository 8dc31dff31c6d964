//! Text to speech: a script → lines → engine → one stream of sound, with the times of its words → one stream of bytes.
//!
//! Nothing here knows a voice, a file format or a client. An engine never waits for the reader, and no more than one
//! line is spoken ahead of what the reader has taken.

use super::lexicon::Lexicon;
use super::lines::{Line, Lines, Sentence};
use super::pause::Pauses;
use super::script::Script;
use super::step;
use super::timing::{self, Envelope};
use crate::audio::Pcm;
use crate::audio::encode::{Encoder, Output, encoder};
use crate::audio::resample::Resampler;
use crate::engine::loudness;
use crate::engine::pool::Priority;
use crate::engine::{Mark, SpeakOptions, Spoken, SynthesizerPool};
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::collections::VecDeque;
use std::iter::Peekable;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// The sample rate of speech when nobody asks for another, in hertz.
pub const OUTPUT_SAMPLE_RATE: u32 = 24_000;

/// In a second there are at least so many blocks, so that encoding one takes a few milliseconds.
const BLOCKS_PER_SECOND: u32 = 4;

/// Speech that has begun waits so long, in all, for room in the queue.
const PATIENCE: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(50);

/// What to say and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to say. The voices in it are the engine's own.
    pub script: Script,
    /// How to speak where the script does not say otherwise.
    pub options: SpeakOptions,
    /// The language of the text as a tag, where the script does not say otherwise; empty when unknown.
    pub language: String,
    /// How words are said that are not in it as they are spelled.
    pub lexicon: Arc<Lexicon>,
    /// The sample rate of the sound, in hertz.
    pub sample_rate: u32,
    /// Whether this goes on with a speech that has begun, and so waits for room in the queue.
    pub goes_on: bool,
}

impl Request {
    /// Asks to say `text`, which is not markup, as `options` say.
    pub fn plain(text: impl Into<String>, options: SpeakOptions) -> Self {
        let language = options.language.clone().unwrap_or_default();
        let (script, lexicon) = (Script::plain(text.into()), Arc::default());
        Self { script, options, language, lexicon, sample_rate: OUTPUT_SAMPLE_RATE, goes_on: false }
    }
}

/// What a speech consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Sound that follows what came before.
    Sound(Pcm),
    /// When the next words are said; some of their sound may still come.
    Words(Vec<TimedWord>),
}

/// When a word is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedWord {
    /// Where the word is in [`Script::text`], in bytes.
    pub text: Range<usize>,
    /// When it begins, from the first sample of the speech on.
    pub start: Duration,
    /// When it ends.
    pub end: Duration,
}

/// Speaks as `request` says, in blocks of its sample rate. A script with nothing to say is a short silence. Words come in
/// their order, those of a line together.
///
/// # Errors
/// As an item, after which the stream ends: what the engine says; `Overloaded` when the lane is full.
///
/// # Cancel safety
/// Dropping the stream cancels what the engine works on.
pub fn speak(
    pool: Arc<SynthesizerPool>,
    request: Request,
    priority: Priority,
) -> impl Stream<Item = Result<Said>> + Send + 'static {
    let speech = Speech {
        pool,
        priority,
        joiner: Some(Joiner { output_rate: request.sample_rate, at_rate: None, rest: Duration::ZERO }),
        lines: Lines::new(request.script, request.options, request.language, request.lexicon).peekable(),
        begun: request.goes_on,
        current: None,
        ahead: VecDeque::new(),
        ready: VecDeque::new(),
    };
    stream::try_unfold(speech, |mut speech| async move { Ok(speech.next().await?.map(|said| (said, speech))) })
}

/// The sound of a speech, without the times of its words.
pub fn sound(
    speech: impl Stream<Item = Result<Said>> + Send + 'static,
) -> impl Stream<Item = Result<Pcm>> + Send + 'static {
    speech.try_filter_map(async |said| match said {
        Said::Sound(pcm) => Ok(Some(pcm)),
        Said::Words(_) => Ok(None),
    })
}

/// What a speech written as a file consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoded {
    /// The next bytes of the file; there are always some.
    Bytes(Bytes),
    /// When the next words are said.
    Words(Vec<TimedWord>),
}

/// Encodes `speech`, whose blocks all have one rate, as one file that is written as `output` says. The bytes do not
/// depend on when they are read.
///
/// # Errors
/// As an item, after which the stream ends: the error of `speech`; `Unsupported` for a rate that the format cannot carry.
///
/// # Cancel safety
/// Dropping the stream drops `speech`.
pub fn encode(
    speech: impl Stream<Item = Result<Said>> + Send + 'static,
    output: impl Into<Output>,
) -> impl Stream<Item = Result<Encoded>> + Send + 'static {
    let encoding = Encoding { speech: Box::pin(speech), output: output.into(), encoder: None, ended: false };
    stream::try_unfold(
        encoding,
        |mut encoding| async move { Ok(encoding.next().await?.map(|encoded| (encoded, encoding))) },
    )
}

/// The bytes of a file, without the times of the words in it.
pub fn bytes(
    encoded: impl Stream<Item = Result<Encoded>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    encoded.try_filter_map(async |encoded| match encoded {
        Encoded::Bytes(bytes) => Ok(Some(bytes)),
        Encoded::Words(_) => Ok(None),
    })
}

/// One script being spoken.
struct Speech {
    pool: Arc<SynthesizerPool>,
    priority: Priority,
    lines: Peekable<Lines>,
    /// Whether the first line has gone to an engine.
    begun: bool,
    current: Option<Turn>,
    /// What comes after `current`: pauses, and one line that the engine may work on while `current` is read.
    ahead: VecDeque<Turn>,
    /// `None` once all sound is given, and while a step works with it.
    joiner: Option<Joiner>,
    ready: VecDeque<Said>,
}

/// What is to be heard next.
enum Turn {
    /// A line that an engine speaks.
    Line { blocks: UnboundedReceiver<Result<Spoken>>, sentence: Box<Sentence> },
    /// Silence.
    Pause(Duration),
}

impl Speech {
    async fn next(&mut self) -> Result<Option<Said>> {
        while self.ready.is_empty() {
            let Some(mut joiner) = self.joiner.take() else { return Ok(None) };
            if self.current.is_none() {
                let is_first = !self.begun;
                self.current = self.next_turn().await?;
                if !is_first {
                    self.look_ahead();
                }
            }
            match &mut self.current {
                None => {
                    // Everything is said: the joiner is not put back.
                    self.ready = step(move || joiner.finish()).await?;
                    continue;
                }
                Some(Turn::Pause(pause)) => {
                    joiner.rest(*pause);
                    self.current = None;
                }
                Some(Turn::Line { blocks, sentence }) => match blocks.recv().await.transpose()? {
                    Some(Spoken::Mark(mark)) => joiner.mark(mark),
                    Some(Spoken::Sound(block)) => {
                        let volume = sentence.volume;
                        self.look_ahead();
                        (self.ready, joiner) = step(move || Ok((joiner.push(block, volume)?, joiner))).await?;
                    }
                    None => {
                        self.ready.extend(joiner.end_line(sentence).map(Said::Words));
                        self.current = None;
                    }
                },
            }
            self.joiner = Some(joiner);
        }
        Ok(self.ready.pop_front())
    }

    /// What is to be heard next; `None` after the last. Speech that has begun waits for room in the queue: failing here
    /// would cut it off in the middle.
    async fn next_turn(&mut self) -> Result<Option<Turn>> {
        if let Some(turn) = self.ahead.pop_front() {
            return Ok(Some(turn));
        }
        let sentence = match self.lines.next() {
            None => return Ok(None),
            Some(Line::Pause(pause)) => return Ok(Some(Turn::Pause(pause))),
            Some(Line::Say(sentence)) => sentence,
        };
        let mut patience = if self.begun { PATIENCE } else { Duration::ZERO };
        self.begun = true;
        loop {
            match self.submit(&sentence) {
                Err(error) if error.kind() == Kind::Overloaded && !patience.is_zero() => {
                    tokio::time::sleep(RETRY).await;
                    patience = patience.saturating_sub(RETRY);
                }
                blocks => return Ok(Some(Turn::Line { blocks: blocks?, sentence })),
            }
        }
    }

    /// Has an engine begin the next line while the current one is spoken, so that two work for one text and none is idle in
    /// between; but not before the first one sounds, which is to come soon.
    fn look_ahead(&mut self) {
        if self.ahead.iter().any(|turn| matches!(turn, Turn::Line { .. })) {
            return;
        }
        while let Some(Line::Pause(pause)) = self.lines.next_if(|line| matches!(line, Line::Pause(_))) {
            self.ahead.push_back(Turn::Pause(pause));
        }
        let Some(Line::Say(sentence)) = self.lines.peek() else { return };
        let blocks = Self::submit_to(&self.pool, self.priority, sentence);
        // When the queue is full there is time to ask again.
        if let (Ok(blocks), Some(Line::Say(sentence))) = (blocks, self.lines.next()) {
            self.ahead.push_back(Turn::Line { blocks, sentence });
        }
    }

    fn submit(&self, sentence: &Sentence) -> Result<UnboundedReceiver<Result<Spoken>>> {
        Self::submit_to(&self.pool, self.priority, sentence)
    }

    fn submit_to(
        pool: &SynthesizerPool,
        priority: Priority,
        sentence: &Sentence,
    ) -> Result<UnboundedReceiver<Result<Spoken>>> {
        let (utterance, options) = (sentence.utterance.clone(), sentence.options.clone());
        pool.run_streaming(priority, move |engine, cancel, out| engine.synthesize(&utterance, &options, cancel, out))
    }
}

/// Makes one sound of the sounds of all lines: one rate, natural pauses, short blocks. And knows when words are said.
struct Joiner {
    output_rate: u32,
    /// Known with the first block.
    at_rate: Option<AtRate>,
    /// Pauses before the first block.
    rest: Duration,
}

struct AtRate {
    sample_rate: u32,
    pauses: Pauses,
    resampler: Resampler,
    /// The current line, as the engine speaks it.
    envelope: Envelope,
    marks: Vec<Mark>,
}

impl AtRate {
    fn new(sample_rate: u32, output_rate: u32, rest: Duration) -> Result<Self> {
        let mut pauses = Pauses::new(sample_rate);
        if !rest.is_zero() {
            pauses.rest(rest);
        }
        let resampler = Resampler::new(sample_rate, output_rate)?;
        Ok(Self { sample_rate, pauses, resampler, envelope: Envelope::new(sample_rate), marks: Vec::new() })
    }
}

impl Joiner {
    fn push(&mut self, mut block: Pcm, volume: f32) -> Result<VecDeque<Said>> {
        let output_rate = self.output_rate;
        let at_rate = self.at_rate(block.sample_rate)?;
        if at_rate.sample_rate != block.sample_rate {
            return Err(Error::new(Kind::Internal, "the engine changed its sample rate in the middle of a text"));
        }
        if volume != 1.0 {
            loudness::amplify(&mut block.samples, volume);
        }
        at_rate.envelope.push(&block.samples);
        let (mut joined, mut resampled) = (Vec::new(), Vec::new());
        at_rate.pauses.push(&block.samples, &mut joined);
        at_rate.resampler.push(&joined, &mut resampled);
        Ok(short_blocks(&resampled, output_rate))
    }

    fn mark(&mut self, mark: Mark) {
        if let Some(at_rate) = &mut self.at_rate {
            at_rate.marks.push(mark);
        }
    }

    fn rest(&mut self, pause: Duration) {
        match &mut self.at_rate {
            Some(at_rate) => at_rate.pauses.rest(pause),
            None => self.rest += pause,
        }
    }

    /// The current line is complete. Returns when its words are said, if it was heard.
    fn end_line(&mut self, sentence: &Sentence) -> Option<Vec<TimedWord>> {
        let at_rate = self.at_rate.as_mut()?;
        let envelope = std::mem::replace(&mut at_rate.envelope, Envelope::new(at_rate.sample_rate));
        let marks = std::mem::take(&mut at_rate.marks);
        let begin = at_rate.pauses.begin();
        at_rate.pauses.end_piece(sentence.end, sentence.options.speed);
        let begin = begin? as f32 / at_rate.sample_rate as f32;
        let at = |seconds: f32| Duration::from_secs_f32((begin + seconds).max(0.0));
        let times = timing::times(&sentence.utterance, sentence.spoken_words(), &marks, &envelope);
        let words = times.into_iter().zip(sentence.source_words());
        let words = words.map(|(time, text)| TimedWord { text, start: at(time.start), end: at(time.end) });
        Some(words.collect()).filter(|words: &Vec<TimedWord>| !words.is_empty())
    }

    fn finish(mut self) -> Result<VecDeque<Said>> {
        let output_rate = self.output_rate;
        let at_rate = self.at_rate(output_rate)?;
        let (mut joined, mut resampled) = (Vec::new(), Vec::new());
        at_rate.pauses.finish(&mut joined);
        at_rate.resampler.push(&joined, &mut resampled);
        at_rate.resampler.finish(&mut resampled);
        Ok(short_blocks(&resampled, output_rate))
    }

    fn at_rate(&mut self, sample_rate: u32) -> Result<&mut AtRate> {
        let at_rate = match self.at_rate.take() {
            Some(at_rate) => at_rate,
            None => AtRate::new(sample_rate, self.output_rate, self.rest)?,
        };
        Ok(self.at_rate.insert(at_rate))
    }
}

fn short_blocks(samples: &[f32], sample_rate: u32) -> VecDeque<Said> {
    let longest = (sample_rate / BLOCKS_PER_SECOND).max(1) as usize;
    samples.chunks(longest).map(|block| Said::Sound(Pcm::new(block.to_vec(), sample_rate))).collect()
}

/// One file being written.
struct Encoding {
    speech: Pin<Box<dyn Stream<Item = Result<Said>> + Send>>,
    output: Output,
    /// Made with the first block; `None` too while a step works with it.
    encoder: Option<Box<dyn Encoder>>,
    ended: bool,
}

impl Encoding {
    async fn next(&mut self) -> Result<Option<Encoded>> {
        while !self.ended {
            let block = match self.speech.next().await.transpose()? {
                Some(Said::Words(words)) => return Ok(Some(Encoded::Words(words))),
                Some(Said::Sound(block)) => Some(block),
                None => None,
            };
            self.ended = block.is_none();
            let (output, known) = (self.output, self.encoder.take());
            let (bytes, encoder) = step(move || encode_block(output, known, block)).await?;
            self.encoder = Some(encoder);
            if !bytes.is_empty() {
                return Ok(Some(Encoded::Bytes(bytes.into())));
            }
        }
        Ok(None)
    }
}

/// The bytes that are ready with `block`, the last of which is `None`, and the encoder to go on with.
pub(super) fn encode_block(
    output: Output,
    known: Option<Box<dyn Encoder>>,
    block: Option<Pcm>,
) -> Result<(Vec<u8>, Box<dyn Encoder>)> {
    let sample_rate = block.as_ref().map_or(OUTPUT_SAMPLE_RATE, |block| block.sample_rate);
    let mut encoder = known.map_or_else(|| encoder(output, sample_rate), Ok)?;
    let mut bytes = Vec::new();
    match block {
        Some(block) => encoder.encode(&block.samples, &mut bytes)?,
        None => encoder.finish(&mut bytes)?,
    }
    Ok((bytes, encoder))
}

#[cfg(test)]
pub(super) mod tests;
