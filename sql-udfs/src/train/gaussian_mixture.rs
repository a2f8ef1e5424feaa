//! `gaussian_mixture`: clusters as normal distributions, and how likely each of them made a row.
//!
//! Expectation and maximisation as scikit-learn's `GaussianMixture` has them, from the clusters of k-means. linfa's fit
//! cannot be cancelled and knows full covariances alone.

mod em;

use super::algorithm::{Algorithm, Context, Fitted};
use super::kmeans::lloyd::Problem as Clusters;
use super::kmeans::{check_rows, starting_clusters};
use super::parameter::{Default, Kind, MISSING_MEAN, Parameters, Specification};
use super::points::{Points, Scaling, progress};
use super::rows::Rows;
use crate::limits::CLUSTERS_MAX;
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

use self::em::{Covariance, Em, Mixture};

/// The algorithm.
pub(crate) struct GaussianMixture;

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "n_components",
        kind: Kind::Integer(1, CLUSTERS_MAX as i64),
        default: Default::Integer(1),
        doc: "the number of normal distributions",
    },
    Specification {
        name: "covariance_type",
        kind: Kind::Choice(&["full", "tied", "diag", "spherical"]),
        default: Default::Text("full"),
        doc: "'full' for covariances of each, 'tied' for those of all, 'diag' for variances, 'spherical' for one variance",
    },
    Specification {
        name: "tol",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(1e-3),
        doc: "the fit has converged when the mean log likelihood of a row changes by less",
    },
    Specification {
        name: "reg_covar",
        kind: Kind::DoubleFrom(0.0),
        default: Default::Double(1e-6),
        doc: "what is added to every variance, in the features' squared unit",
    },
    Specification {
        name: "max_iter",
        kind: Kind::Integer(1, 1_000_000),
        default: Default::Integer(100),
        doc: "iterations of a start",
    },
    Specification {
        name: "n_init",
        kind: Kind::Integer(1, 10_000),
        default: Default::Integer(1),
        doc: "starts, of which the likeliest is kept",
    },
    Specification {
        name: "init_params",
        kind: Kind::Choice(&["kmeans"]),
        default: Default::Text("kmeans"),
        doc: "where a fit starts: from the clusters of k-means",
    },
    MISSING_MEAN,
];

impl Algorithm for GaussianMixture {
    fn name(&self) -> &'static str {
        "gaussian_mixture"
    }

    fn doc(&self) -> &'static str {
        "clusters as normal distributions, and how likely each of them made a row"
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

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let parameters = context.parameters;
        let components = parameters.integer("n_components").unwrap_or(1);
        check_rows("gaussian_mixture", "n_components", components, rows.len())?;
        let points = Points::new(rows, Scaling::AllIfLarge, context)?;
        let covariance = match parameters.text("covariance_type") {
            Some("tied") => Covariance::Tied,
            Some("diag") => Covariance::Diagonal,
            Some("spherical") => Covariance::Spherical,
            _ => Covariance::Full,
        };
        let scale = points.scale();
        let added = parameters.double("reg_covar") * scale * scale;
        let em = Em::new(&points, covariance, components, added, context)?;
        let clusters = Clusters::new(&points, None, components, context)?;
        let iterations_max = parameters.integer("max_iter").unwrap_or(1);
        let starts = parameters.integer("n_init").unwrap_or(1);
        let mut best: Option<Run> = None;
        for number in 0..starts {
            let start = starting_clusters(&clusters, number as u64)?;
            let run = run(&em, em.start(start.centres)?, iterations_max, parameters.double("tol"))?;
            if best.as_ref().is_none_or(|best| run.lower_bound > best.lower_bound) {
                best = Some(run);
            }
            progress(context, (number + 1) as f64 / starts as f64);
        }
        let Run { mixture, lower_bound, iterations, converged } =
            best.ok_or_else(|| Error::internal("expected a start, found none"))?;
        let (likelihood, _) = em.expect(&mixture)?;
        let (rows, free) = (points.len() as f64, covariance.parameters(components, points.width()));
        let metrics = vec![
            ("lower_bound", lower_bound),
            ("converged", if converged { 1.0 } else { 0.0 }),
            ("iterations", iterations as f64),
            ("aic", 2.0 * free - 2.0 * likelihood * rows),
            ("bic", free * libm::log(rows) - 2.0 * likelihood * rows),
        ];
        Ok(Fitted::new(mixture, metrics.into_iter().filter(|(_, value)| value.is_finite()).collect()))
    }
}

/// Where a start ended.
struct Run {
    mixture: Mixture,
    lower_bound: f64,
    iterations: usize,
    converged: bool,
}

