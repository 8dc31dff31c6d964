//! Plain numbers: cardinals, decimals, ordinals and ranges.

use super::unit::Measured;
use super::{Dialect, Place, Reading, cardinal, characters, decimal, gap, is_over, one_by_one, ordinal, year};

/// A number as it is written.
pub(super) struct Number<'a> {
    sign: Option<&'static str>,
    /// Its digits, without what groups them.
    pub(super) whole: String,
    /// The digits after the point.
    pub(super) fraction: Option<&'a str>,
    /// Whether its digits are in groups.
    is_grouped: bool,
    /// Its length in bytes.
    pub(super) length: usize,
}

impl<'a> Number<'a> {
    /// The number that `rest` begins with; signs only where `signed`.
    pub(super) fn read(rest: &'a str, signed: bool) -> Option<Self> {
        let signs = [("-", "minus"), ("−", "minus"), ("+", "plus"), ("±", "plus or minus")];
        let sign = signs.iter().find(|(sign, _)| signed && rest.starts_with(sign));
        let start = sign.map_or(0, |(sign, _)| sign.len());
        let unsigned = &rest[start..];
        let first = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let (mut whole, mut length) = (unsigned[..first].to_owned(), first);
        while (1..=3).contains(&first) && is_group(&unsigned[length..]) {
            whole.push_str(&unsigned[length + 1..length + 4]);
            length += 4;
        }
        let is_grouped = length > first;
        let after = unsigned[length..].strip_prefix('.').unwrap_or_default();
        let decimals = after.bytes().take_while(u8::is_ascii_digit).count();
        let fraction = (decimals > 0).then(|| &after[..decimals]);
        length += fraction.map_or(0, |fraction| fraction.len() + 1);
        let sign = sign.map(|(_, said)| *said);
        (length > 0).then_some(Self { sign, whole, fraction, is_grouped, length: start + length })
    }

    /// Whether it is one of something.
    pub(super) fn is_one(&self) -> bool {
        self.whole == "1" && self.fraction.is_none()
    }

    /// It without what is after the point.
    pub(super) fn without_fraction(&self) -> Number<'static> {
        Number { sign: self.sign, whole: self.whole.clone(), fraction: None, is_grouped: false, length: 0 }
    }

    /// A whole number without sign and groups.
    pub(super) fn plain(&self) -> Option<u32> {
        let is_plain = self.sign.is_none() && self.fraction.is_none() && !self.is_grouped && self.whole.len() <= 9;
        if is_plain { self.whole.parse().ok() } else { None }
    }

    /// It in words. Numbers that begin with zeros are names of something, and read digit by digit.
    pub(super) fn said(&self, dialect: Dialect) -> String {
        let is_name = self.whole.len() > 1 && self.whole.starts_with('0') && self.fraction.is_none();
        let said = match is_name {
            true => one_by_one(&self.whole),
            false => decimal(&self.whole, self.fraction, dialect),
        };
        self.sign.map_or(said.clone(), |sign| format!("{sign} {said}"))
    }
}

/// Whether `rest` begins with a comma and three digits, and no more.
fn is_group(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    bytes.len() >= 4
        && bytes[0] == b','
        && bytes[1..4].iter().all(u8::is_ascii_digit)
        && !bytes.get(4).is_some_and(u8::is_ascii_digit)
}

/// Whether a sign at `place` belongs to the number after it.
pub(super) fn takes_sign(place: &Place<'_>) -> bool {
    place.previous().is_none_or(|c| c.is_whitespace() || "([{\"“'‘=<>$€£*×/:,~".contains(c))
}

/// A number by itself.
pub(super) fn number(place: &Place<'_>) -> Option<Reading> {
    let number = Number::read(place.rest(), takes_sign(place))?;
    let after = &place.rest()[number.length..];
    let is_after_word = place.rest().starts_with('.') && place.previous().is_some_and(characters::is_word);
    (is_over(after) && !is_after_word).then(|| Reading::one(number.length, number.said(place.dialect)))
}

/// `text` when it is nothing but a number.
pub(super) fn whole_text(text: &str, dialect: Dialect) -> Option<String> {
    Number::read(text, true).filter(|number| number.length == text.len()).map(|number| number.said(dialect))
}

/// `1st`, `1,000th`.
pub(super) fn ordinal_number(place: &Place<'_>) -> Option<Reading> {
    let number = Number::read(place.rest(), false).filter(|number| number.fraction.is_none())?;
    let after = &place.rest()[number.length..];
    let suffix = after.get(..2).filter(|it| ["st", "nd", "rd", "th"].contains(&it.to_ascii_lowercase().as_str()))?;
    let length = number.length + suffix.len();
    is_over(&place.rest()[length..]).then(|| Reading::one(length, ordinal(&number.whole, place.dialect)))
}

/// `10-20`, `2019–2021`, `5-10 km`, `10%-20%`.
pub(super) fn range(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let from = Number::read(rest, takes_sign(place))?;
    let percent = usize::from(rest[from.length..].starts_with('%'));
    let dash = dash(&rest[from.length + percent..])?;
    let start = from.length + percent + dash;
    let to = Number::read(&rest[start..], false)?;
    let mut end = start + to.length;
    // More than two numbers are no range.
    let is_dash = |c: char| matches!(c, '-' | '–' | '‑');
    let goes_on = rest[end..].strip_prefix(is_dash).is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
    if goes_on || place.previous().is_some_and(is_dash) {
        return None;
    }
    let is_years = |number: &Number<'_>| number.plain().filter(|year| (1000..2100).contains(year));
    let (mut first, mut second) = (from.said(place.dialect), to.said(place.dialect));
    if let Some(begin) = is_years(&from)
        && (is_years(&to).is_some() || to.whole.len() == 2)
    {
        first = year::said(begin, place.dialect);
        second = is_years(&to).map_or(second, |year| year::said(year, place.dialect));
    }
    if percent > 0 {
        first += " percent";
    }
    let mut said = vec![(0..from.length, first)];
    match Measured::after(&to, &rest[end..]) {
        Some(unit) if unit.gap > 0 => {
            said.push((start..end, format!("to {second}")));
            said.push((end + unit.gap..end + unit.gap + unit.length, unit.plural));
            end = 0;
        }
        Some(unit) => {
            end += unit.length;
            said.push((start..end, format!("to {second} {}", unit.plural)));
        }
        None => said.push((start..end, format!("to {second}"))),
    }
    (end == 0 || is_over(&rest[end..])).then(|| Reading::several(said))
}

/// The length of the dash of a range: without spaces, or one that is no hyphen between spaces.
pub(super) fn dash(rest: &str) -> Option<usize> {
    let spaced = gap(rest).unwrap_or(0);
    let dash = rest[spaced..].chars().next().filter(|c| matches!(c, '-' | '–' | '—' | '−' | '‑'))?;
    let length = spaced + dash.len_utf8();
    match (spaced, gap(&rest[length..])) {
        (0, None) => Some(length),
        (1.., Some(space)) if dash == '–' => Some(length + space),
        _ => None,
    }
}

/// A number of at most two digits in words, `oh five` when it is written `05`.
pub(super) fn two_digits(digits: &str) -> String {
    match digits.strip_prefix('0') {
        Some("0") => "hundred".to_owned(),
        Some(digit) if !digit.is_empty() => format!("oh {}", one_by_one(digit)),
        _ => cardinal(digits, Dialect::American),
    }
}
