use super::*;
use crate::error::Kind;
use crate::transcript::{Segment, Token};
use serde_json::Map;

/// A session with these settings, and what the client is told of what happens in it.
struct Scene {
    session: Session,
    dialect: Dialect,
    items: Items,
    told: Vec<Value>,
}

const COMPLETED: &str = "conversation.item.input_audio_transcription.completed";
const DELTA: &str = "conversation.item.input_audio_transcription.delta";

impl Scene {
    fn new(turns: TurnDetection) -> Self {
        let mut session = Session::new(Some("whisper-1".into()));
        session.turn_detection = Some(turns);
        Self { session, dialect: Dialect::Current, items: Items::default(), told: Vec::new() }
    }

    fn with_words_at_once(mut self) -> Self {
        let (given, length) = (json!("minimal"), Duration::ZERO);
        self.session.transcription.delay = Some(super::super::session::Delay { given, length });
        self
    }

    fn hear(&mut self, event: Event) -> &mut Self {
        let how = Telling { session: &self.session, dialect: self.dialect };
        self.told.extend(self.items.hear(event, how));
        self
    }

    fn tick(&mut self, seconds: std::ops::RangeInclusive<u64>) {
        for second in seconds {
            self.hear(Event::Tick { at: Duration::from_secs(second) });
        }
    }

    fn commit(&mut self, held: u64, id: &str) -> &mut Self {
        let how = Telling { session: &self.session, dialect: self.dialect };
        self.told.extend(self.items.commit(how, ms(held), json!(id)));
        self
    }

    /// The last part of the types of the events.
    fn types(&self) -> Vec<&str> {
        let types = self.told.iter().filter_map(|event| event["type"].as_str());
        types.map(|name| name.rsplit('.').next().unwrap_or_default()).collect()
    }

    fn of_type(&self, name: &str) -> Vec<&Value> {
        self.told.iter().filter(|event| event["type"] == name).collect()
    }

    fn transcripts(&self) -> Vec<&str> {
        self.of_type(COMPLETED).iter().filter_map(|event| event["transcript"].as_str()).collect()
    }

