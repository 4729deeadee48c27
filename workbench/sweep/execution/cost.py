"""What a cell costs beside the ``papermill`` command on the same notebook."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from workbench.errors import SweepError
from workbench.interfaces import Job
from workbench.sweep.execution.cell import run_cell
from workbench.sweep.execution.local import LocalExecutor
from workbench.sweep.records.recording import RECORD_VARIABLE


def cell_cost(pairs: int = 5) -> dict[str, Any]:
    """Run a notebook of one line by both ways, in turn (ABBA), each warmed up once.

    Returns:
        ``cell_s`` and ``papermill_s``: seconds of each run, in pairs; ``first_cell_s``: the first cell of a sweep,
        which also starts the process the others fork from.

    Raises:
        SweepError: one of them failed.
    """
    with tempfile.TemporaryDirectory(prefix="workbench-cost-") as name, LocalExecutor() as executor:
        folder = Path(name)
        notebook = _notebook(folder)

        def cell() -> float:
            return _timed(lambda: _cell(executor, notebook, folder))

        def papermill() -> float:
            return _timed(lambda: _papermill(notebook, folder))

        first, _ = cell(), papermill()
        found: dict[str, Any] = {"first_cell_s": first, "cell_s": [], "papermill_s": []}
        for number in range(pairs):
            ways = {"cell_s": cell, "papermill_s": papermill}
            for way in reversed(ways) if number % 2 else ways:
                found[way].append(ways[way]())
        return found


def _notebook(folder: Path) -> Path:
    code = ["a = 1", "import workbench\n\nworkbench.record(x=a)"]
    cells = [nbformat.v4.new_code_cell(source) for source in code]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    path = folder / "trivial.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def _timed(run: Any) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _cell(executor: LocalExecutor, notebook: Path, folder: Path) -> None:
    payload: Mapping[str, Any] = {
        "notebook": str(notebook),
        "working_folder": str(folder),
        "parameters": {"a": 2},
        "folder": str(folder / "run"),
        "build_cache": str(folder / "builds"),
    }
    ((_, outcome),) = executor.run([Job(id="cell", payload=payload)], run_cell)
    if outcome.error is not None:
        raise SweepError(f"The cell failed: {outcome.error}")


def _papermill(notebook: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "papermill", str(notebook), str(folder / "out.ipynb")]
    # what it records is nobody's: least of all the run's that measures this
    environment = {name: value for name, value in os.environ.items() if name != RECORD_VARIABLE}
    options = ["-p", "a", "2", "--cwd", str(folder), "--no-progress-bar"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, env=environment, check=False)  # noqa: S603 - this interpreter
    if done.returncode:
        raise SweepError(f"papermill failed: {done.stderr.strip()[-500:]}")
