//! Bulk ingestion: batches of rows from outside into a table, all of them in one commit or none.
//!
//! Columns are matched by name, and values become the table's by the type table. The rows go to files as they come, in
//! constant memory; nothing of the catalog or of the table changes before the last one is there. It knows nothing of
//! messages.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::{StreamExt, TryStreamExt};

use super::catalog::Scope;
use super::context::StatementContext;
use super::execute::{notes, until_commit};
use super::open::Inner;
use super::table_statements::{check, create_temporary, not_reserved, nullable, temporary_place};
use super::{BatchStream, CATALOG};
use crate::error::{nearest, unknown};
use crate::lake::types::{assign, is_assignable, pieces, sql_name, storage_schema};
use crate::lake::{NewRows, NewTable, OnExisting, Relation, RelationKind, Shape, TableName};
use crate::sql::transaction::AppTransaction;
use crate::{Class, Error, Result};

/// What to do where the table is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// A `NotFound` error.
    Fail,
    /// Create it with the columns that are sent, all of them nullable.
    Create,
}

/// What to do where the table is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// An `AlreadyExists` error.
    Fail,
    /// Add the rows to it.
    Append,
    /// Give it the columns and the rows that are sent instead of its own, in one new version.
    Replace,
}

/// Where rows are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestRequest {
    /// The catalog; the only one where it is not given.
    pub catalog: Option<String>,
    /// The schema; the session's where it is not given.
    pub schema: Option<String>,
    /// The table, as it is written in the catalog: nothing is folded.
    pub table: String,
    /// Where it is not there.
    pub if_missing: IfMissing,
    /// Where it is there.
    pub if_exists: IfExists,
    /// Whether it is a temporary table of the session that is meant.
    pub temporary: bool,
    /// The rows are taken once, however often they are sent.
    pub transaction: Option<AppTransaction>,
}

/// Takes all rows of `batches`, which have the columns of `schema`; answers how many there were.
///
/// Tell it to stop by `ctx.cancel`; a dropped future leaves its files to the next start.
pub(super) async fn run(
    inner: &Arc<Inner>,
    ctx: &StatementContext,
    request: IngestRequest,
    schema: SchemaRef,
    batches: BatchStream,
) -> Result<u64> {
    ctx.check()?;
    let scope = Scope::new(inner, ctx);
    let name = named(&scope, &request)?;
    if request.transaction.is_some() && request.if_exists != IfExists::Append {
        // A repeated sending would find the table that the first one made, and fail or replace it.
        return Err(Error::input(
            "expected an ingestion that appends to the table where it is there, with a transaction",
        ));
    }
    let target = ctx.run(target(&scope, &request, &name, &schema)).await?;
    let mapping = Mapping::new(&name, &schema, &target.shape().schema);
    let mapping = Arc::new(mapping.map_err(|error| mismatch(&request, &target, error))?);
    let own = ctx.clone();
    // An error among the batches is how the files are given up.
    let mapped = futures::stream::try_unfold(batches, move |mut batches| {
        let ctx = own.clone();
        async move {
            let next = ctx.run(async { batches.next().await.transpose() }).await?;
            Ok::<_, Error>(next.map(|batch| (batch, batches)))
        }
    })
    .map_ok(move |batch| {
        let mapping = Arc::clone(&mapping);
        futures::stream::iter(pieces(&batch).collect::<Vec<_>>()).map(move |piece| mapping.apply(&piece))
    })
    .try_flatten();
    let staged = inner.lake.stage(target.shape().clone(), mapped.boxed()).await?;
    let (mut notes, rows) = (notes(ctx), staged.rows());
    notes.transactions.extend(request.transaction.map(AppTransaction::into_pair));
    let gate = notes.gate.clone();
    match target {
        Target::Append(relation, _) => {
            let appended = until_commit(ctx, &gate, inner.lake.append_staged(&relation, staged, notes)).await?;
            return Ok(appended.rows);
        }
        Target::Create(table, _) if request.temporary => {
            create_temporary(&scope, table, NewRows::Staged(staged), notes).await?;
        }
        Target::Create(table, _) => {
            until_commit(ctx, &gate, inner.lake.create_table_staged(table, staged, notes)).await?;
        }
    }
    Ok(rows)
}

