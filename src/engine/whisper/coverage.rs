//! Whether the text reaches over all that is loud, and a guide for the decoder where it does not.
//!
//! Models sometimes end a sentence in the middle of a word and leave out the rest. The guide lets a segment end only
//! where the sound falls, and the text only when no sound is left.

use super::words::Energy;
use crate::transcript::Segment;
use std::time::Duration;

/// So many loud ticks (0.2 s) without text are a gap.
const GAP: usize = 20;

/// So many between two segments.
const GAP_INSIDE: usize = 30;

/// A tick is loud from this share of the loudness of speech on.
const LOUD: f32 = 0.2;

/// A segment may end where so many ticks on end are not loud.
const PAUSE: usize = 12;

/// How far, in ticks, the end of a segment may be from the pause it belongs to.
const NEAR: usize = 10;

/// Where a piece is loud, and where it pauses.
pub(super) struct Guide {
    /// For every tick, how many loud ticks follow.
    loud_from: Vec<usize>,
    /// For every tick, whether a pause is near.
    pauses: Vec<bool>,
    /// The number of the first time token; they are two ticks apart.
    first_time: i32,
    end_of_text: i32,
}

impl Guide {
    /// For a piece with this `energy`; the rest describes the model's tokens.
    pub(super) fn new(energy: &Energy, first_time: i32, end_of_text: i32) -> Self {
        let threshold = energy.of_speech() * LOUD;
        let loud: Vec<bool> = energy.ticks().map(|level| level > threshold && level > 0.0).collect();
        let mut loud_from = vec![0; loud.len() + 1];
        for tick in (0..loud.len()).rev() {
            loud_from[tick] = loud_from[tick + 1] + usize::from(loud[tick]);
        }
        let pauses = pauses(&loud);
        Self { loud_from, pauses, first_time, end_of_text }
    }

    /// Whether something loud lies before, between or behind `segments`. Nothing at all is not a gap: what the model
    /// takes for noise must not become words.
    pub(super) fn has_gap(&self, segments: &[Segment]) -> bool {
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return false };
        self.missed(first, last) >= GAP || segments.windows(2).any(|pair| self.between(pair) >= GAP_INSIDE)
    }

    /// How many loud ticks lie outside of `segments`.
    pub(super) fn uncovered(&self, segments: &[Segment]) -> usize {
        match (segments.first(), segments.last()) {
            (Some(first), Some(last)) => {
                self.missed(first, last) + segments.windows(2).map(|pair| self.between(pair)).sum::<usize>()
            }
            _ => self.loud_from(0),
        }
    }

    fn missed(&self, first: &Segment, last: &Segment) -> usize {
        self.loud_from(0) - self.loud_from(tick(first.start)) + self.loud_from(tick(last.end))
    }

    /// How many loud ticks lie between two segments.
    fn between(&self, pair: &[Segment]) -> usize {
        self.loud_from(tick(pair[0].end)).saturating_sub(self.loud_from(tick(pair[1].start)))
    }

    fn loud_from(&self, tick: usize) -> usize {
        self.loud_from.get(tick).copied().unwrap_or(0)
    }

    /// Rules out the tokens that would end a segment or the text too early. `so_far` is what has been decoded.
    pub(super) fn filter(&self, so_far: &[i32], logits: &mut [f32]) {
        let is_time = |token: &i32| *token >= self.first_time;
        let Some(last) = so_far.last() else { return self.filter_first(logits) };
        if is_time(last) {
            let tick = 2 * (last - self.first_time) as usize;
            if so_far.len() > 1 && self.loud_from(tick) >= GAP {
                logits[self.end_of_text as usize] = f32::NEG_INFINITY;
            }
            return;
        }
        logits[self.end_of_text as usize] = f32::NEG_INFINITY;
        for (index, logit) in logits[self.first_time as usize..].iter_mut().enumerate() {
            if self.pauses.get(2 * index).is_some_and(|pause| !pause) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    /// The text begins where the sound does.
    fn filter_first(&self, logits: &mut [f32]) {
        for (index, logit) in logits[self.first_time as usize..].iter_mut().enumerate() {
            if self.loud_from(0) - self.loud_from(2 * index) >= GAP {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
}

fn tick(time: Duration) -> usize {
    (time.as_millis() / 10) as usize
}

/// Marks every tick that is near so many quiet ones on end, or near the end.
fn pauses(loud: &[bool]) -> Vec<bool> {
    let mut pauses = vec![false; loud.len()];
    let mut quiet = 0;
    for tick in 0..loud.len() {
        quiet = if loud[tick] { 0 } else { quiet + 1 };
        if quiet >= PAUSE || tick + 1 == loud.len() {
            let from = tick.saturating_sub(PAUSE + NEAR);
            let to = (tick + 1).min(loud.len());
            pauses[from..to].fill(true);
        }
    }
    pauses
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of sound, a pause, and another second; time tokens begin at 10, the text ends with 9.
    fn guide() -> Guide {
        let samples: Vec<f32> = (0..40_000).map(|n| if (16_000..24_000).contains(&n) { 0.0 } else { 0.5 }).collect();
        Guide::new(&Energy::of(&samples), 10, 9)
    }

    fn segment(start_ms: u64, end_ms: u64) -> Segment {
        let (start, end) = (Duration::from_millis(start_ms), Duration::from_millis(end_ms));
        Segment { start, end, ..Segment::default() }
    }

    #[test]
    fn sound_outside_the_text_is_a_gap() {
        assert!(guide().has_gap(&[segment(0, 900)]));
        assert!(guide().has_gap(&[segment(1500, 2500)]));
        assert!(!guide().has_gap(&[segment(50, 1000), segment(1500, 2450)]));
        assert!(!guide().has_gap(&[]));
        let both = [segment(50, 500), segment(1500, 2450)];
        assert!(guide().has_gap(&both), "half of the first sound has no text");
        assert_eq!(guide().uncovered(&both), 5 + 50 + 5);
    }

    #[test]
    fn a_segment_may_end_only_at_a_pause_and_the_text_only_at_the_end() {
        let mut logits = vec![0.0; 200];
        guide().filter(&[10, 1], &mut logits);
        let allowed: Vec<usize> = (0..125).filter(|index| logits[10 + index] == 0.0).collect();
        assert!(!allowed.contains(&10) && allowed.contains(&50) && allowed.contains(&60) && !allowed.contains(&90));
        assert!(allowed.contains(&124) && logits[9] == f32::NEG_INFINITY);
        let mut logits = vec![0.0; 200];
        guide().filter(&[10, 1, 60], &mut logits);
        assert_eq!(logits[9], f32::NEG_INFINITY);
        let mut logits = vec![0.0; 200];
        guide().filter(&[10, 1, 134], &mut logits);
        assert_eq!(logits[9], 0.0);
    }
}
