"""Stored artifacts in ONNX Runtime beside PREDICT: every algorithm, every type of target, and hard inputs.

The inputs are rows like those of the training, then each feature in turn with what breaks evaluators: NULL, the
infinities, -0.0, denormals, the largest numbers, a model's own thresholds and their neighbours, texts that it does not
know. Numbers must agree within 1e-9 of their size, infinities and NaN be the same ones, labels be equal.
"""

import datetime

import numpy as np
import onnx
import pyarrow as pa
from onnx import numpy_helper

from lake import score

TOLERANCE = 1e-9
ROWS = 400
SMALLEST, LARGEST = np.finfo(float).smallest_subnormal, np.finfo(float).max
NUMBERS = [None, np.inf, -np.inf, 0.0, -0.0, SMALLEST, -SMALLEST, np.finfo(float).tiny, LARGEST, -LARGEST, 1e300, -1e-300]
THRESHOLDS_MAX = 60
SPECIAL = {
    "width": NUMBERS,
    "height": NUMBERS,
    "age": [None, 0, -1, 2**53 + 1, 2**63 - 1, -(2**63)],
    "wet": [None, True, False],
    "planted": [None, datetime.date(1970, 1, 1), datetime.date(1, 1, 1), datetime.date(9999, 12, 31)],
    "kind": [None, "", "unseen", "MOOS", "Þórr 🌿"],
}
TARGETS = {None: None, "double": "weight", "bigint": "crowns", "boolean": "tall", "text": "place"}
# What an algorithm needs beside its defaults to learn something of so few rows.
PARAMETERS = {"dbscan": {"eps": 6.0, "min_samples": 3}, "pca": {"n_components": 3}, "kmeans": {"n_clusters": 4},
              "gaussian_mixture": {"n_components": 3}, "random_forest": {"n_estimators": 20},
              "extra_trees": {"n_estimators": 20}, "isolation_forest": {"n_estimators": 20}}
PEER = "ONNX Runtime"


def compare(lake, report):
    lake.load("plants_mixed", plants())
    for algorithm in lake.algorithms:
        refusals = []
        for kind, target in TARGETS.items():
            report.run(algorithm, kind or "no target", PEER, lambda: one(lake, report, algorithm, kind, target, refusals))
        if len(refusals) == len(TARGETS):
            report.add(algorithm, "", PEER, "; ".join(refusals)[:400], "", "", "", "", "FAILED")


def plants():
    """Rows with every type of feature and of target, some values missing."""
    random = np.random.default_rng(407)
    place = random.integers(0, 3, ROWS)
    width = 5 - place + random.normal(0, 1.5, ROWS)
    height = 20 + 4 * place + random.normal(0, 4, ROWS)
    age = random.integers(0, 12, ROWS)
    wet = random.random(ROWS) < 0.4
    planted = random.integers(15_000, 16_000, ROWS).astype("datetime64[D]")
    kind = np.array(["fern", "moos", "þörr 🌿", ""])[(place + random.integers(0, 2, ROWS)) % 4]
    weight = np.exp(0.02 * height - 0.1 * width + 0.03 * age + 0.2 * wet + random.normal(0, 0.1, ROWS))

    def holes(values, share=0.05):
        return pa.array(values.tolist(), mask=random.random(ROWS) < share)

    return pa.table({
        "row": np.arange(ROWS), "width": holes(width), "height": holes(height), "age": holes(age), "wet": holes(wet),
        "planted": pa.array(planted, mask=random.random(ROWS) < 0.05), "kind": holes(kind),
        "weight": weight, "crowns": place * 7 - 3, "tall": height > 24, "place": np.array(["bog", "døl", "ridge"])[place],
    })


def one(lake, report, algorithm, kind, target, refusals):
    model = f"graph_{algorithm}_{kind or 'alone'}"
    query = f"SELECT {', '.join([*SPECIAL, *([target] if target else [])])} FROM plants_mixed"
    try:
        trained = lake.train(model, algorithm, query, target, **PARAMETERS.get(algorithm, {}))
    except Exception as error:  # noqa: BLE001
        text = str(error).replace("\n", " ")
        if "target" not in text.lower():
            raise
        refusals.append(text)
        return
    graph = onnx.load_model_from_string(lake.artifact(trained["artifact_sha256"]))
    onnx.checker.check_model(graph)
    table = hard_rows(lake, thresholds(graph))
    name = f"hard_{model}"
    lake.load(name, table)
    outputs = score(lake.session(trained), table)
    found = lake.table(f"SELECT PREDICT('{model}') AS p FROM {name} ORDER BY row").column("p").to_pylist()
    if "label" in outputs:
        labels = [written(value) for value in outputs.pop("label").ravel().tolist()]
        differ = sum(written(ours) != theirs for ours, theirs in zip(found, labels))
        report.within(algorithm, kind or "no target", PEER, f"labels that differ, {len(found)} rows", differ, 0)
        if not outputs:
            return
        try:
            found = lake.table(f"SELECT PREDICT_PROBA('{model}') AS p FROM {name} ORDER BY row").column("p").to_pylist()
        except Exception as error:  # noqa: BLE001
            assert "probabilit" in str(error), error
            return
    (numbers,) = outputs.values()
    found = np.array(found, dtype=float).reshape(len(found), -1)
    difference = apart(found, numbers.reshape(found.shape))
    report.within(algorithm, kind or "no target", PEER, f"{found.shape[1]} numbers, {len(found)} rows", difference, TOLERANCE)


def written(value):
    return str(value.decode() if isinstance(value, bytes) else value)


def thresholds(graph):
    """What a model of trees compares with."""
    found = set()
    for node in graph.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("nodes_splits", "nodes_values_as_tensor"):
                found.update(numpy_helper.to_array(attribute.t).tolist())
            elif attribute.name == "nodes_values":
                found.update(attribute.floats)
    found = np.array(sorted(value for value in found if np.isfinite(value)))
    return found[np.linspace(0, len(found) - 1, min(THRESHOLDS_MAX, len(found))).astype(int)].tolist()


def hard_rows(lake, compared):
    """Rows of the training, and for each special value of a feature one of them with it."""
    rows = lake.table(f"SELECT {', '.join(SPECIAL)} FROM plants_mixed ORDER BY row").to_pylist()
    around = [near for value in compared for near in (value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf))]
    hard = list(rows[:100])
    for name, values in SPECIAL.items():
        for value in values + (around if values is NUMBERS else []):
            hard.append({**rows[len(hard) % len(rows)], name: value})
    for value in NUMBERS:
        hard.append({**rows[0], "width": value, "height": value})
    hard.append(dict.fromkeys(SPECIAL))
    schema = pa.schema([("row", pa.int64()), ("width", pa.float64()), ("height", pa.float64()), ("age", pa.int64()),
                        ("wet", pa.bool_()), ("planted", pa.date32()), ("kind", pa.string())])
    return pa.Table.from_pylist([{"row": at, **row} for at, row in enumerate(hard)], schema)


def apart(found, expected):
    """The largest relative difference; infinite where one is NaN or infinite and the other is not the same."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(all="ignore"):
        relative = np.abs(found - expected) / np.maximum(np.abs(expected), 1e-12)
    relative[same] = 0
    relative[~same & ~(np.isfinite(found) & np.isfinite(expected))] = np.inf
    return float(np.max(relative))
