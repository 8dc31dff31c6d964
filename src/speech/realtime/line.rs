//! What is on its way for one channel of a session: what the engines work on, and what is to be told in which order.

use super::agreement::Agreement;
use super::ear::{Ear, time};
use super::{Event, Settings, Why};
use crate::speech::speakers::Voices;
use crate::speech::transcribe::Heard;
use crate::telemetry;
use crate::transcript::{Transcript, Word};
use futures::future::AbortHandle;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

/// One channel.
pub(super) struct Line {
    pub(super) channel: u32,
    pub(super) ear: Ear,
    /// What is to be told, in order; the front may not be known yet.
    queue: VecDeque<Slot>,
    /// The guess that an engine works on.
    pub(super) guess: Option<Work>,
    /// How long the last guess took.
    pub(super) guess_took: Duration,
    agreement: Agreement,
    /// What is recognised before it is known whether the utterance is over.
    pub(super) prepared: Option<Prepared>,
    /// The look at a pause that is being taken.
    pub(super) look: Option<Look>,
    /// When somebody began to speak, until there is text.
    began: Option<Instant>,
    /// Tells the voices of this channel apart.
    pub(super) voices: Option<Voices>,
    /// Where the last word ends that is final, until it is told that no other came.
    last_word: Option<Duration>,
    /// The language of what was said before.
    pub(super) language: Option<String>,
}

/// Something an engine works on; it stops when this is dropped.
pub(super) struct Work {
    pub(super) id: u64,
    pub(super) handle: AbortHandle,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// An utterance recognised as if it were over.
pub(super) struct Prepared {
    pub(super) work: Work,
    pub(super) heard: Option<Heard>,
}

/// A look at a pause.
#[derive(Default)]
pub(super) struct Look {
    /// What listens to how it sounds, where there is something that does.
    pub(super) work: Option<Work>,
    /// What it thinks.
    pub(super) sound: Option<f32>,
}

enum Slot {
    Ready(Event),
    /// The text of a span, which an engine works on.
    Waiting {
        work: Work,
        end: End,
    },
    Done {
        heard: Heard,
        end: End,
    },
}

/// Where and why a result is final.
struct End {
    span: Range<u64>,
    why: Why,
    /// When that was decided.
    since: Instant,
}

impl Line {
    pub(super) fn new(channel: u32, settings: &Settings, voices: Option<Voices>) -> Self {
        Self {
            channel,
            ear: Ear::new(channel, settings),
            queue: VecDeque::new(),
            guess: None,
            guess_took: Duration::ZERO,
            agreement: Agreement::default(),
            prepared: None,
            look: None,
            began: None,
            voices,
            last_word: None,
            language: settings.options.language.clone(),
        }
    }

    /// Tells `event` behind what is not known yet.
    pub(super) fn tell(&mut self, event: Event) {
        if matches!(event, Event::Started { .. }) {
            self.began = Some(Instant::now());
        }
        self.queue.push_back(Slot::Ready(event));
    }

    /// How many results are not told yet.
    pub(super) fn untold(&self) -> usize {
        self.queue.len()
    }

    /// The text of `span` comes from `work`, or is nothing.
    pub(super) fn expect(&mut self, work: Option<Work>, span: Range<u64>, why: Why) {
        let end = End { span, why, since: Instant::now() };
        self.queue.push_back(match work {
            Some(work) => Slot::Waiting { work, end },
            None => Slot::Done { heard: nothing(), end },
        });
        self.start_afresh();
    }

    /// The text of `span` is what was prepared.
    pub(super) fn expect_prepared(&mut self, span: Range<u64>, why: Why) {
        match self.prepared.take() {
            Some(Prepared { heard: Some(heard), .. }) => {
                let end = End { span, why, since: Instant::now() };
                self.queue.push_back(Slot::Done { heard, end });
                self.start_afresh();
            }
            prepared => self.expect(prepared.map(|prepared| prepared.work), span, why),
        }
    }

    /// What was guessed is over.
    fn start_afresh(&mut self) {
        (self.guess, self.prepared, self.look) = (None, None, None);
        self.agreement = Agreement::default();
    }

    /// Drops everything that is not final.
    pub(super) fn forget(&mut self) {
        self.ear.forget();
        self.queue.clear();
        self.began = None;
        self.start_afresh();
    }

    /// Takes a text that was recognised as a whole; gives it back if nobody waits for it.
    pub(super) fn take(&mut self, id: u64, heard: Heard) -> Option<Heard> {
        if let Some(prepared) = self.prepared.as_mut().filter(|prepared| prepared.work.id == id) {
            let guessed = heard.clone();
            prepared.heard = Some(heard);
            return Some(guessed);
        }
        let waiting = |slot: &&mut Slot| matches!(slot, Slot::Waiting { work, .. } if work.id == id);
        if let Some(slot) = self.queue.iter_mut().find(waiting) {
            let before = std::mem::replace(slot, Slot::Ready(Event::Forgotten));
            if let Slot::Waiting { end, .. } = before {
                *slot = Slot::Done { heard, end };
            }
        }
        None
    }

    /// What is understood of the open utterance, with `words` from a guess at all of it up to `end`, if there is news.
    pub(super) fn understand(&mut self, words: Vec<Word>, language: Option<String>, end: Duration) -> Option<Event> {
        let (words, settled) = self.agreement.hear(words, end);
        if words.is_empty() || !self.queue.is_empty() {
            return None;
        }
        if let Some(began) = self.began.take() {
            telemetry::first_interim(began.elapsed());
        }
        let span = time(self.ear.told())..time(self.ear.now());
        Some(Event::Interim { channel: self.channel, span, words, settled, language })
    }

    /// The next event to tell, if it is known. `utterance_end` is how long after a word it is told that no other came.
    pub(super) fn next(&mut self, utterance_end: Option<Duration>) -> Option<Event> {
        if let Some(last_word) = self.last_word
            && let Some(patience) = utterance_end
            && self.next_voice().is_some_and(|voice| voice >= last_word + patience)
        {
            self.last_word = None;
            return Some(Event::UtteranceEnd { channel: self.channel, last_word });
        }
        match self.queue.pop_front()? {
            Slot::Ready(event) => Some(event),
            Slot::Done { heard, end } => Some(self.finish(heard, end)),
            waiting @ Slot::Waiting { .. } => {
                self.queue.push_front(waiting);
                None
            }
        }
    }

    /// How long nobody has spoken for sure after what was told: until the next utterance, or until now.
    fn next_voice(&self) -> Option<Duration> {
        match self.queue.front() {
            Some(Slot::Ready(Event::Started { at, .. })) => Some(*at),
            Some(_) => None,
            None if self.ear.is_open() => None,
            None => Some(time(self.ear.now())),
        }
    }

    fn finish(&mut self, heard: Heard, end: End) -> Event {
        let Heard { mut transcript, prints } = heard;
        if let Some(voices) = &mut self.voices {
            voices.add(prints);
            voices.label_so_far(&mut transcript);
        }
        let End { span, why, since } = end;
        if !transcript.segments.is_empty() {
            self.language = self.language.take().or_else(|| transcript.language.clone());
            telemetry::final_result(since.elapsed());
        }
        self.last_word = transcript.words().last().map(|word| word.end).or(self.last_word);
        Event::Final { channel: self.channel, span: time(span.start)..time(span.end), transcript, why }
    }
}

fn nothing() -> Heard {
    Heard { transcript: Transcript::default(), prints: Vec::new() }
}
