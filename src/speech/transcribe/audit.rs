//! Whether all speech has become text, and all text is speech.
//!
//! Stretches where somebody speaks for a second or longer and no word lies are gaps. Text where nobody surely speaks is
//! believed only when the engine is sure of it: the two listen in different ways and are seldom wrong together.

use crate::transcript::{Coverage, Doubt, Dropped, Segment, Transcript, Word};
use std::ops::Range;
use std::time::Duration;

/// Shorter stretches without text are breaths, laughs and the like.
const SHORTEST_GAP: Duration = Duration::from_secs(1);

/// Stretches without text from this length on may be words that were swallowed, and are looked at again.
const SHORTEST_DOUBT: Duration = Duration::from_millis(400);

/// The longest voice that is recognised as a whole because of a gap in it.
const WHOLE_VOICE: Duration = Duration::from_secs(12);

/// Word times are not exact: a word covers so much on either side of it.
const AROUND_WORD: Duration = Duration::from_millis(250);

/// Nobody takes longer to say a word of so many letters; what an engine stretches beyond is not covered by it.
const WORD_TAKES: Duration = Duration::from_millis(800);
const LETTER_TAKES: Duration = Duration::from_millis(120);

/// A word that reaches no further into a voice is not in it.
const EDGE: Duration = Duration::from_millis(50);

/// Speech with shorter pauses is recognised together.
const SHORT_PAUSE: Duration = Duration::from_millis(400);

/// Where nobody surely speaks, text below this mean log-probability is not believed. Measured: text in music and noise is
/// at -0.48 and below.
const DOUBTFUL: f32 = -0.4;

/// Leaves out the text that lies outside of `voiced` and that the engine is not sure of, and notes it.
pub(super) fn disbelieve(voiced: &[Range<Duration>], transcript: &mut Transcript) {
    let is_heard = |segment: &Segment| {
        let spoken: Duration = voiced.iter().map(|place| shared(place, &(segment.start..segment.end))).sum();
        spoken * 4 >= segment.end.saturating_sub(segment.start)
    };
    let (kept, doubtful) = std::mem::take(&mut transcript.segments)
        .into_iter()
        .partition(|segment| segment.avg_logprob >= DOUBTFUL || is_heard(segment));
    transcript.segments = kept;
    let doubtful: Vec<Segment> = doubtful;
    transcript.report.dropped.extend(doubtful.into_iter().map(|segment| Dropped {
        start: segment.start,
        end: segment.end,
        text: segment.text,
        reason: Doubt::NoSpeech,
    }));
}

/// Moves words that begin before anybody surely speaks to where the voice is: noise before a sentence misleads the times
/// of the engine. What lies outside of `voiced` altogether stays.
pub(super) fn fit_to_voices(voiced: &[Range<Duration>], segments: &mut [Segment]) {
    for segment in segments {
        let span = segment.start..segment.end;
        let Some(voice) = voiced.iter().find(|voice| shared(voice, &span) > Duration::ZERO) else { continue };
        let inside = segment.words.iter().position(|word| word.end > voice.start + EDGE);
        let Some(inside) = inside.filter(|_| segment.start + AROUND_WORD < voice.start) else { continue };
        share_out(&mut segment.words[..=inside], voice.start);
        segment.start = voice.start;
    }
}

/// Moves words that lie in a pause to the voice behind it. `heard` is everything like a voice.
pub(super) fn fit_to_pauses(heard: &[Range<Duration>], segments: &mut [Segment]) {
    let voice_of = |word: &Word| heard.iter().find(|voice| shared(voice, &(word.start..word.end)) > Duration::ZERO);
    for segment in segments {
        let mut from = 0;
        while let Some(lost) = segment.words[from..].iter().position(|word| voice_of(word).is_none()) {
            let lost = from + lost;
            let next =
                segment.words[lost..].iter().enumerate().find_map(|(at, word)| Some((at, voice_of(word)?.start)));
            let Some((at, start)) = next else { break };
            let earliest = segment.words[..lost].last().map_or(Duration::ZERO, |word| word.end);
            share_out(&mut segment.words[lost..=lost + at], start.max(earliest));
            from = lost + at + 1;
        }
    }
}

/// Gives each of `words` its share of the time from `start` to the end of the last, by its letters.
fn share_out(words: &mut [Word], start: Duration) {
    let letters = |word: &Word| word.text.chars().count().max(1) as u32;
    let total: u32 = words.iter().map(letters).sum();
    let Some(length) = words.last().map(|last| last.end.saturating_sub(start)) else { return };
    let mut said = 0;
    for word in words {
        word.start = start + length * said / total;
        said += letters(word);
        word.end = start + length * said / total;
    }
}

fn shared(one: &Range<Duration>, other: &Range<Duration>) -> Duration {
    one.end.min(other.end).saturating_sub(one.start.max(other.start))
}

/// The stretches of `voiced` that none of `segments` covers, long enough to be told. Both must be in order.
pub(super) fn gaps(voiced: &[Range<Duration>], segments: &[Segment]) -> Vec<Range<Duration>> {
    uncovered(voiced, segments, SHORTEST_GAP)
}

