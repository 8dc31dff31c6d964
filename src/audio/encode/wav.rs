//! WAV with 16-bit samples, and the same without a header. No crate: the header is 44 bytes, or 46 for other samples.

use super::{Encoder, to_i16};
use crate::error::Result;
use std::io::{self, Seek, SeekFrom, Write};

/// The length of the header that [`header`] gives, in bytes.
pub const HEADER_LENGTH: usize = 44;

/// The length of the header that [`extended_header`] gives, in bytes.
pub(super) const EXTENDED_HEADER_LENGTH: usize = 46;

/// The size that says "until the end", in a file that is sent before its length is known.
const UNKNOWN: u32 = u32::MAX;

/// The header of a mono WAV file of 16-bit samples at `sample_rate` hertz, with `data` bytes of samples after it, or as
/// many as there will be.
pub fn header(sample_rate: u32, data: Option<u32>) -> [u8; HEADER_LENGTH] {
    let (riff, data) = match data {
        Some(data) => (data.saturating_add(HEADER_LENGTH as u32 - 8), data),
        None => (UNKNOWN, UNKNOWN),
    };
    let mut header = [0; HEADER_LENGTH];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&riff.to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16_u32.to_le_bytes());
    header[20..22].copy_from_slice(&1_u16.to_le_bytes()); // integer samples
    header[22..24].copy_from_slice(&1_u16.to_le_bytes()); // channels
    header[24..28].copy_from_slice(&sample_rate.to_le_bytes());
    header[28..32].copy_from_slice(&sample_rate.saturating_mul(2).to_le_bytes()); // bytes in a second
    header[32..34].copy_from_slice(&2_u16.to_le_bytes()); // bytes in a frame
    header[34..36].copy_from_slice(&16_u16.to_le_bytes()); // bits in a sample
    header[36..40].copy_from_slice(b"data");
    header[40..].copy_from_slice(&data.to_le_bytes());
    header
}

/// The header of a mono WAV file that ends where it ends, with samples of `bytes` bytes in the `encoding` that WAV has
/// under this number: any but integers.
pub(super) fn extended_header(encoding: u16, bytes: u16, sample_rate: u32) -> [u8; EXTENDED_HEADER_LENGTH] {
    let mut header = [0; EXTENDED_HEADER_LENGTH];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&UNKNOWN.to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&18_u32.to_le_bytes());
    header[20..22].copy_from_slice(&encoding.to_le_bytes());
    header[22..24].copy_from_slice(&1_u16.to_le_bytes()); // channels
    header[24..28].copy_from_slice(&sample_rate.to_le_bytes());
    header[28..32].copy_from_slice(&sample_rate.saturating_mul(bytes.into()).to_le_bytes()); // bytes in a second
    header[32..34].copy_from_slice(&bytes.to_le_bytes()); // bytes in a frame
    header[34..36].copy_from_slice(&(8 * bytes).to_le_bytes()); // bits in a sample
    // Two bytes say that nothing follows about the encoding.
    header[38..42].copy_from_slice(b"data");
    header[42..].copy_from_slice(&UNKNOWN.to_le_bytes());
    header
}

/// Writes the true sizes into the header of the complete `file` that the WAV encoder gave.
pub fn finalize_header(file: &mut [u8]) {
    let Some(data) = file.len().checked_sub(HEADER_LENGTH) else { return };
    // A file over 4 GiB has no true size: it keeps the one for streams.
    let Ok(riff) = u32::try_from(file.len() - 8) else { return };
    file[4..8].copy_from_slice(&riff.to_le_bytes());
    file[40..HEADER_LENGTH].copy_from_slice(&(data as u32).to_le_bytes());
}

/// As [`finalize_header`], for a file on the disk.
///
/// # Errors
/// Those of the file.
pub fn finalize_file(file: &mut (impl Write + Seek)) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    // A file over 4 GiB has no true size: it keeps the one for streams.
    let (Ok(riff), Some(data)) = (u32::try_from(length.saturating_sub(8)), length.checked_sub(HEADER_LENGTH as u64))
    else {
        return Ok(());
    };
    file.seek(SeekFrom::Start(4))?;
    file.write_all(&riff.to_le_bytes())?;
    file.seek(SeekFrom::Start(40))?;
    file.write_all(&(data as u32).to_le_bytes())
}

/// A WAV file whose header does not know its length: see [`finalize_header`].
pub(super) struct Wav {
    /// Gone once it is written.
    header: Option<[u8; HEADER_LENGTH]>,
}

impl Wav {
    pub(super) fn new(sample_rate: u32) -> Self {
        Self { header: Some(header(sample_rate, None)) }
    }
}

impl Encoder for Wav {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        out.extend(self.header.take().into_iter().flatten());
        Pcm.encode(samples, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.encode(&[], out)
    }
}

/// The samples alone.
pub(super) struct Pcm;

impl Encoder for Pcm {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        out.extend(samples.iter().flat_map(|sample| to_i16(*sample).to_le_bytes()));
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(samples: &[f32]) -> Vec<u8> {
        let mut wav = Wav::new(24_000);
        let mut file = Vec::new();
        wav.encode(samples, &mut file).unwrap();
        wav.finish(&mut file).unwrap();
        file
    }

    #[test]
    fn a_stream_has_no_length() {
        let file = encode(&[0.5, -0.5]);
        assert_eq!(file.len(), HEADER_LENGTH + 4);
        assert_eq!((&file[4..8], &file[40..44]), (&[255; 4][..], &[255; 4][..]));
    }

    #[test]
    fn a_whole_file_can_be_given_its_length() {
        let mut file = encode(&[0.5, -0.5]);
        finalize_header(&mut file);
        assert_eq!(file[..HEADER_LENGTH], header(24_000, Some(4)));
        let reader = hound::WavReader::new(&file[..]).unwrap();
        assert_eq!((reader.spec().sample_rate, reader.duration()), (24_000, 2));
    }

    #[test]
    fn an_empty_file_still_has_a_header() {
        assert_eq!(encode(&[]).len(), HEADER_LENGTH);
    }
}
