//! The type names of `CAST` and of typed literals: those of `CREATE TABLE`, with the same meaning.
//!
//! DataFusion's own reading of them differs where it hurts: its `TIMESTAMP` counts nanoseconds, which end in the year
//! 2262, and it knows neither `BINARY` nor `MAP`. It knows nothing of statements.

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::Result;
use datafusion::common::datatype::DataTypeExt;
use datafusion::logical_expr::planner::TypePlanner;
use sqlparser::ast;

use crate::error::Class;
use crate::lake::types::parse_sql_type;

/// Reads type names for the planner.
#[derive(Debug)]
pub(super) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql: &ast::DataType) -> Result<Option<FieldRef>> {
        match parse_sql_type(sql) {
            Ok(data_type) => Ok(Some(data_type.into_nullable_field_ref())),
            // A type that no table keeps may still be computed with, such as `BIGINT[3]`: DataFusion decides.
            Err(error) if error.class() == Class::Unsupported => Ok(None),
            Err(error) => Err(error.into_datafusion()),
        }
    }
}
