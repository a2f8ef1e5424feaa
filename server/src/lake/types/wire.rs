//! What leaves the server: the Arrow types that every client reads.
//!
//! Drivers in use (the JDBC driver most of all) do not read views, dictionaries, run-ends, list views, half floats or
//! small decimals, so none of them is sent. Nor are nanoseconds, which functions such as `now()` count: Python has no
//! type for them, and neither has a table of Limn. Everything else goes out as the engine has it. It knows nothing of
//! messages or protocols.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::{Error, Result};

/// The type in which values of `data_type` are sent.
pub fn wire_type(data_type: &DataType) -> DataType {
    use DataType as T;
    match data_type {
        T::Utf8View => T::Utf8,
        T::BinaryView => T::Binary,
        T::Float16 => T::Float32,
        T::Decimal32(p, s) | T::Decimal64(p, s) => T::Decimal128(*p, *s),
        T::Timestamp(TimeUnit::Nanosecond, zone) => T::Timestamp(TimeUnit::Microsecond, zone.clone()),
        T::Time64(TimeUnit::Nanosecond) => T::Time64(TimeUnit::Microsecond),
        T::Duration(TimeUnit::Nanosecond) => T::Duration(TimeUnit::Microsecond),
        T::Dictionary(_, values) => wire_type(values),
        T::RunEndEncoded(_, values) => wire_type(values.data_type()),
        // arrow-flight's encoder announces a large list as a list and sends it as it is, which no client can read.
        T::List(item) | T::ListView(item) | T::LargeList(item) | T::LargeListView(item) => T::List(wire_field(item)),
        T::FixedSizeList(item, size) => T::FixedSizeList(wire_field(item), *size),
        T::Struct(fields) => T::Struct(fields.iter().map(wire_field).collect()),
        T::Map(entries, sorted) => T::Map(wire_field(entries), *sorted),
        other => other.clone(),
    }
}

/// The schema in which rows of `schema` are sent: the same names, nullability and metadata.
pub fn wire_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(wire_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The rows of `batch` in `schema`, which is the [`wire_schema`] of the batch's own.
///
/// Costs nothing for columns whose type is the same. An `Internal` error where the two do not belong together.
pub fn wire_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::internal(format!(
            "expected a batch of {} columns, found {}",
            schema.fields().len(),
            batch.num_columns()
        )));
    }
    let columns: Result<Vec<ArrayRef>> = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => Ok(cast(column, field.data_type())?),
        })
        .collect();
    // The row count is said explicitly: a batch without columns has rows too.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns?, &options)?)
}

/// The type that is advertised for a parameter of type `data_type`.
///
/// The JDBC driver writes timestamps as milliseconds whatever the unit, times as milliseconds, dates as days, and
/// cannot bind a parameter of type NULL (arrow-java issues 838 and 477); what it sends is cast to the type that the
/// statement needs.
pub fn parameter_type(data_type: &DataType) -> DataType {
    use DataType as T;
    match wire_type(data_type) {
        T::Null => T::Utf8,
        T::Timestamp(_, zone) => T::Timestamp(TimeUnit::Millisecond, zone),
        T::Time32(_) | T::Time64(_) => T::Time32(TimeUnit::Millisecond),
        T::Date64 => T::Date32,
        other => other,
    }
}

fn wire_field(field: &FieldRef) -> FieldRef {
    let data_type = wire_type(field.data_type());
    match data_type == *field.data_type() {
        true => Arc::clone(field),
        false => {
            Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, DictionaryArray, Int64Array, ListArray, StringArray, StringViewArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn no_client_sees_an_encoding() {
        use DataType as T;
        let nested = T::new_list(T::Utf8View, true);
        assert_eq!(wire_type(&nested), T::new_list(T::Utf8, true));
        assert_eq!(wire_type(&T::Dictionary(Box::new(T::Int32), Box::new(T::Utf8View))), T::Utf8);
        assert_eq!(wire_type(&T::Decimal64(12, 3)), T::Decimal128(12, 3));
        assert_eq!(wire_type(&T::Float16), T::Float32);
        assert_eq!(wire_type(&T::new_large_list(T::LargeList(Arc::new(Field::new("item", T::Int64, true))), true)), {
            T::new_list(T::new_list(T::Int64, true), true)
        });
        let nanos = |zone: Option<&str>| T::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into));
        assert_eq!(wire_type(&nanos(None)), T::Timestamp(TimeUnit::Microsecond, None));
        assert_eq!(wire_type(&nanos(Some("+11:00"))), T::Timestamp(TimeUnit::Microsecond, Some("+11:00".into())));
        assert_eq!(wire_type(&T::Time64(TimeUnit::Nanosecond)), T::Time64(TimeUnit::Microsecond));
        assert_eq!(wire_type(&T::Duration(TimeUnit::Nanosecond)), T::Duration(TimeUnit::Microsecond));
        let instant = super::super::instant();
        assert_eq!(wire_type(&instant), instant);
        assert_eq!(parameter_type(&instant), T::Timestamp(TimeUnit::Millisecond, Some("UTC".into())));
        assert_eq!(parameter_type(&T::Null), T::Utf8);
    }

    #[test]
    fn batches_arrive_in_the_wire_schema_with_the_same_values() {
        let words = StringViewArray::from(vec![Some("a"), None, Some("ünïcode, longer than a view holds inline")]);
        let keys: DictionaryArray<Int32Type> = vec![Some("x"), Some("y"), None].into_iter().collect();
        let field = Arc::new(Field::new("item", DataType::Utf8View, true));
        let list = ListArray::new(field, OffsetBuffer::from_lengths([1, 0, 2]), Arc::new(words.clone()), None);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(words), Arc::new(keys), Arc::new(list), Arc::new(Int64Array::from(vec![1, 2, 3]))];
        let names = ["words", "keys", "list", "n"];
        let batch = RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap();
        let schema = wire_schema(&batch.schema());
        let sent = wire_batch(&batch.slice(1, 2), &schema).unwrap();
        assert_eq!(sent.schema(), schema);
        assert_eq!(
            sent.column(0).as_string::<i32>(),
            &StringArray::from(vec![None, Some("ünïcode, longer than a view holds inline")])
        );
        assert_eq!(sent.column(1).as_string::<i32>(), &StringArray::from(vec![Some("y"), None]));
        assert_eq!(sent.column(2).as_list::<i32>().value(1).len(), 2);
    }

    #[test]
    fn a_batch_without_columns_keeps_its_rows() {
        let schema = Arc::new(Schema::empty());
        let options = RecordBatchOptions::new().with_row_count(Some(7));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), vec![], &options).unwrap();
        assert_eq!(wire_batch(&batch, &schema).unwrap().num_rows(), 7);
    }

    #[test]
    fn a_batch_of_another_schema_is_a_bug() {
        let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        assert_eq!(wire_batch(&batch, &schema).unwrap_err().class(), crate::Class::Internal);
    }
}
