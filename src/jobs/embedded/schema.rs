//! The tables, and every statement on them that is longer than a line.

use crate::error::{Error, Result};
use crate::jobs::{
    Backlog, Claim, Delivery, DeliveryState, Failure, Job, JobId, JobState, Moment, NewJob, Owner, Page, Try,
};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params};

/// Progress is stored in so many parts.
pub(super) const PROGRESS: f32 = 100_000.0;

/// Attempts at a delivery that are remembered.
const TRIES: usize = 50;

/// Makes the tables where they are not there.
///
/// The table `waiting` has the number of jobs that wait, by blocks of a thousand: so the place of a job in the queue is
/// known without counting all in front of it.
pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS jobs (
             seq INTEGER PRIMARY KEY AUTOINCREMENT,
             id TEXT NOT NULL UNIQUE,
             owner TEXT NOT NULL,
             key TEXT,
             digest TEXT,
             work TEXT NOT NULL,
             wire TEXT NOT NULL,
             state INTEGER NOT NULL,
             attempt INTEGER NOT NULL DEFAULT 0,
             failures INTEGER NOT NULL DEFAULT 0,
             crashes INTEGER NOT NULL DEFAULT 0,
             run_at INTEGER NOT NULL,
             lease_until INTEGER NOT NULL DEFAULT 0,
             progress INTEGER NOT NULL DEFAULT 0,
             error TEXT,
             created INTEGER NOT NULL,
             updated INTEGER NOT NULL,
             finished INTEGER,
             hook TEXT,
             hook_put INTEGER NOT NULL DEFAULT 0,
             hook_state INTEGER NOT NULL DEFAULT 0,
             hook_next INTEGER NOT NULL DEFAULT 0,
             hook_since INTEGER,
             hook_claimed INTEGER NOT NULL DEFAULT 0,
             tries TEXT NOT NULL DEFAULT '[]'
         );
         CREATE UNIQUE INDEX IF NOT EXISTS by_key ON jobs (owner, key) WHERE key IS NOT NULL;
         CREATE INDEX IF NOT EXISTS by_turn ON jobs (run_at, seq) WHERE state = 0;
         CREATE INDEX IF NOT EXISTS by_place ON jobs (seq) WHERE state = 0;
         CREATE INDEX IF NOT EXISTS by_lease ON jobs (lease_until) WHERE state = 1;
         CREATE INDEX IF NOT EXISTS by_owner ON jobs (owner, seq, state);
         CREATE INDEX IF NOT EXISTS by_delivery ON jobs (hook_next) WHERE hook_state = 1 AND hook IS NOT NULL;
         CREATE INDEX IF NOT EXISTS by_end ON jobs (finished) WHERE finished IS NOT NULL;
         CREATE TABLE IF NOT EXISTS waiting (block INTEGER PRIMARY KEY, count INTEGER NOT NULL);
         CREATE TRIGGER IF NOT EXISTS begins_to_wait AFTER INSERT ON jobs WHEN new.state = 0 BEGIN
             INSERT INTO waiting VALUES (new.seq / 1000, 1) ON CONFLICT DO UPDATE SET count = count + 1;
         END;
         CREATE TRIGGER IF NOT EXISTS waits_again AFTER UPDATE OF state ON jobs WHEN old.state != 0 AND new.state = 0 BEGIN
             INSERT INTO waiting VALUES (new.seq / 1000, 1) ON CONFLICT DO UPDATE SET count = count + 1;
         END;
         CREATE TRIGGER IF NOT EXISTS has_waited AFTER UPDATE OF state ON jobs WHEN old.state = 0 AND new.state != 0 BEGIN
             UPDATE waiting SET count = count - 1 WHERE block = new.seq / 1000;
             DELETE FROM waiting WHERE block = new.seq / 1000 AND count = 0;
         END;
         CREATE TABLE IF NOT EXISTS secrets (owner TEXT PRIMARY KEY, secret TEXT NOT NULL);",
    )
}

/// What a new job is stored as.
pub(super) struct Row {
    id: String,
    owner: String,
    key: Option<(String, String)>,
    work: String,
    wire: String,
    hook: Option<(String, bool)>,
    now: u64,
}

