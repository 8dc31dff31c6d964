//! One piece of audio in a whisper.cpp state: encoded once, decoded as often as need be.
//!
//! whisper.cpp's own loop (`whisper_full`) encodes anew for every attempt, and once more to find the language. Here it
//! only runs the encoder, which it lets us abort; the decoder is driven token by token.

use super::abort::{is_cancelled, stoppable};
use super::sampler::{Choice, Random, Rules, probabilities_among, probability_of};
use super::vocabulary::Vocabulary;
use super::{Cancel, cancelled};
use crate::error::{Error, Result};
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use whisper_rs::whisper_rs_sys::{whisper_context, whisper_state, whisper_token_data};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperState};

/// The most tokens a piece is given, as in the reference decoder.
const MOST_TOKENS: usize = 224;

/// A time so near to the end, in ticks, ends the text.
const AT_END: i64 = 10;

/// A state with what it takes to use it.
pub(super) struct Decoder {
    context: Arc<WhisperContext>,
    state: WhisperState,
    vocabulary: Arc<Vocabulary>,
    threads: i32,
    /// For the encoder. Setting a language allocates memory that is never freed, so it is done once.
    parameters: FullParams<'static, 'static>,
    logits: Vec<f32>,
}

/// What the decoder wrote.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Text and times, without the end of the text.
    pub(super) tokens: Vec<Choice>,
    /// How likely nobody speaks.
    pub(super) no_speech: f32,
}

impl Decoder {
    pub(super) fn new(
        context: Arc<WhisperContext>,
        state: WhisperState,
        vocabulary: Arc<Vocabulary>,
        threads: i32,
    ) -> Self {
        let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        parameters.set_n_threads(threads);
        parameters.set_no_context(true);
        parameters.set_temperature_inc(0.0);
        parameters.set_print_progress(false);
        parameters.set_print_timestamps(false);
        if context.is_multilingual() {
            // Without one whisper.cpp would look for the language with an encoder run of its own.
            parameters.set_language(Some("en"));
        }
        Self { context, state, vocabulary, threads, parameters, logits: Vec::new() }
    }

    /// Runs the encoder over `samples` with so many positions; 0 takes all it has.
    pub(super) fn encode(&mut self, samples: &[f32], positions: i32, cancel: &Cancel<'_>) -> Result<()> {
        let mut parameters: FullParams<'_, '_> = self.parameters.clone();
        parameters.set_audio_ctx(positions);
        // SAFETY: the callbacks have the types whisper.cpp expects and cannot unwind; `cancel` and the vocabulary
        // outlive the call of `full` below, which is the only user of `parameters`.
        unsafe {
            parameters.set_abort_callback(Some(is_cancelled));
            parameters.set_abort_callback_user_data(std::ptr::from_ref(cancel).cast_mut().cast());
            parameters.set_filter_logits_callback(Some(end_at_once));
            let vocabulary: *const Vocabulary = &*self.vocabulary;
            parameters.set_filter_logits_callback_user_data(vocabulary.cast_mut().cast());
        }
        let done = stoppable(cancel, || self.state.full(parameters, samples));
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        done.map_err(|error| Error::internal("speech recognition failed", error))
    }

    /// The language spoken, as its ISO 639-1 code, and how likely it is among those that `allowed` lets pass. `None`
    /// when there is nothing to choose from. The audio must have been encoded.
    pub(super) fn language(&mut self, allowed: impl Fn(&str) -> bool) -> Result<Option<(&'static str, f32)>> {
        let languages = self.vocabulary.languages.clone();
        let candidates: Vec<_> = languages.into_iter().filter(|(code, _)| allowed(code)).collect();
        self.feed(&[self.vocabulary.start], 0)?;
        let likely = probabilities_among(&self.logits, candidates.iter().map(|(_, token)| *token));
        let found = candidates.iter().zip(likely).max_by(|one, other| one.1.total_cmp(&other.1));
        Ok(found.map(|((code, _), probability)| (*code, probability)))
    }

