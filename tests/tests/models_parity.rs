//! Models beside the same ones of scikit-learn, and artifacts in ONNX Runtime, on data with noise.
//!
//! `clients/python/parity.py` trains both and measures how far apart they are; here is what is too far.

use limn_tests::{Context, Outcome, TestServer, ensure, python};
use serde_json::Value;

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
