//! One tree, feature by feature: decision trees and the trees of forests.
//!
//! A node's sums per bin are made for one feature at a time and forgotten, which suits cuts that try a few features each
//! and trees that grow deep. It knows nothing of what is summed up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bins::Column;
use super::draft::{Cut, Draft, Place, check_size};
use super::part::part;
use crate::Result;
use crate::train::algorithm::Context;
use crate::train::random::Random;

/// What is summed up over the rows of a node.
pub(crate) trait Statistic: Sync {
    /// What one thread computes with.
    type Scratch: Default;

    /// Whether no cut could make these rows any purer.
    fn is_pure(&self, rows: &[u32]) -> bool;

    /// The numbers of a leaf.
    fn leaf(&self, rows: &[u32], values: &mut Vec<f64>);

    /// Prepares for the rows of a node.
    fn enter(&self, rows: &[u32], scratch: &mut Self::Scratch);

    /// Whether a feature varies among the rows that were entered, and the best cut by it.
    fn best(
        &self,
        feature: (usize, &Column),
        rows: &[u32],
        chance: Option<f64>,
        scratch: &mut Self::Scratch,
    ) -> (bool, Option<Cut>);
}

/// How a tree may grow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Cuts on a path.
    pub depth_max: usize,
    /// A node with fewer rows is not cut.
    pub rows_to_cut_min: usize,
    /// The most leaves: the best cuts are made first.
    pub leaves_max: Option<usize>,
    /// Features that vary that each cut tries.
    pub features_per_cut: usize,
    /// Whether a feature is cut at a place by chance.
    pub by_chance: bool,
    /// The least gain of a cut, in the units of the search.
    pub gain_min: f64,
}

/// Codes that one thread may look at before the work is shared.
const CODES_ALONE: usize = 1 << 17;

/// Grows a tree on some rows.
pub(crate) fn grow<S: Statistic>(
    columns: &[Column],
    statistic: &S,
    rows: Vec<u32>,
    rules: &Rules,
    random: Random,
    context: &Context<'_>,
) -> Result<Draft> {
    let spare = vec![0; rows.len()];
    let features: Vec<usize> = (0..columns.len()).collect();
    let mut growth = Growth {
        columns,
        statistic,
        rules,
        context,
        random,
        rows,
        spare,
        features,
        scratch: S::Scratch::default(),
        open: BinaryHeap::new(),
        draft: Draft::default(),
        values: Vec::new(),
        numbered: 0,
    };
    growth.run()?;
    Ok(growth.draft)
}

/// A node that will be cut.
struct Node {
    start: usize,
    end: usize,
    depth: usize,
    place: Place,
    cut: Cut,
}

/// A node in the order of cutting: by what comes first, then by number.
struct Open {
    priority: u64,
    number: Reverse<usize>,
    node: Node,
}

impl Ord for Open {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.priority, self.number).cmp(&(other.priority, other.number))
    }
}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Open {}

struct Growth<'a, S: Statistic> {
    columns: &'a [Column],
    statistic: &'a S,
    rules: &'a Rules,
    context: &'a Context<'a>,
    random: Random,
    /// Row numbers, those of each node together and in their first order.
    rows: Vec<u32>,
    spare: Vec<u32>,
    /// All features; those that a cut tries are brought to the front.
    features: Vec<usize>,
    scratch: S::Scratch,
    open: BinaryHeap<Open>,
    draft: Draft,
    values: Vec<f64>,
    /// Nodes that have a number.
    numbered: usize,
}

