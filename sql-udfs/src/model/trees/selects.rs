//! Trees of at most 256 leaves as selections over columns of bytes, without a branch and without a walk.
//!
//! From the leaves up, every node selects for each of many rows the number of the leaf that its `yes` or its `no` side
//! arrives at. All rows do the same, so a processor does as many of them at once as bytes fit its registers, and a tree
//! of 63 nodes costs a row less than the few steps that it would walk. It knows nothing of what leaves are worth.

use std::collections::BTreeMap;

use super::ranks::{MISSING_CODE, Rank, Ranks};
use super::{Child, Split, Test, Tree, Trees};

/// The most leaves of a tree.
pub(super) const LEAVES_MAX: usize = 256;
/// Results that wait for others: the harder side of each node comes first, so they are at most the logarithm of the
/// leaves, and one for each further tree of a group.
const SLOTS: usize = 9 + GROUP - 1;
/// Trees whose leaves are looked up together.
pub(super) const GROUP: usize = 4;
/// Columns of members that are made for the next selection.
const MADE: usize = 3;
/// Ranges of codes up to which a set is compared and not looked up.
const RANGES_MAX: usize = 4;

/// A comparison: a value passes where it is at most the threshold.
#[derive(Debug, Clone, Copy)]
struct Cut<R> {
    column: u16,
    threshold: R,
}

/// A step of a tree. Results are in slots from the bottom of a stack on.
#[derive(Debug, Clone, Copy)]
enum Step<R> {
    /// Makes a column of what is in a set.
    Members { set: u32, codes: u16, made: u16 },
    /// A node above two leaves.
    Leaves { cut: Cut<R>, yes: R, no: R, slot: u8 },
    /// A node above two nodes above two leaves each.
    Four { cuts: [Cut<R>; 3], leaves: [R; 4], slot: u8 },
    /// A node whose `yes` is in the slot and whose `no` is a leaf.
    Yes { cut: Cut<R>, no: R, slot: u8 },
    /// A node whose `no` is in the slot and whose `yes` is a leaf.
    No { cut: Cut<R>, yes: R, slot: u8 },
    /// A node whose `yes` is in the slot and whose `no` is in the next.
    YesNo { cut: Cut<R>, slot: u8 },
    /// A node whose `no` is in the slot and whose `yes` is in the next.
    NoYes { cut: Cut<R>, slot: u8 },
}

/// Codes of texts.
#[derive(Debug, Clone, PartialEq)]
struct Set {
    members: [u64; 4],
    /// The ranges, both ends included; empty where they are too many.
    ranges: Vec<[u8; 2]>,
}

/// The steps of all trees.
#[derive(Debug)]
pub(super) struct Selects<R> {
    steps: Vec<Step<R>>,
    /// Where the steps of each tree end.
    ends: Vec<usize>,
    sets: Vec<Set>,
    /// The places of sets, with or without what is missing.
    known: BTreeMap<(Vec<u8>, bool), u32>,
    columns: usize,
}

/// Room for one block of rows.
#[derive(Debug)]
pub(super) struct Room<R, const N: usize> {
    /// The columns of ranks, then those that steps make.
    pub columns: Vec<[R; N]>,
    slots: [[R; N]; SLOTS],
}

impl<R: Rank> Selects<R> {
    /// Compiles the trees; `None` where a tree has too many leaves or a rank is too great.
    pub fn new(trees: &Trees, ranks: &Ranks) -> Option<Self> {
        let fits = trees.trees.iter().all(|tree| tree.leaf_rows.len() <= LEAVES_MAX);
        let columns = ranks.columns();
        if !fits || ranks.greatest() > R::GREATEST || columns + MADE > usize::from(u16::MAX) {
            return None;
        }
        let mut made =
            Selects { steps: Vec::new(), ends: Vec::new(), sets: Vec::new(), known: BTreeMap::new(), columns };
        for tree in &trees.trees {
            made.add(tree, ranks)?;
            made.ends.push(made.steps.len());
        }
        Some(made)
    }

    /// Room for blocks of `N` rows.
    pub fn room<const N: usize>(&self) -> Room<R, N> {
        Room { columns: vec![[R::default(); N]; self.columns + MADE], slots: [[R::default(); N]; SLOTS] }
    }

    /// The number of trees.
    pub fn trees(&self) -> usize {
        self.ends.len()
    }

