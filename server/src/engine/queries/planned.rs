//! Queries that were planned for a client which has yet to come for their rows.
//!
//! Most come at once. Of those that never do, each is remembered for a time, and so many at most: the oldest make room.
//! It takes the time from its caller.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::record::{QueryRecord, RunState};
use crate::limits::QUERIES_PLANNED_MAX;

/// Planned queries, in the order in which they were planned.
#[derive(Debug, Default)]
pub struct Planned {
    queries: BTreeMap<u64, (Instant, Arc<QueryRecord>)>,
    /// Their numbers by their ids.
    numbers: BTreeMap<String, u64>,
}

impl Planned {
    /// Remembers a query until then; `number` is greater than all before it.
    pub fn insert(&mut self, number: u64, record: QueryRecord, until: Instant) {
        while self.queries.len() >= QUERIES_PLANNED_MAX {
            let Some((_, (_, oldest))) = self.queries.pop_first() else { break };
            self.numbers.remove(&oldest.query_id);
        }
        let record =
            QueryRecord { state: RunState::Planned, planning_ms: record.total_ms, execution_ms: None, ..record };
        if let Some(before) = self.numbers.insert(record.query_id.clone(), number) {
            self.queries.remove(&before);
        }
        self.queries.insert(number, (until, Arc::new(record)));
    }

    /// Forgets a query whose rows are asked for.
    pub fn asked_for(&mut self, query_id: &str) {
        if let Some(number) = self.numbers.remove(query_id) {
            self.queries.remove(&number);
        }
    }

    /// Takes out those whose time is up.
    pub fn expired(&mut self, now: Instant) -> Vec<QueryRecord> {
        // All have the same time, so the first that is not up ends the search.
        let mut expired = Vec::new();
        while let Some(first) = self.queries.first_entry().filter(|first| first.get().0 <= now) {
            let (_, record) = first.remove();
            self.numbers.remove(&record.query_id);
            expired.push(QueryRecord {
                state: RunState::Abandoned,
                ended_at: Some(super::record::now()),
                ..Arc::unwrap_or_clone(record)
            });
        }
        expired
    }

    /// Their rows.
    pub fn records(&self) -> Vec<Arc<QueryRecord>> {
        self.queries.values().map(|(_, record)| Arc::clone(record)).collect()
    }
}
