//! Speech as server-sent events: the bytes as base64, the times of the words if they are wanted, then one event that ends
//! the stream.

use super::speech::word_json;
use crate::api::error::envelope;
use crate::api::sound::{Sound, log_late};
use crate::error::Result;
use crate::speech::speak::Encoded;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

/// The answer that streams `sound`. The text had `input_bytes` bytes.
pub fn answer(sound: Sound, input_bytes: usize, with_words: bool) -> Response {
    let text = sound.text;
    let deltas = sound.encoded.try_filter_map(move |encoded| std::future::ready(Ok(event(&text, encoded, with_words))));
    let done = json!({"type": "speech.audio.done", "usage": usage(input_bytes)});
    let events = deltas.chain(futures::stream::once(async { Ok(done) }));
    // After a failure nothing more may follow, least of all a `done`.
    let events = events.scan(false, |failed, event: Result<Value>| {
        let ended = std::mem::replace(failed, event.is_err());
        std::future::ready((!ended).then_some(event))
    });
    let frames = events.map(|event| {
        let body = event.unwrap_or_else(|error| {
            log_late(&error);
            envelope(&error)
        });
        Ok::<_, std::convert::Infallible>(Bytes::from(format!("data: {body}\n\n")))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(frames)).into_response()
}

/// What speech costs, as OpenAI counts: on-box voices have no tokens, and a token of English is about four bytes.
pub fn usage(input_bytes: usize) -> Value {
    let tokens = input_bytes.div_ceil(4);
    json!({"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens})
}

fn event(text: &str, encoded: Encoded, with_words: bool) -> Option<Value> {
    match encoded {
        Encoded::Bytes(bytes) => Some(json!({"type": "speech.audio.delta", "audio": BASE64_STANDARD.encode(bytes)})),
        Encoded::Words(words) => with_words.then(|| {
            let words: Vec<Value> = words.iter().map(|word| word_json(text, word)).collect();
            json!({"type": "speech.audio.words", "words": words})
        }),
    }
}
