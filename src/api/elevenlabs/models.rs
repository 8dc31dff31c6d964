//! ElevenLabs' list of models: a bare array.

use crate::api::languages::name_of;
use crate::app::App;
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// The ids that ElevenLabs' clients ask for, which the catalog knows without listing them, and their names.
const OWN: [(&str, &str); 5] = [
    ("eleven_v3", "Eleven v3"),
    ("eleven_multilingual_v2", "Eleven Multilingual v2"),
    ("eleven_flash_v2_5", "Eleven Flash v2.5"),
    ("eleven_turbo_v2_5", "Eleven Turbo v2.5"),
    ("eleven_flash_v2", "Eleven Flash v2"),
];

/// Every model that speaks and is installed: first under the service's own ids, then under those of this server.
pub async fn list_models(State(app): State<App>) -> Json<Value> {
    let can_speak = |info: &ModelInfo| info.task == ModelTask::Speak && info.installed && info.usable;
    let own = OWN.iter().filter_map(|(id, name)| Some((*id, *name, app.models.get(id).filter(can_speak)?)));
    let mut models: Vec<Value> = own.map(|(id, name, info)| model(&app, id, name, &info)).collect();
    let all = app.models.list().into_iter().filter(can_speak);
    models.extend(all.map(|info| model(&app, &info.id, &info.name, &info)));
    Json(models.into())
}

fn model(app: &App, id: &str, name: &str, info: &ModelInfo) -> Value {
    let languages: Vec<Value> = app
        .models
        .spoken_languages(info.model_id())
        .into_iter()
        .map(|code| json!({"language_id": code, "name": name_of(&code).map_or_else(|| code.clone(), capitalized)}))
        .collect();
    json!({
        "model_id": id,
        "name": name,
        "description": info.description,
        "can_do_text_to_speech": true,
        "can_do_voice_conversion": false,
        "can_be_finetuned": false,
        "can_use_style": false,
        "can_use_speaker_boost": false,
        "serves_pro_voices": false,
        "requires_alpha_access": false,
        "token_cost_factor": 1.0,
        "max_characters_request_free_user": app.config.limits.input_chars,
        "max_characters_request_subscribed_user": app.config.limits.input_chars,
        "maximum_text_length_per_request": app.config.limits.input_chars,
        "languages": languages,
    })
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
