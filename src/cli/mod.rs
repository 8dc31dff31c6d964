//! The commands of the `mynah` binary: what can be typed, and one function per command.

mod doctor;
mod jobs;
mod models;
mod serve;
mod speak;
mod transcribe;

use crate::app::App;
use crate::config::{Config, Flags, LogConfig};
use crate::engine::Engines;
use crate::error::{Error, Kind, Result};
use crate::telemetry;
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

/// A self-hosted speech server: OpenAI-compatible speech to text and text to speech, on your own box.
///
/// Every setting can also come from a file (--config) or from the environment: MYNAH_SECTION__KEY, for example
/// MYNAH_SERVER__PORT=9000 or MYNAH_AUTH__KEYS=key1,key2. Flags win over the environment, which wins over the file.
/// `mynah config` prints what is in effect.
#[derive(Parser)]
#[command(name = "mynah", version)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Args)]
struct Global {
    /// A TOML file with settings
    #[arg(long, global = true, env = "MYNAH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where models and caches live [default: $XDG_DATA_HOME/mynah or ~/.local/share/mynah]
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Open no outward socket at all
    #[arg(long, global = true)]
    offline: bool,
    /// What to log: error, warn, info, debug, or a filter such as mynah=debug
    #[arg(long, global = true, value_name = "FILTER")]
    log_level: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server
    ///
    /// Point any OpenAI client at http://HOST:PORT/v1. Without --host the server listens on this machine only; on any
    /// other address it wants at least one key (MYNAH_AUTH__KEYS or auth.key_file).
    Serve(serve::ServeArgs),
    /// Turn recordings into text
    ///
    /// Takes any audio or video file that the server takes. One file's text goes to standard output; with --output-dir
    /// every file gets a text file of its own.
    Transcribe(transcribe::TranscribeArgs),
    /// Turn text into speech
    ///
    /// Example: mynah speak "Good morning." -o morning.mp3
    Speak(speak::SpeakArgs),
    /// List, pull, check and remove models
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// Look at the jobs of a running server, wait for them, end them
    ///
    /// Jobs are recordings that were handed in with `async` or `webhook_url`, to be worked on in their turn.
    /// Example: mynah jobs watch
    Jobs(jobs::JobsArgs),
    /// Print the effective settings as TOML; keys are shown as ***
    Config,
    /// Look at this machine, and prove that text becomes speech and speech becomes text
    Doctor,
}

/// Runs the command; `out` is its standard output.
///
/// # Errors
/// What went wrong, for `main` to print; `InvalidRequest` means that the command line or the settings are wrong.
pub async fn run(cli: Cli, out: &mut (dyn Write + Send)) -> Result<()> {
    let mut config = Config::load(cli.global.config.as_deref(), std::env::vars(), flags(&cli))?;
    if !matches!(cli.command, Command::Serve(_)) && config.log == LogConfig::default() {
        config.log.level = "warn".into(); // a command's answer should not drown in the server's log
    }
    telemetry::start_logging(&config.log)?;
    if let Command::Config = cli.command {
        let text = toml::to_string(&config).map_err(|e| Error::internal("the settings cannot be printed", e))?;
        return print(out, &text);
    }
    if let Command::Jobs(args) = cli.command {
        return jobs::run(&config, args, out).await;
    }
    let app = App::new(config, Engines::built_in())?;
    match cli.command {
        Command::Serve(_) => serve::serve(app.with_jobs()?, out).await,
        Command::Transcribe(args) => transcribe::transcribe_files(&app, args, out).await,
        Command::Speak(args) => speak::speak_text(&app, args, out).await,
        Command::Models(command) => models::run(&app.models, command, out).await,
        Command::Doctor => doctor::examine(&app, out).await,
        Command::Config | Command::Jobs(_) => Ok(()),
    }
}

/// The flags as settings.
fn flags(cli: &Cli) -> Flags {
    let mut flags = Flags::new();
    let text = |value: String| toml::Value::String(value);
    let path = |value: &PathBuf| toml::Value::String(value.to_string_lossy().into_owned());
    flags.extend(cli.global.data_dir.as_ref().map(|folder| ("data_dir", path(folder))));
    flags.extend(cli.global.offline.then_some(("offline", toml::Value::Boolean(true))));
    flags.extend(cli.global.log_level.clone().map(|level| ("log.level", text(level))));
    if let Command::Serve(args) = &cli.command {
        flags.extend(args.host.map(|host: IpAddr| ("server.host", text(host.to_string()))));
        flags.extend(args.port.map(|port| ("server.port", toml::Value::Integer(port.into()))));
        flags.extend(args.allow_no_key.then_some(("server.allow_no_key", toml::Value::Boolean(true))));
    }
    flags
}

/// Writes `text` to the command's standard output.
fn print(out: &mut (dyn Write + Send), text: &str) -> Result<()> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Error::new(Kind::Cancelled, "standard output cannot be written").with_source(e))
}

/// An [`Error`] about the file at `path`.
fn file_error(what: &str, path: &std::path::Path, error: std::io::Error) -> Error {
    Error::new(Kind::NotFound, format!("{} {what}: {error}", path.display()))
}
