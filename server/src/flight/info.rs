//! Flight infos and schemas, as every command answers them.
//!
//! One endpoint and no location: the ticket is redeemed where the info came from, by any connection, any number of
//! times. It knows nothing of what a ticket says.

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::ProstMessageExt;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, SchemaResult, Ticket};
use bytes::Bytes;
use prost::Message;

use crate::Result;

/// The info of a result with this schema behind this ticket; `None` rows where nobody knows.
pub fn flight_info(
    descriptor: FlightDescriptor,
    schema: &Schema,
    ticket: Ticket,
    total_records: Option<u64>,
) -> Result<FlightInfo> {
    let total_records = total_records.map_or(-1, |rows| i64::try_from(rows).unwrap_or(i64::MAX));
    Ok(FlightInfo::new()
        .try_with_schema(schema)?
        .with_descriptor(descriptor)
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
        .with_total_records(total_records))
}

/// The info of a metadata command, whose ticket is the command itself.
pub fn of_command(command: &impl ProstMessageExt, schema: &Schema, descriptor: FlightDescriptor) -> Result<FlightInfo> {
    flight_info(descriptor, schema, Ticket::new(command.as_any().encode_to_vec()), None)
}

/// A schema as an encapsulated IPC message, which is how actions and catalog columns carry it.
pub fn schema_bytes(schema: &Schema) -> Result<Bytes> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into()?;
    Ok(bytes)
}

/// A schema as `GetSchema` answers it.
pub fn schema_result(schema: &Schema) -> Result<SchemaResult> {
    Ok(SchemaResult { schema: schema_bytes(schema)? })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};
    use arrow_flight::sql::CommandGetCatalogs;

    use super::*;

    #[test]
    fn an_info_has_one_endpoint_without_location_or_expiry() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let info = of_command(&CommandGetCatalogs {}, &schema, FlightDescriptor::new_cmd("x")).unwrap();
        assert_eq!(info.endpoint.len(), 1);
        assert!(info.endpoint[0].location.is_empty());
        assert!(info.endpoint[0].expiration_time.is_none());
        assert_eq!((info.total_records, info.total_bytes), (-1, -1));
        assert_eq!(info.try_decode_schema().unwrap(), schema);
    }

    #[test]
    fn a_schema_result_reads_back() {
        let schema = Schema::new(vec![Field::new("é", DataType::Utf8, false)]);
        assert_eq!(Schema::try_from(schema_result(&schema).unwrap()).unwrap(), schema);
    }
}
