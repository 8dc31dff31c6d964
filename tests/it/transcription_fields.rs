//! What a transcription request may ask for, and what comes back.

use crate::app::{Form, TestApp, error_of};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

const ROUTE: &str = "/v1/audio/transcriptions";
const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

async fn json_of(response: reqwest::Response) -> Value {
    assert_eq!(response.status(), 200);
    response.json().await.expect("JSON")
}

/// The events of a stream.
async fn events(response: reqwest::Response) -> Vec<Value> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let body = response.text().await.expect("events");
    assert!(body.ends_with("\n\n"), "the last event ends with a blank line");
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

#[tokio::test]
async fn a_recording_may_come_as_base64() {
    let app = TestApp::start().await;
    let data = BASE64_STANDARD.encode(app.speak(SENTENCE, "mp3").await);
    for input in [json!({"data": data, "format": "wav"}), json!({"data": format!("data:audio/mp3;base64,{data}")})] {
        let body = json!({"model": "whisper-1", "input_audio": input, "language": "en", "temperature": 0});
        assert_eq!(json_of(app.post(ROUTE, &body).await).await["text"], SENTENCE);
    }
    for form in [
        Form::default().with("input_audio[data]", &data).with("model", "whisper-1"),
        Form::default().with("input_audio", &json!({"data": data}).to_string()).with("model", "whisper-1"),
    ] {
        assert_eq!(json_of(app.transcribe(form).await).await["text"], SENTENCE);
    }
}

#[tokio::test]
async fn what_is_wrong_with_json_is_named() {
    let app = TestApp::start_with(|config| config.limits.inline_bytes = 2000).await;
    let with = |name: &str, value: Value| {
        let mut body = json!({"model": "whisper-1"});
        body[name] = value;
        body
    };
    for (body, status, param) in [
        (with("input_audio", json!({"data": "%%%"})), 400, json!("input_audio")),
        (with("input_audio", json!({"data": ""})), 400, json!("input_audio")),
        (with("input_audio", json!({"format": "wav"})), 400, json!("input_audio")),
        (with("input_audio", json!("wav")), 400, json!("input_audio")),
        (with("input_audio", json!({"data": "A".repeat(2000)})), 413, json!("input_audio")),
        (with("file", json!("a.wav")), 400, json!("file")),
        (with("language", json!("en")), 400, json!("file")),
        (json!({"input_audio": {"data": "AAAA"}}), 400, json!("model")),
        (json!([]), 400, Value::Null),
    ] {
        let (found, error) = error_of(app.post(ROUTE, &body).await).await;
        assert_eq!((found.as_u16(), &error["param"]), (status, &param), "{error}");
    }
}

#[tokio::test]
async fn what_is_asked_of_the_engine_reaches_it() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = Form::default()
        .with("model", "fake-ears")
        .with("prompt", "options")
        .with("keywords[]", "Smith, Ann")
        .with("keywords[]", "Mynah")
        .with("languages[]", "de-AT")
        .with("languages[]", "English")
        .with("temperature", "0.5")
        .with("guard", "false")
        .with("short_context", "0");
    let expected = "keywords=[\"Smith, Ann\", \"Mynah\"] languages=[\"de\", \"en\"] language=None temperature=0.5 \
                    guard=false short_context=false";
    assert_eq!(json_of(app.transcribe(form.with_file(&sound)).await).await["text"], expected);
}

#[tokio::test]
async fn the_settings_are_the_defaults_of_a_request() {
    let app = TestApp::start_with(|config| config.transcription.guard = false).await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = || Form::default().with("model", "fake-ears").with("prompt", "options").with("languages", "de");
    let expected = |guard| {
        format!("keywords=[] languages=[] language=Some(\"de\") temperature=0 guard={guard} short_context=true")
    };
    let body = json_of(app.transcribe(form().with_file(&sound)).await).await;
    assert_eq!(body["text"], expected(false));
    let body = json_of(app.transcribe(form().with("guard", "True").with_file(&sound)).await).await;
    assert_eq!(body["text"], expected(true));
}

#[tokio::test]
async fn every_spelling_of_a_chunking_strategy_is_taken() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = || Form::default().with("model", "whisper-1");
    for form in [
        form().with("chunking_strategy", "auto"),
        form().with("chunking_strategy", r#"{"type":"server_vad","threshold":0.4,"silence_duration_ms":400}"#),
        form().with("chunking_strategy[type]", "server_vad").with("chunking_strategy[prefix_padding_ms]", "300"),
    ] {
        assert_eq!(json_of(app.transcribe(form.with_file(&sound)).await).await["text"], SENTENCE);
    }
}

