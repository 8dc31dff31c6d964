//! Any sound file to [`Pcm`].
//!
//! What a file is, is decided by what is in it, never by its name. `decode/stream.rs` reads packets and decodes them;
//! the other files there know what it does not: silence that an encoder added in front or behind, headers that
//! lie about sizes, and what is not sound at all.

mod aac;
mod gaps;
pub mod live;
mod matroska;
mod mp4;
mod patch;
pub mod raw;
mod sniff;
mod stream;
mod wav;

use super::Pcm;
use super::resample::{Resampler, SAMPLE_RATES};
use crate::error::{Error, Kind, Result};
use gaps::Gaps;
use std::io::{self, Read, Seek, SeekFrom};
use stream::{Channel, Shape, Stream};

/// What a sound file is read from: a file on disk, or bytes in memory.
pub trait Source: Read + Seek + Send + Sync {}

impl<T: Read + Seek + Send + Sync> Source for T {}

/// The shortest block to hand out, in samples, unless the file ends: packets are short, and work is done per block.
const BLOCK: usize = 8_192;

/// How much of the start of a file is looked at to tell what it is, in bytes.
const HEAD: u64 = 1_024;

/// Reads a sound file as an iterator of mono blocks, in order, all at [`Decoder::sample_rate`].
///
/// The memory it takes does not depend on the length of the file. After an error there are no more blocks.
pub struct Decoder {
    stream: Stream,
    sample_rate: u32,
    /// What was decoded to learn the sample rate.
    first: Vec<f32>,
    /// Converts what comes at another rate, as the parts of a chained Ogg file may.
    converter: Option<(u32, Resampler)>,
    /// The last samples so far. The end of the file shows that they are padding, which is never handed out.
    held: Vec<f32>,
    /// How many samples to hold.
    padding: usize,
    is_over: bool,
}

impl Decoder {
    /// Finds out what `source` holds, and decodes the start of it. All channels are mixed with equal weight.
    ///
    /// # Errors
    /// `InvalidAudio` if there is nothing in it that can be decoded, with what to do about it; `Internal` if it cannot
    /// be read.
    pub fn open(source: Box<dyn Source>) -> Result<Self> {
        Self::open_channel(source, None)
    }

    /// As [`Decoder::open`], but of `channel` alone, counted from 0; `None` mixes all of them.
    ///
    /// # Errors
    /// As [`Decoder::open`], and `InvalidAudio` if there is no such channel.
    pub fn open_channel(mut source: Box<dyn Source>, channel: Option<u32>) -> Result<Self> {
        let length = source.seek(SeekFrom::End(0)).map_err(unreadable)?;
        let mut head = Vec::new();
        source.rewind().and_then(|()| source.by_ref().take(HEAD).read_to_end(&mut head)).map_err(unreadable)?;
        if let Some(message) = sniff::not_audio(&head) {
            return Err(Error::new(Kind::InvalidAudio, message));
        }
        let gaps = Gaps::read(&mut *source, &head, length);
        let source = patch::patch(source, &head, length).map_err(unreadable)?;
        let wanted = channel.map_or(Channel::Mix, Channel::One);
        let mut stream = Stream::open(source, length, gaps, wanted)?;
        let mut first = Vec::new();
        let Some(Shape { sample_rate, .. }) = stream.decode(&mut first)? else {
            return Err(Error::new(Kind::InvalidAudio, "There is no sound in the file, or all of it is damaged."));
        };
        if !SAMPLE_RATES.contains(&sample_rate) {
            let message = format!("A sample rate of {sample_rate} Hz is not supported.");
            return Err(Error::new(Kind::InvalidAudio, message));
        }
        check_channel(channel, stream.channels())?;
        let padding = stream.padding(sample_rate);
        Ok(Self { stream, sample_rate, first, converter: None, held: Vec::new(), padding, is_over: false })
    }

    /// The sample rate of every block, in hertz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// How many channels the sound has, also when only one of them or the mix is handed out: at least 1.
    pub fn channels(&self) -> u32 {
        self.stream.channels().max(1)
    }

