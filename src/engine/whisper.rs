//! Speech to text on whisper.cpp: the only file that knows whisper-rs.
//!
//! The weights are loaded once; every slot has its own state on them. A piece of audio is decoded greedily, with
//! timestamps always on (models invent words in silence without them) and with an encoder context as short as the
//! audio allows. A result that looks wrong is decoded once more with the full context, one that misses sound once more
//! under a guide.
#![expect(unsafe_code, reason = "whisper.cpp calls back through C pointers")]

mod coverage;
mod doubt;
mod model_file;
mod reader;
mod words;

use super::{Cancel, Factory, Load, SPEECH_SAMPLE_RATE, Task, TranscribeOptions, Transcriber, Weights};
use crate::audio::{Pcm, samples_to_duration};
use crate::error::{Error, Kind, Result};
use crate::transcript::{Segment, Transcript};
use coverage::Guide;
use doubt::{confidence, keep_speech, looks_wrong};
use reader::Reader;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{BufReader, Cursor};
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;
use whisper_rs::whisper_rs_sys::{ggml_log_level, whisper_context, whisper_log_set, whisper_state, whisper_token_data};
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState};
use words::Energy;

/// Silence after the audio: a last word that ends with the audio is often dropped.
const TAIL: Duration = Duration::from_millis(500);

/// whisper.cpp takes hardly anything from shorter audio.
const SHORTEST: Duration = Duration::from_secs(1);

/// Encoder positions in a second of audio.
const CONTEXT_PER_SECOND: f64 = 50.0;

/// Encoder positions beyond the audio: with too few of them models repeat themselves.
const CONTEXT_MARGIN: f64 = 64.0;

/// The encoder context grows in steps of this, which suits the matrix kernels.
const CONTEXT_STEP: i32 = 64;

/// The shortest encoder context: below it small models begin to repeat themselves.
const CONTEXT_LEAST: i32 = 384;

/// From so much of the full context on, a shorter one is not worth its risk.
const CONTEXT_WORTH: f64 = 0.75;

/// The language is found from so much of the beginning.
const LANGUAGE_SAMPLE: Duration = Duration::from_secs(10);

/// Only the last 224 tokens of a prompt are used; so many characters are surely more.
const PROMPT_CHARS: usize = 2000;

/// Languages written without spaces between words.
const UNSPACED: [&str; 7] = ["zh", "ja", "th", "lo", "my", "yue", "km"];

/// Loads a Whisper model in whisper.cpp's ggml format.
///
/// # Errors
/// `Unavailable` with the reason for a file that is missing, cut short or something else.
pub fn load(load: &Load<'_>) -> Result<Factory<dyn Transcriber>> {
    forward_log();
    let mut parameters = WhisperContextParameters::default();
    // On a CPU flash attention is slower, and wrong for contexts that are not a multiple of 256.
    parameters.use_gpu(load.config.gpu).flash_attn(false);
    let context = Arc::new(open(load.weights, parameters)?);
    let threads = i32::try_from(load.config.threads).unwrap_or(1).max(1);
    Ok(Box::new(move || Ok(Box::new(Whisper::new(context.clone(), threads)?))))
}

fn open(weights: &Weights, parameters: WhisperContextParameters<'_>) -> Result<WhisperContext> {
    let context = match weights {
        Weights::Embedded(bytes) => {
            model_file::check(&mut Cursor::new(*bytes)).map_err(|flaw| unusable("the built-in model", flaw))?;
            WhisperContext::new_from_buffer_with_params(bytes, parameters)
        }
        Weights::File(path) => {
            check_file(path)?;
            WhisperContext::new_with_params(path, parameters)
        }
        Weights::BuiltIn => return Err(Error::new(Kind::Unavailable, "Whisper needs a model file")),
    };
    context.map_err(|error| {
        Error::new(Kind::Unavailable, "whisper.cpp does not take the model; its log at level debug says why")
            .with_source(error)
    })
}

fn check_file(path: &Path) -> Result<()> {
    let name = || format!("the model file {}", path.display());
    let file = std::fs::File::open(path).map_err(|e| unusable(&name(), format!("it cannot be opened ({e})")))?;
    model_file::check(&mut BufReader::new(file)).map_err(|flaw| unusable(&name(), flaw))
}

fn unusable(what: &str, flaw: model_file::Flaw) -> Error {
    Error::new(Kind::Unavailable, format!("{what} cannot be used: {flaw}"))
}

