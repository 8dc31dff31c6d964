//! What the built-in voice promises, tried on the real one.

use super::*;
use crate::config::EngineConfig;
use crate::engine::{Weights, say_all};
use std::sync::OnceLock;

/// One data folder for all tests.
fn data() -> &'static Path {
    static DATA: OnceLock<tempfile::TempDir> = OnceLock::new();
    DATA.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path()
}

fn synthesizer() -> Box<dyn Synthesizer> {
    let load_options = Load { weights: &Weights::BuiltIn, config: &EngineConfig::default(), cache_dir: data() };
    load(&load_options).expect("the data can be written")().expect("an engine")
}

fn options(voice: &str, speed: f32) -> SpeakOptions {
    SpeakOptions { speed, ..SpeakOptions::of_voice(voice) }
}

fn spoken(text: &str, voice: &str, speed: f32) -> Vec<f32> {
    let said = say_all(&mut *synthesizer(), &text.into(), &options(voice, speed), &Cancel::never())
        .unwrap_or_else(|error| panic!("{voice} says {text:?}: {error}"));
    assert_eq!(said.sample_rate, SAMPLE_RATE);
    said.samples
}

/// The level of the parts that are not silent.
fn loudness(samples: &[f32]) -> f32 {
    let loud: Vec<f32> = samples.iter().copied().filter(|sample| sample.abs() > 0.01).collect();
    (loud.iter().map(|sample| sample * sample).sum::<f32>() / loud.len().max(1) as f32).sqrt()
}

/// The median pitch of the voiced parts, in hertz.
fn pitch(samples: &[f32]) -> f32 {
    const WINDOW: usize = 512;
    let step = samples.len() / 40;
    let mut found: Vec<f32> = samples.windows(2 * WINDOW).step_by(step).filter_map(pitch_at).collect();
    found.sort_by(f32::total_cmp);
    found.get(found.len() / 2).copied().unwrap_or_default()
}

fn pitch_at(window: &[f32]) -> Option<f32> {
    let half = window.len() / 2;
    let energy = |from: usize| window[from..from + half].iter().map(|x| x * x).sum::<f32>();
    if energy(0) / (half as f32) < 0.002 {
        return None;
    }
    let likeness = |lag: usize| {
        let product: f32 = (0..half).map(|i| window[i] * window[i + lag]).sum();
        product / (energy(0) * energy(lag)).sqrt()
    };
    let best = (80..280).map(|lag| (lag, likeness(lag))).reduce(|a, b| if b.1 > a.1 + 0.02 { b } else { a })?;
    (best.1 > 0.8).then_some(SAMPLE_RATE as f32 / best.0 as f32)
}

const TEXT: &str = "The quick brown fox jumps over the lazy dog, and then it runs away into the forest.";

/// In seconds.
fn length(samples: &[f32]) -> f32 {
    samples.len() as f32 / SAMPLE_RATE as f32
}

#[test]
fn voices_have_names_of_their_own() {
    let mut ids: Vec<String> = voices().into_iter().map(|voice| voice.id).collect();
    ids.sort();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(ids.iter().all(|id| voices::speaker(id).is_some()));
    assert!(
        ["en-us", "en-gb+f2", "de", "fr", "es", "it", "pt", "pt-br"]
            .iter()
            .all(|id| ids.iter().any(|known| known == id))
    );
}

#[test]
fn an_unknown_voice_is_the_fault_of_the_request() {
    for voice in ["", "xx", "en-us+nobody", "en-us+../../etc/passwd", "+f1"] {
        let result = synthesizer().synthesize(&"Hi.".into(), &options(voice, 1.0), &Cancel::never(), &mut |_| Ok(()));
        let error = result.expect_err("no such voice");
        assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("voice")), "{voice}");
    }
}

#[test]
fn every_language_speaks_without_clipping() {
    let plain = loudness(&spoken("One, two, three, radio.", "en-us", 1.0));
    for voice in voices().iter().filter(|voice| !voice.id.contains('+')) {
        let samples = spoken("Radio 1, 2, 3.", &voice.id, 1.0);
        let ratio = loudness(&samples) / plain;
        assert!(length(&samples) > 0.3 && (0.5..1.6).contains(&ratio), "{}: {ratio}", voice.id);
        assert!(samples.iter().all(|sample| sample.abs() < 1.0), "{}", voice.id);
    }
}

#[test]
fn variants_are_other_speakers_of_the_same_loudness() {
    let plain = spoken(TEXT, "en-us", 1.0);
    let mut heard = vec![plain.clone()];
    for voice in voices().iter().filter(|voice| voice.id.starts_with("en-us+")) {
        let samples = spoken(TEXT, &voice.id, 1.0);
        let ratio = loudness(&samples) / loudness(&plain);
        assert!((0.85..1.15).contains(&ratio), "{}: {ratio}", voice.id);
        assert!(heard.iter().all(|other| *other != samples), "{} sounds like another", voice.id);
        heard.push(samples);
    }
}

