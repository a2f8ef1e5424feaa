//! `SHOW …` and `DESCRIBE …`: small tables from the catalog and the registry.
//!
//! Each has fixed columns, so that a client that only asks for the schema gets it cheaply. It changes nothing.

use std::sync::Arc;

use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use datafusion::catalog::TableProvider;

use super::catalog::Scope;
use super::live_tables::system_table_names;
use super::output::{integers, table, texts};
use super::queries::{QueryRecord, RunState};
use super::{CATALOG, SYSTEM_SCHEMA, describe_model, schema_names, settings, show_table, user_statements};
use crate::Result;
use crate::lake::types::sql_name;
use crate::lake::{At, RelationKind, TableName};
use crate::sql::show::Show;

/// The rows of a `SHOW` or `DESCRIBE`.
pub(super) async fn answer(scope: &Scope, show: &Show) -> Result<RecordBatch> {
    match show {
        Show::Tables { schema } => relations(scope, schema.as_deref(), false),
        Show::Views { schema } => relations(scope, schema.as_deref(), true),
        Show::Schemas => table(vec![("schema_name", texts(schema_names(&scope.inner).into_iter().map(Some)))]),
        Show::Catalogs => table(vec![("catalog_name", texts([Some(CATALOG)]))]),
        Show::Models => models(scope),
        Show::Algorithms => algorithms(),
        Show::Queries => queries(scope),
        Show::Users => user_statements::show_users(&scope.inner.users),
        Show::Tokens => user_statements::show_tokens(&scope.inner.users),
        Show::Settings { name } => session_settings(scope, name.as_deref()),
        Show::Columns(name) => columns(scope, &scope.named(name)).await,
        Show::History(name) => history(scope, &scope.named(name)).await,
        Show::Detail(name) => show_table::detail(scope, &scope.named(name)).await,
        Show::Properties { table, key } => show_table::properties(scope, &scope.named(table), key.as_deref()).await,
        Show::CreateTable(name) => show_table::create_table(scope, &scope.named(name)).await,
        Show::Model { model, version, alias } => {
            describe_model::answer(&scope.inner, model, *version, alias.as_deref())
        }
    }
}

fn relations(scope: &Scope, schema: Option<&str>, views_only: bool) -> Result<RecordBatch> {
    let schema = schema.unwrap_or(&scope.schema);
    settings::check_schema(&scope.inner, schema)?;
    let mut rows: Vec<(String, &str)> = match schema {
        SYSTEM_SCHEMA => system_table_names().iter().map(|name| ((*name).to_string(), "SYSTEM TABLE")).collect(),
        _ => scope
            .inner
            .lake
            .relations(schema)
            .unwrap_or_default()
            .iter()
            .map(|relation| (relation.name.table.clone(), super::table_type(&relation.kind)))
            .collect(),
    };
    if schema == scope.ctx.session.schema() {
        let temporaries = scope.ctx.session.temporaries.list();
        rows.retain(|(name, _)| temporaries.iter().all(|relation| relation.name.table != *name));
        rows.extend(temporaries.iter().map(|relation| (relation.name.table.clone(), super::TEMPORARY_TABLE)));
        rows.sort();
    }
    rows.retain(|(_, table_type)| !views_only || *table_type == "VIEW");
    table(vec![
        ("schema_name", texts(rows.iter().map(|_| Some(schema)))),
        ("table_name", texts(rows.iter().map(|(name, _)| Some(name)))),
        ("table_type", texts(rows.iter().map(|(_, table_type)| Some(table_type)))),
    ])
}

/// What runs or waits, the oldest first; this statement is among it.
fn queries(scope: &Scope) -> Result<RecordBatch> {
    let has_begun = |row: &Arc<QueryRecord>| row.ended_at.is_none() && row.state != RunState::Planned;
    let rows: Vec<_> = scope.inner.queries.records().into_iter().filter(has_begun).collect();
    table(vec![
        ("query_id", texts(rows.iter().map(|row| Some(&row.query_id)))),
        ("principal", texts(rows.iter().map(|row| Some(&row.principal)))),
        ("state", texts(rows.iter().map(|row| Some(row.state.name())))),
        ("total_ms", integers(rows.iter().map(|row| row.total_ms.unwrap_or_default()))),
        ("rows", integers(rows.iter().map(|row| row.rows))),
        ("statement", texts(rows.iter().map(|row| Some(&row.statement)))),
    ])
}

