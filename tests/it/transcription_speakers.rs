//! Who says what, on the routes of both vendors.

use crate::app::{Form, TestApp};
use crate::sound::{converse, say};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// Nobody would take one of these voices for the other.
const ANN: &str = "en-us+f4";
const BOB: &str = "en-us";

const LINES: [(&str, &str); 4] = [
    (BOB, "Please turn on the kitchen lights at six o'clock."),
    (ANN, "We will go to the office tomorrow morning."),
    (BOB, "The meeting is on Monday, October third."),
    (ANN, "Turn on the bathroom music."),
];

/// Who speaks when in `LINES`: the first voice, the second, and again.
const TURNS: [usize; 4] = [0, 1, 0, 1];

async fn answer(app: &TestApp, form: Form) -> String {
    let response = app.transcribe(form).await;
    let status = response.status();
    let body = response.text().await.expect("a body");
    assert_eq!(status, 200, "{body}");
    body
}

async fn json_of(app: &TestApp, form: Form) -> Value {
    serde_json::from_str(&answer(app, form).await).expect("JSON")
}

/// A form for a model with a format, about `sound`.
fn form(model: &str, format: &str, sound: &[u8]) -> Form {
    Form::default().with("model", model).with("response_format", format).with_file(sound)
}

/// A data URL of `voice` saying something else than in the recording.
async fn reference(app: &TestApp, voice: &str) -> String {
    let sound = say(app, voice, "The weather was terrible on Sunday, so we stayed at home.").await;
    format!("data:audio/wav;base64,{}", BASE64_STANDARD.encode(sound))
}

/// The speakers in the order of their turns.
fn turns(spoken: &Value) -> Vec<Value> {
    let mut speakers: Vec<Value> = spoken.as_array().expect("a list").iter().map(|it| it["speaker"].clone()).collect();
    speakers.dedup();
    speakers
}

/// The events of a stream.
fn events(body: &str) -> Vec<Value> {
    let data = body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

/// The segments among them.
fn segments(events: &[Value]) -> Value {
    events.iter().filter(|event| event["type"] == "transcript.text.segment").cloned().collect()
}

/// `names` in the order in which their voices speak.
fn in_turn<T: Into<Value> + Copy>(names: [T; 2]) -> Vec<Value> {
    TURNS.iter().map(|voice| names[*voice].into()).collect()
}

#[tokio::test]
async fn words_and_segments_say_who_speaks() {
    let app = TestApp::start().await;
    let sound = converse(&app, &LINES).await;
    for (model, expected) in [("whisper-1", in_turn(["A", "B"])), ("deepgram/nova-3", in_turn([0, 1]))] {
        let asked = form(model, "verbose_json", &sound).with("diarize", "true");
        let body = json_of(&app, asked.with("timestamp_granularities[]", "segment")).await;
        assert_eq!(turns(&body["words"]), expected, "{model}: {body:#}");
        assert_eq!(turns(&body["segments"]), expected, "{model}");
    }
    let body = json_of(&app, form("deepgram/nova-3", "verbose_json", &sound)).await;
    assert!(body["segments"][0].get("speaker").is_none(), "nobody asked");
}

#[tokio::test]
async fn voices_without_names_are_letters_in_diarized_json() {
    let app = TestApp::start().await;
    let sound = converse(&app, &LINES).await;
    // The model asks for it by itself, and so does the format.
    for model in ["gpt-4o-transcribe-diarize", "whisper-1"] {
        let body = json_of(&app, form(model, "diarized_json", &sound)).await;
        let keys: Vec<_> = body.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["duration", "segments", "task", "text", "usage"]);
        assert_eq!((&body["task"], &body["usage"]["type"]), (&json!("transcribe"), &json!("duration")));
        let segments = body["segments"].as_array().expect("segments");
        assert_eq!(turns(&body["segments"]), in_turn(["A", "B"]));
        for (index, segment) in segments.iter().enumerate() {
            assert_eq!(segment["id"], format!("seg_{:03}", index + 1));
            assert_eq!(segment["type"], "transcript.text.segment");
            assert!(segment["start"].as_f64().expect("a time") < segment["end"].as_f64().expect("a time"));
        }
        let lines: Vec<&str> = body["text"].as_str().expect("a text").lines().collect();
        assert_eq!(lines.len(), TURNS.len(), "{body:#}");
        let said = LINES.iter().zip(TURNS).map(|((_, text), voice)| format!("{}: {text}", ["A", "B"][voice]));
        assert_eq!(lines, said.collect::<Vec<_>>());
    }
    let body = json_of(&app, form("gpt-4o-transcribe-diarize", "json", &sound)).await;
    assert_eq!(turns(&body["segments"]), in_turn(["A", "B"]), "the model lists them in its default format, too");
}

