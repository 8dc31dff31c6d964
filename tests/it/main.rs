//! The integration tests: one binary, one file per thing a user can do.

mod app;
mod architecture;
mod cartesia;
mod cli;
mod damaged;
mod deepgram;
mod deepgram_speak;
mod deepgram_speak_live;
#[cfg(feature = "espeak")]
mod der;
#[cfg(feature = "espeak")]
mod diarization;
mod disconnects;
mod elevenlabs;
mod fake;
mod fetch;
mod flux;
#[cfg(feature = "espeak")]
mod hostile_text;
mod isolation;
mod jobs;
#[cfg(feature = "espeak")]
mod joins;
mod listen_live;
mod models;
#[cfg(feature = "nats")]
mod nats;
mod pull;
mod realtime;
mod server;
mod socket;
mod sound;
mod speech;
mod speech_times;
mod tokens;
mod transcription;
mod transcription_fields;
#[cfg(feature = "espeak")]
mod transcription_speakers;
