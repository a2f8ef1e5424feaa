//! `gradient_boosting`: trees one after another, each for what those before it left over.
//!
//! Friedman 2001, with Newton steps on histograms as XGBoost and LightGBM take them. Parameters are those of scikit-learn's
//! histogram boosting, and of XGBoost where that has none. Texts are divided by their means, missing values follow the
//! branch that they fit better.

use super::Value;
use super::algorithm::{Algorithm, Context, Fitted};
use super::boosting::loss::Loss;
use super::boosting::run::{self, Settings};
use super::parameter::{CLASS_WEIGHT, Default, Kind, MISSING_BRANCH, Parameters, SAMPLE_WEIGHT, Specification};
use super::rows::Rows;
use super::target::Target;
use super::tree_parameters::{self, MAX_BINS, MAX_DEPTH, MAX_LEAF_NODES, MIN_SAMPLES_LEAF, N_ESTIMATORS, TASK};
use crate::limits::{TREE_DEPTH_MAX, TREES_MAX};
use crate::model::signature::{CategoryForm, Task, ValueType};
use crate::{Error, Result};

/// The algorithm.
pub(crate) struct GradientBoosting;

const SQUARED_ERROR: &str = "squared_error";
const ABSOLUTE_ERROR: &str = "absolute_error";
const QUANTILE: &str = "quantile";
const POISSON: &str = "poisson";
const GAMMA: &str = "gamma";
const LOG_LOSS: &str = "log_loss";
/// Leaves of a tree where neither depth nor leaves are given.
const LEAVES: i64 = 31;

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "loss",
        kind: Kind::Choice(&[SQUARED_ERROR, ABSOLUTE_ERROR, QUANTILE, POISSON, GAMMA, LOG_LOSS]),
        default: Default::Null,
        doc: "what is lowered; NULL for squared_error of numbers and log_loss of classes",
    },
    Specification {
        name: "quantile",
        kind: Kind::DoubleInside(0.0, 1.0),
        default: Default::Double(0.5),
        doc: "for the loss quantile: the share of rows that are to be below the prediction",
    },
    Specification {
        name: "learning_rate",
        kind: Kind::DoubleAbove(0.0),
        default: Default::Double(0.1),
        doc: "by how much of its own prediction each tree changes that of the model",
    },
    N_ESTIMATORS,
    MAX_DEPTH,
    Specification {
        doc: "leaves of a tree, which then makes its best splits first; NULL for 31, or, where max_depth is given, for as \
              many as that allows",
        ..MAX_LEAF_NODES
    },
    Specification { default: Default::Integer(20), ..MIN_SAMPLES_LEAF },
    Specification {
        name: "min_child_weight",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(1e-3),
        doc: "the least sum of second derivatives on a side of a split; for squares the least weight",
    },
    Specification {
        name: "l2_regularization",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(0.0),
        doc: "added to the second derivatives of a leaf, which makes its prediction smaller",
    },
    Specification {
        name: "subsample",
        kind: Kind::DoubleAboveTo(0.0, 1.0),
        default: Default::Double(1.0),
        doc: "the share of the rows that each tree learns from, drawn by chance",
    },
    Specification {
        name: "max_features",
        kind: Kind::DoubleAboveTo(0.0, 1.0),
        default: Default::Double(1.0),
        doc: "the share of the features that each split tries, drawn by chance",
    },
    MAX_BINS,
    Specification {
        name: "n_iter_no_change",
        kind: Kind::Integer(1, TREES_MAX as i64),
        default: Default::Null,
        doc: "stop after so many iterations without a lower loss of the validation rows, and keep the trees up to the \
              lowest; NULL for never",
    },
    Specification {
        name: "validation_fraction",
        kind: Kind::DoubleInside(0.0, 1.0),
        default: Default::Double(0.1),
        doc: "the share of the training rows that early stopping measures on, and that trees do not learn from",
    },
    Specification {
        name: "tol",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(1e-7),
        doc: "by how much the mean loss must fall to count as lower",
    },
    Specification {
        name: "monotonic_cst",
        kind: Kind::Text,
        default: Default::Null,
        doc: "features with which the prediction may only rise (1) or fall (-1), as JSON: '{\"area\": 1, \"age\": -1}'",
    },
    TASK,
    MISSING_BRANCH,
    SAMPLE_WEIGHT,
    CLASS_WEIGHT,
];

