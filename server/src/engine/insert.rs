//! `INSERT INTO t …` and `INSERT OVERWRITE t …`; those that replace some rows go on in [`super::change_insert`].
//!
//! DataFusion plans the statement (column order, casts, missing columns), the lake writes the plan's rows. The plan is
//! taken before optimisation, because DataFusion's own write hooks are never to run.

use std::sync::Arc;

use arrow::datatypes::Field;
use arrow::record_batch::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{LogicalPlan, Values, WriteOp};
use datafusion::scalar::ScalarValue;
use sqlparser::ast;

use super::catalog::{Scope, TableRead};
use super::change::{self, Changing};
use super::columns;
use super::context::StatementContext;
use super::execute::{notes, until_commit};
use super::lineage::Writing;
use super::open::Inner;
use super::plan::{self, Planned};
use super::{Answer, SYSTEM_SCHEMA, insert_rows, output};
use crate::lake::{RelationKind, TableName, is_temporary};
use crate::sql::insert::{Insert, Replaces};
use crate::sql::scan::GENERATED_SCHEMA;
use crate::sql::statement::object_ref;
use crate::sql::transaction::AppTransaction;
use crate::sql::{ObjectRef, Statement, parse};
use crate::{Error, Result};

/// The generated name under which an `INSERT` finds its query.
const SOURCE: &str = "insert_source";

/// The plan of an `INSERT`, whose target is checked to be a table.
///
/// A query is planned by itself: inside an `INSERT` the planner takes every `VALUES`, however deep, for rows of the
/// target.
pub(super) async fn planned(mut scope: Scope, insert: Insert) -> Result<Planned> {
    let Insert { statement: mut insert, by_name, .. } = insert;
    if let ast::TableObject::TableName(name) = &insert.table {
        writable(&scope, &scope.named(&object_ref(name)?))?;
    }
    let source = match insert.source.take() {
        Some(query) if by_name || !matches!(*query.body, ast::SetExpr::Values(_)) => query,
        values => {
            insert.source = values;
            return plan::statement(scope, ast::Statement::Insert(insert)).await;
        }
    };
    let source = plan::query(Scope::new(&scope.inner, &scope.ctx), *source).await?;
    let sources = source.scope.reads();
    if by_name {
        insert.columns = named_columns(&source)?;
    }
    scope.generated.insert(SOURCE.into(), Arc::new(ViewTable::new(source.plan, None)));
    let Statement::Query(all) = parse(&format!("SELECT * FROM {GENERATED_SCHEMA}.{SOURCE}"))? else {
        return Err(Error::internal("a SELECT was not parsed as a query"));
    };
    insert.source = Some(all);
    let planned = plan::statement(scope, ast::Statement::Insert(insert)).await?;
    Ok(Planned { reads_files: planned.reads_files || source.reads_files, sources, ..planned })
}

/// The columns of an `INSERT … BY NAME`: those of its query.
fn named_columns(source: &Planned) -> Result<Vec<ast::ObjectName>> {
    let columns = source.columns(&source.plan);
    columns::each_once(&columns)?;
    let quoted = |name: &String| ast::ObjectName::from(vec![ast::Ident::with_quote('"', name)]);
    Ok(columns.fields().iter().map(|field| quoted(field.name())).collect())
}

/// An error where `name` is not a table that statements may write to.
pub(super) fn writable(scope: &Scope, name: &TableName) -> Result<()> {
    if name.schema == SYSTEM_SCHEMA {
        return Err(Error::denied(format!("`{name}` is a system table: Limn alone writes to it")));
    }
    match scope.relation(name)?.kind {
        RelationKind::Table => Ok(()),
        RelationKind::View { .. } => {
            Err(Error::input(format!("expected a table to write to, found the view `{name}`")))
        }
    }
}

/// The same source with `VALUES` that may be NULL.
///
/// The planner gives `VALUES` the target's nullability and then fails on a NULL with the name `column1`; the lake checks
/// it too and names the table's column.
pub(super) fn nullable_values(source: LogicalPlan) -> Result<LogicalPlan> {
    let relaxed = source.transform_up(|node| match node {
        LogicalPlan::Values(values) => {
            let fields = values
                .schema
                .iter()
                .map(|(qualifier, field)| (qualifier.cloned(), Arc::new(Field::clone(field).with_nullable(true))));
            let schema = DFSchema::new_with_metadata(fields.collect(), values.schema.metadata().clone())?;
            Ok(Transformed::yes(LogicalPlan::Values(Values { schema: Arc::new(schema), ..values })))
        }
        other => Ok(Transformed::yes(other.recompute_schema()?)),
    });
    Ok(relaxed.data()?)
}

