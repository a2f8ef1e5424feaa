//! `CREATE TABLE`, `CREATE VIEW`, `DROP TABLE` and `DROP VIEW`.
//!
//! They turn parsed columns and queries into what the lake stores. They know nothing of Delta.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::scalar::ScalarValue;

use super::catalog::Scope;
use super::execute::{notes, until_commit};
use super::lineage::Writing;
use super::open::Inner;
use super::plan::{self, qualified};
use super::{Answer, SYSTEM_SCHEMA, care, columns, output};
use crate::lake::types::storage_schema;
use crate::lake::{CommitNotes, NewRows, NewTable, OnExisting, Place, TableName};
use crate::sql::ObjectRef;
use crate::sql::table::{CreateTable, CreateView};
use crate::{Error, Result};

/// Runs `CREATE TABLE`, with or without a query.
pub(super) async fn create_table(scope: Scope, table: CreateTable, parameters: &[ScalarValue]) -> Result<Answer> {
    let ctx = scope.ctx.clone();
    let inner = Arc::clone(&scope.inner);
    let name = qualified(&scope.schema, &table.name);
    not_reserved(&name.schema)?;
    if table.temporary {
        temporary_place(&scope, table.name.schema.as_deref())?;
    }
    let location = match &table.location {
        Some(location) => match located(&inner, &table, &name, location).await? {
            Some(path) => Some(path),
            None => return output::done(),
        },
        None => None,
    };
    let mut new = NewTable {
        name,
        schema: Arc::new(Schema::empty()),
        partition_by: table.partition_by.clone(),
        properties: table.properties.iter().cloned().collect(),
        comment: table.comment.clone(),
        location,
        on_existing: on_existing(table.or_replace, table.if_not_exists),
    };
    let mut notes = notes(&ctx);
    let gate = notes.gate.clone();
    let Some(query) = table.query else {
        if !parameters.is_empty() {
            return Err(Error::input(format!("expected 0 bound parameters, found {}", parameters.len())));
        }
        new.schema = declared(&table)?;
        check(&new)?;
        match table.temporary {
            true => create_temporary(&scope, new, NewRows::None, notes).await.map(drop)?,
            false => until_commit(&ctx, &gate, inner.lake.create_table(new, notes)).await.map(drop)?,
        }
        return output::done();
    };
    // A taken name is known before the query's work is done.
    let taken = match table.temporary {
        true => ctx.session.temporaries.find(&new.name.table),
        false => inner.lake.find(&new.name),
    };
    match (taken, new.on_existing) {
        (Some(_), OnExisting::Keep) => return output::count(0),
        (Some(_), OnExisting::Fail) => return Err(Error::already_exists(format!("`{}` exists already", new.name))),
        _ => {}
    }
    let planned = ctx.run(plan::query(scope.clone(), *query)).await?;
    let source = plan::bound(&planned.state, planned.plan.clone(), parameters)?;
    let analysed = planned.state.optimize(&source)?;
    new.schema = nullable(storage_schema(&planned.columns(&analysed))?.as_ref());
    check(&new)?;
    if table.temporary {
        let rows = NewRows::Query { plan: source, state: Box::new(planned.writing()) };
        return output::count(create_temporary(&scope, new, rows, notes).await?);
    }
    if let Some(replaced) = inner.lake.find(&new.name) {
        // Rows that replace a table's own were computed from what the statement saw of it.
        notes.read = ctx.snapshots.table(&replaced.id);
    }
    let state = planned.writing();
    let lineage = Writing::begin(&inner, &ctx, planned.scope.reads(), &new.name, &mut notes).await?;
    let write = inner.lake.create_table_as(new, source, &state, notes);
    let written = until_commit(&ctx, &gate, write).await;
    lineage.end(written.as_ref().ok().copied().flatten().map(|written| written.version)).await;
    output::count(written?.map_or(0, |written| written.rows))
}

/// The directory where a table is to be made; `None` where one was there, which has its name now.
async fn located(inner: &Inner, table: &CreateTable, name: &TableName, location: &str) -> Result<Option<PathBuf>> {
    if table.temporary || table.or_replace {
        let clause = if table.temporary { "TEMPORARY" } else { "OR REPLACE" };
        return Err(Error::unsupported(format!("`LOCATION` with `{clause}`")));
    }
    let (path, place) = inner.lake.place(location)?;
    let shown = path.display();
    let declares = !table.columns.is_empty() || table.query.is_some();
    let says_more = !table.partition_by.is_empty() || !table.properties.is_empty() || table.comment.is_some();
    match place {
        Place::Table if declares || says_more => {
            Err(Error::already_exists(format!("`{shown}` has a Delta table already, which says itself what it is"))
                .with_hint("CREATE TABLE name LOCATION '…' alone gives it a name"))
        }
        Place::Table => {
            inner.lake.register_table(name, &path, table.if_not_exists).await?;
            Ok(None)
        }
        Place::Files => Err(Error::input(format!("`{shown}` has files and no Delta table"))
            .with_hint(format!("CONVERT TO DELTA '{shown}' makes a table of Parquet files"))),
        Place::Empty if !declares => Err(Error::not_found(format!("`{shown}` has no Delta table"))),
        Place::Empty => Ok(Some(path)),
    }
}

