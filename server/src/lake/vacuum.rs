//! VACUUM: data files that no version within the table's retention needs are removed, and those that a model needs stay.
//!
//! deltalake finds the files; what is removed, and what the log is told of it, is decided here. The table is had alone
//! meanwhile, so that no file of a write that is under way is taken for one that nobody needs. A retention shorter than
//! the table's own is refused: whoever wants it says so of the table first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::DeltaTable;
use deltalake_core::Path;
use deltalake_core::operations::vacuum::VacuumMode;
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::state::DeltaTableState;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use serde_json::json;

use super::exclusive::Rewrite;
use super::open::Lake;
use super::table::Table;
use super::{CommitNotes, Relation, RelationKind, commit};
use crate::limits::{DELETED_FILES_KEPT, VACUUM_FILES_SHOWN_MAX};
use crate::{Error, Result};

/// How thorough a VACUUM is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// Files that left the table longer ago than this go; the table's own retention without.
    pub hours: Option<u64>,
    /// Only says what would go.
    pub dry_run: bool,
    /// Versions that models need go too.
    pub force: bool,
}

/// What a VACUUM did, or would do.
#[derive(Debug, Clone, Default)]
pub struct Vacuumed {
    /// Files that went.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Some of the files, with their bytes, [`VACUUM_FILES_SHOWN_MAX`] at most.
    pub shown: Vec<(String, u64)>,
    /// Who needs files that no current reader does: they stayed, or went by force.
    pub needed: Vec<Needed>,
}

/// A version of the table that something else needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// The table's version.
    pub version: u64,
    /// Who needs it.
    pub by: String,
    /// How many of its files would have gone.
    pub files: u64,
}

impl Lake {
    /// Removes the files that nobody needs.
    pub async fn vacuum(&self, relation: &Arc<Relation>, retention: Retention, notes: CommitNotes) -> Result<Vacuumed> {
        if let RelationKind::View { .. } = relation.kind {
            return Err(Error::input(format!("`{}` is a view, expected a table", relation.name)));
        }
        let (lake, relation, gate) = (self.clone(), relation.clone(), notes.gate.clone());
        commit::run(&gate, async move {
            lake.catalog().settled().await?;
            commit::retry(&notes.gate, || lake.vacuum_once(&relation, retention, &notes)).await
        })
        .await
    }

    async fn vacuum_once(&self, relation: &Relation, retention: Retention, notes: &CommitNotes) -> Result<Vacuumed> {
        let table = self.table(relation)?;
        let _alone = table.lane().exclusive().await;
        self.still_there(relation)?;
        let before = table.latest().await?;
        let kept_for = kept_for(relation, &before, retention.hours)?;
        let first = table.first_version().await?;
        let pins: Vec<(u64, String)> = self
            .pinned_by(&relation.id)
            .into_iter()
            .filter(|(version, _)| (first..=before.version()).contains(version))
            .collect();
        let all = unneeded(&table, &before, kept_for, &[]).await?;
        let versions: BTreeSet<u64> = pins.iter().map(|(version, _)| *version).collect();
        let spared = match versions.is_empty() {
            true => all.clone(),
            false => unneeded(&table, &before, kept_for, &versions.into_iter().collect::<Vec<_>>()).await?,
        };
        let needed = needed(&table, &pins, &all.difference(&spared).cloned().collect()).await?;
        let going = if retention.force { all } else { spared };
        let sizes = sizes(&table, &going).await?;
        let mut done = Vacuumed {
            files: sizes.len() as u64,
            bytes: sizes.values().sum(),
            shown: sizes.iter().take(VACUUM_FILES_SHOWN_MAX).map(|(path, bytes)| (path.clone(), *bytes)).collect(),
            needed,
        };
        if retention.dry_run || sizes.is_empty() {
            return Ok(done);
        }
        let started = start(&before, &done, kept_for, retention.hours.is_some());
        self.commit(&table, &before, notes, started).await?;
        done.files = remove(&table, sizes.into_keys()).await?;
        // Whoever was first meanwhile is another process; the files are gone, so their end is told on top of that.
        let mut attempts = 0;
        loop {
            let now = table.latest().await?;
            match self.commit(&table, &now, notes, ended(done.files)).await {
                Err(error)
                    if error.class() == crate::Class::Conflict && attempts < crate::limits::COMMIT_ATTEMPTS_MAX =>
                {
                    attempts += 1;
                }
                Err(error) => {
                    tracing::warn!(%error, "a VACUUM has removed its files and could not say so in the log");
                    return Ok(done);
                }
                Ok(_) => return Ok(done),
            }
        }
    }
}

