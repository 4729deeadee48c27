"""The records of a results folder, to be looked at: as a frame, by SQL, as files. With or without the specification.

Reads the Parquet files where they are of today's ledger, and the attempts themselves where they are not.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import SweepError, UnknownName
from workbench.storage import replacing
from workbench.storage.ledger import Ledger
from workbench.sweep.design.planning import Cell
from workbench.sweep.findings.statistics import outliers
from workbench.sweep.records import compaction, documents, mlflow_export, querying
from workbench.sweep.records.attempt_file import write_missing
from workbench.sweep.records.columns import FACTS
from workbench.sweep.records.compaction import About, Compact
from workbench.sweep.records.documents import LEDGER
from workbench.sweep.records.migrations import SCHEMA_VERSION
from workbench.sweep.records.samples import SAMPLE_COLUMNS
from workbench.sweep.records.table import RUN_COLUMNS, as_frame

if TYPE_CHECKING:
    import pandas as pd

Which = Literal["done", "all"]

ATTEMPT_COLUMNS = ("attempt", "status", "reason", "error", "finished_at", "counts", "planned")
"""Columns of a frame of all attempts, behind those of a frame of runs."""


class Records:
    """What the runs of a sweep left. Reads only, but for :meth:`compact`; also while the sweep is running.

    Args:
        folder: a results folder, or one of its Parquet files alone.
        cells: id → cell of what the sweep asks for; ``None``: not known, then every finished run counts.
        about: name, title and objectives of the sweep; ``None``: what was kept about it.

    Raises:
        SweepError: there are no records, or a newer workbench wrote them.
    """

    def __init__(
        self, folder: Path | str, *, cells: Mapping[str, Cell] | None = None, about: About | None = None
    ) -> None:
        self.folder, self._cells, self._about = Path(folder), cells, about

    @property
    def about(self) -> About:
        """Name, title, definitions and columns."""
        return self._tables().about

    def frame(self, attempts: Which = "done") -> pd.DataFrame:
        """One row per finished run, as :class:`workbench.sweep.results.Analysis` describes it.

        Args:
            attempts: "all": one row per attempt that ended, however it did, with ``attempt``, ``status``, ``reason``,
                ``error``, ``finished_at``, ``counts`` (of the attempts at its cell it is the one that counts) and
                ``planned`` (the specification asks for its cell).
        """
        if attempts not in ("done", "all"):
            raise UnknownName("choice of attempts", attempts, ("done", "all"))
        return _frame(self._tables(), attempts)

    def samples(self) -> pd.DataFrame:
        """Every sample of every series of the finished runs, long: see :func:`workbench.sweep.records.samples`."""
        tables = self._tables()
        counted = {row["cell"]: row["attempt"] for row in _rows(tables, "done")}
        whole = tables.whole_samples().to_pandas()
        kept = whole[whole["attempt"] == whole["cell"].astype("str").map(counted)]
        texts = dict.fromkeys(("cell", "label", "series", "phase"), "str")
        return kept[list(SAMPLE_COLUMNS)].astype(texts).reset_index(drop=True)

    def query(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pd.DataFrame:
        """The answer to one SELECT over ``runs`` (as in :meth:`frame`), ``attempts`` and ``samples``; DuckDB's SQL.

        >>> records.query("SELECT n_batch, median(decode_tps) FROM runs GROUP BY n_batch ORDER BY n_batch")

        Settings, environment and info are JSON columns: ``environment->>'$.packages.numpy'``.

        Raises:
            UsageError: it is not a query of these; lists the columns there are.
        """
        return querying.query(self._tables(), sql, parameters)

    def compact(self) -> Path:
        """Bring ``records.parquet`` and ``samples.parquet`` up to date; nothing is done if they are.

        Returns:
            The folder they are in.

        Raises:
            StorageFull: no room; the old ones are as they were.
        """
        if self._fresh() is None:
            self._write_missing()
            compaction.write(self.folder, self._made())
        return self.folder

    def _write_missing(self) -> None:
        if self._cells is None or not (self.folder / LEDGER).exists():
            return
        with Ledger(self.folder / LEDGER, readonly=True) as ledger:
            write_missing(self.folder, ledger, self._cells)

    def write_parquet(self, path: Path | str) -> None:
        """All attempts as one Parquet file of its own, which :func:`load_frame` reads."""
        tables = self._tables()
        compaction.write_table(Path(path), tables.records, tables.about)

    def write_csv(self, path: Path | str) -> None:
        """The finished runs as CSV (UTF-8, a header line)."""
        with replacing(path, private=False) as temporary:
            self.frame().to_csv(temporary, index=False)

    def to_mlflow(self, tracking_uri: str, *, experiment: str | None = None, artifacts: bool = True) -> int:
        """Copy the runs that count, failed ones too, to MLflow; doing it again adds only what is new.

        Args:
            tracking_uri: as MLflow takes it: ``http://…``, ``sqlite:///runs.db``.
            experiment: where to; ``None``: one of the sweep's name.
            artifacts: also copy executed notebooks and ``attempt.json``.

        Returns:
            How many runs were added.

        Raises:
            MissingExtra: MLflow is not installed.
            SweepError: MLflow refused; has its words.
        """
        tables = self._tables()
        rows = [row for row in _rows(tables, "all") if row["counts"] and row["planned"] is not False]
        return mlflow_export.export(
            rows,
            _metrics(tables, rows),
            self.folder,
            sweep=tables.about.name,
            tracking_uri=tracking_uri,
            experiment=experiment or tables.about.name,
            artifacts=artifacts,
        )

    def _tables(self) -> Compact:
        return self._fresh() or self._made()

    def _fresh(self) -> Compact | None:
        """The Parquet files, if they have what there is now."""
        if self.folder.is_file():
            about = compaction.read_about(self.folder)
            return None if about is None else compaction.read(self.folder, None, about)
        records, samples = self.folder / compaction.RECORDS, self.folder / compaction.SAMPLES
        about = compaction.read_about(records)
        if about is None or not self._of_today(about):
            return None
        if self._mailed_alone(samples):
            return compaction.read(records, None, about)
        return compaction.read(records, samples, about) if compaction.read_about(samples) == about else None

    def _mailed_alone(self, samples: Path) -> bool:
        """Whether ``records.parquet`` is all there is: without samples, then, as a file alone is."""
        return not samples.exists() and not (self.folder / LEDGER).exists() and not documents.names(self.folder)

    def _of_today(self, about: About) -> bool:
        if about.schema_version != SCHEMA_VERSION:
            return False
        if self._cells is not None and about.plan != documents.plan_stamp(self._cells):
            return False
        stamp = documents.stamp(self.folder)
        return (
            stamp == about.ledger if stamp is not None else documents.names(self.folder) <= compaction.kept(self.folder)
        )

    def _made(self) -> Compact:
        """The tables from the ledger and the attempts' own files; the stamp first: what comes later is not in it."""
        known = self._cells is not None or (self.folder / LEDGER).exists() or documents.names(self.folder)
        if not known:
            raise SweepError(f"There are no records in {self.folder}. Run the sweep, or give its results folder.")
        stamp, plan = documents.stamp(self.folder), None
        if self._cells is not None:
            plan = documents.plan_stamp(self._cells)
        about = self._about or compaction.read_about(self.folder / compaction.RECORDS) or About(name=self.folder.name)
        return compaction.compact(
            documents.lines(self.folder, self._cells), dataclasses.replace(about, ledger=stamp, plan=plan)
        )


