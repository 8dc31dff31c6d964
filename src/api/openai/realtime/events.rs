//! What every event of the server has.

use crate::api::error::envelope;
use crate::error::Error;
use serde_json::{Value, json};
use uuid::Uuid;

/// In front of the ids of items.
pub const ITEM: &str = "item";

/// A new id, unlike all others.
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}_{}", Uuid::now_v7().simple())
}

/// An event with these members.
pub fn event(name: &str, mut members: Value) -> Value {
    members["type"] = json!(name);
    members["event_id"] = json!(new_id("event"));
    members
}

/// Something went wrong: with the event of the client that is called `event_id`, or with none.
pub fn failure(error: &Error, event_id: Value) -> Value {
    let mut body = envelope(error);
    let mut told = body["error"].take();
    told["event_id"] = event_id;
    event("error", json!({"error": told}))
}
