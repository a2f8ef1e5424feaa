//! Bound parameters in a plan: the type of each, and the plan with values in their place.
//!
//! DataFusion finds types where a parameter stands beside a column: comparisons, lists, inserted rows. It leaves those
//! of functions, casts, `LIMIT` and arithmetic open, so these are found here, in the way in which a NULL at that place gets
//! its type. What stays open is text. It knows nothing of clients and how they send values.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ParamValues};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::{Case, Placeholder, ScalarFunction};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, cast};
use datafusion::scalar::ScalarValue;

use crate::limits::PARAMETERS_MAX;
use crate::{Error, Result};

/// The types of `$1`, `$2`, … in order, as far as the plan says.
pub(super) fn types(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>> {
    Found::of(plan)?.types()
}

/// The plan with values for its parameters, in the types that the plan wants.
///
/// A value that such a type would change (1.5 for a `BIGINT`) keeps its own where the columns of the result stay as they
/// were described, so that it is compared as what it is; elsewhere it is an error. What nobody typed has the type of its
/// value, and is shown as the text that it was described as. An inserted value is rounded to its column, as a literal is.
pub(super) fn bound(state: &SessionState, plan: LogicalPlan, values: &[ScalarValue]) -> Result<LogicalPlan> {
    let found = Found::of(&plan)?;
    let types = found.types()?;
    if types.len() != values.len() {
        return Err(Error::input(format!("expected {} bound parameters, found {}", types.len(), values.len())));
    }
    if values.is_empty() {
        return Ok(plan);
    }
    let (mut given, mut misfit, mut own_types) = (Vec::with_capacity(values.len()), None, false);
    for (number, (value, wanted)) in (1..).zip(values.iter().zip(&types)) {
        let Some(wanted) = wanted else {
            let value = if value.data_type().is_null() { ScalarValue::Utf8(None) } else { value.clone() };
            own_types |= value.data_type() != DataType::Utf8;
            given.push(value);
            continue;
        };
        let refused = || {
            let expected = crate::lake::types::sql_name(wanted);
            Error::input(format!("expected {expected} for the parameter `${number}`, found `{value}`"))
        };
        match fit(value, wanted) {
            Some(Fit::Same(cast)) => given.push(cast),
            Some(Fit::Rounded(cast)) if found.assigned.contains(&format!("${number}")) => given.push(cast),
            None if found.assigned.contains(&format!("${number}")) || !value.data_type().is_numeric() => {
                return Err(refused());
            }
            Some(Fit::Rounded(_)) | None => {
                misfit.get_or_insert_with(|| {
                    refused().with_hint(format!("say its type in the statement: CAST(${number} AS …)"))
                });
                own_types = true;
                given.push(value.clone());
            }
        }
    }
    let own = plan.clone().with_param_values(ParamValues::from(given));
    match own_types {
        false => Ok(own?),
        true => as_described(state, own.map_err(Error::from), &described(plan)?, misfit),
    }
}

/// A value in the type of its place.
enum Fit {
    /// It means the same.
    Same(ScalarValue),
    /// It lost something.
    Rounded(ScalarValue),
}

/// `None` where the value cannot be cast.
fn fit(value: &ScalarValue, wanted: &DataType) -> Option<Fit> {
    let from = value.data_type();
    let cast = value.cast_to(wanted).ok()?;
    let may_lose = from.is_numeric() && wanted.is_numeric() && !(from.is_floating() && wanted.is_floating())
        || from.is_temporal() && wanted.is_temporal();
    match may_lose && cast.cast_to(&from).ok().as_ref() != Some(value) {
        false => Some(Fit::Same(cast)),
        true => Some(Fit::Rounded(cast)),
    }
}

/// A plan whose parameters have types of their own, with the columns that the statement was described with.
fn as_described(
    state: &SessionState,
    own: Result<LogicalPlan>,
    described: &LogicalPlan,
    misfit: Option<Error>,
) -> Result<LogicalPlan> {
    let analysed = |plan: &LogicalPlan| -> Result<LogicalPlan> {
        Ok(state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})?)
    };
    let checked = own.and_then(|own| analysed(&own).map(|analysed| (own, analysed)));
    let (own, found) = match (checked, misfit.clone()) {
        (Ok(checked), _) => checked,
        (Err(_), Some(misfit)) => return Err(misfit),
        (Err(error), None) => return Err(error),
    };
    let promised = analysed(described)?;
    let (found, promised) = (found.schema().as_arrow(), promised.schema().as_arrow());
    let differs = |(found, promised): (&Arc<Field>, &Arc<Field>)| found.data_type() != promised.data_type();
    if !found.fields().iter().zip(promised.fields()).any(differs) {
        return Ok(own);
    }
    if let Some(misfit) = misfit {
        return Err(misfit);
    }
    let columns = own.schema().columns().into_iter().zip(found.fields().iter().zip(promised.fields()));
    let columns: Vec<Expr> = columns
        .map(|(column, (found, promised))| match found.data_type() == promised.data_type() {
            true => Expr::Column(column),
            false => cast(Expr::Column(column.clone()), promised.data_type().clone())
                .alias_qualified(column.relation, column.name),
        })
        .collect();
    Ok(LogicalPlanBuilder::from(own).project(columns)?.build()?)
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
    /// What DataFusion declares and cannot plan: it takes what is added to a date for a date.
    corrected: HashMap<String, DataType>,
    /// Those that are values of rows to insert.
    assigned: HashSet<String>,
}

