//! Samples without a header: which encodings there are, and the header that makes a file of them.

use super::{Source, unreadable};
use crate::audio::resample::SAMPLE_RATES;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;

/// How many channels headerless sound may have.
pub const CHANNELS: RangeInclusive<u16> = 1..=16;

/// The length of the header that is put in front, in bytes.
const HEADER: usize = 46;

/// The size of a file that is too long for a WAV header.
const UNKNOWN: u32 = u32::MAX;

/// How samples are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RawEncoding {
    /// Signed 16-bit integers, little endian.
    Linear16,
    /// Signed 32-bit integers, little endian.
    Linear32,
    /// G.711 µ-law.
    Mulaw,
    /// G.711 A-law.
    Alaw,
}

impl RawEncoding {
    /// The length of a sample, in bytes.
    pub(super) fn bytes(self) -> usize {
        usize::from(self.in_wav().1) / 8
    }

    /// The number of the encoding in WAV files, and its bits in a sample.
    fn in_wav(self) -> (u16, u16) {
        match self {
            Self::Linear16 => (1, 16),
            Self::Linear32 => (1, 32),
            Self::Mulaw => (7, 8),
            Self::Alaw => (6, 8),
        }
    }
}

/// What must be known of headerless sound to decode it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFormat {
    /// How samples are written down.
    pub encoding: RawEncoding,
    /// Samples per second of each channel.
    pub sample_rate: u32,
    /// How many channels take turns.
    pub channels: u16,
}

/// Gives `samples` as a WAV file, which [`super::Decoder::open`] decodes. The bytes stay where they are; those of a last
/// frame that is not complete are left out. What has a header of its own stays as it is.
///
/// # Errors
/// `InvalidAudio` for a sample rate or a number of channels that cannot be decoded; `Internal` if `samples` cannot be
/// read.
pub fn with_header(mut samples: Box<dyn Source>, format: RawFormat) -> Result<Box<dyn Source>> {
    check(format)?;
    let (has_header, length) = look(&mut *samples).map_err(unreadable)?;
    if has_header {
        return Ok(samples);
    }
    let header = header(format, length);
    Ok(Box::new(Headed { header, samples, position: 0 }))
}

/// Whether sound of this format can be decoded.
///
/// # Errors
/// `InvalidAudio` for a sample rate or a number of channels that cannot be.
pub fn check(format: RawFormat) -> Result<()> {
    if !SAMPLE_RATES.contains(&format.sample_rate) {
        let (low, high) = SAMPLE_RATES.into_inner();
        let message = format!("A sample rate of {} Hz is not supported: {low} to {high}.", format.sample_rate);
        return Err(Error::new(Kind::InvalidAudio, message));
    }
    if !CHANNELS.contains(&format.channels) {
        let (low, high) = CHANNELS.into_inner();
        let message = format!("{} channels are not supported: {low} to {high}.", format.channels);
        return Err(Error::new(Kind::InvalidAudio, message));
    }
    Ok(())
}

/// Whether `samples` begin with a header after all, and how many bytes there are.
fn look(samples: &mut dyn Source) -> io::Result<(bool, u64)> {
    let length = samples.seek(SeekFrom::End(0))?;
    samples.rewind()?;
    let mut head = Vec::new();
    Read::take(&mut *samples, 12).read_to_end(&mut head)?;
    samples.rewind()?;
    Ok((has_header(&head), length))
}

/// Whether what begins with these 12 bytes or more has a header.
pub(super) fn has_header(head: &[u8]) -> bool {
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => true,
        _ => [&b"fLaC"[..], b"OggS", b"\x1a\x45\xdf\xa3"].iter().any(|magic| head.starts_with(magic)),
    }
}

/// The header of a WAV file with `length` bytes of samples.
fn header(format: RawFormat, length: u64) -> [u8; HEADER] {
    let RawFormat { encoding, sample_rate, channels } = format;
    let (number, bits) = encoding.in_wav();
    let frame = channels * bits / 8;
    let data = u32::try_from(length - length % u64::from(frame)).unwrap_or(UNKNOWN);
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&data.saturating_add(HEADER as u32 - 8).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&18_u32.to_le_bytes());
    header[20..22].copy_from_slice(&number.to_le_bytes());
    header[22..24].copy_from_slice(&channels.to_le_bytes());
    header[24..28].copy_from_slice(&sample_rate.to_le_bytes());
    header[28..32].copy_from_slice(&sample_rate.saturating_mul(frame.into()).to_le_bytes()); // bytes in a second
    header[32..34].copy_from_slice(&frame.to_le_bytes());
    header[34..36].copy_from_slice(&bits.to_le_bytes());
    // Two bytes say that nothing follows about the encoding.
    header[38..42].copy_from_slice(b"data");
    header[42..].copy_from_slice(&data.to_le_bytes());
    header
}

