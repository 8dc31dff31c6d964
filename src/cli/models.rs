//! `mynah models`: list, pull, check, remove, and carry models to machines without a network.

use crate::error::{Error, Kind, Result};
use crate::models::catalog::Model;
use crate::models::installed::Verdict;
use crate::models::pull::{Phase, Progress};
use crate::models::registry::{ModelInfo, Registry};
use clap::{Args, Subcommand};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// What can be done with models.
#[derive(Subcommand)]
pub enum ModelsCommand {
    /// Show every model and what each alias stands for
    List(ListArgs),
    /// Download models; a download that was cut goes on where it stopped
    Pull {
        /// Models or aliases, such as whisper-base or whisper-1
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Delete the files of models
    Rm {
        /// Models
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Compute the digests of the files again and compare them with those published
    Verify {
        /// Models; all that are installed when none is named
        ids: Vec<String>,
    },
    /// Write installed models into one file for a machine without a network
    Export {
        /// Models
        #[arg(required = true)]
        ids: Vec<String>,
        /// The file to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Install the models of a file that `export` wrote
    Import {
        /// The file
        file: PathBuf,
    },
}

/// What `list` shows.
#[derive(Args)]
pub struct ListArgs {
    /// Only what is installed
    #[arg(long)]
    installed: bool,
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

type Out<'a> = &'a mut (dyn Write + Send);

/// Runs `command`; `out` is its standard output.
///
/// # Errors
/// The first thing that went wrong; what came before it is done.
pub async fn run(models: &Registry, command: ModelsCommand, out: Out<'_>) -> Result<()> {
    match command {
        ModelsCommand::List(args) => list(models, &args, out),
        ModelsCommand::Pull { ids } => {
            for id in ids {
                pull(models, &id, out).await?;
            }
            Ok(())
        }
        ModelsCommand::Rm { ids } => ids.iter().try_for_each(|id| remove(models, id, out)),
        ModelsCommand::Verify { ids } => verify(models, ids, out).await,
        ModelsCommand::Export { ids, output } => export(models, &ids, &output, out).await,
        ModelsCommand::Import { file } => import(models, &file, out).await,
    }
}

fn list(models: &Registry, args: &ListArgs, out: Out<'_>) -> Result<()> {
    let mut all = models.list();
    all.retain(|info| info.installed || !args.installed);
    if args.json {
        let text = serde_json::to_string_pretty(&all).map_err(|e| Error::internal("the list has no JSON form", e))?;
        return print(out, &text);
    }
    let (aliases, own): (Vec<_>, Vec<_>) = all.iter().partition(|info| info.is_alias);
    let mut text = format!("{:<30} {:<15} {:>10}  {}\n", "MODEL", "TASK", "SIZE", "STATE");
    for info in own {
        let size = info.size.map(|size| HumanBytes(size).to_string()).unwrap_or_default();
        let _ = writeln!(text, "{:<30} {:<15} {size:>10}  {}", info.id, info.task.describe(), state(info));
    }
    let _ = writeln!(text, "\n{:<30} STANDS FOR", "ALIAS");
    for info in aliases {
        let meaning = info.resolves_to.as_deref().unwrap_or("nothing that is installed");
        let _ = writeln!(text, "{:<30} {meaning}", info.id);
    }
    print(out, text.trim_end())
}

fn state(info: &ModelInfo) -> String {
    match info {
        ModelInfo { usable: false, engine, .. } => format!("this build lacks the engine {engine}"),
        ModelInfo { built_in: true, .. } => "built in".into(),
        ModelInfo { installed: true, .. } => "installed".into(),
        _ => "can be pulled".into(),
    }
}

async fn pull(models: &Registry, id: &str, out: Out<'_>) -> Result<()> {
    let model = models.to_pull(id)?;
    if models.is_complete(&model) {
        return print(out, &format!("{} is already here.", described(id, &model)));
    }
    let size = model.size().map(|size| format!(", about {}", HumanBytes(size))).unwrap_or_default();
    print(out, &format!("Pulling {}{size}.", described(id, &model)))?;
    let pulled = if std::io::stderr().is_terminal() {
        let bar = bar();
        let pulled = models.pull(id, &mut |progress| draw(&bar, &progress)).await;
        bar.finish_and_clear();
        pulled
    } else {
        let mut lines = Lines::default();
        models.pull(id, &mut |progress| lines.print(&progress, out)).await
    };
    pulled?;
    print(out, &format!("{} is installed.", model.id))
}

/// The id of `model`, and that `id` stands for it when it is another name.
fn described(id: &str, model: &Model) -> String {
    if id == model.id { id.to_owned() } else { format!("{} (which {id} stands for)", model.id) }
}

/// A bar on standard error with speed and the time left.
fn bar() -> ProgressBar {
    let style = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}

fn draw(bar: &ProgressBar, progress: &Progress<'_>) {
    if bar.message() != progress.file {
        // What an earlier pull has brought must not count for the speed.
        bar.set_position(progress.bytes);
        bar.reset_eta();
        bar.set_message(progress.file.to_owned());
    }
    if let Some(total) = progress.total {
        bar.set_length(total);
    }
    bar.set_position(progress.bytes);
    if progress.phase == Phase::Checking {
        bar.set_message(format!("checking {}", progress.file));
    }
}

/// Progress as lines, one for every tenth of a file, where there is no terminal.
#[derive(Default)]
struct Lines {
    last: Option<(String, u64)>,
}

impl Lines {
    fn print(&mut self, progress: &Progress<'_>, out: &mut (dyn Write + Send)) {
        let Some(total) = progress.total.filter(|total| *total > 0) else { return };
        let tenth = progress.bytes * 10 / total;
        let now = (progress.file.to_owned(), tenth);
        if progress.phase == Phase::Downloading && self.last.as_ref() != Some(&now) {
            let (bytes, total) = (HumanBytes(progress.bytes), HumanBytes(total));
            // A reader who has gone does not stop the download.
            let _ = print(out, &format!("{}: {} % ({bytes} of {total})", progress.file, tenth * 10));
            self.last = Some(now);
        }
    }
}

fn remove(models: &Registry, id: &str, out: Out<'_>) -> Result<()> {
    models.remove(id)?;
    print(out, &format!("{id} is removed."))
}

async fn verify(models: &Registry, ids: Vec<String>, out: Out<'_>) -> Result<()> {
    let all =
        || models.list().into_iter().filter(|info| info.installed && !info.is_alias).map(|info| info.id).collect();
    let ids = if ids.is_empty() { all() } else { ids };
    let mut damaged = Vec::new();
    for id in ids {
        let checks = models.verify(&id).await?;
        if checks.is_empty() {
            print(out, &format!("{id}: built in"))?;
        }
        for check in checks {
            let verdict = match &check.verdict {
                Verdict::Good => "good".to_owned(),
                Verdict::Unknown => "no digest is published".to_owned(),
                Verdict::Damaged(reason) => format!("DAMAGED, {reason}"),
            };
            print(out, &format!("{id}: {} {} {verdict}", check.file, check.sha256))?;
            damaged.extend(matches!(check.verdict, Verdict::Damaged(_)).then(|| id.clone()));
        }
    }
    match damaged.first() {
        None => Ok(()),
        Some(id) => {
            let message = format!("`{id}` is damaged: `mynah models rm {id}`, then pull it again");
            Err(Error::new(Kind::Unavailable, message))
        }
    }
}

async fn export(models: &Registry, ids: &[String], path: &Path, out: Out<'_>) -> Result<()> {
    let exported = models.export(ids, path).await?;
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let message = format!("{} holds {} ({}).", path.display(), exported.join(", "), HumanBytes(size));
    print(out, &message)?;
    print(out, "On the other machine: mynah models import FILE")
}

async fn import(models: &Registry, path: &Path, out: Out<'_>) -> Result<()> {
    let imported = models.import(path).await?;
    print(out, &format!("{} {} installed.", imported.join(", "), if imported.len() == 1 { "is" } else { "are" }))
}

fn print(out: &mut (dyn Write + Send), line: &str) -> Result<()> {
    super::print(out, &format!("{line}\n"))
}
