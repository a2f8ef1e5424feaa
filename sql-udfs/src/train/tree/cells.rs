//! What is summed up per bin: a gradient, a weight and a count of rows, packed into whole numbers.
//!
//! Numbers are rounded to multiples of a unit that is a power of two, as fine as a sum over all rows allows: 43 bits for a
//! gradient of a million rows, more for fewer. Whole numbers add up to the same sum in any order, so that histograms may
//! be cut up among threads, and a child's is exactly its parent's less its sibling's.

use crate::Result;
use crate::train::algorithm::Context;

/// Rows that are packed at once.
const ROWS_PER_PIECE: usize = 1 << 14;

/// Packed sums of some rows.
pub(crate) trait Cell: Copy + PartialEq + Default + Send + Sync + std::fmt::Debug + 'static {
    /// The sums together.
    fn plus(self, other: Self) -> Self;
    /// The sums without some of the rows.
    fn minus(self, other: Self) -> Self;
    /// The numbers in them.
    fn sums(self, units: &Units) -> Sums;
    /// One row.
    fn pack(gradient: f64, weight: f64, units: &Units) -> Self;
}

/// The numbers of some rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sums {
    /// The sum of gradients, in shares of the greatest.
    pub gradient: f64,
    /// The sum of weights or second derivatives.
    pub weight: f64,
    /// The rows.
    pub rows: u64,
}

/// A gradient above a count of rows, each of which weighs 1.
pub(crate) type Narrow = u64;
/// A gradient; and a weight above a count of rows.
pub(crate) type Wide = [u64; 2];

/// What whole numbers stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Units {
    /// Bits that a count of rows takes.
    count_bits: u32,
    /// One over the unit of gradients in a narrow and a wide cell.
    per_gradient: [f64; 2],
    /// The unit of gradients in a narrow and a wide cell, in shares of the greatest gradient.
    gradient: [f64; 2],
    per_weight: f64,
    weight: f64,
    /// What the shares are of: a power of two that no gradient exceeds.
    pub gradient_scale: f64,
}

impl Units {
    /// Units for sums over so many rows, of gradients and weights up to these.
    pub fn new(rows: usize, gradient_max: f64, weight_max: f64) -> Self {
        let count_bits = usize::BITS - rows.leading_zeros();
        // A sign, and room for as many as there are rows.
        let sum_bits = 63 - count_bits as i32;
        let narrow_bits = sum_bits - count_bits as i32;
        let (gradient_exponent, weight_exponent) = (exponent(gradient_max), exponent(weight_max));
        let unit = |exponent: i32, bits: i32| libm::ldexp(1.0, (exponent - bits).max(UNIT_EXPONENT_MIN));
        let units = [unit(gradient_exponent, narrow_bits), unit(gradient_exponent, sum_bits)];
        let gradient_scale = libm::ldexp(1.0, gradient_exponent);
        let weight = unit(weight_exponent, narrow_bits);
        Units {
            count_bits,
            per_gradient: units.map(|unit| 1.0 / unit),
            gradient: units.map(|unit| unit / gradient_scale),
            per_weight: 1.0 / weight,
            weight,
            gradient_scale,
        }
    }

    /// Whether a narrow cell tells gradients apart as finely as learning needs, given their mean size.
    pub fn narrow_suffices(&self, mean: f64) -> bool {
        mean * self.per_gradient[0] >= NARROW_STEPS_MIN
    }

    /// The most rows whose sums a cell holds.
    fn count_mask(&self) -> u64 {
        (1 << self.count_bits) - 1
    }
}

/// Steps that an average gradient has in a narrow cell, at least.
const NARROW_STEPS_MIN: f64 = 4096.0;
/// Below, one over a unit would be infinite.
const UNIT_EXPONENT_MIN: i32 = -1022;

/// The least power of two above a number.
fn exponent(value: f64) -> i32 {
    if value > 0.0 { libm::frexp(value).1 } else { 0 }
}

/// The nearest whole number.
fn whole(value: f64) -> u64 {
    (value + f64::copysign(0.5, value)) as i64 as u64
}

impl Cell for Narrow {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    fn sums(self, units: &Units) -> Sums {
        let rows = self & units.count_mask();
        let gradient = (self as i64 >> units.count_bits) as f64 * units.gradient[0];
        Sums { gradient, weight: rows as f64, rows }
    }

