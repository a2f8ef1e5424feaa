"""Algorithms whose optimum is unique, beside scikit-learn's: the same numbers.

Coefficients of linear models are read off the stored artifact, by stepping from the origin along each feature.
scikit-learn is run to convergence (its default tolerances stop earlier than the bars here).
"""

import json

import numpy as np
import pyarrow as pa
from sklearn import cluster, decomposition, linear_model, naive_bayes, svm

import data as sets
from lake import score

COEFFICIENTS = 1e-6
LOGISTIC = 1e-4
PROBABILITIES = 1e-9
PRECISE = {"tol": 1e-12, "max_iter": 1_000_000}
PEER = "scikit-learn"


def compare(lake, report):
    for part in (least_squares, penalized_squares, counts, log_odds, bayes, components, means, machines, density):
        part(lake, report)


def loaded(lake, data):
    lake.load(data.name, data.table())
    return f"SELECT {', '.join(data.features)}, y FROM {data.name}"


def unlabelled(data):
    return f"SELECT {', '.join(data.features)} FROM {data.name}"


def predicted(lake, data, *calls):
    """The calls' results for every row, in the rows' order."""
    sql = f"SELECT {', '.join(f'{call} AS c{at}' for at, call in enumerate(calls))} FROM {data.name} ORDER BY row"
    return [column.to_pylist() for column in lake.table(sql).columns]


def steps(lake, trained, data):
    """The first floating-point output of the artifact at the origin and one step along each feature."""
    width = len(data.features)
    at = np.vstack([np.zeros(width), np.eye(width)])
    outputs = score(lake.session(trained), pa.table(data.columns(at)))
    return outputs.get("probabilities", outputs.get("prediction"))


def apart(found, expected):
    """The largest relative difference; what is small beside the largest expected number counts as a part of that."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    floor = 1e-3 * np.max(np.abs(expected)) + 1e-300
    return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), floor)))


def line(lake, report, algorithm, data, reference, parameters, link=lambda p: p, bar=COEFFICIENTS, label=""):
    """A model of one weighted sum beside scikit-learn's."""
    def run():
        trained = lake.train(f"exact_{algorithm}", algorithm, loaded(lake, data), "y", **parameters)
        reference.fit(data.x, data.y)
        found = link(steps(lake, trained, data).ravel())
        report.within(algorithm, data.name, PEER, "coefficients" + label, apart(found[1:] - found[0], reference.coef_), bar)
        report.within(algorithm, data.name, PEER, "intercept" + label, apart(found[0], reference.intercept_), bar)
        scores = predicted(lake, data, f"PREDICT('exact_{algorithm}')")[0]
        report.within(algorithm, data.name, PEER, "predictions" + label, apart(scores, reference.predict(data.x)), bar)

    report.run(algorithm, data.name, PEER, run)


def regressions():
    return [data for data in (sets.diabetes(), sets.linnerud(), sets.demand()) if data is not None]


def least_squares(lake, report):
    if report.known("linear_regression"):
        for data in regressions():
            line(lake, report, "linear_regression", data, linear_model.LinearRegression(), {})
    if report.known("ridge"):
        for data in regressions():
            for alpha in (1.0, 100.0):
                # `cholesky` solves the normal equations of centred columns, which has no tolerance.
                peer = linear_model.Ridge(alpha=alpha, solver="svd")
                line(lake, report, "ridge", data, peer, {"alpha": alpha}, label=f", alpha {alpha:g}")


def penalized_squares(lake, report):
    for data in regressions():
        data = data.standardized()
        scale = float(np.std(data.y))
        for share in (0.01, 0.2):
            alpha, label = share * scale, f", alpha {share:g} sd"
            if report.known("lasso"):
                peer = linear_model.Lasso(alpha=alpha, **PRECISE)
                line(lake, report, "lasso", data, peer, {"alpha": alpha}, label=label)
            if report.known("elastic_net"):
                peer = linear_model.ElasticNet(alpha=alpha, l1_ratio=0.5, **PRECISE)
                line(lake, report, "elastic_net", data, peer, {"alpha": alpha, "l1_ratio": 0.5}, label=label)


