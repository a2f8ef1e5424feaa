"""Trains models in Limn and the same ones in scikit-learn, and says how far apart they are.

It prints one JSON object with the largest relative differences; the test that runs it decides what is too far. The
stored artifact is scored with ONNX Runtime, which knows nothing of Limn.
"""

import argparse
import json
import pathlib

import adbc_driver_flightsql.dbapi as flight_sql
import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.csv
from sklearn.linear_model import LinearRegression, LogisticRegression

ROWS = 600
FEATURES = ["height", "width", "age", "wet"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--data-dir", required=True, type=pathlib.Path)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    options = parser.parse_args()
    csv = options.scratch / "plants.csv"
    pyarrow.csv.write_csv(plants(), csv)
    with flight_sql.connect(options.url, autocommit=True) as connection, connection.cursor() as cursor:
        limn = Limn(cursor, options.data_dir)
        cursor.execute(f"CREATE TABLE plants AS SELECT * FROM read_csv('{csv}')")
        report = {
            "linear": linear(limn),
            "logistic": logistic(limn, "kind"),
            "logistic_boolean": logistic(limn, "tall"),
            "regression_tree": tree(limn, "weight"),
            "classification_tree": tree(limn, "kind"),
        }
    print(json.dumps(report))


def plants():
    """Plants of three kinds whose weight depends on all features, with noise; a fifth of them is held out."""
    random = np.random.default_rng(20141)
    kind = random.integers(0, 3, ROWS)
    height = 20 + 4 * kind + random.normal(0, 4, ROWS)
    width = 5 - kind + random.normal(0, 1.5, ROWS)
    age = random.integers(0, 12, ROWS)
    wet = random.random(ROWS) < 0.4
    weight = 3 + 0.7 * height - 1.3 * width + 0.25 * age + 2 * wet + random.normal(0, 1, ROWS)
    return pa.table({
        "height": height, "width": width, "age": age, "wet": wet, "weight": weight,
        "kind": np.array(["fern", "moss", "palm"])[kind],
        "tall": height + random.normal(0, 3, ROWS) > 24,
        "held_out": np.arange(ROWS) % 5 == 0,
    })


class Limn:
    """What the checks ask of the server."""

    def __init__(self, cursor, data_dir):
        self.cursor = cursor
        self.data_dir = data_dir

    def table(self, sql):
        self.cursor.execute(sql)
        return self.cursor.fetch_arrow_table()

    def train(self, model, algorithm, target):
        """Trains twice; the versions must have the same bytes."""
        sql = f"""TRAIN MODEL {model} USING {algorithm} TARGET {target} SPLIT ON held_out SEED 42
                  AS SELECT {', '.join(FEATURES)}, {target}, held_out FROM plants VERSION AS OF 0"""
        first, second = (self.table(sql).to_pylist()[0] for _ in range(2))
        return {
            "sha256": first["artifact_sha256"],
            "same_bytes": first["artifact_sha256"] == second["artifact_sha256"],
            "run_id": first["run_id"],
        }

    def metric(self, trained, key):
        sql = f"SELECT value FROM system.metrics WHERE run_id = '{trained['run_id']}' AND key = '{key}'"
        return self.table(sql).to_pylist()[0]["value"]

    def params(self, trained):
        sql = f"SELECT key, value FROM system.params WHERE run_id = '{trained['run_id']}'"
        return {row["key"]: row["value"] for row in self.table(sql).to_pylist()}

    def session(self, trained):
        """The stored artifact in ONNX Runtime."""
        found = [path for path in self.data_dir.rglob(f"*{trained['sha256']}*") if path.is_file()]
        assert len(found) == 1, f"expected one artifact with the hash {trained['sha256']}, found {found}"
        return onnxruntime.InferenceSession(found[0].read_bytes(), providers=["CPUExecutionProvider"])


TYPES = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}


def score(session, columns):
    """The outputs of the artifact for columns by name."""
    feeds = {}
    for given in session.get_inputs():
        feeds[given.name] = np.asarray(columns[given.name]).astype(TYPES[given.type]).reshape(-1, 1)
    return session.run(None, feeds)


def columns_of(table):
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in FEATURES}


def units():
    """The origin and one step along each feature: what a linear model does to them are its coefficients."""
    steps = np.vstack([np.zeros(len(FEATURES)), np.eye(len(FEATURES))])
    return {name: steps[:, at] for at, name in enumerate(FEATURES)}


