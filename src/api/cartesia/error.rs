//! What Cartesia's clients see of a failure: its body, on every answer of its routes, whoever refused.

use crate::api::error::{rephrase, status};
use crate::api::observe::RequestId;
use crate::error::{Error, Kind};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};

/// Puts Cartesia's body on the failures of its routes.
pub async fn speak_cartesia(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path.starts_with("/tts/") || path == "/voices" || path.starts_with("/voices/");
    let id = request_id(request.extensions().get());
    let response = next.run(request).await;
    if ours { rephrase(response, |error, _| body(error, &id)) } else { response }
}

/// The id of a request, as text.
pub fn request_id(known: Option<&RequestId>) -> String {
    known.and_then(|RequestId(id)| id.to_str().ok()).unwrap_or_default().to_owned()
}

/// A failure, as a body.
pub fn body(error: &Error, request_id: &str) -> Value {
    json!({
        "error_code": error.code().unwrap_or_else(|| name(error.kind())),
        "title": title(error.kind()),
        "message": error.message(),
        "status_code": status(error.kind()).as_u16(),
        "request_id": request_id,
        "param": error.param(),
    })
}

/// The name of a failure that has none of its own.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Unauthorized => "invalid_api_key",
        Kind::Forbidden => "forbidden",
        Kind::NotFound => "not_found",
        Kind::MethodNotAllowed => "method_not_allowed",
        Kind::UpgradeRequired => "upgrade_required",
        Kind::TooLarge => "payload_too_large",
        Kind::Overloaded => "concurrency_limited",
        Kind::Unavailable => "service_unavailable",
        Kind::Internal | Kind::Cancelled => "internal_error",
        Kind::InvalidRequest | Kind::InvalidAudio | Kind::Incomplete | Kind::Unsupported => "invalid_request",
    }
}

/// What people read first.
fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Unauthorized => "Not authorized",
        Kind::Forbidden => "Forbidden",
        Kind::NotFound => "Not found",
        Kind::MethodNotAllowed => "Method not allowed",
        Kind::UpgradeRequired => "Upgrade required",
        Kind::TooLarge => "Too large",
        Kind::Overloaded => "Too many requests",
        Kind::Unavailable => "Service unavailable",
        Kind::Internal | Kind::Cancelled => "Internal error",
        Kind::InvalidRequest | Kind::InvalidAudio | Kind::Incomplete | Kind::Unsupported => "Invalid request",
    }
}
