//! `stream=true`: a transcript as server-sent events, piece by piece.

use super::transcript_body::{Lines, Wanted, languages, logprob, turn, turn_id};
use super::usage::written;
use crate::api::error::envelope;
use crate::api::report;
use crate::error::{Error, Kind, Result};
use crate::speech::transcribe::Progress;
use crate::transcript::{Segment, Transcript};
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;

/// How often a comment tells the client that the work goes on.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long the answer waits for the first piece: until then a failure still has a status.
const PATIENCE: Duration = Duration::from_secs(1);

/// Judges a whole transcript before it is called done.
pub type Check = fn(&Transcript) -> Result<()>;

/// Deltas (and, when speakers are told apart, segments) as soon as they are ready, then everything once more. What
/// `check` refuses ends with an error in place of the last event.
///
/// # Errors
/// What goes wrong soon: sound that cannot be decoded, a full queue.
pub async fn stream_events(
    pieces: impl Stream<Item = Result<Progress>> + Send + 'static,
    wanted: Wanted,
    check: Check,
) -> Result<Response> {
    let mut pieces = Box::pin(pieces.peekable());
    // A piece that takes longer than that is answered for by the events.
    let first = tokio::time::timeout(PATIENCE, pieces.as_mut().peek()).await;
    if let Ok(Some(Err(_))) = first
        && let Some(Err(error)) = pieces.next().await
    {
        return Err(error);
    }
    let state = (pieces, Teller::new(wanted, check));
    let events = stream::try_unfold(state, |(mut pieces, mut teller)| async move {
        let Some(piece) = pieces.try_next().await? else { return Ok::<_, Error>(None) };
        let events = teller.tell(piece)?;
        Ok(Some((stream::iter(events.into_iter().map(Ok)), (pieces, teller))))
    });
    let events = events.try_flatten().map(|event: Result<Value>| Ok::<_, Infallible>(frame(&event)));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Turns pieces of a transcript into events.
struct Teller {
    wanted: Wanted,
    check: Check,
    lines: Lines,
    /// Segments told so far.
    told: usize,
    whole: Transcript,
}

impl Teller {
    fn new(wanted: Wanted, check: Check) -> Self {
        Self { wanted, check, lines: Lines::default(), told: 0, whole: Transcript::default() }
    }

    fn tell(&mut self, piece: Progress) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        for segment in piece.transcript.segments.iter().filter(|segment| !segment.text.is_empty()) {
            self.tell_segment(segment, &mut events);
        }
        self.whole.append(piece.transcript);
        if piece.finished {
            (self.check)(&self.whole)?;
            events.push(self.done(piece.until));
        }
        Ok(events)
    }

    fn tell_segment(&mut self, segment: &Segment, events: &mut Vec<Value>) {
        let mut delta = json!({"type": "transcript.text.delta", "delta": self.lines.push(segment, &self.wanted)});
        if self.wanted.logprobs {
            delta["logprobs"] = segment.tokens.iter().map(logprob).collect();
        }
        if self.wanted.names.is_some() {
            delta["segment_id"] = json!(turn_id(self.told));
        }
        events.push(delta);
        events.extend(self.wanted.names.as_ref().map(|names| turn(self.told, segment, names)));
        self.told += 1;
    }

    fn done(&self, duration: Duration) -> Value {
        let mut done = json!({
            "type": "transcript.text.done",
            "text": self.lines.text(),
            "usage": self.wanted.usage.value(duration, written(&self.whole)),
        });
        if let Some(languages) = languages(&self.whole, &self.wanted) {
            done["languages"] = languages;
        }
        if self.wanted.logprobs {
            done["logprobs"] = self.whole.segments.iter().flat_map(|segment| &segment.tokens).map(logprob).collect();
        }
        if let Some(checked) = &self.whole.report.coverage {
            done["coverage"] = report::coverage(checked);
        }
        done
    }
}

fn frame(event: &Result<Value>) -> Event {
    match event {
        Ok(event) => Event::default().data(event.to_string()),
        Err(error) => {
            if error.kind() == Kind::Internal {
                tracing::error!(%error, "a transcription failed after its answer had begun");
            }
            Event::default().data(envelope(error).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::openai::speaker_names::SpeakerNames;
    use crate::api::openai::transcript_body::ResponseFormat;
    use crate::api::openai::usage::Usage;
    use crate::engine::Task;
    use crate::transcript::Speaker;

    fn piece(said: &[(&str, u32)], finished: bool) -> Progress {
        let segment = |(text, speaker): &(&str, u32)| Segment {
            text: (*text).into(),
            speaker: Some(Speaker::Unknown(*speaker)),
            ..Segment::default()
        };
        let segments = said.iter().map(segment).collect();
        let until = Duration::from_secs(1);
        Progress { transcript: Transcript { segments, ..Transcript::default() }, until, read: until, finished }
    }

    fn told(format: ResponseFormat, names: Option<SpeakerNames>) -> Vec<Value> {
        let (task, usage) = (Task::Transcribe, Usage::tokens(None));
        let wanted = Wanted { format, task, segments: true, words: false, logprobs: false, layout: None, names, usage };
        let mut teller = Teller::new(wanted, |_| Ok(()));
        let pieces = [piece(&[("Hi.", 0), ("Ready?", 0)], false), piece(&[], false), piece(&[("Sure.", 1)], true)];
        pieces.into_iter().flat_map(|piece| teller.tell(piece).expect("nothing is missing")).collect()
    }

    fn assert_deltas_add_up(events: &[Value]) {
        let deltas: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
        let done = events.last().expect("an event");
        assert_eq!((&done["type"], &done["text"]), (&json!("transcript.text.done"), &json!(deltas)));
    }

    #[test]
    fn every_segment_is_a_delta() {
        let events = told(ResponseFormat::Json, None);
        let deltas: Vec<_> = events.iter().filter_map(|event| event["delta"].as_str()).collect();
        assert_eq!(deltas, ["Hi.", " Ready?", " Sure."]);
        assert!(events[0].get("segment_id").is_none());
        assert_deltas_add_up(&events);
    }

    #[test]
    fn segments_follow_their_deltas_when_speakers_are_told_apart() {
        let events = told(ResponseFormat::DiarizedJson, Some(SpeakerNames::Letters(Vec::new())));
        let types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
        let (delta, segment) = ("transcript.text.delta", "transcript.text.segment");
        assert_eq!(types, [delta, segment, delta, segment, delta, segment, "transcript.text.done"]);
        assert_eq!((&events[4]["segment_id"], &events[5]["id"]), (&json!("seg_003"), &json!("seg_003")));
        assert_eq!((&events[5]["speaker"], &events[4]["delta"]), (&json!("B"), &json!("\nB: Sure.")));
        assert_eq!(events[6]["text"], "A: Hi. Ready?\nB: Sure.");
        assert_deltas_add_up(&events);
    }
}