impl Found {
    fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut found = Found::default();
        let inserts = matches!(plan, LogicalPlan::Dml(_));
        plan.apply_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            match node {
                LogicalPlan::Limit(limit) => {
                    for place in [&limit.skip, &limit.fetch].into_iter().flatten() {
                        found.want(place, &DataType::Int64);
                    }
                }
                LogicalPlan::Filter(filter) => found.want(&filter.predicate, &DataType::Boolean),
                _ => {}
            }
            let before = found.names.len();
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    found.look_at(part, &schema);
                    Ok(TreeNodeRecursion::Continue)
                })
            })?;
            if inserts && matches!(node, LogicalPlan::Values(_)) {
                found.assigned.extend(found.names.iter().skip(before).cloned());
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    }

    /// The types of `$1`, `$2`, … in order, as far as they are known.
    fn types(&self) -> Result<Vec<Option<DataType>>> {
        let mut numbered: BTreeMap<usize, Option<DataType>> = BTreeMap::new();
        for name in &self.names {
            match name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok()) {
                Some(number) if (1..=PARAMETERS_MAX).contains(&number) => {
                    let sources = [&self.corrected, &self.declared, &self.wanted];
                    numbered.insert(number, sources.into_iter().find_map(|known| known.get(name)).cloned());
                }
                _ => {
                    return Err(Error::input(format!(
                        "expected parameters `$1` to `${PARAMETERS_MAX}`, found `{name}`"
                    )));
                }
            }
        }
        let count = numbered.last_key_value().map_or(0, |(number, _)| *number);
        let mut all = vec![None; count];
        for (number, data_type) in numbered {
            all[number - 1] = data_type;
        }
        Ok(all)
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
            Expr::Not(truth) | Expr::IsTrue(truth) | Expr::IsFalse(truth) | Expr::IsUnknown(truth) => {
                self.want(truth, &DataType::Boolean);
            }
            Expr::Like(like) => {
                self.want(&like.expr, &DataType::Utf8);
                self.want(&like.pattern, &DataType::Utf8);
            }
            Expr::Case(case) => self.look_at_case(case, schema),
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
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
                self.want(left, &DataType::Boolean);
                self.want(right, &DataType::Boolean);
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right }) => {
                for (place, beside) in [(left, right), (right, left)] {
                    if let Expr::Placeholder(Placeholder { id, .. }) = place.as_ref()
                        && beside.get_type(schema).is_ok_and(|known| known == DataType::Date32)
                    {
                        self.corrected.entry(id.clone()).or_insert(DataType::Int64);
                    }
                }
            }
            _ => {}
        }
    }

    /// The parts of a CASE that stand for each other have one type: that of the first which has one.
    fn look_at_case(&mut self, case: &Case, schema: &DFSchema) {
        let (whens, thens): (Vec<&Expr>, Vec<&Expr>) =
            case.when_then_expr.iter().map(|(when, then)| (when.as_ref(), then.as_ref())).unzip();
        let results: Vec<&Expr> = thens.into_iter().chain(case.else_expr.as_deref()).collect();
        let conditions: Vec<&Expr> = case.expr.as_deref().into_iter().chain(whens.iter().copied()).collect();
        let first = |parts: &[&Expr]| {
            let known = parts.iter().filter(|part| !is_open(part)).find_map(|part| part.get_type(schema).ok());
            known.filter(|known| !known.is_null())
        };
        let condition = if case.expr.is_some() { first(&conditions) } else { Some(DataType::Boolean) };
        for (parts, known) in [(conditions, condition), (results.clone(), first(&results))] {
            for (part, known) in parts.into_iter().zip(std::iter::repeat(known)) {
                if let Some(known) = known {
                    self.want(part, &known);
                }
            }
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

/// The types to which a function casts its arguments if its open parameters are NULL, or else of the first type that
/// it takes; `None` where it has no open parameter or does not say.
fn argument_types(call: &ScalarFunction, schema: &DFSchema) -> Option<Vec<DataType>> {
    if !call.args.iter().any(is_open) {
        return None;
    }
    let given: Option<Vec<_>> = call
        .args
        .iter()
        .map(|argument| if is_open(argument) { Some(None) } else { argument.get_type(schema).ok().map(Some) })
        .collect();
    let given = given?;
    if let ("array_has", [None, Some(item)]) = (call.func.name(), given.as_slice()) {
        return Some(vec![DataType::new_list(item.clone(), true), item.clone()]);
    }
    let candidates = [DataType::Null, DataType::Utf8, DataType::Float64, DataType::Int64, DataType::Boolean];
    candidates.into_iter().find_map(|candidate| {
        let fields: Vec<_> = given
            .iter()
            .map(|known| Arc::new(Field::new("", known.clone().unwrap_or_else(|| candidate.clone()), true)))
            .collect();
        let wanted = fields_with_udf(&fields, call.func.as_ref()).ok()?;
        let settled = wanted.iter().zip(&given).all(|(field, known)| known.is_some() || !field.data_type().is_null());
        settled.then(|| wanted.iter().map(|field| field.data_type().clone()).collect())
    })
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
        let cases: [(&str, Vec<Option<DataType>>); 19] = [
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
            ("SELECT n FROM t WHERE $1 OR NOT $2", vec![Some(Boolean), Some(Boolean)]),
            ("SELECT n FROM t WHERE $1", vec![Some(Boolean)]),
            ("SELECT CASE WHEN $1 THEN $2 ELSE n END FROM t", vec![Some(Boolean), Some(Int64)]),
            ("SELECT CASE $1 WHEN 1 THEN s ELSE $2 END FROM t", vec![Some(Int64), Some(Utf8)]),
            ("SELECT round($1, 1), length($2 || s) FROM t", vec![Some(Float64), Some(Utf8)]),
            ("SELECT n FROM t WHERE n = ANY($1)", vec![Some(DataType::new_list(Int64, true))]),
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
        let bound = bound(&ctx.state(), plan, &values).unwrap();
        let batches = ctx.execute_logical_plan(bound).await.unwrap().collect().await.unwrap();
        let rows: Vec<_> = batches.iter().filter(|batch| batch.num_rows() > 0).collect();
        assert_eq!(rows.len(), 1);
        let expected = Int64Array::from(vec![7]);
        assert_eq!(rows[0].column(0).as_any().downcast_ref::<Int64Array>(), Some(&expected));
    }

    #[tokio::test]
    async fn what_does_not_fit_says_so() {
        let comparison = plan("SELECT n FROM t WHERE n = $1").await;
        let state = SessionContext::new().state();
        let error = bound(&state, comparison.clone(), &[ScalarValue::from("many")]).unwrap_err();
        assert_eq!(error.message(), "expected BIGINT for the parameter `$1`, found `many`");
        assert_eq!(bound(&state, comparison, &[]).unwrap_err().message(), "expected 1 bound parameters, found 0");
        assert!(types(&plan("SELECT $name").await).unwrap_err().message().contains("`$name`"));
    }

    #[tokio::test]
    async fn what_a_type_would_change_is_compared_as_it_is() {
        let ctx = SessionContext::new();
        let count = async |sql: &str, values: &[ScalarValue]| {
            let bound = bound(&ctx.state(), plan(sql).await, values)?;
            let batches = ctx.execute_logical_plan(bound).await?.collect().await?;
            Ok::<usize, Error>(batches.iter().map(arrow::record_batch::RecordBatch::num_rows).sum())
        };
        let half = [ScalarValue::from(1.5)];
        assert_eq!(count("SELECT n FROM t WHERE n = $1", &half).await.unwrap(), 0);
        assert_eq!(count("SELECT n FROM t WHERE n >= $1", &half).await.unwrap(), 1);
        assert_eq!(count("SELECT n FROM t WHERE n < $1", &[ScalarValue::from(2.0)]).await.unwrap(), 1);
        let numbers = [10, 9, 11].map(ScalarValue::from);
        assert_eq!(count("SELECT n FROM t WHERE $1 BETWEEN $2 AND $3", &numbers).await.unwrap(), 2);
        // The result was described as a BIGINT, which this would not be.
        let error = count("SELECT n * $1 FROM t", &half).await.unwrap_err();
        assert_eq!(error.message(), "expected BIGINT for the parameter `$1`, found `1.5`");
        assert!(error.hint().is_some());
        let error = count("SELECT n FROM t LIMIT $1", &half).await.unwrap_err();
        assert_eq!(error.message(), "expected BIGINT for the parameter `$1`, found `1.5`");
    }

    #[tokio::test]
    async fn a_description_needs_no_values() {
        let described = described(plan("SELECT CAST($1 AS TIMESTAMP) AS at, $2 AS text").await).unwrap();
        let schema = described.schema();
        assert!(matches!(schema.field(0).data_type(), DataType::Timestamp(TimeUnit::Nanosecond, None)));
        assert_eq!(schema.field(1).data_type(), &DataType::Utf8);
    }
}
