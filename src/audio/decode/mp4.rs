//! The gap in front of the sound in MP4 files: what the edit list of a track skips, or what iTunes wrote down.

use super::Source;
use super::gaps::Gap;
use super::patch::Patch;
use std::io::{self, Cursor, Read, SeekFrom};
use std::ops::Range;

/// The most boxes to look at on one level, and the most bytes to read of one.
const MOST_BOXES: usize = 100_000;
const MOST_BYTES: u64 = 1 << 16;

/// The gap in front of each track.
pub(super) fn gaps(source: &mut dyn Source, length: u64) -> Vec<Gap> {
    // Without edits there are no gaps; whether the file is damaged shows when it is decoded.
    read_gaps(source, length).unwrap_or_default()
}

/// What must read differently, so that the last box ends where a file that was cut off does.
pub(super) fn patches(source: &mut dyn Source, length: u64) -> io::Result<Vec<Patch>> {
    let mut next = 0;
    for _ in 0..MOST_BOXES {
        let Some(header) = header_at(source, next, length)? else { break };
        if header.end > length {
            let size = length - header.start;
            return Ok(vec![match u32::try_from(size) {
                Ok(size) if header.body == header.start + 8 => Patch::new(header.start, &size.to_be_bytes()),
                _ => Patch::new(header.start + 8, &size.to_be_bytes()),
            }]);
        }
        next = header.end;
    }
    Ok(Vec::new())
}

/// Whether a file that begins with `start` has sound in front of its index.
pub(super) fn is_index_behind(start: &[u8]) -> bool {
    let boxes = boxes(&mut Cursor::new(start.to_vec()), 0..start.len() as u64).unwrap_or_default();
    boxes.iter().map(|(kind, _)| kind).find(|kind| [*b"moov", *b"mdat"].contains(kind)) == Some(b"mdat")
}

fn read_gaps(source: &mut dyn Source, length: u64) -> io::Result<Vec<Gap>> {
    let Some(movie) = find(source, 0..length, *b"moov")? else { return Ok(Vec::new()) };
    let mut gaps = Vec::new();
    for (kind, body) in boxes(source, movie.clone())? {
        if kind == *b"trak"
            && let Some(gap) = edit(source, body)?
        {
            gaps.push(gap);
        }
    }
    if gaps.is_empty() {
        gaps.extend(itunes(source, movie)?);
    }
    Ok(gaps)
}

/// What the first edit of the track in `body` skips.
fn edit(source: &mut dyn Source, body: Range<u64>) -> io::Result<Option<Gap>> {
    let Some(header) = find(source, body.clone(), *b"tkhd")? else { return Ok(None) };
    let Some(edits) = descend(source, body.clone(), &[*b"edts", *b"elst"])? else { return Ok(None) };
    let Some(media) = descend(source, body, &[*b"mdia", *b"mdhd"])? else { return Ok(None) };
    let (header, edits, media) = (read(source, header)?, read(source, edits)?, read(source, media)?);
    let track = number(&header, if is_long(&header) { 20 } else { 12 }, 4);
    let timescale = number(&media, if is_long(&media) { 20 } else { 12 }, 4);
    let (Some(track), Some(timescale), Some(length)) = (track, timescale, first_media_time(&edits)) else {
        return Ok(None);
    };
    Ok(Some(Gap { track: Some(track), length, timescale }))
}

/// Where in the media the first edit begins that shows any of it.
fn first_media_time(edits: &[u8]) -> Option<u64> {
    let size = if is_long(edits) { 8 } else { 4 };
    let count = number(edits, 4, 4)?;
    // An entry is a duration, a place, and a speed of four bytes; a place of -1 is a pause before the media begins.
    let places = (0..count).map_while(|entry| number(edits, 8 + entry as usize * (2 * size + 4) + size, size));
    let pause = if size == 8 { u64::MAX } else { u64::from(u32::MAX) };
    places.take(16).find(|place| *place != pause)
}

