//! Which rows of a version a statement changes, by their places: a bit for each row of the files that it touches.

use std::collections::BTreeMap;

/// The rows that a statement changes.
#[derive(Debug, Default)]
pub struct Marks {
    files: BTreeMap<usize, FileMarks>,
}

/// The rows of one file.
#[derive(Debug, Default)]
struct FileMarks {
    changed: Bits,
    /// Those of them that get values; the others go.
    updated: Bits,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It stays as it is.
    None,
    /// It is written with other values.
    Updated,
    /// It goes.
    Deleted,
}

impl Marks {
    /// Marks a row; `false` where it has a mark.
    pub fn mark(&mut self, file: usize, row: usize, updated: bool) -> bool {
        let marks = self.files.entry(file).or_default();
        if !marks.changed.set(row) {
            return false;
        }
        if updated {
            marks.updated.set(row);
        }
        true
    }

    /// What becomes of a row.
    pub fn of(&self, file: usize, row: usize) -> Mark {
        match self.files.get(&file) {
            Some(marks) if marks.updated.has(row) => Mark::Updated,
            Some(marks) if marks.changed.has(row) => Mark::Deleted,
            _ => Mark::None,
        }
    }

    /// The files with a marked row, ascending.
    pub fn files(&self) -> Vec<usize> {
        self.files.keys().copied().collect()
    }

    /// How many rows are marked.
    pub fn count(&self) -> u64 {
        self.files.values().map(|marks| marks.changed.count).sum()
    }
}

#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    count: u64,
}

impl Bits {
    /// Sets a bit; `false` where it was set.
    fn set(&mut self, at: usize) -> bool {
        let (word, bit) = (at / 64, 1_u64 << (at % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let Some(word) = self.words.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(new);
        new
    }

    fn has(&self, at: usize) -> bool {
        self.words.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_marked_once() {
        let mut marks = Marks::default();
        assert!(marks.mark(3, 64, true) && marks.mark(3, 63, false) && marks.mark(1, 0, false));
        assert!(!marks.mark(3, 64, false) && !marks.mark(3, 63, true));
        assert_eq!((marks.of(3, 64), marks.of(3, 63), marks.of(1, 0)), (Mark::Updated, Mark::Deleted, Mark::Deleted));
        assert_eq!((marks.of(3, 65), marks.of(3, 1_000_000), marks.of(2, 0)), (Mark::None, Mark::None, Mark::None));
        assert_eq!((marks.files(), marks.count()), (vec![1, 3], 3));
    }
}
