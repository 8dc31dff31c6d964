//! Servers that share their jobs through NATS: gateways that take them in, workers that do them.

use super::{SENTENCE, accepted, finished, inside, job, order, until};
use crate::app::{Form, TestApp, error_of};
use crate::nats::NatsServer;
use mynah::config::{Config, Role, Secret, StoreKind};
use serde_json::{Value, json};

fn joins(nats: &NatsServer, role: Role) -> impl Fn(&mut Config) {
    let url = nats.url();
    move |config| {
        (config.jobs.store, config.jobs.nats_url) = (StoreKind::Nats, vec![url.clone()]);
        (config.server.role, config.jobs.workers) = (role, 1);
    }
}

async fn gateway_of(nats: &NatsServer) -> TestApp {
    TestApp::start_with(joins(nats, Role::Gateway)).await
}

async fn worker_of(nats: &NatsServer) -> TestApp {
    TestApp::start_with(joins(nats, Role::Worker)).await
}

#[tokio::test]
async fn a_gateway_takes_jobs_in_and_does_nothing_itself() {
    let Some(nats) = NatsServer::start() else { return };
    let gateway = gateway_of(&nats).await;
    let (status, error) = error_of(gateway.transcribe(Form::file(b"sound")).await).await;
    assert_eq!((status.as_u16(), &error["code"]), (503, &json!("gateway")));
    let speech = json!({"model": "tts-1", "voice": "alloy", "input": "Hello."});
    let (status, error) = error_of(gateway.post("/v1/audio/speech", &speech).await).await;
    assert_eq!((status.as_u16(), &error["code"]), (503, &json!("gateway")));
    let (first, second) = (
        accepted(gateway.transcribe(order("", 1)).await).await,
        accepted(gateway.transcribe(order("", 60)).await).await,
    );
    assert_eq!(job(&gateway, &second).await["queue_position"], 1);
    assert_eq!(gateway.fakes.heard(), 0);
    let _worker = worker_of(&nats).await;
    let done = finished(&gateway, &second).await;
    assert_eq!(done["result"]["transcript"]["text"], "Heard. Heard. Heard.");
    assert_eq!(finished(&gateway, &first).await["status"], "completed");
    let link =
        done["files"]["transcript.txt"].as_str().and_then(|link| link.strip_prefix(&gateway.url)).expect("a link");
    let other = gateway_of(&nats).await;
    assert_eq!(other.get(link).await.text().await.expect("text").trim(), "Heard. Heard. Heard.", "any gateway has it");
    let listed: Value = other.get("/v1/jobs").await.json().await.expect("JSON");
    assert_eq!((&listed["data"][0]["id"], &listed["data"][1]["id"]), (&json!(second), &json!(first)));
}

#[tokio::test]
async fn a_token_of_one_server_is_good_on_all() {
    let Some(nats) = NatsServer::start() else { return };
    let member = async || {
        let joins = joins(&nats, Role::All);
        TestApp::start_with(move |config| {
            joins(config);
            config.auth.keys = vec![Secret::new("k")];
        })
        .await
    };
    let (one, other) = (member().await, member().await);
    let request = one.client.post(format!("{}/v1/auth/grant", one.url)).bearer_auth("k");
    let granted: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    let token = granted["access_token"].as_str().expect("a token");
    assert_eq!(other.get(&format!("/v1/jobs?api_key={token}")).await.status(), 200);
    assert_eq!(other.get(&format!("/v1/jobs?api_key={token}x")).await.status(), 401);
}

