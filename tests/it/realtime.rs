//! Live transcription as OpenAI's clients speak of it, without their libraries. Sound is sent as fast as it is taken.

use crate::app::{TestApp, error_of};
use crate::socket::{Received, Socket};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mynah::config::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const COMPLETED: &str = "conversation.item.input_audio_transcription.completed";
const DELTA: &str = "conversation.item.input_audio_transcription.delta";
const FAILED: &str = "conversation.item.input_audio_transcription.failed";
const COMMITTED: &str = "input_audio_buffer.committed";

/// Inside what the built-in model knows.
const LIGHTS: &str = "Please turn on the kitchen lights at seven o'clock.";
const WEATHER: &str = "What is the weather like tomorrow?";

/// The bytes of a second of sound as a session has it in the beginning.
const SECOND: usize = 48_000;

/// A connection, behind the first event.
async fn open(app: &TestApp, query: &str) -> Socket {
    let mut socket = Socket::open(app, &format!("/v1/realtime?{query}"), &[]).await.expect("a connection");
    assert_eq!(socket.next().await.json()["type"], "session.created");
    socket
}

/// A connection with these settings of the input.
async fn open_with(app: &TestApp, input: Value) -> Socket {
    let mut socket = open(app, "intent=transcription").await;
    update(&mut socket, input).await;
    socket
}

async fn update(socket: &mut Socket, input: Value) -> Value {
    socket
        .send(&json!({"type": "session.update", "session": {"type": "transcription", "audio": {"input": input}}}))
        .await;
    let told = socket.next().await.json();
    assert_eq!(told["type"], "session.updated", "{told}");
    told
}

/// Sends sound in bits of a tenth of a second.
async fn append(socket: &mut Socket, sound: &[u8]) {
    for bit in sound.chunks(SECOND / 10) {
        socket.send(&json!({"type": "input_audio_buffer.append", "audio": BASE64_STANDARD.encode(bit)})).await;
    }
}

async fn order(socket: &mut Socket, name: &str) {
    socket.send(&json!({"type": format!("input_audio_buffer.{name}")})).await;
}

/// Everything up to and with so many events of this type.
async fn until(socket: &mut Socket, name: &str, mut count: usize) -> Vec<Value> {
    let mut events = Vec::new();
    while count > 0 {
        let event = socket.next().await.json();
        assert!(event["event_id"].as_str().is_some_and(|id| id.starts_with("event_")), "{event}");
        count -= usize::from(event["type"] == name);
        events.push(event);
    }
    events
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .map(|name| name.rsplit('.').next().unwrap_or(name))
        .collect()
}

fn of_type<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == name).collect()
}

fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace(|letter: char| !letter.is_alphanumeric() && letter != '\'', " ");
    text.split_whitespace().map(str::to_owned).collect()
}

/// That `text` is what was said, give or take one word of a small model.
fn assert_says(text: &Value, said: &str) {
    let (heard, said) = (words(text.as_str().expect("text")), words(said));
    let missing = said.iter().filter(|word| !heard.contains(word)).count();
    assert!(missing <= 1 && heard.len().abs_diff(said.len()) <= 1, "{heard:?}");
}

