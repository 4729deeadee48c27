"""A split plot: several cells in one kernel, so that what is slow to change is set up once.

Each cell is parameterised, executed, recorded and ended as if it were alone; names, tracebacks and environment of the
one before are gone (:mod:`.renewal`), and every context is new. What stays are imported modules and, by
``WORKBENCH_KEEP_WEIGHTS``, a model's weights until another model is loaded (:mod:`workbench.engine.native.kept`). A
model's load is thus in the first cell that needs it only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.engine.native.kept import VARIABLE as KEEP_VARIABLE
from workbench.errors import CellFailed
from workbench.interfaces import Job
from workbench.storage import write_json
from workbench.sweep.execution.cell import OUTCOME, run_in
from workbench.sweep.execution.kernels import Kernel


def run_plot(job: Job) -> Mapping[str, Any]:
    """Run the cells of a plot in the given order.

    An error in one does not stop the next. A kernel that died, or that had to be killed at a cell's deadline, ends the
    plot: cells after it are in no result, and are to be asked for again.

    Args:
        job: payload with ``cells``: payloads as :func:`workbench.sweep.execution.cell.run_cell` takes them, each with
            its ``id``. Its ``timeout_s`` is the sum of the cells': each may take its equal part.

    Returns:
        ``cells``: cell id → ``record``, ``environment`` and ``elapsed_s``, or ``error``, ``reason`` and ``elapsed_s``.
    """
    cells = job.payload["cells"]
    timeout_s = None if job.timeout_s is None else job.timeout_s / len(cells)
    ended: dict[str, Any] = {}
    os.environ[KEEP_VARIABLE] = "1"  # the kernel inherits it
    with Kernel() as kernel:
        for cell in cells:
            ended[cell["id"]] = _run_one(kernel, cell, timeout_s)
            if not kernel.alive:
                break
    return {"cells": ended}


def _run_one(kernel: Kernel, cell: Mapping[str, Any], timeout_s: float | None) -> dict[str, Any]:
    started = time.monotonic()
    try:
        found = run_in(kernel, cell["id"], cell, timeout_s=timeout_s)
    except CellFailed as error:
        said = f"\n{error.log}" if error.log else ""
        failure = {"error": error.reason + said, "reason": error.kind, "elapsed_s": time.monotonic() - started}
        # should the plot be cut off later, its driver does not take this one for the one that was running
        write_json(Path(cell["folder"]) / OUTCOME, {"cell": cell["id"], **failure})
        return failure
    return {**found, "elapsed_s": time.monotonic() - started}
