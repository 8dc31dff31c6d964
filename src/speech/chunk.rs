//! Where speech begins and ends, and audio cut into pieces an engine can take. No decoding, no recognition.
//!
//! The [`Endpointer`] finds utterances, in files and live. The [`Chunker`] packs the utterances of a file into
//! [`Piece`]s: Whisper works on 30 s windows, so neighbouring utterances share one. Long silences are left out;
//! every piece knows where its sound was in the file. Speech without a pause is cut where it is quietest; if that is not
//! quiet, both pieces get the sound around the cut, so that each has whole words there (see `transcribe/seam.rs`).

use crate::audio::{Pcm, samples_to_duration};
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::engine::vad::{FRAME, Vad};
use crate::transcript::{Segment, Transcript};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The longest piece; engines take 30 s, and some of that is left for their padding.
const LONGEST: u64 = seconds(28);

/// Speech without a pause is cut in the quietest place of so much of its end.
const CUT_WITHIN: u64 = seconds(6);

/// How long the quietest place is.
const CUT_WINDOW: u64 = SPEECH_SAMPLE_RATE as u64 / 5;

/// A cut is quiet when the place is below this share of the loudness around it.
const QUIET: f32 = 0.1;

/// Where a cut is not quiet, either side keeps so much of the other.
pub(super) const OVERLAP: u64 = seconds(1);

/// Voices that pause for less go on, as far as the audit is concerned.
const BREATH: u64 = SPEECH_SAMPLE_RATE as u64 / 4;

/// From this mean probability on a stretch is surely speech. Measured: voices are at 0.84 and more, music is at 0.58 to
/// 0.81, tones are at 0.77 to 0.82 and noises below 0.52.
const SURELY_SPEECH: f32 = 0.82;

/// Shorter noises belong to the speech around them.
const LEAST_NOISE: u64 = SPEECH_SAMPLE_RATE as u64 / 2;

/// Shorter pauses stay as they are.
const LONGEST_PAUSE: u64 = seconds(2);

/// What stays of a longer pause, on either side.
const PAUSE_EDGE: u64 = SPEECH_SAMPLE_RATE as u64 / 2;

/// After so much silence a piece is complete, however short.
const COMPLETE_AFTER: u64 = seconds(5);

/// A piece of this length is complete at the next pause, so that text comes early and engines have little to skip. Longer
/// ones are no cheaper: the time to recognise grows with the length.
const LONG_ENOUGH: u64 = seconds(10);

/// What counts as a pause there, beside the margins of the utterances: 0.6 s with them.
const NEXT_PAUSE: u64 = SPEECH_SAMPLE_RATE as u64 / 5;

pub(super) const fn seconds(count: u64) -> u64 {
    count * SPEECH_SAMPLE_RATE as u64
}

pub(super) fn samples_in(time: Duration) -> u64 {
    (time.as_nanos() * u128::from(SPEECH_SAMPLE_RATE) / 1_000_000_000) as u64
}

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
    voiced: VecDeque<Voiced>,
}

/// A stretch in which somebody speaks without a pause longer than [`BREATH`].
#[derive(Debug, Clone)]
struct Voiced {
    place: Range<u64>,
    /// The sum of the probabilities of its frames, and how many there are.
    probability: f32,
    frames: u32,
}

/// A stretch of a file in which somebody may speak.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Voice {
    /// In samples of the file.
    pub(super) place: Range<u64>,
    /// Whether it is surely speech; otherwise it may be music or noise.
    pub(super) is_sure: bool,
}

