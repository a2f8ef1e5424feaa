"""Parameters through ADBC, in every place: a value means what it is, or is refused.

Argument: the URL of a server. What is expected was worked out by hand. It fails with the first thing that is not as
expected.
"""

import datetime
import decimal
import sys

import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager

from check import expect, refused

D = decimal.Decimal
# n 1, 2; f 1.5, 2.5; s a, b; d 2.25, 3.25; day 1 and 2 January 2024.
TABLE = """CREATE TABLE t AS SELECT * FROM (VALUES
    (1, 1.5, 'a', CAST(2.25 AS DECIMAL(10,2)), DATE '2024-01-01'),
    (2, 2.5, 'b', CAST(3.25 AS DECIMAL(10,2)), DATE '2024-01-02')) AS v(n, f, s, d, day)"""
CONDITIONS = [
    ("n = ?", (1.5,), []),
    ("n >= ?", (1.5,), [2]),
    ("n < ?", (D("1.5"),), [1]),
    ("n IN (?, ?)", (1.5, 2.0), [2]),
    ("n BETWEEN ? AND ?", (1.5, 2.5), [2]),
    ("? BETWEEN ? AND ?", (10, 9, 11), [1, 2]),
    ("? < ?", (9, 10), [1, 2]),
    ("? = ?", (1, 1.0), [1, 2]),
    ("? IN (?, ?)", (10, 9, 10), [1, 2]),
    ("d = ?", (2.254,), []),
    ("d = ?", (D("2.2500"),), [1]),
    ("d > ?", (D("2.2499999"),), [1, 2]),
    ("d = ?", (D("12345678901234567.89"),), []),
    ("f = ?", (D("1.5"),), [1]),
    ("day = ?", (datetime.date(2024, 1, 1),), [1]),
    ("day = ?", (datetime.datetime(2024, 1, 1, 12),), []),
    ("day + ? = DATE '2024-01-03'", (1,), [2]),
    ("n = ANY(?)", ([2, 3],), [2]),
    ("s = ANY(?)", (["a", "c"],), [1]),
    ("? || ? = s", ("", "a"), [1]),
    ("s LIKE ? || '%'", ("a",), [1]),
    ("?", (True,), [1, 2]),
    ("NOT ? AND n > ?", (False, 1), [2]),
    ("? IS NULL OR n = ?", (None, 1), [1, 2]),
    ("? IS NULL OR n = ?", (5, 1), [1]),
    ("? IS NOT DISTINCT FROM ?", (None, None), [1, 2]),
    ("coalesce(?, n) = 1", (None,), [1]),
    ("CASE WHEN ? THEN n ELSE ? END = 1", (True, 7), [1]),
    ("n + ? = ?", (1, 3), [2]),
    ("round(?, 1) = 1.3", (1.26,), [1, 2]),
    ("n > ? ORDER BY n LIMIT ? OFFSET ?", (0, 1, 1), [2]),
]
RESULTS = [
    ("SELECT ? + 1", (3,), 4),
    ("SELECT ? || ?", ("a", "b"), "ab"),
    ("SELECT coalesce(?, n) FROM t LIMIT 1", (7,), 7),
    ("SELECT ?", (5,), "5"),
    ("SELECT CASE WHEN n > ? THEN ? ELSE ? END FROM t LIMIT 1", (1, "x", "y"), "y"),
    ("SELECT lag(n, ?) OVER (ORDER BY n) FROM t ORDER BY n DESC LIMIT 1", (1,), 1),
    ("SELECT d + ? FROM t LIMIT 1", (D("0.01"),), D("2.26")),
]


def rows(cursor, sql, values):
    cursor.execute(sql, values)
    return cursor.fetchall()


def main(url):
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        for condition, values, expected in CONDITIONS:
            found = rows(cursor, f"SELECT n FROM t WHERE {condition}", values)
            expect(sorted(n for (n,) in found), expected, f"{condition} with {values}")
        for sql, values, expected in RESULTS:
            expect(rows(cursor, sql, values), [(expected,)], f"{sql} with {values}")
        # A result that was described as a BIGINT has no half in it.
        for sql in ["SELECT n * ? FROM t", "SELECT ? + 1"]:
            text = "expected BIGINT for the parameter `$1`, found `1.5`"
            refused(adbc_driver_manager.Error, text, lambda: rows(cursor, sql, (1.5,)))
        found = rows(cursor, "SELECT n * CAST(? AS DOUBLE) FROM t ORDER BY n", (1.5,))
        expect(found, [(1.5,), (3.0,)], "a type that the statement says")
        # What is inserted is rounded to its column.
        cursor.execute("INSERT INTO t (n, d) VALUES (?, ?)", (3, 9.999))
        expect(rows(cursor, "SELECT d FROM t WHERE n = ?", (3,)), [(D("10.00"),)], "an inserted value")


if __name__ == "__main__":
    main(*sys.argv[1:])
