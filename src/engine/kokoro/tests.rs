//! Voices that speak tones, which the tests read back: each token is a tone, and the style moves all of them.

use super::*;
use crate::config::EngineConfig;
use crate::engine::{onnx, say_all};
use std::f32::consts::TAU;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/onnx");

/// Samples of a token at the speed of 1.
const TONE: usize = 1200;

/// The settings for a library on this machine; none, with a line that says so, when there is none.
fn library() -> Option<EngineConfig> {
    let named = std::env::var_os("MYNAH_TEST_ONNX_RUNTIME").map(PathBuf::from);
    let config = EngineConfig { onnx_runtime: named, ..EngineConfig::default() };
    if onnx::find(&config, Path::new("")).is_none() {
        println!("skipped: there is no ONNX Runtime on this machine; `scripts/test` fetches it");
        return None;
    }
    Some(config)
}

/// The file of a voice whose styles begin with `first`, and with one tenth more for each token.
fn style(first: f32) -> Vec<u8> {
    let row = |row: usize| {
        std::iter::once(first + row as f32 * 0.1).chain(std::iter::repeat_n(0.0, STYLE - 1)).flat_map(f32::to_le_bytes)
    };
    (0..510).flat_map(row).collect()
}

/// Kokoro with a few voices.
fn folder(model: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(Path::new(FIXTURES).join(model), folder.path().join("model.onnx")).expect("copied");
    fs::create_dir(folder.path().join("voices")).expect("created");
    for (name, first) in [("af_heart", 0.0), ("af_bella", 3.0), ("bm_george", 1.0), ("jf_alpha", 2.0)] {
        fs::write(folder.path().join(format!("voices/{name}.bin")), style(first)).expect("written");
    }
    folder
}

fn open(folder: &Path, config: &EngineConfig, cache_dir: &Path) -> Result<Box<dyn Synthesizer>> {
    load(&Load { weights: &Weights::File(folder.to_owned()), config, cache_dir })?()
}

/// How much of a tone of `hertz` is in `piece`.
fn strength(piece: &[f32], hertz: f32) -> f32 {
    let part = |wave: fn(f32) -> f32| {
        let phase = |i: usize| TAU * hertz * i as f32 / SAMPLE_RATE as f32;
        piece.iter().enumerate().map(|(i, x)| x * wave(phase(i))).sum::<f32>()
    };
    part(f32::sin).hypot(part(f32::cos))
}

/// The tokens in `samples`, spoken in a style that begins with `first`: 0 for silence.
fn heard(samples: &[f32], first: f32) -> Vec<i64> {
    let token = |piece: &[f32]| {
        if piece.iter().all(|sample| sample.abs() < 1e-3) {
            return 0;
        }
        let hertz = |token: &i64| 100.0 + 20.0 * *token as f32 + 100.0 * first;
        (1..178).max_by(|a, b| strength(piece, hertz(a)).total_cmp(&strength(piece, hertz(b)))).expect("tokens")
    };
    samples.chunks(TONE).map(token).collect()
}

fn said(engine: &mut dyn Synthesizer, utterance: &Utterance, options: &SpeakOptions) -> Vec<f32> {
    let said = say_all(engine, utterance, options, &Cancel::never()).expect("it speaks");
    assert_eq!(said.sample_rate, SAMPLE_RATE);
    said.samples
}

/// The tokens of `symbols` between silence.
fn padded(symbols: &str) -> Vec<i64> {
    let (tokens, unknown) = tokens(symbols);
    assert_eq!(unknown, 0);
    [&[0], tokens.as_slice(), &[0]].concat()
}

fn options(voice: &str) -> SpeakOptions {
    SpeakOptions::of_voice(voice)
}

#[test]
fn sounds_are_spelled_as_kokoro_does() {
    let spelled = |phonemes: &str, voice: &str| symbols::of(phonemes, language_of(voice).expect("a language"));
    let cases = [
        ("dʒˈʌdʒ tʃˈɜːtʃ", "af_heart", "ʤˈʌʤ ʧˈɜɹʧ"),
        ("dˈeɪ naɪt hˈaʊ bˈɔɪ ɡˈoʊ", "af_heart", "dˈA nIt hˈW bˈY ɡˈO"),
        ("bˈʌɾɚ, ɹˈɛd fˈɑːðɚ.", "af_heart", "bˈʌTəɹ, ɹˈɛd fˈɑðəɹ."),
        ("ɡˈəʊ bˈeə fˈɑːðə", "bm_george", "ɡˈQ bˈɛː fˈɑːðə"),
        ("tsˈio dʒˈɔɾno", "if_sara", "ʦˈio ʤˈɔɾno"),
    ];
    for (phonemes, voice, symbols) in cases {
        assert_eq!(spelled(phonemes, voice), symbols);
        assert_eq!(tokens(symbols).1, 0, "{symbols}");
    }
}

