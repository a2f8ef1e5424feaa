//! Atomicity, order and refusal of transactions.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::Class;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_transactions_get_distinct_versions() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let registry = registry.clone();
            tokio::spawn(async move { register(&registry, "m").await })
        })
        .collect();
    let mut given: Vec<u64> = Vec::new();
    for task in tasks {
        given.push(task.await.unwrap());
    }
    given.sort_unstable();
    assert_eq!(given, (1..=64).collect::<Vec<u64>>());
    drop(registry);
    let registry = open(dir.path(), &target).await;
    assert_eq!(registry.index().model_versions("m").count(), 64);
}

#[tokio::test]
async fn a_transaction_is_read_back_at_once_and_by_the_next_writer() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &MemoryTarget::new()).await;
    put(&registry, vec![finished("r"), param("r", "depth", "3")]).await.unwrap();
    assert_eq!(registry.index().params("r").next().unwrap().value, "3");
    let seen = registry.transact(|index| Ok((vec![], index.params("r").count()))).await.unwrap();
    assert_eq!(seen, 1);
    assert_eq!(registry.index().last_seq(), 2, "a transaction without rows has no number");
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &MemoryTarget::new()).await;
    register(&registry, "m").await;
    let before = shown(&registry, SystemAt::Latest).await;
    let unset = |name: &str, alias: &str| Row::UnsetAlias { name: name.into(), alias: alias.into() };
    let cases: Vec<(Vec<Row>, Class, &str)> = vec![
        (vec![finished("x"), param("y", "k", "v")], Class::NotFound, "unknown run `y`"),
        (vec![metric("y", "k", 0, 0, 0.0)], Class::NotFound, "unknown run `y`"),
        (vec![version("n", 1, None)], Class::NotFound, "unknown model `n`"),
        (vec![version("m", 2, Some("y"))], Class::NotFound, "unknown run `y`"),
        (vec![alias("m", "a", 2)], Class::NotFound, "model `m` has no version 2, its only version is 1"),
        (vec![alias("k", "a", 1)], Class::NotFound, "unknown model `k`"),
        (vec![alias("m", "latest", 1)], Class::Input, "`latest` cannot be an alias: it would read as a version"),
        (vec![unset("m", "a")], Class::NotFound, "model `m` has no alias `a`, it has no aliases"),
        (vec![model("a/b")], Class::Input, "a model name cannot contain `/`, found `a/b`"),
    ];
    for (rows, class, message) in cases {
        let error = put(&registry, rows).await.unwrap_err();
        assert_eq!((error.class(), error.message()), (class, message));
    }
    let own: Result<()> = registry.transact(|_| Err(Error::cancelled("no"))).await;
    assert_eq!(own.unwrap_err().class(), Class::Cancelled);
    assert_eq!(shown(&registry, SystemAt::Latest).await, before);
    assert_eq!(registry.index().last_seq(), 2);
}

#[tokio::test]
async fn a_model_version_needs_its_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &MemoryTarget::new()).await;
    let rows = || vec![model("m"), version("m", 1, None)];
    let error = put(&registry, rows()).await.unwrap_err();
    assert_eq!(error.class(), Class::Internal);
    assert!(error.message().contains(ARTIFACT), "{error}");
    registry.put_artifact(ARTIFACT, b"").await.unwrap();
    put(&registry, rows()).await.unwrap();
    assert_eq!(registry.artifact(ARTIFACT).await.unwrap(), b"");
}

#[tokio::test]
async fn a_row_that_comes_twice_in_a_transaction_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    put(&registry, vec![finished("r"), param("r", "k", "first"), param("r", "k", "last")]).await.unwrap();
    assert_eq!(registry.index().params("r").next().unwrap().value, "last");
    registry.fold().await.unwrap();
    assert_eq!(target.stored_rows(SystemTable::Params), 1);
}

#[tokio::test]
async fn too_large_a_transaction_is_refused_and_the_largest_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &MemoryTarget::new()).await;
    put(&registry, vec![finished("r")]).await.unwrap();
    let limit = crate::limits::REGISTRY_RECORD_BYTES_MAX;
    let error = put(&registry, vec![param("r", "k", &"x".repeat(limit))]).await.unwrap_err();
    assert_eq!(error.class(), Class::Exhausted);
    // Two that fit alone, but not together in one frame.
    let value = "x".repeat(limit - 1024);
    let (a, b) =
        tokio::join!(put(&registry, vec![param("r", "a", &value)]), put(&registry, vec![param("r", "b", &value)]));
    a.unwrap();
    b.unwrap();
    assert_eq!(registry.index().params("r").count(), 2);
}

#[tokio::test]
async fn recorded_times_grow_even_where_the_clock_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let time = Arc::new(AtomicI64::new(1_000_000));
    let clock = {
        let time = time.clone();
        Arc::new(move || micros(time.load(Ordering::SeqCst))) as Clock
    };
    let registry = open_at(dir.path(), &target, clock.clone()).await;
    for (now, run_id) in [(1_000_005, "a"), (3, "b"), (3, "c")] {
        time.store(now, Ordering::SeqCst);
        put(&registry, vec![finished(run_id)]).await.unwrap();
    }
    drop(registry);
    let registry = open_at(dir.path(), &target, clock).await;
    put(&registry, vec![finished("d")]).await.unwrap();
    let batches = registry.rows(SystemTable::Runs, SystemAt::Latest).await.unwrap();
    assert_eq!(stamps(&batches), [(2, 1_000_005), (3, 1_000_006), (4, 1_000_007), (5, 1_000_008)]);
}

#[tokio::test]
async fn a_closed_registry_refuses_transactions_and_still_answers() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    put(&registry, vec![finished("r")]).await.unwrap();
    registry.close().await;
    let error = put(&registry, vec![finished("s")]).await.unwrap_err();
    assert_eq!((error.class(), error.message()), (Class::Unavailable, "the registry is closed"));
    assert_eq!(count(&registry, SystemTable::Runs).await, 1);
    assert_eq!(target.stored_rows(SystemTable::Runs), 1);
    registry.close().await;
}

/// The columns `seq` and `recorded_at` (in microseconds) of batches.
fn stamps(batches: &[RecordBatch]) -> Vec<(i64, i64)> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
    let stamps = |batch: &RecordBatch| {
        let seqs = batch.column_by_name("seq").unwrap().as_primitive::<Int64Type>().values().to_vec();
        let times = batch.column_by_name("recorded_at").unwrap();
        let times = times.as_primitive::<TimestampMicrosecondType>().values().to_vec();
        seqs.into_iter().zip(times)
    };
    batches.iter().flat_map(stamps).collect()
}
