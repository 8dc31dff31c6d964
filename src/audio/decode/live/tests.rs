//! What is heard live is what a file gives, however it is cut.

use super::*;
use crate::audio::decode::raw::RawEncoding;
use crate::audio::decode::tests::{decode, fixture, lag, reference};
use crate::audio::resample::resample;

const RATE: u32 = 16_000;

/// All that `format` makes of these messages, at `rate`.
fn hear_messages<'a>(
    messages: impl IntoIterator<Item = &'a [u8]>,
    format: LiveFormat,
    apart: bool,
    rate: u32,
) -> Result<Vec<Vec<f32>>> {
    let mut decoder = LiveDecoder::new(format, apart, rate)?;
    let mut out = Vec::new();
    for message in messages {
        decoder.push(message, &mut out)?;
    }
    decoder.finish(&mut out)?;
    Ok(out)
}

/// All of `bytes`, in messages of `size`.
fn hear(bytes: &[u8], format: LiveFormat, apart: bool, size: usize) -> Result<Vec<Vec<f32>>> {
    hear_messages(bytes.chunks(size), format, apart, RATE)
}

fn hear_file(bytes: &[u8], size: usize) -> Result<Vec<f32>> {
    hear(bytes, LiveFormat::Container, false, size).map(|mut channels| channels.remove(0))
}

fn failure(bytes: &[u8]) -> Error {
    hear_file(bytes, 4_096).unwrap_err()
}

/// The samples of a WAV fixture without its header.
fn headerless(name: &str) -> Vec<u8> {
    let file = fixture(name);
    let data = file.windows(4).position(|bytes| bytes == b"data").unwrap();
    let size = u32::from_le_bytes(file[data + 4..data + 8].try_into().unwrap()) as usize;
    file[data + 8..data + 8 + size].to_vec()
}

fn raw(encoding: RawEncoding, sample_rate: u32, channels: u16) -> LiveFormat {
    LiveFormat::Raw(RawFormat { encoding, sample_rate, channels })
}

/// Fixtures that can be read from start to end, and how many samples longer than the file they are: what is to
/// be dropped at the end of some is told there only.
const FIXTURES: &[(&str, usize)] = &[
    ("reference.wav", 0),
    ("u8.wav", 0),
    ("s24.wav", 0),
    ("s32.wav", 0),
    ("f32.wav", 0),
    ("alaw.wav", 0),
    ("mulaw.wav", 0),
    ("adpcm_ms.wav", 0),
    ("adpcm_ima.wav", 0),
    ("stereo.wav", 0),
    ("piped.wav", 0),
    ("cbr.mp3", 0),
    ("vbr.mp3", 0),
    ("mpeg2.mp3", 0),
    ("noxing.mp3", 0),
    ("tagged.mp3", 0),
    ("native.flac", 0),
    ("native24.flac", 0),
    ("flac.ogg", 0),
    ("vorbis.ogg", 0),
    ("opus.ogg", 0),
    ("speech.opus", 0),
    ("opus.webm", 648),
    ("vorbis.webm", 0),
    ("opus.mka", 648),
    ("live.webm", 648),
    ("video.webm", 648),
    ("fragmented.mp4", 0),
    ("lc.aac", 0),
    ("lc48.m4a", 0),
    ("s16.aiff", 0),
];

#[test]
fn a_file_that_is_sent_is_what_the_file_is() {
    for (name, more) in FIXTURES {
        let expected = decode(fixture(name)).unwrap();
        let heard = hear_messages([&fixture(name)[..]], LiveFormat::Container, false, expected.sample_rate);
        let heard = heard.unwrap_or_else(|error| panic!("{name}: {error}")).remove(0);
        assert_eq!(heard.len(), expected.samples.len() + more, "{name}");
        assert!(heard.starts_with(&expected.samples), "{name}");
    }
}

#[test]
fn a_file_that_is_sent_keeps_its_time_at_another_rate() {
    for (name, _) in FIXTURES {
        let expected = resample(&decode(fixture(name)).unwrap(), RATE).unwrap().samples;
        let (lag, likeness) = lag(&hear_file(&fixture(name), 160).unwrap(), &expected, 0);
        assert!(lag == 0 && likeness > 0.999, "{name}: {lag} late, {likeness} alike");
    }
}

#[test]
fn how_a_file_is_cut_makes_no_difference() {
    for (name, _) in FIXTURES {
        let whole = hear_file(&fixture(name), usize::MAX).unwrap();
        for size in [1, 7, 160, 4_096] {
            assert!(hear_file(&fixture(name), size).unwrap() == whole, "{name} in messages of {size}");
        }
    }
}

