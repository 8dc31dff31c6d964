//! `GET /v1/realtime`: one address for two dialects. Who speaks which, a client shows by how it asks, or by what it sends
//! first.

use super::auth::Client;
use super::deepgram::error::request_id;
use super::deepgram::listen_live::{self, Listening, Route};
use super::error::Rejection;
use super::observe::RequestId;
use super::openai::realtime::{Dialect, Session, Talk, merged};
use super::socket::{Conversation, Outbox, Speech, accept_listener, converse};
use super::sound::log_late;
use super::tokens::Scope;
use crate::app::App;
use crate::error::{Error, Result};
use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::time::Duration;

/// The route.
pub const REALTIME: &str = "/v1/realtime";

/// The subprotocol of OpenAI's clients.
const PROTOCOL: &str = "realtime";

/// What only the gateway's clients ask for in the query.
const GATEWAY: [&str; 12] = [
    "encoding",
    "sample_rate",
    "interim_results",
    "channels",
    "endpointing",
    "utterance_end_ms",
    "vad_events",
    "smart_format",
    "punctuate",
    "diarize",
    "keyterm",
    "api_key",
];

/// Whose words a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    OpenAi,
    Gateway,
    /// That is not known before it has said something.
    Unknown,
}

/// Opens a session.
pub async fn open_socket(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    Extension(client): Extension<Client>,
    Extension(id): Extension<RequestId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Rejection> {
    let (query, id) = (Parameters::read(&uri)?, request_id(Some(&id)));
    let whose = whose(&headers, &query, &client);
    if whose == Whose::Gateway {
        return listen_live::open(app, &uri, id, Route::Gateway, upgrade).await;
    }
    let (upgrade, permit) = accept_listener(&app, upgrade)?;
    let session = session(&app, &query, &client)?;
    let (openai, out) = Talk::begin(&app, session, dialect(&headers));
    let as_gateway = {
        let app = app.clone();
        async move { Listening::new(&app, &uri, id, Route::Gateway).await }.boxed()
    };
    let gateway = if whose == Whose::Unknown { Gateway::Perhaps(as_gateway) } else { Gateway::No };
    let talk = Either { openai, gateway };
    Ok(upgrade.protocols([PROTOCOL]).on_upgrade(move |socket| async move {
        converse(app, socket, talk, out).await;
        drop(permit);
    }))
}

/// The query, name by name.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(uri: &Uri) -> Result<Self> {
        let read = Query::try_from_uri(uri).map(|Query(pairs)| Self(pairs));
        read.map_err(|e| Error::invalid("query", "The query cannot be read.").with_source(e))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, text)| known == name && !text.is_empty()).map(|(_, text)| text.as_str())
    }
}

fn whose(headers: &HeaderMap, query: &Parameters, client: &Client) -> Whose {
    let is_openai = protocols(headers).any(|protocol| protocol == PROTOCOL)
        || dialect(headers) == Dialect::Beta
        || query.text("intent").is_some()
        || client.token.as_ref().is_some_and(|token| token.scope == Scope::Session);
    if is_openai {
        return Whose::OpenAi;
    }
    let is_gateways = query.0.iter().any(|(name, _)| GATEWAY.contains(&name.as_str()));
    // The credentials of Deepgram's clients in browsers, which must be told which of them was taken.
    let has_token = protocols(headers).next().is_some_and(|protocol| ["token", "bearer"].contains(&protocol));
    if is_gateways || has_token { Whose::Gateway } else { Whose::Unknown }
}

/// The settings that a session of OpenAI's begins with.
fn session(app: &App, query: &Parameters, client: &Client) -> Result<Session> {
    if let Some(intent) = query.text("intent").filter(|intent| *intent != "transcription") {
        let message = format!("This server has sessions with intent=transcription only, not `{intent}`.");
        return Err(Error::invalid("intent", message).with_code("invalid_value"));
    }
    if query.text("call_id").is_some() {
        return Err(Error::invalid("call_id", "This server takes no calls.").with_code("invalid_value"));
    }
    let mut session = Session::new(query.text("model").map(str::to_owned));
    if let Some(change) = client.token.as_ref().and_then(|token| token.session.as_ref()) {
        session = merged(&session, app, change, "session", false)?;
    }
    session.find_model(app)?;
    Ok(session)
}

/// Whether the client speaks as in the beta.
fn dialect(headers: &HeaderMap) -> Dialect {
    let is_beta = headers.get("openai-beta").is_some_and(|value| value.as_bytes() == b"realtime=v1")
        || protocols(headers).any(|protocol| protocol == "openai-beta.realtime-v1");
    if is_beta { Dialect::Beta } else { Dialect::Current }
}

/// The subprotocols that the client offers.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let offers = headers.get_all("sec-websocket-protocol").iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|offer| offer.split(',')).map(str::trim)
}

type Opening = BoxFuture<'static, Result<Listening>>;

/// A session that has been greeted as one of OpenAI's, which does no harm to others.
struct Either {
    openai: Talk,
    gateway: Gateway,
}

/// Whether it is one of the gateway's.
enum Gateway {
    No,
    /// What the client says first decides.
    Perhaps(Opening),
    /// What the client said first waits until there is something to hear it.
    Soon(Opening, First),
    Yes(Box<Listening>),
}

enum First {
    Text(String),
    Sound(Vec<u8>),
}

