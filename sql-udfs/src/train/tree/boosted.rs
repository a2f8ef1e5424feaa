//! One tree of a boosting: from histograms of all features, level by level or best first.
//!
//! Of two children only the smaller one's rows are added up; the other's sums are the parent's less those. The rows of
//! nodes that are cut at one time are worked on together, in pieces whose results do not depend on who computes them.

use super::bins::{CODES, Column};
use super::cells::{Cell, Sums};
use super::cut::{Criterion, Monotone, Occupied, Search};
use super::direct::better;
use super::draft::{Cut, Draft, Place, check_size};
use super::histogram::{Histogram, PARTS_MAX, ROWS_PER_PART_MIN, Words, occupied};
use super::part::divide;
use crate::Result;
use crate::train::algorithm::Context;
use crate::train::random::Random;

/// How a tree may grow.
#[derive(Debug, Clone)]
pub(crate) struct Rules<'a> {
    /// Cuts on a path.
    pub depth_max: usize,
    /// The most leaves: the best cuts are made first. None for level by level.
    pub leaves_max: Option<usize>,
    /// What cuts must keep to.
    pub search: Search<'a>,
    /// Features that each cut tries.
    pub features_per_cut: usize,
    /// Which way predictions may go with each feature: 1, -1 or 0; empty where there is no such constraint.
    pub directions: &'a [i8],
}

/// The data that all trees grow on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data<'a> {
    pub columns: &'a [Column],
    pub words: &'a Words,
}

/// A leaf that has been grown: which rows came to it, as a range of [`Grown::rows`], and what they sum up to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    pub start: usize,
    pub end: usize,
    pub sums: Sums,
    /// What its value may be.
    pub bounds: Monotone,
}

/// A tree whose leaves have no values yet.
#[derive(Debug)]
pub(crate) struct Grown {
    pub draft: Draft,
    /// Row numbers, those of each leaf together.
    pub rows: Vec<u32>,
    /// In the order of the draft's leaves.
    pub leaves: Vec<Leaf>,
}

/// Histograms that are no longer needed, for the next trees.
#[derive(Debug)]
pub(crate) struct Spare<C>(Vec<Histogram<C>>);

impl<C> Default for Spare<C> {
    fn default() -> Self {
        Spare(Vec::new())
    }
}

/// Codes and bins that one thread may look at before the work is shared.
const WORK_ALONE: usize = 1 << 15;

/// Grows a tree on some rows.
pub(crate) fn grow<C: Cell>(
    data: Data<'_>,
    cells: &[C],
    rows: Vec<u32>,
    rules: &Rules<'_>,
    random: Random,
    spare: &mut Spare<C>,
    context: &Context<'_>,
) -> Result<Grown> {
    let buffer = vec![0; rows.len()];
    let features = (0..data.columns.len()).collect();
    let mut growth = Growth {
        data,
        cells,
        rules,
        context,
        random,
        rows,
        buffer,
        features,
        spare,
        open: Vec::new(),
        draft: Draft::default(),
        leaves: Vec::new(),
    };
    growth.run()?;
    Ok(Grown { draft: growth.draft, rows: growth.rows, leaves: growth.leaves })
}

struct Node<C> {
    start: usize,
    end: usize,
    depth: usize,
    place: Place,
    total: C,
    bounds: Monotone,
    histogram: Option<Histogram<C>>,
    cut: Option<Cut>,
}

impl<C> Node<C> {
    fn len(&self) -> usize {
        self.end - self.start
    }
}

struct Growth<'a, C: Cell> {
    data: Data<'a>,
    cells: &'a [C],
    rules: &'a Rules<'a>,
    context: &'a Context<'a>,
    random: Random,
    rows: Vec<u32>,
    buffer: Vec<u32>,
    features: Vec<usize>,
    spare: &'a mut Spare<C>,
    /// Nodes with a cut that is not made yet.
    open: Vec<Node<C>>,
    draft: Draft,
    leaves: Vec<Leaf>,
}

