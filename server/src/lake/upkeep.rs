//! Background care of tables: checkpoints, the log's clean-up, and small files that become larger ones.
//!
//! One task does one thing after the other, on one thread each, behind the commits that make them due; so care takes a
//! bounded part of the machine however many tables there are. Its failures never reach a statement: a commit that
//! landed has succeeded. What it does is on record for `system.maintenance`. Rows are never changed here: a compaction
//! takes the same way to its commit as `OPTIMIZE`.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::Utc;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use super::checkpoint;
use super::maintenance::{Care, Cared, Record};
use super::open::Lake;
use super::table::Table;
use super::{CommitNotes, Relation, TableName};
use crate::limits::{LOG_FILES_KEPT, SYSTEM_LOG_COMMITS_KEPT, UPKEEP_QUEUE_MAX};
use crate::{Error, Result};

/// What turns compaction of a table off.
const AUTO_COMPACT: &str = "delta.autoOptimize.autoCompact";

/// The queue of what is due.
pub struct Upkeep {
    queue: mpsc::Sender<Due>,
    /// How many are queued or under way.
    pending: watch::Sender<usize>,
    /// Tables whose compaction waits in the queue.
    waiting: Arc<Mutex<HashSet<String>>>,
    /// From now on only what keeps reading fast is done.
    closing: Arc<AtomicBool>,
    record: Record,
}

struct Due {
    lake: Lake,
    table: Arc<Table>,
    /// The version that made it due.
    version: u64,
    care: Care,
}

impl Upkeep {
    /// Starts the task; it ends when the queue is dropped.
    pub fn start(runtime: &Handle) -> Self {
        let (queue, due) = mpsc::channel(UPKEEP_QUEUE_MAX);
        let upkeep = Upkeep {
            queue,
            pending: watch::Sender::new(0),
            waiting: Arc::default(),
            closing: Arc::default(),
            record: Record::default(),
        };
        let (pending, waiting) = (upkeep.pending.clone(), Arc::clone(&upkeep.waiting));
        runtime.spawn(run_all(due, pending, waiting, Arc::clone(&upkeep.closing), upkeep.record.clone()));
        upkeep
    }

    /// Asks for a checkpoint of a version. Where too many wait, a later commit asks again.
    pub fn checkpoint(&self, lake: &Lake, table: &Arc<Table>, version: u64) {
        self.ask(Due { lake: lake.clone(), table: table.clone(), version, care: Care::Checkpoint });
    }

    /// Asks whether a table has too many small files, unless somebody has asked already.
    pub fn compaction(&self, lake: &Lake, table: &Arc<Table>, version: u64) {
        let is_new = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(table.path().to_string());
        if is_new && !self.ask(Due { lake: lake.clone(), table: table.clone(), version, care: Care::Compaction }) {
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(table.path());
        }
    }

    fn ask(&self, due: Due) -> bool {
        self.pending.send_modify(|count| *count += 1);
        let taken = self.queue.try_send(due).is_ok();
        if !taken {
            self.pending.send_modify(|count| *count -= 1);
            tracing::debug!("no room for more care of tables");
        }
        taken
    }

    /// Begins no compaction any more.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Waits until nothing is queued or under way.
    pub async fn settle(&self) {
        // The sender is in `self`, so the wait ends with a count of none.
        let _ = self.pending.subscribe().wait_for(|count| *count == 0).await;
    }

    /// What was done, and is.
    pub fn record(&self) -> &Record {
        &self.record
    }
}

async fn run_all(
    mut due: mpsc::Receiver<Due>,
    pending: watch::Sender<usize>,
    waiting: Arc<Mutex<HashSet<String>>>,
    closing: Arc<AtomicBool>,
    record: Record,
) {
    while let Some(due) = due.recv().await {
        if due.care == Care::Compaction {
            waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(due.table.path());
        }
        if due.care == Care::Checkpoint || !closing.load(Ordering::Acquire) {
            due.run(&record).await;
        }
        pending.send_modify(|count| *count -= 1);
    }
}

