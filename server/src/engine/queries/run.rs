//! One run of a statement: let in, counted, and ended, whatever becomes of whoever runs it.
//!
//! A run that is dropped has ended, so a client that goes away or a panic leaves nothing behind. While its reader is
//! slow, a run gives its place to others. It knows nothing of what the statement does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::{QueryRecord, RunState, cut, now};
use super::slots::Slot;
use super::{End, Principal, Queries, StatementContext};
use crate::engine::{Kind, Session};
use crate::limits::QUERY_ERROR_CHARS_MAX;
use crate::telemetry::{Running, StatementKind};
use crate::{Class, Error, Result};

/// What others see of a run while it lasts.
#[derive(Debug)]
pub(super) struct Live {
    ctx: StatementContext,
    begun: Instant,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    record: QueryRecord,
    started: Option<Instant>,
    planned: Option<Instant>,
}

impl Live {
    pub(super) fn new(ctx: &StatementContext, statement: &str) -> Self {
        let record = QueryRecord {
            query_id: ctx.query_id.clone(),
            session_id: ctx.session.id.clone(),
            principal: ctx.principal.0.clone(),
            statement: super::shown(statement),
            kind: None,
            state: RunState::Queued,
            queued_at: now(),
            started_at: None,
            ended_at: None,
            planning_ms: None,
            execution_ms: None,
            total_ms: None,
            rows: 0,
            bytes: 0,
            rows_changed: None,
            peak_memory_bytes: 0,
            error_class: None,
            error: None,
            client: ctx.client.as_deref().map(str::to_string),
        };
        let progress = Mutex::new(Progress { record, started: None, planned: None });
        Live { ctx: ctx.clone(), begun: Instant::now(), progress }
    }

    pub(super) fn query_id(&self) -> &str {
        &self.ctx.query_id
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.ctx.principal
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.ctx.session
    }

    pub(super) fn cancel(&self) {
        self.ctx.cancel.cancel();
    }

