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
from typing import Any, NoReturn

from workbench.errors import CellFailed
from workbench.interfaces import Job
from workbench.storage import write_json
from workbench.sweep.execution.processes import adopt_orphans, die_with_parent, kill_descendants

_PARENT_CHECK_S = 1.0
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
    """Run one job to its end, its deadline or the driver's death."""
    importlib.import_module(request["module"])  # before the fork: paid once, and outside the job's time
    parent, started = os.getpid(), time.monotonic()
    pid = os.fork()
    if pid == 0:
        _work(request, parent)
    exit_code, timed_out = _wait(pid, request["timeout_s"], requests, wake)
    elapsed = time.monotonic() - started
    kill_descendants()
    return {"exit_code": exit_code, "timed_out": timed_out, "elapsed_s": elapsed}


def _wait(pid: int, timeout_s: float | None, requests: io.FileIO, wake: int) -> tuple[int | None, bool]:
    """Exit code (negative: signal; ``None``: still running) and whether the deadline passed."""
    deadline = time.monotonic() + timeout_s if timeout_s else float("inf")
    driver = os.getppid()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), False
        patience = min(_PARENT_CHECK_S, deadline - time.monotonic())
        if patience <= 0:
            return None, True
        ready = select.select([requests.fileno(), wake], [], [], patience)[0]
        if wake in ready:
            os.read(wake, 4096)
        # the driver sends nothing while it waits for a reply: a readable line is a closed one
        if requests.fileno() in ready or os.getppid() != driver:
            return None, False


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
        return {"result": dict(function(Job(id=request["id"], payload=request["payload"])))}
    except CellFailed as error:
        return {"error": error.reason + (f"\n{error.log[-_LOG_CHARACTERS:]}" if error.log else "")}
    except BaseException as error:
        traceback.print_exc()
        return {"error": "".join(traceback.format_exception_only(error)).strip()}


if __name__ == "__main__":
    main()
