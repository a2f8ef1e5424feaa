"""Limn from Python: SQL over Arrow Flight SQL, results as Arrow, pandas or polars, models with a method call.

    >>> import limn
    >>> with limn.connect("grpc://127.0.0.1:50051") as lake:
    ...     lake.ingest("readings", {"site": ["a", "b"], "kwh": [1.5, 2.5]}, mode="replace")
    ...     lake.sql("SELECT sum(kwh) FROM readings WHERE site = ?", "a").scalar()

Everything but SQL itself is convenience: each method builds a statement that any other client could send, with the
builders of `limn.statements`.
"""

from adbc_driver_manager import Error

from limn.connection import Connection, connect
from limn.result import Result
from limn.statements import Split, identifier, literal
from limn.trained import TrainedModel

__all__ = ["Connection", "Error", "Result", "Split", "TrainedModel", "connect", "identifier", "literal"]
__version__ = "0.1.0"
