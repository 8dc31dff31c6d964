//! Transcripts as subtitles: SubRip and WebVTT, one cue a segment or laid out in short lines.

use crate::transcript::{Segment, Speaker, Transcript};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

/// The width of a line when only the number of lines is given, in characters: what television uses.
const USUAL_WIDTH: usize = 42;

/// The lines of a cue when only their width is given.
const USUAL_COUNT: usize = 2;

/// How long lines and cues may be. Cues end between words, never within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Layout {
    /// The most characters in a line, 1 or more. A word without a space to break at is cut when it is longer.
    pub max_line_width: Option<usize>,
    /// The most lines in a cue, 1 or more.
    pub max_line_count: Option<usize>,
    /// The most words in a line, 1 or more.
    pub max_words_per_line: Option<usize>,
}

impl Layout {
    fn width(&self) -> usize {
        let unlimited = self.max_words_per_line.map(|_| usize::MAX);
        self.max_line_width.or(unlimited).unwrap_or(USUAL_WIDTH).max(1)
    }

    fn count(&self) -> usize {
        self.max_line_count.unwrap_or(USUAL_COUNT).max(1)
    }

    fn words(&self) -> usize {
        self.max_words_per_line.unwrap_or(usize::MAX).max(1)
    }
}

/// How to write subtitles. The default is one cue a segment, without speakers.
#[derive(Default)]
pub struct Style<'a> {
    /// Lines to break the text into; `None` leaves every segment as it is.
    pub layout: Option<Layout>,
    /// What speakers are called; `None` leaves them out.
    pub names: Option<&'a dyn Fn(&Speaker) -> String>,
}

/// SubRip: numbered cues, comma before the milliseconds. A speaker stands before the text.
pub fn srt(transcript: &Transcript, style: &Style<'_>) -> String {
    let mut out = String::new();
    let cues = spoken(transcript).flat_map(|segment| {
        let name = style.names.zip(segment.speaker.as_ref()).map(|(names, speaker)| one_line(&names(speaker)) + ":");
        cues(segment, style.layout.as_ref(), name)
    });
    for (number, cue) in cues.enumerate() {
        let (start, end) = (timestamp(cue.start, ','), timestamp(cue.end, ','));
        let _ = write!(out, "{}\n{start} --> {end}\n{}\n\n", number + 1, cue.lines.join("\n"));
    }
    out
}

/// WebVTT: <https://www.w3.org/TR/webvtt1/>. A speaker is a voice tag.
pub fn vtt(transcript: &Transcript, style: &Style<'_>) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for segment in spoken(transcript) {
        let voice = style.names.zip(segment.speaker.as_ref()).map(|(names, speaker)| voice_tag(&names(speaker)));
        for cue in cues(segment, style.layout.as_ref(), None) {
            let (start, end) = (timestamp(cue.start, '.'), timestamp(cue.end, '.'));
            let text = cue.lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace("-->", "--&gt;");
            let _ = write!(out, "{start} --> {end}\n{}{text}\n\n", voice.as_deref().unwrap_or_default());
        }
    }
    out
}

fn spoken(transcript: &Transcript) -> impl Iterator<Item = &Segment> {
    transcript.segments.iter().filter(|segment| !segment.text.is_empty())
}

