"""Tables that Limn writes are read and changed by Apache Spark, and Spark's by Limn.

Given the address of a server, a directory for Spark's tables, and the jars of Delta Lake, comma-separated. It fails with
the first thing that is not as expected.
"""

import pathlib
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
from pyspark.sql import SparkSession

import delta_values
from check import expect, refused

SPARK_TYPES = {
    "BOOLEAN": "BOOLEAN", "TINYINT": "TINYINT", "SMALLINT": "SMALLINT", "INT": "INT", "BIGINT": "BIGINT",
    "REAL": "FLOAT", "DOUBLE": "DOUBLE", "DECIMAL(10,2)": "DECIMAL(10,2)", "DECIMAL(38,10)": "DECIMAL(38,10)",
    "TEXT": "STRING", "BINARY": "BINARY", "DATE": "DATE", "TIMESTAMP": "TIMESTAMP_NTZ",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "BIGINT[]": "ARRAY<BIGINT>",
    "STRUCT<a BIGINT, b TEXT>": "STRUCT<a: BIGINT, b: STRING>",
}
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def main():
    url, directory, jars = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    spark = session(directory, jars)
    with flight_sql.connect(url, autocommit=True) as connection:
        for function in CHECKS:
            function(Both(connection, spark, directory / function.__name__))
            print(f"{function.__name__}: as expected", flush=True)
    spark.stop()


def session(directory, jars):
    builder = SparkSession.builder.master("local[1]")
    for key, value in {
        "spark.jars": jars,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
        # A log of a few commits needs no fifty tasks.
        "spark.databricks.delta.snapshotPartitions": "1",
    }.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


