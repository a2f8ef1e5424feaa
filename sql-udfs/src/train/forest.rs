//! What decision trees, random forests and extra trees share: from parameters and rows to trees that are averaged.
//!
//! Trees grow in parallel, each with random numbers of its own. Whole numbers in the place of sums make a cut independent
//! of the order of rows; leaves are means in canonical order.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::FITTED_SHARE;
use super::algorithm::{Context, Fitted};
use super::parameter::Parameters;
use super::random::{Purpose, Random};
use super::rows::{READ_SHARE, Rows};
use super::sample::Sample;
use super::target::Target;
use super::tree::bins::{self, BINS_MAX, Column, Fineness, WIDE_BINS_MAX};
use super::tree::cells::{Cell, Units, Wide};
use super::tree::classes::Classes;
use super::tree::cut::{Criterion, Search};
use super::tree::direct::{Rules, grow};
use super::tree::draft::{Draft, check_size};
use super::tree::leaves::Leaves;
use super::tree::sums::Scalars;
use crate::limits::TREE_DEPTH_MAX;
use crate::model::trees::{Finish, Tree, Trees};
use crate::{Error, Result};

/// How many trees there are and how they differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The number of trees.
    pub trees: usize,
    /// Whether a feature is cut at a place by chance.
    pub by_chance: bool,
    /// Whether each tree has rows drawn with replacement.
    pub bootstrap: bool,
}

/// The number of features that a cut tries.
fn features_per_cut(parameters: &Parameters, features: usize) -> usize {
    let all = features as f64;
    let count = match (parameters.text("max_features"), parameters.integer("max_features")) {
        (Some("sqrt"), _) => all.sqrt() as usize,
        (Some(_), _) => features.ilog2() as usize,
        (None, Some(count)) => count,
        (None, None) => parameters.number("max_features").map_or(features, |share| (share * all) as usize),
    };
    count.clamp(1, features)
}

/// A count, or a share of all that there are; all where nothing is said.
pub(super) fn count_or_share(parameters: &Parameters, name: &str, all: usize) -> usize {
    let count = match parameters.integer(name) {
        Some(count) => count,
        None => parameters.number(name).map_or(all, |share| (share * all as f64).round() as usize),
    };
    count.clamp(1, all)
}

/// What a cut lowers, and how the numbers of a search become those of a user.
struct Goal<'a> {
    target: &'a Target,
    classes: usize,
    entropy: bool,
    /// Weights up to 1, where not all are the same.
    weights: Option<Vec<f64>>,
    /// What is subtracted from numbers, so that sums keep their digits.
    centre: f64,
    units: Units,
    rows_min: usize,
}

impl Goal<'_> {
    /// What each row adds to a gradient, for a weight of 1.
    fn gradient(&self, row: usize) -> f64 {
        match self.target {
            Target::Numbers(target) => target[row] - self.centre,
            Target::Classes(codes) => f64::from(codes[row]),
            Target::None(_) => 0.0,
        }
    }

    /// A gain in the units of a search, times this, is what the split lowers the impurity by, times the weight of rows.
    fn gain_factor(&self) -> f64 {
        let square = self.units.gradient_scale * self.units.gradient_scale;
        match (self.target, self.entropy, self.classes) {
            (Target::Classes(_), true, _) => 1.0 / std::f64::consts::LN_2,
            (Target::Classes(_), false, 2) => 2.0 * square,
            (Target::Classes(_), false, _) => 1.0,
            _ => square,
        }
    }

    fn grow(
        &self,
        columns: &[Column],
        sample: Sample,
        rules: &Rules,
        random: Random,
        context: &Context<'_>,
    ) -> Result<Draft> {
        let weights = sample.weights.as_deref().or(self.weights.as_deref());
        let leaves = match self.target {
            Target::Numbers(target) => Leaves::Numbers { target, weights },
            Target::Classes(codes) => Leaves::Classes { codes, count: self.classes, weights },
            Target::None(_) => return Err(Error::internal("expected a target, found none")),
        };
        let rows_min = self.rows_min as u64;
        if let (Target::Classes(codes), 3..) = (self.target, self.classes) {
            let statistic = Classes { codes, count: self.classes, weights, entropy: self.entropy, rows_min, leaves };
            return grow(columns, &statistic, sample.rows, rules, random, context);
        }
        let mut cells = vec![Wide::default(); self.target_len()];
        for row in &sample.rows {
            let row = *row as usize;
            let weight = weights.map_or(1.0, |weights| weights[row]);
            cells[row] = Wide::pack(weight * self.gradient(row), weight, &self.units);
        }
        let criterion = if self.entropy { Criterion::Entropy } else { Criterion::Squares { l2: 0.0 } };
        let search =
            Search { units: &self.units, criterion, rows_min, weight_min: 0.0, must_gain: false, smoothing: 0.0 };
        let statistic = Scalars { cells: &cells, search, leaves };
        grow(columns, &statistic, sample.rows, rules, random, context)
    }

    fn target_len(&self) -> usize {
        match self.target {
            Target::Numbers(target) => target.len(),
            Target::Classes(codes) => codes.len(),
            Target::None(rows) => *rows,
        }
    }
}

