//! The only wiring: configuration, models, jobs and shutdown, built once and cheap to clone.

use crate::config::{Config, Role};
use crate::engine::Engines;
use crate::error::{Error, Kind, Result};
use crate::jobs::webhook::Render;
use crate::jobs::{Jobs, signature};
use crate::models::registry::Registry;
use crate::speech::lexicon::Lexicon;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, watch};

/// What a request or a command may reach.
#[derive(Clone)]
pub struct App {
    /// The effective settings.
    pub config: Arc<Config>,
    /// The models.
    pub models: Registry,
    /// One permit per request in progress.
    pub requests: Arc<Semaphore>,
    /// One permit per live transcription.
    pub sessions: Arc<Semaphore>,
    /// How words are said that are not said as they are spelled.
    pub lexicon: Arc<Lexicon>,
    jobs: Option<Jobs>,
    /// What tokens are signed with where there are no jobs, whose key would be everybody's.
    own_key: Arc<[u8]>,
    state: Arc<watch::Sender<State>>,
}

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Pinned models are being loaded.
    Starting,
    /// Requests are welcome.
    Ready,
    /// No new requests; the running ones are finished.
    Stopping,
}

impl App {
    /// Builds everything `config` asks for; loads no model yet.
    ///
    /// # Errors
    /// A broken catalog, data folder or lexicon; `Internal` when the system gives no random bytes.
    pub fn new(config: Config, engines: Engines) -> Result<Self> {
        let voices = engines.voices();
        let models = Registry::new(&config, engines)?;
        let models = voices.into_iter().fold(models, |models, (engine, voices)| models.with_voices(engine, voices));
        let requests = Arc::new(Semaphore::new(config.limits.concurrent_requests));
        let sessions = Arc::new(Semaphore::new(config.realtime.sessions));
        let lexicon = config.speech.lexicon.as_deref().map(Lexicon::load).transpose()?.unwrap_or_default();
        Ok(Self {
            config: Arc::new(config),
            models,
            requests,
            sessions,
            lexicon: Arc::new(lexicon),
            jobs: None,
            own_key: signature::new_key()?.into(),
            state: Arc::new(watch::channel(State::Starting).0),
        })
    }

    /// Opens the jobs, for a process that serves: only one may have them.
    ///
    /// # Errors
    /// `Unavailable` when another server has them or they cannot be stored where the settings say.
    pub fn with_jobs(mut self) -> Result<Self> {
        self.jobs = Some(Jobs::open(self.config.clone())?);
        Ok(self)
    }

    /// The jobs.
    ///
    /// # Errors
    /// `Unavailable` when they have not been opened.
    pub fn jobs(&self) -> Result<&Jobs> {
        self.jobs.as_ref().ok_or_else(|| Error::new(Kind::Unavailable, "This server takes no jobs."))
    }

    /// What short-lived tokens are signed with: the same for all who share the jobs, so that a token is good on every
    /// server of a fleet, and after a restart.
    ///
    /// # Errors
    /// `Unavailable` when the jobs cannot be reached for the first time.
    pub async fn token_key(&self) -> Result<Arc<[u8]>> {
        match &self.jobs {
            Some(jobs) => jobs.token_key().await,
            None => Ok(self.own_key.clone()),
        }
    }

    /// Where the server is in its life.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Loads the pinned models, then calls the server ready. A pinned model that cannot be loaded is logged and
    /// does not keep the server from working with the others.
    pub async fn warm_up(&self) {
        self.models.load_pinned().await;
        self.state.send_if_modified(|state| {
            let starting = *state == State::Starting;
            if starting {
                *state = State::Ready;
            }
            starting
        });
    }

    /// Works on jobs and pushes their results, as `render` writes them, each where it is this server's part, until it
    /// stops. Completes when what was not done has been given back.
    pub async fn run_jobs(self, render: Render) {
        let Some(jobs) = self.jobs.clone() else { return };
        let (stop, stopped) = watch::channel(false);
        let role = self.config.server.role;
        let work = async {
            if role != Role::Gateway {
                jobs.clone().work(self.models.clone(), stopped.clone()).await;
            }
        };
        let others = async {
            if role != Role::Worker {
                tokio::join!(jobs.clone().deliver(render, stopped.clone()), jobs.sweep(stopped.clone()));
            }
        };
        let until = async {
            self.stopping().await;
            stop.send_replace(true);
        };
        tokio::join!(work, others, until);
    }

    /// Tells everyone that the server stops.
    pub fn stop(&self) {
        self.state.send_replace(State::Stopping);
    }

    /// Completes when [`App::stop`] has been called.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn stopping(&self) {
        let mut state = self.state.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = state.wait_for(|state| *state == State::Stopping).await;
    }

    /// Unloads unused models until the server stops.
    pub async fn sweep_models(self) {
        while let Some(next) = self.models.sweep(Instant::now()) {
            tokio::select! {
                () = self.stopping() => return,
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }
}
