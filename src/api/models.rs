//! `GET /v1/models` in the shape of whoever asks: more than one dialect has the route.

use super::openai::models::ModelsQuery;
use super::{deepgram, elevenlabs, openai};
use crate::app::App;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

/// `xi-api-key` is how ElevenLabs' clients present their key and `Authorization: Token` how Deepgram's do, and nobody
/// else's.
pub async fn list_models(State(app): State<App>, query: Query<ModelsQuery>, headers: HeaderMap) -> Response {
    if headers.contains_key("xi-api-key") {
        return elevenlabs::models::list_models(State(app)).await.into_response();
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scheme = authorization.split(' ').next().unwrap_or_default();
    match scheme.eq_ignore_ascii_case("token") {
        true => deepgram::models::list_models(State(app)).await.into_response(),
        false => openai::models::list_models(State(app), query).await.into_response(),
    }
}
