//! How a session is set: what it begins with, what the core is told of it, and what the client is.

use crate::api::languages;
use crate::app::App;
use crate::audio::decode::raw::{RawEncoding, RawFormat};
use crate::engine::{TranscribeOptions, TranscriberPool};
use crate::error::{Error, Result};
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use crate::speech::realtime::{Ending, Settings};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The model of clients that name none.
const DEFAULT_MODEL: &str = "whisper-1";

/// Models that transcribe while somebody speaks, and whose clients say themselves when an utterance is over.
const STREAMING: [&str; 2] = ["gpt-realtime-whisper", "gpt-live-transcribe"];

/// The shortest silence that ends an utterance: shorter ones are within words.
pub const SHORTEST_SILENCE: Duration = Duration::from_millis(200);

/// How OpenAI's clients speak of sessions and items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As the interface is now.
    Current,
    /// As it was when it was new.
    Beta,
}

/// The settings of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// How samples are written down; there is one channel.
    pub format: RawFormat,
    /// What is to be written.
    pub transcription: Transcription,
    /// When an utterance is over; `None` as long as the client has not said.
    pub turn_detection: Option<TurnDetection>,
    /// Whether the client wants to know how likely the tokens are.
    pub logprobs: bool,
    /// The model that the address of the connection names.
    pub address_model: Option<String>,
}

/// What is to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transcription {
    /// The model.
    pub model: Option<String>,
    /// The language, as the client gives it.
    pub language: Option<String>,
    /// The languages that it may be.
    pub languages: Vec<String>,
    /// Words that are likely to be said.
    pub keywords: Vec<String>,
    /// Text that shows spelling and style.
    pub prompt: Option<String>,
    /// How soon words are sent while somebody speaks; `None` sends them when the utterance is over.
    pub delay: Option<Delay>,
}

/// How far words are behind what is heard when they are sent, as the client says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delay {
    /// The client's word or number.
    pub given: Value,
    /// So much is heard behind a word before it is sent.
    pub length: Duration,
}

/// When an utterance is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TurnDetection {
    /// When the client says so.
    None,
    /// After a silence.
    Server(ServerVad),
    /// When the speaker seems to have finished.
    Semantic(Eagerness),
}

/// When sound is speech, and how much silence ends it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerVad {
    /// From this probability on somebody speaks.
    pub threshold: f64,
    /// So much sound before a voice belongs to it, in milliseconds.
    pub prefix_padding_ms: u64,
    /// So much silence ends an utterance, in milliseconds.
    pub silence_duration_ms: u64,
    /// After so long without speech the client is told, in milliseconds.
    pub idle_timeout_ms: Option<u64>,
}

impl Default for ServerVad {
    fn default() -> Self {
        Self { threshold: 0.5, prefix_padding_ms: 300, silence_duration_ms: 500, idle_timeout_ms: None }
    }
}

/// How soon a pause is the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eagerness {
    Low,
    Medium,
    High,
    Auto,
}

impl Eagerness {
    /// The wire's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Auto => "auto",
        }
    }

    fn ending(self) -> Ending {
        let (confidence, seconds) = match self {
            Self::Low => (0.85, 8),
            Self::Medium | Self::Auto => (0.7, 4),
            Self::High => (0.5, 2),
        };
        Ending::Turn { confidence, timeout: Duration::from_secs(seconds) }
    }
}

impl Session {
    /// As a session begins; `model` is the one that the address names.
    pub fn new(model: Option<String>) -> Self {
        Self {
            format: RawFormat { encoding: RawEncoding::Linear16, sample_rate: 24_000, channels: 1 },
            transcription: Transcription { model: model.clone(), ..Transcription::default() },
            turn_detection: None,
            logprobs: false,
            address_model: model,
        }
    }

    /// The model, as it was asked for.
    pub fn model(&self) -> &str {
        self.transcription.model.as_deref().or(self.address_model.as_deref()).unwrap_or(DEFAULT_MODEL)
    }

    /// The model behind the name.
    ///
    /// # Errors
    /// As the registry's, when there is none.
    pub fn find_model(&self, app: &App) -> Result<ModelInfo> {
        app.models.resolve(self.model(), ModelTask::Transcribe)
    }

    /// When an utterance is over.
    pub fn turns(&self) -> TurnDetection {
        self.turn_detection.unwrap_or_else(|| match self.streams() {
            true => TurnDetection::None,
            false => TurnDetection::Server(ServerVad::default()),
        })
    }

    /// How far words are behind what is heard when they are sent; `None` when they wait for the end of the utterance.
    pub fn delay(&self) -> Option<Duration> {
        let given = self.transcription.delay.as_ref().map(|delay| delay.length);
        given.or(self.streams().then_some(Duration::ZERO))
    }

    fn streams(&self) -> bool {
        STREAMING.iter().any(|name| self.model().rsplit('/').next().unwrap_or_default().starts_with(name))
    }

    /// How long so many bytes of sound are.
    pub fn duration(&self, bytes: u64) -> Duration {
        let per_sample = if self.format.encoding == RawEncoding::Linear16 { 2 } else { 1 };
        Duration::from_micros(bytes * 1_000_000 / (u64::from(self.format.sample_rate) * per_sample))
    }

