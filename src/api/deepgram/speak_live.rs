//! `/v1/speak` over a WebSocket: text comes bit by bit, and sound goes out as soon as there is a clause to say.

use super::error::RequestId;
use super::output;
use super::query::Parameters;
use super::response::uuid_of;
use super::speak::Asked;
use crate::api::error::Rejection;
use crate::api::json::parse_json;
use crate::api::socket::{Conversation, Outbox, Speech, accept, converse, json_message, sound_message};
use crate::api::sound::{live_voice, log_late};
use crate::app::App;
use crate::error::{Error, Result};
use crate::speech::live::{Live, LiveVoice, LiveWriter, live};
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::Uri;
use axum::response::Response;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde_json::json;
use std::future::ready;

/// How much text may wait, in bytes, before no more is read.
const MOST_WAITING: usize = 64 << 10;

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Said {
    /// Adds to the text.
    Speak { text: String },
    /// Has everything said now.
    Flush,
    /// Has nothing more said of what was written.
    Clear,
    /// Has the rest said, then closes.
    Close,
    /// Some clients keep every connection alive in this way.
    KeepAlive,
    #[serde(other)]
    Unknown,
}

/// A place in the text whose sound the client wants to know of.
struct Flush;

/// Opens the connection.
pub async fn open_socket(
    State(app): State<App>,
    uri: Uri,
    Extension(RequestId(id)): Extension<RequestId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Rejection> {
    let (upgrade, permit) = accept(&app, upgrade)?;
    let query = Parameters::read(&uri)?;
    let asked = Asked::parse(&app, &query, output::Asked::live(&query)?)?;
    let model = json!({"name": asked.name, "uuid": uuid_of(asked.model.model_id())});
    let output = asked.output.output;
    let voice = live_voice(&app, asked.ask(String::new()), output).await?;
    let mut out = Outbox::default();
    out.json(&json!({
        "type": "Metadata",
        "request_id": id,
        "model_name": model["name"],
        "model_version": env!("CARGO_PKG_VERSION"),
        "model_uuid": model["uuid"],
    }));
    let talk = Talk::new(voice, app.config.limits.input_chars);
    // The credentials of browsers; the server must choose one of what it is offered.
    let upgrade = upgrade.protocols(["token", "bearer"]);
    Ok(upgrade.on_upgrade(move |socket| async move {
        converse(app, socket, talk, out).await;
        drop(permit);
    }))
}

/// One connection.
struct Talk {
    voice: LiveVoice,
    /// `None` once the client has closed.
    writer: Option<LiveWriter<Flush>>,
    said: BoxStream<'static, Result<Live<Flush>>>,
    /// The number of the next answer to `Flush` or `Clear`.
    sequence_id: u64,
    /// The most characters that one message may add.
    limit: usize,
}

impl Talk {
    fn new(voice: LiveVoice, limit: usize) -> Self {
        let (writer, said) = live(ready(Ok(voice.clone())));
        Self { voice, writer: Some(writer), said: said.boxed(), sequence_id: 0, limit }
    }

    fn clear(&mut self, out: &mut Outbox) {
        let (writer, said) = live(ready(Ok(self.voice.clone())));
        (self.writer, self.said) = (Some(writer), said.boxed());
        out.take_back(|message| matches!(message, Message::Binary(_)));
        out.json(&json!({"type": "Cleared", "sequence_id": self.next_id()}));
    }

    fn next_id(&mut self) -> u64 {
        let id = self.sequence_id;
        self.sequence_id += 1;
        id
    }

    fn speak_text(&self, text: String, out: &mut Outbox) {
        let length = text.chars().count();
        if length > self.limit {
            let message = format!("A text must not be longer than {} characters; this one has {length}.", self.limit);
            out.json(&json!({"type": "Error", "description": message, "code": "BIG-0001"}));
            return out.close(1009, "BIG-0001");
        }
        if let Some(writer) = &self.writer {
            writer.write(text);
        }
    }
}

impl Conversation for Talk {
    fn hear(&mut self, message: &str, out: &mut Outbox) {
        let said = match parse_json(message.as_bytes()) {
            Ok(said) => said,
            Err(error) => {
                out.json(&json!({"type": "Error", "description": error.message(), "code": "DATA-0000"}));
                return out.close(1008, "DATA-0000");
            }
        };
        match said {
            Said::Speak { text } => self.speak_text(text, out),
            Said::Flush => self.writer.iter().for_each(|writer| writer.mark(Flush)),
            Said::Clear if self.writer.is_some() => self.clear(out),
            Said::Close => self.writer = None,
            Said::Clear | Said::KeepAlive => {}
            Said::Unknown => {
                let message = "The type of a message is Speak, Flush, Clear or Close.";
                out.json(&json!({"type": "Warning", "description": message, "code": "UNKNOWN_MESSAGE"}));
            }
        }
    }

    fn hear_bytes(&mut self, _: &[u8], out: &mut Outbox) {
        let message = "Messages are text; binary ones mean nothing here.";
        out.json(&json!({"type": "Error", "description": message, "code": "MESSAGE-0000"}));
        out.close(1003, "MESSAGE-0000");
    }

    fn has_room(&self) -> bool {
        self.writer.as_ref().is_none_or(|writer| writer.waiting() < MOST_WAITING)
    }

    async fn speak(&mut self) -> Speech {
        loop {
            return match self.said.next().await {
                Some(Ok(Live::Bytes(bytes))) => Speech::Messages(vec![sound_message(bytes)]),
                Some(Ok(Live::Words { .. })) => continue,
                Some(Ok(Live::Mark(Flush))) => {
                    let flushed = json!({"type": "Flushed", "sequence_id": self.next_id()});
                    Speech::Messages(vec![json_message(&flushed)])
                }
                Some(Err(error)) => failed(&error),
                None => Speech::Close(Vec::new(), 1000, ""),
            };
        }
    }

    fn end(&mut self, _: &mut Outbox) {
        self.writer = None;
    }
}

fn failed(error: &Error) -> Speech {
    log_late(error);
    let told = json!({"type": "Error", "description": error.message(), "code": "NET-0000"});
    Speech::Close(vec![json_message(&told)], 1011, "NET-0000")
}
