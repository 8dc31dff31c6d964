//! `/v1/jobs`: what was handed in to be done later, as it looks on the wire.

use super::auth::Client;
use super::deepgram::callback::Callback;
use super::error::Rejection;
use super::openai::transcript_body::{self, Wanted};
use super::upload::Upload;
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::jobs::webhook::{Render, event_id};
use crate::jobs::{
    Delivery, DeliveryState, Input, Job, JobId, JobState, Message, Moment, NewJob, Outcome, Page, Submitted, Try, Work,
    now,
};
use crate::models::catalog::ModelTask;
use crate::speech::channels::merge;
use crate::speech::step;
use crate::transcript::{Segment, Transcript};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What makes a request that is sent twice one job.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The job of an answer whose body has no room for it.
pub const JOB: HeaderName = HeaderName::from_static("x-mynah-job");

/// The longest idempotency key, in characters.
const LONGEST_KEY: usize = 255;

/// Jobs on a page: how many there may be, and how many there are when nobody says.
const PAGE: (usize, usize) = (100, 20);

/// The files of a finished job.
pub const FILES: [&str; 4] = ["transcript.json", "transcript.txt", "transcript.srt", "transcript.vtt"];

/// What is remembered of a request until its job is over.
#[derive(Clone, Serialize, Deserialize)]
pub struct Wire {
    /// How the transcript is shown.
    pub wanted: Wanted,
    /// The answer of Deepgram's route, for jobs that came that way.
    pub callback: Option<Callback>,
    /// In front of links in what is pushed: what whoever sent the request calls this server.
    #[serde(default)]
    pub base: String,
}

/// A request that is to become a job.
pub struct Asked {
    /// What is to be done.
    pub work: Work,
    /// The recording, unless it is to be fetched.
    pub upload: Option<Upload>,
    /// How to answer.
    pub wire: Wire,
    /// Where the result is pushed, and whether by PUT.
    pub webhook: Option<(String, bool)>,
}

/// Takes a job in for `client`.
///
/// # Errors
/// `InvalidRequest` for addresses that are not called and for an idempotency key that is too long or has been used for
/// something else; whatever the store says.
pub async fn submit(app: &App, client: &Client, mut asked: Asked) -> Result<Job> {
    if let Some((address, _)) = &asked.webhook {
        let param = if asked.wire.callback.is_some() { "callback" } else { "webhook_url" };
        crate::net::check(address, param, &app.config).await?;
    }
    if let Some(source) = &asked.work.source {
        crate::net::check(&source.address, source.param(), &app.config).await?;
    }
    let idempotency = match &client.idempotency_key {
        Some(key) => Some((key.clone(), digest(&asked).await?)),
        None => None,
    };
    let stored = |e| Error::internal("a job cannot be stored", e);
    let new = NewJob {
        owner: client.owner.clone(),
        wire: serde_json::to_value(&asked.wire).map_err(stored)?,
        work: asked.work,
        input: asked.upload.take().map(input),
        webhook: asked.webhook,
        idempotency,
    };
    let Submitted { job, is_new } = app.jobs()?.store().submit(new, now()).await?;
    tracing::info!(job.id = %job.id, is_new, "job handed in");
    Ok(job)
}

fn input(upload: Upload) -> Input {
    match upload {
        Upload::Memory(bytes) => Input::Bytes(bytes),
        Upload::Disk(file) => Input::File(file),
    }
}

/// The same for requests that ask for the same.
async fn digest(asked: &Asked) -> Result<String> {
    let mut wanted = asked.wire.clone();
    wanted.base.clear();
    if let Some(callback) = &mut wanted.callback {
        callback.forget_the_request();
    }
    let parts = serde_json::to_vec(&(&asked.work, &wanted, &asked.webhook));
    let mut digest = Sha256::new_with_prefix(parts.map_err(|e| Error::internal("a job cannot be stored", e))?);
    let Some(upload) = asked.upload.clone() else { return Ok(format!("{:x}", digest.finalize())) };
    step(move || {
        let copied = std::io::copy(&mut upload.source(), &mut digest);
        copied.map_err(|e| Error::internal("the upload cannot be read", e))?;
        Ok(format!("{:x}", digest.finalize()))
    })
    .await
}

/// The key that makes a repeated request the same job.
///
/// # Errors
/// `InvalidRequest` for one that is too long or not of printable characters.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim).filter(|key| (1..=LONGEST_KEY).contains(&key.len()));
    let message = || format!("An Idempotency-Key has 1 to {LONGEST_KEY} printable characters.");
    key.map(|key| Some(key.to_owned())).ok_or_else(|| Error::invalid("Idempotency-Key", message()))
}

/// The answer to a request that has become a job: 202.
pub async fn accepted(app: &App, client: &Client, job: &Job) -> Result<Response> {
    Ok((StatusCode::ACCEPTED, Json(object(app, client, job).await?)).into_response())
}