#[test]
fn speed_changes_the_length_and_not_the_pitch() {
    for voice in ["en-us", "de"] {
        let plain = spoken(TEXT, voice, 1.0);
        for speed in [0.25, 0.5, 0.75, 1.5, 2.0, 4.0] {
            let samples = spoken(TEXT, voice, speed);
            let ratio = length(&samples) / length(&plain) * speed;
            let pitch = pitch(&samples) / pitch(&plain);
            assert!((0.9..1.1).contains(&ratio), "{voice} at {speed}: {ratio}");
            // Four times as fast the windows are too short to measure it; `Stretch` has its own test.
            assert!(speed > 2.0 || (0.96..1.04).contains(&pitch), "{voice} at {speed}: {pitch}");
        }
    }
}

#[test]
fn no_text_breaks_it() {
    let long_word = "Donaudampfschifffahrt".repeat(14);
    let digits = "9".repeat(280);
    let texts = [
        "",
        " ",
        "...",
        "?!",
        "\u{0}\u{1}5P\u{1}90S\u{7f}",
        "😀👩‍👩‍👧‍👦🇩🇪🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "مرحبا بالعالم",
        "שלום עולם",
        "\u{202e}desrever\u{202c}",
        "你好，世界 hello привет",
        "日本語のテスト",
        "한국어 테스트",
        "สวัสดีชาวโลก",
        "नमस्ते दुनिया",
        "e\u{301}\u{302}\u{303}\u{304}",
        "a\u{200d}b\u{200c}c\u{feff}",
        "[[h@l'oU]]",
        "[[",
        "<speak>&lt;&#0;</speak>",
        "$1,234.56 €5 £3.20 ¥100 50% 1/2 3.5e-10 0x1F",
        "1234567890123456789012345678901234567890",
        "-1 -- --- – — _ _ _",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "http://user:pw@example.com/a?b=c&d=%20#e",
        "C++ C# .NET @me #tag",
        "xX'’ʼ“”„«»‹›",
        "ﷺ ﷽ 𝕳𝖊𝖑𝖑𝖔 Ｈｅｌｌｏ ① ½ ²",
        "\u{fffd}\u{e000}\u{10ffff}",
        "MCMXCIX IV. XIII",
        "12:34:56 2024-02-30 31.12.1999",
        &long_word,
        &digits,
    ];
    for voice in ["en-us", "de", "cmn", "ar", "hi"] {
        for text in texts {
            let samples = spoken(text, voice, 1.0);
            assert!(!samples.is_empty() && samples.iter().all(|sample| sample.abs() < 1.0), "{voice}: {text:?}");
        }
    }
}

#[test]
fn sound_comes_clause_by_clause_and_stops_when_nobody_listens() {
    let text = "First a clause, then another, and a third.";
    let mut blocks = 0;
    let mut count = |_| {
        blocks += 1;
        Ok(())
    };
    synthesizer().synthesize(&text.into(), &options("en-us", 1.0), &Cancel::never(), &mut count).expect("it speaks");
    assert!(blocks >= 3, "{blocks}");

    let cancelled =
        synthesizer().synthesize(&text.into(), &options("en-us", 1.0), &Cancel::new(&|| true), &mut |_| Ok(()));
    assert_eq!(cancelled.expect_err("nobody listens").kind(), Kind::Cancelled);

    let mut given = 0;
    let mut refuse = |_| {
        given += 1;
        Err(Error::new(Kind::Cancelled, "enough"))
    };
    let stopped = synthesizer().synthesize(&text.into(), &options("en-us", 3.0), &Cancel::never(), &mut refuse);
    assert_eq!((stopped.expect_err("refused").message(), given), ("enough", 1));
}

#[test]
fn the_data_is_installed_whole_and_a_damaged_one_is_replaced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cache = folder.path().join("not/yet/there");
    let both = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| install(&cache))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic").expect("installed")).collect::<Vec<_>>()
    });
    assert_eq!(both[0], both[1]);
    assert!(works(&both[0]));
    assert_eq!(fs::read_dir(&cache).expect("a folder").count(), 1, "nothing is left beside it");
    fs::remove_file(both[0].join("phontab")).expect("removed");
    assert!(!works(&both[0]));
    assert!(works(&install(&cache).expect("installed again")));
    assert_eq!(fs::read_dir(&cache).expect("a folder").count(), 1);
}

#[test]
fn a_disk_that_refuses_is_unavailable() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let error = install(&file.path().join("cache")).expect_err("a file is no folder");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("cache"), "{error}");
}
