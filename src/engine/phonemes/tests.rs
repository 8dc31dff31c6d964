//! Clauses into sentences, and sentences into pieces.

use super::*;

/// Rules that spell: every word is its letters, marks end clauses.
struct Spelling;

impl Rules for Spelling {
    fn language(&self, tag: &str, _: &str) -> Option<String> {
        Some(tag.to_owned())
    }

    fn clauses(&mut self, text: &str, _: &str) -> Result<Vec<Clause>> {
        let marked = text.split_inclusive(['.', ',', '!', '?', ';', ':']).filter(|part| !part.trim().is_empty());
        let clause = |part: &str| {
            let ipa = part.trim_end_matches(['.', ',', '!', '?', ';', ':']);
            Clause { ipa: ipa.trim().to_owned(), end: part[ipa.len()..].chars().next() }
        };
        Ok(marked.map(clause).collect())
    }
}

fn spelled(text: &str, phonemes: &[(std::ops::Range<usize>, &str)]) -> Vec<String> {
    let phonemes = phonemes.iter().map(|(range, ipa)| (range.clone(), (*ipa).to_owned())).collect();
    let utterance = Utterance { text: text.to_owned(), phonemes };
    sentences(&mut Spelling, &utterance, "any").expect("it spells")
}

#[test]
fn clauses_become_sentences_with_their_marks() {
    assert_eq!(spelled("One, two; three. Four? Five", &[]), ["One, two; three.", "Four?", "Five"]);
    assert!(spelled(" ... ?! ", &[]).is_empty());
}

#[test]
fn accents_are_characters_of_their_own() {
    assert_eq!(spelled("ç", &[]), ["c\u{327}"]);
}

#[test]
fn given_phonemes_stand_where_their_words_are() {
    assert_eq!(spelled("The word, said.", &[(4..8, "/wɜːd/")]), ["The wɜːd, said."]);
    assert_eq!(spelled("word", &[(0..4, "wɜːd wɜːd")]), ["wɜːd wɜːd"]);
    assert_eq!(spelled("a b c", &[(0..1, "x"), (2..3, "y"), (4..5, "z")]), ["x y z"]);
    assert_eq!(spelled("unprefixed", &[(0..2, "ʌn")]), ["ʌnprefixed"]);
    // Ranges that do not fit the text are as good as their ends.
    assert_eq!(spelled("ab", &[(1..9, "x")]), ["ax"]);
}

#[test]
fn long_phonemes_are_cut_where_it_is_heard_least() {
    assert_eq!(pieces("one two", 20), ["one two"]);
    assert_eq!(pieces("one two. three four five", 12), ["one two.", "three four", "five"]);
    assert_eq!(pieces("one, two three four", 13), ["one, two", "three four"]);
    assert_eq!(pieces("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    assert!(pieces(" , ", 2).is_empty());
    let long = "mamma ".repeat(500);
    assert!(pieces(&long, 100).iter().all(|piece| piece.chars().count() <= 100));
}
