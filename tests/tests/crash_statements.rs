//! What statements leave behind when the power goes: loads, trainings and aliases through the whole engine.
//!
//! A story runs once on a disk that keeps a journal. Then the power is cut at points all along it, everything that was
//! not synced is lost, and a new engine on the rest must show the state after the statements that had been answered, or
//! after one more; no run may still be running. `LIMN_CUT_STRIDE` says how many operations lie between two cuts.

use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use limn_server::engine::{Engine, EngineOptions, Principal, Session, StatementContext};
use limn_server::lake::disk::{Disk, LocalDisk};
use limn_server::limits::Limits;
use limn_server::telemetry::Metrics;
use limn_tests::crash_disk::{CrashDisk, Unsynced};
use limn_tests::{Outcome, cells, engine, ensure, fail};

/// What the story leaves to see: rows of `t`, whether the view answers, versions of the model, the alias's version, and
/// predictions with their lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    rows: Option<u64>,
    view: bool,
    versions: u64,
    champion: Option<u64>,
    predicted: Option<u64>,
    /// Commits that `system.lineage` knows a model wrote; each added 10 predictions.
    lineage: u64,
}

/// Each statement, and what is to be seen after it; worked out by hand.
const STORY: &[(&str, Seen)] = &[
    ("CREATE TABLE t (a BIGINT, y DOUBLE)", seen(Some(0), false, 0, None)),
    (
        "INSERT INTO t SELECT value, 2.0 * value + 1.0 FROM generate_series(1, 20) AS s(value)",
        seen(Some(20), false, 0, None),
    ),
    ("CREATE VIEW v AS SELECT count(*) AS n FROM t", seen(Some(20), true, 0, None)),
    ("TRAIN MODEL m USING linear_regression TARGET y SPLIT NONE AS SELECT a, y FROM t", seen(Some(20), true, 1, None)),
    ("ALTER MODEL m SET ALIAS champion TO VERSION 1", seen(Some(20), true, 1, Some(1))),
    ("INSERT INTO t VALUES (21, 43.0)", seen(Some(21), true, 1, Some(1))),
    (
        "TRAIN MODEL m USING linear_regression TARGET y SPLIT NONE ALIAS champion AS SELECT a, y FROM t",
        seen(Some(21), true, 2, Some(2)),
    ),
    ("INSERT OVERWRITE t VALUES (1, 3.0), (2, 5.0)", seen(Some(2), true, 2, Some(2))),
    (
        "CREATE TABLE p AS SELECT PREDICT('m', value) AS y FROM generate_series(1, 10) AS s(value)",
        Seen { predicted: Some(10), lineage: 1, ..seen(Some(2), true, 2, Some(2)) },
    ),
    (
        "INSERT INTO p SELECT PREDICT('m@champion', value) FROM generate_series(1, 10) AS s(value)",
        Seen { predicted: Some(20), lineage: 2, ..seen(Some(2), true, 2, Some(2)) },
    ),
];

const fn seen(rows: Option<u64>, view: bool, versions: u64, champion: Option<u64>) -> Seen {
    Seen { rows, view, versions, champion, predicted: None, lineage: 0 }
}

/// Operations between two cuts where the environment says nothing; a prime, so that cuts fall everywhere in statements.
const STRIDE: usize = 7;

async fn open(data_dir: &Path, disk: Arc<dyn Disk>) -> limn_server::Result<Engine> {
    let options = EngineOptions {
        data_dir: data_dir.to_path_buf(),
        shared: None,
        memory_bytes: engine::MEMORY_BYTES,
        disk,
        limits: Limits::default(),
        metrics: Metrics::default(),
    };
    Engine::open(options).await
}

async fn rows(engine: &Engine, sql: &str) -> Outcome<Vec<Vec<String>>> {
    let ctx = StatementContext::new(Principal::anonymous(), Arc::new(Session::new()));
    let answer = engine.execute(&ctx, sql, &[]).await?;
    let batches: Vec<_> = answer.batches.try_collect().await?;
    cells::rows(&batches)
}

/// The one number of a query; `None` where it has no row or cannot be answered.
async fn number(engine: &Engine, sql: &str) -> Option<u64> {
    rows(engine, sql).await.ok()?.first()?.first()?.parse().ok()
}

async fn observe(engine: &Engine) -> Seen {
    Seen {
        rows: number(engine, "SELECT count(*) FROM t").await,
        view: number(engine, "SELECT n FROM v").await.is_some(),
        versions: number(engine, "SELECT count(*) FROM system.model_versions").await.unwrap_or(0),
        champion: number(engine, "SELECT version FROM system.model_aliases WHERE alias = 'champion'").await,
        predicted: number(engine, "SELECT count(*) FROM p").await,
        lineage: number(engine, "SELECT count(*) FROM system.lineage WHERE kind = 'predict' AND role = 'target'")
            .await
            .unwrap_or(0),
    }
}

/// What must hold besides: every version scores, no run goes on, and an interrupted one says why.
async fn check_whole(engine: &Engine, versions: u64) -> Outcome {
    for version in 1..=versions {
        let value = rows(engine, &format!("SELECT abs(PREDICT('m/{version}', 10) - 21.0) < 1e-9")).await?;
        ensure(value == [["true"]], || format!("version {version} gives {value:?}"))?;
    }
    let odd = rows(
        engine,
        "SELECT run_id, status, error FROM system.runs WHERE status <> 'FINISHED' AND (status <> 'FAILED' OR error IS NULL)",
    )
    .await?;
    ensure(odd.is_empty(), || format!("runs are not at an end: {odd:?}"))
}

fn stride() -> Outcome<usize> {
    match std::env::var("LIMN_CUT_STRIDE") {
        Ok(text) => {
            text.parse().map_err(|_| fail(format!("expected a number from 1 in LIMN_CUT_STRIDE, found `{text}`")))
        }
        Err(_) => Ok(STRIDE),
    }
}

#[test]
fn a_power_cut_keeps_answered_statements_and_nothing_half_done() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let disk = CrashDisk::new(directory.path())?;
        let story = open(directory.path(), Arc::new(disk.clone())).await?;
        let mut answered = vec![disk.operations()];
        for (sql, _) in STORY {
            rows(&story, sql).await?;
            answered.push(disk.operations());
        }
        story.close().await;
        let states: Vec<Seen> =
            std::iter::once(seen(None, false, 0, None)).chain(STORY.iter().map(|(_, s)| s.clone())).collect();
        let mut failed_runs = 0;
        for cut in (answered[0]..=disk.operations()).step_by(stride()?.max(1)) {
            let into = tempfile::tempdir()?;
            disk.power_cut(cut, Unsynced::Lost, into.path())?;
            let recovered = open(into.path(), Arc::new(LocalDisk)).await?;
            let done = answered.iter().filter(|at| **at <= cut).count() - 1;
            let found = observe(&recovered).await;
            let expected = &states[done..states.len().min(done + 2)];
            ensure(expected.contains(&found), || format!("cut after {cut}: found {found:?}, expected {expected:?}"))?;
            check_whole(&recovered, found.versions).await?;
            failed_runs +=
                number(&recovered, "SELECT count(*) FROM system.runs WHERE status = 'FAILED'").await.unwrap_or(0);
            recovered.close().await;
        }
        // At least one cut fell into a training, or this test has not seen what it is here for.
        ensure(failed_runs > 0, || "no cut interrupted a training".into())
    })
}
