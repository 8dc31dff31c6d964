//! What a transcript looks like on OpenAI's wire: `json`, `text`, `srt`, `vtt`, `verbose_json`.

use super::languages;
use crate::engine::Task;
use crate::transcript::{Segment, Transcript, Word, compression_ratio};
use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::time::Duration;

/// OpenAI's `response_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseFormat {
    /// `{"text"}` and usage.
    #[default]
    Json,
    /// The bare text and a line break.
    Text,
    /// SubRip.
    Srt,
    /// WebVTT.
    Vtt,
    /// Everything that is known.
    VerboseJson,
}

impl ResponseFormat {
    /// The names that are accepted.
    pub const NAMES: &str = "json, text, srt, vtt, verbose_json";

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            "srt" => Some(Self::Srt),
            "vtt" => Some(Self::Vtt),
            "verbose_json" => Some(Self::VerboseJson),
            _ => None,
        }
    }
}

/// What to tell, and how.
pub struct Wanted {
    /// The shape.
    pub format: ResponseFormat,
    /// Transcribed or translated.
    pub task: Task,
    /// `verbose_json` lists segments.
    pub segments: bool,
    /// `verbose_json` lists words.
    pub words: bool,
}

/// The answer for a finished transcript of `duration` of audio.
pub fn respond(transcript: &Transcript, duration: Duration, wanted: &Wanted) -> Response {
    let plain =
        |content_type: &'static str, body: String| ([(header::CONTENT_TYPE, content_type)], body).into_response();
    match wanted.format {
        ResponseFormat::Json => Json(json!({"text": transcript.text(), "usage": usage(duration)})).into_response(),
        ResponseFormat::Text => plain("text/plain; charset=utf-8", transcript.text() + "\n"),
        ResponseFormat::Srt => plain("text/plain; charset=utf-8", transcript.to_srt()),
        ResponseFormat::Vtt => plain("text/vtt; charset=utf-8", transcript.to_vtt()),
        ResponseFormat::VerboseJson => Json(verbose(transcript, duration, wanted)).into_response(),
    }
}

/// Whole seconds, rounded up, as whisper-1 is billed.
pub fn usage(duration: Duration) -> Value {
    json!({"type": "duration", "seconds": duration.as_secs_f64().ceil() as u64})
}

fn verbose(transcript: &Transcript, duration: Duration, wanted: &Wanted) -> Value {
    let (task, language) = match wanted.task {
        Task::Transcribe => ("transcribe", transcript.language.as_deref().and_then(languages::name_of)),
        Task::Translate => ("translate", Some("english")),
    };
    let mut body = json!({
        "task": task,
        "language": language.unwrap_or("unknown"),
        "duration": seconds(duration),
        "text": transcript.text(),
        "usage": usage(duration),
    });
    if wanted.words {
        body["words"] = transcript.words().map(word).collect();
    }
    if wanted.segments {
        body["segments"] = transcript.segments.iter().enumerate().map(|(id, it)| segment(id, it)).collect();
    }
    body
}

fn word(word: &Word) -> Value {
    json!({"word": word.text, "start": seconds(word.start), "end": seconds(word.end)})
}

/// All ten keys, none null: the AI SDK rejects the whole answer otherwise.
fn segment(id: usize, segment: &Segment) -> Value {
    json!({
        "id": id,
        "seek": (segment.start.as_secs_f64() * 100.0) as u64,
        "start": seconds(segment.start),
        "end": seconds(segment.end),
        "text": format!(" {}", segment.text),
        "tokens": segment.tokens.iter().map(|token| token.id).collect::<Vec<_>>(),
        "temperature": round(segment.temperature.into()),
        "avg_logprob": round(segment.avg_logprob.into()),
        "compression_ratio": round(compression_ratio(&segment.text)),
        "no_speech_prob": round(segment.no_speech_prob.into()),
    })
}

fn seconds(time: Duration) -> f64 {
    round(time.as_secs_f64())
}

/// To the millisecond; JSON has no NaN.
fn round(value: f64) -> f64 {
    if value.is_finite() { (value * 1000.0).round() / 1000.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Token;

    fn transcript() -> Transcript {
        let word = |text: &str, start, end| Word {
            text: text.into(),
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
            confidence: 0.9,
            speaker: None,
        };
        let token = |id| Token { id, ..Token::default() };
        let words = vec![word("Ship", 100, 500), word("it.", 500, 700)];
        let (start, end) = (Duration::from_millis(100), Duration::from_millis(700));
        let segment = Segment {
            text: "Ship it.".into(),
            start,
            end,
            words,
            tokens: [101, 102].map(token).into(),
            ..Segment::default()
        };
        Transcript { segments: vec![segment], language: Some("en".into()), ..Transcript::default() }
    }

    fn wanted(segments: bool, words: bool) -> Wanted {
        Wanted { format: ResponseFormat::VerboseJson, task: Task::Transcribe, segments, words }
    }

    #[test]
    fn verbose_json_has_what_the_strictest_client_wants() {
        let body = verbose(&transcript(), Duration::from_millis(2400), &wanted(true, true));
        insta::assert_json_snapshot!(body);
    }

    #[test]
    fn only_what_was_asked_for_is_listed() {
        let body = verbose(&transcript(), Duration::from_secs(1), &wanted(false, true));
        assert!(body.get("segments").is_none() && body["words"].is_array());
    }

    #[test]
    fn usage_counts_begun_seconds() {
        assert_eq!(usage(Duration::from_millis(8470))["seconds"], 9);
    }
}
