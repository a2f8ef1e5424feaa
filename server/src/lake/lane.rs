//! Who may write to a table when: appends together, rewrites alone, commits one after the other.
//!
//! A rewrite holds the lane from the snapshot that it reads to its commit, so nothing that it read changes under it.
//! Appends hold it together and write their files side by side; only their commits take turns, so that none of them
//! loses a race for a version number. Other processes are the log store's business.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The lane of one table. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    writers: Arc<RwLock<()>>,
    turn: Arc<Mutex<()>>,
}

/// Held while a statement writes.
#[derive(Debug)]
pub enum Way {
    /// Beside other appends; the guard is held for its drop.
    Shared(OwnedRwLockReadGuard<()>),
    /// Alone; the guard is held for its drop.
    Exclusive(OwnedRwLockWriteGuard<()>),
}

impl Lane {
    /// Waits until no rewrite is under way.
    pub async fn shared(&self) -> Way {
        Way::Shared(self.writers.clone().read_owned().await)
    }

    /// Waits until nobody writes.
    pub async fn exclusive(&self) -> Way {
        Way::Exclusive(self.writers.clone().write_owned().await)
    }

    /// Waits for the turn to commit; first come, first served.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }
}
