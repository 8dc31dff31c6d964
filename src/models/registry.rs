//! The models of this server: which are installed, what a name stands for, and the pools of engines that run them.
//!
//! Names come from the catalog, files from the folder of models, which is looked at anew for every question: a model
//! pulled by another process is there at once. How files get there is told in `pull.rs` and `bundle.rs`.

use super::catalog::{Catalog, Model, ModelTask, Named};
use super::folder::{self, ModelFolder};
use super::loaded::{Count, Loaded};
use super::memory::check_memory;
use super::piper_voices;
use super::voices::VoicesRead;
use crate::audio::Pcm;
use crate::config::{Config, EngineConfig, Role};
use crate::engine::pool::{Cores, Pool, PoolOptions, Priority};
use crate::engine::{
    Diarizer, DiarizerPool, Engines, Factory, Load, Loader, SPEECH_SAMPLE_RATE, SpeakOptions, Synthesizer,
    SynthesizerPool, TranscribeOptions, Transcriber, TranscriberPool, TurnDetector, TurnDetectorPool, Voice, Weights,
};
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Engines so light that their slots are not counted against the cores.
const LIGHT_ENGINES: [&str; 3] = ["espeak", "spectral", TURNS];

/// The light engine that has weights of its own for every slot. Two answer within 20 ms at a hundred pauses a second.
const TURNS: &str = "smart-turn";
const TURN_SLOTS: usize = 2;

/// The name that stands for what tells voices apart.
const DIARIZER: &str = "diarization";

/// How long to wait before a download is tried again for the first time; each further time it is twice as long.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Every model and every pool. Cheap to clone; all clones are the same registry.
#[derive(Clone)]
pub struct Registry {
    pub(super) inner: Arc<Inner>,
    pub(super) voices: Arc<BTreeMap<String, Arc<[Voice]>>>,
    pub(super) retry_delay: Duration,
}

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) catalog: Catalog,
    pub(super) folder: ModelFolder,
    pub(super) engines: Engines,
    cores: Arc<Cores>,
    core_count: usize,
    transcribers: Loaded<dyn Transcriber>,
    synthesizers: Loaded<dyn Synthesizer>,
    diarizers: Loaded<dyn Diarizer>,
    turn_detectors: Loaded<dyn TurnDetector>,
    pub(super) voices_read: VoicesRead,
    count: Count,
}

/// What is known about one name that can be asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The name: a model's own, or an alias.
    pub id: String,
    /// The model behind an alias; `None` for a model itself, and for an alias of which nothing is installed.
    pub resolves_to: Option<String>,
    /// Whether the name is an alias.
    pub is_alias: bool,
    /// The name to show to people.
    pub name: String,
    /// What it is for.
    pub task: ModelTask,
    /// The engine that runs it.
    pub engine: String,
    /// ISO 639-1 codes; empty when unknown.
    pub languages: Vec<String>,
    /// Whether it understands more than one language, as far as is known.
    pub multilingual: bool,
    /// Whether English is the only language.
    pub english_only: bool,
    /// Whether its files are here.
    pub installed: bool,
    /// Whether this build has its engine.
    pub usable: bool,
    /// Whether it is in memory.
    pub loaded: bool,
    /// Whether it is inside the binary.
    pub built_in: bool,
    /// Bytes on disk, or to download; approximate before the download.
    pub size: Option<u64>,
    /// The licence of the weights.
    pub licence: String,
    /// Who made it.
    pub owned_by: String,
    /// A sentence for people.
    pub description: String,
    /// When it was published, in seconds since 1970.
    pub created: u64,
}

impl ModelInfo {
    /// The id of the model itself, also when it was asked for by an alias.
    pub fn model_id(&self) -> &str {
        self.resolves_to.as_deref().unwrap_or(&self.id)
    }
}

/// A model that can be loaded.
struct Found {
    model: Arc<Model>,
    weights: Weights,
}

