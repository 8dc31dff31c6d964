//! Cartesia's clients: a text comes back as sound or as events, and failures as they read them.

use crate::app::TestApp;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

fn request(format: Value) -> Value {
    json!({"model_id": "sonic-3", "transcript": SENTENCE, "voice": {"mode": "id", "id": "alloy"}, "output_format": format})
}

fn raw(encoding: &str, sample_rate: u32) -> Value {
    json!({"container": "raw", "encoding": encoding, "sample_rate": sample_rate})
}

/// `base` with `changes` in it.
fn with(mut base: Value, changes: Value) -> Value {
    let changes = changes.as_object().expect("an object").clone();
    base.as_object_mut().expect("an object").extend(changes);
    base
}

/// What Cartesia's clients read of a failure: its status, its code and its message.
async fn failure_of(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"].to_str().expect("text").to_owned();
    let body: Value = response.json().await.expect("JSON");
    assert_eq!((&body["status_code"], &body["request_id"]), (&json!(status), &json!(id)));
    assert!(body["title"].is_string());
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (status, text(&body["error_code"]), text(&body["message"]))
}

/// The events of an answer.
async fn events_of(response: Response) -> Vec<Value> {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.expect("text");
    assert!(text.ends_with("\n\n"));
    let frames = text.trim_end().split("\n\n").map(|frame| {
        let (event, data) = frame.split_once('\n').expect("two lines");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        data
    });
    frames.collect()
}

#[tokio::test]
async fn what_was_said_is_heard_in_every_format() {
    let app = TestApp::start().await;
    for (format, content_type, listen) in [
        (raw("pcm_s16le", 16_000), "audio/pcm", "encoding=linear16&sample_rate=16000"),
        (raw("pcm_mulaw", 8_000), "audio/mulaw", "encoding=mulaw&sample_rate=8000"),
        (json!({"container": "wav", "encoding": "pcm_f32le", "sample_rate": 44_100}), "audio/wav", ""),
        (json!({"container": "wav", "encoding": "pcm_alaw", "sample_rate": 8_000}), "audio/wav", ""),
        (json!({"container": "mp3", "sample_rate": 44_100, "bit_rate": 128_000}), "audio/mpeg", ""),
    ] {
        let response = app.post("/tts/bytes", &request(format.clone())).await;
        assert_eq!(response.status(), StatusCode::OK, "{format}");
        assert_eq!(response.headers()["content-type"], content_type);
        let sound = response.bytes().await.expect("sound");
        let heard = app.post_body(&format!("/v1/listen?punctuate=true&{listen}"), "audio/any", sound).await;
        let heard: Value = heard.json().await.expect("JSON");
        assert_eq!(heard["results"]["channels"][0]["alternatives"][0]["transcript"], SENTENCE, "{format}");
    }
}

#[tokio::test]
async fn events_hold_the_bytes_of_the_other_route() {
    let app = TestApp::start().await;
    let body = with(request(raw("pcm_s16le", 24_000)), json!({"context_id": "mine", "voice": "alloy"}));
    let bytes = app.post("/tts/bytes", &body).await.bytes().await.expect("sound");
    let events = events_of(app.post("/tts/sse", &body).await).await;
    let (done, chunks) = events.split_last().expect("events");
    assert_eq!(*done, json!({"type": "done", "context_id": "mine", "done": true, "status_code": 200}));
    let mut sound = Vec::new();
    for chunk in chunks {
        assert_eq!((&chunk["type"], &chunk["context_id"]), (&json!("chunk"), &json!("mine")));
        assert_eq!((&chunk["done"], &chunk["status_code"]), (&json!(false), &json!(206)));
        assert!(chunk["step_time"].is_number());
        sound.extend(BASE64_STANDARD.decode(chunk["data"].as_str().expect("text")).expect("base64"));
    }
    assert!(chunks.len() > 1 && sound == bytes);
}

