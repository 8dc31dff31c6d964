//! ElevenLabs' dialect: `/v1/text-to-speech`. It translates; `speech` and `models` decide.

mod alignment;
pub mod error;
pub mod live;
mod output;
pub mod speech;
pub mod timestamps;

/// The routes that speak begin so, and go on with the id of a voice.
pub const SPEAK: &str = "/v1/text-to-speech/";
