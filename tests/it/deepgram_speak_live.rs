//! Deepgram's clients over a WebSocket: text goes in bit by bit, sound comes back with their messages.

use crate::app::TestApp;
use crate::socket::{Received, Socket};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

/// An open connection, after its greeting.
async fn open(app: &TestApp, query: &str) -> Socket {
    let mut socket = Socket::open(app, &format!("/v1/speak?{query}"), &[]).await.expect("a connection");
    assert_eq!(socket.next().await.json()["type"], "Metadata");
    socket
}

async fn say(socket: &mut Socket, text: &str) {
    socket.send(&json!({"type": "Speak", "text": text})).await;
}

async fn order(socket: &mut Socket, order: &str) {
    socket.send(&json!({"type": order})).await;
}

/// What a server hears in sound without a header.
async fn heard(app: &TestApp, format: &str, sound: Vec<u8>) -> String {
    let heard = app.post_body(&format!("/v1/listen?punctuate=true&{format}"), "audio/any", sound).await;
    let heard: Value = heard.json().await.expect("JSON");
    heard["results"]["channels"][0]["alternatives"][0]["transcript"].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn what_was_written_in_bits_is_heard_in_every_encoding() {
    let app = TestApp::start().await;
    for (query, format) in [
        ("model=aura-2-thalia-en", "encoding=linear16&sample_rate=24000"),
        ("encoding=linear16&sample_rate=16000&container=none", "encoding=linear16&sample_rate=16000"),
        ("encoding=mulaw&sample_rate=16000", "encoding=mulaw&sample_rate=16000"),
        ("encoding=alaw&sample_rate=16000", "encoding=alaw&sample_rate=16000"),
    ] {
        let mut socket = open(&app, query).await;
        for word in SENTENCE.split_inclusive(' ') {
            say(&mut socket, word).await;
        }
        order(&mut socket, "Flush").await;
        let (sound, flushed) = socket.sound_and_json().await;
        assert_eq!(flushed, json!({"type": "Flushed", "sequence_id": 0}));
        assert_eq!(heard(&app, format, sound).await, SENTENCE, "{query}");
    }
}

#[tokio::test]
async fn the_greeting_says_who_speaks() {
    let app = TestApp::start().await;
    let path = "/v1/speak?model=aura-2-thalia-en&tag=mine";
    let greeting = Socket::open(&app, path, &[]).await.expect("a connection").next().await.json();
    assert_eq!((&greeting["type"], &greeting["model_name"]), (&json!("Metadata"), &json!("aura-2-thalia-en")));
    for key in ["request_id", "model_uuid"] {
        assert_eq!(greeting[key].as_str().expect("text").len(), 36, "{key}");
    }
    assert!(greeting["model_version"].is_string());
}

#[tokio::test]
async fn a_clause_is_heard_before_its_sentence_is_written() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "").await;
    say(&mut socket, "Well, to tell you the truth, I").await;
    assert!(matches!(socket.next().await, Received::Sound(_)));
}

#[tokio::test]
async fn every_flush_is_answered_after_its_sound_and_the_end_says_the_rest() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "model=fake-mouth&sample_rate=8000").await;
    for (text, id) in [("One.", 0), ("Seven.", 1)] {
        say(&mut socket, text).await;
        order(&mut socket, "Flush").await;
        let (sound, flushed) = socket.sound_and_json().await;
        // A tenth of a second for each character, and the silence at the end.
        let tenths = sound.len() / 1_600;
        assert!((text.len()..text.len() + 4).contains(&tenths), "{text}: {tenths}");
        assert_eq!(flushed, json!({"type": "Flushed", "sequence_id": id}));
    }
    order(&mut socket, "Flush").await;
    assert_eq!(socket.sound_and_json().await, (Vec::new(), json!({"type": "Flushed", "sequence_id": 2})));
    say(&mut socket, "the rest").await;
    order(&mut socket, "Close").await;
    let (rest, code) = socket.rest().await;
    assert!(!rest.is_empty() && rest.iter().all(|it| matches!(it, Received::Sound(_))));
    assert_eq!(code, 1000);
}

