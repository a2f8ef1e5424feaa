//! The best cut of a node by one feature, where a gradient and a weight are summed up per bin.
//!
//! Numbers are cut between two bins that are next to each other in the node; texts are put into the order of their means
//! first, in which the best of all two-sided divisions is a prefix (Fisher 1958). Rows with a missing value go to the side
//! that they fit better. It knows nothing of how sums come about.

use super::bins::{Column, MISSING};
use super::cells::{Cell, Sums, Units};
use super::draft::{Codes, Cut};

/// Gains that differ by less than this share are ties, which rounding must not decide.
const TIE: f64 = 1e-12;
/// A category with fewer rows in a node follows `no`, where means of categories are smoothed.
const ROWS_PER_CATEGORY_MIN: u64 = 10;

/// The bins of one feature that a node has rows in, ascending, the missing ones apart.
#[derive(Debug, Clone)]
pub(crate) struct Occupied<C> {
    pub codes: Vec<u16>,
    /// The sums of each.
    pub cells: Vec<C>,
    /// The sums of the rows with a missing value, where there are some.
    pub missing: Option<C>,
}

impl<C> Default for Occupied<C> {
    fn default() -> Self {
        Occupied { codes: Vec::new(), cells: Vec::new(), missing: None }
    }
}

impl<C: Cell> Occupied<C> {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.codes.clear();
        self.cells.clear();
        self.missing = None;
    }

    /// Adds rows of a code, which is that of the last call or a greater one.
    pub fn add(&mut self, code: u16, cell: C) {
        if code == MISSING {
            self.missing = Some(self.missing.map_or(cell, |missing| missing.plus(cell)));
            return;
        }
        match self.cells.last_mut() {
            Some(last) if self.codes.last() == Some(&code) => *last = last.plus(cell),
            _ => {
                self.codes.push(code);
                self.cells.push(cell);
            }
        }
    }
}

/// What is maximised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Criterion {
    /// `Σ gradient² / (weight + l2)` over sides: least squares, Gini impurity of two classes, and Newton steps.
    Squares { l2: f64 },
    /// Less entropy of two classes, where the gradient is the second one's weight.
    Entropy,
}

/// Which way a prediction may go as a feature grows, and what a node's value may be because of cuts above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Monotone {
    /// 1 for up, -1 for down, 0 for either.
    pub direction: i8,
    pub low: f64,
    pub high: f64,
}

impl Monotone {
    /// Either way, any value.
    pub const FREE: Monotone = Monotone { direction: 0, low: f64::NEG_INFINITY, high: f64::INFINITY };

    fn is_free(self) -> bool {
        self == Self::FREE
    }
}

/// What a cut must keep to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search<'a> {
    pub units: &'a Units,
    pub criterion: Criterion,
    /// The fewest rows of a side.
    pub rows_min: u64,
    /// The least weight of a side.
    pub weight_min: f64,
    /// Whether a cut that gains nothing is none.
    pub must_gain: bool,
    /// Rows of no effect that each text's mean is taken with, so that rare texts do not come first.
    pub smoothing: f64,
}

/// A way to cut.
#[derive(Debug, Clone, Copy)]
struct Way {
    gain: f64,
    /// Occupied bins in the `yes` side.
    bins: usize,
    missing_yes: bool,
}

