//! Work that is handed in and answered later.

mod conformance;
#[cfg(feature = "nats")]
mod fleet;

use crate::app::{Form, TestApp, error_of};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mynah::config::{Config, Secret};
use reqwest::Response;
use ring::hmac;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

/// A WAV file in which nothing is heard, so that engines are asked only with `vad=false`.
fn silence(seconds: u32) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a WAV file");
    (0..seconds * 8_000).for_each(|_| writer.write_sample(0_i16).expect("written to memory"));
    writer.finalize().expect("written to memory");
    file.into_inner()
}

/// A job for the fake engine, which does what `order` says with every 28 s.
fn order(order: &str, seconds: u32) -> Form {
    let form = Form::default().with("model", "fake-ears").with("prompt", order).with("vad", "false");
    form.with("async", "true").with_file(&silence(seconds))
}

/// The job that a request became.
async fn accepted(response: Response) -> String {
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let job: Value = response.json().await.expect("JSON");
    assert_eq!((&job["object"], &job["status"]), (&json!("job"), &json!("processing")), "{job}");
    job["id"].as_str().expect("an id").to_owned()
}

async fn job(app: &TestApp, id: &str) -> Value {
    let response = app.get(&format!("/v1/jobs/{id}")).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.expect("JSON")
}

/// The job when `done` says so of it.
async fn until(app: &TestApp, id: &str, done: impl Fn(&Value) -> bool) -> Value {
    loop {
        let job = job(app, id).await;
        if done(&job) {
            return job;
        }
    }
}

async fn finished(app: &TestApp, id: &str) -> Value {
    until(app, id, |job| job["status"] != "processing").await
}

async fn inside(app: &TestApp, count: usize) {
    while app.fakes.inside() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_recording_is_handed_in_and_its_text_is_there_later() {
    let app = TestApp::start().await;
    let wav = app.speak(SENTENCE, "wav").await;
    let form = Form::file(&wav).with("async", "true").with("response_format", "text");
    let id = accepted(app.transcribe(form).await).await;
    let job = finished(&app, &id).await;
    assert_eq!(
        (&job["status"], &job["progress"], &job["model"]),
        (&json!("completed"), &json!(1.0), &json!("whisper-1"))
    );
    let transcript = &job["result"]["transcript"];
    assert_eq!((&transcript["text"], &transcript["language"]), (&json!(SENTENCE), &json!("english")));
    assert!(transcript["segments"][0]["end"].as_f64() > Some(1.0) && transcript.get("words").is_none());
    assert_eq!(transcript["coverage"]["gaps"], json!([]));
    assert!(job.get("error").is_none() && job.get("partial").is_none() && job.get("queue_position").is_none());
}

#[tokio::test]
async fn jobs_wait_for_their_turn_and_know_their_place() {
    let app = TestApp::start_with(|config| config.jobs.workers = 1).await;
    app.fakes.hold();
    let first = accepted(app.transcribe(order("hold", 60)).await).await;
    inside(&app, 1).await;
    let second = accepted(app.transcribe(order("", 1)).await).await;
    let third = accepted(app.transcribe(order("", 1)).await).await;
    assert_eq!(job(&app, &second).await["queue_position"], 0);
    assert_eq!(job(&app, &third).await["queue_position"], 1);
    app.fakes.admit(1);
    let under_way = until(&app, &first, |job| job["partial"].is_object()).await;
    assert_eq!(under_way["partial"]["text"], "Heard.");
    let progress = under_way["progress"].as_f64().expect("a number");
    assert!(progress > 0.3 && progress < 0.7, "28 of 60 s are done: {progress}");
    app.fakes.release();
    let first = finished(&app, &first).await;
    assert_eq!(first["result"]["transcript"]["text"], "Heard. Heard. Heard.");
    assert_eq!(finished(&app, &third).await["status"], "completed");
}

#[tokio::test]
async fn a_cancelled_job_stops_the_engine() {
    let app = TestApp::start().await;
    app.fakes.hold();
    let id = accepted(app.transcribe(order("hold", 1)).await).await;
    inside(&app, 1).await;
    let url = format!("{}/v1/jobs/{id}", app.url);
    let cancelled: Value = app.client.delete(&url).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&cancelled["status"], &cancelled["error"]), (&json!("failed"), &json!("cancelled")));
    inside(&app, 0).await;
    assert_eq!(app.fakes.cancelled(), 1);
    let again: Value = app.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await.json().await.expect("JSON");
    assert_eq!(again, cancelled, "nothing changes any more");
    let inputs = app.app.config.jobs_dir().join("inputs");
    assert_eq!(std::fs::read_dir(inputs).expect("a folder").count(), 0, "the recording is gone");
}

