//! ElevenLabs' dialect: `/v1/text-to-speech`, and its lists of voices and models. It translates; `speech` and `models`
//! decide.

mod alignment;
pub mod error;
pub mod live;
pub mod models;
mod output;
pub mod speech;
pub mod timestamps;
pub mod voices;

/// The routes that speak begin so, and go on with the id of a voice.
pub const SPEAK: &str = "/v1/text-to-speech/";
