"""What Python programs, notebooks and ETL jobs do through the stock ADBC driver, `adbc_driver_flightsql.dbapi`.

It fails with the first thing that is not as expected, and prints nothing otherwise.
"""

import datetime
import sys
import threading
import time
import warnings

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa
import pyarrow.compute

import adbc_session
from check import expect, refused

STATUS = adbc_driver_manager.AdbcStatusCode


def main():
    url = sys.argv[1]
    with flight_sql.connect(url, autocommit=True) as connection:
        statements(connection)
        results(connection)
        parameters(connection)
        statement_interface(connection)
        objects(connection)
        tables(connection)
        information(connection)
        session(url, connection)
        errors(connection)
        partitions(url, connection)
        incremental(connection)
        options(url)
        cancellation(connection)
        time_outs(connection)
    with flight_sql.connect(url, autocommit=True) as one, flight_sql.connect(url, autocommit=True) as two:
        effects_run_once(one, two)
    no_transactions(url)


def rows(connection, sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def statements(connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE readings (site TEXT NOT NULL, at TIMESTAMP WITH TIME ZONE, day DATE, kwh DOUBLE, n INT)")
        row = ("a", datetime.datetime(2014, 1, 1, tzinfo=datetime.timezone.utc), datetime.date(2014, 1, 1), 1.5, 7)
        cursor.execute("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", row)
        expect(cursor.rowcount, 1, "rowcount of an INSERT")
        cursor.executemany("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", [row, ("ü", None, None, None, None)])
        expect(cursor.rowcount, 2, "rowcount of executemany")
        cursor.execute("SELECT * FROM readings ORDER BY site, n")
        expect([column[0] for column in cursor.description], ["site", "at", "day", "kwh", "n"])
        expect(cursor.fetchall(), [row, row, ("ü", None, None, None, None)])
        expect(cursor.fetchone(), None, "what comes after the last row")
        cursor.execute("SELECT kwh FROM readings WHERE site = 'nowhere'")
        expect(cursor.fetch_arrow_table().schema, pa.schema([("kwh", pa.float64())]))


def results(connection):
    """Each way to read: nothing is lost or repeated between chunks."""
    series = "SELECT value, value % 7 = 0 AS seventh FROM generate_series(1, 100000) AS g(value)"
    schema = pa.schema([("value", pa.int64()), ("seventh", pa.bool_())])
    with connection.cursor() as cursor:
        cursor.execute(series)
        reader = cursor.fetch_record_batch()
        expect(reader.schema, schema)
        expect(sum(batch.num_rows for batch in reader), 100_000)
        cursor.execute(series)
        table = cursor.fetch_arrow_table()
        expect(table.schema, schema)
        expect(pa.compute.sum(table["value"]).as_py(), 5_000_050_000)
        cursor.execute(series)
        expect(pa.RecordBatchReader.from_stream(cursor.fetch_arrow()).read_all().num_rows, 100_000, "fetch_arrow")
        cursor.execute(series + " ORDER BY value")
        expect(cursor.fetchone(), (1, False))
        expect(cursor.fetchmany(6)[-1], (7, True))
        expect([value for value, _ in cursor], list(range(8, 100_001)), "the rest of a cursor")
        cursor.execute(series)
        expect(len(cursor.fetch_df()), 100_000, "fetch_df")
        cursor.execute(series)
        expect(cursor.fetch_polars().height, 100_000, "fetch_polars")
        # Zones come in the one form that Python's libraries read.
        for zone in ["+10", "+1000", "+10:00", "Australia/Brisbane"]:
            cursor.execute(f"SELECT TIMESTAMP '2024-01-01 00:00:00' AT TIME ZONE '{zone}' AS there")
            (there,) = cursor.fetchone()
            expect((there.hour, there), (0, datetime.datetime(2023, 12, 31, 14, tzinfo=datetime.timezone.utc)), zone)
        # A cursor that is used again forgets what it had not read.
        cursor.execute(series)
        cursor.execute("SELECT 1 AS one")
        expect(cursor.fetchall(), [(1,)])
        cursor.execute("SELECT now() AS instant, current_time AS time, now() - now() AS none")
        expect([field.type for field in cursor.fetch_arrow_table().schema],
               [pa.timestamp("us", "UTC"), pa.time64("us"), pa.duration("us")], "no nanoseconds")


def parameters(connection):
    expect(rows(connection, "SELECT count(*) FROM readings WHERE site = ? AND kwh > ?", ("a", 1.0)), [(2,)])
    # $1 is as good as ?, and may come twice.
    expect(rows(connection, "SELECT CAST($1 AS TEXT) || CAST($2 AS TEXT) || CAST($1 AS TEXT)", ("a", "b")), [("aba",)])
    expect(rows(connection, "SELECT ? AS x", (None,)), [(None,)])
    expect(rows(connection, "SELECT '?' || \"x?\" FROM (SELECT ? AS \"x?\") -- ?", ("ü",)), [("?ü",)])
    # A query runs once for each bound row, and answers all of the rows.
    with connection.cursor() as cursor:
        cursor.execute("SELECT CAST($1 AS BIGINT) + 1 AS next, $2 AS text",
                       pa.table({"1": [1, 2, None, 4], "2": ["a", "b", "c", None]}))
        expect(cursor.fetchall(), [(2, "a"), (3, "b"), (None, "c"), (5, None)], "several bound rows")
    with connection.cursor() as cursor:
        # What the place says of a value: the number of rows, a function's argument.
        cursor.execute("SELECT n FROM readings WHERE n IS NOT NULL LIMIT ?", (1,))
        expect(cursor.fetchall(), [(7,)])
        cursor.execute("SELECT substr(?, ?, 3), abs(?), CAST(? AS DATE)", ("readings", 2, -1.5, "2024-02-29"))
        expect(cursor.fetchall(), [("ead", 1.5, datetime.date(2024, 2, 29))])
        cursor.execute("CREATE TABLE bound (n BIGINT, s TEXT)")
        # Batches of any Arrow type that casts to the column's, in one update.
        cursor.executemany("INSERT INTO bound VALUES (?, ?)", pa.table({
            "n": pa.array([1, 2, 3], pa.int8()), "s": pa.array(["x", "y", None]).dictionary_encode()}))
        expect(cursor.rowcount, 3)
        cursor.executemany("INSERT INTO bound VALUES (?, ?)", [])
        cursor.execute("SELECT * FROM bound ORDER BY n")
        expect(cursor.fetchall(), [(1, "x"), (2, "y"), (3, None)])
        # A prepared statement says what it wants, and runs again with other values.
        wanted = cursor.adbc_prepare("SELECT s FROM bound WHERE n = ?")
        expect([field.type for field in wanted], [pa.int64()])
        for value, found in [(1, [("x",)]), (2, [("y",)]), (9, [])]:
            cursor.execute("SELECT s FROM bound WHERE n = ?", (value,))
            expect(cursor.fetchall(), found)
        schema = cursor.adbc_execute_schema("SELECT n, s FROM bound WHERE n = ?")
        expect(schema, pa.schema([("n", pa.int64()), ("s", pa.string())]))


def statement_interface(connection):
    """ADBC below the DB-API, as other bindings and the drivers' own validation suite use it."""
    def read(cursor):
        handle, _ = cursor.adbc_statement.execute_query()
        return pa.RecordBatchReader._import_from_c(handle.address).read_all()

    def schema_of(handle):
        return pa.Schema._import_from_c(handle.address)

    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query("SELECT 1 + ?")
        cursor.adbc_statement.prepare()
        cursor.adbc_statement.bind(pa.record_batch({"0": [1, 2, 3, 4]}))
        expect(read(cursor)[0].to_pylist(), [2, 3, 4, 5])
    with connection.cursor() as cursor:
        # A column of nothing but NULL has no type of its own.
        cursor.adbc_statement.set_sql_query("INSERT INTO bound (n, s) VALUES (?, ?)")
        cursor.adbc_statement.prepare()
        cursor.adbc_statement.bind(pa.record_batch({"0": pa.array([7001], pa.int64()), "1": pa.nulls(1)}))
        expect(cursor.adbc_statement.execute_update(), 1)
    with connection.cursor() as cursor:
        # Unprepared: as a query, as an update, as a question for the schema.
        cursor.adbc_statement.set_sql_query("SELECT s, 'Hello, 世界 🚀' AS greeting FROM bound WHERE n = 7001")
        expect(read(cursor).to_pylist(), [{"s": None, "greeting": "Hello, 世界 🚀"}])
        schema = schema_of(cursor.adbc_statement.execute_schema())
        expect(schema, pa.schema([("s", pa.string()), ("greeting", pa.string())]))
        for sql, affected in [("CREATE TABLE affected (id INT)", 0), ("INSERT INTO affected VALUES (1), (2)", 2),
                              ("DROP TABLE affected", 0)]:
            cursor.adbc_statement.set_sql_query(sql)
            expect(cursor.adbc_statement.execute_update(), affected, f"rows affected by {sql}")
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_sql_query("SELECT 1 + ? + ?")
        cursor.adbc_statement.prepare()
        expect(schema_of(cursor.adbc_statement.get_parameter_schema()).types, [pa.int64()] * 2)


def objects(connection):
    """`adbc_get_objects` at every depth, and its filters."""
    def found(**options):
        return connection.adbc_get_objects(**options).read_all().to_pylist()

    (lake,) = found(depth="catalogs")
    expect((lake["catalog_name"], lake["catalog_db_schemas"]), ("lake", None))
    (lake,) = found(depth="db_schemas")
    expect([schema["db_schema_name"] for schema in lake["catalog_db_schemas"]],
           ["information_schema", "main", "system"])
    expect([schema["db_schema_tables"] for schema in lake["catalog_db_schemas"]], [None] * 3)
    (lake,) = found(depth="tables")
    schemas = {schema["db_schema_name"]: schema["db_schema_tables"] for schema in lake["catalog_db_schemas"]}
    expect([(t["table_name"], t["table_type"], t["table_columns"]) for t in schemas["main"]],
           [("bound", "TABLE", None), ("readings", "TABLE", None)])
    assert {"runs", "models", "model_versions"} <= {t["table_name"] for t in schemas["system"]}, schemas["system"]
    (lake,) = found(depth="all")
    schemas = {schema["db_schema_name"]: schema["db_schema_tables"] for schema in lake["catalog_db_schemas"]}
    (readings,) = [table for table in schemas["main"] if table["table_name"] == "readings"]
    expect([(c["column_name"], c["ordinal_position"], c["xdbc_type_name"], c["xdbc_data_type"])
            for c in readings["table_columns"]],
           [("site", 1, "TEXT", 12), ("at", 2, "TIMESTAMP WITH TIME ZONE", 93), ("day", 3, "DATE", 91),
            ("kwh", 4, "DOUBLE", 6), ("n", 5, "INT", 4)])
    expect(readings["table_constraints"], [])
    assert all(t["table_columns"] for tables in schemas.values() for t in tables), "a table without columns"

    def names(**options):
        return [t["table_name"] for catalog in found(depth="tables", **options)
                for schema in catalog["catalog_db_schemas"] for t in schema["db_schema_tables"]]

    expect(names(db_schema_filter="main", table_name_filter="read%"), ["readings"])
    expect(names(db_schema_filter="main", table_name_filter="_ound"), ["bound"])
    expect(names(db_schema_filter="mai_"), ["bound", "readings"])
    expect(names(catalog_filter="lake", db_schema_filter="main"), ["bound", "readings"])
    expect(names(catalog_filter="elsewhere"), [])
    expect(names(db_schema_filter="main", table_types_filter=["VIEW"]), [])
    expect(names(db_schema_filter="main", table_types_filter=["table"]), ["bound", "readings"])
    (only,) = found(depth="columns", db_schema_filter="main", table_name_filter="readings", column_name_filter="k%")
    (table,) = only["catalog_db_schemas"][0]["db_schema_tables"]
    expect([column["column_name"] for column in table["table_columns"]], ["kwh"])
    expect(connection.adbc_get_table_types(), ["LOCAL TEMPORARY", "SYSTEM TABLE", "TABLE", "VIEW"])


def tables(connection):
    schema = connection.adbc_get_table_schema("readings", db_schema_filter="main")
    expect([(field.name, field.type, field.nullable) for field in schema], [
        ("site", pa.string(), False), ("at", pa.timestamp("us", "UTC"), True), ("day", pa.date32(), True),
        ("kwh", pa.float64(), True), ("n", pa.int32(), True)])
    expect(connection.adbc_get_table_schema("readings"), schema, "without a schema")
    refused(adbc_driver_manager.Error, "", lambda: connection.adbc_get_table_schema("nowhere"))
    with connection.cursor() as cursor:
        # A name is not a pattern, whatever the driver makes of it.
        cursor.execute("CREATE TABLE reXdings (other INT)")
        cursor.execute("CREATE TABLE re_dings (own INT)")
        cursor.execute('CREATE TABLE "Größe %" ("Maß" INT)')
        cursor.execute("CREATE VIEW seen AS SELECT site, kwh * 2 AS twice FROM readings")
        expect(connection.adbc_get_table_schema("re_dings").names, ["own"])
        expect(connection.adbc_get_table_schema("Größe %").names, ["Maß"])
        expect(connection.adbc_get_table_schema("seen").names, ["site", "twice"])
        for sql in ["DROP VIEW seen", 'DROP TABLE "Größe %"', "DROP TABLE rexdings", "DROP TABLE re_dings"]:
            cursor.execute(sql)


def information(connection):
    info = connection.adbc_get_info()
    expect(info["vendor_name"], "Limn")
    assert info["vendor_version"] and info["vendor_arrow_version"], info


def session(url, connection):
    expect(connection.adbc_current_catalog, "lake")
    expect(connection.adbc_current_db_schema, "main")
    with flight_sql.connect(url, autocommit=True) as own:
        own.adbc_current_db_schema = "system"
        expect(own.adbc_current_db_schema, "system")
        expect(rows(own, "SELECT count(*) FROM models"), [(0,)])
        refused(adbc_driver_manager.Error, "elsewhere", lambda: setattr(own, "adbc_current_db_schema", "elsewhere"))
        refused(adbc_driver_manager.Error, "elsewhere", lambda: setattr(own, "adbc_current_catalog", "elsewhere"))
        own.adbc_current_catalog = "lake"
        expect(own.adbc_current_db_schema, "system")
    with flight_sql.connect(url, autocommit=True) as own:
        # Without credentials and cookies: the driver keeps the token that the answer brings.
        rows(own, "USE system")
        expect(rows(own, "SELECT count(*) FROM models"), [(0,)])
        rows(own, "SET statement_timeout = '3min'")
        expect(rows(own, "SHOW statement_timeout"), [("statement_timeout", "3min")])
    expect(connection.adbc_current_db_schema, "main", "the schema of another connection")


def errors(connection):
    def fails(sql, kind, text, values=None):
        error = refused(adbc_driver_manager.Error, text, lambda: rows(connection, sql, values))
        expect(error.status_code, kind, sql)
        return error

    fails("SELECT * FROM readngs", STATUS.NOT_FOUND, "unknown table `main.readngs`, the nearest is `main.readings`")
    fails("SELCT 1", STATUS.INVALID_ARGUMENT, "`SELCT`")
    fails("CREATE TABLE readings (x INT)", STATUS.ALREADY_EXISTS, "`main.readings`")
    fails("CALL readings()", STATUS.NOT_IMPLEMENTED, "`CALL` is not supported yet")
    fails("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", STATUS.INVALID_ARGUMENT, "", ("a", "b"))
    fails("SELECT CAST('x' AS BIGINT)", STATUS.INVALID_ARGUMENT, "x")
    fails("BEGIN", STATUS.NOT_IMPLEMENTED, "BEGIN")
    # DB-API programs tell errors apart by their classes.
    refused(adbc_driver_manager.NotSupportedError, "", lambda: rows(connection, "CALL readings()"))
    refused(adbc_driver_manager.ProgrammingError, "", lambda: rows(connection, "SELCT 1"))
    # An error that comes after the first rows reaches the reader too.
    late = "SELECT 1 / (value - 90000) AS x FROM generate_series(1, 100000) AS g(value)"
    error = refused(adbc_driver_manager.Error, "ivide by zero", lambda: rows(connection, late))
    expect(error.status_code, STATUS.INVALID_ARGUMENT)
    # However long the text is, the error arrives.
    name = "x" * 100_000
    assert len(str(fails(f'SELECT "{name}"', STATUS.NOT_FOUND, "unknown column"))) < 10_000
    expect(rows(connection, "SELECT 1"), [(1,)], "the connection after errors")


def partitions(url, connection):
    """A result that is read elsewhere: by another connection, and twice."""
    with connection.cursor() as cursor:
        tickets, schema = cursor.adbc_execute_partitions("SELECT site, n FROM readings ORDER BY site, n")
    expect(len(tickets), 1)
    expect(schema, pa.schema([("site", pa.string()), ("n", pa.int32())]))
    for _ in range(2):
        with flight_sql.connect(url, autocommit=True) as other, other.cursor() as cursor:
            cursor.adbc_read_partition(tickets[0])
            expect(cursor.fetchall(), [("a", 7), ("a", 7), ("ü", None)])


def incremental(connection):
    """`PollFlightInfo`, which the driver uses where it is told to: each part once, then none; an effect once."""
    incrementally = {adbc_driver_manager.StatementOptions.INCREMENTAL.value: "true"}
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE polled (n BIGINT)")
    for sql, found in [("SELECT n FROM readings WHERE n IS NOT NULL", [(7,), (7,)]),
                       ("INSERT INTO polled SELECT value FROM range(0, 1000)", [(1000,)])]:
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**incrementally)
            tickets = []
            # None come while it runs, and again once it is told that there are no more.
            while True:
                more, _ = cursor.adbc_execute_partitions(sql)
                if tickets and not more:
                    break
                tickets += more
                progress = cursor.adbc_statement.get_option_float(adbc_driver_manager.StatementOptions.PROGRESS.value)
                expect(progress == 1.0, bool(tickets), f"{progress} is the progress with {len(tickets)} parts")
        expect(len(tickets), 1, f"parts of {sql}")
        with connection.cursor() as cursor:
            cursor.adbc_read_partition(tickets[0])
            expect(cursor.fetchall(), found)
    expect(rows(connection, "SELECT count(*) FROM polled"), [(1000,)], "an effect that was polled")


def options(url):
    """What the driver passes on: session options, headers, cookies."""
    option = adbc_session.OPTION
    with flight_sql.connect(url, autocommit=True) as connection:
        adbc_session.hold(connection)
        expect(rows(connection, "SHOW statement_timeout"), [("statement_timeout", "2min")])
        for name, value in [("adbc.flight.sql.session.option.nothing", "1"), (option, "soon")]:
            error = refused(adbc_driver_manager.Error, "",
                            lambda: connection.adbc_connection.set_options(**{name: value}))
            expect(error.status_code, STATUS.INVALID_ARGUMENT, name)
        expect(connection.adbc_connection.get_option(option), "2min")
    cookies = {adbc_driver_flightsql.DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"}
    with flight_sql.connect(url, db_kwargs=cookies, autocommit=True) as connection:
        rows(connection, "USE system")
        expect(connection.adbc_current_db_schema, "system")
        expect(rows(connection, "SELECT count(*) FROM models"), [(0,)])
    # The types that the engine has, for who asks for them.
    headers = {adbc_driver_flightsql.DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "limn-wire-types": "native"}
    sql = "SELECT arrow_cast('a', 'Utf8View') AS v, arrow_cast('b', 'Dictionary(Int32, Utf8)') AS d"
    with flight_sql.connect(url, db_kwargs=headers, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        native = cursor.fetch_arrow_table()
        expect(native.schema.types, [pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
        expect(native.to_pylist(), [{"v": "a", "d": "b"}])
    with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        expect(cursor.fetch_arrow_table().schema.types, [pa.string(), pa.string()])


def cancellation(connection):
    """`adbc_cancel` ends a query that would run for hours, while it computes and while it sends."""
    endless = "SELECT count(*) FROM generate_series(1, 1000000000000) AS g(value) WHERE value % 3 = 5"
    sending = "SELECT value FROM generate_series(1, 1000000000000) AS g(value)"
    for sql in [endless, sending]:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            reader = cursor.fetch_record_batch()
            if sql is sending:
                expect(reader.read_next_batch().num_rows > 0, True)
            timer = threading.Timer(0.2, cursor.adbc_cancel)
            timer.start()
            began = time.monotonic()
            error = refused((adbc_driver_manager.Error, pa.ArrowException, OSError), "ancel", reader.read_all)
            assert time.monotonic() - began < 30, f"cancelling took {time.monotonic() - began} s: {error}"
            timer.join()
    expect(rows(connection, "SELECT 1"), [(1,)], "the connection after cancelling")


def time_outs(connection):
    """`grpc-timeout`: the driver's own limits end what takes longer."""
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{adbc_driver_flightsql.StatementOptions.TIMEOUT_FETCH.value: "0.3"})
        error = refused((adbc_driver_manager.Error, pa.ArrowException, OSError), "", lambda: (
            cursor.execute("SELECT count(*) FROM generate_series(1, 1000000000000) AS g(value) WHERE value % 3 = 5"),
            cursor.fetchall()))
        assert "eadline" in str(error) or "TIMEOUT" in str(error), error


def effects_run_once(one, two):
    """However a client asks for an effect, and whether or not it reads the answer."""
    with one.cursor() as cursor:
        cursor.execute("CREATE TABLE effects (n INT)")
        cursor.execute("INSERT INTO effects VALUES (1)")
        cursor.executescript("INSERT INTO effects VALUES (2)")
        cursor.executemany("INSERT INTO effects VALUES (?)", [(3,), (4,)])
        # Asking for the schema of a statement has no effect.
        schema = cursor.adbc_execute_schema("SELECT n FROM effects")
        expect(schema.names, ["n"])
        refused(adbc_driver_manager.NotSupportedError, "did not provide schema",
                lambda: cursor.adbc_execute_schema("INSERT INTO effects VALUES (5)"))
        cursor.adbc_prepare("INSERT INTO effects VALUES (5)")
        cursor.adbc_execute_partitions("INSERT INTO effects VALUES (7)")
    # Closed without reading the answer.
    cursor = one.cursor()
    cursor.execute("INSERT INTO effects VALUES (6)")
    cursor.close()
    expect([n for (n,) in rows(two, "SELECT n FROM effects ORDER BY n")], [1, 2, 3, 4, 6, 7])


def no_transactions(url):
    """Python's default is a transaction; the driver says that there is none, and every statement commits itself."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with flight_sql.connect(url) as connection:
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO effects VALUES (8)")
        assert any("autocommit" in str(warning.message) for warning in caught), [str(w.message) for w in caught]
    with flight_sql.connect(url, autocommit=True) as connection:
        expect(rows(connection, "SELECT count(*) FROM effects WHERE n = 8"), [(1,)])


if __name__ == "__main__":
    main()
