//! What every request has in common: an id, a log line, its metrics, and a limit on how many there are.

use super::error::{Failed, Rejection};
use crate::app::App;
use crate::error::{Error, Kind};
use crate::telemetry;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use std::error::Error as _;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");

/// The id of a request, as its log line and `x-request-id` have it.
#[derive(Clone)]
pub struct RequestId(pub HeaderValue);

/// Answers panics with a 500.
pub async fn answer_panics(request: Request, next: Next) -> Response {
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        Rejection::from(Error::new(Kind::Internal, "The server failed on this request.")).into_response()
    })
}

/// Gives the request an id, and writes one line and the metrics when the answer begins.
pub async fn log_request(mut request: Request, next: Next) -> Response {
    let (begun, method) = (Instant::now(), request.method().clone());
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let mut response = next.run(request).await;
    let elapsed = begun.elapsed();
    write_log(&id, &method, &route, &response, elapsed);
    telemetry::request(&route, method.as_str(), response.status().as_u16(), elapsed);
    response.headers_mut().insert(REQUEST_ID, id);
    response.headers_mut().insert(PROCESSING_MS, HeaderValue::from(elapsed.as_millis() as u64));
    response
}

/// The client's own id when it sent a reasonable one, otherwise a new one.
fn request_id(request: &Request) -> HeaderValue {
    let sent = request.headers().get(&REQUEST_ID).filter(|id| {
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=128).contains(&id.len()) && id.as_bytes().iter().all(good)
    });
    sent.cloned().unwrap_or_else(|| {
        let id = format!("req_{}", uuid::Uuid::now_v7().simple());
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("req_unknown"))
    })
}

fn write_log(id: &HeaderValue, method: &Method, route: &str, response: &Response, elapsed: Duration) {
    let (status, id) = (response.status().as_u16(), id.to_str().unwrap_or_default());
    let duration_ms = elapsed.as_millis() as u64;
    let Some(Failed(error)) = response.extensions().get::<Failed>() else {
        tracing::info!(request.id = id, %method, route, status, duration_ms, "request");
        return;
    };
    let cause = error.source().map(|cause| cause.to_string()).unwrap_or_default();
    if status >= 500 {
        tracing::error!(request.id = id, %method, route, status, duration_ms, %error, cause, "request failed");
    } else {
        tracing::info!(request.id = id, %method, route, status, duration_ms, param = error.param(), "request refused");
    }
}

/// Refuses a request when as many as allowed are in progress, so that memory stays bounded whatever comes.
pub async fn limit_requests(State(app): State<App>, request: Request, next: Next) -> Result<Response, Rejection> {
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let Ok(permit) = app.requests.clone().try_acquire_owned() else {
        let error = Error::new(Kind::Overloaded, "The server is busy with as many requests as it allows.");
        return Err(error.with_retry_after(Duration::from_secs(2)).into());
    };
    let response = next.run(request).await;
    Ok(response.map(|body| axum::body::Body::new(Held { body, _permit: permit })))
}

/// A response body that holds the request's permit until it has been sent or dropped.
struct Held {
    body: axum::body::Body,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = bytes::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, axum::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
