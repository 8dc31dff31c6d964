//! A recording comes back as text.

use crate::app::{Form, TestApp, error_of};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::Value;

const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

fn assert_heard(text: &str) {
    assert_eq!(text.trim(), SENTENCE);
}

/// A second of nothing as WAV.
fn silence(seconds: u32) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut out, spec).expect("a writer");
    (0..16_000 * seconds).for_each(|_| writer.write_sample(0i16).expect("a sample"));
    writer.finalize().expect("a file");
    out.into_inner()
}

#[tokio::test]
async fn every_format_that_is_spoken_is_understood() {
    let app = TestApp::start().await;
    for format in ["wav", "mp3", "opus", "flac", "aac"] {
        let sound = app.speak(SENTENCE, format).await;
        let response = app.transcribe(Form::file(&sound)).await;
        assert_eq!(response.status(), 200, "{format}");
        let body: Value = response.json().await.expect("JSON");
        assert_heard(body["text"].as_str().unwrap_or_else(|| panic!("no text for {format}")));
    }
}

#[tokio::test]
async fn the_order_of_the_parts_does_not_matter() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "mp3").await;
    let file_last = app.transcribe(Form::default().with("model", "whisper-1").with_file(&sound)).await;
    let file_first = app.transcribe(Form::default().with_file(&sound).with("model", "whisper-1")).await;
    assert_eq!(file_first.text().await.expect("a body"), file_last.text().await.expect("a body"));
}

#[tokio::test]
async fn text_formats_are_not_json() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    for (format, content_type, begin) in [
        ("text", "text/plain; charset=utf-8", "Please"),
        ("srt", "text/plain; charset=utf-8", "1\n00:00:00,"),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00."),
    ] {
        let response = app.transcribe(Form::file(&sound).with("response_format", format)).await;
        assert_eq!(response.headers()["content-type"], content_type);
        let body = response.text().await.expect("a body");
        assert!(body.starts_with(begin) && body.contains("kitchen lights"), "{format}: {body}");
    }
}

#[tokio::test]
async fn word_times_rise_and_stay_inside_the_audio() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "flac").await;
    let form = Form::file(&sound)
        .with("response_format", "verbose_json")
        .with("timestamp_granularities[]", "word")
        .with("timestamp_granularities[]", "segment");
    let body: Value = app.transcribe(form).await.json().await.expect("JSON");
    assert_eq!((&body["task"], &body["language"]), (&"transcribe".into(), &"english".into()));
    let duration = body["duration"].as_f64().expect("a duration");
    let words = body["words"].as_array().expect("words");
    assert_eq!(words.len(), SENTENCE.split(' ').count());
    let mut before = 0.0;
    for word in words {
        let (start, end) = (word["start"].as_f64().expect("a start"), word["end"].as_f64().expect("an end"));
        assert!(before <= start && start <= end && end <= duration, "{words:#?}");
        before = start;
    }
    let segments = body["segments"].as_array().expect("segments");
    for key in [
        "id",
        "seek",
        "start",
        "end",
        "text",
        "tokens",
        "temperature",
        "avg_logprob",
        "compression_ratio",
        "no_speech_prob",
    ] {
        assert!(segments[0].get(key).is_some(), "{key} is missing in {segments:?}");
    }
    assert!(segments[0].as_object().expect("an object").values().all(|value| !value.is_null()));
}

#[tokio::test]
async fn only_the_granularities_that_were_asked_for_come_back() {
    let app = TestApp::start().await;
    let sound = app.speak("Hello world.", "wav").await;
    let verbose = |form: Form| form.with("response_format", "verbose_json");
    let body: Value = app.transcribe(verbose(Form::file(&sound))).await.json().await.expect("JSON");
    assert!(body["segments"].is_array() && body.get("words").is_none());
    let form = verbose(Form::file(&sound)).with("timestamp_granularities", "word");
    let body: Value = app.transcribe(form).await.json().await.expect("JSON");
    assert!(body["words"].is_array() && body.get("segments").is_none());
}

#[tokio::test]
async fn silence_is_an_empty_text() {
    let app = TestApp::start().await;
    let response = app.transcribe(Form::file(&silence(5)).with("response_format", "verbose_json")).await;
    let body: Value = response.json().await.expect("JSON");
    assert_eq!((&body["text"], &body["segments"]), (&"".into(), &Value::Array(vec![])));
    assert_eq!(body["duration"], 5.0);
}

