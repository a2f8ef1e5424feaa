//! Accepts connections and shakes hands, many at once and none for long.
//!
//! A client that does not get through its handshake, whether it cannot or does not care to, costs a place for a short
//! while and is not heard of any more. It knows nothing of what is served.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

use super::{Connection, Protocol, Tls};
use crate::limits::{ACCEPT_RETRY_INTERVAL, TLS_HANDSHAKE_TIMEOUT, TLS_HANDSHAKES_CONCURRENT};

/// The connections of a listener after their handshakes, until the receiver is dropped.
pub fn accept(listener: TcpListener, tls: Arc<Tls>, protocol: Protocol) -> mpsc::Receiver<(Connection, SocketAddr)> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(TLS_HANDSHAKES_CONCURRENT));
        loop {
            let accepted = tokio::select! {
                () = sender.closed() => return,
                accepted = next(&listener, &places) => accepted,
            };
            let Some((stream, address, place)) = accepted else { return };
            let (acceptor, sender) = (TlsAcceptor::from(tls.config(protocol)), sender.clone());
            tokio::spawn(async move {
                let shaken = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
                drop(place);
                match shaken {
                    // Where nobody serves any more, the connection is dropped.
                    Ok(Ok(stream)) => drop(sender.send((Connection::Tls(Box::new(stream)), address)).await),
                    Ok(Err(error)) => tracing::debug!(%address, %error, "a TLS handshake failed"),
                    Err(_elapsed) => tracing::debug!(%address, "a TLS handshake took too long"),
                }
            });
        }
    });
    receiver
}

/// A connection and a place for its handshake.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Small messages go out at once. Where this fails the connection is gone, as the handshake will see.
                let _ = stream.set_nodelay(true);
                return Some((stream, address, place));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
}
