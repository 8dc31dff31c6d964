//! Live sound to another rate with as little delay as a filter needs: half its length, which is 2 ms of sound at 16 kHz. The
//! blocks that [`Resampler`] works in make it quicker over whole files, and up to 50 ms late.

use crate::audio::resample::{Resampler, SAMPLE_RATES};
use crate::error::Result;
use std::f64::consts::PI;

/// Half the length of the filter, in samples of the lower of the two rates.
const HALF: usize = 32;

/// What is kept, as a part of what the lower rate can carry; it falls by 80 dB within as much as is missing here, twice.
const KEPT: f64 = 0.96;

/// The shape of the Kaiser window that does so.
const BETA: f64 = 7.9;

/// The most filters to have, one for each place that a sample can have between two others. The rates of telephones and
/// microphones need no more.
const MOST_PHASES: usize = 640;

/// Converts a stream of mono samples from one rate to another. What comes out does not depend on how it was cut.
pub(super) enum Converter {
    /// Both rates are the same.
    None,
    Direct(Box<Direct>),
    /// Rates that have little in common.
    Blocks(Box<Resampler>),
}

impl Converter {
    /// # Errors
    /// `InvalidAudio` for a rate outside [`SAMPLE_RATES`].
    pub(super) fn new(from: u32, to: u32) -> Result<Self> {
        let divisor = greatest_common_divisor(from, to).max(1);
        let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
        let is_known = SAMPLE_RATES.contains(&from) && SAMPLE_RATES.contains(&to);
        Ok(match is_known && up <= MOST_PHASES {
            true if from == to => Self::None,
            true => Self::Direct(Box::new(Direct::new(up, down))),
            false => Self::Blocks(Box::new(Resampler::new(from, to)?)),
        })
    }

    /// Takes the next `samples` and appends what is ready to `out`.
    pub(super) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        match self {
            Self::None => out.extend_from_slice(samples),
            Self::Direct(direct) => direct.push(samples, out),
            Self::Blocks(resampler) => resampler.push(samples, out),
        }
    }

    /// Appends the rest to `out`: all calls together have given as many samples as the input was long, rounded up. Nothing
    /// may be pushed any more.
    pub(super) fn finish(&mut self, out: &mut Vec<f32>) {
        match self {
            Self::None => {}
            Self::Direct(direct) => direct.finish(out),
            Self::Blocks(resampler) => resampler.finish(out),
        }
    }
}

/// For every `down` samples that come in, `up` go out.
pub(super) struct Direct {
    up: usize,
    down: usize,
    half: usize,
    /// A filter of `2 * half` numbers for each of the `up` places between two samples.
    filters: Vec<f32>,
    /// The samples that are still needed, from as far before the next place as the filter reaches.
    samples: Vec<f32>,
    /// Where in them the filter of the next sample begins, and its place between two samples.
    next: usize,
    phase: usize,
    taken: u64,
    given: u64,
}

impl Direct {
    fn new(up: usize, down: usize) -> Self {
        let ratio = (down as f64 / up as f64).max(1.0);
        let half = (HALF as f64 * ratio).ceil() as usize;
        let filters = (0..up).flat_map(|phase| filter(phase as f64 / up as f64, half, KEPT / ratio)).collect();
        // Before the first sample there was silence.
        let samples = vec![0.0; half - 1];
        Self { up, down, half, filters, samples, next: 0, phase: 0, taken: 0, given: 0 }
    }

    fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        self.samples.extend_from_slice(samples);
        self.convert(u64::MAX, out);
    }

    fn finish(&mut self, out: &mut Vec<f32>) {
        self.samples.resize(self.samples.len() + self.half, 0.0);
        self.convert((self.taken * self.up as u64).div_ceil(self.down as u64), out);
    }

    /// Gives all samples for which the filter has what it needs, `total` at most since the start.
    fn convert(&mut self, total: u64, out: &mut Vec<f32>) {
        let length = 2 * self.half;
        while self.given < total
            && let Some(samples) = self.samples.get(self.next..self.next + length)
        {
            let filter = &self.filters[self.phase * length..(self.phase + 1) * length];
            out.push(samples.iter().zip(filter).map(|(sample, weight)| sample * weight).sum());
            self.given += 1;
            self.phase += self.down;
            self.next += self.phase / self.up;
            self.phase %= self.up;
        }
        let done = self.next.min(self.samples.len());
        self.samples.drain(..done);
        self.next -= done;
    }
}

