"""One run: a notebook through papermill, in the process this is called in.

Whether it is done or failed is said by the exception or its absence and by the record, never by the notebook file:
after ``kill -9`` of a kernel papermill saves one in which every cell is "completed". Knows neither ledger nor blocks.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill import execute_notebook
from papermill.exceptions import PapermillExecutionError

from workbench.errors import CellFailed
from workbench.interfaces import Job
from workbench.models.profiles import VARIABLE as PROFILE_VARIABLE
from workbench.storage import write_json
from workbench.sweep.records import environment
from workbench.sweep.records.recording import RECORD_VARIABLE, load_record, to_dict
from workbench.sweep.specification import notebooks

LOG = "log.txt"
OUTCOME = "outcome.json"
NOTEBOOK = "notebook.ipynb"
RECORD = "record.json"

_LOG_BYTES = 4_000


class CellKernelManager(AsyncKernelManager):
    """Starts :mod:`.kernel` with this interpreter, whatever kernels are installed under which name."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """A specification made on the spot. No history: it is a file lock and a thread no run needs."""
        options = ["--HistoryManager.enabled=False", "--IPKernelApp.log_level=ERROR"]
        return KernelSpec(
            argv=[sys.executable, "-m", "workbench.sweep.execution.kernel", "-f", "{connection_file}", *options],
            display_name="Python",
            language="python",
        )

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
        """Kill it at once: what counts is recorded. Left alone, jupyter_client looks every 0.1 s whether it is dead."""
        process = getattr(self.provisioner, "process", None)
        if process is not None:
            process.kill()
            process.wait()
        await super().shutdown_kernel(now=now, restart=restart)


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
    payload, started = job.payload, time.monotonic()
    folder = Path(payload["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    _print_into(folder / LOG)
    record = folder / RECORD
    record.unlink(missing_ok=True)
    os.environ[RECORD_VARIABLE] = str(record)
    os.environ[PROFILE_VARIABLE] = "off"  # what is compared is what the specification says, not what lies on disk
    _execute(payload, folder)
    if not record.exists():
        raise CellFailed("the notebook recorded nothing: end it with workbench.record(...)")
    result = {
        "record": to_dict(load_record(record)),
        "environment": environment.capture(build_cache=Path(payload["build_cache"])),
    }
    # should the driver die before it has noted this run, it finds it here
    write_json(folder / OUTCOME, {"cell": job.id, "elapsed_s": time.monotonic() - started, "result": result})
    return result


def _execute(payload: Mapping[str, Any], folder: Path) -> None:
    partial = folder / ".partial.ipynb"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # papermill's and traitlets' own deprecations
            execute_notebook(
                notebooks.load(Path(payload["notebook"])),
                # braces in a path are placeholders to papermill
                str(partial).replace("{", "{{").replace("}", "}}"),
                parameters=dict(payload["parameters"]),
                kernel_name="python3",
                kernel_manager_class=CellKernelManager,
                cwd=payload["working_folder"],
                progress_bar=False,
                log_output=False,
                # saved between cells, so that a crash leaves what ran; never by the clock, amid a measurement
                autosave_cell_every=0,
                shutdown_kernel="immediate",
            )
    except PapermillExecutionError as error:
        where = f"cell [{error.exec_count}] of the notebook"
        raise CellFailed(f"{error.ename}: {error.evalue} (in {where})") from error
    except DeadKernelError as error:
        raise CellFailed(
            "the kernel died in mid-cell: killed, out of memory, or crashed", _tail(folder / LOG)
        ) from error
    finally:
        if partial.exists():
            os.replace(partial, folder / NOTEBOOK)


def _print_into(log: Path) -> None:
    """Standard output and error of this process and its kernel go to a file: the last words of a crash are kept."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _tail(log: Path) -> str:
    return log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
