//! What statements that change tables leave behind when the power goes, or when the disk fails one of their operations.
//!
//! A story of one statement of each kind runs once on a disk that keeps a journal. Then the power is cut at points all
//! along it, and a new engine on the rest must show the tables as they were after the statements that had been answered,
//! or after one more; every table opens, and takes a row. In the second test each statement meets a disk that fails its
//! first operation, its second, and so on until it succeeds. `LIMN_CUT_STRIDE` says how many operations lie between two.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use limn_server::Class;
use limn_server::lake::disk::{Disk, LocalDisk};
use limn_tests::crash_disk::{CrashDisk, Unsynced};
use limn_tests::engine::{self, TestEngine};
use limn_tests::torture::setting;
use limn_tests::{Context, Outcome, ensure, fail};

/// The rows of the tables that are there, in order.
type State = BTreeMap<&'static str, Vec<String>>;

/// A statement, the table that it changes, and that table's rows after it; worked out by hand.
type Step = (&'static str, &'static str, &'static [&'static str]);

const TABLES: [&str; 3] = ["t", "c", "q"];

const STORY: &[Step] = &[
    ("CREATE TABLE t (id BIGINT, n BIGINT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')", "t", &[]),
    ("INSERT INTO t VALUES (1, 10), (2, 20), (3, 30)", "t", &["1 10", "2 20", "3 30"]),
    ("UPDATE t SET n = n + 1 WHERE id >= 2", "t", &["1 10", "2 21", "3 31"]),
    // The average is 20 and two thirds.
    ("DELETE FROM t WHERE n > (SELECT avg(n) FROM t)", "t", &["1 10"]),
    (
        "MERGE INTO t USING (VALUES (1, 100), (4, 40)) AS s(id, n) ON t.id = s.id
         WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT *",
        "t",
        &["1 100", "4 40"],
    ),
    ("ALTER TABLE t ADD COLUMN note TEXT", "t", &["1 100 NULL", "4 40 NULL"]),
    ("INSERT OVERWRITE t VALUES (7, 70, 'y'), (8, 80, NULL)", "t", &["7 70 y", "8 80 NULL"]),
    ("INSERT INTO t REPLACE WHERE n >= 80 VALUES (9, 90, 'z')", "t", &["7 70 y", "9 90 z"]),
    // Version 0 is the empty table, 2 that after the UPDATE, 7 the one after REPLACE WHERE.
    ("RESTORE t TO VERSION AS OF 2", "t", &["1 10", "2 21", "3 31"]),
    ("RESTORE t TO VERSION AS OF 7", "t", &["7 70 y", "9 90 z"]),
    ("INSERT INTO t VALUES (10, 100, NULL)", "t", &["7 70 y", "9 90 z", "10 100 NULL"]),
    ("OPTIMIZE t", "t", &["7 70 y", "9 90 z", "10 100 NULL"]),
    ("CREATE TABLE c SHALLOW CLONE t", "c", &["7 70 y", "9 90 z", "10 100 NULL"]),
    ("DELETE FROM c WHERE id = 7", "c", &["9 90 z", "10 100 NULL"]),
    ("ALTER TABLE c ADD CONSTRAINT positive CHECK (n > 0)", "c", &["9 90 z", "10 100 NULL"]),
    ("TRUNCATE TABLE t", "t", &[]),
    ("CREATE TABLE q (id BIGINT, p TEXT) PARTITIONED BY (p)", "q", &[]),
    ("INSERT INTO q VALUES (1, 'a'), (2, 'b')", "q", &["1 a", "2 b"]),
    ("INSERT OVERWRITE q PARTITION (p) VALUES (3, 'b')", "q", &["1 a", "3 b"]),
    ("UPDATE q SET p = 'c' WHERE id = 1", "q", &["1 c", "3 b"]),
    ("DROP TABLE c", "c", &[]),
];

/// Operations between two cuts where the environment says nothing; a prime, so that cuts fall everywhere in statements.
const STRIDE: u64 = 13;

fn stride() -> Outcome<usize> {
    Ok(usize::try_from(setting("LIMN_CUT_STRIDE", STRIDE)?)?.max(1))
}

/// The state before the story and after each statement.
fn states() -> Vec<State> {
    let mut states = vec![State::new()];
    let mut state = State::new();
    for (sql, table, rows) in STORY {
        match sql.starts_with("DROP") {
            true => state.remove(table),
            false => state.insert(table, rows.iter().map(ToString::to_string).collect()),
        };
        states.push(state.clone());
    }
    states
}

async fn open(data_dir: &Path, disk: Arc<dyn Disk>) -> Outcome<TestEngine> {
    TestEngine::open_on_disk(data_dir, disk).await
}

/// Every table opens, or has no name.
async fn observe(engine: &TestEngine) -> Outcome<State> {
    let mut state = State::new();
    for table in TABLES {
        let sql = format!("SELECT * FROM {table} ORDER BY id");
        match engine.run(&sql).await {
            Err(error) if error.class() == Class::NotFound => continue,
            Err(error) => return Err(fail(format!("{sql}: {error}"))),
            Ok(_) => {}
        }
        let rows = engine.rows(&sql).await?;
        state.insert(table, rows.iter().map(|row| row.join(" ")).collect());
    }
    Ok(state)
}

