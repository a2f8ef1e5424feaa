//! `decision_tree`: CART for numbers and for classes, on the histogram engine.
//!
//! A feature with at most `max_bins` different values is cut exactly as scikit-learn's trees cut it; one with more is cut
//! at the edges of bins. Missing values go to the side that the training rows with a missing value were better on, or,
//! where there were none, to the side with more rows.

use super::Value;
use super::algorithm::{Algorithm, Context, Fitted};
use super::parameter::{Default, Kind, Parameters, Specification};
use super::rows::Rows;
use super::target::Target;
use super::tree::bins::{self, BINS_MAX};
use super::tree::grow::{Bounds, grow};
use super::tree::statistics::Statistics;
use crate::limits::TREE_DEPTH_MAX;
use crate::model::kernel::Kernel;
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

/// The algorithm.
pub(crate) struct DecisionTree;

const REGRESSION: &str = "regression";
const CLASSIFICATION: &str = "classification";
const SQUARED_ERROR: &str = "squared_error";
const GINI: &str = "gini";
const ENTROPY: &str = "entropy";

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "max_depth",
        kind: Kind::Integer(1, TREE_DEPTH_MAX as i64),
        default: Default::Null,
        doc: "comparisons on a path; NULL for as many as evaluators walk",
    },
    Specification {
        name: "min_samples_split",
        kind: Kind::Integer(2, i64::MAX),
        default: Default::Integer(2),
        doc: "a node with fewer rows is not split",
    },
    Specification {
        name: "min_samples_leaf",
        kind: Kind::Integer(1, i64::MAX),
        default: Default::Integer(1),
        doc: "no split leaves fewer rows on a side",
    },
    Specification {
        name: "criterion",
        kind: Kind::Choice(&[SQUARED_ERROR, GINI, ENTROPY]),
        default: Default::Null,
        doc: "what a split is to lower; NULL for squared_error of numbers and gini of classes",
    },
    Specification {
        name: "max_bins",
        kind: Kind::Integer(2, BINS_MAX as i64),
        default: Default::Integer(BINS_MAX as i64),
        doc: "values of a feature that are told apart; a feature with more is put into that many bins",
    },
    Specification {
        name: "task",
        kind: Kind::Choice(&[REGRESSION, CLASSIFICATION]),
        default: Default::Null,
        doc: "what to learn; NULL for regression of a DOUBLE target and classification of any other",
    },
];

