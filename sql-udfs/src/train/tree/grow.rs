//! Grows one tree depth first: cut a node, part its rows, go on with the children.
//!
//! A large node has a histogram of sums per feature and bin; of two children only the smaller one's is summed up, the
//! other is the difference. A small node sorts its few codes instead of clearing and scanning mostly empty bins.

use super::bins::BinnedColumn;
use super::cut::{Cut, OccupiedBins, improve};
use super::statistics::Statistics;
use crate::limits::{TREE_DEPTH_MAX, TREE_NODES_MAX};
use crate::model::tree::{Child, Split, Tree};
use crate::train::algorithm::Context;
use crate::train::rows::READ_SHARE;
use crate::{Error, Result};

/// Rows up to which a node sorts codes rather than filling a histogram.
const SORTED_ROWS_MAX: usize = 512;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Cuts on a path.
    pub depth_max: usize,
    /// A node with fewer rows is not cut.
    pub rows_to_cut_min: usize,
    /// No cut leaves fewer rows on a side.
    pub rows_per_leaf_min: usize,
}

/// Grows a tree on all rows. Fails with `Exhausted` where it would have more nodes than the limit.
pub(crate) fn grow(
    columns: &[BinnedColumn],
    statistics: &Statistics<'_>,
    rows: usize,
    bounds: Bounds,
    context: &Context<'_>,
) -> Result<Tree> {
    context.watch.reserve(rows * 2 * size_of::<u32>())?;
    let mut offsets = vec![0];
    for column in columns {
        // One more bin for what is missing.
        offsets.push(offsets[offsets.len() - 1] + (column.bins() + 1) * statistics.width());
    }
    let mut growth = Growth {
        columns,
        statistics,
        bounds,
        context,
        offsets,
        rows: (0..rows as u32).collect(),
        scratch: Vec::with_capacity(rows),
        occupied: OccupiedBins::default(),
        spare: Vec::new(),
        splits: Vec::new(),
        leaves: Vec::new(),
        done: 0,
    };
    let leaf_width = growth.run()?;
    Tree::new(growth.splits, growth.leaves, leaf_width, columns.len())
}

/// A node that is to be cut or made a leaf.
struct Node {
    start: usize,
    end: usize,
    depth: usize,
    histogram: Option<Vec<f64>>,
    /// The split that this is a child of, and whether the lower one.
    parent: Option<(usize, bool)>,
}

struct Growth<'a> {
    columns: &'a [BinnedColumn],
    statistics: &'a Statistics<'a>,
    bounds: Bounds,
    context: &'a Context<'a>,
    /// Where each feature begins in a histogram.
    offsets: Vec<usize>,
    /// Row numbers, those of each node together and in canonical order.
    rows: Vec<u32>,
    scratch: Vec<u32>,
    occupied: OccupiedBins,
    /// Histograms that are no longer needed.
    spare: Vec<Vec<f64>>,
    splits: Vec<Split>,
    leaves: Vec<f64>,
    /// Rows that have arrived in leaves.
    done: usize,
}

