//! What this process knows of all jobs of the fleet, to answer at once what no single record tells: which is next, how
//! many wait in front of it, whose they are.
//!
//! It follows the records, so it may be behind by the time that a message takes. Nothing is decided by it: it names
//! candidates, and the revision of the record decides. Later revisions win, in whatever order they come.

use super::record::Record;
use crate::jobs::{Able, Backlog, JobId, JobState, Moment, Needs, Page};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::Notify;

/// Jobs handed in within so many milliseconds, as a power of two, are counted together: so the place of a job in the
/// queue is known without counting all in front of it.
const BLOCK_BITS: u32 = 10;

/// What is known of one job: what it is found by.
#[derive(Debug, Clone)]
struct Row {
    revision: u64,
    owner: Arc<str>,
    needs: Arc<Needs>,
    state: JobState,
    attempt: u32,
    run_at: Moment,
    lease_until: Moment,
    created: Moment,
    finished: Option<Moment>,
    delivery_due: Option<Moment>,
}

/// What is known of all jobs.
#[derive(Default)]
pub(super) struct View {
    rows: HashMap<JobId, Row>,
    /// Jobs that wait, by what they need, in their turn.
    waiting: HashMap<Arc<Needs>, BTreeSet<(Moment, JobId)>>,
    /// Jobs that wait, in the order in which they were handed in.
    places: BTreeSet<JobId>,
    /// How many of them there are, by blocks of time.
    blocks: BTreeMap<u64, u64>,
    ages: BTreeMap<Moment, u64>,
    running: BTreeSet<(Moment, JobId)>,
    deliveries: BTreeSet<(Moment, JobId)>,
    over: BTreeSet<(Moment, JobId)>,
    owned: BTreeSet<(Arc<str>, JobId)>,
    owners: HashMap<Arc<str>, usize>,
    watched: HashMap<JobId, Arc<Notify>>,
    /// Forgets jobs that are over, for a process that lists none.
    only_open: bool,
}

/// In which block of time a job was handed in.
fn block(id: JobId) -> u64 {
    u64::try_from(id.uuid().as_u128() >> 80).unwrap_or(u64::MAX) >> BLOCK_BITS
}

impl View {
    /// Nothing is known yet. `only_open` forgets jobs that are over and delivered.
    pub(super) fn new(only_open: bool) -> Self {
        Self { only_open, ..Self::default() }
    }

    /// How many jobs are known.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The state of a job, and its attempt, as far as is known.
    pub(super) fn state(&self, id: JobId) -> Option<(JobState, u32)> {
        self.rows.get(&id).map(|row| (row.state, row.attempt))
    }

    /// Takes in a revision of a job.
    pub(super) fn apply(&mut self, id: JobId, revision: u64, record: &Record) {
        if self.rows.get(&id).is_some_and(|row| row.revision >= revision) {
            return;
        }
        self.forget(id);
        let delivery_due = record.delivery_due();
        if let Some(watcher) = self.watched.get(&id) {
            watcher.notify_one();
        }
        if self.only_open && record.state.is_over() && delivery_due.is_none() {
            return;
        }
        let row = Row {
            revision,
            owner: self.owner(&record.owner),
            needs: self.needs(&record.needs),
            state: record.state,
            attempt: record.attempt,
            run_at: record.run_at,
            lease_until: record.lease_until,
            created: record.created,
            finished: record.finished,
            delivery_due,
        };
        self.index(id, &row);
        self.rows.insert(id, row);
    }

    /// One copy of a name for all jobs that have it.
    fn owner(&mut self, name: &str) -> Arc<str> {
        let known = self.owners.get_key_value(name).map(|(known, _)| known.clone());
        let owner = known.unwrap_or_else(|| name.into());
        *self.owners.entry(owner.clone()).or_insert(0) += 1;
        owner
    }

    fn needs(&self, needs: &Needs) -> Arc<Needs> {
        let known = self.waiting.get_key_value(needs).map(|(known, _)| known.clone());
        known.unwrap_or_else(|| Arc::new(needs.clone()))
    }

    fn index(&mut self, id: JobId, row: &Row) {
        self.owned.insert((row.owner.clone(), id));
        match row.state {
            JobState::Waiting => {
                self.waiting.entry(row.needs.clone()).or_default().insert((row.run_at, id));
                self.places.insert(id);
                *self.blocks.entry(block(id)).or_insert(0) += 1;
                *self.ages.entry(row.created).or_insert(0) += 1;
            }
            JobState::Running => {
                self.running.insert((row.lease_until, id));
            }
            _ => {}
        }
        self.over.extend(row.finished.map(|finished| (finished, id)));
        self.deliveries.extend(row.delivery_due.map(|due| (due, id)));
    }

