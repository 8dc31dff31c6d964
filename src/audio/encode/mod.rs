//! Sound to bytes, as a stream: the bytes of a second of sound are out before the next second is there.
//!
//! One file for each format. The bytes do not depend on how the sound was cut into calls. Samples outside `[-1, 1]` are
//! clipped, and what is not a number is silence.

mod aac;
mod flac;
mod float;
mod mp3;
mod ogg;
mod opus;
mod telephone;
pub mod wav;
mod webm;

use super::resample::Resampler;
use crate::error::Result;

/// A format that speech can be asked for in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioFormat {
    /// MP3, 64 kbit/s unless another rate is asked for.
    Mp3,
    /// Opus in Ogg, 32 kbit/s unless another rate is asked for.
    Opus,
    /// The same in WebM, for browsers: MediaSource takes no Ogg.
    Webm,
    /// AAC-LC in ADTS frames, 80 kbit/s at most unless another rate is asked for.
    Aac,
    /// FLAC, 16 bits.
    Flac,
    /// WAV, 16 bits.
    Wav,
    /// Signed 16-bit little-endian samples, and nothing else.
    Pcm,
    /// G.711 µ-law samples, and nothing else.
    Mulaw,
    /// G.711 A-law samples, and nothing else.
    Alaw,
    /// WAV with G.711 µ-law samples.
    MulawWav,
    /// WAV with G.711 A-law samples.
    AlawWav,
    /// 32-bit little-endian floating-point samples, and nothing else.
    Float,
    /// WAV with 32-bit floating-point samples.
    FloatWav,
}

/// How sound is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// The format.
    pub format: AudioFormat,
    /// The sample rate in hertz; `None` keeps that of the sound.
    pub sample_rate: Option<u32>,
    /// Bits per second, for formats with a choice (MP3, Opus, WebM, AAC); `None` is the format's own.
    pub bit_rate: Option<u32>,
}

impl From<AudioFormat> for Output {
    fn from(format: AudioFormat) -> Self {
        Self { format, sample_rate: None, bit_rate: None }
    }
}

impl AudioFormat {
    /// Every format that can be asked for by its name alone, the default one first. Those of telephones and of
    /// floating-point samples are not.
    pub const ALL: [Self; 7] = [Self::Mp3, Self::Opus, Self::Webm, Self::Aac, Self::Flac, Self::Wav, Self::Pcm];

    /// The format called `name`, as [`AudioFormat::name`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What clients call the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Webm => "webm",
            Self::Aac => "aac",
            Self::Flac => "flac",
            Self::Wav => "wav",
            Self::Pcm => "pcm",
            Self::Mulaw | Self::MulawWav => "mulaw",
            Self::Alaw | Self::AlawWav => "alaw",
            Self::Float | Self::FloatWav => "float",
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Opus => "audio/ogg",
            Self::Webm => "audio/webm",
            Self::Aac => "audio/aac",
            Self::Flac => "audio/flac",
            Self::Wav | Self::MulawWav | Self::AlawWav | Self::FloatWav => "audio/wav",
            Self::Pcm | Self::Float => "audio/pcm",
            Self::Mulaw => "audio/mulaw",
            Self::Alaw => "audio/alaw",
        }
    }
}

/// Turns a stream of mono samples into the bytes of one file.
pub trait Encoder: Send {
    /// Takes the next `samples` and appends the bytes that are ready to `out`.
    ///
    /// # Errors
    /// `Internal` if the encoder fails; no input makes it.
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()>;

    /// Appends what is left to `out`; the file is then complete, and the encoder is not used again.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()>;
}

/// A new encoder for mono sound at `sample_rate` hertz, which it converts where `output` has another one.
///
/// # Errors
/// `Unsupported` (param `response_format`) where the format has no such sample rate (all have 24 kHz) or bit rate;
/// `InvalidAudio` for a sample rate that cannot be converted.
pub fn encoder(output: impl Into<Output>, sample_rate: u32) -> Result<Box<dyn Encoder>> {
    let output = output.into();
    match output.sample_rate {
        Some(to) if to != sample_rate => {
            let (resampler, encoder) = (Resampler::new(sample_rate, to)?, encoder_at(output, to)?);
            Ok(Box::new(Resampled { resampler, encoder, samples: Vec::new() }))
        }
        _ => encoder_at(output, sample_rate),
    }
}

