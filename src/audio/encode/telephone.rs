//! G.711, the encodings of telephones: eight bits for each sample, finer where the sound is quiet. No crate: each law is
//! a few lines.

use super::wav::{EXTENDED_HEADER_LENGTH, extended_header};
use super::{Encoder, to_i16};
use crate::error::Result;

/// Which of the two encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    /// µ-law, of North America and Japan.
    Mu,
    /// A-law, of everywhere else.
    A,
}

impl Law {
    fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => mulaw(sample),
            Self::A => alaw(sample),
        }
    }

    /// The number of the encoding in WAV files.
    fn in_wav(self) -> u16 {
        match self {
            Self::Mu => 7,
            Self::A => 6,
        }
    }
}

/// Samples of one law, with or without a WAV header that does not know its length.
pub(super) struct G711 {
    law: Law,
    /// Gone once it is written.
    header: Option<[u8; EXTENDED_HEADER_LENGTH]>,
}

impl G711 {
    pub(super) fn headerless(law: Law) -> Self {
        Self { law, header: None }
    }

    pub(super) fn in_wav(law: Law, sample_rate: u32) -> Self {
        Self { law, header: Some(extended_header(law.in_wav(), 1, sample_rate)) }
    }
}

impl Encoder for G711 {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        out.extend(self.header.take().into_iter().flatten());
        out.extend(samples.iter().map(|sample| self.law.encode(to_i16(*sample))));
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.encode(&[], out)
    }
}

/// A sign, the power of two that a sample reaches, and the four bits below that; all inverted.
fn mulaw(sample: i16) -> u8 {
    // The offset makes every power of two start at a level of its own.
    let magnitude = u32::from(sample.unsigned_abs()).min(32_635) + 132;
    let exponent = magnitude.ilog2() - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (exponent << 4 | mantissa) as u8)
}

/// As µ-law, but even in steps up to the second power, and only every other bit is inverted.
fn alaw(sample: i16) -> u8 {
    let magnitude = if sample < 0 { !sample } else { sample }.unsigned_abs();
    let level = match magnitude {
        0..256 => magnitude >> 4,
        _ => {
            let exponent = magnitude.ilog2() - 7;
            (exponent << 4) as u16 | ((magnitude >> (exponent + 3)) & 0x0f)
        }
    };
    level as u8 ^ if sample < 0 { 0x55 } else { 0xd5 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::decode::tests::decode;

    #[test]
    fn known_samples_have_their_codes() {
        // From the tables of G.711: the middle, the ends, and some borders between.
        for (sample, mu, a) in [
            (0, 0xff, 0xd5),
            (8, 0xfe, 0xd5),
            (16, 0xfd, 0xd4),
            (-8, 0x7e, 0x55),
            (1_000, 0xce, 0xfa),
            (-1_000, 0x4e, 0x7a),
            (i16::MAX, 0x80, 0xaa),
            (i16::MIN, 0x00, 0x2a),
        ] {
            assert_eq!((mulaw(sample), alaw(sample)), (mu, a), "{sample}");
        }
    }

    #[test]
    fn every_code_is_that_of_the_sample_it_stands_for() {
        for law in [Law::Mu, Law::A] {
            let codes: Vec<u8> = (0..=255).collect();
            let file = [&extended_header(law.in_wav(), 1, 8_000)[..], &codes].concat();
            let samples = decode(file).unwrap().samples;
            for (code, sample) in codes.iter().zip(samples) {
                let again = law.encode(to_i16(sample));
                // µ-law has two zeros.
                assert!(again == *code || (law == Law::Mu && *code == 0x7f), "{law:?} {code:#x} {sample} {again:#x}");
            }
        }
    }
}
