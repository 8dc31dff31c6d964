//! Voice activity: how likely somebody speaks, frame by frame. The only file that knows earshot.

use earshot::Detector;
use std::collections::VecDeque;

/// Samples in a frame: 16 ms at [`super::SPEECH_SAMPLE_RATE`].
pub const FRAME: usize = 256;

/// Quieter frames, about −66 dB below full scale, are never speech.
const SILENT: f32 = 0.0005;

/// The loudness speech is brought to before the detector hears it, as the mean amplitude of a loud frame.
const LOUD: f32 = 0.1;

/// The most that quiet sound is amplified by, about 30 dB.
const MAX_GAIN: f32 = 32.0;

/// How much of the remembered loudness a frame keeps: it halves in some ten seconds.
const LOUDNESS_KEPT: f32 = 0.9989;

/// So many frames (0.64 s) of even loudness are a tone or noise: a voice moves.
const STEADY_FRAMES: usize = 40;

/// The loudest of the [`STEADY_FRAMES`] is less than so many times the quietest: 3 dB.
const STEADY_RATIO: f32 = 1.41;

/// Listens to one stream of mono sound at 16 kHz.
pub struct Vad {
    detector: Box<Detector>,
    /// The loudness of the loudest frame, slowly forgotten.
    loudness: f32,
    recent: VecDeque<f32>,
}

impl Default for Vad {
    fn default() -> Self {
        Self::new()
    }
}

impl Vad {
    /// A detector at the beginning of a stream.
    pub fn new() -> Self {
        Self { detector: Box::new(Detector::default()), loudness: 0.0, recent: VecDeque::with_capacity(STEADY_FRAMES) }
    }

    /// How likely somebody speaks in the next frame, in `0..=1`.
    #[expect(clippy::manual_clamp, reason = "`clamp` leaves not-a-number as it is, `max` does not")]
    pub fn probability(&mut self, frame: &[f32; FRAME]) -> f32 {
        let power = frame.iter().map(|sample| sample * sample).sum::<f32>() / FRAME as f32;
        let level = if power.is_finite() { power.sqrt() } else { 0.0 };
        self.loudness = level.max(self.loudness * LOUDNESS_KEPT);
        let gain = (LOUD / self.loudness.max(f32::MIN_POSITIVE)).clamp(1.0, MAX_GAIN);
        let amplified = frame.map(|sample| (sample * gain).max(-1.0).min(1.0));
        let probability = self.detector.predict_f32(&amplified);
        if level < SILENT || self.is_steady(level) { 0.0 } else { probability.clamp(0.0, 1.0) }
    }

    /// Remembers `level` and says whether it has hardly changed for a while.
    fn is_steady(&mut self, level: f32) -> bool {
        if self.recent.len() == STEADY_FRAMES {
            self.recent.pop_front();
        }
        self.recent.push_back(level);
        let quietest = self.recent.iter().copied().fold(f32::INFINITY, f32::min);
        let loudest = self.recent.iter().copied().fold(0.0, f32::max);
        self.recent.len() == STEADY_FRAMES && loudest < quietest * STEADY_RATIO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of frames that count as speech.
    fn share_of_speech(samples: &[f32]) -> f32 {
        let mut vad = Vad::new();
        let frames = samples.as_chunks::<FRAME>().0;
        let speech = frames.iter().filter(|frame| vad.probability(frame) >= 0.5).count();
        speech as f32 / frames.len() as f32
    }

    #[test]
    fn silence_tones_and_noise_are_not_speech() {
        let tone: Vec<f32> = (0..160_000).map(|n| (n as f32 * 0.17).sin() * 0.3).collect();
        let mut seed = 1u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let white: Vec<f32> = (0..160_000).map(|_| noise() * 0.1).collect();
        let faint: Vec<f32> = (0..160_000).map(|_| noise() * 0.0005).collect();
        assert_eq!(share_of_speech(&vec![0.0; 160_000]), 0.0);
        assert_eq!(share_of_speech(&faint), 0.0);
        assert!(share_of_speech(&tone) < 0.07, "{}", share_of_speech(&tone));
        assert!(share_of_speech(&white) < 0.07, "{}", share_of_speech(&white));
    }

    #[test]
    fn what_is_not_a_number_is_silence() {
        assert_eq!(share_of_speech(&[f32::NAN; 4096]), 0.0);
        assert_eq!(share_of_speech(&[f32::INFINITY; 4096]), 0.0);
    }
}
