//! Packets out of a container, and sound out of packets. The only file that knows symphonia.

use super::gaps::Gaps;
use super::{Source, unreadable};
use crate::error::{Error, Kind, Result};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::LazyLock;
use symphonia::core::audio::{Audio, GenericAudioBufferRef, layouts};
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
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

/// The sound track of a file, packet by packet.
pub(super) struct Stream {
    container: Box<dyn FormatReader>,
    track: u32,
    decoder: Box<dyn AudioDecoder>,
    gaps: Gaps,
    /// Samples still to drop: what an encoder put in front. Known with the first packet, when the rate is.
    skip: Option<usize>,
    /// Packets in a row that could not be decoded.
    damaged: u32,
    /// Room for samples that are not floats.
    planes: Vec<Vec<f32>>,
}

impl Stream {
    /// Finds the container and its first sound track.
    ///
    /// # Errors
    /// `InvalidAudio` if there is none that can be decoded; `Internal` if `source` cannot be read.
    pub(super) fn open(source: Box<dyn Source>, length: u64, gaps: Gaps) -> Result<Self> {
        let stream = MediaSourceStream::new(Box::new(Input { source, length }), Default::default());
        let container = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(unknown_container)?;
        let (track, decoder) = choose_track(&*container)?;
        Ok(Self { container, track, decoder, gaps, skip: None, damaged: 0, planes: Vec::new() })
    }

    /// The silence that was added behind the sound, in samples at `sample_rate` hertz.
    pub(super) fn padding(&self, sample_rate: u32) -> usize {
        self.gaps.behind(self.track, sample_rate)
    }

    /// Decodes packets until there is sound in one, appends it to `out` as mono, and tells its sample rate; `None` at
    /// the end. Damaged packets are left out.
    ///
    /// # Errors
    /// `Internal` if the source cannot be read.
    pub(super) fn decode(&mut self, out: &mut Vec<f32>) -> Result<Option<u32>> {
        while let Some(packet) = self.next_packet()? {
            let Ok(sound) = self.decoder.decode(&packet) else {
                self.damaged += 1;
                continue;
            };
            self.damaged = 0;
            let rate = sound.spec().rate();
            let skip = self.skip.get_or_insert_with(|| self.gaps.in_front(self.track, rate));
            let dropped = (*skip).min(sound.frames());
            *skip -= dropped;
            let start = out.len();
            mix(&sound, &mut self.planes, out);
            out.drain(start..start + dropped);
            if out.len() > start {
                return Ok(Some(rate));
            }
        }
        Ok(None)
    }

    /// The next packet of the track.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        while self.damaged < MOST_DAMAGED {
            match self.container.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => break,
                // A file that was cut off ends where it was cut off.
                Err(Failure::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(Failure::IoError(error)) => return Err(unreadable(error)),
                // Another stream follows in the same file.
                Err(Failure::ResetRequired) => match choose_track(&*self.container) {
                    Ok((track, decoder)) => (self.track, self.decoder, self.skip) = (track, decoder, None),
                    Err(_) => break,
                },
                Err(_) => self.damaged += 1,
            }
        }
        Ok(None)
    }
}

/// A source with its length, as symphonia wants it.
struct Input {
    source: Box<dyn Source>,
    length: u64,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source.read(buffer)
    }
}

impl Seek for Input {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.source.seek(position)
    }
}

impl MediaSource for Input {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// The first sound track that can be decoded, the default one before all others.
fn choose_track(container: &dyn FormatReader) -> Result<(u32, Box<dyn AudioDecoder>)> {
    let is_sound = |track: &&Track| track.codec_params.as_ref().is_some_and(|codec| codec.is_audio());
    let default = container.default_track(TrackType::Audio);
    let tracks = default.into_iter().chain(container.tracks().iter().filter(is_sound));
    let mut has_sound = false;
    for track in tracks {
        has_sound = true;
        let Some(codec) = track.codec_params.as_ref().and_then(|codec| codec.audio()) else { continue };
        if let Ok(decoder) = CODECS.make_audio_decoder(&adapt(codec.clone()), &AudioDecoderOptions::default()) {
            return Ok((track.id, decoder));
        }
    }
    let message = match has_sound {
        true => format!("The sound in the file is in a format that is not supported. {FORMATS}"),
        false => "There is no sound in the file: it has no audio track.".to_owned(),
    };
    Err(Error::new(Kind::InvalidAudio, message))
}

/// Has Opus decoded to mono at once, and leaves it to [`Gaps`] what to drop in front: the decoder looks at the first
/// packet only, and does not know of edit lists.
fn adapt(mut codec: AudioCodecParameters) -> AudioCodecParameters {
    let is_stereo = codec.channels.as_ref().is_some_and(|channels| channels.count() <= 2);
    if codec.codec == CODEC_ID_OPUS {
        codec.extra_data = None;
        if is_stereo {
            codec.with_channels(layouts::CHANNEL_LAYOUT_MONO);
        }
    }
    codec
}

/// Appends the mean of all channels to `out`.
fn mix(sound: &GenericAudioBufferRef<'_>, planes: &mut Vec<Vec<f32>>, out: &mut Vec<f32>) {
    if let GenericAudioBufferRef::F32(sound) = sound {
        let planes: Vec<&[f32]> = (0..sound.num_planes()).filter_map(|plane| sound.plane(plane)).collect();
        mix_planes(&planes, out);
    } else {
        sound.copy_to_vecs_planar(planes);
        mix_planes(&planes.iter().map(Vec::as_slice).collect::<Vec<_>>(), out);
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