#[tokio::test]
async fn silence_has_no_language() {
    let app = TestApp::start().await;
    let form = Form::default().with("model", "fake-ears").with("response_format", "verbose_json");
    let body: Value = app.transcribe(form.with_file(&silence(2))).await.json().await.expect("JSON");
    assert_eq!((&body["text"], &body["language"]), (&"".into(), &"unknown".into()));
}

#[tokio::test]
async fn streamed_deltas_add_up_to_the_text() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "mp3").await;
    let form = |model| Form::default().with("model", model).with("stream", "true").with_file(&sound);
    let response = app.transcribe(form("gpt-4o-transcribe")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let body = response.text().await.expect("events");
    assert!(body.ends_with("\n\n"), "the last event ends with a blank line");
    let events: Vec<Value> = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    let deltas: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    let done = events.last().expect("an event");
    assert_eq!(done["type"], "transcript.text.done");
    assert_eq!(done["text"], deltas.as_str());
    assert_heard(&deltas);
    let plain: Value = app.transcribe(form("whisper-1")).await.json().await.expect("JSON, as OpenAI ignores stream");
    assert_heard(plain["text"].as_str().expect("a text"));
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = TestApp::start().await;
    let wav = silence(1);
    let model = || Form::default().with("model", "whisper-1");
    for (form, param) in [
        (model(), "file"),
        (model().with_file(b""), "file"),
        (Form::default().with_file(&wav), "model"),
        (Form::file(&wav).with("response_format", "yaml"), "response_format"),
        (Form::file(&wav).with("temperature", "9"), "temperature"),
        (Form::file(&wav).with("temperature", "warm"), "temperature"),
        (Form::file(&wav).with("timestamp_granularities[]", "letter"), "timestamp_granularities"),
        (Form::file(&wav).with("timestamp_granularities[]", "word"), "timestamp_granularities"),
        (Form::file(&wav).with("language", "klingon"), "language"),
        (Form::file(&wav).with("language", "de"), "language"),
        (Form::file(&wav).with("languages[]", "klingon"), "languages"),
        (Form::file(&wav).with("languages", "de,fr"), "languages"),
        (Form::file(&wav).with("webhook_url", "http://127.0.0.1/"), "webhook_url"),
        (Form::file(&wav).with("async", "true").with("model", "fake-ears").with("stream", "true"), "stream"),
        (Form::file(&wav).with("async", "perhaps"), "async"),
        (Form::file(&wav).with("chunking_strategy[type]", "semantic_vad"), "chunking_strategy"),
        (Form::file(&wav).with("chunking_strategy", "auto").with("vad", "false"), "chunking_strategy"),
        (Form::file(&wav).with("include[]", "usage"), "include"),
        (Form::file(&wav).with("known_speaker_names[]", "Ann"), "known_speaker_names"),
        (Form::file(&wav).with("diarize", "1").with("known_speaker_names[]", "Ann"), "known_speaker_references"),
        (Form::file(&wav).with("num_speakers", "2"), "num_speakers"),
        (Form::file(&wav).with("keywords[]", &"x".repeat(201)), "keywords"),
        (Form::file(&wav).with("max_line_width", "20"), "max_line_width"),
        (Form::file(&wav).with("response_format", "srt").with("max_line_count", "0"), "max_line_count"),
        (Form::file(&wav).with("strict", "true").with("audit", "false"), "strict"),
        (Form::file(&wav).with("strict", "true").with("vad", "false"), "strict"),
        (
            Form::file(&wav).with("stream", "true").with("model", "gpt-transcribe").with("multichannel", "1"),
            "multichannel",
        ),
        (Form::file(&wav).with("guard", "maybe"), "guard"),
        (Form::file(&wav).with("audio_url", "http://example.com/a.wav"), "audio_url"),
        (Form::file(&wav).with("input_audio[data]", "AAAA"), "input_audio"),
        (Form::file(&wav).with("stream", "perhaps"), "stream"),
    ] {
        let (status, error) = error_of(app.transcribe(form).await).await;
        assert_eq!((status.as_u16(), error["param"].as_str()), (400, Some(param)), "{error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
}

#[tokio::test]
async fn what_is_not_audio_is_a_bad_request() {
    let app = TestApp::start().await;
    for bytes in [&b"This is a text, not a recording."[..], &[0; 4096], b"RIFF\xff\xff\xff\xffWAVE", b"\xff\xfb"] {
        let (status, error) = error_of(app.transcribe(Form::file(bytes)).await).await;
        assert_eq!((status.as_u16(), error["code"].as_str()), (400, Some("unsupported_format")), "{error}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_form_are_refused() {
    let app = TestApp::start().await;
    let route = "/v1/audio/transcriptions";
    let (status, _) = error_of(app.post_body(route, "text/plain", "hello").await).await;
    assert_eq!(status, 415);
    let (status, _) = error_of(app.post_body(route, "multipart/form-data", "hello").await).await;
    assert_eq!(status, 400);
    let (content_type, mut body) = Form::file(&silence(1)).finish();
    body.truncate(200);
    let (status, _) = error_of(app.post_body(route, &content_type, body).await).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_upload_over_the_limit_is_too_large() {
    let app = TestApp::start_with(|config| config.limits.upload_bytes = 10_000).await;
    let (status, error) = error_of(app.transcribe(Form::file(&silence(1))).await).await;
    assert_eq!((status.as_u16(), error["param"].as_str()), (413, Some("file")));
}

#[tokio::test]
async fn a_large_upload_goes_through_the_disk() {
    let app = TestApp::start_with(|config| config.limits.spool_bytes = 1000).await;
    let sound = app.speak(SENTENCE, "wav").await;
    let body: Value = app.transcribe(Form::file(&sound)).await.json().await.expect("JSON");
    assert_heard(body["text"].as_str().expect("a text"));
}

#[tokio::test]
async fn an_english_model_does_not_translate() {
    let app = TestApp::start().await;
    let (status, error) = error_of(app.post_form("/v1/audio/translations", Form::file(&silence(1))).await).await;
    assert_eq!((status.as_u16(), error["param"].as_str()), (400, Some("model")));
}

#[tokio::test]
async fn a_multilingual_model_translates() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = Form::default().with("model", "fake-ears").with("response_format", "verbose_json").with_file(&sound);
    let body: Value = app.post_form("/v1/audio/translations", form).await.json().await.expect("JSON");
    assert_eq!((&body["task"], &body["language"]), (&"translate".into(), &"english".into()));
    assert_eq!(body["text"], "Heard.");
}

#[tokio::test]
async fn a_failing_engine_fails_one_request() {
    let app = TestApp::start_with(|config| config.engine.slots = 1).await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = |order: &str| Form::default().with("model", "fake-ears").with("prompt", order).with_file(&sound);
    for order in ["fail", "panic"] {
        let (status, error) = error_of(app.transcribe(form(order)).await).await;
        assert_eq!((status.as_u16(), error["type"].as_str()), (500, Some("server_error")), "{order}");
    }
    assert_eq!(app.transcribe(form("")).await.status(), 200);
}

#[tokio::test]
async fn a_full_queue_is_429_and_says_when_to_come_back() {
    let app = TestApp::start_with(|config| (config.engine.slots, config.engine.queue) = (1, 1)).await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = || Form::default().with("model", "fake-ears").with("prompt", "hold").with_file(&sound);
    app.fakes.hold();
    let (client, url) = (app.client.clone(), app.url.clone() + "/v1/audio/transcriptions");
    let send = || {
        let (content_type, body) = form().finish();
        tokio::spawn(client.post(&url).header("content-type", content_type).body(body).send())
    };
    let running = send();
    while app.fakes.inside() == 0 {
        tokio::task::yield_now().await;
    }
    // One of these waits for the engine, so two have to be told to come back.
    let mut others: FuturesUnordered<_> = (0..3).map(|_| send()).collect();
    for _ in 0..2 {
        let response = others.next().await.expect("a task").expect("no panic").expect("an answer");
        assert_eq!(response.status(), 429);
        assert!(response.headers().contains_key("retry-after"));
    }
    app.fakes.release();
    let waited = others.next().await.expect("a task").expect("no panic").expect("an answer");
    let ran = running.await.expect("no panic").expect("an answer");
    assert_eq!((ran.status().as_u16(), waited.status().as_u16()), (200, 200));
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_engine() {
    let app = TestApp::start_with(|config| config.engine.slots = 1).await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = |order: &str| Form::default().with("model", "fake-ears").with("prompt", order).with_file(&sound);
    app.fakes.hold();
    let mut request = Box::pin(app.transcribe(form("hold")));
    while app.fakes.inside() == 0 {
        tokio::select! {
            _ = &mut request => panic!("the engine holds this request"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(request);
    assert_eq!(app.transcribe(form("")).await.status(), 200, "the only engine is free again");
    assert_eq!(app.fakes.cancelled(), 1);
}

#[tokio::test]
async fn sixteen_uploads_at_once_are_all_answered() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "mp3").await;
    let answers = futures::future::join_all((0..16).map(|_| app.transcribe(Form::file(&sound)))).await;
    for response in answers {
        let body: Value = response.json().await.expect("JSON");
        assert_heard(body["text"].as_str().expect("a text"));
    }
}