fn encoder_at(output: Output, sample_rate: u32) -> Result<Box<dyn Encoder>> {
    use opus::OpusFile;
    use telephone::Law;
    Ok(match output.format {
        AudioFormat::Mp3 => Box::new(mp3::Mp3::new(sample_rate, output.bit_rate)?),
        AudioFormat::Opus => Box::new(OpusFile::<ogg::Ogg>::new(output.format, sample_rate, output.bit_rate)?),
        AudioFormat::Webm => Box::new(OpusFile::<webm::Webm>::new(output.format, sample_rate, output.bit_rate)?),
        AudioFormat::Aac => Box::new(aac::Aac::new(sample_rate, output.bit_rate)?),
        AudioFormat::Flac => Box::new(flac::Flac::new(sample_rate)?),
        AudioFormat::Wav => Box::new(wav::Wav::new(sample_rate)),
        AudioFormat::Pcm => Box::new(wav::Pcm),
        AudioFormat::Mulaw => Box::new(telephone::G711::headerless(Law::Mu)),
        AudioFormat::Alaw => Box::new(telephone::G711::headerless(Law::A)),
        AudioFormat::MulawWav => Box::new(telephone::G711::in_wav(Law::Mu, sample_rate)),
        AudioFormat::AlawWav => Box::new(telephone::G711::in_wav(Law::A, sample_rate)),
        AudioFormat::Float => Box::new(float::Float::headerless()),
        AudioFormat::FloatWav => Box::new(float::Float::in_wav(sample_rate)),
    })
}

/// An encoder that takes sound at another sample rate.
struct Resampled {
    resampler: Resampler,
    encoder: Box<dyn Encoder>,
    samples: Vec<f32>,
}

impl Encoder for Resampled {
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<()> {
        self.samples.clear();
        self.resampler.push(samples, &mut self.samples);
        self.encoder.encode(&self.samples, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.samples.clear();
        self.resampler.finish(&mut self.samples);
        self.encoder.encode(&self.samples, out)?;
        self.encoder.finish(out)
    }
}

/// The error for a sample rate that `format` cannot carry.
fn unsupported_rate(format: AudioFormat, sample_rate: u32) -> crate::error::Error {
    let message = format!("{} cannot carry a sample rate of {sample_rate} Hz; ask for wav or pcm.", format.name());
    crate::error::Error::new(crate::error::Kind::Unsupported, message).with_param("response_format")
}

/// A sample as a 16-bit integer, clipped.
fn to_i16(sample: f32) -> i16 {
    // A cast from a float saturates, and turns what is not a number into 0.
    (sample * 32_768.0).round() as i16
}

/// Cuts a stream of samples into frames of one length.
struct Frames<T> {
    length: usize,
    waiting: Vec<T>,
}

impl<T> Frames<T> {
    /// Frames of `length` samples.
    fn new(length: usize) -> Self {
        Self { length, waiting: Vec::with_capacity(length) }
    }

    /// Takes `samples`, and hands each frame that is full to `use_frame`.
    fn push(
        &mut self,
        samples: impl IntoIterator<Item = T>,
        mut use_frame: impl FnMut(&[T]) -> Result<()>,
    ) -> Result<()> {
        for sample in samples {
            self.waiting.push(sample);
            if self.waiting.len() == self.length {
                use_frame(&self.waiting)?;
                self.waiting.clear();
            }
        }
        Ok(())
    }

    /// The samples that did not fill a frame.
    fn rest(&mut self) -> Vec<T> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Pcm;
    use crate::audio::decode::tests::{decode, lag, reference};
    use crate::audio::resample::resample;

    const RATE: u32 = 24_000;

    /// Some speech-like sound at 24 kHz, of an odd length.
    fn sound() -> Vec<f32> {
        let mut samples = resample(&reference(), RATE).unwrap().samples;
        samples.truncate(23_457);
        samples
    }

    fn encode(format: AudioFormat, samples: &[f32], piece: usize) -> Vec<u8> {
        let mut encoder = encoder(format, RATE).unwrap();
        let mut bytes = Vec::new();
        samples.chunks(piece).for_each(|piece| encoder.encode(piece, &mut bytes).unwrap());
        encoder.finish(&mut bytes).unwrap();
        bytes
    }

    /// The same bytes as a file that the decoder takes.
    fn playable(format: AudioFormat, bytes: Vec<u8>) -> Vec<u8> {
        match format {
            AudioFormat::Pcm => [&wav::header(RATE, Some(bytes.len() as u32))[..], &bytes].concat(),
            _ => bytes,
        }
    }

