//! `mynah speak`: text of this machine as sound.

use super::{file_error, print};
use crate::app::App;
use crate::audio::encode::{AudioFormat, wav};
use crate::engine::SpeakOptions;
use crate::engine::pool::Priority;
use crate::error::{Error, Kind, Result};
use crate::models::catalog::ModelTask;
use crate::speech::speak::{encode, speak};
use clap::Args;
use futures::TryStreamExt;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;

#[derive(Args)]
pub struct SpeakArgs {
    /// The text, or - to read it from standard input
    text: String,
    /// The model or alias to use
    #[arg(long, default_value = "tts-1")]
    model: String,
    /// The voice; see `mynah models list` and GET /v1/audio/voices
    #[arg(long, default_value = "alloy")]
    voice: String,
    /// How fast: 0.25 to 4, where 1 is the voice's own pace
    #[arg(long, default_value_t = 1.0)]
    speed: f32,
    /// mp3, opus, aac, flac, wav or pcm; without it the name of the output file decides
    #[arg(long)]
    format: Option<String>,
    /// The file to write; without it the sound goes to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Speaks the text into a file or to standard output.
pub async fn speak_text(app: &App, args: SpeakArgs, out: &mut (dyn Write + Send)) -> Result<()> {
    let format = format(&args)?;
    if !(0.25..=4.0).contains(&args.speed) {
        return Err(Error::invalid("speed", "--speed must be between 0.25 and 4"));
    }
    if args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::new(Kind::InvalidRequest, "sound does not belong on a terminal: name a file with -o"));
    }
    let model = app.models.resolve(&args.model, ModelTask::Speak)?;
    let options =
        SpeakOptions { speed: args.speed, ..SpeakOptions::of_voice(app.models.voice(&model.id, &args.voice)?) };
    let pool = app.models.synthesizer(&model.id).await?;
    let mut sound = pin!(encode(speak(pool, text(&args.text)?, options, Priority::Interactive), format));
    let Some(path) = &args.output else {
        while let Some(bytes) = sound.try_next().await? {
            write(out, &bytes)?;
        }
        return Ok(());
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = sound.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    if format == AudioFormat::Wav {
        wav::finalize_header(&mut bytes);
    }
    std::fs::write(path, &bytes).map_err(|e| file_error("cannot be written", path, e))?;
    print(out, &format!("{} ({} bytes)\n", path.display(), bytes.len()))
}

fn write(out: &mut (dyn Write + Send), bytes: &[u8]) -> Result<()> {
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|e| Error::new(Kind::Cancelled, "standard output cannot be written").with_source(e))
}

fn text(argument: &str) -> Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| Error::new(Kind::InvalidRequest, format!("standard input is not text: {e}")))?;
    Ok(text)
}

fn format(args: &SpeakArgs) -> Result<AudioFormat> {
    let extension = args.output.as_deref().and_then(Path::extension).and_then(|extension| extension.to_str());
    let extension = extension.map(|it| if it.eq_ignore_ascii_case("ogg") { "opus" } else { it });
    let name = args.format.as_deref().or(extension).unwrap_or("mp3").to_ascii_lowercase();
    AudioFormat::from_name(&name).ok_or_else(|| {
        Error::invalid("format", format!("`{name}` is not a format: use mp3, opus, aac, flac, wav or pcm"))
    })
}