impl Registry {
    /// The models that `config` describes, run by `engines`. Nothing is loaded yet.
    ///
    /// # Errors
    /// `InvalidRequest` for a catalog that is wrong or a pinned model that nobody knows.
    pub fn new(config: &Config, engines: Engines) -> Result<Self> {
        let core_count = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let inner = Inner {
            config: config.clone(),
            catalog: Catalog::load(config.models.catalog.as_deref())?,
            folder: ModelFolder::new(&config.data_dir),
            engines,
            cores: Arc::new(Cores::new(core_count)),
            core_count,
            transcribers: Loaded::default(),
            synthesizers: Loaded::default(),
            diarizers: Loaded::default(),
            turn_detectors: Loaded::default(),
            voices_read: VoicesRead::default(),
            count: Count::default(),
        };
        let registry = Self { inner: Arc::new(inner), voices: Arc::default(), retry_delay: RETRY_DELAY };
        for id in &config.models.pinned {
            if registry.get(id).is_none() {
                return Err(Error::invalid("models.pinned", format!("models.pinned names the unknown model `{id}`")));
            }
        }
        Ok(registry)
    }

    /// Tells the registry the voices of `engine`. Without this, without voices in the catalog and without a reader of
    /// voices in the table of engines, any voice is handed to the engine, which refuses those it does not have.
    pub fn with_voices(mut self, engine: &str, voices: Vec<Voice>) -> Self {
        Arc::make_mut(&mut self.voices).insert(engine.to_owned(), voices.into());
        self
    }

    /// Waits only `delay` before a download is tried again for the first time.
    pub fn with_retry_delay(mut self, delay: Duration) -> Self {
        self.retry_delay = delay;
        self
    }

    /// Every model, installed or not, then every alias.
    pub fn list(&self) -> Vec<ModelInfo> {
        let dropped = self.inner.folder.dropped(&self.inner.catalog);
        let known = self.inner.catalog.models().iter().map(|model| self.describe(model));
        let dropped: Vec<ModelInfo> = dropped.iter().map(|model| self.describe(model)).collect();
        let aliases = self.inner.catalog.aliases().filter_map(|(alias, _)| self.get(&alias.id));
        known.chain(dropped).chain(aliases).collect()
    }

    /// What the name `id` means, installed or not.
    pub fn get(&self, id: &str) -> Option<ModelInfo> {
        let inner = &self.inner;
        match inner.catalog.find(id) {
            Some(Named::Model(model)) => Some(self.describe(model)),
            Some(Named::Alias(alias, candidates)) => {
                let best = inner.best(candidates);
                let resolves_to = best.as_ref().map(|model| model.id.clone());
                let model = best.or_else(|| candidates.first().map(|index| inner.catalog.model(*index).clone()))?;
                Some(ModelInfo { id: alias.id.clone(), resolves_to, is_alias: true, ..self.describe(&model) })
            }
            None => inner.dropped(id).map(|model| self.describe(&model)),
        }
    }

    /// The installed model behind `id`, which may be an alias, for `task`.
    ///
    /// # Errors
    /// `NotFound` (param `model`, code `model_not_found`) for a model that is unknown or not installed,
    /// `InvalidRequest` for one that does something else, `Unavailable` when this build lacks its engine.
    pub fn resolve(&self, id: &str, task: ModelTask) -> Result<ModelInfo> {
        if self.inner.config.server.role == Role::Gateway && task == ModelTask::Transcribe {
            return self.known(id, task);
        }
        Ok(self.describe_as(id, &self.find(id, task)?.model))
    }

    /// The model behind `id`, installed or not: for a server that leaves the work to others, who may have it.
    fn known(&self, id: &str, task: ModelTask) -> Result<ModelInfo> {
        let known = self.get(id).ok_or_else(|| unknown(id))?;
        if known.task == task { Ok(known) } else { Err(wrong_task(id, known.task, task)) }
    }

    /// Fails on a server that runs no models.
    fn check_role(&self) -> Result<()> {
        if self.inner.config.server.role != Role::Gateway {
            return Ok(());
        }
        let message = "This server is the gateway of a fleet: it takes in jobs (`async`, `webhook_url` or `callback`) \
                       for others to work on, and does nothing at once.";
        Err(Error::new(Kind::Unavailable, message).with_code("gateway"))
    }

