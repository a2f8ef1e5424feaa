//! Gradient boosting by hand: one step of each loss, constraints, early stopping, and what it refuses.

use crate::Result;
use crate::model::signature::Task;
use crate::train::Value;
use crate::train::algorithm::{Algorithm, Fitted};
use crate::train::gradient_boosting::GradientBoosting;
use crate::train::random::{Purpose, Random};
use crate::train::rows::Rows;
use crate::train::target::Target;
use crate::train::testing::{fit_on, parameters};
use crate::train::workers::Workers;

fn try_fit(rows: &Rows, classes: usize, given: &[(&str, Value)]) -> Result<Fitted> {
    let mut parameters = parameters(&GradientBoosting, given);
    GradientBoosting.settle(&mut parameters, if classes > 0 { Task::Classification } else { Task::Regression })?;
    fit_on(&Workers::new(2).unwrap(), &GradientBoosting, rows, classes, &parameters)
}

fn predictions(rows: &Rows, classes: usize, given: &[(&str, Value)]) -> Vec<f64> {
    let fitted = try_fit(rows, classes, given).unwrap();
    let mut out = vec![0.0; rows.len() * fitted.kernel.width()];
    fitted.kernel.score(&rows.columns(), &mut out);
    out
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// 30 rows with 0 and 30 with 1.
fn two_groups(target: Target) -> Rows {
    Rows::new(vec![(0..60).map(|row| f64::from(row / 30)).collect()], target)
}

#[test]
fn one_step_of_each_loss() {
    let step = |loss: &str, target: &dyn Fn(usize) -> f64| {
        let rows = two_groups(Target::Numbers((0..60).map(target).collect()));
        let found = predictions(&rows, 0, &[("n_estimators", Value::Integer(1)), ("loss", text(loss))]);
        [found[0], found[59]]
    };
    let close = |found: [f64; 2], expected: [f64; 2]| {
        found.iter().zip(expected).for_each(|(f, e)| assert!((f - e).abs() < 1e-9, "{found:?} is not {expected:?}"));
    };
    // From the mean of 5 a tenth of the way to 0 and 10.
    close(step("squared_error", &|row| (row / 30 * 10) as f64), [4.5, 5.5]);
    // From the median of 64.5 a tenth of the way to 14.5 and 129.
    let spread = |row: usize| if row < 30 { row as f64 } else { 100.0 + 2.0 * (row - 30) as f64 };
    close(step("absolute_error", &spread), [59.5, 70.95]);
    // Newton steps from the logarithm of the mean of 2: 1/2 - 1 and 3/2 - 1, a tenth of them.
    let expected = [2.0 * (-0.05_f64).exp(), 2.0 * 0.05_f64.exp()];
    close(step("poisson", &|row| if row < 30 { 1.0 } else { 3.0 }), expected);
    // 1 - y / mean over y / mean: (1 - 1/2) / (1/2) down and (1 - 3/2) / (3/2) up.
    let expected = [2.0 * (-0.1_f64).exp(), 2.0 * (0.1_f64 / 3.0).exp()];
    close(step("gamma", &|row| if row < 30 { 1.0 } else { 3.0 }), expected);
}

#[test]
fn one_step_of_classes() {
    // 10 of 30 and 25 of 30 are of the second class.
    let rows = two_groups(Target::Classes((0..60).map(|row| u32::from(!(10..35).contains(&row))).collect()));
    let found = predictions(&rows, 2, &[("n_estimators", Value::Integer(1))]);
    let share: f64 = 35.0 / 60.0;
    let odds = |positive: f64| {
        let step = (positive - 30.0 * share) / (30.0 * share * (1.0 - share));
        (share / (1.0 - share)).ln() + 0.1 * step
    };
    for (found, odds) in [(found[1], odds(10.0)), (found[119], odds(25.0))] {
        assert!((found - 1.0 / (1.0 + (-odds).exp())).abs() < 1e-9, "{found}");
    }
    let rows = Rows::new(
        vec![(0..90).map(|row| f64::from(row / 30)).collect()],
        Target::Classes((0..90).map(|row| row / 30).collect()),
    );
    for (row, found) in predictions(&rows, 3, &[]).chunks_exact(3).enumerate() {
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12 && found[row / 30] > 0.99, "{found:?}");
    }
}

#[test]
fn weights_count_as_often_as_rows() {
    let mut twice = two_groups(Target::Numbers((0..60).map(|row| f64::from(row * row % 7)).collect()));
    let mut weighed = two_groups(Target::Numbers((0..60).map(|row| f64::from(row * row % 7)).collect()));
    weighed.weights = Some((0..60).map(|row| f64::from(1 + row % 2)).collect());
    let Target::Numbers(target) = &mut twice.target else { unreachable!() };
    for row in (1..60).step_by(2) {
        target.push(target[row]);
        let value = twice.features[0][row];
        twice.features[0].push(value);
    }
    let (found, expected) = (predictions(&weighed, 0, &[]), predictions(&twice, 0, &[]));
    found.iter().zip(&expected).for_each(|(f, e)| assert!((f - e).abs() < 1e-9, "{f} is not {e}"));
}

