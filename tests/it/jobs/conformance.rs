//! What every store of jobs must do, whatever it keeps them in.

#[cfg(feature = "nats")]
use crate::nats::NatsServer;
use bytes::Bytes;
use mynah::config::JobsConfig;
#[cfg(feature = "nats")]
use mynah::config::Role;
use mynah::engine::TranscribeOptions;
use mynah::jobs::embedded::Embedded;
#[cfg(feature = "nats")]
use mynah::jobs::nats::Nats;
use mynah::jobs::{
    Claim, DeliveryState, Failure, Input, Job, JobState, JobStore, Moment, NewJob, Outcome, Owner, Page, Try, Verdict,
    Work,
};
use mynah::speech::chunk::EndpointerOptions;
use mynah::speech::transcribe::{Heard, Stages};
use mynah::transcript::{Segment, Transcript};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use tempfile::TempDir;

const LEASE: Duration = Duration::from_secs(60);

fn ann() -> Owner {
    Owner::of_key("ann")
}

fn new_job(owner: Owner) -> NewJob {
    let work = Work {
        model: "m".into(),
        options: TranscribeOptions::default(),
        stages: Stages::default(),
        endpointing: EndpointerOptions::default(),
        voices: None,
        multichannel: false,
        strict: false,
        raw: None,
        source: None,
    };
    let input = Some(Input::Bytes(Bytes::from_static(b"sound")));
    let webhook = Some(("http://192.0.2.1/".to_owned(), false));
    NewJob { owner, work, input, wire: json!({"a": 1}), webhook, idempotency: None }
}

fn at(seconds: u64) -> Moment {
    Moment(1_700_000_000_000 + seconds * 1000)
}

async fn submitted(store: &dyn JobStore, seconds: u64) -> Job {
    store.submit(new_job(ann()), at(seconds)).await.expect("there is room").job
}

async fn claimed(store: &dyn JobStore, seconds: u64) -> Option<Claim> {
    store.claim(&|_| true, LEASE, at(seconds)).await.expect("a store that works").map(|(claim, _)| claim)
}

fn outcome(text: &str) -> Verdict {
    let segment = Segment { text: text.into(), ..Segment::default() };
    let channels = vec![Transcript { segments: vec![segment], ..Transcript::default() }];
    Verdict::Completed(Box::new(Outcome { channels, duration: LEASE, sha256: "ab".into() }))
}

async fn state(store: &dyn JobStore, job: &Job) -> JobState {
    store.get(None, job.id).await.expect("a store that works").expect("the job").state
}

async fn jobs_are_claimed_in_turn_and_by_one_alone(store: &dyn JobStore) {
    let (first, second) = (submitted(store, 0).await, submitted(store, 1).await);
    assert_eq!(store.position(second.id).await.expect("a store that works"), Some(1));
    let one = claimed(store, 2).await.expect("a job");
    let other = claimed(store, 2).await.expect("a job");
    assert_eq!((one.id, other.id), (first.id, second.id));
    assert_eq!(claimed(store, 2).await, None);
    assert_eq!(store.position(second.id).await.expect("a store that works"), None);
    assert!(store.finish(one, outcome("x"), at(3)).await.expect("a store that works"));
    assert!(store.finish(other, outcome("y"), at(3)).await.expect("a store that works"));
}

async fn a_lease_that_ran_out_is_claimed_anew_and_the_first_cannot_finish(store: &dyn JobStore) {
    let job = submitted(store, 0).await;
    let first = claimed(store, 0).await.expect("the job");
    assert!(store.renew(first, LEASE, at(30)).await.expect("a store that works"));
    assert_eq!(claimed(store, 70).await, None, "it was renewed");
    let second = claimed(store, 91).await.expect("the lease has run out");
    assert_eq!((second.id, second.attempt), (job.id, first.attempt + 1));
    assert!(!store.finish(first, outcome("late"), at(92)).await.expect("a store that works"));
    assert!(
        !store.renew(first, LEASE, at(92)).await.expect("a store that works")
            && !store.give_back(first, at(92), at(92)).await.expect("a store that works")
    );
    assert!(store.keep(first, (None, 0), &Heard { transcript: Transcript::default(), prints: vec![] }).await.is_err());
    assert!(store.finish(second, outcome("good"), at(93)).await.expect("a store that works"));
    assert!(!store.finish(second, outcome("twice"), at(94)).await.expect("a store that works"));
    let outcome = store.outcome(job.id).await.expect("a store that works").expect("a result");
    assert_eq!(outcome.channels[0].text(), "good");
    assert!(store.input(job.id).await.expect("a store that works").is_none(), "the recording is not needed any more");
}

