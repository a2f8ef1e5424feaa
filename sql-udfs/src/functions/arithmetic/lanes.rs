//! Whole columns of sums and differences at once, with one flag for all rows that says whether any wrapped.
//!
//! A branch in every row keeps compilers from using vector instructions. So all rows are computed wrapping, and the sign
//! that only a wrapped result has is collected beside them; where it is set, the caller computes again row by row, and
//! finds which one it was, or that it was a NULL's. It knows nothing of errors.
//!
//! Source: H. S. Warren, "Hacker's Delight", 2-13, overflow detection of signed add and subtract.

use std::ops::{BitAnd, BitOr, BitXor};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Datum, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::ArrowNativeTypeOp;

use super::Operation;

/// What a signed integer has.
trait Signed: ArrowNativeTypeOp + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> {}

impl Signed for i64 {}
impl Signed for i32 {}

/// `left operation right` for columns of `T`, or for a column and a value; `None` where a row may have wrapped, where
/// there is nothing to gain, and for other types.
#[expect(private_bounds, reason = "only this module says which types it is for")]
pub fn whole<T>(operation: Operation, left: &dyn Datum, right: &dyn Datum) -> Option<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: Signed,
{
    let ((left, left_is_one), (right, right_is_one)) = (left.get(), right.get());
    let (left, right) = (left.as_primitive_opt::<T>()?, right.as_primitive_opt::<T>()?);
    let usable = match (left_is_one, right_is_one) {
        (false, false) => left.len() == right.len(),
        (false, true) => right.is_valid(0),
        (true, false) => left.is_valid(0),
        (true, true) => false,
    };
    if !usable {
        return None;
    }
    let (a, b) = (Side::of(left.values(), left_is_one)?, Side::of(right.values(), right_is_one)?);
    let values = match operation {
        Operation::Plus => both(a, b, sum)?,
        Operation::Minus => both(a, b, difference)?,
        Operation::Multiply => return None,
    };
    let nulls = match (left_is_one, right_is_one) {
        (false, false) => NullBuffer::union(left.nulls(), right.nulls()),
        (false, true) => left.nulls().cloned(),
        _ => right.nulls().cloned(),
    };
    Some(Arc::new(PrimitiveArray::<T>::try_new(values.into(), nulls).ok()?))
}

/// The sum, and a number that is negative where it wrapped: both operands have the sign that the sum has not.
fn sum<N: Signed>(a: N, b: N) -> (N, N) {
    let sum = a.add_wrapping(b);
    (sum, (a ^ sum) & (b ^ sum))
}

/// The same of the difference: the operands have different signs, and the difference has not the first one's.
fn difference<N: Signed>(a: N, b: N) -> (N, N) {
    let difference = a.sub_wrapping(b);
    (difference, (a ^ b) & (a ^ difference))
}

/// An operand.
enum Side<'a, N> {
    Column(&'a [N]),
    One(N),
}

impl<'a, N: Copy> Side<'a, N> {
    fn of(values: &'a [N], is_one: bool) -> Option<Self> {
        match is_one {
            true => values.first().copied().map(Side::One),
            false => Some(Side::Column(values)),
        }
    }
}

/// Every loop has its operation in it, not a pointer to one.
fn both<N: Signed>(a: Side<'_, N>, b: Side<'_, N>, operation: impl Fn(N, N) -> (N, N)) -> Option<Vec<N>> {
    match (a, b) {
        (Side::Column(a), Side::Column(b)) => all(a.iter().zip(b).map(|(a, b)| operation(*a, *b))),
        (Side::Column(a), Side::One(b)) => all(a.iter().map(|a| operation(*a, b))),
        (Side::One(a), Side::Column(b)) => all(b.iter().map(|b| operation(a, *b))),
        (Side::One(_), Side::One(_)) => None,
    }
}

fn all<N: Signed>(results: impl ExactSizeIterator<Item = (N, N)>) -> Option<Vec<N>> {
    let mut wrapped = N::ZERO;
    let mut values = Vec::with_capacity(results.len());
    values.extend(results.map(|(value, sign)| {
        wrapped = wrapped | sign;
        value
    }));
    wrapped.is_ge(N::ZERO).then_some(values)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array, Scalar};
    use arrow::compute::kernels::numeric;
    use arrow::datatypes::{Int32Type, Int64Type};

    use super::*;

    const EDGES: [i64; 9] = [i64::MIN, i64::MIN + 1, -2, -1, 0, 1, 2, i64::MAX - 1, i64::MAX];

    #[test]
    fn every_pair_of_edges_is_right_or_left_to_the_caller() {
        for (a, b) in EDGES.into_iter().flat_map(|a| EDGES.map(|b| (a, b))) {
            let (left, right) = (Int64Array::from(vec![0, a]), Int64Array::from(vec![0, b]));
            let one = Scalar::new(Int64Array::from(vec![b]));
            for (operation, expected) in [(Operation::Plus, a.checked_add(b)), (Operation::Minus, a.checked_sub(b))] {
                let found = whole::<Int64Type>(operation, &left, &right);
                let last = |found: &ArrayRef| found.as_primitive::<Int64Type>().value(1);
                assert_eq!(found.as_ref().map(last), expected, "{a} {operation:?} {b}");
                // Zero beside the value may wrap as well, as in `0 - MIN`.
                let zero = match operation {
                    Operation::Minus => 0_i64.checked_sub(b),
                    _ => Some(b),
                };
                let found = whole::<Int64Type>(operation, &left, &one);
                assert_eq!(found.as_ref().map(last), zero.and(expected), "{a} {operation:?} {b} as one value");
            }
        }
    }

    #[test]
    fn nulls_are_the_kernels_own() {
        let left = Int32Array::from(vec![Some(1), None, Some(3), None]);
        let right = Int32Array::from(vec![Some(10), Some(20), None, None]);
        let found = whole::<Int32Type>(Operation::Plus, &left, &right).unwrap();
        assert_eq!(&found, &numeric::add(&left, &right).unwrap());
        let (one, null) = (Scalar::new(Int32Array::from(vec![7])), Scalar::new(Int32Array::from(vec![None])));
        let found = whole::<Int32Type>(Operation::Minus, &one, &left).unwrap();
        assert_eq!(&found, &numeric::sub(&one, &left).unwrap());
        assert!(whole::<Int32Type>(Operation::Plus, &left, &null).is_none());
        assert!(whole::<Int64Type>(Operation::Plus, &left, &right).is_none());
    }
}
