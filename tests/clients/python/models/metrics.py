"""Algorithms with more than one good answer, beside their peers: held-out metrics over repeated cross-validation.

Ten seeds, each with folds of its own; both sides train and predict the same rows. With dᵢ the difference of the losses
(ours less the peer's) in the i-th of n = seeds × folds held-out parts and s its standard deviation, the mean of dᵢ must
not be above one standard error, s / √n. The parts of one table are not independent, which this formula does not know:
by itself it calls one in six equally good pairs worse. So a mean above it is printed as `ok?` as long as it is within
the corrected standard error of repeated cross-validation, s · √(1/n + held out / trained) (Nadeau and Bengio 2003),
and fails above that.
"""

import dataclasses

import lightgbm
import numpy as np
import xgboost
from sklearn import cluster, ensemble, mixture, tree
from sklearn.metrics import log_loss, roc_auc_score

import data as sets

SEEDS = 10


@dataclasses.dataclass
class Size:
    """How much is done: what fits a test's minutes, or all of it."""

    folds: int
    trees: int
    rows: int

    def __str__(self):
        return f"{SEEDS} seeds x {self.folds} folds, {self.trees} trees, at most {self.rows} rows a table"


SLICE = Size(folds=2, trees=30, rows=600)
WHOLE = Size(folds=5, trees=100, rows=10_000)


def compare(lake, report, whole):
    size = WHOLE if whole else SLICE
    print(size)
    classified = [sets.wine(), sets.breast_cancer(), sets.digits().part(size.rows)]
    numbers = [data.part(size.rows) for data in (sets.diabetes(), sets.demand()) if data is not None]
    for data in [sets.iris(), *classified, *numbers]:
        single_trees(lake, report, data, size)
    for data in classified + numbers:
        forests(lake, report, data, size)
        boosting(lake, report, data, size)
    anomalies(lake, report, size)
    mixtures(lake, report)
    means(lake, report)


# --- losses --------------------------------------------------------------------------------------------------------

def rmse(y, given, _):
    return float(np.sqrt(np.mean((y - given) ** 2)))


def wrong(y, given, classes):
    return float(np.mean(classes[np.argmax(given, axis=1)] != y))


def squared(y, given, classes):
    """Brier's score: what a forest's probabilities are worth, also where some are 0."""
    return float(np.mean(np.sum((given - (classes == y[:, None])) ** 2, axis=1)))


def logarithmic(y, given, classes):
    return float(log_loss(y, np.clip(given, 1e-12, None) / np.sum(np.clip(given, 1e-12, None), axis=1)[:, None],
                          labels=classes))


NAMES = {rmse: "rmse", wrong: "1 - accuracy", squared: "Brier score", logarithmic: "log loss"}


# --- cross-validation ----------------------------------------------------------------------------------------------

def cross_validated(lake, report, algorithm, data, parameters, peers, loss, size):
    """`peers`: by name, what makes an unfitted model from a seed."""
    def run():
        folds = data.folds(SEEDS, size.folds)
        lake.load(f"cv_{data.name}", data.table(folds))
        classes = np.unique(data.y) if data.classified else None
        ours, theirs = [], {name: [] for name in peers}
        for seed, fold in enumerate(folds):
            for number in range(size.folds):
                held_out = fold == number
                y = data.y[held_out]
                ours.append(loss(y, held_out_scores(lake, algorithm, data, parameters, seed, number), classes))
                for name, make in peers.items():
                    given = fitted_scores(make(seed), data, classes, held_out)
                    theirs[name].append(loss(y, given, classes))
        for name in peers:
            judge(report, algorithm, data.name, name, NAMES[loss], ours, theirs[name], 1 / (size.folds - 1))

    report.run(algorithm, data.name, ", ".join(peers), run)


def held_out_scores(lake, algorithm, data, parameters, seed, number):
    query = f"SELECT {', '.join(data.features)}, y, fold_{seed} = {number} AS held_out FROM cv_{data.name}"
    lake.train("cv", algorithm, query, "y", split="ON held_out", seed=seed, **parameters)
    call = "PREDICT_PROBA('cv')" if data.classified else "PREDICT('cv')"
    table = lake.table(f"SELECT {call} AS p FROM cv_{data.name} WHERE fold_{seed} = {number} ORDER BY row")
    return np.array(table.column("p").to_pylist())