/// What iTunes notes where other programs write an edit list: ` 00000000 00000840 000001C4 ...`, where the second
/// number is the gap in samples.
fn itunes(source: &mut dyn Source, movie: Range<u64>) -> io::Result<Option<Gap>> {
    let Some(meta) = descend(source, movie.clone(), &[*b"udta", *b"meta"])? else { return Ok(None) };
    let Some(list) = find(source, meta.start + 4..meta.end, *b"ilst")? else { return Ok(None) };
    let Some(track) = find(source, movie, *b"trak")? else { return Ok(None) };
    let Some(media) = descend(source, track, &[*b"mdia", *b"mdhd"])? else { return Ok(None) };
    let media = read(source, media)?;
    let Some(timescale) = number(&media, if is_long(&media) { 20 } else { 12 }, 4) else { return Ok(None) };
    for (kind, body) in boxes(source, list)? {
        if kind != *b"----" {
            continue;
        }
        let note = String::from_utf8_lossy(&read(source, body)?).into_owned();
        if let Some((_, note)) = note.split_once("iTunSMPB") {
            let numbers = note.split(' ').filter(|word| word.len() == 8).map(|word| u64::from_str_radix(word, 16));
            let gap = numbers.flatten().nth(1);
            return Ok(gap.map(|length| Gap { track: None, length, timescale }));
        }
    }
    Ok(None)
}

/// The body of the box that `path` leads to.
fn descend(source: &mut dyn Source, mut body: Range<u64>, path: &[[u8; 4]]) -> io::Result<Option<Range<u64>>> {
    for kind in path {
        let Some(inner) = find(source, body, *kind)? else { return Ok(None) };
        body = inner;
    }
    Ok(Some(body))
}

/// The body of the first box of this kind in `within`.
fn find(source: &mut dyn Source, within: Range<u64>, kind: [u8; 4]) -> io::Result<Option<Range<u64>>> {
    let mut next = within.start;
    for _ in 0..MOST_BOXES {
        let Some((found, body)) = box_at(source, next, within.end)? else { break };
        if found == kind {
            return Ok(Some(body));
        }
        next = body.end;
    }
    Ok(None)
}

/// The kinds and bodies of the boxes in `within`.
fn boxes(source: &mut dyn Source, within: Range<u64>) -> io::Result<Vec<([u8; 4], Range<u64>)>> {
    let mut boxes = Vec::new();
    let mut next = within.start;
    while boxes.len() < MOST_BOXES
        && let Some((kind, body)) = box_at(source, next, within.end)?
    {
        next = body.end;
        boxes.push((kind, body));
    }
    Ok(boxes)
}

/// The kind and the body of the box at `start`, if there is one before `end`.
fn box_at(source: &mut dyn Source, start: u64, end: u64) -> io::Result<Option<([u8; 4], Range<u64>)>> {
    let header = header_at(source, start, end)?;
    Ok(header.map(|header| (header.kind, header.body..header.end.min(end))))
}

/// What a box says about itself.
struct Header {
    kind: [u8; 4],
    start: u64,
    /// Where its body starts and ends; a box that was cut off ends behind what is there.
    body: u64,
    end: u64,
}

/// The header of the box at `start`, if there is one before `end`.
fn header_at(source: &mut dyn Source, start: u64, end: u64) -> io::Result<Option<Header>> {
    if end.saturating_sub(start) < 8 {
        return Ok(None);
    }
    source.seek(SeekFrom::Start(start))?;
    let mut header = [0; 16];
    source.read_exact(&mut header[..8])?;
    let kind = [header[4], header[5], header[6], header[7]];
    let (size, body) = match number(&header, 0, 4) {
        Some(0) => (end - start, start + 8),
        Some(1) => {
            source.read_exact(&mut header[8..])?;
            (number(&header, 8, 8).unwrap_or(0), start + 16)
        }
        size => (size.unwrap_or(0), start + 8),
    };
    let header = Header { kind, start, body, end: start.saturating_add(size) };
    Ok((body <= header.end.min(end)).then_some(header))
}

/// The bytes of a short box.
fn read(source: &mut dyn Source, body: Range<u64>) -> io::Result<Vec<u8>> {
    source.seek(SeekFrom::Start(body.start))?;
    let mut bytes = Vec::new();
    Read::take(&mut *source, (body.end - body.start).min(MOST_BYTES)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a box is of the version with times of eight bytes.
fn is_long(body: &[u8]) -> bool {
    body.first() == Some(&1)
}

/// The number of `size` bytes at `start`.
fn number(bytes: &[u8], start: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(start..start.checked_add(size)?)?;
    Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
