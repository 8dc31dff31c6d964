//! WebSockets, over which a server speaks or listens: one loop for every dialect. It reads what the client says, sends what
//! is said to it, and never works faster than the client takes what comes of it.

use crate::app::App;
use crate::error::{Error, Kind, Result};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use bytes::Bytes;
use futures::{Sink, SinkExt as _, StreamExt as _};
use serde_json::Value;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest message of a client that has something said, in bytes.
const MOST_MESSAGE: usize = 1 << 20;

/// A client that takes nothing for so long is gone.
const STALLED: Duration = Duration::from_secs(60);

/// A connection on which nothing at all happens for so long is closed.
const IDLE: Duration = Duration::from_secs(600);

/// How long the client may take to close its side.
const CLOSING: Duration = Duration::from_secs(5);

/// How long a client that is still sending what will not be read may take to notice that the connection is closed.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what a client says is read at once, in bytes. Each connection holds so much memory.
const READ_BUFFER: usize = 8 << 10;

/// With so many messages unsent no more are read.
const MOST_UNSENT: usize = 64;

/// What a dialect does with a connection.
pub trait Conversation: Send + 'static {
    /// Takes a text message; answers go to `out`.
    fn hear(&mut self, message: &str, out: &mut Outbox);

    /// Takes a binary message; answers go to `out`.
    fn hear_bytes(&mut self, _message: &[u8], out: &mut Outbox) {
        out.close(1003, "text messages only");
    }

    /// Whether there is room for another message of the client.
    fn has_room(&self) -> bool;

    /// What to send next; pending as long as there is nothing to say.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    fn speak(&mut self) -> impl Future<Output = Speech> + Send;

    /// Says what is left and then closes: the server stops.
    fn end(&mut self, out: &mut Outbox);

    /// How long from now on nothing need happen before it is [`Conversation::overdue`]. Asked again after everything that
    /// happens.
    fn idle(&self) -> Duration {
        IDLE
    }

    /// Nothing has happened for as long as [`Conversation::idle`] has said.
    fn overdue(&mut self, out: &mut Outbox) {
        out.close(1011, "nothing has happened for long");
    }
}