/// One slot: a state on the shared weights.
struct Whisper {
    context: Arc<WhisperContext>,
    state: WhisperState,
    threads: i32,
    /// Parameters by language. Setting a language allocates memory that is never freed, so it is done once for each.
    parameters: HashMap<String, FullParams<'static, 'static>>,
}

/// How to decode a piece once.
struct Attempt<'a> {
    samples: &'a [f32],
    language: &'a str,
    translate: bool,
    temperature: f32,
    prompt: &'a [i32],
    /// Encoder positions; 0 is all.
    context: i32,
    /// Keeps the decoder from ending too early.
    guide: Option<&'a Guide>,
}

impl Transcriber for Whisper {
    fn transcribe(&mut self, audio: &Pcm, options: &TranscribeOptions, cancel: &Cancel<'_>) -> Result<Transcript> {
        if audio.sample_rate != SPEECH_SAMPLE_RATE {
            return Err(Error::new(Kind::Internal, "speech recognition takes audio at 16 kHz"));
        }
        self.check_task(options)?;
        if audio.samples.is_empty() {
            return Ok(Transcript { language: options.language.clone(), ..Transcript::default() });
        }
        let samples = padded(&audio.samples);
        let language = self.language(&samples, options, cancel)?;
        let energy = Energy::of(&samples[..audio.samples.len()]);
        let attempt = Attempt {
            samples: &samples,
            language: &language,
            translate: options.task == Task::Translate,
            temperature: options.temperature,
            prompt: &self.prompt_tokens(options.prompt.as_deref())?,
            context: self.short_context(samples.len()),
            guide: None,
        };
        let mut segments = self.decode_guarded(attempt, &energy, cancel)?;
        if !options.words {
            segments.iter_mut().for_each(|segment| segment.words.clear());
        }
        Ok(Transcript { segments, language: Some(language), ..Transcript::default() })
    }
}

impl Whisper {
    fn new(context: Arc<WhisperContext>, threads: i32) -> Result<Self> {
        let state = context.create_state().map_err(|error| {
            Error::new(Kind::Unavailable, "there is not enough memory for another recognizer").with_source(error)
        })?;
        Ok(Self { context, state, threads, parameters: HashMap::new() })
    }

    /// Whether the model can do what is asked.
    fn check_task(&self, options: &TranscribeOptions) -> Result<()> {
        let language = options.language.as_deref();
        if let Some(language) = language
            && code_of(language).is_none()
        {
            return Err(Error::invalid("language", format!("Whisper does not know the language `{language}`")));
        }
        if self.context.is_multilingual() {
            return Ok(());
        }
        if options.task == Task::Translate {
            return Err(Error::invalid(
                "model",
                "this model knows only English and cannot translate; use a multilingual one",
            ));
        }
        match language.and_then(code_of) {
            None | Some("en") => Ok(()),
            Some(language) => Err(Error::invalid(
                "language",
                format!("this model knows only English, not `{language}`; use a multilingual model"),
            )),
        }
    }

    /// The ISO 639-1 code of the language to write down: the one asked for, the only one, or the one heard.
    fn language(&mut self, samples: &[f32], options: &TranscribeOptions, cancel: &Cancel<'_>) -> Result<String> {
        if let Some(language) = &options.language {
            return Ok(code_of(language).unwrap_or(language).to_owned());
        }
        if !self.context.is_multilingual() {
            return Ok("en".to_owned());
        }
        let sample = &samples[..samples.len().min(samples_in(LANGUAGE_SAMPLE))];
        self.prepare(sample)?;
        let detected = self.state.lang_detect(0, self.threads as usize);
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        let (id, _) = detected.map_err(|error| Error::internal("the language cannot be detected", error))?;
        Ok(whisper_rs::get_lang_str(id).unwrap_or("en").to_owned())
    }

    /// Computes the spectrum of `samples` and sets the encoder context for them, without running the encoder: the
    /// detection of the language would otherwise use the context of the request before.
    fn prepare(&mut self, samples: &[f32]) -> Result<()> {
        let mut parameters = self.parameters("en").clone();
        parameters.set_audio_ctx(self.short_context(samples.len()));
        // SAFETY: the callback has the type whisper.cpp expects, takes no data and cannot unwind.
        unsafe { parameters.set_start_encoder_callback(Some(stop_before_encoder)) };
        self.state.full(parameters, samples).map_err(|error| Error::internal("the audio cannot be prepared", error))
    }

