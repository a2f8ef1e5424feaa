"""A connection to Limn: SQL in, results out, and methods that build the SQL about models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional, Union

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import pyarrow as pa

from limn import statements
from limn.result import Result
from limn.statements import Split
from limn.trained import TrainedModel

__all__ = ["Connection", "connect"]

#: Where `limn serve` answers unless it is told otherwise.
DEFAULT_URL = "grpc://127.0.0.1:50051"

Mode = Literal["create", "append", "replace", "create_append"]


def connect(
    url: str = DEFAULT_URL,
    *,
    user: Optional[str] = None,
    password: Optional[str] = None,
    token: Optional[str] = None,
    tls_roots: Union[str, Path, None] = None,
    tls_certificate: Union[str, Path, None] = None,
    tls_key: Union[str, Path, None] = None,
    tls_verify: bool = True,
    schema: Optional[str] = None,
    timeout: Optional[float] = None,
) -> Connection:
    """Connects to a server.

    `url` is `grpc://host:port`, `grpc+tls://host:port` or just `host:port`. `user` and `password`, or a `token`, say
    who you are. `tls_roots` is a PEM file of the authorities to trust instead of the system's; `tls_certificate` and
    `tls_key` are your own, where the server asks for one. `schema` is the current schema, `timeout` the seconds that
    any one call may take.
    """
    if "://" not in url:
        url = f"grpc://{url}"
    if token is not None and (user is not None or password is not None):
        raise ValueError("expected a token or a user with a password, found both")
    if (tls_certificate is None) != (tls_key is None):
        raise ValueError("expected `tls_certificate` and `tls_key` together, found one of them")
    option = adbc_driver_flightsql.DatabaseOptions
    # The session of a connection goes by a cookie, unless the server gives it a token of its own.
    options = {option.WITH_COOKIE_MIDDLEWARE.value: "true"}
    if user is not None:
        options |= {"username": user, "password": password or ""}
    if token is not None:
        options[option.AUTHORIZATION_HEADER.value] = f"Bearer {token}"
    if tls_roots is not None:
        options[option.TLS_ROOT_CERTS.value] = Path(tls_roots).read_text()
    if tls_certificate is not None and tls_key is not None:
        options[option.MTLS_CERT_CHAIN.value] = Path(tls_certificate).read_text()
        options[option.MTLS_PRIVATE_KEY.value] = Path(tls_key).read_text()
    if not tls_verify:
        options[option.TLS_SKIP_VERIFY.value] = "true"
    if timeout is not None:
        for limit in (option.TIMEOUT_FETCH, option.TIMEOUT_QUERY, option.TIMEOUT_UPDATE):
            options[limit.value] = str(float(timeout))
    # Limn commits each statement by itself, which ADBC calls autocommit.
    connection = Connection(adbc_driver_flightsql.dbapi.connect(url, db_kwargs=options, autocommit=True))
    if schema is not None:
        try:
            connection.use(schema)
        except BaseException:
            connection.close()
            raise
    return connection


class Connection:
    """A session with a server. Not for several threads at once: open one for each."""

    def __init__(self, adbc: adbc_driver_flightsql.dbapi.Connection) -> None:
        #: The ADBC connection below, for what this class does not have.
        self.adbc = adbc

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session."""
        self.adbc.close()

    # SQL

    def sql(self, query: str, *parameters: Any) -> Result:
        """Runs a statement and gives its rows. `parameters` are the values of `?`, or of `$1`, `$2`, …

        One Arrow table (or batch, or data frame) instead of values runs the query once for each of its rows.
        """
        cursor = self.adbc.cursor()
        try:
            cursor.execute(query, _bound(parameters))
            return Result(cursor.fetch_record_batch(), cursor.close)
        except BaseException:
            cursor.close()
            raise

    def execute(self, statement: str, *parameters: Any) -> Optional[int]:
        """Runs a statement for its effect. Gives how many rows changed; None where there is no such number."""
        with self.adbc.cursor() as cursor:
            cursor.execute(statement, _bound(parameters))
            return cursor.rowcount if cursor.rowcount >= 0 else None

    def executemany(self, statement: str, rows: Any) -> int:
        """Runs a statement once for each row of parameters, in one round trip. Gives how many rows changed.

        `rows` are sequences of values, or anything that `ingest` takes.
        """
        if isinstance(rows, Mapping) or hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__"):
            rows = _table(rows)
        with self.adbc.cursor() as cursor:
            cursor.executemany(statement, rows)
            return cursor.rowcount

    def use(self, schema: str) -> None:
        """Makes a schema current."""
        self.adbc.adbc_current_db_schema = schema

    # Tables

    def ingest(self, table: str, data: Any, *, mode: Mode = "create", schema: Optional[str] = None) -> int:
        """Writes rows into a table through bulk ingestion. Gives how many.

        `data` is an Arrow table, batch or reader, a pandas or polars data frame, a dictionary of columns, or a list of
        dictionaries. `mode` says what about a table of that name: `create` a new one, `append` to one that is there,
        `replace` it, or `create_append`.
        """
        with self.adbc.cursor() as cursor:
            return cursor.adbc_ingest(table, _sent(_stream(data)), mode=mode, db_schema_name=schema)

    def tables(self, schema: Optional[str] = None) -> Result:
        """The tables and views: schema, name, type."""
        where = "" if schema is None else f" WHERE table_schema = {statements.literal(schema)}"
        return self.sql("SELECT table_schema, table_name, table_type FROM information_schema.tables"
                        f"{where} ORDER BY table_schema, table_name")

    def table_schema(self, table: str, *, schema: Optional[str] = None) -> pa.Schema:
        """A table's columns."""
        with self.adbc.cursor() as cursor:
            return cursor.adbc_execute_schema(f"SELECT * FROM {statements.qualified(table, schema)}")

    # Models

    def train(
        self,
        name: str,
        query: str,
        *parameters_of_query: Any,
        target: Optional[str] = None,
        algorithm: Optional[str] = None,
        parameters: Optional[Mapping[str, Any]] = None,
        features: Union[Mapping[str, str], Sequence[str], None] = None,
        partition_by: Sequence[str] = (),
        split: Union[Split, float, None] = None,
        experiment: Optional[str] = None,
        alias: Optional[str] = None,
        seed: Optional[int] = None,
    ) -> TrainedModel:
        """Trains a model on the rows of a query and registers it as the name's next version.

        All columns but the target are features unless `features` says otherwise. `split` is a `limn.Split`, or the
        share of the rows that is held out at random; the server holds out a fifth where nothing is said.
        """
        statement = statements.train(
            name, query, target=target, algorithm=algorithm, parameters=parameters, features=features,
            partition_by=partition_by, split=split, experiment=experiment, alias=alias, seed=seed)
        return TrainedModel.of(self.sql(statement, *parameters_of_query))

    def predict(
        self,
        name: str,
        query: str,
        *parameters: Any,
        version: Optional[int] = None,
        alias: Optional[str] = None,
        column: str = "prediction",
        probabilities: bool = False,
    ) -> Result:
        """A query's rows with what a model says of each: its latest version unless `version` or `alias` says which."""
        return self.sql(
            statements.predict(name, query, version=version, alias=alias, column=column, probabilities=probabilities),
            *parameters)

    def predict_one(
        self, name: str, values: Mapping[str, Any], *, version: Optional[int] = None, alias: Optional[str] = None
    ) -> Any:
        """What a model says of one row: `values` are its features by name."""
        return self.sql(statements.predict_one(name, values, version=version, alias=alias)).scalar()

    def models(self) -> Result:
        """The models, each with its latest version and its aliases."""
        return self.sql("SHOW MODELS")

    def model_versions(self, name: Optional[str] = None) -> Result:
        """The versions of one model, or of all, as `system.model_versions` has them."""
        return self._system("model_versions", "name, version", name=name)

    def describe_model(self, name: str, *, version: Optional[int] = None, alias: Optional[str] = None) -> Result:
        """What is known of a version: features, parameters, metrics."""
        return self.sql(statements.describe_model(name, version=version, alias=alias))

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Lets an alias such as `champion` point to a version."""
        self.execute(statements.alter_alias(name, alias, version))

    def unset_alias(self, name: str, alias: str) -> None:
        """Takes an alias away."""
        self.execute(statements.alter_alias(name, alias, None))

    def drop_model(self, name: str, *, version: Optional[int] = None, if_exists: bool = False) -> None:
        """Drops a model, or one version of it."""
        self.execute(statements.drop_model(name, version=version, if_exists=if_exists))

    def experiments(self) -> Result:
        """The experiments."""
        return self._system("experiments", "experiment_id")

    def runs(self, *, experiment: Optional[str] = None) -> Result:
        """The runs, the latest first: of one experiment by its name, or of all."""
        where = "" if experiment is None else (
            " WHERE experiment_id IN (SELECT experiment_id FROM system.experiments"
            f" WHERE name = {statements.literal(experiment)})")
        return self.sql(f"SELECT * FROM system.runs{where} ORDER BY started_at DESC")

    def metrics(self, run_id: str) -> dict[str, float]:
        """A run's metrics: name to its latest value."""
        return {row["key"]: row["value"] for row in self._system("metrics", "step", run_id=run_id).dicts()}

    def _system(self, table: str, order: str, **wanted: Any) -> Result:
        given = {column: value for column, value in wanted.items() if value is not None}
        where = " AND ".join(f"{statements.identifier(column)} = {statements.literal(value)}"
                             for column, value in given.items())
        return self.sql(f"SELECT * FROM system.{table}{' WHERE ' + where if where else ''} ORDER BY {order}")


