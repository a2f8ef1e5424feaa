//! The benchmark's frame: a server of its own, the pinned Python, and `bench/bench.py`, which measures and prints.
//!
//! `bench/run.sh [ROWS]` builds both in release and runs it. It measures nothing itself.

use limn_tests::{Context, Outcome, TestServer, paths, python};

/// Rows where the command names none.
const ROWS: &str = "10000000";

fn main() -> Outcome {
    let rows = std::env::args().nth(1).unwrap_or_else(|| ROWS.into());
    let python = python::python()?.context("the benchmark needs Python: unset LIMN_SKIP_PYTHON")?;
    let server = TestServer::start()?;
    let mut command = python.command(&paths::repository().join("bench/bench.py"));
    command.args(["--url", &server.flight_url(), "--rows", &rows]);
    let build = if cfg!(debug_assertions) { "built in the shared (dev) profile" } else { "release build" };
    command.args(["--build", build]);
    command.arg("--limn").arg(paths::limn()?).arg("--scratch").arg(server.scratch());
    print!("{}", python.run(&mut command)?);
    Ok(())
}
