//! From the state whisper.cpp leaves behind to segments, words and their figures.

use super::words::{self, Energy, TICK, Token};
use crate::transcript::{self, Segment};
use whisper_rs::{WhisperContext, WhisperSegment, WhisperState};

/// Above this probability a word counts as heard where the model says (the value whisper.cpp uses).
const HEARD: f32 = 0.01;

/// Turns what whisper.cpp has found into segments.
pub(super) struct Reader<'a> {
    pub(super) context: &'a WhisperContext,
    /// Of the real audio, without what was added to it.
    pub(super) energy: &'a Energy,
    /// The one the text was decoded with.
    pub(super) temperature: f32,
    /// Whether the language puts spaces between words.
    pub(super) spaced: bool,
}

impl Reader<'_> {
    /// The segments of the last call, with their words.
    pub(super) fn read(&self, state: &WhisperState) -> Vec<Segment> {
        let (mut window, mut last) = (0, 0);
        let mut segments = Vec::new();
        for found in state.as_iter() {
            window = self.window(&found).unwrap_or(window);
            let tokens = self.tokens(&found, window);
            let end = found.end_timestamp().clamp(last, self.energy.len().max(last));
            let start = found.start_timestamp().clamp(last, end);
            // What begins after the audio is invented.
            if words::text(&tokens.text).is_empty() || found.start_timestamp() >= self.energy.len() {
                continue;
            }
            last = end;
            let words = words::words(&tokens.text, start..end, self.energy, self.spaced);
            segments.push(Segment {
                text: words::text(&tokens.text),
                // whisper.cpp lets a segment begin where the one before ends, pause or not.
                start: words.first().map_or(TICK * start as u32, |first| first.start),
                end: TICK * end as u32,
                words,
                avg_logprob: tokens.mean_logprob(),
                tokens: tokens.ids,
                no_speech_prob: found.no_speech_probability(),
                temperature: self.temperature,
                ..Segment::default()
            });
        }
        segments
    }

    /// The tick at which the 30 s window of a segment begins, where one of its time tokens tells.
    fn window(&self, segment: &WhisperSegment<'_>) -> Option<i64> {
        let first_time = self.context.token_beg();
        let named = |token: i32| Some(segment.get_token(token)?.token_data()).filter(|data| data.id >= first_time);
        let offset = |tid: i32| 2 * i64::from(tid - first_time);
        let opening = named(0).map(|data| segment.start_timestamp() - offset(data.tid));
        opening.or_else(|| named(segment.n_tokens() - 1).map(|data| segment.end_timestamp() - offset(data.tid)))
    }

    fn tokens(&self, segment: &WhisperSegment<'_>, window: i64) -> Tokens {
        let (end_of_text, first_time) = (self.context.token_eot(), self.context.token_beg());
        let mut tokens = Tokens::default();
        for index in 0..segment.n_tokens() {
            let Some(token) = segment.get_token(index) else { break };
            let data = token.token_data();
            if data.id >= end_of_text {
                continue;
            }
            let sure = data.pt > HEARD && data.ptsum > HEARD;
            let heard = sure.then(|| window + 2 * i64::from(data.tid - first_time));
            let text = token.to_bytes().unwrap_or_default().to_vec();
            tokens.ids.push(transcript::Token { id: data.id, bytes: text.clone(), logprob: data.plog });
            tokens.text.push(Token { text, logprob: data.plog, heard });
        }
        tokens
    }
}

/// The tokens of a segment's text, without the special ones.
#[derive(Default)]
struct Tokens {
    ids: Vec<transcript::Token>,
    text: Vec<Token>,
}

impl Tokens {
    fn mean_logprob(&self) -> f32 {
        self.text.iter().map(|token| token.logprob).sum::<f32>() / self.text.len().max(1) as f32
    }
}
