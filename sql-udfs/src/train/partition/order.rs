//! Which rows are of which group, in canonical order and split: the order that a training of a group's rows alone has.
//!
//! Groups are numbered in ascending order of their keys, so that nothing depends on how rows arrived. Rows are named by
//! their number in the order of arrival; their values stay where they are.

use std::collections::HashMap;
use std::ops::Range;

use arrow::array::{Array, ArrayRef};

use crate::limits::GROUPS_MAX;
use crate::model::partition::keys::{Coder, GroupKey, UNKNOWN};
use crate::model::signature::Feature;
use crate::train::canonical::{self, RowHash};
use crate::train::plan::Plan;
use crate::train::workers::Workers;
use crate::train::{Request, Watch, split};
use crate::{Error, Result};

/// Rows, at least, that one piece of work reads; pieces are whole batches.
const ROWS_PER_PIECE: usize = 1 << 18;

/// The rows of one group among [`Order::rows`]: first those to train on, then those held out.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    /// The rows to train on.
    pub train: Range<usize>,
    /// The rows that are held out.
    pub held_out: Range<usize>,
}

impl Extent {
    /// All of the group's rows.
    pub fn all(&self) -> Range<usize> {
        self.train.start..self.held_out.end
    }
}

/// All rows, group by group.
pub(super) struct Order {
    /// The keys of the groups, in ascending order.
    pub keys: Vec<GroupKey>,
    /// The rows of each group.
    pub extents: Vec<Extent>,
    /// The numbers of all rows that are used.
    pub rows: Vec<u32>,
    /// The hash of each row's values, in the order of arrival.
    pub hashes: Vec<RowHash>,
}

/// The batches of the training query, as columns.
pub(super) struct Batches<'a> {
    /// Each column's batches.
    pub columns: Vec<Vec<ArrayRef>>,
    /// The rows of each batch.
    pub rows: Vec<usize>,
    /// What computes in parallel.
    pub workers: &'a Workers,
    /// Whom to ask.
    pub watch: &'a dyn Watch,
}

impl Batches<'_> {
    /// The number of rows.
    pub fn total(&self) -> usize {
        self.rows.iter().sum()
    }

    /// Fails where the caller has cancelled.
    pub fn check_cancelled(&self) -> Result<()> {
        match self.watch.cancelled() {
            true => Err(Error::cancelled()),
            false => Ok(()),
        }
    }

    /// The batches of each piece.
    fn pieces(&self) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let (mut start, mut rows) = (0, 0);
        for (batch, count) in self.rows.iter().enumerate() {
            rows += count;
            if rows >= ROWS_PER_PIECE || batch + 1 == self.rows.len() {
                pieces.push(start..batch + 1);
                (start, rows) = (batch + 1, 0);
            }
        }
        pieces
    }

    /// `values`, one for each row, cut into the pieces' parts.
    fn cut<'v, T>(&self, pieces: &[Range<usize>], mut values: &'v mut [T]) -> Vec<(Range<usize>, &'v mut [T])> {
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let rows = self.rows[piece.clone()].iter().sum();
            let (part, rest) = std::mem::take(&mut values).split_at_mut(rows);
            values = rest;
            parts.push((piece.clone(), part));
        }
        parts
    }

    /// The rows of the batches of a column, in order.
    fn batches(&self, position: usize, piece: &Range<usize>) -> &[ArrayRef] {
        self.columns.get(position).map_or(&[], |column| &column[piece.clone()])
    }
}

/// Puts all rows in order.
pub(super) fn order(plan: &Plan, request: &Request, batches: &Batches<'_>, decider: Option<&[f64]>) -> Result<Order> {
    let total = batches.total();
    let pieces = batches.pieces();
    let (keys, mut groups) = groups(plan, batches, &pieces)?;
    let mut hashes = vec![canonical::EMPTY; total];
    let positions = plan.positions();
    let work: Vec<_> = batches.cut(&pieces, &mut hashes).into_iter().zip(batches.cut(&pieces, &mut groups)).collect();
    let done = batches.workers.map_each(work, |((piece, hashes), (_, groups))| -> Result<()> {
        for position in &positions {
            batches.check_cancelled()?;
            let mut start = 0;
            for array in batches.batches(*position, &piece) {
                let end = start + array.len();
                canonical::absorb_column(array, &mut hashes[start..end])?;
                start = end;
            }
        }
        canonical::finish(hashes);
        // Rows without a target, a weight or what decides the split are of no group.
        for column in plan.roles() {
            let mut start = 0;
            for array in batches.batches(column.position, &piece) {
                if array.null_count() > 0 {
                    let rows = (0..array.len()).filter(|row| array.is_null(*row));
                    rows.for_each(|row| groups[start + row] = UNKNOWN);
                }
                start += array.len();
            }
        }
        Ok(())
    });
    done.into_iter().collect::<Result<()>>()?;
    let (starts, mut rows) = buckets(&groups, keys.len());
    drop(groups);
    let extents = sort_and_split(request, batches, &hashes, &starts, &mut rows, decider)?;
    Ok(Order { keys, extents, rows, hashes })
}

