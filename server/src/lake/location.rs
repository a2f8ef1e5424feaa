//! Tables at a place of the user's own: `CREATE TABLE … LOCATION`, `CONVERT TO DELTA`.
//!
//! The directory stays whoever drops the table: Limn did not make it, and others may read it. Each has a store of its
//! own, so that no path leads from one to another. Where object stores are named, so can their places be; here they are
//! directories of this machine.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use chrono::Utc;
use deltalake_core::DeltaTableError;
use deltalake_core::operations::convert_to_delta::ConvertToDeltaBuilder;

use super::alter::kernel_field;
use super::open::Lake;
use super::relations::{check_name, new_id, taken};
use super::{At, CommitNotes, Relation, RelationKind, TableName, commit};
use crate::{Class, Error, Result};

/// What a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nothing.
    Empty,
    /// A Delta table.
    Table,
    /// Files, and no Delta table.
    Files,
}

impl Lake {
    /// The directory that a statement names, and what it holds. `Input` where it is no place for a table.
    pub fn place(&self, location: &str) -> Result<(PathBuf, Place)> {
        let path = directory(location)?;
        let path = path.canonicalize().unwrap_or(path);
        let own = self.directory().path();
        if path.starts_with(own) || own.starts_with(&path) {
            return Err(Error::input(format!("`{}` is in the data directory, or around it", path.display())));
        }
        let mut entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((path, Place::Empty)),
            Err(error) => return Err(Error::from(error).context(format!("`{}`", path.display()))),
        };
        if path.join("_delta_log").is_dir() {
            return Ok((path, Place::Table));
        }
        let place = if entries.next().is_none() { Place::Empty } else { Place::Files };
        Ok((path, place))
    }

    /// Makes a Delta table of the Parquet files of a directory, which stay as they are; answers how many. Directories
    /// name the values of the partition columns, as `column=value`.
    pub async fn convert(&self, path: PathBuf, partition_by: &[FieldRef], notes: CommitNotes) -> Result<u64> {
        let fields = partition_by.iter().map(kernel_field).collect::<Result<Vec<_>>>()?;
        let shown = path.display().to_string();
        let name = TableName { schema: "files".into(), table: shown.clone() };
        let (kind, created_at) = (RelationKind::Table, Utc::now());
        let relation = Relation { name, id: new_id(), kind, created_at, location: Some(path) };
        let (lake, gate) = (self.clone(), notes.gate.clone());
        commit::run(&gate, async move {
            let table = lake.table(&relation)?;
            let guarded = table.guarded(&notes.gate, None);
            let convert = ConvertToDeltaBuilder::new()
                .with_log_store(guarded.clone())
                .with_partition_schema(fields)
                .with_commit_properties(commit::properties(&notes, None));
            let answer = convert.await.map_err(|error| match error {
                // All that the builder says by itself is of the files that it was given.
                DeltaTableError::GenericError { source } => {
                    DeltaTableError::InvalidData { message: source.to_string() }
                }
                other => other,
            });
            commit::outcome(&guarded, answer).map_err(|error| error.context(format!("`{shown}`")))?;
            Ok(table.latest().await?.snapshot().log_data().num_files() as u64)
        })
        .await
    }

    /// Gives a name to a Delta table that is there; `false` where the name was taken and that is allowed.
    pub async fn register_table(&self, name: &TableName, path: &Path, if_not_exists: bool) -> Result<bool> {
        check_name("table", &name.table)?;
        let relation = Arc::new(Relation {
            name: name.clone(),
            id: new_id(),
            kind: RelationKind::Table,
            created_at: Utc::now(),
            location: Some(path.to_path_buf()),
        });
        // What is no table is not registered; of one that asks for too much, DESCRIBE DETAIL says what that is.
        match self.snapshot(&relation, At::Latest).await {
            Err(error) if error.class() == Class::Unsupported => {}
            done => drop(done.map_err(|error| error.context(format!("`{}`", path.display())))?),
        }
        let linked = self.catalog().change(|names| {
            match names.schema(&name.schema)?.get(&name.table) {
                Some(_) if if_not_exists => return Ok(None),
                Some(existing) => return Err(taken(existing)),
                None => {}
            }
            names.not_placed(path)?;
            names.link(relation.clone());
            Ok(Some(()))
        });
        Ok(linked.await?.is_some())
    }
}

/// An absolute path, as one or as a `file:` URL.
fn directory(location: &str) -> Result<PathBuf> {
    let path = match location.split_once("://") {
        None => PathBuf::from(location),
        Some(("file", _)) => {
            let url = url::Url::parse(location).map_err(|error| Error::input(format!("`{location}`: {error}")))?;
            url.to_file_path()
                .map_err(|()| Error::input(format!("expected a path of this machine, found `{location}`")))?
        }
        Some((scheme, _)) => {
            return Err(Error::unsupported(format!(
                "tables at `{scheme}://` are not supported yet, expected a directory"
            )));
        }
    };
    let plain = path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
    match path.is_absolute() && plain {
        true => Ok(path),
        false => Err(Error::input(format!("expected an absolute path for `LOCATION`, found `{location}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_absolute_and_of_this_machine() {
        assert_eq!(directory("/a/b").unwrap(), PathBuf::from("/a/b"));
        assert_eq!(directory("file:///a/b%20c").unwrap(), PathBuf::from("/a/b c"));
        for wrong in ["a/b", "/a/../b", "s3://bucket/a", ""] {
            assert!(directory(wrong).is_err(), "{wrong}");
        }
    }
}
