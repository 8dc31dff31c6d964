//! Downloads models; the only file that knows the HTTP client.
//!
//! A file is written to `<name>.part` and gets its name when it is complete, checked and on the disk. What came before
//! a cut is kept, with what the server said about it in `<name>.part.json`, and the next attempt asks for the rest:
//! within one pull, after Ctrl-C, or after a reboot. If the file has changed meanwhile it is begun anew.

use super::catalog::{Model, ModelFile, Named};
use super::digest::Digests;
use super::disk::check_space;
use super::folder::{self, create_dir, unwritable};
use super::registry::{Registry, unknown};
use crate::error::{Error, Kind, Result};
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// Redirects followed for one request.
const MAX_REDIRECTS: usize = 10;
/// Attempts in a row that bring nothing new before giving up.
const MAX_FAILURES: u32 = 5;
/// Attempts in all for one file, however little each of them brings.
const MAX_ATTEMPTS: u32 = 200;
/// The longest pause between two attempts.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may send nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// By which factor a file may be larger or smaller than its approximate size says.
const APPROXIMATE: u64 = 2;

/// How far a pull is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file.
    pub file: &'a str,
    /// What is being done with it.
    pub phase: Phase,
    /// Bytes that are here, those of earlier attempts included.
    pub bytes: u64,
    /// Bytes of the whole file, once the server has said so.
    pub total: Option<u64>,
}

/// What is being done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is coming in.
    Downloading,
    /// Its digest is being computed.
    Checking,
}

/// Hears how far a pull is, a few times for every MiB.
pub type Report<'a> = &'a mut (dyn FnMut(Progress<'_>) + Send);

impl Registry {
    /// The model that pulling `id` downloads: for an alias, the best that it may stand for and this build can run.
    ///
    /// # Errors
    /// `NotFound` for an unknown name.
    pub fn to_pull(&self, id: &str) -> Result<Arc<Model>> {
        let inner = &self.inner;
        match inner.catalog.find(id).ok_or_else(|| unknown(id))? {
            Named::Model(model) => Ok(model.clone()),
            Named::Alias(_, candidates) => {
                let mut models = candidates.iter().map(|index| inner.catalog.model(*index));
                let best = models.find(|model| inner.check_engine(model).is_ok());
                Ok(best.unwrap_or(inner.catalog.model(candidates[0])).clone())
            }
        }
    }

    /// Whether all files of `model` are here, also those that it works without.
    pub fn is_complete(&self, model: &Model) -> bool {
        self.inner.folder.is_complete(model)
    }

    /// Downloads the model `id`, going on where an earlier pull stopped. Nothing happens when it is already here. A
    /// running server sees the model at once.
    ///
    /// # Errors
    /// `NotFound` for an unknown name; `Unavailable` with the reason when it cannot be had: offline, no room, no
    /// answer, wrong bytes, or somebody else just pulls it.
    ///
    /// # Cancel safety
    /// Dropping the future leaves what has arrived for the next pull.
    pub async fn pull(&self, id: &str, report: Report<'_>) -> Result<()> {
        let model = self.to_pull(id)?;
        let inner = &self.inner;
        if inner.folder.is_complete(&model) {
            return Ok(());
        }
        if inner.config.offline {
            let message =
                format!("this server is offline, so `{}` cannot be pulled: import a bundle instead", model.id);
            return Err(Error::new(Kind::Unavailable, message));
        }
        let _lock = inner.folder.lock(&model)?;
        let folder = inner.folder.of(&model);
        create_dir(&folder)?;
        for file in &model.files {
            if !folder.join(&file.name).is_file() {
                self.pull_file(&folder, file, report).await?;
            }
        }
        Ok(())
    }

    async fn pull_file(&self, folder: &Path, file: &ModelFile, report: Report<'_>) -> Result<()> {
        let url = address(file, self.inner.config.models.mirror.as_deref())?;
        let path = folder.join(&file.name);
        path.parent().map_or(Ok(()), create_dir)?;
        let part = folder::with_suffix(&path, "part");
        let client = client(&url)?;
        let download = Download { client, url, file, part, folder, retry_delay: self.retry_delay };
        let sha256 = download.run(report).await?;
        folder::record_sha256(folder, &file.name, &sha256)
    }
}

/// Where to get `file`: at its own address, or at the mirror's with the same path.
fn address(file: &ModelFile, mirror: Option<&str>) -> Result<Url> {
    let wrong = |text: &str| Error::invalid("url", format!("`{text}` is not a web address"));
    let mut url = Url::parse(&file.url).map_err(|_| wrong(&file.url))?;
    let Some(mirror) = mirror.filter(|mirror| !mirror.trim().is_empty()) else { return Ok(url) };
    let mut base = Url::parse(mirror.trim()).map_err(|_| wrong(mirror))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(wrong(mirror));
    }
    base.set_path(&format!("{}{}", base.path().trim_end_matches('/'), url.path()));
    base.set_query(url.query());
    url = base;
    Ok(url)
}

/// A client that follows no redirect by itself, because the headers of the first answer matter.
fn client(url: &Url) -> Result<Client> {
    // Fails only when `main` has installed it already, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("mynah/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT);
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| {
        let message = "downloads are not possible: no certificates were found (install `ca-certificates`)";
        Error::new(Kind::Unavailable, message).with_source(e)
    })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// What the server said about the bytes in a `.part` file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct PartState {
    url: String,
    /// What to send in `If-Range`: a strong ETag, or the time of the last change.
    validator: Option<String>,
    total: Option<u64>,
    /// The SHA-256 that Hugging Face says the file has.
    linked_sha256: Option<String>,
}