    /// The next block; it is empty only at the end.
    fn next_block(&mut self) -> Result<Vec<f32>> {
        let mut samples = std::mem::take(&mut self.first);
        self.hold_back(0, &mut samples);
        while samples.len() < BLOCK && !self.is_over {
            let start = samples.len();
            self.is_over = !self.decode_packet(&mut samples)?;
            self.hold_back(start, &mut samples);
        }
        samples.iter_mut().for_each(|sample| *sample = tame(*sample));
        Ok(samples)
    }

    /// Appends what one packet holds to `samples`; false at the end.
    fn decode_packet(&mut self, samples: &mut Vec<f32>) -> Result<bool> {
        let start = samples.len();
        match self.stream.decode(samples)?.map(|shape| shape.sample_rate) {
            Some(rate) if rate == self.sample_rate => Ok(true),
            Some(rate) => self.convert(rate, start, samples).map(|()| true),
            None => {
                if let Some((_, mut converter)) = self.converter.take() {
                    converter.finish(samples);
                }
                Ok(false)
            }
        }
    }

    /// Converts what follows `start` in `samples` from `rate` to the rate of the file.
    fn convert(&mut self, rate: u32, start: usize, samples: &mut Vec<f32>) -> Result<()> {
        let piece = samples.split_off(start);
        if self.converter.as_ref().is_none_or(|(from, _)| *from != rate) {
            self.converter = Some((rate, Resampler::new(rate, self.sample_rate)?));
        }
        if let Some((_, converter)) = &mut self.converter {
            converter.push(&piece, samples);
        }
        Ok(())
    }

    /// Keeps the last samples for later; those from `start` on are new.
    fn hold_back(&mut self, start: usize, samples: &mut Vec<f32>) {
        if self.padding > 0 {
            self.held.extend(samples.drain(start..));
            let ready = self.held.len().saturating_sub(self.padding);
            samples.extend(self.held.drain(..ready));
        }
    }
}

impl Iterator for Decoder {
    type Item = Result<Pcm>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.next_block();
        self.is_over |= block.is_err();
        match block {
            Ok(samples) if samples.is_empty() => None,
            Ok(samples) => Some(Ok(Pcm::new(samples, self.sample_rate))),
            Err(error) => Some(Err(error)),
        }
    }
}

fn check_channel(wanted: Option<u32>, channels: u32) -> Result<()> {
    match wanted {
        Some(wanted) if wanted >= channels => {
            let message = format!("There is no channel {wanted} in the sound, counted from 0: it has {channels}.");
            Err(Error::new(Kind::InvalidAudio, message))
        }
        _ => Ok(()),
    }
}

/// Appends the mean of every `channels` samples in a row.
fn mix_frames(samples: &[f32], channels: usize, out: &mut Vec<f32>) {
    let share = 1.0 / channels as f32;
    match channels {
        1 => out.extend_from_slice(samples),
        _ => out.extend(samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() * share)),
    }
}