fn named(scope: &Scope, request: &IngestRequest) -> Result<TableName> {
    let given = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    if let Some(catalog) = given(&request.catalog).filter(|catalog| catalog != CATALOG) {
        return Err(unknown("catalog", &catalog, [CATALOG]));
    }
    let schema = given(&request.schema).unwrap_or_else(|| scope.schema.clone());
    not_reserved(&schema)?;
    if request.temporary {
        temporary_place(scope, Some(&schema))?;
    }
    if scope.inner.lake.relations(&schema).is_none() {
        let schemas = scope.inner.lake.schemas();
        return Err(unknown("schema", &schema, schemas.iter().map(String::as_str)));
    }
    Ok(TableName { schema, table: request.table.clone() })
}

/// What becomes of the rows.
enum Target {
    Append(Arc<Relation>, Shape),
    Create(NewTable, Shape),
}

impl Target {
    fn shape(&self) -> &Shape {
        match self {
            Target::Append(_, shape) | Target::Create(_, shape) => shape,
        }
    }
}

async fn target(scope: &Scope, request: &IngestRequest, name: &TableName, sent: &Schema) -> Result<Target> {
    let lake = &scope.inner.lake;
    let found = match request.temporary {
        true => scope.ctx.session.temporaries.find(&name.table),
        false => lake.find(name),
    };
    let on_existing = match (found, request.if_missing, request.if_exists) {
        (Some(relation), _, IfExists::Append) => {
            let shape = lake.shape(&relation).await?;
            return Ok(Target::Append(relation, shape));
        }
        (None, IfMissing::Fail, _) => {
            // The lake's text offers the nearest name.
            let missing = || Error::not_found(format!("unknown table `{name}`"));
            let told = lake.relation(name).err().filter(|_| !request.temporary);
            return Err(told.unwrap_or_else(missing));
        }
        (Some(_), _, IfExists::Fail) => {
            return Err(Error::already_exists(format!("`{name}` exists already"))
                .with_hint("append to it or replace it, or choose another name"));
        }
        (Some(relation), _, IfExists::Replace) => {
            if let RelationKind::View { .. } = relation.kind {
                return Err(Error::input(format!("expected a table to write to, found the view `{name}`")));
            }
            OnExisting::Replace
        }
        // Where somebody creates it meanwhile, only a replacement goes on.
        (None, IfMissing::Create, IfExists::Replace) => OnExisting::Replace,
        (None, IfMissing::Create, _) => OnExisting::Fail,
    };
    let table = NewTable {
        name: name.clone(),
        schema: nullable(storage_schema(sent)?.as_ref()),
        partition_by: Vec::new(),
        properties: Default::default(),
        comment: None,
        location: None,
        on_existing,
    };
    check(&table)?;
    let shape = Shape { schema: table.schema.clone(), partition_by: Vec::new() };
    Ok(Target::Create(table, shape))
}

/// A client that would have created the table learns that there is another one of its name.
fn mismatch(request: &IngestRequest, target: &Target, error: Error) -> Error {
    match (target, request.if_missing) {
        (Target::Append(..), IfMissing::Create) if error.class() == Class::Input => {
            let (text, hint) = (error.message().to_string(), error.hint().map(str::to_string));
            let error = Error::already_exists(format!("the table exists with other columns: {text}"));
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        }
        _ => error,
    }
}

/// Which sent column goes where.
struct Mapping {
    table: TableName,
    schema: SchemaRef,
    /// For each of the table's columns the position of the sent one; `None` for NULLs.
    columns: Vec<Option<usize>>,
}

