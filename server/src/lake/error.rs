//! deltalake's and object_store's errors in our classes, by variant and never by text.
//!
//! What a statement could not know (a full disk, a lost file) is not the statement's fault; what it asked for and
//! cannot have is.

use std::error::Error as StdError;
use std::io;

use deltalake_core::kernel::transaction::{CommitConflictError, TransactionError};
use deltalake_core::{DeltaTableError, ObjectStoreError};

use crate::{Class, Error};

/// A failure of deltalake.
pub fn delta(error: DeltaTableError) -> Error {
    match error {
        DeltaTableError::ObjectStore { source } => store(&source),
        DeltaTableError::Transaction { source } => transaction(source),
        DeltaTableError::Io { source } => io_error(&source),
        DeltaTableError::Arrow { source } => Error::from(source),
        DeltaTableError::InvalidData { message } => Error::input(message),
        DeltaTableError::SchemaMismatch { msg } => Error::input(msg),
        DeltaTableError::MetadataError(message) => Error::input(message),
        DeltaTableError::VersionAlreadyExists(version) => lost(version),
        DeltaTableError::UnsupportedColumnMapping { operation, .. } => {
            Error::unsupported(format!("{operation} on a table with column mapping"))
        }
        DeltaTableError::KernelError(error) => kernel(&error),
        other => from_sources(&other).unwrap_or_else(|| Error::internal(first_line(&other.to_string()))),
    }
}

/// A failure of the kernel below deltalake, which is the first to meet a feature that nobody here knows.
fn kernel(error: &buoyant_kernel::Error) -> Error {
    match error {
        buoyant_kernel::Error::Backtraced { source, .. } => kernel(source),
        buoyant_kernel::Error::Unsupported(text) => Error::unsupported(first_line(text)),
        other => from_sources(other).unwrap_or_else(|| Error::internal(first_line(&other.to_string()))),
    }
}

/// A failure to put a table's metadata together.
pub fn metadata(error: deltalake_core::kernel::Error) -> Error {
    Error::internal(first_line(&error.to_string()))
}

/// A failure of a commit.
pub fn transaction(error: TransactionError) -> Error {
    match error {
        TransactionError::VersionAlreadyExists(version) => lost(version),
        TransactionError::MaxCommitAttempts(_) => Error::conflict("other writers were there first, time and again"),
        TransactionError::ObjectStore { source } => store(&source),
        TransactionError::CommitConflict(conflict) => commit_conflict(&conflict),
        TransactionError::DeltaTableAppendOnly => Error::input("the table only takes appends (`delta.appendOnly`)"),
        TransactionError::UnsupportedTableFeatures(features) => {
            Error::unsupported(format!("table features that Limn does not write: {features:?}"))
        }
        TransactionError::TableFeaturesRequired(feature) => {
            Error::input(format!("the table needs the feature `{feature}`"))
        }
        TransactionError::LogStoreError { msg, source } => match source.downcast::<Error>() {
            Ok(own) => *own,
            Err(_) => Error::internal(msg),
        },
        TransactionError::SerializeLogJson { json_err } => Error::internal(json_err.to_string()),
    }
}

fn lost(version: u64) -> Error {
    Error::conflict(format!("another writer made version {version} first"))
}

fn commit_conflict(error: &CommitConflictError) -> Error {
    match error {
        CommitConflictError::UnsupportedWriterVersion(version) => {
            Error::unsupported(format!("Delta writer version {version}"))
        }
        CommitConflictError::UnsupportedReaderVersion(version) => {
            Error::unsupported(format!("Delta reader version {version}"))
        }
        CommitConflictError::CorruptedState { source } | CommitConflictError::Predicate { source } => {
            Error::internal(first_line(&source.to_string()))
        }
        other => Error::conflict(first_line(&other.to_string())),
    }
}

/// A failure of an object store.
pub fn store(error: &ObjectStoreError) -> Error {
    match error {
        ObjectStoreError::NotFound { path, .. } => Error::internal(format!("`{path}` is missing")),
        ObjectStoreError::AlreadyExists { path, .. } => Error::conflict(format!("`{path}` already exists")),
        ObjectStoreError::NotImplemented { operation, .. } => Error::internal(format!("{operation} is not there")),
        other => from_sources(other).unwrap_or_else(|| Error::unavailable(first_line(&other.to_string()))),
    }
}

/// A failure below a table is the machine's, whatever its kind says of files that a user names.
fn io_error(error: &io::Error) -> Error {
    let class = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::Exhausted,
        _ => Class::Unavailable,
    };
    Error::new(class, format!("storage: {error}"))
}

/// Looks below an error that has no class of its own.
fn from_sources(error: &(dyn StdError + 'static)) -> Option<Error> {
    let mut at = error.source();
    while let Some(error) = at {
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io_error(io));
        }
        if let Some(inner) = error.downcast_ref::<ObjectStoreError>() {
            return Some(store(inner));
        }
        at = error.source();
    }
    None
}

/// deltalake's texts go on with stack traces and advice that names its own functions.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: io::ErrorKind) -> ObjectStoreError {
        ObjectStoreError::Generic { store: "lake", source: Box::new(io::Error::from(kind)) }
    }

    #[test]
    fn a_full_disk_is_exhaustion_however_deep_it_lies() {
        let error = TransactionError::ObjectStore { source: generic(io::ErrorKind::StorageFull) };
        assert_eq!(delta(error.into()).class(), Class::Exhausted);
        let error = DeltaTableError::ObjectStore { source: generic(io::ErrorKind::Other) };
        assert_eq!(delta(error).class(), Class::Unavailable);
    }

    #[test]
    fn an_error_of_our_own_comes_back_whole() {
        let own = Error::cancelled("the statement was cancelled").with_hint("h");
        let error = TransactionError::LogStoreError { msg: String::new(), source: Box::new(own) };
        let error = delta(error.into());
        assert_eq!((error.class(), error.hint()), (Class::Cancelled, Some("h")));
    }

    #[test]
    fn losing_a_race_is_a_conflict() {
        assert_eq!(delta(DeltaTableError::VersionAlreadyExists(3)).class(), Class::Conflict);
        let conflict = TransactionError::CommitConflict(CommitConflictError::ConcurrentDeleteRead);
        assert_eq!(delta(conflict.into()).class(), Class::Conflict);
    }
}
