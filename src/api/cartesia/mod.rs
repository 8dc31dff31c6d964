//! Cartesia's dialect: `/tts/bytes`, `/tts/sse`, `/tts/websocket` and `/voices`. It translates; `speech` and `models` decide.
//!
//! `Cartesia-Version`, in the header or in the query, may be any: what is asked for tells the versions apart.

pub mod error;
pub mod events;
pub mod live;
mod request;
pub mod speech;
pub mod voices;
