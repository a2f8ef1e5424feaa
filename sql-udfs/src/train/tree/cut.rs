//! The best cut of a node: which feature, between which bins, and where missing values go.

use super::bins::MISSING;
use super::statistics::Statistics;

/// Gains that differ by less than this share of the best are ties, which rounding must not decide.
const TIE: f64 = 1e-12;

/// A cut of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cut {
    pub feature: usize,
    /// The last bin of the lower side.
    pub below: u8,
    /// The first bin of the upper side, or `None` where only missing values are on it.
    pub above: Option<u8>,
    /// Whether missing values go to the lower side.
    pub missing_below: bool,
    pub gain: f64,
}

impl Cut {
    /// Whether a code is on the lower side.
    pub fn is_below(&self, code: u8) -> bool {
        if code == MISSING { self.missing_below } else { code <= self.below }
    }
}

/// The bins of one feature that a node has rows in, ascending, the missing ones apart.
#[derive(Debug, Default)]
pub(crate) struct OccupiedBins {
    pub bins: Vec<u8>,
    /// The statistics of each, one after another.
    pub sums: Vec<f64>,
    /// The statistics of the missing values; all 0 where there are none.
    pub missing: Vec<f64>,
}

impl OccupiedBins {
    /// Forgets everything and makes room for statistics of this width.
    pub fn clear(&mut self, width: usize) {
        self.bins.clear();
        self.sums.clear();
        self.missing.clear();
        self.missing.resize(width, 0.0);
    }

    /// The statistics of a code, which is that of the last call or a greater one.
    pub fn entry(&mut self, code: u8) -> &mut [f64] {
        let width = self.missing.len();
        if code == MISSING {
            return &mut self.missing;
        }
        if self.bins.last() != Some(&code) {
            self.bins.push(code);
            self.sums.resize(self.sums.len() + width, 0.0);
        }
        let start = self.sums.len() - width;
        &mut self.sums[start..]
    }
}

/// Tries all cuts of a feature; `best` becomes the best of them and what it was.
pub(crate) fn improve(
    best: &mut Option<Cut>,
    feature: usize,
    occupied: &OccupiedBins,
    statistics: &Statistics<'_>,
    rows_min: f64,
) {
    let width = statistics.width();
    let mut below = vec![0.0; width];
    let mut above = vec![0.0; width];
    for sums in occupied.sums.chunks_exact(width) {
        above.iter_mut().zip(sums).for_each(|(total, part)| *total += part);
    }
    let missing = statistics.rows(&occupied.missing) > 0.0;
    let mut with_missing = vec![0.0; width];
    let mut join = |side: &[f64]| {
        with_missing.iter_mut().zip(side.iter().zip(&occupied.missing)).for_each(|(out, (a, b))| *out = a + b);
        with_missing.clone()
    };
    let mut offer = |lower: &[f64], upper: &[f64], cut: Cut| {
        let (rows_lower, rows_upper) = (statistics.rows(lower), statistics.rows(upper));
        if rows_lower < rows_min || rows_upper < rows_min {
            return;
        }
        let gain = statistics.gain(lower, upper);
        if best.is_none_or(|best| gain > best.gain + TIE * best.gain.abs()) {
            // Where training saw nothing missing, a missing value goes with the majority.
            let missing_below = if missing { cut.missing_below } else { rows_lower >= rows_upper };
            *best = Some(Cut { gain, missing_below, ..cut });
        }
    };
    for (i, sums) in occupied.sums.chunks_exact(width).enumerate() {
        below.iter_mut().zip(sums).for_each(|(total, part)| *total += part);
        above.iter_mut().zip(sums).for_each(|(total, part)| *total -= part);
        let next = occupied.bins.get(i + 1).copied();
        let cut = Cut { feature, below: occupied.bins[i], above: next, missing_below: false, gain: 0.0 };
        match (next, missing) {
            (Some(_), false) => offer(&below, &above, cut),
            (Some(_), true) => {
                offer(&below, &join(&above), cut);
                offer(&join(&below), &above, Cut { missing_below: true, ..cut });
            }
            // Everything known against everything missing.
            (None, true) => offer(&below, &occupied.missing, cut),
            (None, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(bins: &[(u8, [f64; 2])], rows_min: f64) -> Option<Cut> {
        let mut occupied = OccupiedBins::default();
        occupied.clear(2);
        for (code, counts) in bins {
            occupied.entry(*code).copy_from_slice(counts);
        }
        let mut best = None;
        let statistics = Statistics::Classes { codes: &[], count: 2, entropy: false };
        improve(&mut best, 0, &occupied, &statistics, rows_min);
        best
    }

    #[test]
    fn the_cleanest_cut_wins_and_ties_go_to_the_lowest() {
        let cut = best(&[(0, [2.0, 0.0]), (3, [1.0, 0.0]), (7, [0.0, 2.0])], 1.0).unwrap();
        assert_eq!((cut.below, cut.above, cut.missing_below), (3, Some(7), true));
        // a b a: both cuts are as good.
        let cut = best(&[(0, [1.0, 0.0]), (1, [0.0, 1.0]), (2, [1.0, 0.0])], 1.0).unwrap();
        assert_eq!((cut.below, cut.missing_below), (0, false));
    }

    #[test]
    fn missing_values_go_where_they_fit() {
        let cut = best(&[(0, [2.0, 0.0]), (1, [0.0, 2.0]), (MISSING, [3.0, 0.0])], 1.0).unwrap();
        assert_eq!((cut.below, cut.above, cut.missing_below), (0, Some(1), true));
        let cut = best(&[(0, [2.0, 0.0]), (1, [0.0, 2.0]), (MISSING, [0.0, 3.0])], 1.0).unwrap();
        assert!(!cut.missing_below);
        let cut = best(&[(0, [2.0, 0.0]), (1, [2.0, 0.0]), (MISSING, [0.0, 3.0])], 1.0).unwrap();
        assert_eq!((cut.below, cut.above, cut.missing_below), (1, None, false));
    }

    #[test]
    fn leaves_do_not_become_too_small() {
        let bins = [(0, [1.0, 0.0]), (1, [0.0, 1.0]), (2, [1.0, 1.0])];
        assert_eq!(best(&bins, 2.0).unwrap().below, 1);
        assert_eq!(best(&bins, 3.0), None);
        assert_eq!(best(&[(4, [5.0, 5.0])], 1.0), None);
    }
}
