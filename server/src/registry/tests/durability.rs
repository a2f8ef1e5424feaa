//! Damage, torn tails, failing disks, and what a dead server left.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Condvar, Mutex};

use super::super::segment;
use super::*;
use crate::Class;
use crate::lake::disk::{Disk, DiskFile};

/// Writes `runs` transactions of two rows each and drops the registry as a crash would; the segment's bytes, and how
/// long it was after each transaction.
async fn segment_of(dir: &Path, runs: usize) -> (Vec<u8>, Vec<usize>) {
    let registry = open(dir, &MemoryTarget::new()).await;
    let path = segment::path(&dir.join("registry"), 1);
    let mut ends = vec![std::fs::metadata(&path).unwrap().len() as usize];
    for run in 0..runs {
        let id = format!("run-{run}");
        put(&registry, vec![finished(&id), param(&id, "k", "v")]).await.unwrap();
        ends.push(std::fs::metadata(&path).unwrap().len() as usize);
    }
    (std::fs::read(path).unwrap(), ends)
}

#[tokio::test]
async fn a_tail_torn_at_any_byte_loses_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, ends) = segment_of(dir.path(), 2).await;
    let path = segment::path(&dir.path().join("registry"), 1);
    for cut in ends[1]..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let registry = open(dir.path(), &MemoryTarget::new()).await;
        assert_eq!(count(&registry, SystemTable::Runs).await, 1, "cut at {cut}");
        assert_eq!(count(&registry, SystemTable::Params).await, 1, "cut at {cut}");
        assert_eq!(std::fs::read(&path).unwrap(), &bytes[..ends[1]], "cut at {cut}");
        // It goes on where the whole part ends; a few cuts say as much as all of them.
        if cut % 32 != 0 {
            continue;
        }
        put(&registry, vec![finished("next")]).await.unwrap();
        drop(registry);
        let registry = open(dir.path(), &MemoryTarget::new()).await;
        assert_eq!((registry.index().runs().count(), registry.index().last_seq()), (2, 3), "cut at {cut}");
    }
}

#[tokio::test]
async fn damage_before_the_end_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (mut bytes, ends) = segment_of(dir.path(), 3).await;
    let path = segment::path(&dir.path().join("registry"), 1);
    bytes[ends[1] + 20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = try_open(dir.path(), &MemoryTarget::new()).await.err().unwrap();
    assert_eq!(error.class(), Class::Internal);
    let expected = format!("the registry's log `{}` is damaged at byte {}", path.display(), ends[1]);
    assert!(error.message().starts_with(&expected), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "a refusal changes nothing");
}

#[tokio::test]
async fn a_torn_segment_that_is_not_the_last_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::failing_after(0, false);
    let registry = open(dir.path(), &target).await;
    put(&registry, vec![finished("r")]).await.unwrap();
    registry.fold().await.unwrap_err();
    drop(registry);
    let path = segment::path(&dir.path().join("registry"), 1);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let error = try_open(dir.path(), &target).await.err().unwrap();
    assert!(error.message().contains("a record is cut off, and a later segment exists"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = try_open(dir.path(), &target).await.err().unwrap();
    assert!(error.message().ends_with("the transactions 1 to 2 are in no file before it"), "{error}");
}

/// A segment with every table in it, written to the format's description with another language's JSON and CRC-32.
/// It stays as it is: logs that were once written must be read by every later build.
const FORMAT_1: &[u8] = include_bytes!("log_format_1.bin");

#[tokio::test]
async fn a_log_of_the_first_format_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = segment::path(&dir.path().join("registry"), 1);
    std::fs::create_dir(dir.path().join("registry")).unwrap();
    std::fs::write(&path, FORMAT_1).unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    assert_eq!(registry.index().last_seq(), 3, "nothing had to be repaired");
    for (table, rows) in [(SystemTable::Metrics, 2), (SystemTable::ModelAliases, 1), (SystemTable::Runs, 1)] {
        assert_eq!(count(&registry, table).await, rows, "{}", table.name());
    }
    let index = registry.index();
    let run = index.run("r").unwrap();
    assert_eq!((run.name.as_str(), run.status, run.seed), ("größe", RunStatus::Finished, Some(-7)));
    assert_eq!(run.ended_at, Some(micros(1_700_000_000_000_001)));
    assert_eq!(index.params("r").next().unwrap().value, "0.1");
    let metrics: Vec<(&str, f64)> = index.latest_metrics("r").map(|m| (m.key.as_str(), m.value)).collect();
    assert!(metrics[0].0 == "r2" && metrics[0].1.is_nan());
    assert_eq!(metrics[1], ("rmse", 0.1 + 0.2));
    assert_eq!(index.inputs("r").next().unwrap().table_id, "t");
    assert_eq!(index.model_version("m", 1).unwrap().artifact_sha256, ARTIFACT);
    assert!(index.model("m").is_some() && index.model_alias("m", "prod").is_some());
    assert!(index.model_alias("m", "old").is_none());
    drop(index);
    registry.fold().await.unwrap();
    assert_eq!(target.stored_rows(SystemTable::ModelAliases), 3);
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut bytes, _) = segment_of(dir.path(), 1).await;
    bytes[8] = 2;
    std::fs::write(segment::path(&dir.path().join("registry"), 1), &bytes).unwrap();
    let error = try_open(dir.path(), &MemoryTarget::new()).await.err().unwrap();
    assert_eq!(error.class(), Class::Unsupported);
    assert!(error.message().ends_with("expected log format 1, found 2"), "{error}");
}