#[test]
fn headerless_sound_is_what_the_file_with_a_header_is() {
    for (name, encoding, sample_rate, channels) in [
        ("reference.wav", RawEncoding::Linear16, 16_000, 1),
        ("s32.wav", RawEncoding::Linear32, 8_000, 1),
        ("mulaw.wav", RawEncoding::Mulaw, 8_000, 1),
        ("alaw.wav", RawEncoding::Alaw, 8_000, 1),
        ("stereo.wav", RawEncoding::Linear16, 8_000, 2),
    ] {
        let (expected, bytes) = (decode(fixture(name)).unwrap().samples, headerless(name));
        let format = raw(encoding, sample_rate, channels);
        for size in [1, 7, 160, 4_096, usize::MAX] {
            let heard = hear_messages(bytes.chunks(size), format, false, sample_rate).unwrap();
            assert!(heard == [&expected[..]], "{name} in messages of {size}");
        }
    }
}

#[test]
fn every_code_of_a_telephone_is_the_sample_that_it_stands_for() {
    for (encoding, number) in [(RawEncoding::Mulaw, 7_u8), (RawEncoding::Alaw, 6)] {
        let codes: Vec<u8> = (0..=255).collect();
        let header = [
            &b"RIFF\xff\xff\xff\xffWAVEfmt \x12\0\0\0"[..],
            &[number, 0, 1, 0, 0x80, 0x3e, 0, 0, 0x80, 0x3e, 0, 0, 1, 0, 8, 0, 0, 0],
            b"data\0\x01\0\0",
        ];
        let expected = decode([header.concat(), codes.clone()].concat()).unwrap().samples;
        assert!(hear(&codes, raw(encoding, RATE, 1), false, 100).unwrap()[0] == expected, "{encoding:?}");
    }
}

#[test]
fn headerless_sound_that_has_a_header_is_the_file() {
    for name in ["reference.wav", "native.flac", "opus.ogg", "vorbis.webm"] {
        let format = raw(RawEncoding::Mulaw, 8_000, 1);
        let heard = hear(&fixture(name), format, false, 7).unwrap();
        assert!(heard[0] == hear_file(&fixture(name), 7).unwrap(), "{name}");
    }
}

#[test]
fn channels_are_heard_apart() {
    let stereo = headerless("stereo.wav");
    let one = |at: usize| -> Vec<u8> { stereo.chunks(4).flat_map(|frame| &frame[at..at + 2]).copied().collect() };
    let mono = |bytes: &[u8]| hear(bytes, raw(RawEncoding::Linear16, 8_000, 1), true, 100).unwrap().remove(0);
    let expected = [mono(&one(0)), mono(&one(2))];
    for size in [1, 3, 320, usize::MAX] {
        assert!(hear(&stereo, raw(RawEncoding::Linear16, 8_000, 2), true, size).unwrap() == expected);
        assert!(hear(&fixture("stereo.wav"), LiveFormat::Container, true, size).unwrap() == expected);
    }
}

#[test]
fn the_channels_of_files_are_heard_apart() {
    let loudness = |samples: &[f32]| samples.iter().map(|sample| sample * sample).sum::<f32>().sqrt();
    for name in ["vbr.mp3", "vorbis.ogg", "opus.ogg", "opus.mka", "lc48.m4a"] {
        let heard = hear(&fixture(name), LiveFormat::Container, true, 512).unwrap();
        assert_eq!(heard.len(), 2, "{name}");
        let softer = loudness(&heard[1]) / loudness(&heard[0]);
        assert!((softer - 0.5).abs() < 0.05, "{name}: the last channel is {softer} times as loud as the first");
        for channel in &heard {
            let (lag, likeness) = lag(channel, &reference().samples, 0);
            assert!(lag.abs() <= 2 && likeness > 0.88, "{name}: {lag} late, {likeness} alike");
        }
    }
}

