//! From what is written to what is said: numbers, abbreviations and signs as words, marks of layout left out, and for
//! every spoken word the user's own word that it came from.
//!
//! English is read out in full here. Other languages are only cleaned (markup, pictographs, control characters, web
//! addresses): the engines read their numbers. The lexicon and what SSML says about a word go before every rule.

mod characters;
mod english;
mod markdown;
mod web;

use super::lexicon::{Lexicon, Matcher, Said};
use super::script::{Override, SayAs};
use crate::engine::Utterance;
pub(super) use characters::is_mark;
use characters::{is_ignored, is_pictograph, is_word};
use english::Dialect;
use std::ops::Range;

/// What is said for a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normalized {
    /// What the engine is given.
    pub utterance: Utterance,
    /// Its words, in order.
    pub words: Vec<Word>,
}

/// A spoken word and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Where it is in the text of the utterance, in bytes, without punctuation around it.
    pub spoken: Range<usize>,
    /// The user's word, in bytes of the text that was normalised, without punctuation around it; the dot of an
    /// abbreviation belongs to it. Neighbours that came from one word have the same.
    pub source: Range<usize>,
}

/// What to say for `text`, a text in `language` (a tag; empty when nobody knows). `overrides` are stretches of `text`, in
/// order and apart; one that is not is left out.
///
/// Takes time in proportion to the length of `text`.
pub fn normalize(text: &str, overrides: &[(Range<usize>, Override)], language: &str, lexicon: &Lexicon) -> Normalized {
    let mut reader = Reader {
        text,
        at: 0,
        language,
        dialect: Dialect::of(language),
        lexicon: lexicon.matcher(language),
        writer: Writer::default(),
        is_line_start: true,
        is_item: false,
        is_quoted: false,
    };
    for (range, how) in overrides {
        let is_good = range.start >= reader.at && range.start < range.end && text.get(range.clone()).is_some();
        if is_good {
            reader.read_until(range.start);
            reader.override_with(range.clone(), how);
        }
    }
    reader.read_until(text.len());
    reader.writer.finish()
}

/// Where a rule looks.
#[derive(Clone, Copy)]
struct Place<'a> {
    text: &'a str,
    at: usize,
    /// The end of what a rule may read.
    end: usize,
    /// Whether a straight quote is open.
    is_quoted: bool,
    dialect: Dialect,
}

/// What is looked at in front of a place, in bytes.
const NEAR: usize = 40;

impl<'a> Place<'a> {
    /// What comes.
    fn rest(&self) -> &'a str {
        &self.text[self.at..self.end]
    }

    /// What was, as far as it matters.
    fn before(&self) -> &'a str {
        let mut start = self.at.saturating_sub(NEAR);
        while !self.text.is_char_boundary(start) {
            start += 1;
        }
        &self.text[start..self.at]
    }

    /// The character in front.
    fn previous(&self) -> Option<char> {
        self.before().chars().next_back()
    }

    /// The last word in front, without punctuation.
    fn previous_word(&self) -> &'a str {
        let word = self.before().split_whitespace().next_back().unwrap_or_default();
        word.trim_matches(|c: char| !c.is_alphanumeric())
    }
}

/// How a rule reads the beginning of what comes.
struct Reading {
    /// How much of it.
    length: usize,
    /// What is said, each with the word it came from, relative to the place and in order.
    said: Vec<(Range<usize>, String)>,
    /// Whether a sentence ends with it: its full stop is part of an abbreviation.
    ends_sentence: bool,
}

impl Reading {
    /// One word of the user's.
    fn one(length: usize, said: impl Into<String>) -> Self {
        Self { length, said: vec![(0..length, said.into())], ends_sentence: false }
    }

    /// Several words of the user's; the last ends it.
    fn several(said: Vec<(Range<usize>, String)>) -> Self {
        let length = said.last().map_or(0, |(range, _)| range.end);
        Self { length, said, ends_sentence: false }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    language: &'a str,
    dialect: Option<Dialect>,
    lexicon: Matcher<'a>,
    writer: Writer,
    is_line_start: bool,
    /// Whether the line is a title or an item of a list, so that its end is the end of a sentence.
    is_item: bool,
    is_quoted: bool,
}

impl<'a> Reader<'a> {
    fn read_until(&mut self, end: usize) {
        while self.at < end {
            let before = self.at;
            self.step(end);
            debug_assert!(self.at > before, "every step goes on");
        }
    }

