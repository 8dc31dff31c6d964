//! Packets out of a container, and sound out of packets. The only file that knows symphonia.

use super::aac::Aac;
use super::gaps::Gaps;
use super::{Source, unreadable};
use crate::error::{Error, Kind, Result};
use std::io::{self, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use symphonia::core::audio::{Audio, Channels, GenericAudioBufferRef, layouts};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_OPUS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::errors::Error as Failure;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

/// What to say about a file that is none of these.
const FORMATS: &str = "Send WAV, MP3, FLAC, OGG (Vorbis, Opus or FLAC), WebM or Matroska (Opus or Vorbis), M4A or MP4 \
                       (AAC, ALAC or Opus), AAC, AIFF or CAF.";

/// How many packets in a row may be damaged before the rest of the file is given up.
const MOST_DAMAGED: u32 = 500;

/// Every codec there is.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

/// Which of the channels are listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// All of them, mixed with equal weight: one sample each.
    Mix,
    /// Only this one, counted from 0.
    One(u32),
    /// All of them, side by side: as many samples each as there are channels.
    Each,
}

/// The sound track of a file, packet by packet.
pub(super) struct Stream {
    container: Box<dyn FormatReader>,
    track: u32,
    codec: Codec,
    channel: Channel,
    /// How many channels there are; known with the first packet.
    channels: u32,
    gaps: Gaps,
    /// Samples still to drop: what an encoder put in front. Known with the first packet, when the rate is.
    skip: Option<usize>,
    /// Packets in a row that could not be decoded.
    damaged: u32,
}

/// Makes sound of packets.
enum Codec {
    Symphonia {
        decoder: Box<dyn AudioDecoder>,
        /// Room for samples that are not floats.
        planes: Vec<Vec<f32>>,
        /// How many channels there are before the decoder itself mixes them, where it does.
        mixed: u32,
    },
    Aac(Box<Aac>),
}

/// What a packet said about the sound in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Samples per second of each channel.
    pub sample_rate: u32,
    /// How many channels there are: at least 1.
    pub channels: u32,
}

impl Codec {
    /// A codec for a track with these parameters, if there is one, that can give `channel`.
    fn new(parameters: &AudioCodecParameters, channel: Channel) -> Option<Self> {
        let adapted = adapt(parameters.clone(), channel);
        match caught(|| CODECS.make_audio_decoder(&adapted, &AudioDecoderOptions::default()))? {
            Ok(decoder) => {
                let is_mixed = adapted.channels != parameters.channels;
                let mixed = parameters.channels.as_ref().filter(|_| is_mixed).map_or(0, Channels::count) as u32;
                Some(Self::Symphonia { decoder, planes: Vec::new(), mixed })
            }
            Err(_) if parameters.codec == CODEC_ID_AAC => {
                let config = parameters.extra_data.as_deref()?;
                caught(|| Aac::new(config))?.map(|aac| Self::Aac(Box::new(aac)))
            }
            Err(_) => None,
        }
    }

    /// Appends `channel` of the sound in `packet` to `out`; `None` if it is damaged.
    fn decode(&mut self, packet: &Packet, channel: Channel, out: &mut Vec<f32>) -> Option<Shape> {
        match self {
            Self::Symphonia { decoder, planes, mixed } => {
                let sound = decoder.decode(packet).ok()?;
                mix(&sound, planes, channel, out);
                let channels = (sound.num_planes() as u32).max(*mixed).max(1);
                Some(Shape { sample_rate: sound.spec().rate(), channels })
            }
            Self::Aac(aac) => {
                let (sample_rate, channels) = aac.decode(&packet.data, channel, out)?;
                Some(Shape { sample_rate, channels })
            }
        }
    }
}

impl Stream {
    /// Finds the container and its first sound track, of which only `channel` is wanted.
    ///
    /// # Errors
    /// `InvalidAudio` if there is none that can be decoded; `Internal` if `source` cannot be read.
    pub(super) fn open(source: Box<dyn Source>, length: u64, gaps: Gaps, channel: Channel) -> Result<Self> {
        let source = Arc::new(Mutex::new(source));
        let container = probe(Input { source: Arc::clone(&source), length: Some(length) }).or_else(|failure| {
            // A file that was cut off may lead to places behind its end. Read as a stream, it does not.
            source.lock().map_or(Ok(()), |mut source| source.rewind()).map_err(unreadable)?;
            probe(Input { source, length: None }).map_err(|_| unknown_container(failure))
        })?;
        Self::new(container, gaps, channel)
    }

    /// As [`Stream::open`], of a source that can only be read from its start to its end. What is in front of the sound is
    /// told by [`Stream::set_gaps`].
    ///
    /// # Errors
    /// As [`Stream::open`].
    pub(super) fn open_pipe(source: Box<dyn Source>, channel: Channel) -> Result<Self> {
        let container =
            probe(Input { source: Arc::new(Mutex::new(source)), length: None }).map_err(unknown_container)?;
        Self::new(container, Gaps::default(), channel)
    }

