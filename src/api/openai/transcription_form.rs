//! What a transcription request asks for. Every field is honoured or refused by name; unknown ones mean nothing.

use super::chunking_strategy::chunking_strategy;
use super::known_speakers::{Voices, voices};
use super::speaker_names::SpeakerNames;
use super::transcript_body::{ResponseFormat, Wanted};
use super::usage::Usage;
use crate::api::form::Form;
use crate::api::languages;
use crate::api::upload::{Upload, decode_base64};
use crate::app::App;
use crate::engine::{Task, TranscribeOptions};
use crate::error::{Error, Result};
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use crate::speech::chunk::EndpointerOptions;
use crate::speech::transcribe::Stages;
use crate::subtitle::Layout;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The most keywords, and the most characters in one.
pub const KEYWORDS: (usize, usize) = (500, 200);

/// A form that has been understood.
pub struct Asked {
    /// The model.
    pub model: ModelInfo,
    /// The recording.
    pub sound: Sound,
    /// What the engine is to do.
    pub options: TranscribeOptions,
    /// Which stages take part.
    pub stages: Stages,
    /// When sound counts as speech.
    pub endpointing: EndpointerOptions,
    /// Voices to tell apart, if any are.
    pub voices: Option<Voices>,
    /// Whether every channel gets a transcript.
    pub multichannel: bool,
    /// Whether speech without text is a failure.
    pub strict: bool,
    /// Whether the answer is a stream of events.
    pub stream: bool,
    /// The shape of the answer.
    pub wanted: Wanted,
    /// Whether the answer comes later.
    pub later: Option<Later>,
}

/// An answer that comes later.
pub struct Later {
    /// Where it is pushed.
    pub webhook: Option<String>,
}

/// Where a recording is.
pub enum Sound {
    /// Here.
    Sent(Upload),
    /// At a web address.
    At(String),
}

/// Understands `form`. Decodes base64 and the samples of known speakers: blocking.
///
/// # Errors
/// `InvalidRequest` that names the field, and what resolving the model says.
pub fn parse(app: &App, mut form: Form, task: Task) -> Result<Asked> {
    let later = later(&form)?;
    let id = form.text("model").ok_or_else(|| missing("model"))?.to_owned();
    let model = app.models.resolve(&id, ModelTask::Transcribe)?;
    let format = format(&form, task)?;
    let diarized = format == ResponseFormat::DiarizedJson || id.ends_with("gpt-4o-transcribe-diarize");
    let voices = voices(&form, flag(&form, "diarize")?.unwrap_or(false) || diarized)?;
    let stream = streams(&form, task, &id, format)?;
    if stream && later.is_some() {
        return Err(invalid("stream", "An answer that comes later cannot be streamed: leave `stream` out."));
    }
    let multichannel = flag(&form, "multichannel")?.unwrap_or(false);
    if multichannel && stream {
        return Err(invalid("multichannel", "multichannel=true cannot be streamed: leave `stream` out."));
    }
    let (stages, strict) = stages(&form, app)?;
    let endpointing = chunking_strategy(&form)?;
    if endpointing.is_some() && !stages.cut {
        return Err(invalid("chunking_strategy", "chunking_strategy needs the search for speech: leave `vad` out."));
    }
    let wanted = wanted(&form, task, &id, format, voices.as_ref(), stream)?;
    let options = options(&form, app, &model, &wanted)?;
    Ok(Asked {
        sound: sound(&mut form)?,
        endpointing: endpointing.unwrap_or_default(),
        model,
        options,
        stages,
        voices,
        multichannel,
        strict,
        stream,
        wanted,
        later,
    })
}

fn missing(name: &'static str) -> Error {
    Error::invalid(name, format!("The field `{name}` is required.")).with_code("missing_required_parameter")
}

fn invalid(name: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(name, message).with_code("invalid_value")
}

/// Whether the answer comes later, and where it is pushed then.
fn later(form: &Form) -> Result<Option<Later>> {
    let webhook =
        form.text("webhook_url").filter(|it| !["null", "false", "0"].contains(&it.to_ascii_lowercase().as_str()));
    let asked = flag(form, "async")?;
    if webhook.is_some() && asked == Some(false) {
        return Err(invalid("webhook_url", "webhook_url is for answers that come later: leave `async` out."));
    }
    let is_later = webhook.is_some() || asked == Some(true);
    Ok(is_later.then(|| Later { webhook: webhook.map(str::to_owned) }))
}

/// A field that is true or false, when it is there.
fn flag(form: &Form, name: &'static str) -> Result<Option<bool>> {
    match form.text(name).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "null" => Ok(None),
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(invalid(name, format!("`{name}` must be true or false."))),
    }
}

/// A field that is a number in `range`, when it is there.
fn number<T>(form: &Form, name: &'static str, range: RangeInclusive<T>) -> Result<Option<T>>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let Some(text) = form.text(name).filter(|text| !text.eq_ignore_ascii_case("null")) else { return Ok(None) };
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .map(Some)
        .ok_or_else(|| invalid(name, format!("{name} must be a number between {} and {}.", range.start(), range.end())))
}

