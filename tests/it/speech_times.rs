//! A text comes back as sound and as the times of its words.

use crate::app::{TestApp, error_of};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

const TEXT: &str = "Please turn on the kitchen lights. Then call me at seven, please.";

fn request(more: Value) -> Value {
    let mut request = json!({"model": "tts-1", "voice": "alloy", "input": TEXT});
    request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    request
}

fn words(answer: &Value) -> Vec<(String, f64, f64)> {
    let words = answer["words"].as_array().expect("words");
    let word = |word: &Value| {
        let time = |name: &str| word[name].as_f64().expect("a time");
        (word["word"].as_str().expect("a word").to_owned(), time("start"), time("end"))
    };
    words.iter().map(word).collect()
}

#[tokio::test]
async fn every_word_of_the_text_has_its_time_in_the_sound() {
    let app = TestApp::start().await;
    let response = app.post("/v1/audio/speech/timestamps", &request(json!({"response_format": "wav"}))).await;
    let answer: Value = response.json().await.expect("JSON");
    assert_eq!((&answer["format"], &answer["content_type"]), (&json!("wav"), &json!("audio/wav")));
    let audio = BASE64_STANDARD.decode(answer["audio"].as_str().expect("audio")).expect("base64");
    assert_eq!(audio, app.speak(TEXT, "wav").await, "the sound is that of the other route");
    let words = words(&answer);
    let expected: Vec<&str> = TEXT.split_whitespace().map(|word| word.trim_matches(['.', ','])).collect();
    assert_eq!(words.iter().map(|word| word.0.trim_matches(['.', ','])).collect::<Vec<_>>(), expected);
    assert!(words.windows(2).all(|pair| pair[0].1 < pair[0].2 && pair[0].2 <= pair[1].1 + 0.001), "{words:?}");
    let seconds = (audio.len() - 44) as f64 / 48_000.0;
    assert!(words[0].1 < 0.2 && words[words.len() - 1].2 < seconds, "{words:?}");
    // There is a pause between the sentences, and no word in it.
    assert!(words[6].1 - words[5].2 > 0.15, "{words:?}");
}

#[tokio::test]
async fn the_times_are_those_that_are_heard() {
    let app = TestApp::start().await;
    let response = app.post("/v1/audio/speech/timestamps", &request(json!({"response_format": "wav"}))).await;
    let answer: Value = response.json().await.expect("JSON");
    let audio = BASE64_STANDARD.decode(answer["audio"].as_str().expect("audio")).expect("base64");
    let form = crate::app::Form::file(&audio)
        .with("model", "whisper-1")
        .with("response_format", "verbose_json")
        .with("timestamp_granularities[]", "word");
    let heard: Value = app.transcribe(form).await.json().await.expect("JSON");
    let (said, heard) = (words(&answer), words(&heard));
    assert_eq!(said.len(), heard.len(), "{heard:?}");
    let off: Vec<f64> = said.iter().zip(&heard).map(|(said, heard)| (said.1 - heard.1).abs()).collect();
    assert!(off.iter().all(|off| *off < 0.35) && off.iter().sum::<f64>() / (off.len() as f64) < 0.12, "{off:?}");
}

#[tokio::test]
async fn streamed_times_come_with_the_same_sound() {
    let app = TestApp::start().await;
    let body = request(json!({"response_format": "pcm", "stream": true}));
    let response = app.post("/v1/audio/speech/timestamps", &body).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = response.text().await.expect("events");
    let events: Vec<Value> = events
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .map(|event| serde_json::from_str(event).expect("JSON"))
        .collect();
    let of_type = |name: &str| events.iter().filter(|event| event["type"] == name).cloned().collect::<Vec<_>>();
    let sound = of_type("speech.audio.delta")
        .iter()
        .flat_map(|event| BASE64_STANDARD.decode(event["audio"].as_str().expect("audio")).expect("base64"))
        .collect::<Vec<u8>>();
    assert!(sound == app.speak(TEXT, "pcm").await);
    let streamed: Vec<_> = of_type("speech.audio.words").iter().flat_map(words).collect();
    let whole = app.post("/v1/audio/speech/timestamps", &request(json!({}))).await;
    assert_eq!(streamed, words(&whole.json().await.expect("JSON")));
    assert_eq!(events.last().expect("a last event")["type"], "speech.audio.done");
    assert!(of_type("speech.audio.words").len() > 1, "they come as the text is spoken");
}

#[tokio::test]
async fn what_is_wrong_is_named_as_on_the_route_without_times() {
    let app = TestApp::start().await;
    for (more, param) in [
        (json!({"input": ""}), "input"),
        (json!({"voice": "nobody"}), "voice"),
        (json!({"response_format": "tiff"}), "response_format"),
        (json!({"sample_rate": 7_999}), "sample_rate"),
        (json!({"sample_rate": 44_100, "response_format": "opus"}), "sample_rate"),
    ] {
        let (status, body) = error_of(app.post("/v1/audio/speech/timestamps", &request(more.clone())).await).await;
        assert_eq!((status.as_u16(), &body["param"]), (400, &json!(param)), "{more}");
    }
}
