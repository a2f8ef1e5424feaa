//! A session: the current schema and the settings that outlive a statement.
//!
//! The edges decide which requests share one. It knows nothing of tokens or cookies.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use super::context::Principal;
use super::settings::WIRE_TYPES;
use super::temporaries::Temporaries;
use crate::lake::types::WireTypes;

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
    /// When it was made.
    pub created_at: DateTime<Utc>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    schema: String,
    settings: BTreeMap<String, String>,
    last_use: LastUse,
    awaited: bool,
}

/// Who used a session last.
#[derive(Debug, Clone)]
pub struct LastUse {
    /// When; its making, where no statement ran in it.
    pub at: DateTime<Utc>,
    /// Who.
    pub principal: Option<String>,
    /// What the client calls itself.
    pub client: Option<String>,
}

impl Session {
    /// A new session on the default schema.
    pub fn new() -> Self {
        let created_at = Utc::now();
        let state = State {
            schema: DEFAULT_SCHEMA.into(),
            settings: BTreeMap::new(),
            last_use: LastUse { at: created_at, principal: None, client: None },
            awaited: false,
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        Session { id, temporaries: Arc::default(), created_at, state: RwLock::new(state) }
    }

    /// Notes that a statement of `principal` runs in it.
    pub fn used_by(&self, principal: &Principal, client: Option<&str>) {
        self.write().last_use =
            LastUse { at: Utc::now(), principal: Some(principal.0.clone()), client: client.map(str::to_string) };
    }

    /// Who used it last.
    pub fn last_use(&self) -> LastUse {
        self.read().last_use.clone()
    }

    /// The schema in which unqualified names are looked up.
    pub fn schema(&self) -> String {
        self.read().schema.clone()
    }

    /// Makes `schema` current; the caller has checked that it exists.
    pub fn set_schema(&self, schema: &str) {
        self.write().schema = schema.to_string();
    }

    /// Says whether a statement goes on in it after its client's call, and may change it yet.
    pub fn set_awaited(&self, awaited: bool) {
        self.write().awaited = awaited;
    }

    /// Whether one does, so that the session must be there when it ends.
    pub fn is_awaited(&self) -> bool {
        self.read().awaited
    }

    /// A setting's value.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.read().settings.get(name).cloned()
    }

    /// The types that its client wants to be sent.
    pub fn wire_types(&self) -> WireTypes {
        self.setting(WIRE_TYPES).and_then(|text| WireTypes::parse(&text)).unwrap_or_default()
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
