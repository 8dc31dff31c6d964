//! Every setting, where it comes from and what it defaults to.
//!
//! A flag wins over `MYNAH_SECTION__KEY` in the environment, which wins over the file, which wins over the default.
//! Loaded once, checked once; sections are handed down and nobody reads the environment later.

use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Everything that can be set. `mynah config` prints the effective values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where models, caches and state live; empty means the user's data folder.
    pub data_dir: PathBuf,
    /// Opens no outward socket at all, but the one to NATS where that keeps the jobs.
    pub offline: bool,
    /// Where and how to listen.
    pub server: ServerConfig,
    /// Who may use the server.
    pub auth: AuthConfig,
    /// Which models there are and how long they stay loaded.
    pub models: ModelsConfig,
    /// How models run.
    pub engine: EngineConfig,
    /// How much one request may ask for.
    pub limits: LimitsConfig,
    /// How recordings are transcribed when a request does not say so.
    pub transcription: TranscriptionConfig,
    /// Live transcription.
    pub realtime: RealtimeConfig,
    /// How texts are spoken.
    pub speech: SpeechConfig,
    /// Work that outlives its request.
    pub jobs: JobsConfig,
    /// Results that are pushed.
    pub webhooks: WebhooksConfig,
    /// What is logged and how.
    pub log: LogConfig,
}

/// Where and how to listen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// What this server does.
    pub role: Role,
    /// The address to listen on. Any other than loopback needs a key, or `allow_no_key`.
    pub host: IpAddr,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// Listens on an open address without any key.
    pub allow_no_key: bool,
    /// Origins that browsers may call from; `*` means all, empty means none.
    pub cors_origins: Vec<String>,
    /// How long a shutdown waits for running requests, in seconds.
    pub drain_seconds: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            role: Role::All,
            host: IpAddr::from([127, 0, 0, 1]),
            port: 8080,
            allow_no_key: false,
            cors_origins: Vec::new(),
            drain_seconds: 30,
        }
    }
}

/// What a server does. All but the first need jobs that a fleet shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    #[default]
    All,
    /// Takes jobs in, answers questions about them and pushes their results; runs no model.
    Gateway,
    /// Works on jobs; answers nothing but how it is.
    Worker,
}

/// Who may use the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Keys that clients may present; none means that everyone may come in.
    pub keys: Vec<Secret>,
    /// A file with one key a line; `#` begins a comment.
    pub key_file: Option<PathBuf>,
}

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for comparing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Which models there are and how long they stay loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// A catalog file that extends or overrides the one in the binary.
    pub catalog: Option<PathBuf>,
    /// Base address that replaces the scheme and host of every download, for mirrors.
    pub mirror: Option<String>,
    /// Unloads a model that nobody has used for so many seconds; 0 keeps it.
    pub idle_seconds: u64,
    /// Models that are loaded at start and never unloaded.
    pub pinned: Vec<String>,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self { catalog: None, mirror: None, idle_seconds: 900, pinned: Vec::new() }
    }
}

/// How models run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Pieces of audio recognised at once per model; 0 takes as many as the cores carry.
    pub slots: usize,
    /// Threads one slot uses. `slots × threads` stays within the cores.
    pub threads: usize,
    /// Pieces of work that may wait in each lane of a model's queue before requests get a 429.
    pub queue: usize,
    /// Whether whisper.cpp may use a GPU when the build has one.
    pub gpu: bool,
    /// The ONNX Runtime library; empty searches the usual places.
    pub onnx_runtime: Option<PathBuf>,
    /// What the ONNX Runtime computes on.
    pub onnx_provider: OnnxProvider,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { slots: 0, threads: 1, queue: 256, gpu: true, onnx_runtime: None, onnx_provider: OnnxProvider::Cpu }
    }
}

/// What the ONNX Runtime computes on. All but the first need a library that was built for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnnxProvider {
    /// The processor.
    #[default]
    Cpu,
    /// A GPU by NVIDIA.
    Cuda,
    /// Apple's GPU and neural engine.
    CoreMl,
}

impl fmt::Display for OnnxProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::CoreMl => "coreml",
        })
    }
}

impl EngineConfig {
    /// How many slots a model gets on a machine with `cores` cores.
    pub fn slots_for(&self, cores: usize) -> usize {
        let fitting = (cores / self.threads.max(1)).max(1);
        if self.slots == 0 { fitting } else { self.slots.min(fitting) }
    }
}

