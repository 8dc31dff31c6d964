//! `mynah doctor`: what this machine offers, and a proof that the whole chain works.

use super::print;
use crate::app::App;
use crate::audio::encode::{AudioFormat, wav};
use crate::engine::pool::Priority;
use crate::engine::{SpeakOptions, TranscribeOptions};
use crate::error::{Error, Kind, Result};
use crate::models::catalog::ModelTask;
use crate::speech::speak::{Request, bytes, encode, speak};
use crate::speech::transcribe::{self, transcribe_all};
use futures::TryStreamExt;
use std::io::{Cursor, Write};
use std::time::Instant;

/// Spoken and understood again; every word is one the built-in model knows.
const SENTENCE: &str = "Please turn on the kitchen lights at seven o'clock.";

/// Prints one line per finding.
///
/// # Errors
/// `Unavailable` when speech does not come back as the text that was spoken.
pub async fn examine(app: &App, out: &mut (dyn Write + Send)) -> Result<()> {
    let mut say = |topic: &str, finding: String| print(out, &format!("{topic:<14}{finding}\n"));
    say("version", env!("CARGO_PKG_VERSION").into())?;
    say("cores", std::thread::available_parallelism().map_or(1, |cores| cores.get()).to_string())?;
    say("cpu features", cpu_features())?;
    say("gpu", gpu())?;
    say("memory", memory())?;
    say("data folder", data_folder(app))?;
    say("onnx runtime", onnx_runtime(app))?;
    for model in app.models.list().iter().filter(|model| model.installed && model.resolves_to.is_none()) {
        say("model", format!("{} ({}, engine {})", model.id, model.task.describe(), model.engine))?;
    }
    let begun = Instant::now();
    let heard = round_trip(app).await?;
    say(
        "self-test",
        format!("spoken, encoded, decoded and understood in {} ms: {heard}", begun.elapsed().as_millis()),
    )?;
    if normalised(&heard) != normalised(SENTENCE) {
        let message = format!("the self-test failed: `{SENTENCE}` came back as `{heard}`");
        return Err(Error::new(Kind::Unavailable, message));
    }
    say("result", "everything works".into())
}

/// Speaks [`SENTENCE`] with the built-in voice as WAV and transcribes that with the built-in model.
async fn round_trip(app: &App) -> Result<String> {
    let voice = app.models.resolve("mynah-voice", ModelTask::Speak)?;
    let options = SpeakOptions::of_voice(app.models.voice(&voice.id, "alloy")?);
    let pool = app.models.synthesizer(&voice.id).await?;
    let speech = speak(pool, Request::plain(SENTENCE, options), Priority::Interactive);
    let chunks: Vec<_> = bytes(encode(speech, AudioFormat::Wav)).try_collect().await?;
    let mut file = chunks.concat();
    wav::finalize_header(&mut file);
    let model = app.models.resolve("mynah-demo.en", ModelTask::Transcribe)?;
    let pool = app.models.transcriber(&model.id).await?;
    let source = Box::new(Cursor::new(file));
    let request = transcribe::Request::new(TranscribeOptions::default(), Priority::Interactive);
    let (transcript, _) = transcribe_all(pool, source, request).await?;
    Ok(transcript.text())
}

fn normalised(text: &str) -> String {
    text.chars().filter(|it| it.is_alphanumeric() || *it == ' ').collect::<String>().to_lowercase()
}

fn cpu_features() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("avx", std::arch::is_x86_feature_detected!("avx")),
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("f16c", std::arch::is_x86_feature_detected!("f16c")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            ("avx512vnni", std::arch::is_x86_feature_detected!("avx512vnni")),
            ("avx512bf16", std::arch::is_x86_feature_detected!("avx512bf16")),
        ];
        let found: Vec<&str> = known.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        found.join(" ")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.to_owned()
    }
}

fn gpu() -> String {
    let built =
        [("cuda", cfg!(feature = "cuda")), ("vulkan", cfg!(feature = "vulkan")), ("metal", cfg!(feature = "metal"))];
    let built: Vec<&str> = built.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    let present =
        ["/dev/nvidia0", "/dev/kfd", "/dev/dri/renderD128"].into_iter().find(|it| std::path::Path::new(it).exists());
    match (present, &built[..]) {
        (None, _) => "none found".into(),
        (Some(device), []) => {
            format!("{device} is there, but this build uses the CPU only (build with --features cuda or vulkan)")
        }
        (Some(device), features) => format!("{device}, used through {}", features.join(", ")),
    }
}

/// Total and available memory, as the kernel says.
fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gib = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib / 1024.0 / 1024.0)
    };
    match (gib("MemTotal:"), gib("MemAvailable:")) {
        (Some(total), Some(available)) => format!("{total:.1} GiB, {available:.1} GiB available"),
        _ => "unknown on this system".into(),
    }
}

fn data_folder(app: &App) -> String {
    let folder = &app.config.data_dir;
    let writable = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder)).is_ok();
    let free = crate::models::disk::free_space(folder)
        .map(|bytes| format!("{:.1} GiB free", bytes as f64 / (1u64 << 30) as f64));
    let free = free.unwrap_or_else(|| "free space unknown".into());
    format!("{} ({}, {free})", folder.display(), if writable { "writable" } else { "NOT writable" })
}

#[cfg(feature = "onnx")]
fn onnx_runtime(app: &App) -> String {
    use crate::engine::onnx;
    match onnx::find(&app.config.engine, &app.config.data_dir) {
        None => "not found; scripts/serve fetches it. Only neural voices need it".into(),
        Some(path) => match onnx::version(&path) {
            Ok(version) => format!("{version} ({})", path.display()),
            Err(error) => format!("{} does not load: {error}", path.display()),
        },
    }
}

#[cfg(not(feature = "onnx"))]
fn onnx_runtime(_: &App) -> String {
    "not part of this build".into()
}
