//! Generated columns: their values follow from other columns of the row.
//!
//! A row that has NULL there gets the value; a row that has another value than its own is refused, as Delta has it:
//! <https://github.com/delta-io/delta/blob/master/PROTOCOL.md#generated-columns>. Expressions are read as SQL of Limn.

use std::collections::BTreeMap;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::prelude::SessionContext;

use super::align::align;
use super::constraints::Constraints;
use super::protocol::GENERATION;
use crate::{Error, Result};

/// The generated columns of a table, with the texts of their expressions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generated(BTreeMap<String, String>);

impl Generated {
    /// Those that a table's columns note.
    pub fn new(columns: &Schema) -> Self {
        let noted = columns
            .fields()
            .iter()
            .filter_map(|field| Some((field.name().clone(), field.metadata().get(GENERATION)?.clone())));
        Generated(noted.collect())
    }

    /// The constraints of a table's properties, and that generated columns have their values.
    pub fn constraints<'a>(
        &self,
        properties: impl IntoIterator<Item = (&'a String, &'a String)>,
        schema: &SchemaRef,
    ) -> Result<Constraints> {
        Constraints::new(properties, schema)?.with_generated(&self.to_list(), schema)
    }

    /// The columns with their expressions.
    pub fn to_list(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(column, expression)| (column.clone(), expression.clone())).collect()
    }

    /// The rows of `plan`, whose columns are in the order of `schema`, with the values that are left out.
    pub fn fill(&self, plan: LogicalPlan, schema: &SchemaRef) -> Result<LogicalPlan> {
        if self.0.is_empty() {
            return Ok(plan);
        }
        let aligned = align(plan, schema)?;
        let state = SessionContext::new().state();
        let columns = aligned.schema().columns().into_iter().zip(schema.fields()).map(|(column, field)| {
            let own = Expr::Column(column);
            let Some(expression) = self.0.get(field.name()) else { return Ok(own) };
            let computed = state.create_logical_expr(expression, aligned.schema()).map_err(|error| {
                Error::from(error).context(format!("the generated column `{}`: `{expression}`", field.name()))
            })?;
            Ok(coalesce(vec![own, cast(computed, field.data_type().clone())]).alias(field.name()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(LogicalPlanBuilder::from(aligned).project(columns)?.build()?)
    }
}