/// One job.
pub async fn get_job(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Rejection> {
    let job = app.jobs()?.get(&client.owner, id.parse()?).await?;
    Ok(Json(object(&app, &client, &job).await?))
}

/// Ends a job.
pub async fn cancel_job(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Rejection> {
    let job = app.jobs()?.cancel(&client.owner, id.parse()?).await?;
    Ok(Json(object(&app, &client, &job).await?))
}

/// Pushes the result of a job once more.
pub async fn redeliver_job(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
) -> Result<Response, Rejection> {
    let (jobs, id) = (app.jobs()?, id.parse()?);
    jobs.get(&client.owner, id).await?;
    if !jobs.store().redeliver(&client.owner, id, now()).await? {
        let message = "There is nothing to deliver: the job is not over, or it came without a webhook_url.";
        return Err(Error::invalid("id", message).into());
    }
    Ok(accepted(&app, &client, &jobs.get(&client.owner, id).await?).await?)
}

/// What to list.
#[derive(Deserialize)]
pub struct ListQuery {
    limit: Option<String>,
    after: Option<String>,
    status: Option<String>,
}

/// The jobs of whoever asks, the newest first.
pub async fn list_jobs(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Rejection> {
    let mut page = page(&query)?;
    let limit = page.limit;
    page.limit += 1; // one more says whether there are more
    let mut jobs = app.jobs()?.store().list(&client.owner, page).await?;
    let has_more = jobs.len() > limit;
    jobs.truncate(limit);
    let data: Vec<Value> = jobs.iter().map(|job| summary(&app, &client.base, job)).collect();
    let id = |job: Option<&Job>| job.map(|job| job.id.to_string());
    let (first, last) = (id(jobs.first()), id(jobs.last()));
    Ok(Json(json!({"object": "list", "data": data, "has_more": has_more, "first_id": first, "last_id": last})))
}

fn page(query: &ListQuery) -> Result<Page> {
    let (most, usual) = PAGE;
    let limit =
        query.limit.as_deref().map_or(Some(usual), |limit| limit.parse().ok().filter(|it| (1..=most).contains(it)));
    let limit = limit.ok_or_else(|| Error::invalid("limit", format!("`limit` is a number from 1 to {most}.")))?;
    let wrong = |_| Error::invalid("after", "`after` is the id of a job.");
    let after = query.after.as_deref().map(|after| after.parse::<JobId>().map_err(wrong)).transpose()?;
    let states: &'static [JobState] = match query.status.as_deref() {
        None | Some("") => &[],
        Some("processing") => &[JobState::Waiting, JobState::Running],
        Some("completed") => &[JobState::Completed],
        Some("failed") => &[JobState::Failed, JobState::Cancelled],
        Some(other) => {
            let message = format!("`status` is processing, completed or failed, not `{other}`.");
            return Err(Error::invalid("status", message));
        }
    };
    Ok(Page { limit, after, states })
}

/// What a job is called on the wire: pollers end at `completed` and `failed`, and know no other end.
fn status(state: JobState) -> &'static str {
    match state {
        JobState::Waiting | JobState::Running => "processing",
        JobState::Completed => "completed",
        JobState::Failed | JobState::Cancelled => "failed",
    }
}

/// A job without what takes more than its record to tell.
fn summary(app: &App, base: &str, job: &Job) -> Value {
    let mut body = json!({
        "id": job.id.to_string(),
        "object": "job",
        "status": status(job.state),
        "modality": ModelTask::Transcribe.modality(),
        "model": job.work.model,
        "created_at": job.created.as_secs(),
        "updated_at": job.updated.as_secs(),
        "progress": (f64::from(job.progress) * 1000.0).round() / 1000.0,
    });
    if let Some(error) = reason(job) {
        body["error"] = json!(error);
        if let Some(failure) = &job.error {
            body["error_code"] = json!(failure.code);
            body["error_param"] = json!(failure.param);
        }
    }
    if let Some(finished) = job.finished {
        body["finished_at"] = json!(finished.as_secs());
    }
    if job.state == JobState::Completed {
        let expires = link_ends(app);
        let link = |name: &str| json!(link(app, base, job.id, name, expires));
        body["files"] = FILES.iter().map(|name| ((*name).to_owned(), link(name))).collect();
        body["result_url"] = link(FILES[0]);
    }
    if let Some(delivery) = &job.delivery {
        body["webhook"] = told(delivery);
    }
    body
}

/// A job with all that is known of it.
async fn object(app: &App, client: &Client, job: &Job) -> Result<Value> {
    let (jobs, mut body) = (app.jobs()?, summary(app, &client.base, job));
    match job.state {
        JobState::Waiting => body["queue_position"] = json!(jobs.store().position(job.id).await?),
        JobState::Completed => {
            if let Some(outcome) = jobs.store().outcome(job.id).await? {
                let job = job.clone();
                body["result"] = step(move || result(&job, outcome)).await?;
            }
        }
        JobState::Running | JobState::Failed | JobState::Cancelled => {}
    }
    if !job.state.is_over() {
        let said = jobs.store().said(job.id).await?;
        if !said.is_empty() {
            body["partial"] = partial(&said);
        }
    }
    Ok(body)
}

/// Why there is no result, in a sentence.
fn reason(job: &Job) -> Option<String> {
    match job.state {
        JobState::Cancelled => Some("cancelled".to_owned()),
        JobState::Failed => Some(job.error.as_ref().map(|it| it.message.clone()).unwrap_or_default()),
        _ => None,
    }
}

fn partial(said: &[Segment]) -> Value {
    let seconds = |time: std::time::Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    let segment = |segment: &Segment| {
        let mut body = json!({"start": seconds(segment.start), "end": seconds(segment.end), "text": segment.text});
        if let Some(channel) = segment.channel {
            body["channel"] = json!(channel);
        }
        body
    };
    let segments: Vec<Value> = said.iter().map(segment).collect();
    json!({"text": Transcript { segments: said.to_vec(), ..Transcript::default() }.text(), "segments": segments})
}

fn told(delivery: &Delivery) -> Value {
    let state = match delivery.state {
        DeliveryState::NotDue => "waiting",
        DeliveryState::Due => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::GivenUp => "given_up",
    };
    let attempt = |tried: &Try| json!({"at": tried.at, "status": tried.status, "error": tried.error});
    let attempts: Vec<Value> = delivery.tries.iter().map(attempt).collect();
    json!({"url": delivery.address, "status": state, "attempts": attempts})
}

/// When links that are made now end, in seconds since 1970.
fn link_ends(app: &App) -> u64 {
    now().as_secs().saturating_add(app.config.jobs.link_seconds)
}

/// The address of a file of a job, good without a key until `expires`, in seconds since 1970. In front is what the settings
/// say, or else `base`.
pub fn link(app: &App, base: &str, id: JobId, name: &str, expires: u64) -> String {
    let Ok(jobs) = app.jobs() else { return String::new() };
    let signature = jobs.sign_link(id, name, expires);
    let base = Some(app.config.jobs.public_url.trim_end_matches('/')).filter(|url| !url.is_empty()).unwrap_or(base);
    format!("{base}/v1/files/jobs/{id}/{name}?expires={expires}&signature={signature}")
}

/// How to show the outcome of a job, and what of it.
pub fn shown(job: &Job, outcome: Outcome) -> Result<(Transcript, Wire)> {
    let wire: Wire =
        serde_json::from_value(job.wire.clone()).map_err(|e| Error::internal("a job cannot be read", e))?;
    let mut channels = outcome.channels;
    let mut transcript = if job.work.multichannel { merge(channels) } else { channels.pop().unwrap_or_default() };
    transcript.language = transcript.language.or_else(|| job.work.options.language.clone());
    Ok((transcript, wire))
}

fn result(job: &Job, outcome: Outcome) -> Result<Value> {
    let duration = outcome.duration;
    let (transcript, wire) = shown(job, outcome)?;
    Ok(json!({"transcript": transcript_body::whole(&transcript, duration, &wire.wanted)}))
}

/// What is pushed when a job is over: the event, or Deepgram's answer to whoever came that way.
pub fn render(app: App) -> Render {
    Arc::new(move |job, outcome| {
        let wire: Wire =
            serde_json::from_value(job.wire.clone()).map_err(|e| Error::internal("a job cannot be read", e))?;
        let (body, headers) = match wire.callback {
            Some(callback) => (callback.body(job, outcome), vec![("dg-token", token(job))]),
            None => (event(&app, &wire.base, job, outcome)?, Vec::new()),
        };
        Ok(Message { body: body.to_string().into_bytes(), headers })
    })
}

/// What tells a receiver whose request it was, without the key.
fn token(job: &Job) -> String {
    job.owner.as_str().chars().take(32).collect()
}

fn event(app: &App, base: &str, job: &Job, outcome: Option<Outcome>) -> Result<Value> {
    let finished = job.finished.unwrap_or(job.updated);
    let mut data = json!({
        "job_id": job.id.to_string(),
        "id": job.id.to_string(),
        "status": status(job.state),
        "model": job.work.model,
    });
    match (job.state, outcome) {
        (JobState::Completed, Some(outcome)) => {
            data["result"] = result(job, outcome)?;
            data["result_url"] = json!(link(app, base, job.id, FILES[0], link_ends(app)));
        }
        (JobState::Completed, None) => return Err(Error::new(Kind::Internal, "the result is not kept any more")),
        _ => data["error"] = json!(reason(job)),
    }
    Ok(json!({
        "id": event_id(job),
        "object": "event",
        "type": format!("job.{}", status(job.state)),
        "created": finished.as_secs(),
        "created_at": finished.as_secs(),
        "timestamp": timestamp(finished),
        "data": data,
    }))
}

fn timestamp(at: Moment) -> String {
    super::deepgram::timestamp(at.system_time())
}

/// The header that names the job.
pub fn job_header(job: &Job) -> HeaderValue {
    HeaderValue::from_str(&job.id.to_string()).unwrap_or_else(|_| HeaderValue::from_static("job"))
}
