//! What every algorithm of trees must live with: odd rows, odd scales, any number of threads, cancellation, no memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::train::algorithm::{Algorithm, Context, Fitted};
use crate::train::decision_tree::DecisionTree;
use crate::train::gradient_boosting::GradientBoosting;
use crate::train::isolation_forest::IsolationForest;
use crate::train::parameter::Parameters;
use crate::train::random::{Purpose, Random};
use crate::train::random_forest::{ExtraTrees, RandomForest};
use crate::train::rows::Rows;
use crate::train::target::Target;
use crate::train::testing::{fit_on, parameters};
use crate::train::workers::Workers;
use crate::train::{Value, Watch};
use crate::{ErrorClass, Result};

const NAN: f64 = f64::NAN;

/// Each algorithm with what makes it quick.
fn algorithms() -> [(&'static dyn Algorithm, Vec<(&'static str, Value)>); 5] {
    let trees = |count| ("n_estimators", Value::Integer(count));
    [
        (&DecisionTree, vec![]),
        (&RandomForest, vec![trees(10), ("oob_score", Value::Boolean(true))]),
        (&ExtraTrees, vec![trees(10)]),
        (&GradientBoosting, vec![trees(20), ("min_samples_leaf", Value::Integer(1))]),
        (&IsolationForest, vec![trees(10), ("contamination", Value::Double(0.2))]),
    ]
}

/// The parameters for a task, as a training would settle them.
fn settled(algorithm: &dyn Algorithm, classes: usize, given: &[(&str, Value)]) -> Parameters {
    use crate::model::signature::Task;
    let mut parameters = parameters(algorithm, given);
    let task = if classes > 0 { Task::Classification } else { Task::Regression };
    algorithm.settle(&mut parameters, task).unwrap();
    parameters
}

/// Fits all algorithms to rows of some features, with numbers, with two and with three classes.
fn for_each_model(features: &[Vec<f64>], mut check: impl FnMut(&str, &Rows, &Fitted)) {
    let n = features[0].len();
    for (algorithm, given) in algorithms() {
        for classes in [0, 2, 3] {
            let target = match (algorithm.task_without_target(), classes) {
                (Some(_), 0) => Target::None(n),
                (Some(_), _) => continue,
                (None, 0) => Target::Numbers((0..n).map(|i| (i % 7) as f64).collect()),
                (None, _) => Target::Classes((0..n as u32).map(|i| i % classes).collect()),
            };
            let classes = classes as usize;
            let rows = Rows::new(features.to_vec(), target);
            let parameters = settled(algorithm, classes, &given);
            let fitted = fit_on(&Workers::new(1).unwrap(), algorithm, &rows, classes, &parameters).unwrap();
            check(algorithm.name(), &rows, &fitted);
        }
    }
}

fn scores(rows: &Rows, fitted: &Fitted) -> Vec<f64> {
    let mut out = vec![NAN; rows.len() * fitted.kernel.width()];
    fitted.kernel.score(&rows.columns(), &mut out);
    out
}

fn all_finite(name: &str, rows: &Rows, fitted: &Fitted) {
    let found = scores(rows, fitted);
    assert!(found.iter().all(|score| score.is_finite()), "{name} {:?}: {found:?}", rows.target);
    assert!(fitted.metrics.iter().all(|metric| metric.value.is_finite()), "{name}: {:?}", fitted.metrics);
}

#[test]
fn odd_features_are_lived_with() {
    let n = 60;
    let numbers: Vec<f64> = (0..n).map(|i| f64::from(i * 17 % 59)).collect();
    let gaps: Vec<f64> = (0..n).map(|i| if i % 3 == 0 { NAN } else { f64::from(i) }).collect();
    let double: Vec<f64> = numbers.iter().map(|v| 2.0 * v).collect();
    for features in [
        vec![vec![3.0; 60]],
        vec![vec![NAN; 60], numbers.clone()],
        vec![gaps, numbers.clone()],
        vec![numbers.clone(), double, numbers.clone()],
        vec![numbers.iter().map(|v| v * 1e-300).collect()],
        vec![numbers.iter().map(|v| (v - 30.0) * 1e300).collect()],
        vec![numbers.iter().map(|v| v * 5e-324).collect()],
    ] {
        for_each_model(&features, all_finite);
    }
}

