//! AS OF: what was, and that folding and reopening change none of it.

use super::*;
use crate::Class;

/// A history in which rows of every table come, change and go; gives the number of the last transaction.
async fn history(registry: &Registry) -> u64 {
    register(registry, "m").await;
    put(registry, vec![run("c", RunSource::Client, RunStatus::Running), param("c", "k", "1")]).await.unwrap();
    put(registry, vec![metric("c", "loss", 0, 10, f64::NAN), metric("c", "loss", 1, 20, 0.1)]).await.unwrap();
    put(registry, vec![alias("m", "prod", 1)]).await.unwrap();
    register(registry, "m").await;
    put(registry, vec![alias("m", "prod", 2), param("c", "k", "2")]).await.unwrap();
    put(registry, vec![run("c", RunSource::Client, RunStatus::Killed), metric("c", "loss", 0, 10, f64::NAN)])
        .await
        .unwrap();
    put(registry, vec![Row::UnsetAlias { name: "m".into(), alias: "prod".into() }]).await.unwrap();
    registry.transact(|index| Ok((index.drop_model_version("m", 1)?, ()))).await.unwrap();
    registry.index().last_seq()
}

async fn all_shown(registry: &Registry, last: u64) -> Vec<String> {
    let mut all = Vec::new();
    for seq in 0..=last {
        all.push(shown(registry, SystemAt::Sequence(seq)).await);
    }
    all
}

#[tokio::test]
async fn folding_and_reopening_change_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    let last = history(&registry).await;
    let before = all_shown(&registry, last).await;
    assert_eq!(last, 10);
    assert_eq!(before.iter().collect::<std::collections::BTreeSet<_>>().len(), before.len(), "each one differs");
    assert_eq!(before[10], shown(&registry, SystemAt::Latest).await);

    registry.fold().await.unwrap();
    assert_eq!(all_shown(&registry, last).await, before);
    // Half folded, half in the log.
    put(&registry, vec![param("c", "k", "3")]).await.unwrap();
    assert_eq!(all_shown(&registry, last).await, before);
    drop(registry);
    let registry = open(dir.path(), &target).await;
    assert_eq!(all_shown(&registry, last).await, before);
    registry.close().await;
    let registry = open(dir.path(), &target).await;
    assert_eq!(all_shown(&registry, last).await, before);
}

#[tokio::test]
async fn a_recorded_time_and_its_sequence_number_mean_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    // A clock that moves 10 microseconds at each look, from 10 on.
    let ticks = AtomicI64::new(0);
    let clock: Clock = Arc::new(move || micros(ticks.fetch_add(10, Ordering::SeqCst) + 10));
    let registry = open_at(dir.path(), &target, clock).await;
    put(&registry, vec![finished("r")]).await.unwrap();
    put(&registry, vec![param("r", "k", "1")]).await.unwrap();
    put(&registry, vec![param("r", "k", "2")]).await.unwrap();
    for folded in [false, true] {
        let times = recorded(&registry).await;
        assert_eq!(times.len(), 3);
        for (seq, time) in times {
            let exact = shown(&registry, SystemAt::Sequence(seq)).await;
            assert_eq!(shown(&registry, SystemAt::Timestamp(time)).await, exact, "{seq}, folded: {folded}");
            let just_before = time - chrono::TimeDelta::microseconds(1);
            let before = shown(&registry, SystemAt::Sequence(seq - 1)).await;
            assert_eq!(shown(&registry, SystemAt::Timestamp(just_before)).await, before);
        }
        registry.fold().await.unwrap();
    }
}

/// The transactions from 2 to 4 with their times, as the tables themselves say.
async fn recorded(registry: &Registry) -> Vec<(u64, DateTime<Utc>)> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
    let mut stamps = Vec::new();
    for seq in 2..=4 {
        let table = if seq == 2 { SystemTable::Runs } else { SystemTable::Params };
        let batch = registry.rows(table, SystemAt::Sequence(seq)).await.unwrap().remove(0);
        let columns = batch.num_columns();
        assert_eq!(batch.column(columns - 2).as_primitive::<Int64Type>().value(0), seq as i64);
        stamps.push((seq, micros(batch.column(columns - 1).as_primitive::<TimestampMicrosecondType>().value(0))));
    }
    stamps
}

#[tokio::test]
async fn a_time_that_was_answered_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    // A clock that stands still: everything happens in one microsecond.
    let clock: Clock = Arc::new(|| micros(1_000));
    let registry = open_at(dir.path(), &MemoryTarget::new(), clock).await;
    let at = SystemAt::Timestamp(micros(1_000));
    let before = shown(&registry, at).await;
    put(&registry, vec![finished("r")]).await.unwrap();
    assert_eq!(shown(&registry, at).await, before);
    assert_ne!(shown(&registry, SystemAt::Latest).await, before);
}

#[tokio::test]
async fn outside_of_the_history_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Clock = Arc::new(|| micros(1_700_000_000_000_000));
    let registry = open_at(dir.path(), &MemoryTarget::new(), clock).await;
    let refused = async |at| {
        let error = registry.rows(SystemTable::Runs, at).await.unwrap_err();
        assert_eq!(error.class(), Class::Input);
        error.message().to_string()
    };
    let versions = "version 2 of `system.runs` does not exist, its versions are 0 to 1";
    assert_eq!(refused(SystemAt::Sequence(2)).await, versions);
    assert_eq!(
        refused(SystemAt::Timestamp(micros(1_699_999_999_999_999))).await,
        "`system.runs` cannot be read at 2023-11-14T22:13:19.999999Z: its history begins at 2023-11-14T22:13:20Z"
    );
    assert_eq!(
        refused(SystemAt::Timestamp(micros(1_700_000_000_000_001))).await,
        "`system.runs` cannot be read at 2023-11-14T22:13:20.000001Z: it is in the future"
    );
    assert_eq!(registry.rows(SystemTable::Experiments, SystemAt::Sequence(0)).await.unwrap().len(), 0);
}
