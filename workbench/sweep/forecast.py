"""What a sweep would do, before it does it: cells, order, time and disk.

Time and disk are told from the runs that have ended; before the first there is only the limit. Runs nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.sweep.design.planning import Cell, Configuration, configurations
from workbench.sweep.execution.runner import Sweep
from workbench.sweep.records.table import Run

_LISTED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is planned and what is left of it.

    Attributes:
        name: of the sweep.
        arms: the configurations.
        cells: all of them in running order.
        missing: how many have not been run.
        seconds: what those will take; ``None``: nothing has been run yet.
        most_seconds: what they take at most, every run at its limit and every retry needed.
        bytes: what they will leave on disk; ``None``: nothing has been run yet.
        based_on: runs the two are told from.
    """

    name: str
    arms: tuple[Configuration, ...]
    cells: tuple[Cell, ...]
    missing: int
    seconds: float | None
    most_seconds: float
    bytes: float | None
    based_on: int

    def __str__(self) -> str:
        """For a terminal."""
        blocks = len({cell.block for cell in self.cells})
        lines = [
            f"{self.name}: {len(self.arms):,} configurations × {blocks:,} blocks = {len(self.cells):,} runs, "
            f"{self.missing:,} to be run",
            *(f"  {arm.label}{'' if arm.arm == 'grid' else f'  ({arm.arm})'}" for arm in self.arms[:_LISTED]),
        ]
        if len(self.arms) > _LISTED:
            lines.append(f"  … and {len(self.arms) - _LISTED:,} more")
        first = [cell.configuration.label for cell in self.cells if cell.block == 0][:4]
        lines.append(f"order of block 1: {' → '.join(first)}{' → …' if len(self.arms) > len(first) else ''}")
        return "\n".join([*lines, self._cost()])

    def _cost(self) -> str:
        if self.seconds is None or self.bytes is None:
            return f"time and disk: known after the first runs; at most {_duration(self.most_seconds)}"
        return (
            f"time: about {_duration(self.seconds)}; disk: about {self.bytes / 2**20:,.1f} MiB "
            f"(by {self.based_on:,} finished runs)"
        )


def forecast(sweep: Sweep) -> Forecast:
    """Look at the specification, and at what has been run of it.

    Raises:
        SpecError: it cannot be planned.
        StoreCorrupt: what is in the results' folder cannot be read.
    """
    cells, runs = sweep.plan(), sweep.runs()
    done = {run.cell.id for run in runs}
    missing = [cell for cell in cells if cell.id not in done]
    return Forecast(
        name=sweep.spec.name,
        arms=configurations(sweep.spec),
        cells=tuple(cells),
        missing=len(missing),
        seconds=_seconds(missing, runs),
        most_seconds=len(missing) * sweep.spec.timeout_s * (1 + sweep.spec.retries),
        bytes=len(missing) * statistics.fmean(_sizes(sweep.folder)) if runs and missing else 0.0 if runs else None,
        based_on=len(runs),
    )


def _seconds(missing: Sequence[Cell], runs: Sequence[Run]) -> float | None:
    """A configuration takes what it took at the median; one that has not run yet, what all took."""
    if not runs:
        return None
    took: dict[str, list[float]] = {}
    for run in runs:
        took.setdefault(run.cell.configuration.label, []).append(run.elapsed_s)
    usual = statistics.median(run.elapsed_s for run in runs)
    medians = {label: statistics.median(times) for label, times in took.items()}
    return sum(medians.get(cell.configuration.label, usual) for cell in missing)


def _sizes(folder: Path) -> list[int]:
    """Bytes of each run's folder."""
    found = [
        sum(file.stat().st_size for file in one.rglob("*") if file.is_file()) for one in (folder / "runs").glob("*")
    ]
    return found or [0]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
