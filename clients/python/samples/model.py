"""Train a model, score with it, and read back how it was made."""

import argparse
import json
import sys

import limn


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="grpc://127.0.0.1:50051", help="the server's Flight SQL address")
    with limn.connect(parser.parse_args().url) as lake:
        lake.execute("DROP TABLE IF EXISTS sample_line")
        lake.execute("CREATE TABLE sample_line AS "
                     "SELECT CAST(value AS DOUBLE) AS x, 2.0 * value + 1.0 AS y FROM generate_series(0, 999)")
        lake.drop_model("sample_model", if_exists=True)
        trained = lake.train("sample_model", "SELECT x, y FROM sample_line", target="y",
                             algorithm="linear_regression", split=limn.Split.none(), seed=1)
        print(f"trained version {trained.version} on {trained.rows} rows: {trained.metrics}")
        intercept = lake.predict_one("sample_model", {"x": 0.0})
        coefficient = lake.predict_one("sample_model", {"x": 1.0}) - intercept
        print(lake.sql("SELECT name, version, algorithm, target, rows FROM system.model_versions "
                       "WHERE name = 'sample_model' ORDER BY version"))
    print(json.dumps({"coefficient": coefficient, "intercept": intercept, "version": trained.version,
                      "algorithm": trained.algorithm, "rows": trained.rows}))


if __name__ == "__main__":
    try:
        main()
    except limn.Error as error:
        sys.exit(str(error))
