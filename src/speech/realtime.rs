//! One live session: sound goes in while it is made, and what is said comes out while it is said. Nothing here knows a
//! client.
//!
//! Sound is decoded, brought to 16 kHz and listened to for voices; nothing is recognised while nobody speaks. While
//! somebody does, the open utterance is recognised again and again, which gives [`Event::Interim`]s; when they stop it is
//! recognised as a whole, which gives its [`Event::Final`]. That begins with the first moment of silence, before anybody
//! knows whether more will come, so that the text is there when the utterance is over.

mod agreement;
mod ear;
mod line;
mod session;

use super::speakers::Diarization;
use crate::audio::decode::live::LiveFormat;
use crate::engine::{TranscribeOptions, TranscriberPool, TurnDetectorPool};
use crate::error::Result;
use crate::transcript::{Transcript, Word};
use bytes::Bytes;
use futures::{Stream, stream};
use session::Session;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// How a session listens. Can be changed while it lasts; what has begun keeps what it began with.
#[derive(Clone)]
pub struct Settings {
    /// The threads that transcribe.
    pub pool: Arc<TranscriberPool>,
    /// What the engine is to do. Words are always found.
    pub options: TranscribeOptions,
    /// The shortest time from one interim result to the next; it grows when engines are busy. `None` gives none.
    pub interim: Option<Duration>,
    /// When an utterance is over.
    pub ending: Ending,
    /// Tells by the sound whether speakers have finished, for [`Ending::Turn`]; without it the text has to do.
    pub turns: Option<Arc<TurnDetectorPool>>,
    /// From this probability on somebody speaks, in `0..=1`.
    pub threshold: f32,
    /// So much sound before a voice belongs to it.
    pub prefix: Duration,
}

impl Settings {
    /// Interim results four times a second, utterances that end with half a second of silence.
    pub fn new(pool: Arc<TranscriberPool>, options: TranscribeOptions) -> Self {
        Self {
            pool,
            options,
            interim: Some(Duration::from_millis(250)),
            ending: Ending::Silence(Duration::from_millis(500)),
            turns: None,
            threshold: 0.5,
            prefix: Duration::from_millis(300),
        }
    }
}

/// When an utterance is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ending {
    /// After so much silence; shorter ones than 200 ms count as that, because they are within words.
    Silence(Duration),
    /// When the speaker seems to have finished: what they said reads like it, their voice sounds like it, and the pause
    /// grows. Every look at a pause is an [`Event::Pause`].
    Turn {
        /// Over from this confidence on; above 1 never by confidence.
        confidence: f32,
        /// Over after so much silence, whatever the confidence.
        timeout: Duration,
    },
    /// When the client says so, and when there is no room for more.
    Never,
}

/// A session at its beginning.
#[derive(Clone)]
pub struct Request {
    /// How it listens.
    pub settings: Settings,
    /// How the sound is written down.
    pub format: LiveFormat,
    /// Whether every channel is listened to by itself; otherwise they are mixed.
    pub apart: bool,
    /// Tells who speaks.
    pub diarization: Option<Diarization>,
    /// So long after a word the client wants to know that nobody has said another.
    pub utterance_end: Option<Duration>,
    /// So often there is a final result without text while nobody speaks.
    pub silence: Option<Duration>,
    /// So often in the time of the sound there is an [`Event::Tick`].
    pub tick: Option<Duration>,
}

impl Request {
    /// All channels mixed, nobody told apart, no news of silence.
    pub fn new(settings: Settings, format: LiveFormat) -> Self {
        let (utterance_end, silence, tick) = (None, None, None);
        Self { settings, format, apart: false, diarization: None, utterance_end, silence, tick }
    }
}

