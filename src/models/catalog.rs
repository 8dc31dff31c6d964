//! What can be asked for: models with their files, and the names that stand for them.
//!
//! The catalog in the binary is `models/catalog.toml`, which also documents the format, with Piper's voices, which
//! `piper_voices.rs` adds; a file of the user's own in the same format extends and overrides it; reading and checking
//! is in `catalog_file.rs`. What is on the disk is not known here.

use super::catalog_file::{Document, broken, candidates, expand, names, voice_names};
use super::piper_voices;
use crate::engine::Voice;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const BUILT_IN: &str = include_str!("../../models/catalog.toml");

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelTask {
    /// Speech to text.
    Transcribe,
    /// Text to speech.
    Speak,
    /// Telling speakers apart.
    Diarize,
    /// Telling whether a speaker has finished.
    Turns,
}

impl ModelTask {
    /// The word for people: `speech to text`, `text to speech`, `diarization` or `turn detection`.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Transcribe => "speech to text",
            Self::Speak => "text to speech",
            Self::Diarize => "diarization",
            Self::Turns => "turn detection",
        }
    }

    /// The word of the gateway's lists and jobs: `audio-stt` or `audio-tts`; what no request asks for has none.
    pub fn modality(self) -> Option<&'static str> {
        match self {
            Self::Transcribe => Some("audio-stt"),
            Self::Speak => Some("audio-tts"),
            Self::Diarize | Self::Turns => None,
        }
    }
}

/// One model of the catalog.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name to ask for, and that of its folder.
    pub id: String,
    /// The name to show to people.
    pub name: String,
    /// What it is for.
    pub task: ModelTask,
    /// The engine that runs it, as the table of engines calls it.
    pub engine: String,
    /// Other names that are accepted but not listed.
    #[serde(default)]
    pub aka: Vec<String>,
    /// Whether the weights are inside the binary.
    #[serde(default)]
    pub built_in: bool,
    /// ISO 639-1 codes; empty when unknown.
    #[serde(default)]
    pub languages: Vec<String>,
    /// The voices, when the engine cannot say.
    #[serde(default)]
    voices: Vec<VoiceEntry>,
    /// The licence of the weights.
    #[serde(default)]
    pub licence: String,
    /// Who made it.
    #[serde(default)]
    pub owned_by: String,
    /// A sentence for people.
    #[serde(default)]
    pub description: String,
    /// When it was published, in seconds since 1970.
    #[serde(default)]
    pub created: u64,
    /// What has to be downloaded.
    #[serde(default)]
    pub files: Vec<ModelFile>,
}

impl Model {
    /// A model called `id` of which nothing else is known yet.
    pub(super) fn new(id: &str, engine: &str, task: ModelTask, files: Vec<ModelFile>) -> Self {
        Self {
            id: id.into(),
            name: id.into(),
            task,
            engine: engine.into(),
            aka: Vec::new(),
            built_in: false,
            languages: Vec::new(),
            voices: Vec::new(),
            licence: String::new(),
            owned_by: String::new(),
            description: String::new(),
            created: 0,
            files,
        }
    }

    /// The voices that the catalog lists; none when the engine has its own list.
    pub fn voices(&self) -> impl Iterator<Item = Voice> + '_ {
        self.voices.iter().map(VoiceEntry::to_voice)
    }

    /// How many bytes the files have together, as far as the catalog knows; may be approximate.
    pub fn size(&self) -> Option<u64> {
        self.files.iter().map(ModelFile::expected_size).sum()
    }

    /// Whether English is the only language.
    pub fn english_only(&self) -> bool {
        matches!(self.languages.as_slice(), [language] if language == "en")
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct VoiceEntry {
    id: String,
    name: Option<String>,
    #[serde(default)]
    language: String,
}

impl VoiceEntry {
    fn to_voice(&self) -> Voice {
        let name = self.name.clone().unwrap_or_else(|| self.id.clone());
        Voice { id: self.id.clone(), name, language: self.language.clone() }
    }
}

/// One file of a model.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Its name in the folder of the model; it may be in one more folder, as `voices/a.bin`.
    pub name: String,
    /// Where it is published.
    pub url: String,
    /// Its size in bytes, when that is known exactly.
    pub size: Option<u64>,
    /// Its size in MiB, when it is published only roughly.
    pub about_mib: Option<u64>,
    /// Its SHA-256, in hexadecimal.
    pub sha256: Option<String>,
    /// Its SHA-1, in hexadecimal.
    pub sha1: Option<String>,
    /// Its MD5, in hexadecimal.
    pub md5: Option<String>,
    /// Whether the model works without it.
    #[serde(default)]
    pub optional: bool,
}

