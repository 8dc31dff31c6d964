//! What the built-in voice prints promise, tried on built-in voices.

use super::*;
use crate::audio::resample::resample;
use crate::audio::samples_to_duration;
use crate::config::EngineConfig;
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::engine::spoken::silence;
use crate::engine::{SpeakOptions, Weights, espeak, say_all};
use std::time::Duration;

fn engine() -> Box<dyn Diarizer> {
    let load_options = Load {
        weights: &Weights::BuiltIn,
        config: &EngineConfig::default(),
        cache_dir: std::path::Path::new("unused"),
    };
    load(&load_options).expect("nothing is loaded")().expect("an engine")
}

fn say(text: &str, voice: &str) -> Vec<f32> {
    let data = tempfile::tempdir().expect("a temporary folder");
    let load =
        espeak::load(&Load { weights: &Weights::BuiltIn, config: &EngineConfig::default(), cache_dir: data.path() });
    let mut synthesizer = load.expect("the data can be written")().expect("an engine");
    let said = say_all(&mut *synthesizer, &text.into(), &SpeakOptions::of_voice(voice), &Cancel::never());
    let sound = said.expect("a voice");
    resample(&sound, SPEECH_SAMPLE_RATE).expect("a common rate").samples
}

fn prints(samples: Vec<f32>) -> Vec<VoicePrint> {
    engine().voices(&Pcm::new(samples, SPEECH_SAMPLE_RATE), &Cancel::never()).expect("prints")
}

fn mean_likeness(a: &[VoicePrint], b: &[VoicePrint]) -> f32 {
    let pairs = a.iter().flat_map(|a| b.iter().map(|b| dot(&a.embedding, &b.embedding)));
    pairs.sum::<f32>() / (a.len() * b.len()) as f32
}

#[test]
fn one_voice_is_like_itself_whatever_it_says_and_unlike_another() {
    let low = prints(say("We should call the customer in London and ask what happened.", "en-us+m8"));
    let low_again = prints(say("The old library near the river will be closed until spring.", "en-us+m8"));
    let high = prints(say("We should call the customer in London and ask what happened.", "en-us+f4"));
    assert!(mean_likeness(&low, &low_again) > SAME_VOICE, "{}", mean_likeness(&low, &low_again));
    assert!(mean_likeness(&low, &high) < SAME_VOICE / 2.0, "{}", mean_likeness(&low, &high));
}

#[test]
fn loudness_does_not_change_a_voice() {
    let samples = say("We should call the customer in London.", "en-us");
    let quiet = samples.iter().map(|sample| sample * 0.2).collect();
    assert!(mean_likeness(&prints(samples.clone())[..1], &prints(quiet)[..1]) > 0.95);
}

#[test]
fn prints_have_length_1_and_lie_where_somebody_speaks() {
    let mut samples = silence(2.0);
    samples.extend(say("We should call the customer in London and ask what happened.", "en-us"));
    let end = samples.len();
    samples.extend(silence(2.0));
    let prints = prints(samples);
    assert!(prints.len() >= 3 && prints.windows(2).all(|pair| pair[0].end <= pair[1].start));
    assert!(prints[0].start > Duration::from_millis(1900));
    assert!(
        prints[prints.len() - 1].end < samples_to_duration(end as u64, SPEECH_SAMPLE_RATE) + Duration::from_millis(300)
    );
    for print in &prints {
        assert_eq!(print.embedding.len(), 2 * DIRECTIONS);
        assert!((dot(&print.embedding, &print.embedding) - 1.0).abs() < 1e-4);
    }
}

#[test]
fn silence_and_odd_sound_have_no_voices() {
    assert_eq!(prints(Vec::new()), []);
    assert_eq!(prints(silence(5.0)), []);
    assert_eq!(prints(vec![f32::NAN; 48_000]), []);
    assert!(prints(vec![1.0; 48_000]).iter().all(|print| print.embedding.iter().all(|value| value.is_finite())));
}

#[test]
fn a_cancelled_engine_stops() {
    let samples = say("We should call the customer in London.", "en-us");
    let result = engine().voices(&Pcm::new(samples, SPEECH_SAMPLE_RATE), &Cancel::new(&|| true));
    assert_eq!(result.expect_err("nobody waits").kind(), Kind::Cancelled);
}
