//! Brings the columns of a query into the names and types of a table's columns, in order.
//!
//! A value that does not fit its column is an error when it comes, never NULL and never cut. It knows nothing of
//! where the rows go.

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, LogicalPlanBuilder};

use crate::{Error, Result};

/// `plan` with each column cast to the type, and called by the name, of the column of `schema` in its place.
pub fn align(plan: LogicalPlan, schema: &SchemaRef) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    if columns.len() != schema.fields().len() {
        return Err(Error::input(format!("expected {} columns, found {}", schema.fields().len(), columns.len())));
    }
    let aligned: Vec<Expr> = columns
        .into_iter()
        .zip(plan.schema().fields().iter().zip(schema.fields()))
        .map(|(column, (from, to))| {
            let value = Expr::Column(column);
            let value = match from.data_type() == to.data_type() {
                true => value,
                false => Expr::Cast(Cast::new(Box::new(value), to.data_type().clone())),
            };
            value.alias(to.name())
        })
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(aligned)?.build()?)
}
