//! The voice prints that are always there: how the sound of a voice is spread over pitch and frequencies on average,
//! with what differs between sounds rather than between voices taken out.
//!
//! Its limits: it knows no more of a voice than its mean spectrum and pitch, so voices that are alike are taken for
//! one, and another microphone or much noise makes one voice look like two. A pulled model does better.

use super::fbank::{BANDS, Fbank, Frame, HOP, Taper};
use super::pitch::Pitch;
use super::unit;
use super::windows::windows;
use crate::audio::Pcm;
use crate::engine::{Cancel, Diarizer, Factory, Load, VoicePrint};
use crate::error::{Error, Kind, Result};
use std::f32::consts::{PI, TAU};
use std::ops::Range;

/// Samples between windows: 0.75 s.
const WINDOW_HOP: usize = 12_000;

/// Cepstral coefficients, from the second on: the first is loudness.
const CEPSTRA: usize = 24;

/// So many of the coefficients, the first, are also described by how far they move.
const MOVING: usize = 8;

/// The means of the coefficients, and how far they move.
const SHAPE: usize = CEPSTRA + MOVING;

/// What describes a voice: the shape of its spectrum and its pitch.
const FEATURES: usize = SHAPE + 1;

/// What is added to a movement before its logarithm is taken: less is not heard.
const STILL: f32 = 0.1;

/// Frames this far below the loudest of a window, about 52 dB, are not part of the voice.
const DYNAMICS: f32 = 12.0;

/// Every so many frames the pitch is measured; the others are not needed to describe a voice.
const PITCH_HOP: usize = 2;

/// With fewer voiced frames all loud ones are taken.
const FEWEST_VOICED: usize = 10;

/// How much the pitch of one voice moves between windows, as the natural logarithm of a ratio.
const PITCH_SPREAD: f32 = 0.2;

/// The squared distance of features at which two prints have a cosine similarity of `exp(-0.5)`.
const NEARNESS: f32 = 58.0;

/// Directions in which features are measured; each gives two dimensions of a print.
const DIRECTIONS: usize = 128;

/// See [`Diarizer::same_voice`]; found with built-in voices and checked with others.
const SAME_VOICE: f32 = 0.34;

/// The mean features of many voices, and a matrix after which the shapes of one voice scatter evenly: little endian
/// numbers, `mean, pitch, matrix` by rows. `training.rs` writes it.
const WHITENING: &[u8] = include_bytes!("../../../models/voices/whitening.f32");

/// Returns what makes the engines; there is nothing to load.
///
/// # Errors
/// `Internal` when the figures in the binary are damaged.
pub fn load(_: &Load<'_>) -> Result<Factory<dyn Diarizer>> {
    let _ = Whitening::parse(WHITENING)?;
    Ok(Box::new(|| Ok(Box::new(Spectral::new()?))))
}

/// One slot.
struct Spectral {
    listener: Listener,
    whitening: Whitening,
    directions: Vec<[f32; FEATURES]>,
}

impl Spectral {
    fn new() -> Result<Self> {
        let whitening = Whitening::parse(WHITENING)?;
        Ok(Self { listener: Listener::new(), whitening, directions: directions() })
    }

    /// Prints are near each other as a bell curve of the distance of their features: the mean of many waves over the
    /// features, of random directions and lengths, comes close to that curve.
    fn embed(&self, features: &Features) -> Vec<f32> {
        let features = self.whitening.apply(features);
        let along = |direction: &[f32; FEATURES]| dot(direction, &features);
        let waves = self.directions.iter().map(along).flat_map(|angle| [angle.cos(), angle.sin()]);
        unit(waves.collect())
    }
}

impl Diarizer for Spectral {
    fn voices(&mut self, audio: &Pcm, cancel: &Cancel<'_>) -> Result<Vec<VoicePrint>> {
        let mut prints = Vec::new();
        let heard = self.listener.hear(&audio.samples);
        for window in windows(&audio.samples, WINDOW_HOP) {
            if cancel.is_cancelled() {
                return Err(Error::new(Kind::Cancelled, "nobody waits for the voices"));
            }
            if let Some(features) = heard.describe(&mut self.listener, &window.heard) {
                prints.push(window.print(self.embed(&features)));
            }
        }
        Ok(prints)
    }

    fn same_voice(&self) -> f32 {
        SAME_VOICE
    }
}

/// The shape of the spectrum of a voice in a window, and the natural logarithm of its pitch in hertz, if there is one.
#[derive(Debug, Clone, PartialEq)]
struct Features {
    shape: [f32; SHAPE],
    pitch: Option<f32>,
}

/// Computes features.
struct Listener {
    fbank: Fbank,
    pitch: Pitch,
    cosines: Vec<Frame>,
}

/// A piece of audio and its mel bands.
struct Heard<'a> {
    samples: &'a [f32],
    bands: Vec<Frame>,
}

