//! `POST /tts/sse`: the sound as server-sent events.

use super::error::{body, request_id};
use super::request::GenerationRequest;
use super::speech::{MOST_BODY, begin};
use crate::api::error::Rejection;
use crate::api::json::read_json;
use crate::api::sound::{Sound, log_late};
use crate::app::App;
use crate::error::{Error, Result};
use crate::speech::speak::{Encoded, TimedWord};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Speaks a text.
pub async fn create_speech(State(app): State<App>, request: Request) -> Result<Response, Rejection> {
    let begun = Instant::now();
    let id = request_id(request.extensions().get());
    let request: GenerationRequest = read_json(request, MOST_BODY).await?;
    let (sound, _) = begin(&app, &request, begun).await?;
    let with_words = request.wants_words();
    let context_id = request.context_id.unwrap_or_else(|| Uuid::now_v7().to_string());
    let events = Events { context_id, request_id: id };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(events.frames(sound, with_words))).into_response())
}

/// What is in every event of an answer.
struct Events {
    context_id: String,
    request_id: String,
}

impl Events {
    /// One frame for each piece of `sound`, then one that ends the stream; after a failure nothing more follows.
    fn frames(self, sound: Sound, with_words: bool) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        let (context_id, mut before, text) = (self.context_id.clone(), Instant::now(), sound.text);
        let mut event = move |encoded| match encoded {
            Encoded::Bytes(bytes) => {
                let step_time = std::mem::replace(&mut before, Instant::now()).elapsed();
                Some(chunk_event(&context_id, &bytes, step_time))
            }
            Encoded::Words(words) => with_words.then(|| timestamps_event(&context_id, &text, &words)),
        };
        let chunks = sound.encoded.try_filter_map(move |encoded| std::future::ready(Ok(event(encoded))));
        let done = json!({"type": "done", "context_id": self.context_id, "done": true, "status_code": 200});
        let events = chunks.chain(futures::stream::once(async { Ok(done) }));
        let events = events.scan(false, |failed, event: Result<Value>| {
            let ended = std::mem::replace(failed, event.is_err());
            std::future::ready((!ended).then_some(event))
        });
        events.map(move |event| Ok(frame(&event.unwrap_or_else(|error| self.failed(&error)))))
    }

    fn failed(&self, error: &Error) -> Value {
        log_late(error);
        error_event(error, Some(&self.context_id), &self.request_id)
    }
}

/// A piece of sound.
pub fn chunk_event(context_id: &str, sound: &[u8], step_time: Duration) -> Value {
    json!({
        "type": "chunk",
        "context_id": context_id,
        "data": BASE64_STANDARD.encode(sound),
        "done": false,
        "status_code": 206,
        "step_time": step_time.as_secs_f64() * 1000.0,
    })
}

/// When the next words are said.
pub fn timestamps_event(context_id: &str, text: &str, words: &[TimedWord]) -> Value {
    let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    json!({
        "type": "timestamps",
        "context_id": context_id,
        "word_timestamps": {
            "words": words.iter().map(|word| with_marks(text, word)).collect::<Vec<_>>(),
            "start": words.iter().map(|word| seconds(word.start)).collect::<Vec<_>>(),
            "end": words.iter().map(|word| seconds(word.end)).collect::<Vec<_>>(),
        },
        "done": false,
        "status_code": 206,
    })
}

/// The writer's own word with the marks behind it: clients look for words one after the other in what they have sent, and
/// give up where something is left over.
fn with_marks<'a>(text: &'a str, word: &TimedWord) -> &'a str {
    let behind = text.get(word.text.end..).unwrap_or_default();
    let marks = behind.find(|c: char| c.is_alphanumeric() || c.is_whitespace()).unwrap_or(behind.len());
    text.get(word.text.start..word.text.end + marks).unwrap_or_default().trim()
}

/// A failure, after which nothing more follows for this context.
pub fn error_event(error: &Error, context_id: Option<&str>, request_id: &str) -> Value {
    let mut event = body(error, request_id);
    event["type"] = json!("error");
    event["done"] = json!(true);
    event["context_id"] = json!(context_id);
    event
}

fn frame(event: &Value) -> Bytes {
    let name = event["type"].as_str().unwrap_or("message");
    Bytes::from(format!("event: {name}\ndata: {event}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_marks_behind_them() {
        let text = "“Well-known?”, he said.No (5 €) …";
        let words = ["Well", "known", "he", "said", "No", "5", "€"].map(|word| {
            let start = text.find(word).expect("it is there");
            let word = TimedWord { text: start..start + word.len(), start: Duration::ZERO, end: Duration::ZERO };
            with_marks(text, &word)
        });
        assert_eq!(words, ["Well-", "known?”,", "he", "said.", "No", "5", "€)"]);
    }
}
