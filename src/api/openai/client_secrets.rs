//! `POST /v1/realtime/client_secrets`, and `POST /v1/realtime/transcription_sessions` as the beta had it: a secret of a few
//! minutes with which a browser opens sessions that begin as its maker says.

use super::realtime::{Dialect, Session, describe, merged, new_session_id};
use crate::api::auth::Client;
use crate::api::error::Rejection;
use crate::api::json::read_json;
use crate::api::tokens::{Scope, Token};
use crate::app::App;
use crate::error::{Error, Result};
use axum::extract::{Request, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::ops::RangeInclusive;

/// The largest body, in bytes.
const MOST_BODY: usize = 64 << 10;

/// How long a secret may last, in seconds, and how long it does when nobody says.
const SECONDS: RangeInclusive<u64> = 10..=7200;
const DEFAULT_SECONDS: u64 = 600;

#[derive(Deserialize)]
pub struct SecretRequest {
    expires_after: Option<ExpiresAfter>,
    session: Option<Value>,
}

#[derive(Deserialize)]
struct ExpiresAfter {
    anchor: Option<String>,
    seconds: Option<u64>,
}

impl ExpiresAfter {
    fn check(&self, name: &'static str) -> Result<u64> {
        let wrong = |message: String| Error::invalid(name, message).with_code("invalid_value");
        if self.anchor.as_deref().is_some_and(|anchor| anchor != "created_at") {
            return Err(wrong("The only `anchor` is `created_at`.".to_owned()));
        }
        let seconds = self.seconds.unwrap_or(DEFAULT_SECONDS);
        match SECONDS.contains(&seconds) {
            true => Ok(seconds),
            false => Err(wrong(format!("A secret lasts from {} to {} seconds.", SECONDS.start(), SECONDS.end()))),
        }
    }
}

/// Makes a secret.
pub async fn create_secret(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Json<Value>, Rejection> {
    let asked: SecretRequest = read_json(request, MOST_BODY).await?;
    let seconds = asked.expires_after.map_or(Ok(DEFAULT_SECONDS), |expiry| expiry.check("expires_after"))?;
    let (token, session) = make(&app, &client, seconds, asked.session, "session")?;
    let told = describe(&session, Dialect::Current, &new_session_id(), None);
    Ok(Json(json!({"value": token.seal(&app).await?, "expires_at": token.expires_at, "session": told})))
}

/// Makes a secret, and tells the settings in the shape of the beta.
pub async fn create_session(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Result<Json<Value>, Rejection> {
    let mut asked: Map<String, Value> = read_json(request, MOST_BODY).await?;
    let seconds = match asked.remove("client_secret") {
        Some(secret) => beta_expiry(secret)?,
        None => DEFAULT_SECONDS,
    };
    let (token, session) = make(&app, &client, seconds, Some(Value::Object(asked)), "")?;
    let mut told = describe(&session, Dialect::Beta, &new_session_id(), None);
    told["client_secret"] = json!({"value": token.seal(&app).await?, "expires_at": token.expires_at});
    Ok(Json(told))
}

/// `client_secret`: `{"expires_at": {"anchor", "seconds"}}`; older clients write `expires_after`.
fn beta_expiry(secret: Value) -> Result<u64> {
    let member = |name: &str| secret.get(name).filter(|it| !it.is_null()).cloned();
    let Some(expiry) = member("expires_at").or(member("expires_after")) else { return Ok(DEFAULT_SECONDS) };
    let expiry: ExpiresAfter = serde_json::from_value(expiry).map_err(|_| {
        let message = "client_secret.expires_at is an object: {\"anchor\": \"created_at\", \"seconds\": 600}.";
        Error::invalid("client_secret", message).with_code("invalid_value")
    })?;
    expiry.check("client_secret")
}

fn make(app: &App, client: &Client, seconds: u64, change: Option<Value>, path: &str) -> Result<(Token, Session)> {
    let mut session = Session::new(None);
    if let Some(change) = &change {
        session = merged(&session, app, change, path, false)?;
    }
    let mut token = Token::new(Scope::Session, &client.owner, seconds);
    token.session = change;
    Ok((token, session))
}