/// How much one request may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The largest upload, in bytes.
    pub upload_bytes: u64,
    /// Uploads up to this size stay in memory; larger ones go to a temporary file.
    pub spool_bytes: u64,
    /// The most text in one request, in bytes; sound sent as base64 counts as text.
    pub inline_bytes: u64,
    /// How long fetching a recording from a web address may take, in seconds.
    pub fetch_seconds: u64,
    /// Also fetches from private, link-local and loopback addresses: whoever may use the server can then reach every
    /// service that the server can.
    pub allow_private_urls: bool,
    /// The longest text to speak in one request, in characters.
    pub input_chars: usize,
    /// Requests that may be in progress at once; more get a 429.
    pub concurrent_requests: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            upload_bytes: 1 << 30,
            spool_bytes: 4 << 20,
            inline_bytes: 64 << 20,
            fetch_seconds: 120,
            allow_private_urls: false,
            input_chars: 4096,
            concurrent_requests: 512,
        }
    }
}

/// How recordings are transcribed when a request does not say so. Requests have fields of the same names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TranscriptionConfig {
    /// Finds the speech and recognises nothing else.
    pub vad: bool,
    /// Looks for speech that got no text, and recognises it once more.
    pub audit: bool,
    /// Decodes doubtful results again, and leaves out what stays doubtful.
    pub guard: bool,
    /// Works on short pieces as what they are, which is faster, and not as 30 s.
    pub short_context: bool,
}

impl Default for TranscriptionConfig {
    fn default() -> Self {
        Self { vad: true, audit: true, guard: true, short_context: true }
    }
}

/// Live transcription over WebSockets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealtimeConfig {
    /// Sessions that may be open at once; more get a 429.
    pub sessions: usize,
    /// The largest message of a client, in bytes; sound sent as base64 counts as it is sent.
    pub message_bytes: usize,
    /// A session that hears nothing for so long is closed, in seconds.
    pub idle_seconds: u64,
    /// The longest session, in seconds.
    pub session_seconds: u64,
    /// The shortest time from one interim result to the next, in milliseconds; when engines are busy it is longer.
    pub interim_ms: u64,
}

impl Default for RealtimeConfig {
    fn default() -> Self {
        Self { sessions: 2000, message_bytes: 20 << 20, idle_seconds: 10, session_seconds: 4 * 3600, interim_ms: 250 }
    }
}

/// How texts are spoken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeechConfig {
    /// A file with the words that are not said as they are spelled, and how they are said.
    pub lexicon: Option<PathBuf>,
}

/// Work that outlives its request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// What keeps the jobs.
    pub store: StoreKind,
    /// Where jobs, their recordings and their results are kept, or are on their way; empty means `jobs` in the data
    /// folder. One server a folder.
    pub dir: PathBuf,
    /// Where NATS is: addresses such as `nats://127.0.0.1:4222`, or with `tls://`.
    pub nats_url: Vec<String>,
    /// The user for NATS; empty means none.
    pub nats_user: String,
    /// The password of that user.
    pub nats_password: Secret,
    /// A file with the credentials for NATS.
    pub nats_credentials: Option<PathBuf>,
    /// A file with the certificates that those of NATS are checked against, beside the usual ones.
    pub nats_ca: Option<PathBuf>,
    /// Tells fleets apart that share a NATS: letters, digits, `-` and `_`.
    pub nats_name: String,
    /// How many servers of NATS keep a copy of everything: 1, 3 or 5. Taken when the first server of a fleet starts.
    pub nats_replicas: usize,
    /// How long a job stays with a worker that is not heard of, in seconds.
    pub lease_seconds: u64,
    /// Jobs that are worked on at once; 0 takes as many as there are cores.
    pub workers: usize,
    /// Jobs that may wait; more get a 429.
    pub queue: u64,
    /// What recordings and results may take on the disk, in bytes; no job is taken in beyond that.
    pub disk_bytes: u64,
    /// How long a finished job and its result are kept, in hours.
    pub keep_hours: u64,
    /// How often a job may fail by a fault of this server before it is given up.
    pub attempts: u32,
    /// How long to wait after the first such fault, in seconds; each further time it is twice as long.
    pub retry_seconds: u64,
    /// Put in front of the links to results, such as `https://speech.example.com`; without it, what the client calls
    /// the server.
    pub public_url: String,
    /// How long a link to a result can be used, in seconds.
    pub link_seconds: u64,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            store: StoreKind::Embedded,
            dir: PathBuf::new(),
            nats_url: vec!["nats://127.0.0.1:4222".to_owned()],
            nats_user: String::new(),
            nats_password: Secret::new(""),
            nats_credentials: None,
            nats_ca: None,
            nats_name: "mynah".to_owned(),
            nats_replicas: 1,
            lease_seconds: 60,
            workers: 0,
            queue: 100_000,
            disk_bytes: 64 << 30,
            keep_hours: 7 * 24,
            attempts: 5,
            retry_seconds: 5,
            public_url: String::new(),
            link_seconds: 24 * 3600,
        }
    }
}