#[tokio::test]
async fn what_the_caller_is_to_blame_for_fails_at_once_and_faults_of_ours_are_tried_again() {
    let app = TestApp::start_with(|config| (config.jobs.retry_seconds, config.jobs.attempts) = (0, 3)).await;
    let text = Form::file(b"This is not a recording.").with("async", "true");
    let job = finished(&app, &accepted(app.transcribe(text).await).await).await;
    assert_eq!((&job["status"], &job["error_code"]), (&json!("failed"), &json!(null)));
    assert!(job["error"].as_str().is_some_and(|error| !error.is_empty()), "{job}");
    let job = finished(&app, &accepted(app.transcribe(order("fail", 1)).await).await).await;
    assert_eq!(job["error"], "a fake engine was told to fail");
    assert_eq!(app.fakes.failed(), 3);
}

#[tokio::test]
async fn a_request_sent_twice_is_one_job() {
    let app = TestApp::start().await;
    let send = |key: &'static str, form: Form| {
        let (content_type, body) = form.finish();
        let request = app.client.post(app.url.clone() + "/v1/audio/transcriptions").header("idempotency-key", key);
        request.header("content-type", content_type).body(body).send()
    };
    let first = accepted(send("one", order("", 1)).await.expect("an answer")).await;
    finished(&app, &first).await;
    let again: Value = send("one", order("", 1)).await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&again["id"], &again["status"]), (&json!(first), &json!("completed")));
    assert_ne!(accepted(send("two", order("", 1)).await.expect("an answer")).await, first);
    let (status, error) = error_of(send("one", order("", 2)).await.expect("an answer")).await;
    assert_eq!((status.as_u16(), &error["code"]), (400, &json!("idempotency_key_reused")));
    let (status, error) = error_of(send("", order("", 1)).await.expect("an answer")).await;
    assert_eq!((status.as_u16(), &error["param"]), (400, &json!("Idempotency-Key")));
}

#[tokio::test]
async fn keys_see_only_their_own_jobs() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![Secret::new("ann"), Secret::new("bob")]).await;
    let call = |method: Method, path: String, key: &'static str| {
        app.client.request(method, app.url.clone() + &path).bearer_auth(key).send()
    };
    let (content_type, body) = order("", 1).finish();
    let request = app.client.post(app.url.clone() + "/v1/audio/transcriptions").bearer_auth("ann");
    let response = request.header("content-type", content_type).body(body).send().await.expect("an answer");
    let id = accepted(response).await;
    for (method, path) in [
        (Method::GET, format!("/v1/jobs/{id}")),
        (Method::DELETE, format!("/v1/jobs/{id}")),
        (Method::POST, format!("/v1/jobs/{id}/cancel")),
        (Method::POST, format!("/v1/jobs/{id}/redeliver")),
        (Method::GET, format!("/v1/files/jobs/{id}/transcript.txt")),
    ] {
        let (status, _) = error_of(call(method.clone(), path.clone(), "bob").await.expect("an answer")).await;
        assert_eq!(status, 404, "{method} {path}");
        let (status, _) = error_of(call(method, path, "eve").await.expect("an answer")).await;
        assert_eq!(status, 401);
    }
    let count = async |key| {
        let list: Value =
            call(Method::GET, "/v1/jobs".into(), key).await.expect("an answer").json().await.expect("JSON");
        list["data"].as_array().expect("a list").len()
    };
    assert_eq!((count("ann").await, count("bob").await), (1, 0));
    let secret = async |key| {
        let answer = call(Method::GET, "/v1/webhook-secret".into(), key).await.expect("an answer");
        answer.json::<Value>().await.expect("JSON")["secret"].as_str().expect("a secret").to_owned()
    };
    assert_ne!(secret("ann").await, secret("bob").await);
    assert_eq!(secret("ann").await, secret("ann").await);
}

