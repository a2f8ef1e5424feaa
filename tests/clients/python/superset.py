"""What Superset does: SQLAlchemy over `flightsql-dbapi`'s dialect `datafusion+flightsql`.

It browses schemas, tables and columns, and runs the queries that charts are made of. It fails with the first thing
that is not as expected, and prints nothing otherwise.
"""

import datetime
import sys
from urllib.parse import urlsplit

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

import flightsql
import flightsql.sqlalchemy  # registers the dialect

from check import expect, refused


def main():
    address = urlsplit(sys.argv[1])
    base = f"datafusion+flightsql://{address.hostname}:{address.port}?insecure=true"
    direct(address)
    # Superset's own: values are put into the text. And with parameters that the server binds.
    for url in [base, base + "&feature-sqlalchemy-prepared-statements=on&feature-sqlalchemy-primary-keys=on"]:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            expect(connection.execute(sa.text("SELECT 1")).scalar(), 1)
            charts(connection)
            errors(connection)
        browse(sa.inspect(engine))
        engine.dispose()
    updates(address)


def direct(address):
    """The driver under SQLAlchemy, as SQL Lab uses it: every statement is asked for as a query."""
    with dbapi(address) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE sales (id BIGINT NOT NULL, region TEXT, amount DOUBLE, day DATE, at TIMESTAMP)")
        cursor.execute(
            "INSERT INTO sales VALUES (1, 'Süd', 1.5, DATE '2024-01-01', TIMESTAMP '2024-01-01 10:00:00'), "
            "(2, 'Nord', 2.5, DATE '2024-01-02', NULL), (3, NULL, NULL, NULL, NULL)")
        # Its own parameters arrive in dense unions, and the handle that a binding returns is not looked at.
        cursor.execute("SELECT id FROM sales WHERE region = ? AND amount < ?", ("Süd", 2))
        expect(cursor.fetchall(), [[1]])
        cursor.executemany("INSERT INTO sales VALUES (?, ?, ?, NULL, NULL)", [(4, "West", 4.5), (5, "Ost", 5.5)])
        cursor.execute("SELECT count(*) FROM sales")
        expect(cursor.fetchall(), [[5]])
        cursor.execute("CREATE TABLE salesXregion (a INT)")
        cursor.execute("CREATE TABLE sales_region (b TEXT)")
        cursor.execute("CREATE VIEW by_region AS SELECT region, sum(amount) AS total FROM sales GROUP BY region")
        cursor.execute("CREATE SCHEMA finance")
        cursor.execute('CREATE TABLE finance."Umsätze" ("Größe" DECIMAL(10,2))')


def dbapi(address):
    client = flightsql.FlightSQLClient(host=address.hostname, port=address.port, insecure=True)
    return flightsql.connect(client)


def browse(inspector):
    expect(inspector.get_schema_names(), ["finance", "information_schema", "main", "system"])
    expect(inspector.get_table_names(schema="main"), ["by_region", "sales", "sales_region", "salesxregion"])
    expect(inspector.get_table_names(schema="finance"), ["Umsätze"])
    assert inspector.has_table("sales", schema="main")
    columns = inspector.get_columns("sales", schema="main")
    expect([(column["name"], column["nullable"]) for column in columns],
           [("id", False), ("region", True), ("amount", True), ("day", True), ("at", True)])
    expect([str(column["type"]) for column in columns], ["BIGINT", "TEXT", "FLOAT", "DATE", "TIMESTAMP"])
    # The driver passes the name as a pattern and reads the first row only.
    expect([column["name"] for column in inspector.get_columns("sales_region", schema="main")], ["b"])
    expect([column["name"] for column in inspector.get_columns("Umsätze", schema="finance")], ["Größe"])
    if keys := inspector.get_pk_constraint("sales", schema="main"):
        expect(keys, {"constrained_columns": [], "name": None})


def charts(connection):
    """A table by its reflected columns, filtered, grouped, ordered, limited: what a chart's query has."""
    sales = sa.table("sales", sa.column("id"), sa.column("region"), sa.column("amount"), sa.column("day", sa.Date),
                     schema="main")
    total = sa.func.sum(sales.c.amount).label("SUM(amount)")
    query = (sa.select(sales.c.region.label("region"), total)
             .where(sales.c.region.in_(["Süd", "Nord"])).where(sales.c.amount >= 1.0)
             .group_by(sales.c.region).order_by(sa.desc(total)).limit(1000))
    expect([tuple(row) for row in connection.execute(query)], [("Nord", 2.5), ("Süd", 1.5)])
    filtered = sa.text("SELECT id FROM sales WHERE region = :region AND id < :most")
    expect(connection.execute(filtered.bindparams(region="Süd", most=3)).fetchall(), [(1,)])
    hostile = "it's; \"x\" -- ?"
    echoed = sa.text("SELECT :region AS echoed").bindparams(region=hostile)
    expect(connection.execute(echoed).scalar(), hostile)
    empty = connection.execute(sa.text("SELECT id, day FROM sales WHERE id < 0"))
    expect((list(empty.keys()), empty.fetchall()), (["id", "day"], []))
    grain = sa.text("SELECT date_trunc('day', at) AS day, count(*) AS n FROM sales WHERE at IS NOT NULL GROUP BY 1")
    ((day, count),) = connection.execute(grain).fetchall()
    expect((day.to_pydatetime(), count), (datetime.datetime(2024, 1, 1), 1))
    strange = sa.table("Umsätze", sa.column("Größe"), schema="finance")
    expect(connection.execute(sa.select(strange.c["Größe"])).fetchall(), [])


def errors(connection):
    """The driver has no error classes of its own: Flight's come through, with the server's text."""
    refused(Exception, "the nearest is `main.sales`", lambda: connection.execute(sa.text("SELECT * FROM salez")))
    refused((DBAPIError, Exception), "`SELCT`", lambda: connection.execute(sa.text("SELCT 1")))
    expect(connection.execute(sa.text("SELECT 2")).scalar(), 2, "the connection after errors")


def updates(address):
    """`execute_update` waits for the answer before it ends its stream."""
    client = flightsql.FlightSQLClient(host=address.hostname, port=address.port, insecure=True)
    expect(client.execute_update("INSERT INTO sales_region VALUES ('x'), ('y')"), 2)
    info = client.execute("SELECT count(*) AS n FROM sales_region")
    expect(client.do_get(info.endpoints[0].ticket).read_all().to_pylist(), [{"n": 2}])
    with client.prepare("SELECT b FROM sales_region WHERE b > ?") as prepared:
        info = prepared.execute(pa.record_batch({"1": ["x"]}))
        expect(client.do_get(info.endpoints[0].ticket).read_all().to_pylist(), [{"b": "y"}])
    client.close()


if __name__ == "__main__":
    main()
