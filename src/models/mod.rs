//! Which models exist, which are here, which are loaded.
