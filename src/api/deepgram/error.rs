//! What Deepgram's clients see of a failure: its body and headers, on every answer of its routes, whoever refused.

use super::{FLUX, GRANT, LISTEN, SPEAK};
use crate::api::error::{Failed, rephrase};
use crate::api::observe;
use crate::error::{Error, Kind};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("dg-request-id");
const ERROR: HeaderName = HeaderName::from_static("dg-error");

/// The id of a request as Deepgram has ids: the same as `x-request-id`, where that is or contains a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

/// Puts Deepgram's headers on the answers of its routes, and Deepgram's body on those that are failures.
pub async fn speak_deepgram(mut request: Request, next: Next) -> Response {
    if ![LISTEN, FLUX, GRANT, SPEAK].contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let id = request_id(request.extensions().get());
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).await;
    if let Some(Failed(error)) = response.extensions().get::<Failed>().cloned() {
        response = rephrase(response, |error, _| body(error, id));
        response.headers_mut().insert(ERROR, printable(&error));
    }
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// That id, for a request that the log calls `known`.
pub fn request_id(known: Option<&observe::RequestId>) -> Uuid {
    let known = known.and_then(|observe::RequestId(id)| id.to_str().ok()).unwrap_or_default();
    Uuid::try_parse(known.trim_start_matches("req_")).unwrap_or_else(|_| Uuid::now_v7())
}

fn body(error: &Error, id: Uuid) -> Value {
    json!({"err_code": code(error.kind()), "err_msg": error.message(), "request_id": id})
}

/// Deepgram's name for a failure.
fn code(kind: Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest | Kind::InvalidAudio => "Bad Request",
        Kind::Unauthorized => "INVALID_AUTH",
        Kind::Forbidden => "INSUFFICIENT_PERMISSIONS",
        Kind::NotFound => "NOT_FOUND",
        Kind::MethodNotAllowed => "METHOD_NOT_ALLOWED",
        Kind::UpgradeRequired => "UPGRADE_REQUIRED",
        Kind::TooLarge => "PAYLOAD_TOO_LARGE",
        Kind::Incomplete => "UNPROCESSABLE_ENTITY",
        Kind::Unsupported => "UNSUPPORTED_MEDIA_TYPE",
        Kind::Overloaded => "TOO_MANY_REQUESTS",
        Kind::Cancelled => "CANCELLED",
        Kind::Internal => "INTERNAL_SERVER_ERROR",
        Kind::Unavailable => "SERVICE_UNAVAILABLE",
    }
}

/// The message as a header: ASCII alone.
fn printable(error: &Error) -> HeaderValue {
    let ascii = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    let message: String = error.message().chars().take(512).map(ascii).collect();
    HeaderValue::from_str(&message).unwrap_or_else(|_| HeaderValue::from_static("error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_log_is_the_id_of_deepgram() {
        let known = |id: &'static str| observe::RequestId(HeaderValue::from_static(id));
        let uuid = "019a8f5b-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
        assert_eq!(request_id(Some(&known("req_019a8f5b1c2d7e3f8a4b5c6d7e8f9a0b"))).to_string(), uuid);
        assert_eq!(request_id(Some(&known("019a8f5b-1c2d-7e3f-8a4b-5c6d7e8f9a0b"))).to_string(), uuid);
        assert_ne!(request_id(Some(&known("mine-1"))), request_id(Some(&known("mine-1"))));
    }

    #[test]
    fn a_message_in_any_script_fits_into_a_header() {
        assert_eq!(printable(&Error::new(Kind::InvalidRequest, "no `ü`\n")), "no `?`?");
    }
}