impl PartState {
    /// Whether this and `earlier` cannot be about the same bytes.
    fn contradicts(&self, earlier: &PartState) -> bool {
        let differ = |now: &Option<String>, then: &Option<String>| now.is_some() && then.is_some() && now != then;
        differ(&self.validator, &earlier.validator) || differ(&self.linked_sha256, &earlier.linked_sha256)
    }
}

/// Why an attempt failed, and whether another one makes sense.
struct Failure {
    error: Error,
    /// When to try again, at the earliest; `None` means never.
    retry: Option<Duration>,
}

/// A failure that another attempt cannot mend.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry: None }
    }
}

/// One file on its way.
struct Download<'a> {
    client: Client,
    url: Url,
    file: &'a ModelFile,
    part: PathBuf,
    folder: &'a Path,
    retry_delay: Duration,
}

impl Download<'_> {
    /// Brings the file in, checks it and gives it its name. Returns its SHA-256.
    async fn run(&self, report: Report<'_>) -> Result<String> {
        let (mut failures, mut attempts) = (0, 0);
        loop {
            let before = self.part_length();
            let Err(failure) = self.attempt(report).await else { break };
            let Some(wait) = failure.retry else { return Err(failure.error) };
            failures = if self.part_length() > before { 1 } else { failures + 1 };
            attempts += 1;
            if failures >= MAX_FAILURES || attempts >= MAX_ATTEMPTS {
                return Err(self.given_up(failure.error));
            }
            let delay = wait.max(self.retry_delay.saturating_mul(1 << (failures - 1))).min(MAX_DELAY);
            tracing::debug!(file = self.file.name, error = %failure.error, "trying again");
            tokio::time::sleep(delay).await;
        }
        self.finish(report).await
    }

    /// Asks for what is missing and writes what comes.
    async fn attempt(&self, report: Report<'_>) -> Result<(), Failure> {
        let known = self.state();
        let have = if known.is_some() { self.part_length() } else { 0 };
        let known = known.unwrap_or_default();
        if have > 0 && known.total == Some(have) {
            return Ok(());
        }
        let mut state = PartState { url: self.url.to_string(), ..PartState::default() };
        let response = self.request(have, &known, &mut state).await?;
        let start = self.starting_point(&response, have, &known, &mut state).await?;
        self.check_size(state.total)?;
        let missing = state.total.or(self.file.expected_size()).unwrap_or_default().saturating_sub(start);
        check_space(self.folder, missing)?;
        self.save(&state)?;
        self.receive(response, start, state.total, report).await
    }

    /// Sends the request and follows redirects; notes what they say about the file in `state`.
    async fn request(&self, have: u64, known: &PartState, state: &mut PartState) -> Result<Response, Failure> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.client.get(url.clone());
            if have > 0 {
                request = request.header(header::RANGE, format!("bytes={have}-"));
                if let Some(validator) = &known.validator {
                    request = request.header(header::IF_RANGE, validator);
                }
            }
            let response = request.send().await.map_err(|e| self.no_answer(&url, &e))?;
            state.linked_sha256 = linked_sha256(response.headers()).or(state.linked_sha256.take());
            if !response.status().is_redirection() {
                return Ok(response);
            }
            url = next_hop(&url, response.headers())?;
        }
        Err(Error::new(Kind::Unavailable, format!("{} redirects without end", shown(&self.url))).into())
    }

    /// Where the body of `response` begins; for a file begun anew the bytes that are here are forgotten.
    async fn starting_point(
        &self,
        response: &Response,
        have: u64,
        known: &PartState,
        state: &mut PartState,
    ) -> Result<u64, Failure> {
        let headers = response.headers();
        state.validator = validator(headers);
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = content_range(headers).filter(|(first, _)| *first == have && have > 0);
                let Some((_, total)) = range else {
                    return Err(self.begin_anew("it sent another part than was asked for"));
                };
                if state.contradicts(known) || known.total.is_some_and(|known| known != total) {
                    return Err(self.begin_anew("the file has changed since the download began"));
                }
                state.validator = state.validator.take().or(known.validator.clone());
                state.linked_sha256 = state.linked_sha256.take().or(known.linked_sha256.clone());
                state.total = Some(total);
                Ok(have)
            }
            StatusCode::OK => {
                state.total = content_length(headers);
                Ok(0)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Err(self.begin_anew("the file is shorter than what is here")),
            status => Err(self.refused(status, headers)),
        }
    }

    /// Writes the body behind the first `start` bytes.
    async fn receive(
        &self,
        mut response: Response,
        start: u64,
        total: Option<u64>,
        report: Report<'_>,
    ) -> Result<(), Failure> {
        let mut part = self.open_part(start).await?;
        let mut bytes = start;
        let outcome = loop {
            report(Progress { file: &self.file.name, phase: Phase::Downloading, bytes, total });
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break Ok(()),
                Err(error) => break Err(self.cut(bytes, total, Some(error))),
            };
            bytes += chunk.len() as u64;
            if bytes > total.or(self.limit()).unwrap_or(u64::MAX) {
                self.discard();
                return Err(self.wrong_bytes("the server sent more than the file has").into());
            }
            part.write_all(&chunk).await.map_err(|e| unwritable(&self.part, e))?;
        };
        part.flush().await.map_err(|e| unwritable(&self.part, e))?;
        match total {
            Some(total) if outcome.is_ok() && bytes < total => Err(self.cut(bytes, Some(total), None)),
            _ => outcome,
        }
    }

    /// The `.part` file, ready to be written behind its first `start` bytes.
    async fn open_part(&self, start: u64) -> Result<tokio::fs::File> {
        let mut options = tokio::fs::OpenOptions::new();
        let failed = |e| unwritable(&self.part, e);
        let mut opened = options.create(true).truncate(false).write(true).open(&self.part).await.map_err(failed)?;
        opened.set_len(start).await.map_err(failed)?;
        opened.seek(std::io::SeekFrom::End(0)).await.map_err(failed)?;
        Ok(opened)
    }

    /// Checks the complete file and gives it its name. Returns its SHA-256.
    async fn finish(&self, report: Report<'_>) -> Result<String> {
        let bytes = self.part_length();
        report(Progress { file: &self.file.name, phase: Phase::Checking, bytes, total: Some(bytes) });
        let mut published = self.file.clone();
        if !published.has_digest() {
            published.sha256 = self.state().and_then(|state| state.linked_sha256);
        }
        if self.file.size.is_some_and(|size| size != bytes) {
            self.discard();
            return Err(self.wrong_bytes(&format!("{bytes} bytes came, which is not its size")));
        }
        let part = self.part.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let digests = Digests::of(&part, &published)?;
            Ok((digests.compare(&published), digests.sha256))
        });
        let (outcome, sha256) = checked.await.map_err(|e| Error::internal("checking a download failed", e))??;
        if let Err(reason) = outcome {
            self.discard();
            return Err(self.wrong_bytes(&reason));
        }
        folder::put_in_place(&self.part, &self.folder.join(&self.file.name))?;
        let _ = std::fs::remove_file(self.state_path());
        Ok(sha256)
    }

    fn part_length(&self) -> u64 {
        std::fs::metadata(&self.part).map_or(0, |metadata| metadata.len())
    }

    fn state_path(&self) -> PathBuf {
        folder::with_suffix(&self.part, "json")
    }

    /// What is known about the bytes that are here, if going on with them is safe: then either the server tells
    /// whether the file is still the same, or a digest does in the end.
    fn state(&self) -> Option<PartState> {
        let text = std::fs::read(self.state_path()).ok()?;
        let state: PartState = serde_json::from_slice(&text).ok()?;
        let digest = self.file.has_digest() || state.linked_sha256.is_some();
        (state.url == self.url.as_str() && (digest || state.validator.is_some())).then_some(state)
    }

    fn save(&self, state: &PartState) -> Result<()> {
        let path = self.state_path();
        let text = serde_json::to_vec(state).map_err(|e| Error::internal("the state of a download has no form", e))?;
        std::fs::write(&path, text).map_err(|e| unwritable(&path, e))
    }

    /// Forgets the bytes that are here.
    fn discard(&self) {
        let _ = std::fs::remove_file(&self.part);
        let _ = std::fs::remove_file(self.state_path());
    }

    /// The most bytes this file may have, when the server does not say.
    fn limit(&self) -> Option<u64> {
        self.file.size.or(self.file.expected_size().map(|size| size.saturating_mul(APPROXIMATE)))
    }

    /// Compares what the server announces with the catalog.
    fn check_size(&self, total: Option<u64>) -> Result<()> {
        let Some(total) = total else { return Ok(()) };
        let Some(expected) = self.file.expected_size() else { return Ok(()) };
        let factor = if self.file.size.is_some() { 1 } else { APPROXIMATE };
        if total > expected.saturating_mul(factor) || total.saturating_mul(factor) < expected {
            self.discard();
            let reason = format!("the server announces {total} bytes, the catalog says {expected}");
            return Err(self.wrong_bytes(&reason));
        }
        Ok(())
    }

    fn begin_anew(&self, reason: &str) -> Failure {
        self.discard();
        let message = format!("{} cannot be continued: {reason}", self.file.name);
        Failure { error: Error::new(Kind::Unavailable, message), retry: Some(Duration::ZERO) }
    }

    fn no_answer(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let message = format!("no answer from {}: {}", shown(url), deepest(error));
        Failure { error: Error::new(Kind::Unavailable, message), retry: Some(Duration::ZERO) }
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> Failure {
        let error = Error::new(Kind::Unavailable, format!("{} answers {status}", shown(&self.url)));
        let passing =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Failure { error, retry: passing.then(|| retry_after(headers)) }
    }

    fn cut(&self, bytes: u64, total: Option<u64>, error: Option<reqwest::Error>) -> Failure {
        let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
        let why = error.map(|error| format!(": {}", deepest(&error))).unwrap_or_default();
        let message = format!("the connection was cut after {bytes}{of} bytes of {}{why}", self.file.name);
        Failure { error: Error::new(Kind::Unavailable, message), retry: Some(Duration::ZERO) }
    }

    fn wrong_bytes(&self, reason: &str) -> Error {
        let (name, url) = (&self.file.name, shown(&self.url));
        let message = format!("{name} from {url} is not the published file: {reason}. What had arrived was deleted.");
        Error::new(Kind::Unavailable, message)
    }

    fn given_up(&self, error: Error) -> Error {
        let kept = match self.part_length() {
            0 => String::new(),
            bytes => {
                format!(" The {} MiB that have arrived are kept: the same command goes on with them.", bytes >> 20)
            }
        };
        Error::new(Kind::Unavailable, format!("giving up: {error}.{kept}"))
    }
}

