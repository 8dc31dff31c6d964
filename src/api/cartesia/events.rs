//! `POST /tts/sse`: the sound as server-sent events.

use super::error::{body, request_id};
use super::request::GenerationRequest;
use super::speech::MOST_BODY;
use crate::api::error::Rejection;
use crate::api::json::read_json;
use crate::api::sound::{begin_sound, log_late};
use crate::app::App;
use crate::error::{Error, Result};
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
use std::time::Instant;
use uuid::Uuid;

/// Speaks a text.
pub async fn create_speech(State(app): State<App>, request: Request) -> Result<Response, Rejection> {
    let begun = Instant::now();
    let id = request_id(request.extensions().get());
    let request: GenerationRequest = read_json(request, MOST_BODY).await?;
    let (asked, text) = (request.understand(&app)?, request.text(app.config.limits.input_chars)?);
    let pool = app.models.synthesizer(&asked.model.id).await?;
    let chunks = begin_sound(pool, (text, asked.options), asked.output, begun).await?;
    let events =
        Events { context_id: request.context_id.unwrap_or_else(|| Uuid::now_v7().to_string()), request_id: id };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(events.frames(chunks))).into_response())
}

/// What is in every event of an answer.
struct Events {
    context_id: String,
    request_id: String,
}

impl Events {
    /// One frame for each of `chunks`, then one that ends the stream; after a failure nothing more follows.
    fn frames(
        self,
        chunks: impl Stream<Item = Result<Bytes>> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        let (context_id, mut before) = (self.context_id.clone(), Instant::now());
        let chunks = chunks.map_ok(move |chunk| {
            let step_time = std::mem::replace(&mut before, Instant::now()).elapsed().as_secs_f64() * 1000.0;
            chunk_event(&context_id, &chunk, step_time)
        });
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
pub fn chunk_event(context_id: &str, sound: &[u8], step_time: f64) -> Value {
    json!({
        "type": "chunk",
        "context_id": context_id,
        "data": BASE64_STANDARD.encode(sound),
        "done": false,
        "status_code": 206,
        "step_time": step_time,
    })
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
