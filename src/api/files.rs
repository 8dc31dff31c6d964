//! `/v1/files/jobs/{id}/{name}`: the result of a job as a file, for whoever has the key or a link.

use super::auth::Client;
use super::error::Rejection;
use super::jobs::{FILES, shown};
use super::openai::transcript_body;
use crate::app::App;
use crate::error::{Error, Kind};
use crate::jobs::JobId;
use crate::speech::step;
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

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
    let missing = || Error::new(Kind::NotFound, "There is no such file.").with_code("file_not_found");
    let job = jobs.store().get(owner, id).await?.ok_or_else(missing)?;
    if !FILES.contains(&name.as_str()) {
        return Err(missing().into());
    }
    let outcome = jobs.store().outcome(id).await?.ok_or_else(missing)?;
    let (content_type, body) = step(move || {
        let duration = outcome.duration;
        let (transcript, wire) = shown(&job, outcome)?;
        Ok(transcript_body::file(&transcript, duration, &wire.wanted, &name))
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "private, no-store")], body).into_response())
}
