//! Lloyd's method: rows to their nearest centre, centres to the mean of their rows, until neither changes.
//!
//! The order of steps, what happens to a centre without rows, and when it is over are scikit-learn's.

use crate::Result;
use crate::train::algorithm::Context;
use crate::train::points::Points;

/// Numbers of partial sums that are held at a time.
const PARTIAL_SUMS: usize = 1 << 22;
/// Centres whose distances are summed side by side: fixed, so that results do not depend on the processor.
const LANES: usize = 8;

/// The rows, with what all runs need to know of them.
pub(in crate::train) struct Problem<'a> {
    pub points: &'a Points,
    pub weights: Option<&'a [f64]>,
    /// The number of clusters.
    pub clusters: usize,
    /// The middle of the rows, from which sums are taken.
    pub origin: Vec<f64>,
    groups: Vec<std::ops::Range<usize>>,
    pub context: &'a Context<'a>,
}

/// When a run is over.
pub(in crate::train) struct Limits {
    pub iterations: usize,
    /// The sum of the squared shifts of the centres.
    pub shift: f64,
}

/// Where a run ended.
pub(in crate::train) struct Run {
    /// The centres one behind the other.
    pub centres: Vec<f64>,
    /// The weighted sum of squared distances from them.
    pub inertia: f64,
    pub iterations: usize,
    pub converged: bool,
}

impl<'a> Problem<'a> {
    pub fn new(
        points: &'a Points,
        weights: Option<&'a [f64]>,
        clusters: usize,
        context: &'a Context<'a>,
    ) -> Result<Self> {
        let numbers = clusters * points.width();
        let groups = points.groups(PARTIAL_SUMS / numbers);
        // For each row its cluster, two distances on the way to a start, and a place among the farthest; then centres and
        // sums. All starts use the same.
        let of_row = size_of::<u32>() + 2 * size_of::<f64>() + size_of::<Far>();
        context.watch.reserve(points.len() * of_row + (groups.len() + 4) * numbers * size_of::<f64>())?;
        Ok(Problem { points, weights, clusters, origin: points.centre(), groups, context })
    }

    pub fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    /// The mean over the columns of their variances; rows do not weigh.
    pub fn mean_variance(&self) -> Result<f64> {
        let square = |row: usize| squared(self.points.row(row), &self.origin);
        let sums = self.context.workers.map(self.points.blocks(), |b| self.points.block(b).map(square).sum::<f64>());
        self.context.check_cancelled()?;
        Ok(sums.iter().sum::<f64>() / self.points.len() as f64 / self.points.width() as f64)
    }
}

/// The squared distance of two points.
pub(in crate::train) fn squared(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(l, r)| (l - r) * (l - r)).sum()
}

/// Centres as they are searched: for each eight of them, coordinate by coordinate.
pub(in crate::train) struct Centres {
    count: usize,
    lanes: Vec<Vec<[f64; LANES]>>,
}

impl Centres {
    pub fn new(centres: &[f64], width: usize) -> Self {
        let all: Vec<&[f64]> = centres.chunks_exact(width).collect();
        // What fills up the last eight is farther than any row and comes last.
        let coordinate = |group: &[&[f64]], column: usize| {
            std::array::from_fn(|lane| group.get(lane).map_or(f64::INFINITY, |centre| centre[column]))
        };
        let lanes = all.chunks(LANES).map(|group| (0..width).map(|column| coordinate(group, column)).collect());
        Centres { count: all.len(), lanes: lanes.collect() }
    }

    /// The nearest centre, the first of equally near ones, and its squared distance.
    pub fn nearest(&self, point: &[f64]) -> (usize, f64) {
        let mut best = (0, f64::INFINITY);
        for (number, group) in self.lanes.iter().enumerate() {
            let mut sums = [0.0; LANES];
            for (value, coordinates) in point.iter().zip(group) {
                for lane in 0..LANES {
                    let apart = value - coordinates[lane];
                    sums[lane] += apart * apart;
                }
            }
            for (lane, sum) in sums.into_iter().enumerate() {
                if sum < best.1 && number * LANES + lane < self.count {
                    best = (number * LANES + lane, sum);
                }
            }
        }
        best
    }
}

/// A row's squared distance from the centre of its cluster, the row and the cluster.
type Far = (f64, usize, u32);

/// What a pass over some rows gives.
struct Pass {
    labels: Vec<u32>,
    changed: bool,
    /// By cluster, from the origin.
    sums: Vec<f64>,
    weights: Vec<f64>,
    inertia: f64,
}

