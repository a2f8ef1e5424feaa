//! Sums per bin of one feature for a tree that grows feature by feature: of numbers, and of two classes.

use super::bins::{CODES, Column, MISSING};
use super::cells::{Cell, Wide};
use super::cut::{Monotone, Occupied, Search};
use super::direct::Statistic;
use super::draft::Cut;
use super::leaves::Leaves;

/// Rows up to which codes are sorted rather than counted in a table.
const SORTED_ROWS_MAX: usize = 48;

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
        occupy(&column.codes, rows, &scratch.cells, &mut scratch.occupied);
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
        keys.iter().for_each(|key| occupied.add((key >> 8) as u8, cells[usize::from(key & 0xff)]));
        return;
    }
    let mut table = [C::default(); CODES];
    for (row, cell) in rows.iter().zip(cells) {
        let sum = &mut table[usize::from(codes[*row as usize])];
        *sum = sum.plus(*cell);
    }
    // A cell counts its rows, so that one of nothing is an empty one.
    let filled = (0..=MISSING).zip(table).filter(|(_, cell)| *cell != C::default());
    filled.for_each(|(code, cell)| occupied.add(code, cell));
}

#[cfg(test)]
mod tests {
    use super::super::cells::Units;
    use super::*;

    #[test]
    fn sorted_and_counted_bins_are_the_same() {
        let units = Units::new(100, 1.0, 1.0);
        let codes: Vec<u8> = (0..100).map(|i| if i % 7 == 0 { MISSING } else { i * 37 % 50 }).collect();
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
}
