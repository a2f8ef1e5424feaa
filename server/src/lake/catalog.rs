//! The catalog: schemas, tables and views by name, in one file that is replaced whole and durably by each change.
//!
//! Servers that share it make a file for each change instead, see `shared_catalog`.
//! Readers see a snapshot and never wait; changes take turns. A change is visible once the file that has it is on
//! the disk. It knows names and ids, and nothing of what is in a table.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::directory::{self, DataDirectory};
use super::disk::Disk;
use super::shared_catalog::SharedCatalog;
use super::{Relation, RelationKind, TableName};
use crate::{Error, Result};

/// The newest format of the catalog's file. A file is written in the oldest that has all that is in it.
///
/// - 2: tables outside of the data directory.
const FORMAT: u32 = 2;
/// The format without them.
const FORMAT_INSIDE: u32 = 1;
const FILE: &str = "catalog.json";

/// The schema that is always there.
pub const DEFAULT_SCHEMA: &str = "main";

/// All schemas at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    /// Relations by schema and name.
    pub schemas: BTreeMap<String, BTreeMap<String, Arc<Relation>>>,
}

/// The catalog of one data directory.
#[derive(Debug)]
pub struct Catalog {
    pub(super) names: RwLock<Arc<Names>>,
    /// Held across a change, file included: changes take turns.
    turn: Arc<Mutex<()>>,
    /// Set while the file may differ from `names`, because writing it failed half-way.
    suspect: AtomicBool,
    disk: Arc<dyn Disk>,
    path: PathBuf,
    temporary: PathBuf,
    /// Where several servers share it.
    pub(super) shared: Option<SharedCatalog>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    schemas: BTreeMap<String, BTreeMap<String, StoredRelation>>,
}