impl Algorithm for GradientBoosting {
    fn name(&self) -> &'static str {
        "gradient_boosting"
    }

    fn doc(&self) -> &'static str {
        "numbers or classes by trees that are added up, each of which corrects those before it"
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
        let name = tree_parameters::settle_task(parameters, task);
        let loss = if task == Task::Classification { LOG_LOSS } else { SQUARED_ERROR };
        parameters.settle("loss", Value::Text(loss.to_owned()));
        if parameters.integer("max_depth").is_none() {
            parameters.settle("max_leaf_nodes", Value::Integer(LEAVES));
        }
        let loss = parameters.text("loss").unwrap_or_default();
        if (loss == LOG_LOSS) != (task == Task::Classification) {
            let expected = match task {
                Task::Classification => "'log_loss'",
                _ => "'squared_error', 'absolute_error', 'quantile', 'poisson' or 'gamma'",
            };
            return Err(Error::input(format!(
                "parameter `loss` of gradient_boosting: expected {expected} for a {name}, found '{loss}'"
            )));
        }
        if let Some(text) = parameters.text("monotonic_cst") {
            constraints(text)?;
            if [ABSOLUTE_ERROR, QUANTILE].contains(&loss) {
                return Err(Error::input(format!(
                    "parameter `monotonic_cst` of gradient_boosting: not with the loss '{loss}', whose leaves are quantiles"
                )));
            }
        }
        Ok(())
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let parameters = context.parameters;
        let loss = loss(parameters, context.classes);
        if let Target::Numbers(target) = &rows.target {
            loss.check(target)?;
        }
        let features = rows.features.len();
        let settings = Settings {
            loss,
            learning_rate: parameters.double("learning_rate"),
            iterations: parameters.integer("n_estimators").unwrap_or(1),
            depth_max: parameters.integer("max_depth").unwrap_or(TREE_DEPTH_MAX),
            leaves_max: parameters.integer("max_leaf_nodes"),
            rows_min: parameters.integer("min_samples_leaf").unwrap_or(1),
            weight_min: parameters.double("min_child_weight"),
            l2: parameters.double("l2_regularization"),
            subsample: parameters.double("subsample"),
            features_per_cut: ((parameters.double("max_features") * features as f64) as usize).clamp(1, features),
            bins_max: parameters.integer("max_bins").unwrap_or(2),
            patience: parameters.integer("n_iter_no_change"),
            validation_share: parameters.double("validation_fraction"),
            tolerance: parameters.double("tol"),
            directions: directions(rows, context)?,
        };
        run::fit(&settings, rows, context)
    }
}

fn loss(parameters: &Parameters, classes: usize) -> Loss {
    match (parameters.text("loss").unwrap_or_default(), classes) {
        (ABSOLUTE_ERROR, 0) => Loss::Absolute,
        (QUANTILE, 0) => Loss::Quantile(parameters.double("quantile")),
        (POISSON, 0) => Loss::Poisson,
        (GAMMA, 0) => Loss::Gamma,
        (_, 0) => Loss::Squared,
        (_, 2) => Loss::Logistic,
        (_, classes) => Loss::Softmax(classes),
    }
}

/// Constraints as they are written, in the order of names.
fn constraints(text: &str) -> Result<Vec<(String, i8)>> {
    let expected = || {
        Error::input(format!(
            "parameter `monotonic_cst` of gradient_boosting: expected 1, 0 or -1 by feature as JSON, such as \
             '{{\"area\": 1}}', found '{text}'"
        ))
    };
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| expected())?;
    let direction = |value: &serde_json::Value| value.as_i64().and_then(|v| i8::try_from(v).ok());
    let constraint = |(name, value): (String, serde_json::Value)| match direction(&value) {
        Some(direction @ -1..=1) => Ok((name, direction)),
        _ => Err(expected()),
    };
    object.into_iter().map(constraint).collect()
}

/// The constraint of each design column; empty where there is none.
fn directions(rows: &Rows, context: &Context<'_>) -> Result<Vec<i8>> {
    let constraints = context.parameters.text("monotonic_cst").map(constraints).transpose()?.unwrap_or_default();
    if constraints.is_empty() {
        return Ok(Vec::new());
    }
    let refuse = |what: String| Err(Error::input(format!("parameter `monotonic_cst` of gradient_boosting: {what}")));
    if context.classes > 2 {
        return refuse(format!("not with {} classes, whose predictions do not rise or fall together", context.classes));
    }
    let mut directions = vec![0; rows.features.len()];
    for (name, direction) in constraints {
        let known = context.columns.iter().map(String::as_str);
        let Some(column) = context.columns.iter().position(|column| *column == name) else {
            return Err(Error::unknown("feature of `monotonic_cst`", &name, known));
        };
        if rows.categories[column] > 0 && direction != 0 {
            return refuse(format!("the feature `{name}` is a text, which does not rise or fall"));
        }
        directions[column] = direction;
    }
    Ok(directions)
}
