//! What a lake keeps through power cuts and failing disks: all that was answered, and nothing half-done.
//!
//! A sequence of statements runs once on a disk that keeps a journal. For every point of it the power is cut, and a new
//! lake on what lasted must show the state after the statements that had been answered, or after one more. Then the
//! sequence runs again and again with one operation failing. Expected states are worked out by [`Statement::apply`],
//! which knows nothing of disks.
#![expect(clippy::unwrap_used, reason = "a panic is how a test's own functions fail; clippy exempts only `#[test]`s")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionContext, lit};
use limn_server::lake::disk::{Disk, LocalDisk};
use limn_server::lake::{At, CommitNotes, DataDirectory, Lake, NewTable, OnExisting, RelationKind, TableName};
use limn_tests::crash_disk::{CrashDisk, Lie, Unsynced};

/// Relations by name: a table's ids in order, or `None` for a view.
type State = BTreeMap<String, Option<Vec<i64>>>;

#[derive(Debug, Clone, Copy)]
enum Statement {
    Create(&'static str),
    CreateAs(&'static str, &'static [i64]),
    Replace(&'static str, &'static [i64]),
    Insert(&'static str, &'static [i64]),
    Overwrite(&'static str, &'static [i64]),
    View(&'static str),
    Drop(&'static str),
}

use Statement::{Create, CreateAs, Drop, Insert, Overwrite, Replace, View};

/// Every kind of write, on tables that others came before and after.
const SEQUENCE: [Statement; 11] = [
    Create("a"),
    Insert("a", &[1, 2]),
    CreateAs("b", &[10, 11, 12]),
    Insert("a", &[3]),
    Overwrite("b", &[20]),
    View("v"),
    Insert("b", &[21]),
    Drop("b"),
    CreateAs("b", &[30]),
    Replace("a", &[4, 5]),
    Insert("b", &[31]),
];

impl Statement {
    /// The state after the statement; `None` where it cannot be run.
    fn apply(&self, state: &State) -> Option<State> {
        let mut after = state.clone();
        match *self {
            Create(name) => (after.insert(name.into(), Some(vec![])).is_none()).then_some(after),
            CreateAs(name, ids) => (after.insert(name.into(), Some(ids.to_vec())).is_none()).then_some(after),
            Replace(name, ids) => {
                after.insert(name.into(), Some(ids.to_vec()));
                Some(after)
            }
            Insert(name, ids) => {
                let rows = after.get_mut(name)?.as_mut()?;
                rows.extend(ids);
                rows.sort_unstable();
                Some(after)
            }
            Overwrite(name, ids) => {
                *after.get_mut(name)?.as_mut()? = ids.to_vec();
                Some(after)
            }
            View(name) => (after.insert(name.into(), None).is_none()).then_some(after),
            Drop(name) => after.remove(name).map(|_| after),
        }
    }

    async fn run(&self, lake: &Lake, ctx: &SessionContext) -> limn_server::Result<()> {
        let (state, notes) = (ctx.state(), CommitNotes::default());
        match *self {
            Create(at) => drop(lake.create_table(table(at, OnExisting::Fail), notes).await?),
            CreateAs(at, ids) => {
                lake.create_table_as(table(at, OnExisting::Fail), rows(ids), &state, notes).await?;
            }
            Replace(at, ids) => {
                lake.create_table_as(table(at, OnExisting::Replace), rows(ids), &state, notes).await?;
            }
            Insert(at, ids) => drop(lake.insert(&name(at), rows(ids), false, &state, notes).await?),
            Overwrite(at, ids) => drop(lake.insert(&name(at), rows(ids), true, &state, notes).await?),
            View(at) => drop(lake.create_view(&name(at), "SELECT 1", OnExisting::Fail).await?),
            Drop(at) => drop(lake.drop_relation(&name(at), false, false).await?),
        }
        Ok(())
    }
}

fn name(table: &str) -> TableName {
    TableName { schema: "main".into(), table: table.into() }
}

fn table(at: &str, on_existing: OnExisting) -> NewTable {
    NewTable {
        name: name(at),
        schema: Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)])),
        partition_by: Vec::new(),
        properties: BTreeMap::new(),
        comment: None,
        location: None,
        on_existing,
    }
}

fn rows(ids: &[i64]) -> LogicalPlan {
    LogicalPlanBuilder::values(ids.iter().map(|id| vec![lit(*id)]).collect()).unwrap().build().unwrap()
}

fn open(path: &Path, disk: Arc<dyn Disk>) -> limn_server::Result<Lake> {
    Lake::open(DataDirectory::open(path, &disk)?, disk)
}

async fn observe(lake: &Lake) -> limn_server::Result<State> {
    let ctx = SessionContext::new();
    let mut state = State::new();
    for relation in lake.relations("main").unwrap() {
        let ids = match relation.kind {
            RelationKind::View { .. } => None,
            RelationKind::Table => {
                let snapshot = lake.snapshot(&relation, At::Latest).await?;
                let provider = lake.provider(&snapshot).await?;
                let batches = ctx.read_table(provider)?.collect().await?;
                let mut ids: Vec<i64> = batches
                    .iter()
                    .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
                    .collect();
                ids.sort_unstable();
                Some(ids)
            }
        };
        state.insert(relation.name.table.clone(), ids);
    }
    Ok(state)
}

