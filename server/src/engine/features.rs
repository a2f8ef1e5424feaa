//! By-name features: `PREDICT('m')` becomes `PREDICT('m', a, b)` with the columns that are in scope.
//!
//! In scope are the columns of the relations under the node that calls it, not the aliases of its own SELECT. A name
//! that two relations have is an error, unless a `USING` join made them one. It knows nothing of models but their
//! features' names.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, TableReference};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Sort};
use limn_sql_udfs::functions::predict::model_of;

use crate::error::nearest;
use crate::sql::scan::{FeatureArguments, PredictCall};
use crate::{Error, Result};

/// Puts columns into every by-name call; `calls` are those calls by their generated function names.
pub(super) fn fill_in(plan: LogicalPlan, calls: &HashMap<String, PredictCall>) -> Result<LogicalPlan> {
    let filled = plan.transform_down_with_subqueries(|node| {
        let using = node.using_columns()?;
        let mut scope = DFSchema::empty();
        for input in node.inputs() {
            scope.merge(input.schema());
            // ORDER BY sees the relations under the SELECT list too, not only its columns.
            if let (LogicalPlan::Sort(_), LogicalPlan::Projection(list)) = (&node, input) {
                scope.merge(list.input.schema());
            }
        }
        let names = NamePreserver::new(&node);
        let changed = node.map_expressions(|expr| {
            let saved = names.save(&expr);
            let filled = filled(expr, calls, &scope, &using)?;
            Ok(match filled.transformed {
                true => Transformed::yes(saved.restore(filled.data)),
                false => filled,
            })
        })?;
        if !changed.transformed {
            return Ok(changed);
        }
        match changed.data {
            // The builder carries columns that only the order needs past the SELECT list and drops them behind it.
            LogicalPlan::Sort(Sort { expr, input, fetch }) => {
                let sorted = LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).sort_with_limit(expr, fetch)?;
                Ok(Transformed::yes(sorted.build()?))
            }
            other => Ok(Transformed::yes(other.recompute_schema()?)),
        }
    });
    Ok(filled.data()?)
}

/// One expression with columns in its by-name calls.
fn filled(
    expr: Expr,
    calls: &HashMap<String, PredictCall>,
    scope: &DFSchema,
    using: &[HashSet<Column>],
) -> Result<Transformed<Expr>, DataFusionError> {
    expr.transform_up(|expr| match expr {
        Expr::ScalarFunction(call) if call.args.is_empty() && calls.contains_key(call.func.name()) => {
            let written = &calls[call.func.name()];
            columns(&call, written, scope, using)
                .map(|args| Transformed::yes(Expr::ScalarFunction(ScalarFunction { args, ..call })))
                .map_err(Error::into_datafusion)
        }
        other => Ok(Transformed::no(other)),
    })
}

/// The columns that a call's features mean.
fn columns(
    call: &ScalarFunction,
    written: &PredictCall,
    scope: &DFSchema,
    using: &[HashSet<Column>],
) -> Result<Vec<Expr>> {
    let Some(model) = model_of(&call.func) else {
        return Err(Error::internal(format!("`{}` is not bound to a model", call.func.name())));
    };
    let relation = match &written.features {
        FeatureArguments::Relation(relation) => Some(relation.as_str()),
        FeatureArguments::Positional | FeatureArguments::InScope => None,
    };
    let visible: Vec<(Option<&TableReference>, &str)> = scope
        .iter()
        .map(|(qualifier, field)| (qualifier, field.name().as_str()))
        .filter(|(qualifier, _)| relation.is_none_or(|wanted| qualifier.is_some_and(|q| q.table() == wanted)))
        .collect();
    if let Some(relation) = relation.filter(|_| visible.is_empty()) {
        return Err(Error::not_found(format!(
            "unknown relation `{relation}` in `PREDICT('{}', {relation}.*)`",
            written.reference
        )));
    }
    let features = &model.evaluator.signature().features;
    features.iter().map(|feature| column(&feature.name, &written.reference, &visible, using)).collect()
}

fn column(
    feature: &str,
    reference: &str,
    visible: &[(Option<&TableReference>, &str)],
    using: &[HashSet<Column>],
) -> Result<Expr> {
    let found: Vec<Column> = visible
        .iter()
        .filter(|(_, name)| *name == feature)
        .map(|(qualifier, name)| Column::new(qualifier.cloned(), *name))
        .collect();
    match found.as_slice() {
        [column] => Ok(Expr::Column(column.clone())),
        [] => {
            let known = visible.iter().map(|(_, name)| *name);
            let near = nearest(feature, known).map(|n| format!(", the nearest is `{n}`")).unwrap_or_default();
            Err(Error::not_found(format!(
                "model `{reference}` needs the feature `{feature}`, and no column in scope has that name{near}"
            ))
            .with_hint(
                "select it under that name in a subquery, or pass the features in order: PREDICT('model', a, b)",
            ))
        }
        [first, second, ..] => {
            let joined = |set: &&HashSet<Column>| found.iter().all(|column| set.contains(column));
            match using.iter().find(joined) {
                Some(_) => Ok(Expr::Column(first.clone())),
                None => Err(Error::input(format!(
                    "the feature `{feature}` of model `{reference}` is ambiguous: both `{}` and `{}` have it",
                    first.flat_name(),
                    second.flat_name()
                ))
                .with_hint("take one relation's columns: PREDICT('model', t.*)")),
            }
        }
    }
}
