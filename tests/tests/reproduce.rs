//! `REPRODUCE MODEL`: the same training again gives the same bytes, and each thing that can differ is named.
//!
//! What a run recorded is changed behind the engine's back where a test needs another engine, processor or seed. What is
//! expected follows from what the test did.

use std::path::Path;
use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use limn_server::engine::{DataDirectory, Engine, Principal, Session, StatementContext};
use limn_server::lake::Lake;
use limn_server::lake::disk::{Disk, LocalDisk};
use limn_server::registry::{Registry, Row, Run};
use limn_tests::{Context, Outcome, cells, engine, ensure, fail, paths};

/// One row of `REPRODUCE MODEL`.
#[derive(Debug)]
struct Answer {
    reproduced: bool,
    expected: String,
    found: String,
    differences: String,
}

async fn run(engine: &Engine, session: &Arc<Session>, sql: &str, values: &[ScalarValue]) -> Outcome<Vec<Vec<String>>> {
    let ctx = StatementContext::new(Principal::anonymous(), Arc::clone(session));
    let answer = engine.execute(&ctx, sql, values).await.context(sql)?;
    let batches: Vec<_> = answer.batches.try_collect().await?;
    cells::rows(&batches)
}

async fn all(engine: &Engine, statements: &[&str]) -> Outcome {
    let session = Arc::new(Session::new());
    for sql in statements {
        run(engine, &session, sql, &[]).await?;
    }
    Ok(())
}

async fn reproduce(engine: &Engine, model: &str) -> Outcome<Answer> {
    let rows = run(engine, &Arc::new(Session::new()), &format!("REPRODUCE MODEL {model}"), &[]).await?;
    match rows.as_slice() {
        [row] if row.len() == 8 => Ok(Answer {
            reproduced: row[2] == "true",
            expected: row[3].clone(),
            found: row[4].clone(),
            differences: row[5].clone(),
        }),
        other => Err(fail(format!("expected one row of eight columns, found {other:?}"))),
    }
}

/// The artifact comes out again, and nothing is said to differ.
async fn identical(engine: &Engine, model: &str) -> Outcome {
    let answer = reproduce(engine, model).await?;
    let same = answer.reproduced && answer.expected == answer.found && answer.expected.len() == 64;
    ensure(same && answer.differences == "[]", || format!("{model}: {answer:?}"))
}

/// The data are gone, and the differences say `why`.
async fn gone(engine: &Engine, why: &[&str]) -> Outcome {
    let answer = reproduce(engine, "m").await?;
    let told = why.iter().all(|part| answer.differences.contains(part));
    ensure(!answer.reproduced && answer.found == "NULL" && told, || format!("expected {why:?}, found {answer:?}"))
}

const POINTS: &str =
    "CREATE TABLE points AS SELECT i AS x, (i * 37) % 101 AS z, CASE i % 3 WHEN 0 THEN 'a' ELSE 'b' END AS c,
    2.0 * i + (i * 53) % 89 AS y FROM generate_series(1, 300) AS g(i)";
const TRAIN: &str =
    "TRAIN MODEL m USING decision_tree (max_depth = 4) TARGET y SEED 3 AS SELECT x, z, c, y FROM points";

