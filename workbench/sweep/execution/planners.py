"""What runs next: the grid, then further blocks where the ranking is undecided, then a confirmation of what was chosen.

A planner is asked when everything it has asked for has ended. What follows from findings is decided once and noted in
``agenda.json`` before any of it runs, so that a driver that was killed, more blocks added later, or a result taken back
never change what was asked for. Knows neither ledger nor processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import StoreCorrupt
from workbench.storage import read_json, write_json
from workbench.sweep.design.planning import Cell, Phase, cells_of_block, plan
from workbench.sweep.execution.standing import State
from workbench.sweep.records.table import Run
from workbench.sweep.specification.spec import SweepSpec

AGENDA = "agenda.json"


class Planner(Protocol):
    """Says what runs next."""

    def next_cells(self, runs: Sequence[Run]) -> list[Cell]:
        """Cells to be run, in order; those that have ended already are passed over. None: this planner is through.

        Args:
            runs: finished runs of everything planned so far, confirmations left out.
        """
        ...


class Agenda:
    """Blocks that were decided upon because of findings.

    Args:
        spec: the sweep's.
        folder: its results folder; the file there is made with the first decision.

    Raises:
        StoreCorrupt: the file cannot be read.
    """

    def __init__(self, spec: SweepSpec, folder: Path) -> None:
        self.spec, self.path = spec, folder / AGENDA
        self._noted: list[dict[str, Any]] = self._read()

    def blocks(self, phase: Phase) -> list[list[Cell]]:
        """The blocks of a phase, each in running order.

        Cells of a notebook that was another one then, or of configurations that are gone, are no longer part of it.
        """
        return [
            cells for noted in self._noted if noted["phase"] == phase and (cells := self._cells(phase, noted)) != []
        ]

    def cells(self) -> list[Cell]:
        """All of them, further blocks first."""
        phases: tuple[Phase, ...] = ("more", "confirm")
        return [cell for phase in phases for block in self.blocks(phase) for cell in block]

    def decide(self, phase: Phase, labels: Sequence[str], count: int = 1) -> list[list[Cell]]:
        """Note ``count`` fresh blocks of the configurations with these labels, all of them or none."""
        first = 1 + max((cell.block for block in self.blocks(phase) for cell in block), default=-1)
        blocks = [cells_of_block(self.spec, labels, phase, first + number) for number in range(count)]
        self._noted += [
            {"phase": phase, "block": cells[0].block, "labels": list(labels), "cells": [cell.id for cell in cells]}
            for cells in blocks
            if cells
        ]
        write_json(self.path, {"blocks": self._noted})
        return blocks

    def _cells(self, phase: Phase, noted: dict[str, Any]) -> list[Cell]:
        known = {cell.id: cell for cell in cells_of_block(self.spec, noted["labels"], phase, noted["block"])}
        return [known[cell] for cell in noted["cells"] if cell in known]

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        try:
            found = [dict(one) for one in read_json(self.path)["blocks"]]
            _ = [(one["phase"], one["block"], *one["labels"], *one["cells"]) for one in found]
        except (KeyError, TypeError, ValueError) as error:
            raise StoreCorrupt(
                self.path, f"{error!r}. Move the file away: further blocks are then decided upon anew."
            ) from error
        return found


class Grid:
    """Every configuration in every block."""

    def __init__(self, spec: SweepSpec) -> None:
        self._waiting = plan(spec)

    def next_cells(self, runs: Sequence[Run]) -> list[Cell]:  # noqa: ARG002 - nothing found changes the grid
        """All of it, once."""
        cells, self._waiting = self._waiting, []
        return cells


class MoreBlocks:
    """Further blocks, one after the other, of what is undecided after all blocks before."""

    def __init__(self, spec: SweepSpec, agenda: Agenda) -> None:
        self.spec, self.agenda, self._asked = spec, agenda, 0

    def next_cells(self, runs: Sequence[Run]) -> list[Cell]:
        """The next block: as it was decided upon, or what is undecided now."""
        from workbench.sweep.findings.ranking import undecided

        decided = self.agenda.blocks("more")
        if self._asked == len(decided):
            labels = undecided(self.spec, runs) if len(decided) < self.spec.more_blocks else ()
            if not labels:
                return []
            decided += self.agenda.decide("more", sorted(labels))
        self._asked += 1
        return decided[self._asked - 1]


class Confirmation:
    """Fresh blocks of what was chosen and what it is held against."""

    def __init__(self, spec: SweepSpec, agenda: Agenda) -> None:
        self.spec, self.agenda, self._asked = spec, agenda, False

    def next_cells(self, runs: Sequence[Run]) -> list[Cell]:
        """All confirmations, once: those decided upon, and as many fresh ones as what is chosen now still lacks."""
        if self._asked:
            return []
        self._asked = True
        self._decide(runs)
        return [cell for block in self.agenda.blocks("confirm") for cell in block]

    def _decide(self, runs: Sequence[Run]) -> None:
        from workbench.sweep.findings.ranking import finalists

        chosen = finalists(self.spec, runs) if self.spec.confirm else ()
        have = [
            block
            for block in self.agenda.blocks("confirm")
            if set(chosen) <= {cell.configuration.label for cell in block}
        ]
        if chosen and len(have) < self.spec.confirm:
            self.agenda.decide("confirm", chosen, self.spec.confirm - len(have))


def planners(spec: SweepSpec, agenda: Agenda, state: Callable[[Cell], State]) -> list[Planner]:
    """Who says what runs, one after the other.

    Args:
        spec: the sweep's.
        agenda: of its results folder.
        state: what has become of a cell that was asked for.
    """
    if spec.mode == "search":
        from workbench.sweep.search.planners import search_planners

        return search_planners(spec, agenda.path.parent, state)
    return [Grid(spec), MoreBlocks(spec, agenda), Confirmation(spec, agenda)]


def planned(spec: SweepSpec, agenda: Agenda) -> list[Cell]:
    """Every cell that is planned so far, in running order."""
    if spec.mode == "search":
        from workbench.sweep.search.planners import planned_by_search

        return planned_by_search(spec, agenda.path.parent)
    return [*plan(spec), *agenda.cells()]
