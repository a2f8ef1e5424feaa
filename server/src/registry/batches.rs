//! Row versions as Arrow batches and back: for SQL (what is visible) and for the Delta tables (all of it).
//!
//! Reading takes any string and integer width that a Delta reader may choose and casts it to the table's own. It does
//! not know which row versions are current.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};

use super::micros;
use super::tables::SystemTable;
use super::version::{Record, Stamp, Version, number};
use crate::limits::BATCH_ROWS;
use crate::{Error, Result};

/// The batches that SQL sees, of at most [`BATCH_ROWS`] rows; none for no rows.
pub fn visible(table: SystemTable, versions: &[Arc<Version>]) -> Result<Vec<RecordBatch>> {
    versions.chunks(BATCH_ROWS).map(|chunk| write(table.schema(), chunk, false)).collect()
}

/// The batches that go into the Delta table.
pub fn stored(table: SystemTable, versions: &[Arc<Version>]) -> Result<Vec<RecordBatch>> {
    versions.chunks(BATCH_ROWS).map(|chunk| write(table.stored_schema(), chunk, true)).collect()
}

fn write(schema: SchemaRef, versions: &[Arc<Version>], with_deleted: bool) -> Result<RecordBatch> {
    let mut to = CellWriter::new(&schema);
    for version in versions {
        version.record.write(&mut to);
        to.big_int(number(version.stamp.seq));
        to.time(version.stamp.recorded_at);
        if with_deleted {
            to.boolean(version.deleted);
        }
        to.end_row();
    }
    Ok(RecordBatch::try_new(schema, to.finish())?)
}

/// Reads the row versions of a stored batch of `table` for which `wanted` says so.
pub fn read(table: SystemTable, batch: &RecordBatch, wanted: impl Fn(Stamp) -> bool) -> Result<Vec<Version>> {
    let schema = table.stored_schema();
    let columns = schema.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).ok_or_else(|| {
            Error::internal(format!("expected the column `{}` in `system.{}`", field.name(), table.name()))
        })?;
        Ok(cast(column, field.data_type())?)
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let own = schema.fields().len() - 3;
    let mut versions = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let mut from = CellReader { columns: &columns, row, at: own };
        let stamp = Stamp { seq: from.count()?, recorded_at: from.time()? };
        if !wanted(stamp) {
            continue;
        }
        let deleted = from.boolean()?;
        from.at = 0;
        versions.push(Version { stamp, deleted, record: Record::read(table, &mut from)? });
    }
    Ok(versions)
}

/// Takes cells row by row, in column order.
///
/// A cell of another type than its column's leaves that column short, which building the batch then reports.
pub struct CellWriter {
    columns: Vec<Column>,
    at: usize,
}

enum Column {
    Text(StringBuilder),
    BigInt(Int64Builder),
    Double(Float64Builder),
    Time(TimestampMicrosecondBuilder),
    Boolean(BooleanBuilder),
}

impl CellWriter {
    fn new(schema: &SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| match field.data_type() {
            DataType::Int64 => Column::BigInt(Int64Builder::new()),
            DataType::Float64 => Column::Double(Float64Builder::new()),
            DataType::Boolean => Column::Boolean(BooleanBuilder::new()),
            DataType::Timestamp(..) => Column::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            _ => Column::Text(StringBuilder::new()),
        });
        CellWriter { columns: columns.collect(), at: 0 }
    }

    fn next(&mut self) -> Option<&mut Column> {
        self.at += 1;
        self.columns.get_mut(self.at - 1)
    }

    fn end_row(&mut self) {
        self.at = 0;
    }

    fn finish(self) -> Vec<ArrayRef> {
        let finish = |column| -> ArrayRef {
            match column {
                Column::Text(mut cells) => Arc::new(cells.finish()),
                Column::BigInt(mut cells) => Arc::new(cells.finish()),
                Column::Double(mut cells) => Arc::new(cells.finish()),
                Column::Time(mut cells) => Arc::new(cells.finish()),
                Column::Boolean(mut cells) => Arc::new(cells.finish()),
            }
        };
        self.columns.into_iter().map(finish).collect()
    }

    /// Writes a text.
    pub fn text(&mut self, value: &str) {
        self.text_or_null(Some(value));
    }

    /// Writes a text or NULL.
    pub fn text_or_null(&mut self, value: Option<&str>) {
        if let Some(Column::Text(cells)) = self.next() {
            cells.append_option(value);
        }
    }

    /// Writes a BIGINT.
    pub fn big_int(&mut self, value: i64) {
        self.big_int_or_null(Some(value));
    }

    /// Writes a BIGINT or NULL.
    pub fn big_int_or_null(&mut self, value: Option<i64>) {
        if let Some(Column::BigInt(cells)) = self.next() {
            cells.append_option(value);
        }
    }

    /// Writes a DOUBLE.
    pub fn double(&mut self, value: f64) {
        if let Some(Column::Double(cells)) = self.next() {
            cells.append_value(value);
        }
    }

    /// Writes an instant.
    pub fn time(&mut self, value: DateTime<Utc>) {
        self.time_or_null(Some(value));
    }

    /// Writes an instant or NULL.
    pub fn time_or_null(&mut self, value: Option<DateTime<Utc>>) {
        if let Some(Column::Time(cells)) = self.next() {
            cells.append_option(value.map(|time| time.timestamp_micros()));
        }
    }

    fn boolean(&mut self, value: bool) {
        if let Some(Column::Boolean(cells)) = self.next() {
            cells.append_value(value);
        }
    }
}

