//! Speech as the body of an answer: it begins when its first bytes exist, so a failure before that still has a status.

use crate::audio::encode::Output;
use crate::engine::pool::Priority;
use crate::engine::{SpeakOptions, SynthesizerPool};
use crate::error::{Error, Kind, Result};
use crate::speech::speak::{encode, speak};
use crate::telemetry;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Instant;

/// Speaks `text`: the bytes as they become ready, the first of which are there already. `begun` is when the request
/// came.
///
/// # Errors
/// What goes wrong before the first byte; later errors are items, after which the stream ends.
///
/// # Cancel safety
/// Dropping the future or the stream cancels what the engine works on.
pub async fn begin_sound(
    pool: Arc<SynthesizerPool>,
    (text, options): (String, SpeakOptions),
    output: impl Into<Output>,
    begun: Instant,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let sound = speak(pool, text, options, Priority::Interactive)
        .inspect_ok(|block| telemetry::audio_seconds("out", block.duration()));
    let mut chunks = encode(sound, output).boxed();
    let first = chunks.next().await.transpose()?.unwrap_or_default();
    telemetry::first_byte(begun.elapsed());
    Ok(futures::stream::once(async { Ok(first) }).chain(chunks).boxed())
}

/// Tells the log of a failure that no status tells any more.
pub fn log_late(error: &Error) {
    if error.kind() != Kind::Cancelled {
        tracing::error!(%error, "speech failed after its answer had begun");
    }
}
