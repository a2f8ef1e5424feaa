//! Statements that care for a table, beside writers and with pins: no row is lost and none is doubled.

use std::sync::Arc;

use super::*;
use crate::Class;

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
