//! `POST /v1/audio/speech`: text in, sound out while it is synthesized.

use crate::api::error::{Rejection, envelope};
use crate::api::sound::{begin_sound, log_late};
use crate::app::App;
use crate::audio::encode::AudioFormat;
use crate::engine::SpeakOptions;
use crate::error::{Error, Kind, Result};
use crate::models::catalog::ModelTask;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Instant;

/// The largest request body, in bytes: generous for the longest text.
const MAX_BODY: usize = 1 << 20;

/// OpenAI's `CreateSpeechRequest`, field by field.
#[derive(Deserialize)]
struct SpeechRequest {
    model: Option<String>,
    input: Option<String>,
    voice: Option<VoiceName>,
    /// Accepted as OpenAI's older models accept it: the built-in voice has no manner to change.
    #[serde(rename = "instructions")]
    _instructions: Option<String>,
    response_format: Option<String>,
    speed: Option<f32>,
    stream_format: Option<String>,
    stream: Option<bool>,
}

/// A voice is a name or, from newer clients, `{"id": name}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum VoiceName {
    Name(String),
    Object { id: String },
}

/// A request that has been understood.
struct Asked {
    model: String,
    input: String,
    options: SpeakOptions,
    format: AudioFormat,
    events: bool,
    stream: bool,
}

/// Speaks a text.
pub async fn create_speech(State(app): State<App>, request: Request) -> Result<Response, Rejection> {
    let begun = Instant::now();
    let asked = parse(&app, read(request).await?)?;
    let pool = app.models.synthesizer(&asked.model).await?;
    let chunks = begin_sound(pool, (asked.input.clone(), asked.options.clone()), asked.format, begun).await?;
    Ok(respond(&asked, chunks).await?)
}

async fn respond(asked: &Asked, chunks: BoxStream<'static, Result<Bytes>>) -> Result<Response> {
    if asked.events {
        return Ok(stream_events(chunks, asked.input.len()));
    }
    let content_type = HeaderValue::from_static(asked.format.content_type());
    // A WAV file says its length at the front. Who did not ask for a stream gets a header that is true.
    let body = if asked.format == AudioFormat::Wav && !asked.stream {
        let mut whole = chunks.try_collect::<Vec<Bytes>>().await?.concat();
        crate::audio::encode::wav::finalize_header(&mut whole);
        Body::from(whole)
    } else {
        Body::from_stream(chunks.inspect_err(log_late))
    };
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// Server-sent events: the same bytes as base64, then one event that ends the stream.
fn stream_events(chunks: BoxStream<'static, Result<Bytes>>, input_bytes: usize) -> Response {
    let deltas = chunks.map_ok(|chunk| json!({"type": "speech.audio.delta", "audio": BASE64_STANDARD.encode(chunk)}));
    // The built-in voice has no tokens; a token of English is about four bytes.
    let tokens = input_bytes.div_ceil(4);
    let usage = json!({"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens});
    let done = json!({"type": "speech.audio.done", "usage": usage});
    let events = deltas.chain(futures::stream::once(async { Ok(done) }));
    // After a failure nothing more may follow, least of all a `done`.
    let events = events.scan(false, |failed, event: Result<Value>| {
        let ended = std::mem::replace(failed, event.is_err());
        std::future::ready((!ended).then_some(event))
    });
    let frames = events.map(|event| {
        let body = event.unwrap_or_else(|error| {
            log_late(&error);
            envelope(&error)
        });
        Ok::<_, std::convert::Infallible>(Bytes::from(format!("data: {body}\n\n")))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(frames)).into_response()
}

async fn read(request: Request) -> Result<SpeechRequest> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.unwrap_or_default().to_ascii_lowercase().starts_with("application/json") {
        return Err(Error::new(Kind::Unsupported, "This route takes a JSON body (content-type: application/json)."));
    }
    let (parts, body) = request.into_parts();
    let limited = Request::from_parts(parts, Body::new(http_body_util::Limited::new(body, MAX_BODY)));
    let bytes = Bytes::from_request(limited, &()).await.map_err(|e| {
        let kind = if e.status().as_u16() == 413 { Kind::TooLarge } else { Kind::InvalidRequest };
        Error::new(kind, format!("The body cannot be read or is larger than {MAX_BODY} bytes.")).with_source(e)
    })?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let message = format!("The JSON body is wrong: {}", error.inner());
        let error = Error::new(Kind::InvalidRequest, message);
        if path == "." { error } else { error.with_param(path) }
    })
}

fn parse(app: &App, request: SpeechRequest) -> Result<Asked> {
    let model = request.model.filter(|id| !id.trim().is_empty()).ok_or_else(|| missing("model"))?;
    let model = app.models.resolve(model.trim(), ModelTask::Speak)?.id;
    let input = input(request.input, app.config.limits.input_chars)?;
    let voice = match request.voice.ok_or_else(|| missing("voice"))? {
        VoiceName::Name(name) => name,
        VoiceName::Object { id } => id,
    };
    let voice = app.models.voice(&model, voice.trim())?;
    let speed = request.speed.unwrap_or(1.0);
    if !(0.25..=4.0).contains(&speed) {
        return Err(invalid("speed", "speed must be between 0.25 and 4."));
    }
    let format = request.response_format.as_deref().unwrap_or("mp3");
    let format = AudioFormat::from_name(format)
        .ok_or_else(|| invalid("response_format", "response_format must be one of mp3, opus, aac, flac, wav, pcm."))?;
    let events = match request.stream_format.as_deref() {
        None | Some("audio") => false,
        Some("sse") => true,
        Some(_) => return Err(invalid("stream_format", "stream_format must be audio or sse.")),
    };
    let stream = request.stream.unwrap_or(false) || events;
    Ok(Asked { model, input, options: SpeakOptions { speed, ..SpeakOptions::of_voice(voice) }, format, events, stream })
}

fn input(input: Option<String>, limit: usize) -> Result<String> {
    let input = input.ok_or_else(|| missing("input"))?;
    if input.trim().is_empty() {
        return Err(invalid("input", "input must hold at least one character."));
    }
    let length = input.chars().count();
    if length > limit {
        let message = format!("input must not be longer than {limit} characters; it has {length}.");
        return Err(Error::invalid("input", message).with_code("string_above_max_length"));
    }
    Ok(input)
}

fn missing(name: &'static str) -> Error {
    Error::invalid(name, format!("The field `{name}` is required.")).with_code("missing_required_parameter")
}

fn invalid(param: &'static str, message: &'static str) -> Error {
    Error::invalid(param, message).with_code("invalid_value")
}
