//! `EXPORT MODEL`: the file is the artifact, by its hash, and is not written over by accident.

use limn_sql_udfs::train::sha256_hex;
use limn_tests::engine::{TestEngine, block_on};
use limn_tests::{Context, Outcome, ensure};

#[test]
fn the_file_is_the_artifact() -> Outcome {
    block_on(async {
        let engine = TestEngine::open().await?;
        engine
            .run_all([
                "CREATE TABLE t AS SELECT i AS x, 2.0 * i AS y FROM generate_series(1, 9) AS g(i)",
                "TRAIN MODEL m TARGET y SPLIT NONE ALIAS first AS SELECT x, y FROM t",
                "TRAIN MODEL m TARGET y SPLIT NONE AS SELECT x, y + 1 AS y FROM t",
            ])
            .await?;
        let (one, two) = (engine.scratch().join("größe 1.onnx"), engine.scratch().join("two.onnx"));
        let (one_text, two_text) = (one.to_string_lossy(), two.to_string_lossy());
        let rows = engine.rows(&format!("EXPORT MODEL m ALIAS first TO '{one_text}'")).await?;
        let hash = engine.value("SELECT artifact_sha256 FROM system.model_versions WHERE version = 1").await?;
        let bytes = std::fs::read(&one)?;
        let shown = std::fs::canonicalize(&one)?.to_string_lossy().into_owned();
        ensure(rows == [["m", "1", shown.as_str(), &bytes.len().to_string(), &hash]], || format!("{rows:?}"))?;
        ensure(sha256_hex(&bytes) == hash, || "expected the artifact's bytes".into())?;

        let error = engine.run(&format!("EXPORT MODEL m TO '{one_text}'")).await.err().context("expected an error")?;
        ensure(error.message() == format!("`{one_text}` exists already"), || error.to_string())?;
        ensure(std::fs::read(&one)? == bytes, || "the file has changed".into())?;
        engine.run_all([format!("EXPORT OR REPLACE MODEL m VERSION 2 TO '{one_text}'").as_str()]).await?;
        engine.run_all([format!("EXPORT MODEL m TO 'file://{two_text}'").as_str()]).await?;
        ensure(std::fs::read(&one)? == std::fs::read(&two)?, || "expected version 2 in both".into())?;

        let inside = engine.scratch().join("data/artifacts/m.onnx");
        let error = engine.run(&format!("EXPORT MODEL m TO '{}'", inside.display())).await.err();
        let told =
            error.context("expected an error")?.message().ends_with("is in the data directory, where only Limn writes");
        ensure(told && !inside.exists(), || "expected a refusal".into())
    })
}