impl Voice {
    fn time(&self) -> Range<Duration> {
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
    pub(super) fn change(&mut self, options: EndpointerOptions) {
        self.options = options;
    }

    /// Ends the utterance that is going on, if any, and lets none begin before `at`.
    pub(super) fn close(&mut self, at: u64) {
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
    pub(super) fn forget(&mut self, sample: u64) {
        while self.voiced.front().is_some_and(|voiced| voiced.place.end <= sample) {
            self.voiced.pop_front();
        }
    }

    /// The voices within `place`.
    pub(super) fn voices(&self, place: &Range<u64>) -> Vec<Voice> {
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

/// Audio short enough for an engine, with the places it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Mono sound at 16 kHz.
    pub audio: Arc<Pcm>,
    /// The parts of the file that follow each other in `audio`, in samples.
    parts: Vec<Range<u64>>,
    /// Where in the file somebody may speak, as far as this piece is to tell what.
    voices: Vec<Voice>,
    /// Where speech had to be cut because there was no pause; the next piece goes on from there.
    pub(super) cut: Option<Cut>,
}

/// A cut within speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// Where, in samples of the file.
    pub(super) at: u64,
    /// Whether both pieces have the [`OVERLAP`] around it.
    pub(super) overlaps: bool,
}

impl Piece {
    /// The sound of one utterance at `place` of a stream, with the `voices` in it.
    pub(super) fn of_utterance(samples: &[f32], place: Range<u64>, voices: Vec<Voice>) -> Self {
        let audio = Arc::new(Pcm::new(samples.to_vec(), SPEECH_SAMPLE_RATE));
        Self { audio, parts: vec![place], voices, cut: None }
    }

    /// The file is done up to here with this piece.
    pub fn end(&self) -> Duration {
        samples_to_duration(self.parts.last().map_or(0, |part| part.end), SPEECH_SAMPLE_RATE)
    }

    /// Where in the file somebody surely speaks, as far as this piece is to tell what.
    pub(super) fn voiced(&self) -> Vec<Range<Duration>> {
        self.voices.iter().filter(|voice| voice.is_sure).map(Voice::time).collect()
    }

    /// Where in the file somebody speaks, surely or because `is_said` finds text there.
    pub(super) fn spoken(&self, is_said: impl Fn(&Range<Duration>) -> bool) -> Vec<Range<Duration>> {
        let voices = self.voices.iter().map(|voice| (voice.is_sure, voice.time()));
        voices.filter(|(is_sure, time)| *is_sure || is_said(time)).map(|(_, time)| time).collect()
    }

    /// Where in the file there is anything like a voice in this piece.
    pub(super) fn heard(&self) -> Vec<Range<Duration>> {
        let mut heard: Vec<Range<Duration>> = self.voices.iter().map(Voice::time).collect();
        // What a neighbour is to tell of a voice is in this piece, too.
        let overlap = samples_to_duration(OVERLAP, SPEECH_SAMPLE_RATE);
        if let Some(first) = heard.first_mut().filter(|_| self.goes_on()) {
            first.start = first.start.saturating_sub(overlap);
        }
        if let Some(last) = heard.last_mut().filter(|_| self.cut.is_some_and(|cut| cut.overlaps)) {
            last.end += overlap;
        }
        heard
    }

    /// Whether the piece before has begun the first voice and shares some of it.
    fn goes_on(&self) -> bool {
        let first = self.parts.first().zip(self.voices.first());
        first.is_some_and(|(part, voice)| part.start + OVERLAP == voice.place.start)
    }

    /// As [`Piece::voiced`], without a voice that the piece before has begun.
    pub(super) fn begun(&self) -> Vec<Range<Duration>> {
        let mut voiced = self.voiced();
        if self.goes_on() && self.voices.first().is_some_and(|voice| voice.is_sure) {
            voiced.remove(0);
        }
        voiced
    }

    /// The sound of the file in `span` and up to `margin` around it, as a piece of its own; `None` where this piece
    /// does not have it.
    pub(super) fn part(&self, span: &Range<Duration>, margin: Duration) -> Option<Piece> {
        let (start, end, margin) = (samples_in(span.start), samples_in(span.end), samples_in(margin));
        let mut offset = 0;
        for part in &self.parts {
            let wanted = start.saturating_sub(margin).max(part.start)..(end + margin).min(part.end);
            if part.contains(&start) && wanted.start < wanted.end {
                let from = (offset + wanted.start - part.start) as usize;
                let samples = self.audio.samples[from..from + (wanted.end - wanted.start) as usize].to_vec();
                let audio = Arc::new(Pcm::new(samples, SPEECH_SAMPLE_RATE));
                return Some(Piece { audio, parts: vec![wanted], voices: Vec::new(), cut: None });
            }
            offset += part.end - part.start;
        }
        None
    }

    /// Replaces times in the piece by times in the file. What lasts over a silence that was left out is cut off
    /// where most of its words are not.
    pub fn to_file_times(&self, transcript: &mut Transcript) {
        for segment in &mut transcript.segments {
            self.move_segment(segment);
        }
        for dropped in &mut transcript.report.dropped {
            (dropped.start, dropped.end) = self.place_of(dropped.start, dropped.end);
        }
    }

    /// Where in the file `start` to `end` of the piece is; never over a silence that was left out.
    pub(super) fn place_of(&self, start: Duration, end: Duration) -> (Duration, Duration) {
        self.moved(start, end, (start + end) / 2)
    }

    fn move_segment(&self, segment: &mut Segment) {
        for word in &mut segment.words {
            (word.start, word.end) = self.place_of(word.start, word.end);
        }
        let (begins, ends) = (segment.start, segment.end);
        (segment.start, segment.end) = self.moved(begins, ends, (begins + ends) / 2);
        if let (Some(first), Some(last)) = (segment.words.first(), segment.words.last()) {
            segment.start = self.moved_within(begins, first.start).min(first.start);
            segment.end = self.moved_within(ends, last.end).max(last.end);
        }
    }

    /// `start` and `end` in the file, both in the part of the file in which `anchor` lies.
    fn moved(&self, start: Duration, end: Duration, anchor: Duration) -> (Duration, Duration) {
        let (offset, part) = self.part_at(anchor);
        (place(start, offset, &part), place(end, offset, &part))
    }

    /// `time` in the file, in the part in which the file time `beside` lies.
    fn moved_within(&self, time: Duration, beside: Duration) -> Duration {
        let beside = samples_in(beside);
        let mut offset = 0;
        for part in &self.parts {
            if beside <= part.end {
                return place(time, offset, part);
            }
            offset += part.end - part.start;
        }
        time
    }

    /// The part of the file that plays at `time` in the piece, and where in the piece it begins.
    fn part_at(&self, time: Duration) -> (u64, Range<u64>) {
        let at = samples_in(time);
        let (mut offset, mut found) = (0, (0, 0..0));
        for part in &self.parts {
            found = (offset, part.clone());
            offset += part.end - part.start;
            if at < offset {
                break;
            }
        }
        found
    }
}

/// The file time of `time` in a piece, if it lies in `part`, which begins at the sample `offset` of the piece.
fn place(time: Duration, offset: u64, part: &Range<u64>) -> Duration {
    let start = samples_to_duration(part.start, SPEECH_SAMPLE_RATE);
    let end = samples_to_duration(part.end, SPEECH_SAMPLE_RATE);
    let since = time.saturating_sub(samples_to_duration(offset, SPEECH_SAMPLE_RATE));
    (start + since).min(end)
}

/// Packs the utterances of a stream of mono sound at 16 kHz into pieces. It keeps about half a minute of sound.
pub struct Chunker {
    /// `None` takes everything for speech.
    endpointer: Option<Endpointer>,
    /// The sound from `base` on.
    buffer: Vec<f32>,
    base: u64,
    /// Utterances that wait for company.
    packed: Vec<Range<u64>>,
    /// Where the utterance that is going on begins.
    open: Option<u64>,
    /// Up to here pieces have told what is said.
    told: u64,
}

impl Default for Chunker {
    fn default() -> Self {
        Self::new(EndpointerOptions::default())
    }
}

impl Chunker {
    /// At the start of a stream.
    pub fn new(options: EndpointerOptions) -> Self {
        let endpointer = Some(Endpointer::new(options));
        Self { endpointer, buffer: Vec::new(), base: 0, packed: Vec::new(), open: None, told: 0 }
    }

    /// At the start of a stream of which everything counts as speech.
    pub fn of_everything() -> Self {
        Self { endpointer: None, open: Some(0), ..Self::default() }
    }

    /// Takes the next `samples` (at most a few seconds) and appends the pieces that are complete to `pieces`.
    pub fn push(&mut self, samples: &[f32], pieces: &mut Vec<Piece>) {
        self.buffer.extend_from_slice(samples);
        let mut found = Vec::new();
        if let Some(endpointer) = &mut self.endpointer {
            endpointer.push(samples, &mut found);
        }
        self.take(&found, pieces);
        self.cut_long_speech(pieces);
        // Speech that begins now may turn out to have begun a little earlier.
        if self.open.is_none() && self.is_complete(self.end().saturating_sub(seconds(1))) {
            self.flush(pieces);
        }
        self.forget();
    }

    /// Ends the stream and appends what is left to `pieces`.
    pub fn finish(&mut self, pieces: &mut Vec<Piece>) {
        let mut found = Vec::new();
        match &mut self.endpointer {
            Some(endpointer) => endpointer.finish(&mut found),
            None => found.push(Boundary::End(self.end())),
        }
        self.take(&found, pieces);
        self.flush(pieces);
    }

    /// The sound taken so far.
    pub fn duration(&self) -> Duration {
        samples_to_duration(self.end(), SPEECH_SAMPLE_RATE)
    }

    fn end(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    fn take(&mut self, found: &[Boundary], pieces: &mut Vec<Piece>) {
        for boundary in found {
            match boundary {
                Boundary::Begin(begin) => {
                    if self.is_complete(*begin) {
                        self.flush(pieces);
                    }
                    self.open = Some(*begin);
                }
                Boundary::End(end) => {
                    self.cut(*end, pieces);
                    if let Some(begin) = self.open.take() {
                        for part in self.speech_and_the_rest(begin..*end) {
                            self.pack(part, pieces);
                        }
                    }
                }
            }
        }
    }

    /// Whether what begins at `next` is too far from the utterances that wait to join them.
    fn is_complete(&self, next: u64) -> bool {
        let enough = if length(&self.parts(&self.packed)) < LONG_ENOUGH { COMPLETE_AFTER } else { NEXT_PAUSE };
        self.packed.last().is_some_and(|packed| next.saturating_sub(packed.end) > enough)
    }

    /// Adds an utterance to the ones that wait, or sends those off first when there is no room for it.
    fn pack(&mut self, utterance: Range<u64>, pieces: &mut Vec<Piece>) {
        // What may be noise or music is recognised apart, where it cannot lead the engine astray.
        if self.packed.last().is_some_and(|packed| self.is_surely_speech(packed) != self.is_surely_speech(&utterance)) {
            self.flush(pieces);
        }
        self.packed.push(utterance);
        if length(&self.parts(&self.packed)) > LONGEST
            && self.packed.len() > 1
            && let Some(last) = self.packed.pop()
        {
            self.flush(pieces);
            self.packed.push(last);
        }
    }

    /// Divides an utterance where a longer stretch of noise or music, after which somebody speaks, begins or ends.
    fn speech_and_the_rest(&self, utterance: Range<u64>) -> Vec<Range<u64>> {
        let voices = self.endpointer.as_ref().map_or_else(Vec::new, |it| it.voices(&utterance));
        let is_noise = |voice: &Voice| !voice.is_sure && voice.place.end - voice.place.start >= LEAST_NOISE;
        let changes = voices.windows(2).filter(|pair| is_noise(&pair[0]) != is_noise(&pair[1]));
        let mut parts = Vec::new();
        let mut start = utterance.start;
        for pair in changes {
            let middle = (pair[0].place.end + pair[1].place.start) / 2;
            parts.push(start..middle);
            start = middle;
        }
        parts.push(start..utterance.end);
        parts
    }

    fn is_surely_speech(&self, place: &Range<u64>) -> bool {
        self.endpointer.as_ref().is_none_or(|it| it.voices(place).iter().any(|voice| voice.is_sure))
    }

    fn cut_long_speech(&mut self, pieces: &mut Vec<Piece>) {
        self.cut(self.end(), pieces);
    }

    /// Cuts the utterance that is going on until it and its margins are short enough at `now`.
    fn cut(&mut self, now: u64, pieces: &mut Vec<Piece>) {
        while let Some(begin) = self.open.filter(|begin| now.saturating_sub(*begin) > LONGEST) {
            self.flush(pieces);
            let cut = quietest(&self.buffer, self.base, begin + LONGEST - CUT_WITHIN..begin + LONGEST - OVERLAP);
            let overlap = if cut.overlaps { OVERLAP } else { 0 };
            self.packed.push(begin..cut.at + overlap);
            self.flush_until(cut.at, Some(cut), pieces);
            self.open = Some(cut.at - overlap);
        }
    }

    fn flush(&mut self, pieces: &mut Vec<Piece>) {
        let end = self.packed.last().map_or(self.told, |packed| packed.end);
        self.flush_until(end, None, pieces);
    }

    /// Makes a piece of what is packed; it tells what is said up to `end`.
    fn flush_until(&mut self, end: u64, cut: Option<Cut>, pieces: &mut Vec<Piece>) {
        let packed = std::mem::take(&mut self.packed);
        let parts = self.parts(&packed);
        if parts.is_empty() {
            return;
        }
        let mut samples = Vec::with_capacity(length(&parts) as usize);
        for part in &parts {
            let (from, to) = ((part.start - self.base) as usize, (part.end - self.base) as usize);
            samples.extend_from_slice(&self.buffer[from..to]);
        }
        let telling = self.told..end;
        let voices = self.endpointer.as_ref().map_or_else(Vec::new, |it| it.voices(&telling));
        self.told = end;
        let has = |sample: &u64| parts.iter().any(|part| part.contains(sample));
        let voices = voices.into_iter().filter(|voice| has(&voice.place.start)).collect();
        pieces.push(Piece { audio: Arc::new(Pcm::new(samples, SPEECH_SAMPLE_RATE)), parts, voices, cut });
    }

    /// The parts of the stream that hold `utterances`: pauses between them stay, or are shortened when long.
    fn parts(&self, utterances: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut parts: Vec<Range<u64>> = Vec::new();
        for utterance in utterances {
            match parts.last_mut() {
                Some(last) if utterance.start.saturating_sub(last.end) <= LONGEST_PAUSE => last.end = utterance.end,
                Some(last) => {
                    last.end += PAUSE_EDGE;
                    parts.push(utterance.start - PAUSE_EDGE..utterance.end);
                }
                None => parts.push(utterance.clone()),
            }
        }
        parts
    }

    /// Drops the sound that nothing needs any more.
    fn forget(&mut self) {
        let first = self.packed.first().map(|utterance| utterance.start);
        let recent = self.end().saturating_sub(seconds(2));
        let needed = first.or(self.open).unwrap_or(recent).min(recent).max(self.base);
        if let Some(endpointer) = &mut self.endpointer {
            endpointer.forget(needed);
        }
        // Moving the rest is work, so it is done seldom.
        if needed - self.base > seconds(10) {
            self.buffer.drain(..(needed - self.base) as usize);
            self.base = needed;
        }
    }
}

/// A cut in the middle of the quietest window in `range` of the sound in `buffer`, which begins at `base`.
pub(super) fn quietest(buffer: &[f32], base: u64, range: Range<u64>) -> Cut {
    const STEP: u64 = CUT_WINDOW / 10;
    let energy = |start: &u64| {
        let from = (start - base) as usize;
        buffer[from..from + CUT_WINDOW as usize].iter().map(|sample| sample * sample).sum::<f32>()
    };
    let starts = (range.start..range.end - CUT_WINDOW).step_by(STEP as usize);
    let quietest = starts.clone().min_by(|one, other| energy(one).total_cmp(&energy(other)));
    let start = quietest.unwrap_or(range.start);
    // Energies of windows: squares of loudness.
    let mean = starts.clone().map(|start| energy(&start)).sum::<f32>() / starts.count().max(1) as f32;
    Cut { at: start + CUT_WINDOW / 2, overlaps: energy(&start) > QUIET * QUIET * mean }
}

fn length(parts: &[Range<u64>]) -> u64 {
    parts.iter().map(|part| part.end - part.start).sum()
}

#[cfg(all(test, feature = "espeak"))]
mod tests {
    use super::*;
    use crate::engine::spoken::{silence, speak};
    use crate::transcript::Word;

    fn cut(samples: &[f32], block: usize) -> Vec<Piece> {
        let mut chunker = Chunker::default();
        let mut pieces = Vec::new();
        samples.chunks(block).for_each(|block| chunker.push(block, &mut pieces));
        chunker.finish(&mut pieces);
        pieces
    }

    fn places(pieces: &[Piece]) -> Vec<Range<u64>> {
        pieces.iter().flat_map(|piece| piece.parts.clone()).collect()
    }

    fn sentence() -> Vec<f32> {
        speak("Please turn on the kitchen lights at seven o'clock.").samples
    }

    /// Every sample of the pieces is the sample of the file that the piece says it is.
    fn assert_faithful(pieces: &[Piece], file: &[f32]) {
        for piece in pieces {
            let parts = piece.parts.iter().flat_map(|part| &file[part.start as usize..part.end as usize]);
            assert!(parts.eq(&piece.audio.samples), "{:?}", piece.parts);
            assert!(piece.audio.duration() <= crate::engine::MAX_PIECE);
        }
        assert!(places(pieces).windows(2).all(|pair| pair[0].end <= pair[1].start + 2 * OVERLAP));
    }

    #[test]
    fn nobody_speaking_is_no_piece() {
        assert!(cut(&silence(60.0), 8192).is_empty());
        assert!(cut(&[], 1).is_empty());
        assert!(cut(&[0.1; 100], 7).is_empty());
    }

    #[test]
    fn long_silences_are_left_out_and_short_pauses_stay() {
        let speech = sentence();
        let file = [silence(3.0), speech.clone(), silence(1.5), speech.clone(), silence(4.0), speech.clone()].concat();
        let pieces = cut(&file, 8192);
        assert_faithful(&pieces, &file);
        assert_eq!((pieces.len(), pieces[0].parts.len()), (1, 2));
        let second = (3.0 + 1.5 + 4.0) * 16_000.0 + 2.0 * speech.len() as f64;
        let [one, two] = [&pieces[0].parts[0], &pieces[0].parts[1]];
        assert!(one.start > 16_000 * 5 / 2 && one.start < 16_000 * 3, "{one:?}");
        assert!((two.start as f64) < second && (two.end as f64) >= second + speech.len() as f64 * 0.98, "{two:?}");
    }

    #[test]
    fn noise_without_end_takes_no_memory() {
        let mut seed = 1u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((seed >> 8) as f32 / (1 << 24) as f32 - 0.5) * 0.1
        };
        let mut chunker = Chunker::default();
        // Bursts, each as long as noise is taken for a voice.
        for _ in 0..60 {
            let burst: Vec<f32> = (0..8_000).map(|_| noise()).chain(silence(0.5)).collect();
            chunker.push(&burst, &mut Vec::new());
        }
        let noted = chunker.endpointer.as_ref().map_or(0, |it| it.voiced.len());
        assert!(noted <= 40, "{noted} voices are remembered, and {} samples", chunker.buffer.len());
    }

    #[test]
    fn how_the_stream_arrives_does_not_matter() {
        let file = [silence(1.0), sentence(), silence(7.0), sentence()].concat();
        let expected = places(&cut(&file, file.len()));
        for block in [100, 256, 5000] {
            assert_eq!(places(&cut(&file, block)), expected, "in blocks of {block}");
        }
    }

    #[test]
    fn speech_without_a_pause_is_cut_in_a_quiet_place_and_nothing_is_lost() {
        let speech = sentence();
        let file = speech.iter().copied().cycle().take(100 * 16_000).collect::<Vec<f32>>();
        let pieces = cut(&file, 8192);
        assert_faithful(&pieces, &file);
        assert!(pieces.len() >= 4 && pieces.len() <= 5, "{}", pieces.len());
        let told: u64 = pieces.iter().flat_map(Piece::voiced).map(|place| samples_in(place.end - place.start)).sum();
        assert!((90 * 16_000..=100 * 16_000).contains(&told), "{told} samples are surely speech");
        let seams = pieces.windows(2).map(|pair| (pair[0].parts[0].end, pair[1].parts[0].start));
        assert!(seams.clone().all(|(end, start)| end - start == 2 * OVERLAP || end == start));
        let amplitude =
            |at: u64| file[at as usize - 400..at as usize + 400].iter().map(|s| s.abs()).sum::<f32>() / 800.0;
        let cuts: Vec<Cut> = pieces.iter().filter_map(|piece| piece.cut).collect();
        assert!(cuts.len() + 1 == pieces.len() && cuts.iter().all(|cut| amplitude(cut.at) < 0.03), "{cuts:?}");
    }

    #[test]
    fn quiet_speech_is_speech() {
        let speech = sentence();
        for gain in [0.02, 0.1, 3.0] {
            let quiet: Vec<f32> = speech.iter().map(|sample| sample * gain).collect();
            let file = [silence(1.0), quiet, silence(1.0)].concat();
            let kept = length(&places(&cut(&file, 8192)));
            assert!(kept as f64 > speech.len() as f64 * 0.95, "{kept} of {} at gain {gain}", speech.len());
        }
    }

    #[test]
    fn times_become_those_of_the_file() {
        let second = u64::from(SPEECH_SAMPLE_RATE);
        let audio = Arc::new(Pcm::new(vec![0.0; 4 * second as usize], SPEECH_SAMPLE_RATE));
        let parts = vec![10 * second..12 * second, 20 * second..22 * second];
        let piece = Piece { audio, parts, voices: Vec::new(), cut: None };
        let ms = Duration::from_millis;
        let word =
            |start, end| Word { text: "x".into(), start: ms(start), end: ms(end), confidence: 1.0, speaker: None };
        let segment = |start, end, words| Segment { start: ms(start), end: ms(end), words, ..Segment::default() };
        let mut transcript = Transcript {
            segments: vec![
                segment(0, 2100, vec![word(100, 500), word(1500, 2050)]),
                segment(2100, 4000, vec![word(1990, 2500), word(3000, 3500)]),
            ],
            ..Transcript::default()
        };
        piece.to_file_times(&mut transcript);
        let times = |s: &Segment| (s.start.as_millis(), s.end.as_millis());
        let [one, two] = [&transcript.segments[0], &transcript.segments[1]];
        assert_eq!((times(one), times(two)), ((10_000, 12_000), (20_000, 22_000)));
        let words: Vec<_> = transcript.words().map(|word| (word.start.as_millis(), word.end.as_millis())).collect();
        assert_eq!(words, [(10_100, 10_500), (11_500, 12_000), (20_000, 20_500), (21_000, 21_500)]);
    }
}
