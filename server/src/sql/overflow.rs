//! Integer arithmetic that fails on overflow: checked functions in the place of `+`, `-`, `*`, unary minus and `sum`.
//!
//! It runs after types are coerced, when both operands have one type, and before anything is folded. Columns keep the
//! names that the operators gave them. What the functions compute is `limn_sql_udfs`'s.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;
use limn_sql_udfs::functions::arithmetic::checked;
use limn_sql_udfs::functions::sum::exact_sum;

/// The rule, to be added after DataFusion's own.
#[derive(Debug, Default)]
pub struct CheckedIntegers;

impl AnalyzerRule for CheckedIntegers {
    fn name(&self) -> &str {
        "checked_integers"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite)?.data)
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|expr| checked_of(expr, &schema))?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })
}

fn checked_of(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let integers = left.get_type(schema)?.is_integer() && right.get_type(schema)?.is_integer();
            Ok(match checked(op).filter(|_| integers) {
                Some(function) => Transformed::yes(function.call(vec![*left, *right])),
                None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            })
        }
        Expr::Negative(operand) => {
            let zero = zero(&operand.get_type(schema)?);
            Ok(match checked(Operator::Minus).zip(zero) {
                Some((minus, zero)) => Transformed::yes(minus.call(vec![Expr::Literal(zero, None), *operand])),
                None => Transformed::no(Expr::Negative(operand)),
            })
        }
        Expr::AggregateFunction(mut sum) if is_plain_sum(&sum.func, &sum.params.args, sum.params.distinct, schema)? => {
            sum.func = Arc::new(exact_sum());
            Ok(Transformed::yes(Expr::AggregateFunction(sum)))
        }
        Expr::WindowFunction(mut window) => match &window.fun {
            WindowFunctionDefinition::AggregateUDF(sum)
                if is_plain_sum(sum, &window.params.args, window.params.distinct, schema)? =>
            {
                window.fun = WindowFunctionDefinition::AggregateUDF(Arc::new(exact_sum()));
                Ok(Transformed::yes(Expr::WindowFunction(window)))
            }
            _ => Ok(Transformed::no(Expr::WindowFunction(window))),
        },
        other => Ok(Transformed::no(other)),
    }
}

/// Whether a call is DataFusion's `sum` over BIGINT. Distinct values are left to it: they are collected one by one.
fn is_plain_sum(function: &AggregateUDF, args: &[Expr], distinct: bool, schema: &DFSchema) -> Result<bool> {
    match args {
        [arg] if !distinct && function.inner().downcast_ref::<Sum>().is_some() => {
            Ok(arg.get_type(schema)? == DataType::Int64)
        }
        _ => Ok(false),
    }
}

/// Zero of a signed integer type.
fn zero(data_type: &DataType) -> Option<ScalarValue> {
    data_type.is_signed_integer().then(|| ScalarValue::new_zero(data_type).ok()).flatten()
}
