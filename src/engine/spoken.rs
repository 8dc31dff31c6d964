//! Spoken test audio from the built-in voice, at 16 kHz.

use super::SPEECH_SAMPLE_RATE;
use crate::audio::Pcm;
use crate::audio::resample::resample;

/// `text` as the built-in voice says it, without the silence around it.
pub(crate) fn speak(text: &str) -> Pcm {
    let data = tempfile::tempdir().expect("a temporary folder");
    espeak_ng::install_bundled_data(data.path()).expect("the data are in the binary");
    let voice = espeak_ng::EspeakNg::with_data_dir("en-us", data.path()).expect("the voice is in the data");
    let (samples, rate) = voice.synth(text).expect("plain English");
    let loud = |sample: &i16| sample.unsigned_abs() > 100;
    let start = samples.iter().position(loud).unwrap_or(0);
    let end = samples.iter().rposition(loud).map_or(samples.len(), |last| last + 1);
    let samples = samples[start..end].iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
    resample(&Pcm::new(samples, rate), SPEECH_SAMPLE_RATE).expect("a common rate")
}

/// So many seconds of silence.
pub(crate) fn silence(seconds: f64) -> Vec<f32> {
    vec![0.0; (seconds * f64::from(SPEECH_SAMPLE_RATE)) as usize]
}
