//! Any sample rate to any other, as a stream. The only file that knows rubato.
//!
//! What comes out does not depend on how the input was cut: work is done in blocks of a fixed size, the filter's delay
//! is cut off, and the total length is exact.

use super::Pcm;
use crate::error::{Error, Kind, Result};
use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};
use std::ops::RangeInclusive;

/// The sample rates that can be converted, in hertz.
pub const SAMPLE_RATES: RangeInclusive<u32> = 1_000..=384_000;

/// The shortest filter, in samples of the lower of the two rates: flat to 0.9 of what that rate can carry, and still
/// only some 10 ms late at 16 kHz.
const FILTER: usize = 256;

/// Converts a stream of mono samples from one rate to another.
pub struct Resampler {
    /// `None` where both rates are the same.
    blocks: Option<Blocks>,
}

impl Resampler {
    /// A converter from `from` to `to` hertz.
    ///
    /// # Errors
    /// `InvalidAudio` for a rate outside [`SAMPLE_RATES`].
    pub fn new(from: u32, to: u32) -> Result<Self> {
        for rate in [from, to] {
            if !SAMPLE_RATES.contains(&rate) {
                let (low, high) = SAMPLE_RATES.into_inner();
                let message = format!("A sample rate of {rate} Hz is not supported; use {low} to {high} Hz.");
                return Err(Error::new(Kind::InvalidAudio, message));
            }
        }
        let blocks = if from == to { None } else { Some(Blocks::new(from as usize, to as usize)?) };
        Ok(Self { blocks })
    }

    /// Takes the next `samples` and appends what is ready to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        match &mut self.blocks {
            None => out.extend_from_slice(samples),
            Some(blocks) => blocks.push(samples, out),
        }
    }

    /// Appends the rest to `out`: all calls together have given as many samples as the input was long, rounded up.
    /// The converter is then ready for another stream.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        if let Some(blocks) = &mut self.blocks {
            blocks.finish(out);
        }
    }
}

/// Converts the whole block `pcm` to the rate `to`.
///
/// # Errors
/// `InvalidAudio` for a rate outside [`SAMPLE_RATES`].
pub fn resample(pcm: &Pcm, to: u32) -> Result<Pcm> {
    let mut resampler = Resampler::new(pcm.sample_rate, to)?;
    let length = pcm.samples.len() as u64 * u64::from(to) / u64::from(pcm.sample_rate);
    let mut samples = Vec::with_capacity(length as usize + 1);
    resampler.push(&pcm.samples, &mut samples);
    resampler.finish(&mut samples);
    Ok(Pcm::new(samples, to))
}

/// The conversion in blocks of one size.
struct Blocks {
    fft: Fft<f32>,
    from: u64,
    to: u64,
    /// Samples in a block of input.
    block: usize,
    /// Input that does not fill a block yet.
    waiting: Vec<f32>,
    /// One block of output.
    converted: Vec<f32>,
    /// Output samples still to drop: the delay of the filter.
    skip: usize,
    taken: u64,
    given: u64,
}

impl Blocks {
    fn new(from: usize, to: usize) -> Result<Self> {
        let fft = Fft::new(from, to, block_size(from, to), 1, FixedSync::Both)
            .map_err(|error| Error::internal("The resampler could not be set up.", error))?;
        Ok(Self {
            from: from as u64,
            to: to as u64,
            block: fft.input_frames_next(),
            waiting: Vec::new(),
            converted: vec![0.0; fft.output_frames_max()],
            skip: fft.output_delay(),
            taken: 0,
            given: 0,
            fft,
        })
    }

    fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        if !self.waiting.is_empty() {
            let missing = (self.block - self.waiting.len()).min(samples.len());
            self.waiting.extend_from_slice(&samples[..missing]);
            samples = &samples[missing..];
            if self.waiting.len() < self.block {
                return;
            }
            let mut waiting = std::mem::take(&mut self.waiting);
            self.convert(&waiting, out);
            waiting.clear();
            self.waiting = waiting;
        }
        let mut blocks = samples.chunks_exact(self.block);
        for block in &mut blocks {
            self.convert(block, out);
        }
        self.waiting.extend_from_slice(blocks.remainder());
    }

    fn finish(&mut self, out: &mut Vec<f32>) {
        let total = (self.taken * self.to).div_ceil(self.from);
        while self.given < total {
            let mut last = std::mem::take(&mut self.waiting);
            last.resize(self.block, 0.0);
            self.convert(&last, out);
        }
        out.truncate(out.len() - (self.given - total) as usize);
        self.fft.reset();
        self.waiting.clear();
        self.skip = self.fft.output_delay();
        (self.taken, self.given) = (0, 0);
    }

    /// Converts one full block.
    fn convert(&mut self, block: &[f32], out: &mut Vec<f32>) {
        const FITS: &str = "both buffers are as long as the converter asks for";
        let room = self.converted.len();
        let input = InterleavedSlice::new(block, 1, block.len()).expect(FITS);
        let mut output = InterleavedSlice::new_mut(&mut self.converted, 1, room).expect(FITS);
        let (_, written) = self.fft.process_into_buffer(&input, &mut output, None).expect(FITS);
        let skip = self.skip.min(written);
        self.skip -= skip;
        self.given += (written - skip) as u64;
        out.extend_from_slice(&self.converted[skip..written]);
    }
}

