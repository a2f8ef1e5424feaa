//! One wire schema: what a prepared statement promises, `GetSchema` and the info announce, and every batch has.
//!
//! Stock clients compare them to the letter, nullability included, and cannot read some of Arrow's types. The corpus is
//! what makes planners disagree with executors: statistics, unions, casts, views, nested types, nothing at all.

use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::IpcMessage;
use limn_tests::raw::{Raw, schema_of, statement};
use limn_tests::{Context, Outcome, TestServer, ensure, fail};

/// Types that some stock client cannot read.
fn is_forbidden(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Utf8View | T::BinaryView | T::ListView(_) | T::LargeListView(_) | T::Float16 => true,
        T::Dictionary(..) | T::RunEndEncoded(..) | T::Decimal32(..) | T::Decimal64(..) => true,
        T::LargeUtf8 | T::LargeBinary => true,
        T::List(field) | T::LargeList(field) | T::FixedSizeList(field, _) | T::Map(field, _) => forbidden_in(field),
        T::Struct(fields) => fields.iter().any(|field| forbidden_in(field)),
        T::Union(fields, _) => fields.iter().any(|(_, field)| forbidden_in(field)),
        _ => false,
    }
}

fn forbidden_in(field: &Field) -> bool {
    is_forbidden(field.data_type())
}

async fn server() -> Outcome<(TestServer, Raw)> {
    let server = TestServer::start()?;
    let mut raw = Raw::connect(&server).await?;
    for sql in [
        "CREATE TABLE t (a BIGINT NOT NULL, b INT, s TEXT, d DECIMAL(9,2), f DOUBLE, day DATE, ts TIMESTAMP, \
         tz TIMESTAMP WITH TIME ZONE, bin BINARY, ok BOOLEAN NOT NULL)",
        "INSERT INTO t VALUES (1, 10, 'x', 1.25, 0.5, DATE '2020-01-01', TIMESTAMP '2020-01-01 00:00:00', \
         TIMESTAMP '2020-01-01T00:00:00Z', X'00FF', true), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false)",
        "CREATE TABLE none (a BIGINT NOT NULL, s TEXT)",
        "CREATE TABLE parts (site TEXT, v BIGINT) PARTITIONED BY (site)",
        "INSERT INTO parts VALUES ('a', 1), ('b', 2), (NULL, 3)",
        "CREATE TABLE nested AS SELECT [1, 2] AS l, named_struct('x', 'y', 'z', [1.5]) AS st, \
         MAP {'k': 1} AS m, [named_struct('q', 'r')] AS ls",
        "CREATE VIEW v AS SELECT a, s, count(*) OVER () AS n FROM t",
        "CREATE VIEW w AS SELECT s, max(a) AS m FROM v GROUP BY s",
        "TRAIN MODEL line USING linear_regression TARGET f SPLIT NONE AS SELECT a * 1.0 AS x, a * 2.0 AS f FROM t",
    ] {
        raw.update(sql).await.context(sql)?;
    }
    Ok((server, raw))
}

/// All that a client may compare, for each statement; all that differs is told at once.
async fn agree(corpus: &[&str]) -> Outcome {
    let (_server, mut raw) = server().await?;
    let mut wrong = Vec::new();
    for sql in corpus {
        if let Err(failure) = one_agrees(&mut raw, sql).await {
            wrong.push(format!("{sql}: {}", failure.text()));
        }
    }
    ensure(wrong.is_empty(), || wrong.join("\n"))
}

async fn one_agrees(raw: &mut Raw, sql: &str) -> Outcome {
    let prepared = raw.prepare(sql).await?;
    let promised = Schema::try_from(IpcMessage(prepared.dataset_schema))?;
    let told = raw.schema(&statement(sql)).await?;
    let info = raw.info(&statement(sql)).await?;
    let announced = schema_of(&info)?;
    let by_handle = schema_of(&raw.prepared_info(&prepared.prepared_statement_handle).await?)?;
    let (sent, batches) = raw.batches(&info).await?;
    for (what, schema) in [
        ("GetSchema", &told),
        ("GetFlightInfo", &announced),
        ("GetFlightInfo of the prepared statement", &by_handle),
        ("DoGet", sent.as_ref()),
    ] {
        ensure(schema == &promised, || format!("{what} has {schema:?}, the prepared statement {promised:?}"))?;
    }
    for batch in &batches {
        ensure(batch.schema().as_ref() == &promised, || format!("a batch has {:?}", batch.schema()))?;
        for (column, field) in batch.columns().iter().zip(promised.fields()) {
            ensure(column.data_type() == field.data_type(), || format!("{field:?} holds {}", column.data_type()))?;
        }
    }
    match promised.fields().iter().find(|field| forbidden_in(field)) {
        Some(field) => Err(fail(format!("no client reads {field:?}"))),
        None => Ok(()),
    }
}

