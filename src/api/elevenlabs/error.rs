//! What ElevenLabs' clients see of a failure: its body, on every answer of its routes, whoever refused.

use super::SPEAK;
use crate::api::error::rephrase;
use crate::error::{Error, Kind};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};

/// The lists that other dialects do not have.
const LISTS: [&str; 2] = ["/v1/voices", "/v2/voices"];

/// Puts ElevenLabs' body on the failures of its routes.
pub async fn speak_elevenlabs(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let ours = path.starts_with(SPEAK) || LISTS.iter().any(|list| path.starts_with(list));
    // Other dialects have this route as well; only these clients have this header.
    let ours = ours || (path == "/v1/models" && request.headers().contains_key("xi-api-key"));
    let response = next.run(request).await;
    if ours { rephrase(response, body) } else { response }
}

/// Two shapes in one: that of the service, and that which other clients of it expect.
pub fn body(error: &Error, status: StatusCode) -> Value {
    let name = error.code().unwrap_or_else(|| name(error.kind()));
    json!({
        "detail": {"status": name, "message": error.message(), "param": error.param()},
        "error": {"message": error.message(), "code": status.as_u16()},
    })
}

/// ElevenLabs' name for a failure that has none of its own.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Unauthorized => "invalid_api_key",
        Kind::Forbidden => "missing_permissions",
        Kind::NotFound => "not_found",
        Kind::MethodNotAllowed => "method_not_allowed",
        Kind::UpgradeRequired => "upgrade_required",
        Kind::TooLarge => "payload_too_large",
        Kind::Overloaded => "too_many_concurrent_requests",
        Kind::Unavailable => "service_unavailable",
        Kind::Internal | Kind::Cancelled => "internal_server_error",
        Kind::InvalidRequest | Kind::InvalidAudio | Kind::Incomplete | Kind::Unsupported => "invalid_parameters",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_tell_the_same() {
        let error = Error::new(Kind::NotFound, "no voice").with_param("voice_id").with_code("voice_not_found");
        let body = body(&error, StatusCode::NOT_FOUND);
        assert_eq!(body["detail"], json!({"status": "voice_not_found", "message": "no voice", "param": "voice_id"}));
        assert_eq!(body["error"], json!({"message": "no voice", "code": 404}));
    }
}
