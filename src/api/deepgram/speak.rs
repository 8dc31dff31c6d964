//! `POST /v1/speak`: text in, sound out while it is synthesized.

use super::output;
use super::query::{Parameters, wrong, wrong_model};
use super::response::uuid_of;
use crate::api::error::Rejection;
use crate::api::sound::{Ask, begin_sound, log_late};
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use serde_json::Value;
use std::time::Instant;

/// The largest request body, in bytes.
const MOST_BODY: usize = 2_000_000;

/// The model of clients that name none.
const DEFAULT_MODEL: &str = "aura-asteria-en";

/// What stands for the model in `aura-2-thalia-en`, which names a voice.
const AURA: &str = "deepgram/aura-2";

/// Parameters that this server does not have.
const REFUSED: [&str; 2] = ["callback", "callback_method"];

/// A query that has been understood.
pub(super) struct Asked {
    /// What the client calls the model.
    pub(super) name: String,
    /// What speaks.
    pub(super) model: ModelInfo,
    voice: String,
    speed: f32,
    /// How it is written.
    pub(super) output: output::Asked,
}

/// Speaks a text.
pub async fn create_speech(State(app): State<App>, request: Request) -> Result<Response, Rejection> {
    let begun = Instant::now();
    let query = Parameters::read(request.uri())?;
    let asked = Asked::parse(&app, &query, output::Asked::parse(&query)?)?;
    let text = text(request, app.config.limits.input_chars).await?;
    let length = text.chars().count();
    let chunks = begin_sound(&app, asked.ask(text), asked.output.output, begun).await?.bytes();
    let mut response = Body::from_stream(chunks.inspect_err(log_late)).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE.as_str(), asked.output.content_type),
        ("dg-model-name", asked.name),
        ("dg-model-uuid", uuid_of(asked.model.model_id()).to_string()),
        ("dg-char-count", length.to_string()),
    ] {
        let value = HeaderValue::from_str(&value).map_err(|e| Error::internal("A header cannot be written.", e))?;
        response.headers_mut().insert(header::HeaderName::from_static(name), value);
    }
    Ok(response)
}

impl Asked {
    /// Reads everything but how the sound is written, which is `output`.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    pub(super) fn parse(app: &App, query: &Parameters, output: output::Asked) -> Result<Self> {
        query.refuse(&REFUSED)?;
        query.flag("mip_opt_out")?; // nothing is kept, so either is honoured
        let name = query.text("model").unwrap_or(DEFAULT_MODEL);
        let (model, voice) = voice_of(app, name)?;
        let speed = query.number("speed", "a number from 0.7 to 1.5")?.unwrap_or(1.0);
        if !(0.7..=1.5).contains(&speed) {
            return Err(wrong("speed", query.text("speed").unwrap_or_default(), "a number from 0.7 to 1.5"));
        }
        Ok(Self { name: name.to_owned(), model, voice, speed, output })
    }

    /// Asks for `text` to be said.
    pub(super) fn ask(&self, text: String) -> Ask {
        Ask { voice: Some(self.voice.clone()), speed: self.speed, ..Ask::new(self.model.id.as_str(), text, "text") }
    }
}

/// The model and the voice that `name` stands for: one of Deepgram's voices, or a model with its default voice.
fn voice_of(app: &App, name: &str) -> Result<(ModelInfo, String)> {
    let resolve = |id: &str| app.models.resolve(id, ModelTask::Speak).map_err(wrong_model);
    let Some((speaker, language)) = aura_voice(name) else {
        let model = resolve(name)?;
        let voice = app.models.default_voice(&model.id)?;
        return Ok((model, voice));
    };
    let model = resolve(AURA)?;
    let unknown = || {
        let message = format!("Unknown model `{name}`: no voice here stands for it. GET /v1/audio/voices lists those.");
        Error::invalid("model", message)
    };
    let voice = app.models.voice(&model.id, speaker).map_err(|_| unknown())?;
    // The voice has its own language; under the name of another it would read nonsense.
    let base = voice.split_once('+').map_or(voice.as_str(), |(base, _)| base);
    let voices = app.models.voices();
    let spoken = voices.iter().find(|known| known.id == base).map(|known| known.language.to_ascii_lowercase());
    match spoken {
        Some(spoken) if spoken.split('-').next() != Some(language) => Err(unknown()),
        _ => Ok((model, voice)),
    }
}

/// The speaker and the language in `aura-2-thalia-en` or `aura-asteria-en`.
fn aura_voice(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix("deepgram/").unwrap_or(name);
    let rest = name.strip_prefix("aura-2-").or_else(|| name.strip_prefix("aura-"))?;
    rest.split_once('-')
}

/// What is to be said.
async fn text(request: Request, limit: usize) -> Result<String> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let body = match media_type.as_str() {
        "application/json" | "text/plain" => {
            axum::body::to_bytes(request.into_body(), MOST_BODY).await.map_err(|e| {
                let message = format!("The body cannot be read or is larger than {MOST_BODY} bytes.");
                Error::new(Kind::TooLarge, message).with_source(e)
            })?
        }
        _ => {
            let message = "This route takes JSON with a `text` (content-type: application/json), or text/plain.";
            return Err(Error::new(Kind::Unsupported, message));
        }
    };
    let text = match media_type.as_str() {
        "text/plain" => String::from_utf8(body.into())
            .map_err(|e| Error::new(Kind::InvalidRequest, "The text is not UTF-8.").with_source(e))?,
        _ => text_in(&body)?,
    };
    if text.trim().is_empty() {
        return Err(Error::invalid("text", "`text` must hold at least one character."));
    }
    let length = text.chars().count();
    if length > limit {
        let message = format!("`text` must not be longer than {limit} characters; it has {length}.");
        return Err(Error::new(Kind::TooLarge, message).with_param("text"));
    }
    Ok(text)
}

/// The text in a JSON body.
fn text_in(body: &[u8]) -> Result<String> {
    let mut body: Value = serde_json::from_slice(body)
        .map_err(|e| Error::new(Kind::InvalidRequest, format!("The body is not JSON: {e}.")))?;
    if body.get("url").is_some_and(|url| !url.is_null()) {
        return Err(Error::invalid("url", "`url` is not supported by this server: send the `text` itself."));
    }
    match body.get_mut("text").map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(Error::invalid("text", "`text` must be what is to be said.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_is_read_off_the_name_of_its_model() {
        assert_eq!(aura_voice("aura-2-thalia-en"), Some(("thalia", "en")));
        assert_eq!(aura_voice("deepgram/aura-2-celeste-es"), Some(("celeste", "es")));
        assert_eq!(aura_voice("aura-asteria-en"), Some(("asteria", "en")));
        for name in ["aura-2", "aura-2-thalia", "tts-1", "deepgram/aura-2"] {
            assert_eq!(aura_voice(name), None, "{name}");
        }
    }

    #[test]
    fn only_a_text_can_be_said() {
        assert_eq!(text_in(br#"{"text": "Hello."}"#).unwrap(), "Hello.");
        for (body, param) in [
            (&br#"{"url": "http://a"}"#[..], Some("url")),
            (br#"{"text": "a", "url": "b"}"#, Some("url")),
            (br#"{"text": 1}"#, Some("text")),
            (b"[]", Some("text")),
            (b"hello", None),
        ] {
            assert_eq!(text_in(body).unwrap_err().param(), param);
        }
    }
}
