//! Tests of CSV tables as a query sees them: names, types, values, and the texts of errors.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::lake::types::{instant, sql_name};

/// A directory with one file.
fn file(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    (directory, path)
}

async fn open(path: &Path, options: CsvOptions) -> Result<Arc<dyn TableProvider>> {
    open_csv(path.to_str().unwrap(), options).await
}

async fn run(table: Arc<dyn TableProvider>, sql: &str) -> Result<RecordBatch> {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
    ctx.register_table("t", table)?;
    let df = ctx.sql(sql).await?;
    let schema = Arc::clone(df.schema().inner());
    Ok(concat_batches(&schema, &df.collect().await?)?)
}

async fn read_with(content: &str, options: CsvOptions) -> Result<RecordBatch> {
    let (_directory, path) = file("x.csv", content.as_bytes());
    run(open(&path, options).await?, "SELECT * FROM t").await
}

async fn read(content: &str) -> RecordBatch {
    read_with(content, CsvOptions::default()).await.unwrap()
}

fn types(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| format!("{} {}", field.name(), sql_name(field.data_type()))).collect()
}

/// The values of a row as text; NULL is `∅`.
fn row(batch: &RecordBatch, row: usize) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let show = |column: &Arc<dyn Array>| ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string();
    batch.columns().iter().map(show).collect()
}

/// The error of a file, without the directory in front of its name.
async fn error(content: &[u8], options: CsvOptions) -> Error {
    let (directory, path) = file("x.csv", content);
    let failed = match open(&path, options).await {
        Ok(table) => run(table, "SELECT * FROM t").await.unwrap_err(),
        Err(error) => error,
    };
    let text = failed.message().replace(&format!("{}/", directory.path().display()), "");
    Error::new(failed.class(), text).with_hint(failed.hint().unwrap_or_default())
}

/// The text of the error of a file whose types come from its first row.
async fn text_of(content: &str) -> String {
    let error = error(content.as_bytes(), CsvOptions { sample_rows: 1, ..CsvOptions::default() }).await;
    assert_eq!(error.class(), Class::Input);
    error.message().to_string()
}

#[tokio::test]
async fn every_type_is_inferred_and_read() {
    let batch = read(
        "flag,n,x,day,local,at,name\n\
         True,1,1.5,2020-02-29,2020-02-29T01:02:03.5,2020-02-29T00:00:00Z,ü\n\
         false,-2,2,1969-12-31,2020-02-29 01:02,2020-02-29 10:00:00+10:00,\n\
         ,,,,,,\"\"\n",
    )
    .await;
    let expected = [
        "flag BOOLEAN",
        "n BIGINT",
        "x DOUBLE",
        "day DATE",
        "local TIMESTAMP",
        "at TIMESTAMP WITH TIME ZONE",
        "name TEXT",
    ];
    assert_eq!(types(&batch), expected);
    assert_eq!(batch.column(1).as_primitive::<Int64Type>().values()[..2], [1, -2]);
    assert_eq!(batch.column(2).as_primitive::<Float64Type>().values()[..2], [1.5, 2.0]);
    assert_eq!(batch.column(3).as_primitive::<Date32Type>().values()[1], -1);
    // 2020-02-29T00:00:00Z is 18321 days after the epoch.
    let at = 18_321 * 86_400_000_000_i64;
    assert_eq!(batch.column(4).as_primitive::<TimestampMicrosecondType>().value(0), at + 3_723_500_000);
    assert_eq!(batch.column(5).as_primitive::<TimestampMicrosecondType>().values()[..2], [at, at]);
    assert_eq!(row(&batch, 1)[6], "∅");
    assert_eq!(row(&batch, 2), ["∅", "∅", "∅", "∅", "∅", "∅", ""]);
}

#[tokio::test]
async fn quotes_line_ends_marks_and_letters() {
    let batch = read("\u{feff}größe,b\r\n\"a,\r\n\"\"b\"\"\",1\r\n\r\n東京,2").await;
    assert_eq!(types(&batch), ["größe TEXT", "b BIGINT"]);
    assert_eq!(row(&batch, 0), ["a,\r\n\"b\"", "1"]);
    assert_eq!(row(&batch, 1), ["東京", "2"]);
    assert_eq!(batch.num_rows(), 2);
}

#[tokio::test]
async fn headers_only_give_no_rows() {
    let batch = read("a,b\n").await;
    assert_eq!((batch.num_rows(), types(&batch)), (0, vec!["a TEXT".to_string(), "b TEXT".to_string()]));
}