    /// What is known about `model`, which was asked for as `id`.
    pub(super) fn describe_as(&self, id: &str, model: &Model) -> ModelInfo {
        let info = self.describe(model);
        match self.inner.catalog.find(id) {
            Some(Named::Alias(alias, _)) => {
                ModelInfo { id: alias.id.clone(), resolves_to: Some(model.id.clone()), is_alias: true, ..info }
            }
            _ => info,
        }
    }

    /// Whether this server can transcribe with `id`, and tell voices apart where that is wanted.
    pub fn can_transcribe(&self, id: &str, voices: bool) -> bool {
        let has = |id, task| self.find(id, task).is_ok();
        has(id, ModelTask::Transcribe) && (!voices || has(DIARIZER, ModelTask::Diarize))
    }

    /// The threads that transcribe with `id`, loaded if need be.
    ///
    /// # Errors
    /// As [`Registry::resolve`], and `Unavailable` with the reason when the model cannot be loaded.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a running load to those who come later.
    pub async fn transcriber(&self, id: &str) -> Result<Arc<TranscriberPool>> {
        self.check_role()?;
        let Found { model, weights } = self.find(id, ModelTask::Transcribe)?;
        let (inner, loading) = (self.inner.clone(), model.clone());
        let load = || async move {
            let loader = inner.engines.transcriber(&loading.engine)?;
            let pool = inner.open(&loading, weights, loader).await?;
            hear_silence(&pool, &loading).await.map_err(|error| unloadable(&loading, error))?;
            Ok(pool)
        };
        self.inner.transcribers.get(&model.id, load).await
    }

    /// The threads that speak with `id`, loaded if need be.
    ///
    /// # Errors
    /// As [`Registry::resolve`], and `Unavailable` with the reason when the model cannot be loaded.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a running load to those who come later.
    pub async fn synthesizer(&self, id: &str) -> Result<Arc<SynthesizerPool>> {
        self.check_role()?;
        let Found { model, weights } = self.find(id, ModelTask::Speak)?;
        let (inner, loading, voice) = (self.inner.clone(), model.clone(), self.default_voice_of(&model));
        let load = || async move {
            let loader = inner.engines.synthesizer(&loading.engine)?;
            let pool = inner.open(&loading, weights, loader).await?;
            say_a_word(&pool, voice).await.map_err(|error| unloadable(&loading, error))?;
            Ok(pool)
        };
        self.inner.synthesizers.get(&model.id, load).await
    }

    /// The threads that tell voices apart, with the best model that is installed, loaded if need be.
    ///
    /// # Errors
    /// `Unavailable` with the reason when the model cannot be loaded.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a running load to those who come later.
    pub async fn diarizer(&self) -> Result<Arc<DiarizerPool>> {
        self.diarizer_called(DIARIZER).await
    }

    async fn diarizer_called(&self, id: &str) -> Result<Arc<DiarizerPool>> {
        self.check_role()?;
        let Found { model, weights } = self.find(id, ModelTask::Diarize)?;
        let (inner, loading) = (self.inner.clone(), model.clone());
        let load = || async move {
            let loader = inner.engines.diarizer(&loading.engine)?;
            inner.open(&loading, weights, loader).await
        };
        self.inner.diarizers.get(&model.id, load).await
    }

    /// The threads that tell whether speakers have finished, with the first model of the catalog that is installed, loaded
    /// if need be; `None` when there is none.
    ///
    /// # Errors
    /// `Unavailable` with the reason when the model cannot be loaded.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a running load to those who come later.
    pub async fn turn_detector(&self) -> Result<Option<Arc<TurnDetectorPool>>> {
        let models = self.inner.catalog.models().iter();
        match models.into_iter().find(|model| model.task == ModelTask::Turns && self.inner.is_ready(model)) {
            Some(model) => self.turn_detector_called(&model.id).await.map(Some),
            None => Ok(None),
        }
    }

    async fn turn_detector_called(&self, id: &str) -> Result<Arc<TurnDetectorPool>> {
        self.check_role()?;
        let Found { model, weights } = self.find(id, ModelTask::Turns)?;
        let (inner, loading) = (self.inner.clone(), model.clone());
        let load = || async move {
            let loader = inner.engines.turn_detector(&loading.engine)?;
            let pool = inner.open(&loading, weights, loader).await?;
            judge_silence(&pool).await.map_err(|error| unloadable(&loading, error))?;
            Ok(pool)
        };
        self.inner.turn_detectors.get(&model.id, load).await
    }

