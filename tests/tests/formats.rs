//! Data directories that earlier formats left, opened by this Limn: what is in them is there, and goes on.
//!
//! Each was written by the Limn of its time and is kept as it was (`tests/data/format_N`).

use std::path::Path;

use limn_tests::engine::{TestEngine, block_on};
use limn_tests::{Outcome, ensure, paths};

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> Outcome {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(std::fs::copy(entry.path(), &target)?),
        }
    }
    Ok(())
}

async fn equal(engine: &TestEngine, sql: &str, expected: &[&[&str]]) -> Outcome {
    let found = engine.rows(sql).await?;
    ensure(found == expected, || format!("{sql}\nexpected {expected:?}\nfound {found:?}"))
}

/// 20 points on a line, `line` trained on them, its alias `champion`.
#[test]
fn the_first_format_opens_and_goes_on() -> Outcome {
    block_on(async {
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("data");
        copy(&paths::tests().join("data/format_1"), &data)?;
        let engine = TestEngine::open_on(&data).await?;
        equal(&engine, "SELECT count(*), sum(x) FROM points", &[&["20", "210"]]).await?;
        equal(&engine, "SELECT round(PREDICT('line@champion', 10), 9)", &[&["21.0"]]).await?;
        let run = "SELECT source, seed, cpu_level, session, parameters FROM system.runs";
        equal(&engine, run, &[&["TRAIN", "3", "NULL", "NULL", "NULL"]]).await?;
        equal(&engine, "SELECT count(*) FROM system.lineage", &[&["0"]]).await?;
        let train = "TRAIN MODEL line USING linear_regression TARGET y SPLIT NONE SEED 3 AS SELECT x, y FROM points WHERE x > 0";
        engine.run_all([train]).await?;
        let trained = "SELECT model_version, table_name, table_version FROM system.lineage";
        equal(&engine, trained, &[&["2", "points", "0"]]).await?;
        engine.rows("REPRODUCE MODEL line VERSION 1").await?;
        // Folded into the tables that the old format began, and read from there.
        engine.engine.close().await;
        drop(engine);
        let format = std::fs::read_to_string(data.join("FORMAT"))?;
        ensure(format == "{\"format\":2}", || format!("found {format}"))?;
        let engine = TestEngine::open_on(&data).await?;
        let runs = "SELECT source, count(*), count(cpu_level) FROM system.runs GROUP BY source ORDER BY source";
        equal(&engine, runs, &[&["REPRODUCE", "1", "1"], &["TRAIN", "2", "1"]]).await?;
        equal(&engine, trained, &[&["2", "points", "0"]]).await
    })
}
