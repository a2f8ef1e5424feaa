//! The energy example through stock clients, ADBC in Python and JDBC in Java: the same numbers from each.
//!
//! It runs on the real demand file where that is, and on generated data of several sites; scikit-learn and ONNX Runtime
//! check the model on the rows that the server trained on.

use std::path::{Path, PathBuf};

use limn_tests::server::limn_command;
use limn_tests::{Context, Outcome, TestServer, ensure, fail, maven, paths, python};
use serde_json::{Map, Value};

/// Relative difference of numbers that several threads added up in no fixed order.
const SUM_TOLERANCE: f64 = 1e-9;
/// Relative difference from scikit-learn's least squares.
const SKLEARN_TOLERANCE: f64 = 1e-6;
/// Relative difference from ONNX Runtime on a graph of doubles.
const ONNX_TOLERANCE: f64 = 1e-9;

#[test]
fn the_real_demand_file_gives_the_same_numbers_in_python_and_java() -> Outcome {
    match paths::real_data() {
        Some(csv) => {
            let numbers = same_numbers(&csv)?;
            // Three years of half-hours.
            expect(&numbers, "rows_latest", 52_608.0)
        }
        None => Ok(()),
    }
}

#[test]
fn generated_data_of_several_sites_gives_the_same_numbers_in_python_and_java() -> Outcome {
    let scratch = tempfile::tempdir()?;
    let csv = scratch.path().join("energy.csv");
    let generated = limn_command()?
        .args(["generate", "energy", "--sites", "3", "--days", "400", "--seed", "42", "--out"])
        .arg(&csv)
        .status()?;
    ensure(generated.success(), || format!("`limn generate energy` gave {generated}"))?;
    let numbers = same_numbers(&csv)?;
    expect(&numbers, "rows_latest", 3.0 * 400.0 * 48.0)
}

/// Runs the example in each language on a server of its own, and gives its numbers.
fn same_numbers(csv: &Path) -> Outcome<Map<String, Value>> {
    let in_python = run_python(csv)?;
    let in_java = run_java(csv)?;
    let numbers = match (in_python, in_java) {
        (Some(python), Some(java)) => {
            compare(&python, &java)?;
            python
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return Err(fail("expected at least one of the two clients")),
    };
    check_story(&numbers)?;
    Ok(numbers)
}

fn example(file: &str) -> PathBuf {
    paths::repository().join("examples/energy").join(file)
}

fn run_python(csv: &Path) -> Outcome<Option<Map<String, Value>>> {
    let Some(python) = python::python()? else { return Ok(None) };
    let server = TestServer::start()?;
    let mut command = python.command(&example("energy.py"));
    let printed = python.run(command.args(["--url", &server.flight_url(), "--csv"]).arg(csv))?;
    let data_dir = server.data_dir().to_string_lossy().into_owned();
    let parity = python.script("energy_parity.py", ["--url", &server.flight_url(), "--data-dir", &data_dir])?;
    let parity = last_line(&parity)?;
    println!("{}: {}", csv.display(), Value::Object(parity.clone()));
    for (name, tolerance) in [
        ("coefficients", SKLEARN_TOLERANCE),
        ("intercept", SKLEARN_TOLERANCE),
        ("rmse", SKLEARN_TOLERANCE),
        ("onnxruntime", ONNX_TOLERANCE),
    ] {
        let apart = number(&parity, name)?;
        ensure(apart <= tolerance, || format!("expected `{name}` within {tolerance}, found {apart}"))?;
    }
    let numbers = last_line(&printed)?;
    expect(&numbers, "held_out_rows", number(&parity, "held_out_rows")?)?;
    Ok(Some(numbers))
}

fn run_java(csv: &Path) -> Outcome<Option<Map<String, Value>>> {
    let Some(java) = maven::java(&example("java"))? else { return Ok(None) };
    let server = TestServer::start()?;
    let url = format!("jdbc:arrow-flight-sql://{}?useEncryption=false", server.flight_addr());
    let csv = csv.to_string_lossy();
    let printed = java.run(&example("java/Energy.java"), ["--url", &url, "--csv", &csv])?;
    last_line(&printed).map(Some)
}

/// The JSON object that the example prints last.
fn last_line(printed: &str) -> Outcome<Map<String, Value>> {
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line).context(format!("reading the last line of:\n{printed}"))
}

fn number(numbers: &Map<String, Value>, name: &str) -> Outcome<f64> {
    let found = numbers.get(name);
    found.and_then(Value::as_f64).context(format!("expected the number `{name}`, found {found:?}"))
}

fn expect(numbers: &Map<String, Value>, name: &str, expected: f64) -> Outcome {
    let found = number(numbers, name)?;
    ensure(found == expected, || format!("expected `{name}` to be {expected}, found {found}"))
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= SUM_TOLERANCE * a.abs().max(b.abs())
}

fn compare(python: &Map<String, Value>, java: &Map<String, Value>) -> Outcome {
    let names = |numbers: &Map<String, Value>| numbers.keys().cloned().collect::<std::collections::BTreeSet<_>>();
    ensure(names(python) == names(java), || format!("expected the same names, found {python:?} and {java:?}"))?;
    for (name, in_python) in python {
        let in_java = &java[name];
        let same = match (in_python.as_f64(), in_java.as_f64()) {
            (Some(a), Some(b)) => close(a, b),
            _ => in_python == in_java,
        };
        ensure(same, || format!("`{name}` is {in_python} in Python and {in_java} in Java"))?;
    }
    Ok(())
}

/// What the example must have seen, whatever the data.
fn check_story(numbers: &Map<String, Value>) -> Outcome {
    let (first, latest) = (number(numbers, "rows_version_0")?, number(numbers, "rows_latest")?);
    ensure(0.0 < first && first < latest, || format!("expected version 0 to have fewer rows: {first} of {latest}"))?;
    let (measured, registered) = (number(numbers, "rmse")?, number(numbers, "registry_rmse")?);
    ensure(close(measured, registered), || format!("the RMSE in SQL is {measured}, the registered one {registered}"))?;
    for (name, expected) in [("input_version", 1.0), ("model_version", 1.0), ("alias_version", 1.0), ("seed", 42.0)] {
        expect(numbers, name, expected)?;
    }
    ensure(numbers["artifact_sha256"] == numbers["registry_sha256"], || format!("{numbers:?}"))?;
    ensure(numbers["status"] == "FINISHED" && numbers["experiment"] == "energy", || format!("{numbers:?}"))
}
