//! `PREDICT` in a plan: what a query's conditions and its tables' statistics say about features makes models smaller.
//!
//! An optimizer rule. A column that a `WHERE` fixes or bounds, or whose least and greatest values the table's log
//! knows, prunes branches that no row can take; features that nothing asks for any more become NULL literals, so
//! that they are not even read. What is computed for the rows of the query stays the same to the bit. It knows nothing
//! of how models are evaluated.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ExprSchema, Result, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, JoinType, LogicalPlan, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use limn_sql_udfs::functions::predict::{self, model_of};
use limn_sql_udfs::model::evaluator::FeatureRange;
use limn_sql_udfs::model::signature::{Feature, ValueType};

use crate::lake::TableVersion;

/// The rule.
#[derive(Debug)]
pub(super) struct SmallerModels;

impl OptimizerRule for SmallerModels {
    fn name(&self) -> &str {
        "smaller_models"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
        let [input] = inputs.as_slice() else { return Ok(Transformed::no(plan)) };
        let names = NamePreserver::new(&plan);
        // The conditions of a filter hold for the rows that leave it, not for those that it asks a model about.
        let changed = plan.map_expressions(|expr| {
            let saved = names.save(&expr);
            let smaller = expr.transform_up(|expr| match expr {
                Expr::ScalarFunction(call) if model_of(&call.func).is_some() => smaller(call, input),
                other => Ok(Transformed::no(other)),
            })?;
            Ok(match smaller.transformed {
                true => Transformed::yes(saved.restore(smaller.data)),
                false => smaller,
            })
        })?;
        match changed.transformed {
            true => changed.map_data(LogicalPlan::recompute_schema),
            false => Ok(changed),
        }
    }
}

/// One call with a smaller model and without arguments that it does not need.
fn smaller(call: ScalarFunction, input: &LogicalPlan) -> Result<Transformed<Expr>> {
    let unchanged = |call| Ok(Transformed::no(Expr::ScalarFunction(call)));
    let Some(model) = model_of(&call.func) else { return unchanged(call) };
    let features = &model.evaluator.signature().features;
    if features.len() != call.args.len() {
        return unchanged(call);
    }
    let known: Vec<FeatureRange> =
        features.iter().zip(&call.args).map(|(feature, arg)| range(feature, arg, input)).collect();
    let specialised = model.evaluator.specialise(&known);
    let func = match &specialised {
        Some(evaluator) => Arc::new(predict::with_evaluator(&call.func, Arc::clone(evaluator))),
        None => Arc::clone(&call.func),
    };
    let used = specialised.as_ref().unwrap_or(&model.evaluator).used_features();
    let mut dropped = false;
    let mut args = Vec::with_capacity(call.args.len());
    for (arg, used) in call.args.iter().zip(used) {
        // A literal costs nothing, and what may fail must go on failing.
        let needless = !used && !matches!(arg, Expr::Literal(..)) && cannot_fail(arg);
        dropped |= needless;
        args.push(match needless {
            true => Expr::Literal(ScalarValue::try_from(&arg.get_type(input.schema())?)?, None),
            false => arg.clone(),
        });
    }
    match dropped || specialised.is_some() {
        true => Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))),
        false => unchanged(call),
    }
}

fn cannot_fail(arg: &Expr) -> bool {
    match arg {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Alias(alias) => cannot_fail(&alias.expr),
        // Arguments are cast to their features' types, from narrower ones.
        Expr::Cast(cast) => matches!(*cast.expr, Expr::Column(_)),
        _ => false,
    }
}

/// What is known of an argument.
fn range(feature: &Feature, arg: &Expr, input: &LogicalPlan) -> FeatureRange {
    match arg {
        Expr::Alias(alias) => range(feature, &alias.expr, input),
        Expr::Literal(value, _) => constant(feature, value),
        Expr::Column(column) => of_column(feature, column, input),
        // A cast to the feature's type keeps the order of numbers; times may be cut off.
        Expr::Cast(cast) if matches!(feature.value_type, ValueType::Double | ValueType::BigInt) => match &*cast.expr {
            Expr::Column(column) => of_column(feature, column, input),
            _ => FeatureRange::unknown(),
        },
        _ => FeatureRange::unknown(),
    }
}

fn constant(feature: &Feature, value: &ScalarValue) -> FeatureRange {
    if value.is_null() {
        return FeatureRange::null();
    }
    match (feature.value_type, number(feature, value)) {
        (ValueType::Text, _) => {
            text(value).map_or_else(FeatureRange::unknown, |text| FeatureRange::unknown().and_texts(vec![text]))
        }
        (_, Some(value)) => FeatureRange::number(value),
        (_, None) => FeatureRange::unknown(),
    }
}

fn text(value: &ScalarValue) -> Option<String> {
    value.try_as_str().flatten().map(str::to_owned)
}

/// The number that a model sees for a value: as the feature's type.
fn number(feature: &Feature, value: &ScalarValue) -> Option<f64> {
    let wanted = match feature.value_type {
        ValueType::Double | ValueType::BigInt => ValueType::Double.arrow(),
        ValueType::Text => return None,
        other => other.arrow(),
    };
    match value.cast_to(&wanted).ok()? {
        ScalarValue::Float64(value) => value.filter(|value| !value.is_nan()),
        ScalarValue::Boolean(value) => value.map(|flag| if flag { 1.0 } else { 0.0 }),
        ScalarValue::Date32(value) => value.map(f64::from),
        ScalarValue::TimestampMicrosecond(value, _) => value.map(|micros| micros as f64),
        _ => None,
    }
}

