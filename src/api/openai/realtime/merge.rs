//! Changes to the settings of a session: what is absent stays, what is null is as it was in the beginning.

use super::session::{Delay, Eagerness, SHORTEST_SILENCE, ServerVad, Session, Transcription, TurnDetection};
use crate::api::openai::transcription_form::KEYWORDS;
use crate::app::App;
use crate::audio::decode::raw::RawEncoding;
use crate::audio::resample::SAMPLE_RATES;
use crate::error::{Error, Result};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What clients ask for to know how likely the tokens are.
pub const LOGPROBS: &str = "item.input_audio_transcription.logprobs";

/// The longest prompt, in characters.
const LONGEST_PROMPT: usize = 20_000;

/// What sessions have in which the server speaks, too.
const CONVERSATION: [&str; 15] = [
    "instructions",
    "max_output_tokens",
    "max_response_output_tokens",
    "output",
    "output_audio_format",
    "output_modalities",
    "parallel_tool_calls",
    "prompt",
    "reasoning",
    "speed",
    "tool_choice",
    "tools",
    "tracing",
    "truncation",
    "voice",
];

/// A value of the client, and where it is.
struct Field<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    fn wrong(&self, message: impl Into<Cow<'static, str>>) -> Error {
        Error::invalid(self.path.clone(), message).with_code("invalid_value")
    }

    /// The members of an object; null has none.
    fn members(&self) -> Result<Vec<(&'a str, Field<'a>)>> {
        let Some(object) = self.value.as_object() else {
            return match self.value.is_null() {
                true => Ok(Vec::new()),
                false => Err(self.wrong(format!("`{}` must be an object.", self.path))),
            };
        };
        let path = |name: &str| if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Ok(object.iter().map(|(name, value)| (name.as_str(), Field { path: path(name), value })).collect())
    }

    /// A text; `None` for null.
    fn text(&self) -> Result<Option<&'a str>> {
        match self.value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(self.wrong(format!("`{}` must be a string.", self.path))),
        }
    }

    /// A list of texts; none for null.
    fn texts(&self) -> Result<Vec<String>> {
        let wrong = || self.wrong(format!("`{}` must be a list of strings.", self.path));
        if self.value.is_null() {
            return Ok(Vec::new());
        }
        let list = self.value.as_array().ok_or_else(wrong)?;
        list.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    /// A number in `range`; `None` for null.
    fn number(&self, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        if self.value.is_null() {
            return Ok(None);
        }
        self.value.as_f64().filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            self.wrong(format!("`{}` must be a number from {} to {}.", self.path, range.start(), range.end()))
        })
    }

    /// Milliseconds in `range`; `None` for null.
    fn milliseconds(&self, range: RangeInclusive<u32>) -> Result<Option<u64>> {
        let number = self.number((*range.start()).into()..=(*range.end()).into())?;
        Ok(number.map(|number| number.round() as u64))
    }
}

/// The settings after `change`, which is at `path` in what the client sent, in either dialect. With `is_begun` there has
/// been sound, and its format is what it is.
///
/// # Errors
/// `InvalidRequest` that names the field; `NotFound` for an unknown model.
pub fn merged(session: &Session, app: &App, change: &Value, path: &str, is_begun: bool) -> Result<Session> {
    let mut merged = session.clone();
    let root = Field { path: path.to_owned(), value: change };
    let (mut transcription, mut format) = (path.to_owned(), path.to_owned());
    for (name, field) in root.members()? {
        match name {
            "type" => check_type(&field)?,
            "audio" => {
                for (name, field) in field.members()? {
                    match name {
                        "input" => {
                            transcription = format!("{}.transcription", field.path);
                            format = format!("{}.format", field.path);
                            merge_input(&mut merged, &field)?;
                        }
                        _ => refuse_conversation(name, &field)?,
                    }
                }
            }
            "include" => merged.logprobs = includes_logprobs(&field)?,
            "input_audio_format" => {
                format.clone_from(&field.path);
                merge_beta_format(&mut merged, &field)?;
            }
            "input_audio_transcription" => {
                transcription.clone_from(&field.path);
                merge_transcription(&mut merged.transcription, &field)?;
            }
            "input_audio_noise_reduction" => check_noise_reduction(&field)?,
            "turn_detection" => merge_turns(&mut merged, &field)?,
            _ => refuse_conversation(name, &field)?,
        }
    }
    if is_begun && merged.format != session.format {
        let message = "The format of the sound cannot change after there has been some: open another connection.";
        return Err(Error::invalid(format, message).with_code("invalid_value"));
    }
    let at = |name: &str| if transcription.is_empty() { name.to_owned() } else { format!("{transcription}.{name}") };
    let model = merged.find_model(app).map_err(|error| {
        let code = error.code().unwrap_or("invalid_value");
        error.with_param(at("model")).with_code(code)
    })?;
    merged.languages(&model).map_err(|error| {
        let name = at(error.param().unwrap_or_default());
        error.with_param(name)
    })?;
    Ok(merged)
}

