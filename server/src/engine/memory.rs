//! The memory of one statement: its own cap inside of the pool that all share, and the most that it had at once.
//!
//! Both pools are fair among consumers that can spill: each may take an equal part and goes to disk beyond it, while
//! one that cannot spill fails when the rest is taken. It knows nothing of plans.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;

/// What a statement has reserved.
#[derive(Debug, Default)]
pub struct MemoryUse {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl MemoryUse {
    /// The most bytes that were reserved at once.
    pub fn peak(&self) -> u64 {
        u64::try_from(self.peak.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }

    fn grown(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    fn shrunk(&self, bytes: usize) {
        self.now.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The environment of one statement: all that `shared` has, with at most `bytes` of its memory.
pub(super) fn environment(shared: &RuntimeEnv, bytes: usize, usage: Arc<MemoryUse>) -> Arc<RuntimeEnv> {
    let pool = StatementPool { own: FairSpillPool::new(bytes), shared: Arc::clone(&shared.memory_pool), usage };
    Arc::new(RuntimeEnv { memory_pool: Arc::new(pool), ..shared.clone() })
}

#[derive(Debug)]
struct StatementPool {
    own: FairSpillPool,
    shared: Arc<dyn MemoryPool>,
    usage: Arc<MemoryUse>,
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.own, self.shared)
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.shared.grow(reservation, additional);
        self.usage.grown(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.shared.shrink(reservation, shrink);
        self.usage.shrunk(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<(), DataFusionError> {
        self.own.try_grow(reservation, additional)?;
        if let Err(error) = self.shared.try_grow(reservation, additional) {
            self.own.shrink(reservation, additional);
            return Err(error);
        }
        self.usage.grown(additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.own.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_its_cap_and_leaves_the_rest_to_others() {
        let shared: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(100));
        let base = RuntimeEnv { memory_pool: Arc::clone(&shared), ..RuntimeEnv::default() };
        let usage = Arc::new(MemoryUse::default());
        let first = environment(&base, 60, Arc::clone(&usage));
        let second = environment(&base, 60, Arc::default());
        let reserve = |env: &RuntimeEnv| MemoryConsumer::new("test").register(&env.memory_pool);
        let (a, b) = (reserve(&first), reserve(&second));
        assert!(a.try_grow(61).is_err());
        a.try_grow(60).unwrap();
        assert_eq!(shared.reserved(), 60);
        // Under its own cap, but not under what is left of the pool.
        assert!(b.try_grow(41).is_err());
        assert_eq!(second.memory_pool.reserved(), 0);
        b.try_grow(40).unwrap();
        drop(a);
        assert_eq!((shared.reserved(), usage.peak()), (40, 60));
    }
}
