//! `dbscan`: clusters of any shape, by how many rows are near, and noise.
//!
//! The definition (Ester and others 1996), which is scikit-learn's: a row with at least `min_samples` rows within `eps`,
//! itself included, is a core point; core points within `eps` of each other are of one cluster; any other row is of the
//! cluster of a core point within `eps`, here the nearest, or noise. Clusters are numbered by their first core point in
//! canonical order.

use super::algorithm::{Algorithm, Context, Fitted};
use super::parameter::{Default, Kind, MISSING_MEAN, Parameters, SAMPLE_WEIGHT, Specification};
use super::points::{Points, Scaling, progress};
use super::rows::Rows;
use crate::limits::CLUSTERS_MAX;
use crate::model::dbscan::Dbscan as Model;
use crate::model::near::Near;
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

/// Rows whose neighbours one piece of work counts; between two of them it asks whether to stop.
const ROWS_PER_PIECE: usize = 256;

/// The algorithm.
pub(crate) struct Dbscan;

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "eps",
        kind: Kind::DoubleAbove(0.0),
        default: Default::Double(0.5),
        doc: "the distance within which rows are near, in the features' unit",
    },
    Specification {
        name: "min_samples",
        kind: Kind::Integer(1, i64::MAX),
        default: Default::Integer(5),
        doc: "the rows that must be near a core point, itself included; their weights, where they weigh",
    },
    Specification {
        name: "metric",
        kind: Kind::Choice(&["euclidean"]),
        default: Default::Text("euclidean"),
        doc: "how distances are measured",
    },
    SAMPLE_WEIGHT,
    MISSING_MEAN,
];

impl Algorithm for Dbscan {
    fn name(&self) -> &'static str {
        "dbscan"
    }

    fn doc(&self) -> &'static str {
        "clusters of any shape, by how many rows are near, and noise"
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
        let points = Points::new(rows, Scaling::All, context)?;
        let eps = context.parameters.double("eps") * points.scale();
        let radius2 = (eps * eps).min(f64::MAX);
        let cores = cores(&points, radius2, rows.weights.as_deref(), context)?;
        progress(context, 0.7);
        context
            .watch
            .reserve(cores.len() * points.width() * size_of::<f64>() + Near::bytes(cores.len(), points.width()))?;
        let values: Vec<f64> = cores.iter().flat_map(|row| points.row(*row as usize).iter().copied()).collect();
        let clusters = clusters(&values, points.width(), radius2, context)?;
        let count = clusters.iter().max().map_or(0, |last| *last as usize + 1);
        if count == 0 {
            return Err(Error::input(format!(
                "no training row has `min_samples` = {} rows within `eps` = {:?}: all of them are noise",
                context.parameters.integer("min_samples").unwrap_or_default(),
                context.parameters.double("eps")
            ))
            .with_hint("raise `eps`, which is in the features' unit, or lower `min_samples`"));
        }
        if count > CLUSTERS_MAX {
            return Err(Error::exhausted(format!("expected at most {CLUSTERS_MAX} clusters, found {count}"))
                .with_hint("raise `eps` or `min_samples`"));
        }
        let metrics = vec![("clusters", count as f64), ("core_points", cores.len() as f64)];
        Ok(Fitted::new(Model::new(points.filled, values, clusters, radius2)?, metrics))
    }
}

/// The rows with enough rows near them.
fn cores(points: &Points, radius2: f64, weights: Option<&[f64]>, context: &Context<'_>) -> Result<Vec<u32>> {
    context.watch.reserve(Near::bytes(points.len(), points.width()) + points.len() * size_of::<u32>())?;
    let near = Near::new(points.values(), points.width());
    let enough = context.parameters.integer("min_samples").unwrap_or(1) as f64;
    let pieces = points.len().div_ceil(ROWS_PER_PIECE);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let work = |piece: usize| {
        context.check_cancelled()?;
        let rows = piece * ROWS_PER_PIECE..points.len().min((piece + 1) * ROWS_PER_PIECE);
        let is_core = |row: &usize| near.has_within(points.row(*row), radius2, weights, enough);
        let found: Vec<u32> = rows.filter(is_core).map(|row| row as u32).collect();
        let before = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        progress(context, 0.7 * (before + 1) as f64 / pieces as f64);
        Ok(found)
    };
    Ok(context.workers.try_map(pieces, work)?.concat())
}

