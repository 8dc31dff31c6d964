//! `mynah speak`: text of this machine as sound.

use super::{file_error, print};
use crate::api::sound::{Ask, begin_sound};
use crate::app::App;
use crate::audio::encode::{AudioFormat, wav};
use crate::error::{Error, Kind, Result};
use crate::models::voices::VoiceInfo;
use crate::speech::speak::Encoded;
use clap::Args;
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A text of so many bytes takes long enough for a bar.
const LONG_TEXT: usize = 2_000;

/// The name that is no voice but asks which there are.
const LIST: &str = "list";

#[derive(Args)]
pub struct SpeakArgs {
    /// The text, or - to read it from standard input
    #[arg(default_value = "", hide_default_value = true)]
    text: String,
    /// The model or alias to use
    #[arg(long, default_value = "tts-1")]
    model: String,
    /// The voice; `list` shows every voice with its language and licence
    #[arg(long, default_value = "alloy")]
    voice: String,
    /// The language of the text, such as de or en-GB; without it the voice's own
    #[arg(long)]
    language: Option<String>,
    /// How fast: 0.25 to 4, where 1 is the voice's own pace
    #[arg(long, default_value_t = 1.0)]
    speed: f32,
    /// mp3, opus, webm, aac, flac, wav or pcm; without it the name of the output file decides
    #[arg(long)]
    format: Option<String>,
    /// The file to write; without it the sound goes to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Speaks the text into a file or to standard output.
pub async fn speak_text(app: &App, args: SpeakArgs, out: &mut (dyn Write + Send)) -> Result<()> {
    if args.voice == LIST {
        return list_voices(app, out);
    }
    let format = format(&args)?;
    if args.text.is_empty() {
        return Err(Error::invalid("text", "say what to speak: a text, or - to read it from standard input"));
    }
    if !(0.25..=4.0).contains(&args.speed) {
        return Err(Error::invalid("speed", "--speed must be between 0.25 and 4"));
    }
    if args.output.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::new(Kind::InvalidRequest, "sound does not belong on a terminal: name a file with -o"));
    }
    let ask = Ask {
        voice: Some(args.voice),
        language: args.language,
        speed: args.speed,
        ..Ask::new(args.model, text(&args.text)?, "text")
    };
    let mut sound = begin_sound(app, ask, format, Instant::now()).await?;
    let mut file = args.output.as_deref().map(FileInProgress::create).transpose()?;
    let progress = Progress::of(sound.text.len());
    while let Some(encoded) = sound.encoded.try_next().await? {
        match (encoded, &mut file) {
            (Encoded::Words(words), _) => progress.reach(words.last().map_or(0, |word| word.text.end)),
            (Encoded::Bytes(bytes), Some(file)) => file.write(&bytes)?,
            (Encoded::Bytes(bytes), None) => write(out, &bytes)?,
        }
    }
    progress.finish();
    let (Some(file), Some(path)) = (file, &args.output) else { return Ok(()) };
    let length = file.finish(format)?;
    print(out, &format!("{} ({length} bytes)\n", path.display()))
}

/// The file being written. It is there under its name only when it is complete.
struct FileInProgress {
    path: PathBuf,
    file: tempfile::NamedTempFile,
    length: u64,
}

impl FileInProgress {
    fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new().prefix(".mynah-").tempfile_in(folder);
        let file = file.map_err(|e| file_error("cannot be written", path, e))?;
        Ok(Self { path: path.to_owned(), file, length: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| file_error("cannot be written", &self.path, e))
    }

    /// Puts the file in its place and returns how many bytes it has.
    fn finish(mut self, format: AudioFormat) -> Result<u64> {
        if format == AudioFormat::Wav {
            wav::finalize_file(self.file.as_file_mut()).map_err(|e| file_error("cannot be written", &self.path, e))?;
        }
        self.file.persist(&self.path).map_err(|e| file_error("cannot be written", &self.path, e.error))?;
        Ok(self.length)
    }
}

/// A bar on the terminal for texts that take a while; nothing for others, and where nobody looks.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn of(text_bytes: usize) -> Self {
        if text_bytes < LONG_TEXT || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template("{bar:40} {percent}% {eta} left");
        let bar = ProgressBar::new(text_bytes as u64);
        Self(Some(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))))
    }

    fn reach(&self, byte: usize) {
        if let Some(bar) = &self.0 {
            bar.set_position(byte as u64);
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// One line per voice.
fn list_voices(app: &App, out: &mut (dyn Write + Send)) -> Result<()> {
    let mut text = format!("{:<34} {:<14} {:<26} {}\n", "VOICE", "LANGUAGE", "MODEL", "LICENCE");
    for VoiceInfo { id, language, model, licence, .. } in app.models.voices() {
        let licence = if licence.is_empty() { "unknown" } else { &licence };
        text.push_str(&format!("{id:<34} {language:<14} {model:<26} {licence}\n"));
    }
    print(out, &text)
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
        Error::invalid("format", format!("`{name}` is not a format: use mp3, opus, webm, aac, flac, wav or pcm"))
    })
}
