//! When each word of a piece is said: as the engine says, else from the sound and the length of the words.
//!
//! Engines that do not know give no marks. Then the pauses one hears are put where the text has its marks, and between
//! them every word gets time by its letters.

use crate::engine::{Mark, Utterance};
use std::ops::Range;
use std::time::Duration;

/// How long a frame of the envelope is, in seconds.
const FRAME: f32 = 0.01;
/// A frame below this peak is quiet.
const QUIET: f32 = 0.01;
/// So many quiet frames are a pause.
const PAUSE: usize = 8;
/// How many letters the end of a word is worth.
const SPACE: f32 = 1.0;
/// How many seconds a pause may be off where the text has a mark, and where it has none, to be taken for it.
const NEAR: (f32, f32) = (1.0, 0.2);

/// When a word is said.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Where it is in the utterance, in bytes.
    pub word: Range<usize>,
    /// When it begins, in seconds from the first sample of the piece.
    pub start: f32,
    /// When it ends.
    pub end: f32,
}

/// How loud a piece is over time.
pub struct Envelope {
    samples_per_frame: usize,
    peaks: Vec<f32>,
    /// How many samples of the last frame there are.
    filled: usize,
}

impl Envelope {
    /// Of sound of `sample_rate` hertz.
    pub fn new(sample_rate: u32) -> Self {
        let samples_per_frame = ((sample_rate as f32 * FRAME) as usize).max(1);
        Self { samples_per_frame, peaks: Vec::new(), filled: 0 }
    }

    /// Takes the next samples.
    pub fn push(&mut self, samples: &[f32]) {
        for sample in samples {
            if self.filled == 0 {
                self.peaks.push(0.0);
            }
            if let Some(peak) = self.peaks.last_mut() {
                *peak = peak.max(sample.abs());
            }
            self.filled = (self.filled + 1) % self.samples_per_frame;
        }
    }

    /// From the first to behind the last frame that is not quiet.
    fn sounding(&self) -> Range<usize> {
        let loud = |peak: &f32| *peak > QUIET;
        let start = self.peaks.iter().position(loud).unwrap_or(0);
        start..self.peaks.iter().rposition(loud).map_or(start, |last| last + 1)
    }

    /// The pauses between sounds.
    fn pauses(&self) -> Vec<Range<usize>> {
        let sounding = self.sounding();
        let mut pauses = Vec::new();
        let mut start = sounding.start;
        for at in sounding.clone() {
            if self.peaks[at] > QUIET {
                if at - start >= PAUSE {
                    pauses.push(start..at);
                }
                start = at + 1;
            }
        }
        pauses
    }

    /// The end of the last sound between `start` and `end`, in frames.
    fn sound_end(&self, start: usize, end: usize) -> usize {
        let end = end.min(self.peaks.len());
        let last = self.peaks.get(start..end).and_then(|peaks| peaks.iter().rposition(|peak| *peak > QUIET));
        last.map_or(end, |last| start + last + 1)
    }
}

/// When the words at `words` of `utterance`, in order and apart, are said in a piece of sound with this `envelope`.
/// `marks` are what the engine knows, in any order. Times are in order too, and no word is shorter than a frame.
pub fn times(utterance: &Utterance, words: Vec<Range<usize>>, marks: &[Mark], envelope: &Envelope) -> Vec<Timed> {
    if words.is_empty() {
        return Vec::new();
    }
    let starts = starts(utterance, &words, marks, envelope);
    let end = envelope.sounding().end;
    let next = starts.iter().skip(1).copied().chain([end as f32]);
    let timed = words.into_iter().zip(starts.iter().copied().zip(next));
    timed
        .map(|(word, (start, next))| {
            let sound_end = envelope.sound_end(start.ceil() as usize, next as usize) as f32;
            let end = sound_end.min(next).max(start + 1.0);
            Timed { word, start: start * FRAME, end: end * FRAME }
        })
        .collect()
}

/// When each word begins, in frames.
fn starts(utterance: &Utterance, words: &[Range<usize>], marks: &[Mark], envelope: &Envelope) -> Vec<f32> {
    let known = words.iter().map(|word| {
        let mark = marks.iter().filter(|mark| word.contains(&mark.text)).map(|mark| mark.start).min();
        mark.map(|start: Duration| start.as_secs_f32() / FRAME)
    });
    let mut known: Vec<Option<f32>> = known.collect();
    let sounding = envelope.sounding();
    let weights: Vec<f32> = words.iter().map(|word| weight(&utterance.text[word.clone()])).collect();
    if known.iter().all(Option::is_none) {
        known = after_pauses(utterance, words, &weights, envelope);
    }
    known[0] = Some(known[0].unwrap_or(sounding.start as f32));
    let mut starts = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let next = (at + 1..words.len()).find(|index| known[*index].is_some());
        let from = known[at].unwrap_or_default().max(starts.last().copied().unwrap_or_default());
        let to = next.and_then(|next| known[next]).unwrap_or(sounding.end as f32).max(from);
        let end = next.unwrap_or(words.len());
        let total: f32 = weights[at..end].iter().sum();
        // Silence at the end, before the word that is known, belongs to nobody.
        let to = (envelope.sound_end(from as usize, to as usize) as f32).clamp(from, to);
        let mut before = 0.0;
        for weight in &weights[at..end] {
            starts.push(from + (to - from) * before / total);
            before += weight;
        }
        at = end;
    }
    starts
}

