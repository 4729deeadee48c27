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
from workbench.sweep.design.planning import Cell, Configuration, configurations, label_of, situations
from workbench.sweep.execution.planners import Agenda
from workbench.sweep.execution.runner import LEDGER, Sweep
from workbench.sweep.execution.spending import Spending
from workbench.sweep.execution.standing import Standing
from workbench.sweep.findings.statistics import BLOCKS_TO_DECIDE
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
        seconds: what those will take, as far as the budget lets them; ``None``: nothing to tell it from.
        most_seconds: what it takes at most: every run at its limit, every retry needed, and everything that may follow
            (further blocks, confirmations) followed, unless the budget ends it before.
        bytes: what they will leave on disk; ``None``: nothing to tell it from.
        based_on: runs the two are told from.
        elsewhere: where those are if they are not this sweep's own.
        ahead: how many more a search may ask for; ``missing`` has only those it has asked for.
        searching: what a search is going to do, in words.
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
    ahead: int = 0
    searching: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the sweep."""
        return self.spec.name

    def plots(self) -> list[list[Cell]]:
        """The cells in running order, those of one whole plot together; without ``slow`` each is its own."""
        return [list(part) for _, part in itertools.groupby(self.cells, self._plot)]

    def __str__(self) -> str:
        """For a terminal."""
        if self.searching:
            return "\n".join([*self.searching, *self._conditions(), self._cost()])
        grid = sum(cell.phase == "grid" for cell in self.cells)
        later = f" + {len(self.cells) - grid:,} decided upon since" if grid < len(self.cells) else ""
        lines = [
            f"{self.name}: {len(self.arms):,} configurations × {self.spec.blocks:,} blocks = {grid:,} runs{later}, "
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
        spec, blocks = self.spec, self.spec.blocks + self.spec.more_blocks
        if spec.objectives and blocks < BLOCKS_TO_DECIDE:
            yield f"too few blocks to decide anything: {blocks:,} in all, {BLOCKS_TO_DECIDE} are needed"
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
    ahead, searching = _search(sweep)
    share, budget_s = _within(standing.spending, len(missing) + ahead)
    seconds, based_on, folder, elsewhere = _seconds(missing, runs, ahead), len(runs), sweep.folder, None
    if seconds is None and (found := _same_notebook(sweep)) is not None:
        folder, times = found
        seconds, based_on = (len(missing) + ahead) * statistics.median(times), len(times)
        elsewhere = folder
    return Forecast(
        spec=spec,
        arms=configurations(spec),
        cells=cells,
        missing=len(missing),
        seconds=None if seconds is None else min(share * seconds / spec.side_by_side, budget_s),
        most_seconds=_most_seconds(sweep, standing, len(missing) + ahead),
        bytes=None if seconds is None else share * (len(missing) + ahead) * statistics.fmean(_sizes(folder)),
        based_on=based_on,
        elsewhere=elsewhere,
        ahead=ahead,
        searching=searching,
    )


def _within(spending: Spending, runs: int) -> tuple[float, float]:
    """The share of so many runs that the budget pays for, and the seconds it has left."""
    left, minutes = spending.left(0), spending.budget.minutes
    share = 1.0 if left is None or left >= runs else left / runs
    return share, float("inf") if minutes is None else max(0.0, minutes * 60 - spending.seconds)


def _most_seconds(sweep: Sweep, standing: Standing, runs: int) -> float:
    """Every run at its limit, whatever may follow included; a budget of minutes lets finish what it finds running."""
    spec, left = sweep.spec, standing.spending.left(0)
    _, budget_s = _within(standing.spending, runs)
    tries = (runs + _may_follow(sweep)) * (1 + spec.retries)
    most_s = (tries if left is None else min(tries, left)) * spec.timeout_s / spec.side_by_side
    plot = len(configurations(spec)) if spec.slow else 1
    return min(most_s, budget_s + plot * spec.timeout_s if budget_s else 0.0)


def _may_follow(sweep: Sweep) -> int:
    """Runs of further blocks and of confirmations that nobody has decided upon yet, at most."""
    spec = sweep.spec
    if spec.mode == "search":  # it counts its own
        return 0
    agenda, arms = Agenda(spec, sweep.folder), configurations(spec)
    chosen = min(len(arms), 2 * len(spec.objectives) * len(situations(spec, arms)))  # each beside its reference
    more = max(0, spec.more_blocks - len(agenda.blocks("more"))) * len(arms)
    return more + max(0, spec.confirm - len(agenda.blocks("confirm"))) * chosen


def _search(sweep: Sweep) -> tuple[int, tuple[str, ...]]:
    """How many more runs a search may ask for, and what it is going to do."""
    if sweep.spec.mode != "search":
        return 0, ()
    from workbench.sweep.search.outlook import outlook, runs_ahead

    return runs_ahead(sweep), tuple(outlook(sweep))


def _seconds(missing: Sequence[Cell], runs: Sequence[Run], ahead: int) -> float | None:
    """A configuration takes what it took at the median; one that has not run yet, what all took."""
    if not runs:
        return None
    took: dict[str, list[float]] = {}
    for run in runs:
        took.setdefault(run.cell.configuration.label, []).append(run.elapsed_s)
    usual = statistics.median(run.elapsed_s for run in runs)
    medians = {label: statistics.median(times) for label, times in took.items()}
    return sum(medians.get(cell.configuration.label, usual) for cell in missing) + ahead * usual


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
