//! `kmeans`: clusters by the nearest of some centres, each the mean of its rows.
//!
//! Lloyd's method as scikit-learn's `KMeans` runs it, from starts drawn by k-means++ or given. Sums run over fixed blocks
//! of rows in order, so that centres do not depend on threads; linfa's are sums by thread.

pub(super) mod lloyd;
mod start;

use super::algorithm::{Algorithm, Context, Fitted};
use super::parameter::{Default, Kind, MISSING_MEAN, Parameters, SAMPLE_WEIGHT, Specification};
use super::points::{Points, Scaling};
use super::rows::Rows;
use super::{Value, points};
use crate::limits::CLUSTERS_MAX;
use crate::model::kmeans::KMeans as Model;
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

use self::lloyd::{Problem, Run};

/// The algorithm.
pub(crate) struct KMeans;

const PLUS_PLUS: &str = "k-means++";
const RANDOM: &str = "random";

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "n_clusters",
        kind: Kind::Integer(1, CLUSTERS_MAX as i64),
        default: Default::Integer(8),
        doc: "the number of clusters",
    },
    Specification {
        name: "init",
        kind: Kind::Text,
        default: Default::Text(PLUS_PLUS),
        doc: "where centres start: 'k-means++', 'random' for rows, or the centres as JSON, such as '[[0, 1], [5, 2]]'",
    },
    Specification {
        name: "n_init",
        kind: Kind::Integer(1, 10_000),
        default: Default::Null,
        doc: "starts, of which the best is kept; NULL for 10 of 'random' and for 1 of any other",
    },
    Specification {
        name: "max_iter",
        kind: Kind::Integer(1, 1_000_000),
        default: Default::Integer(300),
        doc: "iterations of a start",
    },
    Specification {
        name: "tol",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(1e-4),
        doc: "a start is over when the centres move less, squared, than this share of the features' mean variance",
    },
    SAMPLE_WEIGHT,
    MISSING_MEAN,
];

impl Algorithm for KMeans {
    fn name(&self) -> &'static str {
        "kmeans"
    }

    fn doc(&self) -> &'static str {
        "clusters by the nearest of some centres, each the mean of its rows"
    }

    fn parameters(&self) -> &'static [Specification] {
        PARAMETERS
    }

    fn task_without_target(&self) -> Option<Task> {
        Some(Task::Clustering)
    }

    fn task(&self, _target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        Err("no target")
    }

    fn settle(&self, parameters: &mut Parameters, _task: Task) -> Result<()> {
        let starts = if parameters.text("init") == Some(RANDOM) { 10 } else { 1 };
        parameters.settle("n_init", Value::Integer(starts));
        Ok(())
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let clusters = context.parameters.integer("n_clusters").unwrap_or(1);
        check_rows("kmeans", "n_clusters", clusters, rows.len())?;
        let points = Points::new(rows, Scaling::All, context)?;
        let problem = Problem::new(&points, rows.weights.as_deref(), clusters, context)?;
        let limits = lloyd::Limits {
            iterations: context.parameters.integer("max_iter").unwrap_or(1),
            shift: context.parameters.double("tol") * problem.mean_variance()?,
        };
        let init = context.parameters.text("init").unwrap_or(PLUS_PLUS);
        let starts = context.parameters.integer("n_init").unwrap_or(1);
        let mut best: Option<Run> = None;
        for number in 0..starts {
            let start = match init {
                PLUS_PLUS => start::plus_plus(&problem, number as u64)?,
                RANDOM => start::random(&problem, number as u64),
                given => start::written(given, clusters, &points.filled)?,
            };
            let run = lloyd::run(&problem, start, &limits)?;
            if best.as_ref().is_none_or(|best| run.inertia < best.inertia) {
                best = Some(run);
            }
            points::progress(context, (number + 1) as f64 / starts as f64);
        }
        let run = best.ok_or_else(|| Error::internal("expected a start, found none"))?;
        let scale = points.scale();
        let metrics = vec![
            ("inertia", run.inertia / scale / scale),
            ("iterations", run.iterations as f64),
            ("converged", if run.converged { 1.0 } else { 0.0 }),
        ];
        let metrics = metrics.into_iter().filter(|(_, value)| value.is_finite()).collect();
        Ok(Fitted::new(Model { filled: points.filled, centres: run.centres }, metrics))
    }
}

/// Fails where there are fewer rows than clusters.
pub(super) fn check_rows(algorithm: &str, parameter: &str, clusters: usize, rows: usize) -> Result<()> {
    match rows >= clusters {
        true => Ok(()),
        false => Err(Error::input(format!(
            "parameter `{parameter}` of {algorithm}: expected at most the {rows} training rows, found {clusters}"
        ))),
    }
}