#[tokio::test]
async fn jobs_are_listed_in_pages_and_by_status() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(accepted(app.transcribe(order("", 1)).await).await);
        finished(&app, &ids[ids.len() - 1]).await;
    }
    ids.push(accepted(app.transcribe(Form::file(b"no").with("async", "true")).await).await);
    finished(&app, &ids[3]).await;
    let list = async |query: &str| -> Value { app.get(&format!("/v1/jobs{query}")).await.json().await.expect("JSON") };
    let of = |list: &Value| -> Vec<String> {
        let data = list["data"].as_array().expect("a list").iter();
        data.map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
    };
    let first = list("?limit=2").await;
    assert_eq!((of(&first), &first["has_more"]), (vec![ids[3].clone(), ids[2].clone()], &json!(true)));
    let second = list(&format!("?limit=2&after={}", ids[2])).await;
    assert_eq!((of(&second), &second["has_more"]), (vec![ids[1].clone(), ids[0].clone()], &json!(false)));
    assert_eq!(of(&list("?status=failed").await), [ids[3].clone()]);
    assert_eq!(of(&list("?status=completed").await).len(), 3);
    assert!(of(&list("?status=processing").await).is_empty());
    for query in ["?status=lost", "?limit=0", "?limit=many", "?after=x"] {
        let (status, _) = error_of(app.get(&format!("/v1/jobs{query}")).await).await;
        assert_eq!(status, 400, "{query}");
    }
    let (status, error) = error_of(app.get("/v1/jobs/job_unknown").await).await;
    assert_eq!((status.as_u16(), &error["code"]), (404, &json!("job_not_found")));
}

#[tokio::test]
async fn the_result_is_a_file_for_the_key_and_for_whoever_has_the_link() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![Secret::new("k")]).await;
    let (content_type, body) = order("", 1).finish();
    let url = app.url.clone();
    let request =
        app.client.post(format!("{url}/v1/audio/transcriptions?api_key=k")).header("content-type", content_type);
    let id = accepted(request.body(body).send().await.expect("an answer")).await;
    let job = loop {
        let job: Value = app.get(&format!("/v1/jobs/{id}?api_key=k")).await.json().await.expect("JSON");
        if job["status"] != "processing" {
            break job;
        }
    };
    let here =
        |link: &Value| link.as_str().and_then(|it| it.strip_prefix(&app.url)).expect("an address here").to_owned();
    let link = |name: &str| here(&job["files"][name]);
    for (name, begins) in [("txt", "Heard.\n"), ("srt", "1\n00:00:00,000 -->"), ("vtt", "WEBVTT"), ("json", "{")] {
        let response = app.get(&link(&format!("transcript.{name}"))).await;
        assert_eq!(response.status(), 200, "{name}");
        let text = response.text().await.expect("text");
        assert!(text.starts_with(begins) && text.contains("Heard."), "{name}: {text}");
    }
    let good = link("transcript.txt");
    for wrong in
        [good.replace(".txt", ".srt"), good.replace("expires=", "expires=9"), good.replace("signature=", "signature=A")]
    {
        let (status, _) = error_of(app.get(&wrong).await).await;
        assert_eq!(status, 403, "{wrong}");
    }
    let path = format!("/v1/files/jobs/{id}/transcript");
    assert!(here(&job["result_url"]).starts_with(&format!("{path}.json?")));
    let minted: Value =
        app.get(&format!("{path}.vtt/signed?expires_in=60&api_key=k")).await.json().await.expect("JSON");
    assert!(app.get(&here(&minted["url"])).await.text().await.expect("text").starts_with("WEBVTT"));
    for (wrong, refused) in
        [("txt/signed", 401), ("exe/signed?api_key=k", 404), ("txt/signed?expires_in=0&api_key=k", 400)]
    {
        assert_eq!(app.get(&format!("{path}.{wrong}")).await.status(), refused, "{wrong}");
    }
    assert_eq!(app.get(&format!("{path}.txt?api_key=k")).await.status(), 200);
    assert_eq!(app.get(&format!("{path}.txt")).await.status(), 401);
    assert_eq!(app.get(&format!("{path}.exe?api_key=k")).await.status(), 404);
}

