//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`: forms in, transcripts out.

use super::languages;
use super::transcript_body::{ResponseFormat, Wanted, respond, usage};
use crate::api::error::{Rejection, envelope};
use crate::api::upload::{Form, Upload};
use crate::app::App;
use crate::engine::pool::Priority;
use crate::engine::{Task, TranscribeOptions};
use crate::error::{Error, Kind, Result};
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use crate::speech::transcribe::{Progress, Request, transcribe, transcribe_all};
use crate::transcript::Transcript;
use axum::extract::{Request as HttpRequest, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// Fields of other servers and later versions that change what the caller gets, so they are refused, not ignored.
const NOT_SUPPORTED: [&str; 8] = [
    "audio_url",
    "input_audio",
    "async",
    "webhook_url",
    "diarize",
    "known_speaker_names",
    "known_speaker_references",
    "chunking_strategy",
];

/// Writes a recording down in the language spoken.
pub async fn create_transcription(State(app): State<App>, request: HttpRequest) -> Result<Response, Rejection> {
    let form = Form::read(request, &app.config.limits).await?;
    Ok(answer(&app, form, Task::Transcribe).await?)
}

/// Writes a recording down in English, whatever language is spoken.
pub async fn create_translation(State(app): State<App>, request: HttpRequest) -> Result<Response, Rejection> {
    let form = Form::read(request, &app.config.limits).await?;
    Ok(answer(&app, form, Task::Translate).await?)
}

async fn answer(app: &App, form: Form, task: Task) -> Result<Response> {
    let (asked, file) = parse(app, form, task)?;
    let pool = app.models.transcriber(&asked.model.id).await?;
    let (source, options) = (file.into_source(), asked.options.clone());
    if asked.stream {
        return Ok(stream_events(transcribe(pool, source, Request::new(options, Priority::Interactive))));
    }
    let (mut transcript, duration) = transcribe_all(pool, source, Request::new(options, Priority::Interactive)).await?;
    transcript.language = transcript.language.or(asked.options.language);
    Ok(respond(&transcript, duration, &asked.wanted))
}

/// A form that has been understood.
struct Asked {
    model: ModelInfo,
    options: TranscribeOptions,
    wanted: Wanted,
    stream: bool,
}

fn parse(app: &App, form: Form, task: Task) -> Result<(Asked, Upload)> {
    refuse_unsupported(&form)?;
    let id = form.text("model").map(str::trim).filter(|id| !id.is_empty()).ok_or_else(|| missing("model"))?;
    let model = app.models.resolve(id, ModelTask::Transcribe)?;
    let wanted = wanted(&form, task)?;
    let options = options(&form, &model, &wanted)?;
    // OpenAI answers `stream` for whisper-1 with plain JSON, and so do the clients expect it.
    let stream = flag(&form, "stream")? && !id.ends_with("whisper-1") && task == Task::Transcribe;
    if stream && wanted.format != ResponseFormat::Json && wanted.format != ResponseFormat::Text {
        return Err(Error::invalid("response_format", "With stream=true, response_format must be json or text."));
    }
    let file = form.file.ok_or_else(|| missing("file"))?;
    if file.is_empty() {
        return Err(Error::invalid("file", "The file is empty.").with_code("invalid_value"));
    }
    Ok((Asked { model, options, wanted, stream }, file))
}

fn missing(name: &'static str) -> Error {
    Error::invalid(name, format!("The field `{name}` is required.")).with_code("missing_required_parameter")
}

fn refuse_unsupported(form: &Form) -> Result<()> {
    for name in NOT_SUPPORTED {
        let values = form.list(name);
        let off = |value: &String| ["false", "0", "null", "auto"].contains(&value.to_ascii_lowercase().as_str());
        if form.fields.iter().any(|(field, _)| field.starts_with("chunking_strategy[")) && name == "chunking_strategy" {
            return Err(unsupported(name));
        }
        if !values.iter().all(off) {
            return Err(unsupported(name));
        }
    }
    Ok(())
}

fn unsupported(name: &'static str) -> Error {
    Error::invalid(name, format!("`{name}` is not supported by this server.")).with_code("unsupported_parameter")
}

fn wanted(form: &Form, task: Task) -> Result<Wanted> {
    let format = match form.text("response_format").map(str::trim).filter(|name| !name.is_empty()) {
        None => ResponseFormat::default(),
        Some(name) => ResponseFormat::from_name(name).ok_or_else(|| {
            let message = format!("response_format must be one of {}, not `{name}`.", ResponseFormat::NAMES);
            Error::invalid("response_format", message).with_code("invalid_value")
        })?,
    };
    let granularities = form.list("timestamp_granularities");
    if let Some(wrong) = granularities.iter().find(|it| !["word", "segment"].contains(&it.as_str())) {
        let message = format!("timestamp_granularities must hold `word` or `segment`, not `{wrong}`.");
        return Err(Error::invalid("timestamp_granularities", message).with_code("invalid_value"));
    }
    let has = |name: &str| granularities.iter().any(|it| it == name);
    if has("word") && format != ResponseFormat::VerboseJson {
        let message = "timestamp_granularities needs response_format=verbose_json.";
        return Err(Error::invalid("timestamp_granularities", message).with_code("invalid_value"));
    }
    Ok(Wanted { format, task, segments: has("segment") || granularities.is_empty(), words: has("word") })
}

fn options(form: &Form, model: &ModelInfo, wanted: &Wanted) -> Result<TranscribeOptions> {
    if wanted.task == Task::Translate && model.english_only {
        let message = format!("The model `{}` knows only English and cannot translate.", model.model_id());
        return Err(Error::invalid("model", message).with_code("invalid_value"));
    }
    let temperature = match form.text("temperature").map(str::trim).filter(|text| !text.is_empty()) {
        None => 0.0,
        Some(text) => text.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value)).ok_or_else(|| {
            Error::invalid("temperature", "temperature must be a number between 0 and 1.").with_code("invalid_value")
        })?,
    };
    Ok(TranscribeOptions {
        task: wanted.task,
        language: language(form, model)?,
        prompt: prompt(form),
        temperature,
        words: wanted.words,
        ..TranscribeOptions::default()
    })
}

