//! The voices of the models: the engines' own, the names that clients know from elsewhere, and who speaks for a request.

use super::catalog::{Model, ModelFile};
use super::piper_voices::MODEL_CARD;
use super::registry::{ModelInfo, Registry};
use crate::engine::Voice;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The voice alias for clients that name no voice; what begins with it is not listed.
const DEFAULT_VOICE: &str = "default";

/// The name of a model for which the names that clients know are listed.
const STOCK_MODEL: &str = "tts-1";

/// How many voices an error names.
const NAMED_IN_ERRORS: usize = 14;

/// The longest licence that is taken from a card, in characters.
const LONGEST_LICENCE: usize = 200;

/// A voice that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VoiceInfo {
    /// The name to ask for.
    pub id: String,
    /// The name to show to people.
    pub name: String,
    /// Language tag; empty when unknown.
    pub language: String,
    /// The model that has it.
    pub model: String,
    /// The licence of that model; empty when unknown.
    pub licence: String,
    /// The engine's own name, when `id` is only an alias of it.
    pub alias_of: Option<String>,
}

/// Who speaks for a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Speaker {
    /// The model; [`ModelInfo::model_id`] is what to load.
    pub model: ModelInfo,
    /// The engine's own name of the voice.
    pub voice: String,
    /// The language tag of the voice itself; empty when unknown. It need not be the language that was asked for: some
    /// engines speak others in the same voice.
    pub language: String,
}

impl Registry {
    /// Who speaks when `model`, which may be an alias, is asked for `voice` (`None`: whichever it likes) in `language`
    /// (a tag such as `de` or `en-GB`; `None`: the voice's own).
    ///
    /// An alias leads to its best model that speaks the language and has the voice. A voice that `model` does not have
    /// but exactly one other installed model has is spoken by that one. A name that clients know from elsewhere is a
    /// voice of every model, one of the language if there is any.
    ///
    /// # Errors
    /// As [`Registry::resolve`] for the model; `InvalidRequest` (param `voice`) for a voice that nobody here has.
    pub fn speaker(&self, model: &str, voice: Option<&str>, language: Option<&str>) -> Result<Speaker> {
        let language = language.map(str::trim).filter(|language| !language.is_empty());
        let candidates = self.ranked(self.speaking(model)?, language);
        let Some(voice) = voice.map(str::trim) else {
            let best = &candidates[0];
            return Ok(self.speaker_with(model, best, self.default_voice_in(best, &self.own_voices(best), language)));
        };
        let voice_in = |found: &Arc<Model>| self.voice_in(found, &self.own_voices(found), voice, language);
        let found = candidates.iter().find_map(|found| Some((found, voice_in(found)?)));
        if let Some((found, voice)) = found {
            return Ok(self.speaker_with(model, found, voice));
        }
        if let Some((other, voice)) = self.elsewhere(&candidates, voice) {
            return Ok(self.speaker_with(&other.id, &other, voice));
        }
        // An engine that does not tell its voices judges them itself.
        let silent = candidates.iter().find(|found| !voice.is_empty() && self.own_voices(found).is_empty());
        let silent = silent.map(|found| self.speaker_with(model, found, voice.to_owned()));
        silent.ok_or_else(|| self.unknown_voice(&candidates[0], voice))
    }

    /// The engine's own name of `voice`, which may be an alias, for the speech model `id`.
    ///
    /// # Errors
    /// As [`Registry::speaker`].
    pub fn voice(&self, id: &str, voice: &str) -> Result<String> {
        Ok(self.speaker(id, Some(voice), None)?.voice)
    }

    /// The voice of the speech model `id` for clients that name none.
    ///
    /// # Errors
    /// As [`Registry::resolve`] for the model.
    pub fn default_voice(&self, id: &str) -> Result<String> {
        Ok(self.default_voice_of(&*self.installed(id)?))
    }

