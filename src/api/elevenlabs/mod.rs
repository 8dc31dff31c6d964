//! ElevenLabs' dialect: `/v1/text-to-speech`. It translates; `speech` and `models` decide.

pub mod error;
mod output;
pub mod speech;

/// The routes that speak begin so, and go on with the id of a voice.
pub const SPEAK: &str = "/v1/text-to-speech/";
