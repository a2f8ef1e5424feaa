//! Sums per bin of all features at once, for trees whose cuts try all of them.
//!
//! A row's codes lie together, eight to a word, so that a row far from the last one costs one miss of the cache and not one
//! for each feature. Rows are read in pieces: their cells and codes are gathered first, so that many loads are in flight,
//! and then added up word by word.

use super::bins::{CODES, Column};
use super::cells::Cell;
use super::cut::Occupied;
use crate::Result;
use crate::train::algorithm::Context;

/// Codes in a word.
const CODES_PER_WORD: usize = 8;
/// Rows that are gathered before they are added up.
const ROWS_GATHERED: usize = 1024;
/// Rows that are gathered where there are few: room for many takes longer to clear than few rows to add.
const FEW_ROWS: usize = 128;
/// Rows of a node from which its histogram is made in parts.
pub(crate) const ROWS_PER_PART_MIN: usize = 1 << 15;
/// Parts of a histogram.
pub(crate) const PARTS_MAX: usize = 16;

/// The codes of all rows and features, those of a row together.
#[derive(Debug)]
pub(crate) struct Words {
    codes: Vec<u64>,
    /// The features in each word of a row, about equally many.
    features: Vec<usize>,
}

/// The sums of each bin, for each feature.
pub(crate) type Histogram<C> = Vec<[C; CODES]>;

impl Words {
    /// Lays out columns of so many rows.
    pub fn new(columns: &[Column], rows: usize, context: &Context<'_>) -> Result<Self> {
        let words = columns.len().div_ceil(CODES_PER_WORD);
        context.watch.reserve(rows * words * size_of::<u64>())?;
        let features: Vec<usize> =
            (0..words).map(|word| columns.len() * (word + 1) / words - columns.len() * word / words).collect();
        let mut codes = vec![0_u64; rows * words];
        let mut first = 0;
        for (word, count) in features.iter().enumerate() {
            context.check_cancelled()?;
            for (place, column) in columns[first..first + count].iter().enumerate() {
                let words = codes.iter_mut().skip(word).step_by(words);
                words.zip(&column.codes).for_each(|(word, code)| *word |= u64::from(*code) << (8 * place));
            }
            first += count;
        }
        Ok(Words { codes, features })
    }

    /// The number of features.
    pub fn width(&self) -> usize {
        self.features.iter().sum()
    }

    /// Adds rows to a histogram, which has an entry for each feature.
    pub fn add<C: Cell>(&self, rows: &[u32], cells: &[C], histogram: &mut [[C; CODES]]) {
        match rows.len() <= FEW_ROWS {
            true => self.add_gathered::<C, FEW_ROWS>(rows, cells, histogram),
            false => self.add_gathered::<C, ROWS_GATHERED>(rows, cells, histogram),
        }
    }

    fn add_gathered<C: Cell, const ROWS: usize>(&self, rows: &[u32], cells: &[C], histogram: &mut [[C; CODES]]) {
        let mut gathered = [C::default(); ROWS];
        let mut words = [0_u64; ROWS];
        for rows in rows.chunks(ROWS) {
            let gathered = &mut gathered[..rows.len()];
            gathered.iter_mut().zip(rows).for_each(|(cell, row)| *cell = cells[*row as usize]);
            let mut rest = &mut *histogram;
            for (word, count) in self.features.iter().enumerate() {
                let words = &mut words[..rows.len()];
                let stride = self.features.len();
                words.iter_mut().zip(rows).for_each(|(out, row)| *out = self.codes[*row as usize * stride + word]);
                let (tables, others) = rest.split_at_mut(*count);
                add_words(words, gathered, tables);
                rest = others;
            }
        }
    }
}

