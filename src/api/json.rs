//! JSON bodies: read within a limit, and what is wrong with them told by the name of the field.

use crate::error::{Error, Kind, Result};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

/// Reads the body of `request`, of at most `most` bytes.
///
/// # Errors
/// `Unsupported` when the request does not say that its body is JSON, `TooLarge`, and `InvalidRequest` that names the
/// field.
pub async fn read_json<T: DeserializeOwned>(request: Request, most: usize) -> Result<T> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.unwrap_or_default().to_ascii_lowercase().starts_with("application/json") {
        return Err(Error::new(Kind::Unsupported, "This route takes a JSON body (content-type: application/json)."));
    }
    let (parts, body) = request.into_parts();
    let limited = Request::from_parts(parts, Body::new(http_body_util::Limited::new(body, most)));
    let bytes = Bytes::from_request(limited, &()).await.map_err(|e| {
        let kind = if e.status().as_u16() == 413 { Kind::TooLarge } else { Kind::InvalidRequest };
        Error::new(kind, format!("The body cannot be read or is larger than {most} bytes.")).with_source(e)
    })?;
    parse_json(&bytes)
}

/// Reads a JSON document.
///
/// # Errors
/// `InvalidRequest` that names the field.
pub fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = Error::new(Kind::InvalidRequest, format!("The JSON is wrong: {}", error.inner()));
        if path == "." { error } else { error.with_param(path) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(rename = "inner")]
        _inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[serde(rename = "speed")]
        _speed: f32,
    }

    #[test]
    fn a_wrong_field_is_named() {
        let error = parse_json::<Outer>(br#"{"inner": {"speed": "fast"}}"#).unwrap_err();
        assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("inner.speed")));
        assert_eq!(parse_json::<Outer>(b"hello").unwrap_err().param(), None);
    }
}
