//! `POST /tts/bytes`: text in, sound out while it is synthesized.

use super::request::GenerationRequest;
use crate::api::error::Rejection;
use crate::api::json::read_json;
use crate::api::sound::{begin_sound, log_late};
use crate::app::App;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use std::time::Instant;

/// The largest request body, in bytes: generous for the longest text.
pub const MOST_BODY: usize = 1 << 20;

/// Speaks a text.
pub async fn create_speech(State(app): State<App>, request: Request) -> Result<Response, Rejection> {
    let begun = Instant::now();
    let request: GenerationRequest = read_json(request, MOST_BODY).await?;
    let (asked, text) = (request.understand(&app)?, request.text(app.config.limits.input_chars)?);
    let pool = app.models.synthesizer(&asked.model.id).await?;
    let chunks = begin_sound(pool, (text, asked.options), asked.output, begun).await?;
    let headers = [(header::CONTENT_TYPE, asked.output.format.content_type())];
    Ok((headers, Body::from_stream(chunks.inspect_err(log_late))).into_response())
}
