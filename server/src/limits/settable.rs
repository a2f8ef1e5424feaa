//! The limits that an operator may set, by the names under which configuration and errors know them.
//!
//! Their defaults are the constants of `limits.rs`. A [`Limits`] is made once, at the start, and handed down; nothing
//! looks one up globally, so two servers in one process may differ. It knows neither files nor the command line.

use std::time::Duration;

use super::*;
use crate::error::unknown;
use crate::{Error, Result};

/// What an operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `max_concurrent_queries`: statements that run at the same time.
    pub max_concurrent_queries: usize,
    /// `max_queued_queries`: statements that wait for others to end.
    pub max_queued_queries: usize,
    /// `queue_wait`: how long a statement waits for others to end.
    pub queue_wait: Duration,
    /// `statement_timeout`: how long a statement may run where its session says nothing; zero for any time.
    pub statement_timeout: Duration,
    /// `result_read_stall`: a statement whose result nobody reads for this long is cancelled.
    pub result_read_stall: Duration,
    /// `result_ttl`: how long the ticket of a query may be redeemed.
    pub result_ttl: Duration,
    /// `memory_per_query`: bytes that one statement may reserve; `None` for a fixed part of the pool.
    pub memory_per_query: Option<usize>,
    /// `threads`: threads that one statement computes on; zero for as many as the machine has.
    pub threads: usize,
    /// `batch_rows`: rows of one batch that a query works on.
    pub batch_rows: usize,
    /// `max_spill_bytes`: spill files of all running statements together.
    pub max_spill_bytes: usize,
    /// `max_sessions`: live sessions.
    pub max_sessions: usize,
    /// `max_sessions_per_principal`: live sessions of one principal.
    pub max_sessions_per_principal: usize,
    /// `session_idle`: a session that nobody used for this long is forgotten.
    pub session_idle: Duration,
    /// `max_prepared_statements`: prepared statements of the server.
    pub max_prepared_statements: usize,
    /// `max_prepared_statements_per_principal`: prepared statements of one principal.
    pub max_prepared_statements_per_principal: usize,
    /// `prepared_statement_idle`: a prepared statement that nobody used for this long is forgotten.
    pub prepared_statement_idle: Duration,
    /// `max_message_bytes`: bytes of one message that the Flight edge accepts.
    pub max_message_bytes: usize,
    /// `drain_timeout`: how long a drain lets running statements finish.
    pub drain_timeout: Duration,
    /// `server_dead_after`: a server of a shared data directory that gave no sign for this long is dead.
    pub server_dead_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_concurrent_queries: QUERIES_RUNNING_MAX,
            max_queued_queries: QUERIES_QUEUED_MAX,
            queue_wait: QUERY_QUEUE_WAIT,
            statement_timeout: Duration::ZERO,
            result_read_stall: RESULT_READ_STALL,
            result_ttl: RESULT_TTL,
            memory_per_query: None,
            threads: 0,
            batch_rows: BATCH_ROWS,
            max_spill_bytes: usize::try_from(SPILL_BYTES_MAX).unwrap_or(usize::MAX),
            max_sessions: SESSIONS_MAX,
            max_sessions_per_principal: SESSIONS_PER_PRINCIPAL_MAX,
            session_idle: SESSION_IDLE,
            max_prepared_statements: PREPARED_STATEMENTS_MAX,
            max_prepared_statements_per_principal: PREPARED_STATEMENTS_PER_PRINCIPAL_MAX,
            prepared_statement_idle: PREPARED_STATEMENT_IDLE,
            max_message_bytes: WIRE_MESSAGE_BYTES_MAX,
            drain_timeout: DRAIN_TIMEOUT,
            server_dead_after: SERVER_DEAD_AFTER,
        }
    }
}

impl Limits {
    /// The names, in the order in which the documentation has them.
    pub const NAMES: [&'static str; 19] = [
        "max_concurrent_queries",
        "max_queued_queries",
        "queue_wait",
        "statement_timeout",
        "result_read_stall",
        "result_ttl",
        "memory_per_query",
        "threads",
        "batch_rows",
        "max_spill_bytes",
        "max_sessions",
        "max_sessions_per_principal",
        "session_idle",
        "max_prepared_statements",
        "max_prepared_statements_per_principal",
        "prepared_statement_idle",
        "max_message_bytes",
        "drain_timeout",
        "server_dead_after",
    ];

