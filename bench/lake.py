"""Measures Limn's tables beside other systems in the same run, and prints Markdown tables.

`queries`: TPC-H at a scale factor, over Delta through Flight SQL, beside pysail's Flight SQL server on the same Delta
tables, and beside DataFusion and DuckDB in this process on the same Parquet files. `writes`: MERGE, UPDATE, DELETE,
OPTIMIZE and single-row commits beside Python's `deltalake`, each on a table of its own. Answers are compared: a system
that answers something else fails. Limn syncs every file and commit to the disk, `deltalake` none.
"""

import argparse
import datetime
import decimal
import math
import pathlib
import shutil
import statistics
import subprocess
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import datafusion
import deltalake
import duckdb
import pyarrow as pa

from flight import sail, timed

TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
QUERIES = sorted((pathlib.Path(__file__).parent / "tpch").glob("*.sql"))
ROUNDS = 3
COMMITS = 1_000
MERGED = 10_000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--data-dir", required=True, type=pathlib.Path)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--build", required=True, help="how the binary was built")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--parts", default="queries,writes")
    options = parser.parse_args()
    source = options.scratch / "tpch"
    generate = [str(pathlib.Path(sys.executable).parent / "tpchgen-cli"), "parquet", "-s", f"{options.scale:g}"]
    subprocess.run([*generate, f"--output-dir={source}"], check=True, stdout=subprocess.DEVNULL)
    print(f"{datetime.date.today().isoformat()}, {options.build}, scale factor {options.scale:g}.\n", flush=True)
    with flight_sql.connect(options.url, autocommit=True) as connection, connection.cursor() as cursor:
        if "queries" in options.parts:
            queries(options, cursor, source)
        if "writes" in options.parts:
            writes(options, cursor, source)


def fetch(cursor, sql):
    cursor.execute(sql)
    return cursor.fetch_arrow_table()


def queries(options, cursor, source):
    places = {}
    for table in TABLES:
        known = set((options.data_dir / "tables").iterdir())
        cursor.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{source / table}.parquet')")
        (places[table],) = set((options.data_dir / "tables").iterdir()) - known
    duck, fusion = duckdb.connect(), datafusion.SessionContext()
    for table, place in places.items():
        files = deltalake.DeltaTable(place).file_uris()
        duck.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet({files})")
        fusion.register_parquet(table, str(place))
    with sail() as url, flight_sql.connect(url, autocommit=True) as other, other.cursor() as sailing:
        for table, place in places.items():
            fetch(sailing, f"CREATE OR REPLACE TEMPORARY VIEW {table} AS SELECT * FROM delta.`{place}`")
        systems = {
            "Limn": lambda sql: fetch(cursor, sql),
            "pysail": lambda sql: fetch(sailing, sql),
            "DataFusion": lambda sql: pa.Table.from_batches(fusion.sql(sql).collect()),
            "DuckDB": lambda sql: duck.sql(sql).to_arrow_table(),
        }
        compare(systems)


def compare(systems):
    """Seconds of each query as the median of rounds in which the systems take turns."""
    print(f"| query | {' | '.join(systems)} |\n|---|{'---|' * len(systems)}", flush=True)
    totals = dict.fromkeys(systems, 0.0)
    for query in QUERIES:
        sql = "\n".join(query.read_text().splitlines()[1:]).rstrip().rstrip(";")
        seconds = {name: [] for name in systems}
        for turn in range(ROUNDS + 1):
            answers = {}
            for name, run in systems.items():
                answers[name], took = timed(lambda: run(sql))
                if turn:
                    seconds[name].append(took)
        expected = rows(answers["DuckDB"])
        for name, answer in answers.items():
            same(f"{query.stem} of {name}", rows(answer), expected)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        for name, median in medians.items():
            totals[name] += median
        print(f"| {query.stem} | {' | '.join(f'{median:.3f} s' for median in medians.values())} |", flush=True)
    print(f"| all | {' | '.join(f'{total:.2f} s' for total in totals.values())} |")
    ratios = " | ".join(f"{total / totals['Limn']:.2f}× Limn's" for total in totals.values())
    print(f"| | {ratios} |\n", flush=True)


def rows(table):
    return [tuple(plain(value) for value in row.values()) for row in table.to_pylist()]


def plain(value):
    return float(value) if isinstance(value, (decimal.Decimal, int)) else value


def same(what, found, expected):
    assert len(found) == len(expected), f"{what}: expected {len(expected)} rows, found {len(found)}"
    for one, other in zip(sorted(found, key=repr), sorted(expected, key=repr)):
        close = [math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-5) if isinstance(a, float) else a == b for a, b in zip(one, other)]
        assert all(close), f"{what}: expected {other}, found {one}"