#[tokio::test]
async fn known_speakers_have_their_names() {
    let app = TestApp::start().await;
    let sound = converse(&app, &LINES).await;
    let (ann, bob) = (reference(&app, ANN).await, reference(&app, BOB).await);
    let asked = || form("gpt-4o-transcribe-diarize", "diarized_json", &sound).with("chunking_strategy", "auto");
    let both = asked()
        .with("known_speaker_names[]", "Ann, from sales")
        .with("known_speaker_names[]", "Bob")
        .with("known_speaker_references[]", &ann)
        .with("known_speaker_references[]", &bob);
    assert_eq!(turns(&json_of(&app, both).await["segments"]), in_turn(["Bob", "Ann, from sales"]));
    let one = asked().with("known_speaker_names[]", "A").with("known_speaker_references[]", &ann);
    let body = json_of(&app, one).await;
    assert_eq!(turns(&body["segments"]), in_turn(["B", "A"]), "nobody else is called what Ann is called");
    let verbose = form("deepgram/nova-3", "verbose_json", &sound).with("diarize", "true");
    let named = verbose.with("known_speaker_names[]", "Ann").with("known_speaker_references[]", &ann);
    assert_eq!(
        turns(&json_of(&app, named).await["words"]),
        in_turn(["A", "Ann"]),
        "names are never mixed with numbers"
    );
}

#[tokio::test]
async fn streamed_segments_come_with_their_speakers() {
    let app = TestApp::start().await;
    let sound = converse(&app, &LINES).await;
    let asked = || form("gpt-4o-transcribe-diarize", "diarized_json", &sound);
    let whole = json_of(&app, asked()).await;
    let events = events(&answer(&app, asked().with("stream", "true")).await);
    let (done, told) = events.split_last().expect("events");
    assert_eq!((&done["type"], &done["text"]), (&json!("transcript.text.done"), &whole["text"]));
    for pair in told.chunks(2) {
        let [delta, segment] = pair else { panic!("a delta has a segment: {told:#?}") };
        assert_eq!(delta["type"], "transcript.text.delta");
        assert_eq!((&segment["type"], &segment["id"]), (&json!("transcript.text.segment"), &delta["segment_id"]));
        let (delta, text) = (delta["delta"].as_str().expect("text"), segment["text"].as_str().expect("text"));
        assert!(delta.ends_with(text), "{delta}: {text}");
    }
    let deltas: String = told.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(done["text"], deltas);
    assert_eq!(segments(told), whole["segments"]);
}

#[tokio::test]
async fn voices_keep_their_letters_over_all_pieces_of_a_stream() {
    let app = TestApp::start().await;
    let sound = converse(&app, &LINES.repeat(4)).await;
    let asked = form("gpt-4o-transcribe-diarize", "diarized_json", &sound).with("stream", "true");
    let told: Value = segments(&events(&answer(&app, asked).await));
    let last = told.as_array().and_then(|all| all.last()).expect("segments");
    assert!(last["end"].as_f64().is_some_and(|end| end > 30.0), "more than one piece: {last}");
    assert_eq!(turns(&told), vec![in_turn(["A", "B"]); 4].concat());
}

#[tokio::test]
async fn the_number_of_voices_can_be_given() {
    let app = TestApp::start().await;
    let sound = converse(&app, &LINES).await;
    for (name, count) in [("num_speakers", 1), ("speaker_count", 2)] {
        let asked = form("whisper-1", "diarized_json", &sound).with(name, &count.to_string());
        let mut found = turns(&json_of(&app, asked).await["segments"]);
        found.sort_by_key(Value::to_string);
        found.dedup();
        assert_eq!(found.len(), count, "{name}");
    }
}

#[tokio::test]
async fn subtitles_and_text_name_the_speakers() {
    let app = TestApp::start().await;
    let sound = converse(&app, &LINES).await;
    let ann = reference(&app, ANN).await;
    let asked = |format| {
        let asked = form("whisper-1", format, &sound).with("diarize", "true");
        asked.with("known_speaker_names[]", "Ann").with("known_speaker_references[]", &ann)
    };
    let srt = answer(&app, asked("srt")).await;
    assert!(srt.contains("\nA: Please turn on") && srt.contains("\nAnn: We will go"), "{srt}");
    let vtt = answer(&app, asked("vtt")).await;
    assert!(vtt.contains("\n<v A>Please turn on") && vtt.contains("\n<v Ann>We will go"), "{vtt}");
    let text = answer(&app, asked("text")).await;
    assert!(text.starts_with("A: Please turn on") && text.contains("\nAnn: We will go"), "{text}");
}

#[tokio::test]
async fn deepgrams_speakers_are_numbers() {
    let app = TestApp::start().await;
    let sound = converse(&app, &LINES).await;
    for query in ["diarize=true", "diarize_model=latest"] {
        let path = format!("/v1/listen?{query}&punctuate=true&utterances=true&paragraphs=true");
        let body: Value = app.post_body(&path, "audio/wav", sound.clone()).await.json().await.expect("JSON");
        let heard = &body["results"]["channels"][0]["alternatives"][0];
        assert_eq!(turns(&heard["words"]), in_turn([0, 1]), "{query}: {heard:#}");
        assert_eq!(turns(&body["results"]["utterances"]), in_turn([0, 1]));
        assert_eq!(turns(&heard["paragraphs"]["paragraphs"]), in_turn([0, 1]));
        let text = heard["paragraphs"]["transcript"].as_str().expect("text");
        assert!(
            text.starts_with("\nSpeaker 0: Please turn on") && text.contains("\n\nSpeaker 1: We will go"),
            "{text}"
        );
    }
}