#[cfg(feature = "espeak")]
#[test]
fn a_text_is_spoken_in_the_style_for_its_length() {
    let Some(config) = library() else { return };
    let (folder, cache) = (folder("kokoro.onnx"), tempfile::tempdir().expect("a folder"));
    let mut engine = open(folder.path(), &config, cache.path()).expect("Kokoro");
    let expected = padded("həlˈO wˈɜɹld.");
    // Each of the tokens moves the style by a tenth.
    let row = (expected.len() - 2) as f32 * 0.1;
    let utterance = "Hello world.".into();
    assert_eq!(heard(&said(&mut *engine, &utterance, &options("af_heart")), row), expected);
    assert_eq!(heard(&said(&mut *engine, &utterance, &options("af_bella")), 3.0 + row), expected);
    let british = padded("həlˈQ wˈɜːld.");
    let row = (british.len() - 2) as f32 * 0.1;
    assert_eq!(heard(&said(&mut *engine, &utterance, &options("bm_george")), 1.0 + row), british);
    let asked = SpeakOptions { language: Some("en-GB".into()), ..options("af_heart") };
    assert_eq!(heard(&said(&mut *engine, &utterance, &asked), row), british);
}

#[cfg(feature = "espeak")]
#[test]
fn voices_are_blended_by_their_shares() {
    let Some(config) = library() else { return };
    let (folder, cache) = (folder("kokoro.onnx"), tempfile::tempdir().expect("a folder"));
    let mut engine = open(folder.path(), &config, cache.path()).expect("Kokoro");
    let expected = padded("nˈO");
    let row = (expected.len() - 2) as f32 * 0.1;
    let blends = [("af_heart+af_bella", 1.5), ("af_heart(2)+af_bella(1)", 1.0), ("af_heart(1) + af_bella(3)", 2.25)];
    for (blend, first) in blends {
        assert_eq!(heard(&said(&mut *engine, &"No".into(), &options(blend)), first + row), expected, "{blend}");
    }
    let many = vec!["af_heart"; 17].join("+");
    for wrong in
        ["", "af_nobody", "af_heart+", "af_heart(x)", "af_heart(0)", "af_heart(-1)+af_bella", "jf_alpha", &many]
    {
        if wrong.is_empty() {
            continue;
        }
        let error = say_all(&mut *engine, &"No".into(), &options(wrong), &Cancel::never()).expect_err("no such voice");
        assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("voice")), "{wrong}");
    }
    let japanese = SpeakOptions { language: Some("ja".into()), ..options("af_heart") };
    let error = say_all(&mut *engine, &"No".into(), &japanese, &Cancel::never()).expect_err("no phonemes");
    assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("language")));
}

#[cfg(feature = "espeak")]
#[test]
fn speed_is_heard_also_from_models_that_know_whole_ones_only() {
    let Some(config) = library() else { return };
    for model in ["kokoro.onnx", "kokoro-whole-speeds.onnx"] {
        let (folder, cache) = (folder(model), tempfile::tempdir().expect("a folder"));
        let mut engine = open(folder.path(), &config, cache.path()).expect("Kokoro");
        let plain = said(&mut *engine, &"See the sea.".into(), &options("af_heart"));
        for speed in [0.25, 0.7, 1.5, 2.0, 4.0] {
            let samples = said(&mut *engine, &"See the sea.".into(), &SpeakOptions { speed, ..options("af_heart") });
            let ratio = samples.len() as f32 * speed / plain.len() as f32;
            assert!((0.99..1.01).contains(&ratio), "{model} at {speed}: {ratio}");
        }
    }
}

#[cfg(feature = "espeak")]
#[test]
fn long_texts_are_spoken_in_pieces_that_the_model_takes() {
    let Some(config) = library() else { return };
    let (folder, cache) = (folder("kokoro.onnx"), tempfile::tempdir().expect("a folder"));
    let mut engine = open(folder.path(), &config, cache.path()).expect("Kokoro");
    let mut lengths = Vec::new();
    let mut take = |spoken| {
        if let Spoken::Sound(block) = spoken {
            lengths.push(block.samples.len() / TONE);
        }
        Ok(())
    };
    let text = "This is one of many clauses, and another; ".repeat(40);
    engine.synthesize(&text.as_str().into(), &options("af_heart"), &Cancel::never(), &mut take).expect("it speaks");
    assert!(lengths.len() >= 3 && lengths.iter().all(|length| *length <= LONGEST + 2), "{lengths:?}");
    let silence = said(&mut *engine, &" ... ".into(), &options("af_heart"));
    assert!(silence.iter().all(|sample| *sample == 0.0) && silence.len() == NOTHING);
}

