//! What a refused request still sends.
//!
//! A refusal often comes before the upload has been read: a wrong key, an unknown model, too many bytes. A connection
//! that is closed on a client in the middle of its upload takes the answer with it, and one that is kept with the rest
//! of an upload in it spoils the request after it. So the rest is read and thrown away, within limits.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

/// The most that is read and thrown away, in bytes.
const LIMIT: u64 = 64 << 20;

/// For how long at the most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the rest of a request that failed, or tells the client that its connection ends.
pub async fn drain_refused(request: Request, next: Next) -> Response {
    // Who asks first whether to send its body does not send it to a refusal.
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let mut rest = Shared(Arc::new(Mutex::new(body)));
    let mut response = next.run(Request::from_parts(parts, Body::new(rest.clone()))).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if !refused || rest.is_end_stream() {
        return response;
    }
    let drained = !waits && tokio::time::timeout(PATIENCE, drain(&mut rest)).await.unwrap_or(false);
    if !drained {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the body came to its end within [`LIMIT`].
async fn drain(rest: &mut Shared) -> bool {
    let mut read = 0;
    while let Some(frame) = rest.frame().await {
        let Ok(frame) = frame else { return false };
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > LIMIT {
            return false;
        }
    }
    true
}

/// A request body that the handler reads and that can still be read when the handler has dropped it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