/// Whatever a receiver gets: the method, the headers, the body.
type Received = (Method, HeaderMap, Bytes);

/// A receiver that answers with the statuses it is given, the last of them for ever.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let statuses = Arc::new(Mutex::new(statuses.to_vec()));
        let receive = async |State(sender): State<mpsc::UnboundedSender<Received>>, request: Request| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
            sender.send((parts.method, parts.headers, body)).expect("the test listens");
        };
        let answer = move || {
            let mut statuses = statuses.lock().expect("no panics");
            let status = if statuses.len() > 1 { statuses.remove(0) } else { statuses[0] };
            StatusCode::from_u16(status).expect("a status")
        };
        let handler = move |state, request| async move {
            receive(state, request).await;
            (answer(), [("location", "http://127.0.0.1:1/")])
        };
        let router = Router::new().fallback(handler).with_state(sender);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, received }
    }

    async fn next(&mut self) -> Received {
        self.received.recv().await.expect("a delivery")
    }
}

async fn app_that_calls(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::start_with(|config| {
        (config.offline, config.limits.allow_private_urls, config.webhooks.retry_seconds) = (false, true, 0);
        change(config);
    })
    .await
}

fn tag(key: &[u8], content: &[&[u8]]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &content.concat()).as_ref().to_vec()
}

/// Checks all three signatures as receivers do.
fn verify(secret: &str, headers: &HeaderMap, body: &[u8]) {
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    assert!(key.len() >= 24);
    let standard = tag(&key, &[format!("{id}.{at}.").as_bytes(), body]);
    assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(standard)));
    let whole: String =
        tag(secret.as_bytes(), &[format!("{at}.").as_bytes(), body]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header("x-gateway-signature"), format!("t={at},v1={whole}"));
    assert_eq!((header("aig-signature"), header("aig-timestamp")), (whole, at));
    assert_eq!(header("content-type"), "application/json");
}

async fn secret(app: &TestApp) -> String {
    let body: Value = app.get("/v1/webhook-secret").await.json().await.expect("JSON");
    body["secret"].as_str().expect("a secret").to_owned()
}

#[tokio::test]
async fn a_result_is_pushed_signed_until_it_arrives_and_again_when_asked_for() {
    let app = app_that_calls(|_| {}).await;
    let mut receiver = Receiver::start(&[500, 302, 204]).await;
    let form = order("", 1).with("webhook_url", &receiver.url);
    let id = accepted(app.transcribe(form).await).await;
    let (first, second, third) = (receiver.next().await, receiver.next().await, receiver.next().await);
    let secret_before = secret(&app).await;
    for (method, headers, body) in [&first, &second, &third] {
        assert_eq!((method, &headers["webhook-id"]), (&Method::POST, &first.1["webhook-id"]));
        verify(&secret_before, headers, body);
    }
    let event: Value = serde_json::from_slice(&third.2).expect("JSON");
    assert_eq!((&event["type"], &event["data"]["id"]), (&json!("job.completed"), &json!(id)));
    assert_eq!(event["data"]["result"]["transcript"]["text"], "Heard.");
    let link = event["data"]["result_url"].as_str().expect("a link");
    assert_eq!(reqwest::get(link).await.expect("an answer").status(), 200);
    let job = until(&app, &id, |job| job["webhook"]["status"] == "delivered").await;
    let statuses: Vec<&Value> =
        job["webhook"]["attempts"].as_array().expect("a list").iter().map(|tried| &tried["status"]).collect();
    assert_eq!(statuses, [500, 302, 204]);
    let rotated: Value = app.post("/v1/webhook-secret/rotate", &json!({})).await.json().await.expect("JSON");
    assert_ne!(rotated["secret"], secret_before.as_str());
    assert_eq!(app.post(&format!("/v1/jobs/{id}/redeliver"), &json!({})).await.status(), 202);
    let (_, headers, body) = receiver.next().await;
    verify(rotated["secret"].as_str().expect("a secret"), &headers, &body);
    assert_eq!(headers["webhook-id"], first.1["webhook-id"]);
}

