//! Below gRPC's messages: bodies that are no frames, methods that are none, and bytes that are not even HTTP/2.
//!
//! It reads the code of an answer where there is one. Nothing here decides what is a right answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::time::Duration;

use tonic::Code;
use tonic::body::Body;
use tonic::codegen::{Body as _, Service, http};
use tonic::transport::{Channel, Endpoint};

use super::Target;
use crate::choices::Choices;
use crate::{Context, Outcome, fail};

/// What every HTTP/2 client sends first: the preface and empty settings (RFC 9113, section 3.4).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// How long a test listens to a server that may say nothing.
const LISTENED: Duration = Duration::from_millis(20);

/// A connection that sends bodies as they are.
pub async fn connect(target: &Target) -> Outcome<Channel> {
    Ok(Endpoint::from_shared(format!("http://{}", target.address))?.connect().await?)
}

/// A frame whose length is another than that of what follows, or which says that it is compressed.
pub async fn wrong_frame(target: &Target, choices: &mut Choices) -> Outcome<(Code, String)> {
    let method = *choices.one(&["GetFlightInfo", "GetSchema", "DoGet", "DoAction", "ListFlights", "PollFlightInfo"]);
    let body = *choices.one(&[
        // One byte, then three of four bytes of a length.
        "\0",
        "\0\0\0\0",
        // 16 bytes are announced, none or five come.
        "\0\0\0\0\x10",
        "\0\0\0\0\x10abcde",
        // Compressed, which was not agreed on.
        "\x01\0\0\0\x05abcde",
        // A flag that is none.
        "\x07\0\0\0\x05abcde",
        // Five bytes that are not protobuf.
        "\0\0\0\0\x05\x7F\x7F\x7F\x7F\x7F",
    ]);
    send(target, method, body).await
}

/// A frame that announces more than a message may have.
pub async fn oversized_frame(target: &Target, choices: &mut Choices) -> Outcome<(Code, String)> {
    let method = *choices.one(&["GetFlightInfo", "DoGet", "DoAction"]);
    send(target, method, "\0\x7F\x7F\x7F\x7Fabcde").await
}

/// A method that is none.
pub async fn unknown_method(target: &Target, choices: &mut Choices) -> Outcome<(Code, String)> {
    send(target, &format!("Method{}", choices.below(1000)), "\0\0\0\0\0").await
}

async fn send(target: &Target, method: &str, body: &str) -> Outcome<(Code, String)> {
    let request = http::Request::builder()
        .method("POST")
        .uri(format!("http://{}/arrow.flight.protocol.FlightService/{method}", target.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", &target.accepted)
        .body(Body::new(body.to_string()))?;
    let mut channel = connect(target).await?;
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
    let response = channel.call(request).await?;
    if let Some(answer) = code(response.headers()) {
        return Ok(answer);
    }
    let mut body = response.into_body();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Some(answer) = frame?.trailers_ref().and_then(code) {
            return Ok(answer);
        }
    }
    Err(fail(format!("an answer of {method} without a status")))
}

fn code(headers: &http::HeaderMap) -> Option<(Code, String)> {
    let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
    let text = headers.get("grpc-message").and_then(|text| text.to_str().ok()).unwrap_or_default();
    Some((code, text.to_string()))
}

/// Bytes that are not HTTP/2, or stop in the middle of it; then the connection goes.
pub fn bytes(target: &Target, choices: &mut Choices) -> Outcome {
    let mut connection = TcpStream::connect(&target.address).context("connecting")?;
    let sent = match choices.below(7) {
        0 => Vec::new(),
        1 => GREETING[..choices.index(GREETING.len())].to_vec(),
        2 => b"GET / HTTP/1.1\r\nHost: limn\r\n\r\n".to_vec(),
        3 => {
            let length = 1 + choices.index(200);
            choices.bytes(length)
        }
        // A frame of headers that announces 16 KiB and brings a few bytes.
        4 => [GREETING, b"\0\x40\0\x01\x04\0\0\0\x01", &choices.bytes(20)].concat(),
        // Headers that are not HPACK.
        5 => [GREETING, b"\0\0\x14\x01\x04\0\0\0\x01", &[0xFF; 20]].concat(),
        // Data of a stream that was never opened.
        _ => [GREETING, b"\0\0\x04\0\x01\0\0\0\x07abcd"].concat(),
    };
    // The server may have closed already, which is an answer too.
    let _sent = connection.write_all(&sent);
    connection.set_read_timeout(Some(LISTENED))?;
    let _heard = connection.read(&mut [0; 256]);
    Ok(())
}