impl ModelFile {
    /// The size in bytes to reckon with, exact or not.
    pub fn expected_size(&self) -> Option<u64> {
        self.size.or(self.about_mib.map(|mib| mib << 20))
    }

    /// Whether a digest is published.
    pub fn has_digest(&self) -> bool {
        self.sha256.is_some() || self.sha1.is_some() || self.md5.is_some()
    }
}

/// A name that stands for the first of some models that is installed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// The name to ask for.
    pub id: String,
    /// Other names that are accepted but not listed.
    #[serde(default)]
    pub aka: Vec<String>,
    /// Models or other aliases, best first.
    pub(super) models: Vec<String>,
}

/// What a name in the catalog means.
#[derive(Debug, Clone, Copy)]
pub enum Named<'a> {
    /// A model.
    Model(&'a Arc<Model>),
    /// Another name, and the models it may stand for, best first.
    Alias(&'a Alias, &'a [usize]),
}

/// Voice names that clients know, by engine: each with the engine's own voices, best first.
pub(super) type VoiceNames = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// Every model and every name. Checked once; afterwards all references hold.
#[derive(Debug, Clone)]
pub struct Catalog {
    models: Vec<Arc<Model>>,
    /// Each alias with the indices of the models it may stand for, best first.
    aliases: Vec<(Alias, Vec<usize>)>,
    voices: VoiceNames,
    voice_ids: BTreeMap<String, String>,
    first_voices: Vec<String>,
    names: BTreeMap<String, Target>,
}

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The index of a model.
    Model(usize),
    /// The index of an alias.
    Alias(usize),
}

impl Catalog {
    /// The catalog in the binary, extended and overridden by `file`.
    ///
    /// # Errors
    /// `InvalidRequest` that names the file and the entry.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let mut document = Document::parse(BUILT_IN, "the catalog in the binary")?;
        document.model.extend(piper_voices::models()?);
        let Some(path) = file else { return Self::build(document, "the catalog in the binary") };
        let origin = format!("the catalog {}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| broken(&origin, format!("cannot be read: {e}")))?;
        document.extend(Document::parse(&text, &origin)?);
        Self::build(document, &origin)
    }

    fn build(document: Document, origin: &str) -> Result<Self> {
        let mut models = document.model;
        for model in &mut models {
            model.languages = expand(&model.languages, &document.languages)
                .map_err(|reason| broken(origin, format!("model `{}`: {reason}", model.id)))?;
        }
        let voices = voice_names(document.voices).map_err(|reason| broken(origin, reason))?;
        let names = names(&models, &document.alias).map_err(|reason| broken(origin, reason))?;
        let mut aliases = Vec::new();
        for alias in &document.alias {
            let candidates = candidates(alias, &models, &document.alias, &names)
                .map_err(|reason| broken(origin, format!("alias `{}`: {reason}", alias.id)))?;
            aliases.push((alias.clone(), candidates));
        }
        let models = models.into_iter().map(Arc::new).collect();
        let Document { voice_ids, first_voices, .. } = document;
        Ok(Self { models, aliases, voices, voice_ids, first_voices, names })
    }