    /// Knows nothing of a job any more.
    pub(super) fn forget(&mut self, id: JobId) {
        let Some(row) = self.rows.remove(&id) else { return };
        if let Some(waiting) = self.waiting.get_mut(&row.needs)
            && waiting.remove(&(row.run_at, id))
            && waiting.is_empty()
        {
            self.waiting.remove(&row.needs);
        }
        if self.places.remove(&id) {
            count_down(&mut self.blocks, block(id));
            count_down(&mut self.ages, row.created);
        }
        self.running.remove(&(row.lease_until, id));
        row.finished.map(|finished| self.over.remove(&(finished, id)));
        row.delivery_due.map(|due| self.deliveries.remove(&(due, id)));
        self.owned.remove(&(row.owner.clone(), id));
        if let Some(count) = self.owners.get_mut(&row.owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&row.owner);
            }
        }
    }

    /// The job whose lease has run out first, or else the one whose turn it is, of those that `able` can do.
    pub(super) fn next(&self, able: Able<'_>, now: Moment) -> Option<JobId> {
        let lost = self.running.iter().take_while(|(until, _)| *until <= now);
        let mut lost = lost.filter(|(_, id)| self.rows.get(id).is_some_and(|row| able(&row.needs)));
        if let Some((_, id)) = lost.next() {
            return Some(*id);
        }
        let heads = self.waiting.iter().filter_map(|(needs, waiting)| Some((needs, waiting.first()?)));
        let due = heads.filter(|(needs, (run_at, _))| *run_at <= now && able(needs));
        due.map(|(_, head)| *head).min().map(|(_, id)| id)
    }

    /// When something can be claimed that `able` can do.
    pub(super) fn next_due(&self, able: Able<'_>) -> Option<Moment> {
        let heads = self.waiting.iter().filter_map(|(needs, waiting)| Some((needs, waiting.first()?)));
        let waits = heads.filter(|(needs, _)| able(needs)).map(|(_, (run_at, _))| *run_at).min();
        let mut runs = self.running.iter().filter(|(_, id)| self.rows.get(id).is_some_and(|row| able(&row.needs)));
        waits.into_iter().chain(runs.next().map(|(until, _)| *until)).min()
    }

    /// Up to `count` jobs whose deliveries are due.
    pub(super) fn deliveries(&self, count: usize, now: Moment) -> Vec<JobId> {
        let due = self.deliveries.iter().take_while(|(due, _)| *due <= now);
        due.take(count).map(|(_, id)| *id).collect()
    }

    /// When the next delivery is due.
    pub(super) fn next_delivery(&self) -> Option<Moment> {
        self.deliveries.first().map(|(due, _)| *due)
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        self.places.len() as u64
    }

    /// How many wait in front of a job that waits.
    pub(super) fn position(&self, id: JobId) -> Option<u64> {
        if !self.places.contains(&id) {
            return None;
        }
        let mine = block(id);
        let earlier: u64 = self.blocks.range(..mine).map(|(_, count)| count).sum();
        let beside = self.places.range(..id).rev().take_while(|other| block(**other) == mine).count();
        Some(earlier + beside as u64)
    }

    /// A page of the jobs of `owner`, the newest first.
    pub(super) fn list(&self, owner: &str, page: Page) -> Vec<JobId> {
        let Some((owner, _)) = self.owners.get_key_value(owner) else { return Vec::new() };
        let last = match page.after {
            Some(after) => Bound::Excluded((owner.clone(), after)),
            None => Bound::Included((owner.clone(), JobId::last())),
        };
        let first = Bound::Included((owner.clone(), JobId::first()));
        let ids = self.owned.range((first, last)).rev().map(|(_, id)| *id);
        let wanted = ids.filter(|id| {
            page.states.is_empty() || self.rows.get(id).is_some_and(|row| page.states.contains(&row.state))
        });
        wanted.take(page.limit).collect()
    }

    /// The jobs that were over before `before` and have nothing to deliver.
    pub(super) fn swept(&self, before: Moment) -> Vec<JobId> {
        let over = self.over.iter().take_while(|(finished, _)| *finished < before).map(|(_, id)| *id);
        over.filter(|id| self.rows.get(id).is_some_and(|row| row.delivery_due.is_none())).collect()
    }

    /// How long the queue is, and how fast it moves.
    pub(super) fn backlog(&self, since: Moment) -> Backlog {
        Backlog {
            waiting: self.places.len() as u64,
            running: self.running.len() as u64,
            oldest: self.ages.first_key_value().map(|(created, _)| *created),
            finished: self.over.iter().rev().take_while(|(finished, _)| *finished >= since).count() as u64,
        }
    }

    /// Told when a job changes.
    pub(super) fn watch(&mut self, id: JobId) -> Arc<Notify> {
        self.watched.entry(id).or_default().clone()
    }

    /// Whoever has `watcher` needs not be told any more.
    pub(super) fn unwatch(&mut self, id: JobId, watcher: &Arc<Notify>) {
        if Arc::strong_count(watcher) <= 2 {
            self.watched.remove(&id);
        }
    }

    /// Whether a job that runs does so as the attempt `attempt`, as far as is known.
    pub(super) fn runs_as(&self, id: JobId, attempt: u32) -> bool {
        self.rows.get(&id).is_some_and(|row| row.state == JobState::Running && row.attempt == attempt)
    }
}

