//! Connections that are closed only after the client has read what was sent.
//!
//! The problem: a client that reads a result keeps sending window updates. Where the server closes the connection while
//! one of them lies unread, as at the end of a drain, the kernel answers with a reset, and the client loses the last
//! of what it was sent. So closing means: say that nothing more comes, then read what still arrives until the client
//! closes too, for a while (RFC 9112, section 9.6).
//!
//! And connections that begin: who does not send the first bytes that every HTTP/2 client sends is closed after a
//! while, because nothing above would ever do it.
//!
//! And short answers go in one piece: h2 writes what is before and after a body of 256 bytes or more by itself, where it
//! is told that a connection takes several buffers at once, and each write wakes the client; where it is told otherwise,
//! it puts bodies up to 1,024 bytes into its own buffer. It asks for that when a connection begins, and before each
//! write of a larger body, which is better written from where it is. It knows nothing else of HTTP.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use super::certificate;
use crate::limits::{WIRE_GREETING_TIMEOUT, WIRE_LINGER};
use crate::tls::Connection;

/// A connection that lingers when it is shut down.
#[derive(Debug)]
pub struct Lingering {
    stream: Connection,
    peer: Peer,
    /// Until the client has greeted: how many bytes it still has to send, and how long to wait for them.
    greeting: Option<(usize, Pin<Box<Sleep>>)>,
    /// Whether anything was sent.
    has_spoken: bool,
    /// Set once nothing more is sent: how long to wait for the client.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Bytes that every HTTP/2 connection begins with (RFC 9113, section 3.4).
const GREETING_BYTES: usize = 24;

/// Who is at the other end of a connection; each request finds it in its extensions.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// The client's address.
    pub address: Option<SocketAddr>,
    /// Whom the client's certificate names, where it presented one.
    pub certificate_name: Option<Arc<str>>,
    /// The connection came through the listener for this machine's own tools.
    pub local: bool,
}

impl Lingering {
    /// The same connection with a slower end. `local` is for the listener of this machine's own tools.
    pub fn new(stream: Connection, local: bool) -> Self {
        Self::greeted_within(stream, local, WIRE_GREETING_TIMEOUT)
    }

    fn greeted_within(stream: Connection, local: bool, wait: Duration) -> Self {
        let certificate_name = stream.certificate().and_then(certificate::name).map(Arc::from);
        let peer = Peer { address: stream.address(), certificate_name, local };
        let greeting = Some((GREETING_BYTES, Box::pin(tokio::time::sleep(wait))));
        Lingering { stream, peer, greeting, has_spoken: false, patience: None }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some((missing, wait)) = &mut this.greeting else { return Pin::new(&mut this.stream).poll_read(cx, buf) };
        if wait.as_mut().poll(cx).is_ready() {
            let text = "the client connected and said nothing";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buf));
        *missing = missing.saturating_sub(buf.filled().len() - before);
        if *missing == 0 {
            this.greeting = None;
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.has_spoken = true;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.has_spoken && self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let patience = match &mut this.patience {
            Some(patience) => patience,
            None => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                this.patience.insert(Box::pin(tokio::time::sleep(WIRE_LINGER)))
            }
        };
        let mut space = [0; 4096];
        while patience.as_mut().poll(cx).is_pending() {
            let mut read = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {}
                // The client has closed its side, or is gone.
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Connected for Lingering {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_client_that_says_nothing_is_not_waited_for_and_one_that_greets_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for sent in [0, GREETING_BYTES - 1, GREETING_BYTES] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let stream = Connection::Plain(listener.accept().await.unwrap().0);
            let mut server = Lingering::greeted_within(stream, false, Duration::from_millis(200));
            client.write_all(&vec![b'x'; sent]).await.unwrap();
            let mut found = vec![0; sent];
            server.read_exact(&mut found).await.unwrap();
            if sent == GREETING_BYTES {
                let late = tokio::time::timeout(Duration::from_millis(400), server.read_u8()).await;
                assert!(late.is_err(), "a client that greeted may be silent");
                client.write_all(b"y").await.unwrap();
                assert_eq!(server.read_u8().await.unwrap(), b'y');
            } else {
                assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut, "after {sent} bytes");
            }
        }
    }

    #[tokio::test]
    async fn several_buffers_at_once_are_taken_after_the_first_write() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut server = Lingering::new(Connection::Plain(listener.accept().await.unwrap().0), false);
        assert!(!server.is_write_vectored());
        server.write_all(b"x").await.unwrap();
        assert!(server.is_write_vectored());
    }

    #[tokio::test]
    async fn a_client_that_talks_to_the_end_reads_everything() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut server = Lingering::new(Connection::Plain(listener.accept().await.unwrap().0), false);
        // What the server never reads by itself; a plain close would answer it with a reset.
        client.write_all(&[1; 50_000]).await.unwrap();
        let served = tokio::spawn(async move {
            server.write_all(&[2; 50_000]).await.unwrap();
            server.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, vec![2; 50_000]);
        drop(client);
        served.await.unwrap();
    }
}
