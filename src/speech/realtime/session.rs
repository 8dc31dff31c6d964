//! The session itself: it takes sound and wishes in, gives engines work, and tells what comes of it.
//!
//! Sound is listened to in bits of 50 ms, each far below a millisecond of work, so that is done where it is; decoding what
//! is in a container is not.

use super::ear::{Act, time};
use super::line::{Line, Look, Prepared, Work};
use super::{Command, Ending, Event, Request, Settings, Why};
use crate::audio::Pcm;
use crate::audio::decode::live::{LiveDecoder, LiveFormat};
use crate::engine::pool::Priority;
use crate::engine::{SPEECH_SAMPLE_RATE, TranscribeOptions};
use crate::error::{Error, Kind, Result};
use crate::speech::chunk::Piece;
use crate::speech::speakers::Voices;
use crate::speech::transcribe::{self, Heard, recognise};
use crate::speech::{step, turn};
use crate::telemetry;
use crate::transcript::{Transcript, Word};
use bytes::Bytes;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// How much is listened to at once, in samples: 50 ms.
const BIT: usize = SPEECH_SAMPLE_RATE as usize / 20;

/// How much is decoded at once, in bytes.
const DECODED_AT_ONCE: usize = 8 << 10;

/// With so many results of a channel untold no more is listened to.
const MOST_UNTOLD: usize = 32;

/// How much longer than the last guess took it is to the next: engines are to have time for others.
const REST: f64 = 1.2;

/// How much of the sound is listened to when somebody pauses.
const LISTENED_TO: Duration = Duration::from_secs(8);

/// How long work for which there was no room waits before it is tried again.
const RETRY: Duration = Duration::from_millis(50);

pub(super) struct Session {
    request: Request,
    commands: UnboundedReceiver<Command>,
    waiting: Arc<AtomicUsize>,
    /// `None` until there is sound, while a step has it, and when the sound is over.
    decoder: Option<LiveDecoder>,
    /// Sound that is not decoded yet.
    undecoded: VecDeque<Bytes>,
    /// Sound of each channel that is not listened to yet.
    unheard: Vec<VecDeque<f32>>,
    lines: Vec<Line>,
    working: FuturesUnordered<BoxFuture<'static, Option<Done>>>,
    events: VecDeque<Event>,
    next_id: u64,
    /// When the next [`Event::Tick`] is due.
    ticked: Duration,
    stage: Stage,
    _counted: Counted,
}

#[derive(PartialEq)]
enum Stage {
    Listening,
    /// No more sound comes; what is open is on its way.
    Ending,
    Over,
}

/// What an engine, or a wait, has come to.
struct Done {
    channel: usize,
    id: u64,
    result: Outcome,
}

enum Outcome {
    Guess { result: Result<Transcript>, begun: Duration, end: Duration, took: Duration },
    Heard(Result<Heard>),
    Look(Result<f32>),
}

/// Counts the session as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        telemetry::session(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        telemetry::session(-1.0);
    }
}

impl Session {
    pub(super) fn new(request: Request, commands: UnboundedReceiver<Command>, waiting: Arc<AtomicUsize>) -> Self {
        Self {
            request,
            commands,
            waiting,
            decoder: None,
            undecoded: VecDeque::new(),
            unheard: Vec::new(),
            lines: Vec::new(),
            working: FuturesUnordered::new(),
            events: VecDeque::new(),
            next_id: 0,
            ticked: Duration::ZERO,
            stage: Stage::Listening,
            _counted: Counted::new(),
        }
    }