#[tokio::test]
async fn tokens_come_with_their_probabilities_where_they_belong() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = |format| {
        let form = Form::default().with("model", "fake-ears").with("include[]", "logprobs");
        form.with("response_format", format).with_file(&sound)
    };
    let body = json_of(app.transcribe(form("json")).await).await;
    let expected = json!([
        {"token": " Hea", "logprob": -0.25, "bytes": [32, 72, 101, 97]},
        {"token": "rd.", "logprob": -0.5, "bytes": [114, 100, 46]},
    ]);
    assert_eq!((&body["logprobs"], &body["languages"]), (&expected, &json!([{"code": "en"}])));
    assert!(json_of(app.transcribe(form("verbose_json")).await).await.get("logprobs").is_none());
    let events = events(app.transcribe(form("json").with("stream", "true")).await).await;
    assert_eq!((&events[0]["logprobs"], &events[1]["logprobs"]), (&expected, &expected));
}

#[tokio::test]
async fn usage_is_in_the_form_of_the_model() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = |model| Form::default().with("model", model).with_file(&sound);
    let usage = json_of(app.transcribe(form("gpt-4o-mini-transcribe")).await).await["usage"].clone();
    assert_eq!((&usage["type"], &usage["input_token_details"]["text_tokens"]), (&json!("tokens"), &json!(0)));
    assert!(usage["output_tokens"].as_u64().is_some_and(|count| count > 5), "{usage}");
    let usage = json_of(app.transcribe(form("deepgram/nova-3")).await).await["usage"].clone();
    assert_eq!(usage["type"], "duration");
    let events = events(app.transcribe(form("deepgram/nova-3").with("stream", "true")).await).await;
    assert_eq!(events.last().expect("done")["usage"]["type"], "tokens", "the event knows no other form");
}

#[tokio::test]
async fn subtitles_have_lines_that_people_can_read() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = |format| {
        let form = Form::file(&sound).with("response_format", format);
        form.with("max_line_width", "18").with("max_line_count", "2").with("max_words_per_line", "4")
    };
    let vtt = app.transcribe(form("vtt")).await.text().await.expect("a body");
    let cues: Vec<&str> = vtt.trim().split("\n\n").skip(1).collect();
    let lines = |cue: &&str| cue.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert!(cues.len() > 1 && cues.iter().all(|cue| lines(cue).len() <= 2), "{vtt}");
    let text: Vec<String> = cues.iter().flat_map(lines).collect();
    assert!(text.iter().all(|line| line.chars().count() <= 18), "{vtt}");
    assert_eq!(text.join(" "), SENTENCE);
    let srt = app.transcribe(form("srt")).await.text().await.expect("a body");
    assert!(srt.starts_with("1\n00:00:00,") && srt.contains("\n\n2\n"), "{srt}");
}

#[tokio::test]
async fn a_stream_that_cannot_begin_is_an_ordinary_failure() {
    let app = TestApp::start().await;
    let form = Form::default().with("model", "gpt-4o-transcribe").with("stream", "true");
    let (status, error) = error_of(app.transcribe(form.with_file(b"This is no recording.")).await).await;
    assert_eq!((status.as_u16(), &error["code"]), (400, &json!("unsupported_format")));
}

#[tokio::test]
async fn a_stream_begins_before_a_slow_engine_is_done() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = Form::default().with("model", "fake-ears").with("prompt", "hold").with("stream", "true");
    app.fakes.hold();
    let response = app.transcribe(form.with_file(&sound)).await;
    assert_eq!(response.status(), 200);
    while app.fakes.inside() == 0 {
        tokio::task::yield_now().await;
    }
    app.fakes.release();
    assert_eq!(events(response).await.last().expect("done")["text"], "Heard.");
}

#[tokio::test]
async fn formats_that_cannot_be_streamed_say_so() {
    let app = TestApp::start().await;
    let sound = app.speak("Hello world.", "wav").await;
    let form = |model, format| {
        let form = Form::default().with("model", model).with("stream", "true").with("response_format", format);
        form.with_file(&sound)
    };
    let (status, error) = error_of(app.transcribe(form("gpt-4o-transcribe", "srt")).await).await;
    assert_eq!((status.as_u16(), &error["param"]), (400, &json!("response_format")));
    assert_eq!(app.transcribe(form("whisper-1", "srt")).await.status(), 200, "whisper-1 ignores stream");
    let told = events(app.transcribe(form("gpt-4o-transcribe", "text")).await).await;
    assert_eq!(told.last().expect("done")["text"], "Hello world.");
}

#[tokio::test]
async fn translations_have_every_format_but_one() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let send = |format: &str| {
        let form = Form::default().with("model", "fake-ears").with("response_format", format).with_file(&sound);
        app.post_form("/v1/audio/translations", form)
    };
    for (format, begin) in [("json", "{"), ("text", "Heard."), ("srt", "1\n"), ("vtt", "WEBVTT"), ("verbose_json", "{")]
    {
        let body = send(format).await.text().await.expect("a body");
        assert!(body.starts_with(begin) && body.contains("Heard."), "{format}: {body}");
    }
    let (status, error) = error_of(send("diarized_json").await).await;
    assert_eq!((status.as_u16(), &error["param"]), (400, &json!("response_format")));
}

