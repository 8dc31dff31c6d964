//! A client that speaks over a WebSocket, without any vendor's library.

use crate::app::TestApp;
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open connection.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What the server chose of the subprotocols that it was offered.
    pub protocol: Option<String>,
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    Json(Value),
    Sound(Vec<u8>),
    /// The connection is closed, with this code.
    Closed(u16),
}

impl Received {
    /// The object, which it must be.
    pub fn json(self) -> Value {
        match self {
            Self::Json(value) => value,
            other => panic!("{other:?} is no object"),
        }
    }
}

impl Socket {
    /// Opens a connection to `path` with these headers.
    ///
    /// # Errors
    /// The answer of a server that refuses.
    pub async fn open(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Result<Self, Response<Option<Vec<u8>>>> {
        let url = app.url.replacen("http", "ws", 1) + path;
        let mut request = url.into_client_request().expect("an address");
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        match connect_async(request).await {
            Ok((stream, answer)) => {
                let protocol = answer.headers().get("sec-websocket-protocol");
                let protocol = protocol.map(|value| value.to_str().expect("text").to_owned());
                Ok(Self { stream, protocol })
            }
            Err(Error::Http(answer)) => Err(*answer),
            Err(other) => panic!("{other}"),
        }
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("an open connection");
    }

    /// The next message.
    pub async fn next(&mut self) -> Received {
        let next = async {
            loop {
                return match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => Received::Json(serde_json::from_str(&text).expect("JSON")),
                    Some(Ok(Message::Binary(bytes))) => Received::Sound(bytes.to_vec()),
                    Some(Ok(Message::Close(frame))) => Received::Closed(frame.map_or(1005, |frame| frame.code.into())),
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => Received::Closed(1006),
                };
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("the server says something")
    }

    /// All sound up to the next object, and that object.
    pub async fn sound_and_json(&mut self) -> (Vec<u8>, Value) {
        let mut sound = Vec::new();
        loop {
            match self.next().await {
                Received::Sound(bytes) => sound.extend(bytes),
                other => return (sound, other.json()),
            }
        }
    }

    /// Everything up to the end of the connection, and its code.
    pub async fn rest(&mut self) -> (Vec<Received>, u16) {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Received::Closed(code) => return (all, code),
                other => all.push(other),
            }
        }
    }
}
