//! Parses the command line, runs the command, picks the exit code. Nothing else prints.

use clap::Parser;
use mynah::cli::{Cli, run};
use mynah::error::{Error, Kind};
use std::process::ExitCode;

/// The command line or the settings were wrong, as clap itself exits.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // Outgoing TLS needs a provider before the first client is built.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return fail(&Error::new(Kind::Internal, "a TLS provider is already installed"));
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Error::internal("the runtime cannot be started", error)),
    };
    let result = runtime.block_on(run(cli, &mut std::io::stdout()));
    // An engine may still be busy with work that nobody waits for any more.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the one place that tells a person what went wrong")]
fn fail(error: &Error) -> ExitCode {
    eprintln!("mynah: {error}");
    let (mut said, mut cause) = (error.to_string(), std::error::Error::source(error));
    while let Some(deeper) = cause {
        // An error that only adds a hint repeats the message of its source.
        if !said.contains(&deeper.to_string()) {
            eprintln!("  because: {deeper}");
        }
        (said, cause) = (deeper.to_string(), deeper.source());
    }
    match error.kind() {
        Kind::InvalidRequest => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}