    /// Loads the pinned models. One that cannot be loaded is logged and tried again when it is first asked for.
    pub async fn load_pinned(&self) {
        if self.check_role().is_err() {
            return;
        }
        for id in &self.inner.config.models.pinned {
            let loaded = match self.get(id).map(|info| info.task) {
                Some(ModelTask::Transcribe) => self.transcriber(id).await.map(drop),
                Some(ModelTask::Speak) => self.synthesizer(id).await.map(drop),
                Some(ModelTask::Diarize) => self.diarizer_called(id).await.map(drop),
                Some(ModelTask::Turns) => self.turn_detector_called(id).await.map(drop),
                None => continue,
            };
            if let Err(error) = loaded {
                tracing::warn!(model.id = id, %error, "the pinned model `{id}` cannot be loaded");
            }
        }
    }

    /// Unloads the models that nobody has used for `models.idle_seconds` before `now`: never one in use or pinned.
    /// Returns when to sweep next; `None` means never.
    pub fn sweep(&self, now: Instant) -> Option<Instant> {
        let idle = Duration::from_secs(self.inner.config.models.idle_seconds);
        if idle.is_zero() {
            return None;
        }
        let pinned: Vec<String> = self.inner.config.models.pinned.iter().filter_map(|id| self.model_id(id)).collect();
        let keep = |id: &str| pinned.iter().any(|pinned| pinned == id);
        let mut unloaded = self.inner.transcribers.sweep(now, idle, keep);
        unloaded.extend(self.inner.synthesizers.sweep(now, idle, keep));
        unloaded.extend(self.inner.diarizers.sweep(now, idle, keep));
        unloaded.extend(self.inner.turn_detectors.sweep(now, idle, keep));
        for id in unloaded {
            tracing::info!(model.id = id, "unloaded the idle model `{id}`");
        }
        Some(now + (idle / 4).clamp(Duration::from_secs(1), Duration::from_secs(60)))
    }

    /// Unloads `id`; whoever uses it keeps it to the end.
    pub(super) fn unload(&self, id: &str) {
        self.inner.transcribers.remove(id);
        self.inner.synthesizers.remove(id);
        self.inner.diarizers.remove(id);
        self.inner.turn_detectors.remove(id);
    }

    /// The id of the model that `id` stands for just now.
    fn model_id(&self, id: &str) -> Option<String> {
        self.get(id).map(|info| info.resolves_to.unwrap_or(info.id))
    }

    /// The models that may speak for `id`, best first; at least one.
    pub(super) fn speaking(&self, id: &str) -> Result<Vec<Arc<Model>>> {
        let found = self.find(id, ModelTask::Speak)?.model;
        match self.inner.catalog.find(id) {
            Some(Named::Alias(_, candidates)) => {
                let mut models = self.inner.ready(candidates);
                // What was found a moment ago may have been removed since; then its engine will say so.
                models.extend(models.is_empty().then_some(found));
                Ok(models)
            }
            _ => Ok(vec![found]),
        }
    }

    /// Every installed speech model that this build can run, those that `best` stands for first.
    pub(super) fn all_speaking(&self, best: &str) -> Vec<Arc<Model>> {
        let inner = &self.inner;
        let mut models = self.speaking(best).unwrap_or_default();
        let dropped = inner.folder.dropped(&inner.catalog).into_iter().map(Arc::new);
        let others = inner.catalog.models().iter().cloned().chain(dropped);
        let others = others.filter(|model| model.task == ModelTask::Speak && inner.is_ready(model));
        let new: Vec<_> = others.filter(|model| models.iter().all(|known| known.id != model.id)).collect();
        models.extend(new);
        models
    }

    fn find(&self, id: &str, task: ModelTask) -> Result<Found> {
        let model = self.installed(id)?;
        if model.task != task {
            return Err(wrong_task(id, model.task, task));
        }
        self.inner.check_engine(&model)?;
        let weights = self.inner.folder.weights(&model).ok_or_else(|| not_installed(id, &model))?;
        Ok(Found { model, weights })
    }