/// The stretches of `voiced` that none of `segments` covers and that are worth another look, each with what is to be
/// recognised for it: the whole voice, so that the words in the gap are not torn.
pub(super) fn doubts(voiced: &[Range<Duration>], segments: &[Segment]) -> Vec<(Range<Duration>, Range<Duration>)> {
    let whole = |gap: Range<Duration>| {
        let voice = voiced.iter().find(|voice| voice.start <= gap.start && gap.end <= voice.end);
        let voice = voice.filter(|voice| voice.end - voice.start <= WHOLE_VOICE).unwrap_or(&gap).clone();
        (gap, voice)
    };
    uncovered(voiced, segments, SHORTEST_DOUBT).into_iter().map(whole).collect()
}

fn uncovered(voiced: &[Range<Duration>], segments: &[Segment], shortest: Duration) -> Vec<Range<Duration>> {
    let mut covered: Vec<Range<Duration>> = segments.iter().flat_map(covered_by).collect();
    covered.sort_by_key(|place| place.start);
    let mut gaps = Vec::new();
    for place in voiced {
        let mut from = place.start;
        for cover in covered.iter().filter(|cover| cover.end > place.start && cover.start < place.end) {
            gaps.push(from..cover.start.max(from));
            from = from.max(cover.end);
        }
        gaps.push(from..place.end.max(from));
    }
    gaps.retain(|gap| gap.end - gap.start >= shortest);
    gaps
}

fn covered_by(segment: &Segment) -> Vec<Range<Duration>> {
    let around = |start: Duration, end: Duration| start.saturating_sub(AROUND_WORD)..end + AROUND_WORD;
    if segment.words.is_empty() && !segment.text.is_empty() {
        return vec![around(segment.start, segment.end)];
    }
    segment.words.iter().map(|word| around(word.start, word.end.min(word.start + longest(word)))).collect()
}

fn longest(word: &Word) -> Duration {
    WORD_TAKES + LETTER_TAKES * word.text.chars().count() as u32
}

/// Takes the segments out of `segments` in which a word lasts longer than anybody takes to say it: the engine has
/// skipped something and stretched its words over that.
pub(super) fn take_stretched(segments: &mut Vec<Segment>) -> Vec<Segment> {
    let is_stretched = |segment: &Segment| segment.words.iter().any(|word| word.end - word.start > longest(word));
    let (stretched, rest) = std::mem::take(segments).into_iter().partition(is_stretched);
    *segments = rest;
    stretched
}

/// The stretches of `voiced` within `segment`, those with short pauses between them as one, to be recognised apart.
pub(super) fn stretches(voiced: &[Range<Duration>], segment: &Segment) -> Vec<Range<Duration>> {
    let mut stretches: Vec<Range<Duration>> = Vec::new();
    for place in voiced.iter().filter(|place| shared(place, &(segment.start..segment.end)) > Duration::ZERO) {
        match stretches.last_mut() {
            Some(last) if place.start.saturating_sub(last.end) < SHORT_PAUSE => last.end = place.end,
            _ => stretches.push(place.clone()),
        }
    }
    stretches
}

/// Whether `found` says enough more than `segment` to take its place.
pub(super) fn says_more(found: &[Segment], segment: &Segment) -> bool {
    let letters = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).count();
    found.iter().map(|segment| letters(&segment.text)).sum::<usize>() * 5 > letters(&segment.text) * 6
}

/// Whether a word of `segments` lies in `place`.
pub(super) fn is_said(place: &Range<Duration>, segments: &[Segment]) -> bool {
    let spans = segments.iter().flat_map(|segment| &segment.words).map(|word| word.start..word.end);
    spans.into_iter().any(|word| shared(&word, place) > Duration::ZERO)
}

/// What became of the speech in `voiced`, of which `gaps` have no text.
pub(super) fn coverage(voiced: &[Range<Duration>], gaps: Vec<Range<Duration>>) -> Coverage {
    let total = |places: &[Range<Duration>]| places.iter().map(|place| place.end - place.start).sum::<Duration>();
    let speech = total(voiced);
    Coverage { speech, covered: speech.saturating_sub(total(&gaps)), gaps }
}

