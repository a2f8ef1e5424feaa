//! Versions, times, and the history that they are taken from.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::*;
use crate::Class;

/// Commit times as the log has them, read without any of the code under test.
fn log_times(bench: &Bench, relation: &Relation) -> Vec<i64> {
    let log = bench.dir.path().join("tables").join(&relation.id).join("_delta_log");
    let mut names: Vec<_> = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    names.sort();
    let info = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["commitInfo"]["timestamp"].as_i64()).next().unwrap()
    };
    names.iter().map(info).collect()
}

/// `main.t` with ids 1 to 3, one version each, a millisecond apart at least.
async fn three_versions() -> (Bench, Arc<Relation>) {
    let bench = Bench::with_table().await;
    let relation = bench.lake.relation(&name("t")).unwrap();
    for id in 1..=3 {
        let last = *log_times(&bench, &relation).last().unwrap();
        while Utc::now().timestamp_millis() <= last {
            std::hint::spin_loop();
        }
        bench.insert("t", &format!("SELECT CAST({id} AS BIGINT)")).await.unwrap();
    }
    (bench, relation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_stays_as_it_was() {
    let (bench, _) = three_versions().await;
    for version in 0..=3 {
        let expected: Vec<i64> = (1..=version as i64).collect();
        assert_eq!(bench.ids("t", At::Version(version)).await.unwrap(), expected);
    }
    let error = bench.ids("t", At::Version(7)).await.unwrap_err();
    assert_eq!(error.class(), Class::Input);
    assert_eq!(error.message(), "version 7 of `main.t` is outside its history, versions 0 to 3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_means_the_last_version_that_was_there() {
    let (bench, relation) = three_versions().await;
    let times = log_times(&bench, &relation);
    let at = |millis: i64| At::Timestamp(DateTime::from_timestamp_millis(millis).unwrap());
    for (version, millis) in times.iter().enumerate() {
        let expected: Vec<i64> = (1..=version as i64).collect();
        assert_eq!(bench.ids("t", at(*millis)).await.unwrap(), expected, "at its own time");
        if let Some(next) = times.get(version + 1) {
            assert_eq!(bench.ids("t", at(next - 1)).await.unwrap(), expected, "just before the next");
        }
    }
    assert_eq!(bench.ids("t", At::Timestamp(Utc::now())).await.unwrap(), [1, 2, 3]);

    let error = bench.ids("t", at(times[0] - 1)).await.unwrap_err();
    assert_eq!(error.class(), Class::Input);
    assert!(error.message().contains("is outside its history, "), "{error}");
    let error = bench.ids("t", At::Timestamp(Utc::now() + TimeDelta::days(1))).await.unwrap_err();
    assert!(error.message().ends_with("is in the future"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_newest_first_and_says_who() {
    let bench = Bench::with_table().await;
    let info = BTreeMap::from([("userName".to_string(), "ada".to_string()), ("queryId".into(), "q1".into())]);
    let notes = CommitNotes { info, ..CommitNotes::default() };
    bench.write("t", "SELECT CAST(1 AS BIGINT)", false, notes).await.unwrap();
    let relation = bench.lake.relation(&name("t")).unwrap();

    let history = bench.lake.history(&relation).await.unwrap();

    let shown: Vec<_> = history.iter().map(|c| (c.version, c.operation.as_str(), c.user_name.as_deref())).collect();
    assert_eq!(shown, [(1, "WRITE", Some("ada")), (0, "CREATE TABLE", None)]);
    let times: Vec<i64> = history.iter().rev().map(|commit| commit.timestamp.timestamp_millis()).collect();
    assert_eq!(times, log_times(&bench, &relation));
    let metrics: Value = serde_json::from_str(history[0].operation_metrics.as_deref().unwrap()).unwrap();
    assert_eq!(metrics["num_added_rows"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_table_keeps_its_id_and_its_past() {
    let bench = Bench::with_table().await;
    bench.insert("t", "SELECT CAST(1 AS BIGINT)").await.unwrap();
    let before = bench.lake.relation(&name("t")).unwrap();
    let new = NewTable {
        on_existing: OnExisting::Replace,
        properties: BTreeMap::from([("owner".into(), "ada".into())]),
        comment: Some("new".into()),
        ..table("t", vec![Field::new("day", DataType::Date32, true), Field::new("x", DataType::Float64, true)])
    };
    let written = bench.create_as(new, "SELECT DATE '2026-01-01', 0.5").await.unwrap().unwrap();

    assert_eq!(written, Written { rows: 1, version: 2 });
    assert_eq!(bench.lake.relation(&name("t")).unwrap().id, before.id);
    let now = bench.read("t", At::Latest).await.unwrap();
    assert_eq!(now.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    assert_eq!(now[0].schema().field(1).name(), "x");
    assert_eq!(bench.ids("t", At::Version(1)).await.unwrap(), [1]);
    let state = bench.lake.table(&before).unwrap().latest().await.unwrap();
    assert_eq!(state.metadata().description(), Some("new"));
    assert_eq!(state.metadata().configuration().get("owner").map(String::as_str), Some("ada"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_come_behind_commits_and_change_nothing() {
    use crate::limits::CHECKPOINT_INTERVAL_COMMITS;
    let bench = Bench::with_table().await;
    let commits = CHECKPOINT_INTERVAL_COMMITS + 1;
    for id in 1..=commits {
        bench.insert("t", &format!("SELECT CAST({id} AS BIGINT)")).await.unwrap();
    }
    bench.lake.settle().await;
    let relation = bench.lake.relation(&name("t")).unwrap();
    let log = bench.files_under(&format!("tables/{}/_delta_log", relation.id));
    let expected = format!("{:020}.checkpoint.parquet", CHECKPOINT_INTERVAL_COMMITS - 1);
    assert!(log.contains(&expected), "{log:?}");

    let Bench { dir, lake, ctx } = bench;
    drop(lake);
    let bench = Bench { lake: open(dir.path()), dir, ctx };
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), (1..=commits as i64).collect::<Vec<_>>());
    assert_eq!(bench.ids("t", At::Version(3)).await.unwrap(), [1, 2, 3]);
}
