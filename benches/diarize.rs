//! Telling speakers apart: describing the voices in a minute of speech, and clustering what three hours give.
//!
//! `cargo bench --bench diarize`. One core; the throughput is seconds of sound in a second. With `MYNAH_BENCH_SPEAKERS`
//! set to a speaker model (a file, or a folder with `embedding.onnx` and `segmentation.onnx`) that is measured too.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mynah::audio::Pcm;
use mynah::audio::resample::resample;
use mynah::config::EngineConfig;
use mynah::engine::pool::{Pool, PoolOptions, Priority};
use mynah::engine::{Cancel, Diarizer, Load, SPEECH_SAMPLE_RATE, VoicePrint, Weights, diarize};
use mynah::speech::speakers::{Diarization, Voices};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Half a minute of speech without longer pauses: the most an engine is given at once.
fn speech() -> Pcm {
    let data = tempfile::tempdir().expect("a temporary folder");
    espeak_ng::install_bundled_data(data.path()).expect("the data are in the binary");
    let voice = espeak_ng::EspeakNg::with_data_dir("en-us", data.path()).expect("the voice is in the data");
    let text = "We should call the customer in London and ask what happened to the green folder and the long cable.";
    let (samples, rate) = voice.synth(text).expect("plain English");
    let samples = samples.into_iter().map(|sample| f32::from(sample) / 32_768.0).collect();
    let sentence = resample(&Pcm::new(samples, rate), SPEECH_SAMPLE_RATE).expect("a common rate").samples;
    let samples = sentence.into_iter().cycle().take(30 * SPEECH_SAMPLE_RATE as usize).collect();
    Pcm::new(samples, SPEECH_SAMPLE_RATE)
}

fn load(weights: &Weights) -> Load<'_> {
    // Never changed, so that one value can be lent.
    static CONFIG: std::sync::LazyLock<EngineConfig> = std::sync::LazyLock::new(EngineConfig::default);
    Load { weights, config: &CONFIG, cache_dir: Path::new("cache") }
}

fn spectral() -> Box<dyn Diarizer> {
    diarize::spectral::load(&load(&Weights::BuiltIn)).expect("nothing is loaded")().expect("an engine")
}

/// The engine for `MYNAH_BENCH_SPEAKERS`.
fn pulled() -> Option<Box<dyn Diarizer>> {
    #[cfg(feature = "onnx")]
    {
        let weights = Weights::File(std::env::var_os("MYNAH_BENCH_SPEAKERS")?.into());
        Some(diarize::neural::load(&load(&weights)).and_then(|factory| factory()).expect("a speaker model"))
    }
    #[cfg(not(feature = "onnx"))]
    None
}

fn describing(criterion: &mut Criterion) {
    let audio = speech();
    let mut group = criterion.benchmark_group("the voices in half a minute of speech");
    group.throughput(Throughput::Elements(30)).sample_size(10);
    let engines = [("built in", Some(spectral())), ("pulled", pulled())];
    for (name, engine) in engines {
        let Some(mut engine) = engine else { continue };
        group.bench_function(name, |bencher| bencher.iter(|| engine.voices(&audio, &Cancel::never()).expect("prints")));
    }
    group.finish();
}

/// Prints of three voices in turns of nine seconds, over three hours.
fn three_hours() -> Vec<VoicePrint> {
    let prints = spectral().voices(&speech(), &Cancel::never()).expect("prints");
    let hop = Duration::from_millis(750);
    let print = |index: usize| {
        let VoicePrint { mut embedding, .. } = prints[index % prints.len()].clone();
        embedding.rotate_right(index / 12 % 3 * 80);
        VoicePrint { start: hop * index as u32, end: hop * (index as u32 + 1), embedding }
    };
    (0..14_400).map(print).collect()
}

fn clustering(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let options = PoolOptions { name: "spectral".into(), slots: 1, queue: 16, cores: None, threads: 1 };
    let pool = Arc::new(Pool::start(options, || Ok(spectral())).expect("it starts"));
    let diarization = Diarization { pool, known: Vec::new(), count: None };
    let mut voices = runtime.block_on(Voices::new(&diarization, Priority::Batch)).expect("a diarizer");
    voices.add(three_hours());
    let mut group = criterion.benchmark_group("clustering");
    group.throughput(Throughput::Elements(3 * 3600)).sample_size(10);
    group.bench_function("three hours", |bencher| bencher.iter(|| voices.turns()));
    group.finish();
}

criterion_group!(benches, describing, clustering);
criterion_main!(benches);
