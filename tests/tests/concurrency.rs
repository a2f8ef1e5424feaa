//! Two writers of one table: each pair of statements ends as if one had come after the other, whoever is first.
//!
//! The pairs are those of the table of measured races of delta-rs, where some doubled rows and some brought deleted ones
//! back. The other writer of the first test knows nothing of Limn and makes the next version when Limn's statement is
//! about to; in the second both are Limn's. The last runs eight writers at random against a model in memory:
//! `LIMN_TORTURE_SEED` and `LIMN_TORTURE_OPS` say which and how many, and a failure says the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use limn_server::Class;
use limn_tests::choices::Choices;
use limn_tests::engine::{self, TestEngine};
use limn_tests::rival::{Rival, RivalDisk, commit};
use limn_tests::torture::setting;
use limn_tests::{Context, Outcome, ensure};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A table `(id, n)`: ids are there once.
type Model = BTreeMap<i64, i64>;

/// A statement, as SQL and as what it does to the model.
#[derive(Debug, Clone)]
enum Op {
    /// New ids with their values.
    Append(Vec<(i64, i64)>),
    /// `n + add` where `id % modulus = 0`.
    Update { modulus: i64, add: i64 },
    /// Rows with an `n` of at least this.
    DeleteFrom(i64),
    /// Rows with an `n` above the average.
    DeleteAboveAverage,
    /// Every row.
    DeleteAll,
    /// Values for ids, which are there or not.
    Merge(Vec<(i64, i64)>),
    /// Ids that the source does not have go; the others stay.
    MergeBySource(Vec<i64>),
    /// These rows and no other.
    Overwrite(Vec<(i64, i64)>),
    /// These for those with an `n` of at least this.
    Replace(i64, Vec<(i64, i64)>),
}

fn values(rows: &[(i64, i64)]) -> String {
    rows.iter().map(|(id, n)| format!("({id}, {n})")).collect::<Vec<_>>().join(", ")
}

