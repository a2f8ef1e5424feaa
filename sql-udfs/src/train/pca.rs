//! `pca`: fewer numbers than features, along the directions in which the rows vary most.
//!
//! From the covariances of centred columns, found block by block, and their eigenvectors. Each direction points to where
//! its greatest coordinate is positive, as scikit-learn's `PCA` has it since 1.5.

use super::Metric;
use super::algorithm::{Algorithm, Context, Fitted};
use super::dense::{self, Symmetric};
use super::eigen::Eigen;
use super::parameter::{Default, Kind, MISSING_MEAN, Parameters, Specification};
use super::points::{Points, Scaling};
use super::rows::Rows;
use crate::model::pca::Pca as Model;
use crate::model::signature::{Task, ValueType};
use crate::{Error, Result};

/// Columns whose products with all columns before them are one piece of work.
const COLUMNS_PER_PIECE: usize = 16;
/// Numbers of partial sums that are held at a time.
const PARTIAL_SUMS: usize = 1 << 22;

/// The algorithm.
pub(crate) struct Pca;

static PARAMETERS: &[Specification] = &[
    Specification {
        name: "n_components",
        kind: Kind::CountShareOrChoice(&[]),
        default: Default::Null,
        doc: "the number of components, or the share of the variance that they explain; NULL for all that there are",
    },
    Specification {
        name: "whiten",
        kind: Kind::Boolean,
        default: Default::Boolean(false),
        doc: "whether components are divided by their standard deviation in training",
    },
    MISSING_MEAN,
];

impl Algorithm for Pca {
    fn name(&self) -> &'static str {
        "pca"
    }

    fn doc(&self) -> &'static str {
        "fewer numbers than features, along the directions in which the rows vary most"
    }

    fn parameters(&self) -> &'static [Specification] {
        PARAMETERS
    }

    fn task_without_target(&self) -> Option<Task> {
        Some(Task::Reduction)
    }

    fn task(&self, _target: ValueType, _parameters: &Parameters) -> std::result::Result<Task, &'static str> {
        Err("no target")
    }

    fn fit(&self, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
        let most = rows.len().min(rows.features.len());
        if let Some(count) = context.parameters.integer("n_components").filter(|count| *count > most) {
            return Err(Error::input(format!(
                "parameter `n_components` of pca: expected at most {most}, the lesser of {} training rows and {} columns, \
                 found {count}",
                rows.len(),
                rows.features.len()
            )));
        }
        let points = Points::new(rows, Scaling::All, context)?;
        let Eigen { values, mut vectors } = match points.len() < points.width() {
            true => by_rows(&points, context)?,
            false => Eigen::new(&covariance(&points, context)?, context)?,
        };
        // What is below zero is a rounding error of zero.
        let variances: Vec<f64> = values.iter().map(|value| value.max(0.0)).collect();
        let total: f64 = variances.iter().sum();
        let count = match (context.parameters.integer("n_components"), context.parameters.number("n_components")) {
            (Some(count), _) => count,
            (None, Some(share)) => explaining(&variances, share * total).min(most),
            (None, None) => most,
        };
        vectors.truncate(count);
        vectors.iter_mut().for_each(|direction| point_forward(direction));
        let scale = points.scale();
        let metrics = metrics(&variances[..count], total, scale);
        let whiten = context.parameters.boolean("whiten");
        let factor = |variance: &f64| match whiten {
            true => 1.0 / variance.sqrt().max(f64::EPSILON),
            false => 1.0 / scale,
        };
        let factors = variances[..count].iter().map(factor).collect();
        let centre = points.centre();
        let kernel = Box::new(Model { filled: points.filled, centre, directions: vectors, factors });
        Ok(Fitted { kernel, metrics })
    }
}

/// Variances and covariances of the columns, with one row less as the divisor.
fn covariance(points: &Points, context: &Context<'_>) -> Result<Symmetric> {
    let width = points.width();
    let groups = points.groups(PARTIAL_SUMS / (width * width));
    context.watch.reserve((groups.len() + 1) * width * width * size_of::<f64>())?;
    let centre = points.centre();
    let tiles = width.div_ceil(COLUMNS_PER_PIECE);
    let work = |piece: usize| {
        let columns = piece % tiles * COLUMNS_PER_PIECE..width.min((piece % tiles + 1) * COLUMNS_PER_PIECE);
        products(points, &centre, groups[piece / tiles].clone(), columns, context)
    };
    let pieces = context.workers.try_map(groups.len() * tiles, work)?;
    let divisor = points.len().saturating_sub(1).max(1) as f64;
    let mut covariance = Symmetric::zeros(width);
    for (number, piece) in pieces.iter().enumerate() {
        for (i, row) in piece.iter().enumerate() {
            let column = number % tiles * COLUMNS_PER_PIECE + i;
            row.iter().enumerate().for_each(|(other, sum)| covariance.add(column, other, sum / divisor));
        }
    }
    Ok(covariance)
}