#[test]
fn voices_of_languages_that_can_be_spoken_are_listed() {
    let folder = folder("kokoro.onnx");
    let listed = voices(&Weights::File(folder.path().to_owned()));
    let found: Vec<_> = listed.iter().map(|it| (it.id.as_str(), it.name.as_str(), it.language.as_str())).collect();
    let expected = [("af_bella", "Bella", "en-US"), ("af_heart", "Heart", "en-US"), ("bm_george", "George", "en-GB")];
    assert_eq!(found, expected);
    assert!(voices(&Weights::BuiltIn).is_empty() && voices(&Weights::File("missing".into())).is_empty());
}

/// An archive of one file as NumPy writes it, deflated or not.
fn archive(name: &str, content: &[u8], deflated: bool) -> Vec<u8> {
    let mut stored = content.to_vec();
    if deflated {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).expect("in memory");
        stored = encoder.finish().expect("in memory");
    }
    let (method, name_size) = (u16::from(deflated) * 8, name.len() as u16);
    let sizes = [(stored.len() as u32).to_le_bytes(), (content.len() as u32).to_le_bytes()].concat();
    let common = [&[20, 0, 0, 0], &method.to_le_bytes()[..], &[0; 8]].concat();
    let unknown_sizes = [0xFF; 8];
    let mut bytes = [b"PK\x03\x04", &common[..], &unknown_sizes, &name_size.to_le_bytes(), &[0, 0]].concat();
    bytes.extend([name.as_bytes(), &stored].concat());
    let start = bytes.len() as u32;
    bytes.extend([b"PK\x01\x02", &[20, 0][..], &common, &sizes, &name_size.to_le_bytes(), &[0; 16]].concat());
    bytes.extend(name.as_bytes());
    let size = bytes.len() as u32 - start;
    bytes.extend(
        [b"PK\x05\x06", &[0; 4][..], &[1, 0, 1, 0], &size.to_le_bytes(), &start.to_le_bytes(), &[0; 2]].concat(),
    );
    bytes
}

/// `numbers` as NumPy writes them.
fn array(numbers: &[u8]) -> Vec<u8> {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (510, 1, 256), }\n";
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), numbers].concat()
}

#[test]
fn an_archive_of_voices_is_as_good_as_files() {
    for deflated in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("kokoro.onnx"), "").expect("written");
        let bytes = archive("af_sky.npy", &array(&style(4.0)), deflated);
        fs::write(folder.path().join("voices-v1.0.bin"), &bytes).expect("written");
        let files = VoiceFiles::read(folder.path()).expect("voices");
        let (language, style) = files.voice("af_sky").expect("a voice");
        assert_eq!((language.tag, style.for_tokens(10)[0], style.for_tokens(600)[0]), ("en-US", 5.0, 54.9));
        assert_eq!(VoiceFiles::names(folder.path()), ["af_sky"]);
        for damage in [10, bytes.len() / 2, bytes.len() - 30] {
            fs::write(folder.path().join("voices-v1.0.bin"), &bytes[..damage]).expect("written");
            let error = VoiceFiles::read(folder.path()).err().expect("a damaged archive");
            assert!(error.kind() == Kind::Unavailable && error.message().contains("voices-v1.0.bin"), "{error}");
        }
    }
}

#[test]
fn files_that_are_no_voices_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = || VoiceFiles::read(folder.path()).err().expect("no Kokoro").message().to_owned();
    assert!(refused().contains(".onnx"));
    fs::write(folder.path().join("model.onnx"), "not a model").expect("written");
    assert!(refused().contains("no voice"));
    fs::write(folder.path().join("af_heart.bin"), [0; 1000]).expect("written");
    assert!(refused().contains("af_heart.bin") && refused().contains("1000 bytes of numbers instead of 522240"));
    fs::write(folder.path().join("af_heart.bin"), style(f32::NAN)).expect("written");
    assert!(refused().contains("numbers"));
    fs::write(folder.path().join("af_heart.bin"), style(0.0)).expect("written");
    let Some(config) = library() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    for model in ["wespeaker.onnx", "en_US-tones-medium.onnx"] {
        fs::copy(Path::new(FIXTURES).join(model), folder.path().join("model.onnx")).expect("copied");
        let error = open(folder.path(), &config, cache.path()).err().expect("no Kokoro");
        assert!(error.kind() == Kind::Unavailable, "{error}");
    }
}
