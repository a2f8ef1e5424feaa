//! Runs a statement's work in a task of its own, so that neither a panic nor a client that goes away takes more with it
//! than the statement.
//!
//! A handler's future is dropped when its client hangs up. Reading may then stop anywhere; an effect is told, and stops
//! by itself before its commit begins or completes. Each statement is counted, logged once, and can be cancelled by
//! its query id while it runs. It knows nothing of Flight.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use super::compute;
use crate::engine::{Kind, StatementContext};
use crate::telemetry::{Metrics, Running, StatementKind};
use crate::{Class, Error, Result};

/// Runs work that only reads. It stops when the client goes away, is cancelled, or the deadline passes.
pub async fn read<T: Send + 'static>(
    ctx: &StatementContext,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let own = ctx.clone();
    change(ctx, async move { own.run(work).await }).await
}

/// Runs work that may change something. It is told when the client goes away, and decides itself where to stop.
pub async fn change<T: Send + 'static>(
    ctx: &StatementContext,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let gone = ctx.cancel.clone().drop_guard();
    let done = compute::spawn(catch(work)).await;
    gone.disarm();
    done.unwrap_or_else(|_| Err(Error::unavailable("the server is stopping")))
}

/// `work`, where a panic is an internal error.
pub async fn catch<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(format!("the statement panicked: {}", text.unwrap_or("no text")))
}

/// The runs of each query id, each with a serial number.
type Tokens = HashMap<String, Vec<(u64, CancellationToken)>>;

/// The statements that run now, by query id.
#[derive(Debug, Clone, Default)]
pub struct Statements {
    metrics: Metrics,
    // One query id may run several times: a ticket may be redeemed again while its first stream is open.
    tokens: Arc<Mutex<Tokens>>,
    serial: Arc<AtomicU64>,
}

impl Statements {
    /// Counts into `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Statements { metrics, tokens: Arc::default(), serial: Arc::default() }
    }

    /// Begins a statement, which runs until the answer ends or is dropped.
    pub fn begin(&self, ctx: &StatementContext) -> Statement {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        self.lock().entry(ctx.query_id.clone()).or_default().push((serial, ctx.cancel.clone()));
        Statement {
            serial,
            all: self.clone(),
            _running: self.metrics.running(),
            query_id: ctx.query_id.clone(),
            kind: StatementKind::Unknown,
            begun: Instant::now(),
            rows: 0,
            bytes: 0,
            outcome: Outcome::Dropped,
        }
    }

    /// Cancels every run of a query; `false` where none runs.
    pub fn cancel(&self, query_id: &str) -> bool {
        let tokens = self.lock();
        let running = tokens.get(query_id).into_iter().flatten();
        running.inspect(|(_, token)| token.cancel()).count() > 0
    }

    // No code panics while it holds the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One running statement; dropping it counts and logs its end.
#[derive(Debug)]
pub struct Statement {
    all: Statements,
    serial: u64,
    _running: Running,
    query_id: String,
    kind: StatementKind,
    begun: Instant,
    rows: u64,
    bytes: u64,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// Neither success nor failure was reported: whoever ran it went away.
    Dropped,
    Done,
    Failed(Class),
    /// Only planned; the run is another's to count.
    PassedOn,
}

impl Statement {
    /// Says what kind of statement it turned out to be.
    pub fn is(&mut self, kind: Kind) {
        self.kind = match kind {
            Kind::Query => StatementKind::Query,
            Kind::Effect | Kind::EffectWithRows => StatementKind::Effect,
        };
    }

    /// Counts what was sent.
    pub fn sent(&mut self, rows: u64, bytes: u64) {
        self.rows += rows;
        self.bytes += bytes;
    }

    /// Says that only planning ended here: the run is counted where the ticket is redeemed.
    pub fn passed_on(&mut self) {
        self.outcome = Outcome::PassedOn;
    }

