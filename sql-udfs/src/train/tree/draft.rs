//! A tree while it grows: its cuts in the order in which they were made, and where each leads.

use super::bins::{BINS_MAX, Column, MISSING};
use crate::limits::{ARTIFACT_BYTES_MAX, TREE_NODES_MAX};
use crate::model::trees::{Child, Split, Test, Tree};
use crate::{Error, Result};

/// A set of codes, [`MISSING`] among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Codes([u64; 4]);

impl Codes {
    /// The codes from 0 to this one.
    pub fn up_to(last: u8) -> Self {
        let mut codes = Codes::default();
        (0..=last).for_each(|code| codes.insert(code));
        codes
    }

    /// Adds a code.
    pub fn insert(&mut self, code: u8) {
        self.0[usize::from(code >> 6)] |= 1 << (code & 63);
    }

    /// Whether a code is in it.
    pub fn contains(&self, code: u8) -> bool {
        self.0[usize::from(code >> 6)] >> (code & 63) & 1 == 1
    }

    /// A table with `true` for each code in it.
    pub fn table(&self) -> [bool; BINS_MAX + 1] {
        std::array::from_fn(|code| self.contains(code as u8))
    }
}

/// A cut of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cut {
    pub feature: usize,
    /// The codes whose rows follow `yes`.
    pub yes: Codes,
    /// The greatest value that follows `yes`; for texts nothing.
    pub threshold: f64,
    /// By how much it lowers what is minimised, in the units of the search.
    pub gain: f64,
}

impl Cut {
    fn test(&self, column: &Column) -> Test {
        match column.is_categorical() {
            false => Test::AtMost(self.threshold),
            true => Test::AnyOf((0..MISSING).filter(|code| self.yes.contains(*code)).collect()),
        }
    }
}

/// The place of a node under its parent: the parent's number, and whether it is the `yes` side.
pub(crate) type Place = Option<(usize, bool)>;

/// A tree that is not finished.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The cuts, a node's before its children's.
    pub cuts: Vec<Cut>,
    rows: Vec<u64>,
    children: Vec<[Child; 2]>,
    /// The numbers of leaves.
    pub leaves: Vec<f64>,
    leaf_rows: Vec<u64>,
}

/// Bytes that a node takes in the artifact, about.
const NODE_BYTES: usize = 60;

impl Draft {
    /// Adds a node; gives its number.
    pub fn cut(&mut self, place: Place, cut: Cut, rows: usize) -> Result<usize> {
        if self.cuts.len() >= TREE_NODES_MAX - 1 {
            return Err(too_large(format!("a tree has more than {TREE_NODES_MAX} nodes")));
        }
        let number = self.cuts.len();
        self.attach(place, Child::Node(number));
        self.cuts.push(cut);
        self.rows.push(rows as u64);
        self.children.push([Child::Leaf(0); 2]);
        Ok(number)
    }

    /// Adds a leaf with its numbers; gives which leaf it is.
    pub fn leaf(&mut self, place: Place, values: &[f64], rows: usize) -> usize {
        let number = self.leaf_rows.len();
        self.attach(place, Child::Leaf(number));
        self.leaves.extend(values);
        self.leaf_rows.push(rows as u64);
        number
    }

    fn attach(&mut self, place: Place, child: Child) {
        if let Some((parent, yes)) = place {
            self.children[parent][usize::from(!yes)] = child;
        }
    }

    /// The number of leaves.
    pub fn leaf_count(&self) -> usize {
        self.leaf_rows.len()
    }

    /// The leaf that a row of bins comes to.
    pub fn walk(&self, columns: &[Column], row: usize) -> usize {
        let mut at = if self.cuts.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
        loop {
            match at {
                Child::Leaf(leaf) => return leaf,
                Child::Node(node) => {
                    let cut = &self.cuts[node];
                    let yes = cut.yes.contains(columns[cut.feature].codes[row]);
                    at = self.children[node][usize::from(!yes)];
                }
            }
        }
    }

    /// Comparisons on the longest path.
    pub fn depth(&self) -> usize {
        let mut depths = vec![1; self.cuts.len()];
        for (node, children) in self.children.iter().enumerate() {
            for child in children {
                if let Child::Node(child) = child {
                    depths[*child] = depths[node] + 1;
                }
            }
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// The tree; gains are multiplied by a factor.
    pub fn finish(self, columns: &[Column], gain_factor: f64) -> Tree {
        let nodes = self.cuts.iter().zip(&self.rows).zip(&self.children);
        let split = |((cut, rows), [yes, no]): ((&Cut, &u64), &[Child; 2])| Split {
            feature: cut.feature,
            test: cut.test(&columns[cut.feature]),
            missing_follows_yes: cut.yes.contains(MISSING),
            yes: *yes,
            no: *no,
            rows: *rows,
            gain: (cut.gain * gain_factor).clamp(0.0, f64::MAX),
        };
        Tree { splits: nodes.map(split).collect(), leaves: self.leaves, leaf_rows: self.leaf_rows }
    }
}

/// Fails where trees with so many nodes would make too large an artifact.
pub(crate) fn check_size(nodes: usize, leaf_width: usize) -> Result<()> {
    let bytes = nodes.saturating_mul(NODE_BYTES + leaf_width * size_of::<f64>());
    match bytes <= ARTIFACT_BYTES_MAX {
        true => Ok(()),
        false => Err(too_large(format!("{nodes} nodes of trees are more than an artifact may hold"))),
    }
}

fn too_large(what: String) -> Error {
    Error::exhausted(what).with_hint("grow smaller trees: with max_depth, max_leaf_nodes or a larger min_samples_leaf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_codes() {
        let mut codes = Codes::up_to(70);
        codes.insert(MISSING);
        let table = codes.table();
        let found: Vec<usize> = (0..256).filter(|code| table[*code]).collect();
        assert_eq!(found, (0..=70).chain([255]).collect::<Vec<_>>());
        assert!(Codes::up_to(255).table().iter().all(|code| *code));
    }

    #[test]
    fn a_draft_leads_rows_to_leaves_and_becomes_a_tree() {
        let columns = [Column::new(&[1.0, 2.0, f64::NAN], 0, 255), Column::new(&[0.0, 1.0, 2.0], 3, 255)];
        let mut draft = Draft::default();
        let cut = |feature, yes, threshold| Cut { feature, yes, threshold, gain: 2.0 };
        let mut texts = Codes::default();
        [1, 2].into_iter().for_each(|code| texts.insert(code));
        let root = draft.cut(None, cut(1, texts, 0.0), 3).unwrap();
        draft.leaf(Some((root, false)), &[7.0], 1);
        let below = draft.cut(Some((root, true)), cut(0, Codes::up_to(1), 1.5), 2).unwrap();
        draft.leaf(Some((below, true)), &[8.0], 1);
        draft.leaf(Some((below, false)), &[9.0], 1);
        assert_eq!([0, 1, 2].map(|row| draft.walk(&columns, row)), [0, 1, 2]);
        assert_eq!((draft.depth(), draft.leaf_count()), (2, 3));
        let tree = draft.finish(&columns, 0.5);
        assert_eq!(tree.splits[0].test, Test::AnyOf(vec![1, 2]));
        assert_eq!((tree.splits[1].test.clone(), tree.splits[1].gain), (Test::AtMost(1.5), 1.0));
        assert_eq!((tree.splits[0].yes, tree.splits[0].no), (Child::Node(1), Child::Leaf(0)));
        assert_eq!(tree.leaf_rows, [1, 1, 1]);
    }
}
