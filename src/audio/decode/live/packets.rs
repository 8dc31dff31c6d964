//! Opus packets without a container, one a message.

use super::Sound;
use crate::error::{Error, Kind, Result};
use opus::{Channels, Decoder};

/// How many packets in a row may be damaged.
const MOST_DAMAGED: u32 = 100;

/// The most packets of the shortest length, 2.5 ms, that fit into the longest, 120 ms.
const LONGEST: usize = 48;

/// Makes sound of packets.
pub(super) struct Packets {
    decoder: Decoder,
    sample_rate: u32,
    channels: usize,
    /// How many samples of each channel the last packet had: one that is lost is taken to be as long.
    last: usize,
    /// Packets in a row that could not be decoded.
    damaged: u32,
}

impl Packets {
    /// # Errors
    /// `InvalidAudio` for what Opus does not have.
    pub(super) fn new(sample_rate: u32, channels: u16) -> Result<Self> {
        if ![8_000, 12_000, 16_000, 24_000, 48_000].contains(&sample_rate) {
            let message = format!("Opus has no sample rate of {sample_rate} Hz: 8000, 12000, 16000, 24000 or 48000.");
            return Err(Error::new(Kind::InvalidAudio, message));
        }
        let layout = match channels {
            1 => Channels::Mono,
            2 => Channels::Stereo,
            _ => return Err(Error::new(Kind::InvalidAudio, "Opus packets have 1 or 2 channels.")),
        };
        let decoder = Decoder::new(sample_rate, layout)
            .map_err(|error| Error::internal("The Opus decoder could not be set up.", error))?;
        Ok(Self { decoder, sample_rate, channels: usize::from(channels), last: 0, damaged: 0 })
    }

    /// The sound of `packet`. For an empty one, which stands for one that was lost, and for a damaged one it is what the
    /// sound before makes likely.
    ///
    /// # Errors
    /// `InvalidAudio` if nothing has been a packet for long.
    pub(super) fn push(&mut self, packet: &[u8]) -> Result<Sound> {
        let longest = self.sample_rate as usize / 400 * LONGEST;
        let mut samples = vec![0.0; longest * self.channels];
        let decoded = match packet {
            [] => None,
            _ => self.decoder.decode_float(packet, &mut samples, false).ok(),
        };
        match decoded {
            Some(frames) => (self.last, self.damaged) = (frames, 0),
            None if packet.is_empty() => {}
            None => self.damaged += 1,
        }
        if self.damaged == MOST_DAMAGED {
            let message = format!("{MOST_DAMAGED} messages in a row were no Opus packets. Send one packet a message.");
            return Err(Error::new(Kind::InvalidAudio, message));
        }
        let frames = decoded.unwrap_or_else(|| self.conceal(&mut samples));
        samples.truncate(frames * self.channels);
        Ok(Sound { sample_rate: self.sample_rate, channels: self.channels, samples })
    }

    /// Fills in for a packet of which nothing is known, and tells how long it is.
    fn conceal(&mut self, samples: &mut [f32]) -> usize {
        let samples = &mut samples[..self.last * self.channels];
        match samples {
            [] => 0,
            _ => self.decoder.decode_float(&[], samples, false).unwrap_or(0),
        }
    }
}
