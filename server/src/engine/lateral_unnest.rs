//! `FROM t, UNNEST(t.list)`: the values of a list beside the row that it is of.
//!
//! The planner leaves a join whose right side names columns of its left side, which nothing behind it can run. Here the
//! right side's steps are put on top of the left side instead. An analyzer rule. It knows nothing of where rows lie.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, NullHandling, Result, ScalarValue};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::AnalyzerRule;

/// The rule.
#[derive(Debug)]
pub(super) struct LateralUnnest;

impl AnalyzerRule for LateralUnnest {
    fn name(&self) -> &str {
        "lateral_unnest"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten = |plan| match plan {
            LogicalPlan::Join(join) => Ok(match unnested(&join)? {
                Some(plan) => Transformed::yes(plan),
                None => Transformed::no(LogicalPlan::Join(join)),
            }),
            other => Ok(Transformed::no(other)),
        };
        plan.transform_up_with_subqueries(rewritten).data()
    }
}

/// The join without a right side; none where it is no such join.
fn unnested(join: &Join) -> Result<Option<LogicalPlan>> {
    let condition = conditions(join);
    let nulls = match join.join_type {
        JoinType::Inner => NullHandling::Drop,
        // A row whose list is NULL or empty stays; one whose values all fail a condition would have to stay too.
        JoinType::Left if condition.is_none() => NullHandling::PreserveAndExpandEmpty,
        _ => return Ok(None),
    };
    let outer = outer_columns(&join.right)?;
    if outer.is_empty() || !outer.iter().all(|column| join.left.schema().has_column(column)) {
        return Ok(None);
    }
    let Some(beside) = beside(&join.right, &join.left, nulls)? else { return Ok(None) };
    let mut columns = columns_of(join.left.schema());
    for ((qualifier, field), expr) in join.right.schema().iter().zip(beside.columns) {
        columns.push(expr.alias_qualified(qualifier.cloned(), field.name()));
    }
    let plan = LogicalPlanBuilder::from(beside.plan).project(columns)?;
    Ok(Some(match condition {
        Some(condition) => plan.filter(condition)?.build()?,
        None => plan.build()?,
    }))
}

/// All that a join asks for, unless that is nothing.
fn conditions(join: &Join) -> Option<Expr> {
    let is_true = |expr: &Expr| matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _));
    let on = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    conjunction(on.chain(join.filter.clone()).filter(|expr| !is_true(expr)))
}

/// The columns of other queries that a plan names.
fn outer_columns(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr {
                    found.push(column.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn columns_of(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}

/// The left side with steps of the right one on top.
struct Beside {
    plan: LogicalPlan,
    /// The right side's columns, from those of the plan.
    columns: Vec<Expr>,
}

/// Puts the steps of the right side on the left one; none where there are other steps than those of `UNNEST`.
fn beside(right: &LogicalPlan, left: &Arc<LogicalPlan>, nulls: NullHandling) -> Result<Option<Beside>> {
    match right {
        LogicalPlan::Subquery(subquery) => beside(&subquery.subquery, left, nulls),
        LogicalPlan::SubqueryAlias(alias) => beside(&alias.input, left, nulls),
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && empty.schema.fields().is_empty() => {
            Ok(Some(Beside { plan: left.as_ref().clone(), columns: Vec::new() }))
        }
        LogicalPlan::Projection(projection) => {
            let Some(below) = beside(&projection.input, left, nulls)? else { return Ok(None) };
            let columns = projection.expr.iter().map(|expr| within(expr, projection.input.schema(), &below.columns));
            Ok(Some(Beside { columns: columns.collect::<Result<_>>()?, plan: below.plan }))
        }
        LogicalPlan::Unnest(unnest) => {
            let Some(below) = beside(&unnest.input, left, nulls)? else { return Ok(None) };
            let mut columns = columns_of(left.schema());
            for ((qualifier, field), expr) in unnest.input.schema().iter().zip(below.columns) {
                columns.push(expr.alias_qualified(qualifier.cloned(), field.name()));
            }
            let options = unnest.options.clone().with_null_handling(nulls);
            let plan = LogicalPlanBuilder::from(below.plan)
                .project(columns)?
                .unnest_columns_with_options(unnest.exec_columns.clone(), options)?
                .build()?;
            Ok(Some(Beside { plan, columns: columns_of(&unnest.schema) }))
        }
        _ => Ok(None),
    }
}

/// An expression over a schema as one over what its columns are; columns of the left side are no longer of outside.
fn within(expr: &Expr, schema: &DFSchema, columns: &[Expr]) -> Result<Expr> {
    let replaced = |expr: Expr| match expr {
        Expr::OuterReferenceColumn(_, column) => Ok(Transformed::yes(Expr::Column(column))),
        Expr::Column(column) => {
            let known = schema.maybe_index_of_column(&column).and_then(|index| columns.get(index));
            Ok(match known {
                Some(known) => Transformed::yes(known.clone().unalias()),
                None => Transformed::no(Expr::Column(column)),
            })
        }
        other => Ok(Transformed::no(other)),
    };
    Ok(expr.clone().transform_up(replaced)?.data.unalias())
}
