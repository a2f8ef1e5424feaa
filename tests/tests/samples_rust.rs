//! The four samples of the Rust client, run as a reader runs them; `clients/SAMPLES.md` says what each answers.

use std::process::Command;

use limn_tests::{Context, Outcome, TestServer, fail};
use serde_json::{Value, json};

/// Runs a sample, twice, because it cleans up after an earlier run; the object on its last line, of the first run.
fn answer(binary: &str) -> Outcome<Value> {
    let server = TestServer::start()?;
    let url = server.flight_url();
    let run = || -> Outcome<Value> {
        let output = Command::new(binary).args(["--url", &url]).output().context(binary)?;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(fail(format!("{binary} gave {}\n{stdout}{stderr}", output.status)));
        }
        let last = stdout.lines().last().context("the sample printed nothing")?;
        serde_json::from_str(last).context(format!("reading `{last}`"))
    };
    let first = run()?;
    let second = run()?;
    let without_version = |mut answer: Value| {
        answer.as_object_mut().map(|object| object.remove("version"));
        answer
    };
    assert_eq!(without_version(first.clone()), without_version(second));
    Ok(first)
}

#[test]
fn quickstart() -> Outcome {
    let answer = answer(env!("CARGO_BIN_EXE_sample_quickstart"))?;
    assert_eq!(answer, json!({ "rows": 3, "sum": 60, "rows_at_version_1": 2 }));
    Ok(())
}

#[test]
fn parameters() -> Outcome {
    let answer = answer(env!("CARGO_BIN_EXE_sample_parameters"))?;
    assert_eq!(answer, json!({ "matched": 2, "inserted": 4 }));
    Ok(())
}

#[test]
fn bulk_ingest() -> Outcome {
    // The sum of 0 to n - 1 is n (n - 1) / 2.
    let answer = answer(env!("CARGO_BIN_EXE_sample_bulk_ingest"))?;
    assert_eq!(answer, json!({ "rows": 1_000_000, "sum_id": 1_000_000_u64 * 999_999 / 2 }));
    Ok(())
}

#[test]
fn model() -> Outcome {
    let answer = answer(env!("CARGO_BIN_EXE_sample_model"))?;
    for (key, expected) in [("coefficient", 2.0), ("intercept", 1.0)] {
        let found = answer.get(key).and_then(Value::as_f64).context(format!("no `{key}` in {answer}"))?;
        assert!((found - expected).abs() < 1e-6, "{key}: {found}");
    }
    assert_eq!(answer.get("version"), Some(&json!(1)));
    assert_eq!(answer.get("algorithm"), Some(&json!("linear_regression")));
    assert_eq!(answer.get("rows"), Some(&json!(1000)));
    Ok(())
}
