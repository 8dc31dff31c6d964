//! Deepgram's clients: a text comes back as sound, with their headers.

use crate::app::TestApp;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

async fn speak(app: &TestApp, query: &str, text: &str) -> Response {
    app.post(&format!("/v1/speak?{query}"), &json!({"text": text})).await
}

/// What Deepgram's clients read of a failure, after checking that all of it is there.
async fn failure_of(response: Response) -> (u16, Value) {
    let (status, headers) = (response.status(), response.headers().clone());
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(headers["dg-request-id"], body["request_id"].as_str().expect("text"));
    assert!(headers.contains_key("dg-error"));
    assert!(body["err_code"].is_string() && body["err_msg"].is_string(), "{body}");
    (status.as_u16(), body)
}

#[tokio::test]
async fn a_text_is_spoken_with_deepgrams_headers() {
    let app = TestApp::start().await;
    let response = speak(&app, "model=aura-2-thalia-en&tag=mine&mip_opt_out=true", "Grüße.").await;
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers().clone();
    for (name, value) in [
        ("content-type", "audio/mpeg"),
        ("dg-model-name", "aura-2-thalia-en"),
        ("dg-char-count", "6"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(headers[name], value);
    }
    for name in ["dg-request-id", "dg-model-uuid"] {
        assert_eq!(headers[name].len(), 36, "{name}");
    }
    assert!(headers.contains_key("date") && !headers.contains_key("content-length"));
    assert!(response.bytes().await.expect("sound").starts_with(b"\xff"));
}

#[tokio::test]
async fn what_was_said_is_heard_in_every_encoding() {
    let app = TestApp::start().await;
    for (query, content_type, raw) in [
        ("", "audio/mpeg", ""),
        ("encoding=mp3&bit_rate=32000", "audio/mpeg", ""),
        ("encoding=linear16", "audio/wav", ""),
        (
            "encoding=linear16&container=none&sample_rate=16000",
            "audio/l16;rate=16000;channels=1",
            "encoding=linear16&sample_rate=16000",
        ),
        ("encoding=mulaw&container=none", "audio/mulaw;rate=8000", "encoding=mulaw&sample_rate=8000"),
        ("encoding=alaw&sample_rate=16000", "audio/wav", ""),
        ("encoding=opus&bit_rate=24000", "audio/ogg;codecs=opus", ""),
        ("encoding=flac&sample_rate=48000", "audio/flac", ""),
        ("encoding=aac", "audio/aac", ""),
    ] {
        let response = speak(&app, &format!("model=tts-1&{query}"), SENTENCE).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        assert_eq!(response.headers()["content-type"], content_type);
        let sound = response.bytes().await.expect("sound");
        let heard = app.post_body(&format!("/v1/listen?punctuate=true&{raw}"), "audio/any", sound).await;
        let heard: Value = heard.json().await.expect("JSON");
        assert_eq!(heard["results"]["channels"][0]["alternatives"][0]["transcript"], SENTENCE, "{query}");
    }
}

#[tokio::test]
async fn plain_text_and_another_speed_are_fine() {
    let app = TestApp::start().await;
    let slow = "/v1/speak?encoding=linear16&container=none&speed=0.7";
    let slow = app.post_body(slow, "text/plain; charset=utf-8", SENTENCE).await.bytes().await.expect("sound").len();
    let fast = speak(&app, "encoding=linear16&container=none&speed=1.4", SENTENCE).await;
    let ratio = slow as f32 / fast.bytes().await.expect("sound").len() as f32;
    assert!((1.7..2.3).contains(&ratio), "{ratio}");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_name() {
    let app = TestApp::start().await;
    for (query, name) in [
        ("model=aura-2-nobody-en", "model"),
        ("model=aura-2-thalia-es", "model"),
        ("model=nothing", "model"),
        ("callback=http://127.0.0.1/", "callback"),
        ("encoding=speex", "encoding"),
        ("encoding=linear16&container=ogg", "container"),
        ("sample_rate=24000", "sample_rate"),
        ("bit_rate=1", "bit_rate"),
        ("speed=1.6", "speed"),
        ("speed=NaN", "speed"),
        ("mip_opt_out=maybe", "mip_opt_out"),
    ] {
        let (status, body) = failure_of(speak(&app, query, "Hello.").await).await;
        let message = body["err_msg"].as_str().expect("text");
        assert!(status == 400 && message.contains(name), "{query}: {status} {message}");
    }
}

#[tokio::test]
async fn a_body_without_a_text_is_refused() {
    let app = TestApp::start_with(|config| config.limits.input_chars = 10).await;
    for (content_type, body, status) in [
        ("application/json", r#"{"text": " "}"#, 400),
        ("application/json", r#"{"url": "http://127.0.0.1/"}"#, 400),
        ("application/json", "hello", 400),
        ("application/json", r#"{"text": "Eleven here"}"#, 413),
        ("text/plain", "Eleven here", 413),
        ("audio/wav", "RIFF", 415),
    ] {
        let (got, failure) = failure_of(app.post_body("/v1/speak", content_type, body).await).await;
        assert_eq!(got, status, "{body}: {failure}");
    }
    let large = "a".repeat(2_000_001);
    assert_eq!(failure_of(app.post_body("/v1/speak", "text/plain", large).await).await.0, 413);
    assert_eq!(failure_of(app.post_body("/v1/speak", "text/plain", &b"\xff"[..]).await).await.0, 400);
}
