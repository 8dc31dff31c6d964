//! MP3 at a constant bit rate. The only file that knows LAME.

use super::{AudioFormat, Encoder, to_i16, unsupported_rate};
use crate::error::{Error, Kind, Result};
use mp3lame_encoder::{Bitrate, BuildError, Builder, FlushGap, MonoPcm, Quality, max_required_buffer_size};
use std::num::NonZeroU32;

/// LAME takes only these; any other rate it would convert on its own.
const SAMPLE_RATES: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// The samples to hand over at a time: what LAME gives back then does not depend on the caller.
const STEP: usize = 1_152;

/// An MP3 file.
pub(super) struct Mp3 {
    lame: mp3lame_encoder::Encoder,
    integers: Vec<i16>,
}

impl Mp3 {
    pub(super) fn new(sample_rate: u32, bit_rate: Option<u32>) -> Result<Self> {
        if !SAMPLE_RATES.contains(&sample_rate) {
            return Err(unsupported_rate(AudioFormat::Mp3, sample_rate));
        }
        let bit_rate = match bit_rate {
            None => Bitrate::Kbps64,
            Some(asked) => bit_rate_of(asked, sample_rate).ok_or_else(|| unsupported_bit_rate(asked, sample_rate))?,
        };
        let lame =
            build(sample_rate, bit_rate).map_err(|error| Error::internal("The MP3 encoder did not start.", error))?;
        Ok(Self { lame, integers: Vec::with_capacity(STEP) })
    }
}

/// The bit rate that LAME has under this number, where MP3 has it at this sample rate.
fn bit_rate_of(bits_per_second: u32, sample_rate: u32) -> Option<Bitrate> {
    let possible = match sample_rate {
        0..16_000 => 8_000..=64_000,
        16_000..32_000 => 8_000..=160_000,
        _ => 32_000..=320_000,
    };
    let bit_rate = match bits_per_second {
        16_000 => Bitrate::Kbps16,
        32_000 => Bitrate::Kbps32,
        48_000 => Bitrate::Kbps48,
        64_000 => Bitrate::Kbps64,
        96_000 => Bitrate::Kbps96,
        128_000 => Bitrate::Kbps128,
        160_000 => Bitrate::Kbps160,
        192_000 => Bitrate::Kbps192,
        _ => return None,
    };
    possible.contains(&bits_per_second).then_some(bit_rate)
}

fn unsupported_bit_rate(bit_rate: u32, sample_rate: u32) -> Error {
    let message = format!("mp3 has no bit rate of {bit_rate} at {sample_rate} Hz.");
    Error::new(Kind::Unsupported, message).with_param("response_format")
}

fn build(sample_rate: u32, bit_rate: Bitrate) -> Result<mp3lame_encoder::Encoder, BuildError> {
    let builder = Builder::new().ok_or(BuildError::NoMem)?;
    builder
        .with_num_channels(1)?
        .with_sample_rate(sample_rate)?
        // At low bit rates it would choose a lower one.
        .with_output_sample_rate(NonZeroU32::new(sample_rate))?
        .with_brate(bit_rate)?
        .with_quality(Quality::Good)?
        // The tag in front would need the length, which a stream does not know.
        .with_to_write_vbr_tag(false)?
        .build()
}

impl Encoder for Mp3 {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        for step in samples.chunks(STEP) {
            self.integers.clear();
            self.integers.extend(step.iter().map(|sample| to_i16(*sample)));
            out.reserve(max_required_buffer_size(step.len()));
            self.lame
                .encode_to_vec(MonoPcm(&self.integers), out)
                .map_err(|error| Error::internal("The MP3 encoder failed.", error))?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.reserve(max_required_buffer_size(0));
        self.lame
            .flush_to_vec::<FlushGap>(out)
            .map_err(|error| Error::internal("The MP3 encoder failed at the end.", error))?;
        Ok(())
    }
}
