//! How a transaction becomes durable: staged under the writers' lock, written by the log's thread, then answered.
//!
//! Writers see what is staged before them, so that two of them never get the same version number; readers see only
//! what is durable. That is why there are two indexes, which share their rows. Where another server was first, what is
//! staged is given up and decided anew. It knows nothing of folding.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{mpsc, oneshot};

use super::artifacts::Artifacts;
use super::check;
use super::frame::Group;
use super::index::Index;
use super::log::{Failure, Message, Outcome, Reply};
use super::micros;
use super::published::Published;
use super::rows::Row;
use super::version::{Record, Stamp, Version};
use crate::limits::{REGISTRY_RECORD_BYTES_MAX, REGISTRY_UNFOLDED_ROWS_MAX, SHARED_ATTEMPTS_MAX};
use crate::{Error, Result};

/// Gives the time; a test may be it.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The way into the log.
pub struct Writers {
    staging: Arc<Staging>,
    queue: mpsc::Sender<Message>,
    failure: Failure,
    clock: Clock,
    /// Whether other servers write the same log.
    is_shared: bool,
}

/// The staged rows.
pub struct Staging(Mutex<Staged>);

/// See [`Staging`].
pub struct Staged {
    /// The rows as they will be once all staged transactions are durable.
    pub index: Index,
    /// How often staged transactions were given up.
    pub epoch: u64,
    /// Times up to this one were asked for by AS OF; what comes later is recorded later.
    asked: DateTime<Utc>,
    closed: bool,
}

impl Staging {
    /// Staging that goes on from `index`.
    pub fn new(index: Index) -> Arc<Self> {
        let staged = Staged { index, epoch: 0, asked: DateTime::<Utc>::UNIX_EPOCH, closed: false };
        Arc::new(Staging(Mutex::new(staged)))
    }

    /// The staged rows, held.
    pub fn lock(&self) -> MutexGuard<'_, Staged> {
        // The staged index changes only after everything that can fail, so a poisoned lock is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writers {
    /// Writers that go on from what is staged.
    pub fn new(
        staging: Arc<Staging>,
        queue: mpsc::Sender<Message>,
        failure: Failure,
        clock: Clock,
        is_shared: bool,
    ) -> Self {
        Writers { staging, queue, failure, clock, is_shared }
    }