    /// Every voice of the installed models that this build can run: first the names that clients know from elsewhere,
    /// each once, then the engines' own.
    pub fn voices(&self) -> Vec<VoiceInfo> {
        let models = self.all_speaking(STOCK_MODEL);
        let Some(best) = models.first() else { return Vec::new() };
        let mut all = self.stock_voices(best);
        let mut seen: BTreeSet<String> = all.iter().map(|voice| voice.id.clone()).collect();
        for model in &models {
            let licence = self.licence(model);
            for Voice { id, name, language } in self.own_voices(model).iter().cloned() {
                if seen.insert(id.clone()) {
                    let (model, licence) = (model.id.clone(), licence.clone());
                    all.push(VoiceInfo { id, name, language, model, licence, alias_of: None });
                }
            }
        }
        all
    }

    /// The names that clients know, as voices of `model`.
    fn stock_voices(&self, model: &Model) -> Vec<VoiceInfo> {
        let (voices, licence) = (self.own_voices(model), self.licence(model));
        let stock = |name: &str| {
            let own = self.voice_in(model, &voices, name, None)?;
            Some(VoiceInfo {
                id: name.to_owned(),
                name: capitalized(name),
                language: language_of(&own, &voices),
                model: model.id.clone(),
                licence: licence.clone(),
                alias_of: Some(own),
            })
        };
        self.stock_names().into_iter().filter_map(stock).collect()
    }

    /// The id under which some clients know the voice called `name`, such as `21m00Tcm4TlvDq8ikWAM` for `rachel`.
    pub fn voice_id_of(&self, name: &str) -> Option<&str> {
        let mut ids = self.inner.catalog.voice_ids().iter();
        ids.find(|(_, known)| *known == name).map(|(id, _)| id.as_str())
    }

    /// The languages that the speech model `id` speaks, as codes without region, in order; empty when unknown.
    pub fn spoken_languages(&self, id: &str) -> Vec<String> {
        let Ok(model) = self.installed(id) else { return Vec::new() };
        let voices = self.own_voices(&model);
        let tags = voices.iter().map(|voice| voice.language.as_str()).chain(model.languages.iter().map(String::as_str));
        let codes: BTreeSet<String> = tags.map(|tag| primary(tag).to_ascii_lowercase()).collect();
        codes.into_iter().filter(|code| !code.is_empty()).collect()
    }

    pub(super) fn default_voice_of(&self, model: &Model) -> String {
        self.default_voice_in(model, &self.own_voices(model), None)
    }

    fn speaker_with(&self, asked: &str, model: &Model, voice: String) -> Speaker {
        let language = language_of(&voice, &self.own_voices(model));
        Speaker { model: self.describe_as(asked, model), voice, language }
    }

    /// `models` with those that speak `language` first; within an engine those that speak it as in the region asked for.
    fn ranked(&self, mut models: Vec<Arc<Model>>, language: Option<&str>) -> Vec<Arc<Model>> {
        let Some(language) = language else { return models };
        let engines: Vec<String> = models.iter().map(|model| model.engine.clone()).collect();
        models.sort_by_cached_key(|model| {
            let fit = self.own_voices(model).iter().map(|voice| Fit::of(&voice.language, language)).max();
            let listed = model.languages.iter().map(|spoken| Fit::of(spoken, language)).max();
            let fit = fit.or(listed).unwrap_or(Fit::None);
            (fit == Fit::None, engines.iter().position(|engine| *engine == model.engine), fit != Fit::Exact)
        });
        models
    }

    /// The one of the own `voices` of `model` that `voice` stands for, if any.
    fn voice_in(&self, model: &Model, voices: &[Voice], voice: &str, language: Option<&str>) -> Option<String> {
        let name = self.inner.catalog.voice_ids().get(voice).cloned().unwrap_or_else(|| voice.to_ascii_lowercase());
        if let Some(names) = self.aliases(model).get(&name) {
            return pick(names, voices, language).or_else(|| Some(self.default_voice_in(model, voices, language)));
        }
        let exact = || voices.iter().find(|own| own.id == voice);
        let alike = || voices.iter().find(|own| own.id.eq_ignore_ascii_case(voice));
        let called = || {
            let mut called = voices.iter().filter(|own| own.name.eq_ignore_ascii_case(voice));
            called.next().filter(|_| called.next().is_none())
        };
        if let Some(own) = exact().or_else(alike).or_else(called) {
            return Some(own.id.clone());
        }
        // The model of several speakers is asked for by its own name as well.
        if voice.eq_ignore_ascii_case(&model.id) {
            return Some(self.default_voice_in(model, voices, language));
        }
        // Of a voice like `de+f3` or `af_heart(2)+af_bella` only the engine knows all; it refuses what it does not have.
        if base(voice) != voice && voices.iter().any(|own| base(&own.id) == base(voice)) {
            return Some(voice.to_owned());
        }
        // Who knows the name of a voice from elsewhere wants to hear something.
        self.inner.catalog.is_voice_alias(&name).then(|| self.default_voice_in(model, voices, language))
    }