/// The clusters that a mixture starts from: those of a start by k-means++.
pub(super) fn starting_clusters(problem: &Problem<'_>, number: u64) -> Result<Run> {
    let limits = lloyd::Limits { iterations: 300, shift: 1e-4 * problem.mean_variance()? };
    lloyd::run(problem, start::plus_plus(problem, number)?, &limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::target::Target;
    use crate::train::testing::{fit, fit_on, parameters};
    use crate::train::workers::Workers;

    fn clusters(rows: &Rows, given: &[(&str, Value)]) -> (Vec<usize>, Vec<(String, f64)>) {
        let mut parameters = parameters(&KMeans, given);
        KMeans.settle(&mut parameters, Task::Clustering).unwrap();
        let fitted = fit(&KMeans, rows, 0, &parameters);
        let mut out = vec![0.0; rows.len() * fitted.kernel.width()];
        fitted.kernel.score(&rows.columns(), &mut out);
        let labels = out.chunks(fitted.kernel.width()).map(|row| row.iter().position(|v| *v == 1.0).unwrap());
        (labels.collect(), fitted.metrics.into_iter().map(|m| (m.name, m.value)).collect())
    }

    fn rows(columns: Vec<Vec<f64>>) -> Rows {
        let count = columns[0].len();
        Rows::new(columns, Target::None(count))
    }

    fn metric(metrics: &[(String, f64)], name: &str) -> f64 {
        metrics.iter().find(|(known, _)| known == name).unwrap().1
    }

    #[test]
    fn two_clusters_by_hand() {
        // Means 2 and 11: squares 1 + 0 + 1 and 1 + 1.
        let rows = rows(vec![vec![1.0, 10.0, 2.0, 12.0, 3.0]]);
        let given = [("n_clusters", Value::Integer(2)), ("init", Value::Text("[[0], [5]]".into()))];
        let (labels, metrics) = clusters(&rows, &given);
        assert_eq!(labels, [0, 1, 0, 1, 0]);
        assert_eq!(metric(&metrics, "inertia"), 4.0);
        assert_eq!(metric(&metrics, "converged"), 1.0);
        for init in [PLUS_PLUS, RANDOM] {
            let given = [("n_clusters", Value::Integer(2)), ("init", Value::Text(init.into()))];
            let (labels, metrics) = clusters(&rows, &given);
            assert_eq!(metric(&metrics, "inertia"), 4.0);
            assert!(labels[0] == labels[2] && labels[1] == labels[3] && labels[0] != labels[1]);
        }
    }

    #[test]
    fn every_distinct_row_can_be_a_cluster_and_no_more() {
        let rows = rows(vec![vec![1.0, 1.0, 5.0, 5.0, 9.0, 9.0], vec![2.0; 6]]);
        for count in [3, 5, 6] {
            let (labels, metrics) = clusters(&rows, &[("n_clusters", Value::Integer(count))]);
            assert_eq!(metric(&metrics, "inertia"), 0.0);
            let distinct: std::collections::BTreeSet<usize> = labels.iter().copied().collect();
            assert_eq!(distinct.len(), 3, "{labels:?}");
        }
        let parameters = parameters(&KMeans, &[("n_clusters", Value::Integer(7))]);
        let error = fit_on(&Workers::new(1).unwrap(), &KMeans, &rows, 0, &parameters).err().unwrap();
        let expected = "parameter `n_clusters` of kmeans: expected at most the 6 training rows, found 7";
        assert_eq!(error.message(), expected);
    }

    #[test]
    fn an_empty_cluster_gets_the_row_that_is_farthest_from_its_own() {
        // The second start attracts no row: it goes to 100, and the rows near 0 stay together.
        let rows = rows(vec![vec![0.0, 1.0, 2.0, 100.0]]);
        let given = [("n_clusters", Value::Integer(2)), ("init", Value::Text("[[3], [1e9]]".into()))];
        let (labels, metrics) = clusters(&rows, &given);
        assert_eq!(labels, [0, 0, 0, 1]);
        assert_eq!(metric(&metrics, "inertia"), 2.0);
    }

    #[test]
    fn sizes_beyond_the_range_of_squares_make_the_same_clusters() {
        let plain = vec![1.0, 2.0, 3.0, 50.0, 51.0, 90.0, 92.0];
        let (expected, _) = clusters(&rows(vec![plain.clone()]), &[("n_clusters", Value::Integer(3))]);
        for factor in [1e300, 1e-300, 1e-306] {
            let scaled = plain.iter().map(|v| v * factor).collect();
            assert_eq!(clusters(&rows(vec![scaled]), &[("n_clusters", Value::Integer(3))]).0, expected, "{factor}");
        }
    }

    #[test]
    fn weights_pull_centres() {
        let rows = Rows { weights: Some(vec![3.0, 1.0, 1.0]), ..rows(vec![vec![0.0, 4.0, 100.0]]) };
        let given = [("n_clusters", Value::Integer(2)), ("init", Value::Text("[[0], [100]]".into()))];
        // The mean of 0, 0, 0, 4 is 1: 3 · 1 + 9.
        assert_eq!(metric(&clusters(&rows, &given).1, "inertia"), 12.0);
    }

    #[test]
    fn starts_are_checked() {
        let filled = crate::model::filled::Filled { means: vec![0.0; 2], scales: vec![1.0; 2] };
        assert_eq!(start::written("[[1, 2], [3, 4.5]]", 2, &filled).unwrap(), [1.0, 2.0, 3.0, 4.5]);
        for text in ["[[1, 2]]", "[[1], [2]]", "[[1, 2, 3], [4, 5, 6]]", "near", "[[1, null], [2, 3]]"] {
            assert!(start::written(text, 2, &filled).is_err(), "{text}");
        }
    }
}
