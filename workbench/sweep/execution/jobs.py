"""From cells to jobs and back: one job a cell, or one a whole plot where a parameter is slow to change.

Knows payloads and outcomes; neither the ledger nor what decides on cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.interfaces import Job, Outcome
from workbench.storage import read_json
from workbench.sweep.design.order import PlotKey, whole_plot
from workbench.sweep.design.planning import Cell, Phase
from workbench.sweep.execution.standing import memory_bytes
from workbench.sweep.specification.spec import SweepSpec

CellFunction = Callable[[Job], Mapping[str, Any]]

OUTCOME = "outcome.json"
NOT_BEGUN = "the plot ended before it began"


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One attempt at a cell.

    Attributes:
        cell: what is tried.
        attempt: its number in the ledger.
        folder: where it leaves its files.
    """

    cell: Cell
    attempt: int
    folder: Path


class Jobs:
    """Makes the jobs of a sweep.

    Args:
        spec: the sweep's.
        folder: its results folder.
    """

    def __init__(self, spec: SweepSpec, folder: Path) -> None:
        self.spec, self.folder = spec, folder
        self.notebook = folder / "source.ipynb"

    def make(self, tries: Sequence[Try]) -> Job:
        """One job of all of them; ``slow`` or not is the sweep's, not the job's, since one function runs them all.

        Its deadline is the sum of the runs', its memory that of one: they run one after the other.
        """
        payloads = [self._payload(one) for one in tries]
        first = tries[0].cell.id
        return Job(
            id=first if len(tries) == 1 else f"{first}+{len(tries) - 1}",
            payload={"cells": payloads} if self.spec.slow else payloads[0],
            timeout_s=self.spec.timeout_s * len(tries),
            memory_bytes=memory_bytes(self.spec),
            group=f"{tries[0].cell.phase} {tries[0].cell.block}",
        )

    def function(self) -> CellFunction:
        """What runs such a job."""
        if self.spec.slow:
            from workbench.sweep.execution.plot import run_plot

            return run_plot
        from workbench.sweep.execution.cell import run_cell

        return run_cell

    def plot(self, cell: Cell) -> tuple[Phase, int, PlotKey]:
        """Equal for cells that one job may hold."""
        return cell.phase, cell.block, whole_plot(cell.configuration, self.spec.slow)

    def _payload(self, one: Try) -> dict[str, Any]:
        return {
            "id": one.cell.id,
            "notebook": str(self.notebook),
            "working_folder": str(self.spec.notebook_path.parent),
            "parameters": dict(one.cell.configuration.parameters),
            "folder": str(one.folder),
            "build_cache": str(self.folder / "builds"),
            "label": one.cell.configuration.label,
            "block": one.cell.block,
            "phase": one.cell.phase,
        }


def outcomes(job: Job, tries: Sequence[Try], outcome: Outcome) -> Iterator[tuple[Try, Outcome]]:
    """What a job's outcome says of each of its cells.

    Of a plot that was cut off, what had ended counts; the first cell that had not is taken to be the one that ended
    it; those behind it are lost without fault and to be asked for again.
    """
    if "cells" not in job.payload:
        yield tries[0], outcome
        return
    told = (outcome.result or {}).get("cells", {})
    culprit = outcome.status == "failed" or not told  # a plot that says nothing of any cell did not do its work
    for one in tries:
        found = told.get(one.cell.id) or left_behind(one.folder, one.cell.id)
        if found is not None:
            yield one, of_cell(found, outcome.host)
        elif culprit and outcome.reason != "lost":
            culprit = False
            error = outcome.error or "the plot left no result of any of its cells"
            yield one, replace(outcome, status="failed", result=None, error=error, reason=outcome.reason or "error")
        else:
            lost = outcome.error if outcome.reason == "lost" else NOT_BEGUN
            yield one, replace(outcome, status="failed", result=None, error=lost, reason="lost", elapsed_s=0.0)


def of_cell(found: Mapping[str, Any], host: str) -> Outcome:
    """An outcome from what a cell left, in a plot's result or in a file."""
    failed = "error" in found
    return Outcome(
        status="failed" if failed else "done",
        result=None if failed else {"record": found["record"], "environment": found.get("environment", {})},
        error=found.get("error"),
        elapsed_s=float(found.get("elapsed_s", 0.0)),
        host=host,
        reason=(found.get("reason") or "error") if failed else None,
    )


def left_behind(folder: Path, cell: str) -> dict[str, Any] | None:
    """What a cell that ended left in its folder, for whoever comes after its driver; ``None``: it did not end."""
    path = folder / OUTCOME
    if not path.exists():
        return None
    kept: dict[str, Any] = read_json(path)
    return {**kept.get("result", {}), **kept} if kept.get("cell") == cell else None
