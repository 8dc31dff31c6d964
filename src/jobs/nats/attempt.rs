//! Work on a job, from its claim to its end.

use super::connection::Connection;
use super::record::{Claimed, Record};
use super::submit::entry_of;
use super::{Nats, blobs};
use crate::audio::decode;
use crate::error::{Error, Result};
use crate::jobs::{
    Able, Claim, Input, Job, JobId, JobState, Moment, Outcome, Owner, Verdict, Where, lost, now as clock,
};
use crate::speech::transcribe::Heard;
use crate::transcript::Segment;
use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

impl Nats {
    pub(super) async fn claim_next(
        &self,
        able: Able<'_>,
        lease: Duration,
        now: Moment,
    ) -> Result<Option<(Claim, Job)>> {
        let _turn = self.turn.lock().await;
        let connection = self.connection().await?;
        loop {
            let Some(id) = self.shared.view().next(able, now) else { return Ok(None) };
            let claimed = self.change(id, |record| record.claim(&self.holder, lease, now)).await?;
            match claimed {
                Some((Claimed::Mine, record)) if self.is_real(&connection, id, &record).await? => {
                    let claim = Claim { id, attempt: record.attempt };
                    self.begin_notes(claim);
                    return Ok(Some((claim, self.job(&connection, id, record).await?)));
                }
                Some((Claimed::Mine, _)) => self.drop_job(&connection, id, None).await,
                Some((Claimed::GivenUp, record)) => self.tidy(&connection, id, &record).await,
                // Somebody else has it, and the view knows by now.
                None => {}
            }
        }
    }

    /// Whether a job is the one that its idempotency key stands for: a request that was held up for long may have made it
    /// when the key stood for another one already.
    async fn is_real(&self, connection: &Connection, id: JobId, record: &Record) -> Result<bool> {
        match &record.key {
            Some(name) => {
                let found = connection.read(name).await?;
                found.map_or(Ok(true), |found| Ok(entry_of(&found.bytes)?.0 == id))
            }
            None => Ok(true),
        }
    }

    /// Deletes what a job needs only until it is over; `record` is what it was before that.
    async fn tidy(&self, connection: &Connection, id: JobId, record: &Record) {
        let claim = Claim { id, attempt: record.attempt };
        let noted = self.lock_notes().remove(&claim);
        // To look for what belongs to a job takes a server long that has many.
        let deleted = match (record.attempt, noted) {
            (0, _) => blobs::delete_known(connection, id, record.input.as_ref(), &[]).await,
            (1, Some(notes)) => blobs::delete_known(connection, id, record.input.as_ref(), &notes).await,
            _ => blobs::delete_work(connection, id).await,
        };
        if let Err(error) = deleted {
            tracing::warn!(job.id = %id, %error, "what is left of a job is swept away later");
        }
    }

    /// Begins to remember what an attempt writes down; what those wrote that have been lost is forgotten.
    fn begin_notes(&self, claim: Claim) {
        let mut notes = self.lock_notes();
        let view = self.shared.view();
        notes.retain(|claim, _| view.runs_as(claim.id, claim.attempt));
        notes.insert(claim, Vec::new());
    }

    /// Writes a note down; false when it is too long to be kept.
    async fn note(&self, connection: &Connection, claim: Claim, name: String, bytes: Vec<u8>) -> Result<bool> {
        if let Some(notes) = self.lock_notes().get_mut(&claim) {
            notes.push(name.clone());
        }
        blobs::note(connection, claim.id, &name, bytes).await
    }

