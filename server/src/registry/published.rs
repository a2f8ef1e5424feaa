//! What readers see: the durable current rows, and the row versions that are not yet in the Delta tables.
//!
//! The log's writer publishes transactions here once they are synced, the folder takes away what it has folded. One
//! lock covers both, so that a reader who takes a copy of the tail and of the watermark has one consistent cut.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;

use super::frame::Group;
use super::index::Index;
use super::tables::SystemTable;
use super::version::{Stamp, Version};
use crate::limits::REGISTRY_FOLD_ROWS;

/// See the module.
#[derive(Debug)]
pub struct Published {
    state: RwLock<State>,
    /// Told when enough row versions wait to be folded.
    pub fold_due: Notify,
}

/// The rows that are durable.
#[derive(Debug)]
pub struct State {
    /// The current rows.
    pub index: Index,
    /// The first transaction.
    pub first: Option<Stamp>,
    tables: [Tail; SystemTable::ALL.len()],
}

/// What of one table is only in the log.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// Row versions up to this sequence number are in the Delta table.
    pub folded: u64,
    /// The row versions after it, in order.
    pub versions: Vec<Arc<Version>>,
}

impl State {
    /// A registry with these folded rows; `folded` by table.
    pub fn new(index: Index, first: Option<Stamp>, folded: [u64; SystemTable::ALL.len()]) -> Self {
        State { index, first, tables: folded.map(|folded| Tail { folded, versions: Vec::new() }) }
    }

    /// What of `table` is only in the log.
    pub fn tail(&self, table: SystemTable) -> &Tail {
        &self.tables[table.ordinal()]
    }

    /// Row versions that are only in the log.
    pub fn unfolded_rows(&self) -> u64 {
        self.tables.iter().map(|tail| tail.versions.len() as u64).sum()
    }

    /// Takes in a transaction. Row versions that a table has folded already are in the index, too.
    pub fn apply(&mut self, group: &Group) {
        self.first.get_or_insert(group.stamp);
        self.index.advance(group.stamp);
        for version in &group.versions {
            let tail = &mut self.tables[version.record.table().ordinal()];
            if version.stamp.seq > tail.folded {
                self.index.apply(version);
                tail.versions.push(version.clone());
            }
        }
    }
}

impl Published {
    /// Publishes what was there at the start.
    pub fn new(state: State) -> Self {
        Published { state: RwLock::new(state), fold_due: Notify::new() }
    }

    /// The durable rows; the guard blocks writers.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        // Nothing that can panic runs under the write lock, so a poisoned one is still whole.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last durable transaction.
    pub fn last(&self) -> Stamp {
        self.read().index.last()
    }

    /// Shows durable transactions to readers.
    pub fn publish(&self, groups: Vec<Group>) {
        let mut state = self.write();
        groups.iter().for_each(|group| state.apply(group));
        if state.unfolded_rows() >= REGISTRY_FOLD_ROWS {
            self.fold_due.notify_one();
        }
    }

    /// Forgets the tail of `table` up to `through`, which the Delta table now has.
    pub fn folded(&self, table: SystemTable, through: u64) {
        let mut state = self.write();
        let tail = &mut state.tables[table.ordinal()];
        tail.folded = tail.folded.max(through);
        let kept = tail.versions.partition_point(|version| version.stamp.seq <= tail.folded);
        tail.versions.drain(..kept);
    }
}
