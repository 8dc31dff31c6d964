//! A text comes back as sound.

use crate::app::{TestApp, error_of};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use serde_json::{Value, json};

fn request(input: &str) -> Value {
    json!({"model": "tts-1", "voice": "alloy", "input": input})
}

fn with(input: &str, key: &str, value: Value) -> Value {
    let mut request = request(input);
    request[key] = value;
    request
}

#[tokio::test]
async fn every_format_has_its_content_type_and_its_magic() {
    let app = TestApp::start().await;
    for (format, content_type, magic) in [
        ("mp3", "audio/mpeg", &b"\xff"[..]),
        ("opus", "audio/ogg", b"OggS"),
        ("aac", "audio/aac", b"\xff\xf1"),
        ("webm", "audio/webm", b"\x1a\x45\xdf\xa3"),
        ("flac", "audio/flac", b"fLaC"),
        ("wav", "audio/wav", b"RIFF"),
        ("pcm", "audio/pcm", b""),
    ] {
        let response = app.post("/v1/audio/speech", &with("Hello.", "response_format", format.into())).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &content_type.parse().expect("a value"))
        );
        let body = response.bytes().await.expect("sound");
        assert!(body.len() > 1000 && body.starts_with(magic), "{format}: {} bytes", body.len());
        assert!(format != "pcm" || body.len() % 2 == 0);
    }
}

#[tokio::test]
async fn a_wav_that_nobody_streams_has_a_true_header() {
    let app = TestApp::start().await;
    let file = app.speak("Hello world.", "wav").await;
    let reader = hound::WavReader::new(std::io::Cursor::new(&file)).expect("a WAV file");
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (24_000, 1));
    assert_eq!(reader.len() as usize * 2, file.len() - 44);
    let response = app.post("/v1/audio/speech", &json!({"model": "tts-1", "voice": "alloy", "input": "Hello world.", "response_format": "wav", "stream": true})).await;
    let streamed = response.bytes().await.expect("sound");
    assert_eq!(streamed[44..], file[44..], "the same sound either way");
}

#[tokio::test]
async fn sound_leaves_before_the_last_sentence_is_spoken() {
    let app = TestApp::start().await;
    app.fakes.hold();
    let body = json!({"model": "fake-mouth", "voice": "tone", "input": "This is the first sentence of all. Hold.", "response_format": "pcm"});
    let response = app.post("/v1/audio/speech", &body).await;
    assert_eq!(response.status(), 200);
    let mut chunks = response.bytes_stream();
    assert!(!chunks.next().await.expect("a chunk").expect("bytes").is_empty());
    app.fakes.release();
    while let Some(chunk) = chunks.next().await {
        chunk.expect("the rest follows");
    }
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_speech() {
    let app = TestApp::start_with(|config| config.engine.slots = 1).await;
    app.fakes.hold();
    let warm_up = json!({"model": "fake-mouth", "voice": "tone", "input": "Hello."});
    assert_eq!(app.post("/v1/audio/speech", &warm_up).await.status(), 200);
    let before = app.fakes.spoken();
    let text = "This is the first sentence of all. Hold.";
    let body = json!({"model": "fake-mouth", "voice": "tone", "input": text, "response_format": "pcm"});
    let mut chunks = app.post("/v1/audio/speech", &body).await.bytes_stream();
    chunks.next().await.expect("a chunk").expect("bytes");
    while app.fakes.inside() == 0 {
        if let Some(Some(chunk)) = futures::FutureExt::now_or_never(chunks.next()) {
            chunk.expect("bytes");
        }
        tokio::task::yield_now().await;
    }
    drop(chunks);
    while app.fakes.cancelled() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.fakes.spoken(), before + 1, "the sentence before, and not the one that was held");
}

#[tokio::test]
async fn a_failure_before_the_first_byte_has_a_status() {
    let app = TestApp::start().await;
    for order in ["fail", "panic"] {
        let body = json!({"model": "fake-mouth", "voice": "tone", "input": order});
        let (status, error) = error_of(app.post("/v1/audio/speech", &body).await).await;
        assert_eq!((status.as_u16(), error["type"].as_str()), (500, Some("server_error")));
    }
    let body = json!({"model": "fake-mouth", "voice": "tone", "input": "All is well."});
    assert_eq!(app.post("/v1/audio/speech", &body).await.status(), 200);
}

#[tokio::test]
async fn events_carry_the_same_bytes() {
    let app = TestApp::start().await;
    let plain = app.speak("Hello world.", "mp3").await;
    let response = app.post("/v1/audio/speech", &with("Hello world.", "stream_format", "sse".into())).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let body = response.text().await.expect("events");
    let events: Vec<Value> = body
        .split_terminator("\n\n")
        .map(|frame| serde_json::from_str(frame.strip_prefix("data: ").expect("a data line")).expect("JSON"))
        .collect();
    let (done, deltas) = events.split_last().expect("events");
    assert_eq!(done["type"], "speech.audio.done");
    assert!(done["usage"]["total_tokens"].is_number());
    let decode = |event: &Value| BASE64_STANDARD.decode(event["audio"].as_str().expect("audio")).expect("base64");
    assert_eq!(deltas.iter().flat_map(decode).collect::<Vec<u8>>(), plain);
}

