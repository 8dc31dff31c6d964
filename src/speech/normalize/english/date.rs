//! Dates.

use super::{Dialect, Place, Reading, digits, gap, is_over, letters, ordinal, time, year};
use crate::speech::script::DateOrder;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A day; what is missing is 0.
#[derive(Default)]
struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(Self { year, month, day })
    }

    fn said(&self, dialect: Dialect) -> String {
        let month = MONTHS[(self.month as usize + 11) % 12];
        let day = ordinal(&self.day.to_string(), dialect);
        let year = if self.year > 0 { format!(" {}", year::said(self.year, dialect)) } else { String::new() };
        match (self.month, self.day, dialect) {
            (0, ..) => year.trim().to_owned(),
            (_, 0, _) => format!("{month}{year}"),
            (_, _, Dialect::American) => format!("{month} {day}{year}"),
            (_, _, Dialect::British) => format!("the {day} of {month}{year}"),
        }
    }
}

/// `2024-05-03`, `5/3/2024`, `3.5.2024`, `3 May 2024`, `May 3rd, 2024`, `Mon. 3 May`.
pub(super) fn date(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    match rest.bytes().next()? {
        b'0'..=b'9' => iso(place).or_else(|| numeric(place)).or_else(|| day_month(place)),
        b'A'..=b'Z' => month_day(place).or_else(|| weekday(place)),
        _ => None,
    }
}

/// `2024-05-03`, and a time after `T`.
fn iso(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let year = digits(rest, 4).filter(|it| it.len() == 4)?;
    let separator = rest.as_bytes().get(4).filter(|b| matches!(b, b'-' | b'/' | b'.'))?;
    let part = |at: usize| rest.get(at..).and_then(|rest| digits(rest, 2)).filter(|it| it.len() == 2);
    let (month, day) = (part(5)?, rest.as_bytes().get(7).filter(|b| *b == separator).and_then(|_| part(8))?);
    let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?;
    let said = date.said(place.dialect);
    if let Some(clock) = rest[10..].strip_prefix('T') {
        let length = clock.bytes().take(20).take_while(|b| b.is_ascii_digit() || *b == b':').count();
        let time = time::time_text(&clock[..length], place.dialect)?;
        let zulu = clock[length..].starts_with('Z');
        let end = 11 + length + usize::from(zulu);
        let zone = if zulu { " U T C" } else { "" };
        return is_over(&rest[end..]).then(|| Reading::one(end, format!("{said} {time}{zone}")));
    }
    is_over(&rest[10..]).then(|| Reading::one(10, said))
}

/// `5/3/2024` in the order of the dialect, unless only the other makes a date; `3.5.2024`.
fn numeric(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let (parts, length, separator) = three_parts(rest)?;
    let [first, second, year] = parts;
    let is_date = matches!(separator, b'/' | b'.') || (separator == b'-' && year.len() == 4);
    if !is_date || !(year.len() == 4 || (year.len() == 2 && separator == b'/')) || !is_over(&rest[length..]) {
        return None;
    }
    let order = if separator == b'.' { Dialect::British } else { place.dialect };
    let date = ordered(first, second, year, order)?;
    Some(Reading::one(length, date.said(place.dialect)))
}

fn ordered(first: &str, second: &str, year: &str, order: Dialect) -> Option<Date> {
    let (first, second) = (first.parse().ok()?, second.parse().ok()?);
    let year = full_year(year)?;
    let (american, british) = (Date::new(year, first, second), Date::new(year, second, first));
    match order {
        Dialect::American => american.or(british),
        Dialect::British => british.or(american),
    }
}

/// A year of two digits is of this century, or, from 50 on, of the last.
fn full_year(digits: &str) -> Option<u32> {
    let year: u32 = digits.parse().ok()?;
    Some(match (digits.len(), year) {
        (2, 0..50) => 2000 + year,
        (2, _) => 1900 + year,
        _ => year,
    })
}

