"""Bulk ingestion through the stock ADBC driver, in every mode: what arrow-adbc's own tests and its users expect.

It fails with the first thing that is not as expected, and prints nothing otherwise.
"""

import datetime
import decimal
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa

import adbc_session
from check import expect, refused

STATUS = adbc_driver_manager.AdbcStatusCode
DATA = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", None, "ü"]})


def main():
    url = sys.argv[1]
    with flight_sql.connect(url, autocommit=True) as connection:
        with connection.cursor() as cursor:
            modes(cursor)
            mismatches(cursor)
            sources(cursor)
            encodings(cursor)
            shapes(cursor)
            much(cursor)
        places(connection)
        once(connection)
        temporary(url, connection)


def rows(cursor, sql):
    cursor.execute(sql)
    return cursor.fetchall()


def fails(kind, text, call):
    error = refused(adbc_driver_manager.Error, text, call)
    expect(error.status_code, kind, str(error))


def modes(cursor):
    """What a mode says about a table that is there, and about one that is not."""
    stored = [(1, "a"), (2, None), (3, "ü")]

    def found():
        return rows(cursor, "SELECT * FROM modes ORDER BY id, name")

    fails(STATUS.NOT_FOUND, "modes", lambda: cursor.adbc_ingest("modes", DATA, mode="append"))
    expect(cursor.adbc_ingest("modes", DATA, mode="create"), 3, "rows of create")
    expect(found(), stored)
    fails(STATUS.ALREADY_EXISTS, "modes", lambda: cursor.adbc_ingest("modes", DATA, mode="create"))
    expect(found(), stored, "after a refused create")
    expect(cursor.adbc_ingest("modes", DATA, mode="append"), 3, "rows of append")
    expect(len(found()), 6)
    other = pa.table({"other": [1.5]})
    expect(cursor.adbc_ingest("modes", other, mode="replace"), 1, "rows of replace")
    expect(found_columns(cursor, "modes"), ["other"])
    cursor.adbc_ingest("modes", DATA, mode="replace")
    expect(found(), stored)
    expect(cursor.adbc_ingest("modes", DATA, mode="create_append"), 3)
    expect(len(found()), 6)
    expect(cursor.adbc_ingest("made", DATA, mode="create_append"), 3)
    expect(rows(cursor, "SELECT count(*) FROM made"), [(3,)])
    fails(STATUS.ALREADY_EXISTS, "made", lambda: cursor.adbc_ingest("made", other, mode="create_append"))
    cursor.adbc_ingest("fresh", DATA, mode="replace")
    expect(rows(cursor, "SELECT count(*) FROM fresh"), [(3,)])


def found_columns(cursor, table):
    cursor.execute(f"SELECT * FROM {table}")
    return [column[0] for column in cursor.description]


def once(connection):
    """A batch that is sent again is taken once; drivers say which it is in headers."""
    with connection.cursor() as cursor:
        cursor.adbc_ingest("once", DATA, mode="create")

    def send(version):
        with connection.cursor() as cursor:
            header = "adbc.flight.sql.rpc.call_header.limn-txn-"
            cursor.adbc_statement.set_options(**{header + "app-id": "job", header + "version": str(version)})
            return cursor.adbc_ingest("once", DATA, mode="append")

    expect([send(version) for version in [1, 1, 2, 1]], [3, 0, 3, 0], "rows taken")
    with connection.cursor() as cursor:
        expect(rows(cursor, "SELECT count(*) FROM once"), [(9,)])


def mismatches(cursor):
    """Rows that do not fit leave the table as it was."""
    wrong = [pa.table({"id": [1], "name": ["x"], "more": [1]}), pa.table({"elsewhere": [1]}),
             pa.table({"id": ["no number"], "name": ["x"]})]
    for data in wrong:
        refused(adbc_driver_manager.Error, "", lambda data=data: cursor.adbc_ingest("made", data, mode="append"))
    expect(rows(cursor, "SELECT count(*) FROM made"), [(3,)])
    # By name, in any order, from any type whose values fit.
    turned = pa.table({"name": pa.array(["d"]).dictionary_encode(), "id": pa.array([4], pa.int8())})
    cursor.adbc_ingest("made", turned, mode="append")
    expect(rows(cursor, "SELECT * FROM made WHERE id = 4"), [(4, "d")])