/// Weights in shares of the greatest, to a power of two, so that products with gradients stay in range.
pub(super) fn shares_of_greatest(weights: &[f64]) -> Vec<f64> {
    let greatest = weights.iter().copied().fold(0.0, f64::max);
    let exponent = libm::frexp(greatest).1;
    // In two steps: one over the least weights is infinite.
    let half = exponent / 2;
    let (first, second) = (libm::ldexp(1.0, -half), libm::ldexp(1.0, half - exponent));
    weights.iter().map(|weight| weight * first * second).collect()
}

fn goal<'a>(rows: &'a Rows, context: &Context<'_>) -> Result<Goal<'a>> {
    let parameters = context.parameters;
    let weights = rows.weights.as_deref().map(shares_of_greatest);
    let mut goal = Goal {
        target: &rows.target,
        classes: context.classes,
        entropy: parameters.text("criterion") == Some("entropy"),
        weights,
        centre: 0.0,
        units: Units::new(rows.len(), 1.0, 1.0),
        rows_min: parameters.integer("min_samples_leaf").unwrap_or(1),
    };
    if let Target::Numbers(target) = &rows.target {
        goal.centre = super::dense::mean(target);
        let greatest = (0..target.len()).map(|row| goal.gradient(row).abs()).fold(0.0, f64::max);
        if !(greatest.is_finite() && goal.centre.is_finite()) {
            return Err(Error::input("the target's values are too large to be summed up")
                .with_hint("divide them by a constant"));
        }
        goal.units = Units::new(rows.len(), greatest, 1.0);
    }
    Ok(goal)
}

/// Fits trees that are averaged.
pub(super) fn fit(plan: Plan, rows: &Rows, context: &Context<'_>) -> Result<Fitted> {
    let parameters = context.parameters;
    let exact = Fineness { values: WIDE_BINS_MAX, bins: BINS_MAX };
    let columns = bins::bin(rows, parameters.integer("max_bins").map_or(exact, Fineness::of), context)?;
    let goal = goal(rows, context)?;
    let in_flight = context.workers.threads().min(plan.trees);
    context.watch.reserve(in_flight * rows.len() * (size_of::<Wide>() + 5 * size_of::<u32>()))?;
    // What a tree of classes sums up per bin grows with both.
    let bins = columns.iter().map(|column| column.bins.count() + 1).max().unwrap_or(0);
    context.watch.reserve(in_flight * bins * (context.classes + 1) * size_of::<f64>())?;
    let usable = usable(rows);
    let per_tree = count_or_share(parameters, "max_samples", usable.len());
    let sample = |tree: usize| {
        let random = Random::new(context.seed, Purpose::Rows, tree as u64);
        Sample::new(&usable, per_tree, plan.bootstrap, goal.weights.as_deref(), random)
    };
    let (done, nodes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let leaf_width = if context.classes > 0 { context.classes } else { 1 };
    let trees: Vec<(Tree, usize)> = context.workers.try_map(plan.trees, |tree| {
        context.check_cancelled()?;
        check_size(nodes.load(Ordering::Relaxed), leaf_width)?;
        let sample = sample(tree);
        let total = sample.weight(goal.weights.as_deref());
        let factor = goal.gain_factor();
        let decrease = parameters.number("min_impurity_decrease").filter(|least| *least > 0.0);
        let rules = Rules {
            depth_max: parameters.integer("max_depth").unwrap_or(TREE_DEPTH_MAX),
            rows_to_cut_min: parameters.integer("min_samples_split").unwrap_or(2),
            leaves_max: parameters.integer("max_leaf_nodes"),
            features_per_cut: features_per_cut(parameters, columns.len()),
            by_chance: plan.by_chance,
            gain_min: decrease.map_or(0.0, |least| least * total / factor),
        };
        let random = Random::new(context.seed, Purpose::Cuts, tree as u64);
        let draft = goal.grow(&columns, sample, &rules, random, context)?;
        check_size(nodes.fetch_add(draft.cuts.len(), Ordering::Relaxed) + draft.cuts.len(), leaf_width)?;
        let share = (done.fetch_add(1, Ordering::Relaxed) + 1) as f64 / plan.trees as f64;
        context.watch.progress(READ_SHARE + (FITTED_SHARE - READ_SHARE) * share);
        let depth = draft.depth();
        Ok((draft.finish(&columns, factor), depth))
    })?;
    let depth = trees.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
    let trees: Vec<Tree> = trees.into_iter().map(|(tree, _)| tree).collect();
    let leaves: usize = trees.iter().map(|tree| tree.leaf_rows.len()).sum();
    let mut metrics = vec![("depth", depth as f64), ("leaves", leaves as f64)];
    if plan.bootstrap && parameters.boolean("oob_score") {
        metrics.extend(super::out_of_bag::measure(&trees, rows, leaf_width, &sample, context)?);
    }
    let finish = if plan.trees == 1 { Finish::Sum } else { Finish::Mean };
    let trees = Trees::new(trees, leaf_width, vec![0.0; leaf_width], finish, columns.len())?;
    Ok(Fitted::new(trees, metrics))
}

/// The rows that weigh something.
pub(super) fn usable(rows: &Rows) -> Vec<u32> {
    let all = 0..rows.len() as u32;
    match &rows.weights {
        None => all.collect(),
        Some(weights) => all.filter(|row| weights[*row as usize] > 0.0).collect(),
    }
}
