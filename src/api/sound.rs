//! Speech as the body of an answer, whatever the dialect of the request: it begins when its first bytes exist, so a
//! failure before that still has a status.

use crate::app::App;
use crate::audio::encode::Output;
use crate::engine::SpeakOptions;
use crate::engine::pool::Priority;
use crate::error::{Error, Kind, Result};
use crate::speech::live::LiveVoice;
use crate::speech::script::{self, Part, Script};
use crate::speech::speak::{Encoded, OUTPUT_SAMPLE_RATE, Request, Said, TimedWord, bytes, encode, speak};
use crate::telemetry;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use std::time::Instant;

/// What a request asks to be said, and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The model or alias that the client named.
    pub model: String,
    /// The voice that the client named; without one the model's default speaks.
    pub voice: Option<String>,
    /// The language of the text, as a tag.
    pub language: Option<String>,
    /// The text: plain, or SSML.
    pub text: String,
    /// What the dialect calls the text, for errors.
    pub param: &'static str,
    /// Speaking rate, `0.25..=4`.
    pub speed: f32,
    /// Factor of the pitch, `0.5..=2`.
    pub pitch: f32,
    /// Factor of the loudness.
    pub volume: f32,
}

impl Ask {
    /// Asks `model` to say `text`, which the dialect calls `param`, in its own way.
    pub fn new(model: impl Into<String>, text: impl Into<String>, param: &'static str) -> Self {
        let (model, text) = (model.into(), text.into());
        Self { model, voice: None, language: None, text, param, speed: 1.0, pitch: 1.0, volume: 1.0 }
    }
}

/// An answer that has begun.
pub struct Sound {
    /// What people would read of the text: [`TimedWord::text`] is in it.
    pub text: Arc<str>,
    /// The id of the model that speaks.
    pub model: String,
    /// The file as it is written, and the times of its words. The first item is there already.
    pub encoded: BoxStream<'static, Result<Encoded>>,
}

impl Sound {
    /// Only the bytes of the file.
    pub fn bytes(self) -> BoxStream<'static, Result<Bytes>> {
        bytes(self.encoded).boxed()
    }
}

/// The writer's own word at `word`, without marks around it.
pub fn word_of<'a>(text: &'a str, word: &TimedWord) -> &'a str {
    let found = text.get(word.text.clone()).unwrap_or_default();
    found.trim_matches(|c: char| c.is_whitespace())
}

/// Begins to speak. `begun` is when the request came.
///
/// # Errors
/// As [`crate::models::registry::Registry::speaker`] for the model and the voices; `InvalidRequest` (param
/// [`Ask::param`]) for markup that is wrong; what goes wrong before the first byte. Later errors are items, after which
/// the stream ends.
///
/// # Cancel safety
/// Dropping the future or the stream cancels what the engine works on.
pub async fn begin_sound(app: &App, ask: Ask, output: impl Into<Output>, begun: Instant) -> Result<Sound> {
    let output = output.into();
    let sample_rate = output.sample_rate.unwrap_or(OUTPUT_SAMPLE_RATE);
    let (model, request) = understand(app, ask, sample_rate)?;
    let text: Arc<str> = request.script.text.as_str().into();
    let pool = app.models.synthesizer(&model).await?;
    let speech = speak(pool, request, Priority::Interactive).inspect_ok(|said| {
        if let Said::Sound(block) = said {
            telemetry::audio_seconds("out", block.duration());
        }
    });
    let mut encoded = encode(speech, output).boxed();
    let first = encoded.next().await.transpose()?;
    telemetry::first_byte(begun.elapsed());
    let encoded = futures::stream::iter(first.map(Ok)).chain(encoded).boxed();
    Ok(Sound { text, model, encoded })
}

/// Who speaks a text that is still being written, as `ask` says, whose own text is not said.
///
/// # Errors
/// As [`begin_sound`], for what goes wrong before the first byte.
pub async fn live_voice(app: &App, ask: Ask, output: Output) -> Result<LiveVoice> {
    let (volume, sample_rate) = (ask.volume, output.sample_rate.unwrap_or(OUTPUT_SAMPLE_RATE));
    let (model, request) = understand(app, Ask { text: String::new(), ..ask }, sample_rate)?;
    let pool = app.models.synthesizer(&model).await?;
    Ok(LiveVoice { pool, request, volume, output, priority: Priority::Realtime, patience: None })
}

/// The model that is to speak and what it is to say.
fn understand(app: &App, ask: Ask, sample_rate: u32) -> Result<(String, Request)> {
    let speaker = app.models.speaker(&ask.model, ask.voice.as_deref(), ask.language.as_deref())?;
    let mut script = script::parse(ask.text).map_err(|error| match error.param() {
        Some(_) => error.with_param(ask.param),
        None => error,
    })?;
    give_voices(app, &mut script, speaker.model.model_id())?;
    for part in &mut script.parts {
        if let Part::Say(run) = part {
            run.style.volume *= ask.volume;
        }
    }
    let language = ask.language.clone().unwrap_or(speaker.language);
    let options =
        SpeakOptions { voice: speaker.voice, language: ask.language, speed: ask.speed, pitch: ask.pitch, soon: true };
    let lexicon = app.lexicon.clone();
    Ok((
        speaker.model.model_id().to_owned(),
        Request { script, options, language, lexicon, sample_rate, goes_on: false },
    ))
}

/// Puts the engine's own voices in the place of those that the script names.
fn give_voices(app: &App, script: &mut Script, model: &str) -> Result<()> {
    for part in &mut script.parts {
        let Part::Say(run) = part else { continue };
        let Some(named) = run.style.voice.take() else { continue };
        let speaker = app.models.speaker(model, Some(&named), run.style.language.as_deref())?;
        if speaker.model.model_id() != model {
            let message = format!("The voice '{named}' is not one of the model '{model}', which speaks the rest.");
            return Err(Error::invalid("voice", message));
        }
        run.style.voice = Some(speaker.voice);
    }
    Ok(())
}

/// Tells the log of a failure that no status tells any more.
pub fn log_late(error: &Error) {
    if error.kind() != Kind::Cancelled {
        tracing::error!(%error, "speech failed after its answer had begun");
    }
}
