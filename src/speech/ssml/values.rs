//! What the attributes of SSML mean. Errors are a reason without a place.

use crate::speech::script::{DateOrder, LONGEST_PAUSE, SayAs, duration};
use std::time::Duration;

/// How long a break of a strength lasts.
pub(super) fn strength(value: &str) -> Result<Duration, String> {
    let milliseconds = match value {
        "none" | "x-weak" => 0,
        "weak" => 250,
        "medium" => 500,
        "strong" => 750,
        "x-strong" => 1000,
        other => return Err(format!("`{other}` is no strength of a break")),
    };
    Ok(Duration::from_millis(milliseconds))
}

/// How long a break with a time lasts.
pub(super) fn time(value: &str) -> Result<Duration, String> {
    let value = value.trim().trim_start_matches('+');
    let time = duration(value).ok_or_else(|| format!("`{value}` is no time: write `500ms` or `1.5s`"))?;
    time.filter(|time| *time <= LONGEST_PAUSE).ok_or_else(|| "a break is at most 10 s".to_owned())
}

/// The factor of a speaking rate: a word, `150%`, `+20%` or `1.5`.
pub(super) fn rate(value: &str) -> Result<f32, String> {
    let factor = match value {
        "x-slow" => Some(0.5),
        "slow" => Some(0.75),
        "medium" | "default" => Some(1.0),
        "fast" => Some(1.3),
        "x-fast" => Some(1.7),
        _ => match value.strip_suffix('%') {
            Some(change) if is_signed(change) => number(change).map(|change| 1.0 + change / 100.0),
            Some(percentage) => number(percentage).map(|percentage| percentage / 100.0),
            None if is_signed(value) => None,
            None => number(value),
        },
    };
    let factor = factor.filter(|factor| *factor > 0.0);
    factor.ok_or_else(|| format!("`{value}` is no rate: write `slow`, `80%`, `+20%` or `1.2`"))
}

/// The factor of a pitch: a word, `+10%` or `-2st`.
pub(super) fn pitch(value: &str) -> Result<f32, String> {
    let factor = match value {
        "x-low" => Some(0.7),
        "low" => Some(0.85),
        "medium" | "default" => Some(1.0),
        "high" => Some(1.18),
        "x-high" => Some(1.4),
        _ if !is_signed(value) => None,
        _ => match (value.strip_suffix('%'), value.strip_suffix("st")) {
            (Some(change), _) => number(change).map(|change| 1.0 + change / 100.0),
            (_, Some(semitones)) => number(semitones).map(|semitones| (semitones / 12.0).exp2()),
            _ => None,
        },
    };
    let factor = factor.filter(|factor| *factor > 0.0);
    factor.ok_or_else(|| format!("`{value}` is no pitch: write `high`, `+10%` or `-2st`"))
}

/// The factor of a gain: a word, `+6dB`, `-20%`, or a number up to 100, which is the loudness of the voice itself.
pub(super) fn volume(value: &str) -> Result<f32, String> {
    let decibels = |decibels: f32| 10f32.powf(decibels / 20.0);
    let factor = match value {
        "silent" => Some(0.0),
        "x-soft" => Some(decibels(-12.0)),
        "soft" => Some(decibels(-6.0)),
        "medium" | "default" => Some(1.0),
        "loud" => Some(decibels(6.0)),
        "x-loud" => Some(decibels(12.0)),
        _ => match (value.strip_suffix("dB"), value.strip_suffix('%')) {
            (Some(change), _) => number(change).map(decibels),
            (_, Some(change)) if is_signed(change) => number(change).map(|change| (1.0 + change / 100.0).max(0.0)),
            _ => number(value).filter(|level| !is_signed(value) && *level <= 100.0).map(|level| level / 100.0),
        },
    };
    factor.ok_or_else(|| format!("`{value}` is no volume: write `soft`, `+6dB` or a number up to 100"))
}

fn is_signed(value: &str) -> bool {
    value.starts_with(['+', '-'])
}

/// A plain decimal number of a size that can be computed with.
fn number(text: &str) -> Option<f32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.len() <= 16 && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| is_plain)
}

/// A kind of thing by its name in the W3C's note, and by what large vendors call it.
pub(super) fn say_as(kind: &str, format: Option<&str>) -> Result<SayAs, String> {
    let known = match kind {
        "characters" | "spell-out" | "verbatim" => SayAs::Characters,
        "cardinal" | "number" => SayAs::Cardinal,
        "ordinal" => SayAs::Ordinal,
        "digits" => SayAs::Digits,
        "fraction" => SayAs::Fraction,
        "unit" => SayAs::Unit,
        "date" => return format.map_or(Ok(DateOrder::Any), date_order).map(SayAs::Date),
        "time" => SayAs::Time,
        "telephone" => SayAs::Telephone,
        "currency" => SayAs::Currency,
        other => return Err(format!("`interpret-as` cannot be `{other}`")),
    };
    match (known, format) {
        (_, None) => Ok(known),
        // A number of a telephone is read the same way in every country, and the time shows how it is meant.
        (SayAs::Time, Some("hms12" | "hms24")) => Ok(known),
        (SayAs::Telephone, Some(format)) if format.bytes().all(|b| b.is_ascii_digit()) => Ok(known),
        (_, Some(format)) => Err(format!("the format `{format}` is not supported")),
    }
}

/// The order that a format such as `mdy` or `yyyymmdd` names.
fn date_order(format: &str) -> Result<DateOrder, String> {
    let mut order = format.to_ascii_lowercase();
    order.retain(|c| c.is_ascii_alphabetic());
    let mut letters: Vec<char> = order.chars().collect();
    letters.dedup();
    match letters.iter().collect::<String>().as_str() {
        "mdy" | "md" => Ok(DateOrder::MonthDayYear),
        "dmy" | "dm" => Ok(DateOrder::DayMonthYear),
        "ymd" | "ym" => Ok(DateOrder::YearMonthDay),
        "my" => Ok(DateOrder::MonthYear),
        "y" => Ok(DateOrder::Year),
        _ => Err(format!("the format `{format}` of a date is not supported: write `mdy`, `dmy`, `ymd`, `my` or `y`")),
    }
}

/// A language tag.
pub(super) fn language(tag: &str) -> Result<String, String> {
    let tag = tag.trim();
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let first = tag.split('-').next().unwrap_or_default();
    let is_tag = tag.len() <= 35 && first.len() >= 2 && first.bytes().all(|b| b.is_ascii_alphabetic());
    match is_tag && tag.split('-').all(is_part) {
        true => Ok(tag.to_owned()),
        false => Err("`xml:lang` is no language tag, such as `en` or `pt-BR`".to_owned()),
    }
}

/// Phonemes of the International Phonetic Alphabet, checked.
pub(super) fn ipa(written: &str) -> Result<String, String> {
    match written.chars().find(|c| !crate::speech::lexicon::is_ipa(*c)) {
        Some(c) => Err(format!("`{c}` is no sign of the International Phonetic Alphabet")),
        None => Ok(written.to_owned()),
    }
}
