//! Every algorithm on data at the edges of sense: a clear error and no new version, or a model that makes sense.
//!
//! The algorithms are those that the library lists, so a new one is tested from its first day. What a model must hold
//! here is little, on purpose: predictions are there, finite, of the right kind, and no worse than knowing nothing.

use std::fmt::Write as _;
use std::time::Duration;

use limn_sql_udfs::train::algorithms;
use limn_tests::wire::{Wire, WireError};
use limn_tests::{Outcome, TestServer, cells, ensure};

/// How long one training may take on a busy machine before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(300);
/// How much worse than the mean of the target a regression may be on the rows that it learned from.
const RMSE_TO_SPREAD_MAX: f64 = 1.5;

/// Rows to learn from: `ok` says which ones a model must make sense of.
struct Case {
    name: &'static str,
    /// The features as SQL over `value`, which counts the rows from 0.
    features: String,
    y: &'static str,
    label: &'static str,
    ok: &'static str,
    rows: usize,
}

const A: &str = "CAST(value % 7 AS DOUBLE) AS a";
const B: &str = "CAST(value * 13 % 11 AS DOUBLE) AS b";
const Y: &str = "1.0 + value % 7 + 0.5 * (value * 13 % 11) + 0.1 * (value * 5 % 3)";
const LABEL: &str = "CASE WHEN value % 7 + value * 13 % 11 > 8 THEN 'yes' ELSE 'no' END";

fn case(name: &'static str, features: impl Into<String>) -> Case {
    Case { name, features: features.into(), y: Y, label: LABEL, ok: "TRUE", rows: 40 }
}

fn missing_and_infinite() -> Vec<Case> {
    let holes = "CASE WHEN value % 5 <> 0 THEN CAST(value % 7 AS DOUBLE) END AS a, \
                 CASE WHEN value % 7 <> 1 THEN CAST(value * 13 % 11 AS DOUBLE) END AS b";
    let infinite = "CASE value WHEN 4 THEN CAST('inf' AS DOUBLE) WHEN 9 THEN CAST('-inf' AS DOUBLE) \
                    ELSE CAST(value % 7 AS DOUBLE) END AS a";
    vec![
        case("plain", format!("{A}, {B}")),
        case("nulls", holes),
        Case {
            y: "CASE WHEN value <> 3 THEN 1.0 + value % 7 + 0.5 * (value * 13 % 11) END",
            label: "CASE WHEN value = 3 THEN NULL WHEN value % 7 > 3 THEN 'yes' ELSE 'no' END",
            ok: "value <> 3",
            ..case("target_null", format!("{A}, {B}"))
        },
        Case { y: "CAST(NULL AS DOUBLE)", label: "CAST(NULL AS TEXT)", ..case("target_all_null", format!("{A}, {B}")) },
        case("feature_all_null", format!("{A}, {B}, CAST(NULL AS DOUBLE) AS c, CAST(NULL AS TEXT) AS d")),
        case("features_all_null", "CAST(NULL AS DOUBLE) AS a"),
        case("nan", format!("CASE WHEN value % 6 = 0 THEN CAST('NaN' AS DOUBLE) ELSE value % 7 END AS a, {B}")),
        Case { ok: "value NOT IN (4, 9)", ..case("infinity", format!("{infinite}, {B}")) },
        Case {
            y: "CASE value WHEN 4 THEN CAST('inf' AS DOUBLE) ELSE 1.0 + value % 7 END",
            ok: "value <> 4",
            ..case("target_infinite", format!("{A}, {B}"))
        },
    ]
}

fn degenerate() -> Vec<Case> {
    let wide = |width: usize| {
        (0..width).fold(String::new(), |mut all, k| {
            let comma = if k == 0 { "" } else { ", " };
            let _ = write!(all, "{comma}CAST((value * {} + {k}) % 101 AS DOUBLE) AS f{k}", 37 + 2 * k);
            all
        })
    };
    vec![
        case("constant", "CAST(3 AS DOUBLE) AS a, CAST(5 AS BIGINT) AS b, 'same' AS c"),
        case("one_constant", format!("{A}, {B}, CAST(7 AS DOUBLE) AS c")),
        case(
            "collinear",
            format!("{A}, {B}, CAST(2 * (value % 7) AS DOUBLE) AS c, 0.5 + value % 7 + value * 13 % 11 AS d"),
        ),
        Case { y: "4.0", label: "'only'", ..case("one_class", format!("{A}, {B}")) },
        Case { rows: 0, ..case("no_row", format!("{A}, {B}")) },
        Case { rows: 1, ..case("one_row", format!("{A}, {B}")) },
        Case { rows: 2, ..case("two_rows", format!("{A}, {B}")) },
        case("equal_rows", "CAST(1 AS DOUBLE) AS a, CAST(2 AS DOUBLE) AS b, value * 0 AS c"),
        Case { rows: 5, ..case("more_features_than_rows", wide(40)) },
        Case { rows: 60, ..case("thousand_features", wide(1000)) },
        case("other_types", "value % 3 = 0 AS flag, DATE '2012-01-01' AS day, 'k' || (value % 4) AS kind, value AS n"),
        case("a_text_for_each_row", format!("{A}, 'text ' || value AS t")),
    ]
}

