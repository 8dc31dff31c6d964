//! A NATS server of the tests' own, where the machine has one.

use mynah::config::{JobsConfig, StoreKind};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running server with its data in a folder that goes with it.
pub struct NatsServer {
    process: Option<Child>,
    port: u16,
    data: TempDir,
}

impl NatsServer {
    /// Starts one on a free port; `None` where `nats-server` is not installed, which the tests then say.
    pub fn start() -> Option<Self> {
        if let Err(error) = Command::new("nats-server").arg("--version").output() {
            // Nobody reads it where the test runner keeps it to itself; scripts/check says so too.
            let _ = writeln!(std::io::stderr(), "left out: nats-server cannot be run ({error})");
            return None;
        }
        let mut server = Self { process: None, port: 0, data: TempDir::new().expect("a folder") };
        server.resume();
        Some(server)
    }

    /// Starts it again where it was, with what it had.
    pub fn resume(&mut self) {
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let mut command = Command::new("nats-server");
        command.args(["--jetstream", "--addr", "127.0.0.1", "--port", &port, "--store_dir"]).arg(self.data.path());
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        for line in lines.by_ref() {
            let line = line.expect("a line");
            if let Some((_, address)) = line.split_once("Listening for client connections on 127.0.0.1:") {
                self.port = address.trim().parse().expect("a port");
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        assert_ne!(self.port, 0, "it listens");
        // Whatever else it has to say must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        self.process = Some(process);
    }

    /// Ends it as `kill -9` does; its data stays.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Settings of jobs that are kept there.
    pub fn config(&self) -> JobsConfig {
        JobsConfig { store: StoreKind::Nats, nats_url: vec![self.url()], ..JobsConfig::default() }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
