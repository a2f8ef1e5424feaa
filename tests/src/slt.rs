//! SQL test files, run against the engine in process and again over the wire, with the same expected results.
//!
//! A file is one page: its first line is `# name:` with its own path, the second `# description:`; a third
//! `# standard: duckdb` says that DuckDB gives the same results. Relative paths in it are from `tests/`, where the
//! fixtures are under `data/`. It knows nothing of what the files hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, MakeConnection, Record, Runner, default_normalizer, default_validator};

use crate::engine::TestEngine;
use crate::wire::{Reply, Wire};
use crate::{Outcome, TestServer, cells, ensure, fail, paths};

/// Rewrites expected results with what the engine gave; review the difference and check it another way.
pub const COMPLETE_VARIABLE: &str = "LIMN_SLT_COMPLETE";
/// Runs only files whose path has this text.
pub const FILTER_VARIABLE: &str = "LIMN_SLT";
/// Failures of one file that are reported.
pub const FAILURES_SHOWN_MAX: usize = 10;
/// The mark of a file whose results DuckDB must give too.
pub const STANDARD_MARK: &str = "# standard: duckdb";

/// An SQL test file with a sound head.
#[derive(Debug, Clone)]
pub struct SqlFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its path from `tests/slt/`, without the extension, such as `csv/read_csv`.
    pub name: String,
    /// Whether DuckDB must give the same.
    pub standard: bool,
}

/// All SQL test files that `LIMN_SLT` lets through.
pub fn sql_files() -> Outcome<Vec<SqlFile>> {
    let filter = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let files = paths::files(&paths::tests().join("slt"), "slt")?;
    let wanted = files.into_iter().filter(|path| path.to_string_lossy().contains(&filter));
    wanted.map(|path| read_head(&path)).collect()
}

fn read_head(path: &Path) -> Outcome<SqlFile> {
    let text = std::fs::read_to_string(path)?;
    let from_root = path.strip_prefix(paths::repository())?.to_string_lossy().into_owned();
    let mut lines = text.lines();
    let expected = format!("# name: {from_root}");
    let found = lines.next().unwrap_or_default();
    ensure(found == expected, || format!("{from_root}:1: expected `{expected}`, found `{found}`"))?;
    let found = lines.next().unwrap_or_default();
    let described = found.strip_prefix("# description: ").is_some_and(|text| !text.trim().is_empty());
    ensure(described, || format!("{from_root}:2: expected `# description: …`, found `{found}`"))?;
    let standard = lines.next() == Some(STANDARD_MARK);
    let name = path.strip_prefix(paths::tests().join("slt"))?.with_extension("").to_string_lossy().into_owned();
    Ok(SqlFile { path: path.to_path_buf(), name, standard })
}

/// The letter of a column in a `query` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `B`: boolean.
    Boolean,
    /// `D`: date.
    Date,
    /// `I`: integers.
    Integer,
    /// `P`: points in time, with or without a zone.
    Timestamp,
    /// `R`: floats and decimals.
    Real,
    /// `T`: text.
    Text,
    /// `?`: lists, structs, binary and the rest.
    Other,
}

impl sqllogictest::ColumnType for Letter {
    fn from_char(value: char) -> Option<Self> {
        use Letter::*;
        [Boolean, Date, Integer, Timestamp, Real, Text, Other].into_iter().find(|letter| letter.to_char() == value)
    }

    fn to_char(&self) -> char {
        match self {
            Letter::Boolean => 'B',
            Letter::Date => 'D',
            Letter::Integer => 'I',
            Letter::Timestamp => 'P',
            Letter::Real => 'R',
            Letter::Text => 'T',
            Letter::Other => '?',
        }
    }
}

impl Letter {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Letter::Boolean,
            DataType::Date32 | DataType::Date64 => Letter::Date,
            DataType::Timestamp(_, _) => Letter::Timestamp,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Letter::Real,
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => Letter::Real,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Letter::Text,
            integer if integer.is_integer() => Letter::Integer,
            _ => Letter::Other,
        }
    }
}

/// An error's text, as the user sees it.
#[derive(Debug, Clone)]
pub struct SqlError(String);

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SqlError {}

/// A session of an engine in this process.
pub struct InProcess(TestEngine);

/// A connection to a server.
pub struct OverWire {
    wire: Wire,
    // Each connection keeps the server alive.
    _server: Arc<TestServer>,
}

#[async_trait]
impl AsyncDB for InProcess {
    type Error = SqlError;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, SqlError> {
        output(self.0.run(sql).await.map_err(|error| SqlError(error.to_string()))?)
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "engine"
    }
}

#[async_trait]
impl AsyncDB for OverWire {
    type Error = SqlError;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, SqlError> {
        output(self.wire.run(sql).await.map_err(|error| SqlError(error.to_string()))?)
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "wire"
    }
}

fn output(reply: Reply) -> Result<DBOutput<Letter>, SqlError> {
    match reply {
        Reply::Count(count) => Ok(DBOutput::StatementComplete(count)),
        Reply::Rows(schema, batches) => {
            check_batches(&schema, &batches)?;
            let types = schema.fields().iter().map(|field| Letter::of(field.data_type())).collect();
            let rows = cells::rows(&batches).map_err(|failure| SqlError(failure.text().to_string()))?;
            Ok(DBOutput::Rows { types, rows })
        }
    }
}

/// Every batch of every query of every file has the announced schema: an invariant of the seam, checked in the harness.
fn check_batches(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<(), SqlError> {
    match batches.iter().find(|batch| batch.schema().fields() != schema.fields()) {
        Some(batch) => Err(SqlError(format!("expected the announced schema {schema:?}, found {:?}", batch.schema()))),
        None => Ok(()),
    }
}

/// Runs a file against a new engine in process.
pub async fn check_in_process(file: &SqlFile) -> Outcome {
    let engine = TestEngine::open().await?;
    let make = {
        let engine = engine.clone();
        move || {
            let session = engine.session();
            async move { Ok(InProcess(session)) }
        }
    };
    let checked = check(Runner::new(make), file, std::env::var_os(COMPLETE_VARIABLE).is_some()).await;
    engine.engine.close().await;
    checked
}

/// Runs a file over the wire against a new server.
pub async fn check_over_wire(file: &SqlFile) -> Outcome {
    let server = Arc::new(TestServer::start()?);
    let make = move || {
        let server = Arc::clone(&server);
        async move {
            let wire = server.connect().await.map_err(|failure| SqlError(failure.text().to_string()))?;
            Ok(OverWire { wire, _server: server })
        }
    };
    check(Runner::new(make), file, false).await
}

async fn check<D, M>(mut runner: Runner<D, M>, file: &SqlFile, complete: bool) -> Outcome
where
    D: AsyncDB<ColumnType = Letter>,
    M: MakeConnection<Conn = D>,
{
    let letters: sqllogictest::ColumnTypeValidator<Letter> = sqllogictest::strict_column_validator;
    runner.with_column_validator(letters);
    if complete {
        let updated = runner.update_test_file(&file.path, " ", default_validator, default_normalizer, letters).await;
        return updated.map_err(|error| fail(format!("completing `{}`: {error}", file.name)));
    }
    let mut failures = Vec::new();
    for record in sqllogictest::parse_file::<Letter>(&file.path)? {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        if let Err(error) = runner.run_async(record).await {
            failures.push(error.to_string());
        }
        if failures.len() == FAILURES_SHOWN_MAX {
            break;
        }
    }
    runner.shutdown_async().await;
    ensure(failures.is_empty(), || format!("{} failed:\n{}", file.name, failures.join("\n")))
}
