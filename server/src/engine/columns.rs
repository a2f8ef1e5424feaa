//! The names of a query's columns, where several have one: planned apart, and given back to the result.
//!
//! DataFusion wants each name once. A query that it refuses is planned again with generated names; the schema that
//! leaves the engine has those that the query would have had. It knows nothing of results.

use std::collections::{BTreeMap, HashSet};

use arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement as PlannerStatement;
use sqlparser::ast;

use crate::sql::name_apart::{Apart, name_apart};
use crate::{Error, Result};

/// The names that generated ones stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct ColumnNames {
    shown: BTreeMap<String, String>,
}

impl ColumnNames {
    /// The columns of a plan with the names that its result shows; several may have one.
    pub(super) fn restore(&self, schema: &Schema) -> Schema {
        let fields = schema.fields().iter().map(|field| match self.shown.get(field.name()) {
            Some(name) => Field::clone(field).with_name(name.clone()),
            None => Field::clone(field),
        });
        Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
    }

    /// The plan with the names that it shows, for a query in which each is there once.
    pub(super) fn apply(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if !plan.schema().fields().iter().any(|field| self.shown.contains_key(field.name())) {
            return Ok(plan);
        }
        let columns: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(|column| match self.shown.get(&column.name) {
                Some(name) => Expr::Column(column).alias(name),
                None => Expr::Column(column),
            })
            .collect();
        Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
    }
}

/// Plans a statement whose names have been resolved.
pub(super) async fn plan(
    state: &SessionState,
    statement: ast::Statement,
) -> Result<(LogicalPlan, ColumnNames), DataFusionError> {
    let again = is_query(&statement).then(|| statement.clone());
    let refused = match planned(state, statement).await {
        Ok(plan) => return Ok((plan, ColumnNames::default())),
        Err(error) => error,
    };
    let Some(mut again) = again else { return Err(refused) };
    let apart = name_apart(&mut again);
    if apart.renamed.is_empty() {
        return Err(refused);
    }
    match planned(state, again).await {
        Ok(plan) => {
            let names = names(&plan, &apart)?;
            Ok((plan, names))
        }
        Err(error) => Err(ambiguous(&error, &apart).map_or(refused, Error::into_datafusion)),
    }
}

async fn planned(state: &SessionState, statement: ast::Statement) -> Result<LogicalPlan, DataFusionError> {
    state.statement_to_plan(PlannerStatement::Statement(Box::new(statement))).await
}

/// Whether a SELECT list can be in it; the rows of an `INSERT … VALUES`, which may be many, are not worth a copy.
fn is_query(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::Insert(insert) => {
            insert.source.as_ref().is_some_and(|source| !matches!(*source.body, ast::SetExpr::Values(_)))
        }
        _ => true,
    }
}

/// What the renamed columns of a plan would have been called.
fn names(plan: &LogicalPlan, apart: &Apart) -> Result<ColumnNames, DataFusionError> {
    let mut shown = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            if let Expr::Alias(Alias { expr, name, .. }) = expr
                && let Some(written) = apart.renamed.get(name)
            {
                let own = match expr.as_ref() {
                    Expr::Column(column) => column.name.clone(),
                    other => other.schema_name().to_string(),
                };
                shown.entry(name.clone()).or_insert_with(|| written.clone().unwrap_or(own));
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(ColumnNames { shown })
}

/// The error of a reference to one of several columns of a name.
fn ambiguous(error: &DataFusionError, apart: &Apart) -> Option<Error> {
    let DataFusionError::SchemaError(schema, _) = error.find_root() else { return None };
    let SchemaError::FieldNotFound { field, .. } = schema.as_ref() else { return None };
    let name = apart.shared.get(&field.name.to_lowercase())?;
    Some(
        Error::input(format!("the column `{name}` is ambiguous: several columns of the query have this name"))
            .with_hint("name them apart with `AS`"),
    )
}

/// An error where two columns have one name, for what keeps them by their names.
pub(super) fn each_once(schema: &Schema) -> Result<()> {
    let mut seen = HashSet::new();
    match schema.fields().iter().find(|field| !seen.insert(field.name().to_lowercase())) {
        None => Ok(()),
        Some(twice) => Err(Error::input(format!("expected each column once, found `{}` twice", twice.name()))
            .with_hint("name one of them with `AS`")),
    }
}
