//! Python's clients against the real server: stock ones, unmodified, and the package `limn` of `clients/python`.
//!
//! The programs of `tests/clients/python` hold the expectations; each fails with the first thing that is otherwise.

use std::path::{Path, PathBuf};
use std::process::Command;

use limn_tests::python::Python;
use limn_tests::{Context, Outcome, TestServer, ensure, paths, python};
use serde_json::{Value, json};

/// Runs a program with the server's address; it prints nothing unless something is wrong.
fn passes(program: &str) -> Outcome {
    let Some(python) = python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    python.script(program, [server.flight_url()]).map(drop)
}

#[test]
fn the_adbc_driver_does_what_its_users_do() -> Outcome {
    passes("adbc.py")
}

#[test]
fn the_adbc_driver_ingests_in_every_mode() -> Outcome {
    passes("adbc_ingest.py")
}

#[test]
fn polars_and_pandas_read_and_write() -> Outcome {
    passes("polars_pandas.py")
}

#[test]
fn pyarrow_flight_speaks_every_command() -> Outcome {
    passes("pyarrow_flight.py")
}

#[test]
fn superset_browses_and_charts() -> Outcome {
    passes("superset.py")
}

#[test]
fn the_odbc_driver_finds_everything_where_it_reads_it() -> Outcome {
    passes("odbc.py")
}

#[test]
fn grafana_gets_what_it_can_read() -> Outcome {
    passes("grafana.py")
}

#[test]
fn every_value_of_every_type_makes_the_round_trip() -> Outcome {
    passes("round_trips.py")
}

#[test]
fn nested_columns_are_those_of_deltalake() -> Outcome {
    let Some(python) = python::python_for_readers()? else { return Ok(()) };
    let server = TestServer::start()?;
    let directory = tempfile::tempdir()?;
    python.script("delta_nested.py", [server.flight_url(), directory.path().display().to_string()]).map(drop)
}

#[test]
fn the_package_passes_its_own_tests() -> Outcome {
    let Some(python) = python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    let site = install(&python, server.scratch())?;
    let mut command = python.module("unittest");
    command.current_dir(package().join("tests")).env("PYTHONPATH", site).env("LIMN_TEST_URL", server.flight_url());
    python.run(&mut command).map(drop)
}

#[test]
fn the_samples_of_the_package_give_the_numbers_of_all_languages() -> Outcome {
    let Some(python) = python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    let site = install(&python, server.scratch())?;
    let expected = [
        ("quickstart.py", json!({"rows": 3, "sum": 60, "rows_at_version_1": 2})),
        ("parameters.py", json!({"matched": 2, "inserted": 4})),
        ("bulk_ingest.py", json!({"rows": 1_000_000, "sum_id": 499_999_500_000_u64})),
    ];
    for (sample, expected) in expected {
        let found = run_sample(&python, &site, sample, &server)?;
        ensure(found == expected, || format!("{sample}: expected {expected}, found {found}"))?;
    }
    let found = run_sample(&python, &site, "model.py", &server)?;
    let near = |name: &str, expected: f64| (found[name].as_f64().unwrap_or(f64::NAN) - expected).abs() < 1e-6;
    ensure(near("coefficient", 2.0) && near("intercept", 1.0), || format!("expected the line 2 x + 1, found {found}"))?;
    let exact = json!([found["version"], found["algorithm"], found["rows"]]);
    ensure(exact == json!([1, "linear_regression", 1000]), || format!("the model is another: {found}"))
}

fn package() -> PathBuf {
    paths::repository().join("clients/python")
}

/// Installs the package as pip does for everyone, into a directory of its own, and gives the directory.
fn install(python: &Python, scratch: &Path) -> Outcome<PathBuf> {
    // Building leaves files beside the sources, so it is done on a copy.
    let (copy, site) = (scratch.join("package"), scratch.join("site"));
    std::fs::create_dir_all(copy.join("src/limn"))?;
    for file in ["pyproject.toml", "README.md"] {
        std::fs::copy(package().join(file), copy.join(file))?;
    }
    for entry in std::fs::read_dir(package().join("src/limn"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), copy.join("src/limn").join(entry.file_name()))?;
        }
    }
    let mut pip = python.module("pip");
    // What it depends on, and what builds it, is in the venv.
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--target"]);
    python.run(pip.arg(&site).arg(&copy))?;
    ensure(site.join("limn/py.typed").exists(), || "the package says nothing of its types".into())?;
    Ok(site)
}

/// Runs a sample and gives the last line that it printed.
fn run_sample(python: &Python, site: &Path, sample: &str, server: &TestServer) -> Outcome<Value> {
    let mut command: Command = python.command(&package().join("samples").join(sample));
    command.args(["--url", &server.flight_url()]).env("PYTHONPATH", site);
    let printed = python.run(&mut command)?;
    let last = printed.lines().last().unwrap_or_default();
    serde_json::from_str(last).context(format!("{sample} should end with a JSON object, found `{last}`"))
}