/// Adds rows to the tables of the features of one word.
fn add_words<C: Cell>(words: &[u64], cells: &[C], tables: &mut [[C; CODES]]) {
    match tables.len() {
        1 => add_some::<C, 1>(words, cells, tables),
        2 => add_some::<C, 2>(words, cells, tables),
        3 => add_some::<C, 3>(words, cells, tables),
        4 => add_some::<C, 4>(words, cells, tables),
        5 => add_some::<C, 5>(words, cells, tables),
        6 => add_some::<C, 6>(words, cells, tables),
        7 => add_some::<C, 7>(words, cells, tables),
        _ => add_some::<C, 8>(words, cells, tables),
    }
}

/// For a number of features that is known here, so that nothing is checked in between.
fn add_some<C: Cell, const FEATURES: usize>(words: &[u64], cells: &[C], tables: &mut [[C; CODES]]) {
    let Ok(tables) = <&mut [[C; CODES]; FEATURES]>::try_from(tables) else { return };
    for (word, cell) in words.iter().zip(cells) {
        for (place, table) in tables.iter_mut().enumerate() {
            let sum = &mut table[usize::from((word >> (8 * place)) as u8)];
            *sum = sum.plus(*cell);
        }
    }
}

/// The occupied bins of a feature's sums; `bins` is how many it has.
pub(crate) fn occupied<C: Cell>(table: &[C; CODES], bins: usize, occupied: &mut Occupied<C>) {
    let empty = C::default();
    occupied.codes.resize(CODES, 0);
    occupied.cells.resize(CODES, empty);
    // Written to the next place always, which moves on where it counts: which bins are empty cannot be foreseen.
    let mut count = 0;
    for (cell, code) in table[..bins].iter().zip(0_u16..) {
        occupied.codes[count] = code;
        occupied.cells[count] = *cell;
        count += usize::from(*cell != empty);
    }
    occupied.codes.truncate(count);
    occupied.cells.truncate(count);
    let missing = table[CODES - 1];
    occupied.missing = (missing != empty).then_some(missing);
}

#[cfg(test)]
mod tests {
    use super::super::bins::Fineness;
    use super::super::cells::{Narrow, Units, Wide};
    use super::*;
    use crate::train::random::{Purpose, Random};
    use crate::train::testing::with_context;

    fn check<C: Cell>(features: usize) {
        let mut random = Random::new(1, Purpose::Cuts, features as u64);
        let n = 3_000;
        let columns: Vec<Column> = (0..features)
            .map(|_| {
                let value = |v: usize| if v == 0 { f64::NAN } else { v as f64 };
                Column::new(&(0..n).map(|_| value(random.below(50))).collect::<Vec<_>>(), 0, Fineness::of(255))
            })
            .collect();
        let units = Units::new(n, 1.0, 1.0);
        let cells: Vec<C> = (0..n).map(|_| C::pack(random.uniform() - 0.5, random.uniform(), &units)).collect();
        let rows: Vec<u32> = (0..n as u32).filter(|row| row % 3 != 0).collect();
        let words = with_context(|context| Words::new(&columns, n, context)).unwrap();
        assert_eq!(words.width(), features);
        let mut histogram = vec![[C::default(); CODES]; features];
        words.add(&rows, &cells, &mut histogram);
        for (column, table) in columns.iter().zip(&histogram) {
            let mut expected = [C::default(); CODES];
            for row in &rows {
                let sum = &mut expected[usize::from(column.codes[*row as usize])];
                *sum = sum.plus(cells[*row as usize]);
            }
            assert_eq!(*table, expected);
            let mut found = Occupied::default();
            occupied(table, column.bins.count(), &mut found);
            let all = found.cells.iter().chain(&found.missing).fold(C::default(), |sum, cell| sum.plus(*cell));
            assert_eq!(all.sums(&units).rows, rows.len() as u64);
        }
    }

    #[test]
    fn sums_are_those_of_plain_loops() {
        for features in [1, 3, 8, 9, 20, 33] {
            check::<Narrow>(features);
            check::<Wide>(features);
        }
    }
}