    /// The model behind `id`: for an alias the best that is installed and has its engine.
    pub(super) fn installed(&self, id: &str) -> Result<Arc<Model>> {
        let inner = &self.inner;
        match inner.catalog.find(id) {
            Some(Named::Model(model)) => Ok(model.clone()),
            Some(Named::Alias(_, candidates)) => {
                inner.best(candidates).ok_or_else(|| not_installed(id, inner.catalog.model(candidates[0])))
            }
            None => inner.dropped(id).map(Arc::new).ok_or_else(|| unknown(id)),
        }
    }

    fn describe(&self, model: &Model) -> ModelInfo {
        let inner = &self.inner;
        let paths = inner.folder.paths(model);
        ModelInfo {
            id: model.id.clone(),
            resolves_to: None,
            is_alias: false,
            name: model.name.clone(),
            task: model.task,
            engine: model.engine.clone(),
            languages: model.languages.clone(),
            multilingual: model.languages.len() != 1,
            english_only: model.english_only(),
            installed: paths.is_some(),
            usable: inner.check_engine(model).is_ok(),
            loaded: inner.is_loaded(&model.id),
            built_in: model.built_in,
            size: if model.built_in { None } else { paths.map(|paths| folder::size_of(&paths)).or(model.size()) },
            licence: model.licence.clone(),
            owned_by: model.owned_by.clone(),
            description: model.description.clone(),
            created: model.created,
        }
    }
}

impl Inner {
    /// The first of `candidates` that is installed and has its engine.
    fn best(&self, candidates: &[usize]) -> Option<Arc<Model>> {
        self.ready(candidates).into_iter().next()
    }

    /// Those of `candidates` that are installed and have their engine, best first. A model that only the folder knows
    /// comes after those of the same engine.
    pub(super) fn ready(&self, candidates: &[usize]) -> Vec<Arc<Model>> {
        let glance = self.folder.glance();
        let mut models = candidates.iter().map(|index| self.catalog.model(*index)).peekable();
        let mut ready = Vec::new();
        while let Some(model) = models.next() {
            if glance.may_have(model) && self.is_ready(model) {
                ready.push(model.clone());
            }
            let is_last = models.peek().is_none_or(|next| next.engine != model.engine);
            if is_last && model.engine == piper_voices::ENGINE {
                let dropped = self.folder.dropped(&self.catalog).into_iter().map(Arc::new);
                ready.extend(dropped.filter(|dropped| dropped.engine == model.engine && self.is_ready(dropped)));
            }
        }
        ready
    }

    /// Whether `model` is installed and has its engine.
    pub(super) fn is_ready(&self, model: &Model) -> bool {
        self.folder.paths(model).is_some() && self.check_engine(model).is_ok()
    }

    pub(super) fn dropped(&self, id: &str) -> Option<Model> {
        self.folder.dropped(&self.catalog).into_iter().find(|model| model.id == id)
    }

    pub(super) fn check_engine(&self, model: &Model) -> Result<()> {
        match model.task {
            ModelTask::Transcribe => self.engines.transcriber(&model.engine).map(drop),
            ModelTask::Speak => self.engines.synthesizer(&model.engine).map(drop),
            ModelTask::Diarize => self.engines.diarizer(&model.engine).map(drop),
            ModelTask::Turns => self.engines.turn_detector(&model.engine).map(drop),
        }
    }

    fn is_loaded(&self, id: &str) -> bool {
        self.transcribers.is_loaded(id)
            || self.synthesizers.is_loaded(id)
            || self.diarizers.is_loaded(id)
            || self.turn_detectors.is_loaded(id)
    }

    /// Loads the weights and builds the first engine, on a thread that may block.
    async fn open<E>(self: &Arc<Self>, model: &Arc<Model>, weights: Weights, loader: Loader<E>) -> Result<Pool<E>>
    where
        E: ?Sized + Send + 'static,
    {
        let (inner, loading, begun) = (self.clone(), model.clone(), Instant::now());
        let opened = tokio::task::spawn_blocking(move || {
            // A loader that panics fails the request, not the process.
            catch_unwind(AssertUnwindSafe(|| inner.open_blocking(&loading, &weights, &loader)))
                .unwrap_or_else(|_| Err(Error::new(Kind::Unavailable, "the engine crashed on its files")))
        });
        let opened = opened.await.unwrap_or_else(|e| Err(Error::internal("the load was interrupted", e)));
        let pool = opened.map_err(|error| unloadable(model, error))?;
        let (id, duration_ms) = (model.id.as_str(), begun.elapsed().as_millis() as u64);
        tracing::info!(model.id = id, duration_ms, "loaded the model `{id}`");
        Ok(pool)
    }

