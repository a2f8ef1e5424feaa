//! A few small trees over many columns, walked on the values themselves: ranks would cost more than the walk.
//!
//! Sixteen rows step down one tree together, as in [`super::walks`], and a leaf leads to itself.

use super::{Child, Test, Tree, Trees};
use crate::limits::SCORE_ROWS_PER_BLOCK;
use crate::model::kernel::Kernel;

/// Rows that step down together.
const LANES: usize = 16;
/// Steps down that take as long as finding the rank of a value.
const STEPS_PER_RANK: usize = 2;

/// A comparison or a leaf.
#[derive(Debug, Clone, Copy)]
struct Node {
    threshold: f64,
    column: u32,
    /// The node for values that pass; the one for others follows it. A leaf: itself.
    passing: u32,
    missing_passes: bool,
    leaf: u32,
}

#[derive(Debug)]
struct Walk {
    nodes: Vec<Node>,
    depth: usize,
}

/// All trees, laid out for walking.
#[derive(Debug)]
pub(super) struct Direct(Vec<Walk>);

impl Direct {
    /// Lays out the trees; `None` where they compare texts, or where ranks are faster.
    pub fn new(trees: &Trees) -> Option<Self> {
        let splits = || trees.trees.iter().flat_map(|tree| &tree.splits);
        let mut columns: Vec<usize> = splits().map(|split| split.feature).collect();
        columns.sort_unstable();
        columns.dedup();
        if splits().any(|split| matches!(split.test, Test::AnyOf(_))) || trees.trees.len() > columns.len() {
            return None;
        }
        let walks: Vec<Walk> = trees.trees.iter().map(Walk::new).collect::<Option<_>>()?;
        let steps: usize = walks.iter().map(|walk| walk.depth).sum();
        (steps <= STEPS_PER_RANK * columns.len()).then_some(Direct(walks))
    }

    /// Scores the rows of a block.
    pub fn score(&self, trees: &Trees, columns: &[&[f64]], out: &mut [f64]) {
        let rows = out.len() / trees.width();
        let (sums_per_row, width) = (trees.base.len(), trees.leaf_width);
        let mut sums = trees.base.repeat(rows);
        let mut leaves = vec![0_u32; rows.min(SCORE_ROWS_PER_BLOCK)];
        for (number, (walk, tree)) in self.0.iter().zip(&trees.trees).enumerate() {
            for (first, sums) in sums.chunks_mut(SCORE_ROWS_PER_BLOCK * sums_per_row).enumerate() {
                let leaves = &mut leaves[..sums.len() / sums_per_row];
                walk.run(columns, first * SCORE_ROWS_PER_BLOCK, leaves);
                for (sums, leaf) in sums.chunks_exact_mut(sums_per_row).zip(leaves) {
                    let leaf = *leaf as usize * width;
                    trees.add_leaf(number, &tree.leaves[leaf..leaf + width], sums);
                }
            }
        }
        let outs = out.chunks_exact_mut(trees.width());
        sums.chunks_exact_mut(sums_per_row).zip(outs).for_each(|(sums, out)| trees.finish(sums, out));
    }
}

impl Walk {
    /// Nodes in breadth-first order, so that both children of a node are neighbours.
    fn new(tree: &Tree) -> Option<Self> {
        let mut walk = Walk { nodes: Vec::with_capacity(tree.splits.len() + tree.leaf_rows.len()), depth: 0 };
        // A leaf looks at a column too, whatever is in it: at one that is there.
        let column = tree.splits.first().map_or(0, |split| split.feature as u32);
        let mut level = vec![if tree.splits.is_empty() { Child::Leaf(0) } else { Child::Node(0) }];
        let mut promised = 1_u32;
        while !level.is_empty() {
            let mut next_level = Vec::new();
            for child in level {
                let number = walk.nodes.len() as u32;
                walk.nodes.push(match child {
                    Child::Leaf(leaf) => Node {
                        threshold: f64::INFINITY,
                        column,
                        passing: number,
                        missing_passes: true,
                        leaf: leaf as u32,
                    },
                    Child::Node(split) => {
                        let split = &tree.splits[split];
                        let Test::AtMost(threshold) = split.test else { return None };
                        next_level.extend([split.yes, split.no]);
                        promised += 2;
                        Node {
                            threshold,
                            column: split.feature as u32,
                            passing: promised - 2,
                            missing_passes: split.missing_follows_yes,
                            leaf: 0,
                        }
                    }
                });
            }
            walk.depth += usize::from(!next_level.is_empty());
            level = next_level;
        }
        Some(walk)
    }

    /// The leaf of each row from `start` on.
    fn run(&self, columns: &[&[f64]], start: usize, leaves: &mut [u32]) {
        for (group, lanes) in leaves.chunks_mut(LANES).enumerate() {
            let first = start + group * LANES;
            let mut at = [0_u32; LANES];
            let at = &mut at[..lanes.len()];
            for _ in 0..self.depth {
                for (lane, at) in at.iter_mut().enumerate() {
                    let node = &self.nodes[*at as usize];
                    let value = columns[node.column as usize][first + lane];
                    let fails = (value > node.threshold) | (value.is_nan() & !node.missing_passes);
                    *at = node.passing + u32::from(fails);
                }
            }
            for (leaf, at) in lanes.iter_mut().zip(at) {
                *leaf = self.nodes[*at as usize].leaf;
            }
        }
    }
}
