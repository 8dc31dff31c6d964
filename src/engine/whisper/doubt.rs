//! Text that is not to be believed: loops, guesses, and what models say when nobody speaks.

use super::decoder::is_loop;
use crate::transcript::{Doubt, Dropped, Segment, compression_ratio};
use std::time::Duration;

/// Below this mean log-probability a text is doubtful.
const DOUBTFUL: f32 = -1.0;

/// Above this probability of silence a doubtful text is dropped.
const NO_SPEECH: f32 = 0.6;

/// Text that packs better than this repeats itself (the value of OpenAI's Whisper).
const COMPRESSION: f64 = 2.4;

/// Nobody says more words in a second, counted over so many words at least.
const WORDS_PER_SECOND: f64 = 8.0;
const WORDS_COUNTED: usize = 8;

/// Below this mean log-probability, or above that probability of silence, a phrase that models are known to invent is
/// one.
const PHRASE_LOGPROB: f32 = -0.5;
const PHRASE_NO_SPEECH: f32 = 0.3;

/// What models were taught by subtitles and say in silence, in small letters without signs at the end. People say some
/// of it, too, so these need a second reason.
const INVENTED: [&str; 18] = [
    "thank you",
    "thank you for watching",
    "thanks for watching",
    "thank you very much",
    "please subscribe",
    "like and subscribe",
    "see you next time",
    "subtitles by the amara.org community",
    "untertitel der amara.org-community",
    "untertitel im auftrag des zdf für funk, 2017",
    "vielen dank",
    "sous-titres réalisés par la communauté d'amara.org",
    "sous-titrage société radio-canada",
    "merci d'avoir regardé cette vidéo",
    "subtítulos realizados por la comunidad de amara.org",
    "gracias por ver el video",
    "продолжение следует",
    "ご視聴ありがとうございました",
];

/// Why `segment` is not to be believed, if so.
pub(super) fn doubt(segment: &Segment) -> Option<Doubt> {
    if is_stage_direction(&segment.text) {
        return Some(Doubt::StageDirection);
    }
    if segment.no_speech_prob > NO_SPEECH && segment.avg_logprob < DOUBTFUL || is_invented(segment) {
        return Some(Doubt::NoSpeech);
    }
    let tokens: Vec<i32> = segment.tokens.iter().map(|token| token.id).collect();
    if is_loop(&tokens) || compression_ratio(&segment.text) > COMPRESSION {
        return Some(Doubt::Repetition);
    }
    if is_too_fast(segment) {
        return Some(Doubt::TooFast);
    }
    (segment.avg_logprob < DOUBTFUL).then_some(Doubt::Unsure)
}

/// Whether decoding `segments` again may help: where the engine hears nobody, it does not.
pub(super) fn is_worth_another_try(segments: &[Segment]) -> bool {
    let hopeless = |doubt: Doubt| matches!(doubt, Doubt::StageDirection | Doubt::NoSpeech);
    confidence(segments) < DOUBTFUL && segments.iter().any(|segment| !doubt(segment).is_some_and(hopeless))
        || segments.iter().filter_map(doubt).any(|doubt| !hopeless(doubt))
        || repeats(segments)
}

/// Mean log-probability of all tokens; 0 when there are none.
pub(super) fn confidence(segments: &[Segment]) -> f32 {
    let count: usize = segments.iter().map(|segment| segment.tokens.len()).sum();
    let sum: f32 = segments.iter().map(|segment| segment.avg_logprob * segment.tokens.len() as f32).sum();
    sum / count.max(1) as f32
}

/// Whether the segments together end in a loop.
fn repeats(segments: &[Segment]) -> bool {
    let tokens: Vec<i32> = segments.iter().flat_map(|segment| &segment.tokens).map(|token| token.id).collect();
    is_loop(&tokens)
}

/// Leaves out what is not to be believed, and says what and why. Text that the engine is merely unsure of stays: the
/// reader can see its figures.
pub(super) fn keep_believable(segments: Vec<Segment>) -> (Vec<Segment>, Vec<Dropped>) {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for segment in segments {
        match doubt(&segment) {
            None | Some(Doubt::Unsure) => kept.push(segment),
            Some(reason) => {
                dropped.push(Dropped { start: segment.start, end: segment.end, text: segment.text, reason });
            }
        }
    }
    // A loop over several segments: one round is what was said, if anything was.
    while repeats(&kept) {
        let Some(Segment { start, end, text, .. }) = kept.pop() else { break };
        dropped.push(Dropped { start, end, text, reason: Doubt::Repetition });
    }
    (kept, dropped)
}

