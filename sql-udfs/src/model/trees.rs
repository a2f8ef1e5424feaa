//! Trees that are summed up: decision trees, forests, boosting and isolation forests, after they are fitted.
//!
//! A tree compares one design column at a time down to a leaf; the numbers of the leaves are added up over trees, and a
//! last step makes a prediction of the sums. It knows nothing of how trees grow.

mod graph;
mod prune;
mod ranks;
mod scorer;
mod selects;
mod walks;

pub(crate) use scorer::Scorer;

use super::contents::{Node, Question};
use super::design::Design;
use super::kernel::Kernel;
use super::linear::{logistic_pair, softmax};
use super::onnx::builder::GraphBuilder;
use super::onnx::view::GraphView;
use super::signature::Signature;
use crate::limits::{CATEGORIES_MAX, TREE_DEPTH_MAX, TREE_NODES_MAX};
use crate::{Error, Result};

/// Where a branch leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// Another comparison, by number, which is greater than that of the node above it.
    Node(usize),
    /// A leaf, by number.
    Leaf(usize),
}

/// What a node asks of its column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    /// Whether the value is at most this one, which is not NaN and may be infinite.
    AtMost(f64),
    /// Whether the value is one of these codes of texts: at least one, ascending, below [`CATEGORIES_MAX`].
    AnyOf(Vec<u8>),
}

/// A comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Split {
    /// The design column that is compared.
    pub feature: usize,
    /// What is asked.
    pub test: Test,
    /// Whether a missing value follows `yes`.
    pub missing_follows_yes: bool,
    /// The branch for values that pass the test.
    pub yes: Child,
    /// The branch for others.
    pub no: Child,
    /// The training rows that came here.
    pub rows: u64,
    /// By how much the split lowered what was minimised.
    pub gain: f64,
}

/// One tree. The root is the first split; a tree without splits is its only leaf.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tree {
    /// The comparisons.
    pub splits: Vec<Split>,
    /// The numbers of each leaf: one, or one for each sum.
    pub leaves: Vec<f64>,
    /// The training rows in each leaf.
    pub leaf_rows: Vec<u64>,
}

/// What is made of the sums over trees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Finish {
    /// They are the prediction.
    Sum,
    /// They are divided by the number of trees: a forest's prediction, or its probabilities.
    Mean,
    /// The one sum is the log-odds of the second of two classes.
    Logistic,
    /// The sums are made into probabilities by softmax.
    Softmax,
    /// The one sum is the logarithm of the prediction.
    Exp,
    /// The one sum over trees is of path lengths: the anomaly score is `2 ^ (-mean / expected)`, and a row is an anomaly
    /// (-1) where it is above `threshold`, and 1 otherwise.
    Isolation { expected: f64, threshold: f64 },
}

/// Fitted trees.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trees {
    /// The trees. Where leaves have one number and there are several sums, tree `t` adds to the sum `t % sums`.
    pub trees: Vec<Tree>,
    /// Numbers of a leaf: 1, or the number of sums.
    pub leaf_width: usize,
    /// What each sum begins with.
    pub base: Vec<f64>,
    /// What is made of the sums.
    pub finish: Finish,
}

impl Trees {
    /// Checks trees over so many design columns.
    pub(crate) fn new(
        trees: Vec<Tree>,
        leaf_width: usize,
        base: Vec<f64>,
        finish: Finish,
        columns: usize,
    ) -> Result<Self> {
        let made = Trees { trees, leaf_width, base, finish };
        made.check(columns)?;
        Ok(made)
    }

    fn check(&self, columns: usize) -> Result<()> {
        let malformed = |what: String| Err(Error::input(format!("malformed model: {what}")));
        let (sums, width) = (self.base.len(), self.leaf_width);
        if sums == 0 || (width != 1 && width != sums) || self.trees.is_empty() {
            return malformed(format!("expected trees with leaves of 1 or {sums} numbers, found {width}"));
        }
        let one_sum = match self.finish {
            Finish::Sum | Finish::Mean | Finish::Softmax => true,
            Finish::Logistic | Finish::Exp => sums == 1,
            Finish::Isolation { expected, threshold } => sums == 1 && expected > 0.0 && !threshold.is_nan(),
        };
        if !one_sum {
            return malformed(format!("expected one sum for this kind of trees, found {sums}"));
        }
        for tree in &self.trees {
            let leaves = tree.leaves.len() / width;
            if leaves == 0 || leaves > TREE_NODES_MAX || leaves * width != tree.leaves.len() {
                return malformed(format!("expected a tree of 1 to {TREE_NODES_MAX} leaves, found {leaves}"));
            }
            if tree.splits.len() + 1 != leaves || tree.leaf_rows.len() != leaves {
                return malformed(format!("expected {leaves} leaves from {} splits", tree.splits.len()));
            }
            let mut depth = vec![0_usize; tree.splits.len()];
            let mut parents = vec![0_u8; tree.splits.len() + leaves];
            for (number, split) in tree.splits.iter().enumerate() {
                let fits = match &split.test {
                    Test::AtMost(threshold) => !threshold.is_nan(),
                    Test::AnyOf(codes) => {
                        let known = codes.last().is_some_and(|last| usize::from(*last) < CATEGORIES_MAX);
                        known && codes.is_sorted_by(|a, b| a < b)
                    }
                };
                if !fits || split.feature >= columns || depth[number] >= TREE_DEPTH_MAX {
                    return malformed(format!("a tree's node {number} leads nowhere"));
                }
                for child in [split.yes, split.no] {
                    let place = match child {
                        Child::Node(next) if next > number && next < tree.splits.len() => {
                            depth[next] = depth[number] + 1;
                            next
                        }
                        Child::Leaf(leaf) if leaf < leaves => tree.splits.len() + leaf,
                        _ => return malformed(format!("a tree's node {number} leads nowhere")),
                    };
                    parents[place] += 1;
                    if parents[place] > 1 {
                        return malformed("a tree's node has two parents".to_owned());
                    }
                }
            }
        }
        Ok(())
    }

