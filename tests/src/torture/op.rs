//! A statement of the torture: as SQL, and as what it does to a table that is a map.
//!
//! Each is a function of the state of its own table and of nothing else, so that doing them to the map in the order of
//! the log gives what the table must have. Ids are there once. It knows nothing of who asks for them and when.

use std::collections::{BTreeMap, BTreeSet};

/// A row without its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// A number that statements change and ask for.
    pub n: i64,
    /// The part: the partition, where the table has some.
    pub p: i64,
}

/// A table, by id.
pub type Rows = BTreeMap<i64, Row>;

/// Parts are 0 to 3.
pub const PARTS: i64 = 4;

/// A statement.
#[derive(Debug, Clone)]
pub enum Op {
    /// `INSERT INTO … VALUES` of new ids.
    Append(Rows),
    /// The same by a Flight ingest.
    Ingest(Rows),
    /// `n + add` where `id % modulus = 0`.
    Update {
        /// Which ids.
        modulus: i64,
        /// How much.
        add: i64,
    },
    /// The next part for those with `id % modulus = 0`.
    Move(i64),
    /// Rows with an `n` of at least this.
    DeleteFrom(i64),
    /// Rows with an `n` above the average, which a subquery finds.
    DeleteAboveAverage,
    /// The rows of a part.
    DeletePart(i64),
    /// Every row.
    Truncate,
    /// A source of ids that are there or not: some matched rows go, some change, and new ones below 0 come.
    Merge(Rows),
    /// Rows that the source does not have go.
    MergeBySource(BTreeSet<i64>),
    /// These rows and no other.
    Overwrite(Rows),
    /// These rows in place of those in the same partitions; for a partitioned table.
    OverwritePartitions(Rows),
    /// These rows, all of the part, in place of the part's.
    Replace(i64, Rows),
    /// No row changes.
    Optimize,
    /// No row changes; for a partitioned table.
    OptimizePart(i64),
    /// No row changes.
    ZOrder,
    /// The table as it was.
    Restore(u64),
}

fn values(rows: &Rows) -> String {
    rows.iter().map(|(id, row)| format!("({id}, {}, {})", row.n, row.p)).collect::<Vec<_>>().join(", ")
}

impl Op {
    /// The statement; an ingest's is the insert that it amounts to.
    pub fn sql(&self, t: &str) -> String {
        match self {
            Op::Append(rows) | Op::Ingest(rows) => format!("INSERT INTO {t} VALUES {}", values(rows)),
            Op::Update { modulus, add } => format!("UPDATE {t} SET n = n + {add} WHERE id % {modulus} = 0"),
            Op::Move(modulus) => format!("UPDATE {t} SET p = (p + 1) % {PARTS} WHERE id % {modulus} = 0"),
            Op::DeleteFrom(n) => format!("DELETE FROM {t} WHERE n >= {n}"),
            Op::DeleteAboveAverage => format!("DELETE FROM {t} WHERE n > (SELECT avg(n) FROM {t})"),
            Op::DeletePart(p) => format!("DELETE FROM {t} WHERE p = {p}"),
            Op::Truncate => format!("TRUNCATE TABLE {t}"),
            Op::Merge(rows) => format!(
                "MERGE INTO {t} AS t USING (VALUES {}) AS s(id, n, p) ON t.id = s.id \
                 WHEN MATCHED AND s.n % 3 = 0 THEN DELETE \
                 WHEN MATCHED THEN UPDATE SET n = t.n + s.n \
                 WHEN NOT MATCHED AND s.id < 0 THEN INSERT *",
                values(rows)
            ),
            Op::MergeBySource(ids) => {
                let ids: Vec<_> = ids.iter().map(|id| format!("({id})")).collect();
                format!(
                    "MERGE INTO {t} AS t USING (VALUES {}) AS s(id) ON t.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
                    ids.join(", ")
                )
            }
            Op::Overwrite(rows) => format!("INSERT OVERWRITE {t} VALUES {}", values(rows)),
            Op::OverwritePartitions(rows) => format!("INSERT OVERWRITE {t} PARTITION (p) VALUES {}", values(rows)),
            Op::Replace(p, rows) => format!("INSERT INTO {t} REPLACE WHERE p = {p} VALUES {}", values(rows)),
            Op::Optimize => format!("OPTIMIZE {t}"),
            Op::OptimizePart(p) => format!("OPTIMIZE {t} WHERE p = {p}"),
            Op::ZOrder => format!("OPTIMIZE {t} ZORDER BY (n)"),
            Op::Restore(version) => format!("RESTORE {t} TO VERSION AS OF {version}"),
        }
    }

    /// Whether the statement answers what it did in a row, and no count of rows.
    pub fn answers_rows(&self) -> bool {
        matches!(self, Op::Optimize | Op::OptimizePart(_) | Op::ZOrder | Op::Restore(_))
    }

