//! Sound that arrives while it is made: messages of bytes in, samples of every channel out.
//!
//! `live/samples.rs` reads samples without a header, `live/packets.rs` Opus without a container, and `live/pipe.rs` gives
//! everything else to `stream.rs`, which wants to read and not to be given.

mod converter;
mod header;
mod packets;
mod pipe;
mod samples;

use super::raw::{self, CHANNELS, RawFormat};
use super::stream::Channel;
use super::{mix_frames, sniff, tame};
use crate::error::{Error, Kind, Result};
use converter::Converter;
use header::{Header, HeaderReader};
use packets::Packets;
use pipe::Pipe;
use samples::Samples;

/// How many bytes at the start tell what the sound is, and how many tell that it has a header.
const HEAD: usize = 64;
const MAGIC: usize = 12;

/// The most samples that one message may decode to: a few bytes can stand for hours of silence.
const MOST_AT_ONCE: usize = 1 << 24;

/// How live sound is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveFormat {
    /// Samples without a header; messages may be cut anywhere. If they begin with the header of a WAV, FLAC, Ogg or WebM
    /// file after all, they are that file.
    Raw(RawFormat),
    /// One Opus packet a message, without a container.
    Opus {
        /// 8000, 12000, 16000, 24000 or 48000 hertz; what the decoder is asked for.
        sample_rate: u32,
        /// 1 or 2.
        channels: u16,
    },
    /// A file in one of the formats that [`super::Decoder`] knows and that can be read from its start to its end; messages
    /// may be cut anywhere.
    Container,
}

/// Decodes one live stream and brings it to one sample rate.
///
/// A container has a thread of its own, which ends with the decoder.
pub struct LiveDecoder {
    input: Input,
    output: Output,
}

/// What takes the bytes.
enum Input {
    /// Nothing is known yet but the first bytes, and what they are if they have no header.
    Head(Vec<u8>, Option<RawFormat>),
    /// The start of a WAV file.
    Header(HeaderReader),
    Samples(Samples),
    Packets(Packets),
    Pipe(Pipe),
    /// The stream has ended or has failed.
    Over,
}

/// A piece of sound as it was decoded.
struct Sound {
    sample_rate: u32,
    channels: usize,
    /// As many samples at a time as there are channels.
    samples: Vec<f32>,
}

impl LiveDecoder {
    /// A decoder at the start of a stream. `apart` gives every channel by itself; otherwise all are mixed with equal
    /// weight. What comes out has `sample_rate` hertz.
    ///
    /// # Errors
    /// `InvalidAudio` for a format that cannot be.
    pub fn new(format: LiveFormat, apart: bool, sample_rate: u32) -> Result<Self> {
        let mut output = Output::new(apart, sample_rate);
        let input = match format {
            LiveFormat::Raw(format) => {
                raw::check(format)?;
                output.begin(format.sample_rate, usize::from(format.channels))?;
                Input::Head(Vec::new(), Some(format))
            }
            LiveFormat::Opus { sample_rate, channels } => {
                let packets = Packets::new(sample_rate, channels)?;
                output.begin(sample_rate, usize::from(channels))?;
                Input::Packets(packets)
            }
            LiveFormat::Container => Input::Head(Vec::new(), None),
        };
        Ok(Self { input, output })
    }

    /// Takes the next message. Appends to `out` what is ready, channel by channel: `out[0]` are samples of the first, or
    /// of the mix; `out` grows to as many channels as there are. All that can be decoded is ready when this returns, but
    /// for what the converter of the rate holds: 2 to 4 ms of sound, up to 100 ms for rates that are not usual. Computes for
    /// about a hundredth of the time that the sound lasts: call it in a `step`, with a few kilobytes at a time.
    ///
    /// # Errors
    /// `InvalidAudio` for what cannot be decoded; the stream is then over, and whatever else comes is nothing.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Vec<f32>>) -> Result<()> {
        self.output.room = MOST_AT_ONCE;
        self.output.make_room(out);
        let input = std::mem::replace(&mut self.input, Input::Over);
        self.input = self.take(input, bytes, out)?;
        Ok(())
    }

    /// Ends the stream and appends the rest to `out`.
    ///
    /// # Errors
    /// As [`LiveDecoder::push`].
    pub fn finish(&mut self, out: &mut Vec<Vec<f32>>) -> Result<()> {
        self.output.room = MOST_AT_ONCE;
        self.output.make_room(out);
        let input = std::mem::replace(&mut self.input, Input::Over);
        self.end(input, out)?;
        self.output.finish(out);
        Ok(())
    }

    /// Gives `bytes` to `input`, and tells what takes the next.
    fn take(&mut self, input: Input, bytes: &[u8], out: &mut Vec<Vec<f32>>) -> Result<Input> {
        match input {
            Input::Head(mut head, format) => {
                head.extend_from_slice(bytes);
                match format {
                    Some(_) if head.len() < MAGIC => Ok(Input::Head(head, format)),
                    Some(format) if !raw::has_header(&head) => self.take(Input::Samples(format.into()), &head, out),
                    _ if head.len() < HEAD => Ok(Input::Head(head, None)),
                    _ => {
                        let input = self.begin(&head)?;
                        self.take(input, &head, out)
                    }
                }
            }
            Input::Header(mut reader) => match reader.push(bytes)? {
                Header::Incomplete => Ok(Input::Header(reader)),
                Header::Samples(samples, rest) => self.take(Input::Samples(samples), &rest, out),
                Header::Other(file) => self.take(Input::Pipe(Pipe::new(self.output.wanted())?), &file, out),
            },
            Input::Samples(mut samples) => {
                self.output.add(samples.push(bytes), out)?;
                Ok(Input::Samples(samples))
            }
            Input::Packets(mut packets) => {
                self.output.add(packets.push(bytes)?, out)?;
                Ok(Input::Packets(packets))
            }
            Input::Pipe(mut pipe) => {
                pipe.push(bytes, |sound| self.output.add(sound, out))?;
                Ok(Input::Pipe(pipe))
            }
            Input::Over => Ok(Input::Over),
        }
    }

    /// What reads a file that begins with `head`.
    fn begin(&self, head: &[u8]) -> Result<Input> {
        match sniff::not_audio(head) {
            Some(message) => Err(Error::new(Kind::InvalidAudio, message)),
            None if head.starts_with(b"caff") => {
                let message = "A CAF file cannot be decoded while it is sent: send WAV, FLAC, Ogg or WebM.";
                Err(Error::new(Kind::InvalidAudio, message))
            }
            None if header::is_wav(head) => Ok(Input::Header(HeaderReader::default())),
            None => Ok(Input::Pipe(Pipe::new(self.output.wanted())?)),
        }
    }

    fn end(&mut self, input: Input, out: &mut Vec<Vec<f32>>) -> Result<()> {
        match input {
            Input::Head(head, Some(format)) => self.output.add(Samples::from(format).push(&head), out),
            Input::Head(head, None) if head.is_empty() => Ok(()),
            Input::Head(head, None) => {
                let input = self.begin(&head)?;
                let input = self.take(input, &head, out)?;
                self.end(input, out)
            }
            Input::Header(_) => Err(Error::new(Kind::InvalidAudio, "The sound ends within the header of a WAV file.")),
            Input::Pipe(pipe) => pipe.finish(|sound| self.output.add(sound, out)),
            Input::Samples(_) | Input::Packets(_) | Input::Over => Ok(()),
        }
    }
}