/// What a sample `place` of the way from one to the next is made of: as much of each of `half` samples on both sides. `kept`
/// is the part of what the input can carry that is let through.
fn filter(place: f64, half: usize, kept: f64) -> impl Iterator<Item = f32> {
    let weight = move |index: usize| {
        let distance = index as f64 - (half - 1) as f64 - place;
        let sinc = if distance.abs() < 1e-9 { 1.0 } else { (PI * kept * distance).sin() / (PI * kept * distance) };
        let inside = (1.0 - (distance / half as f64).powi(2)).max(0.0).sqrt();
        sinc * bessel(BETA * inside)
    };
    let weights: Vec<f64> = (0..2 * half).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(move |weight| (weight / sum) as f32)
}

/// The modified Bessel function of the first kind and order zero, by its power series.
fn bessel(x: f64) -> f64 {
    const TERMS: u32 = 24;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..TERMS {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn tone(hertz: f64, rate: u32, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (0.5 * (TAU * hertz * n as f64 / f64::from(rate)).sin()) as f32).collect()
    }

    fn convert(samples: &[f32], from: u32, to: u32, size: usize) -> Vec<f32> {
        let (mut converter, mut out) = (Converter::new(from, to).unwrap(), Vec::new());
        samples.chunks(size).for_each(|piece| converter.push(piece, &mut out));
        converter.finish(&mut out);
        out
    }

    /// Root mean square of the middle half, where the edges do not show.
    fn loudness(samples: &[f32]) -> f64 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        (middle.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / middle.len() as f64).sqrt()
    }

    const RATES: [u32; 8] = [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

    #[test]
    fn a_tone_keeps_its_time_and_its_height() {
        for from in RATES {
            let converted = convert(&tone(1_000.0, from, from as usize), from, 16_000, 480);
            assert_eq!(converted.len(), 16_000, "{from}");
            let expected = tone(1_000.0, 16_000, 16_000);
            let difference: Vec<f32> = converted.iter().zip(&expected).map(|(a, b)| a - b).collect();
            assert!(loudness(&difference) < 1e-4, "{from}: {}", loudness(&difference));
        }
    }

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_removed() {
        for from in [22_050, 24_000, 32_000, 44_100, 48_000, 96_000] {
            let heard = |hertz| {
                let said = tone(hertz, from, from as usize);
                loudness(&convert(&said, from, 16_000, 1_000)) / loudness(&said)
            };
            assert!(heard(6_800.0) > 0.98, "6.8 kHz from {from} Hz is at {}", heard(6_800.0));
            assert!(heard(8_800.0) < 1e-3, "8.8 kHz from {from} Hz is at {}", heard(8_800.0));
        }
    }

    #[test]
    fn what_is_above_a_telephone_is_not_made_up() {
        let converted = convert(&tone(3_000.0, 8_000, 8_000), 8_000, 16_000, 160);
        let expected = tone(3_000.0, 16_000, 16_000);
        let difference: Vec<f32> = converted.iter().zip(&expected).map(|(a, b)| a - b).collect();
        assert!(loudness(&difference) < 1e-3, "{}", loudness(&difference));
    }

    #[test]
    fn how_the_input_is_cut_makes_no_difference() {
        let samples = tone(440.0, 44_100, 10_000);
        let whole = convert(&samples, 44_100, 16_000, usize::MAX);
        for size in [1, 7, 882, 9_999] {
            assert!(convert(&samples, 44_100, 16_000, size) == whole, "pieces of {size}");
        }
    }

    #[test]
    fn nothing_is_held_for_longer_than_five_milliseconds() {
        for from in RATES {
            let (mut converter, mut out) = (Converter::new(from, 16_000).unwrap(), Vec::new());
            converter.push(&vec![0.1; from as usize], &mut out);
            assert!(out.len() >= 16_000 - 80, "{from}: {} of 16000", out.len());
        }
    }

    #[test]
    fn lengths_are_exact_and_odd_rates_are_converted_too() {
        for (from, to, length) in
            [(8_000, 16_000, 0), (8_000, 16_000, 1), (48_000, 16_000, 1), (384_000, 1_000, 3), (44_101, 16_000, 10)]
        {
            let expected = (length as u64 * u64::from(to)).div_ceil(u64::from(from));
            assert_eq!(convert(&vec![0.1; length], from, to, 7).len() as u64, expected, "{from} to {to}");
        }
        assert!(Converter::new(0, 16_000).is_err() && Converter::new(16_000, 999).is_err());
    }
}