    /// The rows of the version after those, and the count that the statement answers; `None` where the statement makes
    /// no sense there.
    pub fn apply(&self, versions: &[Rows]) -> Option<(Rows, u64)> {
        let mut rows = versions.last()?.clone();
        let before = rows.len();
        let changed = match self {
            Op::Append(new) | Op::Ingest(new) => {
                rows.extend(new);
                new.len()
            }
            Op::Update { modulus, add } => change(&mut rows, |id, _| id % modulus == 0, |row| row.n += add),
            Op::Move(modulus) => change(&mut rows, |id, _| id % modulus == 0, |row| row.p = (row.p + 1) % PARTS),
            Op::DeleteFrom(n) => remove(&mut rows, |_, row| row.n >= *n),
            Op::DeleteAboveAverage => {
                let average = rows.values().map(|row| row.n).sum::<i64>() as f64 / before as f64;
                remove(&mut rows, |_, row| row.n as f64 > average)
            }
            Op::DeletePart(p) => remove(&mut rows, |_, row| row.p == *p),
            Op::Truncate => remove(&mut rows, |_, _| true),
            Op::Merge(source) => merge(&mut rows, source),
            Op::MergeBySource(ids) => remove(&mut rows, |id, _| !ids.contains(&id)),
            Op::Overwrite(new) => {
                rows.clone_from(new);
                new.len()
            }
            Op::OverwritePartitions(new) => {
                remove(&mut rows, |_, row| new.values().any(|other| other.p == row.p));
                rows.extend(new);
                new.len()
            }
            Op::Replace(p, new) => {
                remove(&mut rows, |_, row| row.p == *p);
                rows.extend(new);
                new.len()
            }
            Op::Optimize | Op::OptimizePart(_) | Op::ZOrder => 0,
            Op::Restore(version) => {
                rows.clone_from(versions.get(usize::try_from(*version).ok()?)?);
                0
            }
        };
        Some((rows, changed as u64))
    }
}

fn change(rows: &mut Rows, which: impl Fn(i64, &Row) -> bool, to: impl Fn(&mut Row)) -> usize {
    let chosen = rows.iter_mut().filter(|(id, row)| which(**id, row));
    chosen.map(|(_, row)| to(row)).count()
}

fn remove(rows: &mut Rows, which: impl Fn(i64, &Row) -> bool) -> usize {
    let before = rows.len();
    rows.retain(|id, row| !which(*id, row));
    before - rows.len()
}

/// Ids from 0 are for writers to bring: one that a merge brought would be there twice after them.
fn merge(rows: &mut Rows, source: &Rows) -> usize {
    let mut changed = source.len();
    for (id, new) in source {
        match rows.get_mut(id) {
            Some(_) if new.n % 3 == 0 => drop(rows.remove(id)),
            Some(row) => row.n += new.n,
            None if *id < 0 => drop(rows.insert(*id, *new)),
            None => changed -= 1,
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(of: &[(i64, i64, i64)]) -> Rows {
        of.iter().map(|(id, n, p)| (*id, Row { n: *n, p: *p })).collect()
    }

    /// By hand, so that the oracle is not its own witness.
    #[test]
    fn the_model_does_what_the_statements_say() {
        let versions = [rows(&[(9, 9, 3)]), rows(&[(1, 10, 0), (2, 20, 1), (4, 90, 1)])];
        for (op, expected, count) in [
            (Op::Append(rows(&[(5, 1, 1)])), rows(&[(1, 10, 0), (2, 20, 1), (4, 90, 1), (5, 1, 1)]), 1),
            (Op::Update { modulus: 2, add: -5 }, rows(&[(1, 10, 0), (2, 15, 1), (4, 85, 1)]), 2),
            (Op::Move(4), rows(&[(1, 10, 0), (2, 20, 1), (4, 90, 2)]), 1),
            (Op::DeleteAboveAverage, rows(&[(1, 10, 0), (2, 20, 1)]), 1),
            (Op::DeletePart(1), rows(&[(1, 10, 0)]), 2),
            (
                Op::Merge(rows(&[(1, 3, 2), (2, 1, 2), (-7, 3, 2), (8, 1, 1)])),
                rows(&[(-7, 3, 2), (2, 21, 1), (4, 90, 1)]),
                3,
            ),
            (Op::MergeBySource([2, 3].into()), rows(&[(2, 20, 1)]), 2),
            (Op::OverwritePartitions(rows(&[(8, 8, 0)])), rows(&[(2, 20, 1), (4, 90, 1), (8, 8, 0)]), 1),
            (Op::Replace(1, rows(&[(8, 8, 1)])), rows(&[(1, 10, 0), (8, 8, 1)]), 1),
            (Op::Restore(0), rows(&[(9, 9, 3)]), 0),
        ] {
            assert_eq!(op.apply(&versions), Some((expected, count)), "{op:?}");
        }
        assert_eq!(Op::Restore(2).apply(&versions), None);
    }
}
