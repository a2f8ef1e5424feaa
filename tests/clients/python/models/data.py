"""The data sets of the comparisons: those that scikit-learn bundles, and a year of electricity demand.

Features are called f0, f1, …; the targets stand beside them. Nothing is fetched.
"""

import dataclasses
import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.csv
from sklearn import datasets
from sklearn.model_selection import KFold, StratifiedKFold

DEMAND_VARIABLE = "LIMN_REAL_DATA"


@dataclasses.dataclass
class Data:
    """A matrix with a target: numbers, or texts for classes."""

    name: str
    x: np.ndarray
    y: np.ndarray

    @property
    def features(self):
        return [f"f{at}" for at in range(self.x.shape[1])]

    @property
    def classified(self):
        return self.y.dtype.kind in "UO"

    def standardized(self):
        """The same with features of mean 0 and deviation 1, for peers that only then find the optimum."""
        spread = self.x.std(axis=0)
        x = (self.x - self.x.mean(axis=0)) / np.where(spread > 0, spread, 1)
        return Data(self.name + "_std", x, self.y)

    def part(self, rows):
        """Rows spread evenly over the whole."""
        at = np.linspace(0, len(self.y) - 1, min(rows, len(self.y))).astype(int)
        return Data(self.name, self.x[at], self.y[at])

    def columns(self, x=None):
        return {name: (self.x if x is None else x)[:, at] for at, name in enumerate(self.features)}

    def table(self, folds=None):
        """As a table: `row`, features, target `y`, and a column of fold numbers for each seed."""
        columns = {"row": np.arange(len(self.y)), **self.columns(), "y": self.y.astype(object if self.classified else float)}
        for seed, fold in enumerate(folds or []):
            columns[f"fold_{seed}"] = fold
        return pa.table(columns)

    def folds(self, seeds, count):
        """For each seed the fold of every row; classes are spread evenly."""
        drawn = []
        for seed in range(seeds):
            kind = StratifiedKFold if self.classified else KFold
            fold = np.zeros(len(self.y), dtype=np.int64)
            for number, (_, held_out) in enumerate(kind(count, shuffle=True, random_state=seed).split(self.x, self.y)):
                fold[held_out] = number
            drawn.append(fold)
        return drawn


def classes(bunch):
    return np.array([str(bunch.target_names[code]) for code in bunch.target])


def iris():
    bunch = datasets.load_iris()
    return Data("iris", bunch.data, classes(bunch))


def wine():
    bunch = datasets.load_wine()
    return Data("wine", bunch.data, classes(bunch))


def breast_cancer():
    bunch = datasets.load_breast_cancer()
    return Data("breast_cancer", bunch.data, classes(bunch))


def digits():
    bunch = datasets.load_digits()
    return Data("digits", bunch.data, np.array([f"digit {code}" for code in bunch.target]))


def diabetes():
    bunch = datasets.load_diabetes(scaled=False)
    return Data("diabetes", bunch.data, bunch.target)


def diabetes_above_median():
    """Two classes that overlap, so that an optimum exists without a penalty."""
    data = diabetes()
    return Data("diabetes_class", data.x, np.where(data.y > np.median(data.y), "high", "low"))


def linnerud():
    bunch = datasets.load_linnerud()
    return Data("linnerud", bunch.data, bunch.target[:, 0])


def demand():
    """Half-hourly demand of Victoria by temperature, hour, month, day of the week, holiday; None where it is not there."""
    directory = os.environ.get(DEMAND_VARIABLE)
    path = pathlib.Path(directory, "vic_elec.csv") if directory else None
    if path is None or not path.is_file():
        print(f"skipped: vic_elec.csv is not there; {DEMAND_VARIABLE} names its directory")
        return None
    table = pyarrow.csv.read_csv(path)
    local = table.column("local_time").to_numpy().astype("datetime64[m]")
    minutes = (local - local.astype("datetime64[D]")).astype(int)
    months = local.astype("datetime64[M]").astype(int) % 12
    weekday = (local.astype("datetime64[D]").astype(int) + 3) % 7
    temperature = table.column("temperature_c").to_numpy().astype(float)
    holiday = np.array([str(value).lower() == "true" for value in table.column("holiday").to_pylist()])
    x = np.column_stack([temperature, temperature**2, minutes / 60, months, weekday, holiday]).astype(float)
    return Data("vic_elec", x, table.column("demand_mwh").to_numpy().astype(float))
