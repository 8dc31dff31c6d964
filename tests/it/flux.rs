//! Flux's clients: a conversation goes in while it is held, and comes back in turns.

use crate::app::TestApp;
use crate::socket::{Received, Socket};
use crate::sound::samples_of;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";
const OTHER_SENTENCE: &str = "Turn off the lights.";

/// How the sound of these tests is written down.
const LINEAR: &str = "encoding=linear16&sample_rate=24000";

/// A tenth of a second of it.
const TENTH: usize = 4_800;

/// An open connection, after its greeting.
async fn open(app: &TestApp, query: &str) -> Socket {
    let mut socket = Socket::open(app, &format!("/v2/listen?{LINEAR}&{query}"), &[]).await.expect("a connection");
    let greeting = socket.next().await.json();
    assert_eq!((&greeting["type"], &greeting["sequence_id"]), (&json!("Connected"), &json!(0)));
    assert_eq!(greeting["request_id"].as_str().map(str::len), Some(36));
    socket
}

async fn hear(socket: &mut Socket, sound: &[u8]) {
    for part in sound.chunks(TENTH) {
        socket.send_raw(Message::binary(part.to_vec())).await;
    }
}

async fn spoken(app: &TestApp, text: &str) -> Vec<u8> {
    let (samples, rate) = samples_of(&app.speak(text, "wav").await);
    assert_eq!(rate, 24_000);
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn silence(tenths: usize) -> Vec<u8> {
    vec![0; tenths * TENTH]
}

/// Everything up to a message of which `is_it` says so.
async fn until(socket: &mut Socket, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut told = Vec::new();
    while !told.last().is_some_and(&is_it) {
        told.push(socket.next().await.json());
    }
    told
}

/// Ends the sound; everything up to the end, which must be orderly.
async fn rest(socket: &mut Socket) -> Vec<Value> {
    socket.send(&json!({"type": "CloseStream"})).await;
    let (rest, code) = socket.rest().await;
    assert_eq!(code, 1000, "{rest:?}");
    rest.into_iter().map(Received::json).collect()
}

fn is(event: &str) -> impl Fn(&Value) -> bool {
    move |message| message["event"] == event
}

fn ends(told: &[Value]) -> Vec<(&str, &str)> {
    let ends = told.iter().filter(|message| message["event"] == "EndOfTurn");
    ends.map(|it| (it["transcript"].as_str().expect("text"), it["trigger"].as_str().expect("a trigger"))).collect()
}

/// Checks what clients rely on: numbers without gaps, turns in order, and promises that are kept or taken back.
fn check(told: &[Value]) {
    let (mut turn, mut is_open, mut promised) = (0, false, None);
    for (message, number) in told.iter().zip(1..) {
        assert_eq!(message["sequence_id"], number, "{message}");
        if message["type"] != "TurnInfo" {
            continue;
        }
        assert_eq!(message["turn_index"], turn, "{message}");
        for key in ["audio_window_start", "audio_window_end", "end_of_turn_confidence"] {
            assert!(message[key].is_f64(), "{key} in {message}");
        }
        let (event, text) = (message["event"].as_str().expect("text"), &message["transcript"]);
        assert_eq!(message.get("trigger").is_some(), event == "EndOfTurn");
        let words: Vec<_> = message["words"].as_array().expect("words").iter().map(|it| it["word"].as_str()).collect();
        assert_eq!(words.into_iter().map(|word| word.expect("text")).collect::<Vec<_>>().join(" "), *text);
        match (event, promised.take()) {
            ("TurnResumed", Some(_)) | ("Update", None) => {}
            ("StartOfTurn", None) => assert!(!std::mem::replace(&mut is_open, true) && *text != "", "{message}"),
            ("EagerEndOfTurn", None) => promised = Some(text.clone()),
            ("EndOfTurn", promised) => {
                assert!(is_open && promised.is_none_or(|it| it == *text), "{message}");
                (turn, is_open) = (turn + 1, false);
            }
            (_, promised) => panic!("after the promise of {promised:?} comes {message}"),
        }
        if event == "EagerEndOfTurn" {
            assert!(is_open && *text != "");
        }
    }
}

#[tokio::test]
async fn a_conversation_is_told_in_turns() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "eager_eot_threshold=0.4").await;
    let sound =
        [silence(5), spoken(&app, SENTENCE).await, silence(30), spoken(&app, OTHER_SENTENCE).await, silence(30)];
    hear(&mut socket, &sound.concat()).await;
    let told = rest(&mut socket).await;
    check(&told);
    assert_eq!(ends(&told), [(SENTENCE, "model"), (OTHER_SENTENCE, "model")]);
    assert!(told.iter().any(is("EagerEndOfTurn")));
    let end = told.iter().find(|message| is("EndOfTurn")(message)).expect("an end");
    assert!(end["end_of_turn_confidence"].as_f64() >= Some(0.7) && end["words"][0]["confidence"].as_f64() > Some(0.3));
}

#[tokio::test]
async fn there_is_news_four_times_a_second() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "").await;
    hear(&mut socket, &[silence(10), spoken(&app, SENTENCE).await, silence(20)].concat()).await;
    let told = rest(&mut socket).await;
    check(&told);
    let windows: Vec<f64> = told.iter().map(|it| it["audio_window_end"].as_f64().expect("a number")).collect();
    let longest = windows.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!(longest < 0.55, "{longest} s without news in {windows:?}");
    assert!(told.iter().filter(|message| is("Update")(message)).count() > 15);
}