fn format(form: &Form, task: Task) -> Result<ResponseFormat> {
    let Some(name) = form.text("response_format") else { return Ok(ResponseFormat::default()) };
    let format = ResponseFormat::from_name(name).ok_or_else(|| {
        invalid("response_format", format!("response_format must be one of {}, not `{name}`.", ResponseFormat::NAMES))
    })?;
    if task == Task::Translate && format == ResponseFormat::DiarizedJson {
        return Err(invalid(
            "response_format",
            "A translation has no diarized_json: take verbose_json with diarize=true.",
        ));
    }
    Ok(format)
}

fn streams(form: &Form, task: Task, id: &str, format: ResponseFormat) -> Result<bool> {
    // OpenAI answers `stream` for whisper-1 with plain JSON, and so do the clients expect it.
    if !flag(form, "stream")?.unwrap_or(false) || id.ends_with("whisper-1") {
        return Ok(false);
    }
    if task == Task::Translate {
        return Err(invalid("stream", "Translations are not streamed: leave `stream` out."));
    }
    match format {
        ResponseFormat::Json | ResponseFormat::Text | ResponseFormat::DiarizedJson => Ok(true),
        _ => Err(invalid("response_format", "With stream=true, response_format must be json, text or diarized_json.")),
    }
}

/// The stages that take part, and whether speech without text is a failure.
fn stages(form: &Form, app: &App) -> Result<(Stages, bool)> {
    let defaults = &app.config.transcription;
    let strict = flag(form, "strict")?.unwrap_or(false);
    let (cut, audit) = (flag(form, "vad")?, flag(form, "audit")?);
    if strict && (cut == Some(false) || audit == Some(false)) {
        return Err(invalid(
            "strict",
            "strict=true needs the search for speech and its audit: leave `vad` and `audit` out.",
        ));
    }
    let stage = |asked: Option<bool>, default: bool| asked.unwrap_or(default || strict);
    Ok((Stages { cut: stage(cut, defaults.vad), audit: stage(audit, defaults.audit) }, strict))
}

fn wanted(
    form: &Form,
    task: Task,
    id: &str,
    format: ResponseFormat,
    voices: Option<&Voices>,
    stream: bool,
) -> Result<Wanted> {
    let granularities = form.list("timestamp_granularities");
    if let Some(wrong) = granularities.iter().find(|it| !["word", "segment"].contains(&it.as_str())) {
        let message = format!("timestamp_granularities must hold `word` or `segment`, not `{wrong}`.");
        return Err(invalid("timestamp_granularities", message));
    }
    let has = |name: &str| granularities.iter().any(|it| it == name);
    if has("word") && format != ResponseFormat::VerboseJson {
        let message = "timestamp_granularities needs response_format=verbose_json.";
        return Err(invalid("timestamp_granularities", message));
    }
    let include = form.list("include");
    if let Some(wrong) = include.iter().find(|it| *it != "logprobs") {
        return Err(invalid("include", format!("include may hold `logprobs`, not `{wrong}`.")));
    }
    let prompt = form.text("prompt");
    Ok(Wanted {
        format,
        task,
        segments: has("segment") || granularities.is_empty(),
        words: has("word") || voices.is_some(),
        // Clients send it with every model and format; OpenAI answers it in this format alone.
        logprobs: format == ResponseFormat::Json && !include.is_empty(),
        layout: layout(form, format)?,
        names: voices.map(|voices| names(id, format, voices)),
        usage: if stream { Usage::tokens(prompt) } else { Usage::of(id, prompt) },
    })
}

/// Deepgram's models number the voices that have no name, also behind OpenAI's route.
fn names(id: &str, format: ResponseFormat, voices: &Voices) -> SpeakerNames {
    let vendor = id.split('/').next().unwrap_or_default();
    let numbers = vendor.eq_ignore_ascii_case("deepgram") && format == ResponseFormat::VerboseJson;
    if numbers && voices.known.is_empty() { SpeakerNames::Numbers } else { voices.letters() }
}

fn layout(form: &Form, format: ResponseFormat) -> Result<Option<Layout>> {
    let layout = Layout {
        max_line_width: number(form, "max_line_width", 1..=1000)?,
        max_line_count: number(form, "max_line_count", 1..=100)?,
        max_words_per_line: number(form, "max_words_per_line", 1..=100)?,
    };
    if layout == Layout::default() {
        return Ok(None);
    }
    if !matches!(format, ResponseFormat::Srt | ResponseFormat::Vtt) {
        let names = ["max_line_width", "max_line_count", "max_words_per_line"];
        let name = names.into_iter().find(|name| form.text(name).is_some()).unwrap_or(names[0]);
        return Err(invalid(name, format!("{name} needs response_format=srt or vtt.")));
    }
    Ok(Some(layout))
}

