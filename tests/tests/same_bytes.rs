//! The same rows, parameters and seed give the same artifact on any number of threads, in batches of any size, from one
//! file and from fifty: of every algorithm that there is, for each kind of target that it learns.
//!
//! What is expected is that all are equal; what is in them is tested elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use futures::TryStreamExt;
use limn_server::engine::{Engine, EngineOptions, Principal, Session, StatementContext};
use limn_server::lake::disk::LocalDisk;
use limn_server::limits::Limits;
use limn_server::telemetry::Metrics;
use limn_sql_udfs::train::{Request, Split, algorithms, check};
use limn_tests::{Context, Outcome, cells, engine, ensure, fail};

const THREADS: [usize; 3] = [1, 2, 8];
const BATCH_ROWS: [usize; 3] = [1, 7, 8192];
const FILES: u32 = 50;

/// Rows with gaps, repetitions, texts and flags; `amount` is positive, `kind` has three classes.
const ROWS: &str = "SELECT i % 41 + i / 97.0 AS a, CASE WHEN i % 13 = 0 THEN NULL ELSE (i * 37) % 101 END AS b,
    CASE i % 5 WHEN 0 THEN 'red' WHEN 1 THEN 'green' WHEN 2 THEN NULL ELSE 'größe' END AS c, i % 4 = 0 AS d,
    1.0 + (i * 53) % 89 + (i % 41) * 2 AS amount, CASE WHEN (i * 37) % 101 < 30 THEN 'low' WHEN i % 41 > 25 THEN 'high'
    ELSE 'mid' END AS kind, i AS i FROM generate_series(1, 400) AS g(i)";

/// The columns of a training for each kind of target.
const TARGETS: [(Option<&str>, &str); 3] =
    [(Some("amount"), "a, b, c, d, amount"), (Some("kind"), "a, b, c, d, kind"), (None, "a, b, d, amount")];

fn schema(columns: &str) -> Schema {
    let field = |name: &str| {
        let data_type = match name {
            "c" | "kind" => DataType::Utf8,
            "d" => DataType::Boolean,
            _ => DataType::Float64,
        };
        Field::new(name, data_type, true)
    };
    Schema::new(columns.split(", ").map(field).collect::<Vec<_>>())
}

/// Every algorithm with each target that it learns.
fn trainings() -> Vec<(&'static str, Option<&'static str>, &'static str)> {
    let learns = |name: &str, target: Option<&str>, columns: &str| {
        let request = Request {
            partition: None,
            algorithm: Some(name.into()),
            parameters: Vec::new(),
            target: target.map(str::to_string),
            split: Split::Random(0.2),
            seed: 5,
        };
        check(&request, &schema(columns)).is_ok()
    };
    let all = algorithms().flat_map(|algorithm| TARGETS.map(|(target, columns)| (algorithm.name, target, columns)));
    all.filter(|(name, target, columns)| learns(name, *target, columns)).collect()
}

async fn open(data_dir: &Path, threads: usize, batch_rows: usize) -> Outcome<Engine> {
    let options = EngineOptions {
        data_dir: data_dir.to_path_buf(),
        shared: None,
        memory_bytes: engine::MEMORY_BYTES,
        disk: Arc::new(LocalDisk),
        limits: Limits { threads, batch_rows, ..Limits::default() },
        metrics: Metrics::default(),
    };
    Engine::open(options).await.context("opening the engine")
}

async fn rows(engine: &Engine, sql: &str) -> Outcome<Vec<Vec<String>>> {
    let ctx = StatementContext::new(Principal::anonymous(), Arc::new(Session::new()));
    let answer = engine.execute(&ctx, sql, &[]).await.context(sql)?;
    let batches: Vec<_> = answer.batches.try_collect().await.context(sql)?;
    cells::rows(&batches)
}

#[test]
fn every_algorithm_gives_the_same_bytes() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let engine = open(directory.path(), 2, 8192).await?;
        rows(&engine, &format!("CREATE TABLE one AS {ROWS}")).await?;
        rows(&engine, &format!("CREATE TABLE fifty AS SELECT * FROM ({ROWS}) WHERE i % {FILES} = 0")).await?;
        for part in 1..FILES {
            rows(&engine, &format!("INSERT INTO fifty SELECT * FROM one WHERE i % {FILES} = {part}")).await?;
        }
        engine.close().await;
        drop(engine);
        let trainings = trainings();
        let known = trainings.iter().map(|(name, ..)| *name).collect::<std::collections::BTreeSet<_>>();
        ensure(known.len() == algorithms().count(), || format!("these learn: {known:?}"))?;
        let mut found: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for (threads, batch_rows) in THREADS.into_iter().flat_map(|t| BATCH_ROWS.map(|b| (t, b))) {
            let engine = open(directory.path(), threads, batch_rows).await?;
            for ((name, target, columns), table) in trainings.iter().flat_map(|t| ["one", "fifty"].map(|f| (t, f))) {
                // With the default all rows of this table are noise.
                let parameters = if *name == "dbscan" { "(eps = 1000)" } else { "" };
                let clause = target.map(|target| format!("TARGET {target}")).unwrap_or_default();
                let sql =
                    format!("TRAIN MODEL m USING {name} {parameters} {clause} SEED 5 AS SELECT {columns} FROM {table}");
                let row = rows(&engine, &sql).await?;
                let [row] = row.as_slice() else { return Err(fail(format!("expected one row of {sql}"))) };
                let how = format!("{threads} threads, {batch_rows} rows a batch, table {table}");
                found.entry(format!("{name} {clause}")).or_default().entry(row[7].clone()).or_default().push(how);
            }
            engine.close().await;
        }
        for (training, artifacts) in found {
            ensure(artifacts.len() == 1, || format!("{training}: {artifacts:#?}"))?;
        }
        Ok(())
    })
}
