//! Where each row of the query goes: its place among the training or the held-out rows, in canonical order.
//!
//! Values are put there batch by batch, in the order in which they arrive, so that no column is copied twice. It knows
//! nothing of what the values are.

/// The place of a row that is left out.
const NOWHERE: u32 = u32::MAX;

/// The places of all rows of a query.
#[derive(Debug)]
pub(super) struct Places {
    train: usize,
    held_out: usize,
    /// For each row in the order of arrival its place, where those of held-out rows follow those of training rows.
    of: Vec<u32>,
}

impl Places {
    /// The places of `total` rows, of which two lists give the numbers in canonical order; the others are left out.
    pub fn new(total: usize, train: &[u32], held_out: &[u32]) -> Self {
        let mut of = vec![NOWHERE; total];
        for (place, row) in (0_u32..).zip(train.iter().chain(held_out)) {
            of[*row as usize] = place;
        }
        Places { train: train.len(), held_out: held_out.len(), of }
    }

    /// The number of training rows.
    pub fn train(&self) -> usize {
        self.train
    }

    /// The number of training rows and held-out rows.
    pub fn len(&self) -> usize {
        self.train + self.held_out
    }

    /// Whether a row is a training row.
    pub fn trains(&self, row: usize) -> bool {
        (self.of[row] as usize) < self.train
    }

    /// Puts the values of the rows from `start` where they go.
    pub fn put<T: Copy>(&self, start: usize, values: impl Iterator<Item = T>, all: &mut [T]) {
        for (place, value) in self.of[start..].iter().zip(values) {
            if let Some(slot) = all.get_mut(*place as usize) {
                *slot = value;
            }
        }
    }

    /// The values of the training rows and of the held-out rows.
    pub fn part<T>(&self, mut all: Vec<T>) -> [Vec<T>; 2] {
        let held_out = all.split_off(self.train);
        all.shrink_to_fit();
        [all, held_out]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_where_their_rows_go() {
        let places = Places::new(5, &[3, 0], &[4]);
        let mut all = vec!['-'; places.len()];
        places.put(0, "ab".chars(), &mut all);
        places.put(2, "cde".chars(), &mut all);
        assert_eq!(places.part(all), [vec!['d', 'a'], vec!['e']]);
        let trains: Vec<bool> = (0..5).map(|row| places.trains(row)).collect();
        assert_eq!(trains, [true, false, false, true, false]);
        assert_eq!(places.train(), 2);
    }
}
