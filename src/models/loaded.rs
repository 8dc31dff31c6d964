//! The pools of engines in memory: each is loaded once, shared, and let go when nobody has used it for a while.

use crate::engine::pool::Pool;
use crate::error::{Error, Kind, Result};
use crate::telemetry;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Pools by the id of their model.
pub struct Loaded<E: ?Sized> {
    entries: Mutex<HashMap<String, Entry<E>>>,
}

struct Entry<E: ?Sized> {
    outcome: watch::Receiver<Outcome<E>>,
    last_used: Instant,
}

/// Nothing while the load runs.
type Outcome<E> = Option<Result<Arc<Pool<E>>, Arc<Error>>>;

impl<E: ?Sized> Default for Loaded<E> {
    fn default() -> Self {
        Self { entries: Mutex::default() }
    }
}

impl<E: ?Sized + Send + 'static> Loaded<E> {
    /// The pool of `id`. If there is none, runs `load`; whoever comes meanwhile waits for the same load. A failed load
    /// is forgotten, so the next caller tries again.
    ///
    /// # Errors
    /// Whatever `load` says.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the load running for those who come later.
    pub async fn get<F>(&self, id: &str, load: impl FnOnce() -> F) -> Result<Arc<Pool<E>>>
    where
        F: Future<Output = Result<Pool<E>>> + Send + 'static,
    {
        let mut outcome = self.outcome(id, load);
        let outcome = outcome.wait_for(Option::is_some).await;
        match outcome.as_deref() {
            Ok(Some(Ok(pool))) => Ok(pool.clone()),
            Ok(Some(Err(error))) => Err(repeat(error)),
            Ok(None) | Err(_) => {
                Err(Error::new(Kind::Unavailable, format!("loading the model `{id}` was interrupted")))
            }
        }
    }

    fn outcome<F>(&self, id: &str, load: impl FnOnce() -> F) -> watch::Receiver<Outcome<E>>
    where
        F: Future<Output = Result<Pool<E>>> + Send + 'static,
    {
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(id).filter(|entry| !entry.has_failed()) {
            entry.last_used = Instant::now();
            return entry.outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        entries.insert(id.to_owned(), Entry { outcome: outcome.clone(), last_used: Instant::now() });
        let load = load();
        tokio::spawn(async move {
            let result = load.await.map(Arc::new).map_err(Arc::new);
            // With nobody left to read it, the model has been removed meanwhile.
            let _ = sender.send(Some(result));
        });
        outcome
    }

    /// Whether `id` is ready in memory.
    pub fn is_loaded(&self, id: &str) -> bool {
        self.lock().get(id).is_some_and(|entry| entry.pool().is_some())
    }

    /// Lets go of every pool that nobody has used for `idle` before `now`, except those for which `keep` holds.
    /// A pool that is in use counts as used `now`. Returns the ids.
    pub fn sweep(&self, now: Instant, idle: Duration, keep: impl Fn(&str) -> bool) -> Vec<String> {
        let mut entries = self.lock();
        let mut leaving = Vec::new();
        for (id, entry) in entries.iter_mut() {
            match entry.users() {
                Some(0) if now.saturating_duration_since(entry.last_used) >= idle && !keep(id) => {
                    leaving.push(id.clone())
                }
                Some(0) => {}
                // Loading, or somebody holds it.
                _ => entry.last_used = entry.last_used.max(now),
            }
        }
        let removed: Vec<_> = leaving.iter().filter_map(|id| entries.remove(id)).collect();
        // The threads of the engines end here, which nobody should wait for.
        drop(entries);
        drop(removed);
        leaving
    }

    /// Lets go of `id`; whoever uses it keeps it to the end.
    pub fn remove(&self, id: &str) {
        let removed = self.lock().remove(id);
        drop(removed);
    }

    /// A panic while the lock was held leaves nothing half done here, so its poison is of no interest.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry<E>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: ?Sized> Entry<E> {
    fn pool(&self) -> Option<Arc<Pool<E>>> {
        self.outcome.borrow().as_ref()?.as_ref().ok().cloned()
    }

    /// How many hold the pool; `None` while it is loading.
    fn users(&self) -> Option<usize> {
        let outcome = self.outcome.borrow();
        outcome.as_ref().map(|outcome| outcome.as_ref().map_or(0, |pool| Arc::strong_count(pool) - 1))
    }

    fn has_failed(&self) -> bool {
        let interrupted = self.outcome.has_changed().is_err() && self.outcome.borrow().is_none();
        interrupted || matches!(*self.outcome.borrow(), Some(Err(_)))
    }
}

/// The same failure for everyone who waited.
fn repeat(error: &Arc<Error>) -> Error {
    let mut again = Error::new(error.kind(), error.message().to_owned()).with_source(error.clone());
    if let Some(retry_after) = error.retry_after() {
        again = again.with_retry_after(retry_after);
    }
    again
}

/// Counts the models in memory, for `/metrics`. Each pool holds one [`InMemory`] as long as it lives.
#[derive(Debug, Clone, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    /// Counts one more until the guard is dropped.
    pub fn one_more(&self) -> InMemory {
        telemetry::models_loaded(self.0.fetch_add(1, Ordering::Relaxed) + 1);
        InMemory(self.clone())
    }
}

/// One model in memory.
#[derive(Debug)]
pub struct InMemory(Count);

impl Drop for InMemory {
    fn drop(&mut self) {
        telemetry::models_loaded(self.0.0.fetch_sub(1, Ordering::Relaxed) - 1);
    }
}