class Pair:
    """One table of Limn and one of deltalake, with the same rows."""

    def __init__(self, cursor, scratch, rows):
        self.cursor, self.place = cursor, scratch / "deltalake"
        shutil.rmtree(self.place, ignore_errors=True)
        cursor.execute("DROP TABLE IF EXISTS changed")
        cursor.adbc_ingest("changed", rows.to_reader(max_chunksize=65_536), mode="create")
        deltalake.write_deltalake(str(self.place), rows)

    @property
    def table(self):
        return deltalake.DeltaTable(str(self.place))

    def check(self, what):
        sql = "SELECT count(*), sum(id), sum(n) FROM {}"
        found = fetch(self.cursor, sql.format("changed")).to_pylist()
        other = self.table.to_pyarrow_table(columns=["id", "n"])
        expected = duckdb.sql(sql.format("other")).fetchall()
        assert [tuple(map(int, row.values())) for row in found] == [tuple(map(int, row)) for row in expected], what
        del other


def writes(options, cursor, source):
    base = duckdb.sql(f"""SELECT l_orderkey * 100 + l_linenumber AS id, CAST(l_quantity AS BIGINT) AS n, l_shipdate AS day,
        CAST(l_extendedprice AS DOUBLE) AS price, l_comment AS note FROM read_parquet('{source}/lineitem.parquet')
        ORDER BY id""").to_arrow_table()
    merged = duckdb.sql(f"""SELECT id + CASE WHEN row_number() OVER (ORDER BY id) % 2 = 0 THEN 50 ELSE 0 END AS id, n + 1 AS n,
        day, price, note FROM base USING SAMPLE reservoir({MERGED} ROWS) REPEATABLE (7)""").to_arrow_table()
    cursor.adbc_ingest("merged", merged, mode="create")
    pair = Pair(cursor, options.scratch, base)
    print(f"""| what | Limn | deltalake {deltalake.__version__} | |
|---|---|---|---|""", flush=True)
    condition = "target.id = source.id"
    columns = {name: f"source.{name}" for name in base.column_names}
    pair_line(pair, f"MERGE of {merged.num_rows:,} rows into {base.num_rows:,}",
              "MERGE INTO changed AS target USING merged AS source ON target.id = source.id "
              "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
              lambda table: table.merge(merged, condition, source_alias="source", target_alias="target")
              .when_matched_update(columns).when_not_matched_insert(columns).execute())
    pair_line(pair, "UPDATE of a fiftieth of the rows, all over the table", "UPDATE changed SET n = n + 1 WHERE n = 17",
              lambda table: table.update(predicate="n = 17", updates={"n": "n + 1"}))
    pair_line(pair, "DELETE of a fiftieth of the rows, all over the table", "DELETE FROM changed WHERE n = 23",
              lambda table: table.delete("n = 23"))
    pair_line(pair, "DELETE of about 1,000 neighbours", "DELETE FROM changed WHERE id BETWEEN 1000000 AND 1100000",
              lambda table: table.delete("id BETWEEN 1000000 AND 1100000"))
    single(pair, base)
    pair_line(pair, "OPTIMIZE after them", "OPTIMIZE changed", lambda table: table.optimize.compact())


def pair_line(pair, what, sql, work):
    _, limn = timed(lambda: pair.cursor.execute(sql))
    table = pair.table
    _, other = timed(lambda: work(table))
    pair.check(what)
    print(f"| {what} | {limn:.2f} s | {other:.2f} s | {other / limn:.2f}× as fast |", flush=True)


def single(pair, base):
    """Rows that come one by one, each of which is durable in Limn when it is answered."""
    last = 10**12

    def limn():
        for n in range(COMMITS):
            pair.cursor.execute(f"INSERT INTO changed VALUES ({last + n}, 1, DATE '2026-01-01', 1.0, 'x')")

    def other():
        for n in range(COMMITS):
            row = [[last + n], [1], [datetime.date(2026, 1, 1)], [1.0], ["x"]]
            deltalake.write_deltalake(str(pair.place), pa.table(row, schema=base.schema), mode="append")

    (_, limn_s), (_, other_s) = timed(limn), timed(other)
    pair.check("single rows")
    print(f"| {COMMITS:,} commits of one row | {limn_s:.2f} s | {other_s:.2f} s | {other_s / limn_s:.2f}× as fast |", flush=True)


if __name__ == "__main__":
    main()