impl Search<'_> {
    /// The best cut by a feature; the one at a share of the way between the least and the greatest bin, where one is
    /// given. `total` is what the node's rows sum up to.
    pub fn best<C: Cell>(
        &self,
        (feature, column): (usize, &Column),
        occupied: &Occupied<C>,
        total: C,
        monotone: Monotone,
        chance: Option<f64>,
    ) -> Option<Cut> {
        if occupied.codes.len() + usize::from(occupied.missing.is_some()) < 2 {
            return None;
        }
        if column.is_categorical() {
            return self.best_of_texts(feature, occupied, total, monotone, chance);
        }
        let codes = occupied.codes.as_slice();
        if let (Some(share), [lowest, .., highest]) = (chance, codes) {
            let (below, threshold) = column.bins.threshold_at(*lowest, *highest, share);
            let bins = codes.partition_point(|code| *code <= below);
            let way = self.scan(&occupied.cells, occupied.missing, total, monotone, Some(bins))?;
            return Some(cut_of_numbers(feature, way, below, threshold));
        }
        let way = self.scan(&occupied.cells, occupied.missing, total, monotone, None)?;
        let below = codes[way.bins - 1];
        let threshold = codes.get(way.bins).map_or(f64::INFINITY, |above| column.bins.threshold(below, *above));
        Some(cut_of_numbers(feature, way, below, threshold))
    }

    /// The best prefix of ordered bins, or the one of a given length.
    fn scan<C: Cell>(
        &self,
        cells: &[C],
        missing: Option<C>,
        total: C,
        monotone: Monotone,
        only: Option<usize>,
    ) -> Option<Way> {
        if let (Criterion::Squares { l2 }, None, None, true) = (self.criterion, missing, only, monotone.is_free()) {
            return self.scan_squares(cells, total, l2);
        }
        let whole = self.score(total.sums(self.units), Monotone::FREE)?.0;
        let mut best: Option<Way> = None;
        let mut offer = |yes: C, bins: usize, missing_yes: bool| {
            let sides = [yes.sums(self.units), total.minus(yes).sums(self.units)];
            if let Some(gain) = self.gain(sides, whole, monotone)
                && best.is_none_or(|best| gain > best.gain + TIE * best.gain)
            {
                // Where training saw nothing missing, a missing value goes with the majority.
                let missing_yes = if missing.is_some() { missing_yes } else { sides[0].rows >= sides[1].rows };
                best = Some(Way { gain, bins, missing_yes });
            }
        };
        let mut yes = C::default();
        for (before, cell) in cells.iter().enumerate() {
            yes = yes.plus(*cell);
            let bins = before + 1;
            if only.is_some_and(|only| only != bins) {
                continue;
            }
            match missing {
                // Everything known against everything missing.
                Some(_) if bins == cells.len() => offer(yes, bins, false),
                Some(missing) => {
                    offer(yes, bins, false);
                    offer(yes.plus(missing), bins, true);
                }
                None if bins < cells.len() => offer(yes, bins, false),
                None => {}
            }
        }
        best
    }

    /// [`Search::scan`] for the most frequent case, without a division for each bin.
    fn scan_squares<C: Cell>(&self, cells: &[C], total: C, l2: f64) -> Option<Way> {
        let whole = total.sums(self.units);
        let (rows_max, weight_max) = (whole.rows.checked_sub(self.rows_min)?, whole.weight - self.weight_min);
        // The best sum of both sides' contributions so far, and whose it is.
        let (mut best, mut way) = (f64::NEG_INFINITY, None);
        let mut yes_cell = C::default();
        for (before, cell) in cells[..cells.len().saturating_sub(1)].iter().enumerate() {
            yes_cell = yes_cell.plus(*cell);
            let yes = yes_cell.sums(self.units);
            if yes.rows < self.rows_min || yes.weight < self.weight_min {
                continue;
            }
            if yes.rows > rows_max || yes.weight > weight_max {
                break;
            }
            let no = total.minus(yes_cell).sums(self.units);
            let weights = (yes.weight + l2, no.weight + l2);
            let both = weights.0 * weights.1;
            let contributed = yes.gradient * yes.gradient * weights.1 + no.gradient * no.gradient * weights.0;
            if both > 0.0 && contributed > best * both {
                let sum = contributed / both;
                // The first of those that rounding alone tells apart.
                if sum > best + TIE * sum {
                    (best, way) = (sum, Some((before + 1, yes.rows >= no.rows)));
                }
            }
        }
        let (bins, missing_yes) = way?;
        let gain = best - whole.gradient * whole.gradient / (whole.weight + l2);
        // What rounding makes of no gain at all is none.
        let counts = !gain.is_nan() && (gain > TIE * best || !self.must_gain);
        counts.then_some(Way { gain: gain.max(0.0), bins, missing_yes })
    }

    /// What a side contributes, and the value that it predicts within bounds.
    fn score(&self, side: Sums, monotone: Monotone) -> Option<(f64, f64)> {
        match self.criterion {
            Criterion::Squares { l2 } => {
                let weight = side.weight + l2;
                if weight <= 0.0 {
                    return None;
                }
                let free = -side.gradient / weight;
                if free >= monotone.low && free <= monotone.high {
                    return Some((side.gradient * side.gradient / weight, free));
                }
                let value = free.clamp(monotone.low, monotone.high);
                Some((-(2.0 * side.gradient + weight * value) * value, value))
            }
            Criterion::Entropy => {
                let second = side.gradient * self.units.gradient_scale;
                let part = |weight: f64| if weight > 0.0 { weight * libm::log(weight / side.weight) } else { 0.0 };
                Some((part(second) + part(side.weight - second), 0.0))
            }
        }
    }

    fn gain(&self, sides: [Sums; 2], whole: f64, monotone: Monotone) -> Option<f64> {
        let allowed = |side: &Sums| side.rows >= self.rows_min && side.weight >= self.weight_min;
        if !sides.iter().all(allowed) {
            return None;
        }
        let [(yes, yes_value), (no, no_value)] = [self.score(sides[0], monotone)?, self.score(sides[1], monotone)?];
        let against = match monotone.direction {
            0 => false,
            1 => yes_value > no_value,
            _ => yes_value < no_value,
        };
        let gain = yes + no - whole;
        // What rounding makes of no gain at all is none.
        let noise = TIE * (yes.abs() + no.abs());
        match !against && !gain.is_nan() && (gain > noise || !self.must_gain) {
            true => Some(gain.max(0.0)),
            false => None,
        }
    }

    fn best_of_texts<C: Cell>(
        &self,
        feature: usize,
        occupied: &Occupied<C>,
        total: C,
        monotone: Monotone,
        chance: Option<f64>,
    ) -> Option<Cut> {
        // A missing value is one more text.
        let known = occupied.codes.iter().copied().zip(occupied.cells.iter().copied());
        let missing = occupied.missing.map(|cell| (MISSING, cell));
        let whole = total.sums(self.units);
        let scale = whole.weight / whole.rows as f64 * self.smoothing;
        let rows_min = if self.smoothing > 0.0 { ROWS_PER_CATEGORY_MIN } else { 1 };
        let mut ordered: Vec<(f64, u16, C)> = known
            .chain(missing)
            .filter_map(|(code, cell)| {
                let sums = cell.sums(self.units);
                (sums.rows >= rows_min).then_some((sums.gradient / (sums.weight + scale), code, cell))
            })
            .collect();
        ordered.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        // By chance: some place in an order that has nothing to do with the target.
        let only = chance.map(|share| {
            ordered.sort_by_key(|(_, code, _)| scattered(*code, share));
            1 + (share * (ordered.len().max(2) - 1) as f64) as usize
        });
        let cells: Vec<C> = ordered.iter().map(|(_, _, cell)| *cell).collect();
        let way = self.scan(&cells, None, total, monotone, only).or_else(|| {
            // All that are frequent enough against the rest.
            let rest = ordered.len() < occupied.codes.len() + usize::from(occupied.missing.is_some());
            let sum = cells.iter().fold(C::default(), |sum, cell| sum.plus(*cell));
            rest.then(|| self.scan(&[sum, total.minus(sum)], None, total, monotone, None))
                .flatten()
                .map(|way| Way { bins: cells.len(), ..way })
        })?;
        let (inside, outside) = ordered.split_at(way.bins);
        let sum = inside.iter().fold(C::default(), |sum, (_, _, cell)| sum.plus(*cell)).sums(self.units);
        // What the node saw none of goes with the majority: it is named by the smaller side.
        let all_are_ordered = ordered.len() == occupied.codes.len() + usize::from(occupied.missing.is_some());
        let named = if sum.rows * 2 > whole.rows && all_are_ordered { outside } else { inside };
        let yes = Codes::of_texts(named.iter().map(|(_, code, _)| *code));
        let yes = yes.naming_texts(occupied.codes.iter().copied());
        Some(Cut { feature, yes, threshold: 0.0, gain: way.gain })
    }
}

