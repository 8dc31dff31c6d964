//! Cartesia's clients: a text comes back as sound or as events, and failures as they read them.

use crate::app::TestApp;
use crate::socket::Socket;
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

#[tokio::test]
async fn words_have_times_where_they_are_wanted() {
    let app = TestApp::start().await;
    let body = with(request(raw("pcm_s16le", 16_000)), json!({"add_timestamps": true}));
    let events = events_of(app.post("/tts/sse", &body).await).await;
    let (mut words, mut before) = (Vec::new(), 0.0);
    for event in events.iter().filter(|event| event["type"] == "timestamps") {
        let times = &event["word_timestamps"];
        let list = |name: &str| times[name].as_array().expect("a list").clone();
        for ((word, start), end) in list("words").iter().zip(list("start")).zip(list("end")) {
            let (start, end) = (start.as_f64().expect("a number"), end.as_f64().expect("a number"));
            assert!(before <= start && start < end, "{word}");
            before = start;
            words.push(word.as_str().expect("text").to_owned());
        }
    }
    assert_eq!(words.join(" "), SENTENCE);
}

#[tokio::test]
async fn volume_is_a_factor() {
    let app = TestApp::start().await;
    let loudness = async |volume: f32| {
        let body = with(request(raw("pcm_f32le", 16_000)), json!({"generation_config": {"volume": volume}}));
        let sound = app.post("/tts/bytes", &body).await.bytes().await.expect("sound");
        let sample = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
        sound.chunks_exact(4).map(|bytes| sample(bytes).abs()).sum::<f32>()
    };
    let ratio = loudness(0.5).await / loudness(1.0).await;
    assert!((0.45..0.55).contains(&ratio), "{ratio}");
}

/// A message for the text `id`.
fn bit(id: &str, transcript: &str, changes: Value) -> Value {
    let base = json!({
        "model_id": "fake-mouth", "voice": {"mode": "id", "id": "tone"}, "output_format": raw("pcm_s16le", 8_000),
        "context_id": id, "transcript": transcript,
    });
    with(base, changes)
}

/// What comes of the text `id` until `last`: the bytes, and the other events.
async fn until(socket: &mut Socket, id: &str, last: &str) -> (usize, Vec<Value>) {
    let (mut bytes, mut events) = (0, Vec::new());
    loop {
        let event = socket.next().await.json();
        assert_eq!(event["context_id"], id, "{event}");
        if let Some(data) = event["data"].as_str() {
            bytes += BASE64_STANDARD.decode(data).expect("base64").len();
            continue;
        }
        let is_last = event["type"] == last;
        events.push(event);
        if is_last {
            return (bytes, events);
        }
    }
}

#[tokio::test]
async fn text_goes_in_bit_by_bit_over_a_connection() {
    let app = TestApp::start().await;
    let path = "/tts/websocket?api_key=any&cartesia_version=2025-04-16";
    let mut socket = Socket::open(&app, path, &[]).await.expect("a connection");
    for word in SENTENCE.split_inclusive(' ') {
        let request = with(request(raw("pcm_s16le", 16_000)), json!({"transcript": word, "context_id": "a"}));
        socket.send(&with(request, json!({"continue": true, "add_timestamps": true}))).await;
    }
    let end = with(request(raw("pcm_s16le", 16_000)), json!({"transcript": "", "context_id": "a", "continue": false}));
    socket.send(&end).await;
    let (mut sound, mut words) = (Vec::new(), Vec::new());
    loop {
        let event = socket.next().await.json();
        assert_eq!(event["context_id"], "a");
        match event["type"].as_str().expect("a type") {
            "chunk" => sound.extend(BASE64_STANDARD.decode(event["data"].as_str().expect("text")).expect("base64")),
            "timestamps" => words.extend(event["word_timestamps"]["words"].as_array().expect("a list").clone()),
            "done" => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(words.len(), SENTENCE.split(' ').count());
    let listen = "/v1/listen?punctuate=true&encoding=linear16&sample_rate=16000";
    let heard: Value = app.post_body(listen, "audio/any", sound).await.json().await.expect("JSON");
    assert_eq!(heard["results"]["channels"][0]["alternatives"][0]["transcript"], SENTENCE);
}

#[tokio::test]
async fn flushes_are_answered_after_their_sound() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(&app, "/tts/websocket", &[]).await.expect("a connection");
    for (text, id) in [("One.", 1), ("Seven.", 2)] {
        socket.send(&bit("a", text, json!({"continue": true, "flush": true}))).await;
        let (bytes, events) = until(&mut socket, "a", "flush_done").await;
        let tenths = bytes / 1_600;
        assert!((text.len()..text.len() + 4).contains(&tenths), "{text}: {tenths}");
        assert_eq!((events.len(), &events[0]["flush_id"]), (1, &json!(id)));
    }
    socket.send(&bit("a", "", json!({}))).await;
    let (bytes, events) = until(&mut socket, "a", "done").await;
    assert_eq!((bytes, events.len()), (0, 1));
}

#[tokio::test]
async fn a_text_that_is_cancelled_is_said_no_further_and_others_are() {
    let app = TestApp::start_with(|config| config.engine.slots = 1).await;
    let mut socket = Socket::open(&app, "/tts/websocket", &[]).await.expect("a connection");
    app.fakes.hold();
    socket.send(&bit("a", "Hold.", json!({}))).await;
    while app.fakes.inside() == 0 {
        tokio::task::yield_now().await;
    }
    socket.send(&json!({"context_id": "a", "cancel": true})).await;
    while app.fakes.cancelled() == 0 {
        tokio::task::yield_now().await;
    }
    app.fakes.release();
    socket.send(&bit("b", "On.", json!({}))).await;
    assert!(until(&mut socket, "b", "done").await.0 > 0);
}

#[tokio::test]
async fn an_error_names_its_text_and_leaves_the_others() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(&app, "/tts/websocket", &[]).await.expect("a connection");
    for (message, id, status) in [
        (bit("a", "Fail.", json!({})), json!("a"), 500),
        (bit("b", "Hi.", json!({"voice": "nobody"})), json!("b"), 404),
        (bit("c", "Hi.", json!({"output_format": {"container": "ogg", "sample_rate": 8_000}})), json!("c"), 400),
        (bit("d", "Hi.", json!({"transcript": 7})), Value::Null, 400),
        (json!({"transcript": "Hi."}), Value::Null, 400),
    ] {
        socket.send(&message).await;
        let error = socket.next().await.json();
        assert_eq!((&error["type"], &error["done"]), (&json!("error"), &json!(true)), "{error}");
        assert_eq!((&error["context_id"], &error["status_code"]), (&id, &json!(status)), "{error}");
        assert!(error["title"].is_string() && error["message"].is_string() && error["error_code"].is_string());
    }
    socket.send(&bit("e", "On.", json!({}))).await;
    assert!(until(&mut socket, "e", "done").await.0 > 0);
}

#[tokio::test]
async fn a_connection_has_so_many_texts_and_no_more() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(&app, "/tts/websocket", &[]).await.expect("a connection");
    for number in 0..33 {
        socket.send(&bit(&number.to_string(), "wait", json!({"continue": true, "max_buffer_delay_ms": 100_000}))).await;
    }
    let error = socket.next().await.json();
    assert_eq!((&error["context_id"], &error["status_code"]), (&json!("32"), &json!(429)));
}
