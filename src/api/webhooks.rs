//! `/v1/webhook-secret`: what receivers verify deliveries with.

use super::auth::Client;
use super::error::Rejection;
use crate::app::App;
use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};

/// The secret of whoever asks.
pub async fn get_secret(
    State(app): State<App>,
    Extension(client): Extension<Client>,
) -> Result<Json<Value>, Rejection> {
    Ok(Json(json!({"secret": app.jobs()?.secret(&client.owner).await?})))
}

/// A new secret; the old one is of no use from now on.
pub async fn rotate_secret(
    State(app): State<App>,
    Extension(client): Extension<Client>,
) -> Result<Json<Value>, Rejection> {
    Ok(Json(json!({"secret": app.jobs()?.rotate_secret(&client.owner).await?})))
}
