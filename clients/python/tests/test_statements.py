"""What the builders write, down to the quotes. No server."""

import datetime
import decimal
import unittest
import uuid

from limn import statements
from limn.statements import Split, identifier, literal, qualified


class Names(unittest.TestCase):
    def test_every_name_is_quoted(self):
        self.assertEqual(identifier("demand"), '"demand"')
        self.assertEqual(identifier("Größe"), '"Größe"')
        self.assertEqual(identifier('a "b"; DROP TABLE t --'), '"a ""b""; DROP TABLE t --"')
        self.assertEqual(identifier('"'), '""""')
        self.assertEqual(identifier("it's"), '"it\'s"')
        self.assertEqual(identifier("a\\b"), '"a\\b"')

    def test_a_dot_is_part_of_a_name(self):
        self.assertEqual(qualified("a.b"), '"a.b"')
        self.assertEqual(qualified("t", "s"), '"s"."t"')
        self.assertEqual(qualified("t.u", 's"'), '"s"""."t.u"')

    def test_what_is_no_name(self):
        for name in ["", "a\0b"]:
            with self.assertRaises(ValueError):
                identifier(name)


class Literals(unittest.TestCase):
    def test_texts(self):
        self.assertEqual(literal("it's"), "'it''s'")
        self.assertEqual(literal("'; DROP TABLE t; --"), "'''; DROP TABLE t; --'")
        self.assertEqual(literal("a\\'b"), "'a\\''b'")
        self.assertEqual(literal(""), "''")
        self.assertEqual(literal(uuid.UUID(int=1)), "'00000000-0000-0000-0000-000000000001'")

    def test_numbers(self):
        self.assertEqual(literal(-5), "-5")
        self.assertEqual(literal(2**63 - 1), "9223372036854775807")
        self.assertEqual(literal(2**63), "CAST('9223372036854775808' AS DECIMAL(38,0))")
        self.assertEqual(literal(1.5), "1.5")
        self.assertEqual(literal(float("inf")), "CAST('inf' AS DOUBLE)")
        self.assertEqual(literal(float("nan")), "CAST('nan' AS DOUBLE)")
        self.assertEqual(literal(decimal.Decimal("-12.50")), "CAST('-12.50' AS DECIMAL(38,2))")
        self.assertEqual(literal(decimal.Decimal("1E+3")), "CAST('1000' AS DECIMAL(38,0))")
        for wrong in [10**38, decimal.Decimal("NaN"), decimal.Decimal("Infinity")]:
            with self.assertRaises(ValueError):
                literal(wrong)

    def test_the_rest(self):
        self.assertEqual(literal(None), "NULL")
        self.assertEqual((literal(True), literal(False)), ("TRUE", "FALSE"))
        self.assertEqual(literal(b"\x00\xff"), "X'00ff'")
        self.assertEqual(literal(datetime.date(1, 2, 3)), "DATE '0001-02-03'")
        self.assertEqual(literal(datetime.time(1, 2, 3, 4)), "TIME '01:02:03.000004'")
        self.assertEqual(literal(datetime.datetime(2024, 2, 29, 12)), "TIMESTAMP '2024-02-29 12:00:00'")
        east = datetime.timezone(datetime.timedelta(hours=11))
        self.assertEqual(literal(datetime.datetime(2024, 3, 1, 1, tzinfo=east)), "TIMESTAMPTZ '2024-02-29 14:00:00Z'")
        self.assertEqual(literal(datetime.timedelta(days=-1, microseconds=5)),
                         "INTERVAL '-1 days 0 seconds 5 microseconds'")
        self.assertEqual(literal([1, None, "x'"]), "[1, NULL, 'x''']")
        self.assertEqual(literal({"a'": 1}), "named_struct('a''', 1)")
        with self.assertRaises(TypeError):
            literal(object())


