//! ElevenLabs' dialect: its lists of voices and models. It translates; `models` decides.

pub mod models;
pub mod voices;
