//! Exactly once, whatever stops between two steps of a fold.

use super::super::segment;
use super::*;

/// Transactions over several tables; gives what each table must store in the end (the Default experiment included).
async fn write(registry: &Registry) {
    register(registry, "m").await;
    put(registry, vec![alias("m", "prod", 1), param("m-1", "depth", "3")]).await.unwrap();
    put(registry, vec![metric("m-1", "rmse", 0, 1, 0.5), param("m-1", "depth", "4")]).await.unwrap();
}

const STORED: [(SystemTable, usize); 8] = [
    (SystemTable::Experiments, 1),
    (SystemTable::Runs, 1),
    (SystemTable::Params, 2),
    (SystemTable::Metrics, 1),
    (SystemTable::Inputs, 1),
    (SystemTable::Models, 1),
    (SystemTable::ModelVersions, 1),
    (SystemTable::ModelAliases, 1),
];

fn assert_stored_once(target: &MemoryTarget, what: &str) {
    for (table, rows) in STORED {
        assert_eq!(target.stored_rows(table), rows, "{}: {what}", table.name());
    }
}

fn segments(dir: &Path) -> Vec<u64> {
    segment::list(&dir.join("registry")).unwrap()
}

#[tokio::test]
async fn a_fold_empties_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    write(&registry).await;
    assert_eq!(segments(dir.path()), [1]);
    registry.fold().await.unwrap();
    assert_eq!(segments(dir.path()), [5]);
    assert_stored_once(&target, "folded");
    registry.fold().await.unwrap();
    assert_eq!(segments(dir.path()), [5]);
    assert_stored_once(&target, "folded twice");
    assert_eq!(registry.index().last_seq(), 4);
    let registry = open(dir.path(), &target).await;
    assert_eq!(registry.index().last_seq(), 4);
    assert_eq!(register(&registry, "m").await, 2);
}

#[tokio::test]
async fn a_failed_append_is_repeated_by_the_next_fold() {
    for lands in [false, true] {
        for appends in 0..8 {
            let what = format!("append {appends} failed, landed: {lands}");
            let dir = tempfile::tempdir().unwrap();
            let target = MemoryTarget::failing_after(appends, lands);
            let registry = open(dir.path(), &target).await;
            write(&registry).await;
            let before = shown(&registry, SystemAt::Latest).await;
            registry.fold().await.unwrap_err();
            assert_eq!(segments(dir.path()), [1, 5], "{what}");
            assert_eq!(shown(&registry, SystemAt::Latest).await, before, "{what}");
            target.heal();
            registry.fold().await.unwrap();
            assert_eq!(segments(dir.path()), [5], "{what}");
            assert_stored_once(&target, &what);
        }
    }
}

#[tokio::test]
async fn a_crash_after_any_append_repeats_nothing() {
    for appends in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let target = MemoryTarget::failing_after(appends, true);
        let registry = open(dir.path(), &target).await;
        write(&registry).await;
        let before = shown(&registry, SystemAt::Latest).await;
        registry.fold().await.unwrap_err();
        target.heal();
        drop(registry);
        let registry = open(dir.path(), &target).await;
        assert_eq!(shown(&registry, SystemAt::Latest).await, before);
        registry.fold().await.unwrap();
        assert_stored_once(&target, &format!("crash at append {appends}"));
        assert_eq!(shown(&registry, SystemAt::Latest).await, before);
        assert_eq!(registry.index().last_seq(), 4);
    }
}

#[tokio::test]
async fn segments_that_a_power_cut_brings_back_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::failing_after(0, false);
    let registry = open(dir.path(), &target).await;
    write(&registry).await;
    registry.fold().await.unwrap_err();
    target.heal();
    put(&registry, vec![param("m-1", "late", "1")]).await.unwrap();
    let before = shown(&registry, SystemAt::Latest).await;
    let log = dir.path().join("registry");
    let kept: Vec<(u64, Vec<u8>)> =
        [1, 5].map(|first| (first, std::fs::read(segment::path(&log, first)).unwrap())).into();
    registry.fold().await.unwrap();
    drop(registry);
    assert_eq!(segments(dir.path()), [6]);
    // Any of the removed ones may be back.
    for back in [vec![0], vec![1], vec![0, 1]] {
        for segment in &back {
            std::fs::write(segment::path(&log, kept[*segment].0), &kept[*segment].1).unwrap();
        }
        let registry = open(dir.path(), &target).await;
        assert_eq!(shown(&registry, SystemAt::Latest).await, before, "{back:?}");
        registry.fold().await.unwrap();
        assert_eq!(segments(dir.path()), [6], "{back:?}");
        assert_eq!(target.stored_rows(SystemTable::Params), 3, "{back:?}");
    }
}

#[tokio::test]
async fn rows_are_folded_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    write(&registry).await;
    // As the log's writer says it once enough rows wait.
    registry.inner.published.fold_due.notify_one();
    let folded = async {
        while segments(dir.path()) != [5] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), folded).await.unwrap();
    assert_stored_once(&target, "in the background");
}
