//! Compares the tables with the model: as Limn reads them, as a reader that is not Limn reads them, old versions, and what
//! the change data feed comes to.
//!
//! It knows nothing of what was asked for.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;

use super::op::{Row, Rows};
use super::oracle::Oracle;
use super::writer::{FEED, TABLES};
use crate::choices::Choices;
use crate::python::python_for_readers;
use crate::raw::Raw;
use crate::{Context, Outcome, ensure, fail};

/// Old versions of each table that are read at the end.
const OLD_VERSIONS: u64 = 10;

/// What is compared at the end.
pub async fn all(raw: &mut Raw, oracles: &[Oracle], choices: &mut Choices) -> Outcome {
    for oracle in oracles {
        equal(raw, oracle).await?;
        apart(oracle)?;
        for _ in 0..OLD_VERSIONS {
            let version = choices.index(oracle.versions.len());
            let found = rows(raw.clone(), format!("{} VERSION AS OF {version}", oracle.name)).await?;
            same(&format!("version {version} of `{}`", oracle.name), &found, &oracle.versions[version])?;
        }
    }
    feed(raw, &oracles[FEED]).await
}

/// The table as Limn reads it is what the model has.
pub async fn equal(raw: &mut Raw, oracle: &Oracle) -> Outcome {
    let found = rows(raw.clone(), oracle.name.to_string()).await?;
    same(&format!("`{}`", oracle.name), &found, oracle.rows()?)
}

/// The rows of a table or of a version of it, each id once.
pub async fn rows(mut raw: Raw, table: String) -> Outcome<Rows> {
    let batch = raw.query(&format!("SELECT id, n, p FROM {table}")).await.context(&table)?;
    let mut rows = Rows::new();
    for (id, row) in numbered(&batch) {
        let twice = rows.insert(id, row);
        ensure(twice.is_none(), || format!("{table} has the id {id} twice"))?;
    }
    Ok(rows)
}

fn numbered(batch: &RecordBatch) -> impl Iterator<Item = (i64, Row)> {
    let column = |index: usize| batch.column(index).as_primitive::<Int64Type>();
    let (ids, ns, ps) = (column(0), column(1), column(2));
    (0..batch.num_rows()).map(move |at| (ids.value(at), Row { n: ns.value(at), p: ps.value(at) }))
}

fn same(what: &str, found: &Rows, expected: &Rows) -> Outcome {
    let missing: Vec<_> = expected.iter().filter(|(id, row)| found.get(id) != Some(row)).collect();
    let extra: Vec<_> = found.iter().filter(|(id, row)| expected.get(id) != Some(row)).collect();
    ensure(missing.is_empty() && extra.is_empty(), || {
        format!("{what} is not what the model is: expected too {missing:?}, found too {extra:?}")
    })
}

/// The table as Python's `deltalake` reads it.
fn apart(oracle: &Oracle) -> Outcome {
    let Some(python) = python_for_readers()? else { return Ok(()) };
    let text = python.script("delta_rows.py", [oracle.log.directory()])?;
    let mut found = Rows::new();
    for line in text.lines() {
        let numbers: Vec<i64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [id, n, p] = numbers.as_slice() else {
            return Err(fail(format!("expected three numbers, found `{line}`")));
        };
        let twice = found.insert(*id, Row { n: *n, p: *p });
        ensure(twice.is_none(), || format!("`{}` has the id {id} twice for another reader", oracle.name))?;
    }
    same(&format!("`{}` for another reader", oracle.name), &found, oracle.rows()?)
}

/// The change data feed, version by version: what went is taken away, what came is added, and the rows are the model's.
async fn feed(raw: &mut Raw, oracle: &Oracle) -> Outcome {
    let (name, _) = TABLES[FEED];
    let changes =
        raw.query(&format!("SELECT id, n, p, _commit_version, _change_type FROM table_changes('{name}', 0)")).await?;
    let versions = arrow::compute::cast(changes.column(3), &DataType::Int64)?;
    let versions = versions.as_primitive::<Int64Type>();
    let types = arrow::compute::cast(changes.column(4), &DataType::Utf8)?;
    let types = types.as_string::<i32>();
    let mut by_version: BTreeMap<i64, [Vec<(i64, Row)>; 2]> = BTreeMap::new();
    for (at, change) in numbered(&changes).enumerate() {
        let came = match types.value(at) {
            "insert" | "update_postimage" => 1,
            "delete" | "update_preimage" => 0,
            other => return Err(fail(format!("expected a kind of change, found `{other}`"))),
        };
        by_version.entry(versions.value(at)).or_default()[came].push(change);
    }
    let mut rows = Rows::new();
    for (version, expected) in (0..).zip(&oracle.versions) {
        let [went, came] = by_version.remove(&version).unwrap_or_default();
        let what = format!("the change data feed up to version {version}");
        for (id, row) in went {
            let was = rows.remove(&id);
            ensure(was == Some(row), || format!("{what}: {id} went as {row:?}, and was {was:?}"))?;
        }
        for (id, row) in came {
            let twice = rows.insert(id, row);
            ensure(twice.is_none(), || format!("{what}: {id} came as {row:?}, and was {twice:?}"))?;
        }
        same(&what, &rows, expected)?;
    }
    ensure(by_version.is_empty(), || "the change data feed has versions that are not there".to_string())
}
