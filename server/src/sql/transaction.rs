//! An application transaction: a name and a version that go into a table's log with the rows that they are for, so that
//! rows that are sent again are known.
//!
//! Delta's `txn` action, <https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers>. Statements and
//! bulk ingestion say it in their own ways. It knows no table.

use crate::limits::TRANSACTION_APPLICATION_CHARS_MAX;
use crate::{Error, Result};

/// Names that Limn uses itself begin with it.
const RESERVED: &str = "limn-";

/// Who writes, and which of its batches this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppTransaction {
    /// The application, or the part of it that numbers its batches.
    pub application: String,
    /// Grows with each batch. A table that has seen this or a later one of the same application takes no rows.
    pub version: i64,
}

impl AppTransaction {
    /// An error where the name is empty, too long, or Limn's own, and where the version is beyond a BIGINT.
    pub fn new(application: String, version: u64) -> Result<Self> {
        let chars = application.chars().count();
        if chars == 0 || chars > TRANSACTION_APPLICATION_CHARS_MAX {
            return Err(Error::input(format!(
                "expected an application's name of 1 to {TRANSACTION_APPLICATION_CHARS_MAX} characters, found {chars}"
            )));
        }
        if application.starts_with(RESERVED) {
            return Err(Error::input(format!(
                "expected another application than `{application}`: names that begin with `{RESERVED}` are Limn's own"
            )));
        }
        let version = i64::try_from(version)
            .map_err(|_| Error::input(format!("expected a version up to {}, found {version}", i64::MAX)))?;
        Ok(AppTransaction { application, version })
    }

    /// The name and the version, as a commit takes them.
    pub fn into_pair(self) -> (String, i64) {
        (self.application, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_have_bounds() {
        let long = "x".repeat(TRANSACTION_APPLICATION_CHARS_MAX);
        for (name, version, good) in [
            ("meters", 0, true),
            (long.as_str(), 9_223_372_036_854_775_807, true),
            ("meters", 9_223_372_036_854_775_808, false),
            ("", 1, false),
            ("limn-copy-1", 1, false),
            (&format!("{long}x"), 1, false),
        ] {
            assert_eq!(AppTransaction::new(name.into(), version).is_ok(), good, "{name} {version}");
        }
    }
}
