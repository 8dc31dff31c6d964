//! The voices of the models: the engines' own and the names that clients know from elsewhere.

use super::catalog::{Model, ModelTask};
use super::registry::Registry;
use crate::engine::Voice;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;

/// The voice alias for clients that name no voice.
const DEFAULT_VOICE: &str = "default";

/// How many voices an error names.
const NAMED_IN_ERRORS: usize = 12;

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
    /// The engine's own name, when `id` is only an alias of it.
    pub alias_of: Option<String>,
}

impl Registry {
    /// The engine's own name of `voice`, which may be an alias, for the speech model `id`.
    ///
    /// # Errors
    /// As [`Registry::resolve`] for the model; `InvalidRequest` (param `voice`) for a voice it does not have.
    pub fn voice(&self, id: &str, voice: &str) -> Result<String> {
        let model = self.installed(id)?;
        let voice = voice.trim();
        if let Some(own) = self.aliases(&model).get(&voice.to_ascii_lowercase()) {
            return Ok(own.clone());
        }
        let voices = self.own_voices(&model);
        if voices.is_empty() && !voice.is_empty() {
            return Ok(voice.to_owned());
        }
        let exact = voices.iter().find(|own| own.id == voice);
        let found = exact.or_else(|| voices.iter().find(|own| own.id.eq_ignore_ascii_case(voice)));
        found.map(|own| own.id.clone()).ok_or_else(|| self.unknown_voice(&model, voice))
    }

    /// The voice of the speech model `id` for clients that name none.
    ///
    /// # Errors
    /// As [`Registry::resolve`] for the model.
    pub fn default_voice(&self, id: &str) -> Result<String> {
        Ok(self.default_voice_of(&*self.installed(id)?))
    }

    /// Every voice of the installed models that this build can run, aliases first.
    pub fn voices(&self) -> Vec<VoiceInfo> {
        let models = self.inner.catalog.models().iter();
        let speaking = models.filter(|model| model.task == ModelTask::Speak && self.inner.is_ready(model));
        speaking.flat_map(|model| self.voices_of(model)).collect()
    }

    pub(super) fn default_voice_of(&self, model: &Model) -> String {
        let alias = self.aliases(model).get(DEFAULT_VOICE).cloned();
        let first = || self.own_voices(model).into_iter().next().map(|voice| voice.id);
        alias.or_else(first).unwrap_or_else(|| DEFAULT_VOICE.to_owned())
    }

    fn voices_of(&self, model: &Model) -> Vec<VoiceInfo> {
        let voices = self.own_voices(model);
        let language = |id: &str| voices.iter().find(|voice| voice.id == id).map(|voice| voice.language.clone());
        let aliases = self.aliases(model).iter().filter(|(alias, _)| *alias != DEFAULT_VOICE);
        let mut all: Vec<VoiceInfo> = aliases
            .map(|(alias, own)| VoiceInfo {
                id: alias.clone(),
                name: capitalized(alias),
                language: language(own).unwrap_or_default(),
                model: model.id.clone(),
                alias_of: Some(own.clone()),
            })
            .collect();
        all.extend(voices.into_iter().map(|Voice { id, name, language }| VoiceInfo {
            id,
            name,
            language,
            model: model.id.clone(),
            alias_of: None,
        }));
        all
    }

    /// The voices in the catalog, else those the engine has told.
    fn own_voices(&self, model: &Model) -> Vec<Voice> {
        let listed: Vec<Voice> = model.voices().collect();
        if listed.is_empty() { self.voices.get(&model.engine).cloned().unwrap_or_default() } else { listed }
    }

    fn aliases(&self, model: &Model) -> &BTreeMap<String, String> {
        const NONE: &BTreeMap<String, String> = &BTreeMap::new();
        self.inner.catalog.voice_aliases(&model.engine).unwrap_or(NONE)
    }

    fn unknown_voice(&self, model: &Model, voice: &str) -> Error {
        let voices = self.voices_of(model);
        let some: Vec<&str> = voices.iter().take(NAMED_IN_ERRORS).map(|voice| voice.id.as_str()).collect();
        let more = if voices.len() > some.len() { " and others: GET /v1/audio/voices lists them" } else { "" };
        let message = format!("Unknown voice '{voice}'. The model '{}' has {}{more}.", model.id, some.join(", "));
        Error::invalid("voice", message)
    }
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
