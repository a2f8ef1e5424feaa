"""Load a million rows through bulk ingestion, in batches that are made as they are sent."""

import argparse
import json
import sys
import time

import limn
import pyarrow as pa

ROWS = 1_000_000
BATCH_ROWS = 65_536


def batches():
    """The rows, one batch in memory at a time."""
    for start in range(0, ROWS, BATCH_ROWS):
        ids = range(start, min(start + BATCH_ROWS, ROWS))
        yield pa.record_batch({
            "id": pa.array(ids, pa.int64()),
            "amount": pa.array((i * 0.5 for i in ids), pa.float64()),
            "label": pa.array((f"label-{i % 1000}" for i in ids), pa.string()),
        })


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="grpc://127.0.0.1:50051", help="the server's Flight SQL address")
    with limn.connect(parser.parse_args().url) as lake:
        began = time.monotonic()
        written = lake.ingest("sample_bulk_ingest", batches(), mode="replace")
        seconds = time.monotonic() - began
        rows, total = lake.sql("SELECT count(*) AS row_count, sum(id) AS sum_id FROM sample_bulk_ingest").fetchone()
    print(f"wrote {written} rows in {seconds:.1f} s, making them included")
    print(json.dumps({"rows": rows, "sum_id": total}))


if __name__ == "__main__":
    try:
        main()
    except limn.Error as error:
        sys.exit(str(error))
