//! One partition of a scan of JSON files: reads its files in order and gives Arrow batches.
//!
//! It reads on a thread of its own that waits while the query has enough batches. It knows nothing of planning.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use limn_sql_udfs::json::Json;
use limn_sql_udfs::json::decode::{Mismatch, column, shortened, unknown_key};

use super::json_rules;
use super::options::Format;
use super::values::{Text, Values};
use crate::lake::files::csv::source::Source;
use crate::lake::types::sql_name;
use crate::limits::{BATCH_ROWS, CSV_BATCHES_BUFFERED, JSON_BATCH_BYTES};
use crate::{Error, Result};

/// What all partitions of a table share.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) sources: Vec<Source>,
    /// All columns.
    pub(super) schema: SchemaRef,
    pub(super) format: Format,
    /// Whether a key that is no column is an error.
    pub(super) strict: bool,
    /// Whether the columns were inferred and not said.
    pub(super) is_inferred: bool,
}

/// One partition of a scan.
#[derive(Clone)]
pub(super) struct Partition {
    pub(super) reading: Arc<Reading>,
    pub(super) files: Range<usize>,
    /// The columns that are wanted, as indices of all columns.
    pub(super) projection: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "json({} files)", self.files.len())
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), CSV_BATCHES_BUFFERED);
        let (partition, batches) = (self.clone(), stream.tx());
        stream.spawn_blocking(move || {
            // A send fails when the query is gone, which ends the work.
            let read = partition.read(|batch| batches.blocking_send(Ok(batch)).is_ok());
            read.map_err(Error::into_datafusion)
        });
        stream.build()
    }
}

/// A value that is no row.
pub(super) fn no_object(source: &Source, line: u64, value: &Json<'_>) -> Error {
    let found = shortened(&value.to_string());
    let error = Error::input(format!("`{}` line {line}: expected an object, found `{found}`", source.shown));
    error.with_hint("each object of a file is a row; read_text reads a file as it is")
}

impl Partition {
    /// Gives every batch to `give`, until that answers `false`.
    fn read(&self, mut give: impl FnMut(RecordBatch) -> bool) -> Result<()> {
        for source in self.reading.sources.iter().skip(self.files.start).take(self.files.len()) {
            let mut values = Values::open(source, self.reading.format)?;
            loop {
                let (mut texts, mut bytes) = (Vec::new(), 0);
                while texts.len() < BATCH_ROWS && bytes < JSON_BATCH_BYTES {
                    let Some(text) = values.next()? else { break };
                    bytes += text.bytes();
                    texts.push(text);
                }
                if texts.is_empty() {
                    break;
                }
                if !give(self.batch(source, &texts)?) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn batch(&self, source: &Source, texts: &[Text]) -> Result<RecordBatch> {
        let values: Vec<Json<'_>> = texts.iter().map(|text| text.parse(source)).collect::<Result<_>>()?;
        for (value, text) in values.iter().zip(texts) {
            let Json::Object(entries) = value else { return Err(no_object(source, text.line, value)) };
            if let Some(key) = unknown_key(self.reading.schema.fields(), entries).filter(|_| self.reading.strict) {
                return Err(self.unknown_key(source, text.line, &shortened(key)));
            }
        }
        let rules = json_rules(self.reading.strict);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.projection.len());
        for &index in &self.projection {
            let field = self.reading.schema.field(index);
            let cells: Vec<Option<&Json<'_>>> = values.iter().map(|value| value.get_any_case(field.name())).collect();
            let array = column(field.data_type(), &cells, &rules);
            arrays.push(array.map_err(|wrong| self.mismatch(source, texts, field.name(), &wrong))?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(texts.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }

    fn unknown_key(&self, source: &Source, line: u64, key: &str) -> Error {
        let error = Error::input(format!("`{}` line {line}: expected no other keys, found `{key}`", source.shown));
        error.with_hint(match self.reading.is_inferred {
            true => "the columns are those of the first values; read more with `sample_size => -1`, or say `columns`",
            false => "the table has no column of that name; ALTER TABLE adds one",
        })
    }

    fn mismatch(&self, source: &Source, texts: &[Text], name: &str, wrong: &Mismatch) -> Error {
        let line = texts.get(wrong.row).map_or(0, |text| text.line);
        let Some(expected) = &wrong.expected else { return self.unknown_key(source, line, &wrong.found) };
        let dot = if wrong.path.is_empty() || wrong.path.starts_with('[') { "" } else { "." };
        let error = Error::input(format!(
            "`{}` line {line}, column `{name}{dot}{}`: expected {}, found `{}`",
            source.shown,
            wrong.path,
            sql_name(expected),
            wrong.found
        ));
        match self.reading.is_inferred {
            true => error.with_hint(
                "the type is that of the first values; read more with `sample_size => -1`, or say `columns`",
            ),
            false => error,
        }
    }
}
