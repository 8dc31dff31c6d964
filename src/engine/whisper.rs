//! Speech to text on whisper.cpp: the only place that knows whisper-rs.
//!
//! The weights are loaded once; every slot has its own state on them. A piece of audio is encoded with a context as
//! short as the audio allows and decoded greedily, with times always on (models invent words in silence without them).
//! A result that looks wrong is decoded again: with the full context, without the prompt, at last with some chance; one
//! that misses sound, under a guide. All of that but the full context takes no second run of the encoder, nor does
//! finding the language.
#![expect(unsafe_code, reason = "whisper.cpp calls back through C pointers")]

mod abort;
mod bias;
mod coverage;
mod decoder;
mod doubt;
#[cfg(all(test, feature = "espeak"))]
mod keywords;
mod model_file;
#[cfg(all(test, feature = "espeak"))]
mod multilingual;
mod reader;
mod sampler;
mod vocabulary;
mod words;

use super::{Cancel, Factory, Load, SPEECH_SAMPLE_RATE, Task, TranscribeOptions, Transcriber, Weights};
use crate::audio::{Pcm, samples_to_duration};
use crate::error::{Error, Kind, Result};
use crate::transcript::{Report, Segment, Transcript};
use bias::Bias;
use coverage::Guide;
use decoder::Decoder;
use doubt::{confidence, is_worth_another_try, keep_believable};
use reader::Reader;
use sampler::Rules;
use std::ffi::{CStr, c_char, c_void};
use std::io::{BufReader, Cursor};
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;
use vocabulary::Vocabulary;
use whisper_rs::whisper_rs_sys::{ggml_log_level, whisper_log_set};
use whisper_rs::{WhisperContext, WhisperContextParameters};
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

/// A piece is in another language than expected only when that is so likely.
const OTHER_LANGUAGE: f32 = 0.7;

/// The temperatures for decoding a doubtful piece again, when it was less.
const WARMER: [f32; 2] = [0.2, 0.4];

/// The width of the smallest of OpenAI's models.
const SMALLEST_STATE: i32 = 384;

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
    abort::install();
    let mut parameters = WhisperContextParameters::default();
    // On a CPU flash attention is slower, and wrong for contexts that are not a multiple of 256.
    parameters.use_gpu(load.config.gpu).flash_attn(false);
    let context = Arc::new(open(load.weights, parameters)?);
    let vocabulary = Arc::new(Vocabulary::of(&context));
    let threads = i32::try_from(load.config.threads).unwrap_or(1).max(1);
    Ok(Box::new(move || Ok(Box::new(Whisper::new(context.clone(), vocabulary.clone(), threads)?))))
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
    vocabulary: Arc<Vocabulary>,
    decoder: Decoder,
}

/// A piece of audio and how it is wanted.
struct Piece<'a> {
    /// With silence behind it.
    samples: &'a [f32],
    /// Of the audio without that silence.
    energy: &'a Energy,
    language: &'a str,
    /// The tokens that say language and task.
    task: &'a [i32],
    bias: &'a Bias,
    options: &'a TranscribeOptions,
    cancel: &'a Cancel<'a>,
}

/// How to decode what was encoded once.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    prompt: &'a [i32],
    temperature: f32,
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
        let context = if options.short_context { self.short_context(samples.len()) } else { 0 };
        self.decoder.encode(&samples, context, cancel)?;
        let (language, language_confidence) = self.language(options)?;
        let piece = Piece {
            samples: &samples,
            energy: &Energy::of(&samples[..audio.samples.len()]),
            language: &language,
            task: &self.task_tokens(&language, options.task),
            bias: &self.bias(&options.keywords)?,
            options,
            cancel,
        };
        let prompt = self.prompt_tokens(options)?;
        let (mut segments, report) = self.decode_guarded(&piece, &prompt, context)?;
        if !options.words {
            segments.iter_mut().for_each(|segment| segment.words.clear());
        }
        Ok(Transcript { segments, language: Some(language), language_confidence, report })
    }
}

