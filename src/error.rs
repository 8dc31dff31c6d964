//! What went wrong, never how a protocol says it.
//!
//! One type for the whole crate, because every failure ends in an HTTP body, a job record or an exit code, and all
//! three want the same facts. The [`Kind`] is chosen where the knowledge is; `api/error.rs` maps it to a status, once.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// The result of anything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault a failure is and what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A parameter is missing, malformed or out of range.
    InvalidRequest,
    /// The audio cannot be decoded: not audio, damaged, or without an audio track.
    InvalidAudio,
    /// No key, or a wrong one.
    Unauthorized,
    /// The key is good, but not for this.
    Forbidden,
    /// No such route, model, voice or job.
    NotFound,
    /// The route exists, but not for this HTTP method.
    MethodNotAllowed,
    /// The route exists, but speaks another protocol, to which the connection must be upgraded.
    UpgradeRequired,
    /// The upload or the text is over a limit.
    TooLarge,
    /// The answer would miss what the caller insists on.
    Incomplete,
    /// A media type or feature that this server does not have.
    Unsupported,
    /// Every queue is full: try again later.
    Overloaded,
    /// The caller went away.
    Cancelled,
    /// A fault of ours.
    Internal,
    /// A model cannot be loaded, or the server is shutting down.
    Unavailable,
}

/// A failure: its [`Kind`], a message with the reader's next step, and, where one is to blame, the parameter.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: Cow<'static, str>,
    param: Option<Cow<'static, str>>,
    code: Option<&'static str>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure of `kind`; `message` is a sentence for the caller, without internals.
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), param: None, code: None, retry_after: None, source: None }
    }

    /// A bad request that blames the request parameter `param`.
    pub fn invalid(param: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidRequest, message).with_param(param)
    }

    /// A fault of ours, with its cause for the log.
    pub fn internal(
        message: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::new(Kind::Internal, message).with_source(source)
    }

    /// Names the request parameter to blame.
    pub fn with_param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds a machine-readable code, such as `model_not_found`.
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Says when trying again makes sense.
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Keeps the cause, for the log; clients never see it.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whose fault it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The request parameter to blame, if there is one.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// The machine-readable code, if there is one.
    pub fn code(&self) -> Option<&'static str> {
        self.code
    }

    /// When trying again makes sense, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
