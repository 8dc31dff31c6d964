//! Diarization error rate: how much of the time in which somebody speaks is given to nobody, to too many, or to the
//! wrong speaker, after the speakers of both sides have been matched as well as possible.
//!
//! Time is looked at every 10 ms. Borders of turns are never exact, so 0.25 s before and after each border of the
//! reference do not count, as is usual.

use std::ops::Range;
use std::time::Duration;

/// Around the borders of the reference nothing counts.
const COLLAR: Duration = Duration::from_millis(250);

const STEP: Duration = Duration::from_millis(10);

/// Somebody, by number, speaks in this time.
pub type Span = (Range<Duration>, usize);

/// The parts of the time in which somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// Given to nobody.
    pub missed: f64,
    /// Given to somebody where there was nobody, or to more than there were.
    pub invented: f64,
    /// Given to somebody else.
    pub confused: f64,
}

impl Errors {
    /// The diarization error rate.
    pub fn rate(self) -> f64 {
        self.missed + self.invented + self.confused
    }
}

/// How far `found` is from `truth`.
pub fn errors(truth: &[Span], found: &[Span]) -> Errors {
    let end = truth.iter().chain(found).map(|(span, _)| span.end).max().unwrap_or_default();
    let near_border = |time: Duration| {
        truth.iter().any(|(span, _)| [span.start, span.end].iter().any(|border| border.abs_diff(time) < COLLAR))
    };
    let steps = (0..end.as_millis() / STEP.as_millis()).map(|step| STEP * step as u32 + STEP / 2);
    let steps: Vec<_> = steps.filter(|time| !near_border(*time)).collect();
    let speaking = |spans: &[Span], time: Duration| -> Vec<usize> {
        spans.iter().filter(|(span, _)| span.contains(&time)).map(|(_, speaker)| *speaker).collect()
    };
    let frames: Vec<_> = steps.iter().map(|time| (speaking(truth, *time), speaking(found, *time))).collect();
    let total: usize = frames.iter().map(|(truth, _)| truth.len()).sum();
    let (mut missed, mut invented, mut both) = (0, 0, 0);
    for (truth, found) in &frames {
        missed += truth.len().saturating_sub(found.len());
        invented += found.len().saturating_sub(truth.len());
        both += truth.len().min(found.len());
    }
    let part = |count: usize| count as f64 / total.max(1) as f64;
    let right = best_match(&together(&frames), 0, &mut Vec::new());
    Errors { missed: part(missed), invented: part(invented), confused: part(both - right) }
}

/// For each true speaker and each found one, in how many frames both speak.
fn together(frames: &[(Vec<usize>, Vec<usize>)]) -> Vec<Vec<usize>> {
    let most = |speakers: &mut dyn Iterator<Item = &usize>| speakers.max().map_or(0, |most| most + 1);
    let (true_count, found_count) =
        (most(&mut frames.iter().flat_map(|frame| &frame.0)), most(&mut frames.iter().flat_map(|frame| &frame.1)));
    let mut counts = vec![vec![0; found_count]; true_count];
    for (truth, found) in frames {
        truth.iter().for_each(|a| found.iter().for_each(|b| counts[*a][*b] += 1));
    }
    counts
}

/// The most frames that are right when each true speaker from `next` on is one found speaker or none, and no two are
/// the same.
fn best_match(counts: &[Vec<usize>], next: usize, taken: &mut Vec<usize>) -> usize {
    let Some(row) = counts.get(next) else { return 0 };
    let mut best = best_match(counts, next + 1, taken);
    for (found, count) in row.iter().enumerate() {
        if !taken.contains(&found) {
            taken.push(found);
            best = best.max(count + best_match(counts, next + 1, taken));
            taken.pop();
        }
    }
    best
}

fn span(start: u64, end: u64, speaker: usize) -> Span {
    (Duration::from_secs(start)..Duration::from_secs(end), speaker)
}

#[test]
fn the_names_of_speakers_do_not_matter() {
    let truth = [span(0, 10, 0), span(10, 20, 1)];
    let found = [span(0, 10, 1), span(10, 20, 0)];
    assert_eq!(errors(&truth, &found).rate(), 0.0);
}

#[test]
fn borders_may_be_off_by_the_collar() {
    let late = (Duration::from_millis(200)..Duration::from_millis(9800), 0);
    assert_eq!(errors(&[span(0, 10, 0)], &[late]).rate(), 0.0);
}

#[test]
fn each_kind_of_error_is_counted() {
    let truth = [span(1, 11, 0), span(21, 31, 1)];
    let counted = 2.0 * 9.5;
    assert_eq!(errors(&truth, &[]).missed, 1.0);
    let found = [span(1, 11, 0), span(21, 31, 0)];
    assert_eq!(errors(&truth, &found).confused, 0.5);
    let found = [span(1, 11, 0), span(13, 15, 2), span(21, 31, 1)];
    assert!((errors(&truth, &found).invented - 2.0 / counted).abs() < 1e-9);
    let found = [span(1, 11, 0), span(21, 31, 1), span(21, 31, 2)];
    assert_eq!(errors(&truth, &found).invented, 0.5);
}
