//! Text to speech with Kokoro: one StyleTTS2 model in ONNX for all its voices, which are files of styles.

mod symbols;
mod voice_files;

use super::loudness;
use super::onnx::{Input, Model, Numbers, Session};
use super::phonemes::{self, Rules};
use super::{Cancel, Factory, Load, SpeakOptions, Spoken, Synthesizer, Utterance, Voice, Weights};
use crate::audio::Pcm;
use crate::audio::pitch::Change;
use crate::error::{Error, Kind, Result};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use symbols::{Language, language_of, tokens};
use voice_files::{STYLE, Style, VoiceFiles};

/// The rate of everything Kokoro speaks, in hertz.
const SAMPLE_RATE: u32 = 24_000;

/// So many tokens are spoken in one run. The model takes 510, but hurries from 400 on.
const LONGEST: usize = 400;

/// Speeds that sound natural by the model's own means; the rest is done by stretching.
const SPEEDS: RangeInclusive<f32> = 0.5..=2.0;

/// What a voice says that has nothing to say: a tenth of a second of silence.
const NOTHING: usize = SAMPLE_RATE as usize / 10;

/// Reads the voices and returns what makes the engines.
///
/// # Errors
/// `Unavailable` for files that are no Kokoro, without the ONNX Runtime, with how to get it, and in builds without
/// espeak-ng.
pub fn load(load: &Load<'_>) -> Result<Factory<dyn Synthesizer>> {
    let Weights::File(folder) = load.weights else {
        return Err(Error::new(Kind::Unavailable, "Kokoro is a folder with a model and its voices"));
    };
    let files = Arc::new(VoiceFiles::read(folder)?);
    let config = load.config.clone();
    let cache_dir = load.cache_dir.to_owned();
    Ok(Box::new(move || {
        let rules = phonemes::rules(&cache_dir)?;
        // The cache is a folder of the data folder.
        let data_dir: &Path = cache_dir.parent().unwrap_or(&cache_dir);
        let name = files.model().display().to_string();
        let session = Session::open(&name, Model::File(files.model()), &config, data_dir)?;
        Ok(Box::new(Kokoro::new(files.clone(), session, rules)?))
    }))
}

/// The voices in `weights`, of languages that can be spoken; none where there is no Kokoro.
pub fn voices(weights: &Weights) -> Vec<Voice> {
    let Weights::File(folder) = weights else { return Vec::new() };
    let voice = |id: String| {
        let language = language_of(&id)?.tag.to_owned();
        let (_, name) = id.split_once('_')?;
        let name = name.chars().next().map(|first| first.to_uppercase().chain(name.chars().skip(1)).collect())?;
        Some(Voice { id, name, language })
    };
    VoiceFiles::names(folder).into_iter().filter_map(voice).collect()
}

/// One slot.
struct Kokoro {
    files: Arc<VoiceFiles>,
    session: Session,
    /// The name of the input that takes the tokens.
    input: String,
    /// What kind of number the speed is.
    speed: Numbers,
    output: String,
    rules: Box<dyn Rules>,
}

impl Kokoro {
    fn new(files: Arc<VoiceFiles>, session: Session, rules: Box<dyn Rules>) -> Result<Self> {
        let unfit = |reason: &str| {
            let message = format!("{} is not a Kokoro model that works here: {reason}", session.name());
            Error::new(Kind::Unavailable, message)
        };
        let inputs = session.inputs();
        let port = |name: &str| inputs.iter().find(|port| port.name == name);
        let tokens = ["input_ids", "tokens"].into_iter().find_map(port).filter(|it| it.numbers == Numbers::Integer);
        let input = tokens.ok_or_else(|| unfit("it must take `input_ids` or `tokens`"))?.name.clone();
        if !port("style").is_some_and(|style| style.is_float() && style.shape.last() == Some(&Some(STYLE))) {
            return Err(unfit("it must take a `style` of 256 numbers"));
        }
        let speed = port("speed").map(|speed| speed.numbers).filter(|numbers| *numbers != Numbers::Other);
        let speed = speed.ok_or_else(|| unfit("it must take a `speed`"))?;
        let outputs = session.outputs();
        let sound = outputs.first().filter(|port| port.is_float());
        let output = sound.ok_or_else(|| unfit("it must answer with sound"))?.name.clone();
        Ok(Self { files, session, input, speed, output, rules })
    }