/// `language`, or the only entry of `languages`.
fn language(form: &Form, model: &ModelInfo) -> Result<Option<String>> {
    let several = form.list("languages");
    let (param, given) = match (form.text("language").map(str::trim).filter(|text| !text.is_empty()), &several[..]) {
        (Some(one), _) => ("language", one),
        (None, [one]) => ("languages", one.as_str()),
        (None, []) => return Ok(model.english_only.then(|| "en".to_owned())),
        (None, _) => return Err(Error::invalid("languages", "`languages` with more than one entry is not supported.")),
    };
    if given.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    let code = languages::code_of(given).ok_or_else(|| {
        let message = format!("`{given}` is not a language: send an ISO 639-1 code such as `en`.");
        Error::invalid(param, message).with_code("invalid_value")
    })?;
    if model.english_only && code != "en" {
        let message = format!("The model `{}` knows only English.", model.model_id());
        return Err(Error::invalid(param, message).with_code("invalid_value"));
    }
    Ok(Some(code.to_owned()))
}

/// `prompt` and `keywords`: both show the engine what to expect.
fn prompt(form: &Form) -> Option<String> {
    let keywords = form.list("keywords").join(", ");
    let parts = [keywords.as_str(), form.text("prompt").unwrap_or_default().trim()];
    let prompt = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(". ");
    (!prompt.is_empty()).then_some(prompt)
}

fn flag(form: &Form, name: &'static str) -> Result<bool> {
    match form.text(name).unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "" | "false" | "0" | "null" => Ok(false),
        _ => Err(Error::invalid(name, format!("`{name}` must be true or false.")).with_code("invalid_value")),
    }
}

/// Server-sent events: a delta for every segment as soon as it is ready, then everything once more.
fn stream_events(pieces: impl Stream<Item = Result<Progress>> + Send + 'static) -> Response {
    let state = (Box::pin(pieces), Transcript::default());
    let events = futures::stream::try_unfold(state, |(mut pieces, mut whole)| async move {
        let Some(piece) = pieces.try_next().await? else { return Ok::<_, Error>(None) };
        let before = whole.text().len();
        whole.append(piece.transcript);
        let text = whole.text();
        let mut events = Vec::new();
        if text.len() > before {
            events.push(json!({"type": "transcript.text.delta", "delta": text[before..]}));
        }
        if piece.finished {
            events.push(json!({"type": "transcript.text.done", "text": text, "usage": usage(piece.until)}));
        }
        Ok(Some((futures::stream::iter(events.into_iter().map(Ok)), (pieces, whole))))
    });
    let events = events.try_flatten().map(|event: Result<Value>| Ok::<_, Infallible>(frame(&event)));
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15)).text("keep-alive");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    response.headers_mut().insert("cache-control", axum::http::HeaderValue::from_static("no-cache"));
    response
}

fn frame(event: &Result<Value>) -> Event {
    match event {
        Ok(event) => Event::default().data(event.to_string()),
        Err(error) => {
            if error.kind() == Kind::Internal {
                tracing::error!(%error, "a transcription failed after its answer had begun");
            }
            Event::default().data(envelope(error).to_string())
        }
    }
}