/// Three numbers with the same sign between them, their length, and the sign.
fn three_parts(rest: &str) -> Option<([&str; 3], usize, u8)> {
    let first = digits(rest, 2)?;
    let separator = *rest.as_bytes().get(first.len()).filter(|b| matches!(b, b'/' | b'-' | b'.'))?;
    let second = digits(&rest[first.len() + 1..], 2)?;
    let at = first.len() + 1 + second.len();
    rest.as_bytes().get(at).filter(|b| **b == separator)?;
    let third = digits(&rest[at + 1..], 4)?;
    Some(([first, second, third], at + 1 + third.len(), separator))
}

/// The month that `rest` begins with, in full or short, with its length.
fn month(rest: &str) -> Option<(usize, usize)> {
    let word = letters(rest, 9).filter(|word| word.len() >= 3 && word.starts_with(|c: char| c.is_ascii_uppercase()))?;
    let is_short = word.len() == 3 || word == "Sept";
    let is_it = |month: &str| word.eq_ignore_ascii_case(month) || (is_short && month.starts_with(word));
    let at = MONTHS.iter().position(|month| is_it(month))?;
    let is_short = word.len() < MONTHS[at].len();
    Some((at, word.len() + usize::from(is_short && rest[word.len()..].starts_with('.'))))
}

/// A day of a month, with its `th`.
fn day(rest: &str) -> Option<(String, usize)> {
    let day = digits(rest, 2)?;
    let suffix = rest.get(day.len()..day.len() + 2).filter(|it| ["st", "nd", "rd", "th"].contains(it));
    let length = day.len() + suffix.map_or(0, str::len);
    let value: u32 = day.parse().ok()?;
    let is_day = (1..=31).contains(&value) && is_over(&rest[length..]);
    let goes_on = rest[length..].starts_with(['.', ':', '%', ',']) && digits(&rest[length + 1..], 9).is_some();
    (is_day && !goes_on).then(|| (value.to_string(), length))
}

/// The year that stands at `at` behind a space, or behind a comma and a space: where it begins and ends, and itself.
fn year_at(rest: &str, at: usize) -> Option<(usize, usize, u32)> {
    let comma = usize::from(rest[at..].starts_with(','));
    let start = at + comma + gap(&rest[at + comma..])?;
    let year = digits(&rest[start..], 4).filter(|it| it.len() == 4 && is_over(&rest[start + 4..]))?;
    let value = year.parse().ok().filter(|year| (1000..2100).contains(year))?;
    Some((start, start + 4, value))
}

/// `3 May 2024`, `3rd of May`, `3–5 May`.
fn day_month(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let (first, mut end) = day(rest)?;
    let mut said = vec![(0..end, format!("the {}", ordinal(&first, place.dialect)))];
    if let Some(dash) = super::quantity::dash(&rest[end..]) {
        let (second, length) = day(&rest[end + dash..])?;
        let start = end + dash;
        end = start + length;
        said.push((start..end, format!("to the {}", ordinal(&second, place.dialect))));
    }
    let mut start = end + gap(&rest[end..])?;
    let of = rest[start..].starts_with("of ");
    let (month, length) = month(&rest[start + if of { 3 } else { 0 }..])?;
    if of {
        said.push((start..start + 2, "of".to_owned()));
        start += 3;
    }
    let of = if of { "" } else { "of " };
    said.push((start..start + length, format!("{of}{}", MONTHS[month])));
    if place.previous_word().eq_ignore_ascii_case("the") {
        said[0].1 = said[0].1.trim_start_matches("the ").to_owned();
    }
    if let Some((from, to, year)) = year_at(rest, start + length) {
        said.push((from..to, year::said(year, place.dialect)));
    }
    Some(Reading::several(said))
}

