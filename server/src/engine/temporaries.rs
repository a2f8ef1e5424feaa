//! The temporary tables of one session, by name. They go with the session, or when they are dropped.
//!
//! In their session they stand before a table of the same name in the current schema. They know nothing of sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::lake::{Relation, TemporaryTable};
use crate::limits::TEMPORARY_TABLES_MAX;
use crate::{Error, Result};

/// Temporary tables by name.
#[derive(Debug, Default)]
pub struct Temporaries {
    tables: RwLock<BTreeMap<String, Arc<TemporaryTable>>>,
}

impl Temporaries {
    /// The table of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Relation>> {
        self.read().get(name).map(|table| Arc::clone(table.relation()))
    }

    /// All of them, in order.
    pub fn list(&self) -> Vec<Arc<Relation>> {
        self.read().values().map(|table| Arc::clone(table.relation())).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Gives a table its name; `AlreadyExists` where it is taken and not to be replaced.
    pub fn put(&self, table: TemporaryTable, replace: bool) -> Result<()> {
        let name = table.relation().name.table.clone();
        // The table that goes is dropped after the lock.
        let _replaced = {
            let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
            match tables.contains_key(&name) {
                true if !replace => {
                    return Err(Error::already_exists(format!("temporary table `{name}` already exists")));
                }
                false if tables.len() >= TEMPORARY_TABLES_MAX => {
                    let text = format!("the session has {TEMPORARY_TABLES_MAX} temporary tables, and takes no more");
                    return Err(Error::exhausted(text).with_hint("drop those that are not needed"));
                }
                _ => tables.insert(name, Arc::new(table)),
            }
        };
        Ok(())
    }

    /// Drops the table of that name; `false` where there is none.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.tables.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        removed.is_some()
    }

    /// Drops all.
    pub fn clear(&self) {
        let _all = std::mem::take(&mut *self.tables.write().unwrap_or_else(PoisonError::into_inner));
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<TemporaryTable>>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }
}
