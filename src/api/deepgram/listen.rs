//! `POST /v1/listen`: a recording in, its transcript out.

use super::callback::Callback;
use super::error::RequestId;
use super::query::Asked;
use super::replace::replace;
use super::response::{Answer, Done, report_of};
use crate::api::auth::Client;
use crate::api::error::Rejection;
use crate::api::jobs::{self as jobs_api, JOB, Wire, job_header, submit};
use crate::api::openai::transcript_body;
use crate::api::report;
use crate::api::upload::{Upload, fetch};
use crate::app::App;
use crate::audio::decode::{Source, raw};
use crate::engine::TranscriberPool;
use crate::engine::pool::Priority;
use crate::error::{Error, Kind, Result};
use crate::jobs::{self, VoicesToTell, Work};
use crate::speech::channels::transcribe_channels;
use crate::speech::speakers::Diarization;
use crate::speech::step;
use crate::speech::transcribe::{Request, Stages, transcribe_all};
use crate::transcript::Transcript;
use axum::extract::{Request as HttpRequest, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// The largest body that names an address instead of holding a recording, in bytes.
const MOST_JSON: usize = 1 << 16;

/// How many bytes of a recording are hashed at once.
const HASHED_AT_ONCE: u64 = 1 << 20;

/// Writes a recording down.
pub async fn create_transcript(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(client): Extension<Client>,
    request: HttpRequest,
) -> Result<Response, Rejection> {
    let created = SystemTime::now();
    let asked = Asked::parse(&app, request.uri())?;
    if asked.callback.is_some() {
        return Ok(call_back(&app, &client, asked, request_id, request).await?);
    }
    let job = job(&app, &asked).await?;
    let pool = app.models.transcriber(&asked.model.id).await?;
    let recording = Recording { upload: receive(&app, request).await?, asked };
    let ((mut channels, duration), sha256) = tokio::try_join!(recording.transcribe(pool, job), recording.sha256())?;
    channels.iter_mut().for_each(|transcript| replace(transcript, &recording.asked.replacements));
    let Asked { model, wanted, .. } = recording.asked;
    let done = Done { request_id, created, sha256, duration, model, channels };
    let mut response = Json(Answer::new(&done, &wanted)).into_response();
    report::add_coverage(&mut response, &report_of(&done.channels));
    Ok(response)
}

/// Takes the request in as a job and answers at once.
async fn call_back(
    app: &App,
    client: &Client,
    asked: Asked,
    request_id: Uuid,
    request: HttpRequest,
) -> Result<Response> {
    let (source, upload) = match is_json(&request) {
        true => (Some(jobs::Source { address: address(request).await?, is_url: true }), None),
        false => (None, Some(receive(app, request).await?)),
    };
    let done = settings(app, &asked);
    let work = Work {
        model: asked.model.id.clone(),
        options: done.options,
        stages: done.stages,
        endpointing: done.endpointing,
        voices: asked.diarize.then(|| VoicesToTell { known: Vec::new(), count: None }),
        multichannel: asked.multichannel,
        strict: false,
        raw: asked.raw,
        source,
    };
    let wanted = transcript_body::Wanted::everything(asked.diarize);
    let callback = Callback { request_id, model: asked.model, replacements: asked.replacements, wanted: asked.wanted };
    let wire = Wire { wanted, callback: Some(callback), base: client.base.clone() };
    let job = submit(app, client, jobs_api::Asked { work, upload, wire, webhook: asked.callback }).await?;
    let request_id = answered_id(&job).unwrap_or(request_id);
    Ok(([(JOB, job_header(&job))], Json(json!({"request_id": request_id}))).into_response())
}

/// The id of the request that made the job, which may be an earlier one.
fn answered_id(job: &jobs::Job) -> Option<Uuid> {
    let wire: Wire = serde_json::from_value(job.wire.clone()).ok()?;
    Some(wire.callback?.request_id)
}

/// What is to be done: the query says it, and the settings what the query has no words for.
async fn job(app: &App, asked: &Asked) -> Result<Request> {
    let mut request = settings(app, asked);
    if asked.diarize {
        request.diarization = Some(Diarization { pool: app.models.diarizer().await?, known: Vec::new(), count: None });
    }
    Ok(request)
}

/// What is to be done, except telling voices apart, which takes a model.
fn settings(app: &App, asked: &Asked) -> Request {
    let mut request = Request::new(asked.options.clone(), Priority::Interactive);
    let defaults = &app.config.transcription;
    request.stages = Stages { cut: defaults.vad, audit: defaults.audit };
    (request.options.guard, request.options.short_context) = (defaults.guard, defaults.short_context);
    request
}

/// The body: the recording itself, or where it is. Only `application/json` says that it is the latter, because clients
/// send every other type, and none, with recordings.
async fn receive(app: &App, request: HttpRequest) -> Result<Upload> {
    let upload = match is_json(&request) {
        true => fetch(&address(request).await?, "url", &app.config).await?,
        false => Upload::from_body(request, &app.config).await?,
    };
    match upload.is_empty() {
        true => Err(Error::new(Kind::InvalidAudio, "The body is empty. Send a recording, or JSON with its `url`.")),
        false => Ok(upload),
    }
}

/// Whether the body says where the recording is.
fn is_json(request: &HttpRequest) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// The address in a JSON body.
async fn address(request: HttpRequest) -> Result<String> {
    let body = axum::body::to_bytes(request.into_body(), MOST_JSON)
        .await
        .map_err(|e| Error::new(Kind::TooLarge, "The JSON body is cut off or too long.").with_source(e))?;
    let body: serde_json::Value = serde_json::from_slice(&body)
        .map_err(|e| Error::new(Kind::InvalidRequest, format!("The body is not JSON: {e}.")))?;
    let url = body.get("url").and_then(|url| url.as_str()).unwrap_or_default().trim().to_owned();
    match url.is_empty() {
        true => Err(Error::invalid("url", "`url` must be the address of a recording.")),
        false => Ok(url),
    }
}

/// What was sent, and what is to be done with it.
struct Recording {
    upload: Upload,
    asked: Asked,
}

impl Recording {
    /// The transcript of every channel, or of the mix of all as the only one, and how long the recording is.
    async fn transcribe(&self, pool: Arc<TranscriberPool>, request: Request) -> Result<(Vec<Transcript>, Duration)> {
        if self.asked.multichannel {
            return transcribe_channels(pool, || self.open(), request).await;
        }
        let (transcript, duration) = transcribe_all(pool, self.open()?, request).await?;
        Ok((vec![transcript], duration))
    }

    /// The recording from its start, with a header.
    fn open(&self) -> Result<Box<dyn Source>> {
        match self.asked.raw {
            Some(format) => raw::with_header(self.upload.source(), format),
            None => Ok(self.upload.source()),
        }
    }

    async fn sha256(&self) -> Result<String> {
        let (mut source, mut digest, mut at_end) = (self.upload.source(), Sha256::new(), false);
        while !at_end {
            (source, digest, at_end) = step(move || {
                let mut bytes = Vec::new();
                let read = source.by_ref().take(HASHED_AT_ONCE).read_to_end(&mut bytes);
                let read = read.map_err(|e| Error::internal("The upload could not be read.", e))?;
                digest.update(&bytes);
                Ok((source, digest, read == 0))
            })
            .await?;
        }
        Ok(format!("{:x}", digest.finalize()))
    }
}
