//! Words and their times from the tokens of one segment.
//!
//! At every token the model also says which point in time it would name next; where it is sure, a word begins there.
//! The words between two such points share the time by their length in letters. In the end every word is fitted to
//! the sound: its edges move to where the energy falls.

use crate::transcript::Word;
use std::ops::Range;
use std::time::Duration;

/// One hundredth of a second, the unit of whisper.cpp.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// A piece of text as the model writes it; several may make one word, or one letter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// UTF-8, possibly cut within a letter.
    pub(super) text: Vec<u8>,
    /// Natural logarithm of its probability.
    pub(super) logprob: f32,
    /// The tick at which the model hears it begin, if it is sure enough.
    pub(super) heard: Option<i64>,
}

/// Loudness of the audio, one value a tick.
pub(super) struct Energy(Vec<f32>);

/// No word is silent for so long in its middle, in ticks: 200 ms.
const PAUSE: i64 = 20;

impl Energy {
    /// Of mono samples at 16 kHz; a rest shorter than a tick is left out, so that no time lies behind the audio.
    pub(super) fn of(samples: &[f32]) -> Self {
        let mean = |frame: &[f32; 160]| frame.iter().map(|sample| sample.abs()).sum::<f32>() / frame.len() as f32;
        Self(samples.as_chunks().0.iter().map(mean).collect())
    }

    /// How many ticks there are.
    pub(super) fn len(&self) -> i64 {
        self.0.len() as i64
    }

    /// Every tick in order.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f32> {
        self.0.iter().copied()
    }

    /// How loud the louder parts are: only a twentieth of the ticks is louder.
    pub(super) fn of_speech(&self) -> f32 {
        let mut levels = self.0.clone();
        levels.sort_by(f32::total_cmp);
        levels.get(levels.len() * 19 / 20).copied().unwrap_or(0.0)
    }

    fn at(&self, tick: i64) -> f32 {
        usize::try_from(tick).ok().and_then(|tick| self.0.get(tick)).copied().unwrap_or(0.0)
    }

    /// A third of the mean loudness around `from..to`: below it a word has ended.
    fn threshold(&self, from: i64, to: i64) -> f32 {
        const AROUND: i64 = 12;
        let (from, to) = ((from - AROUND).max(0), (to + AROUND).min(self.0.len() as i64));
        let sum: f32 = (from..to).map(|tick| self.at(tick)).sum();
        sum / 3.0 / (to - from).max(1) as f32
    }
}

/// The words of a segment that lasts over the ticks `span`. `spaced` says whether the language puts spaces between
/// words; where it does not, every letter is timed as a word.
pub(super) fn words(tokens: &[Token], span: Range<i64>, energy: &Energy, spaced: bool) -> Vec<Word> {
    let groups = group(tokens, spaced);
    let mut spans = share_out(&groups, &span);
    fit(&mut spans, &span, energy);
    let timed = groups.into_iter().zip(spans);
    timed.map(|(group, span)| word(&group, span)).filter(|word| !word.text.is_empty()).collect()
}

/// The text of `tokens`; letters cut between tokens are whole again.
pub(super) fn text(tokens: &[Token]) -> String {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| &token.text).copied().collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn word(tokens: &[&Token], span: Range<i64>) -> Word {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| &token.text).copied().collect();
    let mean = tokens.iter().map(|token| token.logprob).sum::<f32>() / tokens.len().max(1) as f32;
    Word {
        text: String::from_utf8_lossy(&bytes).trim().to_owned(),
        start: TICK * span.start as u32,
        end: TICK * span.end as u32,
        confidence: mean.exp().clamp(0.0, 1.0),
        speaker: None,
    }
}

/// The tokens word by word; punctuation stays with the word before it.
fn group(tokens: &[Token], spaced: bool) -> Vec<Vec<&Token>> {
    let mut groups: Vec<Vec<&Token>> = Vec::new();
    let mut bytes: Vec<u8> = Vec::new();
    for token in tokens.iter().filter(|token| !token.text.is_empty()) {
        let starts_word = match spaced {
            true => token.text[0] == b' ' && token.text.iter().any(|byte| *byte != b' '),
            false => std::str::from_utf8(&bytes).is_ok() && !is_punctuation(&token.text),
        };
        match groups.last_mut() {
            Some(group) if !starts_word => group.push(token),
            _ => {
                bytes.clear();
                groups.push(vec![token]);
            }
        }
        bytes.extend_from_slice(&token.text);
    }
    groups
}

fn is_punctuation(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.chars().all(|letter| !letter.is_alphanumeric()))
}

/// Where each word lies: from the points where the model hears words begin, and in between by the length of the text.
fn share_out(groups: &[Vec<&Token>], span: &Range<i64>) -> Vec<Range<i64>> {
    let mut starts: Vec<Option<i64>> = vec![None; groups.len()];
    let mut last = span.start;
    for (start, group) in starts.iter_mut().zip(groups) {
        let heard = group.first().and_then(|token| token.heard);
        *start = heard.filter(|tick| *tick > last && *tick <= span.end);
        last = start.unwrap_or(last);
    }
    if let Some(first) = starts.first_mut() {
        *first = Some(first.unwrap_or(span.start));
    }
    let mut spans = Vec::with_capacity(groups.len());
    let mut from = 0;
    while from < groups.len() {
        let to = (from + 1..groups.len()).find(|index| starts[*index].is_some()).unwrap_or(groups.len());
        let begin = starts[from].unwrap_or(span.start);
        let end = starts.get(to).copied().flatten().unwrap_or(span.end);
        spans.extend(divide(&groups[from..to], begin..end));
        from = to;
    }
    spans
}

