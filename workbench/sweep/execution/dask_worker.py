"""What a Dask worker does for :mod:`.dask_executor`: one job at a time, below a supervisor of its own, JSON in and out.

The worker process itself runs nothing of a job: a job that crashes, hangs or fills the memory must not take the worker
along, and needs the deadline and the limits every local run has.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import platform
import traceback
from typing import Any

from workbench.interfaces import Job, Outcome
from workbench.sweep.execution.local import LocalExecutor

_mine: list[LocalExecutor] = []


def work(request: str) -> str:
    """Run one job.

    Args:
        request: JSON with ``job`` (the fields of a :class:`Job`), ``module`` and ``function``.

    Returns:
        The fields of its :class:`Outcome`, as JSON.
    """
    asked = json.loads(request)
    try:
        function: Any = importlib.import_module(asked["module"])
    except ImportError:
        return json.dumps(dataclasses.asdict(_unknown(asked["module"])))
    for part in asked["function"].split("."):
        function = getattr(function, part)
    if not _mine:
        _mine.append(LocalExecutor())
    [(_, outcome)] = _mine[0].run([Job(**asked["job"])], function)
    return json.dumps(dataclasses.asdict(outcome), allow_nan=False)


def stop() -> None:
    """End what runs on this worker, and its supervisor; the next job starts a new one."""
    while _mine:
        _mine.pop().close()


def _unknown(module: str) -> Outcome:
    why = f"this worker cannot import {module}: install the same environment there\n{traceback.format_exc(limit=1)}"
    return Outcome(
        status="failed",
        result=None,
        error=why,
        elapsed_s=0.0,
        host=platform.node(),
        reason="error",
    )
