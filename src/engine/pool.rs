//! Threads that own engines, and the queue in front of them.
//!
//! One named OS thread per slot, owning its engine. The queue has four lanes (see [`Priority`]), first in first out
//! within each, and is bounded: a full lane is an `Overloaded` error. A long file queues again after every piece, so
//! nobody starves; every eighth piece of work is taken from the lowest lane that has some. Interim work gives way: when
//! real-time work finds no free engine, an engine with interim work is told to stop.
//!
//! Work is cancelled by dropping the future that waits for it. A panic in an engine is caught: the request fails and
//! the slot builds a fresh engine.

use super::Cancel;
use crate::error::{Error, Kind, Result};
use crate::telemetry;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How urgent a piece of work is. Lower variants go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody is speaking or listening right now.
    Realtime,
    /// What somebody is saying right now, as far as it is understood before they have finished; it can wait for what
    /// cannot, and is stopped for it with the error of a caller who has left.
    Interim,
    /// Somebody waits for the answer of a request.
    Interactive,
    /// Nobody waits: jobs.
    Batch,
}

/// The names of the lanes, in order of urgency.
pub const LANES: [&str; 4] = ["realtime", "interim", "interactive", "batch"];

/// After so many pieces of work one is taken from the lowest lane that has some, so that no lane starves.
const FAIR_TURN: u64 = 8;

/// How a pool is built.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Names the threads and labels the metrics; usually the model id.
    pub name: String,
    /// How many engines, each with a thread of its own.
    pub slots: usize,
    /// How many pieces of work may wait in each lane.
    pub queue: usize,
    /// The cores all pools share; `None` for engines too light to be counted.
    pub cores: Option<Arc<Cores>>,
    /// How many cores one slot keeps busy while it works.
    pub threads: usize,
}

/// A set of engines of type `E` and the queue in front of them. Dropping the last handle ends its threads once the
/// running work is done; waiting work fails.
pub struct Pool<E: ?Sized> {
    shared: Arc<Shared<E>>,
}

/// Work, which stops when the flag says so.
type Task<E> = Box<dyn FnOnce(&mut E, &AtomicBool) + Send>;
type Factory<E> = Box<dyn Fn() -> Result<Box<E>> + Send + Sync>;

struct Shared<E: ?Sized> {
    options: PoolOptions,
    factory: Factory<E>,
    queue: Mutex<Queue<Queued<E>>>,
    work_arrived: Condvar,
}

struct Queued<E: ?Sized> {
    since: Instant,
    /// Whether the caller has left: then the work is dropped without being run.
    abandoned: Box<dyn Fn() -> bool + Send>,
    run: Task<E>,
}

