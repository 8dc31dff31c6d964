//! English as it is read out: one file for each kind of thing.

mod abbreviation;
mod cardinal;
mod date;
mod dotted;
mod money;
mod phone;
mod quantity;
mod roman;
mod slashed;
mod symbol;
mod time;
mod token;
mod unit;
mod year;

use super::{Place, Reading, characters, web};
use crate::speech::script::SayAs;
use cardinal::{cardinal, decimal, one_by_one, ordinal};

/// How dates are ordered and numbers joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Month before day; "one hundred five".
    American,
    /// Day before month; "one hundred and five".
    British,
}

impl Dialect {
    /// The dialect of a language tag; `None` for what is not English.
    pub(super) fn of(language: &str) -> Option<Self> {
        let mut parts = language.split(['-', '_']);
        if !parts.next()?.eq_ignore_ascii_case("en") {
            return None;
        }
        let is_american = |part: &str| ["US", "CA", "PH"].iter().any(|it| part.eq_ignore_ascii_case(it));
        let country = parts.find(|part| part.len() == 2);
        Some(if country.is_none_or(is_american) { Self::American } else { Self::British })
    }
}

type Rule = fn(&Place<'_>) -> Option<Reading>;

/// What may begin with a letter. The first rule that knows what it sees reads it.
const OF_LETTERS: &[Rule] = &[
    web::address,
    date::date,
    dotted::dotted,
    money::money,
    abbreviation::abbreviation,
    roman::roman,
    symbol::symbol,
    token::token,
];

/// What may begin with a digit.
const OF_DIGITS: &[Rule] = &[
    web::address,
    date::date,
    time::time,
    phone::phone,
    dotted::dotted,
    slashed::slashed,
    money::money,
    year::decade,
    quantity::range,
    unit::measure,
    quantity::ordinal_number,
    year::year,
    quantity::number,
    token::token,
];

/// What may begin with anything else.
const OF_SIGNS: &[Rule] = &[
    phone::phone,
    slashed::slashed,
    money::money,
    year::decade,
    quantity::range,
    unit::measure,
    quantity::number,
    symbol::symbol,
];

/// How the beginning of what comes is read, when it is not read as it stands.
pub(super) fn read(place: &Place<'_>) -> Option<Reading> {
    let c = place.rest().chars().next()?;
    let rules = match c {
        '0'..='9' => OF_DIGITS,
        c if c.is_alphabetic() => OF_LETTERS,
        _ => OF_SIGNS,
    };
    rules.iter().find_map(|rule| rule(place)).filter(|reading| reading.length > 0)
}

/// What is said for `text` as a `kind` of thing; `None` when it is no such thing.
pub(super) fn say_as(kind: SayAs, text: &str, dialect: Dialect) -> Option<String> {
    let digits = || text.chars().filter(char::is_ascii_digit).collect::<String>();
    match kind {
        SayAs::Characters => Some(token::spelled(text)),
        SayAs::Digits | SayAs::Telephone if digits().is_empty() => None,
        SayAs::Digits => Some(one_by_one(&digits())),
        SayAs::Telephone => Some(phone::spelled(text)),
        SayAs::Cardinal => {
            quantity::whole_text(text, dialect).or_else(|| roman::value(text).map(|n| number(n, dialect)))
        }
        SayAs::Ordinal => {
            let value = digits();
            match roman::value(text) {
                Some(value) => Some(ordinal(&value.to_string(), dialect)),
                None => (!value.is_empty() && value.len() == text.trim_end_matches(char::is_alphabetic).len())
                    .then(|| ordinal(&value, dialect)),
            }
        }
        SayAs::Fraction => slashed::fraction_text(text, dialect),
        SayAs::Unit => unit::unit_text(text, dialect),
        SayAs::Date(order) => date::date_text(text, order, dialect),
        SayAs::Time => time::time_text(text, dialect),
        SayAs::Currency => money::money_text(text, dialect),
    }
}

/// A word with digits in it, as it is said inside a name.
pub(super) fn in_name(word: &str) -> String {
    token::mixed(word, Dialect::American)
}

/// A whole number in words.
fn number(value: u32, dialect: Dialect) -> String {
    cardinal(&value.to_string(), dialect)
}

/// The ASCII digits that `rest` begins with, if there are some and at most `most`.
fn digits(rest: &str, most: usize) -> Option<&str> {
    let length = rest.bytes().take(most + 1).take_while(u8::is_ascii_digit).count();
    (1..=most).contains(&length).then(|| &rest[..length])
}

/// Whether a word, or a number, has ended before `rest`.
fn is_over(rest: &str) -> bool {
    rest.chars().next().is_none_or(|c| !characters::is_word(c))
}

/// The length of the space that `rest` begins with, if it is one.
fn gap(rest: &str) -> Option<usize> {
    let c = rest.chars().next().filter(|c| matches!(c, ' ' | '\u{A0}' | '\u{2009}' | '\u{202F}'))?;
    Some(c.len_utf8())
}

/// The letters that `rest` begins with, of which there are at most `most`.
fn letters(rest: &str, most: usize) -> Option<&str> {
    let length = rest.bytes().take(most + 1).take_while(u8::is_ascii_alphabetic).count();
    ((1..=most).contains(&length) && is_over(&rest[length..])).then(|| &rest[..length])
}

/// Whether a sentence may end before `rest`: nothing comes, or something that begins with a capital.
fn may_end_sentence(rest: &str) -> bool {
    let mut next = rest.chars().skip_while(|c| "\"'”’)".contains(*c)).take(4);
    match next.next() {
        None | Some('\n') => true,
        Some(' ') => next.find(|c| *c != ' ').is_none_or(char::is_uppercase),
        Some(_) => false,
    }
}

/// Whether nothing but closing marks and white space comes.
fn is_end(rest: &str) -> bool {
    rest.chars().take(4).all(|c| c.is_whitespace() || "\"'”’)*_".contains(c)) && rest.len() < 16
}

#[cfg(test)]
mod tests;
