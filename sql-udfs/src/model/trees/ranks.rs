//! Values as ranks: small integers that compare with a model's thresholds just as the values do.
//!
//! The rank of a value is the number of the model's thresholds for that column that are below it, so `value <= t` where
//! `t` is the threshold number `i` holds where `rank <= i` holds. A missing value has rank 0, which passes every
//! comparison, or the greatest, which passes none: a column is made for each of the two where both are asked for, so
//! that comparing needs no third case. Codes of texts are kept as they are. It knows nothing of how trees are walked.

use std::fmt::Debug;

use super::{Test, Trees};
use crate::limits::CATEGORIES_MAX;

/// Values whose ranks are searched for in lockstep, so that one look-up hides behind the others.
const LANES: usize = 8;
/// The code of a missing text, behind all real ones.
pub(super) const MISSING_CODE: usize = CATEGORIES_MAX;
/// What stands for a value that is no code.
const NO_CODE: usize = MISSING_CODE + 1;

/// An integer that holds ranks. Signed, because processors compare signed bytes: rank 0 is the least integer.
pub(super) trait Rank: Copy + PartialOrd + Default + Debug + Send + Sync + Into<i16> + 'static {
    /// The greatest rank.
    const GREATEST: usize;

    /// A rank of at most [`Rank::GREATEST`].
    fn of(rank: usize) -> Self;

    /// The last byte of the rank that [`Rank::of`] was given.
    fn index(self) -> usize;

    /// One of two, chosen by arithmetic: of a choice between two loads compilers make a branch.
    fn choose(first: bool, of: [Self; 2]) -> Self;

    /// A number below 256 as it is, not to be compared.
    fn of_leaf(leaf: u8) -> Self;

    /// The number that [`Rank::of_leaf`] made an integer of.
    fn leaf(self) -> u8;
}

impl Rank for i8 {
    const GREATEST: usize = u8::MAX as usize;

    #[inline(always)]
    fn of(rank: usize) -> Self {
        (rank as u8 ^ 0x80).cast_signed()
    }

    #[inline(always)]
    fn index(self) -> usize {
        usize::from(self.cast_unsigned() ^ 0x80)
    }

    #[inline(always)]
    fn choose(first: bool, [a, b]: [Self; 2]) -> Self {
        let mask = -Self::from(first);
        (a & mask) | (b & !mask)
    }

    #[inline(always)]
    fn of_leaf(leaf: u8) -> Self {
        leaf.cast_signed()
    }

    #[inline(always)]
    fn leaf(self) -> u8 {
        self.cast_unsigned()
    }
}

impl Rank for i16 {
    const GREATEST: usize = u16::MAX as usize;

    #[inline(always)]
    fn of(rank: usize) -> Self {
        (rank as u16 ^ 0x8000).cast_signed()
    }

    #[inline(always)]
    fn index(self) -> usize {
        usize::from(self as u8)
    }

    #[inline(always)]
    fn choose(first: bool, [a, b]: [Self; 2]) -> Self {
        let mask = -Self::from(first);
        (a & mask) | (b & !mask)
    }

    #[inline(always)]
    fn of_leaf(leaf: u8) -> Self {
        Self::from(leaf)
    }

    #[inline(always)]
    fn leaf(self) -> u8 {
        self as u8
    }
}

/// The thresholds of one design column.
#[derive(Debug)]
struct Thresholds {
    /// Ascending and distinct, then infinities up to a power of two that is greater than their number.
    values: Vec<f64>,
    /// How many they are.
    count: usize,
}

/// What is made of one design column.
#[derive(Debug)]
struct Source {
    feature: usize,
    thresholds: Thresholds,
    /// The column of ranks where a missing value passes every comparison.
    passing: Option<u16>,
    /// The column of ranks where a missing value passes none.
    failing: Option<u16>,
    /// The column of codes.
    codes: Option<u16>,
}

/// The columns of ranks and codes that a model's trees compare.
#[derive(Debug)]
pub(super) struct Ranks {
    sources: Vec<Source>,
    /// The place in `sources` of each design column.
    places: Vec<Option<usize>>,
    columns: u16,
}

