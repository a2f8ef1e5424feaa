//! Parameters that algorithms of trees share, and what they mean by the task.

use super::Value;
use super::parameter::{Default, Kind, Parameters, Specification};
use super::tree::bins::{BINS_MAX, WIDE_BINS_MAX};
use crate::limits::{TREE_DEPTH_MAX, TREE_NODES_MAX, TREES_MAX};
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

const REGRESSION: &str = "regression";
const CLASSIFICATION: &str = "classification";
const SQUARED_ERROR: &str = "squared_error";
const GINI: &str = "gini";
const ENTROPY: &str = "entropy";

pub(super) const N_ESTIMATORS: Specification = Specification {
    name: "n_estimators",
    kind: Kind::Integer(1, TREES_MAX as i64),
    default: Default::Integer(100),
    doc: "the number of trees",
};
pub(super) const MAX_DEPTH: Specification = Specification {
    name: "max_depth",
    kind: Kind::Integer(1, TREE_DEPTH_MAX as i64),
    default: Default::Null,
    doc: "comparisons on a path; NULL for as many as evaluators walk",
};
pub(super) const MIN_SAMPLES_SPLIT: Specification = Specification {
    name: "min_samples_split",
    kind: Kind::Integer(2, i64::MAX),
    default: Default::Integer(2),
    doc: "a node with fewer rows is not split",
};
pub(super) const MIN_SAMPLES_LEAF: Specification = Specification {
    name: "min_samples_leaf",
    kind: Kind::Integer(1, i64::MAX),
    default: Default::Integer(1),
    doc: "no split leaves fewer rows on a side",
};
pub(super) const MAX_LEAF_NODES: Specification = Specification {
    name: "max_leaf_nodes",
    kind: Kind::Integer(2, TREE_NODES_MAX as i64),
    default: Default::Null,
    doc: "leaves of a tree, which then makes its best splits first; NULL for no such limit",
};
pub(super) const MIN_IMPURITY_DECREASE: Specification = Specification {
    name: "min_impurity_decrease",
    kind: Kind::DoubleFrom(0.0),
    default: Default::Double(0.0),
    doc: "a split must lower the criterion's mean over all rows by as much",
};
pub(super) const CRITERION: Specification = Specification {
    name: "criterion",
    kind: Kind::Choice(&[SQUARED_ERROR, GINI, ENTROPY]),
    default: Default::Null,
    doc: "what a split is to lower; NULL for squared_error of numbers and gini of classes",
};
pub(super) const MAX_BINS: Specification = Specification {
    name: "max_bins",
    kind: Kind::Integer(2, BINS_MAX as i64),
    default: Default::Integer(BINS_MAX as i64),
    doc: "values of a feature that are told apart; a feature with more is put into that many bins",
};
/// [`MAX_BINS`] of trees that grow feature by feature, for which many bins cost little.
pub(super) const MAX_BINS_OF_TREES: Specification = Specification {
    kind: Kind::Integer(2, WIDE_BINS_MAX as i64),
    default: Default::Null,
    doc: "values of a feature that are told apart; a feature with more is put into that many bins; NULL to tell up to \
          4096 values apart, and for 255 bins of a feature with more",
    ..MAX_BINS
};
pub(super) const TASK: Specification = Specification {
    name: "task",
    kind: Kind::Choice(&[REGRESSION, CLASSIFICATION]),
    default: Default::Null,
    doc: "what to learn; NULL for regression of a DOUBLE target and classification of any other",
};

/// What is learned for a target of that type.
pub(super) fn task(target: ValueType, parameters: &Parameters) -> std::result::Result<Task, &'static str> {
    use ValueType::{BigInt, Boolean, Double, Text};
    match (parameters.text("task"), target) {
        (Some(REGRESSION), Double | BigInt) | (None, Double) => Ok(Task::Regression),
        (Some(REGRESSION), _) => Err("a number for task 'regression'"),
        (Some(_) | None, Boolean | Text | BigInt) => Ok(Task::Classification),
        (Some(_), _) => Err("BOOLEAN, TEXT or BIGINT for task 'classification'"),
        (None, _) => Err("a number, BOOLEAN or TEXT"),
    }
}

/// Puts the task in its place.
pub(super) fn settle_task(parameters: &mut Parameters, task: Task) -> &'static str {
    let name = if task == Task::Classification { CLASSIFICATION } else { REGRESSION };
    parameters.settle("task", Value::Text(name.to_owned()));
    name
}

/// Puts the task and the criterion in their places, and checks that they fit.
pub(super) fn settle(algorithm: &str, parameters: &mut Parameters, task: Task) -> Result<()> {
    let name = settle_task(parameters, task);
    let criterion = if task == Task::Classification { GINI } else { SQUARED_ERROR };
    parameters.settle("criterion", Value::Text(criterion.to_owned()));
    let chosen = parameters.text("criterion").unwrap_or_default();
    match (chosen == SQUARED_ERROR) == (task == Task::Regression) {
        true => Ok(()),
        false => Err(Error::input(format!(
            "parameter `criterion` of {algorithm}: expected {} for a {name}, found '{chosen}'",
            if task == Task::Regression { "'squared_error'" } else { "'gini' or 'entropy'" }
        ))),
    }
}
