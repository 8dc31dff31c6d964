//! Voice prints from speaker embeddings in ONNX: models of the WeSpeaker and 3D-Speaker kind, which take mel bands and
//! answer with a vector. With a segmentation model beside it, voices that speak at once are told apart too.

use super::fbank::{BANDS, FRAME, Fbank, Frame, HOP, Taper};
use super::segmentation::{Segmentation, Voice};
use super::unit;
use super::windows::{self, Window};
use crate::audio::Pcm;
use crate::config::EngineConfig;
use crate::engine::onnx::{Input, Model, Port, Session};
use crate::engine::{Cancel, Diarizer, Factory, Load, VoicePrint, Weights};
use crate::error::{Error, Kind, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The file of the embedding model in a folder of two models.
const EMBEDDING: &str = "embedding.onnx";

/// The file of the segmentation model in a folder of two models.
const SEGMENTATION: &str = "segmentation.onnx";

/// Samples between windows: 0.75 s. A ResNet34 takes about a twentieth of real time so, on one core.
const WINDOW_HOP: usize = 12_000;

/// Fewer frames, 0.3 s, do not make an embedding.
const FEWEST_FRAMES: usize = 30;

/// See [`Diarizer::same_voice`]. The models are trained for longer windows, in which one voice is more like itself; this
/// is what their makers' diarization examples use for short ones.
const SAME_VOICE: f32 = 0.5;

/// Loads the models and returns what makes the engines.
///
/// # Errors
/// `Unavailable` without the ONNX Runtime, with how to get it; for a model that does not load; and for one that does not
/// take what speaker models take.
pub fn load(load: &Load<'_>) -> Result<Factory<dyn Diarizer>> {
    let files = Files::of(load.weights)?;
    let config = load.config.clone();
    // The cache is a folder of the data folder.
    let data_dir = load.cache_dir.parent().unwrap_or(load.cache_dir).to_owned();
    Ok(Box::new(move || Ok(Box::new(Neural::open(&files, &config, &data_dir)?))))
}

/// Where the models are.
struct Files {
    embedding: PathBuf,
    segmentation: Option<PathBuf>,
}

impl Files {
    fn of(weights: &Weights) -> Result<Self> {
        match weights {
            Weights::File(path) if path.is_dir() => {
                let segmentation = Some(path.join(SEGMENTATION)).filter(|path| path.is_file());
                Ok(Self { embedding: path.join(EMBEDDING), segmentation })
            }
            Weights::File(path) => Ok(Self { embedding: path.clone(), segmentation: None }),
            Weights::Embedded(_) | Weights::BuiltIn => {
                Err(Error::new(Kind::Unavailable, "a speaker model is a file, or a folder of two files"))
            }
        }
    }
}

/// One slot.
struct Neural {
    embedder: Embedder,
    segmentation: Option<Segmentation>,
}

impl Neural {
    fn open(files: &Files, config: &EngineConfig, data_dir: &Path) -> Result<Self> {
        let open = |path: &Path| Session::open(&path.display().to_string(), Model::File(path), config, data_dir);
        let embedder = Embedder::new(open(&files.embedding)?)?;
        let segmentation = match &files.segmentation {
            Some(path) => Some(Segmentation::new(open(path)?)?),
            None => None,
        };
        Ok(Self { embedder, segmentation })
    }

    /// Whose voice is where: with a segmentation model its voices, else everything the voice activity detector hears,
    /// as one voice each.
    fn stretches(&mut self, samples: &[f32], cancel: &Cancel<'_>) -> Result<Vec<Voice>> {
        match &mut self.segmentation {
            Some(segmentation) => segmentation.voices(samples, cancel),
            None => {
                let stretches = windows::speech(samples).into_iter();
                Ok(stretches.map(|stretch| Voice { alone: vec![stretch.clone()], stretches: vec![stretch] }).collect())
            }
        }
    }
}

impl Diarizer for Neural {
    fn voices(&mut self, audio: &Pcm, cancel: &Cancel<'_>) -> Result<Vec<VoicePrint>> {
        let mut prints = Vec::new();
        let bands = self.embedder.fbank.compute(&audio.samples);
        for voice in self.stretches(&audio.samples, cancel)? {
            for window in voice.stretches.iter().flat_map(|stretch| windows::over(stretch, WINDOW_HOP)) {
                if cancel.is_cancelled() {
                    return Err(Error::new(Kind::Cancelled, "nobody waits for the voices"));
                }
                if let Some(frames) = frames_of(&voice, &window, &bands) {
                    prints.push(window.print(self.embedder.embed(&frames)?));
                }
            }
        }
        prints.sort_by_key(|print| print.start);
        Ok(prints)
    }

    fn same_voice(&self) -> f32 {
        SAME_VOICE
    }
}

/// The frames that describe `voice` in `window`: where it speaks alone there; if that is too little, where it speaks
/// alone elsewhere; if that is too little too, all of the window. `None` when even that is too little.
fn frames_of<'a>(voice: &Voice, window: &Window, bands: &'a [Frame]) -> Option<Vec<&'a Frame>> {
    let alone = |within: &Range<usize>| -> Vec<&'a Frame> {
        let parts = voice.alone.iter().map(|part| part.start.max(within.start)..part.end.min(within.end));
        parts.flat_map(|part| frames_in(&part, bands)).collect()
    };
    let choices = [alone(&window.heard), alone(&(0..usize::MAX)), frames_in(&window.heard, bands).iter().collect()];
    choices.into_iter().find(|frames| frames.len() >= FEWEST_FRAMES)
}

