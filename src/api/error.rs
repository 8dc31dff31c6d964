//! What a failure looks like on the wire: one table from [`Kind`] to status, one envelope.

use crate::error::{Error, Kind};
use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// The error of a handler; answers with the OpenAI envelope and leaves the error to the log layer.
#[derive(Debug)]
pub struct Rejection(Error);

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The error inside a finished response, for the one place that logs it.
#[derive(Clone)]
pub struct Failed(pub Arc<Error>);

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let error = self.0;
        let mut response = (status(error.kind()), Json(envelope(&error))).into_response();
        if let Some(delay) = retry_after(&error) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(delay));
        }
        if error.kind() == Kind::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if error.kind() == Kind::UpgradeRequired {
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response.extensions_mut().insert(Failed(Arc::new(error)));
        response
    }
}

/// Gives a failure the `body` that clients of another dialect expect.
pub fn rephrase(mut response: Response, body: impl FnOnce(&Error, StatusCode) -> Value) -> Response {
    let Some(Failed(error)) = response.extensions().get::<Failed>().cloned() else { return response };
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let body = body(&error, response.status());
    response.map(|_| Body::from(body.to_string()))
}

/// The status of each kind of failure.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::InvalidRequest | Kind::InvalidAudio => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Incomplete => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        // The caller is gone; the number is nginx's, and only the log sees it.
        Kind::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// OpenAI's `error.type` of each kind of failure.
fn wire_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Forbidden => "permission_error",
        Kind::Overloaded => "rate_limit_error",
        Kind::Internal | Kind::Unavailable => "server_error",
        _ => "invalid_request_error",
    }
}

/// The code of a failure that was not given one of its own.
fn default_code(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::InvalidAudio => Some("unsupported_format"),
        Kind::Unauthorized => Some("invalid_api_key"),
        Kind::Overloaded => Some("rate_limit_exceeded"),
        _ => None,
    }
}

/// Seconds until trying again makes sense, for the kinds that a client should try again.
fn retry_after(error: &Error) -> Option<u64> {
    let wanted = error.retry_after().map(|delay| delay.as_secs().max(1));
    match error.kind() {
        Kind::Overloaded | Kind::Unavailable => Some(wanted.unwrap_or(2)),
        _ => wanted,
    }
}

/// OpenAI's error body: all four keys, always.
pub fn envelope(error: &Error) -> Value {
    json!({"error": {
        "message": error.message(),
        "type": wire_type(error.kind()),
        "param": error.param(),
        "code": error.code().or(default_code(error.kind())),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_always_has_its_four_keys() {
        let error = Error::invalid("speed", "speed must be between 0.25 and 4");
        insta::assert_json_snapshot!(envelope(&error), @r#"
        {
          "error": {
            "code": null,
            "message": "speed must be between 0.25 and 4",
            "param": "speed",
            "type": "invalid_request_error"
          }
        }
        "#);
    }

    #[test]
    fn a_busy_server_says_when_to_come_back() {
        let response = Rejection::from(Error::new(Kind::Overloaded, "busy")).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}
