//! The HTTP listener, with or without TLS.
//!
//! It gives axum connections and knows nothing of requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::Result;
use crate::tls::{Connection, Protocol, Tls, accept};

/// Where HTTP connections come from.
#[derive(Debug)]
pub enum Listener {
    /// As they are.
    Plain(TcpListener),
    /// After a TLS handshake.
    Tls {
        /// The connections.
        connections: mpsc::Receiver<(Connection, SocketAddr)>,
        /// Where the listener is bound.
        address: SocketAddr,
    },
}

impl Listener {
    /// A listener that shakes hands where there are certificates.
    pub fn new(listener: TcpListener, tls: Option<Arc<Tls>>) -> Result<Self> {
        let Some(tls) = tls else { return Ok(Listener::Plain(listener)) };
        let address = listener.local_addr()?;
        Ok(Listener::Tls { connections: accept(listener, tls, Protocol::Http), address })
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self {
            Listener::Plain(listener) => {
                let (stream, address) = axum::serve::Listener::accept(listener).await;
                (Connection::Plain(stream), address)
            }
            Listener::Tls { connections, .. } => match connections.recv().await {
                Some(accepted) => accepted,
                // The task that accepts ends only after this listener; there is nothing to come.
                None => std::future::pending().await,
            },
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Listener::Plain(listener) => listener.local_addr(),
            Listener::Tls { address, .. } => Ok(*address),
        }
    }
}