impl<C: Cell> Growth<'_, C> {
    fn run(&mut self) -> Result<()> {
        let blocks: Vec<&[u32]> = self.rows.chunks(ROWS_PER_PART_MIN).collect();
        let sum = |rows: &[u32]| rows.iter().fold(C::default(), |sum, row| sum.plus(self.cells[*row as usize]));
        let parts = self.context.workers.map(blocks.len(), |block| sum(blocks[block]));
        let total = parts.into_iter().fold(C::default(), C::plus);
        let (end, bounds) = (self.rows.len(), Monotone::FREE);
        let root = Node { start: 0, end, depth: 0, place: None, total, bounds, histogram: None, cut: None };
        if self.may_cut(&root) {
            let histogram = self.fill(&[(0, end)])?;
            let nodes = vec![Node { histogram: histogram.into_iter().next(), ..root }];
            self.search(nodes)?;
        } else {
            self.leaf(root);
        }
        while !self.open.is_empty() {
            self.context.check_cancelled()?;
            check_size(self.draft.cuts.len(), 1)?;
            let batch = match self.rules.leaves_max {
                None => std::mem::take(&mut self.open),
                Some(max) if self.leaves.len() + self.open.len() >= max => break,
                Some(_) => vec![self.take_best()],
            };
            self.make(batch)?;
        }
        for node in std::mem::take(&mut self.open) {
            self.leaf(node);
        }
        Ok(())
    }

    /// The node whose cut gains most; the first of equals.
    fn take_best(&mut self) -> Node<C> {
        let gain = |node: &Node<C>| node.cut.map_or(0.0, |cut| cut.gain);
        let mut best = 0;
        for (number, node) in self.open.iter().enumerate() {
            if gain(node) > gain(&self.open[best]) {
                best = number;
            }
        }
        self.open.remove(best)
    }

    fn may_cut(&self, node: &Node<C>) -> bool {
        node.depth < self.rules.depth_max && node.len() as u64 >= self.rules.search.rows_min.saturating_mul(2).max(2)
    }

    fn leaf(&mut self, node: Node<C>) {
        self.spare.0.extend(node.histogram);
        // Its value is not known yet.
        self.draft.leaf(node.place, &[0.0], node.end - node.start);
        let sums = node.total.sums(self.rules.search.units);
        self.leaves.push(Leaf { start: node.start, end: node.end, sums, bounds: node.bounds });
    }

    /// Makes the cuts of some nodes, and looks for those of their children.
    fn make(&mut self, batch: Vec<Node<C>>) -> Result<()> {
        let cuts: Vec<(usize, usize, Cut)> =
            batch.iter().filter_map(|node| node.cut.map(|cut| (node.start, node.end, cut))).collect();
        let middles = self.part_rows(&cuts);
        let mut children: Vec<[Node<C>; 2]> = Vec::with_capacity(batch.len());
        let mut parents = Vec::with_capacity(batch.len());
        for ((mut node, middle), (.., cut)) in batch.into_iter().zip(middles).zip(cuts) {
            let number = self.draft.cut(node.place, cut, node.len())?;
            let histogram = node.histogram.take().unwrap_or_default();
            children.push(self.children(&node, cut, middle, number, &histogram));
            parents.push(histogram);
        }
        // The smaller children's rows, where one of the two may be cut again.
        let smaller = |pair: &[Node<C>; 2]| usize::from(pair[1].len() < pair[0].len());
        let wanted: Vec<bool> = children.iter().map(|pair| pair.iter().any(|child| self.may_cut(child))).collect();
        let ranges: Vec<(usize, usize)> = children
            .iter()
            .zip(&wanted)
            .filter(|(_, wanted)| **wanted)
            .map(|(pair, _)| (pair[smaller(pair)].start, pair[smaller(pair)].end))
            .collect();
        let mut filled = self.fill(&ranges)?.into_iter();
        let mut differences = Vec::with_capacity(ranges.len());
        for ((pair, parent), wanted) in children.iter_mut().zip(parents).zip(wanted) {
            match wanted.then(|| filled.next()).flatten() {
                None => self.spare.0.push(parent),
                Some(histogram) => {
                    let [first, second] = pair;
                    let (small, large) = if second.len() < first.len() { (second, first) } else { (first, second) };
                    differences.push((&mut large.histogram, parent, &*small.histogram.insert(histogram)));
                }
            }
        }
        subtract(differences, self.context);
        let mut nodes = Vec::with_capacity(2 * children.len());
        for child in children.into_iter().flatten() {
            match self.may_cut(&child) {
                true => nodes.push(child),
                false => self.leaf(child),
            }
        }
        self.search(nodes)
    }

    /// The children of a node, without histograms.
    fn children(
        &self,
        node: &Node<C>,
        cut: Cut,
        middle: usize,
        number: usize,
        histogram: &Histogram<C>,
    ) -> [Node<C>; 2] {
        let table = histogram.get(cut.feature).into_iter().flatten().zip(cut.yes.table());
        let yes_cells = table.filter(|(_, yes)| *yes);
        let yes_total = yes_cells.fold(C::default(), |sum, (cell, _)| sum.plus(*cell));
        let totals = [yes_total, node.total.minus(yes_total)];
        let bounds = self.bounds(node, cut, totals);
        let depth = node.depth + 1;
        let child = |side: usize, start: usize, end: usize| {
            let (place, total, bounds) = (Some((number, side == 0)), totals[side], bounds[side]);
            Node { start, end, depth, place, total, bounds, histogram: None, cut: None }
        };
        [child(0, node.start, middle), child(1, middle, node.end)]
    }

    /// What the children's values may be: on either side of the middle, where the feature is constrained.
    fn bounds(&self, node: &Node<C>, cut: Cut, totals: [C; 2]) -> [Monotone; 2] {
        let direction = self.rules.directions.get(cut.feature).copied().unwrap_or(0);
        let free = Monotone { direction: 0, ..node.bounds };
        if direction == 0 {
            return [free; 2];
        }
        let [yes, no] = totals.map(|total| self.value(total, node.bounds));
        let middle = yes / 2.0 + no / 2.0;
        let (below, above) = (Monotone { high: middle, ..free }, Monotone { low: middle, ..free });
        if direction > 0 { [below, above] } else { [above, below] }
    }

    fn value(&self, total: C, bounds: Monotone) -> f64 {
        let l2 = match self.rules.search.criterion {
            Criterion::Squares { l2 } => l2,
            Criterion::Entropy => 0.0,
        };
        let sums = total.sums(self.rules.search.units);
        (-sums.gradient / (sums.weight + l2)).clamp(bounds.low, bounds.high)
    }

    /// Moves the rows of nodes into their sides; gives where the second sides begin.
    fn part_rows(&mut self, cuts: &[(usize, usize, Cut)]) -> Vec<usize> {
        let columns = self.data.columns;
        let mut order: Vec<usize> = (0..cuts.len()).collect();
        order.sort_unstable_by_key(|node| cuts[*node].0);
        let tables: Vec<[bool; CODES]> = cuts.iter().map(|(.., cut)| cut.yes.table()).collect();
        // Each piece is divided by itself; then the fronts of a node's pieces follow one another, and their backs.
        let mut pieces: Vec<(usize, &[u32], &mut [u32])> = Vec::new();
        let (mut rest, mut at) = (self.buffer.as_mut_slice(), 0);
        for node in &order {
            let (start, end, _) = cuts[*node];
            let own = take_range(&mut rest, &mut at, start, end);
            let size = piece_size(end - start);
            let rows = self.rows[start..end].chunks(size);
            pieces.extend(rows.zip(own.chunks_mut(size)).map(|(rows, out)| (*node, rows, out)));
        }
        let work: usize = cuts.iter().map(|(start, end, _)| end - start).sum();
        let divide = |(node, rows, out): (usize, &[u32], &mut [u32])| {
            (node, divide(rows, out, &columns[cuts[node].2.feature].codes, &tables[node]))
        };
        let counts: Vec<(usize, usize)> = each(self.context, work, pieces, divide);
        let mut middles: Vec<usize> = cuts.iter().map(|(start, ..)| *start).collect();
        counts.iter().for_each(|(node, count)| middles[*node] += count);
        let mut copies = Vec::with_capacity(counts.len());
        let (mut rest, mut at) = (self.rows.as_mut_slice(), 0);
        let mut counts = counts.into_iter();
        for node in &order {
            let (start, end, _) = cuts[*node];
            let own = take_range(&mut rest, &mut at, start, end);
            let (mut fronts, mut backs) = own.split_at_mut(middles[*node] - start);
            for piece in self.buffer[start..end].chunks(piece_size(end - start)) {
                let count = counts.next().map_or(0, |(_, count)| count);
                let (here, there);
                (here, fronts) = std::mem::take(&mut fronts).split_at_mut(count);
                (there, backs) = std::mem::take(&mut backs).split_at_mut(piece.len() - count);
                copies.push((piece, here, there));
            }
        }
        let copy = |(piece, here, there): (&[u32], &mut [u32], &mut [u32])| {
            here.copy_from_slice(&piece[..here.len()]);
            there.iter_mut().zip(piece[here.len()..].iter().rev()).for_each(|(out, row)| *out = *row);
        };
        each(self.context, work, copies, copy);
        middles
    }

    /// The histograms of some ranges of rows.
    fn fill(&mut self, ranges: &[(usize, usize)]) -> Result<Vec<Histogram<C>>> {
        let width = self.data.words.width();
        let mut pieces: Vec<(usize, &[u32])> = Vec::new();
        for (node, (start, end)) in ranges.iter().enumerate() {
            let rows = &self.rows[*start..*end];
            pieces.extend(rows.chunks(piece_size(rows.len())).map(|rows| (node, rows)));
        }
        let mut work = Vec::with_capacity(pieces.len());
        for (node, rows) in pieces {
            let histogram = match self.spare.0.pop() {
                Some(histogram) => histogram,
                None => {
                    self.context.watch.reserve(width * size_of::<[C; CODES]>())?;
                    Vec::new()
                }
            };
            work.push((node, rows, histogram));
        }
        let (words, cells) = (self.data.words, self.cells);
        let alone = ranges.iter().map(|(start, end)| end - start).sum::<usize>() * width < WORK_ALONE;
        let add = |(node, rows, mut histogram): (usize, &[u32], Histogram<C>)| {
            histogram.clear();
            histogram.resize(width, [C::default(); CODES]);
            words.add(rows, cells, &mut histogram);
            (node, histogram)
        };
        let parts: Vec<(usize, Histogram<C>)> =
            if alone { work.into_iter().map(add).collect() } else { self.context.workers.map_each(work, add) };
        let mut filled: Vec<Option<Histogram<C>>> = vec![None; ranges.len()];
        for (node, part) in parts {
            match &mut filled[node] {
                None => filled[node] = Some(part),
                Some(sum) => {
                    sum.iter_mut().zip(&part).for_each(|(sum, part)| {
                        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum = sum.plus(*part));
                    });
                    self.spare.0.push(part);
                }
            }
        }
        Ok(filled.into_iter().flatten().collect())
    }

    /// Finds the best cut of each node, which is then open, or a leaf where there is none.
    fn search(&mut self, nodes: Vec<Node<C>>) -> Result<()> {
        let all = self.features.len();
        let per_cut = self.rules.features_per_cut.min(all);
        let mut tries: Vec<(usize, usize)> = Vec::with_capacity(nodes.len() * per_cut);
        for node in 0..nodes.len() {
            if per_cut < all {
                self.random.shuffle(&mut self.features, per_cut);
                self.features[..per_cut].sort_unstable();
            }
            tries.extend(self.features[..per_cut].iter().map(|feature| (node, *feature)));
            if per_cut < all {
                self.features.sort_unstable();
            }
        }
        let find = |tries: &[(usize, usize)]| -> Vec<(usize, Option<Cut>)> {
            let mut bins = Occupied::default();
            let find = |(node, feature): &(usize, usize)| (*node, self.best_cut(&nodes[*node], *feature, &mut bins));
            tries.iter().map(find).collect()
        };
        let found = match tries.len() * CODES < WORK_ALONE {
            true => find(&tries),
            false => {
                let pieces: Vec<&[(usize, usize)]> = tries.chunks(WORK_ALONE / CODES / 8).collect();
                self.context.workers.map(pieces.len(), |piece| find(pieces[piece])).concat()
            }
        };
        let mut cuts: Vec<Option<Cut>> = vec![None; nodes.len()];
        for (node, cut) in found {
            cuts[node] = better(cuts[node], cut);
        }
        for (mut node, cut) in nodes.into_iter().zip(cuts) {
            node.cut = cut;
            match cut {
                Some(_) => self.open.push(node),
                None => self.leaf(node),
            }
        }
        Ok(())
    }

    fn best_cut(&self, node: &Node<C>, feature: usize, bins: &mut Occupied<C>) -> Option<Cut> {
        let column = &self.data.columns[feature];
        let table = node.histogram.as_ref()?.get(feature)?;
        occupied(table, column.bins.count(), bins);
        let direction = self.rules.directions.get(feature).copied().unwrap_or(0);
        let monotone = Monotone { direction, ..node.bounds };
        self.rules.search.best((feature, column), bins, node.total, monotone, None)
    }
}

