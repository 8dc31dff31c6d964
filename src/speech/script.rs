//! What a client wrote, as what is to be said: the text without its marks, in stretches of one style, and pauses.
//! Marks are SSML (see `ssml.rs`) when the text begins with `<speak`; otherwise `[pause:500ms]` is the only one.
//! How numbers and abbreviations are read is decided in [`super::normalize`].

use super::ssml;
use crate::error::{Error, Result};
use std::ops::Range;
use std::time::Duration;

/// No pause that a text asks for is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// All pauses of a text together are no longer: silence costs a client nothing to write.
const ALL_PAUSES: Duration = Duration::from_secs(3600);

/// The tag for a pause is looked for within so many bytes.
const LONGEST_TAG: usize = 32;

/// A text to be spoken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// What people would read: no markup, no tags. Paragraphs are apart by an empty line, sentences that SSML marks by a
    /// line break.
    pub text: String,
    /// What to do, in order; the runs of it are apart and in the order of `text`.
    pub parts: Vec<Part>,
}

/// A step of a [`Script`].
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Say some of the text.
    Say(Run),
    /// Be silent.
    Pause(Duration),
}

/// A stretch of text in one style. It always has a character that is not white space.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Where it is in [`Script::text`], in bytes.
    pub text: Range<usize>,
    /// How it is said.
    pub style: Style,
    /// Stretches of [`Script::text`] inside `text`, in order and apart, that are read in a way of their own.
    pub overrides: Vec<(Range<usize>, Override)>,
}

/// How a stretch of text is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// The name of another voice than the request's.
    pub voice: Option<String>,
    /// The language of the text, as a tag such as `de` or `en-GB`; `None` is the voice's own.
    pub language: Option<String>,
    /// Factor of the speaking rate, `0.25..=4`.
    pub rate: f32,
    /// Factor of the pitch, `0.5..=2`.
    pub pitch: f32,
    /// Factor of the gain, `0..=4`; 0 is silent.
    pub volume: f32,
}

impl Default for Style {
    fn default() -> Self {
        Self { voice: None, language: None, rate: 1.0, pitch: 1.0, volume: 1.0 }
    }
}

/// How a stretch of text is read, whatever it looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Override {
    /// As a certain kind of thing.
    SayAs(SayAs),
    /// As these phonemes, in the International Phonetic Alphabet.
    Phonemes(String),
    /// As if this were written; nothing when it is empty.
    Sub(String),
}

/// Kinds of things that SSML may say a text is. Text that is no such thing is read as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SayAs {
    /// Letter by letter.
    Characters,
    /// A number.
    Cardinal,
    /// A place in a row: `3` is the third.
    Ordinal,
    /// Digit by digit.
    Digits,
    /// A fraction, such as `3/4`.
    Fraction,
    /// A number with a unit.
    Unit,
    /// A day, written in this order.
    Date(DateOrder),
    /// A time of day.
    Time,
    /// A telephone number.
    Telephone,
    /// An amount of money.
    Currency,
}

/// The order in which a date is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// What its looks and the language say.
    Any,
    /// Month, day, year; the year may be missing.
    MonthDayYear,
    /// Day, month, year; the year may be missing.
    DayMonthYear,
    /// Year, month, day; the day may be missing.
    YearMonthDay,
    /// Month and year.
    MonthYear,
    /// A year alone.
    Year,
}

impl Script {
    /// `text` as it stands, in the style of the request.
    pub fn plain(text: String) -> Self {
        let mut script = Builder::default();
        script.push(&text);
        script.finish()
    }
}

/// Reads what a client wrote. SSML is what begins with `<speak`, or with an XML declaration and then `<speak`.
///
/// # Errors
/// `InvalidRequest` (param `input`) with line and column for SSML that is malformed or asks for what is not there, for a
/// pause over [`LONGEST_PAUSE`], and for more than an hour of pauses in all.
pub fn parse(input: String) -> Result<Script> {
    if ssml::is_ssml(&input) {
        return ssml::parse(&input);
    }
    if !input.contains('[') {
        return Ok(Script::plain(input));
    }
    with_tags(&input)
}

/// Plain text with `[pause:500ms]` in it.
fn with_tags(input: &str) -> Result<Script> {
    let mut script = Builder::default();
    let mut rest = input;
    while let Some(at) = rest.find('[') {
        script.push(&rest[..at]);
        rest = &rest[at..];
        match pause_tag(rest) {
            Some((pause, length)) => {
                let pause = pause.filter(|pause| *pause <= LONGEST_PAUSE).ok_or_else(|| {
                    let (line, column) = position(input, input.len() - rest.len());
                    Error::invalid("input", format!("a pause is at most 10 s: line {line}, column {column}"))
                })?;
                script.pause(pause)?;
                rest = &rest[length..];
                if script.ends_in_space() {
                    rest = rest.strip_prefix(' ').unwrap_or(rest);
                }
            }
            None => {
                script.push("[");
                rest = &rest[1..];
            }
        }
    }
    script.push(rest);
    Ok(script.finish())
}

/// The pause that `rest` begins with, and the length of its tag; the pause is `None` when it is out of all range.
fn pause_tag(rest: &str) -> Option<(Option<Duration>, usize)> {
    let end = rest.bytes().take(LONGEST_TAG).position(|b| b == b']')?;
    let (name, time) = rest[1..end].split_once(':')?;
    if !name.trim().eq_ignore_ascii_case("pause") {
        return None;
    }
    Some((duration(time.trim())?, end + 1))
}

