//! Trees with the way by which they are scored, chosen once when a model is read.
//!
//! Trees of few leaves are scored by [`Selects`], others by [`Walks`]; both compare ranks (see [`super::ranks`]). A few rows,
//! for which filling blocks is not worth it, take plain steps. All ways add the same leaves in the same order, so they
//! give the same bits.

use std::sync::OnceLock;

use super::direct::Direct;
use super::prune::prune;
use super::ranks::{Rank, Ranks};
use super::selects::{GROUP, LEAVES_MAX, Room, Selects};
use super::walks::Walks;
use super::{Finish, KIND, Trees};
use crate::model::contents::Node;
use crate::model::kernel::{ColumnRange, Kernel};
use crate::model::lanes::{self, Job};
use crate::model::onnx::builder::GraphBuilder;
use crate::model::signature::Signature;

/// Rows that are scored at once: their ranks and the results on the way to a leaf stay in the first-level cache.
const ROWS: usize = 512;
/// The same where there are few.
const FEW_ROWS: usize = 64;
/// Rows up to which plain steps are faster than filling a block.
const PLAIN_ROWS: usize = 3;
/// Leaves of a tiny tree, whose numbers are a table of this length.
const TINY: usize = 16;
/// Leaves of a small tree.
const SMALL: usize = 64;
/// Bytes that tables of leaves may take; more trees are walked.
const TABLES_MAX: usize = 64 << 20;

/// Fitted trees, ready to score.
#[derive(Debug)]
pub(crate) struct Scorer {
    trees: Trees,
    /// Design columns.
    columns: usize,
    /// Made when rows are first scored: of a thousand models of groups a query may need one.
    program: OnceLock<Program>,
}

#[derive(Debug)]
enum Program {
    /// A few small trees over many columns of numbers.
    Direct(Direct),
    /// Trees of at most 16 leaves and features of at most 255 thresholds.
    Tiny(Ranks, Selects<i8>, Leaves<TINY>),
    /// Trees of at most 64 leaves and features of at most 255 thresholds.
    Small(Ranks, Selects<i8>, Leaves<SMALL>),
    /// Trees of at most 256 leaves and features of at most 255 thresholds.
    Medium(Ranks, Selects<i8>, Leaves<LEAVES_MAX>),
    /// Trees of at most 256 leaves and features of at most 65 535 thresholds.
    Fine(Ranks, Selects<i16>, Leaves<LEAVES_MAX>),
    Walked(Ranks, Walks),
    Plain,
}

/// The numbers of all leaves where each has one: a table for each tree.
#[derive(Debug)]
struct Leaves<const L: usize>(Vec<[f64; L]>);

impl<const L: usize> Leaves<L> {
    /// `None` where a tree has more leaves than the table, or all tables together are too large.
    fn new(trees: &Trees) -> Option<Self> {
        if trees.leaf_width != 1 {
            return Some(Leaves(Vec::new()));
        }
        let too_many = trees.trees.len() * L * size_of::<f64>() > TABLES_MAX;
        if too_many || trees.trees.iter().any(|tree| tree.leaves.len() > L) {
            return None;
        }
        let table = |leaves: &Vec<f64>| {
            let mut table = [0.0; L];
            table[..leaves.len()].copy_from_slice(leaves);
            table
        };
        Some(Leaves(trees.trees.iter().map(|tree| table(&tree.leaves)).collect()))
    }
}

impl Program {
    fn new(trees: &Trees) -> Self {
        if let Some(direct) = Direct::new(trees) {
            return Program::Direct(direct);
        }
        let Some(ranks) = Ranks::new(trees) else { return Program::Plain };
        let most = trees.trees.iter().map(|tree| tree.leaf_rows.len()).max().unwrap_or_default();
        if most <= TINY
            && let (Some(selects), Some(leaves)) = (Selects::new(trees, &ranks), Leaves::new(trees))
        {
            return Program::Tiny(ranks, selects, leaves);
        }
        if most <= SMALL
            && let (Some(selects), Some(leaves)) = (Selects::new(trees, &ranks), Leaves::new(trees))
        {
            return Program::Small(ranks, selects, leaves);
        }
        if let (Some(selects), Some(leaves)) = (Selects::new(trees, &ranks), Leaves::new(trees)) {
            return Program::Medium(ranks, selects, leaves);
        }
        if let (Some(selects), Some(leaves)) = (Selects::new(trees, &ranks), Leaves::new(trees)) {
            return Program::Fine(ranks, selects, leaves);
        }
        match Walks::new(trees, &ranks) {
            Some(walks) => Program::Walked(ranks, walks),
            None => Program::Plain,
        }
    }
}