/// A source with a header in front of it.
struct Headed {
    header: [u8; HEADER],
    samples: Box<dyn Source>,
    position: u64,
}

impl Read for Headed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.position).ok().and_then(|position| self.header.get(position..));
        let count = match rest {
            Some(rest) if !rest.is_empty() => {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                count
            }
            _ => self.samples.read(buffer)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Headed {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let position = match position {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => {
                let end = self.samples.seek(SeekFrom::End(0))? + HEADER as u64;
                end.checked_add_signed(offset)
            }
        };
        let position = position.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.samples.seek(SeekFrom::Start(position.saturating_sub(HEADER as u64)))?;
        self.position = position;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::super::tests::{collect, decode, fixture};
    use super::*;
    use crate::audio::Pcm;
    use std::io::Cursor;

    /// The samples of a WAV fixture without its header.
    fn headerless(name: &str) -> Vec<u8> {
        let file = fixture(name);
        let data = file.windows(4).position(|bytes| bytes == b"data").unwrap();
        let size = u32::from_le_bytes(file[data + 4..data + 8].try_into().unwrap()) as usize;
        file[data + 8..data + 8 + size].to_vec()
    }

    fn open(bytes: Vec<u8>, encoding: RawEncoding, sample_rate: u32, channels: u16) -> Result<Decoder> {
        let format = RawFormat { encoding, sample_rate, channels };
        Decoder::open(with_header(Box::new(Cursor::new(bytes)), format)?)
    }

    fn heard(bytes: Vec<u8>, encoding: RawEncoding, sample_rate: u32, channels: u16) -> Pcm {
        collect(open(bytes, encoding, sample_rate, channels).unwrap()).unwrap()
    }

    #[test]
    fn headerless_sound_is_what_the_file_with_a_header_is() {
        for (name, encoding, sample_rate, channels) in [
            ("reference.wav", RawEncoding::Linear16, 16_000, 1),
            ("s32.wav", RawEncoding::Linear32, 8_000, 1),
            ("mulaw.wav", RawEncoding::Mulaw, 8_000, 1),
            ("alaw.wav", RawEncoding::Alaw, 8_000, 1),
            ("stereo.wav", RawEncoding::Linear16, 8_000, 2),
        ] {
            let pcm = heard(headerless(name), encoding, sample_rate, channels);
            assert!(pcm == decode(fixture(name)).unwrap(), "{name}");
        }
    }

    #[test]
    fn a_file_with_a_header_is_decoded_as_what_it_says_it_is() {
        for name in ["reference.wav", "native.flac", "opus.ogg", "opus.webm"] {
            let pcm = heard(fixture(name), RawEncoding::Mulaw, 8_000, 1);
            assert!(pcm == decode(fixture(name)).unwrap(), "{name}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_left_out() {
        let mut bytes = headerless("stereo.wav");
        bytes.truncate(4_003);
        assert_eq!(heard(bytes, RawEncoding::Linear16, 8_000, 2).samples.len(), 1_000);
    }

    #[test]
    fn as_many_channels_as_are_allowed_are_decoded() {
        let decoder = open(vec![0; 32_000], RawEncoding::Linear16, 8_000, 16).unwrap();
        assert_eq!((decoder.channels(), collect(decoder).unwrap().samples.len()), (16, 1_000));
    }

    #[test]
    fn nothing_at_all_and_what_cannot_be_are_refused() {
        for (length, sample_rate, channels) in [(0, 8_000, 1), (100, 0, 1), (100, 8_000, 0), (100, 8_000, 17)] {
            let error = open(vec![0; length], RawEncoding::Linear16, sample_rate, channels).err().unwrap();
            assert_eq!(error.kind(), Kind::InvalidAudio, "{length} {sample_rate} {channels}");
        }
    }

    #[test]
    fn the_header_and_the_samples_are_one_file_to_whoever_jumps_in_it() {
        let format = RawFormat { encoding: RawEncoding::Mulaw, sample_rate: 8_000, channels: 1 };
        let mut file = with_header(Box::new(Cursor::new(vec![1, 2, 3, 4])), format).unwrap();
        let mut whole = Vec::new();
        file.read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len(), HEADER + 4);
        for start in [0, 5, HEADER as u64 - 1, HEADER as u64, HEADER as u64 + 3] {
            let mut rest = Vec::new();
            file.seek(SeekFrom::Start(start)).unwrap();
            file.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, whole[start as usize..], "from {start}");
        }
        assert_eq!(file.seek(SeekFrom::End(-1)).unwrap(), HEADER as u64 + 3);
        assert!(file.seek(SeekFrom::Current(-1_000)).is_err());
    }
}
