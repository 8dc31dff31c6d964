//! `callback`: the answer is pushed when it is there.

use super::replace::{Replacement, replace};
use super::response::{Answer, Done, Wanted};
use crate::jobs::{Job, Outcome};
use crate::models::registry::ModelInfo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// What the answer of a request will need.
#[derive(Clone, Serialize, Deserialize)]
pub struct Callback {
    /// The id of the request.
    pub request_id: Uuid,
    /// What transcribes.
    pub model: ModelInfo,
    /// What is to be written another way.
    pub replacements: Vec<Replacement>,
    /// What the answer tells.
    pub wanted: Wanted,
}

impl Callback {
    /// Leaves out what differs between two requests for the same.
    pub fn forget_the_request(&mut self) {
        self.request_id = Uuid::nil();
        self.model.loaded = false;
    }

    /// The answer, or the failure that there is instead.
    pub fn body(self, job: &Job, outcome: Option<Outcome>) -> Value {
        let Some(Outcome { mut channels, duration, sha256 }) = outcome else { return self.failure(job) };
        channels.iter_mut().for_each(|transcript| replace(transcript, &self.replacements));
        let (request_id, created) = (self.request_id, job.created.system_time());
        let done = Done { request_id, created, sha256, duration, model: self.model, channels };
        serde_json::to_value(Answer::new(&done, &self.wanted)).unwrap_or_default()
    }

    fn failure(self, job: &Job) -> Value {
        let (message, is_callers) = match &job.error {
            Some(failure) => (failure.message.as_str(), failure.is_callers),
            None => ("cancelled", true),
        };
        let code = if is_callers { "Bad Request" } else { "INTERNAL_SERVER_ERROR" };
        json!({"err_code": code, "err_msg": message, "request_id": self.request_id})
    }
}