    /// The language to speak in: the one that is asked for, else the voice's own.
    fn language(&self, own: &'static Language, asked: Option<&str>) -> Result<&'static Language> {
        let Some(tag) = asked else { return Ok(own) };
        let known = self.rules.language(tag, own.espeak).and_then(|name| Language::called(&name));
        known.ok_or_else(|| {
            let message = format!("Kokoro cannot speak `{tag}`; it speaks {}", Language::tags().join(", "));
            Error::invalid("language", message)
        })
    }

    /// The sound of `tokens`, as loud as every voice. `speed` is one that the model can do.
    fn speak(&mut self, tokens: &[i64], style: &Style, speed: f32, cancel: &Cancel<'_>) -> Result<Vec<f32>> {
        let row = style.for_tokens(tokens.len());
        let padded: Vec<i64> = [&[0], tokens, &[0]].concat();
        let shape = [1, padded.len()];
        let (double, long, short) = ([f64::from(speed)], [speed as i64], [speed as i32]);
        let speed = [speed];
        let speed = match self.speed {
            Numbers::Double => Input::Doubles(&[1], &double),
            Numbers::Integer => Input::Integers(&[1], &long),
            Numbers::ShortInteger => Input::ShortIntegers(&[1], &short),
            Numbers::Float | Numbers::Other => Input::Floats(&[1], &speed),
        };
        let inputs = [
            (self.input.as_str(), Input::Integers(&shape, &padded)),
            ("style", Input::Floats(&[1, STYLE], row)),
            ("speed", speed),
        ];
        let mut samples = self.session.run_until(&inputs, &self.output, cancel)?.values;
        if samples.iter().any(|sample| !sample.is_finite()) {
            let message = format!("the ONNX model {} gave no usable sound", self.session.name());
            return Err(Error::new(Kind::Internal, message));
        }
        loudness::level(&mut samples, SAMPLE_RATE);
        Ok(samples)
    }

    /// The speed nearest to `speed` that the model can do.
    fn natural(&self, speed: f32) -> f32 {
        let natural = speed.clamp(*SPEEDS.start(), *SPEEDS.end());
        let is_whole = matches!(self.speed, Numbers::Integer | Numbers::ShortInteger);
        if is_whole { natural.floor().max(1.0) } else { natural }
    }
}

impl Synthesizer for Kokoro {
    fn synthesize(
        &mut self,
        utterance: &Utterance,
        options: &SpeakOptions,
        cancel: &Cancel<'_>,
        out: &mut dyn FnMut(Spoken) -> Result<()>,
    ) -> Result<()> {
        let files = self.files.clone();
        let (own, style) = files.voice(&options.voice)?;
        let language = self.language(own, options.language.as_deref())?;
        let sentences = phonemes::sentences(self.rules.as_mut(), utterance, language.espeak)?;
        let symbols = symbols::of(&sentences.join(" "), language);
        let natural = self.natural(options.speed);
        let mut change = Change::new(SAMPLE_RATE, options.speed / natural, options.pitch)?;
        let mut given = false;
        let mut give = |samples: Vec<f32>| {
            given |= !samples.is_empty();
            if samples.is_empty() { Ok(()) } else { out(Spoken::Sound(Pcm::new(samples, SAMPLE_RATE))) }
        };
        for piece in phonemes::pieces(&symbols, LONGEST) {
            let (tokens, unknown) = tokens(piece);
            if unknown > 0 {
                tracing::debug!(voice = options.voice, unknown, "phonemes that Kokoro does not know are left out");
            }
            give(change.push(self.speak(&tokens, &style, natural, cancel)?))?;
        }
        give(change.finish())?;
        if given { Ok(()) } else { out(Spoken::Sound(Pcm::new(vec![0.0; NOTHING], SAMPLE_RATE))) }
    }
}

#[cfg(test)]
mod tests;
