//! One channel of a session: where utterances begin and end, and what is to be recognised when. No engines, no clocks: all
//! time is that of the sound.

use super::{Ending, Event, Settings, Why};
use crate::audio::{Pcm, samples_to_duration};
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::speech::chunk::{Boundary, Endpointer, EndpointerOptions, Piece, quietest, samples_in, seconds};
use crate::speech::turn::FIRST_LOOK;
use std::ops::Range;
use std::time::Duration;

/// So much silence is where an utterance may be over: shorter ones are within words, and between those of a phrase.
const PAUSE: Duration = FIRST_LOOK;

/// So much behind the voice belongs to the utterance.
const BEHIND: Duration = Duration::from_millis(200);

/// While nobody asks for an end, so much silence parts what is recognised together.
const PART: Duration = Duration::from_millis(600);

/// From look to look at a pause.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The longest utterance that is open as a whole, in samples.
const LONGEST: u64 = seconds(12);

/// It is cut in its quietest place before the last second of so much of its end, in samples.
const CUT_WITHIN: u64 = seconds(5);

/// There must be so much of a voice before it is worth a guess.
const FIRST_GUESS: Duration = Duration::from_millis(240);

/// A sound that is no utterance so far may turn out to have begun one, so long ago.
const UNSURE: Duration = Duration::from_millis(500);

/// What is to be done.
pub(super) enum Act {
    /// Tell the client, behind what is still being recognised.
    Tell(Event),
    /// Begin to recognise the utterance as if it were over.
    Prepare(Piece),
    /// It goes on: what was prepared is useless.
    Resume,
    /// Look at the pause, and listen to nothing until that is done.
    Look,
    /// Recognise what is said in the span, or use what was prepared; nothing when there is neither.
    Finish {
        /// `None` where nobody speaks, and where it is what was prepared.
        piece: Option<Piece>,
        /// Whether the text is that of what was prepared.
        is_prepared: bool,
        /// In samples of the sound.
        span: Range<u64>,
        why: Why,
    },
}

/// One channel.
pub(super) struct Ear {
    channel: u32,
    endpointer: Endpointer,
    /// The sound from `base` on.
    samples: Vec<f32>,
    base: u64,
    /// Up to here it has been said what is said.
    told: u64,
    open: Option<Open>,
    /// Whether the client has been told that somebody began, and not yet that they ended.
    is_announced: bool,
}

/// An utterance that goes on.
struct Open {
    begin: u64,
    /// Where the last guess ended.
    guessed: u64,
    /// Whether there is silence now, in which it might end.
    is_paused: bool,
    /// How long the silence was at the last look.
    looked: Duration,
}

impl Ear {
    pub(super) fn new(channel: u32, settings: &Settings) -> Self {
        let endpointer = Endpointer::new(options(settings));
        Self { channel, endpointer, samples: Vec::new(), base: 0, told: 0, open: None, is_announced: false }
    }

    /// From here on it listens as `settings` say.
    pub(super) fn change(&mut self, settings: &Settings) {
        self.endpointer.change(options(settings));
    }

    /// All sound so far, in samples.
    pub(super) fn now(&self) -> u64 {
        self.base + self.samples.len() as u64
    }

    /// Up to here it has been said what is said.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Listens to the next `samples`, at most some 50 ms.
    pub(super) fn hear(
        &mut self,
        samples: &[f32],
        settings: &Settings,
        silence: Option<Duration>,
        acts: &mut Vec<Act>,
    ) {
        self.samples.extend_from_slice(samples);
        let mut found = Vec::new();
        self.endpointer.push(samples, &mut found);
        for boundary in found {
            if let Boundary::Begin(begin) = boundary {
                self.begin(begin, acts);
            }
        }
        if self.open.is_some() {
            self.watch(settings, acts);
        } else if let Some(silence) = silence {
            self.tell_silence(silence, settings, acts);
        }
        self.trim(settings);
    }

