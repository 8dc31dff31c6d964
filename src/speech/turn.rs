//! Whether somebody who pauses has finished: from how long the pause is, how what they said reads, and how it sounded.

use std::time::Duration;

/// A pause is looked at from this length on.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(200);

/// In so many seconds of silence the doubt that somebody has finished falls to 1/e.
const DOUBT_LASTS: f32 = 1.5;

/// Confidence stays below certainty: only time makes certain.
const MOST: f32 = 0.995;

/// How likely somebody has finished whose last sentence is complete; one without an end; one that must go on.
const COMPLETE: f32 = 0.6;
const OPEN: f32 = 0.3;
const HANGING: f32 = 0.08;

/// How much of what is known before any silence comes from the sound, when something has listened to it.
const SOUND_COUNTS: f32 = 0.7;

/// Words that nobody ends with.
const CONNECTIVES: [&str; 46] = [
    "a", "an", "and", "as", "at", "because", "but", "by", "can", "could", "er", "erm", "for", "from", "hmm", "i", "if",
    "in", "into", "is", "my", "of", "on", "or", "our", "so", "than", "that", "the", "their", "then", "to", "uh", "uhm",
    "um", "was", "were", "when", "where", "which", "while", "will", "with", "would", "your", "are",
];

/// How likely the speaker has finished, in `0..1`, who has said `text` (everything since they began) and has been quiet for
/// `quiet`; `sound` is what a [`TurnDetector`](crate::engine::TurnDetector) thinks, where there is one. Grows with the pause.
pub(super) fn confidence(quiet: Duration, text: &str, sound: Option<f32>) -> f32 {
    let words = reads_finished(text);
    let known = sound.map_or(words, |sound| SOUND_COUNTS * sound.clamp(0.0, 1.0) + (1.0 - SOUND_COUNTS) * words);
    let waited = quiet.saturating_sub(FIRST_LOOK).as_secs_f32();
    (1.0 - (1.0 - known) * (-waited / DOUBT_LASTS).exp()).min(MOST)
}

/// How likely `text` is all that somebody wanted to say, by its words and its punctuation.
fn reads_finished(text: &str) -> f32 {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '”' | '’'));
    let is_trailing_off = text.ends_with("...") || text.ends_with('…');
    let last = text.split_whitespace().next_back().unwrap_or_default();
    let last: String = last.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if is_trailing_off || text.ends_with([',', ';', ':', '-', '–', '—']) || CONNECTIVES.contains(&last.as_str()) {
        return HANGING;
    }
    if text.ends_with(['.', '!', '?', '。', '！', '？', '؟', '।']) { COMPLETE } else { OPEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(milliseconds: u64, text: &str) -> f32 {
        confidence(Duration::from_millis(milliseconds), text, None)
    }

    #[test]
    fn a_finished_sentence_is_believed_before_one_that_must_go_on() {
        let finished = after(400, "Turn on the kitchen light.");
        let open = after(400, "Turn on the kitchen light");
        let hanging = after(400, "Turn on the kitchen light and");
        assert!(finished > open && open > hanging, "{finished} {open} {hanging}");
        assert!(after(400, "I would like,") < 0.3 && after(400, "Well…") < 0.3 && after(400, "Call the.") < 0.3);
    }

    #[test]
    fn every_pause_ends_in_confidence_and_never_in_certainty() {
        for text in ["", "and", "Yes.", "what is the time"] {
            let grows: Vec<f32> = (2..200).map(|tenth| after(tenth * 100, text)).collect();
            assert!(grows.is_sorted(), "{text}");
            assert!(grows[0] < 0.7 && grows[80] > 0.9 && grows[197] < 1.0, "{text}: {grows:?}");
        }
    }

    #[test]
    fn how_it_sounds_counts_more_than_how_it_reads() {
        let quiet = Duration::from_millis(250);
        let finished = confidence(quiet, "and", Some(0.98));
        let unfinished = confidence(quiet, "Yes.", Some(0.02));
        assert!(finished > 0.65 && unfinished < 0.25, "{finished} {unfinished}");
    }
}
