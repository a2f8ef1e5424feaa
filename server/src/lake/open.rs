//! An open lake: what its parts share, its background work, and what a crash left behind.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use object_store::ObjectStoreExt;
use tokio::runtime::Handle;

use super::catalog::Catalog;
use super::directory::DataDirectory;
use super::disk::Disk;
use super::maintenance::CareRecord;
use super::relations::is_id;
use super::store::Store;
use super::table::{States, Table};
use super::temporary::is_temporary;
use super::upkeep::Upkeep;
use super::{Pins, Relation, RelationKind};
use crate::limits::{CHECKPOINT_INTERVAL_COMMITS, COMPACTION_INTERVAL_COMMITS, SHARED_SWEEP_AGE};
use crate::{Error, Result};

/// The lake of one data directory. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    directory: DataDirectory,
    disk: Arc<dyn Disk>,
    store: Store,
    catalog: Arc<Catalog>,
    states: Arc<States>,
    /// The tables of the catalog that were used, and the system tables; one entry each, gone with the table.
    tables: Mutex<HashMap<String, Arc<Table>>>,
    /// Ids of tables whose files are there and whose names are not yet.
    creating: Mutex<HashSet<String>>,
    /// Ids of the temporary tables that somebody has.
    temporary: Mutex<HashSet<String>>,
    pins: RwLock<Option<Arc<dyn Pins>>>,
    upkeep: Upkeep,
    /// With what compactions are planned, once somebody has said so.
    care_state: OnceLock<SessionState>,
    /// Removals that are under way.
    removals: tokio::sync::watch::Sender<usize>,
    /// Kept because tables are also given up where no runtime is current.
    runtime: Handle,
}

impl Lake {
    /// Opens the lake of a data directory; call it inside a tokio runtime.
    pub fn open(directory: DataDirectory, disk: Arc<dyn Disk>) -> Result<Lake> {
        let runtime = Handle::try_current().map_err(|error| Error::internal(error.to_string()))?;
        let catalog = Arc::new(Catalog::open(&directory, disk.clone())?);
        let is_shared = directory.member().is_some();
        let store = Store::new(directory.path(), directory.temporary(), disk.clone(), is_shared)?;
        Ok(Lake {
            inner: Arc::new(Inner {
                directory,
                disk,
                store,
                catalog,
                states: Arc::default(),
                tables: Mutex::default(),
                creating: Mutex::default(),
                temporary: Mutex::default(),
                pins: RwLock::default(),
                upkeep: Upkeep::start(&runtime),
                care_state: OnceLock::new(),
                removals: tokio::sync::watch::Sender::new(0),
                runtime,
            }),
        })
    }

    /// The data directory.
    pub fn directory(&self) -> &DataDirectory {
        &self.inner.directory
    }

    /// Who says which versions must stay readable.
    pub fn set_pins(&self, pins: Arc<dyn Pins>) {
        *self.inner.pins.write().unwrap_or_else(PoisonError::into_inner) = Some(pins);
    }

    /// Makes the lake's store known to an environment that is going to scan its tables.
    pub fn register_stores(&self, env: &RuntimeEnv) {
        env.register_object_store(self.inner.store.url(), Arc::new(self.inner.store.clone()));
    }

