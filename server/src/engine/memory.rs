//! The memory of one statement: its own cap inside of the pool that all share, and the most that it had at once.
//!
//! Consumers that can spill share three quarters of the cap in equal parts and go to disk beyond theirs. The rest is for
//! those that cannot, such as the merging of what was spilled: a sort that took everything could not even do that. The
//! last sixteenth is for those that have little: such a merge takes what it gets, and what reads from it needs some too.
//! It knows nothing of plans.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;

/// The part of a statement's memory that those who can spill leave alone: one in this many.
const UNSPILLABLE_DIVISOR: usize = 4;
/// The part of a statement's memory that those who have more than as much leave alone: one in this many.
const LAST_DIVISOR: usize = 16;

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

    /// Reserves within `cap`; otherwise gives what is reserved.
    fn try_grow(&self, bytes: usize, cap: usize) -> Result<(), usize> {
        let grown = |now: usize| now.checked_add(bytes).filter(|sum| *sum <= cap);
        let before = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)?;
        self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        Ok(())
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
    let spillable = FairSpillPool::new(bytes - bytes / UNSPILLABLE_DIVISOR);
    let pool = StatementPool { cap: bytes, spillable, shared: Arc::clone(&shared.memory_pool), usage };
    Arc::new(RuntimeEnv { memory_pool: Arc::new(pool), ..shared.clone() })
}

#[derive(Debug)]
struct StatementPool {
    cap: usize,
    /// Divides its part among those that can spill.
    spillable: FairSpillPool,
    shared: Arc<dyn MemoryPool>,
    usage: Arc<MemoryUse>,
}

impl StatementPool {
    /// How far the statement's memory may fill up when this reservation grows.
    fn room_for(&self, reservation: &MemoryReservation, additional: usize) -> usize {
        let last = self.cap / LAST_DIVISOR;
        match reservation.size().saturating_add(additional) > last {
            true => self.cap - last,
            false => self.cap,
        }
    }

    /// What divides the reservation, where anything does.
    fn part_of(&self, consumer: &MemoryConsumer) -> Option<&FairSpillPool> {
        consumer.can_spill().then_some(&self.spillable)
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statement({} bytes of {})", self.cap, self.shared)
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if let Some(part) = self.part_of(consumer) {
            part.register(consumer);
        }
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if let Some(part) = self.part_of(consumer) {
            part.unregister(consumer);
        }
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        if let Some(part) = self.part_of(reservation.consumer()) {
            part.grow(reservation, additional);
        }
        self.shared.grow(reservation, additional);
        self.usage.grown(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        if let Some(part) = self.part_of(reservation.consumer()) {
            part.shrink(reservation, shrink);
        }
        self.shared.shrink(reservation, shrink);
        self.usage.shrunk(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<(), DataFusionError> {
        let part = self.part_of(reservation.consumer());
        if let Some(part) = part {
            part.try_grow(reservation, additional)?;
        }
        let reserved = match self.usage.try_grow(additional, self.room_for(reservation, additional)) {
            Ok(()) => self.shared.try_grow(reservation, additional).inspect_err(|_| self.usage.shrunk(additional)),
            Err(now) => Err(DataFusionError::ResourcesExhausted(format!(
                "expected at most {} bytes of memory for the statement, found {now} and {additional} more for {}",
                self.cap,
                reservation.consumer().name()
            ))),
        };
        if let (Err(_), Some(part)) = (&reserved, part) {
            part.shrink(reservation, additional);
        }
        reserved
    }

    fn reserved(&self) -> usize {
        self.usage.now.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.cap)
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
        // Who has much leaves the last sixteenth, which is 3, to those who have little.
        assert!(a.try_grow(58).is_err());
        a.try_grow(57).unwrap();
        let little = reserve(&first);
        assert!(little.try_grow(4).is_err());
        little.try_grow(3).unwrap();
        assert!(reserve(&first).try_grow(1).is_err());
        assert_eq!(shared.reserved(), 60);
        // Under its own cap, but not under what is left of the pool.
        assert!(b.try_grow(41).is_err());
        assert_eq!(second.memory_pool.reserved(), 0);
        b.try_grow(40).unwrap();
        // Those that can spill leave a quarter to those that cannot.
        let spillable = MemoryConsumer::new("sort").with_can_spill(true).register(&first.memory_pool);
        drop((a, little));
        assert!(spillable.try_grow(46).is_err());
        spillable.try_grow(45).unwrap();
        drop(spillable);
        assert_eq!((shared.reserved(), usage.peak()), (40, 60));
    }
}
