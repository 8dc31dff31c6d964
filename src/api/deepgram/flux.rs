//! `/v2/listen`, which is Flux: a live conversation, told in turns.

mod query;
mod turns;

use super::error::RequestId;
use super::hearing::{Hearing, Overdue};
use super::response::{rounded, seconds};
use crate::api::error::Rejection;
use crate::api::socket::{Conversation, Outbox, Speech, accept_listener, converse, json_message};
use crate::api::sound::log_late;
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::models::registry::ModelInfo;
use crate::speech::realtime::{Event, Request, Settings};
use crate::transcript::Word;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::Uri;
use axum::response::Response;
use query::{Asked, Thresholds, expect_languages};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::time::Duration;
use turns::{Happened, Told, Trigger, Turns};
use uuid::Uuid;

/// So often the client is told of a turn in which nothing has happened.
const UPDATE: Duration = Duration::from_millis(250);

/// The most words that a client may make more likely while it listens.
const MOST_KEYTERMS: usize = 500;

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Said {
    /// Has the rest heard, then closes.
    CloseStream,
    /// Ends the turn.
    ForceEndTurn,
    /// Changes how the server listens.
    Configure(Configure),
    #[serde(other)]
    Unknown,
}

/// What is to be changed; what is not there stays.
#[derive(Deserialize)]
struct Configure {
    #[serde(default)]
    thresholds: Changed,
    keyterms: Option<Vec<String>>,
    language_hints: Option<Vec<String>>,
    numerals: Option<bool>,
    profanity_filter: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Changed {
    eot_threshold: Option<f32>,
    /// Null switches it off.
    #[serde(deserialize_with = "there")]
    eager_eot_threshold: Option<Option<f32>>,
    eot_timeout_ms: Option<u64>,
}

fn there<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<f32>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Opens the connection.
pub async fn open_socket(
    State(app): State<App>,
    uri: Uri,
    Extension(RequestId(id)): Extension<RequestId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Rejection> {
    let (upgrade, permit) = accept_listener(&app, upgrade)?;
    let mut talk = Talk::new(&app, Asked::parse(&app, &uri)?, id).await?;
    let mut out = Outbox::default();
    out.json(&talk.numbered(json!({"type": "Connected"})));
    // The credentials of browsers; the server must choose one of what it is offered.
    let upgrade = upgrade.protocols(["token", "bearer"]);
    Ok(upgrade.on_upgrade(move |socket| async move {
        converse(app, socket, talk, out).await;
        drop(permit);
    }))
}

/// One connection.
struct Talk {
    hearing: Hearing,
    turns: Turns,
    settings: Settings,
    thresholds: Thresholds,
    model: ModelInfo,
    is_multilingual: bool,
    hints: Vec<String>,
    request_id: Uuid,
    /// The number of the next message.
    sequence_id: u64,
    /// The code and the reason with which it closes when everything is said.
    goodbye: (u16, &'static str),
}

impl Talk {
    async fn new(app: &App, asked: Asked, request_id: Uuid) -> Result<Self> {
        let Asked { model, options, format, thresholds, is_multilingual, hints } = asked;
        let mut settings = Settings::new(app.models.transcriber(&model.id).await?, options);
        let defaults = &app.config.transcription;
        (settings.options.guard, settings.options.short_context) = (defaults.guard, defaults.short_context);
        settings.interim = Some(Duration::from_millis(app.config.realtime.interim_ms));
        (settings.ending, settings.turns) = (thresholds.ending(), app.models.turn_detector().await?);
        let mut request = Request::new(settings.clone(), format);
        request.tick = Some(UPDATE);
        let hearing = Hearing::new(request, &app.config.realtime);
        let turns = Turns::new(thresholds.eager_eot_threshold);
        let (sequence_id, goodbye) = (0, (1000, ""));
        Ok(Self {
            hearing,
            turns,
            settings,
            thresholds,
            model,
            is_multilingual,
            hints,
            request_id,
            sequence_id,
            goodbye,
        })
    }

    /// `message` with what all messages have.
    fn numbered(&mut self, mut message: Value) -> Value {
        message["request_id"] = json!(self.request_id);
        message["sequence_id"] = json!(self.sequence_id);
        self.sequence_id += 1;
        message
    }

    fn turn_info(&mut self, told: &Told) -> Message {
        let mut message = json!({
            "type": "TurnInfo",
            "event": name_of(told.happened),
            "turn_index": told.turn,
            "audio_window_start": seconds(told.window.start),
            "audio_window_end": seconds(told.window.end),
            "transcript": told.transcript(),
            "words": told.words.iter().map(word).collect::<Vec<_>>(),
            "end_of_turn_confidence": rounded(told.confidence.into(), 4),
        });
        if let Happened::EndOfTurn(trigger) = told.happened {
            message["trigger"] = json!(trigger_of(trigger));
        }
        if let Some(language) = told.language.as_ref().filter(|_| self.is_multilingual && !told.words.is_empty()) {
            message["languages"] = json!([language]);
        }
        if !self.hints.is_empty() {
            message["languages_hinted"] = json!(self.hints);
        }
        json_message(&self.numbered(message))
    }

    fn configure(&mut self, wish: Configure) -> Result<Value> {
        let refused = [("numerals", wish.numerals), ("profanity_filter", wish.profanity_filter)];
        if let Some((name, _)) = refused.iter().find(|(_, wish)| *wish == Some(true)) {
            return Err(Error::invalid(*name, format!("`{name}` is not supported by this server.")));
        }
        let thresholds = Thresholds {
            eot_threshold: wish.thresholds.eot_threshold.unwrap_or(self.thresholds.eot_threshold),
            eager_eot_threshold: wish.thresholds.eager_eot_threshold.unwrap_or(self.thresholds.eager_eot_threshold),
            eot_timeout_ms: wish.thresholds.eot_timeout_ms.unwrap_or(self.thresholds.eot_timeout_ms),
        };
        let thresholds = thresholds.checked()?;
        let mut options = self.settings.options.clone();
        if let Some(hints) = &wish.language_hints {
            expect_languages(&mut options, &self.model, self.is_multilingual, hints)?;
        }
        options.keywords = wish.keyterms.unwrap_or(options.keywords);
        let words: usize = options.keywords.iter().map(|term| term.split_whitespace().count()).sum();
        if words > MOST_KEYTERMS {
            let message = format!("`keyterms` may have {MOST_KEYTERMS} words together; these have {words}.");
            return Err(Error::invalid("keyterms", message));
        }
        self.hints = wish.language_hints.unwrap_or_else(|| std::mem::take(&mut self.hints));
        (self.settings.options, self.settings.ending) = (options, thresholds.ending());
        self.thresholds = thresholds;
        self.turns.set_eager(thresholds.eager_eot_threshold);
        self.hearing.change(self.settings.clone());
        Ok(self.configured(wish.numerals))
    }

    fn configured(&self, numerals: Option<bool>) -> Value {
        let mut told = json!({
            "type": "ConfigureSuccess",
            "thresholds": self.thresholds,
            "keyterms": self.settings.options.keywords,
        });
        if self.is_multilingual {
            told["language_hints"] = json!(self.hints);
        }
        if let Some(numerals) = numerals {
            told["numerals"] = json!(numerals);
        }
        told
    }

    fn not_configured(&mut self, description: &str) -> Value {
        let code = "INVALID_CONFIGURATION";
        self.numbered(json!({"type": "ConfigureFailure", "code": code, "description": description}))
    }

    /// What is said before a connection is closed because of a failure.
    fn failure(&mut self, code: &str, description: &str) -> Value {
        self.numbered(json!({"type": "Error", "code": code, "description": description}))
    }
}

fn word(word: &Word) -> Value {
    json!({
        "word": word.text,
        "confidence": rounded(word.confidence.into(), 4),
        "start": seconds(word.start),
        "end": seconds(word.end),
    })
}

fn name_of(happened: Happened) -> &'static str {
    match happened {
        Happened::Update => "Update",
        Happened::StartOfTurn => "StartOfTurn",
        Happened::EagerEndOfTurn => "EagerEndOfTurn",
        Happened::TurnResumed => "TurnResumed",
        Happened::EndOfTurn(_) => "EndOfTurn",
    }
}

fn trigger_of(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Model => "model",
        Trigger::Manual => "manual",
        Trigger::Timeout => "timeout",
    }
}

impl Conversation for Talk {
    fn hear(&mut self, message: &str, out: &mut Outbox) {
        self.hearing.touch();
        let Ok(message) = serde_json::from_str::<Value>(message) else {
            out.json(&self.failure("UNPARSABLE_CLIENT_MESSAGE", "A text message is a JSON object with a `type`."));
            return out.close(1011, "UNPARSABLE_CLIENT_MESSAGE");
        };
        match Said::deserialize(&message) {
            Ok(Said::CloseStream) => self.hearing.close(),
            Ok(Said::ForceEndTurn) if self.turns.is_open() => self.hearing.finalize(),
            Ok(Said::Configure(wish)) => {
                let told = match self.configure(wish) {
                    Ok(told) => self.numbered(told),
                    Err(error) => self.not_configured(error.message()),
                };
                out.json(&told);
            }
            Err(error) if message["type"] == "Configure" => {
                out.json(&self.not_configured(&format!("The message is wrong: {error}.")));
            }
            Ok(Said::ForceEndTurn | Said::Unknown) | Err(_) => {}
        }
    }

