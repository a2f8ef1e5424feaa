"""What programs do that speak Flight SQL over `pyarrow.flight` alone: every command, every path of a change, by hand.

It fails with the first thing that is not as expected, and prints nothing otherwise.
"""

import sys

import pyarrow as pa
from pyarrow import flight

from check import expect, refused
from flight_sql import Client
from protobuf import message, packed, parsed

# Statements whose schemas servers get wrong: what the plan says differs from what the rows have.
CORPUS = [
    "SELECT min(n), max(n), count(*), avg(n) FROM corpus",
    "SELECT min(n), max(n), count(*), sum(n) FROM empty",
    "SELECT count(*) FROM empty WHERE n > 5",
    "SELECT * FROM corpus WHERE FALSE",
    "SELECT n, NULL AS nothing FROM corpus",
    "SELECT n FROM corpus UNION ALL SELECT NULL",
    "SELECT n FROM corpus UNION SELECT CAST(1.5 AS DOUBLE)",
    "SELECT 1 AS a UNION ALL SELECT 2",
    "SELECT CASE WHEN n > 1 THEN 'x' END AS c, n IS NULL AS d FROM corpus",
    "SELECT CAST(n AS DECIMAL(12,2)), CAST(s AS TEXT) FROM corpus",
    "SELECT * FROM view_of_corpus",
    "SELECT [n, 1] AS list, named_struct('n', n, 's', s) AS struct FROM corpus",
    "SELECT arrow_cast(s, 'Utf8View') AS v, arrow_cast(s, 'Dictionary(Int32, Utf8)') AS d FROM corpus",
    "SELECT arrow_cast([s], 'List(Utf8View)') AS v FROM corpus",
    "SELECT DISTINCT s, count(*) OVER () AS n FROM corpus",
    "SELECT s, sum(n) FROM corpus GROUP BY ROLLUP (s)",
    "SELECT a.n, b.s FROM corpus a LEFT JOIN corpus b ON a.n = b.n + 1",
    "SELECT DATE '2024-01-01' + INTERVAL '1 day' AS d, now() AS t, current_date AS c",
    "SHOW TABLES",
    "EXPLAIN SELECT n FROM corpus",
    "DESCRIBE corpus",
    "SELECT * FROM information_schema.columns WHERE table_schema = 'main'",
    "SELECT * FROM system.runs",
    "SELECT * FROM (VALUES (1, 'a'), (NULL, NULL)) AS v(n, s)",
]
# What some driver cannot read, by the words of the types.
NEVER_SENT = ("view", "dictionary", "run_end", "halffloat", "decimal32", "decimal64", "[ns]", "ns,")


def main():
    client = Client(sys.argv[1])
    schemas_agree(client)
    each_path_once(client)
    binding(client)
    metadata(client)
    actions(client)
    sessions(sys.argv[1])
    abandoned(client)
    mistakes(client)


def schemas_agree(client):
    """One schema a statement: in FlightInfo, from GetSchema, in the prepared statement, and in every batch."""
    for sql in ["CREATE TABLE corpus (n BIGINT NOT NULL, s TEXT)", "CREATE TABLE empty (n BIGINT)",
                "INSERT INTO corpus VALUES (1, 'a'), (2, NULL), (3, 'ü')",
                "CREATE VIEW view_of_corpus AS SELECT n + 1 AS next, upper(s) AS s FROM corpus"]:
        client.query(sql)
    for sql in CORPUS:
        info = client.info("CommandStatementQuery", (1, sql))
        table = client.read(info)
        table.validate(full=True)
        kinds = " ".join(str(field.type) for field in info.schema)
        assert not any(word in kinds for word in NEVER_SENT), f"{sql}: {kinds}"
        descriptor = flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, sql)))
        expect(client.flight.get_schema(descriptor, client.options).schema, info.schema, f"GetSchema of {sql}")
        handle, dataset, _ = client.prepare(sql)
        expect(pa.ipc.read_schema(pa.py_buffer(dataset)), info.schema, f"the prepared schema of {sql}")
        expect(client.table("CommandPreparedStatementQuery", (1, handle)).schema, info.schema, f"prepared: {sql}")
        client.close_prepared(handle)
        for batch in client.flight.do_get(info.endpoints[0].ticket).to_reader():
            expect(batch.schema, info.schema, f"a batch of {sql}")