/// What keeps the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// A database and files on this machine.
    #[default]
    Embedded,
    /// NATS JetStream, for a fleet.
    Nats,
}

/// Results that are pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// How long a receiver has for its answer, in seconds.
    pub timeout_seconds: u64,
    /// How long to wait after the first delivery that failed, in seconds; each further time it is twice as long, up to
    /// three hours.
    pub retry_seconds: u64,
    /// For how long delivery is tried, in hours.
    pub give_up_hours: u64,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self { timeout_seconds: 10, retry_seconds: 5, give_up_hours: 24 }
    }
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// A filter such as `debug` or `warn,mynah=debug`: the libraries below say little that helps.
    pub level: String,
    /// One line per event, for people or for machines.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "warn,mynah=info".into(), format: LogFormat::Human }
    }
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What came from the command line: dotted keys such as `server.port` with their values.
pub type Flags = Vec<(&'static str, toml::Value)>;

impl Config {
    /// Loads the settings: defaults, then `file`, then `environment`, then `flags`; then checks them.
    ///
    /// # Errors
    /// `InvalidRequest` that names the key and where it came from.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: Flags,
    ) -> Result<Self> {
        let mut config = Self::default();
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|e| broken(format!("the configuration file {} cannot be read: {e}", path.display())))?;
            config = toml::from_str(&text)
                .map_err(|e| broken(format!("the configuration file {} is wrong: {e}", path.display())))?;
        }
        for (name, value) in environment {
            let Some(key) = name.strip_prefix("MYNAH_").filter(|key| is_setting(key)) else { continue };
            let path: Vec<String> = key.to_ascii_lowercase().split("__").map(str::to_owned).collect();
            config = config.with(&path, &guesses(&value), &format!("the environment variable {name}"))?;
        }
        for (key, value) in flags {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            config = config.with(&path, &[value], &format!("the flag for {key}"))?;
        }
        config.finish()
    }

    /// A copy with the value at `path` replaced by the first of `candidates` that has the right type.
    fn with(&self, path: &[String], candidates: &[toml::Value], origin: &str) -> Result<Self> {
        let mut last = None;
        for candidate in candidates {
            let mut table = secrets_kept(self)?;
            insert(&mut table, path, candidate.clone());
            match Config::deserialize(table) {
                Ok(config) => return Ok(config),
                Err(error) => last = Some(error),
            }
        }
        let reason = last.map(|e| e.message().trim().to_owned()).unwrap_or_default();
        Err(broken(format!("{origin} is wrong: {reason}")))
    }

    /// Fills in what depends on the machine and checks what one field alone cannot.
    fn finish(mut self) -> Result<Self> {
        if self.data_dir.as_os_str().is_empty() {
            self.data_dir = default_data_dir();
        }
        if let Some(path) = &self.auth.key_file {
            let text = std::fs::read_to_string(path)
                .map_err(|e| broken(format!("auth.key_file {} cannot be read: {e}", path.display())))?;
            let keys = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
            self.auth.keys.extend(keys.filter(|key| !key.is_empty()).map(Secret::new));
            if self.auth.keys.is_empty() {
                return Err(broken(format!("auth.key_file {} holds no key", path.display())));
            }
        }
        if self.auth.keys.iter().any(|key| key.expose().trim().is_empty()) {
            return Err(broken("auth.keys holds an empty key".into()));
        }
        if self.engine.threads == 0 {
            return Err(broken("engine.threads must be at least 1".into()));
        }
        if self.engine.queue == 0 || self.limits.concurrent_requests == 0 {
            return Err(broken("engine.queue and limits.concurrent_requests must be at least 1".into()));
        }
        for (key, value) in [
            ("limits.fetch_seconds", self.limits.fetch_seconds),
            ("realtime.idle_seconds", self.realtime.idle_seconds),
            ("realtime.session_seconds", self.realtime.session_seconds),
            ("jobs.attempts", self.jobs.attempts.into()),
            ("jobs.lease_seconds", self.jobs.lease_seconds),
            ("jobs.link_seconds", self.jobs.link_seconds),
            ("webhooks.timeout_seconds", self.webhooks.timeout_seconds),
        ] {
            if value == 0 {
                return Err(broken(format!("{key} must be at least 1")));
            }
        }
        self.check_fleet()?;
        Ok(self)
    }

    /// Checks what a fleet needs.
    fn check_fleet(&self) -> Result<()> {
        let jobs = &self.jobs;
        let is_name = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
        if jobs.nats_name.is_empty() || !jobs.nats_name.chars().all(is_name) {
            return Err(broken("jobs.nats_name is of letters, digits, - and _".into()));
        }
        if ![1, 3, 5].contains(&jobs.nats_replicas) {
            return Err(broken("jobs.nats_replicas is 1, 3 or 5".into()));
        }
        if jobs.nats_url.is_empty() {
            return Err(broken("jobs.nats_url names no address".into()));
        }
        if jobs.nats_url.iter().any(|url| url.contains('@')) {
            return Err(broken("jobs.nats_url holds a password: use jobs.nats_user and jobs.nats_password".into()));
        }
        if self.server.role != Role::All && jobs.store == StoreKind::Embedded {
            return Err(broken("server.role can only be `all` while jobs.store is `embedded`".into()));
        }
        Ok(())
    }

    /// Where jobs are kept.
    pub fn jobs_dir(&self) -> PathBuf {
        if self.jobs.dir.as_os_str().is_empty() { self.data_dir.join("jobs") } else { self.jobs.dir.clone() }
    }

    /// Where uploads are put until it is known what becomes of them: next to the jobs, so that they can be moved there.
    pub fn incoming_dir(&self) -> PathBuf {
        self.jobs_dir().join("incoming")
    }

    /// Whether it is safe to listen where [`ServerConfig::host`] says.
    ///
    /// # Errors
    /// `InvalidRequest` for an address other than loopback without a key.
    pub fn check_exposure(&self) -> Result<()> {
        // All that a worker tells is how it is.
        let is_worker = self.server.role == Role::Worker;
        if is_worker || self.server.host.is_loopback() || !self.auth.keys.is_empty() || self.server.allow_no_key {
            return Ok(());
        }
        Err(broken(format!(
            "refusing to listen on {} without a key: set MYNAH_AUTH__KEYS (or auth.key_file), or pass --allow-no-key",
            self.server.host
        )))
    }
}

