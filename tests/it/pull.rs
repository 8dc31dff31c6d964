//! Getting models: downloads from servers that misbehave, bundles, and loading what has arrived.

use mynah::config::Config;
use mynah::engine::{Cancel, Engines, Factory, Load, TranscribeOptions, Transcriber, Weights};
use mynah::error::{Error, Kind, Result};
use mynah::models::catalog::ModelTask;
use mynah::models::installed::Verdict;
use mynah::models::pull::Progress;
use mynah::models::registry::Registry;
use mynah::transcript::Transcript;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One request as the server saw it.
#[derive(Debug, Clone, Default)]
struct Seen {
    path: String,
    range: Option<String>,
    if_range: Option<String>,
}

impl Seen {
    /// The first byte asked for.
    fn start(&self) -> usize {
        let range = self.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.and_then(|first| first.parse().ok()).unwrap_or(0)
    }
}

/// A web server on a free port that does whatever the test says.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    body_bytes: Arc<AtomicUsize>,
}

impl Server {
    fn start(behaviour: impl Fn(usize, &Seen, &mut Answer) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (seen, body_bytes) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::<AtomicUsize>::default());
        let (record, count) = (seen.clone(), body_bytes.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let request = read_request(&stream);
                let number = record.lock().expect("not poisoned").len();
                record.lock().expect("not poisoned").push(request.clone());
                behaviour(number, &request, &mut Answer { stream, count: count.clone() });
            }
        });
        Self { port, seen, body_bytes }
    }

    /// Serves `body` as a good server does, with `etag`.
    fn good(body: Vec<u8>, etag: &'static str) -> Self {
        Self::start(move |_, request, answer| answer.part(&body, etag, request.start(), usize::MAX))
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("not poisoned").clone()
    }

    fn body_bytes(&self) -> usize {
        self.body_bytes.load(Ordering::SeqCst)
    }
}

fn read_request(stream: &TcpStream) -> Seen {
    let mut seen = Seen::default();
    for line in BufReader::new(stream).lines().map_while(|line| line.ok()).take_while(|line| !line.is_empty()) {
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("range") => seen.range = Some(value.to_owned()),
            Some((name, value)) if name.eq_ignore_ascii_case("if-range") => seen.if_range = Some(value.to_owned()),
            Some(_) => {}
            None => seen.path = line.split(' ').nth(1).unwrap_or_default().to_owned(),
        }
    }
    seen
}

/// The answer to one request; the connection closes when it is dropped.
struct Answer {
    stream: TcpStream,
    count: Arc<AtomicUsize>,
}

impl Answer {
    fn head(&mut self, status: &str, headers: &str) {
        let _ = write!(self.stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    }

    fn body(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_ok() {
            self.count.fetch_add(bytes.len(), Ordering::SeqCst);
        }
    }

    /// `body` from `start` on, but no more than `most` bytes before the connection is cut.
    fn part(&mut self, body: &[u8], etag: &str, start: usize, most: usize) {
        let (length, last) = (body.len() - start, body.len() - 1);
        let common = format!("ETag: \"{etag}\"\r\nContent-Length: {length}\r\n");
        match start {
            0 => self.head("200 OK", &common),
            _ => self.head(
                "206 Partial Content",
                &format!("{common}Content-Range: bytes {start}-{last}/{}\r\n", body.len()),
            ),
        }
        self.body(&body[start..body.len().min(start.saturating_add(most))]);
    }
}

/// Bytes that differ from place to place.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn sha1(bytes: &[u8]) -> String {
    format!("{:x}", Sha1::digest(bytes))
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// A machine with a catalog of one model, `small`, in one file, `small.bin`.
struct Machine {
    folder: tempfile::TempDir,
    config: Config,
    loads: Arc<AtomicUsize>,
}

impl Machine {
    /// `details` are those of the file: size and digests.
    fn new(url: &str, details: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = folder.path().join("catalog.toml");
        let text = format!(
            "[[model]]\nid = 'small'\nname = 'Small'\ntask = 'transcribe'\nengine = 'counting'\n\
            files = [{{ name = 'small.bin', url = '{url}' {details} }}]\n\
            [[alias]]\nid = 'vendor/best'\nmodels = ['small', 'mynah-demo.en']\n"
        );
        std::fs::write(&catalog, text).expect("writable");
        let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
        config.models.catalog = Some(catalog);
        Self { folder, config, loads: Arc::default() }
    }