#[tokio::test]
async fn a_worker_answers_only_how_it_is() {
    let Some(nats) = NatsServer::start() else { return };
    let worker = worker_of(&nats).await;
    assert_eq!(worker.get("/metrics").await.status(), 200, "from here on it is counted");
    let gateway = gateway_of(&nats).await;
    finished(&gateway, &accepted(gateway.transcribe(order("", 1)).await).await).await;
    for (path, status) in [("/health", 200), ("/ready", 200), ("/v1/jobs", 404), ("/v1/models", 404)] {
        assert_eq!(worker.get(path).await.status(), status, "{path}");
    }
    let metrics = async || worker.get("/metrics").await.text().await.expect("text");
    for name in ["mynah_jobs_waiting ", "mynah_jobs_oldest_seconds "] {
        assert!(metrics().await.contains(name), "{name} is missing");
    }
    // It tidies up before it counts.
    while !metrics().await.contains("mynah_jobs_finished_total{state=\"completed\"} ") {}
}

#[tokio::test]
async fn who_ends_a_job_at_a_gateway_stops_the_engine_of_its_worker() {
    let Some(nats) = NatsServer::start() else { return };
    let (gateway, worker) = (gateway_of(&nats).await, worker_of(&nats).await);
    worker.fakes.hold();
    let id = accepted(gateway.transcribe(order("hold", 1)).await).await;
    inside(&worker, 1).await;
    let cancelled: Value = gateway.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await.json().await.expect("JSON");
    assert_eq!((&cancelled["status"], &cancelled["error"]), (&json!("failed"), &json!("cancelled")));
    inside(&worker, 0).await;
    assert_eq!(worker.fakes.cancelled(), 1);
}

#[tokio::test]
async fn a_worker_takes_only_jobs_whose_model_it_has() {
    let Some(nats) = NatsServer::start() else { return };
    let gateway = gateway_of(&nats).await;
    let other = accepted(gateway.transcribe(order("", 1)).await).await;
    let wav = TestApp::start().await.speak(SENTENCE, "wav").await;
    let known = accepted(gateway.transcribe(Form::file(&wav).with("async", "true")).await).await;
    let join = joins(&nats, Role::Worker);
    let _without = TestApp::start_with(|config| {
        join(config);
        config.models.catalog = None;
    })
    .await;
    assert_eq!(finished(&gateway, &known).await["result"]["transcript"]["text"], SENTENCE);
    assert_eq!(job(&gateway, &other).await["queue_position"], 0, "nobody has taken it");
    let _with = worker_of(&nats).await;
    assert_eq!(finished(&gateway, &other).await["status"], "completed");
}

#[tokio::test]
async fn while_nats_is_away_requests_fail_soon_and_afterwards_everything_is_there() {
    let Some(mut nats) = NatsServer::start() else { return };
    let (gateway, worker) = (gateway_of(&nats).await, worker_of(&nats).await);
    worker.fakes.hold();
    let runs = accepted(gateway.transcribe(order("hold", 60)).await).await;
    inside(&worker, 1).await;
    let waits = accepted(gateway.transcribe(order("", 1)).await).await;
    nats.kill();
    let response = gateway.transcribe(order("", 1)).await;
    assert!(response.headers().contains_key("retry-after"));
    let (status, error) = error_of(response).await;
    assert_eq!((status.as_u16(), &error["code"]), (503, &json!("jobs_unavailable")));
    assert_eq!(gateway.get("/ready").await.status(), 503);
    nats.resume();
    while gateway.get("/ready").await.status() != 200 || worker.get("/ready").await.status() != 200 {}
    worker.fakes.release();
    assert_eq!(finished(&gateway, &runs).await["result"]["transcript"]["text"], "Heard. Heard. Heard.");
    assert_eq!(finished(&gateway, &waits).await["status"], "completed");
}

#[tokio::test]
async fn a_stopped_worker_gives_its_job_to_another_which_goes_on_where_it_stopped() {
    let Some(nats) = NatsServer::start() else { return };
    let (gateway, mut first) = (gateway_of(&nats).await, worker_of(&nats).await);
    first.fakes.hold();
    let id = accepted(gateway.transcribe(order("hold", 100)).await).await;
    first.fakes.admit(2);
    until(&gateway, &id, |job| job["partial"]["segments"].as_array().is_some_and(|it| it.len() == 2)).await;
    first.app.stop();
    (&mut first.server).await.expect("no panic").expect("a clean end");
    let second = worker_of(&nats).await;
    let job = finished(&gateway, &id).await;
    assert_eq!(job["result"]["transcript"]["text"], "Heard. Heard. Heard. Heard. Heard.");
    assert_eq!((first.fakes.heard(), second.fakes.heard()), (2, 3), "what had been heard was not heard again");
}

