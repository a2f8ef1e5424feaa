"""Models of Limn beside the same ones of its peers: prints a table, then one line of JSON with what failed.

`--part exact`: unique optima; `--part metrics`: held-out metrics over repeated cross-validation; `--part graphs`:
the stored artifacts in ONNX Runtime. `--whole` takes all rows, folds and trees, where the tests take a slice.
"""

import os

# Before the libraries start their pools: what is measured here is quality, and small fits are slower on many threads.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse  # noqa: E402
import json  # noqa: E402
import warnings  # noqa: E402

import exact  # noqa: E402
import graphs  # noqa: E402
import metrics  # noqa: E402
from lake import Lake  # noqa: E402
from report import Report  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--algorithms", required=True, help="JSON: parameters of each algorithm by its name")
    parser.add_argument("--part", required=True, choices=["exact", "metrics", "graphs"])
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning)
    lake = Lake(options.url, options.data_dir, json.loads(options.algorithms))
    report = Report(lake.algorithms)
    if options.part == "exact":
        exact.compare(lake, report)
    elif options.part == "metrics":
        metrics.compare(lake, report, options.whole)
    else:
        graphs.compare(lake, report)
    report.print(options.part)
    lake.close()
    print(json.dumps({"failed": report.failed, "compared": sum(row[-1].startswith("ok") for row in report.rows)}))


if __name__ == "__main__":
    main()
