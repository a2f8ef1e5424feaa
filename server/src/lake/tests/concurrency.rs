//! Many writers of one table.

use std::sync::Arc;

use super::*;
use crate::Class;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_all_land_once() {
    const WRITERS: u64 = 24;
    let bench = Arc::new(Bench::with_table().await);
    let writers = (1..=WRITERS).map(|id| {
        let bench = bench.clone();
        tokio::spawn(async move { bench.insert("t", &format!("SELECT CAST({id} AS BIGINT)")).await.unwrap() })
    });
    let mut versions = Vec::new();
    for written in futures::future::join_all(writers).await {
        let written = written.unwrap();
        assert_eq!(written.rows, 1);
        versions.push(written.version);
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=WRITERS).collect::<Vec<_>>());
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), (1..=24).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overwrites_beside_appends_are_as_if_one_after_the_other() {
    let bench = Arc::new(Bench::with_table().await);
    let writers = (1..=16_i64).map(|id| {
        let bench = bench.clone();
        tokio::spawn(async move {
            let overwrite = id % 4 == 0;
            let sql = format!("SELECT CAST({id} AS BIGINT)");
            let written = bench.write("t", &sql, overwrite, CommitNotes::default()).await.unwrap();
            (written.version, overwrite, id)
        })
    });
    let mut commits: Vec<(u64, bool, i64)> =
        futures::future::join_all(writers).await.into_iter().map(|commit| commit.unwrap()).collect();
    commits.sort_unstable();
    let mut expected = Vec::new();
    for (version, overwrite, id) in commits {
        if overwrite {
            expected.clear();
        }
        expected.push(id);
        expected.sort_unstable();
        assert_eq!(bench.ids("t", At::Version(version)).await.unwrap(), expected, "version {version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_application_transaction_happens_once() {
    let bench = Arc::new(Bench::with_table().await);
    let load = |version: i64| CommitNotes { transactions: vec![("loader".into(), version)], ..CommitNotes::default() };
    let sql = "SELECT CAST(column1 AS BIGINT) FROM (VALUES (1), (2), (3))";
    let writers = (0..8).map(|_| {
        let (bench, notes) = (bench.clone(), load(7));
        tokio::spawn(async move { bench.write("t", sql, false, notes).await.unwrap().rows })
    });
    let rows: Vec<u64> = futures::future::join_all(writers).await.into_iter().map(|rows| rows.unwrap()).collect();
    assert_eq!(rows.iter().sum::<u64>(), 3, "{rows:?}");
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [1, 2, 3]);

    let relation = bench.lake.relation(&name("t")).unwrap();
    assert_eq!(bench.lake.transaction_version(&relation, "loader").await.unwrap(), Some(7));
    assert_eq!(bench.lake.transaction_version(&relation, "other").await.unwrap(), None);
    assert_eq!(bench.write("t", sql, false, load(6)).await.unwrap().rows, 0, "an older one is done too");
    assert_eq!(bench.write("t", sql, false, load(8)).await.unwrap().rows, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_creations_one_wins() {
    let bench = Arc::new(Bench::new());
    let creations = [1, 2].map(|value| {
        let bench = bench.clone();
        tokio::spawn(async move {
            bench.create_as(table("t", vec![id()]), &format!("SELECT CAST({value} AS BIGINT)")).await
        })
    });
    let answers: Vec<_> =
        futures::future::join_all(creations).await.into_iter().map(|answer| answer.unwrap()).collect();
    let winner = answers.iter().position(Result::is_ok).unwrap();
    let loser = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap();
    assert_eq!(loser.class(), Class::AlreadyExists);
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [winner as i64 + 1]);
    bench.lake.settle().await;
    assert_eq!(bench.files_under("tables").len(), 1, "the loser's files are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_gate_stops_a_statement_before_its_commit() {
    let bench = Bench::with_table().await;
    let notes = CommitNotes::default();
    assert!(notes.gate.close());
    let error = bench.write("t", "SELECT CAST(1 AS BIGINT)", false, notes).await.unwrap_err();
    assert_eq!(error.class(), Class::Cancelled);
    let notes = CommitNotes::default();
    bench.write("t", "SELECT CAST(2 AS BIGINT)", false, notes.clone()).await.unwrap();
    assert!(!notes.gate.close(), "a commit that is done cannot be stopped");
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrite_of_what_has_changed_since_it_was_read_is_a_conflict() {
    let bench = Bench::with_table().await;
    bench.insert("t", "SELECT CAST(1 AS BIGINT)").await.unwrap();
    let read = |version: u64| CommitNotes { read: Some(version), ..CommitNotes::default() };
    bench.insert("t", "SELECT CAST(2 AS BIGINT)").await.unwrap();
    let error = bench.write("t", "SELECT CAST(3 AS BIGINT)", true, read(1)).await.unwrap_err();
    assert_eq!(error.class(), Class::Conflict);
    assert_eq!(error.message(), "`main.t` went from version 1 to 2 since this statement read it");
    bench.write("t", "SELECT CAST(4 AS BIGINT)", false, read(1)).await.unwrap();
    bench.write("t", "SELECT CAST(3 AS BIGINT)", true, read(3)).await.unwrap();
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [3]);
}

/// The case of the module head of `log_store`: another process compacts between a rewrite's snapshot and its commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_never_removed_twice() {
    let bench = Bench::with_table().await;
    bench.insert("t", "SELECT CAST(1 AS BIGINT)").await.unwrap();
    let relation = bench.lake.relation(&name("t")).unwrap();
    let table = bench.lake.table(&relation).unwrap();
    let file = table.latest().await.unwrap().log_data().iter().next().unwrap().path().to_string();
    let commit = |data_change: bool| {
        let remove = format!(r#"{{"remove":{{"path":"{file}","dataChange":{data_change},"deletionTimestamp":1}}}}"#);
        deltalake_core::logstore::CommitOrBytes::LogBytes(remove.into())
    };
    let gate = CommitGate::default();
    let write = async |base: u64, version: u64, data_change: bool| {
        use deltalake_core::logstore::LogStore;
        let guarded = table.guarded(&gate, Some(base));
        guarded.write_commit_entry(version, commit(data_change), uuid::Uuid::new_v4()).await
    };
    write(1, 2, false).await.unwrap();

    let error = super::super::error::transaction(write(1, 3, true).await.unwrap_err());
    assert_eq!(error.class(), Class::Conflict);
    assert_eq!(error.message(), "version 2 changed the same files");
    // On the base of what was there, it is a removal like any other.
    write(2, 3, true).await.unwrap();
}
