//! The pauses between pieces of speech: every piece comes with the silence its engine puts around it, and together
//! they must sound like one speaker. Nothing here knows text or voices.

use super::sentence::Break;
use std::ops::RangeInclusive;

/// Sound below this is silence.
const QUIET: f32 = 0.003;
/// How long a piece that does not end in silence takes to fade, in seconds.
const FADE: f32 = 0.005;
/// How much silence there is at the end of all, in seconds.
const AT_END: RangeInclusive<f32> = 0.15..=0.3;

/// How much silence, in seconds, may stand after a piece that ends in `end`.
fn allowed(end: Break) -> RangeInclusive<f32> {
    match end {
        Break::Word => 0.0..=0.03,
        Break::Clause => 0.1..=0.25,
        Break::Sentence => 0.25..=0.5,
        Break::Paragraph => 0.5..=0.8,
    }
}

/// Joins pieces of sound with natural pauses and without clicks. It holds back silence until it knows what follows.
pub struct Pauses {
    sample_rate: f32,
    speed: f32,
    /// What is held back: silence, and in front of it as much sound as may have to fade.
    held: Vec<f32>,
    /// Where in `held` the silence before the join begins, and how long the pause there may be.
    join: Option<(usize, RangeInclusive<f32>)>,
    /// How many samples of the new piece are still to fade in.
    fade_in: usize,
}

impl Pauses {
    /// Joins pieces of `sample_rate` hertz; pauses get shorter as speech gets faster.
    pub fn new(sample_rate: u32, speed: f32) -> Self {
        Self { sample_rate: sample_rate as f32, speed, held: Vec::new(), join: None, fade_in: 0 }
    }

