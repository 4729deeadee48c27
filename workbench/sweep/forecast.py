"""What a sweep would do, before it does it: cells, order, time and disk. Runs nothing.

Time and disk are told from the runs that have ended; before the first, from earlier runs of the same notebook in this
results folder or one beside it; without any there is only the limit.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.storage.ledger import Ledger
from workbench.sweep.design.order import whole_plot
from workbench.sweep.design.planning import Cell, Configuration, configurations, label_of
from workbench.sweep.execution.runner import LEDGER, Sweep
from workbench.sweep.records.attempt_file import RUNS
from workbench.sweep.records.table import Run
from workbench.sweep.specification.notebooks import code_hash
from workbench.sweep.specification.spec import SweepSpec

_LISTED = 24
_IN_ORDER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is planned and what is left of it.

    Attributes:
        spec: what is asked for.
        arms: the configurations.
        cells: all of them in running order.
        missing: how many have not been run.
        seconds: what those will take; ``None``: nothing to tell it from.
        most_seconds: what they take at most, every run at its limit and every retry needed.
        bytes: what they will leave on disk; ``None``: nothing to tell it from.
        based_on: runs the two are told from.
        elsewhere: where those are if they are not this sweep's own.
    """

    spec: SweepSpec
    arms: tuple[Configuration, ...]
    cells: tuple[Cell, ...]
    missing: int
    seconds: float | None
    most_seconds: float
    bytes: float | None
    based_on: int
    elsewhere: Path | None = None

    @property
    def name(self) -> str:
        """Of the sweep."""
        return self.spec.name

    def plots(self) -> list[list[Cell]]:
        """The cells in running order, those of one whole plot together; without ``slow`` each is its own."""
        return [list(part) for _, part in itertools.groupby(self.cells, self._plot)]

    def __str__(self) -> str:
        """For a terminal."""
        blocks = sum(1 for _ in itertools.groupby(self.cells, lambda cell: (cell.phase, cell.block)))
        lines = [
            f"{self.name}: {len(self.arms):,} configurations × {blocks:,} blocks = {len(self.cells):,} runs, "
            f"{self.missing:,} to be run",
            *(f"  {arm.label}{'' if arm.arm == 'grid' else f'  ({arm.arm})'}" for arm in self.arms[:_LISTED]),
        ]
        if len(self.arms) > _LISTED:
            lines.append(f"  … and {len(self.arms) - _LISTED:,} more")
        return "\n".join([*lines, self._order(), *self._conditions(), self._cost()])

    def order(self) -> Iterator[str]:
        """Every cell in words, in running order; whole plots are headed by what they have in common."""
        for plot in self.plots():
            if not self.spec.slow:
                yield plot[0].label
                continue
            yield f"whole plot: {self._slow_part(plot[0])}"
            yield from (f"  {cell.label}" for cell in plot)

    def _plot(self, cell: Cell) -> object:
        return (cell.phase, cell.block, whole_plot(cell.configuration, self.spec.slow)) if self.spec.slow else cell.id

    def _slow_part(self, cell: Cell) -> str:
        words = label_of({name: cell.configuration.value(name) for name in self.spec.slow})
        return f"{words} (twin)" if cell.configuration.arm == "twin" else words

    def _order(self) -> str:
        first = list(itertools.takewhile(lambda cell: (cell.phase, cell.block) == ("grid", 0), self.cells))
        if self.spec.slow:
            parts = [
                f"[{self._slow_part(plot[0])}: {len(plot):,} run{'s' if len(plot) > 1 else ''}]"
                for plot in self.plots()
                if plot[0] in first
            ]
        else:
            parts = [cell.configuration.label for cell in first]
        more = " → …" if len(parts) > _IN_ORDER else ""
        return f"order of block 1: {' → '.join(parts[:_IN_ORDER])}{more}"

    def _conditions(self) -> Iterator[str]:
        """What else may run, or may not."""
        spec = self.spec
        if spec.more_blocks:
            yield f"then up to {spec.more_blocks:,} further blocks of those whose ranking is undecided"
        if spec.confirm:
            yield f"then {spec.confirm:,} fresh blocks of what was chosen and what it is held against"
        limits = [f"{spec.budget.minutes:g} min of runs"] if spec.budget.minutes is not None else []
        limits += [f"{spec.budget.runs:,} runs"] if spec.budget.runs is not None else []
        if limits:
            yield f"budget: {' or '.join(limits)}; what is left then is left out"

    def _cost(self) -> str:
        if self.seconds is None or self.bytes is None:
            return f"time and disk: known after the first runs; at most {_duration(self.most_seconds)}"
        whose = "finished runs" if self.elsewhere is None else f"runs of the same notebook in {self.elsewhere}"
        return (
            f"time: about {_duration(self.seconds)}, at most {_duration(self.most_seconds)}; "
            f"disk: about {self.bytes / 2**20:,.1f} MiB (by {self.based_on:,} {whose})"
        )


def forecast(sweep: Sweep) -> Forecast:
    """Look at the specification, and at what has been run of it.

    Raises:
        SpecError: it cannot be planned.
        StoreCorrupt: what is in the results' folder cannot be read.
    """
    standing, spec = sweep.standing(), sweep.spec
    cells, runs = tuple(standing.cells.values()), standing.runs()
    missing = [cell for cell in cells if standing.state(cell) == "missing"]
    seconds, based_on, folder, elsewhere = _seconds(missing, runs), len(runs), sweep.folder, None
    if seconds is None and (found := _same_notebook(sweep)) is not None:
        folder, times = found
        seconds, based_on = len(missing) * statistics.median(times), len(times)
        elsewhere = folder
    return Forecast(
        spec=spec,
        arms=configurations(spec),
        cells=cells,
        missing=len(missing),
        seconds=None if seconds is None else seconds / spec.side_by_side,
        most_seconds=len(missing) * spec.timeout_s * (1 + spec.retries) / spec.side_by_side,
        bytes=None if seconds is None else len(missing) * statistics.fmean(_sizes(folder)) if missing else 0.0,
        based_on=based_on,
        elsewhere=elsewhere,
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


def _same_notebook(sweep: Sweep) -> tuple[Path, list[float]] | None:
    """Where the same notebook has run most often, with other parameters or under another name, and how long it took."""
    wanted, found = code_hash(sweep.spec.notebook_path), list[tuple[Path, list[float]]]()
    for copy in sorted(sweep.folder.parent.glob("*/source.ipynb")):
        try:
            times = _times(copy.parent / LEDGER) if code_hash(copy) == wanted else []
        except WorkbenchError:  # somebody else's folder is damaged: then it has nothing to say about this one
            continue
        found += [(copy.parent, times)] if times else []
    return max(found, key=lambda one: len(one[1]), default=None)


def _times(ledger: Path) -> list[float]:
    if not ledger.exists():
        return []
    with Ledger(ledger, readonly=True) as opened:
        return [one.payload["elapsed_s"] for one in opened.ended().values() if one.status == "done" and one.payload]


def _sizes(folder: Path) -> list[int]:
    """Bytes of each run's folder."""
    found = [sum(file.stat().st_size for file in one.rglob("*") if file.is_file()) for one in (folder / RUNS).glob("*")]
    return found or [0]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"