impl Whisper {
    fn new(context: Arc<WhisperContext>, vocabulary: Arc<Vocabulary>, threads: i32) -> Result<Self> {
        let state = context.create_state().map_err(|error| {
            Error::new(Kind::Unavailable, "there is not enough memory for another recognizer").with_source(error)
        })?;
        let decoder = Decoder::new(context.clone(), state, vocabulary.clone(), threads);
        Ok(Self { context, vocabulary, decoder })
    }

    /// Whether the model can do what is asked.
    fn check_task(&self, options: &TranscribeOptions) -> Result<()> {
        let asked = options.language.iter().chain(&options.languages);
        if let Some(unknown) = asked.clone().find(|language| code_of(language).is_none()) {
            return Err(Error::invalid("language", format!("Whisper does not know the language `{unknown}`")));
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
        let is_foreign = |language: &&str| code_of(language) != Some("en");
        let only_foreign = options.languages.iter().all(|language| is_foreign(&language.as_str()));
        let listed = options.languages.first().filter(|_| only_foreign).map(String::as_str);
        match options.language.as_deref().filter(is_foreign).or(listed) {
            None => Ok(()),
            Some(language) => Err(Error::invalid(
                "language",
                format!("this model knows only English, not `{language}`; use a multilingual model"),
            )),
        }
    }

    /// The ISO 639-1 code of the language to write down: the one asked for, the only one, or the one heard in what was
    /// encoded, with its likelihood.
    fn language(&mut self, options: &TranscribeOptions) -> Result<(String, Option<f32>)> {
        if let Some(language) = &options.language {
            return Ok((code_of(language).unwrap_or(language).to_owned(), None));
        }
        if self.vocabulary.languages.is_empty() {
            return Ok(("en".to_owned(), None));
        }
        let allowed: Vec<_> = options.languages.iter().filter_map(|language| code_of(language)).collect();
        let found = self.decoder.language(|code| allowed.is_empty() || allowed.contains(&code))?;
        let (heard, likely) = found.unwrap_or(("en", 0.0));
        match options.expected_language.as_deref().and_then(code_of) {
            Some(expected) if likely < OTHER_LANGUAGE => Ok((expected.to_owned(), None)),
            _ => Ok((heard.to_owned(), Some(likely))),
        }
    }

    /// Decodes, and again where the result looks wrong; the better one stays, and what cannot be believed goes.
    fn decode_guarded(&mut self, piece: &Piece<'_>, prompt: &[i32], context: i32) -> Result<(Vec<Segment>, Report)> {
        let mut attempt = Attempt { prompt, temperature: piece.options.temperature.clamp(0.0, 1.0), guide: None };
        let mut best = self.decode(piece, attempt)?;
        if !piece.options.guard {
            return Ok((best, Report::default()));
        }
        if piece.options.hasty {
            let (segments, dropped) = keep_believable(best);
            return Ok((segments, Report { dropped, ..Report::default() }));
        }
        let mut again = false;
        if is_worth_another_try(&best) {
            again = true;
            // A prompt, too, can lead into repetition.
            attempt.prompt = &[];
            best = self.decode_once_more(piece, attempt, context, best)?;
        }
        let guide = self.guide(piece.energy);
        if guide.has_gap(&best) {
            again = true;
            let guided = self.decode(piece, Attempt { guide: Some(&guide), ..attempt })?;
            if guide.uncovered(&guided) < guide.uncovered(&best) && !is_worth_another_try(&guided) {
                best = guided;
            }
        }
        let (segments, dropped) = keep_believable(best);
        Ok((segments, Report { decoded_again: again.into(), dropped, ..Report::default() }))
    }

    /// Decodes with the full context, then with more and more chance, until the result is not doubtful any more.
    fn decode_once_more(
        &mut self,
        piece: &Piece<'_>,
        mut attempt: Attempt<'_>,
        context: i32,
        mut best: Vec<Segment>,
    ) -> Result<Vec<Segment>> {
        if context != 0 {
            self.decoder.encode(piece.samples, 0, piece.cancel)?;
        }
        let asked = attempt.temperature;
        let warmer = WARMER.into_iter().filter(|warmer| *warmer > asked);
        for temperature in [asked].into_iter().chain(warmer) {
            attempt.temperature = temperature;
            let other = self.decode(piece, attempt)?;
            if !is_worth_another_try(&other) {
                return Ok(other);
            }
            if confidence(&other) > confidence(&best) {
                best = other;
            }
        }
        Ok(best)
    }

    fn decode(&mut self, piece: &Piece<'_>, attempt: Attempt<'_>) -> Result<Vec<Segment>> {
        let vocabulary = self.vocabulary.clone();
        let rules = Rules {
            vocabulary: &vocabulary,
            guide: attempt.guide,
            bias: piece.bias,
            temperature: attempt.temperature,
            times: self.names_times(),
        };
        let ticks = (piece.samples.len() / 160) as i64;
        let written = self.decoder.decode(attempt.prompt, piece.task, ticks, &rules, piece.cancel)?;
        let reader = Reader {
            vocabulary: &vocabulary,
            text: &|token| self.context.token_to_bytes(token).unwrap_or_default().to_vec(),
            energy: piece.energy,
            temperature: attempt.temperature,
            spaced: !UNSPACED.contains(&piece.language),
            language: piece.language,
        };
        Ok(reader.read(&written))
    }

    fn guide(&self, energy: &Energy) -> Guide {
        Guide::new(energy, self.vocabulary.first_time, self.vocabulary.end_of_text)
    }

    /// The first distilled models cannot name times.
    fn names_times(&self) -> bool {
        self.context.model_n_text_layer() != 2 || self.context.model_n_vocab() == 51_866
    }

    fn task_tokens(&self, language: &str, task: Task) -> Vec<i32> {
        let vocabulary = &self.vocabulary;
        let language = vocabulary.languages.iter().find(|(code, _)| *code == language);
        let task = if task == Task::Translate { vocabulary.translate } else { vocabulary.transcribe };
        let mut tokens: Vec<i32> = language.into_iter().flat_map(|(_, token)| [*token, task]).collect();
        tokens.extend((!self.names_times()).then_some(vocabulary.no_times));
        tokens
    }

    /// The keywords, where the model is used to prompts, then the prompt: what is nearest to the text counts most.
    fn prompt_tokens(&self, options: &TranscribeOptions) -> Result<Vec<i32>> {
        let keywords = if self.is_used_to_prompts() { options.keywords.join(", ") } else { String::new() };
        let parts = [keywords.trim(), options.prompt.as_deref().unwrap_or_default().trim()];
        let prompt = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(". ");
        let skipped = prompt.chars().count().saturating_sub(PROMPT_CHARS);
        let tail: String = prompt.chars().skip(skipped).collect();
        if tail.is_empty() { Ok(Vec::new()) } else { self.tokens(&format!(" {tail}")) }
    }

    /// Models smaller than all of OpenAI's have been trained without prompts, and a list of words that are not said costs
    /// them others that are; they prefer keywords all the same.
    fn is_used_to_prompts(&self) -> bool {
        self.context.model_n_text_state() >= SMALLEST_STATE
    }

    fn bias(&self, keywords: &[String]) -> Result<Bias> {
        if let Some(long) = keywords.iter().find(|keyword| keyword.len() > PROMPT_CHARS) {
            return Err(Error::invalid("keywords", format!("the keyword `{:.40}…` is too long", long)));
        }
        Ok(Bias::new(keywords, |text| self.tokens(text).unwrap_or_default()))
    }

    fn tokens(&self, text: &str) -> Result<Vec<i32>> {
        let text: String = text.chars().filter(|letter| *letter != '\0').collect();
        // A token is at least one byte, so there is always room: whisper-rs is unsound when there is not.
        let tokens = self.context.tokenize(&text, text.len() + 8);
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
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    #[test]
    fn cancelled_work_stops_in_the_middle_of_the_encoder() {
        let mut engine = engine();
        // More often than there are graphs.
        let asked = AtomicUsize::new(0);
        let soon = || asked.fetch_add(1, Ordering::Relaxed) >= 20;
        let audio = pcm(vec![0.1; 160_000]);
        let error = engine.transcribe(&audio, &options(), &Cancel::new(&soon)).expect_err("nobody waits");
        assert_eq!(error.kind(), Kind::Cancelled);
        let times = asked.into_inner();
        assert!(times < 25, "it is the encoder that asks: {times}");
        let heard = engine.transcribe(&audio, &options(), &Cancel::never()).expect("the engine is none the worse");
        assert_eq!(heard.text(), "");
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