/// Gives the cells of one row, in column order.
pub struct CellReader<'a> {
    columns: &'a [ArrayRef],
    row: usize,
    at: usize,
}

impl CellReader<'_> {
    /// The next column's array and the row in it; `None` for NULL.
    fn next<T>(&mut self, value: impl FnOnce(&ArrayRef, usize) -> Option<T>) -> Result<Option<T>> {
        let column = self.columns.get(self.at).ok_or_else(|| Error::internal("a system table has too few columns"))?;
        self.at += 1;
        match column.is_null(self.row) {
            true => Ok(None),
            false => value(column, self.row)
                .map(Some)
                .ok_or_else(|| Error::internal(format!("unexpected cell of type {}", column.data_type()))),
        }
    }

    fn present<T>(value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Error::internal("expected a value in a system table, found NULL"))
    }

    /// Reads a text or NULL.
    pub fn text_or_null(&mut self) -> Result<Option<String>> {
        self.next(|column, row| Some(column.as_string_opt::<i32>()?.value(row).to_string()))
    }

    /// Reads a text.
    pub fn text(&mut self) -> Result<String> {
        self.text_or_null().and_then(Self::present)
    }

    /// Reads a BIGINT or NULL.
    pub fn big_int_or_null(&mut self) -> Result<Option<i64>> {
        self.next(|column, row| Some(column.as_primitive_opt::<Int64Type>()?.value(row)))
    }

    /// Reads a BIGINT.
    pub fn big_int(&mut self) -> Result<i64> {
        self.big_int_or_null().and_then(Self::present)
    }

    /// Reads a BIGINT that is not negative.
    pub fn count(&mut self) -> Result<u64> {
        let value = self.big_int()?;
        u64::try_from(value).map_err(|_| Error::internal(format!("expected a count in a system table, found {value}")))
    }

    /// Reads a DOUBLE.
    pub fn double(&mut self) -> Result<f64> {
        self.next(|column, row| Some(column.as_primitive_opt::<Float64Type>()?.value(row))).and_then(Self::present)
    }

    /// Reads an instant or NULL.
    pub fn time_or_null(&mut self) -> Result<Option<DateTime<Utc>>> {
        self.next(|column, row| micros::from_micros(column.as_primitive_opt::<TimestampMicrosecondType>()?.value(row)))
    }

    /// Reads an instant.
    pub fn time(&mut self) -> Result<DateTime<Utc>> {
        self.time_or_null().and_then(Self::present)
    }

    fn boolean(&mut self) -> Result<bool> {
        self.next(|column, row| Some(column.as_boolean_opt()?.value(row))).and_then(Self::present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::rows::{Metric, Model, Run, RunSource, RunStatus};

    fn there_and_back(record: Record) -> Version {
        let time = micros::from_micros(1_700_000_000_000_001).unwrap();
        let version = Version { stamp: Stamp { seq: 7, recorded_at: time }, deleted: true, record };
        let table = version.record.table();
        let batch = stored(table, &[Arc::new(version.clone())]).unwrap().remove(0);
        assert_eq!(read(table, &batch, |stamp| stamp.seq != 7).unwrap(), []);
        let back = read(table, &batch, |_| true).unwrap().remove(0);
        assert_eq!((back.stamp, back.deleted), (version.stamp, version.deleted));
        back
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let time = micros::from_micros(-1).unwrap();
        let run = Run {
            run_id: "a".into(),
            experiment_id: "b".into(),
            name: "c".into(),
            status: RunStatus::Killed,
            source: RunSource::Client,
            user_name: "d".into(),
            query_id: None,
            statement: Some("e".into()),
            algorithm: Some("f".into()),
            seed: Some(i64::MIN),
            engine_build: Some("g".into()),
            started_at: time,
            ended_at: None,
            error: Some(String::new()),
            cpu_level: Some("x86-64-v3".into()),
            session: None,
            parameters: None,
        };
        assert_eq!(there_and_back(Record::Runs(run.clone())).record, Record::Runs(run));
        let model = Model { name: "größe".into(), description: None, created_at: time };
        assert_eq!(there_and_back(Record::Models(model.clone())).record, Record::Models(model));
        let metric = Metric { run_id: "a".into(), key: "k".into(), value: f64::NAN, step: -1, timestamp: time };
        match there_and_back(Record::Metrics(metric)).record {
            Record::Metrics(row) => assert!(row.value.is_nan() && row.step == -1 && row.timestamp == time),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn other_widths_are_cast_and_missing_columns_are_named() {
        let time = micros::from_micros(0).unwrap();
        let record = Record::Models(Model { name: "m".into(), description: None, created_at: time });
        let version = Version { stamp: Stamp { seq: 1, recorded_at: time }, deleted: false, record };
        let batch = stored(SystemTable::Models, &[Arc::new(version.clone())]).unwrap().remove(0);
        let name = cast(batch.column(0), &DataType::Utf8View).unwrap();
        let mut columns = vec![("name", name)];
        let rest = batch.schema();
        columns.extend(rest.fields().iter().zip(batch.columns()).skip(1).map(|(f, c)| (f.name().as_str(), c.clone())));
        let wide = RecordBatch::try_from_iter(columns).unwrap();
        assert_eq!(read(SystemTable::Models, &wide, |_| true).unwrap(), [version]);
        let error = read(SystemTable::Models, &batch.project(&[0, 1, 2]).unwrap(), |_| true).unwrap_err();
        assert_eq!(error.message(), "expected the column `seq` in `system.models`");
    }
}
