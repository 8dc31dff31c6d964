//! Opus in WebM, which browsers take into a MediaSource. No crate: a stream needs a dozen elements.
//!
//! The file is a segment without an end, as live ones are, and every page is a cluster that knows its length.

use super::opus::{CLOCK, Container, PACKET, Packet, Place};
use crate::error::Result;

// The elements by their numbers, marker bits included: RFC 9559, and RFC 8794 for the first.
const EBML: u32 = 0x1a45_dfa3;
const EBML_VERSION: u32 = 0x4286;
const EBML_READ_VERSION: u32 = 0x42f7;
const EBML_MAX_ID_LENGTH: u32 = 0x42f2;
const EBML_MAX_SIZE_LENGTH: u32 = 0x42f3;
const DOC_TYPE: u32 = 0x4282;
const DOC_TYPE_VERSION: u32 = 0x4287;
const DOC_TYPE_READ_VERSION: u32 = 0x4285;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
const MUXING_APP: u32 = 0x4d80;
const WRITING_APP: u32 = 0x5741;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_UID: u32 = 0x73c5;
const TRACK_TYPE: u32 = 0x83;
const FLAG_LACING: u32 = 0x9c;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const CODEC_DELAY: u32 = 0x56aa;
const SEEK_PRE_ROLL: u32 = 0x56bb;
const AUDIO: u32 = 0xe1;
const SAMPLING_FREQUENCY: u32 = 0xb5;
const CHANNELS: u32 = 0x9f;
const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const DISCARD_PADDING: u32 = 0x75a2;

const NANOSECONDS: u64 = 1_000_000_000;

/// Times of clusters and blocks count milliseconds. Packets are 20 of them, so nothing is rounded.
const TICK: u64 = NANOSECONDS / 1000;

/// How much a decoder has to hear before it is right, after a seek: 80 ms for Opus.
const PRE_ROLL: u64 = 80 * TICK;

/// The only track, as blocks name it: a number of one byte.
const TRACK: u8 = 0x81;

/// A block on its own can be decoded on its own.
const KEYFRAME: u8 = 0x80;

/// A WebM file.
#[derive(Default)]
pub(super) struct Webm {
    /// The cluster that is being filled, with the time at which it begins, in ticks; none if it is empty.
    cluster: Option<(u64, Vec<u8>)>,
}

