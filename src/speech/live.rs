//! Speech of a text that is still being written: bits of text go in, and sound comes out as soon as there is a clause to
//! say. Nothing here knows a client.

use super::live_text::LiveText;
use super::script::{Part, Script};
use super::speak::{Request, Said, TimedWord, encode_block, speak};
use super::step;
use crate::audio::Pcm;
use crate::audio::encode::{Encoder, Output};
use crate::engine::SynthesizerPool;
use crate::engine::pool::Priority;
use crate::error::Result;
use crate::telemetry;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What a bit of text or a mark counts for besides its own bytes, until it is looked at.
const OVERHEAD: usize = 64;

/// Who speaks, how, and how it is written.
#[derive(Clone)]
pub struct LiveVoice {
    /// The threads that speak.
    pub pool: Arc<SynthesizerPool>,
    /// How to speak; the script in it says nothing.
    pub request: Request,
    /// Factor of the loudness.
    pub volume: f32,
    /// How the sound is written, as one file from beginning to end.
    pub output: Output,
    /// How urgent it is.
    pub priority: Priority,
    /// How long text waits for the rest of its clause; `None` is until it comes.
    pub patience: Option<Duration>,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Live<M> {
    /// The next bytes of the sound; there are always some.
    Bytes(Bytes),
    /// When the words of a piece of text are said; some of their sound may still come.
    Words {
        /// The piece.
        text: Arc<str>,
        /// Where the words are in it, and when they are said from the beginning of all sound on.
        words: Vec<TimedWord>,
    },
    /// Everything written before this mark has come out.
    Mark(M),
}

enum Command<M> {
    Write(String),
    Mark(M),
}

/// Where the text goes in. Dropping it ends the text: what is left is said, and then the stream ends.
pub struct LiveWriter<M> {
    commands: UnboundedSender<Command<M>>,
    waiting: Arc<AtomicUsize>,
}

impl<M> LiveWriter<M> {
    /// Adds what comes next.
    pub fn write(&self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.send(text.len(), Command::Write(text));
        }
    }

    /// Has everything written so far said now, however it ends, and then `mark` given.
    pub fn mark(&self, mark: M) {
        self.send(0, Command::Mark(mark));
    }

    fn send(&self, bytes: usize, command: Command<M>) {
        self.waiting.fetch_add(bytes + OVERHEAD, Ordering::Relaxed);
        // Nobody listens any more when the stream is gone, and so nobody misses it.
        let _ = self.commands.send(command);
    }

    /// About how many bytes of memory wait: text that no engine has been given yet.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Speaks what is written in `voice`, once that is there.
///
/// # Errors
/// As an item, after which the stream ends: that of `voice`, those of [`speak`] and of encoding.
///
/// # Cancel safety
/// Dropping the stream cancels what the engine works on.
pub fn live<M: Send + 'static>(
    voice: impl Future<Output = Result<LiveVoice>> + Send + 'static,
) -> (LiveWriter<M>, impl Stream<Item = Result<Live<M>>> + Send + 'static) {
    let (sender, commands) = unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let counted = waiting.clone();
    let speech = async move { Ok(Speech::new(voice.await?, commands, counted)) };
    let said = stream::once(speech).map_ok(|speech| {
        stream::try_unfold(speech, |mut speech| async move { Ok(speech.next().await?.map(|live| (live, speech))) })
    });
    (LiveWriter { commands: sender, waiting }, said.try_flatten())
}

struct Speech<M> {
    voice: LiveVoice,
    commands: UnboundedReceiver<Command<M>>,
    waiting: Arc<AtomicUsize>,
    text: LiveText,
    /// What to give when the text before it is said; nothing behind it is looked at until then.
    mark: Option<M>,
    /// Whether no more text will come.
    is_complete: bool,
    /// The piece that is being said.
    said: Option<Piece>,
    /// How many samples there were before that piece, and in it so far.
    samples: u64,
    /// Made with the first sound; `None` too while a step works with it.
    encoder: Option<Box<dyn Encoder>>,
    is_over: bool,
}

struct Piece {
    text: Arc<str>,
    begin: Duration,
    said: BoxStream<'static, Result<Said>>,
}

