//! Tests of the registry as a whole, on a target of folding in memory.
//!
//! What a power cut leaves of it on a real lake is tested in `limn-tests`.

mod as_of;
mod durability;
mod folding;
mod look_ups;
mod transactions;
mod two_registries;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::transact::Clock;
use super::*;
use crate::Error;
use crate::lake::disk::LocalDisk;

/// The hash of no bytes, the artifact of every model here.
const ARTIFACT: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Appended batches in memory; outlives the registries of a test as Delta tables would.
#[derive(Default)]
struct MemoryTarget {
    tables: Mutex<HashMap<SystemTable, (u64, Vec<RecordBatch>)>>,
    /// Appends until the next one fails; negative for never.
    until_failure: AtomicI64,
    /// Whether the failing append happens all the same.
    lands: bool,
}

impl MemoryTarget {
    fn new() -> Arc<Self> {
        MemoryTarget::failing_after(-1, false)
    }

    fn failing_after(appends: i64, lands: bool) -> Arc<Self> {
        Arc::new(MemoryTarget { until_failure: AtomicI64::new(appends), lands, ..MemoryTarget::default() })
    }

    fn heal(&self) {
        self.until_failure.store(-1, Ordering::SeqCst);
    }

    fn stored_rows(&self, table: SystemTable) -> usize {
        let tables = self.tables.lock().unwrap();
        tables.get(&table).map_or(0, |(_, batches)| batches.iter().map(RecordBatch::num_rows).sum())
    }
}

#[async_trait]
impl FoldTarget for MemoryTarget {
    async fn folded(&self, table: SystemTable) -> Result<u64> {
        Ok(self.tables.lock().unwrap().get(&table).map_or(0, |(through, _)| *through))
    }

    async fn append(&self, table: SystemTable, batches: Vec<RecordBatch>, _: u64, through: u64) -> Result<()> {
        let left = self.until_failure.load(Ordering::SeqCst);
        if left >= 0 {
            self.until_failure.store(left.saturating_sub(1), Ordering::SeqCst);
        }
        if left != 0 || self.lands {
            let mut tables = self.tables.lock().unwrap();
            let (recorded, stored) = tables.entry(table).or_default();
            if *recorded < through {
                *recorded = through;
                stored.extend(batches);
            }
        }
        match left {
            0 => Err(Error::unavailable("the target fails, as the test wants it")),
            _ => Ok(()),
        }
    }

    async fn read(&self, table: SystemTable) -> Result<Vec<RecordBatch>> {
        Ok(self.tables.lock().unwrap().get(&table).map_or_else(Vec::new, |(_, stored)| stored.clone()))
    }
}

async fn try_open(dir: &Path, target: &Arc<MemoryTarget>) -> Result<Registry> {
    Registry::open_on(dir, Arc::new(LocalDisk), target.clone()).await
}

async fn open(dir: &Path, target: &Arc<MemoryTarget>) -> Registry {
    try_open(dir, target).await.unwrap()
}

async fn open_at(dir: &Path, target: &Arc<MemoryTarget>, clock: Clock) -> Registry {
    super::open::open(dir, Arc::new(LocalDisk), target.clone(), clock, None).await.unwrap()
}

async fn put(registry: &Registry, rows: Vec<Row>) -> Result<()> {
    registry.transact(|_| Ok((rows.clone(), ()))).await
}

fn micros(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

fn run(run_id: &str, source: RunSource, status: RunStatus) -> Row {
    Row::Run(Run {
        run_id: run_id.into(),
        experiment_id: "0".into(),
        name: "größe".into(),
        status,
        source,
        user_name: "anonymous".into(),
        query_id: Some("q".into()),
        statement: Some("TRAIN MODEL \"m\"\nAS SELECT 1".into()),
        algorithm: None,
        seed: Some(-7),
        engine_build: None,
        started_at: micros(1),
        ended_at: None,
        error: None,
        cpu_level: None,
        session: None,
        parameters: None,
    })
}

fn finished(run_id: &str) -> Row {
    run(run_id, RunSource::Train, RunStatus::Finished)
}

fn param(run_id: &str, key: &str, value: &str) -> Row {
    Row::Param(Param { run_id: run_id.into(), key: key.into(), value: value.into() })
}

fn metric(run_id: &str, key: &str, step: i64, timestamp: i64, value: f64) -> Row {
    Row::Metric(Metric { run_id: run_id.into(), key: key.into(), value, step, timestamp: micros(timestamp) })
}

fn input(run_id: &str, table_id: &str, version: u64) -> Row {
    Row::Input(Input {
        run_id: run_id.into(),
        table_schema: "main".into(),
        table_name: "readings".into(),
        table_id: table_id.into(),
        version,
        context: "training".into(),
    })
}

fn model(name: &str) -> Row {
    Row::Model(Model { name: name.into(), description: None, created_at: micros(2) })
}

fn version(name: &str, version: u64, run_id: Option<&str>) -> Row {
    Row::ModelVersion(ModelVersion {
        name: name.into(),
        version,
        model_id: "m-0".into(),
        run_id: run_id.map(str::to_string),
        algorithm: "linear_regression".into(),
        task: "regression".into(),
        target: Some("y".into()),
        signature: "{}".into(),
        artifact_sha256: ARTIFACT.into(),
        artifact_bytes: 0,
        rows: 10,
        metrics: "{\"rmse\":0.5}".into(),
        created_at: micros(3),
    })
}

fn alias(name: &str, alias: &str, version: u64) -> Row {
    Row::ModelAlias(ModelAlias { name: name.into(), alias: alias.into(), version })
}

/// Registers the next version of a model as a training does and gives its number.
async fn register(registry: &Registry, name: &str) -> u64 {
    registry.put_artifact(ARTIFACT, b"").await.unwrap();
    let register = |index: &Index| {
        let next = index.next_version(name);
        let run_id = format!("{name}-{next}");
        let rows = vec![finished(&run_id), model(name), version(name, next, Some(&run_id)), input(&run_id, "t", next)];
        Ok((rows, next))
    };
    registry.transact(register).await.unwrap()
}

/// What every table shows at a point, as text.
async fn shown(registry: &Registry, at: SystemAt) -> String {
    let mut text = String::new();
    for table in SystemTable::ALL {
        let batches = registry.rows(table, at).await.unwrap();
        batches.iter().for_each(|batch| assert_eq!(batch.schema(), Registry::system_table_schema(table)));
        text += &format!("{}\n{}\n", table.name(), arrow::util::pretty::pretty_format_batches(&batches).unwrap());
    }
    text
}

/// The number of rows that a table shows now.
async fn count(registry: &Registry, table: SystemTable) -> usize {
    registry.rows(table, SystemAt::Latest).await.unwrap().iter().map(RecordBatch::num_rows).sum()
}
