//! Recordings made of others: samples in and out of WAV files, conversations, channels side by side.

use crate::app::TestApp;
use serde_json::json;
use std::io::Cursor;

/// The samples of a WAV file with 16 bits, and their rate.
pub fn samples_of(wav: &[u8]) -> (Vec<i16>, u32) {
    let reader = hound::WavReader::new(Cursor::new(wav)).expect("a WAV file");
    let rate = reader.spec().sample_rate;
    (reader.into_samples().map(|sample| sample.expect("a sample")).collect(), rate)
}

/// A WAV file of `samples`, those of one moment behind each other.
pub fn wav(samples: &[i16], sample_rate: u32, channels: u16) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let spec = hound::WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a writer");
    samples.iter().for_each(|sample| writer.write_sample(*sample).expect("a sample"));
    writer.finalize().expect("a file");
    file.into_inner()
}

/// Two recordings of one voice each as the channels of one.
pub fn side_by_side(left: &[u8], right: &[u8]) -> Vec<u8> {
    let ((left, rate), (right, _)) = (samples_of(left), samples_of(right));
    let at = |samples: &[i16], index| samples.get(index).copied().unwrap_or(0);
    let pairs = (0..left.len().max(right.len())).flat_map(|index| [at(&left, index), at(&right, index)]);
    wav(&pairs.collect::<Vec<_>>(), rate, 2)
}

/// What the built-in `voice` says when it reads `text`, as WAV.
pub async fn say(app: &TestApp, voice: &str, text: &str) -> Vec<u8> {
    let body = json!({"model": "tts-1", "voice": voice, "input": text, "response_format": "wav"});
    let response = app.post("/v1/audio/speech", &body).await;
    assert_eq!(response.status(), 200, "{voice}");
    response.bytes().await.expect("sound").to_vec()
}

/// What several voices say one after the other, with a short silence between them, as WAV.
pub async fn converse(app: &TestApp, lines: &[(&str, &str)]) -> Vec<u8> {
    let (mut all, mut rate) = (Vec::new(), 0);
    for (voice, text) in lines {
        let (samples, said_at) = samples_of(&say(app, voice, text).await);
        (rate, all) = (said_at, [all, samples, vec![0; said_at as usize / 4]].concat());
    }
    wav(&all, rate, 1)
}
