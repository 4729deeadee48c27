"""What a search runs next: trial after trial, then the finals.

A planner as :mod:`workbench.sweep.execution.planners` means it. Trials that are asked for together (``side_by_side``)
do not know of each other's results, only of each other.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.sweep.design.planning import Cell, plan
from workbench.sweep.execution.planners import Agenda, Confirmation, Grid, MoreBlocks, Planner
from workbench.sweep.execution.standing import State
from workbench.sweep.records.table import Run
from workbench.sweep.search.finals import finals_spec, most_runs
from workbench.sweep.search.front import best
from workbench.sweep.search.journal import Journal
from workbench.sweep.search.space import Row, how
from workbench.sweep.search.study import suggest
from workbench.sweep.search.trials import Result, as_baseline, results
from workbench.sweep.specification.spec import SweepSpec


def search_planners(spec: SweepSpec, folder: Path, state: Callable[[Cell], State]) -> list[Planner]:
    """Who says what a search runs, one after the other."""
    journal = Journal(spec, folder)
    return [Trials(spec, journal, state), Finals(spec, folder, journal, state)]


def planned_by_search(spec: SweepSpec, folder: Path) -> list[Cell]:
    """Every cell that a search has asked for so far, the finals among them once they are decided upon."""
    journal = Journal(spec, folder)
    cells, rows = journal.cells(), journal.finalists
    if not rows:
        return cells
    final = finals_spec(spec, rows)
    return [*cells, *plan(final), *Agenda(final, folder).cells()]


class Trials:
    """Trial after trial: what Optuna says, given what all before have shown.

    Args:
        spec: with ``mode: search``.
        journal: where they are noted.
        state: what has become of a cell.
    """

    def __init__(self, spec: SweepSpec, journal: Journal, state: Callable[[Cell], State]) -> None:
        self.spec, self.journal, self._state = spec, journal, state
        self._begun = False

    def next_cells(self, runs: Sequence[Run]) -> list[Cell]:
        """First what was asked for already (a part may not have run), then the next trial, or several side by side.

        Raises:
            SpecError: conditions forbid everything, or the budget pays for no trial.
        """
        if not self._begun:
            self._begun = True
            if cells := self.journal.cells():
                return cells
        known = results(self.spec, self.journal.trials, runs, self._state)
        rows = self._new_ones(known, min(self.spec.side_by_side, self._left(runs)))
        return self.journal.ask(rows) if rows else []

    def _new_ones(self, known: list[Result], count: int) -> list[Row]:
        rows: list[Row] = []
        for _ in range(count):
            row = next_row(self.spec, self.journal, known)
            if row is None:
                break
            rows.append(row)
            known.append(Result(row=row, fate="under way"))
        return rows

    def _left(self, runs: Sequence[Run]) -> int:
        """Trials that may still be asked for: the budget has to last for the finals."""
        asked, spec, each = len(self.journal.trials), self.spec, 2 * how(self.spec).repeats
        left, finals = how(self.spec).trials - asked, most_runs(spec)
        if spec.budget.runs is not None:
            left = min(left, (spec.budget.runs - len(self.journal.cells()) - finals) // each)
            if left < 1 and not asked:
                raise spec.error(
                    f"{spec.budget.runs:,} runs pay for no trial: a trial takes {each:,} and the finals {finals:,}. "
                    "Allow more, or lower `blocks` or `search.finalists`.",
                    ("budget", "runs"),
                )
        if spec.budget.minutes is not None and runs:
            spent = sum(run.elapsed_s for run in runs)
            usual = statistics.median(run.elapsed_s for run in runs)
            room = spec.budget.minutes * 60 - spent - finals * usual
            left = min(left, int(room // (each * usual)) if usual else left)
        return max(left, 0)


class Finals:
    """The best, measured like any sweep: blocks, further blocks, confirmation.

    Args:
        spec: with ``mode: search``.
        folder: its results folder.
        journal: of the trials.
        state: what has become of a cell.
    """

    def __init__(self, spec: SweepSpec, folder: Path, journal: Journal, state: Callable[[Cell], State]) -> None:
        self.spec, self.folder, self.journal, self._state = spec, folder, journal, state
        self._stages: list[Planner] | None = None

    def next_cells(self, runs: Sequence[Run]) -> list[Cell]:
        """As the planners of an ordinary sweep say, which see nothing of the trials."""
        if self._stages is None:
            self._stages = self._decided(runs)
        own = [run for run in runs if run.cell.phase != "search"]
        while self._stages:
            if cells := self._stages[0].next_cells(own):
                return cells
            self._stages.pop(0)
        return []

    def _decided(self, runs: Sequence[Run]) -> list[Planner]:
        if self.journal.finalists is None:
            self.journal.decide(best(self.spec, results(self.spec, self.journal.trials, runs, self._state)))
        if not self.journal.finalists:
            return []
        final = finals_spec(self.spec, self.journal.finalists)
        agenda = Agenda(final, self.folder)
        return [Grid(final), MoreBlocks(final, agenda), Confirmation(final, agenda)]


def next_row(spec: SweepSpec, journal: Journal, known: Sequence[Result]) -> Row | None:
    """What would be tried next; ``None``: nothing is left.

    Raises:
        SpecError: conditions forbid everything.
    """
    first = as_baseline(spec, journal.baseline.varied)
    return suggest(spec, journal.space, [first, *known], len(known))
