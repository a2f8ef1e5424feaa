//! `system.queries`, `system.sessions` and `KILL QUERY`, over the wire: who ran what, how it ended, and stopping it.
//!
//! What a row says is checked against what the test itself sent and got.

use std::time::{Duration, Instant};

use arrow_flight::error::FlightError;
use futures::{StreamExt, TryStreamExt};
use limn_tests::raw::{Raw, statement};
use limn_tests::server::ServerOptions;
use limn_tests::wire::{Reply, Wire, WireError};
use limn_tests::{Context, Outcome, TestServer, cells, ensure, fail};

/// A query that runs until it is stopped, and its beginning.
const ENDLESS: &str = "SELECT count(value) AS endless FROM generate_series(1, 1000000000000)";
/// How long an event may take before a test gives up on it.
const EVENT_DEADLINE: Duration = Duration::from_secs(30);

async fn rows(wire: &mut Wire, sql: &str) -> Outcome<Vec<Vec<String>>> {
    cells::rows(&wire.query(sql).await.context(sql)?)
}

/// The rows of a query once there is one.
async fn some_rows(wire: &mut Wire, sql: &str) -> Outcome<Vec<Vec<String>>> {
    let deadline = Instant::now() + EVENT_DEADLINE;
    loop {
        let found = rows(wire, sql).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        ensure(Instant::now() < deadline, || format!("expected a row of {sql}"))?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_query_is_seen_and_killed_from_elsewhere() -> Outcome {
    let server = TestServer::start()?;
    let (mut runner, mut watcher) = (server.connect().await?, server.connect().await?);
    let running = tokio::spawn(async move { runner.query(ENDLESS).await });
    let seen = some_rows(
        &mut watcher,
        "SELECT query_id, state, kind, principal, ended_at IS NULL, total_ms >= 0 FROM system.queries
         WHERE statement LIKE 'SELECT count(value) AS endless%' AND state = 'running' AND kind = 'query'",
    )
    .await?;
    let [row] = seen.as_slice() else { return Err(fail(format!("expected one row, found {seen:?}"))) };
    let id = row[0].clone();
    assert_eq!(row[1..], ["running", "query", "anonymous", "true", "true"]);
    let shown = rows(&mut watcher, "SHOW QUERIES").await?;
    assert!(shown.iter().any(|row| row[0] == id), "{shown:?}");

    let asked = Instant::now();
    let Reply::Count(stopped) = watcher.run(&format!("KILL QUERY '{id}'")).await? else {
        return Err(fail("expected a count"));
    };
    let error = running.await?.expect_err("a killed query has no result");
    let took = asked.elapsed();
    println!("killed in {took:?}");
    assert_eq!((stopped, error.code.as_str()), (1, "Cancelled"), "{error}");
    ensure(took < Duration::from_secs(5), || format!("the kill took {took:?}"))?;
    let ended = format!("SELECT state, error_class FROM system.queries WHERE query_id = '{id}'");
    assert_eq!(rows(&mut watcher, &ended).await?, [["cancelled", "cancelled"]]);

    // What has ended is not stopped again; what never was is unknown.
    match watcher.run(&format!("KILL QUERY {id}")).await? {
        Reply::Count(0) => {}
        other => return Err(fail(format!("expected 0 stopped, found {other:?}"))),
    }
    let unknown = watcher.run("KILL QUERY 'ffffffffffffffffffffffffffffffff'").await.expect_err("no such query");
    assert_eq!(unknown.code, "NotFound");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_ones_say_how_they_ended() -> Outcome {
    let server = TestServer::start()?;
    let mut wire = server.connect().await?;
    wire.query("SELECT value FROM generate_series(1, 30000)").await?;
    wire.run("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 7)").await?;
    wire.run("INSERT INTO t VALUES (8), (9)").await?;
    wire.query("SELECT nope FROM t").await.expect_err("there is no such column");
    wire.query("SELECT 1 / (a - a) FROM t").await.expect_err("nothing can be divided by zero");
    let found = rows(
        &mut wire,
        "SELECT statement, kind, state, rows, bytes BETWEEN 240000 AND 300000, rows_changed, error_class,
                error IS NOT NULL, client IS NOT NULL, started_at <= ended_at AND queued_at <= started_at
         FROM system.queries WHERE state <> 'running' ORDER BY queued_at",
    )
    .await?;
    let expected = [
        ["SELECT value FROM generate_series(1, 30000)", "query", "finished", "30000", "true", "NULL", "NULL", "false"],
        [
            "CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 7)",
            "effect",
            "finished",
            "0",
            "false",
            "7",
            "NULL",
            "false",
        ],
        ["INSERT INTO t VALUES (8), (9)", "effect", "finished", "0", "false", "2", "NULL", "false"],
        ["SELECT nope FROM t", "NULL", "failed", "0", "false", "NULL", "not_found", "true"],
        ["SELECT 1 / (a - a) FROM t", "query", "failed", "0", "false", "NULL", "input", "true"],
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found[..8], expected);
        assert_eq!(found[8..], ["true", "true"], "{found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_nobody_fetches_is_seen_as_planned_and_then_as_abandoned() -> Outcome {
    let arguments = vec!["--limit".into(), "result_ttl=3s".into()];
    let options = ServerOptions { arguments, ..Default::default() };
    let server = TestServer::start_with(options)?;
    let (mut raw, mut watcher) = (Raw::connect(&server).await?, server.connect().await?);
    let fetched = raw.info(&statement("SELECT 1 AS fetched")).await?;
    raw.info(&statement("SELECT 2 AS forgotten")).await?;
    raw.prepare("SELECT 3 AS prepared").await?;
    let state = "SELECT state, kind, ended_at IS NULL, planning_ms >= 0 FROM system.queries WHERE statement = ";
    for name in ["1 AS fetched", "2 AS forgotten"] {
        let found = rows(&mut watcher, &format!("{state}'SELECT {name}'")).await?;
        assert_eq!(found, [["planned", "query", "true", "true"]], "{name}");
    }
    let shown = rows(&mut watcher, "SHOW QUERIES").await?;
    assert!(shown.iter().all(|row| row[2] != "planned"), "{shown:?}");
    raw.batch(&fetched).await?;
    let found = some_rows(&mut watcher, &format!("{state}'SELECT 1 AS fetched' AND state <> 'running'")).await?;
    assert_eq!(found, [["finished", "query", "false", "true"]]);
    let abandoned = format!("{state}'SELECT 2 AS forgotten' AND state = 'abandoned'");
    assert_eq!(some_rows(&mut watcher, &abandoned).await?, [["abandoned", "query", "false", "true"]]);
    assert!(rows(&mut watcher, &format!("{state}'SELECT 3 AS prepared'")).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_read_ends_as_cancelled() -> Outcome {
    let server = TestServer::start()?;
    let (mut reader, mut watcher) = (server.connect().await?, server.connect().await?);
    let (_, mut stream) = reader.open("SELECT value AS abandoned FROM generate_series(1, 100000000)").await?;
    stream.next().await.context("no batch")??;
    drop(stream);
    let found = some_rows(
        &mut watcher,
        "SELECT state, rows > 0, error_class FROM system.queries
         WHERE statement LIKE 'SELECT value AS abandoned%' AND ended_at IS NOT NULL",
    );
    assert_eq!(found.await?, [["cancelled", "true", "cancelled"]]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_not_shown() -> Outcome {
    let server = TestServer::start()?;
    let mut wire = server.connect().await?;
    // Neither of them works today; the text of a failed statement is kept all the same.
    for sql in [
        "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'hunter2-hunter2')",
        "SELECT * FROM read_csv('https://ada:hunter2@nowhere.example/x.csv')",
    ] {
        wire.query(sql).await.expect_err("a statement that cannot work");
    }
    let found = rows(&mut wire, "SELECT statement FROM system.queries WHERE state = 'failed'").await?;
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|row| !row[0].contains("hunter2") && row[0].contains("***")), "{found:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_shows_what_it_was_set_to_and_what_runs_in_it() -> Outcome {
    let server = TestServer::start()?;
    let (mut settled, mut watcher) = (server.connect().await?, server.connect().await?);
    settled.run("CREATE SCHEMA sales").await?;
    settled.run("USE sales").await?;
    settled.run("SET statement_timeout = '7min'").await?;
    let mut runner = settled.clone();
    let running = tokio::spawn(async move { runner.query(ENDLESS).await });
    let found = some_rows(
        &mut watcher,
        "SELECT schema, settings, principal, client IS NOT NULL, created_at <= last_used_at, running_statements
         FROM system.sessions WHERE schema = 'sales' AND running_statements > 0",
    );
    let settings = r#"{"statement_timeout":"7min"}"#;
    assert_eq!(found.await?, [["sales", settings, "anonymous", "true", "true", "1"]]);
    running.abort();
    let idle = "SELECT running_statements FROM system.sessions WHERE schema = 'sales' AND running_statements = 0";
    assert_eq!(some_rows(&mut watcher, idle).await?, [["0"]]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_sets_how_long_its_statements_may_run() -> Outcome {
    let server = TestServer::start()?;
    let mut wire = server.connect().await?;
    wire.run("SET statement_timeout = '100ms'").await?;
    let error: WireError = wire.query(ENDLESS).await.expect_err("the time is up long before the end");
    assert_eq!(error.code, "DeadlineExceeded", "{error}");
    wire.run("RESET statement_timeout").await?;
    let (_, stream) = wire.open("SELECT value FROM generate_series(1, 3)").await?;
    let batches: Result<Vec<_>, FlightError> = stream.try_collect().await;
    assert_eq!(batches?.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
    Ok(())
}
