//! `decision_tree`: CART for numbers and for classes, on the tree engine.
//!
//! A feature with at most 4096 different values, or `max_bins`, is cut exactly as scikit-learn's trees cut it; one with
//! more is cut at the edges of bins. Texts are divided into two sets. Missing values go to the side that the training rows with a
//! missing value were better on, or, where there were none, to the side with more rows.

use super::Value;
use super::algorithm::{Algorithm, Context, Fitted};
use super::forest;
use super::parameter::{CLASS_WEIGHT, Default, Kind, MISSING_BRANCH, Parameters, SAMPLE_WEIGHT, Specification};
use super::rows::Rows;
use super::tree_parameters::{
    self, CRITERION, MAX_BINS_OF_TREES, MAX_DEPTH, MAX_LEAF_NODES, MIN_IMPURITY_DECREASE, MIN_SAMPLES_LEAF,
    MIN_SAMPLES_SPLIT, TASK,
};
use crate::Result;
use crate::model::signature::{CategoryForm, Task, ValueType};

/// The algorithm.
pub(crate) struct DecisionTree;

static PARAMETERS: &[Specification] = &[
    MAX_DEPTH,
    MIN_SAMPLES_SPLIT,
    MIN_SAMPLES_LEAF,
    MAX_LEAF_NODES,
    MIN_IMPURITY_DECREASE,
    Specification {
        name: "max_features",
        kind: Kind::CountShareOrChoice(&["sqrt", "log2"]),
        default: Default::Null,
        doc: "features that each split tries: a count, a share, the root or the logarithm of all; NULL for all",
    },
    CRITERION,
    MAX_BINS_OF_TREES,
    TASK,
    MISSING_BRANCH,
    SAMPLE_WEIGHT,
    CLASS_WEIGHT,
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

    fn texts(&self) -> CategoryForm {
        CategoryForm::Codes
    }

    fn task(&self, target: ValueType, parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        tree_parameters::task(target, parameters)
    }

    fn settle(&self, parameters: &mut Parameters, task: Task) -> Result<()> {
        parameters.settle("max_features", Value::Double(1.0));
        tree_parameters::settle(self.name(), parameters, task)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        forest::fit(forest::Plan { trees: 1, by_chance: false, bootstrap: false }, rows, context)
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::Target;
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
    fn more_values_than_a_byte_has_are_cut_exactly() {
        let x: Vec<f64> = (0..1000).map(|i| f64::from(i * 7 % 1000)).collect();
        let y: Vec<f64> = x.iter().map(|x| x * x).collect();
        let rows = Rows::new(vec![x.clone()], Target::Numbers(y.clone()));
        assert_eq!(predictions(&rows, 0, &[], &[&x]), y);
        let few = [("max_bins", Value::Integer(255))];
        assert_ne!(predictions(&rows, 0, &few, &[&x]), y);
        // Three classes, one of them with a value among another's, and a missing value that is the only one of its class.
        let mut x = x;
        x[500] = f64::NAN;
        let codes: Vec<u32> = x
            .iter()
            .map(|x| {
                if x.is_nan() {
                    3
                } else if *x == 601.0 {
                    0
                } else {
                    *x as u32 / 334
                }
            })
            .collect();
        let rows = Rows::new(vec![x.clone()], Target::Classes(codes.clone()));
        let found = predictions(&rows, 4, &[], &[&x]);
        for (shares, code) in found.chunks(4).zip(codes) {
            assert_eq!(shares[code as usize], 1.0, "{shares:?}");
        }
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
