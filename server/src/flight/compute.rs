//! The threads that run statements, apart from those that talk to clients.
//!
//! A query may compute for seconds without a pause. On the threads that read sockets, as many such queries as there are
//! cores would stop every answer of the server: pings, cancellations, and the health check that a supervisor kills by.
//! Handing work over costs two changes of threads, which is more than a short statement takes, so what is usually short
//! may be done by a thread of the network, as long as another one is left. It knows nothing of statements.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, SemaphorePermit};
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

/// The right to do short work on the calling thread, one of the network's, until it is dropped; `None` where all others
/// but one have it. Should the work turn out long, that one still answers everybody else.
pub fn right_here() -> Option<SemaphorePermit<'static>> {
    static PLACES: OnceLock<Semaphore> = OnceLock::new();
    PLACES.get_or_init(|| places(Handle::current().metrics().num_workers())).try_acquire().ok()
}

/// Places for all threads but one.
fn places(threads: usize) -> Semaphore {
    Semaphore::new(threads.saturating_sub(1))
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

    #[test]
    fn one_thread_is_always_left() {
        let places = places(3);
        let rights: Vec<_> = (0..3).map(|_| places.try_acquire().ok()).collect();
        assert_eq!(rights.iter().filter(|right| right.is_some()).count(), 2);
        drop(rights);
        assert!(places.try_acquire().is_ok());
        assert!(super::places(1).try_acquire().is_err());
    }

    #[tokio::test]
    async fn a_panic_is_the_works_own() {
        assert!(spawn(async { panic!("on purpose") }).await.unwrap_err().is_panic());
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
    }
}