class Models(unittest.TestCase):
    def test_train(self):
        self.assertEqual(statements.train("m", "SELECT * FROM t"), 'TRAIN MODEL "m" AS SELECT * FROM t')
        self.assertEqual(
            statements.train(
                'M "x"', " SELECT x, y FROM t ; ", target="Y", algorithm="ridge",
                parameters={"alpha": 0.5, "fit_intercept": False, "note": "it's", "n": -1, "none": None},
                features={"double x": "x * 2"}, partition_by=["site"], split=Split.by_time("at", 0.25),
                experiment="it's", alias="champion", seed=7),
            'TRAIN MODEL "M ""x""" USING "ridge" ("alpha" = 0.5, "fit_intercept" = FALSE, "note" = \'it\'\'s\', '
            '"n" = -1, "none" = NULL) TARGET "Y" FEATURES (x * 2 AS "double x") PARTITION BY ("site") '
            'SPLIT BY TIME "at" 0.25 EXPERIMENT \'it\'\'s\' ALIAS "champion" SEED 7 AS SELECT x, y FROM t')
        self.assertIn("FEATURES (x, y + 1)", statements.train("m", "SELECT 1", features=["x", "y + 1"]))
        self.assertIn(" SPLIT RANDOM 0.3 ", statements.train("m", "SELECT 1", split=0.3))
        self.assertIn(" SPLIT ON \"held\" ", statements.train("m", "SELECT 1", split=Split.on("held")))
        self.assertIn(" SPLIT RANDOM 0.00001 ", statements.train("m", "SELECT 1", split=0.00001))

    def test_what_cannot_be_trained(self):
        for wrong in [dict(parameters={"a": 1}), dict(split=1.0), dict(split=-0.1), dict(split=float("nan"))]:
            with self.assertRaises(ValueError):
                statements.train("m", "SELECT 1", **wrong)
        for wrong in [float("inf"), [1], datetime.date(2024, 1, 1)]:
            with self.assertRaises(TypeError):
                statements.train("m", "SELECT 1", algorithm="a", parameters={"x": wrong})
        with self.assertRaises(ValueError):
            statements.train("m", " ; ")

    def test_references(self):
        self.assertEqual(statements.model_reference("m"), "'\"m\"'")
        self.assertEqual(statements.model_reference("m", version=3), "'\"m\"/3'")
        self.assertEqual(statements.model_reference("it's", alias='b"'), "'\"it''s\"@\"b\"\"\"'")
        with self.assertRaises(ValueError):
            statements.model_reference("m", version=1, alias="a")

    def test_predictions(self):
        self.assertEqual(statements.predict("m", "SELECT * FROM t;", column="p"),
                         "SELECT *, PREDICT('\"m\"') AS \"p\" FROM (SELECT * FROM t) AS input")
        self.assertEqual(statements.predict("m", "SELECT 1", alias="a", probabilities=True),
                         "SELECT *, PREDICT_PROBA('\"m\"@\"a\"') AS \"prediction\" FROM (SELECT 1) AS input")
        self.assertEqual(statements.predict_one("m", {"x": 1.5, "s": "a'"}, version=2),
                         "SELECT PREDICT('\"m\"/2') AS prediction FROM (SELECT 1.5 AS \"x\", 'a''' AS \"s\") AS input")

    def test_the_registry(self):
        self.assertEqual(statements.describe_model("m"), 'DESCRIBE MODEL "m"')
        self.assertEqual(statements.describe_model("m", version=2), 'DESCRIBE MODEL "m" VERSION 2')
        self.assertEqual(statements.describe_model("m", alias="a b"), 'DESCRIBE MODEL "m" ALIAS "a b"')
        self.assertEqual(statements.alter_alias("m", "a", 2), 'ALTER MODEL "m" SET ALIAS "a" TO VERSION 2')
        self.assertEqual(statements.alter_alias("m", "a", None), 'ALTER MODEL "m" UNSET ALIAS "a"')
        self.assertEqual(statements.drop_model("m"), 'DROP MODEL "m"')
        self.assertEqual(statements.drop_model("m", version=1, if_exists=True), 'DROP MODEL IF EXISTS "m" VERSION 1')


if __name__ == "__main__":
    unittest.main()
