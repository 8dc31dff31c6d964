//! Credentials of a few minutes: who gets them, what they open, and what they do not.

use crate::app::{TestApp, error_of};
use crate::socket::Socket;
use mynah::config::Secret;
use reqwest::{Method, Response};
use serde_json::{Value, json};

const SECRETS: &str = "/v1/realtime/client_secrets";
const SESSIONS: &str = "/v1/realtime/transcription_sessions";
const GRANT: &str = "/v1/auth/grant";

async fn keyed() -> TestApp {
    TestApp::start_with(|config| config.auth.keys = vec![Secret::new("k1"), Secret::new("k2")]).await
}

#[tokio::test]
async fn a_token_outlives_a_restart_but_not_its_key() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let server = async |key: &str| {
        let (jobs, key) = (folder.path().join("jobs"), Secret::new(key));
        TestApp::start_with(|config| (config.jobs.dir, config.auth.keys) = (jobs, vec![key])).await
    };
    let mut app = server("k1").await;
    let token = make(&app, GRANT, "k1", &json!({"ttl_seconds": 600})).await["access_token"].clone();
    let token = token.as_str().expect("a token");
    for (key, status) in [("k1", 200), ("k2", 401), ("k1", 200)] {
        app.app.stop();
        (&mut app.server).await.expect("no panic").expect("a clean end");
        drop(app);
        app = server(key).await;
        assert_eq!(call(&app, Method::GET, "/v1/models", token, None).await.status(), status, "{key}");
    }
}

async fn call(app: &TestApp, method: Method, path: &str, key: &str, body: Option<&Value>) -> Response {
    let request = app.client.request(method, format!("{}{path}", app.url)).bearer_auth(key);
    let request = if let Some(body) = body { request.json(body) } else { request };
    request.send().await.expect("an answer")
}

