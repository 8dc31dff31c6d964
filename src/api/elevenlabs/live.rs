//! `/v1/text-to-speech/{voice_id}/stream-input` and `…/multi-stream-input`: text comes bit by bit over a WebSocket, of one
//! speech or of several that have ids.

use super::alignment::{Alignment, in_milliseconds};
use super::error::body;
use super::output;
use super::speech::{SpeechRequest, VoiceSettings, check_length, named_as_here};
use crate::api::contexts::{Contexts, Event, MOST_CONTEXTS};
use crate::api::error::{Rejection, status};
use crate::api::json::parse_json;
use crate::api::socket::{Conversation, Outbox, Speech, accept, converse, json_message};
use crate::api::sound::{live_voice, log_late};
use crate::app::App;
use crate::audio::encode::Output;
use crate::error::{Error, Kind, Result};
use crate::speech::live::Live;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// The longest id of a speech, in bytes.
const LONGEST_ID: usize = 256;

/// How long a connection may be silent when the client does not say, and the longest that it may ask for.
const INACTIVITY: u64 = 20;
const LONGEST_INACTIVITY: u64 = 180;

/// The query, field by field. `auto_mode`, `optimize_streaming_latency` and `sync_alignment` are how things are here, and
/// `enable_logging` has nothing to log.
#[derive(Clone, Deserialize)]
pub struct LiveQuery {
    model_id: Option<String>,
    output_format: Option<String>,
    language_code: Option<String>,
    inactivity_timeout: Option<u64>,
    enable_ssml_parsing: Option<bool>,
    apply_text_normalization: Option<String>,
    apply_language_text_normalization: Option<bool>,
}

/// What a client says. What it tells about when to begin (`try_trigger_generation`, `generation_config`) is a hint that
/// nobody needs here: speech begins with the first clause.
#[derive(Deserialize)]
struct Said {
    text: Option<String>,
    voice_settings: Option<VoiceSettings>,
    pronunciation_dictionary_locators: Option<Vec<Value>>,
    flush: Option<bool>,
    context_id: Option<String>,
    close_context: Option<bool>,
    close_socket: Option<bool>,
}