def counts(lake, report):
    """Generalized linear models with a logarithmic link."""
    exact = {"tol": 1e-10, "max_iter": 10_000}
    newton = {**exact, "solver": "newton-cholesky"}
    for data in (sets.diabetes().standardized(), sets.linnerud().standardized()):
        for alpha in (1e-3, 1.0):
            label = f", alpha {alpha:g}"
            for algorithm, peer, more in (
                ("poisson_regression", linear_model.PoissonRegressor(alpha=alpha, **newton), {}),
                ("gamma_regression", linear_model.GammaRegressor(alpha=alpha, **newton), {}),
                ("tweedie_regression", linear_model.TweedieRegressor(alpha=alpha, power=1.5, **newton), {"power": 1.5}),
            ):
                if report.known(algorithm):
                    more = {"alpha": alpha, **more}
                    line(lake, report, algorithm, data, peer, more, link=np.log, bar=LOGISTIC, label=label)


def log_odds(lake, report):
    if not report.known("logistic_regression"):
        return
    parameters = lake.algorithms["logistic_regression"]
    newton = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 10_000}
    three = [sets.iris(), sets.wine().standardized(), sets.breast_cancer().standardized(), sets.diabetes_above_median()]
    for data in three:
        for c in (1.0, 0.01):
            logistic(lake, report, data, linear_model.LogisticRegression(C=c, **newton), {"c": c}, f", l2, C {c:g}")
        if "class_weight" in parameters:
            peer = linear_model.LogisticRegression(class_weight="balanced", **newton)
            logistic(lake, report, data, peer, {"class_weight": "balanced"}, ", balanced")
    if "penalty" not in parameters:
        return
    data = sets.diabetes_above_median()
    peer = linear_model.LogisticRegression(C=np.inf, **newton)
    logistic(lake, report, data, peer, {"penalty": "none"}, ", no penalty")
    saga = {"solver": "saga", "tol": 1e-9, "max_iter": 200_000}
    for data in (sets.iris().standardized(), sets.diabetes_above_median().standardized()):
        peer = linear_model.LogisticRegression(C=0.5, l1_ratio=1.0, **saga)
        logistic(lake, report, data, peer, {"penalty": "l1", "c": 0.5}, ", l1")
        if "l1_ratio" in parameters:
            peer = linear_model.LogisticRegression(C=0.5, l1_ratio=0.5, **saga)
            logistic(lake, report, data, peer, {"penalty": "elasticnet", "l1_ratio": 0.5, "c": 0.5}, ", elasticnet")


def logistic(lake, report, data, reference, parameters, label):
    def run():
        trained = lake.train("exact_logistic", "logistic_regression", loaded(lake, data), "y", **parameters)
        reference.fit(data.x, data.y)

        def odds(probabilities):
            return np.log(probabilities[:, 1:] / probabilities[:, :1])

        # Along a feature of large numbers a step from the origin is out of reach of a double's probabilities; beside
        # the middle of the data it is not.
        width = len(data.features)
        at = data.x.mean(axis=0) + np.vstack([np.zeros(width), np.eye(width) * data.x.std(axis=0)])
        found = odds(score(lake.session(trained), pa.table(data.columns(at)))["probabilities"])
        expected = odds(reference.predict_proba(at))
        name = "logistic_regression"
        slopes = apart(found[1:] - found[0], expected[1:] - expected[0])
        report.within(name, data.name, PEER, "coefficients" + label, slopes, LOGISTIC)
        report.within(name, data.name, PEER, "odds at the mean" + label, apart(found[0], expected[0]), LOGISTIC)
        labels, given = predicted(lake, data, "PREDICT('exact_logistic')", "PREDICT_PROBA('exact_logistic')")
        wanted = reference.predict_proba(data.x)
        report.within(name, data.name, PEER, "probabilities" + label, np.max(np.abs(np.array(given) - wanted)), LOGISTIC)
        clear = np.ptp(np.sort(wanted, axis=1)[:, -2:], axis=1) > LOGISTIC
        differ = np.sum((np.array(labels) != reference.predict(data.x)) & clear)
        report.within(name, data.name, PEER, "labels that differ" + label, differ, 0)

    report.run("logistic_regression", data.name, PEER, run)


