//! Which models and voices there are.

use crate::app::{TestApp, error_of};
use serde_json::Value;

async fn json(app: &TestApp, path: &str) -> Value {
    let response = app.get(path).await;
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.expect("JSON")
}

#[tokio::test]
async fn every_gateway_and_stock_id_is_listed() {
    let app = TestApp::start().await;
    let list = json(&app, "/v1/models").await;
    assert_eq!(list["object"], "list");
    let models = list["data"].as_array().expect("models");
    for model in models {
        assert!(model["id"].is_string() && model["owned_by"].is_string() && model["created"].is_u64(), "{model}");
        assert_eq!(model["object"], "model");
    }
    for id in [
        "openai/whisper-1",
        "deepgram/nova-3",
        "deepgram/flux",
        "elevenlabs/eleven-flash-2.5",
        "elevenlabs/eleven-v3",
        "cartesia/sonic-2",
        "openai/tts-hd",
        "whisper-1",
        "tts-1",
        "tts-1-hd",
        "gpt-4o-mini-tts",
        "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe",
        "gpt-4o-transcribe-diarize",
        "mynah-demo.en",
        "mynah-voice",
    ] {
        assert!(models.iter().any(|model| model["id"] == id), "{id} is missing");
    }
}

#[tokio::test]
async fn an_id_may_hold_a_slash_in_either_spelling() {
    let app = TestApp::start().await;
    for path in ["/v1/models/deepgram/nova-3", "/v1/models/deepgram%2Fnova-3"] {
        let model = json(&app, path).await;
        assert_eq!((&model["id"], &model["resolves_to"]), (&"deepgram/nova-3".into(), &"mynah-demo.en".into()));
    }
}

#[tokio::test]
async fn what_tells_speakers_apart_is_not_offered_to_clients() {
    let app = TestApp::start().await;
    for path in ["/v1/models", "/v1/audio/models"] {
        let list = json(&app, path).await.to_string();
        assert!(!list.contains("mynah-speakers") && !list.contains("\"diarization\""), "{path}");
    }
    assert_eq!(app.get("/v1/models/mynah-speakers").await.status(), 404);
    let form = crate::app::Form::default().with("model", "diarization").with_file(b"x");
    let (status, error) = error_of(app.transcribe(form).await).await;
    assert_eq!((status.as_u16(), error["param"].as_str()), (400, Some("model")));
}

#[tokio::test]
async fn the_diarizer_is_loaded_once_and_let_go_when_idle() {
    let app = TestApp::start().await.app;
    let is_loaded = || app.models.get("mynah-speakers").is_some_and(|info| info.loaded);
    assert!(!is_loaded());
    let (first, second) = (app.models.diarizer().await.expect("built in"), app.models.diarizer().await.expect("there"));
    assert!(std::sync::Arc::ptr_eq(&first, &second) && is_loaded());
    drop((first, second));
    app.models.sweep(std::time::Instant::now() + std::time::Duration::from_secs(100_000));
    assert!(!is_loaded());
}

#[cfg(feature = "onnx")]
#[tokio::test]
async fn a_pulled_speaker_model_comes_before_the_built_in_one() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let app = TestApp::start_with(|config| config.data_dir = data.path().to_owned()).await.app;
    let chosen = || app.models.get("diarization").and_then(|info| info.resolves_to);
    assert_eq!(chosen().as_deref(), Some("mynah-speakers"));
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/onnx");
    let folder = data.path().join("models/wespeaker-resnet34-lm");
    std::fs::create_dir_all(&folder).expect("created");
    for (from, to) in [("wespeaker.onnx", "embedding.onnx"), ("segmentation.onnx", "segmentation.onnx")] {
        std::fs::copy(fixtures.join(from), folder.join(to)).expect("copied");
    }
    assert_eq!(chosen().as_deref(), Some("wespeaker-resnet34-lm"));
    match app.models.diarizer().await {
        Ok(_) => assert!(app.models.get("wespeaker-resnet34-lm").is_some_and(|info| info.loaded)),
        // Nothing else steps in: who has pulled a model wants to know why it does not work.
        Err(error) => assert!(error.message().contains("ONNX Runtime is not there"), "{error}"),
    }
}

#[tokio::test]
async fn an_unknown_model_is_not_found_anywhere() {
    let app = TestApp::start().await;
    let form = crate::app::Form::default().with("model", "nobody").with_file(b"x");
    let speech = serde_json::json!({"model": "nobody", "voice": "alloy", "input": "Hi."});
    for response in
        [app.get("/v1/models/nobody").await, app.transcribe(form).await, app.post("/v1/audio/speech", &speech).await]
    {
        let (status, error) = error_of(response).await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (404, Some("model_not_found")), "{error}");
    }
}

#[tokio::test]
async fn a_model_of_the_other_kind_is_refused() {
    let app = TestApp::start().await;
    let form = crate::app::Form::default().with("model", "tts-1").with_file(b"x");
    let (status, error) = error_of(app.transcribe(form).await).await;
    assert_eq!((status.as_u16(), error["param"].as_str()), (400, Some("model")));
}

#[tokio::test]
async fn user_interfaces_find_voices_and_models_without_a_key() {
    let app = TestApp::start_with(|config| config.auth.keys.push(mynah::config::Secret::new("k"))).await;
    let voices = json(&app, "/v1/audio/voices").await;
    let voices = voices["voices"].as_array().expect("voices");
    assert!(voices.iter().all(|voice| voice["id"].is_string() && voice["name"].is_string()));
    for id in ["alloy", "cedar", "rachel", "en-us", "de"] {
        assert!(voices.iter().any(|voice| voice["id"] == id), "{id} is missing");
    }
    let legacy = json(&app, "/v1/audio/voices?legacy=true").await;
    assert!(legacy["voices"].as_array().expect("voices").iter().all(Value::is_string));
    let models = json(&app, "/v1/audio/models").await;
    assert!(models["models"].as_array().expect("models").iter().all(|model| model["id"].is_string()));
}

#[tokio::test]
async fn every_stock_voice_speaks() {
    let app = TestApp::start().await;
    for voice in [
        "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin",
        "cedar", "rachel",
    ] {
        let body = serde_json::json!({"model": "tts-1", "voice": voice, "input": "Hello."});
        let response = app.post("/v1/audio/speech", &body).await;
        assert_eq!(response.status(), 200, "{voice}");
        assert!(response.bytes().await.expect("sound").len() > 1000, "{voice}");
    }
}

#[tokio::test]
async fn a_model_is_loaded_on_first_use() {
    let app = TestApp::start().await;
    assert_eq!(json(&app, "/v1/models/mynah-demo.en").await["loaded"], false);
    let sound = app.speak("Hello world.", "wav").await;
    assert_eq!(app.transcribe(crate::app::Form::file(&sound)).await.status(), 200);
    assert_eq!(json(&app, "/v1/models/mynah-demo.en").await["loaded"], true);
}