/// Every table that is there takes a row, and says that it has one more.
async fn check_writable(engine: &TestEngine, state: &State) -> Outcome {
    for (table, rows) in state {
        let columns = if *table == "q" { "99 AS id, 'a' AS p" } else { "99 AS id, 990 AS n" };
        engine.run(&format!("INSERT INTO {table} BY NAME SELECT {columns}")).await.context(table)?;
        let count = engine.value(&format!("SELECT count(*) FROM {table}")).await?;
        ensure(count == (rows.len() + 1).to_string(), || {
            format!("`{table}` has {count} rows after {rows:?} and one more")
        })?;
    }
    Ok(())
}

/// The story on a journalled disk, and where its journal was when each statement had been answered.
async fn told(path: &Path) -> Outcome<(CrashDisk, Vec<usize>)> {
    let disk = CrashDisk::new(path)?;
    let story = open(path, Arc::new(disk.clone())).await?;
    let mut answered = vec![disk.operations()];
    for ((sql, _, _), expected) in STORY.iter().zip(states().iter().skip(1)) {
        story.run(sql).await.context(sql)?;
        let found = observe(&story).await?;
        ensure(found == *expected, || format!("{sql}: expected {expected:?}, found {found:?}"))?;
        answered.push(disk.operations());
    }
    story.engine.close().await;
    Ok((disk, answered))
}

#[test]
fn a_power_cut_keeps_what_was_answered_and_every_table_opens() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let (disk, answered) = told(directory.path()).await?;
        let states = states();
        for (round, cut) in (answered[0]..=disk.operations()).step_by(stride()?).enumerate() {
            // What was not synced is lost, or some of it is.
            let unsynced = if round % 2 == 0 { Unsynced::Lost } else { Unsynced::Chance(cut as u64) };
            let into = tempfile::tempdir()?;
            disk.power_cut(cut, unsynced, into.path())?;
            let what = format!("cut after {cut} ({unsynced:?})");
            let recovered = open(into.path(), Arc::new(LocalDisk)).await.context(&what)?;
            let done = answered.iter().filter(|at| **at <= cut).count() - 1;
            let found = observe(&recovered).await.context(&what)?;
            let expected = &states[done..states.len().min(done + 2)];
            ensure(expected.contains(&found), || format!("{what}: found {found:?}, expected one of {expected:?}"))?;
            check_writable(&recovered, &found).await.context(&what)?;
            recovered.engine.close().await;
        }
        Ok(())
    })
}

/// A statement on a copy of the lake as it was before it, with its `n`-th operation failing; whether one failed.
async fn with_failure(disk: &CrashDisk, before: usize, step: &Step, n: usize, states: &[State]) -> Outcome<bool> {
    let (sql, _, _) = step;
    let copy = tempfile::tempdir()?;
    disk.power_cut(before, Unsynced::Lost, copy.path())?;
    let failing = CrashDisk::new(copy.path())?;
    let engine = open(copy.path(), Arc::new(failing.clone())).await?;
    failing.fail_at(failing.asked() + n);
    let answer = engine.run(sql).await;
    let found = observe(&engine).await?;
    match &answer {
        Ok(_) => ensure(found == states[1], || format!("it was answered, and {found:?} is there"))?,
        Err(error) => ensure(failing.failed() && states.contains(&found), || format!("{error}: {found:?} is there"))?,
    }
    engine.engine.close().await;
    // It holds the directory until it is gone.
    drop(engine);
    let again = open(copy.path(), Arc::new(LocalDisk)).await?;
    let later = observe(&again).await?;
    ensure(later == found, || format!("{found:?} was there, and {later:?} after a start"))?;
    // What was not done can be done.
    if later == states[0] && states[0] != states[1] {
        again.run(sql).await.context("once more")?;
        let done = observe(&again).await?;
        ensure(done == states[1], || format!("once more gave {done:?}"))?;
    }
    check_writable(&again, &states[1]).await?;
    again.engine.close().await;
    Ok(failing.failed())
}

#[test]
fn a_failing_disk_operation_fails_at_most_its_statement() -> Outcome {
    engine::block_on(async {
        let directory = tempfile::tempdir()?;
        let (disk, answered) = told(directory.path()).await?;
        let states = states();
        let stride = stride()?;
        let mut failed = 0;
        for (at, step) in STORY.iter().enumerate() {
            // Each statement begins elsewhere, so that each kind of operation has its turn.
            let mut n = 1 + at % stride;
            while with_failure(&disk, answered[at], step, n, &states[at..at + 2])
                .await
                .context(format!("operation {n} of `{}`", step.0))?
            {
                failed += 1;
                n += stride;
            }
        }
        ensure(failed > STORY.len(), || format!("only {failed} faults were injected"))
    })
}
