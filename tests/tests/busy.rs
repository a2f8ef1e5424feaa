//! Queries that compute without a pause keep the server from nothing: it answers others, and stops them when their
//! client is gone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use limn_tests::wire::Wire;
use limn_tests::{Context, Outcome, TestServer, ensure, fail};

/// Nine million million rows of one sum, which is hours of work and no row until its end.
const ENDLESS: &str =
    "SELECT sum(a.value * b.value) FROM generate_series(1, 3000000) AS a, generate_series(1, 3000000) AS b";
/// How long an answer may take on a busy machine; without threads of its own the server gave none for minutes.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the others are served; the long queries read their inputs in less.
const WATCHED: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_full_of_long_queries_answers_others() -> Outcome {
    let server = TestServer::start()?;
    let cores = std::thread::available_parallelism()?.get();
    let mut running = Vec::new();
    for _ in 0..2 * cores {
        let mut wire = server.connect().await?;
        let info = in_time("planning", wire.client().execute(ENDLESS.to_string(), None)).await?.context(ENDLESS)?;
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket).context("no ticket")?;
        let stream = in_time("beginning", wire.client().do_get(ticket)).await?.context(ENDLESS)?;
        running.push((wire, stream));
    }
    // Someone who comes later, until the long queries have been at their joins for a while.
    let mut other = in_time("connecting", server.connect()).await??;
    let begun = Instant::now();
    while begun.elapsed() < WATCHED {
        // What a supervisor kills by.
        let health = health(server.http_addr())?;
        ensure(health.starts_with("HTTP/1.1 200"), || format!("expected to be healthy, found `{health}`"))?;
        answers(&mut other, "SELECT 1 + 1", "2").await?;
    }
    in_time("writing", other.query("CREATE TABLE t AS SELECT 42 AS x")).await?.context("writing")?;
    answers(&mut other, "SELECT x FROM t", "42").await?;
    // The clients go away, so their queries stop.
    drop(running);
    answers(&mut other, "SELECT count(*) FROM generate_series(1, 3000000)", "3000000").await
}

async fn answers(wire: &mut Wire, sql: &str, expected: &str) -> Outcome {
    let found = in_time(sql, wire.value(sql)).await??;
    ensure(found == expected, || format!("{sql}: expected {expected}, found {found}"))
}

async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> Outcome<T> {
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| fail(format!("{what}: no answer in {PATIENCE:?}")))
}

fn health(address: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("the health check has no answer")?;
    Ok(answer)
}
