//! Two pieces that share the sound around a cut become one text: every word once.

use crate::speech::chunk::OVERLAP;
use crate::transcript::{Segment, Transcript};
use crate::{audio::samples_to_duration, engine::SPEECH_SAMPLE_RATE};
use std::time::Duration;

/// The same word may be heard so far apart in the two pieces.
const APART: Duration = Duration::from_millis(500);

/// Word times are not exact: so far beyond the shared sound words are looked at.
const BEYOND: Duration = Duration::from_millis(300);

/// From here on the text before a cut `at` may change when the piece behind it is known.
pub(super) fn begins_to_matter(at: Duration) -> Duration {
    at.saturating_sub(overlap() + BEYOND)
}

/// Joins the end of `before` and the beginning of `after` at the cut `at`, and returns how many words both had.
///
/// Where both have the same word at about the same time, the text changes over from one to the other behind the one
/// nearest to the cut; otherwise at the cut itself.
pub(super) fn join(before: &mut Transcript, after: &mut Transcript, at: Duration) -> u32 {
    let (left, right) = (places(before, at), places(after, at));
    let distance = |time: Duration| time.abs_diff(at);
    let same = |one: &&Place, other: &&Place| one.word == other.word && one.time.abs_diff(other.time) <= APART;
    let pairs = left.iter().flat_map(|one| right.iter().map(move |other| (one, other)));
    // Where a word is said twice, the one at the same time is meant.
    let cost = |(one, other): &(&Place, &Place)| distance(one.time) + one.time.abs_diff(other.time) * 4;
    let common = pairs.filter(|(one, other)| same(one, other)).min_by_key(cost);
    let (keep, skip) = match common {
        Some((one, other)) => (one.number + 1, other.number + 1),
        None => (
            left.iter().find(|place| place.time >= at).map_or(count(before), |place| place.number),
            right.iter().rfind(|place| place.time < at).map_or(0, |place| place.number + 1),
        ),
    };
    let dropped = count(before) - keep + skip;
    keep_words(before, 0, keep);
    keep_words(after, skip, usize::MAX);
    u32::try_from(dropped).unwrap_or(u32::MAX)
}

/// A word near the cut.
struct Place {
    /// Among all words of its transcript.
    number: usize,
    /// Its letters, small, without signs.
    word: String,
    /// Its middle.
    time: Duration,
}

fn places(transcript: &Transcript, at: Duration) -> Vec<Place> {
    let near = |time: Duration| time.abs_diff(at) <= overlap() + BEYOND;
    let words = transcript.words().enumerate().map(|(number, word)| Place {
        number,
        word: word.text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect(),
        time: (word.start + word.end) / 2,
    });
    words.filter(|place| near(place.time)).collect()
}

fn overlap() -> Duration {
    samples_to_duration(OVERLAP, SPEECH_SAMPLE_RATE)
}

fn count(transcript: &Transcript) -> usize {
    transcript.words().count()
}

/// Keeps the words from number `from` up to `to`; segments without words stay.
fn keep_words(transcript: &mut Transcript, from: usize, to: usize) {
    let mut number = 0;
    let keep = |segment: Segment| {
        let length = segment.words.len();
        let start = number;
        number += length;
        if length == 0 {
            return Some(segment);
        }
        let kept = from.saturating_sub(start).min(length)..to.saturating_sub(start).min(length);
        (kept.start < kept.end).then(|| segment.part(kept))
    };
    transcript.segments = std::mem::take(&mut transcript.segments).into_iter().filter_map(keep).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Word;

    /// A word every 400 ms, from `start` on.
    fn said(text: &str, start: u64) -> Transcript {
        let time = |index: usize| Duration::from_millis(start + 400 * index as u64);
        let word = |(index, text): (usize, &str)| Word {
            text: text.into(),
            start: time(index),
            end: time(index) + Duration::from_millis(300),
            ..Word::default()
        };
        let words: Vec<Word> = text.split(' ').enumerate().map(word).collect();
        let (start, end) = (words[0].start, words[words.len() - 1].end);
        let segment = Segment { text: text.into(), start, end, words, ..Segment::default() };
        Transcript { segments: vec![segment], ..Transcript::default() }
    }

    fn joined(before: &str, after: &str, after_starts: u64) -> (String, u32) {
        let (mut before, mut after) = (said(before, 24_000), said(after, after_starts));
        let dropped = join(&mut before, &mut after, Duration::from_secs(26));
        before.append(after);
        (before.text(), dropped)
    }

    #[test]
    fn shared_words_are_told_once() {
        let (text, dropped) = joined("the quick brown fox jumps over", "fox Jumps, over the lazy dog", 25_100);
        assert_eq!(text, "the quick brown fox jumps over the lazy dog");
        assert_eq!(dropped, 3);
    }

    #[test]
    fn a_word_that_one_side_heard_wrongly_is_taken_from_the_other() {
        let (text, _) = joined("the quick brown fox jumps ova", "ox jumps over the lazy dog", 25_200);
        assert_eq!(text, "the quick brown fox jumps over the lazy dog");
    }

    #[test]
    fn without_a_common_word_the_cut_decides() {
        let (text, dropped) = joined("one two three four five six", "seven eight nine ten", 25_200);
        assert_eq!((text.as_str(), dropped), ("one two three four five nine ten", 3));
    }

    #[test]
    fn nothing_on_one_side_takes_nothing_from_the_other() {
        let mut before = said("one two three four five", 24_000);
        assert_eq!(join(&mut before, &mut Transcript::default(), Duration::from_secs(27)), 0);
        assert_eq!(before.text(), "one two three four five");
    }
}
