"""What Grafana's Flight SQL data source stands on: exactly one endpoint, small messages, plain types, its own macros.

Read from `pkg/flightsql` of <https://github.com/influxdata/grafana-flightsql-datasource>. It fails with the first thing
that is not as expected, and prints nothing otherwise.
"""

import sys

import pyarrow as pa
import pyarrow.compute
from pyarrow import flight

from check import expect
from flight_sql import Client

# What Go's gRPC takes without being told otherwise.
MESSAGE_BYTES_MAX = 4 << 20


def main():
    client = Client(sys.argv[1])
    client.flight = flight.FlightClient(sys.argv[1], generic_options=[
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)])
    expect(client.query("select 1").num_rows, 1, "the health check")
    client.query("CREATE TABLE metrics (time TIMESTAMP WITH TIME ZONE, host TEXT, load DOUBLE)")
    client.query("INSERT INTO metrics SELECT to_timestamp(1704067200 + value * 60), "
                 "'host-' || CAST(value % 3 AS TEXT), value / 7.0 FROM generate_series(0, 999) AS g(value)")
    client.query("CREATE VIEW loads AS SELECT * FROM metrics")
    found = client.table("CommandGetTables", (4, ["BASE TABLE", "table"]))
    expect(found.column("table_name").to_pylist(), ["metrics"])
    columns = client.table("CommandGetTables", (3, "metrics"), (4, ["BASE TABLE", "table"]), (5, True)).to_pylist()
    expect(pa.ipc.read_schema(pa.py_buffer(columns[0]["table_schema"])).names, ["time", "host", "load"])
    macros(client)
    messages(client)
    nanoseconds(sys.argv[1])


def nanoseconds(url):
    """The plugin takes every timestamp for nanoseconds. It sends metadata with each call, and asks for them so."""
    client = Client(url, flight.FlightCallOptions(headers=[(b"limn-wire-types", b"native")]))
    sql = "SELECT arrow_cast(time, 'Timestamp(Nanosecond, None)') AS time, load FROM metrics ORDER BY 1 LIMIT 1"
    found = client.query(sql)
    expect(found.schema.field("time").type, pa.timestamp("ns"))
    expect(found["time"].cast(pa.int64()).to_pylist(), [1704067200 * 10**9])


def macros(client):
    """What $__dateBin, $__timeFilter and the like become."""
    series = client.query(
        "SELECT date_bin(interval '300 second', time, timestamp '1970-01-01T00:00:00Z') AS time, host, "
        "avg(load) AS load FROM metrics WHERE time >= '2024-01-01T00:00:00Z' AND time <= '2024-01-01T01:00:00Z' "
        "GROUP BY 1, 2 ORDER BY 1, 2")
    expect(series.num_rows, 13 * 3 - 2, "13 bins of three hosts, of which the last bin has one reading")
    assert pa.types.is_timestamp(series.schema.field("time").type), series.schema
    expect(series.schema.field("load").type, pa.float64())
    hours = client.query("SELECT date_part('hour', time) AS hour, count(*) AS n FROM metrics "
                         "WHERE time >= cast('2024-01-01T00:00:00Z' as timestamp) GROUP BY 1 ORDER BY 1")
    expect(hours.column("n").to_pylist()[0], 60)


def messages(client):
    """No message is larger than what Go takes, however wide the rows are."""
    wide = client.query("SELECT value, repeat('x', 1000000) AS text FROM generate_series(1, 40) AS g(value)")
    expect(wide.num_rows, 40)
    expect(pa.compute.sum(pa.compute.binary_length(wide["text"])).as_py(), 40_000_000)
    long = client.query("SELECT value, value * 2 AS a, value * 3 AS b, value * 4 AS c, CAST(value AS TEXT) AS d "
                        "FROM generate_series(1, 500000) AS g(value)")
    expect(long.num_rows, 500_000)
    lists = client.query("SELECT range(0, 100000) AS list FROM generate_series(1, 20)")
    expect(lists.num_rows, 20)


if __name__ == "__main__":
    main()