#[tokio::test]
async fn a_failure_is_pushed_too_and_nobody_is_called_who_does_not_want_it() {
    let app = app_that_calls(|_| {}).await;
    let mut receiver = Receiver::start(&[410]).await;
    let form = Form::file(b"no recording").with("webhook_url", &receiver.url);
    let id = accepted(app.transcribe(form).await).await;
    let (_, _, body) = receiver.next().await;
    let event: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&event["type"], &event["data"]["status"]), (&json!("job.failed"), &json!("failed")));
    assert!(event["data"]["error"].is_string());
    until(&app, &id, |job| job["webhook"]["status"] == "given_up").await;
    let silent = accepted(app.transcribe(order("", 1)).await).await;
    finished(&app, &silent).await;
    let (status, _) = error_of(app.post(&format!("/v1/jobs/{silent}/redeliver"), &json!({})).await).await;
    assert_eq!(status, 400, "it came without an address");
}

#[tokio::test]
async fn results_are_pushed_to_public_addresses_only() {
    let app = app_that_calls(|config| config.limits.allow_private_urls = false).await;
    let mut receiver = Receiver::start(&[200]).await;
    let port = receiver.url.split(':').nth(2).expect("a port").to_owned();
    for url in
        [receiver.url.clone(), format!("http://localhost:{port}"), "http://169.254.169.254/".into(), "ftp://x/".into()]
    {
        let (status, error) = error_of(app.transcribe(order("", 1).with("webhook_url", &url)).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!("webhook_url")), "{url}");
    }
    let body = json!({"model": "fake-ears", "audio_url": format!("http://127.0.0.1:{port}/"), "async": true});
    let (status, error) = error_of(app.post("/v1/audio/transcriptions", &body).await).await;
    assert_eq!((status.as_u16(), &error["param"]), (400, &json!("audio_url")));
    let list: Value = app.get("/v1/jobs").await.json().await.expect("JSON");
    assert_eq!(list["data"], json!([]), "nothing was taken in");
    assert!(receiver.received.try_recv().is_err(), "nobody was called");
}

#[tokio::test]
async fn a_recording_on_the_web_is_fetched_by_the_job() {
    let app = app_that_calls(|_| {}).await;
    let wav = app.speak(SENTENCE, "wav").await;
    let serve = move |request: Request| {
        let wav = wav.clone();
        async move { if request.uri().path() == "/clip" { Ok(wav) } else { Err(StatusCode::NOT_FOUND) } }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(serve)).await });
    let submit = async |path: &str| {
        let body = json!({"model": "whisper-1", "audio_url": format!("{url}{path}"), "async": true});
        accepted(app.post("/v1/audio/transcriptions", &body).await).await
    };
    let job = finished(&app, &submit("/clip").await).await;
    assert_eq!(job["result"]["transcript"]["text"], SENTENCE);
    let job = finished(&app, &submit("/gone").await).await;
    assert_eq!((&job["status"], &job["error_param"]), (&json!("failed"), &json!("audio_url")));
    assert!(job["error"].as_str().expect("an error").contains("404"), "{job}");
}

#[tokio::test]
async fn deepgrams_callback_gets_deepgrams_answer() {
    let app = app_that_calls(|_| {}).await;
    let mut receiver = Receiver::start(&[200]).await;
    let wav = app.speak(SENTENCE, "wav").await;
    let path = format!("/v1/listen?model=nova-3&punctuate=true&callback={}&callback_method=PUT", receiver.url);
    let response = app.post_body(&path, "audio/wav", wav).await;
    assert_eq!(response.status(), 200);
    let id = response.headers()["x-mynah-job"].to_str().expect("an id").to_owned();
    let dg_request_id = response.headers()["dg-request-id"].to_str().expect("an id").to_owned();
    let answer: Value = response.json().await.expect("JSON");
    assert_eq!(answer, json!({"request_id": dg_request_id}));
    let (method, headers, body) = receiver.next().await;
    verify(&secret(&app).await, &headers, &body);
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((method, &body["metadata"]["request_id"]), (Method::PUT, &answer["request_id"]));
    assert_eq!(body["results"]["channels"][0]["alternatives"][0]["transcript"], SENTENCE);
    assert_eq!(body["metadata"]["sha256"].as_str().map(str::len), Some(64));
    assert!(headers.contains_key("dg-token"));
    assert_eq!(finished(&app, &id).await["result"]["transcript"]["text"], SENTENCE);
}