impl Row {
    /// The row of `new`.
    pub(super) fn new(id: JobId, new: &NewJob, now: Moment) -> Result<Self> {
        let work = serde_json::to_string(&new.work).map_err(|e| Error::internal("a job cannot be stored", e))?;
        Ok(Self {
            id: id.to_string(),
            owner: new.owner.as_str().to_owned(),
            key: new.idempotency.clone(),
            work,
            wire: new.wire.to_string(),
            hook: new.webhook.clone(),
            now: now.0,
        })
    }

    /// Stores it.
    pub(super) fn insert(self, connection: &Connection) -> rusqlite::Result<()> {
        let (key, digest) = self.key.unzip();
        let (hook, put) = self.hook.unzip();
        let sql = "INSERT INTO jobs (id, owner, key, digest, work, wire, state, run_at, created, updated, hook, hook_put) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?7, ?7, ?8, ?9)";
        let values =
            params![self.id, self.owner, key, digest, self.work, self.wire, self.now, hook, put.unwrap_or(false)];
        connection.prepare_cached(sql)?.execute(values).map(|_| ())
    }
}

/// The columns of a job, as [`job`] reads them.
const COLUMNS: &str = "id, owner, work, wire, state, attempt, failures, progress, error, created, updated, finished, hook, \
                       hook_put, hook_state, hook_since, tries";

fn job(row: &SqlRow<'_>) -> rusqlite::Result<Job> {
    let progress: f32 = row.get(7)?;
    let delivery = match row.get::<_, Option<String>>(12)? {
        Some(address) => Some(Delivery {
            address,
            put: row.get(13)?,
            state: delivery_state_of(row.get(14)?)?,
            since: row.get::<_, Option<u64>>(15)?.map(Moment),
            tries: parsed(row, 16)?,
        }),
        None => None,
    };
    Ok(Job {
        id: id_of(row.get(0)?)?,
        owner: Owner::from_stored(row.get(1)?),
        work: parsed(row, 2)?,
        wire: parsed(row, 3)?,
        state: state_of(row.get(4)?)?,
        attempt: row.get(5)?,
        failures: row.get(6)?,
        progress: progress / PROGRESS,
        error: row.get::<_, Option<String>>(8)?.map(|_| parsed(row, 8)).transpose()?,
        created: Moment(row.get(9)?),
        updated: Moment(row.get(10)?),
        finished: row.get::<_, Option<u64>>(11)?.map(Moment),
        delivery,
    })
}

fn parsed<T: for<'de> serde::Deserialize<'de>>(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|e| unreadable(column, e))
}

fn unreadable(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// The id that is stored as `text`.
pub(super) fn id_of(text: String) -> rusqlite::Result<JobId> {
    text.parse().map_err(|e: Error| unreadable(0, e))
}

const STATES: [JobState; 5] =
    [JobState::Waiting, JobState::Running, JobState::Completed, JobState::Failed, JobState::Cancelled];

/// The state that is stored as `number`.
pub(super) fn state_of(number: usize) -> rusqlite::Result<JobState> {
    STATES.get(number).copied().ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number as i64))
}

fn number_of(state: JobState) -> usize {
    STATES.iter().position(|known| *known == state).unwrap_or_default()
}

const DELIVERY_STATES: [DeliveryState; 4] =
    [DeliveryState::NotDue, DeliveryState::Due, DeliveryState::Delivered, DeliveryState::GivenUp];

fn delivery_state_of(number: usize) -> rusqlite::Result<DeliveryState> {
    DELIVERY_STATES.get(number).copied().ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number as i64))
}

/// The job `id`, if it belongs to `owner` or there is none.
pub(super) fn one(connection: &Connection, id: &str, owner: Option<&str>) -> rusqlite::Result<Option<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1 AND coalesce(owner = ?2, 1)");
    connection.prepare_cached(&sql)?.query_row(params![id, owner], job).optional()
}

/// The job with this idempotency key, and the digest of its request.
pub(super) fn by_key(connection: &Connection, owner: &str, key: &str) -> rusqlite::Result<Option<(String, Job)>> {
    let sql = format!("SELECT {COLUMNS}, digest FROM jobs WHERE owner = ?1 AND key = ?2");
    let found = connection.prepare_cached(&sql)?.query_row([owner, key], |row| Ok((row.get(17)?, job(row)?)));
    found.optional()
}

