//! What a transcript looks like on OpenAI's wire: `json`, `text`, `srt`, `vtt`, `verbose_json`, `diarized_json`.

use super::speaker_names::SpeakerNames;
use super::usage::{Usage, written};
use crate::api::{languages, report};
use crate::engine::Task;
use crate::subtitle::{self, Layout, Style};
use crate::transcript::{Segment, Speaker, Token, Transcript, Word, compression_ratio};
use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// OpenAI's `response_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// Who said what.
    DiarizedJson,
}

impl ResponseFormat {
    /// The names that are accepted.
    pub const NAMES: &str = "json, text, srt, vtt, verbose_json, diarized_json";

    /// The format with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            "srt" => Some(Self::Srt),
            "vtt" => Some(Self::Vtt),
            "verbose_json" => Some(Self::VerboseJson),
            "diarized_json" => Some(Self::DiarizedJson),
            _ => None,
        }
    }
}

/// What to tell, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wanted {
    /// The shape.
    pub format: ResponseFormat,
    /// Transcribed or translated.
    pub task: Task,
    /// `verbose_json` lists segments.
    pub segments: bool,
    /// `verbose_json` lists words.
    pub words: bool,
    /// `json` lists the tokens with their probabilities.
    pub logprobs: bool,
    /// How subtitles are laid out.
    pub layout: Option<Layout>,
    /// What speakers are called; `None` when they are not told apart.
    pub names: Option<SpeakerNames>,
    /// How `json` counts.
    pub usage: Usage,
}

impl Wanted {
    /// All that is known, voices by number when they are told apart.
    pub fn everything(told_apart: bool) -> Self {
        Self {
            format: ResponseFormat::VerboseJson,
            task: Task::Transcribe,
            segments: true,
            words: true,
            logprobs: false,
            layout: None,
            names: told_apart.then_some(SpeakerNames::Numbers),
            usage: Usage::Duration,
        }
    }
}

/// The result of a job: `verbose_json`, always with segments.
pub fn whole(transcript: &Transcript, duration: Duration, wanted: &Wanted) -> Value {
    verbose(transcript, duration, &Wanted { format: ResponseFormat::VerboseJson, segments: true, ..wanted.clone() })
}

/// The transcript as the file called `name`, which ends in `json`, `srt`, `vtt` or `txt`, and what that is.
pub fn file(transcript: &Transcript, duration: Duration, wanted: &Wanted, name: &str) -> (&'static str, String) {
    let name_of = |speaker: &Speaker| wanted.names.as_ref().map(|names| names.of(speaker)).unwrap_or_default();
    let style = Style { layout: wanted.layout, names: wanted.names.as_ref().map(|_| &name_of as _) };
    match name.rsplit('.').next() {
        Some("json") => ("application/json", whole(transcript, duration, wanted).to_string()),
        Some("srt") => ("text/plain; charset=utf-8", subtitle::srt(transcript, &style)),
        Some("vtt") => ("text/vtt; charset=utf-8", subtitle::vtt(transcript, &style)),
        _ => {
            let wanted = Wanted { format: ResponseFormat::Text, ..wanted.clone() };
            ("text/plain; charset=utf-8", text(transcript, &wanted) + "\n")
        }
    }
}

/// The answer for a finished transcript of `duration` of audio.
pub fn respond(transcript: &Transcript, duration: Duration, wanted: &Wanted) -> Response {
    let plain =
        |content_type: &'static str, body: String| ([(header::CONTENT_TYPE, content_type)], body).into_response();
    let name = |speaker: &Speaker| wanted.names.as_ref().map(|names| names.of(speaker)).unwrap_or_default();
    let style = Style { layout: wanted.layout, names: wanted.names.as_ref().map(|_| &name as _) };
    let mut response = match wanted.format {
        ResponseFormat::Json => Json(brief(transcript, duration, wanted)).into_response(),
        ResponseFormat::Text => plain("text/plain; charset=utf-8", text(transcript, wanted) + "\n"),
        ResponseFormat::Srt => plain("text/plain; charset=utf-8", subtitle::srt(transcript, &style)),
        ResponseFormat::Vtt => plain("text/vtt; charset=utf-8", subtitle::vtt(transcript, &style)),
        ResponseFormat::VerboseJson => Json(verbose(transcript, duration, wanted)).into_response(),
        ResponseFormat::DiarizedJson => Json(diarized(transcript, duration, wanted)).into_response(),
    };
    report::add_coverage(&mut response, &transcript.report);
    response
}

