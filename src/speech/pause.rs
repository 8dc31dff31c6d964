//! The pauses between pieces of speech: every piece comes with the silence its engine puts around it, and together
//! they must sound like one speaker. Nothing here knows text or voices.

use super::sentence::Break;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Sound below this is silence.
const QUIET: f32 = 0.003;
/// How long a piece that does not end in silence takes to fade, in seconds.
const FADE: f32 = 0.005;
/// How much silence may be at the beginning of all, in seconds.
const AT_START: RangeInclusive<f32> = 0.0..=0.1;
/// How much silence there is at the end of all, in seconds.
const AT_END: RangeInclusive<f32> = 0.15..=0.3;
/// No pause that is asked for is longer, in seconds: it is kept in memory until sound follows.
const LONGEST: f32 = 60.0;

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
    /// What is held back: silence, and in front of it as much sound as may have to fade.
    held: Vec<f32>,
    /// What stands between the pieces before and the current one until that is heard.
    join: Option<Join>,
    /// How many samples of the new piece are still to fade in.
    fade_in: usize,
    /// How many samples have been given out.
    given: i64,
    /// Where the current piece begins in the joined sound, in samples; known once it is heard.
    begin: Option<i64>,
}

/// Two pieces with silence between them.
struct Join {
    /// Where in `held` the silence begins.
    silence: usize,
    /// Where in `held` the new piece began, were nothing taken away before it.
    begin: i64,
    /// How many samples of silence there may be.
    allowed: RangeInclusive<usize>,
    /// Whether the silence was asked for.
    asked: bool,
}

impl Pauses {
    /// Joins pieces of `sample_rate` hertz.
    pub fn new(sample_rate: u32) -> Self {
        let mut pauses =
            Self { sample_rate: sample_rate as f32, held: Vec::new(), join: None, fade_in: 0, given: 0, begin: None };
        let allowed = pauses.samples(&AT_START, 1.0);
        pauses.join = Some(Join { silence: 0, begin: 0, allowed, asked: false });
        pauses
    }

