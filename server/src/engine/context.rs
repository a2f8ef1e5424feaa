//! The context in which every statement runs: who, in which session, until when, on which snapshots.
//!
//! It exists before the first line of a statement is parsed and lives as long as its result stream. It knows nothing
//! of protocols.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::memory::MemoryUse;
use super::session::Session;
use super::settings::STATEMENT_TIMEOUT;
use crate::lake::Relation;
use crate::lake::types::WireTypes;
use crate::limits::duration;
pub use crate::training::Progress;
use crate::{Error, Result};

/// Who runs a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal(pub String);

impl Principal {
    /// The one principal of a server without users.
    pub fn anonymous() -> Self {
        Principal("anonymous".into())
    }

    /// A tool of the server's own machine, with the secret of its data directory. No user can have the name.
    pub fn operator() -> Self {
        Principal("local".into())
    }

    /// Whether it may stop a statement of `other`.
    ///
    /// Until there are roles, everybody stops their own and whoever runs the machine stops any.
    pub fn may_stop(&self, other: &Principal) -> bool {
        self == other || *self == Principal::operator()
    }
}

/// The versions that a statement reads, fixed at first sight: one statement sees each table and model at one version.
#[derive(Debug, Clone, Default)]
pub struct Snapshots {
    tables: Arc<Mutex<BTreeMap<String, u64>>>,
    models: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Snapshots {
    /// The same snapshots as lists, for a ticket.
    pub fn to_lists(&self) -> (Vec<(String, u64)>, Vec<(String, u64)>) {
        let list = |map: &Mutex<BTreeMap<String, u64>>| {
            lock(map).iter().map(|(name, version)| (name.clone(), *version)).collect()
        };
        (list(&self.tables), list(&self.models))
    }

    /// Snapshots that a ticket brought back.
    pub fn from_lists(tables: Vec<(String, u64)>, models: Vec<(String, u64)>) -> Self {
        Snapshots {
            tables: Arc::new(Mutex::new(tables.into_iter().collect())),
            models: Arc::new(Mutex::new(models.into_iter().collect())),
        }
    }

    /// The version of the table with this id, where it was fixed before.
    pub fn table(&self, table_id: &str) -> Option<u64> {
        lock(&self.tables).get(table_id).copied()
    }

    /// Fixes the version of a table; an earlier fixing wins and is returned.
    pub fn fix_table(&self, table_id: &str, version: u64) -> u64 {
        *lock(&self.tables).entry(table_id.to_string()).or_insert(version)
    }

    /// The version that a model reference (`name@alias`) was resolved to before.
    pub fn model(&self, reference: &str) -> Option<u64> {
        lock(&self.models).get(reference).copied()
    }

    /// Fixes what a model reference means; an earlier fixing wins and is returned.
    pub fn fix_model(&self, reference: &str, version: u64) -> u64 {
        *lock(&self.models).entry(reference.to_string()).or_insert(version)
    }
}

/// The maps hold plain values and no code panics while it holds them, so a poisoned lock is still whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table versions that a statement has read, by all its scopes and attempts.
#[derive(Debug, Clone, Default)]
pub struct VersionsRead(Arc<Mutex<Vec<(Arc<Relation>, u64)>>>);

impl VersionsRead {
    /// Notes one.
    pub fn note(&self, relation: &Arc<Relation>, version: u64) {
        let mut all = lock(&self.0);
        if !all.iter().any(|(known, at)| known.id == relation.id && *at == version) {
            all.push((Arc::clone(relation), version));
        }
    }

    /// All of them.
    pub fn to_list(&self) -> Vec<(Arc<Relation>, u64)> {
        lock(&self.0).clone()
    }
}

/// Everything a statement knows besides its text and parameters.
#[derive(Debug, Clone)]
pub struct StatementContext {
    /// Who runs it.
    pub principal: Principal,
    /// The session: catalog, schema, settings.
    pub session: Arc<Session>,
    /// The statement's id, 32 hex digits.
    pub query_id: String,
    /// When it must be done.
    pub deadline: Option<Instant>,
    /// Told when the client cancels or goes away.
    pub cancel: CancellationToken,
    /// The versions that it reads.
    pub snapshots: Snapshots,
    /// Those that it has read.
    pub read: VersionsRead,
    /// What the client calls itself.
    pub client: Option<Arc<str>>,
    /// What it has reserved of the memory pool.
    pub memory: Arc<MemoryUse>,
    /// How far it is, where it says so.
    pub progress: Progress,
    /// The types that its client reads.
    pub wire_types: WireTypes,
}

impl StatementContext {
    /// A context for a new statement of `session`.
    pub fn new(principal: Principal, session: Arc<Session>) -> Self {
        StatementContext {
            principal,
            wire_types: session.wire_types(),
            session,
            query_id: uuid::Uuid::new_v4().simple().to_string(),
            deadline: None,
            cancel: CancellationToken::new(),
            snapshots: Snapshots::default(),
            read: VersionsRead::default(),
            client: None,
            memory: Arc::default(),
            progress: Progress::default(),
        }
    }

    /// The same context, ending no later than the session's `statement_timeout` allows, or else `default`; zero is any
    /// time.
    #[must_use]
    pub fn with_timeout(mut self, default: Duration) -> Self {
        let own = self.session.setting(STATEMENT_TIMEOUT).and_then(|text| duration(&text));
        let timeout = own.unwrap_or(default);
        if !timeout.is_zero() {
            let ends = Instant::now() + timeout;
            self.deadline = Some(self.deadline.map_or(ends, |deadline| deadline.min(ends)));
        }
        self
    }

    /// An error where the statement was cancelled or its deadline has passed.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::cancelled("the statement was cancelled"));
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => {
                Err(Error::deadline_exceeded("the statement's deadline passed"))
            }
            _ => Ok(()),
        }
    }

    /// Waits for `work`, but no longer than the statement may run; dropping `work` stops it.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let deadline = async {
            match self.deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Error::cancelled("the statement was cancelled")),
            () = deadline => Err(Error::deadline_exceeded("the statement's deadline passed")),
            done = work => done,
        }
    }
}
