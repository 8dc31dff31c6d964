//! What holds for every route: keys, errors, ids, health, metrics, shutdown.

use crate::app::{Form, TestApp, error_of};
use mynah::config::Secret;
use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

#[tokio::test]
async fn keys_are_wanted_in_any_known_form() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![Secret::new("k1"), Secret::new("k2")]).await;
    for path in ["/v1/models", "/v1/models/whisper-1", "/metrics"] {
        let (status, error) = error_of(app.get(path).await).await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (401, Some("invalid_api_key")), "{path}");
    }
    let (status, _) = error_of(app.transcribe(Form::file(b"x")).await).await;
    assert_eq!(status, 401);
    let url = app.url.clone() + "/v1/models";
    for (name, value, expected) in [
        ("authorization", "Bearer k1", 200),
        ("authorization", "Token k2", 200),
        ("xi-api-key", "k1", 200),
        ("x-api-key", "k2", 200),
        ("authorization", "Bearer k3", 401),
    ] {
        let response = app.client.get(&url).header(name, value).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), expected, "{name}: {value}");
    }
    assert_eq!(app.get("/v1/models?api_key=k2").await.status(), 200);
    assert_eq!(app.get("/health").await.status(), 200);
}

#[tokio::test]
async fn a_refused_upload_does_not_spoil_the_next_request() {
    let app = TestApp::start_with(|config| config.auth.keys.push(Secret::new("k"))).await;
    let mut connection = TcpStream::connect(app.url.trim_start_matches("http://")).await.expect("a connection");
    let upload = vec![b'x'; 300_000];
    let head = format!("POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", upload.len());
    for part in [head.as_bytes(), &upload, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"] {
        connection.write_all(part).await.expect("the server reads on");
    }
    let mut answers = String::new();
    connection.read_to_string(&mut answers).await.expect("two answers");
    assert!(answers.starts_with("HTTP/1.1 401") && answers.contains("HTTP/1.1 200"), "{answers}");
}

#[tokio::test]
async fn unknown_routes_and_methods_get_the_envelope() {
    let app = TestApp::start().await;
    let (status, _) = error_of(app.get("/v1/nothing").await).await;
    assert_eq!(status, 404);
    let (status, _) = error_of(app.get("/v1/audio/speech").await).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let app = TestApp::start().await;
    let first = app.get("/health").await.headers()["x-request-id"].clone();
    let second = app.get("/health").await.headers()["x-request-id"].clone();
    assert_ne!(first, second);
    let request = app.client.get(app.url.clone() + "/health").header("x-request-id", "mine-1");
    assert_eq!(request.send().await.expect("an answer").headers()["x-request-id"], "mine-1");
}

#[tokio::test]
async fn metrics_tell_what_happened() {
    mynah::telemetry::prometheus();
    let app = TestApp::start().await;
    let sound = app.speak("Hello world.", "wav").await;
    app.transcribe(Form::file(&sound)).await;
    let metrics = app.get("/metrics").await.text().await.expect("metrics");
    for name in [
        "mynah_requests_total",
        "mynah_request_seconds",
        "mynah_queue_depth",
        "mynah_queue_wait_seconds",
        "mynah_engine_busy_seconds_total",
        "mynah_audio_seconds_total",
        "mynah_transcription_real_time_factor",
        "mynah_speech_first_byte_seconds",
        "mynah_models_loaded",
    ] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
    assert!(metrics.contains("route=\"/v1/audio/speech\""));
}

#[tokio::test]
async fn browsers_of_allowed_origins_may_call() {
    let app = TestApp::start_with(|config| config.server.cors_origins = vec!["http://ui.example".into()]).await;
    let preflight = |origin: &'static str| {
        let request = app.client.request(reqwest::Method::OPTIONS, app.url.clone() + "/v1/audio/speech");
        request
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
    };
    let allowed = preflight("http://ui.example").await.expect("an answer");
    assert_eq!(allowed.headers()["access-control-allow-origin"], "http://ui.example");
    let refused = preflight("http://evil.example").await.expect("an answer");
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
    let answer = app.client.get(app.url.clone() + "/health").header("origin", "http://ui.example").send();
    let answer = answer.await.expect("an answer");
    let exposed = answer.headers()["access-control-expose-headers"].to_str().expect("text");
    assert!(exposed.contains("x-request-id") && exposed.contains("x-mynah-coverage"), "{exposed}");
}

/// A request for speech that is inside the engine, held there until the fakes are released.
async fn held_request(app: &TestApp) -> JoinHandle<Response> {
    app.fakes.hold();
    let request = app.client.post(app.url.clone() + "/v1/audio/speech").header("content-type", "application/json");
    let sent = tokio::spawn(request.body(held_body().to_string()).send());
    while app.fakes.inside() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::spawn(async { sent.await.expect("no panic").expect("an answer") })
}

fn held_body() -> Value {
    json!({"model": "fake-mouth", "voice": "tone", "input": "hold"})
}

#[tokio::test]
async fn more_requests_than_allowed_are_told_to_come_back() {
    let app = TestApp::start_with(|config| config.limits.concurrent_requests = 1).await;
    let held = held_request(&app).await;
    let (status, error) = error_of(app.post("/v1/audio/speech", &held_body()).await).await;
    assert_eq!((status.as_u16(), error["code"].as_str()), (429, Some("rate_limit_exceeded")));
    assert_eq!(app.get("/health").await.status(), 200, "health is always answered");
    app.fakes.release();
    assert_eq!(held.await.expect("no panic").status(), 200);
}

#[tokio::test]
async fn a_stop_finishes_what_runs_and_takes_nothing_new() {
    let mut app = TestApp::start().await;
    let held = held_request(&app).await;
    app.app.stop();
    app.fakes.release();
    let response = held.await.expect("no panic");
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.expect("all of the sound").len() > 1000);
    (&mut app.server).await.expect("no panic").expect("a clean end");
    assert!(app.client.get(app.url.clone() + "/health").send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_the_drain_time() {
    let mut app = TestApp::start_with(|config| config.server.drain_seconds = 0).await;
    let held = held_request(&app).await;
    app.app.stop();
    (&mut app.server).await.expect("no panic").expect("a clean end");
    app.fakes.release();
    drop(held);
}
