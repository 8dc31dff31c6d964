//! The words that a user wants said differently, from a plain text file:
//!
//! ```text
//! # Everything after this sign is a comment.
//! Mynah = /ˈmaɪnə/
//! New York City = the Big Apple
//! SQL = sequel
//!
//! [de]
//! Chef = Scheff
//! ```
//!
//! Entries before the first `[language]` are for all languages; `[en]` is for `en-GB` as well, and a closer language
//! goes first. Entries match whole words in any case, but those with a capital inside a word (`SQL`, `iOS`) match as
//! they are written. The longest entry that matches wins.

use crate::error::{Error, Kind, Result};
use std::collections::HashMap;
use std::path::Path;

/// A file is at most so large, in bytes.
const LARGEST: u64 = 16 << 20;

/// Words and what is said for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lexicon {
    /// By language tag in lower case; empty is for all languages.
    sections: HashMap<String, Section>,
}

/// The entries for one language, by how they begin: see [`beginning`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Section {
    /// The longest and the exact first.
    entries: HashMap<String, Vec<Entry>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// The words, with one space between any two; in lower case unless `exact`.
    written: String,
    exact: bool,
    said: Said,
    line: usize,
}

/// What is said for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// As if this were written.
    Spelling(String),
    /// These phonemes, in the International Phonetic Alphabet.
    Phonemes(String),
}

impl Lexicon {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// `InvalidRequest` with the line that is wrong, and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |reason: String| {
            Error::new(Kind::InvalidRequest, format!("the lexicon {} cannot be used: {reason}", path.display()))
        };
        let size = std::fs::metadata(path).map_err(|e| failed(e.to_string()).with_source(e))?.len();
        if size > LARGEST {
            return Err(failed(format!("it is larger than {} MiB", LARGEST >> 20)));
        }
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()).with_source(e))?;
        Self::parse(&text).map_err(failed)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut lexicon = Self::default();
        let mut language = String::new();
        for (number, line) in text.trim_start_matches('\u{FEFF}').lines().enumerate() {
            let (number, line) = (number + 1, without_comment(line).trim());
            if let Some(tag) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                language = language_tag(tag).ok_or_else(|| format!("line {number}: `{tag}` is no language tag"))?;
            } else if !line.is_empty() {
                let entry = entry(line, number).map_err(|reason| format!("line {number}: {reason}"))?;
                lexicon.sections.entry(language.clone()).or_default().add(entry)?;
            }
        }
        lexicon.sections.values_mut().for_each(Section::sort);
        Ok(lexicon)
    }

    /// The entries for texts in `language`, a tag such as `en-GB`; unknown is an empty tag.
    pub(super) fn matcher(&self, language: &str) -> Matcher<'_> {
        let mut tag = language.to_lowercase();
        let mut sections = Vec::new();
        loop {
            sections.extend(self.sections.get(&tag));
            if tag.is_empty() {
                return Matcher { sections };
            }
            tag.truncate(tag.rfind('-').unwrap_or(0));
        }
    }
}

impl Section {
    fn add(&mut self, entry: Entry) -> Result<(), String> {
        let entries = self.entries.entry(beginning(&entry.written)).or_default();
        if let Some(earlier) = entries.iter().find(|it| it.written == entry.written && it.exact == entry.exact) {
            return Err(format!("line {}: `{}` is on line {} already", entry.line, entry.written, earlier.line));
        }
        entries.push(entry);
        Ok(())
    }

    fn sort(&mut self) {
        for entries in self.entries.values_mut() {
            entries.sort_by_key(|entry| (std::cmp::Reverse(entry.written.len()), !entry.exact));
        }
    }
}

/// Finds entries in texts of one language.
pub(super) struct Matcher<'a> {
    /// The closest language first.
    sections: Vec<&'a Section>,
}

impl<'a> Matcher<'a> {
    /// The entry that `rest`, which begins a word, begins with: how long it is in `rest`, and what is said.
    pub(super) fn find(&self, rest: &str) -> Option<(usize, &'a Said)> {
        if self.sections.is_empty() {
            return None;
        }
        let beginning = beginning(rest);
        self.sections.iter().find_map(|section| {
            let entries = section.entries.get(&beginning)?;
            entries.iter().find_map(|entry| Some((entry.length_in(rest)?, &entry.said)))
        })
    }
}

impl Entry {
    /// How much of `rest` this entry is, if `rest` begins with it as whole words.
    fn length_in(&self, rest: &str) -> Option<usize> {
        let mut length = 0;
        let mut last = ' ';
        let mut written = self.written.chars();
        while let Some(c) = written.next() {
            let there = rest[length..].chars().next()?;
            if c == ' ' {
                let spaces = rest[length..].chars().take(LONGEST_GAP).take_while(|c| c.is_whitespace());
                length += spaces.map(char::len_utf8).sum::<usize>().max(1);
                if !there.is_whitespace() {
                    return None;
                }
            } else if self.exact {
                (there == c).then_some(())?;
                length += there.len_utf8();
            } else {
                // Some capitals are two characters in lower case.
                let mut lower = there.to_lowercase();
                (lower.next() == Some(c)).then_some(())?;
                lower.all(|more| written.next() == Some(more)).then_some(())?;
                length += there.len_utf8();
            }
            last = c;
        }
        let goes_on = rest[length..].chars().next().is_some_and(is_word);
        (!(is_word(last) && goes_on)).then_some(length)
    }
}

/// So many white spaces are one at most.
const LONGEST_GAP: usize = 8;

