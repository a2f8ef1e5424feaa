//! The file of groups: Parquet with a row for each, in ascending order of their keys.
//!
//! A row has the key, how the training went, and the constants in which the group's graph differs from its template. Row
//! groups are cut by size, so that a reader takes a few groups at a time. The bytes depend on nothing but the rows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use prost::bytes::Bytes;

use super::keys::{GroupKey, KeyValue, json};
use super::slots::{Flat, FlatView, Slot};
use crate::limits::{GROUP_BLOCK_BYTES, GROUPS_MAX, GROUPS_PER_BLOCK_MAX};
use crate::model::onnx::PRODUCER;
use crate::model::onnx::view::malformed;
use crate::model::signature::{Feature, ValueType};
use crate::{Error, Result};

/// The columns behind the key's.
const DETAILS: [&str; 5] = ["status", "reason", "rows", "rows_held_out", "metrics"];
/// The columns of a group's model.
const MODEL: [&str; 7] = ["graph", "classes", "shapes", "doubles", "integers", "bytes", "texts"];
/// The status of a group with a model of its own.
const TRAINED: &str = "trained";
/// The status of a group that the model over all groups answers for.
const FALLBACK: &str = "fallback";

/// A group's own model: which graph, and what is different in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupModel {
    /// The number of the template.
    pub graph: usize,
    /// The classes that the group has, as places in those of all groups.
    pub classes: Vec<i64>,
    /// The slots that differ from the template's.
    pub flat: Flat,
}

/// A row of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupRow {
    /// The group.
    pub key: GroupKey,
    /// Why it has no model of its own.
    pub reason: Option<String>,
    /// Rows that it was fitted on, or would have been.
    pub rows: u64,
    /// Rows held out.
    pub rows_held_out: u64,
    /// Metrics as a JSON object.
    pub metrics: String,
    /// Its model.
    pub model: Option<GroupModel>,
}

fn list(data_type: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", data_type, false)))
}

/// The columns of the file.
fn schema(columns: &[Feature]) -> SchemaRef {
    let key = |column: &Feature| Field::new(format!("key.{}", column.name), column.value_type.arrow(), true);
    let mut fields: Vec<Field> = columns.iter().map(key).collect();
    fields.extend([
        Field::new(DETAILS[0], DataType::Utf8, false),
        Field::new(DETAILS[1], DataType::Utf8, true),
        Field::new(DETAILS[2], DataType::Int64, false),
        Field::new(DETAILS[3], DataType::Int64, false),
        Field::new(DETAILS[4], DataType::Utf8, false),
        Field::new(MODEL[0], DataType::Int64, true),
        Field::new(MODEL[1], list(DataType::Int64), false),
        Field::new(MODEL[2], list(DataType::Int64), false),
        Field::new(MODEL[3], list(DataType::Float64), false),
        Field::new(MODEL[4], list(DataType::Int64), false),
        Field::new(MODEL[5], DataType::Binary, false),
        Field::new(MODEL[6], list(DataType::Utf8), false),
    ]);
    Arc::new(Schema::new(fields))
}

/// Writes the file, a block of rows at a time.
pub(crate) struct GroupsWriter {
    columns: Vec<Feature>,
    schema: SchemaRef,
    writer: ArrowWriter<Vec<u8>>,
    block: Vec<GroupRow>,
    block_bytes: usize,
}

impl GroupsWriter {
    /// An empty file.
    pub fn new(columns: &[Feature]) -> Result<Self> {
        let schema = schema(columns);
        let properties = WriterProperties::builder()
            .set_created_by(PRODUCER.to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(failed)?))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_max_row_group_row_count(Some(GROUPS_PER_BLOCK_MAX))
            .set_column_dictionary_enabled("doubles.list.item".into(), false)
            .set_column_dictionary_enabled("integers.list.item".into(), false)
            .set_column_encoding("integers.list.item".into(), Encoding::DELTA_BINARY_PACKED)
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options).map_err(failed)?;
        Ok(GroupsWriter { columns: columns.to_vec(), schema, writer, block: Vec::new(), block_bytes: 0 })
    }

    /// Adds a group, whose key is greater than all before.
    pub fn push(&mut self, row: GroupRow) -> Result<()> {
        self.block_bytes += row.model.as_ref().map_or(0, |model| model.flat.bytes());
        self.block.push(row);
        match self.block_bytes >= GROUP_BLOCK_BYTES || self.block.len() >= GROUPS_PER_BLOCK_MAX {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        self.block_bytes = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays(&self.columns, &block)?)?;
        self.writer.write(&batch).map_err(failed)?;
        self.writer.flush().map_err(failed)
    }

    /// The file's bytes.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.flush()?;
        self.writer.into_inner().map_err(failed)
    }
}

