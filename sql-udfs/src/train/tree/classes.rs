//! The best cut of a node by one feature where there are more than two classes.
//!
//! A bin has a packed weight and count for each class. Numbers are cut in their order. Texts have no order in which the
//! best division is a prefix; those by the share of each of the frequent classes are tried.

use super::bins::{CODES, Column, MISSING};
use super::direct::{Statistic, better};
use super::draft::{Codes, Cut};
use super::leaves::Leaves;

/// Classes by whose share texts are ordered, the most frequent ones.
const ORDERS_MAX: usize = 8;
/// Places to a row above which the codes of rows are sorted, rather than looked for among all.
const PLACES_PER_ROW_MAX: usize = 8;

/// The class and the weight of each row, and what cuts must keep to.
pub(crate) struct Classes<'a> {
    pub codes: &'a [u32],
    /// The number of classes.
    pub count: usize,
    /// What each row weighs; 1 where nothing is given.
    pub weights: Option<&'a [f64]>,
    /// Entropy in place of Gini impurity.
    pub entropy: bool,
    pub rows_min: u64,
    pub leaves: Leaves<'a>,
}

/// What a thread computes with: tables with a row of weights for each bin.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Of all bins, one class after another.
    weights: Vec<f64>,
    rows: Vec<u64>,
    total: Vec<f64>,
    total_rows: u64,
    yes: Vec<f64>,
    no: Vec<f64>,
    /// The bins of the feature that is summed up; the place after them is that of missing values.
    bins: usize,
}

impl Scratch {
    /// Where the sums of a code are.
    fn place(&self, code: u16) -> usize {
        usize::from(code).min(self.bins)
    }
}

impl Statistic for Classes<'_> {
    type Scratch = Scratch;

    fn is_pure(&self, rows: &[u32]) -> bool {
        self.leaves.is_pure(rows)
    }

    fn leaf(&self, rows: &[u32], values: &mut Vec<f64>) {
        self.leaves.values(rows, values);
    }

    fn enter(&self, rows: &[u32], scratch: &mut Scratch) {
        scratch.total.clear();
        scratch.total.resize(self.count, 0.0);
        for row in rows {
            scratch.total[self.codes[*row as usize] as usize] += self.weight(*row);
        }
        scratch.total_rows = rows.len() as u64;
    }

    fn best(
        &self,
        (feature, column): (usize, &Column),
        rows: &[u32],
        chance: Option<f64>,
        scratch: &mut Scratch,
    ) -> (bool, Option<Cut>) {
        let occupied = self.fill(column, rows, scratch);
        let cut = match (occupied.len() > 1, column.is_categorical()) {
            (false, _) => None,
            (true, true) => self.of_texts(feature, occupied.clone(), chance, scratch),
            (true, false) => self.of_numbers(feature, column, &occupied, chance, scratch),
        };
        // The table is emptied where it was filled.
        for code in &occupied {
            let place = scratch.place(*code);
            scratch.rows[place] = 0;
            scratch.weights[place * self.count..(place + 1) * self.count].fill(0.0);
        }
        (occupied.len() > 1, cut)
    }
}

/// One side of a cut: its weights by class, and its rows.
type Side<'a> = (&'a [f64], u64);

