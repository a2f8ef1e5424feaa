//! The registry on a disk that loses what was not synced, cut off after every single operation, and on one that fails.
//!
//! Whatever the moment: every answered transaction is there, with its artifact; none is there in part; folding stores
//! no row version twice; and the registry goes on. After every operation it is tested with folding into memory, kept
//! as of the moment of the cut; on Delta tables, whose opening takes longer, after every few.

#![expect(clippy::unwrap_used, reason = "a test binary: its own functions fail as its tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use limn_server::lake::disk::{Disk, DiskFile, LocalDisk};
use limn_server::lake::{DataDirectory, Lake};
use limn_server::registry::{
    FoldTarget, Index, Model, ModelVersion, Param, Registry, Row, Run, RunSource, RunStatus, SystemAt, SystemTable,
};
use limn_server::{Class, Result};
use limn_tests::crash_disk::{CrashDisk, Unsynced};

/// `echo -n N | sha256sum`, the artifact of version N + 1.
const ARTIFACTS: [&str; 6] = [
    "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
    "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35",
    "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce",
    "4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a",
    "ef2d127de37b942baad06145e54b0c619a1f22327b2ebbcfbec78f5564afe39d",
];

/// One append: how many operations the disk had done, the table, what was appended.
type Append = (usize, SystemTable, Vec<RecordBatch>, u64);

/// Delta tables in memory that know when each append happened.
#[derive(Clone)]
struct Target {
    disk: Option<CrashDisk>,
    appends: Arc<Mutex<Vec<Append>>>,
}

impl Target {
    /// The target as it was after so many operations of the disk.
    fn as_of(&self, operations: usize) -> Target {
        let appends = self.appends.lock().unwrap();
        let kept = appends.iter().filter(|(at, ..)| *at <= operations).cloned().collect();
        Target { disk: None, appends: Arc::new(Mutex::new(kept)) }
    }
}

#[async_trait]
impl FoldTarget for Target {
    async fn folded(&self, table: SystemTable) -> Result<u64> {
        let appends = self.appends.lock().unwrap();
        Ok(appends.iter().filter(|(_, of, ..)| *of == table).map(|(.., through)| *through).max().unwrap_or(0))
    }

    async fn append(&self, table: SystemTable, batches: Vec<RecordBatch>, _: u64, through: u64) -> Result<()> {
        let at = self.disk.as_ref().map_or(0, CrashDisk::operations);
        self.appends.lock().unwrap().push((at, table, batches, through));
        Ok(())
    }

    async fn read(&self, table: SystemTable) -> Result<Vec<RecordBatch>> {
        let appends = self.appends.lock().unwrap();
        Ok(appends.iter().filter(|(_, of, ..)| *of == table).flat_map(|(_, _, batches, _)| batches.clone()).collect())
    }
}

async fn open(dir: &Path, disk: Arc<dyn Disk>, target: &Target) -> Result<Registry> {
    Registry::open_on(dir, disk, Arc::new(target.clone())).await
}

/// Stores an artifact and registers the next version of model `m` with its run and parameter; gives its number.
async fn register(registry: &Registry) -> Result<u64> {
    let place = registry.with_index(|index| index.next_version("m")) as usize - 1;
    registry.put_artifact(ARTIFACTS[place], place.to_string().as_bytes()).await?;
    registry.transact(|index| Ok((rows(index, ARTIFACTS[place]), index.next_version("m")))).await
}

fn rows(index: &Index, artifact: &str) -> Vec<Row> {
    let version = index.next_version("m");
    let run_id = format!("run-{version}");
    // 1970-01-01.
    let time = Default::default();
    vec![
        Row::Run(Run {
            run_id: run_id.clone(),
            experiment_id: "0".into(),
            name: "n".into(),
            status: RunStatus::Finished,
            source: RunSource::Train,
            user_name: "u".into(),
            query_id: None,
            statement: None,
            algorithm: None,
            seed: None,
            engine_build: None,
            started_at: time,
            ended_at: Some(time),
            error: None,
            cpu_level: None,
            session: None,
            parameters: None,
        }),
        Row::Param(Param { run_id: run_id.clone(), key: "k".into(), value: "v".into() }),
        Row::Model(Model { name: "m".into(), description: Some(version.to_string()), created_at: time }),
        Row::ModelVersion(ModelVersion {
            name: "m".into(),
            version,
            model_id: "m-0".into(),
            run_id: Some(run_id),
            algorithm: "a".into(),
            task: "regression".into(),
            target: None,
            signature: "{}".into(),
            artifact_sha256: artifact.into(),
            artifact_bytes: 1,
            rows: 1,
            metrics: "{}".into(),
            created_at: time,
        }),
    ]
}

/// Registers five versions with folds between them; gives the disk's operations at the answer to each.
async fn workload(registry: &Registry, disk: &CrashDisk) -> Vec<usize> {
    let mut answered = Vec::new();
    for version in 1..=5 {
        // A failing disk makes some of it fail; what was answered counts.
        if register(registry).await.is_ok() {
            answered.push(disk.operations());
        }
        if version % 2 == 0 {
            drop(registry.fold().await);
        }
    }
    answered
}

