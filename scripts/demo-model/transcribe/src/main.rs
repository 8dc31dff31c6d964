//! Transcribes many recordings with the Whisper engine that the server uses, at the server's settings.
//!
//! Usage: `transcribe MODEL.bin [OPTIONS] < paths.txt > transcripts.jsonl`
//!
//! Every line of input is the path of a mono 16 kHz 16-bit WAV file. Every line of output is a JSON list of
//! `{"start": milliseconds, "end": milliseconds, "text": "..."}`.
//! Decoding is greedy with one candidate, without temperature fallback and without context between windows.

use std::error::Error;
use std::io;

use serde_json::{Value, json};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};

const USAGE: &str = "usage: transcribe MODEL.bin [--audio-ctx N|fit] [--no-timestamps] [--words] [--prompt TEXT] [--flash] [--threads N]";

/// What the command line chose.
#[derive(Default)]
struct Options {
    audio_context: AudioContext,
    no_timestamps: bool,
    words: bool,
    prompt: Option<String>,
    flash_attention: bool,
    threads: i32,
}

/// How much of the 30 s window the encoder looks at, in steps of 20 ms.
#[derive(Default, Clone, Copy)]
enum AudioContext {
    #[default]
    Full,
    Fixed(i32),
    /// As much as the server takes: the recording and a little more, or all where that gains little.
    Fit,
}

fn main() -> Result<(), Box<dyn Error>> {
    whisper_rs::install_logging_hooks();
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or(USAGE)?;
    let options = Options::parse(arguments)?;
    let mut parameters = WhisperContextParameters::default();
    parameters.use_gpu(false).flash_attn(options.flash_attention);
    let context = WhisperContext::new_with_params(&model, parameters)?;
    let mut state = context.create_state()?;
    for path in io::stdin().lines() {
        let samples = read_wav(path?.trim())?;
        println!("{}", options.transcribe(&mut state, &samples)?);
    }
    Ok(())
}

fn read_wav(path: &str) -> hound::Result<Vec<f32>> {
    hound::WavReader::open(path)?.into_samples::<i16>().map(|sample| Ok(f32::from(sample?) / 32768.0)).collect()
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = Self { threads: 1, ..Self::default() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--no-timestamps" => options.no_timestamps = true,
                "--words" => options.words = true,
                "--flash" => options.flash_attention = true,
                "--prompt" => options.prompt = Some(arguments.next().ok_or(USAGE)?),
                "--threads" => options.threads = arguments.next().ok_or(USAGE)?.parse()?,
                "--audio-ctx" => {
                    options.audio_context = match arguments.next().ok_or(USAGE)?.as_str() {
                        "fit" => AudioContext::Fit,
                        steps => AudioContext::Fixed(steps.parse()?),
                    }
                }
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }

    fn transcribe(&self, state: &mut WhisperState, samples: &[f32]) -> Result<Value, Box<dyn Error>> {
        let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        parameters.set_language(Some("en"));
        parameters.set_n_threads(self.threads);
        parameters.set_temperature_inc(0.0);
        parameters.set_no_context(true);
        parameters.set_suppress_nst(true);
        parameters.set_print_progress(false);
        parameters.set_no_timestamps(self.no_timestamps);
        parameters.set_audio_ctx(self.audio_context.steps(samples.len()));
        if let Some(prompt) = &self.prompt {
            parameters.set_initial_prompt(prompt);
        }
        if self.words {
            parameters.set_token_timestamps(true);
            parameters.set_max_len(1);
            parameters.set_split_on_word(true);
        }
        state.full(parameters, samples)?;
        state
            .as_iter()
            .map(|segment| {
                let (start, end) = (segment.start_timestamp() * 10, segment.end_timestamp() * 10);
                Ok(json!({ "start": start, "end": end, "text": segment.to_str_lossy()? }))
            })
            .collect()
    }
}

impl AudioContext {
    /// The value for whisper.cpp's `audio_ctx`, where 0 means all.
    fn steps(self, samples: usize) -> i32 {
        match self {
            Self::Full => 0,
            Self::Fixed(steps) => steps,
            Self::Fit => {
                let needed = (samples / 320 + 64).next_multiple_of(64).max(384);
                if needed > 1125 { 0 } else { needed as i32 }
            }
        }
    }
}