    fn add(&mut self, tree: &Tree, ranks: &Ranks) -> Option<()> {
        if tree.splits.is_empty() {
            let cut = Cut { column: 0, threshold: R::default() };
            // A tree that is one leaf selects it whatever any column has; there is one, if only of made members.
            self.steps.push(Step::Leaves { cut, yes: R::of_leaf(0), no: R::of_leaf(0), slot: 0 });
            return Some(());
        }
        let needs = needs(tree);
        // The nodes in an order in which both sides come before a node; a side that needs more slots first.
        let mut order: Vec<(usize, u8)> = Vec::with_capacity(tree.splits.len());
        let mut waiting = vec![(0_usize, 0_u8)];
        while let Some((node, slot)) = waiting.pop() {
            order.push((node, slot));
            let split = &tree.splits[node];
            if self.is_four(tree, split) {
                continue;
            }
            match (split.yes, split.no) {
                (Child::Node(yes), Child::Node(no)) => {
                    let (first, second) = if needs[yes] >= needs[no] { (yes, no) } else { (no, yes) };
                    waiting.extend([(first, slot), (second, slot + 1)]);
                }
                (Child::Node(node), Child::Leaf(_)) | (Child::Leaf(_), Child::Node(node)) => {
                    waiting.push((node, slot));
                }
                (Child::Leaf(_), Child::Leaf(_)) => {}
            }
        }
        // Backwards the order is one in which a node follows its sides, and its second side directly the first's end.
        for (node, slot) in order.into_iter().rev() {
            let split = &tree.splits[node];
            let step = if self.is_four(tree, split) {
                self.four(tree, split, slot, ranks)?
            } else {
                let cut = self.cut(split, ranks, 0)?;
                let leaf = |number: usize| R::of_leaf(number as u8);
                match (split.yes, split.no) {
                    (Child::Leaf(yes), Child::Leaf(no)) => Step::Leaves { cut, yes: leaf(yes), no: leaf(no), slot },
                    (Child::Node(_), Child::Leaf(no)) => Step::Yes { cut, no: leaf(no), slot },
                    (Child::Leaf(yes), Child::Node(_)) => Step::No { cut, yes: leaf(yes), slot },
                    (Child::Node(yes), Child::Node(no)) if needs[yes] >= needs[no] => Step::YesNo { cut, slot },
                    (Child::Node(_), Child::Node(_)) => Step::NoYes { cut, slot },
                }
            };
            self.steps.push(step);
        }
        Some(())
    }

    /// Whether both sides of a node have nothing but leaves.
    fn is_four(&self, tree: &Tree, split: &Split) -> bool {
        let has_leaves = |child: Child| match child {
            Child::Leaf(_) => false,
            Child::Node(node) => {
                let split = &tree.splits[node];
                matches!((split.yes, split.no), (Child::Leaf(_), Child::Leaf(_)))
            }
        };
        has_leaves(split.yes) && has_leaves(split.no)
    }

    fn four(&mut self, tree: &Tree, split: &Split, slot: u8, ranks: &Ranks) -> Option<Step<R>> {
        let (Child::Node(yes), Child::Node(no)) = (split.yes, split.no) else { return None };
        let (yes, no) = (&tree.splits[yes], &tree.splits[no]);
        let leaf = |child: Child| match child {
            Child::Leaf(number) => Some(R::of_leaf(number as u8)),
            Child::Node(_) => None,
        };
        let leaves = [leaf(yes.yes)?, leaf(yes.no)?, leaf(no.yes)?, leaf(no.no)?];
        let cuts = [self.cut(split, ranks, 0)?, self.cut(yes, ranks, 1)?, self.cut(no, ranks, 2)?];
        Some(Step::Four { cuts, leaves, slot })
    }

    /// The comparison of a split; that of a set is made in the column of members number `made` first.
    fn cut(&mut self, split: &Split, ranks: &Ranks, made: usize) -> Option<Cut<R>> {
        match &split.test {
            Test::AtMost(threshold) => {
                let (column, rank) = ranks.place(split.feature, *threshold, split.missing_follows_yes)?;
                Some(Cut { column, threshold: R::of(rank) })
            }
            Test::AnyOf(codes) => {
                let next = u32::try_from(self.sets.len()).ok()?;
                let set = *self.known.entry((codes.clone(), split.missing_follows_yes)).or_insert(next);
                if set == next {
                    self.sets.push(Set::new(codes, split.missing_follows_yes));
                }
                let column = (self.columns + made) as u16;
                let codes = ranks.codes(split.feature)?;
                self.steps.push(Step::Members { set, codes, made: column });
                Some(Cut { column, threshold: R::of(0) })
            }
        }
    }

    /// The leaf of each row in each of some trees, in the first slots.
    #[inline(always)]
    pub fn run<'a, const N: usize>(
        &self,
        trees: std::ops::Range<usize>,
        room: &'a mut Room<R, N>,
    ) -> &'a [[R; N]; SLOTS] {
        let mut start = match trees.start {
            0 => 0,
            tree => self.ends[tree - 1],
        };
        for (base, end) in self.ends[trees].iter().enumerate() {
            let slots = &mut room.slots[base..];
            for step in &self.steps[start..*end] {
                step.run(slots, &mut room.columns, &self.sets);
            }
            start = *end;
        }
        &room.slots
    }
}