#[tokio::test]
async fn what_is_cleared_is_not_heard_and_its_engine_is_free() {
    let app = TestApp::start_with(|config| config.engine.slots = 1).await;
    let mut socket = open(&app, "model=fake-mouth").await;
    app.fakes.hold();
    say(&mut socket, "Hold.").await;
    order(&mut socket, "Flush").await;
    while app.fakes.inside() == 0 {
        tokio::task::yield_now().await;
    }
    order(&mut socket, "Clear").await;
    assert_eq!(socket.next().await.json(), json!({"type": "Cleared", "sequence_id": 0}));
    while app.fakes.cancelled() == 0 {
        tokio::task::yield_now().await;
    }
    app.fakes.release();
    say(&mut socket, "On.").await;
    order(&mut socket, "Flush").await;
    let (sound, flushed) = socket.sound_and_json().await;
    assert!((3..7).contains(&(sound.len() / 4_800)), "{}", sound.len());
    assert_eq!(flushed, json!({"type": "Flushed", "sequence_id": 1}));
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_engine_and_its_place() {
    let app = TestApp::start_with(|config| (config.engine.slots, config.limits.concurrent_requests) = (1, 1)).await;
    app.fakes.hold();
    let mut socket = open(&app, "model=fake-mouth").await;
    say(&mut socket, "Hold.").await;
    order(&mut socket, "Flush").await;
    while app.fakes.inside() == 0 {
        tokio::task::yield_now().await;
    }
    let refused = Socket::open(&app, "/v1/speak?model=fake-mouth", &[]).await.err().expect("a refusal");
    assert_eq!(refused.status().as_u16(), 429);
    drop(socket);
    while app.fakes.cancelled() == 0 || Socket::open(&app, "/v1/speak?model=fake-mouth", &[]).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_failure_of_the_engine_is_told_and_ends_the_connection() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "model=fake-mouth").await;
    say(&mut socket, "Fail.").await;
    order(&mut socket, "Flush").await;
    let error = socket.next().await.json();
    assert!(error["type"] == "Error" && error["description"].is_string() && error["code"].is_string(), "{error}");
    assert_eq!(socket.rest().await, (Vec::new(), 1011));
}

#[tokio::test]
async fn messages_that_make_no_sense_are_answered() {
    let app = TestApp::start_with(|config| config.limits.input_chars = 10).await;
    let mut socket = open(&app, "model=fake-mouth").await;
    order(&mut socket, "KeepAlive").await;
    order(&mut socket, "Sing").await;
    assert_eq!(socket.next().await.json()["type"], "Warning");
    let too_long = json!({"type": "Speak", "text": "Eleven here"}).to_string();
    for (message, code, close) in [
        (Message::text("hello"), "DATA-0000", 1008),
        (Message::text(r#"{"type": "Speak"}"#), "DATA-0000", 1008),
        (Message::text(r#"{"type": "Speak", "text": 7}"#), "DATA-0000", 1008),
        (Message::binary(&b"\0\0"[..]), "MESSAGE-0000", 1003),
        (Message::text(too_long), "BIG-0001", 1009),
    ] {
        let mut socket = open(&app, "model=fake-mouth").await;
        socket.send_raw(message).await;
        let error = socket.next().await.json();
        assert_eq!((&error["type"], &error["code"]), (&json!("Error"), &json!(code)));
        assert_eq!(socket.rest().await, (Vec::new(), close), "{code}");
    }
    let mut socket = open(&app, "model=fake-mouth").await;
    socket.send_raw(Message::text("x".repeat((1 << 20) + 1))).await;
    assert_eq!(socket.rest().await.1, 1009);
}

#[tokio::test]
async fn a_handshake_that_cannot_be_is_refused_with_a_status() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![mynah::config::Secret::new("k1")]).await;
    for (query, key, status) in [
        ("model=nothing", "Token k1", 400),
        ("encoding=mp3", "Token k1", 400),
        ("container=wav", "Token k1", 400),
        ("sample_rate=44100", "Token k1", 400),
        ("", "Token wrong", 401),
    ] {
        let path = format!("/v1/speak?{query}");
        let refused = Socket::open(&app, &path, &[("authorization", key)]).await.err().expect("a refusal");
        assert_eq!(refused.status().as_u16(), status, "{query}");
        assert!(refused.headers().contains_key("dg-error") && refused.headers().contains_key("dg-request-id"));
        let body: Value = serde_json::from_slice(refused.body().as_deref().unwrap_or_default()).expect("JSON");
        assert!(body["err_code"].is_string() && body["err_msg"].is_string(), "{body}");
    }
    let plain = app.get("/v1/speak?api_key=k1").await;
    assert_eq!(
        (plain.status(), &plain.headers()["upgrade"]),
        (StatusCode::UPGRADE_REQUIRED, &"websocket".parse().unwrap())
    );
}

#[tokio::test]
async fn browsers_present_their_key_as_a_subprotocol() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![mynah::config::Secret::new("k1")]).await;
    for (offer, chosen) in [("token, k1", "token"), ("bearer, k1", "bearer")] {
        let socket = Socket::open(&app, "/v1/speak", &[("sec-websocket-protocol", offer)]).await.expect("a connection");
        assert_eq!(socket.protocol.as_deref(), Some(chosen));
    }
    assert!(Socket::open(&app, "/v1/speak", &[("sec-websocket-protocol", "token, no")]).await.is_err());
}

#[tokio::test]
async fn a_server_that_stops_says_what_it_was_given_first() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "model=fake-mouth").await;
    app.fakes.hold();
    say(&mut socket, "Hold.").await;
    order(&mut socket, "Flush").await;
    while app.fakes.inside() == 0 {
        tokio::task::yield_now().await;
    }
    app.app.stop();
    app.fakes.release();
    let (sound, flushed) = socket.sound_and_json().await;
    assert!(!sound.is_empty() && flushed["type"] == "Flushed");
    assert_eq!(socket.rest().await.1, 1000);
    app.server.await.expect("no panic").expect("a clean end");
}