impl<E: ?Sized + 'static> Pool<E> {
    /// Builds the first engine in the calling thread, so that a model which does not work is known at once, then
    /// starts the threads; the other slots build theirs before their first piece of work.
    ///
    /// # Errors
    /// Whatever `factory` says, and `Unavailable` when no thread can be started.
    pub fn start(options: PoolOptions, factory: impl Fn() -> Result<Box<E>> + Send + Sync + 'static) -> Result<Self>
    where
        E: Send,
    {
        let mut first = Some(factory()?);
        let slots = options.slots.max(1);
        let shared = Arc::new(Shared {
            options,
            factory: Box::new(factory),
            queue: Mutex::new(Queue::with_slots(slots)),
            work_arrived: Condvar::new(),
        });
        let pool = Self { shared };
        for slot in 0..slots {
            let (shared, engine) = (pool.shared.clone(), first.take());
            std::thread::Builder::new()
                .name(format!("{}-{slot}", pool.shared.options.name))
                .spawn(move || work(&shared, slot, engine))
                .map_err(|e| Error::new(Kind::Unavailable, "cannot start an engine thread").with_source(e))?;
        }
        Ok(pool)
    }

    /// How many pieces of work can run at once.
    pub fn slots(&self) -> usize {
        self.shared.options.slots.max(1)
    }

    /// Runs `work` on the next free engine and returns its result.
    ///
    /// # Errors
    /// `Overloaded` when the lane is full, `Internal` when the engine panicked, and whatever `work` returns.
    ///
    /// # Cancel safety
    /// Dropping the future drops waiting work and tells running work through its [`Cancel`].
    pub async fn run<T, F>(&self, priority: Priority, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut E, &Cancel<'_>) -> Result<T> + Send + 'static,
    {
        let mut answer =
            self.run_streaming(priority, move |engine, cancel, out| work(engine, cancel).and_then(&mut *out))?;
        answer.recv().await.unwrap_or_else(|| Err(engine_lost()))
    }

    /// Runs `work` on the next free engine; what it hands to its third argument arrives at the receiver while it
    /// runs, its error, if any, last. The engine never waits for the reader: `work` must be short (one sentence).
    ///
    /// # Errors
    /// `Overloaded` when the lane is full. Everything later comes through the receiver.
    ///
    /// # Cancel safety
    /// Dropping the receiver drops waiting work and tells running work through its [`Cancel`].
    pub fn run_streaming<T, F>(&self, priority: Priority, work: F) -> Result<mpsc::UnboundedReceiver<Result<T>>>
    where
        T: Send + 'static,
        F: FnOnce(&mut E, &Cancel<'_>, &mut dyn FnMut(T) -> Result<()>) -> Result<()> + Send + 'static,
    {
        let (sender, receiver) = mpsc::unbounded_channel::<Result<T>>();
        let guard = PanicReport { sender: sender.clone(), armed: true };
        let watched = sender.clone();
        let abandoned = move || watched.is_closed();
        self.enqueue(priority, abandoned, move |engine, stop| {
            let mut guard = guard;
            let gone = || sender.is_closed() || stop.load(Ordering::Relaxed);
            let mut send = |item| sender.send(Ok(item)).map_err(|_| Error::new(Kind::Cancelled, "nobody listens"));
            let result = work(engine, &Cancel::new(&gone), &mut send);
            guard.armed = false;
            if let Err(error) = result {
                let _ = sender.send(Err(error));
            }
        })?;
        Ok(receiver)
    }

    fn enqueue(
        &self,
        priority: Priority,
        abandoned: impl Fn() -> bool + Send + 'static,
        run: impl FnOnce(&mut E, &AtomicBool) + Send + 'static,
    ) -> Result<()> {
        let lane = priority as usize;
        let queued = Queued { since: Instant::now(), abandoned: Box::new(abandoned), run: Box::new(run) };
        let mut queue = lock(&self.shared.queue);
        if queue.lanes[lane].len() >= self.shared.options.queue {
            queue.lanes[lane].retain(|queued| !(queued.abandoned)());
        }
        if queue.lanes[lane].len() >= self.shared.options.queue {
            return Err(Error::new(Kind::Overloaded, "the server is busy: its queue is full, try again shortly")
                .with_retry_after(Duration::from_secs(2)));
        }
        queue.lanes[lane].push_back(queued);
        if priority == Priority::Realtime {
            queue.make_way();
        }
        telemetry::queue_depth(&self.shared.options.name, LANES[lane], queue.lanes[lane].len());
        drop(queue);
        self.shared.work_arrived.notify_one();
        Ok(())
    }
}

impl<E: ?Sized> Drop for Pool<E> {
    fn drop(&mut self) {
        lock(&self.shared.queue).close();
        self.shared.work_arrived.notify_all();
    }
}

fn engine_lost() -> Error {
    Error::new(Kind::Internal, "the engine failed on this request; it has been restarted")
}

/// Reports a panic of the work to the reader of a stream, and nothing when the work ended by itself.
struct PanicReport<T> {
    sender: mpsc::UnboundedSender<Result<T>>,
    armed: bool,
}

impl<T> Drop for PanicReport<T> {
    fn drop(&mut self) {
        if self.armed && !self.sender.is_closed() {
            let _ = self.sender.send(Err(engine_lost()));
        }
    }
}

/// The life of one slot: take work, run it, until the pool is dropped.
fn work<E: ?Sized>(shared: &Shared<E>, slot: usize, mut engine: Option<Box<E>>) {
    while let Some((queued, stop)) = next(shared, slot) {
        if (queued.abandoned)() {
            continue;
        }
        let _cores = shared.options.cores.as_ref().map(|cores| cores.take(shared.options.threads));
        if engine.is_none() {
            engine = build(shared);
        }
        // Without an engine the work is dropped, which its caller sees as a lost engine.
        let Some(current) = engine.as_mut() else { continue };
        let begun = Instant::now();
        let run = AssertUnwindSafe(|| (queued.run)(current, &stop));
        if catch_unwind(run).is_err() {
            tracing::error!(pool = shared.options.name, "an engine panicked and is built anew");
            engine = None;
        }
        telemetry::engine_seconds(&shared.options.name, begun.elapsed());
    }
}

fn build<E: ?Sized>(shared: &Shared<E>) -> Option<Box<E>> {
    let built = catch_unwind(AssertUnwindSafe(|| (shared.factory)()));
    match built {
        Ok(Ok(engine)) => Some(engine),
        Ok(Err(error)) => {
            tracing::error!(pool = shared.options.name, %error, "an engine cannot be built");
            None
        }
        Err(_) => None,
    }
}

/// Waits for the next piece of work for `slot`, and gives what can stop it; `None` once the pool is gone.
fn next<E: ?Sized>(shared: &Shared<E>, slot: usize) -> Option<(Queued<E>, Arc<AtomicBool>)> {
    let mut queue = lock(&shared.queue);
    queue.running[slot] = None;
    loop {
        if let Some((lane, queued)) = queue.pop() {
            let stop = Arc::new(AtomicBool::new(false));
            queue.running[slot] = Some(Running { lane, stop: stop.clone() });
            telemetry::queue_depth(&shared.options.name, LANES[lane], queue.lanes[lane].len());
            telemetry::queue_wait(LANES[lane], queued.since.elapsed());
            return Some((queued, stop));
        }
        if queue.closed {
            return None;
        }
        queue = shared.work_arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Four lanes, first in first out in each.
struct Queue<T> {
    lanes: [VecDeque<T>; LANES.len()],
    taken: u64,
    closed: bool,
    /// What each slot works on.
    running: Vec<Option<Running>>,
}

struct Running {
    lane: usize,
    stop: Arc<AtomicBool>,
}

impl<T> Queue<T> {
    fn with_slots(slots: usize) -> Self {
        Self { lanes: Default::default(), taken: 0, closed: false, running: (0..slots).map(|_| None).collect() }
    }

    /// Stops an engine with interim work if there are not enough free ones for the real-time work that waits.
    fn make_way(&self) {
        let busy = self.running.iter().flatten();
        let interim = busy.clone().filter(|running| running.lane == Priority::Interim as usize);
        let (stopped, going): (Vec<_>, Vec<_>) = interim.partition(|running| running.stop.load(Ordering::Relaxed));
        let free = self.running.len() - busy.count() + stopped.len();
        if self.lanes[Priority::Realtime as usize].len() > free
            && let Some(running) = going.first()
        {
            running.stop.store(true, Ordering::Relaxed);
        }
    }

    /// The next piece of work and its lane: the most urgent, and the least urgent every [`FAIR_TURN`]th time.
    fn pop(&mut self) -> Option<(usize, T)> {
        let turn = self.taken + 1;
        let filled = |lane: &usize| !self.lanes[*lane].is_empty();
        let lane = match turn % FAIR_TURN {
            0 => (0..LANES.len()).rev().find(filled)?,
            _ => (0..LANES.len()).find(filled)?,
        };
        self.taken = turn;
        self.lanes[lane].pop_front().map(|item| (lane, item))
    }

    fn close(&mut self) {
        self.closed = true;
        self.lanes.iter_mut().for_each(VecDeque::clear);
    }
}

/// The cores of the machine, shared by all pools: engines of different models together never use more than there are.
/// ggml's threads spin while they wait for each other, so one thread too many costs far more than its share.
#[derive(Debug)]
pub struct Cores {
    free: Mutex<usize>,
    total: usize,
    freed: Condvar,
}

impl Cores {
    /// A budget of `total` cores, at least one.
    pub fn new(total: usize) -> Self {
        let total = total.max(1);
        Self { free: Mutex::new(total), total, freed: Condvar::new() }
    }

    /// Waits for `count` cores (at most all of them) and holds them until the guard is dropped.
    fn take(self: &Arc<Self>, count: usize) -> CoresTaken {
        let count = count.clamp(1, self.total);
        let mut free = lock(&self.free);
        while *free < count {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= count;
        CoresTaken { cores: self.clone(), count }
    }
}

struct CoresTaken {
    cores: Arc<Cores>,
    count: usize,
}

impl Drop for CoresTaken {
    fn drop(&mut self) {
        *lock(&self.cores.free) += self.count;
        self.cores.freed.notify_all();
    }
}

/// A panic while a lock was held leaves nothing half done here, so its poison is of no interest.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    fn pool(slots: usize, queue: usize) -> Pool<u32> {
        let options = PoolOptions { name: "test".into(), slots, queue, cores: None, threads: 1 };
        Pool::start(options, || Ok(Box::new(0))).expect("a number can always be built")
    }

    #[test]
    fn urgent_work_goes_first_and_every_eighth_turn_is_for_the_last_lane() {
        let mut queue = Queue::with_slots(1);
        queue.lanes[0].extend(0..20);
        queue.lanes[3].push_back(100);
        let order: Vec<i32> = (0..9).filter_map(|_| queue.pop()).map(|(_, item)| item).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 100, 7]);
    }

    #[tokio::test]
    async fn work_runs_on_an_engine_that_keeps_its_state() {
        let pool = pool(1, 4);
        for expected in 1..=3 {
            let value = pool.run(Priority::Interactive, |engine, _| {
                *engine += 1;
                Ok(*engine)
            });
            assert_eq!(value.await.expect("the work succeeds"), expected);
        }
    }

    #[tokio::test]
    async fn interim_work_gives_way_to_real_time_work_and_to_nothing_else() {
        let pool = pool(1, 4);
        let (started, has_started) = channel();
        let mut interim = pool
            .run_streaming::<u32, _>(Priority::Interim, move |_, cancel, _| {
                let _ = started.send(());
                while !cancel.is_cancelled() {
                    std::thread::yield_now();
                }
                Err(Error::new(Kind::Cancelled, "nobody listens"))
            })
            .expect("room for one");
        has_started.recv().expect("the work has started");
        let patient = pool.run_streaming::<u32, _>(Priority::Interactive, |_, _, _| Ok(())).expect("room");
        assert!(!lock(&pool.shared.queue).running.iter().flatten().any(|it| it.stop.load(Ordering::Relaxed)));
        assert_eq!(pool.run(Priority::Realtime, |engine, _| Ok(*engine)).await.expect("an engine"), 0);
        assert_eq!(interim.recv().await.expect("a report").expect_err("it was stopped").kind(), Kind::Cancelled);
        drop(patient);
    }

    #[tokio::test]
    async fn a_panic_fails_one_request_and_the_slot_lives_on() {
        let pool = pool(1, 4);
        let error = pool.run::<u32, _>(Priority::Interactive, |_, _| panic!("broken")).await.expect_err("it panics");
        assert_eq!(error.kind(), Kind::Internal);
        let mut stream = pool.run_streaming::<u32, _>(Priority::Batch, |_, _, _| panic!("broken")).expect("queued");
        assert_eq!(stream.recv().await.expect("one report").expect_err("a failure").kind(), Kind::Internal);
        assert!(stream.recv().await.is_none());
        assert_eq!(pool.run(Priority::Interactive, |engine, _| Ok(*engine)).await.expect("a fresh engine"), 0);
    }

    #[tokio::test]
    async fn a_full_lane_is_overload_and_abandoned_work_makes_room() {
        let pool = pool(1, 1);
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let running = pool.run_streaming::<u32, _>(Priority::Interactive, move |_, _, _| {
            let _ = started.send(());
            let _ = released.recv();
            Ok(())
        });
        has_started.recv().expect("the work has started");
        let waiting = pool.run_streaming::<u32, _>(Priority::Interactive, |_, _, _| Ok(())).expect("room for one");
        let full = pool.run_streaming::<u32, _>(Priority::Interactive, |_, _, _| Ok(())).expect_err("no more room");
        assert_eq!((full.kind(), full.retry_after().is_some()), (Kind::Overloaded, true));
        drop(waiting);
        assert!(pool.run_streaming::<u32, _>(Priority::Interactive, |_, _, _| Ok(())).is_ok());
        drop((release, running));
    }

    #[tokio::test]
    async fn a_dropped_future_cancels_running_work() {
        let pool = pool(1, 4);
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (stopped, has_stopped) = tokio::sync::oneshot::channel();
        let running = pool.run(Priority::Interactive, move |_, cancel| {
            let _ = started.send(());
            while !cancel.is_cancelled() {
                std::thread::yield_now();
            }
            let _ = stopped.send(());
            Ok(())
        });
        tokio::select! {
            _ = running => panic!("the work ends only when it is cancelled"),
            _ = has_started => {}
        }
        has_stopped.await.expect("the engine saw that its caller left");
    }

    #[tokio::test]
    async fn dropping_the_pool_fails_what_waits() {
        let pool = Arc::new(pool(1, 4));
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let _running = pool.run_streaming::<u32, _>(Priority::Interactive, move |_, _, _| {
            let _ = started.send(());
            let _ = released.recv();
            Ok(())
        });
        has_started.recv().expect("the work has started");
        let mut waiting = pool.run_streaming::<u32, _>(Priority::Interactive, |_, _, _| Ok(())).expect("queued");
        drop(pool);
        assert!(waiting.recv().await.expect("a report").is_err());
        drop(release);
    }
}
