"""What `TRAIN MODEL` answers, as an object."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limn.result import Result


@dataclass(frozen=True)
class TrainedModel:
    """One version of a model, as it was registered."""

    model: str
    version: int
    #: The run in `system.runs` that records how it was made.
    run_id: str
    algorithm: str
    #: How many models it consists of: 1 unless it was trained with `partition_by`.
    partitions: int
    #: The rows of the training query.
    rows: int
    #: Name to value, such as `rmse`; those that begin with `train_` were measured on the rows that it learned from.
    metrics: dict[str, float]
    #: The hash of the ONNX artifact: the same data, query, parameters and seed give the same one.
    artifact_sha256: str
    #: How long the training took, in milliseconds.
    train_ms: int

    @classmethod
    def of(cls, result: Result) -> TrainedModel:
        """Reads the one row of the answer."""
        (row,) = result.dicts()
        return cls(**{**row, "metrics": json.loads(row["metrics"])})