impl Algorithm for DecisionTree {
    fn name(&self) -> &'static str {
        "decision_tree"
    }

    fn doc(&self) -> &'static str {
        "numbers or classes by comparisons of one feature at a time"
    }

    fn parameters(&self) -> &'static [Specification] {
        PARAMETERS
    }

    fn task(&self, target: ValueType, parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        use ValueType::{BigInt, Boolean, Double, Text};
        match (parameters.text("task"), target) {
            (Some(REGRESSION), Double | BigInt) | (None, Double) => Ok(Task::Regression),
            (Some(REGRESSION), _) => Err("a number for task 'regression'"),
            (Some(_) | None, Boolean | Text | BigInt) => Ok(Task::Classification),
            (Some(_), _) => Err("BOOLEAN, TEXT or BIGINT for task 'classification'"),
            (None, _) => Err("a number, BOOLEAN or TEXT"),
        }
    }

    fn settle(&self, parameters: &mut Parameters, task: Task) -> Result<()> {
        let (name, criterion) = match task {
            Task::Classification => (CLASSIFICATION, GINI),
            _ => (REGRESSION, SQUARED_ERROR),
        };
        parameters.settle("task", Value::Text(name.to_owned()));
        parameters.settle("criterion", Value::Text(criterion.to_owned()));
        let chosen = parameters.text("criterion").unwrap_or_default();
        match (chosen == SQUARED_ERROR) == (task == Task::Regression) {
            true => Ok(()),
            false => Err(Error::input(format!(
                "parameter `criterion` of decision_tree: expected {} for a {name}, found '{chosen}'",
                if task == Task::Regression { "'squared_error'" } else { "'gini' or 'entropy'" }
            ))),
        }
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let parameters = context.parameters;
        let columns = bins::bin(rows, parameters.integer("max_bins").unwrap_or(BINS_MAX), context)?;
        let statistics = match &rows.target {
            Target::Numbers(target) => {
                context.watch.reserve(size_of_val(target.as_slice()))?;
                Statistics::of_numbers(target)
            }
            Target::None(_) => return Err(Error::internal("expected a target, found none")),
            Target::Classes(codes) => {
                let entropy = parameters.text("criterion") == Some(ENTROPY);
                Statistics::Classes { codes, count: context.classes, entropy }
            }
        };
        let bounds = Bounds {
            depth_max: Bounds::depth_or_limit(parameters.integer("max_depth")),
            rows_to_cut_min: parameters.integer("min_samples_split").unwrap_or(2),
            rows_per_leaf_min: parameters.integer("min_samples_leaf").unwrap_or(1),
        };
        let tree = grow(&columns, &statistics, rows.len(), bounds, context)?;
        let leaves = tree.leaves().len() / tree.width();
        let metrics = vec![("depth", tree.depth() as f64), ("leaves", leaves as f64)];
        Ok(Fitted::new(tree, metrics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::testing::{fit, parameters};

    fn predictions(rows: &Rows, classes: usize, given: &[(&str, Value)], at: &[&[f64]]) -> Vec<f64> {
        let fitted = fit(&DecisionTree, rows, classes, &parameters(&DecisionTree, given));
        let mut out = vec![0.0; at[0].len() * fitted.kernel.width()];
        fitted.kernel.score(at, &mut out);
        out
    }

    #[test]
    fn a_stump_by_hand() {
        // The best cut of 1, 2, 3, 10 → 1, 1, 2, 9 is between 3 and 10.
        let rows = Rows::new(vec![vec![10.0, 1.0, 3.0, 2.0]], Target::Numbers(vec![9.0, 1.0, 2.0, 1.0]));
        let stump = [("max_depth", Value::Integer(1))];
        let mean = (1.0 + 1.0 + 2.0) / 3.0;
        assert_eq!(predictions(&rows, 0, &stump, &[&[6.5, 6.500001, f64::NAN]]), [mean, 9.0, mean]);
        assert_eq!(predictions(&rows, 0, &[], &[&[1.0, 2.0, 3.0, 10.0]]), [1.0, 1.0, 2.0, 9.0]);
    }

    #[test]
    fn exclusive_or_is_learned_although_no_first_cut_helps() {
        let rows =
            Rows::new(vec![vec![0.0, 0.0, 1.0, 1.0], vec![0.0, 1.0, 0.0, 1.0]], Target::Classes(vec![0, 1, 1, 0]));
        let found = predictions(&rows, 2, &[], &[&[0.0, 0.0, 1.0, 1.0], &[0.0, 1.0, 0.0, 1.0]]);
        assert_eq!(found, [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn what_is_missing_is_learned() {
        let rows = Rows::new(vec![vec![1.0, 2.0, f64::NAN, f64::NAN]], Target::Classes(vec![0, 0, 1, 1]));
        assert_eq!(predictions(&rows, 2, &[], &[&[1.0, 1e9, f64::NAN]]), [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn large_nodes_and_small_ones_grow_the_same_exact_tree() {
        // More rows than a node sorts: histograms, their differences and sorting all take part.
        let n = 4000;
        let a: Vec<f64> = (0..n).map(|i| f64::from(i * 7 % 200)).collect();
        let b: Vec<f64> = (0..n).map(|i| f64::from(i % 13)).collect();
        let y: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (a - 50.0).abs() + 3.0 * b).collect();
        let rows = Rows::new(vec![a.clone(), b.clone()], Target::Numbers(y.clone()));
        assert_eq!(predictions(&rows, 0, &[], &[&a, &b]), y);
        let small = [("min_samples_leaf", Value::Integer(100)), ("max_depth", Value::Integer(5))];
        let found = predictions(&rows, 0, &small, &[&a, &b]);
        let sum = |values: &[f64]| values.iter().sum::<f64>();
        // Leaves are means, so the sums agree; and no leaf has fewer than 100 rows.
        assert!((sum(&found) - sum(&y)).abs() < 1e-6);
        for value in &found {
            assert!(found.iter().filter(|other| *other == value).count() >= 100);
        }
    }
}