impl Container for Webm {
    fn begin(&mut self, identification: Vec<u8>, pre_skip: u64, out: &mut Vec<u8>) -> Result<()> {
        element(EBML, &header(), out);
        identifier(SEGMENT, out);
        // A size of nothing but ones says that nobody knows it yet.
        out.extend([0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        element(INFO, &info(), out);
        element(TRACKS, &within(TRACK_ENTRY, &track(&identification, pre_skip)), out);
        Ok(())
    }

    fn add(&mut self, packet: Packet, out: &mut Vec<u8>) -> Result<()> {
        let time = packet.begin * 1000 / CLOCK;
        let (begin, cluster) = self.cluster.get_or_insert_with(|| (time, unsigned(TIMESTAMP, time)));
        // A cluster lasts 200 ms.
        let offset = (time - *begin) as u16;
        let discarded = PACKET - (packet.end - packet.begin);
        if discarded == 0 {
            element(SIMPLE_BLOCK, &block(offset, KEYFRAME, &packet.data), cluster);
        } else {
            let block = within(BLOCK, &block(offset, 0, &packet.data));
            let padding = signed(DISCARD_PADDING, nanoseconds(discarded));
            element(BLOCK_GROUP, &[block, padding].concat(), cluster);
        }
        if packet.place != Place::InPage
            && let Some((_, cluster)) = self.cluster.take()
        {
            element(CLUSTER, &cluster, out);
        }
        Ok(())
    }
}

fn header() -> Vec<u8> {
    [
        unsigned(EBML_VERSION, 1),
        unsigned(EBML_READ_VERSION, 1),
        unsigned(EBML_MAX_ID_LENGTH, 4),
        unsigned(EBML_MAX_SIZE_LENGTH, 8),
        within(DOC_TYPE, b"webm"),
        unsigned(DOC_TYPE_VERSION, 4),
        unsigned(DOC_TYPE_READ_VERSION, 2),
    ]
    .concat()
}

fn info() -> Vec<u8> {
    let name = concat!("mynah ", env!("CARGO_PKG_VERSION")).as_bytes();
    [unsigned(TIMESTAMP_SCALE, TICK), within(MUXING_APP, name), within(WRITING_APP, name)].concat()
}

/// The only track, which the decoder has to hear `pre_skip` of before there is sound.
fn track(identification: &[u8], pre_skip: u64) -> Vec<u8> {
    let rate = within(SAMPLING_FREQUENCY, &(CLOCK as f32).to_be_bytes());
    [
        unsigned(TRACK_NUMBER, 1),
        unsigned(TRACK_UID, 1),
        unsigned(TRACK_TYPE, 2), // sound
        unsigned(FLAG_LACING, 0),
        within(CODEC_ID, b"A_OPUS"),
        within(CODEC_PRIVATE, identification),
        unsigned(CODEC_DELAY, nanoseconds(pre_skip)),
        unsigned(SEEK_PRE_ROLL, PRE_ROLL),
        within(AUDIO, &[rate, unsigned(CHANNELS, 1)].concat()),
    ]
    .concat()
}

/// A packet that begins `offset` ticks after its cluster.
fn block(offset: u16, flags: u8, data: &[u8]) -> Vec<u8> {
    let [high, low] = offset.to_be_bytes();
    [&[TRACK, high, low, flags], data].concat()
}

/// A time on the clock of Opus.
fn nanoseconds(clock: u64) -> u64 {
    (clock * NANOSECONDS + CLOCK / 2) / CLOCK
}

/// An element with a number that is never negative.
fn unsigned(id: u32, number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    // A zero needs a byte, too.
    let first = (number.leading_zeros() as usize / 8).min(bytes.len() - 1);
    within(id, &bytes[first..])
}

/// An element with a number whose highest bit would be its sign.
fn signed(id: u32, number: u64) -> Vec<u8> {
    within(id, &number.to_be_bytes())
}

fn within(id: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    element(id, body, &mut out);
    out
}

fn element(id: u32, body: &[u8], out: &mut Vec<u8>) {
    identifier(id, out);
    // Sizes of one, two or four bytes; the highest bits that are set say of how many.
    match body.len() as u32 {
        size @ 0..0x7f => out.push(0x80 | size as u8),
        size @ 0x7f..0x3fff => out.extend((0x4000 | size as u16).to_be_bytes()),
        size => out.extend((0x1000_0000 | size).to_be_bytes()),
    }
    out.extend_from_slice(body);
}

fn identifier(id: u32, out: &mut Vec<u8>) {
    out.extend(id.to_be_bytes().into_iter().skip(id.leading_zeros() as usize / 8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        assert_eq!(unsigned(TRACK_NUMBER, 0), [0xd7, 0x81, 0]);
        assert_eq!(unsigned(TRACK_NUMBER, 0xff), [0xd7, 0x81, 0xff]);
        assert_eq!(unsigned(DOC_TYPE_VERSION, 0x100), [0x42, 0x87, 0x82, 1, 0]);
        assert_eq!(signed(DISCARD_PADDING, 0x80), [0x75, 0xa2, 0x88, 0, 0, 0, 0, 0, 0, 0, 0x80]);
    }

    #[test]
    fn sizes_take_as_many_bytes_as_they_need() {
        for (size, expected) in [
            (0, &[0x80][..]),
            (126, &[0xfe]),
            (127, &[0x40, 127]),
            (16_382, &[0x7f, 0xfe]),
            (16_383, &[0x10, 0, 0x3f, 0xff]),
        ] {
            let bytes = within(BLOCK, &vec![0; size]);
            assert_eq!(bytes[1..=expected.len()], *expected, "{size}");
            assert_eq!(bytes.len(), 1 + expected.len() + size);
        }
    }

    /// The elements of `bytes`: what each is, its times and its length.
    fn shape(mut bytes: &[u8]) -> Vec<(u32, usize)> {
        let mut elements = Vec::new();
        while let Some(first) = bytes.first() {
            let length = first.leading_zeros() as usize + 1;
            let id = bytes[..length].iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
            let size_length = bytes[length].leading_zeros() as usize + 1;
            let body = length + size_length;
            let size = bytes[length..body].iter().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
            let size = size & !(1 << (7 * size_length));
            // What has no end ends nowhere: its elements follow.
            let stop = if size == (1 << (7 * size_length)) - 1 { body } else { body + size as usize };
            elements.push((id, stop - body));
            bytes = &bytes[stop..];
        }
        elements
    }

    #[test]
    fn every_page_is_a_cluster_and_the_last_packet_is_cut() {
        let mut webm = Webm::default();
        let mut out = Vec::new();
        webm.begin(vec![7; 19], 312, &mut out).unwrap();
        let places = [Place::EndOfPage, Place::InPage, Place::EndOfPage, Place::EndOfFile];
        for (number, place) in (0..).zip(places) {
            let begin = number * PACKET;
            let end = if place == Place::EndOfFile { begin + PACKET / 2 } else { begin + PACKET };
            webm.add(Packet { data: vec![9; 10], begin, end, place }, &mut out).unwrap();
        }
        let ids: Vec<u32> = shape(&out).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, [EBML, SEGMENT, INFO, TRACKS, CLUSTER, CLUSTER, CLUSTER]);
        let second = [unsigned(TIMESTAMP, 20), within(SIMPLE_BLOCK, &block(0, KEYFRAME, &[9; 10]))].concat();
        let second = [second, within(SIMPLE_BLOCK, &block(20, KEYFRAME, &[9; 10]))].concat();
        assert!(out.windows(second.len()).any(|bytes| bytes == second), "times are relative to the cluster");
        let half_a_packet = signed(DISCARD_PADDING, 10_000_000);
        assert!(out.ends_with(&half_a_packet), "{:x?}", &out[out.len() - 20..]);
    }
}
