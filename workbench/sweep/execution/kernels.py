"""A Jupyter kernel and the notebooks that go into it one after the other, parameterised and executed by papermill.

Papermill would start a kernel for each notebook; here it is handed one, by an engine of its own
(:class:`papermill.engines.Engine`). Between two notebooks the kernel is made as new (:mod:`.renewal`). Knows notebooks,
nothing of cells or records.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat
from jupyter_core.utils import run_sync
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill import execute_notebook
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger

from workbench.errors import CellFailed, StorageFull
from workbench.hardware.cgroup import oom_kills
from workbench.storage.atomic import NO_ROOM
from workbench.storage.redaction import Redaction
from workbench.sweep.execution import failures
from workbench.sweep.execution.jupyter import START_S, Client, Manager
from workbench.sweep.specification import notebooks

ENGINE = "workbench"

_LOG_CHARACTERS = 4_000
_GRACE_S = 10.0
_LEAST_S = 0.001
_OUTPUT_S = 30.0
_RENEW = "__import__('workbench.sweep.execution.renewal', fromlist=['renew']).renew({environment!r}, {log!r})"


# compiles the schema of notebooks, 0.1 s: once in the process that runs fork from, not in each of them
nbformat.validate(nbformat.v4.new_notebook())


class _Notebook(PapermillNotebookClient):  # type: ignore[misc]
    """Papermill's client; no key gets as far as a file."""

    redaction: Redaction

    def process_message(self, msg: Any, *arguments: Any, **options: Any) -> Any:
        """What the kernel says, before it becomes an output."""
        clean = {**msg, "content": self.redaction.within(msg["content"])}
        return super().process_message(clean, *arguments, **options)


