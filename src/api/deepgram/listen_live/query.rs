//! What the parameters of a live `/v1/listen` ask for. They are those of recordings, with some that only live sound has
//! and without those that need a whole recording.

use crate::api::deepgram::query::{DEFAULT_MODEL, NO_DECODER, Parameters, boolean, code_of, wrong, wrong_model};
use crate::api::deepgram::replace::Replacement;
use crate::api::deepgram::response::Wanted;
use crate::app::App;
use crate::audio::decode::live::LiveFormat;
use crate::audio::decode::raw::{self, RawEncoding, RawFormat};
use crate::engine::TranscribeOptions;
use crate::error::{Error, Result};
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use crate::speech::realtime::Ending;
use axum::http::Uri;
use std::collections::BTreeMap;
use std::time::Duration;

/// The pause that ends an utterance when the client names none.
const ENDPOINTING: Duration = Duration::from_millis(10);

/// The longest time that a client may name.
const LONGEST: Duration = Duration::from_secs(600);

/// The rate of samples whose rate nobody tells, in hertz.
const SAMPLE_RATE: u32 = 16_000;

/// The rates that Opus has, in hertz.
const OPUS_RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

/// How many channels a file is said to have when channels are wanted apart and the client does not say.
const CHANNELS: u16 = 2;

/// Parameters that change the answer in ways that live transcription does not have. Switched off they are fine.
const REFUSED: [&str; 16] = [
    "callback",
    "custom_intent",
    "custom_topic",
    "detect_entities",
    "dictation",
    "intents",
    "measurements",
    "numerals",
    "paragraphs",
    "profanity_filter",
    "redact",
    "search",
    "sentiment",
    "summarize",
    "topics",
    "utterances",
];

/// Where a client connects; it decides what is meant when the client says little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Deepgram's: sound of which nothing is said is a file, and a model that is unknown is a wrong parameter.
    Listen,
    /// The gateway's: sound of which nothing is said may be samples.
    Gateway,
}

/// A query that has been understood.
pub struct Asked {
    /// What transcribes.
    pub model: ModelInfo,
    /// What the engine is to do.
    pub options: TranscribeOptions,
    /// How the sound is written down.
    pub format: LiveFormat,
    /// So many channels are listened to by themselves; `None` mixes them.
    pub apart: Option<u16>,
    /// When an utterance is over.
    pub ending: Ending,
    /// Whether there are interim results.
    pub interim: bool,
    /// So long after a word the client wants to know that nobody has said another.
    pub utterance_end: Option<Duration>,
    /// Whether the client wants to know when somebody begins to speak.
    pub vad_events: bool,
    /// Whether voices are told apart.
    pub diarize: bool,
    /// What is to be written another way.
    pub replacements: Vec<Replacement>,
    /// What results tell.
    pub wanted: Wanted,
    /// What the client wants to be told of itself.
    pub extra: BTreeMap<String, String>,
}

impl Asked {
    /// Reads the parameters in `uri`.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter; for the gateway `NotFound` for a model.
    pub fn parse(app: &App, uri: &Uri, route: Route) -> Result<Self> {
        let query = Parameters::read(uri)?;
        query.refuse(&REFUSED)?;
        let id = query.text("model").unwrap_or(DEFAULT_MODEL);
        let model = app.models.resolve(id, ModelTask::Transcribe);
        let model = model.map_err(|error| if route == Route::Listen { wrong_model(error) } else { error })?;
        let (options, is_multi) = query.options(&model)?;
        let smart_format = query.flag("smart_format")?;
        let wanted = Wanted {
            punctuate: query.flag("punctuate")? || smart_format,
            multi: is_multi,
            tags: query.all("tag").map(str::to_owned).collect(),
            ..Wanted::default()
        };
        query.flag("no_delay")?;
        let interim = query.flag("interim_results")?;
        Ok(Self {
            options,
            format: query.format(route)?,
            apart: query.apart()?,
            ending: query.ending()?,
            interim,
            utterance_end: query.utterance_end(interim)?,
            vad_events: query.flag("vad_events")?,
            diarize: query.diarize()?,
            replacements: query.replacements()?,
            wanted,
            extra: query.extra()?,
            model,
        })
    }
}

impl Parameters {
    /// What the engine is to do, and whether results tell the language.
    fn options(&self, model: &ModelInfo) -> Result<(TranscribeOptions, bool)> {
        let mut language = self.language(model)?;
        if language.one.is_none() && language.several.is_empty() {
            let hints = self.list("language_hint").map(|hint| code_of("language_hint", hint, model));
            language.several = hints.collect::<Result<_>>()?;
        }
        let options = TranscribeOptions {
            language: language.one,
            languages: language.several,
            keywords: self.keywords()?,
            words: true,
            ..TranscribeOptions::default()
        };
        Ok((options, language.multi || language.detect))
    }