#[tokio::test]
async fn speed_changes_the_duration() {
    let app = TestApp::start().await;
    let text = "Please turn on the kitchen lights at seven o'clock.";
    let seconds = async |speed: f32| {
        let mut body = with(text, "response_format", "pcm".into());
        body["speed"] = speed.into();
        app.post("/v1/audio/speech", &body).await.bytes().await.expect("sound").len() as f64 / 48_000.0
    };
    let (slow, normal, fast) = (seconds(0.25).await, seconds(1.0).await, seconds(4.0).await);
    assert!((3.2..4.8).contains(&(slow / normal)), "{slow} s against {normal} s");
    assert!((3.0..5.0).contains(&(normal / fast)), "{normal} s against {fast} s");
}

#[tokio::test]
async fn the_sample_rate_can_be_chosen_and_pcm_has_24_khz_otherwise() {
    let app = TestApp::start().await;
    let samples = async |rate: Option<u32>| {
        let mut body = with("Good morning.", "response_format", "pcm".into());
        body["sample_rate"] = rate.into();
        app.post("/v1/audio/speech", &body).await.bytes().await.expect("sound").len() as f64 / 2.0
    };
    let plain = samples(None).await;
    assert_eq!(plain, samples(Some(24_000)).await);
    for rate in [8_000, 16_000, 44_100, 48_000] {
        assert!((samples(Some(rate)).await / plain - f64::from(rate) / 24_000.0).abs() < 0.01, "{rate}");
    }
    let mut body = with("Good morning.", "response_format", "wav".into());
    body["sample_rate"] = 16_000.into();
    let file = app.post("/v1/audio/speech", &body).await.bytes().await.expect("sound");
    assert_eq!(hound::WavReader::new(&file[..]).expect("a WAV file").spec().sample_rate, 16_000);
}

#[tokio::test]
async fn instructions_change_the_pace_of_models_that_take_them() {
    let app = TestApp::start().await;
    let bytes = async |model: &str, instructions: &str| {
        let mut body = with("Please turn on the kitchen lights.", "response_format", "pcm".into());
        (body["model"], body["instructions"]) = (model.into(), instructions.into());
        app.post("/v1/audio/speech", &body).await.bytes().await.expect("sound")
    };
    let plain = bytes("gpt-4o-mini-tts", "").await;
    assert!(bytes("gpt-4o-mini-tts", "Speak slowly.").await.len() > plain.len() * 11 / 10);
    assert!(bytes("gpt-4o-mini-tts", "Sound like a friendly librarian.").await == plain);
    assert!(bytes("tts-1", "Speak slowly.").await == plain, "as OpenAI's older models");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = TestApp::start().await;
    for (body, param) in [
        (json!({"voice": "alloy", "input": "Hi."}), "model"),
        (json!({"model": "tts-1", "input": "Hi."}), "voice"),
        (json!({"model": "tts-1", "voice": "alloy"}), "input"),
        (request(""), "input"),
        (request(&"x".repeat(4097)), "input"),
        (with("Hi.", "speed", 0.1.into()), "speed"),
        (with("Hi.", "speed", 5.into()), "speed"),
        (with("Hi.", "speed", "fast".into()), "speed"),
        (with("Hi.", "voice", "nobody".into()), "voice"),
        (with("Hi.", "voice", 7.into()), "voice"),
        (with("Hi.", "response_format", "midi".into()), "response_format"),
        (with("Hi.", "stream_format", "smoke".into()), "stream_format"),
        (with("Hi.", "sample_rate", 96_000.into()), "sample_rate"),
        (with("Hi.", "sample_rate", 12_345.into()), "sample_rate"),
    ] {
        let (status, error) = error_of(app.post("/v1/audio/speech", &body).await).await;
        assert_eq!((status.as_u16(), error["param"].as_str()), (400, Some(param)), "{error}");
    }
}

#[tokio::test]
async fn the_longest_text_and_a_voice_object_are_fine() {
    let app = TestApp::start().await;
    let body =
        json!({"model": "fake-mouth", "voice": {"id": "tone"}, "input": "é".repeat(4096), "response_format": "pcm"});
    assert_eq!(app.post("/v1/audio/speech", &body).await.status(), 200);
}

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let app = TestApp::start().await;
    let (status, _) = error_of(app.post_body("/v1/audio/speech", "application/json", "{").await).await;
    assert_eq!(status, 400);
    let (status, _) = error_of(app.post_body("/v1/audio/speech", "text/plain", "{}").await).await;
    assert_eq!(status, 415);
    let huge = format!("{{\"input\": \"{}\"}}", "x".repeat(2 << 20));
    let (status, _) = error_of(app.post_body("/v1/audio/speech", "application/json", huge).await).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn text_with_nothing_to_say_is_a_short_silence() {
    let app = TestApp::start().await;
    for text in ["...", "🙂", "\u{200b}\n"] {
        let body = with(text, "response_format", "wav".into());
        assert_eq!(app.post("/v1/audio/speech", &body).await.status(), 200, "{text:?}");
    }
}