class _Execution(Engine):  # type: ignore[misc]
    """Papermill's way of executing a notebook in a kernel that is there already."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, kernel: Kernel, **options: Any) -> None:
        del kernel_name, options
        kernel._execute(nb_man)


papermill_engines.register(ENGINE, _Execution)


class Kernel:
    """One kernel; a context manager. It starts with the first notebook. Not for several threads.

    Args:
        output_s: how long the last output of a notebook's cell may be on its way once the cell has ended.
    """

    def __init__(self, *, output_s: float = _OUTPUT_S) -> None:
        self._output_s = output_s
        self._manager = Manager()
        self._client: Client | None = None
        self._deadline = float("inf")
        self._kills = 0
        self._redaction = Redaction()

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self._manager.process is not None and self._manager.process.poll() is None

    def run(
        self,
        notebook: Path,
        *,
        parameters: Mapping[str, Any],
        output: Path,
        folder: str,
        environment: Mapping[str, str],
        log: Path,
        timeout_s: float | None = None,
    ) -> None:
        """Execute a notebook.

        Args:
            notebook: the file.
            parameters: replace the defaults of its cell tagged ``parameters``.
            output: the executed notebook, whole only when this returns or raises.
            folder: where it runs.
            environment: variables it sees besides those of this process.
            log: file for what its process prints past Python.
            timeout_s: longest time all its cells may take; over it the kernel is interrupted, and killed if it does not
                answer then.

        Raises:
            CellFailed: it raised, took too long, or the kernel died.
            StorageFull: no room for the executed notebook.
        """
        self._deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
        self._kills = oom_kills() or 0
        partial = output.with_name(".partial.ipynb")
        try:
            self._prepare(environment, log, folder)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # papermill's and traitlets' own deprecations
                self._through_papermill(notebook, partial, parameters, folder)
        except PapermillExecutionError as error:
            raise self._raised(error) from error
        except CellTimeoutError as error:
            self._interrupt()
            raise self._late(timeout_s) from error
        except (DeadKernelError, RuntimeError) as error:
            if self.alive:
                raise
            raise self._died(log) from error
        except OSError as error:  # papermill writes notebooks with a plain open()
            partial.unlink(missing_ok=True)
            if error.errno in NO_ROOM:
                raise StorageFull(output) from error
            raise
        finally:
            self._redaction.file(log)
            if partial.exists():
                self._redaction.file(partial)
                os.replace(partial, output)

    def close(self) -> None:
        """Kill the kernel. Idempotent."""
        client, self._client = self._client, None
        if self._manager.has_kernel:
            run_sync(self._manager.shutdown_kernel)(now=True)
        if client is not None:
            client.stop_channels()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, environment: Mapping[str, str], log: Path, folder: str) -> None:
        if self._client is None:  # it starts while papermill reads and parameterises the notebook
            os.environ.update(environment)
            run_sync(self._manager.start_kernel)(cwd=folder)
            return
        run_sync(self._renew)(_RENEW.format(environment=dict(environment), log=str(log)))

    async def _renew(self, code: str) -> None:
        """Run a line of our own and wait for its end; notebooks do not see it.

        Raises:
            DeadKernelError: there is no kernel any more, or it hangs.
            RuntimeError: it could not be made as new.
        """
        client = self._require_client()
        try:
            reply = await client.execute(code, silent=True, store_history=False, reply=True, timeout=_GRACE_S)
        except TimeoutError as error:
            self._manager.process.kill()
            self._manager.process.wait()
            raise DeadKernelError("the kernel does not answer between two notebooks") from error
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"the kernel could not be made as new: {reply['content'].get('evalue')}")

    def _through_papermill(self, notebook: Path, output: Path, parameters: Mapping[str, Any], folder: str) -> None:
        execute_notebook(
            notebooks.load(notebook),
            # braces in a path are placeholders to papermill
            str(output).replace("{", "{{").replace("}", "}}"),
            parameters=dict(parameters),
            engine_name=ENGINE,
            kernel_name="python3",
            kernel=self,
            cwd=folder,
            progress_bar=False,
            log_output=False,
            # saved between cells, so that a crash leaves what ran; never by the clock, amid a measurement
            autosave_cell_every=0,
        )

    def _execute(self, nb_man: Any) -> None:
        """Called by papermill, in the folder the notebook runs in."""
        client = _Notebook(
            nb_man,
            km=self._manager,
            startup_timeout=START_S,
            timeout_func=lambda _: self._left(),
            iopub_timeout=self._output_s,
            log=logger,
        )
        client.kc, client.redaction = self._client, self._redaction
        try:
            client.execute()
        finally:
            self._client = client.kc

    def _left(self) -> float | None:
        """Seconds this notebook may still take; nbclient reads 0 as "no limit"."""
        left = self._deadline - time.monotonic()
        return None if left == float("inf") else max(left, _LEAST_S)

    def _require_client(self) -> Client:
        if self._client is None:  # pragma: no cover - asked for only after the first notebook
            raise DeadKernelError("no kernel was started")
        return self._client

    def _interrupt(self) -> None:
        """Stop what runs, so that the next notebook can; a kernel that does not answer soon is killed."""
        run_sync(self._manager.interrupt_kernel)()
        try:
            run_sync(self._require_client().wait_for_ready)(timeout=_GRACE_S)
        except RuntimeError:
            self._manager.process.kill()
            self._manager.process.wait()

    def _late(self, timeout_s: float | None) -> CellFailed:
        """Of the two that nbclient calls a timeout: the deadline, or output that does not come."""
        if self._left() == _LEAST_S:
            return CellFailed(f"it took longer than timeout_s = {timeout_s:g} s", kind="timeout")
        return CellFailed(f"its output did not arrive within {self._output_s:g} s of the end of one of its cells")

    def _raised(self, error: PapermillExecutionError) -> CellFailed:
        reason = failures.of_error(error.ename, error.evalue, oom_kills=self._killed())
        where = f"cell [{error.exec_count}] of the notebook"
        return CellFailed(f"{error.ename}: {error.evalue} (in {where})", kind=reason)

    def _died(self, log: Path) -> CellFailed:
        process = self._manager.process
        exit_code = process.wait() if process is not None else None
        said = self._redaction.text(log.read_bytes().decode(errors="replace"))[-_LOG_CHARACTERS:].strip()
        reason = failures.of_death(exit_code, said, oom_kills=self._killed())
        meaning = {"out_of_memory": "out of memory"}.get(reason, "killed or crashed")
        if reason == "died" and exit_code == -signal.SIGKILL:
            meaning = "killed from outside, or out of memory where the system does not count it"
        how = failures.describe(exit_code)
        return CellFailed(f"the kernel died in mid-cell: {how} ({meaning})", said, kind=reason)

    def _killed(self) -> int:
        """Processes the system has killed for want of memory during this notebook."""
        return (oom_kills() or 0) - self._kills
