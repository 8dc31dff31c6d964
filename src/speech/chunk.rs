//! Where speech begins and ends, and audio cut into pieces an engine can take. No decoding, no recognition.
//!
//! The [`Endpointer`] finds utterances, in files and live. The [`Chunker`] packs the utterances of a file into
//! [`Piece`]s: Whisper works on 30 s windows, so neighbouring utterances share one. Long silences are left out;
//! every piece knows where its sound was in the file. Speech without a pause is cut where it is quietest; if that is not
//! quiet, both pieces get the sound around the cut, so that each has whole words there (see `transcribe/seam.rs`).

mod endpointer;
mod piece;

pub use endpointer::{Boundary, Endpointer, EndpointerOptions};
pub(super) use piece::Cut;
pub use piece::Piece;

use crate::audio::{Pcm, samples_to_duration};
use crate::engine::SPEECH_SAMPLE_RATE;
use endpointer::Voice;
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
    use crate::transcript::{Segment, Transcript, Word};

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
