"""What this process's descendants hold in memory together, read as cheaply as the answer allows."""

from __future__ import annotations

import contextlib

import psutil


def held_over(limit_bytes: int) -> int | None:
    """Bytes of memory all descendants hold together, if that is more than the limit.

    The sum of their resident sets counts what they share once for each, so it is an upper bound; reading it costs
    milliseconds. Only when it is over the limit are shared pages shared out (PSS, Linux), for which the system has to
    walk the page tables of every process.
    """
    descendants = psutil.Process().children(recursive=True)
    if sum(map(_resident, descendants)) <= limit_bytes:
        return None
    held = sum(_share(process) for process in descendants)
    return held if held > limit_bytes else None


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):  # gone meanwhile, or a zombie
        return int(process.memory_info().rss)
    return 0


def _share(process: psutil.Process) -> int:
    """Its own pages and its share of those it has in common; where nobody says (macOS), its resident set."""
    with contextlib.suppress(psutil.Error):
        known = process.memory_full_info()
        return int(getattr(known, "pss", known.rss))
    return _resident(process)
