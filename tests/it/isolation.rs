//! Requests that run at the same time know nothing of each other.

use crate::app::{Form, TestApp};
use crate::sound::{converse, say, side_by_side};
use futures::future::join_all;
use serde_json::{Value, json};

/// How often each request is made among the others.
const TIMES: usize = 7;

/// Where a request goes and what it says, beside the recording.
enum Asked {
    /// A form for one of OpenAI's routes: the last part of its path and the fields.
    Form(&'static str, &'static [(&'static str, &'static str)]),
    /// A query for Deepgram's route.
    Query(&'static str),
}
use Asked::{Form as Fields, Query};

/// The recordings: two sentences, two voices, and two channels.
const CLIPS: [&str; 4] = ["hello", "lights", "two voices", "two channels"];

/// Requests that differ in what they ask for, each with the number of its clip.
const REQUESTS: &[(usize, Asked)] = &[
    (0, Fields("transcriptions", &[("model", "whisper-1")])),
    (1, Fields("transcriptions", &[("model", "whisper-1"), ("response_format", "text")])),
    (1, Fields("transcriptions", &[("model", "whisper-1"), ("response_format", "srt")])),
    (0, Fields("transcriptions", &[("model", "whisper-1"), ("response_format", "vtt"), ("max_words_per_line", "1")])),
    (0, Fields("transcriptions", &[("model", "whisper-1"), ("response_format", "verbose_json")])),
    (
        1,
        Fields(
            "transcriptions",
            &[("model", "whisper-1"), ("response_format", "verbose_json"), ("timestamp_granularities[]", "word")],
        ),
    ),
    (0, Fields("transcriptions", &[("model", "whisper-1"), ("prompt", "A greeting to the world.")])),
    (1, Fields("transcriptions", &[("model", "whisper-1"), ("prompt", "THE LIGHTS")])),
    (1, Fields("transcriptions", &[("model", "whisper-1"), ("keywords[]", "Tern"), ("keywords[]", "Knights")])),
    (0, Fields("transcriptions", &[("model", "gpt-4o-transcribe"), ("language", "en"), ("include[]", "logprobs")])),
    (1, Fields("transcriptions", &[("model", "gpt-4o-transcribe"), ("temperature", "1"), ("guard", "false")])),
    (
        0,
        Fields(
            "transcriptions",
            &[("model", "whisper-1"), ("temperature", "0.8"), ("response_format", "verbose_json")],
        ),
    ),
    (
        3,
        Fields(
            "transcriptions",
            &[("model", "whisper-1"), ("multichannel", "true"), ("response_format", "verbose_json")],
        ),
    ),
    (
        2,
        Fields(
            "transcriptions",
            &[("model", "deepgram/nova-3"), ("diarize", "true"), ("response_format", "verbose_json")],
        ),
    ),
    (2, Fields("transcriptions", &[("model", "gpt-4o-transcribe-diarize"), ("response_format", "diarized_json")])),
    (0, Fields("transcriptions", &[("model", "gpt-4o-transcribe"), ("stream", "true")])),
    (
        2,
        Fields(
            "transcriptions",
            &[("model", "gpt-4o-transcribe-diarize"), ("stream", "true"), ("response_format", "diarized_json")],
        ),
    ),
    (1, Fields("transcriptions", &[("model", "whisper-1"), ("vad", "false")])),
    (0, Fields("transcriptions", &[("model", "whisper-1"), ("strict", "true")])),
    (0, Fields("transcriptions", &[("model", "fake-ears"), ("prompt", "nothing"), ("strict", "true")])),
    (1, Fields("transcriptions", &[("model", "fake-ears"), ("prompt", "options"), ("keywords[]", "Mynah")])),
    (1, Fields("transcriptions", &[("model", "fake-ears"), ("prompt", "options"), ("languages", "de,en")])),
    (0, Fields("transcriptions", &[("model", "fake-ears"), ("prompt", "fail")])),
    (0, Fields("transcriptions", &[("model", "whisper-1"), ("language", "de")])),
    (1, Fields("translations", &[("model", "fake-ears"), ("response_format", "verbose_json")])),
    (0, Query("")),
    (1, Query("punctuate=true&utterances=true&paragraphs=true&keyterm=Lamps&tag=one")),
    (3, Query("multichannel=true&smart_format=true")),
    (2, Query("diarize=true&punctuate=true&utterances=true")),
    (1, Query("replace=lights:lamps&tag=two")),
    (0, Query("model=fake-ears&detect_language=true")),
];

/// Everything of an answer that may not depend on when it was asked for.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: Vec<Option<String>>,
    body: String,
}

