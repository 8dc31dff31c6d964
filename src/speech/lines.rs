//! From a script to the lines an engine speaks: cut where speakers breathe, with every word as it is said.

use super::lexicon::Lexicon;
use super::normalize::{Word, normalize};
use super::script::{Override, Part, Run, Script, Style};
use super::sentence::{Break, Cutter};
use crate::engine::{SpeakOptions, Utterance};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How far styles can bring what an engine is asked for.
const SPEED: (f32, f32) = (0.25, 4.0);
const PITCH: (f32, f32) = (0.5, 2.0);

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Something to say.
    Say(Box<Sentence>),
    /// Silence.
    Pause(Duration),
}

/// A piece of a script that an engine speaks in one go.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    /// What the engine is given. It always has something to say.
    pub utterance: Utterance,
    /// How it is to speak.
    pub options: SpeakOptions,
    /// The factor of the loudness of its sound.
    pub volume: f32,
    /// What ends it.
    pub end: Break,
    /// Its words, of which every source is in [`Script::text`].
    words: Vec<Word>,
}

impl Sentence {
    /// Where each of the writer's words is in the utterance: several words that are said for one written are one.
    pub fn spoken_words(&self) -> Vec<Range<usize>> {
        let written = self.words.chunk_by(|a, b| a.source == b.source);
        written.map(|words| words[0].spoken.start..words[words.len() - 1].spoken.end).collect()
    }

    /// Where each of the writer's words is in [`Script::text`].
    pub fn source_words(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.words.chunk_by(|a, b| a.source == b.source).map(|words| words[0].source.clone())
    }
}

/// The lines of a script, in order.
pub struct Lines {
    script: Script,
    options: SpeakOptions,
    language: String,
    lexicon: Arc<Lexicon>,
    cutter: Cutter,
    /// The part of the script to go on with.
    part: usize,
    /// Where in the text of the script to go on, when that is inside the part.
    at: Option<usize>,
}

impl Lines {
    /// The lines of `script`, spoken as `options` say where it does not say otherwise. `language` is the tag of the text's
    /// language, empty when unknown.
    pub fn new(script: Script, mut options: SpeakOptions, language: String, lexicon: Arc<Lexicon>) -> Self {
        options.soon = true;
        Self { script, options, language, lexicon, cutter: Cutter::default(), part: 0, at: None }
    }

    /// The next line of the run, or nothing when all of it is said. Moves behind that line.
    fn next_of(&mut self, run: &Run) -> Option<Sentence> {
        loop {
            let start = self.at.unwrap_or(run.text.start);
            let mut piece = self.cutter.next(&self.script.text, start..run.text.end)?;
            piece.text.end = whole(&run.overrides, piece.text.end);
            self.at = Some(piece.text.end);
            let overrides = within(&run.overrides, &piece.text);
            let language = run.style.language.as_deref().unwrap_or(&self.language);
            let text = &self.script.text[piece.text.clone()];
            let mut normalized = normalize(text, &overrides, language, &self.lexicon);
            // What is left of some texts, such as one of emoji, is nothing.
            if normalized.words.is_empty() {
                continue;
            }
            for word in &mut normalized.words {
                word.source = word.source.start + piece.text.start..word.source.end + piece.text.start;
            }
            let options = styled(&self.options, &run.style);
            // While the first line sounds there is time for the others.
            self.options.soon = false;
            return Some(Sentence {
                utterance: normalized.utterance,
                options,
                volume: run.style.volume,
                end: piece.end,
                words: normalized.words,
            });
        }
    }
}

impl Iterator for Lines {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            match self.script.parts.get(self.part)?.clone() {
                Part::Pause(pause) => {
                    self.part += 1;
                    return Some(Line::Pause(pause));
                }
                Part::Say(run) => match self.next_of(&run) {
                    Some(sentence) => return Some(Line::Say(Box::new(sentence))),
                    None => {
                        self.part += 1;
                        self.at = None;
                    }
                },
            }
        }
    }
}

/// `end`, moved behind text that something else is said for when it is in the middle of that.
fn whole(overrides: &[(Range<usize>, Override)], end: usize) -> usize {
    let replaced = overrides.iter().filter(|(_, what)| matches!(what, Override::Sub(_) | Override::Phonemes(_)));
    let cut = replaced.map(|(range, _)| range).find(|range| range.start < end && end < range.end);
    cut.map_or(end, |range| range.end)
}

/// The overrides in `piece`, counted from its start. Those that go on behind it end with it.
fn within(overrides: &[(Range<usize>, Override)], piece: &Range<usize>) -> Vec<(Range<usize>, Override)> {
    let touched = overrides.iter().filter(|(range, _)| range.start < piece.end && piece.start < range.end);
    let moved = touched.map(|(range, what)| {
        let range = range.start.max(piece.start)..range.end.min(piece.end);
        (range.start - piece.start..range.end - piece.start, what.clone())
    });
    moved.collect()
}

fn styled(options: &SpeakOptions, style: &Style) -> SpeakOptions {
    SpeakOptions {
        voice: style.voice.clone().unwrap_or_else(|| options.voice.clone()),
        language: style.language.clone().or_else(|| options.language.clone()),
        speed: (options.speed * style.rate).clamp(SPEED.0, SPEED.1),
        pitch: (options.pitch * style.pitch).clamp(PITCH.0, PITCH.1),
        soon: options.soon,
    }
}
