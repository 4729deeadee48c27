"""What a search has asked for, in ``search.json``: noted before it runs, so that a driver that is killed asks the same.

What came of it is the ledger's affair. Trials of another notebook, of other fixed parameters or from outside of the
present space are no longer part of the search.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import StoreCorrupt
from workbench.storage import read_json, write_json
from workbench.sweep.design.configurations import of_row
from workbench.sweep.design.planning import Cell, cells_of, configurations, reference
from workbench.sweep.search.space import Row, Space, how
from workbench.sweep.search.trials import Trial
from workbench.sweep.specification.spec import SweepSpec

JOURNAL = "search.json"


class Journal:
    """Trials and finalists that were decided upon.

    Args:
        spec: with ``mode: search``.
        folder: its results folder; the file there is made with the first trial.

    Raises:
        StoreCorrupt: the file cannot be read.
    """

    def __init__(self, spec: SweepSpec, folder: Path) -> None:
        self.spec, self.path, self.space = spec, folder / JOURNAL, Space(spec)
        self.baseline = reference(configurations(spec))
        noted = self._read()
        self._noted: list[dict[str, Any]] = noted["trials"]
        self._finalists: dict[str, Any] | None = noted["finalists"]
        self.trials = [trial for one in self._noted if (trial := self._trial(one)) is not None]

    def ask(self, rows: Sequence[Row]) -> list[Cell]:
        """Note trials of these configurations, all of them or none; returns their cells in running order."""
        first = 1 + max((block for one in self._noted for block in one["blocks"]), default=-1)
        fresh = []
        for at, row in enumerate(rows):
            start = first + at * how(self.spec).repeats
            fresh.append(self._made(row, range(start, start + how(self.spec).repeats)))
        self._noted += [
            {
                "row": dict(trial.row),
                "blocks": sorted({cell.block for cell in trial.cells}),
                "cells": [cell.id for cell in trial.cells],
            }
            for trial in fresh
        ]
        self.trials += fresh
        self._write()
        return [cell for trial in fresh for cell in trial.cells]

    @property
    def finalists(self) -> list[Row] | None:
        """Who goes on; ``None``: not decided, or decided before the latest trials."""
        if self._finalists is None or self._finalists["after"] != len(self.trials):
            return None
        rows: list[Row] = self._finalists["rows"]
        return rows

    def decide(self, rows: Sequence[Row]) -> None:
        """Note who goes on."""
        self._finalists = {"after": len(self.trials), "rows": [dict(row) for row in rows]}
        self._write()

    def cells(self) -> list[Cell]:
        """Of all trials, in the order they were asked for."""
        return [cell for trial in self.trials for cell in trial.cells]

    def _made(self, row: Row, blocks: Sequence[int]) -> Trial:
        arms = [of_row(self.spec, row), self.baseline]
        cells = [cell for block in blocks for cell in cells_of(self.spec, arms, "search", block)]
        return Trial(row=row, cells=tuple(cells))

    def _trial(self, noted: dict[str, Any]) -> Trial | None:
        row = noted["row"]
        whole = set(row) == set(self.space.names)  # what is left out has nothing that a condition could be held against
        if self.space.chosen(row) is None or (whole and self.space.objection(row) is not None):
            return None
        trial = self._made(row, noted["blocks"])
        return trial if sorted(cell.id for cell in trial.cells) == sorted(noted["cells"]) else None

    def _write(self) -> None:
        write_json(self.path, {"trials": self._noted, "finalists": self._finalists})

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {"trials": [], "finalists": None}
        try:
            found = read_json(self.path)
            trials, last = found["trials"], found["finalists"]
            _ = [(*one["row"].items(), *one["blocks"], *one["cells"]) for one in trials]
            _ = last is None or (last["after"], [row.items() for row in last["rows"]])
        except (AttributeError, KeyError, TypeError) as error:
            raise StoreCorrupt(self.path, f"{error!r}. Move the file away: the search then begins anew.") from error
        return {"trials": trials, "finalists": last}
