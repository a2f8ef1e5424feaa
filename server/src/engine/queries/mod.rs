//! What runs, what waits, and what ran: the activity of one engine, which the edges fill and `system.queries` shows.
//!
//! An edge begins a [`Run`] for each statement, lets it in ([`Run::admit`]), counts what it sends, and says how it
//! ended; dropping a run ends it. Running ones can be stopped by their id. Ended ones wait in a bounded queue until
//! they are saved; where it is full, the oldest are lost and counted. A query that was planned for a client which has
//! not come for its rows is shown until it comes, or the time for that is up. It knows nothing of protocols or SQL.
//!
//! # Layout
//! - `run`: one run, start to end; `record`: its row
//! - `planned`: what was planned and not yet run; `slots`: how many run at once

mod planned;
mod record;
mod run;
mod slots;

pub use record::{QueryRecord, RunState};
pub use run::Run;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::context::{Principal, StatementContext};
use super::session::Session;
use crate::Result;
use crate::limits::{Limits, QUERIES_SAVE_ROWS, QUERIES_UNSAVED_MAX, QUERY_TEXT_CHARS_MAX};
use crate::sql::redact;
use crate::telemetry::Metrics;
use planned::Planned;
use record::cut;
use run::Live;
use slots::Slots;

/// The activity of one engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queries {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    metrics: Metrics,
    slots: Slots,
    serial: AtomicU64,
    state: Mutex<State>,
    /// Told when the server stops what still runs.
    stopping: CancellationToken,
    /// Told when nothing runs any more.
    idle: Notify,
    /// Told when enough has ended to be saved.
    save_due: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By serial number, which is the order of arrival.
    running: BTreeMap<u64, Arc<Live>>,
    /// Ended and not saved, the oldest first, numbered in the order of their ends.
    ended: VecDeque<(u64, Arc<QueryRecord>)>,
    /// Planned, and not asked for yet.
    planned: Planned,
    /// How many have ended.
    ends: u64,
    /// Ended ones that were lost because too many waited.
    lost: u64,
}

/// What [`Queries::cancel`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// So many runs were told to stop.
    Running(u64),
    /// It is another principal's to stop: this one's.
    Foreign(String),
    /// It has ended, as far as is remembered.
    Ended,
    /// No statement with that id is known.
    Unknown,
}

impl Queries {
    /// No activity yet.
    pub fn new(limits: &Limits, metrics: Metrics) -> Self {
        let inner = Inner {
            metrics,
            slots: Slots::new(limits),
            serial: AtomicU64::new(0),
            state: Mutex::default(),
            stopping: CancellationToken::new(),
            idle: Notify::new(),
            save_due: Notify::new(),
        };
        Queries { inner: Arc::new(inner) }
    }

    /// Begins a run of a statement, which lasts until the answer is dropped.
    pub fn begin(&self, ctx: &StatementContext, statement: &str) -> Run {
        let serial = self.inner.serial.fetch_add(1, Ordering::Relaxed);
        let live = Arc::new(Live::new(ctx, statement));
        ctx.session.used_by(&ctx.principal, ctx.client.as_deref());
        {
            let mut state = self.lock();
            state.planned.asked_for(&ctx.query_id);
            state.running.insert(serial, Arc::clone(&live));
        }
        if self.inner.stopping.is_cancelled() {
            live.cancel();
        }
        Run::new(self.clone(), serial, live)
    }

    /// Stops every run of a statement, as its own client would, where `by` may: its own principal, or whoever runs the
    /// machine.
    pub fn cancel(&self, query_id: &str, by: &Principal) -> Cancelled {
        let state = self.lock();
        let runs = state.running.values().filter(|live| live.query_id() == query_id);
        // Who redeems another's ticket has a run of the same id, and neither is in the other's way.
        let (own, foreign): (Vec<_>, Vec<_>) = runs.partition(|live| by.may_stop(live.principal()));
        match (own.iter().inspect(|live| live.cancel()).count(), foreign.first()) {
            (0, Some(foreign)) => Cancelled::Foreign(foreign.principal().0.clone()),
            (0, None) if state.ended.iter().any(|(_, record)| record.query_id == query_id) => Cancelled::Ended,
            (0, None) => Cancelled::Unknown,
            (stopped, _) => Cancelled::Running(u64::try_from(stopped).unwrap_or(u64::MAX)),
        }
    }

