//! `/v1/files/jobs/{id}/{name}`: the result of a job as a file, for whoever has the key or a link; and the links.

use super::auth::Client;
use super::error::Rejection;
use super::jobs::{FILES, link, shown};
use super::openai::transcript_body;
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::jobs::{JobId, JobState, now};
use crate::speech::step;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long a link is good for when nobody says, and the longest that it can be, in seconds.
const LINK_SECONDS: (u64, u64) = (3_600, 30 * 24 * 3_600);

/// What makes a link good without a key.
#[derive(Deserialize)]
pub struct Link {
    expires: Option<u64>,
    signature: Option<String>,
}

/// One file.
pub async fn get_file(
    State(app): State<App>,
    client: Option<Extension<Client>>,
    Path((id, name)): Path<(String, String)>,
    Query(link): Query<Link>,
) -> Result<Response, Rejection> {
    let (jobs, id) = (app.jobs()?, id.parse::<JobId>()?);
    let owner = client.as_ref().map(|Extension(client)| &client.owner);
    if owner.is_none() {
        let (expires, signature) = (link.expires.unwrap_or(0), link.signature.as_deref().unwrap_or_default());
        if !jobs.is_good_link(id, &name, expires, signature).await? {
            return Err(Error::new(Kind::Forbidden, "This link is wrong or is not good any more.").into());
        }
    }
    let job = jobs.store().get(owner, id).await?.ok_or_else(no_such_file)?;
    if !FILES.contains(&name.as_str()) {
        return Err(no_such_file().into());
    }
    let outcome = jobs.store().outcome(id).await?.ok_or_else(no_such_file)?;
    let (content_type, body) = step(move || {
        let duration = outcome.duration;
        let (transcript, wire) = shown(&job, outcome)?;
        Ok(transcript_body::file(&transcript, duration, &wire.wanted, &name))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "private, no-store")], body).into_response())
}

/// For how long a link is to be good.
#[derive(Deserialize)]
pub struct LinkQuery {
    expires_in: Option<String>,
}

/// A link to one file of a finished job, for somebody without a key: `{"url", "expires_at"}`, the way the gateway's client
/// libraries ask for one.
pub async fn get_link(
    State(app): State<App>,
    Extension(client): Extension<Client>,
    Path((id, name)): Path<(String, String)>,
    Query(query): Query<LinkQuery>,
) -> Result<Json<Value>, Rejection> {
    let (usual, longest) = LINK_SECONDS;
    let seconds = query.expires_in.as_deref().map_or(Ok(usual), str::parse);
    let Some(seconds) = seconds.ok().filter(|seconds| (1..=longest).contains(seconds)) else {
        let message = format!("`expires_in` is a number of seconds from 1 to {longest}.");
        return Err(Error::invalid("expires_in", message).into());
    };
    let id: JobId = id.parse()?;
    let job = app.jobs()?.get(&client.owner, id).await?;
    if job.state != JobState::Completed || !FILES.contains(&name.as_str()) {
        return Err(no_such_file().into());
    }
    let expires = now().as_secs() + seconds;
    Ok(Json(json!({"url": link(&app, &client.base, id, &name, expires), "expires_at": expires})))
}

fn no_such_file() -> Error {
    Error::new(Kind::NotFound, "There is no such file.").with_code("file_not_found")
}
