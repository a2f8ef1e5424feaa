"""Every value of `clients/types.json` through the ADBC driver: literal, parameter, table and bulk ingest.

What arrives must have the type and the value that the file says, whichever way it went. It fails with everything that
is not as expected, and prints nothing otherwise.
"""

import datetime
import decimal
import json
import math
import re
import struct
import sys
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow as pa

TYPES = Path(__file__).parent.parent / "types.json"
EPOCH = datetime.datetime(1970, 1, 1)
DAY_MICROS = 86_400_000_000

PLAIN = {
    "Boolean": pa.bool_(), "Int8": pa.int8(), "Int16": pa.int16(), "Int32": pa.int32(), "Int64": pa.int64(),
    "Float32": pa.float32(), "Float64": pa.float64(), "Utf8": pa.string(), "Binary": pa.binary(), "Date32": pa.date32(),
    "Time64(us)": pa.time64("us"), "Timestamp(us)": pa.timestamp("us"), "Timestamp(us, UTC)": pa.timestamp("us", "UTC"),
    "Interval(MonthDayNano)": pa.month_day_nano_interval(),
}


def main():
    rows = json.loads(TYPES.read_text())["rows"]
    assert len({row["name"] for row in rows}) == len(rows) > 105, "names of rows must differ"
    paths = {"literal": literal, "parameter": parameter, "table": table, "ingest": ingest}
    for row in rows:
        left_out = {*paths, "jdbc-parameter"} - set(row["paths"].split())
        assert bool(left_out) == ("why" in row), f"{row['name']} leaves out {left_out} because of {row.get('why')}"
    failures = []
    with flight_sql.connect(sys.argv[1], autocommit=True) as connection:
        for row in rows:
            for path in row["paths"].split():
                if path in paths:
                    failures += [f"{row['name']} as {path}: {text}" for text in trip(connection, row, paths[path])]
    assert not failures, "\n" + "\n".join(failures)


def trip(connection, row, path):
    """What is wrong with a row on one path; nothing if it arrives as it should."""
    expected_type = arrow_type(row["arrow"])
    expected = array(row["text"], expected_type)
    with connection.cursor() as cursor:
        try:
            found = path(cursor, row, expected)
        except Exception as error:  # Everything that goes wrong is told at the end.
            return [f"{type(error).__name__}: {error}".splitlines()[0]]
    if not same_type(found.type, expected_type):
        return [f"expected the type {expected_type}, found {found.type}"]
    if len(found) != 1:
        return [f"expected one row, found {len(found)}"]
    if key(found) != key(expected):
        return [f"expected {key(expected)!r}, found {key(found)!r}"]
    return []


def fetched(cursor):
    return cursor.fetch_arrow_table().column(0).combine_chunks()


def literal(cursor, row, _):
    cursor.execute(f"SELECT {row['literal']} AS x")
    return fetched(cursor)


def parameter(cursor, row, expected):
    cursor.execute(f"SELECT CAST(? AS {row['sql_type']}) AS x", pa.record_batch({"1": expected}))
    return fetched(cursor)


def table(cursor, row, _):
    cursor.execute("DROP TABLE IF EXISTS trip")
    cursor.execute(f"CREATE TABLE trip (x {row['sql_type']})")
    cursor.execute(f"INSERT INTO trip VALUES ({row['literal']})")
    cursor.execute("SELECT x FROM trip")
    return fetched(cursor)


def ingest(cursor, row, expected):
    """Into a new table, whose column gets its type from the data, and into one of that SQL type."""
    data = pa.table({"x": expected})
    cursor.execute("DROP TABLE IF EXISTS trip")
    cursor.adbc_ingest("trip", data, mode="create")
    cursor.execute("SELECT x FROM trip")
    created = fetched(cursor)
    cursor.execute("DROP TABLE trip")
    cursor.execute(f"CREATE TABLE trip (x {row['sql_type']})")
    cursor.adbc_ingest("trip", data, mode="append")
    cursor.execute("SELECT x FROM trip")
    appended = fetched(cursor)
    assert same_type(created.type, appended.type), f"created {created.type}, appended {appended.type}"
    assert key(created) == key(appended), f"created {key(created)}, appended {key(appended)}"
    return appended


def arrow_type(text):
    """The type that the notation of docs/types.md stands for."""
    if text in PLAIN:
        return PLAIN[text]
    kind, inner = re.fullmatch(r"(\w+)\((.*)\)", text).groups()
    if kind == "Decimal128":
        return pa.decimal128(*(int(digits) for digits in inner.split(",")))
    if kind == "List":
        return pa.list_(pa.field("item", arrow_type(inner)))
    if kind == "Map":
        return pa.map_(*(arrow_type(part) for part in parts(inner)))
    assert kind == "Struct", text
    fields = (part.split(": ", 1) for part in parts(inner))
    return pa.struct([pa.field(name, arrow_type(of)) for name, of in fields])


def parts(text):
    """What stands between the commas that no parenthesis encloses."""
    found, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [part.strip() for part in found]


def same_type(found, expected):
    """Equal but for the names of the parts of lists and maps, which formats disagree about."""
    if pa.types.is_list(expected):
        return pa.types.is_list(found) and same_type(found.value_type, expected.value_type)
    if pa.types.is_map(expected):
        return (pa.types.is_map(found) and same_type(found.key_type, expected.key_type)
                and same_type(found.item_type, expected.item_type))
    if pa.types.is_struct(expected):
        return (pa.types.is_struct(found) and [field.name for field in found] == [field.name for field in expected]
                and all(same_type(one.type, other.type) for one, other in zip(found, expected)))
    return found == expected


def array(text, kind):
    """The one value as an array, made from the file's text without the driver."""
    if text is None:
        return pa.nulls(1, kind)
    if pa.types.is_boolean(kind):
        return pa.array([{"true": True, "false": False}[text]], kind)
    if pa.types.is_integer(kind):
        return pa.array([int(text)], kind)
    if pa.types.is_floating(kind):
        return pa.array([float(text)], kind)
    if pa.types.is_decimal(kind):
        with decimal.localcontext(prec=76):
            return pa.array([decimal.Decimal(text)], kind)
    if pa.types.is_string(kind):
        return pa.array([text], kind)
    if pa.types.is_binary(kind):
        return pa.array([bytes.fromhex(text)], kind)
    if pa.types.is_date32(kind):
        return pa.array([datetime.date.fromisoformat(text)], kind)
    if pa.types.is_time(kind):
        return pa.array([datetime.time.fromisoformat(text)], kind)
    if pa.types.is_timestamp(kind):
        return pa.array([micros(text)], pa.int64()).cast(kind)
    value = json.loads(text)
    if kind == pa.month_day_nano_interval():
        return pa.array([pa.MonthDayNano(value)], kind)
    if pa.types.is_map(kind):
        value = [tuple(entry) for entry in value]
    return pa.array([value], kind)


def micros(text):
    since = datetime.datetime.fromisoformat(text.removesuffix("Z")) - EPOCH
    return since.days * DAY_MICROS + since.seconds * 1_000_000 + since.microseconds


def key(column):
    """A value that is equal exactly where the arrays are: floats by their bits, times by their counts."""
    if column.null_count:
        return None
    if pa.types.is_floating(column.type):
        number = column[0].as_py()
        return "NaN" if math.isnan(number) else struct.pack("d", number)
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64())[0].as_py()
    return column[0].as_py()


if __name__ == "__main__":
    main()