class Both:
    """Limn and Spark, and a place for a table of Spark's."""

    def __init__(self, connection, session, directory):
        self.connection, self.session, self.place = connection, session, directory
        self.theirs = f"delta.`{directory}`"

    def limn(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def limn_rows(self, sql):
        return sorted((tuple(row.values()) for row in self.limn(sql).to_pylist()), key=repr)

    def spark(self, sql):
        return self.session.sql(sql)

    def spark_rows(self, sql):
        return sorted((tuple(row.values()) for row in self.spark(sql).toArrow().to_pylist()), key=repr)

    def ours(self, table):
        """A table of Limn's, as Spark names it."""
        return f"delta.`{self.limn(f'DESCRIBE DETAIL {table}').column('location')[0].as_py()}`"

    def open(self, name):
        """Gives Spark's table a name in Limn."""
        self.limn(f"CREATE TABLE {name} LOCATION '{self.place}'")

    def same(self, name, columns, about=""):
        """Both read the same rows of Spark's table; gives them."""
        found = self.limn_rows(f"SELECT {columns} FROM {name}")
        expect(found, self.spark_rows(f"SELECT {columns} FROM {self.theirs}"), about or name)
        return found

    def detail(self, name):
        return self.limn(f"DESCRIBE DETAIL {name}").to_pylist()[0]


@check
def types_to_spark(both):
    columns = ", ".join(f"{name} {sql}" for name, sql, _ in delta_values.TYPES)
    both.limn(f"CREATE TABLE types ({columns})")
    with both.connection.cursor() as cursor:
        cursor.adbc_ingest("types", delta_values.table(), mode="append")
    expect(delta_values.values(both.spark(f"SELECT * FROM {both.ours('types')}").toArrow()), delta_values.ROWS)
    # By statistics and dictionaries, not only by scanning.
    expect(both.spark_rows(f"SELECT id FROM {both.ours('types')} WHERE i64 = -9223372036854775808"), [(1,)])
    expect(both.spark_rows(f"SELECT id FROM {both.ours('types')} WHERE words IS NULL"), [(3,)])


@check
def types_to_limn(both):
    columns = ", ".join(f"{name} {SPARK_TYPES[sql]}" for name, sql, _ in delta_values.TYPES)
    both.spark(f"CREATE TABLE {both.theirs} ({columns}) USING delta")
    both.session.createDataFrame(delta_values.table()).createOrReplaceTempView("given")
    both.spark(f"INSERT INTO {both.theirs} SELECT * FROM given")
    both.open("spark_types")
    expect(delta_values.values(both.limn("SELECT * FROM spark_types")), delta_values.ROWS)
    described = {row["column_name"]: row["data_type"] for row in both.limn("DESCRIBE spark_types").to_pylist()}
    expect(described, {name: sql for name, sql, _ in delta_values.TYPES})


@check
def partitions_to_spark(both):
    both.limn("CREATE TABLE parts (id BIGINT, part TEXT, day DATE) PARTITIONED BY (part, day)")
    parts = delta_values.PARTITIONS
    with both.connection.cursor() as cursor:
        cursor.adbc_ingest("parts", pa.table({"id": list(range(len(parts))), "part": parts}), mode="append")
    expected = sorted(enumerate(parts), key=repr)
    expect(both.spark_rows(f"SELECT id, part FROM {both.ours('parts')}"), expected)
    for at, part in enumerate(parts[:-1]):
        quoted = part.replace("'", "\\'")
        expect(both.spark_rows(f"SELECT id FROM {both.ours('parts')} WHERE part = '{quoted}'"), [(at,)], part)


@check
def partitions_to_limn(both):
    both.spark(f"CREATE TABLE {both.theirs} (id BIGINT, part STRING, hour TIMESTAMP) USING delta PARTITIONED BY (part, hour)")
    parts = delta_values.PARTITIONS
    given = pa.table({"id": list(range(len(parts))), "part": parts})
    both.session.createDataFrame(given).createOrReplaceTempView("given")
    both.spark(f"INSERT INTO {both.theirs} SELECT id, part, timestamp'2026-03-29 01:30:00' FROM given")
    both.open("spark_parts")
    expect(both.limn_rows("SELECT id, part FROM spark_parts"), sorted(enumerate(parts), key=repr))
    expect(both.limn_rows("SELECT count(*) FROM spark_parts WHERE hour = TIMESTAMP WITH TIME ZONE '2026-03-29 01:30:00Z'"),
           [(len(parts),)])
    both.limn("INSERT INTO spark_parts SELECT id + 100, part, hour FROM spark_parts")
    both.same("spark_parts", "id, part")


@check
def deletion_vectors(both):
    """Limn reads them, and what it changes has none."""
    both.spark(f"CREATE TABLE {both.theirs} (id BIGINT, n BIGINT) USING delta "
               "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    both.spark(f"INSERT INTO {both.theirs} SELECT id, id FROM range(0, 1000, 1, 1)")
    both.spark(f"DELETE FROM {both.theirs} WHERE id % 7 = 0")
    both.spark(f"UPDATE {both.theirs} SET n = -1 WHERE id = 500")
    assert list(both.place.glob("deletion_vector_*")), "Spark wrote no deletion vector"
    both.open("vectors")
    expect(both.limn_rows("SELECT count(*), min(n), sum(id) FROM vectors"),
           [(857, -1, sum(i for i in range(1000) if i % 7))])
    both.same("vectors", "id, n")
    expect(both.limn_rows("SELECT count(*) FROM vectors VERSION AS OF 1"), [(1000,)])
    detail = both.detail("vectors")
    expect(detail["readable"], True)
    if detail["writable"]:
        both.limn("DELETE FROM vectors WHERE id = 1")
        both.limn("UPDATE vectors SET n = n + 1 WHERE id < 10")
        both.limn("OPTIMIZE vectors")
        both.same("vectors", "id, n", "after Limn's changes")
    else:
        assert detail["reason"], "a table that Limn does not write says why"
        refused(adbc_driver_manager.Error, "", lambda: both.limn("DELETE FROM vectors WHERE id = 1"))
    both.spark(f"DELETE FROM {both.theirs} WHERE id = 2")
    both.same("vectors", "id, n", "after Spark's next vector")


@check
def column_mapping(both):
    both.spark(f"CREATE TABLE {both.theirs} (id BIGINT, `old name` STRING, gone INT, part STRING) USING delta "
               "PARTITIONED BY (part) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    both.spark(f"INSERT INTO {both.theirs} VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'y')")
    both.spark(f"ALTER TABLE {both.theirs} RENAME COLUMN `old name` TO name")
    both.spark(f"ALTER TABLE {both.theirs} DROP COLUMN gone")
    both.spark(f"INSERT INTO {both.theirs} VALUES (3, NULL, 'x')")
    both.open("mapped")
    expect(both.same("mapped", "id, name, part"), [(1, "a", "x"), (2, "b", "y"), (3, None, "x")])
    expect(both.limn_rows("SELECT id FROM mapped WHERE name = 'b' AND part = 'y'"), [(2,)])
    expect(both.detail("mapped")["readable"], True)


@check
def checkpoints(both):
    """Spark's, classic and of the second version, and Limn's in Spark."""
    for policy in ("classic", "v2"):
        place = f"{both.place}_{policy}"
        table = f"delta.`{place}`"
        both.spark(f"CREATE TABLE {table} (id BIGINT) USING delta TBLPROPERTIES ('delta.checkpointPolicy' = '{policy}', "
                   "'delta.checkpointInterval' = '2')")
        for value in range(5):
            both.spark(f"INSERT INTO {table} VALUES ({value})")
        log = pathlib.Path(place) / "_delta_log"
        assert list(log.glob("*.checkpoint.*")), f"no checkpoint of {policy}"
        both.limn(f"CREATE TABLE checkpoint_{policy} LOCATION '{place}'")
        expect(both.limn_rows(f"SELECT count(*), sum(id) FROM checkpoint_{policy}"), [(5, 10)], policy)
    both.limn("CREATE TABLE many (id BIGINT)")
    for value in range(25):
        both.limn(f"INSERT INTO many VALUES ({value})")
    expect(both.spark_rows(f"SELECT count(*), sum(id) FROM {both.ours('many')}"), [(25, 300)])


@check
def change_feeds(both):
    names = "_commit_version, _change_type, id, n"
    both.spark(f"CREATE TABLE {both.theirs} (id BIGINT, n BIGINT) USING delta "
               "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    both.spark(f"INSERT INTO {both.theirs} VALUES (1, 10), (2, 20), (3, 30)")
    both.spark(f"UPDATE {both.theirs} SET n = n + 1 WHERE id = 2")
    both.spark(f"DELETE FROM {both.theirs} WHERE id = 3")
    both.open("spark_feed")
    expected = [(1, "insert", 1, 10), (1, "insert", 2, 20), (1, "insert", 3, 30), (2, "update_postimage", 2, 21),
                (2, "update_preimage", 2, 20), (3, "delete", 3, 30)]
    expect(both.limn_rows(f"SELECT {names} FROM table_changes('spark_feed', 1)"), expected)
    both.limn("CREATE TABLE feed (id BIGINT, n BIGINT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    both.limn("INSERT INTO feed VALUES (1, 10), (2, 20), (3, 30)")
    both.limn("UPDATE feed SET n = n + 1 WHERE id = 2")
    both.limn("DELETE FROM feed WHERE id = 3")
    reader = both.session.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1)
    found = reader.load(both.ours("feed").removeprefix("delta.`").rstrip("`")).select(names.split(", ")).toArrow()
    expect(sorted((tuple(row.values()) for row in found.to_pylist()), key=repr), sorted(expected, key=repr))


@check
def in_turns(both):
    """Both change one table of Limn's in turn."""
    both.limn("CREATE TABLE turns (id BIGINT, n BIGINT, CHECK (n < 1000))")
    both.limn("INSERT INTO turns SELECT value, 0 FROM generate_series(0, 9) AS s(value)")
    table = both.ours("turns")
    turns = [
        (both.spark, f"UPDATE {table} SET n = n + 1 WHERE id >= 5"),
        (both.limn, "UPDATE turns SET n = n + 10 WHERE id < 5"),
        (both.spark, f"MERGE INTO {table} t USING (SELECT 20L AS id, 20L AS n) s ON t.id = s.id "
                     "WHEN NOT MATCHED THEN INSERT *"),
        (both.limn, "MERGE INTO turns USING (SELECT 20 AS id, 21 AS n) AS s ON turns.id = s.id "
                    "WHEN MATCHED THEN UPDATE SET *"),
        (both.spark, f"DELETE FROM {table} WHERE id = 0"),
        (both.limn, "OPTIMIZE turns"),
        (both.spark, f"OPTIMIZE {table} ZORDER BY (n)"),
        (both.limn, "DELETE FROM turns WHERE id = 9"),
        (both.spark, f"INSERT INTO {table} VALUES (30, 30)"),
    ]
    for run, sql in turns:
        run(sql)
        expect(both.limn_rows("SELECT id, n FROM turns"), both.spark_rows(f"SELECT id, n FROM {table}"), sql)
    expected = [(1, 10), (2, 10), (3, 10), (4, 10), (5, 1), (6, 1), (7, 1), (8, 1), (20, 21), (30, 30)]
    expect(both.limn_rows("SELECT id, n FROM turns"), sorted(expected, key=repr))
    refused(Exception, "1000", lambda: both.spark(f"INSERT INTO {table} VALUES (31, 1000)"))


main()
