//! A Delta table of a lake: its log, its lane, and its states at the versions that are in use.
//!
//! States are kept by table and version, a bounded number of them, and the newest is brought up to date by reading
//! only the log's tail. This file does not know what the table is called.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake_core::kernel::Version;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::table::state::DeltaTableState;
use object_store::prefix::PrefixStore;

use super::commit::CommitGate;
use super::history::CommitTimes;
use super::lane::Lane;
use super::log_store::GuardedLogStore;
use super::store::Store;
use crate::limits::{TABLE_STATES_MAX, TABLE_STATES_PER_TABLE_MAX};
use crate::{Error, Result};

/// Where the tables of Limn's own lie.
pub const SYSTEM: &str = "system/";

/// One Delta table, open.
pub struct Table {
    /// Where it lies in the data directory, `tables/<id>` or `system/<name>`, or else in the machine.
    path: String,
    log_store: LogStoreRef,
    lane: Lane,
    states: Arc<States>,
    /// When each version was made, as far as it was asked; they never change.
    pub(super) times: Mutex<CommitTimes>,
}

impl Table {
    /// The table at `path` below the store's root; it need not exist yet.
    pub fn new(store: &Store, states: Arc<States>, path: String) -> Result<Self> {
        let location =
            store.url().join(&format!("{path}/")).map_err(|error| Error::internal(format!("`{path}`: {error}")))?;
        let prefixed = PrefixStore::new(store.clone(), path.as_str());
        let log_store =
            default_logstore(Arc::new(prefixed), Arc::new(store.clone()), &location, &StorageConfig::default());
        Ok(Table { path, log_store, lane: Lane::default(), states, times: Mutex::default() })
    }

    /// The table that is all of a store, at `path` of the machine.
    pub fn outside(store: &Store, states: Arc<States>, path: String) -> Self {
        let (files, location) = (Arc::new(store.clone()), store.url().clone());
        let log_store = default_logstore(files.clone(), files, &location, &StorageConfig::default());
        Table { path, log_store, lane: Lane::default(), states, times: Mutex::default() }
    }

    /// Where it lies in the data directory, or else in the machine.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is one of Limn's own, which is read at its latest version only.
    pub fn is_system(&self) -> bool {
        self.path.starts_with(SYSTEM)
    }

    /// The log, for reading.
    pub fn log_store(&self) -> &LogStoreRef {
        &self.log_store
    }

    /// The log, for one attempt of one statement to write on top of version `base`.
    pub fn guarded(&self, gate: &CommitGate, base: Option<Version>) -> Arc<GuardedLogStore> {
        GuardedLogStore::new(self.log_store.clone(), self.lane(), gate.clone(), base)
    }

    /// The same for an attempt whose commit must be the next version after `base`.
    pub fn guarded_alone(&self, gate: &CommitGate, base: Version) -> Arc<GuardedLogStore> {
        GuardedLogStore::next(self.log_store.clone(), self.lane(), gate.clone(), base)
    }

    /// Who may write when.
    pub fn lane(&self) -> Lane {
        self.lane.clone()
    }

    /// The table as it is now.
    pub async fn latest(&self) -> Result<DeltaTableState> {
        let state = match self.states.newest(&self.path) {
            Some(mut state) => {
                state.update(self.log_store.as_ref(), None).await.map_err(super::error::delta)?;
                state
            }
            None => self.load(None).await?,
        };
        self.states.keep(&self.path, &state);
        Ok(state)
    }

    /// The table at a version that its history has.
    pub async fn at(&self, version: Version) -> Result<DeltaTableState> {
        if let Some(state) = self.cached(version) {
            return Ok(state);
        }
        let state = self.load(Some(version)).await?;
        self.states.keep(&self.path, &state);
        Ok(state)
    }

    /// The table at a version, where it is open at that.
    pub fn cached(&self, version: Version) -> Option<DeltaTableState> {
        self.states.find(&self.path, version)
    }

    /// Forgets every state.
    pub fn forget(&self) {
        self.states.forget(&self.path);
    }

    /// The version that an application transaction recorded last.
    pub async fn transaction_version(&self, state: &DeltaTableState, app_id: &str) -> Result<Option<i64>> {
        state.transaction_version(self.log_store.as_ref(), app_id).await.map_err(super::error::delta)
    }

    async fn load(&self, version: Option<Version>) -> Result<DeltaTableState> {
        DeltaTableState::try_new(self.log_store.as_ref(), version).await.map_err(super::error::delta)
    }
}

/// Open states by table and version; what was used last stays.
#[derive(Debug, Default)]
pub struct States {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    tables: HashMap<String, HashMap<Version, (u64, DeltaTableState)>>,
    count: usize,
    /// Counts uses; a state's number is that of its last use.
    clock: u64,
}

impl States {
    fn find(&self, path: &str, version: Version) -> Option<DeltaTableState> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let (used, state) = kept.tables.get_mut(path)?.get_mut(&version)?;
        *used = now;
        Some(state.clone())
    }

    fn newest(&self, path: &str) -> Option<DeltaTableState> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = kept.tables.get(path)?;
        versions.iter().max_by_key(|(version, _)| **version).map(|(_, (_, state))| state.clone())
    }

    fn keep(&self, path: &str, state: &DeltaTableState) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let now = kept.clock;
        let versions = kept.tables.entry(path.to_string()).or_default();
        let new = versions.insert(state.version(), (now, state.clone())).is_none();
        let full = versions.len() > TABLE_STATES_PER_TABLE_MAX;
        kept.count += usize::from(new);
        if full {
            kept.evict(Some(path));
        } else if kept.count > TABLE_STATES_MAX {
            kept.evict(None);
        }
    }

    fn forget(&self, path: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = kept.tables.remove(path).map_or(0, |versions| versions.len());
        kept.count -= gone;
    }
}

impl Kept {
    /// Drops the state that was not used for the longest time, of one table or of all.
    fn evict(&mut self, path: Option<&str>) {
        let all = self.tables.iter().filter(|(table, _)| path.is_none_or(|path| path == table.as_str()));
        let oldest = all
            .flat_map(|(table, versions)| versions.iter().map(move |(version, (used, _))| (*used, table, *version)))
            .min()
            .map(|(_, table, version)| (table.clone(), version));
        let Some((table, version)) = oldest else { return };
        if let Some(versions) = self.tables.get_mut(&table) {
            self.count -= usize::from(versions.remove(&version).is_some());
            if versions.is_empty() {
                self.tables.remove(&table);
            }
        }
    }
}