    /// Reads what servers that share the lake changed since.
    pub async fn refresh(&self) -> Result<()> {
        if self.catalog().refresh().await? {
            // Only what has a name is kept.
            let names = self.catalog().names();
            let known: HashSet<&str> =
                names.schemas.values().flat_map(|relations| relations.values()).map(|r| r.id.as_str()).collect();
            let mut tables = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner);
            tables.retain(|id, table| table.is_system() || is_temporary(id) || known.contains(id.as_str()));
        }
        Ok(())
    }

    /// Removes the directories of tables that a crash left without a name, unless a version of them is pinned; call it
    /// once the pins are set.
    pub async fn sweep(&self) -> Result<()> {
        self.catalog().settled().await?;
        let names = self.catalog().names();
        let known: HashSet<&str> =
            names.schemas.values().flat_map(|relations| relations.values()).map(|r| r.id.as_str()).collect();
        for entry in std::fs::read_dir(self.inner.directory.path().join("tables"))? {
            let entry = entry?;
            // Another server may be about to give it a name.
            if self.inner.directory.member().is_some() && !is_older(&entry.path(), SHARED_SWEEP_AGE) {
                continue;
            }
            let name = entry.file_name();
            let Some(id) = name.to_str().filter(|name| is_id(name)) else { continue };
            if !known.contains(id) && !self.is_creating(id) && !self.is_pinned(id) {
                tracing::info!(table.id = id, "removing a table without a name");
                self.remove(id.to_string(), None);
            }
        }
        Ok(())
    }

    /// Small files are put together from now on, by plans of this session; the first to say so stays.
    pub fn set_care(&self, state: SessionState) {
        let _ = self.inner.care_state.set(state);
    }

    pub(super) fn care_state(&self) -> Option<SessionState> {
        self.inner.care_state.get().cloned()
    }

    /// What background care did, and does.
    pub fn maintenance(&self) -> Vec<CareRecord> {
        self.inner.upkeep.record().all()
    }

    /// Begins no compaction any more.
    pub fn end_care(&self) {
        self.inner.upkeep.close();
    }

    /// The relation whose table lies at a path of the data directory, or of the machine.
    pub(super) fn relation_at(&self, path: &str) -> Option<Arc<Relation>> {
        let names = self.catalog().names();
        let mut all = names.schemas.values().flat_map(|relations| relations.values());
        let found = match path.strip_prefix("tables/") {
            Some(id) => all.find(|relation| relation.id == id),
            None => all.find(|relation| relation.location.as_ref().is_some_and(|at| at.display().to_string() == path)),
        };
        found.cloned()
    }

    /// Waits until background work (checkpoints, removals) has nothing left to do.
    pub async fn settle(&self) {
        self.inner.upkeep.settle().await;
        // The sender is in `self`, so the wait ends with a count of none.
        let _ = self.inner.removals.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Where a table's files are, as a path of the machine.
    pub(super) fn location(&self, relation: &Relation) -> String {
        let inside = || self.inner.directory.path().join(self.table_path(&relation.id));
        relation.location.clone().unwrap_or_else(inside).display().to_string()
    }

    /// The store of all files.
    pub(super) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Removes a directory of unfinished files behind the caller.
    pub(super) fn remove_unfinished(&self, path: String) {
        let (inner, done) = (self.inner.clone(), self.begin_removal());
        self.inner.runtime.spawn_blocking(move || {
            let _done = done;
            if let Err(error) = remove_directory(inner.disk.as_ref(), inner.directory.path().join(&path)) {
                tracing::warn!(path, %error, "unfinished files stay until the next start");
            }
        });
    }

    /// Removes files that no commit names, behind the caller.
    pub(super) fn remove_files(&self, files: Vec<object_store::path::Path>) {
        let (store, done) = (self.inner.store.clone(), self.begin_removal());
        self.inner.runtime.spawn(async move {
            let _done = done;
            for file in files {
                if let Err(error) = store.delete(&file).await {
                    tracing::debug!(path = %file, %error, "a file that no commit names stays");
                }
            }
        });
    }

    pub(super) fn catalog(&self) -> &Arc<Catalog> {
        &self.inner.catalog
    }

    /// The table of a relation.
    pub(super) fn table(&self, relation: &Relation) -> Result<Arc<Table>> {
        if let RelationKind::View { .. } = relation.kind {
            return Err(Error::input(format!("`{}` is a view, expected a table", relation.name)));
        }
        // Only what has a name is kept, so that the map is no longer than the catalog.
        let keep = self.still_there(relation).is_ok();
        if let Some(location) = &relation.location {
            return self.table_outside(relation, location, keep);
        }
        self.table_at(&relation.id, self.table_path(&relation.id), keep)
    }

    /// A table outside of the data directory, the same one for everybody where it is kept.
    fn table_outside(&self, relation: &Relation, location: &FilePath, keep: bool) -> Result<Arc<Table>> {
        let mut tables = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(&relation.id) {
            return Ok(table.clone());
        }
        let missing = |error: Error| error.context(format!("`{}` at `{}`", relation.name, location.display()));
        let store = Store::new(location, location.join(UNFINISHED), self.inner.disk.clone(), true).map_err(missing)?;
        let table = Table::outside(&store, self.inner.states.clone(), location.display().to_string());
        // Others write there too, so what was known of the place before may be another table's.
        table.forget();
        let table = Arc::new(table);
        if keep {
            tables.insert(relation.id.clone(), table.clone());
        }
        Ok(table)
    }

    /// Makes the directory of a table outside of the data directory.
    pub(super) fn make_directory(&self, location: &FilePath) -> Result<()> {
        let made = self.inner.disk.create_dir_all(location);
        made.map_err(|error| Error::from(error).context(format!("`{}`", location.display())))
    }

    /// The table at a path of the data directory, the same one for everybody where it is kept.
    pub(super) fn table_at(&self, id: &str, path: String, keep: bool) -> Result<Arc<Table>> {
        let mut tables = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(id) {
            return Ok(table.clone());
        }
        let table = Arc::new(Table::new(&self.inner.store, self.inner.states.clone(), path)?);
        if keep {
            tables.insert(id.to_string(), table.clone());
        }
        Ok(table)
    }

    /// A directory for unfinished files, below the data directory.
    pub(super) fn unfinished(&self, name: &str) -> String {
        match self.inner.directory.member() {
            None => format!("tmp/{name}"),
            Some(member) => format!("tmp/{}/{name}", member.id()),
        }
    }

    /// Where a table lies below the data directory.
    fn table_path(&self, id: &str) -> String {
        match is_temporary(id) {
            true => self.unfinished(id),
            false => format!("tables/{id}"),
        }
    }

    /// Fails where the relation's name is gone or is another relation's.
    pub(super) fn still_there(&self, relation: &Relation) -> Result<()> {
        if self.inner.temporary.lock().unwrap_or_else(PoisonError::into_inner).contains(&relation.id) {
            return Ok(());
        }
        match self.find(&relation.name) {
            Some(found) if found.id == relation.id => Ok(()),
            _ => Err(Error::not_found(format!("table `{}` was dropped", relation.name))),
        }
    }

    /// A temporary table begins.
    pub(super) fn begin_temporary(&self, id: &str) {
        self.inner.temporary.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_string());
    }

    /// A temporary table has lost its last user, and goes.
    pub(super) fn end_temporary(&self, relation: &Relation) {
        self.inner.temporary.lock().unwrap_or_else(PoisonError::into_inner).remove(&relation.id);
        self.discard(relation);
    }

    /// A commit made `version`; care is asked for every so many.
    pub(super) fn committed(&self, table: &Arc<Table>, version: u64) {
        if (version + 1).is_multiple_of(CHECKPOINT_INTERVAL_COMMITS) {
            self.inner.upkeep.checkpoint(self, table, version);
        }
        if (version + 1).is_multiple_of(COMPACTION_INTERVAL_COMMITS) && !table.is_system() {
            self.inner.upkeep.compaction(self, table, version);
        }
    }

    /// Removes the files of a relation that has no name any more, unless a version of it is pinned.
    pub(super) fn discard(&self, relation: &Relation) {
        if let RelationKind::View { .. } = relation.kind {
            return;
        }
        if relation.location.is_some() {
            let table = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner).remove(&relation.id);
            if let Some(table) = table {
                table.forget();
            }
            return;
        }
        let table = self.inner.tables.lock().unwrap_or_else(PoisonError::into_inner).remove(&relation.id);
        match self.is_pinned(&relation.id) {
            true => tracing::info!(table.id = %relation.id, "a dropped table stays on disk: versions of it are pinned"),
            false => self.remove(relation.id.clone(), table),
        }
    }

    /// Removes a table's directory behind the caller, after the writers that have begun.
    fn remove(&self, id: String, table: Option<Arc<Table>>) {
        let (inner, path) = (self.inner.clone(), self.inner.directory.path().join(self.table_path(&id)));
        let done = self.begin_removal();
        self.inner.runtime.spawn(async move {
            let _done = done;
            let _alone = match &table {
                Some(table) => Some(table.lane().exclusive().await),
                None => None,
            };
            if let Some(table) = &table {
                table.forget();
            }
            let disk = inner.disk.clone();
            let removed = tokio::task::spawn_blocking(move || remove_directory(disk.as_ref(), path)).await;
            match removed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(table.id = %id, %error, "a table's files stay until the next start"),
                Err(error) => tracing::warn!(table.id = %id, %error, "a table's files stay until the next start"),
            }
        });
    }

    /// Counts a removal, for [`Lake::settle`].
    fn begin_removal(&self) -> Removal {
        self.inner.removals.send_modify(|count| *count += 1);
        Removal(self.inner.removals.clone())
    }

    /// The creation of a table has ended, with a name or without.
    fn created(&self, relation: &Relation) {
        self.inner.creating.lock().unwrap_or_else(PoisonError::into_inner).remove(&relation.id);
    }

    fn is_creating(&self, id: &str) -> bool {
        self.inner.creating.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Who needs which version of a table.
    pub(super) fn pinned_by(&self, id: &str) -> Vec<(u64, String)> {
        let pins = self.inner.pins.read().unwrap_or_else(PoisonError::into_inner);
        pins.as_ref().map(|pins| pins.pinned_by(id)).unwrap_or_default()
    }

    fn is_pinned(&self, id: &str) -> bool {
        let pins = self.inner.pins.read().unwrap_or_else(PoisonError::into_inner);
        pins.as_ref().is_some_and(|pins| !pins.pinned(id).is_empty())
    }
}