    /// The threads that one statement computes on, one at least.
    pub fn compute_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let wanted = if self.threads == 0 { cores() } else { self.threads };
        wanted.min(COMPUTE_THREADS_MAX)
    }

    /// Sets the limit of that name from its text: a number, a number of bytes, or a duration.
    ///
    /// `Input` where the name is unknown (the nearest is offered) or the value is not of its kind.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "max_concurrent_queries" => self.max_concurrent_queries = count(name, value, 1)?,
            "max_queued_queries" => self.max_queued_queries = count(name, value, 0)?,
            "queue_wait" => self.queue_wait = time(name, value)?,
            "statement_timeout" => self.statement_timeout = time(name, value)?,
            "result_read_stall" => self.result_read_stall = positive(name, value)?,
            "result_ttl" => self.result_ttl = positive(name, value)?,
            "memory_per_query" => self.memory_per_query = Some(bytes(name, value)?),
            "threads" => self.threads = count(name, value, 0)?,
            "batch_rows" => self.batch_rows = count(name, value, 1)?,
            "max_spill_bytes" => self.max_spill_bytes = bytes(name, value)?,
            "max_sessions" => self.max_sessions = count(name, value, 1)?,
            "max_sessions_per_principal" => self.max_sessions_per_principal = count(name, value, 1)?,
            "session_idle" => self.session_idle = positive(name, value)?,
            "max_prepared_statements" => self.max_prepared_statements = count(name, value, 1)?,
            "max_prepared_statements_per_principal" => {
                self.max_prepared_statements_per_principal = count(name, value, 1)?;
            }
            "prepared_statement_idle" => self.prepared_statement_idle = positive(name, value)?,
            "max_message_bytes" => self.max_message_bytes = message_bytes(name, value)?,
            "drain_timeout" => self.drain_timeout = time(name, value)?,
            "server_dead_after" => self.server_dead_after = positive(name, value)?,
            _ => {
                let error = unknown("limit", name, Self::NAMES);
                let names = Self::NAMES.map(|name| format!("`{name}`")).join(", ");
                return Err(Error::input(error.message()).with_hint(format!("the limits are {names}")));
            }
        }
        Ok(())
    }
}

fn wrong(name: &str, expected: &str, value: &str) -> Error {
    Error::input(format!("limit `{name}`: expected {expected}, found `{value}`"))
}

fn count(name: &str, value: &str, least: usize) -> Result<usize> {
    let expected = || wrong(name, &format!("a number from {least}"), value);
    value.trim().parse().ok().filter(|number| *number >= least).ok_or_else(expected)
}

fn bytes(name: &str, value: &str) -> Result<usize> {
    byte_count(value).ok_or_else(|| {
        wrong(name, "a number of bytes", value).with_hint("write it like `1073741824`, `512MiB` or `8GB`")
    })
}

/// Messages must have room for what the server sends itself.
fn message_bytes(name: &str, value: &str) -> Result<usize> {
    let bytes = bytes(name, value)?;
    match bytes >= 2 * WIRE_FLIGHT_DATA_BYTES {
        true => Ok(bytes),
        false => Err(wrong(name, &format!("at least {} bytes", 2 * WIRE_FLIGHT_DATA_BYTES), value)),
    }
}

fn time(name: &str, value: &str) -> Result<Duration> {
    duration(value)
        .ok_or_else(|| wrong(name, "a duration", value).with_hint("write it like `500ms`, `30s`, `5min` or `1h`"))
}

fn positive(name: &str, value: &str) -> Result<Duration> {
    match time(name, value)? {
        Duration::ZERO => Err(wrong(name, "a duration above zero", value)),
        some => Ok(some),
    }
}

/// Digits and the unit behind them, in lower case.
fn number_and_unit(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let unit = text.strip_prefix(digits.as_str())?.trim().to_ascii_lowercase();
    Some((digits.parse().ok()?, unit))
}

/// A number of bytes above zero: `1048576`, `512MiB`, `8 GB`. `K`, `M`, `G`, `T` alone and with `iB` are powers of 1024,
/// with `B` powers of 1000.
pub fn byte_count(text: &str) -> Option<usize> {
    let (number, unit) = number_and_unit(text)?;
    let factor: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    let total = number.checked_mul(factor).filter(|total| *total > 0)?;
    usize::try_from(total).ok()
}

/// A duration: `500ms`, `30s`, `5min`, `1h`, `2d`. A number alone counts milliseconds, as PostgreSQL's
/// `statement_timeout` does.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let millis: u64 = match unit.as_str() {
        "" | "ms" => 1,
        "s" | "sec" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    // A century is for ever, and an instant that far away can still be computed.
    let century = 100 * 366 * 86_400_000_u64;
    Some(Duration::from_millis(number.checked_mul(millis)?.min(century)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn durations_and_bytes_of_every_unit() {
        for (text, millis) in
            [("0", 0), ("250", 250), ("250 ms", 250), ("3s", 3_000), ("2min", 120_000), ("1H", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "1 fortnight", "99999999999999999999s", "1é"] {
            assert_eq!(duration(text), None, "{text}");
        }
        for (text, bytes) in [("7", 7), ("2KiB", 2048), ("2 kb", 2000), ("1g", 1 << 30)] {
            assert_eq!(byte_count(text), Some(bytes), "{text}");
        }
        for text in ["0", "", "x", "1 potato", "99999999TB"] {
            assert_eq!(byte_count(text), None, "{text}");
        }
    }

    #[test]
    fn every_name_can_be_set() {
        for name in Limits::NAMES {
            let mut limits = Limits::default();
            // 8 MiB is a number, a number of bytes and a duration in milliseconds.
            limits.set(name, "8388608").unwrap();
            assert_ne!(limits, Limits::default(), "{name}");
        }
    }

    #[test]
    fn wrong_names_and_values_are_named() {
        let mut limits = Limits::default();
        let error = limits.set("max_session", "1").unwrap_err();
        assert_eq!(error.class(), Class::Input);
        assert_eq!(error.message(), "unknown limit `max_session`, the nearest is `max_sessions`");
        let error = limits.set("max_concurrent_queries", "0").unwrap_err();
        assert_eq!(error.message(), "limit `max_concurrent_queries`: expected a number from 1, found `0`");
        let error = limits.set("result_ttl", "0s").unwrap_err();
        assert_eq!(error.message(), "limit `result_ttl`: expected a duration above zero, found `0s`");
        assert_eq!(limits, Limits::default());
    }
}
