//! Logarithmic mel energies as Kaldi computes them, which is what speaker models were trained on: frames of 25 ms every
//! 10 ms, without the mean, pre-emphasised, 80 triangles between 20 Hz and 8 kHz, no dither.

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::f32::consts::TAU;
use std::sync::Arc;

/// Mel bands.
pub const BANDS: usize = 80;

/// Samples from one frame to the next: 10 ms at 16 kHz.
pub const HOP: usize = 160;

/// Samples in a frame: 25 ms at 16 kHz.
pub const FRAME: usize = 400;

const FFT: usize = 512;
const SAMPLE_RATE: f32 = 16_000.0;
const LOWEST: f32 = 20.0;
const PRE_EMPHASIS: f32 = 0.97;

/// Kaldi works on 16-bit samples.
const FULL_SCALE: f32 = 32_768.0;

/// The bands of one frame.
pub type Frame = [f32; BANDS];

/// How the ends of a frame fade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taper {
    /// Kaldi's own.
    Povey,
    /// What WeSpeaker trains with.
    Hamming,
}

/// Computes the bands. Keeps its buffers, so one value serves many calls.
pub struct Fbank {
    taper: Vec<f32>,
    triangles: Vec<Triangle>,
    fft: Arc<dyn RealToComplex<f32>>,
    frame: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

/// The weights of a band, from the bin `first` on.
struct Triangle {
    first: usize,
    weights: Vec<f32>,
}

impl Fbank {
    /// Ready to work.
    pub fn new(taper: Taper) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(FFT);
        let (frame, spectrum, scratch) = (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec());
        let taper = (0..FRAME).map(|n| taper.at(n)).collect();
        Self { taper, triangles: triangles(), fft, frame, spectrum, scratch }
    }

    /// The bands of every whole frame in `samples`, mono at 16 kHz in `[-1, 1]`.
    pub fn compute(&mut self, samples: &[f32]) -> Vec<Frame> {
        samples.windows(FRAME).step_by(HOP).map(|frame| self.bands(frame)).collect()
    }

    fn bands(&mut self, samples: &[f32]) -> Frame {
        let mean = samples.iter().sum::<f32>() / FRAME as f32;
        // The sample before the first is taken to be like it.
        let mut before = (samples[0] - mean) * FULL_SCALE;
        for ((out, sample), taper) in self.frame.iter_mut().zip(samples).zip(&self.taper) {
            let sample = (sample - mean) * FULL_SCALE;
            *out = (sample - PRE_EMPHASIS * before) * taper;
            before = sample;
        }
        self.frame[FRAME..].fill(0.0);
        // The buffers are made for this transform, so their lengths are right.
        let _ = self.fft.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
        let mut bands = [0.0; BANDS];
        for (band, triangle) in bands.iter_mut().zip(&self.triangles) {
            let bins = self.spectrum[triangle.first..].iter().zip(&triangle.weights);
            let energy: f32 = bins.map(|(bin, weight)| bin.norm_sqr() * weight).sum();
            *band = energy.max(f32::EPSILON).ln();
        }
        bands
    }
}

impl Taper {
    fn at(self, n: usize) -> f32 {
        let cosine = (TAU * n as f32 / (FRAME - 1) as f32).cos();
        match self {
            Self::Povey => (0.5 - 0.5 * cosine).powf(0.85),
            Self::Hamming => 0.54 - 0.46 * cosine,
        }
    }
}

fn mel(hertz: f32) -> f32 {
    1127.0 * (1.0 + hertz / 700.0).ln()
}

/// Triangles of even width in mel, each from the middle of its neighbour to the middle of the other.
fn triangles() -> Vec<Triangle> {
    let (lowest, highest) = (mel(LOWEST), mel(SAMPLE_RATE / 2.0));
    let step = (highest - lowest) / (BANDS + 1) as f32;
    (0..BANDS).map(|band| triangle(lowest + band as f32 * step, step)).collect()
}

fn triangle(left: f32, step: f32) -> Triangle {
    let weight = |bin: usize| {
        let from_left = mel(bin as f32 * SAMPLE_RATE / FFT as f32) - left;
        (from_left / step).min(2.0 - from_left / step)
    };
    let inside: Vec<usize> = (0..FFT / 2).filter(|bin| weight(*bin) > 0.0).collect();
    Triangle { first: inside.first().copied().unwrap_or(0), weights: inside.iter().map(|bin| weight(*bin)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signal of `scripts/onnx-fixtures`.
    fn signal() -> Vec<f32> {
        (0..880_u32).map(|n| ((n * n * 7 + n * 31) % 2001) as f32 / 2000.0 - 0.5).collect()
    }

    #[test]
    fn the_bands_are_those_of_kaldi() {
        let povey = include_bytes!("../../../tests/it/fixtures/onnx/fbank-povey.f32");
        let hamming = include_bytes!("../../../tests/it/fixtures/onnx/fbank-hamming.f32");
        for (taper, expected) in [(Taper::Povey, povey), (Taper::Hamming, hamming)] {
            let frames = Fbank::new(taper).compute(&signal());
            let expected = expected.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            assert_eq!(frames.len(), 4);
            for (index, (value, expected)) in frames.iter().flatten().zip(expected).enumerate() {
                assert!((value - expected).abs() < 0.002, "{taper:?} {index}: {value} is not {expected}");
            }
        }
    }

    #[test]
    fn less_than_a_frame_has_no_bands() {
        assert!(Fbank::new(Taper::Povey).compute(&[0.1; FRAME - 1]).is_empty());
        assert_eq!(Fbank::new(Taper::Povey).compute(&[0.0; FRAME]), [[f32::EPSILON.ln(); BANDS]]);
    }
}