def each_path_once(client):
    """However a change is asked for, it happens once: unread, read twice, prepared, updated."""
    client.query("CREATE TABLE paths (path TEXT)")

    def insert(path):
        return f"INSERT INTO paths VALUES ('{path}')"

    client.info("CommandStatementQuery", (1, insert("unread")))
    info = client.info("CommandStatementQuery", (1, insert("read twice")))
    client.read(info), client.read(info)
    reader = client.flight.do_get(client.info("CommandStatementQuery", (1, insert("dropped"))).endpoints[0].ticket)
    reader.cancel()
    handle, _, _ = client.prepare(insert("prepared query"))
    client.info("CommandPreparedStatementQuery", (1, handle))
    handle, _, _ = client.prepare(insert("prepared update"))
    expect(client.put("CommandPreparedStatementUpdate", [(1, handle)]), {1: [1]})
    # Without any row of parameters, as JDBC sends it: a schema without fields and a batch without rows.
    nothing = pa.record_batch([], schema=pa.schema([]))
    handle, _, _ = client.prepare(insert("prepared update with an empty batch"))
    expect(client.put("CommandPreparedStatementUpdate", [(1, handle)], nothing), {1: [1]})
    expect(client.put("CommandStatementUpdate", [(1, insert("update"))]), {1: [1]})
    descriptor = flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, insert("schema only"))))
    client.flight.get_schema(descriptor, client.options)
    client.prepare(insert("prepared only"))
    found = client.query("SELECT path FROM paths ORDER BY path").column(0).to_pylist()
    expect(found, ["dropped", "prepared query", "prepared update", "prepared update with an empty batch", "read twice",
                   "unread", "update"])


def binding(client):
    """Values are bound to the handle that was given first, whether or not the client looks at the one returned."""
    handle, _, parameters = client.prepare("SELECT n, s FROM corpus WHERE n > ? AND n < ?")
    schema = pa.ipc.read_schema(pa.py_buffer(parameters))
    expect([field.type for field in schema], [pa.int64(), pa.int64()])
    answer = client.put("CommandPreparedStatementQuery", [(1, handle)], pa.record_batch({"a": [1], "b": [3]}))
    expect(answer, {1: [handle]}, "the handle after binding")
    for _ in range(2):
        expect(client.table("CommandPreparedStatementQuery", (1, handle)).column("n").to_pylist(), [2])
    several = pa.record_batch({"a": [0, 2], "b": [2, 4]})
    client.put("CommandPreparedStatementQuery", [(1, handle)], several)
    expect(client.table("CommandPreparedStatementQuery", (1, handle)).column("n").to_pylist(), [1, 3])
    refused(pa.ArrowInvalid, "expected 2 bound parameters, found 1",
            lambda: client.put("CommandPreparedStatementQuery", [(1, handle)], pa.record_batch({"a": [1]})))
    # What is expected where nothing stands beside the parameter.
    for sql, expected in [
            ("SELECT n FROM corpus LIMIT ? OFFSET ?", [pa.int64(), pa.int64()]),
            ("SELECT substr(s, ?, ?) FROM corpus", [pa.int64(), pa.int64()]),
            ("SELECT round(CAST(1.25 AS DOUBLE), ?)", [pa.int32()]),
            ("SELECT abs(?), ? + ?, -?", [pa.float64()] * 4),
            ("SELECT ?", [pa.string()]),
            ("SELECT n FROM corpus WHERE n IN (?, ?) AND s LIKE ?", [pa.int64(), pa.int64(), pa.string()]),
            ("SELECT $2 || s FROM corpus WHERE n = $1", [pa.int64(), pa.string()]),
            ("SELECT n FROM corpus WHERE n = $1 OR CAST(n AS DOUBLE) = $1", [pa.int64()]),
            ("SELECT n FROM corpus WHERE n = $1 AND $1 IS NOT NULL", [pa.int64()]),
            ("INSERT INTO corpus VALUES (?, ?)", [pa.int64(), pa.string()]),
            ("SELECT CAST(? AS DATE), CAST(? AS TIMESTAMP)", [pa.date32(), pa.timestamp("ms")])]:
        schema = pa.ipc.read_schema(pa.py_buffer(client.prepare(sql)[2]))
        expect([field.type for field in schema], expected, f"the parameters of {sql}")


def metadata(client):
    """GetTables by pattern, and the widths of its answer."""
    def tables(*fields):
        return client.table("CommandGetTables", *fields)

    expect(tables().num_columns, 4)
    expect(tables((5, True)).num_columns, 5)
    names = ["corpus", "empty", "paths", "view_of_corpus"]
    expect(tables((2, "main")).column("table_name").to_pylist(), names)
    expect(tables((2, "m%"), (3, "view\\_of%")).column("table_name").to_pylist(), ["view_of_corpus"])
    expect(tables((1, "")).num_rows, 0, "tables without a catalog")
    expect(tables((2, "")).num_rows, 0, "tables without a schema")
    expect(tables((2, "main"), (4, ["view"])).column("table_name").to_pylist(), ["view_of_corpus"])
    expect(client.table("CommandGetDbSchemas", (2, "ma%")).to_pylist(),
           [{"catalog_name": "lake", "db_schema_name": "main"}])
    expect(client.table("CommandGetDbSchemas", (1, "other")).num_rows, 0)


