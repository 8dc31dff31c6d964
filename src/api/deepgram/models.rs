//! Deepgram's list of models: what transcribes, and what speaks.

use super::response::uuid_of;
use crate::app::App;
use crate::models::catalog::ModelTask;
use crate::models::registry::ModelInfo;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

/// Every id that can be asked for and is installed.
pub async fn list_models(State(app): State<App>) -> Json<Value> {
    let models = app.models.list();
    let of = |task: ModelTask| {
        models.iter().filter(|info| info.task == task && info.installed && info.usable).map(model).collect::<Vec<_>>()
    };
    Json(json!({"stt": of(ModelTask::Transcribe), "tts": of(ModelTask::Speak)}))
}

fn model(info: &ModelInfo) -> Value {
    let mut model = json!({
        "name": info.id,
        "canonical_name": info.model_id(),
        "architecture": info.engine,
        "languages": info.languages,
        "version": env!("CARGO_PKG_VERSION"),
        "uuid": uuid_of(info.model_id()),
    });
    if info.task == ModelTask::Transcribe {
        model["batch"] = true.into();
        model["streaming"] = false.into();
        model["formatted_output"] = true.into();
    }
    model
}