/// Variances and directions where there are fewer rows than columns: the products of rows have the same eigenvalues, and
/// their eigenvectors say how rows add up to directions.
fn by_rows(points: &Points, context: &Context<'_>) -> Result<Eigen> {
    let (count, centre) = (points.len(), points.centre());
    context.watch.reserve(2 * count * points.width() * size_of::<f64>())?;
    let centred = |row: usize| points.row(row).iter().zip(&centre).map(|(v, c)| v - c).collect::<Vec<f64>>();
    let rows: Vec<Vec<f64>> = (0..count).map(centred).collect();
    let products = |row: usize| -> Result<Vec<f64>> {
        context.check_cancelled()?;
        Ok(rows[..=row].iter().map(|other| dense::dot(&rows[row], other)).collect())
    };
    let mut gram = Symmetric::zeros(count);
    for (row, products) in context.workers.try_map(count, products)?.iter().enumerate() {
        let divisor = count.saturating_sub(1).max(1) as f64;
        products.iter().enumerate().for_each(|(other, sum)| gram.add(row, other, sum / divisor));
    }
    let Eigen { values, vectors: shares } = Eigen::new(&gram, context)?;
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    // Directions in which the rows do not vary are any that are at right angles to the others.
    let mut spare = 0..points.width();
    for shares in shares {
        context.check_cancelled()?;
        let mut direction = vec![0.0; points.width()];
        for (row, share) in rows.iter().zip(&shares) {
            direction.iter_mut().zip(row).for_each(|(sum, value)| *sum += share * value);
        }
        while !straighten(&mut direction, &vectors) {
            let Some(axis) = spare.next() else { break };
            direction.fill(0.0);
            direction[axis] = 1.0;
        }
        vectors.push(direction);
    }
    Ok(Eigen { values, vectors })
}

/// Makes a direction one at right angles to the others, of length one; whether there was enough of it left.
fn straighten(direction: &mut [f64], others: &[Vec<f64>]) -> bool {
    /// What is left of a direction when it is one of the others, but for rounding.
    const REST_MIN: f64 = 1e-6;
    let before = dense::dot(direction, direction).sqrt();
    for _ in 0..2 {
        for other in others {
            let share = dense::dot(direction, other);
            direction.iter_mut().zip(other).for_each(|(value, other)| *value -= share * other);
        }
    }
    let length = dense::dot(direction, direction).sqrt();
    direction.iter_mut().for_each(|value| *value /= length);
    length > before * REST_MIN && length > 0.0
}

/// For each of some columns the sums of its products with the columns up to itself.
fn products(
    points: &Points,
    centre: &[f64],
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    context: &Context<'_>,
) -> Result<Vec<Vec<f64>>> {
    /// Rows that are centred at a time: with the columns of a piece they stay in the cache.
    const ROWS: usize = 512;
    let mut sums: Vec<Vec<f64>> = columns.clone().map(|column| vec![0.0; column + 1]).collect();
    let mut block: Vec<Vec<f64>> = vec![Vec::with_capacity(ROWS); columns.end];
    for start in rows.clone().step_by(ROWS) {
        context.check_cancelled()?;
        block.iter_mut().for_each(Vec::clear);
        for row in start..rows.end.min(start + ROWS) {
            let centred = points.row(row).iter().zip(centre).map(|(value, centre)| value - centre);
            block.iter_mut().zip(centred).for_each(|(column, value)| column.push(value));
        }
        for (sums, column) in sums.iter_mut().zip(columns.clone()) {
            for (sum, other) in sums.iter_mut().zip(&block) {
                *sum += dense::dot(&block[column], other);
            }
        }
    }
    Ok(sums)
}

/// How many of the variances add up to more than so much.
fn explaining(variances: &[f64], share: f64) -> usize {
    let mut sum = 0.0;
    let enough = |variance: &f64| {
        sum += variance;
        sum > share
    };
    variances.iter().position(enough).map_or(variances.len(), |last| last + 1)
}

/// Turns a direction so that its greatest coordinate, the first of equals, is positive.
fn point_forward(direction: &mut [f64]) {
    let greatest = direction.iter().fold(0.0, |greatest: f64, value| greatest.max(value.abs()));
    if direction.iter().find(|value| value.abs() == greatest).is_some_and(|value| *value < 0.0) {
        direction.iter_mut().for_each(|value| *value = -*value);
    }
}

