//! Logarithmic mel energies as Whisper computes them: frames of 25 ms every 10 ms around their middle, a periodic Hann
//! window, 80 triangles of even area up to 8 kHz on Slaney's mel scale, and 80 dB below the loudest.

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Mel bands.
pub const BANDS: usize = 80;

/// Samples from one frame to the next: 10 ms at 16 kHz.
pub const HOP: usize = 160;

/// Samples in a frame: 25 ms.
const FRAME: usize = 400;

const SAMPLE_RATE: f64 = 16_000.0;

/// The least energy, and how far below the most it may be, both as powers of ten.
const LEAST: f32 = -10.0;
const RANGE: f32 = 8.0;

/// Computes the bands. Keeps its buffers, so one value serves many calls.
pub struct Mel {
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

impl Mel {
    /// Ready to work.
    pub fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(FRAME);
        let (frame, spectrum, scratch) = (fft.make_input_vec(), fft.make_output_vec(), fft.make_scratch_vec());
        let taper = (0..FRAME).map(|n| (0.5 - 0.5 * (TAU * n as f64 / FRAME as f64).cos()) as f32).collect();
        Self { taper, triangles: triangles(), fft, frame, spectrum, scratch }
    }

    /// The bands of `samples`, mono at 16 kHz and more than a frame of them: all frames of the first band, then all of the
    /// second, and so on. A frame for every [`HOP`] samples.
    pub fn compute(&mut self, samples: &[f32]) -> Vec<f32> {
        let (frames, padded) = (samples.len() / HOP, mirrored(samples));
        let mut bands = vec![0.0; BANDS * frames];
        for (index, frame) in padded.windows(FRAME).step_by(HOP).take(frames).enumerate() {
            self.transform(frame);
            for (band, triangle) in self.triangles.iter().enumerate() {
                let bins = self.spectrum[triangle.first..].iter().zip(&triangle.weights);
                let energy: f32 = bins.map(|(bin, weight)| bin.norm_sqr() * weight).sum();
                bands[band * frames + index] = energy.log10().max(LEAST);
            }
        }
        let floor = bands.iter().copied().fold(LEAST, f32::max) - RANGE;
        bands.iter_mut().for_each(|band| *band = (band.max(floor) + 4.0) / 4.0);
        bands
    }

    fn transform(&mut self, samples: &[f32]) {
        for ((out, sample), taper) in self.frame.iter_mut().zip(samples).zip(&self.taper) {
            *out = sample * taper;
        }
        // The buffers are made for this transform, so their lengths are right.
        let _ = self.fft.process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
    }
}

/// `samples` with half a frame in front and behind in which they are mirrored, so that a frame's middle is its place.
fn mirrored(samples: &[f32]) -> Vec<f32> {
    const HALF: usize = FRAME / 2;
    let mut mirrored = Vec::with_capacity(samples.len() + FRAME);
    mirrored.extend(samples.iter().skip(1).take(HALF).rev());
    mirrored.extend_from_slice(samples);
    mirrored.extend(samples.iter().rev().skip(1).take(HALF));
    mirrored
}

/// Hertz from Slaney's mel: even steps up to 1 kHz, and even ratios above.
fn hertz(mel: f64) -> f64 {
    const FIRST_RATIO: f64 = 15.0;
    match mel < FIRST_RATIO {
        true => mel * 200.0 / 3.0,
        false => 1_000.0 * (6.4_f64.ln() / 27.0 * (mel - FIRST_RATIO)).exp(),
    }
}

/// Triangles of even width in mel, each from the middle of its neighbour to the middle of the other, and all of one area.
fn triangles() -> Vec<Triangle> {
    let highest = 15.0 + 27.0 / 6.4_f64.ln() * (SAMPLE_RATE / 2.0 / 1_000.0).ln();
    let corner = |index: usize| hertz(highest * index as f64 / (BANDS + 1) as f64);
    (0..BANDS).map(|band| triangle([corner(band), corner(band + 1), corner(band + 2)])).collect()
}

fn triangle([left, middle, right]: [f64; 3]) -> Triangle {
    let weight = |bin: usize| {
        let hertz = bin as f64 * SAMPLE_RATE / FRAME as f64;
        let height = ((hertz - left) / (middle - left)).min((right - hertz) / (right - middle));
        (height * 2.0 / (right - left)) as f32
    };
    let inside: Vec<usize> = (0..=FRAME / 2).filter(|bin| weight(*bin) > 0.0).collect();
    Triangle { first: inside.first().copied().unwrap_or(0), weights: inside.iter().map(|bin| weight(*bin)).collect() }
}