    /// Decodes, and once more when the result looks wrong; the better one stays.
    fn decode_guarded(
        &mut self,
        mut attempt: Attempt<'_>,
        energy: &Energy,
        cancel: &Cancel<'_>,
    ) -> Result<Vec<Segment>> {
        let mut best = self.decode(&attempt, energy, cancel)?;
        if looks_wrong(&best) && (attempt.context != 0 || !attempt.prompt.is_empty()) {
            // A prompt, too, can lead into repetition.
            (attempt.context, attempt.prompt) = (0, &[]);
            let second = self.decode(&attempt, energy, cancel)?;
            if !looks_wrong(&second) || confidence(&second) > confidence(&best) {
                best = second;
            }
        }
        let guide = self.guide(energy);
        if guide.has_gap(&best) {
            let guided = self.decode(&Attempt { guide: Some(&guide), ..attempt }, energy, cancel)?;
            if guide.uncovered(&guided) < guide.uncovered(&best) && !looks_wrong(&guided) {
                best = guided;
            }
        }
        Ok(keep_speech(best))
    }

    fn guide(&self, energy: &Energy) -> Guide {
        let vocabulary = usize::try_from(self.context.n_vocab()).unwrap_or(0);
        Guide::new(energy, self.context.token_beg(), self.context.token_eot(), vocabulary)
    }

    fn decode(&mut self, attempt: &Attempt<'_>, energy: &Energy, cancel: &Cancel<'_>) -> Result<Vec<Segment>> {
        let mut parameters: FullParams<'_, '_> = self.parameters(attempt.language).clone();
        parameters.set_audio_ctx(attempt.context);
        parameters.set_translate(attempt.translate);
        parameters.set_temperature(attempt.temperature.clamp(0.0, 1.0));
        if !attempt.prompt.is_empty() {
            parameters.set_tokens(attempt.prompt);
        }
        // SAFETY: the callbacks have the types whisper.cpp expects and cannot unwind; `cancel` and the guide outlive
        // the call of `full` below, which is the only user of `parameters`.
        unsafe {
            parameters.set_abort_callback(Some(is_cancelled));
            parameters.set_abort_callback_user_data(std::ptr::from_ref(cancel).cast_mut().cast());
            if let Some(guide) = attempt.guide {
                parameters.set_filter_logits_callback(Some(filter_logits));
                parameters.set_filter_logits_callback_user_data(std::ptr::from_ref(guide).cast_mut().cast());
            }
        }
        let done = self.state.full(parameters, attempt.samples);
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        done.map_err(|error| Error::internal("speech recognition failed", error))?;
        let reader = Reader {
            context: &self.context,
            energy,
            temperature: attempt.temperature,
            spaced: !UNSPACED.contains(&attempt.language),
        };
        Ok(reader.read(&self.state))
    }

    fn parameters(&mut self, language: &str) -> &FullParams<'static, 'static> {
        let (threads, multilingual) = (self.threads, self.context.is_multilingual());
        self.parameters.entry(language.to_owned()).or_insert_with(|| {
            let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
            parameters.set_n_threads(threads);
            // Requests must not see each other's text, and a retry is ours to decide.
            parameters.set_no_context(true);
            parameters.set_temperature_inc(0.0);
            parameters.set_suppress_nst(true);
            parameters.set_print_progress(false);
            parameters.set_print_timestamps(false);
            if multilingual {
                parameters.set_language(code_of(language));
            }
            parameters
        })
    }

    fn prompt_tokens(&self, prompt: Option<&str>) -> Result<Vec<i32>> {
        let Some(prompt) = prompt.map(str::trim).filter(|prompt| !prompt.is_empty()) else { return Ok(Vec::new()) };
        let skipped = prompt.chars().count().saturating_sub(PROMPT_CHARS);
        let tail: String = prompt.chars().skip(skipped).filter(|letter| *letter != '\0').collect();
        // A token is at least one byte, so there is always room: whisper-rs is unsound when there is not.
        let room = tail.len() + 8;
        let tokens = self.context.tokenize(&format!(" {tail}"), room);
        tokens.map_err(|error| Error::invalid("prompt", "the prompt cannot be used").with_source(error))
    }

    /// The encoder context for so many samples; 0, which is all of it, where a shorter one gains little.
    fn short_context(&self, samples: usize) -> i32 {
        let full = self.context.n_audio_ctx();
        let seconds = samples_to_duration(samples as u64, SPEECH_SAMPLE_RATE).as_secs_f64();
        let needed = (seconds * CONTEXT_PER_SECOND + CONTEXT_MARGIN).ceil() as i32;
        let context = ((needed + CONTEXT_STEP - 1) / CONTEXT_STEP * CONTEXT_STEP).max(CONTEXT_LEAST);
        if f64::from(context) > f64::from(full) * CONTEXT_WORTH { 0 } else { context }
    }
}

