//! The catalog format: reading a file, putting one over another, and every check.
//!
//! `models/catalog.toml` documents the format.

use super::catalog::{Alias, Model, ModelFile, Target, VoiceNames};
use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The longest id of a model, in bytes: it is also the name of a folder.
const MAX_ID: usize = 128;

/// One file in the catalog format.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Document {
    pub(super) model: Vec<Model>,
    pub(super) alias: Vec<Alias>,
    pub(super) voices: BTreeMap<String, BTreeMap<String, OneOrMore>>,
    pub(super) voice_ids: BTreeMap<String, String>,
    pub(super) first_voices: Vec<String>,
    pub(super) languages: BTreeMap<String, Vec<String>>,
}

/// The voices that a name stands for.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(voice) => std::slice::from_ref(voice),
            Self::More(voices) => voices,
        }
    }
}

impl Document {
    /// Reads `text`; `origin` says in messages where it is from.
    ///
    /// # Errors
    /// `InvalidRequest` that names the file and the entry.
    pub(super) fn parse(text: &str, origin: &str) -> Result<Self> {
        let mut document: Self = toml::from_str(text).map_err(|e| broken(origin, e))?;
        for names in document.voices.values_mut() {
            *names =
                std::mem::take(names).into_iter().map(|(name, voice)| (name.to_ascii_lowercase(), voice)).collect();
        }
        let names = document.voice_ids.values_mut().chain(&mut document.first_voices);
        names.for_each(|name| name.make_ascii_lowercase());
        let mut seen = BTreeSet::new();
        let ids = document.model.iter().map(|model| &model.id).chain(document.alias.iter().map(|alias| &alias.id));
        if let Some(twice) = ids.into_iter().find(|id| !seen.insert(id.to_ascii_lowercase())) {
            return Err(broken(origin, format!("`{twice}` is there twice")));
        }
        for model in &document.model {
            check_model(model).map_err(|reason| broken(origin, format!("model `{}`: {reason}", model.id)))?;
        }
        for alias in &document.alias {
            check_alias(alias).map_err(|reason| broken(origin, format!("alias `{}`: {reason}", alias.id)))?;
        }
        Ok(document)
    }

    /// Takes over everything from `other`; what has the same id is replaced, be it a model or an alias, and names
    /// that `other` gives away lose their old meaning.
    pub(super) fn extend(&mut self, other: Document) {
        let replaced = |id: &str| {
            let same = |other: &String| other.eq_ignore_ascii_case(id);
            other.model.iter().any(|model| same(&model.id)) || other.alias.iter().any(|alias| same(&alias.id))
        };
        self.model.retain(|model| !replaced(&model.id));
        self.alias.retain(|alias| !replaced(&alias.id));
        let claimed = other.names();
        let other_names = self.model.iter_mut().map(|model| &mut model.aka);
        for aka in other_names.chain(self.alias.iter_mut().map(|alias| &mut alias.aka)) {
            aka.retain(|name| !claimed.contains(&name.to_ascii_lowercase()));
        }
        self.model.extend(other.model);
        self.alias.extend(other.alias);
        self.languages.extend(other.languages);
        self.voice_ids.extend(other.voice_ids);
        if !other.first_voices.is_empty() {
            self.first_voices = other.first_voices;
        }
        for (engine, names) in other.voices {
            self.voices.entry(engine).or_default().extend(names);
        }
    }

    /// Every id and every other name in it.
    fn names(&self) -> BTreeSet<String> {
        let models = self.model.iter().flat_map(|model| model.aka.iter().chain([&model.id]));
        let aliases = self.alias.iter().flat_map(|alias| alias.aka.iter().chain([&alias.id]));
        models.chain(aliases).map(|name| name.to_ascii_lowercase()).collect()
    }
}

fn check_model(model: &Model) -> Result<(), String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !model.id.starts_with(|c: char| c.is_ascii_alphanumeric()) || !model.id.chars().all(safe) {
        return Err("an id consists of letters, digits, `.`, `_` and `-`, and begins with a letter or digit".into());
    }
    if model.id.len() > MAX_ID {
        return Err(format!("an id has at most {MAX_ID} characters"));
    }
    if model.built_in != model.files.is_empty() {
        return Err("a model is either built in or has files".into());
    }
    let mut seen = BTreeSet::new();
    for file in &model.files {
        check_file(file).map_err(|reason| format!("file `{}`: {reason}", file.name))?;
        if !seen.insert(file.name.to_ascii_lowercase()) {
            return Err(format!("file `{}` is there twice", file.name));
        }
    }
    Ok(())
}

fn check_file(file: &ModelFile) -> Result<(), String> {
    if !is_safe_path(&file.name) {
        return Err("a file name consists of letters, digits, `.`, `_`, `-` and `+`, in at most one folder".into());
    }
    if !["http://", "https://"].iter().any(|scheme| file.url.starts_with(scheme)) {
        return Err("its url must begin with https:// or http://".into());
    }
    let digests = [("sha256", &file.sha256, 64), ("sha1", &file.sha1, 40), ("md5", &file.md5, 32)];
    for (name, digest, length) in digests {
        let good = |text: &String| text.len() == length && text.chars().all(|c| c.is_ascii_hexdigit());
        if !digest.as_ref().is_none_or(good) {
            return Err(format!("its {name} must have {length} hexadecimal digits"));
        }
    }
    Ok(())
}

/// Whether `name` is that of a file which stays in its folder on every system.
pub(super) fn is_safe_name(name: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(safe)
}