    fn new(container: Box<dyn FormatReader>, gaps: Gaps, channel: Channel) -> Result<Self> {
        let (track, codec) = choose_track(&*container, channel)?;
        Ok(Self { container, track, codec, channel, channels: 0, gaps, skip: None, damaged: 0 })
    }

    /// Says what is to be dropped, before anything is decoded.
    pub(super) fn set_gaps(&mut self, gaps: Gaps) {
        self.gaps = gaps;
    }

    /// Whether so much of the sound is damaged that the rest is not looked at.
    pub(super) fn is_given_up(&self) -> bool {
        self.damaged >= MOST_DAMAGED
    }

    /// How many channels the sound has: 0 until there was a packet, and from then on what the first one said.
    pub(super) fn channels(&self) -> u32 {
        self.channels
    }

    /// The silence that was added behind the sound, in samples at `sample_rate` hertz.
    pub(super) fn padding(&self, sample_rate: u32) -> usize {
        self.gaps.behind(self.track, sample_rate)
    }

    /// Decodes packets until there is sound in one, appends it to `out`, and tells what it is like; `None` at the end.
    /// Damaged packets are left out.
    ///
    /// # Errors
    /// `Internal` if the source cannot be read.
    pub(super) fn decode(&mut self, out: &mut Vec<f32>) -> Result<Option<Shape>> {
        while let Some(packet) = self.next_packet()? {
            let start = out.len();
            let Some(Some(shape)) = caught(|| self.codec.decode(&packet, self.channel, out)) else {
                out.truncate(start);
                self.damaged += 1;
                continue;
            };
            self.damaged = 0;
            let width = if self.channel == Channel::Each { shape.channels as usize } else { 1 };
            let skip = self
                .skip
                .get_or_insert_with(|| self.gaps.in_front(self.track, shape.sample_rate).saturating_mul(width));
            let dropped = (*skip).min(out.len() - start);
            *skip -= dropped;
            out.drain(start..start + dropped);
            if out.len() > start {
                if self.channels == 0 {
                    self.channels = shape.channels;
                }
                return Ok(Some(shape));
            }
        }
        Ok(None)
    }

    /// The next packet of the track.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        while self.damaged < MOST_DAMAGED {
            match caught(|| self.container.next_packet()).unwrap_or(Ok(None)) {
                Ok(Some(packet)) if packet.track_id == self.track => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => break,
                // A file that was cut off ends where it was cut off.
                Err(Failure::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(Failure::IoError(error)) => return Err(unreadable(error)),
                // Another stream follows in the same file.
                Err(Failure::ResetRequired) => match choose_track(&*self.container, self.channel) {
                    Ok((track, codec)) => (self.track, self.codec, self.skip) = (track, codec, None),
                    Err(_) => break,
                },
                Err(_) => self.damaged += 1,
            }
        }
        Ok(None)
    }
}

/// Finds out which container `input` is.
fn probe(input: Input) -> Result<Box<dyn FormatReader>, Failure> {
    let stream = MediaSourceStream::new(Box::new(input), Default::default());
    let probe = symphonia::default::get_probe();
    caught(|| probe.probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default()))
        .unwrap_or(Err(Failure::DecodeError("the reader of the container panicked")))
}

/// A source as symphonia wants it; without a length it is a stream in which it does not jump.
struct Input {
    source: Arc<Mutex<Box<dyn Source>>>,
    length: Option<u64>,
}

impl Input {
    fn source(&self) -> io::Result<MutexGuard<'_, Box<dyn Source>>> {
        self.source.lock().map_err(|_| io::Error::other("an earlier read panicked"))
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source()?.read(buffer)
    }
}

impl Seek for Input {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.source()?.seek(position)
    }
}

impl MediaSource for Input {
    fn is_seekable(&self) -> bool {
        self.length.is_some()
    }

    fn byte_len(&self) -> Option<u64> {
        self.length
    }
}

/// The first sound track that can be decoded, the default one before all others.
fn choose_track(container: &dyn FormatReader, channel: Channel) -> Result<(u32, Codec)> {
    let is_sound = |track: &&Track| track.codec_params.as_ref().is_some_and(|codec| codec.is_audio());
    let default = container.default_track(TrackType::Audio);
    let mut has_sound = false;
    for track in default.into_iter().chain(container.tracks().iter().filter(is_sound)) {
        has_sound = true;
        let parameters = track.codec_params.as_ref().and_then(|codec| codec.audio());
        if let Some(codec) = parameters.and_then(|parameters| Codec::new(parameters, channel)) {
            return Ok((track.id, codec));
        }
    }
    let message = match has_sound {
        true => format!("The sound in the file is in a format that is not supported. {FORMATS}"),
        false => "There is no sound in the file: it has no audio track.".to_owned(),
    };
    Err(Error::new(Kind::InvalidAudio, message))
}