async fn make(app: &TestApp, path: &str, key: &str, body: &Value) -> Value {
    let response = call(app, Method::POST, path, key, Some(body)).await;
    assert_eq!(response.status(), 200);
    response.json().await.expect("JSON")
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// The settings of a session that a secret opens.
async fn opened(app: &TestApp, secret: &str, query: &str) -> Value {
    let offer = format!("realtime, openai-insecure-api-key.{secret}");
    let path = format!("/v1/realtime{query}");
    let mut socket = Socket::open(app, &path, &[("sec-websocket-protocol", &offer)]).await.expect("a connection");
    assert_eq!(socket.protocol.as_deref(), Some("realtime"));
    socket.next().await.json()["session"].clone()
}

#[tokio::test]
async fn a_secret_opens_sessions_that_begin_as_its_maker_says() {
    let app = keyed().await;
    let session = json!({"type": "transcription", "audio": {"input": {
        "format": {"type": "audio/pcm", "rate": 16_000},
        "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
        "turn_detection": null,
    }}});
    let asked = json!({"expires_after": {"anchor": "created_at", "seconds": 60}, "session": session});
    let made = make(&app, SECRETS, "k1", &asked).await;
    let secret = made["value"].as_str().expect("text");
    assert!(secret.starts_with("ek_"));
    assert!(made["expires_at"].as_u64().is_some_and(|end| (now() + 50..=now() + 60).contains(&end)), "{made}");
    assert_eq!(
        (&made["session"]["type"], &made["session"]["object"]),
        (&json!("transcription"), &json!("realtime.transcription_session"))
    );
    for _ in 0..2 {
        let session = opened(&app, secret, "").await;
        assert_eq!(session["audio"], made["session"]["audio"]);
    }
    // Clients on servers present it as a key, and name no dialect.
    let header = [("authorization", &*format!("Bearer {secret}"))];
    let mut socket = Socket::open(&app, "/v1/realtime?model=whisper-1", &header).await.expect("a connection");
    assert_eq!(socket.next().await.json()["session"]["audio"], made["session"]["audio"]);
}

#[tokio::test]
async fn a_secret_without_wishes_is_one_of_ten_minutes() {
    let app = keyed().await;
    let made = make(&app, SECRETS, "k1", &json!({})).await;
    assert!(made["expires_at"].as_u64().is_some_and(|end| (now() + 590..=now() + 600).contains(&end)), "{made}");
    let session = opened(&app, made["value"].as_str().expect("text"), "?intent=transcription").await;
    assert_eq!(session["audio"]["input"]["turn_detection"]["type"], "server_vad");
}

#[tokio::test]
async fn the_beta_makes_secrets_in_its_own_words() {
    let app = keyed().await;
    let asked = json!({
        "input_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "client_secret": {"expires_at": {"anchor": "created_at", "seconds": 30}},
    });
    let made = make(&app, SESSIONS, "k1", &asked).await;
    assert_eq!(
        (&made["input_audio_format"], &made["turn_detection"]["type"]),
        (&json!("g711_ulaw"), &json!("server_vad"))
    );
    let secret = &made["client_secret"];
    assert!(secret["expires_at"].as_u64().is_some_and(|end| (now() + 20..=now() + 30).contains(&end)), "{made}");
    let session = opened(&app, secret["value"].as_str().expect("text"), "?intent=transcription").await;
    assert_eq!(session["audio"]["input"]["format"], json!({"type": "audio/pcmu"}));
}

#[tokio::test]
async fn a_secret_opens_nothing_else() {
    let app = keyed().await;
    let made = make(&app, SECRETS, "k1", &json!({})).await;
    let secret = made["value"].as_str().expect("text");
    for (method, path) in [(Method::GET, "/v1/models"), (Method::GET, "/v1/jobs"), (Method::POST, SECRETS)] {
        let (status, error) = error_of(call(&app, method, path, secret, None).await).await;
        assert_eq!((status.as_u16(), &error["code"]), (403, &json!("scope_exceeded")), "{path}");
    }
    let header = [("authorization", &*format!("Bearer {secret}"))];
    assert_eq!(Socket::open(&app, "/v1/speak", &header).await.err().expect("a refusal").status().as_u16(), 403);
    for wrong in [&secret[..secret.len() - 1], &secret[3..], "ek_"] {
        let offer = format!("realtime, openai-insecure-api-key.{wrong}");
        let refused = Socket::open(&app, "/v1/realtime", &[("sec-websocket-protocol", &offer)]).await;
        assert_eq!(refused.err().expect("a refusal").status().as_u16(), 401, "{wrong}");
    }
}

#[tokio::test]
async fn a_granted_token_does_what_its_maker_may_but_makes_nothing_that_outlives_it() {
    let app = keyed().await;
    let granted = make(&app, GRANT, "k1", &json!({})).await;
    assert_eq!(granted["expires_in"], 30);
    let long = make(&app, GRANT, "k1", &json!({"ttl_seconds": 3600})).await;
    assert_eq!(long["expires_in"], 3600);
    let token = granted["access_token"].as_str().expect("text");
    assert_eq!(call(&app, Method::GET, "/v1/models", token, None).await.status(), 200);
    let header = [("authorization", &*format!("Bearer {token}"))];
    assert!(Socket::open(&app, "/v1/speak", &header).await.is_ok());
    let offer = format!("bearer, {token}");
    let socket = Socket::open(&app, "/v1/speak", &[("sec-websocket-protocol", &offer)]).await.expect("a connection");
    assert_eq!(socket.protocol.as_deref(), Some("bearer"));
    for (method, path) in
        [(Method::POST, GRANT), (Method::POST, SECRETS), (Method::POST, SESSIONS), (Method::GET, "/v1/webhook-secret")]
    {
        let refused = call(&app, method, path, token, Some(&json!({}))).await;
        assert_eq!(refused.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn a_granted_token_sees_the_jobs_of_its_maker_alone() {
    let app = keyed().await;
    let text = json!({"model": "tts-1", "voice": "alloy", "input": "Yes."});
    let sound = call(&app, Method::POST, "/v1/audio/speech", "k1", Some(&text)).await;
    let sound = sound.bytes().await.expect("sound");
    let form = crate::app::Form::file(&sound).with("async", "true");
    let (content_type, body) = form.finish();
    let request = app.client.post(format!("{}/v1/audio/transcriptions", app.url)).bearer_auth("k1");
    let job: Value = request
        .header("content-type", content_type)
        .body(body)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let path = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
    for (key, status) in [("k1", 200), ("k2", 404)] {
        let granted = make(&app, GRANT, key, &json!({"ttl_seconds": 600})).await;
        let seen = call(&app, Method::GET, &path, granted["access_token"].as_str().expect("text"), None).await;
        assert_eq!(seen.status().as_u16(), status, "{key}");
    }
}

#[tokio::test]
async fn a_token_ends() {
    let app = keyed().await;
    let granted = make(&app, GRANT, "k1", &json!({"ttl_seconds": 1})).await;
    let token = granted["access_token"].as_str().expect("text");
    let refused = loop {
        let answer = call(&app, Method::GET, "/v1/models", token, None).await;
        if answer.status() != 200 {
            break answer;
        }
    };
    let (status, error) = error_of(refused).await;
    assert_eq!((status.as_u16(), &error["code"]), (401, &json!("token_expired")));
}

#[tokio::test]
async fn tokens_of_one_server_are_nothing_to_another() {
    let (app, other) = (keyed().await, keyed().await);
    let granted = make(&app, GRANT, "k1", &json!({})).await;
    let token = granted["access_token"].as_str().expect("text");
    assert_eq!(call(&other, Method::GET, "/v1/models", token, None).await.status(), 401);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_for_a_token_is_named() {
    let app = keyed().await;
    for (path, body, param) in [
        (SECRETS, json!({"expires_after": {"anchor": "created_at", "seconds": 9}}), "expires_after"),
        (SECRETS, json!({"expires_after": {"anchor": "created_at", "seconds": 7201}}), "expires_after"),
        (SECRETS, json!({"expires_after": {"anchor": "yesterday"}}), "expires_after"),
        (SECRETS, json!({"expires_after": {"seconds": "many"}}), "expires_after.seconds"),
        (SECRETS, json!({"session": {"type": "realtime", "model": "gpt-realtime"}}), "session.type"),
        (
            SECRETS,
            json!({"session": {"audio": {"input": {"turn_detection": {"threshold": 7}}}}}),
            "session.audio.input.turn_detection.threshold",
        ),
        (SESSIONS, json!({"input_audio_format": "mp3"}), "input_audio_format"),
        (SESSIONS, json!({"client_secret": {"expires_at": {"seconds": 1}}}), "client_secret"),
    ] {
        let (status, error) = error_of(call(&app, Method::POST, path, "k1", Some(&body)).await).await;
        assert_eq!((status.as_u16(), &error["param"]), (400, &json!(param)), "{body}");
    }
    let model =
        json!({"session": {"type": "transcription", "audio": {"input": {"transcription": {"model": "nothing"}}}}});
    let (status, error) = error_of(call(&app, Method::POST, SECRETS, "k1", Some(&model)).await).await;
    assert_eq!((status.as_u16(), &error["code"]), (404, &json!("model_not_found")));
    for seconds in [0, 3601] {
        let refused = call(&app, Method::POST, GRANT, "k1", Some(&json!({"ttl_seconds": seconds}))).await;
        assert_eq!(refused.status(), 400);
        let body: Value = refused.json().await.expect("JSON");
        assert!(
            body["err_code"].is_string() && body["err_msg"].as_str().is_some_and(|it| it.contains("ttl_seconds")),
            "{body}"
        );
    }
    assert_eq!(call(&app, Method::POST, GRANT, "k1", None).await.status(), 200, "no body at all");
    assert_eq!(call(&app, Method::POST, GRANT, "wrong", None).await.status(), 401);
}

#[tokio::test]
async fn a_server_without_keys_makes_secrets_too() {
    let app = TestApp::start().await;
    let session = json!({"type": "transcription", "audio": {"input": {"turn_detection": null}}});
    let made: Value = app.post(SECRETS, &json!({"session": session})).await.json().await.expect("JSON");
    let session = opened(&app, made["value"].as_str().expect("text"), "").await;
    assert_eq!(session["audio"]["input"]["turn_detection"], Value::Null);
}
