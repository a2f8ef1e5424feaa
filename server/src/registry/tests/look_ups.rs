//! What the index answers.

use limn_sql_udfs::model::reference::ModelRef;

use super::*;
use crate::Class;
use crate::limits::PINNED_VERSIONS_PER_MODEL;

#[tokio::test]
async fn the_default_experiment_exists_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &MemoryTarget::new()).await;
    let index = registry.index();
    assert_eq!(index.experiment("0").unwrap().name, "Default");
    assert_eq!(index.experiment_by_name("Default").unwrap().experiment_id, "0");
    assert_eq!(index.experiment_by_name("default"), None);
    assert_eq!(index.next_experiment_id(), "1");
    assert_eq!(index.last_seq(), 1);
}

#[tokio::test]
async fn experiments_are_found_by_their_present_name() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &MemoryTarget::new()).await;
    let experiment = |id: &str, name: &str| {
        Row::Experiment(Experiment {
            experiment_id: id.into(),
            name: name.into(),
            lifecycle_stage: "active".into(),
            created_at: micros(1),
        })
    };
    put(&registry, vec![experiment("9", "a"), experiment("10", "b")]).await.unwrap();
    assert_eq!(registry.index().next_experiment_id(), "11");
    let taken = put(&registry, vec![experiment("11", "b")]).await.unwrap_err();
    assert_eq!((taken.class(), taken.message()), (Class::AlreadyExists, "experiment `b` exists already"));
    // Both at once, each taking the other's name.
    put(&registry, vec![experiment("9", "b"), experiment("10", "a")]).await.unwrap();
    assert_eq!(registry.index().experiment_by_name("a").unwrap().experiment_id, "10");
    assert_eq!(registry.index().experiment_by_name("b").unwrap().experiment_id, "9");
    put(&registry, vec![experiment("9", "c")]).await.unwrap();
    assert_eq!(registry.index().experiment_by_name("b"), None);
}

#[tokio::test]
async fn the_latest_metric_is_the_greatest_step_time_and_value() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    put(&registry, vec![finished("r"), finished("r2")]).await.unwrap();
    // In an order in which neither the first nor the last arrival is the latest of any metric.
    let rows = vec![
        metric("r", "by_step", 1, 900, 9.0),
        metric("r", "by_step", 2, 100, 1.0),
        metric("r", "by_step", -1, 999, 8.0),
        metric("r", "by_time", 0, 50, 5.0),
        metric("r", "by_time", 0, 70, 4.0),
        metric("r", "by_time", 0, 60, 6.0),
        metric("r", "by_value", 0, 0, 1.0),
        metric("r", "by_value", 0, 0, 3.0),
        metric("r", "by_value", 0, 0, f64::NAN),
        metric("r2", "by_value", 9, 9, 9.0),
    ];
    for row in rows {
        put(&registry, vec![row]).await.unwrap();
    }
    // The same measurement again is the same row.
    put(&registry, vec![metric("r", "by_time", 0, 60, 6.0)]).await.unwrap();
    let latest = |registry: &Registry| -> Vec<(String, f64)> {
        registry.index().latest_metrics("r").map(|m| (m.key.clone(), m.value)).collect()
    };
    let expected = [("by_step".to_string(), 1.0), ("by_time".to_string(), 4.0), ("by_value".to_string(), 3.0)];
    assert_eq!(latest(&registry), expected);
    assert_eq!(count(&registry, SystemTable::Metrics).await, 10);
    registry.fold().await.unwrap();
    assert_eq!(count(&registry, SystemTable::Metrics).await, 10);
    let registry = open(dir.path(), &target).await;
    assert_eq!(latest(&registry), expected);
}

#[tokio::test]
async fn references_resolve_or_say_what_is_near() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &MemoryTarget::new()).await;
    for _ in 0..3 {
        register(&registry, "demand").await;
    }
    register(&registry, "once").await;
    put(&registry, vec![alias("demand", "prod", 2)]).await.unwrap();

    let index = registry.index();
    let resolved = |text: &str| index.resolve(&ModelRef::parse(text).unwrap()).map(|v| v.version);
    let refused = |text: &str| {
        let error = resolved(text).unwrap_err();
        assert_eq!(error.class(), Class::NotFound);
        error.message().to_string()
    };
    assert_eq!(resolved("demand").unwrap(), 3);
    assert_eq!(resolved("Demand@PROD").unwrap(), 2);
    assert_eq!(resolved("demand/1").unwrap(), 1);
    assert_eq!(refused("demnd"), "unknown model `demnd`, the nearest is `demand`");
    assert_eq!(refused("weather"), "unknown model `weather`");
    assert_eq!(refused("demand@prd"), "model `demand` has no alias `prd`, the nearest is `prod`");
    assert_eq!(refused("demand@champion"), "model `demand` has no alias `champion`, its aliases are `prod`");
    assert_eq!(refused("once@prod"), "model `once` has no alias `prod`, it has no aliases");
    assert_eq!(refused("demand/7"), "model `demand` has no version 7, its versions are 1 to 3");
    assert_eq!(refused("once/2"), "model `once` has no version 2, its only version is 1");
}

#[tokio::test]
async fn a_version_number_is_never_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let target = MemoryTarget::new();
    let registry = open(dir.path(), &target).await;
    for _ in 0..3 {
        register(&registry, "m").await;
    }
    put(&registry, vec![alias("m", "prod", 3), alias("m", "other", 1)]).await.unwrap();
    registry.transact(|index| Ok((index.drop_model_version("m", 2)?, ()))).await.unwrap();
    let gone = registry.index().known_version("m", 2).unwrap_err();
    assert_eq!(gone.message(), "model `m` has no version 2, its versions are 1, 3");
    registry.transact(|index| Ok((index.drop_model_version("m", 3)?, ()))).await.unwrap();
    let aliases: Vec<String> = registry.index().model_aliases("m").map(|row| row.alias.clone()).collect();
    assert_eq!(aliases, ["other"]);
    registry.transact(|index| Ok((index.drop_model("m")?, ()))).await.unwrap();
    for table in [SystemTable::Models, SystemTable::ModelVersions, SystemTable::ModelAliases] {
        assert_eq!(count(&registry, table).await, 0, "{}", table.name());
    }
    // Neither the log alone nor the folded tables alone forget the number.
    drop(registry);
    let registry = open(dir.path(), &target).await;
    assert_eq!(registry.index().next_version("m"), 4);
    registry.close().await;
    let registry = open(dir.path(), &target).await;
    assert_eq!(register(&registry, "m").await, 4);
}

#[tokio::test]
async fn aliased_and_last_versions_pin_the_tables_that_they_read() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &MemoryTarget::new()).await;
    // Version n of each model read version n of table `t`.
    for _ in 0..PINNED_VERSIONS_PER_MODEL as u64 + 4 {
        register(&registry, "m").await;
    }
    put(&registry, vec![alias("m", "prod", 2), alias("m", "old", 2)]).await.unwrap();
    put(&registry, vec![finished("unregistered"), input("unregistered", "t", 99)]).await.unwrap();
    assert_eq!(registry.pins().pinned("t"), [2, 5, 6, 7]);
    assert_eq!(registry.pins().pinned("another"), [] as [u64; 0]);
    put(&registry, vec![Row::UnsetAlias { name: "m".into(), alias: "prod".into() }]).await.unwrap();
    put(&registry, vec![Row::UnsetAlias { name: "m".into(), alias: "old".into() }]).await.unwrap();
    assert_eq!(registry.pins().pinned("t"), [5, 6, 7]);
}