impl Ranks {
    /// The columns for all splits of the trees; `None` where there are too many to number.
    pub fn new(trees: &Trees) -> Option<Self> {
        let splits = || trees.trees.iter().flat_map(|tree| &tree.splits);
        let width = splits().map(|split| split.feature + 1).max().unwrap_or_default();
        let mut thresholds: Vec<Vec<f64>> = vec![Vec::new(); width];
        let mut asked = vec![[false; 3]; width];
        for split in splits() {
            match &split.test {
                Test::AtMost(threshold) => {
                    thresholds[split.feature].push(*threshold);
                    asked[split.feature][usize::from(split.missing_follows_yes)] = true;
                }
                Test::AnyOf(_) => asked[split.feature][2] = true,
            }
        }
        let mut ranks = Ranks { sources: Vec::new(), places: vec![None; width], columns: 0 };
        for (feature, (mut values, [failing, passing, codes])) in thresholds.into_iter().zip(asked).enumerate() {
            if !(failing || passing || codes) {
                continue;
            }
            values.sort_by(f64::total_cmp);
            values.dedup_by(|a, b| a == b);
            let count = values.len();
            values.resize((count + 1).next_power_of_two(), f64::INFINITY);
            let next = &mut ranks.columns;
            let mut number = |asked: bool| match asked {
                false => Some(None),
                true => next.checked_add(1).map(|after| Some(std::mem::replace(next, after))),
            };
            let (passing, failing, codes) = (number(passing)?, number(failing)?, number(codes)?);
            let thresholds = Thresholds { values, count };
            ranks.places[feature] = Some(ranks.sources.len());
            ranks.sources.push(Source { feature, thresholds, passing, failing, codes });
        }
        Some(ranks)
    }

    /// The greatest rank.
    pub fn greatest(&self) -> usize {
        self.sources.iter().map(|source| source.thresholds.count).max().unwrap_or_default()
    }

    /// Whether codes are compared.
    pub fn has_codes(&self) -> bool {
        self.sources.iter().any(|source| source.codes.is_some())
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        usize::from(self.columns)
    }

    /// The column and the rank that stand for `value <= threshold`.
    pub fn place(&self, feature: usize, threshold: f64, missing_passes: bool) -> Option<(u16, usize)> {
        let source = self.sources.get((*self.places.get(feature)?)?)?;
        let rank = source.thresholds.values.partition_point(|value| *value < threshold);
        Some((if missing_passes { source.passing } else { source.failing }?, rank))
    }

    /// The column with the codes of a design column.
    pub fn codes(&self, feature: usize) -> Option<u16> {
        self.sources.get((*self.places.get(feature)?)?)?.codes
    }

    /// Fills the first rows of `made` from rows of the design columns.
    #[inline(always)]
    pub fn fill<R: Rank, const N: usize>(&self, columns: &[&[f64]], start: usize, rows: usize, made: &mut [[R; N]]) {
        let mut found = [0_u16; N];
        for source in &self.sources {
            let values = &columns[source.feature][start..start + rows];
            let found = &mut found[..rows];
            if source.passing.is_some() || source.failing.is_some() {
                source.thresholds.search(values, found);
            }
            if let Some(column) = source.passing {
                for (made, rank) in made[usize::from(column)].iter_mut().zip(&*found) {
                    *made = R::of(usize::from(*rank));
                }
            }
            if let Some(column) = source.failing {
                let greatest = source.thresholds.count as u16;
                for ((made, rank), value) in made[usize::from(column)].iter_mut().zip(&*found).zip(values) {
                    *made = R::of(usize::from(if value.is_nan() { greatest } else { *rank }));
                }
            }
            if let Some(column) = source.codes {
                for (made, value) in made[usize::from(column)].iter_mut().zip(values) {
                    *made = R::of(code(*value));
                }
            }
        }
    }
}

/// A value as a code of a text.
#[inline(always)]
fn code(value: f64) -> usize {
    // The conversion gives 0 for NaN and less than nothing; neither is equal to what it was made of.
    let code = value as usize;
    match code as f64 == value && code < CATEGORIES_MAX {
        true => code,
        false if value.is_nan() => MISSING_CODE,
        false => NO_CODE,
    }
}

