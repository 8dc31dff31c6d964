//! Words of letters and digits, words with dots inside, and spelling.

use super::cardinal::below_hundred;
use super::{Dialect, Place, Reading, cardinal, characters, one_by_one};
use crate::speech::normalize::characters::{is_ignored, is_word, spaced};

/// `A4`, `COVID-19`, `mp3`, `C++`, `C#`, `Node.js`, `1920x1080`.
pub(super) fn token(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    if !rest.starts_with(is_word) {
        return None;
    }
    if let Some(reading) = sharp(rest).or_else(|| letter_a(place)) {
        return Some(reading);
    }
    let length = characters::word_length(rest, false);
    let word = &rest[..length];
    if let Some(reading) = by(place, word) {
        return Some(reading);
    }
    let has_digits = word.bytes().any(|b| b.is_ascii_digit());
    let said = |word: &str| if has_digits { mixed(word, place.dialect) } else { plain(word) };
    // `main.rs`: what follows the dot is a word of its own.
    let goes_on = rest[length..].strip_prefix('.').is_some_and(|it| it.starts_with(|c: char| c.is_ascii_lowercase()));
    if goes_on {
        return Some(Reading::one(length + 1, format!("{} dot", said(word))));
    }
    has_digits.then(|| Reading::one(length, mixed(word, place.dialect)))
}

/// `C++`, `C#`, `A+`.
fn sharp(rest: &str) -> Option<Reading> {
    let letter = rest.chars().next().filter(char::is_ascii_uppercase)?;
    let signs = [("++", "plus plus"), ("#", "sharp"), ("♯", "sharp"), ("♭", "flat")];
    let (sign, said) = signs.iter().find(|(sign, _)| rest[1..].starts_with(sign))?;
    super::is_over(&rest[1 + sign.len()..]).then(|| Reading::one(1 + sign.len(), format!("{letter} {said}")))
}

/// The letter in `plan A works`, not the article.
fn letter_a(place: &Place<'_>) -> Option<Reading> {
    let after = place.rest().strip_prefix('A')?;
    let mut before = place.before().chars().rev();
    let is_inside = before.next() == Some(' ') && before.next().is_some_and(char::is_lowercase);
    let mut next = after.chars();
    let is_before_lowercase = match next.next() {
        Some(' ') => next.next().is_some_and(char::is_lowercase),
        c => c.is_none_or(|c| ".,;:!?)".contains(c)),
    };
    (is_inside && is_before_lowercase).then(|| Reading::one(1, "A"))
}

/// `1920x1080`, `10x`.
fn by(place: &Place<'_>, word: &str) -> Option<Reading> {
    let (first, second) = word.split_once(['x', 'X'])?;
    let is_number = |it: &str| (1..=6).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_digit());
    let said = match is_number(first) && !word.starts_with("0x") {
        true if second.is_empty() => format!("{} times", cardinal(first, place.dialect)),
        true if is_number(second) => {
            format!("{} by {}", spelled_number(first, place.dialect), spelled_number(second, place.dialect))
        }
        _ => return None,
    };
    Some(Reading::one(word.len(), said))
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| !is_ignored(*c)).collect()
}

/// A word of letters and digits: the letters as they stand, the numbers as names have them.
pub(super) fn mixed(word: &str, dialect: Dialect) -> String {
    let mut said = String::with_capacity(word.len() * 4);
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let is_digit = c.is_ascii_digit();
        let is_same = |c: char| c.is_ascii_digit() == is_digit && !matches!(c, '-' | '‐' | '‑' | '_');
        let length = rest.find(|c| !is_same(c)).unwrap_or(rest.len());
        if length == 0 {
            rest = &rest[c.len_utf8()..];
            continue;
        }
        if !said.is_empty() {
            said.push(' ');
        }
        match is_digit {
            true => said += &spelled_number(&rest[..length], dialect),
            false => said.extend(rest[..length].chars().filter(|c| !is_ignored(*c))),
        }
        rest = &rest[length..];
    }
    said
}

/// A number in a name: `4090` is forty ninety, `007` digit by digit.
fn spelled_number(digits: &str, dialect: Dialect) -> String {
    let value = digits.parse::<usize>().unwrap_or(0);
    match digits.len() {
        1..=3 if !digits.starts_with('0') || digits.len() == 1 => cardinal(digits, dialect),
        4 if !digits.starts_with('0') && !digits.ends_with("00") && value % 100 > 9 => {
            format!("{} {}", below_hundred(value / 100), below_hundred(value % 100))
        }
        4 if digits.ends_with("000") => cardinal(digits, dialect),
        4 if digits.ends_with("00") && !digits.starts_with('0') => format!("{} hundred", below_hundred(value / 100)),
        _ => one_by_one(digits),
    }
}

/// Every character by itself.
pub(super) fn spelled(text: &str) -> String {
    let mut said = Vec::new();
    for c in text.chars().filter(|c| !c.is_whitespace() && !is_ignored(*c)) {
        let name = super::web::sign(c);
        match name {
            Some(name) => said.push(name.to_owned()),
            None if c.is_ascii_digit() => said.push(one_by_one(c.encode_utf8(&mut [0; 4]))),
            None => said.push(c.to_uppercase().to_string()),
        }
    }
    // Marks stay with what they are on.
    if said.iter().any(|it| it.chars().all(characters::is_mark)) { spaced(text.chars()) } else { said.join(" ") }
}
