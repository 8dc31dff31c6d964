//! Sound: decoding, resampling and encoding. No models, no async.
//!
//! Everything above this folder sees only [`Pcm`]; file formats, sample formats and channels end here.

pub mod decode;
pub mod encode;
pub mod pitch;
pub mod resample;
pub mod stretch;

use std::time::Duration;

/// A block of mono sound: samples in `[-1, 1]` at `sample_rate` hertz. The rate travels with the samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pcm {
    /// The samples, in `[-1, 1]`.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub sample_rate: u32,
}

impl Pcm {
    /// A block of `samples` at `sample_rate` hertz.
    pub fn new(samples: Vec<f32>, sample_rate: u32) -> Self {
        Self { samples, sample_rate }
    }

    /// How long the block plays.
    pub fn duration(&self) -> Duration {
        samples_to_duration(self.samples.len() as u64, self.sample_rate)
    }
}

/// How long `samples` samples play at `sample_rate` hertz; zero for a rate of zero.
pub fn samples_to_duration(samples: u64, sample_rate: u32) -> Duration {
    match sample_rate {
        0 => Duration::ZERO,
        rate => Duration::from_nanos((samples as u128 * 1_000_000_000 / rate as u128) as u64),
    }
}