/// Opens a connection for one speech.
pub async fn open_socket(
    State(app): State<App>,
    Path(voice): Path<String>,
    Query(query): Query<LiveQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Rejection> {
    open(app, voice, query, upgrade, false).await
}

/// Opens a connection for several.
pub async fn open_multi_socket(
    State(app): State<App>,
    Path(voice): Path<String>,
    Query(query): Query<LiveQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Rejection> {
    open(app, voice, query, upgrade, true).await
}

async fn open(
    app: App,
    voice: String,
    query: LiveQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    is_multi: bool,
) -> Result<Response, Rejection> {
    let (upgrade, permit) = accept(&app, upgrade)?;
    if query.enable_ssml_parsing == Some(true) {
        let message = "`enable_ssml_parsing` is not supported over a connection.";
        return Err(Error::invalid("enable_ssml_parsing", message).into());
    }
    let output = output::parse(query.output_format.as_deref().unwrap_or(output::DEFAULT))?;
    // A wrong name is refused before there is a connection.
    live_voice(&app, query.request().manner(voice.clone())?, output).await.map_err(named_as_here)?;
    let limit = app.config.limits.input_chars;
    let (contexts, texts) = (Contexts::new(), HashMap::new());
    let talk = Talk { app: app.clone(), voice, query, output, is_multi, contexts, texts, is_ending: false, limit };
    Ok(upgrade.on_upgrade(move |socket| async move {
        converse(app, socket, talk, Outbox::default()).await;
        drop(permit);
    }))
}

impl LiveQuery {
    fn request(&self) -> SpeechRequest {
        SpeechRequest {
            model_id: self.model_id.clone(),
            language_code: self.language_code.clone(),
            apply_text_normalization: self.apply_text_normalization.clone(),
            apply_language_text_normalization: self.apply_language_text_normalization,
            ..SpeechRequest::default()
        }
    }
}

/// One connection.
struct Talk {
    app: App,
    voice: String,
    query: LiveQuery,
    output: Output,
    /// Whether there may be several speeches, which then have ids.
    is_multi: bool,
    contexts: Contexts<()>,
    /// When the characters of every speech in `contexts` have been said so far.
    texts: HashMap<String, Duration>,
    /// Whether the connection ends when everything is said.
    is_ending: bool,
    /// The most characters that one message may add.
    limit: usize,
}

impl Talk {
    fn take(&mut self, said: Said) -> Result<()> {
        let id = said.context_id.clone().filter(|_| self.is_multi).unwrap_or_default();
        if id.len() > LONGEST_ID {
            return Err(Error::invalid("context_id", "`context_id` must not be longer than 256 bytes."));
        }
        let (close, flush, ends) = (said.close_context == Some(true), said.flush == Some(true), said.close_socket);
        match said.text.as_deref() {
            Some("") if !self.is_multi => self.is_ending = true,
            Some(text) if !text.is_empty() && !self.is_ending => {
                check_length(text, self.limit)?;
                if !self.contexts.is_open(&id) {
                    self.begin(&id, &said)?;
                }
                self.contexts.writer(&id).iter().for_each(|writer| writer.write(text));
            }
            _ => {}
        }
        if let Some(writer) = self.contexts.writer(&id).filter(|_| flush) {
            writer.mark(());
        }
        if close {
            self.contexts.finish(&id);
        }
        self.is_ending |= ends == Some(true);
        if self.is_ending {
            self.contexts.finish_all();
        }
        Ok(())
    }

    fn begin(&mut self, id: &str, said: &Said) -> Result<()> {
        if self.contexts.len() >= MOST_CONTEXTS {
            let message = format!("A connection has {MOST_CONTEXTS} contexts at most.");
            return Err(Error::new(Kind::Overloaded, message));
        }
        let request = SpeechRequest {
            voice_settings: said.voice_settings.clone(),
            pronunciation_dictionary_locators: said.pronunciation_dictionary_locators.clone(),
            ..self.query.request()
        };
        let (app, output, ask) = (self.app.clone(), self.output, request.manner(self.voice.clone())?);
        self.contexts.begin(id, async move { live_voice(&app, ask, output).await.map_err(named_as_here) });
        self.texts.insert(id.to_owned(), Duration::ZERO);
        Ok(())
    }

    /// The message that tells of what came of the speech `id`, if it wants to know.
    fn message(&mut self, id: &str, event: Event<()>) -> Option<Value> {
        let mut told = match event {
            Event::Live(Live::Bytes(bytes)) => {
                json!({"audio": BASE64_STANDARD.encode(bytes), "isFinal": null, "alignment": null, "normalizedAlignment": null})
            }
            Event::Live(Live::Words { text, words }) => {
                let begin = self.texts.get(id).copied().unwrap_or_default();
                let mut alignment = Alignment::following(begin);
                let mut timed = alignment.up_to(&text, &words);
                timed.extend(alignment.rest(&text));
                self.texts.insert(id.to_owned(), alignment.end());
                let alignment = in_milliseconds(&timed, begin);
                json!({"audio": "", "isFinal": null, "alignment": alignment, "normalizedAlignment": alignment})
            }
            Event::Live(Live::Mark(())) => return None,
            Event::Failed(error) => {
                log_late(&error);
                self.texts.remove(id);
                failure(&error)
            }
            Event::Done => {
                self.texts.remove(id);
                json!({"audio": null, "isFinal": true})
            }
        };
        if self.is_multi {
            told["contextId"] = json!(id);
        }
        Some(told)
    }
}

impl Conversation for Talk {
    fn hear(&mut self, message: &str, out: &mut Outbox) {
        if let Err(error) = parse_json(message.as_bytes()).and_then(|said| self.take(said)) {
            out.json(&failure(&error));
            out.close(1008, "the message is wrong");
        } else if self.is_ending && self.contexts.len() == 0 {
            out.close(1000, "");
        }
    }

    fn has_room(&self) -> bool {
        self.contexts.has_room()
    }

    async fn speak(&mut self) -> Speech {
        let (id, event) = self.contexts.next().await;
        let has_failed = matches!(event, Event::Failed(_));
        let messages: Vec<Message> = self.message(&id, event).iter().map(json_message).collect();
        match (has_failed && !self.is_multi, self.is_ending && self.contexts.len() == 0) {
            (true, _) => Speech::Close(messages, 1011, "speech failed"),
            (false, true) => Speech::Close(messages, 1000, ""),
            (false, false) => Speech::Messages(messages),
        }
    }

    fn end(&mut self, out: &mut Outbox) {
        self.is_ending = true;
        self.contexts.finish_all();
        if self.contexts.len() == 0 {
            out.close(1001, "the server stops");
        }
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(self.query.inactivity_timeout.unwrap_or(INACTIVITY).clamp(1, LONGEST_INACTIVITY))
    }
}

/// A failure as a message: what clients of connections read, and what those of the other routes do.
fn failure(error: &Error) -> Value {
    let status = status(error.kind());
    let mut told = body(error, status);
    told["message"] = json!(error.message());
    told["code"] = json!(status.as_u16());
    told
}