/// Checks an opened registry: at least `answered` versions, each whole, and the way on open.
async fn check(registry: &Registry, answered: usize, what: &str) {
    let versions: Vec<ModelVersion> = registry.with_index(|index| index.model_versions("m").cloned().collect());
    assert!(versions.len() >= answered, "{} of {answered} answered versions are there, {what}", versions.len());
    for (version, artifact) in versions.iter().zip(ARTIFACTS) {
        assert_eq!(version.artifact_sha256, artifact, "{what}");
        registry.artifact(artifact).await.unwrap();
        let run_id = format!("run-{}", version.version);
        registry.with_index(|index| {
            assert!(index.run(&run_id).is_some(), "{what}");
            assert_eq!(index.params(&run_id).count(), 1, "{what}");
        });
    }
    registry.with_index(|index| {
        assert_eq!(index.runs().count(), versions.len(), "{what}");
        let last = (!versions.is_empty()).then(|| versions.len().to_string());
        assert_eq!(index.model("m").and_then(|model| model.description.clone()), last, "{what}");
    });
    assert_eq!(register(registry).await.unwrap(), versions.len() as u64 + 1, "{what}");
    registry.fold().await.unwrap();
    check_history(registry, what).await;
}

/// Each transaction shows one version more than the one before, and nothing is stored twice.
async fn check_history(registry: &Registry, what: &str) {
    let last = registry.with_index(Index::last_seq);
    for seq in 1..=last {
        let versions = seqs(&registry.rows(SystemTable::ModelVersions, SystemAt::Sequence(seq)).await.unwrap());
        let runs = seqs(&registry.rows(SystemTable::Runs, SystemAt::Sequence(seq)).await.unwrap());
        assert_eq!(versions.len() as u64, seq - 1, "after transaction {seq}, {what}");
        assert_eq!(versions, runs, "after transaction {seq}, {what}");
    }
}

fn seqs(batches: &[RecordBatch]) -> BTreeSet<i64> {
    let column = |batch: &RecordBatch| batch.column_by_name("seq").unwrap().as_primitive::<Int64Type>().clone();
    batches.iter().flat_map(|batch| column(batch).values().to_vec()).collect()
}

/// Row versions stored more than once, by table and sequence number (a transaction here has one row a table).
async fn stored_twice(target: &Target) -> BTreeMap<(SystemTable, i64), usize> {
    let mut counts = BTreeMap::new();
    for table in SystemTable::ALL {
        for batch in target.read(table).await.unwrap() {
            for seq in batch.column_by_name("seq").unwrap().as_primitive::<Int64Type>().values() {
                *counts.entry((table, *seq)).or_default() += 1;
            }
        }
    }
    counts.retain(|_, count| *count > 1);
    counts
}

#[tokio::test]
async fn a_power_cut_after_any_operation_keeps_what_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let disk = CrashDisk::new(&root).unwrap();
    let target = Target { disk: Some(disk.clone()), appends: Arc::default() };
    let registry = open(&root, Arc::new(disk.clone()), &target).await.unwrap();
    let answered = workload(&registry, &disk).await;
    registry.close().await;
    assert_eq!(answered.len(), 5);

    for cut in 0..=disk.operations() {
        for unsynced in [Unsynced::Lost, Unsynced::Chance(cut as u64)] {
            let what = format!("cut after operation {cut} of {}, {unsynced:?}", disk.operations());
            let left = tempfile::tempdir().unwrap();
            disk.power_cut(cut, unsynced, left.path()).unwrap();
            let target = target.as_of(cut);
            let registry = match open(left.path(), Arc::new(LocalDisk), &target).await {
                Ok(registry) => registry,
                Err(error) => panic!("{what}: {error}"),
            };
            check(&registry, answered.iter().filter(|at| **at <= cut).count(), &what).await;
            assert_eq!(stored_twice(&target).await, BTreeMap::new(), "{what}");
        }
    }
}

/// A disk whose files are never synced.
#[derive(Debug)]
struct Forgetful(CrashDisk);

#[derive(Debug)]
struct ForgetfulFile(Box<dyn DiskFile>);

impl DiskFile for ForgetfulFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Forgetful {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(ForgetfulFile(self.0.create_new(path)?)))
    }
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(ForgetfulFile(self.0.append(path)?)))
    }
    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.0.truncate(path, bytes)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.hard_link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
}