/// The groups that there are, and each row's.
fn groups(plan: &Plan, batches: &Batches<'_>, pieces: &[Range<usize>]) -> Result<(Vec<GroupKey>, Vec<u32>)> {
    let columns: Vec<Feature> = plan.partition.iter().map(|column| column.feature.clone()).collect();
    let coded = batches.workers.try_map(pieces.len(), |piece| -> Result<(Coder, Vec<u32>)> {
        let mut coder = Coder::new(columns.len());
        let mut codes = Vec::new();
        for batch in pieces[piece].clone() {
            batches.check_cancelled()?;
            let arrays: Vec<ArrayRef> =
                plan.partition.iter().map(|column| batches.columns[column.position][batch].clone()).collect();
            codes.extend(coder.grow(&columns, &arrays)?);
            if coder.len() > GROUPS_MAX {
                return Err(too_many());
            }
        }
        Ok((coder, codes))
    })?;
    let mut known: HashMap<GroupKey, u32> = HashMap::new();
    let mut numbers: Vec<Vec<u32>> = Vec::with_capacity(coded.len());
    for (coder, _) in &coded {
        let mut of_piece = Vec::with_capacity(coder.len());
        for code in 0..coder.len() as u32 {
            let next = known.len() as u32;
            of_piece.push(*known.entry(coder.key(code)).or_insert(next));
        }
        numbers.push(of_piece);
        if known.len() > GROUPS_MAX {
            return Err(too_many());
        }
    }
    let mut keys: Vec<(GroupKey, u32)> = known.into_iter().collect();
    keys.sort_unstable();
    let mut places = vec![0; keys.len()];
    keys.iter().enumerate().for_each(|(place, (_, number))| places[*number as usize] = place as u32);
    let mut groups = vec![0; batches.total()];
    let parts: Vec<_> = batches.cut(pieces, &mut groups).into_iter().zip(coded).zip(&numbers).collect();
    batches.workers.map_each(parts, |(((_, groups), (_, codes)), numbers)| {
        groups.iter_mut().zip(codes).for_each(|(group, code)| *group = places[numbers[code as usize] as usize]);
    });
    Ok((keys.into_iter().map(|(key, _)| key).collect(), groups))
}

fn too_many() -> Error {
    Error::exhausted(format!("expected at most {GROUPS_MAX} groups, found more"))
        .with_hint("group columns tell groups apart, not rows")
}

/// The rows of each group side by side; group `g` has those from `starts[g]` to `starts[g + 1]`.
fn buckets(groups: &[u32], count: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0_usize; count + 1];
    groups.iter().filter(|group| **group != UNKNOWN).for_each(|group| starts[*group as usize + 1] += 1);
    for group in 0..count {
        starts[group + 1] += starts[group];
    }
    let mut next = starts.clone();
    let mut rows = vec![0_u32; starts[count]];
    for (row, group) in groups.iter().enumerate().filter(|(_, group)| **group != UNKNOWN) {
        rows[next[*group as usize]] = row as u32;
        next[*group as usize] += 1;
    }
    (starts, rows)
}

/// Brings each group's rows into canonical order, those to train on first.
fn sort_and_split(
    request: &Request,
    batches: &Batches<'_>,
    hashes: &[RowHash],
    starts: &[usize],
    rows: &mut [u32],
    decider: Option<&[f64]>,
) -> Result<Vec<Extent>> {
    // Groups together until they have enough rows for a piece of work.
    let mut work = Vec::new();
    let (mut rest, mut first) = (rows, 0);
    for group in 1..starts.len() {
        if starts[group] - starts[first] >= ROWS_PER_PIECE / 8 || group + 1 == starts.len() {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(starts[group] - starts[first]);
            rest = others;
            work.push((first..group, part));
            first = group;
        }
    }
    let done = batches.workers.map_each(work, |(groups, rows)| -> Result<Vec<Extent>> {
        batches.check_cancelled()?;
        let origin = starts[groups.start];
        let alone = Workers::new(1)?;
        let mut extents = Vec::with_capacity(groups.len());
        for group in groups {
            let (start, end) = (starts[group], starts[group + 1]);
            let rows = &mut rows[start - origin..end - origin];
            let keys = rows.iter().map(|row| canonical::key(hashes[*row as usize], *row)).collect();
            let sorted = canonical::order(keys, |row| hashes[row as usize], &alone);
            let (train, held_out) = split::apply_to(&request.split, request.seed, sorted, decider, &alone);
            rows[..train.len()].copy_from_slice(&train);
            rows[train.len()..].copy_from_slice(&held_out);
            extents.push(Extent { train: start..start + train.len(), held_out: start + train.len()..end });
        }
        Ok(extents)
    });
    Ok(done.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

/// The first rows in the canonical order of all groups, of those to train on that `usable` lets through.
pub(super) fn first_of_all(order: &Order, count: usize, usable: impl Fn(u32) -> bool) -> Vec<u32> {
    // Hashes are spread evenly, so their first bits say about where the last of the wanted ones is.
    const BITS: u32 = 12;
    let bucket = |row: u32| (order.hashes[row as usize][0] >> (u64::BITS - BITS)) as usize;
    let rows = || order.extents.iter().flat_map(|extent| &order.rows[extent.train.clone()]).copied();
    let mut counts = vec![0_usize; 1 << BITS];
    rows().filter(|row| usable(*row)).for_each(|row| counts[bucket(row)] += 1);
    let mut before = 0;
    let last = counts.iter().position(|of_bucket| {
        before += of_bucket;
        before >= count
    });
    let last = last.unwrap_or(counts.len());
    let mut first: Vec<(RowHash, u32)> = rows()
        .filter(|row| bucket(*row) <= last && usable(*row))
        .map(|row| (order.hashes[row as usize], row))
        .collect();
    first.sort_unstable();
    first.truncate(count);
    first.into_iter().map(|(_, row)| row).collect()
}
