"""One run: a notebook through papermill, its own kernel below the process this is called in.

Whether it is done or failed is said by the exception or its absence and by the record, never by the notebook file:
after ``kill -9`` of a kernel papermill saves one in which every cell is "completed". Knows neither ledger nor blocks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import CellFailed
from workbench.hardware import EnergyMeter
from workbench.interfaces import Job
from workbench.models.profiles import VARIABLE as PROFILE_VARIABLE
from workbench.storage import write_json
from workbench.sweep.execution.kernels import Kernel
from workbench.sweep.execution.renewal import print_into
from workbench.sweep.records import environment
from workbench.sweep.records.recording import RECORD_VARIABLE, load_record, to_dict

LOG = "log.txt"
OUTCOME = "outcome.json"
NOTEBOOK = "notebook.ipynb"
RECORD = "record.json"


def run_cell(job: Job) -> Mapping[str, Any]:
    """Run one cell of a sweep.

    Args:
        job: payload with ``notebook`` (the file to run), ``working_folder`` (where it runs), ``parameters``, ``folder``
            (where the executed notebook, the record and the log go) and ``build_cache``.

    Returns:
        ``record`` and ``environment``.

    Raises:
        CellFailed: the notebook failed, its kernel died, or it recorded nothing.
    """
    with Kernel() as kernel:
        return run_in(kernel, job.id, job.payload)


def run_in(
    kernel: Kernel, cell: str, payload: Mapping[str, Any], *, timeout_s: float | None = None
) -> Mapping[str, Any]:
    """Run one cell in a kernel; whatever is in this process's standard output goes into its log.

    Args:
        kernel: a new one, or one that has run other cells.
        cell: the cell's id.
        payload: as :func:`run_cell`'s job has it.
        timeout_s: its deadline; ``None``: whoever watches this process has one.

    Returns:
        ``record`` and ``environment``.

    Raises:
        CellFailed: as :func:`run_cell`.
    """
    started, folder = time.monotonic(), Path(payload["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    print_into(str(folder / LOG))
    record = folder / RECORD
    record.unlink(missing_ok=True)
    energy = EnergyMeter()
    kernel.run(
        Path(payload["notebook"]),
        parameters=payload["parameters"],
        output=folder / NOTEBOOK,
        folder=payload["working_folder"],
        # what is compared is what the specification says, not what profile lies on disk
        environment={RECORD_VARIABLE: str(record), PROFILE_VARIABLE: "off"},
        log=folder / LOG,
        timeout_s=timeout_s,
    )
    if not record.exists():
        raise CellFailed("the notebook recorded nothing: end it with workbench.record(...)")
    result = {
        "record": to_dict(load_record(record)),
        "environment": environment.capture(build_cache=Path(payload["build_cache"]), energy=energy),
    }
    # should the driver die before it has noted this run, it finds it here
    write_json(folder / OUTCOME, {"cell": cell, "elapsed_s": time.monotonic() - started, "result": result})
    return result
