//! Live transcription as OpenAI's clients speak of it, in the shapes of today and of the beta: JSON events both ways, sound
//! as base64.

mod events;
mod items;
mod merge;
mod session;
mod text;

pub use merge::merged;
use session::TurnDetection;
pub use session::{Dialect, Session};

use crate::api::socket::{Conversation, Outbox, Speech, json_message};
use crate::api::sound::log_late;
use crate::api::upload::decode_base64;
use crate::app::App;
use crate::audio::decode::live::LiveFormat;
use crate::engine::{TranscriberPool, TurnDetectorPool};
use crate::error::{Error, Kind, Result};
use crate::speech::realtime::{Event, Listener, Request, listen};
use bytes::Bytes;
use events::{event, failure, new_id};
use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use items::{Items, SHORTEST, Telling, too_short};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How much sound may wait to be listened to, in bytes, before no more is read.
const MOST_WAITING: usize = 256 << 10;

/// A session in which nothing at all is said for so long is over.
const IDLE: Duration = Duration::from_secs(600);

/// How often in the sound it is looked whether nobody has spoken for long.
const TICK: Duration = Duration::from_millis(250);

/// The longest id of a client's event, in bytes.
const LONGEST_ID: usize = 512;

/// One session.
pub struct Talk {
    app: App,
    id: String,
    /// When it is over, in seconds since 1970.
    expires_at: u64,
    /// The same on the clock that is never set.
    expires: Instant,
    /// When the client said something last.
    spoken_to: Instant,
    session: Session,
    dialect: Dialect,
    ear: Ear,
    items: Items,
    /// Bytes of sound before what is listened to, and since then.
    before: u64,
    heard: u64,
    /// Bytes of sound since the client last had something done with it.
    held: u64,
    clearing: Clearing,
    is_ending: bool,
}

/// What listens.
#[derive(Default)]
struct Ear {
    /// The engine, once its model is loaded.
    loaded: Option<Loaded>,
    loading: Option<BoxFuture<'static, Result<Loaded>>>,
    /// Sound that waits for the engine.
    waiting: Vec<Bytes>,
    listener: Option<Listener>,
    events: Option<BoxStream<'static, Result<Event>>>,
}

/// What listens, and what it was loaded for.
struct Loaded {
    /// The name of the model that was asked for.
    model: String,
    pool: Arc<TranscriberPool>,
    /// Whether turns were to be told by their meaning.
    is_semantic: bool,
    /// What then listens to how they sound, where it is installed.
    turns: Option<Arc<TurnDetectorPool>>,
}

/// Whether the client wants sound to be forgotten.
#[derive(PartialEq)]
enum Clearing {
    No,
    /// As soon as all that was committed before has its text.
    Wanted,
    /// It is being done.
    Asked,
}

impl Talk {
    /// A session with these settings, and what is said first.
    pub fn begin(app: &App, session: Session, dialect: Dialect) -> (Self, Outbox) {
        let length = Duration::from_secs(app.config.realtime.session_seconds);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let talk = Self {
            app: app.clone(),
            id: new_id("sess"),
            expires_at: (since + length).as_secs(),
            expires: Instant::now() + length,
            spoken_to: Instant::now(),
            session,
            dialect,
            ear: Ear::default(),
            items: Items::default(),
            before: 0,
            heard: 0,
            held: 0,
            clearing: Clearing::No,
            is_ending: false,
        };
        let mut out = Outbox::default();
        out.json(&talk.told("created"));
        (talk, out)
    }

    /// What the settings are, after something has happened to them.
    fn told(&self, what: &str) -> Value {
        let prefix = match self.dialect {
            Dialect::Current => "session",
            Dialect::Beta => "transcription_session",
        };
        let session = describe(&self.session, self.dialect, &self.id, Some(self.expires_at));
        event(&format!("{prefix}.{what}"), json!({"session": session}))
    }

    fn obey(&mut self, mut said: Map<String, Value>, id: &Value, out: &mut Outbox) -> Result<()> {
        match said.get("type").and_then(Value::as_str) {
            Some("session.update") => self.update(Dialect::Current, &said, out),
            Some("transcription_session.update") => self.update(Dialect::Beta, &said, out),
            Some("input_audio_buffer.append") => self.append(said.remove("audio")),
            Some("input_audio_buffer.commit") => {
                self.commit(id.clone(), out);
                Ok(())
            }
            Some("input_audio_buffer.clear") => {
                self.clear(out);
                Ok(())
            }
            Some(other) => {
                let message = format!("A transcription session has no event `{other}` of the client.");
                Err(Error::invalid("type", message).with_code("invalid_value"))
            }
            None => {
                let message = "An event has a `type`.";
                Err(Error::invalid("type", message).with_code("missing_required_parameter"))
            }
        }
    }

