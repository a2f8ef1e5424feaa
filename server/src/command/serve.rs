//! `limn serve`: binds, opens the engine, serves, drains.
//!
//! Both addresses are bound before the data directory is touched, so that a port in use changes nothing; nothing is
//! accepted before the engine is open. [`Server`] is the same for the demo, the shell and tests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::ServeConfig;
use crate::engine::{Engine, EngineOptions, LocalSecret};
use crate::flight::Entrance;
use crate::http::HttpState;
use crate::lake::disk::LocalDisk;
use crate::limits::{ALLOCATOR_TRIM_INTERVAL, STOP_TIMEOUT};
use crate::telemetry::Metrics;
use crate::tls::Tls;
use crate::{Error, Result, allocator, flight, http};

/// A running server.
pub struct Server {
    flight_addr: SocketAddr,
    http_addr: SocketAddr,
    local_addr: SocketAddr,
    tls: bool,
    ready_file: Option<PathBuf>,
    engine: Engine,
    drain_timeout: Duration,
    draining: CancellationToken,
    closing: CancellationToken,
    closing_http: CancellationToken,
    flight: JoinHandle<Result<()>>,
    http: JoinHandle<Result<()>>,
}

impl Server {
    /// Starts a server; when this returns, both listeners accept and the ready file is written.
    ///
    /// Fails with `Unavailable` where a port is in use or another live server holds the data directory.
    pub async fn start(config: ServeConfig) -> Result<Self> {
        if let Some(stale) = config.ready_file.as_deref() {
            remove_if_there(stale)?;
        }
        let tls = config.tls.clone().map(Tls::load).transpose()?;
        let exposed = exposed(&config);
        let (flight_listener, flight_addr) = bind("Flight SQL", config.flight_addr).await?;
        let (http_listener, http_addr) = bind("HTTP", config.http_addr).await?;
        let metrics = Metrics::default();
        let drain_timeout = config.limits.drain_timeout;
        let (local_listener, local_addr) = match &tls {
            Some(_) => bind("Flight SQL for local tools", LOOPBACK).await.map(|(l, addr)| (Some(l), addr))?,
            None => (None, reachable_here(flight_addr)),
        };
        let data_dir = config.data_dir.clone();
        let engine = Engine::open(EngineOptions {
            data_dir: config.data_dir,
            shared: config.shared,
            memory_bytes: config.memory_bytes,
            disk: Arc::new(LocalDisk),
            limits: config.limits,
            metrics: metrics.clone(),
        })
        .await?;
        refuse_without_users(&engine, exposed.as_deref())?;
        let entrance = Entrance {
            listener: flight_listener,
            tls: tls.clone(),
            local: local_listener,
            local_secret: match engine.is_shared() {
                true => LocalSecret::shared(&data_dir)?,
                false => LocalSecret::create(&data_dir)?,
            },
            open: exposed.is_none(),
        };
        let (draining, closing, closing_http) =
            (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        if let Some(tls) = &tls {
            tokio::spawn(Arc::clone(tls).watch(closing.clone()));
        }
        tokio::spawn(allocator::keep_trimming(ALLOCATOR_TRIM_INTERVAL, closing.clone()));
        let flight = flight::serve(entrance, engine.clone(), draining.clone(), closing.clone());
        let state = HttpState { metrics, draining: draining.clone() };
        let http = http::serve(http_listener, tls.clone(), state, closing_http.clone());
        let server = Server {
            flight_addr,
            http_addr,
            local_addr,
            tls: tls.is_some(),
            ready_file: config.ready_file,
            engine,
            drain_timeout,
            draining,
            closing,
            closing_http,
            flight: tokio::spawn(flight),
            http: tokio::spawn(http),
        };
        server.announce()?;
        Ok(server)
    }

    /// Where Flight SQL is served.
    pub fn flight_addr(&self) -> SocketAddr {
        self.flight_addr
    }

    /// Where health and metrics are served.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Where this machine's own tools reach Flight SQL without TLS, with the secret of the data directory.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The engine behind it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Takes no more statements, lets the running ones finish for a while, and releases the data directory.
    pub async fn stop(self) -> Result<()> {
        self.draining.cancel();
        let queries = self.engine.queries();
        // New calls are told why they are refused until nothing runs, and the drain can be watched to its end.
        let mut all = std::pin::pin!(async {
            queries.idle().await;
            self.closing.cancel();
            let flight = self.flight.await;
            self.closing_http.cancel();
            (flight, self.http.await)
        });
        let mut ended = tokio::time::timeout(self.drain_timeout, &mut all).await;
        if ended.is_err() {
            let running = queries.running();
            let after = self.drain_timeout.as_millis();
            tracing::warn!("{running} statements still run after {after} ms of draining; they are cancelled");
            queries.stop();
            self.closing.cancel();
            ended = tokio::time::timeout(STOP_TIMEOUT, &mut all).await;
        }
        self.engine.close().await;
        if let Some(file) = self.ready_file.as_deref() {
            remove_if_there(file)?;
        }
        match ended {
            Ok((flight, http)) => joined(flight).and(joined(http)),
            // Whoever does not read what was sent, or not the end of a call, cannot keep the server.
            Err(_elapsed) if self.engine.queries().running() == 0 => Ok(()),
            Err(_elapsed) => Err(Error::unavailable("statements did not end when they were cancelled")),
        }
    }

    /// Waits until a listener fails; neither ends by itself otherwise.
    async fn failed(&mut self) -> Error {
        let ended = tokio::select! {
            ended = &mut self.flight => joined(ended),
            ended = &mut self.http => joined(ended),
        };
        ended.err().unwrap_or_else(|| Error::internal("a listener ended without being told to"))
    }

    /// Says where the server answers: in the data directory's lock, and in the ready file.
    fn announce(&self) -> Result<()> {
        let (flight, http) = (self.flight_addr.to_string(), self.http_addr.to_string());
        self.engine.announce(&flight, &http, &self.local_addr.to_string())?;
        let Some(file) = self.ready_file.as_deref() else { return Ok(()) };
        let text = json!({ "flight": self.flight_addr.to_string(), "http": self.http_addr.to_string() }).to_string();
        write_whole(file, &text)
            .map_err(|error| Error::from(error).context(format!("cannot write the ready file `{}`", file.display())))
    }
}

/// Serves until SIGTERM or an interrupt, then drains; a second signal stops at once.
pub async fn run(config: ServeConfig) -> Result<()> {
    let data_dir = config.data_dir.clone();
    let mut server = Server::start(config).await?;
    eprintln!("limn {} serves `{}`", env!("CARGO_PKG_VERSION"), data_dir.display());
    let (grpc, http) = if server.tls { ("grpc+tls", "https") } else { ("grpc", "http") };
    eprintln!("  Flight SQL  {grpc}://{}   try: limn sql --url {grpc}://{}", server.flight_addr, server.flight_addr);
    eprintln!("  HTTP        {http}://{}/health", server.http_addr);
    tokio::select! {
        () = stop_signal() => {}
        error = server.failed() => return Err(error),
    }
    eprintln!("limn drains; a second signal stops it at once");
    tokio::select! {
        stopped = server.stop() => stopped,
        () = stop_signal() => Err(Error::cancelled("stopped while draining")),
    }
}

/// Waits for SIGTERM or SIGINT. Where no handler can be installed, the default one ends the process.
pub async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Port 0 picks a free port.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The flag with which other machines are let in; `None` where none can come, or where that is said to be fine.
fn exposed(config: &ServeConfig) -> Option<String> {
    let addresses = [("flight-addr", config.flight_addr), ("http-addr", config.http_addr)];
    let exposed = addresses.into_iter().find(|(_, addr)| !config.insecure && !addr.ip().is_loopback());
    exposed.map(|(flag, addr)| format!("--{flag}: `{addr}`"))
}

/// Without users everyone who reaches the port may do everything, so other machines must not reach it unasked.
fn refuse_without_users(engine: &Engine, exposed: Option<&str>) -> Result<()> {
    match exposed {
        Some(exposed) if engine.users().is_empty() => Err(Error::input(format!(
            "{exposed} is reachable from other machines, and no users are set up"
        ))
        .with_hint("add one first: `limn user add NAME --data-dir DIR`; or bind to 127.0.0.1, or say `--insecure`")),
        _ => Ok(()),
    }
}

/// An address that all of a machine's addresses reach, as one that this machine can connect to.
fn reachable_here(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(std::net::Ipv4Addr::LOCALHOST.into()),
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

async fn bind(what: &str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let failed = |error: std::io::Error| {
        let error_text = match error.kind() {
            std::io::ErrorKind::AddrInUse => "the port is in use".to_string(),
            _ => error.to_string(),
        };
        Error::unavailable(format!("cannot serve {what} on `{addr}`: {error_text}"))
            .with_hint("choose another address; port 0 picks a free port")
    };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

fn joined(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| Err(Error::internal(format!("a listener's task failed: {error}"))))
}

/// Whoever waits for the file sees all of it or none.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::from(error).context(format!("cannot remove the ready file `{}`", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let (_holder, addr) = bind("HTTP", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let error = bind("Flight SQL", addr).await.unwrap_err();
        assert_eq!(error.class(), Class::Unavailable);
        assert_eq!(error.message(), format!("cannot serve Flight SQL on `{addr}`: the port is in use"));
    }

    #[tokio::test]
    async fn a_port_in_use_leaves_the_data_directory_alone() {
        let parent = tempfile::tempdir().unwrap();
        let data_dir = parent.path().join("data");
        let (_holder, addr) = bind("HTTP", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let config = ServeConfig { http_addr: addr, ..ServeConfig::in_process(data_dir.clone()) };
        let error = Server::start(config).await.err().unwrap();
        assert_eq!(error.class(), Class::Unavailable);
        assert!(!data_dir.exists());
    }

    #[test]
    fn the_ready_file_is_whole_and_can_go() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ready.json");
        remove_if_there(&file).unwrap();
        write_whole(&file, "{}").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        remove_if_there(&file).unwrap();
        assert!(!file.exists());
    }
}
