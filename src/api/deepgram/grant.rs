//! `POST /v1/auth/grant`: a token of some seconds that may do what the key may.

use crate::api::auth::Client;
use crate::api::error::Rejection;
use crate::api::json::parse_json;
use crate::api::tokens::{Scope, Token};
use crate::app::App;
use crate::error::Error;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{MethodRouter, post};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// How long a token may last, in seconds, and how long it does when nobody says.
const SECONDS: RangeInclusive<u64> = 1..=3600;
const DEFAULT_SECONDS: u64 = 30;

/// The largest body, in bytes.
const MOST_BODY: usize = 4 << 10;

#[derive(Default, Deserialize)]
struct GrantRequest {
    ttl_seconds: Option<u64>,
}

/// The route.
pub fn route() -> MethodRouter<App> {
    post(grant_token).layer(DefaultBodyLimit::max(MOST_BODY))
}

/// Makes a token. Some clients send no body.
async fn grant_token(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    body: Bytes,
) -> Result<Json<Value>, Rejection> {
    let asked = if body.is_empty() { GrantRequest::default() } else { parse_json(&body)? };
    let seconds = asked.ttl_seconds.unwrap_or(DEFAULT_SECONDS);
    if !SECONDS.contains(&seconds) {
        let message = format!("`ttl_seconds` must be from {} to {}.", SECONDS.start(), SECONDS.end());
        return Err(Error::invalid("ttl_seconds", message).into());
    }
    let token = Token::new(Scope::Requests, &client.owner, seconds).seal(&app).await?;
    Ok(Json(json!({"access_token": token, "expires_in": seconds})))
}
