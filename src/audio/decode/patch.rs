//! Files that are read with other bytes than they have: headers that lie about sizes, put right.

use super::{Source, mp4, wav};
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes, and where they belong.
pub(super) struct Patch {
    start: u64,
    bytes: Vec<u8>,
}

impl Patch {
    /// `bytes` that are read at `start`.
    pub(super) fn new(start: u64, bytes: &[u8]) -> Self {
        Self { start, bytes: bytes.to_vec() }
    }
}

/// Gives `source`, which begins with `head`, back, rewound, and such that its sizes are right.
///
/// # Errors
/// If it cannot be read.
pub(super) fn patch(mut source: Box<dyn Source>, head: &[u8], length: u64) -> io::Result<Box<dyn Source>> {
    let patches = match head {
        [b'R', b'I' | b'F', ..] | [b'B', b'W', ..] => wav::patches(&mut *source, length),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => mp4::patches(&mut *source, length),
        _ => Ok(Vec::new()),
    };
    let patches = match patches {
        Ok(patches) => patches,
        // Cut off before there was anything to put right.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Vec::new(),
        Err(error) => return Err(error),
    };
    source.rewind()?;
    Ok(if patches.is_empty() { source } else { Box::new(Patched { source, position: 0, patches }) })
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
        for patch in &self.patches {
            for (place, byte) in (patch.start..).zip(&patch.bytes) {
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
