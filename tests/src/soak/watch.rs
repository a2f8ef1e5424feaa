//! The server from outside: its memory, its tasks, what runs in it; and whether the memory went on growing.

use std::fmt;
use std::time::{Duration, Instant};

use super::{GROWTH_BYTES, GROWTH_FRACTION, SETTLED_AFTER};
use crate::{Context, Outcome, TestServer, ensure};

/// One look at the server.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Since the start of the soak.
    pub after: Duration,
    /// Resident memory.
    pub resident_bytes: u64,
    /// The part of it that the server allocated.
    pub allocated_bytes: u64,
    /// Statements that run.
    pub running: i64,
    /// Tasks that have not ended.
    pub tasks: i64,
    /// Files and connections that are open.
    pub files: usize,
    /// Threads of the process.
    pub threads: usize,
}

impl Sample {
    /// Looks at the server.
    pub fn take(server: &TestServer, started: Instant) -> Outcome<Self> {
        Ok(Sample {
            after: started.elapsed(),
            resident_bytes: server.resident_bytes()?,
            allocated_bytes: server.allocated_bytes()?,
            running: server.metric("limn_statements_running")?,
            tasks: server.metric("limn_tasks")?,
            files: server.open_files()?,
            threads: server.threads()?,
        })
    }

    /// What stands above a table of samples.
    pub fn head() -> String {
        let [s, rss, own, statements, tasks, files, threads] =
            ["s", "RSS MiB", "own MiB", "statements", "tasks", "files", "threads"];
        format!("{s:>6}  {rss:>10}  {own:>10}  {statements:>10}  {tasks:>8}  {files:>8}  {threads:>8}")
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { after, resident_bytes, allocated_bytes, running, tasks, files, threads } = self;
        let (after, resident, allocated) = (after.as_secs_f64(), mib(*resident_bytes), mib(*allocated_bytes));
        write!(
            f,
            "{after:>6.0}  {resident:>10.1}  {allocated:>10.1}  {running:>10}  {tasks:>8}  {files:>8}  {threads:>8}"
        )
    }
}

/// The middle one of what the server had allocated in these samples.
fn median<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<u64> {
    let mut bytes: Vec<u64> = samples.map(|sample| sample.allocated_bytes).collect();
    bytes.sort_unstable();
    bytes.get(bytes.len() / 2).copied()
}

/// An error where the memory in the last of as many windows as fit is more than in the first one after settling, by
/// more than the tolerance. A window is as long as the settling: one look may meet a busy moment, a median does not.
pub fn judge(samples: &[Sample], duration: Duration) -> Outcome {
    let window = SETTLED_AFTER.min(duration / 4);
    let within = |from: Duration, to: Duration| samples.iter().filter(move |s| s.after >= from && s.after < to);
    let settled = median(within(window, window * 2)).context("no sample after settling")?;
    let last = median(within(duration - window, Duration::MAX)).context("no sample at the end")?;
    let most = settled + ((settled as f64 * GROWTH_FRACTION) as u64).max(GROWTH_BYTES);
    let (first, then, most) = (mib(settled), mib(last), mib(most));
    println!(
        "memory that the server allocated: {first:.1} MiB in the {0:.0} s after the first {0:.0} s, {then:.1} MiB in the \
         last {0:.0} s; {most:.1} MiB allowed",
        window.as_secs_f64()
    );
    ensure(then <= most, || format!("the server's memory went on growing: {most:.1} MiB allowed, {then:.1} found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample((seconds, mib): (u64, u64)) -> Sample {
        let (after, bytes) = (Duration::from_secs(seconds), mib * 1024 * 1024);
        let (running, tasks, files, threads) = (0, 0, 0, 1);
        Sample { after, resident_bytes: bytes, allocated_bytes: bytes, running, tasks, files, threads }
    }

    #[test]
    fn growth_after_settling_is_found_and_growth_before_it_is_not() {
        let soak = |end: u64| {
            // What is busy for a moment is in no median.
            let looks =
                [(0, 50), (30, 300), (60, 390), (75, 400), (90, 900), (180, 700), (240, 10), (270, end), (300, end)];
            judge(&looks.map(sample), Duration::from_secs(300))
        };
        // A tenth of 400 MiB is more than 32.
        soak(439).unwrap();
        soak(441).unwrap_err();
        let short = |end: u64| judge(&[(0, 50), (6, 100), (16, end)].map(sample), Duration::from_secs(20));
        short(131).unwrap();
        short(133).unwrap_err();
    }
}