/// What is heard. All times are from the start of the sound. The events of a channel come in order: what comes after a
/// [`Event::Final`] is later in the sound.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody begins to speak; an utterance is open until its [`Event::Ended`].
    Started {
        /// The channel, counted from 0.
        channel: u32,
        /// Where the utterance begins: the voice, less [`Settings::prefix`].
        at: Duration,
    },
    /// What has been understood so far of the open utterance since the last [`Event::Final`].
    Interim {
        /// The channel, counted from 0.
        channel: u32,
        /// From the end of the last final result to the end of what was listened to.
        span: Range<Duration>,
        /// The words, with who says them unknown.
        words: Vec<Word>,
        /// So many words at the beginning were the same the last times and stay as they are until the final result.
        settled: usize,
        /// ISO 639-1 code of the language, when it is known.
        language: Option<String>,
    },
    /// A look at a pause in the open utterance, with [`Ending::Turn`] only: the words are those that the final result will
    /// have if nothing more is said, unless the client makes it end before.
    Pause {
        /// The channel, counted from 0.
        channel: u32,
        /// The words since the last [`Event::Final`]; there may be none.
        words: Vec<Word>,
        /// How likely the speaker has finished, in `0..1`.
        confidence: f32,
        /// The end of what was listened to.
        at: Duration,
    },
    /// The pause is over: after an [`Event::Pause`] somebody goes on speaking.
    Resumed {
        /// The channel, counted from 0.
        channel: u32,
    },
    /// The open utterance is over. Its last [`Event::Final`] follows.
    Ended {
        /// The channel, counted from 0.
        channel: u32,
        /// Where it ends: the voice, and a little behind it.
        at: Duration,
        /// Why.
        why: Why,
        /// How likely the speaker had finished, in `0..=1`; 0 unless the utterance could end in that way.
        confidence: f32,
    },
    /// What is said in a stretch of sound. It never changes. The spans of a channel follow each other without gaps from the
    /// start of the sound to its end.
    Final {
        /// The channel, counted from 0.
        channel: u32,
        /// The stretch.
        span: Range<Duration>,
        /// What is said in it.
        transcript: Transcript,
        /// Why it ends here.
        why: Why,
    },
    /// Nobody has said another word for [`Request::utterance_end`] after one that is final.
    UtteranceEnd {
        /// The channel, counted from 0.
        channel: u32,
        /// Where that word ends.
        last_word: Duration,
    },
    /// What [`Listener::forget`] asked for is done. What was said before it and is not final is void.
    Forgotten,
    /// Another [`Request::tick`] of sound has been listened to.
    Tick {
        /// All of the sound until then.
        at: Duration,
    },
    /// Everything has been said of the sound, which is so long. Nothing comes after it.
    Over {
        /// How long the sound is.
        duration: Duration,
        /// How many channels it has.
        channels: u32,
    },
}

/// Why a result is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The utterance is over: a pause was long enough.
    Silence,
    /// The utterance is over: the speaker seems to have finished.
    Finished,
    /// The utterance goes on, and is too long to be open as a whole.
    Cut,
    /// The client has asked for it.
    Asked,
    /// The sound is over.
    Closed,
    /// Nobody speaks; there is no text.
    Nobody,
}

/// Where the sound goes in. Dropping it ends the sound: what is open is recognised, and then the stream of events ends with
/// [`Event::Over`].
pub struct Listener {
    commands: UnboundedSender<Command>,
    waiting: Arc<AtomicUsize>,
}

enum Command {
    Hear(Bytes),
    Finalize,
    Forget,
    Change(Box<Settings>),
}

impl Listener {
    /// Adds sound.
    pub fn hear(&self, sound: impl Into<Bytes>) {
        let sound = sound.into();
        if !sound.is_empty() {
            self.waiting.fetch_add(sound.len(), Ordering::Relaxed);
            self.send(Command::Hear(sound));
        }
    }

    /// Has everything so far recognised, and its final result given, with [`Why::Asked`]: on every channel one, also when
    /// there is nothing to say.
    pub fn finalize(&self) {
        self.send(Command::Finalize);
    }

    /// Forgets the sound of which nothing final has been said, and final results that have not been given. An open utterance
    /// ends without a text. Then comes [`Event::Forgotten`].
    pub fn forget(&self) {
        self.send(Command::Forget);
    }

    /// Listens as `settings` say from here on.
    pub fn change(&self, settings: Settings) {
        self.send(Command::Change(Box::new(settings)));
    }

    fn send(&self, command: Command) {
        // Nobody listens any more when the stream is gone, and so nobody misses it.
        let _ = self.commands.send(command);
    }

    /// About how many bytes of sound wait to be listened to.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Begins to listen.
///
/// # Errors
/// As an item, after which the stream ends: `InvalidAudio` for sound that cannot be decoded, and whatever the engine says.
///
/// # Cancel safety
/// Dropping the stream cancels what the engines work on.
pub fn listen(request: Request) -> (Listener, impl Stream<Item = Result<Event>> + Send + 'static) {
    let (sender, commands) = unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let session = Session::new(request, commands, waiting.clone());
    let events = stream::try_unfold(session, |mut session| async move {
        let event = session.next().await?;
        Ok(event.map(|event| (event, session)))
    });
    (Listener { commands: sender, waiting }, events)
}

#[cfg(all(test, feature = "espeak", feature = "whisper"))]
mod tests;
