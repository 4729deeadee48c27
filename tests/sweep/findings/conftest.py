import itertools

import pytest

from workbench.interfaces import Record
from workbench.sweep.design.planning import cells_of_block, plan
from workbench.sweep.findings.analysis import analyse
from workbench.sweep.findings.ranking import finalists, undecided
from workbench.sweep.records.table import Run
from workbench.sweep.results import Audit


@pytest.fixture
def finished():
    """Runs of cells, `measure(cell, order)` → metrics; None: the run failed."""

    def run(cells, measure, *, first=1, host="bench", environment=None, info=None):
        runs = []
        for order, cell in zip(itertools.count(first), cells, strict=False):
            metrics = measure(cell, order)
            if metrics is not None:
                runs.append(
                    Run(
                        cell=cell,
                        order=order,
                        host=host,
                        started=1.7e9 + order,
                        elapsed_s=1.0,
                        record=Record(metrics=metrics, info=info or {}),
                        environment={"host": host, **(environment or {})},
                        folder=f"runs/{cell.id}-1",
                    )
                )
        return runs

    return run


@pytest.fixture
def driven(finished):
    """What a driver does: the grid, further blocks while the ranking is undecided, the confirmation.

    Returns the runs, the confirmations, and the labels of each further block.
    """

    def drive(spec, measure, **options):
        runs = finished(plan(spec), measure, **options)
        asked = []
        while len(asked) < spec.more_blocks and (labels := undecided(spec, runs)):
            cells = cells_of_block(spec, labels, "more", len(asked))
            asked.append(labels)
            runs += finished(cells, measure, first=len(runs) + 1, **options)
        chosen = finalists(spec, runs) if spec.confirm else ()
        fresh = [cell for block in range(spec.confirm) for cell in cells_of_block(spec, chosen, "confirm", block)]
        confirmations = finished(fresh, measure, first=len(runs) + 1, **options) if chosen else []
        return runs, confirmations, asked

    return drive


@pytest.fixture
def analysed(driven):
    """Analysis of a sweep that was driven to its end."""

    def run(spec, measure, *, boundaries=(), **options):
        runs, confirmations, _ = driven(spec, measure, **options)
        audit = Audit(planned=len(runs), done=len(runs), failed=0, missing=0)
        return analyse(spec, runs, audit, confirmations=confirmations, boundaries=boundaries)

    return run