impl Due {
    async fn run(self, record: &Record) {
        let relation = self.lake.relation_at(self.table.path());
        let name = relation.as_ref().map(|relation| relation.name.clone());
        let (lake, table, version) = (self.lake, self.table, self.version);
        match self.care {
            Care::Compaction => {
                let Some(relation) = relation.filter(|relation| relation.location.is_none()) else { return };
                let work = compact(lake, relation);
                recorded(record, Care::Compaction, &table, name, work).await;
            }
            Care::Checkpoint | Care::LogCleanup => {
                let written = {
                    let table = table.clone();
                    async move { checkpoint::write(&table, version).await.map(|()| Some(one_file(version))) }
                };
                recorded(record, Care::Checkpoint, &table, name.clone(), written).await;
                // The log of a table that others write to as well is theirs to clean up.
                if table.is_system() || relation.is_some_and(|relation| relation.location.is_none()) {
                    let cleaned = clean_log(lake, table.clone(), version);
                    recorded(record, Care::LogCleanup, &table, name, cleaned).await;
                }
            }
        }
    }
}

fn one_file(version: u64) -> Cared {
    Cared { version, removed: (0, None), added: (1, None) }
}

/// Does a piece of care in a task of its own, so that a panic below costs this piece and not all later ones.
async fn recorded(
    record: &Record,
    care: Care,
    table: &Table,
    name: Option<TableName>,
    work: impl Future<Output = Result<Option<Cared>>> + Send + 'static,
) {
    let number = record.begin(care, table.path(), name);
    let done = match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::internal(format!("it ended without an answer: {error}"))),
    };
    match &done {
        Ok(Some(cared)) => {
            tracing::debug!(table.path = table.path(), care = care.name(), ?cared, "a table was cared for")
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(table.path = table.path(), care = care.name(), %error, "care of a table failed"),
    }
    record.end(number, &done);
}

/// Removes log files that nobody can ask for: of a system table all that are not among the latest, because nobody reads
/// its old versions; of others what is older than their retention, but nothing that a pinned version needs.
async fn clean_log(lake: Lake, table: Arc<Table>, version: u64) -> Result<Option<Cared>> {
    let (keep, kept_for) = match table.is_system() {
        true => match version.checked_sub(SYSTEM_LOG_COMMITS_KEPT) {
            Some(keep) => (keep, chrono::Duration::zero()),
            None => return Ok(None),
        },
        false => {
            let state = table.latest().await?;
            let config = state.table_config();
            if config.enable_expired_log_cleanup == Some(false) {
                return Ok(None);
            }
            let kept_for = config.log_retention_duration.unwrap_or(LOG_FILES_KEPT);
            let kept_for = chrono::Duration::from_std(kept_for).map_err(|error| Error::internal(error.to_string()))?;
            let id = table.path().rsplit('/').next().unwrap_or_default();
            let pinned = lake.pinned_by(id).into_iter().map(|(version, _)| version).min();
            (version.min(pinned.unwrap_or(version)), kept_for)
        }
    };
    let Some(before) = Utc::now().checked_sub_signed(kept_for) else { return Ok(None) };
    let removed = checkpoint::clean_log(&table, keep, before).await?;
    Ok((removed > 0).then_some(Cared { version, removed: (removed, None), added: (0, None) }))
}

/// Puts small files together where there are many, unless the table says that it does not want it.
async fn compact(lake: Lake, relation: Arc<Relation>) -> Result<Option<Cared>> {
    let Some(state) = lake.care_state() else { return Ok(None) };
    let before = lake.table(&relation)?.latest().await?;
    let wants = before.metadata().configuration().get(AUTO_COMPACT).is_none_or(|value| value != "false");
    if !wants {
        return Ok(None);
    }
    let done = lake.compact(&relation, &state, CommitNotes::default()).await?;
    let cared = Cared {
        version: done.version,
        removed: (done.removed.0, Some(done.removed.1)),
        added: (done.added.0, Some(done.added.1)),
    };
    Ok((done.removed.0 > 0).then_some(cared))
}