#[tokio::test]
async fn empty_lines_are_rows_of_a_single_column_only() {
    assert_eq!(read("a,b\n\n1,2\n\n").await.num_rows(), 1);
    let batch = read("a\n1\n\n3\n").await;
    assert_eq!((batch.num_rows(), batch.column(0).null_count()), (3, 1));
}

#[tokio::test]
async fn options_change_what_is_read() {
    let nulls = CsvOptions { nulls: vec!["NA".into()], ..CsvOptions::default() };
    let batch = read_with("n,s\nNA,\"NA\"\n1,NA\n", nulls).await.unwrap();
    assert_eq!((row(&batch, 0), row(&batch, 1)), (vec!["∅".into(), "NA".into()], vec!["1".into(), "∅".to_string()]));
    let headless = CsvOptions { header: false, delimiter: Some(b';'), ..CsvOptions::default() };
    let batch = read_with("1;x\n2;y\n", headless).await.unwrap();
    assert_eq!((types(&batch), batch.num_rows()), (vec!["column0 BIGINT".into(), "column1 TEXT".into()], 2));
    let said = vec![("N".to_string(), DataType::Utf8), ("d".to_string(), DataType::Decimal128(6, 2))];
    let batch = read_with("n,d\n007,1.005\n", CsvOptions { columns: said, ..CsvOptions::default() }).await.unwrap();
    assert_eq!(
        (types(&batch), row(&batch, 0)),
        (vec!["n TEXT".into(), "d DECIMAL(6,2)".into()], vec!["007".into(), "1.01".to_string()])
    );
    let all_text = CsvOptions { all_text: true, ..CsvOptions::default() };
    assert_eq!(types(&read_with("a\n1\n", all_text).await.unwrap()), ["a TEXT"]);
}

#[tokio::test]
async fn only_wanted_columns_are_parsed() {
    let (_directory, path) = file("x.csv", b"a,b,c\n1,2,x\n3,oops,y\n");
    let options = CsvOptions { sample_rows: 1, ..CsvOptions::default() };
    let table = open(&path, options).await.unwrap();
    let batch = run(Arc::clone(&table), "SELECT c, a FROM t").await.unwrap();
    assert_eq!((row(&batch, 0), row(&batch, 1)), (vec!["x".into(), "1".into()], vec!["y".into(), "3".to_string()]));
    let batch = run(Arc::clone(&table), "SELECT count(*) FROM t").await.unwrap();
    assert_eq!(row(&batch, 0), ["2"]);
    let batch = run(Arc::clone(&table), "SELECT a FROM t LIMIT 1").await.unwrap();
    assert_eq!((batch.num_rows(), row(&batch, 0)), (1, vec!["1".to_string()]));
    assert!(run(table, "SELECT b FROM t").await.is_err());
}

#[tokio::test]
async fn broken_rows_are_told_exactly() {
    let cases = [
        ("t,n\n\"a\nb\",1\nc,x\n", "`x.csv` line 4, column 2 (`n`): expected BIGINT, found `x`"),
        ("a,b\r\n1,2\r\n1\r\n", "`x.csv` line 3: expected 2 fields, found 1"),
        ("a,b\n1,2\n\n1,2,3\n", "`x.csv` line 4: expected 2 fields, found 3"),
        ("a,b\n1,2\n3,x\n1\n", "`x.csv` line 3, column 2 (`b`): expected BIGINT, found `x`"),
        ("a,b\n1,2\ny,x\n", "`x.csv` line 3, column 1 (`a`): expected BIGINT, found `y`"),
        ("a,b\nx,1\ny,\"z\nend", "`x.csv` line 3, column 2 (`b`): expected a closing quote, found the end of the file"),
        (
            "a,b\nx,1\n\"y\"z,1\n",
            "`x.csv` line 3, column 1 (`a`): expected `,` or the end of the line after the closing quote, found `z`",
        ),
        (
            "t\n2020-01-01T00:00:00\n2020-01-01T00:00:00Z\n",
            "`x.csv` line 3, column 1 (`t`): expected TIMESTAMP, found `2020-01-01T00:00:00Z`",
        ),
        ("n\n1\n\"x\ty\"\n", "`x.csv` line 3, column 1 (`n`): expected BIGINT, found `x\\ty`"),
        ("", "`x.csv`: expected a line with the columns' names, found an empty file"),
        ("\n\n", "`x.csv`: expected a line with the columns' names, found an empty file"),
    ];
    for (content, expected) in cases {
        assert_eq!(text_of(content).await, expected, "{content:?}");
    }
    let long = format!("n\n1\n{}\n", "ä".repeat(70));
    let shown = "ä".repeat(64);
    assert_eq!(text_of(&long).await, format!("`x.csv` line 3, column 1 (`n`): expected BIGINT, found `{shown}…`"));
}

