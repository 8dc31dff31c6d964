//! placeholder
#![allow(missing_docs)]
use super::lexicon::Lexicon;
use super::script::Override;
use crate::engine::Utterance;
use std::ops::Range;
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub spoken: Range<usize>,
    pub source: Range<usize>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalized {
    pub utterance: Utterance,
    pub words: Vec<Word>,
}
pub fn normalize(text: &str, _: &[(Range<usize>, Override)], _: &str, _: &Lexicon) -> Normalized {
    let mut words = Vec::new();
    let mut at = 0;
    for word in text.split_whitespace() {
        let start = at + text[at..].find(word).unwrap_or(0);
        at = start + word.len();
        words.push(Word { spoken: start..at, source: start..at });
    }
    Normalized { utterance: text.into(), words }
}
