//! ElevenLabs' clients: a text comes back as sound, and failures as they read them.

use crate::app::TestApp;
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
