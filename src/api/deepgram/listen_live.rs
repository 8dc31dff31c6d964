//! `/v1/listen` over a WebSocket: sound comes while it is made, and what is said goes out while it is said. The gateway's
//! `/v1/realtime` speaks the same.

mod messages;
mod query;

use super::error::RequestId;
use super::hearing::{Hearing, Overdue};
use crate::api::error::Rejection;
use crate::api::socket::{Conversation, Outbox, Speech, accept_listener, converse, json_message};
use crate::api::sound::log_late;
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::speech::realtime::{Event, Request, Settings};
use crate::speech::speakers::Diarization;
use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::Uri;
use axum::response::Response;
use messages::Teller;
use query::Asked;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

pub use query::Route;

/// So often there is a result without text while nobody speaks.
const SILENCE: Duration = Duration::from_secs(3);

/// The most words that a client may make more likely while it listens.
const MOST_KEYTERMS: usize = 500;

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Said {
    /// Is there, and has nothing to say.
    KeepAlive,
    /// Wants a result of everything so far.
    Finalize,
    /// Has the rest heard, then closes.
    CloseStream,
    /// Changes how the server listens.
    Configure { keyterms: Option<Vec<String>>, features: Option<BTreeMap<String, bool>> },
    #[serde(other)]
    Unknown,
}

/// Opens the connection.
pub async fn open_socket(
    State(app): State<App>,
    uri: Uri,
    Extension(RequestId(id)): Extension<RequestId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Rejection> {
    open(app, &uri, id, Route::Listen, upgrade).await
}

/// Opens a connection on `route` for a client that wants what the query of `uri` says.
///
/// # Errors
/// As [`Listening::new`] and [`accept_listener`].
pub async fn open(
    app: App,
    uri: &Uri,
    request_id: Uuid,
    route: Route,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Rejection> {
    let (upgrade, permit) = accept_listener(&app, upgrade)?;
    let listening = Listening::new(&app, uri, request_id, route).await?;
    // The credentials of browsers; the server must choose one of what it is offered.
    let upgrade = upgrade.protocols(["token", "bearer"]);
    Ok(upgrade.on_upgrade(move |socket| async move {
        converse(app, socket, listening, Outbox::default()).await;
        drop(permit);
    }))
}

/// One connection.
pub struct Listening {
    hearing: Hearing,
    teller: Teller,
    settings: Settings,
    /// The code and the reason with which it closes when everything is said.
    goodbye: (u16, &'static str),
}

impl Listening {
    /// A connection before its first message, for a client that wants what the query of `uri` says.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter; on the gateway's route `NotFound` for a model. Whatever keeps the model
    /// from being loaded.
    pub async fn new(app: &App, uri: &Uri, request_id: Uuid, route: Route) -> Result<Self> {
        let asked = Asked::parse(app, uri, route)?;
        let (settings, request) = prepare(app, &asked).await?;
        let hearing = Hearing::new(request, &app.config.realtime);
        Ok(Self { hearing, teller: Teller::new(asked, request_id), settings, goodbye: (1000, "") })
    }

    fn configure(&mut self, keyterms: Option<Vec<String>>, features: &BTreeMap<String, bool>, out: &mut Outbox) {
        const KNOWN: [&str; 2] = ["punctuate", "smart_format"];
        if let Some((name, _)) = features.iter().find(|(name, is_on)| **is_on && !KNOWN.contains(&name.as_str())) {
            let description = format!("`{name}` is not supported by this server.");
            return out.json(&self.teller.not_configured("CONFIGURE_FEATURE_NOT_SUPPORTED", &description));
        }
        let words: usize = keyterms.iter().flatten().map(|term| term.split_whitespace().count()).sum();
        if words > MOST_KEYTERMS {
            let description = format!("`keyterms` may have {MOST_KEYTERMS} words together; these have {words}.");
            return out.json(&self.teller.not_configured("CONFIGURE_KEYTERM_LIMIT_EXCEEDED", &description));
        }
        let named: Vec<bool> = KNOWN.iter().filter_map(|name| features.get(*name)).copied().collect();
        if !named.is_empty() {
            self.teller.punctuate(named.contains(&true));
        }
        if let Some(keyterms) = &keyterms {
            self.settings.options.keywords.clone_from(keyterms);
            self.hearing.change(self.settings.clone());
        }
        out.json(&self.teller.configured(keyterms.as_deref()));
    }
}

/// How to listen for what a client has `asked`.
async fn prepare(app: &App, asked: &Asked) -> Result<(Settings, Request)> {
    let pool = app.models.transcriber(&asked.model.id).await?;
    let mut settings = Settings::new(pool, asked.options.clone());
    let defaults = &app.config.transcription;
    (settings.options.guard, settings.options.short_context) = (defaults.guard, defaults.short_context);
    settings.interim = asked.interim.then(|| Duration::from_millis(app.config.realtime.interim_ms));
    settings.ending = asked.ending;
    let mut request = Request::new(settings.clone(), asked.format);
    request.apart = asked.apart.is_some();
    if asked.diarize {
        request.diarization = Some(Diarization { pool: app.models.diarizer().await?, known: Vec::new(), count: None });
    }
    (request.utterance_end, request.silence) = (asked.utterance_end, Some(SILENCE));
    Ok((settings, request))
}

impl Conversation for Listening {
    fn hear(&mut self, message: &str, out: &mut Outbox) {
        self.hearing.touch();
        let Ok(message) = serde_json::from_str::<Value>(message) else { return out.close(1008, "DATA-0000") };
        match Said::deserialize(&message) {
            Ok(Said::Finalize) => self.hearing.finalize(),
            Ok(Said::CloseStream) => self.hearing.close(),
            Ok(Said::Configure { keyterms, features }) => {
                self.configure(keyterms, &features.unwrap_or_default(), out);
            }
            Err(error) if message["type"] == "Configure" => {
                out.json(&self.teller.not_configured("CONFIGURE_INVALID", &format!("The message is wrong: {error}.")));
            }
            Ok(Said::KeepAlive | Said::Unknown) | Err(_) => {}
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
                Ok(Event::Over { duration, channels }) => {
                    let metadata = self.teller.metadata(duration, channels, &self.hearing.sha256());
                    let (code, reason) = self.goodbye;
                    return Speech::Close(vec![json_message(&metadata)], code, reason);
                }
                Ok(event) => match self.teller.message(event) {
                    Some(message) => return Speech::Messages(vec![json_message(&message)]),
                    None => continue,
                },
                Err(error) => return failed(&error),
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
        match self.hearing.overdue() {
            Overdue::Busy => {}
            Overdue::Silent => out.close(1011, "NET-0001"),
            Overdue::Stuck => out.close(1011, "NET-0000"),
            Overdue::Lasted => {
                self.goodbye = (1008, "the session has lasted as long as it may");
                self.hearing.close();
            }
        }
    }
}

/// There is no message for failures that all clients survive: the reason of the close has the code.
fn failed(error: &Error) -> Speech {
    log_late(error);
    match error.kind() {
        Kind::InvalidAudio => Speech::Close(Vec::new(), 1008, "DATA-0000"),
        _ => Speech::Close(Vec::new(), 1011, "NET-0000"),
    }
}
