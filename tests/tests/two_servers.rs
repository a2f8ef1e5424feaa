//! Two servers of one shared data directory, each the real binary: what one answered the other knows, what both change
//! is changed once, and what one leaves behind as it dies the other ends.
//!
//! `LIMN_SHARED_VERSIONS` says how many versions of one model they make between them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use limn_tests::bare::Bare;
use limn_tests::server::{POLL_INTERVAL, ServerOptions};
use limn_tests::torture::setting;
use limn_tests::wire::Wire;
use limn_tests::{Context, Outcome, TestServer, ensure, fail};
use tempfile::TempDir;

/// How long a server may be silent in these tests.
const DEAD_AFTER: &str = "server_dead_after=2s";
/// How long to wait for what a server does by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// printf 'ada:correct:horse' | base64
const ADA: &str = "Basic YWRhOmNvcnJlY3Q6aG9yc2U=";
/// printf 'bob:correct:horse' | base64
const BOB: &str = "Basic Ym9iOmNvcnJlY3Q6aG9yc2U=";
/// Clients of each server.
const CLIENTS: usize = 4;

/// A directory and two servers that share it.
struct Pair {
    one: TestServer,
    other: TestServer,
    lake: TempDir,
}

impl Pair {
    fn start() -> Outcome<Self> {
        let lake = tempfile::tempdir()?;
        Ok(Pair { one: server(lake.path())?, other: server(lake.path())?, lake })
    }

    async fn connect(&self) -> Outcome<(Wire, Wire)> {
        Ok((self.one.connect().await?, self.other.connect().await?))
    }
}

fn server(lake: &Path) -> Outcome<TestServer> {
    let arguments = ["--shared", "--limit", DEAD_AFTER].map(str::to_string).to_vec();
    TestServer::start_with(ServerOptions { data_dir: Some(lake.join("data")), arguments, ..ServerOptions::default() })
}

async fn expect(wire: &mut Wire, sql: &str, expected: &str) -> Outcome {
    let found = wire.value(sql).await.context(sql)?;
    ensure(found == expected, || format!("`{sql}`: expected {expected}, found {found}"))
}

/// Waits until a query has a value.
async fn until(wire: &mut Wire, sql: &str, wanted: &str) -> Outcome {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = wire.value(sql).await.context(sql)?;
        if found == wanted {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(fail(format!("`{sql}`: expected it to become {wanted}, found {found}")));
        }
        tokio::time::timeout(POLL_INTERVAL, std::future::pending::<()>()).await.unwrap_or_default();
    }
}

