use super::*;
use crate::transcript::{Segment, Transcript};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn words(text: &str) -> Vec<Word> {
    let word = |text: &str| Word { text: text.into(), confidence: 0.9, ..Word::default() };
    text.split_whitespace().map(word).collect()
}

fn interim(text: &str) -> Event {
    Event::Interim { channel: 0, span: ms(0)..ms(500), words: words(text), settled: 0, language: None }
}

fn pause(text: &str, confidence: f32) -> Event {
    Event::Pause { channel: 0, words: words(text), confidence, at: ms(900) }
}

fn last(text: &str, why: Why) -> Event {
    let segment = Segment { text: text.into(), words: words(text), ..Segment::default() };
    let segments = if text.is_empty() { Vec::new() } else { vec![segment] };
    let transcript = Transcript { segments, ..Transcript::default() };
    Event::Final { channel: 0, span: ms(0)..ms(1_500), transcript, why }
}

fn tick() -> Event {
    Event::Tick { at: ms(250) }
}

/// What is told of the events, as short words and texts.
fn heard(turns: &mut Turns, events: impl IntoIterator<Item = Event>) -> Vec<String> {
    let told = events.into_iter().flat_map(|event| turns.hear(event));
    told.map(|told| format!("{} {:?} {}", told.turn, told.happened, told.transcript()).trim().to_owned()).collect()
}

#[test]
fn a_turn_begins_with_its_first_word_and_ends_when_the_speaker_has_finished() {
    let mut turns = Turns::new(Some(0.5));
    let events = [
        Event::Started { channel: 0, at: ms(0) },
        interim(""),
        interim("Ship"),
        tick(),
        tick(),
        pause("Ship it.", 0.3),
        pause("Ship it.", 0.6),
        last("Ship it.", Why::Finished),
        tick(),
        tick(),
    ];
    let expected =
        ["0 StartOfTurn Ship", "0 Update Ship", "0 EagerEndOfTurn Ship it.", "0 EndOfTurn(Model) Ship it.", "1 Update"];
    assert_eq!(heard(&mut turns, events), expected);
}

#[test]
fn who_goes_on_resumes_the_turn() {
    let mut turns = Turns::new(Some(0.5));
    let events = [
        pause("Ship it", 0.6),
        tick(),
        tick(),
        Event::Resumed { channel: 0 },
        tick(),
        tick(),
        interim("Ship it on Monday."),
        last("Ship it on Monday.", Why::Silence),
    ];
    let expected = [
        "0 StartOfTurn Ship it",
        "0 EagerEndOfTurn Ship it",
        "0 TurnResumed Ship it",
        "0 Update Ship it",
        "0 EndOfTurn(Timeout) Ship it on Monday.",
    ];
    assert_eq!(heard(&mut turns, events), expected);
}

#[test]
fn a_promise_is_taken_back_before_the_turn_ends_otherwise() {
    let mut turns = Turns::new(Some(0.5));
    let told = heard(&mut turns, [pause("Ship it", 0.6), last("Ship it now.", Why::Finished)]);
    let expected = ["0 StartOfTurn Ship it", "0 EagerEndOfTurn Ship it", "0 TurnResumed Ship it now."];
    assert_eq!((&told[..3], &told[3][..]), (&expected.map(str::to_owned)[..], "0 EndOfTurn(Model) Ship it now."));
}

#[test]
fn without_a_threshold_nothing_is_promised() {
    let told = heard(&mut Turns::new(None), [pause("Yes.", 0.99), last("Yes.", Why::Finished)]);
    assert_eq!(told, ["0 StartOfTurn Yes.", "0 EndOfTurn(Model) Yes."]);
}

#[test]
fn a_long_turn_keeps_the_words_that_were_cut_off() {
    let mut turns = Turns::new(Some(0.5));
    let events = [last("One two", Why::Cut), interim("three"), pause("three.", 0.7), last("three.", Why::Finished)];
    let expected = ["0 StartOfTurn One two", "0 EagerEndOfTurn One two three.", "0 EndOfTurn(Model) One two three."];
    assert_eq!(heard(&mut turns, events), expected);
}

