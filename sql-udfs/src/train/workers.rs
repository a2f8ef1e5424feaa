//! Work in parallel whose results do not depend on how many threads do it.
//!
//! Work is cut into pieces by its size alone, and results come in the order of the pieces; whoever adds them up does so in
//! that order. It knows nothing of what is computed.

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::{Error, Result};

/// Threads that compute for one training.
pub(crate) struct Workers {
    /// None where there is one thread, which is the caller's.
    pool: Option<rayon::ThreadPool>,
}

impl Workers {
    /// So many threads, one at least.
    pub fn new(threads: usize) -> Result<Self> {
        let name = |number| format!("limn-train-{number}");
        let build = || rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
        let failed = |error: rayon::ThreadPoolBuildError| Error::exhausted(format!("no threads to train on: {error}"));
        Ok(Workers { pool: (threads > 1).then(build).transpose().map_err(failed)? })
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// What `work` gives for each piece from 0 to below `pieces`, in order.
    pub fn map<T: Send>(&self, pieces: usize, work: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        match &self.pool {
            Some(pool) if pieces > 1 => pool.install(|| (0..pieces).into_par_iter().map(work).collect()),
            _ => (0..pieces).map(work).collect(),
        }
    }

    /// What `work` gives for each of some values, in order; the values are moved into it.
    pub fn map_each<V: Send, T: Send>(&self, values: Vec<V>, work: impl Fn(V) -> T + Sync + Send) -> Vec<T> {
        match &self.pool {
            Some(pool) if values.len() > 1 => pool.install(|| values.into_par_iter().map(work).collect()),
            _ => values.into_iter().map(work).collect(),
        }
    }

    /// Sorts numbers.
    pub fn sort(&self, values: &mut [u64]) {
        match &self.pool {
            Some(pool) => pool.install(|| values.par_sort_unstable()),
            None => values.sort_unstable(),
        }
    }

    /// [`Workers::map_each`] for work that can fail: the first failure in order.
    pub fn try_map_each<V: Send, T: Send>(
        &self,
        values: Vec<V>,
        work: impl Fn(V) -> Result<T> + Sync + Send,
    ) -> Result<Vec<T>> {
        self.map_each(values, work).into_iter().collect()
    }

    /// [`Workers::map`] for work that can fail: the first failure in order.
    pub fn try_map<T: Send>(&self, pieces: usize, work: impl Fn(usize) -> Result<T> + Sync + Send) -> Result<Vec<T>> {
        self.map(pieces, work).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_on_any_number_of_threads() {
        for threads in [1, 2, 8] {
            let workers = Workers::new(threads).unwrap();
            assert_eq!(workers.threads(), threads);
            assert_eq!(workers.map(100, |i| i * i), (0..100).map(|i| i * i).collect::<Vec<_>>());
            assert_eq!(workers.map_each(vec!["b", "a"], str::len), [1, 1]);
            let failed = workers.try_map(10, |i| if i < 3 { Ok(i) } else { Err(Error::input(format!("{i}"))) });
            assert_eq!(failed.unwrap_err().message(), "3");
            let mut values: Vec<u64> = (0..10_000).map(|i| i * 7919 % 10_007).collect();
            workers.sort(&mut values);
            assert!(values.is_sorted() && values.len() == 10_000);
        }
    }
}