impl Thresholds {
    /// The number of thresholds below each value; 0 for NaN.
    #[inline(always)]
    fn search(&self, values: &[f64], ranks: &mut [u16]) {
        // A table of a known length needs no checks: a byte cannot lead out of it.
        let mut table = [f64::INFINITY; 256];
        if self.values.len() <= table.len() {
            table[..self.values.len()].copy_from_slice(&self.values);
            let half = (self.values.len() / 2) as u8;
            let (chunks, rest) = values.as_chunks::<LANES>();
            let (rank_chunks, rest_ranks) = ranks.as_chunks_mut::<LANES>();
            for (values, ranks) in chunks.iter().zip(rank_chunks) {
                *ranks = search_bytes(&table, half, values);
            }
            for (value, rank) in rest.iter().zip(rest_ranks) {
                [*rank] = search_bytes(&table, half, &[*value]);
            }
            return;
        }
        for (value, rank) in values.iter().zip(ranks) {
            *rank = self.values.partition_point(|threshold| threshold < value) as u16;
        }
    }
}

/// A binary search without branches, in as many lanes as there are values; it begins with `half` of a power of two.
#[inline(always)]
fn search_bytes<const LANES: usize>(table: &[f64; 256], half: u8, values: &[f64; LANES]) -> [u16; LANES] {
    let mut ranks = [0_u8; LANES];
    let mut half = half;
    while half > 0 {
        for (rank, value) in ranks.iter_mut().zip(values) {
            let threshold = table[usize::from(*rank | (half - 1))];
            *rank |= if threshold < *value { half } else { 0 };
        }
        half /= 2;
    }
    ranks.map(u16::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(thresholds: &[f64], value: f64) -> u16 {
        let mut values = thresholds.to_vec();
        values.resize((thresholds.len() + 1).next_power_of_two(), f64::INFINITY);
        let mut found = [0; 9];
        Thresholds { values, count: thresholds.len() }.search(&[value; 9], &mut found);
        assert!(found.iter().all(|other| *other == found[0]));
        found[0]
    }

    #[test]
    fn a_rank_is_the_number_of_thresholds_below() {
        for count in [0, 1, 2, 3, 7, 8, 254, 255, 256, 5000] {
            let thresholds: Vec<f64> = (0..count).map(|i| f64::from(i) * 0.5).collect();
            for i in 0..count {
                let at = f64::from(i) * 0.5;
                assert_eq!(rank(&thresholds, at), i as u16, "{count}");
                assert_eq!(rank(&thresholds, at.next_up()), i as u16 + 1, "{count}");
            }
            assert_eq!(rank(&thresholds, f64::INFINITY), count as u16);
            assert_eq!(rank(&thresholds, f64::NEG_INFINITY), 0);
            assert_eq!(rank(&thresholds, f64::NAN), 0);
        }
        assert_eq!(rank(&[f64::NEG_INFINITY, 0.0, f64::INFINITY], -0.0), 1);
        assert_eq!(rank(&[f64::NEG_INFINITY, 0.0, f64::INFINITY], f64::INFINITY), 2);
        assert_eq!(rank(&[f64::NEG_INFINITY], f64::NEG_INFINITY), 0);
    }

    #[test]
    fn only_whole_numbers_below_the_limit_are_codes() {
        assert_eq!([0.0, -0.0, 253.0].map(code), [0, 0, 253]);
        assert_eq!([-1.0, 0.5, 254.0, 1e300, f64::INFINITY, f64::NEG_INFINITY].map(code), [NO_CODE; 6]);
        assert_eq!(code(f64::NAN), MISSING_CODE);
    }

    #[test]
    fn integers_are_in_the_order_of_ranks() {
        assert!((0..=255).map(<i8 as Rank>::of).is_sorted_by(|a, b| a < b));
        assert!((0..=65535).map(<i16 as Rank>::of).is_sorted_by(|a, b| a < b));
        assert!((0..=255).all(|leaf| i8::of_leaf(leaf).leaf() == leaf && i16::of_leaf(leaf).leaf() == leaf));
    }
}
