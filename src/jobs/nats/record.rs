//! What is stored of a job, as JSON, and what may become of it.
//!
//! Every change is a function from a record to the next one: whether it takes hold is decided by whoever stores it, who
//! insists on the revision that the change was made from.

use crate::error::{Error, Result};
use crate::jobs::{
    Claim, Delivery, DeliveryState, Failure, Job, JobId, JobState, MOST_CRASHES, Moment, Needs, NewJob, Owner, Try,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Attempts at a delivery that are remembered.
const TRIES: usize = 50;

/// A job as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub owner: String,
    /// The entry of its idempotency key.
    pub key: Option<String>,
    pub needs: Needs,
    pub state: JobState,
    pub attempt: u32,
    pub failures: u32,
    /// How often whoever worked on it was not heard of again.
    pub crashes: u32,
    pub run_at: Moment,
    pub lease_until: Moment,
    /// Which store holds the claim: it makes records of two that claim in the same millisecond differ.
    pub holder: String,
    pub progress: f32,
    /// How many segments can be read.
    pub said: usize,
    pub error: Option<Failure>,
    pub created: Moment,
    pub updated: Moment,
    pub finished: Option<Moment>,
    pub hook: Option<Hook>,
    pub order: Kept,
    pub input: Option<Blob>,
    pub result: Option<Blob>,
}

/// What is to be done and how it is to be answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Kept {
    /// In the record.
    Here(Value),
    /// Elsewhere, because it is long.
    Blob(Blob),
}

/// Something that is too long for a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Blob {
    /// Its name below its job.
    pub name: String,
    /// How many messages it is.
    pub chunks: usize,
    /// How many bytes.
    pub bytes: u64,
}

/// Where the result is pushed, and what became of that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hook {
    pub address: String,
    pub put: bool,
    pub state: DeliveryState,
    pub next: Moment,
    pub since: Option<Moment>,
    pub tries: Vec<Try>,
}

/// What became of a wish to claim.
pub(super) enum Claimed {
    Mine,
    /// It took its workers down so often that it has been ended.
    GivenUp,
}

impl Record {
    /// The record of a job that is handed in.
    pub(super) fn new(new: &NewJob, order: Kept, input: Option<Blob>, key: Option<String>, now: Moment) -> Self {
        let hook = new.webhook.as_ref().map(|(address, put)| Hook {
            address: address.clone(),
            put: *put,
            state: DeliveryState::NotDue,
            next: now,
            since: None,
            tries: Vec::new(),
        });
        Self {
            owner: new.owner.as_str().to_owned(),
            key,
            needs: Needs::of(&new.work),
            state: JobState::Waiting,
            attempt: 0,
            failures: 0,
            crashes: 0,
            run_at: now,
            lease_until: Moment(0),
            holder: String::new(),
            progress: 0.0,
            said: 0,
            error: None,
            created: now,
            updated: now,
            finished: None,
            hook,
            order,
            input,
            result: None,
        }
    }

    /// As it is stored.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal("a job cannot be stored", e))
    }

    /// As [`Record::to_bytes`] wrote it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| Error::internal("a stored job cannot be read", e))
    }

    /// The job; `order` is what [`Record::order`] stands for.
    pub(super) fn job(self, id: JobId, order: Value) -> Result<Job> {
        let (work, wire) =
            serde_json::from_value(order).map_err(|e| Error::internal("a stored job cannot be read", e))?;
        let delivery = self.hook.map(|hook| Delivery {
            address: hook.address,
            put: hook.put,
            state: hook.state,
            since: hook.since,
            tries: hook.tries,
        });
        Ok(Job {
            id,
            owner: Owner::from_stored(self.owner),
            work,
            wire,
            state: self.state,
            attempt: self.attempt,
            failures: self.failures,
            progress: self.progress,
            error: self.error,
            created: self.created,
            updated: self.updated,
            finished: self.finished,
            delivery,
        })
    }

    /// Whether `claim` still holds.
    pub(super) fn is_held_by(&self, claim: Claim) -> bool {
        self.state == JobState::Running && self.attempt == claim.attempt
    }

    /// Claims it for `lease` when it is due.
    pub(super) fn claim(&mut self, holder: &str, lease: Duration, now: Moment) -> Option<Claimed> {
        match self.state {
            JobState::Waiting if self.run_at <= now => {}
            JobState::Running if self.lease_until <= now => {
                self.crashes += 1;
                if self.crashes >= MOST_CRASHES {
                    self.end(JobState::Failed, Some(Failure::of_crashes()), now);
                    return Some(Claimed::GivenUp);
                }
            }
            _ => return None,
        }
        self.state = JobState::Running;
        self.attempt += 1;
        self.holder = holder.to_owned();
        (self.lease_until, self.updated) = (now.plus(lease), now);
        Some(Claimed::Mine)
    }

    /// Puts it back, to be claimed again at `due`.
    pub(super) fn put_back(&mut self, due: Moment, now: Moment) {
        self.state = JobState::Waiting;
        (self.run_at, self.updated) = (due, now);
    }

    /// Ends it; its delivery is due.
    pub(super) fn end(&mut self, state: JobState, error: Option<Failure>, now: Moment) {
        (self.state, self.error) = (state, error);
        (self.updated, self.finished) = (now, Some(now));
        self.input = None;
        if state == JobState::Completed {
            self.progress = 1.0;
        }
        self.deliver(now);
    }

    /// Makes its delivery due, if it has one.
    pub(super) fn deliver(&mut self, now: Moment) {
        if let Some(hook) = &mut self.hook {
            (hook.state, hook.next, hook.since) = (DeliveryState::Due, now, Some(now));
        }
    }

    /// When its delivery is due, if it is not over.
    pub(super) fn delivery_due(&self) -> Option<Moment> {
        self.hook.as_ref().filter(|hook| hook.state == DeliveryState::Due).map(|hook| hook.next)
    }

    /// Records a delivery.
    pub(super) fn tried(&mut self, tried: Try, state: DeliveryState, due: Moment) {
        let Some(hook) = &mut self.hook else { return };
        hook.tries.push(tried);
        hook.tries.drain(..hook.tries.len().saturating_sub(TRIES));
        (hook.state, hook.next) = (state, due);
    }
}
