//! Sums of products of columns, tile by tile: the inner loop of least squares and of Newton's method.
//!
//! A tile of products shares the values that it loads, and keeps its sums in registers. Each sum runs in fixed lanes, so
//! that results do not depend on the processor. It knows nothing of what the columns are.

use super::dense::{Symmetric, dot};

/// Columns of the one side of a tile.
const LEFT: usize = 4;
/// Columns of the other side of a tile.
const RIGHT: usize = 2;
/// Columns of the other side that stay in the second-level cache while tiles go along the one side.
const RIGHT_GROUP: usize = 16 * RIGHT;

/// Adds the products of all pairs of a left and a right column, of which only the lower half is needed: the caller knows
/// that the result is symmetric. The sums go to the entries from `at` on.
pub(super) fn add_symmetric(left: &[&[f64]], right: &[&[f64]], at: (usize, usize), sums: &mut Symmetric) {
    add(left, right, true, &mut |i, j, sum| sums.add(at.0 + i, at.1 + j, sum));
}

/// Adds the products of all pairs of a left and a right column.
pub(super) fn add_all(left: &[&[f64]], right: &[&[f64]], at: (usize, usize), sums: &mut Symmetric) {
    add(left, right, false, &mut |i, j, sum| sums.add(at.0 + i, at.1 + j, sum));
}

fn add(left: &[&[f64]], right: &[&[f64]], lower: bool, sum: &mut impl FnMut(usize, usize, f64)) {
    let (tiles, rest) = left.as_chunks::<LEFT>();
    for (group, right) in right.chunks(RIGHT_GROUP).enumerate() {
        let first = group * RIGHT_GROUP;
        let (pairs, single) = right.as_chunks::<RIGHT>();
        for (tile, columns) in tiles.iter().enumerate() {
            let (from, to) = (tile * LEFT, tile * LEFT + LEFT);
            for (pair, others) in (first..).step_by(RIGHT).zip(pairs) {
                if lower && pair >= to {
                    break;
                }
                for (i, of_row) in (from..).zip(products(columns, others)) {
                    (pair..).zip(of_row).filter(|(j, _)| !lower || *j <= i).for_each(|(j, value)| sum(i, j, value));
                }
            }
            for other in single {
                let j = first + pairs.len() * RIGHT;
                for (i, column) in (from..).zip(columns).filter(|(i, _)| !lower || j <= *i) {
                    sum(i, j, dot(column, other));
                }
            }
        }
        for (i, column) in (tiles.len() * LEFT..).zip(rest) {
            for (j, other) in (first..).zip(right).take_while(|(j, _)| !lower || *j <= i) {
                sum(i, j, dot(column, other));
            }
        }
    }
}

/// The products of four columns with two.
fn products(left: &[&[f64]; LEFT], right: &[&[f64]; RIGHT]) -> [[f64; RIGHT]; LEFT] {
    let [a, b, c, d] = left.map(|column| column.as_chunks::<2>());
    let [e, f] = right.map(|column| column.as_chunks::<2>());
    let mut lanes = [[[0.0; 2]; RIGHT]; LEFT];
    for (((((a, b), c), d), e), f) in a.0.iter().zip(b.0).zip(c.0).zip(d.0).zip(e.0).zip(f.0) {
        for (lanes, l) in lanes.iter_mut().zip([a, b, c, d]) {
            for (lanes, r) in lanes.iter_mut().zip([e, f]) {
                lanes[0] += l[0] * r[0];
                lanes[1] += l[1] * r[1];
            }
        }
    }
    let rest = |l: &[f64], r: &[f64]| l.iter().zip(r).map(|(l, r)| l * r).sum::<f64>();
    let mut sums = [[0.0; RIGHT]; LEFT];
    for ((sums, lanes), l) in sums.iter_mut().zip(lanes).zip([a.1, b.1, c.1, d.1]) {
        for ((sum, lanes), r) in sums.iter_mut().zip(lanes).zip([e.1, f.1]) {
            *sum = lanes[0] + lanes[1] + rest(l, r);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_there_once() {
        for width in [1, 2, 3, 4, 5, 7, 8, 33, 70] {
            let columns: Vec<Vec<f64>> =
                (0..width).map(|c| (0..11).map(|row| ((c * 7 + row * 3) % 10) as f64).collect()).collect();
            let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let (mut half, mut all) = (Symmetric::zeros(width), Symmetric::zeros(2 * width));
            add_symmetric(&columns, &columns, (0, 0), &mut half);
            add_all(&columns, &columns, (width, 0), &mut all);
            for (i, left) in columns.iter().enumerate() {
                for (j, right) in columns.iter().enumerate() {
                    // Whole numbers: every order of additions gives the same.
                    let expected: f64 = left.iter().zip(*right).map(|(l, r)| l * r).sum();
                    assert_eq!((half.at(i, j), all.at(width + i, j)), (expected, expected), "{i} {j} of {width}");
                }
            }
        }
    }
}
