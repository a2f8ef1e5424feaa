//! Checkpoints, and the log files that they make superfluous.
//!
//! A checkpoint only makes reading faster. What goes of the log is decided here and not by deltalake, which knows no
//! pins and removes in any order: the oldest goes first, so that the log that is left has no gap wherever it stops.

use chrono::{DateTime, Utc};
use deltalake_core::{DeltaTable, Path, checkpoints};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::history::{LogFile, log_file};
use super::table::Table;
use crate::Result;

/// Writes the checkpoint of a version.
pub async fn write(table: &Table, version: u64) -> Result<()> {
    let mut delta = DeltaTable::new(table.log_store().clone());
    delta.load_version(version).await.map_err(super::error::delta)?;
    checkpoints::create_checkpoint(&delta, None).await.map_err(super::error::delta)
}

/// Removes the log files that were there before `before` and that no version from `keep` on needs; answers how many.
///
/// A version that was made since `before` can be read afterwards, too.
pub async fn clean_log(table: &Table, keep: u64, before: DateTime<Utc>) -> Result<u64> {
    let store = table.log_store().object_store(None);
    let listed = store.list(Some(table.log_store().log_path())).try_collect::<Vec<_>>().await;
    let listed = listed.map_err(|error| super::error::store(&error))?;
    let files = listed.into_iter().filter_map(|file| {
        let (version, kind) = log_file(&file.location)?;
        Some(Old { version, kind, written: file.last_modified, location: file.location })
    });
    let mut removed = 0;
    for file in superfluous(files.collect(), keep, before) {
        match store.delete(&file).await {
            Ok(()) => removed += 1,
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(super::error::store(&error)),
        }
    }
    Ok(removed)
}

/// A file of the log.
struct Old {
    version: u64,
    kind: LogFile,
    written: DateTime<Utc>,
    location: Path,
}

/// Those that go, the oldest first: reading begins at the last checkpoint that is no later than what stays.
fn superfluous(mut files: Vec<Old>, keep: u64, before: DateTime<Utc>) -> Vec<Path> {
    let commits = files.iter().filter(|file| file.kind == LogFile::Commit);
    let recent = commits.filter(|file| file.written >= before).map(|file| file.version).min();
    let keep = keep.min(recent.unwrap_or(keep));
    let checkpoints = files.iter().filter(|file| file.kind == LogFile::Checkpoint).map(|file| file.version);
    let Some(first) = checkpoints.filter(|version| *version <= keep).max() else { return Vec::new() };
    files.retain(|file| file.version < first);
    // A version's checkpoint goes before its commit: without the checkpoint the commits still tell everything.
    files.sort_by_key(|file| (file.version, file.kind == LogFile::Commit));
    files.into_iter().map(|file| file.location).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u64, kind: LogFile, hour: i64) -> Old {
        let location = Path::from(format!("{version}{kind:?}"));
        Old { version, kind, written: DateTime::from_timestamp(hour * 3600, 0).unwrap(), location }
    }

    /// Versions 0 to 9, one an hour, with checkpoints of 3, 6 and 9.
    fn removed(keep: u64, before_hour: i64) -> Vec<String> {
        let commits = (0..10).map(|version| file(version, LogFile::Commit, i64::try_from(version).unwrap()));
        let checkpoints = [3, 6, 9].map(|version| file(version, LogFile::Checkpoint, 9));
        let before = DateTime::from_timestamp(before_hour * 3600, 0).unwrap();
        let gone = superfluous(commits.chain(checkpoints).collect(), keep, before);
        gone.into_iter().map(|path| path.to_string()).collect()
    }

    #[test]
    fn what_is_kept_can_be_read_from_a_checkpoint() {
        assert_eq!(removed(9, 5), ["0Commit", "1Commit", "2Commit"], "version 5 is recent and needs checkpoint 3");
        assert_eq!(removed(4, 24), ["0Commit", "1Commit", "2Commit"], "version 4 is to be kept");
        let until_six = ["0Commit", "1Commit", "2Commit", "3Checkpoint", "3Commit", "4Commit", "5Commit"];
        assert_eq!(removed(8, 24), until_six);
        assert!(removed(2, 24).is_empty(), "no checkpoint is old enough");
        assert!(removed(9, 0).is_empty(), "everything is recent");
    }
}
