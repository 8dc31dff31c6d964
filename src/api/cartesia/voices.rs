//! `GET /voices`: which voices there are, page by page.

use crate::api::error::Rejection;
use crate::app::App;
use crate::error::{Error, Kind};
use crate::models::voices::VoiceInfo;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

/// How many voices a page has for clients that do not say, and the most that it may have.
const PAGE: usize = 10;
const LARGEST_PAGE: usize = 100;

/// Voices here have no birthday; clients want one.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// The query, field by field.
#[derive(Deserialize)]
pub struct VoicesQuery {
    limit: Option<usize>,
    starting_after: Option<String>,
    ending_before: Option<String>,
    q: Option<String>,
    is_owner: Option<bool>,
    gender: Option<String>,
}

/// A page of the list of voices.
pub async fn list_voices(State(app): State<App>, Query(query): Query<VoicesQuery>) -> Result<Json<Value>, Rejection> {
    let mut voices = distinct(app.models.voices());
    if query.gender.is_some() {
        return Err(Error::invalid("gender", "The voices here have no `gender` to choose by.").into());
    }
    if let Some(wanted) = query.q.as_deref().map(str::to_lowercase) {
        voices.retain(|voice| voice.name.to_lowercase().contains(&wanted) || voice.id.to_lowercase().contains(&wanted));
    }
    // The voices of a server belong to nobody in particular.
    voices.retain(|_| query.is_owner != Some(true));
    let (page, has_more) = page(&voices, &query);
    let data: Vec<Value> = page.iter().map(voice).collect();
    let next_page = page.last().filter(|_| has_more).map(|last| last.id.clone());
    Ok(Json(json!({"data": data, "has_more": has_more, "next_page": next_page})))
}

/// One voice.
pub async fn get_voice(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Rejection> {
    let found = app.models.voices().into_iter().find(|voice| voice.id == id);
    let unknown = || Error::new(Kind::NotFound, format!("There is no voice `{id}`.")).with_code("voice_not_found");
    Ok(Json(voice(&found.ok_or_else(unknown)?)))
}

/// Models may share the name of a voice: the first has it here.
fn distinct(voices: Vec<VoiceInfo>) -> Vec<VoiceInfo> {
    let mut seen = std::collections::HashSet::new();
    voices.into_iter().filter(|voice| seen.insert(voice.id.clone())).collect()
}

/// The part of `voices` that is asked for, and whether more follow it.
fn page<'a>(voices: &'a [VoiceInfo], query: &VoicesQuery) -> (&'a [VoiceInfo], bool) {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let place = |id: &String| voices.iter().position(|voice| voice.id == *id);
    if let Some(before) = &query.ending_before {
        let end = place(before).unwrap_or(0);
        let start = end.saturating_sub(limit);
        return (&voices[start..end], start > 0);
    }
    let start = query.starting_after.as_ref().map_or(0, |after| place(after).map_or(voices.len(), |at| at + 1));
    let end = (start + limit).min(voices.len());
    (&voices[start..end], end < voices.len())
}

fn known(licence: &str) -> &str {
    if licence.is_empty() { "unknown" } else { licence }
}

fn voice(voice: &VoiceInfo) -> Value {
    let language = voice.language.split('-').next().unwrap_or_default();
    json!({
        "id": voice.id,
        "name": voice.name,
        "description": format!("A voice of {}. Licence: {}.", voice.model, known(&voice.licence)),
        "tagline": "",
        "language": language,
        "locales": [{"locale": voice.language, "is_native": true}],
        "access": "public",
        "visibility": "all",
        "is_owner": false,
        "is_public": true,
        "gender": null,
        "country": null,
        "preview_file_url": null,
        "created_at": CREATED,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voices(count: usize) -> Vec<VoiceInfo> {
        let voice = |number| VoiceInfo {
            id: format!("v{number}"),
            name: format!("Voice {number}"),
            language: "en-US".into(),
            model: "m".into(),
            licence: "MIT".into(),
            alias_of: None,
        };
        (0..count).map(voice).collect()
    }

    fn query(limit: usize, after: Option<&str>, before: Option<&str>) -> VoicesQuery {
        VoicesQuery {
            limit: Some(limit),
            starting_after: after.map(str::to_owned),
            ending_before: before.map(str::to_owned),
            q: None,
            is_owner: None,
            gender: None,
        }
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let voices = voices(5);
        let ids = |query: VoicesQuery| {
            let (page, more) = page(&voices, &query);
            (page.iter().map(|voice| voice.id.clone()).collect::<Vec<_>>().join(" "), more)
        };
        assert_eq!(ids(query(2, None, None)), ("v0 v1".into(), true));
        assert_eq!(ids(query(2, Some("v3"), None)), ("v4".into(), false));
        assert_eq!(ids(query(2, Some("v4"), None)), (String::new(), false));
        assert_eq!(ids(query(2, Some("gone"), None)), (String::new(), false));
        assert_eq!(ids(query(2, None, Some("v3"))), ("v1 v2".into(), true));
        assert_eq!(ids(query(0, None, None)), ("v0".into(), true));
    }
}
