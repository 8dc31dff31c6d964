//! Deletes what has been kept long enough, and what interruptions have left behind.

use super::connection::Connection;
use super::record::{Blob, Kept};
use super::{AT_ONCE, Nats, blobs};
use crate::error::Result;
use crate::jobs::{JobId, JobState, Moment, now as clock};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::HashSet;

impl Nats {
    pub(super) async fn delete_old(&self, before: Moment) -> Result<usize> {
        let connection = self.connection().await?;
        let swept = self.shared.view().swept(before);
        let deletions =
            stream::iter(swept).map(|id| self.delete_one(&connection, id, before)).buffer_unordered(AT_ONCE);
        let count = deletions.try_fold(0, |count, deleted| async move { Ok(count + usize::from(deleted)) }).await?;
        self.delete_orphans(&connection).await?;
        Ok(count)
    }

    /// Deletes a job that was over before `before`; somebody else may have done so.
    async fn delete_one(&self, connection: &Connection, id: JobId, before: Moment) -> Result<bool> {
        let Some((revision, record)) = self.record(connection, id).await? else { return Ok(false) };
        if record.finished.is_none_or(|finished| finished >= before) || record.delivery_due().is_some() {
            return Ok(false);
        }
        let mut kept: Vec<&Blob> = record.result.iter().collect();
        if let Kept::Blob(order) = &record.order {
            kept.push(order);
        }
        // If there is anything else, it belongs to no job from now on.
        blobs::delete_blobs(connection, id, &kept).await?;
        if let Some(name) = &record.key {
            self.free_key(connection, id, name).await?;
        }
        connection.delete(revision).await?;
        self.shared.view().forget(id);
        Ok(true)
    }

    /// Deletes blobs that belong to no job, or to one that needs them no more.
    async fn delete_orphans(&self, connection: &Connection) -> Result<()> {
        let oldest = clock().0.saturating_sub(u64::try_from(self.orphan_age().as_millis()).unwrap_or(u64::MAX));
        let names = connection.names("").await?;
        let parts: HashSet<(JobId, bool, &str)> = names.iter().filter_map(|name| blobs::belongs(name)).collect();
        for (id, is_work, name) in parts {
            let known = self.shared.view().state(id);
            let may_stay = known.map_or(id.created().0 > oldest, |known| is_needed(known, is_work, name));
            if may_stay {
                continue;
            }
            // The view may be behind: the record says.
            let record = self.record(connection, id).await?.map(|(_, record)| (record.state, record.attempt));
            match (record, is_work) {
                (Some(known), _) if is_needed(known, is_work, name) => continue,
                (_, true) => blobs::delete_work(connection, id).await?,
                (_, false) => blobs::delete_one(connection, id, name).await?,
            }
            tracing::info!(job.id = %id, blob = name, ?record, "deleted what no job needs");
        }
        Ok(())
    }
}

/// Whether a job in this state, in its so many-th attempt, needs the blob called `name`.
fn is_needed((state, attempt): (JobState, u32), is_work: bool, name: &str) -> bool {
    match (state.is_over(), is_work) {
        (false, _) => true,
        (true, true) => false,
        (true, false) => !name.starts_with("result-") || name == format!("result-{attempt}"),
    }
}