/// A server with its jobs in `folder`.
async fn app_in(folder: &TempDir) -> TestApp {
    TestApp::start_with(|config| (config.jobs.dir, config.jobs.workers) = (folder.path().join("jobs"), 1)).await
}

#[tokio::test]
async fn a_stop_gives_jobs_back_and_the_next_start_goes_on_where_it_stopped() {
    let folder = TempDir::new().expect("a folder");
    let mut app = app_in(&folder).await;
    app.fakes.hold();
    let id = accepted(app.transcribe(order("hold", 100)).await).await;
    app.fakes.admit(2);
    until(&app, &id, |job| job["partial"]["segments"].as_array().is_some_and(|it| it.len() == 2)).await;
    app.app.stop();
    (&mut app.server).await.expect("no panic").expect("a clean end");
    assert_eq!(app.fakes.heard(), 2);
    drop(app);
    let app = app_in(&folder).await;
    let job = finished(&app, &id).await;
    assert_eq!(job["result"]["transcript"]["text"], "Heard. Heard. Heard. Heard. Heard.");
    assert_eq!(app.fakes.heard(), 3, "what had been heard was not heard again");
}

#[tokio::test]
async fn two_servers_cannot_have_the_same_jobs() {
    let app = TestApp::start().await;
    let second = mynah::jobs::Jobs::open(app.app.config.clone());
    let message = second.err().expect("they are taken").to_string();
    assert!(message.contains("another server uses the jobs"), "{message}");
}

#[tokio::test]
async fn what_there_is_no_room_for_is_refused_clearly() {
    let app = TestApp::start_with(|config| (config.jobs.disk_bytes, config.jobs.queue) = (100_000, 1)).await;
    let (status, error) = error_of(app.transcribe(order("", 10)).await).await;
    assert_eq!((status.as_u16(), &error["code"]), (503, &json!("storage_full")));
}

#[tokio::test]
async fn a_job_whose_recording_finds_no_room_waits_for_some() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let site = Router::new().fallback(|| async { silence(10) });
    tokio::spawn(async { axum::serve(listener, site).await });
    let app = app_that_calls(|config| {
        (config.jobs.workers, config.jobs.attempts, config.jobs.disk_bytes) = (2, 1, 200_000);
    })
    .await;
    app.fakes.hold();
    let first = accepted(app.transcribe(order("hold", 10)).await).await;
    inside(&app, 1).await;
    let body = json!({"model": "fake-ears", "audio_url": url, "async": true});
    let second = accepted(app.post("/v1/audio/transcriptions", &body).await).await;
    let small = accepted(app.transcribe(order("", 1)).await).await;
    assert_eq!(finished(&app, &small).await["status"], "completed", "it comes first");
    assert_eq!(job(&app, &second).await["status"], "processing");
    app.fakes.release();
    for id in [first, second] {
        assert_eq!(finished(&app, &id).await["status"], "completed");
    }
}

#[tokio::test]
async fn as_many_jobs_wait_as_may() {
    let app = TestApp::start_with(|config| (config.jobs.workers, config.jobs.queue) = (1, 1)).await;
    app.fakes.hold();
    let runs = accepted(app.transcribe(order("hold", 1)).await).await;
    inside(&app, 1).await;
    let waits = accepted(app.transcribe(order("", 1)).await).await;
    let response = app.transcribe(order("", 1)).await;
    assert!(response.headers().contains_key("retry-after"));
    let (status, error) = error_of(response).await;
    assert_eq!((status.as_u16(), &error["code"]), (429, &json!("rate_limit_exceeded")));
    app.fakes.release();
    for id in [runs, waits] {
        assert_eq!(finished(&app, &id).await["status"], "completed");
    }
}

/// A server process of the real binary, and what it has printed.
#[cfg(unix)]
struct Server {
    process: std::process::Child,
    url: String,
}