#[test]
fn one_row_is_enough_and_features_may_outnumber_rows() {
    for_each_model(&[vec![1.5], vec![NAN]], all_finite);
    let wide: Vec<Vec<f64>> = (0..1_000).map(|f| (0..12).map(|i| f64::from((i * (f + 3)) % 11)).collect()).collect();
    for_each_model(&wide, all_finite);
}

#[test]
fn targets_of_any_scale_are_learned() {
    let n = 200;
    let feature: Vec<f64> = (0..n).map(f64::from).collect();
    for scale in [1e-300, 1e-200, 1.0, 1e200, 1e300] {
        let target: Vec<f64> = feature.iter().map(|v| if *v < 100.0 { -scale } else { 3.0 * scale }).collect();
        for (algorithm, given) in algorithms().into_iter().filter(|(a, _)| a.task_without_target().is_none()) {
            let rows = Rows::new(vec![feature.clone()], Target::Numbers(target.clone()));
            let parameters = settled(algorithm, 0, &given);
            let fitted = fit_on(&Workers::new(1).unwrap(), algorithm, &rows, 0, &parameters).unwrap();
            for (found, expected) in scores(&rows, &fitted).iter().zip(&target) {
                assert!((found / scale - expected / scale).abs() < 1.0, "{} {scale}: {found}", algorithm.name());
            }
        }
    }
}

/// Rows of numbers, texts and gaps, more than one piece of work has.
fn many(n: usize, classes: u32) -> Rows {
    let mut random = Random::new(11, Purpose::Rows, 0);
    let mut features: Vec<Vec<f64>> = (0..5).map(|_| (0..n).map(|_| random.uniform()).collect()).collect();
    features.push((0..n).map(|_| random.below(30) as f64).collect());
    for feature in &mut features {
        (0..n).step_by(13).for_each(|row| feature[(row * 7) % n] = NAN);
    }
    let signal = |row: usize| features[0][row].max(0.2) + features[1][row].max(0.1) * features[5][row].max(0.0) / 9.0;
    let numbers: Vec<f64> = (0..n).map(|row| signal(row) + 0.1 * random.uniform()).collect();
    let target = match classes {
        0 => Target::Numbers(numbers),
        _ => Target::Classes(numbers.iter().map(|v| ((v * 1.5) as u32).min(classes - 1)).collect()),
    };
    let mut rows = Rows::new(features, target);
    rows.categories[5] = 30;
    rows
}

#[test]
fn any_number_of_threads_grows_the_same_trees() {
    for classes in [0, 2, 3] {
        let mut rows = many(70_000, classes);
        for weighed in [false, true] {
            if weighed {
                rows.weights = Some((0..rows.len()).map(|row| f64::from(row as u32 % 5) / 3.0).collect());
            }
            for (algorithm, given) in algorithms() {
                if algorithm.task_without_target().is_some() && (classes > 0 || weighed) {
                    continue;
                }
                let mut given = given;
                given[..]
                    .iter_mut()
                    .filter(|(name, _)| *name == "n_estimators")
                    .for_each(|(_, v)| *v = Value::Integer(3));
                if algorithm.parameters().iter().any(|p| p.name == "max_depth") {
                    given.push(("max_depth", Value::Integer(6)));
                }
                let target = match algorithm.task_without_target() {
                    Some(_) => Rows { target: Target::None(rows.len()), ..copy(&rows) },
                    None => copy(&rows),
                };
                let on = |threads: usize| {
                    let workers = Workers::new(threads).unwrap();
                    let parameters = settled(algorithm, classes as usize, &given);
                    let fitted = fit_on(&workers, algorithm, &target, classes as usize, &parameters).unwrap();
                    format!("{:?} {:?}", fitted.kernel, fitted.metrics)
                };
                let expected = on(1);
                for threads in [2, 8] {
                    assert!(on(threads) == expected, "{} {classes} {threads} threads", algorithm.name());
                }
            }
        }
    }
}

