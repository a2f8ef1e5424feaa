//! SIGKILL in the middle of a load and of a training, then a start: what was answered is there, nothing is half there.
//!
//! What a kill cannot show (bytes that were never fsynced) is tested with a disk of its own, in `crash_*.rs`.

use std::path::Path;
use std::time::{Duration, Instant};

use limn_tests::server::POLL_INTERVAL;
use limn_tests::wire::Wire;
use limn_tests::{Context, Outcome, TestServer, ensure, fail, paths};
use tokio::sync::mpsc;

/// How long an event may take before a test gives up on it.
const EVENT_DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_inserts_survive_and_no_other_is_half_there() -> Outcome {
    let mut server = TestServer::start()?;
    server.connect().await?.run("CREATE TABLE t (n BIGINT, twice BIGINT)").await?;
    let mut next = 0;
    for answers in [1, 7, 25] {
        let from = next;
        let (answered, mut answers_seen) = mpsc::channel(1);
        let mut wire = server.connect().await?;
        let load = tokio::spawn(async move {
            let mut n = from;
            // Ends with the server: the statement that was under way fails.
            while wire.run(&format!("INSERT INTO t VALUES ({n}, {n} * 2), (-{n} - 1, 0)")).await.is_ok() {
                n += 1;
                if answered.send(n).await.is_err() {
                    break;
                }
            }
        });
        let mut done = from;
        while done < from + answers {
            done = answers_seen.recv().await.context("the load ended early")?;
        }
        // The next statement is on its way by now, at some point between nothing and its answer.
        server.kill9()?;
        load.await?;
        while let Ok(n) = answers_seen.try_recv() {
            done = n;
        }
        server.restart()?;
        next = check_inserts(&server, done).await?;
    }
    Ok(())
}

