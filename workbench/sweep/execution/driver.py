"""One call of ``Sweep.run``: what planners ask for into jobs, and of what comes back, what is to be run again.

Knows no statistics and no plots; what is written where is the books' affair.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import UnknownName
from workbench.interfaces import Executor, Job, Outcome
from workbench.storage import write_bytes
from workbench.storage.ledger import Ledger
from workbench.sweep.design.planning import Cell
from workbench.sweep.execution.books import Books
from workbench.sweep.execution.jobs import NOT_BEGUN, CellFunction, Jobs, Try, outcomes
from workbench.sweep.execution.pausing import Pause
from workbench.sweep.execution.planners import Agenda, planned, planners
from workbench.sweep.execution.progress import Progress
from workbench.sweep.execution.standing import Standing
from workbench.sweep.records.table import Run
from workbench.sweep.specification.kept import keep
from workbench.sweep.specification.spec import SweepSpec

_LOST_TOO_OFTEN = 5
"""Workers that may vanish over a cell before that is taken for the cell's doing."""


class Driver:
    """The queue. Works with executors of any number of slots, in whatever order what they run ends.

    Args:
        spec: what to run.
        folder: the results folder, which this process holds.
        ledger: of that folder.

    Attributes:
        paused: it stopped because somebody asked for a pause.
    """

    def __init__(self, spec: SweepSpec, folder: Path, ledger: Ledger) -> None:
        self.spec, self.folder, self.ledger = spec, folder, ledger
        self.paused = False
        self._jobs, self._agenda, self._pause = Jobs(spec, folder), Agenda(spec, folder), Pause(folder)
        self._books = Books(spec, folder, ledger)
        self._queue: deque[Cell] = deque()
        self._under_way: dict[str, list[Try]] = {}
        self._lost: Counter[str] = Counter()
        self._allowed: dict[str, int] = {}

    def recover(self) -> None:
        """Take over what an interrupted driver left, this one included: its runs, and a wish for a pause."""
        self._pause.forget()
        self._books.recover({cell.id: cell for cell in planned(self.spec, self._agenda)})

    def run(self, executor: Executor, function: CellFunction | None, *, again: bool, progress: bool) -> None:
        """Run what is missing, as long as the budget lasts and nobody asks for a pause.

        Args:
            executor: who runs it.
            function: what runs a job; ``None``: the usual one.
            again: also what failed in an earlier call, or was out of memory.
            progress: show bars.
        """
        keep(self.spec, self.folder)
        self._standing = Standing(self.spec, planned(self.spec, self._agenda), self.ledger.attempts())
        before = dict(self._standing.failures) if again else None
        with Progress(shown=progress) as self._bars:
            self._bars.expect(self._standing.cells.values(), self._has_ended)
            for planner in planners(self.spec, self._agenda, self._standing.state):
                while not self._stopped() and (cells := planner.next_cells(self._findings())):
                    self._standing.extend(cells)
                    self._bars.expect(cells, self._has_ended)
                    self._queue.extend([cell for cell in cells if self._is_wanted(cell, before)])
                    self._work(executor, function or self._jobs.function())

    def _findings(self) -> list[Run]:
        return [run for run in self._standing.runs() if run.cell.phase != "confirm"]

    def _is_wanted(self, cell: Cell, before: Mapping[str, int] | None) -> bool:
        """Whether a cell is to be run in this call; sets how often it may fail.

        Args:
            cell: one that a planner asks for.
            before: how often cells failed in earlier calls, if those are to be forgiven.
        """
        self._allowed[cell.id] = self.spec.retries + 1 + (before or {}).get(cell.id, 0)
        state = self._standing.state(cell)
        if state == "failed":
            return self._standing.failures[cell.id] < self._allowed[cell.id]
        return state in ("missing", "left_out") or (state == "out_of_memory" and before is not None)

    def _has_ended(self, cell: Cell) -> bool:
        return self._standing.state(cell) not in ("missing", "left_out")

    def _work(self, executor: Executor, function: CellFunction) -> None:
        # an executor may have taken the last job before one that it runs fails and comes back into the queue
        while self._queue and not self._stopped():
            # a copy, so that an edit of the notebook does not reach a sweep that is running
            write_bytes(self._jobs.notebook, self.spec.notebook_path.read_bytes())
            for job, outcome in executor.run(self._handed_out(), function):
                ended = outcomes(job, self._under_way.pop(job.id), outcome)
                again = [one.cell for one, its_own in ended if self._note(one, its_own)]
                self._queue.extendleft(reversed(again))

    def _handed_out(self) -> Iterator[Job]:
        """Jobs as an executor asks for them; each is begun in the ledger the moment it is handed out."""
        while not self._stopped() and (cells := self._take()):
            self._bars.begin(cells[0])
            tries = [self._books.begin(cell) for cell in cells]
            job = self._jobs.make(tries)
            self._under_way[job.id] = tries
            yield job

    def _take(self) -> list[Cell]:
        """The next cell, and those behind it that belong to the same whole plot."""
        taken: list[Cell] = []
        left = self._left()
        while self._queue and (left is None or len(taken) < left):
            cell = self._queue[0]
            if self._standing.state(cell) == "left_out":
                self._bars.end(self._queue.popleft())
            elif not taken or (self.spec.slow and self._jobs.plot(cell) == self._jobs.plot(taken[0])):
                taken.append(self._queue.popleft())
            else:
                break
        return taken

    def _stopped(self) -> bool:
        self.paused = self.paused or self._pause.is_asked()
        return self.paused or self._left() == 0

    def _left(self) -> int | None:
        return self._standing.spending.left(sum(map(len, self._under_way.values())))

    def _note(self, one: Try, outcome: Outcome) -> bool:
        """Put an outcome into the books; returns whether the cell is to be run again."""
        cell = one.cell
        if outcome.reason == "lost" and self._may_be_lost(cell, outcome):
            self._books.lose(one, outcome)
            return True
        self._standing.note(self._books.end(one, outcome))
        failed = outcome.status == "failed" and outcome.reason != "out_of_memory"
        if failed and self._standing.failures[cell.id] < self._allowed[cell.id]:
            return True
        word = "failed" if failed else "out of memory"
        self._bars.end(cell, f"{word}: {cell.label}: {outcome.error}" if outcome.error else None)
        if outcome.result is not None:
            self._check_metrics(outcome.result["record"]["metrics"])
        return False

    def _may_be_lost(self, cell: Cell, outcome: Outcome) -> bool:
        """A cell that was not begun has no part in it; one whose workers go again and again may have."""
        self._lost[cell.id] += outcome.error != NOT_BEGUN
        return self._lost[cell.id] < _LOST_TOO_OFTEN

    def _check_metrics(self, recorded: Mapping[str, Any]) -> None:
        """Stop at the first run that does not record what the sweep is about; the run itself is kept."""
        for section in ("objectives", "quality", "targets", "claims"):
            measures: Sequence[Any] = getattr(self.spec, section)
            for index, measure in enumerate(measures):
                if measure.metric not in recorded:
                    problem = f"the notebook does not record it. {UnknownName('metric', measure.metric, recorded)}"
                    raise self.spec.error(problem, (section, index, "metric"))