/// The text of a transcript as it grows.
///
/// Formats that show who speaks begin a line `Name: ` whenever somebody else goes on.
#[derive(Default)]
pub struct Lines {
    text: String,
    speaker: Option<String>,
}

impl Lines {
    /// Adds a segment and returns what is new of the text.
    pub fn push(&mut self, segment: &Segment, wanted: &Wanted) -> &str {
        let before = self.text.len();
        if segment.text.is_empty() {
            return "";
        }
        let shown = matches!(wanted.format, ResponseFormat::Text | ResponseFormat::DiarizedJson);
        let speaker = wanted.names.as_ref().filter(|_| shown).map(|names| names.of(&speaker_of(segment)));
        if speaker == self.speaker {
            self.text.push_str(if self.text.is_empty() { "" } else { " " });
        } else if let Some(name) = &speaker {
            self.text.push_str(if self.text.is_empty() { "" } else { "\n" });
            self.text.push_str(name);
            self.text.push_str(": ");
        }
        self.speaker = speaker;
        self.text.push_str(&segment.text);
        &self.text[before..]
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn text(transcript: &Transcript, wanted: &Wanted) -> String {
    let mut lines = Lines::default();
    for segment in &transcript.segments {
        lines.push(segment, wanted);
    }
    lines.text
}

/// Who says a segment. One that nobody could be found for has the first voice: the wire has no other word for it.
fn speaker_of(segment: &Segment) -> Speaker {
    segment.speaker.clone().unwrap_or(Speaker::Unknown(0))
}

fn brief(transcript: &Transcript, duration: Duration, wanted: &Wanted) -> Value {
    let mut body = json!({
        "text": text(transcript, wanted),
        "usage": wanted.usage.value(duration, written(transcript)),
    });
    if let Some(languages) = languages(transcript, wanted) {
        body["languages"] = languages;
    }
    if wanted.logprobs {
        body["logprobs"] = transcript.segments.iter().flat_map(|segment| &segment.tokens).map(logprob).collect();
    }
    if let Some(names) = &wanted.names {
        body["segments"] = turns(transcript, names);
    }
    body
}

fn diarized(transcript: &Transcript, duration: Duration, wanted: &Wanted) -> Value {
    let segments = wanted.names.as_ref().map(|names| turns(transcript, names));
    json!({
        "task": task(wanted.task),
        "duration": seconds(duration),
        "text": text(transcript, wanted),
        "segments": segments,
        "usage": {"type": "duration", "seconds": duration.as_secs_f64().round() as u64},
    })
}

fn turns(transcript: &Transcript, names: &SpeakerNames) -> Value {
    let spoken = transcript.segments.iter().filter(|segment| !segment.text.is_empty());
    spoken.enumerate().map(|(index, segment)| turn(index, segment, names)).collect()
}

/// The segment number `index` of a recording in which speakers are told apart.
pub fn turn(index: usize, segment: &Segment, names: &SpeakerNames) -> Value {
    let mut turn = json!({
        "type": "transcript.text.segment",
        "id": turn_id(index),
        "start": seconds(segment.start),
        "end": seconds(segment.end),
        "text": segment.text,
        "speaker": names.value(&speaker_of(segment)),
    });
    if let Some(channel) = segment.channel {
        turn["channel"] = json!(channel);
    }
    turn
}

/// The id of the segment number `index`.
pub fn turn_id(index: usize) -> String {
    format!("seg_{:03}", index + 1)
}

/// A token, its probability, and its bytes: it may be a part of a letter.
pub fn logprob(token: &Token) -> Value {
    let logprob = if token.logprob.is_finite() { f64::from(token.logprob) } else { -9999.0 };
    json!({"token": String::from_utf8_lossy(&token.bytes), "logprob": logprob, "bytes": token.bytes})
}

/// The codes of the languages that are written in a transcript, in the order in which they begin; `None` when they are
/// not known.
pub fn languages(transcript: &Transcript, wanted: &Wanted) -> Option<Value> {
    let codes = language_codes(transcript);
    (wanted.task != Task::Translate && !codes.is_empty()).then_some(Value::Array(codes))
}

/// As [`languages()`], of what was not translated; none when they are not known.
pub fn language_codes(transcript: &Transcript) -> Vec<Value> {
    let mut codes: Vec<&str> = Vec::new();
    for code in transcript.segments.iter().filter_map(|segment| segment.language.as_deref()) {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    if codes.is_empty() {
        codes.extend(transcript.language.as_deref());
    }
    codes.iter().map(|code| json!({"code": code})).collect()
}

fn task(task: Task) -> &'static str {
    match task {
        Task::Transcribe => "transcribe",
        Task::Translate => "translate",
    }
}

fn verbose(transcript: &Transcript, duration: Duration, wanted: &Wanted) -> Value {
    let language = match wanted.task {
        Task::Transcribe => transcript.language.as_deref().and_then(languages::name_of),
        Task::Translate => Some("english"),
    };
    let mut body = json!({
        "task": task(wanted.task),
        "language": language.unwrap_or("unknown"),
        "duration": seconds(duration),
        "text": text(transcript, wanted),
        "usage": Usage::Duration.value(duration, 0),
        "x_mynah": report::report(&transcript.report),
    });
    if let Some(checked) = &transcript.report.coverage {
        body["coverage"] = report::coverage(checked);
    }
    if wanted.words {
        let words = transcript.segments.iter().flat_map(|segment| segment.words.iter().map(move |it| (segment, it)));
        body["words"] = words.map(|(segment, it)| word(it, segment, wanted)).collect();
    }
    if wanted.segments {
        let segments = transcript.segments.iter().enumerate();
        body["segments"] = segments.map(|(id, it)| segment(id, it, wanted)).collect();
    }
    body
}

fn word(word: &Word, segment: &Segment, wanted: &Wanted) -> Value {
    let mut body = json!({"word": word.text, "start": seconds(word.start), "end": seconds(word.end)});
    describe(&mut body, word.speaker.as_ref().or(segment.speaker.as_ref()), segment.channel, wanted);
    body
}

/// All ten keys, none null: the AI SDK rejects the whole answer otherwise. More are welcome.
fn segment(id: usize, segment: &Segment, wanted: &Wanted) -> Value {
    let mut body = json!({
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
    });
    let language = segment.language.as_deref().filter(|_| wanted.task == Task::Transcribe);
    if let Some(language) = language.and_then(languages::name_of) {
        body["language"] = json!(language);
    }
    describe(&mut body, segment.speaker.as_ref(), segment.channel, wanted);
    body
}

/// Says who speaks and in which channel, as far as that was asked for.
fn describe(body: &mut Value, speaker: Option<&Speaker>, channel: Option<u32>, wanted: &Wanted) {
    if let Some((names, speaker)) = wanted.names.as_ref().zip(speaker) {
        body["speaker"] = names.value(speaker);
    }
    if let Some(channel) = channel {
        body["channel"] = json!(channel);
    }
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
    use crate::transcript::{Coverage, Report};

    fn transcript() -> Transcript {
        let word = |text: &str, start, end| Word {
            text: text.into(),
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
            confidence: 0.9,
            speaker: None,
        };
        let token = |id, text: &str| Token { id, bytes: text.into(), logprob: -0.5 };
        let words = vec![word("Ship", 100, 500), word("it.", 500, 700)];
        let (start, end) = (Duration::from_millis(100), Duration::from_millis(700));
        let segment = Segment {
            text: "Ship it.".into(),
            start,
            end,
            words,
            tokens: vec![token(101, " Ship"), token(102, " it.")],
            ..Segment::default()
        };
        let coverage = Coverage { speech: end - start, covered: end - start, gaps: Vec::new() };
        let report = Report { pieces: 1, coverage: Some(coverage), ..Report::default() };
        Transcript { segments: vec![segment], language: Some("en".into()), report, ..Transcript::default() }
    }

    /// Ann says the first two segments, somebody else the third, and Ann the last.
    fn conversation() -> Transcript {
        let (ann, other) = (Speaker::Known("Ann".into()), Speaker::Unknown(0));
        let said = |text: &str, speaker: &Speaker| {
            let mut segment = transcript().segments.remove(0);
            segment.words.truncate(1);
            (segment.text, segment.speaker) = (text.into(), Some(speaker.clone()));
            segment
        };
        let segments = vec![said("Hi.", &ann), said("Ready?", &ann), said("Sure.", &other), said("Go.", &ann)];
        Transcript { segments, language: Some("en".into()), ..Transcript::default() }
    }

    fn wanted(format: ResponseFormat) -> Wanted {
        let (task, usage) = (Task::Transcribe, Usage::Duration);
        Wanted { format, task, segments: true, words: true, logprobs: false, layout: None, names: None, usage }
    }

    fn with_names(format: ResponseFormat, names: SpeakerNames) -> Wanted {
        Wanted { names: Some(names), ..wanted(format) }
    }

    #[test]
    fn verbose_json_has_what_the_strictest_client_wants() {
        let body = verbose(&transcript(), Duration::from_millis(2400), &wanted(ResponseFormat::VerboseJson));
        insta::assert_json_snapshot!(body);
    }

    #[test]
    fn only_what_was_asked_for_is_listed() {
        let wanted = Wanted { segments: false, ..wanted(ResponseFormat::VerboseJson) };
        let body = verbose(&transcript(), Duration::from_secs(1), &wanted);
        assert!(body.get("segments").is_none() && body["words"].is_array());
    }

    #[test]
    fn diarized_json_says_who_said_what() {
        let names = SpeakerNames::Letters(vec!["Ann".into()]);
        let wanted = with_names(ResponseFormat::DiarizedJson, names);
        let body = diarized(&conversation(), Duration::from_millis(27_400), &wanted);
        assert_eq!(body["text"], "Ann: Hi. Ready?\nA: Sure.\nAnn: Go.");
        assert_eq!(body["usage"]["seconds"], 27);
        insta::assert_json_snapshot!(body["segments"][2], @r#"
        {
          "end": 0.7,
          "id": "seg_003",
          "speaker": "A",
          "start": 0.1,
          "text": "Sure.",
          "type": "transcript.text.segment"
        }
        "#);
    }

    #[test]
    fn speakers_are_on_words_and_segments() {
        let body = verbose(
            &conversation(),
            Duration::from_secs(1),
            &with_names(ResponseFormat::VerboseJson, SpeakerNames::Numbers),
        );
        assert_eq!((&body["words"][2]["speaker"], &body["segments"][2]["speaker"]), (&json!(0), &json!(0)));
        assert_eq!((&body["words"][0]["speaker"], &body["text"]), (&json!("Ann"), &json!("Hi. Ready? Sure. Go.")));
    }

    #[test]
    fn logprobs_list_the_tokens_of_the_text() {
        let wanted = Wanted { logprobs: true, ..wanted(ResponseFormat::Json) };
        let body = brief(&transcript(), Duration::from_secs(1), &wanted);
        assert_eq!(body["logprobs"][1], json!({"token": " it.", "logprob": -0.5, "bytes": [32, 105, 116, 46]}));
        assert_eq!(body["languages"], json!([{"code": "en"}]));
    }

    #[test]
    fn every_language_is_listed_once() {
        let mut transcript = conversation();
        for (segment, language) in transcript.segments.iter_mut().zip(["en", "de", "en", "de"]) {
            segment.language = Some(language.into());
        }
        let wanted = wanted(ResponseFormat::Json);
        assert_eq!(languages(&transcript, &wanted), Some(json!([{"code": "en"}, {"code": "de"}])));
        assert_eq!(segment(1, &transcript.segments[1], &wanted)["language"], "german");
    }
}
