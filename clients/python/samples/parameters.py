"""Bind values instead of writing them into SQL: one row at a time, or many in one round trip."""

import argparse
import datetime
import json
import sys

import limn


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="grpc://127.0.0.1:50051", help="the server's Flight SQL address")
    day = datetime.date
    rows = [
        (1, "Ada", 1.5, True, day(2026, 1, 1)),
        (2, "Grace", 2.5, True, day(2026, 1, 2)),
        (3, None, 3.5, False, day(2026, 1, 3)),
        (4, "Zoë", 4.5, True, day(2026, 1, 4)),
    ]
    with limn.connect(parser.parse_args().url) as lake:
        lake.execute("DROP TABLE IF EXISTS sample_parameters")
        lake.execute(
            "CREATE TABLE sample_parameters (id BIGINT, name VARCHAR, price DOUBLE, active BOOLEAN, day DATE)")
        inserted = lake.executemany("INSERT INTO sample_parameters VALUES (?, ?, ?, ?, ?)", rows)
        matched = lake.sql(
            "SELECT count(*) AS matched FROM sample_parameters WHERE price >= ? AND active = ? AND day >= ?",
            2.0, True, day(2026, 1, 2)).scalar()
    print(f"inserted {inserted} rows, of which {matched} match")
    print(json.dumps({"matched": matched, "inserted": inserted}))


if __name__ == "__main__":
    try:
        main()
    except limn.Error as error:
        sys.exit(str(error))
