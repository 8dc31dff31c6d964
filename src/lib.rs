//! Mynah: a self-hosted speech server. A recording comes in, text goes out; text comes in, speech goes out.
//!
//! This is the map of the code; the folders are cut where crates would be cut.
//!
//! | module | what it answers |
//! |---|---|
//! | [`error`] | what went wrong, and whose fault it is |
//! | [`transcript`] | what was said and when |
//! | [`subtitle`] | transcripts as SRT and VTT |
//! | [`config`] | every setting, where it comes from, what it defaults to |
//! | [`net`] | calls to web addresses that callers name, and none to private ones |
//! | [`telemetry`] | logging, and every metric by name |
//! | [`audio`] | sound: any container in, streaming encoders out, resampling |
//! | [`engine`] | models running: traits, engines, and the pool of threads that own them |
//! | [`models`] | which models exist, which are here, which are loaded |
//! | [`speech`] | the neutral core: audio → transcript, text → audio |
//! | [`jobs`] | work that outlives its request: kept on disk, worked on, its results pushed |
//! | [`app`] | the only wiring: configuration, models, jobs, shutdown |
//! | [`api`] | HTTP: routes, credentials, uploads, the dialects |
//! | [`cli`] | the commands of the `mynah` binary |
//!
//! # Who may import whom
//!
//! From top to bottom, never upwards: `error`, `transcript` ← `subtitle`, `config`, `audio`, `net`, `telemetry` ← `engine` ←
//! `models`, `speech` ← `jobs` ← `app` ← `api` ← `cli`. Heavy crates are named in one file each. `tests/it/architecture.rs` holds the
//! table and checks every `use crate::` line against it. Engines that do as tests tell them (wait, fail, panic) live with
//! the tests, in `tests/it/fake.rs`: [`engine::Engines`] is a table that takes more rows.
//!
//! # Three decisions
//!
//! - **Engines see only short work**: 30 s of audio, one sentence of text. `speech` cuts and joins, so transcripts
//!   and sound stream out piece by piece, memory stays constant in the length of a file, and the queue decides anew
//!   after every piece.
//! - **Threads own engines** ([`engine::pool`]); async code never computes, blocking code never waits for a client.
//! - **Cancelling is dropping**: a reply channel that has closed is the only signal there is.

pub mod config;
pub mod error;
pub mod net;
pub mod subtitle;
pub mod telemetry;
pub mod transcript;

pub mod audio;
pub mod engine;
pub mod jobs;
pub mod models;
pub mod speech;

pub mod api;
pub mod app;
pub mod cli;
