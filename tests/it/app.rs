//! A whole server on a free port of this machine, and the client that talks to it.

use crate::fake::Fakes;
use bytes::Bytes;
use mynah::app::App;
use mynah::config::Config;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Models with engines of the tests' own, beside the built-in ones.
const CATALOG: &str = r#"
[[model]]
id = "fake-ears"
name = "Fake ears"
task = "transcribe"
engine = "fake-ears"
built_in = true
languages = ["en", "de"]
licence = "none"
owned_by = "tests"
created = 1
description = "hears one word in everything"

[[model]]
id = "fake-mouth"
name = "Fake mouth"
task = "speak"
engine = "fake-mouth"
built_in = true
languages = ["en"]
voices = [{ id = "tone", name = "Tone", language = "en-US" }]
licence = "none"
owned_by = "tests"
created = 1
description = "speaks tones"
"#;

/// A running server.
pub struct TestApp {
    pub app: App,
    pub fakes: Fakes,
    pub url: String,
    pub client: Client,
    pub server: JoinHandle<mynah::error::Result<()>>,
    _data: TempDir,
}

/// The engine cache is shared by all tests and all runs of them, because unpacking the voices' data for each would be slow.
const DATA: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/data");

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server with settings that differ from the defaults.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        install_tls();
        let catalog = TempDir::new().expect("a temporary folder");
        let path = catalog.path().join("catalog.toml");
        std::fs::write(&path, CATALOG).expect("a written catalog");
        let mut config = Config { data_dir: DATA.into(), offline: true, ..Config::default() };
        config.models.catalog = Some(path);
        config.jobs.dir = catalog.path().join("jobs");
        change(&mut config);
        let fakes = Fakes::default();
        let app = App::new(config, fakes.engines()).and_then(App::with_jobs).expect("an app");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        app.warm_up().await;
        let server = tokio::spawn(mynah::api::serve(app.clone(), listener));
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { app, fakes, url, client, server, _data: catalog }
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.url.clone() + path).send().await.expect("an answer")
    }

    /// Sends a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.post_body(path, "application/json", body.to_string()).await
    }

    pub async fn post_body(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(self.url.clone() + path).header("content-type", content_type);
        request.body(body).send().await.expect("an answer")
    }

    /// Sends a form to the transcription route.
    pub async fn transcribe(&self, form: Form) -> Response {
        self.post_form("/v1/audio/transcriptions", form).await
    }

    pub async fn post_form(&self, path: &str, form: Form) -> Response {
        let (content_type, body) = form.finish();
        self.post_body(path, &content_type, body).await
    }

    /// Speaks `text` with the built-in voice.
    pub async fn speak(&self, text: &str, format: &str) -> Bytes {
        let body = json!({"model": "tts-1", "voice": "alloy", "input": text, "response_format": format});
        let response = self.post("/v1/audio/speech", &body).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes().await.expect("sound")
    }
}

/// Outgoing TLS needs a provider once per process, also for a client that never uses it.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The four keys of an error answer, after checking that there are four.
pub async fn error_of(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = response.json().await.expect("JSON");
    let error = body["error"].as_object().expect("an error object").clone();
    for key in ["message", "type", "param", "code"] {
        assert!(error.contains_key(key), "{key} is missing in {error:?}");
    }
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    (status, Value::Object(error))
}

/// A multipart form, written by hand so that its order and its faults are the test's own.
#[derive(Default)]
pub struct Form {
    body: Vec<u8>,
}

const BOUNDARY: &str = "----mynah-test-boundary";

impl Form {
    /// A form for the built-in model with this file.
    pub fn file(bytes: &[u8]) -> Self {
        Self::default().with("model", "whisper-1").with_file(bytes)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        self.body.extend_from_slice(part.as_bytes());
        self
    }

    pub fn with_file(mut self, bytes: &[u8]) -> Self {
        let head = "Content-Disposition: form-data; name=\"file\"; filename=\"upload\"\r\n\
                    Content-Type: application/octet-stream";
        self.body.extend_from_slice(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
        self.body.extend_from_slice(bytes);
        self.body.extend_from_slice(b"\r\n");
        self
    }

    /// The content type and the body.
    pub fn finish(mut self) -> (String, Vec<u8>) {
        self.body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={BOUNDARY}"), self.body)
    }
}