impl<M> Speech<M> {
    fn new(voice: LiveVoice, commands: UnboundedReceiver<Command<M>>, waiting: Arc<AtomicUsize>) -> Self {
        Self {
            voice,
            commands,
            waiting,
            text: LiveText::default(),
            mark: None,
            is_complete: false,
            said: None,
            samples: 0,
            encoder: None,
            is_over: false,
        }
    }

    async fn next(&mut self) -> Result<Option<Live<M>>> {
        while !self.is_over {
            let next = match &mut self.said {
                Some(piece) => match piece.said.next().await.transpose()? {
                    Some(Said::Sound(block)) => self.encode(Some(block)).await?,
                    Some(Said::Words(words)) => Some(piece.words(words)),
                    None => {
                        self.said = None;
                        None
                    }
                },
                None => self.go_on().await?,
            };
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(None)
    }

    /// Begins the next piece, or waits for what makes one.
    async fn go_on(&mut self) -> Result<Option<Live<M>>> {
        while self.mark.is_none() && !self.is_complete {
            match self.commands.try_recv() {
                Ok(command) => self.take(Some(command)),
                Err(_) if self.commands.is_closed() && self.commands.is_empty() => self.take(None),
                Err(_) => break,
            }
        }
        let is_all = self.mark.is_some() || self.is_complete;
        let before = self.text.waiting();
        let piece = if is_all { self.text.rest() } else { self.text.ready() };
        self.waiting.fetch_sub(before - self.text.waiting(), Ordering::Relaxed);
        if let Some(piece) = piece {
            self.say(piece);
            return Ok(None);
        }
        if let Some(mark) = self.mark.take() {
            return Ok(Some(Live::Mark(mark)));
        }
        if self.is_complete {
            self.is_over = true;
            return if self.encoder.is_some() { self.encode(None).await } else { Ok(None) };
        }
        match self.voice.patience.filter(|_| self.text.waiting() > 0) {
            None => {
                let command = self.commands.recv().await;
                self.take(command);
            }
            Some(patience) => match tokio::time::timeout(patience, self.commands.recv()).await {
                Ok(command) => self.take(command),
                Err(_) => self.say_rest(),
            },
        }
        Ok(None)
    }

    /// Says all text that there is.
    fn say_rest(&mut self) {
        self.waiting.fetch_sub(self.text.waiting(), Ordering::Relaxed);
        if let Some(piece) = self.text.rest() {
            self.say(piece);
        }
    }

    fn take(&mut self, command: Option<Command<M>>) {
        if command.is_some() {
            self.waiting.fetch_sub(OVERHEAD, Ordering::Relaxed);
        }
        match command {
            Some(Command::Write(text)) => self.text.push(&text),
            Some(Command::Mark(mark)) => self.mark = Some(mark),
            None => self.is_complete = true,
        }
    }

    fn say(&mut self, text: String) {
        let mut script = Script::plain(text);
        for part in &mut script.parts {
            if let Part::Say(run) = part {
                run.style.volume *= self.voice.volume;
            }
        }
        let sample_rate = u64::from(self.voice.request.sample_rate);
        let begin = Duration::from_micros(self.samples * 1_000_000 / sample_rate.max(1));
        let text: Arc<str> = script.text.as_str().into();
        let request = Request { script, ..self.voice.request.clone() };
        let said = speak(self.voice.pool.clone(), request, self.voice.priority).boxed();
        self.said = Some(Piece { text, begin, said });
    }

    /// The bytes that are ready with `block`, the last of which is `None`.
    async fn encode(&mut self, block: Option<Pcm>) -> Result<Option<Live<M>>> {
        if let Some(block) = &block {
            self.samples += block.samples.len() as u64;
            telemetry::audio_seconds("out", block.duration());
        }
        let (output, known) = (self.voice.output, self.encoder.take());
        let (bytes, encoder) = step(move || encode_block(output, known, block)).await?;
        self.encoder = Some(encoder);
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()).map(|bytes| Live::Bytes(bytes.into())))
    }
}

impl Piece {
    fn words<M>(&self, mut words: Vec<TimedWord>) -> Live<M> {
        for word in &mut words {
            word.start += self.begin;
            word.end += self.begin;
        }
        Live::Words { text: self.text.clone(), words }
    }
}

#[cfg(test)]
#[path = "live/tests.rs"]
mod tests;