def read_sweep(folder: Path | str) -> Records:
    """The records of a results folder, without its specification: one that was mailed, or of another machine.

    Args:
        folder: a results folder (its ledger, Parquet files or ``runs`` suffice, each alone), or one Parquet file.

    Raises:
        SweepError: there are no records, or a newer workbench wrote them; StoreCorrupt: they are damaged.
    """
    records = Records(folder)
    _ = records.about
    return records


def load_frame(path: Path | str) -> pd.DataFrame:
    """One row per finished run of a results folder or a Parquet file: ``read_sweep(path).frame()``."""
    return read_sweep(path).frame()


def _rows(tables: Compact, attempts: Which) -> list[dict[str, Any]]:
    columns = [*FACTS, "parameters", "varied", *(column.name for column in tables.about.of("metric"))]
    rows: list[dict[str, Any]] = tables.records.select(columns).to_pylist()
    if attempts == "all":
        return rows
    # the view "runs" in words: planned may be unknown
    return [row for row in rows if row["counts"] and row["status"] == "done" and row["planned"] is not False]


def _metrics(tables: Compact, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, float | None]]:
    columns = tables.about.of("metric")
    return [{column.of: row[column.name] for column in columns} for row in rows]


def _frame(tables: Compact, attempts: Which) -> pd.DataFrame:
    about, rows = tables.about, _rows(tables, attempts)
    metrics = _metrics(tables, rows)
    given = [{**json.loads(row["varied"]), **json.loads(row["parameters"])} for row in rows]
    varied = dict.fromkeys(name for row in rows for name in json.loads(row["varied"]))
    odd = _outlying([row["label"] for row in rows], metrics, about.objectives)
    facts = [{**_texts(row), "outlier": index in odd} for index, row in enumerate(rows)]
    columns = RUN_COLUMNS if attempts == "done" else (*RUN_COLUMNS, *ATTEMPT_COLUMNS)
    return as_frame(facts, columns, given, about.parameters or list(varied), metrics)


def _texts(row: Mapping[str, Any]) -> dict[str, Any]:
    moments = ("started_at", "finished_at")
    return {**row, **{name: row[name] and row[name].isoformat(timespec="milliseconds") for name in moments}}


def _outlying(labels: Sequence[str], metrics: Sequence[Mapping[str, float | None]], flagged: Sequence[str]) -> set[int]:
    """Numbers of the rows that lie far from their own configuration's median on one of ``flagged``."""
    groups: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    return {
        index
        for group in groups.values()
        for metric in flagged
        for index, odd in zip(group, outliers([metrics[at].get(metric) for at in group]), strict=True)
        if odd
    }