def _bound(parameters: tuple[Any, ...]) -> Any:
    """What ADBC binds: nothing, one row of values, or the rows of a table."""
    if not parameters:
        return None
    if len(parameters) == 1 and (hasattr(parameters[0], "__arrow_c_stream__")
                                 or hasattr(parameters[0], "__arrow_c_array__")):
        return _table(parameters[0])
    return parameters


def _stream(data: Any) -> pa.RecordBatchReader:
    """Rows of any of the accepted kinds as Arrow, without reading a reader."""
    if isinstance(data, pa.RecordBatchReader):
        return data
    if isinstance(data, Iterable) and not hasattr(data, "__arrow_c_stream__") and not isinstance(data, (Mapping, list)):
        batches = iter(data)
        first = next(batches, None)
        if isinstance(first, pa.RecordBatch):
            return pa.RecordBatchReader.from_batches(first.schema, _chained(first, batches))
        data = [] if first is None else [first, *batches]
    return _table(data).to_reader()


def _sent(reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """The same rows in at least one batch: of none at all the driver sends nothing, not even the table's name."""

    def batches() -> Iterator[pa.RecordBatch]:
        count = 0
        for count, batch in enumerate(reader, 1):
            yield batch
        if count == 0:
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)

    return pa.RecordBatchReader.from_batches(reader.schema, batches())


def _chained(first: pa.RecordBatch, rest: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    yield first
    yield from rest


def _table(data: Any) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, Mapping):
        return pa.table(dict(data))
    if isinstance(data, list):
        return pa.Table.from_pylist(data)
    if type(data).__module__.partition(".")[0] == "pandas":
        return pa.Table.from_pandas(data, preserve_index=False)
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    raise TypeError(f"expected Arrow data, a data frame, a dictionary of columns or a list of dictionaries, "
                    f"found a {type(data).__name__}")
