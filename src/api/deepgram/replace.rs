//! `replace=find:replacement`: words that are to be written another way.

use super::spoken::{bare, needs_spaces};
use crate::transcript::{Segment, Transcript, Word};
use serde::{Deserialize, Serialize};

/// Words to look for, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// In lower case and without punctuation; one or more.
    find: Vec<String>,
    /// Empty leaves the words out.
    with: String,
}

impl Replacement {
    /// Reads `find:replacement`; `None` when there is nothing to look for.
    pub fn parse(text: &str) -> Option<Self> {
        let (find, with) = text.split_once(':')?;
        let find: Vec<String> = bare(find).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        (!find.is_empty()).then(|| Self { find, with: with.trim().to_owned() })
    }
}

/// Replaces in every segment, in the order of `replacements`. Words that are split between segments are not found.
pub fn replace(transcript: &mut Transcript, replacements: &[Replacement]) {
    let language = transcript.language.clone();
    for segment in &mut transcript.segments {
        let changes = replacements.iter().filter(|it| replace_words(segment, it)).count();
        if changes > 0 {
            let spaced = needs_spaces(segment.language.as_deref().or(language.as_deref()));
            let words: Vec<&str> = segment.words.iter().map(|word| word.text.as_str()).collect();
            segment.text = words.join(if spaced { " " } else { "" });
        }
    }
}

/// Whether there was anything to replace.
fn replace_words(segment: &mut Segment, replacement: &Replacement) -> bool {
    let count = replacement.find.len();
    let (mut words, mut rest) = (Vec::with_capacity(segment.words.len()), std::mem::take(&mut segment.words));
    let bares: Vec<String> = rest.iter().map(|word| bare(&word.text)).collect();
    let (mut at, mut found) = (0, false);
    while at < rest.len() {
        if bares[at..].starts_with(&replacement.find) {
            words.extend(one_instead(&rest[at..at + count], &replacement.with));
            (at, found) = (at + count, true);
        } else {
            words.push(std::mem::take(&mut rest[at]));
            at += 1;
        }
    }
    segment.words = words;
    found
}

/// One word that takes the time of `words`, and the punctuation around them.
fn one_instead(words: &[Word], with: &str) -> Option<Word> {
    let (first, last) = (words.first()?, words.last()?);
    if with.is_empty() {
        return None;
    }
    let in_front = first.text.find(char::is_alphanumeric).unwrap_or(0);
    let behind = last.text.rfind(char::is_alphanumeric).unwrap_or(0);
    let behind = last.text[behind..].chars().next().map_or(behind, |letter| behind + letter.len_utf8());
    let text = format!("{}{with}{}", &first.text[..in_front], &last.text[behind..]);
    let confidence = words.iter().map(|word| word.confidence).fold(1.0, f32::min);
    Some(Word { text, start: first.start, end: last.end, confidence, speaker: first.speaker.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::spoken::tests::transcript;
    use super::*;
    use std::time::Duration;

    fn replaced(said: &[&str], replacements: &[&str]) -> Transcript {
        let said: Vec<_> = said.iter().zip((0..).step_by(500)).map(|(word, start)| (*word, start, None)).collect();
        let mut transcript = transcript(&said);
        let replacements: Vec<_> = replacements.iter().map(|it| Replacement::parse(it).unwrap()).collect();
        replace(&mut transcript, &replacements);
        transcript
    }

    #[test]
    fn words_are_found_whatever_their_case_and_keep_their_punctuation() {
        let transcript = replaced(&["Monkey,", "the", "“monkey”!"], &["monkey:gorilla"]);
        assert_eq!(transcript.text(), "gorilla, the “gorilla”!");
    }

    #[test]
    fn several_words_become_one_that_takes_their_time() {
        let transcript = replaced(&["New", "blue", "harbor."], &["Blue Harbor:Blauhafen AG"]);
        assert_eq!(transcript.text(), "New Blauhafen AG.");
        let word = transcript.words().nth(1).unwrap();
        assert_eq!((word.start, word.end), (Duration::from_millis(500), Duration::from_millis(1_400)));
    }

    #[test]
    fn what_is_replaced_by_nothing_is_left_out() {
        assert_eq!(replaced(&["Well", "actually", "yes."], &["actually:"]).text(), "Well yes.");
    }

    #[test]
    fn parts_of_words_and_other_words_stay() {
        let before = ["Monkeys", "and", "mon", "key", "rings."];
        let transcript = replaced(&before, &["monkey:gorilla", "key rings please:x"]);
        assert_eq!(transcript.text(), before.join(" "));
    }

    #[test]
    fn replacements_follow_each_other() {
        assert_eq!(replaced(&["One", "two."], &["one:two", "two:three"]).text(), "three three.");
    }

    #[test]
    fn nothing_to_look_for_is_no_replacement() {
        assert!(Replacement::parse("monkey").is_none() && Replacement::parse(":gorilla").is_none());
        assert!(Replacement::parse("...:gorilla").is_none());
    }
}
