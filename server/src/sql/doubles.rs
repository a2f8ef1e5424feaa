//! Doubles beside decimals: what is computed from both is computed in doubles, and a literal is the double it is read as.
//!
//! DataFusion would take doubles through `DECIMAL(30,15)`, in which 1e-20 is 0 and 1e20 is an error. Literals of
//! doubles are left to it: beside a decimal they are the decimal that was written. Its cast of a decimal to a double
//! rounds twice, so a literal is read from its digits instead. It knows nothing of tables.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, Cast, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};

/// Casts decimals that stand beside doubles, to be run before DataFusion coerces types.
#[derive(Debug, Default)]
pub struct DoublesBesideDecimals;

impl AnalyzerRule for DoublesBesideDecimals {
    fn name(&self) -> &str {
        "doubles_beside_decimals"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite).data()
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if let LogicalPlan::Union(union) = plan {
        return united(union);
    }
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    let plan = match plan {
        LogicalPlan::Join(mut join) => {
            for (left, right) in &mut join.on {
                let mut pair = [std::mem::take(left), std::mem::take(right)];
                settle(&mut pair.iter_mut().collect::<Vec<_>>(), &schema);
                [*left, *right] = pair;
            }
            LogicalPlan::Join(join)
        }
        other => other,
    };
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let settled = expr.transform_up(|mut expr| {
            let changed = settle(&mut beside_each_other(&mut expr), &schema);
            Ok(Transformed::new_transformed(expr, changed))
        })?;
        Ok(settled.update_data(|expr| name.restore(expr)))
    })?;
    match rewritten.transformed {
        true => rewritten.map_data(LogicalPlan::recompute_schema),
        false => Ok(rewritten),
    }
}

/// Functions that answer one of their arguments, or a list of them.
const ONE_TYPE: &[&str] = &["coalesce", "greatest", "least", "make_array", "nullif", "nvl"];

/// The parts of an expression that get one type.
fn beside_each_other(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, right, .. }) => vec![left, right],
        Expr::Between(Between { expr, low, high, .. }) => vec![expr, low, high],
        Expr::InList(InList { expr, list, .. }) => std::iter::once(expr.as_mut()).chain(list).collect(),
        Expr::Case(Case { when_then_expr, else_expr, .. }) => {
            let results = when_then_expr.iter_mut().map(|(_, then)| then.as_mut());
            results.chain(else_expr.as_deref_mut()).collect()
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if ONE_TYPE.contains(&func.name()) => {
            args.iter_mut().collect()
        }
        _ => Vec::new(),
    }
}

/// Casts the decimals among `parts` to doubles, where one is a double and no literal; whether there were any.
fn settle(parts: &mut [&mut Expr], schema: &DFSchema) -> bool {
    let types: Vec<Option<DataType>> = parts.iter().map(|part| part.get_type(schema).ok()).collect();
    let is_double = |(part, known): (&&mut Expr, &Option<DataType>)| {
        known.as_ref().is_some_and(DataType::is_floating) && !matches!(&**part, Expr::Literal(..))
    };
    if !parts.iter().zip(&types).any(is_double) {
        return false;
    }
    let mut changed = false;
    for (part, known) in parts.iter_mut().zip(&types) {
        if known.as_ref().is_some_and(DataType::is_decimal) {
            **part = double(std::mem::take(*part));
            changed = true;
        }
    }
    changed
}

/// A decimal as a double.
fn double(decimal: Expr) -> Expr {
    match read(&decimal, &DataType::Float64) {
        Some(value) => Expr::Literal(value, None),
        None => Expr::Cast(Cast::new(Box::new(decimal), DataType::Float64)),
    }
}

/// The double or single that the digits of a decimal literal are read as, from the cast that stands for it or folded.
fn read(decimal: &Expr, wanted: &DataType) -> Option<ScalarValue> {
    let digits = match decimal {
        Expr::Literal(value @ (ScalarValue::Decimal128(Some(_), ..) | ScalarValue::Decimal256(Some(_), ..)), _) => {
            digits_of(value)?
        }
        Expr::Cast(Cast { expr, field }) if field.data_type().is_decimal() => match expr.as_ref() {
            Expr::Literal(ScalarValue::Utf8(Some(text)), _) => text.clone(),
            _ => return None,
        },
        _ => return None,
    };
    match wanted {
        DataType::Float64 => digits.parse().ok().map(|value| ScalarValue::Float64(Some(value))),
        DataType::Float32 => digits.parse().ok().map(|value| ScalarValue::Float32(Some(value))),
        _ => None,
    }
}