/// Mixes the channels or keeps them apart, and resamples them.
struct Output {
    apart: bool,
    sample_rate: u32,
    /// The rate of what comes in; it may change, as it does between the parts of a chained Ogg file.
    from: u32,
    /// One for each channel that goes out; none before the first sound.
    converters: Vec<Converter>,
    /// Samples that may still come of the message.
    room: usize,
}

impl Output {
    fn new(apart: bool, sample_rate: u32) -> Self {
        Self { apart, sample_rate, from: 0, converters: Vec::new(), room: MOST_AT_ONCE }
    }

    /// What a codec is to give.
    fn wanted(&self) -> Channel {
        if self.apart { Channel::Each } else { Channel::Mix }
    }

    /// Gets ready for sound of this rate. The first decides how many channels go out.
    fn begin(&mut self, from: u32, channels: usize) -> Result<()> {
        let channels = match (self.converters.len(), self.apart) {
            (0, true) => channels,
            (0, false) => 1,
            (known, _) => known,
        };
        if channels > usize::from(*CHANNELS.end()) {
            let message = format!("{channels} channels are too many to listen to each: at most {}.", CHANNELS.end());
            return Err(Error::new(Kind::InvalidAudio, message));
        }
        self.converters = (0..channels).map(|_| Converter::new(from, self.sample_rate)).collect::<Result<_>>()?;
        self.from = from;
        Ok(())
    }

    fn add(&mut self, mut sound: Sound, out: &mut Vec<Vec<f32>>) -> Result<()> {
        if sound.samples.is_empty() {
            return Ok(());
        }
        if sound.sample_rate != self.from {
            self.finish(out);
            self.begin(sound.sample_rate, sound.channels)?;
        }
        self.make_room(out);
        self.room = self.room.checked_sub(sound.samples.len()).ok_or_else(|| {
            Error::new(Kind::InvalidAudio, "So few bytes cannot hold so much sound: send hours of silence as a file.")
        })?;
        sound.samples.iter_mut().for_each(|sample| *sample = tame(*sample));
        if self.apart {
            self.add_each(&sound, out);
        } else {
            let mut mix = Vec::new();
            mix_frames(&sound.samples, sound.channels, &mut mix);
            self.converters[0].push(&mix, &mut out[0]);
        }
        Ok(())
    }

    /// Adds every channel to its own; one that is not in this part of the sound is silent there.
    fn add_each(&mut self, sound: &Sound, out: &mut [Vec<f32>]) {
        let frames = sound.samples.len() / sound.channels;
        for (channel, (converter, out)) in self.converters.iter_mut().zip(out).enumerate() {
            let plane: Vec<f32> = match channel < sound.channels {
                true => sound.samples.iter().skip(channel).step_by(sound.channels).copied().collect(),
                false => vec![0.0; frames],
            };
            converter.push(&plane, out);
        }
    }

    /// Makes `out` as many channels as there are, as far as they are known.
    fn make_room(&self, out: &mut Vec<Vec<f32>>) {
        let channels = self.converters.len().max(1);
        if out.len() < channels {
            out.resize(channels, Vec::new());
        }
    }

    /// Gives what the converters hold.
    fn finish(&mut self, out: &mut Vec<Vec<f32>>) {
        self.make_room(out);
        for (converter, out) in self.converters.iter_mut().zip(out) {
            converter.finish(out);
        }
    }
}

#[cfg(test)]
mod tests;
