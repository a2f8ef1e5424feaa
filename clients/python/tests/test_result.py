"""Results without a server: what is kept, what is gone, how it is drawn."""

import unittest

import pyarrow as pa

from limn.result import Result, drawn


def result(*batches, closed=None):
    schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
    made = [pa.record_batch([n, s], schema=schema) for n, s in batches]
    return Result(pa.RecordBatchReader.from_batches(schema, made), closed or (lambda: None))


class Reading(unittest.TestCase):
    def test_everything_can_be_asked_for_again(self):
        found = result(([1, 2], ["a", None]), ([3], ["ü"]))
        self.assertEqual(found.columns, ["n", "s"])
        self.assertEqual(found.fetchall(), [(1, "a"), (2, None), (3, "ü")])
        self.assertEqual(found.fetchone(), (1, "a"))
        self.assertEqual(found.arrow().num_rows, 3)
        self.assertEqual(len(found), 3)
        self.assertEqual(found.dicts()[2], {"n": 3, "s": "ü"})
        self.assertEqual(sum(batch.num_rows for batch in found), 3)
        self.assertEqual(pa.table(found).num_rows, 3)

    def test_batches_are_gone_once_iterated_over(self):
        closed = []
        found = result(([1], ["a"]), ([2], ["b"]), closed=lambda: closed.append(True))
        self.assertEqual([batch.num_rows for batch in found], [1, 1])
        self.assertEqual(closed, [True])
        with self.assertRaisesRegex(RuntimeError, "run the query again"):
            found.arrow()
        self.assertIn("already read", repr(found))

    def test_showing_reads_no_more_than_it_shows(self):
        batches = [([n], [str(n)]) for n in range(100)]
        found = result(*batches)
        self.assertIn("(the first 20 rows)", repr(found))
        self.assertEqual(len(found._seen), 21)
        self.assertEqual(len(found.fetchall()), 100)
        self.assertIn("(the first 20 rows)", repr(found))
        found = result(*batches)
        repr(found)
        self.assertEqual([batch["n"][0].as_py() for batch in found], list(range(100)))

    def test_empty_and_single(self):
        self.assertEqual(result().fetchall(), [])
        self.assertIsNone(result().fetchone())
        self.assertIn("(0 rows)", repr(result()))
        self.assertTrue(result())
        with self.assertRaisesRegex(ValueError, "expected one value, found 0 rows of 2 columns"):
            result().scalar()
        one = Result(pa.table({"x": [5]}).to_reader())
        self.assertEqual(one.scalar(), 5)

    def test_closed(self):
        found = result(([1], ["a"]))
        found.close()
        found.close()
        with self.assertRaisesRegex(RuntimeError, "closed"):
            found.arrow()


class Drawing(unittest.TestCase):
    def test_a_table(self):
        table = pa.table({"n": [1, 200], "text": ["ü", None], "wide": ["日本", "a\nb"]})
        self.assertEqual(drawn(table, False), "\n".join([
            "n   │ text │ wide",
            "────┼──────┼─────",
            "  1 │ ü    │ 日本",
            "200 │ NULL │ a·b",
            "(2 rows)"]))

    def test_long_values_are_cut(self):
        for text, cut in [("x" * 1000, "x" * 39 + "…"), ("日" * 1000, "日" * 19 + "…"),
                          ("e\u0301" * 1000, "e\u0301" * 39 + "…"), ("x" * 40, "x" * 40),
                          ("x" * 41, "x" * 39 + "…")]:
            lines = drawn(pa.table({"s": [text]}), True).splitlines()
            self.assertEqual(lines[2], cut)
            self.assertEqual(lines[3], "(the first 1 row)")


if __name__ == "__main__":
    unittest.main()
