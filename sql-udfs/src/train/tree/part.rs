//! Rows into two sides, each in the order in which they were.

use super::bins::CODES;

/// Moves the rows whose code is in a table before the others; gives how many they are. `spare` is as long as `rows`.
pub(crate) fn part(rows: &mut [u32], spare: &mut [u32], codes: &[u8], yes: &[bool; CODES]) -> usize {
    let count = divide(rows, spare, codes, yes);
    gather(spare, count, rows);
    count
}

/// Writes the rows whose code is in a table to the front of `out`, and the others to its end in reverse; gives how many
/// are in front.
pub(crate) fn divide(rows: &[u32], out: &mut [u32], codes: &[u8], yes: &[bool; CODES]) -> usize {
    let (mut front, mut back) = (0, rows.len());
    for row in rows {
        let yes = yes[usize::from(codes[*row as usize])];
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
    use super::*;

    #[test]
    fn both_sides_keep_their_order() {
        let codes = [0, 1, 2, 3, 4, 5];
        let mut rows = [5, 0, 3, 2, 4];
        let yes = std::array::from_fn(|code| code < 3);
        assert_eq!(part(&mut rows, &mut [0; 5], &codes, &yes), 2);
        assert_eq!(rows, [0, 2, 5, 3, 4]);
        assert_eq!(part(&mut [], &mut [], &codes, &yes), 0);
    }
}
