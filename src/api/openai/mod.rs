//! OpenAI's dialect: `/v1/audio/*`, `/v1/realtime` and `/v1/models`. It translates; `speech` and `models` decide.

mod chunking_strategy;
pub mod client_secrets;
mod instructions;
mod known_speakers;
pub mod models;
pub mod realtime;
mod speaker_names;
pub mod speech;
mod speech_events;
mod speech_form;
pub mod transcript_body;
mod transcript_events;
mod transcription_form;
pub mod transcriptions;
mod usage;
