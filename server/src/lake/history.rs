//! A table's commits: which there are, when each was made, and what it says of itself.
//!
//! The time of a version is what its commit says (`inCommitTimestamp`, else the `timestamp` of its `commitInfo`), and
//! the file's own time where it says nothing; but never earlier than that of the version before, so that time travel
//! goes forward. See <https://github.com/delta-io/delta/blob/master/PROTOCOL.md#commit-provenance-information>.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Utc};
use deltalake_core::ObjectStoreError;
use deltalake_core::Path;
use deltalake_core::logstore::commit_uri_from_version;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use serde::Deserialize;
use serde_json::Value;

use super::open::Lake;
use super::table::Table;
use super::{Commit, Relation};
use crate::limits::{HISTORY_ROWS_MAX, LOG_READS_CONCURRENT};
use crate::{Error, Result};

/// When versions were made, each as its commit has it, in milliseconds since 1970.
pub type CommitTimes = BTreeMap<u64, i64>;

/// When a version was made, no earlier than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// The version.
    pub version: u64,
    /// When.
    pub at: DateTime<Utc>,
}

/// A line of a commit, as far as it is looked at here.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "commitInfo")]
    info: Option<Info>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Info {
    timestamp: Option<i64>,
    in_commit_timestamp: Option<i64>,
    operation: Option<String>,
    operation_parameters: Option<Value>,
    operation_metrics: Option<Value>,
    user_name: Option<String>,
    query_id: Option<String>,
    client_version: Option<String>,
    engine_info: Option<String>,
}

impl Lake {
    /// The commit that a statement made, among those after version `before`, or all; `None` where it made none.
    pub async fn commit_of(
        &self,
        relation: &Arc<Relation>,
        query_id: &str,
        before: Option<u64>,
    ) -> Result<Option<Commit>> {
        let table = self.table(relation)?;
        let latest = table.latest().await?.version();
        for time in table.commit_times(latest).await?.into_iter().rev() {
            if before.is_some_and(|before| time.version <= before) {
                break;
            }
            let info = table.commit_info(time.version).await?.unwrap_or_default();
            if info.query_id.as_deref() == Some(query_id) {
                return Ok(Some(commit(time, info)));
            }
        }
        Ok(None)
    }

    /// The commits of a table, newest first, [`HISTORY_ROWS_MAX`] at most.
    pub async fn history(&self, relation: &Arc<Relation>) -> Result<Vec<Commit>> {
        let table = self.table(relation)?;
        let latest = table.latest().await?.version();
        let times = table.commit_times(latest).await?;
        let newest: Vec<Time> = times.into_iter().rev().take(HISTORY_ROWS_MAX).collect();
        let commits = futures::stream::iter(newest).map(|time| {
            let table = table.clone();
            async move {
                let info = table.commit_info(time.version).await?.unwrap_or_default();
                Ok::<_, Error>(commit(time, info))
            }
        });
        commits.buffered(LOG_READS_CONCURRENT).try_collect().await
    }
}

/// Parameters that the commit repeats from its own metadata and protocol actions, and a location that is ours alone.
const NOT_SHOWN: &[&str] = &["metadata", "protocol", "location"];

fn shown(mut parameters: Value) -> Value {
    if let Some(object) = parameters.as_object_mut() {
        object.retain(|key, _| !NOT_SHOWN.contains(&key.as_str()));
    }
    parameters
}

fn commit(time: Time, info: Info) -> Commit {
    Commit {
        version: time.version,
        timestamp: time.at,
        operation: info.operation.unwrap_or_else(|| "UNKNOWN".into()),
        operation_parameters: info.operation_parameters.map_or_else(|| "{}".into(), |value| shown(value).to_string()),
        operation_metrics: info.operation_metrics.map(|value| value.to_string()),
        user_name: info.user_name,
        query_id: info.query_id,
        engine: info.client_version.filter(|version| version.starts_with("limn.")).or(info.engine_info),
    }
}

impl Table {
    /// The oldest version that can still be read.
    pub async fn first_version(&self) -> Result<u64> {
        let (commits, checkpoints) = self.log_files().await?;
        let oldest = |versions: &[u64]| versions.iter().min().copied();
        // Without the commit that made the table, reading begins at a checkpoint.
        match oldest(&commits) {
            Some(0) => Ok(0),
            _ => oldest(&checkpoints).ok_or_else(|| Error::internal(format!("`{}` has no log", self.path()))),
        }
    }

    /// When each version up to `latest` was made, oldest first.
    pub async fn commit_times(&self, latest: u64) -> Result<Vec<Time>> {
        let first = self.first_version().await?;
        let known = self.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let missing = (first..=latest).filter(|version| !known.contains_key(version));
        let missing: Vec<(u64, i64)> = futures::stream::iter(missing)
            .map(|version| async move { Ok::<_, Error>(self.own_time(version).await?.map(|time| (version, time))) })
            .buffered(LOG_READS_CONCURRENT)
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .try_collect()
            .await?;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.extend(missing);
        Ok(monotone(times.range(first..=latest).map(|(version, time)| (*version, *time))))
    }

