//! What the built-in voice promises, tried on the real one.

use super::*;
use crate::config::EngineConfig;
use crate::engine::{Weights, say_all};

/// One data folder for all tests and all runs of them.
fn data() -> PathBuf {
    std::env::temp_dir().join("mynah-test-data")
}

fn synthesizer() -> Box<dyn Synthesizer> {
    let load_options = Load { weights: &Weights::BuiltIn, config: &EngineConfig::default(), cache_dir: &data() };
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
    let mut found: Vec<f32> = samples.windows(2 * WINDOW).step_by(400).filter_map(pitch_at).collect();
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
    let best = (80..320).map(|lag| (lag, likeness(lag))).reduce(|a, b| if b.1 > a.1 + 0.02 { b } else { a })?;
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
            assert!(speed > 2.0 || (0.94..1.06).contains(&pitch), "{voice} at {speed}: {pitch}");
        }
    }
}

#[test]
fn pitch_changes_the_pitch_and_not_the_length() {
    for voice in ["en-us", "en-us+f2", "de", "fr+f1"] {
        let plain = spoken(TEXT, voice, 1.0);
        for factor in [0.7, 0.85, 1.2, 1.5, 1.9] {
            if factor > 1.5 && voice.contains('+') {
                // Too high for the measurement above.
                continue;
            }
            let options = SpeakOptions { pitch: factor, ..options(voice, 1.0) };
            let samples = say_all(&mut *synthesizer(), &TEXT.into(), &options, &Cancel::never()).expect(voice).samples;
            let ratio = pitch(&samples) / pitch(&plain) / factor;
            assert!((0.94..1.06).contains(&ratio), "{voice} at {factor}: {ratio}");
            assert!((length(&samples) - length(&plain)).abs() < 0.01, "{voice} at {factor}");
        }
    }
}

#[test]
fn a_voice_speaks_other_languages_as_the_same_speaker() {
    let in_german = |voice: &str, tag: &str| {
        let options = SpeakOptions { language: Some(tag.into()), ..options(voice, 1.0) };
        say_all(&mut *synthesizer(), &"Guten Morgen.".into(), &options, &Cancel::never())
    };
    let expected = spoken("Guten Morgen.", "de+f1", 1.0);
    assert!(in_german("en-us+f1", "de").expect("German").samples == expected);
    assert!(in_german("en-us+f1", "de-AT").expect("German").samples == expected);
    assert!(in_german("en-us", "en").expect("English").samples == spoken("Guten Morgen.", "en-us", 1.0));
    for unknown in ["xx", "", "german", "../de"] {
        let error = in_german("en-us", unknown).expect_err("no such language");
        assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("language")), "{unknown}");
    }
}

#[test]
fn phonemes_are_spoken_in_the_place_of_their_words() {
    let said = |text: &str, phonemes: &[(std::ops::Range<usize>, &str)], voice: &str| {
        let phonemes = phonemes.iter().map(|(range, ipa)| (range.clone(), (*ipa).to_owned())).collect();
        let utterance = Utterance { text: text.into(), phonemes };
        say_all(&mut *synthesizer(), &utterance, &options(voice, 1.0), &Cancel::never()).expect("it speaks").samples
    };
    // The same sounds as the spelling has.
    let plain = said("One yellow banana.", &[], "en-us");
    let given = said("One xxxxx banana.", &[(4..9, "jˈɛloʊ")], "en-us");
    assert!(given == plain, "{} and {} samples", given.len(), plain.len());
    // Sounds of other languages are said as the most similar ones, and nothing is without effect.
    let odd = ["ʁyː", "çˈɪç", "bɔ̃ʒuʁ", "ɡˈʊtn̩", "χɑˈriː"];
    for ipa in odd {
        for voice in ["en-us", "de", "fr", "ru"] {
            let samples = said("Say word now.", &[(4..8, ipa)], voice);
            assert!(length(&samples) > 0.4 && samples != said("Say word now.", &[], voice), "{ipa} in {voice}");
        }
    }
    // What is no sound leaves the word as it is.
    assert!(said("Say word now.", &[(4..8, "]] 12")], "en-us") == said("Say word now.", &[], "en-us"));
}

#[test]
fn text_cannot_pretend_to_be_phonemes() {
    assert!(spoken("Say [[h@l'oU]].", "en-us", 1.0) != spoken("Say hello.", "en-us", 1.0));
    let utterance = Utterance { text: "Say [x]. [[".into(), phonemes: vec![(5..6, "tuː".into())] };
    let samples =
        say_all(&mut *synthesizer(), &utterance, &options("en-us", 1.0), &Cancel::never()).expect("it speaks");
    assert!(samples.duration().as_secs_f32() > 0.3);
}

/// The words of `text` and when they begin, in seconds.
fn marked(text: &str, voice: &str, speed: f32) -> (Vec<(String, f32)>, f32) {
    let (mut marks, mut length) = (Vec::new(), 0.0);
    let mut take = |spoken| {
        match spoken {
            Spoken::Sound(block) => length += block.duration().as_secs_f32(),
            Spoken::Mark(mark) => {
                let word = text[mark.text..].split(|c: char| !c.is_alphanumeric()).next().expect("a word");
                marks.push((word.to_owned(), mark.start.as_secs_f32()));
            }
        }
        Ok(())
    };
    synthesizer().synthesize(&text.into(), &options(voice, speed), &Cancel::never(), &mut take).expect("it speaks");
    (marks, length)
}

#[test]
fn words_are_marked_where_they_begin() {
    let cases = [
        ("en-us", "Hello world.", "Hello world"),
        ("en-us", "Hello, world! How are you? Fine.", "Hello world How are you Fine"),
        ("en-us", "It is \"quoted\" (and bracketed) — yes; I can.", "It is quoted and bracketed yes I can"),
        ("en-us", "a", "a"),
        ("de", "Guten Morgen, wie geht es Ihnen?", "Guten Morgen wie geht es Ihnen"),
        ("ru", "Доброе утро, как дела?", "Доброе утро как дела"),
    ];
    for (voice, text, words) in cases {
        for speed in [0.3, 1.0, 1.7, 4.0] {
            let (marks, length) = marked(text, voice, speed);
            let found: Vec<&str> = marks.iter().map(|(word, _)| word.as_str()).collect();
            assert_eq!(found.join(" "), words, "{voice} at {speed}");
            assert!(marks.windows(2).all(|pair| pair[0].1 < pair[1].1) && marks[0].1 == 0.0, "{marks:?}");
            assert!(marks.iter().all(|(_, start)| *start < length), "{marks:?} in {length}");
        }
    }
    // Each word of a sentence is where it is heard when it is spoken alone up to there.
    let (marks, _) = marked("Seven yellow bananas.", "en-us", 1.0);
    let first = length(&spoken("Seven", "en-us", 1.0));
    assert!((marks[1].1 - first).abs() < 0.15, "{marks:?}, {first}");
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