/// A place of a code in an order that a number decides.
pub(super) fn scattered(code: u16, share: f64) -> u64 {
    let key = share.to_bits() ^ u64::from(code).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    key ^ (key >> 27)
}

fn cut_of_numbers(feature: usize, way: Way, below: u16, threshold: f64) -> Cut {
    Cut { feature, yes: Codes::up_to(below, way.missing_yes), threshold, gain: way.gain }
}

#[cfg(test)]
mod tests {
    use super::super::bins::Fineness;
    use super::super::cells::Wide;
    use super::*;

    /// Rows of (code, gradient, weight).
    fn found(rows: &[(u16, f64, f64)], column: &Column, search: &Search<'_>, monotone: Monotone) -> Option<Cut> {
        let (mut occupied, mut total) = (Occupied::default(), Wide::default());
        for (code, gradient, weight) in rows {
            let cell = Wide::pack(*gradient, *weight, search.units);
            occupied.add(*code, cell);
            total = total.plus(cell);
        }
        search.best((0, column), &occupied, total, monotone, None)
    }

    fn search(units: &Units) -> Search<'_> {
        let criterion = Criterion::Squares { l2: 0.0 };
        Search { units, criterion, rows_min: 1, weight_min: 0.0, must_gain: false, smoothing: 0.0 }
    }

    fn numbers() -> Column {
        Column::new(&(0..10).map(f64::from).collect::<Vec<_>>(), 0, Fineness::of(255))
    }

    #[test]
    fn the_best_cut_wins_and_ties_go_to_the_lowest() {
        let units = Units::new(100, 1.0, 1.0);
        let rows = [(0, 1.0, 1.0), (0, 1.0, 1.0), (3, 1.0, 1.0), (7, 0.0, 1.0), (7, 0.0, 1.0)];
        let cut = found(&rows, &numbers(), &search(&units), Monotone::FREE).unwrap();
        assert_eq!((cut.threshold, cut.yes.contains(3), cut.yes.contains(4)), (5.0, true, false));
        // 3²/3 - 3²/5, in squared shares of the scale.
        let scale = units.gradient_scale * units.gradient_scale;
        assert!((cut.gain * scale - (3.0 - 9.0 / 5.0)).abs() < 1e-9, "{}", cut.gain);
        assert!(cut.yes.contains(MISSING));
        // 1 0 1: both cuts are as good.
        let rows = [(0, 1.0, 1.0), (1, 0.0, 1.0), (2, 1.0, 1.0)];
        let cut = found(&rows, &numbers(), &search(&units), Monotone::FREE).unwrap();
        assert_eq!((cut.threshold, cut.yes.contains(MISSING)), (0.5, false));
        // No rows on a side, or too few, or too little weight, or nothing gained.
        assert_eq!(found(&[(4, 1.0, 1.0), (4, 0.0, 1.0)], &numbers(), &search(&units), Monotone::FREE), None);
        let few = Search { rows_min: 2, ..search(&units) };
        assert_eq!(found(&rows, &numbers(), &few, Monotone::FREE), None);
        let light = Search { weight_min: 1.5, ..search(&units) };
        assert_eq!(found(&rows, &numbers(), &light, Monotone::FREE), None);
        let gaining = Search { must_gain: true, ..search(&units) };
        let equal = [(0, 0.3, 1.0), (1, 0.3, 1.0), (2, 0.3, 1.0)];
        assert_eq!(found(&equal, &numbers(), &gaining, Monotone::FREE), None);
        assert!(found(&equal, &numbers(), &search(&units), Monotone::FREE).is_some());
    }

    #[test]
    fn missing_values_go_where_they_fit() {
        let units = Units::new(100, 1.0, 1.0);
        let side = |missing: f64| {
            let rows = [(0, 1.0, 1.0), (1, 0.0, 1.0), (MISSING, missing, 1.0)];
            found(&rows, &numbers(), &search(&units), Monotone::FREE).unwrap().yes.contains(MISSING)
        };
        assert!(side(1.0) && !side(0.0));
        let rows = [(0, 1.0, 1.0), (1, 1.0, 1.0), (MISSING, 0.0, 1.0)];
        let cut = found(&rows, &numbers(), &search(&units), Monotone::FREE).unwrap();
        assert_eq!((cut.threshold, cut.yes.contains(MISSING)), (f64::INFINITY, false));
    }

    #[test]
    fn texts_are_divided_by_their_means() {
        let units = Units::new(100, 1.0, 1.0);
        let column = Column::new(&[0.0, 1.0, 2.0, 3.0], 4, Fineness::of(255));
        let rows = [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 0.0, 1.0), (2, 0.9, 1.0), (3, 0.1, 1.0), (MISSING, 0.0, 1.0)];
        let cut = found(&rows, &column, &search(&units), Monotone::FREE).unwrap();
        // {0, 2} against {1, 3, missing}: the smaller side is named.
        assert_eq!([0, 1, 2, 3, MISSING].map(|code| cut.yes.contains(code)), [true, false, true, false, false]);
    }

    #[test]
    fn texts_against_missing_values_are_named() {
        let units = Units::new(100, 1.0, 1.0);
        let column = Column::new(&[0.0, 1.0], 2, Fineness::of(255));
        let rows = [(0, 1.0, 1.0), (0, 1.0, 1.0), (1, 1.0, 1.0), (MISSING, 0.0, 1.0)];
        let cut = found(&rows, &column, &search(&units), Monotone::FREE).unwrap();
        assert_eq!([0, 1, MISSING].map(|code| cut.yes.contains(code)), [true, true, false]);
    }

    #[test]
    fn a_constraint_is_kept() {
        let units = Units::new(100, 1.0, 1.0);
        let rows = [(0, 1.0, 1.0), (1, 0.0, 1.0), (2, 0.5, 1.0), (3, -0.9, 1.0)];
        // Values are minus the gradient: -1, 0, -0.5, 0.9.
        let cut = |direction| {
            let monotone = Monotone { direction, ..Monotone::FREE };
            found(&rows, &numbers(), &search(&units), monotone).map(|cut| cut.threshold)
        };
        assert_eq!((cut(0), cut(1), cut(-1)), (Some(2.5), Some(2.5), None));
        // Within bounds a side that would leave them contributes less.
        let bounded = Monotone { direction: 0, low: -0.01, high: f64::INFINITY };
        let gain = found(&rows, &numbers(), &search(&units), bounded).unwrap().gain;
        assert!(gain < found(&rows, &numbers(), &search(&units), Monotone::FREE).unwrap().gain);
    }

    #[test]
    fn entropy_by_hand() {
        let units = Units::new(100, 1.0, 1.0);
        let entropy = Search { criterion: Criterion::Entropy, ..search(&units) };
        let rows = [(0, 1.0, 1.0), (0, 1.0, 1.0), (1, 0.0, 1.0), (1, 0.0, 1.0)];
        let cut = found(&rows, &numbers(), &entropy, Monotone::FREE).unwrap();
        assert!((cut.gain - 4.0 * 2.0_f64.ln()).abs() < 1e-12);
    }
}
