"""Generated rows for the models' benchmark: a signal that lines and trees can both learn a part of, and noise.

Rows come in chunks, so that a table may be larger than memory; the same seed gives the same rows.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet

FEATURES = 20
GROUP_FEATURES = 8
CHUNK_ROWS = 500_000
HELD_OUT_ONE_IN = 5


def names(width=FEATURES):
    return [f"f{at}" for at in range(width)]


def write(path, rows, seed):
    """A Parquet file with the features, `y`, `label`, `region` (ten of them) and `held_out` (a fifth of the rows)."""
    random = np.random.default_rng(seed)
    weights = np.random.default_rng(1).normal(size=FEATURES)
    writer = None
    for start in range(0, rows, CHUNK_ROWS):
        count = min(CHUNK_ROWS, rows - start)
        x = random.normal(size=(count, FEATURES))
        x[:, 1::4] = np.round(x[:, 1::4] * 8) / 8
        bends = 2 * np.sin(2 * x[:, 0]) + np.abs(x[:, 1]) * (x[:, 2] > 0) + x[:, 3] * x[:, 4] - 1.5 * (x[:, 5] > 0.5)
        y = x @ weights * 0.5 + bends + random.normal(size=count)
        label = y + 2 * random.logistic(size=count) > 0
        table = pa.table({
            **{name: x[:, at] for at, name in enumerate(names())},
            "y": y, "label": label, "region": random.integers(0, 10, count),
            "held_out": np.arange(start, start + count) % HELD_OUT_ONE_IN == 0,
        })
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()
    return path


def write_groups(path, groups, rows, seed):
    """A Parquet file with so many rows of each `site`, each with a line and a bend of its own; sites lie together."""
    random = np.random.default_rng(seed)
    writer = None
    at_once = max(1, CHUNK_ROWS // rows)
    for first in range(0, groups, at_once):
        count = min(at_once, groups - first)
        x = random.normal(size=(count, rows, GROUP_FEATURES))
        weights = random.normal(size=(count, GROUP_FEATURES, 1))
        level = random.normal(size=(count, 1))
        y = (x @ weights)[:, :, 0] + level + np.sin(3 * x[:, :, 0]) + 0.5 * random.normal(size=(count, rows))
        table = pa.table({
            "site": np.repeat(np.arange(first, first + count), rows),
            **{name: x[:, :, at].ravel() for at, name in enumerate(names(GROUP_FEATURES))},
            "y": y.ravel(),
        })
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()
    return path
