"""The rows that the programs about other systems' tables write and read: every type that Delta keeps, its edges, NULL.

It knows neither Limn nor the others.
"""

import datetime
import decimal

import pyarrow as pa

UTC = datetime.timezone.utc
TYPES = [
    ("id", "BIGINT", pa.int64()),
    ("truth", "BOOLEAN", pa.bool_()),
    ("i8", "TINYINT", pa.int8()),
    ("i16", "SMALLINT", pa.int16()),
    ("i32", "INT", pa.int32()),
    ("i64", "BIGINT", pa.int64()),
    ("f32", "REAL", pa.float32()),
    ("f64", "DOUBLE", pa.float64()),
    ("small", "DECIMAL(10,2)", pa.decimal128(10, 2)),
    ("wide", "DECIMAL(38,10)", pa.decimal128(38, 10)),
    ("words", "TEXT", pa.string()),
    ("bytes", "BINARY", pa.binary()),
    ("day", "DATE", pa.date32()),
    ("local", "TIMESTAMP", pa.timestamp("us")),
    ("instant", "TIMESTAMP WITH TIME ZONE", pa.timestamp("us", "UTC")),
    ("list", "BIGINT[]", pa.list_(pa.int64())),
    ("pair", "STRUCT<a BIGINT, b TEXT>", pa.struct([("a", pa.int64()), ("b", pa.string())])),
]
NAMES = [name for name, _, _ in TYPES]
SCHEMA = pa.schema([(name, kind) for name, _, kind in TYPES])
ROWS = [
    (1, True, -128, -32768, -2147483648, -9223372036854775808, -1.5, -1.7976931348623157e308,
     decimal.Decimal("-99999999.99"), decimal.Decimal("-9999999999999999999999999999.9999999999"), "", b"",
     datetime.date(1, 1, 1), datetime.datetime(1970, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
     [], {"a": 1, "b": None}),
    (2, False, 127, 32767, 2147483647, 9223372036854775807, 0.0, 5e-324,
     decimal.Decimal("99999999.99"), decimal.Decimal("0.0000000001"), "ä 'quoted' \u2028 \U0001f600", bytes(range(256)),
     datetime.date(9999, 12, 31), datetime.datetime(2026, 3, 29, 2, 30, 0, 1),
     datetime.datetime(2026, 10, 25, 1, 0, 0, 500000, UTC), [1, None, 3], {"a": None, "b": "x"}),
    (3,) + (None,) * (len(TYPES) - 1),
]
# Values that a directory's name has to escape, and the NULL of a partition.
PARTITIONS = ["plain", "a b/c", "50%", "ü=ö", "x:y", "quote'", None]


def table():
    """The rows as Arrow has them."""
    columns = zip(*ROWS)
    return pa.table([pa.array(column, kind) for column, (_, _, kind) in zip(columns, TYPES)], schema=SCHEMA)


def values(found):
    """The rows of an Arrow table in the order of `id`, each as values of Python, whatever encodings it has."""
    found = found.select(NAMES).cast(SCHEMA).sort_by("id")
    return [tuple(row[name] for name in NAMES) for row in found.to_pylist()]
