//! A model that knows languages, made of the one that is built in: tests of what only such models do.

use super::*;
use crate::config::EngineConfig;
use crate::engine::spoken::speak;

const MODEL: &[u8] = include_bytes!("../../../models/demo/mynah-demo.en-q8_0.bin");

/// What a row of the embedding takes: blocks of 32 values in 34 bytes.
const ROW: usize = 192 / 32 * 34;

/// The tokens of the English model: the end of the text, the language `de`, which it never saw, and 0.00 s.
const END_OF_TEXT: usize = 50_256;
const GERMAN: usize = 50_260;
const FIRST_TIME: usize = 50_363;

/// Multilingual models have one token more, in front of the end of the text, and so whisper.cpp knows them. The row of
/// `de` becomes that of 0.00 s, which the model likes best at the beginning: German is what it hears.
fn multilingual() -> Vec<u8> {
    let name = b"decoder.token_embedding.weight";
    let at = MODEL.windows(name.len()).position(|bytes| bytes == name).expect("the embedding has that name");
    let rows = at + name.len();
    let row = |token: usize| &MODEL[rows + token * ROW..][..ROW];
    let size = u32::from_le_bytes(MODEL[4..8].try_into().expect("four bytes"));
    assert_eq!(MODEL[at - 4..at], size.to_le_bytes(), "the rows are as many as the tokens");
    let more = (size + 1).to_le_bytes();
    [
        &MODEL[..4],
        &more,
        &MODEL[8..at - 4],
        &more,
        &MODEL[at..rows + END_OF_TEXT * ROW],
        row(GERMAN),
        &MODEL[rows + END_OF_TEXT * ROW..rows + GERMAN * ROW],
        row(FIRST_TIME),
        &MODEL[rows + (GERMAN + 1) * ROW..],
    ]
    .concat()
}

fn engine() -> Box<dyn Transcriber> {
    let weights = Weights::Embedded(multilingual().leak());
    let load_it = Load { weights: &weights, config: &EngineConfig::default(), cache_dir: Path::new("unused") };
    load(&load_it).expect("the model is whole")().expect("there is memory for a state")
}

/// The language and its likelihood, and the text.
fn heard(engine: &mut dyn Transcriber, options: TranscribeOptions) -> (String, Option<f32>, String) {
    let transcript =
        engine.transcribe(&speak("Turn on the lights."), &options, &Cancel::never()).expect("it is speech");
    let text = transcript.text();
    (transcript.language.expect("a language"), transcript.language_confidence, text)
}

fn options() -> TranscribeOptions {
    TranscribeOptions { words: true, ..TranscribeOptions::default() }
}

#[test]
fn the_language_is_heard_among_those_that_are_allowed() {
    let mut engine = engine();
    let (language, likely, _) = heard(&mut *engine, options());
    assert_eq!(language, "de");
    assert!(likely.is_some_and(|likely| likely > OTHER_LANGUAGE && likely <= 1.0), "{likely:?}");
    let allowed = |codes: &[&str]| codes.iter().map(|code| code.to_string()).collect();
    let some = TranscribeOptions { languages: allowed(&["en", "french"]), ..options() };
    let (language, likely, _) = heard(&mut *engine, some);
    assert!(
        ["en", "fr"].contains(&&*language) && likely.is_some_and(|likely| (0.5..=1.0).contains(&likely)),
        "{likely:?}"
    );
    let only = TranscribeOptions { languages: allowed(&["fr"]), ..options() };
    assert_eq!(heard(&mut *engine, only).1, Some(1.0), "among one it is certain");
    let told = TranscribeOptions { language: Some("it".into()), ..options() };
    let (language, likely, _) = heard(&mut *engine, told);
    assert_eq!((&*language, likely), ("it", None), "nobody listens for what is told");
}

#[test]
fn the_language_of_before_stays_unless_another_is_likely() {
    let mut engine = engine();
    let expecting = |code: &str, allowed: &[&str]| TranscribeOptions {
        expected_language: Some(code.into()),
        languages: allowed.iter().map(|code| code.to_string()).collect(),
        ..options()
    };
    let (language, ..) = heard(&mut *engine, expecting("en", &[]));
    assert_eq!(language, "de", "it is very likely");
    for expected in ["en", "fr"] {
        let (language, likely, _) = heard(&mut *engine, expecting(expected, &["en", "fr"]));
        assert_eq!((&*language, likely), (expected, None), "neither is likely");
    }
}

#[test]
fn tasks_and_languages_are_for_the_decoder_and_not_for_the_text() {
    let mut engine = engine();
    for task in [Task::Transcribe, Task::Translate] {
        for language in [None, Some("en"), Some("de")] {
            let asked = TranscribeOptions { task, language: language.map(str::to_owned), ..options() };
            let (_, _, text) = heard(&mut *engine, asked);
            assert!(text.ends_with("on the lights.") && !text.contains(['<', '[']), "{task:?} {language:?}: {text}");
        }
    }
}
