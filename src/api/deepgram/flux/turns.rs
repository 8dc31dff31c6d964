//! When turns begin and end, as Flux tells it: what the core hears goes in, and what the client is told comes out. A pure
//! state machine: it has neither a clock nor a connection.

use crate::api::deepgram::spoken::needs_spaces;
use crate::speech::realtime::{Event, Why};
use crate::transcript::Word;
use std::ops::Range;
use std::time::Duration;

/// What has happened to a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// More has been listened to.
    Update,
    /// Somebody has said the first word.
    StartOfTurn,
    /// They may have finished.
    EagerEndOfTurn,
    /// They had not.
    TurnResumed,
    /// They have.
    EndOfTurn(Trigger),
}

/// Why a turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The speaker seems to have finished.
    Model,
    /// The client said so.
    Manual,
    /// The pause was long enough.
    Timeout,
}

/// What the client is told of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What has happened.
    pub happened: Happened,
    /// The number of the turn, from 0.
    pub turn: u64,
    /// The sound of the turn so far.
    pub window: Range<Duration>,
    /// The words of the turn so far.
    pub words: Vec<Word>,
    /// How likely it is over, in `0..=1`.
    pub confidence: f32,
    /// ISO 639-1 code of the language, when it is known.
    pub language: Option<String>,
}

impl Told {
    /// The words as text.
    pub fn transcript(&self) -> String {
        text_of(&self.words, self.language.as_deref())
    }
}

/// The turns of one connection.
#[derive(Debug, Default)]
pub struct Turns {
    /// From this confidence on a turn may be over; `None` tells nobody.
    eager: Option<f32>,
    turn: u64,
    window: Range<Duration>,
    /// The words of this turn that do not change any more.
    settled: Vec<Word>,
    /// Those after them, as they were last understood.
    open: Vec<Word>,
    language: Option<String>,
    confidence: f32,
    /// The client knows that there is a turn.
    is_open: bool,
    /// The text that the turn has if it is over, as the client was told.
    promised: Option<String>,
    /// The client has been told of a change since the last tick.
    has_told: bool,
}

impl Turns {
    /// Before the first turn. From the confidence `eager` on a turn may be over.
    pub fn new(eager: Option<f32>) -> Self {
        Self { eager, ..Self::default() }
    }

    /// Turns may be over from this confidence on. What was told stays.
    pub fn set_eager(&mut self, eager: Option<f32>) {
        self.eager = eager;
    }

    /// Whether there is a turn that can be ended.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// What is to be told of `event`, in order.
    pub fn hear(&mut self, event: Event) -> Vec<Told> {
        let mut told = Vec::new();
        match event {
            // A guess that was begun before the pause knows less than the look at the pause.
            Event::Interim { span, words, language, .. } if self.promised.is_none() => {
                self.look(span.end);
                self.language = language.or(self.language.take());
                self.understand(words, &mut told);
            }
            Event::Pause { words, confidence, at, .. } => {
                self.look(at);
                self.pause(words, confidence, &mut told);
            }
            Event::Resumed { .. } => self.resume(&mut told),
            Event::Ended { at, confidence, .. } => {
                self.look(at);
                self.confidence = confidence;
            }
            Event::Final { span, transcript, why, .. } => {
                self.look(span.end);
                self.language = transcript.language.clone().or(self.language.take());
                let words = transcript.words().cloned().collect();
                match trigger(why) {
                    Some(trigger) => self.finish(words, span.end, trigger, &mut told),
                    None => self.settle(words, &mut told),
                }
            }
            Event::Tick { at } => {
                self.look(at);
                self.tick(&mut told);
            }
            Event::Started { .. }
            | Event::Interim { .. }
            | Event::UtteranceEnd { .. }
            | Event::Forgotten
            | Event::Over { .. } => {}
        }
        told
    }

    fn look(&mut self, end: Duration) {
        self.window.end = self.window.end.max(end);
    }

    /// Somebody says these words after the settled ones.
    fn understand(&mut self, words: Vec<Word>, told: &mut Vec<Told>) {
        if words.is_empty() && !self.open.is_empty() {
            return; // a turn does not lose its words: the next look at them will say what they are
        }
        self.open = words;
        if self.promised.as_ref().is_some_and(|promised| *promised != self.text()) {
            self.resume(told);
        }
        self.start(told);
    }

    fn pause(&mut self, words: Vec<Word>, confidence: f32, told: &mut Vec<Told>) {
        self.understand(words, told);
        self.confidence = confidence;
        let may_be_over = self.eager.is_some_and(|eager| confidence >= eager);
        if may_be_over && self.is_open && self.promised.is_none() {
            self.promised = Some(self.text());
            self.tell(Happened::EagerEndOfTurn, told);
        }
    }

    fn resume(&mut self, told: &mut Vec<Told>) {
        self.confidence = 0.0;
        if self.promised.take().is_some() {
            self.tell(Happened::TurnResumed, told);
        }
    }

    /// These words do not change any more, and the turn goes on.
    fn settle(&mut self, words: Vec<Word>, told: &mut Vec<Told>) {
        self.understand(words, told);
        self.settled.append(&mut self.open);
    }

    /// The turn is over with these words.
    fn finish(&mut self, words: Vec<Word>, end: Duration, trigger: Trigger, told: &mut Vec<Told>) {
        self.understand(words, told);
        if self.is_open {
            self.tell(Happened::EndOfTurn(trigger), told);
            self.turn += 1;
        }
        *self = Self {
            eager: self.eager,
            turn: self.turn,
            window: end..self.window.end,
            has_told: self.has_told,
            ..Self::default()
        };
    }

    fn tick(&mut self, told: &mut Vec<Told>) {
        // After a promise comes only that it is kept, or that it is not.
        if !self.has_told && self.promised.is_none() {
            self.tell(Happened::Update, told);
        }
        self.has_told = false;
    }

    /// The first words of a turn begin it.
    fn start(&mut self, told: &mut Vec<Told>) {
        let has_words = !self.settled.is_empty() || !self.open.is_empty();
        if has_words && !self.is_open {
            self.is_open = true;
            self.tell(Happened::StartOfTurn, told);
        }
    }

    fn tell(&mut self, happened: Happened, told: &mut Vec<Told>) {
        self.has_told = true;
        told.push(Told {
            happened,
            turn: self.turn,
            window: self.window.clone(),
            words: self.settled.iter().chain(&self.open).cloned().collect(),
            confidence: self.confidence,
            language: self.language.clone(),
        });
    }

    fn text(&self) -> String {
        text_of(self.settled.iter().chain(&self.open), self.language.as_deref())
    }
}

/// Why a final result ends a turn; `None` when the turn goes on.
fn trigger(why: Why) -> Option<Trigger> {
    match why {
        Why::Finished => Some(Trigger::Model),
        Why::Silence => Some(Trigger::Timeout),
        Why::Asked | Why::Closed => Some(Trigger::Manual),
        Why::Cut | Why::Nobody => None,
    }
}

fn text_of<'a>(words: impl IntoIterator<Item = &'a Word>, language: Option<&str>) -> String {
    let between = if needs_spaces(language) { " " } else { "" };
    words.into_iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests;
