//! Text that is not to be believed: loops, guesses, and what models say when nobody speaks.

use crate::transcript::Segment;

/// Below this mean log-probability a text is doubtful.
const DOUBTFUL: f32 = -1.0;

/// Above this probability of silence a doubtful text is dropped.
const NO_SPEECH: f32 = 0.6;

/// Whether a text is doubtful or repeats itself.
pub(super) fn looks_wrong(segments: &[Segment]) -> bool {
    let tokens: Vec<i32> = segments.iter().flat_map(|segment| &segment.tokens).map(|token| token.id).collect();
    confidence(segments) < DOUBTFUL || repeats(&tokens)
}

/// Mean log-probability of all tokens; 0 when there are none.
pub(super) fn confidence(segments: &[Segment]) -> f32 {
    let count: usize = segments.iter().map(|segment| segment.tokens.len()).sum();
    let sum: f32 = segments.iter().map(|segment| segment.avg_logprob * segment.tokens.len() as f32).sum();
    sum / count.max(1) as f32
}

/// Whether the tokens end in a loop: the same few of them at least four times, and at least twelve in all.
fn repeats(tokens: &[i32]) -> bool {
    const TIMES: usize = 4;
    const IN_ALL: usize = 12;
    (1..=tokens.len() / TIMES).any(|length| {
        let times = TIMES.max(IN_ALL.div_ceil(length));
        let Some(start) = tokens.len().checked_sub(length * times) else { return false };
        let tail = &tokens[start..];
        tail.iter().zip(&tail[length..]).all(|(one, next)| one == next)
    })
}

/// Leaves out what is probably not speech: doubtful text where the model hears silence, and stage directions.
pub(super) fn keep_speech(segments: Vec<Segment>) -> Vec<Segment> {
    let silent = |segment: &Segment| segment.no_speech_prob > NO_SPEECH && segment.avg_logprob < DOUBTFUL;
    segments.into_iter().filter(|segment| !silent(segment) && !is_stage_direction(&segment.text)).collect()
}

/// `[BLANK_AUDIO]`, `(music playing)`, `♪♪`: text about the sound, not in it.
fn is_stage_direction(text: &str) -> bool {
    let enclosed = |open, close| text.starts_with(open) && text.ends_with(close) && text.matches(open).count() == 1;
    enclosed('[', ']') || enclosed('(', ')') || !text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_and_stage_directions_are_recognised() {
        assert!(repeats(&[9, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]));
        assert!(!repeats(&[7, 7, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
        assert!(is_stage_direction("[BLANK_AUDIO]") && is_stage_direction("(soft music)") && is_stage_direction("♪"));
        assert!(!is_stage_direction("(a) and (b)") && !is_stage_direction("Yes."));
    }
}
