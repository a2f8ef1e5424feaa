//! The benchmarks' frame: a server of its own, the pinned Python, and a program of `bench/`, which measures and prints.
//!
//! `bench/run.sh [ROWS]` builds all of it in release and runs both programs: `bench engine` and `bench flight`. It
//! measures nothing itself.

use limn_tests::{Context, Outcome, TestServer, fail, paths, python};

/// Rows where the command names none.
const ROWS: &str = "10000000";

fn main() -> Outcome {
    let which = std::env::args().nth(1).unwrap_or_default();
    let rows = std::env::args().nth(2).unwrap_or_else(|| ROWS.into());
    let python = python::python_for_benchmarks()?.context("the benchmark needs Python: unset LIMN_SKIP_PYTHON")?;
    let server = TestServer::start()?;
    let program = match which.as_str() {
        "engine" | "flight" => paths::repository().join("bench").join(which.clone() + ".py"),
        _ => return Err(fail(format!("expected `engine` or `flight`, found `{which}`"))),
    };
    let mut command = python.command(&program);
    command.args(["--url", &server.flight_url(), "--rows", &rows]).arg("--scratch").arg(server.scratch());
    if which == "engine" {
        let build = if cfg!(debug_assertions) { "built in the shared (dev) profile" } else { "release build" };
        command.args(["--build", build]).arg("--limn").arg(paths::limn()?);
    } else {
        command.arg("--data-dir").arg(server.data_dir()).arg("--ceiling").arg(paths::build()?.join("ceiling"));
    }
    print!("{}", python.run(&mut command)?);
    Ok(())
}