/// The letters of the first word of `text` in lower case, as far as they are looked at, or its first character.
fn beginning(text: &str) -> String {
    let word: String =
        text.chars().take(LONGEST_KEY).take_while(|c| is_word(*c)).flat_map(char::to_lowercase).collect();
    if word.is_empty() { text.chars().take(1).collect() } else { word }
}

/// Entries are told apart by so many characters of their first word.
const LONGEST_KEY: usize = 24;

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || super::normalize::is_mark(c)
}

/// A comment begins its line or follows white space: `C# = C sharp` has none.
fn without_comment(line: &str) -> &str {
    let begins = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    line.match_indices('#').find(|(at, _)| begins(*at)).map_or(line, |(at, _)| &line[..at])
}

fn language_tag(tag: &str) -> Option<String> {
    let tag = tag.trim().to_lowercase();
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    (tag.len() >= 2 && tag.split('-').all(is_part)).then_some(tag)
}

fn entry(line: &str, number: usize) -> Result<Entry, String> {
    let (written, said) = line.split_once('=').ok_or("write `word = spelling` or `word = /IPA/`")?;
    let written = written.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = said.trim();
    if written.is_empty() || said.is_empty() {
        return Err("write `word = spelling` or `word = /IPA/`".to_owned());
    }
    let said = match said.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).map(str::trim) {
        Some("") => return Err("there are no phonemes between the slashes".to_owned()),
        Some(phonemes) => match phonemes.chars().find(|c| !is_ipa(*c)) {
            Some(c) => return Err(format!("`{c}` is no sign of the International Phonetic Alphabet")),
            None => Said::Phonemes(phonemes.to_owned()),
        },
        None => Said::Spelling(said.to_owned()),
    };
    let exact = written.split(' ').any(|word| word.chars().skip(1).any(char::is_uppercase));
    let written = if exact { written } else { written.to_lowercase() };
    Ok(Entry { written, exact, said, line: number })
}

/// Whether `c` may stand in phonemes: letters but no capitals of Latin, their marks, stress, length, breaks.
pub(super) fn is_ipa(c: char) -> bool {
    let is_letter = c.is_alphabetic() && !c.is_ascii_uppercase();
    is_letter
        || super::normalize::is_mark(c)
        || matches!(u32::from(c), 0x02B0..=0x02FF | 0xA700..=0xA71F)
        || " .|‖‿↗↘ꜛꜜ'ʼ-͡".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# A comment.
Mynah = /ˈmaɪnə/   # another
new york = the Big Apple
New York City = Gotham
C# = C sharp
.NET = dot net
SQL = sequel
sql = squirrel
straße = street

[en-GB]
schedule = shedule
[en]
schedule = skedule
route = root
";

    fn find(language: &str, text: &str) -> Option<(usize, Said)> {
        let lexicon = Lexicon::parse(FILE).expect("a good file");
        lexicon.matcher(language).find(text).map(|(length, said)| (length, said.clone()))
    }

    fn said(language: &str, text: &str) -> String {
        match find(language, text) {
            Some((_, Said::Spelling(said) | Said::Phonemes(said))) => said,
            None => String::new(),
        }
    }

    #[test]
    fn whole_words_match_in_any_case_and_the_longest_wins() {
        assert_eq!(find("", "mynah flies"), Some((5, Said::Phonemes("ˈmaɪnə".to_owned()))));
        assert_eq!(said("fr", "MYNAH"), "ˈmaɪnə");
        assert_eq!(said("", "mynahs"), "");
        assert_eq!(find("", "New  York\nCity."), Some((14, Said::Spelling("Gotham".to_owned()))));
        assert_eq!(find("", "NEW YORK, NY"), Some((8, Said::Spelling("the Big Apple".to_owned()))));
        assert_eq!(said("", "New Yorker"), "");
        assert_eq!(said("", "C# and"), "C sharp");
        assert_eq!(said("", ".NET 8"), "dot net");
        assert_eq!(said("", "STRAßE"), "street");
        assert_eq!(said("", "C#x"), "C sharp");
    }

    #[test]
    fn capitals_inside_a_word_match_as_they_are_written() {
        assert_eq!(said("", "SQL"), "sequel");
        assert_eq!(said("", "Sql"), "squirrel");
        assert_eq!(said("", ".net"), "");
    }

    #[test]
    fn the_closest_language_goes_first() {
        assert_eq!(said("en-GB", "Schedule"), "shedule");
        assert_eq!(said("en-US", "schedule"), "skedule");
        assert_eq!(said("en-GB", "route"), "root");
        assert_eq!(said("de", "route"), "");
        assert_eq!(said("", "schedule"), "");
    }

    #[test]
    fn errors_name_the_line() {
        for (file, reason) in [
            ("a = b\n\nword", "line 3: write"),
            ("= x", "line 1: write"),
            ("x =", "line 1: write"),
            ("x = //", "line 1: there are no phonemes"),
            ("x = /a$/", "line 1: `$`"),
            ("[not a tag]", "line 1: `not a tag`"),
            ("a = b\nA = c", "line 2: `a` is on line 1"),
        ] {
            let error = Lexicon::parse(file).expect_err(file);
            assert!(error.starts_with(reason), "{error}");
        }
        let missing = Lexicon::load(Path::new("/nowhere/lexicon.txt")).expect_err("no such file");
        assert!(missing.message().contains("/nowhere/lexicon.txt"));
    }

    #[test]
    fn a_file_is_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), FILE).expect("it can be written");
        assert_eq!(Lexicon::load(file.path()).expect("a lexicon"), Lexicon::parse(FILE).expect("a lexicon"));
        assert_eq!(Lexicon::default(), Lexicon::parse("# nothing\n").expect("an empty lexicon"));
    }
}
