//! Where speech begins and ends, and audio cut into pieces an engine can take. No decoding, no recognition.
//!
//! The [`Endpointer`] finds utterances, in files and live. The [`Chunker`] packs the utterances of a file into
//! [`Piece`]s: Whisper works on 30 s windows, so neighbouring utterances share one. Long silences are left out;
//! every piece knows where its sound was in the file.

use crate::audio::{Pcm, samples_to_duration};
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::engine::vad::{FRAME, Vad};
use crate::transcript::{Segment, Transcript};
use std::ops::Range;
use std::time::Duration;

/// The longest piece; engines take 30 s, and some of that is left for their padding.
const LONGEST: u64 = seconds(28);

/// Speech without a pause is cut in the quietest place of so much of its end.
const CUT_WITHIN: u64 = seconds(6);

/// How long the quietest place is.
const CUT_WINDOW: u64 = SPEECH_SAMPLE_RATE as u64 / 5;

/// Shorter pauses stay as they are.
const LONGEST_PAUSE: u64 = seconds(2);

/// What stays of a longer pause, on either side.
const PAUSE_EDGE: u64 = SPEECH_SAMPLE_RATE as u64 / 2;

/// After so much silence a piece is complete, however short.
const COMPLETE_AFTER: u64 = seconds(5);

const fn seconds(count: u64) -> u64 {
    count * SPEECH_SAMPLE_RATE as u64
}

fn samples_in(time: Duration) -> u64 {
    (time.as_nanos() * u128::from(SPEECH_SAMPLE_RATE) / 1_000_000_000) as u64
}

/// When sound counts as speech.
#[derive(Debug, Clone)]
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
            begin: 0.4,
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
        Self { vad: Vad::new(), options, waiting, position: 0, last_end: 0, hearing: Hearing::Silence }
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
    pub audio: Pcm,
    /// The parts of the file that follow each other in `audio`, in samples.
    parts: Vec<Range<u64>>,
}

impl Piece {
    /// The file is done up to here with this piece.
    pub fn end(&self) -> Duration {
        samples_to_duration(self.parts.last().map_or(0, |part| part.end), SPEECH_SAMPLE_RATE)
    }

    /// Replaces times in the piece by times in the file. What lasts over a silence that was left out is cut off
    /// where most of its words are not.
    pub fn to_file_times(&self, transcript: &mut Transcript) {
        for segment in &mut transcript.segments {
            self.move_segment(segment);
        }
    }

    fn move_segment(&self, segment: &mut Segment) {
        for word in &mut segment.words {
            (word.start, word.end) = self.moved(word.start, word.end, (word.start + word.end) / 2);
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
    endpointer: Endpointer,
    /// The sound from `base` on.
    buffer: Vec<f32>,
    base: u64,
    /// Utterances that wait for company.
    packed: Vec<Range<u64>>,
    /// Where the utterance that is going on begins.
    open: Option<u64>,
}

impl Default for Chunker {
    fn default() -> Self {
        Self::new(EndpointerOptions::default())
    }
}

impl Chunker {
    /// At the start of a stream.
    pub fn new(options: EndpointerOptions) -> Self {
        let endpointer = Endpointer::new(options);
        Self { endpointer, buffer: Vec::new(), base: 0, packed: Vec::new(), open: None }
    }

    /// Takes the next `samples` (at most a few seconds) and appends the pieces that are complete to `pieces`.
    pub fn push(&mut self, samples: &[f32], pieces: &mut Vec<Piece>) {
        self.buffer.extend_from_slice(samples);
        let mut found = Vec::new();
        self.endpointer.push(samples, &mut found);
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
        self.endpointer.finish(&mut found);
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
                        self.pack(begin..*end, pieces);
                    }
                }
            }
        }
    }

    /// Whether what begins at `next` is too far from the utterances that wait to join them.
    fn is_complete(&self, next: u64) -> bool {
        self.packed.last().is_some_and(|packed| next.saturating_sub(packed.end) > COMPLETE_AFTER)
    }

    /// Adds an utterance to the ones that wait, or sends those off first when there is no room for it.
    fn pack(&mut self, utterance: Range<u64>, pieces: &mut Vec<Piece>) {
        self.packed.push(utterance);
        if length(&self.parts(&self.packed)) > LONGEST
            && self.packed.len() > 1
            && let Some(last) = self.packed.pop()
        {
            self.flush(pieces);
            self.packed.push(last);
        }
    }

    fn cut_long_speech(&mut self, pieces: &mut Vec<Piece>) {
        self.cut(self.end(), pieces);
    }

    /// Cuts the utterance that is going on until it and its margins are short enough at `now`.
    fn cut(&mut self, now: u64, pieces: &mut Vec<Piece>) {
        while let Some(begin) = self.open.filter(|begin| now.saturating_sub(*begin) > LONGEST) {
            self.flush(pieces);
            let cut = self.quietest(begin + LONGEST - CUT_WITHIN..begin + LONGEST);
            self.packed.push(begin..cut);
            self.flush(pieces);
            self.open = Some(cut);
        }
    }

    /// The middle of the quietest window in `range`.
    fn quietest(&self, range: Range<u64>) -> u64 {
        const STEP: u64 = CUT_WINDOW / 10;
        let energy = |start: &u64| {
            let from = (start - self.base) as usize;
            self.buffer[from..from + CUT_WINDOW as usize].iter().map(|sample| sample * sample).sum::<f32>()
        };
        let starts = (range.start..range.end - CUT_WINDOW).step_by(STEP as usize);
        let quietest = starts.min_by(|one, other| energy(one).total_cmp(&energy(other)));
        quietest.map_or(range.end, |start| start + CUT_WINDOW / 2)
    }

    fn flush(&mut self, pieces: &mut Vec<Piece>) {
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
        pieces.push(Piece { audio: Pcm::new(samples, SPEECH_SAMPLE_RATE), parts });
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
        // Moving the rest is work, so it is done seldom.
        if needed - self.base > seconds(10) {
            self.buffer.drain(..(needed - self.base) as usize);
            self.base = needed;
        }
    }
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
        assert!(places(pieces).windows(2).all(|pair| pair[0].end <= pair[1].start));
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
        let lost: u64 = 100 * 16_000 - length(&places(&pieces));
        assert!(lost < 8000, "{lost} samples are lost");
        let amplitude =
            |at: u64| file[at as usize - 400..at as usize + 400].iter().map(|s| s.abs()).sum::<f32>() / 800.0;
        assert!(pieces[..3].iter().all(|piece| amplitude(piece.parts[0].end) < 0.03));
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
        let audio = Pcm::new(vec![0.0; 4 * second as usize], SPEECH_SAMPLE_RATE);
        let piece = Piece { audio, parts: vec![10 * second..12 * second, 20 * second..22 * second] };
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