    /// The next event; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            self.tell();
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            match self.stage {
                Stage::Over => return Ok(None),
                Stage::Ending if self.lines.iter().all(|line| line.untold() == 0) => {
                    self.stage = Stage::Over;
                    let duration = self.duration();
                    telemetry::audio_seconds("in", duration);
                    return Ok(Some(Event::Over { duration, channels: self.lines.len().max(1) as u32 }));
                }
                _ => self.go_on().await?,
            }
        }
    }

    /// All of the sound so far.
    fn duration(&self) -> Duration {
        self.lines.first().map_or(Duration::ZERO, |line| time(line.ear.now()))
    }

    /// Moves what is known to what is told.
    fn tell(&mut self) {
        for line in &mut self.lines {
            while let Some(event) = line.next(self.request.utterance_end) {
                self.events.push_back(event);
            }
        }
    }

    /// Does the next thing there is to do, or waits for something.
    async fn go_on(&mut self) -> Result<()> {
        if self.may_listen() {
            if self.listen_to_a_bit().await? {
                // Answers of engines come between two bits of sound.
                while let Some(Some(done)) = self.working.next().now_or_never() {
                    self.take(done)?;
                }
                return Ok(());
            }
            if let Some(bytes) = self.undecoded.pop_front() {
                return self.decode(bytes).await;
            }
        }
        let may_obey = self.may_listen() && self.stage == Stage::Listening;
        tokio::select! {
            biased;
            Some(done) = self.working.next(), if !self.working.is_empty() => self.take(done),
            command = self.commands.recv(), if may_obey => self.obey(command).await,
            else => Err(Error::new(Kind::Internal, "a live session waits for nothing")),
        }
    }

    /// Whether there is room for what comes of more sound.
    fn may_listen(&self) -> bool {
        self.lines.iter().all(|line| line.look.is_none() && line.untold() < MOST_UNTOLD)
    }

    async fn obey(&mut self, command: Option<Command>) -> Result<()> {
        match command {
            Some(Command::Hear(sound)) => {
                let mut sound = sound;
                while !sound.is_empty() {
                    let part = match self.request.format {
                        // A message is a packet.
                        LiveFormat::Opus { .. } => sound.len(),
                        _ => sound.len().min(DECODED_AT_ONCE),
                    };
                    self.undecoded.push_back(sound.split_to(part));
                }
            }
            Some(Command::Finalize) => self.finalize(Why::Asked).await?,
            Some(Command::Forget) => {
                self.lines.iter_mut().for_each(Line::forget);
                self.events.push_back(Event::Forgotten);
            }
            Some(Command::Change(settings)) => {
                self.request.settings = *settings;
                self.lines.iter_mut().for_each(|line| line.ear.change(&self.request.settings));
            }
            None => self.end().await?,
        }
        Ok(())
    }

    /// The sound is over.
    async fn end(&mut self) -> Result<()> {
        if let Some(mut decoder) = self.decoder.take() {
            let rest = step(move || {
                let mut rest = Vec::new();
                decoder.finish(&mut rest).map(|()| rest)
            });
            let rest = rest.await?;
            self.add(rest).await?;
            while self.listen_to_a_bit().await? {}
        }
        self.finalize(Why::Closed).await?;
        self.stage = Stage::Ending;
        Ok(())
    }

    async fn finalize(&mut self, why: Why) -> Result<()> {
        if self.lines.is_empty() && why == Why::Asked {
            // There is nothing to say of no sound; but the client waits for it.
            self.add(vec![Vec::new()]).await?;
        }
        for channel in 0..self.lines.len() {
            let mut acts = Vec::new();
            self.lines[channel].ear.finalize(why, &mut acts);
            self.act(channel, acts);
        }
        Ok(())
    }

    async fn decode(&mut self, bytes: Bytes) -> Result<()> {
        let (format, apart) = (self.request.format, self.request.apart);
        let decoder = self.decoder.take();
        let count = bytes.len();
        let work = move || {
            let mut decoder = decoder.map_or_else(|| LiveDecoder::new(format, apart, SPEECH_SAMPLE_RATE), Ok)?;
            let mut sound = Vec::new();
            decoder.push(&bytes, &mut sound)?;
            Ok((decoder, sound))
        };
        let (decoder, sound) = match format {
            LiveFormat::Raw(_) => work()?,
            _ => step(work).await?,
        };
        self.decoder = Some(decoder);
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        self.add(sound).await
    }

    /// Adds decoded sound, channel by channel.
    async fn add(&mut self, sound: Vec<Vec<f32>>) -> Result<()> {
        while self.lines.len() < sound.len() {
            let voices = match &self.request.diarization {
                Some(diarization) => Some(Voices::new(diarization, Priority::Realtime).await?),
                None => None,
            };
            self.lines.push(Line::new(self.lines.len() as u32, &self.request.settings, voices));
            self.unheard.push(VecDeque::new());
        }
        for (unheard, samples) in self.unheard.iter_mut().zip(sound) {
            unheard.extend(samples);
        }
        Ok(())
    }

    /// Listens to the next bit of every channel; false when there is none.
    async fn listen_to_a_bit(&mut self) -> Result<bool> {
        if self.unheard.iter().all(VecDeque::is_empty) {
            return Ok(false);
        }
        for channel in 0..self.lines.len() {
            let count = self.unheard[channel].len().min(BIT);
            let bit: Vec<f32> = self.unheard[channel].drain(..count).collect();
            let mut acts = Vec::new();
            self.lines[channel].ear.hear(&bit, &self.request.settings, self.request.silence, &mut acts);
            self.act(channel, acts);
            self.guess(channel);
        }
        if let Some(tick) = self.request.tick
            && self.duration() >= self.ticked + tick
        {
            self.ticked += tick;
            self.events.push_back(Event::Tick { at: self.duration() });
        }
        tokio::task::yield_now().await;
        Ok(true)
    }

    fn act(&mut self, channel: usize, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Tell(event) => self.lines[channel].tell(event),
                Act::Prepare(piece) => {
                    let work = self.recognise(channel, piece);
                    // It knows more than a guess that is being made.
                    self.lines[channel].guess = None;
                    self.lines[channel].prepared = Some(Prepared { work, heard: None });
                }
                Act::Resume => self.resume(channel),
                Act::Look => self.look(channel),
                Act::Finish { piece: Some(piece), span, why, .. } => {
                    let work = self.recognise(channel, piece);
                    self.lines[channel].expect(Some(work), span, why);
                }
                Act::Finish { is_prepared: true, span, why, .. } => self.lines[channel].expect_prepared(span, why),
                Act::Finish { span, why, .. } => self.lines[channel].expect(None, span, why),
            }
        }
    }

    fn resume(&mut self, channel: usize) {
        let line = &mut self.lines[channel];
        let was_told = line.prepared.take().is_some() && matches!(self.request.settings.ending, Ending::Turn { .. });
        line.look = None;
        if was_told {
            line.tell(Event::Resumed { channel: channel as u32 });
        }
    }

    /// Has an engine recognise what may be final.
    fn recognise(&mut self, channel: usize, piece: Piece) -> Work {
        let Settings { pool, options, .. } = &self.request.settings;
        let expected_language = self.lines[channel].language.clone();
        let options = TranscribeOptions { expected_language, ..options.clone() };
        let mut request = transcribe::Request::new(options, Priority::Realtime);
        request.diarization = self.request.diarization.clone();
        let pool = pool.clone();
        // What an engine failed at once may be well the next time: it has been built anew.
        let heard = async move {
            match recognise(pool.clone(), request.clone(), piece.clone()).await {
                Err(error) if error.kind() == Kind::Internal => recognise(pool, request, piece).await,
                heard => heard,
            }
        };
        self.work(channel, heard.map(Outcome::Heard))
    }

    /// Begins a guess at what is being said, if it is time for one.
    fn guess(&mut self, channel: usize) {
        let Settings { pool, options, interim, .. } = &self.request.settings;
        let (Some(interim), line) = (*interim, &mut self.lines[channel]) else { return };
        if line.guess.is_some() || line.untold() > 0 || line.prepared.is_some() {
            return;
        }
        let period = interim.max(line.guess_took.mul_f64(REST));
        let Some(begun) = line.ear.begun() else { return };
        let Some(sound) = line.ear.guess(period, &self.request.settings) else { return };
        let expected_language = line.language.clone();
        let options = TranscribeOptions { words: true, hasty: true, expected_language, ..options.clone() };
        let (pool, end, asked) = (pool.clone(), time(line.ear.now()), Instant::now());
        let guess = async move {
            let sound: Pcm = sound;
            let result = pool.run(Priority::Interim, move |engine, cancel| engine.transcribe(&sound, &options, cancel));
            Outcome::Guess { result: result.await, begun, end, took: asked.elapsed() }
        };
        let work = self.work(channel, guess);
        self.lines[channel].guess = Some(work);
    }

    /// Looks at a pause: needs what is said, and how it sounds, where something can tell.
    fn look(&mut self, channel: usize) {
        let mut look = Look::default();
        if let Some(turns) = self.request.settings.turns.clone() {
            let sound = self.lines[channel].ear.latest(LISTENED_TO);
            let finished = async move {
                let finished = turns.run(Priority::Realtime, move |engine, cancel| engine.finished(&sound, cancel));
                Outcome::Look(finished.await)
            };
            look.work = Some(self.work(channel, finished));
        }
        self.lines[channel].look = Some(look);
        self.decide(channel);
    }

    /// Decides whether a turn is over once everything is known for that.
    fn decide(&mut self, channel: usize) {
        let line = &mut self.lines[channel];
        let Some(Look { work: None, sound }) = &line.look else { return };
        let Some(Prepared { heard: Some(heard), .. }) = &line.prepared else { return };
        let text = heard.transcript.text();
        let confidence = turn::confidence(line.ear.quiet_for(), &text, *sound);
        let words = heard.transcript.words().cloned().collect();
        line.look = None;
        line.tell(Event::Pause { channel: channel as u32, words, confidence, at: time(line.ear.now()) });
        let is_over =
            matches!(self.request.settings.ending, Ending::Turn { confidence: enough, .. } if confidence >= enough);
        if is_over && !text.is_empty() {
            let mut acts = Vec::new();
            line.ear.over(Why::Finished, confidence, &mut acts);
            self.act(channel, acts);
        }
    }

    /// Has `work` done until the handle is dropped.
    fn work(&mut self, channel: usize, work: impl Future<Output = Outcome> + Send + 'static) -> Work {
        let id = self.next_id;
        self.next_id += 1;
        let (handle, registration) = AbortHandle::new_pair();
        let work = Abortable::new(work, registration);
        self.working.push(async move { work.await.ok().map(|result| Done { channel, id, result }) }.boxed());
        Work { id, handle }
    }

    /// Takes what an engine has come to.
    fn take(&mut self, done: Option<Done>) -> Result<()> {
        let Some(Done { channel, id, result }) = done else { return Ok(()) };
        match result {
            Outcome::Guess { result, begun, end, took } => self.take_guess(channel, id, result, (begun, end), took),
            Outcome::Heard(heard) => {
                let line = &mut self.lines[channel];
                if let Some(heard) = line.take(id, heard?) {
                    let (words, end) = (heard.transcript.words().cloned().collect(), time(line.ear.now()));
                    let event = line.understand(words, heard.transcript.language, end);
                    self.events.extend(event.filter(|_| self.request.settings.interim.is_some()));
                    self.decide(channel);
                }
            }
            Outcome::Look(finished) => {
                if let Some(look) = &mut self.lines[channel].look {
                    (look.work, look.sound) = (None, Some(finished?));
                }
                self.decide(channel);
            }
        }
        Ok(())
    }

    fn take_guess(
        &mut self,
        channel: usize,
        id: u64,
        result: Result<Transcript>,
        (begun, end): (Duration, Duration),
        took: Duration,
    ) {
        let line = &mut self.lines[channel];
        if line.guess.as_ref().is_none_or(|work| work.id != id) {
            return;
        }
        (line.guess, line.guess_took) = (None, took);
        match result {
            Ok(mut transcript) => {
                transcript.map_times(|time| begun + time);
                let mut words: Vec<Word> = transcript.words().cloned().collect();
                words.last_mut().into_iter().for_each(leave_open);
                self.events.extend(line.understand(words, transcript.language, end));
            }
            // There will be another.
            Err(error) if matches!(error.kind(), Kind::Overloaded | Kind::Cancelled) => {
                line.guess_took = took.max(RETRY)
            }
            Err(error) => log_guess(&error),
        }
        self.guess(channel);
    }
}

/// Takes the full stop off a word after which somebody goes on speaking: models end every text with one.
fn leave_open(word: &mut Word) {
    let length = word.text.trim_end_matches(['.', '!', '?', '。', '！', '？']).len();
    if length > 0 {
        word.text.truncate(length);
    }
}

fn log_guess(error: &Error) {
    tracing::warn!(%error, "an interim result could not be had");
}
