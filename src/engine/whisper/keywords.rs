//! Tests of what keywords do for the built-in model, and that they do no harm.

use super::*;
use crate::audio::resample::resample;
use crate::config::EngineConfig;
use crate::engine::{SpeakOptions, Synthesizer, espeak, say_all};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/mynah-demo.en-q8_0.bin");

fn engine() -> Box<dyn Transcriber> {
    let weights = Weights::File(MODEL.into());
    let load_it = Load { weights: &weights, config: &EngineConfig::default(), cache_dir: Path::new("unused") };
    load(&load_it).expect("the demo model is good")().expect("there is memory for a state")
}

/// What a built-in voice says, ready to be heard.
fn say(voice: &str, text: &str) -> Pcm {
    let data = tempfile::tempdir().expect("a temporary folder");
    let load_it = Load { weights: &Weights::BuiltIn, config: &EngineConfig::default(), cache_dir: data.path() };
    let mut engine: Box<dyn Synthesizer> = espeak::load(&load_it).expect("the data")().expect("an engine");
    let said = say_all(&mut *engine, &text.into(), &SpeakOptions::of_voice(voice), &Cancel::never());
    let sound = said.expect("a voice");
    resample(&sound, SPEECH_SAMPLE_RATE).expect("a common rate")
}

fn heard(engine: &mut dyn Transcriber, audio: &Pcm, keywords: &[&str]) -> String {
    let keywords = keywords.iter().map(|keyword| keyword.to_string()).collect();
    let options = TranscribeOptions { keywords, ..TranscribeOptions::default() };
    engine.transcribe(audio, &options, &Cancel::never()).expect("it is speech").text()
}

#[test]
fn a_keyword_repairs_what_is_misheard_without_it() {
    let (mut engine, audio) = (engine(), say("en-us+f2", "Forty eight thousand one hundred and one."));
    assert_eq!(heard(&mut *engine, &audio, &[]), "Four eight thousand one hundred and one.");
    assert_eq!(heard(&mut *engine, &audio, &["Forty"]), "Forty eight thousand one hundred and one.");
}

#[test]
fn keywords_that_nobody_says_change_nothing() {
    let mut engine = engine();
    for text in ["Two two two two.", "Four four three three.", "My left name is orange."] {
        let audio = say("en-us", text);
        for keywords in [&["Bluetooth"][..], &["Mynah", "Ann Smith", "Berlin"], &["orange juice", "seventeen"]] {
            assert_eq!(heard(&mut *engine, &audio, keywords), text, "{keywords:?}");
        }
    }
}
