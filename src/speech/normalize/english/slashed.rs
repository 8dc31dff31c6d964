//! Numbers with a slash: fractions, and what only looks like them. Fractions of one character are here too.

use super::{Dialect, Place, Reading, cardinal, cardinal::plural, digits, gap, is_over, ordinal};

/// Fractions of one character.
const SIGNS: &[(char, &str, &str)] = &[
    ('½', "1", "2"),
    ('⅓', "1", "3"),
    ('⅔', "2", "3"),
    ('¼', "1", "4"),
    ('¾', "3", "4"),
    ('⅕', "1", "5"),
    ('⅖', "2", "5"),
    ('⅗', "3", "5"),
    ('⅘', "4", "5"),
    ('⅙', "1", "6"),
    ('⅚', "5", "6"),
    ('⅐', "1", "7"),
    ('⅛', "1", "8"),
    ('⅜', "3", "8"),
    ('⅝', "5", "8"),
    ('⅞', "7", "8"),
    ('⅑', "1", "9"),
    ('⅒', "1", "10"),
];

/// `1/2`, `1 1/2`, `2½`, `¾`, `8/10`, `24/7`.
pub(super) fn slashed(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    if !rest.starts_with(|c: char| c.is_numeric()) {
        return None;
    }
    if let Some((said, length)) = fraction(rest, place.dialect) {
        return is_over(&rest[length..]).then(|| Reading::one(length, said));
    }
    let whole = digits(rest, 9)?;
    let space = gap(&rest[whole.len()..]).unwrap_or(0);
    let start = whole.len() + space;
    if let Some((said, length)) = fraction(&rest[start..], place.dialect)
        && (space > 0 || !rest[start..].starts_with(|c: char| c.is_ascii_digit()))
        && is_over(&rest[start + length..])
    {
        let whole = cardinal(whole, place.dialect);
        let said = match said.strip_prefix("one ") {
            Some(part) if part.starts_with('e') => format!("and an {part}"),
            Some(part) => format!("and a {part}"),
            None => format!("and {said}"),
        };
        return Some(match space {
            0 => Reading::one(start + length, format!("{whole} {said}")),
            _ => Reading::several(vec![(0..start - space, whole), (start..start + length, said)]),
        });
    }
    let (first, second, length) = two(rest)?;
    let (top, bottom) = (cardinal(first, place.dialect), cardinal(second, place.dialect));
    let said = match (first, second) {
        ("24", "7") => "twenty-four seven".to_owned(),
        ("9", "11") => "nine eleven".to_owned(),
        (_, "5" | "10" | "100") => format!("{top} out of {bottom}"),
        _ => format!("{top} slash {bottom}"),
    };
    is_over(&rest[length..]).then(|| Reading::one(length, said))
}

/// Two numbers with a slash between them and none after, and their length.
fn two(rest: &str) -> Option<(&str, &str, usize)> {
    let first = digits(rest, 9)?;
    let after = &rest[first.len()..];
    let slash = after.chars().next().filter(|c| matches!(c, '/' | '⁄'))?.len_utf8();
    let second = digits(&after[slash..], 9)?;
    let length = first.len() + slash + second.len();
    (!rest[length..].starts_with('/')).then_some((first, second, length))
}

/// The fraction that `rest` begins with.
fn fraction(rest: &str, dialect: Dialect) -> Option<(String, usize)> {
    let c = rest.chars().next()?;
    if let Some((_, top, bottom)) = SIGNS.iter().find(|(sign, ..)| *sign == c) {
        return Some((said(top, bottom, dialect), c.len_utf8()));
    }
    let (top, bottom, length) = two(rest)?;
    let (over, under): (u32, u32) = (top.parse().ok()?, bottom.parse().ok()?);
    let is_common = matches!(under, 2..=9 | 12 | 16 | 20 | 32 | 64) || (matches!(under, 10 | 100) && over == 1);
    (is_common && over > 0 && over < under).then(|| (said(top, bottom, dialect), length))
}

fn said(top: &str, bottom: &str, dialect: Dialect) -> String {
    let part = match bottom {
        "2" => "half".to_owned(),
        "4" => "quarter".to_owned(),
        bottom => ordinal(bottom, dialect),
    };
    let is_one = top.trim_start_matches('0') == "1";
    let part = match (is_one, part.as_str()) {
        (true, _) => part,
        (_, "half") => "halves".to_owned(),
        _ => plural(&part),
    };
    format!("{} {part}", cardinal(top, dialect))
}

/// `text` when it is nothing but a fraction, whatever its numbers.
pub(super) fn fraction_text(text: &str, dialect: Dialect) -> Option<String> {
    let place = Place { text, at: 0, end: text.len(), is_quoted: false, dialect };
    if let Some((top, bottom, _)) = two(text).filter(|it| it.2 == text.len()) {
        let is_one_over = matches!(bottom.trim_start_matches('0'), "" | "1");
        return Some(match is_one_over {
            true => format!("{} over {}", cardinal(top, dialect), cardinal(bottom, dialect)),
            false => said(top, bottom, dialect),
        });
    }
    let reading = slashed(&place).filter(|reading| reading.length == text.len())?;
    Some(reading.said.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(" "))
}
