"""A results folder as a driver leaves it, without running anything."""

import dataclasses

import pytest

from workbench.storage.ledger import Ledger
from workbench.sweep.design.planning import Cell, Configuration, label_of
from workbench.sweep.records.attempt_file import end_attempt
from workbench.sweep.records.compaction import About
from workbench.sweep.records.store import Records

ENVIRONMENT = {"host": "bench", "load_1min": 0.5, "git": {"commit": "c0ffee", "dirty": False}, "gpu_readings": []}


@dataclasses.dataclass
class Folder:
    """A results folder, its ledger and its cells."""

    path: object
    ledger: Ledger
    cells: dict

    def cell(self, block=0, arm="grid", **varied):
        """A cell of the plan."""
        configuration = Configuration(
            label=label_of(varied), arm=arm, parameters={"model": "tiny", **varied}, varied=varied
        )
        cell = Cell(id=f"cell{len(self.cells)}", configuration=configuration, block=block)
        self.cells[cell.id] = cell
        return cell

    def run(self, cell, *, status="done", series=None, info=None, error=None, reason=None, **metrics):
        """One attempt at a cell, to its end."""
        number = self.ledger.begin(cell.id, host="bench")
        record = {"metrics": metrics, "info": info or {}, "series": series or {}}
        done = {"record": record, "environment": ENVIRONMENT, "elapsed_s": 1.5}
        return end_attempt(
            self.ledger,
            self.path,
            cell,
            number,
            status=status,
            payload=done if status == "done" else None,
            error=error,
            reason=reason,
        )

    def records(self):
        """As a sweep sees them."""
        return Records(self.path, cells=self.cells, about=About(name="trial", title="A trial", objectives=["speed"]))


@pytest.fixture
def results(tmp_path):
    with Ledger(tmp_path / "results" / "ledger.sqlite") as ledger:
        yield Folder(tmp_path / "results", ledger, {})
