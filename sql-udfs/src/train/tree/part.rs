//! Rows into two sides, each in the order in which they were.

use super::bins::{CODES, Column};
use super::draft::Codes;

/// Moves the rows whose code is in a set before the others; gives how many they are. `spare` is as long as `rows`.
pub(crate) fn part(rows: &mut [u32], spare: &mut [u32], column: &Column, yes: &Codes) -> usize {
    let count = match column.wide.as_slice() {
        [] => divide(rows, spare, &column.codes, &yes.table()),
        wide => divide_by(rows, spare, |row| yes.contains(wide[row as usize])),
    };
    gather(spare, count, rows);
    count
}

/// Writes the rows whose code is in a table to the front of `out`, and the others to its end in reverse; gives how many
/// are in front.
pub(crate) fn divide(rows: &[u32], out: &mut [u32], codes: &[u8], yes: &[bool; CODES]) -> usize {
    divide_by(rows, out, |row| yes[usize::from(codes[row as usize])])
}

fn divide_by(rows: &[u32], out: &mut [u32], follows_yes: impl Fn(u32) -> bool) -> usize {
    let (mut front, mut back) = (0, rows.len());
    for row in rows {
        let yes = follows_yes(*row);
        // One store and no branch: which way a row goes cannot be foreseen.
        back -= usize::from(!yes);
        out[if yes { front } else { back }] = *row;
        front += usize::from(yes);
    }
    front
}

/// Copies what [`divide`] wrote, with the rows at the end in order again.
fn gather(divided: &[u32], count: usize, rows: &mut [u32]) {
    let (front, back) = rows.split_at_mut(count);
    front.copy_from_slice(&divided[..count]);
    back.iter_mut().zip(divided[count..].iter().rev()).for_each(|(out, row)| *out = *row);
}

#[cfg(test)]
mod tests {
    use super::super::bins::Fineness;
    use super::*;

    #[test]
    fn both_sides_keep_their_order() {
        let values: Vec<f64> = (0..300).map(|row| if row == 4 { f64::NAN } else { f64::from(row) }).collect();
        for bins in [100, 300] {
            let column = Column::new(&values, 0, Fineness::of(bins));
            let mut rows = [5, 0, 4, 299, 2, 200];
            let yes = Codes::up_to(column.code(5), true);
            assert_eq!(part(&mut rows, &mut [0; 6], &column, &yes), 4);
            assert_eq!(rows, [5, 0, 4, 2, 299, 200]);
            assert_eq!(part(&mut [], &mut [], &column, &yes), 0);
        }
    }
}
