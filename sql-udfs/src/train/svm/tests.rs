//! Machines by hand, and the conditions that hold at every optimum.

use super::*;
use crate::train::testing::{fit, fit_on, parameters};
use crate::train::workers::Workers;

fn scores(rows: &Rows, classes: usize, given: &[(&str, Value)], at: &[&[f64]]) -> Vec<f64> {
    let fitted = fit(&Svm, rows, classes, &parameters(&Svm, given));
    let mut out = vec![0.0; at[0].len() * fitted.kernel.width()];
    fitted.kernel.score(at, &mut out);
    out
}

fn text(name: &str, value: &str) -> (&'static str, Value) {
    let name = if name == "kernel" { "kernel" } else { "gamma" };
    (name, Value::Text(value.to_owned()))
}

#[test]
fn the_widest_margin_by_hand() {
    // -1, 0 | 2, 5: the middle is 1, and the margin ends at 0 and 2, so the sum for the first class is 1 - x.
    let rows = Rows::new(vec![vec![-1.0, 0.0, 2.0, 5.0]], Target::Classes(vec![0, 0, 1, 1]));
    let given = [text("kernel", "linear"), ("c", Value::Integer(10)), ("tol", Value::Double(1e-9))];
    let found = scores(&rows, 2, &given, &[&[0.0, 1.5, 9.0, f64::NAN]]);
    // The mean of the rows is 1.5.
    for (found, expected) in found.chunks(2).zip([1.0, -0.5, -8.0, -0.5]) {
        assert!((found[0] - expected).abs() < 1e-8 && (found[1] + expected).abs() < 1e-8, "{found:?} {expected}");
    }
}

#[test]
fn errors_within_epsilon_do_not_count() {
    // y = 2x fits within 0.5 with the flattest line through (0, 0.5) and (4, 7.5): 1.75 x + 0.5.
    let rows = Rows::new(vec![vec![0.0, 2.0, 4.0]], Target::Numbers(vec![0.0, 4.0, 8.0]));
    let given = [
        text("kernel", "linear"),
        ("epsilon", Value::Double(0.5)),
        ("c", Value::Integer(100)),
        ("tol", Value::Double(1e-9)),
    ];
    let found = scores(&rows, 0, &given, &[&[0.0, 4.0, 10.0]]);
    found.iter().zip([0.5, 7.5, 18.0]).for_each(|(f, e)| assert!((f - e).abs() < 1e-7, "{found:?}"));
    // All within 10: nothing is a support vector, and the constant is the middle of what is left.
    let given = [("epsilon", Value::Integer(10))];
    let found = scores(&rows, 0, &given, &[&[0.0, 7.0]]);
    assert_eq!(found[0], found[1]);
}

#[test]
fn the_conditions_of_the_optimum_hold() {
    let wave = |i: u32, step: u32| f64::from(i * step % 29) / 29.0;
    let features = vec![(0..120).map(|i| wave(i, 5)).collect(), (0..120).map(|i| wave(i * i, 7)).collect()];
    let codes: Vec<u32> =
        (0..120).map(|i| u32::from(wave(i, 5) + wave(i * i, 7) > 1.0) ^ u32::from(i % 11 == 0)).collect();
    let rows = Rows {
        weights: Some((0..120).map(|i| f64::from(i % 3)).collect()),
        ..Rows::new(features, Target::Classes(codes))
    };
    let Target::Classes(codes) = &rows.target else { return };
    for kernel in ["rbf", "linear", "poly", "sigmoid"] {
        let fitted_parameters = parameters(&Svm, &[text("kernel", kernel), ("tol", Value::Double(1e-6))]);
        let workers = Workers::new(1).unwrap();
        let context = Context {
            parameters: &fitted_parameters,
            classes: 2,
            seed: 0,
            columns: &[],
            workers: &workers,
            watch: &crate::train::testing::Patient,
        };
        let points = Points::new(&rows, Scaling::All, &context).unwrap();
        let function = function(&points, &context).unwrap();
        let machine = &of_pairs(&rows, codes, &points, function, &context).unwrap()[0];
        assert!(machine.solution.converged);
        assert!(machine.solution.weights.iter().sum::<f64>().abs() < 1e-9);
        for (at, row) in machine.rows.iter().enumerate() {
            let row = *row as usize;
            let product = |other: &u32| {
                let other = points.row(*other as usize);
                let pairs = || points.row(row).iter().zip(other);
                function.of(match function.of_distance() {
                    true => pairs().map(|(a, b)| (a - b) * (a - b)).sum(),
                    false => pairs().map(|(a, b)| a * b).sum(),
                })
            };
            let sum: f64 =
                machine.rows.iter().zip(&machine.solution.weights).map(|(other, weight)| weight * product(other)).sum();
            let sign = if codes[row] == 0 { 1.0 } else { -1.0 };
            let margin = sign * (sum - machine.solution.rho);
            let (alpha, bound) = (sign * machine.solution.weights[at], rows.weight(row));
            assert!((0.0..=bound).contains(&alpha) && bound > 0.0);
            // Inside the margin only at the bound, outside it only at 0.
            assert!(margin > 1.0 - 1e-4 || alpha > bound - 1e-9, "{kernel}: {margin} {alpha}");
            assert!(margin < 1.0 + 1e-4 || alpha < 1e-9, "{kernel}: {margin} {alpha}");
        }
    }
}

