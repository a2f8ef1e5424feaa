//! Runs a statement's work in a task of its own, so that neither a panic nor a client that goes away takes more with it
//! than the statement.
//!
//! A handler's future is dropped when its client hangs up. Reading may then stop anywhere; an effect is told, and stops
//! by itself before its commit begins or completes. It knows nothing of Flight.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::compute;
use crate::engine::StatementContext;
use crate::{Error, Result};

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Class;
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
}
