//! Two registries over one log, as two servers have them: each transaction is decided on what was answered before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::lake::DataDirectory;
use crate::lake::disk::Disk;
use crate::registry::Shared;

const PATIENT: Duration = Duration::from_secs(3600);

/// A registry that shares `dir` with others.
async fn open_shared(dir: &Path, target: &Arc<MemoryTarget>, clock: Clock) -> Registry {
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
    let directory = DataDirectory::open_for(dir, &disk, Some(true), PATIENT).unwrap();
    let member = directory.member().unwrap().clone();
    member.beat().await.unwrap();
    let segments = directory.sequence("registry/log", &disk, false).unwrap();
    let shared = Some(Shared { member, segments });
    crate::registry::open::open(dir, disk, target.clone(), clock, shared).await.unwrap()
}

fn now() -> Clock {
    Arc::new(Utc::now)
}

async fn pair(dir: &Path, target: &Arc<MemoryTarget>) -> (Registry, Registry) {
    let (one, other) = (open_shared(dir, target, now()).await, open_shared(dir, target, now()).await);
    put(&one, vec![finished("r")]).await.unwrap();
    other.refresh().await.unwrap();
    (one, other)
}

fn params(registry: &Registry) -> Vec<String> {
    registry.with_index(|index| index.params("r").map(|param| param.key.clone()).collect())
}

#[tokio::test]
async fn a_transaction_is_decided_again_on_what_another_server_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = pair(dir.path(), &MemoryTarget::new()).await;
    put(&one, vec![param("r", "a", "1")]).await.unwrap();
    let asked = AtomicUsize::new(0);
    let seen = other.transact(|index| {
        asked.fetch_add(1, Ordering::SeqCst);
        let seen = index.params("r").count();
        Ok((vec![param("r", "b", "2")], seen))
    });
    assert_eq!(seen.await.unwrap(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "once on what it knew, once on what there was");
    assert_eq!(params(&one), ["a"]);
    one.refresh().await.unwrap();
    assert_eq!(params(&one), ["a", "b"]);
    assert_eq!(one.with_index(|index| index.last_seq()), other.with_index(|index| index.last_seq()));
}

#[tokio::test]
async fn a_refusal_too_is_decided_on_the_newest_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = pair(dir.path(), &MemoryTarget::new()).await;
    put(&one, vec![param("r", "a", "1")]).await.unwrap();
    let found = other.transact(|index| match index.params("r").count() {
        0 => Err(Error::not_found("there is none")),
        count => Ok((vec![], count)),
    });
    assert_eq!(found.await.unwrap(), 1);
}

#[tokio::test]
async fn many_writers_of_two_servers_get_numbers_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = pair(dir.path(), &MemoryTarget::new()).await;
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..64_u32 {
        let registry = if n % 2 == 0 { one.clone() } else { other.clone() };
        writers.spawn(async move {
            registry
                .transact(|index| {
                    let number = index.params("r").count();
                    Ok((vec![param("r", &format!("{number:03}"), "x")], number))
                })
                .await
                .unwrap()
        });
    }
    let mut numbers: Vec<usize> = writers.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..64).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_read_at_a_time_stays_whoever_writes_next_and_whatever_their_clock_says() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let fast: Clock = Arc::new(|| Utc::now() + chrono::TimeDelta::seconds(100));
    // The first one makes the first row, by its clock.
    let (other, one) = (open_shared(dir.path(), &target, now()).await, open_shared(dir.path(), &target, fast).await);
    put(&other, vec![finished("r"), param("r", "a", "1")]).await.unwrap();
    one.refresh().await.unwrap();
    let time = Utc::now() + chrono::TimeDelta::seconds(50);
    let rows = async |registry: &Registry| {
        let batches = registry.rows(SystemTable::Params, SystemAt::Timestamp(time)).await.unwrap();
        batches.iter().map(RecordBatch::num_rows).sum::<usize>()
    };
    let before = rows(&one).await;
    assert_eq!(before, 1);
    put(&other, vec![param("r", "b", "1")]).await.unwrap();
    one.refresh().await.unwrap();
    assert_eq!(rows(&one).await, before);
    assert_eq!(rows(&other).await, before);
}

#[tokio::test]
async fn one_folds_for_all_and_a_third_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let (one, other) = pair(dir.path(), &target).await;
    put(&one, vec![param("r", "a", "1")]).await.unwrap();
    put(&other, vec![param("r", "b", "1")]).await.unwrap();
    other.fold().await.unwrap();
    assert_eq!(target.stored_rows(SystemTable::Params), 0, "the other one leads");
    one.fold().await.unwrap();
    assert_eq!(target.stored_rows(SystemTable::Params), 2);
    other.fold().await.unwrap();
    put(&other, vec![param("r", "c", "1")]).await.unwrap();
    let third = open_shared(dir.path(), &target, now()).await;
    assert_eq!(params(&third), ["a", "b", "c"]);
    for registry in [&one, &other, &third] {
        registry.refresh().await.unwrap();
        let batches = registry.rows(SystemTable::Params, SystemAt::Latest).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    }
}
