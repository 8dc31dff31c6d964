//! The pitch of a voice, frame by frame, by autocorrelation.

use super::fbank::{FRAME, HOP};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::f32::consts::TAU;
use std::sync::Arc;

/// Samples that are compared with themselves: 50 ms at 16 kHz, four periods of a low voice.
const WINDOW: usize = 800;

const FFT: usize = 2048;

/// The periods of voices between 70 and 400 Hz.
const PERIODS: std::ops::Range<usize> = 40..230;

/// From this likeness to itself on a sound is voiced.
const VOICED: f32 = 0.5;

/// What each octave of a longer period costs: two periods are as alike as one.
const OCTAVE_COST: f32 = 0.02;

/// Higher harmonics, from about so many hertz on, say little about the period.
const LOW_PASS: f32 = 900.0;

/// Finds the pitch. Keeps its buffers, so one value serves many calls.
pub struct Pitch {
    forward: Arc<dyn RealToComplex<f32>>,
    backward: Arc<dyn ComplexToReal<f32>>,
    taper: Vec<f32>,
    low_pass: Vec<f32>,
    /// How alike the taper itself is to itself at every distance.
    taper_likeness: Vec<f32>,
    signal: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
}

impl Pitch {
    /// Ready to work.
    pub fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, backward) = (planner.plan_fft_forward(FFT), planner.plan_fft_inverse(FFT));
        let taper = (0..WINDOW).map(|n| 0.5 - 0.5 * (TAU * n as f32 / (WINDOW - 1) as f32).cos()).collect();
        let low_pass = |bin: usize| 1.0 / (1.0 + (bin as f32 * 16_000.0 / FFT as f32 / LOW_PASS).powi(4));
        let (signal, spectrum) = (forward.make_input_vec(), forward.make_output_vec());
        let low_pass = (0..spectrum.len()).map(low_pass).collect();
        let mut pitch = Self { forward, backward, taper, low_pass, taper_likeness: Vec::new(), signal, spectrum };
        pitch.signal[..WINDOW].copy_from_slice(&pitch.taper);
        pitch.signal[WINDOW..].fill(0.0);
        pitch.correlate(|_| 1.0);
        pitch.taper_likeness = pitch.signal[..PERIODS.end].iter().map(|value| value / pitch.signal[0]).collect();
        pitch
    }

    /// The pitch around the frame `frame` of the mel bands of `samples`, in hertz; `None` where nothing is voiced.
    pub fn at(&mut self, samples: &[f32], frame: usize) -> Option<f32> {
        let middle = frame * HOP + FRAME / 2;
        let window = samples.get(middle.checked_sub(WINDOW / 2)?..middle + WINDOW / 2)?;
        let mean = window.iter().sum::<f32>() / WINDOW as f32;
        for ((out, sample), taper) in self.signal.iter_mut().zip(window).zip(&self.taper) {
            *out = (sample - mean) * taper;
        }
        self.signal[WINDOW..].fill(0.0);
        let low_pass = std::mem::take(&mut self.low_pass);
        self.correlate(|bin| low_pass[bin]);
        self.low_pass = low_pass;
        if self.signal[0] < f32::MIN_POSITIVE {
            return None;
        }
        let likeness = |period: usize| self.signal[period] / self.signal[0] / self.taper_likeness[period];
        let score = |period: usize| likeness(period) - OCTAVE_COST * (period as f32 / PERIODS.start as f32).log2();
        let best = PERIODS.max_by(|a, b| score(*a).total_cmp(&score(*b)))?;
        (likeness(best) > VOICED).then(|| 16_000.0 / best as f32)
    }

    /// Turns the signal into its autocorrelation, with the power of each bin weighted.
    fn correlate(&mut self, weight: impl Fn(usize) -> f32) {
        // The buffers are made for these transforms, and the ends of a power spectrum are real.
        let _ = self.forward.process(&mut self.signal, &mut self.spectrum);
        for (bin, value) in self.spectrum.iter_mut().enumerate() {
            *value = Complex::new(value.norm_sqr() * weight(bin), 0.0);
        }
        let _ = self.backward.process(&mut self.spectrum, &mut self.signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many hertz with ten harmonics that become weaker.
    fn buzz(hertz: f32) -> Vec<f32> {
        let tone = |n: usize, k: usize| (TAU * hertz * (k * n) as f32 / 16_000.0).sin() / k as f32;
        (0..4000).map(|n| 0.2 * (1..=10).map(|k| tone(n, k)).sum::<f32>()).collect()
    }

    #[test]
    fn the_pitch_of_a_buzz_is_found() {
        let mut pitch = Pitch::new();
        for hertz in [80.0, 110.0, 160.0, 220.0, 330.0] {
            let found = pitch.at(&buzz(hertz), 8).expect("voiced");
            assert!((found / hertz - 1.0).abs() < 0.02, "{hertz}: {found}");
        }
    }

    #[test]
    fn noise_silence_and_the_edges_have_no_pitch() {
        let mut pitch = Pitch::new();
        let mut seed = 1_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let noise: Vec<f32> = (0..4000).map(|_| noise()).collect();
        assert_eq!(pitch.at(&noise, 8), None);
        assert_eq!(pitch.at(&[0.0; 4000], 8), None);
        assert_eq!(pitch.at(&[f32::NAN; 4000], 8), None);
        assert_eq!(pitch.at(&buzz(110.0), 0), None);
        assert_eq!(pitch.at(&buzz(110.0), 1000), None);
    }
}