    #[test]
    fn names_lead_back_to_their_format() {
        for format in AudioFormat::ALL {
            assert_eq!(AudioFormat::from_name(format.name()), Some(format));
        }
        assert_eq!(AudioFormat::from_name("midi"), None);
    }

    #[test]
    fn what_was_said_comes_back() {
        let sound = sound();
        // The leading silence and the total length of each format, in samples; Opus is decoded at 48 kHz.
        let expected = [
            (AudioFormat::Mp3, 24_000, 1_105, 24_768),
            (AudioFormat::Opus, 48_000, 0, 2 * 23_457),
            (AudioFormat::Webm, 48_000, 0, 2 * 23_457),
            (AudioFormat::Aac, 24_000, 1_024, 24 * 1_024),
            (AudioFormat::Flac, 24_000, 0, 23_457),
            (AudioFormat::Wav, 24_000, 0, 23_457),
            (AudioFormat::Pcm, 24_000, 0, 23_457),
        ];
        for (format, rate, delay, length) in expected {
            let heard = decode(playable(format, encode(format, &sound, 480))).unwrap();
            assert_eq!((heard.sample_rate, heard.samples.len()), (rate, length), "{}", format.name());
            let heard = resample(&heard, RATE).unwrap();
            let (shift, likeness) = lag(&heard.samples, &sound, delay);
            // Opus itself moves low voices by a sample or two.
            let tolerance = if [AudioFormat::Opus, AudioFormat::Webm].contains(&format) { 2 } else { 0 };
            assert!((shift - delay).abs() <= tolerance, "{} is {shift} samples late", format.name());
            assert!(likeness > 0.98, "{} is only {likeness} alike", format.name());
        }
    }

    #[test]
    fn lossless_formats_keep_every_sample() {
        let sound = sound();
        let expected: Vec<f32> = sound.iter().map(|sample| f32::from(to_i16(*sample)) / 32_768.0).collect();
        for format in [AudioFormat::Flac, AudioFormat::Wav, AudioFormat::Pcm] {
            let heard = decode(playable(format, encode(format, &sound, 480))).unwrap();
            assert!(heard.samples == expected, "{}", format.name());
        }
    }

    #[test]
    fn how_the_sound_is_cut_makes_no_difference() {
        let sound = sound();
        for format in AudioFormat::ALL {
            let whole = encode(format, &sound, sound.len());
            for piece in [1, 479, 480, 1_153, 8_000] {
                assert!(whole == encode(format, &sound, piece), "{} in pieces of {piece}", format.name());
            }
        }
    }

    #[test]
    fn the_first_sound_is_out_within_a_twentieth_of_a_second_or_so() {
        let sound = sound();
        for format in AudioFormat::ALL {
            let mut encoder = encoder(format, RATE).unwrap();
            let mut bytes = Vec::new();
            encoder.encode(&[], &mut bytes).unwrap();
            let header = bytes.len();
            let fed = sound.chunks(24).position(|piece| {
                encoder.encode(piece, &mut bytes).unwrap();
                bytes.len() > header
            });
            let milliseconds = fed.unwrap() + 1;
            assert!(milliseconds <= 65, "{} says nothing for {milliseconds} ms", format.name());
        }
    }

    #[test]
    fn short_and_empty_sounds_are_files_too() {
        for format in AudioFormat::ALL {
            for length in [1, 5, 31, 32, 33, 1_023, 1_024, 1_025] {
                let sound = vec![0.25; length];
                let heard = decode(playable(format, encode(format, &sound, 480))).unwrap();
                assert!(heard.samples.len() >= length, "{} of {length}", format.name());
            }
            encode(format, &[], 480);
        }
    }

