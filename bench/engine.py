"""Measures Limn on generated rows, each number beside a baseline in the same run, and prints a Markdown table.

`bench/run.sh` starts the server and calls this. The baselines are what a person would use without a server: pyarrow
reading and writing the same Parquet and CSV files, scikit-learn fitting and predicting the same arrays. Results are
compared: a benchmark that answers wrongly fails.
"""

import argparse
import datetime
import os
import pathlib
import platform
import subprocess
import time

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as flight_sql
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import sklearn
from sklearn.linear_model import LinearRegression

ROWS_A_SITE = 365 * 48
FEATURES = """
SELECT demand_mwh, temperature_c AS temperature, temperature_c * temperature_c AS temperature_squared,
       CAST(date_part('hour', local_time) AS DOUBLE) AS hour, holiday FROM readings"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--limn", required=True)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--build", required=True, help="how the binary was built")
    options = parser.parse_args()
    sites = max(2, round(options.rows / ROWS_A_SITE))
    days = 365 if options.rows >= 2 * ROWS_A_SITE else max(1, options.rows // 96)
    csv = options.scratch / "readings.csv"
    generate = [options.limn, "generate", "energy", "--sites", str(sites), "--days", str(days), "--seed", "1"]
    _, generated_s = timed(lambda: subprocess.run([*generate, "--out", str(csv)], check=True, stdout=subprocess.DEVNULL))
    rows = sites * days * 48
    with flight_sql.connect(options.url, autocommit=True) as connection, connection.cursor() as cursor:
        lines = Bench(cursor, options.scratch, rows).run(csv)
    print(head(options.limn, options.build, rows, csv, generated_s))
    print("\n".join(lines))


def timed(work):
    """What the work gives, and its seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def head(limn, build, rows, csv, generated_s):
    version = subprocess.run([limn, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
                     platform.machine()) if os.path.exists("/proc/cpuinfo") else platform.machine()
    return f"""{datetime.date.today().isoformat()}, {version}, {build}; {os.cpu_count()} cores ({processor}), \
{memory:.0f} GiB, {platform.system()}; \
pyarrow {pa.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__}, \
ADBC Flight SQL {adbc_driver_flightsql.__version__}.

{rows:,} rows (CSV of {csv.stat().st_size / 2**20:,.0f} MiB, generated in {generated_s:.1f} s).

| what | Limn | baseline | baseline is |
|---|---|---|---|"""


class Bench:
    def __init__(self, cursor, scratch, rows):
        self.cursor, self.scratch, self.rows = cursor, scratch, rows

    def execute(self, sql):
        self.cursor.execute(sql)
        return self.cursor.fetch_arrow_table()

    def one(self, sql):
        return self.execute(sql).column(0)[0].as_py()

    def check(self, what, found, expected):
        assert found == expected, f"{what}: expected {expected}, found {found}"

    def line(self, what, limn_s, baseline_s, baseline):
        return f"| {what} | {self.speed(limn_s)} | {self.speed(baseline_s)} | {baseline} |"

    def speed(self, seconds):
        return f"{self.rows / seconds / 1e6:.2f} M rows/s ({seconds:.2f} s)"

    def run(self, csv):
        return [*self.load(csv), self.scan(), *self.learn()]

    def load(self, csv):
        """CSV and Parquet into a durable table; pyarrow writes the same files into Parquet."""
        parquet, copy = self.scratch / "readings.parquet", self.scratch / "copy.parquet"

        def pyarrow_csv():
            pyarrow.parquet.write_table(pyarrow.csv.read_csv(csv), parquet)

        def pyarrow_parquet():
            pyarrow.parquet.write_table(pyarrow.parquet.read_table(parquet), copy)

        _, csv_s = timed(lambda: self.execute(f"CREATE TABLE from_csv AS SELECT * FROM read_csv('{csv}')"))
        self.check("rows of the CSV file", self.one("SELECT count(*) FROM from_csv"), self.rows)
        _, csv_baseline_s = timed(pyarrow_csv)
        # Typed as Limn infers it, so that both read the same values.
        table = pyarrow.parquet.read_table(parquet)
        for name in ("time", "local_time"):
            table = table.set_column(table.column_names.index(name), name, table.column(name).cast(
                pa.timestamp("us", "UTC" if name == "time" else None)))
        pyarrow.parquet.write_table(table, parquet)
        _, parquet_s = timed(lambda: self.execute(f"CREATE TABLE readings AS SELECT * FROM read_parquet('{parquet}')"))
        self.check("rows of the Parquet file", self.one("SELECT count(*) FROM readings"), self.rows)
        _, parquet_baseline_s = timed(pyarrow_parquet)
        self.table = pyarrow.parquet.read_table(parquet)
        self.parquet = parquet
        return [
            self.line("load a CSV file into a table", csv_s, csv_baseline_s, "pyarrow: CSV to Parquet"),
            self.line("load a Parquet file into a table", parquet_s, parquet_baseline_s, "pyarrow: Parquet to Parquet"),
        ]

    def scan(self):
        scanned, limn_s = timed(lambda: self.execute("SELECT * FROM readings"))
        _, baseline_s = timed(lambda: pyarrow.parquet.read_table(self.parquet))
        self.check("rows scanned", scanned.num_rows, self.rows)
        total = pc.sum(scanned.column("demand_mwh")).as_py()
        expected = pc.sum(self.table.column("demand_mwh")).as_py()
        assert abs(total - expected) <= 1e-9 * abs(expected), (total, expected)
        return self.line("scan all columns over Flight", limn_s, baseline_s, "pyarrow: read the Parquet file")

    def learn(self):
        arrays = self.execute(FEATURES)
        names = [name for name in arrays.column_names if name != "demand_mwh"]
        matrix = np.column_stack([arrays.column(n).to_numpy(zero_copy_only=False).astype(float) for n in names])
        target = arrays.column("demand_mwh").to_numpy()
        del arrays
        _, train_s = timed(lambda: self.execute(
            f"TRAIN MODEL demand USING linear_regression TARGET demand_mwh SPLIT NONE AS {FEATURES}"))
        model, fit_s = timed(lambda: LinearRegression().fit(matrix, target))

        in_server, predict_s = timed(lambda: self.one(f"SELECT avg(PREDICT('demand')) FROM ({FEATURES})"))
        expected, sklearn_s = timed(lambda: model.predict(matrix).mean())
        assert abs(in_server - expected) <= 1e-6 * abs(expected), (in_server, expected)
        fetched, fetch_s = timed(lambda: self.execute(f"SELECT PREDICT('demand') AS p FROM ({FEATURES})"))
        self.check("rows predicted", fetched.num_rows, self.rows)
        return [
            self.line("train linear regression from the table", train_s, fit_s, "scikit-learn: fit arrays in memory"),
            self.line("predict in a query, average", predict_s, sklearn_s, "scikit-learn: predict arrays, average"),
            self.line("predict and fetch over Flight", fetch_s, sklearn_s, "scikit-learn: predict arrays, average"),
        ]


if __name__ == "__main__":
    main()