#[test]
fn a_turn_that_has_begun_ends_with_words() {
    let told = heard(&mut Turns::new(None), [interim("Ship"), last("", Why::Silence)]);
    assert_eq!(told, ["0 StartOfTurn Ship", "0 EndOfTurn(Timeout) Ship"]);
}

#[test]
fn noise_is_no_turn() {
    let mut turns = Turns::new(Some(0.5));
    let events = [Event::Started { channel: 0, at: ms(0) }, pause("", 0.9), last("", Why::Finished), tick()];
    assert_eq!(heard(&mut turns, events), ["0 Update"]);
    assert!(!turns.is_open());
}

#[test]
fn the_window_is_the_sound_of_the_turn() {
    let mut turns = Turns::new(None);
    turns.hear(interim("Yes."));
    turns.hear(last("Yes.", Why::Silence));
    let told = turns.hear(Event::Tick { at: ms(1_750) });
    assert!(told.is_empty(), "the end of the turn was news enough");
    let told = turns.hear(Event::Tick { at: ms(2_000) });
    assert_eq!(told[0].window, ms(1_500)..ms(2_000));
}

/// Numbers as random as a test needs them, the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn text(&mut self) -> &'static str {
        ["", "", "Ship", "Ship it.", "Ship it on", "Ship it on Monday."][self.roll(6) as usize]
    }

    fn event(&mut self) -> Event {
        match self.roll(9) {
            0 => Event::Started { channel: 0, at: ms(0) },
            1 | 2 => interim(self.text()),
            3 | 4 => pause(self.text(), self.roll(10) as f32 / 10.0),
            5 => Event::Resumed { channel: 0 },
            6 => {
                let why = [Why::Silence, Why::Finished, Why::Cut, Why::Asked, Why::Closed, Why::Nobody];
                last(self.text(), why[self.roll(6) as usize])
            }
            _ => tick(),
        }
    }
}

/// What clients rely on, whatever they are told.
#[derive(Default)]
struct Client {
    turn: u64,
    is_open: bool,
    promised: Option<String>,
}

impl Client {
    fn hear(&mut self, told: &Told) {
        let text = told.transcript();
        assert_eq!(told.turn, self.turn, "{told:?}");
        assert!(told.window.start <= told.window.end && (0.0..=1.0).contains(&told.confidence), "{told:?}");
        let promised = self.promised.take();
        match told.happened {
            Happened::Update => assert!(promised.is_none(), "{told:?}"),
            Happened::StartOfTurn => {
                assert!(!self.is_open && !text.is_empty(), "{told:?}");
                self.is_open = true;
            }
            Happened::EagerEndOfTurn => {
                assert!(self.is_open && promised.is_none() && !text.is_empty(), "{told:?}");
                self.promised = Some(text);
            }
            Happened::TurnResumed => assert!(promised.is_some(), "{told:?}"),
            Happened::EndOfTurn(_) => {
                assert!(self.is_open && !text.is_empty() && promised.is_none_or(|it| it == text), "{told:?}");
                (self.is_open, self.turn) = (false, self.turn + 1);
            }
        }
    }
}

#[test]
fn whatever_is_heard_clients_can_rely_on_what_they_are_told() {
    let (mut ends, mut resumed) = (0, 0);
    for seed in 0..500 {
        let (mut dice, mut client) = (Dice(seed), Client::default());
        let mut turns = Turns::new(Some(0.5));
        let mut is_news = false;
        for _ in 0..200 {
            let event = dice.event();
            let is_tick = matches!(event, Event::Tick { .. });
            let had_promise = client.promised.is_some();
            let told = turns.hear(event);
            told.iter().for_each(|told| client.hear(told));
            assert_eq!(turns.is_open(), client.is_open);
            if is_tick {
                assert_eq!(told.len(), usize::from(!is_news && !had_promise), "an update when there was no other news");
            }
            is_news = !is_tick && (is_news || !told.is_empty());
            ends += told.iter().filter(|told| matches!(told.happened, Happened::EndOfTurn(_))).count();
            resumed += told.iter().filter(|told| told.happened == Happened::TurnResumed).count();
        }
    }
    assert!(ends > 1_000 && resumed > 1_000, "{ends} turns and {resumed} resumed say something");
}
