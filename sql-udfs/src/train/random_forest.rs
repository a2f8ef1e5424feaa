//! `random_forest` and `extra_trees`: the mean of many trees that differ by chance.
//!
//! Breiman 2001: each tree has rows drawn with replacement, each cut some of the features. Geurts et al. 2006: each cut is
//! at a place by chance, the best of several features. Classes are predicted by the mean of the leaves' shares.

use super::Value;
use super::algorithm::{Algorithm, Context, Fitted};
use super::forest;
use super::parameter::{CLASS_WEIGHT, Default, Kind, MISSING_BRANCH, Parameters, SAMPLE_WEIGHT, Specification};
use super::rows::Rows;
use super::tree_parameters::{
    self, CRITERION, MAX_BINS_OF_TREES, MAX_DEPTH, MAX_LEAF_NODES, MIN_IMPURITY_DECREASE, MIN_SAMPLES_LEAF,
    MIN_SAMPLES_SPLIT, N_ESTIMATORS, TASK,
};
use crate::Result;
use crate::model::signature::{CategoryForm, Task, ValueType};

/// The algorithm with rows drawn by chance.
pub(crate) struct RandomForest;

/// The algorithm with cuts drawn by chance.
pub(crate) struct ExtraTrees;

const MAX_FEATURES: Specification = Specification {
    name: "max_features",
    kind: Kind::CountShareOrChoice(&["sqrt", "log2"]),
    default: Default::Null,
    doc: "features that each cut tries: a count, a share, the root or the logarithm of all; NULL for 'sqrt' of classes \
          and all for numbers",
};
const MAX_SAMPLES: Specification = Specification {
    name: "max_samples",
    kind: Kind::CountShareOrChoice(&[]),
    default: Default::Null,
    doc: "rows that each tree draws, as a count or a share; NULL for as many as there are",
};
const OOB_SCORE: Specification = Specification {
    name: "oob_score",
    kind: Kind::Boolean,
    default: Default::Boolean(false),
    doc: "whether each training row is predicted by the trees that did not draw it: the metric `oob_accuracy` or `oob_r2`",
};
const BOOTSTRAP: Specification = Specification {
    name: "bootstrap",
    kind: Kind::Boolean,
    default: Default::Boolean(true),
    doc: "whether each tree draws its rows with replacement; otherwise it has each of them once",
};

static FOREST: &[Specification] = &parameters(BOOTSTRAP);
static EXTRA: &[Specification] = &parameters(Specification { default: Default::Boolean(false), ..BOOTSTRAP });

const fn parameters(bootstrap: Specification) -> [Specification; 16] {
    [
        N_ESTIMATORS,
        CRITERION,
        MAX_DEPTH,
        MIN_SAMPLES_SPLIT,
        MIN_SAMPLES_LEAF,
        MAX_FEATURES,
        MAX_LEAF_NODES,
        MIN_IMPURITY_DECREASE,
        bootstrap,
        MAX_SAMPLES,
        OOB_SCORE,
        MAX_BINS_OF_TREES,
        TASK,
        MISSING_BRANCH,
        SAMPLE_WEIGHT,
        CLASS_WEIGHT,
    ]
}

fn settle(name: &str, parameters: &mut Parameters, task: Task) -> Result<()> {
    let features = match task {
        Task::Classification => Value::Text("sqrt".to_owned()),
        _ => Value::Double(1.0),
    };
    parameters.settle("max_features", features);
    tree_parameters::settle(name, parameters, task)
}

fn plan(parameters: &Parameters, by_chance: bool) -> forest::Plan {
    let trees = parameters.integer("n_estimators").unwrap_or(1);
    forest::Plan { trees, by_chance, bootstrap: parameters.boolean("bootstrap") }
}

impl Algorithm for RandomForest {
    fn name(&self) -> &'static str {
        "random_forest"
    }

    fn doc(&self) -> &'static str {
        "numbers or classes by the mean of many trees, each of rows and features drawn by chance"
    }

    fn parameters(&self) -> &'static [Specification] {
        FOREST
    }

    fn texts(&self) -> CategoryForm {
        CategoryForm::Codes
    }

    fn task(&self, target: ValueType, parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        tree_parameters::task(target, parameters)
    }

    fn settle(&self, parameters: &mut Parameters, task: Task) -> Result<()> {
        settle(self.name(), parameters, task)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        forest::fit(plan(context.parameters, false), rows, context)
    }
}

impl Algorithm for ExtraTrees {
    fn name(&self) -> &'static str {
        "extra_trees"
    }

    fn doc(&self) -> &'static str {
        "numbers or classes by the mean of many trees whose cuts are at places drawn by chance"
    }

    fn parameters(&self) -> &'static [Specification] {
        EXTRA
    }

    fn texts(&self) -> CategoryForm {
        CategoryForm::Codes
    }

    fn task(&self, target: ValueType, parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        tree_parameters::task(target, parameters)
    }

    fn settle(&self, parameters: &mut Parameters, task: Task) -> Result<()> {
        settle(self.name(), parameters, task)
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        forest::fit(plan(context.parameters, true), rows, context)
    }
}
