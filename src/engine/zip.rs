//! The little of ZIP that archives of NumPy arrays use: whole files in memory, stored or deflated, by the directory at
//! the end.

use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How the directory's end, an entry of the directory, and a file begin.
const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const FILE: &[u8] = b"PK\x03\x04";

/// The directory's end is among so many last bytes: its own and those of the longest comment.
const TAIL: u64 = 22 + 65_535;

/// A file in an archive.
pub struct Entry<'a> {
    /// Its name.
    pub name: String,
    deflated: bool,
    stored: &'a [u8],
}

impl Entry<'_> {
    /// What is in it.
    ///
    /// # Errors
    /// Why not: it is damaged, or larger than `largest` bytes.
    pub fn content(&self, largest: usize) -> Result<Vec<u8>, &'static str> {
        let mut content = Vec::new();
        let limit = largest as u64 + 1;
        let read = match self.deflated {
            true => DeflateDecoder::new(self.stored).take(limit).read_to_end(&mut content),
            false => self.stored.take(limit).read_to_end(&mut content),
        };
        read.map_err(|_| "it is damaged")?;
        if content.len() > largest { Err("it holds a file that is too large") } else { Ok(content) }
    }
}

/// Whether `bytes` begin as an archive does.
pub fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(FILE)
}

/// The files in the archive `bytes`.
///
/// # Errors
/// Why not: it is damaged, or uses what is not supported.
pub fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, &'static str> {
    let tail = bytes.len().saturating_sub(TAIL as usize);
    let (start, count) = directory(&bytes[tail..]).ok_or(DAMAGED)?;
    let mut rest = bytes.get(start..).ok_or(DAMAGED)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let (listed, after) = Listed::read(rest).ok_or(DAMAGED)?;
        entries.push(listed.entry(bytes)?);
        rest = after;
    }
    Ok(entries)
}

/// The names of the files in the archive at `path`, by its directory alone; `None` if it is no archive.
pub fn names(path: &Path) -> Option<Vec<String>> {
    let mut file = File::open(path).ok()?;
    let mut begin = [0; 4];
    file.read_exact(&mut begin).ok().filter(|()| is_archive(&begin))?;
    let length = file.metadata().ok()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    file.read_to_end(&mut tail).ok()?;
    let (start, count) = directory(&tail)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start as u64)).ok()?;
    file.take(1 << 20).read_to_end(&mut bytes).ok()?;
    let (mut rest, mut names) = (bytes.as_slice(), Vec::new());
    for _ in 0..count {
        let (listed, after) = Listed::read(rest)?;
        names.push(listed.name);
        rest = after;
    }
    Some(names)
}

const DAMAGED: &str = "it is a damaged archive";

/// Where the directory begins and how many entries it has, from the end of an archive.
fn directory(tail: &[u8]) -> Option<(usize, usize)> {
    let end = tail.windows(END.len()).rposition(|window| window == END)?;
    let end = &tail[end..];
    Some((number(end, 16, 4)?, number(end, 10, 2)?))
}

/// A file as the directory lists it.
struct Listed {
    name: String,
    method: usize,
    flags: usize,
    size: usize,
    offset: usize,
}

impl Listed {
    /// The first entry of `directory`, and what follows it.
    fn read(directory: &[u8]) -> Option<(Self, &[u8])> {
        if !directory.starts_with(ENTRY) {
            return None;
        }
        let at = |offset, bytes| number(directory, offset, bytes);
        let (name, extra, comment) = (at(28, 2)?, at(30, 2)?, at(32, 2)?);
        let listed = Self {
            name: String::from_utf8_lossy(directory.get(46..46 + name)?).into_owned(),
            flags: at(8, 2)?,
            method: at(10, 2)?,
            size: at(20, 4)?,
            offset: at(42, 4)?,
        };
        Some((listed, directory.get(46 + name + extra + comment..)?))
    }

    fn entry(self, bytes: &[u8]) -> Result<Entry<'_>, &'static str> {
        const STORED: usize = 0;
        const DEFLATED: usize = 8;
        if self.flags & 1 != 0 || ![STORED, DEFLATED].contains(&self.method) {
            return Err("it is an archive of a kind that is not supported");
        }
        let file = bytes.get(self.offset..).filter(|file| file.starts_with(FILE)).ok_or(DAMAGED)?;
        let header = number(file, 26, 2).zip(number(file, 28, 2)).ok_or(DAMAGED)?;
        let start = 30 + header.0 + header.1;
        let stored = start.checked_add(self.size).and_then(|end| file.get(start..end)).ok_or(DAMAGED)?;
        Ok(Entry { name: self.name, deflated: self.method == DEFLATED, stored })
    }
}

/// The number of so many `bytes` at `offset`, the lowest first.
fn number(from: &[u8], offset: usize, bytes: usize) -> Option<usize> {
    Some(from.get(offset..offset + bytes)?.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}
