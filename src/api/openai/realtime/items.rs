//! What is said, as items of a conversation: which events tell of it, in which order. No engines, no sockets.

use super::events::{ITEM, event, new_id};
use super::session::{Dialect, ServerVad, Session, TurnDetection};
use super::text::{Growing, join};
use crate::api::error::envelope;
use crate::api::openai::transcript_body::{language_codes, logprob};
use crate::api::openai::usage::{Usage, written};
use crate::error::Error;
use crate::speech::realtime::{Event, Why};
use crate::transcript::{Transcript, Word};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// The shortest sound that can be an item.
pub const SHORTEST: Duration = Duration::from_millis(100);

/// How the items are told.
#[derive(Clone, Copy)]
pub struct Telling<'a> {
    /// The settings.
    pub session: &'a Session,
    /// In whose words.
    pub dialect: Dialect,
}

impl Telling<'_> {
    fn vad(&self) -> Option<ServerVad> {
        if let TurnDetection::Server(vad) = self.session.turns() { Some(vad) } else { None }
    }

    fn finds_turns(&self) -> bool {
        self.session.turns() != TurnDetection::None
    }
}

/// The items of one session.
#[derive(Default)]
pub struct Items {
    /// Where the sound that is listened to begins in all the sound of the session.
    offset: Duration,
    /// The item that was committed last.
    previous: Option<String>,
    /// What is being said.
    open: Option<Item>,
    /// What the client has asked for, in that order.
    asked: VecDeque<Asked>,
    /// Since then nobody has spoken.
    quiet_since: Duration,
}

/// Something that is said.
struct Item {
    id: String,
    start: Duration,
    duration: Duration,
    /// Whether the client has been told that somebody began.
    is_announced: bool,
    is_committed: bool,
    text: Growing,
    /// What `text` is the text of.
    transcript: Transcript,
    /// What is final and not told yet.
    kept: Transcript,
}

impl Item {
    fn new(start: Duration) -> Self {
        Self {
            id: new_id(ITEM),
            start,
            duration: Duration::ZERO,
            is_announced: false,
            is_committed: false,
            text: Growing::default(),
            transcript: Transcript::default(),
            kept: Transcript::default(),
        }
    }
}

enum Asked {
    /// What was said up to there, all of it.
    Item(Box<Item>),
    /// What nobody has found the end of until then; the event of the client, for what goes wrong.
    Rest(Value),
}

impl Items {
    /// Whether something was committed whose text is not there.
    pub fn are_waiting(&self) -> bool {
        !self.asked.is_empty() || self.open.as_ref().is_some_and(|item| item.is_committed)
    }

    /// The client wants the `held` sound to be an item, with its event called `event_id`.
    pub fn commit(&mut self, how: Telling<'_>, held: Duration, event_id: Value) -> Vec<Value> {
        if how.finds_turns() {
            self.asked.push_back(Asked::Rest(event_id));
            return Vec::new();
        }
        let mut item = self.open.take().unwrap_or_else(|| Item::new(Duration::ZERO));
        item.duration = held;
        let events = self.commit_item(how, &mut item);
        self.asked.push_back(Asked::Item(Box::new(item)));
        events
    }

    /// What is open and not committed was never said.
    pub fn forget(&mut self, how: Telling<'_>, now: Duration) -> Vec<Value> {
        self.quiet_since = now;
        match self.open.take() {
            Some(item) if item.is_committed => vec![complete(how, &item)],
            _ => Vec::new(),
        }
    }

    /// The sound from here on is listened to anew; `before` is all that came before it.
    pub fn begin(&mut self, before: Duration) {
        self.offset = before;
        self.quiet_since = before;
    }

    /// What the client is told of `event`.
    pub fn hear(&mut self, event: Event, how: Telling<'_>) -> Vec<Value> {
        match event {
            Event::Started { at, .. } => self.started(how, self.offset + at),
            Event::Ended { at, why, .. } => self.ended(how, self.offset + at, why),
            Event::Interim { span, words, settled, .. } => self.guessed(how, &words[..settled.min(words.len())], &span),
            Event::Final { span, transcript, why, .. } => self.settled(how, transcript, &span, why),
            Event::Tick { at } => self.ticked(how, self.offset + at),
            _ => Vec::new(),
        }
    }

    /// Listening has failed: what was to have a text gets none.
    pub fn fail(&mut self, how: Telling<'_>, error: &Error) -> Vec<Value> {
        let mut events = Vec::new();
        let open = self.open.take().filter(|item| item.is_committed || item.is_announced);
        let asked = std::mem::take(&mut self.asked).into_iter().map(|asked| match asked {
            Asked::Item(item) => *item,
            Asked::Rest(_) => Item::new(self.offset),
        });
        for mut item in open.into_iter().chain(asked.collect::<Vec<_>>()) {
            if !item.is_committed {
                events.extend(self.commit_item(how, &mut item));
            }
            events.push(failed(&item, error));
        }
        events
    }

