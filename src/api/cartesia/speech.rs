//! `POST /tts/bytes`: text in, sound out while it is synthesized.

use super::request::{GenerationRequest, named_as_here};
use crate::api::error::Rejection;
use crate::api::json::read_json;
use crate::api::sound::{Ask, Sound, begin_sound, log_late};
use crate::app::App;
use crate::audio::encode::Output;
use crate::error::Result;
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
    let (sound, output) = begin(&app, &request, begun).await?;
    let headers = [(header::CONTENT_TYPE, output.format.content_type())];
    Ok((headers, Body::from_stream(sound.bytes().inspect_err(log_late))).into_response())
}

/// Begins to speak what `request` asks for.
///
/// # Errors
/// `InvalidRequest` that names the parameter, `NotFound` for a voice or model that is not here; as [`begin_sound`].
pub(super) async fn begin(app: &App, request: &GenerationRequest, begun: Instant) -> Result<(Sound, Output)> {
    let (ask, output) = request.ask()?;
    let ask = Ask { text: request.text(app.config.limits.input_chars)?, ..ask };
    Ok((begin_sound(app, ask, output, begun).await.map_err(named_as_here)?, output))
}