    /// Every model, in the order of the catalog.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.models
    }

    /// Every alias with the models it may stand for, best first.
    pub fn aliases(&self) -> impl Iterator<Item = (&Alias, &[usize])> {
        self.aliases.iter().map(|(alias, candidates)| (alias, candidates.as_slice()))
    }

    /// What `name` means: letter case does not matter, and a vendor's prefix may be missing or be too much.
    pub fn find(&self, name: &str) -> Option<Named<'_>> {
        let name = name.trim().to_ascii_lowercase();
        let bare = name.rsplit('/').next().unwrap_or_default();
        let target = self.names.get(&name).or_else(|| self.names.get(bare))?;
        Some(match *target {
            Target::Model(index) => Named::Model(&self.models[index]),
            Target::Alias(index) => Named::Alias(&self.aliases[index].0, &self.aliases[index].1),
        })
    }

    /// The model at `index`, as [`Named::Alias`] gives it.
    pub fn model(&self, index: usize) -> &Arc<Model> {
        &self.models[index]
    }

    /// The names that clients know for voices of `engine`: lowercase name → the engine's own voices, best first.
    pub fn voice_aliases(&self, engine: &str) -> Option<&BTreeMap<String, Vec<String>>> {
        self.voices.get(engine)
    }

    /// Whether clients know `name`, in lowercase, as that of a voice, be it another engine's.
    pub fn is_voice_alias(&self, name: &str) -> bool {
        self.voices.values().any(|names| names.contains_key(name))
    }

    /// Every voice name that clients know, in lowercase and alphabetical, each once.
    pub fn voice_names(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> = self.voices.values().flat_map(|names| names.keys().map(String::as_str)).collect();
        names.into_iter()
    }

    /// The ids under which clients know voices: id → lowercase name.
    pub fn voice_ids(&self) -> &BTreeMap<String, String> {
        &self.voice_ids
    }

    /// The voice names to tell first, in lowercase.
    pub fn first_voices(&self) -> &[String] {
        &self.first_voices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_user_file(text: &str) -> Result<Catalog> {
        let mut document = Document::parse(BUILT_IN, "built in")?;
        document.model.extend(piper_voices::models()?);
        document.extend(Document::parse(text, "my.toml")?);
        Catalog::build(document, "my.toml")
    }

    fn wrong(text: &str) -> String {
        with_user_file(text).expect_err("the file is wrong").to_string()
    }

    fn first_candidate<'a>(catalog: &'a Catalog, name: &str) -> &'a str {
        match catalog.find(name) {
            Some(Named::Alias(_, candidates)) => &catalog.model(candidates[0]).id,
            Some(Named::Model(model)) => &model.id,
            None => "nothing",
        }
    }

    #[test]
    fn every_name_a_client_may_know_leads_to_a_model() {
        let catalog = Catalog::load(None).expect("the catalog in the binary is good");
        let transcribe = "openai/whisper-1 deepgram/nova-3 deepgram/flux whisper-1 gpt-4o-transcribe \
            gpt-4o-mini-transcribe gpt-4o-transcribe-diarize gpt-transcribe nova-3 flux openai/gpt-4o-transcribe nova-2-phonecall \
            deepgram/nova-2-general Nova-3-Medical enhanced-meeting";
        for name in transcribe.split_whitespace() {
            assert_eq!(first_candidate(&catalog, name), "whisper-large-v3-turbo", "{name}");
        }
        let speak = "elevenlabs/eleven-flash-2.5 elevenlabs/eleven-v3 cartesia/sonic-2 openai/tts-hd tts-1 tts-1-hd \
            gpt-4o-mini-tts eleven-v3 openai/tts-1 OpenAI/TTS-1";
        for name in speak.split_whitespace() {
            assert_eq!(first_candidate(&catalog, name), "kokoro-82m", "{name}");
        }
        for name in ["kokoro", "hexgrad/Kokoro-82M", "speaches-ai/Kokoro-82M-v1.0-ONNX"] {
            assert!(matches!(catalog.find(name), Some(Named::Model(model)) if model.id == "kokoro-82m"), "{name}");
        }
        assert!(matches!(catalog.find("diarization"), Some(Named::Alias(..))));
        for name in ["whisper-tiny.en", "tiny.en", "openai/whisper-tiny.en"] {
            assert_eq!(first_candidate(&catalog, name), "whisper-tiny.en");
        }
        assert!(catalog.find("foo").is_none() && catalog.find("").is_none());
    }

    #[test]
    fn the_last_resort_of_every_alias_is_built_in() {
        let catalog = Catalog::load(None).expect("good");
        for (alias, candidates) in catalog.aliases() {
            let last = candidates.last().map(|index| catalog.model(*index));
            assert!(last.is_some_and(|model| model.built_in), "{}", alias.id);
        }
    }

    #[test]
    fn natural_voices_come_first_and_english_ones_among_those_of_piper() {
        let catalog = Catalog::load(None).expect("good");
        let Some(Named::Alias(_, candidates)) = catalog.find("tts-1") else { panic!("an alias") };
        let ids: Vec<&str> = candidates.iter().map(|index| catalog.model(*index).id.as_str()).collect();
        assert_eq!(ids.len(), 99);
        assert!(ids[0] == "kokoro-82m" && ids[98] == "mynah-voice" && ids[1].starts_with("en_US-"), "{ids:?}");
        let english = ids.iter().skip(1).take_while(|id| id.starts_with("en_")).count();
        assert_eq!(ids.iter().filter(|id| id.starts_with("en_")).count(), english);
    }

    #[test]
    fn the_files_of_kokoro_keep_their_folder_and_only_one_voice_is_needed() {
        let catalog = Catalog::load(None).expect("good");
        let Some(Named::Model(kokoro)) = catalog.find("kokoro-82m") else { panic!("a model") };
        let needed: Vec<&str> = kokoro.files.iter().filter(|it| !it.optional).map(|it| it.name.as_str()).collect();
        assert_eq!((kokoro.files.len(), needed), (42, vec!["model.onnx", "voices/af_heart.bin"]));
    }

    #[test]
    fn every_voice_name_leads_to_published_voices_of_kokoro() {
        let catalog = Catalog::load(None).expect("good");
        let Some(Named::Model(kokoro)) = catalog.find("kokoro-82m") else { panic!("a model") };
        let published = |voice: &String| kokoro.files.iter().any(|file| file.name == format!("voices/{voice}.bin"));
        let names = catalog.voice_aliases("kokoro").expect("there is a table");
        assert!(names.values().flatten().all(published));
        let espeak = catalog.voice_aliases("espeak").expect("there is a table");
        assert!(espeak.keys().all(|name| names.contains_key(name)), "both know every name");
        assert_eq!(names["alloy"][..2], ["af_alloy", "af_heart"]);
        assert!(catalog.voice_ids().values().chain(catalog.first_voices()).all(|name| names.contains_key(name)));
    }

    #[test]
    fn every_whisper_model_has_a_digest_and_a_size() {
        let catalog = Catalog::load(None).expect("good");
        let is_pulled = |model: &&Arc<Model>| model.engine == "whisper" && !model.files.is_empty();
        let whisper: Vec<&Arc<Model>> = catalog.models().iter().filter(is_pulled).collect();
        assert_eq!(whisper.len(), 33);
        assert!(whisper.iter().all(|model| model.size().is_some() && model.files[0].sha1.is_some()));
        assert!(whisper.iter().all(|model| model.english_only() == model.id.contains(".en")));
    }

    #[test]
    fn a_file_of_the_user_extends_and_overrides() {
        let catalog = with_user_file(
            r#"
            [[model]]
            id = "small"
            aka = ["turbo"]
            name = "Mine"
            task = "transcribe"
            engine = "unheard-of"
            files = [{ name = "a.bin", url = "http://models/a.bin" }, { name = "b.json", url = "http://models/b" }]
            [[alias]]
            id = "whisper-1"
            models = ["small", "mynah-demo.en"]
            [voices.espeak]
            Rachel = "en-gb"
            "#,
        )
        .expect("good");
        for name in ["openai/whisper-1", "small", "turbo"] {
            assert_eq!(first_candidate(&catalog, name), "small");
        }
        let voices = catalog.voice_aliases("espeak").expect("espeak has aliases");
        assert_eq!(
            (voices["rachel"].as_slice(), voices["alloy"].as_slice()),
            (&["en-gb".into()][..], &["en-us".into()][..])
        );
    }

    #[test]
    fn a_mistake_is_named_with_its_file_and_entry() {
        let model =
            |rest: &str| format!("[[model]]\nid = \"m\"\nname = \"M\"\nengine = \"e\"\ntask = \"speak\"\n{rest}");
        let file = |rest: &str| model(&format!("files = [{{ url = \"http://h/x\", {rest} }}]"));
        let cases = [
            (model("built_in = true\nspeed = 3"), "unknown field `speed`"),
            (model(""), "model `m`: a model is either built in or has files"),
            (file("name = '../x'"), "model `m`: file `../x`"),
            (file("name = 'a/b/x'"), "model `m`: file `a/b/x`"),
            (file("name = 'a/../x'"), "model `m`: file `a/../x`"),
            (file("name = '/x'"), "model `m`: file `/x`"),
            ("[[alias]]\nid = 'a'\nmodels = ['@no']".into(), "alias `a`: it leads to no model"),
            ("[voices.e]\na = ['@b']".into(), "`voices.e.a`: there is no `b`"),
            ("[voices.e]\na = ['@b']\nb = ['@a']".into(), "`voices.e.a`: `b` must not lead on"),
            ("[voices.e]\na = []".into(), "`voices.e.a`: it names no voice"),
            (file("name = 'x', sha1 = 'ab'"), "file `x`: its sha1"),
            (model("built_in = true\nlanguages = ['@no']"), "model `m`: there is no `languages.no`"),
            (model("built_in = true\naka = ['tts-1']"), "`tts-1`, another name of `m`"),
            ("[[alias]]\nid = 'a'\nmodels = ['no']".into(), "alias `a`: there is no model `no`"),
            ("[[alias]]\nid = 'a'\nmodels = ['a']".into(), "alias `a`: it leads back"),
            ("[[alias]]\nid = 'a'\nmodels = ['tts-1', 'whisper-1']".into(), "alias `a`: it mixes"),
            ("[[alias]]\nid = 'a'\nmodels = ['tts-1']\n[[alias]]\nid = 'A'\nmodels = ['tts-1']".into(), "`A` is there"),
            ("[[alias]\n".into(), "line 1"),
        ];
        for (text, expected) in cases {
            let message = wrong(&text);
            assert!(message.starts_with("my.toml is wrong: ") && message.contains(expected), "{message}");
        }
    }

    #[test]
    fn aliases_in_a_ring_are_refused() {
        let ring = "[[alias]]\nid = 'a'\nmodels = ['b']\n[[alias]]\nid = 'b'\nmodels = ['a']";
        assert!(wrong(ring).contains("leads back to itself"));
    }
}