fn metrics(variances: &[f64], total: f64, scale: f64) -> Vec<Metric> {
    let metric = |name: &str, value: f64, step: i64| Metric { name: name.to_owned(), value, step };
    let mut metrics = vec![metric("components", variances.len() as f64, 0)];
    metrics.push(metric("explained_variance_share", variances.iter().sum::<f64>() / total, 0));
    for (component, variance) in (1..).zip(variances) {
        metrics.push(metric("explained_variance", variance / scale / scale, component));
        metrics.push(metric("explained_variance_ratio", variance / total, component));
    }
    metrics.retain(|metric| metric.value.is_finite());
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Value;
    use crate::train::target::Target;
    use crate::train::testing::{fit, fit_on, parameters};
    use crate::train::workers::Workers;

    fn rows(features: Vec<Vec<f64>>) -> Rows {
        let count = features[0].len();
        Rows::new(features, Target::None(count))
    }

    fn reduced(rows: &Rows, given: &[(&str, Value)]) -> (Vec<Vec<f64>>, Vec<Metric>) {
        let fitted = fit(&Pca, rows, 0, &parameters(&Pca, given));
        let width = fitted.kernel.width();
        let mut out = vec![0.0; rows.len() * width];
        fitted.kernel.score(&rows.columns(), &mut out);
        (out.chunks(width).map(<[f64]>::to_vec).collect(), fitted.metrics)
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} is not {expected}");
    }

    #[test]
    fn points_on_two_axes_by_hand() {
        // (±3, ±4)·1 along (0.6, 0.8) and ±1 along (-0.8, 0.6), around (10, 20): variances 50/3 and 2/3.
        let features = vec![vec![13.0, 7.0, 9.2, 10.8], vec![24.0, 16.0, 20.6, 19.4]];
        let (components, metrics) = reduced(&rows(features.clone()), &[]);
        for (row, expected) in components.iter().zip([[5.0, 0.0], [-5.0, 0.0], [0.0, -1.0], [0.0, 1.0]]) {
            row.iter().zip(expected).for_each(|(found, expected)| close(*found, expected));
        }
        let variances: Vec<f64> = metrics.iter().filter(|m| m.name == "explained_variance").map(|m| m.value).collect();
        close(variances[0], 50.0 / 3.0);
        close(variances[1], 2.0 / 3.0);
        let (components, _) = reduced(&rows(features.clone()), &[("whiten", Value::Boolean(true))]);
        close(components[0][0], 5.0 / (50.0_f64 / 3.0).sqrt());
        let (components, metrics) = reduced(&rows(features), &[("n_components", Value::Double(0.9))]);
        assert_eq!(components[0].len(), 1);
        close(metrics.iter().find(|m| m.name == "explained_variance_ratio").unwrap().value, 50.0 / 52.0);
    }

    #[test]
    fn a_share_is_passed_and_a_count_is_bounded() {
        assert_eq!(explaining(&[3.0, 2.0, 1.0], 3.0), 2);
        assert_eq!(explaining(&[3.0, 2.0, 1.0], 2.9), 1);
        assert_eq!(explaining(&[3.0, 2.0, 1.0], 6.0), 3);
        let three = rows(vec![vec![1.0, 2.0, 4.0]; 5]);
        let parameters = parameters(&Pca, &[("n_components", Value::Integer(4))]);
        let error = fit_on(&Workers::new(1).unwrap(), &Pca, &three, 0, &parameters).err().unwrap();
        assert!(error.message().contains("expected at most 3"), "{}", error.message());
        // Five columns that are one: all of the variance in one direction.
        let (components, _) = reduced(&three, &[]);
        assert_eq!(components[0].len(), 3);
        components.iter().for_each(|row| assert!(row[1].abs() < 1e-12 && row[2].abs() < 1e-12, "{row:?}"));
    }

    #[test]
    fn fewer_rows_than_columns_give_the_same_as_any_other_way() {
        let value = |row: usize, column: usize| ((row * 31 + column * 17 + row * column * 7) % 23) as f64;
        let wide: Vec<Vec<f64>> = (0..40).map(|column| (0..6).map(|row| value(row, column)).collect()).collect();
        let rows = rows(wide);
        let points = crate::train::testing::with_context(|context| {
            let points = Points::new(&rows, Scaling::All, context).unwrap();
            let few = by_rows(&points, context).unwrap();
            let all = Eigen::new(&covariance(&points, context).unwrap(), context).unwrap();
            for component in 0..5 {
                close(few.values[component], all.values[component]);
                close(dense::dot(&few.vectors[component], &all.vectors[component]).abs(), 1.0);
            }
            for (i, left) in few.vectors.iter().enumerate() {
                for (j, right) in few.vectors.iter().enumerate() {
                    assert!((dense::dot(left, right) - f64::from(i == j)).abs() < 1e-12);
                }
            }
            points
        });
        assert_eq!(points.len(), 6);
    }

    #[test]
    fn constant_columns_one_row_and_sizes_at_the_ends_of_the_range() {
        let (components, metrics) = reduced(&rows(vec![vec![7.0; 3]; 2]), &[("whiten", Value::Boolean(true))]);
        assert!(components.iter().flatten().all(|v| *v == 0.0));
        assert!(metrics.iter().all(|m| m.name != "explained_variance_ratio"));
        assert_eq!(reduced(&rows(vec![vec![7.0], vec![8.0]]), &[]).0, [[0.0]]);
        let (plain, _) = reduced(&rows(vec![vec![1.0, 2.0, 4.0, 9.0], vec![3.0, f64::NAN, 1.0, 0.5]]), &[]);
        for factor in [1e300, 1e-300] {
            let features = [[1.0, 2.0, 4.0, 9.0], [3.0, f64::NAN, 1.0, 0.5]].map(|c| c.map(|v| v * factor).to_vec());
            let (scaled, _) = reduced(&rows(features.to_vec()), &[]);
            for (scaled, plain) in scaled.iter().flatten().zip(plain.iter().flatten()) {
                close(scaled / factor, *plain);
            }
        }
    }
}