    #[test]
    fn samples_that_make_no_sense_do_no_harm() {
        let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 7.0, -7.0, 1.0, -1.0, 1e30].repeat(600);
        for format in AudioFormat::ALL {
            let heard = decode(playable(format, encode(format, &wild, 480))).unwrap();
            assert!(heard.samples.iter().all(|sample| sample.is_finite() && sample.abs() < 4.0), "{}", format.name());
        }
        let pcm = encode(AudioFormat::Pcm, &wild[..8], 8);
        let samples: Vec<i16> = pcm.chunks_exact(2).map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]])).collect();
        assert_eq!(samples, [0, i16::MAX, i16::MIN, i16::MAX, i16::MIN, i16::MAX, i16::MIN, i16::MAX]);
    }

    #[test]
    fn a_rate_that_a_format_does_not_have_is_refused() {
        for format in [AudioFormat::Mp3, AudioFormat::Opus, AudioFormat::Webm, AudioFormat::Aac] {
            let error = encoder(format, 22_222).err().unwrap();
            assert_eq!((error.kind(), error.param()), (crate::error::Kind::Unsupported, Some("response_format")));
        }
    }

    #[test]
    fn telephone_formats_and_other_rates_come_back_as_well() {
        let sound = sound();
        for (format, rate) in [
            (AudioFormat::MulawWav, 8_000),
            (AudioFormat::AlawWav, 16_000),
            (AudioFormat::Wav, 48_000),
            (AudioFormat::Mp3, 22_050),
            (AudioFormat::Aac, 22_050),
            (AudioFormat::Flac, 32_000),
        ] {
            let output = Output { format, sample_rate: Some(rate), bit_rate: None };
            let mut encoder = encoder(output, RATE).unwrap();
            let mut bytes = Vec::new();
            sound.chunks(480).for_each(|piece| encoder.encode(piece, &mut bytes).unwrap());
            encoder.finish(&mut bytes).unwrap();
            let heard = decode(bytes).unwrap();
            assert_eq!(heard.sample_rate, rate, "{}", format.name());
            let expected = sound.len() as f32 / RATE as f32;
            let seconds = heard.samples.len() as f32 / rate as f32;
            assert!((expected - 0.001..expected + 0.15).contains(&seconds), "{}: {seconds} s", format.name());
        }
    }

    #[test]
    fn a_lower_bit_rate_makes_a_shorter_file() {
        let size = |format, bit_rate| {
            let mut encoder = encoder(Output { format, sample_rate: None, bit_rate: Some(bit_rate) }, RATE).unwrap();
            let mut bytes = Vec::new();
            encoder.encode(&sound(), &mut bytes).unwrap();
            encoder.finish(&mut bytes).unwrap();
            bytes.len() * 8 * RATE as usize / sound().len()
        };
        for format in [AudioFormat::Mp3, AudioFormat::Opus, AudioFormat::Webm, AudioFormat::Aac] {
            for bit_rate in [16_000, 48_000] {
                let got = size(format, bit_rate);
                // A second of sound leaves much of the file to headers.
                assert!(got < bit_rate as usize * 3 / 2, "{} at {bit_rate}: {got}", format.name());
            }
            assert!(size(format, 16_000) * 3 < size(format, 48_000) * 2, "{}", format.name());
        }
        assert!(encoder(Output { bit_rate: Some(47_999), ..AudioFormat::Mp3.into() }, RATE).is_err());
    }

    #[test]
    fn mp3_has_the_bit_rates_of_its_sample_rate() {
        for (sample_rate, bit_rate, there) in [
            (8_000, 64_000, true),
            (8_000, 96_000, false),
            (22_050, 32_000, true),
            (24_000, 160_000, true),
            (24_000, 192_000, false),
            (44_100, 32_000, true),
            (44_100, 128_000, true),
            (44_100, 192_000, true),
            (48_000, 16_000, false),
        ] {
            let output = Output { format: AudioFormat::Mp3, sample_rate: Some(sample_rate), bit_rate: Some(bit_rate) };
            let Ok(mut encoder) = encoder(output, RATE) else {
                assert!(!there, "{bit_rate} at {sample_rate}");
                continue;
            };
            let mut bytes = Vec::new();
            encoder.encode(&sound(), &mut bytes).unwrap();
            encoder.finish(&mut bytes).unwrap();
            let heard = decode(bytes.clone()).unwrap();
            let got = bytes.len() as f32 * 8.0 / heard.duration().as_secs_f32();
            assert!(there && heard.sample_rate == sample_rate, "{bit_rate} at {sample_rate}");
            assert!((got / bit_rate as f32 - 1.0).abs() < 0.05, "{bit_rate} at {sample_rate}: {got}");
        }
    }

    #[test]
    fn a_pcm_block_has_the_length_of_its_samples() {
        assert_eq!(encode(AudioFormat::Pcm, &Pcm::new(vec![0.0; 100], RATE).samples, 7).len(), 200);
    }
}
