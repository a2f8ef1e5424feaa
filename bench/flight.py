"""Measures Limn's Flight SQL side beside other servers in the same run, and prints a Markdown table.

`bench/run.sh` starts Limn and calls this, which starts the others: pysail's Flight SQL server on the very files that
Limn wrote, and `ceiling`, an arrow-flight server that sends the same batches from memory. One client, pyarrow's, reads
from all of them, in turns. Ingestion is beside `deltalake.write_deltalake`. Results are compared: a server that answers
something else fails.
"""

import argparse
import contextlib
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import time

import adbc_driver_flightsql.dbapi as flight_sql
import deltalake
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from pyarrow import flight

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests/clients/python"))
from protobuf import packed  # noqa: E402

ROUNDS = 5
SMALL_ROUNDS = 2_000
SERIES_ROWS = 10_000_000
STARTS_WITHIN_S = 60
SERIES_LIMN = ", ".join(f"value + {c} AS c{c}" for c in range(10))
SERIES_SAIL = ", ".join(f"id + {c} AS c{c}" for c in range(10))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--data-dir", required=True, type=pathlib.Path)
    parser.add_argument("--ceiling", required=True, help="the binary of that name")
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    table = made(options.rows)
    parquet = options.scratch / "wide.parquet"
    pyarrow.parquet.write_table(table, parquet)
    print(ingest(options, table), flush=True)
    total = pc.sum(table.column("demand")).as_py()
    del table
    with flight_sql.connect(options.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE wide AS SELECT * FROM read_parquet('{parquet}')")
    delta = newest(options.data_dir / "tables")
    with sail() as sail_url, ceiling(options.ceiling, parquet) as ceiling_url:
        peers = [Peer("Limn", options.url), Peer("pysail", sail_url), Peer("ceiling", ceiling_url)]
        lines = transfer("a table", peers, ["SELECT * FROM wide", f"SELECT * FROM delta.`{delta}`", "table"],
                         options.rows, ("demand", total))
        lines += transfer("computed", peers, [f"SELECT {SERIES_LIMN} FROM generate_series(0, {SERIES_ROWS - 1})",
                                              f"SELECT {SERIES_SAIL} FROM range({SERIES_ROWS})", "series"],
                          SERIES_ROWS, ("c9", SERIES_ROWS * (SERIES_ROWS - 1) // 2 + 9 * SERIES_ROWS))
        lines += small(peers)
    print("| what | Limn | pysail 0.7.2 | ceiling | Limn / pysail | Limn / ceiling |\n|---|---|---|---|---|---|")
    print("\n".join(lines))


def made(rows):
    """Ten columns such as meters give: ids, a time, measures with gaps, a short text, a flag."""
    random = np.random.default_rng(1)
    number = np.arange(rows)
    measures = {name: random.normal(10.0, 3.0, rows) for name in ("demand", "temperature", "wind", "price", "solar")}
    label = pa.DictionaryArray.from_arrays(pa.array((number % 1000).astype(np.int32)),
                                           pa.array([f"site-{n}" for n in range(1000)])).cast(pa.string())
    columns = {"id": pa.array(number), "meter": pa.array((number % 5000).astype(np.int32)),
               "time": pa.array(number * 1_800_000_000, pa.timestamp("us"))}
    columns |= {name: pa.array(values) for name, values in measures.items()}
    columns["solar"] = pa.array(measures["solar"], mask=number % 7 == 0)
    return pa.table(columns | {"label": label, "holiday": pa.array(number % 11 == 0)})


def newest(directory):
    return max(directory.iterdir(), key=lambda path: path.stat().st_mtime)


class Peer:
    def __init__(self, name, url):
        self.name, self.client = name, flight.FlightClient(url)

    def batches(self, sql):
        info = self.client.get_flight_info(
            flight.FlightDescriptor.for_command(packed("CommandStatementQuery", (1, sql))))
        for endpoint in info.endpoints:
            for chunk in self.client.do_get(endpoint.ticket):
                yield chunk.data


@contextlib.contextmanager
def sail():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(pathlib.Path(sys.executable).parent / "sail"), "flight", "server", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = flight.FlightClient(f"grpc://127.0.0.1:{port}")
        client.wait_for_available(timeout=STARTS_WITHIN_S)
        yield f"grpc://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def ceiling(binary, parquet):
    process = subprocess.Popen([binary, str(parquet)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def timed(work):
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def read(peer, sql, column):
    rows, total = 0, 0
    for batch in peer.batches(sql):
        rows += batch.num_rows
        if column:
            total += pc.sum(batch.column(column)).as_py() or 0
    return rows, total


def transfer(what, peers, statements, rows, check):
    """Seconds to read all rows, as the median of rounds in which the servers take turns."""
    column, expected = check
    for peer, sql in zip(peers, statements):
        found, total = read(peer, sql, column)
        assert found == rows, f"{peer.name}: expected {rows} rows, found {found}"
        assert abs(total - expected) <= 1e-9 * abs(expected), f"{peer.name}: expected {expected}, found {total}"
    seconds = [[] for _ in peers]
    for _ in range(ROUNDS):
        for times, peer, sql in zip(seconds, peers, statements):
            times.append(timed(lambda: read(peer, sql, None))[1])
    return [line(f"{what}: {rows:,} rows × 10 columns", seconds, lambda s: f"{rows / s / 1e6:.2f} M rows/s ({s:.2f} s)")]


def small(peers):
    """Round trips, GetFlightInfo and DoGet, one after the other on one connection."""
    seconds = [[] for _ in peers]
    for peer in peers:
        for _ in range(SMALL_ROUNDS // 10):
            read(peer, "SELECT 1", None)
    for _ in range(SMALL_ROUNDS):
        for times, peer in zip(seconds, peers):
            times.append(timed(lambda: read(peer, "SELECT 1", None))[1])
    lines = [line("`SELECT 1`, median of 2,000", seconds, lambda s: f"{s * 1e3:.2f} ms")]
    slow = [[sorted(times)[int(len(times) * 0.99)]] for times in seconds]
    return lines + [line("`SELECT 1`, 99th percentile", slow, lambda s: f"{s * 1e3:.2f} ms")]


def line(what, seconds, shown):
    limn, sail_, ceiling_ = (statistics.median(times) for times in seconds)
    cells = " | ".join(shown(value) for value in (limn, sail_, ceiling_))
    return f"| {what} | {cells} | {sail_ / limn:.2f}× as fast | {ceiling_ / limn:.2f}× as fast |"


def ingest(options, table):
    """The same Arrow table into a new durable table each, in turns; Limn syncs every file, deltalake none."""
    limn, other = [], []
    with flight_sql.connect(options.url, autocommit=True) as connection, connection.cursor() as cursor:
        for turn in range(3):
            # The driver sends each batch as one message, of which it takes none over 16 MiB.
            batches = table.to_reader(max_chunksize=65_536)
            limn.append(timed(lambda: cursor.adbc_ingest(f"ingested_{turn}", batches, mode="create"))[1])
            cursor.execute(f"SELECT count(*) FROM ingested_{turn}")
            assert cursor.fetchone() == (table.num_rows,)
            cursor.execute(f"DROP TABLE ingested_{turn}")
            path = options.scratch / f"deltalake_{turn}"
            other.append(timed(lambda: deltalake.write_deltalake(str(path), table))[1])
            assert deltalake.DeltaTable(str(path)).to_pyarrow_dataset().count_rows() == table.num_rows
            shutil.rmtree(path)
    limn, other = statistics.median(limn), statistics.median(other)
    rate = [f"{table.num_rows / s / 1e6:.2f} M rows/s ({s:.2f} s)" for s in (limn, other)]
    head = "| what | Limn, ADBC `adbc_ingest` | `deltalake.write_deltalake` | Limn / deltalake |\n|---|---|---|---|"
    return f"""{head}
| ingest {table.num_rows:,} rows × 10 columns | {rate[0]} | {rate[1]} | {other / limn:.2f}× as fast |
"""


if __name__ == "__main__":
    main()
