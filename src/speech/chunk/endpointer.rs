//! Where speech begins and ends in a stream.

use super::samples_in;
use crate::audio::samples_to_duration;
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::engine::vad::{FRAME, Vad};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// Voices that pause for less go on, as far as the audit is concerned.
const BREATH: u64 = SPEECH_SAMPLE_RATE as u64 / 4;

/// From this mean probability on a stretch is surely speech. Measured: voices are at 0.84 and more, music is at 0.58 to
/// 0.81, tones are at 0.77 to 0.82 and noises below 0.52.
const SURELY_SPEECH: f32 = 0.82;

/// When sound counts as speech.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndpointerOptions {
    /// From this probability on somebody speaks.
    pub begin: f32,
    /// Below this probability nobody does.
    pub end: f32,
    /// Shorter sounds are not speech.
    pub shortest_speech: Duration,
    /// So much silence ends an utterance.
    pub silence: Duration,
    /// So much is kept before the first and after the last sound of an utterance.
    pub margin: Duration,
}

impl Default for EndpointerOptions {
    /// For files: rather too much speech than too little.
    fn default() -> Self {
        Self {
            begin: 0.5,
            end: 0.25,
            shortest_speech: Duration::from_millis(48),
            silence: Duration::from_millis(400),
            margin: Duration::from_millis(200),
        }
    }
}

/// A point in a stream, counted in samples from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// An utterance begins here (the margin is before the sound).
    Begin(u64),
    /// The utterance ends here (the margin is behind the sound).
    End(u64),
}

/// Finds utterances in a stream of mono sound at 16 kHz.
pub struct Endpointer {
    vad: Vad,
    options: EndpointerOptions,
    /// Samples that do not fill a frame yet.
    waiting: Vec<f32>,
    /// Where the next frame begins.
    position: u64,
    /// Where the utterance before ended: the next cannot begin earlier.
    last_end: u64,
    hearing: Hearing,
    /// Where somebody speaks, to the frame.
    pub(super) voiced: VecDeque<Voiced>,
}

/// A stretch in which somebody speaks without a pause longer than [`BREATH`].
#[derive(Debug, Clone)]
pub(super) struct Voiced {
    place: Range<u64>,
    /// The sum of the probabilities of its frames, and how many there are.
    probability: f32,
    frames: u32,
}

/// A stretch of a file in which somebody may speak.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::speech) struct Voice {
    /// In samples of the file.
    pub(in crate::speech) place: Range<u64>,
    /// Whether it is surely speech; otherwise it may be music or noise.
    pub(in crate::speech) is_sure: bool,
}

impl Voice {
    pub(super) fn time(&self) -> Range<Duration> {
        let time = |sample| samples_to_duration(sample, SPEECH_SAMPLE_RATE);
        time(self.place.start)..time(self.place.end)
    }
}

#[derive(Debug, Clone, Copy)]
enum Hearing {
    Silence,
    /// Sound since then, too short to be speech so far.
    Sound(u64),
    /// An utterance; the sound in it has lasted until then.
    Speech(u64),
}

impl Endpointer {
    /// At the start of a stream.
    pub fn new(options: EndpointerOptions) -> Self {
        let waiting = Vec::with_capacity(FRAME);
        let hearing = Hearing::Silence;
        Self { vad: Vad::new(), options, waiting, position: 0, last_end: 0, hearing, voiced: VecDeque::new() }
    }

    /// Listens to the next `samples` and reports what is found in them to `found`, in order.
    pub fn push(&mut self, samples: &[f32], found: &mut Vec<Boundary>) {
        self.waiting.extend_from_slice(samples);
        let waiting = std::mem::take(&mut self.waiting);
        let (frames, rest) = waiting.as_chunks::<FRAME>();
        for frame in frames {
            self.hear(frame, found);
        }
        self.waiting = rest.to_vec();
    }

