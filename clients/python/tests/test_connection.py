"""The connection against a server, whose address is in `LIMN_TEST_URL`."""

import datetime
import decimal
import math
import os
import tempfile
import unittest
from pathlib import Path

import polars
import pyarrow as pa

import limn


class Connected(unittest.TestCase):
    def setUp(self):
        self.lake = limn.connect(os.environ["LIMN_TEST_URL"])
        self.addCleanup(self.lake.close)


class Sql(Connected):
    def test_results_in_every_form(self):
        query = "SELECT value AS n, CAST(value AS TEXT) AS s FROM generate_series(1, 3) AS g(value) ORDER BY 1"
        self.assertEqual(self.lake.sql(query).fetchall(), [(1, "1"), (2, "2"), (3, "3")])
        self.assertEqual(self.lake.sql(query).arrow().schema, pa.schema([("n", pa.int64()), ("s", pa.string())]))
        self.assertEqual(self.lake.sql(query).df()["n"].tolist(), [1, 2, 3])
        self.assertEqual(self.lake.sql(query).polars().rows(), [(1, "1"), (2, "2"), (3, "3")])
        self.assertEqual(polars.DataFrame(self.lake.sql(query)).height, 3)
        self.assertEqual(sum(batch.num_rows for batch in self.lake.sql(query)), 3)

    def test_parameters(self):
        self.assertEqual(self.lake.sql("SELECT CAST($2 AS TEXT) || $1", "a", "b").scalar(), "ba")
        self.assertIsNone(self.lake.sql("SELECT CAST(? AS DATE)", None).scalar())
        several = self.lake.sql("SELECT CAST(? AS BIGINT) * 2 AS twice", pa.table({"n": [1, 2, None]}))
        self.assertEqual(several.fetchall(), [(2,), (4,), (None,)])

    def test_effects(self):
        self.lake.execute("CREATE OR REPLACE TABLE effects (a BIGINT, b TEXT)")
        self.assertEqual(self.lake.execute("INSERT INTO effects VALUES (?, ?)", 1, "x"), 1)
        self.assertEqual(self.lake.executemany("INSERT INTO effects VALUES (?, ?)", [(2, "y"), (3, None)]), 2)
        self.assertEqual(self.lake.executemany("INSERT INTO effects VALUES (?, ?)", {"a": [4], "b": ["z"]}), 1)
        self.assertEqual(self.lake.sql("SELECT a FROM effects ORDER BY a").fetchall(), [(1,), (2,), (3,), (4,)])
        self.assertEqual(self.lake.table_schema("effects").names, ["a", "b"])
        self.assertIn(("main", "effects", "BASE TABLE"), self.lake.tables("main").fetchall())

    def test_errors(self):
        with self.assertRaisesRegex(limn.Error, "unknown table"):
            self.lake.sql("SELECT * FROM nowhere")
        self.assertEqual(self.lake.sql("SELECT 1").scalar(), 1)

    def test_sessions(self):
        with limn.connect(os.environ["LIMN_TEST_URL"], schema="system") as other:
            self.assertGreaterEqual(len(other.sql("SELECT * FROM experiments")), 1)
        with self.assertRaises(limn.Error):
            limn.connect(os.environ["LIMN_TEST_URL"], schema="nowhere")
        with self.assertRaises(limn.Error):
            limn.connect("127.0.0.1:1", timeout=1).sql("SELECT 1")

    def test_what_connect_refuses(self):
        for wrong in [dict(token="t", user="u"), dict(tls_key="k"), dict(tls_certificate="c")]:
            with self.assertRaises(ValueError):
                limn.connect(os.environ["LIMN_TEST_URL"], **wrong)

    def test_a_result_that_is_left_alone(self):
        endless = self.lake.sql("SELECT value FROM generate_series(1, 1000000000000) AS g(value)")
        self.assertIn("(the first 20 rows)", repr(endless))
        next(iter(endless))
        endless.close()
        self.assertEqual(self.lake.sql("SELECT 1").scalar(), 1)