#[tokio::test]
async fn a_failure_in_the_middle_ends_the_events() {
    let app = TestApp::start().await;
    let changes = json!({"model_id": "fake-mouth", "voice": "tone", "transcript": "This is spoken at first. Fail."});
    let events = events_of(app.post("/tts/sse", &with(request(raw("pcm_s16le", 8_000)), changes)).await).await;
    let (error, chunks) = events.split_last().expect("events");
    assert!(!chunks.is_empty() && chunks.iter().all(|chunk| chunk["type"] == "chunk"));
    assert_eq!((&error["type"], &error["done"]), (&json!("error"), &json!(true)));
    assert_eq!((&error["status_code"], &error["error_code"]), (&json!(500), &json!("internal_error")));
    assert_eq!(error["context_id"], chunks[0]["context_id"]);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_name() {
    let app = TestApp::start_with(|config| config.limits.input_chars = 60).await;
    for (changes, status, code, part) in [
        (json!({"voice": "nobody"}), 404, "voice_not_found", "nobody"),
        (json!({"voice": {"mode": "embedding", "embedding": [1.0]}}), 400, "invalid_request", "voice"),
        (json!({"voice": null}), 400, "invalid_request", "voice"),
        (json!({"model_id": "nothing"}), 404, "model_not_found", "nothing"),
        (json!({"model_id": null}), 400, "invalid_request", "model_id"),
        (json!({"transcript": ""}), 400, "invalid_request", "transcript"),
        (json!({"transcript": "a ".repeat(31)}), 400, "invalid_request", "62"),
        (json!({"output_format": {"container": "ogg", "sample_rate": 8_000}}), 400, "invalid_request", "container"),
        (json!({"output_format": {"container": "raw", "sample_rate": -1}}), 400, "invalid_request", "u32"),
        (json!({"generation_config": {"volume": 3.0}}), 400, "invalid_request", "volume"),
        (json!({"save": true}), 400, "invalid_request", "save"),
    ] {
        for path in ["/tts/bytes", "/tts/sse"] {
            let body = with(request(raw("pcm_s16le", 24_000)), changes.clone());
            let (got, told, message) = failure_of(app.post(path, &body).await).await;
            assert!(
                (got, told.as_str()) == (status, code) && message.contains(part),
                "{changes}: {got} {told} {message}"
            );
        }
    }
}

#[tokio::test]
async fn every_voice_is_on_one_page_and_no_more() {
    let app = TestApp::start().await;
    let (mut ids, mut path) = (Vec::new(), "/voices?limit=100".to_owned());
    loop {
        let page: Value = app.get(&path).await.json().await.expect("JSON");
        let data = page["data"].as_array().expect("a list").clone();
        ids.extend(data.iter().map(|voice| voice["id"].as_str().expect("text").to_owned()));
        let Some(last) = page["next_page"].as_str() else { break };
        path = format!("/voices?limit=100&starting_after={last}");
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert!(ids.contains(&"alloy".to_owned()));
    let one: Value = app.get("/voices/alloy").await.json().await.expect("JSON");
    assert_eq!((&one["id"], &one["language"], &one["is_owner"]), (&json!("alloy"), &json!("en"), &json!(false)));
    assert_eq!(failure_of(app.get("/voices/nobody").await).await.1, "voice_not_found");
}

#[tokio::test]
async fn a_key_is_wanted_where_one_is_set() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![mynah::config::Secret::new("k1")]).await;
    let body = request(raw("pcm_s16le", 8_000));
    let (status, code, _) = failure_of(app.post("/tts/bytes", &body).await).await;
    assert_eq!((status, code.as_str()), (401, "invalid_api_key"));
    assert_eq!(app.post("/tts/bytes?api_key=k1", &body).await.status(), StatusCode::OK);
    let request = app.client.post(format!("{}/tts/bytes", app.url)).json(&body).header("x-api-key", "k1");
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK);
}
