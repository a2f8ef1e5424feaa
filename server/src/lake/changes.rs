//! What changed in a table between two versions: the rows of the files that were added, and of those that were removed.
//!
//! A row that stayed may be among both, where its file was rewritten; a row that is in neither did not change.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use deltalake_core::table::state::DeltaTableState;

use super::Relation;
use super::open::Lake;
use super::provider::TableVersion;
use crate::{Error, Result};

/// The rows that may have changed between two versions of a table.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Those that the older version has, of files that the newer one does not have.
    pub removed: Arc<dyn TableProvider>,
    /// Those that the newer version has, of files that the older one does not have.
    pub added: Arc<dyn TableProvider>,
}

/// The data files of a version: their paths, and which of their rows are deleted.
fn files(state: &DeltaTableState) -> BTreeSet<(String, String)> {
    let files = state.snapshot().log_data();
    let deleted = |vector| format!("{vector:?}");
    files.iter().map(|file| (file.path().into_owned(), deleted(file.deletion_vector_descriptor()))).collect()
}

impl Lake {
    /// What changed in a table from one version to a later one; `None` where nothing did.
    ///
    /// Fails with `Input` where the columns have changed, and where the older version or one of its files is gone.
    pub async fn changes(&self, relation: &Arc<Relation>, from: u64, to: u64) -> Result<Option<Changes>> {
        let hint = "train the model anew";
        if let Some(gone) = self.gone(relation, from).await? {
            return Err(Error::input(format!("what changed since then is not known: {gone}")).with_hint(hint));
        }
        let table = self.table(relation)?;
        let (older, newer) = (table.at(from).await?, table.at(to).await?);
        let (before, after) = (files(&older), files(&newer));
        let paths = |some: &BTreeSet<(String, String)>, others: &BTreeSet<(String, String)>| -> Vec<String> {
            some.difference(others).map(|(path, _)| path.clone()).collect()
        };
        let (removed, added) = (paths(&before, &after), paths(&after, &before));
        if removed.is_empty() && added.is_empty() {
            return Ok(None);
        }
        let removed = TableVersion::of_files(&table, &older, removed).await?;
        let added = TableVersion::of_files(&table, &newer, added).await?;
        if removed.schema() != added.schema() {
            return Err(
                Error::input(format!("the columns of `{}` have changed since then", relation.name)).with_hint(hint)
            );
        }
        Ok(Some(Changes { removed: Arc::new(removed), added: Arc::new(added) }))
    }
}