#[tokio::test]
async fn what_one_server_answered_the_other_knows() -> Outcome {
    let pair = Pair::start()?;
    let (mut one, mut other) = pair.connect().await?;
    one.run("CREATE SCHEMA s").await?;
    other.run("CREATE TABLE s.t (k BIGINT, y DOUBLE)").await?;
    one.run("INSERT INTO s.t VALUES (1, 2.0), (2, 4.0), (3, 6.5)").await?;
    expect(&mut other, "SELECT count(*) FROM s.t", "3").await?;
    other.run("DELETE FROM s.t WHERE k = 3").await?;
    expect(&mut one, "SELECT sum(k) FROM s.t", "3").await?;
    one.run("CREATE VIEW v AS SELECT k FROM s.t").await?;
    expect(&mut other, "SELECT max(k) FROM v", "2").await?;

    one.run("TRAIN MODEL m USING decision_tree TARGET y AS SELECT * FROM s.t").await?;
    expect(&mut other, "SELECT PREDICT('m', k) FROM s.t ORDER BY k LIMIT 1", "2.0").await?;
    other.run("ALTER MODEL m SET ALIAS best TO VERSION 1").await?;
    expect(&mut one, "SELECT version FROM system.model_aliases WHERE alias = 'best'", "1").await?;

    other.run("DROP TABLE s.t").await?;
    let gone = one.run("SELECT * FROM s.t").await;
    ensure(gone.is_err(), || "a table that the other server dropped is still read".into())?;
    expect(&mut one, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 's'", "0").await
}

#[tokio::test]
async fn what_both_create_at_once_is_created_once() -> Outcome {
    let pair = Pair::start()?;
    let (mut one, mut other) = pair.connect().await?;
    for round in 0..10 {
        let sql = format!("CREATE TABLE t{round} (k BIGINT)");
        let (first, second) = tokio::join!(one.run(&sql), other.run(&sql));
        let created = usize::from(first.is_ok()) + usize::from(second.is_ok());
        ensure(created == 1, || format!("`{sql}` succeeded {created} times"))?;
        let insert = format!("INSERT INTO t{round} SELECT * FROM generate_series(1, 100)");
        let (first, second) = tokio::join!(one.run(&insert), other.run(&insert));
        first?;
        second?;
        let update = format!("UPDATE t{round} SET k = k + 1");
        let (first, second) = tokio::join!(one.run(&update), other.run(&update));
        first?;
        second?;
        // Twice 1 to 100, and 200 rows that became greater twice.
        expect(&mut one, &format!("SELECT sum(k) FROM t{round}"), "10500").await?;
    }
    expect(&mut other, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'main'", "10").await
}

/// Trains so many versions.
async fn train(mut wire: Wire, count: u64) -> Outcome {
    for _ in 0..count {
        wire.run("TRAIN MODEL m USING linear_regression TARGET y AS SELECT k, y FROM t").await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_give_each_version_of_a_model_once() -> Outcome {
    let versions = setting("LIMN_SHARED_VERSIONS", 1_000)?;
    let pair = Pair::start()?;
    let (mut one, mut other) = pair.connect().await?;
    one.run("CREATE TABLE t AS SELECT value AS k, 2 * value AS y FROM generate_series(1, 10)").await?;
    let each = versions / (2 * CLIENTS as u64);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (first, second) = pair.connect().await?;
        clients.spawn(train(first, each));
        clients.spawn(train(second, each));
    }
    while let Some(done) = clients.join_next().await {
        done??;
    }
    let made = each * 2 * CLIENTS as u64;
    for wire in [&mut one, &mut other] {
        let all = "SELECT concat(count(*), ' ', count(DISTINCT version), ' ', min(version), ' ', max(version)) \
                   FROM system.model_versions WHERE name = 'm'";
        expect(wire, all, &format!("{made} {made} 1 {made}")).await?;
        expect(wire, "SELECT count(*) FROM system.runs WHERE status = 'FINISHED'", &made.to_string()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_that_it_answered_and_the_other_ends_what_it_left() -> Outcome {
    let mut pair = Pair::start()?;
    let (mut one, mut other) = pair.connect().await?;
    one.run("CREATE TABLE t AS SELECT value AS k, CAST(value AS DOUBLE) / 3 AS y FROM generate_series(1, 200000)")
        .await?;
    one.run("CREATE TABLE kept (k BIGINT)").await?;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let mut wire = pair.one.connect().await?;
        clients.spawn(async move {
            let mut answered = Vec::new();
            for number in 0.. {
                let key = client * 1_000_000 + number;
                if wire.run(&format!("INSERT INTO kept VALUES ({key})")).await.is_err() {
                    break;
                }
                answered.push(key.to_string());
            }
            answered
        });
    }
    let mut training = pair.one.connect().await?;
    let slow = "TRAIN MODEL slow USING random_forest (n_estimators = 4000) TARGET y AS SELECT k, y FROM t";
    let training = tokio::spawn(async move { training.run(slow).await.is_err() });
    until(&mut other, "SELECT count(*) FROM system.runs WHERE status = 'RUNNING'", "1").await?;
    pair.one.kill9()?;
    ensure(training.await?, || "the training was answered before the server was killed".into())?;
    let mut answered = BTreeSet::new();
    while let Some(keys) = clients.join_next().await {
        answered.extend(keys?);
    }
    for key in &answered {
        expect(&mut other, &format!("SELECT count(*) FROM kept WHERE k = {key}"), "1").await?;
    }
    until(&mut other, "SELECT count(*) FROM system.runs WHERE status = 'RUNNING'", "0").await?;
    expect(
        &mut other,
        "SELECT error FROM system.runs WHERE status = 'FAILED'",
        "the server stopped while this training was running",
    )
    .await?;
    // What is left of it is itself, and nothing else.
    let servers = || Ok::<_, limn_tests::Failure>(std::fs::read_dir(pair.lake.path().join("data/servers"))?.count());
    let deadline = Instant::now() + PATIENCE;
    while servers()? != 1 {
        ensure(Instant::now() < deadline, || "the dead server is still among the living".into())?;
        expect(&mut other, "SELECT 1", "1").await?;
    }
    pair.one.restart()?;
    let mut one = pair.one.connect().await?;
    one.run("TRAIN MODEL slow USING decision_tree TARGET y AS SELECT k, y FROM t LIMIT 100").await?;
    expect(&mut other, "SELECT max(version) FROM system.model_versions", "1").await
}

#[tokio::test]
async fn what_one_server_made_alone_is_there_when_it_is_shared() -> Outcome {
    let lake = tempfile::tempdir()?;
    let data_dir = Some(lake.path().join("data"));
    let mut alone = TestServer::start_with(ServerOptions { data_dir, ..ServerOptions::default() })?;
    let mut wire = alone.connect().await?;
    wire.run("CREATE TABLE t AS SELECT value AS k, 2 * value AS y FROM generate_series(1, 10)").await?;
    wire.run("TRAIN MODEL m USING linear_regression TARGET y AS SELECT k, y FROM t").await?;
    wire.run("CREATE USER ada PASSWORD 'correct:horse'").await?;
    alone.terminate()?;
    let (one, other) = (server(lake.path())?, server(lake.path())?);
    for server in [&one, &other] {
        let mut bare = Bare::connect(server.flight_addr()).await?.authorized(ADA);
        let rows = bare.sql("SELECT count(*) FROM system.model_versions").await?;
        ensure(rows == [["1"]], || format!("{rows:?}"))?;
        let rows = bare.sql("SELECT round(sum(PREDICT('m', k))) FROM t").await?;
        ensure(rows == [["110.0"]], || format!("{rows:?}"))?;
    }
    // A user whom one server creates, the other lets in at once.
    Bare::connect(one.flight_addr()).await?.authorized(ADA).sql("CREATE USER bob PASSWORD 'correct:horse'").await?;
    Bare::connect(other.flight_addr()).await?.authorized(BOB).sql("SELECT 1").await?;
    Ok(())
}

#[tokio::test]
async fn a_shared_directory_refuses_a_server_that_wants_it_alone() -> Outcome {
    let pair = Pair::start()?;
    let data_dir = pair.lake.path().join("data");
    let options = ServerOptions {
        data_dir: Some(data_dir),
        arguments: vec!["--shared=false".to_string()],
        ..ServerOptions::default()
    };
    let Err(refused) = TestServer::start_with(options) else {
        return Err(fail("a server took a shared directory for itself"));
    };
    ensure(refused.text().contains("is shared, expected one for one server"), || refused.text().to_string())
}
