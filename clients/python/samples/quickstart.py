"""Make a table, fill it, ask it, and ask what it was before."""

import argparse
import json
import sys

import limn


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="grpc://127.0.0.1:50051", help="the server's Flight SQL address")
    with limn.connect(parser.parse_args().url) as lake:
        lake.execute("DROP TABLE IF EXISTS sample_quickstart")
        lake.execute("CREATE TABLE sample_quickstart (id BIGINT, item VARCHAR, amount BIGINT)")
        lake.execute("INSERT INTO sample_quickstart VALUES (1, 'apple', 10), (2, 'pear', 20)")
        lake.execute("INSERT INTO sample_quickstart VALUES (3, 'plum', 30)")
        print(lake.sql("SELECT id, item, amount FROM sample_quickstart ORDER BY id"))
        rows, total = lake.sql("SELECT count(*) AS row_count, sum(amount) AS total FROM sample_quickstart").fetchone()
        # Every commit is a version: the table's creation is 0, the first INSERT 1, the second 2.
        before = lake.sql("SELECT count(*) AS row_count FROM sample_quickstart VERSION AS OF 1").scalar()
    print(f"{rows} rows now, {before} before the second INSERT")
    print(json.dumps({"rows": rows, "sum": total, "rows_at_version_1": before}))


if __name__ == "__main__":
    try:
        main()
    except limn.Error as error:
        sys.exit(str(error))
