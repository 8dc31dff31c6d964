//! The header of a WAV file that is being sent. What most senders put behind it is read as samples without a header, so
//! that every sample is heard when it arrives; and that a header does not know how long the sound will be does not matter.

use super::samples::Samples;
use crate::audio::decode::raw::{self, RawEncoding, RawFormat};
use crate::error::{Error, Kind, Result};

/// The most bytes to read for it.
const LONGEST: usize = 1 << 20;

/// The size of sound that does not know its length.
const UNKNOWN: u32 = u32::MAX;

/// Reads a header piece by piece.
pub(super) struct HeaderReader {
    file: Vec<u8>,
    /// Where the next chunk begins.
    next: usize,
    format: Option<RawFormat>,
}

/// What is known.
pub(super) enum Header {
    /// The header is not complete.
    Incomplete,
    /// These samples come behind it, and these are their first bytes.
    Samples(Samples, Vec<u8>),
    /// Something else, which begins with these bytes: the header, put right, and what came behind it.
    Other(Vec<u8>),
}

/// Whether a file that begins with `head` is a WAV.
pub(super) fn is_wav(head: &[u8]) -> bool {
    matches!(head.get(..4), Some(b"RIFF" | b"RF64" | b"BW64")) && head.get(8..12) == Some(b"WAVE")
}

impl Default for HeaderReader {
    fn default() -> Self {
        Self { file: Vec::new(), next: 12, format: None }
    }
}

impl HeaderReader {
    /// Takes more bytes of the file.
    ///
    /// # Errors
    /// `InvalidAudio` for a header without an end.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Header> {
        self.file.extend_from_slice(bytes);
        while let Some(chunk) = self.file.get(self.next..self.next + 8) {
            let size = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
            let body = self.next + 8;
            match &chunk[..4] {
                b"data" => return Ok(self.end(body, size)),
                b"fmt " => match self.file.get(body..body.saturating_add(size as usize)) {
                    Some(format) => self.format = read_format(format),
                    None => break,
                },
                _ => {}
            }
            // Chunks begin at even places.
            self.next = body.saturating_add((size as usize).saturating_add(1) & !1);
            if self.next > LONGEST {
                break;
            }
        }
        match self.file.len().max(self.next) > LONGEST {
            true => Err(Error::new(Kind::InvalidAudio, "The header of the WAV file is damaged, or longer than 1 MB.")),
            false => Ok(Header::Incomplete),
        }
    }

    /// The samples begin at `body`, and there are `size` bytes of them, if that is true.
    fn end(&mut self, body: usize, size: u32) -> Header {
        let mut file = std::mem::take(&mut self.file);
        let is_known = size != 0 && size != UNKNOWN && !file.starts_with(b"RF64") && !file.starts_with(b"BW64");
        match self.format {
            Some(format) => {
                let length = is_known.then_some(u64::from(size));
                Header::Samples(Samples::of_length(format, length), file.split_off(body))
            }
            None => {
                if !is_known {
                    file[..4].copy_from_slice(b"RIFF");
                    file[body - 4..body].copy_from_slice(&UNKNOWN.to_le_bytes());
                }
                file[4..8].copy_from_slice(&UNKNOWN.to_le_bytes());
                Header::Other(file)
            }
        }
    }
}

/// The format of the samples, if it is one that headerless ones may have.
fn read_format(chunk: &[u8]) -> Option<RawFormat> {
    const EXTENSIBLE: u16 = 0xfffe;
    let number = |at: usize| Some(u16::from_le_bytes([*chunk.get(at)?, *chunk.get(at + 1)?]));
    let (code, channels, bits) = (number(0)?, number(2)?, number(14)?);
    let sample_rate = u32::from(number(4)?) | u32::from(number(6)?) << 16;
    // The long form has its code behind the size of the rest, the bits that count and the places of the speakers.
    let code = if code == EXTENSIBLE { number(24)? } else { code };
    let encoding = match (code, bits) {
        (1, 16) => RawEncoding::Linear16,
        (1, 32) => RawEncoding::Linear32,
        (6, 8) => RawEncoding::Alaw,
        (7, 8) => RawEncoding::Mulaw,
        _ => return None,
    };
    let format = RawFormat { encoding, sample_rate, channels };
    raw::check(format).is_ok().then_some(format)
}
