//! `POST /v1/text-to-speech/{voice_id}` and its relatives: text in, sound out while it is synthesized.

use super::output;
use crate::api::error::Rejection;
use crate::api::json::read_json;
use crate::api::sound::{Ask, Sound, begin_sound, log_late};
use crate::app::App;
use crate::audio::encode::Output;
use crate::error::{Error, Kind, Result};
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::Value;
use std::time::Instant;

/// The largest request body, in bytes: generous for the longest text.
const MOST_BODY: usize = 1 << 20;

/// The model of clients that name none.
const DEFAULT_MODEL: &str = "eleven_multilingual_v2";

/// The query, field by field. `enable_logging` and `optimize_streaming_latency` are as good as honoured: nothing is kept,
/// and nothing is waited for.
#[derive(Deserialize)]
pub struct SpeechQuery {
    output_format: Option<String>,
}

/// ElevenLabs' body, field by field. Connections have the same in their query and in their first message.
///
/// What it tells a voice about its manner (`stability`, `seed`, the text before and after, …) is accepted as a hint that
/// the voices here cannot take; what would change the words is not.
#[derive(Default, Deserialize)]
pub(super) struct SpeechRequest {
    pub(super) text: Option<String>,
    pub(super) model_id: Option<String>,
    pub(super) language_code: Option<String>,
    pub(super) voice_settings: Option<VoiceSettings>,
    pub(super) pronunciation_dictionary_locators: Option<Vec<Value>>,
    pub(super) apply_text_normalization: Option<String>,
    pub(super) apply_language_text_normalization: Option<bool>,
    pub(super) audio_effects: Option<Value>,
}

/// How a voice is to speak.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct VoiceSettings {
    speed: Option<f32>,
}

/// Speaks a text.
pub async fn create_speech(
    State(app): State<App>,
    Path(voice): Path<String>,
    Query(query): Query<SpeechQuery>,
    request: Request,
) -> Result<Response, Rejection> {
    let begun = Instant::now();
    let (sound, output) = begin(&app, voice, &query, request, begun).await?;
    let headers = [(header::CONTENT_TYPE, output.format.content_type())];
    Ok((headers, Body::from_stream(sound.bytes().inspect_err(log_late))).into_response())
}

/// Begins to speak what `request` asks for.
///
/// # Errors
/// `InvalidRequest` that names the parameter, `NotFound` for a voice or model that is not here; as [`begin_sound`].
pub(super) async fn begin(
    app: &App,
    voice: String,
    query: &SpeechQuery,
    request: Request,
    begun: Instant,
) -> Result<(Sound, Output)> {
    let output = output::parse(query.output_format.as_deref().unwrap_or(output::DEFAULT))?;
    let request: SpeechRequest = read_json(request, MOST_BODY).await?;
    let ask = request.ask(voice, app.config.limits.input_chars)?;
    Ok((begin_sound(app, ask, output, begun).await.map_err(named_as_here)?, output))
}

impl SpeechRequest {
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    fn ask(self, voice: String, limit: usize) -> Result<Ask> {
        let text = text(self.text.as_deref(), limit)?.to_owned();
        Ok(Ask { text, ..self.manner(voice)? })
    }

    /// Who is to speak, and how; the text is left out.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    pub(super) fn manner(self, voice: String) -> Result<Ask> {
        self.refuse()?;
        let speed = self.voice_settings.and_then(|settings| settings.speed).unwrap_or(1.0);
        if !(0.25..=4.0).contains(&speed) {
            return Err(Error::invalid("voice_settings.speed", "`speed` must be between 0.25 and 4."));
        }
        let model = self.model_id.unwrap_or_else(|| DEFAULT_MODEL.to_owned());
        let language = self.language_code.filter(|code| !code.trim().is_empty());
        Ok(Ask { voice: Some(voice), language, speed, ..Ask::new(model, "", "text") })
    }

    /// Refuses what would change the words or the sound in ways that this server does not have.
    fn refuse(&self) -> Result<()> {
        let off = |value: &Option<Value>| value.as_ref().is_none_or(|value| value.is_null());
        let refused = [
            ("pronunciation_dictionary_locators", self.pronunciation_dictionary_locators.iter().flatten().count() > 0),
            ("apply_text_normalization", self.apply_text_normalization.as_deref() == Some("off")),
            ("apply_language_text_normalization", self.apply_language_text_normalization == Some(true)),
            ("audio_effects", !off(&self.audio_effects)),
        ];
        match refused.iter().find(|(_, asks)| *asks) {
            None => Ok(()),
            Some((name, _)) => Err(Error::invalid(*name, format!("`{name}` is not supported by this server."))),
        }
    }
}

fn text(text: Option<&str>, limit: usize) -> Result<&str> {
    let text = text.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Error::invalid("text", "`text` must hold at least one character."))?;
    check_length(text, limit)?;
    Ok(text)
}

/// # Errors
/// `InvalidRequest` for a text of more than `limit` characters.
pub(super) fn check_length(text: &str, limit: usize) -> Result<()> {
    let length = text.chars().count();
    if length > limit {
        let message = format!("`text` must not be longer than {limit} characters; it has {length}.");
        return Err(Error::invalid("text", message).with_code("max_character_limit_exceeded"));
    }
    Ok(())
}

/// The error with the names that these clients know.
pub(super) fn named_as_here(error: Error) -> Error {
    let message = error.message().to_owned();
    match error.param() {
        Some("voice") => Error::new(Kind::NotFound, message).with_param("voice_id").with_code("voice_not_found"),
        Some("model") => Error::new(error.kind(), message).with_param("model_id").with_code("model_not_found"),
        Some("language") => Error::invalid("language_code", message),
        _ => error,
    }
}
