//! Sums per bin of one feature for a tree that grows feature by feature: of numbers, and of two classes.

use super::bins::{CODES, Column, MISSING, MISSING_BYTE};
use super::cells::{Cell, Wide};
use super::cut::{Monotone, Occupied, Search};
use super::direct::Statistic;
use super::draft::Cut;
use super::leaves::Leaves;

/// Rows up to which codes are sorted rather than counted in a table.
const SORTED_ROWS_MAX: usize = 48;
/// Bins to a row above which codes of two bytes are sorted rather than counted.
const BINS_PER_ROW_MAX: usize = 8;

/// Gradients and weights of rows, and what leaves hold.
pub(crate) struct Scalars<'a> {
    /// The packed gradient and weight of each row.
    pub cells: &'a [Wide],
    /// What cuts must keep to.
    pub search: Search<'a>,
    /// What leaves hold.
    pub leaves: Leaves<'a>,
}

/// What a thread computes with.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The cells of a node's rows.
    cells: Vec<Wide>,
    total: Wide,
    occupied: Occupied<Wide>,
    wide: WideScratch,
}

/// What codes of two bytes are sorted or counted with.
#[derive(Default)]
struct WideScratch {
    keys: Vec<u64>,
    /// The cells of each bin, the one of missing values last.
    table: Vec<Wide>,
}

impl Statistic for Scalars<'_> {
    type Scratch = Scratch;

    fn is_pure(&self, rows: &[u32]) -> bool {
        self.leaves.is_pure(rows)
    }

    fn leaf(&self, rows: &[u32], values: &mut Vec<f64>) {
        self.leaves.values(rows, values);
    }

    fn enter(&self, rows: &[u32], scratch: &mut Scratch) {
        scratch.cells.clear();
        scratch.cells.extend(rows.iter().map(|row| self.cells[*row as usize]));
        scratch.total = scratch.cells.iter().fold(Wide::default(), |sum, cell| sum.plus(*cell));
    }

    fn best(
        &self,
        (feature, column): (usize, &Column),
        rows: &[u32],
        chance: Option<f64>,
        scratch: &mut Scratch,
    ) -> (bool, Option<Cut>) {
        match column.wide.is_empty() {
            true => occupy(&column.codes, rows, &scratch.cells, &mut scratch.occupied),
            false => occupy_wide(column, rows, &scratch.cells, &mut scratch.wide, &mut scratch.occupied),
        }
        let occupied = &scratch.occupied;
        let varies = occupied.codes.len() + usize::from(occupied.missing.is_some()) > 1;
        (varies, self.search.best((feature, column), occupied, scratch.total, Monotone::FREE, chance))
    }
}

/// The occupied bins of some rows, whose cells are given.
fn occupy<C: Cell>(codes: &[u8], rows: &[u32], cells: &[C], occupied: &mut Occupied<C>) {
    occupied.clear();
    if rows.len() <= SORTED_ROWS_MAX {
        let mut keys = [0_u16; SORTED_ROWS_MAX];
        let keys = &mut keys[..rows.len()];
        for (place, (key, row)) in keys.iter_mut().zip(rows).enumerate() {
            *key = u16::from(codes[*row as usize]) << 8 | place as u16;
        }
        keys.sort_unstable();
        keys.iter().for_each(|key| occupied.add(widened((key >> 8) as u8), cells[usize::from(key & 0xff)]));
        return;
    }
    let mut table = [C::default(); CODES];
    for (row, cell) in rows.iter().zip(cells) {
        let sum = &mut table[usize::from(codes[*row as usize])];
        *sum = sum.plus(*cell);
    }
    // A cell counts its rows, so that one of nothing is an empty one.
    let filled = (0..=MISSING_BYTE).zip(table).filter(|(_, cell)| *cell != C::default());
    filled.for_each(|(code, cell)| occupied.add(widened(code), cell));
}

fn widened(code: u8) -> u16 {
    if code == MISSING_BYTE { MISSING } else { u16::from(code) }
}

