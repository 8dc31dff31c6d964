//! AAC-LC in ADTS frames, for speech: one channel, long windows only.
//!
//! oxideav-aac has an encoder of its own, but it transforms in quadratic time, which takes half of a core for one
//! voice. From there come the tables of the standard (ISO 14496-3); the transform is in `aac/transform.rs`, the coding
//! of numbers in `aac/coding.rs`, and what is here decides how fine each part of the spectrum is written.

mod coding;
mod transform;

use super::{AudioFormat, Encoder, Frames, unsupported_rate};
use crate::error::Result;
use coding::{Bits, Spectrum};
use oxideav_aac::swb_offset::{FrameFamily, long_window_offsets_family};
use transform::{FRAME, Transform};

const BITS_PER_SECOND: u32 = 80_000;

/// The most bits in a frame of one channel, ISO 14496-3 section 4.5.3.
const LARGEST_FRAME: usize = 6_144;

/// The header of a frame, in bits: the bit rate counts it.
const HEADER: usize = 56;

/// Sample rates in the order of their numbers in a header.
const SAMPLE_RATES: [u32; 12] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000];

/// Steps of a scale factor: four of them double what they scale. This one scales by 1.
const UNITY: i32 = 100;

/// How many levels the peak of the loudest band has, before the bit rate is seen to.
const LOUDEST: f32 = 42.0;

/// How much finer, and how much coarser than that a frame may become, in steps of scale factors.
const FINEST: i32 = -16;
const COARSEST: i32 = 100;

/// A stream of ADTS frames.
pub(super) struct Aac {
    frames: Frames<f32>,
    transform: Transform,
    rate: Rate,
}

/// What depends on the sample rate.
struct Rate {
    /// Its number in a header.
    index: u32,
    /// Where the bands of the spectrum begin, and where the last one ends.
    bands: &'static [u16],
    /// The most bits in a frame.
    budget: usize,
}

impl Aac {
    pub(super) fn new(sample_rate: u32, bit_rate: Option<u32>) -> Result<Self> {
        let unsupported = || unsupported_rate(AudioFormat::Aac, sample_rate);
        let index = SAMPLE_RATES.iter().position(|rate| *rate == sample_rate).ok_or_else(unsupported)?;
        let bands = long_window_offsets_family(FrameFamily::Lc1024, index as u8).map_err(|_| unsupported())?;
        // What the server chooses itself leaves the headers out of account.
        let (bit_rate, header) = bit_rate.map_or((BITS_PER_SECOND, 0), |bit_rate| (bit_rate, HEADER));
        let budget = (bit_rate as usize * FRAME / sample_rate as usize).saturating_sub(header).min(LARGEST_FRAME);
        let rate = Rate { index: index as u32, bands, budget };
        Ok(Self { frames: Frames::new(FRAME), transform: Transform::new(), rate })
    }
}

impl Encoder for Aac {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        let samples = samples.iter().map(|sample| f32::from(super::to_i16(*sample)));
        self.frames.push(samples, |frame| {
            self.rate.write(&self.transform.next(frame), out);
            Ok(())
        })
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let mut rest = self.frames.rest();
        if !rest.is_empty() {
            rest.resize(FRAME, 0.0);
            self.rate.write(&self.transform.next(&rest), out);
        }
        // Every frame overlaps with the next, so the last one needs silence behind it.
        self.rate.write(&self.transform.next(&[0.0; FRAME]), out);
        Ok(())
    }
}

impl Rate {
    /// Writes a frame that holds `spectrum`, as finely as the bit rate allows.
    fn write(&self, spectrum: &[f32], out: &mut Vec<u8>) {
        let powers: Vec<f32> = spectrum.iter().map(|line| line.abs().powf(0.75).copysign(*line)).collect();
        let scales = self.scales(spectrum);
        // A frame becomes shorter with every step, so the finest one that fits is found by halving.
        let (mut fine, mut coarse) = (FINEST, COARSEST);
        while fine < coarse {
            let middle = (fine + coarse).div_euclid(2);
            if Spectrum::new(&powers, self.bands, &scales, middle).length() <= self.budget {
                coarse = middle;
            } else {
                fine = middle + 1;
            }
        }
        let mut bits = Bits::default();
        Spectrum::new(&powers, self.bands, &scales, coarse).write(&mut bits);
        let body = bits.into_bytes();
        out.extend(self.header(body.len()));
        out.extend(body);
    }

    /// The scale factor of each band: loud ones are written more finely, but not as much more as they are louder,
    /// because they cover noise beside them.
    fn scales(&self, spectrum: &[f32]) -> Vec<i32> {
        let peak = |lines: &[f32]| lines.iter().fold(1e-3_f32, |peak, line| peak.max(line.abs()));
        let loudest = peak(spectrum);
        let bands = self.bands.windows(2).map(|band| &spectrum[usize::from(band[0])..usize::from(band[1])]);
        let scale = |band| {
            let peak = peak(band);
            let levels = LOUDEST * (peak / loudest).sqrt();
            UNITY + (4.0 * peak.log2() - 16.0 / 3.0 * levels.log2()).round() as i32
        };
        bands.map(scale).collect()
    }

    /// The ADTS header of a frame with `length` bytes behind it, ISO 14496-3 section 1.A.2.2.
    fn header(&self, length: usize) -> Vec<u8> {
        let mut header = Bits::default();
        header.put(0xfff1, 16); // the mark of a frame, MPEG-4, no checksum
        header.put(1, 2); // the low-complexity profile
        header.put(self.index, 4);
        header.put(0, 1);
        header.put(1, 3); // channels
        header.put(0, 4);
        header.put(length as u32 + 7, 13);
        header.put(0x7ff, 11); // no constant bit rate
        header.put(0, 2);
        header.into_bytes()
    }
}
