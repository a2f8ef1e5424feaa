//! JSON files as a table: one row for each object.
//!
//! Objects stand on lines of their own, in one array, or one behind the other. Names and types are found when the table
//! is opened; a key that the sample did not have is an error later, not a value that is lost. It knows nothing of SQL.
//!
//! # Layout
//! - [`options`]: how to read; `values`: a file's values; `infer`: their types; `scan`: rows

mod infer;
pub mod options;
mod scan;
mod values;

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use limn_sql_udfs::json::Json;
use limn_sql_udfs::json::decode::Rules;

use self::infer::Columns;
use self::scan::{Partition, Reading};
use self::values::Values;
use super::csv::cell;
use super::csv::source::Source;
use super::glob::{self, FileStat};
use super::{Stop, blocking};
use crate::{Error, Result};

pub use options::JsonOptions;

/// How texts in JSON are times: as in CSV files.
pub fn json_rules(strict: bool) -> Rules {
    Rules { date: cell::date, timestamp: cell::timestamp, instant: cell::instant, strict }
}

/// A table over the JSON files that a path, a glob or a `file://` URL names.
pub async fn open_json(pattern: &str, options: JsonOptions) -> Result<Arc<dyn TableProvider>> {
    open_json_files(glob::list(pattern).await?, options).await
}

/// A table over exactly these files, in this order; there must be at least one.
pub async fn open_json_files(files: Vec<FileStat>, options: JsonOptions) -> Result<Arc<dyn TableProvider>> {
    let table = blocking(move |stop| JsonTable::open(&files, &options, stop)).await?;
    Ok(Arc::new(table))
}

/// JSON files as a table.
#[derive(Debug)]
struct JsonTable {
    reading: Arc<Reading>,
}

impl JsonTable {
    fn open(files: &[FileStat], options: &JsonOptions, stop: &Stop) -> Result<Self> {
        let source = |file: &FileStat| {
            let gzip = options.compression.is_gzip(&file.shown);
            Source { path: file.path.clone(), shown: file.shown.clone(), bytes: file.bytes, gzip }
        };
        let sources: Vec<Source> = files.iter().map(source).collect();
        let is_inferred = options.columns.is_empty();
        let fields: Vec<Field> = match is_inferred {
            true => inferred(&sources, options, stop)?,
            false => options.columns.iter().map(|(name, kind)| Field::new(name, kind.clone(), true)).collect(),
        };
        let schema = Arc::new(Schema::new(fields));
        let strict = is_inferred || options.strict;
        Ok(JsonTable { reading: Arc::new(Reading { sources, schema, format: options.format, strict, is_inferred }) })
    }
}

/// The columns that a sample of the files' objects has.
fn inferred(sources: &[Source], options: &JsonOptions, stop: &Stop) -> Result<Vec<Field>> {
    let mut columns = Columns::new();
    let mut left = options.sample_rows;
    for source in sources {
        let mut values = Values::open(source, options.format)?;
        while left > 0 {
            if left.is_multiple_of(64) {
                stop.check()?;
            }
            let Some(text) = values.next()? else { break };
            let value = text.parse(source)?;
            if !matches!(value, Json::Object(_)) {
                return Err(scan::no_object(source, text.line, &value));
            }
            let update = columns.update(&value);
            update.map_err(|error| error.context(format!("`{}` line {}", source.shown, text.line)))?;
            left -= 1;
        }
    }
    let infer::Guess::Struct(fields) = &columns.guess else { return Ok(Vec::new()) };
    match (fields.is_empty(), sources.first()) {
        (true, Some(first)) => {
            let error = Error::input(format!("`{}`: expected an object with a key, found none", first.shown));
            Err(error.with_hint("say the columns: `columns => 'a BIGINT, b TEXT'`"))
        }
        (true, None) => Err(Error::not_found("expected at least one file")),
        _ => Ok(fields.iter().map(|(name, guess)| Field::new(name, guess.data_type(), true)).collect()),
    }
}

#[async_trait]
impl TableProvider for JsonTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.reading.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let files = self.reading.sources.len();
        let projection = projection.cloned().unwrap_or_else(|| (0..self.reading.schema.fields().len()).collect());
        let schema = Arc::new(self.reading.schema.project(&projection)?);
        let parts = if limit.is_some() { 1 } else { state.config().target_partitions() };
        let share = files.div_ceil(parts.max(1)).max(1);
        let partition = |start: usize| {
            let files = start..(start + share).min(files);
            let (reading, schema) = (Arc::clone(&self.reading), Arc::clone(&schema));
            Arc::new(Partition { reading, files, projection: projection.clone(), schema }) as Arc<dyn PartitionStream>
        };
        let streams = (0..files).step_by(share).map(partition).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, streams, None, [], false, limit)?))
    }
}
