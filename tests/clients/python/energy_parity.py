"""After the energy example ran: the same regression in scikit-learn, on the rows that the server trained on.

It prints one JSON object with the largest relative differences of coefficients, held-out error and predictions.
"""

import argparse
import json
import math
import pathlib
import sys

import adbc_driver_flightsql.dbapi as flight_sql
import numpy as np
import onnxruntime
from sklearn.linear_model import LinearRegression

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / "examples" / "energy"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from energy import FEATURES  # noqa: E402
from parity import TYPES, apart  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--data-dir", required=True, type=pathlib.Path)
    options = parser.parse_args()
    with flight_sql.connect(options.url, autocommit=True) as connection, connection.cursor() as cursor:
        query = FEATURES.format(version=" VERSION AS OF 1")
        cursor.execute(f"SELECT *, PREDICT('demand@champion') AS predicted FROM ({query})")
        table = cursor.fetch_arrow_table()
        cursor.execute("""
            SELECT v.artifact_sha256, m.value FROM system.model_aliases a
            JOIN system.model_versions v ON v.name = a.name AND v.version = a.version
            JOIN system.metrics m ON m.run_id = v.run_id AND m.key = 'rmse'
            WHERE a.name = 'demand' AND a.alias = 'champion'""")
        sha256, registry_rmse = cursor.fetchall()[0]

    names = [name for name in table.column_names if name not in ("time", "demand_mwh", "predicted")]
    matrix = np.column_stack([table.column(name).to_numpy(zero_copy_only=False).astype(float) for name in names])
    target = table.column("demand_mwh").to_numpy()
    times = table.column("time").cast("timestamp[us]").to_numpy().astype("int64")
    first = np.sort(times)[len(times) - math.ceil(0.2 * len(times))]
    held_out = times >= first
    reference = LinearRegression().fit(matrix[~held_out], target[~held_out])
    rmse = float(np.sqrt(np.mean((reference.predict(matrix[held_out]) - target[held_out]) ** 2)))

    (artifact,) = [path for path in options.data_dir.rglob(f"*{sha256}*") if path.is_file()]
    session = onnxruntime.InferenceSession(artifact.read_bytes(), providers=["CPUExecutionProvider"])
    types = {given.name: TYPES[given.type] for given in session.get_inputs()}

    def score(rows):
        feeds = {name: rows[:, at].astype(types[name]).reshape(-1, 1) for at, name in enumerate(names)}
        return session.run(None, feeds)[0].ravel()

    steps = score(np.vstack([np.zeros(len(names)), np.eye(len(names))]))
    print(json.dumps({
        "rows": len(times), "held_out_rows": int(held_out.sum()), "sklearn_rmse": rmse,
        "coefficients": apart(steps[1:] - steps[0], reference.coef_),
        "intercept": apart(steps[0], reference.intercept_),
        "rmse": apart(registry_rmse, rmse),
        "onnxruntime": apart(score(matrix), table.column("predicted").to_numpy()),
    }))


if __name__ == "__main__":
    main()
