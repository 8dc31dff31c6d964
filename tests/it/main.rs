//! The integration tests: one binary, one file per thing a user can do.

mod app;
mod architecture;
mod cli;
#[cfg(feature = "espeak")]
mod der;
#[cfg(feature = "espeak")]
mod diarization;
mod fake;
mod models;
mod pull;
mod server;
mod speech;
mod transcription;
