//! FLAC with 16-bit samples. The only file that knows flacenc.

use super::{AudioFormat, Encoder, Frames, to_i16, unsupported_rate};
use crate::error::{Error, Result};
use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, Stream, StreamInfo};
use flacenc::error::{Verified, Verify};
use flacenc::source::{Fill, FrameBuf};

/// Samples in a block: 43 ms at 24 kHz. Longer ones save little and start late.
const BLOCK: usize = 1_024;

/// A FLAC file that does not say how long it is.
pub(super) struct Flac {
    /// Gone once it is written.
    header: Option<Vec<u8>>,
    frames: Frames<i32>,
    blocks: Blocks,
}

impl Flac {
    pub(super) fn new(sample_rate: u32) -> Result<Self> {
        let unsupported = |_| unsupported_rate(AudioFormat::Flac, sample_rate);
        let mut info = StreamInfo::new(sample_rate as usize, 1, 16).map_err(unsupported)?;
        info.set_block_sizes(BLOCK, BLOCK).map_err(failed)?;
        let config = flacenc::config::Encoder::default().into_verified().map_err(|(_, error)| failed(error))?;
        let header = bytes(&Stream::with_stream_info(info.clone()))?;
        Ok(Self { header: Some(header), frames: Frames::new(BLOCK), blocks: Blocks { config, info, written: 0 } })
    }
}

impl Encoder for Flac {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        out.extend(self.header.take().into_iter().flatten());
        let samples = samples.iter().map(|sample| i32::from(to_i16(*sample)));
        self.frames.push(samples, |block| self.blocks.add(block, out))
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.extend(self.header.take().into_iter().flatten());
        match self.frames.rest() {
            rest if rest.is_empty() => Ok(()),
            rest => self.blocks.add(&rest, out),
        }
    }
}

struct Blocks {
    config: Verified<flacenc::config::Encoder>,
    info: StreamInfo,
    written: usize,
}

impl Blocks {
    fn add(&mut self, block: &[i32], out: &mut Vec<u8>) -> Result<()> {
        let mut buffer = FrameBuf::with_size(1, BLOCK).map_err(failed)?;
        buffer.resize(block.len());
        buffer.fill_interleaved(block).map_err(failed)?;
        let frame = flacenc::encode_fixed_size_frame(&self.config, &buffer, self.written, &self.info);
        out.extend(bytes(&frame.map_err(failed)?)?);
        self.written += 1;
        Ok(())
    }
}

fn bytes(part: &impl BitRepr) -> Result<Vec<u8>> {
    let mut sink = ByteSink::new();
    part.write(&mut sink).map_err(failed)?;
    Ok(sink.into_inner())
}

fn failed(error: impl std::fmt::Display) -> Error {
    // These errors cannot be sent between threads; their text can.
    Error::internal("The FLAC encoder failed.", error.to_string())
}