    /// A machine on which `small` is installed.
    fn with_small(weights: &[u8]) -> Self {
        let machine = Self::new("http://127.0.0.1:9/small.bin", "");
        machine.install(weights);
        machine
    }

    fn install(&self, weights: &[u8]) {
        std::fs::create_dir_all(self.path("small")).expect("writable");
        std::fs::write(self.path("small/small.bin"), weights).expect("writable");
    }

    fn registry(&self) -> Registry {
        self.registry_with(|| ())
    }

    /// The registry; `on_load` runs inside every load.
    fn registry_with(&self, on_load: impl Fn() + Send + Sync + 'static) -> Registry {
        let loads = self.loads.clone();
        let loader = move |load: &Load<'_>| -> Result<Factory<dyn Transcriber>> {
            loads.fetch_add(1, Ordering::SeqCst);
            on_load();
            let Weights::File(path) = load.weights else { panic!("the weights are in a file") };
            match std::fs::read(path).expect("the file is there").as_slice() {
                b"panic" => panic!("the loader is broken"),
                b"broken" => Err(Error::new(Kind::Internal, "these are no weights")),
                b"deaf" => Ok(Box::new(|| Ok(Box::new(Fake { deaf: true })))),
                _ => Ok(Box::new(|| Ok(Box::new(Fake { deaf: false })))),
            }
        };
        let engines = Engines::default().with_transcriber("counting", Arc::new(loader));
        let registry = Registry::new(&self.config, engines).expect("a good catalog");
        registry.with_retry_delay(Duration::from_millis(1))
    }

    async fn pull(&self) -> Result<()> {
        self.registry().pull("small", &mut |_| ()).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("models").join(name)
    }

    fn pulled(&self) -> Option<Vec<u8>> {
        std::fs::read(self.path("small/small.bin")).ok()
    }

    fn part_exists(&self) -> bool {
        self.path("small/small.bin.part").exists()
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }
}

struct Fake {
    deaf: bool,
}

impl Transcriber for Fake {
    fn transcribe(&mut self, _: &mynah::audio::Pcm, _: &TranscribeOptions, _: &Cancel<'_>) -> Result<Transcript> {
        if self.deaf { Err(Error::new(Kind::Internal, "nothing can be heard")) } else { Ok(Transcript::default()) }
    }
}

fn message(result: Result<()>) -> String {
    let error = result.expect_err("it fails");
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    error.to_string()
}

// --- Downloads

#[tokio::test]
async fn a_model_is_pulled_checked_and_seen_without_restart() {
    let body = bytes(300_000);
    let server = Server::good(body.clone(), "a");
    let machine = Machine::new(&server.url("/m/small.bin"), &format!(", sha256 = '{}'", sha256(&body)));
    let registry = machine.registry();
    assert!(!registry.get("small").expect("known").installed);
    let mut last = 0;
    let mut report = |progress: Progress<'_>| {
        assert!(progress.bytes >= last && progress.file == "small.bin");
        last = progress.bytes;
    };
    machine.registry().pull("small", &mut report).await.expect("a good server");
    assert_eq!(machine.pulled(), Some(body));
    assert_eq!(last, 300_000);
    let info = registry.resolve("vendor/best", ModelTask::Transcribe).expect("installed");
    assert_eq!(
        (info.id.as_str(), info.resolves_to.as_deref(), info.size),
        ("vendor/best", Some("small"), Some(300_000))
    );
    assert!(!machine.part_exists());
    machine.pull().await.expect("it is here already");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_cut_is_resumed_and_no_byte_is_sent_twice() {
    let body = bytes(500_000);
    let served = body.clone();
    let server = Server::start(move |_, request, answer| answer.part(&served, "a", request.start(), 200_000));
    let machine = Machine::new(&server.url("/small.bin"), &format!(", sha1 = '{}'", sha1(&body)));
    machine.pull().await.expect("three parts make a whole");
    assert_eq!(machine.pulled(), Some(body));
    let seen = server.seen();
    assert_eq!(seen.iter().map(Seen::start).collect::<Vec<_>>(), [0, 200_000, 400_000]);
    assert_eq!(seen[1].if_range.as_deref(), Some("\"a\""));
    assert_eq!(server.body_bytes(), 500_000);
}

