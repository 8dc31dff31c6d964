//! A file read bit by bit: decoded, resampled, cut into pieces.

use crate::audio::Pcm;
use crate::audio::decode::{Decoder, Source};
use crate::audio::resample::Resampler;
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::error::Result;
use crate::speech::chunk::{Chunker, Piece};
use std::time::Duration;

/// How much audio is worked on at once.
const STEP: Duration = Duration::from_secs(5);

/// Reads a file and cuts it into pieces. Blocking.
pub(super) struct Cutter {
    blocks: Box<dyn Iterator<Item = Result<Pcm>> + Send>,
    /// The rate of the blocks and what changes it.
    resampler: Option<(u32, Resampler)>,
    chunker: Chunker,
    at_end: bool,
}

impl Cutter {
    /// Begins to read `source`, or one channel of it, for `chunker`.
    pub(super) fn open(source: Box<dyn Source>, channel: Option<u32>, chunker: Chunker) -> Result<Self> {
        let blocks = Box::new(Decoder::open_channel(source, channel)?);
        Ok(Self { blocks, resampler: None, chunker, at_end: false })
    }

    /// How much has been read.
    pub(super) fn duration(&self) -> Duration {
        self.chunker.duration()
    }

    /// Whether the file has been read to its end.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// The pieces in the next [`STEP`] of audio.
    pub(super) fn read(&mut self) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut samples = Vec::new();
        let mut taken = Duration::ZERO;
        while taken < STEP && pieces.is_empty() {
            match self.blocks.next() {
                Some(block) => {
                    let block = block?;
                    taken += block.duration();
                    self.resample(&block, &mut samples)?;
                }
                None => {
                    self.at_end = true;
                    self.end_resampling(&mut samples);
                    self.chunker.push(&samples, &mut pieces);
                    self.chunker.finish(&mut pieces);
                    return Ok(pieces);
                }
            }
            self.chunker.push(&samples, &mut pieces);
            samples.clear();
        }
        Ok(pieces)
    }

    fn resample(&mut self, block: &Pcm, samples: &mut Vec<f32>) -> Result<()> {
        if self.resampler.as_ref().is_none_or(|(rate, _)| *rate != block.sample_rate) {
            self.end_resampling(samples);
            self.resampler = Some((block.sample_rate, Resampler::new(block.sample_rate, SPEECH_SAMPLE_RATE)?));
        }
        if let Some((_, resampler)) = &mut self.resampler {
            resampler.push(&block.samples, samples);
        }
        Ok(())
    }

    fn end_resampling(&mut self, samples: &mut Vec<f32>) {
        if let Some((_, mut resampler)) = self.resampler.take() {
            resampler.finish(samples);
        }
    }
}
