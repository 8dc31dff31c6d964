//! Where to listen: windows over the stretches in which somebody speaks.

use crate::audio::samples_to_duration;
use crate::engine::vad::{FRAME, Vad};
use crate::engine::{SPEECH_SAMPLE_RATE, VoicePrint};
use std::ops::Range;

/// The longest window: 1.5 s at 16 kHz. Longer ones describe a voice better and mix more voices.
const LONGEST: usize = 24_000;

/// From this probability on somebody speaks.
const BEGIN: f32 = 0.4;

/// Below this probability nobody does.
const END: f32 = 0.25;

/// Shorter pauses, of 0.2 s, do not part two stretches.
const JOIN: usize = 3200;

/// Shorter sounds, of 0.15 s, say nothing about a voice.
const SHORTEST: usize = 2400;

/// A stretch of speech to describe, in samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What to listen to.
    pub heard: Range<usize>,
    /// What the description stands for; these never overlap.
    pub meant: Range<usize>,
}

impl Window {
    /// The print of what the window means.
    pub fn print(&self, embedding: Vec<f32>) -> VoicePrint {
        let time = |sample: usize| samples_to_duration(sample as u64, SPEECH_SAMPLE_RATE);
        VoicePrint { start: time(self.meant.start), end: time(self.meant.end), embedding }
    }
}

/// Windows over all speech in `samples`, mono at 16 kHz, at most `hop` samples apart.
pub fn windows(samples: &[f32], hop: usize) -> Vec<Window> {
    speech(samples).into_iter().flat_map(|stretch| over(&stretch, hop)).collect()
}

/// The windows over one stretch: evenly spaced, each standing for what is nearest to its middle.
pub fn over(stretch: &Range<usize>, hop: usize) -> Vec<Window> {
    let Some(rest) = stretch.len().checked_sub(LONGEST).filter(|rest| *rest > 0) else {
        return vec![Window { heard: stretch.clone(), meant: stretch.clone() }];
    };
    let steps = rest.div_ceil(hop.max(1));
    let begin = |index: usize| stretch.start + rest * index / steps;
    let border = |index: usize| (begin(index - 1) + begin(index) + LONGEST) / 2;
    let window = |index: usize| Window {
        heard: begin(index)..begin(index) + LONGEST,
        meant: if index == 0 { stretch.start } else { border(index) }..if index == steps {
            stretch.end
        } else {
            border(index + 1)
        },
    };
    (0..=steps).map(window).collect()
}

/// Where somebody speaks, in samples.
pub fn speech(samples: &[f32]) -> Vec<Range<usize>> {
    let (mut vad, mut found, mut speaking) = (Vad::new(), Vec::<Range<usize>>::new(), false);
    for (index, frame) in samples.as_chunks::<FRAME>().0.iter().enumerate() {
        speaking = vad.probability(frame) >= if speaking { END } else { BEGIN };
        if !speaking {
            continue;
        }
        let (start, end) = (index * FRAME, (index + 1) * FRAME);
        match found.last_mut() {
            Some(last) if start - last.end <= JOIN => last.end = end,
            _ => found.push(start..end),
        }
    }
    found.retain(|stretch| stretch.len() >= SHORTEST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stretch_is_one_window() {
        assert_eq!(over(&(100..24_100), 12_000), [Window { heard: 100..24_100, meant: 100..24_100 }]);
    }

    #[test]
    fn windows_cover_a_stretch_and_mean_it_without_overlap() {
        for length in [24_001, 30_000, 36_000, 36_001, 480_000] {
            let windows = over(&(1000..1000 + length), 12_000);
            assert!(windows.iter().all(|window| window.heard.len() == LONGEST));
            assert!(windows.iter().all(|window| window.heard.start <= window.meant.start.max(window.heard.start)));
            assert!(windows.windows(2).all(|pair| pair[0].meant.end == pair[1].meant.start));
            assert!(windows.windows(2).all(|pair| pair[1].heard.start - pair[0].heard.start <= 12_000));
            assert_eq!((windows[0].meant.start, windows[0].heard.start), (1000, 1000));
            let last = windows.last().expect("windows");
            assert_eq!((last.meant.end, last.heard.end), (1000 + length, 1000 + length));
        }
    }

    #[test]
    fn silence_has_no_speech() {
        assert!(speech(&[0.0; 48_000]).is_empty());
        assert!(windows(&[], 12_000).is_empty());
    }
}