    /// The row as of now.
    pub(super) fn record(&self) -> QueryRecord {
        let now = Instant::now();
        let progress = self.lock();
        let mut record = progress.record.clone();
        match (progress.started, progress.planned) {
            (Some(started), Some(planned)) => {
                record.planning_ms = Some(millis(planned - started));
                record.execution_ms = Some(millis(now - planned));
            }
            // Nobody has said where planning ends and work begins.
            (Some(started), None) => record.execution_ms = Some(millis(now - started)),
            (None, _) => {}
        }
        record.total_ms = Some(millis(now - self.begun));
        record.peak_memory_bytes = self.ctx.memory.peak();
        record
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What is shown of an internal error.
const INTERNAL: &str = "internal error; the server's log has the details";

/// One run of a statement; dropping it ends it, counts it and logs it.
#[derive(Debug)]
pub struct Run {
    all: Queries,
    serial: u64,
    live: Arc<Live>,
    slot: Option<Slot>,
    /// Whether it gave its place to others.
    paused: bool,
    _running: Running,
    kind: StatementKind,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// Neither success nor failure was reported: whoever ran it went away.
    Dropped,
    Done,
    Failed(Class, String),
    /// Only described, for later runs that count by themselves.
    PassedOn,
    /// Only planned; its rows may be asked for so long.
    Planned(Duration),
}

impl Run {
    pub(super) fn new(all: Queries, serial: u64, live: Arc<Live>) -> Self {
        let running = all.inner.metrics.running();
        let kind = StatementKind::Unknown;
        Run { all, serial, live, slot: None, paused: false, _running: running, kind, outcome: Outcome::Dropped }
    }

    /// Waits for a place among the running statements, in the order of arrival. `Exhausted` where too many wait or it
    /// takes too long; stopped as the statement is.
    pub async fn admit(&mut self) -> Result<()> {
        let (slots, metrics) = (&self.all.inner.slots, &self.all.inner.metrics);
        let entered = {
            let _waiting = metrics.queued();
            self.live.ctx.run(slots.enter()).await
        };
        if let Err(error) = &entered
            && error.class() == Class::Exhausted
        {
            metrics.rejected();
        }
        self.slot = Some(entered?);
        self.start();
        Ok(())
    }

    /// Lets it in without a place: what takes no time is not kept waiting by what does.
    pub fn start(&mut self) {
        let mut progress = self.live.lock();
        progress.record.state = RunState::Running;
        progress.record.started_at = Some(now());
        progress.started = Some(Instant::now());
    }

    /// Says that it is planned and gives rows from here on.
    pub fn planned(&mut self) {
        self.live.lock().planned = Some(Instant::now());
    }

    /// Lets others run, where it has a place: its reader is slow.
    pub fn pause(&mut self) {
        self.paused |= self.slot.take().is_some();
    }

    /// Waits for a place again after a [`Run::pause`]; nothing without one.
    pub async fn resume(&mut self) -> Result<()> {
        if self.paused {
            self.slot = Some(self.live.ctx.run(self.all.inner.slots.enter_again()).await?);
            self.paused = false;
        }
        Ok(())
    }

    /// Says what kind of statement it turned out to be.
    pub fn is(&mut self, kind: Kind) {
        let (kind, name) = match kind {
            Kind::Query => (StatementKind::Query, "query"),
            Kind::Effect | Kind::EffectWithRows => (StatementKind::Effect, "effect"),
        };
        self.kind = kind;
        self.live.lock().record.kind = Some(name);
    }

    /// Counts what was sent.
    pub fn sent(&mut self, rows: u64, bytes: u64) {
        let mut progress = self.live.lock();
        progress.record.rows += rows;
        progress.record.bytes += bytes;
    }

    /// Counts rows changed.
    pub fn changed(&mut self, rows: Option<u64>) {
        self.live.lock().record.rows_changed = rows;
    }

    /// Says that it was only described, and leaves no row.
    pub fn passed_on(&mut self) {
        self.outcome = Outcome::PassedOn;
    }

    /// Says that only planning ended here: the run is counted where its rows are asked for, which may be for `time`.
    pub fn planned_for(&mut self, time: Duration) {
        self.outcome = Outcome::Planned(time);
    }

    /// Notes how it ended, and passes the result through. What the server itself stopped is `Unavailable`: sent again,
    /// to the next server, it may well work.
    pub fn ended<T>(&mut self, result: Result<T>) -> Result<T> {
        match result {
            Ok(done) => {
                self.outcome = Outcome::Done;
                Ok(done)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// [`Run::ended`] with an error.
    pub fn failed(&mut self, error: Error) -> Error {
        let error = match error.class() {
            Class::Cancelled if self.all.inner.stopping.is_cancelled() => {
                Error::unavailable("the server is stopping and has cancelled the statement")
                    .with_hint("run it again once the server is back")
            }
            _ => error,
        };
        self.outcome = match error.class() {
            // The text of an internal error is for the log, where the query id finds it.
            Class::Internal => Outcome::Failed(Class::Internal, INTERNAL.into()),
            class => Outcome::Failed(class, cut(error.message(), QUERY_ERROR_CHARS_MAX)),
        };
        error
    }

    /// The run's last row.
    fn last_record(&self, state: RunState, class: Option<Class>, error: Option<String>) -> QueryRecord {
        let mut record = self.live.record();
        record.state = state;
        record.ended_at = Some(now());
        record.error_class = class.map(Class::name);
        record.error = error;
        record
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Outcome::Dropped);
        let (state, class, error) = match outcome {
            Outcome::PassedOn => return self.all.end(self.serial, End::Nothing),
            Outcome::Planned(time) => {
                let record = self.live.record();
                return self.all.end(self.serial, End::Planned(record, time));
            }
            Outcome::Done => (RunState::Finished, None, None),
            Outcome::Dropped => (RunState::Cancelled, Some(Class::Cancelled), None),
            Outcome::Failed(Class::Cancelled, error) => (RunState::Cancelled, Some(Class::Cancelled), Some(error)),
            Outcome::Failed(class, error) => (RunState::Failed, Some(class), Some(error)),
        };
        let record = self.last_record(state, class, error);
        let metrics = &self.all.inner.metrics;
        metrics.finished(self.kind, class);
        metrics.sent(record.rows, record.bytes);
        tracing::info!(
            query.id = record.query_id,
            kind = ?self.kind,
            class = class.map_or("ok", Class::name),
            rows = record.rows,
            bytes = record.bytes,
            planning_ms = record.planning_ms,
            execution_ms = record.execution_ms,
            total_ms = record.total_ms,
            "statement ended"
        );
        self.all.end(self.serial, End::Ended(record));
    }
}
