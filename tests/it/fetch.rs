//! Recordings that the server fetches from where the caller says.

use crate::app::{TestApp, error_of};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use bytes::Bytes;
use mynah::config::Config;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

/// A file server on this machine.
struct Files {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Files {
    async fn start(clip: Bytes) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let chunked = clip.clone();
        let count = asked.clone();
        let router = Router::new()
            .route("/clip.wav", get(move || async move { clip }))
            .route("/chunked.wav", get(move || async move { Body::from_stream(pieces(chunked)) }))
            .route("/hop", get(|| async { Redirect::temporary("/clip.wav") }))
            .route("/round", get(|| async { Redirect::to("/round") }))
            .route("/away", get(|| async { Redirect::to("file:///etc/passwd") }))
            .route("/empty", get(|| async { "" }))
            .route("/text", get(|| async { "This is not a recording." }))
            .route("/never", get(|| async { std::future::pending::<()>().await }))
            .route("/curious", get(curious))
            .layer(axum::middleware::map_request(move |request: axum::extract::Request| {
                count.fetch_add(1, Ordering::SeqCst);
                async { request }
            }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { port, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// Without a length in front.
fn pieces(clip: Bytes) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    let pieces: Vec<_> = clip.chunks(1000).map(Bytes::copy_from_slice).map(Ok).collect();
    futures::stream::iter(pieces)
}

/// Answers only those who bring no secrets.
async fn curious(headers: HeaderMap) -> impl IntoResponse {
    let secret = headers.contains_key(header::AUTHORIZATION) || headers.contains_key(header::REFERER);
    if secret { StatusCode::IM_A_TEAPOT } else { StatusCode::GONE }
}

async fn app(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::start_with(|config| {
        (config.offline, config.limits.allow_private_urls) = (false, true);
        change(config);
    })
    .await
}

async fn transcribe(app: &TestApp, url: &str) -> reqwest::Response {
    app.post("/v1/audio/transcriptions", &json!({"model": "whisper-1", "audio_url": url})).await
}

/// The message of the refusal, which names `audio_url`.
async fn refusal(app: &TestApp, url: &str) -> String {
    let (status, error) = error_of(transcribe(app, url).await).await;
    assert_eq!((status.as_u16(), &error["param"]), (400, &json!("audio_url")), "{error}");
    error["message"].as_str().expect("a message").to_owned()
}

#[tokio::test]
async fn a_recording_on_the_web_is_fetched() {
    let app = app(|config| config.limits.spool_bytes = 5000).await;
    let files = Files::start(app.speak(SENTENCE, "wav").await).await;
    for path in ["/clip.wav", "/chunked.wav", "/hop"] {
        let body: Value = transcribe(&app, &files.url(path)).await.json().await.expect("JSON");
        assert_eq!(body["text"], SENTENCE, "{path}");
    }
    let form = crate::app::Form::default().with("audio_url", &files.url("/clip.wav")).with("model", "whisper-1");
    let body: Value = app.transcribe(form).await.json().await.expect("JSON");
    assert_eq!(body["text"], SENTENCE, "as a form");
}

#[tokio::test]
async fn what_cannot_be_fetched_says_why() {
    let app = app(|config| config.limits.fetch_seconds = 1).await;
    let files = Files::start(Bytes::new()).await;
    for (path, reason) in [
        ("/nothing", "status 404"),
        ("/curious", "status 410"),
        ("/round", "redirected more than 5 times"),
        ("/away", "not at an http or https address"),
        ("/empty", "is empty"),
        ("/never", "within 1 seconds"),
    ] {
        let message = refusal(&app, &files.url(path)).await;
        assert!(message.contains(reason), "{path}: {message}");
    }
    assert!(refusal(&app, "not an address").await.contains("not a web address"));
    let (status, error) = error_of(transcribe(&app, &files.url("/text")).await).await;
    assert_eq!((status.as_u16(), &error["code"]), (400, &json!("unsupported_format")));
}

#[tokio::test]
async fn the_limit_of_uploads_holds_for_what_is_fetched() {
    let app = app(|config| config.limits.upload_bytes = 10_000).await;
    let files = Files::start(Bytes::from(vec![0; 20_000])).await;
    for path in ["/clip.wav", "/chunked.wav"] {
        assert!(refusal(&app, &files.url(path)).await.contains("larger than 10000 bytes"), "{path}");
    }
}

#[tokio::test]
async fn nothing_is_fetched_from_private_addresses() {
    let app = app(|config| config.limits.allow_private_urls = false).await;
    let files = Files::start(Bytes::new()).await;
    let port = files.port;
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let message = refusal(&app, &format!("http://{host}:{port}/clip.wav")).await;
        assert!(message.contains("private or special"), "{host}: {message}");
    }
    assert!(refusal(&app, "http://169.254.169.254/latest/meta-data").await.contains("private or special"));
    assert_eq!(files.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_offline_server_fetches_nothing() {
    let app = app(|config| config.offline = true).await;
    let files = Files::start(Bytes::new()).await;
    assert!(refusal(&app, &files.url("/clip.wav")).await.contains("offline"));
    assert_eq!(files.asked.load(Ordering::SeqCst), 0);
}
