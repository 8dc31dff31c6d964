//! Audio short enough for an engine, and where in the stream it comes from.

use super::endpointer::Voice;
use super::{OVERLAP, samples_in};
use crate::audio::{Pcm, samples_to_duration};
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::transcript::{Segment, Transcript};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Audio short enough for an engine, with the places it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Mono sound at 16 kHz.
    pub audio: Arc<Pcm>,
    /// The parts of the file that follow each other in `audio`, in samples.
    pub(super) parts: Vec<Range<u64>>,
    /// Where in the file somebody may speak, as far as this piece is to tell what.
    pub(super) voices: Vec<Voice>,
    /// Where speech had to be cut because there was no pause; the next piece goes on from there.
    pub(in crate::speech) cut: Option<Cut>,
}

/// A cut within speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::speech) struct Cut {
    /// Where, in samples of the file.
    pub(in crate::speech) at: u64,
    /// Whether both pieces have the [`OVERLAP`] around it.
    pub(in crate::speech) overlaps: bool,
}

impl Piece {
    /// The sound of one utterance at `place` of a stream, with the `voices` in it.
    pub(in crate::speech) fn of_utterance(samples: &[f32], place: Range<u64>, voices: Vec<Voice>) -> Self {
        let audio = Arc::new(Pcm::new(samples.to_vec(), SPEECH_SAMPLE_RATE));
        Self { audio, parts: vec![place], voices, cut: None }
    }

    /// The file is done up to here with this piece.
    pub fn end(&self) -> Duration {
        samples_to_duration(self.parts.last().map_or(0, |part| part.end), SPEECH_SAMPLE_RATE)
    }

    /// Where in the file somebody surely speaks, as far as this piece is to tell what.
    pub(in crate::speech) fn voiced(&self) -> Vec<Range<Duration>> {
        self.voices.iter().filter(|voice| voice.is_sure).map(Voice::time).collect()
    }

    /// Where in the file somebody speaks, surely or because `is_said` finds text there.
    pub(in crate::speech) fn spoken(&self, is_said: impl Fn(&Range<Duration>) -> bool) -> Vec<Range<Duration>> {
        let voices = self.voices.iter().map(|voice| (voice.is_sure, voice.time()));
        voices.filter(|(is_sure, time)| *is_sure || is_said(time)).map(|(_, time)| time).collect()
    }

    /// Where in the file there is anything like a voice in this piece.
    pub(in crate::speech) fn heard(&self) -> Vec<Range<Duration>> {
        let mut heard: Vec<Range<Duration>> = self.voices.iter().map(Voice::time).collect();
        // What a neighbour is to tell of a voice is in this piece, too.
        let overlap = samples_to_duration(OVERLAP, SPEECH_SAMPLE_RATE);
        if let Some(first) = heard.first_mut().filter(|_| self.goes_on()) {
            first.start = first.start.saturating_sub(overlap);
        }
        if let Some(last) = heard.last_mut().filter(|_| self.cut.is_some_and(|cut| cut.overlaps)) {
            last.end += overlap;
        }
        heard
    }

    /// Whether the piece before has begun the first voice and shares some of it.
    fn goes_on(&self) -> bool {
        let first = self.parts.first().zip(self.voices.first());
        first.is_some_and(|(part, voice)| part.start + OVERLAP == voice.place.start)
    }

    /// As [`Piece::voiced`], without a voice that the piece before has begun.
    pub(in crate::speech) fn begun(&self) -> Vec<Range<Duration>> {
        let mut voiced = self.voiced();
        if self.goes_on() && self.voices.first().is_some_and(|voice| voice.is_sure) {
            voiced.remove(0);
        }
        voiced
    }

    /// The sound of the file in `span` and up to `margin` around it, as a piece of its own; `None` where this piece
    /// does not have it.
    pub(in crate::speech) fn part(&self, span: &Range<Duration>, margin: Duration) -> Option<Piece> {
        let (start, end, margin) = (samples_in(span.start), samples_in(span.end), samples_in(margin));
        let mut offset = 0;
        for part in &self.parts {
            let wanted = start.saturating_sub(margin).max(part.start)..(end + margin).min(part.end);
            if part.contains(&start) && wanted.start < wanted.end {
                let from = (offset + wanted.start - part.start) as usize;
                let samples = self.audio.samples[from..from + (wanted.end - wanted.start) as usize].to_vec();
                let audio = Arc::new(Pcm::new(samples, SPEECH_SAMPLE_RATE));
                return Some(Piece { audio, parts: vec![wanted], voices: Vec::new(), cut: None });
            }
            offset += part.end - part.start;
        }
        None
    }

    /// Replaces times in the piece by times in the file. What lasts over a silence that was left out is cut off
    /// where most of its words are not.
    pub fn to_file_times(&self, transcript: &mut Transcript) {
        for segment in &mut transcript.segments {
            self.move_segment(segment);
        }
        for dropped in &mut transcript.report.dropped {
            (dropped.start, dropped.end) = self.place_of(dropped.start, dropped.end);
        }
    }

    /// Where in the file `start` to `end` of the piece is; never over a silence that was left out.
    pub(in crate::speech) fn place_of(&self, start: Duration, end: Duration) -> (Duration, Duration) {
        self.moved(start, end, (start + end) / 2)
    }

    fn move_segment(&self, segment: &mut Segment) {
        for word in &mut segment.words {
            (word.start, word.end) = self.place_of(word.start, word.end);
        }
        let (begins, ends) = (segment.start, segment.end);
        (segment.start, segment.end) = self.moved(begins, ends, (begins + ends) / 2);
        if let (Some(first), Some(last)) = (segment.words.first(), segment.words.last()) {
            segment.start = self.moved_within(begins, first.start).min(first.start);
            segment.end = self.moved_within(ends, last.end).max(last.end);
        }
    }

    /// `start` and `end` in the file, both in the part of the file in which `anchor` lies.
    fn moved(&self, start: Duration, end: Duration, anchor: Duration) -> (Duration, Duration) {
        let (offset, part) = self.part_at(anchor);
        (place(start, offset, &part), place(end, offset, &part))
    }

    /// `time` in the file, in the part in which the file time `beside` lies.
    fn moved_within(&self, time: Duration, beside: Duration) -> Duration {
        let beside = samples_in(beside);
        let mut offset = 0;
        for part in &self.parts {
            if beside <= part.end {
                return place(time, offset, part);
            }
            offset += part.end - part.start;
        }
        time
    }

    /// The part of the file that plays at `time` in the piece, and where in the piece it begins.
    fn part_at(&self, time: Duration) -> (u64, Range<u64>) {
        let at = samples_in(time);
        let (mut offset, mut found) = (0, (0, 0..0));
        for part in &self.parts {
            found = (offset, part.clone());
            offset += part.end - part.start;
            if at < offset {
                break;
            }
        }
        found
    }
}

/// The file time of `time` in a piece, if it lies in `part`, which begins at the sample `offset` of the piece.
fn place(time: Duration, offset: u64, part: &Range<u64>) -> Duration {
    let start = samples_to_duration(part.start, SPEECH_SAMPLE_RATE);
    let end = samples_to_duration(part.end, SPEECH_SAMPLE_RATE);
    let since = time.saturating_sub(samples_to_duration(offset, SPEECH_SAMPLE_RATE));
    (start + since).min(end)
}