/// How many input samples to convert at a time: a filter of [`FILTER`] samples of the lower rate, in whole periods of
/// the two rates, and an even number of those, because only then the delay is a whole number of samples. A power of two
/// of periods keeps large primes, which the transform is slow on, out of its length.
fn block_size(from: usize, to: usize) -> usize {
    let period = 2 * from / greatest_common_divisor(from, to);
    let filter = FILTER * from.div_ceil(to).max(1);
    filter.div_ceil(period).next_power_of_two() * period
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn tone(hertz: f64, rate: u32, samples: usize) -> Vec<f32> {
        (0..samples).map(|i| (0.5 * (TAU * hertz * i as f64 / f64::from(rate)).sin()) as f32).collect()
    }

    /// Root mean square of the middle half, where the edges do not show.
    fn loudness(samples: &[f32]) -> f64 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        (middle.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / middle.len() as f64).sqrt()
    }

    #[test]
    fn a_tone_keeps_its_time_and_its_height() {
        for (from, to) in [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (22_050, 24_000), (24_000, 48_000)] {
            let pcm = Pcm::new(tone(1_000.0, from, from as usize), from);
            let converted = resample(&pcm, to).unwrap();
            assert_eq!(converted.samples.len(), to as usize, "{from} to {to}");
            let expected = tone(1_000.0, to, to as usize);
            let difference: Vec<f32> = converted.samples.iter().zip(&expected).map(|(a, b)| a - b).collect();
            assert!(loudness(&difference) < 1e-4, "{from} to {to}: {}", loudness(&difference));
        }
    }

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_removed() {
        for from in [22_050, 24_000, 32_000, 44_100, 48_000, 96_000] {
            let converted = |hertz| resample(&Pcm::new(tone(hertz, from, from as usize), from), 16_000).unwrap();
            let kept = loudness(&converted(7_000.0).samples) / loudness(&tone(7_000.0, from, from as usize));
            let removed = loudness(&converted(8_800.0).samples) / loudness(&tone(8_800.0, from, from as usize));
            assert!(kept > 0.98, "7 kHz from {from} Hz is at {kept}");
            assert!(removed < 1e-3, "8.8 kHz from {from} Hz is at {removed}");
        }
    }

    #[test]
    fn how_the_input_is_cut_makes_no_difference() {
        let samples = tone(440.0, 44_100, 30_000);
        let whole = resample(&Pcm::new(samples.clone(), 44_100), 16_000).unwrap().samples;
        for size in [1, 7, 480, 882, 883, 29_999] {
            let mut resampler = Resampler::new(44_100, 16_000).unwrap();
            let mut pieces = Vec::new();
            samples.chunks(size).for_each(|piece| resampler.push(piece, &mut pieces));
            resampler.finish(&mut pieces);
            assert!(whole == pieces, "pieces of {size}");
        }
    }

    #[test]
    fn a_finished_resampler_starts_afresh() {
        let samples = tone(440.0, 48_000, 5_000);
        let mut resampler = Resampler::new(48_000, 16_000).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for out in [&mut first, &mut second] {
            resampler.push(&samples, out);
            resampler.finish(out);
        }
        assert_eq!(first, second);
    }

    #[test]
    fn lengths_are_exact_even_for_odd_rates() {
        for (from, to, length) in
            [(1_000, 384_000, 3), (383_000, 16_000, 40_000), (44_101, 16_000, 10), (8_000, 16_000, 0)]
        {
            let converted = resample(&Pcm::new(vec![0.1; length], from), to).unwrap();
            let expected = (length as u64 * u64::from(to)).div_ceil(u64::from(from));
            assert_eq!(converted.samples.len() as u64, expected, "{from} to {to}");
        }
    }

    #[test]
    fn rates_that_make_no_sense_are_refused() {
        for rate in [0, 999, 384_001] {
            assert_eq!(Resampler::new(rate, 16_000).err().map(|error| error.kind()), Some(Kind::InvalidAudio));
        }
    }
}
