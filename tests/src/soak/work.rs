//! What one connection of a soak does: it picks a piece of work, does it, checks the answer, and rests a little.
//!
//! The rests keep the whole within what two cores can do, so that latencies say something. Errors that the work itself
//! asks for (a cancelled statement's) are no errors; all others are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use arrow_flight::CancelFlightInfoRequest;
use futures::StreamExt;
use prost::Message;

use crate::wire::{Reply, Wire, WireError};
use crate::{Context, Outcome, TestServer, cells, fail};

/// Rows of the table that is read.
const FACTS: u64 = 100_000;
/// Connections out of ten that also load.
const LOADERS_IN_TEN: usize = 1;
/// Rows of one load.
const LOAD_ROWS: u64 = 500;
/// Loads after which a connection drops its table and begins anew, so that tables stay of one size.
const LOADS_PER_TABLE: u64 = 40;
/// The longest rest between two pieces of work.
const REST_MAX_MS: u64 = 900;
/// Errors that are kept as texts.
const ERRORS_KEPT: usize = 10;
/// A result without an end, as far as a soak is concerned.
const ENDLESS: &str = "SELECT value, repeat('x', 100) AS s FROM generate_series(1, 1000000000000)";

/// Makes what the connections read.
pub async fn prepare(server: &TestServer) -> Outcome {
    let mut wire = server.connect().await?;
    let sql = format!(
        "CREATE TABLE facts AS SELECT value AS id, value % 1000 AS k, value * 3 AS x FROM generate_series(1, {FACTS})"
    );
    wire.run(&sql).await?;
    Ok(())
}

/// What was done, and what went wrong.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often each piece of work was done.
    done: BTreeMap<&'static str, u64>,
    /// What the short queries took.
    short: Vec<Duration>,
    errors: Vec<String>,
}

impl Tally {
    /// Takes in another connection's.
    pub fn add(&mut self, other: Tally) {
        for (work, times) in other.done {
            *self.done.entry(work).or_default() += times;
        }
        self.short.extend(other.short);
        self.errors.extend(other.errors);
    }

    /// What went wrong; at most the first few of each connection.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// The time within which this part of the short queries was answered, in milliseconds.
    fn short_ms(&self, part: f64) -> f64 {
        let mut sorted = self.short.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (work, times) in &self.done {
            writeln!(f, "{work:<10} {times:>8}")?;
        }
        let (p50, p99) = (self.short_ms(0.5), self.short_ms(0.99));
        write!(f, "short queries: p50 {p50:.1} ms, p99 {p99:.1} ms; {} errors", self.errors.len())
    }
}

/// Numbers that look random and are the same for the same seed: splitmix64,
/// <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug)]
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    number: usize,
    choices: Choices,
    loads: u64,
    tally: Tally,
}

impl Connection {
    /// Connects.
    pub async fn open(server: &TestServer, number: usize, seed: u64) -> Outcome<Self> {
        let wire = server.connect().await?;
        let choices = Choices(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        Ok(Connection { wire, number, choices, loads: 0, tally: Tally::default() })
    }

    /// Works until then.
    pub async fn work_until(mut self, ends: Instant) -> Outcome<Tally> {
        while Instant::now() < ends {
            let rest = Duration::from_millis(self.choices.below(REST_MAX_MS));
            let _elapsed = tokio::time::timeout(rest, std::future::pending::<()>()).await;
            let loader = self.number % 10 < LOADERS_IN_TEN;
            let (work, done) = match self.choices.below(100) {
                0..70 => ("short", self.short().await),
                70..78 => ("scan", self.scan().await),
                78..88 if loader => ("load", self.load().await),
                78..94 => ("abandon", self.abandon().await),
                _ => ("cancel", self.cancel().await),
            };
            *self.tally.done.entry(work).or_default() += 1;
            if let Err(failure) = done
                && self.tally.errors.len() < ERRORS_KEPT
            {
                self.tally.errors.push(format!("{work}: {}", failure.text()));
            }
        }
        Ok(self.tally)
    }

    async fn short(&mut self) -> Outcome {
        let id = 1 + self.choices.below(FACTS);
        let asked = Instant::now();
        let found = self.wire.value(&format!("SELECT x FROM facts WHERE id = {id}")).await?;
        self.tally.short.push(asked.elapsed());
        match found == (id * 3).to_string() {
            true => Ok(()),
            false => Err(fail(format!("expected {} for {id}, found {found}", id * 3))),
        }
    }

    async fn scan(&mut self) -> Outcome {
        let (_, mut stream) = self.wire.open("SELECT * FROM facts").await?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch.map_err(WireError::from)?.num_rows() as u64;
        }
        match rows == FACTS {
            true => Ok(()),
            false => Err(fail(format!("expected {FACTS} rows, found {rows}"))),
        }
    }

