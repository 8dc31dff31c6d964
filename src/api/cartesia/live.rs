//! `/tts/websocket`: several texts at a time, each bit by bit and under an id of its own.

use super::error::request_id;
use super::events::{chunk_event, error_event, timestamps_event};
use super::request::{GenerationRequest, named_as_here};
use crate::api::contexts::{Contexts, Event, MOST_CONTEXTS};
use crate::api::error::Rejection;
use crate::api::json::parse_json;
use crate::api::observe::RequestId;
use crate::api::socket::{Conversation, Outbox, Speech, accept, converse, json_message};
use crate::api::sound::{live_voice, log_late};
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::speech::live::{Live, LiveVoice};
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long text waits for the rest of its sentence when the client does not say.
const PATIENCE: Duration = Duration::from_millis(3_000);

/// The longest id of a text, in bytes.
const LONGEST_ID: usize = 256;

/// Opens the connection.
pub async fn open_socket(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Rejection> {
    let (upgrade, permit) = accept(&app, upgrade)?;
    let (request_id, limit) = (request_id(Some(&id)), app.config.limits.input_chars);
    let (texts, contexts) = (HashMap::new(), Contexts::new());
    let talk = Talk { app: app.clone(), texts, contexts, request_id, is_ending: false, limit };
    Ok(upgrade.on_upgrade(move |socket| async move {
        converse(app, socket, talk, Outbox::default()).await;
        drop(permit);
    }))
}

/// One connection.
struct Talk {
    app: App,
    contexts: Contexts<Flush>,
    /// What is known of every text in `contexts`.
    texts: HashMap<String, Text>,
    request_id: String,
    /// Whether the connection ends when everything is said.
    is_ending: bool,
    /// The most characters that one message may add.
    limit: usize,
}

/// A place in a text whose sound the client wants to know of.
struct Flush;

/// What is known of a text.
struct Text {
    with_words: bool,
    /// Counts the flushes, from 1 on.
    flush_id: u64,
    /// When its last sound was made.
    before: Instant,
}

impl Talk {
    fn take(&mut self, request: &GenerationRequest) -> Result<()> {
        let id = request.context_id.as_deref().filter(|id| !id.is_empty() && id.len() <= LONGEST_ID);
        let message = "`context_id` is required, and must not be longer than 256 bytes.";
        let id = id.ok_or_else(|| Error::invalid("context_id", message))?;
        if request.cancel == Some(true) {
            self.texts.remove(id);
            // No answer: clients take a `done` of a text that they have given up for that of another.
            self.contexts.cancel(id);
            return Ok(());
        }
        let text = request.transcript.as_deref().unwrap_or_default();
        let length = text.chars().count();
        if length > self.limit {
            let message = format!("`transcript` must not be longer than {} characters; it has {length}.", self.limit);
            return Err(Error::invalid("transcript", message));
        }
        if !self.contexts.is_open(id) {
            self.begin(id, request)?;
        }
        let Some(writer) = self.contexts.writer(id) else {
            return Err(Error::invalid(
                "context_id",
                "This context takes no more text: it has been told that it is complete.",
            ));
        };
        writer.write(text);
        if request.flush == Some(true) {
            writer.mark(Flush);
        }
        if request.continues != Some(true) {
            self.contexts.finish(id);
        }
        Ok(())
    }

    fn begin(&mut self, id: &str, request: &GenerationRequest) -> Result<()> {
        if self.contexts.len() >= MOST_CONTEXTS {
            let message = format!("A connection has {MOST_CONTEXTS} contexts at most.");
            return Err(Error::new(Kind::Overloaded, message));
        }
        let (ask, output) = request.ask()?;
        let (app, patience) = (self.app.clone(), request.max_buffer_delay_ms.map_or(PATIENCE, Duration::from_millis));
        self.contexts.begin(id, async move {
            let voice = live_voice(&app, ask, output).await.map_err(named_as_here)?;
            Ok(LiveVoice { patience: Some(patience), ..voice })
        });
        let text = Text { with_words: request.wants_words(), flush_id: 1, before: Instant::now() };
        self.texts.insert(id.to_owned(), text);
        Ok(())
    }

    /// The event that tells of what came of the text `id`, if it wants to know.
    fn event(&mut self, id: &str, event: Event<Flush>) -> Option<Value> {
        let text = self.texts.get_mut(id)?;
        let mut told = match event {
            Event::Live(Live::Bytes(bytes)) => {
                let step_time = std::mem::replace(&mut text.before, Instant::now()).elapsed();
                chunk_event(id, &bytes, step_time)
            }
            Event::Live(Live::Words { text: piece, words }) => {
                text.with_words.then(|| timestamps_event(id, &piece, &words))?
            }
            Event::Live(Live::Mark(Flush)) => {
                let flush_id = text.flush_id;
                text.flush_id += 1;
                return Some(flush_event(id, flush_id));
            }
            Event::Failed(error) => {
                log_late(&error);
                self.texts.remove(id);
                return Some(error_event(&error, Some(id), &self.request_id));
            }
            Event::Done => {
                self.texts.remove(id);
                return Some(done_event(id));
            }
        };
        told["flush_id"] = json!(text.flush_id);
        Some(told)
    }
}

impl Conversation for Talk {
    fn hear(&mut self, message: &str, out: &mut Outbox) {
        let request: Result<GenerationRequest> = parse_json(message.as_bytes());
        let id = request.as_ref().ok().and_then(|request| request.context_id.clone());
        if let Err(error) = request.and_then(|request| self.take(&request)) {
            out.json(&error_event(&error, id.as_deref(), &self.request_id));
        }
    }

    fn has_room(&self) -> bool {
        self.contexts.has_room()
    }

    async fn speak(&mut self) -> Speech {
        let (id, event) = self.contexts.next().await;
        let messages = self.event(&id, event).iter().map(json_message).collect();
        match self.is_ending && self.contexts.len() == 0 {
            true => Speech::Close(messages, 1001, "the server stops"),
            false => Speech::Messages(messages),
        }
    }

    fn end(&mut self, out: &mut Outbox) {
        self.contexts.finish_all();
        self.is_ending = true;
        if self.contexts.len() == 0 {
            out.close(1001, "the server stops");
        }
    }
}

fn done_event(id: &str) -> Value {
    json!({"type": "done", "context_id": id, "done": true, "status_code": 200})
}

fn flush_event(id: &str, flush_id: u64) -> Value {
    json!({
        "type": "flush_done",
        "context_id": id,
        "flush_id": flush_id,
        "flush_done": true,
        "done": false,
        "status_code": 206,
    })
}
