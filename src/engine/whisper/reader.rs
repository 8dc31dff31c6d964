//! From the tokens that the decoder wrote to segments, words and their figures.

use super::decoder::Written;
use super::sampler::Choice;
use super::vocabulary::Vocabulary;
use super::words::{self, Energy, TICK, Token};
use crate::transcript::{self, Segment};
use std::ops::Range;

/// Turns what was written into segments.
pub(super) struct Reader<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    /// The text of a token.
    pub(super) text: &'a dyn Fn(i32) -> Vec<u8>,
    /// Of the real audio, without what was added to it.
    pub(super) energy: &'a Energy,
    /// The one the text was decoded with.
    pub(super) temperature: f32,
    /// Whether the language puts spaces between words.
    pub(super) spaced: bool,
    /// ISO 639-1 code.
    pub(super) language: &'a str,
}

impl Reader<'_> {
    /// The segments with their words. Text that no time follows lasts to the end.
    pub(super) fn read(&self, written: &Written) -> Vec<Segment> {
        let (mut start, mut last) = (0, 0);
        let mut segments = Vec::new();
        let mut rest = &written.tokens[..];
        while !rest.is_empty() {
            let times = rest.iter().take_while(|choice| !self.is_text(choice)).count();
            start = rest[..times].last().map_or(start, |time| self.tick(time.token));
            rest = &rest[times..];
            let (text, after) = rest.split_at(rest.iter().take_while(|choice| self.is_text(choice)).count());
            rest = after;
            let end = rest.first().map_or(self.energy.len(), |time| self.tick(time.token));
            let end = end.clamp(last, self.energy.len().max(last));
            // What begins after the audio is invented.
            if start < self.energy.len() {
                segments.extend(self.segment(text, start.clamp(last, end)..end, written.no_speech));
                last = end;
            }
        }
        segments
    }

    fn segment(&self, choices: &[Choice], span: Range<i64>, no_speech: f32) -> Option<Segment> {
        let tokens: Vec<Token> = choices.iter().map(|choice| self.token(choice)).collect();
        let text = words::text(&tokens);
        if text.is_empty() {
            return None;
        }
        let words = words::words(&tokens, span.clone(), self.energy, self.spaced);
        let id_of = |(choice, token): (&Choice, Token)| transcript::Token {
            id: choice.token,
            bytes: token.text,
            logprob: token.logprob,
        };
        Some(Segment {
            text,
            // The first time is often where the segment before ends, pause or not.
            start: words.first().map_or(TICK * span.start as u32, |first| first.start),
            end: TICK * span.end as u32,
            words,
            avg_logprob: tokens.iter().map(|token| token.logprob).sum::<f32>() / tokens.len().max(1) as f32,
            tokens: choices.iter().zip(tokens).map(id_of).collect(),
            no_speech_prob: no_speech,
            temperature: self.temperature,
            language: Some(self.language.to_owned()),
            ..Segment::default()
        })
    }

    fn token(&self, choice: &Choice) -> Token {
        let heard = choice.heard.map(|time| self.tick(time));
        Token { text: (self.text)(choice.token), logprob: choice.logprob, heard }
    }

    fn is_text(&self, choice: &Choice) -> bool {
        !self.vocabulary.is_time(choice.token)
    }

    fn tick(&self, time: i32) -> i64 {
        2 * i64::from(time - self.vocabulary.first_time)
    }
}