/// A page of the jobs of `owner`.
pub(super) fn list(connection: &Connection, owner: &str, page: Page) -> rusqlite::Result<Vec<Job>> {
    let wanted: Vec<String> = page.states.iter().map(|state| number_of(*state).to_string()).collect();
    let filter = if wanted.is_empty() { String::new() } else { format!("AND state IN ({})", wanted.join(", ")) };
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE owner = ?1 {filter} \
         AND seq < coalesce((SELECT seq FROM jobs WHERE id = ?2), iif(?2 = '', 9223372036854775807, 0)) \
         ORDER BY seq DESC LIMIT ?3"
    );
    let after = page.after.map(|id| id.to_string()).unwrap_or_default();
    connection.prepare_cached(&sql)?.query_map(params![owner, after, page.limit as i64], job)?.collect()
}

/// How many jobs wait.
pub(super) fn waiting(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce(sum(count), 0) FROM waiting";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// How long the queue is, and how many jobs were over since `since`.
pub(super) fn backlog(connection: &Connection, since: Moment) -> rusqlite::Result<Backlog> {
    let sql = "SELECT (SELECT coalesce(sum(count), 0) FROM waiting), \
                      (SELECT count(*) FROM jobs WHERE state = 1), \
                      (SELECT created FROM jobs WHERE state = 0 ORDER BY seq LIMIT 1), \
                      (SELECT count(*) FROM jobs WHERE finished >= ?1)";
    let backlog = |row: &SqlRow<'_>| {
        let oldest = row.get::<_, Option<u64>>(2)?.map(Moment);
        Ok(Backlog { waiting: row.get(0)?, running: row.get(1)?, oldest, finished: row.get(3)? })
    };
    connection.prepare_cached(sql)?.query_row([since.0], backlog)
}

/// How many wait in front of the job `id`.
pub(super) fn position(connection: &Connection, id: &str) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT (SELECT coalesce(sum(count), 0) FROM waiting WHERE block < me.seq / 1000) \
                    + (SELECT count(*) FROM jobs WHERE state = 0 AND seq >= me.seq / 1000 * 1000 AND seq < me.seq) \
               FROM jobs AS me WHERE id = ?1 AND state = 0";
    connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()
}

