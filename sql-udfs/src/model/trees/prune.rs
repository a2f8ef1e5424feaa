//! Trees without the branches that rows of known ranges never take.
//!
//! The trees stay as many and in their order, so that the same leaves are added up in the same order as before.

use super::{Child, Split, Test, Tree, Trees};
use crate::model::kernel::ColumnRange;

/// The same trees for rows within the ranges; `None` where every branch can be taken.
pub(super) fn prune(model: &Trees, ranges: &[ColumnRange]) -> Option<Trees> {
    let trees: Vec<Tree> = model.trees.iter().map(|tree| prune_tree(tree, model.leaf_width, ranges)).collect();
    let fewer = trees.iter().zip(&model.trees).any(|(new, old)| new.splits.len() < old.splits.len());
    fewer.then(|| Trees { trees, base: model.base.clone(), ..*model })
}

fn prune_tree(tree: &Tree, width: usize, ranges: &[ColumnRange]) -> Tree {
    let mut made = Tree::default();
    let root = if tree.splits.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
    // Branches that are still to be copied, with the new node that leads there and whether as its `yes`.
    let mut waiting: Vec<(Child, Option<(usize, bool)>)> = vec![(root, None)];
    while let Some((child, parent)) = waiting.pop() {
        let copied = match taken(tree, child, ranges) {
            Child::Leaf(leaf) => {
                made.leaf_rows.push(tree.leaf_rows[leaf]);
                made.leaves.extend_from_slice(&tree.leaves[leaf * width..(leaf + 1) * width]);
                Child::Leaf(made.leaf_rows.len() - 1)
            }
            Child::Node(node) => {
                let split = &tree.splits[node];
                let number = made.splits.len();
                waiting.extend([(split.yes, Some((number, true))), (split.no, Some((number, false)))]);
                made.splits.push(split.clone());
                Child::Node(number)
            }
        };
        match parent {
            Some((node, true)) => made.splits[node].yes = copied,
            Some((node, false)) => made.splits[node].no = copied,
            None => {}
        }
    }
    made
}

/// The first leaf, or node that rows may leave by both branches, on the way down from here.
fn taken(tree: &Tree, from: Child, ranges: &[ColumnRange]) -> Child {
    let mut at = from;
    while let Child::Node(node) = at {
        let split = &tree.splits[node];
        match ranges.get(split.feature).map_or((true, true), |range| branches(split, range)) {
            (true, true) => break,
            (false, true) => at = split.no,
            // Where no value is possible there are no rows, which may as well go this way.
            (_, false) => at = split.yes,
        }
    }
    at
}

/// Whether values of the range may follow `yes`, and whether they may follow `no`.
fn branches(split: &Split, range: &ColumnRange) -> (bool, bool) {
    let (some_pass, some_fail) = match &split.test {
        _ if range.low > range.high => (false, false),
        Test::AtMost(threshold) => (range.low <= *threshold, range.high > *threshold),
        Test::AnyOf(codes) => {
            let has = |code: f64| codes.iter().any(|known| f64::from(*known) == code);
            match &range.codes {
                Some(possible) => (possible.iter().any(|code| has(*code)), possible.iter().any(|code| !has(*code))),
                None if range.low == range.high => (has(range.low), !has(range.low)),
                None => (true, true),
            }
        }
    };
    let missing = |follows: bool| range.missing && follows;
    (some_pass || missing(split.missing_follows_yes), some_fail || missing(!split.missing_follows_yes))
}