async fn what_is_given_back_or_failed_is_claimed_again_when_it_is_due(store: &dyn JobStore) {
    let job = submitted(store, 0).await;
    let claim = claimed(store, 0).await.expect("the job");
    assert!(store.give_back(claim, at(1), at(1)).await.expect("a store that works"));
    let claim = claimed(store, 1).await.expect("the job");
    assert!(store.retry(claim, at(100), at(2)).await.expect("a store that works"));
    assert_eq!(claimed(store, 99).await, None);
    let (claim, again) = store.claim(&|_| true, LEASE, at(100)).await.expect("a store that works").expect("the job");
    assert_eq!((again.id, again.failures, again.attempt), (job.id, 1, 3));
    let failure = Failure { message: "no".into(), param: None, code: None, is_callers: true };
    assert!(store.finish(claim, Verdict::Failed(failure.clone()), at(101)).await.expect("a store that works"));
    let failed = store.get(Some(&ann()), job.id).await.expect("a store that works").expect("the job");
    assert_eq!((failed.state, failed.error, failed.finished), (JobState::Failed, Some(failure), Some(at(101))));
    assert!(store.outcome(job.id).await.expect("a store that works").is_none());
}

async fn what_is_called_off_cannot_be_finished(store: &dyn JobStore) {
    let (waits, runs) = (submitted(store, 1).await, submitted(store, 0).await);
    let claim = claimed(store, 1).await.expect("a job");
    assert_eq!(claim.id, runs.id);
    for job in [&waits, &runs] {
        let bob = Owner::of_key("bob");
        assert!(store.cancel(&bob, job.id, at(2)).await.expect("a store that works").is_none(), "it is not his");
        let over = store.cancel(&ann(), job.id, at(2)).await.expect("a store that works").expect("the job");
        assert_eq!(over.state, JobState::Cancelled);
    }
    assert!(!store.finish(claim, outcome("late"), at(3)).await.expect("a store that works"));
    assert_eq!((claimed(store, 3).await, state(store, &runs).await), (None, JobState::Cancelled));
    assert!(store.get(Some(&Owner::of_key("bob")), runs.id).await.expect("a store that works").is_none());
}

