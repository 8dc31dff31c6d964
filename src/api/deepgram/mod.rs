//! Deepgram's dialect: `/v1/listen`. It translates; `speech` and `models` decide.

pub mod callback;
pub mod error;
pub mod listen;
pub mod models;
mod paragraphs;
mod query;
mod replace;
mod response;
mod spoken;

pub use response::timestamp;

/// The route that transcribes recordings.
pub const LISTEN: &str = "/v1/listen";
