"""The ledger's side of a driver: attempts begun, ended, given up, and taken over from a driver that died.

Every attempt is begun before it starts and ended after it is over, so that a driver may die at any time: the next one
adopts what was finished and gives up what was not. Decides nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.interfaces import Outcome
from workbench.storage.ledger import Attempt, Ledger
from workbench.sweep.design.planning import Cell, configurations
from workbench.sweep.execution.jobs import OUTCOME, Try, left_behind, of_cell
from workbench.sweep.execution.standing import MEMORY_LIMIT, memory_bytes
from workbench.sweep.records.attempt_file import end_attempt, run_folder
from workbench.sweep.specification.spec import SweepSpec


class Books:
    """Writes what happens to cells into the ledger and beside it.

    Args:
        spec: the sweep's.
        folder: its results folder, which this process holds.
        ledger: of that folder.
    """

    def __init__(self, spec: SweepSpec, folder: Path, ledger: Ledger) -> None:
        self.spec, self.folder, self.ledger = spec, folder, ledger
        self._facts = _facts(spec)

    def begin(self, cell: Cell) -> Try:
        """A cell is handed out."""
        attempt = self.ledger.begin(cell.id, host=platform.node())
        return Try(cell=cell, attempt=attempt, folder=run_folder(self.folder, cell.id, attempt))

    def end(self, one: Try, outcome: Outcome, *, finished: float | None = None) -> Attempt:
        """An attempt has ended; returns it as the ledger has it."""
        end_attempt(
            self.ledger,
            self.folder,
            one.cell,
            one.attempt,
            status=outcome.status,
            payload=self._payload(outcome),
            error=outcome.error,
            reason=outcome.reason,
            finished=finished,
            host=outcome.host,
            environment=self._facts,
        )
        return self.ledger.attempt(one.cell.id, one.attempt)

    def lose(self, one: Try, outcome: Outcome) -> None:
        """Nobody knows how an attempt ended; its cell counts as not run."""
        self.ledger.finish(
            one.cell.id, one.attempt, status="abandoned", error=outcome.error, reason="lost", host=outcome.host
        )

    def recover(self, cells: Mapping[str, Cell]) -> None:
        """Take over what an interrupted driver left: a run that reached its end counts, any other is given up.

        Args:
            cells: id → cell of what is planned. A finished run of another cell (the notebook is being edited) is kept.
        """
        for attempt in self.ledger.running():
            folder = run_folder(self.folder, attempt.cell, attempt.attempt)
            kept = left_behind(folder, attempt.cell)
            if kept is None:
                continue
            outcome = of_cell(kept, attempt.host)
            finished = max(attempt.started + outcome.elapsed_s, (folder / OUTCOME).stat().st_mtime)
            if attempt.cell in cells:
                one = Try(cell=cells[attempt.cell], attempt=attempt.attempt, folder=folder)
                self.end(one, outcome, finished=finished)
            else:
                self.ledger.finish(
                    attempt.cell,
                    attempt.attempt,
                    status=outcome.status,
                    payload=self._payload(outcome),
                    error=outcome.error,
                    reason=outcome.reason,
                    finished=finished,
                )
        self.ledger.abandon_running()

    def _payload(self, outcome: Outcome) -> dict[str, Any] | None:
        if outcome.result is not None:
            environment = {**outcome.result.get("environment", {}), **self._facts}
            return {"record": outcome.result["record"], "environment": environment, "elapsed_s": outcome.elapsed_s}
        if outcome.reason == "out_of_memory":
            return {MEMORY_LIMIT: memory_bytes(self.spec), "elapsed_s": outcome.elapsed_s}
        return None


def _facts(spec: SweepSpec) -> dict[str, Any]:
    """What is asked once a sweep: the commit, the models, and the seed of the running order."""
    from workbench.sweep.records.environment import git_state, model_facts

    models = [arm.parameters["model"] for arm in configurations(spec) if arm.parameters.get("model") is not None]
    return {"git": git_state(spec.notebook_path.parent), "models": model_facts(models), "seed": spec.seed}