/// The part of `found`, recognised in and around `gap`, that belongs into it: what is outside has been said already.
pub(super) fn within(gap: &Range<Duration>, found: Vec<Segment>) -> Vec<Segment> {
    let is_inside = |word: &Word| gap.contains(&((word.start + word.end) / 2));
    let inside = |segment: Segment| {
        if segment.words.is_empty() {
            return Some(segment);
        }
        let from = segment.words.iter().position(is_inside)?;
        let to = segment.words.iter().rposition(is_inside)? + 1;
        Some(segment.part(from..to))
    };
    found.into_iter().filter_map(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(range: Range<u64>) -> Range<Duration> {
        Duration::from_millis(range.start)..Duration::from_millis(range.end)
    }

    fn said(words: &[(&str, Range<u64>)]) -> Segment {
        let word = |(text, time): &(&str, Range<u64>)| {
            let Range { start, end } = ms(time.clone());
            Word { text: text.to_string(), start, end, ..Word::default() }
        };
        let words: Vec<Word> = words.iter().map(word).collect();
        let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        let (start, end) = (words[0].start, words[words.len() - 1].end);
        Segment { text, start, end, words, ..Segment::default() }
    }

    #[test]
    fn speech_without_words_is_a_gap_from_a_second_on() {
        let voiced = [ms(0..2000), ms(3000..6000), ms(7000..7900)];
        let segments = [said(&[("one", 100..900), ("two", 1000..1900)]), said(&[("three", 3000..3600)])];
        assert_eq!(gaps(&voiced, &segments), [ms(3850..6000)]);
        assert_eq!(gaps(&voiced, &[]), [ms(0..2000), ms(3000..6000)]);
        let coverage = coverage(&voiced, gaps(&voiced, &segments));
        assert_eq!((coverage.speech, coverage.covered), (Duration::from_millis(5900), Duration::from_millis(3750)));
    }

    #[test]
    fn for_a_gap_the_whole_voice_is_recognised() {
        let segments = [said(&[("my", 0..200), ("left", 200..500)])];
        assert_eq!(gaps(&[ms(0..1300)], &segments), []);
        assert_eq!(doubts(&[ms(0..1300)], &segments), [(ms(750..1300), ms(0..1300))]);
        assert_eq!(doubts(&[ms(0..20_000)], &segments), [(ms(750..20_000), ms(750..20_000))]);
    }

    #[test]
    fn text_where_nobody_speaks_needs_a_sure_engine() {
        let unsure = |segment: Segment| Segment { avg_logprob: -0.6, ..segment };
        let segments = vec![
            unsure(said(&[("spoken", 0..900)])),
            unsure(said(&[("invented", 3000..3900)])),
            said(&[("whispered", 4000..4900)]),
        ];
        let mut transcript = Transcript { segments, ..Transcript::default() };
        disbelieve(&[ms(0..1000)], &mut transcript);
        assert_eq!(transcript.text(), "spoken whispered");
        assert_eq!(transcript.report.dropped[0].text, "invented");
    }

    #[test]
    fn a_word_stretched_over_other_speech_does_not_cover_it() {
        let segments = [said(&[("on", 0..9000)])];
        assert_eq!(gaps(&[ms(0..9000)], &segments), [ms(1290..9000)]);
    }

    #[test]
    fn words_in_the_noise_before_a_voice_are_moved_to_it() {
        let mut segments = [said(&[("you", 0..200), ("need", 300..900), ("a", 900..1000), ("sea", 1300..2100)])];
        fit_to_voices(&[ms(1200..2100)], &mut segments);
        let times: Vec<_> =
            segments[0].words.iter().map(|word| (word.start.as_millis(), word.end.as_millis())).collect();
        assert_eq!(times, [(1200, 1445), (1445, 1772), (1772, 1854), (1854, 2100)]);
        assert_eq!(segments[0].start, Duration::from_millis(1200));
        let mut torn = [said(&[("there", 600..1150), ("is", 1600..1900), ("a", 2100..2200), ("wind", 2200..2900)])];
        fit_to_pauses(&[ms(0..1200), ms(2100..2900)], &mut torn);
        let times: Vec<_> = torn[0].words.iter().map(|word| (word.start.as_millis(), word.end.as_millis())).collect();
        assert_eq!(times, [(600, 1150), (2100, 2166), (2166, 2200), (2200, 2900)]);
        let mut good = [said(&[("you", 1190..1300), ("need", 1300..1900)])];
        let before = good.clone();
        fit_to_voices(&[ms(1200..2100)], &mut good);
        assert_eq!(good, before);
    }

    #[test]
    fn a_segment_with_stretched_words_is_looked_at_again() {
        let normal = said(&[("good", 0..400), ("morning", 400..900)]);
        let stretched = said(&[("please", 2000..4500), ("turn", 7000..7500), ("on", 9000..9500)]);
        let mut segments = vec![normal.clone(), stretched.clone()];
        assert_eq!(take_stretched(&mut segments), std::slice::from_ref(&stretched));
        assert_eq!(segments, [normal]);
        let voiced = [ms(0..900), ms(2000..4500), ms(4700..5500), ms(7000..7500), ms(9000..9500)];
        assert_eq!(stretches(&voiced, &stretched), [ms(2000..5500), ms(7000..7500), ms(9000..9500)]);
        assert!(!says_more(std::slice::from_ref(&stretched), &stretched));
        assert!(says_more(&[stretched.clone(), said(&[("the", 4700..5000)])], &stretched));
    }

    #[test]
    fn only_what_lies_in_the_gap_is_taken() {
        let found = vec![said(&[("before", 0..900), ("inside", 1100..1900), ("after", 2100..2900)])];
        let kept = within(&ms(1000..2000), found.clone());
        assert_eq!(kept.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>(), ["inside"]);
        assert!(within(&ms(5000..6000), found).is_empty());
    }
}
