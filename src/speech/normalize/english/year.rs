//! Years and decades.

use super::quantity::Number;
use super::{Dialect, Place, Reading, cardinal, cardinal::below_hundred, cardinal::plural, digits, gap, is_over};

/// Words after which a number of four digits is a year.
const BEFORE_YEARS: &[&str] = &[
    "in", "since", "by", "until", "till", "from", "before", "after", "during", "around", "circa", "year", "late",
    "early", "mid", "spring", "summer", "autumn", "fall", "winter", "anno", "ad", "class", "c", "ca", "born", "died",
];

/// Words on `s` that are no plurals.
const NO_PLURALS: &[&str] = &["is", "was", "has", "as", "its", "this", "his", "us", "yes", "christmas", "does", "less"];

/// A number that is most likely a year.
pub(super) fn year(place: &Place<'_>) -> Option<Reading> {
    let written = digits(place.rest(), 4).filter(|digits| digits.len() == 4)?;
    let value: u32 = written.parse().ok()?;
    let after = &place.rest()[4..];
    let is_decimal = after.starts_with('.') && digits(&after[1..], 99).is_some();
    if !is_over(after) || is_decimal || !(1000..2100).contains(&value) {
        return None;
    }
    let next = gap(after).map_or("", |gap| word(&after[gap..]));
    let counts = (next.ends_with('s') && next.starts_with(char::is_lowercase) && !NO_PLURALS.contains(&next))
        || ["thousand", "million", "people", "men", "women", "children", "percent", "feet", "of"].contains(&next);
    let is_expected = BEFORE_YEARS.contains(&place.previous_word().to_ascii_lowercase().as_str())
        || ["BC", "AD", "BCE", "CE"].contains(&next)
        || place.before().ends_with("'")
        || place.before().ends_with("(c) ")
        || place.before().ends_with("© ");
    let is_year = !counts && (is_expected || value >= 1900);
    is_year.then(|| Reading::one(4, said(value, place.dialect)))
}

fn word(rest: &str) -> &str {
    &rest[..rest.bytes().take(16).take_while(u8::is_ascii_alphabetic).count()]
}

/// The year `value`, of four digits at most, in words.
pub(super) fn said(value: u32, dialect: Dialect) -> String {
    let (centuries, years) = (value as usize / 100, value as usize % 100);
    if !(1000..10_000).contains(&value) || (value % 1000 < 10 && value >= 1000 && (value >= 2000 || value == 1000)) {
        return cardinal(&value.to_string(), dialect);
    }
    match years {
        0 => format!("{} hundred", below_hundred(centuries)),
        1..=9 => format!("{} oh {}", below_hundred(centuries), below_hundred(years)),
        _ => format!("{} {}", below_hundred(centuries), below_hundred(years)),
    }
}

/// `1990s`, `1990's`, `the 20s`, `'90s`.
pub(super) fn decade(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let quote = ["'", "’", "‘"].iter().find(|it| rest.starts_with(**it)).map_or(0, |it| it.len());
    let number = Number::read(&rest[quote..], false)?;
    let value = number.plain().filter(|value| value % 10 == 0)?;
    let end = quote + number.length;
    let suffix = ["s", "'s", "’s"].iter().find(|it| rest[end..].starts_with(**it))?;
    let length = end + suffix.len();
    let is_short = number.length == 2 && value >= 20;
    let by_word = ["the", "early", "late", "mid", "her", "his", "their", "my", "your", "our", "in"];
    let is_expected = quote > 0 || by_word.contains(&place.previous_word().to_ascii_lowercase().as_str());
    let is_decade = is_over(&rest[length..])
        && ((number.length == 4 && quote == 0 && (1000..2100).contains(&value)) || (is_short && is_expected));
    if !is_decade {
        return None;
    }
    let said = if is_short { below_hundred(value as usize) } else { said(value, place.dialect) };
    let at = said.rfind(' ').map_or(0, |at| at + 1);
    Some(Reading {
        length,
        said: vec![(quote..length, format!("{}{}", &said[..at], plural(&said[at..])))],
        ends_sentence: false,
    })
}
