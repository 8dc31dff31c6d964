//! Deepgram's dialect: `/v1/listen`, for recordings and live, `/v2/listen` and `/v1/speak`. It translates; `speech` and `models` decide.

pub mod callback;
pub mod error;
pub mod flux;
pub mod grant;
mod hearing;
pub mod listen;
pub mod listen_live;
pub mod models;
mod output;
mod paragraphs;
mod query;
mod replace;
mod response;
pub mod speak;
pub mod speak_live;
mod spoken;

pub use response::timestamp;

/// The route that transcribes recordings, and over a WebSocket what is being said.
pub const LISTEN: &str = "/v1/listen";

/// The route that tells a conversation in turns.
pub const FLUX: &str = "/v2/listen";

/// The route that gives out short-lived tokens.
pub const GRANT: &str = "/v1/auth/grant";

/// The route that speaks.
pub const SPEAK: &str = "/v1/speak";