#[test]
fn three_classes_vote() {
    let x = vec![0.0, 1.0, 10.0, 11.0, 20.0, 21.0];
    let rows = Rows::new(vec![x.clone(), vec![3.0; 6]], Target::Classes(vec![0, 0, 1, 1, 2, 2]));
    let found = scores(&rows, 3, &[], &[&x, &[3.0; 6]]);
    assert_eq!(found.chunks(3).map(crate::model::kernel::argmax).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
    assert!(found.chunks(3).all(|votes| votes.iter().sum::<f64>() == 3.0));
}

#[test]
fn too_many_rows_and_sizes_at_the_ends_of_the_range() {
    let many = Rows::new(vec![vec![1.0; SVM_ROWS_MAX + 1]], Target::Classes(vec![0; SVM_ROWS_MAX + 1]));
    let workers = Workers::new(1).unwrap();
    let error = fit_on(&workers, &Svm, &many, 2, &parameters(&Svm, &[])).err().unwrap();
    assert_eq!(error.class(), crate::ErrorClass::Exhausted);
    assert_eq!(error.message(), "expected at most 20000 training rows for svm, found 20001");
    let plain = [1.0, 2.0, 3.0, 7.0, 8.0, 9.0];
    for factor in [1e300, 1e-300] {
        let x: Vec<f64> = plain.iter().map(|v| v * factor).collect();
        let rows = Rows::new(vec![x.clone()], Target::Classes(vec![0, 0, 0, 1, 1, 1]));
        for kernel in ["rbf", "poly", "sigmoid"] {
            let found = scores(&rows, 2, &[text("kernel", kernel)], &[&x]);
            let expected = Rows::new(vec![plain.to_vec()], Target::Classes(vec![0, 0, 0, 1, 1, 1]));
            let expected = scores(&expected, 2, &[text("kernel", kernel)], &[&plain]);
            found.iter().zip(expected).for_each(|(f, e)| assert!((f - e).abs() < 1e-2, "{kernel} {factor}: {f} {e}"));
        }
        let linear = fit_on(&workers, &Svm, &rows, 2, &parameters(&Svm, &[text("kernel", "linear")]));
        assert_eq!(linear.is_ok(), factor < 1.0);
        for gamma in [Value::Integer(1), Value::Text("auto".into())] {
            let found = scores(&rows, 2, &[("gamma", gamma)], &[&x]);
            assert!(found.iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
fn a_fit_that_is_cut_short_says_so() {
    let rows = Rows::new(vec![vec![0.0, 1.0, 2.0, 3.0]], Target::Classes(vec![0, 1, 0, 1]));
    let fitted = fit(&Svm, &rows, 2, &parameters(&Svm, &[("max_iter", Value::Integer(1))]));
    let metrics: Vec<(&str, f64)> = fitted.metrics.iter().map(|m| (m.name.as_str(), m.value)).collect();
    assert_eq!(metrics, [("support_vectors", 2.0), ("iterations", 1.0), ("converged", 0.0)]);
}
