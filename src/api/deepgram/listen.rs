//! `POST /v1/listen`: a recording in, its transcript out.

use super::error::RequestId;
use super::query::Asked;
use super::replace::replace;
use super::response::{Answer, Done, report_of};
use crate::api::error::Rejection;
use crate::api::report;
use crate::api::upload::Upload;
use crate::app::App;
use crate::audio::decode::{Decoder, Source, raw};
use crate::engine::TranscriberPool;
use crate::engine::pool::Priority;
use crate::error::{Error, Kind, Result};
use crate::speech::speakers::Diarization;
use crate::speech::step;
use crate::speech::transcribe::{Request, transcribe_all};
use crate::transcript::Transcript;
use axum::extract::{Request as HttpRequest, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The largest body that names an address instead of holding a recording, in bytes.
const MOST_JSON: usize = 1 << 16;

/// The most channels that are transcribed apart.
const MOST_CHANNELS: u32 = 16;

/// How many bytes of a recording are hashed at once.
const HASHED_AT_ONCE: u64 = 1 << 20;

/// Writes a recording down.
pub async fn create_transcript(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: HttpRequest,
) -> Result<Response, Rejection> {
    let created = SystemTime::now();
    let asked = Asked::parse(&app, request.uri())?;
    let diarization = match asked.diarize {
        true => Some(Diarization { pool: app.models.diarizer().await?, known: Vec::new(), count: None }),
        false => None,
    };
    let pool = app.models.transcriber(&asked.model.id).await?;
    let recording = Recording { upload: receive(&app, request).await?, asked };
    let (channels, sha256) = tokio::try_join!(recording.transcribe(pool, diarization), recording.sha256())?;
    let (mut channels, durations): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
    channels.iter_mut().for_each(|transcript| replace(transcript, &recording.asked.replacements));
    let duration = durations.into_iter().max().unwrap_or_default();
    let Asked { model, wanted, .. } = recording.asked;
    let done = Done { request_id, created, sha256, duration, model, channels };
    let mut response = Json(Answer::new(&done, &wanted)).into_response();
    report::add_coverage(&mut response, &report_of(&done.channels));
    Ok(response)
}

/// The body: the recording itself, or where it is. Only `application/json` says that it is the latter, because clients
/// send every other type, and none, with recordings.
async fn receive(app: &App, request: HttpRequest) -> Result<Upload> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let upload = match media_type.eq_ignore_ascii_case("application/json") {
        true => fetch(&address(request).await?).await?,
        false => Upload::from_body(request, &app.config.limits).await?,
    };
    match upload.is_empty() {
        true => Err(Error::new(Kind::InvalidAudio, "The body is empty. Send a recording, or JSON with its `url`.")),
        false => Ok(upload),
    }
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

async fn fetch(_url: &str) -> Result<Upload> {
    Err(Error::invalid("url", "`url` is not supported by this server: send the recording itself."))
}

/// What was sent, and what is to be done with it.
struct Recording {
    upload: Upload,
    asked: Asked,
}

impl Recording {
    /// Every channel with its duration, or the mix of all as the only one.
    async fn transcribe(
        &self,
        pool: Arc<TranscriberPool>,
        diarization: Option<Diarization>,
    ) -> Result<Vec<(Transcript, Duration)>> {
        let channels: Vec<Option<u32>> = match self.asked.multichannel {
            true => (0..self.channels().await?).map(Some).collect(),
            false => vec![None],
        };
        let transcripts = channels.into_iter().map(|channel| {
            let request = Request::new(self.asked.options.clone(), Priority::Interactive);
            let request = Request { channel, diarization: diarization.clone(), ..request };
            let pool = pool.clone();
            async move { transcribe_all(pool, self.open()?, request).await }
        });
        futures::stream::iter(transcripts).buffered(pool.slots().max(1)).try_collect().await
    }

    async fn channels(&self) -> Result<u32> {
        let source = self.open()?;
        let count = step(move || Ok(Decoder::open(source)?.channels())).await?;
        if count > MOST_CHANNELS {
            let message = format!("`multichannel`: the recording has {count} channels, more than {MOST_CHANNELS}.");
            return Err(Error::invalid("multichannel", message));
        }
        Ok(count)
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
