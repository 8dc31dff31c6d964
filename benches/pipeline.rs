//! The way of a recording through the server: cutting, the hand-off to an engine, the whole of a short clip.
//!
//! `cargo bench --bench pipeline`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mynah::audio::Pcm;
use mynah::audio::resample::resample;
use mynah::config::EngineConfig;
use mynah::engine::pool::{Pool, PoolOptions, Priority};
use mynah::engine::vad::{FRAME, Vad};
use mynah::engine::{Cancel, Load, SPEECH_SAMPLE_RATE, TranscribeOptions, Transcriber, Weights, whisper};
use mynah::error::Result;
use mynah::speech::chunk::Chunker;
use mynah::speech::transcribe::{Request, transcribe_all};
use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Runtime;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/mynah-demo.en-q8_0.bin");

/// Spoken sentences with pauses, at 16 kHz.
fn speech(seconds: usize) -> Vec<f32> {
    let data = tempfile::tempdir().expect("a temporary folder");
    espeak_ng::install_bundled_data(data.path()).expect("the data are in the binary");
    let voice = espeak_ng::EspeakNg::with_data_dir("en-us", data.path()).expect("the voice is in the data");
    let (samples, rate) = voice.synth("Please turn on the kitchen lights at seven o'clock.").expect("plain English");
    let samples = samples.into_iter().map(|sample| f32::from(sample) / 32_768.0).collect();
    let sentence = resample(&Pcm::new(samples, rate), SPEECH_SAMPLE_RATE).expect("a common rate").samples;
    sentence.into_iter().cycle().take(seconds * SPEECH_SAMPLE_RATE as usize).collect()
}

fn cutting(criterion: &mut Criterion) {
    let minute = speech(60);
    let mut group = criterion.benchmark_group("cutting");
    group.throughput(Throughput::Elements(60)).sample_size(10);
    group.bench_function("voice activity, a minute", |bencher| {
        bencher.iter(|| {
            let mut vad = Vad::new();
            minute.as_chunks::<FRAME>().0.iter().map(|frame| vad.probability(frame)).sum::<f32>()
        });
    });
    group.bench_function("pieces, a minute", |bencher| {
        bencher.iter(|| {
            let (mut chunker, mut pieces) = (Chunker::default(), Vec::new());
            minute.chunks(8192).for_each(|block| chunker.push(block, &mut pieces));
            chunker.finish(&mut pieces);
            black_box(pieces)
        });
    });
    group.finish();
}

fn options(name: &str) -> PoolOptions {
    PoolOptions { name: name.into(), slots: 1, queue: 16, cores: None, threads: 1 }
}

fn hand_off(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let pool: Pool<u32> = Pool::start(options("idle"), || Ok(Box::new(0))).expect("a number can always be built");
    criterion.bench_function("hand-off to an idle engine and back", |bencher| {
        bencher.iter(|| {
            let answer = pool.run(Priority::Interactive, |engine, _| Ok(*engine));
            runtime.block_on(answer).expect("the work succeeds")
        });
    });
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

fn demo_factory() -> Result<impl Fn() -> Result<Box<dyn Transcriber>> + Send + Sync + 'static> {
    let weights = Weights::File(MODEL.into());
    whisper::load(&Load { weights: &weights, config: &EngineConfig::default(), cache_dir: Path::new("unused") })
}

fn clip(criterion: &mut Criterion) {
    let samples = speech(5);
    let mut group = criterion.benchmark_group("a clip of 5 s");
    group.sample_size(10);
    let mut engine = demo_factory().and_then(|factory| factory()).expect("the demo model is good");
    let audio = Pcm::new(samples.clone(), SPEECH_SAMPLE_RATE);
    group.bench_function("engine alone", |bencher| {
        let options = TranscribeOptions::default();
        bencher.iter(|| engine.transcribe(&audio, &options, &Cancel::never()).expect("it is speech"));
    });
    let runtime = Runtime::new().expect("a runtime");
    let factory = demo_factory().expect("the demo model is good");
    let pool = Arc::new(Pool::start(options("demo"), factory).expect("the engine starts"));
    let file = wav(&samples);
    group.bench_function("file to text", |bencher| {
        bencher.iter(|| {
            let source = Box::new(Cursor::new(file.clone()));
            let text =
                transcribe_all(pool.clone(), source, Request::new(TranscribeOptions::default(), Priority::Interactive));
            runtime.block_on(text).expect("a good file")
        });
    });
    group.finish();
}

criterion_group!(benches, cutting, hand_off, clip);
criterion_main!(benches);
