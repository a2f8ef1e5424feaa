//! SIGTERM: what runs finishes within a bound, nothing new is taken, and everybody is told why.
//!
//! The real binary and real signals; readiness is watched over HTTP.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use limn_tests::server::{POLL_INTERVAL, ServerOptions};
use limn_tests::wire::WireError;
use limn_tests::{Context, Outcome, TestServer, ensure};

const ENDLESS: &str = "SELECT count(value) AS endless FROM generate_series(1, 1000000000000)";
/// How long an event may take before a test gives up on it.
const EVENT_DEADLINE: Duration = Duration::from_secs(30);

fn server(limit: &str) -> Outcome<TestServer> {
    let arguments = vec!["--limit".into(), limit.into()];
    TestServer::start_with(ServerOptions { arguments, ..ServerOptions::default() })
}

/// Waits until the server says that it drains.
fn until_draining(server: &TestServer) -> Outcome {
    let deadline = Instant::now() + EVENT_DEADLINE;
    loop {
        let (status, body) = server.http_get("/ready")?;
        if status == 503 {
            return ensure(body.contains("draining"), || format!("expected `draining`, found {body}"));
        }
        ensure(Instant::now() < deadline, || "the server does not drain".into())?;
        std::thread::park_timeout(POLL_INTERVAL);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_finish_and_new_calls_are_refused() -> Outcome {
    let mut server = server("drain_timeout=60s")?;
    let (mut reader, mut other) = (server.connect().await?, server.connect().await?);
    // Far more than all buffers between the server and a reader that does not read.
    let sql = "SELECT value, repeat('x', 200) AS s FROM generate_series(1, 400000)";
    let (_, mut stream) = reader.open(sql).await?;
    let first = stream.next().await.context("no batch")??.num_rows();
    server.ask_to_end()?;
    until_draining(&server)?;
    let error = other.query("SELECT 1").await.expect_err("a draining server takes no new work");
    assert_eq!(error.code, "Unavailable", "{error}");
    ensure(error.text.contains("takes no new work"), || format!("expected to be told why, found {error}"))?;
    let rest: Vec<_> = stream.try_collect().await?;
    assert_eq!(first + rest.iter().map(|batch| batch.num_rows()).sum::<usize>(), 400_000);
    ensure(server.ended()?.success(), || format!("expected a good end: {}", server.stderr()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_in_time_is_cancelled_as_unavailable() -> Outcome {
    let mut server = server("drain_timeout=300ms")?;
    let mut wire = server.connect().await?;
    let (_, stream) = wire.open(ENDLESS).await?;
    let reading = tokio::spawn(stream.try_collect::<Vec<_>>());
    server.ask_to_end()?;
    let error = WireError::from(reading.await?.err().context("an endless query has no end")?);
    assert_eq!(error.code, "Unavailable", "{error}");
    ensure(error.text.contains("the server is stopping"), || format!("expected to be told why, found {error}"))?;
    ensure(server.ended()?.success(), || format!("expected a good end: {}", server.stderr()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_sleeps_cannot_keep_the_server() -> Outcome {
    let mut server = server("drain_timeout=300ms")?;
    let mut wire = server.connect().await?;
    let (_, mut stream) = wire.open("SELECT value, repeat('x', 2000) AS s FROM generate_series(1, 20000000)").await?;
    stream.next().await.context("no batch")??;
    ensure(server.terminate()?.success(), || format!("expected a good end: {}", server.stderr()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() -> Outcome {
    let mut server = server("drain_timeout=1h")?;
    let mut wire = server.connect().await?;
    let (_, stream) = wire.open(ENDLESS).await?;
    let reading = tokio::spawn(stream.try_collect::<Vec<_>>());
    server.ask_to_end()?;
    until_draining(&server)?;
    server.ask_to_end()?;
    let status = server.ended()?;
    ensure(!status.success(), || "a drain that was cut short is no good end".into())?;
    ensure(reading.await?.is_err(), || "expected the stream to break".into())
}
