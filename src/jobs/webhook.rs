//! Pushes results to whoever asked for that, until they arrive or it has been tried for long enough.

use super::worker::back_off;
use super::{DeliveryState, Job, JobState, Jobs, Message, Moment, Outcome, Try, now, signature};
use crate::error::{Error, Result};
use crate::net::Push;
use crate::telemetry;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Deliveries that are under way at once.
const AT_ONCE: usize = 64;

/// A receiver that does not want any more.
const GONE: u16 = 410;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(3 * 3600);

/// How long to wait when the store fails.
const STORE_FAILED: Duration = Duration::from_secs(1);

/// Says in the words of the job's dialect what became of it; the outcome is there when it was completed.
pub type Render = Arc<dyn Fn(&Job, Option<Outcome>) -> Result<Message> + Send + Sync>;

impl Jobs {
    /// Delivers what is due, as `render` writes it, until `stop` says true.
    pub async fn deliver(self, render: Render, mut stop: watch::Receiver<bool>) {
        let mut running: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let lease = Duration::from_secs(self.config.webhooks.timeout_seconds) + Duration::from_secs(30);
        while !*stop.borrow_and_update() {
            let room = AT_ONCE - running.len();
            let due = if room > 0 { self.store.claim_deliveries(room, lease, now()).await } else { Ok(Vec::new()) };
            let due = match due {
                Ok(due) => due,
                Err(error) => {
                    tracing::error!(%error, "deliveries cannot be looked up");
                    tokio::time::sleep(STORE_FAILED).await;
                    continue;
                }
            };
            if !due.is_empty() {
                running.extend(due.into_iter().map(|job| Box::pin(self.clone().push(render.clone(), job)) as _));
                continue;
            }
            tokio::select! {
                _ = stop.changed() => return,
                () = self.store.delivery_due(), if room > 0 => {}
                Some(()) = running.next() => {}
            }
        }
    }

    /// Tries to deliver the result of `job` once.
    async fn push(self, render: Render, job: Job) {
        let Some(delivery) = &job.delivery else { return };
        let at = now();
        let sent = self.send(render, &job, at).await;
        let tried = match &sent {
            Ok(status) => Try { at: at.as_secs(), status: Some(*status), error: None },
            Err(error) => Try { at: at.as_secs(), status: None, error: Some(error.message().to_owned()) },
        };
        let since = delivery.since.unwrap_or(at);
        let earlier = delivery.tries.iter().filter(|tried| tried.at >= since.as_secs()).count();
        let (state, due) = self.next(tried.status, since, u32::try_from(earlier).unwrap_or(u32::MAX));
        let (id, status, error) = (job.id, tried.status, tried.error.clone());
        telemetry::delivery(match state {
            DeliveryState::Delivered => "delivered",
            DeliveryState::GivenUp => "given_up",
            DeliveryState::Due | DeliveryState::NotDue => "failed",
        });
        tracing::info!(job.id = %id, status, error, arrived = state == DeliveryState::Delivered, "result pushed");
        if let Err(error) = self.store.tried(id, tried, state, due).await {
            tracing::error!(job.id = %id, %error, "what became of a delivery cannot be stored");
        }
    }

    /// What an answer means, and when the next attempt is due.
    fn next(&self, status: Option<u16>, since: Moment, earlier: u32) -> (DeliveryState, Moment) {
        let settings = &self.config.webhooks;
        let wait = back_off(Duration::from_secs(settings.retry_seconds), earlier, LONGEST_WAIT);
        let due = now().plus(wait);
        let last = since.plus(Duration::from_secs(settings.give_up_hours.saturating_mul(3600)));
        let state = match status {
            Some(200..=299) => DeliveryState::Delivered,
            Some(GONE) => DeliveryState::GivenUp,
            _ if due > last => DeliveryState::GivenUp,
            _ => DeliveryState::Due,
        };
        (state, due)
    }

    async fn send(&self, render: Render, job: &Job, at: Moment) -> Result<u16> {
        let Some(delivery) = &job.delivery else { return Err(Error::new(crate::error::Kind::Internal, "no address")) };
        let outcome = match job.state {
            JobState::Completed => self.store.outcome(job.id).await?,
            _ => None,
        };
        let rendered = job.clone();
        let message = crate::speech::step(move || render(&rendered, outcome)).await?;
        let secret = self.secret(&job.owner).await?;
        let event = event_id(job);
        let mut headers = signature::headers(&secret, &event, at.as_secs(), &message.body);
        headers.push(("content-type", "application/json".to_owned()));
        headers.extend(message.headers);
        let timeout = Duration::from_secs(self.config.webhooks.timeout_seconds);
        let push = Push { address: &delivery.address, put: delivery.put, headers, body: message.body.into(), timeout };
        push.send(&self.config).await
    }
}

/// The name of the event that a job is over: the same in every attempt, so that receivers can tell repetitions.
pub fn event_id(job: &Job) -> String {
    format!("evt_{}", job.id.uuid().simple())
}
