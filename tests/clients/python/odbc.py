"""The surface that Arrow's ODBC driver for Flight SQL (Excel, Power BI, Tableau) stands on, read as its C++ reads it.

The driver reinterprets what it gets without looking at it: a value in another child of the union, a column at another
place, or a second endpoint is a crash or a wrong answer there. Read from its source: `odbc_impl/get_info_cache.cc`,
`flight_sql_statement_get_type_info.cc`, `flight_sql_stream_chunk_buffer.cc`, `flight_sql_statement.cc` under
<https://github.com/apache/arrow/tree/main/cpp/src/arrow/flight/sql/odbc>. It fails with the first thing that is not as
expected, and prints nothing otherwise.
"""

import sys

import pyarrow as pa

from check import expect, refused
from flight_sql import Client

# The children of the dense union, by type id.
TEXT, BOOLEAN, BIGINT, BITMASK, TEXTS, MAP = range(6)
CHILDREN = {
    TEXT: [0, 1, 2, 6, 7, 504, 513, 514, 529, 530, 531],
    BOOLEAN: [3, 4, 5, 9, 500, 501, 502, 506, 515, 516, 518, 519, 520, 521, 523, 524, 527, 532, 536, 537, 539, 556, 563,
              565, 566, 572, 573, 574, 575, 576],
    BIGINT: [503, 505, 507, *range(541, 556), *range(557, 562), 562],
    BITMASK: [8, 100, 101, 522, 525, 526, 528, 533, 534, 535, 538, 540, 564, 567, 568, 569, 570, 571],
    TEXTS: [508, 509, 510, 511, 512],
    MAP: [517],
}

# What SQLGetTypeInfo returns, in the order in which the driver reads: name, type, may it be NULL.
TYPE_INFO = [
    ("type_name", pa.string(), False), ("data_type", pa.int32(), False), ("column_size", pa.int32(), True),
    ("literal_prefix", pa.string(), True), ("literal_suffix", pa.string(), True),
    ("create_params", pa.list_(pa.field("item", pa.string(), False)), True), ("nullable", pa.int32(), False),
    ("case_sensitive", pa.bool_(), False), ("searchable", pa.int32(), False), ("unsigned_attribute", pa.bool_(), True),
    ("fixed_prec_scale", pa.bool_(), False), ("auto_increment", pa.bool_(), True),
    ("local_type_name", pa.string(), True), ("minimum_scale", pa.int32(), True), ("maximum_scale", pa.int32(), True),
    ("sql_data_type", pa.int32(), False), ("datetime_subcode", pa.int32(), True),
    ("num_prec_radix", pa.int32(), True), ("interval_precision", pa.int32(), True),
]


def main():
    client = Client(sys.argv[1])
    sql_info(client)
    type_info(client)
    literals(client)
    statements(client)
    catalog(client)
    errors(client)


def sql_info(client):
    """SQLGetInfo: one call for everything, each value taken from the child that the id stands for."""
    table = client.table("CommandGetSqlInfo").combine_chunks()
    expect(table.schema.field("info_name"), pa.field("info_name", pa.uint32(), nullable=False))
    (batch,) = table.to_batches()
    ids, union = batch.column(0).to_pylist(), batch.column(1)
    expect([child.type for child in (union.field(index) for index in range(6))], [
        pa.string(), pa.bool_(), pa.int64(), pa.int32(), pa.list_(pa.string()),
        pa.map_(pa.int32(), pa.list_(pa.int32()))], "the children of the union")
    expect(ids, [*range(10), 100, 101, *range(500, 577)], "the ids of an empty list")
    expected = {id: child for child, members in CHILDREN.items() for id in members}
    expect({id: code for id, code in zip(ids, union.type_codes.to_pylist())}, expected, "the children of the values")
    values = dict(zip(ids, union.to_pylist()))
    expect(values[0], "Limn")
    # Catalogs and schemas are only shown where they have a name.
    expect((values[529], values[531]), ("schema", "catalog"))
    expect((values[504], values[513]), ('"', "\\"))
    expect((values[8], values[563], values[562]), (0, False, 0), "no transactions")
    expect(values[503], 3, "unquoted names fold to lower case")
    # The words are what the server does: each function is one that it knows.
    for group in (509, 510, 511, 512):
        for function in values[group]:
            try:
                client.info("CommandStatementQuery", (1, f"SELECT {function}(1, 2, 3, 4, 5, 6, 7, 8)"))
            except pa.ArrowException as error:
                assert "unknown function" not in str(error), f"SqlInfo {group} lists {function}: {error}"
    # Ids that are asked for: those that are known, and no error for the others.
    some = client.table("CommandGetSqlInfo", (1, [2, 3, 504, 99999]))
    expect(some.column("info_name").to_pylist(), [2, 3, 504])