/// All of `0..answered` is there, whole; at most the one statement after it. Gives the next number.
async fn check_inserts(server: &TestServer, answered: i64) -> Outcome<i64> {
    let mut wire = server.connect().await?;
    let pairs = wire.value("SELECT count(*) FROM t WHERE n >= 0 AND twice = 2 * n").await?.parse::<i64>()?;
    let negatives = wire.value("SELECT count(*) FROM t WHERE n < 0").await?.parse::<i64>()?;
    let greatest = wire.value("SELECT max(n) FROM t").await?.parse::<i64>()?;
    ensure(pairs == answered || pairs == answered + 1, || format!("{answered} were answered, {pairs} are there"))?;
    ensure(negatives == pairs, || format!("half a statement is there: {pairs} and {negatives} rows"))?;
    ensure(greatest == pairs - 1, || format!("expected 0 to {}, found up to {greatest}", pairs - 1))?;
    // The directory is sound: it takes more.
    wire.run(&format!("INSERT INTO t VALUES ({pairs}, {pairs} * 2), (-{pairs} - 1, 0)")).await?;
    Ok(pairs + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_load_of_a_file_leaves_all_or_nothing() -> Outcome {
    let scratch = tempfile::tempdir()?;
    let csv = scratch.path().join("energy.csv");
    let status = limn_tests::server::limn_command()?
        .args(["generate", "energy", "--sites", "10", "--days", "400", "--seed", "1", "--out"])
        .arg(&csv)
        .status()?;
    ensure(status.success(), || format!("`limn generate energy` gave {status}"))?;
    let rows = (10 * 400 * 48).to_string();

    let mut server = TestServer::start()?;
    let mut wire = server.connect().await?;
    wire.run("CREATE TABLE kept AS SELECT 1 AS a").await?;
    let before = files(&server.data_dir())?;
    let sql = format!("CREATE TABLE demand AS SELECT * FROM read_csv('{}')", csv.display());
    let load = tokio::spawn(async move { wire.run(&sql).await.is_ok() });
    // The first file of the table is the sign that the load is writing.
    wait_until("a file of the new table", || Ok(files(&server.data_dir())? > before)).await?;
    server.kill9()?;
    let answered = load.await?;

    server.restart()?;
    let mut wire = server.connect().await?;
    let found = wire.query("SELECT count(*) FROM demand").await;
    match found {
        Ok(_) => {
            let count = wire.value("SELECT count(*) FROM demand").await?;
            ensure(count == rows, || format!("expected all {rows} rows or none, found {count}"))?;
        }
        Err(error) => {
            ensure(!answered, || format!("the load was answered, but {error}"))?;
            ensure(error.text.starts_with("unknown table `main.demand`"), || format!("found {error}"))?;
        }
    }
    let kept = wire.value("SELECT a FROM kept").await?;
    ensure(kept == "1", || format!("expected 1, found {kept}"))?;
    // Whatever was left behind is in nobody's way.
    wire.run(&format!("CREATE OR REPLACE TABLE demand AS SELECT * FROM read_csv('{}')", csv.display())).await?;
    let count = wire.value("SELECT count(*) FROM demand").await?;
    ensure(count == rows, || format!("expected {rows}, found {count}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_training_says_failed_and_why() -> Outcome {
    let mut server = TestServer::start()?;
    let mut wire = server.connect().await?;
    wire.run("CREATE TABLE small AS SELECT CAST(value AS DOUBLE) AS x, 2.0 * value AS y FROM generate_series(1, 50) AS g(value)")
        .await?;
    wire.run("TRAIN MODEL line USING linear_regression TARGET y SPLIT NONE AS SELECT x, y FROM small").await?;
    // Many rows of many features: a tree takes seconds on them, which is enough to be seen and killed.
    let columns: Vec<String> = (1..=12).map(|i| format!("(value * {}) % 100003 AS f{i}", 7919 + 2 * i)).collect();
    wire.run(&format!(
        "CREATE TABLE large AS SELECT {}, (value * 31) % 1009 AS y FROM generate_series(1, 400000) AS g(value)",
        columns.join(", ")
    ))
    .await?;
    let train = "TRAIN MODEL tree USING decision_tree TARGET y SPLIT NONE AS SELECT * FROM large";
    let training = tokio::spawn(async move { wire.run(train).await.is_ok() });
    let mut observer = server.connect().await?;
    wait_for_running(&mut observer).await?;
    server.kill9()?;
    ensure(!training.await?, || "expected the training to be under way when the server was killed".into())?;

    server.restart()?;
    let mut wire = server.connect().await?;
    let statuses = wire.value("SELECT count(*) FROM system.runs WHERE status = 'RUNNING'").await?;
    ensure(statuses == "0", || format!("expected no run to be running, found {statuses}"))?;
    let failed = "SELECT error FROM system.runs WHERE status = 'FAILED' AND statement LIKE 'TRAIN MODEL tree%'";
    let error = wire.value(failed).await?;
    println!("the interrupted run says: {error}");
    ensure(error != "NULL" && error != "(empty)", || format!("expected the reason, found {error}"))?;
    let versions = wire.value("SELECT count(*) FROM system.model_versions WHERE name = 'tree'").await?;
    ensure(versions == "0", || format!("expected no version of the model, found {versions}"))?;
    let gone = wire.run("SELECT PREDICT('tree') FROM large LIMIT 1").await;
    let text = gone.err().context("expected no model `tree`")?.text;
    ensure(text.starts_with("unknown model `tree`"), || format!("found {text}"))?;
    // What was answered before is there and works.
    let line = wire.value("SELECT round(PREDICT('line', 10.0), 6)").await?;
    ensure(line == "20.0", || format!("expected 20.0, found {line}"))
}

async fn wait_for_running(observer: &mut Wire) -> Outcome {
    let started = Instant::now();
    while observer.value("SELECT count(*) FROM system.runs WHERE status = 'RUNNING'").await? == "0" {
        if started.elapsed() > EVENT_DEADLINE {
            return Err(fail(format!("no run was seen running in {EVENT_DEADLINE:?}")));
        }
    }
    Ok(())
}

async fn wait_until(what: &str, mut happened: impl FnMut() -> Outcome<bool>) -> Outcome {
    let started = Instant::now();
    let mut interval = tokio::time::interval(POLL_INTERVAL);
    while !happened()? {
        if started.elapsed() > EVENT_DEADLINE {
            return Err(fail(format!("{what} did not come in {EVENT_DEADLINE:?}")));
        }
        interval.tick().await;
    }
    Ok(())
}

/// Parquet files below a directory.
fn files(dir: &Path) -> Outcome<usize> {
    // A file may go while it is being listed; the next look counts again.
    Ok(paths::files(dir, "parquet").map(|found| found.len()).unwrap_or(0))
}