    fn begin(&mut self, begin: u64, acts: &mut Vec<Act>) {
        self.open = Some(Open { begin, guessed: begin, is_paused: false, looked: Duration::ZERO });
        if !self.is_announced {
            self.is_announced = true;
            acts.push(Act::Tell(Event::Started { channel: self.channel, at: time(begin) }));
        }
    }

    /// Looks whether the utterance has paused, goes on, is over or too long.
    fn watch(&mut self, settings: &Settings, acts: &mut Vec<Act>) {
        let (quiet, now) = (self.endpointer.quiet_for(), self.now());
        let Some(open) = &mut self.open else { return };
        let begin = open.begin;
        if open.is_paused && quiet < PAUSE {
            (open.is_paused, open.looked) = (false, Duration::ZERO);
            acts.push(Act::Resume);
        }
        if !open.is_paused && quiet >= PAUSE {
            open.is_paused = true;
            let place = begin..self.end_of_voice();
            acts.push(Act::Prepare(self.piece(place)));
        }
        match settings.ending {
            Ending::Silence(silence) if quiet >= silence.max(PAUSE) => self.over(Why::Silence, 0.0, acts),
            Ending::Turn { timeout, .. } if quiet >= timeout.max(PAUSE) => self.over(Why::Silence, 0.0, acts),
            Ending::Turn { .. } => self.look_again(quiet, acts),
            Ending::Never if quiet >= PART => self.part(acts),
            _ => {}
        }
        if self.open.is_some() && now - begin > LONGEST {
            self.cut(acts);
        }
    }

    fn look_again(&mut self, quiet: Duration, acts: &mut Vec<Act>) {
        let Some(open) = self.open.as_mut().filter(|open| open.is_paused) else { return };
        if quiet >= open.looked + LOOK_AGAIN {
            open.looked = quiet;
            acts.push(Act::Look);
        }
    }

    /// How long nobody has spoken in the open utterance.
    pub(super) fn quiet_for(&self) -> Duration {
        self.endpointer.quiet_for()
    }

    /// The last `length` of the sound, or what is kept of it.
    pub(super) fn latest(&self, length: Duration) -> Pcm {
        let from = self.samples.len().saturating_sub(samples_in(length) as usize);
        Pcm::new(self.samples[from..].to_vec(), SPEECH_SAMPLE_RATE)
    }

    /// Ends the open utterance.
    pub(super) fn over(&mut self, why: Why, confidence: f32, acts: &mut Vec<Act>) {
        let end = self.end_of_voice();
        self.ended(end, why, confidence, acts);
        self.finish(end, why, acts);
        self.endpointer.close(end);
    }

    fn ended(&mut self, end: u64, why: Why, confidence: f32, acts: &mut Vec<Act>) {
        if std::mem::take(&mut self.is_announced) {
            acts.push(Act::Tell(Event::Ended { channel: self.channel, at: time(end), why, confidence }));
        }
    }

    /// Has what is open up to `end` recognised.
    fn finish(&mut self, end: u64, why: Why, acts: &mut Vec<Act>) {
        let open = self.open.take();
        let is_prepared = open.as_ref().is_some_and(|open| open.is_paused);
        let piece = open.filter(|_| !is_prepared).map(|open| self.piece(open.begin..end));
        acts.push(Act::Finish { piece, is_prepared, span: self.told..end, why });
        self.told = end;
    }

    /// Has recognised what was said, although the client has not asked for an end.
    fn part(&mut self, acts: &mut Vec<Act>) {
        let end = self.end_of_voice();
        self.finish(end, Why::Cut, acts);
        self.endpointer.close(end);
    }