    fn step(&mut self, end: usize) {
        let text = self.text;
        let rest = &text[self.at..end];
        let Some(c) = rest.chars().next() else { return };
        if c.is_whitespace() {
            return self.white_space(rest);
        }
        if std::mem::take(&mut self.is_line_start)
            && let Some(mark) = markdown::line_mark(rest)
        {
            if mark.is_item {
                self.writer.end_sentence();
                self.is_item = true;
            }
            self.at += mark.length;
            // What is quoted may be a list.
            self.is_line_start = mark.is_quote;
            return;
        }
        if let Some(length) = markdown::skipped(rest) {
            self.at += length;
            return;
        }
        if (!is_word(c) || self.starts_word()) && self.by_rule(rest, end) {
            return;
        }
        if is_word(c) {
            return self.word(rest);
        }
        self.sign(rest, c);
    }

    /// Whether a word may begin here. What a rule has read is done, so a word may follow it at once.
    fn starts_word(&self) -> bool {
        self.text[..self.at].chars().next_back().is_none_or(|c| !is_word(c)) || self.writer.just_read == self.at
    }

    /// Reads by the lexicon or a rule; false when there is none.
    fn by_rule(&mut self, rest: &str, end: usize) -> bool {
        if let Some((length, said)) = self.lexicon.find(rest) {
            let source = self.at..self.at + length;
            match said {
                Said::Spelling(spelling) => self.say_instead(source, spelling),
                Said::Phonemes(phonemes) => self.writer.say_phonemes(&self.text[source.clone()], source, phonemes),
            }
            self.done(length);
            return true;
        }
        let place = |dialect| Place { text: self.text, at: self.at, end, is_quoted: self.is_quoted, dialect };
        let reading = match self.dialect {
            Some(dialect) => english::read(&place(dialect)),
            None => web::simplified(&place(Dialect::American)),
        };
        let Some(reading) = reading else { return false };
        for (source, said) in reading.said {
            self.writer.say_reading(&said, self.at + source.start..self.at + source.end);
        }
        if reading.ends_sentence {
            self.writer.end_sentence();
        }
        self.done(reading.length);
        true
    }

    /// Goes on after what was read; `'s` belongs to it.
    fn done(&mut self, length: usize) {
        self.at += length;
        let rest = &self.text[self.at..];
        let owned = ["'s", "’s"].iter().find(|it| rest.starts_with(**it) && !rest[it.len()..].starts_with(is_word));
        if let (Some(owned), Some(_)) = (owned, self.dialect) {
            self.writer.add_possessive(self.at, owned.len());
            self.at += owned.len();
        }
        self.writer.just_read = self.at;
    }

    /// A word as it stands.
    fn word(&mut self, rest: &str) {
        let length = characters::word_length(rest, self.dialect.is_none());
        let word: String = rest[..length].chars().filter(|c| !self.is_left_out(*c)).collect();
        self.writer.say(&word, self.at..self.at + length);
        self.at += length;
    }

    /// Joiners are part of the spelling where letters join.
    fn is_left_out(&self, c: char) -> bool {
        is_ignored(c) && (self.dialect.is_some() || !matches!(c, '\u{200C}' | '\u{200D}'))
    }

    fn white_space(&mut self, rest: &str) {
        let length = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let lines = rest[..length].matches('\n').count();
        if lines > 1 || (lines > 0 && self.is_item) {
            self.writer.end_sentence();
        }
        if lines > 0 {
            (self.is_line_start, self.is_item) = (true, false);
        }
        self.writer.space();
        self.at += length;
    }