    /// Ends the stream: an utterance that is still going on ends with it.
    pub fn finish(&mut self, found: &mut Vec<Boundary>) {
        let total = self.position + self.waiting.len() as u64;
        if !self.waiting.is_empty() {
            let mut frame = [0.0; FRAME];
            frame[..self.waiting.len()].copy_from_slice(&self.waiting);
            self.waiting.clear();
            self.hear(&frame, found);
        }
        if let Hearing::Sound(since) = self.hearing {
            self.begin(since, found);
        }
        if let Hearing::Speech(until) = self.hearing {
            self.end(until, total, found);
        }
    }

    /// From here on sound counts as speech as `options` say.
    pub(in crate::speech) fn change(&mut self, options: EndpointerOptions) {
        self.options = options;
    }

    /// Ends the utterance that is going on, if any, and lets none begin before `at`.
    pub(in crate::speech) fn close(&mut self, at: u64) {
        self.last_end = at;
        self.hearing = Hearing::Silence;
    }

    /// Whether an utterance is going on.
    pub fn is_speaking(&self) -> bool {
        matches!(self.hearing, Hearing::Speech(_))
    }

    /// How long nothing has been heard in the utterance that is going on; zero when there is none.
    pub fn quiet_for(&self) -> Duration {
        match self.hearing {
            Hearing::Speech(until) => samples_to_duration(self.position - until, SPEECH_SAMPLE_RATE),
            _ => Duration::ZERO,
        }
    }

    fn hear(&mut self, frame: &[f32; FRAME], found: &mut Vec<Boundary>) {
        let probability = self.vad.probability(frame);
        let start = self.position;
        self.position += FRAME as u64;
        if probability >= self.options.end {
            self.note(start..self.position, probability);
        }
        match self.hearing {
            Hearing::Silence if probability >= self.options.begin => self.hearing = Hearing::Sound(start),
            Hearing::Sound(_) if probability < self.options.end => self.hearing = Hearing::Silence,
            Hearing::Speech(_) if probability >= self.options.end => self.hearing = Hearing::Speech(self.position),
            Hearing::Speech(until) if self.position - until >= samples_in(self.options.silence) => {
                self.end(until, self.position, found);
            }
            _ => {}
        }
        if let Hearing::Sound(since) = self.hearing
            && self.position - since >= samples_in(self.options.shortest_speech)
        {
            self.begin(since, found);
        }
    }

    fn note(&mut self, frame: Range<u64>, probability: f32) {
        match self.voiced.back_mut() {
            Some(voiced) if frame.start - voiced.place.end < BREATH => {
                voiced.place.end = frame.end;
                voiced.probability += probability;
                voiced.frames += 1;
            }
            _ => self.voiced.push_back(Voiced { place: frame, probability, frames: 1 }),
        }
    }

    /// Drops what was heard before `sample`: noise is noted, too, and there may be hours of it.
    pub(in crate::speech) fn forget(&mut self, sample: u64) {
        while self.voiced.front().is_some_and(|voiced| voiced.place.end <= sample) {
            self.voiced.pop_front();
        }
    }

    /// The voices within `place`.
    pub(in crate::speech) fn voices(&self, place: &Range<u64>) -> Vec<Voice> {
        let within = |voiced: &Voiced| Voice {
            place: voiced.place.start.max(place.start)..voiced.place.end.min(place.end),
            is_sure: voiced.probability >= SURELY_SPEECH * voiced.frames as f32,
        };
        let voices = self.voiced.iter().map(within);
        voices.filter(|voice| voice.place.start < voice.place.end).collect()
    }

    fn begin(&mut self, since: u64, found: &mut Vec<Boundary>) {
        let begin = since.saturating_sub(samples_in(self.options.margin)).max(self.last_end);
        found.push(Boundary::Begin(begin));
        self.hearing = Hearing::Speech(self.position);
    }

    fn end(&mut self, until: u64, now: u64, found: &mut Vec<Boundary>) {
        self.last_end = (until + samples_in(self.options.margin)).min(now);
        found.push(Boundary::End(self.last_end));
        self.hearing = Hearing::Silence;
    }
}
