//! Telling voices apart: sound becomes [`VoicePrint`]s, by window, over what the voice activity detector calls speech.
//!
//! [`spectral`] needs nothing but this binary; `neural` runs speaker embeddings that were pulled. Which prints are of one speaker is not decided here
//! but in `speech::speakers`.

pub mod fbank;
#[cfg(feature = "onnx")]
pub mod neural;
mod pitch;
#[cfg(feature = "onnx")]
mod segmentation;
pub mod spectral;
mod windows;

#[cfg(doc)]
use super::VoicePrint;

/// `vector` brought to length 1; a vector without any length stays as it is.
fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 && length.is_finite() {
        vector.iter_mut().for_each(|value| *value /= length);
    }
    vector
}
