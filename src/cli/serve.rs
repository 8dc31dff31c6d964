//! `mynah serve`: listen, say where, stop on a signal.

use super::print;
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::{api, telemetry};
use clap::Args;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpListener;

#[derive(Args)]
pub struct ServeArgs {
    /// The address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub host: Option<IpAddr>,
    /// The port to listen on; 0 takes a free one [default: 8080]
    #[arg(long)]
    pub port: Option<u16>,
    /// Listen on an open address without any key: whoever reaches the port may use the server
    #[arg(long)]
    pub allow_no_key: bool,
}

/// Serves until SIGINT or SIGTERM, then finishes the running requests.
pub async fn serve(app: App, out: &mut (dyn Write + Send)) -> Result<()> {
    app.config.check_exposure()?;
    telemetry::prometheus(); // before anything is measured
    let address = SocketAddr::from((app.config.server.host, app.config.server.port));
    let listener = TcpListener::bind(address).await.map_err(|e| {
        Error::new(Kind::Unavailable, format!("cannot listen on {address}: {e}; is another server running there?"))
    })?;
    let bound = listener.local_addr().map_err(|e| Error::internal("the listener has no address", e))?;
    let mut signals = Signals::listen()?; // before anyone is told where to reach us
    print(out, &format!("listening on http://{bound}\n"))?;
    let stopping = app.clone();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping: finishing the requests in progress");
        stopping.stop();
        signals.next().await; // who asks twice does not want to wait
        tracing::warn!("stopping at once");
        std::process::exit(1);
    });
    let warm = app.clone();
    tokio::spawn(async move { warm.warm_up().await });
    let result = api::serve(app, listener).await;
    tracing::info!("stopped");
    result
}

/// The signals that ask the server to stop.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let open = |kind| signal(kind).map_err(|e| Error::internal("signals cannot be received", e));
        Ok(Self { interrupt: open(SignalKind::interrupt())?, terminate: open(SignalKind::terminate())? })
    }

    /// Completes at the next SIGINT or SIGTERM.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signals that ask the server to stop.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self)
    }

    /// Completes at the next Ctrl-C.
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
