"""Running a sweep: what is missing, in order, into the ledger; and reading back what has been found so far.

Every attempt is begun in the ledger before it starts and ended after it is over, so that a driver may die at any time:
the next one adopts what was finished, gives up what was not, and runs the rest. Knows no statistics and no plots.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from workbench.errors import SweepError, UnknownName
from workbench.interfaces import Executor, Job, Outcome
from workbench.registry import executors
from workbench.storage import FolderLock, read_json, write_bytes
from workbench.storage.ledger import Attempt, Ledger
from workbench.sweep.design.planning import Cell, configurations, plan
from workbench.sweep.execution.progress import Progress
from workbench.sweep.findings.analysis import analyse
from workbench.sweep.records.recording import from_dict
from workbench.sweep.records.table import Run
from workbench.sweep.results import Analysis, Audit
from workbench.sweep.specification.spec import SweepSpec

if TYPE_CHECKING:
    import pandas as pd

CellFunction = Callable[[Job], Mapping[str, Any]]


class Sweep:
    """A sweep and its results folder.

    >>> sweep = Sweep.from_file("experiments/quickstart.yaml")
    >>> analysis = sweep.run()

    Args:
        spec: what to run, checked.
        function: what runs one cell; default :func:`.cell.run_cell`. It gets a :class:`Job` with
            ``notebook``, ``working_folder``, ``parameters`` and ``folder``, and returns ``record`` and ``environment``.
    """

    def __init__(self, spec: SweepSpec, *, function: CellFunction | None = None) -> None:
        self.spec = spec
        self._function = function

    @classmethod
    def from_file(cls, path: Path | str) -> Self:
        """Read and check a specification; runs nothing.

        Raises:
            SpecError: with file, line, key and the known names.
        """
        return cls(SweepSpec.from_file(path))

    @property
    def folder(self) -> Path:
        """Where the ledger, the executed notebooks and the records are."""
        return self.spec.results_path

    def plan(self) -> list[Cell]:
        """Every cell in running order, finished or not."""
        return plan(self.spec)

    def run(self, progress: bool = True, *, retry_failed: bool = False, executor: Executor | str = "local") -> Analysis:
        """Run what is missing, then analyse everything. Interrupted, it goes on where it stopped when called again.

        Args:
            progress: show bars on standard error.
            retry_failed: also run cells again that failed in an earlier call.
            executor: a registered name, or an executor (which stays open).

        Raises:
            StoreInUse: another driver is running this sweep.
            StorageFull: no room; what was finished is kept.
            SpecError: runs do not record a metric the specification asks for.
        """
        with FolderLock(self.folder), Ledger(self.folder / "ledger.sqlite") as ledger:
            driver = _Driver(self, ledger)
            driver.recover()
            owned = executors.create(executor, timeout_s=self.spec.timeout_s) if isinstance(executor, str) else None
            try:
                driver.run(owned or executor, self._cell_function(), retry_failed, progress)  # type: ignore[arg-type]
            finally:
                if owned is not None:
                    owned.close()
                driver.recover()  # Ctrl-C may come between the end of a run and its reply
        return self.analyse()

    def status(self) -> Audit:
        """How many planned cells are done, failed and missing. Reads only, also while another process runs it."""
        return _audit(self.plan(), self._ended())

    def runs(self) -> list[Run]:
        """Finished runs of planned cells, each cell at most once."""
        return _runs(self.plan(), self._ended())

    def analyse(self) -> Analysis:
        """What has been found so far."""
        cells, ended = self.plan(), self._ended()
        return analyse(self.spec, _runs(cells, ended), _audit(cells, ended), defaults=self._defaults())

    def frame(self) -> pd.DataFrame:
        """One row per finished run; columns as in :class:`workbench.sweep.results.Analysis`."""
        return self.analyse().frame

    def __repr__(self) -> str:
        audit = self.status()
        return f"Sweep({self.spec.name!r}: {audit.done} of {audit.planned} runs done, {audit.failed} failed)"

    def _ended(self) -> dict[str, Attempt]:
        path = self.folder / "ledger.sqlite"
        if not path.exists():
            return {}
        with Ledger(path, readonly=True) as ledger:
            return ledger.ended()

    def _defaults(self) -> dict[str, Any]:
        """The notebook's defaults, only where a target may name them: papermill takes a second to load."""
        if not self.spec.targets:
            return {}
        from workbench.sweep.specification.notebooks import parameter_defaults

        return parameter_defaults(self.spec.notebook_path)

    def _cell_function(self) -> CellFunction:
        if self._function is not None:
            return self._function
        from workbench.sweep.execution.cell import run_cell

        return run_cell


