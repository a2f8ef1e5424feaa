"""What data scientists do in notebooks: `read_database` and `write_database` of polars, `read_sql` and `to_sql` of pandas.

It fails with the first thing that is not as expected, and prints nothing otherwise.
"""

import datetime
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pandas as pd
import polars as pl
from polars.testing import assert_frame_equal

from check import expect, refused

UTC = datetime.timezone.utc


def main():
    url = sys.argv[1]
    with flight_sql.connect(url, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kinds (n BIGINT, x DOUBLE, s TEXT, b BOOLEAN, d DATE, ts TIMESTAMP, "
                           "tz TIMESTAMP WITH TIME ZONE, dec DECIMAL(10,2), list BIGINT[])")
            cursor.execute(
                "INSERT INTO kinds VALUES "
                "(1, 1.5, 'grün', TRUE, DATE '2024-02-29', TIMESTAMP '2024-02-29 12:00:00.123456', "
                " TIMESTAMPTZ '2024-02-29 12:00:00+11:00', 12.50, [1, NULL]), "
                "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
        read_polars(url, connection)
        write_polars(url, connection)
        read_pandas(connection)
        write_pandas(connection)


def as_uri(url):
    """polars finds the driver by the scheme, and the driver without encryption by `transport`."""
    return url.replace("grpc://", "flightsql://") + "?transport=tcp"


def read_polars(url, connection):
    sql = "SELECT * FROM kinds ORDER BY n"
    frame = pl.read_database(sql, connection)
    expect(dict(frame.schema), {
        "n": pl.Int64, "x": pl.Float64, "s": pl.String, "b": pl.Boolean, "d": pl.Date,
        "ts": pl.Datetime("us"), "tz": pl.Datetime("us", "UTC"), "dec": pl.Decimal(10, 2), "list": pl.List(pl.Int64)})
    expect(frame.row(0)[:4], (1, 1.5, "grün", True))
    expect(frame["ts"][0], datetime.datetime(2024, 2, 29, 12, 0, 0, 123456))
    expect(frame["tz"][0], datetime.datetime(2024, 2, 29, 1, tzinfo=UTC))
    expect(str(frame["dec"][0]), "12.50")
    expect(frame["list"].to_list(), [[1, None], None])
    expect(frame.row(1), (2,) + (None,) * 8)
    assert_frame_equal(pl.read_database_uri(sql, as_uri(url), engine="adbc"), frame)
    # In batches, with parameters, and with no row at all.
    series = "SELECT value FROM generate_series(1, 50000) AS g(value)"
    batches = list(pl.read_database(series, connection, iter_batches=True, batch_size=10_000))
    expect(sum(batch.height for batch in batches), 50_000)
    found = pl.read_database("SELECT s FROM kinds WHERE n = ?", connection, execute_options={"parameters": (1,)})
    expect(found.rows(), [("grün",)])
    empty = pl.read_database("SELECT * FROM kinds WHERE n > 5", connection)
    expect((empty.height, empty.schema), (0, frame.schema))


def write_polars(url, connection):
    frame = pl.DataFrame({
        "id": [1, 2, 3], "label": ["a", None, "ü"], "x": [0.5, float("nan"), None],
        "at": [datetime.datetime(2024, 1, 1, tzinfo=UTC), None, datetime.datetime(2025, 1, 1, tzinfo=UTC)]})

    def stored(name="written"):
        return pl.read_database(f"SELECT * FROM {name} ORDER BY id", connection)

    expect(frame.write_database("written", connection), 3, "the rows that polars says it wrote")
    assert_frame_equal(stored(), frame)
    refused(adbc_driver_manager.Error, "written", lambda: frame.write_database("written", connection))
    frame.with_columns(pl.col("id") + 10).write_database("written", connection, if_table_exists="append")
    expect(stored()["id"].to_list(), [1, 2, 3, 11, 12, 13])
    frame.head(1).write_database("written", connection, if_table_exists="replace")
    assert_frame_equal(stored(), frame.head(1))
    # A table of a schema by its name, from a URI, with the types that only polars has.
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA notebook")
    odd = frame.with_columns(label=pl.col("label").cast(pl.Categorical), id=pl.col("id").cast(pl.UInt8))
    odd.write_database("notebook.odd", connection)
    expect(stored("notebook.odd")["label"].to_list(), ["a", None, "ü"])
    frame.write_database("from_uri", as_uri(url), engine="adbc")
    assert_frame_equal(stored("from_uri"), frame)


def read_pandas(connection):
    frame = pd.read_sql("SELECT * FROM kinds ORDER BY n", connection)
    expect(list(frame.columns), ["n", "x", "s", "b", "d", "ts", "tz", "dec", "list"])
    expect(frame["n"].tolist(), [1, 2])
    expect(frame["s"][0], "grün")
    expect(frame["ts"][0], pd.Timestamp("2024-02-29 12:00:00.123456"))
    expect(frame["tz"][0], pd.Timestamp("2024-02-29 01:00:00", tz="UTC"))
    expect(frame["x"].isna().tolist(), [False, True])
    arrow = pd.read_sql("SELECT * FROM kinds ORDER BY n", connection, dtype_backend="pyarrow")
    expect([str(kind) for kind in arrow.dtypes][:3], ["int64[pyarrow]", "double[pyarrow]", "string[pyarrow]"])
    expect(pd.read_sql_query("SELECT count(*) AS n FROM kinds", connection)["n"].tolist(), [2])
    expect(pd.read_sql_table("kinds", connection, schema="main", columns=["n"])["n"].tolist(), [1, 2])
    chunks = pd.read_sql("SELECT value FROM generate_series(1, 50000) AS g(value)", connection)
    expect(int(chunks["value"].sum()), 1_250_025_000)


def write_pandas(connection):
    frame = pd.DataFrame({
        "id": [1, 2], "label": ["a", "ü"], "x": [0.5, None],
        "at": pd.to_datetime(["2024-01-01", "2024-06-01 12:30:00.000001"], format="ISO8601")})

    def stored():
        return pd.read_sql("SELECT * FROM from_pandas ORDER BY id", connection)

    def write(**options):
        return frame.to_sql("from_pandas", connection, index=False, **options)

    expect(write(), 2, "the rows that pandas says it wrote")
    found = stored()
    expect(found["label"].tolist(), ["a", "ü"])
    expect(found["at"].tolist(), frame["at"].tolist())
    expect(found["x"].isna().tolist(), [False, True])
    refused(ValueError, "already exists", lambda: write(if_exists="fail"))
    write(if_exists="append")
    expect(stored()["id"].tolist(), [1, 1, 2, 2])
    write(if_exists="replace")
    expect(stored()["id"].tolist(), [1, 2])
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA pandas")
    frame.to_sql("in schema", connection, schema="pandas", index=True)
    named = pd.read_sql('SELECT * FROM pandas."in schema" ORDER BY id', connection)
    expect(named["id"].tolist(), [1, 2])


if __name__ == "__main__":
    main()
