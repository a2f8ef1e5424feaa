"""Builds SQL text: names and values quoted exactly, and one function a statement about models.

It sends nothing. Names are taken as they are written, upper case included: `Demand` becomes `"Demand"`, which is
another name than `demand`.
"""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

__all__ = ["Split", "alter_alias", "describe_model", "drop_model", "identifier", "literal", "model_reference",
           "predict", "predict_one", "qualified", "train"]

_INT64 = range(-(2**63), 2**63)
_DECIMAL_DIGITS_MAX = 38


def identifier(name: str) -> str:
    """A name, quoted so that it means exactly itself: `6" pipe` becomes `"6"" pipe"`."""
    if not name:
        raise ValueError("expected a name, found an empty text")
    if "\0" in name:
        raise ValueError(f"expected a name without NUL characters, found {name!r}")
    return '"' + name.replace('"', '""') + '"'


def qualified(name: str, schema: Optional[str] = None) -> str:
    """A name with its schema, each quoted; a dot inside of a name is part of it."""
    return identifier(name) if schema is None else f"{identifier(schema)}.{identifier(name)}"


def literal(value: Any) -> str:
    """A Python value as an expression of SQL that has the same value and the nearest type.

    >>> literal("it's")
    "'it''s'"
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value) if value in _INT64 else _decimal(decimal.Decimal(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else f"CAST('{float(value)!r}' AS DOUBLE)"
    if isinstance(value, decimal.Decimal):
        return _decimal(value)
    if isinstance(value, (str, uuid.UUID)):
        return "'" + str(value).replace("'", "''") + "'"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"X'{bytes(value).hex()}'"
    if isinstance(value, datetime.datetime):
        return _timestamp(value)
    if isinstance(value, datetime.date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, datetime.time):
        if value.tzinfo is not None:
            raise ValueError(f"expected a time without a zone, found {value!r}")
        return f"TIME '{value.isoformat()}'"
    if isinstance(value, datetime.timedelta):
        return f"INTERVAL '{value.days} days {value.seconds} seconds {value.microseconds} microseconds'"
    if isinstance(value, Mapping):
        fields = (f"{literal(str(name))}, {literal(inner)}" for name, inner in value.items())
        return f"named_struct({', '.join(fields)})"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(literal(inner) for inner in value)}]"
    if hasattr(value, "item"):  # The scalars of NumPy.
        return literal(value.item())
    raise TypeError(f"expected a value that SQL has, found a {type(value).__name__}: {value!r}")


def _decimal(value: decimal.Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"expected a number of digits, found {value}")
    text = format(value, "f")
    _, _, fraction = text.partition(".")
    digits = sum(character.isdigit() for character in text)
    if digits > _DECIMAL_DIGITS_MAX:
        raise ValueError(f"expected at most {_DECIMAL_DIGITS_MAX} digits, found {digits}: {text}")
    return f"CAST('{text}' AS DECIMAL({_DECIMAL_DIGITS_MAX},{len(fraction)}))"


def _timestamp(value: datetime.datetime) -> str:
    if value.tzinfo is None:
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    instant = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return f"TIMESTAMPTZ '{instant.isoformat(sep=' ')}Z'"


@dataclass(frozen=True)
class Split:
    """Which rows a model is measured on instead of learning from them."""

    sql: str

    @classmethod
    def random(cls, share: float = 0.2) -> Split:
        """A share of the rows, chosen by the seed."""
        return cls(f"RANDOM {_share(share)}")

    @classmethod
    def by_time(cls, column: str, share: float = 0.2) -> Split:
        """The last share of the rows by time."""
        return cls(f"BY TIME {identifier(column)} {_share(share)}")

    @classmethod
    def on(cls, column: str) -> Split:
        """The rows where a boolean column is true."""
        return cls(f"ON {identifier(column)}")

    @classmethod
    def none(cls) -> Split:
        """Learn from all rows and measure on none."""
        return cls("NONE")


def _share(share: float) -> str:
    if not 0 <= share < 1:
        raise ValueError(f"expected a share from 0 to below 1, found {share!r}")
    return format(decimal.Decimal(repr(float(share))), "f")


def train(
    name: str,
    query: str,
    *,
    target: Optional[str] = None,
    algorithm: Optional[str] = None,
    parameters: Optional[Mapping[str, Any]] = None,
    features: Union[Mapping[str, str], Sequence[str], None] = None,
    partition_by: Sequence[str] = (),
    split: Union[Split, float, None] = None,
    experiment: Optional[str] = None,
    alias: Optional[str] = None,
    seed: Optional[int] = None,
) -> str:
    """`TRAIN MODEL`. `features` are expressions of SQL, or a mapping from their names to them."""
    clauses = [f"TRAIN MODEL {identifier(name)}"]
    if algorithm is not None:
        given = ", ".join(f"{identifier(key)} = {_setting(key, value)}" for key, value in (parameters or {}).items())
        clauses.append(f"USING {identifier(algorithm)}" + (f" ({given})" if given else ""))
    elif parameters:
        raise ValueError("parameters belong to an algorithm: expected `algorithm` beside `parameters`")
    if target is not None:
        clauses.append(f"TARGET {identifier(target)}")
    if features:
        named = ([f"{expression} AS {identifier(alias_)}" for alias_, expression in features.items()]
                 if isinstance(features, Mapping) else list(features))
        clauses.append(f"FEATURES ({', '.join(named)})")
    if partition_by:
        clauses.append(f"PARTITION BY ({', '.join(identifier(column) for column in partition_by)})")
    if split is not None:
        clauses.append(f"SPLIT {(split if isinstance(split, Split) else Split.random(split)).sql}")
    if experiment is not None:
        clauses.append(f"EXPERIMENT {literal(str(experiment))}")
    if alias is not None:
        clauses.append(f"ALIAS {identifier(alias)}")
    if seed is not None:
        clauses.append(f"SEED {int(seed)}")
    return " ".join(clauses) + f" AS {_query(query)}"


def _setting(name: str, value: Any) -> str:
    """A value of an algorithm's parameter, which must be a plain literal."""
    if value is None or isinstance(value, (bool, int, str)):
        return literal(value)
    if isinstance(value, float) and math.isfinite(value):
        return literal(value)
    if hasattr(value, "item"):
        return _setting(name, value.item())
    raise TypeError(f"expected a number, text, True, False or None for the parameter {name!r}, found {value!r}")