/// The cluster of each core point: what can be reached from it by steps that are short enough.
fn clusters(cores: &[f64], width: usize, radius2: f64, context: &Context<'_>) -> Result<Vec<u32>> {
    let count = cores.len() / width;
    let mut clusters = vec![u32::MAX; count];
    if count == 0 {
        return Ok(clusters);
    }
    let near = Near::new(cores, width);
    let mut left = near.all();
    let (mut reached, mut next) = (Vec::new(), 0);
    let mut steps = 0_usize;
    for first in 0..count {
        if clusters[first] != u32::MAX {
            continue;
        }
        let of = |core: usize| &cores[core * width..(core + 1) * width];
        near.take_within(of(first), radius2, &mut left, &mut reached);
        clusters[first] = next;
        while let Some(core) = reached.pop() {
            if steps.is_multiple_of(ROWS_PER_PIECE) {
                context.check_cancelled()?;
            }
            steps += 1;
            clusters[core as usize] = next;
            near.take_within(of(core as usize), radius2, &mut left, &mut reached);
        }
        next += 1;
    }
    Ok(clusters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Value;
    use crate::train::target::Target;
    use crate::train::testing::{fit, fit_on, parameters};
    use crate::train::workers::Workers;

    fn labels(rows: &Rows, given: &[(&str, Value)]) -> Vec<i64> {
        let fitted = fit(&Dbscan, rows, 0, &parameters(&Dbscan, given));
        let width = fitted.kernel.width();
        let mut out = vec![0.0; rows.len() * width];
        fitted.kernel.score(&rows.columns(), &mut out);
        out.chunks(width).map(|row| row.iter().position(|v| *v == 1.0).map_or(-1, |at| at as i64)).collect()
    }

    fn rows(features: Vec<Vec<f64>>) -> Rows {
        let count = features[0].len();
        Rows::new(features, Target::None(count))
    }

    #[test]
    fn chains_and_noise_by_hand() {
        // Steps of 1: 0 to 3 is a chain, 10 to 12 another, and 6 is near nothing. 3.9 is near 3 alone, which is a core.
        // The first core point is 1.
        let x = vec![10.0, 0.0, 6.0, 1.0, 11.0, 2.0, 3.0, 12.0, 3.9];
        let given = [("eps", Value::Integer(1)), ("min_samples", Value::Integer(3))];
        assert_eq!(labels(&rows(vec![x.clone()]), &given), [1, 0, -1, 0, 1, 0, 0, 1, 0]);
        // No row has three others near it.
        let given = [("eps", Value::Integer(1)), ("min_samples", Value::Integer(4))];
        let error =
            fit_on(&Workers::new(1).unwrap(), &Dbscan, &rows(vec![x.clone()]), 0, &parameters(&Dbscan, &given)).err();
        assert!(error.unwrap().message().contains("all of them are noise"));
        let weighed = Rows { weights: Some(vec![1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), ..rows(vec![x]) };
        let given = [("eps", Value::Integer(1)), ("min_samples", Value::Integer(3))];
        assert_eq!(labels(&weighed, &given), [2, 1, 0, 1, 2, 1, 1, 2, 1]);
    }

    #[test]
    fn any_shape_is_one_cluster() {
        // Two rings around one middle.
        let ring = |i: u32, radius: f64| {
            let angle = f64::from(i) * std::f64::consts::TAU / 100.0;
            [radius * angle.cos(), radius * angle.sin()]
        };
        let all: Vec<[f64; 2]> = (0..200).map(|i| ring(i, if i % 2 == 0 { 1.0 } else { 3.0 })).collect();
        let features = rows(vec![all.iter().map(|p| p[0]).collect(), all.iter().map(|p| p[1]).collect()]);
        let found = labels(&features, &[]);
        assert!(found.iter().enumerate().all(|(i, label)| *label == (i % 2) as i64), "{found:?}");
    }

    #[test]
    fn many_equal_rows_and_sizes_at_the_ends_of_the_range() {
        let found = labels(&rows(vec![vec![7.0; 30_000], vec![1.0; 30_000]]), &[]);
        assert!(found.iter().all(|label| *label == 0));
        let x: Vec<f64> = (0..20).map(|i| f64::from(i % 10) * 0.1 + if i >= 10 { 100.0 } else { 0.0 }).collect();
        for factor in [1.0, 1e300, 1e-300] {
            let scaled = rows(vec![x.iter().map(|v| v * factor).collect()]);
            let found = labels(&scaled, &[("eps", Value::Double(0.5 * factor))]);
            assert_eq!(found, [vec![0; 10], vec![1; 10]].concat(), "{factor}");
        }
    }
}
