//! `mynah jobs`: what a running server works on, and how far it is.

use super::print;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::{Client, Method};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::time::Duration;

/// How often a job is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bar has so many parts.
const PARTS: u64 = 1000;

/// What can be done with jobs.
#[derive(Args)]
pub struct JobsArgs {
    /// The server [default: server.host and server.port of the settings]
    #[arg(long, global = true, value_name = "ADDRESS")]
    url: Option<String>,
    /// The key [default: the first of auth.keys]
    #[arg(long, global = true, env = "MYNAH_KEY", value_name = "KEY", hide_env_values = true)]
    key: Option<String>,
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Subcommand)]
enum JobsCommand {
    /// Show the newest jobs
    List {
        /// Only those
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// The most jobs to show, up to 100
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show one job and its result as JSON
    Show {
        /// The job
        id: String,
    },
    /// End jobs; what runs is stopped
    Cancel {
        /// The jobs
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Show how far jobs are until all of them are over
    Watch {
        /// The jobs; all that are not over when none is named
        ids: Vec<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Status {
    Processing,
    Completed,
    Failed,
}

type Out<'a> = &'a mut (dyn Write + Send);

/// Runs the command against the server that the arguments or the settings name.
///
/// # Errors
/// `Unavailable` when nobody answers there; what the server says; after `watch`, that a job failed.
pub async fn run(config: &Config, args: JobsArgs, out: Out<'_>) -> Result<()> {
    let server = Server::new(config, args.url, args.key)?;
    match args.command {
        JobsCommand::List { status, limit, json } => list(&server, status, limit, json, out).await,
        JobsCommand::Show { id } => {
            let job = server.job(Method::GET, &id).await?;
            print(out, &format!("{job:#}\n"))
        }
        JobsCommand::Cancel { ids } => {
            for id in ids {
                let job = server.job(Method::DELETE, &id).await?;
                print(out, &format!("{id} {}\n", described(&job)))?;
            }
            Ok(())
        }
        JobsCommand::Watch { ids } => watch(&server, ids, out).await,
    }
}

/// A running server.
struct Server {
    client: Client,
    url: String,
    key: Option<String>,
}

impl Server {
    fn new(config: &Config, url: Option<String>, key: Option<String>) -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build();
        let client = client.map_err(|e| Error::internal("no calls can be made", e))?;
        let host = match config.server.host {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            ip => ip.to_string(),
        };
        let url = url.unwrap_or_else(|| format!("http://{host}:{}", config.server.port));
        let key = key.or_else(|| config.auth.keys.first().map(|key| key.expose().to_owned()));
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), key })
    }

    async fn job(&self, method: Method, id: &str) -> Result<Value> {
        self.call(
            method,
            &format!("/v1/jobs/{}", percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC)),
        )
        .await
    }

    async fn call(&self, method: Method, path: &str) -> Result<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let unreachable =
            |e| Error::new(Kind::Unavailable, format!("no server answers at {}", self.url)).with_source(e);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body: Value = response.json().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(body);
        }
        let message = body["error"]["message"].as_str().unwrap_or("the server refused without a reason").to_owned();
        let kind = if status.as_u16() == 404 { Kind::NotFound } else { Kind::Unavailable };
        Err(Error::new(kind, message))
    }
}

async fn list(server: &Server, status: Option<Status>, limit: u8, json: bool, out: Out<'_>) -> Result<()> {
    let filter = match status {
        None => "",
        Some(Status::Processing) => "&status=processing",
        Some(Status::Completed) => "&status=completed",
        Some(Status::Failed) => "&status=failed",
    };
    let jobs = server.call(Method::GET, &format!("/v1/jobs?limit={limit}{filter}")).await?;
    if json {
        return print(out, &format!("{jobs:#}\n"));
    }
    let mut text = format!("{:<36}  {:<10}  {:>5}  MODEL\n", "JOB", "STATUS", "DONE");
    for job in jobs["data"].as_array().into_iter().flatten() {
        let (id, model) = (word(job, "id"), word(job, "model"));
        let _ = writeln!(text, "{id:<36}  {:<10}  {:>3} %  {model}", word(job, "status"), share(job) * 100 / PARTS);
    }
    print(out, &text)
}

fn word<'a>(job: &'a Value, name: &str) -> &'a str {
    job[name].as_str().unwrap_or_default()
}

/// How much is done, in [`PARTS`].
fn share(job: &Value) -> u64 {
    (job["progress"].as_f64().unwrap_or(0.0).clamp(0.0, 1.0) * PARTS as f64) as u64
}

/// Where a job is, in a few words.
fn described(job: &Value) -> String {
    match (word(job, "status"), job["queue_position"].as_u64()) {
        ("failed", _) => format!("failed: {}", word(job, "error")),
        ("processing", Some(position)) => format!("waits behind {position}"),
        (status, _) => status.to_owned(),
    }
}

/// A bar a job on a terminal, and a line a change elsewhere.
async fn watch(server: &Server, mut ids: Vec<String>, out: Out<'_>) -> Result<()> {
    if ids.is_empty() {
        let jobs = server.call(Method::GET, "/v1/jobs?limit=100&status=processing").await?;
        ids = jobs["data"].as_array().into_iter().flatten().map(|job| word(job, "id").to_owned()).collect();
    }
    let is_terminal = std::io::stderr().is_terminal();
    let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bars = MultiProgress::with_draw_target(target);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} % {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let new_bar = |id: &String| ProgressBar::new(PARTS).with_style(style.clone()).with_prefix(id.clone());
    let bars: HashMap<String, ProgressBar> = ids.iter().map(|id| (id.clone(), bars.add(new_bar(id)))).collect();
    let (mut failed, mut shown) = (0, HashMap::new());
    while !ids.is_empty() {
        let mut left = Vec::new();
        for id in ids {
            let job = server.job(Method::GET, &id).await?;
            let line = format!("{id} {} ({} %)", described(&job), share(&job) * 100 / PARTS);
            if let Some(bar) = bars.get(&id) {
                bar.set_position(share(&job));
                bar.set_message(described(&job));
            }
            if !is_terminal && shown.insert(id.clone(), line.clone()).as_ref() != Some(&line) {
                print(out, &format!("{line}\n"))?;
            }
            match word(&job, "status") {
                "processing" => left.push(id),
                status => failed += u32::from(status == "failed"),
            }
        }
        ids = left;
        if !ids.is_empty() {
            tokio::time::sleep(EVERY).await;
        }
    }
    bars.values().for_each(ProgressBar::abandon);
    match failed {
        0 => Ok(()),
        _ => Err(Error::new(Kind::Incomplete, format!("{failed} of the jobs failed"))),
    }
}