impl Either {
    /// The client has said something for the first time, if this is it; `first` is that, when it is in the gateway's words.
    /// True when there is nothing more to be done about it.
    fn decide(&mut self, first: impl FnOnce() -> Option<First>) -> bool {
        let Gateway::Perhaps(_) = self.gateway else { return false };
        let Some(first) = first() else {
            self.gateway = Gateway::No;
            return false;
        };
        if let Gateway::Perhaps(opening) = std::mem::replace(&mut self.gateway, Gateway::No) {
            self.gateway = Gateway::Soon(opening, first);
        }
        true
    }

    /// The client is one of the gateway's, and now there is something to hear it.
    fn opened(&mut self, opened: Result<Listening>) -> Speech {
        let Gateway::Soon(_, first) = std::mem::replace(&mut self.gateway, Gateway::No) else { return nothing() };
        let mut listening = match opened {
            Ok(listening) => listening,
            Err(error) => {
                log_late(&error);
                return Speech::Close(Vec::new(), 1011, "NET-0000");
            }
        };
        // None of these is answered at once.
        match first {
            First::Text(text) => listening.hear(&text, &mut Outbox::default()),
            First::Sound(sound) => listening.hear_bytes(&sound, &mut Outbox::default()),
        }
        self.gateway = Gateway::Yes(Box::new(listening));
        nothing()
    }
}

fn nothing() -> Speech {
    Speech::Messages(Vec::new())
}

impl Conversation for Either {
    fn hear(&mut self, message: &str, out: &mut Outbox) {
        if self.decide(|| is_gateways(message).then(|| First::Text(message.to_owned()))) {
            return;
        }
        match &mut self.gateway {
            Gateway::Yes(listening) => listening.hear(message, out),
            _ => self.openai.hear(message, out),
        }
    }

    fn hear_bytes(&mut self, message: &[u8], out: &mut Outbox) {
        if self.decide(|| Some(First::Sound(message.to_vec()))) {
            return;
        }
        match &mut self.gateway {
            Gateway::Yes(listening) => listening.hear_bytes(message, out),
            _ => self.openai.hear_bytes(message, out),
        }
    }

    fn has_room(&self) -> bool {
        match &self.gateway {
            Gateway::Yes(listening) => listening.has_room(),
            Gateway::Soon(..) => false,
            Gateway::No | Gateway::Perhaps(_) => self.openai.has_room(),
        }
    }

    async fn speak(&mut self) -> Speech {
        match &mut self.gateway {
            Gateway::Yes(listening) => listening.speak().await,
            Gateway::Soon(opening, _) => {
                let opened = opening.await;
                self.opened(opened)
            }
            Gateway::No | Gateway::Perhaps(_) => self.openai.speak().await,
        }
    }

    fn end(&mut self, out: &mut Outbox) {
        match &mut self.gateway {
            Gateway::Yes(listening) => listening.end(out),
            Gateway::Soon(..) => out.close(1001, "the server stops"),
            Gateway::No | Gateway::Perhaps(_) => self.openai.end(out),
        }
    }

    fn idle(&self) -> Duration {
        match &self.gateway {
            Gateway::Yes(listening) => listening.idle(),
            _ => self.openai.idle(),
        }
    }

    fn overdue(&mut self, out: &mut Outbox) {
        match &mut self.gateway {
            Gateway::Yes(listening) => listening.overdue(out),
            _ => self.openai.overdue(out),
        }
    }
}

/// Whether a text is one of the messages that only the gateway's clients send.
fn is_gateways(message: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(tag = "type")]
    enum Said {
        KeepAlive,
        Finalize,
        CloseStream,
    }
    serde_json::from_str::<Said>(message).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Owner;

    fn whose_is(path: &str, header: Option<(&'static str, &'static str)>) -> Whose {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, value.parse().expect("a value"));
        }
        let query = Parameters::read(&path.parse().expect("an address")).expect("a query");
        whose(
            &headers,
            &query,
            &Client { owner: Owner::everyone(), idempotency_key: None, token: None, base: String::new() },
        )
    }

    #[test]
    fn a_client_is_known_by_how_it_asks() {
        let protocol = |offer| Some(("sec-websocket-protocol", offer));
        for (path, header, expected) in [
            ("/v1/realtime?intent=transcription", None, Whose::OpenAi),
            ("/v1/realtime?model=x", protocol("realtime, openai-insecure-api-key.k"), Whose::OpenAi),
            ("/v1/realtime?model=x", Some(("openai-beta", "realtime=v1")), Whose::OpenAi),
            ("/v1/realtime?encoding=linear16", protocol("realtime"), Whose::OpenAi),
            ("/v1/realtime?model=deepgram/nova-3&interim_results=true", None, Whose::Gateway),
            ("/v1/realtime?model=deepgram/nova-3&api_key=k", None, Whose::Gateway),
            ("/v1/realtime", protocol("token, k"), Whose::Gateway),
            ("/v1/realtime?model=x", None, Whose::Unknown),
            ("/v1/realtime", None, Whose::Unknown),
        ] {
            assert_eq!(whose_is(path, header), expected, "{path} {header:?}");
        }
    }

    #[test]
    fn a_client_is_known_by_what_it_says_first() {
        for message in [r#"{"type": "KeepAlive"}"#, r#"{"type": "Finalize"}"#, r#"{"type": "CloseStream"}"#] {
            assert!(is_gateways(message), "{message}");
        }
        for message in [r#"{"type": "session.update"}"#, r#"{"type": "input_audio_buffer.append"}"#, "hello", "{}"] {
            assert!(!is_gateways(message), "{message}");
        }
    }
}
