//! Files that SQL reads where they lie: CSV, JSON, Parquet, and any as it is, by path or glob.
//!
//! All input and output that planning needs (listing, headers, type inference) is done here before a plan exists, in
//! async functions that stop when they are dropped. It knows nothing of sessions, statements or Delta tables.
//!
//! # Layout
//! - [`glob`]: which files a path names; [`csv`], [`json`], [`parquet`]: the formats
//! - [`content`]: files as rows, with what is in them

pub mod content;
pub mod csv;
pub mod glob;
pub mod json;
pub mod parquet;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use content::{Content, open_content};
pub use csv::{CsvOptions, open_csv, open_csv_files};
pub use glob::{FileStat, list, local_path};
pub use json::{JsonOptions, json_rules, open_json, open_json_files};
pub use parquet::{open_parquet, open_parquet_files};

use crate::{Error, Result};

/// Tells blocking work that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A `Cancelled` error once the caller is gone.
    pub(crate) fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(Error::cancelled("the statement was cancelled")),
            false => Ok(()),
        }
    }
}

/// Sets the flag when the future that waits for the work is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs blocking work away from the async threads; dropping the future tells the work to stop.
async fn blocking<T: Send + 'static>(work: impl FnOnce(&Stop) -> Result<T> + Send + 'static) -> Result<T> {
    let stop = Stop::default();
    let _guard = StopOnDrop(stop.clone());
    match tokio::task::spawn_blocking(move || work(&stop)).await {
        Ok(done) => done,
        Err(error) => Err(Error::internal(format!("reading files failed: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_stops() {
        let (started, is_started) = tokio::sync::oneshot::channel();
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(blocking(move |stop| {
            started.send(()).unwrap();
            while stop.check().is_ok() {
                std::thread::yield_now();
            }
            ended.send(stop.check().unwrap_err().class()).unwrap();
            Ok(())
        }));
        is_started.await.unwrap();
        waiting.abort();
        assert_eq!(has_ended.await.unwrap(), crate::Class::Cancelled);
    }
}
