//! The JSON functions with what they need of the server: how types are written, and how texts are times.
//!
//! It knows nothing of sessions.

use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use limn_sql_udfs::functions::json;

use crate::Error;
use crate::lake::files::json_rules;
use crate::lake::types::parse::{parse_columns_text, parse_type_text};

/// All of them.
pub(super) fn functions() -> Vec<ScalarUDF> {
    json::functions(type_of, json_rules(false))
}

/// `'BIGINT[]'`, or `'a BIGINT, b TEXT'` for a struct of these.
fn type_of(text: &str) -> Result<DataType, DataFusionError> {
    if let Ok(data_type) = parse_type_text(text) {
        return Ok(data_type);
    }
    let columns = parse_columns_text(text).map_err(Error::into_datafusion)?;
    let fields = columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true));
    Ok(DataType::Struct(fields.collect::<Fields>()))
}