impl<R: Rank> Step<R> {
    #[inline(always)]
    fn run<const N: usize>(&self, slots: &mut [[R; N]], columns: &mut [[R; N]], sets: &[Set]) {
        match self {
            Step::Members { set, codes, made } => {
                let (codes, made) = (columns[usize::from(*codes)], &mut columns[usize::from(*made)]);
                sets[*set as usize].fill(&codes, made);
            }
            Step::Leaves { cut, yes, no, slot } => {
                let values = &columns[usize::from(cut.column)];
                for (out, value) in slots[usize::from(*slot)].iter_mut().zip(values) {
                    *out = R::choose(*value > cut.threshold, [*no, *yes]);
                }
            }
            Step::Four { cuts: [root, yes, no], leaves, slot } => {
                let out = &mut slots[usize::from(*slot)];
                let of_root = &columns[usize::from(root.column)];
                let of_yes = &columns[usize::from(yes.column)];
                let of_no = &columns[usize::from(no.column)];
                for i in 0..N {
                    let yes = R::choose(of_yes[i] > yes.threshold, [leaves[1], leaves[0]]);
                    let no = R::choose(of_no[i] > no.threshold, [leaves[3], leaves[2]]);
                    out[i] = R::choose(of_root[i] > root.threshold, [no, yes]);
                }
            }
            Step::Yes { cut, no, slot } => {
                let values = &columns[usize::from(cut.column)];
                for (out, value) in slots[usize::from(*slot)].iter_mut().zip(values) {
                    *out = R::choose(*value > cut.threshold, [*no, *out]);
                }
            }
            Step::No { cut, yes, slot } => {
                let values = &columns[usize::from(cut.column)];
                for (out, value) in slots[usize::from(*slot)].iter_mut().zip(values) {
                    *out = R::choose(*value > cut.threshold, [*out, *yes]);
                }
            }
            Step::YesNo { cut, slot } => {
                let values = &columns[usize::from(cut.column)];
                let [yes, no] = pair(slots, *slot);
                for i in 0..N {
                    yes[i] = R::choose(values[i] > cut.threshold, [no[i], yes[i]]);
                }
            }
            Step::NoYes { cut, slot } => {
                let values = &columns[usize::from(cut.column)];
                let [no, yes] = pair(slots, *slot);
                for i in 0..N {
                    no[i] = R::choose(values[i] > cut.threshold, [no[i], yes[i]]);
                }
            }
        }
    }
}

/// A slot and the next.
#[inline(always)]
fn pair<T>(slots: &mut [T], slot: u8) -> [&mut T; 2] {
    let (first, second) = slots.split_at_mut(usize::from(slot) + 1);
    [&mut first[usize::from(slot)], &mut second[0]]
}

/// For each node the slots that its part of the tree needs.
fn needs(tree: &Tree) -> Vec<u8> {
    let mut needs = vec![1_u8; tree.splits.len()];
    for (node, split) in tree.splits.iter().enumerate().rev() {
        let need = |child: Child| match child {
            Child::Node(node) => needs[node],
            Child::Leaf(_) => 0,
        };
        let (yes, no) = (need(split.yes), need(split.no));
        needs[node] = if yes == no { yes + 1 } else { yes.max(no) }.max(1);
    }
    needs
}

impl Set {
    fn new(codes: &[u8], missing_is_member: bool) -> Self {
        let missing = missing_is_member.then_some(MISSING_CODE as u8);
        let mut members = [0_u64; 4];
        for code in codes.iter().copied().chain(missing) {
            members[usize::from(code / 64)] |= 1 << (code % 64);
        }
        let mut ranges: Vec<[u8; 2]> = Vec::new();
        for code in codes.iter().copied().chain(missing) {
            match ranges.last_mut() {
                Some([_, end]) if usize::from(*end) + 1 == usize::from(code) => *end = code,
                _ => ranges.push([code, code]),
            }
        }
        if ranges.len() > RANGES_MAX {
            ranges.clear();
        }
        Set { members, ranges }
    }

    /// The least rank for members, the greatest for others.
    #[inline(always)]
    fn fill<R: Rank, const N: usize>(&self, codes: &[R; N], made: &mut [R; N]) {
        let (member, other) = (R::of(0), R::of(u8::MAX.into()));
        if self.ranges.is_empty() {
            for (made, code) in made.iter_mut().zip(codes) {
                let is_member = self.members[code.index() / 64 % 4] >> (code.index() % 64) & 1 == 1;
                *made = if is_member { member } else { other };
            }
            return;
        }
        made.fill(other);
        for [start, end] in &self.ranges {
            let (start, end) = (R::of(usize::from(*start)), R::of(usize::from(*end)));
            for (made, code) in made.iter_mut().zip(codes) {
                *made = R::choose((*code >= start) & (*code <= end), [member, *made]);
            }
        }
    }
}
