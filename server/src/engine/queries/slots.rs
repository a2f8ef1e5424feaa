//! Places for running statements: so many at once, the others wait in the order in which they came, but not for ever.
//!
//! It counts; what runs in a place is not its business.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;
use crate::{Error, Result};

/// The places of one engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Slots {
    // Fair: those who wait longest are first.
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    running_max: usize,
    waiting_max: usize,
    wait: Duration,
}

/// A place; dropping it lets the next one in.
pub type Slot = OwnedSemaphorePermit;

/// Counts one that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    /// As many places and as much patience as the limits say.
    pub fn new(limits: &Limits) -> Self {
        Slots {
            places: Arc::new(Semaphore::new(limits.max_concurrent_queries.min(Semaphore::MAX_PERMITS))),
            waiting: Arc::default(),
            running_max: limits.max_concurrent_queries,
            waiting_max: limits.max_queued_queries,
            wait: limits.queue_wait,
        }
    }

    /// A place, now or after those who came before. `Exhausted` where too many wait already, or after too long.
    pub async fn enter(&self) -> Result<Slot> {
        if let Ok(slot) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(slot);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _counted = Waiting(&self.waiting);
        if before >= self.waiting_max {
            return Err(Error::exhausted(format!(
                "{} statements run and {before} wait, which is as many as may",
                self.running_max
            ))
            .with_hint("try again later; the limits are `max_concurrent_queries` and `max_queued_queries`"));
        }
        match tokio::time::timeout(self.wait, Arc::clone(&self.places).acquire_owned()).await {
            Ok(slot) => slot.map_err(|_| Error::unavailable("the server is stopping")),
            Err(_elapsed) => Err(Error::exhausted(format!(
                "the statement waited {} ms for one of {} running ones to end",
                self.wait.as_millis(),
                self.running_max
            ))
            .with_hint("try again later; the limits are `max_concurrent_queries` and `queue_wait`")),
        }
    }

    /// A place again, for a statement that let others run while its reader was slow. It has been let in before, so it
    /// waits as long as it takes.
    pub async fn enter_again(&self) -> Result<Slot> {
        let slot = Arc::clone(&self.places).acquire_owned().await;
        slot.map_err(|_| Error::unavailable("the server is stopping"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn slots(running: usize, waiting: usize, wait: Duration) -> Slots {
        Slots::new(&Limits {
            max_concurrent_queries: running,
            max_queued_queries: waiting,
            queue_wait: wait,
            ..Limits::default()
        })
    }

    #[tokio::test]
    async fn a_full_queue_is_refused_at_once() {
        let slots = slots(1, 1, Duration::from_secs(600));
        let held = slots.enter().await.unwrap();
        let mut second = std::pin::pin!(slots.enter());
        assert!(futures::poll!(&mut second).is_pending());
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 1);
        let error = slots.enter().await.unwrap_err();
        assert_eq!(error.class(), Class::Exhausted);
        assert_eq!(error.message(), "1 statements run and 1 wait, which is as many as may");
        assert!(error.hint().unwrap().contains("`max_queued_queries`"));
        drop(held);
        drop(second.await.unwrap());
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0);
        drop(slots.enter().await.unwrap());
    }

    #[tokio::test]
    async fn a_long_wait_is_refused() {
        let slots = slots(1, 1, Duration::from_millis(5));
        let _held = slots.enter().await.unwrap();
        let error = slots.enter().await.unwrap_err();
        assert_eq!(error.class(), Class::Exhausted);
        assert_eq!(error.message(), "the statement waited 5 ms for one of 1 running ones to end");
        assert_eq!(slots.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn the_first_to_come_is_the_first_to_enter() {
        let slots = slots(1, 10, Duration::from_secs(60));
        let held = slots.enter().await.unwrap();
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..3 {
            let (slots, told) = (slots.clone(), told.clone());
            tokio::spawn(async move {
                let slot = slots.enter().await.unwrap();
                told.send(number).unwrap();
                drop(slot);
            });
            tokio::task::yield_now().await;
        }
        drop(held);
        for expected in 0..3 {
            assert_eq!(order.recv().await, Some(expected));
        }
    }
}