    fn update(&mut self, dialect: Dialect, said: &Map<String, Value>, out: &mut Outbox) -> Result<()> {
        let Some(change) = said.get("session").filter(|change| change.is_object()) else {
            let message = "An update has a `session`.";
            return Err(Error::invalid("session", message).with_code("missing_required_parameter"));
        };
        let is_begun = self.before + self.heard > 0;
        self.session = merged(&self.session, &self.app, change, "session", is_begun)?;
        self.dialect = dialect;
        out.json(&self.told("updated"));
        if self.ear.listener.is_some() { self.prepare() } else { Ok(()) }
    }

    fn append(&mut self, audio: Option<Value>) -> Result<()> {
        let wrong = |message: &'static str, code| Error::invalid("audio", message).with_code(code);
        let missing = || wrong("Sound is appended as `audio`, in base64.", "missing_required_parameter");
        let audio = audio.ok_or_else(missing)?;
        let text = audio.as_str().ok_or_else(|| wrong("`audio` must be a string of base64.", "invalid_value"))?;
        let sound = decode_base64(text).ok_or_else(|| wrong("`audio` is not valid base64.", "invalid_value"))?;
        if sound.is_empty() {
            return Ok(());
        }
        self.held += sound.len() as u64;
        self.heard += sound.len() as u64;
        match &self.ear.listener {
            Some(listener) => listener.hear(Bytes::from(sound)),
            None => {
                self.ear.waiting.push(sound.into());
                self.prepare()?;
            }
        }
        Ok(())
    }

    /// Begins to listen, or listens as the settings are now, at once or when the model is loaded.
    fn prepare(&mut self) -> Result<()> {
        let model = self.session.model().to_owned();
        let is_semantic = matches!(self.session.turns(), TurnDetection::Semantic(_));
        let is_enough = |loaded: &Loaded| loaded.model == model && (loaded.is_semantic || !is_semantic);
        if self.ear.loaded.as_ref().is_some_and(is_enough) {
            return self.attend();
        }
        let models = self.app.models.clone();
        let load = async move {
            let turns = if is_semantic { models.turn_detector().await? } else { None };
            let pool = models.transcriber(&model).await?;
            Ok(Loaded { model, pool, is_semantic, turns })
        };
        self.ear.loading = Some(load.boxed());
        Ok(())
    }

    /// Listens as the settings are now.
    fn attend(&mut self) -> Result<()> {
        let Some(loaded) = &self.ear.loaded else { return Ok(()) };
        let mut settings = self.session.settings(&self.app, loaded.pool.clone())?;
        settings.turns = loaded.turns.clone();
        if let Some(listener) = &self.ear.listener {
            listener.change(settings);
            return Ok(());
        }
        let mut request = Request::new(settings, LiveFormat::Raw(self.session.format));
        request.tick = Some(TICK);
        let (listener, events) = listen(request);
        self.items.begin(self.session.duration(self.before));
        self.ear.waiting.drain(..).for_each(|sound| listener.hear(sound));
        (self.ear.listener, self.ear.events) = (Some(listener), Some(events.boxed()));
        Ok(())
    }

    fn commit(&mut self, event_id: Value, out: &mut Outbox) {
        let held = self.session.duration(std::mem::take(&mut self.held));
        let Some(listener) = self.ear.listener.as_ref().filter(|_| held >= SHORTEST) else {
            return out.json(&too_short(held, event_id));
        };
        listener.finalize();
        let how = Telling { session: &self.session, dialect: self.dialect };
        self.items.commit(how, held, event_id).iter().for_each(|event| out.json(event));
    }

    fn clear(&mut self, out: &mut Outbox) {
        self.held = 0;
        if self.ear.listener.is_none() {
            return out.json(&event("input_audio_buffer.cleared", json!({})));
        }
        self.clearing = Clearing::Wanted;
        self.go_on_clearing();
    }

    /// Forgets what is not committed, when the text of all that is has come.
    fn go_on_clearing(&mut self) {
        if self.clearing == Clearing::Wanted
            && !self.items.are_waiting()
            && let Some(listener) = &self.ear.listener
        {
            listener.forget();
            self.clearing = Clearing::Asked;
        }
    }

    /// The model is loaded, or cannot be.
    fn loaded(&mut self, loaded: Result<Loaded>) -> Vec<Value> {
        self.ear.loading = None;
        let attended = loaded.and_then(|pool| {
            self.ear.loaded = Some(pool);
            self.attend()
        });
        match attended {
            Ok(()) => Vec::new(),
            Err(error) => self.fail(&error),
        }
    }

    /// What is told of what was heard.
    fn tell(&mut self, heard: Option<Result<Event>>) -> Vec<Value> {
        let how = Telling { session: &self.session, dialect: self.dialect };
        match heard {
            Some(Ok(Event::Forgotten)) => {
                self.clearing = Clearing::No;
                let mut events = self.items.forget(how, self.session.duration(self.before + self.heard));
                events.push(event("input_audio_buffer.cleared", json!({})));
                events
            }
            Some(Ok(event)) => {
                let events = self.items.hear(event, how);
                self.go_on_clearing();
                events
            }
            Some(Err(error)) => self.fail(&error),
            None => {
                self.stop_listening();
                Vec::new()
            }
        }
    }