def type_info(client):
    """SQLGetTypeInfo: nineteen columns, read by position."""
    table = client.table("CommandGetXdbcTypeInfo")
    found = [(field.name, field.type, field.nullable) for field in table.schema]
    expect([(name, nullable) for name, _, nullable in found], [(name, nullable) for name, _, nullable in TYPE_INFO])
    for (name, kind, _), (_, expected, _) in zip(found, TYPE_INFO):
        if name == "create_params":
            expect((pa.types.is_list(kind), kind.value_type, kind.value_field.nullable), (True, pa.string(), False))
        else:
            expect(kind, expected, name)
    rows = table.to_pylist()
    expect([(row["data_type"], row["type_name"]) for row in rows],
           sorted((row["data_type"], row["type_name"]) for row in rows), "the order of the types")
    types = {row["type_name"]: row for row in rows}
    # Codes of sql.h and sqlext.h.
    codes = {"BOOLEAN": -7, "TINYINT": -6, "SMALLINT": 5, "INT": 4, "BIGINT": -5, "REAL": 7, "DOUBLE": 8, "DECIMAL": 3,
             "TEXT": 12, "BINARY": -3, "DATE": 91, "TIME": 92, "TIMESTAMP": 93, "TIMESTAMP WITH TIME ZONE": 93}
    expect({name: row["data_type"] for name, row in types.items()}, codes)
    expect(types["DECIMAL"]["create_params"], ["precision", "scale"])
    expect((types["DECIMAL"]["column_size"], types["DECIMAL"]["maximum_scale"]), (38, 38))
    only = client.table("CommandGetXdbcTypeInfo", (1, 12))
    expect([row["type_name"] for row in only.to_pylist()], ["TEXT"])