def fitted_scores(model, data, classes, held_out):
    if classes is None:
        return model.fit(data.x[~held_out], data.y[~held_out]).predict(data.x[held_out])
    codes = np.searchsorted(classes, data.y)
    return model.fit(data.x[~held_out], codes[~held_out]).predict_proba(data.x[held_out])


def judge(report, algorithm, data, peer, measure, ours, theirs, held_out_to_trained):
    d = np.array(ours) - np.array(theirs)
    spread = float(np.std(d, ddof=1))
    error = spread / np.sqrt(len(d))
    corrected = spread * np.sqrt(1 / len(d) + held_out_to_trained)
    mean = float(np.mean(d))
    # Sums in another order are no difference.
    slack = 1e-9 * abs(float(np.mean(theirs)))
    verdict = "ok" if mean <= error + slack else "ok?" if mean <= corrected else "FAILED"
    report.add(algorithm, data, peer, measure, f"{np.mean(ours):.5f}", f"{np.mean(theirs):.5f}",
               f"{mean:+.5f}", f"{error:.5f} ({corrected:.5f})", verdict)


def named(lake, algorithm, **wanted):
    """Parameters under the names that the server has them; `a__or__b` tries both."""
    known = lake.algorithms[algorithm]
    given = {}
    for names, value in wanted.items():
        found = [name for name in names.split("__or__") if name in known]
        assert found, f"expected a parameter `{names}` of {algorithm}, found {known}"
        given[found[0]] = value
    return given


# --- trees ---------------------------------------------------------------------------------------------------------

def single_trees(lake, report, data, size):
    if not report.known("decision_tree"):
        return
    bounds = {"max_depth": 8, "min_samples_leaf": 5}
    kind = tree.DecisionTreeClassifier if data.classified else tree.DecisionTreeRegressor
    peers = {"scikit-learn": lambda seed: kind(random_state=seed, **bounds)}
    cross_validated(lake, report, "decision_tree", data, bounds, peers, wrong if data.classified else rmse, size)


def forests(lake, report, data, size):
    kinds = {
        "random_forest": (ensemble.RandomForestClassifier, ensemble.RandomForestRegressor),
        "extra_trees": (ensemble.ExtraTreesClassifier, ensemble.ExtraTreesRegressor),
    }
    for algorithm, (classifier, regressor) in kinds.items():
        if not report.known(algorithm):
            continue
        kind = classifier if data.classified else regressor
        bounds = {"n_estimators": size.trees, "min_samples_leaf": 2,
                  "max_features": "sqrt" if data.classified else 1.0}
        peers = {"scikit-learn": lambda seed, kind=kind: kind(random_state=seed, **bounds)}
        cross_validated(lake, report, algorithm, data, bounds, peers, squared if data.classified else rmse, size)


def boosting(lake, report, data, size):
    if not report.known("gradient_boosting"):
        return
    depth, rate, rows, penalty = 4, 0.1, 20, 1.0
    ours = named(lake, "gradient_boosting", n_estimators__or__max_iter=size.trees, learning_rate=rate, max_depth=depth,
                 min_samples_leaf=rows, l2_regularization__or__reg_lambda=penalty)
    kind = "Classifier" if data.classified else "Regressor"
    # XGBoost bounds a leaf by its second derivatives, which are its rows for squared errors and fewer for classes.
    weight = 1e-3 if data.classified else rows
    peers = {
        "HistGradientBoosting": lambda seed: getattr(ensemble, f"HistGradientBoosting{kind}")(
            max_iter=size.trees, learning_rate=rate, max_depth=depth, max_leaf_nodes=None, min_samples_leaf=rows,
            l2_regularization=penalty, early_stopping=False, random_state=seed),
        "XGBoost": lambda seed: getattr(xgboost, f"XGB{kind}")(
            n_estimators=size.trees, learning_rate=rate, max_depth=depth, reg_lambda=penalty, min_child_weight=weight,
            tree_method="hist", n_jobs=1, random_state=seed),
        "LightGBM": lambda seed: getattr(lightgbm, f"LGBM{kind}")(
            n_estimators=size.trees, learning_rate=rate, max_depth=depth, num_leaves=2**depth, min_child_samples=rows,
            reg_lambda=penalty, n_jobs=1, verbose=-1, random_state=seed),
    }
    cross_validated(lake, report, "gradient_boosting", data, ours, peers, logarithmic if data.classified else rmse, size)