#[test]
fn sixteen_channels_are_heard_apart() {
    let bytes: Vec<u8> = (0..16_000_i32).flat_map(|at| ((at % 16) << 27).to_le_bytes()).collect();
    let heard = hear(&bytes, raw(RawEncoding::Linear32, RATE, 16), true, 1_001).unwrap();
    assert_eq!(heard.len(), 16);
    for (channel, samples) in heard.iter().enumerate() {
        let level = ((channel as i32) << 27) as f32 / 2_147_483_648.0;
        assert!(samples.len() == 1_000 && samples.iter().all(|sample| *sample == level), "{channel}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let opus = |sample_rate, channels| LiveFormat::Opus { sample_rate, channels };
    for format in [
        raw(RawEncoding::Linear16, 0, 1),
        raw(RawEncoding::Linear16, 16_000, 0),
        raw(RawEncoding::Mulaw, 8_000, 17),
        opus(44_100, 1),
        opus(48_000, 0),
        opus(48_000, 3),
    ] {
        let error = LiveDecoder::new(format, false, RATE).err().unwrap();
        assert_eq!(error.kind(), Kind::InvalidAudio, "{format:?}");
    }
}

/// The packets of an Ogg Opus fixture.
fn packets(name: &str) -> Vec<Vec<u8>> {
    let mut reader = ogg::PacketReader::new(std::io::Cursor::new(fixture(name)));
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().unwrap() {
        packets.push(packet.data);
    }
    packets.split_off(2) // behind the two headers
}

fn hear_packets(packets: &[Vec<u8>], channels: u16) -> Result<Vec<Vec<f32>>> {
    let format = LiveFormat::Opus { sample_rate: 48_000, channels };
    hear_messages(packets.iter().map(Vec::as_slice), format, false, RATE)
}

#[test]
fn opus_packets_are_heard() {
    for (name, channels) in [("speech.opus", 1), ("opus.ogg", 2)] {
        let heard = hear_packets(&packets(name), channels).unwrap().remove(0);
        // What an encoder puts in front is told in the header that packets alone do not have: 6.5 ms.
        let (lag, likeness) = lag(&heard, &reference().samples, 104);
        assert!((lag - 104).abs() <= 2 && likeness > 0.88, "{name} is {lag} samples late and {likeness} alike");
    }
}

#[test]
fn lost_and_damaged_packets_keep_the_time() {
    let whole = packets("speech.opus");
    let length = hear_packets(&whole, 1).unwrap()[0].len();
    for lost in [vec![], vec![0xff; 3]] {
        let mut packets = whole.clone();
        packets[5] = lost.clone();
        packets[6] = lost;
        let heard = hear_packets(&packets, 1).unwrap().remove(0);
        assert_eq!(heard.len(), length);
        let (lag, likeness) = lag(&heard, &reference().samples, 104);
        assert!((lag - 104).abs() <= 2 && likeness > 0.7, "{lag} late, {likeness} alike");
    }
}

#[test]
fn what_is_no_opus_at_all_is_refused_in_the_end() {
    assert_eq!(hear_packets(&vec![vec![0xff; 3]; 99], 1).unwrap()[0].len(), 0);
    assert_eq!(hear_packets(&vec![vec![0xff; 3]; 100], 1).unwrap_err().kind(), Kind::InvalidAudio);
    assert_eq!(hear_packets(&vec![vec![]; 1_000], 1).unwrap()[0].len(), 0);
}

#[test]
fn all_that_can_be_decoded_is_there_when_a_message_has_been_taken() {
    // A page of Ogg is a packet of 20 ms here, or ten.
    let mut decoder = LiveDecoder::new(LiveFormat::Container, false, 48_000).unwrap();
    let (file, mut out, mut lengths) = (fixture("speech.opus"), Vec::new(), Vec::new());
    let pages: Vec<usize> = file.windows(4).enumerate().filter(|(_, it)| it == b"OggS").map(|(at, _)| at).collect();
    for (page, end) in pages.iter().zip(pages.iter().skip(1).copied().chain([file.len()])) {
        decoder.push(&file[*page..end], &mut out).unwrap();
        lengths.push(out[0].len());
    }
    let heard = lengths.last().copied().unwrap();
    decoder.finish(&mut out).unwrap();
    assert_eq!(out[0].len(), heard);
    assert!(lengths.windows(2).skip(1).all(|pair| pair[0] < pair[1]), "{lengths:?}");
}

#[test]
fn what_is_no_sound_says_so() {
    let mut document = b"%PDF-1.7".to_vec();
    document.extend([0; 100]);
    for (bytes, says) in [
        (&b"Hello, this is not sound, but it is long enough to be seen to be text."[..], "text"),
        (b"Hello", "text"),
        (&document, "PDF"),
        (&fixture("noaudio.mp4"), "index behind the sound"),
        (&fixture("lc.m4a"), "index behind the sound"),
        (&fixture("alac.caf"), "CAF"),
        (&fixture("native.flac")[..100], "cut off"),
        (&fixture("reference.wav")[..40], "header"),
        (&vec![0; 1_500_000], "Send WAV"),
        (&[b"RIFF\0\0\0\0WAVE".to_vec(), b"junk\xf0\xff\xff\xff".to_vec(), vec![0; 100]].concat(), "header"),
    ] {
        let error = failure(bytes);
        assert!(error.kind() == Kind::InvalidAudio && error.message().contains(says), "{says}: {error}");
    }
}

#[test]
fn after_a_failure_the_stream_is_over() {
    let mut decoder = LiveDecoder::new(LiveFormat::Container, false, RATE).unwrap();
    let mut out = Vec::new();
    assert!(decoder.push(&[b'x'; 100], &mut out).is_err());
    decoder.push(&fixture("reference.wav"), &mut out).unwrap();
    decoder.finish(&mut out).unwrap();
    assert_eq!(out, [[0.0; 0]]);
}

#[test]
fn nothing_at_all_is_nothing() {
    for format in [LiveFormat::Container, raw(RawEncoding::Alaw, 8_000, 1)] {
        assert_eq!(hear(&[], format, false, 1).unwrap(), [[0.0; 0]]);
    }
    assert_eq!(hear(&[1, 2, 3], raw(RawEncoding::Linear32, 8_000, 1), false, 1).unwrap(), [[0.0; 0]]);
}

#[test]
fn a_wav_that_lies_about_its_length_is_heard_to_the_end() {
    let (file, expected) = (fixture("reference.wav"), reference().samples);
    for (riff, data) in [(0, 0), (u32::MAX, u32::MAX), (36, 0), (0, u32::MAX), (u32::MAX, 32_001), (0, 32_000)] {
        let mut file = file.clone();
        file[4..8].copy_from_slice(&riff.to_le_bytes());
        file[40..44].copy_from_slice(&data.to_le_bytes());
        assert!(hear_file(&file, 1_000).unwrap() == expected, "sizes {riff} and {data}");
    }
    let long = [&b"RF64\xff\xff\xff\xffWAVE"[..], b"ds64\x04\0\0\0\0\0\0\0", &file[12..40], &[255; 4], &file[44..]];
    assert!(hear_file(&long.concat(), 1_000).unwrap() == expected);
    let more = [fixture("reference.wav"), b"LIST\x04\0\0\0INFO".to_vec()].concat();
    assert!(hear_file(&more, 1_000).unwrap() == expected);
    let mut floats = fixture("f32.wav");
    let data = floats.windows(4).position(|bytes| bytes == b"data").unwrap();
    floats[data + 4..data + 8].fill(0);
    assert!(hear_file(&floats, 1_000).unwrap() == hear_file(&fixture("f32.wav"), 1_000).unwrap());
}

#[test]
fn hours_of_silence_in_a_few_bytes_are_refused() {
    let mut output = Output::new(false, RATE);
    output.room = 100;
    let mut add = |length| {
        let sound = Sound { sample_rate: RATE, channels: 1, samples: vec![0.0; length] };
        output.add(sound, &mut Vec::new())
    };
    assert!(add(60).is_ok() && add(40).is_ok());
    let error = add(1).unwrap_err();
    assert!(error.kind() == Kind::InvalidAudio && error.message().contains("so much sound"), "{error}");
}

#[test]
fn a_decoder_that_is_dropped_takes_its_thread_along() {
    for (name, sent) in
        [("opus.webm", 0), ("opus.webm", 70), ("opus.webm", 3_000), ("cbr.mp3", 200), ("native.flac", 20_000)]
    {
        let mut pipe = Pipe::new(Channel::Mix).unwrap();
        pipe.push(&fixture(name)[..sent], |_| Ok(())).unwrap();
        let thread = std::mem::replace(&mut pipe.thread, std::thread::spawn(|| ()));
        drop(pipe);
        thread.join().unwrap(); // does not return if it still waits for bytes
    }
}

#[test]
fn a_thread_that_nobody_takes_sound_from_ends_as_well() {
    let mut pipe = Pipe::new(Channel::Mix).unwrap();
    let refuse = |_| Err(Error::new(Kind::Cancelled, "enough"));
    assert!(pipe.push(&fixture("native.flac"), refuse).is_err());
    let thread = std::mem::replace(&mut pipe.thread, std::thread::spawn(|| ()));
    drop(pipe);
    thread.join().unwrap();
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
    for (name, _) in FIXTURES {
        for round in 0..8 {
            let mut file = fixture(name);
            let range = if round % 2 == 0 { file.len() } else { file.len().min(600) };
            for _ in 0..=next(12) {
                let place = next(range);
                file[place] = [0, 0xff, 0x80, next(256) as u8][next(4)];
            }
            let samples = hear_file(&file, 1 + next(3_000)).map_or(0, |samples| samples.len());
            assert!(samples < 600_000, "{name} grew to {samples} samples");
        }
    }
}