/// The tests above see what a missing sync does: without any, what was answered is not there after a power cut.
#[tokio::test]
async fn a_disk_without_syncs_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let disk = CrashDisk::new(&root).unwrap();
    let target = Target { disk: Some(disk.clone()), appends: Arc::default() };
    let registry = open(&root, Arc::new(Forgetful(disk.clone())), &target).await.unwrap();
    assert_eq!(register(&registry).await.unwrap(), 1);
    let left = tempfile::tempdir().unwrap();
    disk.power_cut(disk.operations(), Unsynced::Lost, left.path()).unwrap();
    let versions = match open(left.path(), Arc::new(LocalDisk), &target.as_of(usize::MAX)).await {
        Ok(registry) => registry.with_index(|index| index.model_versions("m").count()),
        Err(error) => {
            assert_eq!(error.class(), Class::Internal, "{error}");
            0
        }
    };
    assert_eq!(versions, 0);
}

#[tokio::test]
async fn a_failing_operation_takes_back_nothing_that_was_answered() {
    let mut n = 0;
    loop {
        n += 1;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let disk = CrashDisk::new(&root).unwrap();
        disk.fail_at(n);
        let target = Target { disk: Some(disk.clone()), appends: Arc::default() };
        let mut answered = 0;
        match open(&root, Arc::new(disk.clone()), &target).await {
            Ok(registry) => {
                answered = workload(&registry, &disk).await.len();
                registry.close().await;
            }
            Err(error) => assert!(matches!(error.class(), Class::Internal | Class::Unavailable), "{error}"),
        }
        if !disk.failed() {
            assert_eq!(answered, 5);
            assert!(n > 50, "the workload has more operations than {n}");
            return;
        }
        // A restart of the server, and a power cut instead.
        let left = tempfile::tempdir().unwrap();
        disk.power_cut(disk.operations(), Unsynced::Lost, left.path()).unwrap();
        for (dir, how) in [(root.as_path(), "restart"), (left.path(), "power cut")] {
            let what = format!("operation {n} failed, then a {how}");
            let target = target.as_of(usize::MAX);
            let registry = open(dir, Arc::new(LocalDisk), &target).await.unwrap();
            check(&registry, answered, &what).await;
            assert_eq!(stored_twice(&target).await, BTreeMap::new(), "{what}");
        }
    }
}

/// A registry on the Delta tables of a lake.
async fn open_on_lake(dir: &Path, disk: Arc<dyn Disk>) -> Result<(Registry, Lake)> {
    let lake = Lake::open(DataDirectory::open(dir, &disk)?, disk.clone())?;
    let registry = Registry::open(dir, disk, lake.clone()).await?;
    lake.set_pins(registry.pins());
    lake.sweep().await?;
    Ok((registry, lake))
}

/// How often each row version is stored more than once in the lake's own tables.
async fn stored_twice_in(lake: &Lake) -> Result<BTreeMap<(SystemTable, i64), usize>> {
    let target = Target { disk: None, appends: Arc::default() };
    for table in SystemTable::ALL {
        let batches = lake.system_table(table.name(), table.stored_schema()).await?.read().await?;
        target.append(table, batches, 0, 1).await?;
    }
    Ok(stored_twice(&target).await)
}

/// Operations between two cuts on Delta tables: a prime, so that the cuts fall on every kind of operation.
const CUT_STRIDE: usize = 13;

#[tokio::test]
async fn a_power_cut_on_delta_tables_keeps_what_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let disk = CrashDisk::new(&root).unwrap();
    let (registry, lake) = open_on_lake(&root, Arc::new(disk.clone())).await.unwrap();
    let answered = workload(&registry, &disk).await;
    registry.close().await;
    lake.settle().await;
    assert_eq!(answered.len(), 5);

    for cut in (0..=disk.operations()).rev().step_by(CUT_STRIDE) {
        for unsynced in [Unsynced::Lost, Unsynced::Chance(cut as u64)] {
            let what = format!("cut after operation {cut} of {}, {unsynced:?}", disk.operations());
            let left = tempfile::tempdir().unwrap();
            disk.power_cut(cut, unsynced, left.path()).unwrap();
            let (registry, lake) = match open_on_lake(left.path(), Arc::new(LocalDisk)).await {
                Ok(opened) => opened,
                Err(error) => panic!("{what}: {error}"),
            };
            check(&registry, answered.iter().filter(|at| **at <= cut).count(), &what).await;
            assert_eq!(stored_twice_in(&lake).await.unwrap(), BTreeMap::new(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_closed_registry_leaves_its_rows_in_delta_tables_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
    let (registry, lake) = open_on_lake(dir.path(), disk.clone()).await.unwrap();
    for version in 1..=3 {
        assert_eq!(register(&registry).await.unwrap(), version);
    }
    registry.close().await;
    lake.settle().await;
    drop((registry, lake));
    // The log is not what the rows come back from.
    std::fs::remove_dir_all(dir.path().join("registry")).unwrap();
    let (registry, lake) = open_on_lake(dir.path(), disk).await.unwrap();
    check(&registry, 3, "after a clean end").await;
    assert_eq!(stored_twice_in(&lake).await.unwrap(), BTreeMap::new());
    registry.with_index(|index| assert_eq!(index.model_versions("m").count(), 4));
}