impl Mapping {
    /// An `Input` error where a column is unknown, missing or of a type that does not fit; it names the column.
    fn new(table: &TableName, sent: &Schema, schema: &SchemaRef) -> Result<Self> {
        let folded = |name: &str| name.to_lowercase();
        let known = |name: &str| schema.fields().iter().position(|field| folded(field.name()) == folded(name));
        let mut columns = vec![None; schema.fields().len()];
        for (index, field) in sent.fields().iter().enumerate() {
            let Some(at) = known(field.name()) else {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let near = nearest(field.name(), names).map(|n| format!(", the nearest is `{n}`")).unwrap_or_default();
                let name = field.name();
                return Err(Error::input(format!("table `{table}` has no column `{name}`{near}")));
            };
            if columns[at].replace(index).is_some() {
                return Err(Error::input(format!("expected each column once, found `{}` twice", field.name())));
            }
            let wanted = schema.field(at).data_type();
            if !is_assignable(field.data_type(), wanted) {
                return Err(Error::input(format!(
                    "column `{}` of `{table}` is {}, found {}",
                    field.name(),
                    sql_name(wanted),
                    sql_name(field.data_type())
                )));
            }
        }
        let missing = schema.fields().iter().zip(&columns).find(|(field, at)| at.is_none() && !field.is_nullable());
        if let Some((field, _)) = missing {
            return Err(Error::input(format!(
                "column `{}` of `{table}` is NOT NULL, and the rows have no such column",
                field.name()
            )));
        }
        Ok(Mapping { table: table.clone(), schema: schema.clone(), columns })
    }

    /// The rows as rows of the table.
    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (field, at) in self.schema.fields().iter().zip(&self.columns) {
            let column = match at {
                Some(at) => assign(batch.column(*at), field.data_type())
                    .map_err(|error| error.context(format!("column `{}` of `{}`", field.name(), self.table)))?,
                None => new_null_array(field.data_type(), batch.num_rows()),
            };
            if !field.is_nullable() && column.logical_null_count() > 0 {
                return Err(Error::input(format!(
                    "column `{}` of `{}` is NOT NULL, found NULL in {} of {} rows",
                    field.name(),
                    self.table,
                    column.logical_null_count(),
                    column.len()
                )));
            }
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type};

    use super::*;

    fn table() -> (TableName, SchemaRef) {
        let name = TableName { schema: "main".into(), table: "t".into() };
        let id = Field::new("id", DataType::Int64, false);
        let fields = vec![id, Field::new("name", DataType::Utf8, true)];
        (name, Arc::new(Schema::new(fields)))
    }

    fn mapping(sent: &RecordBatch) -> Result<Mapping> {
        let (name, schema) = table();
        Mapping::new(&name, &sent.schema(), &schema)
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
    }

    #[test]
    fn columns_are_matched_by_name_and_missing_ones_are_null() {
        let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let sent = batch(vec![("ID", ids)]);
        let rows = mapping(&sent).unwrap().apply(&sent).unwrap();
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
        assert_eq!(rows.column(1).null_count(), 2);
        assert_eq!(rows.schema(), table().1);
    }

    #[test]
    fn what_does_not_fit_is_told_by_column() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let words: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        for (sent, expected) in [
            (
                batch(vec![("name", words.clone())]),
                "column `id` of `main.t` is NOT NULL, and the rows have no such column",
            ),
            (
                batch(vec![("id", ids.clone()), ("nam", words.clone())]),
                "table `main.t` has no column `nam`, the nearest is `name`",
            ),
            (batch(vec![("id", words)]), "column `id` of `main.t` is BIGINT, found TEXT"),
            (batch(vec![("id", ids.clone()), ("Id", ids)]), "expected each column once, found `Id` twice"),
        ] {
            assert_eq!(mapping(&sent).err().unwrap().message(), expected);
        }
        let none: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let sent = batch(vec![("id", none)]);
        let error = mapping(&sent).unwrap().apply(&sent).unwrap_err();
        assert_eq!(error.message(), "column `id` of `main.t` is NOT NULL, found NULL in 1 of 2 rows");
    }
}
