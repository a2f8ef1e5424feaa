//! CSV files as a table.
//!
//! Names and types are found when the table is opened, before a statement is planned; rows are read when it is
//! scanned, only the wanted columns of them, large files by several threads. Every mistake in a file is told with its
//! file, line and column. It knows nothing of SQL.
//!
//! # Layout
//! - [`options`]: how to read; `tokens`: bytes to fields; `source`, `records`: a file's bytes, lines and rows
//! - `cell`, `column`: texts to values and arrays; `infer`, `header`: types and names
//! - `split`, `scan`: shares of large files, and the streams that read them

pub(super) mod cell;
mod column;
mod header;
mod infer;
pub mod options;
mod records;
mod scan;
pub(super) mod source;
mod split;
#[cfg(test)]
mod tests;
mod tokens;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use self::column::Nulls;
use self::header::Head;
use self::infer::Column;
use self::records::Records;
use self::scan::{Partition, Reading};
use self::source::Source;
use self::split::Whole;
use super::glob::{self, FileStat};
use super::{Stop, blocking};
use crate::error::unknown;
use crate::limits::BATCH_ROWS;
use crate::{Class, Error, Result};

pub use options::CsvOptions;

/// A table over the CSV files that a path, a glob or a `file://` URL names.
///
/// Reads the header of every file and as many rows as the options say. `NotFound` where there is no file, `Input` for
/// broken files (with file, line and column) and files whose headers differ.
pub async fn open_csv(pattern: &str, options: CsvOptions) -> Result<Arc<dyn TableProvider>> {
    open_csv_files(glob::list(pattern).await?, options).await
}

/// A table over exactly these files, in this order; there must be at least one.
pub async fn open_csv_files(files: Vec<FileStat>, options: CsvOptions) -> Result<Arc<dyn TableProvider>> {
    let table = blocking(move |stop| CsvTable::open(&files, &options, stop)).await?;
    Ok(Arc::new(table))
}

/// CSV files as a table.
#[derive(Debug)]
struct CsvTable {
    reading: Arc<Reading>,
    /// Where the rows of each file start.
    starts: Vec<u64>,
}

impl CsvTable {
    fn open(files: &[FileStat], options: &CsvOptions, stop: &Stop) -> Result<Self> {
        let sources: Vec<Arc<Source>> = files
            .iter()
            .map(|file| {
                let gzip = options.is_gzip(&file.shown);
                Arc::new(Source { path: file.path.clone(), shown: file.shown.clone(), bytes: file.bytes, gzip })
            })
            .collect();
        let Some(first) = sources.first() else {
            return Err(Error::not_found("expected at least one file"));
        };
        let dialect = options.dialect(&first.shown);
        let head = Head::read(first, dialect, options)?;
        let mut starts = vec![head.start];
        for source in sources.iter().skip(1) {
            stop.check()?;
            let other = Head::read(source, dialect, options)?;
            if options.header {
                head.check_same(first, &other, source)?;
            }
            starts.push(other.start);
        }
        let names: Arc<[String]> = head.names.into();
        let nulls = Nulls::new(options.nulls.clone());
        let said = said_types(&names, options)?;
        let reading = Reading { dialect, nulls, schema: Arc::new(Schema::empty()), names, inferred: vec![], sources };
        let table = CsvTable { reading: Arc::new(reading), starts };
        let types = table.types(&said, options, stop)?;
        table.finish(&said, types)
    }

    /// The columns' types: what the options say, else what the sample shows.
    fn types(&self, said: &[Option<DataType>], options: &CsvOptions, stop: &Stop) -> Result<Vec<DataType>> {
        let reading = &self.reading;
        let mut columns = vec![Column::new(); said.len()];
        let mut left = options.sample_rows;
        if said.iter().all(Option::is_some) {
            left = 0;
        }
        for (source, start) in reading.sources.iter().zip(&self.starts) {
            if left == 0 {
                break;
            }
            let mut records = Records::open(source, reading.dialect, &reading.names, *start, None)?;
            while left > 0 {
                stop.check()?;
                let Some(rows) = records.next(BATCH_ROWS.min(left))? else { break };
                left -= rows.len();
                for (index, column) in columns.iter_mut().enumerate().filter(|(index, _)| said[*index].is_none()) {
                    column.update(&rows, index, &reading.nulls);
                }
            }
        }
        Ok(said.iter().zip(&columns).map(|(said, column)| said.clone().unwrap_or_else(|| column.data_type())).collect())
    }

    fn finish(self, said: &[Option<DataType>], types: Vec<DataType>) -> Result<Self> {
        let reading = &self.reading;
        let fields: Vec<Field> =
            reading.names.iter().zip(types).map(|(name, data_type)| Field::new(name, data_type, true)).collect();
        let reading = Reading {
            dialect: reading.dialect,
            nulls: reading.nulls.clone(),
            schema: Arc::new(Schema::new(fields)),
            names: Arc::clone(&reading.names),
            inferred: said.iter().map(Option::is_none).collect(),
            sources: reading.sources.clone(),
        };
        Ok(CsvTable { reading: Arc::new(reading), starts: self.starts })
    }

    /// The partitions of one scan.
    async fn partitions(&self, projection: Vec<usize>, partitions_max: usize) -> Result<Vec<Partition>> {
        let schema = Arc::new(self.reading.schema.project(&projection)?);
        let (reading, starts) = (Arc::clone(&self.reading), self.starts.clone());
        let shares = blocking(move |stop| {
            let files: Vec<Whole<'_>> =
                reading.sources.iter().zip(&starts).map(|(source, start)| Whole { source, start: *start }).collect();
            split::partitions(&files, reading.dialect, partitions_max, split::share_bytes_min(), stop)
        });
        let partition = |shares| Partition {
            reading: Arc::clone(&self.reading),
            shares,
            projection: projection.clone(),
            schema: Arc::clone(&schema),
        };
        Ok(shares.await?.into_iter().map(partition).collect())
    }
}

/// The types that the options say, by column.
fn said_types(names: &[String], options: &CsvOptions) -> Result<Vec<Option<DataType>>> {
    let mut said: Vec<Option<DataType>> = match options.all_text {
        true => vec![Some(DataType::Utf8); names.len()],
        false => vec![None; names.len()],
    };
    for (wanted, data_type) in &options.columns {
        options::check_type(wanted, data_type)?;
        // Names in options fold, names in files do not: the exact one first, then any case.
        let exact = names.iter().position(|name| name == wanted);
        let folded = || names.iter().position(|name| name.to_lowercase() == wanted.to_lowercase());
        match exact.or_else(folded) {
            Some(index) => said[index] = Some(data_type.clone()),
            None => {
                let error = unknown("column", wanted, names.iter().map(String::as_str));
                return Err(Error::new(Class::Input, format!("option `columns`: {}", error.message())));
            }
        }
    }
    Ok(said)
}

#[async_trait]
impl TableProvider for CsvTable {
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
        let all = || (0..self.reading.schema.fields().len()).collect();
        let projection = projection.cloned().unwrap_or_else(all);
        // The first rows come from the front of the first file; cutting the files would only read them for nothing.
        let partitions_max = if limit.is_some() { 1 } else { state.config().target_partitions() };
        let partitions = self.partitions(projection.clone(), partitions_max).await.map_err(Error::into_datafusion)?;
        let schema = Arc::new(self.reading.schema.project(&projection)?);
        let streams = partitions.into_iter().map(|p| Arc::new(p) as Arc<dyn PartitionStream>).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, streams, None, [], false, limit)?))
    }
}
