//! `COPY INTO`: files into a table, each file once.
//!
//! Columns are matched by name. What was loaded is remembered in the table itself, as one application transaction per
//! file, in the same commit as the rows; so a copy that is repeated, or raced by another, loads nothing twice.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::datasource::provider_as_source;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::scalar::ScalarValue;
use limn_sql_udfs::train::sha256_hex;

use super::catalog::Scope;
use super::execute::{notes, until_commit};
use super::insert::writable;
use super::{Answer, output};
use crate::error::nearest;
use crate::lake::files::{
    CsvOptions, FileStat, JsonOptions, list, open_csv_files, open_json_files, open_parquet_files,
};
use crate::lake::{At, Relation, TableName, TableSnapshot};
use crate::sql::copy::{CopyInto, FileFormat};
use crate::{Error, Result};

/// Runs `COPY INTO`; the answer counts rows.
pub(super) async fn run(scope: Scope, copy: CopyInto) -> Result<Answer> {
    let ctx = scope.ctx.clone();
    let inner = Arc::clone(&scope.inner);
    let named = scope.named(&copy.table);
    writable(&scope, &named)?;
    let relation = scope.relation(&named)?;
    let name = relation.name.clone();
    let mut notes = notes(&ctx);
    let files = ctx.run(new_files(&scope, &relation, &copy)).await?;
    if files.is_empty() {
        return output::count(0);
    }
    if !copy.force {
        notes.transactions = files.iter().map(|file| (transaction_id(file), file.modified_ms)).collect();
    }
    let snapshot = ctx.run(inner.lake.snapshot(&relation, At::Latest)).await?;
    let plan = ctx.run(source(&name, &snapshot, &copy, files)).await?;
    let gate = notes.gate.clone();
    let state: &SessionState = &inner.base;
    let written = until_commit(&ctx, &gate, inner.lake.insert_into(&relation, plan, false, state, notes)).await?;
    output::count(written.rows)
}

/// The files that the table has not, or has in an older state.
async fn new_files(scope: &Scope, relation: &Arc<Relation>, copy: &CopyInto) -> Result<Vec<FileStat>> {
    let mut files = list(&copy.from).await?;
    if copy.force {
        return Ok(files);
    }
    let mut new = Vec::with_capacity(files.len());
    for file in files.drain(..) {
        let loaded = scope.inner.lake.transaction_version(relation, &transaction_id(&file)).await?;
        if loaded.is_none_or(|loaded| loaded < file.modified_ms) {
            new.push(file);
        }
    }
    Ok(new)
}

/// One application transaction per file: the id from its path, the version from when it was changed.
fn transaction_id(file: &FileStat) -> String {
    format!("limn-copy-{}", sha256_hex(file.path.to_string_lossy().as_bytes()))
}

/// A plan of the files' rows in the table's columns.
async fn source(
    name: &TableName,
    snapshot: &TableSnapshot,
    copy: &CopyInto,
    files: Vec<FileStat>,
) -> Result<LogicalPlan> {
    let provider = match copy.format {
        FileFormat::Csv => {
            let mut options = CsvOptions::parse(&copy.options)?;
            // The table's types are what a value is measured by, not what the file looks like.
            if options.header && options.columns.is_empty() {
                let found = open_csv_files(files.clone(), CsvOptions { all_text: true, ..options.clone() }).await?;
                let known = |name: &str| snapshot.schema.field_with_name(name).ok();
                let typed = |name: &String| known(name).map(|field| (name.clone(), field.data_type().clone()));
                options.columns = found.schema().fields().iter().filter_map(|field| typed(field.name())).collect();
            }
            open_csv_files(files, options).await?
        }
        FileFormat::Json => {
            let mut options = JsonOptions::parse(&copy.options)?;
            if options.columns.is_empty() {
                let found = open_json_files(files.clone(), options.clone()).await?;
                let known = |name: &str| snapshot.schema.field_with_name(name).ok();
                let typed = |name: &String| known(name).map(|field| (name.clone(), field.data_type().clone()));
                let inferred = found.schema();
                // A column that the table has not is refused below, with the names that it has.
                if inferred.fields().iter().all(|field| known(field.name()).is_some()) {
                    options.columns = inferred.fields().iter().filter_map(|field| typed(field.name())).collect();
                    // A key that comes after the sample would be lost.
                    options.strict = true;
                }
            }
            open_json_files(files, options).await?
        }
        FileFormat::Parquet => match copy.options.first() {
            Some((option, _)) => {
                return Err(Error::input(format!("unknown option `{option}` of Parquet, it has none")));
            }
            None => open_parquet_files(files).await?,
        },
    };
    let available = provider.schema();
    for field in available.fields() {
        if snapshot.schema.index_of(field.name()).is_err() {
            let known = snapshot.schema.fields().iter().map(|f| f.name().as_str());
            let near = nearest(field.name(), known).map(|n| format!(", the nearest is `{n}`")).unwrap_or_default();
            return Err(Error::input(format!(
                "the files have the column `{}`, and table `{name}` has no column of that name{near}",
                field.name()
            )));
        }
    }
    let mut columns: Vec<Expr> = Vec::with_capacity(snapshot.schema.fields().len());
    for field in snapshot.schema.fields() {
        let value = match available.index_of(field.name()) {
            Ok(_) => cast(Expr::Column(Column::from_name(field.name())), field.data_type().clone()),
            Err(_) => lit(ScalarValue::try_from(field.data_type())?),
        };
        columns.push(value.alias(field.name()));
    }
    Ok(LogicalPlanBuilder::scan("files", provider_as_source(provider), None)?.project(columns)?.build()?)
}