/// The ISO 639-1 code of a language given by its code or its English name.
fn code_of(language: &str) -> Option<&'static str> {
    let known = !language.is_empty() && language.bytes().all(|byte| byte.is_ascii_alphabetic());
    whisper_rs::get_lang_id(known.then_some(language)?).and_then(whisper_rs::get_lang_str)
}

/// The audio with silence behind it, long enough for whisper.cpp; what is not a number is silence, too.
fn padded(audio: &[f32]) -> Vec<f32> {
    let length = (audio.len() + samples_in(TAIL)).max(samples_in(SHORTEST));
    let mut samples = Vec::with_capacity(length);
    samples.extend(audio.iter().map(|sample| if sample.is_finite() { *sample } else { 0.0 }));
    samples.resize(length, 0.0);
    samples
}

fn samples_in(time: Duration) -> usize {
    (time.as_secs_f64() * f64::from(SPEECH_SAMPLE_RATE)) as usize
}

fn cancelled() -> Error {
    Error::new(Kind::Cancelled, "the request was cancelled")
}

/// Asked by whisper.cpp between the steps of its graphs; `true` ends the work.
unsafe extern "C" fn is_cancelled(cancel: *mut c_void) -> bool {
    // SAFETY: `decode` hands in a reference that lives as long as the call.
    unsafe { &*cancel.cast_const().cast::<Cancel<'_>>() }.is_cancelled()
}

/// Asked by whisper.cpp before it picks the next token.
unsafe extern "C" fn filter_logits(
    _: *mut whisper_context,
    _: *mut whisper_state,
    tokens: *const whisper_token_data,
    count: c_int,
    logits: *mut f32,
    guide: *mut c_void,
) {
    // SAFETY: `decode` hands in a reference that lives as long as the call; whisper.cpp hands in `count` tokens and
    // one logit for each token of the vocabulary.
    let (guide, tokens, logits) = unsafe {
        let guide = &*guide.cast_const().cast::<Guide>();
        let count = usize::try_from(count).unwrap_or(0);
        let tokens = if count == 0 { &[] } else { std::slice::from_raw_parts(tokens, count) };
        (guide, tokens, std::slice::from_raw_parts_mut(logits, guide.vocabulary()))
    };
    let so_far: Vec<i32> = tokens.iter().map(|token| token.id).collect();
    guide.filter(&so_far, logits);
}

unsafe extern "C" fn stop_before_encoder(_: *mut whisper_context, _: *mut whisper_state, _: *mut c_void) -> bool {
    false
}

/// Sends what whisper.cpp says to our log, at level debug: what matters comes back as an error.
fn forward_log() {
    static ONCE: Once = Once::new();
    // SAFETY: the callback has the type whisper.cpp expects, takes no data and lives for ever.
    ONCE.call_once(|| unsafe { whisper_log_set(Some(log), std::ptr::null_mut()) });
}

unsafe extern "C" fn log(_: ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: whisper.cpp passes a string that ends with NUL and lives as long as the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    if !text.trim().is_empty() {
        tracing::debug!(target: "whisper.cpp", "{}", text.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EngineConfig;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/mynah-demo.en-q8_0.bin");

    fn load_from(weights: &Weights) -> Result<Factory<dyn Transcriber>> {
        load(&Load { weights, config: &EngineConfig::default(), cache_dir: Path::new("unused") })
    }

    fn engine() -> Box<dyn Transcriber> {
        let factory = load_from(&Weights::File(MODEL.into())).expect("the demo model is good");
        factory().expect("there is memory for a state")
    }

    fn pcm(samples: Vec<f32>) -> Pcm {
        Pcm::new(samples, SPEECH_SAMPLE_RATE)
    }

    fn options() -> TranscribeOptions {
        TranscribeOptions { words: true, ..TranscribeOptions::default() }
    }

    #[test]
    fn files_that_are_no_models_are_refused_with_the_reason() {
        let model = std::fs::read(MODEL).expect("the demo model is in the repository");
        let broken: [(&str, Vec<u8>); 5] = [
            ("format", Vec::new()),
            ("format", b"<html>not found</html>".to_vec()),
            ("early", model[..model.len() / 2].to_vec()),
            ("early", model[..40_000].to_vec()),
            ("header", [&model[..4], &[0xff; 64], &model[68..]].concat()),
        ];
        for (reason, bytes) in broken {
            let file = tempfile::NamedTempFile::new().expect("a temporary file");
            std::fs::write(file.path(), bytes).expect("written");
            let error = load_from(&Weights::File(file.path().into())).err().expect("no model");
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.message().contains(reason), "{reason}: {error}");
        }
        let missing = load_from(&Weights::File("/no/such/model".into())).err().expect("no file");
        assert_eq!(missing.kind(), Kind::Unavailable);
    }

    #[test]
    fn silence_and_noise_say_nothing() {
        let mut engine = engine();
        let mut seed = 1u32;
        let noise = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((seed >> 8) as f32 / (1 << 24) as f32 - 0.5) * 0.1
        });
        for samples in [vec![], vec![0.0; 10], vec![0.0; 48_000], noise.take(64_000).collect()] {
            let transcript = engine.transcribe(&pcm(samples), &options(), &Cancel::never()).expect("it is audio");
            assert_eq!(transcript.text(), "");
        }
    }

    #[test]
    fn an_english_model_knows_its_limits() {
        let mut engine = engine();
        let mut blamed = |options: TranscribeOptions| {
            let error = engine.transcribe(&pcm(vec![0.0; 16_000]), &options, &Cancel::never()).expect_err("refused");
            (error.kind(), error.param().map(str::to_owned))
        };
        let language = |language: &str| TranscribeOptions { language: Some(language.into()), ..options() };
        assert_eq!(blamed(language("de")), (Kind::InvalidRequest, Some("language".into())));
        assert_eq!(blamed(language("tlh\0")), (Kind::InvalidRequest, Some("language".into())));
        let translate = TranscribeOptions { task: Task::Translate, ..options() };
        assert_eq!(blamed(translate), (Kind::InvalidRequest, Some("model".into())));
    }

    #[test]
    fn cancelled_work_stops() {
        let cancelled = || true;
        let error = engine().transcribe(&pcm(vec![0.1; 160_000]), &options(), &Cancel::new(&cancelled));
        assert_eq!(error.expect_err("nobody waits").kind(), Kind::Cancelled);
    }

    #[cfg(feature = "espeak")]
    mod spoken {
        use super::*;
        use crate::engine::spoken::{silence, speak};

        #[test]
        fn speech_becomes_text_with_times_and_figures() {
            let mut samples = silence(0.3);
            samples.extend(speak("Please turn on the kitchen lights at seven o'clock.").samples);
            let audio = pcm(samples);
            let transcript = engine().transcribe(&audio, &options(), &Cancel::never()).expect("it is speech");
            assert_eq!(transcript.text(), "Please turn on the kitchen lights at seven o'clock.");
            assert_eq!(transcript.language.as_deref(), Some("en"));
            let words: Vec<_> = transcript.words().map(|word| word.text.as_str()).collect();
            assert_eq!(words, ["Please", "turn", "on", "the", "kitchen", "lights", "at", "seven", "o'clock."]);
            let mut last = Duration::from_millis(200);
            for word in transcript.words() {
                assert!(last <= word.start && word.start < word.end && word.end <= audio.duration(), "{word:?}");
                assert!(word.confidence > 0.1 && word.confidence <= 1.0);
                last = word.end;
            }
            let segment = &transcript.segments[0];
            assert!(!segment.tokens.is_empty() && segment.avg_logprob < 0.0 && segment.avg_logprob > -1.0);
        }

        #[test]
        fn a_prompt_is_not_part_of_the_transcript() {
            let prompted = TranscribeOptions { prompt: Some("The lights.\0 ".repeat(4000)), ..options() };
            let audio = speak("Turn on the lights.");
            let transcript = engine().transcribe(&audio, &prompted, &Cancel::never()).expect("it is speech");
            assert!(transcript.text().len() < 60, "{}", transcript.text());
        }

        /// Run by hand: `cargo test --release -- --ignored --nocapture memory`.
        #[test]
        #[ignore = "takes minutes"]
        fn memory_does_not_grow_with_requests() {
            let (mut engine, audio) = (engine(), speak("Hello."));
            let options = TranscribeOptions { prompt: Some("x".repeat(800)), language: Some("en".into()), ..options() };
            let mut run = |times| {
                for _ in 0..times {
                    engine.transcribe(&audio, &options, &Cancel::never()).expect("it is speech");
                }
                let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
                statm.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).expect("a number of pages") * 4
            };
            let (before, after) = (run(50), run(2000));
            assert!(after - before < 1024, "grew by {} KiB", after - before);
        }
    }
}