/// Where a redirect leads; never from https to http.
fn next_hop(url: &Url, headers: &HeaderMap) -> Result<Url> {
    let location = text(headers, header::LOCATION.as_str()).unwrap_or_default();
    let next = url.join(location).ok().filter(|next| matches!(next.scheme(), "http" | "https"));
    match next {
        Some(next) if !location.is_empty() && (url.scheme() == "http" || next.scheme() == "https") => Ok(next),
        _ => Err(Error::new(Kind::Unavailable, format!("{} redirects to an unsafe or wrong address", shown(url)))),
    }
}

/// `url` for messages: without its query, in which stores put signatures.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The innermost cause, which says more than "error sending request".
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The SHA-256 in Hugging Face's `x-linked-etag`.
fn linked_sha256(headers: &HeaderMap) -> Option<String> {
    let digest = text(headers, "x-linked-etag")?.trim_start_matches("W/").trim_matches('"');
    let good = digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit());
    good.then(|| digest.to_ascii_lowercase())
}

/// What proves that a file is still the same: weak ETags do not.
fn validator(headers: &HeaderMap) -> Option<String> {
    let etag = text(headers, header::ETAG.as_str()).filter(|etag| !etag.starts_with("W/"));
    etag.or(text(headers, header::LAST_MODIFIED.as_str())).map(str::to_owned)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH.as_str())?.parse().ok()
}