/// Whether `path` is a safe name, or one in a folder with a safe name.
pub(super) fn is_safe_path(path: &str) -> bool {
    match path.split_once('/') {
        Some((folder, name)) => is_safe_name(folder) && is_safe_name(name),
        None => is_safe_name(path),
    }
}

fn check_alias(alias: &Alias) -> Result<(), String> {
    if alias.id.trim().is_empty() || alias.id.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("an id has no spaces".into());
    }
    if alias.models.is_empty() {
        return Err("it names no model".into());
    }
    Ok(())
}

/// `languages` with every `@set` replaced by its members.
pub(super) fn expand(languages: &[String], sets: &BTreeMap<String, Vec<String>>) -> Result<Vec<String>, String> {
    let mut expanded = Vec::new();
    for language in languages {
        match language.strip_prefix('@') {
            None => expanded.push(language.clone()),
            Some(set) => {
                expanded.extend_from_slice(sets.get(set).ok_or_else(|| format!("there is no `languages.{set}`"))?)
            }
        }
    }
    Ok(expanded)
}

/// Every accepted name. Ids come first, then other names, then the ids of aliases without their vendor.
pub(super) fn names(models: &[Model], aliases: &[Alias]) -> Result<BTreeMap<String, Target>, String> {
    let mut names = BTreeMap::new();
    let ids = models.iter().enumerate().map(|(index, model)| (&model.id, &model.aka, Target::Model(index)));
    let ids = ids.chain(aliases.iter().enumerate().map(|(index, alias)| (&alias.id, &alias.aka, Target::Alias(index))));
    let ids: Vec<_> = ids.collect();
    for (id, _, target) in &ids {
        names.insert(id.to_ascii_lowercase(), *target);
    }
    for (id, aka, target) in &ids {
        for name in aka.iter() {
            let taken = names.insert(name.to_ascii_lowercase(), *target);
            if taken.is_some_and(|other| other != *target) {
                return Err(format!("`{name}`, another name of `{id}`, is already the name of something else"));
            }
        }
    }
    for (id, _, target) in &ids {
        if let Some((_, bare)) = id.split_once('/') {
            names.entry(bare.to_ascii_lowercase()).or_insert(*target);
        }
    }
    Ok(names)
}

/// The models that `alias` may stand for, best first, through other aliases.
pub(super) fn candidates(
    alias: &Alias,
    models: &[Model],
    aliases: &[Alias],
    names: &BTreeMap<String, Target>,
) -> Result<Vec<usize>, String> {
    let mut found: Vec<usize> = Vec::new();
    // Each entry is a name still to be followed and the aliases that led to it.
    let mut open: Vec<(&str, Vec<&str>)> = steps(alias, &[]);
    while let Some((name, path)) = open.pop() {
        if let Some(engine) = name.strip_prefix('@') {
            let all = (0..models.len()).filter(|index| models[*index].engine == engine);
            let new: Vec<usize> = all.filter(|index| !found.contains(index)).collect();
            found.extend(new);
            continue;
        }
        match names.get(&name.to_ascii_lowercase()) {
            None => return Err(format!("there is no model `{name}`")),
            Some(Target::Model(index)) if !found.contains(index) => found.push(*index),
            Some(Target::Model(_)) => {}
            Some(Target::Alias(index)) => {
                let next = &aliases[*index];
                if path.contains(&next.id.as_str()) {
                    return Err(format!("it leads back to itself through `{}`", next.id));
                }
                open.extend(steps(next, &path));
            }
        }
    }
    if found.is_empty() {
        return Err("it leads to no model".into());
    }
    if found.iter().any(|index| models[*index].task != models[found[0]].task) {
        return Err("it mixes models for different tasks".into());
    }
    Ok(found)
}

/// What follows from `alias`, last first, so that the best is popped first.
fn steps<'a>(alias: &'a Alias, path: &[&'a str]) -> Vec<(&'a str, Vec<&'a str>)> {
    let path: Vec<&str> = path.iter().copied().chain([alias.id.as_str()]).collect();
    alias.models.iter().rev().map(|name| (name.as_str(), path.clone())).collect()
}

/// The voices behind every name, with every `@name` replaced by what that name says.
pub(super) fn voice_names(names: BTreeMap<String, BTreeMap<String, OneOrMore>>) -> Result<VoiceNames, String> {
    let of_engine = |(engine, names): (String, BTreeMap<String, OneOrMore>)| {
        let voices = |name: &String| {
            let voices = voices_of(name, &names).map_err(|reason| format!("`voices.{engine}.{name}`: {reason}"))?;
            Ok((name.clone(), voices))
        };
        Ok((engine.clone(), names.keys().map(voices).collect::<Result<_, String>>()?))
    };
    names.into_iter().map(of_engine).collect()
}

fn voices_of(name: &str, names: &BTreeMap<String, OneOrMore>) -> Result<Vec<String>, String> {
    let mut voices = Vec::new();
    for voice in names.get(name).map(OneOrMore::as_slice).unwrap_or_default() {
        let Some(other) = voice.strip_prefix('@') else {
            voices.push(voice.clone());
            continue;
        };
        let others = names.get(other).ok_or_else(|| format!("there is no `{other}`"))?.as_slice();
        if others.iter().any(|voice| voice.starts_with('@')) {
            return Err(format!("`{other}` must not lead on to another name"));
        }
        voices.extend_from_slice(others);
    }
    if voices.is_empty() { Err("it names no voice".into()) } else { Ok(voices) }
}

/// A catalog that is wrong, with the file and the reason.
pub(super) fn broken(origin: &str, reason: impl std::fmt::Display) -> Error {
    Error::new(Kind::InvalidRequest, format!("{origin} is wrong: {reason}"))
}