fn broken(message: String) -> Error {
    Error::new(Kind::InvalidRequest, message)
}

/// `config` as a table in which the secrets are themselves, not `***`.
fn secrets_kept(config: &Config) -> Result<toml::Table> {
    let mut table = toml::Table::try_from(config)
        .map_err(|e| Error::internal("the configuration cannot be written as a table", e))?;
    let keys = config.auth.keys.iter().map(|key| toml::Value::String(key.0.clone())).collect();
    insert(&mut table, &["auth".to_owned(), "keys".to_owned()], toml::Value::Array(keys));
    let password = toml::Value::String(config.jobs.nats_password.0.clone());
    insert(&mut table, &["jobs".to_owned(), "nats_password".to_owned()], password);
    Ok(table)
}

fn insert(table: &mut toml::Table, path: &[String], value: toml::Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [section, rest @ ..] => {
            let entry = table.entry(section.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let toml::Value::Table(inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

/// Whether `MYNAH_{key}` is meant as a setting: scripts and tools around the server have variables of their own.
fn is_setting(key: &str) -> bool {
    key.contains("__") || ["DATA_DIR", "OFFLINE"].contains(&key)
}

/// What an environment variable may mean: the variable has no type, the field it goes to has.
fn guesses(text: &str) -> Vec<toml::Value> {
    let mut guesses = Vec::new();
    guesses.extend(text.parse::<i64>().ok().map(toml::Value::Integer));
    guesses.extend(match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(toml::Value::Boolean(true)),
        "0" | "false" | "no" | "off" => Some(toml::Value::Boolean(false)),
        _ => None,
    });
    guesses.push(toml::Value::String(text.to_owned()));
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    guesses.push(toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect()));
    guesses
}

/// `$XDG_DATA_HOME/mynah`, `~/.local/share/mynah`, or a folder beside the temporary files.
fn default_data_dir() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(std::env::temp_dir)
        .join("mynah")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn flags_win_over_the_environment_which_wins_over_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "[server]\nport = 1\ndrain_seconds = 5\n[engine]\nqueue = 7\n").expect("written");
        let variables = environment(&[("MYNAH_SERVER__PORT", "2"), ("MYNAH_ENGINE__QUEUE", "8"), ("HOME", "/nowhere")]);
        let flags = vec![("server.port", toml::Value::Integer(3))];
        let config = Config::load(Some(file.path()), variables, flags).expect("all values are good");
        assert_eq!((config.server.port, config.engine.queue, config.server.drain_seconds), (3, 8, 5));
    }

    #[test]
    fn environment_values_take_the_type_of_their_field() {
        let variables = environment(&[
            ("MYNAH_OFFLINE", "1"),
            ("MYNAH_AUTH__KEYS", "123, abc"),
            ("MYNAH_MODELS__PINNED", "mynah-demo.en"),
            ("MYNAH_DATA_DIR", "/data"),
            ("MYNAH_LOG__FORMAT", "json"),
        ]);
        let config = Config::load(None, variables, Vec::new()).expect("all values are good");
        assert!(config.offline);
        assert_eq!(config.auth.keys, [Secret::new("123"), Secret::new("abc")]);
        assert_eq!(config.models.pinned, ["mynah-demo.en"]);
        assert_eq!(config.log.format, LogFormat::Json);
    }

    #[test]
    fn what_transcription_and_fetching_do_can_be_set() {
        let variables = environment(&[
            ("MYNAH_LIMITS__ALLOW_PRIVATE_URLS", "true"),
            ("MYNAH_LIMITS__FETCH_SECONDS", "5"),
            ("MYNAH_TRANSCRIPTION__GUARD", "off"),
        ]);
        let config = Config::load(None, variables, Vec::new()).expect("all values are good");
        assert!(config.limits.allow_private_urls && !config.transcription.guard && config.transcription.vad);
        assert_eq!(config.limits.fetch_seconds, 5);
        let error = Config::load(None, environment(&[("MYNAH_LIMITS__FETCH_SECONDS", "0")]), Vec::new());
        assert!(error.expect_err("no time at all").message().contains("fetch_seconds"));
    }

    #[test]
    fn a_wrong_value_names_where_it_came_from() {
        let variables = environment(&[("MYNAH_SERVER__PORT", "eighty")]);
        let error = Config::load(None, variables, Vec::new()).expect_err("not a port");
        assert!(error.message().contains("MYNAH_SERVER__PORT"), "{error}");
        let error = Config::load(None, environment(&[("MYNAH_NO__SUCH", "1")]), Vec::new()).expect_err("no such key");
        assert!(error.message().contains("MYNAH_NO__SUCH"), "{error}");
    }

    #[test]
    fn an_open_address_needs_a_key() {
        let flags = vec![("server.host", toml::Value::String("0.0.0.0".into()))];
        let mut config = Config::load(None, Vec::new(), flags).expect("a good address");
        assert!(config.check_exposure().is_err());
        config.auth.keys.push(Secret::new("k"));
        assert!(config.check_exposure().is_ok());
    }

    #[test]
    fn a_fleet_says_where_its_jobs_are_and_hides_its_password() {
        let load = |variables: &[(&str, &str)]| Config::load(None, environment(variables), Vec::new());
        for (wrong, word) in [
            (("MYNAH_SERVER__ROLE", "gateway"), "server.role"),
            (("MYNAH_JOBS__NATS_URL", "nats://me:secret@nats:4222"), "jobs.nats_password"),
            (("MYNAH_JOBS__NATS_NAME", "a.b"), "jobs.nats_name"),
            (("MYNAH_JOBS__NATS_REPLICAS", "2"), "jobs.nats_replicas"),
            (("MYNAH_JOBS__LEASE_SECONDS", "0"), "jobs.lease_seconds"),
        ] {
            let error = load(&[wrong]).expect_err("it is wrong");
            assert!(error.message().contains(word), "{error}");
        }
        let good = [
            ("MYNAH_JOBS__NATS_PASSWORD", "hunter2"),
            ("MYNAH_JOBS__STORE", "nats"),
            ("MYNAH_JOBS__NATS_URL", "nats://a:1,nats://b:2"),
            ("MYNAH_SERVER__ROLE", "worker"),
        ];
        let config = load(&good).expect("it is right");
        assert_eq!((config.jobs.nats_url.len(), config.jobs.nats_password.expose()), (2, "hunter2"));
        assert!(!toml::to_string(&config).expect("a table").contains("hunter2"));
    }

    #[test]
    fn keys_are_never_printed() {
        let variables = environment(&[("MYNAH_AUTH__KEYS", "hunter2")]);
        let config = Config::load(None, variables, Vec::new()).expect("a good key");
        let printed = format!("{config:?} {}", toml::to_string(&config).expect("a table"));
        assert!(!printed.contains("hunter2") && printed.contains("***"));
    }

    #[test]
    fn slots_times_threads_stay_within_the_cores() {
        let engine = EngineConfig { threads: 2, ..EngineConfig::default() };
        assert_eq!((engine.slots_for(2), engine.slots_for(5), engine.slots_for(1)), (1, 2, 1));
        assert_eq!(EngineConfig { slots: 9, ..EngineConfig::default() }.slots_for(2), 2);
    }
}
