//! The benchmarks' frame: a server of its own, the pinned Python, and a program of `bench/`, which measures and prints.
//!
//! `bench/run.sh [ROWS]` builds all of it in release and runs the programs: `bench engine`, `bench flight`, `bench lake`
//! (whose number is TPC-H's scale factor) and `bench models`, which starts servers of its own, on one core and on all.
//! It measures nothing itself.

use limn_tests::{Context, Outcome, TestServer, ensure, fail, paths, python};

/// Rows where the command names none.
const ROWS: &str = "10000000";

fn main() -> Outcome {
    let which = std::env::args().nth(1).unwrap_or_default();
    let rows = std::env::args().nth(2).unwrap_or_else(|| ROWS.into());
    let python = python::python_for_benchmarks()?.context("the benchmark needs Python: unset LIMN_SKIP_PYTHON")?;
    let program = match which.as_str() {
        "engine" | "flight" | "lake" | "models" => paths::repository().join("bench").join(which.clone() + ".py"),
        _ => return Err(fail(format!("expected `engine`, `flight`, `lake` or `models`, found `{which}`"))),
    };
    let build = if cfg!(debug_assertions) { "built in the shared (dev) profile" } else { "release build" };
    let mut command = python.command(&program);
    match which.as_str() {
        "lake" => command.args(["--scale", &std::env::args().nth(2).unwrap_or_else(|| "1".into())]),
        _ => command.args(["--rows", &rows]),
    };
    if which == "models" {
        let scratch = tempfile::tempdir()?;
        command.args(["--build", build]).arg("--limn").arg(paths::limn()?).arg("--scratch").arg(scratch.path());
        // Parts of it and repetitions, where somebody is after one figure.
        command.args(std::env::args().skip(3));
        // It takes long, so each line is shown when it is there.
        let status = command.status()?;
        return ensure(status.success(), || format!("`{}` gave {status}", program.display()));
    }
    let server = TestServer::start()?;
    command.args(["--url", &server.flight_url()]).arg("--scratch").arg(server.scratch());
    match which.as_str() {
        "engine" => command.args(["--build", build]).arg("--limn").arg(paths::limn()?),
        "lake" => command.args(["--build", build]).arg("--data-dir").arg(server.data_dir()),
        _ => command.arg("--data-dir").arg(server.data_dir()).arg("--ceiling").arg(paths::build()?.join("ceiling")),
    };
    if which == "lake" {
        // A part of it, where somebody is after one figure.
        command.args(std::env::args().skip(3));
    }
    print!("{}", python.run(&mut command)?);
    Ok(())
}