fn options(form: &Form, app: &App, model: &ModelInfo, wanted: &Wanted) -> Result<TranscribeOptions> {
    if wanted.task == Task::Translate && model.english_only {
        let message = format!("The model `{}` knows only English and cannot translate.", model.model_id());
        return Err(invalid("model", message));
    }
    let defaults = &app.config.transcription;
    let languages = languages(form, model)?;
    let language = language(form, model, &languages)?;
    Ok(TranscribeOptions {
        task: wanted.task,
        languages: if language.is_some() { Vec::new() } else { languages },
        language,
        prompt: form.text("prompt").map(str::to_owned),
        keywords: keywords(form)?,
        temperature: number(form, "temperature", 0.0..=1.0)?.unwrap_or(0.0),
        words: wanted.words || wanted.layout.is_some(),
        short_context: flag(form, "short_context")?.unwrap_or(defaults.short_context),
        guard: flag(form, "guard")?.unwrap_or(defaults.guard),
        ..TranscribeOptions::default()
    })
}

/// The entries of `languages` that the model may know.
fn languages(form: &Form, model: &ModelInfo) -> Result<Vec<String>> {
    let mut codes = Vec::new();
    for given in form.list("languages") {
        let code = code("languages", &given)?.to_owned();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    if model.english_only && !codes.is_empty() && !codes.iter().any(|code| code == "en") {
        return Err(only_english("languages", model));
    }
    Ok(codes)
}

/// `language`, or the only entry of `languages`; `None` lets the engine find out.
fn language(form: &Form, model: &ModelInfo, languages: &[String]) -> Result<Option<String>> {
    let given = form.text("language").filter(|given| !given.eq_ignore_ascii_case("auto"));
    let Some(given) = given else {
        return match languages {
            _ if model.english_only => Ok(Some("en".to_owned())),
            [only] => Ok(Some(only.clone())),
            _ => Ok(None),
        };
    };
    let code = code("language", given)?;
    if model.english_only && code != "en" {
        return Err(only_english("language", model));
    }
    if !languages.is_empty() && !languages.iter().any(|it| it == code) {
        return Err(invalid("language", format!("`language` is `{given}`, which is not one of `languages`.")));
    }
    Ok(Some(code.to_owned()))
}

fn code(name: &'static str, given: &str) -> Result<&'static str> {
    languages::code_of(given)
        .ok_or_else(|| invalid(name, format!("`{given}` is not a language: send an ISO 639-1 code such as `en`.")))
}

fn only_english(name: &'static str, model: &ModelInfo) -> Error {
    invalid(name, format!("The model `{}` knows only English.", model.model_id()))
}

fn keywords(form: &Form) -> Result<Vec<String>> {
    let keywords = form.phrases("keywords");
    let (most, longest) = KEYWORDS;
    if keywords.len() > most || keywords.iter().any(|it| it.chars().count() > longest) {
        let message = format!("There may be up to {most} keywords of up to {longest} characters.");
        return Err(invalid("keywords", message));
    }
    Ok(keywords)
}

/// The recording: exactly one of `file`, `audio_url` and `input_audio`.
fn sound(form: &mut Form) -> Result<Sound> {
    if form.has("file") {
        return Err(invalid("file", "JSON has no files: send `input_audio` or `audio_url`, or a multipart form."));
    }
    let address = form.text("audio_url").map(str::to_owned);
    let inline = form.has("input_audio");
    match (form.file.take(), address) {
        (Some(_), Some(_)) => Err(invalid("audio_url", "Send `file` or `audio_url`, not both.")),
        (Some(_), None) | (None, Some(_)) if inline => {
            Err(invalid("input_audio", "Send one of `file`, `audio_url` and `input_audio`."))
        }
        (Some(file), None) if file.is_empty() => Err(invalid("file", "The file is empty.")),
        (Some(file), None) => Ok(Sound::Sent(file)),
        (None, Some(address)) => Ok(Sound::At(address)),
        (None, None) if inline => input_audio(form).map(Sound::Sent),
        (None, None) => Err(missing("file")),
    }
}

/// `input_audio`: `{"data": base64, "format"}`. What the sound is, is in it, so `format` is not needed.
fn input_audio(form: &mut Form) -> Result<Upload> {
    let wrong = |message: &'static str| invalid("input_audio", message);
    let data = form.take("input_audio[data]").or_else(|| {
        let object: serde_json::Value = serde_json::from_str(&form.take("input_audio")?).ok()?;
        Some(object.get("data")?.as_str()?.to_owned())
    });
    let data = data.ok_or_else(|| wrong("input_audio is an object: {\"data\": \"<base64>\", \"format\": \"wav\"}."))?;
    let plain = match data.strip_prefix("data:") {
        Some(url) => url.split_once(";base64,").map(|(_, data)| data),
        None => Some(data.as_str()),
    };
    let bytes = plain.and_then(decode_base64).ok_or_else(|| wrong("input_audio.data is not valid base64."))?;
    if bytes.is_empty() {
        return Err(wrong("input_audio.data is empty."));
    }
    Ok(Upload::Memory(bytes.into()))
}
