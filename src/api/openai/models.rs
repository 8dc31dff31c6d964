//! `GET /v1/models`, one model, and the lists of voices and models that user interfaces ask for.

use crate::api::error::Rejection;
use crate::app::App;
use crate::models::registry::{ModelInfo, unknown};
use crate::models::voices::VoiceInfo;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

/// Which models to list: the gateway's clients may want those of one kind, or of one maker, only.
#[derive(Deserialize)]
pub struct ModelsQuery {
    /// `audio-stt` or `audio-tts`; there are no models of any other.
    modality: Option<String>,
    /// What is in front of the slash of an id, or who owns the model.
    provider: Option<String>,
}

impl ModelsQuery {
    fn wants(&self, info: &ModelInfo) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|it| found == Some(it));
        let prefix = info.id.split_once('/').map(|(provider, _)| provider);
        is(&self.modality, info.task.modality())
            && (is(&self.provider, prefix) || is(&self.provider, Some(&info.owned_by)))
    }
}

/// Every id that can be asked for: models and aliases.
pub async fn list_models(State(app): State<App>, Query(query): Query<ModelsQuery>) -> Json<Value> {
    let mut models = app.models.list();
    models.retain(|info| can_be_asked_for(info) && query.wants(info));
    let data: Vec<Value> = models.iter().map(model).collect();
    Json(json!({"object": "list", "data": data}))
}

/// One model; its id may hold a slash, raw or as `%2F`.
pub async fn get_model(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Value>, Rejection> {
    let info = app.models.get(&id).filter(can_be_asked_for).ok_or_else(|| unknown(&id))?;
    Ok(Json(model(&info)))
}

/// No request names what tells speakers apart or whether they have finished; in a list of models clients would offer it
/// for transcription.
fn can_be_asked_for(info: &ModelInfo) -> bool {
    info.task.modality().is_some()
}

/// OpenAI's four keys, and what the id resolves to on this box.
fn model(info: &ModelInfo) -> Value {
    json!({
        "id": info.id,
        "object": "model",
        "created": info.created,
        "owned_by": info.owned_by,
        "task": info.task,
        "modality": info.task.modality(),
        "resolves_to": info.model_id(),
        "installed": info.installed,
        "loaded": info.loaded,
        "languages": info.languages,
        "licence": info.licence,
        "description": info.description,
    })
}

/// Which shape of the voice list is wanted.
#[derive(Deserialize)]
pub struct VoicesQuery {
    /// Plain strings, as older clients expect them.
    #[serde(default)]
    legacy: bool,
}

/// Every voice with `id` and `name`; open to user interfaces that send no key.
pub async fn list_voices(State(app): State<App>, Query(query): Query<VoicesQuery>) -> Json<Value> {
    let voices = app.models.voices().into_iter();
    let voices: Vec<Value> = match query.legacy {
        true => voices.map(|voice| json!(voice.id)).collect(),
        false => voices.map(|voice| describe(&voice)).collect(),
    };
    Json(json!({"voices": voices}))
}

fn describe(voice: &VoiceInfo) -> Value {
    let VoiceInfo { id, name, language, model, licence, .. } = voice;
    json!({"id": id, "name": name, "language": language, "model": model, "licence": licence})
}

/// Every id that answers, with a name; open to user interfaces that send no key.
pub async fn list_audio_models(State(app): State<App>) -> Json<Value> {
    let mut models = app.models.list();
    models.retain(|info| can_be_asked_for(info) && info.installed && info.usable);
    let models: Vec<Value> = models.iter().map(|it| json!({"id": it.id, "name": it.id, "task": it.task})).collect();
    Json(json!({"models": models}))
}
