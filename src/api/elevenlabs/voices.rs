//! `GET /v1/voices`, `/v1/voices/{voice_id}` and `/v2/voices`: who can speak, in ElevenLabs' shape.

use crate::api::error::Rejection;
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::models::voices::VoiceInfo;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

/// The category of every voice here: nobody has cloned or made one.
const CATEGORY: &str = "premade";

/// How many voices `/v2/voices` tells at once when nobody says, and at most.
const PAGE: (usize, usize) = (10, 100);

/// ElevenLabs' query of `/v2/voices`, field by field. `include_total_count` is as good as honoured: the count is there.
#[derive(Deserialize)]
pub struct VoicesQuery {
    next_page_token: Option<String>,
    page_size: Option<String>,
    search: Option<String>,
    sort: Option<String>,
    sort_direction: Option<String>,
    voice_type: Option<String>,
    category: Option<String>,
    fine_tuning_state: Option<String>,
    collection_id: Option<String>,
    voice_ids: Option<String>,
}

/// Every voice at once.
pub async fn list_voices(State(app): State<App>) -> Json<Value> {
    let voices: Vec<Value> = app.models.voices().iter().map(|info| voice(&app, info)).collect();
    Json(json!({"voices": voices}))
}

/// One voice, by the id that the list tells or by another name of it.
pub async fn get_voice(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Rejection> {
    let voices = app.models.voices();
    let is_asked = |info: &&VoiceInfo| info.id.eq_ignore_ascii_case(&id) || voice_id(&app, info) == id;
    let found = voices.iter().find(is_asked).ok_or_else(|| {
        let message = format!("A voice with the id '{id}' was not found. GET /v1/voices lists those that are here.");
        Error::new(Kind::NotFound, message).with_param("voice_id").with_code("voice_not_found")
    })?;
    Ok(Json(voice(&app, found)))
}

/// The voices that were searched for, page by page.
pub async fn search_voices(State(app): State<App>, Query(query): Query<VoicesQuery>) -> Result<Json<Value>, Rejection> {
    let (first, size) = query.page()?;
    let voices = query.chosen(&app)?;
    let page: Vec<Value> = voices.iter().skip(first).take(size).map(|info| voice(&app, info)).collect();
    let next = Some(first + size).filter(|next| *next < voices.len());
    Ok(Json(json!({
        "voices": page,
        "has_more": next.is_some(),
        "total_count": voices.len(),
        "next_page_token": next.map(|next| next.to_string()),
    })))
}

impl VoicesQuery {
    /// Where the page begins, and how many voices it has.
    ///
    /// # Errors
    /// `InvalidRequest` that names the parameter.
    fn page(&self) -> Result<(usize, usize)> {
        let first = match self.next_page_token.as_deref().filter(|token| !token.is_empty()) {
            None => 0,
            Some(token) => token.parse().map_err(|_| wrong("next_page_token", token, "what an answer has given"))?,
        };
        let size = match &self.page_size {
            None => PAGE.0,
            Some(text) => {
                let size = text.parse().ok().filter(|size| (1..=PAGE.1).contains(size));
                size.ok_or_else(|| wrong("page_size", text, "a number from 1 to 100"))?
            }
        };
        Ok((first, size))
    }

    /// The voices that the query is about, in its order.
    ///
    /// # Errors
    /// `InvalidRequest` that names a parameter which is wrong or has no meaning here.
    fn chosen(&self, app: &App) -> Result<Vec<VoiceInfo>> {
        for (name, value) in [("fine_tuning_state", &self.fine_tuning_state), ("collection_id", &self.collection_id)] {
            if let Some(value) = value {
                return Err(wrong(name, value, "left out: this server has none"));
            }
        }
        let mut voices = app.models.voices();
        if let Some(search) = &self.search {
            let search = search.to_lowercase();
            let has = |text: &str| text.to_lowercase().contains(&search);
            voices.retain(|it| [&it.id, &it.name, &it.language, &it.model].iter().any(|text| has(text)));
        }
        let of_kind = |kind: &Option<String>, ours: &[&str]| kind.as_deref().is_none_or(|kind| ours.contains(&kind));
        if !of_kind(&self.category, &[CATEGORY]) || !of_kind(&self.voice_type, &["default", "non-community"]) {
            voices.clear();
        }
        if let Some(ids) = &self.voice_ids {
            let ids: Vec<&str> = ids.split(',').map(str::trim).collect();
            voices.retain(|info| ids.contains(&info.id.as_str()) || ids.contains(&voice_id(app, info).as_str()));
        }
        self.sort(&mut voices)?;
        Ok(voices)
    }

    fn sort(&self, voices: &mut [VoiceInfo]) -> Result<()> {
        match self.sort.as_deref() {
            // All were there from the beginning.
            None | Some("created_at_unix") => {}
            Some("name") => voices.sort_by_key(|voice| voice.name.to_lowercase()),
            Some(other) => return Err(wrong("sort", other, "name or created_at_unix")),
        }
        match self.sort_direction.as_deref() {
            None | Some("asc") => {}
            Some("desc") => voices.reverse(),
            Some(other) => return Err(wrong("sort_direction", other, "asc or desc")),
        }
        Ok(())
    }
}

fn wrong(name: &'static str, value: &str, expected: &str) -> Error {
    Error::invalid(name, format!("`{name}` is '{value}'; it must be {expected}."))
}

/// The id that ElevenLabs' clients know, where there is one.
fn voice_id(app: &App, info: &VoiceInfo) -> String {
    app.models.voice_id_of(&info.id).unwrap_or(&info.id).to_owned()
}

fn voice(app: &App, info: &VoiceInfo) -> Value {
    let labels = match info.language.is_empty() {
        true => json!({}),
        false => json!({"language": info.language}),
    };
    json!({
        "voice_id": voice_id(app, info),
        "name": info.name,
        "category": CATEGORY,
        "description": format!("A voice of {}. Licence: {}", info.model, info.licence),
        "labels": labels,
        "preview_url": null,
        "available_for_tiers": [],
        "high_quality_base_model_ids": [],
        "settings": null,
        "is_owner": false,
        "is_legacy": false,
    })
}
