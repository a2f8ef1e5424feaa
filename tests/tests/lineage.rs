//! Lineage without asking: what a model was trained on, what it wrote, which version answered on a day; in
//! `system.lineage` and in the commits of the tables themselves.
//!
//! That neither a power cut nor a failed statement makes the two differ is tested here with what a dead server leaves, and in
//! `crash_statements.rs` along a whole story.

use std::path::Path;
use std::sync::Arc;

use limn_server::engine::{DataDirectory, Session, StatementContext};
use limn_server::lake::Lake;
use limn_server::lake::disk::{Disk, LocalDisk};
use limn_server::registry::{Pending, Prediction, Registry, TableAt, UsedModel};
use limn_tests::engine::{TestEngine, block_on, open};
use limn_tests::{Context, Outcome, cells, ensure, paths};
use serde_json::{Value, json};

const POINTS: &str = "CREATE TABLE points AS SELECT i AS x, 2.0 * i AS y FROM generate_series(1, 20) AS g(i)";
const TRAIN: &str = "TRAIN MODEL m TARGET y SPLIT NONE AS SELECT x, y FROM points";

async fn rows(engine: &TestEngine, sql: &str, expected: &[&[&str]]) -> Outcome {
    let found = engine.rows(sql).await?;
    ensure(found == expected, || format!("{sql}\nexpected {expected:?}\nfound {found:?}"))
}