impl Classes<'_> {
    fn weight(&self, row: u32) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row as usize])
    }

    /// Sums up some rows; gives the codes that they have, in ascending order.
    fn fill(&self, column: &Column, rows: &[u32], scratch: &mut Scratch) -> Vec<u16> {
        scratch.bins = if column.wide.is_empty() { CODES - 1 } else { column.bins.count() };
        let places = scratch.bins + 1;
        if scratch.rows.len() < places {
            scratch.rows.resize(places, 0);
            scratch.weights.resize(places * self.count, 0.0);
        }
        let mut add = |row: u32, place: usize| {
            scratch.rows[place] += 1;
            scratch.weights[place * self.count + self.codes[row as usize] as usize] += self.weight(row);
        };
        match column.wide.as_slice() {
            [] => rows.iter().for_each(|row| add(*row, usize::from(column.codes[*row as usize]))),
            wide => rows.iter().for_each(|row| add(*row, usize::from(wide[*row as usize]).min(places - 1))),
        }
        if rows.len() * PLACES_PER_ROW_MAX < places {
            let mut codes: Vec<u16> = rows.iter().map(|row| column.code(*row as usize)).collect();
            codes.sort_unstable();
            codes.dedup();
            return codes;
        }
        let codes = (0_u16..).take(scratch.bins).chain([MISSING]);
        codes.zip(&scratch.rows).filter(|(_, rows)| **rows > 0).map(|(code, _)| code).collect()
    }

    /// What grows as classes part: `Σ n²/N` for Gini impurity, `Σ n ln(n/N)` for entropy.
    fn purity(&self, weights: &[f64]) -> f64 {
        let sum: f64 = weights.iter().sum();
        match self.entropy {
            false => weights.iter().map(|n| n * n).sum::<f64>() / sum,
            true => weights.iter().filter(|n| **n > 0.0).map(|n| n * libm::log(n / sum)).sum(),
        }
    }

    fn gain(&self, yes: Side<'_>, no: Side<'_>, whole: f64) -> Option<f64> {
        let gain = self.purity(yes.0) + self.purity(no.0) - whole;
        (yes.1 >= self.rows_min && no.1 >= self.rows_min && !gain.is_nan()).then_some(gain.max(0.0))
    }

    /// Goes through the prefixes of some bins; `visit` gets how many bins there are in front, and both sides.
    fn prefixes(&self, order: &[u16], scratch: &mut Scratch, mut visit: impl FnMut(usize, Side<'_>, Side<'_>)) {
        let Scratch { weights, rows, total, total_rows, yes, no, bins } = scratch;
        yes.clear();
        yes.resize(self.count, 0.0);
        let mut yes_rows = 0;
        for (before, code) in order.iter().enumerate() {
            let at = usize::from(*code).min(*bins);
            let bin = &weights[at * self.count..(at + 1) * self.count];
            yes.iter_mut().zip(bin).for_each(|(sum, weight)| *sum += weight);
            no.clear();
            no.extend(total.iter().zip(&*yes).map(|(total, yes)| (total - yes).max(0.0)));
            yes_rows += rows[at];
            visit(before + 1, (yes, yes_rows), (no, *total_rows - yes_rows));
        }
    }

    fn of_numbers(
        &self,
        feature: usize,
        column: &Column,
        occupied: &[u16],
        chance: Option<f64>,
        scratch: &mut Scratch,
    ) -> Option<Cut> {
        let (missing, known) = match occupied.split_last() {
            Some((&MISSING, known)) => (true, known),
            _ => (false, occupied),
        };
        let whole = self.purity(&scratch.total);
        let at_chance = match (chance, known) {
            (Some(share), [lowest, .., highest]) => Some(column.bins.threshold_at(*lowest, *highest, share)),
            _ => None,
        };
        let only = at_chance.map(|(below, _)| known.partition_point(|code| *code <= below));
        let mut best: Option<Cut> = None;
        for missing_yes in [false, true] {
            if missing_yes && !missing {
                continue;
            }
            let order: Vec<u16> = missing_yes.then_some(MISSING).into_iter().chain(known.iter().copied()).collect();
            self.prefixes(&order, scratch, |bins, yes, no| {
                let bins = bins - usize::from(missing_yes);
                // A missing value alone is on the other side than all that is known.
                if bins == 0 || no.1 == 0 || only.is_some_and(|only| only != bins) {
                    return;
                }
                let Some(gain) = self.gain(yes, no, whole) else { return };
                let below = known[bins - 1];
                let threshold = match at_chance {
                    Some((_, threshold)) => threshold,
                    None => known.get(bins).map_or(f64::INFINITY, |above| column.bins.threshold(below, *above)),
                };
                let codes = Codes::up_to(below, missing_yes || (!missing && yes.1 >= no.1));
                best = better(best, Some(Cut { feature, yes: codes, threshold, gain }));
            });
        }
        best
    }

    fn of_texts(&self, feature: usize, mut order: Vec<u16>, chance: Option<f64>, scratch: &mut Scratch) -> Option<Cut> {
        let whole = self.purity(&scratch.total);
        let mut classes: Vec<usize> = (0..self.count).collect();
        classes.sort_by(|a, b| scratch.total[*b].total_cmp(&scratch.total[*a]).then(a.cmp(b)));
        classes.truncate(if chance.is_some() { 1 } else { ORDERS_MAX });
        let mut best: Option<Cut> = None;
        for class in classes {
            let share = |code: &u16, scratch: &Scratch| {
                let at = scratch.place(*code) * self.count;
                scratch.weights[at + class] / scratch.weights[at..at + self.count].iter().sum::<f64>()
            };
            match chance {
                Some(chance) => order.sort_by_key(|code| super::cut::scattered(*code, chance)),
                None => order.sort_by(|a, b| share(a, scratch).total_cmp(&share(b, scratch)).then(a.cmp(b))),
            }
            let only = chance.map(|chance| 1 + (chance * (order.len() - 1) as f64) as usize);
            self.prefixes(&order, scratch, |bins, yes, no| {
                if no.1 == 0 || only.is_some_and(|only| only != bins) {
                    return;
                }
                let Some(gain) = self.gain(yes, no, whole) else { return };
                // What the node saw none of goes with the majority: it is named by the smaller side.
                let named = if yes.1 > no.1 { &order[bins..] } else { &order[..bins] };
                let yes = Codes::of_texts(named.iter().copied()).naming_texts(order.iter().copied());
                best = better(best, Some(Cut { feature, yes, threshold: 0.0, gain }));
            });
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::super::bins::Fineness;
    use super::*;

    fn best(codes: &[u32], column: &Column, entropy: bool) -> Option<Cut> {
        let count = 3;
        let leaves = Leaves::Classes { codes, count, weights: None };
        let classes = Classes { codes, count, weights: None, entropy, rows_min: 1, leaves };
        let rows: Vec<u32> = (0..codes.len() as u32).collect();
        let mut scratch = Scratch::default();
        classes.enter(&rows, &mut scratch);
        let first = classes.best((0, column), &rows, None, &mut scratch).1;
        // The table is clean again.
        assert_eq!(classes.best((0, column), &rows, None, &mut scratch).1, first);
        first
    }

    #[test]
    fn numbers_of_three_classes_by_hand() {
        let column = Column::new(&[1.0, 2.0, 3.0, 4.0, f64::NAN], 0, Fineness::of(255));
        // The two of class 0 against one each of the others, with whom the missing one goes.
        let cut = best(&[0, 0, 1, 2, 2], &column, false).unwrap();
        assert_eq!((cut.threshold, cut.yes.contains(MISSING)), (2.5, false));
        // Σ n²/N: 4/2 + (1 + 4)/3 less (4 + 1 + 4)/5.
        assert!((cut.gain - (2.0 + 5.0 / 3.0 - 9.0 / 5.0)).abs() < 1e-12);
        let cut = best(&[0, 0, 1, 2, 0], &column, true).unwrap();
        assert_eq!((cut.threshold, cut.yes.contains(MISSING)), (2.5, true));
        // Nothing but missing values on a side.
        let cut = best(&[0, 0, 0, 0, 2], &column, false).unwrap();
        assert_eq!((cut.threshold, cut.yes.contains(MISSING)), (f64::INFINITY, false));
    }

    #[test]
    fn texts_of_three_classes() {
        let column = Column::new(&[0.0, 1.0, 2.0, 1.0, 0.0, 2.0], 3, Fineness::of(255));
        let cut = best(&[1, 0, 2, 0, 1, 2], &column, false).unwrap();
        assert!((cut.gain - 2.0).abs() < 1e-12, "{}", cut.gain);
        // All that are known against what is missing.
        let column = Column::new(&[0.0, 1.0, 1.0, f64::NAN], 2, Fineness::of(255));
        let cut = best(&[0, 0, 0, 2], &column, false).unwrap();
        assert_eq!([0, 1, MISSING].map(|code| cut.yes.contains(code)), [true, true, false]);
        assert_eq!(best(&[1, 0, 2], &Column::new(&[1.0; 3], 2, Fineness::of(255)), false), None);
    }
}