    /// The only other model that has `voice` itself, and what it calls it.
    fn elsewhere(&self, models: &[Arc<Model>], voice: &str) -> Option<(Arc<Model>, String)> {
        let others = self.all_speaking(STOCK_MODEL).into_iter();
        let others = others.filter(|other| models.iter().all(|model| model.id != other.id));
        let mut found = others.filter_map(|other| {
            let voices = self.own_voices(&other);
            let own = voices.iter().find(|own| own.id.eq_ignore_ascii_case(voice));
            let with_more = || voices.iter().find(|own| base(voice) != voice && base(&own.id) == base(voice));
            let named = || other.id.eq_ignore_ascii_case(voice).then(|| self.default_voice_in(&other, &voices, None));
            let own = own.map(|own| own.id.clone()).or_else(|| with_more().map(|_| voice.to_owned()));
            let own = own.or_else(named)?;
            Some((other, own))
        });
        found.next().filter(|_| found.next().is_none())
    }

    /// The one of the own `voices` of `model` for those who name none.
    fn default_voice_in(&self, model: &Model, voices: &[Voice], language: Option<&str>) -> String {
        let named = self.aliases(model).get(DEFAULT_VOICE).and_then(|names| pick(names, voices, language));
        let ids: Vec<String> = voices.iter().map(|voice| voice.id.clone()).collect();
        named.or_else(|| pick(&ids, voices, language)).unwrap_or_else(|| DEFAULT_VOICE.to_owned())
    }

    /// The voices in the catalog, else those that its engine reads off its files, else those the engine has told.
    fn own_voices(&self, model: &Model) -> Arc<[Voice]> {
        let listed: Arc<[Voice]> = model.voices().collect();
        if !listed.is_empty() {
            return listed;
        }
        let (inner, told) = (&self.inner, || self.voices.get(&model.engine).cloned().unwrap_or_default());
        let Some(read) = inner.engines.voice_reader(&model.engine) else { return told() };
        let (Some(paths), Some(weights)) = (inner.folder.paths(model), inner.folder.weights(model)) else {
            return told();
        };
        inner.voices_read.get(&model.id, paths, || read(&weights))
    }

    fn aliases(&self, model: &Model) -> &BTreeMap<String, Vec<String>> {
        const NONE: &BTreeMap<String, Vec<String>> = &BTreeMap::new();
        self.inner.catalog.voice_aliases(&model.engine).unwrap_or(NONE)
    }

    /// Every voice name that clients know, those to tell first at the front.
    fn stock_names(&self) -> Vec<&str> {
        let catalog = &self.inner.catalog;
        let first = catalog.first_voices().iter().map(String::as_str).filter(|name| catalog.is_voice_alias(name));
        let mut names: Vec<&str> = first.collect();
        let others: Vec<&str> = catalog.voice_names().filter(|name| !names.contains(name)).collect();
        names.extend(others.into_iter().filter(|name| !name.starts_with(DEFAULT_VOICE)));
        names
    }

    /// The licence of `model`: that of its card, if it has one that says so.
    fn licence(&self, model: &Model) -> String {
        let files = self.inner.folder.files(model).unwrap_or_default();
        let card = files.iter().find(|(ModelFile { name, .. }, _)| name == MODEL_CARD);
        let card = card.and_then(|(_, path)| std::fs::read_to_string(path).ok());
        card.and_then(|card| licence_in(&card)).unwrap_or_else(|| model.licence.clone())
    }

