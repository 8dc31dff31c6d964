//! Loading and running, with small models that have the inputs and outputs of the real ones.

use super::*;
use crate::engine::SPEECH_SAMPLE_RATE;
use crate::engine::onnx;
use std::f32::consts::TAU;
use std::time::Duration;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/onnx");

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

fn open(weights: &Weights, config: &EngineConfig) -> Result<Box<dyn Diarizer>> {
    load(&Load { weights, config, cache_dir: Path::new("cache") })?()
}

fn model(name: &str) -> Weights {
    Weights::File(Path::new(FIXTURES).join(name))
}

/// A tone of so many hertz whose mean level is `level`, swelling so that its bands vary.
fn tone(seconds: f32, hertz: f32, level: f32) -> Vec<f32> {
    let sample = |n: usize| {
        let time = n as f32 / 16_000.0;
        (TAU * hertz * time).sin() * level * 1.57 * (1.0 + 0.3 * (TAU * 4.0 * time).sin())
    };
    (0..(seconds * 16_000.0) as usize).map(sample).collect()
}

fn prints(engine: &mut dyn Diarizer, samples: Vec<f32>) -> Vec<VoicePrint> {
    engine.voices(&Pcm::new(samples, SPEECH_SAMPLE_RATE), &Cancel::never()).expect("prints")
}

#[test]
fn an_embedding_is_what_the_model_makes_of_the_bands_without_their_mean() {
    let Some(config) = library() else { return };
    for (name, taper) in [("wespeaker.onnx", Taper::Hamming), ("3dspeaker.onnx", Taper::Povey)] {
        let path = Path::new(FIXTURES).join(name);
        let session = Session::open(name, Model::File(&path), &config, Path::new("")).expect("a model");
        let mut embedder = Embedder::new(session).expect("a speaker model");
        let bands = Fbank::new(taper).compute(&tone(1.5, 300.0, 0.1));
        let frames: Vec<&Frame> = bands.iter().collect();
        let count = bands.len() as f32;
        let power = |band: usize| {
            let mean = bands.iter().map(|frame| frame[band]).sum::<f32>() / count;
            bands.iter().map(|frame| (frame[band] - mean).powi(2)).sum::<f32>() / count
        };
        let expected = unit((0..8).map(|ten| (ten * 10..ten * 10 + 10).map(power).sum()).collect());
        let embedding = embedder.embed(&frames).expect("an embedding");
        let difference: f32 = embedding.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum();
        assert!(embedding.len() == 8 && difference < 1e-3, "{name}: {embedding:?} is not {expected:?}");
    }
}

#[test]
fn a_model_in_memory_works_as_one_in_a_file() {
    let Some(config) = library() else { return };
    let bytes = std::fs::read(Path::new(FIXTURES).join("wespeaker.onnx")).expect("a fixture");
    let mut session = Session::open("in memory", Model::Bytes(&bytes), &config, Path::new("")).expect("a model");
    let answer = session.run(&[("feats", Input::Floats(&[1, 1, 80], &[2.0; 80]))], "embs").expect("an answer");
    assert_eq!((answer.shape, answer.values), (vec![1, 8], vec![40.0; 8]));
    let error = session.run(&[("feats", Input::Floats(&[1, 80], &[2.0; 80]))], "embs").expect_err("another shape");
    assert!(error.kind() == Kind::Internal && error.message().contains("in memory"), "{error}");
    let error = session.run(&[("feats", Input::Floats(&[1, 1, 80], &[2.0; 80]))], "no").expect_err("no such output");
    assert!(error.message().contains("no output `no`"), "{error}");
}

#[cfg(feature = "espeak")]
#[test]
fn speech_is_described_by_windows() {
    let Some(config) = library() else { return };
    let mut engine = open(&model("wespeaker.onnx"), &config).expect("a model");
    let mut samples = crate::engine::spoken::silence(1.0);
    samples.extend(crate::engine::spoken::speak("Please turn on the kitchen lights at seven o'clock.").samples);
    let prints = prints(engine.as_mut(), samples);
    assert!(prints.len() >= 2 && prints.iter().all(|print| print.embedding.len() == 8));
    assert!(prints[0].start > Duration::from_millis(900));
    assert!(prints.windows(2).all(|pair| pair[0].end <= pair[1].start));
}

#[test]
fn with_a_segmentation_model_voices_overlap() {
    let Some(config) = library() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to) in [("3dspeaker.onnx", EMBEDDING), ("segmentation.onnx", SEGMENTATION)] {
        std::fs::copy(Path::new(FIXTURES).join(from), folder.path().join(to)).expect("copied");
    }
    let mut engine = open(&Weights::File(folder.path().to_owned()), &config).expect("two models");
    // The model takes quiet sound for one voice and loud sound for two.
    let parts = [tone(1.0, 300.0, 0.0), tone(2.0, 300.0, 0.08), tone(1.0, 300.0, 0.3), tone(1.0, 300.0, 0.0)];
    let prints = prints(engine.as_mut(), parts.concat());
    let near = |time: Duration, seconds: f64| (time.as_secs_f64() - seconds).abs() < 0.1;
    assert!(prints.windows(2).all(|pair| pair[0].start <= pair[1].start));
    let last = prints.last().expect("prints");
    assert!(near(prints[0].start, 1.0) && near(last.start, 3.0) && near(last.end, 4.0), "{prints:?}");
    let at_once = prints.iter().filter(|print| print.start <= last.start && print.end > last.start).count();
    assert_eq!(at_once, 2, "{prints:?}");
}

#[test]
fn a_model_of_another_kind_is_refused_with_the_reason() {
    let Some(config) = library() else { return };
    let cases = [("waveform.onnx", "models that take sound"), ("segmentation.onnx", "one vector")];
    for (name, reason) in cases {
        let error = open(&model(name), &config).err().expect("not a speaker model");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().contains(name) && error.message().contains(reason), "{error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    for to in [EMBEDDING, SEGMENTATION] {
        std::fs::copy(Path::new(FIXTURES).join("wespeaker.onnx"), folder.path().join(to)).expect("copied");
    }
    let error = open(&Weights::File(folder.path().to_owned()), &config).err().expect("no segmentation model");
    assert!(error.message().contains(SEGMENTATION) && error.message().contains("not a segmentation"), "{error}");
}

#[test]
fn what_is_no_model_is_named() {
    let Some(config) = library() else { return };
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "not a model").expect("written");
    for path in [file.path().to_owned(), "missing.onnx".into()] {
        let error = open(&Weights::File(path.clone()), &config).err().expect("no model");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.message().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn without_the_runtime_the_error_says_how_to_get_it() {
    let config = EngineConfig { onnx_runtime: Some("/nowhere/libonnxruntime.so".into()), ..EngineConfig::default() };
    if library().is_some() {
        // Once a library is loaded in a process, later ones do not matter.
        return;
    }
    let error = open(&model("wespeaker.onnx"), &config).err().expect("no library");
    assert!(error.kind() == Kind::Unavailable && error.message().contains("scripts/serve"), "{error}");
}
