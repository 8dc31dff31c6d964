use super::*;
use crate::api::openai::realtime::session::Dialect;
use crate::config::Config;
use crate::engine::Engines;
use serde_json::json;

fn app() -> App {
    let folder = tempfile::tempdir().expect("a folder");
    App::new(Config { data_dir: folder.path().to_owned(), ..Config::default() }, Engines::built_in()).expect("an app")
}

fn merge(app: &App, session: &Session, change: &Value) -> Result<Session> {
    merged(session, app, change, "session", false)
}

/// The settings after `changes`, as the client sees them.
fn after(dialect: Dialect, changes: &[Value]) -> Value {
    let app = app();
    let session =
        changes.iter().fold(Session::new(None), |session, change| merge(&app, &session, change).expect("good"));
    Value::Object(session.wire(dialect))
}

fn input(change: Value) -> Value {
    json!({"type": "transcription", "audio": {"input": change}})
}

#[test]
fn a_session_begins_as_documented() {
    assert_eq!(
        after(Dialect::Current, &[]),
        json!({
            "type": "transcription",
            "audio": {"input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": null,
                "noise_reduction": null,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": null,
                },
            }},
            "include": null,
        })
    );
}

#[test]
fn what_is_absent_stays_and_what_is_null_is_cleared() {
    let changes = [
        input(json!({"transcription": {"model": "whisper-1", "language": "en", "prompt": "Names."}})),
        input(json!({"transcription": {"prompt": null, "keywords": ["Mynah"]}, "turn_detection": {"threshold": 0.7}})),
        json!({"include": [LOGPROBS]}),
        input(json!({"turn_detection": {"type": "server_vad", "silence_duration_ms": 350}})),
    ];
    let told = after(Dialect::Current, &changes);
    let input_told = &told["audio"]["input"];
    assert_eq!(input_told["transcription"], json!({"model": "whisper-1", "language": "en", "keywords": ["Mynah"]}));
    let turns = &input_told["turn_detection"];
    assert_eq!((&turns["threshold"], &turns["silence_duration_ms"]), (&json!(0.7), &json!(350)));
    assert_eq!(told["include"], json!([LOGPROBS]));
    let cleared = input(json!({"transcription": null, "turn_detection": null}));
    let told = after(Dialect::Current, &[changes[0].clone(), cleared, json!({"include": null})]);
    assert_eq!((&told["audio"]["input"]["transcription"], &told["include"]), (&Value::Null, &Value::Null));
    assert_eq!(told["audio"]["input"]["turn_detection"], Value::Null);
}

#[test]
fn the_beta_says_the_same_in_its_own_words() {
    let change = json!({
        "input_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {"type": "semantic_vad", "eagerness": "high", "create_response": true},
        "include": [LOGPROBS],
    });
    let told = after(Dialect::Beta, std::slice::from_ref(&change));
    assert_eq!(told["input_audio_format"], "g711_ulaw");
    assert_eq!(told["turn_detection"], json!({"type": "semantic_vad", "eagerness": "high"}));
    assert_eq!(told["input_audio_noise_reduction"], Value::Null, "nothing is done about noise");
    assert_eq!(after(Dialect::Current, &[change])["audio"]["input"]["format"], json!({"type": "audio/pcmu"}));
}

#[test]
fn a_turn_ends_with_no_less_silence_than_there_is_within_words() {
    let told =
        after(Dialect::Current, &[input(json!({"turn_detection": {"type": "server_vad", "silence_duration_ms": 50}}))]);
    assert_eq!(told["audio"]["input"]["turn_detection"]["silence_duration_ms"], 200);
}

