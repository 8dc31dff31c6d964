//! AAC-LC in ADTS frames. The only file that encodes with oxideav-aac.

use super::{AudioFormat, Encoder, Frames, to_i16, unsupported_rate};
use crate::error::{Error, Result};
use oxideav_aac::encoder::{EncoderConfig, StreamEncoder};

const BITS_PER_SECOND: u32 = 64_000;

/// Samples in a frame.
const FRAME: usize = 1_024;

/// A stream of ADTS frames.
pub(super) struct Aac {
    aac: StreamEncoder,
    frames: Frames<i16>,
}

impl Aac {
    pub(super) fn new(sample_rate: u32) -> Result<Self> {
        let aac = StreamEncoder::new(EncoderConfig { sample_rate, channels: 1, bitrate: BITS_PER_SECOND })
            .map_err(|_| unsupported_rate(AudioFormat::Aac, sample_rate))?;
        Ok(Self { aac, frames: Frames::new(FRAME) })
    }
}

impl Encoder for Aac {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        self.frames.push(samples.iter().map(|sample| to_i16(*sample)), |frame| {
            out.extend(self.aac.encode_frame(frame).map_err(failed)?);
            Ok(())
        })
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let rest = self.frames.rest();
        if !rest.is_empty() {
            out.extend(self.aac.encode_frame(&rest).map_err(failed)?);
        }
        out.extend(self.aac.finish().map_err(failed)?);
        Ok(())
    }
}

fn failed(error: oxideav_aac::Error) -> Error {
    Error::internal("The AAC encoder failed.", error)
}
