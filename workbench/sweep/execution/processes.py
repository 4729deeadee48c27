"""Processes that leave nobody behind. Linux gives two promises here; elsewhere the sweeping up alone has to do."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_GIVE_UP_S = 10.0


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends (``prctl(2)``, Linux only)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (``prctl(2)``, Linux only)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_descendants() -> None:
    """Kill and reap all descendants, those that appear meanwhile included."""
    import psutil

    me, give_up = psutil.Process(), time.monotonic() + _GIVE_UP_S
    while (descendants := me.children(recursive=True)) and time.monotonic() < give_up:
        for process in descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _reap()
        time.sleep(0.002)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
