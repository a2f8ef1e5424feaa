//! Models beside the same ones of scikit-learn, XGBoost and LightGBM, and artifacts in ONNX Runtime.
//!
//! `clients/python/parity.py` trains both on data with noise and measures how far apart they are; here is what is too
//! far. `clients/python/models/parity.py` does it for every algorithm on real data and prints a table; it holds its bars
//! itself. It takes a slice of the rows, folds and trees, unless [`WHOLE_VARIABLE`] is set.

use limn_sql_udfs::train::algorithms;
use limn_tests::{Context, Outcome, TestServer, ensure, paths, python};
use serde_json::{Map, Value, json};

/// Names the environment variable that asks for all rows, folds and trees.
const WHOLE_VARIABLE: &str = "LIMN_PARITY_WHOLE";

/// Relative difference from scikit-learn's least squares.
const LINEAR_TOLERANCE: f64 = 1e-6;
/// Relative difference from scikit-learn's logistic regression, and of probabilities.
const LOGISTIC_TOLERANCE: f64 = 1e-4;
/// Relative difference from ONNX Runtime on a graph of doubles.
const ONNX_TOLERANCE: f64 = 1e-9;

#[test]
fn models_equal_those_of_scikit_learn_and_onnx_runtime() -> Outcome {
    let Some(python) = python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    let (data_dir, scratch) = (server.data_dir(), server.scratch());
    let arguments = ["--url", &server.flight_url(), "--data-dir", &data_dir.to_string_lossy(), "--scratch"];
    let mut command = python.command(&limn_tests::paths::tests().join("clients/python/parity.py"));
    let printed = python.run(command.args(arguments).arg(scratch))?;
    let line = printed.lines().last().unwrap_or_default();
    println!("{line}");
    let report: Value = serde_json::from_str(line).context(&printed)?;

    for (model, measure, tolerance) in [
        ("linear", "coefficients", LINEAR_TOLERANCE),
        ("linear", "intercept", LINEAR_TOLERANCE),
        ("linear", "rmse", LINEAR_TOLERANCE),
        ("linear", "onnxruntime", ONNX_TOLERANCE),
        ("logistic", "coefficients", LOGISTIC_TOLERANCE),
        ("logistic", "intercept", LOGISTIC_TOLERANCE),
        ("logistic", "probabilities", LOGISTIC_TOLERANCE),
        ("logistic", "labels_differ", 0.0),
        ("logistic", "onnxruntime", ONNX_TOLERANCE),
        ("logistic", "onnxruntime_labels_differ", 0.0),
        ("logistic_boolean", "coefficients", LOGISTIC_TOLERANCE),
        ("logistic_boolean", "intercept", LOGISTIC_TOLERANCE),
        ("logistic_boolean", "probabilities", LOGISTIC_TOLERANCE),
        ("logistic_boolean", "labels_differ", 0.0),
        ("logistic_boolean", "onnxruntime", ONNX_TOLERANCE),
        ("logistic_boolean", "onnxruntime_labels_differ", 0.0),
        ("regression_tree", "onnxruntime", ONNX_TOLERANCE),
        ("classification_tree", "onnxruntime_labels_differ", 0.0),
    ] {
        let apart = report[model][measure].as_f64().context(format!("expected `{model}.{measure}`, found {report}"))?;
        ensure(apart <= tolerance, || format!("expected `{model}.{measure}` within {tolerance}, found {apart}"))?;
    }
    for model in ["linear", "logistic", "logistic_boolean", "regression_tree", "classification_tree"] {
        ensure(report[model]["same_bytes"] == true, || format!("two trainings of `{model}` gave different bytes"))?;
    }
    // A tree that learned nothing would agree with ONNX Runtime too.
    let at_least = |model: &str, measure: &str, bound: f64| {
        let found = report[model][measure].as_f64().unwrap_or(f64::NAN);
        ensure(found >= bound, || format!("expected `{model}.{measure}` of at least {bound}, found {found}"))
    };
    at_least("regression_tree", "r2", 0.5)?;
    at_least("classification_tree", "accuracy", 0.6)
}

/// Runs one part of the comparison of all algorithms; the table is printed whatever comes of it.
fn every_algorithm(part: &str) -> Outcome {
    let Some(python) = python::python()? else { return Ok(()) };
    let server = TestServer::start()?;
    let known: Map<String, Value> = algorithms()
        .map(|one| (one.name.to_owned(), one.parameters.iter().map(|parameter| json!(parameter.name)).collect()))
        .collect();
    let mut command = python.command(&paths::tests().join("clients/python/models/parity.py"));
    command.args(["--url", &server.flight_url(), "--part", part, "--algorithms", &Value::Object(known).to_string()]);
    command.arg("--data-dir").arg(server.data_dir());
    if std::env::var_os(WHOLE_VARIABLE).is_some() {
        command.arg("--whole");
    }
    if let Some(directory) = paths::real_data().and_then(|file| file.parent().map(ToOwned::to_owned)) {
        command.env(paths::REAL_DATA_VARIABLE, directory);
    }
    let printed = python.run(&mut command)?;
    println!("{printed}");
    let line = printed.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(line).context(&printed)?;
    ensure(report["failed"] == json!([]), || format!("expected no difference above its bar, found {report}"))?;
    ensure(report["compared"].as_u64() > Some(0), || format!("expected comparisons, found none: {report}"))
}

#[test]
fn unique_optima_are_scikit_learns() -> Outcome {
    every_algorithm("exact")
}

#[test]
fn held_out_metrics_are_not_worse_than_those_of_the_peers() -> Outcome {
    every_algorithm("metrics")
}

#[test]
fn onnx_runtime_gives_the_same_for_every_algorithm_and_hard_inputs() -> Outcome {
    every_algorithm("graphs")
}