/// A sample in `[-1, 1]`; what is not a number is silence.
fn tame(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

fn unreadable(error: io::Error) -> Error {
    Error::internal("The audio could not be read.", error)
}

#[cfg(test)]
pub(in crate::audio) mod tests {
    use super::*;
    use crate::audio::resample::resample;
    use std::io::Cursor;

    /// Every fixture with its sample rate and its length in samples, as ffmpeg 5.1 has them; but it
    /// loses the first 128 samples of `vorbis.ogg`.
    const FIXTURES: &[(&str, u32, usize)] = &[
        ("reference.wav", 16_000, 16_000),
        ("u8.wav", 8_000, 8_000),
        ("s24.wav", 8_000, 8_000),
        ("s32.wav", 8_000, 8_000),
        ("f32.wav", 8_000, 8_000),
        ("alaw.wav", 8_000, 8_000),
        ("mulaw.wav", 8_000, 8_000),
        ("adpcm_ms.wav", 16_000, 16_288),
        ("adpcm_ima.wav", 16_000, 16_328),
        ("stereo.wav", 8_000, 8_000),
        ("piped.wav", 8_000, 8_000),
        ("cbr.mp3", 44_100, 44_100),
        ("vbr.mp3", 44_100, 44_100),
        ("mpeg2.mp3", 22_050, 22_050),
        ("noxing.mp3", 24_000, 25_344),
        ("tagged.mp3", 24_000, 24_000),
        ("native.flac", 16_000, 16_000),
        ("native24.flac", 8_000, 8_000),
        ("flac.ogg", 16_000, 16_000),
        ("vorbis.ogg", 44_100, 44_100),
        ("opus.ogg", 48_000, 48_000),
        ("speech.opus", 48_000, 48_000),
        ("opus.webm", 48_000, 48_000),
        ("vorbis.webm", 44_100, 44_608),
        ("opus.mka", 48_000, 48_000),
        ("live.webm", 48_000, 48_000),
        ("lc.m4a", 44_100, 45_056),
        ("lc48.m4a", 48_000, 48_128),
        ("surround.m4a", 32_000, 32_768),
        ("fragmented.mp4", 44_100, 46_080),
        ("alac.m4a", 16_000, 16_000),
        ("alac.caf", 16_000, 16_000),
        ("lc.aac", 44_100, 46_080),
        ("s16.aiff", 8_000, 8_000),
        ("s16.caf", 8_000, 8_000),
        ("opus.mp4", 48_000, 48_648),
        ("video.mp4", 48_000, 48_128),
        ("video.webm", 48_000, 48_000),
    ];

    /// Fixtures whose container does not tell the delay of the encoder, which ffmpeg leaves in as well, with that delay
    /// in samples at 16 kHz.
    const DELAYED: &[(&str, i64)] = &[("noxing.mp3", 737), ("fragmented.mp4", 371), ("lc.aac", 371)];

    pub(in crate::audio) fn fixture(name: &str) -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/audio/");
        std::fs::read(format!("{path}{name}")).unwrap()
    }

    /// The sound that every fixture holds, at 16 kHz.
    pub(in crate::audio) fn reference() -> Pcm {
        decode(fixture("reference.wav")).unwrap()
    }

    /// All of a file.
    pub(in crate::audio) fn decode(bytes: Vec<u8>) -> Result<Pcm> {
        collect(Decoder::open(Box::new(Cursor::new(bytes)))?)
    }

    /// All of one channel of a file.
    fn decode_channel(bytes: Vec<u8>, channel: u32) -> Result<Pcm> {
        collect(Decoder::open_channel(Box::new(Cursor::new(bytes)), Some(channel))?)
    }

    pub(in crate::audio) fn collect(decoder: Decoder) -> Result<Pcm> {
        let mut pcm = Pcm::new(Vec::new(), decoder.sample_rate());
        for block in decoder {
            let block = block?;
            assert_eq!(block.sample_rate, pcm.sample_rate);
            pcm.samples.extend(block.samples);
        }
        Ok(pcm)
    }

    /// By how many samples `heard` is later than `said`, somewhere near `guess`, and how alike they then are, 1 being
    /// the same.
    pub(in crate::audio) fn lag(heard: &[f32], said: &[f32], guess: i64) -> (i64, f64) {
        let likeness = |lag: i64| {
            let (mut product, mut one, mut other) = (0.0, 1e-9, 1e-9);
            for (index, said) in said.iter().enumerate() {
                let place = usize::try_from(index as i64 + lag).ok();
                let heard = place.and_then(|place| heard.get(place)).copied().unwrap_or(0.0);
                let (heard, said) = (f64::from(heard), f64::from(*said));
                product += heard * said;
                one += heard * heard;
                other += said * said;
            }
            product / (one * other).sqrt()
        };
        let best = (guess - 20..=guess + 20).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap();
        (best, likeness(best))
    }

    fn error(bytes: &[u8]) -> Error {
        decode(bytes.to_vec()).unwrap_err()
    }

    #[test]
    fn every_format_has_the_length_that_ffmpeg_finds() {
        for (name, rate, length) in FIXTURES {
            let pcm = decode(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((pcm.sample_rate, pcm.samples.len()), (*rate, *length), "{name}");
        }
    }

    #[test]
    fn every_format_starts_when_the_sound_does() {
        let reference = reference();
        for (name, _, _) in FIXTURES {
            let heard = resample(&decode(fixture(name)).unwrap(), reference.sample_rate).unwrap();
            let expected = DELAYED.iter().find(|(delayed, _)| delayed == name).map_or(0, |(_, lag)| *lag);
            let (lag, likeness) = lag(&heard.samples, &reference.samples, expected);
            // Opus itself moves low voices by a fraction of a millisecond: its reference decoder says the same.
            let tolerance = if ["opus", "webm", "mka"].iter().any(|part| name.contains(part)) { 2 } else { 0 };
            assert!((lag - expected).abs() <= tolerance, "{name} is {lag} samples late");
            assert!(likeness > 0.88, "{name} is only {likeness} alike");
        }
    }

    #[test]
    fn a_file_without_sound_says_so() {
        assert!(error(b"").message().contains("empty"));
        assert!(error(b"Hello, this is not sound.").message().contains("text"));
        assert!(error(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").message().contains("PNG"));
        assert!(error(&fixture("noaudio.mp4")).message().contains("no audio track"));
        assert!(error(&[0; 5_000]).message().contains("Send WAV, MP3"));
        assert_eq!(error(&[0; 5_000]).kind(), Kind::InvalidAudio);
    }

    #[test]
    fn channels_are_mixed_with_equal_weight() {
        let (mono, stereo) = (decode(fixture("s32.wav")).unwrap(), decode(fixture("stereo.wav")).unwrap());
        for (mono, stereo) in mono.samples.iter().zip(&stereo.samples) {
            assert!((mono * 0.75 - stereo).abs() < 1e-4); // the right channel is half as loud
        }
    }

    /// Fixtures with more than one channel, how many, and how loud the last is against the first.
    const CHANNELS: &[(&str, u32, f32)] = &[
        ("stereo.wav", 2, 0.5),
        ("vbr.mp3", 2, 0.5),
        ("vorbis.ogg", 2, 0.5),
        ("opus.ogg", 2, 0.5),
        ("opus.mka", 2, 0.5),
        ("lc48.m4a", 2, 0.5),
        ("surround.m4a", 6, 1.0),
    ];

    #[test]
    fn the_channels_of_every_format_are_counted() {
        for (name, _, _) in FIXTURES {
            let expected = CHANNELS.iter().find(|(many, _, _)| many == name).map_or(1, |(_, channels, _)| *channels);
            let decoder = Decoder::open(Box::new(Cursor::new(fixture(name)))).unwrap();
            assert_eq!(decoder.channels(), expected, "{name}");
        }
    }

    #[test]
    fn one_channel_is_decoded_alone() {
        let loudness = |pcm: &Pcm| pcm.samples.iter().map(|sample| sample * sample).sum::<f32>().sqrt();
        for (name, channels, softer) in CHANNELS.iter().filter(|(name, ..)| *name != "surround.m4a") {
            let first = decode_channel(fixture(name), 0).unwrap();
            let last = decode_channel(fixture(name), channels - 1).unwrap();
            let mix = decode(fixture(name)).unwrap();
            assert_eq!((first.samples.len(), last.samples.len()), (mix.samples.len(), mix.samples.len()), "{name}");
            let found = loudness(&last) / loudness(&first);
            assert!((found - softer).abs() < 0.05, "{name}: the last channel is {found} times as loud as the first");
            let (lag, likeness) = lag(&last.samples, &first.samples, 0);
            assert!(lag == 0 && likeness > 0.9, "{name}: the channels are {lag} apart and {likeness} alike");
        }
    }

    #[test]
    fn a_channel_of_many_is_decoded_alone() {
        let file = || Box::new(Cursor::new(fixture("surround.m4a")));
        let first_block = |decoder: Decoder| decoder.into_iter().next().unwrap().unwrap().samples;
        let mix = first_block(Decoder::open(file()).unwrap());
        let front = first_block(Decoder::open_channel(file(), Some(1)).unwrap());
        let (lag, likeness) = lag(&front, &mix, 0);
        assert!(lag == 0 && likeness > 0.9, "{lag} late, {likeness} alike");
    }

    #[test]
    fn the_only_channel_of_a_mono_file_is_the_file() {
        for name in ["reference.wav", "cbr.mp3", "opus.webm", "lc.m4a", "native.flac"] {
            assert!(decode_channel(fixture(name), 0).unwrap() == decode(fixture(name)).unwrap(), "{name}");
        }
    }

    #[test]
    fn a_channel_that_is_not_there_says_so() {
        for (name, channel) in [("reference.wav", 1), ("opus.ogg", 2), ("surround.m4a", 6), ("cbr.mp3", u32::MAX)] {
            let error = decode_channel(fixture(name), channel).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidAudio, "{name}");
            assert!(error.message().contains(&format!("no channel {channel}")), "{name}: {error}");
        }
    }

    #[test]
    fn a_wav_that_does_not_know_its_length_is_read_to_the_end() {
        let (file, expected) = (fixture("reference.wav"), reference());
        let sizes = [(0, 0), (u32::MAX, u32::MAX), (36, 0), (0, u32::MAX), (u32::MAX, 32_001), (1_000_000, 999_000)];
        for (riff, data) in sizes {
            let mut file = file.clone();
            file[4..8].copy_from_slice(&riff.to_le_bytes());
            file[40..44].copy_from_slice(&data.to_le_bytes());
            assert!(decode(file).unwrap() == expected, "sizes {riff} and {data}");
        }
        let long = [&b"RF64\xff\xff\xff\xffWAVE"[..], b"ds64\x04\0\0\0\0\0\0\0", &file[12..40], &[255; 4], &file[44..]];
        assert!(decode(long.concat()).unwrap() == expected);
        assert_eq!(decode(file[..20_000].to_vec()).unwrap().samples, expected.samples[..(20_000 - 44) / 2]);
    }

    #[test]
    fn a_wav_with_more_behind_the_samples_ends_with_the_samples() {
        let file = [fixture("reference.wav"), b"LIST\x04\0\0\0INFO".to_vec()].concat();
        assert!(decode(file).unwrap() == reference());
    }

    #[test]
    fn a_wav_without_samples_says_so() {
        let empty = crate::audio::encode::wav::header(16_000, Some(0));
        assert!(error(&empty).message().contains("no sound"));
    }

    #[test]
    fn damage_in_the_middle_costs_only_the_damaged_part() {
        for name in ["cbr.mp3", "noxing.mp3", "lc.aac", "lc.m4a", "native.flac", "opus.webm", "vorbis.webm"] {
            let whole = decode(fixture(name)).unwrap().samples.len();
            let mut file = fixture(name);
            let place = file.len() * 3 / 4; // behind the headers, which in so short a file are long
            file[place..place + 4].fill(0x55);
            let rest = decode(file).unwrap_or_else(|error| panic!("{name}: {error}")).samples.len();
            assert!(rest <= whole && rest * 10 >= whole * 7, "{name} has {rest} of {whole} samples left");
        }
    }

    #[test]
    fn junk_in_front_of_the_first_frame_is_skipped() {
        for name in ["noxing.mp3", "lc.aac"] {
            let file = [vec![7; 1_000], fixture(name)].concat();
            assert!(decode(file).unwrap() == decode(fixture(name)).unwrap(), "{name}");
        }
    }

    #[test]
    fn a_file_that_was_cut_off_is_decoded_up_to_there() {
        for name in [
            "reference.wav",
            "cbr.mp3",
            "lc.aac",
            "native.flac",
            "opus.webm",
            "live.webm",
            "fragmented.mp4",
            "lc48.m4a",
        ] {
            let mut file = fixture(name);
            let whole = decode(file.clone()).unwrap().samples.len();
            file.truncate(file.len() * 3 / 4);
            let rest = decode(file).unwrap_or_else(|error| panic!("{name}: {error}")).samples.len();
            assert!(rest <= whole && rest * 2 >= whole, "{name} has {rest} of {whole} samples left");
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_run_away() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize % below
        };
        // The decoder of many channels is slow.
        for (name, _, _) in FIXTURES.iter().filter(|(name, _, _)| *name != "surround.m4a") {
            for round in 0..12 {
                let mut file = fixture(name);
                // Headers are where a wrong byte does the most.
                let range = if round % 2 == 0 { file.len() } else { file.len().min(600) };
                for _ in 0..=next(12) {
                    let place = next(range);
                    file[place] = [0, 0xff, 0x80, next(256) as u8][next(4)];
                }
                if round % 4 == 3 {
                    file.truncate(next(range));
                }
                let samples = decode(file).map_or(0, |pcm| pcm.samples.len());
                assert!(samples < 200_000, "{name} grew to {samples} samples");
            }
        }
    }
}
