//! Silence that is in a file only because encoders work in frames: in front of the sound, and behind it.
//!
//! MP3 and Ogg are not here: their gaps are dropped where their packets are read.

use super::{Source, matroska, mp4};

/// The most that is believed to be a gap, in seconds.
const LONGEST: u64 = 10;

/// The gaps of all tracks of one file.
#[derive(Default)]
pub(super) struct Gaps {
    in_front: Vec<Gap>,
    behind: Vec<Gap>,
}

/// A gap of `length / timescale` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// The track as its container numbers it; `None` for the only one there is.
    pub track: Option<u64>,
    pub length: u64,
    pub timescale: u64,
}

impl Gaps {
    /// What the container says. A file that cannot be understood has no gaps.
    pub(super) fn read(source: &mut dyn Source, head: &[u8], length: u64) -> Self {
        match head {
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
                Self { in_front: mp4::gaps(source, length), behind: Vec::new() }
            }
            [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska::gaps(source, length),
            [b'O', b'g', b'g', b'S', ..] => Self { in_front: ogg_opus(head).into_iter().collect(), behind: Vec::new() },
            _ => Self::default(),
        }
    }

    /// The gaps of a file that has these.
    pub(super) fn new(in_front: Vec<Gap>, behind: Vec<Gap>) -> Self {
        Self { in_front, behind }
    }

    /// The gap in front of the sound of `track`, in samples at `sample_rate` hertz.
    pub(super) fn in_front(&self, track: u32, sample_rate: u32) -> usize {
        samples(&self.in_front, track, sample_rate)
    }

    /// The gap behind it.
    pub(super) fn behind(&self, track: u32, sample_rate: u32) -> usize {
        samples(&self.behind, track, sample_rate)
    }
}

fn samples(gaps: &[Gap], track: u32, sample_rate: u32) -> usize {
    let gap = gaps.iter().find(|gap| gap.track.is_none_or(|number| number == u64::from(track)));
    let Some(gap) = gap.filter(|gap| gap.length <= gap.timescale.saturating_mul(LONGEST) && gap.timescale > 0) else {
        return 0;
    };
    let (length, timescale) = (u128::from(gap.length), u128::from(gap.timescale));
    ((length * u128::from(sample_rate) + timescale / 2) / timescale) as usize
}

/// The pre-skip of an Ogg Opus file that begins with `head`, RFC 7845 section 4.2.
fn ogg_opus(head: &[u8]) -> Option<Gap> {
    let segments = usize::from(*head.get(26)?);
    let gap = opus_head(head.get(27 + segments..)?)?;
    Some(gap)
}

/// The pre-skip that the identification header of an Opus stream gives.
pub(super) fn opus_head(header: &[u8]) -> Option<Gap> {
    let header = header.strip_prefix(b"OpusHead")?;
    let pre_skip = u16::from_le_bytes([*header.get(2)?, *header.get(3)?]);
    Some(Gap { track: None, length: u64::from(pre_skip), timescale: 48_000 })
}