/// Divides `span` among `groups` by how long their text takes to say.
fn divide(groups: &[Vec<&Token>], span: Range<i64>) -> Vec<Range<i64>> {
    let lengths: Vec<f64> =
        groups.iter().map(|group| group.iter().map(|token| spoken_length(&token.text)).sum()).collect();
    let (total, ticks) = (lengths.iter().sum::<f64>().max(f64::EPSILON), (span.end - span.start) as f64);
    let (mut said, mut start) = (0.0, span.start);
    let mut spans = Vec::with_capacity(groups.len());
    for length in lengths {
        said += length;
        let end = span.start + (ticks * said / total).round() as i64;
        spans.push(start..end);
        start = end;
    }
    spans
}

/// High for text that takes long to say; punctuation stands for a pause.
fn spoken_length(text: &[u8]) -> f64 {
    let length = |byte: &u8| match byte {
        b' ' => 0.01,
        b',' => 2.0,
        b'.' | b'!' | b'?' | b'0'..=b'9' => 3.0,
        _ => 1.0,
    };
    text.iter().map(length).sum()
}

/// Moves the edges of the words to where the energy falls, never over each other nor out of `limits`.
fn fit(spans: &mut [Range<i64>], limits: &Range<i64>, energy: &Energy) {
    for index in 0..spans.len() {
        let earliest = if index == 0 { limits.start } else { spans[index - 1].end };
        let latest = spans.get(index + 1).map_or(limits.end, |next| next.start.max(spans[index].end));
        let span = &spans[index];
        let threshold = energy.threshold(span.start, span.end);
        let start = match energy.at(span.start) > threshold {
            true => (earliest..span.start).rev().take_while(|t| energy.at(*t) > threshold).last().unwrap_or(span.start),
            false => (span.start..span.end).find(|t| energy.at(*t) >= threshold).unwrap_or(span.start),
        };
        let start = start.max(earliest);
        let end = match energy.at(span.end) > threshold {
            true => (span.end..latest).find(|t| energy.at(*t) <= threshold).unwrap_or(latest),
            false => (start..span.end).rev().find(|t| energy.at(*t) >= threshold).map_or(span.end, |t| t + 1),
        };
        spans[index] = longest_sound(start..end.max(start), threshold, energy);
    }
}

/// The longest part of `span` without a pause. The first word of a segment often begins, as the model has it, where
/// the segment before ends: the end of that sound and the pause are not its own.
fn longest_sound(span: Range<i64>, threshold: f32, energy: &Energy) -> Range<i64> {
    let mut parts: Vec<Range<i64>> = Vec::new();
    for tick in span.clone().filter(|tick| energy.at(*tick) >= threshold) {
        match parts.last_mut() {
            Some(part) if tick - part.end < PAUSE => part.end = tick + 1,
            _ => parts.push(tick..tick + 1),
        }
    }
    match parts.len() {
        0 | 1 => span,
        _ => parts.into_iter().max_by_key(|part| part.end - part.start).unwrap_or(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, heard: Option<i64>) -> Token {
        Token { text: text.into(), logprob: -0.5, heard }
    }

    #[test]
    fn words_begin_where_the_model_hears_them() {
        let tokens = [token(" Hel", None), token("lo", None), token(" world", Some(60)), token(".", None)];
        let loud = Energy(vec![1.0; 100]);
        let words = words(&tokens, 10..90, &loud, true);
        let heard: Vec<_> = words.iter().map(|w| (w.text.as_str(), w.start.as_millis(), w.end.as_millis())).collect();
        assert_eq!(heard, [("Hello", 100, 600), ("world.", 600, 900)]);
    }

    #[test]
    fn words_shrink_to_where_there_is_sound() {
        let mut energy = vec![0.0; 100];
        energy[20..50].fill(1.0);
        energy[70..80].fill(1.0);
        let words = words(&[token(" a", None), token(" b", Some(60))], 0..100, &Energy(energy), true);
        let times: Vec<_> = words.iter().map(|w| (w.start.as_millis(), w.end.as_millis())).collect();
        assert_eq!(times, [(200, 500), (700, 800)]);
    }

    #[test]
    fn the_end_of_the_sound_before_a_pause_is_not_the_word_behind_it() {
        let mut energy = vec![0.0; 100];
        energy[0..5].fill(1.0);
        energy[60..95].fill(1.0);
        let words = words(&[token(" a", None)], 0..100, &Energy(energy), true);
        assert_eq!((words[0].start.as_millis(), words[0].end.as_millis()), (600, 950));
    }

    #[test]
    fn letters_cut_between_tokens_are_joined() {
        let [first, second] = ["ü".as_bytes()[..1].to_vec(), "ü".as_bytes()[1..].to_vec()];
        let part = |text| Token { text, logprob: 0.0, heard: None };
        let tokens = [token(" f", None), part(first), part(second), token("r", None)];
        assert_eq!(text(&tokens), "für");
        assert_eq!(words(&tokens, 0..10, &Energy(vec![1.0; 10]), true)[0].text, "für");
    }

    #[test]
    fn languages_without_spaces_are_timed_letter_by_letter() {
        let tokens = [token("你", None), token("好", Some(30)), token("。", None)];
        let words = words(&tokens, 0..60, &Energy(vec![1.0; 60]), false);
        let texts: Vec<_> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts, ["你", "好。"]);
    }
}