#[test]
fn the_same_training_gives_the_same_bytes() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let engine = engine::open(directory.path()).await?;
        all(
            &engine,
            &[
                POINTS,
                TRAIN,
                "INSERT INTO points VALUES (1000, 1, 'new', -5.0)",
                "ALTER MODEL m SET ALIAS champion TO VERSION 1",
                "TRAIN MODEL m USING decision_tree TARGET y AS SELECT x, z, y FROM points",
                // A view, two versions of a table, a model that takes part, and the registry's own tables.
                "CREATE VIEW near AS SELECT * FROM points WHERE x < 200",
                "TRAIN MODEL mixed TARGET y AS SELECT n.x, n.c, PREDICT('m@champion', n.x, n.z, n.c) AS p, n.y
                   FROM near AS n JOIN points VERSION AS OF 0 AS o ON n.x = o.x",
                "TRAIN MODEL runs TARGET y SPLIT NONE AS SELECT p.x, p.y, r.n
                   FROM points AS p CROSS JOIN (SELECT count(*) AS n FROM system.runs) AS r",
                "INSERT INTO points VALUES (1001, 1, 'newer', -7.0)",
                "ALTER MODEL m SET ALIAS champion TO VERSION 2",
            ],
        )
        .await?;
        for model in ["m VERSION 1", "m VERSION 2", "m ALIAS champion", "m", "mixed", "runs"] {
            identical(&engine, model).await?;
        }
        // It registers nothing, and leaves a run that says what it was for.
        let session = Arc::new(Session::new());
        let count = run(&engine, &session, "SELECT count(*) FROM system.model_versions", &[]).await?;
        ensure(count == [["4"]], || format!("expected 4 versions, found {count:?}"))?;
        let sql = "SELECT p.value, count(*) FROM system.runs AS r JOIN system.params AS p USING (run_id)
                   WHERE r.source = 'REPRODUCE' AND r.status = 'FINISHED' AND p.key = 'reproduces' GROUP BY 1 ORDER BY 1";
        let runs = run(&engine, &session, sql, &[]).await?;
        ensure(runs == [["m/1", "1"], ["m/2", "3"], ["mixed/1", "1"], ["runs/1", "1"]], || format!("{runs:?}"))?;
        engine.close().await;
        drop(engine);
        // Another start, and another session.
        let engine = engine::open(directory.path()).await?;
        identical(&engine, "mixed").await
    })
}

#[test]
fn parameters_and_the_schema_of_a_session_are_kept() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let engine = engine::open(directory.path()).await?;
        all(&engine, &[POINTS, "CREATE SCHEMA other", "CREATE TABLE other.points AS SELECT x, y * 2 AS y FROM points"])
            .await?;
        let session = Arc::new(Session::new());
        run(&engine, &session, "USE other", &[]).await?;
        let values = [
            ScalarValue::from(17_i64),
            ScalarValue::from(0.1 + 0.2),
            ScalarValue::Utf8(None),
            ScalarValue::Decimal128(Some(12345), 10, 2),
            ScalarValue::TimestampMicrosecond(Some(1_700_000_000_123_456), Some("UTC".into())),
        ];
        let sql = "TRAIN MODEL bound TARGET y SPLIT NONE AS SELECT x, x * CAST($2 AS DOUBLE) + 1 AS s,
             CAST($4 AS DOUBLE) * x AS d, coalesce($3, 'none') AS t, y
             FROM points WHERE x > $1 AND $5 < TIMESTAMP '2030-01-01T00:00:00Z'";
        run(&engine, &session, sql, &values).await?;
        let shown = "SELECT key, value FROM system.params WHERE key LIKE '$1%' ORDER BY key";
        let shown = run(&engine, &session, shown, &[]).await?;
        ensure(shown == [["$1", "17"], ["$1.type", "BIGINT"]], || format!("{shown:?}"))?;
        identical(&engine, "bound").await
    })
}

#[test]
fn a_dropped_table_is_named() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let engine = engine::open(directory.path()).await?;
        all(&engine, &[POINTS, TRAIN, "DROP TABLE points"]).await?;
        gone(&engine, &["\"what\":\"data\"", "\"table\":\"main.points\"", "`main.points` was dropped"]).await?;
        // Another table of that name, with the same rows, is another table.
        all(&engine, &[POINTS]).await?;
        gone(&engine, &["`main.points` was dropped, and is another table now"]).await
    })
}

#[test]
fn a_replaced_view_is_named() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let engine = engine::open(directory.path()).await?;
        let train = "TRAIN MODEL m TARGET y AS SELECT x, y FROM v";
        let replace = "CREATE OR REPLACE VIEW v AS SELECT x, y FROM points WHERE x < 3";
        all(&engine, &[POINTS, "CREATE VIEW v AS SELECT x, y FROM points", train, replace]).await?;
        gone(&engine, &["\"what\":\"view\"", "the view `main.v` was replaced"]).await
    })
}

#[test]
fn a_version_whose_files_are_gone_is_named() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let engine = engine::open(directory.path()).await?;
        all(&engine, &[POINTS, TRAIN, "INSERT OVERWRITE points VALUES (1, 1, 'a', 1.0)"]).await?;
        identical(&engine, "m").await?;
        engine.close().await;
        drop(engine);
        let removed = remove_first_data_file(directory.path())?;
        let engine = engine::open(directory.path()).await?;
        let message = format!("version 0 of `main.points` has lost the data file `{removed}`");
        gone(&engine, &["\"what\":\"data\"", "\"version\":0", &message]).await
    })
}

