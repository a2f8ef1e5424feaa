//! Thousands of models in one statement, and every row scored by its own in another, within the memory limit.
//!
//! `LIMN_PARTITIONS_WHOLE=1 cargo test --release --locked -p limn-tests --test partitions` has 10,000 groups of 500 rows,
//! and 100,000 of 10; without it there are fewer.

use std::time::Instant;

use limn_tests::engine::{MEMORY_BYTES, TestEngine, block_on};
use limn_tests::wire::Reply;
use limn_tests::{Context, Outcome, TestServer, cells, ensure, fail};

/// The variable that asks for all groups.
const WHOLE_VARIABLE: &str = "LIMN_PARTITIONS_WHOLE";

fn is_whole() -> bool {
    std::env::var(WHOLE_VARIABLE).is_ok_and(|text| text == "1")
}

async fn rows(engine: &TestEngine, sql: &str) -> Outcome<Vec<Vec<String>>> {
    match engine.run(sql).await.context(sql)? {
        Reply::Rows(_, batches) => cells::rows(&batches),
        other => Err(fail(format!("expected rows of {sql}, found {other:?}"))),
    }
}

async fn timed(engine: &TestEngine, what: &str, sql: &str) -> Outcome<Vec<Vec<String>>> {
    let started = Instant::now();
    let found = rows(engine, sql).await?;
    println!("{what}: {:.2} s", started.elapsed().as_secs_f64());
    Ok(found)
}

async fn same(engine: &TestEngine, sql: &str, expected: &[&[&str]]) -> Outcome {
    let found = rows(engine, sql).await?;
    ensure(found == expected, || format!("{sql}: expected {expected:?}, found {found:?}"))
}

/// `groups` sites of `each` rows, scattered over the table: seven numbers and a tariff, and a target that is a sum of them
/// with weights of the site's own. Site 1 has one row, the numbers of site 2 are NULL, site 3 has a tariff of its own.
fn readings(groups: u64, each: u64) -> String {
    let number = |n: u64| format!("CAST((i * {}) % {} AS DOUBLE) / 7.0 AS x{n}", 31 + 2 * n, 1009 + 10 * n);
    let numbers: Vec<String> = (1..8).map(number).collect();
    let columns: Vec<String> = (1..8).map(|n| format!("CASE WHEN site = 2 THEN NULL ELSE x{n} END AS x{n}")).collect();
    let sum: Vec<String> = (1..8).map(|n| format!("(site % {} - 3.0) * x{n}", 5 + n)).collect();
    format!(
        "CREATE TABLE readings AS
         SELECT site, {}, CASE WHEN site = 3 THEN 'own' WHEN k % 2 = 0 THEN 'day' ELSE 'night' END AS tariff,
                {} + CASE WHEN k % 2 = 0 THEN 0.0 ELSE CAST(site % 10 AS DOUBLE) END AS y
           FROM (SELECT i, i / {groups} AS k, i % {groups} AS site, {} FROM generate_series(0, {} - 1) AS g(i))
          WHERE site <> 1 OR i < {groups}",
        columns.join(", "),
        sum.join(" + "),
        numbers.join(", "),
        groups * each,
    )
}

#[test]
fn many_models_are_trained_in_one_statement_and_score_every_row_in_another() -> Outcome {
    let (groups, each) = if is_whole() { (10_000, 500) } else { (300, 50) };
    // The values of all rows are 400 MB, which a training holds twice for a moment: a statement gets 1 GiB.
    let memory = if is_whole() { 2 * MEMORY_BYTES } else { MEMORY_BYTES };
    block_on(async {
        let engine = TestEngine::with_memory(memory).await?;
        engine.run(&readings(groups, each)).await?;
        let train = "TRAIN MODEL sites USING linear_regression TARGET y PARTITION BY (site) SPLIT NONE AS SELECT * FROM readings";
        let trained = timed(&engine, &format!("training of {groups} models of {each} rows"), train).await?;
        ensure(trained[0][4] == groups.to_string(), || format!("{trained:?}"))?;
        same(
            &engine,
            "SELECT partition, reason FROM system.model_partitions WHERE model = 'sites' AND status = 'fallback'
             ORDER BY partition",
            &[
                &["{\"site\": 1}", "it has 1 rows, expected at least 10"],
                &["{\"site\": 2}", &format!("feature `x1` is NULL in all {each} training rows")],
            ],
        )
        .await?;
        // Targets are exact sums, so every group that has a model has a perfect one, but for site 3, whose tariff hides a part.
        let worst =
            "SELECT max(CASE WHEN site < 4 THEN 0.0 ELSE abs(PREDICT('sites') - y) END) < 1e-5, count(*) FROM readings";
        let found = timed(&engine, "prediction of all rows", worst).await?;
        let all = groups * each - (each - 1);
        ensure(found == [["true".to_string(), all.to_string()]], || format!("{found:?}"))?;
        // The tariff of site 3 is new to every other site: it counts for nothing there, and for NULL as little as for no row.
        same(
            &engine,
            "SELECT bool_and(PREDICT('sites', site, x1, x2, x3, x4, x5, x6, x7, 'own') IS NOT NULL)
             FROM readings WHERE site < 10",
            &[&["true"]],
        )
        .await?;
        same(
            &engine,
            "SELECT count(*) FROM system.model_partitions WHERE status = 'trained'",
            &[&[&(groups - 2).to_string()]],
        )
        .await
    })
}

#[test]
fn very_many_small_groups_are_bounded() -> Outcome {
    let groups = if is_whole() { 100_000 } else { 2_000 };
    block_on(async {
        let engine = TestEngine::open().await?;
        let table = format!(
            "CREATE TABLE small AS SELECT i % {groups} AS site, CAST(i / {groups} AS DOUBLE) AS x,
               CAST(i % {groups} AS DOUBLE) * (i / {groups}) + 1.0 AS y FROM generate_series(0, 10 * {groups} - 1) AS g(i)"
        );
        engine.run(&table).await?;
        let train = "TRAIN MODEL small USING linear_regression TARGET y PARTITION BY (site) SPLIT NONE
                     AS SELECT site, x, y FROM small";
        let trained = timed(&engine, &format!("training of {groups} models of 10 rows"), train).await?;
        ensure(trained[0][4] == groups.to_string(), || format!("{trained:?}"))?;
        // Site 0 has a constant target.
        let worst = "SELECT max(abs(PREDICT('small') - y)) < 1e-3 FROM small WHERE site > 0";
        let found = timed(&engine, "prediction", worst).await?;
        ensure(found == [["true".to_string()]], || format!("{found:?}"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_training_of_many_groups_that_is_stopped_leaves_no_version() -> Outcome {
    let server = TestServer::start()?;
    let mut wire = server.connect().await?;
    wire.run(&readings(2_000, 100)).await?;
    let train = "TRAIN MODEL sites USING gradient_boosting (n_estimators = 500) TARGET y PARTITION BY (site)
                 AS SELECT * FROM readings";
    wire.run("SET statement_timeout = '50ms'").await?;
    let stopped = wire.run(train).await;
    wire.run("RESET statement_timeout").await?;
    ensure(stopped.is_err(), || "expected the deadline to pass".to_string())?;
    let versions = wire.value("SELECT count(*) FROM system.model_versions").await?;
    ensure(versions == "0", || format!("expected no version, found {versions}"))?;
    let running = wire.value("SELECT count(*) FROM system.runs WHERE status = 'RUNNING'").await?;
    ensure(running == "0", || format!("expected no run to be left, found {running}"))
}
