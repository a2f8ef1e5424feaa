//! Calls that no client makes: malformed tickets and handles, lying messages, unknown actions, forged tokens, cut frames.
//!
//! Each call comes from a seed, has the codes that are right answers, and a time within which it must be answered. It
//! knows the wire and nothing of Limn's crates.
//!
//! # Layout
//! - `calls`: the kinds of calls; `tickets`: forged tickets; `rows`: lying rows; `frames`: below gRPC's messages

mod calls;
mod frames;
mod rows;
mod tickets;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

use crate::choices::Choices;
use crate::raw::{Raw, statement};
use crate::{Context, Outcome, TestServer};

/// Bytes of a message that the server under test is told to accept: as few as it may be told.
pub const MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// How long an answer may take; a debug build under load is slow, and a hang takes for ever.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Wrong answers that are kept as texts.
const WRONG_KEPT: usize = 20;

/// What callers know of the server.
#[derive(Debug)]
pub struct Target {
    /// Where it is, `host:port`.
    pub address: String,
    /// A header `authorization` that is accepted.
    pub accepted: String,
    /// Ones that were once, or look as if they were.
    pub refused: Vec<String>,
    /// A ticket of `SELECT a FROM t`.
    ticket: Vec<u8>,
}

impl Target {
    /// Looks at a server on which there is a table `t (a BIGINT)`.
    pub async fn new(server: &TestServer, accepted: String, refused: Vec<String>) -> Outcome<Arc<Self>> {
        let mut raw = Raw::connect(server).await?;
        raw.headers = vec![("authorization", accepted.clone())];
        let info = raw.info(&statement("SELECT a FROM t")).await?;
        let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone()).context("no ticket")?;
        let (address, ticket) = (server.flight_addr().to_string(), ticket.ticket.to_vec());
        Ok(Arc::new(Target { address, accepted, refused, ticket }))
    }
}

/// What was called and what was wrong with the answers.
#[derive(Debug, Default)]
pub struct Report {
    /// Answers by call and code; `None` where there is no code to be had.
    pub answers: BTreeMap<(&'static str, Option<String>), u64>,
    /// Wrong answers, the first few.
    pub wrong: Vec<String>,
    wrong_count: u64,
}

impl Report {
    /// Takes in another caller's.
    pub fn add(&mut self, other: Report) {
        for (key, count) in other.answers {
            *self.answers.entry(key).or_default() += count;
        }
        self.wrong.extend(other.wrong);
        self.wrong.truncate(WRONG_KEPT);
        self.wrong_count += other.wrong_count;
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.answers.values().sum()
    }

    fn note(&mut self, name: &'static str, codes: &[Code], found: Result<Option<(Code, String)>, String>) {
        let (code, wrong) = match found {
            Ok(None) => (None, None),
            Ok(Some((code, _))) if codes.contains(&code) => (Some(format!("{code:?}")), None),
            Ok(Some((code, text))) => (Some(format!("{code:?}")), Some(format!("{name}: {code:?}: {text}"))),
            Err(text) => (Some("none".into()), Some(format!("{name}: {text}"))),
        };
        *self.answers.entry((name, code)).or_default() += 1;
        if let Some(wrong) = wrong {
            self.wrong_count += 1;
            if self.wrong.len() < WRONG_KEPT {
                self.wrong.push(wrong);
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((name, code), count) in &self.answers {
            writeln!(f, "{name:<28} {:<20} {count:>6}", code.as_deref().unwrap_or("-"))?;
        }
        write!(f, "{} calls, {} wrong answers", self.calls(), self.wrong_count)
    }
}

/// Makes so many calls over a connection of its own.
pub async fn call(server: &TestServer, target: Arc<Target>, seed: u64, calls: u64) -> Outcome<Report> {
    let (mut raw, mut choices) = (Raw::connect(server).await?, Choices::new(seed));
    let mut report = Report::default();
    for _ in 0..calls {
        let call = *choices.one(&calls::ALL);
        raw.headers = vec![("authorization", target.accepted.clone())];
        let answered = tokio::time::timeout(ANSWER_DEADLINE, calls::make(call, &mut raw, &target, &mut choices));
        let found = match answered.await {
            Ok(found) => found.map_err(|failure| failure.text().to_string()),
            Err(_elapsed) => Err(format!("no answer in {ANSWER_DEADLINE:?}")),
        };
        report.note(call.name(), call.codes(), found);
    }
    Ok(report)
}
