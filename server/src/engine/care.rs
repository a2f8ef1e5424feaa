//! `ALTER TABLE`, `TRUNCATE`, `RESTORE` and the other statements that shape and care for a table.
//!
//! They find the table, turn what was parsed into what the lake does, and put its answer into columns. They know
//! nothing of logs and files.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::catalog::Scope;
use super::execute::{notes, until_commit};
use super::insert::writable;
use super::plan::{self, qualified};
use super::{Answer, Description, Kind, output, table_statements};
use crate::lake::types::parse_sql_type;
use crate::lake::{Alteration, At, CommitNotes, Layout, Place, Relation, Retention, Vacuumed, is_temporary};
use crate::sql::ObjectRef;
use crate::sql::alter::{AlterTable, TableChange};
use crate::sql::care::{Care, CloneTable, Vacuum};
use crate::sql::scan::VersionClause;
use crate::sql::table::ColumnSpec;
use crate::{Error, Result};

/// What a statement answers, before it runs.
pub(super) fn describe(care: &Care) -> Description {
    let (kind, schema) = match care {
        Care::Alter(_) => (Kind::Effect, Arc::new(Schema::empty())),
        Care::Truncate(_) => (Kind::Effect, output::count_schema()),
        Care::Restore { .. } => (Kind::EffectWithRows, integers(RESTORED)),
        Care::Optimize { .. } => (Kind::EffectWithRows, integers(OPTIMIZED)),
        Care::Vacuum(_) => (Kind::EffectWithRows, vacuum_schema()),
        Care::Clone(_) => (Kind::Effect, Arc::new(Schema::empty())),
        Care::Convert { .. } => (Kind::Effect, output::count_schema()),
    };
    Description { kind, schema, parameters: Vec::new() }
}

const RESTORED: &[&str] = &["version", "restored_version", "num_removed_files", "num_restored_files"];

const OPTIMIZED: &[&str] = &["version", "num_removed_files", "num_removed_bytes", "num_added_files", "num_added_bytes"];

fn integers(names: &[&str]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>()))
}

/// One row of whole numbers.
fn row(names: &[&str], values: &[u64]) -> Result<Answer> {
    let columns: Vec<ArrayRef> = values.iter().map(|value| output::integers([*value])).collect();
    Ok(output::finished(RecordBatch::try_new(integers(names), columns)?, None))
}

/// Runs one.
pub(super) async fn run(scope: Scope, care: Care) -> Result<Answer> {
    let ctx = scope.ctx.clone();
    let lake = scope.inner.lake.clone();
    let notes = notes(&ctx);
    let gate = notes.gate.clone();
    match care {
        Care::Alter(alter) => run_alter(&scope, *alter, notes).await,
        Care::Truncate(table) => {
            let relation = table_of(&scope, &table)?;
            output::count(until_commit(&ctx, &gate, lake.truncate(&relation, notes)).await?)
        }
        Care::Restore { table, to } => {
            let relation = table_of(&scope, &table)?;
            let at = point(&scope, &to)?;
            let done = until_commit(&ctx, &gate, lake.restore(&relation, at, notes)).await?;
            row(RESTORED, &[done.version, done.like, done.removed_files, done.restored_files])
        }
        Care::Optimize { table, condition, z_order } => {
            let relation = table_of(&scope, &table)?;
            let layout = Layout { condition: condition.map(|condition| condition.to_string()), z_order };
            let work = lake.optimize(&relation, layout, &scope.inner.base, notes);
            let done = until_commit(&ctx, &gate, work).await?;
            row(OPTIMIZED, &[done.version, done.removed.0, done.removed.1, done.added.0, done.added.1])
        }
        Care::Vacuum(vacuum) => {
            let relation = table_of(&scope, &vacuum.table)?;
            let Vacuum { retain_hours: hours, dry_run, force, .. } = vacuum;
            let retention = Retention { hours, dry_run, force };
            let done = until_commit(&ctx, &gate, lake.vacuum(&relation, retention, notes)).await?;
            vacuumed(&done, retention)
        }
        Care::Clone(clone) => run_clone(&scope, clone, notes).await,
        Care::Convert { location, partition_by } => {
            let (path, place) = lake.place(&location)?;
            let shown = path.display();
            match place {
                Place::Files => {}
                Place::Table => return Err(Error::already_exists(format!("`{shown}` is a Delta table already"))),
                Place::Empty => return Err(Error::not_found(format!("`{shown}` has no files"))),
            }
            let partition_by = fields(&partition_by)?;
            output::count(until_commit(&ctx, &gate, lake.convert(path, &partition_by, notes)).await?)
        }
    }
}

/// The table that a statement changes.
fn table_of(scope: &Scope, name: &ObjectRef) -> Result<Arc<Relation>> {
    let named = scope.named(name);
    writable(scope, &named)?;
    scope.relation(&named)
}

/// The point of a table's history that a clause means.
pub(super) fn point(scope: &Scope, clause: &VersionClause) -> Result<At> {
    match clause {
        VersionClause::Version(version) => Ok(At::Version(*version)),
        VersionClause::Timestamp(expr) => Ok(At::Timestamp(Scope::instant(plan::instant_micros(scope, expr)?)?)),
    }
}

