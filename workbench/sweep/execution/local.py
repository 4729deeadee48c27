"""Jobs on this machine, one at a time, each in its own process with a deadline.

Never two at once: what is measured here is time. Knows functions by name and results as JSON; no pickle crosses over.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workbench.errors import SweepError, UsageError
from workbench.interfaces import Job, Outcome
from workbench.storage import read_json, safe_name

_STOP_S = 20.0


class LocalExecutor:
    """Runs one job at a time in a fresh child process. Not for several threads at once.

    A child starts as a fork of a small supervisor that has the job's module loaded, so it is there in milliseconds and
    yet shares nothing with this process. At the deadline, on Ctrl-C and when this process dies, the child and all its
    descendants are killed.

    Args:
        timeout_s: longest time a job may take; ``None``: no limit.

    Raises:
        SweepError: this platform cannot fork.
    """

    slots = 1

    def __init__(self, *, timeout_s: float | None = None) -> None:
        if not hasattr(os, "fork"):
            raise SweepError("The local executor needs a Unix (Linux, macOS, or WSL on Windows).")
        self.timeout_s = timeout_s
        self._supervisor: subprocess.Popen[bytes] | None = None

    def run(self, jobs: Iterable[Job], function: Callable[[Job], Mapping[str, Any]]) -> Iterator[tuple[Job, Outcome]]:
        """Run every job in turn; the next is taken from ``jobs`` only when the one before has been yielded.

        Args:
            jobs: what to do.
            function: a function at the top of an importable module; it is called by name in the child.

        Raises:
            UsageError: the function cannot be found by name from another process.
        """
        module, name = _importable(function)
        for job in jobs:
            yield job, self._run_one(job, module, name)

    def close(self) -> None:
        """Stop what runs, and the supervisor. Idempotent."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        with contextlib.suppress(BrokenPipeError):
            _pipe(supervisor.stdin).close()  # it kills everything below it when its input ends
        try:
            supervisor.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        _pipe(supervisor.stdout).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run_one(self, job: Job, module: str, name: str) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="workbench-job-") as scratch:
            result = Path(scratch) / f"{safe_name(job.id)}.json"
            request = {
                "id": job.id,
                "payload": job.payload,
                "module": module,
                "function": name,
                "result": str(result),
                "timeout_s": self.timeout_s,
            }
            try:
                reply = self._ask(request)
            except BaseException:  # Ctrl-C included: nothing may go on running unattended
                self.close()
                raise
            return self._outcome(reply, result)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """The supervisor's reply; ``None`` if it died."""
        supervisor = self._supervisor or self._start()
        try:
            _send(supervisor, request)
            line = _pipe(supervisor.stdout).readline()
        except BrokenPipeError:
            line = b""
        if not line:
            self.close()
            return None
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _start(self) -> subprocess.Popen[bytes]:
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "workbench.sweep.execution.supervisor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for the driver, which then closes it in order
        )
        _send(self._supervisor, {"path": sys.path})
        return self._supervisor

    def _outcome(self, reply: Mapping[str, Any] | None, result: Path) -> Outcome:
        host = platform.node()
        if reply is None:
            return Outcome(status="failed", result=None, error="its supervisor was killed", elapsed_s=0.0, host=host)
        left: dict[str, Any] = read_json(result) if reply["exit_code"] == 0 else {"error": self._death(reply)}
        return Outcome(
            status="failed" if "error" in left else "done",
            result=left.get("result"),
            error=left.get("error"),
            elapsed_s=reply["elapsed_s"],
            host=host,
        )

    def _death(self, reply: Mapping[str, Any]) -> str:
        if reply["timed_out"]:
            return f"it took longer than timeout_s = {self.timeout_s:g} s and was killed"
        code = reply["exit_code"]
        if code is not None and code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"its process was killed by {signal.Signals(-code).name}{hint}"
        return f"its process ended with exit status {code} and left no result"


def _importable(function: Callable[..., Any]) -> tuple[str, str]:
    """Module and qualified name under which another process finds the very same function."""
    module, name = function.__module__, function.__qualname__
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function or module == "__main__":
        raise UsageError(
            f"{module}.{name} cannot be found by name from another process. Define it at the top of a module."
        )
    return module, name


def _send(supervisor: subprocess.Popen[bytes], value: Mapping[str, Any]) -> None:
    line = _pipe(supervisor.stdin)
    line.write(json.dumps(value, allow_nan=False).encode() + b"\n")
    line.flush()


def _pipe(stream: Any) -> Any:
    if stream is None:  # pragma: no cover - both are always piped
        raise SweepError("the supervisor was started without a line to it")
    return stream
