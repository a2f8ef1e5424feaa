//! Which rows are held out.
//!
//! A split sees rows in canonical order, so that it does not depend on how they arrived.

use super::workers::Workers;
use super::{Split, random};
use crate::limits::ROWS_PER_PIECE;

/// Splits `order` into the rows to train on and the rows held out, both still in canonical order. `decider` has the split
/// column's value for each row in the order of arrival.
pub(super) fn apply(
    split: &Split,
    seed: u64,
    order: Vec<u32>,
    decider: Option<Vec<f64>>,
    workers: &Workers,
) -> (Vec<u32>, Vec<u32>) {
    apply_to(split, seed, order, decider.as_deref(), workers)
}

/// [`apply`] with a column that others need too.
pub(super) fn apply_to(
    split: &Split,
    seed: u64,
    order: Vec<u32>,
    decider: Option<&[f64]>,
    workers: &Workers,
) -> (Vec<u32>, Vec<u32>) {
    let part = |order, held_out: &(dyn Fn(usize, u32) -> bool + Sync)| part(order, held_out, workers);
    match (split, decider) {
        (Split::Random(share), _) => part(order, &|place, _| random::uniform(seed, place as u64) < *share),
        (Split::Time { held_out, .. }, Some(times)) => {
            let from = first_held_out(order.iter().map(|row| times[*row as usize]).collect(), *held_out);
            part(order, &|_, row| from.is_some_and(|from| times[row as usize] >= from))
        }
        (Split::Column(_), Some(flags)) => part(order, &|_, row| flags[row as usize] == 1.0),
        _ => (order, Vec::new()),
    }
}

/// The time from which rows are held out: at least the share `held_out`, rounded up to a whole row, and all of an instant.
fn first_held_out(mut times: Vec<f64>, held_out: f64) -> Option<f64> {
    let count = (held_out * times.len() as f64).ceil() as usize;
    let first = times.len().checked_sub(count)?;
    match count {
        0 => None,
        _ => Some(*times.select_nth_unstable_by(first, f64::total_cmp).1),
    }
}

fn part(order: Vec<u32>, held_out: &(dyn Fn(usize, u32) -> bool + Sync), workers: &Workers) -> (Vec<u32>, Vec<u32>) {
    let pieces = workers.map(order.len().div_ceil(ROWS_PER_PIECE), |piece| {
        let start = piece * ROWS_PER_PIECE;
        let rows = &order[start..order.len().min(start + ROWS_PER_PIECE)];
        let (mut train, mut held) = (Vec::with_capacity(rows.len()), Vec::new());
        for (place, row) in (start..).zip(rows) {
            if held_out(place, *row) { held.push(*row) } else { train.push(*row) }
        }
        (train, held)
    });
    let mut parts = (Vec::with_capacity(order.len()), Vec::new());
    for (train, held) in pieces {
        parts.0.extend(train);
        parts.1.extend(held);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(split: &Split, seed: u64, order: Vec<u32>, decider: Option<Vec<f64>>) -> (Vec<u32>, Vec<u32>) {
        super::apply(split, seed, order, decider, &Workers::new(1).unwrap())
    }

    fn by_time(times: &[f64], held_out: f64) -> (Vec<u32>, Vec<u32>) {
        let split = Split::Time { column: "t".into(), held_out };
        apply(&split, 0, (0..times.len() as u32).collect(), Some(times.to_vec()))
    }

    #[test]
    fn the_last_share_by_time_is_held_out() {
        assert_eq!(by_time(&[5.0, 1.0, 4.0, 2.0, 3.0], 0.4), (vec![1, 3, 4], vec![0, 2]));
        // 30 % of 5 rows are 1.5 rows: two are held out.
        assert_eq!(by_time(&[5.0, 1.0, 4.0, 2.0, 3.0], 0.3).1, [0, 2]);
        assert_eq!(by_time(&[1.0, 2.0], 0.0), (vec![0, 1], vec![]));
    }

    #[test]
    fn rows_of_one_instant_stay_together() {
        assert_eq!(by_time(&[1.0, 2.0, 2.0, 2.0], 0.25), (vec![0], vec![1, 2, 3]));
        assert_eq!(by_time(&[7.0, 7.0], 0.5).0, Vec::<u32>::new());
    }

    #[test]
    fn random_and_column_splits_keep_the_order() {
        let (train, held) = apply(&Split::Random(0.5), 3, (0..1000).collect(), None);
        assert!(train.is_sorted() && held.is_sorted() && train.len() + held.len() == 1000);
        assert!((400..600).contains(&held.len()));
        assert_eq!(apply(&Split::Random(0.5), 3, (0..1000).collect(), None).1, held);
        assert_ne!(apply(&Split::Random(0.5), 4, (0..1000).collect(), None).1, held);
        let column = apply(&Split::Column("c".into()), 0, vec![2, 0, 1], Some(vec![1.0, 0.0, 1.0]));
        assert_eq!(column, (vec![1], vec![2, 0]));
        assert_eq!(apply(&Split::None, 0, vec![1, 0], None), (vec![1, 0], vec![]));
    }
}
