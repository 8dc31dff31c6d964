//! Opus in Ogg. The only file that encodes with libopus and writes Ogg pages.
//!
//! A page is what a player can play at once, so the first one holds a single packet and later ones 200 ms.

use super::{AudioFormat, Encoder, Frames, unsupported_rate};
use crate::error::{Error, Result};
use ogg::{PacketWriteEndInfo, PacketWriter};
use opus::{Application, Bitrate, Channels, Signal};

const BITS_PER_SECOND: u32 = 32_000;

/// More makes packets that are too large.
const MOST_BITS_PER_SECOND: u32 = 500_000;

/// Times in Ogg Opus count samples at this rate, whatever the rate of the sound.
const CLOCK: u64 = 48_000;

/// The length of a packet on that clock: 20 ms.
const PACKET: u64 = CLOCK / 50;

/// The most packets on a page.
const PACKETS_PER_PAGE: u32 = 10;

/// The largest packet there is, in bytes.
const LARGEST_PACKET: usize = 1_275;

/// Pages of different streams are told apart by this; there is only one stream.
const SERIAL: u32 = 1;

/// An Ogg Opus file.
pub(super) struct OggOpus {
    frames: Frames<f32>,
    pages: Pages,
    /// Samples taken, and the rate they have.
    taken: u64,
    sample_rate: u64,
    /// How much the decoder drops at the start, on the clock.
    pre_skip: u64,
}

impl OggOpus {
    pub(super) fn new(sample_rate: u32, bit_rate: Option<u32>) -> Result<Self> {
        if ![8_000, 12_000, 16_000, 24_000, 48_000].contains(&sample_rate) {
            return Err(unsupported_rate(AudioFormat::Opus, sample_rate));
        }
        let (opus, lookahead) = start(sample_rate, bit_rate.unwrap_or(BITS_PER_SECOND)).map_err(failed)?;
        let pre_skip = u64::from(lookahead) * CLOCK / u64::from(sample_rate);
        let headers = Some([identification(pre_skip as u16, sample_rate), comment()]);
        let writer = PacketWriter::new(Vec::new());
        Ok(Self {
            frames: Frames::new(sample_rate as usize / 50),
            pages: Pages { opus, writer, headers, held: None, waiting: 0, written: 0 },
            taken: 0,
            sample_rate: u64::from(sample_rate),
            pre_skip,
        })
    }
}

impl Encoder for OggOpus {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        self.pages.write_headers()?;
        self.taken += samples.len() as u64;
        self.frames.push(samples.iter().map(|sample| tame(*sample)), |frame| self.pages.add(frame))?;
        out.append(self.pages.writer.inner_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.pages.write_headers()?;
        // The end is cut to the sample: the last position is the length of the sound behind what is dropped in front.
        let end = self.pre_skip + self.taken * CLOCK / self.sample_rate;
        let mut frame = self.frames.rest();
        while !self.pages.reaches(end) {
            frame.resize(self.sample_rate as usize / 50, 0.0);
            self.pages.add(&frame)?;
            frame.clear();
        }
        self.pages.write_last(end)?;
        out.append(self.pages.writer.inner_mut());
        Ok(())
    }
}

/// Frames of sound in, pages of packets out.
struct Pages {
    opus: opus::Encoder,
    writer: PacketWriter<'static, Vec<u8>>,
    /// Two packets in front of the sound; gone once they are written.
    headers: Option<[Vec<u8>; 2]>,
    /// The last packet is marked, and which one is the last shows late.
    held: Option<Vec<u8>>,
    /// Packets on the page that is being filled.
    waiting: u32,
    /// The end of what is written, on the clock.
    written: u64,
}

impl Pages {
    fn write_headers(&mut self) -> Result<()> {
        for header in self.headers.take().into_iter().flatten() {
            self.write(header, PacketWriteEndInfo::EndPage, 0)?;
        }
        Ok(())
    }

    /// Encodes one frame, and writes the packet before it.
    fn add(&mut self, frame: &[f32]) -> Result<()> {
        let packet = self.opus.encode_vec_float(frame, LARGEST_PACKET).map_err(failed)?;
        let Some(previous) = self.held.replace(packet) else { return Ok(()) };
        self.written += PACKET;
        self.waiting += 1;
        let end = if self.waiting == PACKETS_PER_PAGE || self.written == PACKET {
            self.waiting = 0;
            PacketWriteEndInfo::EndPage
        } else {
            PacketWriteEndInfo::NormalPacket
        };
        self.write(previous, end, self.written)
    }

    /// Whether there is sound up to `end`.
    fn reaches(&self, end: u64) -> bool {
        self.held.is_some() && self.written + PACKET >= end
    }

    /// Writes the last packet, of which only what is before `end` counts.
    fn write_last(&mut self, end: u64) -> Result<()> {
        match self.held.take() {
            Some(last) => self.write(last, PacketWriteEndInfo::EndStream, end),
            None => Ok(()),
        }
    }

    fn write(&mut self, packet: Vec<u8>, end: PacketWriteEndInfo, position: u64) -> Result<()> {
        self.writer
            .write_packet(packet, SERIAL, end, position)
            .map_err(|error| Error::internal("The Ogg page could not be written.", error))
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

/// The comment header, RFC 7845 section 5.2.
fn comment() -> Vec<u8> {
    let vendor = concat!("mynah ", env!("CARGO_PKG_VERSION"));
    let mut header = b"OpusTags".to_vec();
    header.extend((vendor.len() as u32).to_le_bytes());
    header.extend(vendor.as_bytes());
    header.extend(0_u32.to_le_bytes());
    header
}

/// A sample in `[-1, 1]`; what is not a number is silence.
fn tame(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

fn failed(error: opus::Error) -> Error {
    Error::internal("The Opus encoder failed.", error)
}