/// [`occupy`] for codes of two bytes.
fn occupy_wide(
    column: &Column,
    rows: &[u32],
    cells: &[Wide],
    scratch: &mut WideScratch,
    occupied: &mut Occupied<Wide>,
) {
    occupied.clear();
    let codes = column.wide.as_slice();
    let bins = column.bins.count();
    if rows.len() * BINS_PER_ROW_MAX < bins {
        let keys = &mut scratch.keys;
        keys.clear();
        keys.extend(rows.iter().zip(0_u64..).map(|(row, place)| u64::from(codes[*row as usize]) << 32 | place));
        keys.sort_unstable();
        keys.iter().for_each(|key| occupied.add((key >> 32) as u16, cells[*key as u32 as usize]));
        return;
    }
    let table = &mut scratch.table;
    table.clear();
    table.resize(bins + 1, Wide::default());
    for (row, cell) in rows.iter().zip(cells) {
        // A missing value's code is the greatest of all.
        let sum = &mut table[usize::from(codes[*row as usize]).min(bins)];
        *sum = sum.plus(*cell);
    }
    let codes = (0_u16..).take(bins).chain([MISSING]);
    let filled = codes.zip(&*table).filter(|(_, cell)| **cell != Wide::default());
    filled.for_each(|(code, cell)| occupied.add(code, *cell));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::bins::Fineness;
    use super::super::cells::Units;
    use super::*;

    #[test]
    fn sorted_and_counted_bins_are_the_same() {
        let units = Units::new(100, 1.0, 1.0);
        let codes: Vec<u8> =
            (0..100_u32).map(|i| if i % 7 == 0 { MISSING_BYTE } else { (i * 37 % 50) as u8 }).collect();
        let cells: Vec<Wide> = (0..100).map(|i| Wide::pack(f64::from(i) / 100.0, 1.0, &units)).collect();
        let rows: Vec<u32> = (0..100).step_by(3).collect();
        let gathered: Vec<Wide> = rows.iter().map(|row| cells[*row as usize]).collect();
        let mut sorted = Occupied::default();
        occupy(&codes, &rows, &gathered, &mut sorted);
        // The same rows twice are enough for a table.
        let twice: Vec<u32> = rows.iter().chain(&rows).copied().collect();
        let gathered: Vec<Wide> = gathered.iter().chain(&gathered).copied().collect();
        let mut counted = Occupied::default();
        occupy(&codes, &twice, &gathered, &mut counted);
        assert_eq!(sorted.codes, counted.codes);
        for (one, two) in sorted.cells.iter().chain(&sorted.missing).zip(counted.cells.iter().chain(&counted.missing)) {
            assert_eq!(one.plus(*one), *two);
        }
    }

    #[test]
    fn codes_of_two_bytes_give_the_sums_of_plain_loops() {
        let units = Units::new(4000, 1.0, 1.0);
        let value = |i: u32| if i.is_multiple_of(11) { f64::NAN } else { f64::from(i * 37 % 1000) };
        let column = Column::new(&(0..4000).map(value).collect::<Vec<_>>(), 0, Fineness::of(1000));
        assert_eq!(column.wide.len(), 4000);
        let mut scratch = WideScratch::default();
        // Few rows are sorted, many are counted.
        for step in [1, 3, 100, 4000] {
            let rows: Vec<u32> = (0..4000).step_by(step).collect();
            let cells: Vec<Wide> = rows.iter().map(|row| Wide::pack(f64::from(row % 17) / 17.0, 1.0, &units)).collect();
            let mut sums: BTreeMap<u16, Wide> = BTreeMap::new();
            for (row, cell) in rows.iter().zip(&cells) {
                let sum = sums.entry(column.code(*row as usize)).or_default();
                *sum = sum.plus(*cell);
            }
            let mut found = Occupied::default();
            occupy_wide(&column, &rows, &cells, &mut scratch, &mut found);
            assert_eq!(found.missing, sums.remove(&MISSING));
            assert_eq!(found.codes, sums.keys().copied().collect::<Vec<_>>());
            assert_eq!(found.cells, sums.values().copied().collect::<Vec<_>>());
        }
    }
}
