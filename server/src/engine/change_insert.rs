//! `INSERT … REPLACE WHERE` and `INSERT OVERWRITE … PARTITION`: rows that come, and those that go for them.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::Ident;

use super::catalog::Scope;
use super::change::inserted_into;
use super::change_plan::{Built, Finish, column};
use super::insert;
use super::plan;
use crate::lake::{ChangeKind, ChangeTarget, RowAction};
use crate::sql::change::{Delete, Target};
use crate::sql::change_query::{self, ACTION, FILE, ROW};
use crate::sql::insert::{Insert, Replaces};
use crate::{Error, Result};

/// Plans the rows that come and the places of those that go.
pub(super) async fn build(scope: Scope, statement: &Insert, target: &ChangeTarget) -> Result<Built> {
    let given: Vec<String> = statement.statement.columns.iter().filter_map(last).collect();
    let own = Scope::new(&scope.inner, &scope.ctx);
    let mut planned = insert::planned(own, statement.clone()).await?;
    let LogicalPlan::Dml(dml) = &planned.plan else {
        return Err(Error::internal("an INSERT was not planned as one"));
    };
    let comes = comes(insert::nullable_values(dml.input.as_ref().clone())?, target)?;
    let (plan, kind, must_meet) = match &statement.replaces {
        Replaces::AsWritten => return Err(Error::internal("an INSERT that replaces nothing took the way of a change")),
        Replaces::Partitions(columns) => {
            partition_columns(columns, target)?;
            (comes, ChangeKind::ReplacePartitions, None)
        }
        Replaces::Where(condition) => {
            let table = inserted_into(statement)?;
            let alias = Ident::with_quote('"', table.name.clone());
            let delete = Delete { target: Target { table, alias }, condition: Some((**condition).clone()) };
            let goes = plan::query(scope, change_query::delete(&delete)?).await?;
            let goes = goes_with_nulls(goes.plan, target)?;
            let plan = LogicalPlanBuilder::from(goes).union(comes)?.build()?;
            (plan, ChangeKind::Replace, Some(condition.to_string()))
        }
    };
    planned.plan = plan;
    let given = match given.is_empty() && !statement.by_name {
        true => target.schema.fields().iter().map(|field| field.name().clone()).collect(),
        false => given,
    };
    let finish = Finish::Values { given };
    Ok(Built { planned, kind, added: Vec::new(), deletes_may_repeat: false, must_meet, finish })
}

fn last(name: &sqlparser::ast::ObjectName) -> Option<String> {
    name.0.last().and_then(|part| part.as_ident()).map(crate::sql::dialect::fold)
}

/// The rows of an `INSERT`, in the table's columns and order.
fn comes(rows: LogicalPlan, target: &ChangeTarget) -> Result<LogicalPlan> {
    let null = || lit(ScalarValue::Int64(None));
    let mut all = vec![null().alias(FILE), null().alias(ROW), lit(RowAction::INSERT).alias(ACTION)];
    for (own, field) in rows.schema().columns().into_iter().zip(target.schema.fields()) {
        let value = cast(datafusion::logical_expr::Expr::Column(own), field.data_type().clone());
        all.push(value.alias(field.name()));
    }
    Ok(LogicalPlanBuilder::from(rows).project(all)?.build()?)
}

/// The places of rows that go, beside rows that come.
fn goes_with_nulls(places: LogicalPlan, target: &ChangeTarget) -> Result<LogicalPlan> {
    let number = |name: &str| cast(column(name), DataType::Int64).alias(name);
    let mut all = vec![number(FILE), number(ROW), number(ACTION)];
    for field in target.schema.fields() {
        all.push(lit(ScalarValue::try_from(field.data_type())?).alias(field.name()));
    }
    Ok(LogicalPlanBuilder::from(places).project(all)?.build()?)
}

fn partition_columns(columns: &[String], target: &ChangeTarget) -> Result<()> {
    let own = &target.partition_by;
    if own.is_empty() {
        return Err(Error::input("`PARTITION` names partition columns, and the table has none")
            .with_hint("`INSERT INTO t REPLACE WHERE condition query` replaces the rows that a condition tells"));
    }
    let same = columns.len() == own.len() && own.iter().all(|column| columns.contains(column));
    match same {
        true => Ok(()),
        false => Err(Error::input(format!(
            "expected the partition columns `{}` in `PARTITION`, found `{}`",
            own.join(", "),
            columns.join(", ")
        ))),
    }
}
