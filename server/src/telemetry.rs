//! Logging, and the server's metrics: one table of names, counters that the edges bump and `/metrics` prints.
//!
//! It is below every layer so that any of them may count. It knows nothing of HTTP; it only writes Prometheus text.

use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::Class;

/// Starts logging to standard error. `filter` follows `tracing_subscriber`'s syntax (`limn_server=debug`); a level
/// alone is for Limn's own crates, because the libraries tell at `info` what Limn tells at `debug`.
///
/// Does nothing where a subscriber is set already, as in tests that start several servers.
pub fn start_logging(filter: &str) {
    let filter = EnvFilter::try_new(directives(filter)).unwrap_or_else(|_| EnvFilter::new(directives("warn")));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .finish();
    // A second call is not an error: the first subscriber stays.
    let _already_set = tracing::subscriber::set_global_default(subscriber);
}

/// `filter` with a lone level narrowed to Limn's crates; the libraries below them warn at most.
fn directives(filter: &str) -> String {
    match filter.trim().parse::<LevelFilter>() {
        Ok(level) if level > LevelFilter::WARN => {
            format!("warn,limn={level},limn_server={level},limn_sql_udfs={level},limn_client={level}")
        }
        _ => filter.to_string(),
    }
}

/// The kinds of statements that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// A statement that reads.
    Query,
    /// A statement that changes something.
    Effect,
    /// A request that failed before its kind was known.
    Unknown,
}

const KINDS: [(StatementKind, &str); 3] =
    [(StatementKind::Query, "query"), (StatementKind::Effect, "effect"), (StatementKind::Unknown, "unknown")];

/// Every outcome, success first; the order is that of the counters.
const OUTCOMES: [Option<Class>; 13] = [
    None,
    Some(Class::Input),
    Some(Class::NotFound),
    Some(Class::AlreadyExists),
    Some(Class::Unauthenticated),
    Some(Class::Denied),
    Some(Class::Unsupported),
    Some(Class::Exhausted),
    Some(Class::Cancelled),
    Some(Class::DeadlineExceeded),
    Some(Class::Conflict),
    Some(Class::Unavailable),
    Some(Class::Internal),
];

/// The server's counters. Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    statements: [[AtomicU64; OUTCOMES.len()]; KINDS.len()],
    running: AtomicI64,
    queued: AtomicI64,
    rejected: AtomicU64,
    lost: AtomicU64,
    rows_sent: AtomicU64,
    bytes_sent: AtomicU64,
    gauges: Mutex<Vec<Gauge>>,
}