#[tokio::test]
async fn inferred_types_have_a_hint_and_said_ones_have_none() {
    let options = CsvOptions { sample_rows: 1, ..CsvOptions::default() };
    let inferred = error(b"n\n1\nx\n", options).await;
    let hint = "the type was inferred from the file's first rows; say another with `columns => '\"n\" TEXT'`";
    assert_eq!(inferred.hint(), Some(hint));
    let said = CsvOptions { columns: vec![("n".into(), DataType::Int64)], ..CsvOptions::default() };
    assert_eq!(error(b"n\n1\nx\n", said).await.hint(), Some(""));
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_told_exactly() {
    let failed = error(b"a,b\n1,x\n2,caf\xe9\n", CsvOptions::default()).await;
    assert_eq!(failed.message(), "`x.csv` line 3, byte 6: expected UTF-8, found the byte `0xe9`");
    // The rows before are read first: an earlier mistake is the one to tell.
    let options = CsvOptions { sample_rows: 1, ..CsvOptions::default() };
    let failed = error(b"a,b\n1,x\nz,y\n2,caf\xe9\n", options).await;
    assert_eq!(failed.message(), "`x.csv` line 3, column 1 (`a`): expected BIGINT, found `z`");
    let failed = error(b"\xff\xfea\0\n\0", CsvOptions::default()).await;
    assert_eq!(failed.message(), "`x.csv`: expected UTF-8, found UTF-16");
}

#[tokio::test]
async fn options_that_do_not_fit_the_file() {
    let said = |columns: &[(&str, DataType)], header| CsvOptions {
        columns: columns.iter().map(|(name, data_type)| (name.to_string(), data_type.clone())).collect(),
        header,
        ..CsvOptions::default()
    };
    let failed = error(b"demand\n1\n", said(&[("demnd", DataType::Int64)], true)).await;
    assert_eq!(failed.message(), "option `columns`: unknown column `demnd`, the nearest is `demand`");
    let failed = error(b"1,2\n", said(&[("a", DataType::Int64)], false)).await;
    assert_eq!(failed.message(), "`x.csv`: expected 1 columns, as in the option `columns`, found 2");
    let failed = error(b"a\n1\n", said(&[("a", DataType::Binary)], true)).await;
    assert_eq!(failed.message(), "column `a`: a CSV file cannot be read as values of type `BINARY`");
}

#[tokio::test]
async fn compressed_files() {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all("a,b\n1,x\n2,y\nz,w\n".as_bytes()).unwrap();
    let bytes = writer.finish().unwrap();
    let (_directory, path) = file("x.csv.gz", &bytes);
    let batch = run(open(&path, CsvOptions::default()).await.unwrap(), "SELECT b FROM t").await.unwrap();
    assert_eq!((batch.num_rows(), row(&batch, 2)), (3, vec!["w".to_string()]));
    let options = CsvOptions { sample_rows: 2, ..CsvOptions::default() };
    let failed = run(open(&path, options).await.unwrap(), "SELECT a FROM t").await.unwrap_err();
    let expected = format!("`{}` line 4, column 1 (`a`): expected BIGINT, found `z`", path.display());
    assert_eq!(failed.message(), expected);
    let (_directory, path) = file("y.csv.gz", b"a,b\n");
    let failed = open(&path, CsvOptions::default()).await.unwrap_err();
    assert_eq!(failed.class(), Class::Input);
    assert!(failed.message().starts_with(&format!("`{}`: expected gzip data", path.display())));
}

#[tokio::test]
async fn several_files_are_one_table_and_must_have_one_header() {
    let (directory, path) = file("a.csv", b"n,s\n1,x\n");
    std::fs::write(directory.path().join("b.csv"), "n,s\n2.5,y\n").unwrap();
    let pattern = directory.path().join("*.csv");
    let table = open(&pattern, CsvOptions::default()).await.unwrap();
    let batch = run(table, "SELECT sum(n) AS n FROM t").await.unwrap();
    assert_eq!((types(&batch), row(&batch, 0)), (vec!["n DOUBLE".to_string()], vec!["3.5".to_string()]));
    std::fs::write(directory.path().join("c.csv"), "n,z\n2,y\n").unwrap();
    let failed = open(&pattern, CsvOptions::default()).await.unwrap_err();
    let at = directory.path().display();
    let expected =
        format!("`{at}/c.csv` line 1, column 2: expected the column `s`, as in `{}`, found `z`", path.display());
    assert_eq!(failed.message(), expected);
    std::fs::write(directory.path().join("c.csv"), "n\n2\n").unwrap();
    let failed = open(&pattern, CsvOptions::default()).await.unwrap_err();
    assert_eq!(
        failed.message(),
        format!("`{at}/c.csv` line 1: expected 2 columns, as in `{}`, found 1", path.display())
    );
}

/// A file that is larger than the read buffer several times, with quoted line ends at every place of a block.
#[tokio::test]
async fn large_files_are_read_whole_in_any_number_of_shares() {
    let mut content = String::from("n,s\n");
    let mut sum = 0_i64;
    let mut letters = 0;
    for n in 0..200_000_i64 {
        let text = "x\n,\"\"".repeat(usize::try_from(n % 17).unwrap());
        letters += text.len() as i64 - (n % 17);
        sum += n;
        content.push_str(&format!("{n},\"{text}\"\n"));
    }
    let (_directory, path) = file("x.csv", content.as_bytes());
    let table =
        CsvTable::open(&glob::list(path.to_str().unwrap()).await.unwrap(), &CsvOptions::default(), &Stop::default());
    let table = table.unwrap();
    let schema = table.schema();
    assert_eq!(schema.field(0).data_type(), &DataType::Int64);
    let whole = [Whole { source: &table.reading.sources[0], start: table.starts[0] }];
    for parts in [1, 2, 7] {
        let dialect = table.reading.dialect;
        let shares = split::partitions(&whole, dialect, parts, 1000, &Stop::default()).unwrap();
        assert_eq!(shares.len(), parts);
        let mut found = (0, 0, 0);
        for shares in shares {
            let partition = Partition {
                reading: Arc::clone(&table.reading),
                shares,
                projection: vec![0, 1],
                schema: Arc::clone(&schema),
            };
            let read = partition.read(|batch| {
                found.0 += batch.num_rows();
                found.1 += batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
                found.2 += batch.column(1).as_string::<i32>().iter().map(|s| s.map_or(0, str::len) as i64).sum::<i64>();
                true
            });
            read.unwrap();
        }
        assert_eq!(found, (200_000, sum, letters));
    }
}

#[tokio::test]
async fn a_field_larger_than_the_buffer_is_read_and_one_without_end_is_refused() {
    let large = "y".repeat(3 * crate::limits::CSV_READ_BYTES);
    let batch = read(&format!("a,b\n\"{large}\",1\nx,2\n")).await;
    assert_eq!(batch.column(0).as_string::<i32>().value(0).len(), large.len());
    let endless = format!("a,b\n1,x\n2,\"{}", "y\n".repeat(crate::limits::CSV_FIELD_BYTES_MAX));
    let failed = error(endless.as_bytes(), CsvOptions::default()).await;
    assert_eq!(failed.class(), Class::Exhausted);
    assert_eq!(failed.message(), "`x.csv` line 3: expected a row of at most 16777216 bytes");
    assert_eq!(failed.hint(), Some("a closing quote may be missing"));
}

#[tokio::test]
async fn the_real_file_has_the_expected_types() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let directory = std::env::var_os("LIMN_REAL_DATA").map_or(PathBuf::from(default), PathBuf::from);
    let path = directory.join("vic_elec.csv");
    if !path.exists() {
        eprintln!("{} is absent: set LIMN_REAL_DATA to run this test", path.display());
        return;
    }
    let table = open(&path, CsvOptions::default()).await.unwrap();
    let fields: Vec<DataType> = table.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    let naive = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(fields, [instant(), naive, DataType::Float64, DataType::Float64, DataType::Boolean]);
    let batch = run(table, "SELECT count(*), count(time), count(holiday) FROM t").await.unwrap();
    assert_eq!(row(&batch, 0), ["52608", "52608", "52608"]);
}