    fn unknown_voice(&self, model: &Model, voice: &str) -> Error {
        let own = self.own_voices(model);
        let (own, names) = (own.iter().map(|voice| voice.id.as_str()), self.stock_names());
        // Who has pulled a model with a few voices wants to see those, not the names that lead to them.
        let all: Vec<&str> = match self.aliases(model).is_empty() {
            true => own.chain(names).collect(),
            false => names.into_iter().chain(own).collect(),
        };
        let some = &all[..all.len().min(NAMED_IN_ERRORS)];
        let more = if all.len() > some.len() { " and others: GET /v1/audio/voices lists them" } else { "" };
        let message = format!("Unknown voice '{voice}'. The model '{}' has {}{more}.", model.id, some.join(", "));
        Error::invalid("voice", message)
    }
}

/// How well a voice suits a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    None,
    /// The language, maybe as in another region.
    Language,
    /// The same tag.
    Exact,
}

impl Fit {
    fn of(spoken: &str, asked: &str) -> Self {
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        match (spoken.replace('_', "-"), asked.replace('_', "-")) {
            (spoken, asked) if same(&spoken, &asked) => Self::Exact,
            (spoken, asked) if same(primary(&spoken), primary(&asked)) => Self::Language,
            _ => Self::None,
        }
    }
}

/// The language in `tag` without region and script; some have two codes.
fn primary(tag: &str) -> &str {
    match tag.split('-').next().unwrap_or_default() {
        code if code.eq_ignore_ascii_case("cmn") => "zh",
        code if code.eq_ignore_ascii_case("nb") => "no",
        code => code,
    }
}

/// The one of `names` that suits `language` best, else the first, as long as it is in `voices`.
fn pick(names: &[String], voices: &[Voice], language: Option<&str>) -> Option<String> {
    let there = |name: &&String| voices.is_empty() || voices.iter().any(|own| base(&own.id) == base(name));
    let mut best = (names.first().filter(there), Fit::None);
    for name in names.iter().filter(there) {
        let fit = language.map_or(Fit::None, |language| Fit::of(&language_of(name, voices), language));
        if fit > best.1 {
            best = (Some(name), fit);
        }
    }
    best.0.cloned()
}

/// The language of `voice`, which may be a variant of one of `voices`; empty when unknown.
fn language_of(voice: &str, voices: &[Voice]) -> String {
    let exact = voices.iter().find(|own| own.id == voice);
    let found = exact.or_else(|| voices.iter().find(|own| base(&own.id) == base(voice)));
    found.map(|own| own.language.clone()).unwrap_or_default()
}

/// `voice` without its variant, its speaker, or what it is blended with.
fn base(voice: &str) -> &str {
    voice.split(['+', '#', '(']).next().unwrap_or_default()
}

/// The licence that a card tells in a line like `* License: MIT`.
fn licence_in(card: &str) -> Option<String> {
    let mut lines = card.lines().map(|line| line.trim_start_matches(['*', '-', ' ']));
    let licence = lines.find_map(|line| {
        let (key, value) = line.split_once(':')?;
        ["license", "licence"].iter().any(|known| key.trim().eq_ignore_ascii_case(known)).then(|| value.trim())
    });
    let licence: String = licence?.chars().filter(|c| !c.is_control()).take(LONGEST_LICENCE).collect();
    Some(licence).filter(|licence| !licence.is_empty())
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Voices that have been read off the files of models, kept while those stay the same.
#[derive(Default)]
pub(super) struct VoicesRead {
    entries: Mutex<HashMap<String, Read>>,
}

struct Read {
    files: Vec<(PathBuf, Option<SystemTime>)>,
    voices: Arc<[Voice]>,
}

impl VoicesRead {
    /// The voices of the model `id`, whose files are at `paths`; `read` says them when it has to be looked anew.
    fn get(&self, id: &str, paths: Vec<PathBuf>, read: impl FnOnce() -> Vec<Voice>) -> Arc<[Voice]> {
        let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let files: Vec<_> = paths.into_iter().map(|path| (changed(&path), path)).map(|(at, path)| (path, at)).collect();
        let known = |entries: &HashMap<String, Read>| {
            entries.get(id).filter(|known| known.files == files).map(|known| known.voices.clone())
        };
        if let Some(voices) = known(&self.entries.lock().unwrap_or_else(PoisonError::into_inner)) {
            return voices;
        }
        // Not under the lock: reading takes a while, and two who read the same do no harm.
        let voices: Arc<[Voice]> = read().into();
        let read = Read { files, voices: voices.clone() };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), read);
        voices
    }
}

#[cfg(test)]
mod tests;