fn copy(rows: &Rows) -> Rows {
    let target = match &rows.target {
        Target::Numbers(values) => Target::Numbers(values.clone()),
        Target::Classes(codes) => Target::Classes(codes.clone()),
        Target::None(rows) => Target::None(*rows),
    };
    let (features, categories, weights) = (rows.features.clone(), rows.categories.clone(), rows.weights.clone());
    Rows { features, categories, target, weights }
}

#[test]
fn rows_of_no_weight_are_as_if_they_were_not_there() {
    for classes in [0, 3] {
        let all = many(400, classes);
        let kept: Vec<usize> = (0..400).filter(|row| row % 4 != 0).collect();
        let target = match &all.target {
            Target::Numbers(values) => Target::Numbers(kept.iter().map(|row| values[*row]).collect()),
            Target::Classes(codes) => Target::Classes(kept.iter().map(|row| codes[*row]).collect()),
            Target::None(_) => unreachable!(),
        };
        let columns = all.features.iter().map(|values| kept.iter().map(|row| values[*row]).collect());
        let mut fewer = Rows::new(columns.collect(), target);
        fewer.categories = all.categories.clone();
        let mut weighed = copy(&all);
        weighed.weights = Some((0..400).map(|row| if row % 4 == 0 { 0.0 } else { 1.0 }).collect());
        fewer.weights = Some(vec![1.0; kept.len()]);
        for (algorithm, given) in [(&DecisionTree as &dyn Algorithm, vec![]), (&GradientBoosting, vec![])] {
            let parameters = settled(algorithm, classes as usize, &given);
            let workers = Workers::new(1).unwrap();
            let fit = |rows| fit_on(&workers, algorithm, rows, classes as usize, &parameters).unwrap();
            // Bins may differ, and with them thresholds; what is predicted for the rows does not.
            let (found, expected) = (scores(&fewer, &fit(&weighed)), scores(&fewer, &fit(&fewer)));
            let most = found.iter().zip(&expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
            assert!(most < 0.35, "{} {classes}: {most}", algorithm.name());
        }
    }
}

/// Stops, or is out of memory, after so many questions.
struct Limited {
    questions: AtomicUsize,
    cancels: bool,
    after: usize,
}

impl Limited {
    fn over(&self) -> bool {
        self.questions.fetch_add(1, Ordering::Relaxed) >= self.after
    }
}

impl Watch for Limited {
    fn cancelled(&self) -> bool {
        self.cancels && self.over()
    }

    fn progress(&self, _done: f64) {}

    fn reserve(&self, bytes: usize) -> Result<()> {
        match !self.cancels && self.over() {
            true => Err(crate::Error::exhausted(format!("no {bytes} bytes left"))),
            false => Ok(()),
        }
    }
}

#[test]
fn a_fit_stops_when_it_is_told_to_and_where_memory_ends() {
    for classes in [0, 2, 3] {
        for (algorithm, given) in algorithms() {
            let mut rows = many(5_000, classes);
            if algorithm.task_without_target().is_some() {
                rows.target = Target::None(5_000);
            }
            let parameters = settled(algorithm, classes as usize, &given);
            let columns: Vec<String> = (0..6).map(|i| format!("x{i}")).collect();
            for (cancels, expected) in [(true, ErrorClass::Cancelled), (false, ErrorClass::Exhausted)] {
                for after in [0, 1, 2, 8] {
                    let watch = Limited { questions: AtomicUsize::new(0), cancels, after };
                    let workers = Workers::new(2).unwrap();
                    let (classes, columns) = (classes as usize, columns.as_slice());
                    let context = Context {
                        parameters: &parameters,
                        classes,
                        seed: 0,
                        columns,
                        workers: &workers,
                        watch: &watch,
                    };
                    match algorithm.fit(&rows, &context) {
                        Err(error) => assert_eq!(error.class(), expected, "{}", algorithm.name()),
                        // Few reservations are made.
                        Ok(_) => assert!(watch.questions.load(Ordering::Relaxed) <= after, "{}", algorithm.name()),
                    }
                }
            }
        }
    }
}
