//! How fast jobs are taken in, and whether a long queue slows down those who look at it: in a file, and in NATS where
//! `nats-server` is installed.
//!
//! `cargo bench --bench jobs`, or `cargo bench --bench jobs -- 20000` for a queue of that length.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use mynah::config::JobsConfig;
use mynah::engine::TranscribeOptions;
use mynah::jobs::embedded::Embedded;
use mynah::jobs::{Input, JobId, JobStore, NewJob, Outcome, Owner, Verdict, Work, now};
use mynah::speech::chunk::EndpointerOptions;
use mynah::speech::transcribe::Stages;
use mynah::transcript::Transcript;
use std::io::Write as _;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Requests that hand in at once.
const HANDS: usize = 64;

/// A second of sound, as 16-bit samples at 16 kHz with a header.
const CLIP: usize = 32_044;

/// How often a single operation is timed.
const ROUNDS: usize = 300;

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

fn new_job() -> NewJob {
    let work = Work {
        model: "whisper-1".into(),
        options: TranscribeOptions::default(),
        stages: Stages::default(),
        endpointing: EndpointerOptions::default(),
        voices: None,
        multichannel: false,
        strict: false,
        raw: None,
        source: None,
    };
    let input = Some(Input::Bytes(Bytes::from(vec![7; CLIP])));
    NewJob { owner: Owner::everyone(), work, input, wire: serde_json::json!({}), webhook: None, idempotency: None }
}

/// Hands in `count` jobs, and says which they are and how many a second that were.
async fn hand_in(store: &dyn JobStore, count: usize) -> (Vec<JobId>, f64) {
    let begun = Instant::now();
    let submits =
        stream::iter(0..count).map(|_| async { store.submit(new_job(), now()).await.expect("there is room") });
    let ids = submits.buffer_unordered(HANDS).map(|submitted| submitted.job.id).collect::<Vec<_>>().await;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    (ids, rate)
}

/// The operations that are timed one by one.
const WHAT: [&str; 3] = ["look", "claim", "finish"];

/// The median times of a look at a job, its place and its text so far, of a claim that is given back, and of the end of a
/// job that has been claimed.
async fn operations(store: &dyn JobStore, ids: &[JobId]) -> [Duration; 3] {
    let (mut looks, mut claims, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let id = ids[round * ids.len() / ROUNDS];
        let begun = Instant::now();
        store.get(None, id).await.expect("a store that works").expect("the job");
        store.position(id).await.expect("a store that works");
        store.said(id).await.expect("a store that works");
        looks.push(begun.elapsed());
        let begun = Instant::now();
        let (claim, _) =
            store.claim(&|_| true, Duration::from_secs(60), now()).await.expect("a store that works").expect("a job");
        claims.push(begun.elapsed());
        store.give_back(claim, now(), now()).await.expect("a store that works");
        let (claim, _) =
            store.claim(&|_| true, Duration::from_secs(60), now()).await.expect("a store that works").expect("a job");
        let begun = Instant::now();
        let outcome =
            Outcome { channels: vec![Transcript::default()], duration: Duration::from_secs(1), sha256: String::new() };
        assert!(store.finish(claim, Verdict::Completed(Box::new(outcome)), now()).await.expect("a store that works"));
        ends.push(begun.elapsed());
    }
    [looks, claims, ends].map(|mut times| {
        times.sort();
        times[ROUNDS / 2]
    })
}

async fn measure(name: &str, store: &dyn JobStore, length: usize) {
    let (mut ids, _) = hand_in(store, 1000).await;
    let short = operations(store, &ids).await;
    let (more, rate) = hand_in(store, length.saturating_sub(1000)).await;
    ids.extend(more);
    let long = operations(store, &ids).await;
    say(&format!("{name}: {rate:.0} jobs/s handed in by {HANDS} hands (clips of a second)"));
    for ((what, short), long) in WHAT.into_iter().zip(short).zip(long) {
        let ratio = long.as_secs_f64() / short.as_secs_f64();
        say(&format!("{name}: {what} {short:.1?} with 1000 jobs, {long:.1?} with {}, {ratio:.2} times", ids.len()));
    }
}

fn config(length: usize) -> JobsConfig {
    JobsConfig { queue: length as u64 + 1, ..JobsConfig::default() }
}

#[cfg(feature = "nats")]
async fn in_nats(length: usize) {
    use mynah::config::{Role, StoreKind};
    use std::io::BufRead as _;
    use std::process::{Command, Stdio};
    let data = TempDir::new().expect("a folder");
    let mut command = Command::new("nats-server");
    command.args(["--jetstream", "--addr", "127.0.0.1", "--port", "-1", "--store_dir"]).arg(data.path());
    let Ok(mut server) = command.stderr(Stdio::piped()).spawn() else {
        return say("nats-server is not installed");
    };
    let mut lines = std::io::BufReader::new(server.stderr.take().expect("a pipe")).lines();
    let mut url = String::new();
    for line in lines.by_ref().map_while(Result::ok) {
        if let Some((_, address)) = line.split_once("Listening for client connections on ") {
            url = format!("nats://{}", address.trim());
        }
        if line.contains("Server is ready") {
            break;
        }
    }
    let folder = TempDir::new().expect("a folder");
    let config = JobsConfig { store: StoreKind::Nats, nats_url: vec![url], ..config(length) };
    let store = mynah::jobs::nats::Nats::open(folder.path(), &config, Role::All).expect("a store");
    measure("NATS", &store, length).await;
    server.kill().expect("it runs");
    server.wait().expect("it has run");
}

fn main() {
    let length = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(100_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let folder = TempDir::new().expect("a folder");
        let store = Embedded::open(folder.path(), &config(length), now()).expect("a store");
        measure("SQLite", &store, length).await;
        #[cfg(feature = "nats")]
        in_nats(length).await;
    });
}
