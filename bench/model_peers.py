"""What a person runs without Limn: read Parquet, make a matrix, fit or predict. Each function is one such program.

Threads are given; nothing is kept between calls but the fitted models that are to be scored. It knows nothing of Limn.
"""

import json

import joblib
import lightgbm
import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet
import xgboost
from onnx import TensorProto, helper
from sklearn import ensemble, linear_model

import model_data

ORT_BATCH_ROWS = 65_536


# --- reading -------------------------------------------------------------------------------------------------------

def matrix(table, columns, dtype=np.float64):
    """Columns side by side. Reading into one allocated matrix is quicker than stacking."""
    x = np.empty((table.num_rows, len(columns)), dtype=dtype)
    for at, name in enumerate(columns):
        x[:, at] = table.column(name).to_numpy(zero_copy_only=False)
    return x


def training_rows(path, target):
    """The rows to learn from and those that are held out."""
    columns = [*model_data.names(), target, "held_out"]
    table = pyarrow.parquet.read_table(path, columns=columns)
    x, y = matrix(table, model_data.names()), table.column(target).to_numpy(zero_copy_only=False)
    held_out = table.column("held_out").to_numpy(zero_copy_only=False)
    return x[~held_out], y[~held_out], x[held_out], y[held_out]


def rows(path, count, dtype):
    """The first rows of a file as a matrix; only the row groups that are needed are read."""
    file = pyarrow.parquet.ParquetFile(path)
    groups, found = [], 0
    while found < count:
        found += file.metadata.row_group(len(groups)).num_rows
        groups.append(len(groups))
    return matrix(file.read_row_groups(groups, columns=model_data.names()).slice(0, count), model_data.names(), dtype)


# --- learning ------------------------------------------------------------------------------------------------------

def learners(threads, trees, depth, forest_trees, forest_depth):
    """Unfitted models by algorithm and peer, and whether they learn classes; equal parameters as far as both have them."""
    boosted = {"n_estimators": trees, "max_depth": depth, "learning_rate": 0.1, "n_jobs": threads, "reg_lambda": 0.0}
    wood = {"n_estimators": forest_trees, "max_depth": forest_depth, "n_jobs": threads, "random_state": 1}
    return {
        "linear_regression": {"scikit-learn": lambda: linear_model.LinearRegression()},
        "logistic_regression": {"scikit-learn": lambda: linear_model.LogisticRegression(C=1.0, max_iter=1000)},
        "gradient_boosting": {
            "LightGBM": lambda: lightgbm.LGBMRegressor(
                **boosted, num_leaves=2**depth, min_child_samples=20, max_bin=255, verbose=-1),
            "XGBoost": lambda: xgboost.XGBRegressor(**boosted, tree_method="hist", min_child_weight=20, max_bin=255),
            "scikit-learn": lambda: ensemble.HistGradientBoostingRegressor(
                max_iter=trees, max_depth=depth, max_leaf_nodes=None, learning_rate=0.1, min_samples_leaf=20,
                l2_regularization=0.0, early_stopping=False),
        },
        "random_forest": {
            "scikit-learn": lambda: ensemble.RandomForestRegressor(**wood, max_features="sqrt", min_samples_leaf=5),
            "XGBoost": lambda: xgboost.XGBRFRegressor(
                **wood, tree_method="hist", colsample_bynode=0.2, subsample=0.632, min_child_weight=5, reg_lambda=0.0),
        },
    }


def learn(path, target, make):
    """Reads, fits, predicts what is held out; gives the model and its held-out loss."""
    x, y, held_out, truth = training_rows(path, target)
    model = make().fit(x, y)
    return model, loss(model, held_out, truth)


def loss(model, x, y):
    """Root of the mean squared error, or the mean log loss."""
    if y.dtype != bool:
        return float(np.sqrt(np.mean((model.predict(x) - y) ** 2)))
    p = np.clip(model.predict_proba(x)[:, 1], 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(y, np.log(p), np.log(1 - p))))


# --- thousands of models -------------------------------------------------------------------------------------------

def learn_groups(path, groups, rows_a_group, make, threads):
    """One model for each of the first groups, by joblib; gives the models and the mean of their squared errors."""
    names = model_data.names(model_data.GROUP_FEATURES)
    table = pyarrow.parquet.read_table(path).slice(0, groups * rows_a_group)
    x, y = matrix(table, names), table.column("y").to_numpy()
    spans = [slice(at, at + rows_a_group) for at in range(0, len(y), rows_a_group)]
    chunks = [spans[at::threads * 8] for at in range(threads * 8)]
    found = joblib.Parallel(n_jobs=threads)(joblib.delayed(fit_spans)(x, y, chunk, make) for chunk in chunks)
    return float(np.mean([error for errors in found for error in errors]))