#[tokio::test]
async fn a_pull_that_was_dropped_is_resumed_by_the_next() {
    let body = bytes(3_000_000);
    let (served, length) = (body.clone(), body.len());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let server = Server::start(move |number, request, answer| {
        let most = if number == 0 { length / 2 } else { length };
        answer.part(&served, "a", request.start(), most);
        if number == 0 {
            let _ = released.recv();
        }
    });
    let machine = Machine::new(&server.url("/small.bin"), &format!(", sha1 = '{}'", sha1(&body)));
    let (half, is_half) = tokio::sync::oneshot::channel();
    let mut half = Some(half);
    let mut report = |progress: Progress<'_>| {
        if progress.bytes as usize == length / 2 {
            half.take().map(|half| half.send(()));
        }
    };
    let registry = machine.registry();
    tokio::select! {
        _ = registry.pull("small", &mut report) => panic!("the server has stalled"),
        _ = is_half => {}
    }
    drop(release);
    assert!(machine.part_exists() && machine.pulled().is_none());
    machine.pull().await.expect("the rest comes");
    assert_eq!(machine.pulled(), Some(body));
    assert!(server.seen()[1].start() > 0, "{:?}", server.seen());
    assert!(server.body_bytes() < length * 3 / 2);
}

#[tokio::test]
async fn a_server_without_ranges_is_asked_for_everything_again() {
    let body = bytes(100_000);
    let served = body.clone();
    let server = Server::start(move |number, _, answer| {
        answer.part(&served, "a", 0, if number == 0 { 60_000 } else { usize::MAX });
    });
    let machine = Machine::new(&server.url("/small.bin"), &format!(", sha1 = '{}'", sha1(&body)));
    machine.pull().await.expect("the second answer is whole");
    assert_eq!(machine.pulled(), Some(body));
    assert_eq!(server.seen()[1].start(), 60_000);
}

#[tokio::test]
async fn a_file_that_changed_between_attempts_is_begun_anew() {
    let (old, new) = (bytes(100_000), bytes(100_007)[7..].to_vec());
    for honours_if_range in [true, false] {
        let (before, after) = (old.clone(), new.clone());
        let server = Server::start(move |number, request, answer| match number {
            0 => answer.part(&before, "a", 0, 60_000),
            1 if honours_if_range => answer.part(&after, "b", 0, usize::MAX),
            _ => answer.part(&after, "b", request.start(), usize::MAX),
        });
        let machine = Machine::new(&server.url("/small.bin"), "");
        machine.pull().await.expect("the new file is whole");
        assert_eq!(machine.pulled(), Some(new.clone()));
        assert_eq!(server.seen().len(), if honours_if_range { 2 } else { 3 });
    }
}

#[tokio::test]
async fn corrupt_bytes_are_deleted_and_named() {
    let server = Server::good(bytes(50_000), "a");
    let machine = Machine::new(&server.url("/small.bin"), &format!(", sha1 = '{}'", sha1(b"other bytes")));
    let message = message(machine.pull().await);
    assert!(message.contains("SHA-1") && message.contains("deleted"), "{message}");
    assert!(machine.pulled().is_none() && !machine.part_exists());
}

#[tokio::test]
async fn sizes_that_cannot_be_true_are_refused() {
    let body = bytes(50_000);
    let digest = sha1(&body);
    let exact = format!(", size = 50000, sha1 = '{digest}'");

    // The server announces another size than the catalog.
    let server = Server::good(bytes(40_000), "a");
    let machine = Machine::new(&server.url("/small.bin"), &exact);
    assert!(message(machine.pull().await).contains("announces 40000 bytes"));

    // It announces a hundredth of the approximate size: an error page, most likely.
    let server = Server::good(bytes(40_000), "a");
    let machine = Machine::new(&server.url("/small.bin"), ", about_mib = 4");
    assert!(message(machine.pull().await).contains("announces 40000 bytes"));

    // It announces more than it ever sends.
    let served = body.clone();
    let server = Server::start(move |_, request, answer| {
        answer.head("200 OK", "Content-Length: 60000\r\n");
        answer.body(&served[request.start().min(1)..]);
    });
    let machine = Machine::new(&server.url("/small.bin"), &format!(", sha1 = '{digest}'"));
    assert!(message(machine.pull().await).contains("giving up"));
    assert!(machine.pulled().is_none());

    // It announces nothing and never stops.
    let server = Server::start(|_, _, answer| {
        answer.head("200 OK", "");
        (0..1000).for_each(|_| answer.body(&[0; 10_000]));
    });
    let machine = Machine::new(&server.url("/small.bin"), &exact);
    assert!(message(machine.pull().await).contains("more than the file has"));
    assert!(!machine.part_exists());
}