/// The same codec, such that its decoder takes it and gives what is wanted.
///
/// Opus is decoded to mono at once where the mix is wanted, and [`Gaps`] drop what is in front: the decoder would look at
/// the first packet only, and does not know of edit lists. Of HE-AAC the core is decoded, which holds all that matters in
/// speech.
fn adapt(mut codec: AudioCodecParameters, channel: Channel) -> AudioCodecParameters {
    if codec.codec == CODEC_ID_OPUS {
        codec.extra_data = None;
        if channel == Channel::Mix && codec.channels.as_ref().is_some_and(|channels| channels.count() <= 2) {
            codec.with_channels(layouts::CHANNEL_LAYOUT_MONO);
        }
    } else if codec.codec == CODEC_ID_AAC
        && let Some(core) = codec.extra_data.as_deref().and_then(aac_core)
    {
        codec.with_extra_data(Box::new(core));
    }
    codec
}

/// The configuration of the AAC-LC core of an HE-AAC stream that has this one, ISO 14496-3 section 1.6.2.1; `None` for
/// anything else.
fn aac_core(config: &[u8]) -> Option<[u8; 2]> {
    const LOW_COMPLEXITY: u16 = 2;
    const SBR: u16 = 5;
    const PARAMETRIC_STEREO: u16 = 29;
    // Five bits of object type, four of the rate of the core, four of channels, four of the rate with SBR.
    let bits = u16::from_be_bytes([*config.first()?, *config.get(1)?]);
    let (object, rate, channels) = (bits >> 11, bits >> 7 & 15, bits >> 3 & 15);
    let is_usual = (object == SBR || object == PARAMETRIC_STEREO) && rate < 13;
    is_usual.then(|| (LOW_COMPLEXITY << 11 | rate << 7 | channels << 3).to_be_bytes())
}

/// Appends what is wanted of `sound` to `out`.
fn mix(sound: &GenericAudioBufferRef<'_>, planes: &mut Vec<Vec<f32>>, channel: Channel, out: &mut Vec<f32>) {
    if let GenericAudioBufferRef::F32(sound) = sound {
        let planes: Vec<&[f32]> = (0..sound.num_planes()).filter_map(|plane| sound.plane(plane)).collect();
        append(&planes, channel, out);
    } else {
        sound.copy_to_vecs_planar(planes);
        append(&planes.iter().map(Vec::as_slice).collect::<Vec<_>>(), channel, out);
    }
}

fn append(planes: &[&[f32]], channel: Channel, out: &mut Vec<f32>) {
    let length = planes.first().map_or(0, |plane| plane.len());
    match channel {
        Channel::Mix => mix_planes(planes, out),
        Channel::One(channel) => match planes.get(channel as usize) {
            Some(plane) => out.extend_from_slice(plane),
            // A later part of the file with fewer channels: this one is silent there, and the times stay right.
            None => out.resize(out.len() + length, 0.0),
        },
        Channel::Each => out.extend((0..length).flat_map(|at| planes.iter().map(move |plane| plane[at]))),
    }
}

fn mix_planes(planes: &[&[f32]], out: &mut Vec<f32>) {
    match planes {
        [] => {}
        [mono] => out.extend_from_slice(mono),
        [left, right] => out.extend(left.iter().zip(*right).map(|(left, right)| (left + right) * 0.5)),
        [first, others @ ..] => {
            let share = 1.0 / planes.len() as f32;
            let start = out.len();
            out.extend_from_slice(first);
            for plane in others {
                out[start..].iter_mut().zip(*plane).for_each(|(sum, sample)| *sum += sample);
            }
            out[start..].iter_mut().for_each(|sum| *sum *= share);
        }
    }
}

/// What `work` gives, or `None` if it panics: some damaged files make a codec or a container overflow.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

fn unknown_container(failure: Failure) -> Error {
    match failure {
        Failure::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => unreadable(error),
        Failure::Unsupported(_) => {
            Error::new(Kind::InvalidAudio, format!("The file is not in a format that is supported. {FORMATS}"))
        }
        failure => {
            let message = format!("The start of the file is damaged or cut off. {FORMATS}");
            Error::new(Kind::InvalidAudio, message).with_source(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_he_aac_the_core_is_decoded() {
        // 24 kHz with SBR to 48 kHz, stereo; the same with parametric stereo from mono; AAC-LC at 44.1 kHz.
        assert_eq!(aac_core(&[0x2b, 0x11, 0x88, 0x00]), Some([0x13, 0x10]));
        assert_eq!(aac_core(&[0xeb, 0x09, 0x88, 0x00]), Some([0x13, 0x08]));
        assert_eq!(aac_core(&[0x12, 0x10]), None);
        assert_eq!(aac_core(&[]), None);
    }
}