#[test]
fn what_was_trained_on_what_was_written_and_by_which_version() -> Outcome {
    block_on(async {
        let engine = TestEngine::open().await?;
        engine
            .run_all([
                POINTS,
                "CREATE TABLE more AS SELECT x FROM points",
                TRAIN,
                "INSERT INTO points VALUES (21, 42.0)",
                "TRAIN MODEL m TARGET y SPLIT NONE AS SELECT p.x, p.y FROM points AS p JOIN more USING (x)",
                "CREATE VIEW scored AS SELECT x, PREDICT('m', x) AS y FROM points",
                "CREATE TABLE forecast AS SELECT * FROM scored",
                "ALTER MODEL m SET ALIAS old TO VERSION 1",
                "INSERT INTO forecast SELECT x, PREDICT('m@old') FROM more WHERE x < 5",
                "INSERT OVERWRITE forecast SELECT f.x, PREDICT('m', f.x) - PREDICT('m/1', f.x) FROM forecast AS f",
                "INSERT INTO forecast VALUES (0, PREDICT('m', 0))",
                // None of these writes what a model said into a table that lasts.
                "INSERT INTO forecast SELECT x, y FROM points",
                "CREATE TEMPORARY TABLE t AS SELECT PREDICT('m') AS y FROM points",
                "INSERT INTO t SELECT PREDICT('m') FROM points",
            ])
            .await?;
        engine.rows("SELECT PREDICT('m') FROM points").await?;
        let failed = engine.run("INSERT INTO forecast SELECT PREDICT('m'), CAST('x' || x AS DOUBLE) FROM points").await;
        ensure(failed.is_err(), || "expected a cast to fail".into())?;

        let trained_on = "SELECT model_version, table_name, table_version FROM system.lineage
             WHERE kind = 'train' AND role = 'source' AND model = 'm' ORDER BY model_version, table_name";
        rows(&engine, trained_on, &[&["1", "points", "0"], &["2", "more", "0"], &["2", "points", "1"]]).await?;
        let wrote = "SELECT model_version, table_schema || '.' || table_name, table_version FROM system.lineage
             WHERE kind = 'predict' AND role = 'target' AND model = 'm' ORDER BY table_version, model_version";
        let expected: &[&[&str]] = &[
            &["2", "main.forecast", "0"],
            &["1", "main.forecast", "1"],
            &["1", "main.forecast", "2"],
            &["2", "main.forecast", "2"],
            &["2", "main.forecast", "3"],
        ];
        rows(&engine, wrote, expected).await?;
        let from = "SELECT t.table_version, s.table_name, s.table_version FROM system.lineage AS s
             JOIN system.lineage AS t USING (query_id, model, model_version) WHERE s.role = 'source' AND t.role = 'target'
             ORDER BY t.table_version, s.table_name";
        let expected: &[&[&str]] =
            &[&["0", "points", "1"], &["1", "more", "0"], &["2", "forecast", "1"], &["2", "forecast", "1"]];
        rows(&engine, from, expected).await?;
        let today = "SELECT DISTINCT l.model_version, l.artifact_sha256 = v.artifact_sha256, l.user_name
             FROM system.lineage AS l JOIN system.model_versions AS v ON v.name = l.model AND v.version = l.model_version
             WHERE l.kind = 'predict' AND l.created_at > now() - INTERVAL '1 day' ORDER BY l.model_version";
        rows(&engine, today, &[&["1", "true", "anonymous"], &["2", "true", "anonymous"]]).await?;
        // It outlives the model, and is as it was at any time.
        engine.run_all(["DROP MODEL m"]).await?;
        rows(&engine, "SELECT count(*) FROM system.lineage", &[&["12"]]).await?;
        rows(&engine, "SELECT count(*) FROM system.lineage VERSION AS OF 0", &[&["0"]]).await?;
        rows(&engine, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'lineage'", &[&["1"]]).await
    })
}

/// What the commits of the one table beside `points` say of a key, by version.
fn noted(data_dir: &Path, key: &str) -> Outcome<Vec<Option<Value>>> {
    let mut logs = paths::files(&data_dir.join("tables"), "json")?;
    logs.sort();
    let mut noted = Vec::new();
    for log in logs {
        let text = std::fs::read_to_string(&log)?;
        let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        let info =
            lines?.into_iter().find_map(|line| line.get("commitInfo").cloned()).context("a commit says nothing")?;
        let said = info.get(key).and_then(Value::as_str).map(serde_json::from_str).transpose()?;
        noted.push(said);
    }
    Ok(noted)
}

#[test]
fn commits_say_which_models_took_part() -> Outcome {
    block_on(async {
        let engine = TestEngine::open().await?;
        engine.run_all([POINTS, TRAIN, "CREATE TABLE forecast AS SELECT x, PREDICT('m') AS y FROM points"]).await?;
        let hash = engine.value("SELECT artifact_sha256 FROM system.model_versions").await?;
        let points = engine.value("SELECT table_id FROM system.inputs").await?;
        let data_dir = engine.scratch().join("data");
        let models = noted(&data_dir, "limn.models")?;
        let expected = json!([{"model": "m", "version": 1, "artifact_sha256": hash}]);
        ensure(models.iter().flatten().eq([&expected]) && models.len() == 2, || format!("{models:?}"))?;
        let sources = noted(&data_dir, "limn.sources")?;
        let expected = json!([{"schema": "main", "name": "points", "id": points, "version": 0}]);
        ensure(sources.iter().flatten().eq([&expected]), || format!("{sources:?}"))
    })
}

#[test]
fn what_a_dead_server_committed_is_recorded_and_nothing_else() -> Outcome {
    block_on(async {
        let directory = tempfile::tempdir()?;
        let engine = open(directory.path()).await?;
        let session = Arc::new(Session::new());
        let statement =
            async |engine: &limn_server::engine::Engine, sql: &str| -> Outcome<(String, Vec<Vec<String>>)> {
                let ctx = StatementContext::new(limn_server::engine::Principal::anonymous(), Arc::clone(&session));
                let answer = engine.execute(&ctx, sql, &[]).await.context(sql)?;
                let batches: Vec<_> = futures::TryStreamExt::try_collect(answer.batches).await?;
                Ok((ctx.query_id, cells::rows(&batches)?))
            };
        statement(&engine, POINTS).await?;
        // As if a model had been in it, and the server had died before it could say so.
        let (committed, _) = statement(&engine, "INSERT INTO points VALUES (21, 42.0)").await?;
        engine.close().await;
        drop(engine);
        for (query_id, target) in [(committed.as_str(), "points"), ("never", "points"), ("gone", "nothing")] {
            leave_pending(directory.path(), query_id, target).await?;
        }
        std::fs::write(directory.path().join("lineage/half.json"), "{")?;
        let sql =
            "SELECT query_id, model, model_version, role, table_name, table_version FROM system.lineage ORDER BY role";
        for _ in 0..2 {
            let engine = open(directory.path()).await?;
            let (_, found) = statement(&engine, sql).await?;
            let expected = [
                [committed.as_str(), "m", "7", "source", "weather", "3"],
                [committed.as_str(), "m", "7", "target", "points", "1"],
            ];
            ensure(found == expected, || format!("{found:?}"))?;
            engine.close().await;
        }
        let left = paths::files(&directory.path().join("lineage"), "json")?;
        ensure(left.len() == 1, || format!("expected what is not Limn's, found {left:?}"))
    })
}

/// Leaves what a server that dies while it commits leaves.
async fn leave_pending(data_dir: &Path, query_id: &str, target: &str) -> Outcome {
    let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
    let directory = DataDirectory::open(data_dir, &disk)?;
    let lake = Lake::open(directory.clone(), Arc::clone(&disk))?;
    let registry = Registry::open(data_dir, Arc::clone(&disk), lake.clone()).await?;
    // Looked for in a place of its own, so that opening it does not tidy up.
    let into = tempfile::tempdir()?;
    let elsewhere = DataDirectory::open(into.path(), &disk)?;
    let pending = Pending::open(&elsewhere, Arc::clone(&disk), &registry, &lake).await?;
    let weather = TableAt { schema: "main".into(), name: "weather".into(), id: "w".into(), version: 3 };
    let prediction = Prediction {
        query_id: query_id.into(),
        user_name: "ada".into(),
        models: vec![UsedModel { model: "m".into(), version: 7, artifact_sha256: "0".repeat(64) }],
        sources: vec![weather],
        target_schema: "main".into(),
        target_name: target.into(),
        before: Some(0),
    };
    pending.begin(&prediction).await?;
    registry.close().await;
    std::fs::create_dir_all(data_dir.join("lineage"))?;
    for file in paths::files(&into.path().join("lineage"), "json")? {
        let name = file.file_name().context("a file has a name")?;
        std::fs::copy(&file, data_dir.join("lineage").join(name))?;
    }
    Ok(())
}
