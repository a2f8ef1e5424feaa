//! What a connection may do below gRPC: HTTP/2 as proxies and drivers use it, and what the server says it accepts.
//!
//! Frames are written and read as bytes (RFC 9113), because every library hides them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use limn_tests::raw::Raw;
use limn_tests::{Context, Outcome, TestServer, ensure, fail};

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const ACKNOWLEDGED: u8 = 1;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// A frame of stream 0: type, flags, payload.
struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

struct Http2(TcpStream);

impl Http2 {
    fn connect(server: &TestServer) -> Outcome<Self> {
        let mut stream = TcpStream::connect(server.flight_addr())?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut http2 = Http2(stream);
        http2.send(&Frame { kind: SETTINGS, flags: 0, payload: Vec::new() })?;
        Ok(http2)
    }

    fn send(&mut self, frame: &Frame) -> Outcome {
        let length = u32::try_from(frame.payload.len())?.to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], frame.kind, frame.flags, 0, 0, 0, 0];
        bytes.extend(&frame.payload);
        Ok(self.0.write_all(&bytes)?)
    }

    /// The next frame of this kind; others are passed over, unless the server hangs up.
    fn next(&mut self, kind: u8) -> Outcome<Frame> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).context("the server hung up")?;
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            self.0.read_exact(&mut payload)?;
            let frame = Frame { kind: head[3], flags: head[4], payload };
            match frame.kind {
                found if found == kind => return Ok(frame),
                GO_AWAY => return Err(fail(format!("the server goes away: {:?}", frame.payload))),
                _ => {}
            }
        }
    }
}

#[test]
fn the_server_says_that_long_headers_are_welcome() -> Outcome {
    let server = TestServer::start()?;
    let settings = Http2::connect(&server)?.next(SETTINGS)?;
    let said = settings.payload.chunks_exact(6).find_map(|setting| {
        let id = u16::from_be_bytes([setting[0], setting[1]]);
        (id == MAX_HEADER_LIST_SIZE).then(|| u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]))
    });
    ensure(said.is_some_and(|bytes| bytes >= 64 * 1024), || format!("expected at least 64 KiB, found {said:?}"))
}

#[test]
fn a_client_may_ping_as_often_as_it_likes() -> Outcome {
    let server = TestServer::start()?;
    let mut http2 = Http2::connect(&server)?;
    // Drivers ping before a call, proxies every few seconds, without a call that is open.
    for round in 0..1_000_u64 {
        http2.send(&Frame { kind: PING, flags: 0, payload: round.to_be_bytes().to_vec() })?;
        let answer = http2.next(PING)?;
        assert_eq!((answer.flags, answer.payload), (ACKNOWLEDGED, round.to_be_bytes().to_vec()));
    }
    Ok(())
}

#[tokio::test]
async fn long_cookies_and_bearers_pass() -> Outcome {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for header in ["cookie", "authorization", "x-forwarded-claims"] {
        let text = format!("Bearer {}", "x".repeat(24 * 1024));
        raw.headers = vec![(header, text.clone()), ("x-more", text)];
        assert_eq!(raw.number("SELECT 42").await.context(header)?, 42);
    }
    Ok(())
}