fn count_down<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    if let std::collections::btree_map::Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(state: &str, owner: &str, run_at: u64, model: &str) -> Record {
        let finished = if state == "Completed" { Some(run_at) } else { None };
        let record = json!({
            "owner": owner, "needs": {"model": model, "voices": false}, "state": state, "attempt": 1, "failures": 0,
            "crashes": 0, "run_at": run_at, "lease_until": run_at + 60, "holder": "", "progress": 0.0, "said": 0,
            "created": run_at, "updated": run_at, "finished": finished, "order": {"Here": null},
        });
        Record::parse(record.to_string().as_bytes()).unwrap()
    }

    fn ids<const N: usize>() -> [JobId; N] {
        std::array::from_fn(|_| JobId::new())
    }

    #[test]
    fn the_next_is_the_earliest_of_those_that_can_be_done() {
        let (mut view, [first, second, third]) = (View::new(false), ids());
        view.apply(first, 1, &record("Waiting", "ann", 10, "rare"));
        view.apply(second, 2, &record("Waiting", "ann", 20, "common"));
        view.apply(third, 3, &record("Waiting", "ann", 5, "common"));
        assert_eq!(view.next(&|_| true, Moment(30)), Some(third));
        assert_eq!(view.next(&|needs| needs.model == "rare", Moment(30)), Some(first));
        assert_eq!(view.next(&|_| true, Moment(4)), None);
        assert_eq!(view.next_due(&|needs| needs.model == "rare"), Some(Moment(10)));
        view.apply(second, 4, &record("Running", "ann", 20, "common"));
        assert_eq!(view.next(&|_| true, Moment(80)), Some(second), "its lease has run out");
        assert_eq!(view.next(&|needs| needs.model == "rare", Moment(80)), Some(first));
    }

    #[test]
    fn later_revisions_win_in_whatever_order_they_come() {
        let (mut view, [id]) = (View::new(false), ids());
        view.apply(id, 2, &record("Running", "ann", 10, "m"));
        view.apply(id, 1, &record("Waiting", "ann", 10, "m"));
        assert_eq!((view.state(id), view.waiting()), (Some((JobState::Running, 1)), 0));
        view.forget(id);
        assert!(view.owners.is_empty() && view.owned.is_empty() && view.running.is_empty() && view.len() == 0);
    }

    #[test]
    fn places_and_lists_follow_the_order_of_arrival() {
        let (mut view, all) = (View::new(false), ids::<50>());
        for (at, id) in all.iter().enumerate() {
            let owner = if at % 2 == 0 { "ann" } else { "bob" };
            view.apply(*id, at as u64 + 1, &record("Waiting", owner, 10, "m"));
        }
        assert_eq!((view.position(all[0]), view.position(all[49])), (Some(0), Some(49)));
        view.apply(all[3], 100, &record("Completed", "bob", 10, "m"));
        assert_eq!((view.position(all[3]), view.position(all[49])), (None, Some(48)));
        let page = |after, states| Page { limit: 2, after, states };
        assert_eq!(view.list("bob", page(None, &[])), [all[49], all[47]]);
        assert_eq!(view.list("bob", page(Some(all[5]), &[])), [all[3], all[1]]);
        assert_eq!(view.list("bob", page(None, &[JobState::Completed])), [all[3]]);
        assert!(view.list("carol", page(None, &[])).is_empty());
        assert_eq!(view.swept(Moment(11)), [all[3]]);
        assert_eq!(view.backlog(Moment(0)), Backlog { waiting: 49, running: 0, oldest: Some(Moment(10)), finished: 1 });
    }

    #[test]
    fn who_lists_nothing_forgets_what_is_over() {
        let (mut view, [id]) = (View::new(true), ids());
        view.apply(id, 1, &record("Waiting", "ann", 10, "m"));
        view.apply(id, 2, &record("Completed", "ann", 10, "m"));
        assert_eq!((view.len(), view.waiting()), (0, 0));
    }
}