def actions(client):
    listed = {action.type for action in client.flight.list_actions()}
    assert {"CreatePreparedStatement", "ClosePreparedStatement", "CancelFlightInfo"} <= listed, listed
    for name in listed & {"BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint"}:
        raise AssertionError(f"{name} is listed and not offered")
    refused(pa.ArrowNotImplementedError, "", lambda: client.action("FlyToTheMoon", b""))
    refused(pa.ArrowNotImplementedError, "",
            lambda: client.action("BeginTransaction", packed("ActionBeginTransactionRequest")))
    # The body of a cancellation is a plain message; 1 is "cancelled", 2 "cancelling".
    info = client.info("CommandStatementQuery", (1, "SELECT value FROM generate_series(1, 1000000000000) AS g(value)"))
    reader = client.flight.do_get(info.endpoints[0].ticket, client.options)
    reader.read_chunk()
    (body,) = client.action("CancelFlightInfo", message((1, info.serialize())))
    assert parsed(body)[1][0] in (1, 2), body
    # Chunk by chunk: `read_all` makes a KeyboardInterrupt of it.
    refused(flight.FlightCancelledError, "the statement was cancelled", lambda: [chunk for chunk in reader])


def sessions(url):
    """Session options by a cookie, which is how clients without a token keep a session."""
    class Cookies(flight.ClientMiddlewareFactory):
        def __init__(self):
            self.kept = {}

        def start_call(self, info):
            kept = self.kept

            class Middleware(flight.ClientMiddleware):
                def sending_headers(self):
                    return {"cookie": "; ".join(f"{k}={v}" for k, v in kept.items())} if kept else {}

                def received_headers(self, headers):
                    for name, values in headers.items():
                        if name.lower() == "set-cookie":
                            for value in values:
                                key, _, rest = value.partition(";")[0].partition("=")
                                kept[key] = rest

            return Middleware()

    with_cookies, without = Client(url), Client(url)
    with_cookies.flight = flight.FlightClient(url, middleware=[Cookies()])
    text = message((1, "system"))
    (body,) = with_cookies.action("SetSessionOptions", message((1, message((1, "schema"), (2, text)))))
    expect(parsed(body), {}, "no option is refused")
    expect(with_cookies.query("SELECT count(*) AS n FROM models").to_pylist(), [{"n": 0}])
    refused(pa.ArrowException, "models", lambda: without.query("SELECT count(*) AS n FROM models"))
    (body,) = with_cookies.action("GetSessionOptions", b"")
    options = {parsed(entry)[1][0].decode(): parsed(parsed(entry)[2][0]) for entry in parsed(body)[1]}
    expect(options["schema"], {1: [b"system"]})
    expect(options["catalog"], {1: [b"lake"]})
    (body,) = with_cookies.action("CloseSession", b"")
    expect(parsed(body), {1: [1]}, "closed")


def abandoned(client):
    """A reader that goes away frees what it held: many of them leave a server that answers at once."""
    endless = "SELECT value FROM generate_series(1, 1000000000000) AS g(value)"
    for _ in range(50):
        info = client.info("CommandStatementQuery", (1, endless))
        reader = client.flight.do_get(info.endpoints[0].ticket, client.options)
        reader.read_chunk()
        reader.cancel()
    expect(client.query("SELECT 1 AS n").to_pylist(), [{"n": 1}])


def mistakes(client):
    """Errors of the right kind for what no program should send."""
    get = client.flight.do_get
    for ticket in [b"", b"nonsense", bytes(range(256)), packed("TicketStatementQuery", (1, b"forged"))]:
        refused((pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError), "",
                lambda ticket=ticket: get(flight.Ticket(ticket)).read_all())
    for command in [b"", b"nonsense", packed("CommandNobodyKnows"), b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]:
        descriptor = flight.FlightDescriptor.for_command(command)
        refused((pa.ArrowInvalid, pa.ArrowNotImplementedError), "",
                lambda descriptor=descriptor: client.flight.get_flight_info(descriptor))
    refused(pa.ArrowException, "", lambda: client.flight.get_flight_info(flight.FlightDescriptor.for_path("a", "b")))
    refused(pa.ArrowKeyError, "no prepared statement",
            lambda: client.info("CommandPreparedStatementQuery", (1, b"0123456789abcdef")))
    refused(pa.ArrowNotImplementedError, "", lambda: client.flight.do_exchange(
        flight.FlightDescriptor.for_command(b"x"))[1].read_chunk())


if __name__ == "__main__":
    main()