fn failed(error: ParquetError) -> Error {
    Error::internal(format!("the groups' file cannot be written: {error}"))
}

fn arrays(columns: &[Feature], rows: &[GroupRow]) -> Result<Vec<ArrayRef>> {
    let mut arrays: Vec<ArrayRef> =
        columns.iter().enumerate().map(|(place, column)| key_array(column, rows, place)).collect();
    let status = |row: &GroupRow| if row.model.is_some() { TRAINED } else { FALLBACK };
    arrays.push(Arc::new(StringArray::from_iter_values(rows.iter().map(status))));
    arrays.push(Arc::new(rows.iter().map(|row| row.reason.as_deref()).collect::<StringArray>()));
    arrays.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.rows as i64))));
    arrays.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.rows_held_out as i64))));
    arrays.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.metrics))));
    let graphs = rows.iter().map(|row| row.model.as_ref().map(|model| model.graph as i64));
    arrays.push(Arc::new(graphs.collect::<Int64Array>()));
    let none = GroupModel { graph: 0, classes: Vec::new(), flat: Flat::default() };
    let models: Vec<&GroupModel> = rows.iter().map(|row| row.model.as_ref().unwrap_or(&none)).collect();
    let integers = |of: fn(&GroupModel) -> &Vec<i64>| -> Result<ArrayRef> {
        let values = Int64Array::from_iter_values(models.iter().flat_map(|model| of(model)).copied());
        lists(models.iter().map(|model| of(model).len()), Arc::new(values))
    };
    arrays.push(integers(|model| &model.classes)?);
    arrays.push(integers(|model| &model.flat.shapes)?);
    let doubles = Float64Array::from_iter_values(models.iter().flat_map(|model| &model.flat.doubles).copied());
    arrays.push(lists(models.iter().map(|model| model.flat.doubles.len()), Arc::new(doubles))?);
    arrays.push(integers(|model| &model.flat.integers)?);
    arrays.push(Arc::new(BinaryArray::from_iter_values(models.iter().map(|model| &model.flat.bytes))));
    let texts: Vec<&String> = models.iter().flat_map(|model| &model.flat.texts).collect();
    let texts = StringArray::from_iter_values(texts);
    arrays.push(lists(models.iter().map(|model| model.flat.texts.len()), Arc::new(texts))?);
    Ok(arrays)
}

fn lists(lengths: impl Iterator<Item = usize>, values: ArrayRef) -> Result<ArrayRef> {
    let field = Arc::new(Field::new("item", values.data_type().clone(), false));
    Ok(Arc::new(ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), values, None)?))
}

fn key_array(column: &Feature, rows: &[GroupRow], place: usize) -> ArrayRef {
    let values = rows.iter().map(|row| row.key.get(place).unwrap_or(&KeyValue::Null));
    let number = |value: &KeyValue| if let KeyValue::Number(number) = value { Some(*number) } else { None };
    match column.value_type {
        ValueType::Boolean => {
            let flag = |value: &KeyValue| if let KeyValue::Boolean(flag) = value { Some(*flag) } else { None };
            Arc::new(values.map(flag).collect::<BooleanArray>())
        }
        ValueType::Date => {
            let day = |value: &KeyValue| number(value).and_then(|days| i32::try_from(days).ok());
            Arc::new(values.map(day).collect::<Date32Array>())
        }
        ValueType::BigInt => Arc::new(values.map(number).collect::<Int64Array>()),
        _ => {
            fn text(value: &KeyValue) -> Option<&str> {
                match value {
                    KeyValue::Text(text) => Some(text),
                    _ => None,
                }
            }
            Arc::new(values.map(text).collect::<StringArray>())
        }
    }
}

/// The file, open for reading.
#[derive(Debug)]
pub(crate) struct GroupsFile {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    columns: Vec<Feature>,
}

/// The model columns of some groups.
#[derive(Debug)]
pub(crate) struct ModelRows(RecordBatch);