    /// Punctuation, or a sign that no rule knows.
    fn sign(&mut self, rest: &str, c: char) {
        let run = |set: &str| rest.chars().take_while(|c| set.contains(*c)).map(char::len_utf8).sum::<usize>();
        let length = c.len_utf8();
        self.at += match c {
            '.' | '!' | '?' | '…' => self.end_marks(&rest[..run(".!?…")]),
            ',' | ';' | ':' => {
                self.writer.punctuate(c);
                run(",;:")
            }
            '-' | '–' | '—' | '―' | '−' | '‐' | '‑' => self.dashes(&rest[..run("-–—―−‐‑")], rest),
            '"' => {
                self.is_quoted = !self.is_quoted;
                self.writer.push(c);
                length
            }
            '|' => {
                self.writer.pause();
                run("|")
            }
            '_' | '/' if self.dialect.is_some() => {
                self.writer.space();
                run("_/")
            }
            _ => {
                self.other(c);
                length
            }
        };
    }

    fn other(&mut self, c: char) {
        let is_dropped = is_ignored(c) || is_pictograph(c) || "*_~`[]{}\\^#•‣▪●○◦■□·®™".contains(c);
        if c == ')' {
            self.writer.punctuate(c);
        } else if !is_dropped && (self.dialect.is_none() || !"<>=+%@".contains(c)) {
            self.writer.push(c);
        }
    }

    /// However many marks end a sentence, one says how.
    fn end_marks(&mut self, run: &str) -> usize {
        if run.contains(['?', '!']) {
            self.writer.punctuate(if run.contains('?') { '?' } else { '!' });
        } else if run.len() == 1 {
            self.writer.punctuate('.');
        } else {
            (0..3).for_each(|_| self.writer.punctuate('.'));
        }
        run.len()
    }

    /// A hyphen joins what it stands between; other dashes are a pause.
    fn dashes(&mut self, run: &str, rest: &str) -> usize {
        let around = (self.text[..self.at].chars().next_back(), rest[run.len()..].chars().next());
        let is_between = around.0.is_some_and(is_word) && around.1.is_some_and(is_word);
        let is_in_number = around.0.is_some_and(char::is_numeric) && around.1.is_some_and(char::is_numeric);
        if is_in_number && self.dialect.is_some() {
            self.writer.pause();
        } else if is_between && run.chars().count() == 1 && !matches!(run, "–" | "—" | "―") {
            self.writer.push('-');
        } else {
            self.writer.dash();
        }
        run.len()
    }

    fn override_with(&mut self, range: Range<usize>, how: &Override) {
        let text = &self.text[range.clone()];
        match how {
            Override::Sub(alias) => self.say_instead(range.clone(), alias),
            Override::Phonemes(phonemes) => self.writer.say_phonemes(text, range.clone(), phonemes),
            Override::SayAs(kind) => self.say_as(*kind, text, range.start),
        }
        (self.at, self.is_line_start) = (range.end, false);
        self.writer.just_read = self.at;
    }

    /// Says `written`, normalised, for the user's words at `source`.
    fn say_instead(&mut self, source: Range<usize>, written: &str) {
        let said = normalize(written, &[], self.language, &Lexicon::default());
        self.writer.append(&said, |_| source.clone());
    }

    fn say_as(&mut self, kind: SayAs, text: &str, start: usize) {
        let said = match self.dialect {
            Some(dialect) => english::say_as(kind, text, dialect),
            None => characters::say_as(kind, text),
        };
        match said {
            Some(said) if self.dialect.is_some() => self.writer.say_reading(&said, start..start + text.len()),
            Some(said) => self.writer.say(&said, start..start + text.len()),
            None => {
                let said = normalize(text, &[], self.language, &Lexicon::default());
                self.writer.append(&said, |word| start + word.start..start + word.end);
            }
        }
    }
}

/// Puts the words together.
#[derive(Default)]
struct Writer {
    said: Normalized,
    /// The place in the source up to which a rule has read last.
    just_read: usize,
}

impl Writer {
    fn text(&mut self) -> &mut String {
        &mut self.said.utterance.text
    }

    fn last(&self) -> Option<char> {
        self.said.utterance.text.chars().next_back()
    }

    /// Words, apart by spaces, that all came from `source`.
    fn say(&mut self, words: &str, source: Range<usize>) {
        for word in words.split_ascii_whitespace() {
            self.begin_word();
            let start = self.text().len();
            self.text().push_str(word);
            let marks = |c: char| !c.is_alphanumeric() && !is_mark(c);
            let (left, right) = (word.len() - word.trim_start_matches(marks).len(), word.trim_end_matches(marks).len());
            if left < right {
                self.said.words.push(Word { spoken: start + left..start + right, source: source.clone() });
            }
        }
    }