/// Runs from the given centres.
pub(in crate::train) fn run(problem: &Problem<'_>, start: Vec<f64>, limits: &Limits) -> Result<Run> {
    let points = problem.points;
    let mut labels: Vec<Vec<u32>> = problem.groups.iter().map(|rows| vec![u32::MAX; rows.len()]).collect();
    let mut centres = start;
    let (mut iterations, mut converged) = (0, false);
    while iterations < limits.iterations && !converged {
        iterations += 1;
        let passes = pass(problem, &centres, std::mem::take(&mut labels))?;
        let changed = passes.iter().any(|pass| pass.changed);
        let mut sums = vec![0.0; centres.len()];
        let mut weights = vec![0.0; centres.len() / points.width()];
        for pass in &passes {
            sums.iter_mut().zip(&pass.sums).for_each(|(all, sum)| *all += sum);
            weights.iter_mut().zip(&pass.weights).for_each(|(all, weight)| *all += weight);
        }
        labels = passes.into_iter().map(|pass| pass.labels).collect();
        relocate(problem, &centres, &labels, &mut sums, &mut weights);
        let moved = means(problem, &centres, sums, &weights);
        let shift = squared(&moved, &centres);
        centres = moved;
        converged = !changed || shift <= limits.shift;
    }
    let passes = pass(problem, &centres, labels)?;
    Ok(Run { centres, inertia: passes.iter().map(|pass| pass.inertia).sum(), iterations, converged })
}

/// Takes every row to its nearest centre.
fn pass(problem: &Problem<'_>, centres: &[f64], labels: Vec<Vec<u32>>) -> Result<Vec<Pass>> {
    problem.context.check_cancelled()?;
    let width = problem.points.width();
    let search = Centres::new(centres, width);
    let work: Vec<_> = problem.groups.iter().cloned().zip(labels).collect();
    let passes = problem.context.workers.map_each(work, |(rows, mut labels)| {
        let mut weights = vec![0.0; centres.len() / width];
        let (mut sums, mut inertia, mut changed) = (vec![0.0; centres.len()], 0.0, false);
        for (row, label) in rows.zip(&mut labels) {
            let (nearest, distance) = search.nearest(problem.points.row(row));
            let weight = problem.weight(row);
            changed |= *label != nearest as u32;
            *label = nearest as u32;
            weights[nearest] += weight;
            inertia += weight * distance;
            let sums = &mut sums[nearest * width..(nearest + 1) * width];
            for ((sum, value), origin) in sums.iter_mut().zip(problem.points.row(row)).zip(&problem.origin) {
                *sum += weight * (value - origin);
            }
        }
        Pass { labels, changed, sums, weights, inertia }
    });
    problem.context.check_cancelled()?;
    Ok(passes)
}

/// Gives each cluster without rows the row that is farthest from the centre of its own.
fn relocate(problem: &Problem<'_>, centres: &[f64], labels: &[Vec<u32>], sums: &mut [f64], weights: &mut [f64]) {
    let empty: Vec<usize> = (0..weights.len()).filter(|cluster| weights[*cluster] == 0.0).collect();
    if empty.is_empty() {
        return;
    }
    let (points, width) = (problem.points, problem.points.width());
    let own = |(row, label): (usize, u32)| {
        let centre = &centres[label as usize * width..(label as usize + 1) * width];
        (squared(points.row(row), centre), row, label)
    };
    let mut far: Vec<Far> = labels.iter().flatten().copied().enumerate().map(own).collect();
    let count = empty.len().min(far.len());
    far.select_nth_unstable_by(count - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    far.truncate(count);
    far.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    if far[0].0 == 0.0 {
        // Every row is its own centre already: there are fewer different rows than clusters.
        return;
    }
    for (cluster, (_, row, label)) in empty.into_iter().zip(far) {
        let weight = problem.weight(row);
        for (column, (value, origin)) in points.row(row).iter().zip(&problem.origin).enumerate() {
            let share = weight * (value - origin);
            sums[label as usize * width + column] -= share;
            sums[cluster * width + column] = share;
        }
        weights[label as usize] -= weight;
        weights[cluster] = weight;
    }
}

/// The means of the clusters; a cluster without weight keeps its centre.
fn means(problem: &Problem<'_>, centres: &[f64], sums: Vec<f64>, weights: &[f64]) -> Vec<f64> {
    let width = problem.points.width();
    let mean = |(at, sum): (usize, f64)| match weights[at / width] {
        weight if weight > 0.0 => problem.origin[at % width] + sum / weight,
        _ => centres[at],
    };
    sums.into_iter().enumerate().map(mean).collect()
}
