//! `GetTableTypes`: what a relation can be.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::CommandGetTableTypes;

use crate::engine::TEMPORARY_TABLE;
use crate::{Error, Result};

/// The types that the engine's catalog reports.
const TABLE_TYPES: [&str; 4] = [TEMPORARY_TABLE, "SYSTEM TABLE", "TABLE", "VIEW"];

/// The reply's schema.
pub fn schema() -> SchemaRef {
    CommandGetTableTypes {}.into_builder().schema()
}

/// The reply.
pub fn batch() -> Result<RecordBatch> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    for table_type in TABLE_TYPES {
        builder.append(table_type);
    }
    builder.build().map_err(|error| Error::internal(error.to_string()))
}