fn is_too_fast(segment: &Segment) -> bool {
    let seconds = segment.end.saturating_sub(segment.start).max(Duration::from_millis(100)).as_secs_f64();
    segment.words.len() >= WORDS_COUNTED && segment.words.len() as f64 / seconds > WORDS_PER_SECOND
}

fn is_invented(segment: &Segment) -> bool {
    let unlikely = segment.avg_logprob < PHRASE_LOGPROB || segment.no_speech_prob > PHRASE_NO_SPEECH;
    let bare = segment.text.trim_end_matches(|sign: char| sign.is_ascii_punctuation()).to_lowercase();
    unlikely && INVENTED.contains(&bare.as_str())
}

/// `[BLANK_AUDIO]`, `(music playing)`, `♪♪`: text about the sound, not in it.
fn is_stage_direction(text: &str) -> bool {
    let enclosed = |open, close| text.starts_with(open) && text.ends_with(close) && text.matches(open).count() == 1;
    enclosed('[', ']') || enclosed('(', ')') || !text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Token, Word};

    fn segment(text: &str, seconds: u64) -> Segment {
        let word = |text: &str| Word { text: text.into(), ..Word::default() };
        let words: Vec<Word> = text.split_whitespace().map(word).collect();
        let token = |(index, _)| Token { id: index as i32, ..Token::default() };
        let tokens = words.iter().enumerate().map(token).collect();
        let end = Duration::from_secs(seconds);
        Segment { text: text.into(), end, words, tokens, avg_logprob: -0.2, ..Segment::default() }
    }

    #[test]
    fn stage_directions_are_recognised() {
        assert!(is_stage_direction("[BLANK_AUDIO]") && is_stage_direction("(soft music)") && is_stage_direction("♪"));
        assert!(!is_stage_direction("(a) and (b)") && !is_stage_direction("Yes."));
    }

    #[test]
    fn what_repeats_itself_or_is_too_fast_is_doubtful() {
        assert_eq!(doubt(&segment(&"and so on ".repeat(20), 30)), Some(Doubt::Repetition));
        assert_eq!(doubt(&segment("one two three four five six seven eight nine ten", 1)), Some(Doubt::TooFast));
        assert_eq!(doubt(&segment("one two three four five six seven eight nine ten", 4)), None);
    }

    #[test]
    fn thanks_are_believed_unless_nobody_seems_to_speak() {
        let thanks = segment("Thank you.", 1);
        assert_eq!(doubt(&thanks), None);
        assert_eq!(doubt(&Segment { no_speech_prob: 0.5, ..thanks.clone() }), Some(Doubt::NoSpeech));
        assert_eq!(doubt(&Segment { no_speech_prob: 0.5, ..segment("Thank you, Bob.", 1) }), None);
    }

    #[test]
    fn what_is_left_out_is_reported() {
        let looping = Segment { start: Duration::from_secs(3), ..segment(&"yes ".repeat(40), 20) };
        let (kept, dropped) = keep_believable(vec![segment("Hello there.", 2), looping]);
        assert_eq!(kept.len(), 1);
        assert_eq!((dropped.len(), dropped[0].reason, dropped[0].start.as_secs()), (1, Doubt::Repetition, 3));
        let unsure = Segment { avg_logprob: -1.5, ..segment("Hello there.", 2) };
        assert_eq!(keep_believable(vec![unsure]).0.len(), 1);
    }

    #[test]
    fn another_try_is_for_doubtful_speech_only() {
        assert!(is_worth_another_try(&[Segment { avg_logprob: -1.5, ..segment("Hello there.", 2) }]));
        assert!(!is_worth_another_try(&[segment("Hello there.", 2)]));
        assert!(!is_worth_another_try(&[segment("[music]", 2)]));
        assert!(!is_worth_another_try(&[]));
    }
}
