//! What background care did to tables, for those who want to know: the latest of it, in memory.
//!
//! It does nothing itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::TableName;
use crate::limits::MAINTENANCE_KEPT_MAX;
use crate::{Class, Error};

/// A kind of care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// A checkpoint was written.
    Checkpoint,
    /// Log files that no readable version needs went.
    LogCleanup,
    /// Small files became larger ones.
    Compaction,
}

impl Care {
    /// The text in `system.maintenance.operation`.
    pub fn name(self) -> &'static str {
        match self {
            Care::Checkpoint => "checkpoint",
            Care::LogCleanup => "log_cleanup",
            Care::Compaction => "compaction",
        }
    }
}

/// What one piece of care changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cared {
    /// The table's version that was written about, or made.
    pub version: u64,
    /// Files that went, or left the table, and their bytes where they are counted.
    pub removed: (u64, Option<u64>),
    /// Files that came, and their bytes where they are counted.
    pub added: (u64, Option<u64>),
}

/// Where a piece of care stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CareState {
    /// Under way.
    Running,
    /// It was done.
    Finished(Cared),
    /// It was not; the text says why.
    Failed(String),
}

/// One piece of care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CareRecord {
    /// Counts them, from 1.
    pub number: u64,
    /// The table, where it has a name.
    pub table: Option<TableName>,
    /// Where the table lies, in the data directory or in the machine.
    pub path: String,
    /// What is done.
    pub care: Care,
    /// Since when.
    pub started_at: DateTime<Utc>,
    /// Until when.
    pub ended_at: Option<DateTime<Utc>>,
    /// Where it stands.
    pub state: CareState,
}

/// The latest pieces of care. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Record(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    records: VecDeque<CareRecord>,
}

impl Record {
    /// A piece of care begins; its number.
    pub fn begin(&self, care: Care, path: &str, table: Option<TableName>) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let number = kept.last;
        if kept.records.len() >= MAINTENANCE_KEPT_MAX {
            kept.records.pop_front();
        }
        let (path, started_at, state) = (path.to_string(), Utc::now(), CareState::Running);
        kept.records.push_back(CareRecord { number, table, path, care, started_at, ended_at: None, state });
        number
    }

    /// It has ended. What had nothing to do is no piece of care.
    pub fn end(&self, number: u64, done: &Result<Option<Cared>, Error>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(at) = kept.records.binary_search_by_key(&number, |record| record.number) else { return };
        let state = match done {
            Ok(None) => {
                kept.records.remove(at);
                return;
            }
            Ok(Some(cared)) => CareState::Finished(*cared),
            // What an internal error says is for the log.
            Err(error) if error.class() == Class::Internal => {
                CareState::Failed("internal error; the server's log has the details".into())
            }
            Err(error) => CareState::Failed(error.message().to_string()),
        };
        if let Some(record) = kept.records.get_mut(at) {
            record.state = state;
            record.ended_at = Some(Utc::now());
        }
    }

    /// All that are kept, the oldest first.
    pub fn all(&self) -> Vec<CareRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).records.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_those_without_work_are_not() {
        let record = Record::default();
        for _ in 0..MAINTENANCE_KEPT_MAX + 3 {
            let number = record.begin(Care::Checkpoint, "tables/x", None);
            record.end(number, &Ok(Some(Cared::default())));
        }
        let idle = record.begin(Care::Compaction, "tables/x", None);
        assert_eq!(record.all().last().unwrap().state, CareState::Running);
        record.end(idle, &Ok(None));
        let failed = record.begin(Care::Compaction, "tables/x", None);
        record.end(failed, &Err(Error::internal("the secret of the house")));
        let all = record.all();
        assert_eq!(all.len(), MAINTENANCE_KEPT_MAX);
        assert!(all.is_sorted_by_key(|record| record.number));
        let CareState::Failed(text) = &all.last().unwrap().state else { panic!("it failed") };
        assert!(!text.contains("secret"), "{text}");
    }
}
