//! Which columns of a data file are worth a dictionary, and which compression, from the first rows that are written.
//!
//! Parquet writers try a dictionary on every column and give up when it is too large, in every row group again. For
//! columns that hardly repeat, such as measures, ids and instants, that takes most of the time of a write, and makes the
//! file larger and slower to read. Measures with many digits do not compress either: to decompress them is to copy them,
//! which takes a good part of a scan. It changes no value, and knows nothing of where rows come from.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use parquet::basic::Compression;
use parquet::file::properties::WriterPropertiesBuilder;
use parquet::schema::types::ColumnPath;

use crate::limits::{DATA_FILE_ROW_GROUP_BYTES, ENCODING_SAMPLE_ROWS, ENCODING_SAMPLE_ROWS_MIN};

/// A dictionary that has more than one entry for this many rows is not worth it.
const ROWS_PER_ENTRY_MIN: usize = 2;

/// A column that keeps more than this share of its bytes, in percent, is not worth compressing.
const COMPRESSED_PERCENT_MAX: usize = 90;

/// Rows that a writer looks at before it begins.
#[derive(Debug, Default)]
pub struct Sample {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Sample {
    /// Whether it has seen enough.
    pub fn is_full(&self) -> bool {
        self.rows >= ENCODING_SAMPLE_ROWS || self.bytes >= DATA_FILE_ROW_GROUP_BYTES
    }

    /// Takes a batch of the rows that are written.
    pub fn add(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
    }

    /// The batches that it took, in order.
    pub fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// `properties` without dictionaries for the columns that hardly repeat, and without compression for those of them that
    /// would not become smaller.
    pub fn encoded(&self, schema: &Schema, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        if self.rows < ENCODING_SAMPLE_ROWS_MIN {
            return properties;
        }
        // Parts of nested columns have other numbers of values than rows; they are left as they are.
        let flat = schema.fields().iter().filter(|field| !field.data_type().is_nested());
        flat.filter(|field| self.hardly_repeats(field.name())).fold(properties, |properties, field| {
            let path = ColumnPath::from(vec![field.name().clone()]);
            let properties = properties.set_column_dictionary_enabled(path.clone(), false);
            match self.compresses(field.name()) {
                true => properties,
                false => properties.set_column_compression(path, Compression::UNCOMPRESSED),
            }
        })
    }

    fn hardly_repeats(&self, name: &str) -> bool {
        let columns = self.batches.iter().filter_map(|batch| batch.column_by_name(name));
        let (entries, values) = distinct(columns.cloned().collect());
        entries * ROWS_PER_ENTRY_MIN > values
    }

