//! The neutral core: what the product does. Audio becomes a stream of transcript pieces; text becomes a stream of
//! sound. No HTTP, no vendor's word, no engine by name.

pub mod channels;
pub mod chunk;
pub mod complete;
pub mod lexicon;
mod lines;
pub mod live;
mod live_text;
pub mod normalize;
mod pause;
pub mod realtime;
pub mod script;
mod sentence;
pub mod speak;
pub mod speakers;
mod ssml;
mod timing;
pub mod transcribe;
mod turn;

use crate::error::{Error, Result};
use std::sync::LazyLock;
use tokio::sync::Semaphore;

/// One permit per core, for work that computes outside the engines.
static COMPUTE: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, |cores| cores.get())));

/// Runs a few milliseconds of computing (decoding, resampling, voice activity, encoding) off the async threads, at
/// most one per core at a time. `work` must never wait for a client or an engine.
///
/// # Errors
/// Whatever `work` returns; `Internal` when it panics.
///
/// # Cancel safety
/// Dropping the future before `work` has begun drops it; once begun it runs to its end and its result is dropped.
pub async fn step<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let permit = COMPUTE.acquire().await.map_err(|e| Error::internal("the compute permits are gone", e))?;
    let result = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    result.await.map_err(|e| Error::internal("audio processing failed", e))?
}