    fn open_blocking<E>(&self, model: &Model, weights: &Weights, loader: &Loader<E>) -> Result<Pool<E>>
    where
        E: ?Sized + Send + 'static,
    {
        check_memory(folder::size_of_weights(weights))?;
        let cache_dir = self.config.data_dir.join("cache");
        let factory: Factory<E> = loader(&Load { weights, config: &self.config.engine, cache_dir: &cache_dir })?;
        let in_memory = self.count.one_more();
        Pool::start(self.pool_options(model), move || {
            // Moves the guard into the pool, which counts as a model in memory until it is dropped.
            let _in_memory = &in_memory;
            factory()
        })
    }

    fn pool_options(&self, model: &Model) -> PoolOptions {
        let EngineConfig { threads, queue, .. } = self.config.engine;
        let name = model.id.clone();
        if LIGHT_ENGINES.contains(&model.engine.as_str()) {
            let slots = if model.engine == TURNS { self.core_count.min(TURN_SLOTS) } else { self.core_count };
            return PoolOptions { name, slots, queue, cores: None, threads: 1 };
        }
        let slots = self.config.engine.slots_for(self.core_count);
        PoolOptions { name, slots, queue, cores: Some(self.cores.clone()), threads }
    }
}

/// Runs `pool` once, so that the first request finds everything in memory and a model that cannot work is known.
async fn hear_silence(pool: &TranscriberPool, model: &Model) -> Result<()> {
    // Naming the language saves the engine from looking for it.
    let language = model.languages.first().cloned().or_else(|| Some("en".into()));
    let silence = Pcm::new(vec![0.0; SPEECH_SAMPLE_RATE as usize], SPEECH_SAMPLE_RATE);
    let options = TranscribeOptions { language, ..TranscribeOptions::default() };
    let heard = pool.run(Priority::Interactive, move |engine, cancel| engine.transcribe(&silence, &options, cancel));
    heard.await.map(drop)
}

/// As [`hear_silence`], for turns.
async fn judge_silence(pool: &TurnDetectorPool) -> Result<()> {
    let silence = Pcm::new(vec![0.0; SPEECH_SAMPLE_RATE as usize], SPEECH_SAMPLE_RATE);
    pool.run(Priority::Interactive, move |engine, cancel| engine.finished(&silence, cancel)).await.map(drop)
}

/// As [`hear_silence`], for voices.
async fn say_a_word(pool: &SynthesizerPool, voice: String) -> Result<()> {
    let options = SpeakOptions::of_voice(voice);
    let said = pool.run(Priority::Interactive, move |engine, cancel| {
        engine.synthesize(&"a".into(), &options, cancel, &mut |_| Ok(()))
    });
    said.await
}

/// The error for a name that nobody knows.
pub fn unknown(id: &str) -> Error {
    let message = format!("Unknown model '{id}'. GET /v1/models lists what this server has.");
    Error::new(Kind::NotFound, message).with_param("model").with_code("model_not_found")
}

fn wrong_task(id: &str, has: ModelTask, wanted: ModelTask) -> Error {
    let message = format!("The model '{id}' is for {}, not for {}.", has.describe(), wanted.describe());
    Error::invalid("model", message)
}

pub(super) fn not_installed(id: &str, model: &Model) -> Error {
    let message = format!("The model '{id}' is not installed. `mynah models pull {}` downloads it.", model.id);
    Error::new(Kind::NotFound, message).with_param("model").with_code("model_not_found")
}

/// Whatever went wrong while loading, it is this server's model that is not available.
fn unloadable(model: &Model, error: Error) -> Error {
    let message = format!("The model '{}' cannot be loaded: {}", model.id, error.message());
    Error::new(Kind::Unavailable, message).with_source(error).with_retry_after(Duration::from_secs(10))
}