    /// What was said is lost; the session goes on with the sound that comes next.
    fn fail(&mut self, error: &Error) -> Vec<Value> {
        log_late(error);
        let how = Telling { session: &self.session, dialect: self.dialect };
        let mut events = self.items.fail(how, error);
        if events.is_empty() {
            events.push(failure(error, Value::Null));
        }
        if std::mem::replace(&mut self.clearing, Clearing::No) != Clearing::No {
            events.push(event("input_audio_buffer.cleared", json!({})));
        }
        self.stop_listening();
        events
    }

    fn stop_listening(&mut self) {
        (self.ear.listener, self.ear.events) = (None, None);
        self.ear.waiting.clear();
        self.before += std::mem::take(&mut self.heard);
        self.held = 0;
    }
}

impl Conversation for Talk {
    fn hear(&mut self, message: &str, out: &mut Outbox) {
        self.spoken_to = Instant::now();
        let mut said = match read(message) {
            Ok(said) => said,
            Err(error) => return out.json(&failure(&error, Value::Null)),
        };
        let id = match event_id(&mut said) {
            Ok(id) => id,
            Err(error) => return out.json(&failure(&error, Value::Null)),
        };
        if let Err(error) = self.obey(said, &id, out) {
            out.json(&failure(&error, id));
        }
    }

    fn hear_bytes(&mut self, _: &[u8], out: &mut Outbox) {
        self.spoken_to = Instant::now();
        let message = "Events are text; sound is appended with `input_audio_buffer.append`, in base64.";
        let error = Error::new(Kind::InvalidRequest, message).with_code("invalid_json");
        out.json(&failure(&error, Value::Null));
    }

    fn has_room(&self) -> bool {
        let is_free = self.ear.loading.is_none() && self.clearing == Clearing::No && !self.is_ending;
        is_free && self.ear.listener.as_ref().is_none_or(|listener| listener.waiting() < MOST_WAITING)
    }

    /// Also returns when there is nothing to say and room for more.
    async fn speak(&mut self) -> Speech {
        let events = if let Some(loading) = &mut self.ear.loading {
            let loaded = loading.await;
            self.loaded(loaded)
        } else if let Some(events) = &mut self.ear.events {
            let heard = events.next().await;
            self.tell(heard)
        } else if self.is_ending {
            return Speech::Close(Vec::new(), 1001, "the server stops");
        } else {
            std::future::pending().await
        };
        if self.is_ending && self.ear.loading.is_none() {
            self.ear.listener = None;
        }
        Speech::Messages(events.iter().map(json_message).collect())
    }

    fn end(&mut self, _: &mut Outbox) {
        self.is_ending = true;
        if self.ear.loading.is_none() {
            self.ear.listener = None;
        }
    }

    fn idle(&self) -> Duration {
        let over = self.expires.min(self.spoken_to + IDLE);
        over.saturating_duration_since(Instant::now())
    }

    fn overdue(&mut self, out: &mut Outbox) {
        let message = if Instant::now() >= self.expires {
            let minutes = self.app.config.realtime.session_seconds.div_ceil(60);
            format!("Your session has lasted {minutes} minutes, which is the longest that a session may last.")
        } else {
            format!("Nothing has been said in this session for {} minutes.", IDLE.as_secs() / 60)
        };
        let error = Error::new(Kind::InvalidRequest, message).with_code("session_expired");
        out.json(&failure(&error, Value::Null));
        out.close(1000, "session expired");
    }
}

/// The settings of a session as its client sees them; `expires_at` when it has begun.
pub fn describe(session: &Session, dialect: Dialect, id: &str, expires_at: Option<u64>) -> Value {
    let mut told = session.wire(dialect);
    told.insert("id".to_owned(), json!(id));
    told.insert("object".to_owned(), json!("realtime.transcription_session"));
    if let Some(expires_at) = expires_at {
        told.insert("expires_at".to_owned(), json!(expires_at));
    }
    Value::Object(told)
}

/// The id of a new session.
pub fn new_session_id() -> String {
    new_id("sess")
}

/// An event of the client.
fn read(message: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(message).map_err(|e| {
        let error = Error::new(Kind::InvalidRequest, "An event is a JSON object.").with_code("invalid_json");
        error.with_source(e)
    })
}

/// What the client calls its event.
fn event_id(said: &mut Map<String, Value>) -> Result<Value> {
    match said.remove("event_id") {
        None | Some(Value::Null) => Ok(Value::Null),
        Some(Value::String(id)) if id.len() <= LONGEST_ID => Ok(Value::String(id)),
        Some(_) => {
            let message = format!("`event_id` is a string of at most {LONGEST_ID} characters.");
            Err(Error::invalid("event_id", message).with_code("invalid_value"))
        }
    }
}