    /// Says that what is stopped from here on is stopped by the server, and stops everything.
    pub fn stop(&self) {
        self.inner.stopping.cancel();
        self.lock().running.values().for_each(|live| live.cancel());
    }

    /// Runs that have not ended.
    pub fn running(&self) -> usize {
        self.lock().running.len()
    }

    /// The sessions in which something runs, and how much, by session id.
    pub fn running_by_session(&self) -> BTreeMap<String, (Arc<Session>, u64)> {
        let mut sessions = BTreeMap::new();
        for live in self.lock().running.values() {
            let session = live.session();
            sessions.entry(session.id.clone()).or_insert_with(|| (Arc::clone(session), 0)).1 += 1;
        }
        sessions
    }

    /// Waits until nothing runs.
    pub async fn idle(&self) {
        loop {
            let mut ended = std::pin::pin!(self.inner.idle.notified());
            // Whoever ends between the look and the wait is not missed.
            ended.as_mut().enable();
            if self.running() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// The rows of what is not saved, oldest first: what ended, what is only planned, then what runs.
    pub fn records(&self) -> Vec<Arc<QueryRecord>> {
        self.abandon(Instant::now());
        let state = self.lock();
        let planned = state.planned.records();
        let running = state.running.values().map(|live| Arc::new(live.record()));
        state.ended.iter().map(|(_, record)| Arc::clone(record)).chain(planned).chain(running).collect()
    }

    /// The columns of [`Queries::batch`].
    pub fn schema() -> SchemaRef {
        Arc::clone(&record::SCHEMA)
    }

    /// [`Queries::records`] as a batch.
    pub fn batch(&self) -> Result<RecordBatch> {
        record::batch(&self.records())
    }

    /// The server's counters.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    fn end(&self, serial: u64, end: End) {
        let mut state = self.lock();
        state.running.remove(&serial);
        if state.running.is_empty() {
            self.inner.idle.notify_waiters();
        }
        match end {
            End::Nothing => {}
            End::Ended(record) => self.keep(&mut state, record),
            End::Planned(record, time) => state.planned.insert(serial, record, Instant::now() + time),
        }
    }

    /// Ends what was planned and nobody came for in time.
    fn abandon(&self, now: Instant) {
        let mut state = self.lock();
        for record in state.planned.expired(now) {
            self.keep(&mut state, record);
        }
    }

    fn keep(&self, state: &mut State, record: QueryRecord) {
        if state.ended.len() >= QUERIES_UNSAVED_MAX {
            state.ended.pop_front();
            if state.lost.is_multiple_of(QUERIES_UNSAVED_MAX as u64) {
                tracing::warn!(
                    lost = state.lost,
                    "more statements end than can be saved; system.queries loses the oldest"
                );
            }
            state.lost += 1;
            self.inner.metrics.lost();
        }
        state.ends += 1;
        let number = state.ends;
        state.ended.push_back((number, Arc::new(record)));
        if state.ended.len() >= QUERIES_SAVE_ROWS {
            self.inner.save_due.notify_one();
        }
    }

    /// What has ended and is not saved, up to number `through` where that is given, with the number of the last one;
    /// `None` for nothing.
    pub(super) fn unsaved(&self, through: Option<u64>) -> Result<Option<(u64, RecordBatch)>> {
        self.abandon(Instant::now());
        let wanted = |(number, _): &&(u64, _)| through.is_none_or(|through| *number <= through);
        let ended: Vec<_> = self.lock().ended.iter().take_while(wanted).cloned().collect();
        let Some(through) = ended.last().map(|(number, _)| *number) else { return Ok(None) };
        let records: Vec<Arc<QueryRecord>> = ended.into_iter().map(|(_, record)| record).collect();
        Ok(Some((through, record::batch(&records)?)))
    }

    /// Forgets what is saved.
    pub(super) fn saved(&self, through: u64) {
        let mut state = self.lock();
        let kept = state.ended.partition_point(|(number, _)| *number <= through);
        state.ended.drain(..kept);
    }

    /// Waits until so much waits to be saved that it should not wait longer.
    pub(super) async fn save_due(&self) {
        self.inner.save_due.notified().await;
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a run's row at its end.
enum End {
    /// There is none.
    Nothing,
    /// It is the row of what has ended.
    Ended(QueryRecord),
    /// It is planned, and its rows may be asked for so long.
    Planned(QueryRecord, Duration),
}

/// A statement's text as others may see it. Of a long one only the front is looked through, since no more is kept.
fn shown(statement: &str) -> String {
    cut(&redact(&cut(statement, QUERY_TEXT_CHARS_MAX * 4)), QUERY_TEXT_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Kind, Principal, Session};
    use crate::{Class, Error};

    fn context() -> StatementContext {
        StatementContext::new(Principal::anonymous(), Arc::new(Session::new()))
    }

    fn queries() -> (Queries, Metrics) {
        let metrics = Metrics::default();
        (Queries::new(&Limits::default(), metrics.clone()), metrics)
    }

    #[test]
    fn the_end_of_one_run_leaves_the_others_cancellable() {
        let (queries, _) = queries();
        let first = context();
        let second = StatementContext { cancel: CancellationToken::new(), ..first.clone() };
        let (run, _still) = (queries.begin(&first, "SELECT 1"), queries.begin(&second, "SELECT 1"));
        drop(run);
        assert_eq!(queries.cancel(&first.query_id, &first.principal), Cancelled::Running(1));
        assert!(second.cancel.is_cancelled() && !first.cancel.is_cancelled());
    }

    #[test]
    fn statements_are_counted_and_cancelled_by_id() {
        let (queries, metrics) = queries();
        let ctx = context();
        let mut first = queries.begin(&ctx, "SELECT 1");
        first.is(Kind::Query);
        assert_eq!(metrics.running_now(), 1);
        assert_eq!(queries.cancel("other", &ctx.principal), Cancelled::Unknown);
        assert_eq!(queries.cancel(&ctx.query_id, &ctx.principal), Cancelled::Running(1));
        assert!(ctx.cancel.is_cancelled());
        drop(first);
        assert_eq!(queries.cancel(&ctx.query_id, &ctx.principal), Cancelled::Ended);
        let mut second = queries.begin(&ctx, "INSERT");
        second.is(Kind::Effect);
        second.ended(Ok(())).unwrap();
        drop(second);
        let text = metrics.to_prometheus();
        assert!(text.contains("{kind=\"query\",class=\"cancelled\"} 1"));
        assert!(text.contains("{kind=\"effect\",class=\"ok\"} 1"));
    }

    #[tokio::test]
    async fn a_run_is_queued_runs_and_ends() {
        let limits = Limits { max_concurrent_queries: 1, ..Limits::default() };
        let queries = Queries::new(&limits, Metrics::default());
        let (ctx, other) = (context(), context());
        let mut first = queries.begin(&ctx, "SELECT 1");
        first.admit().await.unwrap();
        first.sent(3, 100);
        let mut second = queries.begin(&other, "SELECT 2");
        {
            let mut admitted = std::pin::pin!(second.admit());
            assert!(futures::poll!(&mut admitted).is_pending());
            let states: Vec<_> = queries.records().iter().map(|r| (r.statement.clone(), r.state)).collect();
            let expected = [("SELECT 1".to_string(), RunState::Running), ("SELECT 2".to_string(), RunState::Queued)];
            assert_eq!(states, expected);
            // One that waits can be stopped, too.
            queries.cancel(&other.query_id, &other.principal);
            assert_eq!(admitted.await.unwrap_err().class(), Class::Cancelled);
        }
        let failed: Result<()> = first.ended(Err(Error::not_found("gone").with_hint("look elsewhere")));
        assert!(failed.is_err());
        drop((first, second));
        let records = queries.records();
        assert_eq!((records[0].state, records[0].error_class), (RunState::Failed, Some("not_found")));
        assert_eq!((records[0].rows, records[0].bytes, records[0].error.as_deref()), (3, 100, Some("gone")));
        assert_eq!(records[1].state, RunState::Cancelled);
        assert_eq!(records[1].started_at, None);
        assert_eq!(queries.batch().unwrap().num_rows(), 2);
    }

    #[test]
    fn what_the_server_stops_is_unavailable() {
        let (queries, _) = queries();
        let ctx = context();
        let mut run = queries.begin(&ctx, "SELECT 1");
        queries.stop();
        assert!(ctx.cancel.is_cancelled());
        let error = run.ended(ctx.check()).unwrap_err();
        assert_eq!(error.class(), Class::Unavailable);
    }

    #[test]
    fn the_oldest_go_when_too_many_wait_to_be_saved() {
        let (queries, _) = queries();
        for number in 0..QUERIES_UNSAVED_MAX + 2 {
            drop(queries.begin(&context(), &format!("SELECT {number}")));
        }
        let records = queries.records();
        assert_eq!((records.len(), records[0].statement.as_str()), (QUERIES_UNSAVED_MAX, "SELECT 2"));
        assert_eq!(queries.lock().lost, 2);
    }

    #[test]
    fn what_is_saved_is_forgotten_and_nothing_else() {
        let (queries, _) = queries();
        assert!(queries.unsaved(None).unwrap().is_none());
        drop(queries.begin(&context(), "SELECT 1"));
        drop(queries.begin(&context(), "SELECT 2"));
        let (through, rows) = queries.unsaved(None).unwrap().unwrap();
        assert_eq!(rows.num_rows(), 2);
        drop(queries.begin(&context(), "SELECT 3"));
        assert_eq!(queries.unsaved(Some(through)).unwrap().unwrap().1.num_rows(), 2);
        queries.saved(through);
        let left: Vec<_> = queries.records().iter().map(|record| record.statement.clone()).collect();
        assert_eq!(left, ["SELECT 3"]);
    }

    #[test]
    fn only_its_principal_and_the_operator_stop_a_statement() {
        let (queries, _) = queries();
        let principal = |name: &str| Principal(name.into());
        let ctx = StatementContext::new(principal("ada"), Arc::new(Session::new()));
        let _run = queries.begin(&ctx, "SELECT 1");
        assert_eq!(queries.cancel(&ctx.query_id, &principal("bob")), Cancelled::Foreign("ada".into()));
        assert_eq!(queries.cancel(&ctx.query_id, &Principal::anonymous()), Cancelled::Foreign("ada".into()));
        assert!(!ctx.cancel.is_cancelled());
        // A run of the same id, by a ticket that somebody else redeemed, is no hindrance.
        let other = StatementContext { query_id: ctx.query_id.clone(), ..context() };
        let other = StatementContext { principal: principal("bob"), ..other };
        let _another = queries.begin(&other, "SELECT 1");
        assert_eq!(queries.cancel(&ctx.query_id, &principal("bob")), Cancelled::Running(1));
        assert!(other.cancel.is_cancelled() && !ctx.cancel.is_cancelled());
        assert_eq!(queries.cancel(&ctx.query_id, &Principal::operator()), Cancelled::Running(2));
        assert!(ctx.cancel.is_cancelled());
    }

    #[test]
    fn what_is_planned_is_shown_until_it_is_asked_for() {
        let (queries, metrics) = queries();
        let ctx = context();
        let plan = |time: Duration| {
            let mut run = queries.begin(&ctx, "SELECT 1");
            run.start();
            run.is(Kind::Query);
            run.ended(Ok(())).unwrap();
            run.planned_for(time);
        };
        plan(Duration::from_secs(3600));
        assert_eq!((queries.running(), metrics.running_now()), (0, 0));
        let [record] = queries.records().try_into().unwrap();
        assert_eq!((record.state, record.ended_at, record.kind), (RunState::Planned, None, Some("query")));
        assert!(record.planning_ms.is_some() && record.execution_ms.is_none());
        assert!(queries.unsaved(None).unwrap().is_none());
        let run = queries.begin(&ctx, "SELECT 1");
        assert_eq!(queries.records().len(), 1);
        drop(run);
        plan(Duration::ZERO);
        let states: Vec<_> = queries.records().iter().map(|record| record.state).collect();
        assert_eq!(states, [RunState::Cancelled, RunState::Abandoned]);
        assert!(queries.records()[1].ended_at.is_some());
        assert_eq!(queries.unsaved(None).unwrap().unwrap().1.num_rows(), 2);
    }

    #[test]
    fn a_prepared_statement_leaves_no_row() {
        let (queries, metrics) = queries();
        let mut run = queries.begin(&context(), "SELECT 1");
        run.ended(Ok(())).unwrap();
        run.passed_on();
        drop(run);
        assert!(queries.records().is_empty());
        assert_eq!(metrics.running_now(), 0);
    }
}
