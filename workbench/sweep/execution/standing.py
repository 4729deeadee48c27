"""How a sweep stands: what has become of each planned cell, by the ledger's word. Reads; runs and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from workbench.errors import SweepError
from workbench.storage.ledger import Attempt, counting
from workbench.sweep.design.planning import Cell, Phase
from workbench.sweep.execution.spending import Spending
from workbench.sweep.records.attempt_file import run_folder
from workbench.sweep.records.recording import from_dict
from workbench.sweep.records.table import Run
from workbench.sweep.results import Audit, Boundary
from workbench.sweep.specification.spec import SweepSpec

State = Literal["done", "failed", "out_of_memory", "left_out", "missing"]

MEMORY_LIMIT = "memory_limit_bytes"
"""In the payload of a run that was out of memory: the limit it ran under, ``None`` for the machine's."""

_ENOUGH = 2
"""Blocks in which a configuration runs out of memory before its others are left out: one may be an accident."""


class Standing:
    """The state of every planned cell: exactly one each, so that an audit always adds up.

    Args:
        spec: for its limits.
        cells: what is planned so far.
        attempts: everything in the ledger, in the order it began.
    """

    def __init__(self, spec: SweepSpec, cells: Iterable[Cell], attempts: Iterable[Attempt]) -> None:
        attempts = list(attempts)
        self.spec = spec
        self.cells: dict[str, Cell] = {}
        self.failures: Counter[str] = Counter()
        self.spending = Spending(spec.budget)
        self._counted = counting(attempts)
        self._full: dict[str, set[str]] = {}
        for attempt in attempts:
            self._count(attempt)
        self.extend(cells)

    def extend(self, cells: Iterable[Cell]) -> None:
        """More cells are planned. Those that are known already change nothing."""
        for cell in cells:
            self.cells[cell.id] = cell
            self._note_memory(cell)

    def note(self, attempt: Attempt) -> None:
        """An attempt has ended."""
        present = self._counted.get(attempt.cell)
        self._counted |= counting([*([present] if present else []), attempt])
        self._count(attempt)
        if attempt.cell in self.cells:
            self._note_memory(self.cells[attempt.cell])

    def state(self, cell: Cell) -> State:
        """What has become of a cell."""
        attempt = self._counted.get(cell.id)
        if attempt is not None and attempt.status == "done":
            return "done"
        if attempt is not None and attempt.reason != "out_of_memory":
            return "failed"
        if attempt is not None and self._still_holds(attempt):
            return "out_of_memory"
        return "left_out" if self.hopeless(cell) or self.spending.over else "missing"

    def hopeless(self, cell: Cell) -> bool:
        """Whether its configuration has shown in other blocks that it does not fit into memory."""
        return len(self._full.get(cell.configuration.label, ())) >= _ENOUGH

    def audit(self, phase: Phase | None = None) -> Audit:
        """How many cells ended how; of one phase only, or of all."""
        cells = [cell for cell in self.cells.values() if phase in (None, cell.phase)]
        states = Counter(map(self.state, cells))
        return Audit(
            planned=len(cells),
            done=states["done"],
            failed=states["failed"],
            missing=states["missing"],
            out_of_memory=states["out_of_memory"],
            left_out=states["left_out"],
            failures=tuple(
                (cell.label, self._counted[cell.id].error or "") for cell in cells if self.state(cell) == "failed"
            ),
        )

    def unplanned(self) -> int:
        """Finished runs of cells that are not planned: of levels that were changed, fewer blocks, edited code."""
        return sum(attempt.status == "done" and cell not in self.cells for cell, attempt in self._counted.items())

    def boundaries(self) -> tuple[Boundary, ...]:
        """Configurations that did not fit into memory, in the order of the plan."""
        found: dict[str, list[Cell]] = {}
        for cell in self.cells.values():
            if self.state(cell) == "out_of_memory":
                found.setdefault(cell.configuration.label, []).append(cell)
        return tuple(
            Boundary(
                label=label,
                configuration=cells[0].configuration.varied,
                runs=len(cells),
                said=max((self._counted[cell.id] for cell in cells), key=lambda last: last.sequence).error or "",
            )
            for label, cells in found.items()
        )

    def runs(self) -> list[Run]:
        """Finished runs of planned cells, each cell at most once, in the order of the plan."""
        return [_as_run(cell, self._counted[cell.id]) for cell in self.cells.values() if self.state(cell) == "done"]

    def _count(self, attempt: Attempt) -> None:
        self.spending.add(attempt)
        if attempt.status == "failed" and attempt.reason != "out_of_memory":
            self.failures[attempt.cell] += 1

    def _note_memory(self, cell: Cell) -> None:
        attempt, full = self._counted.get(cell.id), self._full.setdefault(cell.configuration.label, set())
        out = attempt is not None and attempt.reason == "out_of_memory" and attempt.status == "failed"
        if attempt is not None and out and self._still_holds(attempt):
            full.add(cell.id)
        else:
            full.discard(cell.id)

    def _still_holds(self, attempt: Attempt) -> bool:
        """Whether a run that was out of memory says anything about the limit there is now: not if that is higher."""
        then, now = (attempt.payload or {}).get(MEMORY_LIMIT), memory_bytes(self.spec)
        return then is None or (now is not None and now <= then)


def memory_bytes(spec: SweepSpec) -> int | None:
    """What a run's processes may hold together; ``None``: what the machine has."""
    return None if spec.memory_limit_gib is None else int(spec.memory_limit_gib * 2**30)


def _as_run(cell: Cell, attempt: Attempt) -> Run:
    payload: Mapping[str, object] | None = attempt.payload
    if payload is None:
        raise SweepError(f"The finished run {attempt.cell} left nothing in the ledger.")
    elapsed_s = float(attempt.payload["elapsed_s"])  # type: ignore[index]
    # one that waited (in a plot, in a cluster's queue) began later than it was handed out
    ended = attempt.started + elapsed_s if attempt.finished is None else attempt.finished
    return Run(
        cell=cell,
        order=attempt.sequence,
        host=attempt.host,
        started=max(attempt.started, ended - elapsed_s),
        elapsed_s=elapsed_s,
        record=from_dict(attempt.payload["record"]),  # type: ignore[index]
        environment=attempt.payload["environment"],  # type: ignore[index]
        folder=run_folder(Path(), cell.id, attempt.attempt).as_posix(),
    )