impl Op {
    fn sql(&self, t: &str) -> String {
        match self {
            Op::Append(rows) => format!("INSERT INTO {t} VALUES {}", values(rows)),
            Op::Update { modulus, add } => format!("UPDATE {t} SET n = n + {add} WHERE id % {modulus} = 0"),
            Op::DeleteFrom(n) => format!("DELETE FROM {t} WHERE n >= {n}"),
            Op::DeleteAboveAverage => format!("DELETE FROM {t} WHERE n > (SELECT avg(n) FROM {t})"),
            Op::DeleteAll => format!("DELETE FROM {t}"),
            Op::Merge(rows) => format!(
                "MERGE INTO {t} AS t USING (VALUES {}) AS s(id, n) ON t.id = s.id \
                 WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT *",
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
            Op::Replace(n, rows) => format!("INSERT INTO {t} REPLACE WHERE n >= {n} VALUES {}", values(rows)),
        }
    }

    /// Does it to the model; the count that the statement answers.
    fn apply(&self, model: &mut Model) -> u64 {
        let before = model.len();
        let changed = match self {
            Op::Append(rows) => {
                model.extend(rows.iter().copied());
                rows.len()
            }
            Op::Update { modulus, add } => {
                let mut touched = 0;
                for (_, n) in model.iter_mut().filter(|(id, _)| *id % modulus == 0) {
                    *n += add;
                    touched += 1;
                }
                touched
            }
            Op::DeleteFrom(from) => {
                model.retain(|_, n| *n < *from);
                before - model.len()
            }
            Op::DeleteAboveAverage => {
                let average = model.values().sum::<i64>() as f64 / before as f64;
                model.retain(|_, n| *n as f64 <= average);
                before - model.len()
            }
            Op::DeleteAll => {
                model.clear();
                before
            }
            Op::Merge(rows) => {
                model.extend(rows.iter().copied());
                rows.len()
            }
            Op::MergeBySource(ids) => {
                model.retain(|id, _| ids.contains(id));
                before - model.len()
            }
            Op::Overwrite(rows) => {
                *model = rows.iter().copied().collect();
                rows.len()
            }
            Op::Replace(from, rows) => {
                model.retain(|_, n| *n < *from);
                model.extend(rows.iter().copied());
                rows.len()
            }
        };
        changed as u64
    }
}

/// One of each, over the rows of [`START`].
fn one_of_each() -> Vec<Op> {
    vec![
        Op::Append(vec![(7, 70)]),
        Op::Update { modulus: 2, add: 5 },
        Op::DeleteFrom(30),
        Op::DeleteAboveAverage,
        Op::DeleteAll,
        Op::Merge(vec![(1, 100), (8, 80)]),
        Op::MergeBySource(vec![2, 3, 9]),
        Op::Overwrite(vec![(6, 60)]),
        Op::Replace(20, vec![(5, 50), (4, 44)]),
    ]
}

/// The rows of each of the first files.
const START: [[(i64, i64); 2]; 2] = [[(1, 10), (2, 20)], [(3, 30), (4, 40)]];

fn start() -> Model {
    START.iter().flatten().copied().collect()
}

async fn filled(engine: &TestEngine, t: &str) -> Outcome {
    engine.run(&format!("CREATE TABLE {t} (id BIGINT, n BIGINT)")).await?;
    for rows in START {
        engine.run(&format!("INSERT INTO {t} VALUES {}", values(&rows))).await?;
    }
    Ok(())
}

async fn content(engine: &TestEngine, t: &str) -> Outcome<Vec<(i64, i64)>> {
    let rows = engine.rows(&format!("SELECT id, n FROM {t} ORDER BY id, n")).await?;
    rows.iter().map(|row| Ok((row[0].parse()?, row[1].parse()?))).collect()
}

fn pairs(model: &Model) -> Vec<(i64, i64)> {
    model.iter().map(|(id, n)| (*id, *n)).collect()
}

/// What the writer that is not Limn does first.
#[derive(Debug, Clone, Copy)]
enum First {
    Append,
    Delete,
    Overwrite,
    Update,
    Optimize,
}

impl First {
    /// The commit, and what it does to the model.
    fn prepare(self, own: &Rival, extra: &Rival, model: &mut Model) -> Outcome<Vec<u8>> {
        let files = own.files()?;
        let nine = own.copied(extra, &extra.files()?[0], "rival-9.parquet")?;
        Ok(match self {
            First::Append => {
                model.insert(9, 90);
                commit("WRITE", &[], &[nine], true)
            }
            First::Delete => {
                model.retain(|id, _| *id > 2);
                commit("DELETE", &files[..1], &[], true)
            }
            First::Overwrite => {
                *model = Model::from([(9, 90)]);
                commit("WRITE", &files, &[nine], true)
            }
            First::Update => {
                model.retain(|id, _| *id > 2);
                model.insert(9, 90);
                commit("UPDATE", &files[..1], &[nine], true)
            }
            First::Optimize => {
                let copied = |(n, file)| own.copied(own, file, &format!("rival-{n}.parquet"));
                let rewritten: Outcome<Vec<_>> = (0..2).zip(&files).map(copied).collect();
                commit("OPTIMIZE", &files, &rewritten?, false)
            }
        })
    }
}

/// Statements that meet a version which they have not read, made by somebody who holds no lane.
#[test]
fn a_statement_that_lost_the_race_to_another_writer_is_done_on_what_that_left() -> Outcome {
    engine::block_on(async {
        for first in [First::Append, First::Delete, First::Overwrite, First::Update, First::Optimize] {
            for second in one_of_each() {
                let disk = RivalDisk::default();
                let engine = TestEngine::open_with(Arc::new(disk.clone())).await?;
                filled(&engine, "t").await?;
                let own = Rival::new(engine.tables()?.pop().context("a table")?);
                engine.run("CREATE TABLE extra AS SELECT CAST(9 AS BIGINT) AS id, CAST(90 AS BIGINT) AS n").await?;
                let mut tables = engine.tables()?.into_iter().map(Rival::new);
                let other = tables.find(|table| table.commits().is_ok_and(|commits| commits.len() == 1));
                let mut model = start();
                disk.arm(first.prepare(&own, &other.context("the other table")?, &mut model)?);
                let expected = second.apply(&mut model);
                let what = format!("{first:?}, then {second:?}");
                let changed = engine.change(&second.sql("t")).await.1.context(&what)?;
                ensure(!disk.is_armed(), || format!("{what}: the other writer did not come first"))?;
                ensure(changed == expected, || format!("{what}: expected {expected} rows, found {changed}"))?;
                let found = content(&engine, "t").await?;
                ensure(found == pairs(&model), || format!("{what}: expected {model:?}, found {found:?}"))?;
                own.files().context(&what)?;
            }
        }
        Ok(())
    })
}

/// Both statements are Limn's and run at once.
#[test]
fn two_statements_at_once_are_as_if_one_after_the_other() -> Outcome {
    engine::block_on(async {
        let engine = TestEngine::open().await?;
        for (a, first) in one_of_each().into_iter().enumerate() {
            for (b, second) in one_of_each().into_iter().enumerate().skip(a) {
                let second = match second {
                    Op::Append(_) if a == b => Op::Append(vec![(70, 700)]),
                    other => other,
                };
                let t = format!("t_{a}_{b}");
                filled(&engine, &t).await?;
                let sessions = [engine.session(), engine.session()];
                let (sql_a, sql_b) = (first.sql(&t), second.sql(&t));
                let (one, two) = tokio::join!(sessions[0].change(&sql_a), sessions[1].change(&sql_b));
                one.1.context(format!("{first:?} beside {second:?}"))?;
                two.1.context(format!("{second:?} beside {first:?}"))?;
                let (mut ab, mut ba) = (start(), start());
                first.apply(&mut ab);
                second.apply(&mut ab);
                second.apply(&mut ba);
                first.apply(&mut ba);
                let found = content(&engine, &t).await?;
                ensure(found == pairs(&ab) || found == pairs(&ba), || {
                    format!("{first:?} beside {second:?}: expected {ab:?} or {ba:?}, found {found:?}")
                })?;
            }
        }
        Ok(())
    })
}

const WRITERS: u64 = 8;

/// One writer's choices: the same for the same seed, whatever the others do meanwhile.
struct Writer {
    choices: Choices,
    /// New rows have ids of this writer's own.
    next_id: i64,
}

impl Writer {
    fn new(seed: u64, number: u64) -> Self {
        let choices = Choices::new(seed.wrapping_mul(WRITERS).wrapping_add(number));
        Writer { choices, next_id: 1000 * (1 + number as i64) }
    }

