//! Who said what: voices told apart, and words given to them.

use crate::engine::DiarizerPool;
use std::sync::Arc;

/// How to tell the voices of a recording apart.
#[derive(Clone)]
pub struct Diarization {
    /// What tells voices apart.
    pub pool: Arc<DiarizerPool>,
    /// Voices that have names.
    pub known: Vec<KnownSpeaker>,
    /// How many voices there are; `None` when that is not known.
    pub count: Option<usize>,
}

/// A voice with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSpeaker {
    /// The name.
    pub name: Arc<str>,
    /// A sound file in which nobody but this speaker speaks, for two seconds or more.
    pub sample: Arc<[u8]>,
}
