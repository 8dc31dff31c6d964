//! Text to phonemes for the neural voices: International Phonetic Alphabet with the punctuation of the text, as they were
//! trained on it. The rules are espeak-ng's (`espeak/phonemes.rs`); which numbers a voice knows them by is its own affair.

use super::Utterance;
use crate::error::Result;
#[cfg(not(feature = "espeak"))]
use crate::error::{Error, Kind};
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// A part of a text up to a comma, a full stop or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Its phonemes in the International Phonetic Alphabet, with spaces between words and stress before vowels.
    pub ipa: String,
    /// The mark it ends with, one of `.,!?;:`.
    pub end: Option<char>,
}

/// Knows how words of many languages are said.
pub trait Rules: Send {
    /// What to call the language with the tag `tag`, such as `de` or `en-GB`, for a voice that speaks `own`; `None` when
    /// there are no rules for it.
    fn language(&self, tag: &str, own: &str) -> Option<String>;

    /// `text` as phonemes of `language`, which is a name of [`Rules::language`].
    ///
    /// # Errors
    /// `InvalidRequest` (param `language`) when there are no rules for it.
    fn clauses(&mut self, text: &str, language: &str) -> Result<Vec<Clause>>;
}

/// The rules of this build, with their data in `cache_dir`.
///
/// # Errors
/// `Unavailable` when this build has none, or the folder cannot be written.
#[cfg(feature = "espeak")]
pub fn rules(cache_dir: &Path) -> Result<Box<dyn Rules>> {
    super::espeak::phonemes::rules(cache_dir)
}

/// The rules of this build, with their data in `cache_dir`.
///
/// # Errors
/// `Unavailable`: this build has none.
#[cfg(not(feature = "espeak"))]
pub fn rules(_: &Path) -> Result<Box<dyn Rules>> {
    let message = "this voice needs espeak-ng for its phonemes, and this build of Mynah was made without it";
    Err(Error::new(Kind::Unavailable, message))
}

/// The sentences of `utterance` as phonemes of `language`: what [`Rules::clauses`] says, with its marks, and a space
/// after those inside a sentence. Accents are characters of their own (canonical decomposition). What the utterance
/// gives as phonemes stands in the place of its words.
///
/// # Errors
/// As [`Rules::clauses`].
pub fn sentences(rules: &mut dyn Rules, utterance: &Utterance, language: &str) -> Result<Vec<String>> {
    let mut sentences = Sentences { done: Vec::new(), open: String::new() };
    let mut at = 0;
    for (range, ipa) in &utterance.phonemes {
        sentences.say(rules, utterance.text.get(at..range.start).unwrap_or_default(), language)?;
        sentences.say_phonemes(ipa);
        at = range.end;
    }
    sentences.say(rules, utterance.text.get(at..).unwrap_or_default(), language)?;
    Ok(sentences.finish())
}

/// Sentences as they come.
struct Sentences {
    done: Vec<String>,
    open: String,
}

impl Sentences {
    fn say(&mut self, rules: &mut dyn Rules, text: &str, language: &str) -> Result<()> {
        if text.starts_with(char::is_whitespace) {
            self.space();
        }
        for clause in rules.clauses(text, language)? {
            self.open.extend(clause.ipa.nfd());
            match clause.end {
                Some(mark @ ('.' | '!' | '?')) => {
                    self.mark(mark);
                    self.end_sentence();
                }
                Some(mark) => {
                    self.mark(mark);
                    self.space();
                }
                None => {}
            }
        }
        if text.ends_with(char::is_whitespace) {
            self.space();
        }
        Ok(())
    }

    fn say_phonemes(&mut self, ipa: &str) {
        // A full stop or a comma would be heard as one; slashes are how people quote phonemes.
        let sounds = ipa.nfd().filter(|c| !".,!?;:/[]".contains(*c));
        self.open.extend(sounds.map(|c| if c.is_whitespace() { ' ' } else { c }));
    }

    /// One space, unless there is one or nothing to part.
    fn space(&mut self) {
        if !self.open.is_empty() && !self.open.ends_with(' ') {
            self.open.push(' ');
        }
    }

    fn mark(&mut self, mark: char) {
        let kept = self.open.trim_end().len();
        self.open.truncate(kept);
        self.open.push(mark);
    }

    fn end_sentence(&mut self) {
        let sentence = std::mem::take(&mut self.open);
        if sentence.contains(is_sound) {
            self.done.push(sentence);
        }
    }

    fn finish(mut self) -> Vec<String> {
        let kept = self.open.trim_end().len();
        self.open.truncate(kept);
        self.end_sentence();
        self.done
    }
}

/// Whether `c` is more than a mark or a space.
fn is_sound(c: char) -> bool {
    !c.is_whitespace() && !".,!?;:ˈˌ".contains(c)
}

/// Cuts `phonemes` into pieces of at most `longest` characters, at the end of a clause, between words, or anywhere, in
/// this order, and never too early to fill half a piece without need.
pub fn pieces(phonemes: &str, longest: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = phonemes;
    while let Some((end, _)) = rest.char_indices().nth(longest) {
        let head = &rest[..end];
        let half = head.char_indices().nth(longest / 2).map_or(0, |(at, _)| at);
        let after = |marks: &[char]| head.rfind(marks).filter(|at| *at >= half).map(|at| at + 1);
        let cut = after(&['.', '!', '?']).or_else(|| after(&[';', ':', ','])).or_else(|| after(&[' '])).unwrap_or(end);
        pieces.push(rest[..cut].trim());
        rest = &rest[cut..];
    }
    pieces.push(rest.trim());
    pieces.retain(|piece| piece.contains(is_sound));
    pieces
}

#[cfg(test)]
mod tests;