    /// When a version was made, as its commit has it; `None` where its log file is gone.
    async fn own_time(&self, version: u64) -> Result<Option<i64>> {
        let info = self.commit_info(version).await?;
        if let Some(time) = info.and_then(|info| info.in_commit_timestamp.or(info.timestamp)) {
            return Ok(Some(time));
        }
        match self.log_store().object_store(None).head(&commit_uri_from_version(Some(version))).await {
            Ok(meta) => Ok(Some(meta.last_modified.timestamp_millis())),
            Err(ObjectStoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(super::error::store(&error)),
        }
    }

    /// Whether all commits after version `from`, up to `to`, only put the same rows into other files.
    pub async fn has_the_same_rows(&self, from: u64, to: u64) -> Result<bool> {
        for version in from + 1..=to {
            let bytes = self.log_store().read_commit_entry(version).await.map_err(super::error::delta)?;
            // Of a commit that is gone nobody knows.
            let Some(bytes) = bytes else { return Ok(false) };
            for action in serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>() {
                let action = action.map_err(|error| {
                    Error::internal(format!("version {version} of `{}` is damaged: {error}", self.path()))
                })?;
                let same =
                    action.as_object().is_some_and(|action| action.iter().all(|(kind, what)| same_rows(kind, what)));
                if !same {
                    return Ok(false);
                }
            }
        }
        Ok(from <= to)
    }

    /// What a commit says of itself; `None` where it says nothing or is gone.
    async fn commit_info(&self, version: u64) -> Result<Option<Info>> {
        let bytes = self.log_store().read_commit_entry(version).await.map_err(super::error::delta)?;
        let Some(bytes) = bytes else { return Ok(None) };
        for line in serde_json::Deserializer::from_slice(&bytes).into_iter::<Line>() {
            let line = line.map_err(|error| {
                Error::internal(format!("version {version} of `{}` is damaged: {error}", self.path()))
            })?;
            if line.info.is_some() {
                return Ok(line.info);
            }
        }
        Ok(None)
    }

    /// The versions that have a commit file, and those that have a checkpoint.
    pub(super) async fn log_files(&self) -> Result<(Vec<u64>, Vec<u64>)> {
        let store = self.log_store().object_store(None);
        let mut files = store.list(Some(self.log_store().log_path()));
        let (mut commits, mut checkpoints) = (Vec::new(), Vec::new());
        while let Some(file) = files.try_next().await.map_err(|error| super::error::store(&error))? {
            match log_file(&file.location) {
                Some((version, LogFile::Commit)) => commits.push(version),
                Some((version, LogFile::Checkpoint)) => checkpoints.push(version),
                None => {}
            }
        }
        Ok((commits, checkpoints))
    }
}

/// Whether an action of a commit leaves the table's rows and columns as they are.
fn same_rows(kind: &str, what: &Value) -> bool {
    match kind {
        "add" | "remove" => what.get("dataChange") == Some(&Value::Bool(false)),
        "commitInfo" | "txn" => true,
        _ => false,
    }
}

/// What a file of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFile {
    /// What one commit did.
    Commit,
    /// What the table is at a version, or a part of that.
    Checkpoint,
}

/// The version of a log file, and what it is; `None` for anything else.
pub fn log_file(location: &Path) -> Option<(u64, LogFile)> {
    let (version, rest) = location.filename()?.split_once('.')?;
    if version.len() != 20 {
        return None;
    }
    let kind = match rest {
        "json" => LogFile::Commit,
        rest if rest.starts_with("checkpoint.") => LogFile::Checkpoint,
        _ => return None,
    };
    Some((version.parse().ok()?, kind))
}

fn monotone(times: impl Iterator<Item = (u64, i64)>) -> Vec<Time> {
    let mut last = i64::MIN;
    times
        .map(|(version, own)| {
            last = last.max(own);
            Time { version, at: DateTime::from_timestamp_millis(last).unwrap_or(DateTime::UNIX_EPOCH) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_never_go_back() {
        let times = monotone([(3, 50), (4, 40), (5, 40), (6, 60)].into_iter());
        let shown: Vec<(u64, i64)> = times.iter().map(|t| (t.version, t.at.timestamp_millis())).collect();
        assert_eq!(shown, [(3, 50), (4, 50), (5, 50), (6, 60)]);
    }

    #[test]
    fn only_commits_and_checkpoints_are_log_files() {
        let of = |name: &str| log_file(&Path::from(format!("_delta_log/{name}")));
        assert_eq!(of("00000000000000000007.json"), Some((7, LogFile::Commit)));
        assert_eq!(of("00000000000000000020.checkpoint.parquet"), Some((20, LogFile::Checkpoint)));
        assert_eq!(
            of("00000000000000000020.checkpoint.0000000001.0000000002.parquet"),
            Some((20, LogFile::Checkpoint))
        );
        assert_eq!(of("00000000000000000020.crc"), None);
        assert_eq!(of("_last_checkpoint"), None);
        assert_eq!(of("7.json"), None);
    }
}
