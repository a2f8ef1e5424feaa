//! TLS of both listeners: certificates from files, read again when they change, and the handshakes.
//!
//! A new file that is broken leaves the old certificates in place. It knows nothing of what is said over a connection,
//! and leaves to others whom a client's certificate names.
//!
//! # Layout
//! - `material`: files to a configuration
//! - `connection`: a connection with or without TLS; `accept`: how one comes to be

mod accept;
mod connection;
mod material;

use std::sync::{Arc, PoisonError, RwLock};

use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

pub use accept::accept;
pub use connection::Connection;

use crate::Result;
use crate::config::TlsFiles;
use crate::limits::TLS_RELOAD_INTERVAL;
use material::{Material, Seen};

/// What is spoken over TLS, which the handshake agrees on (ALPN, RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC, which is HTTP/2.
    Grpc,
    /// HTTP/1.1.
    Http,
}

/// The certificates in use.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Material>,
}

impl Tls {
    /// Reads the files. An `Input` error names the one that is wrong.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>> {
        let current = RwLock::new(Material::load(&files)?);
        Ok(Arc::new(Tls { files, current }))
    }

    /// How a new connection is served.
    pub fn config(&self, protocol: Protocol) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).config(protocol)
    }

    /// Reads the files again now and then, and at once on SIGHUP, until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = self.current.read().unwrap_or_else(PoisonError::into_inner).seen.clone();
        let mut hang_up = signal(SignalKind::hangup()).ok();
        let asked = async |signal: &mut Option<tokio::signal::unix::Signal>| match signal {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TLS_RELOAD_INTERVAL) => {}
                _ = asked(&mut hang_up) => {}
            }
            let this = Arc::clone(&self);
            let reloaded = tokio::task::spawn_blocking(move || this.reload(seen)).await;
            match reloaded {
                Ok(now) => seen = now,
                Err(_) => return,
            }
        }
    }

    /// Reads the files if they are others than those `seen`; what was seen now. A broken file is reported once.
    fn reload(&self, seen: Seen) -> Seen {
        let now = Seen::of(&self.files);
        if now == seen {
            return seen;
        }
        match Material::load(&self.files) {
            Ok(material) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = material;
                tracing::info!("new TLS certificates are in use");
            }
            Err(error) => {
                tracing::error!(%error, "new TLS certificates cannot be used, the old ones stay in use");
            }
        }
        now
    }
}