/// Where a table outside of the data directory has its unfinished files; readers of Delta pass over the name.
const UNFINISHED: &str = "_limn";

/// Whether nothing was put into a directory for that long, by this machine's clock.
fn is_older(path: &FilePath, age: Duration) -> bool {
    let modified = std::fs::metadata(path).and_then(|entry| entry.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > age))
}

fn remove_directory(disk: &dyn Disk, path: PathBuf) -> io::Result<()> {
    match disk.remove_dir_all(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    }
    match path.parent() {
        Some(parent) => disk.sync_dir(parent),
        None => Ok(()),
    }
}

/// Counts a removal until it has ended, however it ends.
struct Removal(tokio::sync::watch::Sender<usize>);

impl Drop for Removal {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A table that is being created: its files go where it does not get its name.
pub(super) struct Creating {
    lake: Lake,
    relation: Arc<Relation>,
    done: bool,
}

impl Creating {
    pub fn new(lake: &Lake, relation: Arc<Relation>) -> Self {
        lake.inner.creating.lock().unwrap_or_else(PoisonError::into_inner).insert(relation.id.clone());
        Creating { lake: lake.clone(), relation, done: false }
    }

    /// The table has its name.
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Creating {
    fn drop(&mut self) {
        if self.done {
            self.lake.created(&self.relation);
            return;
        }
        let (lake, relation) = (self.lake.clone(), self.relation.clone());
        let done = lake.begin_removal();
        self.lake.inner.runtime.spawn(async move {
            let _done = done;
            // While the catalog's file may have the name, the files stay; the next start knows.
            if lake.catalog().settled().await.is_ok() && lake.still_there(&relation).is_err() {
                lake.discard(&relation);
            }
            lake.created(&relation);
        });
    }
}
