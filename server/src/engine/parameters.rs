//! Bound parameters in a plan: the type of each, and the plan with values in their place.
//!
//! DataFusion finds types where a parameter stands beside a column: comparisons, lists, inserted rows. It leaves those
//! of functions, casts, `LIMIT` and arithmetic open, so these are found here, in the way in which a NULL at that place gets
//! its type. What stays open is text. It knows nothing of clients and how they send values.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ParamValues};
use datafusion::logical_expr::expr::{Placeholder, ScalarFunction};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::scalar::ScalarValue;

use crate::limits::PARAMETERS_MAX;
use crate::{Error, Result};

/// The types of `$1`, `$2`, … in order, as far as the plan says.
pub(super) fn types(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>> {
    let found = Found::of(plan)?;
    let mut numbered: BTreeMap<usize, Option<DataType>> = BTreeMap::new();
    for name in found.names {
        match name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) {
            Some(number) if (1..=PARAMETERS_MAX).contains(&number) => {
                let known = found.declared.get(&name).or_else(|| found.wanted.get(&name));
                numbered.insert(number, known.cloned());
            }
            _ => return Err(Error::input(format!("expected parameters `$1` to `${PARAMETERS_MAX}`, found `{name}`"))),
        }
    }
    let count = numbered.last_key_value().map_or(0, |(number, _)| *number);
    let mut all = vec![None; count];
    for (number, data_type) in numbered {
        all[number - 1] = data_type;
    }
    Ok(all)
}

/// The plan with values for its parameters, cast to the types that the plan wants.
pub(super) fn bound(plan: LogicalPlan, values: &[ScalarValue]) -> Result<LogicalPlan> {
    let types = types(&plan)?;
    if types.len() != values.len() {
        return Err(Error::input(format!("expected {} bound parameters, found {}", types.len(), values.len())));
    }
    if values.is_empty() {
        return Ok(plan);
    }
    let mut cast = Vec::with_capacity(values.len());
    for (number, (value, data_type)) in values.iter().zip(&types).enumerate() {
        // What nobody typed is described as text, so it is text, whatever a client sends.
        let wanted = data_type.clone().unwrap_or(DataType::Utf8);
        let value = value.cast_to(&wanted).map_err(|_| {
            Error::input(format!(
                "expected {} for the parameter `${}`, found `{value}`",
                crate::lake::types::sql_name(&wanted),
                number + 1
            ))
        })?;
        cast.push(value);
    }
    Ok(plan.with_param_values(ParamValues::from(cast))?)
}

/// The plan with typed NULLs for its parameters: good for its schema only.
pub(super) fn described(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut nulls = Vec::new();
    for data_type in types(&plan)? {
        nulls.push(ScalarValue::try_from(&data_type.unwrap_or(DataType::Utf8))?);
    }
    match nulls.is_empty() {
        true => Ok(plan),
        false => Ok(plan.with_param_values(ParamValues::from(nulls))?),
    }
}

/// The parameters of a plan, by name. Of several types for one parameter the first counts: values are cast where the
/// plan needs another.
#[derive(Debug, Default)]
struct Found {
    names: Vec<String>,
    /// What DataFusion knows, from columns beside the parameter.
    declared: HashMap<String, DataType>,
    /// What the place wants where nothing is declared.
    wanted: HashMap<String, DataType>,
}

impl Found {
    fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut found = Found::default();
        plan.apply_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            if let LogicalPlan::Limit(limit) = node {
                for place in [&limit.skip, &limit.fetch].into_iter().flatten() {
                    found.want(place, &DataType::Int64);
                }
            }
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    found.look_at(part, &schema);
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(found)
    }

    fn look_at(&mut self, expr: &Expr, schema: &DFSchema) {
        match expr {
            Expr::Placeholder(Placeholder { id, field }) => {
                self.names.push(id.clone());
                if let Some(field) = field.as_ref().filter(|field| !field.data_type().is_null()) {
                    self.declared.entry(id.clone()).or_insert_with(|| field.data_type().clone());
                }
            }
            Expr::ScalarFunction(call) => {
                for (argument, data_type) in call.args.iter().zip(argument_types(call, schema).unwrap_or_default()) {
                    self.want(argument, &data_type);
                }
            }
            Expr::Cast(cast) => self.want(&cast.expr, cast.field.data_type()),
            Expr::TryCast(cast) => self.want(&cast.expr, cast.field.data_type()),
            // Between two parameters, or before one, arithmetic says no more than that they are numbers.
            Expr::Negative(operand) => self.want(operand, &DataType::Float64),
            Expr::BinaryExpr(BinaryExpr { left, op, right })
                if is_arithmetic(op) && is_open(left) && is_open(right) =>
            {
                self.want(left, &DataType::Float64);
                self.want(right, &DataType::Float64);
            }
            _ => {}
        }
    }

    /// Notes what a place wants, where an open parameter stands in it.
    fn want(&mut self, place: &Expr, data_type: &DataType) {
        if let Expr::Placeholder(Placeholder { id, .. }) = place
            && is_open(place)
            && !data_type.is_null()
        {
            self.wanted.entry(id.clone()).or_insert_with(|| data_type.clone());
        }
    }
}