/// What a conversation says next.
pub enum Speech {
    /// Sound, or something about it.
    Messages(Vec<Message>),
    /// Everything is said: messages, then the end with a code and a reason.
    Close(Vec<Message>, u16, &'static str),
}

/// The request for a WebSocket over which the server speaks, with the limits that all of them have, and the permit that
/// holds its place.
///
/// # Errors
/// `UpgradeRequired` for a request that asks for no WebSocket; `Overloaded` when there are as many requests as allowed.
pub fn accept(
    app: &App,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<(WebSocketUpgrade, OwnedSemaphorePermit)> {
    take_place(upgrade, &app.requests, MOST_MESSAGE)
}

/// As [`accept`], for a WebSocket over which the server listens.
///
/// # Errors
/// As [`accept`]; there may be as many as the settings for live transcription allow.
pub fn accept_listener(
    app: &App,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<(WebSocketUpgrade, OwnedSemaphorePermit)> {
    take_place(upgrade, &app.sessions, app.config.realtime.message_bytes)
}

fn take_place(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    places: &Arc<Semaphore>,
    most: usize,
) -> Result<(WebSocketUpgrade, OwnedSemaphorePermit)> {
    let upgrade = upgrade
        .map_err(|e| Error::new(Kind::UpgradeRequired, "This route speaks over a WebSocket only.").with_source(e))?;
    let permit = places.clone().try_acquire_owned().map_err(|_| {
        let error = Error::new(Kind::Overloaded, "The server is busy with as many requests as it allows.");
        error.with_retry_after(Duration::from_secs(2))
    })?;
    Ok((upgrade.max_message_size(most).max_frame_size(most).read_buffer_size(READ_BUFFER), permit))
}

/// Messages that are to be sent.
#[derive(Default)]
pub struct Outbox {
    messages: VecDeque<Message>,
    /// Whether the last message that was taken may still be on its way out.
    is_unflushed: bool,
    is_closed: bool,
}

impl Outbox {
    /// Sends a JSON object.
    pub fn json(&mut self, message: &Value) {
        self.push(json_message(message));
    }

    /// Sends nothing more after this: closes with `code` and `reason`.
    pub fn close(&mut self, code: u16, reason: &'static str) {
        self.push(Message::Close(Some(CloseFrame { code, reason: reason.into() })));
        self.is_closed = true;
    }

    /// Takes back the sound that has not been sent.
    pub fn take_back(&mut self, is_sound: impl Fn(&Message) -> bool) {
        self.messages.retain(|message| !is_sound(message));
    }

    fn push(&mut self, message: Message) {
        if !self.is_closed {
            self.messages.push_back(message);
        }
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty() && !self.is_unflushed
    }

    /// Sends everything. Dropping the future loses nothing.
    async fn send<S: Sink<Message> + Unpin>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        poll_fn(|context| {
            while !self.messages.is_empty() {
                ready!(sink.poll_ready_unpin(context))?;
                if let Some(message) = self.messages.pop_front() {
                    self.is_unflushed = true;
                    sink.start_send_unpin(message)?;
                }
            }
            ready!(sink.poll_flush_unpin(context))?;
            self.is_unflushed = false;
            Poll::Ready(Ok(()))
        })
        .await
    }
}

/// A JSON object as a message.
pub fn json_message(message: &Value) -> Message {
    Message::text(message.to_string())
}

/// Sound as a message.
pub fn sound_message(sound: Bytes) -> Message {
    Message::Binary(sound)
}

/// Leads `conversation` over `socket` until one side closes it. Whatever an engine still works on then is cancelled.
pub async fn converse(app: App, socket: WebSocket, mut conversation: impl Conversation, mut out: Outbox) {
    let (mut sink, mut stream) = socket.split();
    let mut stopping = Box::pin(app.stopping());
    let (mut is_stopping, mut is_too_long) = (false, false);
    while !(out.is_closed && out.is_empty()) {
        let patience = if out.is_empty() { conversation.idle() } else { STALLED };
        let may_read = !out.is_closed && conversation.has_room() && out.messages.len() < MOST_UNSENT;
        let may_speak = !out.is_closed && out.is_empty();
        tokio::select! {
            sent = out.send(&mut sink), if !out.is_empty() => if sent.is_err() { return },
            message = stream.next(), if may_read => match message {
                Some(Ok(Message::Text(text))) => conversation.hear(&text, &mut out),
                Some(Ok(Message::Binary(bytes))) => conversation.hear_bytes(&bytes, &mut out),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Err(error)) if error.to_string().contains("too long") => {
                    is_too_long = true;
                    out.close(1009, "message too long");
                }
                Some(Ok(Message::Close(_))) => {
                    // The answer to that is ready; a client that does not take it is gone.
                    let _ = tokio::time::timeout(CLOSING, sink.flush()).await;
                    return;
                }
                Some(Err(_)) | None => return,
            },
            speech = conversation.speak(), if may_speak => match speech {
                Speech::Messages(messages) => out.messages.extend(messages),
                Speech::Close(messages, code, reason) => {
                    out.messages.extend(messages);
                    out.close(code, reason);
                }
            },
            () = tokio::time::sleep(patience) => {
                if !out.is_empty() {
                    return;
                }
                conversation.overdue(&mut out);
            }
            () = &mut stopping, if !is_stopping => {
                is_stopping = true;
                conversation.end(&mut out);
            }
        }
    }
    if is_too_long {
        // To end the connection at once would be a reset, and take back what the client has not read yet: the reason.
        tokio::time::sleep(LINGER).await;
        return;
    }
    // The client answers with a close of its own; what it still says is not heard.
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(CLOSING, rest).await;
}