    /// Notes how it ended, and passes the result through.
    pub fn ended<T>(&mut self, result: Result<T>) -> Result<T> {
        self.outcome = match &result {
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Failed(error.class()),
        };
        result
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        {
            let mut tokens = self.all.lock();
            if let Some(running) = tokens.get_mut(&self.query_id) {
                running.retain(|(serial, _)| *serial != self.serial);
                if running.is_empty() {
                    tokens.remove(&self.query_id);
                }
            }
        }
        let outcome = match self.outcome {
            Outcome::Done => None,
            Outcome::Dropped => Some(Class::Cancelled),
            Outcome::Failed(class) => Some(class),
            Outcome::PassedOn => return,
        };
        self.all.metrics.finished(self.kind, outcome);
        self.all.metrics.sent(self.rows, self.bytes);
        tracing::info!(
            query.id = self.query_id,
            kind = ?self.kind,
            class = outcome.map_or("ok", Class::name),
            rows = self.rows,
            bytes = self.bytes,
            total_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "statement ended"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Principal, Session};

    fn context() -> StatementContext {
        StatementContext::new(Principal::anonymous(), Arc::new(Session::new()))
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        let error = read::<()>(&context(), async { panic!("boom {}", 7) }).await.unwrap_err();
        assert_eq!((error.class(), error.message()), (Class::Internal, "the statement panicked: boom 7"));
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_stops_the_work() {
        let ctx = context();
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        let handler = {
            let ctx = ctx.clone();
            tokio::spawn(async move {
                read::<()>(&ctx, async move {
                    let _alive = alive;
                    std::future::pending().await
                })
                .await
            })
        };
        tokio::task::yield_now().await;
        handler.abort();
        ctx.cancel.cancelled().await;
        // The sender is dropped with the work, which is how its end is seen.
        assert!(ended.await.is_err());
    }

    #[tokio::test]
    async fn an_effect_is_told_but_runs_to_its_own_end() {
        let ctx = context();
        let (done, ended) = tokio::sync::oneshot::channel();
        let (started, begun) = tokio::sync::oneshot::channel();
        let handler = {
            let (outer, inner) = (ctx.clone(), ctx.clone());
            tokio::spawn(async move {
                change::<()>(&outer, async move {
                    let _ = started.send(());
                    inner.cancel.cancelled().await;
                    let _ = done.send("committed");
                    Ok(())
                })
                .await
            })
        };
        begun.await.unwrap();
        handler.abort();
        assert_eq!(ended.await.unwrap(), "committed");
    }

    #[tokio::test]
    async fn a_finished_work_leaves_the_statement_alive() {
        let ctx = context();
        assert_eq!(read(&ctx, async { Ok(1) }).await.unwrap(), 1);
        assert!(!ctx.cancel.is_cancelled());
    }

    #[test]
    fn the_end_of_one_run_leaves_the_others_cancellable() {
        let statements = Statements::new(Metrics::default());
        let first = context();
        let second = StatementContext { cancel: CancellationToken::new(), ..first.clone() };
        let (run, _still) = (statements.begin(&first), statements.begin(&second));
        drop(run);
        assert!(statements.cancel(&first.query_id));
        assert!(second.cancel.is_cancelled() && !first.cancel.is_cancelled());
    }

    #[test]
    fn statements_are_counted_and_cancelled_by_id() {
        let metrics = Metrics::default();
        let statements = Statements::new(metrics.clone());
        let ctx = context();
        let mut first = statements.begin(&ctx);
        first.is(Kind::Query);
        assert_eq!(metrics.running_now(), 1);
        assert!(!statements.cancel("other"));
        assert!(statements.cancel(&ctx.query_id));
        assert!(ctx.cancel.is_cancelled());
        drop(first);
        assert!(!statements.cancel(&ctx.query_id));
        let mut second = statements.begin(&ctx);
        second.is(Kind::Effect);
        second.ended(Ok(())).unwrap();
        drop(second);
        let text = metrics.to_prometheus();
        assert!(text.contains("{kind=\"query\",class=\"cancelled\"} 1"));
        assert!(text.contains("{kind=\"effect\",class=\"ok\"} 1"));
    }
}
