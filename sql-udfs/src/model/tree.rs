//! One decision tree: comparisons `feature <= threshold` down to a leaf, and the leaf's numbers.
//!
//! Rows are walked in lanes of fixed depth without branches: a leaf points to itself, so that a lane which has arrived
//! waits for the others. A missing value follows the branch that its node names. It knows nothing of how trees grow.

mod graph;

pub(crate) use graph::read;

use super::contents::{Node, Question};
use super::kernel::Kernel;
use super::onnx::builder::GraphBuilder;
use super::signature::Signature;
use crate::limits::{TREE_DEPTH_MAX, TREE_NODES_MAX};
use crate::{Error, Result};

/// The kernel's kind.
pub(crate) const KIND: &str = "tree";

/// Rows that are walked in lockstep, so that one row's load hides behind the others'.
const LANES: usize = 16;
/// Levels between two looks at whether every lane has arrived.
const LEVELS_PER_LOOK: usize = 4;

/// Where a branch leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// Another comparison, by number.
    Node(usize),
    /// A leaf, by number.
    Leaf(usize),
}

/// A comparison, as trees are written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Split {
    /// The feature that is compared.
    pub feature: usize,
    /// Values up to this one, itself included, follow `yes`.
    pub threshold: f64,
    /// Whether a missing value follows `yes`.
    pub missing_follows_yes: bool,
    /// The branch for small values.
    pub yes: Child,
    /// The branch for great values.
    pub no: Child,
    /// The training rows that came here.
    pub rows: u64,
}

/// A fitted tree. The root is the first split; a tree without splits is its only leaf.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    splits: Vec<Split>,
    /// The numbers of each leaf, `width` at a time.
    leaves: Vec<f64>,
    width: usize,
    cells: Vec<Cell>,
    depth: usize,
}

/// A split or a leaf as it is walked: children are neighbours, a leaf is its own child.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    threshold: f64,
    feature: u32,
    /// The cell for `yes`; the one for `no` follows it. A leaf: itself.
    yes: u32,
    missing_follows_yes: bool,
    leaf: u32,
}

impl Tree {
    /// Checks a tree and lays it out for walking: every branch leads to a later split or to a leaf.
    pub(crate) fn new(splits: Vec<Split>, leaves: Vec<f64>, width: usize, features: usize) -> Result<Self> {
        let leaf_count = leaves.len() / width.max(1);
        let too_large = splits.len() > TREE_NODES_MAX || leaf_count > TREE_NODES_MAX;
        if too_large || width == 0 || !leaves.len().is_multiple_of(width) || leaf_count == 0 {
            return Err(Error::input(format!(
                "malformed model: expected a tree of 1 to {TREE_NODES_MAX} leaves, found {leaf_count}"
            )));
        }
        for (number, split) in splits.iter().enumerate() {
            let fits = |child: Child| match child {
                Child::Node(next) => next > number && next < splits.len(),
                Child::Leaf(leaf) => leaf < leaf_count,
            };
            if !fits(split.yes) || !fits(split.no) || split.feature >= features || split.threshold.is_nan() {
                return Err(Error::input(format!("malformed model: the tree's node {number} leads nowhere")));
            }
        }
        let (cells, depth) = lay_out(&splits)?;
        Ok(Tree { splits, leaves, width, cells, depth })
    }

    /// The comparisons.
    pub(crate) fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// The numbers of all leaves, one leaf after another.
    pub(crate) fn leaves(&self) -> &[f64] {
        &self.leaves
    }

    /// Comparisons on the longest path.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Writes the leaf of each row into `leaves`.
    fn walk(&self, columns: &[&[f64]], leaves: &mut [u32]) {
        for (group, lanes) in leaves.chunks_mut(LANES).enumerate() {
            let first = group * LANES;
            let mut at = [0_u32; LANES];
            let at = &mut at[..lanes.len()];
            let mut level = 0;
            while level < self.depth {
                let mut moved = false;
                for _ in level..self.depth.min(level + LEVELS_PER_LOOK) {
                    for (lane, at) in at.iter_mut().enumerate() {
                        let cell = &self.cells[*at as usize];
                        let next = cell.next(columns[cell.feature as usize][first + lane]);
                        moved |= next != *at;
                        *at = next;
                    }
                }
                if !moved {
                    break;
                }
                level += LEVELS_PER_LOOK;
            }
            for (leaf, at) in lanes.iter_mut().zip(at) {
                *leaf = self.cells[*at as usize].leaf;
            }
        }
    }
}

impl Cell {
    fn next(&self, value: f64) -> u32 {
        // No comparison holds for NaN, so a missing value stays with `yes` unless it is told otherwise.
        let missing_leaves = value.is_nan() & !self.missing_follows_yes;
        self.yes + u32::from((value > self.threshold) | missing_leaves)
    }
}