/// The frames that lie in the samples `part`.
fn frames_in<'a>(part: &Range<usize>, bands: &'a [Frame]) -> &'a [Frame] {
    let start = part.start.div_ceil(HOP);
    let end = (part.end.saturating_sub(FRAME) / HOP + 1).min(bands.len());
    if part.end < part.start + FRAME || start >= end { &[] } else { &bands[start..end] }
}

/// The embedding model.
struct Embedder {
    session: Session,
    input: String,
    output: String,
    fbank: Fbank,
}

impl Embedder {
    fn new(session: Session) -> Result<Self> {
        let unfit = |reason: &str| {
            let message = format!("{} is not a speaker model that works here: {reason}", session.name());
            Error::new(Kind::Unavailable, message)
        };
        let inputs = session.inputs();
        let [input] = inputs.as_slice() else { return Err(unfit("it must have one input")) };
        if !takes_bands(input) {
            return Err(unfit("it must take 80 mel bands, `[batch, frames, 80]`; models that take sound do not work"));
        }
        let outputs = session.outputs();
        let one_vector = |output: &&Port| output.is_float() && output.shape.len() <= 2;
        let output = outputs.first().filter(one_vector).ok_or_else(|| unfit("it must answer with one vector"))?;
        // WeSpeaker calls its input so and fades frames in its own way; all others do it as Kaldi does.
        let taper = if input.name == "feats" { Taper::Hamming } else { Taper::Povey };
        let (input, output) = (input.name.clone(), output.name.clone());
        Ok(Self { session, input, output, fbank: Fbank::new(taper) })
    }

    /// The embedding of the voice in `frames`, of length 1. The mean of each band, which is also that of the microphone,
    /// is taken out.
    fn embed(&mut self, frames: &[&Frame]) -> Result<Vec<f32>> {
        let mean: Frame = std::array::from_fn(|band| {
            frames.iter().map(|frame| frame[band]).sum::<f32>() / frames.len().max(1) as f32
        });
        let values: Vec<f32> =
            frames.iter().flat_map(|frame| (0..BANDS).map(|band| frame[band] - mean[band])).collect();
        let input = Input::Floats(&[1, frames.len(), BANDS], &values);
        let embedding = self.session.run(&[(&self.input, input)], &self.output)?.values;
        if embedding.is_empty() || embedding.iter().any(|value| !value.is_finite()) {
            let message = format!("the ONNX model {} gave no usable embedding", self.session.name());
            return Err(Error::new(Kind::Internal, message));
        }
        Ok(unit(embedding))
    }
}

fn takes_bands(input: &Port) -> bool {
    input.is_float() && matches!(input.shape.as_slice(), [_, _, bands] if bands.is_none_or(|bands| bands == BANDS))
}

#[cfg(test)]
mod tests;