    /// The leaf of one row, by plain steps: what every faster way must agree with.
    pub(crate) fn leaf(tree: &Tree, row: &dyn Fn(usize) -> f64) -> usize {
        let mut at = if tree.splits.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
        loop {
            match at {
                Child::Leaf(leaf) => return leaf,
                Child::Node(node) => {
                    let split = &tree.splits[node];
                    let value = row(split.feature);
                    let yes = match &split.test {
                        _ if value.is_nan() => split.missing_follows_yes,
                        Test::AtMost(threshold) => value <= *threshold,
                        Test::AnyOf(codes) => codes.iter().any(|code| f64::from(*code) == value),
                    };
                    at = if yes { split.yes } else { split.no };
                }
            }
        }
    }

    /// Adds the numbers of a leaf of the tree number `tree` to one row's sums.
    #[inline(always)]
    pub(crate) fn add_leaf(&self, tree: usize, leaf: &[f64], sums: &mut [f64]) {
        match (leaf, sums.len()) {
            ([number], count) => sums[tree % count] += number,
            _ => sums.iter_mut().zip(leaf).for_each(|(sum, part)| *sum += part),
        }
    }

    /// Makes numbers of one row's sums.
    pub(crate) fn finish(&self, sums: &mut [f64], out: &mut [f64]) {
        match self.finish {
            Finish::Sum => out.copy_from_slice(sums),
            Finish::Mean => {
                let trees = self.trees.len() as f64;
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum / trees);
            }
            Finish::Logistic => out.copy_from_slice(&logistic_pair(sums[0])),
            Finish::Softmax => {
                softmax(sums);
                out.copy_from_slice(sums);
            }
            Finish::Exp => out[0] = libm::exp(sums[0]),
            Finish::Isolation { expected, threshold } => {
                let score = libm::exp2(-sums[0] / self.trees.len() as f64 / expected);
                out.copy_from_slice(&[if score > threshold { -1.0 } else { 1.0 }, score]);
            }
        }
    }
}

/// Reads trees, ready to score.
pub(crate) fn scorer(view: &GraphView<'_>, signature: &Signature) -> Result<Box<dyn Kernel>> {
    let columns = Design::new(&signature.features).width();
    Ok(Box::new(Scorer::new(graph::read(view, signature)?, columns)))
}

/// The kernel's kind.
pub(crate) const KIND: &str = "trees";

impl Tree {
    /// The tree as nodes: the splits, then the leaves.
    fn nodes(&self, leaf_width: usize) -> Vec<Node> {
        let place = |child: Child| match child {
            Child::Node(node) => node,
            Child::Leaf(leaf) => self.splits.len() + leaf,
        };
        let splits = self.splits.iter().map(|split| {
            let (threshold, codes) = match &split.test {
                Test::AtMost(threshold) => (Some(*threshold), None),
                Test::AnyOf(codes) => (None, Some(codes.clone())),
            };
            let question = Question {
                column: split.feature,
                threshold,
                codes,
                missing_is_yes: split.missing_follows_yes,
                yes: place(split.yes),
                no: place(split.no),
                gain: Some(split.gain),
            };
            Node { question: Some(question), values: Vec::new(), rows: Some(split.rows) }
        });
        let leaves = self.leaves.chunks(leaf_width.max(1)).enumerate().map(|(leaf, values)| Node {
            question: None,
            values: values.to_vec(),
            rows: self.leaf_rows.get(leaf).copied(),
        });
        splits.chain(leaves).collect()
    }
}

impl Kernel for Trees {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        match self.finish {
            Finish::Sum | Finish::Mean | Finish::Softmax => self.base.len(),
            Finish::Logistic | Finish::Isolation { .. } => 2,
            Finish::Exp => 1,
        }
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        let sums_per_row = self.base.len();
        let mut sums = self.base.clone();
        for (row, out) in out.chunks_exact_mut(self.width()).enumerate() {
            sums.copy_from_slice(&self.base);
            for (number, tree) in self.trees.iter().enumerate() {
                let leaf = Self::leaf(tree, &|column| columns[column][row]) * self.leaf_width;
                if self.leaf_width == 1 {
                    sums[number % sums_per_row] += tree.leaves[leaf];
                } else {
                    let leaf = &tree.leaves[leaf..leaf + self.leaf_width];
                    sums.iter_mut().zip(leaf).for_each(|(sum, part)| *sum += part);
                }
            }
            self.finish(&mut sums, out);
        }
    }

    fn trees(&self) -> Option<Vec<Vec<Node>>> {
        Some(self.trees.iter().map(|tree| tree.nodes(self.leaf_width)).collect())
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        graph::write(self, signature, graph);
    }
}

#[cfg(test)]
mod tests;
