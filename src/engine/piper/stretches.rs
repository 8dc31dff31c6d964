//! Sound stretch by stretch: the front of a voice runs once for an utterance, its vocoder for a few frames at a time. So
//! the first sound is there long before the last, and is the same as if all were made at once.

use crate::config::EngineConfig;
use crate::engine::Cancel;
use crate::engine::onnx::split::before_vocoder;
use crate::engine::onnx::{Input, Model, Output, Session};
use crate::error::{Error, Kind, Result};
use std::ops::Range;
use std::path::Path;

/// So many frames on either side of a stretch have a part in its sound: as far as the convolutions of the largest public
/// vocoders reach. A frame is 256 samples, some 12 ms.
const CONTEXT: usize = 16;

/// How many frames the first stretch has: it is what one waits for.
const FIRST: usize = 24;

/// Each stretch is so many times as long as the one before: while that one sounds there is time for it, and what is made
/// twice where two stretches meet becomes less.
const GROWTH: usize = 4;

/// A voice in two parts.
pub(super) struct Parts {
    front: Session,
    vocoder: Session,
    /// The names of the values between them, the frames first.
    cut: Vec<String>,
    /// The name of the vocoder's answer.
    output: String,
}

impl Parts {
    /// Loads the model at `path` in two parts; nothing when it cannot be cut.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open(path: &Path, config: &EngineConfig, data_dir: &Path) -> Result<Option<Self>> {
        let name = path.display().to_string();
        let model = std::fs::read(path)
            .map_err(|e| Error::new(Kind::Unavailable, format!("{name} cannot be read: {e}")).with_source(e))?;
        let Some(split) = before_vocoder(&model) else { return Ok(None) };
        drop(model);
        let front = Session::open(&name, Model::Bytes(&split.front), config, data_dir)?;
        let vocoder = Session::open(&name, Model::Bytes(&split.vocoder), config, data_dir)?;
        let Some(output) = vocoder.outputs().first().map(|port| port.name.clone()) else { return Ok(None) };
        Ok(Some(Self { front, vocoder, cut: split.cut, output }))
    }

    /// Runs the front on `inputs`, by name, and hands out the sound of its frames: in stretches when the first of it is
    /// wanted `soon`, else in one.
    ///
    /// # Errors
    /// As [`Session::run_until`]; an error from `out` stops the work and is returned.
    pub fn speak(
        &mut self,
        inputs: &[(&str, Input<'_>)],
        soon: bool,
        cancel: &Cancel<'_>,
        out: &mut dyn FnMut(Vec<f32>) -> Result<()>,
    ) -> Result<()> {
        let names: Vec<&str> = self.cut.iter().map(String::as_str).collect();
        let mut values = self.front.run_all(inputs, &names, cancel)?;
        let others = values.split_off(1);
        let frames = values.pop().filter(|frames| matches!(frames.shape[..], [1, _, _]));
        let Some(frames) = frames else { return Err(self.unusable()) };
        let count = frames.shape[2];
        let (mut at, mut length) = (0, if soon { FIRST } else { count });
        while at < count {
            // No short rest at the end.
            let end = if count - at < length + length / 2 { count } else { at + length };
            out(self.stretch(&frames, at..end, &others, cancel)?)?;
            (at, length) = (end, length * GROWTH);
        }
        Ok(())
    }

    /// The sound of the frames in `stretch`.
    fn stretch(
        &mut self,
        frames: &Output,
        stretch: Range<usize>,
        others: &[Output],
        cancel: &Cancel<'_>,
    ) -> Result<Vec<f32>> {
        let (channels, count) = (frames.shape[1], frames.shape[2]);
        let around = stretch.start.saturating_sub(CONTEXT)..(stretch.end + CONTEXT).min(count);
        let rows = frames.values.chunks(count).flat_map(|row| &row[around.clone()]);
        let (values, shape): (Vec<f32>, _) = (rows.copied().collect(), [1, channels, around.len()]);
        let mut inputs = vec![(self.cut[0].as_str(), Input::Floats(&shape, &values))];
        let named = self.cut.iter().skip(1).zip(others);
        inputs.extend(named.map(|(name, value)| (name.as_str(), Input::Floats(&value.shape, &value.values))));
        let sound = self.vocoder.run_until(&inputs, &self.output, cancel)?.values;
        let samples = sound.len() / around.len();
        if samples * around.len() != sound.len() {
            return Err(self.unusable());
        }
        let start = (stretch.start - around.start) * samples;
        Ok(sound[start..start + stretch.len() * samples].to_vec())
    }

    fn unusable(&self) -> Error {
        Error::new(Kind::Internal, format!("the ONNX model {} gave no usable sound", self.front.name()))
    }
}
