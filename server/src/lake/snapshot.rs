//! Which version of a table a statement reads, and that version to scan.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::catalog::TableProvider;
use deltalake_core::ObjectStoreError;
use deltalake_core::table::state::DeltaTableState;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use super::history::Time;
use super::open::Lake;
use super::provider::TableVersion;
use super::table::Table;
use super::{At, Relation, TableSnapshot};
use crate::limits::LOG_READS_CONCURRENT;
use crate::{Class, Error, Result};

impl Lake {
    /// A table at a point of its history. An error that names the range where the point is outside.
    ///
    /// A time means the last version that was made no later; a time in the future is an error.
    pub async fn snapshot(&self, relation: &Arc<Relation>, at: At) -> Result<TableSnapshot> {
        let table = self.table(relation)?;
        let state = match at {
            At::Latest => table.latest().await?,
            At::Version(version) => at_version(&table, relation, version).await?,
            At::Timestamp(time) => {
                let version = version_at(&table, relation, time).await?;
                table.at(version).await?
            }
        };
        let schema = TableVersion::new(&table, &state).await?.schema();
        Ok(TableSnapshot { relation: relation.clone(), version: state.version(), schema })
    }

    /// What DataFusion scans.
    pub async fn provider(&self, snapshot: &TableSnapshot) -> Result<Arc<dyn TableProvider>> {
        let table = self.table(&snapshot.relation)?;
        let state = table.at(snapshot.version).await?;
        Ok(Arc::new(TableVersion::new(&table, &state).await?))
    }

    /// What of a table's version is not there any more, in words; `None` where it can be read.
    pub async fn gone(&self, relation: &Arc<Relation>, version: u64) -> Result<Option<String>> {
        let table = self.table(relation)?;
        let state = match at_version(&table, relation, version).await {
            Ok(state) => state,
            Err(error) if matches!(error.class(), Class::Input | Class::NotFound | Class::Internal) => {
                return Ok(Some(error.message().to_string()));
            }
            Err(error) => return Err(error),
        };
        let store = table.log_store().object_store(None);
        let files: Vec<_> = state.snapshot().log_data().iter().map(|file| file.object_store_path()).collect();
        let missing = futures::stream::iter(files)
            .map(|file| {
                let store = &store;
                async move {
                    match store.head(&file).await {
                        Ok(_) => Ok(None),
                        Err(ObjectStoreError::NotFound { .. }) => Ok(Some(file)),
                        Err(error) => Err(super::error::store(&error)),
                    }
                }
            })
            .buffered(LOG_READS_CONCURRENT)
            .try_filter_map(|missing| std::future::ready(Ok(missing)));
        let first = std::pin::pin!(missing).try_next().await?;
        Ok(first.map(|file| format!("version {version} of `{}` has lost the data file `{file}`", relation.name)))
    }

    /// The version that an application transaction recorded last.
    pub async fn transaction_version(&self, relation: &Arc<Relation>, app_id: &str) -> Result<Option<i64>> {
        let table = self.table(relation)?;
        let state = table.latest().await?;
        table.transaction_version(&state, app_id).await
    }
}

async fn at_version(table: &Table, relation: &Relation, version: u64) -> Result<DeltaTableState> {
    if let Some(state) = table.cached(version) {
        return Ok(state);
    }
    let latest = table.latest().await?;
    if version == latest.version() {
        return Ok(latest);
    }
    let first = table.first_version().await?;
    if version < first || version > latest.version() {
        return Err(Error::input(format!(
            "version {version} of `{}` is outside its history, versions {first} to {}",
            relation.name,
            latest.version()
        )));
    }
    table.at(version).await
}

async fn version_at(table: &Table, relation: &Relation, time: DateTime<Utc>) -> Result<u64> {
    let now = Utc::now();
    if time > now {
        return Err(Error::input(format!("`{}` at {} is in the future", relation.name, shown(time)))
            .with_hint(format!("it is {} now", shown(now))));
    }
    let latest = table.latest().await?.version();
    let times = table.commit_times(latest).await?;
    match times.iter().rev().find(|entry| entry.at <= time) {
        Some(entry) => Ok(entry.version),
        None => Err(outside(relation, time, &times)),
    }
}

fn outside(relation: &Relation, time: DateTime<Utc>, times: &[Time]) -> Error {
    let range = match (times.first(), times.last()) {
        (Some(first), Some(last)) => format!("{} to {}", shown(first.at), shown(last.at)),
        _ => "which is empty".to_string(),
    };
    Error::input(format!("`{}` at {} is outside its history, {range}", relation.name, shown(time)))
}

/// Milliseconds, as commits have them, or as many digits as it takes to tell the time from one.
fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
