"""A sweep whose driver is killed again and again: what was finished has to count, once.

``kill -9`` runs no handler and flushes no buffer. Cells are stubs that take milliseconds, so that the kills hit every
step of a driver's work: beginning an attempt, waiting, noting its end, planning, analysing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from workbench.errors import SweepError
from workbench.evaluation.memory_processes import kill_moments
from workbench.interfaces import Job
from workbench.storage import write_json
from workbench.storage.ledger import Attempt, Ledger
from workbench.sweep.execution.jobs import OUTCOME
from workbench.sweep.execution.runner import Sweep
from workbench.sweep.specification.spec import SweepSpec

_ARMS = 5
_DRIVER = "import sys; from workbench.sweep.execution.trial import drive; drive(sys.argv[1])"
_FINISH_S = 600.0


def kill_driver(
    folder: Path | str, *, kills: int = 40, blocks: int = 100, longest_s: float = 1.0, seed: int = 1
) -> dict[str, int]:
    """Kill a driver at random moments, look into the ledger each time, then let the sweep finish.

    Args:
        folder: a new one.
        kills: how often.
        blocks: of five cells each; enough that the sweep is not over before the last kill.
        longest_s: latest moment after the driver was ready to run.
        seed: of the moments.

    Returns:
        ``cells``: planned; ``killed_at_work``: kills that hit a driver that was still running; ``cut_off``:
        attempts that were running then and did not reach their end; ``lost``: runs that had
        ended, or stood in the ledger as done, and do not count in the end; ``doubled``: cells that count, or were run
        to their end, more than once; ``missing``: cells without a result in the end.

    Raises:
        SweepError: a driver did not start, or the last one failed.
    """
    specification = _specification(Path(folder), blocks)
    sweep, at_work = Sweep(SweepSpec.from_file(specification)), 0
    seen: dict[tuple[str, int], float] = {}
    for after_s in kill_moments(kills, seed=seed, longest_s=longest_s):
        at_work += _kill(specification, after_s)
        seen |= _done(sweep)
    _finish(specification)
    return {"killed_at_work": at_work, **account(sweep, seen)}


def account(sweep: Sweep, seen: Mapping[tuple[str, int], float]) -> dict[str, int]:
    """What has become of a sweep's cells.

    Args:
        sweep: one that has finished.
        seen: (cell, attempt) → when it ended, of attempts that stood in the ledger as done at any time.
    """
    done = _done(sweep)
    ended = {(left["cell"], number) for left, number in _left_behind(sweep)}
    counted = Counter(cell for cell, _ in done)
    finished = Counter(cell for cell, _ in ended)
    rows = Counter(sweep.frame()["cell"])
    planned = {cell.id for cell in sweep.plan()}
    changed = sum(done.get(attempt) != when for attempt, when in seen.items())
    return {
        "cells": len(planned),
        "lost": len(ended - set(done)) + changed,
        "doubled": sum(counter[cell] > 1 for counter in (counted, finished, rows) for cell in counter),
        "cut_off": sum(attempt.status == "abandoned" for attempt in _attempts(sweep)),
        "missing": len(planned - set(counted)) + len(planned - set(rows)),
    }


def drive(specification: str) -> None:
    """What the process that is killed does."""
    sweep = Sweep(SweepSpec.from_file(specification), function=leave_outcome)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sweep.run(progress=False)


def leave_outcome(job: Job) -> Mapping[str, Any]:
    """Measure nothing, and leave what a cell that reached its end leaves in its ``folder``."""
    time.sleep(0.01)
    result = {"record": {"metrics": {"speed": 1.0}, "info": {}, "series": {}}, "environment": {}}
    write_json(Path(job.payload["folder"]) / OUTCOME, {"cell": job.id, "elapsed_s": 0.01, "result": result})
    return result


def _specification(folder: Path, blocks: int) -> Path:
    """A sweep on disk: a specification and a notebook that is never executed."""
    cell = nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "trial.ipynb")
    path = folder / "trial.yaml"
    parts = {
        "name": "trial",
        "notebook": "trial.ipynb",
        "parameters": {"a": list(range(_ARMS))},
        "blocks": blocks,
        "timeout_s": 60,
        "objectives": [{"metric": "speed", "direction": "maximize"}],
    }
    path.write_text(json.dumps(parts), encoding="utf-8")  # JSON is YAML
    return path


def _start(specification: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603 - this interpreter, a constant program
        [sys.executable, "-c", _DRIVER, str(specification)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with process.stdout or sys.stdin as told:
        if told.readline() != "ready\n":
            process.kill()
            raise SweepError(f"The driver did not start (exit status {process.wait()}).")
    return process


def _kill(specification: Path, after_s: float) -> bool:
    """Kill a driver; whether it was still at work."""
    process = _start(specification)
    time.sleep(after_s)
    at_work = process.poll() is None
    process.kill()
    process.wait()
    return at_work


def _finish(specification: Path) -> None:
    process = _start(specification)
    try:
        status = process.wait(_FINISH_S)
    finally:
        process.kill()
    if status:
        raise SweepError(f"The driver that was left alone failed with exit status {status}.")


def _done(sweep: Sweep) -> dict[tuple[str, int], float]:
    """(cell, attempt) → when it ended, of attempts that count."""
    done = [attempt for attempt in _attempts(sweep) if attempt.status == "done"]
    return {(attempt.cell, attempt.attempt): attempt.finished or 0.0 for attempt in done}


def _attempts(sweep: Sweep) -> list[Attempt]:
    path = sweep.folder / "ledger.sqlite"
    if not path.exists():
        return []
    with Ledger(path, readonly=True) as ledger:
        return ledger.attempts()


def _left_behind(sweep: Sweep) -> list[tuple[dict[str, Any], int]]:
    """What runs that reached their end wrote, with the number of the attempt."""
    paths = (sweep.folder / "runs").glob(f"*/{OUTCOME}")
    return [(json.loads(path.read_text()), int(path.parent.name.rpartition("-")[2])) for path in paths]
