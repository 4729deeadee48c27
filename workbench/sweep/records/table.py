"""Finished runs as a table: configuration × block × metric. Pairs are made here, statistics are not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workbench.interfaces import Record
from workbench.sweep.design.planning import Cell
from workbench.sweep.findings.statistics import outliers
from workbench.sweep.records.machine import MACHINE_COLUMNS, machine_columns

if TYPE_CHECKING:
    import pandas as pd

BlockKey = tuple[str, str, int]
"""Host, phase and block: across machines the host is a block, so runs on different hosts are never paired."""

RUN_COLUMNS = (
    *("cell", "label", "block", "order", "arm", "host", "started_at", "elapsed_s", "outlier"),
    *("phase", *MACHINE_COLUMNS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run that counts.

    Attributes:
        cell: what was run.
        order: its place in the running order.
        host: where.
        started: seconds since 1970.
        elapsed_s: wall time, kernel start-up included.
        record: what it recorded.
        environment: the machine as it was.
        folder: where its files are, relative to the results' folder; ``None``: not known.
    """

    cell: Cell
    order: int
    host: str
    started: float
    elapsed_s: float
    record: Record
    environment: Mapping[str, Any]
    folder: str | None = None


class Table:
    """Values by configuration, metric and block.

    Args:
        runs: finished runs, in running order.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = sorted(runs, key=lambda run: run.order)
        self._columns: dict[tuple[str, str], dict[BlockKey, float]] = {}
        for run in self.runs:
            for metric, value in run.record.metrics.items():
                if value is not None and math.isfinite(value):
                    column = self._columns.setdefault((run.cell.configuration.label, metric), {})
                    column[run.host, run.cell.phase, run.cell.block] = float(value)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric any run recorded, in order of appearance."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run.record.metrics))

    def column(self, label: str, metric: str) -> Mapping[BlockKey, float]:
        """One configuration's values by block; gaps are absent."""
        return self._columns.get((label, metric), {})

    def pairs(self, label: str, reference: str, metric: str) -> dict[BlockKey, tuple[float, float]]:
        """Values of both configurations in the blocks that have both."""
        ours, theirs = self.column(label, metric), self.column(reference, metric)
        return {block: (value, theirs[block]) for block, value in sorted(ours.items()) if block in theirs}

    def frame(self, parameters: Sequence[str], flagged: Sequence[str]) -> pd.DataFrame:
        """One row a run, as :class:`workbench.sweep.results.Analysis` describes it.

        Args:
            parameters: names that get a column.
            flagged: metrics that are searched for outliers.
        """
        odd = self._outlying(flagged)
        facts = [{**_row(run), "outlier": run.cell.id in odd} for run in self.runs]
        given = [{name: run.cell.configuration.value(name) for name in parameters} for run in self.runs]
        return as_frame(facts, RUN_COLUMNS, given, parameters, [run.record.metrics for run in self.runs])

    def _outlying(self, metrics: Sequence[str]) -> set[str]:
        """Ids of cells that lie far from their own configuration's median on one of ``metrics``."""
        groups: dict[str, list[Run]] = {}
        for run in self.runs:
            groups.setdefault(run.cell.configuration.label, []).append(run)
        return {
            run.cell.id
            for group in groups.values()
            for metric in metrics
            for run, odd in zip(group, outliers([run.record.metrics.get(metric) for run in group]), strict=True)
            if odd
        }


def as_frame(
    facts: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    given: Sequence[Mapping[str, Any]],
    parameters: Sequence[str],
    metrics: Sequence[Mapping[str, float | None]],
) -> pd.DataFrame:
    """Facts, parameters and metrics of runs side by side. Of two columns of one name the first in this order stays.

    Args:
        facts: one a run.
        columns: names of the facts.
        given: parameter → value, one a run.
        parameters: those that get a column.
        metrics: metric → value, one a run; they are numbers or gaps.
    """
    import pandas as pd

    taken = {*columns, *parameters}
    names = [name for name in dict.fromkeys(name for run in metrics for name in run) if name not in taken]
    values = [{name: run.get(name) for name in names} for run in metrics]
    machine = {name: "float64" for name in MACHINE_COLUMNS if name in columns}
    return pd.concat(
        [
            pd.DataFrame(facts, columns=list(columns)).astype(machine),
            pd.DataFrame(given, columns=[name for name in parameters if name not in columns]),
            pd.DataFrame(values, columns=names, dtype="float64"),
        ],
        axis=1,
    )


def _row(run: Run) -> dict[str, Any]:
    cell = run.cell
    return {
        "cell": cell.id,
        "label": cell.configuration.label,
        "block": cell.block,
        "order": run.order,
        "arm": cell.configuration.arm,
        "host": run.host,
        "started_at": datetime.fromtimestamp(run.started, UTC).isoformat(timespec="milliseconds"),
        "elapsed_s": run.elapsed_s,
        "phase": cell.phase,
        **machine_columns(run.environment, run.record.series),
    }