async fn run_clone(scope: &Scope, clone: CloneTable, notes: CommitNotes) -> Result<Answer> {
    let name = qualified(&scope.schema, &clone.name);
    table_statements::not_reserved(&name.schema)?;
    if clone.or_replace {
        return Err(Error::unsupported("`CREATE OR REPLACE TABLE … CLONE` is not supported")
            .with_hint("drop the table first, or CREATE OR REPLACE TABLE … AS SELECT * FROM …"));
    }
    let source = scope.relation(&scope.named(&clone.source))?;
    if is_temporary(&source.id) {
        return Err(Error::unsupported(format!("`{}` is a temporary table, so it cannot be cloned", source.name)));
    }
    let at = clone.version.as_ref().map_or(Ok(At::Latest), |clause| point(scope, clause))?;
    let gate = notes.gate.clone();
    let work = scope.inner.lake.clone_table(&name, &source, at, clone.if_not_exists, notes);
    until_commit(&scope.ctx, &gate, work).await?;
    output::done()
}

async fn run_alter(scope: &Scope, alter: AlterTable, notes: CommitNotes) -> Result<Answer> {
    let relation = table_of(scope, &alter.table)?;
    let alteration = match alter.change {
        TableChange::RenameTo(name) => {
            let to = qualified(&relation.name.schema, &name);
            table_statements::not_reserved(&to.schema)?;
            scope.inner.lake.rename(&relation, &to).await?;
            return output::done();
        }
        TableChange::RenameColumn { from, .. } => return Err(fixed(scope, &relation, &from, "RENAME COLUMN").await),
        TableChange::DropColumns { columns, .. } => {
            let first = columns.first().cloned().unwrap_or_default();
            return Err(fixed(scope, &relation, &first, "DROP COLUMN").await);
        }
        TableChange::AddColumns { columns, if_not_exists } => {
            Alteration::AddColumns { columns: fields(&columns)?, if_not_exists }
        }
        TableChange::SetProperties(properties) => Alteration::SetProperties(properties.into_iter().collect()),
        TableChange::UnsetProperties { keys, if_exists } => Alteration::UnsetProperties { keys, if_exists },
        TableChange::AddConstraint { name, condition } => Alteration::AddConstraint { name, condition },
        TableChange::DropConstraint { name, if_exists } => Alteration::DropConstraint { name, if_exists },
        TableChange::Nullable { column, nullable } => Alteration::Nullable { column, nullable },
        TableChange::CommentColumn { column, comment } => Alteration::CommentColumn { column, comment },
        TableChange::Comment(comment) => Alteration::Comment(comment),
    };
    let gate = notes.gate.clone();
    let lake = &scope.inner.lake;
    until_commit(&scope.ctx, &gate, lake.alter(&relation, alteration, &scope.inner.base, notes)).await?;
    output::done()
}

/// Why a column neither goes nor gets another name.
async fn fixed(scope: &Scope, relation: &Arc<Relation>, column: &str, statement: &str) -> Error {
    let snapshot = match scope.inner.lake.snapshot(relation, At::Latest).await {
        Ok(snapshot) => snapshot,
        Err(error) => return error,
    };
    if snapshot.schema.index_of(column).is_err() {
        let known = snapshot.schema.fields().iter().map(|field| field.name().as_str());
        return crate::error::unknown("column", column, known);
    }
    Error::unsupported(format!(
        "`{statement}` of `{}`: data files name their columns, and what rewrites them cannot follow a column mapping yet",
        relation.name
    ))
    .with_hint("CREATE OR REPLACE TABLE t AS SELECT …, which names the columns anew and keeps the history")
}

/// Declared columns as fields, with their comments and expressions.
pub(super) fn fields(columns: &[ColumnSpec]) -> Result<Vec<FieldRef>> {
    let field = |column: &ColumnSpec| {
        let data_type =
            parse_sql_type(&column.data_type).map_err(|error| error.context(format!("column `{}`", column.name)))?;
        let notes = [("comment", &column.comment), ("delta.generationExpression", &column.generated)];
        let notes = notes.into_iter().filter_map(|(key, text)| Some((key.to_string(), text.clone()?)));
        Ok(Arc::new(Field::new(&column.name, data_type, column.nullable).with_metadata(notes.collect())))
    };
    columns.iter().map(field).collect()
}

fn vacuum_schema() -> SchemaRef {
    let (text, number) = (DataType::Utf8, DataType::Int64);
    let columns = [
        ("action", text.clone()),
        ("name", text),
        ("version", number.clone()),
        ("files", number.clone()),
        ("bytes", number),
    ];
    Arc::new(Schema::new(columns.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}

/// One row for all that went, one for each that needs some of it, and one for each file of a dry run.
fn vacuumed(done: &Vacuumed, retention: Retention) -> Result<Answer> {
    let went = if retention.dry_run { "would delete" } else { "deleted" };
    let needed = match (retention.force, retention.dry_run) {
        (false, _) => "kept for",
        (true, false) => "broke",
        (true, true) => "would break",
    };
    let mut rows: Vec<(&str, Option<&str>, Option<u64>, u64, Option<u64>)> =
        vec![(went, None, None, done.files, Some(done.bytes))];
    rows.extend(done.needed.iter().map(|pin| (needed, Some(pin.by.as_str()), Some(pin.version), pin.files, None)));
    if retention.dry_run {
        rows.extend(done.shown.iter().map(|(path, bytes)| ("file", Some(path.as_str()), None, 1, Some(*bytes))));
    }
    let number = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let columns: Vec<ArrayRef> = vec![
        output::texts(rows.iter().map(|row| Some(row.0))),
        output::texts(rows.iter().map(|row| row.1)),
        Arc::new(rows.iter().map(|row| number(row.2)).collect::<Int64Array>()),
        output::integers(rows.iter().map(|row| row.3)),
        Arc::new(rows.iter().map(|row| number(row.4)).collect::<Int64Array>()),
    ];
    Ok(output::finished(RecordBatch::try_new(vacuum_schema(), columns)?, None))
}