    fn started(&mut self, how: Telling<'_>, at: Duration) -> Vec<Value> {
        // Without turns an item goes on from one utterance to the next.
        if !how.finds_turns() {
            return Vec::new();
        }
        let item = Item { is_announced: true, ..Item::new(at) };
        let told = json!({"audio_start_ms": milliseconds(at), "item_id": item.id});
        self.open = Some(item);
        vec![event("input_audio_buffer.speech_started", told)]
    }

    fn ended(&mut self, how: Telling<'_>, at: Duration, why: Why) -> Vec<Value> {
        self.quiet_since = at;
        let mut events = Vec::new();
        let Some(mut item) = self.open.take() else { return events };
        if why != Why::Asked && (item.is_announced || how.finds_turns()) {
            if item.is_announced {
                let told = json!({"audio_end_ms": milliseconds(at), "item_id": item.id});
                events.push(event("input_audio_buffer.speech_stopped", told));
            }
            item.duration = at.saturating_sub(item.start);
            events.extend(self.commit_item(how, &mut item));
        }
        self.open = Some(item);
        events
    }

    /// Words that stay as they are, in the sound of `span`.
    fn guessed(&mut self, how: Telling<'_>, words: &[Word], span: &Range<Duration>) -> Vec<Value> {
        let Some(delay) = how.session.delay() else { return Vec::new() };
        let due = words.iter().take_while(|word| word.end + delay <= span.end);
        let text = join(due.map(|word| word.text.as_str()));
        if text.is_empty() {
            return Vec::new();
        }
        let item = self.speaking(span.start);
        let mut events = if item.kept.segments.is_empty() { Vec::new() } else { tell_kept(how, item) };
        let news = item.text.guess(&text);
        events.extend((!news.is_empty()).then(|| delta(item, &news, None)));
        events
    }

    fn settled(&mut self, how: Telling<'_>, transcript: Transcript, span: &Range<Duration>, why: Why) -> Vec<Value> {
        match why {
            Why::Nobody => Vec::new(),
            Why::Cut => self.grow(how, transcript, span),
            Why::Asked => self.answer(how, transcript, span),
            Why::Silence | Why::Finished | Why::Closed => {
                let Some(item) = self.open.take() else { return self.rest(how, transcript, span) };
                self.finish(how, item, transcript, span)
            }
        }
    }

    /// What is said at the end of the sound, when nobody has asked for it.
    fn rest(&mut self, how: Telling<'_>, transcript: Transcript, span: &Range<Duration>) -> Vec<Value> {
        match transcript.text().is_empty() {
            true => Vec::new(),
            false => self.finish(how, Item::new(self.offset + span.start), transcript, span),
        }
    }

    /// A part of what is being said is final.
    fn grow(&mut self, how: Telling<'_>, transcript: Transcript, span: &Range<Duration>) -> Vec<Value> {
        let is_told = how.session.delay().is_some();
        let item = self.speaking(span.start);
        item.kept.append(transcript);
        if is_told || item.is_committed { tell_kept(how, item) } else { Vec::new() }
    }

    /// What the client has asked for is there.
    fn answer(&mut self, how: Telling<'_>, transcript: Transcript, span: &Range<Duration>) -> Vec<Value> {
        let event_id = match self.asked.pop_front() {
            Some(Asked::Item(item)) => return self.finish(how, *item, transcript, span),
            Some(Asked::Rest(event_id)) => event_id,
            None => return Vec::new(),
        };
        let held = span.end.saturating_sub(span.start);
        if self.open.is_none() && held < SHORTEST {
            return vec![too_short(held, event_id)];
        }
        let mut item = self.open.take().unwrap_or_else(|| Item::new(self.offset + span.start));
        item.duration = (self.offset + span.end).saturating_sub(item.start);
        self.quiet_since = self.offset + span.end;
        self.finish(how, item, transcript, span)
    }

    fn finish(
        &mut self,
        how: Telling<'_>,
        mut item: Item,
        transcript: Transcript,
        span: &Range<Duration>,
    ) -> Vec<Value> {
        let mut events = Vec::new();
        if !item.is_committed {
            if item.duration.is_zero() {
                item.duration = (self.offset + span.end).saturating_sub(item.start);
            }
            events.extend(self.commit_item(how, &mut item));
        }
        item.kept.append(transcript);
        events.extend(tell_kept(how, &mut item));
        events.push(complete(how, &item));
        events
    }