    /// English words of a rule. A capital A among them is the letter, which engines take for the article.
    fn say_reading(&mut self, words: &str, source: Range<usize>) {
        for word in words.split_ascii_whitespace() {
            self.say(word, source.clone());
            if word == "A" {
                let end = self.said.utterance.text.len();
                self.said.utterance.phonemes.push((end - 1..end, "ˈeɪ".to_owned()));
            }
        }
    }

    fn say_phonemes(&mut self, written: &str, source: Range<usize>, phonemes: &str) {
        self.begin_word();
        let start = self.text().len();
        let written: Vec<&str> = written.split_whitespace().collect();
        self.text().push_str(&written.join(" "));
        let spoken = start..self.text().len();
        self.said.utterance.phonemes.push((spoken.clone(), phonemes.to_owned()));
        self.said.words.push(Word { spoken, source });
    }

    /// Adds words said for something else; `source` says where each came from.
    fn append(&mut self, said: &Normalized, source: impl Fn(&Range<usize>) -> Range<usize>) {
        if said.utterance.text.is_empty() {
            return;
        }
        self.begin_word();
        let start = self.text().len();
        self.text().push_str(&said.utterance.text);
        let shifted = |range: &Range<usize>| range.start + start..range.end + start;
        for word in &said.words {
            self.said.words.push(Word { spoken: shifted(&word.spoken), source: source(&word.source) });
        }
        let phonemes = said.utterance.phonemes.iter().map(|(range, said)| (shifted(range), said.clone()));
        self.said.utterance.phonemes.extend(phonemes);
    }

    fn begin_word(&mut self) {
        let joins =
            |c: char| c.is_whitespace() || "([{<«„“‘\"'-¿¡/$€£¥₹₩#@&+=_、。，！？；：・「」『』（）【】".contains(c);
        let is_joined = self.last().is_none_or(joins);
        // What a rule made of several signs stands apart, even after a hyphen of the user's.
        if !is_joined {
            self.text().push(' ');
        }
    }

    fn space(&mut self) {
        if self.last().is_some_and(|c| !c.is_whitespace()) {
            self.text().push(' ');
        }
    }

    fn push(&mut self, c: char) {
        self.text().push(c);
    }

    /// A mark that follows what it stands after at once.
    fn punctuate(&mut self, c: char) {
        let trimmed = self.text().trim_end().len();
        self.text().truncate(trimmed);
        if trimmed > 0 {
            self.text().push(c);
        }
    }

    /// A pause of a comma, where nothing pauses yet.
    fn pause(&mut self) {
        let after = self.text().trim_end().chars().next_back();
        if after.is_some_and(char::is_alphanumeric) {
            self.punctuate(',');
        }
        self.space();
    }

    fn dash(&mut self) {
        let after = self.text().trim_end().chars().next_back();
        self.space();
        if after.is_some_and(|c| c.is_alphanumeric() || ")\"”’".contains(c)) {
            self.text().push_str("— ");
        }
    }

    /// A full stop, where no sentence ends yet.
    fn end_sentence(&mut self) {
        let after = self.text().trim_end().chars().next_back();
        match after {
            Some(',' | ';' | ':' | '.' | '!' | '?' | '…') | None => {}
            Some('—') => {
                let length = self.text().trim_end_matches(['—', ' ']).len();
                self.text().truncate(length);
                self.punctuate('.');
            }
            Some(_) => self.punctuate('.'),
        }
    }

    /// Adds `'s`, which stands at `at` in the source, to the word said last.
    fn add_possessive(&mut self, at: usize, length: usize) {
        self.text().push_str("'s");
        let end = self.said.utterance.text.len();
        if let Some(word) = self.said.words.last_mut() {
            word.spoken.end = end;
            let owned = word.source.clone();
            let same = self.said.words.iter_mut().rev().take_while(|word| word.source == owned);
            same.for_each(|word| word.source.end = word.source.end.max(at + length));
        }
    }

    fn finish(mut self) -> Normalized {
        let length = self.text().trim_end().len();
        self.text().truncate(length);
        self.said
    }
}

#[cfg(test)]
mod tests;
