//! Text to speech with Piper voices: VITS models in ONNX that take phonemes and answer with sound, with a description
//! beside them.

mod description;
mod stretches;

use super::loudness;
use super::onnx::{Input, Model, Numbers, Session};
use super::phonemes::{self, Rules};
use super::{Cancel, Factory, Load, SpeakOptions, Spoken, Synthesizer, Utterance, Voice, Weights};
use crate::audio::Pcm;
use crate::audio::pitch::Change;
use crate::error::{Error, Kind, Result};
use description::{Description, PhonemeType};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stretches::Parts;
use unicode_normalization::UnicodeNormalization;

/// So many phonemes are spoken in one run of the model, some 20 s of speech: what it needs of memory grows with them.
const LONGEST: usize = 300;

/// Speeds that sound natural by the length of the phonemes; the rest is done by stretching.
const SPEEDS: RangeInclusive<f32> = 0.5..=2.0;

/// What a voice says to be heard for the first time: every language has words for it.
const COUNTING: &str = "1, 2, 3, 4, 5, 6.";

/// What a voice says that has nothing to say, in seconds of silence.
const NOTHING: f32 = 0.1;

/// Loads the description and returns what makes the engines.
///
/// # Errors
/// `Unavailable` for files that are no Piper voice, without the ONNX Runtime, with how to get it, and without
/// espeak-ng for a voice that needs its phonemes.
pub fn load(load: &Load<'_>) -> Result<Factory<dyn Synthesizer>> {
    let files = Arc::new(Files::read(load.weights)?);
    let gains = Gains::default();
    let config = load.config.clone();
    let cache_dir = load.cache_dir.to_owned();
    Ok(Box::new(move || {
        let rules = match files.description.phoneme_type {
            PhonemeType::Espeak => Some(phonemes::rules(&cache_dir)?),
            PhonemeType::Text | PhonemeType::Other => None,
        };
        // The cache is a folder of the data folder.
        let data_dir = cache_dir.parent().unwrap_or(&cache_dir);
        let name = files.model.display().to_string();
        let session = Session::open(&name, Model::File(&files.model), &config, data_dir)?;
        let mut piper = Piper::new(files.clone(), session, rules, gains.clone())?;
        // What it takes and answers is known from the whole, which is not needed any more then.
        if let Some(parts) = Parts::open(&files.model, &config, data_dir)? {
            piper.model = Voices::Parts(parts);
        }
        Ok(Box::new(piper))
    }))
}

/// The voices in `weights`; none where there is no Piper voice.
pub fn voices(weights: &Weights) -> Vec<Voice> {
    Files::read(weights).map(|files| files.description.voices(&files.name)).unwrap_or_default()
}

/// A voice on the disk.
struct Files {
    /// The name of the model's file without its ending.
    name: String,
    model: PathBuf,
    description: Description,
}

impl Files {
    fn read(weights: &Weights) -> Result<Self> {
        let model = match weights {
            Weights::File(path) if path.is_dir() => model_in(path)?,
            Weights::File(path) => path.clone(),
            Weights::Embedded(_) | Weights::BuiltIn => {
                return Err(Error::new(Kind::Unavailable, "a Piper voice is a file with its description beside it"));
            }
        };
        let beside = PathBuf::from(format!("{}.json", model.display()));
        let path = [beside.clone(), model.with_extension("json")].into_iter().find(|path| path.is_file());
        let unfit = |path: &Path, reason: &str| {
            Error::new(Kind::Unavailable, format!("{} does not describe a Piper voice: {reason}", path.display()))
        };
        let path = path.ok_or_else(|| unfit(&beside, "it does not exist"))?;
        let text = std::fs::read_to_string(&path).map_err(|e| unfit(&path, &e.to_string()).with_source(e))?;
        let description: Description =
            serde_json::from_str(&text).map_err(|e| unfit(&path, &e.to_string()).with_source(e))?;
        if let Some(fault) = description.fault() {
            return Err(unfit(&path, fault));
        }
        let name = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, model, description })
    }

    /// The number of the speaker of the voice `id`: `NAME`, `NAME#speaker`, or nothing in particular.
    fn speaker(&self, id: &str) -> Result<i64> {
        let (name, speaker) = id.split_once('#').map_or((id, None), |(name, speaker)| (name, Some(speaker)));
        let number = match speaker {
            Some(speaker) => self.description.speaker(speaker),
            None => Some(0),
        };
        let is_here = ["", "default"].contains(&id) || name == self.name;
        number.filter(|_| is_here).ok_or_else(|| {
            let voices = self.description.voices(&self.name);
            let some: Vec<&str> = voices.iter().take(5).map(|voice| voice.id.as_str()).collect();
            Error::invalid("voice", format!("the voice `{id}` does not exist here; {} does", some.join(", ")))
        })
    }
}