/// `May 3rd, 2024`, `Jan. 5`, `May 3-5`, `May 2024`.
fn month_day(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let (month, length) = month(rest)?;
    let mut said = vec![(0..length, MONTHS[month].to_owned())];
    let name = letters(rest, 9)?;
    if let Some((from, to, year)) = year_at(rest, length) {
        said.push((from..to, year::said(year, place.dialect)));
        return Some(Reading::several(said));
    }
    let start = length + gap(&rest[length..]).unwrap_or(0);
    let Some((first, size)) = day(&rest[start..]).filter(|_| start > length) else {
        // `Jan.` by itself; but `Mar` and `Dec` may be names, and `May.` is no abbreviation.
        let is_short = length > name.len();
        return is_short.then(|| Reading { ends_sentence: super::is_end(&rest[length..]), ..Reading::several(said) });
    };
    let mut end = start + size;
    said.push((start..end, ordinal(&first, place.dialect)));
    let range = super::quantity::dash(&rest[end..]).and_then(|dash| Some((dash, day(&rest[end + dash..])?)));
    if let Some((dash, (second, size))) = range {
        said.push((end + dash..end + dash + size, format!("to {}", ordinal(&second, place.dialect))));
        end += dash + size;
    }
    if let Some((from, to, year)) = year_at(rest, end) {
        said.push((from..to, year::said(year, place.dialect)));
    }
    Some(Reading::several(said))
}

/// `Mon.` and the like in front of a date.
fn weekday(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    let word = letters(rest, 5)?;
    let short = ["Mon", "Tue", "Tues", "Wed", "Thu", "Thur", "Thurs", "Fri", "Sat", "Sun"];
    let is_short = short.contains(&word);
    let dot = usize::from(rest[word.len()..].starts_with('.'));
    let comma = usize::from(rest[word.len() + dot..].starts_with(','));
    let end = word.len() + dot;
    let next = &rest[end + comma..];
    let next = &next[gap(next)?..];
    let is_before_date = day(next).is_some() || month(next).is_some();
    let day = DAYS.iter().find(|day| day.starts_with(word))?;
    (is_short && is_before_date).then(|| Reading::one(end, *day))
}

/// `text` as a date in a given order.
pub(super) fn date_text(text: &str, order: DateOrder, dialect: Dialect) -> Option<String> {
    let place = Place { text, at: 0, end: text.len(), is_quoted: false, dialect };
    if let Some(reading) = date(&place).filter(|reading| order == DateOrder::Any && reading.length == text.len()) {
        return Some(reading.said.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(" "));
    }
    let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let is_digits = text.chars().all(|c| c.is_ascii_digit() || "/-. ".contains(c));
    let parts = match (order, parts.as_slice()) {
        _ if !is_digits => return None,
        (DateOrder::YearMonthDay, [all]) if all.len() == 8 => vec![&all[..4], &all[4..6], &all[6..]],
        (DateOrder::MonthDayYear | DateOrder::DayMonthYear, [all]) if all.len() == 8 => {
            vec![&all[..2], &all[2..4], &all[4..]]
        }
        _ => parts,
    };
    let part = |at: usize| parts.get(at).filter(|it| it.len() <= 4);
    let number = |at: usize| part(at).and_then(|it| it.parse::<u32>().ok());
    let year = |at: usize| part(at).map_or(Some(0), |it| full_year(it));
    let (date, used) = match order {
        DateOrder::MonthDayYear | DateOrder::Any if dialect == Dialect::American || order != DateOrder::Any => {
            (Date::new(year(2)?, number(0)?, number(1)?)?, 3)
        }
        DateOrder::DayMonthYear | DateOrder::Any | DateOrder::MonthDayYear => {
            (Date::new(year(2)?, number(1)?, number(0)?)?, 3)
        }
        DateOrder::YearMonthDay => (Date::new(year(0)?, number(1)?, number(2).unwrap_or(1))?, 3),
        DateOrder::MonthYear => (Date::new(year(1)?, number(0)?, 1)?, 2),
        DateOrder::Year => (Date { year: year(0)?, ..Date::default() }, 1),
    };
    let has_day = match order {
        DateOrder::MonthYear => false,
        DateOrder::YearMonthDay => parts.len() != 2,
        _ => true,
    };
    let date = Date { day: if has_day { date.day } else { 0 }, ..date };
    (parts.len() <= used && !parts.is_empty()).then(|| date.said(dialect))
}