/// How long ago a file must have left the table.
fn kept_for(relation: &Relation, before: &DeltaTableState, hours: Option<u64>) -> Result<Duration> {
    let least = before.table_config().deleted_file_retention_duration.unwrap_or(DELETED_FILES_KEPT);
    let Some(hours) = hours else { return Ok(least) };
    let asked = Duration::from_secs(hours.saturating_mul(3600));
    if asked >= least {
        return Ok(asked);
    }
    let least = least.as_secs().div_ceil(3600);
    Err(Error::input(format!(
        "expected `RETAIN` at least {least} hours, as `{}` keeps what was deleted, found {hours}",
        relation.name
    ))
    .with_hint(format!(
        "readers and time travel may still need those files; where they do not: ALTER TABLE {} SET TBLPROPERTIES \
             ('delta.deletedFileRetentionDuration' = 'interval {hours} hours')",
        relation.name
    )))
}

/// The files that are no part of the table now, of a version within the retention, or of one of `versions`.
async fn unneeded(
    table: &Table,
    before: &DeltaTableState,
    kept_for: Duration,
    versions: &[u64],
) -> Result<BTreeSet<String>> {
    let kept_for = chrono::Duration::from_std(kept_for).map_err(|error| Error::input(format!("RETAIN: {error}")))?;
    let mut delta = DeltaTable::new(table.log_store().clone());
    delta.state = Some(before.clone());
    let plan = delta
        .vacuum()
        .with_mode(VacuumMode::Full)
        .with_retention_period(kept_for)
        .with_enforce_retention_duration(false)
        .with_dry_run(true);
    let plan = if versions.is_empty() { plan } else { plan.with_keep_versions(versions) };
    let (_, found) = plan.await.map_err(super::error::delta)?;
    Ok(found.files_deleted.into_iter().collect())
}

/// Which pinned versions have files among `spared`.
async fn needed(table: &Table, pins: &[(u64, String)], spared: &BTreeSet<String>) -> Result<Vec<Needed>> {
    let mut needed = Vec::new();
    if spared.is_empty() {
        return Ok(needed);
    }
    let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
    for (version, by) in pins {
        if !counted.contains_key(version) {
            let state = table.at(*version).await?;
            let files = state.snapshot().log_data();
            let count = files.iter().filter(|file| spared.contains(&file.object_store_path().to_string())).count();
            counted.insert(*version, count as u64);
        }
        let files = counted.get(version).copied().unwrap_or_default();
        if files > 0 {
            needed.push(Needed { version: *version, by: by.clone(), files });
        }
    }
    Ok(needed)
}

/// Those of the files that are there, with their bytes.
async fn sizes(table: &Table, files: &BTreeSet<String>) -> Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    if files.is_empty() {
        return Ok(sizes);
    }
    let store = table.log_store().object_store(None);
    let mut listed = store.list(None);
    while let Some(object) = listed.try_next().await.map_err(|error| super::error::store(&error))? {
        if files.contains(&object.location.to_string()) {
            sizes.insert(object.location.to_string(), object.size);
        }
    }
    Ok(sizes)
}

async fn remove(table: &Table, files: impl Iterator<Item = String> + Send + 'static) -> Result<u64> {
    let store = table.log_store().object_store(None);
    let paths = files.map(|file| Path::parse(file).map_err(object_store::Error::from));
    let mut removed = store.delete_stream(futures::stream::iter(paths).boxed());
    let mut count = 0;
    loop {
        match removed.try_next().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => return Ok(count),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(super::error::store(&error)),
        }
    }
}

fn start(before: &DeltaTableState, plan: &Vacuumed, kept_for: Duration, asked: bool) -> Rewrite {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let own = before.table_config().deleted_file_retention_duration.unwrap_or(DELETED_FILES_KEPT);
    let operation = DeltaOperation::VacuumStart {
        retention_check_enabled: true,
        specified_retention_millis: asked.then(|| millis(kept_for)),
        default_retention_millis: millis(own),
    };
    let metrics = json!({ "numFilesToDelete": plan.files, "sizeOfDataToDelete": plan.bytes });
    Rewrite { actions: Vec::new(), operation, metrics: Some(metrics) }
}

fn ended(files: u64) -> Rewrite {
    let operation = DeltaOperation::VacuumEnd { status: "COMPLETED".into() };
    Rewrite { actions: Vec::new(), operation, metrics: Some(json!({ "numDeletedFiles": files })) }
}
