//! What one connection of a soak does: it picks a piece of work, does it, checks the answer, and rests a little.
//!
//! The rests keep the whole within what two cores can do, so that latencies say something. Errors that the work itself
//! asks for (a cancelled statement's) are no errors; all others are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, StringArray, UInt64Array};
use arrow::record_batch::RecordBatch;
use arrow_flight::CancelFlightInfoRequest;
use futures::StreamExt;
use prost::Message;

use crate::choices::Choices;
use crate::raw::ingest_mode;
use crate::wire::{Wire, WireError};
use crate::{Context, Outcome, TestServer, cells, fail};

/// Rows of the table that is read.
const FACTS: u64 = 100_000;
/// Connections out of ten that also load.
const LOADERS_IN_TEN: usize = 1;
/// Rows of one load.
const LOAD_ROWS: u64 = 2_000;
/// Loads after which a connection replaces its table, so that tables stay of one size.
const LOADS_PER_TABLE: u64 = 20;
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
        let choices = Choices::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
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
        let mode = if self.loads.is_multiple_of(LOADS_PER_TABLE) { "replace" } else { "append" };
        let rows = futures::stream::iter([Ok(rows(self.loads * LOAD_ROWS)?)]);
        let taken = self.wire.client().execute_ingest(ingest_mode(&table, mode), rows).await;
        match taken.map_err(WireError::from)? {
            count if count == LOAD_ROWS as i64 => {}
            other => return Err(fail(format!("expected {LOAD_ROWS} rows loaded, found {other}"))),
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

/// The rows of one load, numbered from there.
fn rows(from: u64) -> Outcome<RecordBatch> {
    let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(from..from + LOAD_ROWS));
    let halves: ArrayRef = Arc::new(Float64Array::from_iter_values((from..from + LOAD_ROWS).map(|id| id as f64 / 2.0)));
    let words: ArrayRef =
        Arc::new(StringArray::from_iter_values((from..from + LOAD_ROWS).map(|id| format!("row {id}"))));
    Ok(RecordBatch::try_from_iter([("id", ids), ("x", halves), ("s", words)])?)
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
}
