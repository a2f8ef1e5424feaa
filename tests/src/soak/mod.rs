//! A soak: many connections with a mix of short queries, long scans, loads, abandoned reads and cancelled statements,
//! against the real server in a process of its own, for a while.
//!
//! It passes where no answer was wrong, no unexpected error came, and the server's memory did not go on growing. What
//! each connection does next comes from a seed. It measures from outside: over the wire, HTTP and `/proc`.
//!
//! # Layout
//! - `work`: what a connection does; `watch`: samples of the server, and the verdict on its memory

mod watch;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::server::ServerOptions;
use crate::{Context, Outcome, TestServer, ensure};
use watch::Sample;
use work::{Connection, Tally};

/// How to soak.
#[derive(Debug, Clone)]
pub struct SoakOptions {
    /// How long.
    pub duration: Duration,
    /// Connections at the same time.
    pub connections: usize,
    /// Where the choices come from.
    pub seed: u64,
    /// How often the server is looked at.
    pub sample_interval: Duration,
}

/// Growth of what the server has allocated that is still no leak, since the memory of a busy server goes up and down.
pub const GROWTH_FRACTION: f64 = 0.1;
/// The same in bytes, whatever the fraction gives.
pub const GROWTH_BYTES: u64 = 32 * 1024 * 1024;
/// When the memory is taken to have settled, in a soak that is long enough; a shorter one waits for a quarter of it.
pub const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// Tasks that may be left at the end over those of the server at rest: background work comes and goes.
pub const TASKS_LEFT_MAX: i64 = 8;

/// Soaks, prints what happened, and fails where something is wrong.
pub async fn run(options: &SoakOptions) -> Outcome {
    let server = Arc::new(TestServer::start_with(ServerOptions::default())?);
    work::prepare(&server).await?;
    let idle_tasks = server.metric("limn_tasks")?;
    let started = Instant::now();
    let ends = started + options.duration;
    let connections = (0..options.connections).map(|number| {
        let (server, seed) = (Arc::clone(&server), options.seed);
        tokio::spawn(async move { Connection::open(&server, number, seed).await?.work_until(ends).await })
    });
    let connections: Vec<_> = connections.collect();
    let mut samples = vec![Sample::take(&server, started)?];
    println!("{}", Sample::head());
    let mut ticks = tokio::time::interval(options.sample_interval);
    ticks.tick().await;
    while Instant::now() < ends {
        tokio::select! {
            _ = ticks.tick() => {}
            () = until(ends) => {}
        }
        let sample = Sample::take(&server, started)?;
        println!("{sample}");
        samples.push(sample);
    }
    let mut all = Tally::default();
    for connection in connections {
        all.add(connection.await.context("a connection's task")??);
    }
    // What was abandoned and cancelled is gone, too.
    server.until_metric("limn_statements_running", 0)?;
    let tasks_left = server.until_at_most("limn_tasks", idle_tasks + TASKS_LEFT_MAX);
    println!("{}   (after the end)", Sample::take(&server, started)?);
    println!("{all}");
    let errors = all.errors();
    ensure(errors.is_empty(), || format!("{} errors, the first are:\n{}", errors.len(), errors.join("\n")))?;
    tasks_left?;
    watch::judge(&samples, options.duration)
}

async fn until(when: Instant) {
    let wait = when.saturating_duration_since(Instant::now());
    // The timeout of what never comes.
    let _elapsed = tokio::time::timeout(wait, std::future::pending::<()>()).await;
}
