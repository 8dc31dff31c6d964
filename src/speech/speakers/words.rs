//! Words given to voices, so that a sentence is torn only where the voice changes for real, and segments split where the
//! speaker changes.

use super::turns::Turn;
use crate::transcript::{Segment, Speaker, Token, Transcript, Word};
use std::ops::Range;
use std::time::Duration;

/// Within a sentence a voice that has less to say is a mistake.
const SHORTEST_PART: Duration = Duration::from_secs(1);

/// A single word that is no longer than this and between two of one other voice is a mistake...
const STRAY_WORD: Duration = Duration::from_millis(500);

/// ...unless there are pauses around it.
const PAUSE: Duration = Duration::from_millis(250);

/// Where so long nobody speaks a sentence ends, also without a full stop.
const END_OF_SENTENCE: Duration = Duration::from_millis(800);

/// So many turns before a word are looked at; more do not overlap with it.
const LOOK_BACK: usize = 8;

/// Writes into `transcript` who speaks according to `turns`, which are in order of their start. `name` is asked for the
/// speaker of a voice in the order of the words.
pub fn assign(transcript: &mut Transcript, turns: &[Turn], name: &mut dyn FnMut(usize) -> Speaker) {
    if turns.is_empty() {
        return;
    }
    let words: Vec<&Word> = transcript.words().collect();
    let mut voices = heard(&words, turns);
    for sentence in sentences(&words) {
        smooth_sentence(&words[sentence.clone()], &mut voices[sentence]);
    }
    smooth_stray_words(&words, &mut voices);
    let mut voices = voices.into_iter();
    let segments = std::mem::take(&mut transcript.segments);
    for segment in segments {
        let own: Vec<usize> = voices.by_ref().take(segment.words.len()).collect();
        if own.is_empty() {
            let voice = voice_in(turns, segment.start, segment.end, None);
            transcript.segments.push(Segment { speaker: Some(name(voice)), ..segment });
            continue;
        }
        for (mut part, voice) in parts(segment, &own) {
            let speaker = Some(name(voice));
            part.words.iter_mut().for_each(|word| word.speaker.clone_from(&speaker));
            transcript.segments.push(Segment { speaker, ..part });
        }
    }
}

/// The voice that is heard during each word.
fn heard(words: &[&Word], turns: &[Turn]) -> Vec<usize> {
    let mut before = None;
    let voice = words.iter().map(|word| {
        let voice = voice_in(turns, word.start, word.end, before);
        before = Some(voice);
        voice
    });
    voice.collect()
}

/// The voice that is heard longest between `start` and `end`, or nearest to it; `before` when it is as good as any.
fn voice_in(turns: &[Turn], start: Duration, end: Duration, before: Option<usize>) -> usize {
    let later = turns.partition_point(|turn| turn.start < end);
    let near = &turns[later.saturating_sub(LOOK_BACK)..(later + 1).min(turns.len())];
    let distance = |turn: &Turn| turn.start.saturating_sub(end).max(start.saturating_sub(turn.end));
    let heard = |voice: usize| {
        let own = near.iter().filter(|turn| turn.voice == voice);
        let overlap: Duration = own.clone().map(|turn| turn.overlap(start, end)).sum();
        (overlap, std::cmp::Reverse(own.map(distance).min()), Some(voice) == before)
    };
    near.iter().map(|turn| turn.voice).max_by_key(|voice| heard(*voice)).unwrap_or(0)
}

/// The words of each sentence.
fn sentences(words: &[&Word]) -> Vec<Range<usize>> {
    let ends = |index: &usize| {
        let pause = words.get(index + 1).map(|next| next.start.saturating_sub(words[*index].end));
        pause.is_none_or(|pause| pause >= END_OF_SENTENCE) || is_end_of_sentence(&words[*index].text)
    };
    let mut start = 0;
    let ends = (0..words.len()).filter(ends);
    ends.map(|end| std::mem::replace(&mut start, end + 1)..end + 1).collect()
}

fn is_end_of_sentence(word: &str) -> bool {
    let word = word.trim_end_matches(['"', '\'', '”', '’', '»', ')', ']']);
    word.ends_with(['.', '?', '!', '…', '。', '？', '！', '।', '؟'])
}