    fn hear_bytes(&mut self, message: &[u8], _: &mut Outbox) {
        match message {
            [] => self.hearing.close(),
            sound => self.hearing.hear(sound),
        }
    }

    fn has_room(&self) -> bool {
        self.hearing.has_room()
    }

    async fn speak(&mut self) -> Speech {
        loop {
            match self.hearing.next().await {
                Ok(Event::Over { .. }) => return Speech::Close(Vec::new(), self.goodbye.0, self.goodbye.1),
                Ok(event) => {
                    let told = self.turns.hear(event);
                    if !told.is_empty() {
                        return Speech::Messages(told.iter().map(|told| self.turn_info(told)).collect());
                    }
                }
                Err(error) => {
                    log_late(&error);
                    let code = match error.kind() {
                        Kind::InvalidAudio => "UNPARSABLE_CLIENT_MESSAGE",
                        _ => "INTERNAL_SERVER_ERROR",
                    };
                    return Speech::Close(vec![json_message(&self.failure(code, error.message()))], 1011, code);
                }
            }
        }
    }

    fn end(&mut self, _: &mut Outbox) {
        self.goodbye = (1001, "the server stops");
        self.hearing.close();
    }

    fn idle(&self) -> Duration {
        self.hearing.idle()
    }

    fn overdue(&mut self, out: &mut Outbox) {
        let (code, description) = match self.hearing.overdue() {
            Overdue::Busy => return,
            Overdue::Silent => ("NET-0001", "There was no sound for too long."),
            Overdue::Stuck => ("NET-0000", "The last results did not come in time."),
            Overdue::Lasted => {
                self.goodbye = (1008, "the session has lasted as long as it may");
                return self.hearing.close();
            }
        };
        out.json(&self.failure(code, description));
        out.close(1011, code);
    }
}
