//! `POST /v1/text-to-speech/{voice_id}/with-timestamps`, whole and streamed: the sound as base64, and when each character of
//! the text is said.

use super::alignment::{Alignment, in_seconds};
use super::error::body;
use super::speech::{SpeechQuery, begin};
use crate::api::error::{Rejection, status};
use crate::api::sound::{Sound, log_late};
use crate::app::App;
use crate::error::{Error, Result};
use crate::speech::speak::Encoded;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Instant;

/// The whole sound in one object.
pub async fn create_speech(
    State(app): State<App>,
    Path(voice): Path<String>,
    Query(query): Query<SpeechQuery>,
    request: Request,
) -> Result<Json<Value>, Rejection> {
    let (mut sound, _) = begin(&app, voice, &query, request, Instant::now()).await?;
    let (mut bytes, mut timed, mut alignment) = (Vec::new(), Vec::new(), Alignment::default());
    while let Some(encoded) = sound.encoded.try_next().await? {
        match encoded {
            Encoded::Bytes(some) => bytes.extend(some),
            Encoded::Words(words) => timed.extend(alignment.up_to(&sound.text, &words)),
        }
    }
    timed.extend(alignment.rest(&sound.text));
    Ok(Json(object(&bytes, &in_seconds(&timed))))
}

/// The same in many objects, one in a line.
pub async fn stream_speech(
    State(app): State<App>,
    Path(voice): Path<String>,
    Query(query): Query<SpeechQuery>,
    request: Request,
) -> Result<Response, Rejection> {
    let (sound, _) = begin(&app, voice, &query, request, Instant::now()).await?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, Body::from_stream(lines(sound))).into_response())
}

/// One object for each piece of `sound`, and one with the characters that nobody says.
fn lines(sound: Sound) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let (text, mut alignment) = (sound.text, Alignment::default());
    let ends = sound.encoded.map_ok(Some).chain(futures::stream::once(async { Ok(None) }));
    let objects = ends.map_ok(move |encoded| match encoded {
        Some(Encoded::Bytes(bytes)) => object(&bytes, &Value::Null),
        Some(Encoded::Words(words)) => object(&[], &in_seconds(&alignment.up_to(&text, &words))),
        None => object(&[], &in_seconds(&alignment.rest(&text))),
    });
    // After a failure nothing more may follow.
    let objects = objects.scan(false, |failed, object: Result<Value>| {
        let ended = std::mem::replace(failed, object.is_err());
        std::future::ready((!ended).then_some(object))
    });
    objects.map(|object| Ok(Bytes::from(format!("{}\n", object.unwrap_or_else(|error| failed(&error))))))
}

fn object(sound: &[u8], alignment: &Value) -> Value {
    json!({
        "audio_base64": BASE64_STANDARD.encode(sound),
        "alignment": alignment,
        // What is read out is told in the characters that were written.
        "normalized_alignment": alignment,
    })
}

fn failed(error: &Error) -> Value {
    log_late(error);
    body(error, status(error.kind()))
}
