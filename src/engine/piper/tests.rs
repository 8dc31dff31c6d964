//! Voices that speak tones, which the tests read back: each phoneme is a tone of its own.

use super::*;
use crate::config::EngineConfig;
use crate::engine::{onnx, say_all};
use std::f32::consts::TAU;
use std::fs;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/onnx");
const RATE: u32 = 22_050;

/// Samples of a phoneme at the speed of 1.
const TONE: usize = 1024;

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

fn fixture(name: &str) -> Weights {
    Weights::File(Path::new(FIXTURES).join(format!("{name}.onnx")))
}

/// A voice that speaks tones, with the description that `edit` makes of its own.
fn edited(edit: impl FnOnce(&mut serde_json::Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let original = Path::new(FIXTURES).join("en_US-tones-medium.onnx");
    fs::copy(&original, folder.path().join("voice.onnx")).expect("copied");
    let text = fs::read_to_string(format!("{}.json", original.display())).expect("a description");
    let mut description = serde_json::from_str(&text).expect("JSON");
    edit(&mut description);
    fs::write(folder.path().join("voice.onnx.json"), description.to_string()).expect("written");
    folder
}

fn open(weights: &Weights, config: &EngineConfig, cache_dir: &Path) -> Result<Box<dyn Synthesizer>> {
    load(&Load { weights, config, cache_dir })?()
}

/// Everything that an engine says, and the engine's ids behind it.
fn said(engine: &mut dyn Synthesizer, utterance: &Utterance, options: &SpeakOptions) -> Vec<f32> {
    let said = say_all(engine, utterance, options, &Cancel::never()).expect("it speaks");
    assert_eq!(said.sample_rate, RATE);
    said.samples
}

/// How much of a tone of `hertz` is in `piece`.
fn strength(piece: &[f32], hertz: f32) -> f32 {
    let part = |wave: fn(f32) -> f32| {
        piece.iter().enumerate().map(|(i, x)| x * wave(TAU * hertz * i as f32 / RATE as f32)).sum::<f32>()
    };
    part(f32::sin).hypot(part(f32::cos))
}

/// The frequency that is heard most in `piece`, in hertz.
fn dominant(piece: &[f32]) -> f32 {
    let candidates = (10..500).map(|step| step as f32 * 5.0);
    candidates.max_by(|a, b| strength(piece, *a).total_cmp(&strength(piece, *b))).expect("candidates")
}

/// The numbers that are heard in pieces of `samples` of `length`: 0 for silence.
fn heard(samples: &[f32], length: usize, base: f32) -> Vec<i64> {
    let number = |piece: &[f32]| {
        if piece.iter().all(|sample| sample.abs() < 1e-3) {
            return 0;
        }
        let hertz = |id: &i64| base + 20.0 * *id as f32;
        (3..80).max_by(|a, b| strength(piece, hertz(a)).total_cmp(&strength(piece, hertz(b)))).expect("numbers")
    };
    samples.chunks(length).map(number).collect()
}

/// What `phonemes` sound like, from the description of the fixture.
fn numbers(phonemes: &str) -> Vec<i64> {
    let files = Files::read(&fixture("en_US-tones-medium")).expect("a voice");
    let (ids, unknown) = files.description.ids(phonemes);
    assert_eq!(unknown, 0);
    ids.iter().map(|id| if *id > 2 { *id } else { 0 }).collect()
}

fn options(voice: &str) -> SpeakOptions {
    SpeakOptions::of_voice(voice)
}

#[cfg(feature = "espeak")]
#[test]
fn a_text_is_spoken_phoneme_by_phoneme_and_sentence_by_sentence() {
    let Some(config) = library() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    let mut engine = open(&fixture("en_US-tones-medium"), &config, cache.path()).expect("a voice");
    let mut blocks = Vec::new();
    let mut take = |spoken| {
        if let Spoken::Sound(block) = spoken {
            blocks.push(heard(&block.samples, TONE, 100.0));
        }
        Ok(())
    };
    let text = "Hello, world! Good night.".into();
    engine.synthesize(&text, &options("en_US-tones-medium"), &Cancel::never(), &mut take).expect("it speaks");
    assert_eq!(blocks, [numbers("həlˈoʊ, wˈɜːld!"), numbers("ɡˈʊd nˈaɪt.")]);
}

#[cfg(feature = "espeak")]
#[test]
fn phonemes_of_the_caller_stand_in_the_place_of_words() {
    let Some(config) = library() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    let mut engine = open(&fixture("en_US-tones-medium"), &config, cache.path()).expect("a voice");
    let text = "Hello, Xiomara now.";
    let utterance = Utterance { text: text.into(), phonemes: vec![(7..14, "/tˈuː.ʃə/".into())] };
    let samples = said(&mut *engine, &utterance, &options(""));
    assert_eq!(heard(&samples, TONE, 100.0), numbers("həlˈoʊ, tˈuːʃə nˈaʊ."));
}

#[cfg(feature = "espeak")]
#[test]
fn speed_pitch_and_language_are_heard() {
    let Some(config) = library() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    let mut engine = open(&fixture("en_US-tones-medium"), &config, cache.path()).expect("a voice");
    let text = "See the sea.".into();
    let plain = said(&mut *engine, &text, &options("default"));
    for speed in [0.25, 0.5, 0.8, 1.6, 2.0, 4.0] {
        let samples = said(&mut *engine, &text, &SpeakOptions { speed, ..options("default") });
        let ratio = samples.len() as f32 * speed / plain.len() as f32;
        assert!((0.99..1.01).contains(&ratio), "{speed}: {ratio}");
    }
    // Of the first phoneme.
    let hertz = dominant(&plain[2 * TONE..3 * TONE]);
    for pitch in [0.7, 1.5] {
        let samples = said(&mut *engine, &text, &SpeakOptions { pitch, ..options("default") });
        let ratio = dominant(&samples[2 * TONE..3 * TONE]) / hertz / pitch;
        assert!((0.97..1.03).contains(&ratio) && samples.len().abs_diff(plain.len()) < 9, "{pitch}: {ratio}");
    }
    let german = SpeakOptions { language: Some("de-DE".into()), ..options("default") };
    let samples = said(&mut *engine, &"die See".into(), &german);
    assert_eq!(heard(&samples, TONE, 100.0), numbers("diː zˈeː"));
    let unknown = SpeakOptions { language: Some("tlhIngan".into()), ..options("default") };
    let error = say_all(&mut *engine, &text, &unknown, &Cancel::never()).expect_err("no such language");
    assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("language")));
}