/// The first byte and the length of the whole file in `Content-Range: bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let (range, total) = text(headers, header::CONTENT_RANGE.as_str())?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = text(headers, header::RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_replaces_the_host_and_keeps_the_path() {
        let file = ModelFile { url: "https://huggingface.co/a/resolve/main/b.bin?x=1".into(), ..ModelFile::default() };
        let at = |mirror| address(&file, mirror).map(String::from).map_err(|e| e.to_string());
        assert_eq!(at(None).as_deref(), Ok("https://huggingface.co/a/resolve/main/b.bin?x=1"));
        assert_eq!(at(Some("http://m:81/")).as_deref(), Ok("http://m:81/a/resolve/main/b.bin?x=1"));
        assert_eq!(at(Some("http://m/hf")).as_deref(), Ok("http://m/hf/a/resolve/main/b.bin?x=1"));
        assert!(at(Some("ftp://m")).is_err() && at(Some("m:81")).is_err());
    }

    #[test]
    fn redirects_never_leave_encryption_or_the_web() {
        let hop = |from: &str, to: &str| {
            let headers = HeaderMap::from_iter([(header::LOCATION, to.parse().expect("a header"))]);
            next_hop(&Url::parse(from).expect("an address"), &headers).map(String::from).ok()
        };
        assert_eq!(hop("https://a/x", "/y").as_deref(), Some("https://a/y"));
        assert_eq!(hop("http://a/x", "https://b/y").as_deref(), Some("https://b/y"));
        assert_eq!(hop("https://a/x", "http://b/y"), None);
        assert_eq!(hop("http://a/x", "file:///etc/passwd"), None);
        assert_eq!(hop("http://a/x", ""), None);
    }
}