/// How much time a word takes compared to others.
fn weight(word: &str) -> f32 {
    let letters = word.chars().filter(|c| c.is_alphanumeric());
    // Characters of scripts without letters are syllables or words.
    SPACE + letters.map(|c| if u32::from(c) >= 0x2E80 { 3.0 } else { 1.0 }).sum::<f32>()
}

/// The words that begin after a pause, where that is clear.
fn after_pauses(
    utterance: &Utterance,
    words: &[Range<usize>],
    weights: &[f32],
    envelope: &Envelope,
) -> Vec<Option<f32>> {
    let (sounding, pauses) = (envelope.sounding(), envelope.pauses());
    let mut known = vec![None; words.len()];
    let silent: usize = pauses.iter().map(Range::len).sum();
    let spoken = (sounding.len() - silent) as f32 / weights.iter().sum::<f32>();
    // Where each word would begin if all letters took the same time, pauses left out.
    let evenly = weights.iter().scan(0.0, |before, weight| {
        *before += weight * spoken;
        Some(*before - weight * spoken)
    });
    let expected: Vec<f32> = evenly.collect();
    let (mut first, mut paused) = (1, 0);
    for pause in pauses {
        let heard = (pause.start - sounding.start - paused) as f32;
        paused += pause.len();
        let distance = |word: usize| {
            let gap = &utterance.text[words[word - 1].end..words[word].start];
            let is_marked = gap.contains(|c: char| !c.is_whitespace() && !c.is_alphanumeric());
            let near = if is_marked { NEAR.0 } else { NEAR.1 };
            let off = (expected[word] - heard).abs() * FRAME;
            (off <= near).then(|| off / near)
        };
        let candidates = (first..words.len()).filter_map(|word| Some((word, distance(word)?)));
        if let Some((word, _)) = candidates.min_by(|a, b| a.1.total_cmp(&b.1)) {
            known[word] = Some(pause.end as f32);
            first = word + 1;
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 10_000;

    /// Sound of so many seconds, silence of so many, and so on.
    fn envelope(seconds: &[f32]) -> Envelope {
        let mut envelope = Envelope::new(RATE);
        for (index, seconds) in seconds.iter().enumerate() {
            let level = if index % 2 == 0 { 0.5 } else { 0.001 };
            vec![level; (seconds * RATE as f32) as usize].chunks(37).for_each(|block| envelope.push(block));
        }
        envelope
    }

    fn words(text: &str) -> Vec<Range<usize>> {
        let mut at = 0;
        let word = |word: &str| {
            let start = at + text[at..].find(word).expect("its own word");
            at = start + word.len();
            start..at
        };
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(word).collect()
    }

    fn times_of(text: &str, marks: &[(usize, f32)], seconds: &[f32]) -> Vec<(f32, f32)> {
        let marks: Vec<Mark> =
            marks.iter().map(|(text, at)| Mark { text: *text, start: Duration::from_secs_f32(*at) }).collect();
        let times = times(&text.into(), words(text), &marks, &envelope(seconds));
        times.into_iter().map(|timed| (timed.start, timed.end)).collect()
    }

    fn near(found: &[(f32, f32)], expected: &[(f32, f32)]) {
        let same = |(a, b): (&(f32, f32), &(f32, f32))| (a.0 - b.0).abs() < 0.03 && (a.1 - b.1).abs() < 0.03;
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{found:?}");
    }

    #[test]
    fn marks_tell_and_a_word_ends_where_its_sound_does() {
        let found = times_of("one, two", &[(5, 0.8), (0, 0.1)], &[0.0, 0.1, 0.4, 0.3, 0.5, 0.2]);
        near(&found, &[(0.1, 0.5), (0.8, 1.3)]);
    }

    #[test]
    fn words_without_a_mark_share_the_time_between_their_neighbours() {
        let found = times_of("aaa bbb ccc", &[(0, 0.0), (8, 0.8)], &[1.2]);
        near(&found, &[(0.0, 0.4), (0.4, 0.8), (0.8, 1.2)]);
    }

    #[test]
    fn without_marks_words_get_time_by_their_letters() {
        near(&times_of("ab abcdefgh", &[], &[0.0, 0.2, 1.2, 0.3]), &[(0.2, 0.5), (0.5, 1.4)]);
    }

    #[test]
    fn a_pause_is_put_where_the_text_has_a_mark() {
        // Even speaking would put the pause after `yes`; the comma says otherwise.
        let found = times_of("oh yes, we can", &[], &[0.5, 0.3, 0.7]);
        near(&found[1..3], &[(0.21, 0.5), (0.8, 1.1)]);
        let found = times_of("aaaa bbbb cccc", &[], &[0.5, 0.3, 1.0]);
        near(&found, &[(0.0, 0.5), (0.8, 1.3), (1.3, 1.8)]);
    }

    #[test]
    fn times_are_in_order_whatever_the_engine_says() {
        let wild = times_of("a b c d", &[(2, 9.0), (4, 1.0), (6, 0.2)], &[0.5]);
        assert!(wild.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{wild:?}");
        assert!(wild.iter().all(|(start, end)| start < end), "{wild:?}");
        assert!(times_of("a b", &[], &[]).iter().all(|(start, end)| start < end));
        assert!(times_of("", &[], &[0.5]).is_empty());
    }
}
