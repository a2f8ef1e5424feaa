//! The catalog as one statement sees it: every table at one version, views planned on sight, system tables included.
//!
//! A statement gets a catalog of its own, because what a name means is fixed for its whole length. It keeps a list of
//! what was read, which a training records. It knows nothing of SQL text.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemTable, SchemaProvider, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::TableType;

use super::context::StatementContext;
use super::live_tables::{LiveTable, system_table_names};
use super::open::Inner;
use super::{CATALOG, INFORMATION_SCHEMA, SYSTEM_SCHEMA, information_schema, plan};
use crate::error::unknown;
use crate::lake::{At, Relation, RelationKind, TableName};
use crate::limits::VIEW_DEPTH_MAX;
use crate::registry::{SystemAt, SystemTable};
use crate::sql::ObjectRef;
use crate::sql::scan::GENERATED_SCHEMA;
use crate::{Error, Result};

/// The schema in which a statement of a session with temporary tables looks up what is written without a schema: first
/// among those, then in the session's own. No statement can write it.
const SESSION_SCHEMA: &str = "__limn_session";

/// A table version that a statement read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableRead {
    /// The table's name.
    pub name: TableName,
    /// Its id.
    pub id: String,
    /// The version.
    pub version: u64,
}

/// What names mean in one statement, or in one view that it reads.
#[derive(Clone)]
pub(super) struct Scope {
    pub inner: Arc<Inner>,
    pub ctx: StatementContext,
    /// The schema of unqualified names: the session's, or a view's own.
    pub schema: String,
    /// How many views are around this scope.
    pub depth: usize,
    /// Tables that have no name in the catalog: versions and files.
    pub generated: HashMap<String, Arc<dyn TableProvider>>,
    /// Names that stand for table functions in this query; the planner asks for them as if they were tables.
    pub functions: Vec<String>,
    /// What was read so far, by all scopes of the statement.
    pub reads: Arc<Mutex<Vec<TableRead>>>,
    /// The views that were read so far, by all scopes of the statement: schema, name and id.
    pub views: Arc<Mutex<BTreeSet<(String, String, String)>>>,
    /// Whether any scope of the statement read what has no version: the catalog, what runs.
    pub live: Arc<AtomicBool>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("schema", &self.schema).field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl Scope {
    /// The scope of a statement.
    pub(super) fn new(inner: &Arc<Inner>, ctx: &StatementContext) -> Self {
        Scope {
            inner: Arc::clone(inner),
            ctx: ctx.clone(),
            schema: ctx.session.schema(),
            depth: 0,
            generated: HashMap::new(),
            functions: Vec::new(),
            reads: Arc::default(),
            views: Arc::default(),
            live: Arc::default(),
        }
    }

    /// Whether anything was read that has no version.
    pub(super) fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether all that was read is still what its name means, and would be read the same again.
    pub(super) fn still_holds(&self) -> bool {
        let same = |read: &TableRead| self.inner.lake.find(&read.name).is_some_and(|found| found.id == read.id);
        !self.is_live() && self.reads().iter().all(same)
    }

    /// What was read so far, without repetitions.
    pub(super) fn reads(&self) -> Vec<TableRead> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The views that were read so far, as (schema, name, id).
    pub(super) fn views(&self) -> Vec<(String, String, String)> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn note(&self, read: TableRead) {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        if !reads.contains(&read) {
            reads.push(read);
        }
    }

    /// The table, view or system table of that name at a point of its history.
    ///
    /// Plain reads see the statement's snapshot. `NotFound` with the nearest name, and `Input` with the range of the
    /// history.
    pub(super) async fn table(&self, name: &TableName, at: At) -> Result<Arc<dyn TableProvider>> {
        if name.schema == SYSTEM_SCHEMA {
            self.live.store(true, Ordering::Relaxed);
            return self.system_table(name, at).await;
        }
        if name.schema == INFORMATION_SCHEMA && at == At::Latest {
            self.live.store(true, Ordering::Relaxed);
            return information_schema::table(self, &name.table).await;
        }
        let relation = self.relation(name)?;
        match &relation.kind {
            RelationKind::Table => self.lake_table(&relation, at).await,
            RelationKind::View { sql } => match at {
                At::Latest => self.view(&relation, sql).await,
                _ => Err(Error::unsupported(format!(
                    "expected a table before a version clause, found the view `{name}`"
                ))
                .with_hint("put the version clause on the tables inside the view's query")),
            },
        }
    }

    /// The relation of that name, or an error that offers the nearest schema or table.
    pub(super) fn relation(&self, name: &TableName) -> Result<Arc<Relation>> {
        if let Some(temporary) = self.temporary(name) {
            return Ok(temporary);
        }
        let lake = &self.inner.lake;
        if name.schema == SYSTEM_SCHEMA || name.schema == INFORMATION_SCHEMA {
            return Err(Error::unsupported(format!(
                "expected a table of the lake, found `{name}`, which is Limn's own"
            )));
        }
        if lake.relations(&name.schema).is_none() {
            let schemas = super::schema_names(&self.inner);
            return Err(unknown("schema", &name.schema, schemas.iter().map(String::as_str)));
        }
        lake.relation(name)
    }

    /// What a written name means: without a schema the session's temporary table, where there is one.
    pub(super) fn named(&self, name: &ObjectRef) -> TableName {
        let is_temporary = || self.depth == 0 && self.ctx.session.temporaries.find(&name.name).is_some();
        let schema = match &name.schema {
            Some(schema) => schema.as_str(),
            None if is_temporary() => SESSION_SCHEMA,
            None => self.schema.as_str(),
        };
        TableName { schema: schema.to_string(), table: name.name.clone() }
    }

    /// The schema of names that are written without one, as the planner is told it.
    pub(super) fn planner_schema(&self) -> &str {
        match self.depth == 0 && !self.ctx.session.temporaries.is_empty() {
            true => SESSION_SCHEMA,
            false => &self.schema,
        }
    }

    /// The session's temporary table of that name, which only its own statements see, and no view does. With a schema
    /// a name means the table there; the temporary ones are listed in the session's, so they are found in it as well.
    pub(super) fn temporary(&self, name: &TableName) -> Option<Arc<Relation>> {
        let visible = self.depth == 0
            && (name.schema == SESSION_SCHEMA
                || name.schema == self.ctx.session.schema() && self.inner.lake.find(name).is_none());
        visible.then(|| self.ctx.session.temporaries.find(&name.table)).flatten()
    }

    async fn lake_table(&self, relation: &Arc<Relation>, at: At) -> Result<Arc<dyn TableProvider>> {
        let lake = &self.inner.lake;
        let snapshot = match (at, self.ctx.snapshots.table(&relation.id)) {
            (At::Latest, Some(version)) => lake.snapshot(relation, At::Version(version)).await?,
            (At::Latest, None) => {
                let latest = lake.snapshot(relation, At::Latest).await?;
                match self.ctx.snapshots.fix_table(&relation.id, latest.version) {
                    version if version == latest.version => latest,
                    version => lake.snapshot(relation, At::Version(version)).await?,
                }
            }
            (at, _) => lake.snapshot(relation, at).await?,
        };
        self.note(TableRead { name: relation.name.clone(), id: relation.id.clone(), version: snapshot.version });
        self.ctx.read.note(relation, snapshot.version);
        lake.provider(&snapshot).await
    }

    /// What changed in a table from one version to another, as the statement sees the table.
    pub(super) async fn changes(&self, name: &TableName, from: At, to: Option<At>) -> Result<Arc<dyn TableProvider>> {
        let relation = self.relation(name)?;
        let lake = &self.inner.lake;
        let latest = match self.ctx.snapshots.table(&relation.id) {
            Some(version) => version,
            None => {
                let latest = lake.snapshot(&relation, At::Latest).await?.version;
                self.ctx.snapshots.fix_table(&relation.id, latest)
            }
        };
        self.note(TableRead { name: relation.name.clone(), id: relation.id.clone(), version: latest });
        lake.change_feed(&relation, from, to, latest).await
    }

    async fn view(&self, relation: &Relation, sql: &str) -> Result<Arc<dyn TableProvider>> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(Error::exhausted(format!(
                "expected views nested at most {VIEW_DEPTH_MAX} deep, found more at `{}`",
                relation.name
            )));
        }
        let TableName { schema, table } = relation.name.clone();
        self.views.lock().unwrap_or_else(PoisonError::into_inner).insert((schema, table, relation.id.clone()));
        let scope = Scope {
            schema: relation.name.schema.clone(),
            depth: self.depth + 1,
            generated: HashMap::new(),
            functions: Vec::new(),
            ..self.clone()
        };
        let planned = Box::pin(plan::view(scope, sql)).await;
        let plan = planned.map_err(|error| error.context(format!("view `{}`", relation.name)))?;
        Ok(Arc::new(ViewTable::new(plan, Some(sql.to_string()))))
    }

    async fn system_table(&self, name: &TableName, at: At) -> Result<Arc<dyn TableProvider>> {
        if let Some(live) = LiveTable::from_name(&name.table) {
            self.note(TableRead { name: name.clone(), id: name.to_string(), version: 0 });
            return live.provider(&self.inner, at).await;
        }
        let Some(table) = SystemTable::from_name(&name.table) else {
            return Err(unknown("table", &name.to_string(), SYSTEM_TABLE_NAMES.iter().map(String::as_str)));
        };
        let registry = &self.inner.registry;
        let at = match at {
            At::Version(sequence) => SystemAt::Sequence(sequence),
            At::Timestamp(instant) => SystemAt::Timestamp(instant),
            // One sequence number stands for all system tables, so that a statement sees them in step.
            At::Latest => {
                let latest = registry.index().last_seq();
                SystemAt::Sequence(self.ctx.snapshots.fix_table(SYSTEM_SCHEMA, latest))
            }
        };
        let batches = registry.rows(table, at).await?;
        if let SystemAt::Sequence(version) = at {
            self.note(TableRead { name: name.clone(), id: name.to_string(), version });
        }
        Ok(Arc::new(MemTable::try_new(table.schema(), vec![batches])?))
    }

    /// The instant of a version clause, checked to be one.
    pub(super) fn instant(micros: i64) -> Result<DateTime<Utc>> {
        DateTime::from_timestamp_micros(micros)
            .ok_or_else(|| Error::input(format!("expected an instant, found `{micros}` microseconds")))
    }
}

