//! Numbers in words.

use super::Dialect;

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [&str; 12] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
];

/// The whole number that ASCII `digits` write; digit by digit when there is no name for so many.
pub(super) fn cardinal(digits: &str, dialect: Dialect) -> String {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return SMALL[0].to_owned();
    }
    if digits.len() > SCALES.len() * 3 {
        return one_by_one(digits);
    }
    let groups = digits.len().div_ceil(3);
    let mut said: Vec<String> = Vec::new();
    for group in (0..groups).rev() {
        let end = digits.len() - group * 3;
        let value: usize = digits[end.saturating_sub(3)..end].parse().unwrap_or(0);
        if value == 0 {
            continue;
        }
        if group == 0 && value < 100 && !said.is_empty() && dialect == Dialect::British {
            said.push("and".to_owned());
        }
        said.push(below_thousand(value, dialect));
        if group > 0 {
            said.push(SCALES[group].to_owned());
        }
    }
    said.join(" ")
}

fn below_thousand(value: usize, dialect: Dialect) -> String {
    let (hundreds, rest) = (value / 100, value % 100);
    let and = if dialect == Dialect::British { "and " } else { "" };
    match (hundreds, rest) {
        (0, rest) => below_hundred(rest),
        (hundreds, 0) => format!("{} hundred", SMALL[hundreds]),
        (hundreds, rest) => format!("{} hundred {and}{}", SMALL[hundreds], below_hundred(rest)),
    }
}

/// A number below a hundred.
pub(super) fn below_hundred(value: usize) -> String {
    match (value / 10, value % 10) {
        (0 | 1, _) => SMALL[value % 20].to_owned(),
        (tens, 0) => TENS[tens % 10].to_owned(),
        (tens, ones) => format!("{}-{}", TENS[tens % 10], SMALL[ones]),
    }
}

/// A place in a row: `third`.
pub(super) fn ordinal(digits: &str, dialect: Dialect) -> String {
    let cardinal = cardinal(digits, dialect);
    let at = cardinal.rfind([' ', '-']).map_or(0, |at| at + 1);
    let (before, last) = cardinal.split_at(at);
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        last => match last.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{last}th"),
        },
    };
    format!("{before}{last}")
}

/// Digits, each by itself.
pub(super) fn one_by_one(digits: &str) -> String {
    let mut said = String::with_capacity(digits.len() * 6);
    for digit in digits.bytes().filter(u8::is_ascii_digit) {
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(SMALL[usize::from(digit - b'0')]);
    }
    said
}

/// A number with digits after the point, if it has some.
pub(super) fn decimal(whole: &str, fraction: Option<&str>, dialect: Dialect) -> String {
    let said = cardinal(whole, dialect);
    match fraction {
        None => said,
        Some(fraction) if whole.is_empty() => format!("point {}", one_by_one(fraction)),
        Some(fraction) => format!("{said} point {}", one_by_one(fraction)),
    }
}

/// `word` for several: `nineties`, `feet` are not its business.
pub(super) fn plural(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ if word.ends_with(['x', 's']) => format!("{word}es"),
        _ => format!("{word}s"),
    }
}
