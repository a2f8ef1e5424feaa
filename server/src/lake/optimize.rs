//! OPTIMIZE: the same rows in fewer, larger files, and with Z-order where one asks for it.
//!
//! Written here and not left to deltalake's builder, which drops what a commit is told (retries, transactions) and
//! cleans the log up inline, pinned versions or not. It has the table for itself, its removals carry no change of
//! data, and it counts: a rewrite that would not have exactly the rows that it takes away is not committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use deltalake_core::kernel::{Action, LogicalFileView};
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;
use serde_json::json;

use super::alter::refuse_mapping;
use super::constraints::Constraints;
use super::data_files::DataFiles;
use super::exclusive::{Prepare, Rewrite};
use super::open::Lake;
use super::partitions::{Partition, Partitions};
use super::provider::TableVersion;
use super::rows::Rows;
use super::table::Table;
use super::types::storage_schema;
use super::z_order::ZOrder;
use super::{CommitNotes, Relation};
use crate::limits::{
    COMPACTION_BYTES_MAX, COMPACTION_FILES_MIN, DATA_FILE_BYTES_TARGET, SMALL_FILE_DIVISOR, Z_ORDER_COLUMNS_MAX,
};
use crate::{Error, Result};

/// What an OPTIMIZE is to do.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// A condition on partition columns; all partitions without.
    pub condition: Option<String>,
    /// The columns whose values are to lie together.
    pub z_order: Vec<String>,
}

/// What an OPTIMIZE did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Optimized {
    /// The table's version after it.
    pub version: u64,
    /// Files that are no part of the table any more, and their bytes.
    pub removed: (u64, u64),
    /// Files that are part of it now, and their bytes.
    pub added: (u64, u64),
}

impl Lake {
    /// Rewrites small files, or with Z-order all files, of the partitions that meet the condition.
    pub async fn optimize(
        &self,
        relation: &Arc<Relation>,
        layout: Layout,
        state: &SessionState,
        mut notes: CommitNotes,
    ) -> Result<Optimized> {
        if !layout.z_order.is_empty() {
            // deltalake's operation has no place for it.
            notes.info.insert("zOrderBy".into(), layout.z_order.join(", "));
        }
        self.optimized(relation, layout, false, state, notes).await
    }

    /// Rewrites small files of those partitions that have many, so many that it is done soon.
    pub(super) async fn compact(
        &self,
        relation: &Arc<Relation>,
        state: &SessionState,
        notes: CommitNotes,
    ) -> Result<Optimized> {
        self.optimized(relation, Layout::default(), true, state, notes).await
    }

    async fn optimized(
        &self,
        relation: &Arc<Relation>,
        layout: Layout,
        is_care: bool,
        state: &SessionState,
        notes: CommitNotes,
    ) -> Result<Optimized> {
        let done: Arc<Mutex<Optimized>> = Arc::default();
        let (relation_of, state) = (relation.clone(), state.clone());
        let optimize = Optimize { relation: relation_of, layout, is_care, state, done: Arc::clone(&done) };
        let version = self.rewrite(relation, notes, optimize).await?;
        let done = *done.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Optimized { version, ..done })
    }
}

struct Optimize {
    relation: Arc<Relation>,
    layout: Layout,
    /// Whether nobody asked for it: then only what is worth it, and not for long.
    is_care: bool,
    state: SessionState,
    done: Arc<Mutex<Optimized>>,
}

/// The files of one partition that become others.
#[derive(Default)]
struct Group {
    files: Vec<LogicalFileView>,
}

#[async_trait]
impl Prepare for Optimize {
    async fn prepare(&self, table: &Arc<Table>, before: &DeltaTableState) -> Result<Option<Rewrite>> {
        refuse_mapping(&self.relation, before.metadata(), "OPTIMIZE")?;
        self.check_columns(before)?;
        let groups = self.groups(before)?;
        let (mut actions, mut done) = (Vec::new(), Optimized::default());
        for group in groups {
            let files = self.written(table, before, &group).await?;
            for file in &group.files {
                done.removed.0 += 1;
                done.removed.1 += u64::try_from(file.size()).unwrap_or_default();
                actions.push(Action::Remove(file.remove_action(false)));
            }
            done.added.0 += files.count() as u64;
            done.added.1 += files.bytes();
            actions.extend(files.into_moves());
        }
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = done;
        if actions.is_empty() {
            return Ok(None);
        }
        let target = i64::try_from(DATA_FILE_BYTES_TARGET).unwrap_or(i64::MAX);
        let operation = DeltaOperation::Optimize { predicate: self.layout.condition.clone(), target_size: target };
        let metrics = json!({ "numRemovedFiles": done.removed.0, "numRemovedBytes": done.removed.1,
            "numAddedFiles": done.added.0, "numAddedBytes": done.added.1 });
        Ok(Some(Rewrite { actions, operation, metrics: Some(metrics) }))
    }
}

