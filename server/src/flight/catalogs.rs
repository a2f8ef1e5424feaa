//! `GetCatalogs`: the one catalog.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::metadata::GetCatalogsBuilder;

use crate::engine::CATALOG;
use crate::{Error, Result};

/// The reply's schema.
pub fn schema() -> SchemaRef {
    GetCatalogsBuilder::new().schema()
}

/// The reply.
pub fn batch() -> Result<RecordBatch> {
    let mut builder = GetCatalogsBuilder::new();
    builder.append(CATALOG);
    builder.build().map_err(|error| Error::internal(error.to_string()))
}