async fn notes_are_kept_for_the_next_attempt(store: &dyn JobStore) {
    let job = submitted(store, 0).await;
    let claim = claimed(store, 0).await.expect("the job");
    let segment = |text: &str| Segment { text: text.into(), ..Segment::default() };
    let heard =
        Heard { transcript: Transcript { segments: vec![segment("a")], ..Transcript::default() }, prints: vec![] };
    store.keep(claim, (Some(1), 3), &heard).await.expect("a store that works");
    store.say(claim, 0, &[segment("a"), segment("b")], 0.25).await.expect("a store that works");
    store.give_back(claim, at(1), at(1)).await.expect("a store that works");
    let claim = claimed(store, 1).await.expect("the job");
    assert_eq!(store.heard(job.id).await.expect("a store that works").get(&(Some(1), 3)), Some(&heard));
    store.say(claim, 0, &[segment("a"), segment("b")], 0.25).await.expect("a store that works");
    store.say(claim, 2, &[segment("c")], 0.5).await.expect("a store that works");
    let said = store.said(job.id).await.expect("a store that works");
    assert_eq!(said.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let under_way = store.get(None, job.id).await.expect("a store that works").expect("the job");
    assert!((under_way.progress - 0.5).abs() < 0.001);
    assert!(store.finish(claim, outcome("abc"), at(2)).await.expect("a store that works"));
    assert!(
        store.said(job.id).await.expect("a store that works").is_empty()
            && store.heard(job.id).await.expect("a store that works").is_empty()
    );
}

async fn one_idempotency_key_is_one_job(store: &dyn JobStore) {
    let with =
        |owner: Owner, digest: &str| NewJob { idempotency: Some(("key".into(), digest.into())), ..new_job(owner) };
    let first = store.submit(with(ann(), "d"), at(0)).await.expect("a store that works");
    let again = store.submit(with(ann(), "d"), at(1)).await.expect("a store that works");
    assert!(first.is_new && !again.is_new && first.job.id == again.job.id);
    assert!(store.submit(with(ann(), "other"), at(1)).await.is_err());
    assert!(store.submit(with(Owner::of_key("bob"), "other"), at(1)).await.expect("a store that works").is_new);
    for _ in 0..2 {
        let claim = claimed(store, 2).await.expect("a job");
        assert!(store.finish(claim, outcome("x"), at(2)).await.expect("a store that works"));
    }
}

async fn deliveries_are_due_until_they_have_arrived(store: &dyn JobStore) {
    let job = submitted(store, 0).await;
    let mine = async |seconds| {
        let due = store.claim_deliveries(100, LEASE, at(seconds)).await.expect("a store that works");
        due.into_iter().filter(|due| due.id == job.id).count()
    };
    assert_eq!(mine(0).await, 0, "the job is not over");
    let claim = claimed(store, 0).await.expect("the job");
    assert!(store.finish(claim, outcome("x"), at(1)).await.expect("a store that works"));
    assert_eq!((mine(1).await, mine(2).await), (1, 0), "one deliverer has it");
    assert_eq!(mine(62).await, 1, "who has not said what became of it");
    let tried = |status| Try { at: 62, status: Some(status), error: None };
    store.tried(job.id, tried(500), DeliveryState::Due, at(100)).await.expect("a store that works");
    assert_eq!((mine(99).await, mine(100).await), (0, 1));
    store.tried(job.id, tried(200), DeliveryState::Delivered, at(100)).await.expect("a store that works");
    assert_eq!(mine(9_999).await, 0);
    let delivery =
        store.get(None, job.id).await.expect("a store that works").and_then(|job| job.delivery).expect("a delivery");
    assert_eq!((delivery.state, delivery.tries.len()), (DeliveryState::Delivered, 2));
    assert!(!store.redeliver(&Owner::of_key("bob"), job.id, at(200)).await.expect("a store that works"));
    assert!(store.redeliver(&ann(), job.id, at(200)).await.expect("a store that works"));
    assert_eq!(mine(200).await, 1);
    store.tried(job.id, tried(200), DeliveryState::Delivered, at(200)).await.expect("a store that works");
}

async fn what_was_over_long_ago_is_deleted(store: &dyn JobStore) {
    let over = submitted(store, 0).await;
    let claim = claimed(store, 0).await.expect("the job");
    store.finish(claim, outcome("x"), at(10)).await.expect("a store that works");
    store
        .tried(over.id, Try { at: 0, status: None, error: None }, DeliveryState::GivenUp, at(0))
        .await
        .expect("a store that works");
    let waits = submitted(store, 0).await;
    store.sweep(at(10)).await.expect("a store that works");
    assert!(store.outcome(over.id).await.expect("a store that works").is_some());
    assert!(store.sweep(at(11)).await.expect("a store that works") >= 1);
    assert!(
        store.get(None, over.id).await.expect("a store that works").is_none()
            && store.outcome(over.id).await.expect("a store that works").is_none()
    );
    assert_eq!(state(store, &waits).await, JobState::Waiting);
    let claim = claimed(store, 11).await.expect("the other job");
    assert!(store.finish(claim, outcome("x"), at(12)).await.expect("a store that works"));
}

async fn everything_about_lists_and_secrets(store: &dyn JobStore) {
    let owner = Owner::of_key("lists");
    let mut ids = Vec::new();
    for seconds in 0..5 {
        ids.push(store.submit(new_job(owner.clone()), at(seconds)).await.expect("a store that works").job.id);
    }
    ids.reverse();
    let page = |after, limit| Page { limit, after, states: &[] };
    let list = async |page| -> Vec<_> {
        store.list(&owner, page).await.expect("a store that works").iter().map(|job| job.id).collect()
    };
    assert_eq!(list(page(None, 3)).await, ids[..3]);
    assert_eq!(list(page(Some(ids[2]), 3)).await, ids[3..]);
    assert!(list(Page { states: &[JobState::Completed], ..page(None, 3) }).await.is_empty());
    let secret =
        async |fresh: &str, replace| store.secret(&owner, fresh.into(), replace).await.expect("a store that works");
    assert_eq!((secret("one", false).await, secret("two", false).await), ("one".into(), "one".into()));
    assert_eq!((secret("three", true).await, secret("four", false).await), ("three".into(), "three".into()));
    for id in ids {
        store.cancel(&owner, id, at(9)).await.expect("a store that works");
    }
}

/// Many hands on one store finish every job once.
async fn many_claim_at_once(store: &dyn JobStore) {
    let mut submitted_ids = HashSet::new();
    for _ in 0..50 {
        submitted_ids.insert(submitted(store, 0).await.id);
    }
    let hand = async || {
        let mut done = Vec::new();
        while let Some(claim) = claimed(store, 1).await {
            assert!(store.finish(claim, outcome("x"), at(2)).await.expect("a store that works"));
            done.push(claim.id);
        }
        done
    };
    let (one, two, three) = tokio::join!(hand(), hand(), hand());
    let done: Vec<_> = [one, two, three].concat();
    assert_eq!((done.len(), done.into_iter().collect::<HashSet<_>>()), (50, submitted_ids));
}

/// Everything that any store must do.
async fn conforms(store: &dyn JobStore) {
    jobs_are_claimed_in_turn_and_by_one_alone(store).await;
    a_lease_that_ran_out_is_claimed_anew_and_the_first_cannot_finish(store).await;
    what_is_given_back_or_failed_is_claimed_again_when_it_is_due(store).await;
    what_is_called_off_cannot_be_finished(store).await;
    notes_are_kept_for_the_next_attempt(store).await;
    one_idempotency_key_is_one_job(store).await;
    deliveries_are_due_until_they_have_arrived(store).await;
    what_was_over_long_ago_is_deleted(store).await;
    everything_about_lists_and_secrets(store).await;
    many_claim_at_once(store).await;
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn jobs_in_nats_conform() {
    let Some(nats) = NatsServer::start() else { return };
    let folder = TempDir::new().expect("a folder");
    let store = Nats::open(folder.path(), &nats.config(), Role::All).expect("a store");
    conforms(&store).await;
}

#[tokio::test]
async fn jobs_in_a_file_conform() {
    let folder = TempDir::new().expect("a folder");
    let store = Embedded::open(folder.path(), &JobsConfig::default(), at(0)).expect("a store");
    conforms(&store).await;
}

#[tokio::test]
async fn jobs_that_were_being_worked_on_wait_again_after_a_crash() {
    let folder = TempDir::new().expect("a folder");
    let open = |seconds| Embedded::open(folder.path(), &JobsConfig::default(), at(seconds)).expect("a store");
    let store = open(0);
    let (over, runs, waits) = (submitted(&store, 0).await, submitted(&store, 1).await, submitted(&store, 2).await);
    let claim = claimed(&store, 2).await.expect("a job");
    assert!(store.finish(claim, outcome("kept"), at(3)).await.expect("a store that works"));
    let lost = claimed(&store, 3).await.expect("a job");
    assert_eq!(lost.id, runs.id);
    drop(store);
    let store = open(4);
    assert_eq!(state(&store, &over).await, JobState::Completed);
    assert_eq!(store.outcome(over.id).await.expect("a store that works").expect("a result").channels[0].text(), "kept");
    assert!(!store.finish(lost, outcome("late"), at(5)).await.expect("a store that works"));
    let ids = [claimed(&store, 5).await.expect("a job").id, claimed(&store, 5).await.expect("a job").id];
    assert_eq!(HashSet::from(ids), HashSet::from([runs.id, waits.id]));
    assert!(store.input(runs.id).await.expect("a store that works").is_some());
}

#[tokio::test]
async fn a_job_that_always_takes_the_server_down_is_given_up() {
    let folder = TempDir::new().expect("a folder");
    let mut job = None;
    for seconds in 0..=20 {
        let store = Embedded::open(folder.path(), &JobsConfig::default(), at(seconds)).expect("a store");
        let known = match job.take() {
            Some(job) => job,
            None => submitted(&store, 0).await,
        };
        if seconds == 20 {
            assert_eq!((claimed(&store, 20).await, state(&store, &known).await), (None, JobState::Failed));
        } else {
            assert_eq!(claimed(&store, seconds).await.expect("the job").id, known.id);
        }
        job = Some(known);
    }
}