def apart(found, expected):
    """The largest relative difference."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1e-12)))


def split(limn):
    plants_table = limn.table("SELECT * FROM plants VERSION AS OF 0")
    held_out = plants_table.column("held_out").to_numpy(zero_copy_only=False)
    matrix = np.column_stack([plants_table.column(n).to_numpy(zero_copy_only=False).astype(float) for n in FEATURES])
    return plants_table, matrix, held_out


def linear(limn):
    trained = limn.train("weight_of", "linear_regression", "weight")
    table, matrix, held_out = split(limn)
    target = table.column("weight").to_numpy()
    reference = LinearRegression().fit(matrix[~held_out], target[~held_out])
    rmse = np.sqrt(np.mean((reference.predict(matrix[held_out]) - target[held_out]) ** 2))

    session = limn.session(trained)
    steps = score(session, units())[0].ravel()
    predicted = limn.table(f"SELECT *, PREDICT('weight_of') AS predicted FROM plants")
    return {
        "coefficients": apart(steps[1:] - steps[0], reference.coef_),
        "intercept": apart(steps[0], reference.intercept_),
        "rmse": apart(limn.metric(trained, "rmse"), rmse),
        "onnxruntime": apart(score(session, columns_of(predicted))[0].ravel(), predicted.column("predicted")),
        "same_bytes": trained["same_bytes"],
    }


def logistic(limn, target):
    trained = limn.train(f"{target}_by_line", "logistic_regression", target)
    table, matrix, held_out = split(limn)
    labels = np.array([str(value) for value in table.column(target).to_pylist()])
    params = limn.params(trained)
    reference = LogisticRegression(C=float(params["c"]), tol=1e-12, max_iter=100_000)
    reference.fit(matrix[~held_out], labels[~held_out])
    found = limn.table(
        f"SELECT *, PREDICT('{target}_by_line') AS label, PREDICT_PROBA('{target}_by_line') AS probabilities FROM plants")
    probabilities = np.array(found.column("probabilities").to_pylist())
    matrix = np.column_stack([found.column(n).to_numpy(zero_copy_only=False).astype(float) for n in FEATURES])
    session = limn.session(trained)
    scored = score(session, columns_of(found))

    # Log-odds against the first class, in Limn's artifact and in scikit-learn.
    def log_odds(p):
        return np.log(p[:, 1:] / p[:, :1])

    steps = log_odds(np.asarray(score(session, units())[1]))
    expected = log_odds(reference.predict_proba(np.column_stack(list(units().values()))))
    return {
        "coefficients": apart(steps[1:] - steps[0], expected[1:] - expected[0]),
        "intercept": apart(steps[0], expected[0]),
        "probabilities": float(np.max(np.abs(probabilities - reference.predict_proba(matrix)))),
        "labels_differ": int(np.sum(np.array([str(v) for v in found.column("label").to_pylist()])
                                    != reference.predict(matrix))),
        "onnxruntime": apart(scored[1], probabilities),
        "onnxruntime_labels_differ": labels_differ(scored[0], found.column("label")),
        "same_bytes": trained["same_bytes"],
    }


def labels_differ(scored, labels):
    def text(value):
        return str(value.decode() if isinstance(value, bytes) else value)

    pairs = zip(np.asarray(scored).ravel().tolist(), labels.to_pylist())
    return sum(text(a) != text(b) and float(a if not isinstance(a, str) else "nan") != b for a, b in pairs)


def tree(limn, target):
    trained = limn.train(f"{target}_by_tree", "decision_tree", target)
    found = limn.table(f"SELECT *, PREDICT('{target}_by_tree') AS predicted FROM plants")
    scored = score(limn.session(trained), columns_of(found))
    report = {"same_bytes": trained["same_bytes"]}
    if target == "weight":
        truth = found.column("weight").to_numpy()
        predicted = found.column("predicted").to_numpy()
        report["onnxruntime"] = apart(scored[0].ravel(), predicted)
        report["r2"] = float(1 - np.sum((truth - predicted) ** 2) / np.sum((truth - truth.mean()) ** 2))
    else:
        report["onnxruntime_labels_differ"] = labels_differ(scored[0], found.column("predicted"))
        pairs = zip(found.column(target).to_pylist(), found.column("predicted").to_pylist())
        report["accuracy"] = sum(a == b for a, b in pairs) / found.num_rows
    return report


if __name__ == "__main__":
    main()