    /// Whether Snappy makes the first values of a column smaller; yes for what is no column of floating-point numbers.
    fn compresses(&self, name: &str) -> bool {
        let mut bytes = Vec::new();
        for array in self.batches.iter().filter_map(|batch| batch.column_by_name(name)) {
            if !array.data_type().is_floating() {
                return true;
            }
            let data = array.slice(0, array.len().min(ENCODING_SAMPLE_ROWS)).to_data();
            let width = data.data_type().primitive_width().unwrap_or(1);
            let values = data.buffers().first().map_or(&[][..], |buffer| buffer.as_slice());
            let start = data.offset() * width;
            bytes.extend_from_slice(values.get(start..start + data.len() * width).unwrap_or(values));
            if bytes.len() >= ENCODING_SAMPLE_ROWS * width {
                break;
            }
        }
        let compressed = snap::raw::Encoder::new().compress_vec(&bytes);
        compressed.map_or(true, |compressed| compressed.len() * 100 <= bytes.len() * COMPRESSED_PERCENT_MAX)
    }
}

/// How many different values the first rows of a column have, and how many values, NULL aside.
fn distinct(column: Vec<ArrayRef>) -> (usize, usize) {
    let Some(Ok(converter)) = column.first().map(|a| RowConverter::new(vec![SortField::new(a.data_type().clone())]))
    else {
        return (0, 0);
    };
    // Hashes stand for the values: that two of so few have the same one changes nothing.
    let hash = RandomState::new();
    let (mut seen, mut values, mut left) = (HashSet::new(), 0, ENCODING_SAMPLE_ROWS);
    for array in column {
        let array = array.slice(0, array.len().min(left));
        left -= array.len();
        values += array.len() - array.null_count();
        // A column whose batches differ in type is left as it is; the writer will say so.
        let Ok(rows) = converter.convert_columns(&[ArrayRef::clone(&array)]) else { return (0, 0) };
        let present = rows.iter().enumerate().filter(|(at, _)| array.is_valid(*at));
        seen.extend(present.map(|(_, row)| hash.hash_one(row.as_ref())));
    }
    (seen.len(), values)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int32Array, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int64Type;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn batch(rows: i32) -> RecordBatch {
        let number = || 0..rows;
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(number().map(|n| Some(vec![Some(i64::from(n))])));
        RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from_iter_values(number().map(i64::from))) as ArrayRef),
            ("site", Arc::new(Int32Array::from_iter_values(number().map(|n| n % 1000)))),
            ("gaps", Arc::new(Float64Array::from_iter(number().map(|n| (n % 10 == 0).then_some(f64::from(n)))))),
            ("empty", Arc::new(Float64Array::from_iter(number().map(|_| None::<f64>)))),
            ("label", Arc::new(StringArray::from_iter_values(number().map(|n| format!("site-{}", n % 7))))),
            ("key", Arc::new(StringArray::from_iter_values(number().map(|n| format!("key-{n}"))))),
            ("list", Arc::new(lists)),
        ])
        .unwrap()
    }

    fn dictionaries(sample: &Sample) -> Vec<&'static str> {
        let schema = batch(1).schema();
        let properties = sample.encoded(&schema, WriterProperties::builder()).build();
        ["id", "site", "gaps", "empty", "label", "key", "list"]
            .into_iter()
            .filter(|name| properties.dictionary_enabled(&ColumnPath::from(vec![(*name).to_string()])))
            .collect()
    }

    #[test]
    fn columns_that_repeat_keep_their_dictionaries() {
        let mut sample = Sample::default();
        while !sample.is_full() {
            sample.add(batch(8192));
        }
        // Each batch begins again, so even ids repeat.
        assert_eq!(dictionaries(&sample), ["id", "site", "gaps", "empty", "label", "key", "list"]);
        let mut sample = Sample::default();
        sample.add(batch(20_000));
        assert_eq!(dictionaries(&sample), ["site", "empty", "label", "list"]);
        assert_eq!(sample.into_batches().len(), 1);
    }

    #[test]
    fn what_does_not_become_smaller_is_not_compressed() {
        // Digits without a pattern, and numbers of few digits.
        let noise = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / 3.0;
        let column =
            |of: &dyn Fn(u64) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values((0..20_000).map(of))) };
        let batch = RecordBatch::try_from_iter([
            ("noise", column(&noise)),
            ("steps", column(&|n| n as f64)),
            ("flat", column(&|n| (n % 5) as f64)),
        ])
        .unwrap();
        let schema = batch.schema();
        let mut sample = Sample::default();
        // Only the part of a column that a batch shows counts.
        sample.add(batch.slice(10, 19_990));
        let snappy = WriterProperties::builder().set_compression(Compression::SNAPPY);
        let properties = sample.encoded(&schema, snappy).build();
        let compression = |name: &str| properties.compression(&ColumnPath::from(vec![name.to_string()]));
        assert_eq!(compression("noise"), Compression::UNCOMPRESSED);
        assert_eq!(compression("steps"), Compression::SNAPPY);
        assert_eq!(compression("flat"), Compression::SNAPPY);
    }

    #[test]
    fn few_rows_say_nothing() {
        let mut sample = Sample::default();
        sample.add(batch(1000));
        assert_eq!(dictionaries(&sample).len(), 7);
    }
}
