//! `mynah transcribe`: the server's core on files of this machine.

use super::{file_error, print};
use crate::app::App;
use crate::config::TranscriptionConfig;
use crate::engine::pool::Priority;
use crate::engine::{TranscribeOptions, TranscriberPool};
use crate::error::{Error, Kind, Result};
use crate::models::catalog::ModelTask;
use crate::speech::transcribe::{Request, Stages, transcribe};
use crate::subtitle::{self, Style};
use crate::transcript::Transcript;
use clap::{Args, ValueEnum};
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

#[derive(Args)]
pub struct TranscribeArgs {
    /// Audio or video files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The model or alias to use
    #[arg(long, default_value = "whisper-1")]
    model: String,
    /// The spoken language as an ISO 639-1 code; without it the model finds out
    #[arg(long)]
    language: Option<String>,
    /// The form of the transcript
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write each transcript to a file in this folder
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Srt,
    Vtt,
    /// Segments and words with their times
    Json,
}

/// Transcribes every file, one after the other; a file that fails does not stop the others.
///
/// # Errors
/// The failure of the only file; of several, how many failed, after each failure has been logged.
pub async fn transcribe_files(app: &App, args: TranscribeArgs, out: &mut (dyn Write + Send)) -> Result<()> {
    let model = app.models.resolve(&args.model, ModelTask::Transcribe)?;
    let pool = app.models.transcriber(&model.id).await?;
    let request = request(&args, &app.config.transcription);
    let mut failed = 0;
    for path in &args.files {
        let result = match transcribe_file(pool.clone(), path, request.clone()).await {
            Ok(text) => write_result(&args, path, &text, out),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let failure = Error::new(error.kind(), format!("{}: {error}", path.display()));
            if args.files.len() == 1 {
                return Err(failure);
            }
            tracing::error!("{failure}");
            failed += 1;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Error::new(Kind::InvalidAudio, format!("{failed} of {} files failed", args.files.len()))),
    }
}

fn request(args: &TranscribeArgs, settings: &TranscriptionConfig) -> Request {
    let options = TranscribeOptions {
        language: args.language.clone(),
        words: matches!(args.format, Format::Json),
        short_context: settings.short_context,
        guard: settings.guard,
        ..TranscribeOptions::default()
    };
    let stages = Stages { cut: settings.vad, audit: settings.audit };
    Request { stages, ..Request::new(options, Priority::Batch) }
}

async fn transcribe_file(pool: Arc<TranscriberPool>, path: &Path, request: Request) -> Result<(Transcript, Duration)> {
    let file = File::open(path).map_err(|e| file_error("cannot be opened", path, e))?;
    let bar = progress_bar(path);
    let mut pieces = pin!(transcribe(pool, Box::new(BufReader::new(file)), request));
    let (mut transcript, mut duration) = (Transcript::default(), Duration::ZERO);
    while let Some(piece) = pieces.try_next().await? {
        transcript.append(piece.transcript);
        duration = piece.until;
        bar.set_message(format!("{} of sound", clock(duration)));
        bar.tick();
    }
    bar.finish_and_clear();
    Ok((transcript, duration))
}

/// A file's length is known only at its end, so this shows how far the sound has been understood.
fn progress_bar(path: &Path) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target).with_prefix(path.display().to_string());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} in {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn write_result(
    args: &TranscribeArgs,
    path: &Path,
    (transcript, duration): &(Transcript, Duration),
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let (text, extension) = match args.format {
        Format::Text => (transcript.text() + "\n", "txt"),
        Format::Srt => (subtitle::srt(transcript, &Style::default()), "srt"),
        Format::Vtt => (subtitle::vtt(transcript, &Style::default()), "vtt"),
        Format::Json => (format!("{:#}\n", as_json(transcript, *duration)), "json"),
    };
    let Some(folder) = &args.output_dir else { return print(out, &text) };
    std::fs::create_dir_all(folder).map_err(|e| file_error("cannot be created", folder, e))?;
    let target = folder.join(path.file_name().unwrap_or(path.as_os_str())).with_extension(extension);
    std::fs::write(&target, text).map_err(|e| file_error("cannot be written", &target, e))?;
    print(out, &format!("{}\n", target.display()))
}

fn as_json(transcript: &Transcript, duration: Duration) -> Value {
    let seconds = |time: Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    let segments: Vec<Value> = transcript
        .segments
        .iter()
        .map(|it| json!({"start": seconds(it.start), "end": seconds(it.end), "text": it.text}))
        .collect();
    let words: Vec<Value> = transcript
        .words()
        .map(|it| json!({"start": seconds(it.start), "end": seconds(it.end), "word": it.text}))
        .collect();
    json!({
        "text": transcript.text(),
        "language": transcript.language,
        "duration": seconds(duration),
        "segments": segments,
        "words": words,
    })
}