impl GroupsFile {
    /// Opens a file whose rows have these group columns.
    pub fn open(bytes: Vec<u8>, columns: &[Feature]) -> Result<Self> {
        let bytes = Bytes::from(bytes);
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(|| Ok(ArrowReaderMetadata::load(&bytes, options)?))?;
        let found = metadata.schema();
        let expected = schema(columns);
        let same = |(a, b): (&Arc<Field>, &Arc<Field>)| {
            a.name() == b.name() && (a.data_type() == b.data_type() || is_list_of_same(a.data_type(), b.data_type()))
        };
        if found.fields().len() != expected.fields().len() || !found.fields().iter().zip(expected.fields()).all(same) {
            return Err(malformed("expected a file of groups, found other columns".to_owned()));
        }
        let rows = metadata.metadata().file_metadata().num_rows();
        if !usize::try_from(rows).is_ok_and(|rows| rows <= GROUPS_MAX) {
            return Err(malformed(format!("expected at most {GROUPS_MAX} groups, found {rows}")));
        }
        Ok(GroupsFile { bytes, metadata, columns: columns.to_vec() })
    }

    /// The number of groups in each block.
    pub fn blocks(&self) -> Vec<usize> {
        let blocks = self.metadata.metadata().row_groups().iter();
        blocks.map(|block| usize::try_from(block.num_rows()).unwrap_or(0)).collect()
    }

    fn read(&self, blocks: Vec<usize>, wanted: impl Fn(&str) -> bool) -> Result<Vec<RecordBatch>> {
        let fields = self.metadata.schema().fields();
        let roots: Vec<usize> = (0..fields.len()).filter(|place| wanted(fields[*place].name())).collect();
        guarded(|| {
            let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone())
                .with_row_groups(blocks)
                .with_projection(mask)
                .with_batch_size(GROUPS_PER_BLOCK_MAX)
                .build()?;
            Ok(reader.collect::<Result<Vec<_>, _>>()?)
        })
    }

    /// Every group, without its model's constants: keys, and why it has no model of its own.
    pub fn groups(&self) -> Result<Vec<(GroupKey, Option<String>, bool)>> {
        let blocks = (0..self.blocks().len()).collect();
        let mut groups = Vec::new();
        for batch in self.read(blocks, |name| name.starts_with("key.") || ["reason", "graph"].contains(&name))? {
            let width = self.columns.len();
            let reasons = batch.column(width).as_string::<i32>();
            for row in 0..batch.num_rows() {
                let key = self.columns.iter().zip(batch.columns()).map(|(column, array)| key_value(column, array, row));
                let reason = (!reasons.is_null(row)).then(|| reasons.value(row).to_owned());
                groups.push((key.collect(), reason, !batch.column(width + 1).is_null(row)));
            }
        }
        Ok(groups)
    }

    /// A block's groups, without their models.
    pub fn rows(&self, block: usize) -> Result<Vec<GroupRow>> {
        let width = self.columns.len();
        let mut rows = Vec::new();
        for batch in self.read(vec![block], |name| name.starts_with("key.") || DETAILS.contains(&name))? {
            let details = &batch.columns()[width..];
            let reasons = details[1].as_string::<i32>();
            let count = |column: usize, row| details[column].as_primitive::<Int64Type>().value(row) as u64;
            for row in 0..batch.num_rows() {
                let key = self.columns.iter().zip(batch.columns()).map(|(column, array)| key_value(column, array, row));
                rows.push(GroupRow {
                    key: key.collect(),
                    reason: (!reasons.is_null(row)).then(|| reasons.value(row).to_owned()),
                    rows: count(2, row),
                    rows_held_out: count(3, row),
                    metrics: details[4].as_string::<i32>().value(row).to_owned(),
                    model: None,
                });
            }
        }
        Ok(rows)
    }

    /// Keys as JSON, status, reason, rows, held-out rows and metrics of every group.
    pub fn details(&self) -> Result<RecordBatch> {
        let blocks = (0..self.blocks().len()).collect();
        let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
        let number = |name| Field::new(name, DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![
            text("partition", false),
            text(DETAILS[0], false),
            text(DETAILS[1], true),
            number(DETAILS[2]),
            number(DETAILS[3]),
            text(DETAILS[4], false),
        ]));
        let width = self.columns.len();
        let batches = self.read(blocks, |name| name.starts_with("key.") || DETAILS.contains(&name))?;
        let shown = batches.iter().map(|batch| {
            let keys = (0..batch.num_rows()).map(|row| {
                let values = self.columns.iter().zip(batch.columns());
                json(&self.columns, &values.map(|(column, array)| key_value(column, array, row)).collect::<GroupKey>())
            });
            let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(keys))];
            columns.extend(batch.columns()[width..].iter().cloned());
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
        });
        let shown = shown.collect::<Result<Vec<_>>>()?;
        Ok(arrow::compute::concat_batches(&schema, &shown)?)
    }

    /// The models of a block.
    pub fn models(&self, block: usize) -> Result<ModelRows> {
        let batches = self.read(vec![block], |name| MODEL.contains(&name))?;
        match <[RecordBatch; 1]>::try_from(batches) {
            Ok([batch]) => Ok(ModelRows(batch)),
            Err(others) => Err(malformed(format!("expected a block of groups, found {}", others.len()))),
        }
    }
}

