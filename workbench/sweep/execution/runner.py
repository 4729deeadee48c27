"""A sweep and its results folder: run what is missing, look at what has been found so far. Knows no plots.

How runs are driven stands in :mod:`.driver`, what runs next in :mod:`.planners`, what has become of every cell in
:mod:`.standing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from workbench.errors import UsageError
from workbench.interfaces import Executor
from workbench.registry import executors
from workbench.showing import Shown, Table, View, fact
from workbench.storage import FolderLock
from workbench.storage.ledger import Attempt, Ledger
from workbench.sweep.design.planning import Cell, Phase
from workbench.sweep.execution.jobs import CellFunction
from workbench.sweep.execution.pausing import Pause
from workbench.sweep.execution.planners import Agenda, planned
from workbench.sweep.execution.standing import Standing
from workbench.sweep.records.table import Run
from workbench.sweep.results import Analysis, Audit
from workbench.sweep.specification.spec import SweepSpec

if TYPE_CHECKING:
    import pandas as pd

    from workbench.sweep.records.store import Records, Which

__all__ = ["CellFunction", "Sweep"]

LEDGER = "ledger.sqlite"


class Sweep(Shown):
    """A sweep and its results folder.

    >>> sweep = Sweep.from_file("experiments/quickstart.yaml")
    >>> analysis = sweep.run()

    Args:
        spec: what to run, checked.
        function: what runs one job; default :func:`.cell.run_cell`. It gets a :class:`Job` with
            ``notebook``, ``working_folder``, ``parameters`` and ``folder``, and returns ``record`` and ``environment``.
            With ``slow`` parameters the default is :func:`.plot.run_plot`, which gets ``cells``, several of these.

    Attributes:
        paused: the last call of :meth:`run` ended because a pause was asked for.
    """

    def __init__(self, spec: SweepSpec, *, function: CellFunction | None = None) -> None:
        self.spec = spec
        self.paused = False
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
        """Every cell in running order, finished or not: the grid, then what was decided upon because of findings."""
        return planned(self.spec, Agenda(self.spec, self.folder))

    def run(self, progress: bool = True, *, retry_failed: bool = False, executor: Executor | str = "local") -> Analysis:
        """Run what is missing, then analyse everything. Interrupted, it goes on where it stopped when called again.

        Args:
            progress: show bars on standard error.
            retry_failed: also run cells again that failed in an earlier call, or were out of memory.
            executor: a registered name, or an executor (which stays open), see :meth:`executor`.

        Raises:
            StoreInUse: another driver is running this sweep.
            StorageFull: no room; what was finished is kept.
            SpecError: runs do not record a metric the specification asks for.
        """
        from workbench.sweep.execution.driver import Driver

        self.paused = False
        with FolderLock(self.folder), Ledger(self.folder / LEDGER) as ledger:
            driver = Driver(self.spec, self.folder, ledger)
            driver.recover()
            chosen = self.executor(executor) if isinstance(executor, str) else executor
            try:
                driver.run(chosen, self._function, again=retry_failed, progress=progress)
            finally:
                if chosen is not executor:
                    chosen.close()
                driver.recover()  # Ctrl-C may come between the end of a run and its reply
        self.paused = driver.paused
        self.compact()
        return self.analyse()

    def executor(self, name: str = "local", *, address: str | None = None) -> Executor:
        """An executor with this sweep's deadline and as many runs side by side; whoever asked for it closes it.

        Args:
            name: a registered one.
            address: where its scheduler listens, for one that reaches other machines ("dask").

        Raises:
            UnknownName: there is none of this name.
            UsageError: it runs on this machine only, so that an address means nothing to it.
            MissingExtra: what it needs is not installed.
        """
        options: dict[str, Any] = {"slots": self.spec.side_by_side} if self.spec.side_by_side > 1 else {}
        if address is not None:
            if "address" not in signature(executors.get(name)).parameters:
                raise UsageError(f"The executor {name!r} takes no address. Leave it out, or choose 'dask'.")
            options["address"] = address
        return executors.create(name, timeout_s=self.spec.timeout_s, **options)

    def pause(self) -> bool:
        """Ask the process that runs this sweep to stop after the run in progress; the next :meth:`run` goes on.

        Returns:
            False if no process runs it; then nothing is asked of anybody.
        """
        return Pause(self.folder).ask()

    def status(self, phase: Phase | None = None) -> Audit:
        """How many planned cells ended how. Reads only, also while another process runs it.

        Args:
            phase: only cells of the grid ("grid"), of further blocks ("more") or of the confirmation ("confirm").
        """
        return self.standing().audit(phase)

    def standing(self) -> Standing:
        """What has become of every planned cell."""
        return Standing(self.spec, self.plan(), self._attempts())

    def runs(self) -> list[Run]:
        """Finished runs of planned cells, each cell at most once."""
        return self.standing().runs()

    def analyse(self) -> Analysis:
        """What has been found so far."""
        from workbench.sweep.findings.analysis import analyse

        standing = self.standing()
        if self.spec.mode == "search":
            from workbench.sweep.search.analysis import analyse_search

            return analyse_search(self.spec, self.folder, standing)
        runs = standing.runs()
        return analyse(
            self.spec,
            [run for run in runs if run.cell.phase != "confirm"],
            standing.audit(),
            defaults=self._defaults(),
            boundaries=standing.boundaries(),
            confirmations=[run for run in runs if run.cell.phase == "confirm"],
        )

    def frame(self, attempts: Which = "done") -> pd.DataFrame:
        """One row per finished run; columns as in :class:`workbench.sweep.results.Analysis`.

        Args:
            attempts: "all": one row per attempt, failed ones included; see :meth:`Records.frame`.
        """
        return self.records().frame(attempts)

    def query(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pd.DataFrame:
        """The answer to one SELECT over ``runs``, ``attempts`` and ``samples``; see :meth:`Records.query`.

        Raises:
            UsageError: it is not a query of these; lists the columns there are.
        """
        return self.records().query(sql, parameters)

    def compact(self) -> Path:
        """Bring ``records.parquet`` and ``samples.parquet`` up to date; returns the folder they are in."""
        return self.records().compact()

    def to_mlflow(self, tracking_uri: str, *, experiment: str | None = None, artifacts: bool = True) -> int:
        """Copy the runs that count to MLflow (extra ``mlflow``); see :meth:`Records.to_mlflow`.

        Returns:
            How many runs were added; a second time only what is new.
        """
        return self.records().to_mlflow(tracking_uri, experiment=experiment, artifacts=artifacts)

    def records(self) -> Records:
        """What every attempt left, to be looked at, exported, or mailed."""
        from workbench.sweep.records.compaction import About
        from workbench.sweep.records.store import Records

        about = About(
            name=self.spec.name,
            title=self.spec.title or self.spec.name,
            objectives=[objective.metric for objective in self.spec.objectives],
            parameters=list(self.spec.columns),
        )
        return Records(self.folder, cells={cell.id: cell for cell in self.plan()}, about=about)

    def __repr__(self) -> str:
        audit = self.status()
        return f"Sweep({self.spec.name!r}: {audit.done} of {audit.planned} runs done, {audit.failed} failed)"

    def _view(self) -> View:
        audit = self.status()
        told = [("runs", str(audit)), ("results", str(self.folder))]
        levels = [(name, fact(list(values))) for name, values in self.spec.parameters.items()]
        return View(
            heading=self.spec.title or self.spec.name,
            tables=[
                Table(rows=told),
                Table(columns=("parameter", "levels"), rows=levels),
                Table(columns=("failed", "why"), rows=audit.failures),
            ],
        )

    def _attempts(self) -> list[Attempt]:
        path = self.folder / LEDGER
        if not path.exists():
            return []
        with Ledger(path, readonly=True) as ledger:
            return ledger.attempts()

    def _defaults(self) -> dict[str, Any]:
        """The notebook's defaults, only where a target may name them."""
        if not self.spec.targets:
            return {}
        from workbench.sweep.specification.notebooks import parameter_defaults

        return parameter_defaults(self.spec.notebook_path)
