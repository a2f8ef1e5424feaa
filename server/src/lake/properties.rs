//! The table properties of Delta, and which of them a statement may set.
//!
//! Under `delta.` every name has a meaning that Delta fixes, so one that nobody knows is a slip of the pen; other names
//! are the user's own and are kept as they are. A property that would make Limn unable to write the table is refused.

use super::constraints;
use crate::error::nearest;
use crate::{Error, Result};

/// What a property's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Count,
    /// A time such as `interval 7 days`.
    Interval,
    /// One of some words.
    Words(&'static [&'static str]),
    /// Anything.
    Text,
    /// A switch that may not be on, for a reason.
    Off(&'static str),
    /// Not to be set at all, for a reason.
    Never(&'static str),
}

const NOT_WRITTEN: &str = "Limn could not write to the table any more";
const MAPPING: &str = "columns get their mapping when a table is created, by `CREATE TABLE … TBLPROPERTIES \
                       ('delta.columnMapping.mode' = 'name')`";

const KNOWN: &[(&str, Kind)] = &[
    ("delta.appendOnly", Kind::Switch),
    ("delta.autoOptimize", Kind::Switch),
    ("delta.autoOptimize.autoCompact", Kind::Switch),
    ("delta.autoOptimize.optimizeWrite", Kind::Switch),
    ("delta.checkpoint.writeStatsAsJson", Kind::Switch),
    ("delta.checkpoint.writeStatsAsStruct", Kind::Switch),
    ("delta.checkpointInterval", Kind::Count),
    ("delta.checkpointPolicy", Kind::Words(&["classic", "v2"])),
    ("delta.columnMapping.mode", Kind::Never(MAPPING)),
    ("delta.columnMapping.maxColumnId", Kind::Never("it counts by itself")),
    ("delta.dataSkippingNumIndexedCols", Kind::Count),
    ("delta.dataSkippingStatsColumns", Kind::Text),
    ("delta.deletedFileRetentionDuration", Kind::Interval),
    ("delta.enableChangeDataFeed", Kind::Switch),
    ("delta.enableDeletionVectors", Kind::Off("Limn writes none, and reading the table would get slower")),
    ("delta.enableExpiredLogCleanup", Kind::Switch),
    ("delta.enableIcebergCompatV1", Kind::Off(NOT_WRITTEN)),
    ("delta.enableIcebergCompatV2", Kind::Off(NOT_WRITTEN)),
    ("delta.enableIcebergCompatV3", Kind::Off(NOT_WRITTEN)),
    ("delta.enableInCommitTimestamps", Kind::Off(NOT_WRITTEN)),
    ("delta.enableRowTracking", Kind::Off(NOT_WRITTEN)),
    ("delta.enableTypeWidening", Kind::Off("Limn could not read the table any more")),
    ("delta.isolationLevel", Kind::Words(&["Serializable"])),
    ("delta.logRetentionDuration", Kind::Interval),
    ("delta.minReaderVersion", Kind::Count),
    ("delta.minWriterVersion", Kind::Count),
    ("delta.randomizeFilePrefixes", Kind::Switch),
    ("delta.randomPrefixLength", Kind::Count),
    ("delta.setTransactionRetentionDuration", Kind::Interval),
    ("delta.targetFileSize", Kind::Text),
    ("delta.tuneFileSizesForRewrites", Kind::Switch),
];

/// The same for a table that is being created.
pub fn check_new(key: &str, value: &str) -> Result<()> {
    match key {
        "delta.columnMapping.mode" if matches!(value, "none" | "name" | "id") => Ok(()),
        _ if key.starts_with(constraints::PREFIX) => Ok(()),
        _ => check(key, value),
    }
}

/// An error where a statement may not give the property this value to a table that is there.
pub fn check(key: &str, value: &str) -> Result<()> {
    if !key.starts_with("delta.") {
        return Ok(());
    }
    let Some((_, kind)) = KNOWN.iter().find(|(known, _)| *known == key) else {
        if key.starts_with("delta.feature.") {
            return Err(Error::unsupported(format!(
                "the property `{key}`: features follow from what a table declares"
            )));
        }
        let near = nearest(key, KNOWN.iter().map(|(known, _)| *known));
        let near = near.map(|near| format!(", the nearest is `{near}`")).unwrap_or_default();
        return Err(Error::input(format!("unknown property `{key}`{near}")));
    };
    let expected = |what: &str| Err(Error::input(format!("expected {what} for the property `{key}`, found `{value}`")));
    match kind {
        Kind::Text => Ok(()),
        Kind::Switch if matches!(value, "true" | "false") => Ok(()),
        Kind::Switch => expected("`true` or `false`"),
        Kind::Count if value.parse::<u32>().is_ok() => Ok(()),
        Kind::Count => expected("a whole number"),
        Kind::Interval if is_interval(value) => Ok(()),
        Kind::Interval => expected("a time such as `interval 7 days`"),
        Kind::Words(words) if words.contains(&value) => Ok(()),
        Kind::Words(words) => expected(&format!("one of {}", words.join(", "))),
        Kind::Off(_) if value == "false" => Ok(()),
        Kind::Off(reason) | Kind::Never(reason) => {
            Err(Error::unsupported(format!("the property `{key}` = `{value}`: {reason}")))
        }
    }
}

/// `interval 7 days`, as deltalake reads it.
fn is_interval(value: &str) -> bool {
    const UNITS: [&str; 6] = ["second", "minute", "hour", "day", "week", "millisecond"];
    let words: Vec<&str> = value.split_whitespace().collect();
    match words.as_slice() {
        [interval, count, unit] => {
            *interval == "interval"
                && count.parse::<u32>().is_ok()
                && UNITS.contains(&unit.strip_suffix('s').unwrap_or(unit))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn only_what_delta_knows_has_its_prefix() {
        check("owner", "me").unwrap();
        check("delta.appendOnly", "true").unwrap();
        check("delta.deletedFileRetentionDuration", "interval 0 hours").unwrap();
        let error = check("delta.apendOnly", "true").unwrap_err();
        assert_eq!(error.message(), "unknown property `delta.apendOnly`, the nearest is `delta.appendOnly`");
    }

    #[test]
    fn a_value_that_means_nothing_is_refused() {
        for (key, value) in [
            ("delta.appendOnly", "yes"),
            ("delta.checkpointInterval", "-1"),
            ("delta.logRetentionDuration", "30 days"),
            ("delta.logRetentionDuration", "interval some days"),
            ("delta.isolationLevel", "serializable"),
        ] {
            assert_eq!(check(key, value).unwrap_err().class(), Class::Input, "{key} = {value}");
        }
        assert_eq!(check("delta.enableRowTracking", "true").unwrap_err().class(), Class::Unsupported);
        check("delta.enableRowTracking", "false").unwrap();
    }
}