/// Removes the oldest data file of the only table; its name.
fn remove_first_data_file(data_dir: &Path) -> Outcome<String> {
    let mut files = paths::files(&data_dir.join("tables"), "parquet")?;
    files.sort_by_key(|file| std::fs::metadata(file).and_then(|file| file.modified()).ok());
    let first = files.first().context("expected a data file")?;
    std::fs::remove_file(first)?;
    Ok(first.file_name().context("expected a name")?.to_string_lossy().into_owned())
}

/// Changes what the only run of a closed data directory says.
async fn change_run(data_dir: &Path, change: fn(&mut Run)) -> Outcome {
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
    let directory = DataDirectory::open(data_dir, &disk)?;
    let lake = Lake::open(directory, Arc::clone(&disk))?;
    let registry = Registry::open(data_dir, disk, lake).await?;
    let mut run = registry.with_index(|index| index.runs().next().cloned()).context("expected a run")?;
    change(&mut run);
    registry.transact(move |_| Ok((vec![Row::Run(run.clone())], ()))).await?;
    registry.close().await;
    Ok(())
}

/// Trains, changes the run, and reproduces.
async fn after(change: fn(&mut Run)) -> Outcome<Answer> {
    let directory = tempfile::tempdir()?;
    let engine = engine::open(directory.path()).await?;
    all(&engine, &[POINTS, TRAIN]).await?;
    engine.close().await;
    drop(engine);
    change_run(directory.path(), change).await?;
    let engine = engine::open(directory.path()).await?;
    reproduce(&engine, "m").await
}

#[test]
fn another_build_and_another_processor_are_named_where_the_bytes_are_the_same() -> Outcome {
    engine::block_on(async {
        let answer = after(|run| run.engine_build = Some("limn 0.0.1 feed".into())).await?;
        let told = ["\"what\":\"engine_build\"", "\"recorded\":\"limn 0.0.1 feed\""]
            .map(|part| answer.differences.contains(part))
            == [true; 2];
        ensure(answer.reproduced && told, || format!("{answer:?}"))?;
        let answer = after(|run| run.cpu_level = Some("x86-64-v9".into())).await?;
        let told = ["\"what\":\"cpu_level\"", "\"recorded\":\"x86-64-v9\""]
            .map(|part| answer.differences.contains(part))
            == [true; 2];
        ensure(answer.reproduced && told, || format!("{answer:?}"))
    })
}

#[test]
fn another_result_is_named() -> Outcome {
    engine::block_on(async {
        let answer = after(|run| run.seed = Some(4)).await?;
        let told = answer.differences.contains("\"what\":\"result\"");
        ensure(!answer.reproduced && answer.expected != answer.found && told, || format!("{answer:?}"))
    })
}

#[test]
fn a_run_of_the_first_format_is_reproduced() -> Outcome {
    engine::block_on(async {
        let forget = |run: &mut Run| (run.session, run.parameters, run.cpu_level) = (None, None, None);
        let answer = after(forget).await?;
        ensure(answer.reproduced && answer.differences == "[]", || format!("{answer:?}"))
    })
}

#[test]
fn what_cannot_be_reproduced_is_an_error() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let engine = engine::open(directory.path()).await?;
        all(&engine, &[POINTS, TRAIN]).await?;
        for (sql, expected) in [
            ("REPRODUCE MODEL n", "unknown model `n`"),
            ("REPRODUCE MODEL m VERSION 2", "model `m` has no version 2, its only version is 1"),
            ("REPRODUCE MODEL m ALIAS a", "model `m` has no alias `a`, it has no aliases"),
            (
                "REPRODUCE MODEL m VERSION 1 ALIAS a",
                "expected the end of the statement, found `ALIAS` at line 1, column 29",
            ),
        ] {
            let ctx = StatementContext::new(Principal::anonymous(), Arc::new(Session::new()));
            let found = engine.execute(&ctx, sql, &[]).await.err().map(|error| error.message().to_string());
            ensure(found.as_deref() == Some(expected), || format!("{sql}: {found:?}"))?;
        }
        Ok(())
    })
}
