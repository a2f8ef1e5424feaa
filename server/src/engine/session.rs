//! A session: the current schema and the settings that outlive a statement.
//!
//! The edges decide which requests share one. It knows nothing of tokens or cookies.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::temporaries::Temporaries;

/// The catalog that Limn serves.
pub const CATALOG: &str = "lake";
/// The schema of a new session.
pub const DEFAULT_SCHEMA: &str = "main";

/// What a session remembers.
#[derive(Debug)]
pub struct Session {
    /// The session's id, 32 hex digits.
    pub id: String,
    /// Its temporary tables.
    pub temporaries: Arc<Temporaries>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    schema: String,
    settings: BTreeMap<String, String>,
}

impl Session {
    /// A new session on the default schema.
    pub fn new() -> Self {
        Session {
            id: uuid::Uuid::new_v4().simple().to_string(),
            temporaries: Arc::default(),
            state: RwLock::new(State { schema: DEFAULT_SCHEMA.into(), settings: BTreeMap::new() }),
        }
    }

    /// The schema in which unqualified names are looked up.
    pub fn schema(&self) -> String {
        self.read().schema.clone()
    }

    /// Makes `schema` current; the caller has checked that it exists.
    pub fn set_schema(&self, schema: &str) {
        self.write().schema = schema.to_string();
    }

    /// A setting's value.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.read().settings.get(name).cloned()
    }

    /// All settings that differ from their defaults.
    pub fn settings(&self) -> BTreeMap<String, String> {
        self.read().settings.clone()
    }

    /// Sets a setting (the caller has checked name and value), or unsets it with `None`.
    pub fn set(&self, name: &str, value: Option<String>) {
        let mut state = self.write();
        match value {
            Some(value) => state.settings.insert(name.to_string(), value),
            None => state.settings.remove(name),
        };
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}
