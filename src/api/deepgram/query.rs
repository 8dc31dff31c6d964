//! What the parameters of `/v1/listen` ask for.
//!
//! Parameters that nobody knows are ignored, because client libraries send more than is documented. Those that Deepgram
//! has and this server cannot honour are refused by name.

use super::replace::Replacement;
use super::response::Wanted;
use crate::api::languages;
use crate::app::App;
use crate::audio::decode::raw::{self, RawEncoding, RawFormat};
use crate::engine::TranscribeOptions;
use crate::error::{Error, Kind, Result};
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use axum::extract::Query;
use axum::http::Uri;
use std::time::Duration;

/// The model of clients that name none.
pub(super) const DEFAULT_MODEL: &str = "deepgram/nova-3";

/// The pause that ends an utterance when the client names none.
const UTTERANCE_SPLIT: Duration = Duration::from_millis(800);

/// Parameters that change the answer in ways that this server does not have. Switched off they are fine.
const REFUSED: [&str; 14] = [
    "custom_intent",
    "custom_topic",
    "detect_entities",
    "dictation",
    "filler_words",
    "intents",
    "measurements",
    "numerals",
    "profanity_filter",
    "redact",
    "search",
    "sentiment",
    "summarize",
    "topics",
];

/// Encodings of headerless sound that have no decoder here.
pub(super) const NO_DECODER: [&str; 4] = ["amr-nb", "amr-wb", "speex", "g729"];

/// A query that has been understood.
pub struct Asked {
    /// What transcribes.
    pub model: ModelInfo,
    /// What the engine is to do.
    pub options: TranscribeOptions,
    /// Whether voices are told apart.
    pub diarize: bool,
    /// Whether every channel is transcribed by itself.
    pub multichannel: bool,
    /// What is to be written another way.
    pub replacements: Vec<Replacement>,
    /// What the sound is when it has no header.
    pub raw: Option<RawFormat>,
    /// What the answer tells.
    pub wanted: Wanted,
    /// Where the answer is pushed, and whether by PUT; `None` for whoever waits for it.
    pub callback: Option<(String, bool)>,
}

impl Asked {
    /// Reads the parameters in `uri`.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    pub fn parse(app: &App, uri: &Uri) -> Result<Self> {
        let query = Parameters::read(uri)?;
        query.refuse(&REFUSED)?;
        let id = query.text("model").unwrap_or(DEFAULT_MODEL);
        let model = app.models.resolve(id, ModelTask::Transcribe).map_err(wrong_model)?;
        let language = query.language(&model)?;
        let wanted = query.wanted(&language)?;
        let options = TranscribeOptions {
            language: language.one,
            languages: language.several,
            keywords: query.keywords()?,
            words: true,
            ..TranscribeOptions::default()
        };
        let (diarize, multichannel, raw) = (query.diarize()?, query.flag("multichannel")?, query.raw()?);
        let replacements = query.replacements()?;
        let callback = query.callback()?;
        Ok(Self { model, options, diarize, multichannel, replacements, raw, wanted, callback })
    }
}

/// Deepgram has no 404 for a model: it is a parameter as any other.
pub(super) fn wrong_model(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound => Error::invalid("model", error.message().to_owned()),
        _ => error,
    }
}

/// The language that is spoken, as far as the client says.
pub(super) struct Language {
    /// The only one.
    pub(super) one: Option<String>,
    /// Those it may be; empty allows all.
    pub(super) several: Vec<String>,
    /// Whether the client wants to be told.
    pub(super) detect: bool,
    /// Whether several may be spoken.
    pub(super) multi: bool,
}