#[tokio::test]
async fn aggregates_agree() -> Outcome {
    agree(&[
        "SELECT count(*), count(b), sum(b), avg(b), min(a), max(a), min(s), max(d) FROM t",
        "SELECT count(*) FROM none",
        "SELECT min(a), max(a), sum(a), avg(a), count(*), count(s) FROM none",
        "SELECT min(a), max(a), count(*) FROM t",
        "SELECT max(day), min(ts), max(tz) FROM t",
        "SELECT s, count(*) FROM none GROUP BY s",
        "SELECT b, array_agg(a) FROM t GROUP BY b",
        "SELECT sum(a) FILTER (WHERE a > 5), count(DISTINCT s) FROM t",
        "SELECT median(f), stddev(f), corr(f, a) FROM t",
        "SELECT s, sum(a) FROM t GROUP BY ROLLUP (s)",
        "SELECT max(a) FROM t HAVING max(a) > 100",
        "SELECT string_agg(s, ',') FROM t",
        "SELECT approx_distinct(a), bool_and(ok), first_value(s ORDER BY a) FROM t",
        "SELECT site, sum(v) FROM parts GROUP BY site",
        "SELECT min(site), max(site), count(site) FROM parts",
    ])
    .await
}

#[tokio::test]
async fn unions_and_casts_agree() -> Outcome {
    agree(&[
        "SELECT a FROM t UNION ALL SELECT b FROM t",
        "SELECT a FROM t UNION ALL SELECT NULL",
        "SELECT a FROM t UNION SELECT 1.5",
        "SELECT a, NULL AS n FROM t UNION SELECT 3, 'x'",
        "SELECT a FROM none UNION ALL SELECT a FROM t",
        "SELECT a FROM t EXCEPT SELECT b FROM t",
        "SELECT a FROM t INTERSECT SELECT b FROM t",
        "SELECT d FROM t UNION ALL SELECT CAST(1 AS DECIMAL(20, 5))",
        "SELECT CAST(a AS TEXT) AS t, CAST(a AS DECIMAL(12, 2)) AS n, CAST(a AS DOUBLE) AS d, CAST(s AS BYTEA) FROM t",
        "SELECT CAST(a AS SMALLINT), CAST(b AS REAL), TRY_CAST(s AS BIGINT), CAST(ts AS DATE) FROM t",
        "SELECT arrow_cast('a', 'Dictionary(Int32, Utf8)'), arrow_cast('b', 'Utf8View'), arrow_cast(1, 'UInt64')",
        "SELECT arrow_cast(1.5, 'Float16'), arrow_cast(X'01', 'BinaryView'), arrow_cast(1.5, 'Decimal64(9, 2)')",
        "SELECT arrow_cast(1.5, 'Decimal32(4, 1)'), arrow_cast('x', 'LargeUtf8'), arrow_cast(1, 'Decimal256(50, 2)')",
        "SELECT arrow_cast(['a'], 'List(Utf8View)'), arrow_cast([1], 'LargeList(Int64)')",
        "SELECT arrow_cast(X'01', 'LargeBinary'), arrow_cast(['a'], 'LargeList(LargeUtf8)')",
        "SELECT tz AT TIME ZONE 'Australia/Melbourne' AS a, ts AT TIME ZONE '+10' AS b, tz AT TIME ZONE '-0930' FROM t",
        "SELECT a FROM t UNION ALL SELECT a FROM none UNION ALL SELECT NULL UNION ALL SELECT 2.5",
        "SELECT s FROM t UNION SELECT CAST(a AS TEXT) FROM none ORDER BY s",
        "SELECT * FROM (SELECT a, s FROM t UNION ALL SELECT a, s FROM v) AS both WHERE false",
    ])
    .await
}

#[tokio::test]
async fn literals_and_expressions_agree() -> Outcome {
    agree(&[
        "SELECT 1, 'a', NULL, 1.5, true, DATE '2020-01-01', TIMESTAMP '2020-01-01 00:00:00', TIME '12:00:00'",
        "SELECT TIMESTAMP '2020-01-01T00:00:00Z' AS z, INTERVAL '1' DAY AS i, X'00' AS x, -1 AS n",
        "SELECT CASE WHEN a > 1 THEN 'big' END, CASE a WHEN 1 THEN 1 ELSE NULL END FROM t",
        "SELECT CASE WHEN ok THEN 1 ELSE 1.5 END, COALESCE(b, 0), NULLIF(a, 1) FROM t",
        "SELECT a + b, a / 2, a % 2, f * d, s || 'x', upper(s), length(s) FROM t",
        "SELECT ts + INTERVAL '1' HOUR, day - day, ts - ts, date_trunc('month', tz), extract(year FROM day) FROM t",
        "SELECT a IN (1, 2), s LIKE 'x%', b IS NULL, a BETWEEN 1 AND 2, NOT ok FROM t",
        "SELECT now() IS NOT NULL AS n, current_date IS NOT NULL AS d, arrow_typeof(a) FROM t",
        "SELECT (SELECT max(a) FROM t) AS m",
        "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM none)",
        "SELECT concat_ws('-', s, 'y'), split_part('a.b', '.', 1), regexp_match('ab', 'a'), md5('x') FROM t",
        "VALUES (1, 'a'), (2, NULL)",
    ])
    .await
}

