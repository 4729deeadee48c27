"""Jobs on this machine, each in its own process with a deadline and a limit of memory.

One at a time unless asked otherwise: what is measured here is time. Knows functions by name and results as JSON; no
pickle crosses over.
"""

from __future__ import annotations

import os
import selectors
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from workbench.errors import SweepError, UsageError
from workbench.interfaces import Job, Outcome
from workbench.sweep.execution.supervised import Supervised


class LocalExecutor:
    """Runs jobs in fresh child processes. Not for several threads at once.

    A child starts as a fork of a small supervisor that has the job's module loaded, so it is there in milliseconds and
    yet shares nothing with this process. At its deadline, over its memory limit, on Ctrl-C and when this process dies,
    the child and all its descendants are killed. Memory is looked at four times a second: a limit stops what grows, it
    does not keep an allocation from being made.

    Args:
        timeout_s: longest time of a job that does not say; ``None``: no limit.
        slots: jobs that run at the same time, each below a supervisor of its own. More than one only where no time is
            measured: they take each other's cores, caches and memory bandwidth.

    Raises:
        SweepError: this platform cannot fork.
        UsageError: fewer than one slot.
    """

    def __init__(self, *, timeout_s: float | None = None, slots: int = 1) -> None:
        if not hasattr(os, "fork"):
            raise SweepError("The local executor needs a Unix (Linux, macOS, or WSL on Windows).")
        if slots < 1:
            raise UsageError(f"slots must be at least 1, not {slots}.")
        self.timeout_s, self.slots = timeout_s, slots
        self._lines = [Supervised(timeout_s) for _ in range(slots)]

    def run(self, jobs: Iterable[Job], function: Callable[[Job], Mapping[str, Any]]) -> Iterator[tuple[Job, Outcome]]:
        """Run every job; the next is taken from ``jobs`` only when a slot is free and what ended has been yielded.

        Args:
            jobs: what to do.
            function: a function at the top of an importable module; it is called by name in the child.

        Raises:
            UsageError: the function cannot be found by name from another process.
        """
        module, name = importable(function)
        waiting = iter(jobs)
        try:
            while True:
                self._fill(waiting, module, name)
                ended = self._wait()
                if ended is None:
                    return
                yield ended.end()
        finally:  # Ctrl-C and a closed iterator included: nothing may go on running unattended
            for line in self._lines:
                if line.busy:
                    line.stop()

    def close(self) -> None:
        """Stop what runs, and the supervisors. Idempotent."""
        for line in self._lines:
            line.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self, waiting: Iterator[Job], module: str, name: str) -> None:
        for line in self._lines:
            if not line.busy and (job := next(waiting, None)) is not None:
                line.begin(job, module, name)

    def _wait(self) -> Supervised | None:
        """One whose job has ended, as soon as there is one; ``None``: none has a job."""
        busy = [line for line in self._lines if line.busy]
        if not busy:
            return None
        with selectors.DefaultSelector() as selector:
            for line in busy:
                selector.register(line, selectors.EVENT_READ)
            key, _ = selector.select()[0]
        return next(line for line in busy if line is key.fileobj)


def importable(function: Callable[..., Any]) -> tuple[str, str]:
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
