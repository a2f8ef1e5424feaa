"""Runs SQL test files in DuckDB and compares every result with what the file expects.

It is an independent check of expected values: it shares no code with Limn, only the table of how values read
(the head of tests/src/cells.rs). Files are tagged `# standard: duckdb`.
"""

import datetime
import decimal
import math
import sys

import duckdb


def cell(value):
    """The text of one value."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return real(value)
    if isinstance(value, datetime.datetime):
        zoned = value.tzinfo is not None
        if zoned:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return moment(value) + ("Z" if zoned else "")
    if isinstance(value, (datetime.date, decimal.Decimal)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(cell(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {cell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return "(empty)" if value == "" else str(value)


def moment(value):
    """ISO, with a fraction of 3 or 6 digits only where there is one."""
    text = value.strftime("%Y-%m-%dT%H:%M:%S")
    if value.microsecond == 0:
        return text
    if value.microsecond % 1000 == 0:
        return f"{text}.{value.microsecond // 1000:03d}"
    return f"{text}.{value.microsecond:06d}"


def real(value):
    """The shortest text that reads back; Rust and Python agree on when it has an exponent, not on how it reads."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    digits, exponential, exponent = repr(value).partition("e")
    return f"{digits}e{int(exponent)}" if exponential else digits


def records(text):
    """Yields (line, head words, SQL, expected lines or None) of a file."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        head = lines[at].split()
        if not head or head[0].startswith("#"):
            at += 1
            continue
        if head[0] not in ("statement", "query"):
            raise SystemExit(f"line {at + 1}: expected `statement` or `query` in a standard file, found `{head[0]}`")
        start = at + 1
        at += 1
        sql = []
        while at < len(lines) and lines[at].strip() and lines[at] != "----":
            sql.append(lines[at])
            at += 1
        expected = None
        if at < len(lines) and lines[at] == "----":
            at += 1
            expected = []
            while at < len(lines) and lines[at].strip():
                expected.append(lines[at])
                at += 1
        yield start, head, "\n".join(sql), expected


def normalised(line):
    """Blanks do not count, as in the Rust runner."""
    return " ".join(line.split())


def check(path):
    """The differences between a file and DuckDB."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    differences = []
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for line, head, sql, expected in records(text):
        wants_error = head[1:2] == ["error"]
        try:
            rows = connection.execute(sql).fetchall()
        except duckdb.Error as error:
            if not wants_error:
                differences.append(f"{path}:{line}: DuckDB failed: {error}")
            continue
        if wants_error:
            differences.append(f"{path}:{line}: expected an error, DuckDB gave {rows}")
            continue
        if head[0] != "query":
            continue
        found = [normalised(" ".join(cell(value) for value in row)) for row in rows]
        wanted = [normalised(row) for row in expected or []]
        if "rowsort" in head:
            found, wanted = sorted(found), sorted(wanted)
        if found != wanted:
            differences.append(f"{path}:{line}: {sql}\n  expected {wanted}\n  DuckDB   {found}")
    return differences


def main():
    differences = [text for path in sys.argv[1:] for text in check(path)]
    for text in differences:
        print(text, file=sys.stderr)
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
