//! Where centres start: at rows drawn by k-means++ or evenly, or where a statement says.

use super::lloyd::{Problem, squared};
use crate::model::filled::{FAR, Filled};
use crate::train::random::{Purpose, Random};
use crate::{Error, Result};

/// Greedy k-means++ as scikit-learn has it (<https://doi.org/10.5555/1283383.1283494>): each next centre is the best of a
/// few rows that are drawn by their squared distance from the centres so far.
pub(super) fn plus_plus(problem: &Problem<'_>, number: u64) -> Result<Vec<f64>> {
    let (points, context) = (problem.points, problem.context);
    let mut draws = Random::new(problem.context.seed, Purpose::Starts, number);
    let trials = 2 + libm::log(problem.clusters as f64) as usize;
    let weight = |row: usize| problem.weight(row);
    let by_weight = block_sums(problem, &weight);
    let first = pick(problem, &by_weight, draws.uniform(), &weight);
    let mut centres = points.row(first).to_vec();
    let mut nearest: Vec<f64> = distances(problem, points.row(first));
    let mut potential = block_sums(problem, &|row| problem.weight(row) * nearest[row]);
    while centres.len() < problem.clusters * points.width() {
        context.check_cancelled()?;
        let share = |row: usize| problem.weight(row) * nearest[row];
        let candidates: Vec<usize> = (0..trials).map(|_| pick(problem, &potential, draws.uniform(), &share)).collect();
        let with = |candidate: usize| {
            let point = points.row(candidate);
            block_sums(problem, &|row| problem.weight(row) * nearest[row].min(squared(points.row(row), point)))
        };
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for candidate in candidates {
            let sums = with(candidate);
            let total: f64 = sums.iter().sum();
            if best.as_ref().is_none_or(|(least, _, _)| total < *least) {
                best = Some((total, candidate, sums));
            }
        }
        let Some((_, chosen, sums)) = best else { break };
        let from_chosen = distances(problem, points.row(chosen));
        nearest.iter_mut().zip(from_chosen).for_each(|(nearest, distance)| *nearest = nearest.min(distance));
        centres.extend_from_slice(points.row(chosen));
        potential = sums;
    }
    Ok(centres)
}

fn distances(problem: &Problem<'_>, point: &[f64]) -> Vec<f64> {
    let points = problem.points;
    let of_block = |b: usize| points.block(b).map(|row| squared(points.row(row), point)).collect::<Vec<f64>>();
    problem.context.workers.map(points.blocks(), of_block).concat()
}

fn block_sums(problem: &Problem<'_>, value: &(dyn Fn(usize) -> f64 + Sync)) -> Vec<f64> {
    problem.context.workers.map(problem.points.blocks(), |b| problem.points.block(b).map(value).sum())
}

/// The row at which the sum of the values reaches a share of the whole.
fn pick(problem: &Problem<'_>, sums: &[f64], share: f64, value: &dyn Fn(usize) -> f64) -> usize {
    let mut left = share * sums.iter().sum::<f64>();
    let mut last = 0;
    for (block, sum) in sums.iter().enumerate() {
        if *sum <= left {
            left -= sum;
            continue;
        }
        for row in problem.points.block(block) {
            let value = value(row);
            if value > 0.0 {
                last = row;
                if value > left {
                    return row;
                }
                left -= value;
            }
        }
    }
    last
}

/// Different rows, each as likely as any other.
pub(super) fn random(problem: &Problem<'_>, number: u64) -> Vec<f64> {
    let mut draws = Random::new(problem.context.seed, Purpose::Starts, number);
    let mut rows: Vec<u32> = (0..problem.points.len() as u32).collect();
    draws.shuffle(&mut rows, problem.clusters);
    rows.truncate(problem.clusters);
    rows.iter().flat_map(|row| problem.points.row(*row as usize).iter().copied()).collect()
}

/// Centres as they are written.
pub(super) fn written(text: &str, clusters: usize, filled: &Filled) -> Result<Vec<f64>> {
    let width = filled.width();
    let expected = || {
        Error::input(format!(
            "parameter `init` of kmeans: expected 'k-means++', 'random' or {clusters} centres of {width} numbers as JSON, \
             found '{text}'"
        ))
    };
    let centres: Vec<Vec<f64>> = serde_json::from_str(text).map_err(|_| expected())?;
    if centres.len() != clusters || centres.iter().any(|centre| centre.len() != width) {
        return Err(expected());
    }
    let scaled = |centre: &Vec<f64>| -> Vec<f64> {
        centre.iter().zip(&filled.scales).map(|(value, scale)| (value * scale).clamp(-FAR, FAR)).collect()
    };
    Ok(centres.iter().flat_map(scaled).collect())
}