def sources(cursor):
    """A table, a batch, a reader, nothing."""
    cursor.adbc_ingest("sources", DATA.to_batches()[0], mode="create")
    cursor.adbc_ingest("sources", DATA.to_reader(), mode="append")
    many = pa.RecordBatchReader.from_batches(DATA.schema, (DATA.to_batches()[0] for _ in range(100)))
    expect(cursor.adbc_ingest("sources", many, mode="append"), 300)
    expect(rows(cursor, "SELECT count(*), sum(id) FROM sources"), [(306, 612)])
    expect(cursor.adbc_ingest("no_rows", DATA.to_batches()[0].slice(0, 0), mode="create"), 0)
    expect(found_columns(cursor, "no_rows"), ["id", "name"])
    # Without a single batch the driver sends nothing, not even which table is meant; that must not look like success.
    fails(STATUS.INVALID_ARGUMENT, "before its first message",
          lambda: cursor.adbc_ingest("nothing", pa.RecordBatchReader.from_batches(DATA.schema, []), mode="create"))


def places(connection):
    """Schemas and names that need quoting. A cursor keeps the schema that it was told, so each call has its own."""
    def ingest(table, **place):
        with connection.cursor() as cursor:
            return cursor.adbc_ingest(table, DATA, **place)

    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA landing")
        ingest("modes", mode="create", db_schema_name="landing")
        ingest("modes", mode="append", db_schema_name="landing", catalog_name="lake")
        expect(rows(cursor, "SELECT count(*) FROM landing.modes"), [(6,)])
        ingest('Meine "Tabelle"', mode="create")
        expect(rows(cursor, 'SELECT count(*) FROM main."Meine ""Tabelle"""'), [(3,)])
    fails(STATUS.NOT_FOUND, "nowhere", lambda: ingest("t", mode="create", db_schema_name="nowhere"))
    fails(STATUS.NOT_FOUND, "elsewhere", lambda: ingest("t", mode="create", catalog_name="elsewhere"))


def encodings(cursor):
    """What libraries send and tables do not keep: views, dictionaries, other units, unsigned numbers."""
    moment = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)
    data = pa.table({
        "view": pa.array(["a", None], pa.string_view()), "large": pa.array(["b", None], pa.large_string()),
        "dictionary": pa.array(["c", None]).dictionary_encode(), "bytes": pa.array([b"\0", None], pa.large_binary()),
        "nanos": pa.array([moment, None], pa.timestamp("ns")),
        "zone": pa.array([moment, None], pa.timestamp("ms", "UTC")),
        "unsigned": pa.array([2**32 - 1, None], pa.uint32()), "day": pa.array([moment.date(), None], pa.date64()),
        "half": pa.array([1.5, None], pa.float16()),
        "small": pa.array([decimal.Decimal("1.25"), None], pa.decimal64(5, 2)),
        "hundreds": pa.array([decimal.Decimal("123E2"), None], pa.decimal128(5, -2)),
        "list": pa.array([["x"], None], pa.large_list(pa.string_view())),
        "fixed": pa.array([[1, 2], None], pa.list_(pa.int32(), 2)),
    })
    expect(cursor.adbc_ingest("encodings", data, mode="create"), 2)
    cursor.execute("SELECT * FROM encodings ORDER BY view")
    found = cursor.fetch_arrow_table().to_pylist()
    expect(found[1], dict.fromkeys(data.column_names))
    first = found[0]
    expect({name: first[name] for name in ("view", "large", "dictionary", "bytes", "unsigned", "day", "half", "list",
                                          "fixed")},
           {"view": "a", "large": "b", "dictionary": "c", "bytes": b"\0", "unsigned": 2**32 - 1, "day": moment.date(),
            "half": 1.5, "list": ["x"], "fixed": [1, 2]})
    expect(first["nanos"], moment)
    expect(first["zone"].replace(tzinfo=None), moment.replace(microsecond=123000))
    expect(first["small"], decimal.Decimal("1.25"))
    # A scale below zero is one that no table has: the digits before the point are spelled out.
    expect((first["hundreds"].as_tuple(), data.schema.field("hundreds").type),
           (decimal.Decimal(12300).as_tuple(), pa.decimal128(5, -2)))