    /// Takes the next sound of the current piece and appends what is ready to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let from = self.held.len();
        self.held.extend_from_slice(samples);
        self.fade_in(from);
        if let Some((silence, pause)) = self.join.clone() {
            let Some(loud) = self.held[silence..].iter().position(|sample| sample.abs() > QUIET) else {
                return self.shorten(silence, *pause.end());
            };
            // A consonant may begin below the threshold; a millisecond of it is kept.
            let start = (silence + loud).saturating_sub(self.onset()).max(silence);
            let length = self.clamped(start - silence, &pause);
            self.held.splice(silence..start, std::iter::repeat_n(0.0, length));
            self.join = None;
        }
        let ready = self.sound_end().min(self.held.len().saturating_sub(self.fade()));
        out.extend(self.held.drain(..ready));
    }

    /// The current piece is complete and ends in `end`; another may follow.
    pub fn end_piece(&mut self, end: Break) {
        if self.join.is_none() {
            let fade = self.fade().min(self.held.len());
            let from = self.held.len() - fade;
            for (i, sample) in self.held[from..].iter_mut().enumerate() {
                *sample *= 1.0 - (i + 1) as f32 / fade as f32;
            }
            self.join = Some((self.sound_end(), allowed(end)));
            self.fade_in = self.fade();
        }
    }

    /// Appends the rest to `out`, with a short silence at its end.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        self.end_piece(Break::Sentence);
        let silence = self.join.take().map_or(0, |(silence, _)| silence);
        let length = self.clamped(self.held.len() - silence, &AT_END);
        out.extend(self.held.drain(..).take(silence));
        out.extend(std::iter::repeat_n(0.0, length));
    }

    fn fade(&self) -> usize {
        (FADE * self.sample_rate) as usize
    }

    fn onset(&self) -> usize {
        (self.sample_rate / 1000.0) as usize
    }

    fn fade_in(&mut self, from: usize) {
        let fade = self.fade();
        for sample in self.held[from..].iter_mut().take(self.fade_in) {
            *sample *= 1.0 - self.fade_in as f32 / fade as f32;
            self.fade_in -= 1;
        }
    }

    /// Where the silence at the end of what is held begins.
    fn sound_end(&self) -> usize {
        self.held.iter().rposition(|sample| sample.abs() > QUIET).map_or(0, |last| last + 1)
    }

    /// `length` samples of silence, made as long as `pause` allows.
    fn clamped(&self, length: usize, pause: &RangeInclusive<f32>) -> usize {
        let samples = |seconds: f32| (seconds / self.speed * self.sample_rate) as usize;
        length.clamp(samples(*pause.start()), samples(*pause.end()))
    }

    /// Keeps no more silence than may be needed.
    fn shorten(&mut self, silence: usize, seconds: f32) {
        let longest = (seconds / self.speed * self.sample_rate) as usize;
        self.held.truncate(silence + longest + self.onset());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 10_000;

    /// Joins `pieces`, each given as its sound and its end, in blocks of `block` samples.
    fn joined(pieces: &[(Vec<f32>, Break)], speed: f32, block: usize) -> Vec<f32> {
        let mut pauses = Pauses::new(RATE, speed);
        let mut out = Vec::new();
        for (sound, end) in pieces {
            sound.chunks(block).for_each(|block| pauses.push(block, &mut out));
            pauses.end_piece(*end);
        }
        pauses.finish(&mut out);
        out
    }

    /// `silence` seconds, a second of sound, `silence` seconds.
    fn piece(silence: f32) -> Vec<f32> {
        let quiet = vec![0.0; (silence * RATE as f32) as usize];
        [quiet.clone(), vec![0.5; RATE as usize], quiet].concat()
    }

    /// The lengths of the silences in seconds.
    fn silences(sound: &[f32]) -> Vec<f32> {
        let runs = sound.chunk_by(|a, b| (a.abs() > QUIET) == (b.abs() > QUIET));
        runs.filter(|run| run[0].abs() <= QUIET).map(|run| run.len() as f32 / RATE as f32).collect()
    }

    #[test]
    fn pauses_are_neither_doubled_nor_missing() {
        for (silence, end, expected) in [
            (0.4, Break::Sentence, 0.5),
            (0.0, Break::Sentence, 0.25),
            (0.15, Break::Sentence, 0.3),
            (0.4, Break::Clause, 0.25),
            (0.4, Break::Word, 0.03),
            (0.0, Break::Paragraph, 0.5),
        ] {
            let out = joined(&[(piece(silence), end), (piece(silence), Break::Sentence)], 1.0, 77);
            let between = silences(&out).iter().rev().nth(1).copied().unwrap_or_default();
            assert!((between - expected).abs() < 0.004, "{end:?} after {silence} s: {:?}", silences(&out));
        }
        let fast = joined(&[(piece(0.4), Break::Sentence), (piece(0.4), Break::Sentence)], 2.0, 1000);
        assert!(silences(&fast).iter().any(|pause| (pause - 0.25).abs() < 0.004), "{:?}", silences(&fast));
    }

    #[test]
    fn pieces_that_end_loud_fade_into_each_other() {
        let out = joined(&[(piece(0.0), Break::Word), (piece(0.0), Break::Word)], 1.0, 1000);
        let jump = out.windows(2).skip(1).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(jump < 0.02, "{jump}");
    }

    #[test]
    fn the_result_does_not_depend_on_the_blocks_and_silence_inside_a_piece_stays() {
        let speech = [piece(0.2), piece(0.2)].concat();
        let pieces = [(speech.clone(), Break::Clause), (piece(0.1), Break::Sentence)];
        assert!(joined(&pieces, 1.0, 7) == joined(&pieces, 1.0, 100_000));
        assert!(silences(&joined(&pieces, 1.0, 7)).iter().any(|pause| (pause - 0.4).abs() < 0.001));
    }

    #[test]
    fn no_sound_at_all_is_a_short_silence() {
        assert!(joined(&[], 1.0, 1) == vec![0.0; 1500]);
        assert_eq!(joined(&[(vec![0.0; 100], Break::Sentence), (vec![], Break::Word)], 1.0, 1).len(), 1500);
    }
}