fn check_type(field: &Field<'_>) -> Result<()> {
    match field.text()? {
        Some("transcription") | None => Ok(()),
        Some(_) => Err(field.wrong("This server has sessions of type `transcription` only.")),
    }
}

/// Nothing that the server does not do is accepted.
fn refuse_conversation(name: &str, field: &Field<'_>) -> Result<()> {
    if CONVERSATION.contains(&name) && !field.value.is_null() {
        return Err(field.wrong(format!("A transcription session has no `{name}`.")));
    }
    Ok(())
}

fn merge_input(session: &mut Session, input: &Field<'_>) -> Result<()> {
    for (name, field) in input.members()? {
        match name {
            "format" => merge_format(session, &field)?,
            "transcription" => merge_transcription(&mut session.transcription, &field)?,
            "noise_reduction" => check_noise_reduction(&field)?,
            "turn_detection" => merge_turns(session, &field)?,
            _ => {}
        }
    }
    Ok(())
}

fn merge_format(session: &mut Session, field: &Field<'_>) -> Result<()> {
    if field.value.is_null() {
        session.format = Session::new(None).format;
        return Ok(());
    }
    let (mut kind, mut rate) = (None, None);
    for (name, field) in field.members()? {
        match name {
            "type" => kind = field.text()?,
            "rate" => {
                let (low, high) = (f64::from(*SAMPLE_RATES.start()).max(8_000.0), 48_000.0);
                rate = field.number(low..=high)?.map(|rate| rate as u32);
            }
            _ => {}
        }
    }
    let before = (session.format.encoding == RawEncoding::Linear16).then_some(session.format.sample_rate);
    (session.format.encoding, session.format.sample_rate) = match kind {
        Some("audio/pcm") => (RawEncoding::Linear16, rate.or(before).unwrap_or(24_000)),
        Some("audio/pcmu") => (RawEncoding::Mulaw, 8_000),
        Some("audio/pcma") => (RawEncoding::Alaw, 8_000),
        None if before.is_some() => (RawEncoding::Linear16, rate.or(before).unwrap_or(24_000)),
        _ => {
            let message = "The type of a format is `audio/pcm`, `audio/pcmu` or `audio/pcma`.";
            return Err(Error::invalid(format!("{}.type", field.path), message).with_code("invalid_value"));
        }
    };
    Ok(())
}

fn merge_beta_format(session: &mut Session, field: &Field<'_>) -> Result<()> {
    (session.format.encoding, session.format.sample_rate) = match field.text()? {
        Some("pcm16") | None => (RawEncoding::Linear16, 24_000),
        Some("g711_ulaw") => (RawEncoding::Mulaw, 8_000),
        Some("g711_alaw") => (RawEncoding::Alaw, 8_000),
        Some(_) => return Err(field.wrong("A format is `pcm16`, `g711_ulaw` or `g711_alaw`.")),
    };
    Ok(())
}

fn merge_transcription(transcription: &mut Transcription, field: &Field<'_>) -> Result<()> {
    if field.value.is_null() {
        *transcription = Transcription::default();
        return Ok(());
    }
    for (name, field) in field.members()? {
        match name {
            "model" => transcription.model = field.text()?.map(str::to_owned),
            "language" => transcription.language = field.text()?.map(str::to_owned),
            "languages" => transcription.languages = field.texts()?,
            "keywords" => transcription.keywords = keywords(&field)?,
            "prompt" => transcription.prompt = prompt(&field)?,
            "delay" => transcription.delay = delay(&field)?,
            _ => {}
        }
    }
    Ok(())
}

fn keywords(field: &Field<'_>) -> Result<Vec<String>> {
    let (keywords, (most, longest)) = (field.texts()?, KEYWORDS);
    if keywords.len() > most || keywords.iter().any(|it| it.chars().count() > longest) {
        return Err(field.wrong(format!("There may be up to {most} keywords of up to {longest} characters.")));
    }
    Ok(keywords)
}

fn prompt(field: &Field<'_>) -> Result<Option<String>> {
    let prompt = field.text()?.filter(|prompt| !prompt.is_empty());
    if prompt.is_some_and(|prompt| prompt.chars().count() > LONGEST_PROMPT) {
        return Err(field.wrong(format!("A prompt has at most {LONGEST_PROMPT} characters.")));
    }
    Ok(prompt.map(str::to_owned))
}