impl Scorer {
    /// Trees that were checked for so many design columns.
    pub fn new(trees: Trees, columns: usize) -> Self {
        Scorer { program: OnceLock::new(), trees, columns }
    }

    fn program(&self) -> &Program {
        self.program.get_or_init(|| Program::new(&self.trees))
    }

    fn plainly(&self, columns: &[&[f64]], start: usize, out: &mut [f64]) {
        let width = self.trees.leaf_width;
        for (row, out) in out.chunks_exact_mut(self.trees.width()).enumerate() {
            let mut sums = self.trees.base.clone();
            for (number, tree) in self.trees.trees.iter().enumerate() {
                let leaf = Trees::leaf(tree, &|column| columns[column][start + row]) * width;
                self.trees.add_leaf(number, &tree.leaves[leaf..leaf + width], &mut sums);
            }
            self.trees.finish(&mut sums, out);
        }
    }

    /// Scores in blocks of `ROWS`, then in blocks of `FEW_ROWS`, then plainly.
    fn in_blocks(&self, columns: &[&[f64]], out: &mut [f64], score: impl Fn(usize, &mut [f64], bool)) {
        let width = self.trees.width();
        let rows = out.len() / width;
        let mut start = 0;
        while start < rows {
            let left = rows - start;
            let count = left.min(if left > ROWS / 2 { ROWS } else { FEW_ROWS });
            let out = &mut out[start * width..(start + count) * width];
            match count <= PLAIN_ROWS {
                true => self.plainly(columns, start, out),
                false => score(start, out, count > FEW_ROWS),
            }
            start += count;
        }
    }

    fn select<R: Rank, const L: usize>(
        &self,
        (ranks, selects, leaves): (&Ranks, &Selects<R>, &Leaves<L>),
        columns: &[&[f64]],
        out: &mut [f64],
    ) {
        let trees = &self.trees;
        self.in_blocks(columns, out, |start, out, many| match many {
            true => lanes::run(Block::<R, L, ROWS> { trees, ranks, selects, leaves, columns, start, out }),
            false => lanes::run(Block::<R, L, FEW_ROWS> { trees, ranks, selects, leaves, columns, start, out }),
        });
    }
}

/// Some rows that are scored by selections.
struct Block<'a, R, const L: usize, const N: usize> {
    trees: &'a Trees,
    ranks: &'a Ranks,
    selects: &'a Selects<R>,
    leaves: &'a Leaves<L>,
    columns: &'a [&'a [f64]],
    start: usize,
    out: &'a mut [f64],
}

impl<R: Rank, const L: usize, const N: usize> Job for Block<'_, R, L, N> {
    #[inline(always)]
    fn run(self) {
        let rows = self.out.len() / self.trees.width();
        let mut room: Room<R, N> = self.selects.room();
        self.ranks.fill(self.columns, self.start, rows, &mut room.columns);
        match (self.trees.leaf_width, self.trees.base.as_slice()) {
            (1, [base]) => self.one_sum(*base, &mut room),
            (1, _) => self.sums(&mut room),
            _ => self.rows(rows, &mut room),
        }
    }
}

impl<R: Rank, const L: usize, const N: usize> Block<'_, R, L, N> {
    #[inline(always)]
    fn one_sum(self, base: f64, room: &mut Room<R, N>) {
        let mut sums = [base; N];
        let count = self.selects.trees();
        let mut tree = 0;
        while tree + GROUP <= count {
            let slots = self.selects.run(tree..tree + GROUP, room);
            let tables = &self.leaves.0[tree..tree + GROUP];
            for i in 0..N {
                let mut sum = sums[i];
                for member in 0..GROUP {
                    sum += tables[member][usize::from(slots[member][i].leaf()) % L];
                }
                sums[i] = sum;
            }
            tree += GROUP;
        }
        while tree < count {
            let slots = self.selects.run(tree..tree + 1, room);
            add(&self.leaves.0[tree], &slots[0], &mut sums);
            tree += 1;
        }
        let width = self.trees.width();
        if self.trees.finish == Finish::Sum {
            self.out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = *sum);
            return;
        }
        for (out, sum) in self.out.chunks_exact_mut(width).zip(&sums) {
            self.trees.finish(&mut [*sum], out);
        }
    }

    #[inline(always)]
    fn sums(self, room: &mut Room<R, N>) {
        let mut sums: Vec<[f64; N]> = self.trees.base.iter().map(|base| [*base; N]).collect();
        let count = sums.len();
        for tree in 0..self.selects.trees() {
            let slots = self.selects.run(tree..tree + 1, room);
            add(&self.leaves.0[tree], &slots[0], &mut sums[tree % count]);
        }
        let mut row_sums = vec![0.0; count];
        for (row, out) in self.out.chunks_exact_mut(self.trees.width()).enumerate() {
            row_sums.iter_mut().zip(&sums).for_each(|(sum, column)| *sum = column[row]);
            self.trees.finish(&mut row_sums, out);
        }
    }

    #[inline(always)]
    fn rows(self, rows: usize, room: &mut Room<R, N>) {
        let width = self.trees.leaf_width;
        let mut sums = self.trees.base.repeat(rows);
        for (number, tree) in self.trees.trees.iter().enumerate() {
            let slots = self.selects.run(number..number + 1, room);
            for (sums, leaf) in sums.chunks_exact_mut(width).zip(&slots[0]) {
                let leaf = usize::from(leaf.leaf()) * width;
                let leaf = &tree.leaves[leaf..leaf + width];
                sums.iter_mut().zip(leaf).for_each(|(sum, part)| *sum += part);
            }
        }
        let outs = self.out.chunks_exact_mut(self.trees.width());
        sums.chunks_exact_mut(width).zip(outs).for_each(|(sums, out)| self.trees.finish(sums, out));
    }
}