class _Driver:
    """One call of :meth:`Sweep.run`: the queue, and the ledger's side of it."""

    def __init__(self, sweep: Sweep, ledger: Ledger) -> None:
        self.spec, self.folder, self.ledger = sweep.spec, sweep.folder, ledger
        self.cells = {cell.id: cell for cell in sweep.plan()}
        self.attempts: dict[str, int] = {}
        self.facts = self._facts()

    def recover(self) -> None:
        """Take over what an interrupted driver left: a run that reached its end is done, any other is missing."""
        for attempt in self.ledger.running():
            left = self._run_folder(attempt.cell, attempt.attempt) / "outcome.json"
            if left.exists() and (kept := read_json(left))["cell"] == attempt.cell:
                payload = self._payload(kept["result"], kept["elapsed_s"])
                finished = attempt.started + kept["elapsed_s"]
                self.ledger.finish(attempt.cell, attempt.attempt, status="done", payload=payload, finished=finished)
        self.ledger.abandon_running()

    def run(self, executor: Executor, function: CellFunction, retry_failed: bool, progress: bool) -> None:
        """Run every missing cell, failed ones again as often as the specification allows."""
        ended = self.ledger.ended()
        failures = self._failures()
        allowed = {cell: self.spec.retries + 1 + (failures.get(cell, 0) if retry_failed else 0) for cell in self.cells}
        missing = [
            cell
            for cell in self.cells.values()
            if not _is_done(ended.get(cell.id)) and failures.get(cell.id, 0) < allowed[cell.id]
        ]
        queue = deque(missing)
        finished = set(self.cells) - {cell.id for cell in missing}
        with Progress(list(self.cells.values()), finished, shown=progress) as bars:
            while queue:
                for job, outcome in executor.run(self._jobs(queue, bars), function):
                    failures[job.id] = failures.get(job.id, 0) + (outcome.status == "failed")
                    again = outcome.status == "failed" and failures[job.id] < allowed[job.id]
                    self._finish(job, outcome)
                    if again:
                        queue.appendleft(self.cells[job.id])
                    else:
                        bars.end(f"{self.cells[job.id].label}: {outcome.error}" if outcome.error else None)

    def _jobs(self, queue: deque[Cell], bars: Progress) -> Iterator[Job]:
        """Jobs as an executor asks for them; each is begun in the ledger the moment it is handed out."""
        notebook = self._frozen_notebook() if queue else None
        while queue:
            cell = queue.popleft()
            bars.begin(cell)
            attempt = self.ledger.begin(cell.id, host=platform.node())
            self.attempts[cell.id] = attempt
            yield Job(
                id=cell.id,
                payload={
                    "notebook": str(notebook),
                    "working_folder": str(self.spec.notebook_path.parent),
                    "parameters": dict(cell.configuration.parameters),
                    "folder": str(self._run_folder(cell.id, attempt)),
                    "build_cache": str(self.folder / "builds"),
                    "label": cell.configuration.label,
                    "block": cell.block,
                },
            )

    def _finish(self, job: Job, outcome: Outcome) -> None:
        payload = self._payload(outcome.result, outcome.elapsed_s) if outcome.result is not None else None
        self.ledger.finish(
            job.id,
            self.attempts[job.id],
            status=outcome.status,
            payload=payload,
            error=outcome.error,
            host=outcome.host,
        )
        if payload is not None:
            self._check_metrics(payload["record"]["metrics"])

    def _check_metrics(self, recorded: Mapping[str, Any]) -> None:
        """Stop at the first run that does not record what the sweep is about; the run itself is kept."""
        for section in ("objectives", "quality", "targets"):
            for index, measure in enumerate(getattr(self.spec, section)):
                if measure.metric not in recorded:
                    problem = f"the notebook does not record it. {UnknownName('metric', measure.metric, recorded)}"
                    raise self.spec.error(problem, (section, index, "metric"))

    def _payload(self, result: Mapping[str, Any], elapsed_s: float) -> dict[str, Any]:
        environment = {**result.get("environment", {}), **self.facts}
        return {"record": result["record"], "environment": environment, "elapsed_s": elapsed_s}

    def _facts(self) -> dict[str, Any]:
        """What is asked once a sweep: the commit and the models."""
        from workbench.sweep.records.environment import git_state, model_facts

        arms = configurations(self.spec)
        models = [arm.parameters["model"] for arm in arms if arm.parameters.get("model") is not None]
        return {"git": git_state(self.spec.notebook_path.parent), "models": model_facts(models)}

    def _frozen_notebook(self) -> Path:
        """A copy of the notebook as it is now: an edit while the sweep runs must not reach it."""
        copy = self.folder / "source.ipynb"
        write_bytes(copy, self.spec.notebook_path.read_bytes())
        return copy

    def _failures(self) -> dict[str, int]:
        counted: dict[str, int] = {}
        for attempt in self.ledger.attempts():
            if attempt.status == "failed":
                counted[attempt.cell] = counted.get(attempt.cell, 0) + 1
        return counted

    def _run_folder(self, cell: str, attempt: int) -> Path:
        return self.folder / "runs" / f"{cell}-{attempt}"


def _is_done(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt.status == "done"


def _audit(cells: list[Cell], ended: Mapping[str, Attempt]) -> Audit:
    found = [(cell, ended[cell.id]) for cell in cells if cell.id in ended]
    done = sum(1 for _, attempt in found if attempt.status == "done")
    failures = [(cell.label, attempt.error or "") for cell, attempt in found if attempt.status == "failed"]
    return Audit(
        planned=len(cells), done=done, failed=len(failures), missing=len(cells) - len(found), failures=tuple(failures)
    )


def _runs(cells: list[Cell], ended: Mapping[str, Attempt]) -> list[Run]:
    return [_as_run(cell, ended[cell.id]) for cell in cells if _is_done(ended.get(cell.id))]


def _as_run(cell: Cell, attempt: Attempt) -> Run:
    payload = attempt.payload
    if payload is None:
        raise SweepError(f"The finished run {attempt.cell} left nothing in the ledger.")
    return Run(
        cell=cell,
        order=attempt.sequence,
        host=attempt.host,
        started=attempt.started,
        elapsed_s=payload["elapsed_s"],
        record=from_dict(payload["record"]),
        environment=payload["environment"],
    )