#[tokio::test]
async fn trainings_of_a_dead_server_failed_and_runs_of_clients_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    put(&registry, vec![run("train", RunSource::Train, RunStatus::Running)]).await.unwrap();
    put(&registry, vec![run("client", RunSource::Client, RunStatus::Running), finished("done")]).await.unwrap();
    drop(registry);
    let registry = open(dir.path(), &target).await;
    let status = |id: &str| registry.index().run(id).unwrap().status;
    assert_eq!(status("train"), RunStatus::Failed);
    assert_eq!(status("client"), RunStatus::Running);
    assert_eq!(status("done"), RunStatus::Finished);
    let train = registry.index().run("train").unwrap().clone();
    assert_eq!(train.error.as_deref(), Some("the server stopped while this training was running"));
    assert!(train.ended_at.is_some_and(|ended| ended > train.started_at));
    // It is a new version of the row: the history still says what was.
    let earlier = registry.rows(SystemTable::Runs, SystemAt::Sequence(3)).await.unwrap();
    let earlier = arrow::util::pretty::pretty_format_batches(&earlier).unwrap().to_string();
    assert_eq!((earlier.matches("RUNNING").count(), earlier.matches("FAILED").count()), (2, 0));
    let seq = registry.index().last_seq();
    drop(registry);
    assert_eq!(open(dir.path(), &target).await.index().last_seq(), seq, "once is enough");
}

/// A disk whose syncs of log segments are counted, held up, and fail when told to.
#[derive(Debug, Default)]
struct Watched {
    syncs: AtomicUsize,
    held: Mutex<bool>,
    released: Condvar,
    failing: std::sync::atomic::AtomicBool,
}

impl Watched {
    fn hold(&self, hold: bool) {
        *self.held.lock().unwrap() = hold;
        self.released.notify_all();
    }
}

#[derive(Debug, Clone)]
struct WatchedDisk(Arc<Watched>);

#[derive(Debug)]
struct WatchedFile(Box<dyn DiskFile>, Arc<Watched>);

impl DiskFile for WatchedFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut held = self.1.held.lock().unwrap();
        while *held {
            held = self.1.released.wait(held).unwrap();
        }
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        match self.1.failing.load(Ordering::SeqCst) {
            true => Err(io::Error::other("no sync, as the test wants it")),
            false => self.0.sync(),
        }
    }
}

impl Disk for WatchedDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        LocalDisk.create_dir_all(path)
    }
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        LocalDisk.create_new(path)
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(WatchedFile(LocalDisk.append(path)?, self.0.clone())))
    }
    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        LocalDisk.truncate(path, bytes)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.hard_link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        LocalDisk.sync_dir(path)
    }
}

async fn open_watched(dir: &Path, target: &Arc<MemoryTarget>) -> (Registry, Arc<Watched>) {
    let watched = Arc::new(Watched::default());
    let disk = Arc::new(WatchedDisk(watched.clone()));
    (Registry::open_on(dir, disk, target.clone()).await.unwrap(), watched)
}

#[tokio::test]
async fn transactions_that_wait_together_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, watched) = open_watched(dir.path(), &MemoryTarget::new()).await;
    let before = watched.syncs.load(Ordering::SeqCst);
    watched.hold(true);
    let ids: Vec<String> = (0..100).map(|n| format!("run-{n}")).collect();
    let all = futures::future::join_all(ids.iter().map(|id| put(&registry, vec![finished(id)])));
    // Every transaction is polled, and so queued, before the first sync may go on.
    let (done, ()) = futures::join!(all, async {
        assert_eq!(registry.index().runs().count(), 0, "nothing is shown before it is durable");
        watched.hold(false);
    });
    done.into_iter().for_each(|done| done.unwrap());
    assert!(watched.syncs.load(Ordering::SeqCst) - before <= 2);
    assert_eq!(registry.index().runs().count(), 100);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_accepted_until_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let (registry, watched) = open_watched(dir.path(), &target).await;
    put(&registry, vec![finished("answered")]).await.unwrap();
    watched.failing.store(true, Ordering::SeqCst);
    let error = put(&registry, vec![finished("unanswered")]).await.unwrap_err();
    assert_eq!(error.class(), Class::Unavailable);
    watched.failing.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let error = put(&registry, vec![finished("later")]).await.unwrap_err();
        assert_eq!(error.class(), Class::Unavailable);
        assert!(error.message().contains("no sync, as the test wants it"), "{error}");
    }
    assert_eq!(registry.fold().await.unwrap_err().class(), Class::Unavailable);
    assert!(registry.index().run("answered").is_some(), "readers go on");
    assert!(registry.index().run("unanswered").is_none());
    registry.close().await;
    drop(registry);
    let registry = open(dir.path(), &target).await;
    assert!(registry.index().run("answered").is_some());
    assert!(registry.index().run("later").is_none());
    put(&registry, vec![finished("again")]).await.unwrap();
}
