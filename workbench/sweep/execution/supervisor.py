"""The process that stands between a driver and its runs: forks one child a job and leaves nothing behind.

Started as ``python -m workbench.sweep.execution.supervisor`` by :mod:`.local`; speaks JSON lines on its standard
input and output. What a job's function imports is loaded here once (papermill takes a second) and every job forks from
there. Between two jobs nothing of the first is alive: descendants that changed their session, as Jupyter's kernels do,
come back here as orphans and are killed. When the driver goes away, however it goes, the input ends, and so does
everything here. Knows functions and files, nothing of notebooks.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from workbench.errors import CellFailed
from workbench.hardware.cgroup import oom_kills
from workbench.interfaces import Job
from workbench.storage import write_json
from workbench.storage.redaction import Redaction
from workbench.sweep.execution import failures
from workbench.sweep.execution.processes import adopt_orphans, die_with_parent, kill_descendants
from workbench.sweep.execution.resident import held_over

_PARENT_CHECK_S = 1.0
_MEMORY_CHECK_S = 0.25
"""How often the memory of a job with a limit is read: milliseconds of one core, so less than 1 % of it."""
_LOG_CHARACTERS = 4_000


def main() -> None:
    """Serve jobs from standard input until it ends."""
    # the line to the driver moves out of the way: what else is printed goes to standard error, and no child of a job
    # inherits the line
    requests, replies = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    adopt_orphans()
    wake = _wake_on_child()
    sys.path[:] = json.loads(requests.readline() or b"{}").get("path", sys.path)
    try:
        for line in iter(requests.readline, b""):
            replies.write(json.dumps(_serve(json.loads(line), requests, wake)) + "\n")
            replies.flush()
    except BrokenPipeError:
        # the driver went away; closing the line again at exit would complain once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), replies.fileno())
    finally:
        kill_descendants()


def _serve(request: Mapping[str, Any], requests: io.FileIO, wake: int) -> dict[str, Any]:
    """Run one job to its end, to a limit of it or to the driver's death."""
    importlib.import_module(request["module"])  # before the fork: paid once, and outside the job's time
    parent, started, kills = os.getpid(), time.monotonic(), oom_kills() or 0
    pid = os.fork()
    if pid == 0:
        _work(request, parent)
    end = _wait(pid, _Limits.of(request), requests, wake)
    elapsed = time.monotonic() - started
    kill_descendants()
    return {**end, "elapsed_s": elapsed, "oom_kills": (oom_kills() or 0) - kills}


@dataclass(frozen=True, slots=True)
class _Limits:
    deadline: float
    memory_bytes: int | None

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Self:
        timeout_s = request["timeout_s"]
        deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
        return cls(deadline, request["memory_bytes"])

    @property
    def patience_s(self) -> float:
        """How long to sleep before somebody has to look again."""
        look = _PARENT_CHECK_S if self.memory_bytes is None else _MEMORY_CHECK_S
        return max(0.0, min(look, self.deadline - time.monotonic()))

    def broken(self) -> dict[str, Any]:
        """Which limit is broken, with what; empty: none."""
        if time.monotonic() >= self.deadline:
            return {"ended": "timeout"}
        held = held_over(self.memory_bytes) if self.memory_bytes is not None else None
        return {} if held is None else {"ended": "out_of_memory", "held_bytes": held}


def _wait(pid: int, limits: _Limits, requests: io.FileIO, wake: int) -> dict[str, Any]:
    """``exit_code`` (negative: signal; ``None``: it runs still), and which limit it broke if it did."""
    driver = os.getppid()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return {"exit_code": os.waitstatus_to_exitcode(status)}
        if broken := limits.broken():
            return {"exit_code": None, **broken}
        ready = select.select([requests.fileno(), wake], [], [], limits.patience_s)[0]
        if wake in ready:
            os.read(wake, 4096)
        # the driver sends nothing while it waits for a reply: a readable line is a closed one
        if requests.fileno() in ready or os.getppid() != driver:
            return {"exit_code": None}


def _wake_on_child() -> int:
    """A descriptor that becomes readable when a child ends."""
    wake, signalled = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler Python writes nothing to the descriptor
    return wake


def _work(request: Mapping[str, Any], parent: int) -> NoReturn:
    """The child's whole life."""
    exit_code = 1
    try:
        os.setsid()
        die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getppid() != parent:  # it died before it was asked to take this process along
            os._exit(exit_code)
        write_json(request["result"], _outcome(request))
        exit_code = 0
    except BaseException:  # nothing may unwind into the supervisor's own frames
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)


def _outcome(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the function returned, or why it failed."""
    try:
        function: Any = importlib.import_module(request["module"])
        for part in request["function"].split("."):
            function = getattr(function, part)
        limits = {name: request[name] for name in ("timeout_s", "memory_bytes")}
        return {"result": dict(function(Job(id=request["id"], payload=request["payload"], **limits)))}
    except CellFailed as error:
        log = f"\n{error.log[-_LOG_CHARACTERS:]}" if error.log else ""
        return {"error": error.reason + log, "reason": error.kind}
    except BaseException as error:
        traceback.print_exc()
        said = Redaction().text("".join(traceback.format_exception_only(error)).strip())
        return {"error": said, "reason": failures.of_error(type(error).__name__, str(error))}


if __name__ == "__main__":
    main()