#[tokio::test]
async fn relations_of_every_kind_agree() -> Outcome {
    agree(&[
        "SELECT * FROM t",
        "SELECT * FROM t WHERE a > 100",
        "SELECT * FROM t WHERE false",
        "SELECT * FROM none",
        "SELECT * FROM t LIMIT 0",
        "SELECT * FROM t ORDER BY a DESC LIMIT 1",
        "SELECT * FROM v",
        "SELECT * FROM w",
        "SELECT m FROM w WHERE s IS NULL",
        "SELECT * FROM parts WHERE site = 'a'",
        "SELECT DISTINCT site FROM parts",
        "SELECT * FROM parts ORDER BY site",
        "SELECT t.a, u.s FROM t LEFT JOIN none u ON t.a = u.a",
        "SELECT t.a, u.a FROM t FULL JOIN none u ON t.a = u.a",
        "SELECT t.a AS x, u.a AS x2 FROM t JOIN t u USING (a)",
        "SELECT a FROM t WHERE a IN (SELECT a FROM none)",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT * FROM t VERSION AS OF 0",
        "SELECT count(*), min(a) FROM t VERSION AS OF 0",
        "SELECT a, row_number() OVER (ORDER BY a), lag(a) OVER (ORDER BY a), sum(b) OVER () FROM t",
        "SELECT rank() OVER (PARTITION BY s ORDER BY a), ntile(2) OVER (ORDER BY a), first_value(s) OVER () FROM t",
        "SELECT PREDICT('line', a * 1.0) AS p FROM t",
        "SELECT PREDICT('line') AS p FROM (SELECT a * 1.0 AS x FROM none) AS q",
    ])
    .await
}

#[tokio::test]
async fn nested_types_agree() -> Outcome {
    agree(&[
        "SELECT * FROM nested",
        "SELECT l[1], st['x'], m['k'], ls[1] FROM nested",
        "SELECT unnest(l) FROM nested",
        "SELECT [1, NULL, 3] AS l, [[1], []] AS ll, [] AS e, [NULL] AS n",
        "SELECT named_struct('a', 1, 'b', NULL) AS s, struct(1, 'x') AS t",
        "SELECT MAP {'a': 1, 'b': NULL} AS m, map(['k'], ['v']) AS n",
        "SELECT make_array(s, 'x') AS l, named_struct('s', s) AS st FROM t",
        "SELECT array_agg(named_struct('a', a, 's', s)) AS l FROM t",
        "SELECT * FROM nested WHERE false",
        "SELECT array_agg(s) FROM none",
    ])
    .await
}

#[tokio::test]
async fn catalogs_and_explanations_agree() -> Outcome {
    agree(&[
        "SHOW TABLES",
        "SHOW SCHEMAS",
        "SHOW MODELS",
        "DESCRIBE t",
        "DESCRIBE nested",
        "DESCRIBE MODEL line",
        "EXPLAIN SELECT a FROM t",
        "EXPLAIN SELECT count(*) FROM none",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns WHERE table_name = 't'",
        "SELECT * FROM information_schema.schemata",
        "SELECT * FROM system.models",
        "SELECT * FROM system.runs",
        "SELECT * FROM system.metrics WHERE false",
        "SELECT count(*) FROM system.params",
    ])
    .await
}

/// A statement without a column still has a schema, and rows that are counted.
#[tokio::test]
async fn no_column_is_a_schema_too() -> Outcome {
    let (_server, mut raw) = server().await?;
    for sql in ["CREATE SCHEMA nothing_in_it", "DROP SCHEMA nothing_in_it"] {
        let told = raw.schema(&statement(sql)).await.context(sql)?;
        let info = raw.info(&statement(sql)).await.context(sql)?;
        let (sent, batches) = raw.batches(&info).await.context(sql)?;
        assert_eq!((told.fields().len(), schema_of(&info)?.fields().len(), sent.fields().len()), (0, 0, 0), "{sql}");
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 0, "{sql}");
    }
    for (sql, rows) in [("SELECT FROM t", 2), ("SELECT FROM none", 0), ("SELECT FROM t WHERE a = 1", 1)] {
        let prepared = raw.prepare(sql).await.context(sql)?;
        assert_eq!(Schema::try_from(IpcMessage(prepared.dataset_schema))?.fields().len(), 0, "{sql}");
        let info = raw.info(&statement(sql)).await.context(sql)?;
        let (sent, batches) = raw.batches(&info).await.context(sql)?;
        assert_eq!((schema_of(&info)?.fields().len(), sent.fields().len()), (0, 0), "{sql}");
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), rows, "{sql}");
    }
    Ok(())
}
