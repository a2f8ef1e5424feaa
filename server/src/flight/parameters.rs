//! Bound parameters: the types that a prepared statement offers, and the rows that a client binds.
//!
//! Offered types are those that JDBC can write; bound values may have any type, the engine casts them. It knows nothing
//! of statements.

use std::sync::Arc;

use arrow::array::{Array, UnionArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use futures::Stream;
use tonic::Status;

use super::decode::Incoming;
use super::ipc::{from_ipc, to_ipc};
use crate::engine::parameter_type;
use crate::limits::{BOUND_BYTES_MAX, BOUND_ROWS_MAX};
use crate::{Error, Result};

/// The schema of the parameters `$1`, `$2`, … as clients see it; one of no known type is text.
pub fn parameter_schema(types: &[Option<DataType>]) -> Schema {
    let fields = types.iter().enumerate().map(|(index, known)| {
        Field::new(format!("${}", index + 1), known.as_ref().map_or(DataType::Utf8, parameter_type), true)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// The rows that a client bound, in order. Without a column it is no binding at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Binding {
    batches: Vec<RecordBatch>,
}

impl Binding {
    /// Reads the batches of a `DoPut`, the descriptor message included, to the end of the stream.
    pub async fn read(messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static) -> Result<Self> {
        let mut incoming = Incoming::new(messages, "the bound parameters");
        let mut binding = Binding::default();
        let (mut rows, mut bytes) = (0, 0);
        while let Some(batch) = incoming.next().await? {
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            refuse_many(rows, bytes)?;
            if batch.num_columns() > 0 {
                binding.batches.push(batch);
            }
        }
        // Columns without a batch are no rows, which is another thing than nothing bound.
        if let Some(schema) = incoming.schema().filter(|schema| binding.is_empty() && !schema.fields().is_empty()) {
            binding.batches.push(RecordBatch::new_empty(schema));
        }
        Ok(binding)
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The bytes that the rows take.
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(RecordBatch::get_array_memory_size).sum()
    }

    /// Rows of one number each.
    #[cfg(test)]
    pub fn of_numbers(numbers: &[i64]) -> Self {
        let column: Arc<dyn Array> = Arc::new(arrow::array::Int64Array::from(numbers.to_vec()));
        let schema = Arc::new(Schema::new(vec![Field::new("$1", DataType::Int64, true)]));
        Binding { batches: RecordBatch::try_new(schema, vec![column]).into_iter().collect() }
    }

    /// An error unless each row has `expected` values.
    pub fn check(&self, expected: usize) -> Result<()> {
        let found = self.batches.first().map_or(0, RecordBatch::num_columns);
        if found == expected {
            return Ok(());
        }
        let plural = if expected == 1 { "" } else { "s" };
        Err(Error::input(format!("expected {expected} bound parameter{plural}, found {found}")))
    }

    /// The values of each row. A statement without parameters runs once, so no binding is one empty row.
    pub fn rows(&self) -> Result<Vec<Vec<ScalarValue>>> {
        if self.is_empty() {
            return Ok(vec![Vec::new()]);
        }
        let mut rows = Vec::new();
        for batch in &self.batches {
            for row in 0..batch.num_rows() {
                rows.push(batch.columns().iter().map(|column| value(column, row)).collect::<Result<_>>()?);
            }
        }
        Ok(rows)
    }

    /// The rows as they were sent, where there are several and each column has values of one type.
    pub fn several(&self) -> Option<&[RecordBatch]> {
        let rows: usize = self.batches.iter().map(RecordBatch::num_rows).sum();
        let mut columns = self.batches.iter().flat_map(RecordBatch::columns);
        let plain = columns.all(|column| !matches!(column.data_type(), DataType::Union(_, _)));
        (rows > 1 && plain).then_some(self.batches.as_slice())
    }

    /// The rows as an Arrow IPC stream, for a ticket; nothing for no binding.
    pub fn to_ipc(&self) -> Result<Bytes> {
        match self.batches.first() {
            None => Ok(Bytes::new()),
            Some(first) => to_ipc(&first.schema(), &self.batches),
        }
    }

    /// The rows that [`Binding::to_ipc`] wrote.
    pub fn from_ipc(bytes: &Bytes) -> Result<Self> {
        match bytes.is_empty() {
            true => Ok(Binding::default()),
            false => {
                let (_, batches) = from_ipc(bytes)?;
                // What anybody may have written is held to the same bounds as what was sent.
                let rows = batches.iter().map(RecordBatch::num_rows).fold(0, usize::saturating_add);
                refuse_many(rows, bytes.len())?;
                Ok(Binding { batches: batches.into_iter().filter(|batch| batch.num_columns() > 0).collect() })
            }
        }
    }
}

fn refuse_many(rows: usize, bytes: usize) -> Result<()> {
    match rows > BOUND_ROWS_MAX || bytes > BOUND_BYTES_MAX {
        false => Ok(()),
        true => Err(Error::exhausted(format!(
            "more than {BOUND_ROWS_MAX} rows or {BOUND_BYTES_MAX} bytes of parameters are bound"
        ))
        .with_hint("load the rows into a table instead")),
    }
}

/// One value, taken out of the wrappings in which clients send it (Python's dbapi binds dense unions).
fn value(column: &Arc<dyn Array>, row: usize) -> Result<ScalarValue> {
    if let Some(union) = column.as_any().downcast_ref::<UnionArray>() {
        return value(&union.value(row), 0);
    }
    Ok(unwrapped(ScalarValue::try_from_array(column, row)?))
}

fn unwrapped(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Dictionary(_, inner) | ScalarValue::RunEndEncoded(_, _, inner) => unwrapped(*inner),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::{TimeUnit, UnionFields};
    use arrow_flight::encode::FlightDataEncoderBuilder;
    use arrow_flight::{FlightDescriptor, SchemaAsIpc};
    use futures::TryStreamExt;

    use super::*;

    fn batch() -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "é"]));
        RecordBatch::try_from_iter(vec![("$1", numbers), ("$2", texts)]).unwrap()
    }

    fn expected() -> Vec<Vec<ScalarValue>> {
        vec![
            vec![ScalarValue::Int64(Some(1)), ScalarValue::from("a")],
            vec![ScalarValue::Int64(None), ScalarValue::from("é")],
        ]
    }

    #[test]
    fn offered_types_are_those_that_jdbc_writes() {
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let schema = parameter_schema(&[
            None,
            Some(nanos),
            Some(DataType::Time64(TimeUnit::Microsecond)),
            Some(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View))),
            Some(DataType::Int64),
        ]);
        let types: Vec<&DataType> = schema.fields().iter().map(|field| field.data_type()).collect();
        let millis = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let time = DataType::Time32(TimeUnit::Millisecond);
        assert_eq!(types, [&DataType::Utf8, &millis, &time, &DataType::Utf8, &DataType::Int64]);
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["$1", "$2", "$3", "$4", "$5"]);
        assert!(schema.fields().iter().all(|field| field.is_nullable()));
    }

    #[tokio::test]
    async fn rows_are_read_from_the_wire_and_survive_a_ticket() {
        let descriptor = FlightDescriptor::new_cmd("x");
        let batches = futures::stream::iter([Ok(batch()), Ok(batch())]);
        let messages = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor)).build(batches);
        let binding = Binding::read(messages.map_err(Status::from)).await.unwrap();
        binding.check(2).unwrap();
        let rows = [expected(), expected()].concat();
        assert_eq!(binding.rows().unwrap(), rows);
        let again = Binding::from_ipc(&binding.to_ipc().unwrap()).unwrap();
        assert_eq!(again.rows().unwrap(), rows);
    }

    #[tokio::test]
    async fn no_column_is_one_empty_row_however_it_is_sent() {
        let descriptor_only = FlightData::new().with_descriptor(FlightDescriptor::new_cmd("x"));
        let mut empty_schema = FlightData::from(SchemaAsIpc::new(&Schema::empty(), &Default::default()));
        empty_schema.flight_descriptor = Some(FlightDescriptor::new_cmd("x"));
        for messages in [vec![], vec![descriptor_only], vec![empty_schema]] {
            let binding = Binding::read(futures::stream::iter(messages.into_iter().map(Ok))).await.unwrap();
            assert!(binding.is_empty());
            assert_eq!(binding.rows().unwrap(), vec![Vec::<ScalarValue>::new()]);
            assert_eq!(Binding::from_ipc(&binding.to_ipc().unwrap()).unwrap(), binding);
            assert_eq!(binding.check(2).unwrap_err().message(), "expected 2 bound parameters, found 0");
        }
    }

    #[tokio::test]
    async fn columns_without_a_batch_are_no_rows() {
        let schema_only = FlightData::from(SchemaAsIpc::new(&batch().schema(), &Default::default()));
        let binding = Binding::read(futures::stream::iter([Ok(schema_only)])).await.unwrap();
        assert!(!binding.is_empty());
        binding.check(2).unwrap();
        assert!(binding.rows().unwrap().is_empty());
        assert_eq!(Binding::from_ipc(&binding.to_ipc().unwrap()).unwrap().rows().unwrap(), Vec::<Vec<_>>::new());
    }

    #[test]
    fn dense_unions_are_unwrapped() {
        let fields = UnionFields::from_fields(vec![
            Field::new("i", DataType::Int32, true),
            Field::new("s", DataType::Utf8, true),
        ]);
        let children: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from(vec![5, 6])), Arc::new(StringArray::from(vec!["x"]))];
        let offsets = ScalarBuffer::from(vec![0, 0, 1]);
        let union = UnionArray::try_new(fields, ScalarBuffer::from(vec![0, 1, 0]), Some(offsets), children).unwrap();
        let batch = RecordBatch::try_from_iter(vec![("$1", Arc::new(union) as ArrayRef)]).unwrap();
        let rows = Binding { batches: vec![batch] }.rows().unwrap();
        let column: Vec<ScalarValue> = rows.into_iter().flatten().collect();
        let expected = [ScalarValue::Int32(Some(5)), ScalarValue::from("x"), ScalarValue::Int32(Some(6))];
        assert_eq!(column, expected);
    }
}