#[test]
fn models_that_stream_leave_turns_to_their_clients() {
    let app = app();
    let streaming = input(json!({"transcription": {"model": "gpt-realtime-whisper"}}));
    let session = merge(&app, &Session::new(None), &streaming).expect("good");
    assert_eq!((session.turns(), session.delay()), (TurnDetection::None, Some(Duration::ZERO)));
    let session = merge(&app, &session, &input(json!({"turn_detection": {"type": "server_vad"}}))).expect("good");
    assert_eq!(session.turns(), TurnDetection::Server(ServerVad::default()));
    let session = merge(&app, &session, &input(json!({"transcription": {"delay": "high"}}))).expect("good");
    assert_eq!(session.delay(), Some(Duration::from_secs(1)));
    let session = merge(&app, &session, &input(json!({"transcription": {"delay": 40}}))).expect("good");
    assert_eq!(session.delay(), Some(Duration::from_millis(40)));
}

#[test]
fn what_is_wrong_is_named_and_changes_nothing() {
    let app = app();
    for (change, param) in [
        (json!({"type": "realtime"}), "session.type"),
        (json!({"instructions": "Be nice."}), "session.instructions"),
        (json!({"audio": {"output": {"voice": "alloy"}}}), "session.audio.output"),
        (json!({"audio": 7}), "session.audio"),
        (json!({"include": ["item.input_text"]}), "session.include"),
        (json!({"input_audio_format": "mp3"}), "session.input_audio_format"),
        (input(json!({"format": {"type": "audio/opus"}})), "session.audio.input.format.type"),
        (input(json!({"format": {"type": "audio/pcm", "rate": 4000}})), "session.audio.input.format.rate"),
        (input(json!({"format": {"type": "audio/pcm", "rate": 96000}})), "session.audio.input.format.rate"),
        (input(json!({"noise_reduction": {"type": "loud"}})), "session.audio.input.noise_reduction.type"),
        (input(json!({"turn_detection": {"type": "magic"}})), "session.audio.input.turn_detection.type"),
        (input(json!({"turn_detection": {"threshold": 2}})), "session.audio.input.turn_detection.threshold"),
        (
            input(json!({"turn_detection": {"idle_timeout_ms": 10}})),
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            input(json!({"turn_detection": {"type": "semantic_vad", "eagerness": "very"}})),
            "session.audio.input.turn_detection.eagerness",
        ),
        (input(json!({"transcription": {"delay": "soon"}})), "session.audio.input.transcription.delay"),
        (input(json!({"transcription": {"delay": -1}})), "session.audio.input.transcription.delay"),
        (input(json!({"transcription": {"language": "Klingon"}})), "session.audio.input.transcription.language"),
        (input(json!({"transcription": {"languages": ["de"]}})), "session.audio.input.transcription.languages"),
        (input(json!({"transcription": {"keywords": "one"}})), "session.audio.input.transcription.keywords"),
        (input(json!({"transcription": {"prompt": 7}})), "session.audio.input.transcription.prompt"),
        (input(json!({"transcription": {"model": "nothing"}})), "session.audio.input.transcription.model"),
        (json!({"input_audio_transcription": {"model": "tts-1"}}), "session.input_audio_transcription.model"),
    ] {
        let error = merge(&app, &Session::new(None), &change).expect_err(param);
        assert_eq!(error.param(), Some(param), "{change}");
        assert!(error.code().is_some() && !error.message().is_empty(), "{change}");
    }
    assert_eq!(
        merged(&Session::new(None), &app, &json!({"speed": 1}), "", false).expect_err("no").param(),
        Some("speed")
    );
}

#[test]
fn the_format_of_sound_stays_when_there_is_some() {
    let app = app();
    let session = Session::new(None);
    let change = |rate: u32| input(json!({"format": {"type": "audio/pcm", "rate": rate}}));
    assert_eq!(merged(&session, &app, &change(24_000), "session", true).expect("the same"), session);
    let error = merged(&session, &app, &change(16_000), "session", true).expect_err("another");
    assert_eq!(error.param(), Some("session.audio.input.format"));
    assert_eq!(merge(&app, &session, &change(16_000)).expect("in time").format.sample_rate, 16_000);
}

#[test]
fn what_clients_send_for_sessions_of_other_kinds_does_no_harm() {
    let change =
        json!({"modalities": ["text"], "voice": null, "client_secret": {"value": "x"}, "audio": null, "new": 1});
    assert_eq!(after(Dialect::Current, &[change]), after(Dialect::Current, &[]));
}