/// A number that some part of the server knows at any time.
struct Gauge {
    name: &'static str,
    help: &'static str,
    value: Box<dyn Fn() -> usize + Send + Sync>,
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Metrics {
    /// Shows a number that is asked for whenever somebody looks. What `value` holds lives as long as the metrics, so it
    /// holds others weakly. A name that is there already gets the new value.
    pub fn gauge(&self, name: &'static str, help: &'static str, value: impl Fn() -> usize + Send + Sync + 'static) {
        let mut gauges = self.counters.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.retain(|gauge| gauge.name != name);
        gauges.push(Gauge { name, help, value: Box::new(value) });
    }

    /// Counts a statement as running until the answer is dropped.
    #[must_use]
    pub fn running(&self) -> Running {
        self.counters.running.fetch_add(1, Ordering::Relaxed);
        Running { counters: Arc::clone(&self.counters) }
    }

    /// Statements that run now.
    pub fn running_now(&self) -> i64 {
        self.counters.running.load(Ordering::Relaxed)
    }

    /// Counts a statement as waiting for others until the answer is dropped.
    #[must_use]
    pub fn queued(&self) -> Queued {
        self.counters.queued.fetch_add(1, Ordering::Relaxed);
        Queued { counters: Arc::clone(&self.counters) }
    }

    /// Counts a statement that was not let in, because too many ran and waited.
    pub fn rejected(&self) {
        self.counters.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an ended statement whose row in `system.queries` was lost.
    pub fn lost(&self) {
        self.counters.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one finished statement: `None` is success.
    pub fn finished(&self, kind: StatementKind, outcome: Option<Class>) {
        let row = KINDS.iter().zip(&self.counters.statements).find(|((known, _), _)| *known == kind);
        let Some((_, row)) = row else { return };
        if let Some((_, cell)) = OUTCOMES.iter().zip(row).find(|(known, _)| **known == outcome) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts rows and bytes that went to a client.
    pub fn sent(&self, rows: u64, bytes: u64) {
        self.counters.rows_sent.fetch_add(rows, Ordering::Relaxed);
        self.counters.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All metrics in Prometheus's text format,
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.
    pub fn to_prometheus(&self) -> String {
        let mut text = String::new();
        head(&mut text, "limn_statements_total", "counter", "Statements that ended, by kind and outcome.");
        for ((_, kind), row) in KINDS.iter().zip(&self.counters.statements) {
            for (outcome, cell) in OUTCOMES.iter().zip(row) {
                let class = outcome.map_or("ok", Class::name);
                let value = cell.load(Ordering::Relaxed);
                // Writing to a string cannot fail.
                let _ = writeln!(text, "limn_statements_total{{kind=\"{kind}\",class=\"{class}\"}} {value}");
            }
        }
        let single = [
            ("limn_statements_running", "gauge", "Statements that run now.", self.running_now().to_string()),
            (
                "limn_statements_queued",
                "gauge",
                "Statements that wait for others to end.",
                self.counters.queued.load(Ordering::Relaxed).to_string(),
            ),
            (
                "limn_statements_rejected_total",
                "counter",
                "Statements that were not let in because too many ran and waited.",
                self.counters.rejected.load(Ordering::Relaxed).to_string(),
            ),
            (
                "limn_query_rows_lost_total",
                "counter",
                "Ended statements that system.queries lost because they could not be saved in time.",
                self.counters.lost.load(Ordering::Relaxed).to_string(),
            ),
            (
                "limn_rows_sent_total",
                "counter",
                "Rows sent to clients.",
                self.counters.rows_sent.load(Ordering::Relaxed).to_string(),
            ),
            (
                "limn_bytes_sent_total",
                "counter",
                "Bytes of Arrow data sent to clients.",
                self.counters.bytes_sent.load(Ordering::Relaxed).to_string(),
            ),
        ];
        for (name, kind, help, value) in single {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
        for gauge in self.counters.gauges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            head(&mut text, gauge.name, "gauge", gauge.help);
            let _ = writeln!(text, "{} {}", gauge.name, (gauge.value)());
        }
        text
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// One running statement.
#[derive(Debug)]
pub struct Running {
    counters: Arc<Counters>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.counters.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One waiting statement.
#[derive(Debug)]
pub struct Queued {
    counters: Arc<Counters>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.counters.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_show_what_was_counted() {
        let metrics = Metrics::default();
        let first = metrics.running();
        let second = metrics.running();
        metrics.finished(StatementKind::Query, None);
        metrics.finished(StatementKind::Query, None);
        metrics.finished(StatementKind::Effect, Some(Class::Conflict));
        metrics.sent(3, 70);
        drop(first);
        let text = metrics.to_prometheus();
        for line in [
            "limn_statements_total{kind=\"query\",class=\"ok\"} 2",
            "limn_statements_total{kind=\"effect\",class=\"conflict\"} 1",
            "limn_statements_total{kind=\"effect\",class=\"ok\"} 0",
            "limn_statements_running 1",
            "limn_rows_sent_total 3",
            "limn_bytes_sent_total 70",
        ] {
            assert!(text.lines().any(|found| found == line), "no line `{line}` in\n{text}");
        }
        drop(second);
        assert_eq!(metrics.running_now(), 0);
    }

    #[test]
    fn a_gauge_shows_what_is_so_when_it_is_looked_at() {
        let metrics = Metrics::default();
        let number = Arc::new(AtomicU64::new(3));
        let shown = Arc::clone(&number);
        metrics.gauge("limn_things", "Things.", || 1);
        metrics.gauge("limn_things", "Things.", move || shown.load(Ordering::Relaxed) as usize);
        assert!(metrics.to_prometheus().ends_with("# TYPE limn_things gauge\nlimn_things 3\n"));
        number.store(4, Ordering::Relaxed);
        let text = metrics.to_prometheus();
        assert_eq!(text.lines().filter(|line| line.starts_with("limn_things")).collect::<Vec<_>>(), ["limn_things 4"]);
    }

    #[test]
    fn a_lone_level_is_for_our_own_crates() {
        let info = "warn,limn=info,limn_server=info,limn_sql_udfs=info,limn_client=info";
        for (filter, expected) in
            [("info", info), ("off", "off"), ("error", "error"), ("warn,tonic=debug", "warn,tonic=debug")]
        {
            assert_eq!(directives(filter), expected);
            assert!(EnvFilter::try_new(directives(filter)).is_ok());
        }
    }

    #[test]
    fn every_metric_has_help_and_type() {
        let text = Metrics::default().to_prometheus();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name: String = line.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
        }
    }
}
