//! The rows of a system table as they are, or as they were after a transaction or at a time.
//!
//! A past state is read from the Delta table up to what has been folded and from the tail in memory after it, both
//! taken at one moment: folding moves the border between them and so changes no answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chrono::{DateTime, SecondsFormat, Utc};

use super::published::State;
use super::tables::SystemTable;
use super::version::{Key, Stamp, Version};
use super::{Inner, SystemAt, batches, fold};
use crate::{Error, Result};

/// Which transactions a reader sees.
#[derive(Debug, Clone, Copy)]
enum Until {
    Seq(u64),
    Time(DateTime<Utc>),
}

impl Until {
    fn includes(self, stamp: Stamp) -> bool {
        match self {
            Until::Seq(seq) => stamp.seq <= seq,
            Until::Time(time) => stamp.recorded_at <= time,
        }
    }
}

impl Inner {
    /// See [`super::Registry::rows`].
    pub(super) async fn rows(&self, table: SystemTable, at: SystemAt) -> Result<Vec<RecordBatch>> {
        if let SystemAt::Timestamp(time) = at {
            self.settle(table, time).await?;
        }
        let (until, tail) = {
            let state = self.published.read();
            let until = until(&state, table, at)?;
            if until.includes(state.index.last()) && table.is_indexed() {
                let versions: Vec<Arc<Version>> = state.index.versions(table).cloned().collect();
                drop(state);
                return batches::visible(table, &versions);
            }
            (until, state.tail(table).clone())
        };
        let stored = match tail.folded {
            0 => Vec::new(),
            _ => self.target.read(table).await?,
        };
        // Decoding a long history takes a while, and other statements are waiting for this thread.
        fold::blocking(move || {
            let wanted = |stamp: Stamp| stamp.seq <= tail.folded && until.includes(stamp);
            let mut versions = fold::versions(table, &stored, wanted)?;
            versions.extend(tail.versions.into_iter().filter(|version| until.includes(version.stamp)));
            batches::visible(table, &current(versions))
        })
        .await
    }

    /// Makes sure that what is read at `time` will not change any more: transactions under way are waited for, and
    /// later ones get a later time.
    async fn settle(&self, table: SystemTable, time: DateTime<Utc>) -> Result<()> {
        let last = self.published.last().recorded_at;
        if time <= last {
            return Ok(());
        }
        let now = self.writers.now();
        if time > now {
            let what = format!("`system.{}` cannot be read at {}: it is in the future", table.name(), text(time));
            return Err(Error::input(what).with_hint(format!("now is {}", text(now.max(last)))));
        }
        self.writers.record_after(time).await
    }
}

/// Checks `at` against the history there is.
fn until(state: &State, table: SystemTable, at: SystemAt) -> Result<Until> {
    let last = state.index.last_seq();
    let name = table.name();
    match at {
        SystemAt::Latest => Ok(Until::Seq(last)),
        SystemAt::Sequence(seq) if seq <= last => Ok(Until::Seq(seq)),
        SystemAt::Sequence(seq) => {
            Err(Error::input(format!("version {seq} of `system.{name}` does not exist, its versions are 0 to {last}")))
        }
        SystemAt::Timestamp(time) => match state.first {
            Some(first) if time < first.recorded_at => Err(Error::input(format!(
                "`system.{name}` cannot be read at {}: its history begins at {}",
                text(time),
                text(first.recorded_at)
            ))),
            _ => Ok(Until::Time(time)),
        },
    }
}

/// The row versions that are current after all of `versions`, ordered by key.
fn current(versions: Vec<Arc<Version>>) -> Vec<Arc<Version>> {
    let mut last: BTreeMap<Key, Arc<Version>> = BTreeMap::new();
    for version in versions {
        let key = version.record.key();
        match last.get(&key) {
            Some(known) if known.stamp.seq > version.stamp.seq => {}
            _ => drop(last.insert(key, version)),
        }
    }
    last.into_values().filter(|version| !version.deleted).collect()
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