#[tokio::test]
async fn a_refusal_is_final_and_a_failure_is_tried_again() {
    let server = Server::start(|_, _, answer| answer.head("404 Not Found", "Content-Length: 0\r\n"));
    let machine = Machine::new(&server.url("/small.bin"), "");
    assert!(message(machine.pull().await).contains("404 Not Found"));
    assert_eq!(server.seen().len(), 1);

    let server = Server::start(|_, _, answer| answer.head("500 Internal Server Error", "Content-Length: 0\r\n"));
    let machine = Machine::new(&server.url("/small.bin"), "");
    assert!(message(machine.pull().await).contains("500 Internal Server Error"));
    assert_eq!(server.seen().len(), 5);

    let server = Server::start(|number, request, answer| match number {
        0 => answer.head("503 Service Unavailable", "Content-Length: 0\r\n"),
        _ => answer.part(b"weights", "a", request.start(), usize::MAX),
    });
    let machine = Machine::new(&server.url("/small.bin"), "");
    machine.pull().await.expect("the second answer is good");
}

#[tokio::test]
async fn a_ring_of_redirects_ends() {
    let server = Server::start(|_, _, answer| answer.head("302 Found", "Location: /again\r\nContent-Length: 0\r\n"));
    let machine = Machine::new(&server.url("/small.bin"), "");
    assert!(message(machine.pull().await).contains("redirects without end"));
    assert_eq!(server.seen().len(), 11);
}

#[tokio::test]
async fn without_a_published_digest_that_of_the_first_answer_counts() {
    for honest in [true, false] {
        let body = bytes(50_000);
        let digest = if honest { sha256(&body) } else { sha256(b"other") };
        let server = Server::start(move |_, request, answer| match request.path.as_str() {
            "/small.bin" => answer.head(
                "302 Found",
                &format!("Location: /store?signature=1\r\nX-Linked-Etag: \"{digest}\"\r\nContent-Length: 0\r\n"),
            ),
            _ => answer.part(&body, "a", request.start(), 30_000),
        });
        let machine = Machine::new(&server.url("/small.bin"), "");
        let result = machine.pull().await;
        assert_eq!(result.is_ok(), honest);
        assert_eq!(machine.pulled().is_some(), honest);
        assert_eq!(server.seen()[3].start(), 30_000);
    }
}

#[tokio::test]
async fn offline_opens_no_socket() {
    let server = Server::good(bytes(1000), "a");
    let mut machine = Machine::new(&server.url("/small.bin"), "");
    machine.config.offline = true;
    assert!(message(machine.pull().await).contains("offline"));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_mirror_is_used_instead_of_the_publisher() {
    let body = bytes(1000);
    let server = Server::good(body.clone(), "a");
    let mut machine = Machine::new("https://publisher.invalid/deep/small.bin", "");
    machine.config.models.mirror = Some(server.url("/copy/"));
    machine.pull().await.expect("the mirror has it");
    assert_eq!(server.seen()[0].path, "/copy/deep/small.bin");
    assert_eq!(machine.pulled(), Some(body));
}

#[tokio::test]
async fn a_second_pull_of_the_same_model_says_why_it_stops() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let server = Server::start(move |_, _, answer| {
        let _ = released.recv();
        answer.part(b"weights", "a", 0, usize::MAX);
    });
    let machine = Machine::new(&server.url("/small.bin"), "");
    let mut report = |_: Progress<'_>| ();
    let registry = machine.registry();
    let mut first = std::pin::pin!(registry.pull("small", &mut report));
    assert!(futures::poll!(first.as_mut()).is_pending());
    assert!(message(machine.pull().await).contains("just being pulled"));
    drop(release);
    first.await.expect("the first goes on");
}

// --- Loading

