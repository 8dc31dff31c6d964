//! The gaps of the sound in WebM and Matroska files: what the codec needs in front, and what the last block discards.

use super::Source;
use super::gaps::{Gap, Gaps, opus_head};
use std::io::{self, Read, SeekFrom};
use std::ops::Range;

const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const TRACK: u64 = 0xae;
const TRACK_NUMBER: u64 = 0xd7;
const CODEC_PRIVATE: u64 = 0x63a2;
const CLUSTER: u64 = 0x1f43_b675;
const BLOCK_GROUP: u64 = 0xa0;
const BLOCK: u64 = 0xa1;
const DISCARD_PADDING: u64 = 0x75a2;

/// The most elements to look at on one level, and the most bytes to read of one.
const MOST_ELEMENTS: usize = 100_000;
const MOST_BYTES: u64 = 1 << 12;

/// How many clusters at the end may hold the last block of a track.
const LAST_CLUSTERS: usize = 4;

/// The gaps of each track.
pub(super) fn gaps(source: &mut dyn Source, length: u64) -> Gaps {
    // Whether the file is damaged shows when it is decoded.
    let segment = elements(source, 0..length).into_iter().find(|(id, _)| *id == SEGMENT);
    let Some((_, segment)) = segment else { return Gaps::default() };
    let (mut in_front, mut behind) = (Vec::new(), Vec::new());
    let parts = elements(source, segment);
    for (_, tracks) in parts.iter().filter(|(id, _)| *id == TRACKS) {
        for (_, track) in elements(source, tracks.clone()).into_iter().filter(|(id, _)| *id == TRACK) {
            in_front.extend(pre_skip(source, track));
        }
    }
    for (_, cluster) in parts.iter().rev().filter(|(id, _)| *id == CLUSTER).take(LAST_CLUSTERS) {
        for (_, group) in elements(source, cluster.clone()).into_iter().rev().filter(|(id, _)| *id == BLOCK_GROUP) {
            behind.extend(discarded(source, group));
        }
    }
    Gaps::new(in_front, behind)
}

/// The pre-skip of an Opus track.
fn pre_skip(source: &mut dyn Source, track: Range<u64>) -> Option<Gap> {
    let parts = elements(source, track);
    let number = read(source, find(&parts, TRACK_NUMBER)?).ok()?;
    let private = read(source, find(&parts, CODEC_PRIVATE)?).ok()?;
    let gap = opus_head(&private)?;
    Some(Gap { track: Some(unsigned(&number)), ..gap })
}

/// What is to be discarded of the block in this group.
fn discarded(source: &mut dyn Source, group: Range<u64>) -> Option<Gap> {
    let parts = elements(source, group);
    let padding = read(source, find(&parts, DISCARD_PADDING)?).ok()?;
    let block = find(&parts, BLOCK)?;
    let (track, _) = variable(source, block.start, block.end).ok()??;
    // The length is signed: a negative one would be in front.
    let is_behind = padding.first().is_some_and(|byte| *byte < 0x80);
    is_behind.then(|| Gap { track: Some(track), length: unsigned(&padding), timescale: 1_000_000_000 })
}

fn find(parts: &[(u64, Range<u64>)], id: u64) -> Option<Range<u64>> {
    parts.iter().find(|part| part.0 == id).map(|part| part.1.clone())
}

/// The elements in `within`, up to the first that does not say how long it is, unless that is the segment.
fn elements(source: &mut dyn Source, within: Range<u64>) -> Vec<(u64, Range<u64>)> {
    let mut elements = Vec::new();
    let mut next = within.start;
    while elements.len() < MOST_ELEMENTS
        && let Ok(Some((id, body))) = element(source, next, within.end)
    {
        next = body.end;
        elements.push((id, body));
    }
    elements
}

/// The element at `start`, if there is one before `end`.
fn element(source: &mut dyn Source, start: u64, end: u64) -> io::Result<Option<(u64, Range<u64>)>> {
    let Some((id, size_at)) = identifier(source, start, end)? else { return Ok(None) };
    let Some((size, body)) = variable(source, size_at, end)? else { return Ok(None) };
    let is_unknown = size == (1 << (7 * (body - size_at))) - 1;
    if is_unknown && id != SEGMENT {
        return Ok(None);
    }
    let stop = if is_unknown { end } else { body.saturating_add(size).min(end) };
    Ok(Some((id, body..stop)))
}

/// The identifier at `start`, marker bits included, and where it ends.
fn identifier(source: &mut dyn Source, start: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    let Some((number, stop)) = variable(source, start, end)? else { return Ok(None) };
    let length = stop - start;
    Ok((length <= 4).then_some((number | 1 << (7 * length), stop)))
}

/// The number of variable length at `start`, and where it ends.
fn variable(source: &mut dyn Source, start: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    if start >= end {
        return Ok(None);
    }
    source.seek(SeekFrom::Start(start))?;
    let mut bytes = [0; 8];
    source.read_exact(&mut bytes[..1])?;
    let length = bytes[0].leading_zeros() as usize + 1;
    if length > 8 {
        return Ok(None);
    }
    source.read_exact(&mut bytes[1..length])?;
    let marked = unsigned(&bytes[..length]);
    Ok(Some((marked & !(1 << (7 * length)), start + length as u64)))
}

/// The bytes of a short element.
fn read(source: &mut dyn Source, body: Range<u64>) -> io::Result<Vec<u8>> {
    source.seek(SeekFrom::Start(body.start))?;
    let mut bytes = Vec::new();
    Read::take(&mut *source, (body.end - body.start).min(MOST_BYTES)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
