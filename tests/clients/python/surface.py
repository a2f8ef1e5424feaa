"""What Python programs, notebooks and BI tools ask of a server besides queries, through the stock ADBC driver.

It fails with the first thing that is not as expected, and prints nothing otherwise.
"""

import datetime
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import adbc_driver_manager
import pyarrow as pa


def main():
    with flight_sql.connect(sys.argv[1], autocommit=True) as connection:
        statements(connection)
        catalog(connection)
        errors(connection)
    with flight_sql.connect(sys.argv[1], autocommit=True) as one, flight_sql.connect(sys.argv[1], autocommit=True) as two:
        effects_run_once(one, two)


def expect(found, expected):
    assert found == expected, f"expected {expected!r}, found {found!r}"


def statements(connection):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE readings (site TEXT NOT NULL, at TIMESTAMP WITH TIME ZONE, day DATE, kwh DOUBLE, n INT)")
        row = ("a", datetime.datetime(2014, 1, 1, tzinfo=datetime.timezone.utc), datetime.date(2014, 1, 1), 1.5, 7)
        cursor.execute("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", row)
        cursor.executemany("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", [row, ("ü", None, None, None, None)])
        cursor.execute("SELECT * FROM readings ORDER BY site, n")
        expect([column[0] for column in cursor.description], ["site", "at", "day", "kwh", "n"])
        expect(cursor.fetchall(), [row, row, ("ü", None, None, None, None)])
        cursor.execute("SELECT count(*) FROM readings WHERE site = ? AND kwh > ?", ("a", 1.0))
        expect(cursor.fetchone(), (2,))
        # $1 is as good as ?, and may come twice.
        cursor.execute("SELECT CAST($1 AS TEXT) || CAST($2 AS TEXT) || CAST($1 AS TEXT)", ("a", "b"))
        expect(cursor.fetchone(), ("aba",))
        cursor.execute("SELECT kwh FROM readings WHERE site = 'nowhere'")
        expect(cursor.fetch_arrow_table().schema, pa.schema([("kwh", pa.float64())]))
        # Programs read in chunks; nothing is lost between them.
        cursor.execute("SELECT value FROM generate_series(1, 100000) AS g(value)")
        reader = cursor.fetch_record_batch()
        expect(sum(batch.num_rows for batch in reader), 100_000)


def catalog(connection):
    objects = connection.adbc_get_objects(depth="all").read_all().to_pylist()
    expect([entry["catalog_name"] for entry in objects], ["lake"])
    schemas = {entry["db_schema_name"]: entry["db_schema_tables"] for entry in objects[0]["catalog_db_schemas"]}
    assert {"main", "system", "information_schema"} <= set(schemas), schemas.keys()
    (readings,) = [table for table in schemas["main"] if table["table_name"] == "readings"]
    expect([column["column_name"] for column in readings["table_columns"]], ["site", "at", "day", "kwh", "n"])
    assert any(table["table_name"] == "model_versions" for table in schemas["system"])
    only = connection.adbc_get_objects(depth="tables", db_schema_filter="main", table_name_filter="read%")
    expect([t["table_name"] for t in only.read_all().to_pylist()[0]["catalog_db_schemas"][0]["db_schema_tables"]],
           ["readings"])
    schema = connection.adbc_get_table_schema("readings", db_schema_filter="main")
    expect(schema.field("at").type, pa.timestamp("us", "UTC"))
    expect(schema.field("site").nullable, False)
    info = connection.adbc_get_info()
    expect(info["vendor_name"], "Limn")


def errors(connection):
    def refused(sql, kind, text, parameters=None):
        with connection.cursor() as cursor:
            try:
                cursor.execute(sql, parameters)
            except adbc_driver_manager.Error as error:
                assert text in str(error), f"expected {text!r} in {error}"
                expect(error.status_code, kind)
                return
        raise AssertionError(f"expected an error: {sql}")

    codes = adbc_driver_manager.AdbcStatusCode
    refused("SELECT * FROM readngs", codes.NOT_FOUND, "unknown table `main.readngs`, the nearest is `main.readings`")
    refused("SELCT 1", codes.INVALID_ARGUMENT, "`SELCT`")
    refused("CREATE TABLE readings (x INT)", codes.ALREADY_EXISTS, "`main.readings`")
    refused("UPDATE readings SET n = 1", codes.NOT_IMPLEMENTED, "`UPDATE` is not supported yet")
    refused("INSERT INTO readings VALUES (?, ?, ?, ?, ?)", codes.INVALID_ARGUMENT, "", ("a", "b"))


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
        cursor.adbc_prepare("INSERT INTO effects VALUES (5)")
    # Closed without reading the answer.
    cursor = one.cursor()
    cursor.execute("INSERT INTO effects VALUES (6)")
    cursor.close()
    with two.cursor() as cursor:
        cursor.execute("SELECT n FROM effects ORDER BY n")
        expect([n for (n,) in cursor.fetchall()], [1, 2, 3, 4, 6])


if __name__ == "__main__":
    main()
