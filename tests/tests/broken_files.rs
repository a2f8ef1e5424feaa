//! Parquet files that are broken in the middle: the error names the file, and is the statement's only where it named it.
//!
//! Footers are read when a table is opened; a broken page is met only when its rows are.

use std::path::{Path, PathBuf};

use limn_server::Class;
use limn_tests::engine::{self, TestEngine};
use limn_tests::{Context, Outcome, ensure};

/// The Parquet files below a directory.
fn parquet(below: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(below)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(parquet(&path)?),
            false if path.extension().is_some_and(|extension| extension == "parquet") => found.push(path),
            false => {}
        }
    }
    Ok(found)
}

/// Overwrites the beginning of the pages, which come after the magic.
fn break_pages(file: &Path) -> Outcome {
    let mut bytes = std::fs::read(file)?;
    bytes[4..64].fill(0xAA);
    Ok(std::fs::write(file, bytes)?)
}

#[test]
fn a_broken_page_of_a_table_is_the_machines_failure_and_names_the_file() -> Outcome {
    engine::block_on(async {
        let engine = TestEngine::open().await?;
        engine.run("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 1000)").await?;
        let files = parquet(&engine.scratch().join("data/tables"))?;
        let [file] = files.as_slice() else { return ensure(false, || format!("{files:?}")) };
        break_pages(file)?;
        let error = engine.run("SELECT sum(a) FROM t").await.err().context("a broken page was read")?;
        let name = file.file_name().context("no name")?.to_string_lossy().into_owned();
        ensure(error.class() == Class::Internal, || format!("{:?}: {error}", error.class()))?;
        let named = error.message().starts_with("the data file `") && error.message().contains(&name);
        ensure(named && error.message().contains("` cannot be read: "), || error.to_string())
    })
}

#[test]
fn a_broken_page_of_a_file_that_is_named_is_the_statements() -> Outcome {
    engine::block_on(async {
        let engine = TestEngine::open().await?;
        engine.run("CREATE TABLE t AS SELECT value AS a FROM generate_series(1, 1000)").await?;
        let files = parquet(&engine.scratch().join("data/tables"))?;
        let broken = engine.scratch().join("broken.parquet");
        std::fs::copy(files.first().context("no file")?, &broken)?;
        break_pages(&broken)?;
        let sql = format!("SELECT sum(a) FROM read_parquet('{}')", broken.display());
        let error = engine.run(&sql).await.err().context("a broken page was read")?;
        let expected = format!("`{}` cannot be read: ", broken.display());
        ensure(error.class() == Class::Input, || format!("{:?}: {error}", error.class()))?;
        ensure(error.message().starts_with(&expected), || error.to_string())
    })
}
