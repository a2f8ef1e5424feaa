//! The server from outside: its memory, its threads, what runs in it; and whether the memory went on growing.

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
    /// Statements that run.
    pub running: i64,
    /// Statements that wait.
    pub queued: i64,
    /// Threads of the process.
    pub threads: usize,
}

impl Sample {
    /// Looks at the server.
    pub fn take(server: &TestServer, started: Instant) -> Outcome<Self> {
        Ok(Sample {
            after: started.elapsed(),
            resident_bytes: server.resident_bytes()?,
            running: server.metric("limn_statements_running")?,
            queued: server.metric("limn_statements_queued")?,
            threads: server.threads()?,
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { after, resident_bytes, running, queued, threads } = self;
        let mib = *resident_bytes as f64 / (1024.0 * 1024.0);
        write!(f, "{:>6.0}  {mib:>10.1}  {running:>10}  {queued:>8}  {threads:>8}", after.as_secs_f64())
    }
}

/// An error where the memory at the end is more than it was once it had settled, by more than the tolerance.
pub fn judge(samples: &[Sample], last: &Sample, duration: Duration) -> Outcome {
    let settled_after = SETTLED_AFTER.min(duration / 2);
    let settled = samples.iter().find(|sample| sample.after >= settled_after).context("no sample after settling")?;
    let fraction = (settled.resident_bytes as f64 * GROWTH_FRACTION) as u64;
    let most = settled.resident_bytes + fraction.max(GROWTH_BYTES);
    let mib = |bytes: u64| bytes / (1024 * 1024);
    println!(
        "memory: {} MiB after {:.0} s, {} MiB at the end, {} MiB allowed",
        mib(settled.resident_bytes),
        settled.after.as_secs_f64(),
        mib(last.resident_bytes),
        mib(most)
    );
    ensure(last.resident_bytes <= most, || {
        format!("the server's memory went on growing: {} MiB allowed, {} found", mib(most), mib(last.resident_bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64, mib: u64) -> Sample {
        let after = Duration::from_secs(seconds);
        Sample { after, resident_bytes: mib * 1024 * 1024, running: 0, queued: 0, threads: 1 }
    }

    #[test]
    fn growth_after_settling_is_found_and_growth_before_it_is_not() {
        let samples = [sample(0, 50), sample(30, 300), sample(60, 400), sample(300, 480)];
        let long = Duration::from_secs(300);
        // A quarter of 400 MiB is more than 64.
        judge(&samples, &sample(301, 499), long).unwrap();
        judge(&samples, &sample(301, 501), long).unwrap_err();
        let samples = [sample(0, 50), sample(10, 100)];
        judge(&samples, &sample(21, 163), Duration::from_secs(20)).unwrap();
        judge(&samples, &sample(21, 165), Duration::from_secs(20)).unwrap_err();
    }
}