/// The one model in `folder`.
fn model_in(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut models: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "onnx")).collect();
    match (models.pop(), models.is_empty()) {
        (Some(model), true) => Ok(model),
        (None, _) => Err(Error::new(Kind::Unavailable, format!("there is no .onnx file in {}", folder.display()))),
        (Some(_), false) => {
            Err(Error::new(Kind::Unavailable, format!("there is more than one .onnx file in {}", folder.display())))
        }
    }
}

/// What brings each speaker of a voice to the common loudness, once it has been heard; shared by all slots.
type Gains = Arc<Mutex<HashMap<i64, f32>>>;

/// A voice's model in memory.
enum Voices {
    /// In one.
    Whole { session: Session, output: String },
    /// In two parts, for the first sound to be there early.
    Parts(Parts),
}

/// One slot.
struct Piper {
    files: Arc<Files>,
    model: Voices,
    gains: Gains,
    /// Whether the model wants to know who speaks.
    has_speakers: bool,
    /// `None` for a voice that takes letters.
    rules: Option<Box<dyn Rules>>,
}

impl Piper {
    fn new(files: Arc<Files>, session: Session, rules: Option<Box<dyn Rules>>, gains: Gains) -> Result<Self> {
        let unfit = |reason: &str| {
            let message = format!("{} is not a Piper voice that works here: {reason}", session.name());
            Error::new(Kind::Unavailable, message)
        };
        let inputs = session.inputs();
        let takes = |name: &str, numbers| inputs.iter().any(|port| port.name == name && port.numbers == numbers);
        if !takes("input", Numbers::Integer)
            || !takes("input_lengths", Numbers::Integer)
            || !takes("scales", Numbers::Float)
        {
            return Err(unfit("it must take `input`, `input_lengths` and `scales`"));
        }
        let outputs = session.outputs();
        let sound = outputs.first().filter(|port| port.is_float());
        let output = sound.ok_or_else(|| unfit("it must answer with sound"))?.name.clone();
        let has_speakers = takes("sid", Numbers::Integer);
        Ok(Self { files, model: Voices::Whole { session, output }, gains, has_speakers, rules })
    }

    /// What to say, sentence by sentence.
    fn sentences(&mut self, utterance: &Utterance, language: Option<&str>) -> Result<Vec<String>> {
        let description = &self.files.description;
        let own = description.language();
        let cannot =
            |tag: &str| Error::invalid("language", format!("the voice `{}` cannot speak `{tag}`", self.files.name));
        match &mut self.rules {
            Some(rules) => {
                let known = |tag: &str| rules.language(tag, description.espeak_voice()).ok_or_else(|| cannot(tag));
                let language = language.map_or_else(|| known(description.espeak_voice()), known)?;
                phonemes::sentences(rules.as_mut(), utterance, &language)
            }
            None => match language.filter(|tag| !same_language(tag, &own)) {
                Some(tag) => Err(cannot(tag)),
                None => Ok(vec![utterance.text.nfd().collect()]),
            },
        }
    }

