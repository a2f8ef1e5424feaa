//! `CHECK` constraints of a table: conditions that every row meets, in the properties `delta.constraints.NAME`.
//!
//! deltalake checks them too, and says so in a text without a class; here the error is the statement's, and names the
//! constraint. As in Delta, a row for which the condition is not known does not meet it
//! (<https://github.com/delta-io/delta/blob/master/PROTOCOL.md#check-constraints>).

use std::fmt;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::ToDFSchema;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::SessionContext;

use crate::{Error, Result};

/// What the properties' names begin with.
pub const PREFIX: &str = "delta.constraints.";

/// The constraints of one table. Cheap to clone.
#[derive(Clone, Default)]
pub struct Constraints {
    checks: Arc<[Check]>,
}

#[derive(Clone)]
struct Check {
    name: String,
    text: String,
    condition: Arc<dyn PhysicalExpr>,
}

impl Constraints {
    /// Reads the constraints among a table's properties. An `Input` error for one that is no condition on its columns.
    pub fn new<'a>(properties: impl IntoIterator<Item = (&'a String, &'a String)>, schema: &SchemaRef) -> Result<Self> {
        let mut checks = Vec::new();
        for (key, text) in properties {
            let Some(name) = key.strip_prefix(PREFIX) else { continue };
            let condition =
                condition(text, schema).map_err(|error| error.context(format!("the constraint `{name}`: `{text}`")))?;
            checks.push(Check { name: name.to_string(), text: text.clone(), condition });
        }
        checks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Constraints { checks: checks.into() })
    }

    /// The same, and that columns whose values follow from others have them.
    pub fn with_generated(self, generated: &[(String, String)], schema: &SchemaRef) -> Result<Self> {
        let mut checks: Vec<Check> = self.checks.iter().cloned().collect();
        for (column, text) in generated {
            let field = schema.field_with_name(column)?;
            let quoted = column.replace('"', "\"\"");
            let cast = super::types::sql_name(field.data_type());
            let text = format!("\"{quoted}\" IS NOT DISTINCT FROM CAST(({text}) AS {cast})");
            let name = format!("generated column {column}");
            let condition = condition(&text, schema).map_err(|error| error.context(format!("the {name}")))?;
            checks.push(Check { name, text, condition });
        }
        Ok(Constraints { checks: checks.into() })
    }

    /// The same, and a condition of the statement.
    pub fn with_condition(self, name: &str, text: Option<&str>, schema: &SchemaRef) -> Result<Self> {
        let Some(text) = text else { return Ok(self) };
        let mut checks: Vec<Check> = self.checks.iter().cloned().collect();
        let condition = condition(text, schema).map_err(|error| error.context(format!("`{name} {text}`")))?;
        checks.push(Check { name: name.to_string(), text: text.to_string(), condition });
        Ok(Constraints { checks: checks.into() })
    }

    /// An `Input` error where a row of `table` does not meet one.
    pub fn check(&self, batch: &RecordBatch, table: &str) -> Result<()> {
        for Check { name, text, condition } in self.checks.iter() {
            let met = condition.evaluate(batch)?.into_array(batch.num_rows())?;
            let met = met.as_boolean();
            // What is unknown is not met.
            let wrong = met.len() - met.true_count();
            if wrong > 0 {
                let rows = met.len();
                return Err(Error::input(format!(
                    "expected rows that meet the constraint `{name}` of `{table}`, `{text}`, found {wrong} of {rows} \
                     that do not"
                )));
            }
        }
        Ok(())
    }
}

fn condition(text: &str, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let state = SessionContext::new().state();
    let columns = schema.clone().to_dfschema()?;
    let condition = state.create_physical_expr(state.create_logical_expr(text, &columns)?, &columns)?;
    match condition.data_type(schema)? {
        DataType::Boolean => Ok(condition),
        other => {
            Err(Error::input(format!("expected a condition, found a value of type {}", super::types::sql_name(&other))))
        }
    }
}

impl fmt::Debug for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| (&check.name, &check.text))).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::Int64Array;
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::Class;

    fn constraints(text: &str) -> Result<Constraints> {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        Constraints::new(&BTreeMap::from([(format!("{PREFIX}pos"), text.to_string())]), &schema)
    }

    fn batch(values: Vec<Option<i64>>) -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(values)) as arrow::array::ArrayRef)]).unwrap()
    }

    #[test]
    fn what_is_not_met_or_not_known_is_refused() {
        let positive = constraints("a > 0").unwrap();
        positive.check(&batch(vec![Some(1), Some(2)]), "main.t").unwrap();
        let error = positive.check(&batch(vec![Some(1), Some(-2), None]), "main.t").unwrap_err();
        let expected = "expected rows that meet the constraint `pos` of `main.t`, `a > 0`, found 2 of 3 that do not";
        assert_eq!((error.class(), error.message()), (Class::Input, expected));
        constraints("TRUE").unwrap().check(&batch(vec![None]), "main.t").unwrap();
        assert!(constraints("a IS NOT NULL OR FALSE").unwrap().check(&batch(vec![None]), "main.t").is_err());
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (text, class) in [("a + 1", Class::Input), ("a >", Class::Input), ("b > 0", Class::NotFound)] {
            let error = constraints(text).unwrap_err();
            assert_eq!(error.class(), class, "{error}");
            assert!(error.message().starts_with("the constraint `pos`: "), "{error}");
        }
    }
}