def fit_spans(x, y, spans, make):
    """Models of several groups, as one task: a task for each group would mostly be overhead. What a model predicts for
    its rows is part of it, because thousands of models are made to be used."""
    errors = []
    for span in spans:
        model = make().fit(x[span], y[span])
        errors.append(np.mean((model.predict(x[span]) - y[span]) ** 2))
    return errors


def group_line():
    return linear_model.LinearRegression()


def group_boosting_sklearn():
    return ensemble.GradientBoostingRegressor(n_estimators=50, max_depth=4, learning_rate=0.1, min_samples_leaf=20)


def group_boosting_hist():
    return ensemble.HistGradientBoostingRegressor(max_iter=50, max_depth=4, max_leaf_nodes=None, learning_rate=0.1,
                                                  min_samples_leaf=20, l2_regularization=0.0, early_stopping=False)


def group_boosting_lightgbm():
    return lightgbm.LGBMRegressor(n_estimators=50, max_depth=4, num_leaves=16, learning_rate=0.1, min_child_samples=20,
                                  n_jobs=1, verbose=-1)


# --- scoring -------------------------------------------------------------------------------------------------------

def session(graph, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def score_onnx_matrix(path, count, session):
    """A graph with one input, a matrix of 32-bit floats."""
    x, total = rows(path, count, np.float32), 0.0
    name = session.get_inputs()[0].name
    for start in range(0, count, ORT_BATCH_ROWS):
        total += float(np.sum(session.run(None, {name: x[start:start + ORT_BATCH_ROWS]})[0], dtype=np.float64))
    return total / count


def score_onnx_columns(path, count, session):
    """A graph with an input for each feature, which needs no matrix."""
    file = pyarrow.parquet.ParquetFile(path)
    names, done, total = [given.name for given in session.get_inputs()], 0, 0.0
    for batch in file.iter_batches(ORT_BATCH_ROWS, columns=names):
        batch = batch.slice(0, count - done)
        feeds = {name: batch.column(name).to_numpy(zero_copy_only=False).reshape(-1, 1) for name in names}
        total += float(np.sum(session.run(None, feeds)[0]))
        done += batch.num_rows
        if done == count:
            break
    return total / count


def score_xgboost(path, count, model, threads):
    booster = model.get_booster()
    booster.set_param({"nthread": threads})
    return float(np.mean(booster.inplace_predict(rows(path, count, np.float32)), dtype=np.float64))


def score_lightgbm(path, count, model, threads):
    return float(np.mean(model.booster_.predict(rows(path, count, np.float64), num_threads=threads)))


def score_sklearn(path, count, model):
    return float(np.mean(model.predict(rows(path, count, np.float64))))


def filtered_mean(path, region, above, predict, dtype):
    """The Python way of `SELECT avg(PREDICT(…)) … WHERE`: read with a filter, predict, mean."""
    filters = [("region", "=", region), ("f0", ">", above)]
    table = pyarrow.parquet.read_table(path, columns=model_data.names(), filters=filters)
    return float(np.mean(predict(matrix(table, model_data.names(), dtype)), dtype=np.float64))


def onnx_linear(model):
    """scikit-learn's line as converters write it: `LinearRegressor`, in 32 bits."""
    node = helper.make_node("LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml",
                            coefficients=model.coef_.astype(float).tolist(), intercepts=[float(model.intercept_)])
    return finished(node)


def onnx_trees(model):
    """XGBoost's trees as converters write them: `TreeEnsembleRegressor`, in 32 bits."""
    raw = json.loads(model.get_booster().save_raw("json"))["learner"]
    base = raw["learner_model_param"]["base_score"].strip("[]")
    given = {name: [] for name in ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes",
                                   "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true",
                                   "target_treeids", "target_nodeids", "target_ids", "target_weights")}
    for number, tree in enumerate(raw["gradient_booster"]["model"]["trees"]):
        for node, left in enumerate(tree["left_children"]):
            leaf = left < 0
            given["nodes_treeids"].append(number)
            given["nodes_nodeids"].append(node)
            given["nodes_featureids"].append(0 if leaf else tree["split_indices"][node])
            given["nodes_values"].append(0.0 if leaf else tree["split_conditions"][node])
            given["nodes_modes"].append("LEAF" if leaf else "BRANCH_LT")
            given["nodes_truenodeids"].append(0 if leaf else left)
            given["nodes_falsenodeids"].append(0 if leaf else tree["right_children"][node])
            given["nodes_missing_value_tracks_true"].append(0 if leaf else int(tree["default_left"][node]))
            if leaf:
                given["target_treeids"].append(number)
                given["target_nodeids"].append(node)
                given["target_ids"].append(0)
                given["target_weights"].append(tree["split_conditions"][node])
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
                            base_values=[float(base)], **given)
    return finished(node)


def finished(node):
    graph = helper.make_graph(
        [node], "peer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, model_data.FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
                              ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
