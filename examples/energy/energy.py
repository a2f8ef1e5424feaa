"""Energy demand with Limn, told in Python: from a CSV file to a prediction, and back to how it was made.

It talks Flight SQL through the stock ADBC driver; every step is a statement that any other client could send.
"""

import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight_sql

# What the model learns from. The self-join looks one week back: people's weeks resemble each other.
FEATURES = """
SELECT d.time, d.demand_mwh,
       d.temperature_c AS temperature,
       d.temperature_c * d.temperature_c AS temperature_squared,
       sin(pi() * date_part('hour', d.local_time) / 12) AS hour_sin,
       cos(pi() * date_part('hour', d.local_time) / 12) AS hour_cos,
       date_part('dow', d.local_time) IN (0, 6) AS weekend,
       d.holiday,
       w.demand_mwh AS demand_last_week
FROM demand{version} AS d
JOIN demand{version} AS w ON w.site = d.site AND w.time = d.time - INTERVAL '7 days'
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="grpc://127.0.0.1:50051", help="the server's Flight SQL address")
    parser.add_argument("--csv", help="a file of the example's shape that the server can read")
    parser.add_argument("--limn", default="limn", help="the binary that generates data where --csv is not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        csv = options.csv or generate(options.limn, Path(scratch) / "energy.csv")
        # Limn commits each statement by itself, which ADBC calls autocommit.
        with flight_sql.connect(options.url, autocommit=True) as connection, connection.cursor() as cursor:
            numbers = tell(cursor, csv)
    print(json.dumps(numbers))


def generate(limn, path):
    """Makes data with Limn's own generator: three sites, a year and a half."""
    command = [limn, "generate", "energy", "--sites", "3", "--days", "550", "--seed", "42", "--out", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return str(path)


def tell(cursor, csv):
    """Runs the story and gives its numbers."""
    numbers = load(cursor, csv)
    numbers |= train(cursor)
    numbers |= predict(cursor)
    numbers |= read_back(cursor, numbers["model_version"])
    return numbers


def load(cursor, csv):
    """Two commits: the first three quarters of the period, then the rest."""
    source = f"read_csv('{csv}')"
    cursor.execute(f"SELECT * FROM {source} LIMIT 1")
    columns = [column[0] for column in cursor.description]
    site = "site" if "site" in columns else "'all'"
    (cut,) = one(cursor, f"""
        SELECT CAST(max(time) AS TEXT) FROM (
          SELECT time, ntile(4) OVER (ORDER BY time) AS quarter FROM {source}) WHERE quarter = 3""")
    row = f"SELECT {site} AS site, time, local_time, demand_mwh, temperature_c, holiday FROM {source}"

    cursor.execute("DROP TABLE IF EXISTS demand")
    cursor.execute(f"CREATE TABLE demand AS {row} WHERE time <= TIMESTAMPTZ '{cut}'")
    cursor.execute(f"INSERT INTO demand {row} WHERE time > TIMESTAMPTZ '{cut}'")

    (before,) = one(cursor, "SELECT count(*) FROM demand VERSION AS OF 0")
    (after,) = one(cursor, "SELECT count(*) FROM demand")
    (peaks,) = one(cursor, "SELECT count(*) FROM demand WHERE demand_mwh > ?", [6000.0])
    print(f"version 0 of the table has {before} rows, the latest {after}; {peaks} half-hours are above 6000 MWh")
    return {"cut": cut, "rows_version_0": before, "rows_latest": after, "peaks": peaks}


def train(cursor):
    """Trains on version 1 of the table and names the result."""
    cursor.execute(f"""
        TRAIN MODEL demand USING linear_regression TARGET demand_mwh
        SPLIT BY TIME time 0.2 SEED 42 EXPERIMENT energy
        AS {FEATURES.format(version=" VERSION AS OF 1")}""")
    trained = dict(zip([column[0] for column in cursor.description], cursor.fetchone()))
    version = trained["version"]
    cursor.execute(f"ALTER MODEL demand SET ALIAS champion TO VERSION {version}")
    print(f"trained `demand` version {version} on {trained['rows']} rows: {trained['metrics']}")
    return {"model_version": version, "artifact_sha256": trained["artifact_sha256"], "rows_trained": trained["rows"]}


def predict(cursor):
    """Scores the held-out period (the last fifth of the rows) by the model's alias, and measures in SQL."""
    rows, rmse, mape, total = one(cursor, f"""
        WITH features AS ({FEATURES.format(version="")}),
        ranked AS (SELECT time, row_number() OVER (ORDER BY time DESC) AS back, count(*) OVER () AS n FROM features),
        held_out AS (
          SELECT * FROM features WHERE time >= (SELECT min(time) FROM ranked WHERE back <= ceil(0.2 * n))),
        scored AS (SELECT time, demand_mwh, PREDICT('demand@champion') AS predicted FROM held_out)
        SELECT count(*), sqrt(avg((predicted - demand_mwh) * (predicted - demand_mwh))),
               100 * avg(abs(predicted - demand_mwh) / demand_mwh), sum(predicted)
        FROM scored""")
    print(f"over {rows} held-out half-hours: RMSE {rmse:.1f} MWh, mean error {mape:.2f} %")
    return {"held_out_rows": rows, "rmse": rmse, "mape": mape, "predicted_total": total}


def read_back(cursor, version):
    """How the model came to be, from the system tables alone."""
    run_id, experiment, status, algorithm, seed = one(cursor, f"""
        SELECT r.run_id, e.name, r.status, r.algorithm, r.seed
        FROM system.model_versions v JOIN system.runs r ON r.run_id = v.run_id
        JOIN system.experiments e ON e.experiment_id = r.experiment_id
        WHERE v.name = 'demand' AND v.version = {version}""")
    (rmse,) = one(cursor, f"SELECT value FROM system.metrics WHERE run_id = '{run_id}' AND key = 'rmse'")
    (params,) = one(cursor, f"SELECT count(*) FROM system.params WHERE run_id = '{run_id}'")
    table, table_version = one(
        cursor, f"SELECT table_name, version FROM system.inputs WHERE run_id = '{run_id}'")
    (alias_version,) = one(
        cursor, "SELECT version FROM system.model_aliases WHERE name = 'demand' AND alias = 'champion'")
    (sha256,) = one(
        cursor, f"SELECT artifact_sha256 FROM system.model_versions WHERE name = 'demand' AND version = {version}")
    print(f"run {run_id} of `{experiment}` {status}: {algorithm} with seed {seed} and {params} parameters "
          f"on `{table}` version {table_version}")
    return {
        "experiment": experiment, "status": status, "algorithm": algorithm, "seed": seed, "params": params,
        "registry_rmse": rmse, "input_table": table, "input_version": table_version,
        "alias_version": alias_version, "registry_sha256": sha256,
    }


def one(cursor, sql, parameters=None):
    """The only row of a query."""
    cursor.execute(sql, parameters)
    rows = cursor.fetchall()
    assert len(rows) == 1, f"expected one row, found {len(rows)}: {sql}"
    assert not any(isinstance(value, float) and math.isnan(value) for value in rows[0]), sql
    return rows[0]


if __name__ == "__main__":
    main()
