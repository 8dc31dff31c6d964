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
async fn models_can_be_listed_by_what_they_do_and_whose_they_are() {
    let app = TestApp::start().await;
    for (query, there, absent) in [
        ("modality=audio-stt", "deepgram/nova-3", "openai/tts-hd"),
        ("modality=audio-tts", "openai/tts-hd", "deepgram/nova-3"),
        ("provider=openai", "openai/tts-hd", "deepgram/nova-3"),
        ("provider=openai&modality=audio-stt", "openai/whisper-1", "openai/tts-hd"),
    ] {
        let list = json(&app, &format!("/v1/models?{query}")).await;
        let listed = |id| list["data"].as_array().expect("models").iter().any(|model| model["id"] == id);
        assert!(listed(there) && !listed(absent), "{query}: {list}");
    }
    assert_eq!(json(&app, "/v1/models?modality=video").await["data"], serde_json::json!([]));
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

#[cfg(feature = "onnx")]
#[tokio::test]
async fn a_turn_model_is_used_when_it_is_there() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let app = TestApp::start_with(|config| config.data_dir = data.path().to_owned()).await.app;
    assert!(app.models.turn_detector().await.expect("no model, no failure").is_none());
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/onnx");
    let folder = data.path().join("models/smart-turn-v3");
    std::fs::create_dir_all(&folder).expect("created");
    std::fs::copy(fixtures.join("turn.onnx"), folder.join("smart-turn-v3.2-cpu.onnx")).expect("copied");
    match app.models.turn_detector().await {
        Ok(pool) => {
            assert!(pool.is_some() && app.models.get("smart-turn").is_some_and(|info| info.loaded));
            drop(pool);
            app.models.sweep(std::time::Instant::now() + std::time::Duration::from_secs(100_000));
            assert!(app.models.get("smart-turn").is_some_and(|info| !info.loaded));
        }
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
    for key in ["id", "name", "language", "model", "licence"] {
        assert!(voices.iter().all(|voice| voice[key].is_string()), "{key}");
    }
    let ids: std::collections::BTreeSet<&str> = voices.iter().filter_map(|voice| voice["id"].as_str()).collect();
    assert_eq!(ids.len(), voices.len(), "every id is there once");
    for id in ["alloy", "cedar", "rachel", "en-us", "de"] {
        assert!(voices.iter().any(|voice| voice["id"] == id), "{id} is missing");
    }
    let legacy = json(&app, "/v1/audio/voices?legacy=true").await;
    assert!(legacy["voices"].as_array().expect("voices").iter().all(Value::is_string));
    let models = json(&app, "/v1/audio/models").await;
    let models = models["models"].as_array().expect("models");
    assert!(models.iter().all(|model| model["id"].is_string() && model["name"].is_string()));
    let has = |id: &str| models.iter().any(|model| model["id"] == id);
    assert!(has("tts-1") && has("mynah-voice") && !has("kokoro-82m"), "what is not here cannot be chosen");
}

async fn elevenlabs(app: &TestApp, path: &str) -> (u16, Value) {
    let response = app.client.get(format!("{}{path}", app.url)).header("xi-api-key", "k").send().await.expect("answer");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

#[tokio::test]
async fn models_are_listed_in_the_shape_of_whoever_asks() {
    let app = TestApp::start_with(|config| config.auth.keys.push(mynah::config::Secret::new("k"))).await;
    let (status, list) = elevenlabs(&app, "/v1/models").await;
    assert_eq!(status, 200);
    let models = list.as_array().expect("a bare array");
    let flash = models.iter().find(|model| model["model_id"] == "eleven_flash_v2_5").expect("the service's own id");
    assert_eq!((&flash["name"], &flash["can_do_text_to_speech"]), (&"Eleven Flash v2.5".into(), &true.into()));
    let languages = flash["languages"].as_array().expect("languages");
    assert!(languages.contains(&serde_json::json!({"language_id": "de", "name": "German"})), "{languages:?}");
    assert!(models.iter().any(|model| model["model_id"] == "mynah-voice"));
    assert!(models.iter().all(|model| model["model_id"] != "whisper-1" && model["model_id"] != "kokoro-82m"));
    let request = app.client.get(format!("{}/v1/models", app.url)).header("authorization", "Token k");
    let list: Value = request.send().await.expect("answer").json().await.expect("JSON");
    assert!(list["tts"].as_array().is_some_and(|models| models.iter().any(|model| model["name"] == "mynah-voice")));
}

#[tokio::test]
async fn voices_are_listed_for_elevenlabs_clients() {
    let app = TestApp::start_with(|config| config.auth.keys.push(mynah::config::Secret::new("k"))).await;
    let (_, list) = elevenlabs(&app, "/v1/voices").await;
    let voices = list["voices"].as_array().expect("voices");
    let rachel = voices.iter().find(|voice| voice["voice_id"] == "21m00Tcm4TlvDq8ikWAM").expect("a stock voice");
    assert_eq!((&rachel["name"], &rachel["category"]), (&"Rachel".into(), &"premade".into()));
    let (_, one) = elevenlabs(&app, "/v1/voices/21m00Tcm4TlvDq8ikWAM").await;
    assert_eq!(&one, rachel);
    let (status, error) = elevenlabs(&app, "/v1/voices/nobody").await;
    assert!(status == 404 && error.to_string().contains("nobody"), "{error}");
    assert_eq!(app.get("/v1/voices").await.status(), 401);
}

#[tokio::test]
async fn voices_are_searched_page_by_page() {
    let app = TestApp::start().await;
    let all = json(&app, "/v1/voices").await["voices"].as_array().expect("voices").len();
    let (mut seen, mut path) = (Vec::new(), "/v2/voices?page_size=100".to_owned());
    loop {
        let page = json(&app, &path).await;
        assert_eq!(page["total_count"], all);
        let ids = page["voices"].as_array().expect("voices").iter().map(|voice| voice["voice_id"].to_string());
        seen.extend(ids);
        let Some(token) = page["next_page_token"].as_str() else { break };
        assert_eq!(page["has_more"], true);
        path = format!("/v2/voices?page_size=100&next_page_token={token}");
    }
    assert_eq!(seen.len(), all);
    let count = async |query: &str| json(&app, &format!("/v2/voices?{query}")).await["total_count"].clone();
    assert_eq!(json(&app, "/v2/voices").await["voices"].as_array().map(Vec::len), Some(10));
    assert_eq!(count("search=RACHEL").await, 1);
    assert_eq!(count("voice_ids=21m00Tcm4TlvDq8ikWAM,alloy").await, 2);
    assert_eq!(count("category=cloned").await, 0);
    assert_eq!(json(&app, "/v2/voices?search=rachel&sort=name&sort_direction=desc").await["has_more"], false);
    for query in
        ["page_size=0", "page_size=x", "next_page_token=x", "sort=size", "sort_direction=up", "collection_id=a"]
    {
        assert_eq!(app.get(&format!("/v2/voices?{query}")).await.status(), 400, "{query}");
    }
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
