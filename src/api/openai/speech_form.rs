//! What a request to speak asks for: OpenAI's fields, and a few of our own.

use super::instructions::Manner;
use crate::api::json::read_json;
use crate::api::sound::Ask;
use crate::app::App;
use crate::audio::encode::{AudioFormat, Output, encoder};
use crate::error::{Error, Result};
use axum::extract::Request;
use serde::Deserialize;

/// The largest request body, in bytes, besides the text.
const MAX_BODY: usize = 1 << 20;

/// The most bytes that a character takes in JSON: two escapes of six.
const BYTES_PER_CHAR: usize = 12;

/// The sample rates that can be asked for, in hertz. Not every format can carry each.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 8_000..=48_000;

/// The models that OpenAI has no instructions for.
const WITHOUT_INSTRUCTIONS: [&str; 2] = ["tts-1", "tts-1-hd"];

/// OpenAI's `CreateSpeechRequest`, field by field, then our own.
#[derive(Deserialize)]
struct SpeechRequest {
    model: Option<String>,
    input: Option<String>,
    voice: Option<VoiceName>,
    instructions: Option<String>,
    response_format: Option<String>,
    speed: Option<f32>,
    stream_format: Option<String>,
    stream: Option<bool>,
    language: Option<String>,
    sample_rate: Option<u32>,
}

/// A voice is a name or, from newer clients, `{"id": name}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum VoiceName {
    Name(String),
    Object { id: String },
}

/// A request that has been understood.
pub struct Asked {
    /// What is to be said.
    pub ask: Ask,
    /// As which file.
    pub output: Output,
    /// Whether the answer is a stream of events.
    pub events: bool,
    /// Whether the client knows that the answer is streamed.
    pub stream: bool,
    /// How many bytes the text has.
    pub input_bytes: usize,
}

impl Asked {
    /// Reads the body of `request`.
    ///
    /// # Errors
    /// `Unsupported` for a body that is not JSON, `TooLarge`, `InvalidRequest` that names the field.
    pub async fn read(app: &App, request: Request) -> Result<Self> {
        let limit = app.config.limits.input_chars;
        parse(read_json(request, MAX_BODY.max(limit.saturating_mul(BYTES_PER_CHAR))).await?, limit)
    }
}

fn parse(request: SpeechRequest, input_chars: usize) -> Result<Asked> {
    let model = request.model.filter(|id| !id.trim().is_empty()).ok_or_else(|| missing("model"))?;
    let input = input(request.input, input_chars)?;
    let voice = match request.voice.ok_or_else(|| missing("voice"))? {
        VoiceName::Name(name) => name,
        VoiceName::Object { id } => id,
    };
    let speed = request.speed.unwrap_or(1.0);
    if !(0.25..=4.0).contains(&speed) {
        return Err(invalid("speed", "speed must be between 0.25 and 4."));
    }
    let output = output(request.response_format.as_deref(), request.sample_rate)?;
    let events = match request.stream_format.as_deref() {
        None | Some("audio") => false,
        Some("sse") => true,
        Some(_) => return Err(invalid("stream_format", "stream_format must be audio or sse.")),
    };
    let has_manner = !WITHOUT_INSTRUCTIONS.contains(&model.trim());
    let instructions = request.instructions.filter(|_| has_manner).unwrap_or_default();
    let manner = Manner::of(&instructions);
    let ask = Ask {
        voice: Some(voice.trim().to_owned()),
        language: request.language.filter(|language| !language.trim().is_empty()),
        speed: (speed * manner.rate).clamp(0.25, 4.0),
        pitch: manner.pitch,
        volume: manner.volume,
        ..Ask::new(model.trim(), input, "input")
    };
    let stream = request.stream.unwrap_or(false) || events;
    Ok(Asked { input_bytes: ask.text.len(), ask, output, events, stream })
}

fn output(format: Option<&str>, sample_rate: Option<u32>) -> Result<Output> {
    let format = format.unwrap_or("mp3");
    let format = AudioFormat::from_name(format).ok_or_else(|| {
        invalid("response_format", "response_format must be one of mp3, opus, webm, aac, flac, wav, pcm.")
    })?;
    let output = Output { sample_rate, ..format.into() };
    match sample_rate {
        None => Ok(output),
        Some(rate) if SAMPLE_RATES.contains(&rate) => {
            encoder(output, rate).map_err(|error| Error::invalid("sample_rate", error.message().to_owned()))?;
            Ok(output)
        }
        Some(_) => Err(invalid("sample_rate", "sample_rate must be between 8000 and 48000.")),
    }
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
