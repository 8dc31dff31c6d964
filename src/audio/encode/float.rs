//! 32-bit floating-point samples, with or without a WAV header.

use super::Encoder;
use super::wav::{EXTENDED_HEADER_LENGTH, extended_header};
use crate::error::Result;

/// The number of the encoding in WAV files.
const IN_WAV: u16 = 3;

/// Little-endian samples in `[-1, 1]`; the header, where there is one, does not know their number.
pub(super) struct Float {
    /// Gone once it is written.
    header: Option<[u8; EXTENDED_HEADER_LENGTH]>,
}

impl Float {
    pub(super) fn headerless() -> Self {
        Self { header: None }
    }

    pub(super) fn in_wav(sample_rate: u32) -> Self {
        Self { header: Some(extended_header(IN_WAV, 4, sample_rate)) }
    }
}

impl Encoder for Float {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        out.extend(self.header.take().into_iter().flatten());
        let tame = |sample: f32| if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) };
        out.extend(samples.iter().flat_map(|sample| tame(*sample).to_le_bytes()));
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.encode(&[], out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::decode::tests::decode;

    #[test]
    fn samples_come_back_as_they_were() {
        let (mut float, mut file) = (Float::in_wav(44_100), Vec::new());
        float.encode(&[0.123_456_7, -2.0, f32::NAN], &mut file).unwrap();
        float.finish(&mut file).unwrap();
        let heard = decode(file.clone()).unwrap();
        assert_eq!((heard.sample_rate, &heard.samples[..]), (44_100, &[0.123_456_7, -1.0, 0.0][..]));
        let mut raw = Vec::new();
        Float::headerless().encode(&heard.samples, &mut raw).unwrap();
        assert_eq!(raw, file[EXTENDED_HEADER_LENGTH..]);
    }
}