fn scales_and_names() -> Vec<Case> {
    vec![
        case("tiny_features", "1e-300 * (value % 7) AS a, 1e-300 * (value * 13 % 11) AS b"),
        case("huge_features", "1e300 * (value % 7) AS a, 1e300 * (value * 13 % 11) AS b"),
        case("tiny_beside_huge", "1e-300 * (value % 7) AS a, 1e300 * (value * 13 % 11) AS b"),
        case("largest_features", "CASE WHEN value % 2 = 0 THEN 1.7e308 ELSE -1.7e308 END AS a"),
        case("denormal_features", "5e-324 * (value % 7) AS a, 5e-324 * (value * 13 % 11) AS b"),
        Case { y: "1e300 * (1 + value % 7)", ..case("huge_target", format!("{A}, {B}")) },
        Case { y: "1e-300 * (1 + value % 7)", ..case("tiny_target", format!("{A}, {B}")) },
        case("far_from_zero", "1e15 + value % 7 AS a, -1e15 + value * 13 % 11 AS b"),
        case("large_integers", "9007199254740993 + value % 7 AS a, 4611686018427387904 - value * 13 % 11 AS b"),
        Case {
            label: "CASE value % 4 WHEN 0 THEN 'да' WHEN 1 THEN '🌿 e\u{301}' WHEN 2 THEN 'o''k\u{202e}' ELSE '' END",
            ..case(
                "unicode",
                "CAST(value % 7 AS DOUBLE) AS \"größe\", value * 13 % 11 AS \"列一\", \
                 CASE value % 3 WHEN 0 THEN 'ж' WHEN 1 THEN '' ELSE '\u{1f469}\u{200d}\u{1f52c}' END AS \"a\"\"b\"",
            )
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_and_infinite_values_give_a_clear_error_or_a_sane_model() -> Outcome {
    walk(&missing_and_infinite()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn degenerate_tables_give_a_clear_error_or_a_sane_model() -> Outcome {
    walk(&degenerate()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scales_and_names_give_a_clear_error_or_a_sane_model() -> Outcome {
    walk(&scales_and_names()).await
}

/// Trains every algorithm on every case and reports all that is wrong at once.
async fn walk(cases: &[Case]) -> Outcome {
    let server = TestServer::start()?;
    let mut wire = server.connect().await?;
    for case in cases {
        let Case { name, features, y, label, ok, rows } = case;
        let last = i64::try_from(*rows)? - 1;
        let from =
            if last < 0 { "generate_series(0, 0) WHERE FALSE".into() } else { format!("generate_series(0, {last})") };
        let columns = format!("{features}, CAST({y} AS DOUBLE) AS y, {label} AS label, {ok} AS ok");
        wire.run(&format!("CREATE TABLE {name} AS SELECT {columns} FROM {from}"))
            .await
            .map_err(|error| limn_tests::fail(format!("making the table `{name}`: {error}")))?;
    }
    let mut wrong = Vec::new();
    for algorithm in algorithms() {
        let mut targets = 0;
        for target in [Some("y"), Some("label"), None] {
            for case in cases {
                let attempt = tokio::time::timeout(PATIENCE, attempt(&mut wire, algorithm.name, target, case));
                let found = match attempt.await {
                    Ok(Ok(found)) => found,
                    Ok(Err(failure)) => Found::Wrong(failure.text().to_owned()),
                    Err(_) => return Err(limn_tests::fail(format!("{} hangs on `{}`", algorithm.name, case.name))),
                };
                match found {
                    Found::OtherTarget => break,
                    Found::Refused | Found::Sane => targets += 1,
                    Found::Wrong(text) => {
                        let target = target.unwrap_or("nothing");
                        wrong.push(format!("{} of {target} on `{}`: {text}", algorithm.name, case.name));
                    }
                }
            }
        }
        ensure(targets > 0, || format!("expected a target that {} learns, found none", algorithm.name))?;
    }
    ensure(wrong.is_empty(), || format!("{} trainings went wrong:\n{}", wrong.len(), wrong.join("\n")))
}

/// What came of a training.
enum Found {
    /// The algorithm does not learn such a target.
    OtherTarget,
    /// A clear error, and no version.
    Refused,
    /// A model that makes sense.
    Sane,
    /// Neither.
    Wrong(String),
}

async fn attempt(wire: &mut Wire, algorithm: &str, target: Option<&str>, case: &Case) -> Outcome<Found> {
    let model = format!("{algorithm}_{}_{}", target.unwrap_or("alone"), case.name);
    let others = match target {
        Some("y") => "label, ok",
        Some(_) => "y, ok",
        None => "y, label, ok",
    };
    let clause = target.map_or(String::new(), |target| format!("TARGET {target}"));
    let rows = format!("SELECT * EXCLUDE ({others}) FROM {}", case.name);
    let trained =
        wire.query(&format!("TRAIN MODEL {model} USING {algorithm} {clause} SPLIT NONE SEED 1 AS {rows}")).await;
    let versions = wire.value(&format!("SELECT count(*) FROM system.model_versions WHERE name = '{model}'")).await?;
    match trained {
        Err(error) if versions == "0" => Ok(refused(&error)),
        Err(error) => Ok(Found::Wrong(format!("a failed training left a version: {error}"))),
        Ok(_) if versions != "1" => Ok(Found::Wrong(format!("expected one version, found {versions}"))),
        Ok(_) => sane(wire, &model, target, case).await,
    }
}

fn refused(error: &WireError) -> Found {
    let clear = error.text.len() > 10 && !error.text.contains("panicked");
    // An algorithm that takes no target, another type of target, or a target in any case.
    let other_target = ["takes no target", "expected a target", "` has type "];
    match error.code.as_str() {
        _ if other_target.iter().any(|known| error.text.contains(known)) => Found::OtherTarget,
        "InvalidArgument" | "ResourceExhausted" if clear => Found::Refused,
        code => Found::Wrong(format!("{code}: {error}")),
    }
}

/// Whether the model's predictions for the rows that it learned from make sense.
async fn sane(wire: &mut Wire, model: &str, target: Option<&str>, case: &Case) -> Outcome<Found> {
    let shown = target.unwrap_or("ok");
    let sql = format!("SELECT {shown}, PREDICT('{model}') AS p FROM {} WHERE ok AND {shown} IS NOT NULL", case.name);
    let predicted = cells::rows(&wire.query(&sql).await?)?;
    if let Some(row) = predicted.iter().find(|row| row[1].contains("NaN") || row[1].contains("inf") || row[1] == "NULL")
    {
        return Ok(Found::Wrong(format!("predicted {} for {}", row[1], row[0])));
    }
    match target {
        // The errors that a support vector machine does not count are in the target's unit: all of these are smaller.
        Some("y") if model.starts_with("svm_") && case.name == "tiny_target" => {}
        Some("y") if cells_are_numbers(&predicted) => return Ok(near(&predicted)),
        Some("label") => {
            let known: std::collections::BTreeSet<&str> = predicted.iter().map(|row| row[0].as_str()).collect();
            if let Some(row) = predicted.iter().find(|row| !known.contains(row[1].as_str())) {
                return Ok(Found::Wrong(format!("predicted `{}`, which is no class", row[1])));
            }
        }
        _ => {}
    }
    probabilities(wire, model, target, case).await
}

fn cells_are_numbers(rows: &[Vec<String>]) -> bool {
    rows.iter().flatten().all(|cell| cell.parse::<f64>().is_ok())
}

/// Whether predictions are about as near to the target as its mean, or nearer.
fn near(rows: &[Vec<String>]) -> Found {
    let column = |at: usize| rows.iter().map(move |row| row[at].parse::<f64>().unwrap_or(f64::NAN));
    // In units of the largest target, so that squares of 1e300 are numbers.
    let unit = column(0).fold(f64::MIN_POSITIVE, |most, y| most.max(y.abs()));
    let count = rows.len() as f64;
    let mean = column(0).map(|y| y / unit / count).sum::<f64>();
    let spread = column(0).map(|y| (y / unit - mean).powi(2) / count).sum::<f64>().sqrt();
    let rmse = column(0).zip(column(1)).map(|(y, p)| (y / unit - p / unit).powi(2) / count).sum::<f64>().sqrt();
    match rmse <= RMSE_TO_SPREAD_MAX * spread + 1e-9 {
        true => Found::Sane,
        false => {
            Found::Wrong(format!("expected errors of about {spread:e} of the largest target at most, found {rmse:e}"))
        }
    }
}

/// Whether the probabilities are some.
async fn probabilities(wire: &mut Wire, model: &str, target: Option<&str>, case: &Case) -> Outcome<Found> {
    let found = match wire.query(&format!("SELECT PREDICT_PROBA('{model}') AS p FROM {} WHERE ok", case.name)).await {
        Ok(batches) => cells::rows(&batches)?,
        Err(error) if error.text.contains("probabilit") => return Ok(Found::Sane),
        Err(error) => return Ok(Found::Wrong(format!("{}: {error}", error.code))),
    };
    for row in &found {
        let numbers = row[0].trim_matches(['[', ']']).split(", ").map(str::parse::<f64>);
        let numbers: Vec<f64> = numbers.map(|number| number.unwrap_or(f64::NAN)).collect();
        let total: f64 = numbers.iter().sum();
        let whole = target.is_none() || (total - 1.0).abs() < 1e-9 && numbers.iter().all(|p| (0.0..=1.0).contains(p));
        if !whole || !numbers.iter().all(|number| number.is_finite()) {
            return Ok(Found::Wrong(format!("expected probabilities, found {}", row[0])));
        }
    }
    Ok(Found::Sane)
}