impl Optimize {
    fn check_columns(&self, before: &DeltaTableState) -> Result<()> {
        let columns = before.schema();
        if self.layout.z_order.len() > Z_ORDER_COLUMNS_MAX {
            let found = self.layout.z_order.len();
            return Err(Error::exhausted(format!(
                "expected at most {Z_ORDER_COLUMNS_MAX} columns in `ZORDER BY`, found {found}"
            )));
        }
        for name in &self.layout.z_order {
            if columns.field(name).is_none() {
                let known = columns.fields().map(|field| field.name().as_str());
                return Err(crate::error::unknown("column", name, known));
            }
            if before.metadata().partition_columns().contains(name) {
                return Err(Error::input(format!(
                    "`{name}` is a partition column, so its values lie together already"
                )));
            }
        }
        Ok(())
    }

    /// What is rewritten, partition by partition.
    fn groups(&self, before: &DeltaTableState) -> Result<Vec<Group>> {
        let partitions = Partitions::new(before)?;
        let mut all: BTreeMap<Partition, Vec<LogicalFileView>> = BTreeMap::new();
        for file in before.snapshot().log_data().iter() {
            all.entry(partitions.of(&file)).or_default().push(file);
        }
        let chosen = match &self.layout.condition {
            Some(condition) => partitions.that_meet(condition, all.keys())?,
            None => all.keys().cloned().collect(),
        };
        let groups = all.into_iter().filter(|(partition, _)| chosen.contains(partition)).map(|(_, mut files)| {
            if self.layout.z_order.is_empty() {
                files.retain(|file| is_small(file) || file.deletion_vector_descriptor().is_some());
                let worth = files.len() > 1 || files.iter().any(|file| file.deletion_vector_descriptor().is_some());
                if !worth {
                    files.clear();
                }
            }
            Group { files }
        });
        let groups: Vec<Group> = groups.filter(|group| !group.files.is_empty()).collect();
        Ok(if self.is_care { worth_it(groups) } else { groups })
    }

    /// The rows of a group in files of their own.
    async fn written(&self, table: &Table, before: &DeltaTableState, group: &Group) -> Result<DataFiles> {
        let paths = group.files.iter().map(|file| file.path().into_owned()).collect();
        let schema = storage_schema(&before.snapshot().arrow_schema())?;
        let provider = Arc::new(TableVersion::of_files(table, before, paths).await?);
        let plan = LogicalPlanBuilder::scan("rows", provider_as_source(provider), None)?.build()?;
        let plan = self.ordered(plan).await?;
        let name = self.relation.name.to_string();
        let rows = Rows::plan(plan, &schema, Constraints::default(), &name, &self.state, None).await?;
        let store = table.log_store().object_store(None);
        let partition_by = before.metadata().partition_columns();
        let written = DataFiles::of_query(&rows, partition_by, store, &self.state).await;
        let files = written.map_err(|error| rows.failure().unwrap_or(error))?;
        match group.rows() {
            Some(expected) if expected != files.rows => Err(Error::internal(format!(
                "a rewrite of {expected} rows of `{name}` has {}; nothing was changed",
                files.rows
            ))),
            _ => Ok(files),
        }
    }

    async fn ordered(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        match self.layout.z_order.as_slice() {
            [] => Ok(plan),
            columns => ZOrder::learn(&plan, columns, &self.state).await?.sort(plan),
        }
    }
}

impl Group {
    /// How many rows it has, where the log knows it of every file.
    fn rows(&self) -> Option<u64> {
        let rows = self.files.iter().map(|file| {
            let all = u64::try_from(file.num_records()?).ok()?;
            let deleted = file.deletion_vector_descriptor().map_or(0, |vector| vector.cardinality);
            Some(all.saturating_sub(u64::try_from(deleted).unwrap_or_default()))
        });
        rows.sum()
    }
}

/// Of the groups that have many files as many files, the smallest first, as are written soon: writers wait meanwhile.
fn worth_it(mut groups: Vec<Group>) -> Vec<Group> {
    let mut left = COMPACTION_BYTES_MAX;
    groups.retain_mut(|group| {
        if group.files.len() < COMPACTION_FILES_MIN {
            return false;
        }
        group.files.sort_by_key(LogicalFileView::size);
        let mut within = 0;
        for file in &group.files {
            let Some(rest) = left.checked_sub(u64::try_from(file.size()).unwrap_or_default()) else { break };
            left = rest;
            within += 1;
        }
        group.files.truncate(within);
        within > 1
    });
    groups
}

/// Whether a file is small enough to be worth putting together with others.
fn is_small(file: &LogicalFileView) -> bool {
    u64::try_from(file.size()).unwrap_or_default()
        < DATA_FILE_BYTES_TARGET - DATA_FILE_BYTES_TARGET / SMALL_FILE_DIVISOR
}