    /// Writes down what was encoded, which lasts so many `ticks` of 10 ms, after `prompt` and the tokens of `task`.
    pub(super) fn decode(
        &mut self,
        prompt: &[i32],
        task: &[i32],
        ticks: i64,
        rules: &Rules<'_>,
        cancel: &Cancel<'_>,
    ) -> Result<Written> {
        let mut past = self.begin(prompt, task)?;
        let mut written =
            Written { tokens: Vec::new(), no_speech: probability_of(self.vocabulary.no_speech, &self.logits) };
        let (mut so_far, mut random) = (Vec::new(), Random::new());
        let room = usize::try_from(self.context.n_text_ctx()).unwrap_or(0).saturating_sub(past + 1).min(MOST_TOKENS);
        while written.tokens.len() < room {
            if cancel.is_cancelled() {
                return Err(cancelled());
            }
            let choice = rules.choose(&so_far, &mut self.logits, &mut random);
            if choice.token == self.vocabulary.end_of_text {
                break;
            }
            so_far.push(choice.token);
            written.tokens.push(choice);
            let is_time = self.vocabulary.is_time(choice.token);
            if is_time && 2 * i64::from(choice.token - self.vocabulary.first_time) + AT_END >= ticks
                || !is_time && is_loop(&so_far)
            {
                break;
            }
            self.feed(&[choice.token], past)?;
            past += 1;
        }
        Ok(written)
    }

    /// Feeds what comes before the text; returns how many tokens that was.
    fn begin(&mut self, prompt: &[i32], task: &[i32]) -> Result<usize> {
        let most = usize::try_from(self.context.n_text_ctx()).unwrap_or(0) / 2;
        let prompt = &prompt[prompt.len().saturating_sub(most.saturating_sub(1))..];
        let mut tokens = Vec::with_capacity(prompt.len() + task.len() + 2);
        if !prompt.is_empty() {
            tokens.push(self.vocabulary.previous);
            tokens.extend_from_slice(prompt);
        }
        tokens.push(self.vocabulary.start);
        tokens.extend_from_slice(task);
        // The logits of a batch lie where whisper-rs does not look for them, so the last token goes alone.
        let (first, last) = tokens.split_at(tokens.len() - 1);
        if !first.is_empty() {
            self.state.decode(first, 0, self.threads as usize).map_err(undecodable)?;
        }
        self.feed(last, first.len())?;
        Ok(tokens.len())
    }

    /// Feeds one token after `past` others and takes the logits for the next.
    fn feed(&mut self, token: &[i32], past: usize) -> Result<()> {
        self.state.decode(token, past, self.threads as usize).map_err(undecodable)?;
        let logits = self.state.get_logits().map_err(undecodable)?;
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        Ok(())
    }
}

fn undecodable(error: whisper_rs::WhisperError) -> Error {
    Error::internal("speech recognition failed", error)
}

/// Whether the tokens end in a loop: the same few of them at least four times, and at least twelve in all.
pub(super) fn is_loop(tokens: &[i32]) -> bool {
    const TIMES: usize = 4;
    const IN_ALL: usize = 12;
    (1..=tokens.len() / TIMES).any(|length| {
        let times = TIMES.max(IN_ALL.div_ceil(length));
        let Some(start) = tokens.len().checked_sub(length * times) else { return false };
        let tail = &tokens[start..];
        tail.iter().zip(&tail[length..]).all(|(one, next)| one == next)
    })
}

/// Asked by whisper.cpp before it picks its first token: the text ends, only the encoder was wanted.
unsafe extern "C" fn end_at_once(
    _: *mut whisper_context,
    _: *mut whisper_state,
    _: *const whisper_token_data,
    _: c_int,
    logits: *mut f32,
    vocabulary: *mut c_void,
) {
    // SAFETY: `encode` hands in a reference that lives as long as the call; whisper.cpp hands in one logit for each
    // token of the vocabulary.
    unsafe {
        let vocabulary = &*vocabulary.cast_const().cast::<Vocabulary>();
        let logits = std::slice::from_raw_parts_mut(logits, vocabulary.size);
        logits.fill(f32::NEG_INFINITY);
        logits[vocabulary.end_of_text as usize] = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_recognised() {
        assert!(is_loop(&[9, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]));
        assert!(!is_loop(&[7, 7, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15]));
        assert!(!is_loop(&[]));
    }
}
