//! The bands against those of the model's makers, and loading and running with a small model that has the input and the
//! output of the real one.

use super::*;
use crate::engine::onnx;
use std::path::PathBuf;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/onnx");

/// The signal of `scripts/onnx-fixtures`: it swells, and is short of 8 s.
fn signal() -> Vec<f32> {
    let sample = |n: u64| ((n * n * 7 + n * 31) % 2001) as f32 / 2000.0 - 0.5;
    (0..100_000).map(|n| sample(n) * (n as f32 / 100_000.0)).collect()
}

#[test]
fn the_bands_are_those_that_the_model_was_trained_with() {
    let expected = include_bytes!("../../../tests/it/fixtures/onnx/whisper-mel.f32");
    let expected: Vec<f32> = expected.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let bands = Mel::new().compute(&window(&signal()));
    assert_eq!(bands.len(), BANDS * FRAMES);
    // Every fiftieth frame, and the last.
    let frames: Vec<usize> = (0..FRAMES).step_by(50).chain([FRAMES - 1]).collect();
    assert_eq!(expected.len(), BANDS * frames.len());
    for (index, expected) in expected.iter().enumerate() {
        let (band, frame) = (index / frames.len(), frames[index % frames.len()]);
        let value = bands[band * FRAMES + frame];
        assert!((value - expected).abs() < 1e-3, "band {band} of frame {frame}: {value} is not {expected}");
    }
}

#[test]
fn the_last_eight_seconds_are_listened_to_with_silence_in_front_of_what_is_shorter() {
    let long: Vec<f32> = [vec![9.0; 1_000], vec![1.0; SAMPLES / 2], vec![-1.0; SAMPLES / 2]].concat();
    let window_of_long = window(&long);
    assert_eq!(window_of_long.len(), SAMPLES);
    assert!(window_of_long.iter().all(|sample| (sample.abs() - 1.0).abs() < 1e-3));
    let short = window(&[0.5; 100]);
    assert!(short[SAMPLES - 101] < 0.0 && short[SAMPLES - 100] > 30.0);
    assert!(window(&[]).iter().all(|sample| *sample == 0.0));
}

/// The settings for a library on this machine; none, with a line that says so, when there is none.
fn library() -> Option<EngineConfig> {
    let named = std::env::var_os("MYNAH_TEST_ONNX_RUNTIME").map(PathBuf::from);
    let config = EngineConfig { onnx_runtime: named, ..EngineConfig::default() };
    if onnx::find(&config, Path::new("")).is_none() {
        println!("skipped: there is no ONNX Runtime on this machine; `scripts/test` fetches it");
        return None;
    }
    Some(config)
}

fn open(weights: &Weights, config: &EngineConfig) -> Result<Box<dyn TurnDetector>> {
    load(&Load { weights, config, cache_dir: Path::new("cache") })?()
}

fn model(name: &str) -> Weights {
    Weights::File(Path::new(FIXTURES).join(name))
}

#[test]
fn the_probability_is_what_the_model_makes_of_the_bands() {
    let Some(config) = library() else { return };
    let mut engine = open(&model("turn.onnx"), &config).expect("a model");
    // The fixture compares the last 20 frames with all of them: quieter means finished.
    let expected = |samples: &[f32]| {
        let bands = Mel::new().compute(&window(samples));
        let mean = |from: usize| {
            let of_band = |band: usize| bands[band * FRAMES + from..(band + 1) * FRAMES].iter().sum::<f32>();
            (0..BANDS).map(of_band).sum::<f32>() / (BANDS * (FRAMES - from)) as f32
        };
        1.0 / (1.0 + (-4.0 * (mean(0) - mean(FRAMES - 20))).exp())
    };
    let quiet_end = [signal(), vec![0.0; 8_000]].concat();
    let mut probabilities = Vec::new();
    for samples in [signal(), quiet_end] {
        let expected = expected(&samples);
        let audio = Pcm::new(samples, SPEECH_SAMPLE_RATE);
        let probability = engine.finished(&audio, &Cancel::never()).expect("a probability");
        assert!((probability - expected).abs() < 1e-4, "{probability} is not {expected}");
        probabilities.push(probability);
    }
    assert!(probabilities[0] < 0.4 && probabilities[1] > 0.6, "{probabilities:?}");
    let gone = || true;
    let error =
        engine.finished(&Pcm::new(signal(), SPEECH_SAMPLE_RATE), &Cancel::new(&gone)).expect_err("nobody waits");
    assert_eq!(error.kind(), Kind::Cancelled);
}

#[test]
fn other_models_are_refused() {
    let Some(config) = library() else { return };
    for name in ["waveform.onnx", "segmentation.onnx", "wespeaker.onnx"] {
        let error = open(&model(name), &config).err().expect(name);
        assert_eq!(error.kind(), Kind::Unavailable, "{name}");
        assert!(error.message().contains("Smart-Turn"), "{name}: {error}");
    }
    assert_eq!(open(&Weights::BuiltIn, &config).err().map(|error| error.kind()), Some(Kind::Unavailable));
}