impl ModelRows {
    /// The number of groups.
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// A group's graph, where it has a model of its own.
    pub fn graph(&self, row: usize) -> Option<usize> {
        let graphs = self.0.column(0).as_primitive::<Int64Type>();
        (!graphs.is_null(row)).then(|| usize::try_from(graphs.value(row)).unwrap_or(usize::MAX))
    }

    /// A group's classes, as places in those of all groups.
    pub fn classes(&self, row: usize) -> &[i64] {
        integers(self.0.column(1), row)
    }

    /// The slots of a group whose graph has this template, and about how many bytes they take.
    pub fn slots(&self, row: usize, template: &[Slot]) -> Result<(Vec<Slot>, usize)> {
        let doubles = self.0.column(3).as_list::<i32>();
        let offsets = doubles.value_offsets();
        let values: &[f64] = doubles.values().as_primitive::<Float64Type>().values();
        let flat = FlatView {
            shapes: integers(self.0.column(2), row),
            doubles: &values[offsets[row] as usize..offsets[row + 1] as usize],
            integers: integers(self.0.column(4), row),
            bytes: self.0.column(5).as_binary::<i32>().value(row),
        };
        let texts = self.0.column(6).as_list::<i32>();
        let (start, end) = (texts.value_offsets()[row] as usize, texts.value_offsets()[row + 1] as usize);
        let all = texts.values().as_string::<i32>();
        let size = (flat.shapes.len() + flat.doubles.len() + flat.integers.len()) * 8 + flat.bytes.len();
        let slots = flat.slots(template, &mut (start..end).map(|at| all.value(at)))?;
        Ok((slots, size))
    }
}

fn integers(array: &ArrayRef, row: usize) -> &[i64] {
    let lists = array.as_list::<i32>();
    let offsets = lists.value_offsets();
    &lists.values().as_primitive::<Int64Type>().values()[offsets[row] as usize..offsets[row + 1] as usize]
}

fn key_value(column: &Feature, array: &ArrayRef, row: usize) -> KeyValue {
    if array.is_null(row) {
        return KeyValue::Null;
    }
    match column.value_type {
        ValueType::Boolean => KeyValue::Boolean(array.as_boolean().value(row)),
        ValueType::Date => KeyValue::Number(i64::from(array.as_primitive::<Date32Type>().value(row))),
        ValueType::BigInt => KeyValue::Number(array.as_primitive::<Int64Type>().value(row)),
        _ => KeyValue::Text(array.as_string::<i32>().value(row).to_owned()),
    }
}

fn is_list_of_same(a: &DataType, b: &DataType) -> bool {
    matches!((a, b), (DataType::List(a), DataType::List(b)) if a.data_type() == b.data_type())
}

/// Reads hostile bytes: what fails or panics in the reader is an error.
fn guarded<T>(read: impl FnOnce() -> std::result::Result<T, ParquetOrArrow>) -> Result<T> {
    let odd = |what: String| malformed(format!("the groups' file cannot be read: {what}"));
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ParquetOrArrow(error))) => Err(odd(error)),
        Err(_) => Err(odd("its reader panicked".to_owned())),
    }
}

/// An error of either crate.
struct ParquetOrArrow(String);

impl From<ParquetError> for ParquetOrArrow {
    fn from(error: ParquetError) -> Self {
        ParquetOrArrow(error.to_string())
    }
}

impl From<arrow::error::ArrowError> for ParquetOrArrow {
    fn from(error: arrow::error::ArrowError) -> Self {
        ParquetOrArrow(error.to_string())
    }
}