fn noisy(n: usize) -> Rows {
    let mut random = Random::new(2, Purpose::Rows, 0);
    let features: Vec<Vec<f64>> = (0..2).map(|_| (0..n).map(|_| random.uniform()).collect()).collect();
    let target = (0..n).map(|row| features[0][row] + features[1][row] + random.uniform()).collect();
    Rows::new(features, Target::Numbers(target))
}

#[test]
fn predictions_keep_to_constraints() {
    let rows = noisy(2_000);
    for (constraint, direction) in [(r#"{"x0": 1}"#, 1.0), (r#"{"x0": -1, "x1": 0}"#, -1.0)] {
        for depth in [Value::Null, Value::Integer(5)] {
            let given =
                [("monotonic_cst", text(constraint)), ("max_depth", depth), ("n_estimators", Value::Integer(30))];
            let fitted = try_fit(&rows, 0, &given).unwrap();
            for other in [0.1, 0.5, 0.9] {
                let grid: Vec<f64> = (0..200).map(|i| f64::from(i) / 200.0).collect();
                let mut out = vec![0.0; 200];
                fitted.kernel.score(&[&grid, &vec![other; 200]], &mut out);
                assert!(out.windows(2).all(|pair| (pair[1] - pair[0]) * direction >= 0.0), "{constraint}");
            }
        }
    }
}

#[test]
fn early_stopping_keeps_the_best() {
    let rows = noisy(1_000);
    let given = [("n_iter_no_change", Value::Integer(5)), ("n_estimators", Value::Integer(500))];
    let metrics = try_fit(&rows, 0, &given).unwrap().metrics;
    let losses: Vec<f64> = metrics.iter().filter(|m| m.name == "validation_loss").map(|m| m.value).collect();
    let best = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).unwrap().0 + 1;
    assert!(losses.len() < 500 && losses.len() == best + 5, "{} {best}", losses.len());
    let kept = metrics.iter().find(|metric| metric.name == "iterations").unwrap();
    assert_eq!((kept.value, kept.step), (best as f64, 0));
    let trained: Vec<i64> = metrics.iter().filter(|m| m.name == "train_loss").map(|m| m.step).collect();
    assert_eq!(trained, (1..=losses.len() as i64).collect::<Vec<_>>());
}

#[test]
fn parts_of_rows_and_features_still_learn() {
    let rows = noisy(1_000);
    let given = [("subsample", Value::Double(0.5)), ("max_features", Value::Double(0.5))];
    let Target::Numbers(target) = &rows.target else { unreachable!() };
    let errors = predictions(&rows, 0, &given).iter().zip(target).map(|(f, y)| (f - y) * (f - y)).sum::<f64>();
    // The variance is 3/12, of which the noise is 1/12.
    assert!(errors / 1_000.0 < 0.12, "{errors}");
}

#[test]
fn what_cannot_be_is_refused() {
    let rows = noisy(50);
    let error = |classes: usize, rows: &Rows, given: &[(&str, Value)]| match try_fit(rows, classes, given) {
        Err(error) => error.message().to_owned(),
        Ok(_) => panic!("expected an error"),
    };
    let constrained = |json: &str| [("monotonic_cst", text(json))];
    assert!(error(0, &rows, &constrained(r#"{"x7": 1}"#)).contains("the nearest is `x0`"));
    assert!(error(0, &rows, &constrained(r#"{"x0": 2}"#)).contains("expected 1, 0 or -1"));
    let given = [("monotonic_cst", text(r#"{"x0": 1}"#)), ("loss", text("quantile"))];
    assert!(error(0, &rows, &given).contains("leaves are quantiles"));
    let mut texts = noisy(50);
    texts.features[0] = (0..50).map(|row| f64::from(row % 3)).collect();
    texts.categories[0] = 3;
    assert!(error(0, &texts, &constrained(r#"{"x0": 1}"#)).contains("is a text"));
    let classes = Rows::new(rows.features.clone(), Target::Classes((0..50).map(|row| row % 3).collect()));
    assert!(error(3, &classes, &constrained(r#"{"x0": 1}"#)).contains("3 classes"));
    assert!(error(3, &classes, &[("loss", text("poisson"))]).contains("expected 'log_loss'"));
    let negative = two_groups(Target::Numbers((0..60).map(|row| f64::from(row) - 5.0).collect()));
    assert!(error(0, &negative, &[("loss", text("poisson"))]).contains("at least 0"));
    assert!(error(0, &negative, &[("loss", text("gamma"))]).contains("above 0"));
}