def literals(client):
    """A tool writes a literal as prefix, value, suffix; each must be of the type that has them."""
    samples = {"TEXT": "ü", "BINARY": "00ff", "DATE": "2024-02-29", "TIME": "12:34:56",
               "TIMESTAMP": "2024-02-29 12:34:56", "TIMESTAMP WITH TIME ZONE": "2024-02-29 12:34:56+00:00"}
    for row in client.table("CommandGetXdbcTypeInfo").to_pylist():
        name, prefix, suffix = row["type_name"], row["literal_prefix"], row["literal_suffix"]
        expect(prefix is not None, name in samples, f"{name} has a literal prefix")
        if prefix is not None:
            field = client.query(f"SELECT {prefix}{samples[name]}{suffix} AS x").schema.field(0)
            expect(field.metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"].decode(), name)
            # ODBC's own escapes, which the driver passes on as they are.
            if name in ("DATE", "TIME", "TIMESTAMP"):
                escape = {"DATE": "d", "TIME": "t", "TIMESTAMP": "ts"}[name]
                found = client.query(f"SELECT {{{escape} '{samples[name]}'}} AS x").schema.field(0)
                expect(found.type, field.type, f"the escape of {name}")
        if name not in ("DECIMAL",):
            # Every name is one that CAST and CREATE TABLE take.
            field = client.query(f"SELECT CAST(NULL AS {name}) AS x").schema.field(0)
            expect(field.metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"].decode(), name)


def statements(client):
    """SQLExecDirect: everything is asked for as a query; a change happens when it is asked for, exactly once."""
    info = client.info("CommandStatementQuery", (1, "CREATE TABLE odbc (id BIGINT NOT NULL, d DECIMAL(12,3), t TEXT)"))
    assert info.schema is not None
    expect(client.read(info).num_rows, 0)
    info = client.info("CommandStatementQuery", (1, "INSERT INTO odbc VALUES (1, 1.5, 'a'), (2, NULL, NULL)"))
    for _ in range(2):
        expect(client.read(info).num_rows, 1, "the answer of a change, read again")
    client.info("CommandStatementQuery", (1, "INSERT INTO odbc VALUES (3, 2.5, 'ü')"))
    table = client.query("SELECT * FROM odbc ORDER BY id")
    expect(table.column("id").to_pylist(), [1, 2, 3])
    metadata = {field.name: {key.decode().removeprefix("ARROW:FLIGHT:SQL:"): value.decode()
                             for key, value in (field.metadata or {}).items()} for field in table.schema}
    expect({name: said["TYPE_NAME"] for name, said in metadata.items()}, {"id": "BIGINT", "d": "DECIMAL", "t": "TEXT"})
    expect((metadata["d"]["PRECISION"], metadata["d"]["SCALE"]), ("12", "3"))
    assert all("REMARKS" not in said for said in metadata.values()), "REMARKS would replace the labels"
    # SQLPrepare and SQLExecute: the same handle, again and again, closed more than once.
    handle, dataset, _ = client.prepare("SELECT count(*) AS n FROM odbc")
    assert dataset, "the schema of a prepared query"
    for _ in range(2):
        expect(client.table("CommandPreparedStatementQuery", (1, handle)).to_pylist(), [{"n": 3}])
    client.close_prepared(handle)
    client.close_prepared(handle)
    handle, dataset, _ = client.prepare("INSERT INTO odbc VALUES (4, 3.5, 'prepared')")
    expect(dataset, b"", "the dataset schema of a change")
    client.table("CommandPreparedStatementQuery", (1, handle))
    expect(client.query("SELECT count(*) AS n FROM odbc").to_pylist(), [{"n": 4}])


def catalog(client):
    """SQLTables, SQLColumns and the special calls that list catalogs, schemas and types only."""
    expect(client.table("CommandGetCatalogs").to_pydict(), {"catalog_name": ["lake"]})
    schemas = client.table("CommandGetDbSchemas").to_pydict()
    expect(schemas["db_schema_name"], ["information_schema", "main", "system"])
    expect(client.table("CommandGetTableTypes").to_pydict(), {"table_type": ["LOCAL TEMPORARY", "SYSTEM TABLE", "TABLE", "VIEW"]})
    # The driver sends "%" where the application asks for everything.
    found = client.table("CommandGetTables", (1, "lake"), (2, "%"), (3, "%"), (4, ["TABLE"]))
    expect(found.to_pylist(), [
        {"catalog_name": "lake", "db_schema_name": "main", "table_name": "odbc", "table_type": "TABLE"}])
    columns = client.table("CommandGetTables", (2, "main"), (3, "odbc"), (5, True)).to_pylist()
    expect(len(columns), 1)
    schema = pa.ipc.read_schema(pa.py_buffer(columns[0]["table_schema"]))
    expect([(field.name, field.nullable) for field in schema], [("id", False), ("d", True), ("t", True)])
    metadata = schema.field("d").metadata
    expect((metadata[b"ARROW:FLIGHT:SQL:PRECISION"], metadata[b"ARROW:FLIGHT:SQL:SCALE"]), (b"12", b"3"))
    for command in ["CommandGetPrimaryKeys", "CommandGetImportedKeys", "CommandGetExportedKeys"]:
        expect(client.table(command, (3, "odbc")).num_rows, 0, command)
    expect(client.table("CommandGetCrossReference", (3, "odbc"), (6, "odbc")).num_rows, 0)


def errors(client):
    """SQLGetDiagRec: the whole text has to fit into what gRPC for C++ takes as metadata."""
    name = "x" * 50_000
    error = refused(pa.ArrowException, "unknown column", lambda: client.query(f'SELECT "{name}"'))
    assert len(str(error)) < 8_000, f"an error of {len(str(error))} characters"


if __name__ == "__main__":
    main()