/// What a new lake on a directory shows, once it has removed what a crash left.
async fn recover(path: &Path) -> limn_server::Result<State> {
    let lake = open(path, Arc::new(LocalDisk))?;
    lake.sweep().await?;
    lake.settle().await;
    let known: BTreeSet<String> = lake.relations("main").unwrap().iter().map(|r| r.id.clone()).collect();
    for entry in std::fs::read_dir(path.join("tables")).unwrap() {
        let id = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&id), "table {id} has no name and is still there");
    }
    observe(&lake).await
}

/// Where the journal was when the directory was open, and when each statement had been answered.
async fn run_all(disk: &CrashDisk, path: &Path) -> (usize, Vec<usize>) {
    let lake = open(path, Arc::new(disk.clone())).unwrap();
    let opened = disk.operations();
    (opened, run_sequence(disk, &lake).await)
}

async fn run_sequence(disk: &CrashDisk, lake: &Lake) -> Vec<usize> {
    let ctx = SessionContext::new();
    let mut answered = Vec::new();
    for statement in SEQUENCE {
        statement.run(lake, &ctx).await.unwrap();
        answered.push(disk.operations());
        // Removals go on behind an answer; here they end before the next statement, so that runs are alike.
        lake.settle().await;
    }
    answered
}

/// The state after each number of statements, none first.
fn states() -> Vec<State> {
    let mut states = vec![State::new()];
    for statement in SEQUENCE {
        states.push(statement.apply(&states[states.len() - 1]).unwrap());
    }
    states
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_moment_keeps_what_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let disk = CrashDisk::new(dir.path()).unwrap();
    let (opened, answered) = run_all(&disk, dir.path()).await;
    let states = states();
    assert!(opened > 0 && answered.iter().all(|at| *at > opened), "writes go through the disk");

    for cut in 0..=disk.operations() {
        let done = answered.iter().filter(|at| **at <= cut).count();
        for unsynced in [Unsynced::Lost, Unsynced::Chance(cut as u64)] {
            let into = tempfile::tempdir().unwrap();
            disk.power_cut(cut, unsynced, into.path()).unwrap();
            let found = recover(into.path()).await.unwrap();
            let expected = &states[done..states.len().min(done + 2)];
            assert!(
                expected.contains(&found),
                "cut after {cut} ({unsynced:?}): found {found:?}, expected {expected:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_after_a_power_cut_takes_writes() {
    let dir = tempfile::tempdir().unwrap();
    let disk = CrashDisk::new(dir.path()).unwrap();
    let (_, answered) = run_all(&disk, dir.path()).await;
    // In the middle of the first insert and of the replacement.
    for cut in [answered[0] + 3, answered[8] + 3] {
        let into = tempfile::tempdir().unwrap();
        disk.power_cut(cut, Unsynced::Lost, into.path()).unwrap();
        let lake = open(into.path(), Arc::new(LocalDisk)).unwrap();
        let before = observe(&lake).await.unwrap();
        let insert = Insert("a", &[77]);
        insert.run(&lake, &SessionContext::new()).await.unwrap();
        assert_eq!(observe(&lake).await.unwrap(), insert.apply(&before).unwrap());
    }
}

/// The other way round: on a disk whose syncs do nothing, the same check finds losses, so it can fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_about_syncs_is_found_out() {
    for lie in [Lie::Files, Lie::Dirs] {
        let (dir, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk = CrashDisk::new(dir.path()).unwrap();
        let lake = open(dir.path(), Arc::new(disk.clone())).unwrap();
        disk.lie_about(lie);
        run_sequence(&disk, &lake).await;
        disk.power_cut(disk.operations(), Unsynced::Lost, into.path()).unwrap();
        let found = recover(into.path()).await;
        assert_ne!(found.ok(), states().pop(), "{lie:?}");
    }
}

/// Runs the sequence with the `n`-th operation failing; what a new lake shows then, `None` where none failed.
async fn run_with_failure(n: usize, path: &Path) -> Option<State> {
    let disk = CrashDisk::new(path).unwrap();
    disk.fail_at(n);
    let mut possible = vec![State::new()];
    match open(path, Arc::new(disk.clone())) {
        Err(_) => assert!(disk.failed()),
        Ok(lake) => {
            let ctx = SessionContext::new();
            for statement in SEQUENCE {
                let failed_before = disk.failed();
                let answer = statement.run(&lake, &ctx).await;
                let applied = possible.iter().filter_map(|state| statement.apply(state));
                possible = match &answer {
                    Ok(()) => applied.collect(),
                    Err(_) if !failed_before => applied.chain(possible.clone()).collect(),
                    // Only a state in which the statement makes no sense explains an error without a fault.
                    Err(_) => possible.iter().filter(|state| statement.apply(state).is_none()).cloned().collect(),
                };
                assert!(!possible.is_empty(), "operation {n} failed, and then {statement:?} gave {answer:?}");
                lake.settle().await;
            }
            let found = observe(&lake).await.unwrap();
            assert!(possible.contains(&found), "operation {n} failed: found {found:?}, possible {possible:?}");
            possible = vec![found];
        }
    }
    let found = recover(path).await.unwrap();
    assert!(possible.contains(&found), "operation {n} failed: found {found:?}, possible {possible:?}");
    disk.failed().then_some(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_disk_operation_fails_at_most_its_statement() {
    let mut n = 1;
    let mut outcomes = BTreeSet::new();
    loop {
        let dir = tempfile::tempdir().unwrap();
        match run_with_failure(n, dir.path()).await {
            Some(state) => outcomes.insert(state),
            None => break,
        };
        // Every third: a put has four operations and more, so each kind of them has its turn.
        n += 3;
    }
    assert!(outcomes.len() > 1, "faults that never show were never injected");
}