/// Rows of a node that are worked on by themselves.
fn piece_size(rows: usize) -> usize {
    ROWS_PER_PART_MIN.max(rows.div_ceil(PARTS_MAX))
}

/// Cuts a range out of what is left of a slice that began at 0; ranges come in ascending order.
fn take_range<'a>(rest: &mut &'a mut [u32], at: &mut usize, start: usize, end: usize) -> &'a mut [u32] {
    let (_, from) = std::mem::take(rest).split_at_mut(start - *at);
    let (own, others) = from.split_at_mut(end - start);
    (*rest, *at) = (others, end);
    own
}

/// Works on some pieces, in parallel where they are as many rows as make it worth it.
fn each<V: Send, T: Send>(
    context: &Context<'_>,
    rows: usize,
    pieces: Vec<V>,
    work: impl Fn(V) -> T + Sync + Send,
) -> Vec<T> {
    match rows < ROWS_PER_PART_MIN {
        true => pieces.into_iter().map(work).collect(),
        false => context.workers.map_each(pieces, work),
    }
}

/// Makes histograms of parents those of the larger children.
fn subtract<C: Cell>(
    differences: Vec<(&mut Option<Histogram<C>>, Histogram<C>, &Histogram<C>)>,
    context: &Context<'_>,
) {
    let one = |(larger, mut parent, smaller): (&mut Option<Histogram<C>>, Histogram<C>, &Histogram<C>)| {
        parent.iter_mut().zip(smaller).for_each(|(sums, part)| {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum = sum.minus(*part));
        });
        *larger = Some(parent);
    };
    let work: usize = differences.iter().map(|(_, parent, _)| parent.len() * CODES).sum();
    match work < WORK_ALONE {
        true => differences.into_iter().for_each(one),
        false => {
            context.workers.map_each(differences, one);
        }
    }
}