    fn ending(&self) -> Result<Ending> {
        match self.text("endpointing") {
            Some(value) if boolean(value) == Some(false) && value != "0" => Ok(Ending::Never),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Ending::Silence(ENDPOINTING)),
            _ => Ok(Ending::Silence(self.milliseconds("endpointing")?.unwrap_or(ENDPOINTING))),
        }
    }

    fn utterance_end(&self, interim: bool) -> Result<Option<Duration>> {
        let after = self.milliseconds("utterance_end_ms")?;
        if after.is_some() && !interim {
            return Err(Error::invalid("utterance_end_ms", "`utterance_end_ms` needs `interim_results=true`."));
        }
        if after == Some(Duration::ZERO) {
            return Err(wrong("utterance_end_ms", "0", "a number of milliseconds above 0"));
        }
        Ok(after)
    }

    pub(in crate::api::deepgram) fn milliseconds(&self, name: &'static str) -> Result<Option<Duration>> {
        let wanted = "a number of milliseconds up to 600000";
        let Some(given) = self.number::<u64>(name, wanted)?.map(Duration::from_millis) else { return Ok(None) };
        match given <= LONGEST {
            true => Ok(Some(given)),
            false => Err(wrong(name, &given.as_millis().to_string(), wanted)),
        }
    }

    /// How many channels are listened to by themselves.
    fn apart(&self) -> Result<Option<u16>> {
        if !self.flag("multichannel")? {
            return Ok(None);
        }
        let given = self.channels()?;
        let usual = if self.text("encoding").is_some() { 1 } else { CHANNELS };
        Ok(Some(given.unwrap_or(usual)))
    }

    fn channels(&self) -> Result<Option<u16>> {
        let given = self.number("channels", "a number of channels")?;
        match given.is_none_or(|channels| raw::CHANNELS.contains(&channels)) {
            true => Ok(given),
            false => {
                Err(wrong("channels", &given.unwrap_or_default().to_string(), "a number of channels from 1 to 16"))
            }
        }
    }

    /// How the sound is written down.
    pub(in crate::api::deepgram) fn format(&self, route: Route) -> Result<LiveFormat> {
        let sample_rate: Option<u32> = self.number("sample_rate", "a number of hertz")?;
        let channels = self.channels()?.unwrap_or(1);
        let encoding = match self.text("encoding") {
            Some("flac" | "ogg-opus") => return Ok(LiveFormat::Container),
            Some("opus") => return opus(sample_rate.unwrap_or(48_000), channels),
            Some("linear16") => RawEncoding::Linear16,
            Some("linear32") => RawEncoding::Linear32,
            Some("mulaw") => RawEncoding::Mulaw,
            Some("alaw") => RawEncoding::Alaw,
            Some(other) => return Err(no_encoding(other)),
            None if sample_rate.is_none() && route == Route::Listen => return Ok(LiveFormat::Container),
            None => {
                let sample_rate = sample_rate.unwrap_or(SAMPLE_RATE);
                let format = RawFormat { encoding: RawEncoding::Linear16, sample_rate, channels };
                return checked(format);
            }
        };
        let sample_rate = match (sample_rate, route) {
            (Some(sample_rate), _) => sample_rate,
            (None, Route::Gateway) => SAMPLE_RATE,
            (None, Route::Listen) => {
                let message =
                    "`sample_rate` is required with `encoding`, because the sound has no header that says it.";
                return Err(Error::invalid("sample_rate", message));
            }
        };
        checked(RawFormat { encoding, sample_rate, channels })
    }

    fn extra(&self) -> Result<BTreeMap<String, String>> {
        let pair = |value: &str| {
            let (name, value) = value.split_once(':').ok_or_else(|| wrong("extra", value, "key:value"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        self.all("extra").map(pair).collect()
    }
}

fn checked(format: RawFormat) -> Result<LiveFormat> {
    let wrong = |error: Error| Error::invalid("sample_rate", error.message().to_owned());
    raw::check(format).map(|()| LiveFormat::Raw(format)).map_err(wrong)
}

fn opus(sample_rate: u32, channels: u16) -> Result<LiveFormat> {
    if !OPUS_RATES.contains(&sample_rate) {
        return Err(wrong("sample_rate", &sample_rate.to_string(), "8000, 12000, 16000, 24000 or 48000 with Opus"));
    }
    match channels {
        1 | 2 => Ok(LiveFormat::Opus { sample_rate, channels }),
        _ => Err(wrong("channels", &channels.to_string(), "1 or 2 with Opus")),
    }
}

fn no_encoding(name: &str) -> Error {
    if !NO_DECODER.contains(&name) {
        return wrong("encoding", name, "linear16, linear32, mulaw, alaw, opus, ogg-opus or flac");
    }
    let message = format!("`encoding={name}` is not supported by this server.");
    Error::invalid("encoding", message).with_code("unsupported_parameter")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::read(&format!("/v1/listen?{query}").parse().unwrap()).unwrap()
    }

    fn param_of<T>(result: Result<T>) -> Option<String> {
        result.err().and_then(|error| error.param().map(str::to_owned))
    }

    fn samples(encoding: RawEncoding, sample_rate: u32, channels: u16) -> LiveFormat {
        LiveFormat::Raw(RawFormat { encoding, sample_rate, channels })
    }

    #[test]
    fn every_encoding_is_understood() {
        let opus = |sample_rate, channels| LiveFormat::Opus { sample_rate, channels };
        for (query, expected) in [
            ("encoding=linear16&sample_rate=16000", samples(RawEncoding::Linear16, 16_000, 1)),
            ("encoding=linear32&sample_rate=48000&channels=2", samples(RawEncoding::Linear32, 48_000, 2)),
            ("encoding=mulaw&sample_rate=8000", samples(RawEncoding::Mulaw, 8_000, 1)),
            ("encoding=alaw&sample_rate=8000", samples(RawEncoding::Alaw, 8_000, 1)),
            ("encoding=opus", opus(48_000, 1)),
            ("encoding=opus&sample_rate=16000&channels=2", opus(16_000, 2)),
            ("encoding=ogg-opus&sample_rate=16000", LiveFormat::Container),
            ("encoding=flac", LiveFormat::Container),
            ("", LiveFormat::Container),
            ("sample_rate=8000", samples(RawEncoding::Linear16, 8_000, 1)),
        ] {
            assert_eq!(parameters(query).format(Route::Listen).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn the_gateway_takes_samples_of_which_nothing_is_said() {
        let format = |query: &str| parameters(query).format(Route::Gateway).unwrap();
        assert_eq!(format(""), samples(RawEncoding::Linear16, 16_000, 1));
        assert_eq!(format("encoding=mulaw"), samples(RawEncoding::Mulaw, 16_000, 1));
    }

    #[test]
    fn sound_that_cannot_be_is_refused_by_name() {
        for (query, param) in [
            ("encoding=linear16", "sample_rate"),
            ("encoding=linear16&sample_rate=fast", "sample_rate"),
            ("encoding=linear16&sample_rate=5", "sample_rate"),
            ("encoding=linear16&sample_rate=8000&channels=0", "channels"),
            ("encoding=opus&sample_rate=44100", "sample_rate"),
            ("encoding=opus&channels=3", "channels"),
            ("encoding=speex&sample_rate=8000", "encoding"),
            ("encoding=mp7", "encoding"),
        ] {
            assert_eq!(param_of(parameters(query).format(Route::Listen)).as_deref(), Some(param), "{query}");
        }
    }

    #[test]
    fn utterances_end_as_the_client_wishes() {
        let silence = |ms| Ending::Silence(Duration::from_millis(ms));
        for (query, expected) in [
            ("", silence(10)),
            ("endpointing=300", silence(300)),
            ("endpointing=0", silence(0)),
            ("endpointing=true", silence(10)),
            ("endpointing=False", Ending::Never),
        ] {
            assert_eq!(parameters(query).ending().unwrap(), expected, "{query}");
        }
        for query in ["endpointing=soon", "endpointing=-1", "endpointing=600001"] {
            assert_eq!(param_of(parameters(query).ending()).as_deref(), Some("endpointing"), "{query}");
        }
    }

    #[test]
    fn the_end_of_an_utterance_is_told_along_with_interim_results() {
        let query = parameters("utterance_end_ms=1000");
        assert_eq!(query.utterance_end(true).unwrap(), Some(Duration::from_secs(1)));
        assert_eq!(param_of(query.utterance_end(false)).as_deref(), Some("utterance_end_ms"));
        assert!(parameters("utterance_end_ms=0").utterance_end(true).is_err());
        assert_eq!(parameters("").utterance_end(false).unwrap(), None);
    }

    #[test]
    fn channels_are_apart_when_that_is_asked_for() {
        for (query, expected) in [
            ("channels=2&encoding=linear16", None),
            ("channels=2&multichannel=true&encoding=linear16", Some(2)),
            ("multichannel=true&encoding=linear16", Some(1)),
            ("multichannel=true", Some(2)),
        ] {
            assert_eq!(parameters(query).apart().unwrap(), expected, "{query}");
        }
        assert_eq!(param_of(parameters("multichannel=true&channels=17").apart()).as_deref(), Some("channels"));
    }

    #[test]
    fn what_live_transcription_cannot_do_is_refused_by_name() {
        for name in REFUSED {
            let refused = parameters(&format!("{name}=true")).refuse(&REFUSED);
            assert_eq!(param_of(refused).as_deref(), Some(name));
        }
        let usual = "model=nova-3&language=en-US&punctuate=true&smart_format=false&no_delay=true&filler_words=true\
                     &profanity_filter=false&numerals=false&mip_opt_out=false";
        assert!(parameters(usual).refuse(&REFUSED).is_ok());
        assert_eq!(param_of(parameters("extra=novalue").extra()).as_deref(), Some("extra"));
    }
}