/// What the plan below says about a column of its output.
fn of_column(feature: &Feature, column: &Column, plan: &LogicalPlan) -> FeatureRange {
    let not_numbers = plan.schema().field_from_column(column).is_ok_and(|field| field.data_type().is_floating());
    let subject = Subject { feature, column, not_numbers };
    match plan {
        LogicalPlan::Filter(filter) => {
            let below = of_column(feature, column, &filter.input);
            conditions(&subject, std::slice::from_ref(&filter.predicate), below)
        }
        LogicalPlan::Projection(projection) => match projection.schema.maybe_index_of_column(column) {
            Some(at) => range(feature, &projection.expr[at], &projection.input),
            None => FeatureRange::unknown(),
        },
        LogicalPlan::SubqueryAlias(alias) => match alias.schema.maybe_index_of_column(column) {
            Some(at) => of_column(feature, &Column::from(alias.input.schema().qualified_field(at)), &alias.input),
            None => FeatureRange::unknown(),
        },
        LogicalPlan::Sort(sort) => of_column(feature, column, &sort.input),
        LogicalPlan::Limit(limit) => of_column(feature, column, &limit.input),
        LogicalPlan::Repartition(repartition) => of_column(feature, column, &repartition.input),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let side = if join.left.schema().has_column(column) { &join.left } else { &join.right };
            of_column(feature, column, side)
        }
        LogicalPlan::TableScan(scan) => {
            let version = source_as_provider(&scan.source).ok();
            let version = version.as_ref().and_then(|provider| provider.downcast_ref::<TableVersion>());
            let below = match (feature.value_type, version.and_then(|version| version.range(&column.name))) {
                (ValueType::Text, _) | (_, None) => FeatureRange::unknown(),
                (_, Some((low, high))) => FeatureRange::unknown().and_between(low, high, true),
            };
            conditions(&subject, &scan.filters, below)
        }
        _ => FeatureRange::unknown(),
    }
}

/// A column that conditions are about, and what takes its values.
struct Subject<'a> {
    feature: &'a Feature,
    column: &'a Column,
    /// Whether its values may be NaN, which compares as greater than all numbers, and which models take for missing.
    not_numbers: bool,
}

/// Narrows what is known by conditions that all rows meet.
fn conditions(subject: &Subject<'_>, predicates: &[Expr], known: FeatureRange) -> FeatureRange {
    let all = predicates.iter().flat_map(split_conjunction);
    all.fold(known, |known, predicate| condition(subject, predicate, known))
}

fn condition(subject: &Subject<'_>, predicate: &Expr, known: FeatureRange) -> FeatureRange {
    let Subject { feature, column, not_numbers } = *subject;
    let is_column = |expr: &Expr| is_it(expr, column);
    let literal = |expr: &Expr| match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    };
    match predicate {
        Expr::BinaryExpr(binary) => {
            let (operator, value) = match (&*binary.left, &*binary.right) {
                (left, right) if is_column(left) => (Some(binary.op), literal(right)),
                (left, right) if is_column(right) => (binary.op.swap(), literal(left)),
                _ => return known,
            };
            match (operator, value) {
                (Some(operator), Some(value)) => compared(subject, operator, &value, known),
                _ => known,
            }
        }
        Expr::Between(between) if !between.negated && is_column(&between.expr) => {
            match (literal(&between.low), literal(&between.high)) {
                (Some(low), Some(high)) => {
                    let known = compared(subject, Operator::GtEq, &low, known);
                    compared(subject, Operator::LtEq, &high, known)
                }
                _ => known,
            }
        }
        Expr::InList(list) if !list.negated && is_column(&list.expr) && feature.value_type == ValueType::Text => {
            let texts: Option<Vec<String>> =
                list.list.iter().map(|item| literal(item).and_then(|value| text(&value))).collect();
            texts.map_or(known.clone(), |texts| known.and_texts(texts))
        }
        Expr::IsNotNull(inner) if is_column(inner) => known.and_between(f64::NEG_INFINITY, f64::INFINITY, not_numbers),
        Expr::IsNull(inner) if is_column(inner) => FeatureRange::null(),
        Expr::Column(_) if is_column(predicate) => known.and_between(1.0, 1.0, false),
        Expr::Not(inner) if is_column(inner) => known.and_between(0.0, 0.0, false),
        _ => known,
    }
}

fn is_it(expr: &Expr, column: &Column) -> bool {
    // The filters of a scan name columns without their table.
    matches!(expr, Expr::Column(found) if found.name == column.name
        && (found.relation == column.relation || found.relation.is_none() || column.relation.is_none()))
}

fn compared(subject: &Subject<'_>, operator: Operator, value: &ScalarValue, known: FeatureRange) -> FeatureRange {
    let Subject { feature, not_numbers, .. } = *subject;
    if feature.value_type == ValueType::Text {
        return match (operator, text(value)) {
            (Operator::Eq, Some(text)) => known.and_texts(vec![text]),
            _ => known,
        };
    }
    let Some(value) = number(feature, value) else { return known };
    match operator {
        Operator::Eq => known.and_between(value, value, false),
        Operator::Lt | Operator::LtEq => known.and_between(f64::NEG_INFINITY, value, false),
        Operator::Gt | Operator::GtEq => known.and_between(value, f64::INFINITY, not_numbers),
        _ => known,
    }
}