impl<S: Statistic> Growth<'_, S> {
    fn run(&mut self) -> Result<()> {
        self.add(0, self.rows.len(), 0, None)?;
        while let Some(Open { node, .. }) = self.open.pop() {
            let leaves = self.draft.leaf_count() + self.open.len() + 1;
            if self.rules.leaves_max.is_some_and(|max| leaves >= max) {
                self.leaf(node.start, node.end, node.place);
                continue;
            }
            self.context.check_cancelled()?;
            check_size(self.draft.cuts.len(), self.values.len())?;
            let rows = &mut self.rows[node.start..node.end];
            let number = self.draft.cut(node.place, node.cut, rows.len())?;
            let column = &self.columns[node.cut.feature];
            let middle = node.start + part(rows, &mut self.spare[node.start..node.end], column, &node.cut.yes);
            self.add(node.start, middle, node.depth + 1, Some((number, true)))?;
            self.add(middle, node.end, node.depth + 1, Some((number, false)))?;
        }
        Ok(())
    }

    fn leaf(&mut self, start: usize, end: usize, place: Place) {
        self.values.clear();
        self.statistic.leaf(&self.rows[start..end], &mut self.values);
        self.draft.leaf(place, &self.values, end - start);
    }

    /// A new node: a leaf, or one to be cut.
    fn add(&mut self, start: usize, end: usize, depth: usize, place: Place) -> Result<()> {
        self.numbered += 1;
        let rows = &self.rows[start..end];
        let ends = depth >= self.rules.depth_max || rows.len() < self.rules.rows_to_cut_min;
        let cut = if ends || self.statistic.is_pure(rows) { None } else { self.best(start, end)? };
        match cut.filter(|cut| cut.gain >= self.rules.gain_min) {
            None => self.leaf(start, end, place),
            Some(cut) => {
                // Gains are not negative, so that their bits are in their order.
                let priority = if self.rules.leaves_max.is_some() { cut.gain.to_bits() } else { self.numbered as u64 };
                let node = Node { start, end, depth, place, cut };
                self.open.push(Open { priority, number: Reverse(self.numbered), node });
            }
        }
        Ok(())
    }

    /// The best cut of a node by as many features as a cut tries; more where those do not vary or cannot be cut.
    fn best(&mut self, start: usize, end: usize) -> Result<Option<Cut>> {
        let rows = &self.rows[start..end];
        self.statistic.enter(rows, &mut self.scratch);
        let all = self.features.len();
        let some = self.rules.features_per_cut < all;
        let (mut best, mut tried, mut varying): (Option<Cut>, usize, usize) = (None, 0, 0);
        while tried < all && (varying < self.rules.features_per_cut || best.is_none()) {
            let batch = self.rules.features_per_cut.saturating_sub(varying).clamp(1, all - tried);
            if some {
                self.random.shuffle(&mut self.features[tried..], batch);
            }
            let visited: Vec<(usize, Option<f64>)> = self.features[tried..tried + batch]
                .iter()
                .map(|feature| (*feature, self.rules.by_chance.then(|| self.random.uniform())))
                .collect();
            tried += batch;
            for (varies, cut) in self.try_features(&visited, start, end)? {
                varying += usize::from(varies);
                best = better(best, cut);
            }
        }
        Ok(best)
    }

    fn try_features(
        &mut self,
        visited: &[(usize, Option<f64>)],
        start: usize,
        end: usize,
    ) -> Result<Vec<(bool, Option<Cut>)>> {
        let rows = &self.rows[start..end];
        if rows.len() * visited.len() <= CODES_ALONE {
            let scratch = &mut self.scratch;
            let one = |(feature, chance): &(usize, Option<f64>)| {
                self.statistic.best((*feature, &self.columns[*feature]), rows, *chance, scratch)
            };
            return Ok(visited.iter().map(one).collect());
        }
        self.context.workers.try_map(visited.len(), |at| {
            self.context.check_cancelled()?;
            let (feature, chance) = visited[at];
            let mut scratch = S::Scratch::default();
            self.statistic.enter(rows, &mut scratch);
            Ok(self.statistic.best((feature, &self.columns[feature]), rows, chance, &mut scratch))
        })
    }
}

/// Gains that differ by less than this share are ties, which rounding must not decide.
const TIE: f64 = 1e-12;

/// The better of two cuts; the first of equals.
pub(super) fn better(first: Option<Cut>, second: Option<Cut>) -> Option<Cut> {
    match (first, second) {
        (Some(first), Some(second)) if second.gain > first.gain + TIE * first.gain => Some(second),
        (None, second) => second,
        (first, _) => first,
    }
}