/// A word of OpenAI's, or milliseconds.
fn delay(field: &Field<'_>) -> Result<Option<Delay>> {
    let milliseconds = match field.value {
        Value::Null => return Ok(None),
        Value::Number(_) => field.milliseconds(0..=10_000)?.unwrap_or_default(),
        _ => match field.text()? {
            Some("minimal") => 0,
            Some("low") => 250,
            Some("medium") => 500,
            Some("high") => 1_000,
            Some("xhigh") => 2_000,
            _ => {
                let message = "`delay` is `minimal`, `low`, `medium`, `high`, `xhigh`, or a number of milliseconds.";
                return Err(field.wrong(message));
            }
        },
    };
    Ok(Some(Delay { given: field.value.clone(), length: Duration::from_millis(milliseconds) }))
}

/// Clients may ask for less noise, which recognition does not need here; that nothing is done about it they are told.
fn check_noise_reduction(field: &Field<'_>) -> Result<()> {
    for (name, field) in field.members()? {
        if name == "type" && !matches!(field.text()?, Some("near_field" | "far_field") | None) {
            return Err(field.wrong("The type of a noise reduction is `near_field` or `far_field`."));
        }
    }
    Ok(())
}

fn includes_logprobs(field: &Field<'_>) -> Result<bool> {
    let included = field.texts()?;
    if let Some(other) = included.iter().find(|it| *it != LOGPROBS) {
        return Err(field.wrong(format!("`include` may hold `{LOGPROBS}`, not `{other}`.")));
    }
    Ok(!included.is_empty())
}

fn merge_turns(session: &mut Session, field: &Field<'_>) -> Result<()> {
    if field.value.is_null() {
        session.turn_detection = Some(TurnDetection::None);
        return Ok(());
    }
    let members = field.members()?;
    let mut kind = None;
    for (_, field) in members.iter().filter(|(name, _)| *name == "type") {
        kind = field.text()?;
    }
    let turns = match (kind, session.turns()) {
        (Some("server_vad"), TurnDetection::Server(vad)) | (None, TurnDetection::Server(vad)) => {
            TurnDetection::Server(merge_vad(vad, &members)?)
        }
        (Some("server_vad"), _) => TurnDetection::Server(merge_vad(ServerVad::default(), &members)?),
        (Some("semantic_vad"), TurnDetection::Semantic(eagerness)) | (None, TurnDetection::Semantic(eagerness)) => {
            TurnDetection::Semantic(merge_eagerness(eagerness, &members)?)
        }
        (Some("semantic_vad"), _) => TurnDetection::Semantic(merge_eagerness(Eagerness::Auto, &members)?),
        _ => {
            let message = "The type of turn detection is `server_vad` or `semantic_vad`, or it is null.";
            return Err(Error::invalid(format!("{}.type", field.path), message).with_code("invalid_value"));
        }
    };
    session.turn_detection = Some(turns);
    Ok(())
}

/// What makes or interrupts responses is as it is: there are none.
fn merge_vad(mut vad: ServerVad, members: &[(&str, Field<'_>)]) -> Result<ServerVad> {
    let usual = ServerVad::default();
    for (name, field) in members {
        match *name {
            "threshold" => vad.threshold = field.number(0.0..=1.0)?.unwrap_or(usual.threshold),
            "prefix_padding_ms" => {
                vad.prefix_padding_ms = field.milliseconds(0..=5_000)?.unwrap_or(usual.prefix_padding_ms);
            }
            "silence_duration_ms" => {
                let asked = field.milliseconds(0..=10_000)?.unwrap_or(usual.silence_duration_ms);
                vad.silence_duration_ms = asked.max(SHORTEST_SILENCE.as_millis() as u64);
            }
            "idle_timeout_ms" => vad.idle_timeout_ms = field.milliseconds(5_000..=30_000)?,
            _ => {}
        }
    }
    Ok(vad)
}

/// What measures silence has no meaning here; clients send it all the same, and see that it is not among the settings.
fn merge_eagerness(mut eagerness: Eagerness, members: &[(&str, Field<'_>)]) -> Result<Eagerness> {
    for (name, field) in members {
        if *name == "eagerness" {
            eagerness = match field.text()? {
                Some("low") => Eagerness::Low,
                Some("medium") => Eagerness::Medium,
                Some("high") => Eagerness::High,
                Some("auto") | None => Eagerness::Auto,
                Some(_) => return Err(field.wrong("`eagerness` is `low`, `medium`, `high` or `auto`.")),
            };
        }
    }
    Ok(eagerness)
}

#[cfg(test)]
mod tests;
