//! One statement at a time: what it changes, what it refuses, what it leaves.

use arrow::datatypes::{Fields, TimeUnit};

use super::*;
use crate::Class;
use crate::limits::{CHECKPOINT_INTERVAL_COMMITS, SYSTEM_LOG_COMMITS_KEPT};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_in_a_column_that_has_none_is_refused() {
    let bench = Bench::new();
    let fields = vec![Field::new("id", DataType::Int64, false), Field::new("größe", DataType::Utf8, false)];
    bench.lake.create_table(table("t", fields), CommitNotes::default()).await.unwrap();
    let error = bench.insert("t", "SELECT 1, CAST(NULL AS VARCHAR)").await.unwrap_err();
    assert_eq!(error.class(), Class::Input);
    assert_eq!(error.message(), "column `größe` of `main.t` is NOT NULL, found NULL in 1 of 1 rows");
    bench.insert("t", "SELECT 1, 'a'").await.unwrap();
    assert_eq!(bench.ids("t", At::Latest).await.unwrap(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_does_not_fit_is_an_error_and_changes_nothing() {
    let bench = Bench::new();
    bench.lake.create_table(table("t", vec![Field::new("b", DataType::Int8, true)]), Default::default()).await.unwrap();
    let error = bench.insert("t", "SELECT * FROM (VALUES (1), (300))").await.unwrap_err();
    assert_eq!(error.class(), Class::Input);
    assert!(error.message().contains("300"), "{error}");
    let error = bench.insert("t", "SELECT 1, 2").await.unwrap_err();
    assert_eq!(error.message(), "expected 1 columns, found 2");
    let relation = bench.lake.relation(&name("t")).unwrap();
    assert_eq!(bench.lake.snapshot(&relation, At::Latest).await.unwrap().version, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_fails_leaves_no_table() {
    let bench = Bench::new();
    let sql = "SELECT CAST(column1 AS BIGINT) FROM (VALUES ('1'), ('x'))";
    let error = bench.create_as(table("t", vec![id()]), sql).await.unwrap_err();
    assert_eq!(error.class(), Class::Input);
    assert_eq!(bench.lake.find(&name("t")), None);
    bench.lake.settle().await;
    assert_eq!(bench.files_under("tables"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_and_columns_come_in_one_commit() {
    let bench = Bench::new();
    let new = NewTable { partition_by: vec!["site".into()], ..table("t", vec![id(), text("site")]) };
    let sql = "SELECT column1, column2 FROM (VALUES (1, 'ä b'), (2, 'c/d'), (3, 'ä b'), (4, NULL))";
    let written = bench.create_as(new, sql).await.unwrap().unwrap();
    assert_eq!(written, Written { rows: 4, version: 0 });
    assert_eq!(bench.ids("t", At::Version(0)).await.unwrap(), [1, 2, 3, 4]);
    let written = bench.insert("t", "SELECT 5, 'ä b'").await.unwrap();
    assert_eq!(written, Written { rows: 1, version: 1 });

    let relation = bench.lake.relation(&name("t")).unwrap();
    let snapshot = bench.lake.snapshot(&relation, At::Latest).await.unwrap();
    bench.ctx.register_table("t", bench.lake.provider(&snapshot).await.unwrap()).unwrap();
    let counted = bench.ctx.sql("SELECT count(*), sum(id) FROM t WHERE site = 'ä b'").await.unwrap();
    let counted = counted.collect().await.unwrap();
    assert_eq!(counted[0].column(0).as_primitive::<Int64Type>().values(), &[3]);
    assert_eq!(counted[0].column(1).as_primitive::<Int64Type>().values(), &[9]);
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_comes_back_as_it_went() {
    let bench = Bench::new();
    let fields = vec![
        Field::new("i", DataType::Int64, true),
        Field::new("u", DataType::UInt64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("d", DataType::Decimal128(10, 2), true),
        Field::new("b", DataType::Boolean, true),
        Field::new("day", DataType::Date32, true),
        Field::new("local", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        Field::new("instant", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), true),
        Field::new("list", DataType::new_list(DataType::Int64, true), true),
        Field::new("struct", DataType::Struct(Fields::from(vec![id(), text("größe")])), true),
    ];
    let sql = "SELECT 1, 18446744073709551615, 0.5, 12.34, true, DATE '2026-02-28', \
               TIMESTAMP '2026-02-28 01:02:03.000004', TIMESTAMPTZ '2026-02-28 01:02:03Z', [1, NULL, 3], \
               named_struct('id', 7, 'größe', 'é')";
    bench.create_as(table("t", fields.clone()), sql).await.unwrap();
    bench.insert("t", sql).await.unwrap();

    let batches = bench.read("t", At::Latest).await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    let row = "| 1 | 18446744073709551615 | 0.5 | 12.34 | true | 2026-02-28 | 2026-02-28T01:02:03.000004 \
               | 2026-02-28T01:02:03Z | [1, , 3] | {id: 7, größe: é} |";
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(shown.lines().filter(|line| squeezed(line) == row).count(), 2, "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_decides_what_create_does() {
    let bench = Bench::with_table().await;
    let error = bench.lake.create_table(table("t", vec![id()]), Default::default()).await.unwrap_err();
    assert_eq!((error.class(), error.message()), (Class::AlreadyExists, "table `main.t` already exists"));
    let keep = NewTable { on_existing: OnExisting::Keep, ..table("t", vec![text("other")]) };
    assert!(!bench.lake.create_table(keep, Default::default()).await.unwrap());

    let nowhere = NewTable { name: TableName { schema: "mein".into(), table: "t".into() }, ..table("t", vec![id()]) };
    let error = bench.lake.create_table(nowhere, Default::default()).await.unwrap_err();
    assert_eq!(error.message(), "unknown schema `mein`, the nearest is `main`");
    let error = bench.lake.create_schema("system", false).await.unwrap_err();
    assert_eq!(error.message(), "schema `system` is Limn's own");

    assert!(bench.lake.create_view(&name("v"), "SELECT 1", OnExisting::Fail).await.unwrap());
    let replace = NewTable { on_existing: OnExisting::Replace, ..table("v", vec![id()]) };
    assert_eq!(bench.lake.create_table(replace, Default::default()).await.unwrap_err().message(), "`main.v` is a view");
    let error = bench.lake.drop_relation(&name("v"), false, false).await.unwrap_err();
    assert_eq!((error.message(), error.hint()), ("`main.v` is a view", Some("use `DROP VIEW`")));
    assert!(bench.lake.drop_relation(&name("v"), true, false).await.unwrap());
    assert!(!bench.lake.drop_relation(&name("v"), true, true).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_goes_with_what_is_in_it_only_when_asked() {
    let bench = Bench::new();
    assert!(bench.lake.create_schema("s", false).await.unwrap());
    let inside = NewTable { name: TableName { schema: "s".into(), table: "t".into() }, ..table("t", vec![id()]) };
    bench.lake.create_table(inside, Default::default()).await.unwrap();
    let error = bench.lake.drop_schema("s", false, false).await.unwrap_err();
    assert_eq!(error.message(), "schema `s` has 1 relation");
    assert!(bench.lake.drop_schema("s", false, true).await.unwrap());
    assert_eq!(bench.lake.schemas(), ["main"]);
    bench.lake.settle().await;
    assert_eq!(bench.files_under("tables").len(), 0);
}

struct PinAll;

impl Pins for PinAll {
    fn pinned(&self, _: &str) -> Vec<u64> {
        vec![0]
    }

    fn pinned_by(&self, _: &str) -> Vec<(u64, String)> {
        vec![(0, "a test".into())]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_table_that_is_pinned_stays_on_disk() {
    let bench = Bench::with_table().await;
    bench.lake.set_pins(Arc::new(PinAll));
    let first = bench.lake.relation(&name("t")).unwrap();
    bench.lake.drop_relation(&name("t"), false, false).await.unwrap();
    bench.lake.sweep().await.unwrap();
    bench.lake.settle().await;
    assert_eq!(bench.files_under("tables"), std::slice::from_ref(&first.id));

    bench.lake.create_table(table("t", vec![id()]), Default::default()).await.unwrap();
    assert_ne!(bench.lake.relation(&name("t")).unwrap().id, first.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_removes_nameless_tables_and_nothing_else() {
    let bench = Bench::with_table().await;
    let tables = bench.dir.path().join("tables");
    std::fs::create_dir_all(tables.join("0123456789abcdef0123456789abcdef/_delta_log")).unwrap();
    std::fs::create_dir(tables.join("notes of mine")).unwrap();
    bench.lake.sweep().await.unwrap();
    bench.lake.settle().await;
    let mut left = bench.files_under("tables");
    left.sort();
    let mut expected = vec![bench.lake.relation(&name("t")).unwrap().id.clone(), "notes of mine".to_string()];
    expected.sort();
    assert_eq!(left, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_is_there_after_a_start() {
    let bench = Bench::with_table().await;
    bench.lake.create_view(&name("v"), "SELECT 'ä'", OnExisting::Fail).await.unwrap();
    let before = bench.lake.relations("main").unwrap();
    let Bench { dir, lake, .. } = bench;
    drop(lake);
    assert_eq!(open(dir.path()).relations("main").unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_table_is_outside_the_catalog_and_takes_each_fold_once() {
    let bench = Bench::new();
    let schema = Arc::new(Schema::new(vec![Field::new("run_id", DataType::Utf8, false), id()]));
    let batch = |ids: Vec<i64>| {
        let names = arrow::array::StringArray::from_iter_values(ids.iter().map(|id| format!("r{id}")));
        let columns: Vec<arrow::array::ArrayRef> = vec![Arc::new(names), Arc::new(arrow::array::Int64Array::from(ids))];
        RecordBatch::try_new(schema.clone(), columns).unwrap()
    };
    let fold = |seq: i64| CommitNotes { transactions: vec![("fold".into(), seq)], ..CommitNotes::default() };
    let runs = bench.lake.system_table("runs", schema.clone()).await.unwrap();
    assert_eq!(runs.append(vec![batch(vec![1, 2]), batch(vec![3])], fold(3)).await.unwrap().rows, 3);
    assert_eq!(runs.append(vec![batch(vec![1, 2, 3])], fold(3)).await.unwrap(), Written { rows: 0, version: 1 });
    assert_eq!(bench.lake.relations("main").unwrap(), []);

    let runs = bench.lake.system_table("runs", schema.clone()).await.unwrap();
    assert_eq!(runs.transaction_version("fold").await.unwrap(), Some(3));
    let read = runs.read().await.unwrap();
    assert!(read.iter().all(|batch| batch.schema() == runs.schema()));
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    let other = Arc::new(Schema::new(vec![id()]));
    assert_eq!(bench.lake.system_table("runs", other).await.err().unwrap().class(), Class::Internal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_system_table_stays_short_and_nothing_is_lost() {
    const COMMITS: i64 = 130;
    let bench = Bench::new();
    let schema = Arc::new(Schema::new(vec![id()]));
    let numbers = bench.lake.system_table("numbers", schema.clone()).await.unwrap();
    for id in 1..=COMMITS {
        let column: arrow::array::ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![id]));
        let batch = RecordBatch::try_new(schema.clone(), vec![column]).unwrap();
        let notes = CommitNotes { transactions: vec![("fold".into(), id)], ..CommitNotes::default() };
        numbers.append(vec![batch], notes).await.unwrap();
        bench.lake.settle().await;
    }
    // Kept commits, those since the last checkpoint, and those that the checkpoint before it covers.
    let most = SYSTEM_LOG_COMMITS_KEPT + 2 * CHECKPOINT_INTERVAL_COMMITS;
    let commits = bench.files_under("system/numbers/_delta_log").into_iter().filter(|name| name.ends_with(".json"));
    let (found, all) = (commits.count() as u64, COMMITS as u64);
    assert!(
        (SYSTEM_LOG_COMMITS_KEPT..=most).contains(&found) && most < all,
        "{found} of {all} commits, {most} at most"
    );

    // As it is for who has it open, and for who opens it.
    let Bench { dir, lake, .. } = bench;
    let rows = async |table: &SystemTable| table.read().await.unwrap().iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!(rows(&numbers).await, all as usize);
    drop((numbers, lake));
    let numbers = open(dir.path()).system_table("numbers", schema).await.unwrap();
    assert_eq!(rows(&numbers).await, all as usize);
    assert_eq!(numbers.transaction_version("fold").await.unwrap(), Some(COMMITS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_catalog_that_nobody_waits_for_is_whole() {
    let bench = Bench::new();
    {
        let create = std::pin::pin!(bench.lake.create_schema("s", false));
        let _ = futures::poll!(create);
    }
    // Whether it had begun or not, the next change comes after it and finds the file as memory has it.
    bench.lake.create_schema("later", false).await.unwrap();
    let before = bench.lake.schemas();
    let Bench { dir, lake, .. } = bench;
    drop(lake);
    assert_eq!(open(dir.path()).schemas(), before);
}
