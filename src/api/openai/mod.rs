//! OpenAI's dialect: `/v1/audio/*` and `/v1/models`. It translates; `speech` and `models` decide.

pub mod languages;
pub mod models;
pub mod speech;
mod transcript_body;
pub mod transcriptions;