    /// Takes the next sound of the current piece and appends what is ready to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let from = self.held.len();
        self.held.extend_from_slice(samples);
        self.fade_in(from);
        if let Some(join) = self.join.take() {
            let Some(loud) = self.held[join.silence..].iter().position(|sample| sample.abs() > QUIET) else {
                self.join = Some(self.shorten(join));
                return;
            };
            // A consonant may begin below the threshold; a millisecond of it is kept.
            let start = (join.silence + loud).saturating_sub(self.onset()).max(join.silence);
            let length = (start - join.silence).clamp(*join.allowed.start(), *join.allowed.end());
            self.held.splice(join.silence..start, std::iter::repeat_n(0.0, length));
            self.begin = Some(self.given + join.begin + length as i64 - (start - join.silence) as i64);
        }
        let ready = self.sound_end().min(self.held.len().saturating_sub(self.fade()));
        self.give(ready, out);
    }

    /// Where the current piece begins in the joined sound: its sample `n` is sample `begin + n` there. Nothing until it
    /// is heard.
    pub fn begin(&self) -> Option<i64> {
        self.begin
    }

    /// The current piece is complete and ends in `end`; another may follow. Pauses are shorter when speech is faster.
    pub fn end_piece(&mut self, end: Break, speed: f32) {
        let allowed = self.samples(&allowed(end), speed);
        let begin = self.held.len() as i64;
        self.begin = None;
        match &mut self.join {
            // Nothing was heard of the piece.
            Some(join) => join.begin = begin,
            None => {
                let fade = self.fade().min(self.held.len());
                let from = self.held.len() - fade;
                for (i, sample) in self.held[from..].iter_mut().enumerate() {
                    *sample *= 1.0 - (i + 1) as f32 / fade as f32;
                }
                self.join = Some(Join { silence: self.sound_end(), begin, allowed, asked: false });
                self.fade_in = self.fade();
            }
        }
    }

    /// Asks for a pause of this length before the next piece, in addition to pauses asked for just before.
    pub fn rest(&mut self, pause: Duration) {
        if self.join.is_none() {
            self.end_piece(Break::Word, 1.0);
        }
        let most = (LONGEST * self.sample_rate) as usize;
        let length = (pause.as_secs_f32().min(LONGEST) * self.sample_rate) as usize;
        if let Some(join) = &mut self.join {
            let before = if join.asked { *join.allowed.start() } else { 0 };
            let length = (before + length).min(most);
            (join.allowed, join.asked) = (length..=length, true);
        }
    }

    /// Appends the rest to `out`, with a short silence at its end.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        self.end_piece(Break::Sentence, 1.0);
        let at_end = self.samples(&AT_END, 1.0);
        let (silence, asked) =
            self.join.take().map_or((0, 0), |join| (join.silence, if join.asked { *join.allowed.end() } else { 0 }));
        let length = (self.held.len() - silence).clamp(*at_end.start(), *at_end.end()).max(asked);
        self.held.truncate(silence);
        self.held.resize(silence + length, 0.0);
        self.give(self.held.len(), out);
    }

    fn give(&mut self, ready: usize, out: &mut Vec<f32>) {
        out.extend(self.held.drain(..ready));
        self.given += ready as i64;
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

    fn samples(&self, seconds: &RangeInclusive<f32>, speed: f32) -> RangeInclusive<usize> {
        let samples = |seconds: f32| (seconds / speed * self.sample_rate) as usize;
        samples(*seconds.start())..=samples(*seconds.end())
    }

    /// Keeps no more silence than may be needed.
    fn shorten(&mut self, mut join: Join) -> Join {
        let enough = join.silence + join.allowed.end() + self.onset();
        join.begin -= self.held.len().saturating_sub(enough) as i64;
        self.held.truncate(enough);
        join
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 10_000;

    /// Joins `pieces`, each given as its sound and its end, in blocks of `block` samples.
    fn joined(pieces: &[(Vec<f32>, Break)], speed: f32, block: usize) -> Vec<f32> {
        let mut pauses = Pauses::new(RATE);
        let mut out = Vec::new();
        for (sound, end) in pieces {
            sound.chunks(block).for_each(|block| pauses.push(block, &mut out));
            pauses.end_piece(*end, speed);
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
    fn silence_before_the_first_piece_is_short() {
        let out = joined(&[(piece(0.4), Break::Sentence)], 1.0, 77);
        assert!((silences(&out)[0] - 0.1).abs() < 0.004, "{:?}", silences(&out));
    }

    #[test]
    fn a_pause_that_is_asked_for_has_its_length_wherever_it_is() {
        let rest = |seconds| Duration::from_secs_f32(seconds);
        let mut pauses = Pauses::new(RATE);
        let mut out = Vec::new();
        pauses.rest(rest(0.7));
        pauses.push(&piece(0.2), &mut out);
        pauses.end_piece(Break::Sentence, 2.0);
        pauses.rest(rest(1.0));
        pauses.rest(rest(0.5));
        pauses.push(&piece(0.2), &mut out);
        pauses.end_piece(Break::Sentence, 2.0);
        pauses.rest(rest(2.0));
        pauses.finish(&mut out);
        let silences = silences(&out);
        for (found, expected) in silences.iter().zip([0.7, 1.5, 2.0]) {
            assert!((found - expected).abs() < 0.004, "{silences:?}");
        }
        assert_eq!(silences.len(), 3);
        (0..1_000).for_each(|_| pauses.rest(rest(10.0)));
        pauses.finish(&mut out);
        assert!(out.len() < 70 * RATE as usize, "a pause is bounded");
    }

    #[test]
    fn the_samples_of_a_piece_are_found_in_the_joined_sound() {
        for (silence, end) in [(0.4, Break::Word), (0.0, Break::Sentence), (0.2, Break::Clause)] {
            for block in [7, 1_000, 100_000] {
                let mut pauses = Pauses::new(RATE);
                let mut out = Vec::new();
                let mut begins = Vec::new();
                for _ in 0..3 {
                    piece(silence).chunks(block).for_each(|block| pauses.push(block, &mut out));
                    begins.push(pauses.begin().expect("it was heard"));
                    pauses.end_piece(end, 1.0);
                }
                pauses.finish(&mut out);
                let loud = |at: &usize| out[*at].abs() > 0.4 && (*at == 0 || out[at - 1].abs() <= 0.4);
                let onsets: Vec<i64> = (0..out.len()).filter(loud).map(|at| at as i64).collect();
                let expected: Vec<i64> = begins.iter().map(|begin| begin + (silence * RATE as f32) as i64).collect();
                let near = onsets.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() <= 50);
                assert!(near && onsets.len() == 3, "{silence} {end:?} {block}: {onsets:?} {expected:?}");
            }
        }
    }

    #[test]
    fn no_sound_at_all_is_a_short_silence() {
        assert!(joined(&[], 1.0, 1) == vec![0.0; 1500]);
        assert_eq!(joined(&[(vec![0.0; 100], Break::Sentence), (vec![], Break::Word)], 1.0, 1).len(), 1500);
    }
}
