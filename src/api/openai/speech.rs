//! `POST /v1/audio/speech`: text in, sound out while it is synthesized. And the same with the times of its words.

use super::speech_events as events;
use super::speech_form::Asked;
use crate::api::error::Rejection;
use crate::api::sound::{Sound, begin_sound, log_late, word_of};
use crate::app::App;
use crate::audio::encode::{AudioFormat, wav};
use crate::error::Result;
use crate::speech::speak::{Encoded, TimedWord};
use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Speaks a text. The answer begins when its first bytes exist, so a failure before that still has a status.
pub async fn create_speech(State(app): State<App>, request: Request) -> Result<Response, Rejection> {
    let begun = Instant::now();
    let asked = Asked::read(&app, request).await?;
    let sound = begin_sound(&app, asked.ask, asked.output, begun).await?;
    if asked.events {
        return Ok(events::answer(sound, asked.input_bytes, false));
    }
    let content_type = HeaderValue::from_static(asked.output.format.content_type());
    let chunks = sound.bytes();
    // A WAV file says its length at the front. Who did not ask for a stream gets a header that is true.
    let body = if asked.output.format == AudioFormat::Wav && !asked.stream {
        let mut whole = chunks.try_collect::<Vec<Bytes>>().await?.concat();
        wav::finalize_header(&mut whole);
        Body::from(whole)
    } else {
        Body::from_stream(chunks.inspect_err(log_late))
    };
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// Speaks a text and says when its words are said: as one JSON object, or as events while it is synthesized.
pub async fn create_timed_speech(State(app): State<App>, request: Request) -> Result<Response, Rejection> {
    let begun = Instant::now();
    let asked = Asked::read(&app, request).await?;
    let sound = begin_sound(&app, asked.ask, asked.output, begun).await?;
    if asked.stream {
        return Ok(events::answer(sound, asked.input_bytes, true));
    }
    let format = asked.output.format;
    let (mut audio, words) = collect(sound).await?;
    if format == AudioFormat::Wav {
        wav::finalize_header(&mut audio);
    }
    let answer = json!({
        "audio": BASE64_STANDARD.encode(audio),
        "format": format.name(),
        "content_type": format.content_type(),
        "words": words,
        "usage": events::usage(asked.input_bytes),
    });
    Ok(Json(answer).into_response())
}

/// All bytes, and all words as they are sent.
async fn collect(mut sound: Sound) -> Result<(Vec<u8>, Vec<Value>)> {
    let (mut audio, mut words) = (Vec::new(), Vec::new());
    while let Some(encoded) = sound.encoded.try_next().await? {
        match encoded {
            Encoded::Bytes(bytes) => audio.extend_from_slice(&bytes),
            Encoded::Words(timed) => words.extend(timed.iter().map(|word| word_json(&sound.text, word))),
        }
    }
    Ok((audio, words))
}

/// A word as clients get it: as it is in their text, with its times in seconds.
pub(super) fn word_json(text: &str, word: &TimedWord) -> Value {
    let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    json!({"word": word_of(text, word), "start": seconds(word.start), "end": seconds(word.end)})
}