def bayes(lake, report):
    if not report.known("gaussian_nb"):
        return
    for data in (sets.iris(), sets.wine(), sets.breast_cancer(), sets.digits()):
        def run(data=data):
            lake.train("exact_bayes", "gaussian_nb", loaded(lake, data), "y")
            reference = naive_bayes.GaussianNB().fit(data.x, data.y)
            labels, given = predicted(lake, data, "PREDICT('exact_bayes')", "PREDICT_PROBA('exact_bayes')")
            apart_by = np.max(np.abs(np.array(given) - reference.predict_proba(data.x)))
            # Constant pixels of the digits have a variance of 1e-9 of the largest, which multiplies rounding errors.
            bar = 1e-6 if data.name == "digits" else PROBABILITIES
            report.within("gaussian_nb", data.name, PEER, "probabilities", apart_by, bar)
            differ = np.sum(np.array(labels) != reference.predict(data.x))
            report.within("gaussian_nb", data.name, PEER, "labels that differ", differ, 0)

        report.run("gaussian_nb", data.name, PEER, run)


def components(lake, report):
    if not report.known("pca"):
        return
    for data in (sets.iris(), sets.wine(), sets.breast_cancer().standardized()):
        def run(data=data):
            loaded(lake, data)
            lake.train("exact_pca", "pca", unlabelled(data), n_components=3)
            reference = decomposition.PCA(3, svd_solver="full").fit_transform(data.x)
            found = np.array(predicted(lake, data, "PREDICT('exact_pca')")[0])
            signs = np.sign(np.sum(found * reference, axis=0))
            report.within("pca", data.name, PEER, "components up to sign", apart(found * signs, reference), COEFFICIENTS)

        report.run("pca", data.name, PEER, run)


def means(lake, report):
    if not report.known("kmeans"):
        return
    for data, count in ((sets.iris(), 3), (sets.wine().standardized(), 3), (sets.digits(), 10)):
        def run(data=data, count=count):
            loaded(lake, data)
            start = data.x[np.linspace(0, len(data.y) - 1, count).astype(int)]
            lake.train("exact_kmeans", "kmeans", unlabelled(data), n_clusters=count, init=json.dumps(start.tolist()),
                       tol=0.0, max_iter=1000)
            reference = cluster.KMeans(count, init=start, n_init=1, tol=0, max_iter=1000).fit(data.x)
            found = np.array(predicted(lake, data, "PREDICT('exact_kmeans')")[0])
            differ = np.sum(found != reference.labels_)
            report.within("kmeans", data.name, PEER, "labels that differ, equal starts", differ, 0)

        report.run("kmeans", data.name, PEER, run)


def machines(lake, report):
    if not report.known("svm"):
        return
    for data in (sets.iris(), sets.wine().standardized(), sets.breast_cancer().standardized()):
        for kernel in ("linear", "rbf"):
            def run(data=data, kernel=kernel):
                gamma = 1 / data.x.shape[1]
                lake.train("exact_svm", "svm", loaded(lake, data), "y", kernel=kernel, c=1.0, gamma=gamma, tol=1e-6)
                reference = svm.SVC(C=1.0, kernel=kernel, gamma=gamma, tol=1e-9).fit(data.x, data.y)
                found = np.array(predicted(lake, data, "PREDICT('exact_svm')")[0])
                differ = np.sum(found != reference.predict(data.x))
                report.within("svm", data.name, PEER, f"labels that differ, {kernel}", differ, 0)

            report.run("svm", data.name, PEER, run)


def density(lake, report):
    """DBSCAN: the clusters of core points are unique up to numbering, and so is what is noise."""
    if not report.known("dbscan"):
        return
    for data, eps in ((sets.iris(), 0.5), (sets.wine().standardized(), 2.2), (sets.breast_cancer().standardized(), 3.0)):
        def run(data=data, eps=eps):
            loaded(lake, data)
            lake.train("exact_dbscan", "dbscan", unlabelled(data), eps=eps, min_samples=5)
            reference = cluster.DBSCAN(eps=eps, min_samples=5).fit(data.x)
            found = np.array(predicted(lake, data, "PREDICT('exact_dbscan')")[0])
            core = np.zeros(len(found), dtype=bool)
            core[reference.core_sample_indices_] = True
            pairs = {(int(ours), int(theirs)) for ours, theirs in zip(found[core], reference.labels_[core])}
            clusters = len(set(reference.labels_[core]))
            one_to_one = len(pairs) == clusters == len({ours for ours, _ in pairs}) and all(ours >= 0 for ours, _ in pairs)
            report.within("dbscan", data.name, PEER, f"core points, {clusters} clusters", 0 if one_to_one else 1, 0)
            differ = np.sum((found < 0) != (reference.labels_ < 0))
            report.within("dbscan", data.name, PEER, "noise that differs", differ, 0)

        report.run("dbscan", data.name, PEER, run)