#[cfg(feature = "espeak")]
#[test]
fn a_voice_with_speakers_speaks_as_the_one_that_is_asked_for() {
    let Some(config) = library() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    let weights = fixture("en_US-choir-medium");
    let ids: Vec<String> = voices(&weights).into_iter().map(|voice| voice.id).collect();
    assert_eq!(ids, ["en_US-choir-medium#alice", "en_US-choir-medium#bob", "en_US-choir-medium#carol"]);
    let mut engine = open(&weights, &config, cache.path()).expect("a voice");
    let cases = [("", 100.0), ("#alice", 100.0), ("#bob", 130.0), ("#carol", 160.0), ("#2", 160.0)];
    for (speaker, base) in cases {
        let samples = said(&mut *engine, &"no".into(), &options(&format!("en_US-choir-medium{speaker}")));
        assert_eq!(heard(&samples, TONE, base), numbers("nˈoʊ"), "{speaker}");
    }
    for wrong in ["en_US-choir-medium#dave", "en_US-choir-medium#3", "en_US-choir-medium#-1", "other", "other#bob"] {
        let error = say_all(&mut *engine, &"no".into(), &options(wrong), &Cancel::never()).expect_err("no such voice");
        assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("voice")), "{wrong}");
    }
}

#[test]
fn a_voice_that_takes_letters_needs_no_phonemes() {
    let Some(config) = library() else { return };
    let folder = edited(|description| description["phoneme_type"] = "text".into());
    let weights = Weights::File(folder.path().to_owned());
    let mut engine = open(&weights, &config, Path::new("unused")).expect("a voice");
    // What it does not know is left out; a capital letter is spoken as a small one.
    let samples = said(&mut *engine, &"No ñ, 7!".into(), &options("voice"));
    assert_eq!(heard(&samples, TONE, 100.0), numbers("no n\u{303}, !"));
    let german = SpeakOptions { language: Some("de".into()), ..options("voice") };
    let error = say_all(&mut *engine, &"No".into(), &german, &Cancel::never()).expect_err("letters of English");
    assert_eq!(error.param(), Some("language"));
}