/// That the error is this one, and tells what its event was called.
fn assert_refused(event: &Value, code: &str, param: Option<&str>, id: Option<&str>) {
    assert_eq!(
        (&event["type"], &event["error"]["type"]),
        (&json!("error"), &json!("invalid_request_error")),
        "{event}"
    );
    assert_eq!((&event["error"]["code"], &event["error"]["param"]), (&json!(code), &json!(param)), "{event}");
    assert_eq!(event["error"]["event_id"], json!(id), "{event}");
    assert!(event["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
}

#[tokio::test]
async fn what_is_committed_is_transcribed() {
    let app = TestApp::start().await;
    let speech = app.speak(LIGHTS, "pcm").await;
    let mut socket = open_with(&app, json!({"turn_detection": null, "transcription": {"model": "whisper-1"}})).await;
    append(&mut socket, &speech).await;
    order(&mut socket, "commit").await;
    let events = until(&mut socket, COMPLETED, 1).await;
    assert_eq!(types(&events)[..4], ["committed", "added", "done", "delta"]);
    let completed = events.last().expect("an event");
    assert_says(&completed["transcript"], LIGHTS);
    let deltas: String = of_type(&events, DELTA).iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(completed["transcript"], json!(deltas));
    let id = &events[0]["item_id"];
    assert!(of_type(&events, DELTA).iter().chain(&[completed]).all(|event| event["item_id"] == *id));
    assert_eq!((&events[1]["item"]["id"], &events[0]["previous_item_id"]), (id, &Value::Null));
    assert_eq!(completed["usage"]["type"], "duration");
    assert_eq!(completed["usage"]["seconds"].as_u64(), Some(speech.len().div_ceil(SECOND) as u64));
    assert_eq!(completed["content_index"], 0);
}

#[tokio::test]
async fn turns_are_found_in_what_is_heard() {
    let app = TestApp::start().await;
    let (first, second) = (app.speak(LIGHTS, "pcm").await, app.speak(WEATHER, "pcm").await);
    let gap = vec![0; SECOND * 3 / 2];
    let sound = [&gap, &first[..], &gap, &second, &gap].concat();
    let mut socket = open(&app, "model=whisper-1").await;
    append(&mut socket, &sound).await;
    let events = until(&mut socket, COMPLETED, 2).await;
    let order = ["speech_started", "speech_stopped", "committed", "added", "done", "delta", "completed"];
    assert_eq!(types(&events), [order, order].concat(), "{events:#?}");
    let completed = of_type(&events, COMPLETED);
    assert_says(&completed[0]["transcript"], LIGHTS);
    assert_says(&completed[1]["transcript"], WEATHER);
    let committed = of_type(&events, COMMITTED);
    assert_eq!(
        (&committed[0]["previous_item_id"], &committed[1]["previous_item_id"]),
        (&Value::Null, &committed[0]["item_id"])
    );
    // The padding in front belongs to the turn; the built-in voice is silent for a moment around its words.
    let begins = [gap.len(), 2 * gap.len() + first.len()].map(|bytes| bytes as i64 * 1000 / SECOND as i64);
    let ends = [gap.len() + first.len(), sound.len() - gap.len()].map(|bytes| bytes as i64 * 1000 / SECOND as i64);
    for (turn, (begin, end)) in begins.into_iter().zip(ends).enumerate() {
        let told = |at: usize, name: &str| events[7 * turn + at][name].as_i64().expect("a number");
        let (start, stop) = (told(0, "audio_start_ms") + 300, told(1, "audio_end_ms"));
        assert!((start - begin).abs() <= 300 && (stop - end).abs() <= 300, "{start}..{stop} is not {begin}..{end}");
    }
}

#[tokio::test]
async fn a_pause_in_meaning_ends_a_turn() {
    let app = TestApp::start().await;
    let sound = [&app.speak(LIGHTS, "pcm").await[..], &vec![0; 3 * SECOND]].concat();
    let mut socket = open_with(&app, json!({"turn_detection": {"type": "semantic_vad", "eagerness": "high"}})).await;
    append(&mut socket, &sound).await;
    let events = until(&mut socket, COMPLETED, 1).await;
    assert_eq!(
        types(&events),
        ["speech_started", "speech_stopped", "committed", "added", "done", "delta", "completed"]
    );
    assert_says(&events[6]["transcript"], LIGHTS);
}

#[tokio::test]
async fn words_come_while_somebody_speaks_when_asked_for() {
    let app = TestApp::start().await;
    let text = format!("{LIGHTS} {WEATHER} Set a timer for twenty minutes.");
    let sound = app.speak(&text, "pcm").await;
    for input in [
        json!({"turn_detection": null, "transcription": {"model": "whisper-1", "delay": "minimal"}}),
        json!({"transcription": {"model": "gpt-realtime-whisper"}}),
    ] {
        let mut socket = open_with(&app, input).await;
        append(&mut socket, &sound).await;
        let early = until(&mut socket, DELTA, 1).await;
        assert!(of_type(&early, COMMITTED).is_empty() && !early[0]["delta"].as_str().unwrap_or_default().is_empty());
        order(&mut socket, "commit").await;
        let events = [early, until(&mut socket, COMPLETED, 1).await].concat();
        let deltas: String = of_type(&events, DELTA).iter().filter_map(|event| event["delta"].as_str()).collect();
        let completed = events.last().expect("an event");
        assert_eq!(completed["transcript"], json!(deltas));
        let id = &completed["item_id"];
        assert!(of_type(&events, DELTA).iter().all(|event| event["item_id"] == *id));
        assert!(of_type(&events, COMMITTED).iter().all(|event| event["item_id"] == *id));
    }
}

#[tokio::test]
async fn a_long_buffer_is_one_item() {
    let app = TestApp::start().await;
    let speech = app.speak(&format!("{LIGHTS} {WEATHER}"), "pcm").await;
    let mut socket = open_with(&app, json!({"turn_detection": null, "transcription": {"model": "fake-ears"}})).await;
    let sound = [&speech[..], &vec![0; SECOND]].concat().repeat(20);
    append(&mut socket, &sound).await;
    order(&mut socket, "commit").await;
    let events = until(&mut socket, COMPLETED, 1).await;
    assert_eq!(types(&events)[..3], ["committed", "added", "done"]);
    let completed = events.last().expect("an event");
    assert_eq!(completed["usage"]["seconds"].as_u64(), Some(sound.len().div_ceil(SECOND) as u64));
    assert!(completed["transcript"].as_str().is_some_and(|text| text.matches("Heard.").count() >= 20), "{completed}");
}

#[tokio::test]
async fn telephones_are_understood_in_the_words_of_the_beta() {
    let app = TestApp::start().await;
    let path = "/v1/speak?encoding=mulaw&sample_rate=8000&container=none";
    let sound = app.post(path, &json!({"text": LIGHTS})).await.bytes().await.expect("sound");
    let headers = [("openai-beta", "realtime=v1")];
    let mut socket = Socket::open(&app, "/v1/realtime?intent=transcription", &headers).await.expect("a connection");
    let created = socket.next().await.json();
    assert_eq!(
        (&created["type"], &created["session"]["input_audio_format"]),
        (&json!("transcription_session.created"), &json!("pcm16"))
    );
    socket
        .send(&json!({"type": "transcription_session.update", "session": {
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
            "include": ["item.input_audio_transcription.logprobs"],
        }}))
        .await;
    let updated = socket.next().await.json();
    assert_eq!(updated["type"], "transcription_session.updated");
    let session = &updated["session"];
    assert_eq!(
        (&session["input_audio_format"], &session["turn_detection"]["silence_duration_ms"]),
        (&json!("g711_ulaw"), &json!(300))
    );
    append(&mut socket, &[&sound[..], &[0xff; 8000]].concat()).await;
    let events = until(&mut socket, COMPLETED, 1).await;
    assert_eq!(types(&events), ["speech_started", "speech_stopped", "committed", "created", "delta", "completed"]);
    let completed = &events[5];
    assert_says(&completed["transcript"], LIGHTS);
    assert_eq!(completed["usage"]["type"], "tokens");
    for event in &events[4..] {
        let tokens = event["logprobs"].as_array().expect("tokens");
        assert!(tokens.iter().all(|it| it["token"].is_string() && it["logprob"].is_f64() && it["bytes"].is_array()));
    }
}

#[tokio::test]
async fn every_rate_is_understood() {
    let app = TestApp::start().await;
    for rate in [8_000, 16_000, 44_100, 48_000] {
        let body = json!({"model": "tts-1", "voice": "alloy", "input": WEATHER, "response_format": "pcm", "sample_rate": rate});
        let sound = app.post("/v1/audio/speech", &body).await.bytes().await.expect("sound");
        let format = json!({"type": "audio/pcm", "rate": rate});
        let mut socket = open_with(&app, json!({"format": format, "turn_detection": null})).await;
        append(&mut socket, &sound).await;
        order(&mut socket, "commit").await;
        let events = until(&mut socket, COMPLETED, 1).await;
        assert_says(&events.last().expect("an event")["transcript"], WEATHER);
    }
}

#[tokio::test]
async fn events_that_make_no_sense_are_answered_and_the_session_goes_on() {
    let app = TestApp::start().await;
    let speech = app.speak(LIGHTS, "pcm").await;
    let mut socket = open(&app, "intent=transcription&model=fake-ears").await;
    let long = "x".repeat(513);
    for (message, code, param, id) in [
        (json!({"type": "response.create", "event_id": "e1"}), "invalid_value", Some("type"), Some("e1")),
        (json!({"event_id": "e2"}), "missing_required_parameter", Some("type"), Some("e2")),
        (json!({"type": 7}), "missing_required_parameter", Some("type"), None),
        (json!({"type": "session.update"}), "missing_required_parameter", Some("session"), None),
        (json!({"type": "session.update", "session": 7}), "missing_required_parameter", Some("session"), None),
        (
            json!({"type": "session.update", "session": {"type": "realtime"}, "event_id": "e3"}),
            "invalid_value",
            Some("session.type"),
            Some("e3"),
        ),
        (json!({"type": "input_audio_buffer.append"}), "missing_required_parameter", Some("audio"), None),
        (json!({"type": "input_audio_buffer.append", "audio": 7}), "invalid_value", Some("audio"), None),
        (
            json!({"type": "input_audio_buffer.append", "audio": "*", "event_id": "e4"}),
            "invalid_value",
            Some("audio"),
            Some("e4"),
        ),
        (
            json!({"type": "input_audio_buffer.commit", "event_id": "e5"}),
            "input_audio_buffer_commit_empty",
            None,
            Some("e5"),
        ),
        (json!({"type": "input_audio_buffer.commit", "event_id": long}), "invalid_value", Some("event_id"), None),
    ] {
        socket.send(&message).await;
        assert_refused(&socket.next().await.json(), code, param, id);
    }
    for message in [Message::text("hello"), Message::text("[]"), Message::text(""), Message::binary(&b"\0\0"[..])] {
        socket.send_raw(message).await;
        assert_refused(&socket.next().await.json(), "invalid_json", None, None);
    }
    let model = json!({"input_audio_transcription": {"model": "nothing"}});
    socket.send(&json!({"type": "transcription_session.update", "session": model})).await;
    assert_refused(
        &socket.next().await.json(),
        "model_not_found",
        Some("session.input_audio_transcription.model"),
        None,
    );
    update(&mut socket, json!({"turn_detection": null})).await;
    append(&mut socket, &speech).await;
    order(&mut socket, "commit").await;
    assert_eq!(until(&mut socket, COMPLETED, 1).await.last().expect("an event")["transcript"], "Heard.");
}

#[tokio::test]
async fn too_little_sound_is_no_item() {
    let app = TestApp::start().await;
    let mut socket = open_with(&app, json!({"turn_detection": null, "transcription": {"model": "fake-ears"}})).await;
    append(&mut socket, &vec![0; SECOND / 20]).await;
    order(&mut socket, "commit").await;
    let refused = socket.next().await.json();
    assert_refused(&refused, "input_audio_buffer_commit_empty", None, None);
    let message = refused["error"]["message"].as_str().expect("text");
    assert!(message.contains("100 ms") && message.contains("50.00 ms"), "{message}");
    append(&mut socket, &vec![0; SECOND / 10]).await;
    order(&mut socket, "commit").await;
    let events = until(&mut socket, COMPLETED, 1).await;
    assert_eq!(events.last().expect("an event")["transcript"], "");
    order(&mut socket, "commit").await;
    assert_refused(&socket.next().await.json(), "input_audio_buffer_commit_empty", None, None);
}

#[tokio::test]
async fn what_is_cleared_is_not_transcribed_and_what_was_committed_is() {
    let app = TestApp::start().await;
    let (first, second) = (app.speak(LIGHTS, "pcm").await, app.speak(WEATHER, "pcm").await);
    let mut socket = open_with(&app, json!({"turn_detection": null})).await;
    order(&mut socket, "clear").await;
    assert_eq!(socket.next().await.json()["type"], "input_audio_buffer.cleared");
    append(&mut socket, &first).await;
    order(&mut socket, "commit").await;
    append(&mut socket, &first).await;
    order(&mut socket, "clear").await;
    let events = until(&mut socket, "input_audio_buffer.cleared", 1).await;
    let completed = of_type(&events, COMPLETED);
    assert_says(&completed[0]["transcript"], LIGHTS);
    order(&mut socket, "commit").await;
    assert_refused(&socket.next().await.json(), "input_audio_buffer_commit_empty", None, None);
    append(&mut socket, &second).await;
    order(&mut socket, "commit").await;
    let events = until(&mut socket, COMPLETED, 1).await;
    assert_says(&events.last().expect("an event")["transcript"], WEATHER);
}

#[tokio::test]
async fn the_format_of_the_sound_stays() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "").await;
    let format = |rate: u32| json!({"audio": {"input": {"format": {"type": "audio/pcm", "rate": rate}}}});
    append(&mut socket, &[0; 480]).await;
    for (rate, answer) in [(16_000, "error"), (24_000, "session.updated")] {
        socket.send(&json!({"type": "session.update", "session": format(rate)})).await;
        assert_eq!(socket.next().await.json()["type"], answer);
    }
}