/// Refuses to put a temporary table into a schema: it belongs to the session.
pub(super) fn temporary_place(scope: &Scope, schema: Option<&str>) -> Result<()> {
    match schema {
        Some(schema) if schema != scope.ctx.session.schema() => {
            Err(Error::input(format!("a temporary table belongs to its session, and not to the schema `{schema}`"))
                .with_hint("leave the schema out"))
        }
        _ => Ok(()),
    }
}

/// Creates a temporary table of the session; answers how many rows it has.
pub(super) async fn create_temporary(scope: &Scope, new: NewTable, rows: NewRows, notes: CommitNotes) -> Result<u64> {
    let (ctx, on_existing) = (&scope.ctx, new.on_existing);
    let taken = || ctx.session.temporaries.find(&new.name.table).is_some();
    match on_existing {
        OnExisting::Keep if taken() => return Ok(0),
        OnExisting::Fail if taken() => {
            return Err(Error::already_exists(format!("temporary table `{}` already exists", new.name.table)));
        }
        _ => {}
    }
    let gate = notes.gate.clone();
    let (table, written) = until_commit(ctx, &gate, scope.inner.lake.create_temporary(new, rows, notes)).await?;
    ctx.session.temporaries.put(table, on_existing == OnExisting::Replace)?;
    Ok(written.rows)
}

fn on_existing(or_replace: bool, if_not_exists: bool) -> OnExisting {
    match (or_replace, if_not_exists) {
        (true, _) => OnExisting::Replace,
        (_, true) => OnExisting::Keep,
        _ => OnExisting::Fail,
    }
}

/// Refuses schemas in which only Limn makes tables.
pub(super) fn not_reserved(schema: &str) -> Result<()> {
    match schema {
        SYSTEM_SCHEMA | "information_schema" => {
            Err(Error::denied(format!("the schema `{schema}` is Limn's own: nothing can be created in it")))
        }
        _ => Ok(()),
    }
}

fn declared(table: &CreateTable) -> Result<SchemaRef> {
    let fields = care::fields(&table.columns)?;
    let stored = storage_schema(&Schema::new(fields.clone()))?;
    // What is noted of a column is not part of its type, so it is put back.
    let noted = stored
        .fields()
        .iter()
        .zip(&fields)
        .map(|(stored, field)| Field::clone(stored).with_metadata(field.metadata().clone()));
    Ok(Arc::new(Schema::new(noted.collect::<Vec<_>>())))
}

/// A query's columns, all of them nullable: that a value happens not to be NULL today is no promise.
pub(super) fn nullable(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|field| Field::clone(field).with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// What a Delta table's column names cannot hold, as Spark refuses it.
const NOT_IN_NAMES: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// Refuses columns that no table can have.
pub(super) fn check(new: &NewTable) -> Result<()> {
    columns::each_once(&new.schema)?;
    for field in new.schema.fields() {
        let name = field.name();
        if name.is_empty() || name.contains(NOT_IN_NAMES) {
            return Err(Error::input(format!(
                "expected a column name without spaces and any of `,;{{}}()=`, found `{name}`"
            ))
            .with_hint("name the column with `AS`"));
        }
    }
    for column in &new.partition_by {
        if new.schema.index_of(column).is_err() {
            let names = new.schema.fields().iter().map(|field| field.name().as_str());
            return Err(crate::error::unknown("partition column", column, names));
        }
    }
    if !new.partition_by.is_empty() && new.partition_by.len() == new.schema.fields().len() {
        return Err(Error::input("expected at least one column that is not a partition column"));
    }
    Ok(())
}

/// Runs `CREATE VIEW`; the query is planned first, so that a view that cannot be read is not stored.
pub(super) async fn create_view(scope: Scope, view: CreateView) -> Result<Answer> {
    let ctx = scope.ctx.clone();
    let inner = Arc::clone(&scope.inner);
    let name = qualified(&scope.schema, &view.name);
    not_reserved(&name.schema)?;
    // A view is read in its own schema, so it is planned in it.
    // No view sees a temporary table, so neither does its first plan.
    let own = Scope { schema: name.schema.clone(), depth: 1, ..scope };
    let planned = ctx.run(plan::query(own, *view.query)).await?;
    if !plan::parameters(&planned.plan)?.is_empty() {
        return Err(Error::input("expected no parameters in a view's query"));
    }
    columns::each_once(&planned.columns(&planned.plan))?;
    inner.lake.create_view(&name, &view.text, on_existing(view.or_replace, view.if_not_exists)).await?;
    output::done()
}

/// Runs `DROP TABLE` or `DROP VIEW`.
pub(super) async fn drop_relation(scope: &Scope, name: &ObjectRef, view: bool, if_exists: bool) -> Result<Answer> {
    if !view {
        let named = scope.named(name);
        if scope.temporary(&named).is_some() && scope.ctx.session.temporaries.remove(&named.table) {
            return output::done();
        }
    }
    let name = qualified(&scope.schema, name);
    not_reserved(&name.schema)?;
    if !if_exists {
        scope.relation(&name)?;
    }
    scope.inner.lake.drop_relation(&name, view, if_exists).await?;
    output::done()
}
