//! What `EXPLAIN` says of models beside the plan: which version answers, what evaluates it, and what it needs to read.
//!
//! It knows nothing of how plans are made.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::scalar::ScalarValue;
use limn_sql_udfs::functions::predict::{model_of, reference_of};

use crate::Result;

/// What the rows about models are called, where plans have `logical_plan` and the like.
const KIND: &str = "models";

/// A row for the models of an explained plan; `None` where it is not explained or has none.
pub(super) fn models(plan: &LogicalPlan, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
    let explained = match plan {
        LogicalPlan::Explain(explain) => &explain.plan,
        LogicalPlan::Analyze(analyze) => &analyze.input,
        _ => return Ok(None),
    };
    let mut lines: Vec<String> = Vec::new();
    explained.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Some(line) = line(expr)
                    && !lines.contains(&line)
                {
                    lines.push(line);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if lines.is_empty() || schema.fields().len() != 2 {
        return Ok(None);
    }
    let text = |text: String| Arc::new(StringArray::from(vec![text]));
    Ok(Some(RecordBatch::try_new(SchemaRef::clone(schema), vec![text(KIND.to_string()), text(lines.join("\n"))])?))
}

/// What there is to say of one call.
fn line(expr: &Expr) -> Option<String> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let (model, reference) = (model_of(&call.func)?, reference_of(&call.func)?);
    let features = &model.evaluator.signature().features;
    let is_null = |arg: &Expr| matches!(arg, Expr::Literal(value, _) if ScalarValue::is_null(value));
    let (mut read, mut left_out) = (Vec::new(), Vec::new());
    let used = model.evaluator.used_features();
    for ((feature, arg), used) in features.iter().zip(&call.args).zip(used) {
        let list = if !used && is_null(arg) { &mut left_out } else { &mut read };
        list.push(format!("`{}`", feature.name));
    }
    let list = |names: Vec<String>| if names.is_empty() { "none".to_string() } else { names.join(", ") };
    let hash: String = model.sha256.chars().take(HASH_DIGITS_SHOWN).collect();
    Some(format!(
        "predict('{reference}'): model `{}` version {} ({hash}), {}\n  features: {}\n  not needed: {}",
        model.name,
        model.version,
        model.evaluator.describe(),
        list(read),
        list(left_out)
    ))
}

/// Digits of a hash that tell it from others.
const HASH_DIGITS_SHOWN: usize = 12;
