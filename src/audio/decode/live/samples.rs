//! Samples without a header, cut anywhere.

use super::Sound;
use crate::audio::decode::raw::{RawEncoding, RawFormat};

/// Makes sound of bytes.
pub(super) struct Samples {
    format: RawFormat,
    /// The bytes of a frame that is not complete yet.
    begun: Vec<u8>,
    /// How many bytes there still are of the sound, if that is known.
    left: Option<u64>,
}

impl From<RawFormat> for Samples {
    fn from(format: RawFormat) -> Self {
        Self { format, begun: Vec::new(), left: None }
    }
}

impl Samples {
    /// Sound of which there are `length` bytes; what follows them is something else.
    pub(super) fn of_length(format: RawFormat, length: Option<u64>) -> Self {
        Self { left: length, ..Self::from(format) }
    }

    /// The frames that `bytes` complete.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Sound {
        if let Some(left) = &mut self.left {
            bytes = &bytes[..usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()))];
            *left -= bytes.len() as u64;
        }
        let frame = usize::from(self.format.channels) * self.format.encoding.bytes();
        let mut samples = Vec::with_capacity(bytes.len() / self.format.encoding.bytes() + 1);
        if !self.begun.is_empty() {
            let missing = (frame - self.begun.len()).min(bytes.len());
            self.begun.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.begun.len() == frame {
                decode(self.format.encoding, &self.begun, &mut samples);
                self.begun.clear();
            }
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % frame);
        decode(self.format.encoding, whole, &mut samples);
        self.begun.extend_from_slice(rest);
        Sound { sample_rate: self.format.sample_rate, channels: usize::from(self.format.channels), samples }
    }
}

fn decode(encoding: RawEncoding, bytes: &[u8], out: &mut Vec<f32>) {
    match encoding {
        RawEncoding::Linear16 => {
            let samples = bytes.as_chunks::<2>().0.iter();
            out.extend(samples.map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / 32_768.0));
        }
        RawEncoding::Linear32 => {
            let samples = bytes.as_chunks::<4>().0.iter();
            out.extend(samples.map(|bytes| (f64::from(i32::from_le_bytes(*bytes)) / 2_147_483_648.0) as f32));
        }
        RawEncoding::Mulaw => out.extend(bytes.iter().map(|code| f32::from(mulaw(*code)) / 32_768.0)),
        RawEncoding::Alaw => out.extend(bytes.iter().map(|code| f32::from(alaw(*code)) / 32_768.0)),
    }
}

/// The sample that a code of G.711 µ-law stands for; all its bits are inverted.
fn mulaw(code: u8) -> i16 {
    let code = !code;
    let magnitude = (((i16::from(code & 0x0f) << 3) + 132) << (code >> 4 & 7)) - 132;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The sample that a code of G.711 A-law stands for; every other bit is inverted.
fn alaw(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 0x0f) << 4);
    let magnitude = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}
