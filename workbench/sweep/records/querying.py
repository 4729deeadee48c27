"""SQL over the records of a sweep, by DuckDB: reading only, and nothing but the records.

The tables are handed over from memory or as an open Parquet file; files, network, extensions and settings are then
locked (duckdb.org/docs, "Securing DuckDB"), so a query from somebody else is safe to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError
from workbench.sweep.records.compaction import Compact

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

RUNS = "SELECT * FROM attempts WHERE counts AND status = 'done' AND planned IS DISTINCT FROM false"
"""The view ``runs``: what :meth:`Sweep.frame` shows."""

_LOCKS = (
    "TimeZone = 'UTC'",
    "python_enable_replacements = false",  # else a name in the query may be a variable of whoever asks
    "enable_external_access = false",
    "lock_configuration = true",
)


def query(tables: Compact, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The answer to one SELECT.

    Args:
        tables: what it may read: ``runs`` (finished runs that count), ``attempts`` (all), ``samples``.
        sql: DuckDB's SQL; one statement.
        parameters: values for ``?`` or ``$name`` in it.

    Raises:
        UsageError: it is not a query, or DuckDB refused it; lists the columns there are.
    """
    import duckdb

    with _connection(tables) as connection:
        try:
            statements = connection.extract_statements(sql)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise UsageError("Give one SELECT: records are read here, never changed.")
            return connection.sql(statements[0], params=parameters).to_arrow_table().to_pandas()
        except duckdb.Error as error:
            raise UsageError(f"{error}\n{_columns(connection)}") from error


def _connection(tables: Compact) -> duckdb.DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(":memory:")
    connection.register("attempts", tables.records)
    connection.register("samples", _open(tables))
    connection.execute(f"CREATE VIEW runs AS {RUNS}")
    for setting in _LOCKS:
        connection.execute(f"SET {setting}")
    return connection


def _open(tables: Compact) -> Any:
    """The samples as something DuckDB reads column by column: most queries never look at them."""
    if not isinstance(tables.samples, Path):
        return tables.samples
    import pyarrow.dataset

    return pyarrow.dataset.dataset(tables.samples)


def _columns(connection: duckdb.DuckDBPyConnection) -> str:
    listed = {}
    for view in ("attempts", "samples"):
        described = connection.execute(f"SELECT * FROM {view} LIMIT 0").description or ()  # noqa: S608
        listed[view] = ", ".join(name if name.isidentifier() else f'"{name}"' for name, *_ in described)
    return f"Columns of runs and attempts: {listed['attempts']}\nColumns of samples: {listed['samples']}"