#[tokio::test]
async fn two_callers_at_once_load_once() {
    let machine = Machine::with_small(b"good");
    let registry = machine.registry();
    let (first, second) = tokio::join!(registry.transcriber("small"), registry.transcriber("vendor/best"));
    assert!(Arc::ptr_eq(&first.expect("good weights"), &second.expect("good weights")));
    assert_eq!(machine.loads(), 1);
    assert!(registry.get("small").expect("known").loaded);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_stop_the_load() {
    let machine = Machine::with_small(b"good");
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (started, released) = (Mutex::new(Some(started)), Mutex::new(released));
    let registry = machine.registry_with(move || {
        started.lock().expect("not poisoned").take().map(|started| started.send(()));
        let _ = released.lock().expect("not poisoned").recv();
    });
    tokio::select! {
        _ = registry.transcriber("small") => panic!("the load has not been released"),
        _ = has_started => {}
    }
    drop(release);
    registry.transcriber("small").await.expect("the same load");
    assert_eq!(machine.loads(), 1);
}

#[tokio::test]
async fn a_broken_model_is_unavailable_until_it_is_repaired() {
    let machine = Machine::with_small(b"broken");
    let registry = machine.registry();
    for (weights, reason) in [("broken", "no weights"), ("panic", "crashed"), ("deaf", "nothing can be heard")] {
        machine.install(weights.as_bytes());
        let error = registry.transcriber("small").await.map(drop).expect_err("broken");
        assert_eq!((error.kind(), error.retry_after().is_some()), (Kind::Unavailable, true));
        assert!(error.message().contains("'small'") && error.message().contains(reason), "{error}");
    }
    machine.install(b"good");
    registry.transcriber("small").await.expect("repaired");
    assert_eq!(machine.loads(), 4);
}

#[tokio::test]
async fn a_model_larger_than_the_memory_is_refused_with_figures() {
    let machine = Machine::with_small(b"");
    let file = std::fs::File::options().write(true).open(machine.path("small/small.bin")).expect("installed");
    file.set_len(1 << 42).expect("a file without content");
    let error = machine.registry().transcriber("small").await.map(drop).expect_err("4 TiB");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("needs 4194304 MiB"), "{error}");
    assert_eq!(machine.loads(), 0);
}

#[tokio::test]
async fn an_idle_model_is_unloaded_but_never_one_in_use() {
    let machine = Machine::with_small(b"good");
    let registry = machine.registry();
    let loaded = |registry: &Registry| registry.get("small").expect("known").loaded;
    let (begin, idle) = (Instant::now(), Duration::from_secs(machine.config.models.idle_seconds));

    let pool = registry.transcriber("small").await.expect("good weights");
    registry.sweep(begin + idle * 2);
    assert!(loaded(&registry), "somebody holds it");
    drop(pool);
    registry.sweep(begin + idle * 5 / 2);
    assert!(loaded(&registry), "it was in use a moment ago");
    registry.sweep(begin + idle * 3);
    assert!(!loaded(&registry));
    registry.transcriber("small").await.expect("loaded again");
    assert_eq!(machine.loads(), 2);
}

#[tokio::test]
async fn a_pinned_model_is_loaded_at_start_and_stays() {
    let mut machine = Machine::with_small(b"good");
    machine.config.models.pinned = vec!["vendor/best".into()];
    let registry = machine.registry();
    registry.load_pinned().await;
    registry.sweep(Instant::now() + Duration::from_secs(1_000_000));
    assert!(registry.get("small").expect("known").loaded);
}

#[tokio::test]
async fn names_that_lead_nowhere_say_so() {
    let machine = Machine::new("http://127.0.0.1:9/small.bin", "");
    let registry = machine.registry();
    let error = registry.resolve("foo", ModelTask::Transcribe).expect_err("unknown");
    assert_eq!((error.kind(), error.param(), error.code()), (Kind::NotFound, Some("model"), Some("model_not_found")));
    assert_eq!(error.message(), "Unknown model 'foo'. GET /v1/models lists what this server has.");
    let error = registry.resolve("small", ModelTask::Transcribe).expect_err("not installed");
    assert_eq!((error.kind(), error.code()), (Kind::NotFound, Some("model_not_found")));
    assert!(error.message().contains("mynah models pull small"), "{error}");
    machine.install(b"good");
    let error = registry.resolve("small", ModelTask::Speak).expect_err("it only listens");
    assert_eq!((error.kind(), error.param()), (Kind::InvalidRequest, Some("model")));
}

// --- Looking after what is here