#[tokio::test]
async fn a_pause_ends_a_turn_that_no_confidence_ends() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "eot_threshold=1.0&eot_timeout_ms=1000").await;
    hear(&mut socket, &[spoken(&app, SENTENCE).await, silence(20)].concat()).await;
    let told = until(&mut socket, is("EndOfTurn")).await;
    check(&told);
    assert_eq!(ends(&told), [(SENTENCE, "timeout")]);
}

#[tokio::test]
async fn a_client_can_end_a_turn() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "eot_threshold=1.0&eot_timeout_ms=60000").await;
    for message in ["ForceEndTurn", "KeepAlive", "Finalize", "Surprise"] {
        socket.send(&json!({"type": message})).await;
    }
    hear(&mut socket, &[spoken(&app, SENTENCE).await, silence(10)].concat()).await;
    let mut told = until(&mut socket, is("StartOfTurn")).await;
    socket.send(&json!({"type": "ForceEndTurn"})).await;
    told.extend(until(&mut socket, is("EndOfTurn")).await);
    hear(&mut socket, &spoken(&app, OTHER_SENTENCE).await).await;
    told.extend(rest(&mut socket).await);
    check(&told);
    assert_eq!(told.iter().filter(|message| is("StartOfTurn")(message)).count(), 2);
    assert_eq!(ends(&told), [(SENTENCE, "manual"), (OTHER_SENTENCE, "manual")]);
}

#[tokio::test]
async fn what_ends_a_turn_can_be_changed() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "eot_threshold=1.0&eot_timeout_ms=60000&keyterm=Mynah").await;
    let configure = |wish: Value| {
        let mut message = json!({"type": "Configure"});
        wish.as_object().expect("an object").iter().for_each(|(name, value)| message[name] = value.clone());
        message
    };
    let wish = json!({"thresholds": {"eot_threshold": 0.6, "eager_eot_threshold": 0.5}, "numerals": false});
    socket.send(&configure(wish)).await;
    let told = socket.next().await.json();
    assert_eq!(
        (&told["type"], &told["sequence_id"], &told["keyterms"]),
        (&json!("ConfigureSuccess"), &json!(1), &json!(["Mynah"]))
    );
    assert_eq!(told["thresholds"]["eot_timeout_ms"], 60_000);
    for wish in [
        json!({"thresholds": {"eot_threshold": 7}}),
        json!({"thresholds": {"eot_threshold": "high"}}),
        json!({"thresholds": {"eager_eot_threshold": 0.9}}),
        json!({"thresholds": {"surprise": 1}}),
        json!({"numerals": true}),
        json!({"language_hints": ["es"]}),
        json!({"keyterms": ["word ".repeat(501)]}),
    ] {
        socket.send(&configure(wish)).await;
        let told = socket.next().await.json();
        assert_eq!(told["type"], "ConfigureFailure");
        assert!(told["code"].is_string() && told["description"].is_string(), "{told}");
    }
    hear(&mut socket, &[spoken(&app, SENTENCE).await, silence(20)].concat()).await;
    let told = until(&mut socket, is("EndOfTurn")).await;
    assert_eq!(ends(&told), [(SENTENCE, "model")], "what was refused has changed nothing");
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "").await;
    socket.send_raw(Message::text("hello")).await;
    let (told, code) = socket.rest().await;
    let told = told[0].clone().json();
    assert_eq!(
        (&told["type"], &told["code"], &told["sequence_id"]),
        (&json!("Error"), &json!("UNPARSABLE_CLIENT_MESSAGE"), &json!(1))
    );
    assert_eq!(code, 1011);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_told_and_gone() {
    let app = TestApp::start_with(|config| config.realtime.idle_seconds = 0).await;
    let (told, code) = open(&app, "").await.rest().await;
    assert_eq!((&told[0].clone().json()["code"], code), (&json!("NET-0001"), 1011));
}

#[tokio::test]
async fn a_server_that_stops_ends_the_turn() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "eot_threshold=1.0&eot_timeout_ms=60000").await;
    hear(&mut socket, &[spoken(&app, SENTENCE).await, silence(5)].concat()).await;
    let mut told = until(&mut socket, is("StartOfTurn")).await;
    app.app.stop();
    let (last, code) = socket.rest().await;
    told.extend(last.into_iter().map(Received::json));
    check(&told);
    assert_eq!((ends(&told).len(), code), (1, 1001));
}

#[tokio::test]
async fn a_handshake_that_cannot_be_fails_before_the_connection_is_open() {
    let app = TestApp::start().await;
    for query in [
        "eot_threshold=0.2",
        "eager_eot_threshold=0.8&eot_threshold=0.6",
        "eot_timeout_ms=100",
        "numerals=true",
        "language_hint=es",
        "model=flux-general-multi&language_hint=es",
        "model=nova-99",
    ] {
        let path = format!("/v2/listen?{LINEAR}&{query}");
        let refused = Socket::open(&app, &path, &[]).await.err().expect("a refusal");
        let body: Value = serde_json::from_slice(refused.body().as_deref().expect("a body")).expect("JSON");
        assert_eq!((refused.status().as_u16(), &body["err_code"]), (400, &json!("Bad Request")), "{query}");
        assert!(refused.headers().contains_key("dg-error"));
    }
}
