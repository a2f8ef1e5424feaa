//! A tree while it grows: its cuts in the order in which they were made, and where each leads.

use super::bins::{CODES, Column, MISSING, MISSING_BYTE};
use crate::limits::{ARTIFACT_BYTES_MAX, TREE_NODES_MAX};
use crate::model::trees::{Child, Split, Test, Tree};
use crate::{Error, Result};

/// A set of codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Codes {
    known: Known,
    /// Whether [`MISSING`] is among them.
    pub missing: bool,
}

/// A set of codes, without [`MISSING`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Those of numbers from 0 to this one.
    UpTo(u16),
    /// Those of texts whose bit is 1.
    Texts([u64; 4]),
}

impl Default for Known {
    fn default() -> Self {
        Known::Texts([0; 4])
    }
}

impl Codes {
    /// The codes of numbers from 0 to this one, and [`MISSING`] or not.
    pub fn up_to(last: u16, missing: bool) -> Self {
        Codes { known: Known::UpTo(last), missing }
    }

    /// The codes of some texts, or [`MISSING`] among them.
    pub fn of_texts(codes: impl IntoIterator<Item = u16>) -> Self {
        let (mut texts, mut missing) = ([0; 4], false);
        for code in codes {
            match code {
                MISSING => missing = true,
                code => texts[usize::from(code >> 6) & 3] |= 1 << (code & 63),
            }
        }
        Codes { known: Known::Texts(texts), missing }
    }

    /// Whether a code is in it.
    pub fn contains(&self, code: u16) -> bool {
        match (self.known, code) {
            (_, MISSING) => self.missing,
            (Known::UpTo(last), _) => code <= last,
            (Known::Texts(texts), _) => texts[usize::from(code >> 6) & 3] >> (code & 63) & 1 == 1,
        }
    }

    /// The codes, or, where only [`MISSING`] is among them, all others of those that are present: a test names texts.
    pub fn naming_texts(self, present: impl IntoIterator<Item = u16>) -> Self {
        match self.known == Known::default() {
            true => Codes::of_texts(present.into_iter().filter(|code| *code != MISSING)),
            false => self,
        }
    }

    /// A table with `true` for each byte that stands for a code in it.
    pub fn table(&self) -> [bool; CODES] {
        std::array::from_fn(|code| match code == usize::from(MISSING_BYTE) {
            true => self.missing,
            false => self.contains(code as u16),
        })
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
            true => Test::AnyOf((0..MISSING_BYTE).filter(|code| self.yes.contains(u16::from(*code))).collect()),
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
                    let yes = cut.yes.contains(columns[cut.feature].code(row));
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
            missing_follows_yes: cut.yes.missing,
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
    use super::super::bins::Fineness;
    use super::*;

    #[test]
    fn sets_of_codes() {
        let found = |codes: Codes| (0..CODES).filter(|code| codes.table()[*code]).collect::<Vec<_>>();
        assert_eq!(found(Codes::up_to(70, true)), (0..=70).chain([255]).collect::<Vec<_>>());
        assert_eq!(found(Codes::up_to(4000, false)), (0..=254).collect::<Vec<_>>());
        assert_eq!(found(Codes::of_texts([3, 254, MISSING, 64])), [3, 64, 254, 255]);
        let many = Codes::up_to(4000, false);
        assert_eq!([4000, 4001, MISSING].map(|code| many.contains(code)), [true, false, false]);
        // What is missing alone is named by all others.
        let missing = Codes::of_texts([MISSING]);
        assert_eq!(found(missing.naming_texts([1, 5, MISSING])), [1, 5]);
        assert_eq!(found(Codes::of_texts([5]).naming_texts([1, 5, MISSING])), [5]);
    }

    #[test]
    fn a_draft_leads_rows_to_leaves_and_becomes_a_tree() {
        let columns = [(&[1.0, 2.0, f64::NAN], 0), (&[0.0, 1.0, 2.0], 3)]
            .map(|(values, texts): (&[f64; 3], usize)| Column::new(values, texts, Fineness::of(255)));
        let mut draft = Draft::default();
        let cut = |feature, yes, threshold| Cut { feature, yes, threshold, gain: 2.0 };
        let texts = Codes::of_texts([1, 2]);
        let root = draft.cut(None, cut(1, texts, 0.0), 3).unwrap();
        draft.leaf(Some((root, false)), &[7.0], 1);
        let below = draft.cut(Some((root, true)), cut(0, Codes::up_to(1, false), 1.5), 2).unwrap();
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