    fn n(&mut self) -> i64 {
        self.choices.below(1000) as i64
    }

    fn new_rows(&mut self, count: u64) -> Vec<(i64, i64)> {
        let mut rows = Vec::new();
        for _ in 0..count {
            self.next_id += 1;
            rows.push((self.next_id, self.n()));
        }
        rows
    }

    fn some_id(&mut self) -> i64 {
        1000 * (1 + self.choices.below(WRITERS) as i64) + self.choices.below(30) as i64
    }

    fn next(&mut self) -> Op {
        match self.choices.below(100) {
            0..40 => {
                let count = 1 + self.choices.below(4);
                Op::Append(self.new_rows(count))
            }
            40..60 => Op::Update { modulus: 1 + self.choices.below(7) as i64, add: self.choices.below(9) as i64 - 4 },
            60..72 => Op::DeleteFrom(700 + self.n() / 2),
            72..75 => Op::DeleteAboveAverage,
            75..93 => {
                // Some rows of everybody's, and some that only merges have.
                let mut rows = Model::new();
                for _ in 0..1 + self.choices.below(5) {
                    let id = -1 - self.choices.below(40) as i64;
                    rows.insert(id, self.n());
                }
                Op::Merge(pairs(&rows))
            }
            93..95 => {
                let ids: BTreeSet<i64> = (0..60).map(|_| self.some_id()).collect();
                Op::MergeBySource(ids.into_iter().collect())
            }
            95..97 => Op::Overwrite(self.new_rows(5)),
            _ => {
                let rows = self.new_rows(2).into_iter().map(|(id, n)| (id, 900 + n));
                Op::Replace(900, rows.collect())
            }
        }
    }
}

/// The rows of the files that the log says, read without Limn.
fn read_apart(table: &Rival) -> Outcome<Vec<(i64, i64)>> {
    let mut rows = Vec::new();
    for add in table.files()? {
        let file = std::fs::File::open(table.path_of(&add)?)?;
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
            let batch = batch?;
            let (ids, ns) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
            rows.extend(ids.values().iter().copied().zip(ns.values().iter().copied()));
        }
    }
    rows.sort_unstable();
    Ok(rows)
}

/// Eight writers at random; the log's order is the order in which the model does the same.
#[test]
fn many_writers_at_random_leave_what_the_model_has() -> Outcome {
    let (seed, operations) = (setting("LIMN_TORTURE_SEED", 20_261_123)?, setting("LIMN_TORTURE_OPS", 200)?);
    engine::block_on(async move { torture(seed, operations).await.context(format!("LIMN_TORTURE_SEED={seed}")) })
}

async fn torture(seed: u64, operations: u64) -> Outcome {
    let engine = TestEngine::open().await?;
    filled(&engine, "t").await?;
    let table = Rival::new(engine.tables()?.pop().context("a table")?);
    let writers = (0..WRITERS).map(|writer| {
        let session = engine.session();
        tokio::spawn(async move {
            let mut writer = Writer::new(seed, writer);
            let mut done = Vec::new();
            for _ in 0..operations / WRITERS {
                let op = writer.next();
                let (query_id, changed) = session.change(&op.sql("t")).await;
                done.push((query_id, op, changed));
            }
            done
        })
    });
    let mut asked = BTreeMap::new();
    for done in futures::future::join_all(writers).await {
        asked.extend(done?.into_iter().map(|(id, op, changed)| (id, (op, changed))));
    }
    let mut model = start();
    for (version, actions) in (0..).zip(table.commits()?).skip(1 + START.len()) {
        let id = actions.iter().find_map(|action| action["commitInfo"]["queryId"].as_str());
        let asked = id.and_then(|id| asked.remove(id));
        let (op, changed) =
            asked.context(format!("version {version} is of no statement, or of one that was done before"))?;
        let changed = changed.context(format!("version {version} of a statement that failed, {op:?}"))?;
        let expected = op.apply(&mut model);
        ensure(changed == expected, || {
            format!("version {version}, {op:?}: expected {expected} rows, found {changed}")
        })?;
    }
    for (op, changed) in asked.into_values() {
        match changed {
            Ok(changed) => ensure(changed == 0, || format!("{op:?} changed {changed} rows in no version"))?,
            Err(error) => ensure(error.class() == Class::Conflict, || format!("{op:?}: {error}"))?,
        }
    }
    let found = content(&engine, "t").await?;
    ensure(found == pairs(&model), || format!("expected {model:?}, found {found:?}"))?;
    let apart = read_apart(&table)?;
    ensure(apart == found, || format!("another reader finds {apart:?}, Limn {found:?}"))
}