async fn columns(scope: &Scope, name: &TableName) -> Result<RecordBatch> {
    let provider: Arc<dyn TableProvider> = scope.table(name, At::Latest).await?;
    let schema = provider.schema();
    let fields = schema.fields();
    table(vec![
        ("column_name", texts(fields.iter().map(|field| Some(field.name())))),
        ("data_type", texts(fields.iter().map(|field| Some(sql_name(field.data_type()))))),
        ("is_nullable", texts(fields.iter().map(|field| Some(if field.is_nullable() { "YES" } else { "NO" })))),
    ])
}

async fn history(scope: &Scope, name: &TableName) -> Result<RecordBatch> {
    let relation = scope.relation(name)?;
    if let RelationKind::View { .. } = relation.kind {
        return Err(crate::Error::input(format!("expected a table, found the view `{name}`: views have no history")));
    }
    let commits = scope.inner.lake.history(&relation).await?;
    let instants: TimestampMicrosecondArray =
        commits.iter().map(|commit| Some(commit.timestamp.timestamp_micros())).collect();
    table(vec![
        ("version", integers(commits.iter().map(|commit| commit.version))),
        ("timestamp", Arc::new(instants.with_timezone("UTC"))),
        ("user_name", texts(commits.iter().map(|commit| commit.user_name.as_ref()))),
        ("operation", texts(commits.iter().map(|commit| Some(&commit.operation)))),
        ("operation_parameters", texts(commits.iter().map(|commit| Some(&commit.operation_parameters)))),
        ("operation_metrics", texts(commits.iter().map(|commit| commit.operation_metrics.as_ref()))),
        ("query_id", texts(commits.iter().map(|commit| commit.query_id.as_ref()))),
        ("engine", texts(commits.iter().map(|commit| commit.engine.as_ref()))),
    ])
}

fn models(scope: &Scope) -> Result<RecordBatch> {
    let index = scope.inner.registry.index();
    let rows: Vec<_> = index
        .models()
        .filter_map(|model| {
            let latest = index.model_versions(&model.name).next_back()?;
            let aliases: Vec<String> =
                index.model_aliases(&model.name).map(|a| format!("{} → {}", a.alias, a.version)).collect();
            Some((latest.clone(), aliases.join(", "), model.created_at))
        })
        .collect();
    let created: TimestampMicrosecondArray =
        rows.iter().map(|(_, _, created_at)| Some(created_at.timestamp_micros())).collect();
    table(vec![
        ("model_name", texts(rows.iter().map(|(latest, ..)| Some(&latest.name)))),
        ("latest_version", integers(rows.iter().map(|(latest, ..)| latest.version))),
        ("algorithm", texts(rows.iter().map(|(latest, ..)| Some(&latest.algorithm)))),
        ("task", texts(rows.iter().map(|(latest, ..)| Some(&latest.task)))),
        ("target", texts(rows.iter().map(|(latest, ..)| latest.target.as_ref()))),
        ("aliases", texts(rows.iter().map(|(_, aliases, _)| Some(aliases)))),
        ("created_at", Arc::new(created.with_timezone("UTC"))),
        ("metrics", texts(rows.iter().map(|(latest, ..)| Some(&latest.metrics)))),
    ])
}

/// A row for each algorithm and then one for each of its parameters.
fn algorithms() -> Result<RecordBatch> {
    let mut rows: Vec<(&str, Option<&str>, Option<String>, Option<String>, &str)> = Vec::new();
    for algorithm in limn_sql_udfs::train::algorithms() {
        rows.push((algorithm.name, None, None, None, algorithm.doc));
        for parameter in algorithm.parameters {
            let default = parameter.default_value().to_string();
            rows.push((algorithm.name, Some(parameter.name), Some(parameter.expected()), Some(default), parameter.doc));
        }
    }
    table(vec![
        ("algorithm", texts(rows.iter().map(|row| Some(row.0)))),
        ("parameter", texts(rows.iter().map(|row| row.1))),
        ("accepts", texts(rows.iter().map(|row| row.2.as_ref()))),
        ("default", texts(rows.iter().map(|row| row.3.as_ref()))),
        ("description", texts(rows.iter().map(|row| Some(row.4)))),
    ])
}

fn session_settings(scope: &Scope, name: Option<&str>) -> Result<RecordBatch> {
    let mut rows = Vec::new();
    for (setting, _) in settings::SETTINGS.iter().filter(|(setting, _)| name.is_none_or(|name| name == *setting)) {
        rows.push((*setting, settings::value(&scope.inner, &scope.ctx, setting)?));
    }
    if let Some(name) = name.filter(|_| rows.is_empty()) {
        settings::value(&scope.inner, &scope.ctx, name)?;
    }
    table(vec![
        ("name", texts(rows.iter().map(|(name, _)| Some(name)))),
        ("value", texts(rows.iter().map(|(_, value)| Some(value)))),
    ])
}