    fn pack(gradient: f64, _weight: f64, units: &Units) -> Self {
        (whole(gradient * units.per_gradient[0]) << units.count_bits).wrapping_add(1)
    }
}

impl Cell for Wide {
    fn plus(self, other: Self) -> Self {
        [self[0].wrapping_add(other[0]), self[1].wrapping_add(other[1])]
    }

    fn minus(self, other: Self) -> Self {
        [self[0].wrapping_sub(other[0]), self[1].wrapping_sub(other[1])]
    }

    fn sums(self, units: &Units) -> Sums {
        Sums {
            gradient: self[0] as i64 as f64 * units.gradient[1],
            weight: (self[1] >> units.count_bits) as f64 * units.weight,
            rows: self[1] & units.count_mask(),
        }
    }

    fn pack(gradient: f64, weight: f64, units: &Units) -> Self {
        [
            whole(gradient * units.per_gradient[1]),
            (whole(weight * units.per_weight) << units.count_bits).wrapping_add(1),
        ]
    }
}

/// Packs gradients and weights, which are all 1 where none are given, into cells that are there already.
pub(crate) fn pack<C: Cell>(
    gradients: &[f64],
    weights: Option<&[f64]>,
    units: &Units,
    cells: &mut Vec<C>,
    context: &Context<'_>,
) -> Result<()> {
    if cells.len() < gradients.len() {
        context.watch.reserve((gradients.len() - cells.len()) * size_of::<C>())?;
        cells.resize(gradients.len(), C::default());
    }
    let pieces: Vec<(usize, &mut [C])> = cells.chunks_mut(ROWS_PER_PIECE).enumerate().collect();
    context.workers.map_each(pieces, |(piece, cells)| {
        let start = piece * ROWS_PER_PIECE;
        let gradients = &gradients[start..start + cells.len()];
        match weights {
            None => cells.iter_mut().zip(gradients).for_each(|(cell, g)| *cell = C::pack(*g, 1.0, units)),
            Some(weights) => {
                let weights = &weights[start..start + cells.len()];
                let both = gradients.iter().zip(weights);
                cells.iter_mut().zip(both).for_each(|(cell, (g, w))| *cell = C::pack(*g, *w, units));
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed<C: Cell>(rows: &[(f64, f64)], units: &Units) -> C {
        rows.iter().fold(C::default(), |sum, (g, w)| sum.plus(C::pack(*g, *w, units)))
    }

    #[test]
    fn sums_come_back() {
        let rows = [(0.75, 2.0), (-3.5, 0.25), (1.0, 1.0)];
        let units = Units::new(3, 3.5, 2.0);
        let Sums { gradient, weight, rows: count } = summed::<Wide>(&rows, &units).sums(&units);
        assert_eq!((gradient * units.gradient_scale, weight, count), (-1.75, 3.25, 3));
        let Sums { gradient, weight, rows: count } = summed::<Narrow>(&rows, &units).sums(&units);
        assert_eq!((gradient * units.gradient_scale, weight, count), (-1.75, 3.0, 3));
        let without = summed::<Wide>(&rows, &units).minus(summed::<Wide>(&rows[1..], &units));
        assert_eq!(without, Wide::pack(0.75, 2.0, &units));
    }

    #[test]
    fn as_many_of_the_greatest_as_there_are_do_not_overflow() {
        for (count, greatest) in [(1, 1.0), (255, 1e300), (256, 1e-300), (1_000, 0.999_999)] {
            for sign in [1.0, -1.0] {
                let units = Units::new(count, greatest, greatest);
                let rows = vec![(sign * greatest, greatest); count];
                let Sums { gradient, weight, rows: found } = summed::<Wide>(&rows, &units).sums(&units);
                let exact = count as f64;
                assert!((gradient * units.gradient_scale / greatest / exact - sign).abs() < 1e-6, "{gradient}");
                assert!((weight / greatest / exact - 1.0).abs() < 1e-6 && found == count as u64, "{weight}");
                let narrow = summed::<Narrow>(&rows, &units).sums(&units);
                assert!((narrow.gradient * units.gradient_scale / greatest / exact - sign).abs() < 1e-3);
                assert_eq!(narrow.rows, count as u64);
            }
        }
    }
}