/// `system.…`, for the nearest name.
static SYSTEM_TABLE_NAMES: std::sync::LazyLock<Vec<String>> =
    std::sync::LazyLock::new(|| system_table_names().iter().map(|name| format!("{SYSTEM_SCHEMA}.{name}")).collect());

/// The list of catalogs: one.
#[derive(Debug)]
pub(super) struct StatementCatalogs(pub Arc<Scope>);

impl CatalogProviderList for StatementCatalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.into()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(StatementCatalog(Arc::clone(&self.0))) as Arc<dyn CatalogProvider>)
    }
}

/// The catalog that Limn serves.
#[derive(Debug)]
pub(super) struct StatementCatalog(pub Arc<Scope>);

impl CatalogProvider for StatementCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names = self.0.inner.lake.schemas();
        names.push(SYSTEM_SCHEMA.into());
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(StatementSchema { scope: Arc::clone(&self.0), name: name.to_string() }))
    }
}

#[derive(Debug)]
struct StatementSchema {
    scope: Arc<Scope>,
    name: String,
}

impl StatementSchema {
    fn types(&self) -> BTreeMap<String, TableType> {
        if self.name == SYSTEM_SCHEMA {
            return system_table_names().iter().map(|name| ((*name).to_string(), TableType::Base)).collect();
        }
        let schema = if self.name == SESSION_SCHEMA { &self.scope.schema } else { &self.name };
        let relations = self.scope.inner.lake.relations(schema).unwrap_or_default();
        let own = self.scope.ctx.session.schema();
        let temporaries = match self.scope.depth == 0 && (self.name == own || self.name == SESSION_SCHEMA) {
            true => self.scope.ctx.session.temporaries.list(),
            false => Vec::new(),
        };
        relations
            .iter()
            .chain(&temporaries)
            .map(|relation| {
                let table_type = match relation.kind {
                    RelationKind::Table => TableType::Base,
                    RelationKind::View { .. } => TableType::View,
                };
                (relation.name.table.clone(), table_type)
            })
            .collect()
    }
}

#[async_trait]
impl SchemaProvider for StatementSchema {
    fn table_names(&self) -> Vec<String> {
        self.types().into_keys().collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if self.name == GENERATED_SCHEMA {
            return Ok(self.scope.generated.get(name).cloned());
        }
        let schema = (self.name != SESSION_SCHEMA).then(|| self.name.clone());
        let name = self.scope.named(&ObjectRef { schema, name: name.to_string() });
        if self.scope.functions.contains(&name.table) && !self.table_exist(&name.table) {
            return Ok(None);
        }
        self.scope.table(&name, At::Latest).await.map(Some).map_err(Error::into_datafusion)
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>, DataFusionError> {
        Ok(self.types().get(name).copied())
    }

    fn table_exist(&self, name: &str) -> bool {
        self.types().contains_key(name)
    }
}