#[test]
fn text_without_anything_to_say_is_a_short_silence() {
    let Some(config) = library() else { return };
    let folder = edited(|description| description["phoneme_type"] = "text".into());
    let mut engine = open(&Weights::File(folder.path().to_owned()), &config, Path::new("unused")).expect("a voice");
    for text in ["", " \n", "...", "?!"] {
        let samples = said(&mut *engine, &text.into(), &options("voice"));
        assert!(samples.len() < RATE as usize && samples.iter().all(|sample| *sample == 0.0), "{text:?}");
    }
}

#[test]
fn long_texts_are_spoken_in_pieces_as_loud_as_each_other() {
    let Some(config) = library() else { return };
    let folder = edited(|description| description["phoneme_type"] = "text".into());
    let mut engine = open(&Weights::File(folder.path().to_owned()), &config, Path::new("unused")).expect("a voice");
    let text = "mamma ".repeat(300);
    let mut levels = Vec::new();
    let mut take = |spoken| {
        if let Spoken::Sound(block) = spoken {
            assert!(block.samples.len() <= (2 * LONGEST + 3) * TONE);
            levels.push(loudness::speech_level(&block.samples, RATE));
        }
        Ok(())
    };
    engine.synthesize(&text.as_str().into(), &options("voice"), &Cancel::never(), &mut take).expect("it speaks");
    assert!(levels.len() >= 6 && levels.iter().all(|level| (level / levels[0] - 1.0).abs() < 0.05), "{levels:?}");
}

#[test]
fn nobody_who_has_left_is_spoken_to() {
    let Some(config) = library() else { return };
    let folder = edited(|description| description["phoneme_type"] = "text".into());
    let mut engine = open(&Weights::File(folder.path().to_owned()), &config, Path::new("unused")).expect("a voice");
    let refused = engine.synthesize(&"no".into(), &options("voice"), &Cancel::never(), &mut |_| {
        Err(Error::new(Kind::Cancelled, "enough"))
    });
    assert_eq!(refused.expect_err("refused").message(), "enough");
    let left = Cancel::new(&|| true);
    let mut never = |_| panic!("nobody listens");
    let cancelled = engine.synthesize(&"no".into(), &options("voice"), &left, &mut never);
    assert_eq!(cancelled.expect_err("nobody listens").kind(), Kind::Cancelled);
}

#[test]
fn files_that_are_no_voice_are_refused_with_the_reason() {
    let folder = edited(|description| description["phoneme_type"] = "text".into());
    let path = folder.path();
    let refused = |weights: &Weights| Files::read(weights).err().expect("no voice");
    fs::write(path.join("voice.onnx.json"), "{}").expect("written");
    let error = refused(&Weights::File(path.join("voice.onnx")));
    assert!(error.kind() == Kind::Unavailable && error.message().contains("voice.onnx.json"), "{error}");
    fs::remove_file(path.join("voice.onnx.json")).expect("removed");
    assert!(refused(&Weights::File(path.to_owned())).message().contains("does not exist"));
    fs::write(path.join("other.onnx"), "").expect("written");
    assert!(refused(&Weights::File(path.to_owned())).message().contains("more than one"));
    let empty = tempfile::tempdir().expect("a folder");
    assert!(refused(&Weights::File(empty.path().to_owned())).message().contains("no .onnx file"));
    assert!(voices(&Weights::BuiltIn).is_empty() && voices(&Weights::File("missing".into())).is_empty());
    let faults: [(&str, serde_json::Value); 4] = [
        ("audio", serde_json::json!({"sample_rate": 5})),
        ("phoneme_id_map", serde_json::json!({"a": [1]})),
        ("inference", serde_json::json!({"length_scale": 0.0})),
        ("phoneme_type", "pinyin".into()),
    ];
    for (key, value) in faults {
        let folder = edited(|description| description[key] = value);
        assert_eq!(refused(&Weights::File(folder.path().to_owned())).kind(), Kind::Unavailable, "{key}");
    }
}

#[test]
fn a_model_of_another_kind_is_refused_with_its_name() {
    let Some(config) = library() else { return };
    let folder = edited(|description| description["phoneme_type"] = "text".into());
    let weights = Weights::File(folder.path().join("voice.onnx"));
    fs::copy(Path::new(FIXTURES).join("wespeaker.onnx"), folder.path().join("voice.onnx")).expect("copied");
    let error = open(&weights, &config, Path::new("unused")).err().expect("no voice");
    assert!(error.kind() == Kind::Unavailable && error.message().contains("voice.onnx"), "{error}");
    fs::write(folder.path().join("voice.onnx"), "not a model").expect("written");
    let error = open(&weights, &config, Path::new("unused")).err().expect("no model");
    assert!(error.kind() == Kind::Unavailable && error.message().contains("voice.onnx"), "{error}");
}