/// Gives the parts of a sentence that are too short for a change of voice to what is next to them.
fn smooth_sentence(words: &[&Word], voices: &mut [usize]) {
    loop {
        let runs = runs(voices);
        let length = |run: &Range<usize>| words[run.end - 1].end.saturating_sub(words[run.start].start);
        let Some(shortest) = (0..runs.len()).min_by_key(|index| length(&runs[*index])) else { return };
        if runs.len() == 1 || length(&runs[shortest]) >= SHORTEST_PART {
            return;
        }
        let neighbours = [shortest.checked_sub(1), Some(shortest + 1).filter(|next| *next < runs.len())];
        let longest = neighbours.into_iter().flatten().max_by_key(|index| length(&runs[*index]));
        let Some(voice) = longest.map(|index| voices[runs[index].start]) else { return };
        voices[runs[shortest].clone()].fill(voice);
    }
}

/// Gives single short words to the voice on both sides of them, unless there are pauses around.
fn smooth_stray_words(words: &[&Word], voices: &mut [usize]) {
    for index in 1..words.len().saturating_sub(1) {
        let (before, word, after) = (words[index - 1], words[index], words[index + 1]);
        let between = voices[index - 1] == voices[index + 1];
        let is_short = word.end.saturating_sub(word.start) <= STRAY_WORD;
        let pause = |a: &Word, b: &Word| b.start.saturating_sub(a.end) >= PAUSE;
        if between && is_short && !(pause(before, word) && pause(word, after)) {
            voices[index] = voices[index - 1];
        }
    }
}

/// Stretches of equal voices.
fn runs(voices: &[usize]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut ends = (0..voices.len()).filter(|index| voices.get(index + 1) != Some(&voices[*index]));
    std::iter::from_fn(|| ends.next().map(|end| std::mem::replace(&mut start, end + 1)..end + 1)).collect()
}

/// `segment` split where the voice of its words changes.
fn parts(segment: Segment, voices: &[usize]) -> Vec<(Segment, usize)> {
    let runs = runs(voices);
    if runs.len() == 1 {
        return vec![(segment, voices[0])];
    }
    let starts = text_starts(&segment, &runs);
    let tokens = tokens_of(&segment.tokens, &starts);
    let (first, last) = (runs[0].start, runs[runs.len() - 1].end);
    let part = |(index, run): (usize, &Range<usize>)| {
        let words = segment.words[run.clone()].to_vec();
        let start = if run.start == first { segment.start } else { words[0].start };
        let end = if run.end == last { segment.end } else { words[words.len() - 1].end };
        let text_end = starts.get(index + 1).copied().unwrap_or(segment.text.len());
        let text = match starts.is_empty() {
            false => segment.text[starts[index]..text_end].trim().to_owned(),
            true => words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "),
        };
        let tokens = tokens.get(index).cloned().unwrap_or_default();
        let avg_logprob = mean_logprob(&tokens).unwrap_or(segment.avg_logprob);
        let rest = Segment { words: Vec::new(), tokens: Vec::new(), text: String::new(), ..segment.clone() };
        (Segment { text, start, end, words, tokens, avg_logprob, ..rest }, voices[run.start])
    };
    runs.iter().enumerate().map(part).collect()
}

/// Where in the text of `segment` each run of words begins; nothing when its words are not in its text.
fn text_starts(segment: &Segment, runs: &[Range<usize>]) -> Vec<usize> {
    let (mut starts, mut from) = (Vec::with_capacity(segment.words.len()), 0);
    for word in &segment.words {
        let Some(at) = segment.text[from..].find(&word.text) else { return Vec::new() };
        starts.push(from + at);
        from += at + word.text.len();
    }
    let first = |run: &Range<usize>| if run.start == 0 { 0 } else { starts[run.start] };
    runs.iter().map(first).collect()
}

/// The tokens of each part of a text whose parts begin at `starts`.
fn tokens_of(tokens: &[Token], starts: &[usize]) -> Vec<Vec<Token>> {
    let spaces = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    // The text of a segment is trimmed, its tokens are not.
    let all: Vec<u8> = tokens.iter().flat_map(|token| token.bytes.iter().copied()).collect();
    let trimmed = spaces(&all);
    let (mut parts, mut position) = (vec![Vec::new(); starts.len()], 0);
    for token in tokens {
        let begin = (position + spaces(&token.bytes)).saturating_sub(trimmed);
        let part = starts.partition_point(|start| *start <= begin).saturating_sub(1);
        if let Some(part) = parts.get_mut(part) {
            part.push(token.clone());
        }
        position += token.bytes.len();
    }
    parts
}

fn mean_logprob(tokens: &[Token]) -> Option<f32> {
    let sum: f32 = tokens.iter().map(|token| token.logprob).sum();
    (!tokens.is_empty()).then(|| sum / tokens.len() as f32)
}