    /// Has the beginning of a long utterance recognised.
    fn cut(&mut self, acts: &mut Vec<Act>) {
        let now = self.now();
        let cut = quietest(&self.samples, self.base, now - CUT_WITHIN..now - seconds(1)).at;
        let Some(open) = &mut self.open else { return };
        let begin = std::mem::replace(&mut open.begin, cut);
        (open.guessed, open.is_paused) = (cut, false);
        acts.push(Act::Resume);
        let piece = Some(self.piece(begin..cut));
        acts.push(Act::Finish { piece, is_prepared: false, span: self.told..cut, why: Why::Cut });
        self.told = cut;
    }

    /// Has everything so far recognised.
    pub(super) fn finalize(&mut self, why: Why, acts: &mut Vec<Act>) {
        let now = self.now();
        if self.open.is_some() {
            self.ended(now, why, 0.0, acts);
        }
        self.is_announced = false;
        self.finish(now, why, acts);
        self.endpointer.close(now);
    }

    /// Forgets everything so far of which nothing final was said.
    pub(super) fn forget(&mut self) {
        (self.open, self.is_announced, self.told) = (None, false, self.now());
        self.endpointer.close(self.told);
    }

    /// Says that nobody has spoken for `silence`.
    fn tell_silence(&mut self, silence: Duration, settings: &Settings, acts: &mut Vec<Act>) {
        // What may turn out to be the beginning of an utterance stays open.
        let end = self.now().saturating_sub(samples_in(settings.prefix + UNSURE));
        if end.saturating_sub(self.told) >= samples_in(silence) {
            acts.push(Act::Finish { piece: None, is_prepared: false, span: self.told..end, why: Why::Nobody });
            self.told = end;
        }
    }

    /// The open utterance so far, for a guess at what is said in it: when there is as much more than at the last one as
    /// `period` says, and while somebody speaks.
    pub(super) fn guess(&mut self, period: Duration, settings: &Settings) -> Option<Pcm> {
        let (now, quiet) = (self.now(), self.endpointer.quiet_for());
        let open = self.open.as_mut().filter(|_| quiet < PAUSE)?;
        let is_first = open.guessed == open.begin;
        let wanted = if is_first { settings.prefix + FIRST_GUESS } else { period };
        if now - open.guessed < samples_in(wanted) {
            return None;
        }
        open.guessed = now;
        let from = (open.begin - self.base) as usize;
        Some(Pcm::new(self.samples[from..].to_vec(), SPEECH_SAMPLE_RATE))
    }

    /// Where the open utterance begins.
    pub(super) fn begun(&self) -> Option<Duration> {
        self.open.as_ref().map(|open| time(open.begin))
    }

    fn end_of_voice(&self) -> u64 {
        let quiet = samples_in(self.endpointer.quiet_for());
        let heard = self.now() - self.now() % crate::engine::vad::FRAME as u64;
        (heard.saturating_sub(quiet) + samples_in(BEHIND)).min(self.now())
    }

    fn piece(&self, place: Range<u64>) -> Piece {
        let (from, to) = ((place.start - self.base) as usize, (place.end - self.base) as usize);
        Piece::of_utterance(&self.samples[from..to], place.clone(), self.endpointer.voices(&place))
    }

    /// Drops the sound that nothing needs any more.
    fn trim(&mut self, settings: &Settings) {
        let recent = self.now().saturating_sub(samples_in(settings.prefix + UNSURE));
        let needed = self.open.as_ref().map_or(recent, |open| open.begin.min(recent)).max(self.base);
        // Moving the rest is work, so it is done seldom.
        if needed - self.base > seconds(1) {
            self.samples.drain(..(needed - self.base) as usize);
            self.base = needed;
            self.endpointer.forget(needed);
        }
    }
}

fn options(settings: &Settings) -> EndpointerOptions {
    EndpointerOptions {
        begin: settings.threshold,
        end: settings.threshold / 2.0,
        // Ends are decided here.
        silence: Duration::from_secs(1 << 32),
        margin: settings.prefix,
        ..EndpointerOptions::default()
    }
}

pub(super) fn time(sample: u64) -> Duration {
    samples_to_duration(sample, SPEECH_SAMPLE_RATE)
}
