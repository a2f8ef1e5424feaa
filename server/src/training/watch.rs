//! What a training may use and when it must stop.
//!
//! One value stands between the statement (cancellation, deadline, memory pool) and an algorithm that knows of none of
//! them. It knows nothing of models.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::stream::{BoxStream, StreamExt};
use limn_sql_udfs::train::Watch;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// How much of a statement is done, as far as it says. Clones are of the same statement.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Says that the share `done`, from 0 to 1, is done. What was done stays done, whatever is said later.
    pub fn is(&self, done: f64) {
        // One more than the bits, so that nothing said is not 0 %; those of positive numbers have the numbers' order.
        self.0.fetch_max(done.clamp(0.0, 1.0).to_bits() + 1, Ordering::Relaxed);
    }

    /// The share that is done, where the statement has said so.
    pub fn known(&self) -> Option<f64> {
        self.0.load(Ordering::Relaxed).checked_sub(1).map(f64::from_bits)
    }
}

/// The statement's side of a training.
#[derive(Debug)]
pub(super) struct TrainingWatch {
    memory: Mutex<MemoryReservation>,
    cancel: CancellationToken,
    deadline: Option<Instant>,
    progress: Progress,
    threads: usize,
}

impl TrainingWatch {
    pub(super) fn new(
        memory: MemoryReservation,
        cancel: CancellationToken,
        deadline: Option<Instant>,
        progress: Progress,
        threads: usize,
    ) -> Self {
        TrainingWatch { memory: Mutex::new(memory), cancel, deadline, progress, threads }
    }

    /// Why the training must stop, if it must.
    pub(super) fn reason(&self) -> Option<Error> {
        if self.cancel.is_cancelled() {
            return Some(Error::cancelled("the training was cancelled"));
        }
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        late.then(|| Error::deadline_exceeded("the statement's deadline passed during the training"))
    }

    /// The next rows, or why there are none.
    pub(super) async fn next(&self, rows: &mut BoxStream<'static, Result<RecordBatch>>) -> Result<Option<RecordBatch>> {
        let deadline = async {
            match self.deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let next = tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            () = deadline => None,
            next = rows.next() => Some(next),
        };
        match next {
            Some(next) => next.transpose(),
            None => Err(self.reason().unwrap_or_else(|| Error::cancelled("the training was cancelled"))),
        }
    }

    /// Takes memory from the pool until the training ends.
    pub(super) fn take(&self, bytes: usize) -> Result<()> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.try_grow(bytes).map_err(|error| {
            Error::from(error)
                .context("the training does not fit")
                .with_hint("train on fewer rows or columns, or give the server more memory (`limn serve --memory`)")
        })
    }
}

impl Watch for TrainingWatch {
    fn cancelled(&self) -> bool {
        self.reason().is_some()
    }

    fn progress(&self, done: f64) {
        self.progress.is(done);
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn reserve(&self, bytes: usize) -> limn_sql_udfs::Result<()> {
        self.take(bytes).map_err(|error| {
            let exhausted = limn_sql_udfs::Error::exhausted(error.message());
            match error.hint() {
                Some(hint) => exhausted.with_hint(hint),
                None => exhausted,
            }
        })
    }
}