impl Listener {
    fn new() -> Self {
        let cosine = |order: usize, band: usize| (PI / BANDS as f32 * (band as f32 + 0.5) * order as f32).cos();
        let scale = (2.0 / BANDS as f32).sqrt();
        let row = |order: usize| std::array::from_fn(|band| cosine(order, band) * scale);
        Self { fbank: Fbank::new(Taper::Povey), pitch: Pitch::new(), cosines: (1..=CEPSTRA).map(row).collect() }
    }

    /// The means of the cepstra of `frames` and the logarithms of their standard deviations.
    fn shape<'a>(&self, frames: impl Iterator<Item = &'a Frame>) -> [f32; SHAPE] {
        let (mut sum, mut squares, mut count) = ([0.0; CEPSTRA], [0.0; MOVING], 0.0);
        for frame in frames {
            let cepstrum: [f32; CEPSTRA] = std::array::from_fn(|order| dot(&self.cosines[order], frame));
            sum.iter_mut().zip(cepstrum).for_each(|(sum, value)| *sum += value);
            squares.iter_mut().zip(cepstrum).for_each(|(sum, value)| *sum += value * value);
            count += 1.0;
        }
        std::array::from_fn(|index| match index.checked_sub(CEPSTRA) {
            None => sum[index] / count,
            Some(moving) => {
                let mean = sum[moving] / count;
                ((squares[moving] / count - mean * mean).max(0.0).sqrt() + STILL).ln()
            }
        })
    }

    fn hear<'a>(&mut self, samples: &'a [f32]) -> Heard<'a> {
        Heard { samples, bands: self.fbank.compute(samples) }
    }
}

impl Heard<'_> {
    /// The features of the voice in the samples `window`; `None` when there is too little of it.
    fn describe(&self, listener: &mut Listener, window: &Range<usize>) -> Option<Features> {
        let frames = window.start.div_ceil(HOP)..(window.end / HOP).min(self.bands.len());
        let loudness = |frame: usize| self.bands[frame].iter().copied().fold(f32::MIN, f32::max);
        let loudest = frames.clone().map(loudness).fold(f32::MIN, f32::max);
        let loud: Vec<usize> = frames.filter(|frame| loudness(*frame) > loudest - DYNAMICS).collect();
        let measured = loud.iter().copied().filter(|frame| frame % PITCH_HOP == 0);
        let voiced = measured.filter_map(|frame| Some((frame, listener.pitch.at(self.samples, frame)?.ln())));
        let mut voiced: Vec<(usize, f32)> = voiced.collect();
        let frames: Vec<usize> = match voiced.len() {
            0..FEWEST_VOICED => loud,
            _ => voiced.iter().map(|(frame, _)| *frame).collect(),
        };
        let middle = voiced.len() / 2;
        voiced.sort_by(|a, b| a.1.total_cmp(&b.1));
        let pitch = voiced.get(middle).map(|(_, pitch)| *pitch);
        let shape = listener.shape(frames.iter().map(|frame| &self.bands[*frame]));
        (!frames.is_empty() && shape.iter().all(|value| value.is_finite())).then_some(Features { shape, pitch })
    }
}

/// Brings features to a scale on which the features of one voice scatter by about 1.
struct Whitening {
    mean: [f32; SHAPE],
    pitch: f32,
    matrix: Vec<[f32; SHAPE]>,
}

impl Whitening {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let damaged = || Error::new(Kind::Internal, "the figures of the built-in voice prints are damaged");
        let (mean, rest) = numbers.split_first_chunk::<SHAPE>().ok_or_else(damaged)?;
        let (pitch, rest) = rest.split_first().ok_or_else(damaged)?;
        let (matrix, left) = rest.as_chunks::<SHAPE>();
        let complete = matrix.len() == SHAPE && left.is_empty();
        if complete { Ok(Self { mean: *mean, pitch: *pitch, matrix: matrix.to_vec() }) } else { Err(damaged()) }
    }

    fn apply(&self, features: &Features) -> [f32; FEATURES] {
        let centred: [f32; SHAPE] = std::array::from_fn(|index| features.shape[index] - self.mean[index]);
        let mut whitened = [0.0; FEATURES];
        whitened.iter_mut().zip(&self.matrix).for_each(|(value, row)| *value = dot(row, &centred));
        whitened[SHAPE] = features.pitch.map_or(0.0, |pitch| (pitch - self.pitch) / PITCH_SPREAD);
        whitened
    }
}

/// Random directions with normally distributed components, the same in every process.
fn directions() -> Vec<[f32; FEATURES]> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Never 0, whose logarithm does not exist.
        ((state >> 40) as f32 + 0.5) / (1_u32 << 24) as f32
    };
    let mut normal = || (-2.0 * uniform().ln()).sqrt() * (TAU * uniform()).cos();
    (0..DIRECTIONS).map(|_| std::array::from_fn(|_| normal() / NEARNESS.sqrt())).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(all(test, feature = "espeak"))]
mod training;

#[cfg(all(test, feature = "espeak"))]
mod tests;