/// Adds the leaf of each row.
#[inline(always)]
fn add<R: Rank, const L: usize, const N: usize>(table: &[f64; L], leaves: &[R; N], sums: &mut [f64; N]) {
    for (sum, leaf) in sums.iter_mut().zip(leaves) {
        *sum += table[usize::from(leaf.leaf()) % L];
    }
}

impl Kernel for Scorer {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn width(&self) -> usize {
        self.trees.width()
    }

    fn score_block(&self, columns: &[&[f64]], out: &mut [f64]) {
        if out.len() <= PLAIN_ROWS * self.width() {
            return self.plainly(columns, 0, out);
        }
        match self.program() {
            Program::Direct(direct) => direct.score(&self.trees, columns, out),
            Program::Tiny(ranks, selects, leaves) => self.select((ranks, selects, leaves), columns, out),
            Program::Small(ranks, selects, leaves) => self.select((ranks, selects, leaves), columns, out),
            Program::Medium(ranks, selects, leaves) => self.select((ranks, selects, leaves), columns, out),
            Program::Fine(ranks, selects, leaves) => self.select((ranks, selects, leaves), columns, out),
            Program::Walked(ranks, walks) => self.in_blocks(columns, out, |start, out, _| {
                walks.score(&self.trees, ranks, columns, start, out);
            }),
            Program::Plain => self.plainly(columns, 0, out),
        }
    }

    fn measures(&self) -> &'static [&'static str] {
        match self.trees.finish {
            Finish::Isolation { .. } => &["anomaly_share", "mean_score"],
            _ => &[],
        }
    }

    fn measure_block(&self, columns: &[&[f64]], sums: &mut [f64]) {
        let mut scored = vec![0.0; columns.first().map_or(0, |column| column.len()) * self.width()];
        self.score_block(columns, &mut scored);
        for row in scored.chunks_exact(self.width()) {
            sums[0] += f64::from(row[0] < 0.0);
            sums[1] += row[1];
        }
    }

    fn trees(&self) -> Option<Vec<Vec<Node>>> {
        self.trees.trees()
    }

    fn write(&self, signature: &Signature, graph: &mut GraphBuilder) {
        self.trees.write(signature, graph);
    }

    fn describe(&self) -> String {
        let way = match self.program() {
            Program::Tiny(..) | Program::Small(..) | Program::Medium(..) => "selections of bytes",
            Program::Fine(..) => "selections of 16 bits",
            Program::Direct(..) => "walks over values",
            Program::Walked(..) => "walks over ranks",
            Program::Plain => "plain steps",
        };
        let splits: usize = self.trees.trees.iter().map(|tree| tree.splits.len()).sum();
        format!("native trees ({way}, {} trees, {splits} splits)", self.trees.trees.len())
    }

    fn used_columns(&self) -> Vec<bool> {
        let mut used = vec![false; self.columns];
        for split in self.trees.trees.iter().flat_map(|tree| &tree.splits) {
            used[split.feature] = true;
        }
        used
    }

    fn specialise(&self, ranges: &[ColumnRange]) -> Option<Box<dyn Kernel>> {
        let trees = prune(&self.trees, ranges)?;
        Some(Box::new(Scorer::new(trees, self.columns)))
    }
}
