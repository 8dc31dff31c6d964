//! Is it alive, may traffic come, what does it measure.

use crate::app::{App, State as AppState};
use crate::config::Role;
use crate::telemetry;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

/// The process answers.
pub async fn get_health() -> Json<Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// Pinned models are loaded, the jobs can be reached where there is nothing to do without them, and the server is not
/// stopping; otherwise 503.
pub async fn get_ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let lacks_jobs = app.config.server.role != Role::All && !app.jobs().is_ok_and(|jobs| jobs.store().is_reachable());
    match app.state() {
        AppState::Ready if lacks_jobs => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "jobs unreachable"}))),
        AppState::Ready => (StatusCode::OK, Json(json!({"status": "ready"}))),
        AppState::Starting => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "starting"}))),
        AppState::Stopping => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "stopping"}))),
    }
}

/// Every metric, in the Prometheus text format.
pub async fn get_metrics(State(app): State<App>) -> impl IntoResponse {
    let metrics = telemetry::prometheus();
    if let Ok(jobs) = app.jobs() {
        jobs.measure().await;
    }
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, metrics.render())
}