async fn ask(app: &TestApp, (clip, asked): &(usize, Asked), clips: &[Vec<u8>]) -> Answer {
    let clip = &clips[*clip];
    let response = match asked {
        Fields(route, fields) => {
            let form = fields.iter().fold(Form::default(), |form, (name, value)| form.with(name, value));
            app.post_form(&format!("/v1/audio/{route}"), form.with_file(clip)).await
        }
        Query(query) => app.post_body(&format!("/v1/listen?{query}"), "audio/wav", clip.clone()).await,
    };
    let header = |name: &&str| response.headers().get(*name).map(|it| it.to_str().expect("text").to_owned());
    let headers = ["content-type", "x-mynah-coverage", "retry-after"].iter().map(header).collect();
    let status = response.status().as_u16();
    Answer { status, headers, body: without_ids(&response.text().await.expect("a body")) }
}

/// The body without the comments of streams that had to wait, and what is different in every answer of Deepgram's.
fn without_ids(body: &str) -> String {
    let Ok(mut json) = serde_json::from_str::<Value>(body) else { return body.replace(": keep-alive\n\n", "") };
    if let Some(metadata) = json["metadata"].as_object_mut() {
        metadata.retain(|key, _| !["request_id", "created"].contains(&key.as_str()));
    }
    for utterance in json["results"]["utterances"].as_array_mut().into_iter().flatten() {
        utterance["id"].take();
    }
    json.to_string()
}

#[tokio::test]
async fn two_hundred_requests_at_once_are_answered_as_if_each_were_alone() {
    let app = TestApp::start_with(|config| config.engine.slots = 2).await;
    let (hello, lights) = (say(&app, "alloy", "Hello world.").await, say(&app, "alloy", "Turn off the lights.").await);
    let lines = [("en-us", "Good morning, Ann."), ("en-us+f4", "Hello, how are you today?")];
    let (voices, channels) = (converse(&app, &lines).await, side_by_side(&hello, &lights));
    let clips = [hello, lights, voices, channels];
    let mut alone = Vec::new();
    for request in REQUESTS {
        alone.push(ask(&app, request, &clips).await);
    }
    // Multiplying by a large number shuffles them, each time in the same way.
    let mut order: Vec<usize> = (0..TIMES * REQUESTS.len()).collect();
    order.sort_by_key(|place| (*place as u32).wrapping_mul(0x9e37_79b1));
    let indices: Vec<usize> = order.into_iter().map(|place| place % REQUESTS.len()).collect();
    let answers = join_all(indices.iter().map(|index| ask(&app, &REQUESTS[*index], &clips))).await;
    assert!(answers.len() > 200);
    for (index, answer) in indices.into_iter().zip(answers) {
        let (clip, _) = REQUESTS[index];
        assert_eq!(answer, alone[index], "request {index} with {}", CLIPS[clip]);
    }
}

/// Fifty requests to speak that differ in text, voice, pace, format and form.
fn speeches() -> Vec<(&'static str, Value)> {
    const VOICES: [&str; 3] = ["alloy", "nova", "en-us+f4"];
    const FORMATS: [&str; 7] = ["mp3", "opus", "webm", "aac", "flac", "wav", "pcm"];
    let speech = |number: usize| {
        let text = format!("This is number {number}. Turn off the lights, and go home. Why? It is late.");
        let mut body = json!({"model": "gpt-4o-mini-tts", "voice": VOICES[number % 3], "input": text});
        body["response_format"] = FORMATS[number % 7].into();
        body["speed"] = (1.0 + (number % 4) as f64 / 4.0).into();
        match number % 5 {
            0 => ("/v1/audio/speech", body),
            1 => ("/v1/audio/speech", with(body, "stream", true.into())),
            2 => ("/v1/audio/speech", with(body, "stream_format", "sse".into())),
            3 => ("/v1/audio/speech/timestamps", with(body, "stream", number.is_multiple_of(2).into())),
            _ => ("/v1/speak?model=aura-2-thalia-en&encoding=linear16", json!({"text": body["input"]})),
        }
    };
    (0..50).map(speech).collect()
}

fn with(mut body: Value, key: &str, value: Value) -> Value {
    body[key] = value;
    body
}

/// What a client sees of an answer to speak: its status, its type and all of its bytes.
async fn listen(app: &TestApp, (path, body): &(&str, Value)) -> (u16, String, Vec<u8>) {
    let response = app.post(path, body).await;
    let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
    (response.status().as_u16(), content_type, response.bytes().await.expect("a whole body").to_vec())
}

#[tokio::test]
async fn fifty_speeches_at_once_are_the_same_as_if_each_were_alone() {
    let app = TestApp::start_with(|config| config.engine.slots = 2).await;
    let speeches = speeches();
    let mut alone = Vec::new();
    for speech in &speeches {
        alone.push(listen(&app, speech).await);
    }
    let together = join_all(speeches.iter().map(|speech| listen(&app, speech))).await;
    for ((speech, alone), together) in speeches.iter().zip(&alone).zip(together) {
        assert_eq!((together.0, &together.1), (200, &alone.1), "{speech:?}");
        assert!(together.2 == alone.2 && alone.2.len() > 5_000, "{speech:?}: {} bytes", together.2.len());
    }
}