/// The time that `text` says, such as `500ms` or `1.5s`: `None` when it says none, `Some(None)` when nobody waits so long.
pub(super) fn duration(text: &str) -> Option<Option<Duration>> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let number = number.trim_end();
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let seconds: f64 = number.parse::<f64>().ok()? * unit;
    Some(Duration::try_from_secs_f64(seconds).ok())
}

/// Line and column, both from 1 and in characters, of the byte `at` of `text`.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Puts a [`Script`] together.
#[derive(Default)]
pub(super) struct Builder {
    script: Script,
    style: Style,
    /// Where the run that is being written begins.
    start: usize,
    overrides: Vec<(Range<usize>, Override)>,
    paused: Duration,
}

impl Builder {
    /// Adds text as it stands.
    pub(super) fn push(&mut self, text: &str) {
        self.script.text.push_str(text);
    }

    /// Adds text of a document, where any white space is one space.
    pub(super) fn push_collapsed(&mut self, text: &str) {
        for c in text.chars() {
            if !c.is_whitespace() {
                self.script.text.push(c);
            } else if !self.ends_in_space() {
                self.script.text.push(' ');
            }
        }
    }

    /// Begins a new line, or, with two, a new paragraph.
    pub(super) fn break_line(&mut self, lines: usize) {
        if self.script.text.trim().is_empty() {
            return;
        }
        while self.script.text.ends_with(' ') && self.script.text.len() > self.start {
            self.script.text.pop();
        }
        let there = self.script.text.bytes().rev().take_while(|b| *b == b'\n').count();
        (there..lines).for_each(|_| self.script.text.push('\n'));
    }

    /// How long the text is so far, in bytes.
    pub(super) fn len(&self) -> usize {
        self.script.text.len()
    }

    /// Has the text since `start` read as `how`; false when there is none.
    pub(super) fn override_since(&mut self, start: usize, how: Override) -> bool {
        let text = &self.script.text[start..];
        let start = start + text.len() - text.trim_start().len();
        let end = start + text.trim().len();
        if start < end {
            self.overrides.push((start..end, how));
        }
        start < end
    }

    /// The style of what comes next.
    pub(super) fn style(&self) -> &Style {
        &self.style
    }

    /// Says what comes next in `style`.
    pub(super) fn set_style(&mut self, style: Style) {
        if style != self.style {
            self.end_run();
            self.style = style;
        }
    }

    /// Adds a pause; none of no length.
    pub(super) fn pause(&mut self, pause: Duration) -> Result<()> {
        if pause.is_zero() {
            return Ok(());
        }
        self.end_run();
        self.paused += pause;
        if self.paused > ALL_PAUSES {
            return Err(Error::invalid("input", "the pauses of a text may last an hour in all"));
        }
        self.script.parts.push(Part::Pause(pause));
        Ok(())
    }

    /// The script.
    pub(super) fn finish(mut self) -> Script {
        self.end_run();
        self.script
    }

    fn ends_in_space(&self) -> bool {
        self.script.text.chars().next_back().is_none_or(char::is_whitespace)
    }

    fn end_run(&mut self) {
        let text = self.start..self.script.text.len();
        self.start = text.end;
        let overrides = std::mem::take(&mut self.overrides);
        if !self.script.text[text.clone()].trim().is_empty() {
            self.script.parts.push(Part::Say(Run { text, style: self.style.clone(), overrides }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The script as text: `said|`, and pauses in brackets.
    fn shown(input: &str) -> String {
        let script = parse(input.to_owned()).expect("a script");
        let part = |part: &Part| match part {
            Part::Say(run) => script.text[run.text.clone()].to_owned(),
            Part::Pause(pause) => format!("[{}]", pause.as_millis()),
        };
        script.parts.iter().map(part).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn text_without_tags_is_one_run() {
        assert_eq!(shown("Hello there.\n\nBye."), "Hello there.\n\nBye.");
        assert_eq!(parse("  ".to_owned()).expect("a script").parts, []);
        assert_eq!(shown("a <b> & c"), "a <b> & c");
    }

    #[test]
    fn tags_are_pauses() {
        assert_eq!(shown("Hello [pause:500ms] world"), "Hello |[500]|world");
        assert_eq!(shown("[pause: 2s]Hi.[PAUSE:1.5s]"), "[2000]|Hi.|[1500]");
        assert_eq!(shown("one[pause:10s]two"), "one|[10000]|two");
        assert_eq!(parse("a [pause:1s] b".to_owned()).expect("a script").text, "a b");
    }

    #[test]
    fn other_brackets_are_text() {
        for text in ["a [1] b", "[pause]", "[pause:]", "[pause:abc]", "[pause:-1s]", "[[", "[pause:1s", "[pause:1es]"] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn long_pauses_are_refused_with_their_place() {
        let error = parse("one\ntwo [pause:11s]".to_owned()).expect_err("too long");
        assert_eq!(error.param(), Some("input"));
        assert!(error.message().contains("line 2, column 5"), "{error}");
        assert!(parse(format!("a [pause:{}s]", "9".repeat(20))).is_err());
        assert!(parse("[pause:10s]".repeat(361)).is_err());
    }

    #[test]
    fn half_a_million_brackets_take_no_time() {
        assert_eq!(shown(&"[".repeat(500_000)).len(), 500_000);
        assert_eq!(shown(&"[pause:".repeat(70_000)).len(), 490_000);
    }
}
