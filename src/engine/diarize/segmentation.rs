//! Who speaks alone and who at once, by a pyannote segmentation model in ONNX: 10 s of sound in, and for every frame the
//! likelihood of nobody, of each of three voices, and of each two of them.

use crate::engine::Cancel;
use crate::engine::onnx::{Input, Session};
use crate::error::{Error, Kind, Result};
use std::ops::Range;

/// Samples the model takes: 10 s at 16 kHz.
const WINDOW: usize = 160_000;

/// Voices a window can have.
const VOICES: usize = 3;

/// Which voices speak in each class of the model.
const CLASSES: [&[usize]; 7] = [&[], &[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2]];

/// Shorter pauses of a voice, of 0.2 s, are filled.
const JOIN: usize = 3200;

/// Shorter sounds of a voice, of 0.1 s, are left out.
const SHORTEST: usize = 1600;

/// One voice within 10 s, in samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Voice {
    /// Where it speaks.
    pub stretches: Vec<Range<usize>>,
    /// Where nobody else does.
    pub alone: Vec<Range<usize>>,
}

/// The model.
pub struct Segmentation {
    session: Session,
    input: String,
    output: String,
}

impl Segmentation {
    /// Takes `session` for a segmentation model.
    ///
    /// # Errors
    /// `Unavailable` when it is none.
    pub fn new(session: Session) -> Result<Self> {
        let (inputs, outputs) = (session.inputs(), session.outputs());
        let fits = |size: &Option<usize>, wanted: usize| size.is_none_or(|size| size == wanted);
        match (inputs.as_slice(), outputs.as_slice()) {
            ([input], [output, ..])
                if matches!(input.shape.as_slice(), [_, one, samples] if fits(one, 1) && fits(samples, WINDOW))
                    && matches!(output.shape.as_slice(), [_, _, classes] if fits(classes, CLASSES.len()))
                    && input.is_float()
                    && output.is_float() =>
            {
                let (input, output) = (input.name.clone(), output.name.clone());
                Ok(Self { session, input, output })
            }
            _ => {
                let message = format!(
                    "{} is not a segmentation model that works here: it must take `[1, 1, {WINDOW}]` samples and answer \
                     with {} classes for each frame, as pyannote's segmentation-3.0 does",
                    session.name(),
                    CLASSES.len()
                );
                Err(Error::new(Kind::Unavailable, message))
            }
        }
    }

    /// The voices in `samples`, by windows of 10 s: the same voice in two windows is two voices here.
    ///
    /// # Errors
    /// `Cancelled`, and whatever the model says.
    pub fn voices(&mut self, samples: &[f32], cancel: &Cancel<'_>) -> Result<Vec<Voice>> {
        let mut voices = Vec::new();
        for (index, window) in samples.chunks(WINDOW).enumerate() {
            if cancel.is_cancelled() {
                return Err(Error::new(Kind::Cancelled, "nobody waits for the voices"));
            }
            let begin = index * WINDOW;
            let mut padded = window.to_vec();
            padded.resize(WINDOW, 0.0);
            let answer = self.session.run(&[(&self.input, Input::Floats(&[1, 1, WINDOW], &padded))], &self.output)?;
            let classes: Vec<usize> = answer.values.as_chunks::<{ CLASSES.len() }>().0.iter().map(best).collect();
            voices.extend(voices_in(&classes, window.len()).into_iter().map(|voice| voice.later(begin)));
        }
        Ok(voices)
    }
}

fn best(likelihoods: &[f32; CLASSES.len()]) -> usize {
    (0..CLASSES.len()).max_by(|a, b| likelihoods[*a].total_cmp(&likelihoods[*b])).unwrap_or(0)
}

/// The voices that speak in a window of `length` samples whose frames are of `classes`.
fn voices_in(classes: &[usize], length: usize) -> Vec<Voice> {
    let voice = |voice: usize| Voice {
        stretches: joined(where_true(classes, length, |class| CLASSES[class].contains(&voice))),
        alone: where_true(classes, length, |class| CLASSES[class] == [voice]),
    };
    (0..VOICES).map(voice).filter(|voice| !voice.stretches.is_empty()).collect()
}

/// The samples of the frames for whose class `holds`.
fn where_true(classes: &[usize], length: usize, holds: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let begin = |frame: usize| (frame * WINDOW / classes.len().max(1)).min(length);
    let mut found: Vec<Range<usize>> = Vec::new();
    for (frame, _) in classes.iter().enumerate().filter(|(_, class)| holds(**class)) {
        let (start, end) = (begin(frame), begin(frame + 1));
        match found.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => found.push(start..end),
        }
    }
    found
}

/// `stretches` with short pauses filled, and without what is short then.
fn joined(stretches: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if stretch.start - last.end <= JOIN => last.end = stretch.end,
            _ => joined.push(stretch),
        }
    }
    joined.retain(|stretch| stretch.len() >= SHORTEST);
    joined
}

impl Voice {
    /// The same voice so many samples later.
    fn later(self, samples: usize) -> Self {
        let shift = |stretches: Vec<Range<usize>>| {
            stretches.into_iter().map(|stretch| stretch.start + samples..stretch.end + samples).collect()
        };
        Self { stretches: shift(self.stretches), alone: shift(self.alone) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand frames, 10 ms each: so many of each class.
    fn frames(parts: &[(usize, usize)]) -> Vec<usize> {
        let mut classes: Vec<usize> = parts.iter().flat_map(|(count, class)| vec![*class; *count]).collect();
        classes.resize(1000, 0);
        classes
    }

    /// Where a voice speaks, and where it speaks alone.
    fn told(voice: &Voice) -> [Vec<(usize, usize)>; 2] {
        [&voice.stretches, &voice.alone].map(|parts| parts.iter().map(|part| (part.start, part.end)).collect())
    }

    #[test]
    fn voices_that_overlap_are_told_apart() {
        let voices = voices_in(&frames(&[(100, 0), (200, 1), (50, 4), (100, 2)]), WINDOW);
        assert_eq!(voices.len(), 2);
        assert_eq!(told(&voices[0]), [[(16_000, 56_000)], [(16_000, 48_000)]]);
        assert_eq!(told(&voices[1]), [[(48_000, 72_000)], [(56_000, 72_000)]]);
    }

    #[test]
    fn short_pauses_are_filled_and_short_sounds_left_out() {
        let voices = voices_in(&frames(&[(100, 1), (15, 0), (100, 1), (40, 0), (5, 3)]), WINDOW);
        assert_eq!(voices.len(), 1);
        assert_eq!(told(&voices[0])[0], [(0, 34_400)]);
    }

    #[test]
    fn nothing_is_found_behind_the_end_of_the_sound() {
        let voices = voices_in(&frames(&[(1000, 2)]), 40_000);
        assert_eq!(told(&voices[0])[0], [(0, 40_000)]);
        assert_eq!(told(&voices[0].clone().later(7))[1], [(7, 40_007)]);
        assert!(voices_in(&[], 40_000).is_empty());
    }
}