#[tokio::test]
async fn a_damaged_file_is_found_and_a_removed_model_is_gone() {
    let body = bytes(10_000);
    let server = Server::good(body, "a");
    let machine = Machine::new(&server.url("/small.bin"), "");
    let registry = machine.registry();
    registry.pull("small", &mut |_| ()).await.expect("a good server");
    let verdict = async |id: &str| registry.verify(id).await.expect("installed")[0].verdict.clone();
    assert_eq!(verdict("vendor/best").await, Verdict::Good, "the digest was noted when the file came");
    std::fs::write(machine.path("small/small.bin"), b"rotten").expect("writable");
    assert!(matches!(verdict("small").await, Verdict::Damaged(reason) if reason.contains("SHA-256")));

    let pool = registry.transcriber("small").await.expect("anything else is good");
    registry.remove("small").expect("it is here");
    assert!(!machine.path("small").exists() && !registry.get("small").expect("known").installed);
    drop(pool);
    assert_eq!(registry.remove("small").expect_err("gone").kind(), Kind::NotFound);
    for id in ["mynah-demo.en", "vendor/best"] {
        assert_eq!(registry.remove(id).expect_err(id).kind(), Kind::InvalidRequest);
    }
}

#[tokio::test]
async fn a_file_dropped_into_the_folder_is_a_model() {
    let machine = Machine::new("http://127.0.0.1:9/small.bin", "");
    std::fs::create_dir_all(machine.path("")).expect("writable");
    std::fs::write(machine.path("mine.en.bin"), b"good").expect("writable");
    std::fs::write(machine.path("ggml-tiny.bin"), b"good").expect("writable");
    let registry = machine.registry();
    let mine = registry.get("mine.en").expect("named after its file");
    assert!(mine.installed && mine.english_only && mine.engine == "whisper");
    assert!(registry.get("whisper-tiny").expect("known").installed, "the catalog knows this file");
    assert_eq!(registry.list().iter().filter(|info| info.installed && info.owned_by == "user").count(), 1);
    registry.remove("mine.en").expect("it is here");
    assert!(registry.get("mine.en").is_none());
}

/// A machine with a voice of two files in its catalog, one of them in a folder, and one that it works without.
fn machine_with_folders(server: &Server) -> Machine {
    let machine = Machine::new("http://127.0.0.1:9/small.bin", "");
    let (a, b, c) = (server.url("/a"), server.url("/b"), server.url("/c"));
    let more = format!(
        "\n[[model]]\nid = 'deep'\nname = 'Deep'\ntask = 'transcribe'\nengine = 'counting'\nfiles = [\n\
        {{ name = 'm.onnx', url = '{a}' }}, {{ name = 'voices/one.bin', url = '{b}' }},\n\
        {{ name = 'voices/two.bin', url = '{c}', optional = true }}]\n"
    );
    let path = machine.folder.path().join("catalog.toml");
    let text = std::fs::read_to_string(&path).expect("written") + &more;
    std::fs::write(&path, text).expect("writable");
    machine
}

#[tokio::test]
async fn files_keep_their_folder_from_pull_to_bundle() {
    let server = Server::good(bytes(5_000), "a");
    let machine = machine_with_folders(&server);
    let registry = machine.registry();
    registry.pull("deep", &mut |_| ()).await.expect("a good server");
    for name in ["m.onnx", "voices/one.bin", "voices/two.bin"] {
        assert!(machine.path("deep").join(name).is_file(), "{name}");
    }
    let verdicts = registry.verify("deep").await.expect("installed");
    assert!(verdicts.len() == 3 && verdicts.iter().all(|check| check.verdict == Verdict::Good), "{verdicts:?}");

    std::fs::remove_file(machine.path("deep/voices/two.bin")).expect("it is there");
    assert!(registry.get("deep").expect("known").installed, "it works without");
    let bundle = machine.folder.path().join("deep.bundle");
    registry.export(&["deep".into()], &bundle).await.expect("it is here");
    let other = machine_with_folders(&server);
    assert_eq!(other.registry().import(&bundle).await.expect("a good bundle"), ["deep"]);
    assert!(other.path("deep/voices/one.bin").is_file() && !other.path("deep/voices/two.bin").exists());
    let verdicts = other.registry().verify("deep").await.expect("installed");
    assert!(verdicts.len() == 2 && verdicts.iter().all(|check| check.verdict == Verdict::Good), "{verdicts:?}");

    registry.pull("deep", &mut |_| ()).await.expect("a good server");
    assert!(machine.path("deep/voices/two.bin").is_file(), "pulling brings what was missing");
}