# --- without a target ----------------------------------------------------------------------------------------------

def anomalies(lake, report, size):
    """One class of a table with a few rows of another one planted among them; one tenth, drawn by the seed."""
    if not report.known("isolation_forest"):
        return
    for data, usual in ((sets.breast_cancer(), "benign"), (sets.digits().part(3 * size.rows), "digit 1")):
        def run(data=data, usual=usual):
            ours, theirs = [], []
            for seed in range(SEEDS):
                at = np.flatnonzero(data.y == usual)
                others = np.flatnonzero(data.y != usual)
                planted = np.random.default_rng(seed).choice(others, len(at) // 9, replace=False)
                at = np.concatenate([at, planted])
                one = sets.Data(f"planted_{data.name}_{seed}", data.x[at], (data.y[at] != usual).astype(float))
                lake.load(one.name, one.table())
                lake.train("planted", "isolation_forest", f"SELECT {', '.join(one.features)} FROM {one.name}", seed=seed,
                           n_estimators=size.trees, max_samples=128)
                sql = f"SELECT PREDICT_PROBA('planted') AS p FROM {one.name} ORDER BY row"
                scores = np.array([np.ravel(value)[-1] for value in lake.table(sql).column("p").to_pylist()])
                peer = ensemble.IsolationForest(n_estimators=size.trees, max_samples=128, random_state=seed).fit(one.x)
                theirs.append(1 - roc_auc_score(one.y, -peer.score_samples(one.x)))
                # The greater score is the anomaly's; scikit-learn's is negative.
                ours.append(1 - roc_auc_score(one.y, scores))
            judge(report, "isolation_forest", data.name, "scikit-learn", "1 - AUC", ours, theirs, 0)

        report.run("isolation_forest", data.name, "scikit-learn", run)


def mixtures(lake, report):
    """The mean logarithm of the likelihood that the training reports, on the rows that it learned from."""
    if not report.known("gaussian_mixture"):
        return
    for data, count in ((sets.iris(), 3), (sets.wine().standardized(), 3)):
        def run(data=data, count=count):
            lake.load(f"mixture_{data.name}", data.table())
            ours, theirs = [], []
            for seed in range(SEEDS):
                query = f"SELECT {', '.join(data.features)} FROM mixture_{data.name}"
                trained = lake.train("mixture", "gaussian_mixture", query, seed=seed, n_components=count, n_init=5)
                found = {name: value for name, value in trained["metrics"].items() if "likelihood" in name}
                assert found, f"expected a likelihood among {sorted(trained['metrics'])}"
                ours.append(-next(iter(found.values())))
                peer = mixture.GaussianMixture(count, n_init=5, random_state=seed).fit(data.x)
                theirs.append(-peer.score(data.x))
            judge(report, "gaussian_mixture", data.name, "scikit-learn", "- log likelihood", ours, theirs, 0)

        report.run("gaussian_mixture", data.name, "scikit-learn", run)


def means(lake, report):
    if not report.known("kmeans"):
        return
    for data, count in ((sets.iris(), 3), (sets.wine().standardized(), 3), (sets.digits(), 10)):
        def run(data=data, count=count):
            lake.load(f"means_{data.name}", data.table())
            ours, theirs = [], []
            for seed in range(SEEDS):
                query = f"SELECT {', '.join(data.features)} FROM means_{data.name}"
                lake.train("means", "kmeans", query, seed=seed, n_clusters=count, n_init=10)
                sql = f"SELECT PREDICT('means') AS p FROM means_{data.name} ORDER BY row"
                ours.append(inertia(data.x, np.array(lake.table(sql).column("p").to_pylist())))
                theirs.append(cluster.KMeans(count, n_init=10, random_state=seed).fit(data.x).inertia_)
            judge(report, "kmeans", data.name, "scikit-learn", "inertia, 10 starts", ours, theirs, 0)

        report.run("kmeans", data.name, "scikit-learn", run)


def inertia(x, labels):
    """The squared distances from the rows to their clusters' means."""
    return float(sum(np.sum((x[labels == one] - x[labels == one].mean(axis=0)) ** 2) for one in np.unique(labels)))
