//! Opus, and what is common to the files that it comes in. The only file that encodes with libopus.
//!
//! A page is what a player can play at once, so the first one holds a single packet and later ones 200 ms.

use super::{AudioFormat, Encoder, Frames, unsupported_rate};
use crate::error::{Error, Result};
use opus::{Application, Bitrate, Channels, Signal};

const BITS_PER_SECOND: u32 = 32_000;

/// More makes packets that are too large.
const MOST_BITS_PER_SECOND: u32 = 500_000;

/// Times in Opus files count samples at this rate, whatever the rate of the sound.
pub(super) const CLOCK: u64 = 48_000;

/// The length of a packet on that clock: 20 ms.
pub(super) const PACKET: u64 = CLOCK / 50;

/// The most packets on a page.
const PACKETS_PER_PAGE: u32 = 10;

/// The largest packet there is, in bytes.
const LARGEST_PACKET: usize = 1_275;

/// The kind of file that packets are written to. Everything is written in order and at once.
pub(super) trait Container: Default + Send {
    /// Appends what stands in front of the sound. The stream is described by `identification` (RFC 7845, section 5.1),
    /// and the decoder drops `pre_skip` of it, on the clock.
    fn begin(&mut self, identification: Vec<u8>, pre_skip: u64, out: &mut Vec<u8>) -> Result<()>;

    /// Takes the next packet, and appends the page that ends with it.
    fn add(&mut self, packet: Packet, out: &mut Vec<u8>) -> Result<()>;
}

/// A piece of the sound.
pub(super) struct Packet {
    /// What the decoder gets.
    pub data: Vec<u8>,
    /// Where it begins and ends, on the clock. All but the last are [`PACKET`] long.
    pub begin: u64,
    pub end: u64,
    pub place: Place,
}

/// Where a packet stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// More of the page follows.
    InPage,
    /// The last of its page.
    EndOfPage,
    /// The last of all.
    EndOfFile,
}

/// A file with Opus sound.
pub(super) struct OpusFile<C> {
    frames: Frames<f32>,
    pages: Pages<C>,
    /// Samples taken, and the rate they have.
    taken: u64,
    sample_rate: u64,
}

impl<C: Container> OpusFile<C> {
    /// `format` is the one to name in errors.
    pub(super) fn new(format: AudioFormat, sample_rate: u32, bit_rate: Option<u32>) -> Result<Self> {
        if ![8_000, 12_000, 16_000, 24_000, 48_000].contains(&sample_rate) {
            return Err(unsupported_rate(format, sample_rate));
        }
        let (opus, lookahead) = start(sample_rate, bit_rate.unwrap_or(BITS_PER_SECOND)).map_err(failed)?;
        let pre_skip = u64::from(lookahead) * CLOCK / u64::from(sample_rate);
        let identification = Some(identification(pre_skip as u16, sample_rate));
        let container = C::default();
        Ok(Self {
            frames: Frames::new(sample_rate as usize / 50),
            pages: Pages { opus, container, identification, pre_skip, held: None, waiting: 0, written: 0 },
            taken: 0,
            sample_rate: u64::from(sample_rate),
        })
    }
}

impl<C: Container> Encoder for OpusFile<C> {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        self.pages.begin(out)?;
        self.taken += samples.len() as u64;
        self.frames.push(samples.iter().map(|sample| tame(*sample)), |frame| self.pages.add(frame, out))
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.pages.begin(out)?;
        // The end is cut to the sample: the last position is the length of the sound behind what is dropped in front.
        let end = self.pages.pre_skip + self.taken * CLOCK / self.sample_rate;
        let mut frame = self.frames.rest();
        while !self.pages.reaches(end) {
            frame.resize(self.sample_rate as usize / 50, 0.0);
            self.pages.add(&frame, out)?;
            frame.clear();
        }
        self.pages.write_last(end, out)
    }
}

/// Frames of sound in, pages of packets out.
struct Pages<C> {
    opus: opus::Encoder,
    container: C,
    /// What describes the stream; gone once it is written.
    identification: Option<Vec<u8>>,
    /// How much the decoder drops at the start, on the clock.
    pre_skip: u64,
    /// The last packet is marked, and which one is the last shows late.
    held: Option<Vec<u8>>,
    /// Packets on the page that is being filled.
    waiting: u32,
    /// The end of what is written, on the clock.
    written: u64,
}

impl<C: Container> Pages<C> {
    fn begin(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match self.identification.take() {
            Some(identification) => self.container.begin(identification, self.pre_skip, out),
            None => Ok(()),
        }
    }

    /// Encodes one frame, and writes the packet before it.
    fn add(&mut self, frame: &[f32], out: &mut Vec<u8>) -> Result<()> {
        let packet = self.opus.encode_vec_float(frame, LARGEST_PACKET).map_err(failed)?;
        let Some(previous) = self.held.replace(packet) else { return Ok(()) };
        self.waiting += 1;
        let place = if self.waiting == PACKETS_PER_PAGE || self.written == 0 {
            self.waiting = 0;
            Place::EndOfPage
        } else {
            Place::InPage
        };
        self.write(previous, self.written + PACKET, place, out)
    }

    /// Whether there is sound up to `end`.
    fn reaches(&self, end: u64) -> bool {
        self.held.is_some() && self.written + PACKET >= end
    }

    /// Writes the last packet, of which only what is before `end` counts.
    fn write_last(&mut self, end: u64, out: &mut Vec<u8>) -> Result<()> {
        match self.held.take() {
            Some(last) => self.write(last, end, Place::EndOfFile, out),
            None => Ok(()),
        }
    }

    fn write(&mut self, data: Vec<u8>, end: u64, place: Place, out: &mut Vec<u8>) -> Result<()> {
        let begin = std::mem::replace(&mut self.written, end);
        self.container.add(Packet { data, begin, end, place }, out)
    }
}

/// An encoder for speech, and its delay in samples.
fn start(sample_rate: u32, bit_rate: u32) -> opus::Result<(opus::Encoder, u32)> {
    let mut opus = opus::Encoder::new(sample_rate, Channels::Mono, Application::Audio)?;
    opus.set_bitrate(Bitrate::Bits(bit_rate.min(MOST_BITS_PER_SECOND) as i32))?;
    opus.set_signal(Signal::Voice)?;
    // Half of the default effort: 32 kbit/s leaves it nothing to gain on speech.
    opus.set_complexity(5)?;
    let lookahead = opus.get_lookahead()?.unsigned_abs();
    Ok((opus, lookahead))
}

/// The identification header, RFC 7845 section 5.1.
fn identification(pre_skip: u16, sample_rate: u32) -> Vec<u8> {
    let mut header = b"OpusHead\x01\x01".to_vec(); // version, channels
    header.extend(pre_skip.to_le_bytes());
    header.extend(sample_rate.to_le_bytes());
    header.extend([0, 0, 0]); // gain, channel mapping
    header
}

/// A sample in `[-1, 1]`; what is not a number is silence.
fn tame(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

fn failed(error: opus::Error) -> Error {
    Error::internal("The Opus encoder failed.", error)
}
