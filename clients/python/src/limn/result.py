"""A result as it arrives: streamed once, kept where it is asked for as a whole."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Optional

import pyarrow as pa

if TYPE_CHECKING:
    import pandas
    import polars

#: How many rows `repr` shows.
ROWS_SHOWN = 20
#: How many columns wide a value may be in `repr`.
WIDTH_MAX = 40


class Result:
    """The rows of one statement.

    `arrow()`, `df()`, `polars()` and `fetchall()` read all rows and keep them, so each can be called after the other.
    Iteration gives record batches as they arrive and keeps nothing: what was iterated over is gone, and the methods
    above then fail. Showing a result (`repr`) reads only its first rows.
    """

    def __init__(self, reader: pa.RecordBatchReader, close: Callable[[], None] = lambda: None) -> None:
        self._reader = reader
        self._close = close
        self._seen: list[pa.RecordBatch] = []
        self._table: Optional[pa.Table] = None
        self._streamed = False
        self._ended = False

    @property
    def schema(self) -> pa.Schema:
        """The columns' names and Arrow types."""
        return self._reader.schema if self._table is None else self._table.schema

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return self.schema.names

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The record batches as they arrive."""
        if self._table is not None:
            yield from self._table.to_batches()
            return
        self._only_once()
        self._streamed = True
        try:
            while self._seen:
                yield self._seen.pop(0)
            while (batch := self._next()) is not None:
                yield batch
        finally:
            self.close()

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table."""
        if self._table is None:
            self._only_once()
            while (batch := self._next()) is not None:
                self._seen.append(batch)
            self._table = pa.Table.from_batches(self._seen, schema=self._reader.schema)
            self._seen = []
            self.close()
        return self._table

    def df(self) -> pandas.DataFrame:
        """All rows as a pandas data frame."""
        return self.arrow().to_pandas()

    def polars(self) -> polars.DataFrame:
        """All rows as a polars data frame."""
        import polars

        frame = polars.from_arrow(self.arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as tuples of Python values."""
        table = self.arrow()
        if not table.num_columns:
            return [()] * table.num_rows
        return list(zip(*(column.to_pylist() for column in table.columns)))

    def fetchone(self) -> Optional[tuple[Any, ...]]:
        """The first row, or None where there is none."""
        rows = self.fetchall()
        return rows[0] if rows else None

    def dicts(self) -> list[dict[str, Any]]:
        """All rows as dictionaries, by the columns' names."""
        return self.arrow().to_pylist()

    def scalar(self) -> Any:
        """The only value of a result that has one row and one column."""
        table = self.arrow()
        if (table.num_rows, table.num_columns) != (1, 1):
            raise ValueError(f"expected one value, found {table.num_rows} rows of {table.num_columns} columns")
        return table.column(0)[0].as_py()

    def __len__(self) -> int:
        """How many rows there are, all of which are read."""
        return self.arrow().num_rows

    def __bool__(self) -> bool:
        # Without this, `if result:` would read all rows.
        return True

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Arrow's own interface between libraries: polars, pandas, DuckDB and others take a result as it is."""
        return self.arrow().__arrow_c_stream__(requested_schema)

    def close(self) -> None:
        """Lets go of a result that is not read to its end; the server stops working on it."""
        if not self._ended:
            self._ended = True
            self._reader.close()
            self._close()

    def __enter__(self) -> Result:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._table is None and (self._streamed or self._ended):
            return f"<limn.Result of {', '.join(self.columns)}: already read>"
        first, more = self._first(ROWS_SHOWN)
        return drawn(first, more)

    def _first(self, count: int) -> tuple[pa.Table, bool]:
        """The first rows, and whether there are more."""
        if self._table is None:
            while sum(batch.num_rows for batch in self._seen) <= count:
                batch = self._next()
                if batch is None:
                    # All of it was read, so it can as well be kept.
                    return self.arrow().slice(0, count), False
                self._seen.append(batch)
            table = pa.Table.from_batches(self._seen, schema=self._reader.schema)
        else:
            table = self._table
        return table.slice(0, count), table.num_rows > count

    def _next(self) -> Optional[pa.RecordBatch]:
        if self._ended:
            return None
        try:
            return self._reader.read_next_batch()
        except StopIteration:
            return None

    def _only_once(self) -> None:
        if self._streamed:
            raise RuntimeError("this result was iterated over, which keeps no rows: run the query again")
        if self._ended and not self._seen:
            raise RuntimeError("this result is closed")


def drawn(table: pa.Table, more: bool) -> str:
    """A table of text: names, a rule, one line a row; numbers to the right."""
    right = [_is_number(field.type) for field in table.schema]
    cells = [[_shown(value) for value in column.to_pylist()] for column in table.columns]
    names = [_shown(name) for name in table.schema.names]
    widths = [max(map(_width, [name, *column])) for name, column in zip(names, cells)]
    lines = [" │ ".join(_padded(name, width, False) for name, width in zip(names, widths))]
    lines.append("─┼─".join("─" * width for width in widths))
    for row in zip(*cells):
        lines.append(" │ ".join(map(_padded, row, widths, right)))
    count = f"{table.num_rows} row{'' if table.num_rows == 1 else 's'}"
    lines.append(f"(the first {count})" if more else f"({count})")
    return "\n".join(line.rstrip() for line in lines)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _shown(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return _cut("".join(character if character.isprintable() else "·" for character in text))


def _cut(text: str) -> str:
    """The text, or as much of its beginning as fits, with a mark that there is more."""
    kept, fits, width = 0, 0, 0
    for character in text:
        width += _columns(character)
        if width > WIDTH_MAX:
            return text[:fits] + "…"
        kept += 1
        if width < WIDTH_MAX:
            fits = kept
    return text


def _width(text: str) -> int:
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    """How many columns a terminal gives a character: two for a wide one, none for a mark on another."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _padded(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks
