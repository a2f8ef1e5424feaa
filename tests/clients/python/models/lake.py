"""What the comparisons ask of a Limn server: tables, trainings, predictions, stored artifacts.

Everything goes over ADBC, as a user's Python does; only artifacts are read from the data directory, because they are
given to ONNX Runtime, which knows nothing of Limn.
"""

import json
import pathlib

import adbc_driver_flightsql.dbapi as flight_sql
import numpy as np
import onnxruntime
import pyarrow as pa

# What stands for NULL in a text input of a graph, where no category is written so.
NULL_TEXT = "\\N"


class Lake:
    """One connection."""

    def __init__(self, url, data_dir, algorithms):
        """`algorithms`: the parameters of each algorithm that the server has, by the algorithm's name."""
        self.connection = flight_sql.connect(url, autocommit=True)
        self.cursor = self.connection.cursor()
        self.data_dir = pathlib.Path(data_dir)
        self.algorithms = algorithms
        self.loaded = set()

    def close(self):
        self.cursor.close()
        self.connection.close()

    def table(self, sql):
        self.cursor.execute(sql)
        return self.cursor.fetch_arrow_table()

    def load(self, name, table):
        """A durable table of that name, once. Its column `row` numbers the rows."""
        if name not in self.loaded:
            self.cursor.adbc_ingest(name, table, mode="create")
            self.loaded.add(name)

    def train(self, model, algorithm, query, target=None, split="NONE", seed=0, **parameters):
        """Trains; gives the answer's one row with its metrics as a dictionary."""
        given = ", ".join(f"{name} = {literal(value)}" for name, value in parameters.items())
        sql = f"TRAIN MODEL {model} USING {algorithm}" + (f" ({given})" if given else "")
        sql += (f" TARGET {target}" if target else "") + f" SPLIT {split} SEED {seed} AS {query}"
        row = self.table(sql).to_pylist()[0]
        row["metrics"] = json.loads(row["metrics"])
        return row

    def session(self, trained):
        """The stored artifact in ONNX Runtime, on one thread."""
        return onnxruntime.InferenceSession(
            self.artifact(trained["artifact_sha256"]), options(), providers=["CPUExecutionProvider"])

    def artifact(self, sha256):
        found = [path for path in self.data_dir.rglob(f"*{sha256}*") if path.is_file()]
        assert len(found) == 1, f"expected one artifact with the hash {sha256}, found {found}"
        return found[0].read_bytes()


def options():
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
    return chosen


def literal(value):
    """A parameter as SQL writes it; lists and dictionaries are JSON texts."""
    if value is None:
        return "NULL"
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + text.replace("'", "''") + "'"


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def feeds(session, table):
    """The columns of a table as the graph takes them: numbers with NaN for NULL, texts with `\\N`."""
    given = {}
    for one in session.get_inputs():
        column = table.column(one.name)
        if one.type == "tensor(string)":
            values = [NULL_TEXT if value is None else value for value in column.to_pylist()]
            given[one.name] = np.array(values, dtype=object).reshape(-1, 1)
        else:
            assert one.type == "tensor(double)", f"expected an input of doubles, found {one.type}"
            given[one.name] = doubles(column).reshape(-1, 1)
    return given


def doubles(column):
    """A column as 64-bit floats: booleans as 0 and 1, dates as days, timestamps as microseconds, NULL as NaN."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    return np.array([np.nan if value is None else float(value) for value in column.to_pylist()])


def score(session, table):
    """The outputs of a graph by name."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds(session, table))))