    /// Hands out the sound of `phonemes` as the model makes it.
    fn speak(
        &mut self,
        phonemes: &str,
        (speaker, speed, soon): (i64, f32, bool),
        cancel: &Cancel<'_>,
        out: &mut dyn FnMut(Vec<f32>) -> Result<()>,
    ) -> Result<()> {
        let description = &self.files.description;
        let (ids, unknown) = description.ids(phonemes);
        if unknown > 0 {
            tracing::debug!(voice = self.files.name, unknown, "phonemes that the voice does not know are left out");
        }
        let scales = description.inference;
        let (shape, length) = ([1, ids.len()], [ids.len() as i64]);
        let scales = [scales.noise_scale, scales.length_scale / speed, scales.noise_w];
        let mut inputs = vec![
            ("input", Input::Integers(&shape, &ids)),
            ("input_lengths", Input::Integers(&[1], &length)),
            ("scales", Input::Floats(&[3], &scales)),
        ];
        let speaker = [speaker];
        if self.has_speakers {
            inputs.push(("sid", Input::Integers(&[1], &speaker)));
        }
        let name = &self.files.name;
        let mut checked = |samples: Vec<f32>| {
            if samples.iter().any(|sample| !sample.is_finite()) {
                return Err(Error::new(Kind::Internal, format!("the voice `{name}` gave no usable sound")));
            }
            out(samples)
        };
        match &mut self.model {
            Voices::Whole { session, output } => checked(session.run_until(&inputs, output, cancel)?.values),
            Voices::Parts(parts) => parts.speak(&inputs, soon, cancel, &mut checked),
        }
    }

    /// What brings `speaker` to the common loudness. It is heard once, as it counts, so that every sentence after that
    /// has the same: short ones and loud ones stay what they are.
    fn gain(&mut self, speaker: i64, cancel: &Cancel<'_>) -> Result<f32> {
        let known = lock(&self.gains).get(&speaker).copied();
        if let Some(gain) = known {
            return Ok(gain);
        }
        let mut heard = Vec::new();
        for sentence in self.sentences(&COUNTING.into(), None)? {
            self.speak(&sentence, (speaker, 1.0, false), cancel, &mut |samples| {
                heard.extend(samples);
                Ok(())
            })?;
        }
        let gain = loudness::gain(&heard, self.files.description.sample_rate());
        lock(&self.gains).insert(speaker, gain);
        Ok(gain)
    }
}

impl Synthesizer for Piper {
    fn synthesize(
        &mut self,
        utterance: &Utterance,
        options: &SpeakOptions,
        cancel: &Cancel<'_>,
        out: &mut dyn FnMut(Spoken) -> Result<()>,
    ) -> Result<()> {
        let speaker = self.files.speaker(&options.voice)?;
        let sample_rate = self.files.description.sample_rate();
        let sentences = self.sentences(utterance, options.language.as_deref())?;
        let natural = options.speed.clamp(*SPEEDS.start(), *SPEEDS.end());
        let longest = (LONGEST as f32 * natural.min(1.0)) as usize;
        let gain = self.gain(speaker, cancel)?;
        let mut change = Change::new(sample_rate, options.speed / natural, options.pitch)?;
        let mut given = false;
        let mut give = |mut samples: Vec<f32>| {
            loudness::amplify(&mut samples, gain);
            given |= !samples.is_empty();
            if samples.is_empty() { Ok(()) } else { out(Spoken::Sound(Pcm::new(samples, sample_rate))) }
        };
        let pieces = sentences.iter().flat_map(|sentence| phonemes::pieces(sentence, longest));
        for (number, piece) in pieces.enumerate() {
            let soon = options.soon && number == 0;
            self.speak(piece, (speaker, natural, soon), cancel, &mut |samples| give(change.push(samples)))?;
        }
        give(change.finish())?;
        if given {
            return Ok(());
        }
        out(Spoken::Sound(Pcm::new(vec![0.0; (sample_rate as f32 * NOTHING) as usize], sample_rate)))
    }
}

/// A panic while the lock was held leaves nothing half done here, so its poison is of no interest.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether two tags mean the same language, whatever the region.
fn same_language(one: &str, other: &str) -> bool {
    let language = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_lowercase();
    language(one) == language(other)
}

#[cfg(test)]
mod tests;