fn run(em: &Em<'_>, start: Mixture, iterations_max: usize, tolerance: f64) -> Result<Run> {
    let mut run = Run { mixture: start, lower_bound: f64::NEG_INFINITY, iterations: 0, converged: false };
    while run.iterations < iterations_max && !run.converged {
        let (likelihood, sums) = em.expect(&run.mixture)?;
        run.mixture = em.maximise(&run.mixture.means, sums)?;
        run.converged = (likelihood - run.lower_bound).abs() < tolerance;
        run.lower_bound = likelihood;
        run.iterations += 1;
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Value;
    use crate::train::target::Target;
    use crate::train::testing::{fit, fit_on, parameters};
    use crate::train::workers::Workers;

    const TYPES: [&str; 4] = ["full", "tied", "diag", "spherical"];

    fn rows(features: Vec<Vec<f64>>) -> Rows {
        let count = features[0].len();
        Rows::new(features, Target::None(count))
    }

    fn fitted(rows: &Rows, given: &[(&str, Value)]) -> (Fitted, Vec<(String, f64)>) {
        let fitted = fit(&GaussianMixture, rows, 0, &parameters(&GaussianMixture, given));
        let metrics = fitted.metrics.iter().map(|m| (m.name.clone(), m.value)).collect();
        (fitted, metrics)
    }

    fn metric(metrics: &[(String, f64)], name: &str) -> f64 {
        metrics.iter().find(|(known, _)| known == name).unwrap().1
    }

    #[test]
    fn one_component_is_the_normal_distribution_of_the_rows() {
        // Variances 5 and 2, covariance 2: determinant 6.
        let rows = rows(vec![vec![1.0, 3.0, 5.0, 7.0], vec![1.0, 4.0, 1.0, 4.0]]);
        let none = ("reg_covar", Value::Integer(0));
        let pi = std::f64::consts::PI;
        // Variances 5 and 2.25, covariance 1.5: the squared distances of four rows add up to 2 · 4.
        for (kind, determinant, free) in [
            ("full", 5.0 * 2.25 - 2.25, 5.0),
            ("tied", 5.0 * 2.25 - 2.25, 5.0),
            ("diag", 5.0 * 2.25, 4.0),
            ("spherical", 3.625 * 3.625, 3.0),
        ] {
            let (_, metrics) = fitted(&rows, &[none.clone(), ("covariance_type", Value::Text(kind.into()))]);
            let likelihood = -(2.0 * pi).ln() - 0.5 * f64::ln(determinant) - 1.0;
            let found = metric(&metrics, "lower_bound");
            assert!((found - likelihood).abs() < 1e-12, "{kind}: {found} {likelihood}");
            assert!((metric(&metrics, "aic") - (2.0 * free - 8.0 * likelihood)).abs() < 1e-11);
            assert!((metric(&metrics, "bic") - (free * 4.0_f64.ln() - 8.0 * likelihood)).abs() < 1e-11);
            assert_eq!((metric(&metrics, "iterations"), metric(&metrics, "converged")), (2.0, 1.0));
        }
    }

    #[test]
    fn groups_far_apart_are_found_with_their_shares() {
        let wave = |i: u32, step: u32| f64::from(i * step % 17) / 17.0 - 8.0 / 17.0;
        let x = (0..340).map(|i| wave(i, 5) + if i % 4 == 0 { 100.0 } else { 0.0 }).collect();
        let y = (0..340).map(|i| wave(i, 7) * 2.0 + if i % 4 == 0 { -50.0 } else { 0.0 }).collect();
        let rows = rows(vec![x, y]);
        for kind in TYPES {
            let given = [("n_components", Value::Integer(2)), ("covariance_type", Value::Text(kind.into()))];
            let (model, metrics) = fitted(&rows, &given);
            assert_eq!(metric(&metrics, "converged"), 1.0);
            let mut out = vec![0.0; 680];
            model.kernel.score(&rows.columns(), &mut out);
            let first = out[0];
            assert!(first.min(1.0 - first) < 1e-9);
            for (row, chances) in out.chunks(2).enumerate() {
                let with_first = if row % 4 == 0 { first } else { 1.0 - first };
                assert!((chances[0] - with_first).abs() < 1e-9 && (chances[0] + chances[1] - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_covariance_without_an_inverse_is_an_error_with_a_way_out() {
        let line = rows(vec![vec![1.0, 2.0, 3.0, 4.0], vec![2.0, 4.0, 6.0, 8.0]]);
        let given = parameters(&GaussianMixture, &[("reg_covar", Value::Integer(0))]);
        let error = fit_on(&Workers::new(1).unwrap(), &GaussianMixture, &line, 0, &given).err().unwrap();
        assert!(error.message().contains("component 0 has no spread"), "{}", error.message());
        assert!(error.hint().unwrap().contains("reg_covar"));
        for kind in TYPES {
            fitted(&line, &[("n_components", Value::Integer(4)), ("covariance_type", Value::Text(kind.into()))]);
        }
    }

    #[test]
    fn sizes_at_the_ends_of_the_range_do_no_harm() {
        let plain = [1.0, 2.0, 3.0, 50.0, 51.0, 52.5];
        for kind in TYPES {
            let given = [("n_components", Value::Integer(2)), ("covariance_type", Value::Text(kind.into()))];
            let large = rows(vec![plain.map(|v| v * 1e300).to_vec(), plain.map(|v| v * -1e299).to_vec()]);
            let mut out = vec![0.0; 12];
            // All rows on a line: `reg_covar` is nothing beside them, so that only single variances have an inverse.
            if kind == "diag" || kind == "spherical" {
                fitted(&large, &given).0.kernel.score(&large.columns(), &mut out);
                assert!((out[0] - out[2]).abs() < 1e-6 && (out[0] - out[6]).abs() > 0.9, "{kind}: {out:?}");
            }
            let small = rows(vec![plain.map(|v| v * 1e-300).to_vec(), vec![7.0; 6]]);
            fitted(&small, &given).0.kernel.score(&small.columns(), &mut out);
            assert!(out.chunks(2).all(|row| (row[0] + row[1] - 1.0).abs() < 1e-12), "{kind}: {out:?}");
        }
    }
}