    fn deltas(&self) -> Vec<&str> {
        self.of_type(DELTA).iter().filter_map(|event| event["delta"].as_str()).collect()
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn started(at: u64) -> Event {
    Event::Started { channel: 0, at: ms(at) }
}

fn ended(at: u64, why: Why) -> Event {
    Event::Ended { channel: 0, at: ms(at), why, confidence: 0.0 }
}

fn settled(span: Range<u64>, texts: &[&str], why: Why) -> Event {
    let token = Token { id: 1, bytes: b"x".into(), logprob: -0.5 };
    let segment = |text: &&str| Segment { text: (*text).into(), tokens: vec![token.clone()], ..Segment::default() };
    let segments = texts.iter().map(segment).collect();
    let transcript = Transcript { segments, language: Some("en".into()), ..Transcript::default() };
    Event::Final { channel: 0, span: ms(span.start)..ms(span.end), transcript, why }
}

/// Words of 100 ms each, so many of which stay.
fn guess(text: &str, count: usize) -> Event {
    let word = |(index, text): (usize, &str)| Word {
        text: text.into(),
        start: ms(index as u64 * 100),
        end: ms(index as u64 * 100 + 100),
        ..Word::default()
    };
    let words: Vec<Word> = text.split(' ').enumerate().map(word).collect();
    let span = Duration::ZERO..ms(words.len() as u64 * 100 + 50);
    Event::Interim { channel: 0, span, words, settled: count, language: None }
}

fn vad() -> TurnDetection {
    TurnDetection::Server(ServerVad::default())
}

#[test]
fn a_turn_is_told_in_the_order_that_clients_know() {
    let mut scene = Scene::new(vad());
    scene.hear(started(100)).hear(ended(2100, Why::Silence)).hear(settled(0..2100, &["Hello.", "You?"], Why::Silence));
    let order = ["speech_started", "speech_stopped", "committed", "added", "done", "delta", "delta", "completed"];
    assert_eq!(scene.types(), order);
    let id = &scene.told[0]["item_id"];
    assert!(id.as_str().is_some_and(|id| id.starts_with("item_")));
    for event in &scene.told {
        let own = if event.get("item").is_some() { &event["item"]["id"] } else { &event["item_id"] };
        assert_eq!(own, id, "{event}");
        assert!(event["event_id"].as_str().is_some_and(|id| id.starts_with("event_")));
    }
    assert_eq!((&scene.told[0]["audio_start_ms"], &scene.told[1]["audio_end_ms"]), (&json!(100), &json!(2100)));
    assert_eq!((scene.deltas(), scene.transcripts()), (vec!["Hello.", " You?"], vec!["Hello. You?"]));
    let usage = json!({"type": "duration", "seconds": 2});
    assert_eq!((&scene.told[7]["usage"], &scene.told[7]["languages"]), (&usage, &json!([{"code": "en"}])));
}

#[test]
fn items_are_chained() {
    let mut scene = Scene::new(vad());
    for begin in [0, 3000] {
        scene.hear(started(begin)).hear(ended(begin + 1000, Why::Finished));
        scene.hear(settled(begin..begin + 1000, &["Yes."], Why::Finished));
    }
    let committed = scene.of_type("input_audio_buffer.committed");
    assert_eq!(committed[0]["previous_item_id"], Value::Null);
    assert_eq!(committed[1]["previous_item_id"], committed[0]["item_id"]);
    assert_ne!(committed[1]["item_id"], committed[0]["item_id"]);
}

#[test]
fn the_beta_has_one_event_for_an_item() {
    let mut scene = Scene { dialect: Dialect::Beta, ..Scene::new(vad()) };
    scene.hear(started(0)).hear(ended(900, Why::Silence)).hear(settled(0..900, &[], Why::Silence));
    assert_eq!(scene.types(), ["speech_started", "speech_stopped", "committed", "created", "completed"]);
    assert_eq!(scene.transcripts(), [""]);
}

#[test]
fn without_turns_an_item_is_what_the_client_commits() {
    let mut scene = Scene::new(TurnDetection::None);
    scene.hear(started(0)).hear(settled(0..20_000, &["One."], Why::Cut)).hear(settled(
        20_000..30_000,
        &["Two."],
        Why::Cut,
    ));
    assert!(scene.told.is_empty());
    scene.commit(40_000, "c").hear(ended(40_000, Why::Asked)).hear(settled(30_000..40_000, &["Three."], Why::Asked));
    assert_eq!(scene.types(), ["committed", "added", "done", "delta", "delta", "delta", "completed"]);
    assert_eq!(scene.transcripts(), ["One. Two. Three."]);
    assert_eq!(scene.told[6]["usage"]["seconds"], 40);
    assert_eq!(scene.deltas().concat(), "One. Two. Three.");
}

#[test]
fn commits_are_answered_one_after_the_other() {
    let mut scene = Scene::new(TurnDetection::None);
    scene.commit(1000, "a").commit(2000, "b");
    scene.hear(settled(0..500, &["A"], Why::Cut)).hear(settled(500..1000, &["b."], Why::Asked));
    scene.hear(started(1100)).hear(settled(1000..3000, &["C."], Why::Asked));
    assert_eq!(scene.transcripts(), ["A b.", "C."]);
    let completed = scene.of_type(COMPLETED);
    let committed = scene.of_type("input_audio_buffer.committed");
    assert_eq!(
        (&completed[0]["item_id"], &completed[1]["item_id"]),
        (&committed[0]["item_id"], &committed[1]["item_id"])
    );
    assert!(!scene.items.are_waiting());
}

#[test]
fn a_commit_within_a_turn_ends_it_at_once() {
    let mut scene = Scene::new(vad());
    scene.hear(started(0)).commit(900, "c");
    scene.hear(ended(900, Why::Asked)).hear(settled(0..900, &["Well."], Why::Asked));
    assert_eq!(scene.types(), ["speech_started", "committed", "added", "done", "delta", "completed"]);
    assert_eq!(scene.told[0]["item_id"], scene.told[5]["item_id"]);
}

#[test]
fn a_commit_of_what_was_committed_is_refused() {
    let mut scene = Scene::new(vad());
    scene.hear(started(0)).commit(900, "c").hear(ended(900, Why::Silence));
    scene.hear(settled(0..900, &["Well."], Why::Silence)).hear(settled(900..950, &[], Why::Asked));
    let error = scene.told.last().map(|event| &event["error"]).expect("an event");
    assert_eq!((&error["code"], &error["event_id"]), (&json!("input_audio_buffer_commit_empty"), &json!("c")));
    assert!(error["message"].as_str().is_some_and(|message| message.contains("50.00 ms")), "{error}");
}

#[test]
fn words_that_stay_are_sent_while_somebody_speaks() {
    let mut scene = Scene::new(vad()).with_words_at_once();
    scene
        .hear(started(0))
        .hear(guess("turn of", 0))
        .hear(guess("turn off the", 1))
        .hear(guess("turn off the light", 3));
    assert_eq!(scene.deltas(), ["turn", " off the"]);
    scene.hear(ended(900, Why::Silence)).hear(settled(0..900, &["Turn off the lights."], Why::Silence));
    assert_eq!(
        (scene.deltas().concat(), scene.transcripts()),
        ("turn off the lights.".into(), vec!["turn off the lights."])
    );
    let id = &scene.told[0]["item_id"];
    assert!(scene.of_type(DELTA).iter().all(|delta| delta["item_id"] == *id));
}

#[test]
fn a_delay_keeps_back_what_was_said_last() {
    let mut scene = Scene::new(vad()).with_words_at_once();
    let late = scene.session.transcription.delay.as_mut().expect("a delay");
    late.length = ms(150);
    scene.hear(started(0)).hear(guess("one two three four", 4));
    // Heard up to 450 ms: the third word ends at 300.
    assert_eq!(scene.deltas(), ["one two three"]);
}

#[test]
fn words_are_sent_before_a_commit_with_the_id_that_it_gets() {
    let mut scene = Scene::new(TurnDetection::None).with_words_at_once();
    scene.hear(started(0)).hear(guess("one two", 2)).hear(settled(0..1000, &["One two."], Why::Cut));
    scene.commit(1500, "c").hear(settled(1000..1500, &["Three."], Why::Asked));
    assert_eq!(scene.transcripts(), ["one two. Three."]);
    assert_eq!(scene.deltas().concat(), "one two. Three.");
    let committed = &scene.of_type("input_audio_buffer.committed")[0]["item_id"];
    assert!(scene.of_type(DELTA).iter().all(|delta| delta["item_id"] == *committed));
}

#[test]
fn how_likely_tokens_are_is_told_when_asked_for() {
    for asked in [false, true] {
        let mut scene = Scene::new(vad());
        scene.session.logprobs = asked;
        scene.hear(started(0)).hear(ended(900, Why::Silence)).hear(settled(0..900, &["A.", "B."], Why::Silence));
        let count = |event: &Value| event.get("logprobs").and_then(Value::as_array).map(Vec::len);
        let counts: Vec<_> = scene.told[5..].iter().map(count).collect();
        assert_eq!(counts, if asked { [Some(1), Some(1), Some(2)] } else { [None; 3] });
    }
}

#[test]
fn a_long_silence_is_told_again_and_again() {
    let idle = ServerVad { idle_timeout_ms: Some(5000), ..ServerVad::default() };
    let mut scene = Scene::new(TurnDetection::Server(idle));
    scene.hear(started(0));
    scene.tick(1..=8);
    scene.hear(ended(8000, Why::Silence)).hear(settled(0..8000, &["Long."], Why::Silence));
    scene.tick(9..=18);
    let timeouts = scene.of_type("input_audio_buffer.timeout_triggered");
    let spans: Vec<_> =
        timeouts.iter().map(|it| (it["audio_start_ms"].as_u64(), it["audio_end_ms"].as_u64())).collect();
    assert_eq!(spans, [(Some(8000), Some(13_000)), (Some(13_000), Some(18_000))]);
    let timeout = ["timeout_triggered", "committed", "added", "done", "completed"];
    assert_eq!(scene.types()[7..], timeout.repeat(2));
    assert_eq!(scene.transcripts(), ["Long.", "", ""]);
}

#[test]
fn a_failure_is_told_of_every_item_that_waits() {
    let error = Error::new(Kind::Overloaded, "busy");
    let mut scene = Scene::new(vad());
    scene.hear(started(0)).commit(900, "c");
    let how = Telling { session: &scene.session, dialect: Dialect::Current };
    let told = scene.items.fail(how, &error);
    let failed: Vec<&Value> = told.iter().filter(|event| event.get("error").is_some()).collect();
    assert_eq!(failed.len(), 2);
    for event in failed {
        assert_eq!(event["type"], "conversation.item.input_audio_transcription.failed");
        assert_eq!(event["error"]["code"], "rate_limit_exceeded");
    }
    assert!(scene.items.fail(how, &error).is_empty() && !scene.items.are_waiting());
}

#[test]
fn what_is_forgotten_is_not_said() {
    let mut scene = Scene::new(TurnDetection::None);
    scene.hear(started(0)).hear(settled(0..1000, &["Secret."], Why::Cut));
    let how = Telling { session: &scene.session, dialect: Dialect::Current };
    assert!(scene.items.forget(how, ms(1500)).is_empty());
    scene.commit(500, "c").hear(settled(1500..2000, &["Known."], Why::Asked));
    assert_eq!(scene.transcripts(), ["Known."]);
}

#[test]
fn the_end_of_the_sound_tells_what_was_being_said() {
    for turns in [vad(), TurnDetection::None] {
        let mut scene = Scene::new(turns);
        scene.hear(started(0)).hear(ended(700, Why::Closed)).hear(settled(0..700, &["Bye."], Why::Closed));
        assert_eq!(scene.transcripts(), ["Bye."]);
        let mut scene = Scene::new(turns);
        scene.hear(settled(0..700, &[], Why::Closed));
        assert!(scene.told.is_empty());
    }
}

#[test]
fn every_event_has_an_id_of_its_own() {
    let mut scene = Scene::new(vad());
    scene.hear(started(0)).hear(ended(900, Why::Silence)).hear(settled(0..900, &["A."], Why::Silence));
    let ids: Map<String, Value> = scene.told.iter().map(|event| (event["event_id"].to_string(), Value::Null)).collect();
    assert_eq!(ids.len(), scene.told.len());
}