#[tokio::test]
async fn a_voice_that_no_catalog_knows_travels_in_a_bundle() {
    let machine = Machine::new("http://127.0.0.1:9/small.bin", "");
    std::fs::create_dir_all(machine.path("")).expect("writable");
    for name in ["mine.onnx", "mine.onnx.json"] {
        std::fs::write(machine.path(name), name).expect("writable");
    }
    let bundle = machine.folder.path().join("mine.bundle");
    machine.registry().export(&["mine".into()], &bundle).await.expect("it is here");
    let other = Machine::new("http://127.0.0.1:9/small.bin", "");
    other.registry().import(&bundle).await.expect("a good bundle");
    assert_eq!(std::fs::read(other.path("mine/mine.onnx.json")).expect("there"), b"mine.onnx.json");
    assert!(other.registry().get("mine").is_some_and(|info| info.installed && info.engine == "piper"));
}

// --- Bundles

/// A bundle of `small` and of a dropped model, and the machine it is from.
async fn bundle() -> (Machine, PathBuf) {
    let machine = Machine::with_small(&bytes(100_000));
    std::fs::write(machine.path("mine.bin"), b"my weights").expect("writable");
    let path = machine.folder.path().join("models.tar");
    let exported = machine.registry().export(&["vendor/best".into(), "mine".into(), "small".into()], &path).await;
    assert_eq!(exported.expect("both are here"), ["small", "mine"]);
    (machine, path)
}

#[tokio::test]
async fn a_bundle_carries_models_to_a_machine_without_network() {
    let (_source, path) = bundle().await;
    let mut machine = Machine::new("http://127.0.0.1:9/small.bin", "");
    machine.config.offline = true;
    let registry = machine.registry();
    assert_eq!(registry.import(&path).await.expect("a good bundle"), ["small", "mine"]);
    assert_eq!(machine.pulled(), Some(bytes(100_000)));
    assert!(registry.get("mine").expect("dropped").installed);
    assert_eq!(registry.verify("small").await.expect("installed")[0].verdict, Verdict::Good);
    registry.transcriber("vendor/best").await.expect("it works at once");
}

#[tokio::test]
async fn a_tampered_bundle_installs_nothing() {
    let (_source, path) = bundle().await;
    let good = std::fs::read(&path).expect("the bundle");
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let mut bytes = good.clone();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is in there");
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let mut flipped = good.clone();
    flipped[100_000] ^= 1;
    let cases = [
        ("a bit", flipped, "SHA-256"),
        ("cut", good[..90_000].to_vec(), "cut off"),
        ("no tar", b"hello".repeat(1000), "not a bundle"),
        ("format", replaced("\"format\":1", "\"format\":7"), "format 7"),
        ("size", replaced("\"size\":10,", "\"size\":11,"), "another size"),
        ("unknown", replaced("\"small.bin\"", "\"other.bin\""), "not in the catalog"),
        ("traversal", replaced("\"mine.bin\"", "\"../e.bin\""), "not in the catalog"),
    ];
    for (name, bytes, expected) in cases {
        let machine = Machine::new("http://127.0.0.1:9/small.bin", "");
        let tampered = machine.folder.path().join("tampered.tar");
        std::fs::write(&tampered, bytes).expect("writable");
        let error = machine.registry().import(&tampered).await.expect_err(name);
        assert_eq!(error.kind(), Kind::InvalidRequest, "{name}");
        assert!(error.message().contains(expected), "{name}: {error}");
        assert!(machine.pulled().is_none() && !machine.path("mine.bin").exists(), "{name}");
        assert!(!machine.path("small/small.bin.import").exists(), "{name}");
    }
}

#[tokio::test]
async fn a_bundle_whose_list_was_tampered_with_too_is_caught_by_the_catalog() {
    let (_source, path) = bundle().await;
    let machine = Machine::new("http://127.0.0.1:9/small.bin", &format!(", sha1 = '{}'", sha1(b"the published file")));
    let error = machine.registry().import(&path).await.expect_err("other bytes than published");
    assert!(error.message().contains("SHA-1"), "{error}");
    assert!(machine.pulled().is_none());
}

#[tokio::test]
async fn only_what_is_here_can_be_exported() {
    let machine = Machine::new("http://127.0.0.1:9/small.bin", "");
    let path = machine.folder.path().join("models.tar");
    let kind = async |id: &str| machine.registry().export(&[id.to_owned()], &path).await.expect_err(id).kind();
    assert_eq!(kind("small").await, Kind::NotFound);
    assert_eq!(kind("nobody").await, Kind::NotFound);
    assert_eq!(kind("mynah-demo.en").await, Kind::InvalidRequest);
    assert!(!path.exists());
}
