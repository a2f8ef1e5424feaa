//! The four samples of `clients/java`, run as a reader runs them; `clients/SAMPLES.md` says what each answers.

use limn_tests::maven::{self, Programs};
use limn_tests::{Context, Outcome, TestServer, ensure, paths};
use serde_json::{Value, json};

fn samples() -> Outcome<Option<Programs>> {
    let project = paths::repository().join("clients/java");
    match maven::java(&project)? {
        Some(java) => java.compile(&project.join("src")).map(Some),
        None => Ok(None),
    }
}

/// The object on the last line of a sample. It runs twice, because it makes way for itself: the first run's.
fn answer(sample: &str) -> Outcome<Option<Value>> {
    let Some(samples) = samples()? else { return Ok(None) };
    let server = TestServer::start()?;
    let run = || -> Outcome<Value> {
        let url = server.flight_url();
        let printed = samples.run(&format!("limn.samples.{sample}"), &[], ["--url", url.as_str()])?;
        let last = printed.lines().last().context("the sample printed nothing")?;
        serde_json::from_str(last).context(format!("reading `{last}`"))
    };
    let (first, mut second) = (run()?, run()?);
    if let Some(version) = first.get("version") {
        // The one number that counts on: no version is given twice.
        ensure(second["version"].as_i64() > version.as_i64(), || format!("expected a newer version: {second}"))?;
        second["version"] = version.clone();
    }
    ensure(first == second, || format!("expected {first} again, found {second}"))?;
    Ok(Some(first))
}

fn answers(sample: &str, expected: Value) -> Outcome {
    match answer(sample)? {
        Some(found) => ensure(found == expected, || format!("{sample}: expected {expected}, found {found}")),
        None => Ok(()),
    }
}

#[test]
fn quickstart() -> Outcome {
    answers("Quickstart", json!({ "rows": 3, "sum": 60, "rows_at_version_1": 2 }))
}

#[test]
fn parameters() -> Outcome {
    answers("Parameters", json!({ "matched": 2, "inserted": 4 }))
}

#[test]
fn model() -> Outcome {
    let Some(mut found) = answer("Model")? else { return Ok(()) };
    for (name, expected) in [("coefficient", 2.0), ("intercept", 1.0)] {
        let value = found[name].as_f64().context(format!("expected the number `{name}` in {found}"))?;
        ensure((value - expected).abs() < 1e-6, || format!("expected `{name}` to be {expected}, found {value}"))?;
        found[name] = json!(expected);
    }
    let expected =
        json!({ "coefficient": 2.0, "intercept": 1.0, "version": 1, "algorithm": "linear_regression", "rows": 1000 });
    ensure(found == expected, || format!("expected {expected}, found {found}"))
}

#[test]
fn bulk_ingest() -> Outcome {
    // The sum of 0 to n - 1 is n (n - 1) / 2.
    answers("BulkIngest", json!({ "rows": 1_000_000, "sum_id": 1_000_000_u64 * 999_999 / 2 }))
}
