"""Tables that Limn writes are read by `deltalake` and polars, and theirs by Limn, changed by both in turn.

Given the address of a server and a directory for tables of the others. It fails with the first thing that is not as
expected, and prints nothing otherwise.
"""

import os
import json
import pathlib
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

import delta_values
from check import expect, refused


def main():
    url, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    with flight_sql.connect(url, autocommit=True) as connection:
        limn = Limn(connection)
        for check in (types_to_them, partitions_to_them, changes_to_them, checkpoints_to_them, feed_to_them):
            check(limn)
        for check in (types_to_limn, partitions_to_limn, in_turns, feed_to_limn, transactions, from_polars, unreadable):
            check(limn, directory / check.__name__)


class Limn:
    def __init__(self, connection):
        self.connection = connection

    def run(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def rows(self, sql):
        return [tuple(row.values()) for row in self.run(sql).to_pylist()]

    def ingest(self, table, data):
        with self.connection.cursor() as cursor:
            return cursor.adbc_ingest(table, data, mode="append")

    def open(self, table):
        """The table as `deltalake` opens it."""
        return DeltaTable(self.run(f"DESCRIBE DETAIL {table}").column("location")[0].as_py())


def arrow(table, **options):
    """What `deltalake` reads."""
    return pa.table(table.to_pyarrow_table(**options))


def rows(table, *names, **options):
    found = arrow(table, columns=list(names), **options)
    return sorted(zip(*(column.to_pylist() for column in found.select(names).columns)), key=repr)


# --- Limn writes, they read ---------------------------------------------------------------------------------------


def types_to_them(limn):
    columns = ", ".join(f"{name} {sql}" for name, sql, _ in delta_values.TYPES)
    limn.run(f"CREATE TABLE types ({columns})")
    expect(limn.ingest("types", delta_values.table()), len(delta_values.ROWS))
    expect(delta_values.values(arrow(limn.open("types"))), delta_values.ROWS, "deltalake")
    expect(delta_values.values(limn.run("SELECT * FROM types")), delta_values.ROWS, "Limn")
    found = pl.read_delta(limn.open("types").table_uri).to_arrow()
    expect(delta_values.values(found), delta_values.ROWS, "polars")
    # The statistics that others skip files by.
    for name, low, high in [("i64", -(2**63), 2**63 - 1), ("f64", -1.7976931348623157e308, 5e-324)]:
        added = limn.open("types").get_add_actions(flatten=True)
        added = pa.table(added)
        expect(min(added.column(f"min.{name}").to_pylist()), low, f"the minimum of {name}")
        expect(max(added.column(f"max.{name}").to_pylist()), high, f"the maximum of {name}")
        expect(sum(added.column(f"null_count.{name}").to_pylist()), 1, f"the NULLs of {name}")


def partitions_to_them(limn):
    limn.run("CREATE TABLE parts (id BIGINT, part TEXT, day DATE) PARTITIONED BY (part, day)")
    data = pa.table({"id": list(range(len(delta_values.PARTITIONS))), "part": delta_values.PARTITIONS})
    limn.ingest("parts", data)
    limn.run("INSERT INTO parts VALUES (100, 'plain', DATE '2026-02-28')")
    expected = sorted([*enumerate(delta_values.PARTITIONS), (100, "plain")], key=repr)
    expect(rows(limn.open("parts"), "id", "part"), expected)
    expect(rows(limn.open("parts"), "id", partitions=[("part", "=", "a b/c")]), [(1,)], "one partition")
    found = pl.scan_delta(limn.open("parts").table_uri).filter(pl.col("part") == "ü=ö").collect()
    expect(found["id"].to_list(), [3], "one partition of polars")
    expect(limn.open("parts").metadata().partition_columns, ["part", "day"])


def changes_to_them(limn):
    """Each statement leaves a table, and versions before it, that another reader sees as Limn does."""
    limn.run("CREATE TABLE changed (id BIGINT, n BIGINT, twice BIGINT GENERATED ALWAYS AS (n * 2), CHECK (n >= 0))")
    statements = [
        "INSERT INTO changed (id, n) SELECT value, value FROM generate_series(1, 100) AS s(value)",
        "UPDATE changed SET n = n + 1000 WHERE id % 3 = 0",
        "DELETE FROM changed WHERE id > (SELECT avg(id) + 40 FROM changed)",
        """MERGE INTO changed USING (SELECT value AS id FROM generate_series(85, 105) AS s(value)) AS s
           ON changed.id = s.id WHEN MATCHED THEN UPDATE SET n = 7
           WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 8)""",
        "INSERT INTO changed (id, n) VALUES (200, 200)",
        "OPTIMIZE changed",
        "OPTIMIZE changed ZORDER BY (n)",
        "INSERT INTO changed (id, n) REPLACE WHERE id < 10 VALUES (5, 5)",
        "RESTORE changed TO VERSION AS OF 3",
        "ALTER TABLE changed ADD COLUMNS (note TEXT)",
        "UPDATE changed SET note = 'odd' WHERE id % 2 = 1",
        "TRUNCATE changed",
    ]
    for version, statement in enumerate(statements, 1):
        limn.run(statement)
        names = ["id", "n", "twice"] + (["note"] if version > 10 else [])
        table = limn.open("changed")
        expect(table.version(), version, statement)
        found = sorted(limn.rows(f"SELECT {', '.join(names)} FROM changed"), key=repr)
        expect(rows(table, *names), found, statement)
        if statement != "TRUNCATE changed":
            assert found, statement
    table = limn.open("changed")
    for version in range(1, len(statements)):
        table.load_as_version(version)
        found = sorted(limn.rows(f"SELECT id, n FROM changed VERSION AS OF {version}"), key=repr)
        expect(rows(table, "id", "n"), found, f"version {version}")
    expect([entry["version"] for entry in limn.open("changed").history()], list(range(len(statements), -1, -1)))


def checkpoints_to_them(limn):
    limn.run("CREATE TABLE many (id BIGINT)")
    for value in range(45):
        limn.run(f"INSERT INTO many VALUES ({value})")
    table = limn.open("many")
    log = pathlib.Path(table.table_uri.removeprefix("file://")) / "_delta_log"
    written = "SELECT count(*) FROM system.maintenance WHERE table_name = 'many' AND state = 'finished'"
    while limn.rows(written)[0][0] < 2:
        pass
    assert list(log.glob("*.checkpoint.parquet")), "no checkpoint"
    # What the checkpoint has is read from it alone.
    for commit in sorted(log.glob("*.json"))[:39]:
        if commit.name.startswith("0") and int(commit.stem) < 39:
            commit.rename(commit.with_suffix(".away"))
    expect(rows(DeltaTable(table.table_uri), "id"), sorted([(value,) for value in range(45)], key=repr))
    for commit in log.glob("*.away"):
        commit.rename(commit.with_suffix(".json"))


def feed_to_them(limn):
    limn.run("CREATE TABLE fed (id BIGINT, n BIGINT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    limn.run("INSERT INTO fed VALUES (1, 10), (2, 20), (3, 30)")
    limn.run("UPDATE fed SET n = n + 1 WHERE id <= 2")
    limn.run("DELETE FROM fed WHERE id = 3")
    limn.run("""MERGE INTO fed USING (VALUES (1, 100), (4, 400)) AS s(id, n) ON fed.id = s.id
                WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT *""")
    names = ["_commit_version", "_change_type", "id", "n"]
    expected = [
        (1, "insert", 1, 10), (1, "insert", 2, 20), (1, "insert", 3, 30),
        (2, "update_postimage", 1, 11), (2, "update_postimage", 2, 21),
        (2, "update_preimage", 1, 10), (2, "update_preimage", 2, 20),
        (3, "delete", 3, 30),
        (4, "insert", 4, 400), (4, "update_postimage", 1, 100), (4, "update_preimage", 1, 11),
    ]
    found = pa.table(limn.open("fed").load_cdf(starting_version=1)).select(names)
    expect(sorted(zip(*(column.to_pylist() for column in found.columns))), expected, "deltalake")
    expect(sorted(limn.rows(f"SELECT {', '.join(names)} FROM table_changes('fed', 1)")), expected, "Limn")


# --- they write, Limn reads ---------------------------------------------------------------------------------------


def types_to_limn(limn, directory):
    write_deltalake(directory, delta_values.table())
    limn.run(f"CREATE TABLE their_types LOCATION '{directory}'")
    expect(delta_values.values(limn.run("SELECT * FROM their_types")), delta_values.ROWS)
    described = {name: kind for name, kind, *_ in limn.rows("DESCRIBE their_types")}
    expect(described, {name: sql for name, sql, _ in delta_values.TYPES}, "types")
    for name, _, _ in delta_values.TYPES[1:]:
        expect(limn.rows(f"SELECT id FROM their_types WHERE {name} IS NULL"), [(3,)], name)


def partitions_to_limn(limn, directory):
    parts = delta_values.PARTITIONS
    data = pa.table({"id": list(range(len(parts))), "part": parts, "n": pa.array([1] * len(parts), pa.int32())})
    write_deltalake(directory, data, partition_by=["part", "n"])
    limn.run(f"CREATE TABLE their_parts LOCATION '{directory}'")
    expect(sorted(limn.rows("SELECT id, part FROM their_parts")), list(enumerate(parts)))
    for at, part in enumerate(parts[:-1]):
        quoted = part.replace("'", "''")
        expect(limn.rows(f"SELECT id FROM their_parts WHERE part = '{quoted}'"), [(at,)], part)
    # Limn's own rows go to the same partitions.
    limn.run("INSERT INTO their_parts SELECT id + 100, part, n FROM their_parts")
    expected = sorted([*enumerate(parts), *((at + 100, part) for at, part in enumerate(parts))], key=repr)
    expect(rows(DeltaTable(directory), "id", "part"), expected)
    limn.run("UPDATE their_parts SET n = 2 WHERE part = '50%' OR part IS NULL")
    expect(rows(DeltaTable(directory), "id", partitions=[("n", "=", "2")]), [(102,), (106,), (2,), (6,)])


def in_turns(limn, directory):
    """Both change one table in turn, and each sees what the other did."""
    write_deltalake(directory, pa.table({"id": list(range(10)), "n": [0] * 10}))
    limn.run(f"CREATE TABLE turns LOCATION '{directory}'")
    theirs = [
        lambda table: table.update(updates={"n": "n + 1"}, predicate="id >= 5"),
        lambda table: table.delete("id = 0"),
        lambda table: table.optimize.compact(),
        lambda table: table.create_checkpoint(),
        lambda table: table.optimize.z_order(["n"]),
        lambda table: table.alter.add_constraint({"sane": "n < 100"}),
    ]
    ours = [
        "UPDATE turns SET n = n + 10 WHERE id < 5",
        "DELETE FROM turns WHERE id = 9",
        "OPTIMIZE turns",
        "MERGE INTO turns USING (SELECT 20 AS id, 20 AS n) AS s ON turns.id = s.id WHEN NOT MATCHED THEN INSERT *",
        "INSERT INTO turns VALUES (30, 30)",
        "UPDATE turns SET n = 40 WHERE id = 30",
    ]
    for their, our in zip(theirs, ours):
        their(DeltaTable(directory))
        expect(sorted(limn.rows("SELECT id, n FROM turns"), key=repr), rows(DeltaTable(directory), "id", "n"), our)
        limn.run(our)
        expect(rows(DeltaTable(directory), "id", "n"), sorted(limn.rows("SELECT id, n FROM turns"), key=repr), our)
    expected = [(1, 10), (2, 10), (3, 10), (4, 10), (5, 1), (6, 1), (7, 1), (8, 1), (20, 20), (30, 40)]
    expect(sorted(limn.rows("SELECT id, n FROM turns")), expected)
    refused(adbc_driver_manager.Error, "sane", lambda: limn.run("INSERT INTO turns VALUES (31, 100)"))
    DeltaTable(directory).restore(0)
    expect(limn.rows("SELECT count(*), sum(n) FROM turns"), [(10, 0)], "their RESTORE")


def feed_to_limn(limn, directory):
    first = pa.table({"id": [1, 2, 3], "n": [10, 20, 30]})
    write_deltalake(directory, first, configuration={"delta.enableChangeDataFeed": "true"})
    DeltaTable(directory).update(updates={"n": "n + 1"}, predicate="id = 2")
    DeltaTable(directory).delete("id = 3")
    limn.run(f"CREATE TABLE their_feed LOCATION '{directory}'")
    sql = "SELECT _commit_version, _change_type, id, n FROM table_changes('their_feed', 0)"
    expected = [(0, "insert", 1, 10), (0, "insert", 2, 20), (0, "insert", 3, 30), (1, "update_postimage", 2, 21),
                (1, "update_preimage", 2, 20), (2, "delete", 3, 30)]
    expect(sorted(limn.rows(sql)), expected)
    limn.run("UPDATE their_feed SET n = 0 WHERE id = 1")
    found = pa.table(DeltaTable(directory).load_cdf(starting_version=3)).select(["_change_type", "id", "n"])
    found = sorted(zip(*(column.to_pylist() for column in found.columns)))
    expect(found, [("update_postimage", 1, 0), ("update_preimage", 1, 10)])


def transactions(limn, directory):
    """A batch that one wrote is known to the other."""
    data = pa.table({"id": [1]})
    properties = CommitProperties(app_transactions=[Transaction("job", 5)])
    write_deltalake(directory, data, commit_properties=properties)
    limn.run(f"CREATE TABLE batches LOCATION '{directory}'")
    for version, expected in [(5, 1), (6, 2), (6, 2)]:
        limn.run(f"INSERT INTO batches TRANSACTION ('job', {version}) VALUES ({version})")
        expect(limn.rows("SELECT count(*) FROM batches"), [(expected,)], f"after {version}")
    expect(DeltaTable(directory).transaction_version("job"), 6)


def from_polars(limn, directory):
    data = pl.DataFrame({"id": [1, 2, 3], "when": ["a", None, "c"], "list": [[1.5], [], None]})
    data.write_delta(directory)
    data.write_delta(directory, mode="append")
    limn.run(f"CREATE TABLE from_polars LOCATION '{directory}'")
    expect(limn.rows("SELECT count(*), sum(id), count(\"when\") FROM from_polars"), [(6, 12, 4)])
    expect(sorted(limn.rows("SELECT list FROM from_polars WHERE id = 1")), [([1.5],), ([1.5],)])
    limn.run("DELETE FROM from_polars WHERE id = 2")
    expect(pl.read_delta(str(directory))["id"].sort().to_list(), [1, 1, 3, 3])


def unreadable(limn, directory):
    """What asks for more than Limn can do says so by itself, and is not read as if it did not."""
    write_deltalake(directory, pa.table({"id": [1]}))
    log = directory / "_delta_log"
    protocol = {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["futureOfDelta"],
                             "writerFeatures": ["futureOfDelta"]}}
    (log / f"{1:020}.json").write_text(json.dumps(protocol) + "\n")
    limn.run(f"CREATE TABLE future LOCATION '{directory}'")
    detail = limn.run("DESCRIBE DETAIL future").to_pylist()[0]
    expect((detail["readable"], detail["writable"]), (False, False))
    assert "futureOfDelta" in detail["reason"], detail["reason"]
    refused(adbc_driver_manager.Error, "futureOfDelta", lambda: limn.run("SELECT * FROM future"))
    refused(adbc_driver_manager.Error, "futureOfDelta", lambda: limn.run("INSERT INTO future VALUES (2)"))


main()
# The threads of `deltalake` may abort a process that ends as usual, after all is done.
sys.stdout.flush()
os._exit(0)
