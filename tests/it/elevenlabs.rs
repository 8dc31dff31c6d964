//! ElevenLabs' clients: a text comes back as sound, and failures as they read them.

use crate::app::TestApp;
use crate::socket::Socket;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

async fn speak(app: &TestApp, path: &str, body: &Value) -> Response {
    app.post(&format!("/v1/text-to-speech/{path}"), body).await
}

/// What ElevenLabs' clients read of a failure: its status, its name and its message.
async fn failure_of(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("JSON");
    let (detail, error) = (&body["detail"], &body["error"]);
    assert_eq!((&error["message"], &error["code"]), (&detail["message"], &json!(status)));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (status, text(&detail["status"]), text(&detail["message"]))
}

#[tokio::test]
async fn what_was_said_is_heard_in_formats_of_every_codec() {
    let app = TestApp::start().await;
    for (path, content_type, raw) in [
        ("alloy", "audio/mpeg", ""),
        ("alloy/stream?output_format=mp3_22050_32", "audio/mpeg", ""),
        ("alloy/stream?output_format=opus_48000_64", "audio/ogg", ""),
        ("alloy?output_format=wav_44100&enable_logging=false", "audio/wav", ""),
        (
            "alloy/stream?output_format=pcm_16000&optimize_streaming_latency=3",
            "audio/pcm",
            "encoding=linear16&sample_rate=16000",
        ),
        ("alloy?output_format=ulaw_8000", "audio/mulaw", "encoding=mulaw&sample_rate=8000"),
        ("alloy?output_format=alaw_8000", "audio/alaw", "encoding=alaw&sample_rate=8000"),
    ] {
        let response = speak(&app, path, &json!({"text": SENTENCE, "model_id": "eleven_flash_v2_5"})).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], content_type);
        let sound = response.bytes().await.expect("sound");
        let heard = app.post_body(&format!("/v1/listen?punctuate=true&{raw}"), "audio/any", sound).await;
        let heard: Value = heard.json().await.expect("JSON");
        assert_eq!(heard["results"]["channels"][0]["alternatives"][0]["transcript"], SENTENCE, "{path}");
    }
}