    /// Loads into a table of the connection's own, counts it, and now and then begins anew.
    async fn load(&mut self) -> Outcome {
        let table = format!("loaded_{}", self.number);
        if self.loads.is_multiple_of(LOADS_PER_TABLE) {
            self.wire.run(&format!("CREATE OR REPLACE TABLE {table} (id BIGINT, x DOUBLE)")).await?;
        }
        let from = self.loads * LOAD_ROWS;
        let sql = format!(
            "INSERT INTO {table} SELECT value, value * 0.5 FROM generate_series({}, {})",
            from + 1,
            from + LOAD_ROWS
        );
        match self.wire.run(&sql).await? {
            Reply::Count(LOAD_ROWS) => {}
            other => return Err(fail(format!("expected {LOAD_ROWS} rows loaded, found {other:?}"))),
        }
        self.loads += 1;
        let wanted = (self.loads - 1) % LOADS_PER_TABLE + 1;
        let found = self.wire.value(&format!("SELECT count(*) FROM {table}")).await?;
        match found == (wanted * LOAD_ROWS).to_string() {
            true => Ok(()),
            false => Err(fail(format!("expected {} rows in {table}, found {found}", wanted * LOAD_ROWS))),
        }
    }

    /// Reads the beginning of a result and drops it.
    async fn abandon(&mut self) -> Outcome {
        let (_, mut stream) = self.wire.open(ENDLESS).await?;
        let batch = stream.next().await.context("an endless result ended")?.map_err(WireError::from)?;
        match cells::rows(&[batch.slice(0, 1)])?.len() {
            1 => Ok(()),
            rows => Err(fail(format!("expected a row, found {rows}"))),
        }
    }

    /// Reads the beginning of a result, cancels it, and reads to its end, which says so.
    async fn cancel(&mut self) -> Outcome {
        let (info, mut stream) = self.wire.open(ENDLESS).await?;
        stream.next().await.context("an endless result ended")?.map_err(WireError::from)?;
        let body = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec();
        self.wire.action("CancelFlightInfo", body).await?;
        loop {
            match stream.next().await.map(|next| next.map_err(WireError::from)) {
                Some(Ok(_)) => {}
                Some(Err(error)) if error.code == "Cancelled" => return Ok(()),
                Some(Err(error)) => return Err(fail(format!("expected Cancelled, found {}: {error}", error.code))),
                None => return Err(fail("a cancelled result ended as if it were whole")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let short = (1..=200).rev().map(Duration::from_millis).collect();
        let tally = Tally { short, ..Tally::default() };
        assert_eq!((tally.short_ms(0.5), tally.short_ms(0.99)), (100.0, 198.0));
        assert!(Tally::default().short_ms(0.5).is_nan());
    }

    #[test]
    fn choices_repeat_with_their_seed_and_stay_below() {
        let draw = |seed| {
            let mut choices = Choices(seed);
            (0..100).map(|_| choices.below(7)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|n| *n < 7) && draw(1).contains(&0) && draw(1).contains(&6));
    }
}