def shapes(cursor):
    """Many columns, many batches, an empty batch among others, columns that are said to have no NULL."""
    many = pa.table({f"col_{i}": list(range(5)) for i in range(100)})
    expect(cursor.adbc_ingest("many_columns", many, mode="replace"), 5)
    expect(rows(cursor, "SELECT count(*), sum(col_0), sum(col_99) FROM many_columns"), [(5, 10, 10)])
    whole = DATA.to_batches()[0]
    parts = pa.RecordBatchReader.from_batches(DATA.schema, [whole.slice(0, 0), whole, whole.slice(1, 0), whole.slice(1)])
    expect(cursor.adbc_ingest("parts", parts, mode="create"), 5)
    expect(rows(cursor, "SELECT count(*), sum(id) FROM parts"), [(5, 11)])
    strict = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("x", pa.float64())])
    expect(cursor.adbc_ingest("strict", pa.table({"id": [1], "x": [0.5]}, schema=strict), mode="create"), 1)
    expect(cursor.adbc_ingest("strict", pa.table({"id": [2], "x": [None]}, schema=strict), mode="append"), 1)
    expect(rows(cursor, "SELECT * FROM strict ORDER BY id"), [(1, 0.5), (2, None)])


def much(cursor):
    """A million rows, and batches near the driver's own limit of 16 MiB a message."""
    schema = pa.schema([("id", pa.int64()), ("x", pa.float64())])

    def batches():
        for start in range(0, 1_000_000, 100_000):
            ids = pa.array(range(start, start + 100_000), pa.int64())
            yield pa.record_batch([ids, ids.cast(pa.float64())], schema=schema)

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    expect(cursor.adbc_ingest("much", reader, mode="create"), 1_000_000)
    expect(rows(cursor, "SELECT count(*), sum(id), sum(x) FROM much"),
           [(1_000_000, 499_999_500_000, 499_999_500_000.0)])
    wide = pa.table({"text": ["y" * 1_000_000] * 15})
    expect(cursor.adbc_ingest("wide", wide, mode="create"), 15)
    expect(rows(cursor, "SELECT sum(length(text)) FROM wide"), [(15_000_000,)])


def temporary(url, connection):
    """A temporary table is the session's own, in every mode, and goes with it."""
    with flight_sql.connect(url, autocommit=True) as own, own.cursor() as cursor:
        adbc_session.hold(own)

        def ingest(mode, data=DATA):
            return cursor.adbc_ingest("passing", data, mode=mode, temporary=True)

        fails(STATUS.NOT_FOUND, "passing", lambda: ingest("append"))
        expect(ingest("create"), 3)
        fails(STATUS.ALREADY_EXISTS, "passing", lambda: ingest("create"))
        expect(ingest("append"), 3)
        expect(rows(cursor, "SELECT count(*) FROM passing"), [(6,)])
        expect(ingest("replace"), 3)
        expect(ingest("create_append"), 3)
        expect(rows(cursor, "SELECT count(*), sum(id) FROM passing"), [(6, 12)])
        expect(own.adbc_get_table_schema("passing").names, ["id", "name"])
    with connection.cursor() as cursor:
        refused(adbc_driver_manager.Error, "passing", lambda: rows(cursor, "SELECT * FROM passing"))
    with flight_sql.connect(url, autocommit=True) as other, other.cursor() as cursor:
        adbc_session.hold(other)
        # A table that lasts may have the name; in the session of a temporary one it is hidden, and not harmed.
        expect(cursor.adbc_ingest("both", DATA.slice(0, 1), mode="create"), 1)
        expect(cursor.adbc_ingest("both", DATA, mode="create", temporary=True), 3)
        expect(rows(cursor, "SELECT count(*) FROM both"), [(3,)])
    with connection.cursor() as cursor:
        expect(rows(cursor, "SELECT count(*) FROM both"), [(1,)])


if __name__ == "__main__":
    main()