    /// Nobody has spoken for as long as the client wants to know of.
    fn ticked(&mut self, how: Telling<'_>, at: Duration) -> Vec<Value> {
        let timeout = how.vad().and_then(|vad| vad.idle_timeout_ms).map(Duration::from_millis);
        let is_quiet = self.open.is_none() && self.asked.is_empty();
        let Some(_) = timeout.filter(|timeout| is_quiet && at >= self.quiet_since + *timeout) else {
            return Vec::new();
        };
        let mut item = Item::new(self.quiet_since);
        item.duration = at - self.quiet_since;
        let told = json!({
            "audio_start_ms": milliseconds(item.start),
            "audio_end_ms": milliseconds(at),
            "item_id": item.id,
        });
        self.quiet_since = at;
        let mut events = vec![event("input_audio_buffer.timeout_triggered", told)];
        events.extend(self.commit_item(how, &mut item));
        events.push(complete(how, &item));
        events
    }

    /// The first item that waits for its text, or the one that is being said: a new one, from `start` on, when none is.
    fn speaking(&mut self, start: Duration) -> &mut Item {
        match self.asked.front_mut() {
            Some(Asked::Item(item)) => item,
            _ => self.open.get_or_insert_with(|| Item::new(self.offset + start)),
        }
    }

    fn commit_item(&mut self, how: Telling<'_>, item: &mut Item) -> Vec<Value> {
        item.is_committed = true;
        let previous = self.previous.replace(item.id.clone());
        let told = json!({
            "id": item.id,
            "object": "realtime.item",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_audio", "transcript": null}],
        });
        let place = json!({"item_id": item.id, "previous_item_id": previous});
        let whole = json!({"item": told, "previous_item_id": previous});
        let mut events = vec![event("input_audio_buffer.committed", place)];
        match how.dialect {
            Dialect::Beta => events.push(event("conversation.item.created", whole)),
            Dialect::Current => {
                events.push(event("conversation.item.added", whole.clone()));
                events.push(event("conversation.item.done", whole));
            }
        }
        events
    }
}

/// Adds what is final and was not told to the text of `item`.
fn tell_kept(how: Telling<'_>, item: &mut Item) -> Vec<Value> {
    let kept = std::mem::take(&mut item.kept);
    let mut events = Vec::new();
    // What was guessed at is of all of it, so all of it must follow at once.
    let parts = if item.text.has_guesses() { vec![&kept.segments[..]] } else { kept.segments.chunks(1).collect() };
    for segments in parts {
        let tokens = segments.iter().flat_map(|segment| &segment.tokens);
        let logprobs = how.session.logprobs.then(|| tokens.map(logprob).collect());
        let texts: Vec<&str> = segments.iter().map(|it| it.text.as_str()).filter(|it| !it.is_empty()).collect();
        let news = item.text.settle(&texts.join(" "));
        events.extend((!news.is_empty()).then(|| delta(item, &news, logprobs)));
    }
    item.transcript.append(kept);
    events
}

fn complete(how: Telling<'_>, item: &Item) -> Value {
    let (session, transcript) = (how.session, &item.transcript);
    let usage = Usage::of(session.model(), session.transcription.prompt.as_deref());
    let mut told = json!({
        "item_id": item.id,
        "content_index": 0,
        "transcript": item.text.text(),
        "usage": usage.value(item.duration, written(transcript)),
        "languages": language_codes(transcript),
    });
    if session.logprobs {
        told["logprobs"] = transcript.segments.iter().flat_map(|segment| &segment.tokens).map(logprob).collect();
    }
    event("conversation.item.input_audio_transcription.completed", told)
}

fn delta(item: &Item, news: &str, logprobs: Option<Value>) -> Value {
    let mut told = json!({"item_id": item.id, "content_index": 0, "delta": news});
    if let Some(logprobs) = logprobs {
        told["logprobs"] = logprobs;
    }
    event("conversation.item.input_audio_transcription.delta", told)
}

fn failed(item: &Item, error: &Error) -> Value {
    let mut body = envelope(error);
    let told = json!({"item_id": item.id, "content_index": 0, "error": body["error"].take()});
    event("conversation.item.input_audio_transcription.failed", told)
}

/// The failure of a commit of so little sound.
pub fn too_short(held: Duration, event_id: Value) -> Value {
    let message = format!(
        "The input audio buffer is too small: an item needs at least {} ms of sound, and it holds {:.2} ms.",
        SHORTEST.as_millis(),
        held.as_secs_f64() * 1000.0
    );
    let error = Error::new(crate::error::Kind::InvalidRequest, message);
    super::events::failure(&error.with_code("input_audio_buffer_commit_empty"), event_id)
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis() as u64
}

#[cfg(test)]
mod tests;