/// Cells in breadth-first order, and the depth. Fails where the tree is deeper than the limit or a node has two parents.
fn lay_out(splits: &[Split]) -> Result<(Vec<Cell>, usize)> {
    let cells_max = 2 * splits.len() + 1;
    let mut cells: Vec<Cell> = Vec::with_capacity(cells_max);
    let (mut depth, mut promised) = (0, 1);
    let mut level = vec![if splits.is_empty() { Child::Leaf(0) } else { Child::Node(0) }];
    while !level.is_empty() {
        let mut next_level = Vec::new();
        for child in level {
            let number = cells.len() as u32;
            let leaf =
                |leaf| Cell { threshold: f64::INFINITY, feature: 0, yes: number, missing_follows_yes: true, leaf };
            cells.push(match child {
                Child::Leaf(number) => leaf(number as u32),
                Child::Node(split) => {
                    let Split { feature, threshold, missing_follows_yes, yes, no, .. } = splits[split];
                    next_level.extend([yes, no]);
                    promised += 2;
                    Cell { threshold, feature: feature as u32, yes: promised - 2, missing_follows_yes, leaf: 0 }
                }
            });
        }
        if promised as usize > cells_max {
            return Err(Error::input("malformed model: a node of the tree has two parents"));
        }
        depth += usize::from(!next_level.is_empty());
        level = next_level;
    }
    match depth <= TREE_DEPTH_MAX {
        true => Ok((cells, depth)),
        false => {
            Err(Error::input(format!("malformed model: expected a tree of depth {TREE_DEPTH_MAX}, found {depth}")))
        }
    }
}

impl Kernel for Tree {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.width
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        let mut leaves = vec![0_u32; out.len() / self.width];
        self.walk(columns, &mut leaves);
        for (row, leaf) in out.chunks_exact_mut(self.width).zip(leaves) {
            let start = leaf as usize * self.width;
            row.copy_from_slice(&self.leaves[start..start + self.width]);
        }
    }

    fn trees(&self) -> Option<Vec<Vec<Node>>> {
        let place = |child: Child| match child {
            Child::Node(node) => node,
            Child::Leaf(leaf) => self.splits.len() + leaf,
        };
        let splits = self.splits.iter().map(|split| {
            let question = Question {
                column: split.feature,
                threshold: Some(split.threshold),
                codes: None,
                missing_is_yes: split.missing_follows_yes,
                yes: place(split.yes),
                no: place(split.no),
                gain: None,
            };
            Node { question: Some(question), values: Vec::new(), rows: Some(split.rows) }
        });
        let leaf = |values: &[f64]| Node { question: None, values: values.to_vec(), rows: None };
        Some(vec![splits.chain(self.leaves.chunks(self.width).map(leaf)).collect()])
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        graph::write(self, signature, graph);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(feature: usize, threshold: f64, missing_follows_yes: bool, yes: Child, no: Child) -> Split {
        Split { feature, threshold, missing_follows_yes, yes, no, rows: 1 }
    }

    /// `a <= 1 (missing too) ? 10 : (b <= 5 ? 20 : 30 (missing too))`
    fn small() -> Tree {
        let splits = vec![
            split(0, 1.0, true, Child::Leaf(0), Child::Node(1)),
            split(1, 5.0, false, Child::Leaf(1), Child::Leaf(2)),
        ];
        Tree::new(splits, vec![10.0, 20.0, 30.0], 1, 2).unwrap()
    }

    #[test]
    fn values_on_the_threshold_and_missing_ones_go_where_they_should() {
        let a = [1.0, 1.5, 1.5, f64::NAN, 2.0, f64::NEG_INFINITY, f64::INFINITY];
        let b = [9.0, 5.0, 5.5, 9.0, f64::NAN, 0.0, f64::INFINITY];
        let mut out = [0.0; 7];
        small().score(&[&a, &b], &mut out);
        assert_eq!(out, [10.0, 20.0, 30.0, 10.0, 30.0, 10.0, 30.0]);
    }

    #[test]
    fn more_rows_than_a_block_score_as_single_rows_do() {
        let rows = 2 * crate::limits::SCORE_ROWS_PER_BLOCK + 5;
        let a: Vec<f64> = (0..rows).map(|i| (i % 3) as f64).collect();
        let b: Vec<f64> = (0..rows).map(|i| (i % 11) as f64).collect();
        let mut out = vec![0.0; rows];
        small().score(&[&a, &b], &mut out);
        for (i, found) in out.into_iter().enumerate() {
            let expected = if i % 3 <= 1 {
                10.0
            } else if i % 11 <= 5 {
                20.0
            } else {
                30.0
            };
            assert_eq!(found, expected, "row {i}");
        }
    }

    #[test]
    fn a_lone_leaf_is_a_tree() {
        let mut out = [0.0; 4];
        Tree::new(vec![], vec![0.25, 0.75], 2, 1).unwrap().score(&[&[1.0, f64::NAN]], &mut out);
        assert_eq!(out, [0.25, 0.75, 0.25, 0.75]);
    }

    #[test]
    fn trees_that_loop_or_lead_nowhere_are_refused() {
        let leaf = Child::Leaf(0);
        for (yes, no, feature) in
            [(Child::Node(0), leaf, 0), (Child::Node(7), leaf, 0), (Child::Leaf(1), leaf, 0), (leaf, leaf, 1)]
        {
            assert!(Tree::new(vec![split(feature, 0.0, false, yes, no)], vec![1.0], 1, 1).is_err());
        }
        // Two parents double the walk at every level: 2^n cells from n nodes.
        let shared: Vec<Split> = (1..40).map(|n| split(0, 0.0, false, Child::Node(n), Child::Node(n))).collect();
        let mut shared = shared;
        shared.push(split(0, 0.0, false, leaf, leaf));
        assert!(Tree::new(shared, vec![1.0], 1, 1).is_err());
        let deep = (1..80).map(|n| split(0, 0.0, false, leaf, Child::Node(n)));
        let deep: Vec<Split> = deep.chain([split(0, 0.0, false, leaf, leaf)]).collect();
        assert!(Tree::new(deep, vec![1.0], 1, 1).is_err());
        assert!(Tree::new(vec![split(0, f64::NAN, false, leaf, leaf)], vec![1.0], 1, 1).is_err());
    }
}