#[cfg(unix)]
impl Server {
    fn start(data: &std::path::Path) -> Self {
        use std::io::BufRead as _;
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mynah"));
        command.args(["serve", "--port", "0", "--offline", "--data-dir"]).arg(data).env("MYNAH_JOBS__WORKERS", "1");
        let mut process = command.stdout(std::process::Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        std::io::BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Self { process, url }
    }

    /// The job as it is in a moment: asking without a pause would take the cores from the engine.
    async fn job(&self, client: &reqwest::Client, id: &str) -> Value {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        let answer = client.get(format!("{}/v1/jobs/{id}", self.url)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{id}");
        answer.json().await.expect("JSON")
    }

    async fn submit(&self, client: &reqwest::Client, wav: &[u8]) -> String {
        let (content_type, body) = Form::file(wav).with("async", "true").finish();
        let request = client.post(format!("{}/v1/audio/transcriptions", self.url)).header("content-type", content_type);
        accepted(request.body(body).send().await.expect("an answer")).await
    }
}

#[cfg(unix)]
impl Drop for Server {
    /// As `kill -9` does.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_killed_server_loses_nothing_and_repeats_nothing_that_was_finished() {
    crate::app::install_tls();
    let (folder, client) = (TempDir::new().expect("a folder"), reqwest::Client::new());
    let mut server = Server::start(folder.path());
    let speech = TestApp::start().await;
    let clip = speech.speak(SENTENCE, "wav").await;
    let long = speech.speak(&format!("{SENTENCE} ").repeat(10), "wav").await;
    let undisturbed = speech.transcribe(Form::file(&long).with("response_format", "verbose_json")).await;
    let undisturbed: Value = undisturbed.json().await.expect("JSON");
    let short = server.submit(&client, &clip).await;
    while server.job(&client, &short).await["status"] == "processing" {}
    let finished_at = server.job(&client, &short).await["updated_at"].clone();
    let resumed = server.submit(&client, &long).await;
    let waiting = server.submit(&client, &clip).await;
    let heard = folder.path().join("jobs/heard").join(&resumed);
    let pieces = || std::fs::read_to_string(&heard).map_or(0, |text| text.lines().count());
    for kills in 1..=2 {
        while pieces() < kills && server.job(&client, &resumed).await["status"] == "processing" {}
        drop(server);
        server = Server::start(folder.path());
    }
    for id in [&resumed, &waiting] {
        while server.job(&client, id).await["status"] == "processing" {}
    }
    let job = server.job(&client, &resumed).await;
    assert_eq!(job["result"]["transcript"]["text"], undisturbed["text"], "{job}");
    assert_eq!(job["result"]["transcript"]["segments"], undisturbed["segments"]);
    assert_eq!(server.job(&client, &waiting).await["result"]["transcript"]["text"], SENTENCE);
    assert_eq!(server.job(&client, &short).await["updated_at"], finished_at, "what was over stayed as it was");
    for kind in ["inputs", "heard", "said", "incoming"] {
        let left = std::fs::read_dir(folder.path().join("jobs").join(kind)).expect("a folder").count();
        assert_eq!(left, 0, "{kind} is empty");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_shows_watches_and_ends_jobs() {
    let app = TestApp::start().await;
    let mynah = async |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mynah"));
        command.args(["jobs", "--url", &app.url]).args(args);
        let run = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (run.status.code(), text(&run.stdout), text(&run.stderr))
    };
    app.fakes.hold();
    let held = accepted(app.transcribe(order("hold", 1)).await).await;
    let (code, text, _) = mynah(&["list"]).await;
    assert!(code == Some(0) && text.contains(&held) && text.contains("processing"), "{text}");
    let (_, text, _) = mynah(&["cancel", &held]).await;
    assert_eq!(text, format!("{held} failed: cancelled\n"));
    app.fakes.release();
    let good = accepted(app.transcribe(order("", 1)).await).await;
    let (code, text, error) = mynah(&["watch", &good]).await;
    assert!(code == Some(0) && text.ends_with(&format!("{good} completed (100 %)\n")), "{text}{error}");
    let (code, _, error) = mynah(&["watch", &good, &held]).await;
    assert!(code == Some(1) && error.contains("1 of the jobs failed"), "{error}");
    let (_, text, _) = mynah(&["show", &good]).await;
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(shown["result"]["transcript"]["text"], "Heard.");
    let (code, _, error) = mynah(&["show", "job_unknown"]).await;
    assert!(code == Some(1) && error.contains("no such job"), "{error}");
}
