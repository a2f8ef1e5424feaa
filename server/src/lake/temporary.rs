//! Tables that no catalog names: Delta tables below `tmp/`, which are written and read as all others and may be as
//! large, until their last user is gone or the server ends.
//!
//! What they are called, and by whom they are seen, is not known here.

use std::fmt;
use std::sync::Arc;

use chrono::Utc;

use super::open::Lake;
use super::relations::new_id;
use super::{Relation, RelationKind, TableName};

/// What the ids of temporary tables begin with. Those of all others are hexadecimal digits.
const MARK: char = 't';

/// Whether a table id is that of a temporary table.
pub fn is_temporary(id: &str) -> bool {
    id.starts_with(MARK)
}

/// A table without a place in the catalog. Its files go with it.
pub struct TemporaryTable {
    lake: Lake,
    relation: Arc<Relation>,
}

impl TemporaryTable {
    /// A table that has no files yet.
    pub(super) fn new(lake: &Lake, name: &TableName) -> Self {
        let id = format!("{MARK}{}", new_id());
        lake.begin_temporary(&id);
        let relation =
            Relation { name: name.clone(), id, kind: RelationKind::Table, created_at: Utc::now(), location: None };
        TemporaryTable { lake: lake.clone(), relation: Arc::new(relation) }
    }

    /// The table as statements know it.
    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }
}

impl fmt::Debug for TemporaryTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporaryTable").field("relation", &self.relation).finish_non_exhaustive()
    }
}

impl Drop for TemporaryTable {
    fn drop(&mut self) {
        self.lake.end_temporary(&self.relation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_id_looks_like_a_temporary_one() {
        assert!(is_temporary("t0123"));
        assert!((0..100).all(|_| !is_temporary(&new_id())));
    }
}