#[tokio::test]
async fn settings_of_voices_and_words_around_are_fine() {
    let app = TestApp::start().await;
    let length = async |speed: f32| {
        let settings = json!({"stability": 0.5, "similarity_boost": 0.7, "use_speaker_boost": true, "speed": speed});
        let body = json!({
            "text": SENTENCE, "voice_settings": settings, "previous_text": "Yes.", "seed": 7, "model_id": null,
            "apply_text_normalization": "auto", "language_code": "en", "next_request_ids": ["a"],
        });
        let response = speak(&app, "alloy?output_format=pcm_24000", &body).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes().await.expect("sound").len() as f32
    };
    let ratio = length(0.7).await / length(1.2).await;
    assert!((1.45..2.0).contains(&ratio), "{ratio}");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_name() {
    let app = TestApp::start_with(|config| config.limits.input_chars = 10).await;
    for (path, body, status, name, part) in [
        ("nobody", json!({"text": "Hello."}), 404, "voice_not_found", "nobody"),
        ("alloy", json!({"text": "Hello.", "model_id": "nothing"}), 404, "model_not_found", "nothing"),
        ("alloy", json!({"text": " "}), 400, "invalid_parameters", "text"),
        ("alloy", json!({}), 400, "invalid_parameters", "text"),
        ("alloy", json!({"text": 7}), 400, "invalid_parameters", "string"),
        ("alloy", json!({"text": "Eleven here"}), 400, "max_character_limit_exceeded", "10"),
        ("alloy?output_format=mp3_8000_8", json!({"text": "Hello."}), 400, "invalid_parameters", "output_format"),
        ("alloy", json!({"text": "Hi.", "voice_settings": {"speed": 9}}), 400, "invalid_parameters", "speed"),
        ("alloy", json!({"text": "Hi.", "apply_text_normalization": "off"}), 400, "invalid_parameters", "apply_text"),
        ("alloy", json!({"text": "Hi.", "audio_effects": {}}), 400, "invalid_parameters", "audio_effects"),
        (
            "alloy",
            json!({"text": "Hi.", "pronunciation_dictionary_locators": [{}]}),
            400,
            "invalid_parameters",
            "pronunciation_dictionary_locators",
        ),
    ] {
        let (got, told, message) = failure_of(speak(&app, path, &body).await).await;
        assert!((got, told.as_str()) == (status, name) && message.contains(part), "{body}: {got} {told} {message}");
    }
    let get = app.get("/v1/text-to-speech/alloy").await;
    assert_eq!(failure_of(get).await.0, 405);
}

#[tokio::test]
async fn a_key_is_wanted_where_one_is_set() {
    let app = TestApp::start_with(|config| config.auth.keys = vec![mynah::config::Secret::new("k1")]).await;
    let body = json!({"text": "Hello."});
    let (status, name, _) = failure_of(speak(&app, "alloy", &body).await).await;
    assert_eq!((status, name.as_str()), (401, "invalid_api_key"));
    let request = app.client.post(format!("{}/v1/text-to-speech/alloy", app.url)).json(&body);
    assert_eq!(request.header("xi-api-key", "k1").send().await.expect("an answer").status(), StatusCode::OK);
}

/// The characters of an alignment, after checking that its lists belong together; nothing for `null`.
fn characters(alignment: &Value) -> (String, Vec<f64>) {
    let list = |name: &str| alignment[name].as_array().cloned().unwrap_or_default();
    let (starts, ends) = (list("character_start_times_seconds"), list("character_end_times_seconds"));
    let text: String = list("characters").iter().map(|c| c.as_str().expect("text")).collect();
    assert!(starts.len() == text.chars().count() && ends.len() == starts.len());
    let numbers = |list: Vec<Value>| list.iter().map(|value| value.as_f64().expect("a number")).collect::<Vec<_>>();
    let (starts, ends) = (numbers(starts), numbers(ends));
    assert!(starts.iter().zip(&ends).all(|(start, end)| start <= end));
    (text, ends)
}

#[tokio::test]
async fn every_character_has_its_time_whole_and_streamed() {
    let app = TestApp::start().await;
    let body = json!({"text": SENTENCE});
    let format = "output_format=pcm_16000";
    let sound = speak(&app, &format!("alloy?{format}"), &body).await.bytes().await.expect("sound");
    let seconds = sound.len() as f64 / 32_000.0;

    let whole: Value = speak(&app, &format!("alloy/with-timestamps?{format}"), &body).await.json().await.expect("JSON");
    assert_eq!(BASE64_STANDARD.decode(whole["audio_base64"].as_str().expect("text")).expect("base64"), sound);
    let (text, ends) = characters(&whole["alignment"]);
    assert_eq!(text, SENTENCE);
    assert!(ends.is_sorted() && (seconds * 0.7..=seconds).contains(ends.last().expect("a time")), "{seconds} {ends:?}");
    assert_eq!(whole["normalized_alignment"], whole["alignment"]);

    let response = speak(&app, &format!("alloy/stream/with-timestamps?{format}"), &body).await;
    let (mut streamed, mut heard, mut times) = (Vec::new(), String::new(), Vec::new());
    for line in response.text().await.expect("text").lines() {
        let object: Value = serde_json::from_str(line).expect("JSON");
        streamed.extend(BASE64_STANDARD.decode(object["audio_base64"].as_str().expect("text")).expect("base64"));
        let (text, ends) = characters(&object["alignment"]);
        heard.push_str(&text);
        times.extend(ends);
    }
    assert!(streamed == sound && heard == SENTENCE && times == ends);
}

/// The sound and the text of what a connection sends until `is_last`.
async fn said(socket: &mut Socket, mut is_last: impl FnMut(&Value) -> bool) -> (Vec<u8>, String, Value) {
    let (mut sound, mut text) = (Vec::new(), String::new());
    loop {
        let message = socket.next().await.json();
        sound.extend(BASE64_STANDARD.decode(message["audio"].as_str().unwrap_or_default()).expect("base64"));
        let chars = message["alignment"]["chars"].as_array().cloned().unwrap_or_default();
        text.extend(chars.iter().map(|c| c.as_str().expect("text")));
        if is_last(&message) {
            return (sound, text, message);
        }
    }
}

#[tokio::test]
async fn text_goes_in_bit_by_bit_over_a_connection() {
    let app = TestApp::start().await;
    let path = "/v1/text-to-speech/alloy/stream-input?model_id=eleven_flash_v2_5&output_format=pcm_16000";
    let mut socket = Socket::open(&app, path, &[]).await.expect("a connection");
    let settings = json!({"speed": 1.1, "stability": 0.5});
    socket.send(&json!({"text": " ", "voice_settings": settings, "generation_config": {}})).await;
    for word in SENTENCE.split_inclusive(' ') {
        socket.send(&json!({"text": word, "try_trigger_generation": true})).await;
    }
    socket.send(&json!({"text": ""})).await;
    let (sound, text, _) = said(&mut socket, |message| message["isFinal"] == true).await;
    assert_eq!(socket.rest().await, (Vec::new(), 1000));
    assert_eq!(text.trim(), SENTENCE);
    let listen = "/v1/listen?punctuate=true&encoding=linear16&sample_rate=16000";
    let heard: Value = app.post_body(listen, "audio/any", sound).await.json().await.expect("JSON");
    assert_eq!(heard["results"]["channels"][0]["alternatives"][0]["transcript"], SENTENCE);
}

#[tokio::test]
async fn several_speeches_share_a_connection() {
    let app = TestApp::start().await;
    let path =
        "/v1/text-to-speech/tone/multi-stream-input?model_id=fake-mouth&output_format=pcm_8000&inactivity_timeout=180";
    let mut socket = Socket::open(&app, path, &[]).await.expect("a connection");
    for (id, text) in [("a", "One. "), ("b", "Seven. ")] {
        socket.send(&json!({"text": " ", "context_id": id})).await;
        socket.send(&json!({"text": text, "context_id": id, "flush": true})).await;
        socket.send(&json!({"text": "", "context_id": id, "flush": true})).await;
        socket.send(&json!({"context_id": id, "close_context": true})).await;
    }
    let mut sounds = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..2 {
        let (_, _, last) = said(&mut socket, |message| {
            let id = message["contextId"].as_str().expect("an id").to_owned();
            let audio = message["audio"].as_str().unwrap_or_default();
            *sounds.entry(id).or_default() += BASE64_STANDARD.decode(audio).expect("base64").len();
            message["isFinal"] == true
        })
        .await;
        assert!(last["audio"].is_null());
    }
    // A tenth of a second for each character, and the silence at the end.
    for (id, characters) in [("a", 4), ("b", 6)] {
        let tenths = sounds[id] / 1_600;
        assert!((characters..characters + 4).contains(&tenths), "{id}: {tenths}");
    }
    socket.send(&json!({"close_socket": true})).await;
    assert_eq!(socket.rest().await, (Vec::new(), 1000));
}

#[tokio::test]
async fn a_connection_that_cannot_be_is_refused_and_a_wrong_message_ends_one() {
    let app = TestApp::start().await;
    for (path, status) in [
        ("nobody/stream-input", 404),
        ("alloy/stream-input?model_id=nothing", 404),
        ("alloy/multi-stream-input?output_format=mp4", 400),
        ("alloy/stream-input?enable_ssml_parsing=true", 400),
    ] {
        let path = format!("/v1/text-to-speech/{path}");
        let refused = Socket::open(&app, &path, &[]).await.err().expect("a refusal");
        assert_eq!(refused.status().as_u16(), status, "{path}");
        let body: Value = serde_json::from_slice(refused.body().as_deref().unwrap_or_default()).expect("JSON");
        assert!(body["detail"]["message"].is_string());
    }
    let mut socket = Socket::open(&app, "/v1/text-to-speech/alloy/stream-input", &[]).await.expect("a connection");
    socket.send(&json!({"text": 7})).await;
    assert!(socket.next().await.json()["message"].is_string());
    assert_eq!(socket.rest().await, (Vec::new(), 1008));
}
