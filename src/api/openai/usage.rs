//! OpenAI's `usage`: what a request would be billed by.

use crate::transcript::Transcript;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// Audio tokens in a second of sound, as OpenAI counts.
const AUDIO_TOKENS: f64 = 10.0;

/// Characters in a token of text, about, for text that no engine has cut into tokens.
const CHARACTERS: usize = 4;

/// How a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Usage {
    /// In whole seconds, rounded up, as whisper-1 is.
    Duration,
    /// In tokens: 10 for every second of sound begun, one for every four characters of the prompt, and those that
    /// the engine has written.
    Tokens {
        /// Characters of the prompt.
        prompt: usize,
    },
}

impl Usage {
    /// How OpenAI counts the model with this id.
    pub fn of(model: &str, prompt: Option<&str>) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let by_token = name.starts_with("gpt-") && name.contains("transcribe") && !name.contains("diarize");
        if by_token { Self::tokens(prompt) } else { Self::Duration }
    }

    /// Counted in tokens.
    pub fn tokens(prompt: Option<&str>) -> Self {
        Self::Tokens { prompt: prompt.unwrap_or_default().chars().count() }
    }

    /// The usage of `duration` of sound that `written` tokens were written for.
    pub fn value(self, duration: Duration, written: usize) -> Value {
        let Self::Tokens { prompt } = self else {
            return json!({"type": "duration", "seconds": duration.as_secs_f64().ceil() as u64});
        };
        let (text, audio) = (prompt.div_ceil(CHARACTERS), (duration.as_secs_f64() * AUDIO_TOKENS).ceil() as usize);
        json!({
            "type": "tokens",
            "input_tokens": text + audio,
            "input_token_details": {"text_tokens": text, "audio_tokens": audio},
            "output_tokens": written,
            "total_tokens": text + audio + written,
        })
    }
}

/// How many tokens the engine has written; from the length of the text where it does not say.
pub fn written(transcript: &Transcript) -> usize {
    let tokens = transcript.segments.iter().map(|segment| match segment.tokens.len() {
        0 => segment.text.chars().count().div_ceil(CHARACTERS),
        count => count,
    });
    tokens.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_count_begun_seconds() {
        assert_eq!(Usage::Duration.value(Duration::from_millis(8470), 5)["seconds"], 9);
    }

    #[test]
    fn tokens_add_up() {
        let usage = Usage::tokens(Some("A prompt.")).value(Duration::from_millis(2400), 5);
        assert_eq!(usage["input_token_details"], json!({"text_tokens": 3, "audio_tokens": 24}));
        assert_eq!((&usage["input_tokens"], &usage["total_tokens"]), (&json!(27), &json!(32)));
    }

    #[test]
    fn ids_are_counted_as_openai_does() {
        let by_token = |id| matches!(Usage::of(id, None), Usage::Tokens { .. });
        assert!(
            ["gpt-4o-transcribe", "openai/gpt-4o-mini-transcribe-2025-12-15", "gpt-transcribe"]
                .map(by_token)
                .iter()
                .all(|it| *it)
        );
        assert!(!["whisper-1", "deepgram/nova-3", "gpt-4o-transcribe-diarize"].map(by_token).iter().any(|it| *it));
    }
}
