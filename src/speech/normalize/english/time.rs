//! Times of day, and ratios, which look like them.

use super::quantity::two_digits;
use super::{Dialect, Place, Reading, cardinal, digits, gap, is_over, may_end_sentence};

/// `5:30pm`, `17:45`, `9 a.m.`, `12:34:56`, `10:00-12:30`, and `16:9`.
pub(super) fn time(place: &Place<'_>) -> Option<Reading> {
    let rest = place.rest();
    if place.before().ends_with(':') {
        return None;
    }
    let (end, said, half) = clock(rest, place.dialect)?;
    let to = super::quantity::dash(&rest[end..]).map(|dash| end + dash);
    if let Some((to, (length, until, _))) = to.and_then(|to| Some((to, clock(&rest[to..], place.dialect)?)))
        && is_over(&rest[to + length..])
    {
        return Some(Reading::several(vec![(0..end, said), (to..to + length, format!("to {until}"))]));
    }
    if !is_over(&rest[end..]) || (rest[end..].starts_with(':') && digits(&rest[end + 1..], 9).is_some()) {
        return None;
    }
    let Some(half) = half else { return Some(Reading::one(end, said)) };
    let ends_sentence = rest[..end].ends_with('.') && may_end_sentence(&rest[end..]);
    // The half is two letters with a space in front.
    let number = said.len() - 3;
    let reading = match half.gap > 0 {
        true => Reading::several(vec![
            (0..half.start - half.gap, said[..number].to_owned()),
            (half.start..end, said[number + 1..].to_owned()),
        ]),
        false => Reading::one(end, said),
    };
    Some(Reading { ends_sentence, ..reading })
}

/// Where the half of the day stands, and the length of the space in front of it.
struct Half {
    start: usize,
    gap: usize,
}

/// The time that `rest` begins with: its length, how it is said, and its half of the day.
fn clock(rest: &str, dialect: Dialect) -> Option<(usize, String, Option<Half>)> {
    let hour = digits(rest, 3)?;
    let mut end = hour.len();
    let minutes = minutes(&rest[end..]);
    end += minutes.map_or(0, |_| 3);
    let half = half(&rest[end..]);
    let hours: usize = hour.parse().ok()?;
    if let (Some((gap, length, said)), true) = (half, (1..=12).contains(&hours)) {
        let minutes = minutes.filter(|it| *it != "00").map_or(String::new(), |it| format!(" {}", two_digits(it)));
        let said = format!("{}{minutes} {said}", cardinal(hour, dialect));
        let half = Half { start: end + gap, gap };
        return Some((end + gap + length, said, Some(half)));
    }
    let Some(minutes) = minutes else { return ratio(rest, hour, dialect) };
    if hours > 24 {
        return ratio(rest, hour, dialect);
    }
    if let Some(seconds) = self::minutes(&rest[end..]) {
        let seconds = cardinal(seconds, dialect);
        let minutes = if minutes == "00" { "zero".to_owned() } else { two_digits(minutes) };
        let said = format!("{} {minutes} and {seconds} seconds", cardinal(hour, dialect));
        return Some((end + 3, said, None));
    }
    let said = match (hours, minutes) {
        (1..=12, "00") if !hour.starts_with('0') => format!("{} o'clock", cardinal(hour, dialect)),
        _ => format!("{} {}", if hours == 0 { "zero".to_owned() } else { two_digits(hour) }, two_digits(minutes)),
    };
    Some((end, said, None))
}

/// The two digits, below sixty, behind a colon.
fn minutes(rest: &str) -> Option<&str> {
    let minutes = digits(rest.strip_prefix(':')?, 2).filter(|it| it.len() == 2 && *it < "60")?;
    Some(minutes)
}

/// The half of the day that `rest` begins with: the space in front, its length, how it is said.
fn half(rest: &str) -> Option<(usize, usize, &'static str)> {
    let gap = gap(rest).unwrap_or(0);
    let halves = [("a.m.", "AM"), ("p.m.", "PM"), ("am", "AM"), ("pm", "PM"), ("a.m", "AM"), ("p.m", "PM")];
    let written = |it: &&(&str, &str)| {
        let there = rest[gap..].get(..it.0.len());
        let is_same = there.is_some_and(|there| there.eq_ignore_ascii_case(it.0));
        is_same && is_over(&rest[gap + it.0.len()..])
    };
    halves.iter().find(written).map(|(written, said)| (gap, written.len(), *said))
}

/// `16:9`.
fn ratio(rest: &str, first: &str, dialect: Dialect) -> Option<(usize, String, Option<Half>)> {
    let second = digits(rest[first.len()..].strip_prefix(':')?, 3)?;
    let length = first.len() + 1 + second.len();
    Some((length, format!("{} to {}", cardinal(first, dialect), cardinal(second, dialect)), None))
}

/// `text` when it is nothing but a time.
pub(super) fn time_text(text: &str, dialect: Dialect) -> Option<String> {
    clock(text, dialect).filter(|(length, ..)| *length == text.len()).map(|(_, said, _)| said)
}
