//! Higher or lower sound of the same length, as a stream. No models, no formats.
//!
//! The sound is stretched, then played faster or slower.

use super::resample::Resampler;
use super::stretch::Stretch;
use crate::error::Result;

/// Pitches are rounded to steps of one in so many.
const STEPS: f32 = 200.0;

/// Changes the pitch of a stream of mono samples.
pub struct Pitch {
    stretch: Stretch,
    resampler: Resampler,
}

impl Pitch {
    /// Multiplies every frequency by `factor`, which is in `0.1..=10`.
    ///
    /// # Errors
    /// Never for a factor in this range.
    pub fn new(sample_rate: u32, factor: f32) -> Result<Self> {
        let steps = (factor * STEPS).round();
        // Only the ratio of the two rates counts; this one keeps the blocks of the conversion short.
        let resampler = Resampler::new(steps as u32 * 100, STEPS as u32 * 100)?;
        Ok(Self { stretch: Stretch::new(sample_rate, STEPS / steps), resampler })
    }

    /// Takes the next `samples` and appends what is ready to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let mut stretched = Vec::new();
        self.stretch.push(samples, &mut stretched);
        self.resampler.push(&stretched, out);
    }

    /// Appends the rest to `out`: all calls together have given as many samples as came in, or one more.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let mut stretched = Vec::new();
        self.stretch.finish(&mut stretched);
        self.resampler.push(&stretched, out);
        self.resampler.finish(out);
    }
}

/// Gives sound another speed and pitch, where these are not 1.
pub struct Change {
    stretch: Option<Stretch>,
    pitch: Option<Pitch>,
}

impl Change {
    /// For sound of `sample_rate` hertz: `speed` times as fast, with `pitch` times the pitch.
    ///
    /// # Errors
    /// As [`Pitch::new`].
    pub fn new(sample_rate: u32, speed: f32, pitch: f32) -> Result<Self> {
        let stretch = (speed != 1.0).then(|| Stretch::new(sample_rate, speed));
        let pitch = if pitch == 1.0 { None } else { Some(Pitch::new(sample_rate, pitch)?) };
        Ok(Self { stretch, pitch })
    }

    /// Takes the next samples and returns what is ready.
    pub fn push(&mut self, samples: Vec<f32>) -> Vec<f32> {
        let stretched = match &mut self.stretch {
            Some(stretch) => collected(|out| stretch.push(&samples, out)),
            None => samples,
        };
        match &mut self.pitch {
            Some(pitch) => collected(|out| pitch.push(&stretched, out)),
            None => stretched,
        }
    }

    /// The rest.
    pub fn finish(&mut self) -> Vec<f32> {
        let stretched = self.stretch.as_mut().map(|stretch| collected(|out| stretch.finish(out))).unwrap_or_default();
        match &mut self.pitch {
            Some(pitch) => collected(|out| {
                pitch.push(&stretched, out);
                pitch.finish(out);
            }),
            None => stretched,
        }
    }
}

fn collected(fill: impl FnOnce(&mut Vec<f32>)) -> Vec<f32> {
    let mut samples = Vec::new();
    fill(&mut samples);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 22_050;

    fn shifted(input: &[f32], factor: f32, block: usize) -> Vec<f32> {
        let mut pitch = Pitch::new(RATE, factor).expect("a sensible factor");
        let mut out = Vec::new();
        input.chunks(block).for_each(|block| pitch.push(block, &mut out));
        pitch.finish(&mut out);
        out
    }

    #[test]
    fn the_pitch_changes_and_the_length_does_not() {
        let input: Vec<f32> = (0..RATE).map(|i| (i as f32 * 0.04).sin() * 0.5).collect();
        // Not at the end, where the tone breaks off and the filter swings on.
        let rises = |pair: &&[f32]| pair[0] < 0.0 && pair[1] >= 0.0;
        let crossings = |samples: &[f32]| samples[..20_000].windows(2).filter(rises).count();
        for factor in [0.5, 0.7, 0.9, 1.0, 1.25, 1.5, 2.0] {
            let out = shifted(&input, factor, 1000);
            assert!(out.len().abs_diff(input.len()) <= 1, "{factor}: {}", out.len());
            let ratio = crossings(&out) as f32 / crossings(&input) as f32;
            assert!((ratio / factor - 1.0).abs() < 0.03, "{factor}: {ratio}");
            assert!(shifted(&input, factor, 77) == out, "{factor}");
        }
        assert!(shifted(&[], 1.5, 1).is_empty());
    }
}
