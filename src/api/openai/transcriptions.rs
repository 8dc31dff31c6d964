//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`: forms in, transcripts out.

use super::transcript_body::respond;
use super::transcript_events::{Check, stream_events};
use super::transcription_form::{Asked, Sound, parse};
use crate::api::auth::Client;
use crate::api::error::Rejection;
use crate::api::form::Form;
use crate::api::jobs::{self, Wire, accepted, submit};
use crate::api::upload::{Upload, fetch};
use crate::app::App;
use crate::engine::pool::Priority;
use crate::engine::{Task, TranscriberPool};
use crate::error::Result;
use crate::jobs::{KnownVoice, Source, VoicesToTell, Work};
use crate::speech::channels::{merge, transcribe_channels};
use crate::speech::complete::check_complete;
use crate::speech::speakers::{Diarization, KnownSpeaker};
use crate::speech::step;
use crate::speech::transcribe::{Request, transcribe, transcribe_all};
use crate::transcript::Transcript;
use axum::Extension;
use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;

/// Writes a recording down in the language spoken.
pub async fn create_transcription(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: HttpRequest,
) -> Result<Response, Rejection> {
    let form = Form::read(request, &app.config).await?;
    Ok(answer(&app, &client, form, Task::Transcribe).await?)
}

/// Writes a recording down in English, whatever language is spoken.
pub async fn create_translation(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    request: HttpRequest,
) -> Result<Response, Rejection> {
    let form = Form::read(request, &app.config).await?;
    Ok(answer(&app, &client, form, Task::Translate).await?)
}

async fn answer(app: &App, client: &Client, form: Form, task: Task) -> Result<Response> {
    let parsing = app.clone();
    let asked = step(move || parse(&parsing, form, task)).await?;
    if let Some(later) = asked.later {
        let webhook = later.webhook.map(|address| (address, false));
        return hand_in(app, client, Asked { later: None, ..asked }, webhook).await;
    }
    let upload = match &asked.sound {
        Sound::Sent(upload) => upload.clone(),
        Sound::At(address) => fetch(address, "audio_url", &app.config).await?,
    };
    let request = request(app, &asked).await?;
    let pool = app.models.transcriber(&asked.model.id).await?;
    let check: Check = if asked.strict { check_complete } else { |_| Ok(()) };
    if asked.stream {
        return stream_events(transcribe(pool, upload.source(), request), asked.wanted, check).await;
    }
    let (mut transcript, duration) = whole(pool, &upload, request, asked.multichannel).await?;
    check(&transcript)?;
    transcript.language = transcript.language.or(asked.options.language);
    Ok(respond(&transcript, duration, &asked.wanted))
}

/// Makes a job of what is asked, and answers with it.
async fn hand_in(app: &App, client: &Client, asked: Asked, webhook: Option<(String, bool)>) -> Result<Response> {
    let (upload, source) = match asked.sound {
        Sound::Sent(upload) => (Some(upload), None),
        Sound::At(address) => (None, Some(Source { address, is_url: false })),
    };
    let known = |it: &KnownSpeaker| KnownVoice::new(&it.name, &it.sample);
    let voices = asked.voices.map(|it| VoicesToTell { known: it.known.iter().map(known).collect(), count: it.count });
    let work = Work {
        model: asked.model.id,
        options: asked.options,
        stages: asked.stages,
        endpointing: asked.endpointing,
        voices,
        multichannel: asked.multichannel,
        strict: asked.strict,
        raw: None,
        source,
    };
    let wire = Wire { wanted: asked.wanted, callback: None, base: client.base.clone() };
    let job = submit(app, client, jobs::Asked { work, upload, wire, webhook }).await?;
    accepted(app, client, &job).await
}

async fn request(app: &App, asked: &Asked) -> Result<Request> {
    let mut request = Request::new(asked.options.clone(), Priority::Interactive);
    (request.stages, request.endpointing) = (asked.stages, asked.endpointing.clone());
    if let Some(voices) = &asked.voices {
        let (known, count) = (voices.known.clone(), voices.count);
        request.diarization = Some(Diarization { pool: app.models.diarizer().await?, known, count });
    }
    Ok(request)
}

async fn whole(
    pool: Arc<TranscriberPool>,
    upload: &Upload,
    request: Request,
    multichannel: bool,
) -> Result<(Transcript, Duration)> {
    if !multichannel {
        return transcribe_all(pool, upload.source(), request).await;
    }
    let (transcripts, duration) = transcribe_channels(pool, || Ok(upload.source()), request).await?;
    Ok((merge(transcripts), duration))
}
