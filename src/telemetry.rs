//! Logging, and every metric by name. Nothing else in the crate names a metric.
//!
//! Never logged: audio, text, keys, client addresses.

use crate::config::{LogConfig, LogFormat};
use crate::error::{Error, Result};
use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// Bounds of the latency histograms, in seconds.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// Starts logging to standard error; standard output belongs to the commands.
///
/// # Errors
/// `Internal` when logging has already been started.
pub fn start_logging(config: &LogConfig) -> Result<()> {
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|e| Error::invalid("log.level", format!("log.level `{}` is not a filter: {e}", config.level)))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colours = std::io::stderr().is_terminal();
    let started = match config.format {
        LogFormat::Human => builder.with_target(false).with_ansi(colours).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| Error::internal("logging has already been started", e))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// A panic is one line of the log like any other failure. Its message stays out: it may quote what a client sent.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a thread panicked");
}

/// What `/metrics` prints. The recorder is one per process.
pub fn prometheus() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .map(PrometheusBuilder::build_recorder)
            .unwrap_or_else(|_| PrometheusBuilder::new().build_recorder());
        let handle = recorder.handle();
        // A second recorder is refused, which only a second call could cause.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}

/// One finished request: its route pattern (never the path), method, status and time to the end of the headers.
pub fn request(route: &str, method: &str, status: u16, elapsed: Duration) {
    let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
    counter!("mynah_requests_total", &labels).increment(1);
    histogram!("mynah_request_seconds", "route" => route.to_owned()).record(elapsed.as_secs_f64());
}

/// From the arrival of a speech request to its first byte of sound.
pub fn first_byte(elapsed: Duration) {
    histogram!("mynah_speech_first_byte_seconds").record(elapsed.as_secs_f64());
}

/// How many pieces of work wait in a lane of a model's queue.
pub fn queue_depth(model: &str, lane: &'static str, depth: usize) {
    gauge!("mynah_queue_depth", "model" => model.to_owned(), "lane" => lane).set(depth as f64);
}

/// How long a piece of work waited for an engine.
pub fn queue_wait(lane: &'static str, waited: Duration) {
    histogram!("mynah_queue_wait_seconds", "lane" => lane).record(waited.as_secs_f64());
}

/// How long an engine was busy with one piece of work.
pub fn engine_seconds(model: &str, busy: Duration) {
    counter!("mynah_engine_work_total", "model" => model.to_owned()).increment(1);
    gauge!("mynah_engine_busy_seconds_total", "model" => model.to_owned()).increment(busy.as_secs_f64());
}

/// Sound that went through the server: `direction` is `in` (transcribed) or `out` (spoken).
pub fn audio_seconds(direction: &'static str, audio: Duration) {
    gauge!("mynah_audio_seconds_total", "direction" => direction).increment(audio.as_secs_f64());
}

/// How long a whole file took against how long it plays: below 1 is faster than real time.
pub fn real_time_factor(elapsed: Duration, audio: Duration) {
    if !audio.is_zero() {
        gauge!("mynah_transcription_real_time_factor").set(elapsed.as_secs_f64() / audio.as_secs_f64());
    }
}

/// One live transcription more, or less.
pub fn session(by: f64) {
    gauge!("mynah_sessions").increment(by);
}

/// From the moment that somebody begins to speak in a live transcription to the first interim result.
pub fn first_interim(elapsed: Duration) {
    histogram!("mynah_first_interim_seconds").record(elapsed.as_secs_f64());
}

/// From the moment that an utterance of a live transcription is over, by its settings, to its final result.
pub fn final_result(elapsed: Duration) {
    histogram!("mynah_final_seconds").record(elapsed.as_secs_f64());
}

/// The queue of jobs: how many wait and are worked on, and for how long the oldest has waited. A fleet has one queue, and
/// each of its servers tells the same of it.
pub fn backlog(waiting: u64, running: u64, oldest: Duration) {
    gauge!("mynah_jobs_waiting").set(waiting as f64);
    gauge!("mynah_jobs_running").set(running as f64);
    gauge!("mynah_jobs_oldest_seconds").set(oldest.as_secs_f64());
}

/// From the moment that a job was handed in to that when it was claimed.
pub fn job_waited(waited: Duration) {
    histogram!("mynah_job_wait_seconds").record(waited.as_secs_f64());
}

/// A job that this server has brought to an end: `completed`, `failed` or `cancelled`, and how long the work on it took.
pub fn job_finished(state: &'static str, elapsed: Duration) {
    counter!("mynah_jobs_finished_total", "state" => state).increment(1);
    histogram!("mynah_job_seconds", "state" => state).record(elapsed.as_secs_f64());
}

/// An attempt to push a result: `delivered`, `failed` or `given_up`.
pub fn delivery(result: &'static str) {
    counter!("mynah_deliveries_total", "result" => result).increment(1);
}

/// How many models are in memory.
pub fn models_loaded(count: usize) {
    gauge!("mynah_models_loaded").set(count as f64);
}