/// Whether rows go that the statement tells apart from others.
fn replaces_some(insert: &Insert) -> bool {
    !matches!(insert.replaces, Replaces::AsWritten)
}

/// Runs an `INSERT`; the answer counts rows.
pub(super) async fn run(scope: Scope, insert: Insert, parameters: &[ScalarValue]) -> Result<Answer> {
    if replaces_some(&insert) {
        let name = change::inserted_into(&insert)?;
        return change::run(scope, Changing::Insert(Box::new(insert)), &name, parameters).await;
    }
    let ctx = scope.ctx.clone();
    let inner = Arc::clone(&scope.inner);
    let transaction = insert.transaction.clone();
    let mut planned = ctx.run(planned(scope, insert)).await?;
    planned.plan = plan::bound(&planned.state, planned.plan, parameters)?;
    write(&ctx, &inner, planned, transaction).await
}

/// Runs an `INSERT` for all rows of parameters at once; `None` where the statement has to run once for each.
pub(super) async fn run_rows(scope: Scope, insert: Insert, rows: &[RecordBatch]) -> Result<Option<Answer>> {
    let transaction = insert.transaction.clone();
    if replaces_some(&insert) {
        return one_by_one(transaction.as_ref(), rows);
    }
    let ctx = scope.ctx.clone();
    let inner = Arc::clone(&scope.inner);
    let planned = ctx.run(planned(scope, insert)).await?;
    match insert_rows::over(&planned.plan, rows)? {
        Some(plan) => write(&ctx, &inner, Planned { plan, ..planned }, transaction).await.map(Some),
        None => one_by_one(transaction.as_ref(), rows),
    }
}

/// `None`: the statement has to run once for each row. Refused in a transaction, where only the first would be taken.
fn one_by_one(transaction: Option<&AppTransaction>, rows: &[RecordBatch]) -> Result<Option<Answer>> {
    let executions: usize = rows.iter().map(RecordBatch::num_rows).sum();
    match transaction {
        Some(_) if executions > 1 => Err(Error::unsupported(format!(
            "this statement runs once for each of {executions} rows of parameters, and its `TRANSACTION` happens once"
        ))
        .with_hint("with `VALUES (?, …)` alone all rows are one statement")),
        _ => Ok(None),
    }
}

/// Whether the rows of an `INSERT` may depend on the table with this id.
fn may_read(rows: &LogicalPlan, sources: &[TableRead], id: &str) -> Result<bool> {
    if !sources.is_empty() {
        return Ok(sources.iter().any(|read| read.id == id));
    }
    // Of VALUES nobody knows what their subqueries read.
    let mut scans = false;
    rows.apply_with_subqueries(|node| {
        scans |= matches!(node, LogicalPlan::TableScan(_));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

async fn write(
    ctx: &StatementContext,
    inner: &Arc<Inner>,
    planned: Planned,
    transaction: Option<AppTransaction>,
) -> Result<Answer> {
    let state = planned.writing();
    let LogicalPlan::Dml(dml) = planned.plan else {
        return Err(Error::internal("an INSERT was not planned as one"));
    };
    let overwrite = match dml.op {
        WriteOp::Insert(InsertOp::Append) => false,
        WriteOp::Insert(InsertOp::Overwrite) => true,
        _ => return Err(Error::unsupported("`REPLACE INTO` is not supported")),
    };
    let schema = dml.table_name.schema().map(str::to_string);
    let name = ObjectRef { schema, name: dml.table_name.table().to_string() };
    let relation = planned.scope.relation(&planned.scope.named(&name))?;
    let mut notes = notes(ctx);
    notes.transactions.extend(transaction.map(AppTransaction::into_pair));
    if overwrite && may_read(&dml.input, &planned.sources, &relation.id)? {
        // What replaces all rows was computed from what the statement saw; a commit since then would be lost.
        notes.read = planned.scope.ctx.snapshots.table(&relation.id);
    }
    let gate = notes.gate.clone();
    let source = nullable_values(dml.input.as_ref().clone())?;
    if is_temporary(&relation.id) {
        let write = inner.lake.insert_into(&relation, source, overwrite, &state, notes);
        return output::count(until_commit(ctx, &gate, write).await?.rows);
    }
    let lineage = Writing::begin(inner, ctx, planned.sources, &relation.name, &mut notes).await?;
    let write = inner.lake.insert_into(&relation, source, overwrite, &state, notes);
    let written = until_commit(ctx, &gate, write).await;
    lineage.end(written.as_ref().ok().filter(|_| gate.is_passed()).map(|written| written.version)).await;
    output::count(written?.rows)
}
