//! Telephone numbers: digit by digit, with a pause between groups.

use super::{Place, Reading, is_over, one_by_one};
use std::ops::Range;

/// A telephone number with what groups it is at most so long.
const LONGEST: usize = 26;

/// Words after which seven digits in two groups are a telephone number.
const BEFORE_NUMBERS: &[&str] =
    &["call", "phone", "tel", "telephone", "dial", "fax", "text", "mobile", "cell", "number", "at"];

/// `+44 20 7946 0958`, `(555) 123-4567`, `555-123-4567`, `1-800-555-0199`, `020 7946 0958`.
pub(super) fn phone(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    if !rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '(')) {
        return None;
    }
    let groups = groups(rest);
    let end = groups.last()?.end;
    if !is_over(&rest[end..]) || !is_phone(place, rest, &groups) {
        return None;
    }
    let mut said = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let digits = one_by_one(&rest[group.clone()]);
        let plus = if at == 0 && rest.starts_with('+') { "plus " } else { "" };
        let pause = if at + 1 < groups.len() { "," } else { "" };
        let start = if plus.is_empty() { group.start } else { 0 };
        said.push((start..group.end, format!("{plus}{digits}{pause}")));
    }
    Some(Reading::several(said))
}

/// The groups of digits that `rest` begins with.
fn groups(rest: &str) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut separators = 0;
    for (at, byte) in rest.bytes().take(LONGEST).enumerate() {
        match (byte, groups.last_mut()) {
            (b'0'..=b'9', Some(last)) if last.end == at => last.end += 1,
            (b'0'..=b'9', _) => {
                groups.push(at..at + 1);
                separators = 0;
            }
            (b'+', None) | (b'(' | b')' | b'-' | b'.' | b' ', _) if separators < 2 => separators += 1,
            _ => break,
        }
    }
    // Cut off in the middle, it is something else.
    if groups.last().is_some_and(|last| last.end == LONGEST) {
        groups.clear();
    }
    groups
}

fn is_phone(place: &Place<'_>, rest: &str, groups: &[Range<usize>]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(Range::len).collect();
    let total: usize = lengths.iter().sum();
    let between = |at: usize| &rest[groups[at].end..groups[at + 1].start];
    if rest.starts_with('+') {
        return (8..=15).contains(&total) && lengths.len() <= 7;
    }
    let is_tight = (1..groups.len()).all(|at| matches!(between(at - 1), "-" | "." | ") " | ")" | ")-"));
    match lengths.as_slice() {
        [3, 3, 4] => is_tight || rest.starts_with('('),
        [1, 3, 3, 4] => is_tight || rest.starts_with("1 ("),
        [3, 4] => {
            let word = place.previous_word().to_ascii_lowercase();
            between(0) == "-" && (rest.starts_with("555") || BEFORE_NUMBERS.contains(&word.as_str()))
        }
        [first, ..] if groups.len() > 1 && (3..=5).contains(first) && rest.starts_with('0') => {
            let is_spaced = (1..groups.len()).all(|at| matches!(between(at - 1), " " | "-"));
            is_spaced && (9..=12).contains(&total) && lengths.iter().all(|length| *length >= 2)
        }
        _ => false,
    }
}

/// Everything in `text` that can be dialled.
pub(super) fn spelled(text: &str) -> String {
    let mut said = if text.trim_start().starts_with('+') { "plus ".to_owned() } else { String::new() };
    let groups = text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
    said += &groups.map(one_by_one).collect::<Vec<_>>().join(", ");
    said
}
