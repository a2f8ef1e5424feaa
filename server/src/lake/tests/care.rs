//! Statements that care for a table, beside writers and with pins: no row is lost and none is doubled.

use std::sync::Arc;

use super::maintenance::{Care, CareState};
use super::*;
use crate::Class;
use crate::limits::{CHECKPOINT_INTERVAL_COMMITS, COMPACTION_FILES_MIN};

async fn files(bench: &Bench, at: &str) -> u64 {
    bench.lake.detail(&bench.lake.relation(&name(at)).unwrap()).await.unwrap().files
}

async fn optimize(bench: &Bench, z_order: &[&str]) -> Result<Optimized> {
    let relation = bench.lake.relation(&name("t"))?;
    let layout = Layout { condition: None, z_order: z_order.iter().map(ToString::to_string).collect() };
    bench.lake.optimize(&relation, layout, &bench.ctx.state(), CommitNotes::default()).await
}

async fn with_rows(count: i64) -> Bench {
    let bench = Bench::with_table().await;
    for id in 1..=count {
        bench.insert("t", &format!("SELECT CAST({id} AS BIGINT)")).await.unwrap();
    }
    bench
}

/// The table of `research/engine.md`: two rewrites of the same files double rows, unless somebody sees to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rewrites_beside_each_other_and_appends_keep_every_row() {
    let bench = Arc::new(with_rows(8).await);
    let work = (0..12_i64).map(|n| {
        let bench = bench.clone();
        tokio::spawn(async move {
            match n % 3 {
                0 => optimize(&bench, &[]).await.map(drop).unwrap(),
                1 => optimize(&bench, &["id"]).await.map(drop).unwrap(),
                _ => {
                    let sql = format!("SELECT CAST({} AS BIGINT)", 100 + n);
                    bench.insert("t", &sql).await.map(drop).unwrap();
                }
            }
        })
    });
    for done in futures::future::join_all(work).await {
        done.unwrap();
    }
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [1, 2, 3, 4, 5, 6, 7, 8, 102, 105, 108, 111]);
    assert_eq!(bench.ids("t", At::Version(8)).await.unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_become_one_and_then_stay() {
    let bench = with_rows(5).await;
    let done = optimize(&bench, &[]).await.unwrap();
    assert_eq!((done.version, done.removed.0, done.added.0), (6, 5, 1));
    assert_eq!(files(&bench, "t").await, 1);
    let again = optimize(&bench, &[]).await.unwrap();
    assert_eq!((again.version, again.removed.0), (6, 0), "there is nothing left to do");
}

struct Pinned(u64);

impl Pins for Pinned {
    fn pinned(&self, _: &str) -> Vec<u64> {
        vec![self.0]
    }

    fn pinned_by(&self, _: &str) -> Vec<(u64, String)> {
        vec![(self.0, "model `m` version 1".into())]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vacuum_spares_what_a_model_needs_unless_it_is_forced() {
    let bench = with_rows(3).await;
    bench.lake.set_pins(Arc::new(Pinned(2)));
    let relation = bench.lake.relation(&name("t")).unwrap();
    let soon = BTreeMap::from([("delta.deletedFileRetentionDuration".into(), "interval 0 hours".into())]);
    let change = Alteration::SetProperties(soon);
    bench.lake.alter(&relation, change, &bench.ctx.state(), CommitNotes::default()).await.unwrap();
    bench.lake.truncate(&relation, CommitNotes::default()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;

    let vacuum = async |force, dry_run| {
        let retention = Retention { hours: Some(0), dry_run, force };
        bench.lake.vacuum(&relation, retention, CommitNotes::default()).await.unwrap()
    };
    // Versions 1 to 3 have one file more each; the pinned one has the first two.
    let needed = [Needed { version: 2, by: "model `m` version 1".into(), files: 2 }];
    let dry = vacuum(false, true).await;
    assert_eq!((dry.files, dry.shown.len(), dry.needed.as_slice()), (1, 1, needed.as_slice()));
    assert_eq!(vacuum(false, false).await.files, 1);
    assert_eq!(bench.ids("t", At::Version(2)).await.unwrap(), [1, 2]);
    let forced = vacuum(true, false).await;
    assert_eq!((forced.files, forced.needed.as_slice()), (2, needed.as_slice()));
    assert!(bench.read("t", At::Version(2)).await.is_err());
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [0_i64; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_lives_on_without_its_source() {
    let bench = with_rows(3).await;
    let source = bench.lake.relation(&name("t")).unwrap();
    assert!(bench.lake.clone_table(&name("c"), &source, At::Version(2), false, Default::default()).await.unwrap());
    assert_eq!(bench.ids("c", At::Latest).await.unwrap(), [1, 2]);
    let error = bench.lake.clone_table(&name("c"), &source, At::Latest, false, Default::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::AlreadyExists);
    bench.insert("c", "SELECT CAST(9 AS BIGINT)").await.unwrap();
    bench.lake.drop_relation(&name("t"), false, false).await.unwrap();
    bench.lake.settle().await;
    assert_eq!(bench.ids("c", At::Latest).await.unwrap(), [1, 2, 9]);
    assert_eq!(bench.ids("c", At::Version(0)).await.unwrap(), [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_outside_is_written_and_stays_when_its_name_goes() {
    let bench = Bench::new();
    let outside = tempfile::tempdir().unwrap();
    let place = outside.path().join("t").display().to_string();
    let (path, found) = bench.lake.place(&place).unwrap();
    assert_eq!(found, Place::Empty);
    let new = NewTable { location: Some(path.clone()), ..table("t", vec![id()]) };
    bench.lake.create_table(new, Default::default()).await.unwrap();
    bench.insert("t", "SELECT CAST(1 AS BIGINT)").await.unwrap();
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [1]);
    bench.lake.drop_relation(&name("t"), false, false).await.unwrap();
    bench.lake.settle().await;

    let (path, found) = bench.lake.place(&place).unwrap();
    assert_eq!(found, Place::Table);
    assert!(bench.lake.register_table(&name("again"), &path, false).await.unwrap());
    let error = bench.lake.register_table(&name("twice"), &path, false).await.unwrap_err();
    assert_eq!(error.class(), Class::AlreadyExists);
    bench.insert("again", "SELECT CAST(2 AS BIGINT)").await.unwrap();
    assert_eq!(bench.ids("again", At::Latest).await.unwrap(), [1, 2]);

    let (dir, data) = (bench.dir, bench.lake.directory().path().to_path_buf());
    bench.lake.settle().await;
    drop(bench.lake);
    let lake = open(&data);
    let bench = Bench { dir, lake, ctx: SessionContext::new() };
    assert_eq!(bench.ids("again", At::Latest).await.unwrap(), [1, 2]);
    assert!(bench.lake.place(&data.join("x").display().to_string()).is_err(), "inside of the data directory");
}

/// A table whose log may go at once, with so many single rows from 1 on and nothing due any more.
async fn with_short_log(bench: &Bench, at: &str, properties: &[(&str, &str)], count: u64) {
    let mut table = table(at, vec![id()]);
    let log = ("delta.logRetentionDuration", "interval 0 days");
    let all = properties.iter().chain([&log]);
    table.properties = all.map(|(key, value)| (key.to_string(), value.to_string())).collect();
    bench.lake.create_table(table, CommitNotes::default()).await.unwrap();
    for id in 1..=count {
        bench.insert(at, &format!("SELECT CAST({id} AS BIGINT)")).await.unwrap();
        bench.lake.settle().await;
    }
}

fn upto(last: u64) -> Vec<i64> {
    (1..=i64::try_from(last).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_files_become_few_behind_the_commits() {
    let bench = Bench::new();
    bench.lake.set_care(bench.ctx.state());
    let many = COMPACTION_FILES_MIN as u64 + 15;
    with_short_log(&bench, "t", &[("delta.appendOnly", "true")], many).await;
    with_short_log(&bench, "kept", &[("delta.autoOptimize.autoCompact", "false")], many).await;
    assert!(files(&bench, "t").await < 20, "{} files", files(&bench, "t").await);
    assert_eq!(files(&bench, "kept").await, many);
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), upto(many));
    assert_eq!(bench.ids("kept", At::Latest).await.unwrap(), upto(many));
    let done = bench.lake.maintenance();
    let done: Vec<_> = done.iter().filter(|record| record.care == Care::Compaction).collect();
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(done[0].table, Some(name("t")));
    let CareState::Finished(cared) = done[0].state else { panic!("{done:?}") };
    assert!(cared.removed.0 >= COMPACTION_FILES_MIN as u64 && cared.added.0 == 1, "{cared:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_goes_up_to_what_is_pinned() {
    let commits = 3 * CHECKPOINT_INTERVAL_COMMITS;
    for (pinned, first) in [(None, commits - 1), (Some(30), CHECKPOINT_INTERVAL_COMMITS - 1)] {
        let bench = Bench::new();
        if let Some(version) = pinned {
            bench.lake.set_pins(Arc::new(Pinned(version)));
        }
        with_short_log(&bench, "t", &[], commits).await;
        let relation = bench.lake.relation(&name("t")).unwrap();
        let table = bench.lake.table(&relation).unwrap();
        assert_eq!(table.first_version().await.unwrap(), first, "{pinned:?}");
        table.forget();
        assert_eq!(bench.ids("t", At::Latest).await.unwrap(), upto(commits));
        assert_eq!(bench.ids("t", At::Version(first)).await.unwrap(), upto(first));
        if let Some(version) = pinned {
            assert_eq!(bench.ids("t", At::Version(version)).await.unwrap(), upto(version));
        }
        let gone = bench.ids("t", At::Version(first - 1)).await.unwrap_err();
        assert_eq!(gone.class(), Class::Input, "{gone}");
        assert!(bench.lake.maintenance().iter().any(|record| record.care == Care::LogCleanup));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_not_to_be_cleaned_stays() {
    let bench = Bench::new();
    let commits = CHECKPOINT_INTERVAL_COMMITS + 5;
    with_short_log(&bench, "t", &[("delta.enableExpiredLogCleanup", "false")], commits).await;
    assert_eq!(bench.ids("t", At::Version(1)).await.unwrap(), [1]);
    assert!(bench.lake.maintenance().iter().all(|record| record.care == Care::Checkpoint));
}

/// What a statement read is not stale because files were put together since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compaction_makes_no_statement_stale() {
    let bench = with_rows(3).await;
    let read = |version| CommitNotes { read: Some(version), ..CommitNotes::default() };
    optimize(&bench, &[]).await.unwrap();
    bench.write("t", "SELECT CAST(9 AS BIGINT)", true, read(3)).await.unwrap();
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [9]);
    bench.insert("t", "SELECT CAST(10 AS BIGINT)").await.unwrap();
    let stale = bench.write("t", "SELECT CAST(11 AS BIGINT)", true, read(5)).await.unwrap_err();
    assert_eq!(stale.class(), Class::Conflict);
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [9, 10]);
}
