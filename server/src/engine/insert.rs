//! `INSERT INTO t …` and `INSERT OVERWRITE t …`.
//!
//! DataFusion plans the statement (column order, casts, missing columns), the lake writes the plan's rows. The plan is
//! taken before optimisation, because DataFusion's own write hooks are never to run.

use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{LogicalPlan, WriteOp};
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::catalog::Scope;
use super::execute::{notes, until_commit};
use super::plan::{self, Planned, qualified};
use super::{Answer, SYSTEM_SCHEMA, output};
use crate::lake::{RelationKind, TableName};
use crate::sql::statement::object_ref;
use crate::{Error, Result};

/// The plan of an `INSERT`, whose target is checked to be a table.
pub(super) async fn planned(scope: Scope, insert: ast::Insert) -> Result<Planned> {
    if let ast::TableObject::TableName(name) = &insert.table {
        writable(&scope, &qualified(&scope.schema, &object_ref(name)?))?;
    }
    plan::statement(scope, ast::Statement::Insert(insert)).await
}

/// An error where `name` is not a table that statements may write to.
pub(super) fn writable(scope: &Scope, name: &TableName) -> Result<()> {
    if name.schema == SYSTEM_SCHEMA {
        return Err(Error::denied(format!("`{name}` is a system table: Limn alone writes to it")));
    }
    match scope.relation(name)?.kind {
        RelationKind::Table => Ok(()),
        RelationKind::View { .. } => Err(Error::input(format!("expected a table to write to, found the view `{name}`"))),
    }
}

/// Runs an `INSERT`; the answer counts rows.
pub(super) async fn run(scope: Scope, insert: ast::Insert, parameters: &[ScalarValue]) -> Result<Answer> {
    let ctx = scope.ctx.clone();
    let inner = std::sync::Arc::clone(&scope.inner);
    let planned = ctx.run(planned(scope, insert)).await?;
    let LogicalPlan::Dml(dml) = plan::bound(planned.plan, parameters)? else {
        return Err(Error::internal("an INSERT was not planned as one"));
    };
    let overwrite = match dml.op {
        WriteOp::Insert(InsertOp::Append) => false,
        WriteOp::Insert(InsertOp::Overwrite) => true,
        _ => return Err(Error::unsupported("`REPLACE INTO` is not supported")),
    };
    let name = TableName {
        schema: dml.table_name.schema().unwrap_or(&planned.scope.schema).to_string(),
        table: dml.table_name.table().to_string(),
    };
    let notes = notes(&ctx);
    let gate = notes.gate.clone();
    let source = dml.input.as_ref().clone();
    let written =
        until_commit(&ctx, &gate, inner.lake.insert(&name, source, overwrite, &planned.state, notes)).await?;
    output::count(written.rows)
}