impl Growth<'_> {
    /// Grows; gives the number of values of a leaf.
    fn run(&mut self) -> Result<usize> {
        let all = self.rows.len();
        let histogram = (all > SORTED_ROWS_MAX).then(|| self.fill(0, all)).transpose()?;
        let mut open = vec![Node { start: 0, end: all, depth: 0, histogram, parent: None }];
        let mut leaf_width = 1;
        while let Some(mut node) = open.pop() {
            self.context.check_cancelled()?;
            let leaf = self.statistics.leaf(&self.rows[node.start..node.end]);
            leaf_width = leaf.values.len();
            let count = node.end - node.start;
            let cut = match leaf.pure || node.depth >= self.bounds.depth_max || count < self.bounds.rows_to_cut_min {
                true => None,
                false => self.best_cut(&node)?,
            };
            match cut {
                None => {
                    let number = self.leaves.len() / leaf_width;
                    self.attach(&node, Child::Leaf(number));
                    self.leaves.extend(leaf.values);
                    self.spare.extend(node.histogram.take());
                    self.done += count;
                    let share = self.done as f64 / all as f64;
                    self.context.watch.progress(READ_SHARE + 0.1 + 0.4 * share);
                }
                Some(cut) => {
                    let [below, above] = self.divide(node, cut)?;
                    // The lower child is popped first.
                    open.extend([above, below]);
                }
            }
        }
        Ok(leaf_width)
    }

    fn attach(&mut self, node: &Node, child: Child) {
        match node.parent {
            Some((parent, true)) => self.splits[parent].yes = child,
            Some((parent, false)) => self.splits[parent].no = child,
            None => {}
        }
    }

    /// Records a cut, parts the rows and prepares the children.
    fn divide(&mut self, mut node: Node, cut: Cut) -> Result<[Node; 2]> {
        if self.splits.len() == TREE_NODES_MAX {
            return Err(Error::exhausted(format!("the tree has more than {TREE_NODES_MAX} nodes"))
                .with_hint("give it a max_depth, or a larger min_samples_leaf"));
        }
        let number = self.splits.len();
        self.attach(&node, Child::Node(number));
        let column = &self.columns[cut.feature];
        self.splits.push(Split {
            feature: cut.feature,
            threshold: cut.above.map_or(f64::INFINITY, |above| column.threshold(cut.below, above)),
            missing_follows_yes: cut.missing_below,
            yes: Child::Leaf(0),
            no: Child::Leaf(0),
            rows: (node.end - node.start) as u64,
        });
        let middle = self.part(&node, cut);
        let child = |start, end, below| Node {
            start,
            end,
            depth: node.depth + 1,
            histogram: None,
            parent: Some((number, below)),
        };
        let mut children = [child(node.start, middle, true), child(middle, node.end, false)];
        if let Some(histogram) = node.histogram.take() {
            self.hand_down(histogram, &mut children)?;
        }
        Ok(children)
    }

    /// Moves the rows of the lower side before the others, keeping their order; gives where the others begin.
    fn part(&mut self, node: &Node, cut: Cut) -> usize {
        let codes = &self.columns[cut.feature].codes;
        let mut next = node.start;
        self.scratch.clear();
        for at in node.start..node.end {
            let row = self.rows[at];
            if cut.is_below(codes[row as usize]) {
                self.rows[next] = row;
                next += 1;
            } else {
                self.scratch.push(row);
            }
        }
        self.rows[next..node.end].copy_from_slice(&self.scratch);
        next
    }

    /// Gives large children their histograms: the smaller one's is filled, the larger one's is what is left.
    fn hand_down(&mut self, mut histogram: Vec<f64>, children: &mut [Node; 2]) -> Result<()> {
        let size = |node: &Node| node.end - node.start;
        let (smaller, larger) = if size(&children[0]) <= size(&children[1]) { (0, 1) } else { (1, 0) };
        if size(&children[larger]) <= SORTED_ROWS_MAX {
            self.spare.push(histogram);
            return Ok(());
        }
        let of_smaller = self.fill(children[smaller].start, children[smaller].end)?;
        histogram.iter_mut().zip(&of_smaller).for_each(|(all, part)| *all -= part);
        children[larger].histogram = Some(histogram);
        match size(&children[smaller]) > SORTED_ROWS_MAX {
            true => children[smaller].histogram = Some(of_smaller),
            false => self.spare.push(of_smaller),
        }
        Ok(())
    }

    /// The histogram of some rows.
    fn fill(&mut self, start: usize, end: usize) -> Result<Vec<f64>> {
        let (width, length) = (self.statistics.width(), self.offsets[self.columns.len()]);
        let mut histogram = match self.spare.pop() {
            Some(mut spare) => {
                spare.fill(0.0);
                spare
            }
            None => {
                self.context.watch.reserve(length * size_of::<f64>())?;
                vec![0.0; length]
            }
        };
        for (column, offset) in self.columns.iter().zip(&self.offsets) {
            self.context.check_cancelled()?;
            let bins = &mut histogram[*offset..*offset + (column.bins() + 1) * width];
            for row in &self.rows[start..end] {
                let bin = (column.codes[*row as usize] as usize).min(column.bins()) * width;
                self.statistics.add(*row, &mut bins[bin..bin + width]);
            }
        }
        Ok(histogram)
    }

    fn best_cut(&mut self, node: &Node) -> Result<Option<Cut>> {
        let mut best = None;
        let rows_min = self.bounds.rows_per_leaf_min as f64;
        for feature in 0..self.columns.len() {
            match &node.histogram {
                Some(histogram) => self.occupy_from_histogram(feature, histogram),
                None => self.occupy_from_rows(feature, node),
            }
            improve(&mut best, feature, &self.occupied, self.statistics, rows_min);
        }
        Ok(best)
    }

    fn occupy_from_histogram(&mut self, feature: usize, histogram: &[f64]) {
        let (width, bins) = (self.statistics.width(), self.columns[feature].bins());
        self.occupied.clear(width);
        let sums = histogram[self.offsets[feature]..self.offsets[feature + 1]].chunks_exact(width);
        for (bin, sums) in sums.enumerate() {
            if self.statistics.rows(sums) > 0.0 {
                let code = if bin == bins { super::bins::MISSING } else { bin as u8 };
                self.occupied.entry(code).copy_from_slice(sums);
            }
        }
    }

    fn occupy_from_rows(&mut self, feature: usize, node: &Node) {
        let codes = &self.columns[feature].codes;
        self.occupied.clear(self.statistics.width());
        self.scratch.clear();
        self.scratch.extend(&self.rows[node.start..node.end]);
        // Stable, so that sums run in canonical order.
        self.scratch.sort_by_key(|row| codes[*row as usize]);
        for row in &self.scratch {
            self.statistics.add(*row, self.occupied.entry(codes[*row as usize]));
        }
    }
}

impl Bounds {
    /// A depth that is not given is the deepest that evaluators walk.
    pub fn depth_or_limit(depth: Option<usize>) -> usize {
        depth.unwrap_or(TREE_DEPTH_MAX).min(TREE_DEPTH_MAX)
    }
}