#[test]
fn vowels_that_belong_together_are_one_phoneme() {
    let folder = edited(|description| {
        description["vowel_clusters"] = serde_json::json!([["a", "ɪ"]]);
        description["phoneme_id_map"]["aɪ"] = serde_json::json!([99]);
    });
    let files = Files::read(&Weights::File(folder.path().to_owned())).expect("a voice");
    let ids = |phonemes| files.description.ids(phonemes).0.into_iter().filter(|id| *id > 2).collect::<Vec<_>>();
    assert_eq!(ids("aɪ"), [99]);
    assert_eq!(ids("aʊ").len(), 2);
}

#[test]
fn the_provider_of_the_configuration_is_asked_for() {
    let Some(config) = library() else { return };
    let folder = edited(|description| description["phoneme_type"] = "text".into());
    let config = EngineConfig { onnx_provider: crate::config::OnnxProvider::CoreMl, ..config };
    if cfg!(target_os = "macos") {
        return;
    }
    let error = open(&Weights::File(folder.path().to_owned()), &config, Path::new("")).err().expect("no such provider");
    assert!(error.kind() == Kind::Unavailable && error.message().contains("coreml"), "{error}");
}

/// A voice with a vocoder, in one and in two parts.
fn with_vocoder(config: &EngineConfig, cache_dir: &Path) -> (Piper, Piper) {
    let files = Files::read(&fixture("vits")).expect("a voice");
    let mut files = Files { ..files };
    files.description.inference.noise_scale = 0.0;
    let files = Arc::new(files);
    let open = || {
        let session = Session::open("vits", Model::File(&files.model), config, cache_dir).expect("a model");
        let rules = Some(phonemes::rules(cache_dir).expect("rules"));
        Piper::new(files.clone(), session, rules, Gains::default()).expect("a voice")
    };
    let (whole, mut parts) = (open(), open());
    parts.model = Voices::Parts(Parts::open(&files.model, config, cache_dir).expect("it loads").expect("a vocoder"));
    (whole, parts)
}

#[test]
fn a_voice_in_two_parts_says_the_same_and_says_it_sooner() {
    let Some(config) = library() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    let (mut whole, mut parts) = with_vocoder(&config, cache.path());
    let text = "Good morning, dear listeners, this is the news of the day, and it is rather long.";
    let blocks = |engine: &mut Piper| {
        let mut blocks = Vec::new();
        let mut take = |spoken| {
            if let Spoken::Sound(block) = spoken {
                blocks.push(block.samples);
            }
            Ok(())
        };
        let options = SpeakOptions { soon: true, ..options("vits") };
        engine.synthesize(&text.into(), &options, &Cancel::never(), &mut take).expect("it speaks");
        blocks
    };
    let (one, several) = (blocks(&mut whole), blocks(&mut parts));
    assert!(several.len() > 2 && several[0].len() * 10 < one[0].len(), "{} blocks", several.len());
    let several = several.concat();
    assert_eq!(one[0].len(), several.len());
    let loudest = one[0].iter().fold(0.0_f32, |loudest, sample| loudest.max(sample.abs()));
    let off = one[0].iter().zip(&several).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(loudest > 0.05 && off < 1e-3, "{off} of {loudest}");
}

#[test]
fn a_voice_in_two_parts_stops_between_stretches() {
    let Some(config) = library() else { return };
    let cache = tempfile::tempdir().expect("a folder");
    let (_, mut parts) = with_vocoder(&config, cache.path());
    parts.gain(0, &Cancel::never()).expect("it counts");
    let mut given = 0;
    let mut refuse = |_| {
        given += 1;
        Err(Error::new(Kind::Cancelled, "enough"))
    };
    let text = "Good morning, dear listeners, this is the news of the day.";
    let options = SpeakOptions { soon: true, ..options("vits") };
    let stopped = parts.synthesize(&text.into(), &options, &Cancel::never(), &mut refuse);
    assert_eq!((stopped.expect_err("refused").message(), given), ("enough", 1));
}