/// Takes the job whose lease has run out first, or else the one whose turn it is.
pub(super) fn claim(connection: &Connection, now: Moment, until: Moment) -> rusqlite::Result<Option<Job>> {
    let next = "SELECT seq FROM (SELECT seq FROM jobs WHERE state = 1 AND lease_until <= ?1 ORDER BY lease_until LIMIT 1) \
                UNION ALL \
                SELECT seq FROM (SELECT seq FROM jobs WHERE state = 0 AND run_at <= ?1 ORDER BY run_at, seq LIMIT 1) \
                LIMIT 1";
    let next: Option<i64> = connection.prepare_cached(next)?.query_row([now.0], |row| row.get(0)).optional()?;
    let Some(seq) = next else { return Ok(None) };
    let sql = format!(
        "UPDATE jobs SET state = 1, attempt = attempt + 1, lease_until = ?2, updated = ?3 WHERE seq = ?1 RETURNING {COLUMNS}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![seq, until.0, now.0])?;
    let claimed = rows.next()?.map(job).transpose();
    while rows.next()?.is_some() {} // the change is done when the statement has come to its end
    claimed
}

/// When the next job can be claimed.
pub(super) fn next_work(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT min(due) FROM (SELECT min(run_at) AS due FROM jobs WHERE state = 0 \
               UNION ALL SELECT min(lease_until) FROM jobs WHERE state = 1)";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// Ends a job; whether the claim was still good.
pub(super) fn finish(
    connection: &Connection,
    claim: Claim,
    state: JobState,
    failure: Option<&Failure>,
    now: Moment,
) -> rusqlite::Result<bool> {
    let error = failure.and_then(|failure| serde_json::to_string(failure).ok());
    let sql = "UPDATE jobs SET state = ?3, error = ?4, finished = ?5, updated = ?5, \
               progress = iif(?3 = 2, 100000, progress), hook_state = 1, hook_next = ?5, hook_since = ?5 \
               WHERE id = ?1 AND attempt = ?2 AND state = 1";
    let values = params![claim.id.to_string(), claim.attempt, number_of(state), error, now.0];
    Ok(connection.prepare_cached(sql)?.execute(values)? == 1)
}

/// Calls a job off; whether it was not over yet.
pub(super) fn cancel(connection: &Connection, id: &str, owner: &str, now: Moment) -> rusqlite::Result<bool> {
    let sql = "UPDATE jobs SET state = 4, finished = ?3, updated = ?3, hook_state = 1, hook_next = ?3, hook_since = ?3 \
               WHERE id = ?1 AND owner = ?2 AND state IN (0, 1)";
    Ok(connection.prepare_cached(sql)?.execute(params![id, owner, now.0])? == 1)
}

/// Takes deliveries that are due.
pub(super) fn claim_deliveries(
    connection: &Connection,
    count: usize,
    now: Moment,
    until: Moment,
) -> rusqlite::Result<Vec<Job>> {
    let sql = format!(
        "SELECT {COLUMNS}, seq FROM jobs WHERE hook_state = 1 AND hook IS NOT NULL AND hook_next <= ?1 \
         ORDER BY hook_next LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(params![now.0, count as i64], |row| Ok((row.get::<_, i64>(17)?, job(row)?)))?;
    let found: Vec<(i64, Job)> = found.collect::<rusqlite::Result<_>>()?;
    let mut claim = connection.prepare_cached("UPDATE jobs SET hook_next = ?2, hook_claimed = 1 WHERE seq = ?1")?;
    for (seq, _) in &found {
        claim.execute(params![seq, until.0])?;
    }
    Ok(found.into_iter().map(|(_, job)| job).collect())
}

/// When the next delivery is due.
pub(super) fn next_delivery(connection: &Connection) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT min(hook_next) FROM jobs WHERE hook_state = 1 AND hook IS NOT NULL";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// Records a delivery.
pub(super) fn tried(
    connection: &Connection,
    id: JobId,
    tried: Try,
    state: DeliveryState,
    due: Moment,
) -> rusqlite::Result<()> {
    let id = id.to_string();
    let known = connection
        .prepare_cached("SELECT tries FROM jobs WHERE id = ?1")?
        .query_row([&id], |row| parsed::<Vec<Try>>(row, 0));
    let Some(mut tries) = known.optional()? else { return Ok(()) };
    tries.push(tried);
    tries.drain(..tries.len().saturating_sub(TRIES));
    let tries = serde_json::to_string(&tries).unwrap_or_else(|_| "[]".to_owned());
    let state = DELIVERY_STATES.iter().position(|known| *known == state).unwrap_or_default();
    let sql = "UPDATE jobs SET tries = ?2, hook_state = ?3, hook_next = ?4, hook_claimed = 0 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id, tries, state, due.0]).map(|_| ())
}

/// The secret of `owner`; `fresh` when there is none, or when it is to be replaced.
pub(super) fn secret(connection: &Connection, owner: &str, fresh: &str, replace: bool) -> rusqlite::Result<String> {
    let sql = "INSERT INTO secrets VALUES (?1, ?2) ON CONFLICT DO UPDATE SET secret = iif(?3, ?2, secret)";
    connection.prepare_cached(sql)?.execute(params![owner, fresh, replace])?;
    connection.prepare_cached("SELECT secret FROM secrets WHERE owner = ?1")?.query_row([owner], |row| row.get(0))
}

/// Deletes the jobs that were over before `before`, and says which they were, with the attempts that ended them.
pub(super) fn sweep(connection: &Connection, before: Moment) -> rusqlite::Result<Vec<(JobId, u32)>> {
    let which = "finished < ?1 AND NOT (hook_state = 1 AND hook IS NOT NULL)";
    let mut statement = connection.prepare(&format!("SELECT id, attempt FROM jobs WHERE {which}"))?;
    let swept = statement.query_map([before.0], |row| Ok((id_of(row.get(0)?)?, row.get(1)?)))?;
    let swept = swept.collect::<rusqlite::Result<Vec<_>>>()?;
    connection.execute(&format!("DELETE FROM jobs WHERE {which}"), [before.0])?;
    Ok(swept)
}