/// The digits of a decimal, with sign and point.
fn digits_of(value: &ScalarValue) -> Option<String> {
    let (unscaled, scale) = match value {
        ScalarValue::Decimal128(Some(unscaled), _, scale) => (unscaled.to_string(), scale),
        ScalarValue::Decimal256(Some(unscaled), _, scale) => (unscaled.to_string(), scale),
        _ => return None,
    };
    Some(format!("{unscaled}e{}", -i32::from(*scale)))
}

/// A union in which columns that are doubles in one input, and not by a literal, are doubles in all.
fn united(union: Union) -> Result<Transformed<LogicalPlan>> {
    let is_decimal = |input: &LogicalPlan, n: usize| input.schema().field(n).data_type().is_decimal();
    let is_double = |input: &LogicalPlan, n: usize| {
        let literal = matches!(input, LogicalPlan::Projection(list)
            if list.expr.get(n).is_some_and(|expr| matches!(expr.clone().unalias(), Expr::Literal(..))));
        input.schema().field(n).data_type().is_floating() && !literal
    };
    let columns = 0..union.schema.fields().len();
    let even = |input: &Arc<LogicalPlan>| input.schema().fields().len() == columns.len();
    if !union.inputs.iter().all(even) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let doubles: Vec<usize> = columns.filter(|n| union.inputs.iter().any(|input| is_double(input, *n))).collect();
    let has_decimal = |input: &LogicalPlan| doubles.iter().any(|n| is_decimal(input, *n));
    if !union.inputs.iter().any(|input| has_decimal(input)) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let cast = |input: Arc<LogicalPlan>| -> Result<Arc<LogicalPlan>> {
        if !has_decimal(&input) {
            return Ok(input);
        }
        let columns = input.schema().columns().into_iter().enumerate().map(|(n, column)| {
            match doubles.contains(&n) && is_decimal(&input, n) {
                true => double(Expr::Column(column.clone())).alias_qualified(column.relation, column.name),
                false => Expr::Column(column),
            }
        });
        let columns: Vec<Expr> = columns.collect();
        Ok(Arc::new(LogicalPlanBuilder::from(input).project(columns)?.build()?))
    };
    let inputs: Result<Vec<_>> = union.inputs.into_iter().map(cast).collect();
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs?)?)))
}

/// Reads the digits of decimal literals that are cast to doubles, to be run before DataFusion folds the casts.
#[derive(Debug, Default)]
pub struct ExactDoubles;

impl OptimizerRule for ExactDoubles {
    fn name(&self) -> &str {
        "exact_doubles"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let exact = expr.transform_up(|expr| match &expr {
                Expr::Cast(Cast { expr: decimal, field }) => match read(decimal, field.data_type()) {
                    Some(value) => Ok(Transformed::yes(Expr::Literal(value, None))),
                    None => Ok(Transformed::no(expr)),
                },
                _ => Ok(Transformed::no(expr)),
            })?;
            Ok(exact.update_data(|expr| name.restore(expr)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_and_not_divided() {
        // 12345678901234567 is no double: divided by 1e17 it gives another one than its digits do.
        let decimal = Expr::Literal(ScalarValue::Decimal128(Some(12_345_678_901_234_567), 17, 17), None);
        let expected = ScalarValue::Float64(Some(0.123_456_789_012_345_67));
        assert_eq!(read(&decimal, &DataType::Float64), Some(expected));
        let whole = Expr::Literal(ScalarValue::Decimal128(Some(-5), 1, 0), None);
        assert_eq!(read(&whole, &DataType::Float32), Some(ScalarValue::Float32(Some(-5.0))));
        assert_eq!(read(&whole, &DataType::Int64), None);
    }
}
