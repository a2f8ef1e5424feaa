//! The algorithms that there are: one table, and the trait that each of them implements.
//!
//! A new algorithm is a file with a specification and a fit, and a line in [`ALGORITHMS`]. Algorithms see matrices in
//! canonical order; they know nothing of Arrow, splits or artifacts.

use super::dbscan::Dbscan;
use super::decision_tree::DecisionTree;
use super::elastic_net::{ElasticNet, Lasso};
use super::gaussian_mixture::GaussianMixture;
use super::gaussian_nb::GaussianNb;
use super::gradient_boosting::GradientBoosting;
use super::isolation_forest::IsolationForest;
use super::kmeans::KMeans;
use super::linear_regression::{LinearRegression, Ridge};
use super::logistic_regression::LogisticRegression;
use super::parameter::{Parameters, Specification};
use super::pca::Pca;
use super::random_forest::{ExtraTrees, RandomForest};
use super::rows::Rows;
use super::svm::Svm;
use super::tweedie::{GammaRegression, PoissonRegression, TweedieRegression};
use super::workers::Workers;
use super::{Metric, Watch};
use crate::model::kernel::Kernel;
use crate::model::signature::{CategoryForm, Task, ValueType};
use crate::{Error, Result};

/// Every algorithm, in the order in which documentation lists them.
pub(crate) static ALGORITHMS: &[&dyn Algorithm] = &[
    &LinearRegression,
    &Ridge,
    &Lasso,
    &ElasticNet,
    &PoissonRegression,
    &GammaRegression,
    &TweedieRegression,
    &LogisticRegression,
    &DecisionTree,
    &RandomForest,
    &ExtraTrees,
    &GradientBoosting,
    &GaussianNb,
    &Svm,
    &KMeans,
    &GaussianMixture,
    &Dbscan,
    &Pca,
    &IsolationForest,
];

/// A learning algorithm.
pub(crate) trait Algorithm: Sync {
    /// The name that `USING` takes.
    fn name(&self) -> &'static str;

    /// What it does, in a sentence.
    fn doc(&self) -> &'static str;

    /// The parameters that it has.
    fn parameters(&self) -> &'static [Specification];

    /// How it computes with texts.
    fn texts(&self) -> CategoryForm {
        CategoryForm::Indicators
    }

    /// What it learns without a target, where it takes none.
    fn task_without_target(&self) -> Option<Task> {
        None
    }

    /// What it learns for a target of that type, or the types that it expects instead, in words. Not asked of an
    /// algorithm that takes no target.
    fn task(&self, target: ValueType, parameters: &Parameters) -> std::result::Result<Task, &'static str>;

    /// Puts values in the place of parameters whose default depends on the task, and checks those that do.
    fn settle(&self, _parameters: &mut Parameters, _task: Task) -> Result<()> {
        Ok(())
    }

    /// Learns from at least one row; the target is not constant and no feature is missing everywhere. Weights, where
    /// there are some, are finite and at least 0, and some are above it.
    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted>;
}

/// What a fit may know beside the rows.
pub(crate) struct Context<'a> {
    /// The parameters.
    pub parameters: &'a Parameters,
    /// The number of classes, 0 where there are none.
    pub classes: usize,
    /// The seed of every random number.
    pub seed: u64,
    /// What computes in parallel.
    pub workers: &'a Workers,
    /// What the design columns are called: a feature's name, or `feature=text` for an indicator.
    pub columns: &'a [String],
    /// Whom to ask and to tell.
    pub watch: &'a dyn Watch,
}

impl Context<'_> {
    /// Fails where the caller has cancelled.
    pub fn check_cancelled(&self) -> Result<()> {
        match self.watch.cancelled() {
            true => Err(Error::cancelled()),
            false => Ok(()),
        }
    }
}

/// What a fit gives.
pub(crate) struct Fitted {
    /// The model.
    pub kernel: Box<dyn Kernel>,
    /// Numbers about the fit itself, such as whether it converged (1) or not (0), and those of its iterations.
    pub metrics: Vec<Metric>,
}

impl Fitted {
    /// A fitted model with final numbers about the fit.
    pub fn new(kernel: impl Kernel + 'static, metrics: Vec<(&str, f64)>) -> Self {
        let metrics = metrics.into_iter().map(|(name, value)| Metric { name: name.to_owned(), value, step: 0 });
        Fitted { kernel: Box::new(kernel), metrics: metrics.collect() }
    }
}

/// The algorithm of that name, in whatever case.
pub(super) fn by_name(name: &str) -> Result<&'static dyn Algorithm> {
    let found = ALGORITHMS.iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = ALGORITHMS.iter().map(|algorithm| algorithm.name()).collect();
        Error::unknown("algorithm", &name.to_lowercase(), names.iter().copied())
            .with_hint(format!("the algorithms are {}", names.join(", ")))
    })
}

/// The algorithm where a statement names none: a number is regressed, anything else is classified.
pub(super) fn by_target(target: ValueType) -> &'static dyn Algorithm {
    match target {
        ValueType::Double | ValueType::BigInt | ValueType::Date | ValueType::Timestamp => &LinearRegression,
        ValueType::Boolean | ValueType::Text => &LogisticRegression,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for algorithm in ALGORITHMS {
            assert_eq!(by_name(&algorithm.name().to_uppercase()).unwrap().name(), algorithm.name());
            let names: std::collections::BTreeSet<_> = algorithm.parameters().iter().map(|p| p.name).collect();
            assert_eq!(names.len(), algorithm.parameters().len(), "{}", algorithm.name());
            for parameter in algorithm.parameters() {
                assert!(!parameter.doc.is_empty(), "{}", parameter.name);
                assert_eq!(parameter.name, parameter.name.to_lowercase());
            }
            assert!(!algorithm.doc().is_empty());
            let defaults = Parameters::resolve(algorithm.name(), algorithm.parameters(), &[]).unwrap();
            for given in defaults.clone().into_inner() {
                // Every default is a value that the parameter accepts.
                Parameters::resolve(algorithm.name(), algorithm.parameters(), &[given]).unwrap();
            }
        }
    }
}
