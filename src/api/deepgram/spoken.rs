//! Words as Deepgram's clients read them: bare or with punctuation, and cut into utterances.

use crate::transcript::{Speaker, Transcript};
use std::time::Duration;

/// Marks that are no part of a word unless digits or letters touch them on both sides, as in `3.5` and `10:30`.
const MARKS_INSIDE: &str = ".,:'’-_/&@";

/// Marks that are never part of a word.
const MARKS: &str = ";!?…\"“”„«»‹›‘‚()[]{}¿¡—–−·•。、，！？；：「」『』（）《》〈〉【】・।॥؟،؛";

/// Languages that are written without spaces.
const WITHOUT_SPACES: [&str; 8] = ["zh", "ja", "yue", "th", "lo", "km", "my", "bo"];

/// One word of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken<'a> {
    /// In lower case and without punctuation.
    pub bare: String,
    /// As it is written.
    pub text: &'a str,
    pub start: Duration,
    pub end: Duration,
    pub confidence: f32,
    /// The number of the voice.
    pub speaker: Option<u32>,
    pub language: Option<&'a str>,
}

/// The words of `transcript`; what is nothing but punctuation is none.
pub fn words(transcript: &Transcript) -> Vec<Spoken<'_>> {
    let mut words = Vec::new();
    for segment in &transcript.segments {
        let language = segment.language.as_deref().or(transcript.language.as_deref());
        let spoken = segment.words.iter().map(|word| Spoken {
            bare: bare(&word.text),
            text: &word.text,
            start: word.start,
            end: word.end,
            confidence: word.confidence,
            speaker: number(word.speaker.as_ref().or(segment.speaker.as_ref())),
            language,
        });
        words.extend(spoken.filter(|word| !word.bare.is_empty()));
    }
    words
}

/// Deepgram numbers voices; nobody can give them names there.
fn number(speaker: Option<&Speaker>) -> Option<u32> {
    match speaker? {
        Speaker::Unknown(number) => Some(*number),
        Speaker::Known(_) => None,
    }
}

/// `text` in lower case, without punctuation, with single spaces.
pub fn bare(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let is_letter = |index: Option<usize>| {
        index.and_then(|index| letters.get(index)).is_some_and(|letter| letter.is_alphanumeric())
    };
    let mut out = String::with_capacity(text.len());
    for (index, letter) in letters.iter().enumerate() {
        if MARKS_INSIDE.contains(*letter) {
            let is_inside = is_letter(index.checked_sub(1)) && is_letter(Some(index + 1));
            out.push(if is_inside { *letter } else { ' ' });
        } else if MARKS.contains(*letter) {
            out.push(' ');
        } else {
            out.extend(letter.to_lowercase());
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether words of this language have spaces between them.
pub fn needs_spaces(language: Option<&str>) -> bool {
    !language.is_some_and(|language| WITHOUT_SPACES.contains(&language))
}

/// The words as text: as they are written, or bare.
pub fn join<'a: 'b, 'b>(words: impl IntoIterator<Item = &'b Spoken<'a>>, punctuated: bool) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() && needs_spaces(word.language) {
            out.push(' ');
        }
        out.push_str(if punctuated { word.text } else { &word.bare });
    }
    out
}

/// The mean of how sure the engine is of the words, in `0..=1`; 0 when there are none.
pub fn confidence(words: &[Spoken<'_>]) -> f32 {
    match words.len() {
        0 => 0.0,
        count => words.iter().map(|word| word.confidence).sum::<f32>() / count as f32,
    }
}

/// Cuts where nobody says anything for `pause` or longer, and where the voice changes.
pub fn utterances<'a, 'b>(words: &'b [Spoken<'a>], pause: Duration) -> impl Iterator<Item = &'b [Spoken<'a>]> {
    words.chunk_by(move |one, next| next.start.saturating_sub(one.end) < pause && one.speaker == next.speaker)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::transcript::{Segment, Word};

    /// Words of the form `text` that each take 0.4 s and begin at these times, in milliseconds.
    pub fn transcript(words: &[(&str, u64, Option<u32>)]) -> Transcript {
        let word = |(text, start, speaker): &(&str, u64, Option<u32>)| Word {
            text: (*text).into(),
            start: Duration::from_millis(*start),
            end: Duration::from_millis(start + 400),
            confidence: 0.5,
            speaker: speaker.map(Speaker::Unknown),
        };
        let text = words.iter().map(|(text, ..)| *text).collect::<Vec<_>>().join(" ");
        let segment = Segment { text, words: words.iter().map(word).collect(), ..Segment::default() };
        Transcript { segments: vec![segment], language: Some("en".into()), ..Transcript::default() }
    }

    #[test]
    fn a_bare_text_has_neither_capitals_nor_punctuation() {
        for (text, expected) in [
            ("Please turn on the lights at seven o'clock.", "please turn on the lights at seven o'clock"),
            ("“Well,” she said — twenty-two!", "well she said twenty-two"),
            ("It costs $3.50, or 10,000 ¥...", "it costs $3.50 or 10,000 ¥"),
            ("At 10:30: e.g. a.b@example.com", "at 10:30 e.g a.b@example.com"),
            ("ÜBER Straße ¿Qué?", "über straße qué"),
            ("こんにちは、世界。", "こんにちは 世界"),
            (" - ", ""),
        ] {
            assert_eq!(bare(text), expected);
        }
    }

    #[test]
    fn punctuation_alone_is_no_word() {
        let transcript = transcript(&[("Yes", 0, None), ("–", 500, None), ("No.", 1_000, None)]);
        let words = words(&transcript);
        assert_eq!((join(&words, false), join(&words, true)), ("yes no".into(), "Yes No.".into()));
    }

    #[test]
    fn languages_without_spaces_get_none() {
        let mut transcript = transcript(&[("今日", 0, None), ("は", 400, None)]);
        transcript.language = Some("ja".into());
        assert_eq!(join(&words(&transcript), true), "今日は");
    }

    #[test]
    fn a_pause_or_another_voice_ends_an_utterance() {
        let said = [("One", 0, Some(0)), ("two.", 500, Some(0)), ("Three", 1_700, Some(0)), ("four.", 2_150, Some(1))];
        let transcript = transcript(&said);
        let words = words(&transcript);
        let cut = |ms| utterances(&words, Duration::from_millis(ms)).map(|it| join(it, true)).collect::<Vec<_>>();
        assert_eq!(cut(800), ["One two.", "Three", "four."]);
        assert_eq!(cut(801), ["One two. Three", "four."]);
    }

    #[test]
    fn nothing_said_is_not_sure_of_anything() {
        assert_eq!(confidence(&[]), 0.0);
        assert!(words(&Transcript::default()).is_empty());
    }
}