class Values(Connected):
    def test_literals_mean_the_value(self):
        utc = datetime.timezone.utc
        for value in [
                1, -5, 2**63 - 1, -(2**63), 10**30, 1.5, 1e300, 5e-324, -0.0, float("-inf"),
                decimal.Decimal("-12.50"), "it's \\ \" ? $1 -- ü🦀\n", "", b"", b"\0\xff", datetime.date(1, 1, 1),
                datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), datetime.datetime(2020, 1, 1, tzinfo=utc),
                datetime.time(1, 2, 3, 4), True, False, None, [1, None], ["it's"], {"a": 1, "b'": "x"}]:
            with self.subTest(value=value):
                self.assertEqual(self.lake.sql(f"SELECT {limn.literal(value)}").scalar(), value)
        self.assertTrue(math.isnan(self.lake.sql(f"SELECT {limn.literal(math.nan)}").scalar()))

    def test_identifiers_mean_the_name(self):
        for name in ['a"b', "it's", "x.y", "SELECT", "Größe", "a--b", '"', "tab'le\\"]:
            with self.subTest(name=name):
                quoted = limn.identifier(name)
                self.assertEqual(self.lake.sql(f"SELECT 1 AS {quoted}").columns, [name])
                self.lake.execute(f"CREATE OR REPLACE TABLE {quoted} AS SELECT 7 AS n")
                self.assertEqual(self.lake.table_schema(name).names, ["n"])
                self.lake.execute(f"DROP TABLE {quoted}")


class Models(Connected):
    def test_from_training_to_dropping(self):
        name = 'Line "of" it\'s'
        self.lake.execute("CREATE OR REPLACE TABLE line AS "
                          "SELECT CAST(value AS DOUBLE) AS x, 2.0 * value + 1.0 AS y FROM generate_series(0, 99)")
        self.lake.drop_model(name, if_exists=True)
        trained = self.lake.train(
            name, "SELECT x, y FROM line WHERE x < ?;", 50, target="y", algorithm="linear_regression",
            parameters={"fit_intercept": True}, split=limn.Split.none(), seed=1, experiment="it's", alias="Best one")
        self.assertEqual((trained.model, trained.rows, trained.algorithm), (name, 50, "linear_regression"))
        self.assertAlmostEqual(trained.metrics["train_rmse"], 0, places=6)
        scored = self.lake.predict(name, "SELECT x FROM line WHERE x < ? ORDER BY x", 3, alias="Best one", column="p")
        for row in scored.dicts():
            self.assertAlmostEqual(row["p"], 2 * row["x"] + 1)
        self.assertAlmostEqual(self.lake.predict_one(name, {"x": 10}, version=trained.version), 21)
        self.assertIn(name, [row["model_name"] for row in self.lake.models().dicts()])
        self.assertEqual([row["version"] for row in self.lake.model_versions(name).dicts()], [trained.version])
        self.assertIn(("feature", "x", "DOUBLE"), self.lake.describe_model(name, alias="Best one").fetchall())
        self.assertIn(trained.run_id, [row["run_id"] for row in self.lake.runs(experiment="it's").dicts()])
        self.assertEqual(self.lake.metrics(trained.run_id), trained.metrics)
        self.assertIn("it's", [row["name"] for row in self.lake.experiments().dicts()])
        self.lake.set_alias(name, "other", trained.version)
        self.lake.unset_alias(name, "Best one")
        with self.assertRaisesRegex(limn.Error, "alias"):
            self.lake.predict_one(name, {"x": 10}, alias="Best one")
        self.lake.drop_model(name)
        self.assertNotIn(name, [row["model_name"] for row in self.lake.models().dicts()])


class Security(Connected):
    def test_files_of_certificates_are_read(self):
        with tempfile.TemporaryDirectory() as directory:
            missing = Path(directory) / "missing.pem"
            with self.assertRaises(FileNotFoundError):
                limn.connect("grpc+tls://127.0.0.1:1", tls_roots=missing)


if __name__ == "__main__":
    unittest.main()
