//! What cutting, short contexts and several slots are worth, against the same engine without them, in one run.
//!
//! `cargo bench --bench recognition`. All figures are ratios of the best of several rounds taken by turns; the machine
//! should be quiet. The plain way is whisper.cpp's own `whisper_full` over the whole file with its own settings.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

use mynah::audio::Pcm;
use mynah::audio::resample::resample;
use mynah::config::EngineConfig;
use mynah::engine::pool::{Pool, PoolOptions, Priority};
use mynah::engine::{
    Cancel, Load, MAX_PIECE, SPEECH_SAMPLE_RATE, TranscribeOptions, Transcriber, TranscriberPool, Weights, whisper,
};
use mynah::error::Result;
use mynah::speech::transcribe::{Request, transcribe_all};
use mynah::transcript::Transcript;
use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/mynah-demo.en-q8_0.bin");
const SENTENCES: &str = include_str!("../tests/it/fixtures/demo-sentences.txt");
const ROUNDS: usize = 3;

fn main() {
    // `cargo test` runs benches once, to see that they work; that is not what these figures are for.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let sentences = spoken();
    short_clips(&sentences);
    long_files(&sentences);
    around_the_engine(&sentences);
}

/// Every sentence as the built-in voice says it, at 16 kHz, without the silence around it.
fn spoken() -> Vec<Vec<f32>> {
    let data = tempfile::tempdir().expect("a temporary folder");
    espeak_ng::install_bundled_data(data.path()).expect("the data are in the binary");
    let voice = espeak_ng::EspeakNg::with_data_dir("en-us", data.path()).expect("the voice is in the data");
    let speak = |text: &str| {
        let (samples, rate) = voice.synth(text).expect("plain English");
        let loud = |sample: &i16| sample.unsigned_abs() > 100;
        let start = samples.iter().position(loud).unwrap_or(0);
        let end = samples.iter().rposition(loud).map_or(samples.len(), |last| last + 1);
        let samples = samples[start..end].iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        resample(&Pcm::new(samples, rate), SPEECH_SAMPLE_RATE).expect("a common rate").samples
    };
    SENTENCES.lines().map(speak).collect()
}

fn silence(seconds: f32) -> Vec<f32> {
    vec![0.0; (seconds * SPEECH_SAMPLE_RATE as f32) as usize]
}

fn factory() -> impl Fn() -> Result<Box<dyn Transcriber>> + Send + Sync + 'static {
    let weights = Weights::File(MODEL.into());
    whisper::load(&Load { weights: &weights, config: &EngineConfig::default(), cache_dir: Path::new("unused") })
        .expect("the demo model is good")
}

/// The shortest times of the works in seconds, taken by turns.
fn best<const N: usize>(mut works: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut best = [f64::MAX; N];
    for _ in 0..ROUNDS {
        for (work, best) in works.iter_mut().zip(&mut best) {
            let begun = Instant::now();
            work();
            *best = best.min(begun.elapsed().as_secs_f64());
        }
    }
    best
}

/// Clips of about so many seconds: one, two or four sentences.
fn clips(sentences: &[Vec<f32>], seconds: f32) -> Vec<Pcm> {
    let length = (seconds * SPEECH_SAMPLE_RATE as f32) as usize;
    let mut clips: Vec<Vec<f32>> = vec![Vec::new()];
    for sentence in sentences {
        if let Some(clip) = clips.last_mut().filter(|clip| clip.len() + sentence.len() <= length) {
            clip.extend(sentence);
            clip.extend(silence(0.3));
            continue;
        }
        clips.push(Vec::new());
    }
    clips.iter_mut().for_each(|clip| clip.resize(length, 0.0));
    let spoken = |clip: &Vec<f32>| clip.iter().any(|sample| *sample != 0.0);
    clips.into_iter().filter(spoken).take(8).map(|clip| Pcm::new(clip, SPEECH_SAMPLE_RATE)).collect()
}

fn short_clips(sentences: &[Vec<f32>]) {
    println!("\na clip with the context it needs, against the full context of 30 s");
    let mut engine = factory()().expect("there is memory");
    for seconds in [2.0, 5.0, 10.0] {
        let clips = clips(sentences, seconds);
        let mut texts = [Vec::new(), Vec::new()];
        let [short, full] = {
            let [short_texts, full_texts] = &mut texts;
            let engine = std::cell::RefCell::new(&mut engine);
            let run = |short_context: bool, texts: &mut Vec<String>| {
                let options = TranscribeOptions { short_context, ..TranscribeOptions::default() };
                let transcribe = |clip: &Pcm| engine.borrow_mut().transcribe(clip, &options, &Cancel::never());
                *texts = clips.iter().map(|clip| transcribe(clip).expect("it is speech").text()).collect();
            };
            best([&mut || run(true, short_texts), &mut || run(false, full_texts)])
        };
        let same = texts[0].iter().zip(&texts[1]).filter(|(one, other)| one == other).count();
        println!(
            "{seconds:>4} s: {:>5.1} times as fast ({:.0} ms against {:.0} ms a clip); {same} of {} texts are the same",
            full / short,
            1000.0 * short / clips.len() as f64,
            1000.0 * full / clips.len() as f64,
            clips.len()
        );
    }
}