#[tokio::test]
async fn settings_can_change_between_turns() {
    let app = TestApp::start().await;
    let speech = app.speak(LIGHTS, "pcm").await;
    let input =
        json!({"turn_detection": null, "transcription": {"model": "fake-ears", "prompt": "options", "language": "de"}});
    let mut socket = open_with(&app, input).await;
    let mut heard = Vec::new();
    for change in
        [json!({}), json!({"transcription": {"language": null, "languages": ["de", "en"], "keywords": ["Mynah"]}})]
    {
        update(&mut socket, change).await;
        append(&mut socket, &speech).await;
        order(&mut socket, "commit").await;
        let events = until(&mut socket, COMPLETED, 1).await;
        heard.push(events.last().expect("an event")["transcript"].as_str().expect("text").to_owned());
    }
    assert!(heard[0].starts_with(r#"keywords=[] languages=[] language=Some("de")"#), "{heard:?}");
    assert!(heard[1].starts_with(r#"keywords=["Mynah"] languages=["de", "en"] language=None"#), "{heard:?}");
    update(&mut socket, json!({"transcription": {"model": "whisper-1", "prompt": null, "languages": null}})).await;
    append(&mut socket, &speech).await;
    order(&mut socket, "commit").await;
    assert_says(&until(&mut socket, COMPLETED, 1).await.last().expect("an event")["transcript"], LIGHTS);
}

#[tokio::test]
async fn a_failure_of_the_engine_is_told_of_its_item_and_the_session_goes_on() {
    let app = TestApp::start().await;
    let speech = app.speak(LIGHTS, "pcm").await;
    let input = json!({"turn_detection": null, "transcription": {"model": "fake-ears", "prompt": "fail"}});
    let mut socket = open_with(&app, input).await;
    append(&mut socket, &speech).await;
    order(&mut socket, "commit").await;
    let events = until(&mut socket, FAILED, 1).await;
    let failed = events.last().expect("an event");
    assert_eq!((&failed["item_id"], &failed["error"]["type"]), (&events[0]["item_id"], &json!("server_error")));
    update(&mut socket, json!({"transcription": {"prompt": null}})).await;
    append(&mut socket, &speech).await;
    order(&mut socket, "commit").await;
    assert_eq!(until(&mut socket, COMPLETED, 1).await.last().expect("an event")["transcript"], "Heard.");
}

#[tokio::test]
async fn a_silence_that_the_client_asks_for_is_told() {
    let app = TestApp::start().await;
    let turns = json!({"type": "server_vad", "idle_timeout_ms": 5000});
    let mut socket = open_with(&app, json!({"turn_detection": turns})).await;
    append(&mut socket, &vec![0; 6 * SECOND]).await;
    let events = until(&mut socket, COMPLETED, 1).await;
    assert_eq!(types(&events), ["timeout_triggered", "committed", "added", "done", "completed"]);
    assert_eq!(events[0]["audio_start_ms"], 0);
    assert!(events[0]["audio_end_ms"].as_u64().is_some_and(|end| (5000..5500).contains(&end)));
    assert_eq!(events[4]["transcript"], "");
}

#[tokio::test]
async fn browsers_present_their_key_as_a_subprotocol() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![Secret::new("k1")]).await;
    let path = "/v1/realtime?intent=transcription";
    for (offer, dialect) in [
        ("realtime, openai-insecure-api-key.k1", "session.created"),
        ("realtime, openai-insecure-api-key.k1, openai-organization.o, openai-project.p", "session.created"),
        ("realtime, openai-insecure-api-key.k1, openai-beta.realtime-v1", "transcription_session.created"),
    ] {
        let mut socket = Socket::open(&app, path, &[("sec-websocket-protocol", offer)]).await.expect("a connection");
        assert_eq!(socket.protocol.as_deref(), Some("realtime"));
        assert_eq!(socket.next().await.json()["type"], dialect);
    }
    let socket = Socket::open(&app, path, &[("authorization", "Bearer k1")]).await.expect("a connection");
    assert_eq!(socket.protocol, None);
    let offer = [("sec-websocket-protocol", "realtime, openai-insecure-api-key.no")];
    let refused = Socket::open(&app, path, &offer).await.err().expect("a refusal");
    assert_eq!(refused.status().as_u16(), 401);
}

#[tokio::test]
async fn a_handshake_that_cannot_be_is_refused_with_a_status() {
    let app = TestApp::start().await;
    for (query, status, param) in [
        ("model=nothing", 404, "model"),
        ("intent=transcription&model=tts-1", 400, "model"),
        ("intent=conversation", 400, "intent"),
        ("call_id=c", 400, "call_id"),
    ] {
        let refused = Socket::open(&app, &format!("/v1/realtime?{query}"), &[]).await.err().expect("a refusal");
        assert_eq!(refused.status().as_u16(), status, "{query}");
        let body: Value = serde_json::from_slice(refused.body().as_deref().unwrap_or_default()).expect("JSON");
        assert_eq!(body["error"]["param"], param, "{body}");
    }
    let plain = app.get("/v1/realtime?intent=transcription").await;
    assert_eq!(plain.headers()["upgrade"], "websocket");
    assert_eq!(error_of(plain).await.0, 426);
}

#[tokio::test]
async fn as_many_sessions_as_allowed() {
    let app = TestApp::start_with(|config| config.realtime.sessions = 1).await;
    let held = open(&app, "").await;
    let refused = Socket::open(&app, "/v1/realtime", &[]).await.err().expect("a refusal");
    assert_eq!(refused.status().as_u16(), 429);
    drop(held);
    while Socket::open(&app, "/v1/realtime", &[]).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let app = TestApp::start_with(|config| config.realtime.session_seconds = 1).await;
    let mut socket = Socket::open(&app, "/v1/realtime?intent=transcription", &[]).await.expect("a connection");
    let created = socket.next().await.json();
    assert!(created["session"]["expires_at"].is_u64() && created["session"]["id"].is_string(), "{created}");
    assert_refused(&socket.next().await.json(), "session_expired", None, None);
    assert_eq!(socket.next().await, Received::Closed(1000));
}

#[tokio::test]
async fn a_server_that_stops_tells_what_was_said_first() {
    let app = TestApp::start().await;
    let speech = app.speak(LIGHTS, "pcm").await;
    let mut idle = open(&app, "").await;
    let mut manual = open_with(&app, json!({"turn_detection": null})).await;
    let mut socket = open(&app, "").await;
    for socket in [&mut manual, &mut socket] {
        append(socket, &speech).await;
    }
    until(&mut socket, "input_audio_buffer.speech_started", 1).await;
    // An answer shows that the sound in front of it has been read.
    update(&mut manual, json!({})).await;
    update(&mut idle, json!({})).await;
    socket.send(&json!({"type": "session.update", "session": {}})).await;
    until(&mut socket, "session.updated", 1).await;
    app.app.stop();
    for socket in [&mut manual, &mut socket] {
        let (rest, code) = socket.rest().await;
        let rest: Vec<Value> = rest.into_iter().map(Received::json).collect();
        assert_says(&of_type(&rest, COMPLETED)[0]["transcript"], LIGHTS);
        assert_eq!(code, 1001);
    }
    assert_eq!(idle.rest().await, (Vec::new(), 1001));
    app.server.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_engine() {
    let app = TestApp::start_with(|config| (config.engine.slots, config.realtime.sessions) = (1, 1)).await;
    let speech = app.speak(LIGHTS, "pcm").await;
    let input = json!({"turn_detection": null, "transcription": {"model": "fake-ears", "prompt": "hold"}});
    let mut socket = open_with(&app, input).await;
    app.fakes.hold();
    append(&mut socket, &speech).await;
    order(&mut socket, "commit").await;
    while app.fakes.inside() == 0 {
        tokio::task::yield_now().await;
    }
    drop(socket);
    while app.fakes.cancelled() == 0 || Socket::open(&app, "/v1/realtime", &[]).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection() {
    let app = TestApp::start_with(|config| config.realtime.message_bytes = 1000).await;
    let mut socket = open(&app, "").await;
    socket.send_raw(Message::text("x".repeat(1001))).await;
    assert_eq!(socket.rest().await.1, 1009);
}

#[tokio::test]
async fn who_is_still_sending_what_is_too_long_is_told_so() {
    let app = TestApp::start_with(|config| config.realtime.message_bytes = 1000).await;
    let address = app.url.trim_start_matches("http://");
    let (mut from, mut to) = TcpStream::connect(address).await.expect("a connection").into_split();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let head =
        format!("GET /v1/realtime?intent=transcription HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n{key}\r\n\r\n");
    to.write_all(head.as_bytes()).await.expect("the server reads");
    // A text frame of 64 MiB, masked with zeros.
    let mut frame = vec![0x81, 0xff];
    frame.extend((64_u64 << 20).to_be_bytes());
    frame.extend([0; 4]);
    let sending = tokio::spawn(async move {
        to.write_all(&frame).await?;
        for _ in 0..64 {
            to.write_all(&vec![b'x'; 1 << 20]).await?;
        }
        std::io::Result::Ok(())
    });
    let mut told = Vec::new();
    let end = from.read_to_end(&mut told).await;
    // The opcode of a close frame, its length, and 1009.
    assert!(told.windows(4).any(|it| it[0] == 0x88 && it[2..] == [0x03, 0xf1]), "{end:?}: {}", told.escape_ascii());
    assert!(sending.await.expect("no panic").is_err(), "it was not read");
}

/// What the gateway's clients are told when they send this sound and close.
async fn through_the_gateway(app: &TestApp, query: &str, sound: &[u8]) -> (Vec<Value>, u16) {
    let mut socket = Socket::open(app, &format!("/v1/realtime?{query}"), &[]).await.expect("a connection");
    for bit in sound.chunks(SECOND / 10) {
        socket.send_raw(Message::binary(bit.to_vec())).await;
    }
    socket.send(&json!({"type": "CloseStream"})).await;
    let (told, code) = socket.rest().await;
    (told.into_iter().map(Received::json).collect(), code)
}

#[tokio::test]
async fn the_gateways_clients_find_their_own_words_at_the_same_address() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![Secret::new("k1")]).await;
    let body =
        json!({"model": "tts-1", "voice": "alloy", "input": LIGHTS, "response_format": "pcm", "sample_rate": 16_000});
    let request = app.client.post(format!("{}/v1/audio/speech", app.url)).bearer_auth("k1").json(&body);
    let sound = request.send().await.expect("an answer").bytes().await.expect("sound");
    // The first names what it wants in the query; of the second nothing is known before its sound comes.
    let full = "model=deepgram/nova-3&encoding=linear16&sample_rate=16000&interim_results=true&api_key=k1";
    for (query, greeting) in [(full, 0), ("model=deepgram/nova-3&access_token=k1", 1)] {
        let (told, code) = through_the_gateway(&app, query, &sound).await;
        assert_eq!(code, 1000);
        assert_eq!(of_type(&told, "session.created").len(), greeting);
        let finals = of_type(&told, "Results").into_iter().filter(|event| event["is_final"] == true);
        let texts: Vec<_> =
            finals.filter_map(|event| event["channel"]["alternatives"][0]["transcript"].as_str()).collect();
        assert_says(&json!(texts.join(" ")), LIGHTS);
        assert_eq!(told.last().expect("an event")["type"], "Metadata");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_of_itself_is_known_by_its_first_message() {
    let app = TestApp::start().await;
    let mut socket = open(&app, "model=whisper-1").await;
    socket.send(&json!({"type": "KeepAlive"})).await;
    socket.send(&json!({"type": "CloseStream"})).await;
    let (told, code) = socket.rest().await;
    assert_eq!((told.last().map(|it| it.clone().json()["type"].clone()), code), (Some(json!("Metadata")), 1000));
    let mut socket = open(&app, "model=whisper-1").await;
    socket.send(&json!({"type": "input_audio_buffer.clear"})).await;
    assert_eq!(socket.next().await.json()["type"], "input_audio_buffer.cleared");
    socket.send(&json!({"type": "CloseStream"})).await;
    assert_refused(&socket.next().await.json(), "invalid_value", Some("type"), None);
}
