//! WAV headers that lie: files that were sent or recorded before their length was known, or were cut off.

use super::Source;
use std::io::{self, Read, Seek, SeekFrom};

/// The size of a WAV that does not know its length.
const UNKNOWN: u32 = u32::MAX;

/// The most chunks to look at before the samples.
const MOST_CHUNKS: usize = 10_000;

/// Gives `source` back, rewound. If it is a WAV file whose header does not tell how long the sound is, its sizes read as
/// they should be.
pub(super) fn repair(mut source: Box<dyn Source>, length: u64) -> io::Result<Box<dyn Source>> {
    let patches = match patches(&mut *source, length) {
        Ok(patches) => patches,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Vec::new(),
        Err(error) => return Err(error),
    };
    source.rewind()?;
    Ok(if patches.is_empty() { source } else { Box::new(Patched { source, position: 0, patches }) })
}

/// Bytes of a header, and where they belong.
type Patch = (u64, [u8; 4]);

/// What must be changed in the header.
fn patches(source: &mut dyn Source, length: u64) -> io::Result<Vec<Patch>> {
    source.rewind()?;
    let mut header = [0; 12];
    source.read_exact(&mut header)?;
    let is_long = matches!(&header[..4], b"RF64" | b"BW64");
    if !(is_long || header.starts_with(b"RIFF")) || &header[8..] != b"WAVE" {
        return Ok(Vec::new());
    }
    let file_end = u64::from(number([header[4], header[5], header[6], header[7]])) + 8;
    let Some((start, declared)) = samples(source, length)? else { return Ok(Vec::new()) };
    let available = length - start;
    // Nothing, in a header that is otherwise right, is nothing.
    let is_streamed = declared == 0 && available > 0 && file_end != length;
    let is_right = !is_long && !is_streamed && u64::from(declared) <= available;
    if is_right && file_end >= start + u64::from(declared) {
        return Ok(Vec::new());
    }
    let size = if is_right { declared } else { u32::try_from(available).unwrap_or(UNKNOWN) };
    Ok(vec![(0, *b"RIFF"), (4, UNKNOWN.to_le_bytes()), (start - 4, size.to_le_bytes())])
}

/// Where the samples start, and how many bytes of them the header declares.
fn samples(source: &mut dyn Source, length: u64) -> io::Result<Option<(u64, u32)>> {
    let mut position = 12;
    for _ in 0..MOST_CHUNKS {
        if position + 8 > length {
            break;
        }
        source.seek(SeekFrom::Start(position))?;
        let mut chunk = [0; 8];
        source.read_exact(&mut chunk)?;
        let size = number([chunk[4], chunk[5], chunk[6], chunk[7]]);
        position += 8;
        if chunk.starts_with(b"data") {
            return Ok(Some((position, size)));
        }
        // Chunks begin at even places.
        position += u64::from(size).next_multiple_of(2);
    }
    Ok(None)
}

fn number(bytes: [u8; 4]) -> u32 {
    u32::from_le_bytes(bytes)
}

/// A source of which some bytes read differently.
struct Patched {
    source: Box<dyn Source>,
    position: u64,
    patches: Vec<Patch>,
}

impl Read for Patched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        for (start, bytes) in &self.patches {
            for (place, byte) in (*start..).zip(bytes) {
                let index = place.checked_sub(self.position).filter(|index| *index < count as u64);
                if let Some(index) = index {
                    buffer[index as usize] = *byte;
                }
            }
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Patched {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.position = self.source.seek(position)?;
        Ok(self.position)
    }
}
