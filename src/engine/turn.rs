//! Whether a speaker has finished, by how they sound: Smart-Turn in ONNX, or any model that takes what it takes.

mod mel;

use super::onnx::{Input, Model, Port, Session};
use super::{Cancel, Factory, Load, SPEECH_SAMPLE_RATE, TurnDetector, Weights};
use crate::audio::Pcm;
use crate::config::EngineConfig;
use crate::error::{Error, Kind, Result};
use mel::{BANDS, HOP, Mel};
use std::path::Path;

/// How much the model listens to: 8 s.
const SAMPLES: usize = 8 * SPEECH_SAMPLE_RATE as usize;

/// Frames in that.
const FRAMES: usize = SAMPLES / HOP;

/// Loads the model and returns what makes the engines.
///
/// # Errors
/// `Unavailable` without the ONNX Runtime, with how to get it; for a model that does not load; and for one that does not
/// take what Smart-Turn takes.
pub fn load(load: &Load<'_>) -> Result<Factory<dyn TurnDetector>> {
    let Weights::File(path) = load.weights else {
        return Err(Error::new(Kind::Unavailable, "a turn model is a file"));
    };
    // Ten milliseconds on one core: waking more takes longer than they save.
    let (path, config) = (path.clone(), EngineConfig { threads: 1, ..load.config.clone() });
    // The cache is a folder of the data folder.
    let data_dir = load.cache_dir.parent().unwrap_or(load.cache_dir).to_owned();
    Ok(Box::new(move || Ok(Box::new(SmartTurn::open(&path, &config, &data_dir)?))))
}

/// One slot.
struct SmartTurn {
    session: Session,
    input: String,
    output: String,
    mel: Mel,
}

impl SmartTurn {
    fn open(path: &Path, config: &EngineConfig, data_dir: &Path) -> Result<Self> {
        let session = Session::open(&path.display().to_string(), Model::File(path), config, data_dir)?;
        let (inputs, outputs) = (session.inputs(), session.outputs());
        match (inputs.as_slice(), outputs.as_slice()) {
            ([input], [output, ..]) if takes_bands(input) && output.is_float() => {
                let (input, output) = (input.name.clone(), output.name.clone());
                Ok(Self { session, input, output, mel: Mel::new() })
            }
            _ => {
                let message = format!(
                    "{} is not a turn model that works here: it must take Whisper's bands, `[batch, {BANDS}, {FRAMES}]`, and \
                     answer with a probability, as Smart-Turn v3 does",
                    session.name()
                );
                Err(Error::new(Kind::Unavailable, message))
            }
        }
    }
}

impl TurnDetector for SmartTurn {
    fn finished(&mut self, audio: &Pcm, cancel: &Cancel<'_>) -> Result<f32> {
        let bands = self.mel.compute(&window(&audio.samples));
        let input = Input::Floats(&[1, BANDS, FRAMES], &bands);
        let answer = self.session.run_until(&[(&self.input, input)], &self.output, cancel)?;
        match answer.values.first() {
            Some(probability) if (0.0..=1.0).contains(probability) => Ok(*probability),
            _ => {
                let message = format!("the ONNX model {} gave no probability", self.session.name());
                Err(Error::new(Kind::Internal, message))
            }
        }
    }
}

fn takes_bands(input: &Port) -> bool {
    let fits = |size: &Option<usize>, wanted: usize| size.is_none_or(|size| size == wanted);
    input.is_float()
        && matches!(input.shape.as_slice(), [_, bands, frames] if fits(bands, BANDS) && fits(frames, FRAMES))
}

/// The last 8 s of `samples` with silence in front of what is shorter, all of it moved and scaled to a mean of 0 and a
/// variance of 1.
fn window(samples: &[f32]) -> Vec<f32> {
    const LEAST_VARIANCE: f64 = 1e-7;
    let last = &samples[samples.len().saturating_sub(SAMPLES)..];
    let mut window = vec![0.0; SAMPLES - last.len()];
    window.extend_from_slice(last);
    let mean = window.iter().map(|sample| f64::from(*sample)).sum::<f64>() / SAMPLES as f64;
    let variance = window.iter().map(|sample| (f64::from(*sample) - mean).powi(2)).sum::<f64>() / SAMPLES as f64;
    let scale = 1.0 / (variance + LEAST_VARIANCE).sqrt();
    window.iter_mut().for_each(|sample| *sample = ((f64::from(*sample) - mean) * scale) as f32);
    window
}

#[cfg(test)]
mod tests;