#[derive(Serialize, Deserialize)]
struct StoredRelation {
    id: String,
    created_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<PathBuf>,
    #[serde(flatten)]
    kind: StoredKind,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum StoredKind {
    Table,
    View { sql: String },
}

impl Catalog {
    /// Reads the catalog, or starts one with the default schema.
    pub fn open(directory: &DataDirectory, disk: Arc<dyn Disk>) -> Result<Self> {
        let path = directory.path().join(FILE);
        let start = || Names { schemas: BTreeMap::from([(DEFAULT_SCHEMA.to_string(), BTreeMap::new())]) };
        let shared = SharedCatalog::open(directory, &disk, start())?;
        let names = match std::fs::read(&path) {
            _ if shared.is_some() => start(),
            Ok(text) => decode(&text).map_err(|error| error.context(format!("`{}`", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => start(),
            Err(error) => return Err(Error::from(error).context(format!("`{}`", path.display()))),
        };
        Ok(Catalog {
            names: RwLock::new(Arc::new(names)),
            turn: Arc::default(),
            suspect: AtomicBool::new(false),
            disk,
            path,
            temporary: directory.temporary(),
            shared,
        })
    }

    /// The catalog as it is now.
    pub fn names(&self) -> Arc<Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the catalog. `change` edits a copy; `Ok(None)` leaves everything as it is. On an error nothing changed.
    /// Where another server was first, `change` is asked again.
    ///
    /// Dropping the future does not undo a change whose file is being written.
    pub async fn change<T>(
        self: &Arc<Self>,
        mut change: impl FnMut(&mut Names) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let turn = self.turn.clone().lock_owned().await;
        if let Some(shared) = &self.shared {
            return self.change_shared(shared, turn, change).await;
        }
        let turn = self.repair(turn).await?;
        let mut after = self.names().as_ref().clone();
        let Some(outcome) = change(&mut after)? else { return Ok(None) };
        let this = self.clone();
        // A task of its own, which keeps the turn: half-way is no place to stop.
        whole(async move { this.replace(after, turn).await }).await?;
        Ok(Some(outcome))
    }

    /// Fails while the catalog's file may say something else than memory does; a statement that is going to be
    /// answered asks first.
    pub async fn settled(self: &Arc<Self>) -> Result<()> {
        if self.is_settled() {
            return Ok(());
        }
        let turn = self.turn.clone().lock_owned().await;
        self.repair(turn).await.map(drop)
    }

    /// Whether the file is known to say what memory says.
    fn is_settled(&self) -> bool {
        !self.suspect.load(Ordering::Acquire)
    }

    async fn replace(self: Arc<Self>, after: Names, turn: OwnedMutexGuard<()>) -> Result<()> {
        self.suspect.store(true, Ordering::Release);
        match self.write(&after).await {
            Ok(()) => {
                *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(after);
                self.suspect.store(false, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                // The file may have the change all the same (the rename done, its sync not). Whoever was told that
                // the change failed must not find it after a restart, so put the old content back now or, where that
                // fails too, before anything else is answered.
                if let Err(again) = self.repair(turn).await {
                    tracing::error!(error = %again, "the catalog's file cannot be written");
                }
                Err(error.context("the catalog cannot be written"))
            }
        }
    }

    /// Writes what memory has, where the file may have something else.
    async fn repair(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> Result<OwnedMutexGuard<()>> {
        if self.is_settled() {
            return Ok(turn);
        }
        let this = self.clone();
        whole(async move {
            this.write(&this.names())
                .await
                .map_err(|error| Error::unavailable(format!("the catalog cannot be written: {}", error.message())))?;
            this.suspect.store(false, Ordering::Release);
            Ok(turn)
        })
        .await
    }

    async fn write(&self, names: &Names) -> Result<()> {
        let text = encode(names)?;
        let (disk, path, temporary) = (self.disk.clone(), self.path.clone(), self.temporary.clone());
        let written =
            tokio::task::spawn_blocking(move || directory::replace(disk.as_ref(), &path, &temporary, &text)).await;
        written.map_err(|error| Error::internal(error.to_string()))?.map_err(Error::from)
    }
}

/// Runs work to its end, whoever stops waiting.
pub(super) async fn whole<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.map_err(|error| Error::internal(format!("the catalog: {error}")))?
}

pub(super) fn encode(names: &Names) -> Result<Vec<u8>> {
    let relation = |relation: &Arc<Relation>| StoredRelation {
        id: relation.id.clone(),
        created_at: relation.created_at,
        location: relation.location.clone(),
        kind: match &relation.kind {
            RelationKind::Table => StoredKind::Table,
            RelationKind::View { sql } => StoredKind::View { sql: sql.clone() },
        },
    };
    let schemas = names.schemas.iter().map(|(schema, relations)| {
        let relations = relations.iter().map(|(name, r)| (name.clone(), relation(r))).collect();
        (schema.clone(), relations)
    });
    let outside = names.schemas.values().flat_map(BTreeMap::values).any(|relation| relation.location.is_some());
    let format = if outside { FORMAT } else { FORMAT_INSIDE };
    let stored = Stored { format, schemas: schemas.collect() };
    serde_json::to_vec_pretty(&stored).map_err(|error| Error::internal(format!("the catalog has no text: {error}")))
}

pub(super) fn decode(text: &[u8]) -> Result<Names> {
    let stored: Stored = serde_json::from_slice(text).map_err(|error| Error::internal(format!("damaged: {error}")))?;
    if stored.format > FORMAT {
        return Err(Error::unsupported(format!("expected format at most {FORMAT}, found {}", stored.format))
            .with_hint("a newer Limn wrote it; use that one or a later one"));
    }
    let schemas = stored.schemas.into_iter().map(|(schema, relations)| {
        let relations = relations.into_iter().map(|(table, stored)| {
            let relation = Relation {
                name: TableName { schema: schema.clone(), table: table.clone() },
                id: stored.id,
                kind: match stored.kind {
                    StoredKind::Table => RelationKind::Table,
                    StoredKind::View { sql } => RelationKind::View { sql },
                },
                created_at: stored.created_at,
                location: stored.location,
            };
            (table, Arc::new(relation))
        });
        let relations = relations.collect();
        (schema, relations)
    });
    Ok(Names { schemas: schemas.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn names() -> Names {
        let relation = |table: &str, kind| {
            let name = TableName { schema: "größe".into(), table: table.into() };
            (
                table.to_string(),
                Arc::new(Relation { name, id: "0".repeat(32), kind, created_at: DateTime::UNIX_EPOCH, location: None }),
            )
        };
        let view = RelationKind::View { sql: "SELECT \"a\" FROM t".into() };
        let relations = BTreeMap::from([relation("t", RelationKind::Table), relation("v", view)]);
        Names { schemas: BTreeMap::from([("größe".to_string(), relations), ("main".to_string(), BTreeMap::new())]) }
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(decode(&encode(&names()).unwrap()).unwrap(), names());
    }

    #[test]
    fn the_file_of_a_newer_limn_is_refused() {
        let error = decode(br#"{"format": 3, "schemas": {}}"#).unwrap_err();
        assert_eq!(error.class(), Class::Unsupported);
        assert_eq!(error.message(), "expected format at most 2, found 3");
    }

    #[test]
    fn a_file_written_by_hand_is_read() {
        let text = br#"{"format": 1, "schemas": {"main": {"t": {"id": "a", "created_at": "2026-01-02T03:04:05Z",
            "kind": "table"}, "v": {"id": "b", "created_at": "2026-01-02T03:04:05Z", "kind": "view",
            "sql": "SELECT 1"}}}}"#;
        let names = decode(text).unwrap();
        assert_eq!(names.schemas["main"]["t"].id, "a");
        assert_eq!(names.schemas["main"]["v"].kind, RelationKind::View { sql: "SELECT 1".into() });
    }
}
