//! Trees of many leaves, walked in lanes without a branch.
//!
//! Sixteen rows step down one tree together, so that one row's look-up hides behind the others'. A leaf leads to itself:
//! a lane that has arrived waits. It knows nothing of what leaves are worth.

use std::collections::BTreeMap;

use super::ranks::{MISSING_CODE, Rank, Ranks};
use super::{Child, Test, Tree, Trees};
use crate::model::kernel::Kernel;

/// Rows whose ranks are found at once.
const ROWS: usize = 512;
/// Rows that step down together.
const LANES: usize = 16;
/// Levels between two looks at whether every lane has arrived.
const LEVELS_PER_LOOK: usize = 4;
/// Marks a column whose codes are looked up in a set.
const IS_SET: u16 = 1 << 15;

/// A comparison or a leaf.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The node for values that pass; the one for others follows it. A leaf: itself.
    passing: u32,
    column: u16,
    /// The greatest rank that passes, or the number of the tree's set.
    threshold: i16,
}

/// Codes of texts, a bit each.
type Set = [u64; 4];

#[derive(Debug)]
struct Walk {
    nodes: Vec<Node>,
    /// The leaf of each node that is one.
    leaves: Vec<u32>,
    sets: Vec<Set>,
    depth: usize,
}

/// All trees, laid out for walking.
#[derive(Debug)]
pub(super) struct Walks {
    walks: Vec<Walk>,
    columns: usize,
}

impl Walks {
    /// Lays out the trees; `None` where a rank or a column is too great.
    pub fn new(trees: &Trees, ranks: &Ranks) -> Option<Self> {
        if ranks.greatest() > <i16 as Rank>::GREATEST || ranks.columns() >= usize::from(IS_SET) {
            return None;
        }
        let walks = trees.trees.iter().map(|tree| Walk::new(tree, ranks)).collect::<Option<_>>()?;
        Some(Walks { walks, columns: ranks.columns() })
    }

    /// Scores some rows, at most [`ROWS`].
    pub fn score(&self, trees: &Trees, ranks: &Ranks, columns: &[&[f64]], start: usize, out: &mut [f64]) {
        let rows = out.len() / trees.width();
        let mut made = vec![[0_i16; ROWS]; self.columns.max(1)];
        ranks.fill(columns, start, rows, &mut made);
        let mut sums = trees.base.repeat(rows);
        let mut leaves = [0_u32; ROWS];
        let (sums_per_row, width) = (trees.base.len(), trees.leaf_width);
        for (number, (walk, tree)) in self.walks.iter().zip(&trees.trees).enumerate() {
            let leaves = &mut leaves[..rows];
            match walk.sets.is_empty() {
                true => walk.run::<false>(&made, leaves),
                false => walk.run::<true>(&made, leaves),
            }
            for (sums, leaf) in sums.chunks_exact_mut(sums_per_row).zip(leaves) {
                let leaf = *leaf as usize * width;
                trees.add_leaf(number, &tree.leaves[leaf..leaf + width], sums);
            }
        }
        let outs = out.chunks_exact_mut(trees.width());
        sums.chunks_exact_mut(sums_per_row).zip(outs).for_each(|(sums, out)| trees.finish(sums, out));
    }
}

impl Walk {
    /// Nodes in breadth-first order, so that both children of a node are neighbours.
    fn new(tree: &Tree, ranks: &Ranks) -> Option<Self> {
        let count = tree.splits.len() + tree.leaf_rows.len();
        let mut walk = Walk { nodes: Vec::with_capacity(count), leaves: vec![0; count], sets: Vec::new(), depth: 0 };
        let mut known: BTreeMap<Set, i16> = BTreeMap::new();
        let mut level = vec![if tree.splits.is_empty() { Child::Leaf(0) } else { Child::Node(0) }];
        let mut promised = 1_u32;
        while !level.is_empty() {
            let mut next_level = Vec::new();
            for child in level {
                let number = walk.nodes.len();
                let split = match child {
                    Child::Leaf(leaf) => {
                        walk.leaves[number] = leaf as u32;
                        walk.nodes.push(Node { passing: number as u32, column: 0, threshold: i16::MAX });
                        continue;
                    }
                    Child::Node(split) => &tree.splits[split],
                };
                let (column, threshold) = match &split.test {
                    Test::AtMost(threshold) => {
                        let (column, rank) = ranks.place(split.feature, *threshold, split.missing_follows_yes)?;
                        (column, <i16 as Rank>::of(rank))
                    }
                    Test::AnyOf(codes) => {
                        let set = set(codes, split.missing_follows_yes);
                        let next = i16::try_from(known.len()).ok()?;
                        let place = *known.entry(set).or_insert(next);
                        if place == next {
                            walk.sets.push(set);
                        }
                        (ranks.codes(split.feature)? | IS_SET, place)
                    }
                };
                walk.nodes.push(Node { passing: promised, column, threshold });
                promised += 2;
                next_level.extend([split.yes, split.no]);
            }
            walk.depth += usize::from(!next_level.is_empty());
            level = next_level;
        }
        Some(walk)
    }

    /// The leaf of each row.
    fn run<const SETS: bool>(&self, columns: &[[i16; ROWS]], leaves: &mut [u32]) {
        for (group, lanes) in leaves.chunks_mut(LANES).enumerate() {
            let first = group * LANES;
            let mut at = [0_u32; LANES];
            let mut level = 0;
            while level < self.depth {
                let before = at;
                for _ in level..self.depth.min(level + LEVELS_PER_LOOK) {
                    for (lane, at) in at.iter_mut().enumerate() {
                        let node = self.nodes[*at as usize];
                        let column = if SETS { node.column & !IS_SET } else { node.column };
                        let value = columns[usize::from(column)][(first + lane) % ROWS];
                        let fails = match SETS && node.column & IS_SET != 0 {
                            true => !self.has(node.threshold, value),
                            false => value > node.threshold,
                        };
                        *at = node.passing + u32::from(fails);
                    }
                }
                if before == at {
                    break;
                }
                level += LEVELS_PER_LOOK;
            }
            for (leaf, at) in lanes.iter_mut().zip(at) {
                *leaf = self.leaves[at as usize];
            }
        }
    }

    fn has(&self, set: i16, value: i16) -> bool {
        let code = Rank::index(value);
        self.sets[set as usize][code / 64 % 4] >> (code % 64) & 1 == 1
    }
}

fn set(codes: &[u8], missing_is_member: bool) -> Set {
    let mut set = [0; 4];
    for code in codes.iter().map(|code| usize::from(*code)).chain(missing_is_member.then_some(MISSING_CODE)) {
        set[code / 64] |= 1 << (code % 64);
    }
    set
}