fn is_arithmetic(operator: &Operator) -> bool {
    matches!(operator, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

/// Whether this is a parameter of which DataFusion does not know the type.
fn is_open(expr: &Expr) -> bool {
    match expr {
        Expr::Placeholder(Placeholder { field, .. }) => field.as_ref().is_none_or(|field| field.data_type().is_null()),
        _ => false,
    }
}

/// The types to which a function casts its arguments if its open parameters are NULL; `None` where it has no open
/// parameter or does not say.
fn argument_types(call: &ScalarFunction, schema: &DFSchema) -> Option<Vec<DataType>> {
    if !call.args.iter().any(is_open) {
        return None;
    }
    let given = call.args.iter().map(|argument| match is_open(argument) {
        true => Some(DataType::Null),
        false => argument.get_type(schema).ok(),
    });
    let given: Option<Vec<_>> = given.map(|known| Some(Arc::new(Field::new("", known?, true)))).collect();
    let wanted = fields_with_udf(&given?, call.func.as_ref()).ok()?;
    Some(wanted.iter().map(|field| field.data_type().clone()).collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::TimeUnit;
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn plan(sql: &str) -> LogicalPlan {
        let ctx = SessionContext::new();
        let create = "CREATE VIEW t AS SELECT * FROM (VALUES (1, 1.5, 'a'), (2, 2.5, 'b')) AS v(n, x, s)";
        ctx.sql(create).await.unwrap();
        ctx.state().create_logical_plan(sql).await.unwrap()
    }

    #[tokio::test]
    async fn the_place_says_which_type_a_parameter_has() {
        use DataType::{Boolean, Date32, Float64, Int32, Int64, Utf8};
        let cases: [(&str, Vec<Option<DataType>>); 13] = [
            ("SELECT $1", vec![None]),
            ("SELECT n FROM t WHERE n = $1 AND s LIKE $2", vec![Some(Int64), Some(Utf8)]),
            (
                "SELECT n FROM t WHERE n IN ($1, $2) AND x BETWEEN $3 AND 5",
                vec![Some(Int64), Some(Int64), Some(Float64)],
            ),
            ("SELECT n FROM t LIMIT $1 OFFSET $2", vec![Some(Int64), Some(Int64)]),
            ("SELECT n FROM (SELECT n FROM t LIMIT $1) AS u", vec![Some(Int64)]),
            ("SELECT CAST($1 AS DATE), TRY_CAST($2 AS INT)", vec![Some(Date32), Some(Int32)]),
            ("SELECT substr(s, $1, $2) FROM t", vec![Some(Int64), Some(Int64)]),
            ("SELECT $1 + $2, -$3", vec![Some(Float64), Some(Float64), Some(Float64)]),
            ("SELECT 1 + $1", vec![Some(Int64)]),
            // What a column says counts more than what a function would take, and once is enough.
            ("SELECT abs($1) FROM t WHERE n = $1", vec![Some(Int64)]),
            ("SELECT n FROM t WHERE n = $1 AND $1 IS NOT NULL", vec![Some(Int64)]),
            // The second of two types is reached by a cast.
            ("SELECT n FROM t WHERE n = $1 OR x = $1", vec![Some(Int64)]),
            ("SELECT n FROM t WHERE (n > $2) = $1", vec![Some(Boolean), Some(Int64)]),
        ];
        for (sql, expected) in cases {
            assert_eq!(types(&plan(sql).await).unwrap(), expected, "{sql}");
        }
    }

    #[tokio::test]
    async fn values_are_cast_to_the_type_of_their_place() {
        let plan = plan("SELECT n + $1 AS m FROM t WHERE x > $2 LIMIT $3").await;
        let values = [ScalarValue::from("5"), ScalarValue::Int8(Some(2)), ScalarValue::Int32(Some(1))];
        let ctx = SessionContext::new();
        let bound = bound(plan, &values).unwrap();
        let batches = ctx.execute_logical_plan(bound).await.unwrap().collect().await.unwrap();
        let rows: Vec<_> = batches.iter().filter(|batch| batch.num_rows() > 0).collect();
        assert_eq!(rows.len(), 1);
        let expected = Int64Array::from(vec![7]);
        assert_eq!(rows[0].column(0).as_any().downcast_ref::<Int64Array>(), Some(&expected));
    }

    #[tokio::test]
    async fn what_does_not_fit_says_so() {
        let comparison = plan("SELECT n FROM t WHERE n = $1").await;
        let error = bound(comparison.clone(), &[ScalarValue::from("many")]).unwrap_err();
        assert_eq!(error.message(), "expected BIGINT for the parameter `$1`, found `many`");
        assert_eq!(bound(comparison, &[]).unwrap_err().message(), "expected 1 bound parameters, found 0");
        assert!(types(&plan("SELECT $name").await).unwrap_err().message().contains("`$name`"));
    }

    #[tokio::test]
    async fn a_description_needs_no_values() {
        let described = described(plan("SELECT CAST($1 AS TIMESTAMP) AS at, $2 AS text").await).unwrap();
        let schema = described.schema();
        assert!(matches!(schema.field(0).data_type(), DataType::Timestamp(TimeUnit::Nanosecond, None)));
        assert_eq!(schema.field(1).data_type(), &DataType::Utf8);
    }
}
