//! One writer's choices: the same for the same seed, whatever the others do meanwhile.
//!
//! It knows nothing of how its statements are sent.

use std::collections::BTreeSet;

use super::op::{Op, PARTS, Row, Rows};
use crate::choices::Choices;

/// The writers that work at once.
pub const WRITERS: u64 = 8;
/// The tables, and what follows their columns where they are made.
pub const TABLES: [(&str, &str); 3] = [
    ("plain", ""),
    ("parted", "PARTITIONED BY (p)"),
    ("feed", "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"),
];
/// The table that has partitions.
pub const PARTED: usize = 1;
/// The table that has a change data feed.
pub const FEED: usize = 2;
/// Versions that every table has before the writers begin.
pub const FIRST_VERSIONS: u64 = 4;

/// Ids of one writer's new rows are this far from the next one's.
const IDS: i64 = 1_000_000;
/// Ids that only merges bring, which all writers share: -1 to this.
const SHARED_IDS: u64 = 40;

/// A writer.
#[derive(Debug)]
pub struct Writer {
    choices: Choices,
    next_id: i64,
    /// The versions that each table has for certain: the first, and those of the appends of this writer that were answered.
    versions: [u64; TABLES.len()],
}

impl Writer {
    /// The writer of this number.
    pub fn new(seed: u64, number: u64) -> Self {
        let choices = Choices::new(seed.wrapping_mul(WRITERS).wrapping_add(number));
        Writer { choices, next_id: IDS * (1 + number as i64), versions: [FIRST_VERSIONS; TABLES.len()] }
    }

    /// What is to be known of an answer: an append makes a version whatever the others do.
    pub fn answered(&mut self, table: usize, op: &Op) {
        if matches!(op, Op::Append(_) | Op::Ingest(_)) {
            self.versions[table] += 1;
        }
    }

    fn n(&mut self) -> i64 {
        self.choices.below(1000) as i64
    }

    fn part(&mut self) -> i64 {
        self.choices.below(PARTS as u64) as i64
    }

    fn row(&mut self) -> Row {
        Row { n: self.n(), p: self.part() }
    }

    fn new_rows(&mut self, at_most: u64) -> Rows {
        let mut rows = Rows::new();
        for _ in 0..1 + self.choices.below(at_most) {
            self.next_id += 1;
            rows.insert(self.next_id, self.row());
        }
        rows
    }

    /// The next table and what is done to it.
    pub fn next(&mut self) -> (usize, Op) {
        let table = self.choices.index(TABLES.len());
        (table, self.op(table))
    }

    fn op(&mut self, table: usize) -> Op {
        match self.choices.below(100) {
            0..18 => Op::Append(self.new_rows(8)),
            18..26 => Op::Ingest(self.new_rows(8)),
            26..38 => Op::Update { modulus: 1 + self.choices.below(7) as i64, add: 1 + self.choices.below(9) as i64 },
            38..42 => Op::Move(2 + self.choices.below(7) as i64),
            42..52 => Op::DeleteFrom(700 + self.n() / 2),
            52..54 => Op::DeleteAboveAverage,
            54..58 => Op::DeletePart(self.part()),
            58..59 => Op::Truncate,
            59..73 => self.merge(),
            73..76 => self.merge_by_source(),
            76..79 => Op::Overwrite(self.new_rows(20)),
            79..86 => self.replace(table),
            86..91 => Op::Optimize,
            91..93 if table == PARTED => Op::OptimizePart(self.part()),
            91..95 => Op::ZOrder,
            _ => Op::Restore(self.choices.below(self.versions[table] + 1)),
        }
    }

    /// Some rows of anybody's, and some that only merges have.
    fn merge(&mut self) -> Op {
        let mut rows = Rows::new();
        for _ in 0..1 + self.choices.below(6) {
            let id = match self.choices.below(2) {
                0 => -1 - self.choices.below(SHARED_IDS) as i64,
                _ => self.some_id(),
            };
            rows.insert(id, self.row());
        }
        Op::Merge(rows)
    }

    /// Keeps what merges brought and a part of the ids of the writers.
    fn merge_by_source(&mut self) -> Op {
        let mut ids: BTreeSet<i64> = (1..=SHARED_IDS as i64).map(|id| -id).collect();
        ids.extend((0..200).map(|_| self.some_id()));
        Op::MergeBySource(ids)
    }

    /// An id near the newest of some writer, as far as this one can tell.
    fn some_id(&mut self) -> i64 {
        let newest = self.next_id % IDS;
        let writer = 1 + self.choices.below(WRITERS) as i64;
        writer * IDS + (newest - self.choices.below(30) as i64).max(1)
    }

    fn replace(&mut self, table: usize) -> Op {
        if table == PARTED && self.choices.below(2) == 0 {
            return Op::OverwritePartitions(self.new_rows(3));
        }
        let p = self.part();
        let rows = self.new_rows(4).into_iter().map(|(id, row)| (id, Row { p, ..row }));
        Op::Replace(p, rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_those_of_the_seed() {
        let draw = |seed| {
            let mut writer = Writer::new(seed, 3);
            (0..50).map(|_| format!("{:?}", writer.next())).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