    /// What the core is told.
    ///
    /// # Errors
    /// `InvalidRequest` for a language that the model does not know; as [`Session::find_model`].
    pub fn settings(&self, app: &App, pool: Arc<TranscriberPool>) -> Result<Settings> {
        let mut settings = Settings::new(pool, self.options(app)?);
        settings.interim = self.delay().map(|_| Duration::from_millis(app.config.realtime.interim_ms));
        match self.turns() {
            TurnDetection::None => settings.ending = Ending::Never,
            TurnDetection::Semantic(eagerness) => settings.ending = eagerness.ending(),
            TurnDetection::Server(vad) => {
                settings.ending = Ending::Silence(Duration::from_millis(vad.silence_duration_ms));
                settings.threshold = vad.threshold as f32;
                settings.prefix = Duration::from_millis(vad.prefix_padding_ms);
            }
        }
        Ok(settings)
    }

    fn options(&self, app: &App) -> Result<TranscribeOptions> {
        let (language, languages) = self.languages(&self.find_model(app)?)?;
        let defaults = &app.config.transcription;
        Ok(TranscribeOptions {
            language,
            languages,
            prompt: self.transcription.prompt.clone(),
            keywords: self.transcription.keywords.clone(),
            words: true,
            short_context: defaults.short_context,
            guard: defaults.guard,
            ..TranscribeOptions::default()
        })
    }

    /// The language, or those that it may be.
    ///
    /// # Errors
    /// `InvalidRequest` (param `language` or `languages`) for one that nobody knows or the model does not.
    pub fn languages(&self, model: &ModelInfo) -> Result<(Option<String>, Vec<String>)> {
        let Transcription { language, languages, .. } = &self.transcription;
        let several: Vec<&str> = languages.iter().map(|given| code("languages", given)).collect::<Result<_>>()?;
        let one = match language.as_deref().filter(|given| !given.is_empty() && !given.eq_ignore_ascii_case("auto")) {
            Some(given) => Some(code("language", given)?),
            None => several.first().copied().filter(|_| several.len() == 1),
        };
        let english = |name, known: bool| match known {
            true => Ok(()),
            false => Err(invalid(name, format!("The model `{}` knows only English.", model.model_id()))),
        };
        if model.english_only {
            english("languages", several.is_empty() || several.contains(&"en"))?;
            english("language", one.is_none_or(|code| code == "en"))?;
            return Ok((Some("en".to_owned()), Vec::new()));
        }
        let several = if one.is_some() { Vec::new() } else { several };
        Ok((one.map(str::to_owned), several.into_iter().map(str::to_owned).collect()))
    }

    /// The settings on the wire, without what names the session.
    pub fn wire(&self, dialect: Dialect) -> Map<String, Value> {
        let (format, transcription, turns) = (self.wire_format(dialect), self.wire_transcription(), self.wire_turns());
        let include = self.logprobs.then(|| json!([super::merge::LOGPROBS]));
        // Nothing is done about noise, and so it says.
        let wire = match dialect {
            Dialect::Current => json!({
                "type": "transcription",
                "audio": {"input": {
                    "format": format,
                    "transcription": transcription,
                    "noise_reduction": null,
                    "turn_detection": turns,
                }},
                "include": include,
            }),
            Dialect::Beta => json!({
                "modalities": ["text"],
                "input_audio_format": format,
                "input_audio_transcription": transcription,
                "input_audio_noise_reduction": null,
                "turn_detection": turns,
                "include": include,
            }),
        };
        if let Value::Object(wire) = wire { wire } else { Map::new() }
    }

    fn wire_format(&self, dialect: Dialect) -> Value {
        let rate = self.format.sample_rate;
        match (dialect, self.format.encoding) {
            (Dialect::Beta, RawEncoding::Mulaw) => json!("g711_ulaw"),
            (Dialect::Beta, RawEncoding::Alaw) => json!("g711_alaw"),
            (Dialect::Beta, _) => json!("pcm16"),
            (Dialect::Current, RawEncoding::Mulaw) => json!({"type": "audio/pcmu"}),
            (Dialect::Current, RawEncoding::Alaw) => json!({"type": "audio/pcma"}),
            (Dialect::Current, _) => json!({"type": "audio/pcm", "rate": rate}),
        }
    }

    fn wire_transcription(&self) -> Value {
        let Transcription { language, languages, keywords, prompt, delay, .. } = &self.transcription;
        if self.transcription == Transcription::default() {
            return Value::Null;
        }
        let mut wire = json!({"model": self.model()});
        let told = [
            ("language", language.as_ref().map(|it| json!(it))),
            ("languages", (!languages.is_empty()).then(|| json!(languages))),
            ("keywords", (!keywords.is_empty()).then(|| json!(keywords))),
            ("prompt", prompt.as_ref().map(|it| json!(it))),
            ("delay", delay.as_ref().map(|delay| delay.given.clone())),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                wire[name] = value;
            }
        }
        wire
    }

    fn wire_turns(&self) -> Value {
        match self.turns() {
            TurnDetection::None => Value::Null,
            TurnDetection::Semantic(eagerness) => json!({"type": "semantic_vad", "eagerness": eagerness.name()}),
            TurnDetection::Server(vad) => json!({
                "type": "server_vad",
                "threshold": vad.threshold,
                "prefix_padding_ms": vad.prefix_padding_ms,
                "silence_duration_ms": vad.silence_duration_ms,
                "idle_timeout_ms": vad.idle_timeout_ms,
            }),
        }
    }
}

fn code(name: &'static str, given: &str) -> Result<&'static str> {
    languages::code_of(given)
        .ok_or_else(|| invalid(name, format!("`{given}` is not a language: send an ISO 639-1 code such as `en`.")))
}

fn invalid(name: &'static str, message: String) -> Error {
    Error::invalid(name, message).with_code("invalid_value")
}