/// Ten minutes in which `speaking` of the time somebody speaks.
fn ten_minutes(sentences: &[Vec<f32>], speaking: f32) -> Vec<f32> {
    let mut samples = Vec::new();
    for sentence in sentences.iter().cycle() {
        samples.extend(sentence);
        samples.extend(silence(0.3));
        if speaking < 1.0 && samples.len() / SPEECH_SAMPLE_RATE as usize % 20 >= 10 {
            samples.extend(silence(10.0));
        }
        if samples.len() >= 600 * SPEECH_SAMPLE_RATE as usize {
            return samples;
        }
    }
    samples
}

fn long_files(sentences: &[Vec<f32>]) {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    println!("\nten minutes on {cores} cores, against whisper_full over the whole file");
    let runtime = Runtime::new().expect("a runtime");
    let options = PoolOptions { name: "demo".into(), slots: cores, queue: 64, cores: None, threads: 1 };
    let pool: Arc<TranscriberPool> = Arc::new(Pool::start(options, factory()).expect("the engine starts"));
    for (name, speaking) in [("somebody speaks all the time", 1.0), ("half is silence", 0.5)] {
        let samples = ten_minutes(sentences, speaking);
        let file = wav(&samples);
        let [ours, plain] = best([
            &mut || {
                black_box(read(&runtime, &pool, file.clone()));
            },
            &mut || {
                black_box(whisper_full(&samples));
            },
        ]);
        println!("{name}: {:.1} times as fast ({ours:.1} s against {plain:.1} s)", plain / ours);
    }
}

fn read(runtime: &Runtime, pool: &Arc<TranscriberPool>, file: Vec<u8>) -> String {
    let options = TranscribeOptions { language: Some("en".into()), ..TranscribeOptions::default() };
    let request = Request::new(options, Priority::Interactive);
    runtime.block_on(transcribe_all(pool.clone(), Box::new(Cursor::new(file)), request)).expect("a good file").0.text()
}

/// As a program that knows nothing better would.
fn whisper_full(samples: &[f32]) -> i32 {
    let context = WhisperContext::new_with_params(MODEL, WhisperContextParameters::default()).expect("a good model");
    let mut state = context.create_state().expect("there is memory");
    let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    parameters.set_n_threads(1);
    parameters.set_print_progress(false);
    state.full(parameters, samples).expect("it is speech");
    state.full_n_segments()
}

/// `samples` as a WAV file.
fn wav(samples: &[f32]) -> Vec<u8> {
    let sample_format = hound::SampleFormat::Int;
    let spec = hound::WavSpec { channels: 1, sample_rate: SPEECH_SAMPLE_RATE, bits_per_sample: 16, sample_format };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).expect("a WAV file");
    for sample in samples {
        writer.write_sample((sample * 32_767.0) as i16).expect("written to memory");
    }
    writer.finalize().expect("written to memory");
    file.into_inner()
}

/// An engine that hears nothing, at once.
struct Deaf;

impl Transcriber for Deaf {
    fn transcribe(&mut self, audio: &Pcm, _: &TranscribeOptions, _: &Cancel<'_>) -> Result<Transcript> {
        assert!(audio.duration() <= MAX_PIECE);
        Ok(Transcript::default())
    }
}

fn around_the_engine(sentences: &[Vec<f32>]) {
    let runtime = Runtime::new().expect("a runtime");
    let options = PoolOptions { name: "deaf".into(), slots: 1, queue: 64, cores: None, threads: 1 };
    let pool: Arc<TranscriberPool> =
        Arc::new(Pool::start(options, || Ok(Box::new(Deaf) as Box<dyn Transcriber>)).expect("it starts"));
    let narrow = Pcm::new(ten_minutes(sentences, 1.0), SPEECH_SAMPLE_RATE);
    let seconds = narrow.duration().as_secs_f64();
    let wide = resample(&narrow, 48_000).expect("a common rate");
    let file = wav_at(&wide);
    let [time] = best([&mut || {
        black_box(read(&runtime, &pool, file.clone()));
    }]);
    println!("\nall but the engine (48 kHz WAV): {:.2} % of the duration of the sound", 100.0 * time / seconds);
}

fn wav_at(sound: &Pcm) -> Vec<u8> {
    let mut file = wav(&sound.samples);
    file[24..28].copy_from_slice(&sound.sample_rate.to_le_bytes());
    file[28..32].copy_from_slice(&(sound.sample_rate * 2).to_le_bytes());
    file
}