#[tokio::test]
async fn every_answer_says_how_much_of_the_speech_it_holds() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    for format in ["json", "text", "srt", "vtt", "verbose_json"] {
        let response = app.transcribe(Form::file(&sound).with("response_format", format)).await;
        let header = response.headers()["x-mynah-coverage"].to_str().expect("text").to_owned();
        assert!(header.starts_with("speech=") && header.ends_with("; gaps=0"), "{format}: {header}");
        if format == "verbose_json" {
            let body = json_of(response).await;
            assert!(body["coverage"]["speech_seconds"].as_f64().is_some_and(|seconds| seconds > 2.0), "{body}");
            assert_eq!((&body["coverage"]["gaps"], &body["x_mynah"]["pieces"]), (&json!([]), &json!(1)));
        }
    }
    let unchecked = app.transcribe(Form::file(&sound).with("audit", "false")).await;
    assert!(!unchecked.headers().contains_key("x-mynah-coverage"));
}

#[tokio::test]
async fn speech_without_text_is_reported_and_with_strict_a_failure() {
    let app = TestApp::start().await;
    let sound = app.speak(SENTENCE, "wav").await;
    let form = |strict: &str| {
        let form = Form::default().with("model", "fake-ears").with("prompt", "nothing").with("strict", strict);
        form.with_file(&sound)
    };
    let body = json_of(app.transcribe(form("false").with("response_format", "verbose_json")).await).await;
    assert_eq!((&body["text"], body["coverage"]["gaps"].as_array().map(Vec::len)), (&json!(""), Some(1)));
    let (status, error) = error_of(app.transcribe(form("true")).await).await;
    assert_eq!((status.as_u16(), &error["code"]), (422, &json!("incomplete_transcript")));
    assert!(error["message"].as_str().is_some_and(|message| message.contains(" s.")), "{error}");
    let told = events(app.transcribe(form("false").with("stream", "true")).await).await;
    assert_eq!(told[0]["coverage"]["gaps"].as_array().map(Vec::len), Some(1), "{told:?}");
    let response = app.transcribe(form("true").with("stream", "true")).await;
    let body = response.text().await.expect("a body");
    assert!(body.contains("incomplete_transcript") && !body.contains("transcript.text.done"), "{body}");
}

/// What is said in `left` and, where that is over, in `right`, in two channels.
fn stereo(left: &[u8], right: &[u8]) -> Vec<u8> {
    let samples = |wav: &[u8]| {
        let reader = hound::WavReader::new(std::io::Cursor::new(wav.to_vec())).expect("a WAV file");
        (reader.spec(), reader.into_samples::<i16>().map(|it| it.expect("a sample")).collect::<Vec<_>>())
    };
    let ((spec, left), (_, right)) = (samples(left), samples(right));
    let mut out = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut out, hound::WavSpec { channels: 2, ..spec }).expect("a writer");
    let pairs = left.iter().map(|sample| (*sample, 0)).chain(right.iter().map(|sample| (0, *sample)));
    pairs.flat_map(|(left, right)| [left, right]).for_each(|it| writer.write_sample(it).expect("a sample"));
    writer.finalize().expect("a file");
    out.into_inner()
}

#[tokio::test]
async fn a_recording_of_many_channels_does_not_fill_the_queue_by_itself() {
    let app = TestApp::start_with(|config| (config.engine.slots, config.engine.queue) = (1, 1)).await;
    let mut out = std::io::Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: 8,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut out, spec).expect("a writer");
    (0..8 * 16_000).for_each(|_| writer.write_sample(0i16).expect("a sample"));
    writer.finalize().expect("a file");
    let form = Form::default().with("model", "fake-ears").with("multichannel", "true").with("vad", "false");
    let body = json_of(app.transcribe(form.with_file(&out.into_inner())).await).await;
    assert_eq!(body["text"], ["Heard."; 8].join(" "));
}

#[tokio::test]
async fn channels_are_transcribed_apart_and_put_in_order() {
    let app = TestApp::start().await;
    let sound = stereo(&app.speak(SENTENCE, "wav").await, &app.speak("Hello world.", "wav").await);
    let form = Form::file(&sound).with("response_format", "verbose_json").with("multichannel", "true");
    let body = json_of(app.transcribe(form).await).await;
    let segments = body["segments"].as_array().expect("segments");
    let told: Vec<_> = segments.iter().map(|it| (it["channel"].as_u64(), it["text"].as_str())).collect();
    assert_eq!(told, [(Some(0), Some(&*format!(" {SENTENCE}"))), (Some(1), Some(" Hello world."))]);
    let mono = json_of(app.transcribe(Form::file(&sound).with("response_format", "verbose_json")).await).await;
    assert!(mono["segments"][0].get("channel").is_none());
}
