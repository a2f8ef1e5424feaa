//! The threads that run statements, apart from those that talk to clients.
//!
//! A query may compute for seconds without a pause. On the threads that read sockets, as many such queries as there are
//! cores would stop every answer of the server: pings, cancellations, and the health check that a supervisor kills by.
//! It knows nothing of statements.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::limits::THREAD_STACK_BYTES;

/// Made at first use and never dropped: work that outlives its client ends with the process.
static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();

/// Runs `work` in a task of its own, on as many threads as there are cores.
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    match THREADS.get_or_init(threads) {
        Some(threads) => threads.spawn(work),
        // Without threads of its own it is slower to answer others, and as right.
        None => tokio::spawn(work),
    }
}

/// Tasks that have not ended.
pub fn tasks() -> usize {
    THREADS.get().and_then(Option::as_ref).map_or(0, |threads| threads.metrics().num_alive_tasks())
}

fn threads() -> Option<Runtime> {
    let built = Builder::new_multi_thread()
        .enable_all()
        .thread_name("limn-compute")
        .thread_stack_size(THREAD_STACK_BYTES)
        .build();
    built.inspect_err(|error| tracing::warn!("statements share the network's threads: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_elsewhere() {
        let here = std::thread::current().id();
        let there = spawn(async { (std::thread::current().id(), 42) }).await.unwrap();
        assert_ne!(there.0, here);
        assert_eq!(there.1, 42);
    }

    #[tokio::test]
    async fn a_panic_is_the_works_own() {
        assert!(spawn(async { panic!("on purpose") }).await.unwrap_err().is_panic());
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    }
}
