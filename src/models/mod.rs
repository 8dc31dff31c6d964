//! Which models exist, which are here, which are loaded.
//!
//! | file | what it answers |
//! |---|---|
//! | [`catalog`] | what can be asked for, and by which names; `catalog_file` reads and checks the files it is made of, `piper_voices` adds a whole catalog of voices |
//! | [`folder`] | what is on the disk |
//! | [`registry`] | what a name stands for just now; pools of engines, loaded once and kept in [`loaded`] |
//! | [`voices`] | the engines' own voices and the names that clients know |
//! | [`pull`] | downloads |
//! | [`installed`] | checking and removing what is here |
//! | [`bundle`] | models in one file, for machines without a network |
//!
//! Nothing here knows an engine by more than its name in the table of engines.

pub mod bundle;
pub mod catalog;
mod catalog_file;
mod digest;
pub mod disk;
pub mod folder;
pub mod installed;
pub mod loaded;
mod memory;
mod piper_voices;
pub mod pull;
pub mod registry;
pub mod voices;
