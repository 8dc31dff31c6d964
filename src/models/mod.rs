//! Which models exist, which are here, which are loaded.
//!
//! The [`catalog`] says what there is and by which names, [`folder`] what is on the disk; the [`registry`] joins the
//! two and hands out pools of engines, which [`loaded`] keeps; [`voices`] knows
//! the names of voices. Nothing here knows an engine by more than its name in
//! the table of engines.

pub mod catalog;
pub mod folder;
pub mod loaded;
pub mod registry;
pub mod voices;
