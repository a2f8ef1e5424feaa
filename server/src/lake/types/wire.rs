//! What leaves the server: the Arrow types that every client reads, or the engine's own where a client asks for them.
//!
//! Drivers in use do not read views, dictionaries, run-ends, list views, half floats or small decimals (the JDBC driver
//! most of all), nor texts and bytes with long offsets (flightsql-dbapi and Grafana), so none of them is sent. Nor are
//! nanoseconds, which functions such as `now()` count: Python has no type for them, and neither has a table of Limn.
//! Everything else goes out as the engine has it. It knows nothing of messages or protocols.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::{Error, Result};

/// Which of Arrow's types a client is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WireTypes {
    /// Those that every driver reads.
    #[default]
    Plain,
    /// Those that the engine has, for a client that asks for them.
    Native,
}

impl WireTypes {
    /// What `text` stands for, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [WireTypes::Plain, WireTypes::Native].into_iter().find(|types| types.name().eq_ignore_ascii_case(text))
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            WireTypes::Plain => "plain",
            WireTypes::Native => "native",
        }
    }

    /// The schema in which rows of `schema` are sent: the same names, nullability and metadata.
    pub fn schema(self, schema: &Schema) -> SchemaRef {
        let fields: Vec<FieldRef> = schema.fields().iter().map(|field| self.field(field)).collect();
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }

    fn field(self, field: &FieldRef) -> FieldRef {
        let data_type = self.data_type(field.data_type());
        match data_type == *field.data_type() {
            true => Arc::clone(field),
            false => Arc::new(Field::clone(field).with_data_type(data_type)),
        }
    }

    fn data_type(self, data_type: &DataType) -> DataType {
        use DataType as T;
        match data_type {
            // arrow-flight's encoder announces a large list as a list and sends it as it is, which no client can read.
            T::List(item) | T::LargeList(item) => T::List(self.field(item)),
            T::FixedSizeList(item, size) => T::FixedSizeList(self.field(item), *size),
            T::Struct(fields) => T::Struct(fields.iter().map(|field| self.field(field)).collect()),
            T::Map(entries, sorted) => T::Map(self.field(entries), *sorted),
            other if self == WireTypes::Native => other.clone(),
            T::Utf8View | T::LargeUtf8 => T::Utf8,
            T::BinaryView | T::LargeBinary => T::Binary,
            T::Float16 => T::Float32,
            T::Decimal32(p, s) | T::Decimal64(p, s) => T::Decimal128(*p, *s),
            T::Timestamp(unit, zone) => T::Timestamp(at_most_micros(*unit), zone.as_deref().map(canonical_zone)),
            T::Time64(unit) => T::Time64(at_most_micros(*unit)),
            T::Duration(unit) => T::Duration(at_most_micros(*unit)),
            T::Dictionary(_, values) => self.data_type(values),
            T::RunEndEncoded(_, values) => self.data_type(values.data_type()),
            T::ListView(item) | T::LargeListView(item) => T::List(self.field(item)),
            other => other.clone(),
        }
    }
}

/// The type in which values of `data_type` are sent to every client that does not ask for another.
pub fn wire_type(data_type: &DataType) -> DataType {
    WireTypes::Plain.data_type(data_type)
}

fn at_most_micros(unit: TimeUnit) -> TimeUnit {
    match unit {
        TimeUnit::Nanosecond => TimeUnit::Microsecond,
        other => other,
    }
}

/// An offset as `+hh:mm`, which is the one form of several that every client reads; other zones as they are.
fn canonical_zone(zone: &str) -> Arc<str> {
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let is_offset = zone.starts_with(['+', '-']) && zone.chars().skip(1).all(|c| c.is_ascii_digit() || c == ':');
    let sign = zone.chars().next().unwrap_or('+');
    match (is_offset, digits.split_at_checked(2)) {
        (true, Some((hours, ""))) => format!("{sign}{hours}:00").into(),
        (true, Some((hours, minutes))) if minutes.len() == 2 => format!("{sign}{hours}:{minutes}").into(),
        _ => zone.into(),
    }
}

/// The schema in which rows of `schema` are sent: the same names, nullability and metadata.
pub fn wire_schema(schema: &Schema) -> SchemaRef {
    WireTypes::Plain.schema(schema)
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
        let micros = |zone: &str| T::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
        for (zone, sent) in [
            ("+11", "+11:00"),
            ("-0930", "-09:30"),
            ("+05:45", "+05:45"),
            ("UTC", "UTC"),
            ("Australia/Melbourne", "Australia/Melbourne"),
            ("Etc/GMT+10", "Etc/GMT+10"),
        ] {
            assert_eq!(wire_type(&micros(zone)), micros(sent));
        }
        let instant = super::super::instant();
        assert_eq!(wire_type(&instant), instant);
        assert_eq!(wire_type(&T::new_list(T::LargeUtf8, true)), T::new_list(T::Utf8, true));
        assert_eq!(wire_type(&T::LargeBinary), T::Binary);
        assert_eq!(parameter_type(&instant), T::Timestamp(TimeUnit::Millisecond, Some("UTC".into())));
        assert_eq!(parameter_type(&T::Null), T::Utf8);
    }

    #[test]
    fn who_asks_for_them_gets_the_engines_own_types() {
        use DataType as T;
        assert_eq!(WireTypes::parse("Native"), Some(WireTypes::Native));
        assert_eq!((WireTypes::parse("plain"), WireTypes::parse("")), (Some(WireTypes::default()), None));
        let native = |data_type: &T| WireTypes::Native.data_type(data_type);
        for kept in [
            T::Utf8View,
            T::Dictionary(Box::new(T::Int32), Box::new(T::Utf8)),
            T::Timestamp(TimeUnit::Nanosecond, None),
            T::Float16,
            T::ListView(Arc::new(Field::new("item", T::Utf8View, true))),
            T::new_list(T::Utf8View, true),
        ] {
            assert_eq!(native(&kept), kept);
        }
        assert_eq!(native(&T::new_large_list(T::Utf8View, true)), T::new_list(T::Utf8View, true));
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
