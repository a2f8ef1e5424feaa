//! What a statement is about to write with models, kept on disk until its lineage is in the registry.
//!
//! The commit of the target table is what happened; the rows of `system.lineage` follow it. A server that dies between the
//! two leaves the file, and the next one looks into the table's log: the commit says which statement made it. So no row
//! claims what was not committed, and none is lost. It knows neither statements nor models.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use limn_sql_udfs::train::sha256_hex;
use serde::{Deserialize, Serialize};

use super::fold::blocking;
use super::segment::named;
use super::{Lineage, LineageKind, LineageRole, Registry, Row};
use crate::Result;
use crate::lake::directory::replace;
use crate::lake::disk::Disk;
use crate::lake::{DataDirectory, Lake, TableName};

/// A model that takes part in a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedModel {
    /// Its name.
    pub model: String,
    /// Its version.
    pub version: u64,
    /// The hash of the version's artifact.
    pub artifact_sha256: String,
}

/// A table version that a statement reads, or that it has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableAt {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub name: String,
    /// The table's id.
    pub id: String,
    /// The version.
    pub version: u64,
}

/// A statement that writes what models predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// The statement's id, 32 hex digits; the commit has it as `queryId`.
    pub query_id: String,
    /// The principal.
    pub user_name: String,
    /// The models.
    pub models: Vec<UsedModel>,
    /// What it reads.
    pub sources: Vec<TableAt>,
    /// The schema of the table that it writes.
    pub target_schema: String,
    /// The table that it writes.
    pub target_name: String,
    /// The table's version before; `None` where it is about to be created.
    pub before: Option<u64>,
}

impl Prediction {
    /// The rows of a statement that committed.
    fn rows(&self, target: &TableAt, at: chrono::DateTime<chrono::Utc>) -> Vec<Row> {
        let ends = self.sources.iter().map(|table| (LineageRole::Source, table));
        let ends: Vec<_> = ends.chain([(LineageRole::Target, target)]).collect();
        let row = |model: &UsedModel, role: LineageRole, table: &TableAt| {
            Row::Lineage(Lineage {
                query_id: self.query_id.clone(),
                user_name: self.user_name.clone(),
                kind: LineageKind::Predict,
                model: model.model.clone(),
                model_version: model.version,
                artifact_sha256: model.artifact_sha256.clone(),
                role,
                table_schema: table.schema.clone(),
                table_name: table.name.clone(),
                table_id: table.id.clone(),
                table_version: table.version,
                created_at: at,
            })
        };
        self.models.iter().flat_map(|model| ends.iter().map(move |(role, table)| row(model, *role, table))).collect()
    }
}

/// The predictions of a data directory whose lineage is not recorded yet.
#[derive(Debug, Clone)]
pub struct Pending {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Where those of all servers are, which share the data directory.
    shared: Option<PathBuf>,
    temporary: PathBuf,
}

impl Pending {
    /// Opens `<data_dir>/lineage`, and records what the last server committed and did not come to record.
    pub async fn open(
        directory: &DataDirectory,
        disk: Arc<dyn Disk>,
        registry: &Registry,
        lake: &Lake,
    ) -> Result<Self> {
        let all = directory.path().join("lineage");
        let (dir, shared) = match directory.member() {
            Some(member) => (all.join(member.id()), Some(all)),
            None => (all, None),
        };
        let pending = Pending { disk, dir, shared, temporary: directory.temporary() };
        pending.recover_all(pending.dir.clone(), registry, lake).await?;
        Ok(pending)
    }

    /// Does for a server that is dead what it did not come to.
    pub async fn adopt(&self, server: &str, registry: &Registry, lake: &Lake) -> Result<()> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let dir = shared.join(server);
        let adopted = Pending { dir: dir.clone(), ..self.clone() };
        adopted.recover_all(dir.clone(), registry, lake).await?;
        let disk = Arc::clone(&self.disk);
        blocking(move || disk.remove_dir_all(&dir).map_err(|error| named(error, &dir))).await
    }

    async fn recover_all(&self, dir: PathBuf, registry: &Registry, lake: &Lake) -> Result<()> {
        let disk = Arc::clone(&self.disk);
        let left = blocking(move || {
            disk.create_dir_all(&dir).map_err(|error| named(error, &dir))?;
            left_over(&dir)
        });
        for prediction in left.await? {
            self.recover(&prediction, registry, lake).await?;
        }
        Ok(())
    }

    /// Records a prediction whose statement nobody waits for any more, where it has committed.
    async fn recover(&self, prediction: &Prediction, registry: &Registry, lake: &Lake) -> Result<()> {
        let name = TableName { schema: prediction.target_schema.clone(), table: prediction.target_name.clone() };
        if let Some(relation) = lake.find(&name)
            && let Some(commit) = lake.commit_of(&relation, &prediction.query_id, prediction.before).await?
        {
            let target =
                TableAt { schema: name.schema, name: name.table, id: relation.id.clone(), version: commit.version };
            tracing::info!(query.id = prediction.query_id, "recording the lineage of a statement of the last server");
            let rows = prediction.rows(&target, commit.timestamp);
            registry.transact(move |_| Ok((rows.clone(), ()))).await?;
        }
        self.forget(&prediction.query_id).await;
        Ok(())
    }

    /// By a hash, since a client may have had a say in the id.
    fn path(&self, query_id: &str) -> PathBuf {
        self.dir.join(format!("{}.json", sha256_hex(query_id.as_bytes())))
    }

    /// Says that a statement is about to commit; durable when this returns.
    pub async fn begin(&self, prediction: &Prediction) -> Result<()> {
        let text = serde_json::to_vec(prediction).map_err(std::io::Error::from)?;
        let (disk, path, temporary) = (Arc::clone(&self.disk), self.path(&prediction.query_id), self.temporary.clone());
        blocking(move || replace(disk.as_ref(), &path, &temporary, &text).map_err(|error| named(error, &path))).await
    }

    /// Records the lineage of a statement that has committed. Where that fails, the next start does it.
    pub async fn committed(&self, registry: &Registry, prediction: &Prediction, target: &TableAt) {
        let rows = prediction.rows(target, chrono::Utc::now());
        match registry.transact(move |_| Ok((rows.clone(), ()))).await {
            Ok(()) => self.forget(&prediction.query_id).await,
            Err(error) => tracing::warn!(
                query.id = prediction.query_id,
                %error,
                "the lineage of a statement will be recorded at the next start"
            ),
        }
    }

    /// Forgets a statement whose lineage is recorded, or which has not committed.
    pub async fn forget(&self, query_id: &str) {
        let (disk, path) = (Arc::clone(&self.disk), self.path(query_id));
        let shown = query_id.to_string();
        let removed = blocking(move || disk.remove_file(&path).map_err(|error| named(error, &path))).await;
        if let Err(error) = removed {
            // Recording it a second time changes nothing.
            tracing::warn!(query.id = shown, %error, "a recorded lineage will be looked at again at the next start");
        }
    }
}

/// The predictions that were left; what cannot be read was not finished, so its statement had not committed.
fn left_over(dir: &Path) -> Result<Vec<Prediction>> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| named(error, dir))? {
        let path = entry.map_err(|error| named(error, dir))?.path();
        let text = std::fs::read(&path).map_err(|error| named(error, &path))?;
        match serde_json::from_slice(&text) {
            Ok(prediction) => left.push(prediction),
            Err(error) => tracing::warn!(path = %path.display(), %error, "a file in `lineage` is not one of Limn's"),
        }
    }
    Ok(left)
}