/// The parameters of a request, in their order.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn read(uri: &Uri) -> Result<Self> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|e| Error::new(Kind::InvalidRequest, "The query cannot be read.").with_source(e))?;
        Ok(Self(pairs))
    }

    /// The values of `name`, without those that are empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let values = self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.trim());
        values.filter(|value| !value.is_empty())
    }

    /// The last value of `name`.
    pub(super) fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).last()
    }

    /// All values of `name`, repeated or joined by commas.
    pub(super) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool> {
        match self.text(name) {
            None => Ok(false),
            Some(value) => boolean(value).ok_or_else(|| wrong(name, value, "true or false")),
        }
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &'static str, wanted: &str) -> Result<Option<T>> {
        let parse = |value: &str| value.parse().map_err(|_| wrong(name, value, wanted));
        self.text(name).map(parse).transpose()
    }

    /// Refuses the parameters called `names`, unless they are switched off.
    pub(super) fn refuse(&self, names: &[&'static str]) -> Result<()> {
        for name in names.iter().copied() {
            let asks = self.all(name).any(|value| boolean(value) != Some(false));
            if asks {
                let message = format!("`{name}` is not supported by this server.");
                return Err(Error::invalid(name, message).with_code("unsupported_parameter"));
            }
        }
        Ok(())
    }

    fn wanted(&self, language: &Language) -> Result<Wanted> {
        let smart_format = self.flag("smart_format")?;
        let paragraphs = self.flag("paragraphs")? || smart_format;
        Ok(Wanted {
            punctuate: self.flag("punctuate")? || paragraphs,
            paragraphs,
            utterances: if self.flag("utterances")? { Some(self.utterance_split()?) } else { None },
            detect_language: language.detect,
            multi: language.multi,
            tags: self.all("tag").map(str::to_owned).collect(),
        })
    }

    fn utterance_split(&self) -> Result<Duration> {
        let seconds: Option<f64> = self.number("utt_split", "seconds")?;
        let parse = |seconds| {
            let split = Duration::try_from_secs_f64(seconds);
            split.map_err(|_| wrong("utt_split", &seconds.to_string(), "seconds"))
        };
        seconds.map_or(Ok(UTTERANCE_SPLIT), parse)
    }

    /// `diarize`, which newer clients ask for by naming a model.
    pub(super) fn diarize(&self) -> Result<bool> {
        match self.text("diarize_model") {
            None => self.flag("diarize"),
            Some("latest" | "v1" | "v2") => Ok(self.text("diarize").is_none() || self.flag("diarize")?),
            Some(value) => Err(wrong("diarize_model", value, "latest, v1 or v2")),
        }
    }

    /// `language` and `detect_language`; like Deepgram's, the server expects English when it is told nothing.
    pub(super) fn language(&self, model: &ModelInfo) -> Result<Language> {
        let several = self.detected_languages(model)?;
        let detect = several.is_some();
        let several = several.unwrap_or_default();
        let multi = !detect && self.text("language") == Some("multi");
        if model.english_only {
            self.given_language(model)?;
            return Ok(Language { one: Some("en".into()), several: Vec::new(), detect, multi });
        }
        let one = if detect || multi { None } else { Some(self.given_language(model)?) };
        match (&one, &several[..]) {
            (None, [only]) => Ok(Language { one: Some(only.clone()), several: Vec::new(), detect, multi }),
            _ => Ok(Language { one, several, detect, multi }),
        }
    }

    fn given_language(&self, model: &ModelInfo) -> Result<String> {
        match self.text("language") {
            None | Some("multi") => Ok("en".to_owned()),
            Some(given) => code_of("language", given, model),
        }
    }

    /// The languages to choose from, all of them being the empty list; `None` when nothing is to be detected.
    fn detected_languages(&self, model: &ModelInfo) -> Result<Option<Vec<String>>> {
        let (mut detect, mut several) = (false, Vec::new());
        for value in self.list("detect_language") {
            match boolean(value) {
                Some(value) => detect |= value,
                None => several.push(code_of("detect_language", value, model)?),
            }
        }
        Ok((detect || !several.is_empty()).then_some(several))
    }

    /// `keyterm`, and `keywords` with their boosts, of which only the sign can be honoured.
    pub(super) fn keywords(&self) -> Result<Vec<String>> {
        let mut keywords: Vec<String> = self.list("keyterm").map(str::to_owned).collect();
        for entry in self.list("keywords") {
            let (word, boost) = match entry.rsplit_once(':') {
                Some((word, boost)) => (word, boost.parse().map_err(|_| wrong("keywords", entry, "word:boost"))?),
                None => (entry, 1.0_f64),
            };
            if boost.is_nan() || boost <= 0.0 {
                let message = format!("`keywords` can make words more likely, not less: `{entry}`.");
                return Err(Error::invalid("keywords", message));
            }
            keywords.push(word.trim().to_owned());
        }
        keywords.retain(|word| !word.is_empty());
        Ok(keywords)
    }

    fn callback(&self) -> Result<Option<(String, bool)>> {
        let method = self.text("callback_method").unwrap_or("post").to_ascii_lowercase();
        let put = match method.as_str() {
            "post" => false,
            "put" => true,
            other => return Err(wrong("callback_method", other, "post or put")),
        };
        Ok(self.text("callback").map(|address| (address.to_owned(), put)))
    }

    pub(super) fn replacements(&self) -> Result<Vec<Replacement>> {
        let parse = |text| Replacement::parse(text).ok_or_else(|| wrong("replace", text, "find:replacement"));
        self.all("replace").map(parse).collect()
    }

    /// What headerless sound is. In a container, the container says it, and so do FLAC and Ogg Opus.
    fn raw(&self) -> Result<Option<RawFormat>> {
        let encoding = match self.text("encoding") {
            None | Some("flac" | "opus" | "ogg-opus") => return Ok(None),
            Some("linear16") => RawEncoding::Linear16,
            Some("linear32") => RawEncoding::Linear32,
            Some("mulaw") => RawEncoding::Mulaw,
            Some("alaw") => RawEncoding::Alaw,
            Some(other) if NO_DECODER.contains(&other) => {
                let message = format!("`encoding={other}` is not supported by this server.");
                return Err(Error::invalid("encoding", message).with_code("unsupported_parameter"));
            }
            Some(other) => return Err(wrong("encoding", other, "linear16, linear32, mulaw, alaw, flac or opus")),
        };
        let sample_rate = self.number("sample_rate", "a number of hertz")?.ok_or_else(|| {
            let message = "`sample_rate` is required with `encoding`, because the sound has no header that says it.";
            Error::invalid("sample_rate", message)
        })?;
        let channels = self.number("channels", "a number of channels")?.unwrap_or(1);
        let format = RawFormat { encoding, sample_rate, channels };
        raw::check(format).map_err(|error| match raw::CHANNELS.contains(&channels) {
            true => Error::invalid("sample_rate", error.message().to_owned()),
            false => Error::invalid("channels", error.message().to_owned()),
        })?;
        Ok(Some(format))
    }
}

pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The error for a value that `name` cannot have.
pub(super) fn wrong(name: &'static str, value: &str, wanted: &str) -> Error {
    Error::invalid(name, format!("`{name}` must be {wanted}, not `{value}`."))
}

pub(super) fn code_of(name: &'static str, given: &str, model: &ModelInfo) -> Result<String> {
    let code = languages::code_of(given).ok_or_else(|| wrong(name, given, "a language tag such as en or pt-BR"))?;
    if model.english_only && code != "en" {
        let message = format!("`{name}`: the model `{}` knows only English.", model.model_id());
        return Err(Error::invalid(name, message));
    }
    Ok(code.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::read(&format!("/v1/listen?{query}").parse().unwrap()).unwrap()
    }

    pub fn model(english_only: bool) -> ModelInfo {
        ModelInfo {
            id: "m".into(),
            resolves_to: None,
            is_alias: false,
            name: "M".into(),
            task: ModelTask::Transcribe,
            engine: "whisper".into(),
            languages: Vec::new(),
            multilingual: !english_only,
            english_only,
            installed: true,
            usable: true,
            loaded: false,
            built_in: false,
            size: None,
            licence: String::new(),
            owned_by: String::new(),
            description: String::new(),
            created: 0,
        }
    }

    #[test]
    fn flags_are_read_in_any_case() {
        for (query, expected) in
            [("x=True", true), ("x=TRUE", true), ("x=false", false), ("x=False", false), ("", false)]
        {
            assert_eq!(parameters(query).flag("x").unwrap(), expected, "{query}");
        }
        assert_eq!(parameters("punctuate=maybe").flag("punctuate").unwrap_err().param(), Some("punctuate"));
    }

    #[test]
    fn lists_are_repeated_or_joined_and_spaces_are_spelled_two_ways() {
        let query = parameters("keyterm=Blue+Harbor&keyterm=Kite%20Lane,Mynah&keywords=snow:2.5,ice");
        assert_eq!(query.keywords().unwrap(), ["Blue Harbor", "Kite Lane", "Mynah", "snow", "ice"]);
        for query in ["keywords=snow:-2", "keywords=snow:0", "keywords=snow:much"] {
            assert_eq!(parameters(query).keywords().unwrap_err().param(), Some("keywords"), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name_and_fine_when_it_is_off() {
        for name in REFUSED {
            let error = parameters(&format!("{name}=true")).refuse(&REFUSED).unwrap_err();
            assert_eq!(error.param(), Some(name));
            assert!(parameters(&format!("{name}=False")).refuse(&REFUSED).is_ok());
        }
        assert!(parameters("redact=pci&redact=ssn").refuse(&REFUSED).is_err());
        assert!(parameters("surprise=1&mip_opt_out=true&extra=a:b").refuse(&REFUSED).is_ok());
    }

    #[test]
    fn a_replacement_says_what_to_look_for() {
        assert_eq!(parameters("replace=a:b&replace=c%20d:").replacements().unwrap().len(), 2);
        assert_eq!(parameters("replace=a").replacements().unwrap_err().param(), Some("replace"));
    }

    #[test]
    fn headerless_sound_must_be_described_in_full() {
        let format = |encoding, sample_rate, channels| Some(RawFormat { encoding, sample_rate, channels });
        let query = "encoding=linear16&sample_rate=8000&channels=2";
        assert_eq!(parameters(query).raw().unwrap(), format(RawEncoding::Linear16, 8_000, 2));
        assert_eq!(parameters("encoding=mulaw&sample_rate=8000").raw().unwrap(), format(RawEncoding::Mulaw, 8_000, 1));
        assert_eq!(parameters("encoding=opus").raw().unwrap(), None);
        for (query, param) in [
            ("encoding=linear16", "sample_rate"),
            ("encoding=linear16&sample_rate=fast", "sample_rate"),
            ("encoding=linear16&sample_rate=5", "sample_rate"),
            ("encoding=linear16&sample_rate=8000&channels=0", "channels"),
            ("encoding=speex&sample_rate=8000", "encoding"),
            ("encoding=g711&sample_rate=8000", "encoding"),
        ] {
            assert_eq!(parameters(query).raw().unwrap_err().param(), Some(param), "{query}");
        }
    }

    #[test]
    fn english_is_expected_unless_another_language_is_named_or_to_be_found() {
        let language = |query: &str| parameters(query).language(&model(false)).unwrap();
        assert_eq!(language("").one.as_deref(), Some("en"));
        assert_eq!(language("language=pt-BR").one.as_deref(), Some("pt"));
        let multi = language("language=multi");
        assert!(multi.one.is_none() && multi.multi && !multi.detect);
        let any = language("detect_language=True&language=de");
        assert!(any.one.is_none() && any.several.is_empty() && any.detect);
        let some = language("detect_language=en&detect_language=es");
        assert_eq!((some.one, some.several), (None, vec!["en".to_owned(), "es".to_owned()]));
        assert_eq!(language("detect_language=es").one.as_deref(), Some("es"));
        assert!(!language("detect_language=false").detect);
    }

    #[test]
    fn a_model_that_knows_only_english_says_so() {
        let language = |query: &str| parameters(query).language(&model(true));
        assert_eq!(language("language=de").err().unwrap().param(), Some("language"));
        assert_eq!(language("detect_language=de").err().unwrap().param(), Some("detect_language"));
        assert_eq!(language("detect_language=true").unwrap().one.as_deref(), Some("en"));
        assert_eq!(language("language=klingon").err().unwrap().param(), Some("language"));
    }

    #[test]
    fn the_pause_between_utterances_can_be_chosen() {
        let split = |query: &str| parameters(query).utterance_split();
        assert_eq!(split("").unwrap(), Duration::from_millis(800));
        assert_eq!(split("utt_split=1.5").unwrap(), Duration::from_millis(1_500));
        for query in ["utt_split=-1", "utt_split=NaN", "utt_split=long"] {
            assert_eq!(split(query).unwrap_err().param(), Some("utt_split"), "{query}");
        }
    }

    #[test]
    fn voices_are_told_apart_by_flag_or_by_model() {
        for (query, expected) in [
            ("diarize=true", true),
            ("diarize_model=latest", true),
            ("diarize=false&diarize_model=v2", false),
            ("diarize=false", false),
        ] {
            assert_eq!(parameters(query).diarize().unwrap(), expected, "{query}");
        }
        assert_eq!(parameters("diarize_model=v9").diarize().unwrap_err().param(), Some("diarize_model"));
    }
}