def _query(query: str) -> str:
    """A query without the semicolon that may close it."""
    text = query.strip().rstrip(";").rstrip()
    if not text:
        raise ValueError("expected a query, found an empty text")
    return text


def model_reference(name: str, *, version: Optional[int] = None, alias: Optional[str] = None) -> str:
    """What `PREDICT` calls a model: a text of SQL such as `'"demand"@"champion"'`."""
    if version is not None and alias is not None:
        raise ValueError("expected a version or an alias, found both")
    reference = identifier(name)
    if version is not None:
        reference += f"/{int(version)}"
    if alias is not None:
        reference += f"@{identifier(alias)}"
    return literal(reference)


def predict(
    name: str,
    query: str,
    *,
    version: Optional[int] = None,
    alias: Optional[str] = None,
    column: str = "prediction",
    probabilities: bool = False,
) -> str:
    """A query's rows with one more column: what the model says of each, its features found by their names."""
    function = "PREDICT_PROBA" if probabilities else "PREDICT"
    reference = model_reference(name, version=version, alias=alias)
    return f"SELECT *, {function}({reference}) AS {identifier(column)} FROM ({_query(query)}) AS input"


def predict_one(
    name: str, values: Mapping[str, Any], *, version: Optional[int] = None, alias: Optional[str] = None
) -> str:
    """What a model says of one row, whose features are given by name."""
    if not values:
        raise ValueError("expected the values of the features, found none")
    row = ", ".join(f"{literal(value)} AS {identifier(feature)}" for feature, value in values.items())
    reference = model_reference(name, version=version, alias=alias)
    return f"SELECT PREDICT({reference}) AS prediction FROM (SELECT {row}) AS input"


def describe_model(name: str, *, version: Optional[int] = None, alias: Optional[str] = None) -> str:
    """`DESCRIBE MODEL`."""
    if version is not None and alias is not None:
        raise ValueError("expected a version or an alias, found both")
    which = f" VERSION {int(version)}" if version is not None else ""
    which += f" ALIAS {identifier(alias)}" if alias is not None else ""
    return f"DESCRIBE MODEL {identifier(name)}{which}"


def alter_alias(name: str, alias: str, version: Optional[int]) -> str:
    """`ALTER MODEL … SET ALIAS`, or `UNSET ALIAS` where the version is None."""
    if version is None:
        return f"ALTER MODEL {identifier(name)} UNSET ALIAS {identifier(alias)}"
    return f"ALTER MODEL {identifier(name)} SET ALIAS {identifier(alias)} TO VERSION {int(version)}"


def drop_model(name: str, *, version: Optional[int] = None, if_exists: bool = False) -> str:
    """`DROP MODEL`: the model, or one version of it."""
    which = f" VERSION {int(version)}" if version is not None else ""
    return f"DROP MODEL {'IF EXISTS ' if if_exists else ''}{identifier(name)}{which}"
