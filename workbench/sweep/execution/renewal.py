"""Inside a kernel: making it as new for the next notebook, except for the modules that are imported.

Names, results, tracebacks (they hold frames, and those hold models), the environment, the working directory, the module
path and the warnings filters are as they were when the kernel started. What a notebook changed inside a module, and
threads it left running, stay: for those only a new process helps. What was loaded with ``WORKBENCH_KEEP_WEIGHTS`` and
not used by the notebook before is freed.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class _Start:
    """How the process was when it began."""

    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: str = field(default_factory=os.getcwd)
    path: list[str] = field(default_factory=lambda: list(sys.path))
    filters: warnings.catch_warnings[None] = field(default_factory=warnings.catch_warnings)


_start: _Start | None = None


def remember() -> None:
    """Note how the process is now. Once, before anything else."""
    global _start
    _start = _Start()
    _start.filters.__enter__()


def renew(environment: Mapping[str, str], log: str) -> None:
    """Make the kernel as new.

    Args:
        environment: variables of the next notebook.
        log: file for what is printed past Python: libraries' own output, the last words of a crash.
    """
    if _start is None:
        raise RuntimeError("this kernel was not started by a sweep")
    shell = _shell()
    shell.reset(new_session=True)
    _forget_errors(shell)
    os.environ.clear()
    os.environ.update({**_start.environment, **environment})
    os.chdir(_start.folder)
    sys.path[:] = _start.path
    _start.filters.__exit__(None, None, None)
    _start.filters = warnings.catch_warnings()
    _start.filters.__enter__()
    gc.collect()  # an engine nobody holds any more stops its thread and gives its weights back here
    _free_unused_weights()
    print_into(log)


def print_into(log: str) -> None:
    """Standard output and error of this process go to a file: the last words of a crash are kept."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


def _forget_errors(shell: Any) -> None:
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)
    for name in ("etype", "evalue", "tb"):
        setattr(shell.InteractiveTB, name, None)


def _free_unused_weights() -> None:
    """Only if the engine was used at all: importing it for this would cost what is to be saved."""
    kept = sys.modules.get("workbench.engine.native.kept")
    if kept is not None:
        kept.free_unused()