/// Completes when the stream of blobs holds so many messages.
async fn holds(nats: &NatsServer, count: u64) {
    let client = async_nats::connect(nats.url()).await.expect("a connection");
    let mut stream = async_nats::jetstream::new(client).get_stream("mynah_blobs").await.expect("the stream");
    while stream.info().await.expect("an answer").state.messages != count {}
}

#[tokio::test]
async fn of_jobs_that_are_over_nats_holds_the_results_alone() {
    let Some(nats) = NatsServer::start() else { return };
    let (gateway, mut worker) = (gateway_of(&nats).await, worker_of(&nats).await);
    finished(&gateway, &accepted(gateway.transcribe(order("", 60)).await).await).await;
    holds(&nats, 1).await;
    worker.fakes.hold();
    let id = accepted(gateway.transcribe(order("hold", 100)).await).await;
    worker.fakes.admit(2);
    until(&gateway, &id, |job| job["partial"]["segments"].as_array().is_some_and(|it| it.len() == 2)).await;
    holds(&nats, 1 + 4 + 2 + 2).await; // the recording, what was heard, what can be read
    worker.app.stop();
    (&mut worker.server).await.expect("no panic").expect("a clean end");
    let waits = accepted(gateway.transcribe(order("", 1)).await).await;
    gateway.post(&format!("/v1/jobs/{waits}/cancel"), &json!({})).await;
    holds(&nats, 1 + 4 + 2 + 2).await;
    let _second = worker_of(&nats).await;
    finished(&gateway, &id).await;
    holds(&nats, 2).await;
}

/// A worker as a process of the real binary.
#[cfg(unix)]
struct Worker {
    process: std::process::Child,
    _data: tempfile::TempDir,
}

#[cfg(unix)]
impl Worker {
    fn start(nats: &NatsServer) -> Self {
        let data = tempfile::TempDir::new().expect("a folder");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mynah"));
        command.args(["serve", "--port", "0", "--offline", "--data-dir"]).arg(data.path());
        command.env("MYNAH_SERVER__ROLE", "worker").env("MYNAH_JOBS__STORE", "nats");
        command.env("MYNAH_JOBS__NATS_URL", nats.url()).env("MYNAH_JOBS__LEASE_SECONDS", "2");
        let process = command.stdout(std::process::Stdio::null()).spawn().expect("it runs");
        Self { process, _data: data }
    }
}

#[cfg(unix)]
impl Drop for Worker {
    /// As `kill -9` does.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The job when `done` says so of it: asking without a pause would take the cores from the workers.
#[cfg(unix)]
async fn in_time(gateway: &TestApp, id: &str, done: impl Fn(&Value) -> bool) -> Value {
    loop {
        let job = job(gateway, id).await;
        if done(&job) {
            return job;
        }
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_job_of_a_killed_worker_is_done_by_another_when_its_lease_is_over() {
    let Some(nats) = NatsServer::start() else { return };
    let gateway = gateway_of(&nats).await;
    let alone = TestApp::start().await;
    let wav = alone.speak(&format!("{SENTENCE} ").repeat(4), "wav").await;
    let expected: Value = alone.transcribe(Form::file(&wav)).await.json().await.expect("a transcript");
    let id = accepted(gateway.transcribe(Form::file(&wav).with("async", "true")).await).await;
    let first = Worker::start(&nats);
    let begun = in_time(&gateway, &id, |job| job.get("queue_position").is_none()).await;
    assert_eq!(begun["status"], "processing");
    drop(first);
    let _second = Worker::start(&nats);
    let job = in_time(&gateway, &id, |job| job["status"] != "processing").await;
    assert_eq!(job["result"]["transcript"]["text"], expected["text"]);
}
