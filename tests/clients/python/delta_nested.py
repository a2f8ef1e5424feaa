"""Nested columns: what Limn writes is what Python's `deltalake` reads, and the other way round.

Called with the server's address and a directory. It fails with the first thing that is not as expected.
"""

import os
import datetime
import pathlib
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from check import expect


def main():
    url, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        written_here(cursor, directory / "here")
        written_there(cursor, directory / "there")


def rows(path):
    return sorted(pa.table(DeltaTable(str(path)).to_pyarrow_table()).to_pylist(), key=lambda row: row["id"])


def written_here(cursor, path):
    """Each statement that changes rows, one after the other."""
    cursor.execute("CREATE TABLE here (id INT, s STRUCT<a BIGINT, t STRUCT<x DOUBLE, d DATE>>, l TEXT[], "
                   f"m MAP(TEXT, BIGINT), ls STRUCT<k INT>[]) LOCATION '{path}'")
    cursor.execute("""INSERT INTO here SELECT id, s, l, m, ls FROM (SELECT 1 AS id,
        from_json('{"a": 9223372036854775807, "t": {"x": 0.5, "d": "2024-02-29"}}', 'a BIGINT, t STRUCT<x DOUBLE, d DATE>') AS s,
        ['p', NULL, 'grün'] AS l, MAP {'k': 7, 'j': NULL} AS m, from_json('[{"k": 1}, null]', 'STRUCT<k INT>[]') AS ls)""")
    cursor.execute("INSERT INTO here (id, l) VALUES (2, make_array()), (3, NULL), (4, ['gone'])")
    first = {"id": 1, "s": {"a": 9223372036854775807, "t": {"x": 0.5, "d": datetime.date(2024, 2, 29)}},
             "l": ["p", None, "grün"], "m": [("k", 7), ("j", None)], "ls": [{"k": 1}, None]}
    empty = {"s": None, "l": None, "m": None, "ls": None}
    expect(rows(path), [first, {**empty, "id": 2, "l": []}, {**empty, "id": 3}, {**empty, "id": 4, "l": ["gone"]}])
    cursor.execute("UPDATE here SET l = array_append(l, s.t.d::TEXT), m = MAP {'n': s.a} WHERE m['k'] = 7")
    cursor.execute("DELETE FROM here WHERE l[1] = 'gone'")
    cursor.execute("""MERGE INTO here USING (SELECT 2 AS id, ['q'] AS l UNION ALL SELECT 5, ['new']) AS q ON here.id = q.id
        WHEN MATCHED THEN UPDATE SET l = q.l WHEN NOT MATCHED THEN INSERT (id, l) VALUES (q.id, q.l)""")
    first = {**first, "l": ["p", None, "grün", "2024-02-29"], "m": [("n", 9223372036854775807)]}
    expect(rows(path), [first, {**empty, "id": 2, "l": ["q"]}, {**empty, "id": 3}, {**empty, "id": 5, "l": ["new"]}])


def written_there(cursor, path):
    """A table of theirs, read and changed here."""
    kind = pa.schema([
        ("id", pa.int64()),
        ("s", pa.struct([("a", pa.int32()), ("l", pa.list_(pa.float64()))])),
        ("m", pa.map_(pa.string(), pa.struct([("x", pa.bool_())]))),
    ])
    given = [{"id": 1, "s": {"a": 5, "l": [1.5, None]}, "m": [("k", {"x": True})]}, {"id": 2, "s": None, "m": None}]
    write_deltalake(str(path), pa.Table.from_pylist(given, schema=kind))
    cursor.execute(f"CREATE TABLE there LOCATION '{path}'")
    cursor.execute("SELECT id, s.a, s.l[1], array_length(s.l), m['k'].x FROM there ORDER BY id")
    expect(cursor.fetchall(), [(1, 5, 1.5, 2, True), (2, None, None, None, None)])
    cursor.execute("INSERT INTO there SELECT id + 2, s, m FROM there")
    expect(rows(path), given + [{**row, "id": row["id"] + 2} for row in given])


main()
# The threads of `deltalake` may abort a process that ends as usual, after all is done.
sys.stdout.flush()
os._exit(0)
