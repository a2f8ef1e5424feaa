"""Measures learning and scoring in Limn beside scikit-learn, XGBoost, LightGBM, ONNX Runtime and joblib.

Prints Markdown tables: every line is one run of several repetitions, Limn and its peers taking turns, medians shown.
Threads, parameters and rows are equal; reading Parquet and making matrices is part of the peers' time, as reading the
table is part of Limn's. What this Limn does not do is skipped with a line that says so. Peers that would take minutes
score fewer rows, or train fewer of the groups, and the line says of how many its speed is.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import time

import adbc_driver_flightsql.dbapi as flight_sql
import joblib
import lightgbm
import numpy as np
import onnxruntime
import sklearn
import xgboost

import model_data
import model_peers as peers

TREES, DEPTH, FOREST_TREES, FOREST_DEPTH = 100, 6, 50, 10
GROUP_ROWS = 500
PARTS = ["training", "groups", "scoring", "query"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limn", required=True)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--build", required=True, help="how the binary was built")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows to score; a tenth of them to learn from")
    parser.add_argument("--groups", type=int, help="models in one statement; a thousandth of the rows if not given")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--peers-only", action="store_true", help="leaves Limn out")
    options = parser.parse_args()
    options.groups = options.groups or max(10, options.rows // 1000)
    print(head(options), flush=True)
    bench = Bench(options)
    for part in options.parts.split(","):
        getattr(bench, part)()


def head(options):
    version = subprocess.run([options.limn, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
                     platform.machine()) if os.path.exists("/proc/cpuinfo") else platform.machine()
    return f"""{datetime.date.today().isoformat()}, {version}, {options.build}; {os.cpu_count()} cores ({processor}), \
{memory:.0f} GiB, {platform.system()}; scikit-learn {sklearn.__version__}, XGBoost {xgboost.__version__}, \
LightGBM {lightgbm.__version__}, ONNX Runtime {onnxruntime.__version__}, joblib {joblib.__version__}, \
numpy {np.__version__}. Medians of {options.repeat}."""


def whole(booster, threads):
    booster.set_param({"nthread": threads})
    return booster


class Refused(Exception):
    """What this Limn does not do."""


class Bench:
    def __init__(self, options):
        self.options = options
        self.cursor = None
        self.cores = os.cpu_count()
        self.kept = None

    # --- the server ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def server(self, threads):
        """A server that may use so many cores, and this process on as many; the data directory stays the same."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(before)[:threads])
        try:
            if self.options.peers_only:
                yield
            else:
                with self.running():
                    yield
        finally:
            os.sched_setaffinity(0, before)

    @contextlib.contextmanager
    def running(self):
        ready = self.options.scratch / "ready.json"
        ready.unlink(missing_ok=True)
        command = [self.options.limn, "serve", "--data-dir", str(self.options.scratch / "lake"), "--flight-addr",
                   "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--ready-file", str(ready), "--memory", "10GiB",
                   "--limit", "memory_per_query=10GiB"]
        with open(self.options.scratch / "server.log", "a") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while not ready.exists():
                assert child.poll() is None, (self.options.scratch / "server.log").read_text()
                time.sleep(0.02)
            url = "grpc://" + json.loads(ready.read_text())["flight"]
            with flight_sql.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
                self.cursor = cursor
                yield
        finally:
            self.cursor = None
            child.send_signal(signal.SIGTERM)
            child.wait(timeout=120)

    def sql(self, text):
        if self.cursor is None:
            raise Refused("left out")
        try:
            self.cursor.execute(text)
            return self.cursor.fetch_arrow_table()
        except flight_sql.Error as error:
            if "NOT_IMPLEMENTED" in str(error) or "unknown algorithm" in str(error) or "unknown model" in str(error):
                raise Refused(str(error).splitlines()[0]) from error
            raise

    def value(self, text):
        return self.sql(text).column(0)[0].as_py()

    def table(self, name, path):
        """A durable table of a Parquet file's rows, once."""
        if self.cursor is not None:
            self.sql(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM read_parquet('{path}')")

    # --- measuring -------------------------------------------------------------------------------------------------

    def measure(self, works):
        """Runs named works in turns. Gives the median seconds and the last result of each that runs here."""
        seconds, results = {name: [] for name in works}, {}
        for turn in range(self.options.repeat):
            for name, work in works.items():
                if turn and name not in results:
                    continue
                start = time.perf_counter()
                try:
                    results[name] = work()
                except Refused as reason:
                    print(f"skipped: {name}: {reason}", flush=True)
                    continue
                seconds[name].append(time.perf_counter() - start)
        return {name: statistics.median(spent) for name, spent in seconds.items() if spent}, results

    def generated(self, name, write, *arguments):
        path = self.options.scratch / name
        if not path.exists():
            write(path, *arguments)
        return path

    # --- training from a table -------------------------------------------------------------------------------------

    def training(self):
        rows = self.options.rows // 10
        path = self.generated("train.parquet", model_data.write, rows, 7)
        print(f"\nTraining on {rows:,} rows × {model_data.FEATURES}, a fifth of them held out; {self.cores} threads. "
              "Time from the table or the Parquet file to the model and its held-out metric.\n")
        print("| algorithm | held-out metric | Limn | " + "peers | " + "Limn is |")
        print("|---|---|---|---|---|", flush=True)
        learners = peers.learners(self.cores, TREES, DEPTH, FOREST_TREES, FOREST_DEPTH)
        with self.server(self.cores):
            self.table("train", path)
            for algorithm, makers in learners.items():
                self.train_line(path, algorithm, makers)

    def train_line(self, path, algorithm, makers):
        target, metric = ("label", "log_loss") if algorithm == "logistic_regression" else ("y", "rmse")
        works = {"Limn": lambda: self.train_one(algorithm, target, metric)}
        for name, make in makers.items():
            works[name] = lambda make=make: peers.learn(path, target, make)[1]
        seconds, losses = self.measure(works)
        shown = lambda name: f"{seconds[name]:.2f} s ({metric} {losses[name]:.4f})"  # noqa: E731
        theirs = ", ".join(f"{name} {shown(name)}" for name in makers)
        ratios = ", ".join(f"{seconds[name] / seconds['Limn']:.2f}× {name}" for name in makers if "Limn" in seconds)
        ours = shown("Limn") if "Limn" in seconds else "-"
        print(f"| {algorithm} | {metric} | {ours} | {theirs} | {ratios} |", flush=True)

    def train_one(self, algorithm, target, metric):
        given = {
            "gradient_boosting": f"(n_estimators = {TREES}, max_depth = {DEPTH}, learning_rate = 0.1, "
                                 "min_samples_leaf = 20)",
            "random_forest": f"(n_estimators = {FOREST_TREES}, max_depth = {FOREST_DEPTH}, max_features = 'sqrt', "
                             "min_samples_leaf = 5)",
        }.get(algorithm, "")
        columns = ", ".join(model_data.names())
        row = self.sql(f"TRAIN MODEL bench_{algorithm} USING {algorithm} {given} TARGET {target} SPLIT ON held_out SEED 1 "
                       f"AS SELECT {columns}, {target}, held_out FROM train").to_pylist()[0]
        return json.loads(row["metrics"])[metric]

    # --- thousands of models ---------------------------------------------------------------------------------------

    def groups(self):
        groups = self.options.groups
        path = self.generated("groups.parquet", model_data.write_groups, groups, GROUP_ROWS, 11)
        part = max(10, groups // 10)
        print(f"\n{groups:,} models in one statement, {GROUP_ROWS} rows × {model_data.GROUP_FEATURES} each, and what they "
              f"predict for their {groups * GROUP_ROWS:,} rows; {self.cores} threads. Peers: joblib over groups; boosting "
              f"is measured on {part:,} groups and multiplied.\n")
        print("| algorithm | mean squared error | Limn: train, then predict | peers | Limn is |")
        print("|---|---|---|---|---|", flush=True)
        cases = {
            "linear_regression": ("", groups, {"scikit-learn": peers.group_line}),
            "gradient_boosting": (
                "(n_estimators = 50, max_depth = 4, learning_rate = 0.1, min_samples_leaf = 20)", part,
                {"scikit-learn": peers.group_boosting_sklearn, "HistGradientBoosting": peers.group_boosting_hist,
                 "LightGBM": peers.group_boosting_lightgbm}),
        }
        with self.server(self.cores):
            self.table("readings", path)
            for algorithm, (given, count, makers) in cases.items():
                self.group_line(path, algorithm, given, count, makers)

    def group_line(self, path, algorithm, given, count, makers):
        groups = self.options.groups
        works = {"Limn train": lambda: self.train_groups(algorithm, given),
                 "Limn predict": lambda: self.predict_groups(algorithm)}
        for name, make in makers.items():
            works[name] = lambda make=make: peers.learn_groups(path, count, GROUP_ROWS, make, self.cores)
        seconds, found = self.measure(works)
        scaled = {name: seconds[name] * groups / count for name in makers}
        theirs = ", ".join(f"{name} {scaled[name]:.1f} s (mse {found[name]:.4f})" for name in makers)
        ours, ratios, mse = "-", "", "-"
        if "Limn predict" in seconds:
            total = seconds["Limn train"] + seconds["Limn predict"]
            ours = f"{total:.2f} s ({seconds['Limn train']:.2f} + {seconds['Limn predict']:.2f})"
            ratios = ", ".join(f"{scaled[name] / total:.1f}× {name}" for name in makers)
            mse = f"{found['Limn predict']:.4f}"
        print(f"| {algorithm} | {mse} | {ours} | {theirs} | {ratios} |", flush=True)

    def train_groups(self, algorithm, given):
        columns = ", ".join(model_data.names(model_data.GROUP_FEATURES))
        return self.sql(f"TRAIN MODEL sites_{algorithm} USING {algorithm} {given} TARGET y PARTITION BY (site) SPLIT NONE "
                        f"SEED 1 AS SELECT site, {columns}, y FROM readings").num_rows

    def predict_groups(self, algorithm):
        predicted = f"SELECT y, PREDICT('sites_{algorithm}') AS p FROM readings"
        return self.value(f"SELECT avg((p - y) * (p - y)) FROM ({predicted})")

    # --- scoring ---------------------------------------------------------------------------------------------------

    def scoring(self):
        rows, (path, models) = self.options.rows, self.scored()
        print(f"\nScoring {rows:,} rows × {model_data.FEATURES} from the table or the Parquet file, "
              "`SELECT avg(PREDICT(…))`; million rows a second. "
              "A peer with a share after its speed scored that share of the rows.\n")
        print("| model | threads | Limn | peers | Limn is |\n|---|---|---|---|---|", flush=True)
        for threads in sorted({1, self.cores}):
            with self.server(threads):
                for name, scored in models.items():
                    self.score_line(name, threads, path, rows, scored)

    def scored(self):
        """The rows to score and the models that score them, learned once."""
        if self.kept is None:
            rows = self.options.rows
            path = self.generated("score.parquet", model_data.write, rows, 13)
            learned = self.generated("learn.parquet", model_data.write, max(1000, min(200_000, rows // 10)), 17)
            with self.server(self.cores):
                self.table("scored", path)
                self.table("learn", learned)
                self.kept = path, self.models_to_score(learned)
        return self.kept

    def score_line(self, name, threads, path, rows, scored):
        works, shares = {"Limn": lambda: self.value(f"SELECT avg(PREDICT('{scored['limn']}')) FROM scored")}, {}
        for peer, (share, work) in scored["peers"](threads).items():
            count = max(1000, int(rows * share))
            shares[peer] = count
            works[peer] = lambda work=work, count=count: work(path, count)
        seconds, found = self.measure(works)
        speed = lambda who: shares.get(who, rows) / seconds[who] / 1e6  # noqa: E731
        theirs = ", ".join(f"{who} {speed(who):.2f}" + (f" ({count / rows:.0%})" if count < rows else "")
                           for who, count in shares.items() if who in seconds)
        ours = f"{speed('Limn'):.2f}" if "Limn" in seconds else "-"
        both = [who for who in shares if who in seconds and "Limn" in seconds]
        ratios = ", ".join(f"{speed('Limn') / speed(who):.1f}× {who}" for who in both)
        print(f"| {name} | {threads} | {ours} | {theirs} | {ratios} |", flush=True)
        whole = [found[who] for who, count in shares.items() if count == rows and who in found]
        if "Limn" in found and whole:
            # Models of one kind that learned from the same rows: their means are near, not the same.
            assert abs(found["Limn"] - whole[0]) < 0.05 * max(1.0, abs(whole[0])), found

    def models_to_score(self, learned):
        """By name: the model in Limn, and the peers as functions of the threads, each with its share of the rows."""
        line, _ = peers.learn(learned, "y", peers.linear_model.LinearRegression)
        self.learn_in_limn("line", "linear_regression", "")
        linear_graph = peers.onnx_linear(line)
        models = {"linear": {"limn": "line", "peers": lambda threads: {
            "scikit-learn": (1.0, lambda path, count: peers.score_sklearn(path, count, line)),
            "ONNX Runtime": (1.0, lambda path, count: peers.score_onnx_matrix(
                path, count, peers.session(linear_graph, threads))),
        }, "ways": {"scikit-learn": (line.predict, np.float64)}}}
        for trees, depth, share in ((100, 6, 0.1), (500, 8, 0.02)):
            models[f"{trees} trees × {depth}"] = self.boosted(learned, trees, depth, share)
        return models

    def boosted(self, learned, trees, depth, share):
        makers = peers.learners(self.cores, trees, depth, 1, 1)["gradient_boosting"]
        xgb, _ = peers.learn(learned, "y", makers["XGBoost"])
        lgb, _ = peers.learn(learned, "y", makers["LightGBM"])
        graph = peers.onnx_trees(xgb)
        booster = xgb.get_booster()
        name = f"boosted_{trees}"
        self.learn_in_limn(name, "gradient_boosting", f"(n_estimators = {trees}, max_depth = {depth}, "
                           "learning_rate = 0.1, min_samples_leaf = 20)")
        return {"limn": name, "peers": lambda threads: {
            "XGBoost": (min(1.0, 5 * share), lambda path, count: peers.score_xgboost(path, count, xgb, threads)),
            "LightGBM": (min(1.0, 5 * share), lambda path, count: peers.score_lightgbm(path, count, lgb, threads)),
            "ONNX Runtime": (share, lambda path, count: peers.score_onnx_matrix(
                path, count, peers.session(graph, threads))),
        }, "ways": {"XGBoost": (lambda x: whole(booster, self.cores).inplace_predict(x), np.float32),
                    "LightGBM": (lambda x: lgb.booster_.predict(x, num_threads=self.cores), np.float64)}}

    def learn_in_limn(self, name, algorithm, given):
        columns = ", ".join(model_data.names())
        try:
            self.sql(f"TRAIN MODEL {name} USING {algorithm} {given} TARGET y SPLIT ON held_out SEED 1 "
                     f"AS SELECT {columns}, y, held_out FROM learn")
        except Refused as reason:
            print(f"skipped: {name}: {reason}", flush=True)

    # --- a query ---------------------------------------------------------------------------------------------------

    def query(self):
        rows, (path, models) = self.options.rows, self.scored()
        print(f"\n`SELECT avg(PREDICT(…)) … WHERE region = 7 AND f0 > 1` of {rows:,} rows, beside reading the "
              f"Parquet file with that filter, predicting, and the mean; {self.cores} threads.\n")
        print("| model | Limn | peers | Limn is |\n|---|---|---|---|", flush=True)
        with self.server(self.cores):
            for name, scored in models.items():
                sql = f"SELECT avg(PREDICT('{scored['limn']}')) FROM scored WHERE region = 7 AND f0 > 1"
                works = {"Limn": lambda: self.value(sql)}
                for peer, (predict, dtype) in scored["ways"].items():
                    works[peer] = lambda predict=predict, dtype=dtype: peers.filtered_mean(path, 7, 1, predict, dtype)
                seconds, _ = self.measure(works)
                theirs = ", ".join(f"{peer} {seconds[peer]:.3f} s" for peer in scored["ways"])
                ours = f"{seconds['Limn']:.3f} s" if "Limn" in seconds else "-"
                ratios = ", ".join(f"{seconds[peer] / seconds['Limn']:.1f}× {peer}"
                                   for peer in scored["ways"] if "Limn" in seconds)
                print(f"| {name} | {ours} | {theirs} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