    fn lock(&self) -> MutexGuard<'_, Staged> {
        self.staging.lock()
    }

    /// See [`super::Registry::transact`].
    pub async fn transact<T: Send>(
        &self,
        published: &Published,
        artifacts: &Artifacts,
        mut f: impl FnMut(&Index) -> Result<(Vec<Row>, T)> + Send,
    ) -> Result<T> {
        for _ in 0..SHARED_ATTEMPTS_MAX {
            if let Some(decided) = self.attempt(published, artifacts, &mut f).await? {
                return decided;
            }
        }
        Err(Error::unavailable(format!("other servers wrote to the registry first, {SHARED_ATTEMPTS_MAX} times")))
    }

    /// One try; `None` where another server was first.
    async fn attempt<T: Send>(
        &self,
        published: &Published,
        artifacts: &Artifacts,
        f: &mut (impl FnMut(&Index) -> Result<(Vec<Row>, T)> + Send),
    ) -> Result<Option<Result<T>>> {
        let place = self.queue.reserve().await.map_err(|_| closed())?;
        if published.read().unfolded_rows() >= REGISTRY_UNFOLDED_ROWS_MAX {
            return Err(Error::unavailable(format!(
                "{REGISTRY_UNFOLDED_ROWS_MAX} row versions of the registry wait to be folded into its Delta tables"
            ))
            .with_hint("the server's log says why folding fails"));
        }
        let (answer, answered) = oneshot::channel();
        let outcome = self.stage(place, answer, artifacts, f)?;
        match answered.await.map_err(|_| closed())?? {
            Outcome::Durable => Ok(Some(outcome)),
            Outcome::Lost => Ok(None),
        }
    }

    /// Queues what `f` makes of the staged rows. The outer error means that nothing was queued.
    fn stage<T>(
        &self,
        place: mpsc::Permit<'_, Message>,
        answer: oneshot::Sender<Result<Outcome>>,
        artifacts: &Artifacts,
        f: &mut impl FnMut(&Index) -> Result<(Vec<Row>, T)>,
    ) -> Result<Result<T>> {
        let mut staged = self.lock();
        if let Some(error) = self.failure.get() {
            return Err(error.clone());
        }
        if staged.closed {
            return Err(closed());
        }
        let answer = Reply { epoch: staged.epoch, answer };
        let made = f(&staged.index).and_then(|(rows, value)| Ok((self.group(&staged, artifacts, rows)?, value)));
        // What was read may be staged only. Answering before it is durable would let a power cut take back what
        // somebody was told, refusals included.
        let (group, line, value) = match made {
            Ok((Some((group, line)), value)) => (group, line, value),
            Ok((None, value)) => {
                place.send(Message::Barrier(answer));
                return Ok(Ok(value));
            }
            Err(error) => {
                place.send(Message::Barrier(answer));
                return Ok(Err(error));
            }
        };
        staged.index.advance(group.stamp);
        group.versions.iter().for_each(|version| staged.index.apply(version));
        // Sent under the lock, so that the queue has the order of the sequence numbers.
        place.send(Message::Append(group, line, answer));
        Ok(Ok(value))
    }

    /// The transaction of these rows with its line in the log; `None` for no rows.
    fn group(&self, staged: &Staged, artifacts: &Artifacts, rows: Vec<Row>) -> Result<Option<(Group, Vec<u8>)>> {
        if rows.is_empty() {
            return Ok(None);
        }
        let changes = check::changes(&staged.index, rows)?;
        let last = staged.index.last();
        let stamp = Stamp { seq: last.seq + 1, recorded_at: self.record_time(last.recorded_at.max(staged.asked)) };
        let mut versions = Vec::with_capacity(changes.len());
        for (deleted, record) in changes.into_values() {
            if let (false, Record::ModelVersions(row)) = (deleted, &record)
                && !artifacts.has(&row.artifact_sha256)
            {
                return Err(Error::internal(format!(
                    "the artifact `{}` of model `{}/{}` is not stored",
                    row.artifact_sha256, row.name, row.version
                )));
            }
            versions.push(Arc::new(Version { stamp, deleted, record }));
        }
        let group = Group { stamp, versions };
        let line = group.encode()?;
        match line.len() < REGISTRY_RECORD_BYTES_MAX {
            true => Ok(Some((group, line))),
            false => Err(Error::exhausted(format!(
                "a transaction of the registry has {} bytes, the limit is {REGISTRY_RECORD_BYTES_MAX}",
                line.len()
            ))),
        }
    }

    /// Now, but later than `before` even where the clock has gone back or not moved.
    fn record_time(&self, before: DateTime<Utc>) -> DateTime<Utc> {
        let next = before.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(before);
        micros::cut((self.clock)()).max(next)
    }

    /// The time by the registry's clock.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// Makes sure that every transaction which is not durable when this returns is recorded after `time`.
    pub async fn record_after(&self, time: DateTime<Utc>) -> Result<()> {
        {
            let mut staged = self.lock();
            staged.asked = staged.asked.max(micros::cut(time));
        }
        match self.is_shared {
            // What this server remembers is nothing to the others: the log must say so.
            true => self.mark(time).await,
            // An error means that nothing will become durable any more, which serves as well.
            false => {
                drop(self.settled().await);
                Ok(())
            }
        }
    }

    /// Waits until all that is staged is durable, and until what other servers made durable before is published.
    pub async fn settled(&self) -> Result<()> {
        // It was decided on no rows, so that it holds on all.
        self.ask(|answer| Message::Barrier(Reply { epoch: u64::MAX, answer })).await?.map(drop)
    }

    /// Makes a transaction without rows durable that is recorded after `time`, unless there is a later one.
    async fn mark(&self, time: DateTime<Utc>) -> Result<()> {
        for _ in 0..SHARED_ATTEMPTS_MAX {
            let place = self.queue.reserve().await.map_err(|_| closed())?;
            let (answer, answered) = oneshot::channel();
            {
                let mut staged = self.lock();
                let (last, reply) = (staged.index.last(), Reply { epoch: staged.epoch, answer });
                if last.recorded_at > time {
                    place.send(Message::Barrier(reply));
                } else {
                    let recorded_at = self.record_time(last.recorded_at.max(staged.asked));
                    let group = Group { stamp: Stamp { seq: last.seq + 1, recorded_at }, versions: Vec::new() };
                    let line = group.encode()?;
                    staged.index.advance(group.stamp);
                    place.send(Message::Append(group, line, reply));
                }
            }
            if answered.await.map_err(|_| closed())?? == Outcome::Durable {
                return Ok(());
            }
        }
        Err(Error::unavailable(format!("other servers wrote to the registry first, {SHARED_ATTEMPTS_MAX} times")))
    }

    /// Refuses transactions from here on.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Sends something else than a transaction to the log's thread and waits for its answer.
    pub async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(message(answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }
}

fn closed() -> Error {
    Error::unavailable("the registry is closed")
}