    fn lock_notes(&self) -> MutexGuard<'_, HashMap<Claim, Vec<String>>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn end(&self, claim: Claim, verdict: Verdict, now: Moment) -> Result<bool> {
        let (connection, id) = (self.connection().await?, claim.id);
        let held = self.record(&connection, id).await?.map(|(_, record)| record);
        let Some(held) = held.filter(|record| record.is_held_by(claim)) else { return Ok(false) };
        let (state, failure, result) = match verdict {
            Verdict::Completed(outcome) => {
                let bytes = serde_json::to_vec(&*outcome);
                let bytes = bytes.map_err(|e| Error::internal("a result cannot be written", e))?;
                let name = format!("result-{}", claim.attempt);
                let blob = blobs::put(&connection, id, false, name, bytes.into()).await?;
                (JobState::Completed, None, Some(blob))
            }
            Verdict::Failed(failure) => (JobState::Failed, Some(failure), None),
        };
        let is_mine = self
            .changed(id, |record| {
                record.is_held_by(claim).then(|| {
                    record.end(state, failure.clone(), now);
                    record.result = result.clone();
                })
            })
            .await?;
        match (is_mine, result) {
            (true, _) => self.tidy(&connection, id, &held).await,
            (false, Some(blob)) => blobs::delete_blobs(&connection, id, &[&blob]).await?,
            (false, None) => {}
        }
        Ok(is_mine)
    }

    pub(super) async fn call_off(&self, owner: &Owner, id: JobId, now: Moment) -> Result<Option<Job>> {
        let connection = self.connection().await?;
        let cancelled = self.change(id, |record| {
            let before = record.clone();
            (record.owner == owner.as_str() && !record.state.is_over()).then(|| {
                record.end(JobState::Cancelled, None, now);
                before
            })
        });
        if let Some((before, _)) = cancelled.await? {
            self.tidy(&connection, id, &before).await;
        }
        self.get_job(Some(owner), id).await
    }

    async fn held(&self, connection: &Connection, claim: Claim) -> Result<Record> {
        let record = self.record(connection, claim.id).await?.map(|(_, record)| record);
        record.filter(|record| record.is_held_by(claim)).ok_or_else(lost)
    }

    pub(super) async fn store_input(&self, claim: Claim, input: Input) -> Result<()> {
        let connection = self.connection().await?;
        self.held(&connection, claim).await?;
        let name = format!("input.{}", claim.attempt);
        let blob = blobs::put_input(&connection, claim.id, name, input).await?;
        let stored =
            self.changed(claim.id, |record| record.is_held_by(claim).then(|| record.input = Some(blob.clone())));
        if stored.await? { Ok(()) } else { Err(lost()) }
    }

    pub(super) async fn keep_note(&self, claim: Claim, (channel, number): Where, heard: Heard) -> Result<()> {
        let connection = self.connection().await?;
        self.held(&connection, claim).await?;
        let channel = channel.map_or("all".to_owned(), |channel| channel.to_string());
        let bytes = serde_json::to_vec(&heard).map_err(|e| Error::internal("a note cannot be written", e))?;
        // One that is too long is not kept: an interruption then costs that piece.
        self.note(&connection, claim, format!("heard.{channel}.{number}"), bytes).await.map(drop)
    }

    pub(super) async fn notes(&self, id: JobId) -> Result<HashMap<Where, Heard>> {
        let connection = self.connection().await?;
        let mut found = HashMap::new();
        // Nobody was here before a first attempt, and to look for notes takes a server long that has many.
        if self.record(&connection, id).await?.is_none_or(|(_, record)| record.attempt <= 1) {
            return Ok(found);
        }
        for (name, bytes) in blobs::notes(&connection, id, "heard").await? {
            let Some((channel, number)) = name.split_once('.') else { continue };
            let Ok(number) = number.parse() else { continue };
            let Ok(heard) = serde_json::from_slice(&bytes) else { continue };
            found.insert((channel.parse().ok(), number), heard);
        }
        Ok(found)
    }

    pub(super) async fn add(&self, claim: Claim, from: usize, segments: Vec<Segment>, progress: f32) -> Result<()> {
        let connection = self.connection().await?;
        let known = self.held(&connection, claim).await?.said;
        let new = segments.get(known.saturating_sub(from)..).unwrap_or_default();
        let bytes = serde_json::to_vec(new).map_err(|e| Error::internal("a note cannot be written", e))?;
        let is_kept = new.is_empty() || self.note(&connection, claim, format!("said.{known}"), bytes).await?;
        let count = if is_kept { known + new.len() } else { known };
        let said = self.changed(claim.id, |record| {
            record.is_held_by(claim).then(|| {
                (record.said, record.progress) = (count, record.progress.max(progress));
                record.updated = record.updated.max(clock());
            })
        });
        if said.await? { Ok(()) } else { Err(lost()) }
    }

    pub(super) async fn readable(&self, id: JobId) -> Result<Vec<Segment>> {
        let connection = self.connection().await?;
        let count = self.record(&connection, id).await?.map_or(0, |(_, record)| record.said);
        let mut said: Vec<Segment> = Vec::new();
        while said.len() < count {
            // Each note is called after the number of segments in front of it.
            let note = blobs::one_note(&connection, id, &format!("said.{}", said.len())).await?;
            let part: Vec<Segment> = note.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            if part.is_empty() {
                break; // the job is over meanwhile
            }
            said.extend(part);
        }
        Ok(said)
    }

    pub(super) async fn result(&self, id: JobId) -> Result<Option<Outcome>> {
        let connection = self.connection().await?;
        let record = self.record(&connection, id).await?;
        let Some(blob) = record.and_then(|(_, record)| record.result) else { return Ok(None) };
        let bytes = blobs::get(&connection, id, false, &blob).await?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::internal("a stored result cannot be read", e))
    }

    pub(super) async fn recording(&self, id: JobId) -> Result<Option<Box<dyn decode::Source>>> {
        let connection = self.connection().await?;
        let record = self.record(&connection, id).await?;
        let Some(blob) = record.and_then(|(_, record)| record.input) else { return Ok(None) };
        self.fetched.open(&connection, id, &blob).await.map(Some)
    }
}