fn one_line(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn voice_tag(name: &str) -> String {
    format!("<v {}>", one_line(name).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

/// `HH:MM:SS` and milliseconds after `separator`.
fn timestamp(time: Duration, separator: char) -> String {
    let ms = (time.as_secs_f64() * 1000.0).round() as u64;
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{separator}{:03}", ms % 1000)
}

/// What is shown at once.
struct Cue {
    start: Duration,
    end: Duration,
    lines: Vec<String>,
}

/// The cues of one segment. A `name` stands before its first word.
fn cues(segment: &Segment, layout: Option<&Layout>, name: Option<String>) -> Vec<Cue> {
    let Some(layout) = layout else {
        let text = name.map(|name| name + " ").unwrap_or_default() + &segment.text;
        return vec![Cue { start: segment.start, end: segment.end, lines: vec![text] }];
    };
    let mut atoms = atoms(segment);
    if let Some(name) = name {
        atoms.insert(0, Atom { text: name, spaced: false, start: segment.start, end: segment.start });
        atoms.get_mut(1).into_iter().for_each(|first| first.spaced = true);
    }
    let atoms: Vec<Atom> = atoms.into_iter().flat_map(|atom| atom.cut(layout.width())).collect();
    let lines = balanced(&atoms, layout);
    let groups: Vec<&[Range<usize>]> = lines.chunks(layout.count()).collect();
    let last = groups.len().saturating_sub(1);
    let cue = |(index, group): (usize, &&[Range<usize>])| {
        let (from, to) = (group.first()?.start, group.last()?.end);
        let shown = &atoms[from..to];
        let start = if index == 0 { segment.start } else { shown.first()?.start };
        let end = if index == last { segment.end } else { shown.last()?.end };
        let lines = group.iter().map(|line| joined(&atoms[line.clone()])).collect();
        Some(Cue { start, end: end.max(start), lines })
    };
    groups.iter().enumerate().filter_map(cue).collect()
}

/// A stretch of text that stays together.
struct Atom {
    text: String,
    /// Whether a space stands before it.
    spaced: bool,
    start: Duration,
    end: Duration,
}

impl Atom {
    fn length(&self) -> usize {
        self.text.chars().count()
    }

    /// Itself, or parts of at most `width` characters that share its time.
    fn cut(self, width: usize) -> Vec<Atom> {
        let length = self.length();
        if length <= width {
            return vec![self];
        }
        let characters: Vec<char> = self.text.chars().collect();
        let time = |at: usize| self.start + self.end.saturating_sub(self.start).mul_f64(at as f64 / length as f64);
        let part = |(index, part): (usize, &[char])| {
            let (start, end) = (time(index * width), time(index * width + part.len()));
            Atom { text: part.iter().collect(), spaced: self.spaced && index == 0, start, end }
        };
        characters.chunks(width).enumerate().map(part).collect()
    }
}

/// The words of a segment with the text around them; without words, its text at spaces.
fn atoms(segment: &Segment) -> Vec<Atom> {
    timed(segment).unwrap_or_else(|| evenly_timed(segment))
}

/// `None` when the words are not those of the text.
fn timed(segment: &Segment) -> Option<Vec<Atom>> {
    let mut rest = segment.text.as_str();
    let mut atoms: Vec<Atom> = Vec::new();
    for word in segment.words.iter().filter(|word| !word.text.is_empty()) {
        let end = rest.find(&word.text)? + word.text.len();
        let spaced = rest.starts_with(char::is_whitespace);
        let text = rest[..end].trim_start().to_owned();
        atoms.push(Atom { text, spaced, start: word.start, end: word.end });
        rest = &rest[end..];
    }
    atoms.last_mut()?.text.push_str(rest.trim_end());
    Some(atoms)
}

/// Times in proportion to the number of characters.
fn evenly_timed(segment: &Segment) -> Vec<Atom> {
    let parts: Vec<&str> = segment.text.split_whitespace().collect();
    let total: usize = parts.iter().map(|part| part.chars().count()).sum();
    let length = segment.end.saturating_sub(segment.start);
    let time = |at: usize| segment.start + length.mul_f64(at as f64 / total.max(1) as f64);
    let mut at = 0;
    let atom = |part: &&str| {
        let before = at;
        at += part.chars().count();
        Atom { text: (*part).to_owned(), spaced: before > 0, start: time(before), end: time(at) }
    };
    parts.iter().map(atom).collect()
}

fn joined(line: &[Atom]) -> String {
    let mut text = String::new();
    for (index, atom) in line.iter().enumerate() {
        if index > 0 && atom.spaced {
            text.push(' ');
        }
        text.push_str(&atom.text);
    }
    text
}

/// As few lines as the layout allows, and those about equally long, because a last line of one word is hard to read;
/// not when words are counted, which says already what is wanted.
fn balanced(atoms: &[Atom], layout: &Layout) -> Vec<Range<usize>> {
    let widest = fill(atoms, layout.width(), layout.words());
    if layout.max_words_per_line.is_some() {
        return widest;
    }
    let total: usize = atoms.iter().map(|atom| atom.length() + 1).sum();
    let mut narrower = (1..layout.width().min(total)).map(|width| fill(atoms, width, layout.words()));
    narrower.find(|lines| lines.len() <= widest.len()).unwrap_or(widest)
}

/// The lines that result when each takes what fits.
fn fill(atoms: &[Atom], width: usize, words: usize) -> Vec<Range<usize>> {
    let mut lines: Vec<Range<usize>> = Vec::new();
    let (mut length, mut count) = (0, 0);
    for (index, atom) in atoms.iter().enumerate() {
        let space = usize::from(atom.spaced);
        match lines.last_mut() {
            Some(line) if length + space + atom.length() <= width && count < words => {
                line.end = index + 1;
                (length, count) = (length + space + atom.length(), count + 1);
            }
            _ => {
                lines.push(index..index + 1);
                (length, count) = (atom.length(), 1);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Word;

    fn segment(text: &str, start_ms: u64, end_ms: u64) -> Segment {
        let (start, end) = (Duration::from_millis(start_ms), Duration::from_millis(end_ms));
        Segment { text: text.into(), start, end, ..Segment::default() }
    }

    /// A segment in which every word lasts a second.
    fn spoken_evenly(text: &str) -> Segment {
        let word = |(index, text): (usize, &str)| {
            let start = Duration::from_secs(index as u64);
            Word { text: text.into(), start, end: start + Duration::from_millis(900), ..Word::default() }
        };
        let words: Vec<Word> = text.split(' ').enumerate().map(word).collect();
        Segment { words, ..segment(text, 0, 1000 * text.split(' ').count() as u64) }
    }

    fn transcript(segments: Vec<Segment>) -> Transcript {
        Transcript { segments, ..Transcript::default() }
    }

    fn laid_out(layout: Layout) -> Style<'static> {
        Style { layout: Some(layout), names: None }
    }

    #[test]
    fn srt_numbers_its_cues_and_uses_a_comma() {
        let transcript = transcript(vec![segment("Hello.", 0, 1500), segment("Bye.", 3_661_004, 3_662_000)]);
        insta::assert_snapshot!(srt(&transcript, &Style::default()), @r"
        1
        00:00:00,000 --> 00:00:01,500
        Hello.

        2
        01:01:01,004 --> 01:01:02,000
        Bye.
        ");
    }

    #[test]
    fn vtt_escapes_what_the_format_reserves() {
        let transcript = transcript(vec![segment("a < b & c --> d", 0, 20)]);
        insta::assert_snapshot!(vtt(&transcript, &Style::default()), @r"
        WEBVTT

        00:00:00.000 --> 00:00:00.020
        a &lt; b &amp; c --&gt; d
        ");
    }

    #[test]
    fn long_segments_become_cues_of_even_lines_that_begin_with_their_first_word() {
        let transcript = transcript(vec![spoken_evenly("The quick brown fox jumps over the lazy dog and runs away.")]);
        let layout = Layout { max_line_width: Some(20), max_line_count: Some(2), max_words_per_line: None };
        insta::assert_snapshot!(srt(&transcript, &laid_out(layout)), @r"
        1
        00:00:00,000 --> 00:00:07,900
        The quick brown fox
        jumps over the lazy

        2
        00:00:08,000 --> 00:00:12,000
        dog and runs away.
        ");
    }

    #[test]
    fn lines_have_no_more_words_than_allowed() {
        let transcript = transcript(vec![spoken_evenly("one two three four five")]);
        let layout = Layout { max_words_per_line: Some(2), max_line_count: Some(1), ..Layout::default() };
        let text = vtt(&transcript, &laid_out(layout));
        let lines: Vec<&str> = text.lines().filter(|line| line.contains('e') || line.contains('o')).collect();
        assert_eq!(lines, ["one two", "three four", "five"]);
    }

    #[test]
    fn text_without_words_is_timed_by_its_length() {
        let transcript = transcript(vec![segment("abcd efgh", 1000, 3000)]);
        let layout = Layout { max_line_width: Some(4), max_line_count: Some(1), ..Layout::default() };
        insta::assert_snapshot!(srt(&transcript, &laid_out(layout)), @r"
        1
        00:00:01,000 --> 00:00:02,000
        abcd

        2
        00:00:02,000 --> 00:00:03,000
        efgh
        ");
    }

    #[test]
    fn text_without_spaces_is_cut_at_characters() {
        let transcript = transcript(vec![segment("你好世界你好世界", 0, 8000)]);
        let layout = Layout { max_line_width: Some(3), max_line_count: Some(3), ..Layout::default() };
        let text = srt(&transcript, &laid_out(layout));
        assert!(text.contains("你好世\n界你好\n世界"), "{text}");
    }

    #[test]
    fn speakers_are_voice_tags_or_stand_before_the_text() {
        let named =
            |name: &str| Segment { speaker: Some(Speaker::Known(name.into())), ..segment("Hello there.", 0, 10) };
        let transcript = transcript(vec![named("Ann <b>"), named("Bob")]);
        let names = |speaker: &Speaker| match speaker {
            Speaker::Known(name) => name.to_string(),
            Speaker::Unknown(number) => number.to_string(),
        };
        let style = |layout| Style { layout, names: Some(&names) };
        let text = vtt(&transcript, &style(None));
        assert!(text.contains("<v Ann &lt;b&gt;>Hello there.") && text.contains("<v Bob>Hello there."), "{text}");
        assert!(srt(&transcript, &style(None)).contains("\nBob: Hello there.\n"));
        let layout = Layout { max_line_width: Some(11), max_line_count: Some(2), ..Layout::default() };
        assert!(srt(&transcript, &style(Some(layout))).contains("\nBob: Hello\nthere.\n"));
    }

    #[test]
    fn words_that_are_not_in_the_text_do_not_matter() {
        let mut strange = spoken_evenly("one two");
        strange.words[1].text = "three".into();
        let layout = Layout { max_line_width: Some(3), max_line_count: Some(1), ..Layout::default() };
        let text = srt(&transcript(vec![strange]), &laid_out(layout));
        assert!(text.contains("\none\n") && text.contains("\ntwo\n"), "{text}");
    }
}
