"""Bulk ingestion of everything that holds rows, against the server whose address is in `LIMN_TEST_URL`."""

import os
import unittest

import pandas
import polars
import pyarrow as pa

import limn


class Ingest(unittest.TestCase):
    def setUp(self):
        self.lake = limn.connect(os.environ["LIMN_TEST_URL"])
        self.addCleanup(self.lake.close)

    def test_every_kind_of_data(self):
        columns = {"id": [1, 2], "s": ["a", None]}
        table = pa.table(columns)
        kinds = [columns, table.to_pylist(), table, table.to_batches()[0], table.to_reader(), iter(table.to_batches()),
                 table.to_pandas(), polars.DataFrame(columns), pandas.DataFrame(columns)]
        for data in kinds:
            with self.subTest(kind=type(data).__name__):
                self.assertEqual(self.lake.ingest("kinds", data, mode="replace"), 2)
                self.assertEqual(self.lake.sql("SELECT * FROM kinds ORDER BY id").dicts(), table.to_pylist())
        with self.assertRaises(TypeError):
            self.lake.ingest("kinds", 5)

    def test_no_rows_are_rows_too(self):
        empty = pa.table({"id": pa.array([], pa.int64())})
        for data in [empty, empty.slice(0, 0), pa.RecordBatchReader.from_batches(empty.schema, []), empty.to_pandas()]:
            with self.subTest(kind=type(data).__name__):
                self.assertEqual(self.lake.ingest("empty", data, mode="replace"), 0)
                self.assertEqual(self.lake.sql("SELECT * FROM empty").columns, ["id"])
                self.assertEqual(self.lake.ingest("empty", data, mode="append"), 0)

    def test_modes(self):
        rows = {"n": [1]}
        self.lake.execute("DROP TABLE IF EXISTS modes")
        with self.assertRaises(limn.Error):
            self.lake.ingest("modes", rows, mode="append")
        self.lake.ingest("modes", rows)
        with self.assertRaises(limn.Error):
            self.lake.ingest("modes", rows)
        self.lake.ingest("modes", rows, mode="append")
        self.lake.ingest("modes", rows, mode="create_append")
        self.assertEqual(self.lake.sql("SELECT count(*) FROM modes").scalar(), 3)
        self.lake.ingest("modes", rows, mode="replace")
        self.assertEqual(self.lake.sql("SELECT count(*) FROM modes").scalar(), 1)
        self.lake.execute('CREATE SCHEMA IF NOT EXISTS "of python"')
        self.lake.ingest("modes", rows, mode="replace", schema="of python")
        self.assertEqual(self.lake.sql('SELECT n FROM "of python".modes').scalar(), 1)


if __name__ == "__main__":
    unittest.main()
